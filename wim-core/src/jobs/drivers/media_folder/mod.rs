//! Drivers beside the images of a medium: its folder `$WinPEDriver$`, which Setup loads and installs from (level M).
//!
//! Source: drivers.md 3.5. `servicing` says what goes there; here it is written. The folder is as it was or wholly changed: packages
//! are written beside their places, what goes is moved beside them, and a record (`wim.drivers.json`) says which files were added,
//! so that a removal takes those and nothing else. Images and the answer file are not touched.

mod litter;
mod moves;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

use self::moves::Moves;
use self::record::{Record, RecordedDriver, RecordedFile};
use super::look::windows_of;
use super::places::{child, wims_of_medium};
use super::{Mode, sources};
use crate::base::read_at::read_exact_at;
use crate::base::windows_name::path_fault;
use crate::base::{Context, Error, FileSource, FileTime, ReadAt, Result, Sha1Digest, Sha1Hasher};
use crate::jobs::archive::Scratch;
use crate::jobs::dir::NothingFits;
use crate::jobs::registry::Target;
use crate::servicing::drivers::DriverOptions;
use crate::servicing::drivers::media_folder::{FOLDER, MediaFile, MediaOutcome, MediaReport, plan_media};
use crate::servicing::package_files::PackageFiles;

/// What is done to the folder of a medium.
#[derive(Clone, Debug)]
pub enum MediaFolderWork {
    /// Packages are put there.
    Add {
        /// Where they are.
        packages: Vec<PathBuf>,
        /// Which go there.
        options: Box<DriverOptions>,
    },
    /// What was put there goes again.
    Remove {
        /// Names of INFs or of folders.
        names: Vec<String>,
    },
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct MediaFolderReport {
    /// Nothing was written, this is the plan.
    pub dry_run: bool,
    /// The folder differs from before.
    pub changed: bool,
    /// The folder.
    pub folder: String,
    /// What became of each package that was to be added.
    pub packages: Vec<MediaReport>,
    /// Folders that went.
    pub removed: Vec<String>,
    /// Names of drivers to remove that are not there.
    pub missing: Vec<String>,
    /// What else is to be known.
    pub warnings: Vec<String>,
}

/// Does `work` on the folder of the medium at `medium`.
///
/// # Errors
/// `NotFound` when it is no medium, or has none of the drivers to remove; what opening packages and images gives; `Io`. A
/// package that cannot go there is reported, not an error.
pub fn media_folder(
    cx: &Context<'_>,
    medium: &Path,
    work: &MediaFolderWork,
    mode: Mode,
) -> Result<MediaFolderReport> {
    let root = child(medium, FOLDER)?.unwrap_or_else(|| medium.join(FOLDER));
    let mut report = MediaFolderReport {
        dry_run: mode == Mode::DryRun,
        changed: false,
        folder: root.display().to_string(),
        packages: Vec::new(),
        removed: Vec::new(),
        missing: Vec::new(),
        warnings: Vec::new(),
    };
    let folder = Folder { record: Record::read(&root)?, root, mode };
    if mode == Mode::Write {
        litter::clear(&folder.root);
    }
    match work {
        MediaFolderWork::Add { packages, options } => {
            let wims = wims_of_medium(medium)?;
            let targets: Vec<Target> =
                wims.into_iter().map(|path| Target { path, ..Target::default() }).collect();
            let windows = windows_of(cx, &targets)?;
            let scratch = match mode {
                Mode::Write => Scratch::on_disk(medium),
                Mode::DryRun => Scratch::beside(cx, &medium.join(FOLDER)),
            };
            let sources = sources::open_all(cx, packages, &scratch)?;
            let sources: Vec<&dyn PackageFiles> = sources.iter().map(AsRef::as_ref).collect();
            let plan = plan_media(&sources, &windows, options, cx.cancel)?;
            folder.add(cx, &plan.reports, &plan.files, &mut report)?;
            report.packages = plan.reports;
        }
        MediaFolderWork::Remove { names } => folder.remove(cx, names, &mut report)?,
    }
    Ok(report)
}

/// The folder, and what is on record of it.
struct Folder {
    root: PathBuf,
    record: Record,
    mode: Mode,
}

/// A package that waits beside the place it goes to.
struct Waiting {
    temporary: TempDir,
    recorded: RecordedDriver,
    /// Paths of files that go into a folder which is there and lacks them; none for a folder that gets its name as a whole.
    fills: Option<Vec<String>>,
}

impl Folder {
    /// Writes all packages beside their places, then the record, which may name more than is there, then gives them their names.
    fn add(
        &self,
        cx: &Context<'_>,
        packages: &[MediaReport],
        files: &[MediaFile],
        report: &mut MediaFolderReport,
    ) -> Result<()> {
        // A folder that was made for this goes after all that waits in it.
        let _root = (!self.root.exists()).then_some(RemovedWhenEmpty(&self.root));
        let mut waiting: Vec<Waiting> = Vec::new();
        for package in packages {
            let MediaOutcome::Placed { folder, .. } = &package.outcome else { continue };
            let Some((_, name)) = folder.split_once('\\') else { continue };
            let mut own = files_of(folder, files);
            // The name has a hash of the files, so an equal one is the same package.
            let place = self.root.join(name);
            let is_there = place.exists();
            if is_there {
                own = lacking(cx, &place, own)?;
                if own.is_empty() {
                    report.warnings.push(format!("{name} is there already"));
                    continue;
                }
                let names: Vec<&str> = own.iter().map(|(path, _)| *path).collect();
                report.warnings.push(format!(
                    "{name} is there already, but not as it was put there: written again: {}",
                    names.join(", ")
                ));
            }
            let inf = package.inf.rsplit('\\').next().unwrap_or_default();
            let others = self.record.drivers.iter().chain(waiting.iter().map(|other| &other.recorded));
            for other in others.filter(|other| other.inf.eq_ignore_ascii_case(inf) && other.folder != name) {
                report.warnings.push(format!(
                    "{} has another version of {inf}; Setup loads the first that it finds, so remove one of them",
                    other.folder
                ));
            }
            report.changed = true;
            if self.mode == Mode::DryRun {
                continue;
            }
            let (temporary, mut files) = self.write_package(cx, own.into_iter())?;
            let mut fills = None;
            if is_there {
                let written: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
                let known = self.record.drivers.iter().find(|other| other.folder.eq_ignore_ascii_case(name));
                let known = known.map(|driver| driver.files.as_slice()).unwrap_or_default();
                files.extend(known.iter().filter(|file| !written.contains(&file.path)).cloned());
                fills = Some(written);
            }
            let (folder, inf) = (name.to_owned(), inf.to_owned());
            let recorded = RecordedDriver { folder, inf, version: package.version.clone(), files };
            waiting.push(Waiting { temporary, recorded, fills });
        }
        cx.cancel.check()?;
        self.commit(waiting)
    }

