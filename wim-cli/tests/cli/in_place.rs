//! Changes to a file where it lies: `info`, `export`, `delete --soft`, compaction; what a stop or a full disk leaves.

use std::path::Path;

use crate::{noise, sample_tree, wim, wimlib};

/// A file `t.wim` with the images One and Two.
fn two_images(folder: &Path, options: &[&str]) {
    for (name, verb) in [("One", "one.wim"), ("Two", "two.wim")] {
        let line: Vec<&str> =
            ["capture", "src", verb, name].into_iter().chain(options.iter().copied()).collect();
        wim(folder, &line).ends_with(0);
        std::fs::write(folder.join("src/more.bin"), noise(70_000)).unwrap();
    }
    std::fs::rename(folder.join("one.wim"), folder.join("t.wim")).unwrap();
    wim(folder, &["export", "two.wim", "1", "t.wim"]).ends_with(0);
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    std::fs::read(folder.join(file)).unwrap()
}

/// Both verify a file, and neither finds anything.
#[track_caller]
fn assert_good(folder: &Path, file: &str) {
    let ran = wim(folder, &["verify", file]).ends_with(0);
    assert!(!ran.text().contains("remark"), "{}", ran.text());
    if let Some(theirs) = wimlib(folder, &["verify", file]) {
        theirs.ends_with(0);
    }
}

#[test]
fn info_changes_what_wimlib_changes() {
    let folder = sample_tree();
    let folder = folder.path();
    two_images(folder, &["--check"]);
    for change in [
        vec!["2", "New name", "New description"],
        vec!["One", "", "only a description"],
        vec!["2", "--boot"],
        vec!["1", "--boot", "--image-property", "WINDOWS/ARCH=9", "--image-property=FLAGS=Pro"],
        vec!["0", "--boot"],
        vec!["1", "Uno", "--nocheck"],
        vec!["2", "Dos", "--include-integrity"],
        vec!["2", "Dos"],
    ] {
        std::fs::copy(folder.join("t.wim"), folder.join("u.wim")).unwrap();
        let line = |file| -> Vec<&str> { ["info", file].into_iter().chain(change.clone()).collect() };
        let ours = wim(folder, &line("t.wim")).ends_with(0);
        assert_good(folder, "t.wim");
        if let Some(theirs) = wimlib(folder, &line("u.wim")) {
            theirs.ends_with(0);
            let shown = |file| {
                let text = wim(folder, &["info", file]).ends_with(0).text();
                let kept = text.lines().filter(|line| !line.starts_with("Path:")).map(str::to_owned);
                kept.collect::<Vec<_>>()
            };
            assert_eq!(shown("t.wim"), shown("u.wim"), "{change:?}: {}", ours.text());
        }
    }
    let ran = wim(folder, &["info", "t.wim", "2", "Dos"]).ends_with(0);
    assert!(ran.text().contains("was not modified"), "{}", ran.text());
    let before = read(folder, "t.wim");
    for refused in [
        vec!["info", "t.wim", "2", "Uno"],
        vec!["info", "t.wim", "3", "X"],
        vec!["info", "t.wim", "--boot"],
        vec!["info", "t.wim", "1", "a\u{1}"],
    ] {
        wim(folder, &refused).ends_with(2);
        assert_eq!(read(folder, "t.wim"), before, "{refused:?}");
    }
    let json = wim(folder, &["info", "t.wim", "1", "Eins", "--json"]).ends_with(0).json();
    assert_eq!((&json["changed"], &json["image"]), (&true.into(), &1.into()));
    assert_eq!(json["changes"][0], "Setting the NAME property of image 1 to \"Eins\".");
}

#[test]
fn a_file_changed_often_does_not_grow() {
    let folder = sample_tree();
    let folder = folder.path();
    two_images(folder, &["--check"]);
    let size = || std::fs::metadata(folder.join("t.wim")).unwrap().len();
    let mut sizes = Vec::new();
    for number in 0..12 {
        wim(folder, &["info", "t.wim", "1", &format!("Name {:02}", number)]).ends_with(0);
        sizes.push(size());
    }
    assert!(sizes[2..].iter().all(|&size| size <= sizes[1]), "{sizes:?}");
    assert_good(folder, "t.wim");
    wim(folder, &["info", "t.wim", "--nocheck"]).ends_with(0);
    assert!(!wim(folder, &["info", "t.wim"]).text().contains("Integrity info"));
    wim(folder, &["info", "t.wim", "--include-integrity"]).ends_with(0);
    assert!(wim(folder, &["info", "t.wim"]).text().contains("Integrity info"));
    assert_good(folder, "t.wim");
}

#[test]
fn an_export_appends_and_a_rebuild_does_not() {
    let folder = sample_tree();
    let folder = folder.path();
    two_images(folder, &["--check"]);
    wim(folder, &["capture", "src", "s.wim", "Three"]).ends_with(0);
    let before = read(folder, "t.wim");
    let json = wim(folder, &["export", "s.wim", "1", "t.wim", "--json"]).ends_with(0).json();
    // The blobs are there already: nothing but the metadata is copied.
    assert_eq!((&json["copied_resources"], &json["encoded_resources"]), (&1.into(), &0.into()));
    let after = read(folder, "t.wim");
    assert!(after.len() > before.len() && after[208..before.len()] == before[208..]);
    assert_good(folder, "t.wim");
    let own = wim(folder, &["export", "t.wim", "1", "t.wim", "Four", "--rebuild"]).ends_with(0);
    assert_eq!(own.stderr, "");
    assert!(read(folder, "t.wim").len() < after.len() + 1000);
    assert_good(folder, "t.wim");
    // Another chunk size cannot be appended.
    wim(folder, &["export", "t.wim", "1", "t.wim", "Five", "--chunk-size=64K"]).ends_with(0);
    assert_eq!(wim(folder, &["info", "t.wim", "--json"]).json()["chunk_size"], 65_536);
    wim(folder, &["verify", "t.wim"]).ends_with(0);
}

