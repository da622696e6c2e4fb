//! The outer layer of PA30 and PA31: what a delta says about itself and its target.
//!
//! PA30 is proved on real packages; PA31, which differs in its header only, rests on jlevere/msdelta. PA19 and reverse
//! deltas are recognised and refused by name; nothing is decoded here.

use super::bits::BitReader;
use crate::base::{Digest, Error, Fields, FileTime, Result, Sha1Digest};

/// Which transforms a delta asks for, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u64);

impl Flags {
    /// Undo the translation of x86 calls in the target.
    pub const E8: Self = Self(0x1);
    /// Mark what is not code (i386).
    pub const MARK: Self = Self(0x2);
    /// Imports.
    pub const IMPORTS: Self = Self(0x4);
    /// Exports.
    pub const EXPORTS: Self = Self(0x8);
    /// Resources.
    pub const RESOURCES: Self = Self(0x10);
    /// Base relocations.
    pub const RELOCATIONS: Self = Self(0x20);
    /// Lock prefixes (i386).
    pub const LOCK_PREFIXES: Self = Self(0x40);
    /// Relative jumps (i386).
    pub const JUMPS: Self = Self(0x80);
    /// Relative calls (i386).
    pub const CALLS: Self = Self(0x100);
    /// Relative operands (amd64).
    pub const DISASSEMBLY: Self = Self(0x200);
    /// Exception directory (amd64).
    pub const PDATA: Self = Self(0x400);
    /// Unbind imports.
    pub const UNBIND: Self = Self(0x2000);
    /// Tokens in the code of managed methods.
    pub const CLI_DISASSEMBLY: Self = Self(0x4000);
    /// Metadata tables of managed images.
    pub const CLI_METADATA: Self = Self(0x8000);

    /// Bits whose transform is known, or that ask for none here: IA-64 ones, which no other machine has, and the two that
    /// lift limits of Windows' own decoder.
    const KNOWN: u64 = 0x6_FFFF & !0x1_0000;

    /// True when all bits of `flag` are set.
    #[must_use]
    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }
}

/// The kind of a delta's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// Any file: no transforms.
    Raw,
    /// A PE image for i386.
    I386,
    /// A PE image for amd64.
    Amd64,
}

