//! Images applied with a side file, changed or not, and captured again.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wim_core::base::{Cancel, Context, FileTime, Recording, WimString};
use wim_core::image::edit::Times;
use wim_core::image::{NodeId, StreamKind, Tree};
use wim_core::transfer::apply::{ApplyOptions, FixedLinks, Layout, RestoreOptions, SideFile, apply};
use wim_core::transfer::capture::{CaptureOptions, Captured, Exclusions, Metadata, capture, side_file_path};

use crate::diff::{diff_files, options};
use crate::rich_tree::{RichTree, odd_names, sample, times};
use crate::sample_wim::{open_first, wim_of};

struct Round {
    folder: tempfile::TempDir,
    progress: Recording,
}

impl Round {
    /// An image applied with its side file beside it.
    fn applied(rich: &RichTree) -> Self {
        let round = Self { folder: tempfile::tempdir().unwrap(), progress: Recording::default() };
        let (wim, tree) = open_first(wim_of(&rich.tree, &rich.contents));
        let (fixed_links, layout) = (FixedLinks::IntoTarget, Layout::KeepPaths);
        let options = ApplyOptions { fixed_links, layout, restore: RestoreOptions::default() };
        let cancel = Cancel::new();
        let cx = Context::new(&round.progress, &cancel).with_threads(2);
        let mut side_file = SideFile::create(&side_file_path(&round.out())).unwrap();
        let report = apply(&cx, &tree, &[&wim], &round.out(), &options, Some(&mut side_file)).unwrap();
        assert!(!report.left_out.is_something(), "{:?}", round.progress.warnings());
        side_file.finish(&cx, &[&wim]).unwrap();
        round
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn side_file(&self) -> PathBuf {
        side_file_path(&self.out())
    }

    fn try_capture(&self) -> wim_core::base::Result<Captured> {
        let cancel = Cancel::new();
        let cx = Context::new(&self.progress, &cancel).with_threads(2);
        let exclusions = Exclusions::none();
        let options = CaptureOptions { metadata: Metadata::Beside, exclusions, ..CaptureOptions::default() };
        capture(&cx, &self.out(), &options, None)
    }

    fn captured(&self) -> RichTree {
        let Captured { tree, contents, .. } = self.try_capture().unwrap();
        RichTree { tree, contents }
    }

    /// What differs between the image and the capture, as `wim diff` tells it.
    fn differences(&self, rich: &RichTree) -> Vec<String> {
        let [old, new] = ["old.wim", "new.wim"].map(|name| self.folder.path().join(name));
        let captured = self.captured();
        fs::write(&old, wim_of(&rich.tree, &rich.contents)).unwrap();
        fs::write(&new, wim_of(&captured.tree, &captured.contents)).unwrap();
        let (found, _) = diff_files(&old, &new, &options()).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        fs::write(self.out().join(path), bytes).unwrap();
    }
}

fn set_time(path: &Path, time: FileTime) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(time.to_system_time()).unwrap();
}

#[test]
fn nothing_is_lost_on_the_way_to_a_directory_and_back() {
    for rich in [sample(), odd_names(), RichTree::new()] {
        let round = Round::applied(&rich);
        assert_eq!(round.differences(&rich), Vec::<String>::new());
        assert!(rich.tree == round.captured().tree);
    }
}

#[test]
fn without_its_side_file_a_capture_asks_for_it() {
    let round = Round::applied(&sample());
    fs::remove_file(round.side_file()).unwrap();
    let error = round.try_capture().unwrap_err();
    assert!(error.to_string().contains("out.wim-metadata"), "{error}");
}

#[test]
fn side_files_are_the_same_every_time_and_lie_beside_the_directory() {
    // But for links into the target, which lies elsewhere.
    let text = |round: &Round| {
        let folder = round.folder.path().canonicalize().unwrap().display().to_string();
        fs::read_to_string(round.side_file()).unwrap().replace(&folder, "")
    };
    assert!(text(&Round::applied(&sample())) == text(&Round::applied(&sample())));
    assert_eq!(side_file_path(Path::new("a/b")), Path::new("a/b.wim-metadata"));
    assert_eq!(side_file_path(Path::new("a/b/")), Path::new("a/b.wim-metadata"));
    let here = std::env::current_dir().unwrap();
    let name = format!("{}.wim-metadata", here.file_name().unwrap().to_str().unwrap());
    assert_eq!(side_file_path(Path::new(".")), here.with_file_name(name));
}

