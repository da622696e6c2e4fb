//! All registry hives of one image: each loaded once, edited by every planner, written once, and only when changed.
//!
//! Every edit is kept in a journal with its reason, which dry runs, reports, manifests and undo are made of; savepoints take
//! a refused driver back to the very bytes. Where hives lie in an image is known here and nowhere else.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::base::{Error, ErrorKind, FileTime, Result};
use crate::formats::hive::{DeleteScope, Hive, RegValue};
use crate::image::WimPath;
use crate::image::edit::{Action, Change, Content, Security, View};

/// Largest hive that is loaded: 2 GiB is the format's own limit.
const MAX_HIVE_BYTES: u64 = 0x8000_0000;
/// Largest transaction log that is loaded.
const MAX_LOG_BYTES: u64 = 256 << 20;
/// Suffixes of transaction logs.
const LOG_SUFFIXES: [&str; 3] = [".LOG1", ".LOG2", ".LOG"];

/// A hive of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HiveName {
    /// `HKLM\SYSTEM`.
    System,
    /// `HKLM\SOFTWARE`.
    Software,
    /// `HKLM\DRIVERS`, from Windows 8 on.
    Drivers,
    /// `HKLM\COMPONENTS`, which only servicing loads.
    Components,
    /// `HKU\.DEFAULT`: the settings of LocalSystem.
    Default,
    /// Template of new users' `HKCU`.
    DefaultUser,
    /// `HKLM\SAM`.
    Sam,
    /// `HKLM\SECURITY`.
    Security,
    /// `config\ELAM`.
    Elam,
    /// `config\BBI`.
    Bbi,
    /// `config\BCD-Template`.
    BcdTemplate,
    /// `HKLM\SCHEMA`.
    Schema,
    /// `HKU\S-1-5-19`.
    LocalService,
    /// `HKU\S-1-5-20`.
    NetworkService,
    /// `AppCompat\Programs\Amcache.hve`.
    Amcache,
    /// A hive added by its path: see [`HiveSet::add_path`].
    Other(u16),
}

impl HiveName {
    /// All hives that have a place of their own.
    pub const ALL: [Self; 15] = [
        Self::System,
        Self::Software,
        Self::Drivers,
        Self::Components,
        Self::Default,
        Self::DefaultUser,
        Self::Sam,
        Self::Security,
        Self::Elam,
        Self::Bbi,
        Self::BcdTemplate,
        Self::Schema,
        Self::LocalService,
        Self::NetworkService,
        Self::Amcache,
    ];

    /// Where it lies in an image; the first that exists counts.
    #[must_use]
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Self::System => &["\\Windows\\System32\\config\\SYSTEM"],
            Self::Software => &["\\Windows\\System32\\config\\SOFTWARE"],
            Self::Drivers => &["\\Windows\\System32\\config\\DRIVERS"],
            Self::Components => &["\\Windows\\System32\\config\\COMPONENTS"],
            Self::Default => &["\\Windows\\System32\\config\\DEFAULT"],
            Self::DefaultUser => {
                &["\\Users\\Default\\NTUSER.DAT", "\\Documents and Settings\\Default User\\NTUSER.DAT"]
            }
            Self::Sam => &["\\Windows\\System32\\config\\SAM"],
            Self::Security => &["\\Windows\\System32\\config\\SECURITY"],
            Self::Elam => &["\\Windows\\System32\\config\\ELAM"],
            Self::Bbi => &["\\Windows\\System32\\config\\BBI"],
            Self::BcdTemplate => &["\\Windows\\System32\\config\\BCD-Template"],
            Self::Schema => &["\\Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT"],
            Self::LocalService => &["\\Windows\\ServiceProfiles\\LocalService\\NTUSER.DAT"],
            Self::NetworkService => &["\\Windows\\ServiceProfiles\\NetworkService\\NTUSER.DAT"],
            Self::Amcache => &["\\Windows\\AppCompat\\Programs\\Amcache.hve"],
            Self::Other(_) => &[],
        }
    }

    /// How people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Software => "SOFTWARE",
            Self::Drivers => "DRIVERS",
            Self::Components => "COMPONENTS",
            Self::Default => "DEFAULT",
            Self::DefaultUser => "default user",
            Self::Sam => "SAM",
            Self::Security => "SECURITY",
            Self::Elam => "ELAM",
            Self::Bbi => "BBI",
            Self::BcdTemplate => "BCD-Template",
            Self::Schema => "SCHEMA",
            Self::LocalService => "LocalService",
            Self::NetworkService => "NetworkService",
            Self::Amcache => "Amcache",
            Self::Other(_) => "hive",
        }
    }
}

/// How hives are edited.
#[derive(Clone, Copy, Debug, Default)]
pub struct HiveOptions {
    /// Time stamped on edited keys and hives; the same edits at the same time give the same bytes. None keeps the time
    /// of each hive's last write.
    pub time: Option<FileTime>,
}

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditAction {
    /// A key was made.
    CreateKey,
    /// A key was deleted with everything below it.
    DeleteKey,
    /// A value was set.
    SetValue,
    /// A value was deleted.
    DeleteValue,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The hive.
    pub hive: HiveName,
    /// Path of the key below the hive's root.
    pub key: String,
    /// Name of the value (empty: the default value); none for edits of keys.
    pub value: Option<String>,
    /// What was done.
    pub action: EditAction,
    /// What the value was; none when it is new, and for edits of keys.
    pub old: Option<RegValue>,
    /// What the value is now; none when it is gone, and for edits of keys.
    pub new: Option<RegValue>,
    /// Why.
    pub reason: String,
}

/// A moment to which a [`HiveSet`] can go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    number: u32,
    journal: usize,
}

