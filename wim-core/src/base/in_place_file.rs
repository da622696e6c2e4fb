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
use super::reason::Reason;

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
        Self::open_then(path, || ())
    }

    /// Opens the file, calls `opened` and locks it; again when the path leads to another file by then.
    fn open_then(path: &Path, mut opened: impl FnMut()) -> Result<Self> {
        let cannot = |e| Error::io(e, "cannot open for changing", path).because(Reason::CannotOpen);
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(cannot)?;
        opened();
        lock(file.try_lock(), path)?;
        // Another program may have put a new file in the place of the one it had locked. Each turn of this loop is one more
        // program that did so in this moment.
        while !is_still_at(&file, path).map_err(cannot)? {
            file = OpenOptions::new().read(true).write(true).open(path).map_err(cannot)?;
            lock(file.try_lock(), path)?;
        }
        let source = Arc::new(FileSource::of_file(file.try_clone().map_err(cannot)?, path)?);
        let old_length = source.size();
        Ok(Self { source, file, path: path.to_owned(), old_length, is_kept: false })
    }

    /// Opens the file behind `source` for another attempt after an earlier [`InPlaceFile`], which gave the source, was given
    /// up: the lock is still held as long as `source` lives. Nothing that the file has by now is cut off when this attempt is
    /// given up too: a failing disk may have left a header that refers to it.
    ///
    /// # Errors
    /// `Io`.
    pub fn again(source: &Arc<FileSource>, path: &Path) -> Result<Self> {
        let cannot = |e| Error::io(e, "cannot open for changing", path).because(Reason::CannotOpen);
        let file = source.file().try_clone().map_err(cannot)?;
        let old_length = file.metadata().map_err(cannot)?.len();
        Ok(Self { source: Arc::clone(source), file, path: path.to_owned(), old_length, is_kept: false })
    }

    /// The file as it was when it was opened.
    #[must_use]
    pub fn source(&self) -> Arc<FileSource> {
        Arc::clone(&self.source)
    }

    /// Makes the change count: syncs what was appended, writes `bytes` at the start of the file and syncs again. The file then
    /// has `length` bytes, or a few more that nothing refers to when they could not be cut off.
    ///
    /// # Errors
    /// `Io`; when the start could not be written or brought to the disk, what was there is put back, and the file is as it was.
    pub fn commit(self, bytes: &[u8], length: u64) -> Result<()> {
        self.commit_with(bytes, length, File::sync_all)
    }

    fn commit_with(
        mut self,
        bytes: &[u8],
        length: u64,
        mut sync: impl FnMut(&File) -> io::Result<()>,
    ) -> Result<()> {
        let cannot = |e| Error::io(e, "cannot write", &self.path).because(Reason::CannotWrite);
        let mut before = vec![0; bytes.len()];
        self.source.read_exact_at(&mut before, 0).map_err(cannot)?;
        if self.size() < length {
            self.file.set_len(length).map_err(cannot)?;
        }
        sync(&self.file).map_err(cannot)?;
        if let Err(e) = self.write_at_start(bytes).and_then(|()| sync(&self.file)) {
            let error = Error::io(e, "cannot write", &self.path).because(Reason::CannotWrite);
            // When the disk fails again here, the new start may stay: what it refers to must not be cut off then.
            self.is_kept |= self.write_at_start(&before).and_then(|()| sync(&self.file)).is_err();
            return Err(error);
        }
        self.is_kept = true;
        // The change is made. What is behind the end means nothing to a reader.
        let _ = self.file.set_len(length);
        // The source may live on, but nobody has to wait for it.
        let _ = self.file.unlock();
        Ok(())
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
        // Cutting off nothing would be a change too: of the file's time.
        if !self.is_kept && self.size() != self.old_length {
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

/// True when `path` leads to the file that is open as `file`.
#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (open, there) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (there.dev(), there.ino()))
}

/// Windows replaces no file that is open.
#[cfg(not(unix))]
fn is_still_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// What a lock came to; a file system without locks is no error.
///
/// # Errors
/// `InvalidInput` when another program holds the file.
pub(super) fn lock(locked: std::result::Result<(), TryLockError>, path: &Path) -> Result<()> {
    match locked {
        Err(TryLockError::WouldBlock) => Err(Error::invalid_input("another program is using the file")
            .because(Reason::FileInUse)
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
        let long_ago = std::time::UNIX_EPOCH;
        OpenOptions::new().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        drop(InPlaceFile::open(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), long_ago);
        let mut open = InPlaceFile::open(&path).unwrap();
        open.write_all_at(b"more", 8).unwrap();
        open.commit(b"HEAD", 10).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"HEADbodymo");
    }

    #[test]
    fn a_disk_that_fails_at_the_end_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let failing = |bad: &'static [u32]| {
            let mut calls = 0;
            move |_: &File| {
                calls += 1;
                if bad.contains(&calls) { Err(io::Error::other("the disk fails")) } else { Ok(()) }
            }
        };
        for bad in [&[1][..], &[2]] {
            let mut open = InPlaceFile::open(&path).unwrap();
            let source = open.source();
            open.write_all_at(b"more", 8).unwrap();
            assert!(open.commit_with(b"HEAD", 12, failing(bad)).is_err());
            assert_eq!(std::fs::read(&path).unwrap(), b"headbody", "{bad:?}");
            drop(InPlaceFile::again(&source, &path).unwrap());
            assert_eq!(std::fs::read(&path).unwrap(), b"headbody", "{bad:?}");
        }
        // When not even the old start can be brought back, what the new one may refer to stays, whoever gives up then.
        let mut open = InPlaceFile::open(&path).unwrap();
        let source = open.source();
        open.write_all_at(b"more", 8).unwrap();
        assert!(open.commit_with(b"HEAD", 12, failing(&[2, 3])).is_err());
        drop(InPlaceFile::again(&source, &path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap().len(), 12);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_that_is_locked_is_the_one_at_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let mut turns = 0;
        let open = InPlaceFile::open_then(&path, || {
            turns += 1;
            std::fs::write(folder.path().join("new"), b"HEADBODYEND").unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
        });
        assert_eq!((open.unwrap().source().size(), turns), (11, 1));
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
