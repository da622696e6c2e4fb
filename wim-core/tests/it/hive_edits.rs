//! Edits: borders of every record kind, random scripts against a model, and what an edit leaves alone.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use wim_core::base::{ErrorKind, FileTime};
use wim_core::formats::hive::{
    CompareTimes, CreateOptions, DeleteScope, Difference, Hive, HiveVersion, RegValue, reg_type,
};

use crate::hive_files;

const VERSIONS: [HiveVersion; 4] =
    [HiveVersion::V1_3, HiveVersion::V1_4, HiveVersion::V1_5, HiveVersion::V1_6];

fn new_hive(version: HiveVersion) -> Hive {
    Hive::create(version, &CreateOptions { time: FileTime(1), ..CreateOptions::default() }).unwrap()
}

/// Checks the hive, writes it and opens it again.
fn reopen(hive: Hive) -> Hive {
    let report = hive.check();
    assert_eq!(report.findings, [], "of {} keys", report.keys);
    Hive::open(hive.finish().unwrap()).unwrap()
}

#[test]
fn values_of_every_size_come_back() {
    for version in VERSIONS {
        let mut hive = new_hive(version);
        let sizes = [0, 1, 3, 4, 5, 8, 16_343, 16_344, 16_345, 32_688, 32_689, 100_000];
        for size in sizes {
            let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            assert!(hive.set_value("Key", &size.to_string(), &RegValue::binary(data)).unwrap());
        }
        let mut hive = reopen(hive);
        for size in sizes {
            let value = hive.value("Key", &size.to_string()).unwrap().unwrap();
            assert!(value.data.iter().enumerate().all(|(i, &byte)| byte == (i % 251) as u8));
            assert_eq!(value.data.len(), size as usize);
        }
        // Every size replaced by every other one, in place of what was there.
        for (index, size) in sizes.iter().enumerate() {
            for other in &sizes[index..] {
                let data = vec![index as u8; *other as usize];
                hive.set_value("Key", &size.to_string(), &RegValue::binary(data)).unwrap();
            }
        }
        let mut hive = reopen(hive);
        for size in sizes {
            assert!(hive.delete_value("Key", &size.to_string()).unwrap());
        }
        let hive = reopen(hive);
        assert_eq!(hive.key("Key").unwrap().unwrap().value_count(), 0);
    }
}

#[test]
fn lists_of_subkeys_grow_and_shrink_across_their_limits() {
    for version in VERSIONS {
        for (count, forwards) in
            [(506, true), (507, true), (508, false), (1013, true), (1014, false), (3000, false)]
        {
            let mut hive = new_hive(version);
            let names: Vec<String> = (0..count).map(|i| format!("K{:04}", (i * 7919) % 10_000)).collect();
            let mut sorted = names.clone();
            sorted.sort();
            for name in &names {
                assert!(hive.create_key(&format!("Top\\{name}")).unwrap());
            }
            let mut hive = reopen(hive);
            assert_eq!(hive.subkeys("Top").unwrap(), sorted);
            let order: Vec<&String> =
                if forwards { names.iter().collect() } else { names.iter().rev().collect() };
            for (done, name) in order.iter().enumerate() {
                assert!(
                    hive.delete_key(&format!("top\\{}", name.to_lowercase()), DeleteScope::Subtree).unwrap()
                );
                if done % 1000 == 0 {
                    hive = reopen(hive);
                }
            }
            let hive = reopen(hive);
            assert_eq!(hive.subkeys("Top").unwrap(), Vec::<String>::new());
        }
    }
}

#[test]
fn names_beyond_ascii_are_found_by_any_case() {
    let mut hive = new_hive(HiveVersion::V1_5);
    for name in ["Ärger", "Привет", "Ÿ", "\u{9F}", "ß", "日本語", "😀", "straße", "x"] {
        hive.create_key(name).unwrap();
        hive.set_value(name, name, &RegValue::sz(name)).unwrap();
    }
    let hive = reopen(hive);
    assert_eq!(
        hive.subkeys("").unwrap(),
        ["straße", "x", "\u{9F}", "Ärger", "ß", "Ÿ", "Привет", "日本語", "😀"]
    );
    assert_eq!(hive.value("äRGER", "ÄRGER").unwrap().unwrap().as_str().unwrap(), "Ärger");
    assert_eq!(hive.value("ПРИВЕТ", "привет").unwrap().unwrap().as_str().unwrap(), "Привет");
    assert!(hive.key("\u{FF}").unwrap().is_some(), "small y with diaeresis is Ÿ");
    assert!(hive.key("SS").unwrap().is_none(), "sharp s is no two letters");
}

