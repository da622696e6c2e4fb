"""What hives.sh does beyond a shell: dumps of hives by four readers, random edits with a model, hives made to hurt.

A dump is {path of key: {name of value: content}}, the content as the reader tells it. The model is python-registry's dump,
which has types and bytes; edits are applied to it and written as a .reg file for `wim reg import`. Each reader's dumps before and
after must then differ in the keys and values that the edits name, and in no other.
"""

import base64
import logging
import os
import random
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

logging.disable(logging.CRITICAL)
SEEDS = 2
EDITS = 60
# Above this, one seed, and without regipy, which takes minutes for each dump.
LARGE_BYTES = 2 << 20


def upcase(name):
    """Upper case one character at a time, as Windows compares; enough for the names that are made here."""
    return "".join(c.upper() if len(c.upper()) == 1 else c for c in name)


def fold(path):
    return tuple(upcase(name) for name in path)


def run(*command, codes=(0,)):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return done.stdout


# Readers: each gives {folded path: {folded name: content}}.

def python_registry(path):
    from Registry import Registry

    dump = {}
    stack = [((), Registry.Registry(path).root())]
    while stack:
        where, key = stack.pop()
        values = {}
        for value in key.values():
            name = "" if value.name() == "(default)" else value.name()
            # Data in the record comes with the whole field that it lies in.
            size = value._vkrecord.raw_data_length() & 0x7FFFFFFF
            values[upcase(name)] = (value.value_type(), value.raw_data()[:size], name)
        dump[fold(where)] = values
        for child in key.subkeys():
            stack.append((where + (child.name(),), child))
    return dump


def regipy(path):
    from regipy.registry import RegistryHive

    hive = RegistryHive(path)
    dump = {}
    stack = [((), hive.root)]
    while stack:
        where, key = stack.pop()
        values = {}
        if key.values_count:
            for value in key.iter_values(as_json=False, trim_values=False):
                name = "" if value.name == "(default)" else value.name
                # Of other types it reads what lies elsewhere in the file when the data is in the record.
                is_told = value.value_type in ("REG_DWORD", "REG_QWORD", "REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ")
                values[upcase(name)] = (value.value_type, repr(value.value) if is_told else None)
        dump[fold(where)] = values
        if key.subkey_count:
            for child in key.iter_subkeys():
                stack.append((where + (child.name,), child))
    return dump


def hivexml(path):
    text = run("hivexml", path)
    # Names with control characters give XML that no reader takes.
    root = ElementTree.fromstring(re.sub(rb"&#x?[0-9a-fA-F]+;", b"?", text))
    dump = {}
    stack = [((), root.find("node"))]
    while stack:
        where, node = stack.pop()
        values = {}
        for value in node.findall("value"):
            content = (value.get("type"), value.get("encoding"), value.get("value"), [s.text for s in value])
            values[upcase(value.get("key") or "")] = content
        dump[fold(where)] = values
        for child in node.findall("node"):
            stack.append((where + (child.get("name"),), child))
    return dump


def reglookup(path):
    dump = {(): {}}

    def text(field):
        return re.sub(r"%([0-9A-Fa-f]{2})", lambda m: chr(int(m.group(1), 16)), field)

    for line in run("reglookup", "-H", path).decode("latin-1").splitlines():
        where, kind, content = line.split(",")[:3]
        parts = tuple(text(part) for part in where.strip("/").split("/")) if where.strip("/") else ()
        if kind == "KEY":
            dump.setdefault(fold(parts), {})
        else:
            # A default value has no name: its path ends in a slash.
            name = parts[-1] if not where.endswith("/") else ""
            key = parts[:-1] if not where.endswith("/") else parts
            dump.setdefault(fold(key), {})[upcase(name)] = (kind, content)
    return dump


def shown(tool, name):
    """A name as a reader tells it: regipy does not know the letters of Latin-1, reglookup tells the bytes of UTF-16."""
    if tool == "reglookup" and any(c >= "\u0100" for c in name):
        return upcase(name.encode("utf-16-le").decode("latin-1"))
    if tool == "regipy" and all(c < "\u0100" for c in name):
        return "".join(c if c < "\x80" else "\ufffd" for c in name)
    return name


