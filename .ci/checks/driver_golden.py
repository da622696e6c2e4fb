"""What regipy reads in one image before and after T1 and T3 were added, against the golden rows of adding a driver.

Arguments: level (a: Windows 7, b: later), kind of image (install, boot1, boot2, recovery), version, architecture, the folder of the
packages, the image as it was, the image as it is.
"""

import datetime
import json
import os
import re
import sys

from regipy.registry import RegistryHive

level, kind, version, arch, packages, before, after = sys.argv[1:]
SCSI = "{4D36E97B-E325-11CE-BFC1-08002BE10318}"
NET = "{4d36e972-e325-11ce-bfc1-08002be10318}"
FULL, SHORT = r"PCI\VEN_1234&DEV_0001&SUBSYS_00011234", r"PCI\VEN_1234&DEV_0001"
SOURCE = {"x86": "x86", "amd64": "x64", "arm64": "arm64"}[arch]
is_pe = kind != "install"


def files(root):
    """Lower-case path -> bytes, hives aside."""
    found = {}
    for at, _, names in os.walk(root):
        for name in names:
            path = os.path.join(at, name)
            inner = os.path.relpath(path, root).replace(os.sep, "\\").lower()
            if not inner.startswith("windows\\system32\\config\\"):
                found[inner] = "link" if os.path.islink(path) else open(path, "rb").read()
    return found


def package(path):
    return open(os.path.join(packages, *path.split("/")), "rb").read()


def hive(name, root=after):
    path = f"{root}/Windows/System32/config/{name}"
    return RegistryHive(path) if os.path.exists(path) else None


def values(hive, path):
    """Name -> value and type of a key; none when it is not there."""
    try:
        return {v.name: (v.value, v.value_type) for v in hive.get_key("\\" + path).iter_values()}
    except Exception:
        return None


def raw(value):
    return value if isinstance(value, bytes) else bytes.fromhex(value or "")


checked = 0


def expect(hive, path, name, kind, data):
    global checked
    present = values(hive, path)
    assert present is not None, f"no key {path}"
    assert name in present, f"{path}: no value {name!r} among {sorted(present)}"
    value, found = present[name]
    if kind in ("REG_BINARY", "REG_NONE"):
        value = raw(value)
    assert (found, value) == (kind, data), f"{path}, {name!r}: {found} {value!r} instead of {kind} {data!r}"
    checked += 1


old, new = files(before), files(after)
system, software, drivers = hive("SYSTEM"), hive("SOFTWARE"), hive("DRIVERS")
added = {path for path in new if path not in old}
changed = {path for path in new if path in old and new[path] != old[path]}
assert not set(old) - set(new), f"files are gone: {set(old) - set(new)}"
manifest = "windows\\inf\\wim.drivers.json"
entries = {e["inf"]: e for e in json.loads(new[manifest])["drivers"]}

# T3 has sections for amd64 of Windows 7 and of Windows 10 from build 16299 on; those for 7 fit 8.1 too.
net = arch == "amd64"
assert set(entries) == ({"tstor.inf", "tnet.inf"} if net else {"tstor.inf"}), sorted(entries)
expected = {manifest}

# T1's service is the same everywhere.
service = r"ControlSet001\Services\tstor"
expect(system, service, "Type", "REG_DWORD", 1)
expect(system, service, "Start", "REG_DWORD", 0)
expect(system, service, "ErrorControl", "REG_DWORD", 1)
expect(system, service, "Group", "REG_SZ", "SCSI miniport")
expect(system, service, "ImagePath", "REG_EXPAND_SZ", r"System32\drivers\tstor.sys")
expect(system, service + r"\Parameters", "BusType", "REG_DWORD", 10)
expect(system, service + r"\Parameters\PnpInterface", "5", "REG_DWORD", 1)
log = r"ControlSet001\Services\EventLog\System\tstor"
expect(system, log, "EventMessageFile", "REG_EXPAND_SZ", r"%SystemRoot%\System32\IoLogMsg.dll")
expect(system, log, "TypesSupported", "REG_DWORD", 7)
assert values(system, r"ControlSet001\Services\tnet") is None, "a service of a network adapter"
binary = package(f"tstor/{SOURCE}/tstor.sys")
expected.add("windows\\system32\\drivers\\tstor.sys")
assert new["windows\\system32\\drivers\\tstor.sys"] == binary


def contents(folder, name, with_source):
    """The files of a package in its folder, byte for byte."""
    own = {f"{folder}\\{name}.inf": package(f"{name}/{name}.inf"), f"{folder}\\{name}.cat": b"catalog"}
    source = f"{name}/{SOURCE}/{name}.sys" if with_source else f"{name}/{name}.sys"
    own[f"{folder}\\{source.split('/', 1)[1]}".replace("/", "\\")] = package(source)
    for path, data in own.items():
        assert new[path] == data, path
    expected.update(own)


