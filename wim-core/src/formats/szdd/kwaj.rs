//! KWAJ: the later of COMPRESS.EXE's formats, with a method, optional length and optional name in its header.
//!
//! Described in libmspack's documentation. Methods 0 (stored), 1 (XOR with FF) and 2 (SZDD's LZSS) are here; 3 (LZH) and 4
//! (MSZIP) were never seen in a driver package and are refused by name.

use super::{MAX_EXPANDED, check_size, lzss};
use crate::base::{Error, Fields, Result};

pub(super) const SIGNATURE: [u8; 8] = *b"KWAJ\x88\xF0\x27\xD1";

const HAS_LENGTH: u16 = 0x01;

pub(super) fn expand(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut f = Fields::new("KWAJ header", bytes, 0);
    f.skip("signature", 8)?;
    let method = f.u16("method")?;
    let data_offset = usize::from(f.u16("data offset")?);
    let flags = f.u16("flags")?;
    let size = if flags & HAS_LENGTH != 0 { Some(u64::from(f.u32("length")?)) } else { None };
    check_size(size.unwrap_or(0))?;
    let data = bytes
        .get(data_offset..)
        .filter(|_| data_offset >= 14)
        .ok_or_else(|| f.error("data offset", format!("{data_offset} lies outside the file")))?;
    let limit = size.unwrap_or(MAX_EXPANDED);
    let out = match method {
        0 => data.to_vec(),
        1 => data.iter().map(|byte| byte ^ 0xFF).collect(),
        2 => lzss(data, 4096 - 16, limit)?,
        3 => return Err(Error::unsupported("KWAJ method 3 (LZH)")),
        4 => return Err(Error::unsupported("KWAJ method 4 (MSZIP)")),
        other => return Err(f.error("method", format!("{other} is none of the five known"))),
    };
    match size {
        Some(size) if (out.len() as u64) < size => {
            Err(f.error("length", format!("{size} bytes, but the data expands to {}", out.len())))
        }
        Some(size) => Ok(out.into_iter().take(usize::try_from(size).unwrap_or(usize::MAX)).collect()),
        None => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    fn file(method: u16, length: Option<u32>, data: &[u8]) -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        file.extend(method.to_le_bytes());
        file.extend((14 + if length.is_some() { 4 } else { 0_u16 }).to_le_bytes());
        file.extend(u16::from(length.is_some()).to_le_bytes());
        file.extend(length.iter().flat_map(|l| l.to_le_bytes()));
        file.extend(data);
        file
    }

    #[test]
    fn methods() {
        assert_eq!(expand(&file(0, None, b"abc")).unwrap(), b"abc");
        assert_eq!(expand(&file(1, Some(2), &[0x9E, 0x9D, 0x9C])).unwrap(), b"ab");
        assert_eq!(expand(&file(2, Some(2), &[0xFF, b'a', b'b'])).unwrap(), b"ab");
        assert_eq!(expand(&file(3, None, b"")).unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(expand(&file(0, Some(9), b"abc")).is_err());
        assert!(expand(&file(9, None, b"abc")).is_err());
        let whole = file(2, Some(2), &[0xFF, b'a', b'b']);
        for end in 0..whole.len() {
            assert!(expand(&whole[..end]).is_err(), "{end}");
        }
    }
}
