//! The 208 bytes at the start of a WIM (wim-format 2).

use super::chunk_codec::{ChunkFormat, Compression};
use super::pipable::WimLayout;
use super::resource_header::ResourceHeader;
use crate::base::{ChunkSize, Error, Fields, Guid, PartNumber, Result};

const STRUCTURE: &str = "WIM header";
/// The first bytes of a WIM file.
pub const MAGIC: &[u8; 8] = b"MSWIM\0\0\0";
const PIPABLE_MAGIC: &[u8; 8] = b"WLPWM\0\0\0";
/// More images than this are refused: the count is 32 bits wide, but no software writes more.
const MAX_IMAGES: u32 = 65_535;

/// The two versions in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WimVersion {
    /// 0x10D00, "1.13": Vista to today.
    Standard,
    /// 0xE00, "0.14": solid resources and LZMS, Windows 8 and later.
    Solid,
}

impl WimVersion {
    /// The number on disk.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Standard => 0x0001_0D00,
            Self::Solid => 0x0000_0E00,
        }
    }
}

/// The header's flag bits; unknown ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HeaderFlags(pub u32);

impl HeaderFlags {
    /// Resources may be compressed.
    pub const COMPRESSION: u32 = 0x2;
    /// The file must not be changed.
    pub const READONLY: u32 = 0x4;
    /// One file of a split set.
    pub const SPANNED: u32 = 0x8;
    /// Holds no metadata; not to be relied on.
    pub const RESOURCE_ONLY: u32 = 0x10;
    /// Holds only metadata; not to be relied on.
    pub const METADATA_ONLY: u32 = 0x20;
    /// Set while a program writes; left behind by a crash.
    pub const WRITE_IN_PROGRESS: u32 = 0x40;
    /// Reparse points were made relative to the captured tree.
    pub const RP_FIX: u32 = 0x80;
    /// XPRESS.
    pub const COMPRESS_XPRESS: u32 = 0x2_0000;
    /// LZX.
    pub const COMPRESS_LZX: u32 = 0x4_0000;
    /// LZMS.
    pub const COMPRESS_LZMS: u32 = 0x8_0000;
    /// Seen with XPRESS in chunks other than 32 KiB (wimlib and 7-Zip both guess).
    pub const COMPRESS_XPRESS_2: u32 = 0x20_0000;

    /// True when all bits of `bits` are set.
    #[must_use]
    pub fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }
}

/// The header of one WIM file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WimHeader {
    /// Version.
    pub version: WimVersion,
    /// Flag bits.
    pub flags: HeaderFlags,
    /// How non-solid compressed resources are compressed.
    pub format: ChunkFormat,
    /// The chunk size field as it stands; 0 or anything in uncompressed files.
    pub chunk_size_field: u32,
    /// Identity, the same in all parts of a split set.
    pub guid: Guid,
    /// This part's number.
    pub part: PartNumber,
    /// Parts in the set.
    pub total_parts: u16,
    /// Images.
    pub image_count: u32,
    /// Lookup table.
    pub lookup_table: ResourceHeader,
    /// XML data.
    pub xml: ResourceHeader,
    /// Copy of the bootable image's metadata resource header, or zeros.
    pub boot_metadata: ResourceHeader,
    /// 1-based bootable image; 0 for none.
    pub boot_index: u32,
    /// Integrity table, or zeros.
    pub integrity: ResourceHeader,
}

impl WimHeader {
    /// Bytes on disk.
    pub const BYTES: usize = 208;

