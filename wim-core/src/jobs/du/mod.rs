//! What is big in an image: bytes by folder, with blobs that several files share counted for what they are.
//!
//! A folder holds bytes in three senses: all its names add up to `bytes`; of these the distinct blobs take `distinct_bytes`,
//! since a WIM stores each blob once; and `own_bytes` of them are used nowhere else, so that the file would lose them with
//! the folder. No file data is read. [`treemap`] draws the same as a picture.

mod accounting;
mod folders;
mod treemap;

pub use treemap::treemap;

use serde::Serialize;

use self::accounting::Sizes;
use self::folders::Folders;
use super::dir::{NothingFits, find_typed, slashes, typed_path};
use super::open::load_image;
use super::part_set::PartSet;
use crate::base::{Context, Error, ImageIndex, Place, Result};
use crate::image::{NodeId, Tree};

/// What the rows of one folder are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// Bytes of all names, the largest first.
    Bytes,
    /// Bytes that nothing else uses, the most first.
    Own,
    /// Bytes in the file, the most first.
    Stored,
    /// The name, as NTFS sorts.
    Name,
}

/// What lies in a folder and below.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FolderSize {
    /// Path from the root, with slashes.
    pub path: String,
    /// Folders below it.
    pub directories: u64,
    /// Names of files in it and below.
    pub files: u64,
    /// Bytes of all streams of all these names.
    pub bytes: u64,
    /// Bytes of the distinct blobs among them.
    pub distinct_bytes: u64,
    /// Bytes of those that no other file of the image and no other image uses.
    pub own_bytes: u64,
    /// What the distinct blobs take in the WIM, compressed.
    pub stored_bytes: u64,
    /// What its own blobs take there.
    pub own_stored_bytes: u64,
}

/// The sizes of an image.
pub struct DiskUsage {
    tree: Tree,
    start: NodeId,
    folders: Folders,
    sizes: Sizes,
}

impl DiskUsage {
    /// Adds up what lies at `path` of an image and below.
    ///
    /// # Errors
    /// `NotFound` when the path is not in the image, `InvalidInput` when it is no folder; what reading the metadata gives.
    pub fn new(set: &PartSet, image: ImageIndex, path: &str, cx: &Context<'_>) -> Result<Self> {
        let tree = load_image(&set.wim, image, cx)?;
        let place = format!("{}: image {image}", set.wim.name());
        let at = |error: Error| error.in_file(&place).at(Place::Path(path.to_owned()));
        let start = find_typed(cx, (&tree, &place), &typed_path(path))
            .ok_or_else(|| at(Error::not_found("the path is not in the image").with_source(NothingFits)))?;
        if !tree.inode_of(start).is_directory() {
            return Err(at(Error::invalid_input("it is a file; sizes are those of folders")));
        }
        // Their sizes are not known and count as nothing.
        set.warn_of_absent(&tree, cx);
        let folders = Folders::new(&tree);
        cx.cancel.check()?;
        let sizes = Sizes::new(&tree, &folders, set);
        Ok(Self { tree, start, folders, sizes })
    }

    /// The folder itself and those below it, at most `depth` levels deep; what is largest comes first in each folder.
    #[must_use]
    pub fn rows(&self, depth: usize, sort: SortBy) -> Vec<FolderSize> {
        let mut rows = Vec::new();
        let mut open = vec![(self.start, 0)];
        while let Some((node, level)) = open.pop() {
            let Some(row) = self.row(node) else { continue };
            rows.push(row);
            if level >= depth {
                continue;
            }
            let is_folder = |child: &&NodeId| self.tree.inode_of(**child).is_directory();
            let mut below: Vec<NodeId> = self.tree.children(node).iter().filter(is_folder).copied().collect();
            let key = |node: &NodeId| {
                let sums = self.folders.number(*node).map(|folder| self.sizes.of(folder));
                let sums = sums.unwrap_or_default();
                match sort {
                    SortBy::Bytes => sums.bytes,
                    SortBy::Own => sums.own_bytes,
                    SortBy::Stored => sums.stored_bytes,
                    SortBy::Name => 0,
                }
            };
            // Stable, so that equal ones stay in the order of their names; the stack turns it round.
            below.sort_by_key(|node| std::cmp::Reverse(key(node)));
            open.extend(below.into_iter().rev().map(|child| (child, level + 1)));
        }
        rows
    }

    fn row(&self, node: NodeId) -> Option<FolderSize> {
        let sums = self.sizes.of(self.folders.number(node)?);
        Some(FolderSize {
            path: slashes(&self.tree.path_of(node)),
            directories: sums.directories.saturating_sub(1),
            files: sums.files,
            bytes: sums.bytes,
            distinct_bytes: sums.distinct_bytes,
            own_bytes: sums.own_bytes,
            stored_bytes: sums.stored_bytes,
            own_stored_bytes: sums.own_stored_bytes,
        })
    }
}
