//! The drivers of an image, as DISM lists them: those that Windows staged, and those that this project added.
//!
//! Source: drivers.md 3.6. The driver store's folders and the published `oemN.inf` files tell it on every version; the index of
//! Windows 7 cannot be read, and need not be.

use std::collections::HashMap;

use serde::Serialize;

use super::boot;
use super::manifest::{Manifest, ManifestEntry};
use crate::base::{Architecture, Result, Sha1Digest};
use crate::formats::inf::{Inf, ParseOptions, Version};
use crate::image::WimPath;
use crate::image::edit::{EntryInfo, View};

/// Largest INF that is read.
const MAX_INF: u64 = 16 << 20;
const FILE_REPOSITORY: &str = "\\Windows\\System32\\DriverStore\\FileRepository";
const INF_FOLDER: &str = "\\Windows\\INF";

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
}

/// Lists the drivers of the image behind `view`: Windows' own by published name or INF, then those added and not yet taken
/// into the store.
///
/// # Errors
/// What reading the list of added drivers gives. An INF that cannot be read is listed by its name alone.
pub fn list(view: &dyn View, arch: Architecture, which: Which) -> Result<Vec<ListedDriver>> {
    let mut drivers = Vec::new();
    let mut published = published_infs(view)?;
    let repository = WimPath::parse(FILE_REPOSITORY)?;
    for folder in view.list(&repository).unwrap_or_default().iter().filter(|entry| entry.is_directory()) {
        let Some(name) = StoreName::parse(&folder.name.to_text()) else { continue };
        let path = repository.child(folder.name.clone());
        let inf = path.child(name.inf.as_str());
        let Some(entry) = view.entry(&inf) else { continue };
        let oem = published.remove(&key(&entry)).filter(|_| !entry.digest.is_zero());
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
    for name in published.into_values() {
        let mut driver = describe(view, &folder.child(name.as_str()), &name, arch);
        driver.published = Some(name);
        drivers.push(driver);
    }
    drivers.sort_by_key(|driver| {
        (
            driver.inbox,
            driver.published.as_deref().map(number_of),
            driver.inf.to_lowercase(),
            driver.folder.clone(),
        )
    });
    drivers.extend(Manifest::load(view)?.drivers.into_iter().map(added));
    Ok(drivers)
}

/// `12` of `oem12.inf`.
fn number_of(name: &str) -> u32 {
    name.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(u32::MAX)
}

fn key(entry: &EntryInfo) -> (u64, Sha1Digest) {
    (entry.size, entry.digest)
}

/// `oemN.inf` files by size and digest: the store's copy of each has the same bytes.
fn published_infs(view: &dyn View) -> Result<HashMap<(u64, Sha1Digest), String>> {
    let mut found = HashMap::new();
    for entry in view.list(&WimPath::parse(INF_FOLDER)?).unwrap_or_default() {
        let name = entry.name.to_text();
        let lower = name.to_lowercase();
        let digits = lower.strip_prefix("oem").and_then(|rest| rest.strip_suffix(".inf"));
        if digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
            found.insert(key(&entry), name);
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
        provider: version.provider,
        arch: Some(arch.name().to_owned()),
        folder: None,
        added_here: false,
        ids: Vec::new(),
        services: Vec::new(),
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
        provider: entry.provider,
        date: entry.date,
        version: entry.version,
        catalog: entry.catalog,
        arch: Some(entry.arch),
        folder: Some(entry.folder),
        added_here: true,
        ids: entry.ids,
        services: entry.services,
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
        assert_eq!(number_of("oem12.inf"), 12);
    }
}
