//! A UDF volume: from its logical volume descriptor to the root directory, and from file entries to bytes.
//!
//! ECMA-167 3/10.6 and 4/14.1. Only the first file set is read; installation media have no other.

use std::fmt;
use std::sync::Arc;

use super::anchor;
use super::directory::{self, MAX_DIRECTORY_BYTES, Name};
use super::file_entry::{FileEntry, FileKind};
use super::partition::{IcbPlace, Partitions};
use super::tag::{FILE_SET, Location, expect};
use super::text::dstring;
use crate::base::extents::{MOUNT_IT, at_sector};
use crate::base::{Error, Extents, Fields, Place, ReadAt, Result, read_at};

/// An open volume.
pub struct Volume {
    partitions: Partitions,
    label: String,
    revision: u16,
    root: IcbPlace,
}

/// What a logical volume descriptor says, besides its partition maps.
struct LogicalVolume<'a> {
    name: String,
    block_bytes: u32,
    revision: u16,
    file_set: IcbPlace,
    maps: (&'a [u8], u64),
}

impl Volume {
    /// Opens the volume in `source`.
    ///
    /// # Errors
    /// `Format` when there is none or it contradicts itself, `Unsupported` for partitions of an unknown kind.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self> {
        let descriptors = anchor::read(&source)?;
        let (block, offset) = &descriptors.logical_volume;
        let volume = logical_volume(block, *offset)?;
        if volume.block_bytes != descriptors.sector_bytes {
            let message = format!(
                "{} bytes, but the anchor was found with sectors of {}",
                volume.block_bytes, descriptors.sector_bytes
            );
            return Err(at_sector(STRUCTURE, "logical block size", offset + 212, &message));
        }
        let partitions = Partitions::open(source, volume.block_bytes, &descriptors.partitions, volume.maps)?;
        let root = root_of(&partitions, volume.file_set)?;
        let label = if volume.name.is_empty() { descriptors.volume_name } else { volume.name };
        let volume = Self { partitions, label, revision: volume.revision, root };
        match volume.file(root)?.kind {
            FileKind::Directory => Ok(volume),
            _ => {
                Err(at_sector("UDF file set descriptor", "root directory ICB", *offset, "it is no directory"))
            }
        }
    }

    /// Name of the logical volume.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Revision of OSTA UDF in binary-coded decimals: 0x0102 for 1.02.
    #[must_use]
    pub fn revision(&self) -> u16 {
        self.revision
    }

    /// Bytes of a logical block.
    #[must_use]
    pub fn block_bytes(&self) -> u32 {
        self.partitions.block_bytes()
    }

    /// The file entry of the root directory.
    #[must_use]
    pub fn root(&self) -> IcbPlace {
        self.root
    }

    /// The file entry at `place`.
    ///
    /// # Errors
    /// `Format` when there is none, or it contradicts itself.
    pub fn file(&self, place: IcbPlace) -> Result<FileEntry> {
        FileEntry::read(&self.partitions, place)
    }

    /// The bytes of a file, in place.
    ///
    /// # Errors
    /// `Format` when its extents lie outside of the disc or do not suffice; `Limit` for too many.
    pub fn content(&self, file: &FileEntry) -> Result<Extents> {
        let extents = file.extents(&self.partitions)?;
        let place = Place::Field {
            structure: "UDF file entry",
            field: "allocation descriptors",
            offset: file.descriptors.offset,
        };
        Extents::new(self.partitions.source().clone(), extents, file.size).map_err(|e| e.or_at(place))
    }

    /// The names in a directory, in the order in which they are stored; those that are left out go to `warn`.
    ///
    /// # Errors
    /// `Format` when it is none or contradicts itself, `Limit` for one of more than 32 MiB.
    pub fn directory(&self, place: IcbPlace, warn: &mut dyn FnMut(Error)) -> Result<Vec<Name>> {
        let file = self.file(place)?;
        let offset = file.descriptors.offset;
        if file.kind != FileKind::Directory {
            return Err(at_sector("UDF ICB tag", "file type", offset, "it is no directory"));
        }
        if file.size > MAX_DIRECTORY_BYTES.min(self.partitions.disc_bytes()) {
            let message =
                format!("a directory of {} bytes; at most {MAX_DIRECTORY_BYTES} are read", file.size);
            let place = Place::Field { structure: "UDF file entry", field: "information length", offset };
            return Err(Error::limit(message).at(place).remedy(MOUNT_IT));
        }
        let content = self.content(&file)?;
        let mut bytes = vec![0; usize::try_from(file.size).unwrap_or(0)];
        read_at::read_exact_at(&content, &mut bytes, 0)?;
        let place_of = |at| content.piece_at(at).and_then(|piece| piece.place).unwrap_or(offset);
        directory::parse(&bytes, place_of, warn)
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume").field("label", &self.label).finish_non_exhaustive()
    }
}

const STRUCTURE: &str = "UDF logical volume descriptor";

fn logical_volume(block: &[u8], offset: u64) -> Result<LogicalVolume<'_>> {
    let mut f = Fields::new(STRUCTURE, block, offset);
    f.skip("tag, sequence number and character set", 84)?;
    let name = dstring(f.bytes("logical volume identifier", 128)?);
    let block_bytes = f.u32("logical block size")?;
    let domain = f.bytes("domain identifier", 32)?;
    if domain.get(1..20) != Some(b"*OSTA UDF Compliant".as_slice()) {
        let text = String::from_utf8_lossy(domain.get(1..24).unwrap_or_default()).into_owned();
        let message = format!("{:?} is not \"*OSTA UDF Compliant\"", text.trim_end_matches('\0'));
        return Err(at_sector(STRUCTURE, "domain identifier", offset + 216, &message));
    }
    let revision = match domain.get(24..26) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => 0,
    };
    f.skip("file set length", 4)?;
    let file_set =
        IcbPlace { block: f.u32("file set block")?, partition: f.u16("file set partition reference")? };
    f.skip("file set implementation use", 6)?;
    let map_bytes = usize::try_from(f.u32("map table length")?).unwrap_or(usize::MAX);
    f.skip("number of maps, implementation, integrity sequence", 172)?;
    let maps_at = f.offset();
    let maps = f.bytes("partition maps", map_bytes)?;
    Ok(LogicalVolume { name, block_bytes, revision, file_set, maps: (maps, maps_at) })
}

/// The root directory that the file set descriptor names.
fn root_of(partitions: &Partitions, file_set: IcbPlace) -> Result<IcbPlace> {
    const STRUCTURE: &str = "UDF file set descriptor";
    let (block, offset) = partitions.read_block(file_set.partition, file_set.block)?;
    expect(STRUCTURE, &block, offset, (FILE_SET, Location::At(file_set.block)))?;
    let mut f = Fields::new(STRUCTURE, &block, offset);
    f.skip("everything before the root directory", 400)?;
    f.skip("root directory ICB length", 4)?;
    Ok(IcbPlace { block: f.u32("root directory block")?, partition: f.u16("root directory partition")? })
}
