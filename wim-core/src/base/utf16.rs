//! Names as Windows keeps them: any sequence of 16-bit units, unpaired surrogates included.
//!
//! [`WimString`] owns a name; a borrowed one is a plain `[u16]`. Text output replaces what is not Unicode; comparison
//! never does.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;

use super::upcase;

/// An owned name: UTF-16 units, perhaps ill-formed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WimString(Box<[u16]>);

impl WimString {
    /// A name of these units.
    #[must_use]
    pub fn from_units(units: impl Into<Box<[u16]>>) -> Self {
        Self(units.into())
    }

    /// A name of little-endian byte pairs; none when a byte is left over.
    #[must_use]
    pub fn from_le_bytes(bytes: &[u8]) -> Option<Self> {
        let (pairs, rest) = bytes.as_chunks::<2>();
        rest.is_empty().then(|| Self(pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect()))
    }

    /// The units.
    #[must_use]
    pub fn units(&self) -> &[u16] {
        &self.0
    }

    /// Number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for the empty name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The units as little-endian bytes, as they lie on disk.
    pub fn to_le_bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.iter().flat_map(|unit| unit.to_le_bytes())
    }

    /// Text for people; ill-formed units become U+FFFD.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf16_lossy(&self.0)
    }

    /// Text, or nothing when the units are not well-formed UTF-16.
    #[must_use]
    pub fn to_str(&self) -> Option<String> {
        String::from_utf16(&self.0).ok()
    }

    /// Equal but for case, by the table of NTFS.
    #[must_use]
    pub fn eq_ignore_case(&self, other: &[u16]) -> bool {
        upcase::equal(&self.0, other)
    }

    /// The order of NTFS directories: upcased units, ties by the units themselves.
    #[must_use]
    pub fn ntfs_cmp(&self, other: &[u16]) -> Ordering {
        upcase::compare(&self.0, other).then_with(|| (*self.0).cmp(other))
    }
}

impl From<&str> for WimString {
    fn from(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }
}

impl From<Vec<u16>> for WimString {
    fn from(units: Vec<u16>) -> Self {
        Self(units.into())
    }
}

impl Deref for WimString {
    type Target = [u16];
    fn deref(&self) -> &[u16] {
        &self.0
    }
}

impl Borrow<[u16]> for WimString {
    fn borrow(&self) -> &[u16] {
        &self.0
    }
}

impl PartialEq<str> for WimString {
    fn eq(&self, other: &str) -> bool {
        self.0.iter().copied().eq(other.encode_utf16())
    }
}

impl fmt::Display for WimString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for WimString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

/// True for the name of a file: not empty, `.` or `..`, without NUL and separators.
#[must_use]
pub fn is_file_name(name: &[u16]) -> bool {
    const DOT: u16 = 0x2E;
    const BAD: [u16; 3] = [0, 0x2F, 0x5C];
    !matches!(name, [] | [DOT] | [DOT, DOT]) && !name.iter().any(|unit| BAD.contains(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpaired_surrogates_survive() {
        let name = WimString::from_units(vec![0x61, 0xD800]);
        assert_eq!(name.to_text(), "a\u{FFFD}");
        assert_eq!(name.to_str(), None);
        let bytes: Vec<u8> = name.to_le_bytes().collect();
        assert_eq!(WimString::from_le_bytes(&bytes), Some(name));
        assert_eq!(WimString::from_le_bytes(&bytes[..3]), None);
    }

    #[test]
    fn names_sort_as_in_an_ntfs_directory() {
        let name = |text: &str| WimString::from(text);
        assert!(name("System32").eq_ignore_case(&name("SYSTEM32")));
        assert_eq!(name("a").ntfs_cmp(&name("A")), Ordering::Greater);
        assert_eq!(name("B").ntfs_cmp(&name("a")), Ordering::Greater);
        assert_eq!(name("ab").ntfs_cmp(&name("AB0")), Ordering::Less);
    }
}