    /// Reads the header from the first [`Self::BYTES`] bytes of a file. Offsets are not checked against the file's size.
    ///
    /// # Errors
    /// `Format` for anything that is no WIM or breaks a rule; `Unsupported` for other versions, by name.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut f = Fields::new(STRUCTURE, bytes, 0);
        let magic: [u8; 8] = f.array("magic").map_err(|_| not_a_wim(&f))?;
        let layout = match &magic {
            MAGIC => WimLayout::Standard,
            PIPABLE_MAGIC => WimLayout::Pipable,
            _ => return Err(not_a_wim(&f)),
        };
        let header_bytes = f.u32("header size")?;
        let version = parse_version(&mut f)?;
        if header_bytes as usize != Self::BYTES {
            return Err(Error::format(
                STRUCTURE,
                "header size",
                8,
                format!("{header_bytes} bytes instead of 208"),
            ));
        }
        let flags = HeaderFlags(f.u32("flags")?);
        let chunk_size_field = f.u32("chunk size")?;
        let format = parse_format(flags, chunk_size_field, version)?.in_layout(layout);
        let guid = Guid(f.array("GUID")?);
        let (part, total_parts) = parse_parts(&mut f)?;
        let image_count = f.u32("image count")?;
        if image_count > MAX_IMAGES {
            return Err(f.error_before(
                "image count",
                4,
                format!("{image_count} images, at most {MAX_IMAGES} are allowed"),
            ));
        }
        let lookup_table = ResourceHeader::parse(&mut f, "lookup table")?;
        let xml = ResourceHeader::parse(&mut f, "XML data")?;
        let boot_metadata = ResourceHeader::parse(&mut f, "boot metadata")?;
        let boot_index = f.u32("boot index")?;
        let integrity = ResourceHeader::parse(&mut f, "integrity table")?;
        f.skip("unused", 60)?;
        Ok(Self {
            version,
            flags,
            format,
            chunk_size_field,
            guid,
            part,
            total_parts,
            image_count,
            lookup_table,
            xml,
            boot_metadata,
            boot_index,
            integrity,
        })
    }

    /// The bytes on disk.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(match self.format.layout() {
            WimLayout::Standard => MAGIC,
            WimLayout::Pipable => PIPABLE_MAGIC,
        });
        out.extend_from_slice(&208u32.to_le_bytes());
        out.extend_from_slice(&self.version.number().to_le_bytes());
        out.extend_from_slice(&self.flags.0.to_le_bytes());
        out.extend_from_slice(&self.chunk_size_field.to_le_bytes());
        out.extend_from_slice(&self.guid.0);
        out.extend_from_slice(&self.part.number().to_le_bytes());
        out.extend_from_slice(&self.total_parts.to_le_bytes());
        out.extend_from_slice(&self.image_count.to_le_bytes());
        out.extend_from_slice(&self.lookup_table.to_bytes());
        out.extend_from_slice(&self.xml.to_bytes());
        out.extend_from_slice(&self.boot_metadata.to_bytes());
        out.extend_from_slice(&self.boot_index.to_le_bytes());
        out.extend_from_slice(&self.integrity.to_bytes());
        out.resize(Self::BYTES, 0);
        out.try_into().expect("the fields and the unused rest are 208 bytes")
    }
}

fn not_a_wim(f: &Fields<'_>) -> Error {
    Error::format(
        STRUCTURE,
        "magic",
        0,
        format!("not a WIM file ({} bytes do not begin with MSWIM)", f.remaining()),
    )
    .remedy("give a .wim, .swm or .esd file")
}

fn parse_version(f: &mut Fields<'_>) -> Result<WimVersion> {
    match f.u32("version")? {
        0x0001_0D00 => Ok(WimVersion::Standard),
        0x0000_0E00 => Ok(WimVersion::Solid),
        other => Err(Error::unsupported(format!(
            "WIM version {}.{} ({other:#x}) is not supported; versions 1.13 (0x10d00) and 0.14 (0xe00) are",
            other >> 16,
            other >> 8 & 0xFF
        ))
        .at(crate::base::Place::Field { structure: STRUCTURE, field: "version", offset: 12 })
        .remedy("files of Windows Vista betas must be converted with the tools of their time")),
    }
}

