#!/usr/bin/env bash
# apt: wimtools ntfs-3g python3
# Trees that are special, once each, beside wimlib: names, long paths, links, streams, junctions, sparse and empty files, very
# many files. What one program makes the other reads, and `wim diff` finds both equal. Then what a million files and 2 GB cost.
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
say() { printf -- '-- %s s: %s\n' "$SECONDS" "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -5 "$work/log" | cut -c1-300; fail "${*:0:4}"; }; }
# Processor seconds and peak memory in MiB of a command.
cost() {
  python3 - "$@" 2>"$work/log" <<'PY' || { tail -5 "$work/log"; fail "${*:0:4}"; }
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{used.ru_utime + used.ru_stime:.2f} {used.ru_maxrss // 1024}")
PY
}
less() { awk -v a="$1" -v b="$2" 'BEGIN { exit a > b }'; }
# Fails when one of our verbs takes more than wimlib's for the same file: the least of three runs each, in turn, as what else the
# machine does only ever adds to a run; a tenth of a second is for the start of a program.
beside() { # MOST-MIB VERB... with OUT for a new file
  local most=$1 us='' them='' memory=0 seconds mib
  shift
  for _ in 1 2 3; do
    rm -f us.wim them.wim
    read -r seconds mib < <(cost "$wim" "${@/OUT/us.wim}")
    if [ -z "$us" ] || less "$seconds" "$us"; then us=$seconds; fi
    [ "$mib" -le "$memory" ] || memory=$mib
    read -r seconds mib < <(cost wimlib-imagex "${@/OUT/them.wim}")
    if [ -z "$them" ] || less "$seconds" "$them"; then them=$seconds; fi
  done
  echo "   $1: $us s and $memory MiB, wimlib $them s and $mib MiB"
  less "$us" "$(awk -v them="$them" 'BEGIN { print them + 0.1 }')" || fail "$1 is slower than wimlib"
  [ "$memory" -le "$most" ] || fail "$1 takes more than $most MiB"
}

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

say "junctions, links, streams, attributes, short names: ours onto an NTFS volume by wimlib and back, wimlib's through a directory"
mkdir -p rich/folder/below rich/junction
printf data >rich/file
printf below >rich/folder/below/file
: >rich/empty
: >rich/symlink
python3 - rich >rich.wim-metadata <<'PY'
# Lines of docs/metadata-file.md; a reparse point has two names behind their lengths.
import hashlib, json, os, struct, sys
root, blobs, time = sys.argv[1], {}, 1577934245
def blob(data):
    digest = hashlib.sha1(data).hexdigest()
    blobs[digest] = data
    return digest
def reparse(substitute, shown, extra=b""):
    names = [name.encode("utf-16-le") for name in (substitute, shown)]
    end = b"\0\0" if not extra else b""
    data = struct.pack("<HHHH", 0, len(names[0]), len(names[0]) + len(end), len(names[1])) + extra
    return blob(data + names[0] + end + names[1] + end)
when = time * 10_000_000 + 116444736000000000
number = 0
def entry(path, attributes, above=None, **fields):
    global number
    os.utime(os.path.join(root, path), (time, time))
    name = os.path.basename(path)
    line = {"in": above} if above is not None else {}
    line |= {"name": name, "attributes": attributes, "times": [when + number, when, when + 7]} | fields
    if os.path.isfile(os.path.join(root, path)) and "reparse" not in fields:
        data = open(os.path.join(root, path), "rb").read()
        line |= {"data": hashlib.sha1(data).hexdigest()} if data else {}
    print(json.dumps(line, separators=(",", ":")))
    number += 1
    return number - 1
stream = lambda name, data: {"name": name, "data": blob(data)}
print(json.dumps({"format": "wim-metadata", "version": 1}, separators=(",", ":")))
entry("", 16)
entry("empty", 0x20, streams=[stream("of an empty file", b"stream")])
entry("file", 0x22, short_name="FILE~1.TXT", streams=[stream("first", b"one"), stream("\u65e5\u672c", b"two" * 30000)])
folder = entry("folder", 0x10, streams=[stream("of a folder", b"three")])
below = entry("folder/below", 0x12, folder)
entry("folder/below/file", 0x21, below)
entry("junction", 0x410, reparse={"tag": 0xA0000003, "reserved": 0, "flags": 0}, reparse_data=reparse("\\??\\C:\\folder", "C:\\folder"))
entry("symlink", 0x420, reparse={"tag": 0xA000000C, "reserved": 0, "flags": 0}, reparse_data=reparse("folder\\below", "folder\\below", struct.pack("<I", 1)))
for digest, data in blobs.items():
    print(json.dumps({"blob": digest, "size": len(data)}, separators=(",", ":")))
    for at in range(0, len(data), 32768):
        print(json.dumps({"data": data[at:at + 32768].hex()}, separators=(",", ":")))
PY
printf '[ExclusionList]\n\\nothing at all\n' >all.ini
quietly "$wim" capture rich rich.wim --metadata --config=all.ini
truncate -s 16M volume.ntfs
quietly mkntfs -F -Q -q volume.ntfs
quietly wimlib-imagex apply rich.wim 1 volume.ntfs
quietly wimlib-imagex capture volume.ntfs theirs.wim --config=all.ini
# The volume gives descriptors to files that have none.
quietly "$wim" diff rich.wim theirs.wim --ignore=security
quietly "$wim" apply theirs.wim 1 back --metadata
quietly "$wim" capture back back.wim --metadata --config=all.ini
quietly "$wim" diff theirs.wim back.wim
quietly wimlib-imagex verify back.wim
for file in rich.wim theirs.wim back.wim; do
  wimlib-imagex dir "$file" 1 --detailed >log
  [ "$(grep -c 'Reparse Tag' log) $(grep -c 'Named data stream' log)" = "2 4" ] || fail "$file: not two reparse points and four streams"
done
rm -rf volume.ntfs back back.wim-metadata

if [ -d "$data/wim" ]; then
  say "real images through a plain directory and back"
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

say "a sparse file of 5 GiB, applied both ways"
mkdir sparse
truncate -s 5G sparse/holes
printf end | dd of=sparse/holes bs=1 seek=5000000000 conv=notrunc status=none
# Either program checks the SHA-1 of all that it applies, so that size and text show that it is the file.
whole() { # FILE
  [ "$(stat -c %s "$1")" = 5368709120 ] || fail "$1 has another size"
  cmp <(printf end) <(tail -c +5000000001 "$1" | head -c 3) || fail "$1 has another text"
  [ "$(stat -c %b "$1")" -le 2048 ] || fail "the holes of $1 take $(du -m "$1" | cut -f1) MiB of the disk"
}
rm -rf by-us by-them
quietly "$wim" capture sparse ours.wim name --compress=XPRESS
[ "$(stat -c %s ours.wim)" -lt 100000000 ] || fail "zeros were not compressed"
quietly wimlib-imagex apply ours.wim 1 by-them
whole by-them/holes
rm -rf by-them
quietly wimlib-imagex capture sparse theirs.wim name --compress=fast
quietly "$wim" diff ours.wim theirs.wim --ignore=access-time
for each in ours theirs; do
  quietly "$wim" apply $each.wim 1 by-us
  whole by-us/holes
  rm -rf by-us
done
rm -rf sparse theirs.wim

say "$files files"
for ((d = 0; d < files / 1000; d++)); do
  mkdir -p "many/$((d / 100))/$d"
  (cd "many/$((d / 100))/$d" && seq "$((d * 1000))" "$((d * 1000 + 999))" | split -l 1 -a 3 -d - file)
done
quietly "$wim" capture many ours.wim name --compress=XPRESS
quietly wimlib-imagex verify ours.wim
rm -rf many
beside 512 dir ours.wim 1
beside 512 info ours.wim
beside 512 export ours.wim 1 OUT
read -r seconds mib < <(cost "$wim" diff ours.wim us.wim)
echo "   diff with itself: $seconds s and $mib MiB"

say "1,000,000 files, each with its own content, in a WIM that neither program made"
python3 - million.wim <<'PY'
import hashlib, struct, sys
files, folders = 1_000_000, 1000
each = files // folders
resource = lambda size, flags, offset: struct.pack("<QQQ", size | flags << 56, offset, size)
dentry = struct.Struct("<QIiQQQQQQ20sIQHHH8sH").pack
time = 132223104000000000
def entry(attributes, below, digest, name):
    return dentry(112, attributes, -1, below, 0, 0, time, time, time, digest, 0, 0, 0, 0, 8, name.encode("utf-16-le"), 0)
with open(sys.argv[1], "wb") as out:
    out.write(bytes(208))
    at, table, above, below = 208, [], [], []
    root = struct.pack("<QIiQ", 104, 0x10, -1, 120).ljust(104, b"\0")
    first = 120 + folders * 112 + 8
    for folder in range(folders):
        above.append(entry(0x10, first + folder * (each * 112 + 8), b"", f"d{folder:03}"))
        for file in range(each):
            data = b"%d\n" % (folder * each + file)
            digest = hashlib.sha1(data).digest()
            below.append(entry(0x20, 0, digest, f"f{file:03}"))
            table.append(resource(len(data), 0, at) + struct.pack("<HI", 1, 1) + digest)
            out.write(data)
            at += len(data)
        below.append(bytes(8))
    metadata = struct.pack("<II", 8, 0) + root + bytes(8) + b"".join(above) + bytes(8) + b"".join(below)
    table.append(resource(len(metadata), 2, at) + struct.pack("<HI", 1, 1) + hashlib.sha1(metadata).digest())
    out.write(metadata)
    table, table_at = b"".join(table), at + len(metadata)
    out.write(table)
    counts = f"<DIRCOUNT>{folders}</DIRCOUNT><FILECOUNT>{files}</FILECOUNT><TOTALBYTES>{at - 208}</TOTALBYTES>"
    xml = f'\ufeff<WIM><IMAGE INDEX="1">{counts}<NAME>million</NAME></IMAGE></WIM>'.encode("utf-16-le")
    out.write(xml)
    out.seek(0)
    header = b"MSWIM\0\0\0" + struct.pack("<IIII16sHHI", 208, 0x10D00, 0, 0, b"a million files.", 1, 1, 1)
    out.write(header + resource(len(table), 2, table_at) + resource(len(xml), 2, table_at + len(table)))
PY
quietly wimlib-imagex verify million.wim
quietly "$wim" verify million.wim
[ "$("$wim" dir million.wim | wc -l)" = 1001001 ] || fail "files are missing"
beside 1500 dir million.wim 1
beside 1500 info million.wim
beside 1500 export million.wim 1 OUT
quietly wimlib-imagex verify us.wim
rm -f ./*.wim

say "the memory of 2 GB in chunks of 32 KiB"
mkdir big
truncate -s 1600M big/holes
for i in 1 2 3 4; do head -c 100M /dev/urandom >"big/noise$i"; done
sparing() {
  local seconds mib
  read -r seconds mib < <(cost "$wim" "$@")
  echo "   $*: $seconds s and $mib MiB"
  [ "$mib" -le 512 ] || fail "$1 takes more than 512 MiB"
}
sparing capture big big.wim one --compress=XPRESS --chunk-size=32K
rm big/holes
sparing verify big.wim
sparing apply big.wim 1 out
rm -rf out
sparing export big.wim 1 again.wim --recompress
sparing capture big lzx.wim one --compress=LZX
say "done"
