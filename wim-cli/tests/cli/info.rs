//! `wim info` beside `wimlib-imagex info`.

use std::path::Path;

use crate::{data_folder, sample_tree, wim, wimlib};

/// Runs both on the same operands and compares what they print.
fn same(folder: &Path, arguments: &[&str]) {
    if let Some(theirs) = wimlib(folder, arguments) {
        let ours = wim(folder, arguments).ends_with(0);
        assert_eq!(ours.text(), theirs.text(), "{arguments:?}\n{}", ours.stderr);
    }
}

/// As [`same`] for listings of blobs, whose order differs.
fn same_blobs(folder: &Path, arguments: &[&str]) {
    let sorted = |text: String| {
        let mut blocks: Vec<String> = text.split("\n\n").map(str::to_owned).collect();
        blocks.sort();
        blocks
    };
    if let Some(theirs) = wimlib(folder, arguments) {
        let ours = wim(folder, arguments).ends_with(0);
        assert_eq!(sorted(ours.text()), sorted(theirs.text()), "{arguments:?}\n{}", ours.stderr);
    }
}

/// Files whose tables this version reads; parts of a split set are refused.
const READABLE: [&str; 13] = [
    "BootXPRESS.wim",
    "LZX.wim",
    "MultiImage.wim",
    "VerifyFail.wim",
    "XPRESS.wim",
    "dissect-basic32k.wim",
    "dissect-basic4k.wim",
    "wimlib-corrupted_file_1.wim",
    "wimlib-cyclic.wim",
    "wimlib-dotdot.wim",
    "wimlib-duplicate_names.wim",
    "wimlib-empty_dacl.wim",
    "wimlib-longpaths.wim",
];

#[test]
fn real_files_read_as_wimlib_reads_them() {
    let Some(folder) = data_folder("wim") else { return };
    for file in READABLE {
        same(&folder, &["info", file]);
        same(&folder, &["info", file, "--header"]);
        same_blobs(&folder, &["info", "--blobs", file]);
        same(&folder, &["info", file, "1"]);
        same(&folder, &["info", file, "--xml"]);
    }
    same(&folder, &["info", "MultiImage.wim", "Delta"]);
    same(&folder, &["info", "MultiImage.wim", "all"]);
    for part in ["Split.swm", "Split2.swm"] {
        same(&folder, &["info", part]);
        same(&folder, &["info", part, "--header"]);
    }
}

