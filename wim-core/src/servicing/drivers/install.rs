//! Adds driver packages to an image: one plan for all packages, one report for each.
//!
//! The order of work is that of drivers.md 3.1. A package that is refused leaves no trace: file changes and registry edits go
//! back to the savepoint taken before it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::adopt::{self, NotItsOwn};
use super::boot;
use super::database;
use super::framework;
use super::level_a::LevelA;
use super::level_b::LevelB;
use super::lint;
use super::manifest::{self, Manifest, ManifestEdit, ManifestEntry, StartLine};
use super::options::{DriverOptions, LineEnds, Newer, Unbootable};
use super::package::{Package, Packages};
use super::place::{Done, Job};
use super::policy::{self, HardwareMatch};
use super::registry_lines::start_type;
use super::report::{Added, CatalogState, DriverReport, How, Outcome};
use super::select::{self, ImageInfs, NotSelected, Selection};
use super::service_changes::{self, ServiceChange};
use super::signature::{self, SignatureReport};
use super::staged::{self, Staged};
use super::store::{self, FilesSavepoint, ImageFiles};
use super::trust;
use super::winpe::{self, Loaded, ToLoad};
use crate::base::hex;
use crate::base::{Cancel, Error, ErrorKind, Result};
use crate::formats::inf::ParseOptions;
use crate::image::edit::{Change, View};
use crate::servicing::hive_set::{Edit, HiveName, HiveSet, Savepoint, cancel_out, control_set_key};
use crate::servicing::package_files::PackageFiles;
use crate::servicing::target::{ImageTarget, StoreGeneration};

/// What adding drivers comes to.
#[derive(Debug)]
pub struct DriverPlan {
    /// One report per INF, in the order they were taken.
    pub reports: Vec<DriverReport>,
    /// File changes; registry edits are in the hive set.
    pub changes: Vec<Change>,
}

/// Plans adding all packages of `sources` to the image behind `view`.
///
/// Registry edits are made through `hives`, under a savepoint per package.
///
/// # Errors
/// What reading the image's manifest or hives gives, `Cancelled`; a package that cannot be added is reported, not an error.
pub fn plan(
    sources: &[&dyn PackageFiles],
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    target: &ImageTarget,
    options: &DriverOptions,
    cancel: &Cancel,
) -> Result<DriverPlan> {
    plan_part(sources, None, view, hives, target, options, cancel)
}

/// [`plan`] for packages that are a part of more: which of them the machine needs is known from `hardware`, made of all.
///
/// # Errors
/// As [`plan`].
pub fn plan_part(
    sources: &[&dyn PackageFiles],
    hardware: Option<&HardwareMatch<'_>>,
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    target: &ImageTarget,
    options: &DriverOptions,
    cancel: &Cancel,
) -> Result<DriverPlan> {
    let parse = ParseOptions { language: target.language, code_page: options.code_page };
    let Packages { mut packages, unreadable } = Packages::open(sources, parse, cancel)?;
    let odd = unreadable.into_iter().map(|(source, path, e)| unreadable_inf(source, path, &e));
    let mut reports: Vec<DriverReport> = odd.collect();
    // A base driver before what extends it, a host before the hubs below it; else in the order given.
    packages.sort_by_cached_key(|package| {
        (package.version().is_extension(), policy::hangs_below_another(package, &target.windows, options))
    });
    let own = match (hardware, &options.hardware) {
        (None, Some(ids)) => Some(HardwareMatch::new(ids, &packages, &target.windows, options.undecorated)),
        _ => None,
    };
    let mut planner = Planner {
        image: ImageFiles::new(view),
        manifest: Manifest::load(view)?,
        includes: ImageInfs::new(view, target.language),
        target,
        options,
        hardware: hardware.or(own.as_ref()),
        done: BTreeSet::new(),
        faults: None,
        waits: false,
    };
    let loaded = planner.manifest.clone();
    let mut waiting = Vec::new();
    for package in &packages {
        cancel.check()?;
        let report = planner.add(package, hives)?;
        if std::mem::take(&mut planner.waits) {
            waiting.push((package, reports.len()));
        }
        reports.extend(report);
    }
    // What they lacked may have come with a later one.
    for (package, index) in waiting {
        cancel.check()?;
        let again = planner.add(package, hives)?;
        if let (Some(slot), Some(again)) = (reports.get_mut(index), again) {
            *slot = again;
        }
    }
    // What was cancelled within the last package looks like a refusal of it.
    cancel.check()?;
    if planner.manifest != loaded {
        planner.store_manifest()?;
    }
    Ok(DriverPlan { reports, changes: planner.image.into_changes() })
}

