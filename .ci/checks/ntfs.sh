#!/usr/bin/env bash
# apt: wimtools ntfs-3g
# What only NTFS holds (descriptors, attributes, streams, short names, reparse points, object ids, exact times) on volumes that
# ntfs-3g has mounted, beside wimlib's own driver for volumes that are not: what one writes the other captures, and `wim diff`
# finds it equal. Then the same image on plain directories with a side file: after a change it shows that change alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-ntfs.XXXXXX")")
trap '[ -z "${mounted:-}" ] || umount "$mounted"; rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
quietly() { "$@" >"$work/log" 2>&1 || { tail -12 "$work/log" | cut -c1-300; fail "${*:0:4}"; }; }
same() { quietly "$wim" diff "$@"; }
volume() { rm -f "$1"; truncate -s 64M "$1"; quietly mkntfs -F -Q -q "$1"; } # FILE
mounts() { ntfs-3g "$1" mounted -o "streams_interface=$2" >"$work/log" 2>&1 && mounted=$work/mounted; } # FILE STREAMS
unmounts() { umount "$mounted"; mounted=; }
sha1() { sha1sum "$1" | cut -d' ' -f1; }
printf '[ExclusionList]\n\\nothing at all\n' >all.ini

say "an image with all that Windows keeps of files, made from a directory and a side file"
mkdir -p rich/Windows/System32 "rich/Program Files"
printf program >rich/Windows/notepad.exe
seq 1 50000 >rich/Windows/System32/numbers.txt
printf text >"rich/Program Files/long document name.text"
printf linked >rich/Windows/linked
: >rich/wof
printf '[ZoneTransfer]\r\nZoneId=3\r\n' >zone
seq 1 40000 >large
printf 'abcdefgh' >opaque
# \??\C:\Windows and C:\Windows behind the four lengths of a junction; Windows as a relative symbolic link.
units() { printf '%s' "$1" | iconv -t UTF-16LE; }
{ printf '\0\0\x1c\0\x1e\0\x14\0'; units '\??\C:\Windows'; printf '\0\0'; units 'C:\Windows'; printf '\0\0'; } >junction
{ printf '\0\0\x0e\0\x0e\0\x0e\0\x01\0\0\0'; units WindowsWindows; } >symlink
blob() { # FILE, as the side file stores it
  printf '{"blob":"%s","size":%d}\n' "$(sha1 "$1")" "$(stat -c %s "$1")"
  od -An -v -tx1 "$1" | tr -d ' \n' | fold -w 65536 | while read -r line || [ -n "$line" ]; do printf '{"data":"%s"}\n' "$line"; done
}
mkdir rich/junction; : >rich/symlink
descriptor() { # SID in hexadecimal: owner and group Administrators, full access for the one
  printf '0100048414000000240000000000000034000000%s%s02001c000100000000031400ff011f00%s' \
    01020000000000052000000020020000 01020000000000052000000020020000 "$1"
}
id=abababababababababababababababab
entry() { # the fields behind the times, which differ in their last digit
  number=$((${number:-0} + 1))
  printf '{%s,"times":[13100000000000%04d,13200000000000%04d,13300000000000%04d],"host_write":%s,"security":%d}\n' \
    "$1" $number $((number + 1)) $((number + 2)) "$(($(date -u -d "$(stat -c %y "$2")" +%s) * 10000000 + 116444736000000000))" $((number % 2))
}
find rich -exec touch -h -d '2020-01-02 03:04:05 UTC' {} +
{
  echo '{"format":"wim-metadata","version":1}'
  printf '{"descriptor":"%s"}\n' "$(descriptor 010100000000000512000000)" "$(descriptor 010100000000000100000000)"
  entry '"name":"","attributes":16' rich
  entry '"name":"Windows","attributes":8208,"streams":[{"name":"of a directory","data":"'"$(sha1 opaque)"'"}]' rich/Windows
  entry '"in":1,"name":"System32","short_name":"System32","attributes":16' rich/Windows/System32
  entry '"in":1,"name":"notepad.exe","attributes":39,"data":"'"$(sha1 rich/Windows/notepad.exe)"'","items":"0100000040000000'$id$id$id$id'"' rich/Windows/notepad.exe
  entry '"in":1,"name":"linked","attributes":128,"data":"'"$(sha1 rich/Windows/linked)"'"' rich/Windows/linked
  entry '"in":2,"name":"numbers.txt","short_name":"numbers.txt","attributes":8224,"data":"'"$(sha1 rich/Windows/System32/numbers.txt)"'"' rich/Windows/System32/numbers.txt
  entry '"name":"Program Files","short_name":"PROGRA~1","attributes":17' "rich/Program Files"
  entry '"in":6,"name":"long document name.text","short_name":"LONGDO~1.TEX","attributes":32,"data":"'"$(sha1 "rich/Program Files/long document name.text")"'","streams":[{"name":"Zone.Identifier","data":"'"$(sha1 zone)"'"},{"name":"empty"},{"name":"large","data":"'"$(sha1 large)"'"}]' "rich/Program Files/long document name.text"
  entry '"name":"wof","attributes":1056,"reparse":{"tag":2147483671,"reserved":0,"flags":1},"reparse_data":"'"$(sha1 opaque)"'"' rich/wof
  entry '"name":"junction","attributes":9238,"reparse":{"tag":2684354563,"reserved":0,"flags":0},"reparse_data":"'"$(sha1 junction)"'"' rich/junction
  entry '"name":"symlink","attributes":1024,"reparse":{"tag":2684354572,"reserved":0,"flags":0},"reparse_data":"'"$(sha1 symlink)"'"' rich/symlink
  for file in opaque zone large junction symlink; do blob "$file"; done
} >rich.wim-metadata
quietly "$wim" capture rich rich.wim --metadata --config=all.ini
quietly wimlib-imagex verify rich.wim