#[test]
fn every_property_is_shown_as_wimlib_shows_it() {
    let folder = sample_tree();
    let mut arguments =
        vec!["capture", "src", "t.wim", "Windows 7 PROFESSIONAL", "My desc", "--check", "--quiet"];
    arguments.push("--flags=Professional");
    for property in [
        "DISPLAYNAME=Windows 7 Pro",
        "DISPLAYDESCRIPTION=dd",
        "WINDOWS/ARCH=9",
        "WINDOWS/PRODUCTNAME=prod",
        "WINDOWS/EDITIONID=Professional",
        "WINDOWS/INSTALLATIONTYPE=Client",
        "WINDOWS/HAL=acpiapic",
        "WINDOWS/PRODUCTTYPE=WinNT",
        "WINDOWS/PRODUCTSUITE=Terminal",
        "WINDOWS/LANGUAGES/LANGUAGE[1]=en-US",
        "WINDOWS/LANGUAGES/LANGUAGE[2]=de-DE",
        "WINDOWS/LANGUAGES/DEFAULT=en-US",
        "WINDOWS/SYSTEMROOT=WINDOWS",
        "WINDOWS/VERSION/MAJOR=6",
        "WINDOWS/VERSION/MINOR=1",
        "WINDOWS/VERSION/BUILD=7601",
        "WINDOWS/VERSION/SPBUILD=17514",
    ] {
        arguments.extend(["--image-property", property]);
    }
    let Some(made) = wimlib(folder.path(), &arguments) else { return };
    made.ends_with(0);
    let sparse = ["WINDOWS/LANGUAGES/DEFAULT=de", "WIMBOOT=1", "CREATIONTIME=", "HARDLINKBYTES="];
    let mut arguments = vec!["append", "src", "t.wim", "", "--boot", "--quiet"];
    sparse.iter().for_each(|property| arguments.extend(["--image-property", property]));
    wimlib(folder.path(), &arguments).unwrap().ends_with(0);

    same(folder.path(), &["info", "t.wim"]);
    same(folder.path(), &["info", "t.wim", "2"]);
    same(folder.path(), &["info", "t.wim", "1", "--header"]);
    same_blobs(folder.path(), &["info", "--blobs", "t.wim"]);
    same(folder.path(), &["info", "--header", "t.wim", "--xml"]);
    let by_edition = wim(folder.path(), &["info", "t.wim", "professional"]).ends_with(0);
    assert_eq!(by_edition.text(), wim(folder.path(), &["info", "t.wim", "1"]).text());

    let json = wim(folder.path(), &["info", "t.wim", "--json", "--blobs"]).ends_with(0).json();
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["verb"], "info");
    assert_eq!(json["image_count"], 2);
    assert_eq!(json["images"][0]["windows"]["edition_id"], "Professional");
    assert_eq!(json["images"][0]["windows"]["version"], serde_json::json!([6, 1, 7601, 17514, 0]));
    assert_eq!(json["images"][1]["creation_time"], "1601-01-01T00:00:00.0000000Z");
    assert_eq!(json["resources"][0]["flags"], serde_json::json!(["COMPRESSED", "METADATA"]));

    let xml = folder.path().join("out.xml");
    let ran = wim(folder.path(), &["info", "t.wim", "--extract-xml", "out.xml"]).ends_with(0);
    assert!(ran.stdout.is_empty());
    assert_eq!(std::fs::read(xml).unwrap(), wim(folder.path(), &["info", "t.wim", "--xml"]).stdout);
}

#[test]
fn every_header_flag_has_wimlibs_name() {
    let folder = sample_tree();
    let Some(made) = wimlib(folder.path(), &["capture", "src", "t.wim", "--quiet"]) else { return };
    made.ends_with(0);
    let mut bytes = std::fs::read(folder.path().join("t.wim")).unwrap();
    bytes[0x10..0x14].copy_from_slice(&0x0005_00BFu32.to_le_bytes());
    std::fs::write(folder.path().join("flags.wim"), &bytes).unwrap();
    same(folder.path(), &["info", "flags.wim"]);
    same(folder.path(), &["info", "flags.wim", "--header"]);
    bytes[0x10..0x14].copy_from_slice(&0x0004_00C2u32.to_le_bytes());
    std::fs::write(folder.path().join("written.wim"), &bytes).unwrap();
    let ours = wim(folder.path(), &["info", "written.wim"]).ends_with(0);
    assert!(ours.stderr.contains("warning: written.wim: WIM header, field \"flags\""), "{}", ours.stderr);
}

#[test]
fn lzms_and_solid_files_are_described() {
    let folder = sample_tree();
    let Some(made) = wimlib(folder.path(), &["capture", "src", "t.esd", "--solid", "--quiet"]) else {
        return;
    };
    made.ends_with(0);
    same(folder.path(), &["info", "t.esd"]);
    same(folder.path(), &["info", "t.esd", "--header"]);
}

#[test]
fn options_stand_anywhere_and_may_be_shortened() {
    let Some(folder) = data_folder("wim") else { return };
    let expected = wim(&folder, &["info", "LZX.wim", "--header"]).ends_with(0).text();
    for arguments in [
        ["info", "--header", "LZX.wim"],
        ["info", "LZX.wim", "--head"],
        ["--quiet", "info", "--header=LZX.wim"],
    ] {
        let ran = wim(&folder, &arguments);
        match arguments[0] {
            "--quiet" => assert_eq!(ran.ends_with(2).text(), ""),
            _ => assert_eq!(ran.ends_with(0).text(), expected),
        }
    }
}