    fn commit(&self, waiting: Vec<Waiting>) -> Result<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let mut record = self.record.clone();
        for Waiting { recorded, .. } in &waiting {
            record.drivers.retain(|other| !other.folder.eq_ignore_ascii_case(&recorded.folder));
            record.drivers.push(recorded.clone());
        }
        record.write(&self.root)?;
        let mut moves = Moves::default();
        let named = waiting.iter().try_for_each(|Waiting { temporary, recorded, fills }| {
            let place = self.root.join(&recorded.folder);
            match fills {
                Some(paths) => fill(&mut moves, temporary.path(), &place, paths),
                None => moves.rename(temporary.path(), &place),
            }
        });
        match named {
            Ok(()) => {
                let named = waiting.into_iter().filter(|done| done.fills.is_none());
                named.for_each(|done| drop(done.temporary.keep()));
            }
            Err(e) => {
                let error = moves.take_back(e);
                // A record that names too much harms nobody; that is all that is left when this fails.
                let _ = self.record.write(&self.root);
                return Err(error);
            }
        }
        Ok(())
    }

    /// A folder beside those of the drivers, on the same disk.
    fn temporary(&self) -> Result<TempDir> {
        let cannot = |e| Error::io(e, "cannot make a folder in", &self.root);
        fs::create_dir_all(&self.root).map_err(cannot)?;
        let mut builder = tempfile::Builder::new();
        let prefix = litter::prefix();
        builder.prefix(&prefix).suffix(litter::SUFFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As a plain folder: the user's umask decides.
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        builder.tempdir_in(&self.root).map_err(cannot)
    }

    /// Writes the files of a package into a folder that has not its name yet.
    fn write_package<'f>(
        &self,
        cx: &Context<'_>,
        files: impl Iterator<Item = (&'f str, &'f MediaFile)>,
    ) -> Result<(TempDir, Vec<RecordedFile>)> {
        let temporary = self.temporary()?;
        let mut recorded = Vec::new();
        for (path, file) in files {
            if let Some(fault) = path_fault(path) {
                let message = format!("the path {path:?} of a driver's file {fault}");
                return Err(Error::invalid_input(message)
                    .remedy("the package is made to do harm; get it from its vendor"));
            }
            let target = below(temporary.path(), path);
            let sha1 = write_file(cx, &target, file)?.to_string();
            recorded.push(RecordedFile { path: path.to_owned(), sha1 });
        }
        Ok((temporary, recorded))
    }

