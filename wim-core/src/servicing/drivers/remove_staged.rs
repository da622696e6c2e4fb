//! Takes drivers out of Windows 8 and later that Windows itself has staged, as `oemN.inf`: what DISM removes.
//!
//! Source: drivers.md 3.6. The driver database and the owners of services and files say what belongs to a package. Drivers that came
//! with Windows have no such name and stay.

use std::collections::{BTreeMap, BTreeSet};

use super::bindings;
use super::boot;
use super::database::{
    self, CATALOG_FOLDER, FILE_REPOSITORY, HIVES, INF_FOLDER, LOCKDOWN, OEM_INF_MAP, ROOT, UPDATE_DATE,
};
use super::hand_over::take_over;
use super::level_b;
use super::manifest::{Manifest, ManifestEntry};
use super::registry_lines::OWNERS;
use super::store::ImageFiles;
use crate::base::{FileTime, Result, hex};
use crate::formats::hive::RegValue;
use crate::image::WimPath;
use crate::servicing::hive_set::{HiveName, HiveSet, control_set_key};

/// A package that Windows staged.
pub(super) struct OemPackage {
    hive: HiveName,
    published: String,
    folders: Vec<String>,
}

/// The packages that the database knows by `name`: as `oemN.inf`, by the name of their INF, or by that of their folder.
pub(super) fn find(hives: &mut HiveSet<'_>, name: &str) -> Result<Vec<OemPackage>> {
    let mut found = Vec::new();
    for hive in HIVES {
        let parent = format!("{ROOT}\\DriverInfFiles");
        for published in hives.subkeys(hive, &parent)? {
            if database::number_of(&published).is_none() {
                continue;
            }
            let folders =
                hives.get(hive, &format!("{parent}\\{published}"), "")?.and_then(|value| value.as_multi_sz());
            // A damaged hive must not make this remove something else.
            let is_name = |folder: &String| folder.contains(".inf_") && !folder.contains(['\\', '/']);
            let folders: Vec<String> = folders.unwrap_or_default().into_iter().filter(is_name).collect();
            if is_called(hives, hive, (&published, &folders), name)? {
                found.push(OemPackage { hive, published: published.to_lowercase(), folders });
            }
        }
    }
    Ok(found)
}

