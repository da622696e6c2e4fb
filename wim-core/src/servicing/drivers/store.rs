//! The files of a package as an image keeps them: identity, checks of its binaries, and where each file goes.
//!
//! Source: drivers.md 3.1, 3.2 and 3.7. Files are found in the image without regard to case and keep their spelling; a newer
//! version is never replaced by an older one unless that is asked for.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::package::{MAX_FILE, Package, Packing, file_name};
use super::select::Selection;
use crate::base::hex;
use crate::base::{Architecture, Error, ErrorKind, Result};
use crate::formats::cab::{self, Cabinet};
use crate::formats::pe::{FileVersion, PeFile};
use crate::formats::szdd;
use crate::image::WimPath;
use crate::image::edit::{Action, Change, Content, Security, Times, View};
use crate::servicing::package_files::{HashedBytes, PackageFile};

/// A file of a package, read.
#[derive(Clone, Debug)]
pub struct StagedFile {
    /// Path below the INF's folder, with backslashes.
    pub path: String,
    /// Its bytes, expanded.
    pub bytes: Arc<[u8]>,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// Where an image's file gets them from when it is written.
    pub content: Content,
    /// Times, if known.
    pub times: Option<Times>,
}

impl StagedFile {
    fn read(package: &Package<'_>, file: &PackageFile, path: &str, packing: &Packing) -> Result<Self> {
        let source = package.source();
        let (read, content) = if *packing == Packing::Plain {
            let read = source.read_hashed(file, MAX_FILE).map_err(|e| e.in_file(&file.path))?;
            (read, source.content(file)?)
        } else {
            let packed = source.read(file, MAX_FILE).map_err(|e| e.in_file(&file.path))?;
            let bytes: Arc<[u8]> = expand(&packed, packing, &file.path)?.into();
            (HashedBytes::of(bytes.clone()), Content::Bytes(bytes))
        };
        Ok(Self {
            path: path.to_owned(),
            sha256: read.sha256,
            bytes: read.bytes,
            content,
            times: file.last_write.map(Times::all),
        })
    }
}

/// The file that is packed in `bytes`, which messages call `name`.
fn expand(bytes: &[u8], packing: &Packing, name: &str) -> Result<Vec<u8>> {
    let is_cabinet = bytes.starts_with(&cab::Header::SIGNATURE);
    let wanted = match packing {
        Packing::InCabinet(member) => Some(member),
        _ if !is_cabinet => return szdd::expand(bytes).map_err(|e| e.in_file(name)),
        _ => None,
    };
    let cabinet = Cabinet::open(Arc::new(bytes.to_vec()), name)?;
    let is_wanted = |member: &&cab::Member| {
        let own = member.name.rsplit(['\\', '/']).next().unwrap_or_default();
        wanted.is_none_or(|wanted| own.eq_ignore_ascii_case(wanted))
    };
    match (cabinet.members().iter().find(is_wanted), cabinet.members().len(), wanted) {
        (Some(member), 1, _) | (Some(member), _, Some(_)) => cabinet.read_member(member, MAX_FILE),
        (_, _, Some(wanted)) => {
            Err(Error::not_found(format!("{wanted} is not in the cabinet that the INF names for it"))
                .in_file(name)
                .remedy("use the complete package of the vendor"))
        }
        (_, count, None) => Err(Error::new(
            ErrorKind::Format,
            format!("a compressed file must hold one file; this cabinet has {count}"),
        )
        .in_file(name)),
    }
}

/// All files of a package that an image needs: the INF, the catalog and what is copied, each once, sorted by path.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The files.
    pub files: Vec<StagedFile>,
    /// SHA-256 over the sorted list of paths, sizes and digests: what makes two packages the same.
    pub identity: [u8; 32],
    /// The catalog's name, when the INF names one and it is there.
    pub catalog: Option<String>,
}