def shown_dump(tool, dump):
    """A dump with all names as a reader tells them."""
    return {
        tuple(shown(tool, name) for name in key): {shown(tool, name): value for name, value in values.items()}
        for key, values in dump.items()
    }


READERS = {"python-registry": python_registry, "regipy": regipy, "hivexml": hivexml, "reglookup": reglookup}


# Edits.

def plain(name):
    return name and all(" " <= c <= "~" and c not in "\\\"/%=,[];" for c in name)


def content(dice, number):
    kind = dice.choice([1, 2, 3, 4, 7, 11, 0, 8, 0xFFFF0011])
    if kind in (1, 2):
        return kind, (f"text {number} äЖ " * dice.choice([1, 1, 3, 40]) + "\0").encode("utf-16-le")
    if kind == 7:
        return kind, f"one {number}\0two\0\0".encode("utf-16-le")
    if kind in (4, 11):
        return kind, struct.pack("<I" if kind == 4 else "<Q", number)
    size = dice.choice([0, 1, 3, 4, 5, 8, 100, 1000, 16343, 16344, 16345, 32688, 32689, 50000])
    return kind, bytes((number + i) % 251 for i in range(size))


def make_edits(model, seed):
    """Random edits: the lines of a .reg file, and the model after them."""
    dice = random.Random(seed)
    model = {key: dict(values) for key, values in model.items()}
    original = {key: key for key in model}
    lines = ["Windows Registry Editor Version 5.00", ""]
    root = "HKEY_LOCAL_MACHINE\\CHECK"

    def keys():
        return sorted(key for key in model if all(plain(name) for name in key))

    for number in range(EDITS):
        key = dice.choice(keys())
        path = "\\".join((root,) + original.get(key, key))
        action = dice.choice(["key", "key", "set", "set", "set", "replace", "delete value", "delete key"])
        if action == "key":
            names = tuple(f"New {number} {dice.choice(['x', 'ä', 'Ж', '日'])}{i}" for i in range(dice.randint(1, 3)))
            lines.append("[" + "\\".join((path,) + names) + "]")
            for depth in range(1, len(names) + 1):
                model.setdefault(fold(key + names[:depth]), {})
        elif action in ("set", "replace"):
            olds = sorted(v[2] for v in model[key].values() if plain(v[2]))
            name = dice.choice(olds) if action == "replace" and olds else dice.choice(["", f"value {number} ü"])
            kind, data = content(dice, number)
            lines.append(f"[{path}]")
            quoted = f'"{name}"' if name else "@"
            lines.append(f"{quoted}=hex({kind:x}):" + ",".join(f"{byte:02x}" for byte in data))
            spelt = model[key].get(upcase(name), (0, b"", name))[2]
            # python-registry tells the low half of a type only.
            model[key][upcase(name)] = (kind & 0xFFFF, data, spelt)
        elif action == "delete value":
            olds = sorted(v[2] for v in model[key].values() if plain(v[2]))
            if olds:
                name = dice.choice(olds)
                lines.append(f"[{path}]")
                lines.append(f'"{name}"=-')
                del model[key][upcase(name)]
        elif len(key) > 1:
            below = [other for other in model if other[: len(key)] == key]
            # Names that readers tell differently could not be compared, but for those that are made here.
            if len(below) > 40 or not all(plain(n) or n.startswith("NEW ") for other in below for n in other):
                continue
            lines.append(f"[-{path}]")
            model = {other: values for other, values in model.items() if other[: len(key)] != key}
    return "\r\n".join(lines) + "\r\n", model


def differences(before, after):
    found = set()
    for key in before.keys() | after.keys():
        if key not in after:
            found.add(("key gone", key))
        elif key not in before:
            found.add(("key new", key))
        old, new = before.get(key, {}), after.get(key, {})
        for name in old.keys() | new.keys():
            if key in after and old.get(name) != new.get(name):
                found.add(("value", key, name))
    return found