struct Slot {
    hive: Hive,
    path: WimPath,
    /// Logs beside the hive that hold something.
    logs: Vec<WimPath>,
}

/// The hives of one image.
pub struct HiveSet<'v> {
    view: &'v dyn View,
    options: HiveOptions,
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
        Self { view, options, slots: BTreeMap::new(), added: Vec::new(), journal: Vec::new(), savepoint: 0 }
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

    /// Whether the image has this hive.
    pub fn has(&mut self, hive: HiveName) -> bool {
        match self.slots.get(&hive) {
            Some(slot) => slot.is_some(),
            None => self.find(hive).is_some(),
        }
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
            reason: reason.to_owned(),
        });
        Ok(())
    }

    /// Deletes a key with everything below it; nothing happens when it is not there.
    ///
    /// # Errors
    /// As [`Hive::delete_key`].
    pub fn delete_key(&mut self, hive: HiveName, key: &str, reason: &str) -> Result<()> {
        if !self.key_exists(hive, key)? {
            return Ok(());
        }
        self.edit(hive, |hive| hive.delete_key(key, DeleteScope::Subtree))?;
        self.journal_key(hive, key.to_owned(), EditAction::DeleteKey, reason);
        Ok(())
    }

    /// The control sets that edits of `CurrentControlSet` go to: `Select\Current` (else `Default`, else 1), and
    /// `Default` where it differs and exists. Their keys are `ControlSet%03d`.
    ///
    /// # Errors
    /// As [`Self::hive`].
    pub fn control_sets(&mut self) -> Result<Vec<u32>> {
        let number = |set: &mut Self, name| -> Result<Option<u32>> {
            let value = set.get(HiveName::System, "Select", name)?;
            Ok(value.and_then(|value| value.as_dword()).filter(|&number| number > 0))
        };
        let default = number(self, "Default")?;
        let current = number(self, "Current")?.or(default).unwrap_or(1);
        let mut sets = vec![current];
        if let Some(default) = default
            && default != current
            && self.key_exists(HiveName::System, &control_set_key(default))?
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
            let bytes = slot.hive.finish().map_err(|error| error.in_file(&slot.path))?;
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
        self.journal.push(Edit { hive, key, value: None, action, old: None, new: None, reason });
    }

    fn read<T>(&mut self, name: HiveName, read: impl FnOnce(&Hive) -> Result<T>) -> Result<Option<T>> {
        match self.load(name)? {
            None => Ok(None),
            Some(slot) => read(&slot.hive).map(Some).map_err(|error| error.in_file(&slot.path)),
        }
    }

    fn edit(&mut self, name: HiveName, edit: impl FnOnce(&mut Hive) -> Result<bool>) -> Result<bool> {
        let savepoint = self.savepoint;
        let slot = self.load(name)?.ok_or_else(|| {
            Error::not_found(format!(
                "the image has no {} hive ({})",
                name.label(),
                name.paths().join(" or ")
            ))
        })?;
        if savepoint > 0 {
            slot.hive.begin_savepoint(savepoint);
        }
        edit(&mut slot.hive).map_err(|error| error.in_file(&slot.path))
    }

    /// Path of a hive that the image has.
    fn find(&self, name: HiveName) -> Option<WimPath> {
        let is_there = |path: &WimPath| self.view.entry(path).is_some_and(|entry| !entry.is_directory());
        if let HiveName::Other(index) = name {
            return self.added.get(usize::from(index)).filter(|path| is_there(path)).cloned();
        }
        name.paths().iter().filter_map(|path| WimPath::parse(path).ok()).find(is_there)
    }

    fn load(&mut self, name: HiveName) -> Result<Option<&mut Slot>> {
        // A view may have to digest what it is asked about: only a hive that is new is looked for.
        let found = if self.slots.contains_key(&name) { None } else { self.find(name) };
        let slot = match self.slots.entry(name) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let loaded = match found {
                    Some(path) => Some(load_slot(self.view, path, self.options)?),
                    None => None,
                };
                entry.insert(loaded)
            }
        };
        Ok(slot.as_mut())
    }
}

/// Name of the key of a control set below the root of SYSTEM.
#[must_use]
pub fn control_set_key(number: u32) -> String {
    format!("ControlSet{number:03}")
}

fn load_slot(view: &dyn View, path: WimPath, options: HiveOptions) -> Result<Slot> {
    let logs: Vec<WimPath> = LOG_SUFFIXES
        .iter()
        .filter_map(|suffix| beside(&path, suffix))
        .filter(|log| view.entry(log).is_some_and(|entry| entry.size > 0))
        .collect();
    let bytes = view.read(&path, MAX_HIVE_BYTES)?.to_vec();
    let mut hive = match Hive::open(bytes) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let contents =
                logs.iter().map(|log| view.read(log, MAX_LOG_BYTES)).collect::<Result<Vec<_>>>()?;
            let contents: Vec<&[u8]> = contents.iter().map(|log| &**log).collect();
            let bytes = view.read(&path, MAX_HIVE_BYTES)?.to_vec();
            Hive::recover(bytes, &contents)
        }
        opened => opened,
    }
    .map_err(|error| error.in_file(&path))?;
    if let Some(time) = options.time {
        hive.set_edit_time(time);
    }
    Ok(Slot { hive, path, logs })
}

/// The path of the file whose name is that of `path` with `suffix` after it.
fn beside(path: &WimPath, suffix: &str) -> Option<WimPath> {
    let name = format!("{}{suffix}", path.name()?);
    Some(path.parent()?.child(name.as_str()))
}

fn put_file(path: WimPath, content: Content, reason: String) -> Change {
    let action = Action::PutFile { content, attributes: None, times: None, security: Security::Inherit };
    Change { path, action, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Sha1Digest, WimString};
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
