//! What an image adds up to: references to blobs, and the numbers of its XML.
//!
//! Counted as wimlib counts (checked against its output), since tools compare them: each name of a hard-linked file counts
//! again, directories count with the root.

use std::collections::HashMap;

use super::node::StreamKind;
use super::tree::Tree;
use crate::base::Sha1Digest;

/// The counts of an image's XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ImageCounts {
    /// `DIRCOUNT`: directories, the root among them; reparse points do not count.
    pub directories: u64,
    /// `FILECOUNT`: names of everything else.
    pub files: u64,
    /// `TOTALBYTES`: bytes of all streams, once for each name.
    pub total_bytes: u64,
    /// `HARDLINKBYTES`: the part of `total_bytes` that second and further names brought in.
    pub hard_link_bytes: u64,
}

impl Tree {
    /// How often each blob is referred to, once for each name of each file (wim-format 5).
    #[must_use]
    pub fn blob_references(&self) -> HashMap<Sha1Digest, u32> {
        let mut references: HashMap<Sha1Digest, u32> = HashMap::new();
        for inode in self.inodes.iter().filter(|inode| inode.names > 0) {
            for (_, digest) in inode.streams.iter().filter(|(_, digest)| !digest.is_zero()) {
                let count = references.entry(digest).or_default();
                *count = count.saturating_add(inode.names);
            }
        }
        references
    }

    /// The counts for the XML; `size_bytes` gives the size of a blob, 0 for one that is missing.
    #[must_use]
    pub fn counts(&self, size_bytes: &dyn Fn(&Sha1Digest) -> u64) -> ImageCounts {
        let mut counts = ImageCounts::default();
        for inode in self.inodes.iter().filter(|inode| inode.names > 0) {
            let names = u64::from(inode.names);
            if inode.is_directory() {
                counts.directories += names;
            } else {
                counts.files += names;
            }
            let digests = inode.streams.iter().map(|(_, digest)| digest).filter(|digest| !digest.is_zero());
            let bytes = digests.fold(0u64, |sum, digest| sum.saturating_add(size_bytes(&digest)));
            counts.total_bytes = counts.total_bytes.saturating_add(bytes.saturating_mul(names));
            counts.hard_link_bytes = counts.hard_link_bytes.saturating_add(bytes.saturating_mul(names - 1));
        }
        counts
    }

    /// The digest of a file's encrypted or else unnamed data, by which hard links are told apart (wim-format 9).
    pub(super) fn link_digest(inode: &super::node::Inode) -> Sha1Digest {
        let efs = inode.streams.get(&StreamKind::Efs);
        if efs.is_zero() { inode.data() } else { efs }
    }
}
