//! What an image has: packages and their states, components, servicing stack, operations that are still to be done.
//!
//! Sources: updates.md 5.1 to 5.3. It is read from `servicing\Packages`, the SOFTWARE and COMPONENTS hives and the names in
//! `WinSxS`; where records disagree both are told. Payloads are not opened: that the store is sound is for another check.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{component_key_form, family_key_form};
use super::package::Kb;
use crate::base::{Error, FileTime, Result};
use crate::formats::cbs::{AssemblyIdentity, AssemblyVersion, PackageId};
use crate::image::WimPath;
use crate::image::edit::View;
pub use crate::servicing::cbs::PackageState;
use crate::servicing::cbs::{self, CBS};
use crate::servicing::hive_set::{HiveName, HiveSet};
use crate::servicing::target::{ImageHints, ImageTarget, find_target};

/// Root of the winners below SOFTWARE.
pub(super) const WINNERS: &str = "Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners";
/// Folder of package manifests.
const PACKAGES_FOLDER: &str = "\\Windows\\servicing\\Packages";

/// A package of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its name.
    pub id: PackageId,
    /// Its state; none when CBS does not know it, or there is no SOFTWARE hive.
    pub state: Option<PackageState>,
    /// True when its `.mum` file is there.
    pub has_manifest: bool,
    /// Who installed it, such as `WindowsUpdateAgent`.
    pub client: Option<String>,
    /// When: 100 ns since 1601; none when the image does not say.
    pub installed_at: Option<FileTime>,
}

impl InstalledPackage {
    /// One of which only the name is known.
    fn unknown(id: PackageId) -> Self {
        Self { id, state: None, has_manifest: false, client: None, installed_at: None }
    }

    /// Whether it counts as installed; without a hive, its manifest is all there is to go by.
    #[must_use]
    pub fn is_installed(&self, state: &ImageState) -> bool {
        self.state.map_or(state.is_approximate && self.has_manifest, PackageState::is_installed)
    }

    /// The article it belongs to, by its name.
    #[must_use]
    pub fn kb(&self) -> Option<Kb> {
        Kb::find(&self.id.name)
    }
}

/// What an image has.
#[derive(Clone, Debug)]
pub struct ImageState {
    /// Architecture, version, product.
    pub target: ImageTarget,
    /// Packages, sorted by name.
    pub packages: Vec<InstalledPackage>,
    /// Newest servicing stack.
    pub stack: Option<AssemblyVersion>,
    /// Why the image is not to be serviced now, each a sentence without a full stop; empty when nothing is pending.
    pub pending: Vec<String>,
    /// True when there is no SOFTWARE hive, so that the states of packages are not known.
    pub is_approximate: bool,
    /// Records that disagree with each other.
    pub findings: Vec<String>,
    /// Lower-case key forms of the store.
    components: BTreeSet<String>,
}

/// The version of a component that an image uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winner {
    /// Its version.
    pub version: AssemblyVersion,
    /// True when the registry says so; else it is the newest one of the store.
    pub is_recorded: bool,
}

impl ImageState {
    /// Reads the state of the image behind `view`; disagreements about what the image is go to `warnings`.
    ///
    /// # Errors
    /// `NotFound` when it is no Windows image; what reading its hives gives.
    pub fn read(
        view: &dyn View,
        hives: &mut HiveSet<'_>,
        hints: ImageHints,
        warnings: &mut Vec<Error>,
    ) -> Result<Self> {
        let target = find_target(view, hives, hints, warnings)?;
        let is_approximate = !hives.has(HiveName::Software);
        let mut findings = Vec::new();
        let packages = read_packages(view, hives, is_approximate, &mut findings)?;
        let components = read_components(view, hives)?;
        let pending = read_pending(view, hives, &packages)?;
        let stack = read_stack(view, &components);
        Ok(Self { target, packages, stack, pending, is_approximate, findings, components })
    }

