//! One side of a comparison: a file with those that belong to it, and the tree of an image.

use crate::base::{Context, ImageIndex, Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::formats::wim::reparse::{self, LinkTarget};
use crate::image::{BlobSource, Tree};
use crate::jobs::images;
use crate::jobs::open::load_image;
use crate::jobs::part_set::PartSet;
use crate::jobs::registry::Target;
use crate::transfer::read::{RandomReader, SetBlobs};

/// An image and its blobs.
pub(super) struct Side {
    pub(super) set: PartSet,
    pub(super) image: ImageIndex,
    pub(super) tree: Tree,
}

impl Side {
    /// Opens the file and loads the image that the target names, or the only one.
    pub(super) fn open(cx: &Context<'_>, target: &Target) -> Result<Self> {
        let set = target.open_wim(cx)?;
        let image = images::choose_one(&set.wim, target.image.as_deref())?;
        let tree = load_image(&set.wim, image, cx)?;
        Ok(Self { set, image, tree })
    }

    /// What errors call the image.
    pub(super) fn place(&self) -> String {
        format!("{}: image {}", self.set.wim.name(), self.image)
    }

    /// All its blobs.
    pub(super) fn blobs(&self) -> SetBlobs<'_> {
        SetBlobs::new(&self.set.wims())
    }

    /// Parts of blobs, read without keeping what was decoded.
    pub(super) fn parts(&self) -> RandomReader<&WimFile> {
        RandomReader::new(self.set.wims(), 0)
    }

    /// Where a link leads; none for other reparse points and for data that cannot be read, whose digest tells it.
    pub(super) fn link_target(&self, tag: u32, digest: &Sha1Digest) -> Option<String> {
        if digest.is_zero() {
            return None;
        }
        let data = self.blobs().read(digest, reparse::MAX_BYTES as u64).ok()?;
        Some(LinkTarget::parse(tag, &data).ok()??.substitute.to_text())
    }
}