#[test]
fn what_changed_on_the_host_keeps_everything_else() {
    let rich = sample();
    let round = Round::applied(&rich);
    let now = FileTime::from_unix(1_234_567_890, 500);
    round.write("Windows/System32/kernel32.dll", b"patched");
    set_time(&round.out().join("Windows/System32/kernel32.dll"), now);
    round.write("Program Files document.text", b"text");
    set_time(&round.out().join("Program Files document.text"), now);
    round.write("Windows/new file", b"new");
    fs::remove_file(round.out().join("object")).unwrap();
    fs::remove_file(round.out().join("Windows/relative")).unwrap();
    symlink("elsewhere", round.out().join("Windows/relative")).unwrap();
    // No encrypted file and no reparse points any more.
    round.write("secret", b"not secret now");
    round.write("wof", b"unpacked");
    round.write("cloud folder/inside", b"a file");
    let captured = round.captured();
    let inode = |path: &str| captured.tree.inode_of(captured.node(path));
    let before = |path: &str| rich.tree.inode_of(rich.node(path));
    let changed = Times { last_write: now, last_access: now, ..times(1_000_000_000) };

    let kernel = inode("\\Windows\\System32\\kernel32.dll");
    assert_eq!((kernel.times, kernel.attributes), (changed, 0x20));
    assert_eq!(kernel.data(), wim_core::base::Sha1Digest::of(b"patched"));
    let document = captured.node("\\Program Files document.text");
    assert_eq!(captured.tree.node(document).short_name, *"PROGRA~1.TEX");
    let document = captured.tree.inode_of(document);
    assert_eq!(document.times, changed);
    assert_eq!(document.streams, before("\\Program Files document.text").streams);
    assert_eq!(inode("\\Windows\\new file").security, None);
    assert!(captured.tree.find(&RichTree::path("\\object")).is_none());
    let link = inode("\\Windows\\relative");
    assert_ne!(link.streams, before("\\Windows\\relative").streams);
    assert_eq!(link.times.creation, times(1_100_000_000).creation);
    for path in ["\\secret", "\\wof"] {
        let file = inode(path);
        assert_eq!((file.attributes, file.reparse), (0x20, None), "{path}");
        assert!(file.streams.get(&StreamKind::Efs).is_zero() && !file.data().is_zero());
    }
    assert!(inode("\\cloud folder").is_directory());
    assert!(captured.tree.find(&RichTree::path("\\cloud folder\\inside")).is_some());
    // The directory that lost a file has another time, and its descriptor still.
    let windows = inode("\\Windows");
    assert_eq!(windows.times.creation, times(950_000_000).creation);
    assert_ne!(windows.times.last_write, before("\\Windows").times.last_write);
    let descriptor = |tree: &Tree, id| tree.security().get(id).unwrap().to_vec();
    assert_eq!(
        descriptor(&captured.tree, windows.security.unwrap()),
        descriptor(&rich.tree, before("\\Windows").security.unwrap())
    );
}

#[test]
fn hard_links_are_what_the_host_says_and_else_what_they_were() {
    let rich = sample();
    let round = Round::applied(&rich);
    let (one, two) =
        (round.out().join("Windows/notepad.exe"), round.out().join("Windows/System32/notepad.exe"));
    let same = |round: &Round| {
        let captured = round.captured();
        let inode = |path: &str| captured.tree.node(captured.node(path)).inode;
        inode("\\Windows\\notepad.exe") == inode("\\Windows\\System32\\notepad.exe")
    };
    assert!(same(&round));
    // A copy with the same bytes and time, as hosts without hard links have it.
    let time = fs::metadata(&one).unwrap().modified().unwrap();
    fs::remove_file(&two).unwrap();
    fs::copy(&one, &two).unwrap();
    set_time(&two, FileTime::from_system_time(time));
    assert!(same(&round));
    // One of them was changed: two files now, each with the metadata of the one.
    fs::write(&two, b"another program").unwrap();
    assert!(!same(&round));
    let captured = round.captured();
    let second = captured.node("\\Windows\\System32\\notepad.exe");
    assert_eq!(captured.tree.node(second).short_name, *"NOTEPA~1.EXE");
    assert!(captured.tree.inode_of(second).security.is_some());
}

