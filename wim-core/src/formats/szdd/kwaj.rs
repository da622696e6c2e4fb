//! KWAJ: the later of COMPRESS.EXE's formats, with a method, optional length and optional name in its header.
//!
//! Described in libmspack's documentation. Methods 0 (stored), 1 (XOR with FF), 2 (SZDD's LZSS) and 4 (MSZIP) are here, 3 (LZH) lies
//! beside. The name in the header is not looked at: who asks for the file knows it.

use super::{MAX_EXPANDED, check_size, lzh, lzss};
use crate::base::mszip::{BLOCK_BYTES, MszipDecoder};
use crate::base::{Error, Fields, Result};

pub(super) const SIGNATURE: [u8; 8] = *b"KWAJ\x88\xF0\x27\xD1";

const HAS_LENGTH: u16 = 0x01;
/// A file expands to so many times its data at most, as archives of packages do, …
const MOST_TIMES: u64 = 100;
/// … or to this.
const ALWAYS_ALLOWED: u64 = 1 << 20;

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
    let most = (data.len() as u64).saturating_mul(MOST_TIMES).clamp(ALWAYS_ALLOWED, MAX_EXPANDED);
    let too_large = || {
        let why = if most < MAX_EXPANDED {
            format!("{MOST_TIMES} times its data")
        } else {
            "the most that is read".into()
        };
        Error::limit(format!("it expands to more than {most} bytes, {why}"))
    };
    let limit = size.unwrap_or(most);
    if limit > most {
        return Err(too_large());
    }
    let out = match method {
        0 => data.to_vec(),
        1 => data.iter().map(|byte| byte ^ 0xFF).collect(),
        2 => lzss(data, 4096 - 16, limit)?,
        3 => lzh::expand(data, limit)?,
        4 => mszip(data, limit)?,
        other => return Err(f.error("method", format!("{other} is none of the five known"))),
    };
    match size {
        Some(size) if (out.len() as u64) < size => {
            Err(f.error("length", format!("{size} bytes, but the data expands to {}", out.len())))
        }
        Some(size) => Ok(out.into_iter().take(usize::try_from(size).unwrap_or(usize::MAX)).collect()),
        // Nothing says whether that was all.
        None if out.len() as u64 >= most => Err(too_large()),
        None => Ok(out),
    }
}

