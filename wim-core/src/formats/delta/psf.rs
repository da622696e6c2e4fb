//! PSF files (`PSTREAM`): the payload of later packages, addressed by a container index.
//!
//! Known from asdcorp/psfextract: a magic and, at offset 40, where an embedded index lies, which is a delta without
//! reference. The index itself is `cbs::cix`'s business; the INI-like indexes of Windows 2000 and XP are not read.

use crate::base::{Error, Fields, ReadAt, Result};

/// The start of a file.
const MAGIC: [u8; 7] = *b"PSTREAM";
/// Bytes by which a file is told.
pub const MAGIC_BYTES: usize = MAGIC.len();
/// Where the place of the embedded index stands.
const INDEX_FIELDS_AT: usize = 40;
const HEADER_BYTES: usize = 48;
/// Largest embedded index, packed; those of cumulative updates have some megabytes.
const MAX_PACKED_INDEX_BYTES: u32 = 64 << 20;

/// True when `bytes` begin as a PSF file does.
#[must_use]
pub fn looks_like_one(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The packed index inside the file `source`; none when it has none, because it lies beside the file.
///
/// # Errors
/// `Format` when it is no PSF file or the index does not lie inside it; `Io` when reading fails.
pub fn embedded_index(source: &dyn ReadAt) -> Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER_BYTES];
    let read = |buf: &mut [u8], offset: u64| crate::base::read_at::read_exact_at(source, buf, offset);
    if source.size() < HEADER_BYTES as u64 {
        return Err(Error::format("PSF header", "magic", 0, "the file is too short"));
    }
    read(&mut header, 0)?;
    let mut fields = Fields::new("PSF header", &header, 0);
    if fields.array::<7>("magic")? != MAGIC {
        return Err(fields.error_before("magic", 7, "is not PSTREAM"));
    }
    fields.skip("unknown fields", INDEX_FIELDS_AT - MAGIC.len())?;
    let (offset, length) = (fields.u32("index offset")?, fields.u32("index length")?);
    if length == 0 {
        return Ok(None);
    }
    if length > MAX_PACKED_INDEX_BYTES || u64::from(offset) + u64::from(length) > source.size() {
        let message =
            format!("{length} bytes at {offset:#x} do not lie in a file of {} bytes", source.size());
        return Err(fields.error_before("index length", 4, message));
    }
    let mut index = vec![0; length as usize];
    read(&mut index, offset.into())?;
    Ok(Some(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_index_is_found_or_refused() {
        let mut file = b"PSTREAM".to_vec();
        file.resize(40, 0);
        file.extend([48, 0, 0, 0, 3, 0, 0, 0]);
        file.extend(b"abc");
        assert_eq!(embedded_index(&file).unwrap().unwrap(), b"abc");
        file.pop();
        assert!(embedded_index(&file).is_err());
        file[44] = 0;
        assert!(embedded_index(&file).unwrap().is_none());
        assert!(embedded_index(&vec![0; 60]).is_err() && embedded_index(&b"PST".to_vec()).is_err());
    }
}