if level == "a":
    path = ["%SystemRoot%\\inf"]
    for inf in sorted(entries, key=lambda inf: entries[inf]["order"]):
        name = inf[:-4]
        folder = entries[inf]["folder"].lower().lstrip("\\")
        assert re.fullmatch(rf"windows\\drivers\\{name}_[0-9a-f]{{8}}", folder), folder
        contents(folder, name, name == "tstor")
        path.append("%SystemRoot%\\Drivers\\" + folder.rsplit("\\", 1)[1])
    expect(software, r"Microsoft\Windows\CurrentVersion", "DevicePath", "REG_EXPAND_SZ", ";".join(path))
    database = r"ControlSet001\Control\CriticalDeviceDatabase"
    for device in (FULL, SHORT):
        key = database + "\\" + device.replace("\\", "#")
        expect(system, key, "Service", "REG_SZ", "tstor")
        expect(system, key, "ClassGUID", "REG_SZ", SCSI)
    was = {k.name for k in hive("SYSTEM", before).get_key("\\" + database).iter_subkeys()}
    now = {k.name for k in system.get_key("\\" + database).iter_subkeys()}
    assert len(now - was) == 2 and not was - now, now - was
    assert drivers is None and values(system, "DriverDatabase") is None
    script = {"boot1": "windows\\system32\\startnet.cmd", "boot2": "windows\\system32\\winpeshl.ini"}.get(kind)
    lines = lambda p: [line for line in new[p].decode().split("\r\n") if line]
    loads = [rf"X:{entries[inf]['folder']}\{inf}" for inf in sorted(entries, key=lambda inf: entries[inf]["order"])]
    if kind == "boot1":
        assert lines(script) == ["wpeinit"] + [f'drvload "{load}"' for load in loads], lines(script)
        assert changed == {script}, changed
    elif kind == "boot2":
        run = [f'%SYSTEMROOT%\\System32\\drvload.exe, "{load}"' for load in loads]
        wanted = ["[LaunchApps]", r"%SYSTEMROOT%\System32\wpeinit.exe", *run, r"%SYSTEMDRIVE%\sources\setup.exe"]
        assert lines(script) == wanted, lines(script)
        expected.add(script)
        assert not changed, changed
