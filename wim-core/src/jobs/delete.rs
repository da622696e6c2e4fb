//! Images taken out of a WIM file, with the blobs that nothing else needs.
//!
//! The file is written anew, as wimlib does without `--soft`.

use std::path::Path;

use super::images;
use super::open::{Check, check_writable, open};
use super::rebuild::{CompressionOptions, IntegrityChoice, Written, existing_images, write_file};
use crate::base::atomic_file::IfExists;
use crate::base::{Context, ImageIndex, Result};
use crate::transfer::write::{CopyDigests, NewWim};

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
) -> Result<Written> {
    let wim = open(path, check, cx)?;
    check_writable(&wim)?;
    let deleted = images::choose(&wim, text)?;
    let kept: Vec<ImageIndex> = wim.images().filter(|image| !deleted.contains(image)).collect();
    let boot = wim.boot_index().and_then(|boot| kept.iter().position(|&image| image == boot));
    let new = NewWim {
        format: CompressionOptions::default().format(wim.format())?,
        level: super::Level::default(),
        guid: Some(wim.header().guid),
        flags: wim.header().flags,
        xml: wim.xml().clone(),
        images: existing_images(&wim, &deleted, cx)?,
        sources: vec![&wim],
        contents: &[],
        boot: boot.map(ImageIndex::from_position),
        integrity: integrity.resolve(Some(&wim)),
        recompress: CompressionOptions::default().recompress,
        copy_digests: CopyDigests::Drop,
    };
    write_file(cx, new, path, IfExists::Replace)
}
