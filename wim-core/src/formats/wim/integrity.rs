//! The integrity table: SHA-1s of 10 MiB slices of the file (wim-format 12).
//!
//! It covers the bytes from the end of the header to the end of the lookup table. Hashing the slices is `transfer`'s, in
//! parallel; here is only the table itself.

use crate::base::{Error, Fields, Result, Sha1Digest};

const STRUCTURE: &str = "integrity table";
const HEADER_BYTES: usize = 12;

/// Slice size of all writers: 10 MiB.
pub const SLICE_BYTES: u32 = 10 << 20;

/// The table: a digest for each slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrityTable {
    /// Bytes of each slice but the last.
    pub slice_bytes: u32,
    /// Digests in file order.
    pub digests: Vec<Sha1Digest>,
}

impl IntegrityTable {
    /// Reads the table's bytes, which lie at `offset` and cover `covered` bytes of the file.
    ///
    /// # Errors
    /// `Format` when sizes and counts do not fit each other.
    pub fn parse(bytes: &[u8], offset: u64, covered: u64) -> Result<Self> {
        let mut f = Fields::new(STRUCTURE, bytes, offset);
        let size = f.u32("size")?;
        let entries = f.u32("entries")?;
        let slice_bytes = f.u32("slice size")?;
        if size as usize != bytes.len() || u64::from(size) != HEADER_BYTES as u64 + 20 * u64::from(entries) {
            let message =
                format!("{size} bytes with {entries} entries in a resource of {} bytes", bytes.len());
            return Err(Error::format(STRUCTURE, "size", offset, message));
        }
        if slice_bytes == 0 || covered.div_ceil(u64::from(slice_bytes)) != u64::from(entries) {
            let message = format!("{entries} slices of {slice_bytes} bytes do not cover {covered} bytes");
            return Err(Error::format(STRUCTURE, "slice size", offset + 8, message));
        }
        let (digests, _) = f.rest().as_chunks::<20>();
        Ok(Self { slice_bytes, digests: digests.iter().map(|&d| Sha1Digest(d)).collect() })
    }

    /// The bytes on disk.
    ///
    /// # Errors
    /// `Limit` for a file so large that the table's 32-bit size field overflows.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let length = HEADER_BYTES + 20 * self.digests.len();
        let too_large = |_| Error::limit(format!("{STRUCTURE}: {length} bytes do not fit its size field"));
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(&u32::try_from(length).map_err(too_large)?.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.digests.len()).map_err(too_large)?.to_le_bytes());
        out.extend_from_slice(&self.slice_bytes.to_le_bytes());
        self.digests.iter().for_each(|digest| out.extend_from_slice(&digest.0));
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_back_and_lies_are_refused() {
        let table =
            IntegrityTable { slice_bytes: 100, digests: vec![Sha1Digest::of(b"a"), Sha1Digest::of(b"b")] };
        let bytes = table.to_bytes().unwrap();
        assert_eq!(bytes[..4], [52, 0, 0, 0]);
        assert_eq!(IntegrityTable::parse(&bytes, 0, 101).unwrap(), table);
        assert!(IntegrityTable::parse(&bytes, 0, 100).is_err(), "one slice would do");
        assert!(IntegrityTable::parse(&bytes, 0, 201).is_err(), "three would be needed");
        assert!(IntegrityTable::parse(&bytes[..51], 0, 101).is_err());
        let mut zero = bytes.clone();
        zero[8] = 0;
        assert!(IntegrityTable::parse(&zero, 0, 101).is_err());
        for length in 0..bytes.len() {
            assert!(IntegrityTable::parse(&bytes[..length], 0, 101).is_err());
        }
    }
}