fn parse_format(flags: HeaderFlags, chunk_size_field: u32, version: WimVersion) -> Result<ChunkFormat> {
    if !flags.has(HeaderFlags::COMPRESSION) {
        return Ok(ChunkFormat::UNCOMPRESSED);
    }
    let named = [
        (HeaderFlags::COMPRESS_XPRESS | HeaderFlags::COMPRESS_XPRESS_2, Compression::Xpress),
        (HeaderFlags::COMPRESS_LZX, Compression::Lzx),
        (HeaderFlags::COMPRESS_LZMS, Compression::Lzms),
    ];
    let mut types = named.iter().filter(|(bits, _)| flags.0 & bits != 0).map(|&(_, compression)| compression);
    let bad_type = |what: &str| Error::format(STRUCTURE, "flags", 16, format!("{:#x} names {what}", flags.0));
    let compression = types.next().ok_or_else(|| bad_type("no known compression type"))?;
    if types.next().is_some() {
        return Err(bad_type("more than one compression type"));
    }
    if compression == Compression::Lzms && version == WimVersion::Standard {
        return Err(bad_type("LZMS, which version 1.13 does not have"));
    }
    ChunkSize::from_bytes(chunk_size_field).and_then(|size| ChunkFormat::new(compression, size)).ok_or_else(
        || {
            Error::format(
                STRUCTURE,
                "chunk size",
                20,
                format!("{chunk_size_field} bytes is not a chunk size of {compression}"),
            )
        },
    )
}

fn parse_parts(f: &mut Fields<'_>) -> Result<(PartNumber, u16)> {
    let number = f.u16("part number")?;
    let total = f.u16("total parts")?;
    match PartNumber::new(number) {
        Some(part) if number <= total => Ok((part, total)),
        _ => Err(f.error_before("part number", 4, format!("part {number} of {total}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    /// The header of wim-format 23.1.
    fn worked_header() -> Vec<u8> {
        let hex = "4d5357494d000000d0000000000d0100 8200040000800000 9eadb062ab47cace781601e3073951f0 0100010002000000\
                   fa00000000000002e198000000000000fa00000000000000 0206000000000002db990000000000000206000000000000\
                   000000000000000000000000000000000000000000000000 00000000\
                   2000000000000000dd9f0000000000002000000000000000";
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let mut bytes: Vec<u8> = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        bytes.resize(WimHeader::BYTES, 0);
        bytes
    }

    #[test]
    fn the_worked_header_reads_and_writes_back() {
        let bytes = worked_header();
        let header = WimHeader::parse(&bytes).unwrap();
        assert_eq!(header.version, WimVersion::Standard);
        assert_eq!(header.format.compression(), Compression::Lzx);
        assert_eq!((header.image_count, header.boot_index), (2, 0));
        assert_eq!((header.integrity.offset, header.integrity.stored_size), (0x9FDD, 32));
        assert_eq!(header.to_bytes().as_slice(), bytes);
    }

    #[test]
    fn a_pipable_header_differs_in_its_magic_only() {
        let header = altered(0, b"WLPWM").unwrap();
        assert_eq!(header.format.layout(), WimLayout::Pipable);
        assert_eq!(&header.to_bytes()[..8], b"WLPWM\0\0\0");
        let standard = WimHeader { format: header.format.in_layout(WimLayout::Standard), ..header };
        assert_eq!(standard, WimHeader::parse(&worked_header()).unwrap());
    }

    fn altered(offset: usize, value: &[u8]) -> Result<WimHeader> {
        let mut bytes = worked_header();
        bytes[offset..offset + value.len()].copy_from_slice(value);
        WimHeader::parse(&bytes)
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        for (offset, value, kind, text) in [
            (0, &b"MSCF"[..], ErrorKind::Format, "not a WIM"),
            (8, &[0xD4], ErrorKind::Format, "header size"),
            (12, &[0, 0x0A, 1, 0], ErrorKind::Unsupported, "version 1.10"),
            (16, &[0x82, 0, 0, 0], ErrorKind::Format, "no known compression type"),
            (16, &[0x82, 0, 6, 0], ErrorKind::Format, "more than one"),
            (16, &[0x82, 0, 8, 0], ErrorKind::Format, "LZMS"),
            (20, &[1], ErrorKind::Format, "chunk size"),
            (20, &[0, 0x40, 0, 0], ErrorKind::Format, "16384 bytes is not a chunk size of LZX"),
            (40, &[0], ErrorKind::Format, "part 0 of 1"),
            (40, &[2], ErrorKind::Format, "part 2 of 1"),
            (46, &[1], ErrorKind::Format, "image count"),
        ] {
            let error = altered(offset, value).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
        let bytes = worked_header();
        for length in 0..WimHeader::BYTES {
            assert!(WimHeader::parse(&bytes[..length]).is_err(), "{length}");
        }
    }
}
