//! Owners, modes, extended attributes and special files of Unix: captured and restored, and as wimlib keeps them.
//!
//! What only root may do (owners, devices, attributes outside `user.`) is tested when the test runs as root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, XattrFlags};
use wim_core::base::{Cancel, Context, ErrorKind, Recording};
use wim_core::image::Inode;
use wim_core::image::load;
use wim_core::transfer::apply::{
    ApplyOptions, ApplyReport, FixedLinks, Layout, RestoreOptions, UnixRestore, apply,
};
use wim_core::transfer::capture::{CaptureOptions, UnixData, capture};

use crate::sample_wim::{open_first, wim_of};

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A tree with all of it, as far as this user may.
fn sample(root: &Path) {
    fs::create_dir_all(root.join("folder")).unwrap();
    for (name, mode) in [("program", 0o4751), ("secret", 0o600), ("folder/shared", 0o664)] {
        fs::write(root.join(name), name).unwrap();
        rustix::fs::chmod(root.join(name), Mode::from_raw_mode(mode)).unwrap();
    }
    fs::hard_link(root.join("secret"), root.join("secret too")).unwrap();
    symlink("program", root.join("link")).unwrap();
    let none = XattrFlags::empty();
    for (name, attribute, value) in [
        ("program", "user.first", &b"value"[..]),
        ("program", "user.binary", b"\0\x01\xFF"),
        ("folder", "user.of a folder", b""),
    ] {
        if rustix::fs::setxattr(root.join(name), attribute, value, none).is_err() {
            println!(
                "skipped: extended attributes, which the file system of the temporary folder does not have"
            );
        }
    }
    rustix::fs::mkdirat(rustix::fs::CWD, root.join("sticky"), Mode::from_raw_mode(0o700)).unwrap();
    rustix::fs::chmod(root.join("sticky"), Mode::from_raw_mode(0o1777)).unwrap();
    let pipe = Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), FileType::Fifo, pipe, 0).unwrap();
    if is_root() {
        let device = rustix::fs::makedev(1, 3);
        let mode = Mode::from_raw_mode(0o666);
        let _ =
            rustix::fs::mknodat(rustix::fs::CWD, root.join("null"), FileType::CharacterDevice, mode, device);
        for (name, owner) in [("folder/shared", 1234), ("link", 55), ("sticky", 77), ("pipe", 99)] {
            let (owner, group) = (Uid::from_raw(owner), Gid::from_raw(owner + 1));
            rustix::fs::chownat(
                rustix::fs::CWD,
                root.join(name),
                Some(owner),
                Some(group),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .unwrap();
        }
    } else {
        println!("skipped: owners and devices, which only root may set");
    }
}

/// Mode, owner, group, device and extended attributes of everything below a directory.
fn facts(root: &Path) -> BTreeMap<String, String> {
    let (mut facts, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let mut names = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut names).unwrap_or(0);
        let mut attributes: Vec<_> = names[..length]
            .split(|&byte| byte == 0)
            .filter(|name| name.starts_with(b"user."))
            .map(|name| {
                let mut value = vec![0; 4096];
                let length = rustix::fs::lgetxattr(&path, name, &mut value).unwrap();
                (String::from_utf8_lossy(name).into_owned(), value[..length].to_vec())
            })
            .collect();
        attributes.sort();
        let (mode, device) = (metadata.mode(), metadata.rdev());
        let fact = format!("{mode:o} {} {} {device} {attributes:?}", metadata.uid(), metadata.gid());
        facts.insert(path.strip_prefix(root).unwrap().display().to_string(), fact);
    }
    facts
}