impl Staged {
    /// Reads the files that `selection` needs.
    ///
    /// # Errors
    /// What reading a file or expanding it gives.
    pub fn read(package: &Package<'_>, selection: &Selection, arch: Architecture) -> Result<Self> {
        let mut files = BTreeMap::new();
        if let Some(inf) = package.inf_file() {
            let staged = StagedFile::read(package, inf, package.inf_name(), &Packing::Plain)?;
            files.insert(staged.path.to_lowercase(), staged);
        }
        let mut catalog = None;
        if let Some((name, Some(file))) = package.catalog(arch) {
            catalog = Some(file_name(&file.path).to_owned());
            let staged = StagedFile::read(package, file, file_name(&file.path), &Packing::Plain)?;
            files.insert(name.to_lowercase(), staged);
        }
        for selected in &selection.files {
            let source = &selected.source;
            if let Entry::Vacant(slot) = files.entry(source.stored_path.to_lowercase()) {
                // The spelling on the host is what the vendor ships; the INF's may differ in case.
                let path = spelled_like(&source.stored_path, &source.file.path);
                slot.insert(StagedFile::read(package, &source.file, &path, &source.packing)?);
            }
        }
        Ok(Self::of(files.into_values().collect(), catalog))
    }

    /// These files, sorted by path.
    pub(super) fn of(files: Vec<StagedFile>, catalog: Option<String>) -> Self {
        let mut hasher = Sha256::new();
        for file in &files {
            hasher.update(file.path.to_lowercase().as_bytes());
            hasher.update([0]);
            hasher.update((file.bytes.len() as u64).to_le_bytes());
            hasher.update(file.sha256);
        }
        Self { files, identity: hasher.finalize().into(), catalog }
    }

    /// The same package with other bytes in some of its files, given by their index.
    #[must_use]
    pub fn with_bytes(mut self, changed: Vec<(usize, Vec<u8>)>) -> Self {
        for (index, bytes) in changed {
            if let Some(file) = self.files.get_mut(index) {
                file.sha256 = Sha256::digest(&bytes).into();
                file.bytes = bytes.into();
                file.content = Content::Bytes(file.bytes.clone());
            }
        }
        Self::of(self.files, self.catalog)
    }

    /// The file at a path below the INF's folder.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&StagedFile> {
        let path = path.to_lowercase();
        self.files.iter().find(|file| file.path.to_lowercase() == path)
    }

    /// The first `digits` hexadecimal digits of the identity.
    #[must_use]
    pub fn hash(&self, digits: usize) -> String {
        hex::encode(&self.identity).chars().take(digits).collect()
    }
}

/// `wanted` in the spelling of `found`, when that ends in the same path but for case.
fn spelled_like(wanted: &str, found: &str) -> String {
    let start = found.len().checked_sub(wanted.len());
    match start.and_then(|start| found.get(start..)) {
        Some(tail) if tail.to_lowercase() == wanted.to_lowercase() => tail.to_owned(),
        _ => wanted.to_owned(),
    }
}

/// Checks that the kernel binaries among `files` are made for `arch`, whatever the INF says.
///
/// # Errors
/// `InvalidInput` that names the file and both architectures; `Format` when a `.sys` file is no program at all.
pub fn check_machines(selection: &Selection, staged: &Staged, arch: Architecture) -> Result<()> {
    for selected in &selection.files {
        let name = &selected.copy.destination_name;
        if !name.to_lowercase().ends_with(".sys") {
            continue;
        }
        let Some(file) = staged.file(&selected.source.stored_path) else { continue };
        let pe = PeFile::parse(&file.bytes).map_err(|e| e.in_file(&file.path))?;
        if pe.architecture() == Some(arch) {
            continue;
        }
        let found =
            pe.architecture().map_or_else(|| format!("machine {:#06x}", pe.machine()), |a| a.to_string());
        return Err(Error::invalid_input(format!(
            "{} is a driver for {found}, the image is {arch}, although the INF offers it for {arch}",
            file.path
        ))
        .remedy(format!("use the vendor's package for {arch}")));
    }
    Ok(())
}

/// The file version of a program; none when it is none or has none.
#[must_use]
pub fn file_version(bytes: &[u8]) -> Option<FileVersion> {
    PeFile::parse(bytes).ok()?.file_version()
}