    /// All versions of a component in the store, installed or not, newest first.
    ///
    /// Key forms shorten names, so that each candidate is proved by its hash.
    #[must_use]
    pub fn versions_in_store(&self, identity: &AssemblyIdentity) -> Vec<AssemblyVersion> {
        let Ok(form) = component_key_form(identity) else { return Vec::new() };
        let version = format!("_{}_", identity.version);
        let Some((before, _)) = form.rsplit_once(&version) else { return Vec::new() };
        let prefix = format!("{before}_");
        let candidates = self.components.range(prefix.clone()..).take_while(|form| form.starts_with(&prefix));
        let mut versions: Vec<AssemblyVersion> = candidates
            .filter_map(|form| {
                let version = AssemblyVersion::parse(form.get(prefix.len()..)?.split('_').next()?)?;
                let same = AssemblyIdentity { version, ..identity.clone() };
                component_key_form(&same).is_ok_and(|expected| expected == *form).then_some(version)
            })
            .collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions
    }

    /// The version of a component that is in use: the one that `Winners` names, else the newest of the store.
    ///
    /// # Errors
    /// What reading the SOFTWARE hive gives.
    pub fn winner(&self, hives: &mut HiveSet<'_>, identity: &AssemblyIdentity) -> Result<Option<Winner>> {
        let family = format!("{WINNERS}\\{}", family_key_form(identity));
        let mut recorded = None;
        for group in hives.subkeys(HiveName::Software, &family)? {
            let value = hives.get(HiveName::Software, &format!("{family}\\{group}"), "")?;
            let version = value.and_then(|v| v.as_str()).and_then(|text| AssemblyVersion::parse(text.trim()));
            recorded = recorded.max(version);
        }
        if let Some(version) = recorded {
            return Ok(Some(Winner { version, is_recorded: true }));
        }
        let newest = self.versions_in_store(identity).first().copied();
        Ok(newest.map(|version| Winner { version, is_recorded: false }))
    }

    /// Whether an update of this article is in use, or was replaced by something newer that is.
    #[must_use]
    pub fn has_kb(&self, kb: Kb) -> bool {
        self.packages.iter().any(|package| {
            package.kb() == Some(kb)
                && package.state.map_or_else(|| package.is_installed(self), PackageState::is_present)
        })
    }

    /// Languages of the image, of its language packs.
    #[must_use]
    pub fn languages(&self) -> Vec<String> {
        let mut languages: Vec<String> = self
            .packages
            .iter()
            .filter(|package| package.is_installed(self) && !package.id.language.is_empty())
            .filter(|package| package.id.name.to_ascii_lowercase().contains("languagepack"))
            .map(|package| package.id.language.clone())
            .collect();
        languages.sort_unstable();
        languages.dedup();
        languages
    }
}

/// Packages that have a manifest, and those that CBS knows; what either lacks is told.
fn read_packages(
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    is_approximate: bool,
    findings: &mut Vec<String>,
) -> Result<Vec<InstalledPackage>> {
    let mut found = read_package_manifests(view, findings)?;
    read_package_keys(hives, &mut found, findings)?;
    for package in found.values() {
        let state = package.state.filter(|state| *state != PackageState::Absent);
        if state.is_some() && !package.has_manifest {
            findings.push(format!("CBS knows {}, but its .mum file is not there", package.id));
        }
        if package.state.is_none() && !is_approximate {
            findings.push(format!("{} has a .mum file, but CBS does not know it", package.id));
        }
    }
    Ok(found.into_values().collect())
}

/// Packages by their names in lower case.
type PackagesByName = BTreeMap<String, InstalledPackage>;

/// The packages whose manifests lie in the image; their states are not known yet.
fn read_package_manifests(view: &dyn View, findings: &mut Vec<String>) -> Result<PackagesByName> {
    let mut found = PackagesByName::new();
    for entry in view.list(&WimPath::parse(PACKAGES_FOLDER)?).unwrap_or_default() {
        let name = entry.name.to_text();
        let Some(text) = name.get(..name.len().saturating_sub(4)) else { continue };
        if !name.to_ascii_lowercase().ends_with(".mum") {
            continue;
        }
        match PackageId::parse(text) {
            Some(id) => {
                found.insert(
                    text.to_lowercase(),
                    InstalledPackage { has_manifest: true, ..InstalledPackage::unknown(id) },
                );
            }
            None => findings.push(format!("{PACKAGES_FOLDER}\\{name} is not named as a package")),
        }
    }
    Ok(found)
}

