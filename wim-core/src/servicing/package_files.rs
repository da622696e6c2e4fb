//! The files of a package as it comes: a driver's folder, an unpacked cabinet.
//!
//! Driver and update packages are read through [`PackageFiles`], so that a folder, an archive and a test are the same to
//! everything above; nothing here touches a file system.

use std::collections::HashMap;
use std::sync::Arc;

use super::file_digests::FileDigests;
use crate::base::{Error, FileTime, Result};
use crate::image::edit::Content;

/// One file of a source of packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// Path relative to the source, with backslashes, as spelt there.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Last write, if known.
    pub last_write: Option<FileTime>,
}

impl PackageFile {
    /// That it has no more than `limit` bytes; `package` is what the error calls its source.
    ///
    /// # Errors
    /// `Limit` with both numbers.
    pub fn check_size(&self, limit: u64, package: &str) -> Result<()> {
        if self.size <= limit {
            return Ok(());
        }
        let message = format!("{} bytes are more than the {limit} allowed", self.size);
        Err(Error::limit(message)
            .in_file(format!("{package}: {}", self.path))
            .remedy("no real package has such a file there; get the package again from its source"))
    }
}

/// A tree of files that holds driver packages.
pub trait PackageFiles: Send + Sync {
    /// What messages call it: a host path, say.
    fn name(&self) -> &str;

    /// All its files, in any order.
    fn list(&self) -> &[PackageFile];

    /// Bytes of the archive that it came in, which bound what may be made of it; those of its files when it came in none.
    fn stored_bytes(&self) -> u64 {
        self.list().iter().fold(0, |sum, file| file.size.saturating_add(sum))
    }

    /// Bytes that were unpacked from that archive, and from archives inside, until its files were at hand.
    fn unpacked_bytes(&self) -> u64 {
        0
    }

    /// Whether the INF at this path of [`Self::list`] is meant as a package of its own, or only lies there.
    fn is_offered(&self, _inf: &str) -> bool {
        true
    }

    /// The bytes of a file of [`Self::list`].
    ///
    /// # Errors
    /// `Limit` when it has more than `limit` bytes, else what reading gives.
    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>>;

    /// What a file of [`Self::list`] is known by, taken without holding it; sources that are asked again and again keep it.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn digests(&self, file: &PackageFile, limit: u64) -> Result<FileDigests> {
        file.check_size(limit, self.name())?;
        let source = self.content(file)?.open()?;
        FileDigests::of(&*source.ok_or_else(|| Error::not_found("a package's file is no blob of an image"))?)
    }

    /// Keeps bytes that were made of files of this source until an image is written; in memory, where it has no better place.
    ///
    /// # Errors
    /// What writing to that place gives.
    fn keep(&self, bytes: Vec<u8>, _digests: &FileDigests) -> Result<Content> {
        Ok(Content::bytes(bytes))
    }

    /// The same file as the content of an image's file, to be read when it is written.
    ///
    /// # Errors
    /// What looking at the file gives.
    fn content(&self, file: &PackageFile) -> Result<Content>;
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    name: String,
    files: Vec<PackageFile>,
    bytes: HashMap<String, Arc<[u8]>>,
}

impl MemoryFiles {
    /// An empty tree of that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The tree with one more file; a path with forward slashes is accepted.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Arc<[u8]>>) -> Self {
        let (path, bytes) = (path.replace('/', "\\"), bytes.into());
        self.files.retain(|file| file.path != path);
        self.files.push(PackageFile { path: path.clone(), size: bytes.len() as u64, last_write: None });
        self.bytes.insert(path, bytes);
        self
    }
}

impl PackageFiles for MemoryFiles {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> &[PackageFile] {
        &self.files
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        file.check_size(limit, &self.name)?;
        match self.bytes.get(&file.path) {
            Some(bytes) => Ok(bytes.clone()),
            None => Err(Error::not_found(format!("{} is not in {}", file.path, self.name))),
        }
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.read(file, u64::MAX).map(Content::Bytes)
    }
}
