//! `wim split`, `wim join` and reading of split sets and deltas, beside wimlib's.

use std::path::Path;

use crate::{command, noise, sample_tree, wim, wimlib};

/// A tree with files that need several parts, captured as `t.wim`.
fn several_files(folder: &Path, options: &[&str]) {
    for number in 0..6 {
        let mut bytes = noise(100_000 + number * 1000);
        bytes[0] = u8::try_from(number).unwrap();
        std::fs::write(folder.join(format!("src/large{number}")), bytes).unwrap();
    }
    let line: Vec<&str> = ["capture", "src", "t.wim"].into_iter().chain(options.iter().copied()).collect();
    wim(folder, &line).ends_with(0);
}

fn listing(folder: &Path, file: &str) -> String {
    let text = wim(folder, &["dir", file, "--detailed"]).ends_with(0).text();
    let kept = text.lines().filter(|l| !l.starts_with("Offset in WIM") && !l.starts_with("Part Number"));
    kept.map(|line| format!("{line}\n")).collect()
}

#[test]
fn parts_are_read_by_both_and_joined_by_both() {
    let folder = sample_tree();
    let folder = folder.path();
    several_files(folder, &["--check", "--boot"]);
    let json = wim(folder, &["split", "t.wim", "s.swm", "0.25", "--json"]).ends_with(0).json();
    let parts = json["parts"].as_array().unwrap();
    assert!(parts.len() > 2, "{parts:?}");
    for part in parts {
        let size = std::fs::metadata(folder.join(part["path"].as_str().unwrap())).unwrap().len();
        assert_eq!(part["file_bytes"], size);
        assert!(size <= 1 << 18);
    }
    let info = wim(folder, &["info", "s2.swm", "--json"]).ends_with(0).json();
    assert_eq!((&info["part_number"], &info["total_parts"]), (&2.into(), &parts.len().into()));
    assert_eq!((&info["boot_index"], &info["attributes"][0]), (&0.into(), &"Integrity info".into()));
    let ran = wim(folder, &["verify", "s.swm"]).ends_with(0);
    assert!(!ran.text().contains("remark"), "{}", ran.text());
    assert_eq!(listing(folder, "s.swm"), listing(folder, "t.wim"));
    wim(folder, &["apply", "s.swm", "out", "--ref=s*.swm"]).ends_with(0);
    wim(folder, &["export", "s.swm", "all", "e.wim"]).ends_with(0);
    // Any order, the first part last.
    let mut line: Vec<String> = ["join".to_owned(), "j.wim".to_owned()].into();
    line.extend((2..=parts.len()).rev().map(|number| format!("s{number}.swm")));
    line.push("s.swm".to_owned());
    wim(folder, &line).ends_with(0);
    for file in ["e.wim", "j.wim"] {
        assert_eq!(listing(folder, file), listing(folder, "t.wim"), "{file}");
        wim(folder, &["verify", file]).ends_with(0);
    }
    line[1] = "w.wim".to_owned();
    let Some(theirs) = wimlib(folder, &line) else { return };
    theirs.ends_with(0);
    wimlib(folder, &["verify", "s.swm", "--ref=s*.swm"]).unwrap().ends_with(0);
    wimlib(folder, &["verify", "j.wim"]).unwrap().ends_with(0);
    wimlib(folder, &["split", "t.wim", "w.swm", "0.25"]).unwrap().ends_with(0);
    assert_eq!(listing(folder, "w.swm"), listing(folder, "t.wim"));
    wim(folder, &["verify", "w.swm"]).ends_with(0);
}

#[test]
fn a_number_of_parts_is_kept_and_a_large_resource_warned_of() {
    let folder = sample_tree();
    let folder = folder.path();
    several_files(folder, &[]);
    for count in ["1", "2", "3"] {
        let json = wim(folder, &["split", "t.wim", "n.swm", "--parts", count, "--json"]).ends_with(0).json();
        assert_eq!(json["parts"].as_array().unwrap().len().to_string(), count);
    }
    let ran = wim(folder, &["split", "t.wim", "x.swm", "0.05"]).ends_with(0);
    assert!(ran.stderr.contains("a resource cannot be divided among parts"), "{}", ran.stderr);
    for refused in [
        vec!["split", "t.wim", "y.swm"],
        vec!["split", "t.wim", "y.swm", "0"],
        vec!["split", "x2.swm", "y.swm", "1"],
        vec!["split", "none.wim", "y.swm", "1"],
    ] {
        wim(folder, &refused).ends_with(2);
        assert!(!folder.join("y.swm").exists());
    }
}

