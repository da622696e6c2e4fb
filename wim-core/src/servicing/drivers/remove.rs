//! Takes drivers out again that were put in, exactly: files, registry values, list entries, in any order.
//!
//! Source: drivers.md 3.6. The manifest in the image says what each driver wrote. What several drivers rely on stays until the
//! last of them goes, and a file that kept another driver's out hands its place to that; from lists such as the device path only the driver's own strings go; what something else changed
//! since stays and is reported.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::database::{self, OEM_INF_MAP, UPDATE_DATE};
use super::hand_over::{hand_over_file, take_over};
use super::level_a::{FOLDER, REPLACED_FOLDER};
use super::lint;
use super::list_edits::{self, ListShape};
use super::manifest::{self, Manifest, ManifestEdit, ManifestEntry, ManifestFile, ManifestValue};
use super::options::Unbootable;
use super::remove_staged;
use super::store::{ImageFiles, file_version, refusal};
use super::winpe;
use crate::base::hex;
use crate::base::{Error, Result};
use crate::formats::hive::RegValue;
use crate::formats::pe::FileVersion;
use crate::image::WimPath;
use crate::image::edit::{Change, View};
use crate::servicing::hive_set::{HiveName, HiveSet};

/// What removing drivers comes to.
#[derive(Debug)]
pub struct RemovalPlan {
    /// The drivers that go.
    pub removed: Vec<ManifestEntry>,
    /// File changes; registry edits are in the hive set.
    pub changes: Vec<Change>,
    /// What stays and why.
    pub findings: Vec<String>,
}

/// Finds the drivers that `name` means: an INF's file name, the name of a package folder, or the beginning (at least six digits)
/// of an identity.
#[must_use]
pub fn find<'m>(manifest: &'m Manifest, name: &str) -> Vec<&'m ManifestEntry> {
    const SHORTEST_IDENTITY: usize = 6;
    let lower = name.to_lowercase();
    let is_named = |entry: &&ManifestEntry| {
        entry.inf.eq_ignore_ascii_case(name)
            || entry.published.as_deref().is_some_and(|published| published.eq_ignore_ascii_case(name))
            || entry.folder.rsplit('\\').next().is_some_and(|folder| folder.eq_ignore_ascii_case(name))
            || (lower.len() >= SHORTEST_IDENTITY && entry.identity.starts_with(&lower))
    };
    manifest.drivers.iter().filter(is_named).collect()
}

/// Plans removing the drivers that `names` mean from the image behind `view`.
///
/// # Errors
/// `NotFound` when a name means none, `InvalidInput` when Windows may not boot without them and that is not asked for; what reading the manifest, files or hives gives.
pub fn plan_removal(
    names: &[String],
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    unbootable: Unbootable,
) -> Result<RemovalPlan> {
    let mut manifest = Manifest::load(view)?;
    let mut wanted: Vec<String> = Vec::new();
    let mut staged = Vec::new();
    for name in names {
        let found = find(&manifest, name);
        wanted.extend(found.iter().map(|entry| entry.identity.clone()));
        if found.is_empty() {
            let packages = remove_staged::find(hives, name)?;
            if packages.is_empty() {
                return Err(no_such_driver(&manifest, name));
            }
            staged.extend(packages);
        }
    }
    remove_staged::once_each(&mut staged);
    let mut removal = Removal { image: ImageFiles::new(view), findings: Vec::new(), folders: Vec::new() };
    let faults = lint::errors(&removal.image, hives)?;
    let mut removed = Vec::new();
    forget_records(manifest.drivers.iter().filter(|entry| wanted.contains(&entry.identity)), hives)?;
    for identity in wanted {
        let Some(index) = manifest.drivers.iter().position(|entry| entry.identity == identity) else {
            continue;
        };
        let entry = manifest.drivers.remove(index);
        removal.files(&entry, &mut manifest)?;
        removal.registry(&entry, &mut manifest, hives)?;
        winpe::forget(&mut removal.image, &entry, &mut manifest, &mut removal.findings)?;
        removal.folders.extend(entry.made_folders.iter().cloned());
        removed.push(entry);
    }
    let mut is_changed = !removed.is_empty();
    for package in &staged {
        is_changed |= remove_staged::hand_over_kept(package, &mut removal.image, &mut manifest)?;
    }
    if is_changed {
        removal.finish(&mut manifest)?;
    }
    for package in staged {
        removed.push(remove_staged::remove(package, &mut removal.image, hives, &mut removal.findings)?);
    }
    let new: Vec<String> = lint::errors(&removal.image, hives)?.difference(&faults).cloned().collect();
    if !new.is_empty() && unbootable == Unbootable::Refuse {
        return Err(refusal(
            format!("Windows may not boot without {}: {}", names.join(", "), new.join("; ")),
            "remove the driver that needs it too, in the same job; or force it",
        ));
    }
    removal.findings.extend(new.into_iter().map(|text| format!("Windows may not boot: {text}")));
    Ok(RemovalPlan { removed, changes: removal.image.into_changes(), findings: removal.findings })
}

