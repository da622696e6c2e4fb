//! `--metadata`: an image through a plain directory and back without loss.

#![cfg(unix)]

use crate::{data_folder, sample_tree, wim};

#[test]
fn apply_change_capture_changes_what_was_changed() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    let applied = wim(at, &["apply", "t.wim", "out", "--metadata", "--json"]).ends_with(0).json();
    assert_eq!(applied["applied"][0]["metadata"], "out.wim-metadata");
    wim(at, &["capture", "out", "again.wim", "--metadata"]).ends_with(0);
    wim(at, &["diff", "t.wim", "again.wim"]).ends_with(0);
    std::fs::write(at.join("out/dir/b.txt"), "changed\n").unwrap();
    wim(at, &["append", "out", "again.wim", "Two", "--metadata=out.wim-metadata"]).ends_with(0);
    let ran = wim(at, &["diff", "again.wim:1", "again.wim:2"]).ends_with(1).text();
    assert!(ran.starts_with("changed   /dir/b.txt\n    content: 6 bytes"), "{ran}");
    assert!(ran.ends_with("\n1 changed\n") && !ran.contains("creation"), "{ran}");
    // Part of an image, put back into another.
    wim(at, &["extract", "t.wim", "1", "/dir/sub", "/a.txt", "--dest-dir=part", "--metadata=part.m"])
        .ends_with(0);
    wim(at, &["update", "again.wim", "1", "--metadata=part.m", "--command", "add part /more"]).ends_with(0);
    wim(at, &["diff", "again.wim:1", "t.wim", "--path=/dir/sub"]).ends_with(0);
    wim(at, &["verify", "again.wim"]).ends_with(0);
}

#[test]
fn a_side_file_takes_no_place_of_another_file() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    wim(at, &["extract", "t.wim", "1", "/a.txt", "--dest-dir=new/deep", "--metadata=new/deep/side"])
        .ends_with(0);
    assert!(at.join("new/deep/side").is_file() && at.join("new/deep/a.txt").is_file());
    // One that what is made would take, or that a capture of all of it would find.
    let wim_before = std::fs::read(at.join("t.wim")).unwrap();
    for (line, said) in [
        (&["extract", "t.wim", "1", "/a.txt", "--dest-dir=e", "--metadata=e/A.TXT"][..], "among the files"),
        (&["extract", "t.wim", "1", "/dir/sub", "--dest-dir=e", "--metadata=e/sub/side"], "no such folder"),
        (&["apply", "t.wim", "1", "other", "--metadata=other/side"], "among the files"),
        (&["apply", "t.wim", "1", "third", "--metadata=t.wim"], "is the file that is read"),
        (&["info", "t.wim", "--extract-xml=./t.wim"], "is the file that is read"),
        (&["dir", "t.wim", "1", "--html=new/../t.wim"], "is the file that is read"),
        (&["info", "t.wim", "--extract-xml=none/x"], "no such folder"),
    ] {
        let refused = wim(at, line).ends_with(2);
        assert!(refused.stderr.contains(said), "{line:?}: {}", refused.stderr);
        assert!(std::fs::read(at.join("t.wim")).unwrap() == wim_before, "{line:?}");
    }
}

/// The open of a pipe waits for somebody who writes into it.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_wim() {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: mkfifo is not there");
        return;
    }
    let refused = wim(folder.path(), &["info", "pipe"]).ends_with(2);
    assert!(refused.stderr.contains("not a regular file"), "{}", refused.stderr);
}

#[test]
fn each_image_has_its_own_side_file() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    wim(at, &["append", "src", "t.wim", "Two"]).ends_with(0);
    let refused = wim(at, &["apply", "t.wim", "all", "out", "--metadata=one.m"]).ends_with(2);
    assert!(refused.stderr.contains("a side file of its own"), "{}", refused.stderr);
    wim(at, &["apply", "t.wim", "all", "out", "--metadata"]).ends_with(0);
    assert!(at.join("out/One.wim-metadata").is_file() && at.join("out/Two.wim-metadata").is_file());
    let missing = wim(at, &["capture", "src", "x.wim", "--metadata"]).ends_with(2);
    assert!(missing.stderr.contains("src.wim-metadata"), "{}", missing.stderr);
    assert!(!at.join("x.wim").exists());
    std::fs::write(at.join("src.wim-metadata"), "nonsense\n").unwrap();
    let wrong = wim(at, &["capture", "src", "x.wim", "--metadata"]).ends_with(2);
    assert!(wrong.stderr.contains("not a side file"), "{}", wrong.stderr);
}

#[test]
fn real_images_survive_a_plain_directory() {
    let Some(data) = data_folder("wim") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::write(at.join("all.ini"), "[ExclusionList]\n\\nothing at all\n").unwrap();
    for (name, image) in [
        ("LZX.wim", "1"),
        ("MultiImage.wim", "2"),
        ("wimlib-empty_dacl.wim", "1"),
        ("wimlib-longpaths.wim", "1"),
    ] {
        let file = data.join(name).display().to_string();
        let target = format!("{name}.d");
        wim(at, &["apply", &file, image, &target, "--metadata"]).ends_with(0);
        let captured = format!("{name}.again");
        wim(at, &["capture", &target, &captured, "--metadata", "--config=all.ini"]).ends_with(0);
        wim(at, &["diff", &format!("{file}:{image}"), &captured]).ends_with(0);
    }
}
