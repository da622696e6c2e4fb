//! Drivers beside the images of a medium: its folder `$WinPEDriver$`, which Setup loads and installs from (level M).
//!
//! Source: drivers.md 3.5. `servicing` says what goes there; here it is written, package by package, each in a folder that
//! appears when it is whole. A record in the folder (`wim.drivers.json`) says which files were added, so that a removal takes
//! those and nothing else; images and the answer file are not touched.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::look::windows_of;
use super::places::{child, wims_of_medium};
use super::{Mode, sources};
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::windows_name::path_fault;
use crate::base::{Context, Error, FileTime, Result, Sha1Digest};
use crate::jobs::archive::Scratch;
use crate::jobs::dir::NothingFits;
use crate::jobs::registry::Target;
use crate::servicing::drivers::DriverOptions;
use crate::servicing::drivers::media_folder::{FOLDER, MediaFile, MediaOutcome, MediaReport, plan_media};
use crate::servicing::package_files::PackageFiles;

/// Name of the record inside the folder.
const RECORD: &str = "wim.drivers.json";
/// Largest record that is read; one line of it has some hundred bytes.
const MAX_RECORD_BYTES: u64 = 64 << 20;
/// Largest file of a driver package; the largest known, of graphics adapters, have 200 MB.
const MAX_FILE_BYTES: u64 = 1 << 30;

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

/// What a record keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    drivers: Vec<RecordedDriver>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedDriver {
    /// Name of its folder.
    folder: String,
    inf: String,
    version: Option<String>,
    files: Vec<RecordedFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedFile {
    /// Path below its folder, with backslashes.
    path: String,
    sha1: String,
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
    let mut folder = Folder { record: read_record(&root)?, root, mode };
    match work {
        MediaFolderWork::Add { packages, options } => {
            let wims = wims_of_medium(medium)?;
            let targets: Vec<Target> = wims.into_iter().map(|path| Target { path, image: None }).collect();
            let windows = windows_of(cx, &targets)?;
            let sources = sources::open_all(cx, packages, &Scratch::on_disk(medium))?;
            let sources: Vec<&dyn PackageFiles> = sources.iter().map(AsRef::as_ref).collect();
            let plan = plan_media(&sources, &windows, options, cx.cancel)?;
            folder.add(cx, &plan.reports, &plan.files, &mut report)?;
            report.packages = plan.reports;
        }
        MediaFolderWork::Remove { names } => folder.remove(cx, names, &mut report)?,
    }
    if report.changed && mode == Mode::Write {
        folder.finish()?;
    }
    Ok(report)
}

fn read_record(root: &Path) -> Result<Record> {
    let path = root.join(RECORD);
    let Ok(metadata) = fs::metadata(&path) else { return Ok(Record::default()) };
    let damaged = |why: String| {
        Error::new(crate::base::ErrorKind::Format, why)
            .in_file(path.display())
            .remedy("delete this record; what it names is then nobody's to remove")
    };
    if metadata.len() > MAX_RECORD_BYTES {
        return Err(damaged(format!("a record of {} bytes, more than {MAX_RECORD_BYTES}", metadata.len())));
    }
    let bytes = fs::read(&path).map_err(|e| Error::io(e, "cannot read", &path))?;
    let record: Record = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    // The record lies on a medium that anybody may have written.
    for driver in &record.drivers {
        for path in driver.files.iter().map(|file| &file.path).chain([&driver.folder]) {
            if let Some(fault) = path_fault(path) {
                return Err(damaged(format!("the path {path:?} {fault}")));
            }
        }
    }
    Ok(record)
}

struct Folder {
    root: PathBuf,
    record: Record,
    mode: Mode,
}

impl Folder {
    fn add(
        &mut self,
        cx: &Context<'_>,
        packages: &[MediaReport],
        files: &[MediaFile],
        report: &mut MediaFolderReport,
    ) -> Result<()> {
        let mut finished = Vec::new();
        for package in packages {
            let MediaOutcome::Placed { folder, .. } = &package.outcome else { continue };
            let Some((_, name)) = folder.split_once('\\') else { continue };
            // The name has a hash of the files, so an equal one is the same package.
            if self.root.join(name).exists() {
                report.warnings.push(format!("{name} is there already"));
                continue;
            }
            let inf = package.inf.rsplit('\\').next().unwrap_or_default();
            for other in self.record.drivers.iter().filter(|other| other.inf.eq_ignore_ascii_case(inf)) {
                report.warnings.push(format!(
                    "{} has another version of {inf}; Setup loads the first that it finds, so remove one of them",
                    other.folder
                ));
            }
            report.changed = true;
            let own = files.iter().filter_map(|file| {
                let path = file.path.strip_prefix(folder.as_str())?.strip_prefix('\\')?;
                Some((path, file))
            });
            let (temporary, recorded) = match self.mode {
                Mode::Write => self.write_package(cx, own)?,
                Mode::DryRun => continue,
            };
            finished.push((temporary, name.to_owned()));
            self.record.drivers.push(RecordedDriver {
                folder: name.to_owned(),
                inf: inf.to_owned(),
                version: package.version.clone(),
                files: recorded,
            });
        }
        cx.cancel.check()?;
        for (temporary, name) in finished {
            let (path, target) = (temporary.keep(), self.root.join(name));
            fs::rename(&path, &target)
                .map_err(|e| Error::io(e, "cannot rename the finished folder to", &target))?;
        }
        Ok(())
    }

