//! A driver that is in an image of Windows Vista or 7 and not on its list of added drivers, because that was lost: which of the files
//! and values found there are its own.
//!
//! Source: drivers.md 3.2 and 3.6. Its own are those below its services and their event logs, the critical devices bound to them, and
//! its folder on the device path; anything else may be Windows' own and is left for ever. So are services and files that another
//! driver without a list has too, and services that Windows may have had before: a service is the driver's own where its file is, and
//! where no INF in the image and nothing in the component store knows either.

use std::collections::{BTreeMap, BTreeSet};

use super::bindings::{Binding, critical_devices};
use super::known_to_windows::KnownToWindows;
use super::level_a::{CURRENT_VERSION, DEFAULT_DEVICE_PATH, DEVICE_PATH, FOLDER, REPLACED_FOLDER};
use super::manifest::{Manifest, ManifestEdit, ManifestEntry, ManifestValue};
use super::package::MAX_INF;
use super::place::{Done, Job, kept_path};
use super::registry_lines::KeptValue;
use super::select::{SelectedFile, SelectedInstall, Selection};
use super::store::ImageFiles;
use crate::base::Result;
use crate::formats::hive::RegValue;
use crate::formats::inf::{Directory, Inf, ParseOptions, Service};
use crate::image::WimPath;
use crate::servicing::hive_set::{HiveName, HiveSet, control_set_key};

/// What a driver without a list has in common with others that are on none either, or with Windows.
#[derive(Clone, Debug, Default)]
pub(super) struct NotItsOwn {
    /// Names of services in lower case, each with what tells it.
    services: BTreeMap<String, String>,
    /// Those of them that Windows may have had, and then also the devices that are bound to them.
    of_windows: BTreeSet<String>,
    /// Names of files in lower case, with what tells that Windows may have had them; none for those that others need.
    files: BTreeMap<String, Option<String>>,
}

impl NotItsOwn {
    /// Looks at the other packages in the image, at the devices bound to the services, and at what Windows has or had of the services and
    /// files, for the package of `job` in `folder`.
    ///
    /// # Errors
    /// What reading the image or the hives gives.
    pub(super) fn find(
        image: &ImageFiles<'_>,
        hives: &mut HiveSet<'_>,
        job: &Job<'_, '_>,
        folder: &WimPath,
    ) -> Result<Self> {
        if !job.is_put_in_place() {
            return Ok(Self::default());
        }
        let (selection, others) = (job.selection, job.manifest);
        let strangers = strangers(image, Some(folder), others)?;
        let mut found = Self::default();
        for stranger in &strangers {
            found.files.extend(stranger.files.iter().map(|file| (file.clone(), None)));
        }
        let bound = bound_by_others(hives, selection, others)?;
        let known = KnownToWindows::find(image, selection)?;
        for (file, by) in &known.files {
            found.files.entry(file.clone()).or_insert_with(|| Some(by.clone()));
        }
        let services = selection.installs.iter().flat_map(|selected| &selected.install.services);
        for service in services.filter(|service| !service.inbox) {
            let name = service.name.to_lowercase();
            let user = strangers.iter().find(|stranger| stranger.services.contains(&name));
            let of_it = |binding: &&Binding| {
                binding.service.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(&name))
            };
            let file = service.binary_name().map(str::to_lowercase);
            let of_others = if let Some(user) = user {
                Some(format!("{}, which is not on the list, has it too", user.inf))
            } else {
                let device = bound.iter().find(of_it);
                device
                    .map(|device| format!("{} is bound to it, which is no device of this driver", device.id))
            };
            if let Some(why) = of_others {
                found.files.extend(file.map(|file| (file, None)));
                found.services.entry(name).or_insert(why);
            } else if let Some(why) = why_of_windows(image, hives, job, (service, folder), &known)? {
                if let Some(file) = file {
                    found.files.entry(file).or_insert_with(|| Some(format!("its service {name} stays")));
                }
                found.of_windows.insert(name.clone());
                found.services.entry(name).or_insert(why);
            }
        }
        Ok(found)
    }

    /// Why a file of the package stays when it goes, if it does; `is_kept` when the one that it had replaced is there still, which Windows
    /// then gets back.
    pub(super) fn why_file_stays(&self, name: &str, is_kept: bool) -> Option<&str> {
        match self.files.get(&name.to_lowercase())? {
            None => Some("others need it"),
            Some(_) if is_kept => None,
            Some(by) => Some(by),
        }
    }

    fn has_service(&self, name: &str) -> bool {
        self.services.contains_key(&name.to_lowercase())
    }

    /// What stays when the driver goes, in words.
    pub(super) fn findings(&self) -> impl Iterator<Item = String> {
        self.services
            .iter()
            .map(|(name, why)| format!("service {name} stays for ever when this driver is removed: {why}"))
    }
}