fn no_such_driver(manifest: &Manifest, name: &str) -> Error {
    let known: Vec<&str> = manifest.drivers.iter().map(|entry| entry.inf.as_str()).collect();
    let there = if known.is_empty() { "there are none".into() } else { known.join(", ") };
    Error::not_found(format!("no driver {name} was added to this image: {there}"))
        .remedy("drivers that came with Windows stay; others that Windows 7 itself installed are removed in the running Windows")
}

/// Takes the records of packages out of the driver database, all in one walk, and before the keys they lie in are looked at.
fn forget_records<'m>(going: impl Iterator<Item = &'m ManifestEntry>, hives: &mut HiveSet<'_>) -> Result<()> {
    let (mut published, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for entry in going {
        if let Some(name) = &entry.published {
            published.insert(name.to_lowercase());
            folders.insert(entry.folder_name().to_owned());
        }
    }
    if published.is_empty() {
        return Ok(());
    }
    database::forget(hives, &published, &folders, "driver removed: its records")
}

/// Plans the files that make up an added driver's package, as they lie in the image: path below the package, path in the image.
///
/// # Errors
/// What a path of the manifest gives that cannot be one.
pub fn exported_files(entry: &ManifestEntry) -> Result<Vec<(String, WimPath)>> {
    let folder = format!("{}\\", entry.folder);
    let kept: Vec<&String> = entry.files.iter().filter_map(|file| file.replaced_copy.as_ref()).collect();
    let mut files = Vec::new();
    for file in &entry.files {
        let inside = file.path.get(..folder.len()).is_some_and(|start| start.eq_ignore_ascii_case(&folder));
        if inside && !kept.contains(&&file.path) {
            let relative = file.path.get(folder.len()..).unwrap_or(&file.path);
            files.push((relative.to_owned(), WimPath::parse(&file.path)?));
        }
    }
    Ok(files)
}

/// True for a path inside `folder`.
fn is_below(path: &WimPath, folder: &WimPath) -> bool {
    path.components().len() > folder.components().len()
        && path.components().iter().zip(folder.components()).all(|(a, b)| a.eq_ignore_case(b))
}

struct Removal<'a> {
    image: ImageFiles<'a>,
    findings: Vec<String>,
    /// Directories that the removed drivers had made.
    folders: Vec<String>,
}

