//! Delta files: made, changed, and folded into the files that they need.

use std::path::Path;

use crate::{noise, wim, wimlib};

/// `base.wim` has `a`; `delta.wim`, made from it, has `a` and `b` and lacks the data of `a`.
fn base_and_delta() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::create_dir(at.join("src")).unwrap();
    std::fs::write(at.join("src/a"), noise(40_000)).unwrap();
    wim(at, &["capture", "src", "base.wim", "One"]).ends_with(0);
    std::fs::write(at.join("src/b"), noise(9_000)).unwrap();
    wim(at, &["capture", "src", "delta.wim", "Two", "--delta-from=base.wim"]).ends_with(0);
    assert!(bytes(at, "delta.wim") < 30_000);
    folder
}

fn bytes(folder: &Path, file: &str) -> u64 {
    std::fs::metadata(folder.join(file)).unwrap().len()
}

#[test]
fn an_append_with_a_base_keeps_what_the_file_has() {
    let folder = base_and_delta();
    let at = folder.path();
    for options in [&[][..], &["--rebuild"]] {
        wim(at, &["capture", "src", "full.wim", "One"]).ends_with(0);
        std::fs::write(at.join("src/c"), noise(5_000)).unwrap();
        let line = ["append", "src", "full.wim", "Three", "--delta-from=base.wim"];
        wim(at, &[&line[..], options].concat()).ends_with(0);
        // Both images have all they need but for what only the base has, which is nothing.
        wim(at, &["verify", "full.wim"]).ends_with(0);
        wim(at, &["apply", "full.wim", "1", "out"]).ends_with(0);
        assert_eq!(std::fs::read(at.join("out/a")).unwrap(), noise(40_000));
        for made in ["out", "full.wim"] {
            let made = at.join(made);
            if made.is_dir() {
                std::fs::remove_dir_all(made).unwrap();
            } else {
                std::fs::remove_file(made).unwrap();
            }
        }
    }
    // What only the base has is left to it all the same.
    std::fs::create_dir(at.join("other")).unwrap();
    std::fs::write(at.join("other/c"), "nothing of the base").unwrap();
    wim(at, &["capture", "other", "small.wim", "One"]).ends_with(0);
    wim(at, &["append", "src", "small.wim", "Two", "--delta-from=base.wim"]).ends_with(0);
    assert!(bytes(at, "small.wim") < 30_000);
    wim(at, &["verify", "small.wim", "--ref=base.wim"]).ends_with(0);
}

#[test]
fn a_delta_of_itself_is_refused_and_an_append_to_itself_is_no_delta() {
    let folder = base_and_delta();
    let at = folder.path();
    let before = std::fs::read(at.join("base.wim")).unwrap();
    std::fs::hard_link(at.join("base.wim"), at.join("same.wim")).unwrap();
    for base in ["base.wim", "./base.wim", "same.wim"] {
        let ran = wim(at, &["capture", "src", "base.wim", &format!("--delta-from={base}")]).ends_with(2);
        assert!(ran.stderr.contains("cannot replace"), "{}", ran.stderr);
        assert_eq!(std::fs::read(at.join("base.wim")).unwrap(), before);
    }
    wim(at, &["append", "src", "base.wim", "Two", "--delta-from=same.wim"]).ends_with(0);
    wim(at, &["verify", "base.wim"]).ends_with(0);
}

#[test]
fn a_delta_is_folded_into_its_base() {
    let folder = base_and_delta();
    let at = folder.path();
    wim(at, &["export", "delta.wim", "1", "base.wim", "--ref=b*.wim"]).ends_with(0);
    wim(at, &["verify", "base.wim"]).ends_with(0);
    wim(at, &["extract", "base.wim", "2", "a"]).ends_with(0);
    assert_eq!(std::fs::read(at.join("a")).unwrap(), noise(40_000));
    // Into another file it does not come without its base.
    wim(at, &["export", "delta.wim", "1", "new.wim"]).ends_with(2);
    assert!(!at.join("new.wim").exists());
}

