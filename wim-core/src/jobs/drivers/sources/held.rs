//! Packages whose files are read and hashed once for all images they go to.
//!
//! A medium has seven images or more, and each asks for every file of every package. What is held is bounded; files beyond that
//! are read again each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::Result;
use crate::image::edit::Content;
use crate::servicing::package_files::{HashedBytes, PackageFile, PackageFiles};

/// A source of packages that keeps what it has read.
pub(super) struct HeldFiles<'c> {
    source: Box<dyn PackageFiles + 'c>,
    held: Mutex<Held>,
}

struct Held {
    files: HashMap<String, HashedBytes>,
    /// Bytes that may still be kept.
    room: u64,
}

impl<'c> HeldFiles<'c> {
    /// `source`, of whose files at most `room` bytes are kept.
    pub(super) fn new(source: Box<dyn PackageFiles + 'c>, room: u64) -> Self {
        Self { source, held: Mutex::new(Held { files: HashMap::new(), room }) }
    }
}

impl PackageFiles for HeldFiles<'_> {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn list(&self) -> &[PackageFile] {
        self.source.list()
    }

    fn stored_bytes(&self) -> u64 {
        self.source.stored_bytes()
    }

    fn unpacked_bytes(&self) -> u64 {
        self.source.unpacked_bytes()
    }

    fn is_offered(&self, inf: &str) -> bool {
        self.source.is_offered(inf)
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        Ok(self.read_hashed(file, limit)?.bytes)
    }

    fn read_hashed(&self, file: &PackageFile, limit: u64) -> Result<HashedBytes> {
        file.check_size(limit, self.name())?;
        // Nothing under the lock can leave the map half changed.
        let lock = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().files.get(&file.path) {
            return Ok(known.clone());
        }
        let read = self.source.read_hashed(file, limit)?;
        let mut held = lock();
        if let Some(room) = held.room.checked_sub(file.size) {
            held.room = room;
            held.files.insert(file.path.clone(), read.clone());
        }
        Ok(read)
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.source.content(file)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::ErrorKind;
    use crate::servicing::package_files::MemoryFiles;

    /// Counts how often something is read.
    struct Counting<'n>(MemoryFiles, &'n AtomicUsize);

    impl PackageFiles for Counting<'_> {
        fn name(&self) -> &str {
            self.0.name()
        }

        fn list(&self) -> &[PackageFile] {
            self.0.list()
        }

        fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.read(file, limit)
        }

        fn content(&self, file: &PackageFile) -> Result<Content> {
            self.0.content(file)
        }
    }

    #[test]
    fn files_are_read_once_as_far_as_there_is_room_and_limits_hold_each_time() {
        let reads = AtomicUsize::new(0);
        let files = MemoryFiles::new("p").with("a.sys", *b"six by").with("b.sys", *b"six  b");
        let held = HeldFiles::new(Box::new(Counting(files, &reads)), 10);
        let list = held.list().to_vec();
        for _ in 0..3 {
            for file in &list {
                assert_eq!(held.read_hashed(file, 6).unwrap(), held.source.read_hashed(file, 6).unwrap());
                assert_eq!(held.read(file, 5).unwrap_err().kind(), ErrorKind::Limit);
            }
        }
        // Six by the comparison; one of the first file and three of the second, for which there was no room.
        assert_eq!(reads.load(Ordering::Relaxed), 6 + 1 + 3);
    }
}
