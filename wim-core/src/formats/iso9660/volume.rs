//! An ISO 9660 volume: one of the trees of a disc.
//!
//! Joliet's tree is taken when there is one, else the plain one with the names of Rock Ridge, else with its own
//! (media that Microsoft masters hold everything in UDF, which is another format).

use std::fmt;
use std::sync::Arc;

use super::descriptors::{self, Descriptor};
use super::directory::{self, MAX_DIRECTORY_BYTES, Record};
use super::rock_ridge::{Reader, Special};
use crate::base::extents::{MOUNT_IT, SECTOR_BYTES, SECTOR_LENGTH, at_sector, lies_inside};
use crate::base::{Error, Extent, Extents, FileTime, Place, ReadAt, Result, read_at};

/// Which names the tree has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Those of ECMA-119: capital letters, digits and underscores.
    Plain,
    /// Unicode of a tree of its own.
    Joliet,
    /// Those that POSIX has, in system use areas of the plain tree.
    RockRidge,
}

/// An open volume.
pub struct Volume {
    source: Arc<dyn ReadAt>,
    block_bytes: u32,
    names: Names,
    label: String,
    mastering: Mastering,
    root: Record,
    susp: Option<Reader>,
    boot_catalogue: Option<u32>,
}

/// What the primary volume descriptor says of how the disc was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mastering {
    /// Volume set.
    pub volume_set: String,
    /// Publisher.
    pub publisher: String,
    /// Data preparer.
    pub preparer: String,
    /// Application.
    pub application: String,
    /// When the volume was made.
    pub created: Option<FileTime>,
}

const STRUCTURE: &str = "ISO 9660 directory";

