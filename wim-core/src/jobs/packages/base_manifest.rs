//! The base manifest that compressed manifests of a package are deltas of, out of an image that the user names.
//!
//! Packages do not bring it (updates.md 1.6): it lies in the servicing stack of the Windows that they are for. Which stack is
//! taken is for [`BaseManifest::find`] to know.

use std::sync::Arc;

use crate::base::{Context, Error, Result};
use crate::image::edit::ImageView;
use crate::jobs::edited_image::OpenImage;
use crate::jobs::images;
use crate::jobs::open::Check;
use crate::jobs::part_set::PartSet;
use crate::jobs::registry::Target;
use crate::servicing::updates::BaseManifest;

/// The base manifest of the one image that the target names.
///
/// # Errors
/// Those of opening the WIM; `NotFound` for an image without one.
pub fn base_manifest_of(cx: &Context<'_>, target: &Target) -> Result<Arc<BaseManifest>> {
    let set = PartSet::open(&target.path, &target.refs, Check::Nothing, cx)?;
    let index = images::choose_one(&set.wim, target.image.as_deref())?;
    let image = OpenImage::load(cx, &set, index, None)?;
    let blobs = image.blobs();
    let found = BaseManifest::find(&ImageView::new(&image.tree, &blobs)).map_err(|e| image.blame(e))?;
    found.map(Arc::new).ok_or_else(|| {
        image.blame(
            Error::not_found(
                "the image has no base manifest: no servicing stack with a wcp.dll that holds one",
            )
            .remedy("name an image of Windows 8 or later"),
        )
    })
}
