//! A disc image as one tree of files, whichever file system it has.
//!
//! UDF is taken whenever there is one: Microsoft's discs have an ISO 9660 side as well, which holds nothing but a text that says so;
//! else Joliet, else ISO 9660 with Rock Ridge. A disc whose UDF side is damaged is read through the other one, with a warning,
//! when that holds more than the text. Symbolic links are shown and never followed.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::base::{Error, ErrorKind, Extents, FileTime, Place, ReadAt, Result, WimString};
use crate::formats::iso9660::{self, el_torito};
use crate::formats::udf;

/// Deepest directory that is entered.
const MAX_DEPTH: usize = 256;
/// Most entries that one walk loads: it may hold all of them at once, with some 250 bytes each.
const MAX_ENTRIES: u64 = 1_000_000;
/// Most warnings that are kept of one disc.
const MAX_WARNINGS: usize = 100;

/// The file system that a disc is read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSystem {
    /// UDF.
    Udf,
    /// ISO 9660 with the names of Joliet.
    Joliet,
    /// ISO 9660 with the names of Rock Ridge.
    RockRidge,
    /// ISO 9660 alone.
    Iso9660,
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udf => "UDF",
            Self::Joliet => "Joliet",
            Self::RockRidge => "Rock Ridge",
            Self::Iso9660 => "ISO 9660",
        })
    }
}

/// What a name on a disc stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link.
    SymbolicLink,
    /// A device, a pipe, or a file of the file system itself.
    Other,
}

/// A name on a disc.
#[derive(Clone, Debug)]
pub struct DiscEntry {
    /// The name; empty for the root.
    pub name: WimString,
    /// What it stands for.
    pub kind: EntryKind,
    /// Bytes of a file.
    pub size: u64,
    /// Last change.
    pub modified: Option<FileTime>,
    /// True when it is not to be shown.
    pub is_hidden: bool,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Udf(udf::IcbPlace),
    Iso9660(Box<iso9660::Record>),
}

/// Tells directories apart.
#[derive(PartialEq, Eq, Hash)]
enum DirectoryId {
    Udf(udf::IcbPlace),
    Iso9660(u32),
}

/// An open disc image.
pub struct IsoImage {
    name: String,
    source: Arc<dyn ReadAt>,
    volume: Volume,
    /// The ISO 9660 side of a disc that is read through UDF; none when there is none or it is damaged.
    other_side: Option<iso9660::Volume>,
    /// What was odd and passed over so far, each once.
    warnings: Mutex<Vec<Error>>,
}

enum Volume {
    Udf(udf::Volume),
    Iso9660(iso9660::Volume),
}

/// True when the source says that it is a disc with a file system that is read.
///
/// # Errors
/// `Io`.
pub fn is_disc(source: &dyn ReadAt) -> Result<bool> {
    Ok(iso9660::is_recognised(source)? || udf::is_recognised(source)?)
}

impl IsoImage {
    /// Opens the disc in `source`; errors call it `name`.
    ///
    /// # Errors
    /// `Format` when it is no disc or damaged, `Unsupported` for kinds of UDF partitions that nothing here reads.
    pub fn open(source: Arc<dyn ReadAt>, name: &str) -> Result<Self> {
        let (volume, warning) = open_volume(&source).map_err(|e| e.in_file(name))?;
        let other_side = match volume {
            Volume::Udf(_) => iso9660::Volume::open(source.clone()).ok(),
            Volume::Iso9660(_) => None,
        };
        let warnings = warning.into_iter().map(|warning| warning.in_file(name)).collect();
        Ok(Self { name: name.to_owned(), source, volume, other_side, warnings: Mutex::new(warnings) })
    }

    /// What was odd on the disc and passed over so far: a damaged side, names that no file can have. Reading more of it may find
    /// more; the first hundred are kept.
    #[must_use]
    pub fn warnings(&self) -> Vec<Error> {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.iter().map(Error::duplicate).collect()
    }

