//! GUIDs in Windows' field order.

use std::fmt;

use super::hex::{self, Hex};
use super::sha1::Sha1Digest;

/// A 16-byte GUID as it lies on disk: three little-endian fields, then eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// A version 5 style GUID made of content: the same content gives the same GUID on any day and machine.
    #[must_use]
    pub fn from_digest(digest: &Sha1Digest) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.0[..16]);
        // The version nibble is the high one of the third field, stored little-endian in bytes 6 and 7.
        bytes[7] = bytes[7] & 0x0F | 0x50;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        Self(bytes)
    }

    /// A GUID as people write it, in braces or without, hyphens or not; none for a text that is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim_matches(['{', '}']).chars().filter(|c| *c != '-').collect();
        let [a, b, c, d, e, f, g, h, rest @ ..] = hex::decode_array::<16>(&digits)?;
        let mut bytes = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[8..].copy_from_slice(&rest);
        Some(Self(bytes))
    }
}

impl fmt::Display for Guid {
    /// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` without braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-",
            u32::from_le_bytes([a0, a1, a2, a3]),
            u16::from_le_bytes([b0, b1]),
            u16::from_le_bytes([c0, c1]),
            rest[0],
            rest[1]
        )?;
        Hex(&rest[2..]).fmt(f)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_little_endian() {
        let guid = Guid([
            0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
        ]);
        assert_eq!(guid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(Guid::parse("{00112233-4455-6677-8899-AABBCCDDEEFF}"), Some(guid));
        assert_eq!(Guid::parse("00112233-4455-6677-8899"), None);
    }

    #[test]
    fn content_guids_are_stable_and_marked() {
        let guid = Guid::from_digest(&Sha1Digest::of(b"hello"));
        assert_eq!(guid, Guid::from_digest(&Sha1Digest::of(b"hello")));
        assert_eq!(&guid.to_string()[14..15], "5");
    }
}