#[test]
fn keys_are_renamed_with_all_that_is_below() {
    let mut hive = new_hive(HiveVersion::V1_3);
    hive.set_value("A\\Short\\Child\\Grandchild", "v", &RegValue::dword(1)).unwrap();
    hive.create_key("A\\Taken").unwrap();
    assert!(hive.rename_key("A\\Short", "A much longer name that needs another cell").unwrap());
    assert!(hive.rename_key("A\\A much longer name that needs another cell", "Имя").unwrap());
    assert_eq!(hive.rename_key("A\\Имя", "taken").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(!hive.rename_key("A\\имя", "Имя").unwrap());
    assert!(hive.rename_key("A\\Имя", "ИМЯ").unwrap(), "another case is another spelling");
    assert!(hive.rename_key("", "root").is_err());
    let hive = reopen(hive);
    assert_eq!(hive.subkeys("A").unwrap(), ["Taken", "ИМЯ"]);
    assert_eq!(hive.value("A\\ИМЯ\\Child\\Grandchild", "v").unwrap(), Some(RegValue::dword(1)));
}

#[test]
fn names_that_windows_would_not_take_are_refused() {
    let mut hive = new_hive(HiveVersion::V1_5);
    let before = hive.bytes().to_vec();
    assert!(hive.create_key(&"x".repeat(256)).is_err());
    assert!(hive.create_key("a\0b").is_err());
    assert!(hive.set_value("a", &"v".repeat(16_384), &RegValue::dword(0)).is_err());
    assert!(hive.create_key(&"d\\".repeat(600)).is_err());
    assert!(hive.delete_key("", DeleteScope::Forced).is_err());
    assert!(hive.bytes() == before);
    assert!(hive.create_key(&"x".repeat(255)).unwrap());
    assert!(hive.set_value("a", &"v".repeat(16_383), &RegValue::dword(0)).unwrap());
    reopen(hive);
}

#[test]
fn asking_for_what_is_there_changes_nothing() {
    let mut hive = new_hive(HiveVersion::V1_5);
    hive.set_value("A\\B", "v", &RegValue::sz("text")).unwrap();
    let bytes = hive.finish().unwrap();
    let mut hive = Hive::open(bytes.clone()).unwrap();
    hive.set_edit_time(FileTime(99));
    assert!(!hive.set_value("a\\b", "V", &RegValue::sz("text")).unwrap());
    assert!(!hive.create_key("A").unwrap());
    assert!(!hive.delete_value("A", "none").unwrap());
    assert!(!hive.delete_key("A\\C", DeleteScope::Subtree).unwrap());
    assert!(!hive.is_changed());
    assert!(hive.finish().unwrap() == bytes);
}

#[test]
fn security_is_shared_counted_and_freed() {
    let mut hive = new_hive(HiveVersion::V1_5);
    hive.create_key("A\\B\\C").unwrap();
    let inherited = hive.key("A\\B\\C").unwrap().unwrap().security().unwrap().unwrap().to_vec();
    assert_eq!(hive.root().unwrap().security().unwrap().unwrap(), inherited);
    let mut own = inherited.clone();
    own[30] ^= 1;
    assert!(hive.set_security("A\\B", &own).unwrap());
    assert!(!hive.set_security("A\\B", &own).unwrap());
    hive.create_key("A\\B\\D").unwrap();
    assert_eq!(hive.key("A\\B\\D").unwrap().unwrap().security().unwrap().unwrap(), own);
    let mut hive = reopen(hive);
    hive.delete_key("A\\B", DeleteScope::Subtree).unwrap();
    reopen(hive);
}

#[test]
fn marked_keys_are_deleted_by_force_only() {
    let mut hive = new_hive(HiveVersion::V1_5);
    hive.create_key("A\\B").unwrap();
    let flags_at = 4096 + hive.key("A\\B").unwrap().unwrap().offset() as usize + 4 + 2;
    let mut bytes = hive.finish().unwrap();
    bytes[flags_at] |= 8;
    let mut hive = Hive::open(bytes).unwrap();
    assert_eq!(hive.delete_key("A", DeleteScope::Subtree).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(!hive.is_changed());
    assert!(hive.delete_key("A", DeleteScope::Forced).unwrap());
    reopen(hive);
}

/// One step of a random script.
#[derive(Clone, Debug)]
enum Step {
    Set(String, String, RegValue),
    Create(String),
    DeleteValue(String, String),
    DeleteKey(String),
    Rename(String, String),
    Save,
    RollBack,
}

/// Keys with their values; names are upcased, as they are unique by that.
type Model = BTreeMap<String, BTreeMap<String, RegValue>>;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-e]{1,2}",
        2 => "[ÄЖ日ß]{1,2}",
        1 => "[a-z]{40,60}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join("\\"))
}

