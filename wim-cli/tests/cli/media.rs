//! `wim media`, and the other verbs on WIM files that lie on discs.

use std::fs;
use std::path::Path;

use crate::disc_writer::{Iso, IsoNames, Udf, bridge, files};
use crate::{noise, sample_tree, wim, wimlib};

/// Files of a disc with a WIM at `sources/<name>`, and what else installation media have.
pub(crate) fn media_files(wims: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut list = files(&[
        ("setup.exe", b"MZ"),
        ("boot/etfsboot.com", &[0xEB; 4096]),
        ("sources/ei.cfg", b"[EditionID]\r\nProfessional\r\n[Channel]\r\nRetail\r\n[VL]\r\n0\r\n"),
        ("sources/PID.txt", b"[PID]\r\nValue=XXXXX-XXXXX\r\n"),
        ("sources/empty/", b""),
    ]);
    list.extend(wims.iter().map(|(name, bytes)| (format!("sources/{name}"), bytes.clone())));
    list
}

/// A folder with `plain.wim` of two images, and `disc.iso` with the same as its install image.
fn disc_folder() -> tempfile::TempDir {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["capture", "src", "plain.wim", "Windows 7 PROFESSIONAL", "--compress=LZX"]).ends_with(0);
    wim(at, &["append", "src/dir", "plain.wim", "Windows 7 ULTIMATE"]).ends_with(0);
    let bytes = fs::read(at.join("plain.wim")).unwrap();
    let list = media_files(&[("install.wim", bytes.clone()), ("boot.wim", bytes)]);
    fs::write(at.join("disc.iso"), bridge(&list)).unwrap();
    folder
}

/// Standard output without the paths that differ by intent.
fn answer(folder: &Path, words: &[&str]) -> String {
    let text = wim(folder, words).ends_with(0).text();
    text.replace("disc.iso:/sources/install.wim", "X").replace("plain.wim", "X").replace("disc.iso", "X")
}

#[test]
fn reading_verbs_find_the_install_image_of_a_disc() {
    let folder = disc_folder();
    let at = folder.path();
    for words in [
        &["info", "X"][..],
        &["info", "X", "2", "--json"],
        &["dir", "X", "1", "--detailed"],
        &["extract", "X", "1", "/dir/b.txt", "--to-stdout"],
        &["info", "X", "--blobs"],
    ] {
        let with = |name: &'static str| -> Vec<&str> {
            words.iter().map(|word| if *word == "X" { name } else { *word }).collect()
        };
        assert_eq!(answer(at, &with("disc.iso")), answer(at, &with("plain.wim")), "{words:?}");
        assert_eq!(
            answer(at, &with("disc.iso:/Sources/install.wim")).replace("X:/Sources/install.wim", "X"),
            answer(at, &with("plain.wim")),
            "{words:?}"
        );
    }
    // It says which image it took.
    let json = wim(at, &["info", "disc.iso", "--json"]).ends_with(0).json();
    assert_eq!(json["path"], "disc.iso:/sources/install.wim");
    let json = wim(at, &["info", "disc.iso:\\sources\\boot.wim", "--json"]).ends_with(0).json();
    assert_eq!(json["path"], "disc.iso:/sources/boot.wim");
    wim(at, &["verify", "disc.iso"]).ends_with(0);
    wim(at, &["export", "disc.iso", "Windows 7 ULTIMATE", "one.wim"]).ends_with(0);
    wim(at, &["export", "plain.wim", "Windows 7 ULTIMATE", "two.wim"]).ends_with(0);
    assert_eq!(fs::read(at.join("one.wim")).unwrap(), fs::read(at.join("two.wim")).unwrap());
    wim(at, &["apply", "disc.iso", "1", "applied"]).ends_with(0);
    assert_eq!(
        fs::read(at.join("applied/dir/seq.txt")).unwrap(),
        fs::read(at.join("src/dir/seq.txt")).unwrap()
    );
    if let Some(ran) = wimlib(at, &["verify", "one.wim"]) {
        ran.ends_with(0);
    }
    // A file of the host by that very name comes first, where names may have a colon.
    #[cfg(unix)]
    {
        fs::create_dir_all(at.join("disc.iso:/sources")).unwrap();
        fs::copy(at.join("one.wim"), at.join("disc.iso:/sources/install.wim")).unwrap();
        let json = wim(at, &["info", "disc.iso:/sources/install.wim", "--json"]).ends_with(0).json();
        assert_eq!(json["image_count"], 1);
    }
}

