//! A file that is changed where it lies: bytes are appended, and one short write at the end makes them count.
//!
//! Until [`InPlaceFile::commit`] nothing that the file held before is overwritten, so a killed process leaves it as it was
//! but for bytes behind its end that nothing refers to; a dropped file cuts them off again. The file is locked against
//! other programs that lock what they write, as wimlib does. Replacing a whole file is [`AtomicFile`](super::atomic_file)'s.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, Result};
use super::read_at::{FileSource, ReadAt, WriteAt};

/// An existing file, open for changing it in place.
#[derive(Debug)]
pub struct InPlaceFile {
    source: Arc<FileSource>,
    file: File,
    path: PathBuf,
    /// Length before the change; what lies behind is cut off when the change is given up.
    old_length: u64,
    is_kept: bool,
}

impl InPlaceFile {
    /// Opens and locks the regular file at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be opened for writing, `InvalidInput` when another program has locked it.
    pub fn open(path: &Path) -> Result<Self> {
        let open = OpenOptions::new().read(true).write(true).open(path);
        let file = open.map_err(|e| Error::io(e, "cannot open for changing", path))?;
        lock(file.try_lock(), path)?;
        let cannot = |e| Error::io(e, "cannot open for changing", path);
        let source = Arc::new(FileSource::of_file(file.try_clone().map_err(cannot)?, path)?);
        let old_length = source.size();
        Ok(Self { source, file, path: path.to_owned(), old_length, is_kept: false })
    }

    /// Opens the file behind `source` for another attempt after an earlier [`InPlaceFile`], which gave the source, was given
    /// up: the lock is still held as long as `source` lives. After a commit this would cut off what was committed.
    ///
    /// # Errors
    /// `Io`.
    pub fn again(source: &Arc<FileSource>, path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(e, "cannot open for changing", path);
        let file = source.file().try_clone().map_err(cannot)?;
        let (source, old_length) = (Arc::clone(source), source.size());
        Ok(Self { source, file, path: path.to_owned(), old_length, is_kept: false })
    }

    /// The file as it was when it was opened.
    #[must_use]
    pub fn source(&self) -> Arc<FileSource> {
        Arc::clone(&self.source)
    }

    /// Makes the change count: syncs what was appended, writes `bytes` at the start of the file, cuts or extends it to
    /// `length` bytes and syncs again.
    ///
    /// # Errors
    /// `Io`; when the start could not be written, what was there is put back.
    pub fn commit(mut self, bytes: &[u8], length: u64) -> Result<()> {
        let cannot = |e| Error::io(e, "cannot write", &self.path);
        let mut before = vec![0; bytes.len()];
        self.source.read_exact_at(&mut before, 0).map_err(cannot)?;
        self.file.sync_all().map_err(cannot)?;
        if let Err(e) = self.write_at_start(bytes) {
            let error = Error::io(e, "cannot write", &self.path);
            // The disk has just failed; if it fails again there is nothing better to do.
            let _ = self.write_at_start(&before);
            return Err(error);
        }
        self.is_kept = true;
        let done = self.file.set_len(length).and_then(|()| self.file.sync_all());
        // The source may live on, but nobody has to wait for it.
        let _ = self.file.unlock();
        done.map_err(|e| Error::io(e, "cannot write", &self.path))
    }

    fn write_at_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(bytes)
    }

    /// Gives up the promise that a dropped file is as it was: for changes that overwrite what is there.
    pub fn keep_on_drop(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for InPlaceFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is behind the end means nothing to a reader; cutting it off only saves space.
            let _ = self.file.set_len(self.old_length);
        }
    }
}

impl ReadAt for InPlaceFile {
    fn size(&self) -> u64 {
        self.file.metadata().map_or(self.old_length, |metadata| metadata.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.source.read_exact_at(buf, offset)
    }
}

impl WriteAt for InPlaceFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}

/// What a lock came to; a file system without locks is no error.
///
/// # Errors
/// `InvalidInput` when another program holds the file.
pub(super) fn lock(locked: std::result::Result<(), TryLockError>, path: &Path) -> Result<()> {
    match locked {
        Err(TryLockError::WouldBlock) => Err(Error::invalid_input("another program is using the file")
            .in_file(path.display())
            .remedy("run the command again when that program is done")),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path) -> PathBuf {
        let path = folder.join("x");
        std::fs::write(&path, b"headbody").unwrap();
        path
    }

    #[test]
    fn a_change_counts_when_it_is_committed_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let mut open = InPlaceFile::open(&path).unwrap();
        open.write_all_at(b"more", 8).unwrap();
        let mut read = [0; 4];
        open.read_exact_at(&mut read, 8).unwrap();
        assert_eq!((&read, open.size(), open.source().size()), (b"more", 12, 8));
        drop(open);
        assert_eq!(std::fs::read(&path).unwrap(), b"headbody");
        let mut open = InPlaceFile::open(&path).unwrap();
        open.write_all_at(b"more", 8).unwrap();
        open.commit(b"HEAD", 10).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"HEADbodymo");
    }

    #[test]
    fn a_file_has_one_writer_and_no_readers_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let writer = InPlaceFile::open(&path).unwrap();
        let error = InPlaceFile::open(&path).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        assert!(FileSource::open_shared(&path).is_err());
        drop(writer);
        let reader = FileSource::open_shared(&path).unwrap();
        FileSource::open_shared(&path).unwrap();
        assert!(InPlaceFile::open(&path).is_err());
        drop(reader);
        InPlaceFile::open(&path).unwrap();
    }
}
