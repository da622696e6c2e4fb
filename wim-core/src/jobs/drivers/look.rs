//! Reading only: the drivers that images have, what keeps them from working, and what a package is.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::recovery::{RecoveryImage, is_its_own_fault};
use super::service::Recovery;
use super::sources;
use crate::base::{Cancel, Context, Error, ErrorKind, ImageIndex, Result};
use crate::formats::inf::{NoIncludes, ParseOptions, TargetWindows};
use crate::formats::wim::WimFile;
use crate::image::Tree;
use crate::image::edit::{Content, ImageView};
use crate::jobs::archive::Scratch;
use crate::jobs::edited_image::hints_of;
use crate::jobs::images;
use crate::jobs::input::can_be_opened;
use crate::jobs::open::{Check, load_image};
use crate::jobs::part_set::PartSet;
use crate::jobs::registry::Target;
use crate::servicing::drivers::info::{Applicability, DriverInfo, explain, parse_windows};
use crate::servicing::drivers::lint::{LintFinding, Severity, lint_image};
use crate::servicing::drivers::list::{ListedDriver, Which, list as list_drivers, look_up};
use crate::servicing::drivers::list_devices::find_devices;
use crate::servicing::drivers::package::{Package, find_infs};
use crate::servicing::drivers::profiles::{self, Profile, ProfileReport, Verdict};
use crate::servicing::drivers::select::ImageInfs;
use crate::servicing::drivers::store::ImageFiles;
use crate::servicing::drivers::versions::mixed_versions;
use crate::servicing::drivers::{self, DriverOptions, DriverReport, HardwareMatch};
use crate::servicing::file_digests::FileDigests;
use crate::servicing::hive_set::{HiveOptions, HiveSet};
use crate::servicing::package_files::{PackageFile, PackageFiles};
use crate::servicing::target::{ImageTarget, find_target};
use crate::transfer::read::SetBlobs;

/// An image of Windows, looked into.
pub(super) struct Look<'l, 'h> {
    pub(super) wim: &'l WimFile,
    /// That file first, then those that its blobs may come from.
    pub(super) wims: &'l [&'l WimFile],
    pub(super) image: ImageIndex,
    pub(super) tree: &'l Tree,
    pub(super) view: &'l ImageView<'l>,
    hives: &'h mut HiveSet<'l>,
    pub(super) target: ImageTarget,
    warnings: Vec<String>,
}

/// Runs `look` on each image that `targets` name; no image means all. With [`Recovery::Service`] the recovery images inside
/// them are looked into too, each once however many editions share it.
pub(super) fn each_image<T>(
    cx: &Context<'_>,
    targets: &[Target],
    recovery: Recovery,
    mut look: impl FnMut(Look<'_, '_>) -> Result<T>,
) -> Result<Vec<T>> {
    let (mut answers, mut seen) = (Vec::new(), HashSet::new());
    for target in targets {
        let set = PartSet::open(&target.path, &target.refs, Check::Nothing, cx)?;
        let (wim, wims) = (&set.wim, set.wims());
        for image in images::choose(wim, target.image.as_deref().unwrap_or("all"))? {
            let looked = look_into(cx, wim, &wims, image, &mut answers, &mut look);
            let tree = looked.map_err(|e| set.explain(e))?;
            if recovery == Recovery::Leave {
                continue;
            }
            let Some(found) = RecoveryImage::find(&tree)?.filter(|found| seen.insert(found.digest)) else {
                continue;
            };
            let scratch = Scratch::beside(cx, &target.path);
            let opened = found.open(cx, &wims, &tree, image, scratch.folder());
            let looked = opened.and_then(|inside| {
                inside.images().try_for_each(|inner| {
                    look_into(cx, &inside, &[&inside], inner, &mut answers, &mut look).map(drop)
                })
            });
            match looked {
                Err(e) if is_its_own_fault(e.kind()) => cx.progress.warn(&e.in_file(found.name(wim, image))),
                other => other?,
            }
        }
    }
    Ok(answers)
}

