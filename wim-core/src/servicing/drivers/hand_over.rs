//! What a driver that goes leaves to those that stay: its place for a file, and the file of Windows that it had replaced there.
//!
//! Source: drivers.md 3.6. Who gets it is the next that was added; what becomes of a file that nobody gets is `remove`'s affair.

use super::level_a::REPLACED_FOLDER;
use super::level_b;
use super::manifest::{Manifest, ManifestEntry, ManifestFile};
use super::place::kept_path;
use super::remove::later;
use super::store::ImageFiles;
use crate::base::Result;
use crate::image::WimPath;

/// Leaves the place of `file` to the next driver that has it, with what `file` had replaced; false when there is none.
///
/// # Errors
/// What reading or copying a file gives.
pub(super) fn hand_over_file(
    image: &mut ImageFiles<'_>,
    entry: &ManifestEntry,
    file: &ManifestFile,
    others: &mut Manifest,
) -> Result<bool> {
    let is_same = |other: &ManifestFile| other.path.eq_ignore_ascii_case(&file.path);
    let Some(next) = later(entry, others, |other| other.files.iter().any(is_same)) else { return Ok(false) };
    let Some(index) = next.files.iter().position(is_same) else { return Ok(false) };
    let Some(heir) = next.files.get(index) else { return Ok(false) };
    if heir.replaced_sha256.as_ref() != Some(&file.sha256) || file.replaced_sha256 == heir.replaced_sha256 {
        return Ok(true);
    }
    let mut copy = None;
    if let Some(kept) = &file.replaced_copy {
        copy = take_over(image, &WimPath::parse(kept)?, &file.path, next)?;
    }
    let Some(heir) = next.files.get_mut(index) else { return Ok(false) };
    heir.replaced_sha256.clone_from(&file.replaced_sha256);
    heir.replaced_link.clone_from(&file.replaced_link);
    if copy.is_some() {
        heir.replaced_copy = copy;
    } else if let Some(copy) = heir.replaced_copy.take() {
        image.remove(&WimPath::parse(&copy)?, "driver removed: the file it had put there");
    }
    Ok(true)
}

/// Moves `kept`, the file that lay at `path` before drivers, to where `heir` keeps what it replaced; none when it is not there.
///
/// # Errors
/// What reading or copying it gives.
pub(super) fn take_over(
    image: &mut ImageFiles<'_>,
    kept: &WimPath,
    path: &str,
    heir: &mut ManifestEntry,
) -> Result<Option<String>> {
    const REASON: &str = "driver removed: the file it had replaced";
    let folder = match heir.published {
        Some(_) => level_b::replaced_folder(heir.folder_name())?,
        None => WimPath::parse(&heir.folder)?.child(REPLACED_FOLDER),
    };
    let to = kept_path(image, &folder, &WimPath::parse(path)?)?;
    let before = image.savepoint();
    if !image.copy(kept, &to, REASON)? {
        return Ok(None);
    }
    heir.made_folders.extend(image.made_since(before));
    image.remove(kept, REASON);
    Ok(Some(to.to_string()))
}