#[test]
fn missing_and_foreign_parts_are_named() {
    let folder = sample_tree();
    let folder = folder.path();
    several_files(folder, &[]);
    wim(folder, &["split", "t.wim", "s.swm", "--parts=3"]).ends_with(0);
    // A file and what became of it have one GUID; joined, the images of one of them would be lost.
    std::fs::copy(folder.join("t.wim"), folder.join("grown.wim")).unwrap();
    wim(folder, &["append", "src/dir", "grown.wim", "Two"]).ends_with(0);
    std::fs::write(folder.join("src/other"), "other").unwrap();
    wim(folder, &["capture", "src", "u.wim"]).ends_with(0);
    wim(folder, &["split", "u.wim", "u.swm", "--parts=3"]).ends_with(0);
    for (line, word) in [
        (vec!["join", "j.wim", "s.swm", "s3.swm"], "missing: 2"),
        (vec!["join", "j.wim", "s.swm", "s2.swm", "u3.swm"], "part of another set"),
        (vec!["join", "j.wim", "s.swm", "s2.swm", "s2.swm"], "part 2 of the set, and so is"),
        (vec!["join", "j.wim", "t.wim", "grown.wim"], "2 files are not the parts of a set of 1"),
        (vec!["apply", "s2.swm", "out"], "the images are in the first part"),
        (vec!["info", "s.swm", "1", "New name"], "a part of a split set cannot be changed"),
        (vec!["delete", "s.swm", "1"], "a part of a split set cannot be changed"),
        (vec!["apply", "s.swm", "out", "--ref=none*"], "no file fits"),
        (vec!["apply", "s.swm", "out", "--ref=u?.swm"], "part of another set"),
    ] {
        let ran = wim(folder, &line).ends_with(2);
        assert!(ran.stderr.contains(word), "{line:?}: {}", ran.stderr);
        assert!(!folder.join("j.wim").exists() && !folder.join("out").exists(), "{line:?}");
    }
    std::fs::remove_file(folder.join("s2.swm")).unwrap();
    wim(folder, &["dir", "s.swm"]).ends_with(0);
    let ran = wim(folder, &["apply", "s.swm", "out"]).ends_with(2);
    assert!(ran.stderr.contains("of its 3 parts these are missing: 2 (s2.swm)"), "{}", ran.stderr);
    let ran = wim(folder, &["verify", "s.swm"]).ends_with(1);
    assert!(ran.text().contains("not in the file"), "{}{}", ran.text(), ran.stderr);
    wim(folder, &["export", "s.swm", "1", "e.wim"]).ends_with(2);
}

#[test]
fn a_delta_is_read_with_its_base() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "base.wim"]).ends_with(0);
    std::fs::write(folder.join("src/new"), noise(30_000)).unwrap();
    wim(folder, &["capture", "src", "delta.wim", "--delta-from=base.wim"]).ends_with(0);
    let ran = wim(folder, &["apply", "delta.wim", "out"]).ends_with(2);
    assert!(ran.stderr.contains("the blob is not in the file"), "{}", ran.stderr);
    wim(folder, &["apply", "delta.wim", "out", "--ref=base.wim"]).ends_with(0);
    for file in ["new", "a.txt", "dir/sub/noise.bin"] {
        let read = |root: &str| std::fs::read(folder.join(root).join(file)).unwrap();
        assert_eq!(read("src"), read("out"), "{file}");
    }
    wim(folder, &["verify", "delta.wim"]).ends_with(1);
    wim(folder, &["verify", "delta.wim", "--ref=base.wim"]).ends_with(0);
    wim(folder, &["export", "delta.wim", "1", "whole.wim", "--ref=b*.wim"]).ends_with(0);
    wim(folder, &["verify", "whole.wim"]).ends_with(0);
    assert!(
        wim(folder, &["dir", "delta.wim", "--detailed", "--ref=base.wim"]).text().contains("= 228890 bytes")
    );
}

