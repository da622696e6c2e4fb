//! `--solid` of every verb that writes, beside wimlib's.

use std::path::Path;

use crate::{noise, sample_tree, wim, wimlib};

/// A sample tree with files that lie in several chunks, several in one.
fn tree() -> tempfile::TempDir {
    let folder = sample_tree();
    let numbers: Vec<u8> = (0..60_000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
    std::fs::write(folder.path().join("src/numbers.bin"), &numbers).unwrap();
    std::fs::write(folder.path().join("src/numbers.old.bin"), &numbers[7..200_000]).unwrap();
    folder
}

/// What `info --json` says: solid or not shows in the version and the blobs' flags.
fn is_solid(folder: &Path, file: &str) -> bool {
    wim(folder, &["info", file, "--blobs"]).ends_with(0).text().contains("WIM_RESHDR_FLAG_SOLID")
}

/// Good to us and to wimlib, and with the files of `src`.
fn assert_good(folder: &Path, file: &str, image: &str, src: &str) {
    wim(folder, &["verify", file]).ends_with(0);
    if let Some(theirs) = wimlib(folder, &["verify", file]) {
        theirs.ends_with(0);
    }
    wim(folder, &["apply", file, image, "out"]).ends_with(0);
    for name in ["numbers.bin", "numbers.old.bin", "a.txt", "dir/seq.txt", "dir/sub/noise.bin", "zero"] {
        let read = |root: &str| std::fs::read(folder.join(root).join(name)).unwrap();
        assert!(read(src) == read("out"), "{file}: {name}");
    }
    std::fs::remove_dir_all(folder.join("out")).unwrap();
}

#[test]
fn captures_are_good_to_wimlib_and_the_same_with_any_number_of_threads() {
    let folder = tree();
    let folder = folder.path();
    for options in [
        vec!["--solid-compress=LZMS:fast"],
        vec!["--solid-compress=LZMS:10", "--solid-chunk-size=64K"],
        vec!["--solid-compress=LZX:fast", "--compress=LZX"],
        vec!["--solid-compress=XPRESS:fast", "--solid-chunk-size=32K", "--no-solid-sort"],
    ] {
        let line = |file: &'static str, threads: &'static str| {
            let capture = ["capture", "src", file, "--solid", "--boot", "--check", threads];
            capture.into_iter().chain(options.iter().copied()).collect::<Vec<_>>()
        };
        let run = |line: &[&str]| {
            let ran = crate::command(env!("CARGO_BIN_EXE_wim"), folder, line)
                .env("SOURCE_DATE_EPOCH", "1700000000")
                .status();
            assert!(ran.unwrap().success(), "{line:?}");
        };
        run(&line("one.esd", "--threads=1"));
        run(&line("four.esd", "--threads=4"));
        let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
        assert!(read("one.esd") == read("four.esd"), "{options:?}");
        assert!(is_solid(folder, "one.esd"));
        assert_good(folder, "one.esd", "1", "src");
        let info = wim(folder, &["info", "one.esd", "--json"]).ends_with(0).json();
        assert_eq!(info["boot_index"], 1);
    }
}

#[test]
fn exports_and_optimizations_become_solid_stay_so_and_stop_being_so() {
    let folder = tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "--compress=XPRESS"]).ends_with(0);
    let quick = "--solid-compress=LZX:fast";
    wim(folder, &["export", "t.wim", "1", "e.esd", "--solid", quick]).ends_with(0);
    assert!(is_solid(folder, "e.esd"));
    assert_good(folder, "e.esd", "1", "src");
    // Without a word it stays as it is, copied.
    let json = wim(folder, &["export", "e.esd", "1", "f.esd", "--json"]).ends_with(0).json();
    assert_eq!((&json["copied_resources"], &json["encoded_resources"]), (&2.into(), &0.into()));
    assert!(is_solid(folder, "f.esd"));
    assert_good(folder, "f.esd", "1", "src");
    // Another chunk size is another form.
    let small = "--solid-chunk-size=32K";
    let json = wim(folder, &["export", "e.esd", "1", "g.esd", "--solid", quick, small, "--json"])
        .ends_with(0)
        .json();
    assert_eq!(json["copied_resources"], 1);
    assert_good(folder, "g.esd", "1", "src");
    wim(folder, &["export", "e.esd", "1", "h.wim", "--compress=LZX:fast"]).ends_with(0);
    assert!(!is_solid(folder, "h.wim"));
    assert_good(folder, "h.wim", "1", "src");
    wim(folder, &["optimize", "t.wim", "--solid", quick]).ends_with(0);
    assert!(is_solid(folder, "t.wim"));
    let json = wim(folder, &["optimize", "t.wim", "--json"]).ends_with(0).json();
    assert_eq!(json["encoded_resources"], 0);
    assert_good(folder, "t.wim", "1", "src");
    wim(folder, &["optimize", "t.wim", "--recompress"]).ends_with(0);
    assert!(is_solid(folder, "t.wim"));
    wim(folder, &["optimize", "t.wim", "--compress=XPRESS:fast"]).ends_with(0);
    assert!(!is_solid(folder, "t.wim"));
    assert_good(folder, "t.wim", "1", "src");
}

