//! Where the files of an expanded package go: a folder of the host, or a temporary file.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::plan::PlannedFile;
use crate::base::{Error, FileSource, FileTime, ReadAt, Result, read_at};
use crate::image::edit::Content;
use crate::jobs::archive::Scratch;
use crate::servicing::package_files::{PackageFile, PackageFiles};
use crate::transfer::spool::Spool;

/// Takes finished files from many threads, and gives them back to those that are made from them.
pub(super) trait Store: Sync {
    /// Keeps a file.
    fn put(&self, file: &PlannedFile, bytes: &[u8]) -> Result<()>;

    /// The bytes of a file that was kept.
    fn get(&self, file: &PlannedFile) -> Result<Arc<[u8]>>;
}

/// A folder of the host, to which nobody else writes.
pub(super) struct FolderStore {
    root: PathBuf,
    /// Folders that were made.
    made: Mutex<HashSet<PathBuf>>,
}

impl FolderStore {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), made: Mutex::new(HashSet::new()) }
    }

    fn host_path(&self, file: &PlannedFile) -> PathBuf {
        file.path.split('\\').fold(self.root.clone(), |path, name| path.join(name))
    }

    fn make_parent(&self, path: &Path) -> Result<()> {
        let Some(parent) = path.parent().filter(|parent| *parent != self.root) else { return Ok(()) };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if !made.contains(parent) {
            fs::create_dir_all(parent).map_err(|e| Error::io(e, "cannot make the folder", parent))?;
            made.insert(parent.to_owned());
        }
        Ok(())
    }
}

impl Store for FolderStore {
    fn put(&self, file: &PlannedFile, bytes: &[u8]) -> Result<()> {
        let path = self.host_path(file);
        self.make_parent(&path)?;
        let write = || {
            let mut out = File::create_new(&path)?;
            out.write_all(bytes)?;
            match file.time {
                Some(time) if time != FileTime::default() => out.set_modified(time.to_system_time()),
                _ => Ok(()),
            }
        };
        write().map_err(|e| Error::io(e, "cannot write", &path))
    }

    fn get(&self, file: &PlannedFile) -> Result<Arc<[u8]>> {
        let path = self.host_path(file);
        let source = FileSource::open(&path)?;
        if source.size() != file.length {
            return Err(Error::invalid_input("the file was changed while the package was being expanded")
                .in_file(path.display())
                .remedy("run the command again when nothing writes to the folder"));
        }
        read_at::read_shared(&source, 0, file.length).map_err(|e| e.in_file(path.display()))
    }
}

/// A job's scratch: memory for what fits, and a temporary file.
pub(super) struct SpoolStore<'s> {
    scratch: &'s Scratch,
    kept: Mutex<(Spool, HashMap<String, Content>)>,
}

impl<'s> SpoolStore<'s> {
    pub(super) fn new(scratch: &'s Scratch) -> Self {
        Self { scratch, kept: Mutex::new((Spool::new(scratch.folder()), HashMap::new())) }
    }

    /// All files as a package of that name.
    pub(super) fn into_files(self, name: &str, files: &[PlannedFile]) -> ExpandedFiles {
        let list = files.iter().map(|file| PackageFile {
            path: file.path.clone(),
            size: file.length,
            last_write: file.time,
        });
        let (_, contents) = self.kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        ExpandedFiles { name: name.to_owned(), list: list.collect(), contents }
    }
}

impl Store for SpoolStore<'_> {
    fn put(&self, file: &PlannedFile, bytes: &[u8]) -> Result<()> {
        // Copied before anybody has to wait; the file takes one after the other.
        let content = self.scratch.take_memory(file.length).then(|| Content::bytes(bytes));
        let mut inner = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let content = match content {
            Some(content) => content,
            None => inner.0.put(bytes)?,
        };
        inner.1.insert(file.path.clone(), content);
        Ok(())
    }

    fn get(&self, file: &PlannedFile) -> Result<Arc<[u8]>> {
        let content = {
            let inner = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            inner.1.get(&file.path).cloned()
        };
        match content {
            Some(content) => content.read(file.length),
            None => Err(Error::not_found(format!("{} was not rebuilt yet", file.path))),
        }
    }
}

/// The files of a package, rebuilt and proved, for those who plan with them.
pub struct ExpandedFiles {
    name: String,
    list: Vec<PackageFile>,
    contents: HashMap<String, Content>,
}

impl ExpandedFiles {
    fn find(&self, file: &PackageFile) -> Result<&Content> {
        let missing = || Error::not_found(format!("{} is not in {}", file.path, self.name));
        self.contents.get(&file.path).ok_or_else(missing)
    }
}

impl PackageFiles for ExpandedFiles {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> &[PackageFile] {
        &self.list
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        self.find(file)?.read(limit)
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.find(file).cloned()
    }
}
