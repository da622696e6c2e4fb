#!/usr/bin/env bash
# apt: wimtools 7zip python3
# Solid files both ways with wimlib and 7-Zip: each reads what the other wrote, changes what the other wrote, and ours is as
# small as wimlib's.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-solid.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
export SOURCE_DATE_EPOCH=1700000000

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -5 "$work/log"; fail "$*"; }; }

say "programs, their versions, text, tables and noise"
mkdir -p src/folder more
for program in bash tar sort find; do
  cp "$(command -v $program)" "src/$program.exe"
  { head -c 200000 "$(command -v $program)"; echo another version; tail -c +200100 "$(command -v $program)"; } >"src/folder/$program.exe"
done
seq 1 150000 >src/text.txt
seq 1 100000 | awk '{ printf "%c%c%c%c", $1 % 256, int($1 / 256), 1, 2 }' >src/table.bin
head -c 500000 /dev/urandom >src/noise
: >src/empty
cp "$(command -v ls)" more/ls.exe

say "wimlib and 7-Zip read what we wrote, whatever the number of threads"
for options in "" "--solid-compress=LZMS:fast --solid-chunk-size=512K" "--solid-compress=LZX --compress=LZX" \
  "--solid-compress=XPRESS:max --solid-chunk-size=16K --no-solid-sort"; do
  # shellcheck disable=SC2086
  quietly "$wim" capture src ours.esd name --solid --check --threads=1 $options
  # shellcheck disable=SC2086
  quietly "$wim" capture src again.esd name --solid --check --threads=3 $options
  cmp ours.esd again.esd || fail "$options: threads change the file"
  quietly wimlib-imagex verify ours.esd
  quietly "$(command -v 7zz || command -v 7z)" t ours.esd
  quietly wimlib-imagex apply ours.esd 1 out
  diff -r src out || fail "$options: other files"
  rm -rf out
  say "they append to it, we append to theirs: ${options:-defaults}"
  quietly wimlib-imagex append more ours.esd theirs --solid --solid-compress=LZX
  quietly "$wim" append src/folder ours.esd ours
  quietly "$wim" verify ours.esd
  quietly wimlib-imagex verify ours.esd
  quietly "$wim" apply ours.esd 1 out
  diff -r src out || fail "$options: other files after appending"
  quietly wimlib-imagex apply ours.esd 3 out3
  diff -r src/folder out3 || fail "$options: other files in what was appended"
  rm -rf out out3 ours.esd again.esd
done

say "we split what wimlib packed, and wimlib joins the parts"
quietly wimlib-imagex capture src theirs.esd name --solid --solid-chunk-size=1M
quietly "$wim" split theirs.esd part.swm 1
for part in part*.swm; do
  test "$(stat -c %s "$part")" -le 1048576 || [ "$(wimlib-imagex info "$part" --blobs | grep -c '^Hash')" = 1 ] ||
    fail "$part is larger than it may be"
done
quietly wimlib-imagex join joined.wim part*.swm
quietly wimlib-imagex apply joined.wim 1 out
diff -r src out || fail "split and joined: other files"

say "sizes"
quietly "$wim" capture src ours.esd name --solid
quietly wimlib-imagex capture src theirs.esd name --solid
ours=$(stat -c %s ours.esd) theirs=$(stat -c %s theirs.esd)
echo "solid: ours $ours, wimlib's $theirs bytes"
# The size that wimlib makes of this data varies by almost 1 % from run to run.
test "$((ours * 1000))" -le "$((theirs * 1015))" || fail "ours is larger than wimlib's"

say "memory of one thread with a chunk of 64 MiB"
mkdir one
{ cat "$(command -v bash)"; head -c 60M /dev/zero; seq 1 900000; } >one/file
peak() {
  python3 - "$@" <<'PY'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
PY
}
ours=$(peak "$wim" capture one ours64.esd name --solid --solid-compress=LZMS:10 --threads=1)
theirs=$(peak wimlib-imagex capture one theirs64.esd name --solid --solid-compress=LZMS:10 --threads=1)
echo "memory: ours $ours, wimlib's $theirs MiB"
[ "$ours" -lt "$theirs" ] || fail "ours takes more memory than wimlib's"
quietly wimlib-imagex verify ours64.esd
echo "solid files are the same to all three"