#[test]
fn split_sets_on_a_disc_are_joined() {
    let folder = sample_tree();
    let at = folder.path();
    for number in 0..6 {
        fs::write(at.join(format!("src/noise{number}")), &noise(400_000 + number)[number..]).unwrap();
    }
    wim(at, &["capture", "src", "whole.wim", "x"]).ends_with(0);
    wim(at, &["split", "whole.wim", "install.swm", "1"]).ends_with(0);
    let part = |name: &str| (name.to_owned(), fs::read(at.join(name)).unwrap());
    let parts = [part("install.swm"), part("install2.swm"), part("install3.swm")];
    let named: Vec<(&str, Vec<u8>)> =
        parts.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    fs::write(at.join("set.iso"), Iso::JOLIET.disc(&media_files(&named))).unwrap();
    wim(at, &["apply", "set.iso", "1", "out"]).ends_with(0);
    for number in 0..6 {
        let name = format!("noise{number}");
        assert_eq!(
            fs::read(at.join("out").join(&name)).unwrap(),
            fs::read(at.join("src").join(&name)).unwrap()
        );
    }
    wim(at, &["verify", "set.iso"]).ends_with(0);
    // A part that is missing is named with the disc.
    fs::write(at.join("torn.iso"), Udf::PLAIN.disc(&media_files(&named[..2]))).unwrap();
    wim(at, &["dir", "torn.iso", "1"]).ends_with(0);
    let ran = wim(at, &["apply", "torn.iso", "1", "torn"]).ends_with(2);
    assert!(ran.stderr.contains("torn.iso:/sources/install3.swm"), "{}", ran.stderr);
}

