//! `wim apply` beside `wimlib-imagex apply`, and hostile images.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{data_folder, sample_tree, wim, wimlib};

/// Everything below a directory: kind and content, link targets, times of last write, numbers of names.
pub(crate) fn snapshot(root: &Path) -> BTreeMap<String, String> {
    fn visit(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            // A WIM keeps times to 100 ns.
            let since = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
            let modified = since.as_nanos() / 100;
            let what = if metadata.is_symlink() {
                format!("link to {}", std::fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                visit(root, &path, found);
                format!("directory of {modified}")
            } else {
                let bytes = std::fs::read(&path).unwrap();
                let sum =
                    bytes.iter().fold(7u64, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
                format!("{} bytes, sum {sum:x}, {} names, of {modified}", bytes.len(), names(&metadata))
            };
            found.insert(name, what);
        }
    }
    #[cfg(unix)]
    fn names(metadata: &std::fs::Metadata) -> u64 {
        std::os::unix::fs::MetadataExt::nlink(metadata)
    }
    #[cfg(not(unix))]
    fn names(_: &std::fs::Metadata) -> u64 {
        0
    }
    let mut found = BTreeMap::new();
    visit(root, root, &mut found);
    found
}

#[test]
fn what_was_captured_comes_back() {
    let folder = sample_tree();
    let folder = folder.path();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/hosts", folder.join("src/outside")).unwrap();
        std::os::unix::fs::symlink("../dir", folder.join("src/empty/up")).unwrap();
    }
    let before = snapshot(&folder.join("src"));
    for compress in ["none", "XPRESS", "LZX"] {
        wim(folder, &["capture", "src", "t.wim", "--norpfix", "--compress", compress]).ends_with(0);
        let ran = wim(folder, &["apply", "t.wim", "1", compress]).ends_with(0);
        assert_eq!(ran.text(), "Done applying WIM image.\n");
        assert_eq!(snapshot(&folder.join(compress)), before, "{compress}");
        // Once more onto what is there, by name, as JSON.
        let json = wim(folder, &["apply", "t.wim", "SRC", compress, "--json"]).ends_with(0).json();
        assert_eq!((&json["applied"][0]["image"], &json["applied"][0]["hard_links"]), (&1.into(), &1.into()));
        assert_eq!(snapshot(&folder.join(compress)), before, "{compress}");
    }
}

#[test]
fn images_are_applied_as_wimlib_applies_them() {
    let folder = sample_tree();
    let folder = folder.path();
    let Some(made) = wimlib(folder, &["capture", "src", "t.wim", "One", "--quiet"]) else { return };
    made.ends_with(0);
    std::fs::write(folder.join("src/new"), "only in the second").unwrap();
    wimlib(folder, &["append", "src", "t.wim", "T/wo", "--quiet"]).unwrap().ends_with(0);
    for image in ["1", "2", "all"] {
        let _ = std::fs::remove_dir_all(folder.join("ours"));
        let _ = std::fs::remove_dir_all(folder.join("theirs"));
        wim(folder, &["apply", "t.wim", image, "ours"]).ends_with(0);
        wimlib(folder, &["apply", "t.wim", image, "theirs"]).unwrap().ends_with(0);
        let undated = |root: &str| -> Vec<(String, String)> {
            let dated = |path: &str| image == "all" && !path.contains('/');
            snapshot(&folder.join(root))
                .into_iter()
                .map(|(path, what)| if dated(&path) { (path, String::new()) } else { (path, what) })
                .collect()
        };
        assert_eq!(undated("ours"), undated("theirs"), "image {image}");
    }
    let ran = wim(folder, &["apply", "t.wim", "nowhere"]).ends_with(2);
    assert!(ran.stderr.contains("contains 2 images"), "{}", ran.stderr);
    assert!(!folder.join("nowhere").exists());
}

#[test]
fn real_files_are_applied_as_wimlib_applies_them() {
    let Some(data) = data_folder("wim") else { return };
    for file in [
        "LZX.wim",
        "XPRESS.wim",
        "BootXPRESS.wim",
        "dissect-basic32k.wim",
        "dissect-basic4k.wim",
        "wimlib-empty_dacl.wim",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let wimfile = data.join(file).display().to_string();
        wim(folder.path(), &["apply", &wimfile, "out", "--check", "--quiet"]).ends_with(0);
        let ours = snapshot(&folder.path().join("out"));
        std::fs::remove_dir_all(folder.path().join("out")).unwrap();
        let Some(theirs) = wimlib(folder.path(), &["apply", &wimfile, "out", "--quiet"]) else { return };
        theirs.ends_with(0);
        assert_eq!(ours, snapshot(&folder.path().join("out")), "{file}");
        assert!(!ours.is_empty());
    }
}

