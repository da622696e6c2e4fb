//! Packages whose files are read once for all images they go to.
//!
//! A medium has seven images or more, and each asks for every file of every package. Their digests are all kept, their bytes as far as
//! there is room, the rest is read again each time. What is made of files waits in a temporary file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::{Cancel, Result};
use crate::image::edit::Content;
use crate::servicing::file_digests::FileDigests;
use crate::servicing::package_files::{PackageFile, PackageFiles};
use crate::transfer::spool::Spool;

/// A source of packages that keeps what it has read.
pub(super) struct HeldFiles<'c> {
    source: Box<dyn PackageFiles + 'c>,
    held: Mutex<Held>,
    cancel: &'c Cancel,
}

struct Held {
    bytes: HashMap<String, Arc<[u8]>>,
    /// Bytes that may still be kept.
    room: u64,
    digests: HashMap<String, FileDigests>,
    /// What was made of files, by its SHA-256.
    made: HashMap<[u8; 32], Content>,
    spool: Spool,
}

impl<'c> HeldFiles<'c> {
    /// `source`, of whose files at most `room` bytes are kept; what is made of them goes to a file in `scratch`.
    pub(super) fn new(
        source: Box<dyn PackageFiles + 'c>,
        room: u64,
        scratch: &Path,
        cancel: &'c Cancel,
    ) -> Self {
        let (bytes, digests, made) = (HashMap::new(), HashMap::new(), HashMap::new());
        let held = Held { bytes, room, digests, made, spool: Spool::new(scratch) };
        Self { source, held: Mutex::new(held), cancel }
    }

    /// Nothing under the lock can leave a map half changed.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
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
        file.check_size(limit, self.name())?;
        if let Some(known) = self.held().bytes.get(&file.path) {
            return Ok(Arc::clone(known));
        }
        let bytes = self.source.read(file, limit)?;
        let mut held = self.held();
        if let Some(room) = held.room.checked_sub(file.size) {
            held.room = room;
            held.bytes.insert(file.path.clone(), Arc::clone(&bytes));
        }
        Ok(bytes)
    }

    fn digests(&self, file: &PackageFile, limit: u64) -> Result<FileDigests> {
        file.check_size(limit, self.name())?;
        if let Some(known) = self.held().digests.get(&file.path) {
            return Ok(known.clone());
        }
        // A large file takes a second.
        self.cancel.check()?;
        let digests = self.source.digests(file, limit)?;
        self.held().digests.insert(file.path.clone(), digests.clone());
        Ok(digests)
    }

    fn keep(&self, bytes: Vec<u8>, digests: &FileDigests) -> Result<Content> {
        let mut held = self.held();
        if let Some(known) = held.made.get(&digests.sha256) {
            return Ok(known.clone());
        }
        let content = Content::bytes(bytes);
        // A dry run may stand in a folder that takes nothing.
        let content = held.spool.keep(content.clone()).unwrap_or(content);
        held.made.insert(digests.sha256, content.clone());
        Ok(content)
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

    static CANCEL: Cancel = Cancel::new();

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
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.content(file)
        }
    }

    fn held<'c>(reads: &'c AtomicUsize, room: u64, folder: &Path) -> HeldFiles<'c> {
        let files = MemoryFiles::new("p").with("a.sys", *b"six by").with("b.sys", *b"six  b");
        HeldFiles::new(Box::new(Counting(files, reads)), room, folder, &CANCEL)
    }

    #[test]
    fn files_are_read_once_as_far_as_there_is_room_and_limits_hold_each_time() {
        let reads = AtomicUsize::new(0);
        let held = held(&reads, 10, Path::new("."));
        let list = held.list().to_vec();
        for _ in 0..3 {
            for file in &list {
                assert_eq!(held.read(file, 6).unwrap(), held.source.read(file, 6).unwrap());
                assert_eq!(held.read(file, 5).unwrap_err().kind(), ErrorKind::Limit);
            }
        }
        // Six by the comparison; one of the first file and three of the second, for which there was no room.
        assert_eq!(reads.load(Ordering::Relaxed), 6 + 1 + 3);
    }

    #[test]
    fn digests_are_taken_once_whatever_room_there_is() {
        let reads = AtomicUsize::new(0);
        let held = held(&reads, 0, Path::new("."));
        let list = held.list().to_vec();
        for _ in 0..3 {
            for file in &list {
                let bytes: &[u8] = if file.path == "a.sys" { b"six by" } else { b"six  b" };
                assert_eq!(held.digests(file, 6).unwrap(), FileDigests::of_bytes(bytes));
                assert_eq!(held.digests(file, 5).unwrap_err().kind(), ErrorKind::Limit);
            }
        }
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_is_made_of_files_waits_on_disk_and_once() {
        let (reads, folder) = (AtomicUsize::new(0), tempfile::tempdir().unwrap());
        let held = held(&reads, 0, folder.path());
        let bytes = vec![7; 1 << 20];
        let digests = FileDigests::of_bytes(&bytes);
        for _ in 0..3 {
            let content = held.keep(bytes.clone(), &digests).unwrap();
            assert!(matches!(content, Content::Source(_)) && *content.read(1 << 20).unwrap() == *bytes);
        }
        assert_eq!(held.held().spool.length(), 1 << 20);
    }
}
