//! One package against one image: an outcome with its reason.
//!
//! Source: updates.md 7. What the package's own manifests say comes first, then the table of `windows7.rs`. An update that
//! the image's own servicing stack would refuse is never called applicable: licences are not checked here, let alone faked.

use std::collections::BTreeSet;

use serde::Serialize;

use super::applicability::{AppliedUpdate, Evaluation, Evaluator};
use super::image_state::{ImageState, PackageState};
use super::installers::installers_needed;
use super::package::{Kb, UpdatePackage};
use super::windows7::{self, Need, Strength};
use crate::base::{Architecture, Error, ErrorKind, Result};
use crate::formats::cbs::{AssemblyIdentity, AssemblyVersion, ComponentManifest, PackageId};
use crate::servicing::hive_set::HiveSet;

/// Something that is to be in the image before an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The update to get.
    pub kb: Option<Kb>,
    /// What it is for.
    pub what: String,
    /// Others that satisfy it too.
    #[serde(skip)]
    pub any_of: Vec<Kb>,
    /// Least servicing stack that satisfies it.
    #[serde(skip)]
    pub stack: Option<AssemblyVersion>,
}

/// An installer that a component needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstallerNeed {
    /// The installer, in words.
    pub installer: String,
    /// Key form of the first component that needs it, or the name of a driver.
    pub component: String,
    /// How many components need it.
    pub components: usize,
}

/// What an update would be to an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It applies, and its content can be put in place as data.
    Applicable,
    /// The image has it.
    AlreadyPresent {
        /// How the image has it.
        why: String,
    },
    /// The image, or another file given, has something newer.
    Superseded {
        /// What.
        by: String,
    },
    /// It is not for this image.
    NotApplicable {
        /// Why.
        why: String,
    },
    /// Something has to come first.
    PrerequisiteMissing {
        /// What.
        missing: Vec<Missing>,
    },
    /// It applies, but only Windows itself can install it.
    NeedsInstaller {
        /// For what.
        installers: Vec<InstallerNeed>,
    },
    /// The image has operations that are still to be done.
    PendingImage {
        /// Which.
        why: Vec<String>,
    },
    /// It cannot be told.
    Unknown {
        /// Why.
        why: String,
    },
    /// The file is damaged or no package at all.
    Unreadable {
        /// What is wrong with it.
        why: String,
    },
}

impl Outcome {
    /// True when it is to be installed, by whom ever.
    #[must_use]
    pub fn is_to_install(&self) -> bool {
        matches!(self, Self::Applicable | Self::NeedsInstaller { .. })
    }

    /// What an error in reading a package makes of it, told as `why`: its damage is an answer about it alone, so that
    /// other packages go on.
    ///
    /// # Errors
    /// `error` itself when it says nothing about the package: cancelled, or not to be read at all.
    pub fn of_error(error: Error, why: String) -> Result<Self> {
        match error.kind() {
            ErrorKind::Format | ErrorKind::Corrupt | ErrorKind::Limit | ErrorKind::InvalidInput => {
                Ok(Self::Unreadable { why })
            }
            // Sound, but of a kind that is not read, or a delta of what is not at hand.
            ErrorKind::Unsupported | ErrorKind::NotFound => Ok(Self::Unknown { why }),
            _ => Err(error),
        }
    }

    fn of_manifest_error(error: Error) -> Result<Self> {
        let why = error.to_string();
        Self::of_error(error, why)
    }