#[test]
fn delta_files_are_changed_without_their_bases() {
    let folder = base_and_delta();
    let at = folder.path();
    std::fs::write(at.join("more"), "more").unwrap();
    let change = |line: &[&str]| {
        wim(at, line).ends_with(0);
        wim(at, &["verify", "delta.wim", "--ref=base.wim"]).ends_with(0);
        if let Some(theirs) = wimlib(at, &["verify", "delta.wim", "--ref=base.wim"]) {
            theirs.ends_with(0);
        }
        assert!(bytes(at, "delta.wim") < 40_000, "{line:?}");
    };
    change(&["update", "delta.wim", "1", "--command=add more /more"]);
    change(&["update", "delta.wim", "1", "--command=delete /b", "--rebuild"]);
    std::fs::create_dir(at.join("other")).unwrap();
    std::fs::write(at.join("other/c"), "c").unwrap();
    change(&["append", "other", "delta.wim", "Three"]);
    change(&["optimize", "delta.wim"]);
    change(&["info", "delta.wim", "1", "Renamed"]);
    // A blob that an image needs and another image leaves to the base is stored, and both count.
    std::fs::write(at.join("other/a"), noise(40_000)).unwrap();
    wim(at, &["append", "other", "delta.wim", "Four"]).ends_with(0);
    wim(at, &["verify", "delta.wim"]).ends_with(0);
    wim(at, &["delete", "delta.wim", "3", "--soft"]).ends_with(0);
    wim(at, &["delete", "delta.wim", "2"]).ends_with(0);
    wim(at, &["extract", "delta.wim", "1", "more", "a", "--ref=base.wim"]).ends_with(0);
    assert_eq!(std::fs::read(at.join("a")).unwrap(), noise(40_000));
}

#[test]
fn a_change_without_the_base_counts_what_is_there_as_the_base_would() {
    let folder = base_and_delta();
    let at = folder.path();
    let image = || wim(at, &["info", "delta.wim", "--json"]).json()["images"][0].clone();
    let counts = || {
        let image = image();
        ["file_count", "total_bytes", "hard_link_bytes"].map(|count| image[count].as_u64().unwrap())
    };
    assert_eq!(counts(), [2, 49_000, 0]);
    std::fs::create_dir(at.join("more")).unwrap();
    std::fs::write(at.join("more/m"), "more").unwrap();
    std::fs::hard_link(at.join("more/m"), at.join("more/n")).unwrap();
    wim(at, &["update", "delta.wim", "1", "--command=add more /more"]).ends_with(0);
    assert_eq!(counts(), [4, 49_008, 4]);
    wim(at, &["update", "delta.wim", "1", "--command=delete /b"]).ends_with(0);
    assert_eq!(counts(), [3, 40_008, 4]);
}

#[test]
fn an_earlier_image_is_asked_by_the_place_in_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    for (path, text) in [("A/f", "hello1"), ("B/f", "world2")] {
        std::fs::create_dir(at.join(path).parent().unwrap()).unwrap();
        std::fs::write(at.join(path), text).unwrap();
        std::fs::File::options().append(true).open(at.join(path)).unwrap().set_modified(time).unwrap();
    }
    wim(at, &["capture", "A", "x.wim", "one"]).ends_with(0);
    std::fs::write(at.join("list"), "B /sub\nA/f /g\n").unwrap();
    wim(at, &["append", "list", "x.wim", "two", "--source-list", "--update-of=x.wim:1"]).ends_with(0);
    let read = |image: &str, path: &str| wim(at, &["extract", "x.wim", image, path, "--to-stdout"]).text();
    assert_eq!((read("2", "sub/f").as_str(), read("2", "g").as_str()), ("world2", "hello1"));
    // And what is unchanged below its place is not read: the other text of the same size and time is not seen.
    std::fs::write(at.join("B/f"), "OTHER2").unwrap();
    std::fs::File::options().append(true).open(at.join("B/f")).unwrap().set_modified(time).unwrap();
    wim(at, &["append", "list", "x.wim", "three", "--source-list", "--update-of=x.wim:2"]).ends_with(0);
    assert_eq!(read("3", "sub/f"), "world2");
}

