#!/usr/bin/env bash
# apt: wimtools
# Capture, apply and extract beside wimlib: what one captures the other applies, both make the same directory of the same
# WIM and the same image of the same directory, and what was there before survives a full disk.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-apply.XXXXXX")")
trap '[ -z "${mounted:-}" ] || umount "$mounted"; rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -5 "$work/log"; fail "$*"; }; }

# Every name with its kind, time of the last write to 100 ns, links and target; contents are compared by diff.
listing() { # DIRECTORY
  (cd "$1" && find . -printf '%P|%y|%T@|%n|%l\n' | sed -E "s#$(realpath .)#ROOT#; s#(\.[0-9]{7})[0-9]*\|#\1|#" | LC_ALL=C sort)
}
same_directories() { # A B WHAT; absolute links into each directory count as the same
  diff <(listing "$1") <(listing "$2") >diff.log || { head -5 diff.log; fail "$3: names, times or links differ"; }
  diff -r --no-dereference --brief "$1" "$2" 2>&1 | grep -v '^Symbolic links' >diff.log || true
  [ ! -s diff.log ] || { head -5 diff.log; fail "$3: contents differ"; }
}

# What both programs say of an image, but for what differs by intention: numbers of link groups, places and sizes in the
# file, and the time of the last access, which reading changes.
details() { # PROGRAM WIM
  $1 dir "$2" 1 --detailed |
    grep -E '^(Full Path|Short Name|Attributes|    FILE_ATTR|Creation|Last Write|Reparse Tag|Link Count|Hash|Uncomp|	)' || true
}
counts() { wimlib-imagex info "$1" 1 | grep -E '^(Directory|File) Count|Bytes:'; }

say "a directory with links, odd names and times"
mkdir -p "src/Windows/System32/drivers" "src/empty directory" "src/a b/c"
echo hello >src/Windows/hello.txt
cp src/Windows/hello.txt "src/a b/same content"
ln src/Windows/hello.txt src/Windows/System32/linked.txt
: >src/empty
seq 1 200000 >src/Windows/System32/numbers.txt
head -c 3000000 /dev/urandom >src/Windows/System32/random.bin
ln src/Windows/System32/random.bin src/random.link
for i in $(seq 1 200); do seq 1 "$i" >"src/Windows/System32/drivers/d$i.sys"; done
ln -s ../hello.txt src/Windows/System32/relative
ln -s Windows src/to-directory
ln -s nowhere/at/all src/broken
ln -s /etc/passwd src/absolute
ln -s "$work/src/Windows/hello.txt" src/inside
ln -s "$work/src" src/root
echo x >'src/日本語 ünïcödé 😀'
touch -d '2001-02-03 04:05:06.123456700 UTC' src/Windows/hello.txt
touch -d '1969-12-31 23:59:00.5 UTC' 'src/empty directory'
echo x >src/pagefile.sys

say "both capture the same image"
for compress in none XPRESS LZX; do
  quietly "$wim" capture src "ours-$compress.wim" name --compress="$compress" --check
  quietly wimlib-imagex capture src "theirs-$compress.wim" name --compress="${compress/#XPRESS/fast}" --check
  quietly wimlib-imagex verify "ours-$compress.wim"
  quietly "$wim" verify "theirs-$compress.wim"
  diff <(details wimlib-imagex "ours-$compress.wim") <(details wimlib-imagex "theirs-$compress.wim") >diff.log ||
    { head -20 diff.log; fail "$compress: the images differ"; }
  [ -s diff.log ] || [ -n "$(details wimlib-imagex "ours-$compress.wim")" ] || fail "$compress: nothing was compared"
  [ "$(counts "ours-$compress.wim")" = "$(counts "theirs-$compress.wim")" ] || fail "$compress: the counts differ"
done
wimlib-imagex dir ours-LZX.wim 1 | grep -q pagefile && fail "pagefile.sys was captured"

say "the same bytes with one thread and with eight"
for threads in 1 8; do
  SOURCE_DATE_EPOCH=1700000000 quietly "$wim" capture src "threads-$threads.wim" name --compress=LZX \
    --threads="$threads" --check
