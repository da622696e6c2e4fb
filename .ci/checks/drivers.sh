#!/usr/bin/env bash
# apt: wimtools libhivex-bin xz-utils python3 python3-venv
# Real vendor drivers into images with real SYSTEM hives, by `wim driver`: Windows 7 x86 (services, critical devices, device path) and
# Windows 10 amd64 (driver store and database). wimlib makes the WIMs and takes them apart; hivex and regipy read the hives back. A
# second add writes nothing, removal leaves what was there. Needs the real test data; says so when it is absent.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$(realpath -m "${WIM_TEST_DATA:-../shared/data}")
if [ ! -d "$data/hives" ] || [ ! -d "$data/drivers" ]; then
  echo "skipped: the real test data is absent (set WIM_TEST_DATA)"
  exit 0
fi
wim=${WIM:-}
if [ -z "$wim" ]; then
  cargo build --release --locked --quiet -p wim-cli
  wim=$PWD/target/release/wim
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-drivers.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }

# The same environment as the other checks of hives.
venv=${XDG_CACHE_HOME:-$HOME/.cache}/wim-hives-venv
if ! "$venv/bin/python" -c 'import regipy' 2>/dev/null; then
  say "regipy, into $venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check python-registry==1.3.1 regipy==6.5.0
fi

# No real SOFTWARE hive is to be had: one made with hivexsh, with what servicing looks at.
software() { # software FILE VERSION BUILD MAJOR
  cp "$data/hives/hivex-minimal" "$1"
  chmod u+w "$1"
  {
    printf '%s\n' 'add Microsoft' 'cd Microsoft' 'add Windows NT' 'cd Windows NT' 'add CurrentVersion' 'cd CurrentVersion'
    if [ "$4" = 10 ]; then
      printf '%s\n' 'setval 5' CurrentMajorVersionNumber dword:0x0000000a CurrentMinorVersionNumber dword:0x00000000
    else
      printf '%s\n' 'setval 3'
    fi
    printf '%s\n' CurrentVersion "string:$2" CurrentBuildNumber "string:$3" InstallationType string:Client
    printf '%s\n' 'cd \Microsoft' 'add Windows' 'cd Windows' 'add CurrentVersion' 'cd CurrentVersion' 'setval 1' DevicePath \
      'expandstring:%SystemRoot%\inf' commit
  } | hivexsh -w "$1"
}

tree() { # tree FOLDER SYSTEM.xz VERSION BUILD MAJOR: what drivers look at, and files that must stay as they are
  local config=$1/Windows/System32/config
  mkdir -p "$config" "$1/Windows/System32/drivers" "$1/Windows/INF" "$1/Windows/System32/DriverStore/FileRepository"
  xz -dc "$data/hives/$2" >"$config/SYSTEM"
  software "$config/SOFTWARE" "$3" "$4" "$5"
  printf '[Version]\r\nSignature="$Windows NT$"\r\n' >"$1/Windows/INF/machine.inf"
  head -c 100000 /dev/urandom >"$1/Windows/System32/drivers/storport.sys"
}

capture() { # capture TREE WIM ARCH MAJOR MINOR BUILD: two editions that share all
  local out=$2 name
  rm -f "$out"
  for name in First Second; do
    wimlib-imagex "$([ "$name" = First ] && echo capture || echo append)" "$1" "$out" "$name" --compress=LZX:20 \
      --image-property WINDOWS/EDITIONID="$name" --image-property WINDOWS/ARCH="$3" --image-property WINDOWS/VERSION/MAJOR="$4" \
      --image-property WINDOWS/VERSION/MINOR="$5" --image-property WINDOWS/VERSION/BUILD="$6" >"$work/log" 2>&1 ||
      { tail -5 "$work/log"; fail "wimlib-imagex"; }
  done
}

names() { ( cd "$1" && find . -type f ! -path '*/config/*' -printf '%P\0' | sort -z | xargs -0 sha1sum | sort ); }
folders() { ( cd "$1" && find . -type d -printf '%P\n' | sort ); }
# All keys and values of a hive as hivex sees them, times of keys and where values lie aside.
content() { hivexml "$1" | sed -e 's/<mtime>[^<]*<\/mtime>//g; s/<byte_run[^>]*>//g'; }

outcomes() { # outcomes REPORT ADDED-INF...: prints the table; fails unless these were added to both images
  python3 - "$@" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
images = report["files"][0]["images"]
assert len(images) == 2, len(images)
for image in images:
    added = set()
    for d in image["drivers"]:
        o = d["outcome"]
        if image["index"] == 1:
            extra = o.get("reason") or ("in place" if o.get("boot_critical") else "")
            print("  ", d["source"].split("/")[-1], d["inf"], d["version"], o["outcome"], extra)
        if o["outcome"] == "added":
            added.add(d["inf"].lower().split("\\")[-1])
    missing = [inf for inf in sys.argv[2:] if inf not in added]
    assert not missing, f"image {image['index']}: not added: {missing}"
PY
}