/// True when `name` means the package published as `published`, in `folders`.
fn is_called(
    hives: &mut HiveSet<'_>,
    hive: HiveName,
    (published, folders): (&str, &[String]),
    name: &str,
) -> Result<bool> {
    if published.eq_ignore_ascii_case(name) {
        return Ok(true);
    }
    // A number that is another's is no INF of this one.
    if database::number_of(name).is_some() {
        return Ok(false);
    }
    for folder in folders {
        let inf = hives.get(hive, &format!("{ROOT}\\DriverPackages\\{folder}"), "InfName")?;
        let inf = inf.and_then(|value| value.as_str());
        // The folder begins with the INF's name, should its record be lost.
        let begins = folder.split_once(".inf_").map(|(stem, _)| format!("{stem}.inf"));
        let mut names = [Some(folder.clone()), inf, begins].into_iter().flatten();
        if names.any(|known| known.eq_ignore_ascii_case(name)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Leaves each package once that several names mean.
pub(super) fn once_each(packages: &mut Vec<OemPackage>) {
    let mut seen = BTreeSet::new();
    packages.retain(|package| seen.insert(package.published.clone()));
}

/// Removes it; what is told of it is returned.
pub(super) fn remove(
    staged: OemPackage,
    image: &mut ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    findings: &mut Vec<String>,
) -> Result<ManifestEntry> {
    let entry = describe(&staged, hives)?;
    let reason = format!("driver {} removed", staged.published);
    if entry.boot_critical {
        findings.push(format!(
            "{} is of a class that Windows needs to boot: make sure that another driver serves its devices",
            entry.inf
        ));
    }
    let kept = kept_files(&staged, image)?;
    let shared = locked_files(&staged, &kept, image, hives, &reason, findings)?;
    let files = ServiceFiles { image, kept: &kept, shared: &shared };
    services(&staged, &files, hives, &reason, findings)?;
    drop_kept(&staged, image, &reason)?;
    let stem = staged.published.trim_end_matches(".inf");
    let mut paths = vec![
        format!("{INF_FOLDER}\\{stem}.inf"),
        format!("{INF_FOLDER}\\{stem}.PNF"),
        format!("{CATALOG_FOLDER}\\{stem}.cat"),
    ];
    paths.extend(staged.folders.iter().map(|folder| format!("{FILE_REPOSITORY}\\{folder}")));
    for path in paths {
        // A folder's name comes from the hive: one that would lead elsewhere is none.
        let Ok(path) = image.spelled(&path) else { continue };
        if image.exists(&path) {
            image.remove(&path, &reason);
        }
    }
    let published = BTreeSet::from([staged.published.clone()]);
    let folders = staged.folders.iter().cloned().collect();
    database::forget(hives, &published, &folders, &reason)?;
    if let Some(present) = hives.get(staged.hive, ROOT, UPDATE_DATE)? {
        let date = database::later_than(Some(&present), FileTime::default());
        hives.set(staged.hive, ROOT, UPDATE_DATE, RegValue::binary(date.0.to_le_bytes()), &reason)?;
    }
    if let (Some(number), Some(map)) =
        (database::number_of(&staged.published), hives.get(HiveName::System, ROOT, OEM_INF_MAP)?)
    {
        let map = database::without_number(&map.data, number);
        hives.set(HiveName::System, ROOT, OEM_INF_MAP, RegValue::binary(map), &reason)?;
    }
    Ok(entry)
}

/// What the database says of it.
fn describe(staged: &OemPackage, hives: &mut HiveSet<'_>) -> Result<ManifestEntry> {
    let folder = staged.folders.first().cloned().unwrap_or_default();
    let key = format!("{ROOT}\\DriverPackages\\{folder}");
    let mut text = |name: &str| -> Result<Option<String>> {
        Ok(hives.get(staged.hive, &key, name)?.and_then(|value| value.as_str()))
    };
    let (inf, provider) = (text("InfName")?, text("Provider")?);
    let (catalog, signer) = (text("Catalog")?, text("SignerName")?);
    let version = hives.get(staged.hive, &key, "Version")?.map(|value| value.data).unwrap_or_default();
    let class_guid =
        version.get(8..24).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(crate::base::Guid);
    let class_guid = class_guid.map(|guid| format!("{{{}}}", guid.to_string().to_uppercase()));
    let class_guid = class_guid.unwrap_or_default();
    let numbers: Vec<String> = version
        .get(32..40)
        .map(|bytes| {
            bytes.as_chunks::<2>().0.iter().rev().map(|&n| u16::from_le_bytes(n).to_string()).collect()
        })
        .unwrap_or_default();
    Ok(ManifestEntry {
        inf: inf.unwrap_or_else(|| staged.published.clone()),
        identity: String::new(),
        order: 0,
        how: "staged".to_owned(),
        folder: format!("{FILE_REPOSITORY}\\{folder}"),
        published: Some(staged.published.clone()),
        class: boot::class_by_guid(&class_guid).map(|class| class.name.to_owned()),
        boot_critical: boot::is_boot_critical_in(hives, &class_guid)?,
        class_guid,
        provider,
        date: None,
        version: (!numbers.is_empty()).then(|| numbers.join(".")),
        catalog,
        arch: folder.rsplit('_').nth(1).unwrap_or_default().to_owned(),
        ids: Vec::new(),
        services: Vec::new(),
        files: Vec::new(),
        relied_on: Vec::new(),
        registry: Vec::new(),
        start_lines: Vec::new(),
        made_folders: Vec::new(),
        signer,
    })
}

/// What is left of a key's owners without the package; none when it is no owner.
fn other_owners(
    staged: &OemPackage,
    hives: &mut HiveSet<'_>,
    hive: HiveName,
    key: &str,
) -> Result<Option<Vec<String>>> {
    let owners = hives.get(hive, key, OWNERS)?.and_then(|value| value.as_multi_sz()).unwrap_or_default();
    if !owners.iter().any(|owner| owner.eq_ignore_ascii_case(&staged.published)) {
        return Ok(None);
    }
    Ok(Some(owners.into_iter().filter(|owner| !owner.eq_ignore_ascii_case(&staged.published)).collect()))
}

/// What is known of services' files, once those of the package have gone.
struct ServiceFiles<'i, 'v> {
    image: &'i ImageFiles<'v>,
    /// Those of Windows that were replaced and are there again, by their paths in lower case.
    kept: &'i BTreeMap<String, WimPath>,
    /// Those that stay because other drivers own them too, likewise.
    shared: &'i BTreeSet<String>,
}

impl ServiceFiles<'_, '_> {
    /// Why a service of the package may be Windows' own, judged by its file; none when it is the package's.
    fn why_it_stays(&self, staged: &OemPackage, file: &str) -> Option<&'static str> {
        // Runs services of anybody.
        const HOST: &str = "\\svchost.exe";
        let lower = file.split(".exe ").next().unwrap_or(file).to_lowercase();
        if self.kept.contains_key(&lower) {
            return Some("Windows had its file before, which is there again, and may have had the service");
        }
        let is_in_store =
            |folder: &String| lower.starts_with(&format!("{FILE_REPOSITORY}\\{folder}\\").to_lowercase());
        let is_others = self.shared.contains(&lower)
            || staged.folders.iter().any(is_in_store)
            || lower.ends_with(HOST)
            || lower.ends_with("\\svchost");
        let is_there = || WimPath::parse(&lower).is_ok_and(|path| self.image.exists(&path));
        (!is_others && is_there()).then_some(
            "its file is not known to be this driver's and stays, and so the service may be Windows' own",
        )
    }
}

/// Services of no other owner go, but for those whose file stays, with the sources of their names in event logs, and their names from the
/// filters of device classes: a filter without its service stops Windows.
fn services(
    staged: &OemPackage,
    files: &ServiceFiles<'_, '_>,
    hives: &mut HiveSet<'_>,
    reason: &str,
    findings: &mut Vec<String>,
) -> Result<()> {
    for set in hives.control_sets()? {
        let parent = format!("{}\\Services", control_set_key(set));
        let mut gone = Vec::new();
        for name in hives.subkeys(HiveName::System, &parent)? {
            let key = format!("{parent}\\{name}");
            match other_owners(staged, hives, HiveName::System, &key)? {
                None => {}
                Some(rest) if rest.is_empty() => {
                    let path =
                        hives.get(HiveName::System, &key, "ImagePath")?.and_then(|value| value.as_str());
                    let file = bindings::file_of(path.as_deref().unwrap_or_default(), &name);
                    if let Some(why) = files.why_it_stays(staged, &file) {
                        hives.delete_value(HiveName::System, &key, OWNERS, reason)?;
                        let text = format!("service {name} stays: {why}");
                        if !findings.contains(&text) {
                            findings.push(text);
                        }
                        continue;
                    }
                    hives.delete_key(HiveName::System, &key, reason)?;
                    gone.push(name);
                }
                Some(rest) => {
                    hives.set(HiveName::System, &key, OWNERS, RegValue::multi_sz(&rest), reason)?;
                }
            }
        }
        for log in hives.subkeys(HiveName::System, &format!("{parent}\\EventLog"))? {
            for name in &gone {
                let source = format!("{parent}\\EventLog\\{log}\\{name}");
                hives.delete_key(HiveName::System, &source, reason)?;
            }
        }
        if !gone.is_empty() {
            class_filters(&control_set_key(set), &gone, hives, reason, findings)?;
        }
    }
    Ok(())
}

/// Takes the names of services that are `gone` out of the filters of all device classes.
fn class_filters(
    set: &str,
    gone: &[String],
    hives: &mut HiveSet<'_>,
    reason: &str,
    findings: &mut Vec<String>,
) -> Result<()> {
    let parent = format!("{set}\\Control\\Class");
    let is_gone = |text: &String| gone.iter().any(|name| name.eq_ignore_ascii_case(text.trim()));
    for class in hives.subkeys(HiveName::System, &parent)? {
        let key = format!("{parent}\\{class}");
        for value in ["UpperFilters", "LowerFilters"] {
            let list = hives.get(HiveName::System, &key, value)?.and_then(|value| value.as_multi_sz());
            let Some(list) = list.filter(|list| list.iter().any(is_gone)) else { continue };
            let (going, rest): (Vec<String>, Vec<String>) = list.into_iter().partition(is_gone);
            let text = format!("class {class}: {} is no longer among its {value}", going.join(", "));
            if !findings.contains(&text) {
                findings.push(text);
            }
            match rest.is_empty() {
                true => hives.delete_value(HiveName::System, &key, value, reason)?,
                false => hives.set(HiveName::System, &key, value, RegValue::multi_sz(&rest), reason)?,
            }
        }
    }
    Ok(())
}

/// The files of Windows that a package replaced, by their paths in lower case, where they are kept.
fn kept_files(staged: &OemPackage, image: &ImageFiles<'_>) -> Result<BTreeMap<String, WimPath>> {
    let mut kept = BTreeMap::new();
    for folder in &staged.folders {
        let folder = level_b::replaced_folder(folder)?;
        let start = folder.to_string().len();
        let (_, files) = image.below(&folder);
        kept.extend(files.into_iter().filter_map(|copy| {
            let place = copy.to_string().get(start..)?.to_lowercase();
            Some((place, copy))
        }));
    }
    Ok(kept)
}

/// Gives the files of Windows that a package had replaced to those drivers of the list that replaced the package's own since: with them
/// they come back, and not the package's. True when there were any.
pub(super) fn hand_over_kept(
    staged: &OemPackage,
    image: &mut ImageFiles<'_>,
    manifest: &mut Manifest,
) -> Result<bool> {
    let mut any = false;
    for (place, kept) in kept_files(staged, image)? {
        let index_in = |entry: &ManifestEntry| {
            entry
                .files
                .iter()
                .position(|file| file.path.to_lowercase() == place && file.replaced_copy.is_some())
        };
        let heirs = manifest.drivers.iter_mut().filter(|entry| index_in(entry).is_some());
        let Some(heir) = heirs.min_by_key(|entry| entry.order) else { continue };
        let Some(file) = index_in(heir).and_then(|index| heir.files.get(index)) else { continue };
        let Some(copy) = file.replaced_copy.as_deref().map(WimPath::parse).transpose()? else { continue };
        if !is_own(staged, image, &copy)? {
            continue;
        }
        let (path, sha256) = (file.path.clone(), image.sha256_of(&kept)?);
        let taken = take_over(image, &kept, &path, heir)?;
        if let Some(file) = index_in(heir).and_then(|index| heir.files.get_mut(index)) {
            file.replaced_sha256 = sha256.map(|digest| hex::encode(&digest));
            file.replaced_copy = taken;
        }
        any = true;
    }
    Ok(any)
}

/// Removes the folders of files that were replaced, which are in their places again.
fn drop_kept(staged: &OemPackage, image: &mut ImageFiles<'_>, reason: &str) -> Result<()> {
    for folder in &staged.folders {
        let kept = level_b::replaced_folder(folder)?;
        image.remove_emptied(&kept, reason);
        let mut above = kept.parent();
        while let Some(path) = above.filter(|path| path.components().len() > 1 && image.is_emptied(path)) {
            image.remove(&path, reason);
            above = path.parent();
        }
    }
    Ok(())
}

/// Files of no other owner go, with their records; what they had replaced comes back, and what is not the package's own file stays.
/// Those that other drivers own too, by their paths in lower case.
fn locked_files(
    staged: &OemPackage,
    kept: &BTreeMap<String, WimPath>,
    image: &mut ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    reason: &str,
    findings: &mut Vec<String>,
) -> Result<BTreeSet<String>> {
    let mut shared = BTreeSet::new();
    for name in hives.subkeys(HiveName::Software, LOCKDOWN)? {
        let key = format!("{LOCKDOWN}\\{name}");
        let Some(rest) = other_owners(staged, hives, HiveName::Software, &key)? else { continue };
        let path = locked_path(&name);
        if !rest.is_empty() {
            hives.set(HiveName::Software, &key, OWNERS, RegValue::multi_sz(&rest), reason)?;
            shared.extend(path.map(|path| path.to_string().to_lowercase()));
            continue;
        }
        hives.delete_key(HiveName::Software, &key, reason)?;
        let Some(path) = path.filter(|path| image.exists(path)) else { continue };
        match kept.get(&path.to_string().to_lowercase()) {
            Some(copy) if image.copy(copy, &path, &format!("{reason}: the file it had replaced"))? => {
                image.remove(copy, reason);
            }
            _ if is_own(staged, image, &path)? => image.remove(&path, reason),
            _ => findings.push(format!("{path} is not the file of this driver and stays")),
        }
    }
    Ok(shared)
}

/// The file that a record of that name guards; none for one outside of the Windows folder.
fn locked_path(name: &str) -> Option<WimPath> {
    const ROOT: &str = "%SystemRoot%\\";
    let file = name.replace('/', "\\");
    let (root, below) = file.split_at_checked(ROOT.len())?;
    if !root.eq_ignore_ascii_case(ROOT) {
        return None;
    }
    WimPath::parse(&format!("\\Windows\\{below}")).ok()
}

/// True when the package's folder in the driver store has a file with the bytes of the one at `path`.
fn is_own(staged: &OemPackage, image: &ImageFiles<'_>, path: &WimPath) -> Result<bool> {
    let size_of = |path: &WimPath| image.view().entry(path).map(|entry| entry.size);
    let size = size_of(path);
    let sha256 = image.sha256_of(path)?;
    for folder in &staged.folders {
        let Ok(folder) = image.spelled(&format!("{FILE_REPOSITORY}\\{folder}")) else { continue };
        for file in image.below(&folder).1 {
            // Only files of that size are worth reading.
            if size_of(&file) == size && image.sha256_of(&file)? == sha256 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
