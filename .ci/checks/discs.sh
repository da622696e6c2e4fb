#!/usr/bin/env bash
# apt: genisoimage xorriso udftools 7zip xz-utils
# Discs beside their makers: what genisoimage, xorriso and mkudffs make we list and extract as 7-Zip, isoinfo and osirrox do; files over
# 4 GiB, split sets and several revisions of UDF among it; WIMs are read off discs by every verb, and by URL; the discs of the test data
# (when it is there) are compared with 7-Zip.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-discs.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
seven=$(command -v 7zz || command -v 7z)
export TZ=UTC

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
sums() { ( cd "$1" && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 -r sha1sum ); }
# Sizes and paths, directories without a size.
ours() { "$wim" media ls "$1" --json | tail -n +2 | python3 -c '
import json, sys
for line in sys.stdin:
    e = json.loads(line)
    print(e["size"] if e["kind"] != "directory" else "-", e["path"].lstrip("/"))' | LC_ALL=C sort; }
theirs() { "$seven" l -slt "$@" 2>/dev/null | python3 -c '
import sys
for block in sys.stdin.read().split("----------")[-1].strip().split("\n\n"):
    f = dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)
    if f and not f["Path"].startswith("[BOOT]"):
        print("-" if f.get("Folder") == "+" else f.get("Size", ""), f["Path"])' | LC_ALL=C sort; }

say "a tree with a demo install image"
tree=$work/tree
mkdir -p "$tree"/{boot/fonts,sources,empty,"Ünï çode"}
"$wim" demo --dir "$work/demo" --quiet >/dev/null
install=$(find "$work/demo" -name 'install.wim' | head -1)
cp "$install" "$tree/sources/install.wim"
head -c 4096 /dev/urandom >"$tree/boot/etfsboot.com"
head -c 1474560 /dev/zero >"$tree/boot/efisys.bin"
: >"$tree/zero"
printf x >"$tree/Ünï çode/naïve file with a rather long name (Joliet has 64 letters).txt"
for n in $(seq 400); do printf '%s\n' "$n" >"$tree/boot/fonts/font $n.ttf"; done
touch -d 2011-04-12T05:06:08Z "$tree"/* "$tree"/*/*
sums "$tree" >"$work/tree.sha1"

boot=(-b boot/etfsboot.com -no-emul-boot -boot-load-size 8 -eltorito-alt-boot -b boot/efisys.bin -no-emul-boot -c boot.catalog)
genisoimage -quiet -udf -J -R -V DISC "${boot[@]}" -o "$work/udf.iso" "$tree" 2>/dev/null
genisoimage -quiet -udf -hide '*' -o "$work/hidden.iso" "$tree" 2>/dev/null
genisoimage -quiet -J -joliet-long -V DISC -o "$work/joliet.iso" "$tree" 2>/dev/null
genisoimage -quiet -R -o "$work/rock.iso" "$tree" 2>/dev/null
xorriso -as mkisofs -quiet -iso-level 3 -J -joliet-long -R -V DISC -o "$work/xjoliet.iso" "$tree" 2>/dev/null
xorriso -as mkisofs -quiet -iso-level 3 -R -V DISC -o "$work/xrock.iso" "$tree" 2>/dev/null
count=0
for disc in udf hidden joliet rock xjoliet xrock; do
  iso=$work/$disc.iso
  rm -rf "$work/out"
  "$wim" media extract "$iso" --dest-dir="$work/out" --quiet
  rm -f "$work/out/boot.catalog"
  sums "$work/out" | cmp - "$work/tree.sha1" || fail "$disc: other files than were put there"
  [ -d "$work/out/empty" ] || fail "$disc: the empty folder is missing"
  [ "$(stat -c %Y "$work/out/zero")" = "$(stat -c %Y "$tree/zero")" ] || fail "$disc: times"
  ours "$iso" >"$work/ours" && theirs "$iso" >"$work/theirs"
  diff "$work/ours" "$work/theirs" >"$work/diff" || { head "$work/diff"; fail "$disc: 7-Zip lists something else"; }
  cmp <("$wim" info "$iso" | tail -n +4) <("$wim" info "$install" | tail -n +4) || fail "$disc: info"
  cmp <("$wim" dir "$iso" 1) <("$wim" dir "$install" 1) || fail "$disc: dir"
  count=$((count + 1))
done
isoinfo -R -f -i "$work/rock.iso" | LC_ALL=C sort >"$work/theirs"
"$wim" media ls "$work/rock.iso" | LC_ALL=C sort | cmp - "$work/theirs" || fail "isoinfo lists something else"
# Names outside of ASCII depend on the locale there.
ascii() { LC_ALL=C grep -av '[^ -~]' | LC_ALL=C sort; }
isoinfo -J -f -i "$work/joliet.iso" | ascii >"$work/theirs"
"$wim" media ls "$work/joliet.iso" | ascii | cmp - "$work/theirs" || fail "isoinfo lists something else (Joliet)"
xorriso -osirrox on -indev "$work/xrock.iso" -extract / "$work/osirrox" >/dev/null 2>&1
sums "$work/osirrox" | cmp - "$work/tree.sha1" || fail "osirrox extracts other files"
"$wim" media info "$work/udf.iso" | grep -q '^Boots: *BIOS, emulation none, 8 x 512' || fail "boot entries"
echo "$count discs: the same files as were put there, the same lists as 7-Zip, isoinfo and osirrox have"

say "WIMs on discs"
for verb in "verify" "export:1:$work/one.wim" "apply:1:$work/applied" "split:$work/parts.swm:1"; do
  mapfile -d: -t words < <(printf '%s' "$verb")
  "$wim" "${words[0]}" "$work/xjoliet.iso" "${words[@]:1}" --quiet >/dev/null || fail "$verb off a disc"
done
"$wim" export "$install" 1 "$work/two.wim" --quiet
cmp "$work/one.wim" "$work/two.wim" || fail "an export off a disc has other bytes"
mkdir -p "$work/set/sources"
"$wim" split "$install" "$work/set/sources/install.swm" 1 --quiet
genisoimage -quiet -udf -o "$work/set.iso" "$work/set" 2>/dev/null
"$wim" verify "$work/set.iso" --quiet >/dev/null || fail "a split set on a disc"
"$wim" apply "$work/set.iso" 1 "$work/applied2" --quiet >/dev/null
diff -r "$work/applied" "$work/applied2" || fail "a split set on a disc gives other files"
"$wim" reg ls "$work/udf.iso:1" 'HKLM\SOFTWARE' --quiet >/dev/null || fail "reg off a disc"
"$wim" slipstream "$work/udf.iso" -o "$work/slip.wim" --edition 1 --quiet >/dev/null || fail "slipstream off a disc"
"$wim" verify "$work/slip.wim" --quiet >/dev/null || fail "the slipstreamed file"
echo "verify, export, apply, split, reg and slipstream read WIMs off discs; $(find "$work/set" -name '*.swm' | wc -l) parts of a set are joined"

say "files over 4 GiB"
mkdir -p "$work/big"
truncate -s 4600000000 "$work/big/big.bin"
printf end | dd of="$work/big/big.bin" bs=1 seek=4599999997 conv=notrunc status=none
if xorriso -as mkisofs -quiet -iso-level 3 -R -o "$work/big-iso.iso" "$work/big" 2>/dev/null; then
  [ "$("$wim" media ls "$work/big-iso.iso" --json | tail -1 | grep -o '"size":[0-9]*')" = '"size":4600000000' ] || fail "multi-extent size"
  "$wim" media cat "$work/big-iso.iso" big.bin | tail -c 3 | grep -q end || fail "multi-extent bytes"
  rm "$work/big-iso.iso"
  echo "ISO 9660 in several extents: the size and the last bytes"
fi
if genisoimage -quiet -udf -allow-limited-size -o "$work/big-udf.iso" "$work/big" 2>/dev/null; then
  [ "$("$wim" media ls "$work/big-udf.iso" --json | tail -1 | grep -o '"size":[0-9]*')" = '"size":4600000000' ] || fail "UDF size"
  "$wim" media cat "$work/big-udf.iso" big.bin | tail -c 3 | grep -q end || fail "UDF bytes"
  rm "$work/big-udf.iso"
  echo "UDF: the size and the last bytes, where the ISO 9660 side has wrapped ones"
fi
rm -rf "$work/big"

say "volumes of mkudffs"
count=0
for revision in 1.02 1.50 2.00 2.01 2.50 2.60; do
  for media in hd dvd dvdram dvdrw dvdr cdr cdrw bdr mo worm; do
    for block in 512 2048 4096; do
      rm -f "$work/mk.img" && truncate -s 20M "$work/mk.img"
      mkudffs --media-type=$media --udfrev=$revision --blocksize=$block --label="L $revision" "$work/mk.img" >/dev/null 2>&1 || continue
      # What is only ever added to ends where it was written last.
      case $media in dvdr | cdr | bdr)
        python3 - "$work/mk.img" $block <<'PYTHON'
