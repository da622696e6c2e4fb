//! A cabinet or a WIM file, looked at as an archive: names of members, and those that are wanted unpacked.

use std::sync::Arc;

use super::{Allowance, Scratch, UnpackedFiles, member_path};
use crate::base::{Context, Error, FileTime, ImageIndex, ReadAt, Result, Sha1Digest, read_at};
use crate::formats::cab::{Cabinet, Header};
use crate::formats::wim::WimFile;
use crate::formats::wim::header::MAGIC as WIM_MAGIC;
use crate::image::Tree;
use crate::jobs::open::load_image;
use crate::servicing::package_files::PackageFile;

/// An archive that is open.
pub enum Archive {
    /// A cabinet.
    Cabinet(Cabinet),
    /// The first image of a WIM file.
    Wim(Box<WimArchive>),
}

/// The files of the first image of a WIM file.
pub struct WimArchive {
    pub(super) wim: WimFile,
    /// The files with their digests; zeros for those without data.
    pub(super) members: Vec<(PackageFile, Sha1Digest)>,
}

impl Archive {
    /// Opens what `source` begins with; none when it is neither a cabinet nor a WIM file.
    ///
    /// # Errors
    /// What opening gives: `Format`, `Unsupported`, `Io`; `InvalidInput` for names in a WIM that lead out.
    pub fn open(cx: &Context<'_>, source: &Arc<dyn ReadAt>, name: &str) -> Result<Option<Self>> {
        let start = read_at::read_start(&**source, WIM_MAGIC.len())?;
        if start.starts_with(&Header::SIGNATURE) {
            return Ok(Some(Self::Cabinet(Cabinet::open(Arc::clone(source), name)?)));
        }
        if start != WIM_MAGIC {
            return Ok(None);
        }
        let wim = WimFile::open(Arc::clone(source), name)?;
        let first = wim.images().next();
        let image = first.ok_or_else(|| Error::invalid_input("a WIM without images").in_file(name))?;
        let members = members_of(cx, &wim, image).map_err(|e| e.in_file(name))?;
        Ok(Some(Self::Wim(Box::new(WimArchive { wim, members }))))
    }

    /// What errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Cabinet(cabinet) => cabinet.name(),
            Self::Wim(archive) => archive.wim.name(),
        }
    }

    /// The names of its members.
    #[must_use]
    pub fn member_names(&self) -> Vec<&str> {
        match self {
            Self::Cabinet(cabinet) => cabinet.members().iter().map(|member| member.name.as_str()).collect(),
            Self::Wim(archive) => archive.members.iter().map(|(file, _)| file.path.as_str()).collect(),
        }
    }

    /// Unpacks the members that `is_wanted` says by their names.
    ///
    /// # Errors
    /// As [`UnpackedFiles::of_cabinet`] and [`UnpackedFiles::of_wim`].
    pub fn unpack(
        &self,
        cx: &Context<'_>,
        is_wanted: &dyn Fn(&str) -> bool,
        allowance: Allowance,
        scratch: &Scratch,
    ) -> Result<UnpackedFiles> {
        match self {
            Self::Cabinet(cabinet) => {
                let members = cabinet.members().iter().enumerate();
                let wanted: Vec<usize> =
                    members.filter(|(_, member)| is_wanted(&member.name)).map(|(number, _)| number).collect();
                UnpackedFiles::of_cabinet(cx, cabinet, &wanted, allowance, scratch)
            }
            Self::Wim(archive) => UnpackedFiles::of_wim(cx, archive, is_wanted, allowance, scratch),
        }
    }
}

/// The plain files of an image; links and encrypted files are no members.
fn members_of(cx: &Context<'_>, wim: &WimFile, image: ImageIndex) -> Result<Vec<(PackageFile, Sha1Digest)>> {
    let tree: Tree = load_image(wim, image, cx)?;
    let mut members = Vec::new();
    for visit in tree.walk(tree.root()) {
        let inode = tree.inode_of(visit.node);
        if inode.is_directory() || inode.reparse.is_some() {
            continue;
        }
        let digest = inode.data();
        let size = match wim.table().find(&digest) {
            _ if digest.is_zero() => 0,
            Some(entry) => entry.header.size,
            None => return Err(crate::transfer::read::blob_not_found(&digest)),
        };
        let path = tree.path_of(visit.node).to_string();
        let path = member_path(path.trim_start_matches('\\'))?;
        let last_write = Some(inode.times.last_write).filter(|time| *time != FileTime::default());
        members.push((PackageFile { path, size, last_write }, digest));
    }
    Ok(members)
}
