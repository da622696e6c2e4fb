//! `wim export` beside `wimlib-imagex export`.

use std::path::Path;

use crate::{sample_tree, wim, wimlib};

/// A file of two images that share most blobs; none when wimlib is not there to make it.
fn two_images(compress: &str) -> Option<tempfile::TempDir> {
    let folder = sample_tree();
    let compress = format!("--compress={compress}");
    let first = ["capture", "src", "t.wim", "One", "First", "--quiet", "--flags=Starter", &compress];
    wimlib(folder.path(), &first)?.ends_with(0);
    std::fs::write(folder.path().join("src/new.txt"), "only in the second").unwrap();
    let second = ["append", "src", "t.wim", "Two", "--quiet", "--boot", "--flags=Professional"];
    wimlib(folder.path(), &second)?.ends_with(0);
    Some(folder)
}

/// What `info` says, without what differs between any two files.
fn information(folder: &Path, file: &str) -> String {
    let text = wim(folder, &["info", file]).ends_with(0).text();
    let kept =
        text.lines().filter(|line| !["Path:", "GUID:", "Size:"].iter().any(|label| line.starts_with(label)));
    kept.map(|line| format!("{line}\n")).collect()
}

fn assert_good(folder: &Path, file: &str) {
    let ran = wim(folder, &["verify", file]).ends_with(0);
    assert!(!ran.text().contains("remark"), "{}", ran.text());
    wimlib(folder, &["verify", file]).unwrap().ends_with(0);
}

#[test]
fn images_arrive_as_with_wimlib() {
    for compress in ["none", "XPRESS", "LZX"] {
        let Some(folder) = two_images(compress) else { return };
        let folder = folder.path();
        for (number, operands) in [
            vec!["1"],
            vec!["2", "--boot"],
            vec!["all"],
            vec!["all", "--boot", "--check"],
            vec!["1", "New name", "New description"],
            vec!["2", ""],
            vec!["1", "--compress=LZX"],
            vec!["1", "--compress=fast", "--chunk-size=16K"],
            vec!["all", "--compress=none", "--include-integrity"],
            vec!["1", "--recompress"],
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("{number}.wim");
            let line = |prefix: &str| -> Vec<String> {
                let mut line =
                    vec!["export".into(), "t.wim".into(), operands[0].into(), format!("{prefix}{name}")];
                line.extend(operands[1..].iter().map(|&operand| operand.to_owned()));
                line
            };
            let ours = wim(folder, &line("ours")).ends_with(0);
            assert_eq!(ours.text(), "", "{operands:?}");
            wimlib(folder, &line("theirs")).unwrap().ends_with(0);
            assert_eq!(
                information(folder, &format!("ours{name}")),
                information(folder, &format!("theirs{name}")),
                "{compress} {:?}",
                line("")
            );
            assert_good(folder, &format!("ours{name}"));
            let listing = |file: String| wim(folder, &["dir", &file, "1", "--detailed"]).ends_with(0).text();
            let hashes = |text: String| {
                text.lines()
                    .filter(|l| l.starts_with("Hash") || l.contains("Count"))
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            assert_eq!(hashes(listing(format!("ours{name}"))), hashes(listing(format!("theirs{name}"))));
        }
    }
}

#[test]
fn an_existing_file_gets_the_image_added() {
    let Some(folder) = two_images("LZX") else { return };
    let folder = folder.path();
    for program in ["ours.wim", "theirs.wim"] {
        let run = |arguments: &[&str]| match program {
            "ours.wim" => wim(folder, arguments),
            _ => wimlib(folder, arguments).unwrap(),
        };
        run(&["export", "t.wim", "1", program, "--check"]).ends_with(0);
        run(&["export", "t.wim", "2", program, "--boot"]).ends_with(0);
        run(&["export", "t.wim", "1", program, "Again", "--nocheck", "--compress=LZX:20"]).ends_with(0);
        let before = std::fs::read(folder.join(program)).unwrap();
        for refused in [
            vec!["export", "t.wim", "1", program],
            vec!["export", "t.wim", "all", program, "Name"],
            vec!["export", "t.wim", "1", program, "Other", "--compress=fast"],
            vec!["export", "t.wim", "9", program],
        ] {
            assert_ne!(run(&refused).code, Some(0), "{refused:?}");
            assert_eq!(std::fs::read(folder.join(program)).unwrap(), before, "{refused:?}");
        }
    }
    assert_eq!(information(folder, "ours.wim"), information(folder, "theirs.wim"));
    assert_good(folder, "ours.wim");
    let json = wim(folder, &["info", "ours.wim", "--json", "--blobs"]).ends_with(0).json();
    let shared = json["resources"].as_array().unwrap().iter().filter(|r| r["reference_count"] == 9).count();
    assert_eq!(shared, 1, "\"hello\" has three names in each of three images");
}

#[test]
fn editions_are_found_by_name_and_several_at_once() {
    let Some(folder) = two_images("XPRESS") else { return };
    let folder = folder.path();
    wim(folder, &["export", "t.wim", "professional", "p.wim"]).ends_with(0);
    assert!(information(folder, "p.wim").contains("Name:                   Two\n"));
    let json =
        wim(folder, &["--json", "export", "t.wim", "Professional,Starter", "both.wim"]).ends_with(0).json();
    assert_eq!((&json["image_count"], &json["encoded_resources"]), (&2.into(), &0.into()));
    assert_eq!(json["file_bytes"], std::fs::metadata(folder.join("both.wim")).unwrap().len());
    let names: Vec<String> = information(folder, "both.wim")
        .lines()
        .filter(|l| l.starts_with("Name:"))
        .map(str::to_owned)
        .collect();
    assert_eq!(names, ["Name:                   Two", "Name:                   One"]);
    let ran = wim(folder, &["export", "t.wim", "Ultimate", "u.wim"]).ends_with(2);
    assert!(ran.stderr.contains("1 \"One\" (Starter), 2 \"Two\" (Professional)"), "{}", ran.stderr);
    assert!(!folder.join("u.wim").exists());
}

#[test]
fn thread_counts_do_not_change_the_bytes() {
    let Some(folder) = two_images("none") else { return };
    let folder = folder.path();
    for compress in ["LZX", "XPRESS:80"] {
        let made = |threads: &str| {
            let file = format!("{threads}.wim");
            let _ = std::fs::remove_file(folder.join(&file));
            let arguments = [
                "export",
                "t.wim",
                "all",
                &file,
                "--compress",
                compress,
                "--threads",
                threads,
                "--memory=64M",
                "--check",
            ];
            wim(folder, &arguments).ends_with(0);
            std::fs::read(folder.join(file)).unwrap()
        };
        assert_eq!(made("1"), made("8"), "{compress}");
    }
}

#[test]
fn damage_ends_with_2_and_leaves_nothing() {
    let Some(folder) = two_images("XPRESS") else { return };
    let folder = folder.path();
    let bytes = std::fs::read(folder.join("t.wim")).unwrap();
    let files_before = std::fs::read_dir(folder).unwrap().count();
    for flipped in [0x10, 0x2C, 0x32, 0x38, 0x50, 300, 40_000] {
        let mut bytes = bytes.clone();
        bytes[flipped] ^= 0x5A;
        std::fs::write(folder.join("bad.wim"), &bytes).unwrap();
        let ran = wim(folder, &["export", "bad.wim", "all", "out.wim", "--compress=LZX"]);
        if ran.code != Some(0) {
            let ran = ran.ends_with(2);
            assert!(ran.stderr.contains("error: "), "{}", ran.stderr);
            assert!(!folder.join("out.wim").exists(), "byte {flipped}");
            assert_eq!(std::fs::read_dir(folder).unwrap().count(), files_before + 1, "byte {flipped}");
        } else {
            // The flip hit bytes that mean nothing to a reader.
            wim(folder, &["verify", "out.wim"]).ends_with(0);
            std::fs::remove_file(folder.join("out.wim")).unwrap();
        }
    }
    for length in [0, 7, 100, 208, 1000, bytes.len() - 1] {
        std::fs::write(folder.join("bad.wim"), &bytes[..length]).unwrap();
        wim(folder, &["export", "bad.wim", "all", "out.wim"]).ends_with(2);
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), files_before + 1, "{length} bytes");
    }
    // With the XML cut off, images can still be saved by number, with a name.
    let ran = wim(folder, &["export", "bad.wim", "2", "saved.wim", "Saved"]).ends_with(0);
    assert!(ran.stderr.contains("warning: bad.wim: XML data"), "{}", ran.stderr);
    assert_good(folder, "saved.wim");
}