else:
    repository = "windows\\system32\\driverstore\\filerepository"
    catalogs = "windows\\system32\\catroot\\{f750e6c3-38ee-11d1-85e5-00c04fc295ee}"
    for inf, entry in entries.items():
        name, published = inf[:-4], entry["published"]
        key = entry["folder"].rsplit("\\", 1)[1]
        assert re.fullmatch(rf"{name}\.inf_{arch}_[0-9a-f]{{16}}", key), key
        contents(f"{repository}\\{key}", name, name == "tstor")
        expected.add(f"windows\\inf\\{published}")
        expected.add(f"{catalogs}\\{published[:-4]}.cat")
        assert new[f"windows\\inf\\{published}"] == package(f"{name}/{inf}")
        assert new[f"{catalogs}\\{published[:-4]}.cat"] == b"catalog"
        home = system if name == "tstor" or drivers is None else drivers
        other = drivers if home is system else system
        record = rf"DriverDatabase\DriverPackages\{key}"
        expect(home, rf"DriverDatabase\DriverInfFiles\{published}", "(default)", "REG_MULTI_SZ", [key])
        expect(home, rf"DriverDatabase\DriverInfFiles\{published}", "Active", "REG_SZ", key)
        expect(home, record, "(default)", "REG_SZ", published)
        expect(home, record, "InfName", "REG_SZ", inf)
        expect(home, record, "Catalog", "REG_SZ", f"{name}.cat")
        expect(home, record, "Provider", "REG_SZ", "Test Corp")
        expect(home, record, "StatusFlags", "REG_DWORD", 0x12)
        expect(home, record, "SignerScore", "REG_DWORD", 0x80000000)
        guid, day, numbers = (
            (SCSI, datetime.date(2020, 1, 2), (1, 2, 3, 4))
            if name == "tstor"
            else (NET, datetime.date(2020, 3, 4), (3, 0, 0, 0))
        )
        # Microsoft's order: the first three fields little-endian; the date as 100 ns since 1601; the version backwards.
        parts = guid.strip("{}").split("-")
        own = b"".join(bytes.fromhex(p)[::-1] for p in parts[:3]) + bytes.fromhex("".join(parts[3:]))
        ticks = (day - datetime.date(1601, 1, 1)).days * 86400 * 10**7
        # The image's database says itself which processor it is for.
        word = values(hive("SYSTEM", before), "DriverDatabase")["Architecture"][0]
        assert word == {"x86": 0, "amd64": 9, "arm64": 12}[arch], word
        blob = b"\x00\xff" + word.to_bytes(2, "little") + bytes(4) + own + ticks.to_bytes(8, "little")
        blob += b"".join(n.to_bytes(2, "little") for n in reversed(numbers)) + bytes(8)
        assert len(blob) == 48
        expect(home, record, "Version", "REG_BINARY", blob)
        size = sum(len(data) for path, data in new.items() if path.startswith(f"{repository}\\{key.lower()}\\"))
        if version == "11":
            expect(home, record, "FileSize", "REG_QWORD", size)
        else:
            assert "FileSize" not in values(home, record)
        if other is not None:
            assert values(other, record) is None, f"{record} in both hives"
    bits = raw(values(system, "DriverDatabase")["OemInfMap"][0])
    numbers = {n for n in range(len(bits) * 8) if bits[n // 8] & (0x80 >> n % 8)}
    assert numbers == {int(e["published"][3:-4]) for e in entries.values()}, (bits.hex(), numbers)
    t1 = entries["tstor.inf"]["published"]
    key = entries["tstor.inf"]["folder"].rsplit("\\", 1)[1]
    record = rf"DriverDatabase\DriverPackages\{key}"
    ids = r"DriverDatabase\DeviceIds"
    expect(system, rf"{ids}\{FULL}", t1, "REG_BINARY", b"\x01\xff\0\0")
    expect(system, rf"{ids}\{SHORT}", t1, "REG_BINARY", b"\x02\xff\0\0")
    expect(system, rf"{ids}\{SCSI.lower()}", t1, "REG_NONE", b"")
    expect(system, rf"DriverDatabase\DriverInfFiles\{t1}", "Configurations", "REG_MULTI_SZ", ["I"])
    expect(system, rf"{record}\Configurations\I", "ConfigFlags", "REG_DWORD", 0)
    expect(system, rf"{record}\Configurations\I", "Service", "REG_SZ", "tstor")
    msi = rf"{record}\Configurations\I\Device\Interrupt Management\MessageSignaledInterruptProperties"
    expect(system, msi, "MSISupported", "REG_DWORD", 1)
    expect(system, rf"{record}\Configurations\I\Services\tstor\Parameters", "BusType", "REG_DWORD", 10)
    for device in (FULL, SHORT):
        expect(system, rf"{record}\Descriptors\{device}", "Configuration", "REG_SZ", "I")
        expect(system, rf"{record}\Descriptors\{device}", "Description", "REG_SZ", "%dev%")
        expect(system, rf"{record}\Descriptors\{device}", "Manufacturer", "REG_SZ", "%p%")
    expect(system, rf"{record}\Strings", "dev", "REG_SZ", "Test Storage")
    expect(system, rf"{record}\Strings", "p", "REG_SZ", "Test Corp")
    expect(system, service, "Owners", "REG_MULTI_SZ", [t1])
    lock = r"Microsoft\Windows\CurrentVersion\Setup\PnpLockdownFiles\%SystemRoot%/System32/drivers/tstor.sys"
    store = rf"%SystemRoot%\System32\DriverStore\FileRepository\{key}"
    expect(software, lock, "Class", "REG_DWORD", 4)
    expect(software, lock, "Owners", "REG_MULTI_SZ", [t1])
    expect(software, lock, "Source", "REG_EXPAND_SZ", rf"{store}\{SOURCE}\tstor.sys")
    expect(software, r"Microsoft\Windows\CurrentVersion", "DevicePath", "REG_EXPAND_SZ", "%SystemRoot%\\inf")
    assert values(system, r"ControlSet001\Control\CriticalDeviceDatabase") is None
    if net:
        t3 = entries["tnet.inf"]["published"]
        home = drivers or system
        score = 0xFF if version == "8.1" else 0xC0
        expect(home, rf"{ids}\PCI\VEN_1234&DEV_0200", t3, "REG_BINARY", bytes([1, score, 0, 0]))
        expect(home, rf"{ids}\{NET}", t3, "REG_NONE", b"")
        assert values(home, rf"{ids}\PCI\VEN_1234&CC_0200") is None, "an id that ExcludeID takes out"
        assert "Configurations" not in values(home, rf"DriverDatabase\DriverInfFiles\{t3}")
        key = entries["tnet.inf"]["folder"].rsplit("\\", 1)[1]
        assert not list(home.get_key(rf"\DriverDatabase\DriverPackages\{key}").iter_subkeys())
    assert not changed - {"windows\\system32\\recovery\\winre.wim"}, changed

assert added == expected, f"too many: {sorted(added - expected)}; missing: {sorted(expected - added)}"
print(f"   {kind}: {checked} values as regipy reads them, {len(added)} new files, {len(entries)} drivers")
