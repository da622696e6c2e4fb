//! The drivers of an image, as DISM lists them: those that Windows staged, and those that this project added.
//!
//! Source: drivers.md 3.6. The driver store's folders and the published `oemN.inf` files tell it on every version; the index of
//! Windows 7 cannot be read, and need not be.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::boot;
use super::database::{self, FILE_REPOSITORY, INF_FOLDER};
use super::list_devices::ListedDevice;
use super::manifest::{Manifest, ManifestEntry};
use super::package::MAX_INF;
use crate::base::{Architecture, Result, Sha1Digest};
use crate::formats::inf::{Inf, ParseOptions, Version};
use crate::image::WimPath;
use crate::image::edit::{EntryInfo, View};
use crate::servicing::hive_set::{HiveName, HiveSet, control_set_key};

/// Which drivers are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Which {
    /// Those that did not come with Windows.
    #[default]
    ThirdParty,
    /// All in the driver store too.
    All,
}

/// One driver of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedDriver {
    /// `oemN.inf`; none while Windows has not taken it into its store.
    pub published: Option<String>,
    /// File name of its INF.
    pub inf: String,
    /// It came with Windows.
    pub inbox: bool,
    /// Class name.
    pub class: Option<String>,
    /// Class GUID.
    pub class_guid: Option<String>,
    /// What the image calls the class: `Storage controllers`.
    pub class_description: Option<String>,
    /// Who made it.
    pub provider: Option<String>,
    /// Date.
    pub date: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Devices of its class are needed to boot.
    pub boot_critical: bool,
    /// Catalog its INF names.
    pub catalog: Option<String>,
    /// Architecture.
    pub arch: Option<String>,
    /// Its folder in the image.
    pub folder: Option<String>,
    /// Added by this project, which can take it out again.
    pub added_here: bool,
    /// Device ids, where the list of added drivers has them.
    pub ids: Vec<String>,
    /// Services, likewise.
    pub services: Vec<String>,
    /// Devices, by its INF; empty until [`find_devices`](super::list_devices::find_devices) looks for them.
    pub devices: Vec<ListedDevice>,
    /// Name of who signed its catalog, where the list of added drivers or the driver database has it.
    pub signer: Option<String>,
    /// Whether it is signed, as far as those two tell: nothing is checked again.
    pub signature: SignatureState,
}

/// Whether a driver is signed; the three states of DISM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// Nothing in the image tells.
    #[default]
    Unknown,
    /// It was not when it was added.
    Unsigned,
    /// It was.
    Signed,
}

impl SignatureState {
    /// The state as DISM calls it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Unsigned => "Unsigned",
            Self::Signed => "Signed",
        }
    }
}

/// Lists the drivers of the image behind `view`: Windows' own by published name or INF, then those added and not yet taken
/// into the store.
///
/// # Errors
/// What reading the list of added drivers gives. An INF that cannot be read is listed by its name alone.
pub fn list(view: &dyn View, arch: Architecture, which: Which) -> Result<Vec<ListedDriver>> {
    let mut drivers: Vec<ListedDriver> = Manifest::load(view)?.drivers.into_iter().map(added).collect();
    let own: HashSet<String> =
        drivers.iter().filter_map(|driver| driver.folder.as_ref().map(|f| f.to_lowercase())).collect();
    let mut published = published_infs(view)?;
    for name in drivers.iter().filter_map(|driver| driver.published.as_ref()) {
        for names in published.values_mut() {
            names.retain(|other| !other.eq_ignore_ascii_case(name));
        }
    }
    let repository = WimPath::parse(FILE_REPOSITORY)?;
    for folder in view.list(&repository).unwrap_or_default().iter().filter(|entry| entry.is_directory()) {
        let Some(name) = StoreName::parse(&folder.name.to_text()) else { continue };
        let path = repository.child(folder.name.clone());
        if own.contains(&path.to_string().to_lowercase()) {
            continue;
        }
        let inf = path.child(name.inf.as_str());
        let Some(entry) = view.entry(&inf) else { continue };
        let oem = published.get_mut(&key(&entry)).filter(|_| !entry.digest.is_zero()).and_then(Vec::pop);
        if which == Which::ThirdParty && oem.is_none() {
            continue;
        }
        let folder_arch = Architecture::from_name(&name.arch).unwrap_or(arch);
        let mut driver = describe(view, &inf, &name.inf, folder_arch);
        driver.inbox = oem.is_none();
        driver.published = oem;
        driver.folder = Some(path.to_string());
        drivers.push(driver);
    }
    // Published, but without a folder in the store: damaged, yet there.
    let folder = WimPath::parse(INF_FOLDER)?;
    for name in published.into_values().flatten() {
        let mut driver = describe(view, &folder.child(name.as_str()), &name, arch);
        driver.published = Some(name);
        drivers.push(driver);
    }
    drivers.sort_by_key(|driver| {
        (
            driver.inbox,
            // Those that Windows has not taken into its store come last.
            driver.published.as_deref().and_then(database::number_of).unwrap_or(u32::MAX),
            driver.inf.to_lowercase(),
            driver.folder.clone(),
        )
    });
    Ok(drivers)
}

