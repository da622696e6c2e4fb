//! Images taken out of a WIM file, with the blobs that nothing else needs.
//!
//! Without `--soft` the file is written anew; with it only tables are, and the data stays as a hole.

use std::path::Path;

use super::images;
use super::open::Check;
use super::rebuild::{CompressionOptions, IntegrityChoice, Written, as_it_is, existing_images};
use super::target::{Placement, Target, write_target};
use crate::base::{Context, ImageIndex, Result};
use crate::transfer::write::NewWim;

/// Deletes the images that `text` names from the file at `path`.
///
/// # Errors
/// `NotFound` for an image that is not there, `InvalidInput` for a file marked read-only, else what reading and writing
/// give; the file is then as it was.
pub fn run(
    cx: &Context<'_>,
    path: &Path,
    text: &str,
    integrity: IntegrityChoice,
    check: Check,
    placement: Placement,
) -> Result<Written> {
    let Target { wim, file } = Target::open(path, check, cx)?;
    let deleted = images::choose(&wim, text)?;
    let kept: Vec<ImageIndex> = wim.images().filter(|image| !deleted.contains(image)).collect();
    let boot = wim.boot_index().and_then(|boot| kept.iter().position(|&image| image == boot));
    let new = NewWim {
        format: CompressionOptions::default().format(wim.format())?,
        images: existing_images(&wim, &deleted, cx)?,
        boot: boot.map(ImageIndex::from_position),
        integrity: integrity.resolve(Some(&wim)),
        ..as_it_is(&wim)
    };
    write_target(cx, new, (&wim, file, path), placement)
}
