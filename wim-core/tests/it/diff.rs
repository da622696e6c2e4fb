//! Two images compared.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wim_core::base::{Cancel, Context, FileTime, Result, Silent};
use wim_core::formats::hive::{CreateOptions, Hive, HiveVersion, RegValue};
use wim_core::formats::wim::tagged_items::{OBJECT_ID, item};
use wim_core::image::{NodeId, StreamKind};
use wim_core::jobs::diff::{Aspects, DiffOptions, DiffTotals, Properties, run};
use wim_core::jobs::registry::Target;

use crate::rich_tree::{EVERYONE, RichTree, descriptor, odd_names, sample, times};
use crate::sample_wim::wim_of;

pub(crate) fn options() -> DiffOptions {
    DiffOptions {
        ignored: Aspects::default(),
        path: String::new(),
        hive_differences: 100,
        properties: Properties::Omit,
    }
}

/// The differences of two files as JSON, and how many there are.
pub(crate) fn diff_files(
    old: &Path,
    new: &Path,
    options: &DiffOptions,
) -> Result<(Vec<serde_json::Value>, DiffTotals)> {
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel);
    let target = |path: &Path| Target { path: path.to_owned(), ..Target::default() };
    let mut found = Vec::new();
    let totals = run(&cx, (&target(old), &target(new)), options, &mut |difference| {
        assert!(!difference.to_string().is_empty());
        found.push(serde_json::to_value(difference).unwrap());
        Ok(())
    })?;
    Ok((found, totals))
}

fn diff_with(old: &RichTree, new: &RichTree, options: &DiffOptions) -> (Vec<serde_json::Value>, DiffTotals) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rich: &RichTree| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, wim_of(&rich.tree, &rich.contents)).unwrap();
        path
    };
    diff_files(&write("old.wim", old), &write("new.wim", new), options).unwrap()
}

fn diff(old: &RichTree, new: &RichTree) -> Vec<serde_json::Value> {
    diff_with(old, new, &options()).0
}

