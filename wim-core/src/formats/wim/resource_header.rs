//! The 24 bytes that say where a resource lies (wim-format 3).

use crate::base::{Fields, Result};

/// Where a resource lies, how large it is, and how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ResourceHeader {
    /// Bytes in the WIM file, chunk table included; at most 2^56 − 1.
    pub stored_size: u64,
    /// [`Self::METADATA`] and so on.
    pub flags: u8,
    /// Offset in the WIM file.
    pub offset: u64,
    /// Bytes when uncompressed.
    pub size: u64,
}

impl ResourceHeader {
    /// Bytes on disk.
    pub const BYTES: usize = 24;
    /// Image metadata; also set on the lookup table and the XML data.
    pub const METADATA: u8 = 0x02;
    /// Compressed in chunks with the header's type and chunk size.
    pub const COMPRESSED: u8 = 0x04;
    /// Part of a solid resource; only in version 0xE00.
    pub const SOLID: u8 = 0x10;

    /// Reads one; sizes and offsets are not yet checked against the file.
    ///
    /// # Errors
    /// `Format` when fewer than 24 bytes are left.
    pub fn parse(f: &mut Fields<'_>, field: &'static str) -> Result<Self> {
        let size_and_flags = f.u64(field)?;
        Ok(Self {
            stored_size: size_and_flags & 0x00FF_FFFF_FFFF_FFFF,
            flags: size_and_flags.to_le_bytes()[7],
            offset: f.u64(field)?,
            size: f.u64(field)?,
        })
    }

    /// The bytes on disk.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (size, rest) = bytes.split_at_mut(8);
        let (offset, uncompressed) = rest.split_at_mut(8);
        size.copy_from_slice(&(self.stored_size | u64::from(self.flags) << 56).to_le_bytes());
        offset.copy_from_slice(&self.offset.to_le_bytes());
        uncompressed.copy_from_slice(&self.size.to_le_bytes());
        bytes
    }

    /// True when nothing is stored.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.stored_size == 0
    }

    /// True when it is compressed in chunks of its own.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.flags & Self::COMPRESSED != 0
    }

    /// True when it is, or lies in, a solid resource.
    #[must_use]
    pub fn is_solid(&self) -> bool {
        self.flags & Self::SOLID != 0
    }

    /// True for image metadata.
    #[must_use]
    pub fn is_metadata(&self) -> bool {
        self.flags & Self::METADATA != 0
    }

    /// Offset just past the stored bytes; none when it overflows.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.stored_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lookup_table_entry_of_the_worked_header_reads_and_writes_back() {
        // wim-format 23.1, offset 0x30.
        let mut bytes = [0u8; 24];
        bytes[0] = 0xFA;
        bytes[7] = 2;
        bytes[8..11].copy_from_slice(&[0xE1, 0x98, 0]);
        bytes[16] = 0xFA;
        let header = ResourceHeader::parse(&mut Fields::new("header", &bytes, 0), "lookup table").unwrap();
        assert_eq!(header, ResourceHeader { stored_size: 250, flags: 2, offset: 0x98E1, size: 250 });
        assert_eq!(header.to_bytes(), bytes);
    }
}