fn data() -> impl Strategy<Value = RegValue> {
    let size =
        prop_oneof![6 => 0..9usize, 4 => 0..400usize, 1 => 16_300..16_400usize, 1 => 32_680..40_000usize];
    (0..20u32, size, any::<u8>()).prop_map(|(kind, size, byte)| RegValue::new(kind, vec![byte; size]))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (path(), name(), data()).prop_map(|(key, value, data)| Step::Set(key, value, data)),
        4 => path().prop_map(Step::Create),
        3 => (path(), name()).prop_map(|(key, value)| Step::DeleteValue(key, value)),
        2 => path().prop_map(Step::DeleteKey),
        2 => (path(), name()).prop_map(|(key, name)| Step::Rename(key, name)),
        1 => Just(Step::Save),
        1 => Just(Step::RollBack),
    ]
}

/// Upper case for the letters that the scripts use.
fn fold(text: &str) -> String {
    text.to_ascii_uppercase()
}

fn model_create(model: &mut Model, key: &str) {
    let names: Vec<&str> = key.split('\\').collect();
    for depth in 1..=names.len() {
        model.entry(fold(&names[..depth].join("\\"))).or_default();
    }
}

fn is_below(key: &str, top: &str) -> bool {
    key == top || key.strip_prefix(top).is_some_and(|rest| rest.starts_with('\\'))
}

fn apply_to_model(model: &mut Model, step: &Step) {
    match step {
        Step::Set(key, value, data) => {
            model_create(model, key);
            model.get_mut(&fold(key)).unwrap().insert(fold(value), data.clone());
        }
        Step::Create(key) => model_create(model, key),
        Step::DeleteValue(key, value) => {
            if let Some(values) = model.get_mut(&fold(key)) {
                values.remove(&fold(value));
            }
        }
        Step::DeleteKey(key) => model.retain(|other, _| !is_below(other, &fold(key))),
        Step::Rename(key, new) => {
            let old = fold(key);
            let parent = old.rsplit_once('\\').map_or(String::new(), |(parent, _)| format!("{parent}\\"));
            let new = format!("{parent}{}", fold(new));
            if !model.contains_key(&old) || model.contains_key(&new) {
                return;
            }
            let moved: Vec<String> = model.keys().filter(|other| is_below(other, &old)).cloned().collect();
            for from in moved {
                let values = model.remove(&from).unwrap();
                model.insert(format!("{new}{}", &from[old.len()..]), values);
            }
        }
        Step::Save | Step::RollBack => {}
    }
}

fn apply_to_hive(hive: &mut Hive, step: &Step) {
    match step {
        Step::Set(key, value, data) => {
            hive.set_value(key, value, data).unwrap();
        }
        Step::Create(key) => {
            hive.create_key(key).unwrap();
        }
        Step::DeleteValue(key, value) => {
            hive.delete_value(key, value).unwrap();
        }
        Step::DeleteKey(key) => {
            hive.delete_key(key, DeleteScope::Subtree).unwrap();
        }
        Step::Rename(key, new) => match hive.rename_key(key, new) {
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput), "{error}");
            }
        },
        Step::Save | Step::RollBack => {}
    }
}