/// The critical devices that are none of the package of `selection` and of no driver on the list.
fn bound_by_others(
    hives: &mut HiveSet<'_>,
    selection: &Selection,
    others: &Manifest,
) -> Result<Vec<Binding>> {
    let own = selection.installs.iter().flat_map(|install| &install.ids).map(|id| id.id.to_uppercase());
    let on_list = others.drivers.iter().flat_map(|other| &other.ids).map(|id| id.to_uppercase());
    let known: BTreeSet<String> = own.chain(on_list).collect();
    let mut bound = Vec::new();
    critical_devices(hives, &|id| !known.contains(&id.to_uppercase()), &mut bound)?;
    Ok(bound)
}

/// What tells that Windows may have had a service before the driver; none where it is provably the driver's.
fn why_of_windows(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    job: &Job<'_, '_>,
    (service, folder): (&Service, &WimPath),
    known: &KnownToWindows,
) -> Result<Option<String>> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(None) };
    let key = format!("{}\\Services\\{}", control_set_key(set), service.name);
    let present = hives.get(HiveName::System, &key, "ImagePath")?.and_then(|value| value.as_str());
    let binary = present.as_deref().or(service.binary.as_deref()).unwrap_or_default();
    let text = super::bindings::file_of(binary, &service.name);
    let Ok(path) = image.spelled(&text) else {
        return Ok(Some(format!("its file {text} is none that this driver brings")));
    };
    if image.exists(&kept_path(image, &folder.child(REPLACED_FOLDER), &path)?) {
        return Ok(Some("Windows had its file before, and may have had the service".to_owned()));
    }
    if let Some(by) = known.services.get(&service.name.to_lowercase()) {
        return Ok(Some(by.clone()));
    }
    let text = path.to_string();
    if job.manifest.has_file(&text) {
        return Ok(None);
    }
    let goes_there = |file: &&SelectedFile| match file.copy.directory(job.target.arch) {
        Directory::Folder(folder) => {
            text.eq_ignore_ascii_case(&format!("\\{folder}\\{}", file.copy.destination_name))
        }
        _ => false,
    };
    let own = job.selection.files.iter().find(goes_there);
    let Some(own) = own.and_then(|file| job.staged.file(&file.source.stored_path)) else {
        return Ok(Some(format!("its file {path} is none that this driver brings")));
    };
    if image.exists(&path) && !image.has(&path, &own.digests)? {
        return Ok(Some(format!("its file {path} is not this driver's, and may have been there before")));
    }
    let name = path.name().map(|name| name.to_text().to_lowercase()).unwrap_or_default();
    Ok(known.files.get(&name).map(|by| format!("its file may have been there before: {by}")))
}

/// A package of an image that is not on its list of added drivers.
pub(super) struct Stranger {
    /// Its folder and the file name of its INF, of several the first.
    pub(super) inf: String,
    /// The services its INFs name, and all its files, in lower case.
    pub(super) services: BTreeSet<String>,
    files: BTreeSet<String>,
}

