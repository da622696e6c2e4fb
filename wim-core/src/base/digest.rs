//! A digest of any of the three kinds that update packages state.
//!
//! Container indexes name SHA-1 or SHA-256, deltas MD5 too; what a package states is compared here. MD5 and SHA-1 prove
//! that a file was rebuilt as its maker built it, not who the maker is.

use std::fmt;

use sha2::Digest as _;

use super::hex;
use super::sha1::Sha1Digest;

/// A digest with its algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Digest {
    /// MD5.
    Md5([u8; 16]),
    /// SHA-1.
    Sha1(Sha1Digest),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl Digest {
    /// The digest of `bytes` with the algorithm of `self`.
    #[must_use]
    pub fn of_same_kind(&self, bytes: &[u8]) -> Self {
        match self {
            Self::Md5(_) => Self::Md5(md5::Md5::digest(bytes).into()),
            Self::Sha1(_) => Self::Sha1(Sha1Digest::of(bytes)),
            Self::Sha256(_) => Self::Sha256(sha2::Sha256::digest(bytes).into()),
        }
    }

    /// True when `bytes` have this digest.
    #[must_use]
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.of_same_kind(bytes) == *self
    }

    /// Name of the algorithm, as people write it.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Md5(_) => "MD5",
            Self::Sha1(_) => "SHA-1",
            Self::Sha256(_) => "SHA-256",
        }
    }

    /// Parses hexadecimal digits of a SHA-1 (40) or SHA-256 (64) in either case.
    #[must_use]
    pub fn sha_from_hex(text: &str) -> Option<Self> {
        if text.len() == 40 {
            return Sha1Digest::from_hex(text).map(Self::Sha1);
        }
        hex::decode_array(text).map(Self::Sha256)
    }
}

impl fmt::Display for Digest {
    /// The digits alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Md5(bytes) => bytes,
            Self::Sha1(digest) => &digest.0,
            Self::Sha256(bytes) => bytes,
        };
        hex::Hex(bytes).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests_of_each_kind() {
        let sha1 = Digest::sha_from_hex("A9993E364706816ABA3E25717850C26C9CD0D89D").unwrap();
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha256 = Digest::sha_from_hex(text).unwrap();
        let md5 = Digest::Md5([0; 16]).of_same_kind(b"abc");
        assert_eq!(md5.to_string(), "900150983cd24fb0d6963f7d28e17f72");
        for digest in [sha1, sha256, md5] {
            assert!(digest.matches(b"abc") && !digest.matches(b"abd"), "{digest:?}");
        }
        assert_eq!(sha256.to_string(), text);
        for bad in ["", "xy", &text[1..], &text.replace('b', "g"), &text.replace("ba", "é")] {
            assert_eq!(Digest::sha_from_hex(bad), None, "{bad}");
        }
    }
}
