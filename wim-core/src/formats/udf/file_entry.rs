//! File entries, plain and extended: what a file is and where its bytes are described (ECMA-167 4/14.9, 4/14.17).
//!
//! Entries of strategy 4 stand alone; those of strategy 4096 (write-once media) are a chain whose last one counts. Extended
//! attributes and named streams are passed over, as installation media have none that matter.

use super::allocation::{self, Descriptors, Kind};
use super::partition::{IcbPlace, Partitions};
use super::tag::{
    EXTENDED_FILE_ENTRY, FILE_ENTRY, INDIRECT_ENTRY, Location, TAG_BYTES, TERMINAL_ENTRY, check, expect,
};
use super::text::timestamp;
use crate::base::extents::{MOUNT_IT, at_sector};
use crate::base::{Error, Extent, Fields, FileTime, Place, Result};

/// Most entries that a chain of strategy 4096 has.
const MAX_CHAIN: usize = 1024;

/// What a file entry describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A file of bytes.
    File,
    /// A symbolic link.
    SymbolicLink,
    /// A device, pipe or file of the file system itself.
    Other,
}

/// A file entry.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// What it describes.
    pub kind: FileKind,
    /// Bytes of the file.
    pub size: u64,
    /// Last change of the bytes.
    pub modified: Option<FileTime>,
    /// File type of the ICB tag (ECMA-167 4/14.6.6).
    pub(super) type_number: u8,
    pub(super) descriptors: Descriptors,
}

impl FileEntry {
    /// Reads the file entry at `place`; of a chain the last one.
    ///
    /// # Errors
    /// `Format` when it is none, or says what cannot be; `Unsupported` for strategies that nothing writes.
    pub(super) fn read(partitions: &Partitions, place: IcbPlace) -> Result<Self> {
        const CHAINED: u16 = 4096;
        const SINGLE: u16 = 4;
        let (mut entry, mut strategy) = Self::read_one(partitions, place)?;
        let mut at = place;
        for _ in 0..MAX_CHAIN {
            if strategy != CHAINED {
                break;
            }
            let Some(next) = next_in_chain(partitions, at)? else { return Ok(entry) };
            at = next;
            (entry, strategy) = Self::read_one(partitions, at)?;
        }
        match strategy {
            SINGLE => Ok(entry),
            CHAINED => {
                let message = format!("a chain of more than {MAX_CHAIN} file entries");
                Err(Error::limit(message).remedy(MOUNT_IT))
            }
            other => {
                let offset = entry.descriptors.offset;
                let place = Place::Field { structure: "UDF ICB tag", field: "strategy type", offset };
                let message = format!("file entries of strategy {other} are not supported");
                Err(Error::unsupported(message).at(place).remedy(MOUNT_IT))
            }
        }
    }

    fn read_one(partitions: &Partitions, place: IcbPlace) -> Result<(Self, u16)> {
        let (block, offset) = partitions.read_block(place.partition, place.block)?;
        let identifier = check("UDF file entry", &block, offset, Location::At(place.block))?;
        match identifier {
            FILE_ENTRY => parse(&block, offset, place.partition, Form::Plain),
            EXTENDED_FILE_ENTRY => parse(&block, offset, place.partition, Form::Extended),
            other => {
                let message = format!("{other}, where a file entry (261, 266) is expected");
                Err(at_sector("UDF file entry", "tag identifier", offset, &message))
            }
        }
    }

    /// The extents of its bytes.
    ///
    /// # Errors
    /// As [`allocation::extents`].
    pub(super) fn extents(&self, partitions: &Partitions) -> Result<Vec<Extent>> {
        allocation::extents(partitions, &self.descriptors, self.size)
    }
}

/// What the second block of an ICB of strategy 4096 says: an indirect entry leads on, anything else ends the chain.
fn next_in_chain(partitions: &Partitions, at: IcbPlace) -> Result<Option<IcbPlace>> {
    const STRUCTURE: &str = "UDF indirect entry";
    let Some(block_number) = at.block.checked_add(1) else { return Ok(None) };
    let (block, offset) = partitions.read_block(at.partition, block_number)?;
    let identifier = Fields::new(STRUCTURE, &block, offset).u16("tag identifier")?;
    if identifier != INDIRECT_ENTRY {
        // A terminal entry, or nothing was ever written there.
        if identifier == TERMINAL_ENTRY {
            expect(STRUCTURE, &block, offset, (TERMINAL_ENTRY, Location::At(block_number)))?;
        }
        return Ok(None);
    }
    expect(STRUCTURE, &block, offset, (INDIRECT_ENTRY, Location::At(block_number)))?;
    let mut f = Fields::new(STRUCTURE, &block, offset);
    f.skip("tag and ICB tag", TAG_BYTES + 20)?;
    let length = f.u32("indirect ICB length")?;
    let next = IcbPlace { block: f.u32("indirect ICB location")?, partition: f.u16("partition reference")? };
    Ok((length != 0).then_some(next))
}

/// Which of the two layouts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Extended,
}

/// Reads an entry whose tag is checked; gives the strategy as well. The layouts differ by the fields of `Form::Extended`.
fn parse(block: &[u8], offset: u64, partition: u16, form: Form) -> Result<(FileEntry, u16)> {
    let structure = if form == Form::Plain { "UDF file entry" } else { "UDF extended file entry" };
    let mut f = Fields::new(structure, block, offset);
    f.skip("tag", TAG_BYTES)?;
    f.skip("prior recorded number of direct entries", 4)?;
    let strategy = f.u16("strategy type")?;
    f.skip("strategy parameter and maximum number of entries", 5)?;
    let type_number = f.u8("file type")?;
    f.skip("parent ICB location", 6)?;
    let flags = f.u16("flags")?;
    f.skip("owner, permissions, link count and record format", 20)?;
    let size = f.u64("information length")?;
    if form == Form::Extended {
        f.skip("object size", 8)?;
    }
    f.skip("logical blocks recorded", 8)?;
    f.skip("access time", 12)?;
    let modified = timestamp(f.array("modification time")?);
    if form == Form::Extended {
        f.skip("creation time", 12)?;
    }
    f.skip("attribute time and checkpoint", 16)?;
    if form == Form::Extended {
        f.skip("reserved", 4)?;
    }
    f.skip("extended attribute ICB", 16)?;
    if form == Form::Extended {
        f.skip("stream directory ICB", 16)?;
    }
    f.skip("implementation identifier and unique id", 40)?;
    let attribute_bytes = f.u32("length of extended attributes")?;
    let descriptor_bytes = f.u32("length of allocation descriptors")?;
    f.skip("extended attributes", usize::try_from(attribute_bytes).unwrap_or(usize::MAX))?;
    let (at, length) = (f.offset(), usize::try_from(descriptor_bytes).unwrap_or(usize::MAX));
    let bytes = f.bytes("allocation descriptors", length)?;
    let Some(kind) = Kind::of_flags(flags) else {
        let message = format!("allocation descriptors of kind {}", flags & 7);
        return Err(at_sector("UDF ICB tag", "flags", offset + 34, &message));
    };
    let entry = FileEntry {
        kind: match type_number {
            4 => FileKind::Directory,
            // Type 0 is "not said", which UDF 1.02 writers use for files.
            0 | 5 => FileKind::File,
            12 => FileKind::SymbolicLink,
            _ => FileKind::Other,
        },
        size,
        modified,
        type_number,
        descriptors: Descriptors { kind, bytes: bytes.into(), offset: at, partition },
    };
    Ok((entry, strategy))
}