    /// Moves what goes to one folder beside the others, then writes the record, and deletes last.
    fn remove(&self, cx: &Context<'_>, names: &[String], report: &mut MediaFolderReport) -> Result<()> {
        let is_meant = |driver: &RecordedDriver, name: &str| {
            driver.inf.eq_ignore_ascii_case(name) || driver.folder.eq_ignore_ascii_case(name)
        };
        let drivers = &self.record.drivers;
        report.missing =
            names.iter().filter(|name| !drivers.iter().any(|d| is_meant(d, name))).cloned().collect();
        if report.missing.len() == names.len() {
            let there: Vec<&str> = drivers.iter().map(|driver| driver.inf.as_str()).collect();
            let there = if there.is_empty() { "none was added".to_owned() } else { there.join(", ") };
            let message = format!("no such driver was put there: {} ({there})", names.join(", "));
            let error = Error::not_found(message).with_source(NothingFits).in_file(self.root.display());
            return Err(error.remedy("name one of those, by its INF or its folder"));
        }
        let (gone, stay): (Vec<_>, Vec<_>) =
            drivers.iter().cloned().partition(|driver| names.iter().any(|name| is_meant(driver, name)));
        let (mut going, mut stay) = (Vec::new(), stay);
        for driver in gone {
            let (paths, changed) = self.going(cx, &driver, &mut report.warnings)?;
            going.extend(paths);
            match changed.is_empty() {
                true => report.removed.push(driver.folder),
                // What stays of it is on record still, to be removed when somebody has seen to it.
                false => stay.push(RecordedDriver { files: changed, ..driver }),
            }
        }
        report.changed = !going.is_empty() || !report.removed.is_empty();
        cx.cancel.check()?;
        if self.mode == Mode::DryRun || !report.changed {
            return Ok(());
        }
        self.take_away(&going, &Record { drivers: stay }, report)
    }

    /// What of a driver goes: its whole folder, or those of its files that are still as they were written; and its files that stay.
    fn going(
        &self,
        cx: &Context<'_>,
        driver: &RecordedDriver,
        warnings: &mut Vec<String>,
    ) -> Result<(Vec<PathBuf>, Vec<RecordedFile>)> {
        let root = self.root.join(&driver.folder);
        let (mut unchanged, mut changed) = (BTreeSet::new(), Vec::new());
        for file in &driver.files {
            let path = below(&root, &file.path);
            match fs::symlink_metadata(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Ok(metadata) if metadata.is_file() && sha1_of(cx, &path)?.to_string() == file.sha1 => {
                    unchanged.insert(path);
                }
                _ => {
                    warnings.push(format!("{} was changed since and stays", path.display()));
                    changed.push(file.clone());
                }
            }
        }
        let is_all = has_nothing_but(&root, &unchanged);
        Ok((if is_all { vec![root] } else { unchanged.into_iter().collect() }, changed))
    }

    fn take_away(&self, going: &[PathBuf], stay: &Record, report: &mut MediaFolderReport) -> Result<()> {
        let temporary = self.temporary()?;
        let mut moves = Moves::default();
        let moved = going
            .iter()
            .enumerate()
            .try_for_each(|(number, path)| moves.rename(path, &temporary.path().join(number.to_string())));
        if let Err(e) = moved.and_then(|()| stay.write(&self.root)) {
            return Err(moves.take_back(e));
        }
        // It is done; what cannot be deleted now is litter and no driver of the record.
        let litter = temporary.path().display().to_string();
        if let Err(e) = temporary.close() {
            report.warnings.push(format!("{litter} could not be deleted: {e}; delete it"));
        }
        for path in going {
            // Folders that are empty now; one that holds something else stays, and so do those above it.
            let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.root));
            above.for_each(|folder| drop(fs::remove_dir(folder)));
        }
        let _ = fs::remove_dir(&self.root);
        Ok(())
    }
}

