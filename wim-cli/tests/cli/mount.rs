//! `wim mount`, `wim mountrw` and `wim unmount` with the real kernel, where it lets us.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::wim;

/// True where images can be mounted; says so where not.
fn can_mount() -> bool {
    let may_open = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
    if !cfg!(target_os = "linux") || !may_open {
        println!("skipped: this machine does not let us use /dev/fuse");
        return false;
    }
    true
}

/// A folder with `tree`, captured as `a.wim`, and an empty folder `mnt`.
fn captured() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir_all(path.join("tree/sub/deep")).unwrap();
    fs::create_dir(path.join("mnt")).unwrap();
    fs::write(path.join("tree/hello.txt"), "hello").unwrap();
    fs::write(path.join("tree/empty"), "").unwrap();
    let numbers: String = (0..60_000).map(|n| format!("{n}\n")).collect();
    fs::write(path.join("tree/sub/numbers"), numbers).unwrap();
    fs::hard_link(path.join("tree/sub/numbers"), path.join("tree/sub/deep/linked")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../hello.txt", path.join("tree/sub/link")).unwrap();
    wim(path, &["capture", "tree", "a.wim", "one"]).ends_with(0);
    folder
}

/// Both directories have the same names and contents.
fn assert_same(a: &Path, b: &Path) {
    let done = Command::new("diff").arg("-r").arg(a).arg(b).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

/// The folder of [`captured`] with `delta.wim`: the tree again with one file more, without what `a.wim` has.
fn captured_with_delta() -> tempfile::TempDir {
    let folder = captured();
    fs::write(folder.path().join("tree/new"), "only in the delta").unwrap();
    wim(folder.path(), &["capture", "tree", "delta.wim", "--delta-from=a.wim"]).ends_with(0);
    folder
}

#[test]
fn a_mounted_image_reads_like_the_directory_it_was_captured_from() {
    if !can_mount() {
        return;
    }
    let folder = captured();
    let path = folder.path();
    wim(path, &["mount", "a.wim", "1", "mnt"]).ends_with(0);
    assert_same(&path.join("tree"), &path.join("mnt"));
    let numbers = fs::read(path.join("tree/sub/numbers")).unwrap();
    let linked = fs::read(path.join("mnt/sub/deep/linked")).unwrap();
    assert_eq!(linked, numbers);
    let refused = fs::write(path.join("mnt/new"), "x").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    let answer = wim(path, &["unmount", "mnt", "--commit", "--json"]).ends_with(0).json();
    assert_eq!((&answer["image"], &answer["committed"]), (&1.into(), &serde_json::Value::Null));
    assert_eq!(fs::read_dir(path.join("mnt")).unwrap().count(), 0);
}

#[test]
fn changes_are_committed_or_thrown_away_as_unmount_says() {
    if !can_mount() {
        return;
    }
    let folder = captured();
    let path = folder.path();
    let before = fs::read(path.join("a.wim")).unwrap();
    wim(path, &["mountrw", "a.wim", "mnt"]).ends_with(0);
    let busy = wim(path, &["delete", "a.wim", "1", "--soft"]).ends_with(2);
    assert!(busy.stderr.contains("another program is using the file"), "{}", busy.stderr);
    fs::write(path.join("mnt/lost"), "x").unwrap();
    let answer = wim(path, &["unmount", "mnt", "--json"]).ends_with(0).json();
    assert_eq!(answer["discarded_changes"], true);
    assert_eq!(fs::read(path.join("a.wim")).unwrap(), before);

    for rebuild in [&[][..], &["--rebuild"]] {
        wim(path, &["mountrw", "a.wim", "mnt"]).ends_with(0);
        let (tree, mnt) = (path.join("tree"), path.join("mnt"));
        for root in [&tree, &mnt] {
            let _ = fs::remove_dir_all(root.join("made"));
            fs::create_dir_all(root.join("made/by us")).unwrap();
            fs::write(root.join("made/new"), rebuild.join(" ")).unwrap();
            fs::write(root.join("hello.txt"), "hello again").unwrap();
            fs::rename(root.join("made/new"), root.join("made/by us/renamed")).unwrap();
            fs::hard_link(root.join("hello.txt"), root.join("made/hard")).unwrap();
            let mut numbers = fs::OpenOptions::new().append(true).open(root.join("sub/numbers")).unwrap();
            std::io::Write::write_all(&mut numbers, b"the end\n").unwrap();
            if root.join("empty").exists() {
                fs::remove_file(root.join("empty")).unwrap();
            }
        }
        let line: Vec<&str> = ["unmount", "mnt", "--commit"].iter().chain(rebuild).copied().collect();
        wim(path, &line).ends_with(0);
        wim(path, &["verify", "a.wim"]).ends_with(0);
        let _ = fs::remove_dir_all(path.join("out"));
        wim(path, &["apply", "a.wim", "1", "out"]).ends_with(0);
        assert_same(&tree, &path.join("out"));
    }
    let left: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("staging")), "{left:?}");
}

