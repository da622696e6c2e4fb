//! What the files of a package are known by: digests of the whole, and of programs those that signatures go by.
//!
//! drivers.md 7.2 says which digests vouch for a file. They are taken over a block at a time, so that a package may be larger than
//! memory; whether anybody vouches for them is not decided here.

use sha1::Sha1;
use sha2::digest::Output;
use sha2::{Digest, Sha256};

use crate::base::pipeline::side_by_side;
use crate::base::read_at::{read_exact_at, read_start};
use crate::base::{Architecture, ReadAt, Result, Sha1Digest};
use crate::formats::catalog::{DigestKind, digests_of_signatures};
use crate::formats::pe::{PeFile, SignedBytes, signatures_in};

/// The headers of a program lie in so many bytes at its start: those of real ones in four thousand.
pub const HEAD_BYTES: usize = 64 << 10;
/// Bytes that are held at a time.
const BLOCK_BYTES: usize = 256 << 10;
/// From here on a file is worth a thread for its second digest.
const SIDE_BY_SIDE_BYTES: u64 = 512 << 10;

/// What a file is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDigests {
    /// Its size in bytes.
    pub size: u64,
    /// SHA-1 of its bytes.
    pub sha1: Sha1Digest,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// What is known of it as a program; none when it is none.
    pub program: Option<ProgramFacts>,
}

/// What is known of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramFacts {
    /// Machine number of its headers.
    pub machine: u16,
    /// SHA-1 and SHA-256 of what signatures digest; none when its headers lie about where that is.
    pub signed: Option<(Sha1Digest, [u8; 32])>,
    /// It has a signature inside, whoever made that.
    pub has_signature: bool,
    /// What each of its signatures is made with; none for algorithms not known here. Of a certificate table that is damaged, or
    /// larger than any signer makes it, nothing is listed.
    pub signature_digests: Vec<Option<DigestKind>>,
}

impl ProgramFacts {
    /// The architecture it is made for; none for one that Windows drivers are not made for.
    #[must_use]
    pub fn architecture(&self) -> Option<Architecture> {
        Architecture::from_pe_machine(self.machine)
    }
}

impl FileDigests {
    /// Reads a file from its start to its end.
    ///
    /// # Errors
    /// `Io`.
    pub fn of(source: &dyn ReadAt) -> Result<Self> {
        let size = source.size();
        let head = read_start(source, HEAD_BYTES)?;
        let pe = PeFile::parse(&head).ok();
        let signed = pe.as_ref().and_then(|pe| pe.signed_bytes(size));
        let sha1 = || WholeAndSigned::<Sha1>::of(source, signed.as_ref());
        let sha256 = || WholeAndSigned::<Sha256>::of(source, signed.as_ref());
        let (sha1, sha256) =
            if size < SIDE_BY_SIDE_BYTES { (sha1(), sha256()) } else { side_by_side(sha1, sha256) };
        let (sha1, sha256) = (sha1?, sha256?);
        let signed = signed.map(|_| (Sha1Digest(sha1.signed.into()), sha256.signed.into()));
        let program = match pe {
            Some(pe) => Some(ProgramFacts {
                machine: pe.machine(),
                signed,
                has_signature: pe.certificate_table().is_some(),
                signature_digests: signature_digests(source, &pe)?,
            }),
            None => None,
        };
        Ok(Self { size, sha1: Sha1Digest(sha1.whole.into()), sha256: sha256.whole.into(), program })
    }

    /// All digests that a list may know it by.
    pub fn known_by(&self) -> impl Iterator<Item = &[u8]> {
        let signed = self.program.as_ref().and_then(|program| program.signed.as_ref());
        let signed = signed.into_iter().flat_map(|(sha1, sha256)| [&sha1.0[..], &sha256[..]]);
        [&self.sha1.0[..], &self.sha256[..]].into_iter().chain(signed)
    }

    /// [`Self::of`] for bytes in memory.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of(&Borrowed(bytes)).expect("bytes in memory can be read to their end")
    }
}

/// A digest of a whole file, and of what signatures digest of it.
struct WholeAndSigned<D: Digest> {
    whole: Output<D>,
    signed: Output<D>,
}

