//! `wim dir` beside `wimlib-imagex dir`.

use std::path::Path;

use crate::{data_folder, sample_tree, wim, wimlib};

/// Listings without the numbers of link groups, which are the image's own in wimlib and the tree's here.
fn without_groups(text: &str) -> String {
    let is_kept = |line: &&str| !line.starts_with("Link Group ID") || line.ends_with("= 0x0000000000000000");
    text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect()
}

fn same(folder: &Path, arguments: &[&str]) {
    if let Some(theirs) = wimlib(folder, arguments) {
        let ours = wim(folder, arguments).ends_with(0);
        assert_eq!(
            without_groups(&ours.text()),
            without_groups(&theirs.text()),
            "{arguments:?}\n{}",
            ours.stderr
        );
    }
}

#[test]
fn real_files_are_listed_as_wimlib_lists_them() {
    let Some(folder) = data_folder("wim") else { return };
    for file in [
        "BootXPRESS.wim",
        "LZX.wim",
        "XPRESS.wim",
        "MultiImage.wim",
        "dissect-basic32k.wim",
        "dissect-basic4k.wim",
        "wimlib-corrupted_file_1.wim",
        "wimlib-dotdot.wim",
        "wimlib-duplicate_names.wim",
        "wimlib-empty_dacl.wim",
        "wimlib-longpaths.wim",
    ] {
        same(&folder, &["dir", file, "1"]);
        same(&folder, &["dir", "--detailed", file, "all"]);
    }
}

#[test]
fn hostile_files_are_refused_or_warned_about() {
    let Some(folder) = data_folder("wim") else { return };
    let ran = wim(&folder, &["dir", "wimlib-dotdot.wim"]).ends_with(0);
    assert_eq!(ran.text(), "/\n");
    assert!(ran.stderr.contains("warning: wimlib-dotdot.wim: image 1: \\..: a name that no file can have"));
    let ran = wim(&folder, &["dir", "wimlib-duplicate_names.wim"]).ends_with(0);
    assert!(ran.stderr.contains("the same name again"), "{}", ran.stderr);
    let ran = wim(&folder, &["dir", "wimlib-cyclic.wim"]).ends_with(2);
    assert!(ran.stderr.contains("subdir offset"), "{}", ran.stderr);
    let ran = wim(&folder, &["dir", "VerifyFail.wim", "--json"]).ends_with(2);
    assert!(ran.text().contains("\"kind\":\"format\""), "{}", ran.text());
}

#[test]
fn every_form_of_listing_is_wimlibs() {
    let folder = sample_tree();
    let made = wimlib(folder.path(), &["capture", "src", "t.wim", "One", "--quiet", "--unix-data"]);
    let Some(made) = made else { return };
    made.ends_with(0);
    for arguments in [
        vec!["dir", "t.wim"],
        vec!["dir", "t.wim", "One", "--detailed"],
        vec!["dir", "--path", "/dir", "t.wim", "1"],
        vec!["dir", "t.wim", "1", "--path=dir/"],
        vec!["dir", "t.wim", "1", "--path=\\dir\\sub"],
        vec!["dir", "t.wim", "--path=a.txt", "--detailed"],
        vec!["dir", "t.wim", "--path=/dir", "--one-file-only"],
        vec!["dir", "t.wim", "--one-file-only", "--detailed"],
    ] {
        same(folder.path(), &arguments);
    }
    wimlib(folder.path(), &["append", "src", "t.wim", "Two", "--quiet"]).unwrap().ends_with(0);
    same(folder.path(), &["dir", "t.wim", "all"]);
    same(folder.path(), &["dir", "t.wim", "all", "--path=dir"]);

    let upper = wim(folder.path(), &["dir", "t.wim", "two", "--path=/DIR"]).ends_with(0);
    assert!(upper.text().starts_with("/dir\n"), "{}", upper.text());
    let several = wim(folder.path(), &["dir", "t.wim"]).ends_with(2);
    assert!(several.stderr.contains("contains 2 images; please select one: 1 \"One\", 2 \"Two\""));
    let missing = wim(folder.path(), &["dir", "t.wim", "1", "--path=nope", "--quiet"]).ends_with(1);
    assert!(missing.stderr.contains("nope: the path is not in the image"), "{}", missing.stderr);

    let lines = wim(folder.path(), &["dir", "t.wim", "1", "--json", "--detailed"]).ends_with(0).text();
    let mut lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(lines.next().unwrap(), serde_json::json!({ "schema_version": 1, "verb": "dir" }));
    let file = lines.find(|line| line["path"] == "/a.txt").unwrap();
    assert_eq!(file["image"], 1);
    assert_eq!(file["link_count"], 2);
    assert_eq!(file["streams"][0]["resource"]["size"], 6);
    assert_eq!(file["unix_data"][2], 0o100_644);
}
