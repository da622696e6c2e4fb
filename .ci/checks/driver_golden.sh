#!/usr/bin/env bash
# apt: wimtools libhivex-bin python3 python3-venv
# The golden rows of adding a driver, read back without any code of ours: `wim demo` makes media of Windows 7, 8.1, 10 and 11 for x86,
# amd64 and arm64, `wim driver add --media` puts the test packages T1 (storage) and T3 (network) into boot.wim, install.wim and the
# recovery image inside, wimlib takes the images apart, and hivex and regipy say what the hives hold. Needs no test data.
set -euo pipefail
cd "$(dirname "$0")/../.."
wim=${WIM:-}
if [ -z "$wim" ]; then
  cargo build --release --locked --quiet -p wim-cli
  wim=$PWD/target/release/wim
fi
checks=$PWD/.ci/checks
work=$(mktemp -d "${TMPDIR:-/tmp}/wim-driver-golden.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
say() { printf -- '-- %s\n' "$*"; }

# The same environment as the other checks of hives; they may be making it beside this one.
venv=${XDG_CACHE_HOME:-$HOME/.cache}/wim-hives-venv
for _ in $(seq 60); do
  "$venv/bin/python" -c 'import Registry, regipy' 2>/dev/null && break
  if [ ! -d "$venv" ]; then
    say "regipy, into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check python-registry==1.3.1 regipy==6.5.0
  fi
  sleep 2
done

has() { # has HIVE KEY PATTERN: hivexsh lists a value of the key that fits
  printf 'cd %s\nlsval\n' "$2" | hivexsh "$1" | tr -d '\0' | grep -qiE -- "$3" || fail "$2 in ${1##*/} lacks $3"
}

hivex_level_a() { # hivex_level_a CONFIG
  has "$1/SYSTEM" '\ControlSet001\Services\tstor' '^"ImagePath"=str\(2\):"System32'
  has "$1/SYSTEM" '\ControlSet001\Services\tstor' '^"Start"=dword:(0x)?0+$'
  has "$1/SYSTEM" '\ControlSet001\Services\tstor' '^"Group"="SCSI miniport"'
  has "$1/SYSTEM" '\ControlSet001\Control\CriticalDeviceDatabase\PCI#VEN_1234&DEV_0001' '^"Service"="tstor"'
}

hivex_level_b() { # hivex_level_b CONFIG
  has "$1/SYSTEM" '\ControlSet001\Services\tstor' '^"Start"=dword:(0x)?0+$'
  has "$1/SYSTEM" '\DriverDatabase\DeviceIds\PCI\VEN_1234&DEV_0001' '^"oem[01]\.inf"=hex[^:]*:02,ff,00,00'
  printf 'cd \\DriverDatabase\\DriverInfFiles\nls\n' | hivexsh "$1/SYSTEM" | grep -qiE '^oem[01]\.inf' || fail "no oem0.inf in SYSTEM"
}

read_back() { # read_back WIM INDEX BEFORE-WIM INDEX LEVEL KIND: one image as it was and as it is
  rm -rf "$work/before" "$work/after"
  wimlib-imagex apply "$3" "$4" "$work/before" >/dev/null 2>&1 || fail "wimlib-imagex apply $3 $4"
  wimlib-imagex apply "$1" "$2" "$work/after" >/dev/null 2>&1 || fail "wimlib-imagex apply $1 $2"
  "hivex_level_$5" "$work/after/Windows/System32/config"
  "$venv/bin/python" "$checks/driver_golden.py" "$5" "$6" "$version" "$arch" "$work/packages" "$work/before" "$work/after"
}

one_windows() { # one_windows VERSION ARCH
  version=$1 arch=$2
  local at=$work/$1-$2 level=b index
  [ "$version" = 7 ] && level=a
  mkdir "$at"
  "$wim" demo --media --dir "$at" --windows "$version" --arch "$arch" --quiet >/dev/null
  cp -r "$at/medium" "$at/old"
  "$wim" driver add --media "$at/medium" -d "$work/packages" --force-unsigned --quiet --json >"$at/report.json"
  say "Windows $version $arch"
  for index in 1 2; do
    read_back "$at/medium/sources/boot.wim" $index "$at/old/sources/boot.wim" $index $level "boot$index"
  done
  read_back "$at/medium/sources/install.wim" 4 "$at/old/sources/install.wim" 4 $level install
  mv "$work/after/Windows/System32/Recovery/winre.wim" "$at/winre.wim"
  mv "$work/before/Windows/System32/Recovery/winre.wim" "$at/winre-old.wim"
  read_back "$at/winre.wim" 1 "$at/winre-old.wim" 1 $level recovery
  rm -rf "$at"
}

# T1 and T3 as the tests have them; programs of the right machines come from the demo's package.
"$wim" demo --media --dir "$work/demo" --windows 7 --arch x86 --quiet >/dev/null
samples=wim-core/tests/it/driver_samples
mkdir -p "$work/packages/tstor" "$work/packages/tnet"
# T1 for arm64 as well.
awk '/^tstor.sys=1,.x64$/ { print; print "[SourceDisksFiles.arm64]"; print "tstor.sys=1,\\arm64"; next }
  /^%P%=M,/ { print $0 ",NTarm64.10.0"; next }
  /^\[M.NTamd64.6.1\]$/ { print; getline; print; line = $0; print "[M.NTarm64.10.0]"; print line; next }
  { print }' $samples/tstor.inf >"$work/packages/tstor/tstor.inf"
cp $samples/tnet.inf "$work/packages/tnet/"
printf catalog | tee "$work/packages/tstor/tstor.cat" >"$work/packages/tnet/tnet.cat"
for folder in x86 x64 arm64; do
  mkdir "$work/packages/tstor/$folder"
  cp "$work/demo/driver/$folder/demonvme.sys" "$work/packages/tstor/$folder/tstor.sys"
done
cp "$work/demo/driver/x64/demonvme.sys" "$work/packages/tnet/tnet.sys"

for windows in 7/x86 7/amd64 8.1/x86 8.1/amd64 10/x86 10/amd64 10/arm64 11/amd64 11/arm64; do
  one_windows "${windows%/*}" "${windows#*/}"
done
say "all as expected"