cycle() { # cycle NAME ADDED-INF... : add, add again, read back (function check_NAME), remove; packages in $packages
  local name=$1 in=$work/$1.wim out=$work/$1-out.wim
  shift
  say "$name: add"
  "$wim" driver add "$in" -o "$out" --json "${packages[@]}" >"$work/$name.json" || [ $? = 1 ] || fail "driver add"
  outcomes "$work/$name.json" "$@"
  wimlib-imagex verify "$out" >/dev/null 2>&1 || fail "wimlib-imagex verify"
  rm -rf "$work/before" "$work/after"
  wimlib-imagex apply "$in" 2 "$work/before" >/dev/null 2>&1
  wimlib-imagex apply "$out" 2 "$work/after" >/dev/null 2>&1
  names "$work/before" >"$work/before.sha1"
  names "$work/after" >"$work/after.sha1"
  [ -z "$(comm -23 "$work/before.sha1" "$work/after.sha1")" ] || fail "other files changed"

  say "$name: hivex and regipy read the new keys"
  "check_$name" "$work/after/Windows/System32/config"

  say "$name: a second add writes nothing"
  cp "$out" "$work/again.wim"
  "$wim" driver add "$work/again.wim" "${packages[@]}" >"$work/again.txt" || [ $? = 1 ] || fail "driver add"
  grep -q 'Nothing changed' "$work/again.txt" || fail "the second add says that something changed"
  cmp "$out" "$work/again.wim" || fail "the second add wrote other bytes"

  say "$name: one thread and eight write the same bytes"
  for threads in 1 8; do
    "$wim" driver add "$in" -o "$work/threads.wim" --force --threads $threads --quiet "${packages[@]}" >/dev/null || [ $? = 1 ]
    cmp "$out" "$work/threads.wim" || fail "--threads $threads differs"
  done

  say "$name: removal leaves what was there"
  local removals=() inf
  for inf in "$@"; do removals+=(-d "$inf"); done
  "$wim" driver remove "$out" "${removals[@]}" >"$work/removed.txt"
  rm -rf "$work/after"
  wimlib-imagex apply "$out" 2 "$work/after" >/dev/null 2>&1
  names "$work/after" >"$work/after.sha1"
  cmp "$work/before.sha1" "$work/after.sha1" || fail "files differ after the removal"
  diff <(folders "$work/before") <(folders "$work/after") || fail "folders differ after the removal"
  local hive
  for hive in "$work"/before/Windows/System32/config/*; do
    cmp <(content "$hive") <(content "$work/after/Windows/System32/config/${hive##*/}") ||
      fail "the hive ${hive##*/} differs after the removal"
  done
}

has() { # has HIVE KEY PATTERN: hivexsh lists a value of the key that fits
  printf 'cd %s\nlsval\n' "$2" | hivexsh "$1" | tr -d '\0' | grep -qi -- "$3" || fail "$2 in ${1##*/} lacks $3"
}

check_win7() {
  has "$1/SYSTEM" '\ControlSet001\services\nvme' '"ImagePath"='
  has "$1/SYSTEM" '\ControlSet001\services\iusb3xhc' '"Start"='
  printf 'cd \\ControlSet001\\Control\\CriticalDeviceDatabase\nls\n' | hivexsh "$1/SYSTEM" >"$work/cddb"
  grep -qi '^IUSB3#ROOT_HUB30' "$work/cddb" || fail "no critical device for the USB 3 root hub"
  "$venv/bin/python" - "$1" <<'PY'
import sys
from regipy.registry import RegistryHive
system, software = (RegistryHive(f"{sys.argv[1]}/{name}") for name in ("SYSTEM", "SOFTWARE"))
values = lambda key: {v.name: v.value for v in key.iter_values()}
service = values(system.get_key("\\ControlSet001\\Services\\nvme"))
assert (service["Start"], service["Type"]) == (0, 1) and service["ImagePath"].lower().endswith("nvme.sys"), service
critical = system.get_key("\\ControlSet001\\Control\\CriticalDeviceDatabase")
ours = [k for k in critical.iter_subkeys() if values(k).get("Service") == "iusb3xhc"]
assert ours and all(values(k)["ClassGUID"].startswith("{36FC9E60") or values(k)["ClassGUID"].startswith("{36fc9e60") for k in ours)
path = values(software.get_key("\\Microsoft\\Windows\\CurrentVersion"))["DevicePath"]
assert path.lower().count("%systemroot%\\drivers\\") == 5 and path.startswith("%SystemRoot%\\inf;"), path
print(f"   regipy: {len(ours)} critical devices of iusb3xhc; DevicePath {path}")
PY
}

