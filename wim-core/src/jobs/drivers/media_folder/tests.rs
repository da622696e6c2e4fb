//! The folder of a medium when something goes wrong at each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::base::{Cancel, Silent};
use crate::image::edit::Content;

/// A file that does something when it is read.
struct Trap<F>(F);

impl<F: Fn() + Send + Sync> ReadAt for Trap<F> {
    fn size(&self) -> u64 {
        4
    }

    fn read_exact_at(&self, buf: &mut [u8], _offset: u64) -> std::io::Result<()> {
        (self.0)();
        buf.fill(b'x');
        Ok(())
    }
}

fn file(path: &str, bytes: &[u8]) -> MediaFile {
    MediaFile {
        path: format!("{FOLDER}\\{path}"),
        size: bytes.len() as u64,
        sha1: Sha1Digest::of(bytes),
        last_write: None,
        content: Content::bytes(bytes),
    }
}

/// Reports and files of three packages, of which `trap` is in the last but one file that is written.
fn packages(trap: impl Fn() + Send + Sync + 'static) -> (Vec<MediaReport>, Vec<MediaFile>) {
    let report = |name: &str| MediaReport {
        findings: Vec::new(),
        source: "p".to_owned(),
        inf: format!("{name}.inf"),
        version: None,
        outcome: MediaOutcome::Placed { folder: format!("{FOLDER}\\{name}_1"), windows: Vec::new() },
    };
    let mut files = Vec::new();
    for name in ["a", "b", "c"] {
        files.push(file(&format!("{name}_1\\{name}.inf"), b"text"));
        files.push(file(&format!("{name}_1\\x64\\{name}.sys"), b"xxxx"));
    }
    files[3].content = Content::Source(Arc::new(Trap(trap)));
    (["a", "b", "c"].map(report).into(), files)
}

/// All below a folder: paths with contents; folders without.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                found.insert(path, None);
            } else {
                found.insert(path.clone(), Some(fs::read(path).unwrap()));
            }
        }
    }
    found
}

fn report() -> MediaFolderReport {
    MediaFolderReport {
        dry_run: false,
        changed: false,
        folder: String::new(),
        packages: Vec::new(),
        removed: Vec::new(),
        missing: Vec::new(),
        warnings: Vec::new(),
    }
}

fn folder_of(medium: &Path) -> Folder {
    let root = medium.join(FOLDER);
    Folder { record: Record::read(&root).unwrap(), root, mode: Mode::Write }
}

/// Adds the three packages while `trap` happens, with a cancel flag that it may raise.
fn add(
    medium: &Path,
    cancel: &Arc<Cancel>,
    trap: impl Fn() + Send + Sync + 'static,
) -> (Result<()>, MediaFolderReport) {
    let (reports, files) = packages(trap);
    let mut report = report();
    let cx = Context::new(&Silent, cancel);
    (folder_of(medium).add(&cx, &reports, &files, &mut report), report)
}

fn remove(medium: &Path, names: &[&str]) -> (Result<()>, MediaFolderReport) {
    let cancel = Cancel::new();
    let mut report = report();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    (folder_of(medium).remove(&Context::new(&Silent, &cancel), &names, &mut report), report)
}

#[test]
fn a_cancel_while_packages_are_written_leaves_nothing() {
    for has_folder in [false, true] {
        let medium = tempfile::tempdir().unwrap();
        if has_folder {
            // Somebody's own, empty at that.
            fs::create_dir(medium.path().join(FOLDER)).unwrap();
        }
        let before = tree(medium.path());
        let cancel = Arc::new(Cancel::new());
        let flag = Arc::clone(&cancel);
        let error = add(medium.path(), &cancel, move || flag.raise()).0.unwrap_err();
        assert_eq!(error.kind(), crate::base::ErrorKind::Cancelled);
        assert_eq!(tree(medium.path()), before);
    }
}

