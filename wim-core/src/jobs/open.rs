//! Opening WIMs of the host and loading their images.
//!
//! What was odd but did not stop the opening goes to [`Progress::warn`](crate::base::Progress::warn). Files that belong
//! together are [`part_set`](super::part_set)'s.

use std::path::Path;

use super::input;
use crate::base::{Context, Error, ErrorKind, ImageIndex, Reason, Result};
use crate::formats::wim::{HeaderFlags, WimFile};
use crate::image::Tree;
use crate::image::glob::Case;
use crate::image::load::load;
use crate::transfer::integrity::damaged_slices;

/// Whether the integrity table is checked before a file is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Check it, if there is one.
    Integrity,
    /// Use the file as it is; every blob that is read is checked all the same.
    Nothing,
}

/// How paths in an image are compared when they are to be changed: as names of the host are, unless
/// `WIMLIB_IMAGEX_IGNORE_CASE` is 0 or 1 (wimlib-imagex(1)).
#[must_use]
pub fn case_of_paths() -> Case {
    let host = if cfg!(windows) { Case::Ignored } else { Case::Matters };
    match std::env::var("WIMLIB_IMAGEX_IGNORE_CASE").as_deref() {
        Ok("0") => Case::Matters,
        Ok("1") => Case::Ignored,
        _ => host,
    }
}

/// Opens the WIM that `path` means: a file, one on a disc image, or the install image of a disc; errors and warnings call it by
/// its own path.
///
/// # Errors
/// `Io` when the file cannot be read, `InvalidInput` when it is no regular file, `Unsupported` for `-`, `Corrupt` when the
/// integrity table is checked and differs, else what [`WimFile::open`] returns.
pub fn open(path: &Path, check: Check, cx: &Context<'_>) -> Result<WimFile> {
    let wim = open_source(path, cx)?;
    wim.warnings().iter().for_each(|warning| cx.progress.warn(warning));
    if check == Check::Integrity {
        check_integrity(&wim, cx)?;
    }
    Ok(wim)
}

/// Opens the WIM at `path` without telling its warnings, which [`WimFile::warnings`] keeps.
///
/// # Errors
/// As [`open`].
pub(super) fn open_source(path: &Path, cx: &Context<'_>) -> Result<WimFile> {
    if path == Path::new("-") {
        return Err(Error::unsupported("a WIM on standard input or output is not supported by this version")
            .because(Reason::CannotOpen)
            .remedy("give the path of a file"));
    }
    let (source, name) = input::open(path, cx)?;
    WimFile::open(source, &name)
}

pub(super) fn check_integrity(wim: &WimFile, cx: &Context<'_>) -> Result<()> {
    let Some(table) = wim.read_integrity()? else {
        let message = "it has no integrity table, so there is nothing to check beforehand";
        cx.progress.warn(&Error::not_found(message).in_file(wim.name()));
        return Ok(());
    };
    let damaged = damaged_slices(cx, &**wim.source(), wim.integrity_span(), &table)?;
    match damaged.first() {
        None => Ok(()),
        Some((offset, length)) => Err(Error::corrupt(format!(
            "the integrity table disagrees with {} of {} slices, the first being {length} bytes at {offset:#x}",
            damaged.len(),
            table.digests.len()
        ))
        .because(Reason::IntegrityDiffers)
        .in_file(wim.name())
        .remedy("get the file again from its source, or list the damage with: wim verify")),
    }
}

/// Refuses files that say they must not be changed, and those that would lose what people know their images by.
///
/// # Errors
/// `InvalidInput` when the header's READONLY flag is set or it lies on a disc image, `Unsupported` for a part of a split set, `Format` when the XML
/// data could not be read.
pub(super) fn check_writable(wim: &WimFile) -> Result<()> {
    input::check_changeable(Path::new(wim.name()))?;
    check_unsplit(wim)?;
    if wim.header().flags.has(HeaderFlags::READONLY) {
        return Err(Error::invalid_input("it is marked read-only")
            .because(Reason::MustNotChange)
            .in_file(wim.name())
            .remedy("export its images into a new file"));
    }
    if wim.xml().is_stand_in() {
        let message = "its XML data cannot be read, so that rewriting it would lose the names of its images";
        return Err(Error::new(ErrorKind::Format, message)
            .because(Reason::BadXml)
            .in_file(wim.name())
            .remedy("export its images by number and with new names into a new file"));
    }
    Ok(())
}

/// Refuses a part of a split set, whose images cannot be written without the other parts.
///
/// # Errors
/// `Unsupported`.
pub(super) fn check_unsplit(wim: &WimFile) -> Result<()> {
    if wim.header().total_parts <= 1 {
        return Ok(());
    }
    Err(Error::unsupported("a part of a split set cannot be changed")
        .because(Reason::MustNotChange)
        .in_file(wim.name())
        .remedy("join the parts first with: wim join OUT.wim PART..."))
}

/// Loads the tree of an image; what was odd in it goes to the progress.
///
/// # Errors
/// What reading and loading the metadata give, with the image named.
pub(super) fn load_image(wim: &WimFile, image: ImageIndex, cx: &Context<'_>) -> Result<Tree> {
    cx.cancel.check()?;
    let metadata = wim.read_metadata(image, cx.memory_bytes())?;
    let place = format!("{}: image {image}", wim.name());
    load(&metadata, &mut |warning| cx.progress.warn(&warning.in_file(&place))).map_err(|e| e.in_file(&place))
}
