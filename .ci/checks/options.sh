#!/usr/bin/env bash
# apt: wimtools
# Every option of wimlib-imagex's manual pages has its row in docs/wimlib-differences.md, and our --help knows each option that
# the table says we have, and none that it says we refuse.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
table=docs/wimlib-differences.md
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-options.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; failed=1; }
failed=0

# A page describes an option in the line behind .TP; in such a line several may stand, with commas between them.
options_of() {
  man --path "wimlib-imagex-$1" | head -n 1 | xargs zcat |
    awk 'tag { gsub(/,/, " "); for (i = 1; i <= NF; i++) if ($i ~ /^\\fB--/) { sub(/^\\fB/, "", $i); sub(/\\fR.*/, "", $i); print $i } }
         { tag = /^\.TP/ }' | sort -u
}

# Rows of the table of options: | `--option` | verbs | ours | deviation |
sed -n 's/^| `\(--[a-z-]*\)`[^|]*| \([a-z, ]*\) | \([a-z]*\) |.*/\1 \3 \2/p' "$table" | tr -d ',' >"$work/rows"
count=0
# One page for three verbs: an option of it belongs to at least one of them.
mounting="mount mountrw unmount"
for option in $(options_of mount); do
  awk -v option="$option" '$1 == option { for (i = 3; i <= NF; i++) print $i }' "$work/rows" | grep -qE '^(mount|mountrw|unmount)$' ||
    fail "mount $option: no row in $table"
done
for verb in append apply capture delete dir export extract info join $mounting optimize split update verify; do
  "$wim" "$verb" --help >"$work/help" 2>/dev/null || true
  for option in $(options_of "$verb"); do
    count=$((count + 1))
    ours=$(awk -v option="$option" -v verb="$verb" \
      '$1 == option { for (i = 3; i <= NF; i++) if ($i == verb) print $2 }' "$work/rows")
    has=$(grep -c -E -- "(^|[[ ,])$option([] =,]|$)" "$work/help" || true)
    case "$ours" in
      same | differs) [ "$has" -gt 0 ] || fail "$verb $option: the table says \"$ours\", but --help does not know it" ;;
      refused)
        [ "$has" = 0 ] || fail "$verb $option: the table says \"refused\", but --help has it"
        "$wim" "$verb" "$option" x y z >"$work/out" 2>&1 && fail "$verb $option: was not refused"
        grep -q "not supported" "$work/out" || fail "$verb $option: not refused by name: $(head -c 200 "$work/out")"
        ;;
      "") [[ " $mounting " == *" $verb "* ]] || fail "$verb $option: no row in $table" ;;
      *) fail "$verb $option: \"$ours\" in $table is none of same, differs, refused, or there are several rows" ;;
    esac
  done
done
[ "$count" -gt 100 ] || fail "only $count options were found in the manual pages"
while read -r option _ verbs; do
  for verb in $verbs; do
    options_of "$verb" | grep -qx -- "$option" || fail "$verb $option: in the table, but not in the manual page"
  done
done <"$work/rows"
[ "$failed" = 0 ] && echo "-- $count options of the manual pages, $(wc -l <"$work/rows") rows, compared with --help"
exit "$failed"