#[test]
fn solid_files_are_changed_by_appending() {
    let folder = tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.esd", "first", "--solid", "--solid-compress=LZX:fast", "--check"])
        .ends_with(0);
    let size = |file: &str| std::fs::metadata(folder.join(file)).unwrap().len();
    let before = size("t.esd");
    std::fs::write(folder.join("src/new"), noise(20_000)).unwrap();
    let json = wim(folder, &["append", "src", "t.esd", "second", "--json"]).ends_with(0).json();
    assert_eq!((&json["encoded_resources"], &json["copied_resources"]), (&2.into(), &0.into()));
    assert!(size("t.esd") < before + 30_000);
    assert_good(folder, "t.esd", "2", "src");
    std::fs::write(folder.join("other"), "other\n").unwrap();
    wim(folder, &["update", "t.esd", "1", "--command=add other /other"]).ends_with(0);
    wim(folder, &["info", "t.esd", "2", "renamed"]).ends_with(0);
    assert_good(folder, "t.esd", "1", "src");
    assert_good(folder, "t.esd", "renamed", "src");
    wim(folder, &["delete", "t.esd", "first", "--soft"]).ends_with(0);
    assert_good(folder, "t.esd", "1", "src");
    wim(folder, &["export", "t.esd", "1", "t.esd", "third"]).ends_with(0);
    wim(folder, &["delete", "t.esd", "third"]).ends_with(0);
    assert!(is_solid(folder, "t.esd"));
    assert_good(folder, "t.esd", "1", "src");
    // One that was not solid becomes so for what comes.
    wim(folder, &["capture", "src", "p.wim"]).ends_with(0);
    std::fs::write(folder.join("src/newer"), noise(9_000)).unwrap();
    wim(folder, &["append", "src", "p.wim", "solid one", "--solid", "--solid-compress=XPRESS"]).ends_with(0);
    assert!(is_solid(folder, "p.wim"));
    assert_good(folder, "p.wim", "1", "src");
    assert_good(folder, "p.wim", "2", "src");
    // And wimlib appends to what we wrote, and we to what it wrote.
    let Some(theirs) = wimlib(folder, &["append", "src/dir", "p.wim", "theirs"]) else { return };
    theirs.ends_with(0);
    assert_good(folder, "p.wim", "2", "src");
    let line = ["capture", "src", "w.esd", "--solid", "--solid-compress=LZMS:10", "--solid-chunk-size=1M"];
    wimlib(folder, &line).unwrap().ends_with(0);
    std::fs::write(folder.join("src/newest"), noise(9_000)).unwrap();
    wim(folder, &["append", "src", "w.esd", "ours"]).ends_with(0);
    assert_good(folder, "w.esd", "ours", "src");
}

#[test]
fn solid_files_are_split_by_packing_them_anew() {
    let folder = tree();
    let folder = folder.path();
    let solid = ["--solid", "--solid-compress=LZX:fast", "--compress=LZX", "--check"];
    let line: Vec<&str> = ["capture", "src", "t.esd"].into_iter().chain(solid).collect();
    wim(folder, &line).ends_with(0);
    let json = wim(folder, &["split", "t.esd", "s.swm", "0.25", "--json"]).ends_with(0).json();
    let parts = json["parts"].as_array().unwrap();
    assert!(parts.len() > 1, "{json}");
    for part in parts {
        let size = std::fs::metadata(folder.join(part["path"].as_str().unwrap())).unwrap().len();
        assert_eq!(part["file_bytes"], size);
        assert!(size <= 1 << 18, "{json}");
    }
    assert!(!is_solid(folder, "s.swm"));
    wim(folder, &["verify", "s.swm"]).ends_with(0);
    if let Some(theirs) = wimlib(folder, &["verify", "s.swm", "--ref=s*.swm"]) {
        theirs.ends_with(0);
    }
    let mut line = vec!["join".to_owned(), "j.wim".to_owned(), "s.swm".to_owned()];
    line.extend((2..=parts.len()).map(|number| format!("s{number}.swm")));
    wim(folder, &line).ends_with(0);
    assert_good(folder, "j.wim", "1", "src");
    let json = wim(folder, &["split", "t.esd", "n.swm", "--parts=2", "--json"]).ends_with(0).json();
    assert_eq!(json["parts"].as_array().unwrap().len(), 2);
    let ran = wim(folder, &["split", "t.esd", "x.swm", "0.05"]).ends_with(0);
    assert!(ran.stderr.contains("a resource cannot be divided among parts"), "{}", ran.stderr);
    wim(folder, &["split", "t.esd", "y.swm", "0"]).ends_with(2);
    assert!(!folder.join("y.swm").exists());
}

#[test]
fn too_little_memory_is_refused_with_the_number_and_nothing_is_left() {
    let folder = tree();
    let folder = folder.path();
    std::fs::write(folder.join("src/large"), noise(5_000_000)).unwrap();
    let ran = wim(folder, &["capture", "src", "t.esd", "--solid", "--memory=20M"]).ends_with(2);
    assert!(ran.stderr.contains(" MiB of memory, and 20 MiB are allowed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: allow it with --memory="), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    wim(folder, &["capture", "src", "t.esd", "--solid", "--solid-chunk-size=1M", "--memory=20M"])
        .ends_with(0);
}