/// The packages in the folder of those that level A adds that are on no list, `others`; without the one in the folder `own`.
///
/// # Errors
/// What reading their INFs gives.
pub(super) fn strangers(
    image: &ImageFiles<'_>,
    own: Option<&WimPath>,
    others: &Manifest,
) -> Result<Vec<Stranger>> {
    let parent = image.spelled(FOLDER)?;
    let mut found = Vec::new();
    for folder in image.view().list(&parent).unwrap_or_default().iter().filter(|entry| entry.is_directory()) {
        let path = parent.child(folder.name.clone());
        let text = path.to_string();
        if own.is_some_and(|own| path.eq_ignore_case(own))
            || others.drivers.iter().any(|other| other.folder.eq_ignore_ascii_case(&text))
        {
            continue;
        }
        let (_, files) = image.below(&path);
        let mut stranger = Stranger { inf: String::new(), services: BTreeSet::new(), files: BTreeSet::new() };
        for file in files {
            let name = file.name().map(|name| name.to_text().to_lowercase()).unwrap_or_default();
            if name.ends_with(".inf") && file.parent().is_some_and(|parent| parent.eq_ignore_case(&path)) {
                stranger.services.extend(services_of(image, &file, &name)?);
                if stranger.inf.is_empty() {
                    stranger.inf = format!("{}\\{name}", folder.name);
                }
            }
            stranger.files.insert(name);
        }
        if !stranger.inf.is_empty() {
            found.push(stranger);
        }
    }
    Ok(found)
}

/// All services that an INF names, for whatever Windows; none of one that cannot be read.
fn services_of(image: &ImageFiles<'_>, path: &WimPath, name: &str) -> Result<Vec<String>> {
    let bytes = image.view().read(path, MAX_INF)?;
    let Ok(inf) = Inf::parse(name, &bytes, ParseOptions::default()) else { return Ok(Vec::new()) };
    let lines = inf.sections().iter().flat_map(|section| section.with_key("AddService"));
    let names = lines.filter_map(|line| inf.field(line, 0)).map(|name| name.trim().to_lowercase());
    Ok(names.filter(|name| !name.is_empty()).collect())
}

/// The values that were found as the edits that had made them, and those of their keys; without what drivers on the list, `others`,
/// have made, and what is not the driver's own. Those of services that drivers on the list have too are the first such driver's,
/// and recorded for it.
pub(super) fn edits(
    done: &Done,
    selection: &Selection,
    others: &mut Manifest,
    strange: &NotItsOwn,
) -> Vec<ManifestEdit> {
    let mut own = Vec::new();
    for roots in roots(selection, others, strange) {
        let edits = edits_below(done, &roots.keys, others);
        match roots.of.and_then(|identity| others.drivers.iter_mut().find(|other| other.identity == identity))
        {
            Some(other) => drop(other.registry.splice(0..0, edits)),
            None => own.extend(edits),
        }
    }
    own.extend(filters(done, selection, strange));
    // What of the path is its own is known by its folder's name.
    let mut path = edit(HiveName::Software, CURRENT_VERSION, Some(DEVICE_PATH), None);
    path.old = Some(ManifestValue::from(&RegValue::expand_sz(DEFAULT_DEVICE_PATH)));
    own.push(path);
    own
}

/// The names of services that are the driver's own among the filters of device classes, as the edits that had put them there: a filter whose
/// service went without it would keep Windows from booting.
fn filters<'d>(
    done: &'d Done,
    selection: &'d Selection,
    strange: &'d NotItsOwn,
) -> impl Iterator<Item = ManifestEdit> + use<'d> {
    const FILTERS: [&str; 2] = ["UpperFilters", "LowerFilters"];
    let is_own = move |name: &String| {
        let mut services = selection.installs.iter().flat_map(|selected| &selected.install.services);
        let is_named = |own: &Service| !own.inbox && own.name.eq_ignore_ascii_case(name.trim());
        services.any(is_named) && !strange.has_service(name.trim())
    };
    let is_filter = |kept: &&KeptValue| FILTERS.iter().any(|name| name.eq_ignore_ascii_case(&kept.value));
    done.kept.iter().filter(is_filter).filter_map(move |kept| {
        let wanted: Vec<String> = kept.wanted.iter().filter(|name| is_own(name)).cloned().collect();
        if wanted.is_empty() {
            return None;
        }
        let mut edit = ManifestEdit::from(&KeptValue { wanted, ..kept.clone() });
        // A list of nothing else was none before.
        let rest = edit.old.as_ref().and_then(ManifestValue::decode).and_then(|old| old.as_multi_sz());
        edit.old = edit.old.filter(|_| rest.is_some_and(|rest| !rest.is_empty()));
        Some(edit)
    })
}

