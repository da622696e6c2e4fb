#!/usr/bin/env bash
# apt: cabextract wimtools libhivex-bin python3
# Update packages against peers: what cabextract unpacks and Python reads from the manifests is what `wim package info` tells;
# an image that wimlib and hivex made is judged; expanding a package stays below 256 MB of memory. Needs the real test data; says
# so when it is absent.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
if [ ! -d "$data/updates" ] || [ ! -d "$data/hives" ]; then
  echo "skipped: the real test data is absent (set WIM_TEST_DATA)"
  exit 0
fi
cargo build --release --locked --quiet -p wim-cli
wim=$PWD/target/release/wim
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-packages.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }

packages=("$data"/updates/Windows6.1-KB2999226-x64.msu "$data"/updates/Windows6.1-KB3087873-v2-x64.msu
  "$data"/updates/Windows6.1-KB2883457-amd64.cab)

for package in "${packages[@]}"; do
  name=$(basename "$package")
  say "$name: components, files and digests are those that cabextract and Python find"
  mkdir -p "$work/outer" "$work/inner"
  cabinet=$package
  if [[ $name == *.msu ]]; then
    cabextract -q -d "$work/outer" "$package" 2>/dev/null
    cabinet=$(find "$work/outer" -iname '*kb*.cab')
  fi
  cabextract -q -d "$work/inner" "$cabinet" 2>/dev/null
  "$wim" package info "$package" --json >"$work/info.json"
  python3 - "$work/info.json" "$work/inner" <<'PY'
import base64, glob, json, os, sys
import xml.etree.ElementTree as tree
info = json.load(open(sys.argv[1]))
assert not info["findings"], info["findings"]
v3 = "{urn:schemas-microsoft-com:asm.v3}"
dsig = "{http://www.w3.org/2000/09/xmldsig#}"
expected = {}
for path in glob.glob(sys.argv[2] + "/*.manifest"):
    root = tree.parse(path).getroot()
    files = {}
    for file in root.findall(v3 + "file"):
        digest = base64.b64decode(next(file.iter(dsig + "DigestValue")).text).hex()
        files[file.get("name")] = (file.get("destinationPath"), "SHA-256 " + digest)
    expected[os.path.basename(path)[:-9].lower()] = files
found = {c["key_form"]: {f["name"]: (f["destination"], f["digest"]) for f in c["files"]} for c in info["components"]}
assert found == expected, set(found) ^ set(expected)
print("  ", info["kb"], len(found), "manifests,", sum(map(len, found.values())), "files")
PY
  rm -rf "$work/outer" "$work/inner"
done

# Peak resident memory of `wim package expand`, as the kernel tells it of a child that has ended.
for package in "${packages[@]}"; do
  name=$(basename "$package")
  say "$name: expanded in less than 256 MB of memory"
  python3 - "$wim" "$package" "$work/expanded" <<'PY'