/// LZMS written by us is good to wimlib, comes back the same, and is copied as it is.
#[test]
fn lzms_is_written() {
    let Some(folder) = two_images("XPRESS") else { return };
    let folder = folder.path();
    for options in [&["--compress=LZMS:20"][..], &["--compress=recovery", "--chunk-size=32K"]] {
        let line = ["export", "t.wim", "1", "out.wim"];
        wim(folder, &[&line[..], options].concat()).ends_with(0);
        assert_good(folder, "out.wim");
        if let Some(verified) = wimlib(folder, &["verify", "out.wim"]) {
            verified.ends_with(0);
        }
        wim(folder, &["export", "out.wim", "1", "copy.wim"]).ends_with(0);
        assert_good(folder, "copy.wim");
        let info = wim(folder, &["info", "copy.wim", "--header"]).ends_with(0).text();
        assert!(info.contains("LZMS"), "{info}");
        std::fs::remove_file(folder.join("out.wim")).unwrap();
        std::fs::remove_file(folder.join("copy.wim")).unwrap();
    }
}

#[test]
fn what_is_packed_together_is_in_a_file_of_lzms() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    let options = ["--solid", "--solid-chunk-size=1M"];
    for (more, compression) in [(&[][..], "LZMS"), (&["--compress=LZX"], "LZX")] {
        let line = [&["export", "t.wim", "1", "ours.esd"], &options[..], more].concat();
        wim(at, &line).ends_with(0);
        let named =
            |text: String| text.lines().find(|line| line.starts_with("Compression:")).map(str::to_owned);
        let ours = named(wim(at, &["info", "ours.esd"]).ends_with(0).text()).unwrap();
        assert!(ours.ends_with(compression), "{ours}");
        std::fs::remove_file(at.join("ours.esd")).unwrap();
        if let Some(theirs) = wimlib(at, &line) {
            theirs.ends_with(0);
            assert_eq!(named(wim(at, &["info", "ours.esd"]).ends_with(0).text()).unwrap(), ours);
            std::fs::remove_file(at.join("ours.esd")).unwrap();
        }
    }
}
