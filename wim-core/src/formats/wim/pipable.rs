//! What wimlib's pipable WIMs ("PWM") have beside the resources: a header before every blob (wim-format 14).
//!
//! A pipable file can be written and read from its start to its end. The WIM header at its start knows no tables, a copy of
//! the XML data and all metadata come first, each resource stands behind a [`BlobHeader`], chunk tables stand behind their
//! chunks, each of which has its length before it, and the full WIM header comes last. What reads a pipe is in `transfer`;
//! nothing here knows one.

use super::resource_header::ResourceHeader;
use crate::base::{Fields, Result, Sha1Digest};

const STRUCTURE: &str = "blob header of a pipable WIM";

/// Where the parts of a WIM file and of its compressed resources stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum WimLayout {
    /// Microsoft's: one header, which says where everything is; chunk tables before their chunks.
    #[default]
    Standard,
    /// wimlib's for pipes.
    Pipable,
}

impl WimLayout {
    /// Bytes before each chunk of a compressed resource: its stored size, in the layout for pipes.
    #[must_use]
    pub fn chunk_prefix_bytes(self) -> u64 {
        match self {
            Self::Standard => 0,
            Self::Pipable => 4,
        }
    }

    /// Bytes before each resource.
    #[must_use]
    pub fn blob_header_bytes(self) -> u64 {
        match self {
            Self::Standard => 0,
            Self::Pipable => BlobHeader::BYTES as u64,
        }
    }
}

/// What stands before every blob of a pipable file, the tables among them; not before the integrity table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHeader {
    /// Bytes of the blob when uncompressed.
    pub size: u64,
    /// Its name.
    pub digest: Sha1Digest,
    /// [`ResourceHeader::METADATA`] and [`ResourceHeader::COMPRESSED`]; the former also for lookup table and XML data.
    pub flags: u32,
}

impl BlobHeader {
    /// Bytes on disk.
    pub const BYTES: usize = 40;
    /// The first eight bytes, as a number.
    pub const MAGIC: u64 = 0x2B9B_9BA2_443D_B9D8;

    /// Reads the header at `offset` of a file; sizes are not checked.
    ///
    /// # Errors
    /// `Format` when it is cut short or begins with something else.
    pub fn parse(bytes: &[u8], offset: u64) -> Result<Self> {
        let mut f = Fields::new(STRUCTURE, bytes, offset);
        let magic = f.u64("magic")?;
        if magic != Self::MAGIC {
            return Err(f
                .error_before("magic", 8, format!("{magic:#x} instead of {:#x}", Self::MAGIC))
                .remedy("the data is damaged, or something else was written between the blobs"));
        }
        Ok(Self { size: f.u64("size")?, digest: Sha1Digest(f.array("SHA-1")?), flags: f.u32("flags")? })
    }

    /// The bytes on disk.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&Self::MAGIC.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.digest.0);
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.try_into().expect("8 + 8 + 20 + 4 bytes")
    }

    /// True for image metadata, the lookup table and the XML data.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        self.flags & u32::from(ResourceHeader::METADATA) != 0
    }

    /// True when chunks follow instead of the bytes themselves.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.flags & u32::from(ResourceHeader::COMPRESSED) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_blob_written_by_wimlib_reads_and_writes_back() {
        let digest = Sha1Digest([
            0x69, 0x89, 0x84, 0x93, 0x39, 0xE6, 0xD0, 0xC7, 0xB2, 0x8E, 0x4C, 0x99, 0x33, 0x66, 0x1F, 0x51,
            0x77, 0xCC, 0xB4, 0x44,
        ]);
        let mut bytes = vec![0xD8, 0xB9, 0x3D, 0x44, 0xA2, 0x9B, 0x9B, 0x2B, 0xD0, 2, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&digest.0);
        bytes.extend_from_slice(&[6, 0, 0, 0]);
        let header = BlobHeader::parse(&bytes, 962).unwrap();
        assert_eq!(header, BlobHeader { size: 720, digest, flags: 6 });
        assert!(header.is_metadata() && header.is_compressed());
        assert_eq!(header.to_bytes().as_slice(), bytes);
        let cut = BlobHeader::parse(bytes.get(..39).unwrap(), 962).unwrap_err().to_string();
        assert!(cut.contains("field \"flags\""), "{cut}");
        *bytes.first_mut().unwrap() = 0;
        let other = BlobHeader::parse(&bytes, 962).unwrap_err().to_string();
        assert!(other.contains("field \"magic\", at 0x3c2"), "{other}");
    }
}
