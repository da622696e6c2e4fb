//! The files of a mounted image without a kernel: an empty image, changed and read back.

#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;

use super::{Bytes, MountedFiles, NewFacts, ROOT};
use crate::base::{Cancel, Context, FileTime, Sha1Digest, Silent};
use crate::image::edit::Content;
use crate::image::glob::Case;
use crate::image::{StreamKind, Tree, WimPath};
use crate::transfer::mount::{Access, MountSettings, Others, StreamsInterface, UnixRules};
use crate::transfer::read::RandomReader;

const TIME: FileTime = FileTime(130_000_000_000_000_000);

struct Image {
    files: MountedFiles,
    folder: tempfile::TempDir,
}

fn image(adapt: impl FnOnce(&mut MountSettings)) -> Image {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = MountSettings {
        mountpoint: "/mnt/image".into(),
        access: Access::ReadWrite { staging_parent: folder.path().to_owned(), prefix: ".staging-".into() },
        streams: StreamsInterface::Xattr,
        unix: UnixRules::Mounter,
        others: Others::Refused,
        case: Case::Matters,
        source_name: "test".into(),
        threads: 1,
        clock: || TIME,
    };
    adapt(&mut settings);
    let reader = Arc::new(RandomReader::new(Vec::new(), 1 << 20));
    Image { files: MountedFiles::new(Tree::new_empty(), reader, settings).unwrap(), folder }
}

impl Image {
    fn write(&mut self, parent: u64, name: &str, bytes: &[u8]) -> u64 {
        let number = self.files.create(parent, OsStr::new(name), (0o644, 0), (1, 2)).unwrap().number;
        let handle = self.files.open(number, true).unwrap();
        self.files.write(handle, bytes, 0).unwrap();
        self.files.close(handle);
        number
    }

    fn read(&mut self, number: u64) -> Vec<u8> {
        let handle = self.files.open(number, false).unwrap();
        let bytes = match self.files.bytes(handle).unwrap() {
            Bytes::Empty => Vec::new(),
            Bytes::Staged(staged) => staged.read(0, 1 << 20).unwrap(),
            Bytes::Blob(_) => panic!("no file has blobs"),
        };
        self.files.close(handle);
        bytes
    }

    fn look_up(&mut self, parent: u64, name: &str) -> Result<u64, Errno> {
        self.files.look_up(parent, OsStr::new(name)).map(|facts| facts.number)
    }

    fn rename(&mut self, from: (u64, &str), to: (u64, &str)) -> Result<(), Errno> {
        self.files.rename((from.0, OsStr::new(from.1)), (to.0, OsStr::new(to.1)), true)
    }

    /// The tree and the contents by digest.
    fn changes(&self) -> (Tree, Vec<(Sha1Digest, Content)>) {
        let cancel = Cancel::default();
        let changed = self.files.changes(&Context::new(&Silent, &cancel), &|_| false).unwrap();
        (changed.tree, changed.contents)
    }
}

#[test]
fn what_is_written_is_read_back_and_committed() {
    let mut image = image(|_| {});
    let folder = image.files.create(ROOT, OsStr::new("d"), (0o040_755, 0), (0, 0)).unwrap();
    assert_eq!((folder.mode, folder.times.last_write), (0o040_777, TIME));
    let file = image.write(folder.number, "a", b"hello world");
    let facts = image.files.change(file, &NewFacts { size: Some(5), ..NewFacts::default() }).unwrap();
    assert_eq!((facts.size, image.read(file)), (5, b"hello".to_vec()));
    image.write(folder.number, "empty", b"");
    image.write(folder.number, "twin", b"hello");
    let (tree, contents) = image.changes();
    let path = |text: &str| tree.inode_of(tree.find(&WimPath::parse(text).unwrap()).unwrap()).data();
    assert_eq!(path("\\d\\a"), Sha1Digest::of(b"hello"));
    assert_eq!(path("\\d\\empty"), Sha1Digest::ZERO);
    assert_eq!(contents.len(), 1, "equal contents are stored once: {contents:?}");
    assert!(image.files.has_changed());
}

