//! Damaged and lying files through every verb: an error or an answer, never a panic, and nothing left behind.

use std::path::Path;

use crate::{noise, sample_tree, wim, wimlib};

/// Verbs that read `bad.wim`, with what they write going to `out`.
const VERBS: [&[&str]; 8] = [
    &["info", "bad.wim", "--header", "--blobs"],
    &["info", "bad.wim", "1"],
    &["dir", "bad.wim", "1", "--detailed"],
    &["verify", "bad.wim"],
    &["extract", "bad.wim", "1", "*", "--dest-dir=out"],
    &["apply", "bad.wim", "1", "out"],
    &["export", "bad.wim", "all", "out", "--compress=fast:20"],
    &["export", "bad.wim", "1", "out"],
];

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Runs every verb on `bytes`; says what each may have done.
fn try_all(folder: &Path, bytes: &[u8], what: &str) {
    std::fs::write(folder.join("bad.wim"), bytes).unwrap();
    for verb in VERBS {
        let ran = wim(folder, verb);
        let code = ran.code.unwrap_or(-1);
        assert!((0..=2).contains(&code), "{what}, {verb:?}: {code} {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{what}, {verb:?}: {}", ran.stderr);
        if code == 2 {
            assert!(ran.stderr.contains("error: "), "{what}, {verb:?}: {}", ran.stderr);
        }
        let out = folder.join("out");
        if out.is_file() {
            assert_eq!(code, 0, "{what}, {verb:?} failed and left its target");
            std::fs::remove_file(&out).unwrap();
        } else if out.is_dir() {
            std::fs::remove_dir_all(&out).unwrap();
        }
        assert_eq!(names(folder), ["bad.wim", "good.wim", "src"], "{what}, {verb:?}");
    }
}

fn good_file(folder: &Path, compress: &str) -> Vec<u8> {
    let _ = std::fs::remove_file(folder.join("src/dir/sub/noise.bin"));
    wim(folder, &["capture", "src", "good.wim", "One", "--check", "--compress", compress]).ends_with(0);
    std::fs::read(folder.join("good.wim")).unwrap()
}

#[test]
fn flipped_bytes_are_survived_by_every_verb() {
    for compress in ["LZX", "XPRESS"] {
        let folder = sample_tree();
        let good = good_file(folder.path(), compress);
        // The header, then places all over the file, the same every time.
        let spread =
            noise(24).into_iter().zip(1usize..).map(|(byte, n)| (n * 1997 + usize::from(byte)) % good.len());
        for at in (0..208).step_by(11).chain(spread) {
            let mut bytes = good.clone();
            bytes[at] ^= 0xA5;
            try_all(folder.path(), &bytes, &format!("{compress}, byte {at} flipped"));
        }
    }
}

#[test]
fn truncated_files_are_survived_by_every_verb() {
    let folder = sample_tree();
    let good = good_file(folder.path(), "LZX");
    for tenth in 0..10 {
        try_all(folder.path(), &good[..good.len() * tenth / 10], &format!("{tenth} tenths of the file"));
    }
}

#[test]
fn lying_sizes_do_not_take_memory() {
    let folder = sample_tree();
    let good = good_file(folder.path(), "LZX");
    // The lookup table's entries: sizes of 2^56 - 1 and offsets past the end.
    let table = u64::from_le_bytes(good[0x38..0x40].try_into().unwrap()) as usize;
    for (offset, value) in
        [(0, u64::MAX), (8, u64::MAX), (16, u64::MAX), (16, 1 << 40), (8, good.len() as u64)]
    {
        for entry in 0..3 {
            let mut bytes = good.clone();
            let at = table + entry * 50 + offset;
            let flags = bytes[at + 7];
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            if offset == 0 {
                bytes[at + 7] = flags;
            }
            try_all(folder.path(), &bytes, &format!("entry {entry}, field at {offset} is {value:#x}"));
        }
    }
}

/// LZMS and solid files of wimlib: verified, extracted, applied, and converted to what wimlib finds good.
#[test]
fn lzms_and_solid_files_are_read() {
    let folder = sample_tree();
    let folder = folder.path();
    // Larger than a chunk, so that blobs lie in several, and several lie in one.
    let numbers: Vec<u8> = (0..60_000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
    std::fs::write(folder.join("src/numbers"), &numbers).unwrap();
    std::fs::write(folder.join("src/other"), &numbers[7..200_000]).unwrap();
    for options in [
        vec!["--compress=LZMS:10", "--chunk-size=32K"],
        vec!["--solid", "--solid-compress=LZMS:10", "--solid-chunk-size=64K"],
        vec!["--solid", "--solid-compress=LZX:10", "--solid-chunk-size=32K"],
        vec!["--solid", "--solid-compress=XPRESS:10", "--solid-chunk-size=64K"],
    ] {
        let capture = ["capture", "src", "t.wim", "--quiet"];
        let line: Vec<&str> = capture.into_iter().chain(options.iter().copied()).collect();
        let Some(made) = wimlib(folder, &line) else { return };
        made.ends_with(0);
        wim(folder, &["verify", "t.wim"]).ends_with(0);
        wim(folder, &["extract", "t.wim", "1", "numbers", "--dest-dir=out"]).ends_with(0);
        assert!(std::fs::read(folder.join("out/numbers")).unwrap() == numbers, "{options:?}");
        wim(folder, &["apply", "t.wim", "out/all"]).ends_with(0);
        assert!(std::fs::read(folder.join("out/all/other")).unwrap() == numbers[7..200_000], "{options:?}");
        for to in ["--compress=LZX", "--compress=none", "--compress=XPRESS"] {
            wim(folder, &["export", "t.wim", "1", "e.wim", to]).ends_with(0);
            wim(folder, &["verify", "e.wim"]).ends_with(0);
            wimlib(folder, &["verify", "e.wim"]).unwrap().ends_with(0);
            std::fs::remove_file(folder.join("e.wim")).unwrap();
        }
        std::fs::remove_dir_all(folder.join("out")).unwrap();
        std::fs::remove_file(folder.join("t.wim")).unwrap();
    }
}

#[test]
fn a_capture_of_the_folder_of_its_target_is_whole() {
    let folder = sample_tree();
    let folder = folder.path();
    for images in 0..3 {
        wim(folder, &["capture", ".", "t.wim", "--check", "--compress=none"]).ends_with(0);
        wim(folder, &["verify", "t.wim"]).ends_with(0);
        let listed = wim(folder, &["dir", "t.wim"]).ends_with(0).text();
        assert_eq!(listed.contains("/t.wim"), images > 0, "the file of the run before is captured: {listed}");
        assert!(!listed.contains("wim-tmp"), "{listed}");
    }
}

#[test]
#[cfg(unix)]
fn a_full_disk_leaves_nothing() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "good.wim"]).ends_with(0);
    let before = std::fs::read(folder.join("good.wim")).unwrap();
    let binary = env!("CARGO_BIN_EXE_wim");
    for line in ["export good.wim 1 out.wim", "optimize good.wim --compress=none", "capture src good.wim"] {
        // A limit on the size of files stands in for a full disk: writes fail past 32 KiB.
        let script = format!("trap '' XFSZ; ulimit -f 64; exec {binary} {line}");
        let output = crate::command("sh", folder, &["-c", &script]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {stderr}");
        assert!(stderr.contains("error: "), "{stderr}");
        assert_eq!(names(folder), ["good.wim", "src"], "{line}");
        assert!(std::fs::read(folder.join("good.wim")).unwrap() == before, "{line}");
    }
}