    /// Keeps a warning about the directory `name`, unless it was met before.
    fn warn(&self, warning: Error, name: &WimString) {
        let warning = self.named(warning, name);
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |one: &Error| one.place() != warning.place() || one.message() != warning.message();
        if warnings.len() < MAX_WARNINGS && warnings.iter().all(is_new) {
            warnings.push(warning);
        }
    }

    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes of the whole disc.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    /// The file system that it is read through.
    #[must_use]
    pub fn file_system(&self) -> FileSystem {
        match &self.volume {
            Volume::Udf(_) => FileSystem::Udf,
            Volume::Iso9660(volume) => file_system_of(volume),
        }
    }

    /// All file systems that were found, the one that is read first.
    #[must_use]
    pub fn file_systems(&self) -> Vec<FileSystem> {
        let other = self.other_side.as_ref().map(file_system_of);
        std::iter::once(self.file_system()).chain(other).collect()
    }

    /// Revision of UDF as `1.02`.
    #[must_use]
    pub fn udf_revision(&self) -> Option<String> {
        match &self.volume {
            Volume::Udf(volume) => {
                let revision = volume.revision();
                Some(format!("{:x}.{:02x}", revision >> 8, revision & 0xFF))
            }
            Volume::Iso9660(_) => None,
        }
    }

    /// The volume's name.
    #[must_use]
    pub fn label(&self) -> &str {
        match &self.volume {
            Volume::Udf(volume) => volume.label(),
            Volume::Iso9660(volume) => volume.label(),
        }
    }

    /// What the ISO 9660 side says of how the disc was made.
    #[must_use]
    pub fn mastering(&self) -> Option<&iso9660::Mastering> {
        self.iso9660().map(iso9660::Volume::mastering)
    }

    fn iso9660(&self) -> Option<&iso9660::Volume> {
        match &self.volume {
            Volume::Iso9660(volume) => Some(volume),
            Volume::Udf(_) => self.other_side.as_ref(),
        }
    }

    /// The boot catalogue; none when the disc does not boot.
    ///
    /// # Errors
    /// As [`el_torito::read`].
    pub fn boot_catalogue(&self) -> Result<Option<el_torito::Catalogue>> {
        let sector = self.iso9660().and_then(iso9660::Volume::boot_catalogue);
        let read = sector.map(|sector| el_torito::read(&*self.source, sector));
        read.transpose().map_err(|e| e.in_file(&self.name))
    }

    /// The root directory.
    ///
    /// # Errors
    /// `Format` when its file entry cannot be read.
    pub fn root(&self) -> Result<DiscEntry> {
        match &self.volume {
            Volume::Udf(volume) => self.udf_entry(volume, WimString::default(), volume.root()),
            Volume::Iso9660(volume) => Ok(iso9660_entry(volume.root().clone())),
        }
        .map_err(|e| e.in_file(&self.name))
    }

    fn udf_entry(&self, volume: &udf::Volume, name: WimString, icb: udf::IcbPlace) -> Result<DiscEntry> {
        let file = volume.file(icb).map_err(|e| self.named(e, &name))?;
        Ok(DiscEntry {
            name,
            kind: match file.kind {
                udf::FileKind::Directory => EntryKind::Directory,
                udf::FileKind::File => EntryKind::File,
                udf::FileKind::SymbolicLink => EntryKind::SymbolicLink,
                udf::FileKind::Other => EntryKind::Other,
            },
            size: file.size,
            modified: file.modified,
            is_hidden: false,
            body: Body::Udf(icb),
        })
    }