/// An image with the files that this job has put into it so far.
pub struct ImageFiles<'a> {
    view: &'a dyn View,
    written: BTreeMap<String, Arc<[u8]>>,
    /// Files and directories that were removed.
    removed: BTreeSet<String>,
    /// Directories that were not there, as spelt.
    made: BTreeMap<String, String>,
    changes: Vec<Change>,
}

/// A moment to which an [`ImageFiles`] can go back.
pub struct FilesSavepoint {
    changes: usize,
    written: BTreeMap<String, Arc<[u8]>>,
    removed: BTreeSet<String>,
    made: BTreeMap<String, String>,
}

impl<'a> ImageFiles<'a> {
    /// The image behind `view`, with nothing written yet.
    #[must_use]
    pub fn new(view: &'a dyn View) -> Self {
        Self {
            view,
            written: BTreeMap::new(),
            removed: BTreeSet::new(),
            made: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// The image as it was.
    #[must_use]
    pub fn view(&self) -> &'a dyn View {
        self.view
    }

    /// What was asked for so far.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Gives the changes away.
    #[must_use]
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// A mark to come back to with [`Self::roll_back`].
    #[must_use]
    pub fn savepoint(&self) -> FilesSavepoint {
        let (written, removed) = (self.written.clone(), self.removed.clone());
        FilesSavepoint { changes: self.changes.len(), written, removed, made: self.made.clone() }
    }

    /// Directories that came into being since `savepoint`, parents first.
    #[must_use]
    pub fn made_since(&self, savepoint: &FilesSavepoint) -> Vec<String> {
        let new = self.made.iter().filter(|(key, _)| !savepoint.made.contains_key(*key));
        new.map(|(_, path)| path.clone()).collect()
    }

    /// How many changes were asked for since `savepoint`.
    #[must_use]
    pub fn changes_since(&self, savepoint: &FilesSavepoint) -> usize {
        self.changes.len().saturating_sub(savepoint.changes)
    }

    /// Forgets what was asked for after `savepoint`.
    pub fn roll_back(&mut self, savepoint: FilesSavepoint) {
        self.changes.truncate(savepoint.changes);
        self.written = savepoint.written;
        self.removed = savepoint.removed;
        self.made = savepoint.made;
    }

    /// Remembers the directories above `path` that are not there yet.
    fn note_parents(&mut self, path: &WimPath) {
        let mut parent = path.parent();
        while let Some(folder) = parent {
            let is_new = !folder.components().is_empty()
                && !self.made.contains_key(&key(&folder))
                && (self.view.entry(&folder).is_none() || self.is_removed(&folder));
            if !is_new {
                break;
            }
            self.removed.remove(&key(&folder));
            parent = folder.parent();
            self.made.insert(key(&folder), folder.to_string());
        }
    }

    /// True when a file or directory is there, or will be.
    #[must_use]
    pub fn exists(&self, path: &WimPath) -> bool {
        let key = key(path);
        self.written.contains_key(&key)
            || self.made.contains_key(&key)
            || (self.view.entry(path).is_some() && !self.is_removed(path))
    }

    /// `text`, a path from the root, in the spelling of the image as far as it exists there.
    ///
    /// # Errors
    /// As [`WimPath::parse`].
    pub fn spelled(&self, text: &str) -> Result<WimPath> {
        let wanted = WimPath::parse(text)?;
        let mut path = WimPath::root();
        for name in wanted.components() {
            let next = path.child(name.clone());
            path = match self.view.entry(&next) {
                Some(entry) => path.child(entry.name),
                None => next,
            };
        }
        Ok(path)
    }

    /// The bytes of a file; none when there is none.
    ///
    /// # Errors
    /// What reading it gives.
    pub fn read(&self, path: &WimPath) -> Result<Option<Arc<[u8]>>> {
        if let Some(bytes) = self.written.get(&key(path)) {
            return Ok(Some(bytes.clone()));
        }
        if self.is_removed(path) {
            return Ok(None);
        }
        match self.view.entry(path) {
            Some(entry) if entry.is_directory() => {
                Err(Error::invalid_input(format!("{path} is a directory where a file should be put")))
            }
            Some(_) => self.view.read(path, MAX_FILE).map(Some),
            None => Ok(None),
        }
    }

    /// True when this job removed it, or a directory above it.
    fn is_removed(&self, path: &WimPath) -> bool {
        let path = key(path);
        self.removed.contains(&path)
            || path
                .match_indices('\\')
                .any(|(at, _)| path.get(..at).is_some_and(|up| self.removed.contains(up)))
    }

    /// True when a directory is there and this job has removed all that was in it.
    #[must_use]
    pub fn is_emptied(&self, path: &WimPath) -> bool {
        let below = format!("{}\\", key(path));
        let entries = self.view.list(path).unwrap_or_default();
        !self.written.keys().any(|other| other.starts_with(&below))
            && self.view.entry(path).is_some()
            && entries.into_iter().all(|entry| self.is_removed(&path.child(entry.name)))
    }

    /// Puts a file there unless it is there already; says what it replaced.
    ///
    /// # Errors
    /// What reading the present file gives.
    pub fn put(&mut self, path: &WimPath, file: &StagedFile, reason: &str) -> Result<Put> {
        let present = self.read(path)?;
        if present.as_deref() == Some(&*file.bytes) {
            return Ok(Put::AlreadyThere);
        }
        self.changes.push(Change {
            path: path.clone(),
            action: Action::PutFile {
                content: file.content.clone(),
                attributes: None,
                times: file.times,
                security: self.security_of_files(),
            },
            reason: reason.to_owned(),
        });
        self.note_parents(path);
        self.removed.remove(&key(path));
        self.written.insert(key(path), file.bytes.clone());
        Ok(Put::Written { replaced: present.map(|bytes| Sha256::digest(&bytes).into()) })
    }

    /// [`Self::put`] for bytes that are not of a package.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_bytes(&mut self, path: &WimPath, bytes: Arc<[u8]>, reason: &str) -> Result<Put> {
        let file = StagedFile {
            path: path.to_string(),
            sha256: Sha256::digest(&bytes).into(),
            content: Content::Bytes(bytes.clone()),
            bytes,
            times: None,
        };
        self.put(path, &file, reason)
    }

