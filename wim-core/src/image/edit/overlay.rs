//! An image with edits: a working copy of its tree, and the contents that are not blobs yet.
//!
//! Edits follow what Windows does to a running system's files: names are found without regard to case, and new content
//! goes into the file, so that all its hard links show it; an edit that detaches a path first, or removes it, and puts a file
//! there replaces the name alone. Times of directories are left as they are, so that the order of edits does not show.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Action, Change, Security, Times};
use super::content::Content;
use super::image_view::ImageView;
use crate::base::{Error, FileTime, Place, Result, SecurityId, Sha1Digest};
use crate::formats::wim::attributes::{ARCHIVE, DIRECTORY, ENCRYPTED, REPARSE_POINT};
use crate::image::blobs::BlobSource;
use crate::image::node::{Inode, InodeId, NodeId, StreamKind, Streams};
use crate::image::path::WimPath;
use crate::image::tree::Tree;

/// Attributes that say what a file is; an edit cannot set them.
const KIND_BITS: u32 = DIRECTORY | REPARSE_POINT | ENCRYPTED;

/// An image and the edits made to it so far. The base tree is never changed; a copy is made at the first edit.
#[derive(Clone)]
pub struct Overlay {
    pub(super) base: Arc<Tree>,
    pub(super) tree: Arc<Tree>,
    /// New contents of unnamed streams, by file.
    pub(super) pending: BTreeMap<InodeId, Pending>,
    pub(super) changes: Vec<Change>,
    time: FileTime,
}

/// New content of one file.
#[derive(Clone)]
pub(super) struct Pending {
    pub(super) content: Content,
    /// True when the edit gave times of its own; else equal content makes the edit void, times and all.
    pub(super) has_own_times: bool,
}

impl Overlay {
    /// `base` without edits. `time` is what new and changed files get that bring no time of their own: the job's time, the
    /// same for all, so that the same edits give the same image.
    #[must_use]
    pub fn new(base: Arc<Tree>, time: FileTime) -> Self {
        Self { tree: Arc::clone(&base), base, pending: BTreeMap::new(), changes: Vec::new(), time }
    }

    /// The edits so far, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The image with the edits so far.
    #[must_use]
    pub fn view<'o>(&'o self, blobs: &'o dyn BlobSource) -> ImageView<'o> {
        ImageView::with_pending(&self.tree, &self.pending, blobs)
    }

    /// Takes in edits in order; later ones win.
    ///
    /// # Errors
    /// That of the first that fails; those before it are in, those behind it are not.
    pub fn apply_all(&mut self, changes: impl IntoIterator<Item = Change>) -> Result<()> {
        changes.into_iter().try_for_each(|change| self.apply(change))
    }

    /// Takes in one edit.
    ///
    /// A file keeps its named streams, short name and tagged items when it gets new content.
    ///
    /// # Errors
    /// `InvalidInput` when a file stands where a directory is wanted or the other way round, when the path leads through a
    /// link or junction or ends at one, and for the root; the overlay is then as it was, but for directories made on the
    /// way.
    pub fn apply(&mut self, change: Change) -> Result<()> {
        let done = match &change.action {
            Action::PutFile { content, attributes, times, security } => {
                self.put_file(&change.path, content, *attributes, *times, security)
            }
            Action::MakeDirectory { security } => self.make_directory(&change.path, security).map(|_| ()),
            Action::Detach => self.detach(&change.path),
            Action::Link { to } => self.link(&change.path, to),
            Action::Remove => self.remove(&change.path),
        };
        done.map_err(|e| e.or_at(Place::Path(change.path.to_string())))?;
        self.changes.push(change);
        Ok(())
    }