/// `change path` of each, with what differs.
fn summary(found: &[serde_json::Value]) -> Vec<String> {
    let line = |one: &serde_json::Value| {
        let old = one["old_path"].as_str().map(|old| format!("{old} -> ")).unwrap_or_default();
        let changes = one["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let what: Vec<&str> = changes.iter().map(|change| change["what"].as_str().unwrap()).collect();
        format!(
            "{} {old}{} {}",
            one["change"].as_str().unwrap(),
            one["path"].as_str().unwrap(),
            what.join(",")
        )
        .trim_end()
        .to_owned()
    };
    found.iter().map(line).collect()
}

#[test]
fn an_image_does_not_differ_from_itself() {
    for rich in [sample(), odd_names(), RichTree::new()] {
        assert_eq!(diff(&rich, &rich), Vec::<serde_json::Value>::new());
    }
}

#[test]
fn every_kind_of_change_is_told_of() {
    let old = sample();
    let mut new = old.clone();
    let changed = new.blob(b"another program");
    let file = new.inode("\\Windows\\System32\\kernel32.dll");
    file.streams = file.streams.with(&StreamKind::Data, changed);
    file.attributes |= 1;
    new.inode("\\Windows").times = times(1);
    new.secure("\\", &descriptor(EVERYONE));
    let document = new.node("\\Program Files document.text");
    new.tree.set_short_name(document, "OTHER.TXT".into()).unwrap();
    new.stream(document, "large", b"small now");
    new.stream(document, "new stream", b"x");
    new.inode("\\object").tagged_items = item(OBJECT_ID, &[0xAC; 64]).into();
    new.inode("\\object").unknown_54 = 0;
    new.inode("\\wof").reparse.as_mut().unwrap().tag = 0x8000_0018;
    new.inode("\\empty").times.last_access = FileTime(8);
    let found = diff(&old, &new);
    assert_eq!(
        summary(&found),
        [
            "changed / security",
            "changed /empty last_access_time",
            "changed /object tagged_item,tagged_item,reserved",
            "changed /Program Files document.text stream,stream,short_name",
            "changed /Windows creation_time,last_write_time,last_access_time",
            "changed /Windows/System32/kernel32.dll content,attributes",
            "changed /wof reparse_point",
        ]
        .map(|line| line.replace("tagged_item,tagged_item,reserved", "reserved,tagged_item,tagged_item"))
    );
    let security = &found[0]["changes"][0];
    assert_eq!(security["old"], "O:BAG:BAD:PAI(A;OICIIO;FA;;;SY)");
    assert_eq!(security["new"], "O:BAG:BAD:PAI(A;OICIIO;FA;;;WD)");
    let content = &found[5]["changes"][0];
    assert_eq!((&content["old"]["size"], &content["new"]["size"]), (&100_000.into(), &15.into()));
    // The same again with all of it ignored.
    let all = "content,streams,attributes,times,security,short-names,reparse,items,reserved";
    let ignoring = DiffOptions { ignored: Aspects::parse(all).unwrap(), ..options() };
    assert_eq!(diff_with(&old, &new, &ignoring).0, Vec::<serde_json::Value>::new());
    let one = DiffOptions { path: "windows\\system32".to_owned(), ..options() };
    assert_eq!(diff_with(&old, &new, &one).1, DiffTotals { changed: 1, ..DiffTotals::default() });
}

#[test]
fn added_removed_renamed_and_spelt_otherwise() {
    let old = sample();
    let mut new = old.clone();
    let at = |rich: &RichTree, path: &str| -> NodeId { rich.node(path) };
    new.tree.remove(at(&new, "\\object"));
    new.file("\\Windows", "added.txt", b"new data");
    // A whole directory, with something changed in it on the way.
    let case = wim_core::image::glob::Case::Matters;
    let mut rename = |from: &str, to: &str| {
        new.tree.rename(&RichTree::path(from), &RichTree::path(to), case).unwrap();
    };
    rename("\\Windows\\System32", "\\moved");
    rename("\\secret", "\\Windows\\secret2");
    rename("\\wof", "\\WOF");
    new.inode("\\moved\\kernel32.dll").times = times(3);
    let found = diff(&old, &new);
    assert_eq!(
        summary(&found),
        [
            "renamed /Windows/System32 -> /moved",
            "changed /Windows/System32/kernel32.dll -> /moved/kernel32.dll creation_time,last_write_time,last_access_time",
            "removed /object",
            "added /Windows/added.txt",
            "renamed /secret -> /Windows/secret2",
            "changed /wof -> /WOF name",
        ]
    );
    assert_eq!(found[3]["size"], 8);
    assert_eq!(found[4]["kind"], "encrypted_file");
}

#[test]
fn a_name_that_is_a_file_no_longer_and_links_that_are_none() {
    let mut old = RichTree::new();
    old.directory("\\", "x");
    old.file("\\x", "a", b"1");
    old.file("\\", "p", b"same");
    let shared = old.tree.node(old.node("\\p")).inode;
    old.tree.add_name(old.tree.root(), "q".into(), shared).unwrap();
    let mut new = RichTree::new();
    new.file("\\", "x", b"a file");
    new.file("\\", "p", b"same");
    new.file("\\", "q", b"same");
    let found = diff(&old, &new);
    assert_eq!(
        summary(&found),
        [
            "changed /p links",
            "changed /q links",
            "changed /x kind,content,attributes,creation_time,last_write_time,last_access_time",
            "removed /x/a"
        ]
    );
    assert_eq!(found[0]["changes"][0]["old"], serde_json::json!(["/p", "/q"]));
    assert_eq!(found[1]["changes"][0]["new"], serde_json::json!(["/q"]));
}

fn hive(start: u32) -> Vec<u8> {
    let mut hive = Hive::create(HiveVersion::V1_3, &CreateOptions::default()).unwrap();
    hive.create_key("ControlSet001\\Services\\disk").unwrap();
    hive.set_value("ControlSet001\\Services\\disk", "Start", &RegValue::dword(start)).unwrap();
    hive.bytes().to_vec()
}

#[test]
fn hives_are_compared_by_key() {
    let with = |bytes: &[u8]| {
        let mut rich = RichTree::new();
        rich.file("\\", "SYSTEM", bytes);
        rich
    };
    let mut other_layout = hive(0);
    // A byte of the base block that means nothing.
    other_layout[0x400] ^= 1;
    let found = diff(&with(&hive(0)), &with(&hive(3)));
    let hive_changes = &found[0]["changes"][0]["hive"]["differences"];
    assert_eq!(hive_changes[0]["kind"], "value-changed", "{found:?}");
    assert_eq!(hive_changes[0]["key"], "ControlSet001\\Services\\disk");
    let found = diff(&with(&hive(0)), &with(&other_layout));
    assert_eq!(found[0]["changes"][0]["hive"]["differences"], serde_json::json!([]));
    let ignoring = DiffOptions { ignored: Aspects::parse("hive-layout").unwrap(), ..options() };
    assert!(!diff_with(&with(&hive(0)), &with(&other_layout), &ignoring).1.is_different());
    assert!(diff_with(&with(&hive(0)), &with(&hive(1)), &ignoring).1.is_different());
    let without = DiffOptions { hive_differences: 0, ..options() };
    let found = diff_with(&with(&hive(0)), &with(&hive(1)), &without).0;
    assert_eq!(found[0]["changes"][0].get("hive"), None);
    let cut = diff(&with(&hive(0)), &with(&hive(0)[..8192 - 4096].repeat(2)));
    assert!(cut[0]["changes"][0]["hive"]["error"].is_string(), "{cut:?}");
}

#[test]
fn a_path_in_neither_image_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wim");
    std::fs::write(&path, wim_of(&sample().tree, &sample().contents)).unwrap();
    let nowhere = DiffOptions { path: "nope".to_owned(), ..options() };
    assert!(diff_files(&path, &path, &nowhere).is_err());
}

