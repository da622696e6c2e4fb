//! Where unpacked members wait: in a part of the memory budget as long as it lasts, then in nameless files of a folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::Context;
use crate::base::atomic_file::folder_of;

/// Part of the memory budget that members may take: decoding and what is made of the members share the rest.
const MEMORY_SHARE: u64 = 4;

/// One per job, however many archives it opens.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    memory_left: AtomicU64,
}

impl Scratch {
    /// A part of the memory of `cx`, then `folder`, which must have room.
    #[must_use]
    pub fn new(cx: &Context<'_>, folder: &Path) -> Self {
        let memory_left = AtomicU64::new(cx.memory_bytes() / MEMORY_SHARE);
        Self { folder: folder.to_owned(), memory_left }
    }

    /// A part of the memory of `cx`, then the folder of the file at `path`, for jobs that write nothing and so have no folder
    /// of their own: it has more room than the system's folder for temporary files, which is taken where nothing can be
    /// made beside the file.
    #[must_use]
    pub fn beside(cx: &Context<'_>, path: &Path) -> Self {
        let folder = folder_of(path);
        match tempfile::tempfile_in(&folder) {
            Ok(_) => Self::new(cx, &folder),
            Err(_) => Self::new(cx, &std::env::temp_dir()),
        }
    }

    /// `folder` only: for jobs that need all their memory for something else.
    #[must_use]
    pub fn on_disk(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), memory_left: AtomicU64::new(0) }
    }

    /// The folder for what does not fit into memory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes `bytes` of the memory, for good; false when there are not as many left.
    pub fn take_memory(&self, bytes: u64) -> bool {
        let less = |left: u64| left.checked_sub(bytes);
        self.memory_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Cancel, Silent};

    #[test]
    fn memory_is_given_out_once() {
        let cancel = Cancel::new();
        let scratch = Scratch::new(&Context::new(&Silent, &cancel).with_memory(400 << 10), Path::new("."));
        assert!(
            scratch.take_memory(60 << 10) && !scratch.take_memory(60 << 10) && scratch.take_memory(40 << 10)
        );
        assert!(!Scratch::on_disk(Path::new(".")).take_memory(1));
        let folder = tempfile::tempdir().unwrap();
        let cx = Context::new(&Silent, &cancel);
        assert_eq!(Scratch::beside(&cx, &folder.path().join("a.msu")).folder(), folder.path());
        assert_eq!(Scratch::beside(&cx, Path::new("a.msu")).folder(), Path::new("."));
        let gone = folder.path().join("gone/a.msu");
        assert_eq!(Scratch::beside(&cx, &gone).folder(), std::env::temp_dir());
    }
}
