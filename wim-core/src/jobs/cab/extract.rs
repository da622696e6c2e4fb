//! Members of cabinets as files below a folder, or only read and checked.
//!
//! What is there already is an error, kept or replaced, as the caller says. Every name, and what all comes to, is checked before
//! the first file is written, links that lie in the way are not followed, and a file that cannot be finished is removed.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::open::{OpenOptions, open};
use crate::base::atomic_file::folder_of;
use crate::base::windows_name::path_clash;
use crate::base::{Cancel, Context, Error, Place, Result, Stage};
use crate::formats::cab::{Cabinet, Member};
use crate::image::glob::{Case, Glob};
use crate::jobs::archive::{Allowance, member_path};
use crate::jobs::dir::NothingFits;
use crate::transfer::unpack::{MemberSink, Reach, expected_bytes, unpack};

/// Bytes that are worth a write of their own; fewer are gathered first.
const WRITE_BYTES: usize = 16 << 10;
/// Bytes of a member that repeats another which are copied before a cancel is looked for.
const COPY_BYTES: u64 = 1 << 20;

/// What becomes of files that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They are an error, found before anything is written.
    Refuse,
    /// They are replaced.
    Replace,
    /// They are kept, and the member is passed over.
    Keep,
}

/// How much cabinets may unpack to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    /// What an [`Allowance`] of their size says.
    #[default]
    Sane,
    /// Whatever it is.
    None,
}

impl Bound {
    /// Refuses cabinets whose wanted members, by their numbers, take more work or room than is sane.
    fn check<'c>(self, reach: Reach, plans: impl Iterator<Item = (&'c Cabinet, &'c [usize])>) -> Result<()> {
        let (mut stored, mut unpacked, mut members) = (0_u64, 0_u64, 0);
        let mut first = None;
        for (cabinet, wanted) in plans {
            first.get_or_insert(cabinet.name());
            stored = stored.saturating_add(cabinet.stored_bytes());
            let chosen = wanted.iter().filter_map(|&number| cabinet.members().get(number));
            let written = chosen.clone().fold(0, |sum: u64, member| sum.saturating_add(member.size));
            // Folders may share their blocks, and members their data: the larger of what is decoded and written counts.
            let mut folders: Vec<usize> = match reach {
                Reach::Wanted => chosen.map(|member| member.folder).collect(),
                Reach::WholeFolders => (0..cabinet.folders().len()).collect(),
            };
            folders.sort_unstable();
            folders.dedup();
            let folders = folders.iter().filter_map(|&folder| cabinet.folders().get(folder));
            let decoded = folders.fold(0, |sum: u64, folder| sum.saturating_add(folder.max_bytes()));
            unpacked = unpacked.saturating_add(written.max(decoded));
            members += wanted.len();
        }
        match self {
            Self::None => Ok(()),
            Self::Sane => Allowance::of_file(stored).take(members, unpacked).map_err(|e| {
                e.in_file(first.unwrap_or_default())
                    .remedy("if it is no trap, say --any-size, or name the members that are wanted")
            }),
        }
    }
}

/// Which members are extracted, and how.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// How the cabinet is opened.
    pub open: OpenOptions,
    /// Names or patterns with `*` and `?`, in any case; none mean all members.
    pub patterns: Vec<String>,
    /// What becomes of files that exist.
    pub existing: Existing,
    /// How much they may come to.
    pub bound: Bound,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExtractReport {
    /// Members written, or checked.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Members passed over because their files exist.
    pub kept: u64,
}

/// Reads everything in the cabinets of the file at `path`: all data blocks, checksums compared, every member whole.
///
/// # Errors
/// As [`open`] and [`unpack`]; `Limit` for more than `bound`.
pub fn test(cx: &Context<'_>, path: &Path, options: OpenOptions, bound: Bound) -> Result<ExtractReport> {
    let mut report = ExtractReport::default();
    let cabinets = open(cx, path, options)?;
    let all: Vec<Vec<usize>> = cabinets.iter().map(|c| (0..c.members().len()).collect()).collect();
    bound.check(Reach::WholeFolders, cabinets.iter().zip(all.iter().map(Vec::as_slice)))?;
    for (cabinet, all) in cabinets.iter().zip(&all) {
        cx.progress.start(Stage::Verifying, expected_bytes(cabinet, all));
        unpack(cx, cabinet, all, Reach::WholeFolders, &Nowhere)?;
        report.files += all.len() as u64;
        report.bytes += cabinet.members().iter().map(|member| member.size).sum::<u64>();
    }
    Ok(report)
}