import sys
size = len(open(sys.argv[1], "rb").read().rstrip(b"\0"))
open(sys.argv[1], "r+b").truncate(-(-size // int(sys.argv[2])) * int(sys.argv[2]))
PYTHON
      esac
      "$wim" media info "$work/mk.img" >"$work/log" 2>&1 || { cat "$work/log"; fail "mkudffs $media $revision $block"; }
      grep -q "^Label: *L $revision" "$work/log" || fail "label of mkudffs $media $revision $block"
      "$wim" media ls "$work/mk.img" >/dev/null || fail "ls of mkudffs $media $revision $block"
      count=$((count + 1))
    done
  done
done
[ "$count" -gt 60 ] || fail "mkudffs made only $count volumes"
echo "$count volumes of six revisions, ten media and three sizes of blocks open"

say "discs of the test data"
if [ -d "$data/iso" ]; then
  same=0 ours_only=0 refused=0
  # What 7-Zip does otherwise, disc by disc: links and moved directories of Rock Ridge, which it leaves as the disc stores them, and
  # volumes of UDF that it does not open. Anything else that differs is a fault.
  otherwise() {
    case $(basename "$1" .xz) in
      iso_rockridge_ce.iso) echo "symbolic links become empty files" ;;
      iso_rockridge_rr_moved.iso) echo "deep directories stay in rr_moved" ;;
      udf-bdr-2.60-nero.img | udf-cd-mkudfiso-20100208.img | udf-hdd-macosx-2.60-4096.img | udf-hdd-mkudffs-1.3-5.img | \
        udf-hdd-mkudffs-1.3-7.img | udf-hdd-udfclient-0.7.5.img) echo "the volume is not opened" ;;
      *) return 1 ;;
    esac
  }
  while IFS= read -r file; do
    xz -dc "$file" >"$work/data.iso"
    if ! "$wim" media ls "$work/data.iso" >/dev/null 2>"$work/log"; then
      case $file in
        # Made to do harm, or several sessions of which the first is looked for.
        *ce_loop* | *zf_overflow* | *udf-multi*) grep -q 'sector' "$work/log" || fail "$file: no sector"; refused=$((refused + 1)) ;;
        *) cat "$work/log"; fail "$file" ;;
      esac
      continue
    fi
    rm -rf "$work/out"
    "$wim" media extract "$work/data.iso" --dest-dir="$work/out" --quiet 2>/dev/null || fail "$file: extract"
    [ -d "$work/out" ] || mkdir "$work/out"
    rm -rf "$work/out7"
    if "$seven" x -y -snl- -o"$work/out7" "$work/data.iso" '-x![BOOT]' >/dev/null 2>&1 \
      && cmp -s <(sums "$work/out" | cut -c1-40 | sort -u) <(sums "$work/out7" | cut -c1-40 | sort -u); then
      same=$((same + 1))
    else
      ours_only=$((ours_only + 1))
      reason=$(otherwise "$file") || fail "$file: other files than 7-Zip has"
      echo "   $(basename "$file"): by 7-Zip $reason"
    fi
  done < <(find "$data/iso" -name '*.xz' | LC_ALL=C sort)
  [ "$same" -ge 15 ] || fail "only $same discs come out as 7-Zip has them"
  echo "$same discs come out as 7-Zip has them, $ours_only where it is known to do otherwise, $refused are refused with their sector"
else
  echo "skipped: no discs at $data/iso"
fi
