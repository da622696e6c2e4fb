//! Files that Microsoft's COMPRESS.EXE made: SZDD, and KWAJ with its five methods; `x.sy_` is `x.sys` so compressed.
//!
//! The formats are described in the documentation of libmspack and by M. Winterhoff; a third form, a cabinet under such a
//! name, is not for this file. Only expansion is here: nothing needs these made.

mod kwaj;
mod lzh;

use crate::base::{Error, Fields, Result};

/// Largest expanded file: twice what any driver has, and little enough to be held as a whole.
pub const MAX_EXPANDED: u64 = 128 << 20;
/// What to do about a compressed file that cannot be read here.
pub const EXPAND_IT: &str =
    "expand it with the expand command of Windows, and put the file itself where the compressed one lies";

/// How far back matches of either method reach.
const RING_BYTES: usize = 4096;
const SZDD: [u8; 8] = *b"SZDD\x88\xF0\x27\x33";
const SZ_QBASIC: [u8; 8] = *b"SZ \x88\xF0\x27\x33\xD1";
const CABINET: [u8; 4] = *b"MSCF";

/// The name a compressed file has in a package: the extension's last character becomes `_`; with a shorter extension one is
/// added.
#[must_use]
pub fn compressed_name(path: &str) -> String {
    let start = path.rfind(['\\', '/']).map_or(0, |at| at + 1);
    let name = path.get(start..).unwrap_or(path);
    match name.rsplit_once('.') {
        None => format!("{path}._"),
        Some((_, extension)) if extension.chars().count() < 3 => format!("{path}_"),
        Some(_) => {
            let mut shortened = path.to_owned();
            shortened.pop();
            shortened.push('_');
            shortened
        }
    }
}

/// Expands a compressed file.
///
/// # Errors
/// `Unsupported` for a cabinet, `Format` for anything else that is not SZDD or KWAJ or is cut short, `Limit` for more than
/// [`MAX_EXPANDED`] bytes.
pub fn expand(bytes: &[u8]) -> Result<Vec<u8>> {
    expand_any(bytes).map_err(|e| if e.remedy_text().is_some() { e } else { e.remedy(EXPAND_IT) })
}

fn expand_any(bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.starts_with(&CABINET) {
        return Err(Error::unsupported("it is a cabinet, which cannot be read here"));
    }
    if bytes.starts_with(&kwaj::SIGNATURE) {
        return kwaj::expand(bytes);
    }
    let mut f = Fields::new("SZDD header", bytes, 0);
    let (start, size) = match f.array::<8>("signature")? {
        SZDD => {
            let method = f.u8("compression mode")?;
            if method != b'A' {
                return Err(f.error_before("compression mode", 1, format!("is {method:#04x}, not 'A'")));
            }
            f.skip("missing character", 1)?;
            (4096 - 16, f.u32("size")?)
        }
        SZ_QBASIC => (4096 - 18, f.u32("size")?),
        _ => return Err(f.error_before("signature", 8, "is neither SZDD nor KWAJ")),
    };
    check_size(u64::from(size))?;
    let out = lzss(f.rest(), start, u64::from(size))?;
    if out.len() as u64 != u64::from(size) {
        let message = format!("data ends after {} of {size} bytes", out.len());
        return Err(Error::format("SZDD data", "literals and matches", bytes.len() as u64, message)
            .remedy("the file is truncated or damaged; get it again from its source"));
    }
    Ok(out)
}

fn check_size(size: u64) -> Result<()> {
    if size > MAX_EXPANDED {
        let most = MAX_EXPANDED >> 20;
        return Err(Error::limit(format!("it expands to {size} bytes, and {most} MiB are allowed")));
    }
    Ok(())
}