#[derive(Clone, Debug)]
enum Edit {
    Remove(usize),
    Data(usize, u8),
    Move(usize, u8),
    Touch(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0usize..40).prop_map(Edit::Remove),
        (0usize..40, any::<u8>()).prop_map(|(at, byte)| Edit::Data(at, byte)),
        (0usize..40, any::<u8>()).prop_map(|(at, byte)| Edit::Move(at, byte)),
        (0usize..40).prop_map(Edit::Touch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Nothing is told of trees that are equal, something of all others, and each name at most once.
    #[test]
    fn differences_are_told_exactly_when_there_are_some(edits in prop::collection::vec(edit(), 0..6)) {
        let old = sample();
        let mut new = old.clone();
        for edit in edits {
            let nodes: Vec<_> = new.tree.walk(new.tree.root()).map(|visit| visit.node).skip(1).collect();
            let pick = |at: usize| nodes.get(at % nodes.len().max(1)).copied();
            match edit {
                Edit::Remove(at) => pick(at).into_iter().for_each(|node| new.tree.remove(node)),
                Edit::Data(at, byte) => {
                    // All streams of an encrypted file are inside its encrypted data.
                    let is_plain = |node: &NodeId| {
                        let inode = new.tree.inode_of(*node);
                        inode.reparse.is_none() && inode.streams.get(&StreamKind::Efs).is_zero()
                    };
                    let Some(node) = pick(at).filter(is_plain) else { continue };
                    new.stream(node, "edited", &[byte; 3]);
                }
                Edit::Move(at, byte) => {
                    let Some(node) = pick(at) else { continue };
                    let (from, to) = (new.tree.path_of(node), RichTree::path(&format!("\\moved{byte}")));
                    let _ = new.tree.rename(&from, &to, wim_core::image::glob::Case::Matters);
                }
                Edit::Touch(at) => {
                    let Some(node) = pick(at) else { continue };
                    let inode = new.tree.node(node).inode;
                    new.tree.inode_mut(inode).times.creation = FileTime(99);
                }
            }
        }
        let (found, totals) = diff_with(&old, &new, &options());
        prop_assert_eq!(totals.is_different(), old.tree != new.tree, "{:?}", summary(&found));
        let mut paths: Vec<_> = found.iter().filter(|one| one["change"] != "removed").map(|one| one["path"].to_string()).collect();
        let count = paths.len();
        paths.sort();
        paths.dedup();
        prop_assert_eq!(paths.len(), count);
        // And back: what was added is removed.
        let (_, back) = diff_with(&new, &old, &options());
        prop_assert_eq!((totals.added, totals.removed, totals.renamed), (back.removed, back.added, back.renamed));
    }
}