/// What a delta says about itself.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    /// Magic: `PA30` or `PA31`.
    pub magic: [u8; 4],
    /// Last write of the target.
    pub target_time: FileTime,
    /// Kind of the reference.
    pub file_type: FileType,
    /// Transforms.
    pub flags: Flags,
    /// Length of the target, in bytes.
    pub target_size: u64,
    /// Digest of the target; none when the delta does not state one.
    pub target_digest: Option<Digest>,
    /// The stream with rifts for PE files, and its offset in the delta.
    pub preprocess: (&'a [u8], u64),
    /// The stream with the target's bytes, and its offset in the delta.
    pub patch: (&'a [u8], u64),
}

/// A Windows Compression API container in place of a patch stream (PA31).
const COMPRESSED_PATCH: [u8; 4] = [0x0A, 0x51, 0xE5, 0xC0];
/// FileTypeSet: a reverse delta.
const REVERSE: i64 = 0x100;

impl<'a> Header<'a> {
    /// True when `bytes` begin as a delta of any kind does.
    #[must_use]
    pub fn looks_like_one(bytes: &[u8]) -> bool {
        [b"PA30", b"PA31", b"PA19"].iter().any(|magic| bytes.starts_with(*magic))
    }

    /// Reads the outer layer of `delta`.
    ///
    /// # Errors
    /// `Format` when it is none or breaks its rules; `Unsupported`, by name, for what [the module](self) says.
    pub fn parse(delta: &'a [u8]) -> Result<Self> {
        let mut fields = Fields::new("delta header", delta, 0);
        let magic = fields.array::<4>("magic")?;
        match &magic {
            b"PA30" | b"PA31" => {}
            b"PA19" => return Err(refused("a PA19 delta (PatchAPI)")),
            _ => return Err(fields.error_before("magic", 4, "is not PA30, so this is no delta")),
        }
        let target_time = FileTime(fields.u64("target time")?);
        let mut outer = BitReader::new("delta header", fields.rest(), fields.offset())?;
        let (file_type, flags, target_size, target_digest);
        if magic == *b"PA31" {
            let (header, at) = outer.buffer("header")?;
            let mut inner = BitReader::new("delta header", header, at)?;
            (file_type, flags, target_size, target_digest) = read_items(&mut inner)?;
        } else {
            (file_type, flags, target_size, target_digest) = read_items(&mut outer)?;
        }
        let preprocess = outer.buffer("preprocess buffer")?;
        let patch = outer.buffer("patch buffer")?;
        outer.finish("end of the delta")?;
        if magic == *b"PA31" && patch.0.starts_with(&COMPRESSED_PATCH) {
            return Err(refused("a PA31 delta whose patch is a compressed container"));
        }
        Ok(Self { magic, target_time, file_type, flags, target_size, target_digest, preprocess, patch })
    }
}

fn refused(what: &str) -> Error {
    Error::unsupported(format!("{what} is not supported by this version"))
        .remedy("expand the package with Windows' own tools")
}

fn read_items(bits: &mut BitReader<'_>) -> Result<(FileType, Flags, u64, Option<Digest>)> {
    if bits.number("FileTypeSet")? & REVERSE != 0 {
        return Err(refused("a reverse delta (FileTypeSet 0x100)"));
    }
    let file_type = match bits.number("FileType")? {
        0x1 => FileType::Raw,
        0x2 => FileType::I386,
        0x8 => FileType::Amd64,
        0x4 => return Err(refused("a delta of an IA-64 image (FileType 0x4)")),
        0x10 | 0x20 => return Err(refused("a delta of a CLI4 image (FileType 0x10 or 0x20)")),
        0x40 | 0x80 => return Err(refused("a delta of an ARM image (FileType 0x40 or 0x80)")),
        other => return Err(bits.error("FileType", format!("{other:#x} is none that exists"))),
    };
    let flags = bits.number("Flags")?.cast_unsigned();
    if flags & !Flags::KNOWN != 0 {
        return Err(refused(&format!("a delta with the unknown flags {:#x}", flags & !Flags::KNOWN)));
    }
    let target_size = bits.size("TargetSize")?;
    let algorithm = bits.number("HashAlgId")?;
    let (digest, _) = bits.buffer("TargetHash")?;
    let stated = match algorithm {
        0 => Some(None),
        0x8003 => digest.try_into().ok().map(|bytes| Some(Digest::Md5(bytes))),
        0x8004 => digest.try_into().ok().map(|bytes| Some(Digest::Sha1(Sha1Digest(bytes)))),
        0x800C => digest.try_into().ok().map(|bytes| Some(Digest::Sha256(bytes))),
        other => return Err(refused(&format!("a delta with the unknown digest algorithm {other:#x}"))),
    };
    let Some(target_digest) = stated else {
        let message = format!("{} bytes, not what algorithm {algorithm:#x} gives", digest.len());
        return Err(bits.error("TargetHash", message));
    };
    Ok((file_type, Flags(flags), target_size, target_digest))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::bits::tests::BitWriter;
    use super::*;
    use crate::base::ErrorKind;

    /// A delta of these header items and streams.
    pub(in crate::formats::delta) fn delta(items: [i64; 5], hash: &[u8], p: &[u8], q: &[u8]) -> Vec<u8> {
        let mut writer = BitWriter::new();
        items.iter().for_each(|&item| {
            writer.number(item);
        });
        let mut bytes = b"PA30\x01\0\0\0\0\0\0\0".to_vec();
        bytes.extend(writer.buffer(hash).buffer(p).buffer(q).finish());
        bytes
    }

    #[test]
    fn the_items_are_read() {
        let bytes = delta([15, 8, 0x2E63E, 700, 0x8003], &[7; 16], &[1, 2], &[3]);
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.file_type, header.target_size), (FileType::Amd64, 700));
        assert!(header.flags.has(Flags::PDATA) && !header.flags.has(Flags::CALLS));
        assert_eq!(header.target_digest, Some(Digest::Md5([7; 16])));
        assert_eq!((header.preprocess.0, header.patch.0), (&[1, 2][..], &[3][..]));
        let at = usize::try_from(header.preprocess.1).unwrap();
        assert_eq!(bytes[at..at + 2], [1, 2]);
    }

    #[test]
    fn pa31_keeps_its_items_in_a_buffer() {
        let mut inner = BitWriter::new();
        [15, 1, 0x20000, 5, 0x800C].iter().for_each(|&item| {
            inner.number(item);
        });
        let inner = inner.buffer(&[9; 32]).number(0).number(0).number(0).buffer(&[]).finish();
        let make = |patch: &[u8]| {
            let mut bytes = b"PA31\0\0\0\0\0\0\0\0".to_vec();
            bytes.extend(BitWriter::new().buffer(&inner).buffer(&[]).buffer(patch).finish());
            bytes
        };
        let bytes = make(&[3]);
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.target_size, header.target_digest), (5, Some(Digest::Sha256([9; 32]))));
        let compressed = Header::parse(&make(&[0x0A, 0x51, 0xE5, 0xC0, 0])).unwrap_err().kind();
        assert_eq!(compressed, ErrorKind::Unsupported);
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let refusal = |items: [i64; 5]| Header::parse(&delta(items, &[], &[], &[])).unwrap_err();
        for (items, name) in [
            ([0x10F, 1, 0, 5, 0], "reverse delta"),
            ([15, 4, 0, 5, 0], "IA-64"),
            ([15, 0x20, 0, 5, 0], "CLI4"),
            ([15, 0x80, 0, 5, 0], "ARM"),
            ([15, 1, 0x1_0000, 5, 0], "unknown flags 0x10000"),
            ([15, 1, 0, 5, 77], "digest algorithm 0x4d"),
        ] {
            let error = refusal(items);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
        for items in [[15, 3, 0, 5, 0], [15, 1, 0, -5, 0], [15, 1, 0, 5, 0x8003]] {
            assert_eq!(refusal(items).kind(), ErrorKind::Format);
        }
        let error = Header::parse(b"PA19\0\0\0\0\0\0\0\0\0\0").unwrap_err();
        assert!(error.to_string().contains("PA19"), "{error}");
        assert_eq!(Header::parse(b"MZ..").unwrap_err().kind(), ErrorKind::Format);
        assert!(!Header::looks_like_one(b"MZ") && Header::looks_like_one(b"PA30"));
    }
}