    /// The outcome in two words.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Applicable => "applicable",
            Self::AlreadyPresent { .. } => "already there",
            Self::Superseded { .. } => "superseded",
            Self::NotApplicable { .. } => "not applicable",
            Self::PrerequisiteMissing { .. } => "prerequisite missing",
            Self::NeedsInstaller { .. } => "needs an installer",
            Self::PendingImage { .. } => "pending image",
            Self::Unknown { .. } => "unknown",
            Self::Unreadable { .. } => "unreadable",
        }
    }

    /// Its reason, without the label; empty for an update that simply applies.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Applicable => String::new(),
            Self::AlreadyPresent { why }
            | Self::NotApplicable { why }
            | Self::Unknown { why }
            | Self::Unreadable { why } => why.clone(),
            Self::Superseded { by } => format!("by {by}"),
            Self::PrerequisiteMissing { missing } => {
                let texts: Vec<String> = missing.iter().map(Missing::text).collect();
                texts.join("; ")
            }
            Self::NeedsInstaller { installers } => {
                let texts: Vec<String> = installers.iter().map(InstallerNeed::text).collect();
                texts.join("; ")
            }
            Self::PendingImage { why } => why.join("; "),
        }
    }
}

impl Missing {
    fn text(&self) -> String {
        match self.kb {
            Some(kb) => format!("{kb} ({})", self.what),
            None => self.what.clone(),
        }
    }
}

impl InstallerNeed {
    fn text(&self) -> String {
        let more = match self.components.saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} of {}{more}", self.installer, self.component)
    }
}

/// What came of judging one package.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The outcome.
    pub outcome: Outcome,
    /// Outcome once all prerequisites are there; equal to [`Self::outcome`] when none is missing.
    pub afterwards: Outcome,
    /// Packages to install, children first.
    pub packages: Vec<PackageId>,
    /// Updates that apply.
    pub applied: Vec<AppliedUpdate>,
    /// Prerequisites that are not firm: what to know, and what goes first when it is given too.
    pub advised: Vec<Missing>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