    /// Writes the files of a package into a folder that has not its name yet.
    fn write_package<'f>(
        &self,
        cx: &Context<'_>,
        files: impl Iterator<Item = (&'f str, &'f MediaFile)>,
    ) -> Result<(tempfile::TempDir, Vec<RecordedFile>)> {
        let cannot = |e| Error::io(e, "cannot make a folder in", &self.root);
        fs::create_dir_all(&self.root).map_err(cannot)?;
        let temporary =
            tempfile::Builder::new().prefix(".").suffix(".wim-tmp").tempdir_in(&self.root).map_err(cannot)?;
        let mut recorded = Vec::new();
        for (path, file) in files {
            cx.cancel.check()?;
            if let Some(fault) = path_fault(path) {
                let message = format!("the path {path:?} of a driver's file {fault}");
                return Err(Error::invalid_input(message)
                    .remedy("the package is made to do harm; get it from its vendor"));
            }
            let bytes = file.content.read(MAX_FILE_BYTES)?;
            let target = path.split('\\').fold(temporary.path().to_owned(), |at, part| at.join(part));
            write_file(&target, &bytes, file.last_write)
                .map_err(|e| Error::io(e, "cannot write", &target))?;
            recorded.push(RecordedFile { path: path.to_owned(), sha1: Sha1Digest::of(&bytes).to_string() });
        }
        Ok((temporary, recorded))
    }

    fn remove(&mut self, cx: &Context<'_>, names: &[String], report: &mut MediaFolderReport) -> Result<()> {
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
            return Err(Error::not_found(message).with_source(NothingFits).in_file(self.root.display()));
        }
        let (gone, stay) = std::mem::take(&mut self.record.drivers)
            .into_iter()
            .partition(|driver| names.iter().any(|name| is_meant(driver, name)));
        self.record.drivers = stay;
        report.changed = true;
        let gone: Vec<RecordedDriver> = gone;
        for driver in gone {
            cx.cancel.check()?;
            if self.mode == Mode::Write {
                self.remove_package(&driver, &mut report.warnings)?;
            }
            report.removed.push(driver.folder);
        }
        Ok(())
    }

    /// Removes the files that are still as they were written, and the folders that are empty then.
    fn remove_package(&self, driver: &RecordedDriver, warnings: &mut Vec<String>) -> Result<()> {
        let root = self.root.join(&driver.folder);
        let mut folders = vec![root.clone()];
        for file in &driver.files {
            let path = file.path.split('\\').fold(root.clone(), |at, part| at.join(part));
            let mut above = path.parent();
            while let Some(folder) = above.filter(|folder| *folder != root && folder.starts_with(&root)) {
                folders.push(folder.to_owned());
                above = folder.parent();
            }
            let is_plain = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
            match fs::read(&path) {
                Ok(bytes) if is_plain && Sha1Digest::of(&bytes).to_string() == file.sha1 => {
                    fs::remove_file(&path).map_err(|e| Error::io(e, "cannot remove", &path))?;
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                _ => warnings.push(format!("{} was changed since and stays", path.display())),
            }
        }
        // Deepest first; one that holds something else stays.
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        folders.dedup();
        for folder in folders {
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Writes the record, or removes it with the folder when nothing is left.
    fn finish(&self) -> Result<()> {
        let path = self.root.join(RECORD);
        if self.record.drivers.is_empty() {
            if path.exists() {
                fs::remove_file(&path).map_err(|e| Error::io(e, "cannot remove", &path))?;
            }
            // What the user put there stays.
            let _ = fs::remove_dir(&self.root);
            return Ok(());
        }
        let mut text = serde_json::to_vec_pretty(&self.record)
            .map_err(|e| Error::invalid_input(format!("cannot write the record: {e}")))?;
        text.push(b'\n');
        let mut file = AtomicFile::create(&path, IfExists::Replace)?;
        file.write_all(&text).map_err(|e| Error::io(e, "cannot write", &path))?;
        file.commit()
    }
}

fn write_file(path: &Path, bytes: &[u8], time: Option<FileTime>) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create_new(path)?;
    file.write_all(bytes)?;
    match time.filter(|time| *time != FileTime::default()) {
        Some(time) => file.set_modified(time.to_system_time()),
        None => Ok(()),
    }
}