#[test]
fn one_part_is_no_set_and_a_set_cannot_be_booted() {
    let folder = sample_tree();
    let folder = folder.path();
    several_files(folder, &["--boot"]);
    wim(folder, &["capture", "src", "solid.wim", "--boot", "--solid", "--solid-compress=LZX"]).ends_with(0);
    // Whether the header says that the file is one of several.
    let is_spanned = |file: &str| std::fs::read(folder.join(file)).unwrap()[0x10] & 8 != 0;
    let boot = |file: &str| wim(folder, &["info", file, "--json"]).ends_with(0).json()["boot_index"].clone();
    for source in ["t.wim", "solid.wim"] {
        let ran = wim(folder, &["split", source, "one.swm", "--parts=1"]).ends_with(0);
        assert!(!ran.stderr.contains("bootable"), "{}", ran.stderr);
        assert_eq!((is_spanned("one.swm"), boot("one.swm")), (false, 1.into()), "{source}");
        wim(folder, &["verify", "one.swm"]).ends_with(0);
        wim(folder, &["join", "j.wim", "one.swm"]).ends_with(0);
        assert_eq!(boot("j.wim"), 1);
        if let Some(theirs) = wimlib(folder, &["apply", "one.swm", "1", "theirs"]) {
            theirs.ends_with(0);
        }
        wim(folder, &["append", "src/dir", "one.swm", "Two"]).ends_with(0);
        assert!(!is_spanned("one.swm"));
        let ran = wim(folder, &["split", source, "two.swm", "--parts=2"]).ends_with(0);
        assert!(ran.stderr.contains("image 1 is bootable"), "{}", ran.stderr);
        assert_eq!((is_spanned("two.swm"), boot("two.swm")), (true, 0.into()), "{source}");
    }
}

#[test]
fn parts_of_an_earlier_longer_set_are_told_of() {
    let folder = sample_tree();
    let folder = folder.path();
    several_files(folder, &[]);
    let ran = wim(folder, &["split", "t.wim", "x.swm", "--parts=4"]).ends_with(0);
    assert!(!ran.stderr.contains("earlier set"), "{}", ran.stderr);
    let ran = wim(folder, &["split", "t.wim", "x.swm", "--parts=2"]).ends_with(0);
    assert!(ran.stderr.contains("x3.swm") && ran.stderr.contains("earlier set"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn there_may_be_more_parts_than_open_files() {
    let folder = sample_tree();
    let folder = folder.path();
    std::fs::create_dir(folder.join("many")).unwrap();
    for number in 0..70_u8 {
        std::fs::write(folder.join(format!("many/{number}")), [number; 40]).unwrap();
    }
    wim(folder, &["capture", "many", "t.wim", "--compress=none"]).ends_with(0);
    wim(folder, &["capture", "many", "solid.wim", "--solid", "--solid-compress=XPRESS"]).ends_with(0);
    for source in ["t.wim", "solid.wim"] {
        let script = format!("ulimit -n 48; exec \"$0\" split {source} p.swm --parts=80 --threads=1");
        let ran = command("sh", folder, &["-c", &script, env!("CARGO_BIN_EXE_wim")]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert!(folder.join("p60.swm").exists());
        wim(folder, &["verify", "p.swm"]).ends_with(0);
        let litter = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(litter.filter(|name| name.to_string_lossy().starts_with('.')).count(), 0);
    }
    // When a part cannot take its name, no part does.
    std::fs::create_dir(folder.join("q3.swm")).unwrap();
    std::fs::write(folder.join("q4.swm"), "before").unwrap();
    wim(folder, &["split", "t.wim", "q.swm", "--parts=4"]).ends_with(2);
    assert_eq!(std::fs::read(folder.join("q4.swm")).unwrap(), b"before");
    assert!(!folder.join("q.swm").exists() && !folder.join("q2.swm").exists());
}
