//! A WIM file written anew: without holes and unused blobs, and compressed again when asked to.
//!
//! Or its holes filled in place, which is quicker and must not be interrupted.

use std::path::Path;

use super::open::Check;
use super::rebuild::{CompressionOptions, IntegrityChoice, Written, as_it_is, existing_images_named};
use super::target::{Placement, Target, compact_in_place, not_compactible, write_target};
use crate::base::{Context, Error, Result};
use crate::formats::wim::WimLayout;
use crate::transfer::write::{NewWim, Recompress};

/// Rewrites the file at `path`, or compacts it in place.
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
    placement: Placement,
) -> Result<Written> {
    let Target { wim, file } = Target::open(path, check, cx)?;
    if placement == Placement::UnsafeCompact {
        let wanted = options.layout.unwrap_or(wim.layout());
        if wanted == WimLayout::Pipable || wim.layout() == WimLayout::Pipable {
            return Err(not_compactible(&wim));
        }
        if options.recompress == Recompress::Always || options.format(wim.format())? != wim.format() {
            return Err(Error::invalid_input("a compaction in place cannot compress anything again")
                .in_file(wim.name())
                .remedy("leave --unsafe-compact out"));
        }
        let (image_count, replaced_bytes) = (wim.image_count(), wim.source().size());
        let integrity = integrity.resolve(Some(&wim));
        drop((wim, file));
        let file_bytes = compact_in_place(cx, path, integrity)?;
        let path = path.display().to_string();
        return Ok(Written { path, image_count, file_bytes, replaced_bytes, ..Written::default() });
    }
    let mut order = options.order(Some(&wim));
    options.packing(Some(&wim), None)?;
    let images = existing_images_named(&wim, &[], &mut order, cx)?;
    let new = NewWim {
        format: options.format(wim.format())?,
        level: options.level.unwrap_or_default(),
        packing: options.packing(Some(&wim), order)?,
        images,
        integrity: integrity.resolve(Some(&wim)),
        recompress: options.recompress,
        ..as_it_is(&wim)
    };
    write_target(cx, new, (&wim, file, path), Placement::Rebuild)
}
