//! Drivers beside an image instead of in it: the folder `$WinPEDriver$` of a medium, which Setup reads (level M).
//!
//! Source: drivers.md 3.5 (KB2686316). Setup loads from it what fits the machine, and puts that into the Windows it installs; so only
//! classes that Setup has a use for go there, and one version of each driver. The files are planned here; a job writes them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::options::{DriverOptions, LineEnds, Unsigned};
use super::package::{Package, Packages};
use super::policy::{self, HardwareMatch};
use super::select::{self, NotSelected};
use super::signature;
use super::staged::{self, Staged, StagedFile};
use super::store::refusal;
use crate::base::{Cancel, Error, ErrorKind, FileTime, Result, Sha1Digest};
use crate::formats::inf::strings::ENGLISH_US;
use crate::formats::inf::{DriverVer, NoIncludes, ParseOptions, TargetWindows};
use crate::image::edit::Content;
use crate::servicing::package_files::PackageFiles;

/// The folder's name at the root of a medium.
pub const FOLDER: &str = "$WinPEDriver$";

/// One file of the medium.
#[derive(Clone, Debug)]
pub struct MediaFile {
    /// Path from the root of the medium, with backslashes.
    pub path: String,
    /// Its bytes, or where they are.
    pub content: Content,
    /// Size in bytes.
    pub size: u64,
    /// SHA-1 of its bytes.
    pub sha1: Sha1Digest,
    /// Last write, if known.
    pub last_write: Option<FileTime>,
}

/// What becomes of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum MediaOutcome {
    /// It goes to the medium.
    Placed {
        /// Its folder, from the root of the medium.
        folder: String,
        /// The Windows it is for.
        windows: Vec<String>,
    },
    /// It is not for these Windows, or not for Setup.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It cannot be used.
    Refused {
        /// What kind of refusal; decides the exit code.
        #[serde(skip)]
        kind: ErrorKind,
        /// Why.
        reason: String,
        /// What can be done about it.
        remedy: Option<String>,
    },
}

/// What is told of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaReport {
    /// What its source is called.
    pub source: String,
    /// Path of its INF there.
    pub inf: String,
    /// Version.
    pub version: Option<String>,
    /// What becomes of it.
    pub outcome: MediaOutcome,
}

/// What goes to a medium.
#[derive(Debug, Default)]
pub struct MediaPlan {
    /// One report per INF.
    pub reports: Vec<MediaReport>,
    /// Files, sorted by path.
    pub files: Vec<MediaFile>,
}

/// Plans `$WinPEDriver$` for a medium that installs `targets`.
///
/// # Errors
/// `Cancelled`; a package that cannot be used is reported.
pub fn plan_media(
    sources: &[&dyn PackageFiles],
    targets: &[TargetWindows],
    options: &DriverOptions,
    cancel: &Cancel,
) -> Result<MediaPlan> {
    let parse = ParseOptions { language: ENGLISH_US, code_page: options.code_page };
    let Packages { packages, unreadable } = Packages::open(sources, parse, cancel)?;
    let odd = unreadable.into_iter().map(|(source, inf, e)| MediaReport {
        source: source.name().to_owned(),
        inf,
        version: None,
        outcome: refused(&e),
    });
    let mut plan = MediaPlan { reports: odd.collect(), files: Vec::new() };
    // One look at all packages for each Windows, not for each package.
    let hardware_for = |target| {
        let ids = options.hardware.as_ref()?;
        Some(HardwareMatch::new(ids, &packages, target, options.undecorated))
    };
    let jobs = targets.iter().map(|target| TargetJob { target, hardware: hardware_for(target) });
    let jobs: Vec<TargetJob<'_>> = jobs.collect();
    let mut chosen: Vec<(usize, Vec<StagedFile>, Vec<String>)> = Vec::new();
    let mut outcomes: BTreeMap<usize, MediaOutcome> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        cancel.check()?;
        match choose(package, &jobs, options) {
            Ok((files, windows)) => chosen.push((index, files, windows)),
            Err(NotSelected::NotForThis(reason, _)) => {
                outcomes.insert(index, MediaOutcome::Skipped { reason });
            }
            Err(NotSelected::Refused(e)) => {
                outcomes.insert(index, refused(&e));
            }
        }
    }
    // What was cancelled within the last package looks like a refusal of it.
    cancel.check()?;
    let newest = newest_of_each(&packages, &chosen);
    for (index, files, windows) in chosen {
        let Some(package) = packages.get(index) else { continue };
        if let Some(version) = newest.get(&index) {
            let reason = format!(
                "version {version} of it is there; Setup loads the first that it finds, so a medium must hold one version of each driver"
            );
            outcomes.insert(index, MediaOutcome::Skipped { reason });
            continue;
        }
        let folder = place(package, files, &mut plan);
        outcomes.insert(index, MediaOutcome::Placed { folder, windows });
    }
    for (index, outcome) in outcomes {
        let Some(package) = packages.get(index) else { continue };
        plan.reports.push(MediaReport {
            source: package.source().name().to_owned(),
            inf: package.inf_path().to_owned(),
            version: package.version().driver_ver.map(|v| v.version_text()),
            outcome,
        });
    }
    plan.files.sort_by(|a, b| a.path.cmp(&b.path));
    plan.files.dedup_by(|a, b| a.path.eq_ignore_ascii_case(&b.path));
    Ok(plan)
}

