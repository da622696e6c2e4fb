//! Images applied to an NTFS volume mounted by ntfs-3g, and captured again from it.
//!
//! Skipped where there is no ntfs-3g, or no FUSE for this user.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use wim_core::base::{Cancel, Context, FileTime, Recording};
use wim_core::formats::wim::attributes::ENCRYPTED;
use wim_core::formats::wim::reparse::{MOUNT_POINT, SYMLINK};
use wim_core::formats::wim::tagged_items::{EXTENDED_ATTRIBUTES, OBJECT_ID, extended_attributes_item, item};
use wim_core::image::edit::Times;
use wim_core::image::{Reparse, Stream, StreamKind, Streams};
use wim_core::transfer::apply::{
    ApplyOptions, ApplyReport, Descriptors, FixedLinks, Layout, RestoreOptions, apply,
};
use wim_core::transfer::capture::{CaptureOptions, Captured, Exclusions, capture};

use crate::diff::{diff_files, options};
use crate::rich_tree::{EVERYONE, RichTree, descriptor, sample};
use crate::sample_wim::{open_first, wim_of};

/// A new volume, mounted; unmounted when dropped.
struct Volume {
    folder: tempfile::TempDir,
}

impl Volume {
    /// None, with the reason printed, where it cannot be had.
    fn mounted(streams: &str) -> Option<Self> {
        let volume = Self { folder: tempfile::tempdir().unwrap() };
        let image = volume.folder.path().join("volume.ntfs");
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        fs::create_dir(volume.target()).unwrap();
        let runs = |command: &mut Command| {
            let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let is_made = runs(Command::new("mkntfs").args(["-F", "-Q", "-q"]).arg(&image));
        let option = format!("streams_interface={streams}");
        let mut mount = Command::new("ntfs-3g");
        if !is_made || !runs(mount.arg(&image).arg(volume.target()).args(["-o", &option])) {
            println!("skipped: ntfs-3g is not there or may not mount");
            return None;
        }
        Some(volume)
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ =
            Command::new("fusermount").arg("-u").arg("-z").arg(self.target()).stderr(Stdio::null()).status();
        let _ = Command::new("umount").arg("-l").arg(self.target()).stderr(Stdio::null()).status();
    }
}

fn with_context<T>(run: impl FnOnce(&Context<'_>) -> T) -> (T, Vec<String>) {
    let (cancel, progress) = (Cancel::new(), Recording::default());
    let done = run(&Context::new(&progress, &cancel).with_threads(2));
    (done, progress.warnings())
}

fn applied(rich: &RichTree, target: &Path, descriptors: Descriptors) -> (ApplyReport, Vec<String>) {
    let (wim, tree) = open_first(wim_of(&rich.tree, &rich.contents));
    let restore = RestoreOptions { descriptors, ..RestoreOptions::default() };
    let options = ApplyOptions { fixed_links: FixedLinks::AsStored, layout: Layout::KeepPaths, restore };
    let (done, warnings) = with_context(|cx| apply(cx, &tree, &[&wim], target, &options, None));
    (done.unwrap(), warnings)
}

fn captured(source: &Path) -> (Captured, Vec<String>) {
    let options = CaptureOptions { exclusions: Exclusions::none(), ..CaptureOptions::default() };
    let (done, warnings) = with_context(|cx| capture(cx, source, &options, None));
    (done.unwrap(), warnings)
}

/// What differs between an image and a capture, as `wim diff` tells it.
fn differences(rich: &RichTree, captured: &Captured) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old.wim", "new.wim"].map(|name| folder.path().join(name));
    fs::write(&old, wim_of(&rich.tree, &rich.contents)).unwrap();
    fs::write(&new, wim_of(&captured.tree, &captured.contents)).unwrap();
    let (found, _) = diff_files(&old, &new, &options()).unwrap();
    found.iter().map(ToString::to_string).collect()
}

/// The sample without what no volume takes through a mount: encrypted data and items that nobody knows; with extended
/// attributes, and a flag of links that the volume does not have.
fn holdable() -> RichTree {
    let mut rich = sample();
    let encrypted = rich.node("\\secret");
    rich.tree.remove(encrypted);
    // Read through a mount, files with several names have no short names.
    let second = rich.node("\\Windows\\System32\\notepad.exe");
    rich.tree.set_short_name(second, "".into()).unwrap();
    let object = rich.inode("\\object");
    object.unknown_54 = 0;
    let pairs = [(b"ALPHA".to_vec(), b"first".to_vec()), (b"B.C".to_vec(), vec![0; 300])];
    let id = item(OBJECT_ID, &[0xAB; 64]);
    object.tagged_items = [id, extended_attributes_item(&pairs).unwrap()].concat().into();
    let program = rich.inode("\\Program Files document.text");
    program.tagged_items = item(OBJECT_ID, &[&[0xCD; 16][..], &[0; 48]].concat()).into();
    let id = rich.tree.security_mut().add(&descriptor(EVERYONE)).unwrap();
    let files: Vec<_> =
        rich.tree.walk(rich.tree.root()).map(|visit| rich.tree.node(visit.node).inode).collect();
    for file in files {
        let inode = rich.tree.inode_mut(file);
        let as_captured = |reparse: Reparse| {
            let flags = u16::from(!matches!(reparse.tag, SYMLINK | MOUNT_POINT));
            Reparse { flags, ..reparse }
        };
        inode.reparse = inode.reparse.map(as_captured);
        // Every file of a volume has a descriptor.
        inode.security = inode.security.or(Some(id));
    }
    rich
}

#[test]
fn a_volume_keeps_all_that_windows_knows() {
    for streams in ["windows", "xattr"] {
        let Some(volume) = Volume::mounted(streams) else { return };
        let mut rich = holdable();
        if streams == "xattr" {
            // More than an extended attribute holds.
            let inode = rich.inode("\\Program Files document.text");
            let kept = inode.streams.iter().filter(|(kind, _)| **kind != StreamKind::Named("large".into()));
            let kept = kept.map(|(kind, digest)| Stream { kind: kind.clone(), digest });
            inode.streams = Streams::from_list(kept.collect());
        }
        let target = volume.target().join("applied");
        let (report, warnings) = applied(&rich, &target, Descriptors::Require);
        assert!(!report.left_out.is_something(), "{streams}: {:?} {warnings:?}", report.left_out);
        let (found, warnings) = captured(&target);
        assert_eq!(differences(&rich, &found), Vec::<String>::new(), "{streams}");
        assert_eq!(found.tree.security().len(), 2, "{streams}");
        assert_eq!(warnings, Vec::<String>::new(), "{streams}");
    }
}

#[test]
fn what_a_volume_cannot_take_is_counted_by_its_kind() {
    let Some(volume) = Volume::mounted("none") else { return };
    let mut rich = sample();
    rich.inode("\\empty").attributes = 0x820;
    rich.inode("\\Windows\\notepad.exe").tagged_items = item(OBJECT_ID, &[1; 5]).into();
    let lying = item(EXTENDED_ATTRIBUTES, b"\x01\0\x01\0A");
    rich.inode("\\Windows\\System32\\kernel32.dll").tagged_items = lying.into();
    rich.secure("\\empty", b"no descriptor");
    let short = rich.node("\\empty");
    rich.tree.set_short_name(short, "BAD*NAME".into()).unwrap();
    let (report, warnings) = applied(&rich, &volume.target(), Descriptors::Restore);
    let left = report.left_out;
    assert_eq!((left.named_streams, left.encrypted, left.reparse_points, left.names), (4, 1, 0, 0));
    assert_eq!((left.descriptors, left.attributes, left.short_names, left.object_ids), (1, 1, 1, 1));
    assert!(warnings.iter().any(|w| w.contains("1 short names were refused")), "{warnings:?}");
    let (found, warnings) = captured(&volume.target());
    assert!(warnings.iter().any(|w| w.contains("shows no named streams")), "{warnings:?}");
    // That of a file with several names.
    assert!(warnings.iter().any(|w| w.contains("1 short names")), "{warnings:?}");
    assert!(found.tree.find(&RichTree::path("\\wof")).is_some());
    // An image that has no descriptors to lose.
    let (report, _) = applied(&sample(), &volume.target().join("omitted"), Descriptors::Omit);
    assert_eq!(report.left_out.descriptors, 0);
}

#[test]
fn names_of_streams_lead_nowhere_else() {
    let Some(volume) = Volume::mounted("windows") else { return };
    let mut rich = RichTree::new();
    let file = rich.file("\\", "file", b"data");
    let outside = volume.folder.path().join("outside").display().to_string();
    for name in ["/../../outside", "a/b", "x:$DATA", outside.as_str()] {
        rich.stream(file, name, b"gone astray");
    }
    rich.stream(file, "good", b"in its place");
    rich.file("\\", "name:stream", b"a colon");
    let (report, _) = applied(&rich, &volume.target().join("deep"), Descriptors::Restore);
    assert_eq!((report.left_out.named_streams, report.left_out.names), (4, 1));
    assert!(!volume.folder.path().join("outside").exists());
    assert_eq!(fs::read(volume.target().join("deep/file:good")).unwrap(), b"in its place");
}

#[test]
fn times_are_kept_to_the_last_digit() {
    let Some(volume) = Volume::mounted("windows") else { return };
    let mut rich = RichTree::new();
    rich.file("\\", "file", b"data");
    rich.directory("\\", "directory");
    let odd = Times { creation: FileTime(1), last_write: FileTime(1 << 60), last_access: FileTime(12_345) };
    rich.inode("\\file").times = odd;
    rich.inode("\\directory").times = odd;
    applied(&rich, &volume.target().join("times"), Descriptors::Restore);
    let (found, _) = captured(&volume.target().join("times"));
    for name in ["\\file", "\\directory"] {
        let node = found.tree.find(&RichTree::path(name)).unwrap();
        assert_eq!(found.tree.inode_of(node).times, odd, "{name}");
        assert_eq!(found.tree.inode_of(node).attributes & ENCRYPTED, 0);
    }
}
