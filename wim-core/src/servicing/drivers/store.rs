//! An image with the files that drivers put into it: what is there, what is put, replaced and removed, and the way back.
//!
//! Source: drivers.md 3.7. Files are found in the image without regard to case and keep their spelling. No file is held: they are
//! known by their digests, and read where somebody has to look into them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::package::MAX_FILE;
use super::staged::StagedFile;
use crate::base::{Error, ErrorKind, Result};
use crate::formats::pe::{FileVersion, PeFile};
use crate::image::WimPath;
use crate::image::edit::{Action, Change, Content, Security, Times, View, as_spelt};
use crate::servicing::file_digests::FileDigests;

/// The file version of a program; none when it is none or has none.
#[must_use]
pub fn file_version(bytes: &[u8]) -> Option<FileVersion> {
    PeFile::parse(bytes).ok()?.file_version()
}

/// A file that this job has put into the image.
#[derive(Clone)]
struct Written {
    size: u64,
    sha256: [u8; 32],
    content: Content,
    /// The file of the image as it was that it is a copy of: its bytes are read there.
    source: Option<WimPath>,
}

/// An image with the files that this job has put into it so far.
pub struct ImageFiles<'a> {
    view: &'a dyn View,
    written: BTreeMap<String, Written>,
    /// Files and directories that were removed.
    removed: BTreeSet<String>,
    /// Directories that were not there, as spelt.
    made: BTreeMap<String, String>,
    changes: Vec<Change>,
    /// What undoes the changes to the three maps above, in order.
    undo: Vec<Undo>,
    security_of_files: OnceCell<Security>,
}

/// One entry of a map as it was before a change.
enum Undo {
    Written(String, Option<Written>),
    Removed(String, bool),
    Made(String, Option<String>),
}

