//! Where the blobs of an image that is applied are: in WIM files, or kept of a pipe.

use std::collections::HashMap;
use std::path::Path;

use super::write::blame;
use crate::base::{Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::image::edit::Content;
use crate::image::{NodeId, Tree};
use crate::transfer::read::{BlobInput, blob_not_found, sort_by_offset};
use crate::transfer::spool::Spool;

pub(super) struct Blobs<'w> {
    wims: &'w [&'w WimFile],
    kept: HashMap<Sha1Digest, Content>,
}

/// Blobs of a pipe that are needed when all files are there, in a temporary file.
pub(super) struct KeptBlobs {
    spool: Spool,
    /// Where each begins, and its bytes.
    places: HashMap<Sha1Digest, (u64, u64)>,
}

impl KeptBlobs {
    pub(super) fn new(folder: &Path) -> Self {
        Self { spool: Spool::new(folder), places: HashMap::new() }
    }

    /// Takes a piece of a blob; all pieces of one come before those of the next.
    pub(super) fn piece(
        &mut self,
        (digest, size): (Sha1Digest, u64),
        start: u64,
        bytes: &[u8],
    ) -> Result<()> {
        if start == 0 {
            self.places.insert(digest, (self.spool.length(), size));
        }
        self.spool.put(bytes).map(|_| ())
    }

    pub(super) fn into_contents(self) -> Result<HashMap<Sha1Digest, Content>> {
        let content = |(digest, (start, size))| Ok((digest, self.spool.range(start, size)?));
        self.places.into_iter().map(content).collect()
    }
}

impl<'w> Blobs<'w> {
    /// Those of WIM files.
    pub(super) fn of(wims: &'w [&'w WimFile]) -> Self {
        Self { wims, kept: HashMap::new() }
    }

    /// Those that were kept.
    pub(super) fn kept(kept: HashMap<Sha1Digest, Content>) -> Self {
        Self { wims: &[], kept }
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