/// Fills in what the registry knows: who signed the drivers that Windows staged, and what classes are called.
///
/// # Errors
/// What reading the hives gives.
pub fn look_up(drivers: &mut [ListedDriver], hives: &mut HiveSet<'_>) -> Result<()> {
    let mut classes: HashMap<String, Option<String>> = HashMap::new();
    for driver in drivers.iter_mut() {
        let guid = driver.class_guid.clone().unwrap_or_default().to_uppercase();
        if !guid.is_empty() && !classes.contains_key(&guid) {
            classes.insert(guid.clone(), class_description(hives, &guid)?);
        }
        let usual = || driver.class.as_deref().and_then(boot::class_description).map(str::to_owned);
        driver.class_description = classes.get(&guid).cloned().flatten().or_else(usual);
        let Some(folder) = driver.folder.as_deref().and_then(|folder| folder.rsplit('\\').next()) else {
            continue;
        };
        for hive in database::HIVES {
            let key = format!("{}\\DriverPackages\\{folder}", database::ROOT);
            let signer = hives.get(hive, &key, "SignerName")?.and_then(|value| value.as_str());
            driver.signer = driver.signer.take().or(signer);
            let score = hives.get(hive, &key, "SignerScore")?.and_then(|value| value.as_dword());
            match score.map(|score| score >> 24) {
                Some(0x0D | 0x0F) => driver.signature = SignatureState::Signed,
                Some(0x80) => driver.signature = SignatureState::Unsigned,
                _ => {}
            }
        }
    }
    Ok(())
}

/// What an image calls a device class; none where it has a text in a program's resources alone, which is not looked up.
fn class_description(hives: &mut HiveSet<'_>, guid: &str) -> Result<Option<String>> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(None) };
    let key = format!("{}\\Control\\Class\\{guid}", control_set_key(set));
    for value in ["", "ClassDesc"] {
        let text = hives.get(HiveName::System, &key, value)?.and_then(|value| value.as_str());
        // `@c_extension.inf,%ClassDesc%;Extensions`: what follows is the text where the INF is not read.
        let text = match text {
            Some(text) if text.starts_with('@') => text.split_once(';').map(|(_, text)| text.to_owned()),
            text => text,
        };
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn key(entry: &EntryInfo) -> (u64, Sha1Digest) {
    (entry.size, entry.digest)
}

/// `oemN.inf` files by size and digest: the store's copy of each has the same bytes.
fn published_infs(view: &dyn View) -> Result<HashMap<(u64, Sha1Digest), Vec<String>>> {
    let mut found: HashMap<_, Vec<String>> = HashMap::new();
    for entry in view.list(&WimPath::parse(INF_FOLDER)?).unwrap_or_default() {
        let name = entry.name.to_text();
        if database::number_of(&name).is_some() {
            found.entry(key(&entry)).or_default().push(name);
        }
    }
    Ok(found)
}

/// The parts of a store folder's name: `nvme.inf_amd64_neutral_0123456789abcdef`.
#[derive(Debug, PartialEq, Eq)]
struct StoreName {
    inf: String,
    arch: String,
}

impl StoreName {
    fn parse(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let end = lower.find(".inf_")? + ".inf".len();
        let arch = lower.get(end + 1..)?.split('_').next()?;
        Some(Self { inf: name.get(..end)?.to_owned(), arch: arch.to_owned() })
    }
}

fn describe(view: &dyn View, path: &WimPath, name: &str, arch: Architecture) -> ListedDriver {
    let version = view
        .read(path, MAX_INF)
        .ok()
        .and_then(|bytes| Inf::parse(name, &bytes, ParseOptions::default()).ok())
        .and_then(|inf| Version::read(&inf).ok())
        .unwrap_or_default();
    let guid = version.class_guid.clone();
    ListedDriver {
        published: None,
        inf: name.to_owned(),
        inbox: false,
        boot_critical: guid.as_deref().is_some_and(boot::is_boot_critical),
        date: version.driver_ver.map(|v| v.date_text()),
        version: version.driver_ver.map(|v| v.version_text()),
        catalog: version.catalog(arch).map(str::to_owned),
        class: version.class,
        class_guid: guid,
        class_description: None,
        provider: version.provider,
        arch: Some(arch.name().to_owned()),
        folder: None,
        added_here: false,
        ids: Vec::new(),
        services: Vec::new(),
        devices: Vec::new(),
        signer: None,
        signature: SignatureState::Unknown,
    }
}

fn added(entry: ManifestEntry) -> ListedDriver {
    ListedDriver {
        published: entry.published,
        inf: entry.inf,
        inbox: false,
        boot_critical: boot::is_boot_critical(&entry.class_guid),
        class: entry.class,
        class_guid: Some(entry.class_guid),
        class_description: None,
        provider: entry.provider,
        date: entry.date,
        version: entry.version,
        catalog: entry.catalog,
        arch: Some(entry.arch),
        folder: Some(entry.folder),
        added_here: true,
        ids: entry.ids,
        services: entry.services,
        devices: Vec::new(),
        signature: match entry.signer {
            Some(_) => SignatureState::Signed,
            None => SignatureState::Unsigned,
        },
        signer: entry.signer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_names_of_all_versions() {
        for name in
            ["nvme.inf_amd64_neutral_6f653f6716c1448c", "nvme.inf_amd64_520417bbc533faba", "nvme.inf_amd64"]
        {
            let parsed = StoreName::parse(name).unwrap();
            assert_eq!((parsed.inf.as_str(), parsed.arch.as_str()), ("nvme.inf", "amd64"));
        }
        assert_eq!(StoreName::parse("nvme_amd64"), None);
    }
}
