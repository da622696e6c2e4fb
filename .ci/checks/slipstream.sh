#!/usr/bin/env bash
# apt: wimtools 7zip libhivex-bin xz-utils
# The main job on real input: a real Windows 7 SYSTEM hive and real vendor drivers in an install.wim that wimlib made,
# slipstreamed by us, then read back with wimlib, 7-Zip and hivex. Needs the real test data; says so when it is absent.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
if [ ! -d "$data/hives" ] || [ ! -d "$data/drivers" ]; then
  echo "skipped: the real test data is absent (set WIM_TEST_DATA)"
  exit 0
fi
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-slipstream.XXXXXX")
trap 'rm -rf "$work"' EXIT
seven=$(command -v 7zz || command -v 7z)

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }

say "a tree with real programs and the real SYSTEM hive"
bash "$data/make-corpus.sh" "$work/corpus" small "${XDG_CACHE_HOME:-$HOME/.cache}/wim-corpus" >/dev/null
tree=$work/corpus/tree
config=$tree/Windows/System32/config
mkdir -p "$config"
rm -f "$config/SYSTEM" "$config/SOFTWARE"
xz -dc "$data/hives/win7-SYSTEM.xz" >"$config/SYSTEM"

# No real SOFTWARE hive is to be had: one made with hivexsh, with what servicing looks at.
software() { # software EDITION FILE
  rm -f "$2"
  cp "$data/hives/hivex-minimal" "$2"
  chmod u+w "$2"
  hivexsh -w "$2" <<HIVEX
add Microsoft
cd Microsoft
add Windows NT
cd Windows NT
add CurrentVersion
cd CurrentVersion
setval 6
CurrentVersion
string:6.1
CurrentBuild
string:7601
CurrentBuildNumber
string:7601
EditionID
string:$1
ProductName
string:Windows 7 $1
InstallationType
string:Client
cd \\Microsoft
add Windows
cd Windows
add CurrentVersion
cd CurrentVersion
setval 1
DevicePath
expandstring:%SystemRoot%\\inf
commit
HIVEX
}

capture() { # capture capture|append WIM EDITION [OPTION...]
  local verb=$1 out=$2 edition=$3
  shift 3
  software "$edition" "$config/SOFTWARE"
  wimlib-imagex "$verb" "$tree" "$out" "Windows 7 ${edition^^}" "Windows 7 ${edition^^}" --flags="$edition" \
    --image-property DISPLAYNAME="Windows 7 $edition" --image-property WINDOWS/EDITIONID="$edition" \
    --image-property WINDOWS/ARCH=0 --image-property WINDOWS/VERSION/MAJOR=6 --image-property WINDOWS/VERSION/MINOR=1 \
    --image-property WINDOWS/VERSION/BUILD=7601 --image-property WINDOWS/VERSION/SPLEVEL=1 "$@" >"$work/log" 2>&1 ||
    { tail -5 "$work/log"; fail "wimlib-imagex $verb"; }
}

names() { ( cd "$1" && find . -type f -printf '%P\0' | sort -z | xargs -0 sha1sum ); }

for compression in LZX:20 XPRESS:20; do
  say "$compression: wimlib makes an install.wim of three editions"
  in=$work/install.wim out=$work/out.wim
  rm -f "$in" "$out" "$work"/again.wim "$work"/one.wim
  capture capture "$in" HomePremium --compress="$compression" --boot
  capture append "$in" Professional
  capture append "$in" Ultimate
  args=(--edition Professional
    --driver "$data/drivers/nvme-samsung-1.4.0.0-x86" --driver "$data/drivers/usb3-intel-5.0.4.43-x86"
    --driver "$data/drivers/nvme-samsung-1.4.8.3-x64")

  say "$compression: slipstream"
  "$wim" slipstream "$in" -o "$out" "${args[@]}" --json >"$work/report.json"
  "$wim" info "$out" | grep -q '^Image Count: *1$' || fail "one image was expected"
  python3 - "$work/report.json" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
image, = report["images"]
assert report["changed"] and image["edition"] == "Professional" and image["architecture"] == "x86", image
outcomes = {d["inf"].lower().split("\\")[-1] + "@" + d["source"].split("/")[-1]: d["outcome"] for d in image["drivers"]}
for name, outcome in outcomes.items():
    print("  ", name, outcome["outcome"], outcome.get("reason", ""))
assert outcomes["nvme.inf@nvme-samsung-1.4.0.0-x86"]["outcome"] == "added"
for inf in ("iusb3xhc.inf", "iusb3hub.inf", "iusb3hcs.inf"):
    assert outcomes[inf + "@usb3-intel-5.0.4.43-x86"]["outcome"] == "added", inf