/// A Windows that the medium installs.
struct TargetJob<'a> {
    target: &'a TargetWindows,
    /// Which packages its machine needs; all when none.
    hardware: Option<HardwareMatch<'a>>,
}

fn refused(e: &Error) -> MediaOutcome {
    MediaOutcome::Refused {
        kind: e.kind(),
        reason: e.to_string(),
        remedy: e.remedy_text().map(str::to_owned),
    }
}

/// The files that a package needs for all targets it is for, and the names of those.
fn choose(
    package: &Package<'_>,
    jobs: &[TargetJob<'_>],
    options: &DriverOptions,
) -> Result<(Vec<StagedFile>, Vec<String>), NotSelected> {
    let (mut files, mut windows, mut first_reason) = (BTreeMap::new(), Vec::new(), None);
    for job in jobs {
        match choose_for(package, job, options) {
            Ok(staged) => {
                windows.push(job.target.to_string());
                files.extend(staged.files.into_iter().map(|file| (file.path.to_lowercase(), file)));
            }
            // What is wrong for one Windows must not keep out what is right for another.
            Err(why) => {
                first_reason.get_or_insert(why);
            }
        }
    }
    match first_reason {
        Some(why) if windows.is_empty() => Err(why),
        None if windows.is_empty() => Err(NotSelected::Refused(
            Error::invalid_input("no Windows was named that the medium installs")
                .remedy("give the folder into which all of the medium was copied"),
        )),
        _ => Ok((files.into_values().collect(), windows)),
    }
}

fn choose_for(
    package: &Package<'_>,
    job: &TargetJob<'_>,
    options: &DriverOptions,
) -> Result<Staged, NotSelected> {
    let target = job.target;
    let guid = select::own_class_guid(package.version()).unwrap_or_default().to_owned();
    let selection = select::select_with(package, target, &NoIncludes, guid, options.undecorated)?;
    let unwanted = policy::winpe_verdict(&selection, options.winpe_classes)
        .or_else(|| job.hardware.as_ref()?.verdict(package, &selection));
    if let Some(reason) = unwanted {
        return Err(NotSelected::NotForThis(reason, Vec::new()));
    }
    let mut staged = Staged::new(package, &selection, target.arch)?;
    if options.line_ends == LineEnds::RestoreSigned {
        staged = signature::restore_line_ends(staged, package.source(), &mut Vec::new())?;
    }
    staged::check_machines(&selection, &staged, target.arch)?;
    let report = signature::check(&staged, target);
    if options.unsigned == Unsigned::Refuse && !report.is_accepted(target) {
        let reason = report.reason.clone().unwrap_or_else(|| format!("it is {}", report.label()));
        return Err(NotSelected::Refused(refusal(
            format!("Windows on {} loads only signed drivers, and {reason}", target.arch),
            "use the vendor's signed package",
        )));
    }
    Ok(staged)
}

/// For packages of which a newer version is chosen too: that version.
fn newest_of_each(
    packages: &[Package<'_>],
    chosen: &[(usize, Vec<StagedFile>, Vec<String>)],
) -> BTreeMap<usize, String> {
    type Name = (String, Option<String>, String);
    let name = |index: usize, windows: &[String]| -> Option<(Name, Option<DriverVer>)> {
        let package = packages.get(index)?;
        let provider = package.version().provider.as_ref().map(|name| name.to_lowercase());
        Some(((package.inf_name().to_lowercase(), provider, windows.join(",")), package.version().driver_ver))
    };
    let mut newest: BTreeMap<Name, (usize, Option<DriverVer>)> = BTreeMap::new();
    for (index, _, windows) in chosen {
        let Some((key, version)) = name(*index, windows) else { continue };
        let best = newest.entry(key).or_insert((*index, version));
        if version > best.1 {
            *best = (*index, version);
        }
    }
    let mut older = BTreeMap::new();
    for (index, _, windows) in chosen {
        let Some((key, version)) = name(*index, windows) else { continue };
        if let Some((best, best_version)) = newest.get(&key)
            && best != index
            && *best_version != version
        {
            older.insert(*index, best_version.map(|v| v.version_text()).unwrap_or_default());
        }
    }
    older
}

/// Adds the files of a package below a folder of its own.
fn place(package: &Package<'_>, files: Vec<StagedFile>, plan: &mut MediaPlan) -> String {
    let staged = Staged::of(files, None);
    let inf = package.inf_name().to_lowercase();
    let stem: String = inf.trim_end_matches(".inf").chars().take(40).collect();
    let folder = format!("{FOLDER}\\{stem}_{}", staged.hash(8));
    plan.files.extend(staged.files.into_iter().map(|file| MediaFile {
        path: format!("{folder}\\{}", file.path),
        size: file.digests.size,
        sha1: file.digests.sha1,
        last_write: file.times.map(|times| times.last_write),
        content: file.content,
    }));
    folder
}