fn edits_below(done: &Done, roots: &[String], others: &Manifest) -> Vec<ManifestEdit> {
    let own: Vec<&KeptValue> = done
        .kept
        .iter()
        .filter(|kept| kept.hive == HiveName::System && root_of(&kept.key, roots).is_some())
        .collect();
    let mut seen = BTreeSet::new();
    let mut edits = Vec::new();
    for kept in &own {
        let Some(root) = root_of(&kept.key, roots) else { continue };
        let ends = kept.key.match_indices('\\').map(|(at, _)| at).chain([kept.key.len()]);
        for end in ends.filter(|end| *end >= root.len()) {
            let Some(key) = kept.key.get(..end).filter(|key| seen.insert(key.to_lowercase())) else {
                continue;
            };
            edits.push(edit(kept.hive, key, None, None));
        }
    }
    edits
        .extend(own.iter().map(|kept| {
            edit(kept.hive, &kept.key, Some(&kept.value), Some(ManifestValue::from(&kept.data)))
        }));
    edits.retain(|edit| {
        !others.drivers.iter().flat_map(|other| &other.registry).any(|other| other.is_about(edit))
    });
    edits
}

fn edit(hive: HiveName, key: &str, value: Option<&str>, new: Option<ManifestValue>) -> ManifestEdit {
    let (hive, key) = (hive.label().to_owned(), key.to_owned());
    ManifestEdit { hive, key, value: value.map(str::to_owned), new, ..ManifestEdit::default() }
}

/// Keys below a control set that are a driver's with all that is in them, in lower case.
struct Roots {
    keys: Vec<String>,
    /// Identity of the first driver on the list that has them too.
    of: Option<String>,
}

fn roots(selection: &Selection, others: &Manifest, strange: &NotItsOwn) -> Vec<Roots> {
    let services = selection.installs.iter().flat_map(|selected| &selected.install.services);
    let mut roots = Vec::new();
    for service in services.filter(|service| !service.inbox && !strange.has_service(&service.name)) {
        let mut keys = vec![format!("services\\{}", service.name.to_lowercase())];
        let log = service.event_log.as_ref();
        keys.extend(log.map(|log| format!("services\\eventlog\\{}\\{}", log.log, log.source).to_lowercase()));
        let has_it = |other: &&ManifestEntry| {
            other.services.iter().any(|known| known.eq_ignore_ascii_case(&service.name))
        };
        let first = others.drivers.iter().filter(has_it).min_by_key(|other| other.order);
        roots.push(Roots { keys, of: first.map(|first| first.identity.clone()) });
    }
    let is_own = |selected: &&SelectedInstall| {
        // A device that an INF gives to a service of Windows may have been bound to it before.
        let service = selected.install.function_driver().filter(|service| !service.inbox);
        service.is_some_and(|service| !strange.of_windows.contains(&service.name.to_lowercase()))
    };
    let ids = selection.installs.iter().filter(is_own).flat_map(|selected| &selected.ids);
    let ids = ids.map(|id| super::boot::critical_device_key(&id.id).to_lowercase());
    let keys = ids.map(|id| format!("control\\criticaldevicedatabase\\{id}")).collect();
    roots.push(Roots { keys, of: None });
    roots
}

/// The beginning of `key` that is one of `roots` in a control set.
fn root_of<'k>(key: &'k str, roots: &[String]) -> Option<&'k str> {
    let (set, rest) = key.split_once('\\')?;
    let lower = rest.to_lowercase();
    let is_root = |root: &&String| {
        lower.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
    };
    let root = roots.iter().find(is_root)?;
    key.get(..set.len() + 1 + root.len())
}
