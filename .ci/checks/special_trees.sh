#!/usr/bin/env bash
# apt: wimtools
# Trees that are special, once each, beside wimlib: names, long paths, links, streams, junctions, sparse and empty files, very
# many files. What one program makes the other reads, and `wim diff` finds both equal.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
files=${WIM_MANY_FILES:-300000}
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-special.XXXXXX")")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -5 "$work/log" | cut -c1-300; fail "${*:0:4}"; }; }
# Processor seconds and peak memory in KB of a command.
cost() { local at; at=$({ TIMEFORMAT='%U %S'; time "$@" >/dev/null 2>"$work/log"; } 2>&1) || { tail -5 "$work/log"; fail "${*:0:4}"; }
  awk '{ printf "%.2f", $1 + $2 }' <<<"$at"; }

# Both capture the tree; the images are the same but for the time of the last access, and each is sound to the other.
both() { # TREE COMPRESSION
  quietly "$wim" capture "$1" ours.wim name --compress="$2" --norpfix
  quietly wimlib-imagex capture "$1" theirs.wim name --compress="${2/#XPRESS/fast}" --norpfix
  quietly wimlib-imagex verify ours.wim
  quietly "$wim" verify theirs.wim
  quietly "$wim" diff ours.wim theirs.wim --ignore=access-time
  rm -rf by-us by-them
  quietly "$wim" apply theirs.wim 1 by-us --norpfix
  quietly wimlib-imagex apply ours.wim 1 by-them --norpfix
  (cd "$1" && find . -printf '%P|%y|%T@|%n|%l|%s\n' | grep -v '|d|' | sed -E 's#(\.[0-9]{7})[0-9]*\|#\1|#' | LC_ALL=C sort) >want
  for made in by-us by-them; do
    (cd "$made" && find . -printf '%P|%y|%T@|%n|%l|%s\n' | grep -v '|d|' | sed -E 's#(\.[0-9]{7})[0-9]*\|#\1|#' | LC_ALL=C sort) >have
    cmp -s want have || { diff want have | head -4 | cut -c1-300; fail "$1: $made differs"; }
  done
}

say "names of many scripts, in NFC and NFD, with signs and spaces at their ends; 255 bytes long"
mkdir -p 'names/日本語 ünïcödé/Ελληνικά' 'names/עברית'
for name in 'e'$'\u0301' $'\u00e9' '😀' ' leading' 'trailing ' 'dot.' 'con' 'a:b' 'qu"ote' '*?' 'ß' 'İı' "$(printf 'n%.0s' {1..255})"; do
  echo "$name" >"names/עברית/$name"
done
both names LZX

say "paths longer than 260 and close to 4096"
(d=long; for _ in $(seq 1 18); do d=$d/$(printf 'directory%.0s' {1..22}); done; mkdir -p "$d"; echo deep >"$d/file"; ln "$d/file" "$d/link")
both long LZX
say "a path longer than 4096: made by adding to a long one, applied directory by directory"
deep=/$(printf 'another%.0s/' {1..200})
quietly "$wim" update ours.wim 1 --command "add long $deep"
quietly "$wim" apply ours.wim 1 beyond
[ "$(cd beyond && find . -name file -printf '%d\n' | sort -n | tail -1)" = 219 ] || fail "the deepest file is missing"
rm -rf beyond long

say "hard links, symbolic links, empty files"
mkdir -p links/a/b
for i in $(seq 1 200); do ln -f links/a/one "links/a/b/$i" 2>/dev/null || { echo one >links/a/one; ln links/a/one "links/a/b/$i"; }; done
ln -s a/one links/relative; ln -s /etc/passwd links/absolute; ln -s nowhere links/broken; ln -s a links/directory
for i in $(seq 1 100); do : >"links/empty$i"; done
both links XPRESS

if [ -d "$data/wim" ]; then
  say "junctions, streams, descriptors: real images through a plain directory and back"
  printf '[ExclusionList]\n\\nothing at all\n' >all.ini
  for name in LZX BootXPRESS wimlib-empty_dacl wimlib-longpaths; do
    rm -rf real real.wim-metadata
    quietly "$wim" apply "$data/wim/$name.wim" 1 real --metadata
    quietly "$wim" capture real real.wim --metadata --config=all.ini
    quietly "$wim" diff "$data/wim/$name.wim:1" real.wim
    quietly wimlib-imagex verify real.wim
  done
else
  echo "skipped: the real WIMs are absent (set WIM_TEST_DATA)"
fi

say "a sparse file of 5 GiB"
mkdir sparse
truncate -s 5G sparse/holes
printf end | dd of=sparse/holes bs=1 seek=5000000000 conv=notrunc status=none
quietly "$wim" capture sparse ours.wim name --compress=XPRESS
[ "$(stat -c %s ours.wim)" -lt 100000000 ] || fail "zeros were not compressed"
quietly wimlib-imagex dir ours.wim 1 --detailed
grep -q 'Uncompressed size = 5368709120' log || fail "wimlib sees another size"
quietly "$wim" verify ours.wim
rm -rf sparse

say "$files files"
for ((d = 0; d < files / 1000; d++)); do
  mkdir -p "many/$((d / 100))/$d"
  (cd "many/$((d / 100))/$d" && seq "$((d * 1000))" "$((d * 1000 + 999))" | split -l 1 -a 3 -d - file)
done
quietly "$wim" capture many ours.wim name --compress=XPRESS
quietly wimlib-imagex verify ours.wim
for verb in "dir ours.wim 1" "info ours.wim" "export ours.wim 1 NEW.wim"; do
  rm -f us.wim them.wim
  # shellcheck disable=SC2086
  us=$(cost "$wim" ${verb/NEW/us}) them=$(cost wimlib-imagex ${verb/NEW/them})
  echo "   ${verb%% *}: $us s, wimlib $them s of processor time"
  awk -v us="$us" -v them="$them" 'BEGIN { exit us > 1.5 * them + 0.2 }' || fail "${verb%% *} is slower than wimlib"
done
echo "   diff with itself: $(cost "$wim" diff ours.wim us.wim) s"
say "done"