fn model_of(hive: &Hive) -> Model {
    let mut model = Model::new();
    hive.walk(&mut |path, key| {
        if path.is_empty() {
            return Ok(());
        }
        let path: Vec<String> = path.iter().map(|name| fold(&name.to_text())).collect();
        let values = key.values().map(|value| {
            let value = value?;
            Ok((fold(&value.name().to_text()), value.to_reg_value()?))
        });
        model.insert(path.join("\\"), values.collect::<Result<_, wim_core::base::Error>>()?);
        Ok(())
    })
    .unwrap();
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_scripts_do_what_the_model_does(
        version in 0..VERSIONS.len(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut hive = new_hive(VERSIONS[version]);
        let mut model = Model::new();
        let mut saved: Option<(u32, Model, Vec<u8>)> = None;
        let mut savepoint = 0;
        for step in &steps {
            apply_to_hive(&mut hive, step);
            apply_to_model(&mut model, step);
            match step {
                Step::Save => {
                    savepoint += 1;
                    hive.begin_savepoint(savepoint);
                    saved = Some((savepoint, model.clone(), hive.bytes().to_vec()));
                }
                Step::RollBack => if let Some((number, model_then, bytes_then)) = &saved {
                    hive.roll_back(*number);
                    hive.begin_savepoint(*number);
                    model = model_then.clone();
                    prop_assert!(hive.bytes() == &bytes_then[..], "bytes differ after rolling back");
                },
                _ => {}
            }
        }
        let report = hive.check();
        prop_assert_eq!(&report.findings, &[]);
        prop_assert_eq!(model_of(&hive), model.clone());
        // The same script again gives the same bytes.
        let bytes = hive.finish().unwrap();
        let mut again = new_hive(VERSIONS[version]);
        if saved.is_none() {
            steps.iter().for_each(|step| apply_to_hive(&mut again, step));
            prop_assert!(again.finish().unwrap() == bytes);
        }
        prop_assert_eq!(model_of(&Hive::open(bytes).unwrap()), model);
    }
}

/// Edits of real hives: only what was asked for differs, and the checker finds nothing afterwards.
#[test]
fn edits_of_real_hives_change_what_they_should_and_no_more() {
    for name in ["win7-SYSTEM.xz", "win7-NTUSER.DAT.xz", "win10-21H2-SYSTEM.xz", "sam-ez.xz", "win7-bios-bcd"]
    {
        let Some(old) = hive_files::open(name) else { return };
        let mut hive = old.clone();
        hive.set_value("Added\\Key", "ä", &RegValue::binary(vec![1; 20_000])).unwrap();
        let top = old.subkeys("").unwrap().into_iter().next().unwrap();
        hive.set_value(&top, "Added value", &RegValue::sz("text")).unwrap();
        let report = hive.check();
        assert!(report.is_sound(), "{name}: {:?}", report.findings);
        let differences = old.diff(&hive, CompareTimes::No).unwrap();
        let expected = [
            Difference::KeyAdded { key: "Added".to_owned() },
            Difference::Value {
                key: top.clone(),
                value: "Added value".to_owned(),
                old: None,
                new: Some(RegValue::sz("text")),
            },
        ];
        assert_eq!(differences.len(), 2, "{name}: {differences:?}");
        assert!(expected.iter().all(|one| differences.contains(one)), "{name}: {differences:?}");
        hive.delete_key("Added", DeleteScope::Subtree).unwrap();
        hive.delete_value(&top, "Added value").unwrap();
        assert_eq!(old.diff(&hive, CompareTimes::No).unwrap(), [], "{name}");
        assert!(hive.check().is_sound());
        // Bytes of the old file that changed: a few records, never a bin that the edit has nothing to do with.
        let new = hive.finish().unwrap();
        let bins = 4096 + old.base_block().bins_bytes as usize;
        let changed = old.bytes()[..bins].iter().zip(&new).filter(|(a, b)| a != b).count();
        assert!(changed < 2_000, "{name}: {changed} bytes changed");
    }
}

/// Every subtree of a real hive deleted, then made again from a copy.
#[test]
fn a_real_hive_is_emptied_and_filled_again() {
    let Some(old) = hive_files::open("win7-NTUSER.DAT.xz") else { return };
    let mut hive = old.clone();
    for key in old.subkeys("").unwrap() {
        hive.delete_key(&key, DeleteScope::Forced).unwrap();
    }
    let report = hive.check();
    assert_eq!((report.keys, report.findings.len()), (1, 0), "{:?}", report.findings);
    old.walk(&mut |path, key| {
        let path = path.iter().map(|name| name.to_text()).collect::<Vec<_>>().join("\\");
        hive.create_key(&path)?;
        for value in key.values() {
            let value = value?;
            hive.set_value(&path, &value.name().to_text(), &value.to_reg_value()?)?;
        }
        Ok(())
    })
    .unwrap();
    let hive = reopen(hive);
    let differences = old.diff(&hive, CompareTimes::No).unwrap();
    let unexpected = differences.iter().find(|one| !matches!(one, Difference::KeyChanged { .. }));
    assert_eq!(unexpected, None, "only descriptors, flags and classes may differ");
    assert!(hive.bytes().len() <= old.bytes().len() + (64 << 10), "freed cells were not used again");
}

#[test]
fn adding_to_one_key_is_not_quadratic() {
    let mut hive = new_hive(HiveVersion::V1_5);
    let start = std::time::Instant::now();
    for number in 0..20_000u32 {
        hive.create_key(&format!("Top\\{:08x}", number.wrapping_mul(2_654_435_761))).unwrap();
    }
    let first = start.elapsed();
    for number in 20_000..40_000u32 {
        hive.create_key(&format!("Top\\{:08x}", number.wrapping_mul(2_654_435_761))).unwrap();
    }
    let second = start.elapsed() - first;
    assert_eq!(hive.check().findings, []);
    // Quadratic would be three times the first half; noise on a busy machine is less.
    assert!(second < first * 5 / 2 + std::time::Duration::from_millis(200), "{first:?}, then {second:?}");
    assert_eq!(hive.value("Top", "").unwrap().map(|v| v.kind == reg_type::SZ), None);
}