def same(tool, told, value):
    """Whether a reader's content is that of the model, for the types that it tells exactly."""
    kind, data, _ = value
    if tool == "hivexml":
        how, encoding, text, _ = told
        if how == "int32" and len(data) == 4:
            return int(text) & 0xFFFFFFFF == struct.unpack("<I", data)[0]
        if encoding == "base64" and kind in (0, 3, 8):
            return base64.b64decode(text or "") == data
        if how == "string" and encoding is None and kind == 1:
            return (text or "") == data.decode("utf-16-le").rstrip("\0")
    if tool == "reglookup":
        if told[0] == "DWORD" and len(data) == 4:
            return int(told[1], 16) == struct.unpack("<I", data)[0]
    if tool == "regipy":
        if told[0] == "REG_DWORD":
            return told[1] == repr(struct.unpack("<I", data)[0])
        if told[0] == "REG_QWORD":
            return told[1] == repr(struct.unpack("<Q", data)[0])
        if told[0] == "REG_SZ":
            return told[1] == repr(data.decode("utf-16-le").rstrip("\0"))
    return True


def check_hive(wim, name, path, work):
    is_large = os.path.getsize(path) > LARGE_BYTES
    seeds = 1 if is_large else SEEDS
    dumps = {}
    for tool, reader in READERS.items():
        if is_large and tool == "regipy":
            continue
        try:
            dumps[tool] = reader(path)
        except Exception as error:  # a reader that cannot take the hive before cannot judge it after
            print(f"   {name}: {tool} cannot read the original: {type(error).__name__} {str(error)[:80]}")
    if "python-registry" not in dumps:
        return 0
    judged = 0
    for seed in range(seeds):
        model = dumps["python-registry"]
        text, model = make_edits(model, f"{name} {seed}")
        reg, edited = os.path.join(work, "edits.reg"), os.path.join(work, "edited")
        with open(reg, "wb") as file:
            file.write(b"\xff\xfe" + text.encode("utf-16-le"))
        with open(path, "rb") as old, open(edited, "wb") as new:
            new.write(old.read())
        run(wim, "reg", "import", edited, reg, "--map", "HKLM\\CHECK=.", "--strict", "--quiet")
        run(wim, "reg", "check", edited)
        for tool, before in dumps.items():
            after = READERS[tool](edited)
            told_model = shown_dump(tool, model)
            expected = differences(shown_dump(tool, dumps["python-registry"]), told_model)
            met = differences(before, after)
            # What one reader shows for bytes that it does not decode may stay the same.
            hidden = {one for one in expected - met if one[0] == "value" and tool != "python-registry"}
            hidden = {one for one in hidden if one[2] in before.get(one[1], {}) and one[2] in told_model.get(one[1], {})}
            wrong = (met ^ expected) - hidden
            if wrong:
                raise RuntimeError(f"{name}, seed {seed}, {tool}: {sorted(map(str, wrong))[:5]}")
            for key, values in told_model.items():
                for value_name, value in values.items():
                    if ("value", key, value_name) not in expected:
                        continue
                    told = after[key][value_name]
                    is_same = told == value if tool == "python-registry" else same(tool, told, value)
                    if not is_same:
                        raise RuntimeError(f"{name}, seed {seed}, {tool}: {key} {value_name}: {str(told)[:100]}")
            judged += 1
    return judged // seeds


