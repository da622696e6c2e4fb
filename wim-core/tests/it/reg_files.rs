//! Registry text files through the hives of an image: paths mapped, imports taken back whole, exports that come back.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use wim_core::base::{Error, Place, Result, Sha1Digest, WimString};
use wim_core::formats::hive::{CreateOptions, Hive, HiveVersion, RegValue};
use wim_core::formats::reg_file::{RegFile, RegFormat, UnknownLines};
use wim_core::image::WimPath;
use wim_core::image::edit::{Action, Change, Content, EntryInfo, Times, View};
use wim_core::servicing::hive_set::{HiveName, HiveOptions, HiveSet};
use wim_core::servicing::registry::{self, PathMap};

use crate::hive_files;

/// An image that is a list of hives.
struct Hives(BTreeMap<String, Arc<[u8]>>);

impl Hives {
    fn new(hives: Vec<(HiveName, Hive)>) -> Self {
        let path = |name: HiveName| name.paths()[0].to_uppercase();
        Self(hives.into_iter().map(|(name, hive)| (path(name), hive.finish().unwrap().into())).collect())
    }
}

impl View for Hives {
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
        self.0.get(&path.to_string().to_uppercase()).cloned().ok_or_else(|| Error::not_found("file"))
    }
}

fn empty() -> Hive {
    Hive::create(HiveVersion::V1_5, &CreateOptions::default()).unwrap()
}

fn image() -> Hives {
    let mut system = empty();
    system.set_value("Select", "Current", &RegValue::dword(1)).unwrap();
    system.set_value("Select", "Default", &RegValue::dword(2)).unwrap();
    system.create_key("ControlSet001").unwrap();
    system.create_key("ControlSet002").unwrap();
    let mut drivers = empty();
    drivers.create_key("DriverDatabase").unwrap();
    Hives::new(vec![
        (HiveName::System, system),
        (HiveName::Software, empty()),
        (HiveName::Drivers, drivers),
        (HiveName::Default, empty()),
        (HiveName::DefaultUser, empty()),
    ])
}

fn parse(text: &str) -> RegFile {
    let text = format!("Windows Registry Editor Version 5.00\r\n\r\n{text}");
    RegFile::parse(text.as_bytes(), None, UnknownLines::Refuse).unwrap()
}