/// Runs `look` on one image; gives its tree back.
fn look_into<T>(
    cx: &Context<'_>,
    wim: &WimFile,
    wims: &[&WimFile],
    image: ImageIndex,
    answers: &mut Vec<T>,
    look: &mut impl FnMut(Look<'_, '_>) -> Result<T>,
) -> Result<Arc<Tree>> {
    let place = format!("{}: image {image}", wim.name());
    let tree = Arc::new(load_image(wim, image, cx)?);
    let blobs = SetBlobs::new(wims);
    let view = ImageView::new(&tree, &blobs);
    let mut warnings = Vec::new();
    let mut hives = HiveSet::new(&view, HiveOptions::default());
    let xml = wim.xml().images().get(image.position());
    let hints = xml.map(hints_of).unwrap_or_default();
    let found = find_target(&view, &mut hives, hints, &mut warnings).map_err(|e| e.in_file(&place))?;
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let opened =
        Look { wim, wims, image, tree: &tree, view: &view, hives: &mut hives, target: found, warnings };
    answers.push(look(opened).map_err(|e| e.in_file(&place))?);
    Ok(Arc::clone(&tree))
}

/// The versions of Windows that the images of `targets` install, each once; Windows PE is none.
pub(super) fn windows_of(cx: &Context<'_>, targets: &[Target]) -> Result<Vec<TargetWindows>> {
    let found = each_image(cx, targets, Recovery::Leave, |look| {
        Ok((!look.target.is_winpe).then_some(look.target.windows))
    })?;
    let mut windows: Vec<TargetWindows> = Vec::new();
    for one in found.into_iter().flatten() {
        if !windows.contains(&one) {
            windows.push(one);
        }
    }
    if windows.is_empty() {
        return Err(Error::not_found("the medium has no image that installs a Windows")
            .remedy("give the folder into which all of the medium was copied"));
    }
    Ok(windows)
}

/// The drivers of one image.
#[derive(Clone, Debug, Serialize)]
pub struct ListReport {
    /// The WIM file.
    pub path: String,
    /// Number of the image.
    pub index: u32,
    /// NAME.
    pub name: Option<String>,
    /// The Windows in it, as `amd64 6.1.7601`.
    pub windows: String,
    /// It is Windows PE.
    pub winpe: bool,
    /// Its drivers.
    pub drivers: Vec<ListedDriver>,
    /// What was odd.
    pub warnings: Vec<String>,
}

/// How much is told of each driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What it is.
    Facts,
    /// Its devices too, for which its INF is read.
    Devices,
}

/// Lists the drivers of the images that `targets` name, and of the recovery images inside them if asked; those are called by
/// the image that they lie in.
///
/// # Errors
/// What opening and reading gives.
pub fn list(
    cx: &Context<'_>,
    targets: &[Target],
    recovery: Recovery,
    which: Which,
    detail: Detail,
) -> Result<Vec<ListReport>> {
    let mut reports = each_image(cx, targets, recovery, |look| {
        let xml = look.wim.xml().images().get(look.image.position());
        let mut drivers = list_drivers(look.view, look.target.windows.arch, which)?;
        look_up(&mut drivers, look.hives)?;
        if detail == Detail::Devices {
            find_devices(&mut drivers, look.view, &look.target)?;
        }
        Ok(ListReport {
            path: look.wim.name().to_owned(),
            index: look.image.number(),
            name: xml.and_then(|xml| xml.name().map(str::to_owned)),
            windows: look.target.windows.to_string(),
            winpe: look.target.is_winpe,
            drivers,
            warnings: look.warnings,
        })
    })?;
    let mixed = mixed_versions_of(&reports);
    if let Some(last) = reports.last_mut() {
        last.warnings.extend(mixed);
    }
    Ok(reports)
}

/// One text for each driver that the images of `reports` have in different versions: a boot image that starts one driver and
/// an installed Windows that starts another are hard to tell apart when something fails.
fn mixed_versions_of(reports: &[ListReport]) -> Vec<String> {
    let name = |report: &ListReport| format!("{}: image {}", report.path, report.index);
    let images: Vec<(String, &[ListedDriver])> =
        reports.iter().map(|report| (name(report), report.drivers.as_slice())).collect();
    mixed_versions(&images)
}

/// What checking an image found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The WIM file.
    pub path: String,
    /// Number of the image.
    pub index: u32,
    /// NAME.
    pub name: Option<String>,
    /// The Windows in it, as `amd64 6.1.7601`.
    pub windows: String,
    /// What keeps it from booting or a driver from working.
    pub findings: Vec<LintFinding>,
    /// What each profile asked for comes to.
    pub profiles: Vec<ProfileReport>,
}

