//! What was changed in a mounted image, in files of the host until it is committed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of staged files; gone when it is dropped.
pub(super) struct Staging {
    folder: tempfile::TempDir,
    next: u64,
}

/// One staged file.
#[derive(Clone)]
pub(super) struct StagedFile {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
}

impl Staging {
    /// Makes a folder in `parent`.
    pub(super) fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?, next: 0 })
    }

    /// A new, empty file.
    pub(super) fn add(&mut self) -> io::Result<StagedFile> {
        let path = self.folder.path().join(self.next.to_string());
        self.next += 1;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(StagedFile { file: Arc::new(file), path })
    }
}

impl StagedFile {
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Up to `length` bytes from `start` on; fewer only at the end.
    pub(super) fn read(&self, start: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, start + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}