import os, resource, subprocess, sys
subprocess.run([sys.argv[1], "package", "expand", *sys.argv[2:], "--quiet"], check=True, stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
files = sum(len(names) for _, _, names in os.walk(sys.argv[3]))
print(f"   {files} files, peak {peak / 1e6:.1f} MB")
assert files > 20 and peak < 256e6, peak
PY
  rm -rf "$work/expanded"
done

say "an image made by wimlib, with a registry made by hivex"
token=31bf3856ad364e35 sp1=6.1.7601.17514
tree=$work/tree
mkdir -p "$tree/Windows/System32/config" "$tree/Windows/servicing/Packages" "$tree/Windows/WinSxS/Manifests"
mkdir -p "$tree/Windows/servicing/Version/$sp1"
client=Microsoft-Windows-Client-Features-Package~$token~amd64~~$sp1
language=Microsoft-Windows-WindowsFoundation-LanguagePack-Package~$token~amd64~en-US~$sp1
embedded=Microsoft-Windows-EmbeddedCore-Package~$token~amd64~~$sp1
for id in "$client" "$language" "$embedded"; do : >"$tree/Windows/servicing/Packages/$id.mum"; done
: >"$tree/Windows/WinSxS/Manifests/amd64_microsoft-windows-findstr_${token}_${sp1}_none_855590d1705431c5.manifest"
hive() { cp "$data/hives/hivex-minimal" "$1"; chmod u+w "$1"; hivexsh -w "$1"; }
hive "$tree/Windows/System32/config/SYSTEM" <<'HIVEX'
add Select
cd Select
setval 1
Current
dword:1
commit
HIVEX
{
  for key in Microsoft Windows CurrentVersion "Component Based Servicing" Packages; do
    printf 'add %s\ncd %s\n' "$key" "$key"
  done
  for id in "$client" "$language" "$embedded"; do
    printf 'add %s\ncd %s\nsetval 1\nCurrentState\ndword:112\ncd ..\n' "$id" "$id"
  done
  printf 'cd \\Microsoft\nadd Windows NT\ncd Windows NT\nadd CurrentVersion\ncd CurrentVersion\nsetval 3\n'
  printf 'CurrentVersion\nstring:6.1\nCurrentBuildNumber\nstring:7601\nSystemRoot\nstring:C:\\Windows\ncommit\n'
} | hive "$tree/Windows/System32/config/SOFTWARE"
wimlib-imagex capture "$tree" "$work/image.wim" Seven --image-property WINDOWS/ARCH=9 \
  --image-property WINDOWS/VERSION/MAJOR=6 --image-property WINDOWS/VERSION/MINOR=1 \
  --image-property WINDOWS/VERSION/BUILD=7601 >/dev/null 2>&1
"$wim" package list "$work/image.wim" | grep -q '^  installed    Microsoft-Windows-Client-Features-Package' || fail "list"
"$wim" package check "$work/image.wim" "${packages[@]}" --dry-run --json >"$work/check.json"
python3 - "$work/check.json" <<'PY'
import json, sys
image, = json.load(open(sys.argv[1]))["images"]
assert image["servicing_stack"] == "6.1.7601.17514" and not image["findings"], image["findings"]
outcomes = {p["kb"]: (p["outcome"], p["reason"]) for p in image["packages"]}
for kb, (outcome, reason) in outcomes.items():
    print("  ", kb, outcome, reason)
assert outcomes["KB2999226"][0] == "applicable"
# Neither its port driver nor its messages are in this image.
assert outcomes["KB3087873"][0] == "not_applicable", outcomes
assert outcomes["KB2883457"][0] == "not_applicable"
plan = image["packages"][0]["plan"]
assert all(f["in_package"] for f in plan["files"]), "rebuilt and proved before they are planned"
assert len(plan["links"]) == sum(1 for f in plan["files"] if f["digest"]), len(plan["links"])
print("   plan:", ", ".join(f"{len(plan[k])} {k}" for k in ("files", "links", "registry", "records")))
assert {l["path"].rsplit("\\", 1)[0] for l in plan["links"]} == {"\\Windows\\System32", "\\Windows\\SysWOW64"}
PY

say "a torn download is one line, and the others are judged"
head -c 400000 "${packages[0]}" >"$work/Windows6.1-KB2999226-x64.msu"
code=0
"$wim" package check "$work/image.wim" "$work/Windows6.1-KB2999226-x64.msu" "${packages[@]}" --json >"$work/torn.json" || code=$?
[ "$code" = 1 ] || fail "exit code $code instead of 1"
python3 - "$work/torn.json" <<'PY'
import json, sys
image, = json.load(open(sys.argv[1]))["images"]
outcomes = [(p["kb"], p["outcome"]) for p in image["packages"]]
print("  ", outcomes)
assert outcomes[0] == ("KB2999226", "applicable") and outcomes[-1] == ("KB2999226", "unreadable"), outcomes
PY
say "all as expected"