check_win10() {
  printf 'cd \\DriverDatabase\\DriverInfFiles\nls\n' | hivexsh "$1/SYSTEM" | grep -qi '^oem9.inf' || fail "no oem9.inf in SYSTEM"
  "$venv/bin/python" - "$1" "$work/win10.json" <<'PY'
import json, sys
from regipy.registry import RegistryHive
system = RegistryHive(f"{sys.argv[1]}/SYSTEM")
values = lambda path: {v.name: v.value for v in system.get_key(path).iter_values()}
raw = lambda value: value if isinstance(value, bytes) else bytes.fromhex(value)
db = "\\DriverDatabase"
before = {0, 1, 2, 3, 4, 5, 6, 7, 8}
bits = raw(values(db)["OemInfMap"])
numbers = {i for i in range(len(bits) * 8) if bits[i // 8] & (0x80 >> i % 8)}
image = json.load(open(sys.argv[2]))["files"][0]["images"][0]
added = {d["outcome"]["folder"].split("\\")[-1].lower(): d for d in image["drivers"] if d["outcome"]["outcome"] == "added"}
assert before <= numbers and len(numbers) == len(before) + len(added), (numbers, list(added))
seen = 0
for package in system.get_key(db + "\\DriverPackages").iter_subkeys():
    driver = added.get(package.name.lower())
    if driver is None:
        continue
    seen += 1
    own = {v.name: v.value for v in package.iter_values()}
    version = raw(own["Version"])
    assert len(version) == 48 and version[:4] == b"\x00\xff\x09\x00", version.hex()
    parts = [int.from_bytes(version[38 - 2 * i:40 - 2 * i], "little") for i in range(4)]
    assert ".".join(map(str, parts)) == driver["version"], (parts, driver["version"])
    assert own["InfName"].lower() == driver["inf"].lower().split("\\")[-1], own
    published = own["(default)"]
    active = values(f"{db}\\DriverInfFiles\\{published}")["Active"]
    assert active.lower() == package.name.lower(), (active, package.name)
    ids = driver["outcome"]["device_ids"]
    for device in ids:
        assert published in values(f"{db}\\DeviceIds\\{device}"), (published, device)
    print(f"   regipy: {published} is {package.name}, {len(ids)} device ids")
assert seen, "no package of ours in SYSTEM"
PY
}

if [ -e "$data/drivers/inf-corpus.tar.xz" ]; then
  say "the INF corpus, parsed and explained for one Windows, in less than 2 s of processor time"
  mkdir "$work/infs"
  tar -C "$work/infs" -xJf "$data/drivers/inf-corpus.tar.xz"
  python3 - "$wim" "$work/infs" <<'PY'
import json, os, resource, subprocess, sys, time
started = time.monotonic()
answer = subprocess.run([sys.argv[1], "driver", "info", sys.argv[2], "--for", "7-amd64", "--json"], stdout=subprocess.PIPE).stdout
wall = time.monotonic() - started
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
size = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(sys.argv[2]) for name in names)
packages = len(json.loads(answer)["packages"])
busy = usage.ru_utime + usage.ru_stime
print(f"   {packages} INFs of {size / 1e6:.1f} MB: {busy:.2f} s of processor time, {wall:.2f} s, {usage.ru_maxrss / 1e3:.0f} MB")
assert packages > 600 and busy < 2, (packages, busy)
PY
fi

say "Windows 7 x86"
tree "$work/tree7" win7-SYSTEM.xz 6.1 7601 6
capture "$work/tree7" "$work/win7.wim" 0 6 1 7601
packages=(-d "$data/drivers/nvme-samsung-1.4.0.0-x86" -d "$data/drivers/usb3-intel-5.0.4.43-x86"
  -d "$data/drivers/nvme-micron-2.1.5.0-x86" -d "$data/drivers/nvme-samsung-1.4.8.3-x64")
cycle win7 nvme.inf iusb3xhc.inf iusb3hub.inf iusb3hcs.inf mtinvme.inf

say "Windows 10 21H2 amd64"
tree "$work/tree10" win10-21H2-SYSTEM.xz 6.3 19044 10
capture "$work/tree10" "$work/win10.wim" 9 10 0 19044
packages=(-d "$data/drivers/nvme-samsung-3.0.0.1802-x64" -d "$data/drivers/raid-amd-7.2.0.00023-x64"
  -d "$data/drivers/ahci-intel-rst-14.8.18.1066-x64" -d "$data/drivers/net-intel-e1d-12.15.25.6712-x64"
  -d "$data/drivers/nvme-samsung-1.4.0.0-x86")
cycle win10 secnvme.inf rccfg.inf rcraid.inf iaahcic.inf iastorac.inf e1d62x64.inf
say "all as expected"
