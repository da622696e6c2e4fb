//! What applying restores and puts up with, and what capturing says of a Windows, beside `wimlib-imagex`.

use std::path::Path;

use crate::{sample_tree, wim, wimlib};

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// A damaged byte in a chunk, in a raw blob and in a chunk table: what can be had of each.
#[test]
fn damaged_files_are_recovered_as_far_as_they_go() {
    let folder = sample_tree();
    let folder = folder.path();
    for pipable in [false, true] {
        let mut line = vec!["capture", "src", "t.wim", "--compress=XPRESS", "--norpfix"];
        line.extend(pipable.then_some("--pipable"));
        wim(folder, &line).ends_with(0);
        let json = wim(folder, &["info", "t.wim", "--json", "--blobs"]).ends_with(0).json();
        let resources = json["resources"].as_array().unwrap();
        let find =
            |size: u64| resources.iter().find(|r| r["size"] == size).unwrap()["offset"].as_u64().unwrap();
        let (seq, noise) = (read(folder, "src/dir/seq.txt"), read(folder, "src/dir/sub/noise.bin"));
        let mut bytes = read(folder, "t.wim");
        let stored = |size: u64| {
            resources.iter().find(|r| r["size"] == size).unwrap()["stored_size"].as_u64().unwrap()
        };
        // The last byte but the chunk table of the first, and one in the middle of the second.
        let table = if pipable { 4 * (seq.len() as u64).div_ceil(32768) - 4 } else { 0 };
        let at = find(seq.len() as u64) + stored(seq.len() as u64) - table - 2000;
        bytes[usize::try_from(at).unwrap()..][..64].fill(0xA5);
        let raw = usize::try_from(find(noise.len() as u64)).unwrap() + 50_000;
        bytes[raw] ^= 1;
        std::fs::write(folder.join("bad.wim"), &bytes).unwrap();

        wim(folder, &["apply", "bad.wim", "fails"]).ends_with(2);
        let ran = wim(folder, &["apply", "bad.wim", "out", "--recover-data"]).ends_with(1);
        for name in ["seq.txt", "noise.bin"] {
            let line = ran.stderr.lines().find(|line| line.contains(name)).unwrap_or_default();
            assert!(
                line.starts_with("warning: ") && line.contains("recovered as far as it goes"),
                "{}",
                ran.stderr
            );
        }
        let recovered = read(folder, "out/dir/seq.txt");
        assert_eq!(recovered.len(), seq.len());
        let same = recovered.iter().zip(&seq).filter(|(a, b)| a == b).count();
        assert!(same >= seq.len() - 2 * 32768 && same < seq.len(), "{same} of {}", seq.len());
        let recovered = read(folder, "out/dir/sub/noise.bin");
        assert_eq!(recovered.iter().zip(&noise).filter(|(a, b)| a != b).count(), 1);
        assert_eq!(read(folder, "out/a.txt"), b"hello\n");
        if pipable {
            // From a pipe, which is read once, the same is recovered and told.
            let ran = crate::pipable::apply_ours(folder, &["piped", "--recover-data"], &bytes).ends_with(1);
            assert_eq!(ran.stderr.matches("recovered as far as it goes").count(), 2, "{}", ran.stderr);
            for name in ["a.txt", "dir/seq.txt", "dir/sub/noise.bin"] {
                assert!(
                    read(folder, &format!("piped/{name}")) == read(folder, &format!("out/{name}")),
                    "{name}"
                );
            }
            std::fs::remove_dir_all(folder.join("piped")).unwrap();
            crate::pipable::apply_ours(folder, &["fails"], &bytes).ends_with(2);
        }
        let json = wim(
            folder,
            &["extract", "bad.wim", "1", "dir/seq.txt", "--dest-dir=x", "--recover-data", "--json"],
        )
        .ends_with(1)
        .json();
        assert_eq!((&json["damaged_blobs"], &json["files"]), (&1.into(), &1.into()));
        let ran = wim(folder, &["extract", "bad.wim", "1", "dir/seq.txt", "--to-stdout", "--recover-data"]);
        assert!(ran.ends_with(1).stdout == read(folder, "x/seq.txt"));
        // wimlib comes to the same where it writes at all.
        if let Some(theirs) = wimlib(folder, &["apply", "bad.wim", "theirs", "--recover-data", "--quiet"]) {
            theirs.ends_with(0);
            assert!(read(folder, "theirs/dir/sub/noise.bin") == recovered);
            std::fs::remove_dir_all(folder.join("theirs")).unwrap();
        }
        for name in ["out", "x", "fails"] {
            let _ = std::fs::remove_dir_all(folder.join(name));
        }
    }
}