#[test]
fn names_move_link_and_vanish_as_posix_says() {
    let mut image = image(|_| {});
    let d = image.files.create(ROOT, OsStr::new("d"), (0o040_755, 0), (0, 0)).unwrap().number;
    let a = image.write(ROOT, "a", b"a");
    let b = image.write(d, "b", b"b");
    assert_eq!(image.files.link(a, d, OsStr::new("a2")).unwrap().links, 2);
    assert_eq!(image.files.link(d, ROOT, OsStr::new("d2")), Err(Errno::PERM));
    assert_eq!(image.rename((ROOT, "a"), (d, "a2")), Ok(()), "two names of one file: nothing happens");
    assert_eq!(image.look_up(ROOT, "a"), Ok(a));
    assert_eq!(image.rename((ROOT, "a"), (d, "b")), Ok(()));
    assert_eq!((image.look_up(ROOT, "a"), image.look_up(d, "b")), (Err(Errno::NOENT), Ok(a)));
    assert_eq!(image.files.facts(b).unwrap().links, 0, "the file that was there has lost its name");
    assert_eq!(image.rename((ROOT, "d"), (d, "in itself")), Err(Errno::INVAL));
    assert_eq!(image.files.rmdir(ROOT, OsStr::new("d")), Err(Errno::NOTEMPTY));
    assert_eq!(image.files.unlink(ROOT, OsStr::new("d")), Err(Errno::ISDIR));
    for name in ["b", "a2"] {
        image.files.unlink(d, OsStr::new(name)).unwrap();
    }
    assert_eq!(image.files.rmdir(ROOT, OsStr::new("d")), Ok(()));
    let handle = image.files.open_directory(ROOT).unwrap();
    assert_eq!(image.files.entries(handle).unwrap().len(), 2, ". and ..");
    let (tree, contents) = image.changes();
    assert_eq!((tree.children(tree.root()).len(), contents.len()), (0, 0));
}

#[test]
fn names_that_no_image_can_hold_and_missing_ones_are_refused() {
    let mut image = image(|_| {});
    let bad: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"\xFF");
    assert_eq!(image.files.create(ROOT, bad, (0o644, 0), (0, 0)), Err(Errno::ILSEQ));
    let backslash = image.files.create(ROOT, OsStr::new("a\\b"), (0o644, 0), (0, 0));
    assert_eq!(backslash, Err(Errno::INVAL));
    let a = image.write(ROOT, "a", b"");
    assert_eq!(image.files.create(ROOT, OsStr::new("a"), (0o644, 0), (0, 0)), Err(Errno::EXIST));
    assert_eq!(image.look_up(ROOT, "A"), Err(Errno::NOENT));
    assert_eq!(image.look_up(a, "x"), Err(Errno::NOTDIR));
    assert_eq!(image.files.facts(99), Err(Errno::STALE));
    assert_eq!(image.files.facts(1 << 40), Err(Errno::STALE));
    assert!(matches!(image.files.bytes(12345), Err(Errno::BADF)));
    assert_eq!(image.files.write(12345, b"x", 0), Err(Errno::BADF));
}

#[test]
fn named_streams_are_attributes() {
    let mut image = image(|_| {});
    let a = image.write(ROOT, "a", b"data");
    let name = OsStr::new("user.ads");
    assert_eq!(image.files.xattr(a, name), Err(Errno::NODATA));
    image.files.set_xattr(a, name, b"stream", (true, false)).unwrap();
    assert_eq!(image.files.set_xattr(a, name, b"", (true, false)), Err(Errno::EXIST));
    assert_eq!(image.files.xattr(a, OsStr::new("user.ADS")).unwrap(), b"stream");
    assert_eq!(image.files.xattr_names(a).unwrap(), b"user.ads\0");
    assert_eq!(image.files.xattr(a, OsStr::new("trusted.x")), Err(Errno::OPNOTSUPP));
    let (tree, contents) = image.changes();
    let node = tree.find(&WimPath::parse("\\a").unwrap()).unwrap();
    let streams = &tree.inode_of(node).streams;
    assert_eq!(streams.get(&StreamKind::Named("ads".into())), Sha1Digest::of(b"stream"));
    assert_eq!(contents.len(), 2);
    image.files.remove_xattr(a, name).unwrap();
    assert_eq!(image.files.remove_xattr(a, name), Err(Errno::NODATA));
    assert_eq!((image.files.xattr_names(a).unwrap(), image.read(a)), (Vec::new(), b"data".to_vec()));
}

