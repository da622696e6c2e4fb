//! SHA-1, by which a WIM names every blob.
//!
//! The `sha1` package picks SHA-NI or the ARMv8 instructions at run time. SHA-1 is an identity here, not a defence: an
//! attacker who controls an image controls its digests too.

use std::fmt;

use sha1::Digest;

use super::hex;

/// A SHA-1 digest: the name of a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sha1Digest(pub [u8; 20]);

impl Sha1Digest {
    /// All zeros: "no blob", the empty stream.
    pub const ZERO: Self = Self([0; 20]);
    /// The digest of no bytes; some writers store it where zeros belong (wim-format 8).
    pub const OF_NOTHING: Self = Self([
        0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60, 0x18, 0x90, 0xaf,
        0xd8, 0x07, 0x09,
    ]);

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Sha1Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digests of several messages in their order, hashed side by side.
    #[must_use]
    pub fn of_each(messages: &[&[u8]]) -> Vec<Self> {
        sha1_lanes::digests(messages).into_iter().map(Self).collect()
    }

    /// True for the all-zero digest.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// Parses 40 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode_array(text).map(Self)
    }
}

impl fmt::Display for Sha1Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Sha1Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A running SHA-1.
#[derive(Clone, Default)]
pub struct Sha1Hasher(sha1::Sha1);

impl Sha1Hasher {
    /// A hash of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added.
    #[must_use]
    pub fn finish(self) -> Sha1Digest {
        Sha1Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        assert_eq!(Sha1Digest::of(b""), Sha1Digest::OF_NOTHING);
        assert_eq!(Sha1Digest::of(b"hello").to_string(), "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
        assert_eq!(
            Sha1Digest::from_hex("AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D"),
            Some(Sha1Digest::of(b"hello"))
        );
        assert_eq!(Sha1Digest::from_hex("xy"), None);
    }
}