#[test]
fn soft_deletes_leave_holes_and_compaction_fills_them() {
    let folder = sample_tree();
    let folder = folder.path();
    two_images(folder, &["--check"]);
    let size = || std::fs::metadata(folder.join("t.wim")).unwrap().len();
    let full = size();
    wim(folder, &["delete", "t.wim", "2", "--soft"]).ends_with(0);
    assert!(size() >= full);
    assert_good(folder, "t.wim");
    std::fs::copy(folder.join("t.wim"), folder.join("c.wim")).unwrap();
    wim(folder, &["optimize", "t.wim", "--unsafe-compact"]).ends_with(0);
    wim(folder, &["optimize", "c.wim"]).ends_with(0);
    assert_eq!(size(), std::fs::metadata(folder.join("c.wim")).unwrap().len());
    assert!(size() + 70_000 < full);
    assert_good(folder, "t.wim");
    assert!(wim(folder, &["info", "t.wim"]).text().contains("Integrity info"));
    wim(folder, &["export", "two.wim", "1", "t.wim", "--unsafe-compact"]).ends_with(0);
    assert_good(folder, "t.wim");
    wim(folder, &["delete", "t.wim", "1", "--unsafe-compact"]).ends_with(0);
    assert_good(folder, "t.wim");
    assert_eq!(wim(folder, &["info", "t.wim", "--json"]).json()["images"][0]["name"], "Two");
    wim(folder, &["optimize", "t.wim", "--unsafe-compact", "--recompress"]).ends_with(2);
}

#[test]
fn an_image_copied_within_its_file_has_metadata_of_its_own() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "One", "--boot", "--check"]).ends_with(0);
    let json = wim(folder, &["export", "t.wim", "1", "t.wim", "Two", "--json"]).ends_with(0).json();
    assert_eq!((&json["copied_resources"], &json["encoded_resources"]), (&1.into(), &0.into()));
    assert_good(folder, "t.wim");
    wim(folder, &["export", "t.wim", "1", "t.wim", "Three", "--unsafe-compact"]).ends_with(0);
    wim(folder, &["optimize", "t.wim", "--unsafe-compact"]).ends_with(0);
    assert_good(folder, "t.wim");
    wim(folder, &["delete", "t.wim", "1", "--unsafe-compact"]).ends_with(0);
    wim(folder, &["apply", "t.wim", "1", "out"]).ends_with(0);
    assert_good(folder, "t.wim");
}

#[test]
#[cfg(unix)]
fn a_kill_or_a_full_disk_leaves_the_old_file() {
    let folder = sample_tree();
    let folder = folder.path();
    two_images(folder, &["--check"]);
    std::fs::write(folder.join("src/large.bin"), noise(3 << 20)).unwrap();
    wim(folder, &["capture", "src", "s.wim", "Three"]).ends_with(0);
    let before = read(folder, "t.wim");
    let blocks = before.len() / 512 + 1000;
    // A file may not grow past the limit: with the signal that kills at once, and without it as a full disk does.
    for (trap, is_whole) in [("trap '' XFSZ;", true), ("", false)] {
        let script = format!("{trap} ulimit -f {blocks}; exec \"$0\" export s.wim 1 t.wim");
        let output = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_wim")])
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let after = read(folder, "t.wim");
        assert_eq!(after[..before.len()], before[..]);
        assert_eq!(after.len() == before.len(), is_whole, "{}", String::from_utf8_lossy(&output.stderr));
        assert_good(folder, "t.wim");
    }
    // What the killed program left is overwritten by the next one.
    wim(folder, &["export", "s.wim", "1", "t.wim"]).ends_with(0);
    assert_good(folder, "t.wim");
    let clean = read(folder, "t.wim").len();
    std::fs::write(folder.join("t.wim"), &before).unwrap();
    wim(folder, &["export", "s.wim", "1", "t.wim"]).ends_with(0);
    assert_eq!(read(folder, "t.wim").len(), clean);
}

#[test]
#[cfg(unix)]
fn a_locked_or_read_only_file_is_left_alone() {
    let folder = sample_tree();
    let folder = folder.path();
    two_images(folder, &[]);
    let file = std::fs::File::open(folder.join("t.wim")).unwrap();
    file.lock().unwrap();
    for line in
        [vec!["info", "t.wim", "1", "X"], vec!["export", "two.wim", "1", "t.wim", "X"], vec!["info", "t.wim"]]
    {
        let ran = wim(folder, &line).ends_with(2);
        assert!(ran.stderr.contains("another program is using the file"), "{}", ran.stderr);
    }
    file.unlock().unwrap();
    let mut marked = read(folder, "t.wim");
    marked[0x10] |= 4;
    std::fs::write(folder.join("t.wim"), &marked).unwrap();
    for line in [vec!["info", "t.wim", "1", "X"], vec!["export", "two.wim", "1", "t.wim", "X"]] {
        let ran = wim(folder, &line).ends_with(2);
        assert!(ran.stderr.contains("marked read-only"), "{}", ran.stderr);
        assert_eq!(read(folder, "t.wim"), marked);
    }
}
