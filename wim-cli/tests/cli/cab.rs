//! `wim cab`: round trips, what is refused, and what is damaged.

use std::fs;
use std::path::Path;

use crate::{sample_tree, wim};

/// Files below a folder by their paths.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_symlink() {
                continue;
            } else if path.is_dir() {
                folders.push((path, format!("{name}/")));
            } else {
                found.push((name, fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_tree_comes_back_from_every_method() {
    let folder = sample_tree();
    let at = folder.path();
    let expected = files(&at.join("src"));
    for (number, options) in [
        &["--compress=none"][..],
        &["--compress=mszip", "--folder-size=64K"],
        &["--compress=lzx", "--folder-size=1K", "--level=fast"],
        &["--window=15"],
    ]
    .into_iter()
    .enumerate()
    {
        let (cab, again, out) = (format!("{number}.cab"), format!("{number}b.cab"), format!("out{number}"));
        let line = |cab: &str, threads: &str| {
            let line = ["cab", "create", cab, "src", "--threads", threads];
            line.iter().copied().chain(options.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
        };
        wim(at, &line(&cab, "1")).ends_with(0);
        wim(at, &line(&again, "4")).ends_with(0);
        assert!(fs::read(at.join(&cab)).unwrap() == fs::read(at.join(&again)).unwrap(), "{options:?}");
        let tested = wim(at, &["cab", "test", &cab, "--json"]).ends_with(0).json();
        assert_eq!((&tested["damaged"], &tested["files"]), (&false.into(), &expected.len().into()));
        wim(at, &["cab", "extract", &cab, "--dest-dir", &out]).ends_with(0);
        assert!(files(&at.join(&out)) == expected, "{options:?}");
        let times = |name: &str| fs::metadata(at.join(name)).unwrap().modified().unwrap();
        let drift = times("src/a.txt").duration_since(times(&format!("{out}/a.txt"))).unwrap();
        assert!(drift.as_secs_f64() < 2.0, "{drift:?}");
    }
    let listed = wim(at, &["cab", "list", "1.cab", "--json"]).ends_with(0).json();
    assert_eq!(listed["cabinets"][0]["folders"][0]["method"], "MSZIP");
    assert_eq!(listed["cabinets"][0]["members"].as_array().unwrap().len(), expected.len());
    let text = wim(at, &["cab", "list", "3.cab"]).ends_with(0).text();
    assert!(text.contains("(LZX:15)") && text.contains("dir\\sub\\noise.bin"), "{text}");
    wim(at, &["cab", "create", "1.cab", "src"]).ends_with(2);
}

#[test]
fn names_and_existing_files_are_chosen() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["cab", "create", "t.cab", "src", "--compress=mszip"]).ends_with(0);
    let report = wim(at, &["cab", "extract", "t.cab", "A.TXT", "dir/*.bin", "--dest-dir=out", "--json"]);
    let report = report.ends_with(0).json();
    let found: Vec<String> = files(&at.join("out")).into_iter().map(|file| file.0).collect();
    assert_eq!(report["files"], found.len());
    assert!(
        found.contains(&"a.txt".to_owned()) && found.contains(&"dir/sub/noise.bin".to_owned()),
        "{found:?}"
    );
    wim(at, &["cab", "extract", "t.cab", "nope", "--dest-dir=none"]).ends_with(1);
    assert!(!at.join("none").exists());

    fs::write(at.join("out/a.txt"), "mine").unwrap();
    wim(at, &["cab", "extract", "t.cab", "--dest-dir=out"]).ends_with(2);
    let kept =
        wim(at, &["cab", "extract", "t.cab", "--dest-dir=out", "--keep", "--json"]).ends_with(0).json();
    assert_eq!(kept["kept"], found.len());
    assert_eq!(fs::read(at.join("out/a.txt")).unwrap(), b"mine");
    wim(at, &["cab", "extract", "t.cab", "--dest-dir=out", "--overwrite"]).ends_with(0);
    assert!(files(&at.join("out")) == files(&at.join("src")));
}

#[test]
fn dates_obey_source_date_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("a"), "x").unwrap();
    let make = |name: &str| {
        let mut command = crate::command(env!("CARGO_BIN_EXE_wim"), at, &["cab", "create", name, "a"]);
        assert!(command.env("SOURCE_DATE_EPOCH", "1000000000").args(["--quiet"]).status().unwrap().success());
        fs::read(at.join(name)).unwrap()
    };
    let first = make("1.cab");
    fs::File::open(at.join("a")).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    assert!(make("2.cab") == first);
    let listed = wim(at, &["cab", "list", "1.cab"]).text();
    assert!(listed.contains("2001-09-09 01:46:40"), "{listed}");
}

