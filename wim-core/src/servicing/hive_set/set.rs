//! The set of an image's hives: reads that see all edits, edits with their reasons, and the changes that come of them.
//!
//! Control sets are those that `Select` names, as Windows' loader reads it; which keys to edit is the planners' business. A
//! hive that nothing changed gives no change.

use std::collections::BTreeMap;

use super::load::{self, MAX_HIVE_BYTES, Rules, Slot};
use super::{Edit, EditAction, HiveName, HiveOptions, KeyTraits, Savepoint};
use crate::base::{Error, Result};
use crate::formats::hive::{Damage, DeleteScope, Finding, Hive, RegValue};
use crate::image::WimPath;
use crate::image::edit::{Action, Change, Content, Security, View};

/// Folders of users' profiles, and in each profile the hive of the user and that of the user's classes.
const PROFILES: [(&str, [&str; 2]); 2] = [
    ("\\Users", ["NTUSER.DAT", "AppData\\Local\\Microsoft\\Windows\\UsrClass.dat"]),
    (
        "\\Documents and Settings",
        ["NTUSER.DAT", "Local Settings\\Application Data\\Microsoft\\Windows\\UsrClass.dat"],
    ),
];
/// After a user's name, as after the SID of a running Windows: the user's classes.
const CLASSES: &str = "_Classes";

/// What the file at a path of the image is called in errors.
type FileName<'v> = Box<dyn Fn(&WimPath) -> String + 'v>;

/// The hives of one image.
pub struct HiveSet<'v> {
    view: &'v dyn View,
    rules: Rules,
    /// What files are called in errors; none for their paths.
    file_name: Option<FileName<'v>>,
    /// Loaded hives; none for one that the image does not have.
    slots: BTreeMap<HiveName, Option<Slot>>,
    added: Vec<WimPath>,
    journal: Vec<Edit>,
    /// Number of the newest savepoint; 0 before the first.
    savepoint: u32,
}

impl<'v> HiveSet<'v> {
    /// The hives of the image behind `view`; each is loaded when it is first asked for.
    #[must_use]
    pub fn new(view: &'v dyn View, options: HiveOptions) -> Self {
        let rules = Rules { time: options.time, damage: Damage::Refuse, max_bytes: MAX_HIVE_BYTES };
        Self {
            view,
            rules,
            file_name: None,
            slots: BTreeMap::new(),
            added: Vec::new(),
            journal: Vec::new(),
            savepoint: 0,
        }
    }

    /// The same set with another rule for damaged hives: [`Damage::GiveUp`] rebuilds them without what cannot be read, before
    /// their first edit, and [`Self::left_out`] names that.
    #[must_use]
    pub fn with_damage(mut self, damage: Damage) -> Self {
        self.rules.damage = damage;
        self
    }