    fn put_file(
        &mut self,
        path: &WimPath,
        content: &Content,
        attributes: Option<u32>,
        times: Option<Times>,
        security: &Security,
    ) -> Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Error::invalid_input("the root is a directory, not a file"));
        };
        let inode = match self.tree.find(path) {
            Some(node) => self.existing_file(node)?,
            None => {
                let directory = self.make_directory(&parent, &Security::Inherit)?;
                let new = Inode {
                    attributes: ARCHIVE,
                    times: Times::all(self.time),
                    security: self.inherited(directory, ARCHIVE),
                    ..Inode::default()
                };
                let tree = Arc::make_mut(&mut self.tree);
                let node = tree.add(directory, name.clone(), new)?;
                tree.node(node).inode
            }
        };
        let like = self.like(security);
        let time = self.time;
        let file = Arc::make_mut(&mut self.tree).inode_mut(inode);
        if file.attributes & ENCRYPTED != 0 {
            // New content is plain; what EFS needs to read the old content goes with it.
            file.streams = Streams::default();
        }
        file.attributes = attributes.unwrap_or(file.attributes) & !KIND_BITS;
        file.times =
            times.unwrap_or(Times { creation: file.times.creation, last_access: time, last_write: time });
        file.security = like.or(file.security);
        let digest = match content {
            Content::Blob(digest) => *digest,
            _ => Sha1Digest::ZERO,
        };
        file.streams = file.streams.with(&StreamKind::Data, digest);
        self.pending.insert(inode, Pending { content: content.clone(), has_own_times: times.is_some() });
        Ok(())
    }

    /// The file behind a node whose content is to be replaced.
    fn existing_file(&self, node: NodeId) -> Result<InodeId> {
        let attributes = self.tree.inode_of(node).attributes;
        if attributes & REPARSE_POINT != 0 {
            return Err(Error::invalid_input("a link or other reparse point is there, not a plain file")
                .remedy("remove it first"));
        }
        if attributes & DIRECTORY != 0 {
            return Err(Error::invalid_input("a directory is there, not a file").remedy("remove it first"));
        }
        Ok(self.tree.node(node).inode)
    }

    /// The directory at `path`, made with those above it where it is missing.
    fn make_directory(&mut self, path: &WimPath, security: &Security) -> Result<NodeId> {
        let mut directory = self.tree.root();
        for (depth, name) in path.components().iter().enumerate() {
            directory = match self.tree.child(directory, name) {
                Some(node) if self.tree.inode_of(node).is_directory() => node,
                Some(node) => {
                    let is_link = self.tree.inode_of(node).reparse.is_some();
                    let what = if is_link { "a link or junction" } else { "a file" };
                    let at = self.tree.path_of(node);
                    return Err(Error::invalid_input(format!("{what} is there, not a directory"))
                        .at(Place::Path(at.to_string())));
                }
                None => {
                    let like = self.like(security);
                    // Its kind are directories; of the wanted ones only the last may take another's descriptor.
                    let own = like.filter(|_| depth + 1 == path.components().len());
                    let inherited = self.inherited(directory, DIRECTORY);
                    let new = Inode {
                        attributes: DIRECTORY,
                        times: Times::all(self.time),
                        security: own.or(inherited),
                        ..Inode::default()
                    };
                    Arc::make_mut(&mut self.tree).add(directory, name.clone(), new)?
                }
            };
        }
        Ok(directory)
    }

    fn detach(&mut self, path: &WimPath) -> Result<()> {
        let Some(node) = self.tree.find(path) else { return Ok(()) };
        let before = self.tree.node(node).inode;
        if self.tree.inode(before).names < 2 {
            return Ok(());
        }
        let own = Arc::make_mut(&mut self.tree).detach(node)?;
        if let Some(pending) = self.pending.get(&before).cloned() {
            self.pending.insert(own, pending);
        }
        Ok(())
    }

    fn link(&mut self, path: &WimPath, to: &WimPath) -> Result<()> {
        let Some(other) = self.tree.find(to) else { return Ok(()) };
        let inode = self.existing_file(other)?;
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Error::invalid_input("the root is a directory, not a file"));
        };
        match self.tree.find(path) {
            Some(node) => {
                self.existing_file(node)?;
                Arc::make_mut(&mut self.tree).link(node, inode);
            }
            None => {
                let directory = self.make_directory(&parent, &Security::Inherit)?;
                Arc::make_mut(&mut self.tree).add_name(directory, name.clone(), inode)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, path: &WimPath) -> Result<()> {
        let Some(node) = self.tree.find(path) else { return Ok(()) };
        if node == self.tree.root() {
            return Err(Error::invalid_input("the root cannot be removed"));
        }
        Arc::make_mut(&mut self.tree).remove(node);
        Ok(())
    }

    /// The descriptor that `security` names; none for `Inherit` and for a path that has none.
    fn like(&self, security: &Security) -> Option<SecurityId> {
        match security {
            Security::Inherit => None,
            Security::Like(path) => self.tree.inode_of(self.tree.find(path)?).security,
        }
    }

    /// The descriptor for a new entry: that of the first of its kind in the directory that has one, else the directory's.
    fn inherited(&self, directory: NodeId, attributes: u32) -> Option<SecurityId> {
        let children = self.tree.children(directory).iter().map(|&child| self.tree.inode_of(child));
        let kind =
            children.filter(|inode| inode.attributes & (DIRECTORY | REPARSE_POINT) == attributes & DIRECTORY);
        kind.filter_map(|inode| inode.security).next().or(self.tree.inode_of(directory).security)
    }
}