/// Adds what the keys of CBS say.
fn read_package_keys(
    hives: &mut HiveSet<'_>,
    found: &mut PackagesByName,
    findings: &mut Vec<String>,
) -> Result<()> {
    let key = format!("{CBS}\\Packages");
    for name in hives.subkeys(HiveName::Software, &key)? {
        let Some(id) = PackageId::parse(&name) else {
            findings.push(format!("the key {name} of CBS is not named as a package"));
            continue;
        };
        let key = format!("{key}\\{name}");
        let state = cbs::state_of(hives, &name)?;
        let mut number = |value: &str| -> Result<Option<u32>> {
            Ok(hives.get(HiveName::Software, &key, value)?.and_then(|value| value.as_dword()))
        };
        let time = number("InstallTimeHigh")?.zip(number("InstallTimeLow")?);
        let client = hives.get(HiveName::Software, &key, "InstallClient")?.and_then(|value| value.as_str());
        let package = found.entry(name.to_lowercase()).or_insert_with(|| InstalledPackage::unknown(id));
        package.state = Some(state.unwrap_or(PackageState::Other));
        package.client = client;
        package.installed_at = time.map(|(high, low)| FileTime(u64::from(high) << 32 | u64::from(low)));
    }
    Ok(())
}

/// Key forms in the store: manifests, and the keys of COMPONENTS where that hive is there.
fn read_components(view: &dyn View, hives: &mut HiveSet<'_>) -> Result<BTreeSet<String>> {
    let mut components = BTreeSet::new();
    for entry in view.list(&WimPath::parse("\\Windows\\WinSxS\\Manifests")?).unwrap_or_default() {
        let name = entry.name.to_text().to_lowercase();
        components.extend(name.strip_suffix(".manifest").map(str::to_owned));
    }
    let keys = hives.subkeys(HiveName::Components, "DerivedData\\Components")?;
    components.extend(keys.into_iter().map(|key| key.to_lowercase()));
    Ok(components)
}

/// The newest servicing stack: folders of `servicing\Version`, else components of the store.
fn read_stack(view: &dyn View, components: &BTreeSet<String>) -> Option<AssemblyVersion> {
    let folder = WimPath::parse("\\Windows\\servicing\\Version").ok()?;
    let folders = view.list(&folder).unwrap_or_default();
    let by_folder = folders.iter().filter_map(|entry| AssemblyVersion::parse(&entry.name.to_text())).max();
    by_folder.or_else(|| {
        let stacks = components.iter().filter(|form| form.contains("_microsoft-windows-servicingstack_"));
        stacks.filter_map(|form| AssemblyVersion::parse(form.split('_').nth(3)?)).max()
    })
}

fn read_pending(
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    packages: &[InstalledPackage],
) -> Result<Vec<String>> {
    let mut pending = Vec::new();
    if view.entry(&WimPath::parse("\\Windows\\WinSxS\\pending.xml")?).is_some_and(|entry| entry.size > 0) {
        pending.push("\\Windows\\WinSxS\\pending.xml holds operations for the next start".to_owned());
    }
    // PendingXmlIdentifier is empty or absent in a store at rest.
    let identifier = hives.get(HiveName::Components, "", "PendingXmlIdentifier")?;
    if identifier.is_some_and(|value| value.data.iter().any(|&byte| byte != 0)) {
        pending.push("the COMPONENTS hive names a pending.xml".to_owned());
    }
    for key in ["RebootPending", "RebootInProgress", "PackagesPending"] {
        if hives.key_exists(HiveName::Software, &format!("{CBS}\\{key}"))? {
            pending.push(format!("the registry has Component Based Servicing\\{key}"));
        }
    }
    // This key stays, empty, when all sessions are done.
    let sessions = format!("{CBS}\\SessionsPending");
    let exclusive = hives.get(HiveName::Software, &sessions, "Exclusive")?.and_then(|v| v.as_dword());
    if !hives.subkeys(HiveName::Software, &sessions)?.is_empty() || exclusive.is_some_and(|value| value != 0)
    {
        pending.push("the registry has sessions in Component Based Servicing\\SessionsPending".to_owned());
    }
    if hives.get(HiveName::Software, CBS, "Unserviceable")?.and_then(|v| v.as_dword()).unwrap_or(0) != 0 {
        pending.push("the image is marked as not to be serviced any more (Unserviceable)".to_owned());
    }
    for package in packages {
        if let Some(state) = package.state.filter(|state| state.is_pending()) {
            pending.push(format!("{} is in the state: {}", package.id, state.label()));
        }
    }
    Ok(pending)
}
