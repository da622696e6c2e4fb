//! A WIM file split into parts that fit somewhere, such as on a FAT32 stick.
//!
//! All parts are written before any of them takes its name. Data is copied as it is.

use std::path::Path;

use serde::Serialize;

use super::open::{Check, open};
use super::part_set::part_path;
use super::rebuild::IntegrityChoice;
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Context, Error, PartNumber, Result};
use crate::formats::wim::WimFile;
use crate::transfer::write::{Integrity, PartContents, plan_parts, write_part};

/// How large the parts become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartSize {
    /// At most so many bytes each, unless a single resource is larger.
    Bytes(u64),
    /// About equally large, and at most so many.
    Count(u16),
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct Split {
    /// The file that was split.
    pub path: String,
    /// The parts in order.
    pub parts: Vec<SplitPart>,
}

/// One part.
#[derive(Clone, Debug, Serialize)]
pub struct SplitPart {
    /// The file.
    pub path: String,
    /// Its bytes.
    pub file_bytes: u64,
    /// Resources in it.
    pub resources: usize,
}

/// Splits the file at `path` into `first` and its numbered neighbours, replacing files of those names.
///
/// # Errors
/// `Unsupported` for a part of a set and for solid files, `InvalidInput` for no size at all; else what reading and writing
/// give. Nothing has its name then, unless renaming itself fails.
pub fn run(
    cx: &Context<'_>,
    path: &Path,
    first: &Path,
    size: PartSize,
    integrity: IntegrityChoice,
    check: Check,
) -> Result<Split> {
    let wim = open(path, check, cx)?;
    if wim.header().total_parts > 1 {
        return Err(Error::unsupported("it is a part of a split set already")
            .in_file(wim.name())
            .remedy("join the parts first with: wim join OUT.wim PART..."));
    }
    let integrity = integrity.resolve(Some(&wim));
    let parts = planned(&wim, size, integrity)?;
    let total = u16::try_from(parts.len()).map_err(|_| Error::limit("a set has at most 65,535 parts"))?;
    let (mut files, mut done) = (Vec::new(), Split { path: path.display().to_string(), parts: Vec::new() });
    for (contents, number) in parts.iter().zip((1u16..).filter_map(PartNumber::new)) {
        let target = part_path(first, number.number());
        let mut file = AtomicFile::create(&target, IfExists::Replace)?;
        write_part(cx, &wim, contents, (number, total), integrity, &mut file)?;
        cx.cancel.check()?;
        files.push(file);
        done.parts.push(SplitPart {
            path: target.display().to_string(),
            file_bytes: contents.file_bytes,
            resources: contents.entries.len(),
        });
        warn_of_large(cx, &target, contents, size);
    }
    // The first part is what people open, so it appears last.
    files.into_iter().rev().try_for_each(AtomicFile::commit)?;
    Ok(done)
}

fn warn_of_large(cx: &Context<'_>, target: &Path, contents: &PartContents, size: PartSize) {
    if let PartSize::Bytes(limit) = size
        && contents.file_bytes > limit
    {
        let message = format!(
            "the part has {} bytes, more than {limit}: a resource cannot be divided among parts",
            contents.file_bytes
        );
        cx.progress.warn(&Error::limit(message).in_file(target.display()));
    }
}

fn planned(wim: &WimFile, size: PartSize, integrity: Integrity) -> Result<Vec<PartContents>> {
    match size {
        PartSize::Bytes(0) | PartSize::Count(0) => {
            Err(Error::invalid_input("parts of no size, or no parts, cannot be made"))
        }
        PartSize::Bytes(limit) => plan_parts(wim, limit, integrity),
        PartSize::Count(count) => {
            // The smallest limit that gives so few parts; the number of parts falls as the limit grows.
            let (mut low, mut high) = (1u64, wim.source().size().saturating_mul(2).max(2));
            while low < high {
                let middle = low + (high - low) / 2;
                match plan_parts(wim, middle, integrity) {
                    Ok(parts) if parts.len() <= usize::from(count) => high = middle,
                    Err(e) if e.kind() != crate::base::ErrorKind::Limit => return Err(e),
                    _ => low = middle + 1,
                }
            }
            plan_parts(wim, high, integrity)
        }
    }
}