impl CheckReport {
    /// True when Windows may not boot, or something that a profile needs is missing.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
            || self.profiles.iter().any(|profile| profile.verdict == Verdict::Incomplete)
    }
}

/// Checks the images that `targets` name: filters without services, services without files, frameworks that are too old, and what
/// the machines of `profiles` need.
///
/// # Errors
/// What opening and reading gives.
pub fn check(cx: &Context<'_>, targets: &[Target], profiles: &[Profile]) -> Result<Vec<CheckReport>> {
    each_image(cx, targets, Recovery::Leave, |look| {
        let files = ImageFiles::new(look.view);
        let findings = lint_image(&files, look.hives, &look.target)?;
        let profiles = profiles
            .iter()
            .map(|&profile| profiles::check(profile, &files, look.hives, &look.target))
            .collect::<Result<_>>()?;
        let xml = look.wim.xml().images().get(look.image.position());
        Ok(CheckReport {
            path: look.wim.name().to_owned(),
            index: look.image.number(),
            name: xml.and_then(|xml| xml.name().map(str::to_owned)),
            windows: look.target.windows.to_string(),
            findings,
            profiles,
        })
    })
}

/// True when `name` means the driver: by published name, INF, or package folder.
pub(super) fn is_named(driver: &ListedDriver, name: &str) -> bool {
    let folder = driver.folder.as_deref().and_then(|folder| folder.rsplit('\\').next());
    [driver.published.as_deref(), Some(driver.inf.as_str()), folder]
        .into_iter()
        .flatten()
        .any(|own| own.eq_ignore_ascii_case(name))
}

/// What packages are.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The packages.
    pub packages: Vec<PackageReport>,
    /// Files called `.inf` that are none, or cannot be read.
    pub warnings: Vec<String>,
}

/// What a package is, and what an image would say to it.
#[derive(Clone, Debug, Serialize)]
pub struct PackageReport {
    /// The package, and how it applies to each Windows asked about.
    #[serde(flatten)]
    pub info: DriverInfo,
    /// What adding it to each image asked about would come to.
    pub images: Vec<ImageVerdict>,
}

/// What adding a package to an image would come to.
#[derive(Clone, Debug, Serialize)]
pub struct ImageVerdict {
    /// The image, as `install.wim: image 1`.
    pub image: String,
    /// How the package applies to the Windows in it.
    pub applicability: Option<Applicability>,
    /// Why it would be added or not.
    pub verdict: DriverReport,
}

/// Windows versions that a package is tried on when none is named.
const USUAL: [&str; 10] = [
    "7-x86",
    "7-amd64",
    "8.1-x86",
    "8.1-amd64",
    "10-x86",
    "10-amd64",
    "10-arm64",
    "11-amd64",
    "11-arm64",
    "vista-x86",
];

/// Explains the packages at `paths`, for each Windows of `about`: a version such as `7-amd64`, or a WIM, perhaps with an image
/// behind a colon.
///
/// # Errors
/// What opening packages and images gives, `NotFound` when there is no package, what is wrong with an INF when none can be
/// read; others that cannot are told of.
pub fn explain_packages(
    cx: &Context<'_>,
    paths: &[PathBuf],
    about: &[String],
    options: &DriverOptions,
) -> Result<Explanation> {
    let here = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let sources = sources::open_all(cx, paths, &Scratch::beside(cx, here))?;
    let (windows, targets) = asked_about(about)?;
    let (mut reports, odd) = explain_alone(cx, &sources, &windows, options)?;
    each_image(cx, &targets, Recovery::Leave, |mut look| {
        let includes = ImageInfs::new(look.view, look.target.language);
        let all: Vec<&dyn PackageFiles> = sources.iter().map(AsRef::as_ref).collect();
        let hardware = HardwareMatch::among(&all, &look.target, options, cx.cancel)?;
        for report in &mut reports {
            let source = sources.iter().find(|source| source.name() == report.info.source);
            let Some(source) = source else { continue };
            let only = OnlyInf { source: source.as_ref(), inf: &report.info.inf };
            let how = (options, hardware.as_ref());
            report.images.push(judge(&mut look, &only, &includes, how, cx.cancel)?);
        }
        Ok(())
    })?;
    Ok(Explanation { packages: reports, warnings: odd.iter().map(ToString::to_string).collect() })
}