refused = [o for n, o in outcomes.items() if n.endswith("@nvme-samsung-1.4.8.3-x64")]
assert refused and all(o["outcome"] == "refused" and "amd64" in o["reason"] for o in refused), refused
PY

  say "$compression: wimlib and 7-Zip accept it"
  wimlib-imagex verify "$out" >/dev/null 2>&1 || fail "wimlib-imagex verify"
  "$seven" t "$out" >/dev/null || fail "7z t"
  "$wim" verify "$out" >/dev/null || fail "wim verify"

  say "$compression: untouched files are as before"
  rm -rf "$work/before" "$work/after"
  wimlib-imagex apply "$in" 2 "$work/before" >/dev/null 2>&1
  wimlib-imagex apply "$out" 1 "$work/after" >/dev/null 2>&1
  names "$work/before" >"$work/before.sha1"
  names "$work/after" >"$work/after.sha1"
  gone=$(comm -23 <(sort "$work/before.sha1") <(sort "$work/after.sha1") | cut -c43- | sort)
  expected=$(printf '%s\n' Windows/System32/config/SOFTWARE Windows/System32/config/SYSTEM)
  [ "$gone" = "$expected" ] || fail "other files changed: $gone"

  say "$compression: hivex reads the new keys"
  hive() { hivexsh "$work/after/Windows/System32/config/$1"; }
  printf 'cd \\ControlSet001\\services\\nvme\nlsval\n' | hive SYSTEM | grep -qi '"ImagePath"=' || fail "service nvme"
  printf 'cd \\ControlSet001\\services\\iusb3xhc\nlsval\n' | hive SYSTEM | grep -qi '"Start"=' || fail "service iusb3xhc"
  printf 'cd \\ControlSet001\\Control\\CriticalDeviceDatabase\nls\n' | hive SYSTEM >"$work/cddb"
  grep -qi '^PCI#VEN_14A4&DEV_22F1' "$work/cddb" || fail "no critical device for NVMe"
  grep -qi '^IUSB3#ROOT_HUB30' "$work/cddb" || fail "no critical device for the USB 3 root hub"
  printf 'cd \\Microsoft\\Windows\\CurrentVersion\nlsval DevicePath\n' | hive SOFTWARE | tr -d '\0' | grep -qi 'drivers' ||
    fail "DevicePath"

  say "$compression: a second run changes nothing and writes the same bytes"
  "$wim" slipstream "$out" -o "$work/again.wim" "${args[@]}" >"$work/again.txt"
  grep -q 'Nothing changed' "$work/again.txt" || fail "the second run says that something changed"
  cmp "$out" "$work/again.wim" || fail "the second run wrote other bytes"

  say "$compression: one thread and eight write the same bytes"
  "$wim" slipstream "$in" -o "$work/one.wim" "${args[@]}" --threads 1 --quiet >/dev/null
  cmp "$out" "$work/one.wim" || fail "--threads 1 differs"
  "$wim" slipstream "$in" -o "$work/one.wim" "${args[@]}" --threads 8 --force --quiet >/dev/null
  cmp "$out" "$work/one.wim" || fail "--threads 8 differs"
done

say "amd64: real drivers into an image of the demo's making"
"$wim" demo --dir "$work/demo" --arch amd64 --quiet >/dev/null
"$wim" slipstream "$work/demo/install.wim" -o "$work/amd64.wim" --edition Professional \
  --driver "$data/drivers/nvme-samsung-1.4.0.0-x64" --driver "$data/drivers/usb3-intel-5.0.4.43-x64" --json >"$work/amd64.json"
python3 - "$work/amd64.json" <<'PY'
import json, sys
image, = json.load(open(sys.argv[1]))["images"]
added = [d["inf"] for d in image["drivers"] if d["outcome"]["outcome"] == "added"]
print("   added:", ", ".join(added))
assert len(added) == 4, image["drivers"]
PY
wimlib-imagex verify "$work/amd64.wim" >/dev/null 2>&1 || fail "wimlib-imagex verify"
"$seven" t "$work/amd64.wim" >/dev/null || fail "7z t"
wimlib-imagex extract "$work/amd64.wim" 1 /Windows/System32/config/SYSTEM --dest-dir="$work/amd64" >/dev/null 2>&1
printf 'cd \\ControlSet001\\Services\\nvme\nlsval\n' | hivexsh "$work/amd64/SYSTEM" | grep -qi ImagePath || fail "service nvme"
say "all as expected"