/// The files of the package that goes to `folder`, by their paths below it.
fn files_of<'f>(folder: &str, files: &'f [MediaFile]) -> Vec<(&'f str, &'f MediaFile)> {
    let below = |file: &'f MediaFile| Some((file.path.strip_prefix(folder)?.strip_prefix('\\')?, file));
    files.iter().filter_map(below).collect()
}

/// Those of a package's files that are not in its folder as they should be.
fn lacking<'f>(
    cx: &Context<'_>,
    place: &Path,
    files: Vec<(&'f str, &'f MediaFile)>,
) -> Result<Vec<(&'f str, &'f MediaFile)>> {
    let mut lacking = Vec::new();
    for (path, file) in files {
        let at = below(place, path);
        let is_same = fs::symlink_metadata(&at)
            .is_ok_and(|there| there.is_file() && there.len() == file.size)
            && sha1_of(cx, &at)? == file.sha1;
        if !is_same {
            lacking.push((path, file));
        }
    }
    Ok(lacking)
}

/// Moves files into a folder that is there, and what lies in their places to where they waited.
fn fill(moves: &mut Moves, waited: &Path, place: &Path, paths: &[String]) -> Result<()> {
    for (number, path) in paths.iter().enumerate() {
        let target = below(place, path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io(e, "cannot make the folder", parent))?;
        }
        if fs::symlink_metadata(&target).is_ok() {
            moves.rename(&target, &waited.join(format!("{number}.replaced")))?;
        }
        moves.rename(&below(waited, path), &target)?;
    }
    Ok(())
}

/// Removes a folder when it is empty at the end.
struct RemovedWhenEmpty<'p>(&'p Path);

impl Drop for RemovedWhenEmpty<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0);
    }
}

/// `path`, which has backslashes, below a folder of the host.
fn below(folder: &Path, path: &str) -> PathBuf {
    path.split('\\').fold(folder.to_owned(), |at, part| at.join(part))
}

/// True when a folder holds these files, the folders above them, and nothing else.
fn has_nothing_but(root: &Path, files: &BTreeSet<PathBuf>) -> bool {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { return false };
        let mut is_empty = true;
        for entry in entries {
            is_empty = false;
            let Ok(entry) = entry else { return false };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if files.contains(&entry.path()) => {}
                _ => return false,
            }
        }
        if is_empty {
            return false;
        }
    }
    true
}

/// The digest of a file of the host.
fn sha1_of(cx: &Context<'_>, path: &Path) -> Result<Sha1Digest> {
    copy(cx, &FileSource::open(path)?, &mut std::io::sink(), path)
}

/// Writes a file of the medium; its digest.
fn write_file(cx: &Context<'_>, path: &Path, file: &MediaFile) -> Result<Sha1Digest> {
    let cannot = |e| Error::io(e, "cannot write", path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(cannot)?;
    }
    let mut out = fs::File::create_new(path).map_err(cannot)?;
    let source = file.content.open()?;
    let source = source.ok_or_else(|| Error::not_found("a package's file is no blob of an image"))?;
    let digest = copy(cx, &*source, &mut out, path)?;
    if let Some(time) = file.last_write.filter(|time| *time != FileTime::default()) {
        out.set_modified(time.to_system_time()).map_err(cannot)?;
    }
    Ok(digest)
}

/// Copies `source` to `out`, a block at a time; the digest of all.
fn copy(cx: &Context<'_>, source: &dyn ReadAt, out: &mut dyn Write, path: &Path) -> Result<Sha1Digest> {
    const BLOCK_BYTES: usize = 1 << 20;
    let (mut hasher, mut offset) = (Sha1Hasher::new(), 0);
    let mut block = vec![0; usize::try_from(source.size()).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES)];
    while offset < source.size() {
        cx.cancel.check()?;
        let length = usize::try_from(source.size() - offset).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        let Some(piece) = block.get_mut(..length) else { break };
        read_exact_at(source, piece, offset).map_err(|e| e.in_file(path.display()))?;
        hasher.update(piece);
        out.write_all(piece).map_err(|e| Error::io(e, "cannot write", path))?;
        offset += length as u64;
    }
    cx.cancel.check()?;
    Ok(hasher.finish())
}