#[test]
fn what_is_not_there_ends_with_2_and_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let ran = wim(folder.path(), &["info", "nofile.wim"]).ends_with(2);
    assert!(ran.stderr.starts_with("error: nofile.wim: cannot open"), "{}", ran.stderr);
    std::fs::write(folder.path().join("short.wim"), b"MSWIM\0\0\0").unwrap();
    let ran = wim(folder.path(), &["--json", "info", "short.wim"]).ends_with(2);
    assert_eq!(ran.json()["error"]["kind"], "format");
    assert_eq!(ran.json()["error"]["file"], "short.wim");
    std::fs::write(folder.path().join("text.wim"), b"This is no WIM at all.").unwrap();
    let ran = wim(folder.path(), &["info", "text.wim"]).ends_with(2);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    let ran = wim(folder.path(), &["info", "--json", "--nonsense"]).ends_with(2);
    assert_eq!(ran.json()["error"]["kind"], "invalid_input");
    assert_eq!(wim(folder.path(), &["nonsense"]).ends_with(2).text(), "");
    assert_eq!(wim::<&str>(folder.path(), &[]).ends_with(2).text(), "");
    let Some(data) = data_folder("wim") else { return };
    let ran = wim(&data, &["info", "MultiImage.wim", "Nope"]).ends_with(2);
    assert!(ran.stderr.contains("it has 1 \"Base\", 2 \"Changes\", 3 \"Delta\""), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_changed_is_not_shown_and_written_first() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "t.wim", "One"]).ends_with(0);
    wim(at, &["append", "src", "t.wim", "Two"]).ends_with(0);
    let mut marked = std::fs::read(at.join("t.wim")).unwrap();
    marked[0x10] |= 4;
    std::fs::write(at.join("readonly.wim"), &marked).unwrap();
    for line in [
        ["info", "readonly.wim", "1", "New"],
        ["info", "readonly.wim", "2", "--boot"],
        ["info", "t.wim", "1", "Two"],
        ["info", "t.wim", "1", "--image-property=A[0]=x"],
        ["info", "t.wim", "3", "New"],
    ] {
        let ran = wim(at, &[&line[..], &["--extract-xml=out.xml", "--header"]].concat()).ends_with(2);
        assert_eq!((ran.text().as_str(), at.join("out.xml").exists()), ("", false), "{line:?}");
    }
    wim(at, &["info", "t.wim", "0", "--boot", "--header"]).ends_with(0);
    for line in [&["info", "t.wim", "1", "One"][..], &["info", "t.wim", "0", "--boot"]] {
        same(at, line);
        assert!(wim(at, line).ends_with(0).text().contains("already"), "{line:?}");
    }
    let ran = wim(at, &["info", "t.wim", "2", "New", "--extract-xml=out.xml"]).ends_with(0);
    assert!(ran.text().contains("Setting the NAME property"), "{}", ran.text());
    let xml = std::fs::read(at.join("out.xml")).unwrap();
    assert!(xml.windows(6).any(|bytes| bytes == b"T\0w\0o\0"), "what it was");
}

#[test]
fn the_integrity_table_is_checked_when_asked() {
    let Some(folder) = data_folder("wim") else { return };
    assert_eq!(wim(&folder, &["info", "MultiImage.wim", "--check"]).ends_with(0).stderr, "");
    let ran = wim(&folder, &["info", "VerifyFail.wim", "--check"]).ends_with(2);
    assert!(ran.stderr.contains("the integrity table disagrees with 1 of 1 slices"), "{}", ran.stderr);
    let ran = wim(&folder, &["info", "LZX.wim", "--check"]).ends_with(0);
    assert!(ran.stderr.contains("warning: LZX.wim: it has no integrity table"), "{}", ran.stderr);
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_success() {
    let Some(folder) = data_folder("wim") else { return };
    let mut child =
        crate::command(env!("CARGO_BIN_EXE_wim"), &folder, &["info", "MultiImage.wim", "--blobs"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stderr, b"");
}
