//! Cabinets that mean harm to the folder they are extracted to: refused before anything is written.

use std::fs;
use std::path::Path;

use wim_core::base::{Cancel, Context, ErrorKind, Result, Silent};
use wim_core::formats::cab::FolderCompression;
use wim_core::jobs::cab::{
    Bound, Existing, ExtractOptions, ExtractReport, OpenOptions, extract, test as test_cabinet,
};

use crate::cab_write::make;

fn options(patterns: &[&str], bound: Bound) -> ExtractOptions {
    ExtractOptions {
        open: OpenOptions::default(),
        patterns: patterns.iter().map(|&pattern| pattern.to_owned()).collect(),
        existing: Existing::Replace,
        bound,
    }
}

fn extracted(cabinet: &Path, target: &Path, options: &ExtractOptions) -> Result<ExtractReport> {
    let cancel = Cancel::new();
    extract(&Context::new(&Silent, &cancel).with_threads(2), cabinet, target, options)
}

#[test]
fn members_that_cannot_all_be_files_are_refused_with_both_names() {
    let folder = tempfile::tempdir().unwrap();
    let (cabinet, target) = (folder.path().join("t.cab"), folder.path().join("out"));
    for (names, meeting) in [
        (["x", "a", "a\\b"], ["a", "a\\b"]),
        (["a\\b\\c", "x", "A"], ["A", "a\\b\\c"]),
        (["Dir\\One", "x", "dir/one"], ["Dir\\One", "dir\\one"]),
    ] {
        let members: Vec<_> =
            names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect();
        fs::write(&cabinet, make(&members, FolderCompression::Stored, 1, 1)).unwrap();
        let error = extracted(&cabinet, &target, &options(&[], Bound::Sane)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(meeting.iter().all(|name| error.message().contains(&format!("{name:?}"))), "{error}");
        assert!(error.remedy_text().is_some() && !target.exists(), "{error}");
        // What is no part of it can be had.
        extracted(&cabinet, &target, &options(&["x"], Bound::Sane)).unwrap();
        assert_eq!(fs::read(target.join("x")).unwrap(), b"x");
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn what_comes_to_more_than_is_sane_is_refused_before_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let (cabinet, target) = (folder.path().join("t.cab"), folder.path().join("out"));
    let good = make(&[("a.txt".to_owned(), vec![7; 5000])], FolderCompression::Stored, 1 << 20, 1);
    let changed = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel);
    // A folder of 65,535 blocks, which is 2 GiB, and a member of 1 GiB.
    for bytes in [changed(36 + 4, &[0xFF, 0xFF]), changed(44, &[0, 0, 0, 0x40])] {
        fs::write(&cabinet, bytes).unwrap();
        let error = extracted(&cabinet, &target, &options(&[], Bound::Sane)).unwrap_err();
        assert!(error.kind() == ErrorKind::Limit && !target.exists(), "{error}");
        assert!(error.remedy_text().unwrap().contains("--any-size"), "{error}");
        let error = test_cabinet(&cx, &cabinet, OpenOptions::default(), Bound::Sane).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        // Asked for all the same, what is there is read and the lie found where it is.
        let error = test_cabinet(&cx, &cabinet, OpenOptions::default(), Bound::None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    }
    fs::write(&cabinet, &good).unwrap();
    extracted(&cabinet, &target, &options(&[], Bound::Sane)).unwrap();
    assert_eq!(fs::read(target.join("a.txt")).unwrap(), vec![7; 5000]);
}

#[test]
fn replacing_files_touches_no_other_file_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (cabinet, target) = (folder.path().join("t.cab"), folder.path().join("out"));
    // Names that look like those of files that wait to replace others.
    let names = [".1.wim-partial", "a", "b"];
    let members: Vec<_> = names.iter().map(|name| ((*name).to_owned(), b"new".to_vec())).collect();
    fs::write(&cabinet, make(&members, FolderCompression::Stored, 1 << 20, 1)).unwrap();
    fs::create_dir(&target).unwrap();
    for mine in ["a", ".0.wim-partial", ".2.wim-partial"] {
        fs::write(target.join(mine), b"mine").unwrap();
    }
    for _ in 0..2 {
        assert_eq!(extracted(&cabinet, &target, &options(&[], Bound::Sane)).unwrap().files, 3);
        let mut found: Vec<_> = fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect();
        found.sort();
        let expected = [(".0.wim-partial", "mine"), (".1.wim-partial", "new"), (".2.wim-partial", "mine")];
        let expected = expected.into_iter().chain([("a", "new"), ("b", "new")]);
        let expected: Vec<_> = expected.map(|(n, b)| (n.to_owned(), b.as_bytes().to_vec())).collect();
        assert_eq!(found, expected);
    }
}