done
cmp threads-1.wim threads-8.wim || fail "threads change the file"

say "both make the same directory of either's WIM"
for file in ours-LZX theirs-LZX ours-XPRESS theirs-XPRESS ours-none theirs-none; do
  for fixup in --rpfix --norpfix; do
    rm -rf by-us by-them
    quietly "$wim" apply "$file.wim" 1 by-us "$fixup"
    quietly wimlib-imagex apply "$file.wim" 1 by-them "$fixup"
    same_directories by-us by-them "$file $fixup"
  done
done
say "there and back: the directory that was captured; over itself: the same again"
rm -rf by-us
quietly "$wim" apply theirs-LZX.wim 1 by-us
# Without what is left out by intention, and with the time that the root had before that.
rm src/pagefile.sys
touch -r by-us src
same_directories src by-us "there and back"
quietly "$wim" apply theirs-LZX.wim 1 by-us
same_directories src by-us "applied twice"
[ -z "$(find by-us -name '*.wim-tmp')" ] || fail "a temporary file was left"

say "extracting: single files, wildcards, standard output"
rm -rf by-us by-them
quietly "$wim" extract theirs-LZX.wim 1 '/Windows/System32/drivers/d1*.sys' /Windows/hello.txt --dest-dir=by-us
quietly wimlib-imagex extract theirs-LZX.wim 1 '/Windows/System32/drivers/d1*.sys' /Windows/hello.txt --dest-dir=by-them
# The times of the target itself are not the image's.
touch -r by-us by-them
same_directories by-us by-them "flat"
rm -rf by-us by-them
quietly "$wim" extract theirs-LZX.wim 1 /Windows --dest-dir=by-us
quietly wimlib-imagex extract theirs-LZX.wim 1 /Windows --dest-dir=by-them
touch -r by-us by-them
same_directories by-us by-them "a directory"
rm -rf by-us by-them
quietly "$wim" extract theirs-LZX.wim 1 '/Windows/System32/*.txt' --dest-dir=by-us --preserve-dir-structure
quietly wimlib-imagex extract theirs-LZX.wim 1 '/Windows/System32/*.txt' --dest-dir=by-them --preserve-dir-structure
diff <(cd by-us && find . | LC_ALL=C sort) <(cd by-them && find . | LC_ALL=C sort) || fail "paths kept: names differ"
"$wim" extract theirs-LZX.wim 1 /Windows/System32/random.bin --to-stdout | cmp - src/Windows/System32/random.bin ||
  fail "standard output"

say "a full disk: an error, no half file, the old one as it was"
mkdir small
if mount -t tmpfs -o size=2m none small 2>/dev/null; then
  mounted=$work/small
  mkdir small/target
  # The large file has two names; both were there before.
  echo old >small/target/random.link
  mkdir -p small/target/Windows/System32
  echo old >small/target/Windows/System32/random.bin
  status=0
  "$wim" apply ours-none.wim 1 small/target >log 2>&1 || status=$?
  [ "$status" = 2 ] || fail "a full disk gave exit code $status"
  for name in random.link Windows/System32/random.bin; do
    [ "$(cat "small/target/$name")" = old ] || fail "the old $name did not survive"
  done
  [ -z "$(find small -name '*.wim-tmp')" ] || fail "a temporary file was left"
  umount small
  mounted=
else
  echo "skipped: mounting a small file system needs root"
fi

if [ -d "$data/wim" ]; then
  say "WIMs that others made"
  for name in XPRESS LZX BootXPRESS dissect-basic32k dissect-basic4k wimlib-empty_dacl wimlib-longpaths wimlib-dotdot \
    wimlib-duplicate_names; do
    rm -rf by-us by-them
    mkdir -p outside/by-us
    quietly "$wim" apply "$data/wim/$name.wim" 1 outside/by-us
    [ "$(ls -A outside)" = by-us ] || fail "$name: something was written outside the target"
    quietly wimlib-imagex apply "$data/wim/$name.wim" 1 by-them
    same_directories outside/by-us by-them "$name"
    rm -rf outside
  done
else
  echo "skipped: the real WIMs are absent (set WIM_TEST_DATA)"
fi
say "done"
