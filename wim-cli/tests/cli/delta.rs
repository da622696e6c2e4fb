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
fn a_change_without_the_base_leaves_the_bytes_that_it_cannot_count() {
    let folder = base_and_delta();
    let at = folder.path();
    let image = || wim(at, &["info", "delta.wim", "--json"]).json()["images"][0].clone();
    let before = image();
    assert_eq!(before["total_bytes"], 49_000);
    std::fs::write(at.join("more"), "more").unwrap();
    wim(at, &["update", "delta.wim", "1", "--command=add more /more"]).ends_with(0);
    let after = image();
    assert_eq!((&after["total_bytes"], &after["file_count"]), (&before["total_bytes"], &3.into()));
    assert_eq!(after["hard_link_bytes"], before["hard_link_bytes"]);
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
