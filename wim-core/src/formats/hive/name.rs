//! Names of keys and values as cells hold them, and what lists keep of them: hashes and hints.
//!
//! A name whose every unit is below 256 is stored as Latin-1 bytes ("compressed"), any other as UTF-16LE. Comparison uses
//! Windows' own upcase table. Whether a name may be given to a new key is decided in the editor.

use std::cmp::Ordering;
use std::fmt;

use crate::base::WimString;
use crate::base::upcase::upcase;

/// A borrowed name.
#[derive(Clone, Copy)]
pub enum Name<'a> {
    /// One byte per character, U+0000 to U+00FF.
    Latin1(&'a [u8]),
    /// Little-endian UTF-16 units, perhaps ill-formed; a trailing odd byte is ignored.
    Utf16(&'a [u8]),
}

impl<'a> Name<'a> {
    pub(super) fn new(bytes: &'a [u8], compressed: Compressed) -> Self {
        match compressed {
            Compressed::Yes => Self::Latin1(bytes),
            Compressed::No => Self::Utf16(bytes),
        }
    }

    /// Number of UTF-16 units.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Latin1(bytes) => bytes.len(),
            Self::Utf16(bytes) => bytes.len() / 2,
        }
    }

    /// True for the empty name, that of a key's default value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The UTF-16 units.
    #[must_use]
    pub fn units(&self) -> Vec<u16> {
        match self {
            Self::Latin1(bytes) => bytes.iter().map(|&b| u16::from(b)).collect(),
            Self::Utf16(bytes) => bytes.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b)).collect(),
        }
    }

    /// The units upcased, for comparing with [`Self::cmp_upcased`].
    #[must_use]
    pub fn upcased(&self) -> Vec<u16> {
        let mut units = Vec::new();
        self.upcase_into(&mut units);
        units
    }

    /// Puts the upcased units into `out`, replacing what is there.
    pub(super) fn upcase_into(&self, out: &mut Vec<u16>) {
        out.clear();
        match self {
            Self::Latin1(bytes) => out.extend(bytes.iter().map(|&b| upcase(u16::from(b)))),
            Self::Utf16(bytes) => {
                out.extend(bytes.as_chunks().0.iter().map(|&b| upcase(u16::from_le_bytes(b))));
            }
        }
    }

    /// An owned copy.
    #[must_use]
    pub fn to_wim_string(&self) -> WimString {
        WimString::from(self.units())
    }

    /// Text for people; ill-formed units become U+FFFD.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Latin1(bytes) => bytes.iter().map(|&b| char::from(b)).collect(),
            Self::Utf16(_) => String::from_utf16_lossy(&self.units()),
        }
    }

    /// Order by upcased units, as lists of subkeys are sorted; `other` is upcased already.
    #[must_use]
    pub fn cmp_upcased(&self, other: &[u16]) -> Ordering {
        match self {
            Self::Latin1(bytes) => bytes.iter().map(|&b| upcase(u16::from(b))).cmp(other.iter().copied()),
            Self::Utf16(bytes) => {
                let units = bytes.as_chunks().0.iter().map(|&b| upcase(u16::from_le_bytes(b)));
                units.cmp(other.iter().copied())
            }
        }
    }

    /// Whether it equals the upcased name `other` but for case.
    #[must_use]
    pub fn eq_upcased(&self, other: &[u16]) -> bool {
        self.len() == other.len() && self.cmp_upcased(other) == Ordering::Equal
    }

    /// The hash that `lh` lists keep.
    pub(super) fn hash(&self) -> u32 {
        match self {
            Self::Latin1(bytes) => hash_units(bytes.iter().map(|&b| u16::from(b))),
            Self::Utf16(bytes) => hash_units(bytes.as_chunks().0.iter().map(|&b| u16::from_le_bytes(b))),
        }
    }

    /// The hint that `lf` lists keep: the first four characters in original case, zero padded.
    ///
    /// Windows fills from the fourth character (or the last) down and stops at the first one that is not Latin-1.
    pub(super) fn hint(&self) -> [u8; 4] {
        let mut hint = [0; 4];
        let units = self.units();
        for (slot, &unit) in hint.iter_mut().zip(&units).rev() {
            match u8::try_from(unit) {
                Ok(byte) => *slot = byte,
                Err(_) => break,
            }
        }
        hint
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

/// How a name is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compressed {
    /// As Latin-1 bytes.
    Yes,
    /// As UTF-16LE.
    No,
}

fn hash_units(units: impl Iterator<Item = u16>) -> u32 {
    units.fold(0, |hash: u32, unit| hash.wrapping_mul(37).wrapping_add(u32::from(upcase(unit))))
}

/// The bytes that a name is stored as: Latin-1 whenever that can hold it.
pub(super) fn encode(units: &[u16]) -> (Vec<u8>, Compressed) {
    match units.iter().map(|&unit| u8::try_from(unit)).collect::<Result<Vec<u8>, _>>() {
        Ok(bytes) => (bytes, Compressed::Yes),
        Err(_) => (units.iter().flat_map(|unit| unit.to_le_bytes()).collect(), Compressed::No),
    }
}

/// The units of a text, upcased for comparing.
pub(super) fn upcased(text: &str) -> Vec<u16> {
    text.encode_utf16().map(upcase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_name<T>(text: &str, f: impl Fn(Name<'_>) -> T) -> T {
        let units: Vec<u16> = text.encode_utf16().collect();
        let (bytes, compressed) = encode(&units);
        f(Name::new(&bytes, compressed))
    }

    #[test]
    fn hashes_fold_by_the_table_of_windows() {
        assert_eq!(with_name("Ärger", |n| n.hash()), 0x1625_FF48);
        assert_eq!(with_name("ärGER", |n| n.hash()), 0x1625_FF48);
        assert_eq!(with_name("\u{FF}", |n| n.hash()), 0x178);
        assert_eq!(with_name("ß", |n| n.hash()), 0xDF);
        assert_eq!(with_name("a", |n| n.hash()), 0x41);
    }

    #[test]
    fn hints_keep_case_and_stop_at_what_is_not_latin() {
        assert_eq!(with_name("Select", |n| n.hint()), *b"Sele");
        assert_eq!(with_name("ab", |n| n.hint()), *b"ab\0\0");
        assert_eq!(with_name("Привет", |n| n.hint()), [0; 4]);
        assert_eq!(with_name("abПd!", |n| n.hint()), [0, 0, 0, b'd']);
    }

    #[test]
    fn names_are_stored_in_one_byte_where_they_can() {
        assert_eq!(encode(&[0x9F, 0x41]), (vec![0x9F, 0x41], Compressed::Yes));
        assert_eq!(encode(&[0x178]), (vec![0x78, 0x01], Compressed::No));
    }

    #[test]
    fn order_is_by_upcased_units_and_the_shorter_first() {
        assert_eq!(with_name("abc", |n| n.cmp_upcased(&upcased("ABC"))), Ordering::Equal);
        assert_eq!(with_name("ab", |n| n.cmp_upcased(&upcased("ABC"))), Ordering::Less);
        assert_eq!(with_name("a_", |n| n.cmp_upcased(&upcased("ab"))), Ordering::Greater);
        assert!(with_name("\u{FF}", |n| n.eq_upcased(&upcased("Ÿ"))));
    }
}