    /// What is in a directory, sorted by name without regard to case.
    ///
    /// # Errors
    /// `Format` or `Limit` when it cannot be read.
    pub fn children(&self, directory: &DiscEntry) -> Result<Vec<DiscEntry>> {
        let mut found = match (&self.volume, &directory.body) {
            (Volume::Udf(volume), Body::Udf(icb)) => {
                let names = self.udf_names(volume, *icb, &directory.name)?;
                let entry = |one: udf::Name| {
                    let is_hidden = one.is_hidden;
                    self.udf_entry(volume, one.name, one.icb).map(|entry| DiscEntry { is_hidden, ..entry })
                };
                names.into_iter().map(entry).collect::<Result<Vec<_>>>()?
            }
            (Volume::Iso9660(volume), Body::Iso9660(record)) => {
                let records = self.iso9660_records(volume, record, &directory.name)?;
                records.into_iter().map(iso9660_entry).collect()
            }
            _ => return Err(Error::invalid_input("an entry of another disc").in_file(&self.name)),
        };
        found.sort_by(|a, b| a.name.ntfs_cmp(&b.name));
        Ok(found)
    }

    /// The entry at a path with slashes of either kind; names are found as spelt, else without regard to case.
    ///
    /// # Errors
    /// `Format` when a directory on the way cannot be read; `InvalidInput` when names differ in case only and none is spelt so.
    pub fn find(&self, path: &str) -> Result<Option<DiscEntry>> {
        let mut at = self.root()?;
        for wanted in path.split(['/', '\\']).filter(|name| !name.is_empty()) {
            if at.kind != EntryKind::Directory {
                return Ok(None);
            }
            let Some(found) = self.child(&at, wanted)? else { return Ok(None) };
            at = found;
        }
        Ok(Some(at))
    }

    /// One entry of a directory, without looking at the others' file entries.
    fn child(&self, directory: &DiscEntry, wanted: &str) -> Result<Option<DiscEntry>> {
        match (&self.volume, &directory.body) {
            (Volume::Udf(volume), Body::Udf(icb)) => {
                let names = self.udf_names(volume, *icb, &directory.name)?;
                match self.choose(names, wanted, |one| &one.name)? {
                    Some(one) => self.udf_entry(volume, one.name, one.icb).map(Some),
                    None => Ok(None),
                }
            }
            (Volume::Iso9660(volume), Body::Iso9660(record)) => {
                let records = self.iso9660_records(volume, record, &directory.name)?;
                Ok(self.choose(records, wanted, |one| &one.name)?.map(iso9660_entry))
            }
            _ => Err(Error::invalid_input("an entry of another disc").in_file(&self.name)),
        }
    }

    fn choose<T>(&self, list: Vec<T>, wanted: &str, name: impl Fn(&T) -> &WimString) -> Result<Option<T>> {
        let units = WimString::from(wanted);
        let mut fitting: Vec<T> = list.into_iter().filter(|one| name(one).eq_ignore_case(&units)).collect();
        if let Some(at) = fitting.iter().position(|one| *name(one) == units) {
            return Ok(Some(fitting.swap_remove(at)));
        }
        if fitting.len() > 1 {
            let names: Vec<String> = fitting.iter().map(|one| name(one).to_text()).collect();
            return Err(Error::invalid_input(format!(
                "several names differ in case only: {}",
                names.join(", ")
            ))
            .in_file(&self.name)
            .at(Place::Path(wanted.to_owned()))
            .remedy("spell the path as the disc does"));
        }
        Ok(fitting.pop())
    }

    /// The bytes of a file, in place.
    ///
    /// # Errors
    /// `InvalidInput` for anything but a file, `Format` when its extents are damaged, `Unsupported` for forms of storing that
    /// nothing here reads.
    pub fn content(&self, entry: &DiscEntry) -> Result<Extents> {
        let kind = match entry.kind {
            EntryKind::File => None,
            EntryKind::Directory => Some("a directory"),
            EntryKind::SymbolicLink => Some("a symbolic link"),
            EntryKind::Other => Some("a device or a file of the file system itself"),
        };
        if let Some(kind) = kind {
            let place = Place::Path(entry.name.to_text());
            return Err(Error::invalid_input(format!("it is {kind}, not a file"))
                .at(place)
                .in_file(&self.name));
        }
        match (&self.volume, &entry.body) {
            (Volume::Udf(volume), Body::Udf(icb)) => volume.file(*icb).and_then(|file| volume.content(&file)),
            (Volume::Iso9660(volume), Body::Iso9660(record)) => volume.content(record),
            _ => Err(Error::invalid_input("an entry of another disc")),
        }
        .map_err(|e| self.named(e, &entry.name))
    }