#[test]
fn a_file_that_another_program_changes_is_not_replaced() {
    let folder = base_and_delta();
    let at = folder.path();
    wim(at, &["capture", "src", "full.wim"]).ends_with(0);
    wim(at, &["split", "full.wim", "p.swm", "--parts=1"]).ends_with(0);
    std::fs::write(at.join("o.wim"), "locked").unwrap();
    std::fs::write(at.join("o2.wim"), "locked").unwrap();
    for (locked, line) in [
        ("o.wim", &["capture", "src", "o.wim"][..]),
        ("o.wim", &["join", "o.wim", "p.swm"]),
        ("o.wim", &["split", "full.wim", "o.wim", "--parts=1"]),
        ("o2.wim", &["split", "full.wim", "o.wim", "0.01"]),
        ("o.wim", &["cab", "create", "o.wim", "src/a", "--force"]),
    ] {
        let file = std::fs::File::options().read(true).write(true).open(at.join(locked)).unwrap();
        file.lock().unwrap();
        let ran = wim(at, line).ends_with(2);
        assert!(ran.stderr.contains("another program"), "{line:?}: {}", ran.stderr);
        assert_eq!(std::fs::read_to_string(at.join("o.wim")).unwrap(), "locked", "{line:?}");
        assert_eq!(std::fs::read_to_string(at.join("o2.wim")).unwrap(), "locked", "{line:?}");
        drop(file);
    }
    wim(at, &["join", "o.wim", "p.swm"]).ends_with(0);
    wim(at, &["capture", "src", "o.wim"]).ends_with(0);
    wim(at, &["verify", "o.wim"]).ends_with(0);
}

#[test]
fn sizes_that_are_not_known_are_not_told_as_none() {
    let folder = base_and_delta();
    let at = folder.path();
    let ran = wim(at, &["dir", "delta.wim", "--du"]).ends_with(0);
    assert!(ran.stderr.contains("the data of 1 of the image's"), "{}", ran.stderr);
    let ran = wim(at, &["dir", "delta.wim", "--du", "--ref=base.wim"]).ends_with(0);
    assert!(!ran.stderr.contains("is not here"), "{}", ran.stderr);
    let line = ["dir", "delta.wim", "1", "--detailed", "--path=/a"];
    let ours = wim(at, &line).ends_with(0).text();
    assert!(ours.contains("Hash ") && !ours.contains("Uncompressed size"), "{ours}");
    if let Some(theirs) = wimlib(at, &line) {
        let stream = |text: &str| text[text.find("Unnamed").unwrap()..].to_owned();
        assert_eq!(stream(&ours), stream(&theirs.ends_with(0).text()));
    }
}

/// `install.wim` of the demo with its driver, and `delta.wim`, made from it: its Professional with a file more.
fn windows_and_delta() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    wim(at, &["demo", "--media", "--dir", ".", "--arch", "amd64"]).ends_with(0);
    std::fs::rename(at.join("medium/sources/install.wim"), at.join("install.wim")).unwrap();
    wim(at, &["apply", "install.wim", "Professional", "disk", "--metadata"]).ends_with(0);
    std::fs::write(at.join("disk/more"), "more").unwrap();
    let capture = ["capture", "disk", "delta.wim", "Professional", "--metadata", "--delta-from=install.wim"];
    wim(at, &capture).ends_with(0);
    folder
}

fn total_bytes(folder: &Path, file: &str) -> u64 {
    wim(folder, &["info", file, "--json"]).json()["images"][0]["total_bytes"].as_u64().unwrap()
}

/// That `file` is a delta of `install.wim`, and with it as large as the XML of the same without a base says.
fn assert_stays_delta(folder: &Path, file: &str, full: &str) {
    wim(folder, &["verify", file]).ends_with(1);
    wim(folder, &["verify", file, "--ref=install.wim"]).ends_with(0);
    assert!(bytes(folder, file) < bytes(folder, "install.wim"), "{file}");
    assert_eq!(total_bytes(folder, file), total_bytes(folder, full), "{file}");
    let diff = ["diff", file, full, "--ref=install.wim", "--ignore=times"];
    wim(folder, &diff).ends_with(0);
}

