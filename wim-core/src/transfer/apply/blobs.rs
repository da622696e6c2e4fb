//! Where the blobs of an image that is applied are: in WIM files, or kept of a pipe.

use std::collections::HashMap;

use super::write::blame;
use crate::base::{Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::image::edit::Content;
use crate::image::{NodeId, Tree};
use crate::transfer::read::{BlobInput, blob_not_found, sort_by_offset};

pub(super) struct Blobs<'w> {
    wims: &'w [&'w WimFile],
    kept: HashMap<Sha1Digest, Content>,
}

impl<'w> Blobs<'w> {
    /// Those of WIM files.
    pub(super) fn of(wims: &'w [&'w WimFile]) -> Self {
        Self { wims, kept: HashMap::new() }
    }

    pub(super) fn find(&self, digest: &Sha1Digest) -> Result<BlobInput<'_>> {
        if let Some(content) = self.kept.get(digest) {
            return BlobInput::content(content, *digest, self.wims);
        }
        let found = self.wims.iter().find_map(|wim| Some((*wim, *wim.table().find(digest)?)));
        found.map(|(wim, entry)| BlobInput::resource(wim, entry)).ok_or_else(|| blob_not_found(digest))
    }

    /// These blobs in the order of their data; errors name the path of the node that wants one.
    pub(super) fn inputs(
        &self,
        tree: &Tree,
        wanted: impl Iterator<Item = (Sha1Digest, NodeId)>,
    ) -> Result<Vec<BlobInput<'_>>> {
        let inputs = wanted.map(|(digest, node)| self.find(&digest).map_err(|e| blame(tree, e, node)));
        let mut inputs: Vec<BlobInput<'_>> = inputs.collect::<Result<_>>()?;
        // The order of a map is arbitrary; blobs of several WIMs at one offset are told apart by their digests.
        inputs.sort_by_key(|input| input.digest);
        sort_by_offset(&mut inputs);
        Ok(inputs)
    }
}