    /// The names in a directory of the UDF side.
    fn udf_names(
        &self,
        volume: &udf::Volume,
        icb: udf::IcbPlace,
        name: &WimString,
    ) -> Result<Vec<udf::Name>> {
        let names = volume.directory(icb, &mut |warning| self.warn(warning, name));
        names.map_err(|e| self.named(e, name))
    }

    /// The records in a directory of the ISO 9660 side.
    fn iso9660_records(
        &self,
        volume: &iso9660::Volume,
        record: &iso9660::Record,
        name: &WimString,
    ) -> Result<Vec<iso9660::Record>> {
        let records = volume.directory(record, &mut |warning| self.warn(warning, name));
        records.map_err(|e| self.named(e, name))
    }

    /// Calls `visit` with the path and the entry of everything below `start`, each directory before what it holds; `start` itself
    /// has the path `path`, which is empty for the root.
    ///
    /// # Errors
    /// Those of `visit` and of reading directories; `Format` for a directory that is there twice or deeper than 256 others, and
    /// for directories that together have more bytes than the disc; `Limit` for more than a million entries.
    pub fn walk(
        &self,
        (path, start): (&str, &DiscEntry),
        visit: &mut dyn FnMut(&str, &DiscEntry) -> Result<()>,
    ) -> Result<()> {
        let mut seen: HashSet<DirectoryId> = HashSet::from([id_of(start)]);
        let mut loaded = Loaded::default();
        let mut open = vec![(path.to_owned(), self.load(start, path, &mut loaded)?.into_iter())];
        while let Some((folder, list)) = open.last_mut() {
            let Some(entry) = list.next() else {
                open.pop();
                continue;
            };
            let path = format!("{folder}/{}", entry.name);
            visit(&path, &entry)?;
            if entry.kind != EntryKind::Directory {
                continue;
            }
            if !seen.insert(id_of(&entry)) {
                return Err(self.loops(&path, "a directory that is there twice, perhaps inside itself"));
            }
            if open.len() >= MAX_DEPTH {
                return Err(self.loops(&path, "directories are nested more than 256 deep"));
            }
            let children = self.load(&entry, &path, &mut loaded)?.into_iter();
            open.push((path, children));
        }
        Ok(())
    }

    /// The children of a directory of a walk, counted as they are loaded and before they are visited: those of all directories on
    /// the way are in memory at once. Directories that share their bytes would be as many as a hostile disc likes.
    fn load(&self, directory: &DiscEntry, path: &str, loaded: &mut Loaded) -> Result<Vec<DiscEntry>> {
        loaded.bytes = loaded.bytes.saturating_add(directory.size);
        if loaded.bytes > self.source.size() {
            return Err(
                self.loops(path, "the directories up to this one have more bytes than the whole disc")
            );
        }
        let children = self.children(directory)?;
        loaded.entries += children.len() as u64;
        if loaded.entries > MAX_ENTRIES {
            let message = format!("the disc has more than {MAX_ENTRIES} names");
            return Err(Error::limit(message)
                .in_file(&self.name)
                .remedy("name the files you want by their paths"));
        }
        Ok(children)
    }

    fn loops(&self, path: &str, message: &str) -> Error {
        Error::new(ErrorKind::Format, message)
            .at(Place::Path(path.to_owned()))
            .in_file(&self.name)
            .remedy("the disc image is damaged or made to do harm; name the files you want by their paths")
    }