fn written(change: &Change) -> Hive {
    match &change.action {
        Action::PutFile { content: Content::Bytes(bytes), .. } => Hive::open(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_lead_to_the_hives_that_windows_would_mount_there() {
    let view = image();
    let mut set = HiveSet::new(&view, HiveOptions::default());
    let mut map = PathMap { current_user: Some(HiveName::DefaultUser), prefixes: Vec::new() };
    let ccs = |rest: &str| {
        vec![
            (HiveName::System, format!("ControlSet001\\{rest}")),
            (HiveName::System, format!("ControlSet002\\{rest}")),
        ]
    };
    let one = |hive, key: &str| vec![(hive, key.to_owned())];
    for (path, expected) in [
        ("HKEY_LOCAL_MACHINE\\SOFTWARE\\A", one(HiveName::Software, "A")),
        ("hklm\\software", one(HiveName::Software, "")),
        ("HKLM\\SYSTEM\\Setup", one(HiveName::System, "Setup")),
        ("HKLM\\SYSTEM\\CurrentControlSet\\Services\\x", ccs("Services\\x")),
        ("HKLM\\SYSTEM\\DriverDatabase\\X", one(HiveName::Drivers, "DriverDatabase\\X")),
        ("HKEY_CLASSES_ROOT\\.txt", one(HiveName::Software, "Classes\\.txt")),
        ("HKCU\\Console", one(HiveName::DefaultUser, "Console")),
        ("HKEY_USERS\\.DEFAULT\\A", one(HiveName::Default, "A")),
        ("HKU\\S-1-5-19\\A", one(HiveName::LocalService, "A")),
        ("HKEY_CURRENT_CONFIG\\Software", ccs("Hardware Profiles\\0001\\Software")),
    ] {
        assert_eq!(registry::resolve(&mut set, path, &map).unwrap(), expected, "{path}");
    }
    for path in
        ["HKLM", "HKLM\\HARDWARE\\X", "SOFTWARE\\X", "HKU\\S-1-5-21-1-2-3-500\\X", "HKLM\\SOFTWAREX\\A"]
    {
        assert!(registry::resolve(&mut set, path, &map).is_err(), "{path}");
    }
    map.prefixes.push(("HKLM\\zSOFT".to_owned(), HiveName::Software));
    map.prefixes.push(("HKLM\\OFF".to_owned(), HiveName::System));
    assert_eq!(
        registry::resolve(&mut set, "HKEY_LOCAL_MACHINE\\zsoft\\A", &map).unwrap(),
        one(HiveName::Software, "A")
    );
    assert_eq!(registry::resolve(&mut set, "HKLM\\OFF\\CurrentControlSet\\A", &map).unwrap(), ccs("A"));
    map.current_user = None;
    let error = registry::resolve(&mut set, "HKCU\\A", &map).unwrap_err();
    assert!(error.to_string().contains("no current user"), "{error}");
}

#[test]
fn imports_reach_every_hive_and_both_control_sets() {
    let view = image();
    let mut set = HiveSet::new(&view, HiveOptions::default());
    let file = parse(concat!(
        "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\nvme]\r\n\"Start\"=dword:00000000\r\n",
        "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor]\r\n@=\"x\"\r\n\"old\"=\"y\"\r\n\"old\"=-\r\n",
        "[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Not there]\r\n",
    ));
    assert_eq!(registry::import(&mut set, &file, &PathMap::default(), "a.reg").unwrap(), 7);
    let (changes, journal) = set.finish().unwrap();
    assert_eq!(changes.len(), 2);
    assert!(journal.iter().any(|edit| edit.reason == "a.reg, line 4"));
    let system = written(&changes[0]);
    for number in 1..=2 {
        let key = format!("ControlSet00{number}\\Services\\nvme");
        assert_eq!(system.value(&key, "Start").unwrap(), Some(RegValue::dword(0)));
    }
    let software = written(&changes[1]);
    assert_eq!(software.values("Vendor").unwrap(), [(String::new(), RegValue::sz("x"))]);
}

#[test]
fn a_failed_import_leaves_nothing_behind() {
    let view = image();
    let mut set = HiveSet::new(&view, HiveOptions::default());
    let file = parse("[HKLM\\SOFTWARE\\A]\r\n\"v\"=\"x\"\r\n[HKLM\\NOWHERE\\B]\r\n");
    let error = registry::import(&mut set, &file, &PathMap::default(), "a.reg").unwrap_err();
    assert_eq!(error.place(), &Place::Line { line: 5, column: 0 });
    assert!(set.journal().is_empty());
    let file = parse("[-HKLM\\SOFTWARE]\r\n");
    assert!(registry::import(&mut set, &file, &PathMap::default(), "b.reg").is_err());
    assert!(set.finish().unwrap().0.is_empty());
}

fn export(hive: &Hive, format: RegFormat) -> Vec<u8> {
    let mut text = Vec::new();
    let path = "HKEY_LOCAL_MACHINE\\SYSTEM";
    registry::export(hive.root().unwrap(), path, format, None, &mut text).unwrap();
    text
}

#[test]
fn a_real_system_hive_exported_and_imported_exports_the_same_text() {
    let Some(hive) = hive_files::open("win7-SYSTEM.xz") else { return };
    let text = export(&hive, RegFormat::Version5);
    let file = RegFile::parse(&text, None, UnknownLines::Refuse).unwrap();
    let view = Hives::new(vec![(HiveName::System, empty())]);
    let mut set = HiveSet::new(&view, HiveOptions::default());
    registry::import(&mut set, &file, &PathMap::default(), "SYSTEM.reg").unwrap();
    let (changes, _) = set.finish().unwrap();
    let copy = written(&changes[0]);
    assert!(copy.check().findings.is_empty());
    assert!(export(&copy, RegFormat::Version5) == text, "the texts differ");
}