#[test]
fn a_commit_waits_for_open_files_and_can_make_a_new_image() {
    if !can_mount() {
        return;
    }
    let folder = captured();
    let path = folder.path();
    wim(path, &["mountrw", "a.wim", "one", "mnt"]).ends_with(0);
    let mut open = fs::File::create(path.join("mnt/open")).unwrap();
    std::io::Write::write_all(&mut open, b"data").unwrap();
    let refused = wim(path, &["unmount", "mnt", "--commit"]).ends_with(2);
    assert!(refused.stderr.contains("1 files of the image are open for writing"), "{}", refused.stderr);
    drop(open);
    wim(path, &["unmount", "mnt", "--commit", "--new-image", "--check"]).ends_with(0);
    let info = wim(path, &["info", "a.wim", "--json"]).ends_with(0).json();
    assert_eq!(info["images"].as_array().unwrap().len(), 2, "{info}");
    assert_eq!(info["attributes"][0], "Integrity info");
    wim(path, &["verify", "a.wim"]).ends_with(0);
    let second = wim(path, &["dir", "a.wim", "2"]).ends_with(0).text();
    let first = wim(path, &["dir", "a.wim", "1"]).ends_with(0).text();
    assert!(second.contains("/open\n") && !first.contains("/open\n"), "{second}");
}

#[test]
fn data_that_is_not_there_is_an_error_and_not_an_empty_file() {
    if !can_mount() {
        return;
    }
    let folder = captured_with_delta();
    let path = folder.path();
    let ran = wim(path, &["mount", "delta.wim", "1", "mnt"]).ends_with(0);
    assert!(ran.stderr.contains("is not here") && ran.stderr.contains("--ref"), "{}", ran.stderr);
    assert!(fs::read(path.join("mnt/sub/numbers")).is_err());
    assert!(fs::metadata(path.join("mnt/hello.txt")).is_err());
    assert_eq!(fs::read(path.join("mnt/new")).unwrap(), b"only in the delta");
    assert_eq!(fs::read(path.join("mnt/empty")).unwrap(), b"");
    wim(path, &["unmount", "mnt"]).ends_with(0);
    let ran = wim(path, &["mount", "delta.wim", "1", "mnt", "--ref=a.wim"]).ends_with(0);
    assert!(!ran.stderr.contains("is not here"), "{}", ran.stderr);
    assert_same(&path.join("tree"), &path.join("mnt"));
    wim(path, &["unmount", "mnt"]).ends_with(0);
    // Changed without its base, it stays a delta.
    wim(path, &["mountrw", "delta.wim", "1", "mnt"]).ends_with(0);
    fs::write(path.join("mnt/more"), "more").unwrap();
    wim(path, &["unmount", "mnt", "--commit"]).ends_with(0);
    wim(path, &["verify", "delta.wim", "--ref=a.wim"]).ends_with(0);
    let text = wim(path, &["extract", "delta.wim", "1", "more", "--to-stdout"]).ends_with(0).text();
    assert_eq!(text, "more");
}

