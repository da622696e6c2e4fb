//! How servicing sees an image: names, sizes and bytes, with the edits made so far.

use std::sync::Arc;

use super::change::Times;
use crate::base::{Result, Sha1Digest, WimString};
use crate::image::path::WimPath;

/// What a view tells of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryInfo {
    /// Its name as spelt in the image.
    pub name: WimString,
    /// `FILE_ATTRIBUTE_*` bits; directories have 0x10.
    pub attributes: u32,
    /// Bytes of the unnamed stream; 0 for directories.
    pub size: u64,
    /// SHA-1 of the unnamed stream; zeros when it is empty, and while the content is new and not yet hashed.
    pub digest: Sha1Digest,
    /// Times.
    pub times: Times,
}

impl EntryInfo {
    /// True for a directory that is not a reparse point.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        const DIRECTORY: u32 = 0x10;
        const REPARSE_POINT: u32 = 0x400;
        self.attributes & (DIRECTORY | REPARSE_POINT) == DIRECTORY
    }
}

/// `path` with every name that exists spelt as the image spells it.
#[must_use]
pub fn as_spelt(path: &WimPath, view: &dyn View) -> WimPath {
    path.components().iter().fold(WimPath::root(), |above, name| {
        let next = above.child(name.clone());
        match view.entry(&next) {
            Some(entry) => above.child(entry.name),
            None => next,
        }
    })
}

/// An image as it is with all edits so far. Look-ups ignore case, as Windows does.
///
/// Servicing is tested against views made of plain lists; it needs no WIM.
pub trait View: Send + Sync {
    /// The entry at `path`; none when there is none.
    fn entry(&self, path: &WimPath) -> Option<EntryInfo>;

    /// The entries of the directory at `path`, in NTFS order; none when it is not a directory.
    fn list(&self, path: &WimPath) -> Option<Vec<EntryInfo>>;

    /// The bytes of the file at `path`, when they are at most `limit` bytes.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, `Limit` when it is larger, else what reading its blob gives.
    fn read(&self, path: &WimPath, limit: u64) -> Result<Arc<[u8]>>;

    /// The other names of the file at `path`, sorted; none for views that know no hard links.
    fn other_names(&self, _path: &WimPath) -> Vec<WimPath> {
        Vec::new()
    }

    /// Hands the bytes of the file at `path` to `sink` from first to last; what is large need not be held as a whole.
    ///
    /// # Errors
    /// `NotFound` when there is no such file, else what reading its blob gives.
    fn read_pieces(&self, path: &WimPath, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        sink(&self.read(path, u64::MAX)?);
        Ok(())
    }
}
