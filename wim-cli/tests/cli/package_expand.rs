//! `wim package expand` as users meet it.

use crate::{data_folder, wim};

#[test]
fn real_updates_are_expanded_and_told() {
    let Some(folder) = data_folder("updates") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let package = folder.join("Windows6.1-KB2883457-amd64.cab");
    let package = package.to_str().unwrap();
    let answer = wim(scratch.path(), &["package", "expand", package, "out", "--json"]).ends_with(0).json();
    assert_eq!(answer["verb"], "package expand");
    assert_eq!((&answer["files"], &answer["deltas"]), (&22.into(), &6.into()));
    assert!(scratch.path().join("out/update.mum").is_file());
    let again = wim(scratch.path(), &["package", "expand", package, "out"]).ends_with(2);
    assert!(again.stderr.contains("not empty"), "{}", again.stderr);
    let text = wim(scratch.path(), &["package", "expand", package, "second"]).ends_with(0).text();
    assert!(text.contains("22 files of") && text.contains("16 stored, 0 copies, 6 deltas"), "{text}");
    // One flipped byte in the cabinet leaves nothing.
    let mut bytes = std::fs::read(package).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(scratch.path().join("bad.cab"), bytes).unwrap();
    wim(scratch.path(), &["package", "expand", "bad.cab", "third"]).ends_with(2);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 3);
}

#[test]
fn what_is_no_package_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("text.cab"), "no cabinet").unwrap();
    wim(scratch.path(), &["package", "expand", "text.cab", "out"]).ends_with(2);
    wim(scratch.path(), &["package", "expand", "missing.msu", "out"]).ends_with(2);
    std::fs::write(scratch.path().join("short.psf"), "PSTREAM").unwrap();
    let error = wim(scratch.path(), &["package", "expand", "short.psf", "out", "--json"]).ends_with(2).json();
    assert_eq!(error["error"]["kind"], "format");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
}
