//! An existing WIM file that a job changes: appended to, compacted in place, or written anew.
//!
//! Whichever way, the file is the old one or the new one at every instant, but for the compaction, which says so in its
//! name. The file is locked from the moment it is opened.

use std::path::Path;

use super::input::check_changeable;
use super::open::{Check, check_integrity, check_writable};
use super::rebuild::{Written, existing_images, write_file};
use crate::base::atomic_file::IfExists;
use crate::base::in_place_file::InPlaceFile;
use crate::base::{Context, Error, Reason, Result};
use crate::formats::wim::{WimFile, WimLayout};
use crate::transfer::write::{Integrity, NewWim, Recompress, append, compact};

/// Where changes to an existing file go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Behind what is there; what is no longer needed stays as holes.
    Append,
    /// Into a new file that takes the place of the old one.
    Rebuild,
    /// Behind what is there, and then everything is moved down over the holes. A file whose compaction is interrupted is
    /// lost.
    UnsafeCompact,
}

/// A WIM file, open and locked for changing.
pub(super) struct Target {
    pub(super) wim: WimFile,
    pub(super) file: InPlaceFile,
}

impl Target {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// As [`open`](super::open::open) and [`check_writable`]; `InvalidInput` when another program uses the file.
    pub(super) fn open(path: &Path, check: Check, cx: &Context<'_>) -> Result<Self> {
        if path == Path::new("-") {
            return Err(
                Error::invalid_input("a WIM on standard input cannot be changed").because(Reason::CannotOpen)
            );
        }
        check_changeable(path)?;
        let file = InPlaceFile::open(path)?;
        let wim = WimFile::open(file.source(), &path.display().to_string())?;
        wim.warnings().iter().for_each(|warning| cx.progress.warn(warning));
        if check == Check::Integrity {
            check_integrity(&wim, cx)?;
        }
        check_writable(&wim)?;
        Ok(Self { wim, file })
    }
}

/// Makes the file at `path`, which is `wim` and open as `file`, what `new` says. A file in another format than `new`, and a
/// pipable one, is always written anew.
///
/// # Errors
/// What writing gives; the file is then as it was, but has what is new when only its compaction failed.
pub(super) fn write_target(
    cx: &Context<'_>,
    new: NewWim<'_>,
    (wim, mut file, path): (&WimFile, InPlaceFile, &Path),
    placement: Placement,
) -> Result<Written> {
    let can_append = new.format == wim.format() && new.recompress == Recompress::WhenNeeded;
    let can_append = can_append && wim.layout() == WimLayout::Standard;
    if placement == Placement::Rebuild || placement == Placement::Append && !can_append {
        return write_file(cx, new, path, IfExists::ReplaceLocked);
    }
    if wim.layout() == WimLayout::Pipable || new.format.layout() == WimLayout::Pipable {
        return Err(not_compactible(wim));
    }
    if !can_append {
        return Err(Error::invalid_input("a compaction in place cannot compress anything again")
            .in_file(wim.name())
            .remedy("leave --unsafe-compact out"));
    }
    let (image_count, integrity) = (new.images.len(), new.integrity);
    let appended = append(cx, new, wim, &mut file)?;
    cx.cancel.check()?;
    let report = &appended.report;
    let mut written = Written {
        path: path.display().to_string(),
        image_count,
        file_bytes: appended.file_bytes,
        replaced_bytes: wim.source().size(),
        copied_resources: report.copied_resources,
        copied_bytes: report.copied_bytes,
        encoded_resources: report.encoded_resources,
        encoded_bytes: report.encoded_bytes,
    };
    file.commit(&appended.header.to_bytes(), appended.file_bytes)?;
    if placement == Placement::UnsafeCompact {
        written.file_bytes = compact_in_place(cx, path, integrity)?;
    }
    Ok(written)
}

/// The error for a compaction of a pipable file, whose order is fixed.
pub(super) fn not_compactible(wim: &WimFile) -> Error {
    Error::invalid_input("a pipable file cannot be compacted in place, nor one made pipable")
        .in_file(wim.name())
        .remedy("leave --unsafe-compact out")
}

/// Moves everything in the file at `path` down over its holes; gives its new size in bytes.
///
/// # Errors
/// What opening gives, and what [`compact`] gives.
pub(super) fn compact_in_place(cx: &Context<'_>, path: &Path, integrity: Integrity) -> Result<u64> {
    let Target { wim, mut file } = Target::open(path, Check::Nothing, cx)?;
    let images = existing_images(&wim, &[], cx)?;
    let is_wanted = |digest: &_| images.iter().any(|image| image.references.contains_key(digest));
    file.keep_on_drop();
    let (header, bytes) = compact(cx, &wim, &is_wanted, integrity, &mut file)?;
    file.commit(&header.to_bytes(), bytes)?;
    Ok(bytes)
}

/// Refuses to put a file that a job makes beside its work in the place of one that it reads.
///
/// # Errors
/// `InvalidInput` when `output` is one of `inputs`, or the disc that has it.
pub fn check_no_input(output: &Path, inputs: &[&WimFile]) -> Result<()> {
    // A file of a disc is called DISC:/PATH.
    let host = |wim: &WimFile| wim.name().split_once(":/").map_or(wim.name(), |(disc, _)| disc).to_owned();
    match inputs.iter().any(|wim| is_same_file(Path::new(&host(wim)), output)) {
        true => Err(Error::invalid_input("is the file that is read, and would be replaced")
            .in_file(output.display())
            .remedy("write to another file")),
        false => Ok(()),
    }
}

/// True when both paths lead to one file.
pub(super) fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b || same_inode(&a, &b),
        _ => false,
    }
}

#[cfg(unix)]
fn same_inode(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_inode(_: &Path, _: &Path) -> bool {
    false
}