#[test]
fn a_name_that_is_taken_meanwhile_leaves_the_folder_as_it_was() {
    for name in ["a_1", "b_1"] {
        let medium = tempfile::tempdir().unwrap();
        let root = medium.path().join(FOLDER);
        let others = medium.path().join(FOLDER).join("of another package");
        fs::create_dir_all(&others).unwrap();
        fs::write(others.join("x.inf"), "x").unwrap();
        let taken = root.join(name);
        let (trap, cancel) = (taken.clone(), Arc::new(Cancel::new()));
        let occupy = move || {
            fs::create_dir_all(trap.join("somebody")).unwrap();
        };
        let before = tree(medium.path());
        let error = add(medium.path(), &cancel, occupy).0.unwrap_err();
        assert!(error.remedy_text().unwrap().starts_with("everything is as it was"), "{error}");
        fs::remove_dir_all(&taken).unwrap();
        assert_eq!(tree(medium.path()), before, "{name}");
        // And the second time, with a record that is there already.
        add(medium.path(), &cancel, || ()).0.unwrap();
        remove(medium.path(), &[name]).0.unwrap();
        let before = tree(medium.path());
        let trap = taken.clone();
        let again = add(medium.path(), &cancel, move || {
            fs::create_dir_all(trap.join("somebody")).unwrap();
        });
        if name == "b_1" {
            // Only what has to be written springs the trap.
            again.0.unwrap_err();
            fs::remove_dir_all(&taken).unwrap();
            assert_eq!(tree(medium.path()), before, "{name}");
        }
    }
}

#[test]
fn a_record_that_names_what_was_never_there_is_mended_by_adding() {
    let medium = tempfile::tempdir().unwrap();
    let cancel = Arc::new(Cancel::new());
    add(medium.path(), &cancel, || ()).0.unwrap();
    let whole = tree(medium.path());
    // As a power cut between the record and the names leaves it.
    fs::remove_dir_all(medium.path().join(FOLDER).join("b_1")).unwrap();
    let (done, report) = add(medium.path(), &cancel, || ());
    done.unwrap();
    assert_eq!(report.warnings, ["a_1 is there already", "c_1 is there already"]);
    let paths = |tree: &BTreeMap<PathBuf, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&tree(medium.path())), paths(&whole));
    assert_eq!(folder_of(medium.path()).record.drivers.len(), 3);
}

#[test]
fn a_package_that_lacks_files_gets_them_and_nothing_else_is_touched() {
    let medium = tempfile::tempdir().unwrap();
    let cancel = Arc::new(Cancel::new());
    add(medium.path(), &cancel, || ()).0.unwrap();
    let whole = tree(medium.path());
    let root = medium.path().join(FOLDER);
    fs::remove_dir_all(root.join("b_1/x64")).unwrap();
    fs::write(root.join("c_1/c.inf"), "half").unwrap();
    let (done, report) = add(medium.path(), &cancel, || ());
    done.unwrap();
    assert!(report.changed, "{report:?}");
    assert_eq!(report.warnings.len(), 3, "{report:?}");
    assert!(report.warnings[1].contains("written again: x64\\b.sys"), "{report:?}");
    assert!(report.warnings[2].contains("written again: c.inf"), "{report:?}");
    let files = |tree: &BTreeMap<PathBuf, Option<Vec<u8>>>| -> Vec<_> {
        let is_record = |path: &PathBuf| path.ends_with(record::RECORD);
        tree.iter().filter(|(path, _)| !is_record(path)).map(|(a, b)| (a.clone(), b.clone())).collect()
    };
    assert_eq!(files(&tree(medium.path())), files(&whole));
    let recorded: Vec<usize> =
        folder_of(medium.path()).record.drivers.iter().map(|driver| driver.files.len()).collect();
    assert_eq!(recorded, [2, 2, 2]);
    assert_eq!(add(medium.path(), &cancel, || ()).1.warnings.len(), 3);
    remove(medium.path(), &["a.inf", "b.inf", "c.inf"]).0.unwrap();
    assert!(!root.exists());
}

