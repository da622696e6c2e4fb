//! A WIM file split into parts that fit somewhere, such as on a FAT32 stick.
//!
//! All parts are written before any of them takes its name. Data is copied as it is; that of solid files is packed anew on
//! the way, each file by itself, since a solid resource cannot be divided.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::open::{Check, open, open_source};
use super::part_set::part_path;
use super::rebuild::IntegrityChoice;
use crate::base::atomic_file::{AtomicFile, FinishedFile, IfExists, StagingFolder, commit_finished};
use crate::base::{Context, Error, PartNumber, ReadAt, Reason, Result, WriteAt};
use crate::formats::wim::WimFile;
use crate::transfer::write::{
    Integrity, PartContents, PartFiles, PartGoal, plan_parts, split_repacked, write_part,
};

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
/// `Unsupported` for a part of a set, `InvalidInput` for no size at all; else what reading and writing
/// give. The folder is then as it was.
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
        let is_first = wim.header().part == PartNumber::FIRST;
        return Err(Error::unsupported("it is a part of a split set already")
            .because(if is_first { Reason::PartOfSet } else { Reason::NotFirstPart })
            .in_file(wim.name())
            .remedy("join the parts first with: wim join OUT.wim PART..."));
    }
    let integrity = integrity.resolve(Some(&wim));
    if wim.table().solid_resources() > 0 {
        return split_solid(cx, &wim, (path, first), size, integrity);
    }
    let parts = planned(&wim, size, integrity)?;
    let total = u16::try_from(parts.len()).map_err(|_| Error::limit("a set has at most 65,535 parts"))?;
    let staging = StagingFolder::beside(first)?;
    let (mut files, mut done) = (Vec::new(), Split { path: path.display().to_string(), parts: Vec::new() });
    for (contents, number) in parts.iter().zip((1u16..).filter_map(PartNumber::new)) {
        let target = part_path(first, number.number());
        let mut file = AtomicFile::create_staged(&target, IfExists::Replace, &staging)?;
        write_part(cx, &wim, contents, (number, total), integrity, &mut file)?;
        cx.cancel.check()?;
        files.push(file.finish()?);
        done.parts.push(SplitPart {
            path: target.display().to_string(),
            file_bytes: contents.file_bytes,
            resources: contents.entries.len(),
        });
        warn_of_large(cx, &target, contents.file_bytes, size);
    }
    take_names(cx, &wim, first, files, &staging)?;
    Ok(done)
}

/// Gives the finished parts their names, all or none.
fn take_names(
    cx: &Context<'_>,
    wim: &WimFile,
    first: &Path,
    mut files: Vec<FinishedFile>,
    staging: &StagingFolder,
) -> Result<()> {
    let total = files.len();
    // The first part is what people open, so it appears last.
    files.reverse();
    commit_finished(files, Some(staging))?;
    if let Some(image) = wim.boot_index().filter(|_| total > 1) {
        let message = format!("image {image} is bootable, which a split set cannot say");
        let remedy = format!("when the parts are joined: wim info FILE {image} --boot");
        cx.progress.warn(&Error::invalid_input(message).in_file(wim.name()).remedy(remedy));
    }
    let next =
        u16::try_from(total + 1).ok().map(|number| part_path(first, number)).filter(|path| path.is_file());
    let left = next.filter(|path| open_source(path, cx).is_ok_and(|wim| wim.header().total_parts > 1));
    if let Some(path) = left {
        let message = "it is a part of an earlier set that had more parts";
        let remedy = "delete it and those behind it, so that nobody takes them for parts of this set";
        cx.progress.warn(&Error::invalid_input(message).in_file(path.display()).remedy(remedy));
    }
    Ok(())
}

/// Splits a file with solid resources.
fn split_solid(
    cx: &Context<'_>,
    wim: &WimFile,
    (path, first): (&Path, &Path),
    size: PartSize,
    integrity: Integrity,
) -> Result<Split> {
    let goal = match size {
        PartSize::Bytes(0) | PartSize::Count(0) => return Err(no_parts()),
        PartSize::Bytes(limit) => PartGoal::Bytes(limit),
        PartSize::Count(count) => PartGoal::Count(count),
    };
    let staging = StagingFolder::beside(first)?;
    let mut files = Files { first, staging: &staging, open: VecDeque::new(), finished: Vec::new() };
    let parts = split_repacked(cx, wim, goal, integrity, &mut files)?;
    cx.cancel.check()?;
    let mut done = Split { path: path.display().to_string(), parts: Vec::new() };
    for (part, number) in parts.iter().zip(1u16..) {
        let target = part_path(first, number);
        warn_of_large(cx, &target, part.file_bytes, size);
        done.parts.push(SplitPart {
            path: target.display().to_string(),
            file_bytes: part.file_bytes,
            resources: part.resources,
        });
    }
    take_names(cx, wim, first, files.finished, &staging)?;
    Ok(done)
}

/// The parts of a solid file. Only those that are being written are open.
struct Files<'p> {
    first: &'p Path,
    staging: &'p StagingFolder,
    open: VecDeque<PartFile>,
    /// In order, from the first part on.
    finished: Vec<FinishedFile>,
}

impl PartFiles for Files<'_> {
    fn begin(&mut self, number: PartNumber) -> Result<Box<dyn WriteAt>> {
        let target = part_path(self.first, number.number());
        let file = PartFile(Arc::new(Mutex::new(AtomicFile::create_staged(
            &target,
            IfExists::Replace,
            self.staging,
        )?)));
        self.open.push_back(file.clone());
        Ok(Box::new(file))
    }

    fn end(&mut self, _: PartNumber) -> Result<()> {
        if let Some(file) = self.open.pop_front() {
            self.finished.push(file.finish()?);
        }
        Ok(())
    }

    fn set_header(&mut self, number: PartNumber, header: &[u8]) -> Result<()> {
        let part = self.finished.get_mut(usize::from(number.number()) - 1);
        part.map_or(Ok(()), |part| part.patch(header, 0))
    }
}

/// The file of a part while the writer has it too.
#[derive(Clone)]
struct PartFile(Arc<Mutex<AtomicFile>>);

impl PartFile {
    /// Closes it; the writer must have let go of it.
    fn finish(self) -> Result<FinishedFile> {
        match Arc::into_inner(self.0) {
            Some(file) => file.into_inner().unwrap_or_else(PoisonError::into_inner).finish(),
            None => Err(Error::invalid_input("the file of a part is still being written")),
        }
    }
}

impl ReadAt for PartFile {
    fn size(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read_exact_at(buf, offset)
    }
}

impl WriteAt for PartFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all_at(bytes, offset)
    }

    fn copy_from(&mut self, source: &File, from: u64, length: u64, to: u64) -> std::io::Result<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).copy_from(source, from, length, to)
    }

    fn set_length(&mut self, bytes: u64) -> std::io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set_length(bytes)
    }
}

fn no_parts() -> Error {
    Error::invalid_input("parts of no size, or no parts, cannot be made")
}

fn warn_of_large(cx: &Context<'_>, target: &Path, file_bytes: u64, size: PartSize) {
    if let PartSize::Bytes(limit) = size
        && file_bytes > limit
    {
        let message = format!(
            "the part has {file_bytes} bytes, more than {limit}: a resource cannot be divided among parts"
        );
        cx.progress.warn(&Error::limit(message).in_file(target.display()));
    }
}

fn planned(wim: &WimFile, size: PartSize, integrity: Integrity) -> Result<Vec<PartContents>> {
    match size {
        PartSize::Bytes(0) | PartSize::Count(0) => Err(no_parts()),
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