/// A stored cabinet with one member of this name and the bytes "hello".
fn cabinet_of(name: &[u8], attributes: u16) -> Vec<u8> {
    let mut bytes = b"MSCF".to_vec();
    let data = 36 + 8 + 16 + name.len() as u32 + 1;
    for field in [0, data + 8 + 5, 0, 44, 0, 0x0001_0103, 1, 0, data, 0x0000_0001, 5, 0] {
        bytes.extend(u32::to_le_bytes(field));
    }
    // One folder and one member each take two bytes above.
    bytes[24..36].copy_from_slice(&[3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.truncate(36);
    bytes.extend(data.to_le_bytes());
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(5_u32.to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend([0x21, 0, 0, 0]);
    bytes.extend(attributes.to_le_bytes());
    bytes.extend(name);
    bytes.push(0);
    bytes.extend([0, 0, 0, 0, 5, 0, 5, 0]);
    bytes.extend(b"hello");
    bytes
}

#[test]
fn names_that_lead_out_are_refused_and_links_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("out")).unwrap();
    for (number, name) in [
        &b"..\\evil"[..],
        b"C:\\evil",
        b"\\evil",
        b"/evil",
        b"a\\..\\..\\evil",
        b"NUL",
        b"evil:stream",
        b"a\\\\evil",
        b"e\x1Bvil",
    ]
    .iter()
    .enumerate()
    {
        let cab = format!("{number}.cab");
        fs::write(at.join(&cab), cabinet_of(name, 0x20)).unwrap();
        wim(at, &["cab", "test", &cab]).ends_with(0);
        wim(at, &["cab", "extract", &cab, "--dest-dir", "out"]).ends_with(2);
        assert_eq!(fs::read_dir(at.join("out")).unwrap().count(), 0, "{name:?}");
        assert!(!at.join("evil").exists());
    }
    fs::write(at.join("good.cab"), cabinet_of(b"dir\\\xE4.txt", 0x20)).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("..", at.join("out/dir")).unwrap();
        wim(at, &["cab", "extract", "good.cab", "--dest-dir", "out"]).ends_with(2);
        fs::remove_file(at.join("out/dir")).unwrap();
        fs::create_dir(at.join("out/dir")).unwrap();
        std::os::unix::fs::symlink("../../victim", at.join("out/dir/ä.txt")).unwrap();
        wim(at, &["cab", "extract", "good.cab", "--dest-dir", "out"]).ends_with(2);
        wim(at, &["cab", "extract", "good.cab", "--dest-dir", "out", "--overwrite"]).ends_with(0);
        assert!(!at.join("victim").exists() && !at.join("out/dir/ä.txt").is_symlink());
    }
    let listed = wim(at, &["cab", "list", "good.cab", "--code-page=1251", "--json"]).ends_with(0).json();
    assert_eq!(listed["cabinets"][0]["members"][0]["name"], "dir\\д.txt");
    wim(at, &["cab", "list", "good.cab", "--code-page=7"]).ends_with(2);
}

#[test]
fn damage_is_exit_1_of_test_and_2_of_extract() {
    let folder = sample_tree();
    let at = folder.path();
    wim(at, &["cab", "create", "t.cab", "src", "--compress=mszip"]).ends_with(0);
    let good = fs::read(at.join("t.cab")).unwrap();
    let mut flipped = good.clone();
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    fs::write(at.join("flipped.cab"), flipped).unwrap();
    fs::write(at.join("cut.cab"), &good[..good.len() - 5]).unwrap();
    for name in ["flipped.cab", "cut.cab"] {
        let tested = wim(at, &["cab", "test", name, "--json"]).ends_with(1).json();
        assert_eq!(tested["damaged"], true);
        assert_eq!(tested["error"]["place"]["structure"], "CFDATA");
        wim(at, &["cab", "extract", name, "--dest-dir=out"]).ends_with(2);
    }
    // A folder that claims 65,535 blocks, 2 GiB: refused for what it would come to, and on demand for what it is.
    let mut claims = good.clone();
    claims[40..42].copy_from_slice(&[0xFF, 0xFF]);
    fs::write(at.join("claims.cab"), claims).unwrap();
    let ran = wim(at, &["cab", "test", "claims.cab"]).ends_with(2);
    assert!(
        ran.stderr.contains("more than the 268435456") && ran.stderr.contains("--any-size"),
        "{}",
        ran.stderr
    );
    wim(at, &["cab", "test", "claims.cab", "--any-size"]).ends_with(1);
    wim(at, &["cab", "extract", "claims.cab", "--dest-dir=claims"]).ends_with(2);
    assert!(!at.join("claims").exists());

    wim(at, &["cab", "test", "src/a.txt"]).ends_with(2);
    wim(at, &["cab", "test", "missing.cab"]).ends_with(2);

    // Behind a program it is found all the same, and behind what only begins like a cabinet.
    for start in [&b"MZ self-extracting"[..], b"MSCF, or so it says"] {
        let program = [start, &good].concat();
        fs::write(at.join("setup.exe"), program).unwrap();
        wim(at, &["cab", "test", "setup.exe"]).ends_with(0);
    }
}