/// The versions of Windows and the WIM files that `about` names; the usual versions where it names nothing.
fn asked_about(about: &[String]) -> Result<(Vec<TargetWindows>, Vec<Target>)> {
    if about.is_empty() {
        return Ok((USUAL.iter().map(|name| parse_windows(name)).collect::<Result<_>>()?, Vec::new()));
    }
    let (mut windows, mut targets) = (Vec::new(), Vec::new());
    for text in about {
        let target = Target::parse(text);
        if can_be_opened(&target.path) {
            targets.push(target);
        } else {
            windows.push(
                parse_windows(text).map_err(|e| e.remedy("name a Windows as in 7-amd64, or a WIM file"))?,
            );
        }
    }
    Ok((windows, targets))
}

/// What every package of `sources` is, without an image, and what is wrong with the INFs that cannot be read.
fn explain_alone(
    cx: &Context<'_>,
    sources: &[Box<dyn PackageFiles + '_>],
    windows: &[TargetWindows],
    options: &DriverOptions,
) -> Result<(Vec<PackageReport>, Vec<Error>)> {
    let parse = ParseOptions { code_page: options.code_page, ..ParseOptions::default() };
    let (mut reports, mut odd) = (Vec::new(), Vec::new());
    for source in sources {
        for inf in find_infs(source.as_ref()) {
            cx.cancel.check()?;
            match Package::open(source.as_ref(), &inf, parse) {
                Ok(package) => reports.push(PackageReport {
                    info: explain(&package, windows, &NoIncludes, options),
                    images: Vec::new(),
                }),
                Err(e) if !is_of_the_inf(e.kind()) => return Err(e.in_file(source.name())),
                Err(e) => odd.push(e.in_file(source.name())),
            }
        }
    }
    // What was cancelled within the last package looks like a refusal of it.
    cx.cancel.check()?;
    if let Some(e) = odd.pop_if(|_| reports.is_empty()) {
        return Err(e);
    }
    if reports.is_empty() {
        return Err(Error::not_found("there is no driver package: no .inf file")
            .remedy("give the folder that holds the driver's .inf file, or one above it"));
    }
    Ok((reports, odd))
}

/// True for what is wrong with one INF, and no reason to leave the others unexplained.
const fn is_of_the_inf(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Format | ErrorKind::Limit | ErrorKind::Unsupported | ErrorKind::InvalidInput)
}

/// How one package applies to an image, and what adding it among all that were given would come to; nothing is kept of that.
fn judge(
    look: &mut Look<'_, '_>,
    only: &OnlyInf<'_>,
    includes: &ImageInfs<'_>,
    (options, hardware): (&DriverOptions, Option<&HardwareMatch<'_>>),
    cancel: &Cancel,
) -> Result<ImageVerdict> {
    let parse = ParseOptions { language: look.target.language, code_page: options.code_page };
    let package = Package::open(only.source, only.inf, parse)?;
    let info = explain(&package, &[look.target.windows], includes, options);
    let before = look.hives.savepoint();
    let plan = drivers::plan_part(&[only], hardware, look.view, look.hives, &look.target, options, cancel);
    look.hives.roll_back(before)?;
    let verdict = plan?.reports.into_iter().next();
    let verdict =
        verdict.ok_or_else(|| Error::not_found(format!("{} is not in {}", only.inf, only.source.name())))?;
    let image = format!("{}: image {}", look.wim.name(), look.image);
    Ok(ImageVerdict { image, applicability: info.applicability.into_iter().next(), verdict })
}

/// A source of which one INF is offered.
struct OnlyInf<'s> {
    source: &'s dyn PackageFiles,
    inf: &'s str,
}

impl PackageFiles for OnlyInf<'_> {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn list(&self) -> &[PackageFile] {
        self.source.list()
    }

    fn is_offered(&self, inf: &str) -> bool {
        inf == self.inf
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        self.source.read(file, limit)
    }

    fn digests(&self, file: &PackageFile, limit: u64) -> Result<FileDigests> {
        self.source.digests(file, limit)
    }

    fn keep(&self, bytes: Vec<u8>, digests: &FileDigests) -> Result<Content> {
        self.source.keep(bytes, digests)
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.source.content(file)
    }
}