impl Judgement {
    fn only(outcome: Outcome) -> Self {
        Self {
            afterwards: outcome.clone(),
            outcome,
            packages: Vec::new(),
            applied: Vec::new(),
            advised: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Judges `package` against the image.
///
/// # Errors
/// What reading the image's hives gives; manifests of the package that cannot be read are an [outcome](Outcome::of_error).
pub fn judge(package: &UpdatePackage<'_>, state: &ImageState, hives: &mut HiveSet<'_>) -> Result<Judgement> {
    let id = &package.top().id;
    let early = by_architecture(id, state.target.windows.arch)
        .or_else(|| by_packages(id, state))
        .or_else(|| by_table(package, state));
    if let Some(outcome) = early {
        return Ok(Judgement::only(outcome));
    }
    if state.packages.is_empty() {
        let why =
            "the image has no records of its packages: no \\Windows\\servicing\\Packages, no keys of CBS";
        return Ok(Judgement::only(Outcome::Unknown { why: why.to_owned() }));
    }
    if !state.pending.is_empty() {
        return Ok(Judgement::only(Outcome::PendingImage { why: state.pending.clone() }));
    }
    let evaluation = Evaluator { state, hives }.package(package)?;
    if let Some(outcome) = by_evaluation(&evaluation) {
        return Ok(Judgement::only(outcome));
    }
    let (missing, advised) = prerequisites(package, state);
    let afterwards = match licence(package, state) {
        Some(why) => Outcome::Unknown { why },
        None => installable(package, &evaluation, state, hives)?,
    };
    let outcome = match missing.is_empty() {
        true => afterwards.clone(),
        false => Outcome::PrerequisiteMissing { missing },
    };
    let mut notes = package.notes.clone();
    if state.is_approximate {
        notes.push(
            "the image has no SOFTWARE hive: what is installed is guessed from its .mum files".to_owned(),
        );
    }
    notes.extend(evaluation.doubts.iter().map(|doubt| format!("left out, since it cannot be told: {doubt}")));
    let (packages, applied) = (evaluation.packages, evaluation.applied);
    Ok(Judgement { outcome, afterwards, packages, applied, advised, notes })
}

fn by_architecture(id: &PackageId, image: Architecture) -> Option<Outcome> {
    let is_any = matches!(id.architecture.to_ascii_lowercase().as_str(), "neutral" | "msil" | "");
    if is_any || id.architecture.eq_ignore_ascii_case(image.name()) {
        return None;
    }
    Some(Outcome::NotApplicable { why: format!("it is for {}, and the image is {image}", id.architecture) })
}

/// What the image's own list of packages says.
fn by_packages(id: &PackageId, state: &ImageState) -> Option<Outcome> {
    let same = state.packages.iter().filter(|package| package.id.is_same_family(id));
    let newer = same.clone().find(|package| package.id.version > id.version && package.is_installed(state));
    if let Some(newer) = newer {
        return Some(Outcome::Superseded { by: format!("{}, which is installed", newer.id) });
    }
    let this = same.clone().find(|package| package.id.version == id.version)?;
    if this.is_installed(state) {
        let label = this.state.map_or("installed, to judge by its .mum file", PackageState::label);
        return Some(Outcome::AlreadyPresent { why: format!("{} is {label}", this.id) });
    }
    if this.state == Some(PackageState::Superseded) {
        return Some(Outcome::Superseded { by: "something newer, as the image records it".to_owned() });
    }
    None
}

fn by_table(package: &UpdatePackage<'_>, state: &ImageState) -> Option<Outcome> {
    if !is_windows7(state) {
        return None;
    }
    let entry = package.kb().and_then(windows7::entry)?;
    let newer = entry.replaced_by.iter().map(|&kb| Kb(kb)).find(|&kb| state.has_kb(kb))?;
    Some(Outcome::Superseded { by: format!("{newer}, which is installed") })
}

fn by_evaluation(evaluation: &Evaluation) -> Option<Outcome> {
    if !evaluation.applied.is_empty() {
        return None;
    }
    if let Some(doubt) = evaluation.doubts.first() {
        return Some(Outcome::Unknown { why: doubt.clone() });
    }
    if let Some((name, version)) = evaluation.present.first() {
        let more = match evaluation.present.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len() {
            0 | 1 => String::new(),
            count => format!(" and {} more components", count - 1),
        };
        return Some(Outcome::Superseded {
            by: format!("what the image has already: {name} {version}{more}"),
        });
    }
    let why = evaluation.reasons.first().cloned();
    Some(Outcome::NotApplicable {
        why: why.unwrap_or_else(|| "there is nothing in it for this image".to_owned()),
    })
}

fn is_windows7(state: &ImageState) -> bool {
    (state.target.windows.major, state.target.windows.minor) == (6, 1)
}

/// What is missing: firmly, and by advice.
fn prerequisites(package: &UpdatePackage<'_>, state: &ImageState) -> (Vec<Missing>, Vec<Missing>) {
    let (mut firm, mut advised) = (Vec::new(), Vec::new());
    if let Some(installer) = &package.top().manifest.installer
        && state.stack.is_some_and(|stack| stack < installer.version)
    {
        firm.push(missing_stack(installer.version, state));
    }
    let needs = package.kb().and_then(windows7::entry).filter(|_| is_windows7(state));
    for need in needs.map_or(&[][..], |entry| entry.needs) {
        if is_satisfied(need, state) {
            continue;
        }
        let missing = Missing {
            kb: need.any_of.first().map(|&kb| Kb(kb)),
            what: need.why.to_owned(),
            any_of: need.any_of.iter().map(|&kb| Kb(kb)).collect(),
            stack: need.stack,
        };
        match need.strength {
            Strength::Stated => firm.push(missing),
            Strength::Advised => advised.push(missing),
        }
    }
    (firm, advised)
}

fn is_satisfied(need: &Need, state: &ImageState) -> bool {
    need.any_of.iter().any(|&kb| state.has_kb(Kb(kb)))
        || need.stack.zip(state.stack).is_some_and(|(least, has)| has >= least)
}

/// A servicing stack of at least that version, by its article where the table knows one.
fn missing_stack(least: AssemblyVersion, state: &ImageState) -> Missing {
    let has = state.stack.map_or_else(|| "none".to_owned(), |version| version.to_string());
    let what = format!("servicing stack {least} or later; the image has {has}");
    let known = windows7::ENTRIES.iter().flat_map(|entry| entry.needs);
    let known = known.filter(|_| is_windows7(state)).find(|need| need.stack.is_some_and(|s| s >= least));
    let any_of: Vec<Kb> = known.map_or(&[][..], |need| need.any_of).iter().map(|&kb| Kb(kb)).collect();
    Missing { kb: any_of.first().copied(), what, any_of, stack: Some(least) }
}

/// Why a licence stands in the way, if one does.
fn licence(package: &UpdatePackage<'_>, state: &ImageState) -> Option<String> {
    let time = &package.top().manifest.creation_time;
    let is_esu = is_windows7(state)
        && !package.top().id.name.to_ascii_lowercase().contains("servicingstack")
        && package.stack_version().is_none()
        && windows7::is_extended_security_update(package.kb(), time);
    is_esu.then(|| {
        "it is for machines with an Extended Security Updates licence, which only a running Windows can check; it is not \
         forced"
            .to_owned()
    })
}

/// Whether the content of the applied updates can be put in place as data.
fn installable(
    package: &UpdatePackage<'_>,
    evaluation: &Evaluation,
    state: &ImageState,
    hives: &mut HiveSet<'_>,
) -> Result<Outcome> {
    let mut needed: Vec<InstallerNeed> = Vec::new();
    let mut add =
        |installer: String, component: &str| match needed.iter_mut().find(|n| n.installer == installer) {
            Some(known) => known.components += 1,
            None => needed.push(InstallerNeed { installer, component: component.to_owned(), components: 1 }),
        };
    let mut seen = BTreeSet::new();
    for update in &evaluation.applied {
        update.drivers.iter().for_each(|inf| add("a driver".to_owned(), inf));
        for deployment in &update.deployments {
            let deployed = match package.deployed(deployment) {
                Ok(deployed) => deployed,
                Err(error) => return Outcome::of_manifest_error(error),
            };
            let Some(own) = &deployed.deployment else {
                let why = format!("its deployment {} is not in the file", deployment.name);
                return Ok(Outcome::Unknown { why });
            };
            installers_needed(&own.manifest).into_iter().for_each(|need| add(need, &own.key_form));
            for component in &deployed.components {
                if !seen.insert(component.to_string().to_lowercase()) || !is_newer(component, state, hives)? {
                    continue;
                }
                let found = match package.component(component) {
                    Ok(found) => found,
                    Err(error) => return Outcome::of_manifest_error(error),
                };
                match found {
                    Some(found) => {
                        let needs = component_needs(&found.manifest, state.target.windows.arch);
                        needs.into_iter().for_each(|need| add(need, &found.key_form));
                    }
                    None if state.versions_in_store(component).contains(&component.version) => {}
                    None => {
                        let why = format!(
                            "its component {} {} is not in the file",
                            component.name, component.version
                        );
                        return Ok(Outcome::Unknown { why });
                    }
                }
            }
        }
    }
    Ok(if needed.is_empty() { Outcome::Applicable } else { Outcome::NeedsInstaller { installers: needed } })
}

/// Whether a component would take the place of what the image has.
fn is_newer(component: &AssemblyIdentity, state: &ImageState, hives: &mut HiveSet<'_>) -> Result<bool> {
    Ok(state.winner(hives, component)?.is_none_or(|winner| winner.version < component.version))
}

/// Installers of a component on an image of that architecture; assemblies of .NET go to a cache that an installer keeps.
fn component_needs(manifest: &ComponentManifest, image: Architecture) -> Vec<String> {
    let mut needs = installers_needed(manifest);
    let architecture = manifest.identity.architecture.to_ascii_lowercase();
    let is_native = architecture == image.name()
        || image == Architecture::Amd64 && matches!(architecture.as_str(), "x86" | "wow64");
    let goes_nowhere = manifest.files.iter().any(|file| file.destination.is_none());
    if architecture == "msil" && goes_nowhere {
        needs.push("assemblies of .NET".to_owned());
    } else if !is_native && architecture != "msil" {
        needs.push(format!("components for {architecture}"));
    }
    needs
}