/// Members that are only read.
struct Nowhere;

impl MemberSink for Nowhere {
    type Open = ();

    fn begin(&self, _: usize) -> Result<()> {
        Ok(())
    }

    fn write(&self, (): &mut (), _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn finish(&self, (): ()) -> Result<()> {
        Ok(())
    }

    fn repeat(&self, _: usize, _: usize) -> Result<()> {
        Ok(())
    }
}

/// Extracts members of the cabinets of the file at `path` to the folder `target`, which is made if it is missing.
///
/// # Errors
/// `NotFound` when nothing fits a pattern, `InvalidInput` for names that cannot be files below the target and for files that
/// exist, `Limit` for more than the bound: nothing is written then; as [`open`] and [`unpack`]; `Io`.
pub fn extract(
    cx: &Context<'_>,
    path: &Path,
    target: &Path,
    options: &ExtractOptions,
) -> Result<ExtractReport> {
    let cabinets = open(cx, path, options.open)?;
    let chosen = choose(&cabinets, options)?;
    options.bound.check(Reach::Wanted, cabinets.iter().zip(chosen.iter().map(Vec::as_slice)))?;
    let named = paths_of(&cabinets, &chosen)?;
    let mut report = ExtractReport::default();
    let mut plans = Vec::new();
    for (cabinet, paths) in cabinets.iter().zip(named) {
        plans.push(Plan::new(cabinet, paths, target, options.existing, cx.cancel, &mut report)?);
    }
    for (cabinet, plan) in cabinets.iter().zip(plans) {
        cx.progress.start(Stage::Extracting, expected_bytes(cabinet, &plan.wanted));
        plan.folders().into_iter().try_for_each(|folder| make_folder(target, &folder))?;
        unpack(cx, cabinet, &plan.wanted, Reach::Wanted, &plan)?;
        report.files += plan.wanted.len() as u64;
        report.bytes += plan.wanted.iter().filter_map(|&n| Some(cabinet.members().get(n)?.size)).sum::<u64>();
    }
    Ok(report)
}

/// The numbers of the members that fit, by cabinet.
fn choose(cabinets: &[Cabinet], options: &ExtractOptions) -> Result<Vec<Vec<usize>>> {
    let backslashes = |text: &str| text.replace('/', "\\");
    let patterns: Vec<Glob> =
        options.patterns.iter().map(|text| Glob::new(&backslashes(text), Case::Ignored)).collect();
    let mut used = vec![false; patterns.len()];
    let mut chosen = Vec::new();
    for cabinet in cabinets {
        let mut fits = |name: &str| {
            let name: Vec<u16> = backslashes(name).encode_utf16().collect();
            let mut any = patterns.is_empty();
            for (pattern, used) in patterns.iter().zip(&mut used) {
                if pattern.matches(&name) {
                    (any, *used) = (true, true);
                }
            }
            any
        };
        let members = cabinet.members().iter().enumerate();
        chosen.push(members.filter(|(_, member)| fits(&member.name)).map(|(number, _)| number).collect());
    }
    match options.patterns.iter().zip(&used).find(|(_, used)| !**used) {
        Some((pattern, _)) => Err(Error::not_found("no member has this name")
            .at(Place::Path(pattern.clone()))
            .with_source(NothingFits)
            .remedy("list the names with wim cab list")),
        None => Ok(chosen),
    }
}

/// The chosen members of each cabinet with their paths, which can all be files below one folder.
///
/// # Errors
/// `InvalidInput` with the names otherwise.
fn paths_of(cabinets: &[Cabinet], chosen: &[Vec<usize>]) -> Result<Vec<Vec<(usize, String)>>> {
    let mut named = Vec::with_capacity(cabinets.len());
    for (cabinet, numbers) in cabinets.iter().zip(chosen) {
        let members = numbers.iter().filter_map(|&number| Some((number, cabinet.members().get(number)?)));
        let path = |(number, member): (usize, &Member)| Ok((number, member_path(&member.name)?));
        let paths: Result<Vec<_>> = members.map(path).collect();
        named.push(paths.map_err(|e| e.in_file(cabinet.name()))?);
    }
    let Some(clash) = path_clash(named.iter().flatten().map(|(_, path)| path.as_str())) else {
        return Ok(named);
    };
    let file = cabinets.first().map_or("", Cabinet::name);
    Err(Error::invalid_input(format!("of its members, {}", clash.message)).in_file(file).remedy(
        "name the code page of the names with --code-page, or extract the members one by one to folders of their own",
    ))
}

/// Where the members of one cabinet go.
struct Plan<'c> {
    cabinet: &'c Cabinet,
    wanted: Vec<usize>,
    paths: HashMap<usize, PathBuf>,
    existing: Existing,
    cancel: &'c Cancel,
}