    /// The same set that refuses hives above `bytes`; editing takes up to three times the size of a hive.
    #[must_use]
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.rules.max_bytes = bytes.min(MAX_HIVE_BYTES);
        self
    }

    /// The same set whose errors call files by what `name` says instead of by their paths in the image.
    #[must_use]
    pub fn with_file_names(mut self, name: impl Fn(&WimPath) -> String + 'v) -> Self {
        self.file_name = Some(Box::new(name));
        self
    }

    /// A name for the hive at `path` of the image, such as a user's NTUSER.DAT or a BCD store.
    ///
    /// # Errors
    /// `Limit` after 65,536 of them.
    pub fn add_path(&mut self, path: &WimPath) -> Result<HiveName> {
        let index = match self.added.iter().position(|known| known.eq_ignore_case(path)) {
            Some(index) => index,
            None => {
                self.added.push(path.clone());
                self.added.len() - 1
            }
        };
        u16::try_from(index).map(HiveName::Other).map_err(|_| Error::limit("more than 65536 hives"))
    }

    /// The hives of all users that have a profile in the image, beyond the template of new users.
    ///
    /// # Errors
    /// `Limit` for more than 65,536 of them.
    pub fn user_hives(&mut self) -> Result<Vec<HiveName>> {
        let mut found = Vec::new();
        for (profiles, files) in PROFILES {
            let profiles = WimPath::parse(profiles)?;
            for entry in self.view.list(&profiles).unwrap_or_default() {
                let profile = profiles.child(entry.name.clone());
                // Links such as "Default User" lead to profiles that are listed themselves.
                if !entry.is_directory() {
                    continue;
                }
                for file in files {
                    let path = profile.join(file)?;
                    let is_template =
                        self.path(HiveName::DefaultUser).is_some_and(|it| it.eq_ignore_case(&path));
                    if !is_template && self.is_file(&path) {
                        found.push(self.add_path(&path)?);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The hive of the user whose profile folder has this name; with `_Classes` after it, of that user's classes.
    ///
    /// # Errors
    /// As [`Self::user_hives`].
    pub fn user_hive(&mut self, name: &str) -> Result<Option<HiveName>> {
        let found = self.user_hives()?;
        let is_named =
            |hive: &HiveName| self.user_name(*hive).is_some_and(|user| user.eq_ignore_ascii_case(name));
        Ok(found.into_iter().find(is_named))
    }

    /// The name that [`Self::user_hive`] finds this hive by; none for hives that are no user's.
    #[must_use]
    pub fn user_name(&self, hive: HiveName) -> Option<String> {
        let HiveName::Other(index) = hive else { return None };
        let path = self.added.get(usize::from(index))?;
        PROFILES.iter().find_map(|(profiles, files)| {
            let depth = WimPath::parse(profiles).ok()?.components().len();
            let profile = path.components().get(..=depth)?;
            let user = profile.last()?.to_string();
            let file = files.iter().position(|file| {
                let full = WimPath::parse(&format!("{profiles}\\{user}\\{file}"));
                full.is_ok_and(|full| full.eq_ignore_case(path))
            })?;
            Some(if file == 0 { user } else { format!("{user}{CLASSES}") })
        })
    }

    /// Whether the image has this hive.
    pub fn has(&mut self, hive: HiveName) -> bool {
        match self.slots.get(&hive) {
            Some(slot) => slot.is_some(),
            None => self.path(hive).is_some(),
        }
    }

    /// Path of a hive that the image has.
    #[must_use]
    pub fn path(&self, name: HiveName) -> Option<WimPath> {
        if let HiveName::Other(index) = name {
            return self.added.get(usize::from(index)).filter(|path| self.is_file(path)).cloned();
        }
        name.paths().iter().filter_map(|path| WimPath::parse(path).ok()).find(|path| self.is_file(path))
    }

    /// Size of the file of a hive in bytes, without edits; none when the image does not have it.
    #[must_use]
    pub fn file_bytes(&self, name: HiveName) -> Option<u64> {
        self.path(name).and_then(|path| self.view.entry(&path)).map(|entry| entry.size)
    }

    /// What was damaged in the hive and is not in it any more; empty unless damage is given up.
    #[must_use]
    pub fn left_out(&self, hive: HiveName) -> &[Finding] {
        self.slots.get(&hive).and_then(Option::as_ref).map_or(&[], |slot| &slot.left_out)
    }

    /// Takes a hive out of the set, which has it no longer; none when the image does not have it.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn take(&mut self, hive: HiveName) -> Result<Option<Hive>> {
        self.load(hive)?;
        Ok(self.slots.insert(hive, None).flatten().map(|slot| slot.hive))
    }

    /// Writes a hive anew without free space, in the order of its tree; nothing that it holds is lost.
    ///
    /// # Errors
    /// `NotFound` when the image does not have it; `InvalidInput` once there is a savepoint, since the old bytes are
    /// not kept; `Format` when it is damaged and damage is not given up.
    pub fn rebuild(&mut self, hive: HiveName, reason: &str) -> Result<()> {
        if self.savepoint > 0 {
            return Err(Error::invalid_input("a hive cannot be rebuilt after a savepoint"));
        }
        let time = self.rules.time;
        let slot = self.load(hive)?.ok_or_else(|| no_hive(hive))?;
        let (mut rebuilt, _) =
            slot.hive.compact(Damage::Refuse).map_err(|error| error.in_file(&slot.shown))?;
        if let Some(time) = time {
            rebuilt.set_edit_time(time);
        }
        slot.hive = rebuilt;
        self.journal_key(hive, String::new(), EditAction::Rebuild, reason);
        Ok(())
    }

    /// The hive itself, for reading what the methods below do not offer; none when the image does not have it.
    ///
    /// # Errors
    /// `Format` or `Corrupt` when the hive is damaged, `Io` when it cannot be read.
    pub fn hive(&mut self, hive: HiveName) -> Result<Option<&Hive>> {
        Ok(self.load(hive)?.map(|slot| &slot.hive))
    }

    /// A value, with all edits so far; none when hive, key or value is not there. The empty name is the default value.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn get(&mut self, hive: HiveName, key: &str, value: &str) -> Result<Option<RegValue>> {
        self.read(hive, |hive| hive.value(key, value)).map(Option::flatten)
    }

    /// Names of the subkeys of a key, in their order; empty when hive or key is not there.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn subkeys(&mut self, hive: HiveName, key: &str) -> Result<Vec<String>> {
        self.read(hive, |hive| hive.subkeys(key)).map(Option::unwrap_or_default)
    }

    /// Names and values of a key, in their order; empty when hive or key is not there.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn values(&mut self, hive: HiveName, key: &str) -> Result<Vec<(String, RegValue)>> {
        self.read(hive, |hive| hive.values(key)).map(Option::unwrap_or_default)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn key_exists(&mut self, hive: HiveName, key: &str) -> Result<bool> {
        self.read(hive, |hive| Ok(hive.key(key)?.is_some())).map(|found| found == Some(true))
    }

    /// Sets a value and makes its key where that is missing. A value that is so already is not touched, and not in the
    /// journal.
    ///
    /// # Errors
    /// `NotFound` when the image does not have the hive; else as [`Hive::set_value`].
    pub fn set(
        &mut self,
        hive: HiveName,
        key: &str,
        value: &str,
        data: RegValue,
        reason: &str,
    ) -> Result<()> {
        let old = self.get(hive, key, value)?;
        if old.as_ref() == Some(&data) {
            return Ok(());
        }
        self.create_key(hive, key, reason)?;
        self.edit(hive, |hive| hive.set_value(key, value, &data))?;
        self.journal.push(Edit {
            hive,
            key: key.to_owned(),
            value: Some(value.to_owned()),
            action: EditAction::SetValue,
            old,
            new: Some(data),
            traits: None,
            reason: reason.to_owned(),
        });
        Ok(())
    }

    /// Makes a key with those above it; each that was missing gets its journal entry.
    ///
    /// # Errors
    /// `NotFound` when the image does not have the hive; else as [`Hive::create_key`].
    pub fn create_key(&mut self, hive: HiveName, key: &str, reason: &str) -> Result<()> {
        if self.key_exists(hive, key)? {
            return Ok(());
        }
        let names: Vec<&str> = key.split('\\').filter(|name| !name.is_empty()).collect();
        let mut missing = names.len();
        while missing > 1 && !self.key_exists(hive, &names.get(..missing - 1).unwrap_or(&[]).join("\\"))? {
            missing -= 1;
        }
        self.edit(hive, |hive| hive.create_key(key))?;
        for depth in missing..=names.len() {
            let path = names.get(..depth).unwrap_or(&[]).join("\\");
            self.journal_key(hive, path, EditAction::CreateKey, reason);
        }
        Ok(())
    }

    /// Deletes a value; nothing happens when it is not there.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn delete_value(&mut self, hive: HiveName, key: &str, value: &str, reason: &str) -> Result<()> {
        let Some(old) = self.get(hive, key, value)? else { return Ok(()) };
        self.edit(hive, |hive| hive.delete_value(key, value))?;
        self.journal.push(Edit {
            hive,
            key: key.to_owned(),
            value: Some(value.to_owned()),
            action: EditAction::DeleteValue,
            old: Some(old),
            new: None,
            traits: None,
            reason: reason.to_owned(),
        });
        Ok(())
    }

    /// Deletes a key with everything below it; nothing happens when it is not there.
    ///
    /// # Errors
    /// As [`Hive::delete_key`].
    pub fn delete_key(&mut self, hive: HiveName, key: &str, reason: &str) -> Result<()> {
        let Some(traits) = self.traits(hive, key)? else { return Ok(()) };
        self.edit(hive, |hive| hive.delete_key(key, DeleteScope::Subtree))?;
        self.journal_key(hive, key.to_owned(), EditAction::DeleteKey, reason);
        if let Some(entry) = self.journal.last_mut() {
            entry.traits = Some(traits);
        }
        Ok(())
    }

    /// What a key has beside values and subkeys; none when it is not there.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn traits(&mut self, hive: HiveName, key: &str) -> Result<Option<KeyTraits>> {
        let read = |hive: &Hive| {
            let Some(key) = hive.key(key)? else { return Ok(None) };
            let (security, class) = (key.security()?.map(<[u8]>::to_vec), key.class()?);
            Ok(Some(KeyTraits { security, class: class.map(|class| class.to_text()) }))
        };
        self.read(hive, read).map(Option::flatten)
    }

    /// Makes a key with those above it, and gives it what it had before it was deleted.
    ///
    /// # Errors
    /// As [`Self::create_key`]; `InvalidInput` for a class that is too long.
    pub fn restore_key(&mut self, hive: HiveName, key: &str, traits: &KeyTraits, reason: &str) -> Result<()> {
        self.create_key(hive, key, reason)?;
        let mut is_changed = false;
        if let Some(security) = &traits.security {
            is_changed |= self.edit(hive, |hive| hive.set_security(key, security))?;
        }
        if let Some(class) = &traits.class {
            is_changed |= self.edit(hive, |hive| hive.set_class(key, class))?;
        }
        if is_changed {
            self.journal_key(hive, key.to_owned(), EditAction::RestoreTraits, reason);
        }
        Ok(())
    }

    /// The control sets that edits of `CurrentControlSet` go to: `Select\Current` (else `Default`, else 1), and
    /// `Default` where it differs and exists. Their keys are `ControlSet%03d`.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn control_sets(&mut self) -> Result<Vec<u32>> {
        self.control_sets_of(HiveName::System)
    }

    /// As [`Self::control_sets`], of a SYSTEM hive that lies elsewhere.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn control_sets_of(&mut self, hive: HiveName) -> Result<Vec<u32>> {
        let number = |set: &mut Self, name| -> Result<Option<u32>> {
            let value = set.get(hive, "Select", name)?;
            Ok(value.and_then(|value| value.as_dword()).filter(|&number| number > 0))
        };
        let default = number(self, "Default")?;
        let current = number(self, "Current")?.or(default).unwrap_or(1);
        let mut sets = vec![current];
        if let Some(default) = default
            && default != current
            && self.key_exists(hive, &control_set_key(default))?
        {
            sets.push(default);
        }
        Ok(sets)
    }

    /// A moment to which [`Self::roll_back`] can return; older ones stay valid.
    pub fn savepoint(&mut self) -> Savepoint {
        self.savepoint += 1;
        Savepoint { number: self.savepoint, journal: self.journal.len() }
    }

    /// Takes all edits since `to` back: hives have the very bytes they had then.
    ///
    /// # Errors
    /// `InvalidInput` when the savepoint lies in what was taken back already.
    pub fn roll_back(&mut self, to: Savepoint) -> Result<()> {
        if to.number > self.savepoint || to.journal > self.journal.len() {
            return Err(Error::invalid_input("the savepoint is gone: an earlier one was returned to"));
        }
        for slot in self.slots.values_mut().flatten() {
            slot.hive.roll_back(to.number);
        }
        self.journal.truncate(to.journal);
        self.savepoint = to.number;
        Ok(())
    }

    /// All edits so far, in order.
    #[must_use]
    pub fn journal(&self) -> &[Edit] {
        &self.journal
    }

    /// One change per hive that was changed, the emptying of logs that would otherwise be stale, and the journal.
    ///
    /// # Errors
    /// `InvalidInput` when an edit of a hive had failed halfway.
    pub fn finish(self) -> Result<(Vec<Change>, Vec<Edit>)> {
        let mut changes = Vec::new();
        for (name, slot) in self.slots {
            let Some(slot) = slot else { continue };
            // A dirty hive that was only read stays as it is, logs and all.
            if !self.journal.iter().any(|edit| edit.hive == name) {
                continue;
            }
            let edits = self.journal.iter().filter(|edit| edit.hive == name).count();
            let reason = format!("registry: {edits} edits of {}", name.label());
            let bytes = slot.hive.finish().map_err(|error| error.in_file(&slot.shown))?;
            changes.push(put_file(slot.path, Content::bytes(bytes), reason));
            for log in slot.logs {
                let reason = format!("registry: log of {}, which is written whole", name.label());
                changes.push(put_file(log, Content::bytes([]), reason));
            }
        }
        Ok((changes, self.journal))
    }

    fn journal_key(&mut self, hive: HiveName, key: String, action: EditAction, reason: &str) {
        let reason = reason.to_owned();
        let (value, old, new, traits) = (None, None, None, None);
        self.journal.push(Edit { hive, key, value, action, old, new, traits, reason });
    }

    fn read<T>(&mut self, name: HiveName, read: impl FnOnce(&Hive) -> Result<T>) -> Result<Option<T>> {
        match self.load(name)? {
            None => Ok(None),
            Some(slot) => read(&slot.hive).map(Some).map_err(|error| error.in_file(&slot.shown)),
        }
    }

    fn edit(&mut self, name: HiveName, edit: impl FnOnce(&mut Hive) -> Result<bool>) -> Result<bool> {
        let savepoint = self.savepoint;
        let slot = self.load(name)?.ok_or_else(|| no_hive(name))?;
        if savepoint > 0 {
            slot.hive.begin_savepoint(savepoint);
        }
        let result = edit(&mut slot.hive).map_err(|error| error.in_file(&slot.shown));
        let is_repaired = !slot.left_out.is_empty();
        let is_rebuild = |edit: &Edit| edit.hive == name && edit.action == EditAction::Rebuild;
        if is_repaired && !self.journal.iter().any(is_rebuild) {
            self.journal_key(name, String::new(), EditAction::Rebuild, "damage is given up");
        }
        result
    }

    fn is_file(&self, path: &WimPath) -> bool {
        self.view.entry(path).is_some_and(|entry| !entry.is_directory())
    }

    fn load(&mut self, name: HiveName) -> Result<Option<&mut Slot>> {
        if !self.slots.contains_key(&name) {
            let loaded = match self.path(name) {
                Some(path) => {
                    let shown = match &self.file_name {
                        Some(file_name) => file_name(&path),
                        None => path.to_string(),
                    };
                    Some(load::load(self.view, path, shown, &self.rules)?)
                }
                None => None,
            };
            self.slots.insert(name, loaded);
        }
        Ok(self.slots.get_mut(&name).and_then(Option::as_mut))
    }
}

