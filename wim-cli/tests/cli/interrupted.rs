//! Cabinets and packages while a signal comes or a disk fills up: old files stay whole, nothing is left that would be in the way.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{command, noise, wim};

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Runs `wim`, sends it a signal once `is_time` says so, and returns its exit code; none when the signal ended it.
fn interrupted(folder: &Path, arguments: &[&str], signal: &str, is_time: impl Fn() -> bool) -> Option<i32> {
    let mut child = command(env!("CARGO_BIN_EXE_wim"), folder, arguments)
        .args(["--threads=1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !is_time() && since.elapsed() < Duration::from_secs(60) {
        assert_eq!(child.try_wait().unwrap(), None, "{arguments:?} was done before the signal");
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent = command("kill", folder, &[signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait().unwrap().code()
}

/// Runs `wim` where no file may grow past 2 MiB, which stands for a full disk; its exit code and what it said.
fn on_a_full_disk(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    // The signal that comes with the limit must be ignored to get the error.
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"";
    let line = ["-c", script, env!("CARGO_BIN_EXE_wim")];
    let line: Vec<&str> = line.iter().chain(arguments).copied().collect();
    let output = command("sh", folder, &line).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A folder `src` with one file that takes a while.
fn large_source(bytes: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/large.bin"), noise(bytes)).unwrap();
    folder
}

#[test]
fn a_cabinet_that_is_made_replaces_the_old_one_whole_or_not_at_all() {
    let folder = large_source(24 << 20);
    let at = folder.path();
    fs::write(at.join("t.cab"), "mine").unwrap();
    let slow = ["cab", "create", "t.cab", "src", "--force", "--level=max"];
    let is_writing = || names(at).len() > 2;
    assert_eq!(interrupted(at, &slow, "-INT", is_writing), Some(130));
    assert_eq!(names(at), ["src", "t.cab"]);
    let (code, stderr) = on_a_full_disk(at, &["cab", "create", "t.cab", "src", "--force", "--compress=none"]);
    assert!(code == Some(2) && stderr.contains("error: "), "{code:?} {stderr}");
    assert_eq!(
        (names(at), fs::read(at.join("t.cab")).unwrap().as_slice()),
        (vec!["src".into(), "t.cab".into()], &b"mine"[..])
    );

    assert_eq!(interrupted(at, &slow, "-KILL", is_writing), None);
    assert_eq!(fs::read(at.join("t.cab")).unwrap(), b"mine");
    let left: Vec<String> = names(at).into_iter().filter(|name| name != "src" && name != "t.cab").collect();
    assert!(
        matches!(&left[..], [name] if name.starts_with(".t.cab.") && name.ends_with(".wim-tmp")),
        "{left:?}"
    );
    wim(at, &["cab", "create", "t.cab", "src", "--force", "--compress=none"]).ends_with(0);
    wim(at, &["cab", "test", "t.cab"]).ends_with(0);
}

#[test]
fn a_member_replaces_the_old_file_whole_or_not_at_all() {
    let folder = large_source(48 << 20);
    let at = folder.path();
    wim(at, &["cab", "create", "t.cab", "src", "--compress=none"]).ends_with(0);
    let out = at.join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("large.bin"), "mine").unwrap();
    let extract = ["cab", "extract", "t.cab", "--dest-dir=out", "--overwrite"];
    let is_writing = || {
        let sizes = fs::read_dir(&out).unwrap().filter_map(|entry| entry.ok()?.metadata().ok());
        sizes.map(|metadata| metadata.len()).any(|size| size > 1 << 16)
    };
    assert_eq!(interrupted(at, &extract, "-INT", is_writing), Some(130));
    assert_eq!(names(&out), ["large.bin"]);
    let (code, stderr) = on_a_full_disk(at, &extract);
    assert!(code == Some(2) && stderr.contains("cannot write"), "{code:?} {stderr}");
    assert_eq!(
        (names(&out), fs::read(out.join("large.bin")).unwrap().as_slice()),
        (vec!["large.bin".into()], &b"mine"[..])
    );
    // A file that was not there is not there half.
    let (code, _) = on_a_full_disk(at, &["cab", "extract", "t.cab", "--dest-dir=new"]);
    assert_eq!((code, names(&at.join("new"))), (Some(2), Vec::new()));

    assert_eq!(interrupted(at, &extract, "-KILL", is_writing), None);
    assert_eq!(fs::read(out.join("large.bin")).unwrap(), b"mine");
    let left: Vec<String> = names(&out).into_iter().filter(|name| name != "large.bin").collect();
    assert!(matches!(&left[..], [name] if name.ends_with(".wim-partial")), "{left:?}");
    wim(at, &extract).ends_with(0);
    // What a killed run left has a name that nobody else gives.
    assert_eq!(names(&out), [left[0].as_str(), "large.bin"]);
    assert!(fs::read(out.join("large.bin")).unwrap() == fs::read(at.join("src/large.bin")).unwrap());
}

#[test]
fn a_package_is_expanded_whole_or_not_at_all() {
    let folder = large_source(48 << 20);
    let at = folder.path();
    fs::write(at.join("src/update.mum"), "<assembly/>").unwrap();
    wim(at, &["cab", "create", "p.cab", "src", "--compress=none"]).ends_with(0);
    let before = names(at);
    let expand = ["package", "expand", "p.cab", "a/b/out"];
    let is_working = || names(&at.join("a/b")).iter().any(|name| name.ends_with(".wim-tmp"));
    assert_eq!(interrupted(at, &expand, "-INT", is_working), Some(130));
    assert_eq!(names(at), before, "the folders above it go too");
    let (code, stderr) = on_a_full_disk(at, &expand);
    assert!(code == Some(2) && stderr.contains("error: "), "{code:?} {stderr}");
    assert_eq!(names(at), before);
    // An empty folder that was there stays.
    fs::create_dir_all(at.join("a/b/out")).unwrap();
    assert_eq!(interrupted(at, &expand, "-INT", is_working), Some(130));
    assert_eq!((names(&at.join("a/b")), names(&at.join("a/b/out"))), (vec!["out".into()], Vec::new()));

    assert_eq!(interrupted(at, &expand, "-KILL", is_working), None);
    let left = names(&at.join("a/b"));
    assert!(
        matches!(&left[..], [name, out] if name.starts_with(".out.") && name.ends_with(".wim-tmp") && out == "out"),
        "{left:?}"
    );
    assert_eq!(names(&at.join("a/b/out")), [""; 0]);
    wim(at, &expand).ends_with(0);
    assert_eq!(names(&at.join("a/b/out")), ["large.bin", "update.mum"]);
}

#[test]
fn a_split_set_appears_whole_or_leaves_one_folder() {
    let folder = large_source(48 << 20);
    let at = folder.path();
    for number in 0..6 {
        fs::write(at.join(format!("src/{number}.bin")), noise((8 << 20) + number)).unwrap();
    }
    wim(at, &["capture", "src", "t.wim", "--compress=none"]).ends_with(0);
    fs::remove_dir_all(at.join("src")).unwrap();
    let split = ["split", "t.wim", "p.swm", "--parts=4", "--check"];
    let staged = || names(at).into_iter().find(|name| name.ends_with(".wim-tmp"));
    let has_parts = || staged().is_some_and(|folder| names(&at.join(folder)).len() > 1);
    assert_eq!(interrupted(at, &split, "-INT", has_parts), Some(130));
    assert_eq!(names(at), ["t.wim"]);
    assert_eq!(interrupted(at, &split, "-KILL", has_parts), None);
    let left = names(at);
    assert!(
        matches!(&left[..], [folder, wim] if folder.starts_with(".p.swm.") && folder.ends_with(".wim-tmp") && wim == "t.wim"),
        "{left:?}"
    );
    wim(at, &split).ends_with(0);
    wim(at, &["verify", "p.swm"]).ends_with(0);
    let named = |names: &[String]| names.iter().filter(|name| !name.starts_with('.')).count();
    assert_eq!((named(&names(at)), names(at).len()), (5, 6), "{:?}", names(at));
}
