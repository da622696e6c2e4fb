#!/usr/bin/env bash
# apt: wimtools fuse3 python3
# Mounted images beside wimlib's: the same names, contents, links and streams of the same file, the same image after the
# same changes; a killed mount leaves the file as it was.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-mount.XXXXXX")")
trap 'for m in "$work"/m-*; do fusermount3 -u "$m" 2>/dev/null || true; done; rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }

if ! { [ -w /dev/fuse ] && [ -r /dev/fuse ]; }; then
  say "skipped: /dev/fuse cannot be used here"
  exit 0
fi

mkdir -p src/a/b m-ours m-theirs
seq 1 200000 >src/a/numbers
head -c 700000 /dev/urandom >src/a/b/random
ln src/a/numbers src/a/b/hard
ln -s ../a/numbers src/a/link
ln -s "$work/src/a" src/absolute
echo x >'src/日本語 ünïcödé 😀'
: >src/empty
for i in $(seq 1 300); do seq 1 "$i" >"src/a/b/f$i"; done

# wimlib says that a link has no bytes.
listing() { (cd "$1" && find . ! -name . \( -type l -printf '%P|l|%m|%n|%T@|%l\n' -o -printf '%P|%y|%m|%s|%n|%T@\n' \) | grep -v '|d|' | sed "s#$(realpath .)#ROOT#g" | LC_ALL=C sort); }
same() { # A B
  diff <(listing "$1") <(listing "$2") | head -5 >diff.log || true
  [ ! -s diff.log ] || { cat diff.log; fail "$1 and $2: names, sizes, times or links differ"; }
  diff -r --no-dereference --brief "$1" "$2" 2>&1 | grep -v '^Symbolic links' >diff.log || true
  [ ! -s diff.log ] || { head -5 diff.log; fail "$1 and $2: contents differ"; }
}
streams() { # FILE: its named streams
  python3 -c 'import os,sys
for n in sorted(os.listxattr(sys.argv[1])): print(n, os.getxattr(sys.argv[1], n))' "$1"
}

say "the same directory"
for how in "--compress=LZX" "--compress=XPRESS --chunk-size=4K" "--compress=LZMS" "--solid --solid-chunk-size=64K" "--compress=none"; do
  # shellcheck disable=SC2086
  wimlib-imagex capture src a.wim one $how --quiet
  "$wim" mount a.wim 1 m-ours
  wimlib-imagex mount a.wim 1 m-theirs
  same m-ours m-theirs
  "$wim" unmount m-ours
  wimlib-imagex unmount m-theirs
  echo "  $how: same"
done
wimlib-imagex capture src a.wim one --compress=LZX --quiet
wimlib-imagex split a.wim a.swm 0.4 --quiet
"$wim" mount a.swm m-ours
diff -r --no-dereference src m-ours | grep -v '^Symbolic links' && fail "a split set reads otherwise"
"$wim" unmount m-ours

say "the same image after the same changes"
change() { # MOUNT
  python3 - "$1" <<'PY'
import os, sys, shutil
root = sys.argv[1]
at = lambda p: os.path.join(root, p)
with open(at("a/numbers"), "r+b") as f:
    f.seek(70000); f.write(b"changed"); f.seek(0, 2); f.write(b"the end")
os.truncate(at("a/b/random"), 12345)
os.makedirs(at("new/deep"))
open(at("new/deep/file"), "wb").write(b"new" * 50000)
os.rename(at("a/b/f7"), at("new/moved"))
os.replace(at("a/b/f8"), at("a/b/f9"))
os.link(at("new/moved"), at("new/linked"))
os.symlink("deep/file", at("new/link"))
os.unlink(at("empty"))
shutil.rmtree(at("a/b/f3")) if os.path.isdir(at("a/b/f3")) else os.unlink(at("a/b/f3"))
os.setxattr(at("new/moved"), "user.stream", b"named data")
os.setxattr(at("a/numbers"), "user.Zone.Identifier", b"[ZoneTransfer]")
os.utime(at("a/b/f10"), (1000000000, 1000000001))
PY
}
cp a.wim ours.wim
cp a.wim theirs.wim
"$wim" mountrw ours.wim 1 m-ours
wimlib-imagex mountrw theirs.wim 1 m-theirs
change m-ours
change m-theirs
[ "$(streams m-ours/new/moved)" = "$(streams m-theirs/new/moved)" ] || fail "named streams differ"
"$wim" unmount m-ours --commit
wimlib-imagex unmount m-theirs --commit >/dev/null
wimlib-imagex verify ours.wim >/dev/null 2>&1 || fail "wimlib finds our commit damaged"
"$wim" verify ours.wim >/dev/null || fail "we find our commit damaged"
details() { wimlib-imagex dir "$1" 1 --detailed | grep -E '^(Full Path|Attributes|    FILE_ATTR|Reparse Tag|Link Count|Hash|	)|Stream' || true; }
diff <(details ours.wim) <(details theirs.wim) | head -8 >diff.log || true
[ ! -s diff.log ] || { cat diff.log; fail "the images differ"; }
"$wim" mount ours.wim m-ours
wimlib-imagex mount theirs.wim m-theirs
diff -r --no-dereference m-ours m-theirs | grep -v '^Symbolic links' && fail "contents differ"
[ "$(streams m-ours/new/moved)" = "$(streams m-theirs/new/moved)" ] || fail "named streams differ"
"$wim" unmount m-ours
wimlib-imagex unmount m-theirs

say "a link into the image, which follows the mount (wimlib keeps the path that it had)"
cp a.wim l.wim
"$wim" mountrw l.wim m-ours
ln -s "$work/m-ours/a" m-ours/inside
"$wim" unmount m-ours --commit
"$wim" mount l.wim m-theirs
[ "$(readlink m-theirs/inside)" = "$work/m-theirs/a" ] || fail "a link into the image leads to $(readlink m-theirs/inside)"
"$wim" unmount m-theirs

say "a killed mount, and one on a full disk"
cp a.wim k.wim
sum=$(sha1sum <k.wim)
"$wim" mountrw k.wim 1 m-ours --debug >/dev/null 2>&1 &
for _ in $(seq 100); do [ -e m-ours/a ] && break; sleep 0.1; done
echo lost >m-ours/lost
kill -9 $!
fusermount3 -u m-ours || umount m-ours
[ "$(sha1sum <k.wim)" = "$sum" ] || fail "a killed mount changed the file"
rm -rf .k.wim.staging-*
"$wim" mountrw k.wim 1 m-ours
"$wim" unmount m-ours
if mkdir -p small && mount -t tmpfs -o size=3m tmpfs small 2>/dev/null; then
  cp a.wim small/k.wim
  "$wim" mountrw small/k.wim 1 m-ours --staging-dir="$work"
  head -c 4000000 /dev/urandom >m-ours/large
  "$wim" unmount m-ours --commit >log 2>&1 && fail "a commit on a full disk said it was done"
  [ "$(sha1sum <small/k.wim)" = "$sum" ] || fail "a commit on a full disk changed the file"
  rm m-ours/large
  "$wim" unmount m-ours --commit
  "$wim" verify small/k.wim >/dev/null
  umount small
else
  say "skipped: no tmpfs can be mounted here for the full disk"
fi
say "done"
