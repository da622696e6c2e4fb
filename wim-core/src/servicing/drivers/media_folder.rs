//! Drivers beside an image instead of in it: the folder `$WinPEDriver$` of a medium, which Setup reads (level M).
//!
//! Source: drivers.md 3.5 (KB2686316). Setup loads from it what fits the machine, and puts that into the Windows it installs; so only
//! classes that Setup has a use for go there, and one version of each driver. The files are planned here; a job writes them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::options::{DriverOptions, LineEnds, Unsigned};
use super::package::{Package, Packages};
use super::policy::{self, HardwareMatch};
use super::select::{self, NotSelected};
use super::signature;
use super::staged::{self, Staged, StagedFile};
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
    /// What is odd about it.
    pub findings: Vec<String>,
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
    let mut plan = MediaPlan::default();
    for (source, inf, e) in unreadable {
        let source = source.name().to_owned();
        let (version, outcome, findings) = (None, refused(&e), Vec::new());
        plan.reports.push(MediaReport { source, inf, version, outcome, findings });
    }
    let chosen = choose_all(&packages, targets, options, cancel)?;
    let newest = newest_of_each(&packages, &chosen);
    for (index, (package, choice)) in packages.iter().zip(chosen).enumerate() {
        let (outcome, findings) = match (choice, newest.get(&index)) {
            (Err(NotSelected::NotForThis(reason, _)), _) => (MediaOutcome::Skipped { reason }, Vec::new()),
            (Err(NotSelected::Refused(e)), _) => (refused(&e), Vec::new()),
            (Ok(_), Some(version)) => {
                let reason = format!(
                    "version {version} of it is there; Setup loads the first that it finds, so a medium must hold one version of each driver"
                );
                (MediaOutcome::Skipped { reason }, Vec::new())
            }
            (Ok(Chosen { files, windows, findings }), None) => {
                let folder = place(package, files, &mut plan);
                (MediaOutcome::Placed { folder, windows }, findings)
            }
        };
        plan.reports.push(MediaReport {
            source: package.source().name().to_owned(),
            inf: package.inf_path().to_owned(),
            version: package.version().driver_ver.map(|v| v.version_text()),
            outcome,
            findings,
        });
    }
    plan.files.sort_by(|a, b| a.path.cmp(&b.path));
    plan.files.dedup_by(|a, b| a.path.eq_ignore_ascii_case(&b.path));
    Ok(plan)
}

/// What of a package goes to the medium.
struct Chosen {
    files: Vec<StagedFile>,
    /// The Windows it is for.
    windows: Vec<String>,
    findings: Vec<String>,
}

/// What is chosen of each package, in their order.
fn choose_all(
    packages: &[Package<'_>],
    targets: &[TargetWindows],
    options: &DriverOptions,
    cancel: &Cancel,
) -> Result<Vec<Result<Chosen, NotSelected>>> {
    // One look at all packages for each Windows, not for each package.
    let job = |target| TargetJob {
        target,
        hardware: options
            .hardware
            .as_ref()
            .map(|ids| HardwareMatch::new(ids, packages, target, options.undecorated)),
    };
    let jobs: Vec<TargetJob<'_>> = targets.iter().map(job).collect();
    let mut chosen = Vec::new();
    for package in packages {
        cancel.check()?;
        chosen.push(choose(package, &jobs, options));
    }
    // What was cancelled within the last package looks like a refusal of it.
    cancel.check()?;
    Ok(chosen)
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
) -> Result<Chosen, NotSelected> {
    let (mut files, mut windows, mut first_reason) = (BTreeMap::new(), Vec::new(), None);
    let mut findings: Vec<String> = package.inf().findings().iter().map(ToString::to_string).collect();
    for job in jobs {
        let mut own = Vec::new();
        match choose_for(package, job, options, &mut own) {
            Ok(staged) => {
                windows.push(job.target.to_string());
                files.extend(staged.files.into_iter().map(|file| (file.path.to_lowercase(), file)));
                findings.extend(own);
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
        _ => {
            let mut said = BTreeSet::new();
            findings.retain(|text| said.insert(text.clone()));
            Ok(Chosen { files: files.into_values().collect(), windows, findings })
        }
    }
}

/// What of a package one Windows needs; what is odd about it goes to `findings`.
fn choose_for(
    package: &Package<'_>,
    job: &TargetJob<'_>,
    options: &DriverOptions,
    findings: &mut Vec<String>,
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
        let mut restored = Vec::new();
        staged = signature::restore_line_ends(staged, package.source(), &mut restored)?;
        findings.extend(restored.iter().map(|path| policy::restored_note(path)));
    }
    staged::check_machines(&selection, &staged, target.arch)?;
    let report = signature::check(&staged, target, &options.roots);
    match (report.is_accepted(target), options.unsigned) {
        (false, Unsigned::Refuse) => {
            return Err(NotSelected::Refused(policy::unsigned_refusal(&report, target)));
        }
        (false, Unsigned::Accept) => findings.push(policy::unsigned_note(&report, target)),
        (true, _) => findings.extend(policy::doubt_about(&report, target)),
    }
    if report.needs_sha2 && target.version() <= (6, 1) {
        findings.push(format!(
            "it is signed with SHA-2 alone, which Windows on {} {}.{} checks only with the updates KB4490628 and KB4474419: Setup's boot.wim and the installed Windows both need them",
            target.arch, target.major, target.minor
        ));
    }
    findings.extend(policy::boot_files_of_sha2(&selection, &staged, (target, options)));
    Ok(staged)
}

/// For packages of which a newer version is chosen too: that version.
fn newest_of_each(
    packages: &[Package<'_>],
    chosen: &[Result<Chosen, NotSelected>],
) -> BTreeMap<usize, String> {
    type Name = (String, Option<String>, String);
    let name = |index: usize, windows: &[String]| -> Option<(Name, Option<DriverVer>)> {
        let package = packages.get(index)?;
        let provider = package.version().provider.as_ref().map(|name| name.to_lowercase());
        Some(((package.inf_name().to_lowercase(), provider, windows.join(",")), package.version().driver_ver))
    };
    let mut newest: BTreeMap<Name, (usize, Option<DriverVer>)> = BTreeMap::new();
    let placed = || {
        let chosen = chosen.iter().enumerate();
        chosen.filter_map(|(index, choice)| Some((index, &choice.as_ref().ok()?.windows)))
    };
    for (index, windows) in placed() {
        let Some((key, version)) = name(index, windows) else { continue };
        let best = newest.entry(key).or_insert((index, version));
        if version > best.1 {
            *best = (index, version);
        }
    }
    let mut older = BTreeMap::new();
    for (index, windows) in placed() {
        let Some((key, version)) = name(index, windows) else { continue };
        if let Some((best, best_version)) = newest.get(&key)
            && *best != index
            && *best_version != version
        {
            older.insert(index, best_version.map(|v| v.version_text()).unwrap_or_default());
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