/// LZSS over a ring of 4096 blanks: a flag byte, then eight literals (bit set) or matches of 3 to 18 bytes.
///
/// Stops at the end of the data or after `limit` bytes of output.
fn lzss(data: &[u8], start: usize, limit: u64) -> Result<Vec<u8>> {
    let mut ring = [b' '; RING_BYTES];
    let mut at = start;
    // A match of 18 bytes takes 2 bytes and a bit: the output cannot be larger than nine times the data.
    let bound = limit.min((data.len() as u64).saturating_mul(9));
    let mut out = Vec::with_capacity(usize::try_from(bound).unwrap_or(0));
    let mut put = |ring: &mut [u8; RING_BYTES], byte: u8, out: &mut Vec<u8>| {
        if let Some(slot) = ring.get_mut(at % RING_BYTES) {
            *slot = byte;
        }
        at = (at + 1) % RING_BYTES;
        out.push(byte);
    };
    let mut input = data.iter().copied();
    'data: while let Some(flags) = input.next() {
        for bit in 0..8 {
            if out.len() as u64 >= limit {
                break 'data;
            }
            if flags & (1 << bit) != 0 {
                let Some(byte) = input.next() else { break 'data };
                put(&mut ring, byte, &mut out);
            } else {
                let (Some(low), Some(high)) = (input.next(), input.next()) else { break 'data };
                let position = usize::from(low) | usize::from(high & 0xF0) << 4;
                for step in 0..usize::from(high & 0x0F) + 3 {
                    if out.len() as u64 >= limit {
                        break 'data;
                    }
                    let byte = ring.get((position + step) % RING_BYTES).copied().unwrap_or(b' ');
                    put(&mut ring, byte, &mut out);
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    /// SZDD of literals only.
    fn literals(data: &[u8]) -> Vec<u8> {
        let mut file = SZDD.to_vec();
        file.extend([b'A', 0]);
        file.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        for eight in data.chunks(8) {
            file.push(0xFF);
            file.extend(eight);
        }
        file
    }

    #[test]
    fn names_of_compressed_files() {
        for (plain, packed) in [
            ("x.sys", "x.sy_"),
            ("a.b\\x", "a.b\\x._"),
            ("x.c", "x.c_"),
            ("x.", "x._"),
            ("amd64\\x.dll", "amd64\\x.dl_"),
        ] {
            assert_eq!(compressed_name(plain), packed);
        }
    }

    #[test]
    fn literals_and_matches_expand() {
        assert_eq!(expand(&literals(b"hello world")).unwrap(), b"hello world");
        // "abc", then a match of 6 bytes that overlaps itself: the ring begins at 4080.
        let mut file = SZDD.to_vec();
        file.extend([b'A', b's']);
        file.extend(9_u32.to_le_bytes());
        file.extend([0b0000_0111, b'a', b'b', b'c', 0xF0, 0xF3]);
        assert_eq!(expand(&file).unwrap(), b"abcabcabc");
        // A match before anything was written gives blanks.
        let mut file = SZDD.to_vec();
        file.extend([b'A', 0]);
        file.extend(3_u32.to_le_bytes());
        file.extend([0, 0, 0]);
        assert_eq!(expand(&file).unwrap(), b"   ");
    }

    #[test]
    fn no_more_is_expanded_than_allowed() {
        let mut file = literals(b"x");
        for (size, kind) in [(MAX_EXPANDED, ErrorKind::Format), (MAX_EXPANDED + 1, ErrorKind::Limit)] {
            file[10..14].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
            let e = expand(&file).unwrap_err();
            assert_eq!(e.kind(), kind, "{size}: {e}");
            assert!(e.remedy_text().is_some(), "{e}");
        }
    }

    #[test]
    fn what_is_cut_or_lies_is_refused() {
        let file = literals(b"hello world, hello");
        for end in 0..file.len() {
            assert!(expand(&file[..end]).is_err(), "{end}");
        }
        let mut lying = file.clone();
        lying[10..14].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(expand(&lying).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(expand(b"MSCF\0\0\0\0").unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(expand(b"PK\x03\x04 no such thing").is_err());
    }
}
