#!/usr/bin/env bash
# apt: wimtools 7zip
# LZMS and solid files beside wimlib and 7-Zip: each reads what the other wrote, and finds the same files in it.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-lzms.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -5 "$work/log"; fail "$*"; }; }

say "programs, text, tables and noise"
mkdir -p src/folder
cp "$(command -v bash)" src/program
cp "$(command -v bash)" src/folder/again
head -c 300000 "$(command -v bash)" >src/folder/half
seq 1 150000 >src/text
seq 1 100000 | awk '{ printf "%c%c%c%c", $1 % 256, int($1 / 256), 1, 2 }' >src/table
head -c 500000 /dev/urandom >src/noise
: >src/empty

say "we read what wimlib wrote"
for options in "--compress=LZMS" "--compress=LZMS:20 --chunk-size=1M" "--solid" \
  "--solid --solid-chunk-size=512K" "--solid --solid-compress=LZX --solid-chunk-size=1M" \
  "--solid --solid-compress=XPRESS --solid-chunk-size=64K"; do
  # shellcheck disable=SC2086
  quietly wimlib-imagex capture src theirs.wim name $options
  quietly "$wim" verify theirs.wim
  quietly "$wim" apply theirs.wim 1 out
  diff -r src out || fail "$options: other files"
  for threads in 1 4; do
    quietly "$wim" export theirs.wim 1 "lzx-$threads.wim" --compress=LZX --threads="$threads"
  done
  cmp lzx-1.wim lzx-4.wim || fail "$options: threads change the file"
  quietly wimlib-imagex verify lzx-1.wim
  rm -rf theirs.wim out lzx-*.wim
done

say "wimlib and 7-Zip read what we wrote"
for options in "--compress=LZMS:fast" "--compress=LZMS" "--compress=LZMS:max --chunk-size=32K" \
  "--compress=recovery:fast --chunk-size=4M"; do
  # shellcheck disable=SC2086
  quietly "$wim" capture src ours.wim name $options
  quietly wimlib-imagex verify ours.wim
  quietly wimlib-imagex apply ours.wim 1 out
  diff -r src out || fail "$options: other files"
  quietly "$(command -v 7zz || command -v 7z)" t ours.wim
  rm -rf ours.wim out
done
echo "LZMS is the same to all three"