fn unreadable_inf(source: &dyn PackageFiles, inf: String, e: &Error) -> DriverReport {
    let outcome = match e.kind() {
        ErrorKind::Format => Outcome::Skipped { reason: e.to_string(), decorations: Vec::new() },
        _ => Outcome::refused(e),
    };
    DriverReport {
        source: source.name().to_owned(),
        inf,
        class: None,
        provider: None,
        date: None,
        version: None,
        catalog: CatalogState::None,
        signature: None,
        outcome,
        findings: Vec::new(),
    }
}

/// One package, read and chosen.
struct PackageJob<'a, 'p> {
    package: &'a Package<'p>,
    selection: &'a Selection,
    staged: &'a Staged,
}

/// What came of putting a package into an image.
enum Put {
    Done(Box<Done>),
    StagedByWindows { published: String, folder: String },
}

/// An image as it was before a package.
struct Before {
    files: FilesSavepoint,
    hives: Savepoint,
    /// Length of the hives' journal.
    edits: usize,
    /// The package is on the list of added drivers.
    known: bool,
}

/// What is recorded of a package beside what was done for it.
struct Extras {
    start_lines: Vec<StartLine>,
    made: Vec<String>,
    signer: Option<String>,
}

struct Planner<'a> {
    image: ImageFiles<'a>,
    manifest: Manifest,
    includes: ImageInfs<'a>,
    target: &'a ImageTarget,
    options: &'a DriverOptions,
    hardware: Option<&'a HardwareMatch<'a>>,
    /// Identities that were dealt with in this job.
    done: BTreeSet<[u8; 32]>,
    /// What may keep Windows from booting as the image is so far; none before the first package.
    faults: Option<BTreeSet<String>>,
    /// The last package was refused for what another one may bring.
    waits: bool,
}

