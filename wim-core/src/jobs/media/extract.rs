//! Files of a disc as files below a folder of the host, or onto a stream.
//!
//! Each file appears under its name when it is whole. Names that the host refuses, links and devices are left out with a warning;
//! links that lie in the way are not followed. Holes of sparse files stay holes.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::list::{Selection, open_with_inner, walk};
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Context, Error, Extents, Place, ReadAt, Result, Stage, WimString, WriteAt, read_at};
use crate::jobs::cab::make_folder;
use crate::jobs::dir::NothingFits;
use crate::jobs::input::{no_such_file, tell_warnings};
use crate::media::{DiscEntry, EntryKind, IsoImage};
use crate::transfer::host_name::{NameRules, to_host};

pub use crate::jobs::cab::Existing;

/// Bytes that are copied at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// Which files are extracted, and how.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// Which.
    pub selection: Selection,
    /// What becomes of files that exist.
    pub existing: Existing,
}

/// What was extracted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExtractReport {
    /// The target.
    pub target: String,
    /// Directories that now are there.
    pub directories: u64,
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files passed over because they exist.
    pub kept: u64,
    /// Symbolic links and devices left out.
    pub left_out_special: u64,
    /// Names that the host refuses, each with all below it.
    pub left_out_names: u64,
}

/// One thing to be made.
struct Planned {
    entry: DiscEntry,
    path: PathBuf,
}

/// Extracts what is wanted of the disc at `path` to the folder `target`, which is made if it is missing.
///
/// # Errors
/// `NotFound` when nothing fits a path; `InvalidInput` when a file exists and none is to be replaced, found before anything is
/// written, or when two names are one file on this host; what reading gives; `Io`. What was finished before stays.
pub fn extract(
    cx: &Context<'_>,
    path: &Path,
    target: &Path,
    options: &ExtractOptions,
) -> Result<ExtractReport> {
    let (disc, inner) = open_with_inner(path, cx)?;
    let mut report = ExtractReport { target: target.display().to_string(), ..ExtractReport::default() };
    let plan = plan(cx, &disc, inner.as_deref(), target, options, &mut report)?;
    let total = plan.iter().filter(|one| one.entry.kind == EntryKind::File).map(|one| one.entry.size).sum();
    cx.progress.start(Stage::Extracting, total);
    for one in &plan {
        cx.cancel.check()?;
        if one.entry.kind == EntryKind::Directory {
            make_folder(target, &one.path)?;
            report.directories += 1;
            continue;
        }
        make_folder(target, one.path.parent().unwrap_or(target))?;
        write_file(cx, &disc, one, options.existing)?;
        report.files += 1;
        report.bytes += one.entry.size;
    }
    Ok(report)
}

/// What is to be made, each directory before what it holds; nothing is written yet.
fn plan(
    cx: &Context<'_>,
    disc: &IsoImage,
    inner: Option<&str>,
    target: &Path,
    options: &ExtractOptions,
    report: &mut ExtractReport,
) -> Result<Vec<Planned>> {
    let rules = NameRules::of_this_host();
    let (mut plan, mut taken) = (Vec::new(), HashSet::new());
    walk(cx, disc, inner, &options.selection, &mut |path, entry| {
        let Some(host_path) = host_path(target, path, rules) else {
            report.left_out_names += 1;
            let error = Error::unsupported("this system has no files of such a name; it was left out");
            cx.progress.warn(&error.at(Place::Path(path.to_owned())).in_file(disc.name()));
            return Ok(());
        };
        if matches!(entry.kind, EntryKind::SymbolicLink | EntryKind::Other) {
            report.left_out_special += 1;
            let error = Error::unsupported("a link or a device; it was left out");
            cx.progress.warn(&error.at(Place::Path(path.to_owned())).in_file(disc.name()));
            return Ok(());
        }
        let key = if rules == NameRules::Windows { path.to_lowercase() } else { path.to_owned() };
        if !taken.insert(key) {
            return Err(Error::invalid_input("two names on the disc would be the same file here")
                .at(Place::Path(path.to_owned()))
                .in_file(disc.name())
                .remedy("extract the files one by one, by their paths"));
        }
        let exists = fs::symlink_metadata(&host_path).ok();
        if let Some(metadata) = exists.filter(|_| entry.kind == EntryKind::File) {
            let is_file = metadata.is_file();
            match options.existing {
                Existing::Keep => {
                    report.kept += 1;
                    return Ok(());
                }
                Existing::Replace if is_file => {}
                Existing::Replace | Existing::Refuse => {
                    return Err(Error::invalid_input(if is_file { "the file exists already" } else { "is in the way and no file" })
                        .in_file(host_path.display())
                        .remedy("replace files with --overwrite, keep them with --keep, or extract to an empty folder"));
                }
            }
        }
        plan.push(Planned { entry: entry.clone(), path: host_path });
        Ok(())
    })?;
    Ok(plan)
}