fn no_hive(name: HiveName) -> Error {
    Error::not_found(format!("the image has no {} hive ({})", name.label(), name.paths().join(" or ")))
}

/// Name of the key of a control set below the root of SYSTEM.
#[must_use]
pub fn control_set_key(number: u32) -> String {
    format!("ControlSet{number:03}")
}

fn put_file(path: WimPath, content: Content, reason: String) -> Change {
    let action = Action::PutFile { content, attributes: None, times: None, security: Security::Inherit };
    Change { path, action, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ErrorKind, FileTime, Sha1Digest, WimString};
    use crate::formats::hive::{CreateOptions, HiveVersion};
    use crate::image::edit::{EntryInfo, Times};
    use std::sync::Arc;

    /// An image that is a plain list of files.
    struct Files(BTreeMap<String, Arc<[u8]>>);

    impl View for Files {
        fn entry(&self, path: &WimPath) -> Option<EntryInfo> {
            let bytes = self.0.get(&path.to_string().to_uppercase())?;
            Some(EntryInfo {
                name: path.name().cloned().unwrap_or_else(|| WimString::from("")),
                attributes: 0x20,
                size: bytes.len() as u64,
                digest: Sha1Digest::of(bytes),
                times: Times::default(),
            })
        }

        fn list(&self, _: &WimPath) -> Option<Vec<EntryInfo>> {
            None
        }

        fn read(&self, path: &WimPath, _: u64) -> Result<Arc<[u8]>> {
            self.0
                .get(&path.to_string().to_uppercase())
                .cloned()
                .ok_or_else(|| Error::not_found(path.to_string()))
        }
    }

    fn image() -> Files {
        let mut system = Hive::create(HiveVersion::V1_5, &CreateOptions::default()).unwrap();
        system.set_value("Select", "Current", &RegValue::dword(2)).unwrap();
        system.set_value("Select", "Default", &RegValue::dword(1)).unwrap();
        system.create_key("ControlSet001\\Services\\disk").unwrap();
        system.create_key("ControlSet002\\Services").unwrap();
        let bytes: Arc<[u8]> = system.finish().unwrap().into();
        let path = "\\WINDOWS\\SYSTEM32\\CONFIG\\SYSTEM";
        Files(BTreeMap::from([
            (path.to_owned(), bytes),
            (format!("{path}.LOG1"), Arc::from([1u8; 512])),
            (format!("{path}.LOG2"), Arc::from([])),
        ]))
    }

    fn bytes_of(change: &Change) -> Vec<u8> {
        match &change.action {
            Action::PutFile { content: Content::Bytes(bytes), .. } => bytes.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_see_edits_and_what_is_so_already_is_not_journalled() {
        let view = image();
        let mut set = HiveSet::new(&view, HiveOptions { time: Some(FileTime(9)) });
        assert!(set.has(HiveName::System) && !set.has(HiveName::Software));
        assert_eq!(set.control_sets().unwrap(), [2, 1]);
        assert_eq!(control_set_key(2), "ControlSet002");
        let key = "ControlSet002\\Services\\nvme\\Parameters";
        set.set(HiveName::System, key, "Start", RegValue::dword(0), "test").unwrap();
        set.set(HiveName::System, key, "START", RegValue::dword(0), "again").unwrap();
        assert_eq!(set.get(HiveName::System, key, "start").unwrap(), Some(RegValue::dword(0)));
        assert_eq!(set.subkeys(HiveName::System, "controlset002\\services").unwrap(), ["nvme"]);
        let steps: Vec<(EditAction, &str)> =
            set.journal().iter().map(|edit| (edit.action, edit.key.as_str())).collect();
        assert_eq!(
            steps,
            [
                (EditAction::CreateKey, "ControlSet002\\Services\\nvme"),
                (EditAction::CreateKey, key),
                (EditAction::SetValue, key)
            ]
        );
        let (changes, journal) = set.finish().unwrap();
        assert_eq!(journal.len(), 3);
        assert_eq!(changes.len(), 2, "the hive and its one log that holds something");
        assert!(bytes_of(&changes[1]).is_empty());
        let written = Hive::open(bytes_of(&changes[0])).unwrap();
        assert_eq!(written.value(key, "Start").unwrap(), Some(RegValue::dword(0)));
        assert_eq!(written.base_block().last_written, FileTime(9));
    }

    #[test]
    fn nothing_changed_is_no_change_also_after_rolling_back() {
        let view = image();
        let mut set = HiveSet::new(&view, HiveOptions::default());
        set.create_key(HiveName::System, "ControlSet001\\Services", "there already").unwrap();
        set.delete_value(HiveName::System, "Select", "Missing", "not there").unwrap();
        let first = set.savepoint();
        set.set(HiveName::System, "A\\B", "c", RegValue::sz("d"), "test").unwrap();
        let second = set.savepoint();
        set.delete_key(HiveName::System, "ControlSet001", "test").unwrap();
        set.roll_back(second).unwrap();
        assert!(set.key_exists(HiveName::System, "ControlSet001\\Services\\disk").unwrap());
        assert_eq!(set.journal().len(), 3);
        set.roll_back(first).unwrap();
        assert!(set.roll_back(second).is_err());
        assert!(!set.key_exists(HiveName::System, "A").unwrap());
        let (changes, journal) = set.finish().unwrap();
        assert!(changes.is_empty() && journal.is_empty());
    }

    #[test]
    fn a_missing_hive_reads_as_empty_and_is_refused_for_edits() {
        let view = image();
        let mut set = HiveSet::new(&view, HiveOptions::default());
        assert_eq!(set.get(HiveName::Software, "a", "b").unwrap(), None);
        assert!(set.subkeys(HiveName::Software, "a").unwrap().is_empty());
        let error = set.set(HiveName::Software, "a", "b", RegValue::sz(""), "test").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