impl<D: Digest> WholeAndSigned<D> {
    fn of(source: &dyn ReadAt, signed: Option<&SignedBytes>) -> Result<Self> {
        let size = source.size();
        let (mut whole, mut part) = (D::new(), D::new());
        let mut block = vec![0; usize::try_from(size).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES)];
        let mut offset = 0;
        while offset < size {
            let length = usize::try_from(size - offset).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            let Some(piece) = block.get_mut(..length) else { break };
            read_exact_at(source, piece, offset)?;
            whole.update(&*piece);
            for range in signed.iter().flat_map(|signed| &signed.ranges) {
                part.update(overlap(piece, offset, range));
            }
            offset += length as u64;
        }
        (0..signed.map_or(0, |signed| signed.padding_bytes)).for_each(|_| part.update([0]));
        Ok(Self { whole: whole.finalize(), signed: part.finalize() })
    }
}

/// What the signatures inside a program are made with.
fn signature_digests(source: &dyn ReadAt, pe: &PeFile<'_>) -> Result<Vec<Option<DigestKind>>> {
    /// Real tables have some ten thousand bytes.
    const MAX_TABLE_BYTES: u32 = 512 << 10;
    let Some((offset, length)) = pe.certificate_table().filter(|&(_, length)| length <= MAX_TABLE_BYTES)
    else {
        return Ok(Vec::new());
    };
    if u64::from(offset) + u64::from(length) > source.size() {
        return Ok(Vec::new());
    }
    let mut table = vec![0; length as usize];
    read_exact_at(source, &mut table, u64::from(offset))?;
    let mut digests = Vec::new();
    for signature in signatures_in(&table) {
        match digests_of_signatures(signature) {
            Ok(found) => digests.extend(found),
            // It vouches for nothing that could be told.
            Err(_) => return Ok(Vec::new()),
        }
    }
    Ok(digests)
}

/// Bytes of somebody else as a source.
struct Borrowed<'b>(&'b [u8]);

impl ReadAt for Borrowed<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

/// What of `piece`, which begins at `offset` of a file, lies in `range` of it.
fn overlap<'p>(piece: &'p [u8], offset: u64, range: &std::ops::Range<u64>) -> &'p [u8] {
    let inside = |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(piece.len());
    piece.get(inside(range.start)..inside(range.end)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of a program without sections, with a certificate table at `table`.
    fn headers(table: u32, size: u32) -> Vec<u8> {
        let mut bytes = vec![0; 0x98 + 96 + 128];
        let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
        put(0, b"MZ");
        put(0x3C, &0x80_u32.to_le_bytes());
        put(0x80, b"PE\0\0\x64\x86");
        put(0x94, &(96 + 16 * 8_u16).to_le_bytes());
        put(0x98, &0x10B_u16.to_le_bytes());
        put(0x98 + 92, &16_u32.to_le_bytes());
        put(0x98 + 96 + 32, &table.to_le_bytes());
        put(0x98 + 96 + 36, &size.to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_digested_of_a_program_is_the_same_however_its_blocks_fall() {
        for length in [400, BLOCK_BYTES - 8, BLOCK_BYTES, 2 * BLOCK_BYTES - 1, 2 * BLOCK_BYTES + 13] {
            let table = u32::try_from(length).unwrap() - 40;
            let mut bytes = headers(table, 40);
            bytes.extend((0_u32..).map(|n| (n % 251) as u8).take(length - bytes.len()));
            let digests = FileDigests::of_bytes(&bytes);
            let program = digests.program.clone().unwrap();
            let (checksum, entry, table) = (0x98 + 64, 0x98 + 96 + 32, table as usize);
            let digested =
                [&bytes[..checksum], &bytes[checksum + 4..entry], &bytes[entry + 8..table]].concat();
            assert_eq!(
                program.signed.unwrap(),
                (Sha1Digest::of(&digested), Sha256::digest(&digested).into())
            );
            assert!(program.has_signature && program.architecture() == Some(Architecture::Amd64));
            assert_eq!((digests.size, digests.sha1), (length as u64, Sha1Digest::of(&bytes)));
            assert_eq!(digests.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        }
    }

    #[test]
    fn programs_without_a_signature_are_padded_and_other_files_are_no_programs() {
        let mut bytes = headers(0, 0);
        bytes.push(7);
        let program = FileDigests::of_bytes(&bytes).program.unwrap();
        let padded = [&bytes[..], &[0; 7]].concat();
        let without = [&padded[..0xD8], &padded[0xDC..0x118], &padded[0x120..]].concat();
        assert!(!program.has_signature && program.signed.unwrap().0 == Sha1Digest::of(&without));
        let text = FileDigests::of_bytes(b"text");
        assert!(text.program.is_none() && text.sha1 == Sha1Digest::of(b"text"));
        assert_eq!(FileDigests::of_bytes(b"").size, 0);
    }
}
