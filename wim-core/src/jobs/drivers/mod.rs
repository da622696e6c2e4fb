//! `driver`: puts driver packages into the images of WIM files, lists, explains, removes and copies them out.
//!
//! `sources` reads packages as they come and `places` finds the WIM files, a whole medium's if asked; `service` joins each
//! image with the planner of `servicing::drivers`, recovery images inside images included. All files are written beside
//! their targets and read back before the first one takes its name, so that a failure leaves every one as it was.

mod export;
mod look;
mod media_folder;
mod places;
mod recovery;
mod report;
mod service;
pub mod sources;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use export::{ExportedDriver, export};
pub use look::{
    CheckReport, Detail, Explanation, ImageVerdict, ListReport, PackageReport, check, explain_packages, list,
};
pub use media_folder::{MediaFolderReport, MediaFolderWork, media_folder};
pub use places::{Mode, Places, wims_of_medium};
pub use report::{FileReport, ImageReport, InnerReport, RemovedDriver, WorkReport, WrittenFile, is_taken};
pub use service::Recovery;

use self::look::is_named;
use self::service::{ImagePlan, ImageWork, ServicedWim, Servicer, rewritten};
use super::archive::Scratch;
use super::clock;
use super::dir::NothingFits;
use super::edited_image::{EditedImages, Expected, sync_and_read_back};
use super::images;
use super::open::{Check, check_unsplit, check_writable};
use super::part_set::{LeftOut, PartSet};
use super::rebuild::CompressionOptions;
use super::registry::Target;
use super::target::{Target as WimTarget, is_same_file};
use crate::base::atomic_file::{AtomicFile, IfExists, already_exists, commit_together, folder_of};
use crate::base::read_at::read_exact_at;
use crate::base::{
    Architecture, Cancel, Context, Error, FileSource, FileTime, ImageIndex, ReadAt, Reason, Result, WriteAt,
};
use crate::formats::wim::WimFile;
use crate::image::edit::View;
use crate::servicing::drivers::list::{ListedDriver, Which, list as list_drivers};
use crate::servicing::drivers::manifest::Manifest;
use crate::servicing::drivers::versions::mixed_versions;
use crate::servicing::drivers::{self, DriverOptions, Unbootable};
use crate::servicing::hive_set::HiveSet;
use crate::servicing::package_files::PackageFiles;
use crate::servicing::target::ImageTarget;
use crate::transfer::write::{NewWim, WriteReport, write};

/// Adds the packages at `packages` to the images of `places`.
///
/// # Errors
/// What opening packages and images gives, before anything is written; a package that cannot be added is reported, not an
/// error. All files are then as they were: nothing that happens after they have taken their names is an error.
pub fn add(
    cx: &Context<'_>,
    places: &Places,
    packages: &[PathBuf],
    options: &DriverOptions,
) -> Result<WorkReport> {
    let scratch = scratch_of(cx, places)?;
    let sources = sources::open_all(cx, packages, &Scratch::on_disk(&scratch))?;
    for source in &sources {
        if drivers::package::find_infs(source.as_ref()).is_empty() {
            return Err(Error::not_found("there is no driver package: no .inf file")
                .in_file(source.name())
                .remedy("give the folder that holds the driver's .inf file, or one above it"));
        }
    }
    let adding = Adding { sources, options, cancel: cx.cancel, seen: RefCell::default() };
    service(cx, places, &scratch, &adding)
}

/// Removes the drivers that `names` mean from the images of `places` that have them; a name that no image knows is warned of.
///
/// # Errors
/// `NotFound` when no image has any of them; what reading and writing give. All files are then as they were.
pub fn remove(
    cx: &Context<'_>,
    places: &Places,
    names: &[String],
    unbootable: Unbootable,
) -> Result<WorkReport> {
    let work = Removing { names, unbootable, found: RefCell::default(), known: RefCell::default() };
    service(cx, places, &scratch_of(cx, places)?, &work)
}

struct Adding<'o> {
    sources: Vec<Box<dyn PackageFiles + 'o>>,
    options: &'o DriverOptions,
    cancel: &'o Cancel,
    /// The drivers of all images, as they will be, by the image's name.
    seen: RefCell<Vec<(String, Vec<ListedDriver>)>>,
}