#[test]
fn names_that_the_host_cannot_hold_have_others_there() {
    let rich = odd_names();
    let round = Round::applied(&rich);
    let long = fs::read_dir(round.out())
        .unwrap()
        .map(|entry| entry.unwrap())
        .find(|entry| entry.file_name().to_string_lossy().contains("~wim"))
        .unwrap();
    assert!(long.path().join("inside").is_file());
    // A new file beside those that are there is new.
    fs::write(long.path().join("new"), b"new").unwrap();
    let captured = round.captured();
    let name = WimString::from("\u{6F22}".repeat(255).as_str());
    let directory = captured.tree.child(captured.tree.root(), &name).unwrap();
    assert_eq!(captured.tree.children(directory).len(), 3);
    assert!(captured.tree.child(directory, &WimString::from("new")).is_some());
}

#[test]
fn hostile_side_files_are_refused_or_harmless() {
    let round = Round::applied(&sample());
    let good = fs::read_to_string(round.side_file()).unwrap();
    for (from, to) in [
        ("\"name\":\"object\"", "\"name\":\"../../object\",\"host_name\":\"object\""),
        ("\"name\":\"object\"", "\"name\":\"..\",\"host_name\":\"object\""),
        ("\"name\":\"object\"", "\"name\":\"\\\\005c\",\"host_name\":\"object\""),
        ("\"name\":\"object\"", "\"name\":\"\\\\0\",\"host_name\":\"object\""),
        ("\"items\":\"", "\"items\":\"x"),
        ("\"version\":1", "\"version\":9"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        fs::write(round.side_file(), bad).unwrap();
        assert!(round.try_capture().is_err(), "{to}");
    }
    // Names that belong to nothing are nothing.
    let stray =
        good.replacen("\"name\":\"object\"", "\"name\":\"object\",\"host_name\":\"../../etc/passwd\"", 1);
    fs::write(round.side_file(), stray).unwrap();
    let captured = round.captured();
    assert!(captured.tree.inode_of(captured.node("\\object")).tagged_items.is_empty());
}

#[derive(Clone, Debug)]
enum Piece {
    Directory(u8),
    File(u8, Vec<u8>),
    Link(u8),
    Stream(u8, Vec<u8>),
    HardLink(u8, u8),
    Secure(u8, u8),
    ShortName(u8),
    Times(u8, u64),
    Attributes(u8, u32),
    Item(u8, Vec<u8>),
}

fn piece() -> impl Strategy<Value = Piece> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        any::<u8>().prop_map(Piece::Directory),
        (any::<u8>(), bytes()).prop_map(|(at, bytes)| Piece::File(at, bytes)),
        any::<u8>().prop_map(Piece::Link),
        (any::<u8>(), bytes()).prop_map(|(at, bytes)| Piece::Stream(at, bytes)),
        (any::<u8>(), any::<u8>()).prop_map(|(at, to)| Piece::HardLink(at, to)),
        (any::<u8>(), any::<u8>()).prop_map(|(at, sid)| Piece::Secure(at, sid)),
        any::<u8>().prop_map(Piece::ShortName),
        (any::<u8>(), any::<u64>()).prop_map(|(at, time)| Piece::Times(at, time)),
        (any::<u8>(), any::<u32>()).prop_map(|(at, bits)| Piece::Attributes(at, bits)),
        (any::<u8>(), bytes()).prop_map(|(at, bytes)| Piece::Item(at, bytes)),
    ]
}

/// Names that are short, long, odd, or halves of characters.
fn name(number: usize) -> WimString {
    match number % 6 {
        0 => WimString::from(format!("file {number}").as_str()),
        1 => WimString::from(format!("{}{number}", "\u{6F22}".repeat(100)).as_str()),
        2 => WimString::from_units(vec![0xDC00, 0x41 + (number as u16) % 20, 0xD800, number as u16 + 0x30]),
        3 => WimString::from(format!("NUL.{number}").as_str()),
        4 => WimString::from(format!("a:b*{number}. ").as_str()),
        _ => WimString::from(format!("~wim{number}").as_str()),
    }
}