impl<'c> Plan<'c> {
    fn new(
        cabinet: &'c Cabinet,
        named: Vec<(usize, String)>,
        target: &Path,
        existing: Existing,
        cancel: &'c Cancel,
        report: &mut ExtractReport,
    ) -> Result<Self> {
        let (mut wanted, mut paths) = (Vec::new(), HashMap::new());
        for (number, path) in named {
            let host_path = path.split('\\').fold(target.to_owned(), |path, part| path.join(part));
            if fs::symlink_metadata(&host_path).is_ok() {
                match existing {
                    Existing::Keep => {
                        report.kept += 1;
                        continue;
                    }
                    Existing::Refuse => {
                        return Err(Error::invalid_input("the file exists already")
                            .in_file(host_path.display())
                            .remedy("replace files with --overwrite, or keep them with --keep"));
                    }
                    Existing::Replace => {}
                }
            }
            wanted.push(number);
            paths.insert(number, host_path);
        }
        Ok(Self { cabinet, wanted, paths, existing, cancel })
    }

    /// The folders of all paths.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> =
            self.paths.values().filter_map(|path| path.parent().map(Path::to_owned)).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    fn path(&self, member: usize) -> Result<&PathBuf> {
        self.paths.get(&member).ok_or_else(|| Error::not_found(format!("there is no member {member}")))
    }
}

/// Makes `folder`, which is `target` or lies below it, without following links below the target.
pub(in crate::jobs) fn make_folder(target: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(target).map_err(|e| Error::io(e, "cannot make the folder", target))?;
    let below = folder.strip_prefix(target).unwrap_or(Path::new(""));
    let mut path = target.to_owned();
    for part in below {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                return Err(Error::invalid_input("is in the way: a folder is to be there, and it is none")
                    .in_file(path.display())
                    .remedy("remove it, or extract to an empty folder"));
            }
            Err(_) => fs::create_dir(&path).map_err(|e| Error::io(e, "cannot make the folder", &path))?,
        }
    }
    Ok(())
}

/// Ends the names of files that wait to replace others; the rest of such a name is made up, and exists nowhere.
const PARTIAL_SUFFIX: &str = ".wim-partial";

/// A file that is being written.
struct OpenFile {
    member: usize,
    file: NewFile,
    waiting: Vec<u8>,
}