fn run<T>(work: impl FnOnce(&Context<'_>) -> T) -> (T, Recording) {
    let (progress, cancel) = (Recording::default(), Cancel::new());
    let done = work(&Context::new(&progress, &cancel).with_threads(2).with_memory(16 << 20));
    (done, progress)
}

fn captured_wim(source: &Path) -> Vec<u8> {
    let options = CaptureOptions { unix_data: UnixData::Capture, ..CaptureOptions::default() };
    let captured = run(|cx| capture(cx, source, &options, None)).0.unwrap();
    wim_of(&captured.tree, &captured.contents)
}

fn apply_wim(
    bytes: Vec<u8>,
    target: &Path,
    unix_data: UnixRestore,
    alter: impl Fn(&mut Inode),
) -> (wim_core::base::Result<ApplyReport>, Recording) {
    let (wim, mut tree) = open_first(bytes);
    let nodes: Vec<_> = tree.walk(tree.root()).map(|visit| visit.node).collect();
    for node in nodes {
        let inode = tree.node(node).inode;
        alter(tree.inode_mut(inode));
    }
    let restore = RestoreOptions { unix_data, ..RestoreOptions::default() };
    let options = ApplyOptions { fixed_links: FixedLinks::AsStored, layout: Layout::KeepPaths, restore };
    run(|cx| apply(cx, &tree, &[&wim], target, &options, None))
}

#[test]
fn what_unix_has_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    sample(&source);
    let wim = captured_wim(&source);
    let (report, progress) = apply_wim(wim.clone(), &target, UnixRestore::Require, |_| ());
    let report = report.unwrap();
    assert_eq!(report.left_out.unix_data, 0, "{:?}", progress.warnings());
    assert_eq!(report.special_files, if is_root() && source.join("null").exists() { 2 } else { 1 });
    assert_eq!(facts(&target), facts(&source));
    assert_eq!(fs::read(target.join("secret too")).unwrap(), b"secret");
    // Once more onto what is there, special files among it.
    apply_wim(wim.clone(), &target, UnixRestore::Require, |_| ()).0.unwrap();
    assert_eq!(facts(&target), facts(&source));
    // Not asked for, files are the user's own and special ones empty.
    let plain = folder.path().join("plain");
    let report = apply_wim(wim, &plain, UnixRestore::Omit, |_| ()).0.unwrap();
    assert_eq!(report.special_files, 0);
    assert!(fs::symlink_metadata(plain.join("pipe")).unwrap().is_file());
    assert_eq!(fs::metadata(plain.join("program")).unwrap().mode() & 0o7000, 0);
}

#[test]
fn what_cannot_be_restored_is_counted_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    sample(&source);
    let wim = captured_wim(&source);
    // An attribute in a name space that no Linux has.
    let alter = |inode: &mut Inode| {
        let items = wim_core::formats::wim::tagged_items::extended_attributes_item(&[(
            b"nonsense.name".to_vec(),
            b"x".to_vec(),
        )]);
        if !inode.data().is_zero() && inode.reparse.is_none() {
            inode.tagged_items = items.unwrap().into();
        }
    };
    let lenient = folder.path().join("lenient");
    let (report, progress) = apply_wim(wim.clone(), &lenient, UnixRestore::Restore, alter);
    let report = report.unwrap();
    assert_eq!((report.left_out.unix_data, report.files), (3, 3));
    assert!(
        progress.warnings().iter().any(|warning| warning.contains("of 3 files")),
        "{:?}",
        progress.warnings()
    );
    let strict = folder.path().join("strict");
    let error = apply_wim(wim, &strict, UnixRestore::Require, alter).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("cannot restore") && error.remedy_text().is_some(), "{error}");
}

/// Both ways with wimlib, in a WIM and on the disk.
#[test]
fn wimlib_keeps_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    sample(&folder.join("source"));
    fs::write(folder.join("ours.wim"), captured_wim(&folder.join("source"))).unwrap();
    let wimlib = |arguments: &[&str]| {
        let run = Command::new("wimlib-imagex").args(arguments).arg("--quiet").current_dir(folder).output();
        run.map(|output| assert!(output.status.success(), "{output:?}")).is_ok()
    };
    if !wimlib(&["apply", "ours.wim", "theirs", "--unix-data"]) {
        println!("skipped: wimlib-imagex is not installed");
        return;
    }
    assert_eq!(facts(&folder.join("theirs")), facts(&folder.join("source")));
    wimlib(&["capture", "source", "theirs.wim", "--unix-data"]);
    let theirs = fs::read(folder.join("theirs.wim")).unwrap();
    apply_wim(theirs.clone(), &folder.join("ours"), UnixRestore::Require, |_| ()).0.unwrap();
    assert_eq!(facts(&folder.join("ours")), facts(&folder.join("source")));
    let items = |bytes: Vec<u8>| {
        let (wim, _) = open_first(bytes);
        let metadata = wim.read_metadata(wim.images().next().unwrap(), 1 << 20).unwrap();
        let tree = load::load(&metadata, &mut |e| panic!("{e}")).unwrap();
        let of = |node| (tree.path_of(node).to_string(), tree.inode_of(node).tagged_items.len());
        tree.walk(tree.root()).map(|visit| of(visit.node)).collect::<Vec<_>>()
    };
    assert_eq!(items(fs::read(folder.join("ours.wim")).unwrap()), items(theirs));
}