impl Planner<'_> {
    /// Adds one package; no report for one that came before in the same job.
    fn add(&mut self, package: &Package<'_>, hives: &mut HiveSet<'_>) -> Result<Option<DriverReport>> {
        let mut findings: Vec<String> = package.inf().findings().iter().map(ToString::to_string).collect();
        let mut signature = None;
        let outcome = match self.choose(package, hives, &mut findings) {
            Err(NotSelected::NotForThis(reason, decorations)) => Outcome::Skipped { reason, decorations },
            Err(NotSelected::Refused(e)) => Outcome::refused(&e),
            Ok((selection, staged)) => {
                if !self.done.insert(staged.identity) {
                    return Ok(None);
                }
                findings.extend(selection.findings.iter().map(ToString::to_string));
                let windows = &self.target.windows;
                let report = signature::check(&staged, windows, &self.options.roots);
                let rules = (windows, self.options);
                findings.extend(policy::boot_files_without_signature(&selection, &staged, rules, &report));
                let chosen = (&selection, &staged);
                let verdict =
                    policy::signature_verdict(chosen, &report, &self.image, hives, rules, &mut findings)?;
                signature = Some(report);
                match verdict {
                    Some(e) => Outcome::refused(&e),
                    None => {
                        let job = PackageJob { package, selection: &selection, staged: &staged };
                        self.install(&job, signature.as_ref(), hives, &mut findings)?
                    }
                }
            }
        };
        let version = package.version();
        Ok(Some(DriverReport {
            source: package.source().name().to_owned(),
            inf: package.inf_path().to_owned(),
            class: version.class.clone(),
            provider: version.provider.clone(),
            date: version.driver_ver.map(|v| v.date_text()),
            version: version.driver_ver.map(|v| v.version_text()),
            catalog: match package.catalog(self.target.windows.arch) {
                None => CatalogState::None,
                Some((name, None)) => CatalogState::Missing { name: name.to_owned() },
                Some((name, Some(_))) => CatalogState::Present { name: name.to_owned() },
            },
            signature,
            outcome,
            findings,
        }))
    }

    /// Everything that can be decided before the image is touched.
    fn choose(
        &self,
        package: &Package<'_>,
        hives: &mut HiveSet<'_>,
        findings: &mut Vec<String>,
    ) -> Result<(Selection, Staged), NotSelected> {
        if let Some(layout) = &package.version().layout_file {
            return Err(NotSelected::NotForThis(
                format!("an INF of Windows itself: its files come from {layout}"),
                Vec::new(),
            ));
        }
        let windows = &self.target.windows;
        let class_guid = select::class_guid(package, hives)?;
        let undecorated = self.options.undecorated;
        let is_critical = boot::is_boot_critical_in(hives, &class_guid)?;
        let mut selection = select::select_with(package, windows, &self.includes, class_guid, undecorated)?;
        selection.boot_critical = is_critical;
        let on_pe =
            || self.target.is_winpe.then(|| policy::winpe_verdict(&selection, self.options.winpe_classes));
        let unwanted = self.hardware.as_ref().and_then(|hardware| hardware.verdict(package, &selection));
        if let Some(reason) = on_pe().flatten().or(unwanted) {
            return Err(NotSelected::NotForThis(reason, Vec::new()));
        }
        if windows.version() < (6, 0) {
            return Err(NotSelected::Refused(
                Error::unsupported(format!(
                    "Windows {}.{}: drivers can be added from Windows Vista on",
                    windows.major, windows.minor
                ))
                .remedy("integrate it on that Windows itself; images of Vista and later are serviced here"),
            ));
        }
        let mut staged = Staged::new(package, &selection, windows.arch)?;
        if self.options.line_ends == LineEnds::RestoreSigned {
            let mut restored = Vec::new();
            staged = signature::restore_line_ends(staged, package.source(), &mut restored)?;
            findings.extend(restored.iter().map(|path| policy::restored_note(path)));
        }
        staged::check_machines(&selection, &staged, windows.arch)?;
        Ok((selection, staged))
    }

    fn install(
        &mut self,
        job: &PackageJob<'_, '_>,
        signature: Option<&SignatureReport>,
        hives: &mut HiveSet<'_>,
        findings: &mut Vec<String>,
    ) -> Result<Outcome> {
        if let Err(e) = framework::check(job.selection, &self.image, &self.target.windows) {
            if !self.options.ignore_framework {
                return Ok(Outcome::refused(&e));
            }
            findings.push(framework::as_finding(&e));
        }
        let identity = hex::encode(&job.staged.identity);
        let known = self.manifest.find(&identity).is_some();
        findings.extend(self.other_versions(job.package, &identity));
        if self.faults.is_none() {
            self.faults = Some(lint::errors(&self.image, hives)?);
        }
        let files_before = self.image.savepoint();
        let hives_before = hives.savepoint();
        let edits_before = hives.journal().len();
        let done = match self.put(job, signature, hives, known) {
            Ok(Put::Done(done)) => done,
            Ok(Put::StagedByWindows { published, folder }) => {
                findings.push(format!("Windows itself has it in its driver store, as {published}"));
                return Ok(Outcome::AlreadyPresent { folder });
            }
            Err(e) => {
                self.image.roll_back(files_before);
                hives.roll_back(hives_before)?;
                return Ok(Outcome::refused(&e));
            }
        };
        if let Some(e) = self.new_faults(hives, edits_before, findings)? {
            self.image.roll_back(files_before);
            hives.roll_back(hives_before)?;
            self.done.remove(&job.staged.identity);
            self.waits = true;
            return Ok(Outcome::refused(&e));
        }
        let before = Before { files: files_before, hives: hives_before, edits: edits_before, known };
        self.conclude(job, *done, signature, &before, hives, findings)
    }

    /// Has Windows PE load what was put into an image, and records it.
    fn conclude(
        &mut self,
        job: &PackageJob<'_, '_>,
        done: Done,
        signature: Option<&SignatureReport>,
        before: &Before,
        hives: &mut HiveSet<'_>,
        findings: &mut Vec<String>,
    ) -> Result<Outcome> {
        let Before { files: files_before, hives: hives_before, edits: edits_before, known } = *before;
        let Added { folder, device_ids: ids, .. } = &done.added;
        let inf = job.package.inf_name();
        let start_lines = match self.load_at_start(ToLoad { inf, folder, ids }, findings) {
            Ok(lines) => lines,
            Err(e) => {
                self.image.roll_back(files_before);
                hives.roll_back(hives_before)?;
                return Ok(Outcome::refused(&e));
            }
        };
        // What a DelReg line deletes and an AddReg line sets again is no change.
        let made = hives.journal().get(edits_before..).unwrap_or_default();
        if !made.is_empty() && cancel_out(made) {
            hives.roll_back(hives_before)?;
        }
        let edits: Vec<ManifestEdit> =
            hives.journal().iter().skip(edits_before).map(ManifestEdit::from).collect();
        let unchanged = edits.is_empty() && self.image.changes_since(files_before) == 0;
        findings.extend(done.findings.iter().cloned());
        if unchanged && known {
            findings.extend(self.without_effect(job, &done, hives)?.map(str::to_owned));
            return Ok(Outcome::AlreadyPresent { folder: done.added.folder });
        }
        // What Windows' own database knows is removed by that as well as by the list.
        let is_in_database = done.adopted && done.published.is_some();
        if done.adopted {
            let what = if is_in_database { "Windows' database has it" } else { "it is on that list again" };
            findings.push(format!("it was there, but not on the list of added drivers; {what}"));
        }
        if !is_in_database {
            let made = self.image.made_since(files_before);
            let signer =
                signature.filter(|report| report.is_signed()).and_then(|report| report.signer.clone());
            self.record(job, &done, edits, Extras { start_lines, made, signer });
        }
        Ok(match unchanged && done.adopted {
            true => Outcome::AlreadyPresent { folder: done.added.folder },
            false => Outcome::Added(done.added),
        })
    }

    /// What was asked for and is not so, since the driver was added before without it.
    fn without_effect(
        &self,
        job: &PackageJob<'_, '_>,
        done: &Done,
        hives: &mut HiveSet<'_>,
    ) -> Result<Option<&'static str>> {
        let set = hives.control_sets()?.first().copied();
        for service in job.selection.installs.iter().flat_map(|selected| &selected.install.services) {
            let wanted = start_type(service, &job.selection.class_guid, self.options.boot_start);
            let Some(set) = set.filter(|_| !service.inbox && wanted != service.start_type) else { continue };
            let key = format!("{}\\Services\\{}", control_set_key(set), service.name);
            let now = hives.get(HiveName::System, &key, "Start")?.and_then(|value| value.as_dword());
            if now.is_some() && now != wanted {
                return Ok(Some(
                    "it was added without boot start and stays so: remove it, then add it again",
                ));
            }
        }
        for file in done.relied_on.iter().filter(|file| !file.never_replaces) {
            let (there, own) = (self.image.spelled(&file.path)?, self.image.spelled(&file.own)?);
            if self.options.newer == Newer::Replace
                && self.image.sha256_of(&there)? != self.image.sha256_of(&own)?
            {
                return Ok(Some("newer files stayed when it was added: remove it, then add it again"));
            }
        }
        Ok(None)
    }

    /// The lines by which a Windows PE loads the package when it starts; none for others.
    fn load_at_start(&mut self, package: ToLoad<'_>, findings: &mut Vec<String>) -> Result<Vec<StartLine>> {
        if !self.target.is_winpe || self.target.generation != StoreGeneration::Legacy {
            return Ok(Vec::new());
        }
        Ok(match winpe::load_at_start(&mut self.image, &mut self.manifest, package)? {
            Loaded::Line(line) | Loaded::AlreadyThere(line) => vec![line],
            Loaded::Not(why) => {
                findings.push(why);
                Vec::new()
            }
        })
    }

    /// Why Windows may not boot with what the last package did, if it did before; told in `findings` where it is wanted all the same.
    fn new_faults(
        &mut self,
        hives: &mut HiveSet<'_>,
        edits_before: usize,
        findings: &mut Vec<String>,
    ) -> Result<Option<Error>> {
        const CONTROL_SET: &str = "ControlSet";
        let is_of_set = |edit: &Edit| {
            edit.key.get(..CONTROL_SET.len()).is_some_and(|key| key.eq_ignore_ascii_case(CONTROL_SET))
        };
        // Filters and services are all in the control sets.
        if !hives.journal().iter().skip(edits_before).any(is_of_set) {
            return Ok(None);
        }
        let now = lint::errors(&self.image, hives)?;
        let before = self.faults.take().unwrap_or_default();
        let changed = service_changes::changes_of(hives, edits_before, &self.manifest)?;
        let later = changed.iter().filter_map(ServiceChange::fault);
        let new: Vec<String> = now.difference(&before).cloned().chain(later).collect();
        if !new.is_empty() && self.options.unbootable == Unbootable::Refuse {
            self.faults = Some(before);
            return Ok(Some(store::refusal(
                format!("Windows may not boot with it: {}", new.join("; ")),
                "add the package that brings what is missing in the same job, or use another version of this one; or force it",
            )));
        }
        self.faults = Some(now);
        findings.extend(changed.iter().map(ServiceChange::note));
        findings.extend(new.into_iter().map(|text| format!("Windows may not boot: {text}")));
        Ok(None)
    }

    /// Puts a package into the image by the means of its generation.
    fn put(
        &mut self,
        job: &PackageJob<'_, '_>,
        signature: Option<&SignatureReport>,
        hives: &mut HiveSet<'_>,
        known: bool,
    ) -> Result<Put> {
        let PackageJob { package, selection, staged } = *job;
        let nothing = NotItsOwn::default();
        let strange;
        let mut job = Job {
            package,
            selection,
            staged,
            target: &self.target.windows,
            options: self.options,
            manifest: &self.manifest,
            completing: known,
            adopting: false,
            strange: &nothing,
        };
        let mut done = match (self.target.generation, signature) {
            (StoreGeneration::Modern, Some(signature)) => {
                let recorded = self.manifest.find(&hex::encode(&staged.identity));
                let mut published = recorded.and_then(|entry| entry.published.clone());
                if published.is_none() {
                    let (bytes, name) = (package.inf_bytes(), package.inf_name());
                    let own = LevelB { job, signature };
                    // Added before, and the list of added drivers was lost since.
                    published = database::published_as(hives, &own.package_name())?.map(|(_, name)| name);
                    job = own.job;
                    job.adopting = published.is_some();
                    job.completing |= job.adopting;
                    if published.is_none()
                        && let Some((published, folder)) =
                            database::staged_by_windows(self.image.view(), hives, bytes, name)?
                    {
                        let folder = format!("{}\\{folder}", database::FILE_REPOSITORY);
                        return Ok(Put::StagedByWindows { published, folder });
                    }
                }
                let level = LevelB { job, signature };
                level.check()?;
                level.install(&mut self.image, hives, published)?
            }
            _ => {
                if !known && LevelA(job).is_there(&self.image)? {
                    let folder = LevelA(job).folder(&self.image)?;
                    strange = NotItsOwn::find(&self.image, hives, &job, &folder)?;
                    job = Job { adopting: true, completing: true, strange: &strange, ..job };
                }
                let level = LevelA(job);
                level.check()?;
                level.install(&mut self.image, hives)?
            }
        };
        if let Some(signature) = signature {
            trust::trust(staged, signature, self.options.publisher, hives, &mut done)?;
        }
        Ok(Put::Done(Box::new(done)))
    }

    /// Other versions of the same driver that were added before.
    fn other_versions(&self, package: &Package<'_>, identity: &str) -> Vec<String> {
        let own = package.version().driver_ver;
        let same = self.manifest.drivers.iter().filter(|entry| {
            entry.identity != identity
                && entry.inf.eq_ignore_ascii_case(package.inf_name())
                && entry.provider == package.version().provider
        });
        same.map(|entry| {
            let (date, version) = (entry.date.clone(), entry.version.clone().unwrap_or_default());
            let than = match (date, own.map(|own| own.date_text())) {
                (Some(other), Some(own)) if other > own => "newer",
                (Some(other), Some(own)) if other < own => "older",
                _ => "other",
            };
            format!("the {than} version {version} of it was added before; Windows prefers the one of the later date")
        })
        .collect()
    }

    fn record(
        &mut self,
        job: &PackageJob<'_, '_>,
        done: &Done,
        mut registry: Vec<ManifestEdit>,
        extras: Extras,
    ) {
        let PackageJob { package, selection, staged } = *job;
        if done.adopted {
            registry.splice(0..0, adopt::edits(done, selection, &mut self.manifest, &done.strange));
        }
        let kept: Vec<ManifestEdit> = done.kept.iter().map(ManifestEdit::from).collect();
        let shared = self.manifest.shared_edits(&registry, &kept);
        registry.splice(0..0, shared);
        // Its own records in the driver database are known by its names and need not be listed; what its INF does to others' there is.
        if let Some(published) = &done.published {
            let name = done.added.folder.rsplit('\\').next().unwrap_or_default();
            registry.retain(|edit| {
                edit.key_deleted || !database::is_record_of(&edit.key, edit.value.as_deref(), published, name)
            });
        }
        let version = package.version();
        let Added { how, folder, boot_critical, services, device_ids, .. } = &done.added;
        self.manifest.record(ManifestEntry {
            inf: package.inf_name().to_owned(),
            identity: hex::encode(&staged.identity),
            // Set when it is recorded.
            order: 0,
            how: match how {
                How::LevelA => "level_a".to_owned(),
                How::LevelB => "level_b".to_owned(),
            },
            folder: folder.clone(),
            published: done.published.clone(),
            class: version.class.clone(),
            class_guid: selection.class_guid.clone(),
            provider: version.provider.clone(),
            date: version.driver_ver.map(|v| v.date_text()),
            version: version.driver_ver.map(|v| v.version_text()),
            catalog: staged.catalog.clone(),
            arch: self.target.windows.arch.name().to_owned(),
            boot_critical: *boot_critical,
            ids: device_ids.clone(),
            services: services.iter().map(|service| service.name.clone()).collect(),
            files: done.files.clone(),
            relied_on: done.relied_on.clone(),
            registry,
            start_lines: extras.start_lines,
            made_folders: extras.made,
            signer: extras.signer,
        });
    }

    fn store_manifest(&mut self) -> Result<()> {
        let path = self.image.spelled(manifest::PATH)?;
        let bytes: Arc<[u8]> = self.manifest.to_bytes()?.into();
        let put = self.image.put_bytes(&path, bytes, "drivers: the list of those added")?;
        debug_assert!(put != store::Put::AlreadyThere, "a changed manifest has changed bytes");
        Ok(())
    }
}