    /// Makes a directory unless it is there.
    pub fn make_directory(&mut self, path: &WimPath, reason: &str) {
        if self.view.entry(path).is_some() || self.made.contains_key(&key(path)) {
            return;
        }
        self.note_parents(path);
        self.made.insert(key(path), path.to_string());
        let security = match WimPath::parse("\\Windows\\System32\\drivers") {
            Ok(sibling) if self.view.entry(&sibling).is_some() => Security::Like(sibling),
            _ => Security::Inherit,
        };
        self.changes.push(Change {
            path: path.clone(),
            action: Action::MakeDirectory { security },
            reason: reason.to_owned(),
        });
    }

    /// Removes a file or a directory.
    pub fn remove(&mut self, path: &WimPath, reason: &str) {
        let removed = key(path);
        let below = format!("{removed}\\");
        self.written.retain(|other, _| *other != removed && !other.starts_with(&below));
        self.made.retain(|other, _| *other != removed && !other.starts_with(&below));
        self.removed.insert(removed);
        self.changes.push(Change { path: path.clone(), action: Action::Remove, reason: reason.to_owned() });
    }

    /// New files get the descriptor of a driver that is in the image already.
    fn security_of_files(&self) -> Security {
        let sibling = WimPath::parse("\\Windows\\System32\\drivers").ok().and_then(|folder| {
            let entries = self.view.list(&folder)?;
            let file = entries.into_iter().find(|entry| !entry.is_directory())?;
            Some(folder.child(file.name))
        });
        sibling.map_or(Security::Inherit, Security::Like)
    }
}

fn key(path: &WimPath) -> String {
    path.to_string().to_lowercase()
}

/// What became of a file that was to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The same bytes are there.
    AlreadyThere,
    /// It is written.
    Written {
        /// SHA-256 of the file it replaces.
        replaced: Option<[u8; 32]>,
    },
}

/// A problem of a package that keeps it out of an image.
#[must_use]
pub fn refusal(message: impl Into<String>, remedy: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message).remedy(remedy)
}
