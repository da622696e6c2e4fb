//! Compressed files of a component store (Windows 8 and later), told by their first four bytes.
//!
//! Known from hfiref0x/SXSEXP: manifests (DCM) are deltas of one base manifest, which lies in the servicing stack's
//! wcp.dll; files are deltas of nothing (DCN) or of another version (DCD). Anything else is plain, or refused by name
//! (DCS, which is LZMS, DCH, DCX); a manifest is never compressed here, since plain ones are always legal.

use super::apply::{Claim, apply};
use crate::base::{Digest, Error, Result};

/// Type and name of the base manifest among the resources of wcp.dll.
pub const BASE_MANIFEST_RESOURCE: (u32, u32) = (0x266, 1);

/// The SHA-256 of every base manifest seen, from a tool of 2016 to Windows Server 2025.
pub const BASE_MANIFEST_SHA256: Digest = Digest::Sha256([
    0x0a, 0xd8, 0xf1, 0x00, 0xf1, 0xc5, 0x6f, 0x4a, 0x1a, 0xad, 0x99, 0x0d, 0xef, 0xad, 0xe9, 0x19, 0x1f,
    0x7d, 0x5b, 0xe9, 0x29, 0xb9, 0x30, 0xa0, 0x41, 0x60, 0xeb, 0xbf, 0x99, 0xcd, 0x6b, 0x46,
]);

/// How a file of a component store is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// As it is.
    Plain,
    /// A delta of the base manifest.
    Manifest,
    /// A delta of nothing.
    NullDelta,
    /// A delta of another version of the file.
    Delta,
    /// LZMS blocks.
    Lzms,
    /// A header without data.
    HeaderOnly,
    /// Of unknown make.
    Unknown,
}

impl Stored {
    /// Looks at the first four bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.first_chunk::<4>() {
            Some(b"DCM\x01") => Self::Manifest,
            Some(b"DCN\x01") => Self::NullDelta,
            Some(b"DCD\x01") => Self::Delta,
            Some(b"DCS\x01") => Self::Lzms,
            Some(b"DCH\x01") => Self::HeaderOnly,
            Some(b"DCX\x01") => Self::Unknown,
            _ => Self::Plain,
        }
    }

    /// Bytes before the delta.
    fn header_bytes(self) -> usize {
        match self {
            Self::Plain => 0,
            // The two numbers behind the magic are unknown.
            Self::Delta => 12,
            _ => 4,
        }
    }
}

/// The file that `bytes` hold. `basis` is the base manifest for a manifest, the other version for a delta; others need
/// none.
///
/// # Errors
/// `InvalidInput` when a basis is needed and none is given, `Unsupported` for DCS, DCH and DCX, by name, else what
/// [`apply`] gives.
pub fn expand(bytes: &[u8], basis: Option<&[u8]>, claim: &Claim) -> Result<Vec<u8>> {
    let stored = Stored::of(bytes);
    let delta = bytes.get(stored.header_bytes()..).unwrap_or(&[]);
    let needed = |what: &str| {
        basis.ok_or_else(|| {
            Error::invalid_input(format!("the file is a delta of {what}, which is not at hand"))
        })
    };
    let refused = |what: &str| {
        Err(Error::unsupported(format!("{what} is not supported by this version"))
            .remedy("expand the file with Windows' own tools"))
    };
    match stored {
        Stored::Plain => Ok(bytes.to_vec()),
        Stored::Manifest => apply(needed("the base manifest of wcp.dll")?, delta, claim),
        Stored::NullDelta => apply(&[], delta, claim),
        Stored::Delta => apply(needed("another version of itself")?, delta, claim),
        Stored::Lzms => refused("a DCS file (LZMS)"),
        Stored::HeaderOnly => refused("a DCH file (a header without data)"),
        Stored::Unknown => refused("a DCX file (of unknown make)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    #[test]
    fn the_first_four_bytes_decide() {
        let claim = Claim::default();
        assert_eq!(expand(b"<assembly/>", None, &claim).unwrap(), b"<assembly/>");
        assert_eq!(expand(b"DC", None, &claim).unwrap(), b"DC");
        for (magic, name) in [(b"DCS\x01", "DCS"), (b"DCH\x01", "DCH"), (b"DCX\x01", "DCX")] {
            let error = expand(magic, None, &claim).unwrap_err();
            assert!(error.kind() == ErrorKind::Unsupported && error.message().contains(name), "{error}");
        }
        let error = expand(b"DCM\x01PA30", None, &claim).unwrap_err();
        assert!(error.message().contains("wcp.dll"), "{error}");
        assert_eq!(expand(b"DCN\x01PA30", None, &claim).unwrap_err().kind(), ErrorKind::Format);
    }
}