say "a plain directory and a side file: after a change, that change alone"
for verb in apply extract; do
  rm -rf plain plain.wim-metadata
  case $verb in
    apply) quietly "$wim" apply rich.wim 1 plain --metadata ;;
    extract) quietly "$wim" extract rich.wim 1 --dest-dir=plain --metadata ;;
  esac
  quietly "$wim" capture plain plain.wim --metadata --config=all.ini
  [ "$verb" = extract ] || same rich.wim plain.wim
  printf changed >plain/Windows/System32/numbers.txt
  quietly "$wim" capture plain plain.wim --metadata --config=all.ini
  ! "$wim" diff rich.wim plain.wim --json >log || fail "$verb: the change is not seen"
  paths=$(grep -o '"path":"[^"]*"' log | sort -u | tr '\n' ' ')
  case $paths in
    '"path":"/Windows/System32/numbers.txt" ') ;;
    *) [ "$verb" = extract ] && [[ $paths == '"path":"/" "path":"/Windows/System32/numbers.txt" ' ]] || fail "$verb: also $paths" ;;
  esac
done

say "the same side file from a pipe"
quietly "$wim" optimize rich.wim --pipable
rm -rf plain plain.wim-metadata
quietly "$wim" apply rich.wim 1 plain --metadata
mv plain.wim-metadata from-file
rm -rf plain
"$wim" apply - 1 plain --metadata <rich.wim >log 2>&1 || { cat log; fail "apply from a pipe"; }
# But for the order of the blobs, which is that of their data in the one and that of their names in the other.
cmp <(sort from-file) <(sort plain.wim-metadata) || fail "the side files differ"
quietly "$wim" capture plain plain.wim --metadata --config=all.ini
same rich.wim plain.wim

mkdir mounted
volume probe.ntfs
if ! mounts probe.ntfs windows; then
  echo "skipped: ntfs-3g cannot mount here: $(head -1 log)"
  exit 0
fi
unmounts

images=(rich.wim)
if [ -d "$data/wim" ]; then
  images+=("$data/wim/LZX.wim" "$data/wim/BootXPRESS.wim" "$data/wim/wimlib-empty_dacl.wim")
else
  echo "skipped: the real WIMs are absent (set WIM_TEST_DATA)"