    /// The error with the file that it is about, and the disc's name.
    fn named(&self, error: Error, name: &WimString) -> Error {
        if name.is_empty() {
            error.in_file(&self.name)
        } else {
            error.in_file(format!("{}: {name}", self.name))
        }
    }
}

/// What a walk has loaded so far.
#[derive(Default)]
struct Loaded {
    entries: u64,
    /// Bytes of directories.
    bytes: u64,
}

/// The side of a disc that is read, with a warning when it is not the one that comes first.
fn open_volume(source: &Arc<dyn ReadAt>) -> Result<(Volume, Option<Error>)> {
    let has_iso9660 = iso9660::is_recognised(&**source)?;
    if !udf::is_recognised(&**source)? {
        if has_iso9660 {
            return iso9660::Volume::open(source.clone()).map(|volume| (Volume::Iso9660(volume), None));
        }
        return Err(Error::new(ErrorKind::Format, "neither UDF nor ISO 9660: it is no disc image")
            .remedy("name an .iso file that was downloaded or read from a disc as a whole"));
    }
    let error = match open_udf(source) {
        Ok(volume) => return Ok((Volume::Udf(volume), None)),
        Err(error) => error,
    };
    let stands_in = has_iso9660 && matches!(error.kind(), ErrorKind::Format | ErrorKind::Unsupported);
    let Some(volume) = stands_in.then(|| full_iso9660(source)).flatten() else { return Err(error) };
    let message = format!(
        "the UDF side of the disc cannot be read ({error}); its {} side is read instead, where files of 4 GiB and more may \
         have another size",
        file_system_of(&volume)
    );
    let warning = Error::new(error.kind(), message)
        .remedy("the disc image is damaged or truncated; get it again from its source and compare its hash");
    Ok((Volume::Iso9660(volume), Some(warning)))
}

/// The UDF side, whose root directory must be readable.
fn open_udf(source: &Arc<dyn ReadAt>) -> Result<udf::Volume> {
    let volume = udf::Volume::open(source.clone())?;
    volume.directory(volume.root(), &mut drop)?;
    Ok(volume)
}

/// The ISO 9660 side, when it can be read and holds more than the one text that says where everything is.
fn full_iso9660(source: &Arc<dyn ReadAt>) -> Option<iso9660::Volume> {
    let volume = iso9660::Volume::open(source.clone()).ok()?;
    let records = volume.directory(volume.root(), &mut drop).ok()?;
    let is_text_alone = matches!(records.as_slice(), [] | [iso9660::Record { is_directory: false, .. }]);
    (!is_text_alone).then_some(volume)
}

fn file_system_of(volume: &iso9660::Volume) -> FileSystem {
    match volume.names() {
        iso9660::Names::Plain => FileSystem::Iso9660,
        iso9660::Names::Joliet => FileSystem::Joliet,
        iso9660::Names::RockRidge => FileSystem::RockRidge,
    }
}

fn iso9660_entry(mut record: iso9660::Record) -> DiscEntry {
    let kind = if record.is_directory {
        EntryKind::Directory
    } else if record.is_symbolic_link() {
        EntryKind::SymbolicLink
    } else if record.is_device() {
        EntryKind::Other
    } else {
        EntryKind::File
    };
    DiscEntry {
        name: std::mem::take(&mut record.name),
        kind,
        size: record.size,
        modified: record.modified,
        is_hidden: record.is_hidden,
        body: Body::Iso9660(Box::new(record)),
    }
}

fn id_of(entry: &DiscEntry) -> DirectoryId {
    match &entry.body {
        Body::Udf(icb) => DirectoryId::Udf(*icb),
        Body::Iso9660(record) => DirectoryId::Iso9660(record.first_block()),
    }
}

impl fmt::Debug for IsoImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsoImage")
            .field("name", &self.name)
            .field("label", &self.label())
            .finish_non_exhaustive()
    }
}
