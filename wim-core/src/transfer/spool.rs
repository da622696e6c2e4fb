//! New contents that are too large to wait in memory wait in a temporary file.
//!
//! Five editions' registry hives together would not fit the memory budget. The file has no name where the system allows
//! it, so that even a killed process leaves nothing behind.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::read_at::copy_between;
use crate::base::{Error, FileSource, ReadAt, Result, Section, WriteAt};
use crate::image::edit::Content;

/// Contents below this stay in memory.
const SMALL_BYTES: usize = 64 << 10;

/// A temporary file that contents are moved to.
pub struct Spool {
    folder: PathBuf,
    file: Option<Arc<SpoolFile>>,
    length: u64,
}

impl Spool {
    /// A spool in `folder`, which is where the output goes and so has room; the file is made when it is needed.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: None, length: 0 }
    }

    /// Moves large contents that are in memory to the file.
    ///
    /// # Errors
    /// `Io` when the file cannot be made or written.
    pub fn keep(&mut self, content: Content) -> Result<Content> {
        match &content {
            Content::Bytes(bytes) if bytes.len() >= SMALL_BYTES => self.put(bytes),
            _ => Ok(content),
        }
    }

    /// Puts bytes into the file, however few.
    ///
    /// # Errors
    /// As [`Self::keep`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<Content> {
        let folder = self.folder.clone();
        self.fill(|out| {
            out.write_all(bytes).map_err(|e| Error::io(e, "cannot keep a temporary file in", &folder))
        })
    }

    /// Puts what `fill` writes into the file; nothing is kept of what is written before an error.
    ///
    /// # Errors
    /// What `fill` gives, and as [`Self::keep`].
    pub fn fill(&mut self, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Content> {
        let cannot = |e| Error::io(e, "cannot keep a temporary file in", &self.folder);
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = tempfile::tempfile_in(&self.folder).map_err(cannot)?;
                Arc::clone(self.file.insert(Arc::new(SpoolFile(Mutex::new(file)))))
            }
        };
        let mut open = file.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.seek(SeekFrom::Start(self.length)).map_err(cannot)?;
        let mut out = std::io::BufWriter::new(&mut *open);
        fill(&mut out)?;
        out.flush().map_err(cannot)?;
        drop(out);
        let end = open.stream_position().map_err(cannot)?;
        drop(open);
        let start = std::mem::replace(&mut self.length, end);
        self.range(start, end - start)
    }

    /// Bytes that were put into the file so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What was put at `start`, perhaps in pieces that follow each other.
    ///
    /// # Errors
    /// `InvalidInput` for more than was put; `NotFound` when there is no file yet.
    pub fn range(&self, start: u64, bytes: u64) -> Result<Content> {
        let file = self.file.as_ref().ok_or_else(|| Error::not_found("nothing was kept in a file yet"))?;
        if start.checked_add(bytes).is_none_or(|end| end > self.length) {
            return Err(Error::invalid_input(format!("{bytes} bytes at {start} are more than were kept")));
        }
        Ok(Content::Source(Arc::new(Section::new(Arc::clone(file), start, bytes)?)))
    }
}

struct SpoolFile(Mutex<File>);

/// A file of its own that has no name where the system allows it: written once, then read.
pub struct TemporaryFile {
    file: File,
    folder: PathBuf,
}

impl TemporaryFile {
    /// An empty file in `folder`.
    ///
    /// # Errors
    /// `Io` when it cannot be made.
    pub fn create(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder)
            .map_err(|e| Error::io(e, "cannot keep a temporary file in", folder))?;
        Ok(Self { file, folder: folder.to_owned() })
    }

    /// The finished file, to be read by many threads; it goes with the last reader.
    ///
    /// # Errors
    /// `Io` when its size cannot be read.
    pub fn into_source(self) -> Result<Arc<FileSource>> {
        Ok(Arc::new(FileSource::of_open_file(self.file, &self.folder)?))
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl WriteAt for TemporaryFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)
    }

    fn copy_from(&mut self, source: &File, from: u64, length: u64, to: u64) -> std::io::Result<u64> {
        copy_between(source, from, &self.file, to, length)
    }

    fn set_length(&mut self, bytes: u64) -> std::io::Result<()> {
        self.file.set_len(bytes)
    }
}

/// Reads back what was written so far.
impl ReadAt for TemporaryFile {
    fn size(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        // Positioned reads, which threads may do at once; writers seek before each write.
        let source = FileSource::of_open_file(self.file.try_clone()?, &self.folder);
        source.map_err(std::io::Error::other)?.read_exact_at(buf, offset)
    }
}

impl ReadAt for SpoolFile {
    /// The bound of the sections; reads past what was written fail by themselves.
    fn size(&self) -> u64 {
        u64::MAX
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        use std::io::Read;
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_contents_come_back_from_the_file_and_small_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(folder.path());
        let contents: Vec<Vec<u8>> = [10, SMALL_BYTES, 3 * SMALL_BYTES].map(|n| vec![n as u8; n]).to_vec();
        let kept: Vec<Content> =
            contents.iter().map(|bytes| spool.keep(Content::bytes(bytes.clone())).unwrap()).collect();
        assert!(matches!(kept[0], Content::Bytes(_)));
        let few = spool.put(b"few").unwrap();
        assert_eq!(&*few.read(10).unwrap(), b"few");
        for (content, bytes) in kept[1..].iter().zip(&contents[1..]) {
            let Content::Source(source) = content else { panic!("{content:?}") };
            let mut read = vec![0; bytes.len()];
            source.read_exact_at(&mut read, 0).unwrap();
            assert!(source.size() == bytes.len() as u64 && read == *bytes);
        }
    }

    #[test]
    fn a_temporary_file_is_written_anywhere_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = TemporaryFile::create(folder.path()).unwrap();
        file.write_all_at(b"tail", 4).unwrap();
        file.write_all_at(b"head", 0).unwrap();
        let source = file.into_source().unwrap();
        let mut read = [0; 8];
        source.read_exact_at(&mut read, 0).unwrap();
        assert_eq!((&read, source.size()), (b"headtail", 8));
        drop(source);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
