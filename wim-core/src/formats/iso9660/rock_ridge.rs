//! Rock Ridge: what the system use areas of directory records add (SUSP 1.12, RRIP 1.12).
//!
//! Long names, the kind of a file, and directories that were moved for the limit of eight levels are read; owners, permissions and
//! the targets of symbolic links are not. Files compressed by zisofs are known and refused when they are read.

use std::sync::Arc;

use crate::base::extents::{SECTOR_BYTES, at_sector, lies_inside};
use crate::base::{Fields, ReadAt, Result, read_at};

/// Most continuation areas of one record.
const MAX_CONTINUATIONS: usize = 32;
/// Most bytes of a name that is put together from pieces.
const MAX_NAME_BYTES: usize = 4096;

/// A file that is not plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    SymbolicLink,
    Device,
    Compressed,
}

/// What a system use area says.
#[derive(Clone, Debug, Default)]
pub(super) struct Attributes {
    pub(super) name: Option<Vec<u8>>,
    pub(super) special: Option<Special>,
    /// Block of the directory that this record stands for.
    pub(super) child: Option<u32>,
    /// True for a directory that is shown elsewhere.
    pub(super) is_relocated: bool,
}

/// Reads system use areas of one volume.
pub(super) struct Reader {
    source: Arc<dyn ReadAt>,
    block_bytes: u32,
    /// Bytes at the start of each area that belong to something else.
    skip: usize,
}

impl Reader {
    /// The reader for a volume; `root_use` is the system use area of the first record of its root. None without Rock Ridge.
    pub(super) fn new(source: Arc<dyn ReadAt>, block_bytes: u32, root_use: &[u8]) -> Option<Self> {
        match root_use {
            [b'S', b'P', _, 1, 0xBE, 0xEF, skip, ..] => {
                Some(Self { source, block_bytes, skip: usize::from(*skip) })
            }
            _ => None,
        }
    }

    /// What the area `bytes` at `offset` of the disc says, with its continuations.
    ///
    /// # Errors
    /// `Format` for continuations outside of the disc, too many of them, and names too long.
    pub(super) fn read(&self, bytes: &[u8], offset: u64) -> Result<Attributes> {
        const STRUCTURE: &str = "SUSP continuation area";
        let mut found = Attributes::default();
        let mut name = NameParts::default();
        let mut area: Vec<u8> = bytes.get(self.skip..).unwrap_or_default().to_vec();
        for _ in 0..=MAX_CONTINUATIONS {
            let Some((block, at, length)) = entries(&area, offset, &mut found, &mut name)? else {
                found.name = name.finish();
                return Ok(found);
            };
            let start = u64::from(block) * u64::from(self.block_bytes) + u64::from(at);
            if u64::from(length) > SECTOR_BYTES || !lies_inside(start, length.into(), self.source.size()) {
                let message = format!("{length} bytes at {start:#x}");
                return Err(at_sector(STRUCTURE, "location", offset, &message));
            }
            area = vec![0; usize::try_from(length).unwrap_or(0)];
            read_at::read_exact_at(&*self.source, &mut area, start)?;
        }
        let message = format!("more than {MAX_CONTINUATIONS} areas follow each other");
        Err(at_sector(STRUCTURE, "location", offset, &message))
    }
}

/// A name that comes in pieces.
#[derive(Default)]
struct NameParts {
    bytes: Option<Vec<u8>>,
}

impl NameParts {
    fn add(&mut self, piece: &[u8], offset: u64) -> Result<()> {
        let name = self.bytes.get_or_insert_default();
        name.extend_from_slice(piece);
        if name.len() > MAX_NAME_BYTES {
            let message = format!("a name of more than {MAX_NAME_BYTES} bytes");
            return Err(at_sector("Rock Ridge NM entry", "name", offset, &message));
        }
        Ok(())
    }

    fn finish(self) -> Option<Vec<u8>> {
        self.bytes.filter(|name| !name.is_empty())
    }
}

/// Reads the entries of one area; gives block, offset and length of the one that follows.
fn entries(
    area: &[u8],
    offset: u64,
    found: &mut Attributes,
    name: &mut NameParts,
) -> Result<Option<(u32, u32, u32)>> {
    let mut continuation = None;
    let mut rest = area;
    while let Some((&[first, second, length, _], _)) = rest.split_first_chunk::<4>() {
        let Some((entry, behind)) = rest.split_at_checked(length.into()).filter(|_| length >= 4) else {
            break;
        };
        rest = behind;
        let mut f = Fields::new("Rock Ridge entry", entry, offset);
        f.skip("signature, length and version", 4)?;
        match &[first, second] {
            b"ST" => break,
            b"CE" => {
                let block = f.u32("continuation block")?;
                f.skip("other byte order", 4)?;
                let at = f.u32("continuation offset")?;
                f.skip("other byte order", 4)?;
                continuation = Some((block, at, f.u32("continuation length")?));
            }
            // Bits 1 and 2 mean the directory itself and its parent, which have no other name.
            b"NM" if f.u8("flags")? & 6 == 0 => name.add(f.rest(), offset)?,
            b"PX" => found.special = special(f.u32("mode")?).or(found.special),
            b"ZF" => found.special = Some(Special::Compressed),
            b"CL" => found.child = Some(f.u32("child block")?),
            b"RE" => found.is_relocated = true,
            _ => {}
        }
    }
    Ok(continuation)
}

/// What the type bits of a mode say.
fn special(mode: u32) -> Option<Special> {
    match mode & 0o170_000 {
        0o120_000 => Some(Special::SymbolicLink),
        0o020_000 | 0o060_000 | 0o010_000 | 0o140_000 => Some(Special::Device),
        _ => None,
    }
}