impl ImageWork for Adding<'_> {
    fn plan(
        &self,
        view: &dyn View,
        hives: &mut HiveSet<'_>,
        target: &ImageTarget,
        time: FileTime,
    ) -> Result<ImagePlan> {
        let sources: Vec<&dyn PackageFiles> = self.sources.iter().map(AsRef::as_ref).collect();
        let options = DriverOptions { time: Some(time), ..self.options.clone() };
        let plan = drivers::plan(&sources, view, hives, target, &options, self.cancel)?;
        Ok(ImagePlan { changes: plan.changes, drivers: plan.reports, ..ImagePlan::default() })
    }

    fn looks_back(&self) -> bool {
        true
    }

    fn look_back(&self, name: String, view: &dyn View, arch: Architecture) -> Result<()> {
        let drivers = list_drivers(view, arch, Which::ThirdParty)?;
        self.seen.borrow_mut().push((name, drivers));
        Ok(())
    }

    /// A boot image that starts one driver and an installed Windows that starts another are hard to tell apart when something
    /// fails; of what is there already nothing is said.
    fn conclude(&self, report: &mut WorkReport) -> Result<()> {
        if report.changed {
            let seen = self.seen.borrow();
            let images: Vec<(String, &[ListedDriver])> =
                seen.iter().map(|(name, drivers)| (name.clone(), drivers.as_slice())).collect();
            report.warnings.extend(mixed_versions(&images));
        }
        Ok(())
    }
}

struct Removing<'n> {
    names: &'n [String],
    unbootable: Unbootable,
    /// Names that an image knew.
    found: RefCell<BTreeSet<String>>,
    /// INFs of all drivers seen that can be removed.
    known: RefCell<BTreeSet<String>>,
}