/// Blocks, each behind its length, up to a length of zero or the end.
fn mszip(mut data: &[u8], limit: u64) -> Result<Vec<u8>> {
    let bad = |what: String| Error::format("KWAJ data", "MSZIP blocks", 0, what);
    let (mut decoder, mut block, mut out) = (MszipDecoder::new(), vec![0; BLOCK_BYTES], Vec::new());
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes(*length));
        if length == 0 || out.len() as u64 >= limit {
            break;
        }
        let (stored, rest) = rest.split_at_checked(length).ok_or_else(|| {
            bad(format!(
                "the data ends within a block of {length} bytes, after {} bytes of output",
                out.len()
            ))
        })?;
        let size = decoder.decode(stored, &mut block).map_err(bad)?;
        out.extend_from_slice(block.get(..size).unwrap_or_default());
        data = rest;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ErrorKind, hex};

    fn file(method: u16, length: Option<u32>, data: &[u8]) -> Vec<u8> {
        let mut file = SIGNATURE.to_vec();
        file.extend(method.to_le_bytes());
        file.extend((14 + if length.is_some() { 4 } else { 0_u16 }).to_le_bytes());
        file.extend(u16::from(length.is_some()).to_le_bytes());
        file.extend(length.iter().flat_map(|l| l.to_le_bytes()));
        file.extend(data);
        file
    }

    /// A file made by another program, with codes written in all four ways; libmspack expands it to the same.
    #[test]
    fn lzh_is_what_libmspack_takes_it_for() {
        let file = hex::decode(
            "4b57414a88f027d103001200010013000000312000449534675529255846da\
             2d2d0596da2b09726b03ceda2d73b719f1a7269b95567f5f8c7e2fd65b50",
        )
        .unwrap();
        let expected = [&[0x67, 0xF5][..], &[b' '; 17]].concat();
        assert_eq!(expand(&file).unwrap(), expected);
        for end in 0..file.len() - 1 {
            assert!(expand(&file[..end]).is_err(), "{end}");
        }
    }

    /// Five megabytes that came to a gigabyte: a file has one limit, whatever its data would allow.
    #[test]
    fn a_file_that_expands_to_hundreds_of_megabytes_is_refused() {
        let mut zeros = b"CK".to_vec();
        zeros.reserve(200);
        let mut inner = flate2::Compress::new(flate2::Compression::best(), false);
        inner.compress_vec(&[0; 32768], &mut zeros, flate2::FlushCompress::Finish).unwrap();
        let block = [&u16::try_from(zeros.len()).unwrap().to_le_bytes()[..], &zeros].concat();
        // What lies behind the end allows a hundred times as much.
        let data = [block.repeat(32 << 10), vec![0; 5 << 20]].concat();
        assert!(data.len() < 8 << 20);
        for length in [None, Some(200 << 20), Some(512 << 20)] {
            let e = expand(&file(4, length, &data)).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Limit, "{length:?}");
        }
    }

    #[test]
    fn methods() {
        assert_eq!(expand(&file(0, None, b"abc")).unwrap(), b"abc");
        assert_eq!(expand(&file(1, Some(2), &[0x9E, 0x9D, 0x9C])).unwrap(), b"ab");
        assert_eq!(expand(&file(2, Some(2), &[0xFF, b'a', b'b'])).unwrap(), b"ab");
        // Two blocks of MSZIP, of which the second refers to the first.
        let first = b"CK\x4b\x4c\x4a\x06\x00";
        let mut blocks = vec![7, 0];
        blocks.extend(first);
        let mut inner = flate2::Compress::new(flate2::Compression::best(), false);
        inner.set_dictionary(b"abc").unwrap();
        let mut second = b"CK".to_vec();
        second.reserve(64);
        inner.compress_vec(b"abcabcabc!", &mut second, flate2::FlushCompress::Finish).unwrap();
        blocks.extend(u16::try_from(second.len()).unwrap().to_le_bytes());
        blocks.extend(&second);
        blocks.extend([0, 0]);
        assert_eq!(expand(&file(4, Some(13), &blocks)).unwrap(), b"abcabcabcabc!");
        assert_eq!(expand(&file(4, None, &blocks)).unwrap(), b"abcabcabcabc!");
        for end in 0..blocks.len() - 2 {
            assert!(expand(&file(4, Some(13), &blocks[..end])).is_err(), "{end}");
        }
        // Blocks of zeros, more than a hundred times their size.
        let mut zeros = b"CK".to_vec();
        zeros.reserve(200);
        let mut inner = flate2::Compress::new(flate2::Compression::best(), false);
        inner.compress_vec(&[0; 32768], &mut zeros, flate2::FlushCompress::Finish).unwrap();
        let block = [&u16::try_from(zeros.len()).unwrap().to_le_bytes()[..], &zeros].concat();
        for length in [None, Some(32768 * 200)] {
            assert_eq!(expand(&file(4, length, &block.repeat(200))).unwrap_err().kind(), ErrorKind::Limit);
        }
        assert_eq!(expand(&file(4, None, &block.repeat(20))).unwrap().len(), 32768 * 20);
        assert_eq!(expand(&file(3, Some(9), b"")).unwrap_err().kind(), ErrorKind::Format);
        assert!(expand(&file(0, Some(9), b"abc")).is_err());
        assert!(expand(&file(9, None, b"abc")).is_err());
        let whole = file(2, Some(2), &[0xFF, b'a', b'b']);
        for end in 0..whole.len() {
            assert!(expand(&whole[..end]).is_err(), "{end}");
        }
    }
}