#[test]
fn drivers_go_into_deltas_which_stay_deltas() {
    let folder = windows_and_delta();
    let at = folder.path();
    wim(at, &["export", "delta.wim", "1", "full.wim", "--ref=install.wim"]).ends_with(0);
    let add =
        |more: &[&str]| wim(at, &[&["driver", "add", "-d", "driver", "--force-unsigned"], more].concat());
    add(&["full.wim"]).ends_with(0);
    let ran = add(&["delta.wim"]).ends_with(2);
    assert!(ran.stderr.contains("--ref"), "{}", ran.stderr);
    let before = std::fs::read(at.join("delta.wim")).unwrap();
    add(&["delta.wim", "--ref=inst*.wim", "--dry-run"]).ends_with(0);
    add(&["delta.wim", "--ref=install.wim", "-o", "out.wim", "--verify=full"]).ends_with(0);
    assert!(std::fs::read(at.join("delta.wim")).unwrap() == before);
    assert_stays_delta(at, "out.wim", "full.wim");
    let added = add(&["delta.wim", "--ref=install.wim", "--json"]).ends_with(0).json();
    assert!(added["files"][0]["images"][0]["recovery"]["changed"] == true, "{added}");
    assert!(std::fs::read(at.join("delta.wim")).unwrap() == std::fs::read(at.join("out.wim")).unwrap());

    let remove =
        |file: &str| ["driver", "remove", "-d", "demonvme.inf", file, "--ref=install.wim"].map(str::to_owned);
    wim(at, &remove("full.wim")).ends_with(0);
    wim(at, &remove("delta.wim")).ends_with(0);
    assert_stays_delta(at, "delta.wim", "full.wim");

    // Nothing takes the place of what a delta needs.
    let base = std::fs::read(at.join("install.wim")).unwrap();
    let ran = add(&["delta.wim", "--ref=install.wim", "-o", "install.wim", "--force"]).ends_with(2);
    assert!(ran.stderr.contains("needs data of it"), "{}", ran.stderr);
    for both in [["delta.wim", "install.wim"], ["install.wim", "delta.wim"]] {
        let ran = add(&[&both[..], &["--ref=install.wim"]].concat()).ends_with(2);
        assert!(ran.stderr.contains("delta of"), "{}", ran.stderr);
    }
    assert!(std::fs::read(at.join("install.wim")).unwrap() == base);
    wim(at, &["split", "install.wim", "s.swm", "--parts=2"]).ends_with(0);
    let ran = add(&["s.swm", "-o", "new.wim"]).ends_with(2);
    assert!(ran.stderr.contains("wim join"), "{}", ran.stderr);
}

#[test]
fn a_delta_is_slipstreamed_into_a_delta() {
    let folder = windows_and_delta();
    let at = folder.path();
    std::fs::write(at.join("x.reg"), "REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Mine]\n\"x\"=\"y\"\n")
        .unwrap();
    wim(at, &["export", "delta.wim", "1", "plain.wim", "--ref=install.wim"]).ends_with(0);
    let slipstream = |input: &str, output: &str, more: &[&str]| {
        let line = ["slipstream", input, "-o", output, "--driver=driver", "--force-unsigned", "--reg=x.reg"];
        wim(at, &[&line[..], &["--add=x.reg=/x.reg"], more].concat())
    };
    slipstream("plain.wim", "full.wim", &[]).ends_with(0);
    let ran = slipstream("delta.wim", "out.wim", &[]).ends_with(2);
    assert!(ran.stderr.contains("--ref") && !at.join("out.wim").exists(), "{}", ran.stderr);
    slipstream("delta.wim", "out.wim", &["--ref=install.wim", "--verify=full"]).ends_with(0);
    assert_stays_delta(at, "out.wim", "full.wim");
    let ran = slipstream("delta.wim", "install.wim", &["--ref=install.wim", "--force"]).ends_with(2);
    assert!(ran.stderr.contains("needs data of it"), "{}", ran.stderr);
    wim(at, &["split", "install.wim", "s.swm", "--parts=2"]).ends_with(0);
    let ran = slipstream("s.swm", "new.wim", &[]).ends_with(2);
    assert!(ran.stderr.contains("wim join"), "{}", ran.stderr);
}
