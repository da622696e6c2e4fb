//! Built-in bench data: the same bytes on every machine, like an operating system's files in kind, if not in detail.
//!
//! Five kinds: x86-like code, text, tables of records, long runs, and noise. Real files compress differently: figures for people
//! come from real files ([`files_of`]), the built-in data is for gates that must not depend on what lies on a disk.

use std::path::Path;
use std::{fs, io};

/// A kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instructions with calls, moves and immediates, repeated in variations.
    Code,
    /// Words of an uneven vocabulary, with lines.
    Text,
    /// Records with counters, flags and small differences.
    Tables,
    /// Bytes without structure.
    Noise,
    /// One byte again and again, and seldom another: what matches as long as they can be cost.
    Runs,
}

impl Kind {
    /// All kinds, with the names that figures carry.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Code, "code"),
        (Self::Text, "text"),
        (Self::Tables, "tables"),
        (Self::Noise, "noise"),
        (Self::Runs, "runs"),
    ];
}

/// A generator of numbers, the same everywhere.
struct Numbers(u64);

impl Numbers {
    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// A number below `limit` that is small more often than not.
    fn small(&mut self, limit: u64) -> u64 {
        let first = self.below(limit);
        let second = self.below(first + 1);
        self.below(second + 1)
    }
}

/// A run, and the byte that ends it.
fn push_run(numbers: &mut Numbers, out: &mut Vec<u8>) {
    out.resize(out.len() + numbers.below(6000) as usize, 0);
    out.push(numbers.below(4) as u8);
}

/// `len` bytes of a kind.
#[must_use]
pub fn generate(kind: Kind, len: usize) -> Vec<u8> {
    let mut numbers = Numbers(0x5eed + kind as u64);
    let mut out = Vec::with_capacity(len + 300);
    while out.len() < len {
        match kind {
            Kind::Code => push_code(&mut numbers, &mut out),
            Kind::Text => push_text(&mut numbers, &mut out),
            Kind::Tables => push_record(&mut numbers, &mut out),
            Kind::Noise => out.extend((numbers.below(1 << 31) as u32).to_le_bytes()),
            Kind::Runs => push_run(&mut numbers, &mut out),
        }
    }
    out.truncate(len);
    out
}

fn push_code(numbers: &mut Numbers, out: &mut Vec<u8>) {
    match numbers.below(12) {
        0 | 1 => {
            out.push(0xe8);
            let target = numbers.small(2000) * 64;
            out.extend((target as i32 - (out.len() as i32 & 0xffff)).to_le_bytes());
        }
        2 if out.len() > 4000 => {
            // A function much like an earlier one.
            let from = out.len() - 64 - numbers.small(3900) as usize;
            let count = 12 + numbers.below(50) as usize;
            out.extend_from_within(from..from + count);
        }
        3 => {
            out.extend([0x48, 0x8b]);
            out.extend([0x44 + (numbers.small(8) as u8) * 8, 0x24, numbers.small(32) as u8 * 8]);
        }
        4 => out.extend([0x48, 0x89, 0x5c, 0x24, 0x08 + numbers.small(4) as u8 * 8]),
        5 => out.extend([0x0f, 0x84, numbers.below(256) as u8, numbers.small(4) as u8, 0, 0]),
        6 => out.extend([0x74, numbers.below(128) as u8]),
        7 => {
            out.extend([0x48, 0x8d, 0x0d]);
            out.extend((0x1_0000 + numbers.below(0x8000) as u32).to_le_bytes());
        }
        8 => out.extend([0x33, 0xc0, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc]),
        9 => out.extend([0x83, 0xf8 + numbers.small(8) as u8, numbers.small(100) as u8]),
        _ => out.extend([
            0x40 + numbers.small(16) as u8,
            numbers.below(256) as u8,
            0xc0 + numbers.small(64) as u8,
        ]),
    }
}

fn push_text(numbers: &mut Numbers, out: &mut Vec<u8>) {
    const SYLLABLES: [&str; 24] = [
        "the", "in", "re", "con", "er", "ti", "on", "al", "win", "dow", "s", "ver", "file", "sys", "tem",
        "is", "of", "and", "to", "ser", "vice", "a", "un", "ing",
    ];
    for _ in 0..=numbers.small(3) {
        out.extend(SYLLABLES[numbers.small(24) as usize].bytes());
    }
    match numbers.below(12) {
        0 => out.extend(b"\r\n"),
        1 => out.extend(b", "),
        2 => out.extend(b"=\""),
        _ => out.push(b' '),
    }
}

fn push_record(numbers: &mut Numbers, out: &mut Vec<u8>) {
    let count = (out.len() / 24) as u32;
    out.extend(count.to_le_bytes());
    out.extend((count * 64 + numbers.small(64) as u32).to_le_bytes());
    out.extend([numbers.small(4) as u8, 0, 0, 0x80]);
    out.extend((numbers.small(5000) as u32).to_le_bytes());
    out.extend([0; 4]);
    out.extend((0x4000_0000 + numbers.below(1 << 12) as u32).to_le_bytes());
}

/// Programs and libraries (files that start with `MZ`) below `folder`, cut into chunks of `chunk_bytes`.
///
/// At most about `limit` bytes, taken evenly from all files, in the order of their paths.
///
/// # Errors
/// Those of reading the folder and its files.
pub fn files_of(folder: &Path, chunk_bytes: usize, limit: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                paths.push(entry.path());
            }
        }
    }
    paths.sort();
    let mut chunks = Vec::new();
    for path in paths {
        let file = fs::read(path)?;
        if file.starts_with(b"MZ") {
            chunks.extend(file.chunks(chunk_bytes).map(<[u8]>::to_vec));
        }
    }
    let total: usize = chunks.iter().map(Vec::len).sum();
    Ok(chunks.into_iter().step_by((total / limit.max(1)).max(1)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_every_time() {
        for (kind, _) in Kind::ALL {
            assert_eq!(generate(kind, 5000), generate(kind, 10_000)[..5000]);
        }
    }
}