impl Removal<'_> {
    fn files(&mut self, entry: &ManifestEntry, others: &mut Manifest) -> Result<()> {
        let reason = format!("driver {} removed", entry.inf);
        let folder = WimPath::parse(&entry.folder)?;
        for file in &entry.files {
            let path = WimPath::parse(&file.path)?;
            // What lies in the package's own folder goes below.
            if is_below(&path, &folder) || hand_over_file(&mut self.image, entry, file, others)? {
                continue;
            }
            let Some(present) = self.image.sha256_of(&path)? else { continue };
            if hex::encode(&present) != file.sha256 {
                self.findings.push(format!("{path} was changed by something else and stays"));
                continue;
            }
            if file.replaced_sha256.as_ref() == Some(&file.sha256) {
                continue;
            }
            let kept = file.replaced_copy.as_deref().map(WimPath::parse).transpose()?;
            if self.pass_on(&path, (file, kept.as_ref()), others, &reason)? {
                continue;
            }
            match kept {
                Some(copy) => self.put_back(&path, &copy, file, &reason)?,
                None => self.image.remove(&path, &reason),
            }
        }
        self.package_folder(entry, &folder, &reason)?;
        // Windows makes it when it first reads the published INF.
        if let Some(stem) = entry.published.as_deref().and_then(|name| name.strip_suffix(".inf")) {
            let compiled = self.image.spelled(&format!("{}\\{stem}.PNF", database::INF_FOLDER))?;
            if self.image.exists(&compiled) {
                self.image.remove(&compiled, &reason);
            }
        }
        Ok(())
    }

    /// Puts the file back that `file` had replaced: by linking it to its other name where that still has the same bytes, else by its copy.
    fn put_back(&mut self, path: &WimPath, copy: &WimPath, file: &ManifestFile, reason: &str) -> Result<()> {
        let reason = format!("{reason}: the file it had replaced");
        let other = file.replaced_link.as_deref().map(WimPath::parse).transpose()?;
        let is_linked = match (other, self.image.sha256_of(copy)?) {
            (Some(other), Some(sha256)) => self.image.link(path, &other, &sha256, &reason)?,
            _ => false,
        };
        if is_linked || self.image.copy(copy, path, &reason)? {
            self.image.remove(copy, &reason);
        }
        Ok(())
    }

    /// Removes what the driver put into its own folder, and the folder when nothing else is in it.
    fn package_folder(&mut self, entry: &ManifestEntry, folder: &WimPath, reason: &str) -> Result<()> {
        let mut known: BTreeMap<String, Option<&str>> = BTreeMap::new();
        for file in &entry.files {
            known.insert(file.path.to_lowercase(), Some(&file.sha256));
            // A copy of Windows' file that could not be put back is still the driver's doing.
            known.extend(file.replaced_copy.iter().map(|copy| (copy.to_lowercase(), None)));
        }
        // Windows compiles INFs where they lie.
        let compiled = format!("{}.pnf", entry.inf.to_lowercase().trim_end_matches(".inf"));
        let (_, files) = self.image.below(folder);
        let (mut own, mut strays) = (Vec::new(), Vec::new());
        for path in files {
            let text = path.to_string().to_lowercase();
            let is_own = match known.get(&text) {
                Some(Some(sha256)) => {
                    self.image.sha256_of(&path)?.is_some_and(|present| hex::encode(&present) == **sha256)
                }
                Some(None) => true,
                None => text.rsplit('\\').next() == Some(compiled.as_str()),
            };
            if is_own {
                own.push(path);
                continue;
            }
            let how = if known.contains_key(&text) { "was changed" } else { "was put there" };
            strays.push(format!("{path} {how} by something else and stays"));
        }
        if strays.is_empty() {
            self.image.remove(folder, reason);
            return Ok(());
        }
        self.findings.extend(strays);
        own.iter().for_each(|path| self.image.remove(path, reason));
        self.image.remove_emptied(folder, reason);
        Ok(())
    }

    /// Puts the file of a driver that relied on the one at `path`, which goes, in its place: of several the newest. False when no
    /// driver relied on it, when none has its own any more, and when all of those are older than `kept`, the file that was there
    /// before: that one comes back then, and they rely on it. Otherwise `kept` is handed to the driver whose file takes the place.
    fn pass_on(
        &mut self,
        path: &WimPath,
        (file, kept): (&ManifestFile, Option<&WimPath>),
        others: &mut Manifest,
        reason: &str,
    ) -> Result<bool> {
        let text = path.to_string();
        let Some((index, own, sha256)) = self.heir_of(&text, kept, others)? else { return Ok(false) };
        let Some(heir) = others.drivers.get_mut(index) else { return Ok(false) };
        let reason = format!("{reason}: the file of {}, which relied on it", heir.inf);
        let (mut replaced_sha256, mut replaced_copy, mut replaced_link) = (None, None, None);
        if let Some(kept) = kept {
            replaced_copy = take_over(&mut self.image, kept, &text, heir)?;
            replaced_sha256 = file.replaced_sha256.clone().filter(|_| replaced_copy.is_some());
            replaced_link = file.replaced_link.clone().filter(|_| replaced_copy.is_some());
        }
        self.image.copy(&own, path, &reason)?;
        let path = text.clone();
        heir.files.push(ManifestFile { path, sha256, replaced_sha256, replaced_copy, replaced_link });
        heir.files.sort_by_key(|file| file.path.to_lowercase());
        heir.relied_on.retain(|relied| !relied.path.eq_ignore_ascii_case(&text));
        Ok(true)
    }

    /// The driver whose own file is to lie at `path`, by its place on the list, with that file and its SHA-256: the newest of
    /// those that rely on what lies there, unless `kept` may not make way for it.
    fn heir_of(
        &mut self,
        path: &str,
        kept: Option<&WimPath>,
        others: &Manifest,
    ) -> Result<Option<(usize, WimPath, String)>> {
        let kept_bytes = kept.map(|kept| self.image.read(kept)).transpose()?.flatten();
        let kept_version = kept_bytes.as_deref().and_then(file_version);
        let has_it = |file: &ManifestFile| file.path.eq_ignore_ascii_case(path);
        let owners = others.drivers.iter().filter(|other| other.files.iter().any(has_it));
        let last_owner = owners.map(|owner| owner.order).max();
        let mut best: Option<(Option<FileVersion>, usize, WimPath, String)> = None;
        for (index, other) in others.drivers.iter().enumerate() {
            let Some(relied) = other.relied_on.iter().find(|relied| relied.path.eq_ignore_ascii_case(path))
            else {
                continue;
            };
            let own = WimPath::parse(&relied.own)?;
            let Some(bytes) = self.image.read(&own)? else {
                self.findings
                    .push(format!("{path} is gone, and so is {own}: add {} again to complete it", other.inf));
                continue;
            };
            let version = file_version(&bytes);
            // As when it was added: it would not have replaced that file. One that it, or a driver after it, has put there stays too.
            let is_kept = kept_bytes.is_some()
                && (relied.never_replaces
                    || kept_version.zip(version).is_some_and(|(kept, own)| kept > own)
                    || kept_bytes.as_deref() == Some(&*bytes)
                    || last_owner.is_some_and(|owner| owner >= other.order));
            if !is_kept && best.as_ref().is_none_or(|(known, ..)| *known < version) {
                best = Some((version, index, own, hex::encode(&Sha256::digest(&bytes))));
            }
        }
        Ok(best.map(|(_, index, own, sha256)| (index, own, sha256)))
    }

    fn registry(
        &mut self,
        entry: &ManifestEntry,
        others: &mut Manifest,
        hives: &mut HiveSet<'_>,
    ) -> Result<()> {
        let reason = format!("driver {} removed", entry.inf);
        for edit in entry.registry.iter().rev() {
            let Some(hive) = HiveName::ALL.into_iter().find(|hive| hive.label() == edit.hive) else {
                continue;
            };
            match &edit.value {
                None => key(entry, edit, hive, others, hives, &reason)?,
                Some(value) => self.value(entry, edit, (hive, value), others, hives, &reason)?,
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        entry: &ManifestEntry,
        edit: &ManifestEdit,
        (hive, value): (HiveName, &str),
        others: &mut Manifest,
        hives: &mut HiveSet<'_>,
        reason: &str,
    ) -> Result<()> {
        let key = &edit.key;
        let present = hives.get(hive, key, value)?;
        if key.eq_ignore_ascii_case(database::ROOT)
            && value.eq_ignore_ascii_case(OEM_INF_MAP)
            && let Some(number) = entry.published.as_deref().and_then(database::number_of)
        {
            let rest = map_without(number, present.as_ref(), entry, edit, others);
            return match rest {
                Some(rest) => hives.set(hive, key, value, rest, reason),
                None => hives.delete_value(hive, key, value, reason),
            };
        }
        if let Some(present) = &present
            && remove_strings(entry, edit, (hive, value, present), others, hives, reason)?
        {
            return Ok(());
        }
        if let Some(next) = later(entry, others, |other| other.registry.iter().any(|o| o.is_about(edit))) {
            if let Some(heir) = next.registry.iter_mut().find(|o| o.is_about(edit))
                && heir.old == edit.new
            {
                heir.old.clone_from(&edit.old);
            }
            return Ok(());
        }
        if present.as_ref().map(ManifestValue::from) == edit.new {
            return match edit.old.as_ref().and_then(ManifestValue::decode) {
                Some(old) => hives.set(hive, key, value, old, reason),
                None => hives.delete_value(hive, key, value, reason),
            };
        }
        if present.is_some() && !value.eq_ignore_ascii_case(UPDATE_DATE) {
            let hive = hive.label();
            self.findings
                .push(format!("{hive}\\{key}, value {value:?}, was changed by something else and stays"));
        }
        Ok(())
    }

    fn finish(&mut self, manifest: &mut Manifest) -> Result<()> {
        let path = self.image.spelled(manifest::PATH)?;
        if manifest.drivers.is_empty() {
            self.image.remove(&path, "drivers: the list of those added is empty");
        }
        self.folders()?;
        // Those that others still use are for the last of them to take away.
        if let Some(heir) = manifest.drivers.iter_mut().min_by_key(|entry| entry.order) {
            heir.made_folders.splice(0..0, self.folders.drain(..));
        }
        if !manifest.drivers.is_empty() {
            let bytes = manifest.to_bytes()?;
            self.image.put_bytes(&path, bytes.into(), "drivers: the list of those added")?;
        }
        let folder = self.image.spelled(FOLDER)?;
        if manifest.drivers.is_empty() {
            // Whoever made it, with a list that was lost: nothing of Windows is kept in it any more.
            self.image
                .remove_emptied(&folder.child(REPLACED_FOLDER), "drivers: nothing that was replaced is kept");
        }
        if self.image.is_emptied(&folder) {
            self.image.remove(&folder, "drivers: the folder of packages is empty");
        }
        Ok(())
    }

    /// Removes the directories that drivers had made and that are empty now; the others stay in the list.
    fn folders(&mut self) -> Result<()> {
        let mut folders = std::mem::take(&mut self.folders);
        folders.sort_by_key(|path| path.to_lowercase());
        folders.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        for text in folders.iter().rev() {
            let path = WimPath::parse(text)?;
            if !self.image.exists(&path) {
                continue;
            }
            if self.image.is_emptied(&path) {
                self.image.remove(&path, "driver removed: the directory it had made");
            } else {
                self.folders.insert(0, text.clone());
            }
        }
        Ok(())
    }
}

/// Takes back what a driver did to a key: one that it made goes when it is empty, one that it deleted is made again, and its values
/// and subkeys follow. What a later driver did to it after that was done to nothing of its own, and is forgotten.
fn key(
    entry: &ManifestEntry,
    edit: &ManifestEdit,
    hive: HiveName,
    others: &mut Manifest,
    hives: &mut HiveSet<'_>,
    reason: &str,
) -> Result<()> {
    let is_opposite = |other: &ManifestEdit| other.is_about(edit) && other.key_deleted != edit.key_deleted;
    let has_one = |other: &ManifestEntry| other.registry.iter().any(|other| other.is_about(edit));
    let next_has_none = !others.drivers.iter().any(has_one);
    if let Some(next) = later(entry, others, has_one)
        && let Some(first) = next.registry.iter().position(|other| other.is_about(edit))
        && next.registry.get(first).is_some_and(is_opposite)
    {
        next.registry.remove(first);
    }
    if edit.key_deleted {
        return hives.restore_key(hive, &edit.key, &edit.key_traits(), reason);
    }
    let is_empty = hives.subkeys(hive, &edit.key)?.is_empty() && hives.values(hive, &edit.key)?.is_empty();
    if is_empty && edit.new.is_none() && edit.old.is_none() {
        hives.delete_key(hive, &edit.key, reason)?;
    } else if next_has_none {
        hand_over_key(edit, others);
    }
    Ok(())
}

/// Gives a key that was made to the first driver that writes to it: one that others deleted in between and made again.
fn hand_over_key(edit: &ManifestEdit, others: &mut Manifest) {
    let key = edit.key.to_lowercase();
    let is_there = |other: &ManifestEdit| {
        let other_key = other.key.to_lowercase();
        let rest = other_key.strip_prefix(&key);
        other.hive == edit.hive && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
    };
    let users = others.drivers.iter_mut().filter(|other| other.registry.iter().any(is_there));
    if let Some(heir) = users.min_by_key(|other| other.order)
        && let Some(at) = heir.registry.iter().position(is_there)
    {
        // Before what lies below it, which goes before it.
        heir.registry.insert(at, edit.clone());
    }
}

/// The map of published numbers without one, and what the drivers added later had found; none when there was no map.
fn map_without(
    number: u32,
    present: Option<&RegValue>,
    entry: &ManifestEntry,
    edit: &ManifestEdit,
    others: &mut Manifest,
) -> Option<RegValue> {
    let own = present.map(|value| value.data.clone()).unwrap_or_default();
    let rest = database::without_number(&own, number);
    if let Some(next) = later(entry, others, |other| other.registry.iter().any(|o| o.is_about(edit))) {
        if let Some(heir) = next.registry.iter_mut().find(|o| o.is_about(edit))
            && heir.old == edit.new
        {
            heir.old.clone_from(&edit.old);
        }
        return Some(RegValue::binary(rest));
    }
    let before = edit.old.as_ref().and_then(ManifestValue::decode);
    let bits = |map: &[u8]| map.iter().rev().skip_while(|byte| **byte == 0).copied().collect::<Vec<_>>();
    let is_as_before = bits(&rest) == bits(before.as_ref().map_or(&[], |value| &value.data));
    if is_as_before { before } else { Some(RegValue::binary(rest)) }
}

/// The first driver added after `entry` that `has` something.
pub(super) fn later<'m>(
    entry: &ManifestEntry,
    others: &'m mut Manifest,
    has: impl Fn(&ManifestEntry) -> bool,
) -> Option<&'m mut ManifestEntry> {
    let after = others.drivers.iter_mut().filter(|other| other.order > entry.order && has(other));
    after.min_by_key(|other| other.order)
}

