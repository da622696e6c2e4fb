//! New contents that are too large to wait in memory wait in a temporary file.
//!
//! Five editions' registry hives together would not fit the memory budget. The file has no name where the system allows
//! it, so that even a killed process leaves nothing behind.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Error, ReadAt, Result, Section};
use crate::image::edit::Content;

/// Contents below this stay in memory.
const SMALL_BYTES: usize = 64 << 10;

/// A temporary file that contents are moved to.
pub struct Spool {
    folder: PathBuf,
    file: Option<Arc<SpoolFile>>,
    length: u64,
}

struct SpoolFile(Mutex<File>);

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
        let Content::Bytes(bytes) = &content else { return Ok(content) };
        if bytes.len() < SMALL_BYTES {
            return Ok(content);
        }
        let cannot = |e| Error::io(e, "cannot keep a temporary file in", &self.folder);
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let file = tempfile::tempfile_in(&self.folder).map_err(cannot)?;
                Arc::clone(self.file.insert(Arc::new(SpoolFile(Mutex::new(file)))))
            }
        };
        let mut open = file.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.seek(SeekFrom::Start(self.length)).and_then(|_| open.write_all(bytes)).map_err(cannot)?;
        drop(open);
        let section = Section::new(file, self.length, bytes.len() as u64)?;
        self.length += bytes.len() as u64;
        Ok(Content::Source(Arc::new(section)))
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
        for (content, bytes) in kept[1..].iter().zip(&contents[1..]) {
            let Content::Source(source) = content else { panic!("{content:?}") };
            let mut read = vec![0; bytes.len()];
            source.read_exact_at(&mut read, 0).unwrap();
            assert!(source.size() == bytes.len() as u64 && read == *bytes);
        }
    }
}