impl Volume {
    /// Opens the volume in `source`.
    ///
    /// # Errors
    /// `Format` when there is none or it contradicts itself.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self> {
        let descriptors = descriptors::read(&*source)?;
        let Some(primary) = descriptors.primary else {
            let offset = 16 * SECTOR_BYTES;
            return Err(at_sector("ISO 9660 volume descriptor", "type", offset, "no primary descriptor"));
        };
        let mastering = Mastering {
            volume_set: padded_text(&primary.volume_set),
            publisher: padded_text(&primary.publisher),
            preparer: padded_text(&primary.preparer),
            application: padded_text(&primary.application),
            created: primary.created,
        };
        let boot_catalogue = descriptors.boot_catalogue;
        let (names, chosen) = match descriptors.joliet {
            Some(joliet) => (Names::Joliet, joliet),
            None => (Names::Plain, primary),
        };
        let Descriptor { volume_name, block_bytes, root: (mut root, root_offset), .. } = chosen;
        // Its length is fixed; some writers put another number there.
        root[0] = 34;
        let (root, _) = directory::raw(&root, root_offset)?;
        let label = match names {
            Names::Joliet => {
                let units: Vec<u16> =
                    volume_name.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
                String::from_utf16_lossy(&units).trim_end_matches([' ', '\0']).to_owned()
            }
            _ => padded_text(&volume_name),
        };
        let mut volume = Self {
            source,
            block_bytes,
            names,
            label,
            mastering,
            root: root.record,
            susp: None,
            boot_catalogue,
        };
        if !volume.root.is_directory {
            return Err(at_sector(
                "ISO 9660 directory record",
                "file flags",
                root_offset,
                "the root is no directory",
            ));
        }
        if names == Names::Plain {
            volume.find_rock_ridge()?;
        }
        Ok(volume)
    }

    /// Rock Ridge tells itself in the first record of the root.
    fn find_rock_ridge(&mut self) -> Result<()> {
        let (bytes, offset) = self.directory_bytes(&self.root)?;
        let Ok((first, _)) = directory::raw(&bytes, offset) else { return Ok(()) };
        self.susp = Reader::new(self.source.clone(), self.block_bytes, first.system_use);
        if self.susp.is_some() {
            self.names = Names::RockRidge;
        }
        Ok(())
    }

    /// Which names the tree has.
    #[must_use]
    pub fn names(&self) -> Names {
        self.names
    }

    /// The volume's name.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What is said of how the disc was made.
    #[must_use]
    pub fn mastering(&self) -> &Mastering {
        &self.mastering
    }

    /// Sector of the boot catalogue.
    #[must_use]
    pub fn boot_catalogue(&self) -> Option<u32> {
        self.boot_catalogue
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Record {
        &self.root
    }

    /// What is in a directory, in the order in which it is stored; names that are left out go to `warn`.
    ///
    /// # Errors
    /// `Format` when it is none or contradicts itself, `Limit` for one of more than 32 MiB.
    pub fn directory(&self, record: &Record, warn: &mut dyn FnMut(Error)) -> Result<Vec<Record>> {
        let (bytes, offset) = self.directory_bytes(record)?;
        directory::parse(&bytes, offset, (self.names, self.susp.as_ref()), warn)
    }

    fn directory_bytes(&self, record: &Record) -> Result<(Vec<u8>, u64)> {
        if !record.is_directory {
            return Err(at_sector(STRUCTURE, "file flags", record.offset, "it is no directory"));
        }
        let mut record = record.clone();
        if record.size == 0 {
            record.size = self.size_of_moved(&record)?;
            record.extents = vec![(record.first_block(), u32::try_from(record.size).unwrap_or(u32::MAX))];
        }
        if record.size > MAX_DIRECTORY_BYTES.min(self.source.size()) {
            let message =
                format!("a directory of {} bytes; at most {MAX_DIRECTORY_BYTES} are read", record.size);
            let place = Place::Field { structure: STRUCTURE, field: "data length", offset: record.offset };
            return Err(Error::limit(message).at(place).remedy(MOUNT_IT));
        }
        let content = self.content(&record)?;
        let mut bytes = vec![0; usize::try_from(record.size).unwrap_or(0)];
        read_at::read_exact_at(&content, &mut bytes, 0)?;
        let offset = content.piece_at(0).and_then(|piece| piece.place).unwrap_or(record.offset);
        Ok((bytes, offset))
    }

    /// Bytes of a directory that Rock Ridge moved: the record that points to it does not know, its own first record does.
    fn size_of_moved(&self, record: &Record) -> Result<u64> {
        let offset = u64::from(record.first_block()) * u64::from(self.block_bytes);
        if !lies_inside(offset, SECTOR_BYTES, self.source.size()) {
            return Err(at_sector(STRUCTURE, "location of extent", offset, "behind the end of the file"));
        }
        let mut sector = [0; SECTOR_LENGTH];
        read_at::read_exact_at(&*self.source, &mut sector, offset)?;
        let (own, _) = directory::raw(&sector, offset)?;
        if own.record.first_block() != record.first_block() {
            return Err(at_sector(
                STRUCTURE,
                "location of extent",
                offset,
                "it does not begin with its own record",
            ));
        }
        Ok(own.record.size)
    }

    /// The bytes of a file, in place.
    ///
    /// # Errors
    /// `Format` when its extents lie outside of the disc or one of them is missing; `Unsupported` for interleaved and compressed files.
    pub fn content(&self, record: &Record) -> Result<Extents> {
        let place =
            |field| Place::Field { structure: "ISO 9660 directory record", field, offset: record.offset };
        let refuse = |what: &str, field| {
            Err(Error::unsupported(format!(
                "{what} is not supported (sector {})",
                record.offset / SECTOR_BYTES
            ))
            .at(place(field))
            .remedy(MOUNT_IT))
        };
        if record.is_interleaved {
            return refuse("an interleaved file", "interleave gap size");
        }
        if record.special == Some(Special::Compressed) {
            return refuse("a file compressed by zisofs", "system use");
        }
        if record.is_cut_short {
            let message = "another extent is to follow this one, and there is none: the file is cut short";
            return Err(at_sector("ISO 9660 directory record", "file flags", record.offset + 25, message));
        }
        if record.size > self.source.size() {
            let message = format!("{} bytes on a disc of {}", record.size, self.source.size());
            return Err(at_sector("ISO 9660 directory record", "data length", record.offset, &message));
        }
        let extents = record.extents.iter().map(|&(block, length)| Extent {
            length: length.into(),
            place: Some(u64::from(block) * u64::from(self.block_bytes)),
        });
        Extents::new(self.source.clone(), extents, record.size).map_err(|e| {
            e.or_at(place("location of extent")).remedy(
                "the disc image is damaged or truncated; get it again from its source and compare its hash",
            )
        })
    }
}

/// A field that spaces or zeros fill up.
fn padded_text(bytes: &[u8]) -> String {
    directory::text(bytes).trim_end_matches([' ', '\0']).to_owned()
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("label", &self.label)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