/// Takes a driver's own strings out of the list `present`; what was there before comes back exactly when nothing else is left.
/// False when it is no list.
fn remove_strings(
    entry: &ManifestEntry,
    edit: &ManifestEdit,
    (hive, value, present): (HiveName, &str, &RegValue),
    others: &mut Manifest,
    hives: &mut HiveSet<'_>,
    reason: &str,
) -> Result<bool> {
    let Some(shape) = ListShape::of(edit) else { return Ok(false) };
    let Some(mut rest) = shape.strings_in(Some(present)) else { return Ok(false) };
    let going = list_edits::going(edit, entry, others);
    list_edits::hand_over(shape, edit, entry, &going, others);
    let before = rest.len();
    rest.retain(|text| !list_edits::has(&going, text));
    let old = edit.old.as_ref().and_then(ManifestValue::decode);
    let is_as_before = shape.strings_in(old.as_ref()).is_some_and(|old| list_edits::are_same(&rest, &old));
    let left = match old {
        old if is_as_before => old,
        _ if rest.len() == before => return Ok(true),
        _ if rest.is_empty() => None,
        _ => Some(shape.value(&rest, present)),
    };
    match left {
        Some(left) => hives.set(hive, &edit.key, value, left, reason)?,
        None => hives.delete_value(hive, &edit.key, value, reason)?,
    }
    Ok(true)
}