/// A new file, which is removed again unless it is kept.
struct NewFile {
    file: fs::File,
    /// Where it is written: its own place, or one beside the file that it replaces.
    path: PathBuf,
    /// The file that it replaces when it is whole.
    replaces: Option<PathBuf>,
    keep: bool,
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.keep {
            // The error that brought us here is the one to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A new file beside `target`, under a name that neither a user nor another member has.
fn new_neighbour(target: &Path) -> Result<(fs::File, PathBuf)> {
    let folder = folder_of(target);
    let cannot = |e: std::io::Error| Error::io(e, "cannot make a file in", &folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(PARTIAL_SUFFIX);
    // Made as any file is, so that the user's umask decides who may read it.
    let made = builder.make_in(&folder, |path| fs::File::create_new(path)).map_err(cannot)?;
    made.keep().map_err(|e| cannot(e.error))
}

impl OpenFile {
    fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.put(&waiting)?;
        self.waiting = waiting;
        self.waiting.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let NewFile { file, path, .. } = &mut self.file;
        file.write_all(bytes).map_err(|e| Error::io(e, "cannot write", path))
    }
}

impl MemberSink for Plan<'_> {
    type Open = OpenFile;

    fn begin(&self, member: usize) -> Result<OpenFile> {
        let target = self.path(member)?.clone();
        let is_replaced = self.existing == Existing::Replace && fs::symlink_metadata(&target).is_ok();
        let (file, path, replaces) = if is_replaced {
            // The old file stays until the new one is whole.
            let (file, path) = new_neighbour(&target)?;
            (file, path, Some(target))
        } else {
            let file = fs::File::create_new(&target).map_err(|e| Error::io(e, "cannot make", &target))?;
            (file, target, None)
        };
        Ok(OpenFile { member, file: NewFile { file, path, replaces, keep: false }, waiting: Vec::new() })
    }

    fn write(&self, open: &mut OpenFile, bytes: &[u8]) -> Result<()> {
        if open.waiting.len() + bytes.len() >= WRITE_BYTES {
            open.flush()?;
            return open.put(bytes);
        }
        open.waiting.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&self, mut open: OpenFile) -> Result<()> {
        open.flush()?;
        let NewFile { file, path, replaces, keep } = &mut open.file;
        let modified =
            self.cabinet.members().get(open.member).and_then(|member| member.modified.to_file_time());
        if let Some(modified) = modified {
            let set = file.set_modified(modified.to_system_time());
            set.map_err(|e| Error::io(e, "cannot set the time of", path))?;
        }
        if let Some(target) = replaces {
            // A link goes, not what it points to.
            fs::rename(&*path, &*target).map_err(|e| Error::io(e, "cannot replace", target))?;
        }
        *keep = true;
        Ok(())
    }

    fn repeat(&self, member: usize, original: usize) -> Result<()> {
        let from = self.path(original)?;
        let mut open = self.begin(member)?;
        let source = fs::File::open(from).map_err(|e| Error::io(e, "cannot open", from))?;
        loop {
            self.cancel.check()?;
            let copied = std::io::copy(&mut (&source).take(COPY_BYTES), &mut open.file.file);
            if copied.map_err(|e| Error::io(e, "cannot copy", from))? == 0 {
                return self.finish(open);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{ErrorKind, Silent};
    use crate::formats::cab::{Attributes, DosTime, FolderCompression, NewMember};
    use crate::image::edit::Content;
    use crate::transfer::pack::{PackInput, pack, plan_folders};

    #[test]
    fn a_cancel_ends_the_copy_of_a_large_member_and_leaves_nothing_of_it() {
        let raised = Cancel::new();
        let member = |name: &str| PackInput {
            member: NewMember {
                name: name.to_owned(),
                size: 1,
                offset: 0,
                folder: 0,
                modified: DosTime::default(),
                attributes: Attributes::default(),
            },
            content: Content::bytes(*b"x"),
        };
        let mut inputs = vec![member("a"), member("b")];
        let folders = plan_folders(&mut inputs, 1 << 20).unwrap();
        let mut bytes = Vec::new();
        pack(&Context::new(&Silent, &raised), &inputs, folders, FolderCompression::Stored, &mut bytes)
            .unwrap();
        let cabinet = Cabinet::open(Arc::new(bytes), "t.cab").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let named = vec![(0, "a".to_owned()), (1, "b".to_owned())];
        let mut report = ExtractReport::default();
        let plan = Plan::new(&cabinet, named, folder.path(), Existing::Refuse, &raised, &mut report).unwrap();
        fs::write(folder.path().join("a"), vec![1; 3 * COPY_BYTES as usize]).unwrap();
        raised.raise();
        assert_eq!(plan.repeat(1, 0).unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(!folder.path().join("b").exists());
    }
}
