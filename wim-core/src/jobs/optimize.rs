//! A WIM file written anew: without holes and unused blobs, and compressed again when asked to.

use std::path::Path;

use super::open::{Check, check_writable, open};
use super::rebuild::{CompressionOptions, IntegrityChoice, Written, existing_images, write_file};
use crate::base::atomic_file::IfExists;
use crate::base::{Context, Result};
use crate::transfer::write::{CopyDigests, NewWim};

/// Rewrites the file at `path`.
///
/// # Errors
/// `InvalidInput` for a file marked read-only and for a chunk size that the compression does not have, else what reading
/// and writing give; the file is then as it was.
pub fn run(
    cx: &Context<'_>,
    path: &Path,
    options: &CompressionOptions,
    integrity: IntegrityChoice,
    check: Check,
) -> Result<Written> {
    let wim = open(path, check, cx)?;
    check_writable(&wim)?;
    let new = NewWim {
        format: options.format(wim.format())?,
        level: options.level.unwrap_or_default(),
        guid: Some(wim.header().guid),
        flags: wim.header().flags,
        xml: wim.xml().clone(),
        images: existing_images(&wim, &[], cx)?,
        sources: vec![&wim],
        contents: &[],
        boot: wim.boot_index(),
        integrity: integrity.resolve(Some(&wim)),
        recompress: options.recompress,
        copy_digests: CopyDigests::Drop,
    };
    write_file(cx, new, path, IfExists::Replace)
}