impl ImageWork for Removing<'_> {
    fn plan(
        &self,
        view: &dyn View,
        hives: &mut HiveSet<'_>,
        target: &ImageTarget,
        _: FileTime,
    ) -> Result<ImagePlan> {
        let manifest = Manifest::load(view)?;
        let listed = list_drivers(view, target.windows.arch, Which::ThirdParty)?;
        self.known.borrow_mut().extend(listed.iter().map(|driver| driver.inf.clone()));
        // `find` knows identities too.
        let is_here = |name: &&String| {
            !drivers::find(&manifest, name).is_empty() || listed.iter().any(|driver| is_named(driver, name))
        };
        let here: Vec<String> = self.names.iter().filter(is_here).cloned().collect();
        if here.is_empty() {
            return Ok(ImagePlan::default());
        }
        self.found.borrow_mut().extend(here.iter().cloned());
        let plan = drivers::plan_removal(&here, view, hives, self.unbootable)?;
        Ok(ImagePlan {
            changes: plan.changes,
            removed: plan.removed.iter().map(RemovedDriver::from).collect(),
            notes: plan.findings,
            ..ImagePlan::default()
        })
    }

    fn conclude(&self, report: &mut WorkReport) -> Result<()> {
        let (found, known) = (self.found.borrow(), self.known.borrow());
        let there = if known.is_empty() {
            "none was added to these images".to_owned()
        } else {
            format!("there are {}", known.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        let missing: Vec<&str> =
            self.names.iter().filter(|name| !found.contains(*name)).map(String::as_str).collect();
        if found.is_empty() {
            let message = format!("no image has the driver {}: {there}", missing.join(", "));
            let error = Error::not_found(message).with_source(NothingFits);
            return Err(error.remedy("list them with: wim driver list"));
        }
        report.missing = missing.iter().map(|name| (*name).to_owned()).collect();
        report.warnings.extend(missing.iter().map(|name| format!("no image has the driver {name}: {there}")));
        Ok(())
    }
}

/// A folder for temporary files: that of the first output, which has room. What is only tried may lie where nothing can be written.
fn scratch_of(cx: &Context<'_>, places: &Places) -> Result<PathBuf> {
    let first = match &places.output {
        Some(output) => Some(output.clone()),
        None => places.files()?.into_iter().next().map(|file| file.path),
    };
    let first = first.unwrap_or_else(|| PathBuf::from("wim"));
    Ok(match places.mode {
        Mode::Write => folder_of(&first),
        Mode::DryRun => Scratch::beside(cx, &first).folder().to_owned(),
    })
}

/// A WIM to service: the open file with those that it may be a delta of, its images, where it goes.
struct Job {
    set: PartSet,
    chosen: Vec<ImageIndex>,
    output: PathBuf,
    if_exists: IfExists,
}

/// Does `work` on all images of `places`: opens all, plans and writes each, and lets all take their names at the end.
fn service(cx: &Context<'_>, places: &Places, scratch: &Path, work: &dyn ImageWork) -> Result<WorkReport> {
    let jobs = open_all(cx, places)?;
    let mut servicer = Servicer::new(cx, work, places, scratch.to_owned(), clock::fixed_time()?);
    let (mut files, mut finished) = (Vec::new(), Vec::new());
    for job in &jobs {
        let ServicedWim { images, reports } = servicer.wim(&job.set, &job.chosen)?;
        let changed = images.is_some();
        let mut written = None;
        if places.mode == Mode::Write {
            match images {
                Some(images) => {
                    let before = servicer.written_like(&job.set.wim);
                    let (file, report) = write_beside(cx, job, images, &before, places)?;
                    let source = Arc::new(FileSource::open(file.temporary_path())?);
                    servicer.remember(WimFile::open(source, &job.output.display().to_string())?);
                    written = Some(WrittenFile::new(&report));
                    finished.push(file);
                }
                None if places.output.is_some() => finished.push(copy_beside(cx, job)?),
                None => {}
            }
        }
        files.push(FileReport {
            path: job.set.wim.name().to_owned(),
            output: job.output.display().to_string(),
            changed,
            images: reports,
            written,
        });
    }
    let mut report = WorkReport {
        dry_run: places.mode == Mode::DryRun,
        changed: files.iter().any(|file| file.changed),
        files,
        missing: Vec::new(),
        warnings: Vec::new(),
    };
    // Windows renames no file that is open.
    drop(servicer);
    work.conclude(&mut report)?;
    cx.cancel.check()?;
    commit_together(finished)?;
    Ok(report)
}

/// Opens every WIM before anything is done to one.
fn open_all(cx: &Context<'_>, places: &Places) -> Result<Vec<Job>> {
    let files = places.files()?;
    let open_one = |file: &Target| {
        let in_place = places.mode == Mode::Write && places.output.is_none();
        // What is changed in place is locked before it is read, as long as it is open.
        let set = if in_place {
            let wim = WimTarget::open(&file.path, Check::Nothing, cx)?.wim;
            PartSet::around(wim, &file.path, &file.refs, LeftOut::Nothing, Check::Nothing, cx)?
        } else {
            PartSet::open(&file.path, &file.refs, Check::Nothing, cx)?
        };
        let wim = &set.wim;
        check_unsplit(wim)?;
        // What cannot be written again is told before the work is done, and by a dry run too.
        CompressionOptions::default().format(wim.format()).map_err(|e| {
            e.in_file(wim.name())
                .remedy("export it to another file first: wim export FILE all install.wim --compress=LZX")
        })?;
        let chosen = images::choose(wim, file.image.as_deref().unwrap_or("all"))?;
        let Some(output) = &places.output else {
            if places.mode == Mode::DryRun {
                check_writable(wim)?;
            }
            return Ok(Job { set, chosen, output: file.path.clone(), if_exists: IfExists::ReplaceLocked });
        };
        if is_same_file(&file.path, output) {
            return Err(Error::invalid_input("the output is the input")
                .in_file(output.display())
                .remedy("leave the output out to change the file in place"));
        }
        set.check_replaceable(output)?;
        check_creatable(output, places.if_exists)?;
        Ok(Job { set, chosen, output: output.clone(), if_exists: places.if_exists })
    };
    let open_or_tell = |file: &Target| {
        open_one(file).map_err(|e| match e.reason() {
            Some(Reason::FileInUse) if !file.refs.is_empty() => {
                e.remedy("a delta cannot be changed together with a file that it is a delta of")
            }
            _ => e,
        })
    };
    files.iter().map(open_or_tell).collect()
}

/// Refuses what creating the output would refuse, before the work is done; a dry run creates nothing.
fn check_creatable(output: &Path, if_exists: IfExists) -> Result<()> {
    if if_exists == IfExists::Refuse && output.exists() {
        return Err(already_exists(output));
    }
    let folder = folder_of(output);
    if !folder.is_dir() {
        return Err(Error::not_found("there is no such folder").in_file(folder.display()));
    }
    Ok(())
}

/// Writes a WIM with its new images beside its target, and reads it back; what files `before` it have is not compressed again.
fn write_beside(
    cx: &Context<'_>,
    job: &Job,
    images: EditedImages<'_>,
    before: &[Arc<WimFile>],
    places: &Places,
) -> Result<(AtomicFile, WriteReport)> {
    let (wim, elsewhere) = (&job.set.wim, images.elsewhere());
    let EditedImages { images, contents, .. } = images;
    let mut file = AtomicFile::create(&job.output, job.if_exists)?;
    let sources = std::iter::once(wim).chain(before.iter().map(AsRef::as_ref)).collect();
    let new = NewWim { images, contents: &contents, sources, ..rewritten(wim, places.level) };
    let written = write(cx, new, &mut file)?;
    let expected = Expected { written: &written, elsewhere: &elsewhere, depth: places.verify };
    sync_and_read_back(cx, &mut file, &expected)?;
    Ok((file, written))
}

/// Copies a WIM that nothing changed, byte for byte.
fn copy_beside(cx: &Context<'_>, job: &Job) -> Result<AtomicFile> {
    const BLOCK: usize = 1 << 20;
    let mut file = AtomicFile::create(&job.output, job.if_exists)?;
    let wim = &job.set.wim;
    let (source, mut at) = (wim.source(), 0);
    let mut block = vec![0; BLOCK];
    while at < source.size() {
        cx.cancel.check()?;
        let length = usize::try_from(source.size() - at).unwrap_or(BLOCK).min(BLOCK);
        let Some(part) = block.get_mut(..length) else { break };
        read_exact_at(source.as_ref(), part, at).map_err(|e| e.in_file(wim.name()))?;
        file.write_all_at(part, at).map_err(|e| Error::io(e, "cannot write", &job.output))?;
        at += length as u64;
    }
    Ok(file)
}
