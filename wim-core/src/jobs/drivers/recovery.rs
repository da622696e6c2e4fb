//! The recovery image inside an image of Windows: where it lies, and how it is opened.
//!
//! Windows Setup copies `\Windows\System32\Recovery\winre.wim` of the installed edition to the recovery partition; it is a WIM
//! of Windows PE. It is taken out into a nameless temporary file; what is done to it is for its users to say.

use std::path::Path;

use crate::base::{Context, ErrorKind, ImageIndex, Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::image::{NodeId, Tree, WimPath};
use crate::transfer::apply::{Damaged, write_file_to};
use crate::transfer::spool::TemporaryFile;

/// Where the recovery image lies in an image of Windows.
const RECOVERY_IMAGE: &str = "\\Windows\\System32\\Recovery\\winre.wim";

/// A recovery image that an image has.
pub(super) struct RecoveryImage {
    /// Its path, as spelt there.
    pub(super) path: WimPath,
    /// Its digest: editions may share it.
    pub(super) digest: Sha1Digest,
    node: NodeId,
}

impl RecoveryImage {
    /// The one of `tree`; none when there is no such file.
    ///
    /// # Errors
    /// None by itself.
    pub(super) fn find(tree: &Tree) -> Result<Option<Self>> {
        let Some(node) = tree.find(&WimPath::parse(RECOVERY_IMAGE)?) else { return Ok(None) };
        let inode = tree.inode_of(node);
        if inode.is_directory() || inode.data().is_zero() {
            return Ok(None);
        }
        Ok(Some(Self { path: tree.path_of(node), digest: inode.data(), node }))
    }

    /// What errors and reports call it.
    pub(super) fn name(&self, wim: &WimFile, image: ImageIndex) -> String {
        format!("{}: image {image}: {}", wim.name(), self.path)
    }

    /// Takes it out of `wims`, of which the first has the image, into a file of `scratch`, and opens it.
    ///
    /// # Errors
    /// What reading it and opening a WIM give.
    pub(super) fn open(
        &self,
        cx: &Context<'_>,
        wims: &[&WimFile],
        tree: &Tree,
        image: ImageIndex,
        scratch: &Path,
    ) -> Result<WimFile> {
        let mut file = TemporaryFile::create(scratch)?;
        write_file_to(cx, tree, wims, self.node, Damaged::Fail, &mut file)?;
        let name = wims.first().map(|wim| self.name(wim, image)).unwrap_or_default();
        WimFile::open(file.into_source()?, &name)
    }
}

/// True for errors of a recovery image that is damaged or no WIM: the image around it can still be worked on.
pub(super) fn is_its_own_fault(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Format | ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::NotFound)
}