#[test]
fn options_that_cannot_be_honoured_are_refused_with_a_reason() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "--strict-acls"]).ends_with(0);
    for (line, word) in [
        (vec!["apply", "t.wim", "out", "--wimboot"], "needs Windows"),
        (vec!["extract", "t.wim", "1", "a.txt", "--compact=lzx", "--dest-dir=out"], "needs Windows"),
        (vec!["capture", "src", "x.wim", "--snapshot"], "shadow copies"),
        (vec!["append", "src", "t.wim", "--snapshot"], "shadow copies"),
    ] {
        let ran = wim(folder, &line).ends_with(2);
        assert!(ran.stderr.contains(word), "{line:?}: {}", ran.stderr);
        assert!(!folder.join("out").exists() && !folder.join("x.wim").exists());
    }
    for accepted in
        ["--no-acls", "--strict-acls", "--no-attributes", "--include-invalid-names", "--unix-data"]
    {
        wim(folder, &["apply", "t.wim", "out", accepted]).ends_with(0);
        wim(folder, &["extract", "t.wim", "1", "a.txt", "--dest-dir=out", accepted]).ends_with(0);
    }
    // Descriptors that must be restored, and cannot be.
    if let Some(data) = crate::data_folder("wim") {
        let wimfile = data.join("wimlib-empty_dacl.wim").display().to_string();
        let ran = wim(folder, &["apply", &wimfile, "acls", "--strict-acls"]).ends_with(2);
        assert!(ran.stderr.contains("security descriptors"), "{}", ran.stderr);
    }
}

/// The part of the XML data behind the times.
fn described(folder: &Path, file: &str) -> String {
    let bytes = wim(folder, &["info", file, "--xml"]).ends_with(0).stdout;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).unwrap();
    let from = text.find("</LASTMODIFICATIONTIME>").unwrap();
    let to = text[from..].find("</IMAGE>").unwrap();
    text[from..from + to].to_owned()
}

#[test]
fn a_captured_windows_is_described_as_wimlib_describes_it() {
    for windows in ["7", "10"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        wim(folder, &["demo", "--media", "--windows", windows, "--dir=demo"]).ends_with(0);
        let wimfile = "demo/medium/sources/install.wim";
        wim(folder, &["apply", wimfile, "1", "tree"]).ends_with(0);
        let both = |name: &str, options: &[&str]| {
            let (ours, theirs) = (format!("ours{name}.wim"), format!("theirs{name}.wim"));
            let line =
                |file: &str| [&["capture", "tree", file, "--compress=none"], options].concat().join("\t");
            let line = |file| line(file).split('\t').map(str::to_owned).collect::<Vec<_>>();
            wim(folder, &line(&ours)).ends_with(0);
            if let Some(made) = wimlib(folder, &line(&theirs)) {
                made.ends_with(0);
                assert_eq!(described(folder, &ours), described(folder, &theirs), "{windows} {options:?}");
            }
            described(folder, &ours)
        };
        let plain = both("", &[]);
        assert!(plain.contains("<SYSTEMROOT>WINDOWS</SYSTEMROOT><ARCH>9</ARCH>"), "{plain}");
        assert!(
            plain.contains(&format!("<MAJOR>{}</MAJOR>", if windows == "7" { 6 } else { 10 })),
            "{plain}"
        );
        let said = [
            "--flags=Foo",
            "--image-property",
            "WINDOWS/EDITIONID=Bar",
            "--image-property",
            "DISPLAYNAME=Baz",
        ];
        let said = both("2", &said);
        assert!(said.contains("<EDITIONID>Bar</EDITIONID>") && said.contains("<FLAGS>Foo</FLAGS>"), "{said}");
        // Without hives only the architecture is known; a hive that is none is warned about.
        std::fs::remove_file(folder.join("tree/Windows/System32/config/SOFTWARE")).unwrap();
        std::fs::write(folder.join("tree/Windows/System32/config/SYSTEM"), "no hive").unwrap();
        both("3", &[]);
        let ran = wim(folder, &["append", "tree", "ours.wim", "Again", "--wimboot"]).ends_with(0);
        assert!(ran.stderr.contains("config\\SYSTEM") && ran.stderr.contains("warning"), "{}", ran.stderr);
    }
}

#[test]
fn wimboot_images_are_marked_and_compressed_for_it() {
    let folder = sample_tree();
    let folder = folder.path();
    std::fs::create_dir_all(folder.join("src/Windows/System32")).unwrap();
    let config = "[ExclusionList]\n\\zero\n[PrepopulateList]\n\\dir\\*\n";
    std::fs::write(folder.join("src/Windows/System32/WimBootCompress.ini"), config).unwrap();
    let format = |file: &str| {
        let text = wim(folder, &["info", file]).ends_with(0).text();
        let kept = ["Compression:", "Chunk Size:", "WIMBoot", "File Count:"];
        text.lines().filter(|line| kept.iter().any(|k| line.starts_with(k))).collect::<Vec<_>>().join("\n")
    };
    wim(folder, &["capture", "src", "n.wim", "N"]).ends_with(0);
    let lines = [
        vec!["capture", "src", "1.wim", "--wimboot"],
        vec!["capture", "src", "2.wim", "--wimboot", "--compress=LZX"],
        vec!["capture", "src", "3.wim", "--wimboot", "--chunk-size=8K"],
        vec!["export", "n.wim", "1", "4.wim", "--wimboot"],
        vec!["export", "n.wim", "1", "1.wim", "--wimboot"],
    ];
    for mut line in lines {
        wim(folder, &line).ends_with(0);
        let place = if line[0] == "capture" { 2 } else { 3 };
        let ours = format(line[place]);
        assert!(ours.contains("WIMBoot compatible:     yes"), "{ours}");
        let theirs = format!("theirs{}", line[place]);
        line[place] = &theirs;
        match wimlib(folder, &line) {
            Some(made) => drop(made.ends_with(0)),
            None => return,
        }
        assert_eq!(ours, format(&theirs), "{line:?}");
    }
    assert!(format("1.wim").contains("4096"), "{}", format("1.wim"));
}