/// A moment to which an [`ImageFiles`] can go back.
#[derive(Clone, Copy)]
pub struct FilesSavepoint {
    changes: usize,
    undo: usize,
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
            undo: Vec::new(),
            security_of_files: OnceCell::new(),
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
        FilesSavepoint { changes: self.changes.len(), undo: self.undo.len() }
    }

    /// Directories that came into being since `savepoint` and are still there, parents first.
    #[must_use]
    pub fn made_since(&self, savepoint: FilesSavepoint) -> Vec<String> {
        let since = self.undo.iter().skip(savepoint.undo);
        let made = since.filter_map(|undo| match undo {
            Undo::Made(key, None) => Some((key, self.made.get(key)?)),
            _ => None,
        });
        // An order by key puts parents first.
        made.collect::<BTreeMap<_, _>>().into_values().cloned().collect()
    }

    /// How many changes were asked for since `savepoint`.
    #[must_use]
    pub fn changes_since(&self, savepoint: FilesSavepoint) -> usize {
        self.changes.len().saturating_sub(savepoint.changes)
    }

    /// Forgets what was asked for after `savepoint`.
    pub fn roll_back(&mut self, savepoint: FilesSavepoint) {
        self.changes.truncate(savepoint.changes);
        while self.undo.len() > savepoint.undo {
            match self.undo.pop() {
                Some(Undo::Written(key, before)) => drop(set(&mut self.written, &key, before)),
                Some(Undo::Made(key, before)) => drop(set(&mut self.made, &key, before)),
                Some(Undo::Removed(key, true)) => drop(self.removed.insert(key)),
                Some(Undo::Removed(key, false)) => drop(self.removed.remove(&key)),
                None => break,
            }
        }
    }

    fn set_written(&mut self, key: &str, file: Option<Written>) {
        let before = set(&mut self.written, key, file);
        self.undo.push(Undo::Written(key.to_owned(), before));
    }

    fn set_made(&mut self, key: &str, spelt: Option<String>) {
        let before = set(&mut self.made, key, spelt);
        self.undo.push(Undo::Made(key.to_owned(), before));
    }

    fn forget_removal(&mut self, key: &str) {
        if self.removed.remove(key) {
            self.undo.push(Undo::Removed(key.to_owned(), true));
        }
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
            let name = key(&folder);
            self.forget_removal(&name);
            parent = folder.parent();
            self.set_made(&name, Some(folder.to_string()));
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
        Ok(as_spelt(&WimPath::parse(text)?, self.view))
    }

    /// The bytes of a file; none when there is none.
    ///
    /// # Errors
    /// What reading it gives.
    pub fn read(&self, path: &WimPath) -> Result<Option<Arc<[u8]>>> {
        if let Some(written) = self.written.get(&key(path)) {
            return match &written.source {
                Some(source) => self.view.read(source, MAX_FILE).map(Some),
                None => written.content.read(MAX_FILE).map(Some),
            };
        }
        match self.is_file(path)? {
            true => self.view.read(path, MAX_FILE).map(Some),
            false => Ok(None),
        }
    }

    /// SHA-256 of a file, which is not held for that; none when there is none.
    ///
    /// # Errors
    /// What reading it gives.
    pub fn sha256_of(&self, path: &WimPath) -> Result<Option<[u8; 32]>> {
        if let Some(written) = self.written.get(&key(path)) {
            return Ok(Some(written.sha256));
        }
        if !self.is_file(path)? {
            return Ok(None);
        }
        let mut hasher = Sha256::new();
        self.view.read_pieces(path, &mut |piece| hasher.update(piece))?;
        Ok(Some(hasher.finalize().into()))
    }

    /// True when there is a file.
    ///
    /// # Errors
    /// `InvalidInput` when there is a directory in its place.
    pub fn is_file(&self, path: &WimPath) -> Result<bool> {
        if self.written.contains_key(&key(path)) {
            return Ok(true);
        }
        let entry = self.view.entry(path).filter(|_| !self.is_removed(path));
        match entry {
            Some(entry) if entry.is_directory() => {
                Err(Error::invalid_input(format!("{path} is a directory where a file should be put"))
                    .remedy("the image is no Windows as Microsoft made it; use its original"))
            }
            entry => Ok(entry.is_some()),
        }
    }

    /// True when the file at `path` has these bytes; false when there is none.
    ///
    /// # Errors
    /// As [`Self::is_file`]; what reading a file of unknown digest gives.
    pub fn has(&self, path: &WimPath, file: &FileDigests) -> Result<bool> {
        if let Some(written) = self.written.get(&key(path)) {
            return Ok((written.size, written.sha256) == (file.size, file.sha256));
        }
        let Some(entry) = self.view.entry(path).filter(|entry| entry.size == file.size) else {
            return self.is_file(path).map(|_| false);
        };
        if !self.is_file(path)? {
            return Ok(false);
        }
        if file.size == 0 || !entry.digest.is_zero() {
            return Ok(file.size == 0 || entry.digest == file.sha1);
        }
        Ok(self.sha256_of(path)? == Some(file.sha256))
    }

    /// True when this job removed it, or a directory above it.
    fn is_removed(&self, path: &WimPath) -> bool {
        let path = key(path);
        self.removed.contains(&path)
            || path
                .match_indices('\\')
                .any(|(at, _)| path.get(..at).is_some_and(|up| self.removed.contains(up)))
    }

    /// Directories and files below `folder` as they are in the image now, parents first; what this job puts there is not among them.
    #[must_use]
    pub fn below(&self, folder: &WimPath) -> (Vec<WimPath>, Vec<WimPath>) {
        let (mut folders, mut files, mut at) = (vec![folder.clone()], Vec::new(), 0);
        while let Some(folder) = folders.get(at).cloned() {
            at += 1;
            for entry in self.view.list(&folder).unwrap_or_default() {
                let is_folder = entry.is_directory();
                let path = folder.child(entry.name);
                match (self.is_removed(&path), is_folder) {
                    (true, _) => {}
                    (false, true) => folders.push(path),
                    (false, false) => files.push(path),
                }
            }
        }
        (folders, files)
    }

    /// True when a directory is there and this job has removed all that was in it.
    #[must_use]
    pub fn is_emptied(&self, path: &WimPath) -> bool {
        let below = format!("{}\\", key(path));
        let entries = self.view.list(path).unwrap_or_default();
        !self.written.keys().chain(self.made.keys()).any(|other| other.starts_with(&below))
            && self.exists(path)
            && entries.into_iter().all(|entry| self.is_removed(&path.child(entry.name)))
    }

    /// Removes those directories below `folder`, and that itself, in which nothing is left.
    pub fn remove_emptied(&mut self, folder: &WimPath, reason: &str) {
        for path in self.below(folder).0.iter().rev() {
            if self.is_emptied(path) {
                self.remove(path, reason);
            }
        }
    }

    /// Puts a file there unless it is there already; says what it replaced.
    ///
    /// # Errors
    /// What reading the present file gives.
    pub fn put(&mut self, path: &WimPath, file: &StagedFile, reason: &str) -> Result<Put> {
        let FileDigests { size, sha256, .. } = file.digests;
        if self.has(path, &file.digests)? {
            return Ok(Put::AlreadyThere);
        }
        let written = Written { size, sha256, content: file.content.clone(), source: None };
        self.write(path, written, file.times, reason)
    }

    /// [`Self::put`] for bytes that are not of a package.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_bytes(&mut self, path: &WimPath, bytes: Arc<[u8]>, reason: &str) -> Result<Put> {
        let digests = FileDigests::of_bytes(&bytes);
        let path_text = path.to_string();
        let content = Content::Bytes(bytes);
        self.put(path, &StagedFile { path: path_text, digests, content, times: None }, reason)
    }

    /// Puts a second file with the bytes of the one at `from`, if there is one; false when there is none.
    ///
    /// # Errors
    /// What reading the file gives.
    pub fn copy(&mut self, from: &WimPath, to: &WimPath, reason: &str) -> Result<bool> {
        let Some((digests, written)) = self.written_like(from)? else { return Ok(false) };
        if !self.has(to, &digests)? {
            self.write(to, written, None, reason)?;
        }
        Ok(true)
    }

    /// Makes `path` a name of the file at `to`, if that has the SHA-256; false when it has another or is not there.
    ///
    /// # Errors
    /// What reading the file gives.
    pub fn link(&mut self, path: &WimPath, to: &WimPath, sha256: &[u8; 32], reason: &str) -> Result<bool> {
        let Some((_, written)) = self.written_like(to)?.filter(|(digests, _)| digests.sha256 == *sha256)
        else {
            return Ok(false);
        };
        let action = Action::Link { to: to.clone() };
        self.changes.push(Change { path: path.clone(), action, reason: reason.to_owned() });
        self.note_written(path, written);
        Ok(true)
    }

    /// What a file is known by, and what a second one with its bytes would be; none when there is none.
    fn written_like(&self, from: &WimPath) -> Result<Option<(FileDigests, Written)>> {
        let source = match self.written.get(&key(from)) {
            Some(written) => written.source.clone(),
            None => Some(from.clone()),
        };
        let known = source.as_ref().and_then(|source| self.view.entry(source));
        let (digests, content, source) = match known.filter(|entry| !entry.digest.is_zero()) {
            Some(entry) => {
                let Some(sha256) = self.sha256_of(from)? else { return Ok(None) };
                let digests = FileDigests { size: entry.size, sha1: entry.digest, sha256, program: None };
                (digests, Content::Blob(entry.digest), source)
            }
            None => {
                let Some(bytes) = self.read(from)? else { return Ok(None) };
                let written = self.written.get(&key(from)).map(|written| written.content.clone());
                (FileDigests::of_bytes(&bytes), written.unwrap_or(Content::Bytes(bytes)), None)
            }
        };
        let FileDigests { size, sha256, .. } = digests;
        Ok(Some((digests, Written { size, sha256, content, source })))
    }

    fn write(&mut self, path: &WimPath, written: Written, times: Option<Times>, reason: &str) -> Result<Put> {
        let replaced = self.sha256_of(path)?;
        if replaced.is_some() {
            // Most files of Windows have a second name in the component store, which keeps the old one.
            let reason = reason.to_owned();
            self.changes.push(Change { path: path.clone(), action: Action::Detach, reason });
        }
        self.changes.push(Change {
            path: path.clone(),
            action: Action::PutFile {
                content: written.content.clone(),
                attributes: None,
                times,
                security: self.security_of_files(),
            },
            reason: reason.to_owned(),
        });
        self.note_written(path, written);
        Ok(Put::Written { replaced })
    }

    fn note_written(&mut self, path: &WimPath, written: Written) {
        self.note_parents(path);
        let name = key(path);
        self.forget_removal(&name);
        self.set_written(&name, Some(written));
    }

    /// Makes a directory unless it is there.
    pub fn make_directory(&mut self, path: &WimPath, reason: &str) {
        if self.view.entry(path).is_some() || self.made.contains_key(&key(path)) {
            return;
        }
        self.note_parents(path);
        self.set_made(&key(path), Some(path.to_string()));
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
        let is_gone = |other: &&String| {
            other.strip_prefix(&removed).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
        };
        let files: Vec<String> = self.written.keys().filter(is_gone).cloned().collect();
        files.iter().for_each(|file| self.set_written(file, None));
        let folders: Vec<String> = self.made.keys().filter(is_gone).cloned().collect();
        folders.iter().for_each(|folder| self.set_made(folder, None));
        if self.removed.insert(removed.clone()) {
            self.undo.push(Undo::Removed(removed, false));
        }
        self.changes.push(Change { path: path.clone(), action: Action::Remove, reason: reason.to_owned() });
    }

    /// New files get the descriptor of a driver that is in the image already.
    fn security_of_files(&self) -> Security {
        let find = || {
            let folder = WimPath::parse("\\Windows\\System32\\drivers").ok()?;
            let file = self.view.list(&folder)?.into_iter().find(|entry| !entry.is_directory())?;
            Some(Security::Like(folder.child(file.name)))
        };
        self.security_of_files.get_or_init(|| find().unwrap_or(Security::Inherit)).clone()
    }
}

/// Sets or removes an entry; what it was.
fn set<T>(map: &mut BTreeMap<String, T>, key: &str, value: Option<T>) -> Option<T> {
    match value {
        Some(value) => map.insert(key.to_owned(), value),
        None => map.remove(key),
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
