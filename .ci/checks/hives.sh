#!/usr/bin/env bash
# apt: libhivex-bin reglookup xz-utils python3 python3-venv
# pip: python-registry regipy
# Registry hives beside other readers: random edits from a seed, made by us in every healthy real hive, must be exactly what
# hivexml, reglookup, python-registry and regipy then see; a real SYSTEM hive exported, imported and exported is the same text.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
checks=$PWD/.ci/checks
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-hives.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }

venv=${XDG_CACHE_HOME:-$HOME/.cache}/wim-hives-venv
if ! "$venv/bin/python" -c 'import Registry, regipy' 2>/dev/null; then
  say "python readers"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check python-registry==1.3.1 regipy==6.5.0
fi

say "memory: a hive of free cells, and one key of as many values as fit"
"$venv/bin/python" "$checks/hives.py" memory "$wim" "$work"

if [ ! -d "$data/hives" ]; then
  echo "skipped: the real hives are absent (set WIM_TEST_DATA)"
  exit 0
fi

say "random edits of every healthy hive"
"$venv/bin/python" "$checks/hives.py" edits "$wim" "$data/hives" "$work"

say "a real SYSTEM hive as text and back"
xz -dc "$data/hives/win7-SYSTEM.xz" >"$work/SYSTEM"
"$wim" reg export "$work/SYSTEM" -o "$work/one.reg"
mkdir "$work/again"
cp "$work/SYSTEM" "$work/again/SYSTEM"
"$wim" reg ls "$work/SYSTEM" | while read -r key; do "$wim" reg delete "$work/again/SYSTEM" "$key" --quiet; done
[ -z "$("$wim" reg ls "$work/again/SYSTEM")" ] || fail "the hive is not empty"
"$wim" reg compact "$work/again/SYSTEM" --quiet
[ "$(stat -c %s "$work/again/SYSTEM")" -le 16384 ] || fail "an empty hive is large"
"$wim" reg import "$work/again/SYSTEM" "$work/one.reg" --strict --quiet
"$wim" reg export "$work/again/SYSTEM" -o "$work/two.reg"
cmp "$work/one.reg" "$work/two.reg" || fail "the texts differ"
"$wim" reg check "$work/again/SYSTEM" >/dev/null || fail "the imported hive is not sound"
hivexml "$work/again/SYSTEM" >/dev/null || fail "hivexml cannot read the imported hive"
say "done"
