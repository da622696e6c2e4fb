#!/usr/bin/env bash
# apt: wimtools 7zip python3
# Codec, chunk size, level and form of file (plain, split, solid, pipable, delta), so that every value of each meets every value
# of each other that it can meet: what we write wimlib verifies and applies, and 7-Zip tests where it reads the form; what
# wimlib writes we verify and apply. Split sets are joined by both.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(realpath "$(mktemp -d "${TMPDIR:-/tmp}/wim-matrix.XXXXXX")")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }
quietly() { "$@" >log 2>&1 || { tail -5 log; fail "$*"; }; }

python3 - "$wim" <<'PY'
# Program code, text, tables and what cannot be compressed; the second tree shares half of its files with the first.
import os, random, sys
rng = random.Random(20110222)
program = open(sys.argv[1], "rb").read()
words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(800)]
def text(n):
    return b" ".join(rng.choices(words, k=n))
def table(n):
    return b"".join(i.to_bytes(4, "little") + rng.randrange(1 << 12).to_bytes(4, "little") for i in range(n))
files = {f"bin/p{i}.dll": program[i * 150000:i * 150000 + rng.randint(1000, 130000)] for i in range(10)}
files |= {f"text/t{i}.txt": text(rng.randint(1, 8000)) for i in range(8)}
files |= {f"data/d{i}.bin": table(rng.randint(1, 9000)) for i in range(6)}
files |= {f"noise/n{i}": rng.randbytes(rng.randint(1, 90000)) for i in range(4)}
files |= {"one chunk": program[:32768], "one more byte": program[:32769], "empty": b"", "one byte": b"x", "large": program[3000000:4500000]}
for tree, keep in (("one", lambda i: True), ("two", lambda i: i % 2 == 0)):
    for i, (name, data) in enumerate(sorted(files.items())):
        path = os.path.join(tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").write(data if keep(i) else data[::-1])
PY

same() { diff -r "$1" "$2" >log 2>&1 || { head -3 log; fail "$3: $1 and $2 differ"; }; }
seven_zip=$(command -v 7zz || command -v 7z)
seven() { # WHAT FILE WRITER: 7-Zip's opinion, where it reads such files: what it reads of wimlib's it must read of ours
  if "$seven_zip" t "$2" >log 2>&1; then
    [ "$3" = ours ] || [ "$refused" = no ] || fail "7z reads wimlib's file and not ours: $1"
    refused=no
    tested=$((tested + 1))
  else
    grep -qE 'Unsupported Method|Can.?t open as archive|Cannot open the file as' log || { tail -5 log; fail "7z on $1 by $3"; }
    refused=yes
    unread=$((unread + 1))
  fi
}

# Joins the parts in the folder, and looks what came of it with the other program.
join() { # WHAT JOINER OTHER
  rm -rf joined.wim out
  quietly "$2" join joined.wim p2.swm p.swm $(ls p[3-9]*.swm 2>/dev/null || true)
  quietly "$3" verify joined.wim
  quietly "$3" apply joined.wim 1 out
  same one out "$1, joined by ${2##*/}"
}

combinations=0 tested=0 unread=0 joined=0 refused=no
try() { # FORM CODEC CHUNK LEVEL
  local form=$1 codec=$2 chunk=$3 level=$4 what compress=() writer
  what="$form $codec $chunk level $level"
  combinations=$((combinations + 1))
  case $codec in
    none) compress=(--compress=none) ;;
    *) compress=("--compress=$codec:$level" "--chunk-size=$chunk") ;;
  esac
  [ "$form" != solid ] || compress=(--solid "--solid-compress=$codec:$level" "--solid-chunk-size=$chunk")
  for writer in ours theirs; do
    rm -rf f.wim p*.swm base.wim out
    local make=("$wim") read=(wimlib-imagex)
    [ "$writer" = ours ] || { make=(wimlib-imagex); read=("$wim"); }
    case $form in
      plain | solid)
        quietly "${make[@]}" capture one f.wim name "${compress[@]}" --check
        quietly "${read[@]}" verify f.wim
        quietly "${read[@]}" apply f.wim 1 out
        same one out "$what by $writer"
        seven "$what" f.wim "$writer"
        ;;
      split)
        quietly "${make[@]}" capture one f.wim name "${compress[@]}" --boot
        quietly "${make[@]}" split f.wim p.swm 0.4
        [ -e p2.swm ] || fail "$what by $writer: there is one part only"
        quietly "${read[@]}" verify p.swm --ref="p*.swm"
        quietly "${read[@]}" apply p.swm 1 out --ref="p*.swm"
        same one out "$what by $writer"
        join "$what by $writer" wimlib-imagex "$wim"
        join "$what by $writer" "$wim" wimlib-imagex
        # A first part that says which image is bootable, as neither program writes it.
        printf '\1' | dd of=p.swm bs=1 seek=$((0x78)) conv=notrunc status=none
        quietly "$wim" join joined.wim p2.swm p.swm $(ls p[3-9]*.swm 2>/dev/null || true)
        [ "$(wimlib-imagex info joined.wim | awk '/^Boot Index:/ { print $3 }')" = 1 ] || fail "$what by $writer: joined, no image is bootable"
        joined=$((joined + 2))
        ;;
      pipable)
        quietly "${make[@]}" capture one f.wim name "${compress[@]}" --pipable
        quietly "${read[@]}" verify f.wim
        "${read[@]}" apply - 1 out <f.wim >log 2>&1 || { tail -5 log; fail "$what by $writer, through a pipe"; }
        same one out "$what by $writer"
        ;;
      delta)
        quietly "${make[@]}" capture one base.wim name "${compress[@]}"
        quietly "${make[@]}" capture two f.wim name "${compress[@]}" --delta-from=base.wim
        quietly "${read[@]}" apply f.wim 1 out --ref=base.wim
        same two out "$what by $writer"
        ;;
    esac
  done
}

# The rows: of all that can be, always the one in which most pairs of values are new; until none is left.
python3 - >rows <<'PY'
from itertools import combinations
chunks = {"none": ["32K"], "XPRESS": ["4K", "8K", "16K", "32K", "64K"],
          "LZX": ["32K", "64K", "128K", "256K", "512K", "1M", "2M"], "LZMS": ["32K", "128K", "512K", "1M", "4M"]}
can_be = [(form, codec, chunk, level)
          for form in ("plain", "split", "pipable", "delta", "solid")
          for codec in chunks if (codec, form) != ("none", "solid")
          for chunk in chunks[codec]
          for level in ((5, 20, 50, 100) if codec != "none" else ("-",))]
can_be.append(("solid", "LZMS", "64M", 20))
pairs = lambda row: set(combinations(enumerate(row), 2))
wanted = set().union(*map(pairs, can_be))
missing, rows = set(wanted), []
while missing:
    rows.append(max(can_be, key=lambda row: len(pairs(row) & missing)))
    missing -= pairs(rows[-1])
assert wanted == set().union(*map(pairs, rows))
for row in sorted(rows):
    print(*row)
import sys
print(f"-- {len(rows)} of {len(can_be)} combinations have all {len(wanted)} pairs of values", file=sys.stderr)
PY
before=
while read -r form codec chunk level <&3; do
  [ -z "$before" ] || [ "$before" = "$form" ] || say "$before ($SECONDS s)"
  before=$form
  try "$form" "$codec" "$chunk" "$level"
done 3<rows
[ $combinations = "$(wc -l <rows)" ] || fail "$combinations were tried of $(wc -l <rows)"
say "done: $combinations combinations in both directions, $joined sets joined; 7-Zip tested $tested files and does not read $unread"
