//! Files that look like Windows' own to a codec: programs with headers, code, strings, tables and a version, and texts.
//!
//! Headers and the version resource follow Microsoft's "PE Format"; what stands for code is drawn from common instruction
//! patterns with a generator that depends on the file's name alone. Nothing in them runs.

use crate::base::{Architecture, Sha1Digest};

/// A small generator (xorshift64*); good enough to make plausible bytes, the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(name: &str) -> Self {
        let digest = Sha1Digest::of(name.as_bytes()).0;
        Self(digest.iter().take(8).fold(1, |seed, &byte| seed << 8 | u64::from(byte)) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// A version of four numbers.
pub(super) type FileVersion = [u16; 4];

const SECTION_ALIGNMENT: usize = 0x1000;
const FILE_ALIGNMENT: usize = 0x200;
const HEADERS_BYTES: usize = 0x400;
const PE_OFFSET: usize = 0x80;
/// Offsets in the resource section: of the data entry, behind three directories of one entry, and of the data.
const DATA_ENTRY: usize = 72;
const VERSION_DATA: usize = 88;

/// A program of about `length` bytes for `architecture`.
pub(super) fn program(
    name: &str,
    length: usize,
    architecture: Architecture,
    version: FileVersion,
) -> Vec<u8> {
    let mut dice = Dice::of(name);
    let mut resources = version_section(version);
    let code_bytes = length.saturating_sub(HEADERS_BYTES + resources.len()).next_multiple_of(FILE_ALIGNMENT);
    let address = resource_address(code_bytes);
    put32(&mut resources, DATA_ENTRY, address + VERSION_DATA);
    let mut image = headers(architecture, code_bytes, resources.len());
    code(&mut dice, architecture, code_bytes, &mut image);
    image.extend_from_slice(&resources);
    image.resize(image.len().next_multiple_of(FILE_ALIGNMENT), 0);
    image
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
}

fn put32(bytes: &mut [u8], at: usize, value: usize) {
    bytes[at..at + 4].copy_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

/// Where the resource section is loaded.
fn resource_address(code_bytes: usize) -> usize {
    (SECTION_ALIGNMENT + code_bytes).next_multiple_of(SECTION_ALIGNMENT)
}

fn headers(architecture: Architecture, code_bytes: usize, resource_bytes: usize) -> Vec<u8> {
    let (machine, is_wide) = match architecture {
        Architecture::X86 => (0x014C, false),
        Architecture::Arm => (0x01C4, false),
        Architecture::Amd64 => (0x8664, true),
        Architecture::Ia64 => (0x0200, true),
        Architecture::Arm64 => (0xAA64, true),
    };
    let resource_address = resource_address(code_bytes);
    let image_bytes = (resource_address + resource_bytes).next_multiple_of(SECTION_ALIGNMENT);
    let mut h = vec![0; HEADERS_BYTES];
    h[..2].copy_from_slice(b"MZ");
    put32(&mut h, 0x3C, PE_OFFSET);
    h[PE_OFFSET..PE_OFFSET + 4].copy_from_slice(b"PE\0\0");
    let coff = PE_OFFSET + 4;
    let optional_bytes: u16 = if is_wide { 0xF0 } else { 0xE0 };
    put16(&mut h, coff, machine);
    put16(&mut h, coff + 2, 2);
    put32(&mut h, coff + 4, 0x4CE7_9000);
    put16(&mut h, coff + 16, optional_bytes);
    put16(&mut h, coff + 18, if is_wide { 0x2022 } else { 0x2102 });
    let optional = coff + 20;
    put16(&mut h, optional, if is_wide { 0x20B } else { 0x10B });
    put32(&mut h, optional + 4, code_bytes);
    put32(&mut h, optional + 16, SECTION_ALIGNMENT);
    put32(&mut h, optional + 32, SECTION_ALIGNMENT);
    put32(&mut h, optional + 36, FILE_ALIGNMENT);
    put16(&mut h, optional + 48, 6);
    put16(&mut h, optional + 50, 1);
    put32(&mut h, optional + 56, image_bytes);
    put32(&mut h, optional + 60, HEADERS_BYTES);
    put16(&mut h, optional + 68, 1);
    let directories = optional + if is_wide { 108 } else { 92 };
    put32(&mut h, directories, 16);
    put32(&mut h, directories + 4 + 2 * 8, resource_address);
    put32(&mut h, directories + 8 + 2 * 8, resource_bytes);
    let sections = optional + usize::from(optional_bytes);
    let mut section =
        |at: usize, name: &[u8; 8], address: usize, size: usize, offset: usize, flags: usize| {
            h[at..at + 8].copy_from_slice(name);
            put32(&mut h, at + 8, size);
            put32(&mut h, at + 12, address);
            put32(&mut h, at + 16, size.next_multiple_of(FILE_ALIGNMENT));
            put32(&mut h, at + 20, offset);
            put32(&mut h, at + 36, flags);
        };
    section(sections, b".text\0\0\0", SECTION_ALIGNMENT, code_bytes, HEADERS_BYTES, 0x6000_0020);
    let at = sections + 40;
    section(at, b".rsrc\0\0\0", resource_address, resource_bytes, HEADERS_BYTES + code_bytes, 0x4000_0040);
    h
}

/// A resource section with one version resource; the address in its data entry is left to [`program`].
fn version_section(version: FileVersion) -> Vec<u8> {
    let mut r = vec![0; VERSION_DATA];
    // Three directories of one entry each: type 16 (version), name 1, language 0x409; then the data entry.
    for (at, id, next) in [(0, 16, 24 | 1 << 31), (24, 1, 48 | 1 << 31), (48, 0x409, DATA_ENTRY)] {
        put16(&mut r, at + 14, 1);
        put32(&mut r, at + 16, id);
        put32(&mut r, at + 20, next);
    }
    let mut info = vec![0; 40 + 52];
    let length = u16::try_from(info.len()).unwrap_or(0);
    put16(&mut info, 0, length);
    put16(&mut info, 2, 52);
    for (i, unit) in "VS_VERSION_INFO".encode_utf16().enumerate() {
        put16(&mut info, 6 + 2 * i, unit);
    }
    put32(&mut info, 40, 0xFEEF_04BD);
    put32(&mut info, 44, 0x0001_0000);
    for at in [48, 56] {
        put16(&mut info, at + 2, version[0]);
        put16(&mut info, at, version[1]);
        put16(&mut info, at + 6, version[2]);
        put16(&mut info, at + 4, version[3]);
    }
    put32(&mut info, 64, 0x3F);
    put32(&mut info, 72, 0x0004_0004);
    put32(&mut r, DATA_ENTRY + 4, info.len());
    r.extend_from_slice(&info);
    r
}

/// What x86 code is full of.
const X86: [&[u8]; 14] = [
    b"\x55\x8b\xec\x83\xec\x10",
    b"\x8b\x45\x08\x85\xc0\x74\x0c",
    b"\x8b\x4d\xfc\x33\xcd",
    b"\x5d\xc2\x08\x00\x90\x90\x90\x90\x90\x8b\xff",
    b"\x89\x45\xfc\x8b\x4d\x0c",
    b"\x6a\x00\x6a\x01\x50\xff\x15",
    b"\x83\xc4\x0c\x5f\x5e\x5b\xc9\xc3",
    b"\x0f\xb7\x46\x02\x66\x3b\xc1\x75",
    b"\x48\x8b\x5c\x24\x30\x48\x83\xc4\x20\x5f\xc3",
    b"\x48\x89\x5c\x24\x08\x57\x48\x83\xec\x20",
    b"\x33\xc0\x40\xeb\x02\x33\xc0",
    b"\x8d\x85\xf0\xfd\xff\xff\x50\x68",
    b"\x48\x8d\x0d\x00\x10\x00\x00",
    b"\xcc\xcc\xcc\xcc\xcc\xcc",
];
/// What ARM code is full of.
const ARM: [&[u8]; 6] = [
    b"\xfd\x7b\xbf\xa9",
    b"\xfd\x03\x00\x91",
    b"\xc0\x03\x5f\xd6",
    b"\xe0\x03\x13\xaa",
    b"\x1f\x20\x03\xd5",
    b"\xf3\x53\xbe\xa9",
];

/// Code, with strings and tables between, of exactly `length` bytes appended to `out`.
fn code(dice: &mut Dice, architecture: Architecture, length: usize, out: &mut Vec<u8>) {
    let patterns: &[&[u8]] =
        if matches!(architecture, Architecture::Arm | Architecture::Arm64) { &ARM } else { &X86 };
    let (start, end) = (out.len(), out.len() + length);
    while out.len() < end {
        match dice.below(100) {
            0..=54 => out.extend_from_slice(dice.pick(patterns)),
            // Calls go to few targets, relative to where they stand.
            55..=69 => {
                let target = start + dice.below(64) * 0x340;
                let relative = i64::try_from(target).unwrap_or(0) - i64::try_from(out.len()).unwrap_or(0) - 5;
                out.push(0xE8);
                out.extend_from_slice(&relative.to_le_bytes()[..4]);
            }
            70..=88 => {
                let operands = 1 + dice.below(6);
                for _ in 0..operands {
                    let small = dice.below(256) & dice.below(256);
                    out.push(u8::try_from(small).unwrap_or(0));
                }
            }
            // Repeats of something near: loops unrolled, functions alike.
            89..=95 if out.len() > start + 4096 => {
                let from = out.len() - 1 - dice.below(4000);
                let n = (12 + dice.below(90)).min(out.len() - from);
                out.extend_from_within(from..from + n);
            }
            96..=97 => {
                for unit in dice.pick(&WORDS).encode_utf16() {
                    out.extend_from_slice(&unit.to_le_bytes());
                }
                out.extend_from_slice(&[0, 0]);
            }
            _ => {
                let base = dice.next();
                let entries = 1 + dice.below(12);
                for i in 0..entries {
                    out.extend_from_slice(
                        &(base.wrapping_add(i as u64 * 48) as u32 & 0x00FF_FFF0).to_le_bytes(),
                    );
                }
            }
        }
    }
    out.truncate(end);
}

const WORDS: [&str; 24] = [
    "System",
    "Microsoft",
    "the",
    "driver",
    "device",
    "Windows",
    "security",
    "registry",
    "value",
    "of",
    "and",
    "file",
    "network",
    "configuration",
    "could not be",
    "initialized",
    "service",
    "control",
    "handle",
    "user",
    "policy",
    "error",
    "storage",
    "%1!s!",
];

/// A text of about `length` bytes, as licences and help files are.
pub(super) fn text(name: &str, length: usize) -> Vec<u8> {
    let mut dice = Dice::of(name);
    let mut out = Vec::with_capacity(length + 40);
    while out.len() < length {
        let words = 6 + dice.below(10);
        for _ in 0..words {
            out.extend_from_slice(dice.pick(&WORDS).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(b"\r\n");
    }
    out.truncate(length);
    out
}

/// Outlines and metrics, as fonts have them: numbers that change slowly.
pub(super) fn font(name: &str, length: usize) -> Vec<u8> {
    let mut dice = Dice::of(name);
    let mut out = b"\0\x01\0\0\0\x0eDSIG".to_vec();
    let (mut x, mut y) = (0i16, 0i16);
    while out.len() < length {
        x = x.wrapping_add(i16::try_from(dice.below(41)).unwrap_or(0) - 20);
        y = y.wrapping_add(i16::try_from(dice.below(17)).unwrap_or(0) - 8);
        out.extend_from_slice(&x.to_be_bytes());
        out.extend_from_slice(&y.to_be_bytes());
        if dice.below(7) == 0 {
            out.push(u8::try_from(dice.below(256)).unwrap_or(0));
        }
    }
    out.truncate(length);
    out
}

/// Records of equal shape whose fields grow, repeat or jump, as event logs, indexes and databases hold them.
pub(super) fn table(name: &str, length: usize) -> Vec<u8> {
    let mut dice = Dice::of(name);
    let mut out = Vec::with_capacity(length + 32);
    let (mut number, mut time) = (0u32, 0x01CB_88F0_0000_0000u64);
    while out.len() < length {
        number += 1;
        time += 10_000 * (1 + dice.below(5000) as u64);
        out.extend_from_slice(b"rec\x01");
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&time.to_le_bytes());
        let kind = dice.below(16);
        out.extend_from_slice(&[u8::try_from(kind).unwrap_or(0), 0, 0x20, 0]);
        out.extend_from_slice(&(dice.next() as u32 & 0x3FFF).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
    }
    out.truncate(length);
    out
}

/// Bytes that no codec shrinks, as media files and signatures hold them.
pub(super) fn incompressible(name: &str, length: usize) -> Vec<u8> {
    let mut dice = Dice::of(name);
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        out.extend_from_slice(&dice.next().to_le_bytes());
    }
    out.truncate(length);
    out
}