#[test]
fn a_delta_is_changed_with_its_base_at_hand() {
    if !can_mount() {
        return;
    }
    let folder = captured_with_delta();
    let path = folder.path();
    let base = fs::read(path.join("a.wim")).unwrap();
    let bytes_before =
        wim(path, &["info", "delta.wim", "--json"]).ends_with(0).json()["images"][0]["total_bytes"]
            .as_u64()
            .unwrap();
    let ran = wim(path, &["mountrw", "delta.wim", "1", "mnt", "--ref=a.wim"]).ends_with(0);
    assert_eq!(ran.stderr, "");
    for root in ["tree", "mnt"].map(|root| path.join(root)) {
        // What lies in the base is read, copied to be appended to, and copied to a second place.
        let mut numbers = fs::OpenOptions::new().append(true).open(root.join("sub/numbers")).unwrap();
        std::io::Write::write_all(&mut numbers, b"the end\n").unwrap();
        let hello = fs::read(root.join("hello.txt")).unwrap();
        fs::write(root.join("again"), hello).unwrap();
    }
    assert_same(&path.join("tree"), &path.join("mnt"));
    wim(path, &["unmount", "mnt", "--commit"]).ends_with(0);
    wim(path, &["verify", "delta.wim", "--ref=a.wim"]).ends_with(0);
    wim(path, &["apply", "delta.wim", "1", "out", "--ref=a.wim"]).ends_with(0);
    assert_same(&path.join("tree"), &path.join("out"));
    assert_eq!(fs::read(path.join("a.wim")).unwrap(), base, "the base is read only");
    let info = wim(path, &["info", "delta.wim", "--json"]).ends_with(0).json();
    // The appended text counts at both names of the file.
    assert_eq!(info["images"][0]["total_bytes"], bytes_before + 2 * 8 + 5, "{info}");
    let kept = wim(path, &["extract", "delta.wim", "1", "again", "--to-stdout"]);
    assert_ne!(kept.code, Some(0), "what the base has stays there");
}

#[test]
fn a_whole_file_stays_whole_though_others_have_what_is_written() {
    if !can_mount() {
        return;
    }
    let folder = captured();
    let path = folder.path();
    fs::create_dir(path.join("other")).unwrap();
    fs::write(path.join("other/o"), "what another file has too").unwrap();
    wim(path, &["capture", "other", "other.wim"]).ends_with(0);
    wim(path, &["mountrw", "a.wim", "1", "mnt", "--ref=other.wim"]).ends_with(0);
    fs::write(path.join("mnt/o"), "what another file has too").unwrap();
    wim(path, &["unmount", "mnt", "--commit"]).ends_with(0);
    wim(path, &["verify", "a.wim"]).ends_with(0);
    let text = wim(path, &["extract", "a.wim", "1", "o", "--to-stdout"]).ends_with(0).text();
    assert_eq!(text, "what another file has too");
}

#[test]
fn what_cannot_be_mounted_is_refused_and_leaves_no_process() {
    if !can_mount() {
        return;
    }
    let folder = captured();
    let path = folder.path();
    let ran = wim(path, &["mount", "missing.wim", "mnt"]).ends_with(2);
    assert!(ran.stderr.contains("missing.wim"), "{}", ran.stderr);
    let ran = wim(path, &["mount", "a.wim", "7", "mnt"]).ends_with(2);
    assert!(ran.stderr.contains("image"), "{}", ran.stderr);
    let ran = wim(path, &["mount", "a.wim", "no such directory"]).ends_with(2);
    assert!(ran.stderr.contains("no such directory"), "{}", ran.stderr);
    // A file would be an error for everybody, and what is in a directory would be hidden.
    for (place, why) in [("a.wim", "is not a directory"), ("tree", "is not empty")] {
        for verb in ["mount", "mountrw"] {
            let ran = wim(path, &[verb, "a.wim", "1", place]).ends_with(2);
            assert!(ran.stderr.contains(why), "{}", ran.stderr);
        }
    }
    wim(path, &["verify", "a.wim"]).ends_with(0);
    let ran = wim(path, &["unmount", "mnt"]).ends_with(2);
    assert!(ran.stderr.contains("no image is mounted here"), "{}", ran.stderr);
    let ran = wim(path, &["mount", "a.wim", "1", "mnt", "--json", "--check"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    wim(path, &["unmount", "mnt"]).ends_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_mount_in_the_foreground_unmounts() {
    if !can_mount() {
        return;
    }
    let folder = captured();
    let path = folder.path();
    let mut child = Command::new(env!("CARGO_BIN_EXE_wim"))
        .args(["mountrw", "a.wim", "mnt", "--debug"])
        .current_dir(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !path.join("mnt/hello.txt").exists() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::write(path.join("mnt/lost"), "x").unwrap();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(path.join("mnt")).unwrap().count(), 0);
    wim(path, &["verify", "a.wim"]).ends_with(0);
}
