//! Compressed files of a component store (Windows 8 and later), told by their first four bytes.
//!
//! Known from hfiref0x/SXSEXP: manifests (DCM) are deltas of one base manifest, which lies in the servicing stack's
//! wcp.dll; files are deltas of nothing (DCN), of another version (DCD), or LZMS blocks (DCS). Anything else is plain, or
//! refused by name (DCH, DCX); a manifest is never compressed here, since plain ones are always legal.

use super::apply::{Claim, apply};
use crate::base::{Digest, Error, Fields, Result};

/// Type and name of the base manifest among the resources of wcp.dll.
pub const BASE_MANIFEST_RESOURCE: (u32, u32) = (0x266, 1);

/// The SHA-256 of every base manifest seen, from a tool of 2016 to Windows Server 2025.
pub const BASE_MANIFEST_SHA256: Digest = Digest::Sha256([
    0x0a, 0xd8, 0xf1, 0x00, 0xf1, 0xc5, 0x6f, 0x4a, 0x1a, 0xad, 0x99, 0x0d, 0xef, 0xad, 0xe9, 0x19, 0x1f,
    0x7d, 0x5b, 0xe9, 0x29, 0xb9, 0x30, 0xa0, 0x41, 0x60, 0xeb, 0xbf, 0x99, 0xcd, 0x6b, 0x46,
]);

/// How a file of a component store is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreForm {
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

impl StoreForm {
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
/// `InvalidInput` when a basis is needed and none is given, `Unsupported` for DCH and DCX, by name, `Format` for damaged
/// blocks, `Limit` and `Corrupt` against `claim`, else what [`apply`] gives.
pub fn expand(bytes: &[u8], basis: Option<&[u8]>, claim: &Claim) -> Result<Vec<u8>> {
    let stored = StoreForm::of(bytes);
    let delta = bytes.get(stored.header_bytes()..).unwrap_or(&[]);
    let needed = |what: &str| {
        basis.ok_or_else(|| {
            Error::invalid_input(format!("the file is a delta of {what}, which is not at hand"))
                .remedy("take the image that the file comes from, whose component store has it")
        })
    };
    let refused = |what: &str| {
        Err(Error::unsupported(format!("{what} is not supported by this version"))
            .remedy("expand the file with Windows' own tools"))
    };
    match stored {
        StoreForm::Plain => Ok(bytes.to_vec()),
        StoreForm::Manifest => apply(needed("the base manifest of wcp.dll")?, delta, claim),
        StoreForm::NullDelta => apply(&[], delta, claim),
        StoreForm::Delta => apply(needed("another version of itself")?, delta, claim),
        StoreForm::Lzms => expand_blocks(bytes, claim),
        StoreForm::HeaderOnly => refused("a DCH file (a header without data)"),
        StoreForm::Unknown => refused("a DCX file (of unknown make)"),
    }
}

/// What the user can do about a file that contradicts itself; no real manifest has such blocks.
const DAMAGED: &str = "the component store is damaged; take the file from another copy of the image";

/// Most bytes of a block, so that a few stored bytes cannot ask for all memory; manifests are far smaller.
const MAX_BLOCK_BYTES: usize = 64 << 20;

/// The blocks of a DCS file: each a chunk of LZMS, with its stored and its plain size before it.
fn expand_blocks(bytes: &[u8], claim: &Claim) -> Result<Vec<u8>> {
    let mut fields = Fields::new("DCS file", bytes, 0);
    fields.skip("magic", 4)?;
    let count = fields.u32("number of blocks")?;
    let total = fields.u32("size")?;
    if u64::from(total) > claim.max_bytes {
        let message = format!("{total} bytes, more than the {} allowed", claim.max_bytes);
        return Err(Error::limit(message).remedy(DAMAGED));
    }
    if claim.size.is_some_and(|size| size != u64::from(total)) {
        let message = format!("the file has {total} bytes, not the number that is stated");
        return Err(Error::corrupt(message).remedy(DAMAGED));
    }
    let mut decoder = lzms::Decoder::new();
    let mut out = Vec::new();
    for _ in 0..count {
        // The stored size counts the plain size behind it.
        let stored = fields.u32("stored size of a block")? as usize;
        let plain = fields.u32("size of a block")? as usize;
        let start = out.len();
        if plain > (total as usize).saturating_sub(start) || stored < 4 {
            return Err(fields.error_before(
                "size of a block",
                4,
                "more than the file has, or nothing stored",
            ));
        }
        if plain > MAX_BLOCK_BYTES {
            return Err(Error::limit(format!("a block of {plain} bytes, more than {MAX_BLOCK_BYTES}"))
                .remedy(DAMAGED));
        }
        let at = fields.offset();
        let data = fields.bytes("block", stored - 4)?;
        out.try_reserve_exact(plain).map_err(|e| {
            Error::limit(format!("no memory for a block of {plain} bytes"))
                .with_source(e)
                .remedy("close other programs or use a machine with more memory")
        })?;
        out.resize(start + plain, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        decoder
            .decode(data, room)
            .map_err(|e| Error::format("DCS file", "block", at, e.to_string()).with_source(e))?;
    }
    if out.len() != total as usize {
        return Err(fields.error("block", format!("{} of {total} bytes", out.len())));
    }
    match claim.digest.filter(|digest| !digest.matches(&out)) {
        Some(digest) => {
            let message = format!("the file has not the {} {digest}", digest.algorithm());
            Err(Error::corrupt(message).remedy(DAMAGED))
        }
        None => Ok(out),
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
        for (magic, name) in [(b"DCH\x01", "DCH"), (b"DCX\x01", "DCX")] {
            let error = expand(magic, None, &claim).unwrap_err();
            assert!(error.kind() == ErrorKind::Unsupported && error.message().contains(name), "{error}");
        }
        let error = expand(b"DCM\x01PA30", None, &claim).unwrap_err();
        assert!(error.message().contains("wcp.dll"), "{error}");
        assert_eq!(expand(b"DCN\x01PA30", None, &claim).unwrap_err().kind(), ErrorKind::Format);
    }

    #[test]
    fn blocks_of_lzms_are_joined() {
        let letters = [0x3F, 0x65, 0xD0, 0xFF, 0, 0, 0, 0x50, 0x0D, 0x63, 0x62, 0x61];
        let repeats = [0xEE, 0x64, 0xD0, 0xFF, 0, 0, 0, 0xC0, 0x1F, 0x63, 0x62, 0x61];
        let mut file = b"DCS\x01\x02\0\0\0\x46\x01\0\0\x10\0\0\0\x1A\0\0\0".to_vec();
        file.extend(letters);
        file.extend([0x10, 0, 0, 0, 0x2C, 1, 0, 0]);
        file.extend(repeats);
        let expected = [b"abcdefghijklmnopqrstuvwxyz".to_vec(), b"abc".repeat(100)].concat();
        assert_eq!(expand(&file, None, &Claim::default()).unwrap(), expected);
        for cut in 0..file.len() {
            assert!(expand(&file[..cut], None, &Claim::default()).is_err() || cut < 4, "{cut}");
        }
        let small = Claim { max_bytes: 300, ..Claim::default() };
        assert_eq!(expand(&file, None, &small).unwrap_err().kind(), ErrorKind::Limit);
        let stated = Claim { digest: Some(Digest::Md5([0; 16])), ..Claim::default() };
        assert_eq!(expand(&file, None, &stated).unwrap_err().kind(), ErrorKind::Corrupt);
        // A block that claims more than the file.
        file[16..20].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F]);
        assert_eq!(expand(&file, None, &Claim::default()).unwrap_err().kind(), ErrorKind::Format);
    }
}