#[test]
fn named_streams_are_files_behind_a_colon() {
    let mut image = image(|settings| settings.streams = StreamsInterface::Windows);
    let a = image.write(ROOT, "a", b"data");
    assert_eq!(image.look_up(ROOT, "a:s"), Err(Errno::NOENT));
    let stream = image.write(ROOT, "a:s", b"stream");
    assert_eq!((image.look_up(ROOT, "a:S"), image.read(stream)), (Ok(stream), b"stream".to_vec()));
    assert_eq!((image.files.facts(stream).unwrap().size, image.read(a)), (6, b"data".to_vec()));
    assert_eq!(image.files.xattr_names(a).unwrap(), b"");
    let (tree, _) = image.changes();
    assert_eq!(tree.children(tree.root()).len(), 1);
    image.files.unlink(ROOT, OsStr::new("a:s")).unwrap();
    assert_eq!(image.look_up(ROOT, "a:s"), Err(Errno::NOENT));
}

#[test]
fn links_become_native_ones_and_lead_where_they_led() {
    let mut image = image(|_| {});
    for (name, target) in [("r", "d/x"), ("inside", "/mnt/image/d"), ("outside", "/etc/hosts")] {
        let link = image.files.symlink(ROOT, OsStr::new(name), Path::new(target), (0, 0)).unwrap();
        assert_eq!(image.files.link_text(link.number).unwrap(), target);
        assert_eq!((link.mode, link.size), (0o120_777, target.len() as u64));
    }
    let (tree, contents) = image.changes();
    let inside = tree.inode_of(tree.find(&WimPath::parse("\\inside").unwrap()).unwrap());
    assert_eq!((inside.reparse.unwrap().flags, contents.len()), (0, 3));
}

#[test]
fn unix_data_hold_owners_modes_and_devices() {
    let mut image = image(|settings| settings.unix = UnixRules::FromImage);
    let device = image.files.create(ROOT, OsStr::new("tty"), (0o020_620, 0x501), (3, 4)).unwrap();
    assert_eq!((device.mode, device.device, device.owner), (0o020_620, 0x501, (3, 4)));
    let a = image.write(ROOT, "a", b"");
    let new = NewFacts { mode: Some(0o100_600), owner: (None, Some(9)), ..NewFacts::default() };
    let facts = image.files.change(a, &new).unwrap();
    assert_eq!((facts.mode, facts.owner), (0o100_600, (1, 9)));
    let mut plain = self::image(|_| {});
    let b = plain.write(ROOT, "b", b"");
    assert_eq!(plain.files.change(b, &new), Err(Errno::OPNOTSUPP));
    let pipe = plain.files.create(ROOT, OsStr::new("p"), (0o010_600, 0), (0, 0));
    assert_eq!(pipe, Err(Errno::PERM));
}

#[test]
fn nothing_changes_in_a_read_only_or_frozen_image() {
    let mut fixed = image(|settings| settings.access = Access::ReadOnly);
    assert_eq!(fixed.files.create(ROOT, OsStr::new("a"), (0o644, 0), (0, 0)), Err(Errno::ROFS));
    assert_eq!(fixed.files.open(ROOT, false), Err(Errno::ISDIR));
    let mut frozen = image(|_| {});
    let a = frozen.write(ROOT, "a", b"x");
    let handle = frozen.files.open(a, true).unwrap();
    assert_eq!(frozen.files.open_for_writing(), 1);
    frozen.files.freeze(true);
    assert_eq!(frozen.files.write(handle, b"y", 0), Err(Errno::ROFS));
    assert_eq!(frozen.files.unlink(ROOT, OsStr::new("a")), Err(Errno::ROFS));
    frozen.files.freeze(false);
    assert_eq!(frozen.files.write(handle, b"y", 0), Ok(()));
}

#[test]
fn the_staging_folder_goes_with_the_mount() {
    let mut image = image(|_| {});
    image.write(ROOT, "a", b"x");
    let left = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left(image.folder.path()), 1);
    let Image { files, folder } = image;
    drop(files);
    assert_eq!(left(folder.path()), 0);
}