fi
for image in "${images[@]}"; do
  say "$(basename "$image"): by us onto a volume, and back by us and by wimlib"
  volume ours.ntfs
  mounts ours.ntfs windows || fail "the volume cannot be mounted"
  quietly "$wim" apply "$image" 1 mounted --strict-acls
  ! grep -q 'refused\|left out' log || { cat log; fail "something was left out"; }
  quietly "$wim" capture mounted ours.wim --strict-acls --config=all.ini
  unmounts
  same "$image:1" ours.wim
  quietly wimlib-imagex capture ours.ntfs theirs.wim --config=all.ini --strict-acls
  same "$image:1" theirs.wim
  say "$(basename "$image"): by wimlib onto a volume, and back by us"
  volume theirs.ntfs
  quietly wimlib-imagex apply "$image" 1 theirs.ntfs --strict-acls
  mounts theirs.ntfs windows || fail "the volume cannot be mounted"
  quietly "$wim" capture mounted ours.wim --strict-acls --config=all.ini
  unmounts
  same "$image:1" ours.wim
done

say "extract and a stream of the pipe, onto a volume"
volume ours.ntfs
mounts ours.ntfs windows || fail "the volume cannot be mounted"
quietly "$wim" extract rich.wim 1 --dest-dir=mounted/extracted
quietly "$wim" capture mounted/extracted ours.wim --config=all.ini
"$wim" diff rich.wim ours.wim --json >log || true
paths=$(grep -o '"path":"[^"]*"' log | sort -u | tr '\n' ' ')
[ -z "${paths#'"path":"/" '}" ] || fail "extracted: $paths differ"
unmounts
# A volume has each object id once.
volume ours.ntfs
mounts ours.ntfs windows || fail "the volume cannot be mounted"
"$wim" apply - 1 mounted/piped <rich.wim >log 2>&1 || { cat log; fail "apply from a pipe onto a volume"; }
quietly "$wim" capture mounted/piped ours.wim --config=all.ini
same rich.wim ours.wim
unmounts

say "a stream larger than the memory that may be used, from a pipe into a side file and onto a volume"
volume ours.ntfs
truncate -s 600M ours.ntfs
quietly mkntfs -F -Q -q ours.ntfs
mounts ours.ntfs windows || fail "the volume cannot be mounted"
mkdir mounted/large
printf data >mounted/large/file
head -c 200000000 /dev/zero | tr '\0' 'w' >mounted/large/file:stream
quietly "$wim" capture mounted/large large.wim --pipable --compress=XPRESS --config=all.ini
for target in "side --metadata" mounted/again; do
  # shellcheck disable=SC2086
  python3 - "$wim" apply - 1 $target --memory=64M --threads=2 <<'END' || fail "a large stream to $target"
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdin=open("large.wim", "rb"), stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"   {peak // 1024} MiB at most")
sys.exit(status != 0 or peak > 140 * 1024)
END
done
cmp mounted/large/file:stream mounted/again/file:stream || fail "the large stream differs"
unmounts
rm -rf ours.ntfs side side.wim-metadata

say "names that differ in case only, on a volume that takes them for one: the first is there, every time"
volume ours.ntfs
mkdir -p twins/d twins/D
for name in d/file d/FILE D/file; do printf %s "$name" >"twins/$name"; done
quietly "$wim" capture twins twins.wim --config=all.ini
lowntfs-3g ours.ntfs mounted -o ignore_case >log 2>&1 && mounted=$work/mounted || fail "the volume cannot be mounted"
for run in 1 2 3; do
  "$wim" apply twins.wim 1 "mounted/$run" >log 2>&1 || { cat log; fail "apply of twins"; }
  grep -q 'takes it for the same name' log || fail "no word of the twins"
  [ "$(find "mounted/$run" -type f | wc -l) $(cat "mounted/$run/d/file")" = "1 D/file" ] || fail "the twins of run $run"
done
"$wim" extract twins.wim 1 /d/file /D/file --dest-dir=mounted/flat >log 2>&1 && fail "two files of one name"
[ ! -e mounted/flat/file ] || fail "one of two files of one name"
unmounts
rm -rf ours.ntfs twins
say "done"
