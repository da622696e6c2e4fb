//! `wim verify`: whole files, damaged ones, and hostile ones.

use crate::{data_folder, sample_tree, wim, wimlib};

#[test]
fn real_files_are_judged_as_their_notes_say() {
    let Some(folder) = data_folder("wim") else { return };
    for good in [
        "BootXPRESS.wim",
        "LZX.wim",
        "MultiImage.wim",
        "XPRESS.wim",
        "dissect-basic32k.wim",
        "dissect-basic4k.wim",
        "wimlib-empty_dacl.wim",
        "wimlib-longpaths.wim",
    ] {
        let ran = wim(&folder, &["verify", good]).ends_with(0);
        assert!(ran.text().ends_with(&format!("\"{good}\" was successfully verified.\n")), "{}", ran.text());
        assert_eq!(wim(&folder, &["verify", good, "--quiet", "--nocheck"]).ends_with(0).stderr, "");
    }
    // What wimlib lets pass is damage here: a name that leads out of the image, and the same name twice.
    for (bad, what) in [
        ("VerifyFail.wim", "differ from the integrity table"),
        ("wimlib-corrupted_file_1.wim", "    in image 1: \\file\n"),
        ("wimlib-cyclic.wim", "its children belong to another directory already"),
        ("wimlib-dotdot.wim", "\\..: a name that no file can have"),
        ("wimlib-duplicate_names.wim", "\\1: the same name again"),
    ] {
        let ran = wim(&folder, &["verify", bad]).ends_with(1);
        assert!(ran.text().contains(what), "{bad}: {}", ran.text());
        let json = wim(&folder, &["verify", bad, "--json"]).ends_with(1).json();
        assert_eq!(json["damaged"], true);
        assert!(!json["findings"].as_array().unwrap().is_empty());
    }
}

#[test]
fn the_last_line_is_wimlibs() {
    let folder = sample_tree();
    let Some(made) = wimlib(folder.path(), &["capture", "src", "t.wim", "--check", "--quiet"]) else {
        return;
    };
    made.ends_with(0);
    let theirs = wimlib(folder.path(), &["verify", "t.wim"]).unwrap().ends_with(0).text();
    let ours = wim(folder.path(), &["verify", "t.wim"]).ends_with(0).text();
    assert_eq!(Some(ours.trim_end()), theirs.lines().last());
    let json = wim(folder.path(), &["verify", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!((&json["integrity"], &json["images"]), (&"good".into(), &1.into()));
    assert_eq!(json["blobs"], 4);
}

#[test]
fn a_flipped_byte_is_found_with_its_files() {
    let folder = sample_tree();
    let Some(made) = wimlib(folder.path(), &["capture", "src", "t.wim", "--compress=none", "--quiet"]) else {
        return;
    };
    made.ends_with(0);
    let mut bytes = std::fs::read(folder.path().join("t.wim")).unwrap();
    let at = bytes.windows(6).position(|window| window == b"hello\n").unwrap();
    bytes[at] ^= 1;
    std::fs::write(folder.path().join("flipped.wim"), &bytes).unwrap();
    let ran = wim(folder.path(), &["verify", "flipped.wim"]).ends_with(1);
    assert!(ran.text().contains("in image 1: \\a.txt\n"), "{}", ran.text());
    bytes.truncate(bytes.len() / 2);
    std::fs::write(folder.path().join("half.wim"), &bytes).unwrap();
    let json = wim(folder.path(), &["verify", "half.wim", "--json"]).ends_with(1).json();
    assert_eq!(json["findings"][0]["error"]["place"]["structure"], "lookup table");
}

#[test]
fn what_cannot_be_judged_is_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    wim(folder.path(), &["verify", "nofile"]).ends_with(2);
    std::fs::write(folder.path().join("text"), "not a WIM").unwrap();
    wim(folder.path(), &["verify", "text"]).ends_with(2);
    let Some(data) = data_folder("wim") else { return };
    wim(&data, &["verify", "Split.swm"]).ends_with(0);
    let ran = wim(&data, &["verify", "Split2.swm"]).ends_with(2);
    assert!(ran.stderr.contains("the images are in the first part"), "{}", ran.stderr);
    let ran = wim(&data, &["verify", "LZX.wim", "--ref=x*.swm"]).ends_with(2);
    assert!(ran.stderr.contains("no file fits --ref=x*.swm"), "{}", ran.stderr);
}

#[test]
fn progress_goes_to_standard_error_and_only_when_asked() {
    let Some(data) = data_folder("wim") else { return };
    assert_eq!(wim(&data, &["verify", "LZX.wim"]).ends_with(0).stderr, "");
    let ran = wim(&data, &["verify", "LZX.wim", "--progress=json"]).ends_with(0);
    let stages: Vec<serde_json::Value> =
        ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = &stages.last().unwrap()["progress"];
    assert_eq!(
        (&last["stage"], &last["unit"], &last["ended"]),
        (&"verifying".into(), &"bytes".into(), &true.into())
    );
    assert_eq!((&last["done"], &last["total"]), (&9.into(), &9.into()));
}