/// A link, junction or other reparse point, to places that hosts can express or not.
fn add_link(rich: &mut RichTree, number: usize, kind: u8) {
    let tag = [0xA000_000C, 0xA000_0003, 0x8000_0017][usize::from(kind) % 3];
    let target: WimString = ["a\\b", "\\??\\C:\\x", "\\??\\Volume{1}\\"][usize::from(kind / 3) % 3].into();
    let is_relative = target.units()[0] != u16::from(b'\\');
    let target = wim_core::formats::wim::reparse::LinkTarget {
        print: target.clone(),
        substitute: target,
        is_relative,
    };
    let data = if tag == 0xA000_0003 { target.to_junction_data() } else { target.to_symlink_data() };
    let attributes = u32::from(kind & 1) << 4;
    rich.reparse("\\", &format!("link {number}"), (tag, u16::from(kind >> 7)), attributes, &data.unwrap());
}

fn build(pieces: &[Piece]) -> RichTree {
    let mut rich = RichTree::new();
    for (number, piece) in pieces.iter().enumerate() {
        let nodes: Vec<NodeId> = rich.tree.walk(rich.tree.root()).map(|visit| visit.node).collect();
        let any = |at: u8| nodes[usize::from(at) % nodes.len()];
        let directory = |tree: &Tree, at: u8| {
            let node = any(at);
            if tree.inode_of(node).is_directory() { node } else { tree.root() }
        };
        let inode_of = |tree: &Tree, at: u8| tree.node(any(at)).inode;
        match piece {
            Piece::Directory(at) => {
                let inode = wim_core::image::Inode { attributes: 0x10, ..Default::default() };
                rich.tree.add(directory(&rich.tree, *at), name(number), inode).unwrap();
            }
            Piece::File(at, bytes) => {
                let streams = wim_core::image::Streams::data(rich.blob(bytes));
                let inode = wim_core::image::Inode { attributes: 0x80, streams, ..Default::default() };
                rich.tree.add(directory(&rich.tree, *at), name(number), inode).unwrap();
            }
            Piece::Link(kind) => add_link(&mut rich, number, *kind),
            Piece::Stream(at, bytes) => rich.stream(any(*at), &format!("s\\{number}"), bytes),
            Piece::HardLink(at, to) => {
                let inode = inode_of(&rich.tree, *at);
                let to = directory(&rich.tree, *to);
                // Directories and reparse points have one name.
                let _ = rich.tree.add_name(to, name(number), inode);
            }
            Piece::Secure(at, sid) => {
                let bytes = vec![*sid; usize::from(*sid)];
                let id = rich.tree.security_mut().add(&bytes).unwrap();
                let inode = inode_of(&rich.tree, *at);
                rich.tree.inode_mut(inode).security = Some(id);
            }
            Piece::ShortName(at) if any(*at) != rich.tree.root() => {
                rich.tree.set_short_name(any(*at), format!("S{number}~1").as_str().into()).unwrap();
            }
            Piece::ShortName(_) => {}
            Piece::Times(at, time) => {
                let inode = inode_of(&rich.tree, *at);
                let times = Times {
                    creation: FileTime(time.rotate_left(20)),
                    last_write: FileTime(*time),
                    last_access: FileTime(time >> 3),
                };
                rich.tree.inode_mut(inode).times = times;
            }
            Piece::Attributes(at, bits) => {
                let inode = inode_of(&rich.tree, *at);
                let kind = 0x10 | 0x400 | 0x4000;
                let inode = rich.tree.inode_mut(inode);
                inode.attributes = inode.attributes & kind | bits & !kind;
            }
            Piece::Item(at, bytes) => {
                let inode = inode_of(&rich.tree, *at);
                let items = wim_core::formats::wim::tagged_items::item(u32::from(*at) + 2, bytes);
                rich.tree.inode_mut(inode).tagged_items = items.into();
            }
        }
    }
    rich
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Any image with any metadata comes back from a directory as it was.
    #[test]
    fn random_trees_come_back_with_all_they_had(pieces in prop::collection::vec(piece(), 0..40)) {
        let rich = build(&pieces);
        let round = Round::applied(&rich);
        prop_assert_eq!(round.differences(&rich), Vec::<String>::new());
    }
}