#[test]
fn nothing_leaves_the_target() {
    let Some(data) = data_folder("wim") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("inner")).unwrap();
    for (file, code) in [
        ("wimlib-dotdot.wim", 0),
        ("wimlib-duplicate_names.wim", 0),
        ("wimlib-cyclic.wim", 2),
        ("wimlib-corrupted_file_1.wim", 2),
        ("VerifyFail.wim", 2),
    ] {
        let wimfile = data.join(file).display().to_string();
        wim(&folder.join("inner"), &["apply", &wimfile, "out"]).ends_with(code);
        let beside: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(beside, ["inner"], "{file}");
        let beside: Vec<_> =
            std::fs::read_dir(folder.join("inner")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(beside.iter().all(|name| name == "out"), "{file}: {beside:?}");
        let _ = std::fs::remove_dir_all(folder.join("inner/out"));
    }
}

#[test]
fn data_that_is_not_in_the_file_is_a_failure() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "base.wim"]).ends_with(0);
    std::fs::write(folder.join("src/new"), "only in the delta").unwrap();
    let delta = ["capture", "src", "delta.wim", "--delta-from=base.wim", "--quiet"];
    let Some(made) = wimlib(folder, &delta) else { return };
    made.ends_with(0);
    wim(folder, &["dir", "delta.wim"]).ends_with(0);
    wim(folder, &["extract", "delta.wim", "1", "new", "--dest-dir=out"]).ends_with(0);
    let ran = wim(folder, &["verify", "delta.wim"]).ends_with(1);
    assert!(ran.text().contains("the blob is not in the file"), "{}", ran.text());
    for arguments in [
        vec!["apply", "delta.wim", "out2"],
        vec!["extract", "delta.wim", "1", "a.txt", "--to-stdout"],
        vec!["export", "delta.wim", "1", "e.wim"],
    ] {
        let ran = wim(folder, &arguments).ends_with(2);
        assert!(ran.stderr.contains("not in the file"), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{arguments:?}: {}", ran.stderr);
    }
    assert!(!folder.join("e.wim").exists());
}

#[test]
fn misuse_is_told() {
    let folder = sample_tree();
    let folder = folder.path();
    wim(folder, &["capture", "src", "t.wim", "--compress=none"]).ends_with(0);
    for (arguments, word) in [
        (vec!["apply", "t.wim"], "required"),
        (vec!["apply", "t.wim", "9", "out"], "there is no image"),
        (vec!["apply", "t.wim", "out", "--wimboot"], "--wimboot is not supported"),
        (vec!["apply", "t.wim", "1", "out", "more"], "unexpected"),
        (vec!["apply", "-", "1", "out"], "standard input"),
    ] {
        let ran = wim(folder, &arguments).ends_with(2);
        assert!(ran.stderr.contains(word), "{arguments:?}: {}", ran.stderr);
        assert!(!folder.join("out").exists(), "{arguments:?}");
    }
}

/// 256 is the usual limit of macOS, and other things of a process are open too.
#[cfg(unix)]
#[test]
fn few_handles_are_enough_for_many_directories() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for number in 0..400 {
        let directory = folder.join(format!("src/{}/{number}", number % 7));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("file"), number.to_string()).unwrap();
        std::fs::write(directory.join("empty"), "").unwrap();
    }
    wim(folder, &["capture", "src", "t.wim", "--compress=none"]).ends_with(0);
    let before = snapshot(&folder.join("src"));
    for limit in ["80", "128", "256"] {
        let line = format!("ulimit -n {limit}; exec \"$0\" apply t.wim 1 {limit} --threads 2");
        let mut shell = crate::command("sh", folder, &["-c", &line, env!("CARGO_BIN_EXE_wim")]);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{limit}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(snapshot(&folder.join(limit)), before, "{limit}");
    }
}

/// The mode of the first lets nobody but root open it for its copy.
#[cfg(unix)]
#[test]
fn twins_of_a_large_file_that_nobody_may_read_are_both_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nobody = |arguments: &[&str]| {
        let mut command = crate::command(env!("CARGO_BIN_EXE_wim"), folder, arguments);
        command.uid(NOBODY).gid(NOBODY).output()
    };
    let is_root = std::fs::metadata(folder).unwrap().uid() == 0;
    if !is_root || chown(folder, Some(NOBODY), Some(NOBODY)).is_err() || nobody(&["--version"]).is_err() {
        println!("skipped: needs root, who captures what nobody may read, and a program that others may run");
        return;
    }
    // More than one piece of a blob.
    let bytes: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::create_dir(folder.join("src")).unwrap();
    for name in ["one", "two"] {
        let path = folder.join("src").join(name);
        std::fs::write(&path, &bytes).unwrap();
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    }
    wim(folder, &["capture", "src", "t.wim", "--compress=none", "--unix-data"]).ends_with(0);
    let output = nobody(&["apply", "t.wim", "1", "out", "--unix-data"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["one", "two"] {
        let path = folder.join("out").join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0);
        assert!(std::fs::read(&path).unwrap() == bytes, "{name}");
    }
}
