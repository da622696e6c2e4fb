#!/usr/bin/env bash
# apt: cabextract gcab 7zip
# Cabinets beside cabextract, gcab and 7-Zip: what we write they read, what gcab writes we read, and real cabinets (when the
# test data is there) come out of us and of cabextract as the same files; bad ones are refused by both, or by us alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-cab.XXXXXX")
trap 'rm -rf "$work"' EXIT
seven=$(command -v 7zz || command -v 7z)
# Others take the times of cabinets for local ones; we for UTC.
export TZ=UTC

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
sums() { ( cd "$1" && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha1sum ); }

say "a matrix of files"
src=$work/src
mkdir -p "$src/dir/deep"
printf x >"$src/one"
printf 'hello\n' >"$src/hello.txt"
head -c 32768 /dev/urandom >"$src/noise-block"
head -c 200001 /dev/urandom >"$src/dir/noise"
head -c 100000 /dev/zero >"$src/dir/zeros"
cp "$wim" "$src/dir/deep/program.exe"
truncate -s 3000000 "$src/dir/deep/program.exe"
cat wim-core/src/formats/*/*.rs >"$src/dir/text.txt"
printf 'green\n' >"$src/"$'gr\303\274n.txt'
touch -d 2012-03-04T05:06:08Z "$src"/* "$src"/dir/* "$src"/dir/deep/*
sums "$src" >"$work/src.sha1"

count=0
for options in "--compress=none" "--compress=none --folder-size=64K" "--compress=mszip" "--compress=mszip --level=max --folder-size=200K" \
  "--level=fast --window=15" "--level=fast --window=16 --folder-size=100K" "--level=fast --window=17" "--level=fast --window=18 --folder-size=1M" \
  "--level=normal --window=15 --folder-size=150K" "--level=normal --window=19" "--level=fast --window=20" "--level=normal" "--level=fast"; do
  cab=$work/ours.cab
  # shellcheck disable=SC2086
  "$wim" cab create "$cab" "$src" $options --force --quiet
  "$wim" cab test "$cab" --quiet || fail "wim cab test: $options"
  cabextract -q -t "$cab" >/dev/null || fail "cabextract -t: $options"
  rm -rf "$work/out"
  cabextract -q -e utf-8 -d "$work/out" "$cab" >/dev/null || fail "cabextract: $options"
  sums "$work/out" | cmp - "$work/src.sha1" || fail "cabextract reads other files: $options"
  [ "$(stat -c %Y "$work/out/hello.txt")" = "$(stat -c %Y "$src/hello.txt")" ] || fail "times: $options"
  rm -rf "$work/out"
  "$seven" x -y -o"$work/out" "$cab" >/dev/null || fail "7z: $options"
  sums "$work/out" | cmp - "$work/src.sha1" || fail "7z reads other files: $options"
  rm -rf "$work/out"
  mkdir "$work/out"
  gcab -x -C "$work/out" "$cab" >"$work/log" 2>&1 && gcab_reads=1 || gcab_reads=0
  # gcab reads no LZX.
  case $options in
    *none* | *mszip*)
      [ "$gcab_reads" = 1 ] || { cat "$work/log"; fail "gcab -x: $options"; }
      sums "$work/out" | cmp - "$work/src.sha1" || fail "gcab reads other files: $options" ;;
  esac
  count=$((count + 1))
done
say "$count cabinets of ours read by cabextract, 7-Zip and gcab"

say "cabinets of gcab read by us"
for options in "" "-z"; do
  rm -f "$work/theirs.cab"
  # shellcheck disable=SC2086
  ( cd "$src" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' gcab -c $options "$work/theirs.cab" ) >/dev/null
  rm -rf "$work/out"
  "$wim" cab extract "$work/theirs.cab" --dest-dir "$work/out" --quiet
  sums "$work/out" | cmp - "$work/src.sha1" || fail "gcab $options"
done

data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
if [ ! -d "$data/cab" ]; then
  say "skipped: real cabinets are absent (set WIM_TEST_DATA)"
  exit 0
fi
say "real cabinets, good and bad"
both=0 stricter=0 refused=0
while IFS= read -r -d '' file; do
  rm -rf "$work/ours" "$work/theirs"
  mkdir "$work/ours" "$work/theirs"
  theirs=0 ours=0
  timeout 60 cabextract -q -t "$file" >/dev/null 2>&1 || theirs=$?
  timeout 60 "$wim" cab test "$file" --quiet >/dev/null 2>"$work/log" || ours=$?
  case $ours in 0 | 1 | 2) ;; *) fail "$file: exit $ours: $(cat "$work/log")" ;; esac
  if [ "$ours" = 0 ] && [ "$theirs" != 0 ]; then fail "$file: cabextract refuses it, we do not"; fi
  if [ "$ours" != 0 ] && [ "$theirs" = 0 ]; then stricter=$((stricter + 1)); echo "   stricter: ${file##*/}"; continue; fi
  if [ "$ours" != 0 ]; then refused=$((refused + 1)); continue; fi
  "$wim" cab extract "$file" --dest-dir "$work/ours" --quiet 2>"$work/log" || {
    # Names that lead out are changed by cabextract and refused by us.
    grep -q 'error:' "$work/log" || fail "$file: $(cat "$work/log")"
    echo "   ${file##*/}: $(head -1 "$work/log" | cut -c1-150)"
    continue
  }
  cabextract -q -d "$work/theirs" "$file" >/dev/null 2>&1 || fail "cabextract $file"
  # Names are compared elsewhere: here contents, whatever they are called.
  for side in ours theirs; do
    ( cd "$work/$side" && find . -type f -print0 | xargs -0r sha1sum | cut -c1-40 | sort ) >"$work/$side.sha1"
  done
  cmp "$work/ours.sha1" "$work/theirs.sha1" || fail "$file: other contents"
  both=$((both + 1))
done < <(find "$data/cab" -type f -name '*.cab' ! -name 'split-[2-5]*' ! -name '*multi*' -print0 | sort -z; find "$data/updates" -maxdepth 1 \( -name '*.msu' -o -name '*.cab' \) -print0)
say "$both cabinets equal, $refused refused by both, $stricter by us alone"
[ "$both" -ge 30 ] || fail "too few"

say "a spanned set"
rm -rf "$work/ours" "$work/theirs"
"$wim" cab extract "$data/cab/cabextract/split-1.cab" --dest-dir "$work/ours" --quiet
cabextract -q -d "$work/theirs" "$data/cab/cabextract/split-1.cab" >/dev/null
diff -r "$work/ours" "$work/theirs" || fail "the set differs"
say "all as expected"
