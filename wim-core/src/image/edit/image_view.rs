//! A tree, with the edits of an overlay or without, as servicing sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::Content;
use super::overlay::Pending;
use super::view::{EntryInfo, View};
use crate::base::{Error, Place, Result, Sha1Digest};
use crate::image::blobs::BlobSource;
use crate::image::node::{InodeId, NodeId};
use crate::image::path::WimPath;
use crate::image::tree::Tree;

/// A tree and where its blobs are.
#[derive(Clone, Copy)]
pub struct ImageView<'a> {
    tree: &'a Tree,
    pending: Option<&'a BTreeMap<InodeId, Pending>>,
    blobs: &'a dyn BlobSource,
}

impl<'a> ImageView<'a> {
    /// `tree` as it is.
    #[must_use]
    pub fn new(tree: &'a Tree, blobs: &'a dyn BlobSource) -> Self {
        Self { tree, pending: None, blobs }
    }

    pub(super) fn with_pending(
        tree: &'a Tree,
        pending: &'a BTreeMap<InodeId, Pending>,
        blobs: &'a dyn BlobSource,
    ) -> Self {
        Self { tree, pending: Some(pending), blobs }
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &'a Tree {
        self.tree
    }

    fn pending(&self, node: NodeId) -> Option<&'a Content> {
        self.pending?.get(&self.tree.node(node).inode).map(|pending| &pending.content)
    }

    fn info(&self, node: NodeId) -> EntryInfo {
        let inode = self.tree.inode_of(node);
        let blob_size = |digest: &Sha1Digest| self.blobs.size(digest).unwrap_or(0);
        let (digest, size) = match self.pending(node) {
            Some(Content::Blob(_)) | None => (inode.data(), blob_size(&inode.data())),
            Some(content) => (Sha1Digest::ZERO, content.size_bytes().unwrap_or(0)),
        };
        EntryInfo {
            name: self.tree.node(node).name.clone(),
            attributes: inode.attributes,
            size: if digest.is_zero() && self.pending(node).is_none() { 0 } else { size },
            digest,
            times: inode.times,
        }
    }
}

impl View for ImageView<'_> {
    fn entry(&self, path: &WimPath) -> Option<EntryInfo> {
        self.tree.find(path).map(|node| self.info(node))
    }

    fn list(&self, path: &WimPath) -> Option<Vec<EntryInfo>> {
        let node = self.tree.find(path).filter(|&node| self.tree.inode_of(node).is_directory())?;
        Some(self.tree.children(node).iter().map(|&child| self.info(child)).collect())
    }

    fn read(&self, path: &WimPath, limit: u64) -> Result<Arc<[u8]>> {
        let at = |e: Error| e.or_at(Place::Path(path.to_string()));
        let node = self.tree.find(path).filter(|&node| !self.tree.inode_of(node).is_directory());
        let node = node.ok_or_else(|| at(Error::not_found("there is no such file in the image")))?;
        let blob = |digest: &Sha1Digest| match digest.is_zero() {
            true => Ok(Arc::from([])),
            false => self.blobs.read(digest, limit).map(Arc::from),
        };
        match self.pending(node) {
            Some(Content::Blob(_)) | None => blob(&self.tree.inode_of(node).data()),
            Some(content) => content.read(limit),
        }
        .map_err(at)
    }

    fn other_names(&self, path: &WimPath) -> Vec<WimPath> {
        let Some(own) = self.tree.find(path) else { return Vec::new() };
        let inode = self.tree.node(own).inode;
        if self.tree.inode(inode).names < 2 {
            return Vec::new();
        }
        let nodes = self.tree.walk(self.tree.root()).map(|visit| visit.node);
        let others = nodes.filter(|&node| node != own && self.tree.node(node).inode == inode);
        let mut names: Vec<WimPath> = others.map(|node| self.tree.path_of(node)).collect();
        names.sort_by_key(|name| name.to_string().to_lowercase());
        names
    }

    fn read_pieces(&self, path: &WimPath, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        let node = self.tree.find(path).filter(|&node| !self.tree.inode_of(node).is_directory());
        match node.map(|node| (self.pending(node), self.tree.inode_of(node).data())) {
            Some((Some(Content::Blob(_)) | None, digest)) if !digest.is_zero() => {
                self.blobs.read_pieces(&digest, sink).map_err(|e| e.or_at(Place::Path(path.to_string())))
            }
            // What is new lies on the host or in memory already.
            _ => {
                sink(&self.read(path, u64::MAX)?);
                Ok(())
            }
        }
    }
}