#[test]
fn a_removal_that_cannot_be_recorded_is_taken_back() {
    let medium = tempfile::tempdir().unwrap();
    add(medium.path(), &Arc::new(Cancel::new()), || ()).0.unwrap();
    // Of one driver a file was changed, so that it goes file by file.
    let root = medium.path().join(FOLDER);
    fs::write(root.join("b_1/b.inf"), "changed").unwrap();
    let folder = folder_of(medium.path());
    let record = root.join(record::RECORD);
    // Neither replaced nor removed as a file.
    fs::remove_file(&record).unwrap();
    fs::create_dir_all(record.join("in the way")).unwrap();
    let before = tree(medium.path());
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel);
    for names in [vec!["a.inf", "b.inf"], vec!["a.inf", "b.inf", "c.inf"]] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let error = folder.remove(&cx, &names, &mut report()).unwrap_err();
        assert!(error.remedy_text().unwrap().starts_with("everything is as it was"), "{error}");
        assert_eq!(tree(medium.path()), before);
    }
    cancel.raise();
    folder.remove(&cx, &["c.inf".to_owned()], &mut report()).unwrap_err();
    assert_eq!(tree(medium.path()), before);
}

#[test]
fn what_was_changed_stays_and_what_is_left_empty_goes() {
    let medium = tempfile::tempdir().unwrap();
    add(medium.path(), &Arc::new(Cancel::new()), || ()).0.unwrap();
    let root = medium.path().join(FOLDER);
    fs::write(root.join("b_1/b.inf"), "changed").unwrap();
    fs::write(root.join("c_1/mine.txt"), "mine").unwrap();
    let (done, report) = remove(medium.path(), &["a.inf", "b.inf", "c_1"]);
    done.unwrap();
    assert_eq!(report.removed, ["a_1", "c_1"]);
    assert!(report.warnings.len() == 1 && report.warnings[0].contains("b.inf was changed"), "{report:?}");
    let left: Vec<PathBuf> = tree(&root).into_keys().collect();
    assert_eq!(left, ["b_1", "b_1/b.inf", "c_1", "c_1/mine.txt", record::RECORD].map(|name| root.join(name)));
    // What stays is on record still.
    let known = folder_of(medium.path()).record.drivers;
    assert_eq!((known.len(), known[0].folder.as_str(), known[0].files.len()), (1, "b_1", 1));
    let (done, report) = remove(medium.path(), &["b.inf"]);
    done.unwrap();
    assert!(!report.changed && report.removed.is_empty() && report.warnings.len() == 1, "{report:?}");
    fs::remove_dir_all(root.join("b_1")).unwrap();
    fs::remove_dir_all(root.join("c_1")).unwrap();
    add(medium.path(), &Arc::new(Cancel::new()), || ()).0.unwrap();
    remove(medium.path(), &["a.inf", "b.inf", "c_1"]).0.unwrap();
    assert!(!root.exists(), "an empty folder was left");
}

/// An administrator may write everywhere; there this shows nothing.
#[cfg(unix)]
#[test]
fn a_folder_that_takes_nothing_leaves_all_as_it_was() {
    use std::os::unix::fs::PermissionsExt;
    let medium = tempfile::tempdir().unwrap();
    add(medium.path(), &Arc::new(Cancel::new()), || ()).0.unwrap();
    let root = medium.path().join(FOLDER);
    fs::write(root.join("b_1/b.inf"), "changed").unwrap();
    let before = tree(medium.path());
    let locked = root.join("b_1/x64");
    let allow = |mode| fs::set_permissions(&locked, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o555);
    let is_locked = fs::write(locked.join("probe"), "").is_err();
    let done = remove(medium.path(), &["a.inf", "b.inf"]).0;
    allow(0o755);
    if is_locked {
        assert!(done.unwrap_err().remedy_text().unwrap().starts_with("everything is as it was"));
        assert_eq!(tree(medium.path()), before);
    }
}
