//! The table of security descriptors at the start of a metadata resource.
//!
//! Described in wimlib's `security.c`: total length, count, one 64-bit size each, then the self-relative descriptors back
//! to back. The descriptors themselves are opaque here; nothing looks into an ACL.

use crate::base::{Fields, Result};

/// Name of the structure in errors.
const STRUCTURE: &str = "security table";
/// Total length and count.
const HEADER_BYTES: u64 = 8;
/// Each size is a `u64`.
const SIZE_BYTES: usize = 8;

/// The descriptors of one image, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityData<'a> {
    /// Self-relative descriptors; one of zero bytes is legal and means that there is none at this id.
    pub descriptors: Vec<&'a [u8]>,
    /// Offset of the root dentry: the table's length, rounded up to 8.
    pub end: u64,
}

/// Parses the table at the start of `metadata`.
///
/// # Errors
/// `Format` when the table does not fit into the resource, or the descriptors do not fit into the table.
pub fn parse(metadata: &[u8]) -> Result<SecurityData<'_>> {
    let mut f = Fields::new(STRUCTURE, metadata, 0);
    // A length of 0 stands for the header alone (seen in images of early beta versions).
    let total = match u64::from(f.u32("total length")?) {
        0 => HEADER_BYTES,
        total => total,
    };
    let end = total.next_multiple_of(8);
    if total < HEADER_BYTES || end > metadata.len() as u64 {
        return Err(f.error_before(
            "total length",
            4,
            format!("{total} bytes, but the metadata resource has {}", metadata.len()),
        ));
    }
    let table = usize::try_from(total).ok().and_then(|total| metadata.get(..total)).unwrap_or(metadata);
    let mut f = Fields::new(STRUCTURE, table, 0);
    f.skip("total length", 4)?;
    let count = f.count("descriptors", SIZE_BYTES)?;
    let mut sizes = Vec::with_capacity(count);
    for _ in 0..count {
        let size = f.u64("descriptor size")?;
        match usize::try_from(size) {
            Ok(size) if size <= table.len() => sizes.push(size),
            _ => {
                let message = format!("{size} bytes, in a table of {total} bytes");
                return Err(f.error_before("descriptor size", SIZE_BYTES, message));
            }
        }
    }
    let descriptors = sizes.into_iter().map(|size| f.bytes("descriptor", size)).collect::<Result<_>>()?;
    Ok(SecurityData { descriptors, end })
}

/// Bytes that a table of descriptors of these sizes takes, padding included.
#[must_use]
pub fn stored_bytes(sizes: impl Iterator<Item = usize>) -> u64 {
    let content: u64 = sizes.map(|size| (SIZE_BYTES + size) as u64).sum();
    (HEADER_BYTES + content).next_multiple_of(8)
}

/// Appends the table of `descriptors` to the empty `out`.
///
/// The caller keeps the whole below 4 GiB, which is what the length field can say.
pub fn write_to<'a, I>(descriptors: I, out: &mut Vec<u8>)
where
    I: Iterator<Item = &'a [u8]> + Clone + ExactSizeIterator,
{
    let total = stored_bytes(descriptors.clone().map(<[u8]>::len));
    out.extend_from_slice(&u32::try_from(total).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&u32::try_from(descriptors.len()).unwrap_or(u32::MAX).to_le_bytes());
    for descriptor in descriptors.clone() {
        out.extend_from_slice(&(descriptor.len() as u64).to_le_bytes());
    }
    for descriptor in descriptors {
        out.extend_from_slice(descriptor);
    }
    out.resize(out.len().next_multiple_of(8), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(descriptors: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        write_to(descriptors.iter().copied(), &mut out);
        out
    }

    #[test]
    fn an_empty_table_is_eight_bytes() {
        assert_eq!(table(&[]), [8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&[0; 8]).unwrap(), SecurityData { descriptors: vec![], end: 8 });
    }

    #[test]
    fn descriptors_come_back_with_empty_ones_in_place() {
        let bytes = table(&[b"first", b"", b"third descriptor"]);
        assert_eq!(bytes.len() % 8, 0);
        let data = parse(&bytes).unwrap();
        assert_eq!(data.descriptors, [&b"first"[..], b"", b"third descriptor"]);
        assert_eq!(data.end, bytes.len() as u64);
    }

    #[test]
    fn lying_sizes_and_counts_are_refused() {
        let good = table(&[b"0123456789"]);
        for (at, value) in
            [(0usize, 7u8), (0, 0xF0), (3, 0x80), (4, 2), (7, 0x80), (8, 0xFF), (12, 1), (15, 0x80)]
        {
            let mut bad = good.clone();
            if let Some(byte) = bad.get_mut(at) {
                *byte = value;
            }
            assert!(parse(&bad).is_err(), "byte {at} = {value:#x}");
        }
        for length in 0..good.len() {
            assert!(parse(good.get(..length).unwrap()).is_err(), "{length} bytes");
        }
    }
}