/// Where a path of the disc goes; none when the host refuses one of its names.
fn host_path(target: &Path, path: &str, rules: NameRules) -> Option<PathBuf> {
    let mut host_path = target.to_owned();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let units = WimString::from(name);
        if !rules.allow(&units) {
            return None;
        }
        host_path.push(to_host(&units));
    }
    Some(host_path)
}

fn write_file(cx: &Context<'_>, disc: &IsoImage, one: &Planned, existing: Existing) -> Result<()> {
    let content = disc.content(&one.entry)?;
    let if_exists = if existing == Existing::Replace { IfExists::Replace } else { IfExists::Refuse };
    let mut file = AtomicFile::create(&one.path, if_exists)?;
    let failed = |e| Error::io(e, "cannot write", &one.path);
    copy(cx, disc, &content, &mut |bytes, at| file.write_all_at(bytes, at).map_err(failed))?;
    file.set_length(content.size()).map_err(failed)?;
    if let Some(modified) = one.entry.modified {
        file.file()
            .set_modified(modified.to_system_time())
            .map_err(|e| Error::io(e, "cannot set the time of", &one.path))?;
    }
    file.commit()
}

/// Gives the recorded bytes of a file to `put`, with their offsets; holes are passed over.
fn copy(
    cx: &Context<'_>,
    disc: &IsoImage,
    content: &Extents,
    put: &mut dyn FnMut(&[u8], u64) -> Result<()>,
) -> Result<()> {
    let mut block = vec![0; BLOCK_BYTES.min(usize::try_from(content.size()).unwrap_or(BLOCK_BYTES))];
    let mut start = 0;
    for piece in content.pieces() {
        let (mut at, end) = (start, start + piece.length);
        while at < end && piece.place.is_some() {
            cx.cancel.check()?;
            let length = usize::try_from(end - at).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
            let part = block.get_mut(..length).unwrap_or_default();
            read_at::read_exact_at(content, part, at).map_err(|e| e.in_file(disc.name()))?;
            put(part, at)?;
            cx.progress.advance(length as u64);
            at += length as u64;
        }
        start = end;
    }
    Ok(())
}

/// Writes the bytes of one file of the disc at `path` to `out`; `inner` is its path unless that stands in `path` already.
///
/// # Errors
/// `NotFound` when it is not there, `InvalidInput` when it is no file or none is named; what reading and writing give.
pub fn cat(cx: &Context<'_>, path: &Path, inner: Option<&str>, out: &mut dyn Write) -> Result<u64> {
    let (disc, named) = open_with_inner(path, cx)?;
    let inner = match (inner, named) {
        (Some(inner), None) => inner.to_owned(),
        (None, Some(named)) => named,
        (None, None) => {
            return Err(Error::invalid_input("no file of the disc was named").in_file(disc.name()));
        }
        (Some(_), Some(_)) => {
            return Err(Error::invalid_input("two files were named").in_file(path.display()));
        }
    };
    let found = disc.find(&inner);
    tell_warnings(&disc, cx);
    let entry = found?.ok_or_else(|| no_such_file(&disc, &inner).with_source(NothingFits))?;
    let content = disc.content(&entry)?;
    cx.progress.start(Stage::Extracting, content.size());
    let failed = |e: std::io::Error| {
        Error::new(crate::base::ErrorKind::Io, format!("cannot write: {e}"))
            .in_file("standard output")
            .with_source(e)
    };
    let zeros = [0; 4096];
    let mut written = 0;
    let fill = |to: u64, written: &mut u64, out: &mut dyn Write| -> Result<()> {
        while *written < to {
            cx.cancel.check()?;
            let length = (to - *written).min(zeros.len() as u64);
            let part = zeros.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
            out.write_all(part).map_err(failed)?;
            *written += length;
        }
        Ok(())
    };
    copy(cx, &disc, &content, &mut |bytes, at| {
        fill(at, &mut written, out)?;
        out.write_all(bytes).map_err(failed)?;
        written += bytes.len() as u64;
        Ok(())
    })?;
    fill(content.size(), &mut written, out)?;
    Ok(written)
}