#[test]
fn discs_are_never_changed() {
    let folder = disc_folder();
    let at = folder.path();
    let before = fs::read(at.join("disc.iso")).unwrap();
    for path in ["disc.iso", "disc.iso:/sources/install.wim"] {
        for words in [
            &["delete", path, "1"][..],
            &["optimize", path],
            &["info", path, "1", "new name"],
            &["append", "src", path, "x"],
            &["export", "plain.wim", "1", path, "y"],
            &["update", path, "1", "--command=delete /a.txt"],
        ] {
            let ran = wim(at, words).ends_with(2);
            assert!(ran.stderr.contains("cannot be changed"), "{words:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("wim export"), "{words:?}: {}", ran.stderr);
        }
    }
    assert_eq!(fs::read(at.join("disc.iso")).unwrap(), before);
}

#[test]
fn discs_without_an_install_image_say_what_they_have() {
    let folder = disc_folder();
    let at = folder.path();
    let bytes = fs::read(at.join("plain.wim")).unwrap();
    fs::write(at.join("pe.iso"), Udf::PLAIN.disc(&media_files(&[("boot.wim", bytes.clone())]))).unwrap();
    let ran = wim(at, &["info", "pe.iso"]).ends_with(2);
    assert!(ran.stderr.contains("pe.iso:/sources/boot.wim"), "{}", ran.stderr);
    let both = files(&[("x86/sources/install.esd", &bytes), ("x64/sources/install.esd", &bytes)]);
    fs::write(at.join("both.iso"), Udf::PLAIN.disc(&both)).unwrap();
    let ran = wim(at, &["info", "both.iso"]).ends_with(2);
    assert!(ran.stderr.contains("both.iso:/x64/sources/install.esd"), "{}", ran.stderr);
    wim(at, &["info", "both.iso:/x86/sources/install.esd"]).ends_with(0);
    let ran = wim(at, &["info", "disc.iso:/sources/missing.wim"]).ends_with(2);
    assert!(ran.stderr.contains("wim media ls disc.iso"), "{}", ran.stderr);
}

#[test]
fn info_tells_what_the_disc_is() {
    let folder = disc_folder();
    let at = folder.path();
    let json = wim(at, &["media", "info", "disc.iso", "--hash", "--json"]).ends_with(0).json();
    assert_eq!(json["verb"], "media info");
    assert_eq!(json["file_systems"], serde_json::json!(["udf", "iso9660"]));
    assert_eq!(json["udf_revision"], "1.02");
    assert_eq!(json["label"], "TEST DISC");
    assert_eq!(json["boot"]["entries"][1]["platform"], "EFI");
    assert_eq!(json["install_images"][0]["path"], "/sources/install.wim");
    assert_eq!(json["install_images"][0]["images"][1]["name"], "Windows 7 ULTIMATE");
    assert_eq!(json["install_images"][0]["settings"]["edition"]["edition_id"], "Professional");
    assert_eq!(json["install_images"][0]["settings"]["has_product_key"], true);
    assert_eq!(json["sha1"].as_str().map(str::len), Some(40));
    assert_eq!(json["known"], serde_json::Value::Null);
    let text = wim(at, &["media", "info", "disc.iso"]).ends_with(0).text();
    for wanted in [
        "UDF 1.02, ISO 9660",
        "TEST DISC",
        "BIOS",
        "EFI",
        "Windows 7 PROFESSIONAL",
        "ei.cfg: edition Professional",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let ran = wim(at, &["media", "info", "plain.wim"]).ends_with(2);
    assert!(ran.stderr.contains("no disc image"), "{}", ran.stderr);
}

#[test]
fn ls_and_cat_find_by_path_and_pattern() {
    let folder = disc_folder();
    let at = folder.path();
    let lines = |words: &[&str]| -> Vec<String> {
        wim(at, words).ends_with(0).text().lines().map(str::to_owned).collect()
    };
    assert_eq!(
        lines(&["media", "ls", "disc.iso", "/BOOT", "sources\\*.wim"]),
        ["/boot", "/boot/etfsboot.com", "/sources/boot.wim", "/sources/install.wim"]
    );
    assert_eq!(lines(&["media", "ls", "disc.iso:/sources", "--glob=*.cfg"]), ["/sources/ei.cfg"]);
    assert_eq!(
        lines(&["media", "ls", "disc.iso", "--detailed", "setup.exe"]),
        ["           2  2009-07-14 01:02:03  /setup.exe"]
    );
    let json = lines(&["media", "ls", "disc.iso", "--json", "setup.exe"]);
    assert_eq!(json.len(), 2);
    let entry: serde_json::Value = serde_json::from_str(&json[1]).unwrap();
    assert_eq!(
        (&entry["path"], &entry["kind"], &entry["size"]),
        (&"/setup.exe".into(), &"file".into(), &2.into())
    );
    assert_eq!(wim(at, &["media", "cat", "disc.iso", "/Setup.EXE"]).ends_with(0).stdout, b"MZ");
    assert_eq!(wim(at, &["media", "cat", "disc.iso:/setup.exe"]).ends_with(0).stdout, b"MZ");
    for words in [
        &["media", "ls", "disc.iso", "/nope"][..],
        &["media", "ls", "disc.iso", "--glob=*.nope"],
        &["media", "cat", "disc.iso", "/nope"],
    ] {
        wim(at, words).ends_with(1);
    }
    wim(at, &["media", "cat", "disc.iso", "/sources"]).ends_with(2);
    wim(at, &["media", "cat", "disc.iso"]).ends_with(2);
}

#[test]
fn extract_writes_whole_files_below_its_target() {
    let folder = disc_folder();
    let at = folder.path();
    let ran = wim(at, &["media", "extract", "disc.iso", "--dest-dir=out", "--json"]).ends_with(0).json();
    assert_eq!(ran["files"], 6);
    for (path, bytes) in media_files(&[("install.wim", fs::read(at.join("plain.wim")).unwrap())]) {
        match path.strip_suffix('/') {
            Some(empty) => assert!(at.join("out").join(empty).is_dir()),
            None => assert_eq!(fs::read(at.join("out").join(&path)).unwrap(), bytes, "{path}"),
        }
    }
    let modified = fs::metadata(at.join("out/setup.exe")).unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_247_533_323);
    // Nothing is replaced unasked, and nothing is written then.
    fs::write(at.join("out/setup.exe"), "mine").unwrap();
    fs::remove_file(at.join("out/boot/etfsboot.com")).unwrap();
    wim(at, &["media", "extract", "disc.iso", "--dest-dir=out"]).ends_with(2);
    assert!(!at.join("out/boot/etfsboot.com").exists());
    wim(at, &["media", "extract", "disc.iso", "--dest-dir=out", "--keep"]).ends_with(0);
    assert_eq!(fs::read(at.join("out/setup.exe")).unwrap(), b"mine");
    assert!(at.join("out/boot/etfsboot.com").exists());
    wim(at, &["media", "extract", "disc.iso", "--dest-dir=out", "--overwrite"]).ends_with(0);
    assert_eq!(fs::read(at.join("out/setup.exe")).unwrap(), b"MZ");
    wim(at, &["media", "extract", "disc.iso", "/sources/nope", "--dest-dir=other"]).ends_with(1);
    assert!(!at.join("other").exists());
    // A link that lies in the way leads nowhere.
    #[cfg(unix)]
    {
        fs::create_dir_all(at.join("trap")).unwrap();
        fs::create_dir_all(at.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(at.join("elsewhere"), at.join("trap/sources")).unwrap();
        let ran = wim(at, &["media", "extract", "disc.iso", "--dest-dir=trap"]).ends_with(2);
        assert!(ran.stderr.contains("in the way"), "{}", ran.stderr);
        assert_eq!(fs::read_dir(at.join("elsewhere")).unwrap().count(), 0);
    }
}

#[test]
fn hostile_and_plain_discs_answer_alike() {
    let folder = disc_folder();
    let at = folder.path();
    let list = files(&[("../evil", b"x"), ("good", b"y")]);
    fs::write(at.join("evil.iso"), Udf::PLAIN.disc(&list)).unwrap();
    let ran = wim(at, &["media", "extract", "evil.iso", "--dest-dir=out"]).ends_with(0);
    assert!(ran.stderr.contains("sector") && ran.stderr.contains("UDF file identifier"), "{}", ran.stderr);
    assert!(ran.stderr.contains("left out"), "{}", ran.stderr);
    assert!(!at.join("evil").exists() && at.join("out/good").exists());
    let bytes = fs::read(at.join("plain.wim")).unwrap();
    let names = [("SOURCES/INSTALL.WIM", bytes.as_slice())];
    fs::write(at.join("old.iso"), Iso { names: IsoNames::Plain, ..Iso::JOLIET }.disc(&files(&names)))
        .unwrap();
    wim(at, &["verify", "old.iso"]).ends_with(0);
}