def edits(wim, folder, work):
    hives = 0
    files = sorted(os.path.join(where, file) for where, _, names in os.walk(folder) for file in names)
    for file in files:
        name = os.path.relpath(file, folder)
        path = os.path.join(work, "hive")
        bytes_ = run("xz", "-dc", file) if file.endswith(".xz") else open(file, "rb").read()
        with open(path, "wb") as out:
            out.write(bytes_)
        if not bytes_.startswith(b"regf") or ".LOG" in name:
            continue
        # Damaged, dirty, foreign and layered hives are not edited at all; other tests are about them.
        checked = subprocess.run([wim, "reg", "check", path], stdout=subprocess.PIPE, check=False)
        opened = subprocess.run([wim, "reg", "ls", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if checked.returncode != 0 or opened.returncode != 0 or bytes_[24] == 6:
            continue
        count = check_hive(wim, name, path, work)
        hives += count > 0
        print(f"   {name}: {count} readers agree", flush=True)
    print(f"   {hives} hives")
    if hives < 30:
        raise RuntimeError("too few hives were edited")


# Hives made to hurt.

def base_block(bins):
    block = bytearray(4096)
    struct.pack_into("<4sIIQIIIIIII", block, 0, b"regf", 1, 1, 0, 1, 5, 0, 1, 0x20, bins, 1)
    checksum = 0
    for (number,) in struct.iter_unpack("<I", block[:508]):
        checksum ^= number
    struct.pack_into("<I", block, 508, checksum)
    return block


def root(values, value_list):
    key = struct.pack("<2sHQIIIIIIIIIIIIIIIHH", b"nk", 0x2C, 0, 0, 0xFFFFFFFF, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, values,
                      value_list, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, 0x10000, 0x10000, 0, 4, 0) + b"ROOT"
    return struct.pack("<i", -88) + key.ljust(84, b"\0")


def free_cells(size):
    """One bin: a root key, then free cells of 16 bytes."""
    cells = root(0, 0xFFFFFFFF)
    cells += struct.pack("<i12x", 16) * ((size - 32 - len(cells)) // 16)
    cells += struct.pack("<i", size - 32 - len(cells)).ljust(size - 32 - len(cells), b"\0") if len(cells) < size - 32 else b""
    return base_block(size) + struct.pack("<4sII20x", b"hbin", 0, size) + cells


def one_key(size):
    """One bin: a root key with as many values as fit, each of 28 bytes."""
    count = (size - 32 - 88 - 16) // 28 - 4
    list_bytes = (4 + 4 * count + 7) // 8 * 8
    values = 0x20 + 88 + list_bytes
    offsets = b"".join(struct.pack("<I", values + 24 * i) for i in range(count))
    cells = root(count, 0x20 + 88) + (struct.pack("<i", -list_bytes) + offsets).ljust(list_bytes, b"\0")
    value = struct.pack("<i2sHIIIH2x", -24, b"vk", 0, 0x80000000, 0, 4, 0)
    cells += value * count
    rest = size - 32 - len(cells)
    cells += struct.pack("<i", rest).ljust(rest, b"\0")
    return base_block(size) + struct.pack("<4sII20x", b"hbin", 0, size) + cells


BOMBS = {"free cells": free_cells, "one key": one_key}


def bomb(name, path):
    with open(path, "wb") as file:
        file.write(BOMBS[name](32 << 20))


def memory(wim, work):
    path = os.path.join(work, "large")
    for name in BOMBS:
        for verb in (["check"], ["set", "A\\B", "v", "x"], ["compact"], ["compact", "--force-repair"]):
            # Made by another process: the peak of a child begins with that of its parent.
            run(sys.executable, __file__, "bomb", name, path)
            command = [wim, "reg", verb[0], path, *verb[1:]]
            pid = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            error = pid.stderr.read()
            _, status, usage = os.wait4(pid.pid, 0)
            pid.returncode = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss * 1024
            times = (peak - (24 << 20)) / (32 << 20)
            print(f"   {name}, {' '.join(verb)}: exit code {pid.returncode}, {times:.2f} times the file")
            if pid.returncode not in (0, 1, 2) or b"panicked" in error or times > 3:
                raise RuntimeError(f"{name}, {verb}: {pid.returncode}, {peak} bytes, {error[:300]!r}")


def main():
    job, *arguments = sys.argv[1:]
    if job == "edits":
        edits(*arguments)
    elif job == "bomb":
        bomb(*arguments)
    else:
        memory(*arguments)


try:
    main()
except RuntimeError as error:
    sys.exit(f"FAILED: {error}")
