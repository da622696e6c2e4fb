//! Directories captured, stored, applied again and compared: a round trip with the file system in the middle.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use wim_core::base::{Cancel, Context, ErrorKind, FileTime, Recording, Result};
use wim_core::formats::wim::WimFile;
use wim_core::image::edit::Content;
use wim_core::image::glob::{Case, PathGlob};
use wim_core::image::{Tree, WimPath};
use wim_core::transfer::apply::{
    ApplyOptions, ApplyReport, Attributes, Damaged, Descriptors, FixedLinks, InvalidNames, Layout,
    RestoreOptions, UnixRestore, apply, extract, write_file_to,
};
use wim_core::transfer::capture::{AbsoluteLinks, CaptureOptions, Captured, Exclusions, Links, capture};

use crate::sample_wim::{open_first, wim_of};
use crate::samples::mixed_bytes;

const RESTORE: RestoreOptions = RestoreOptions {
    unix_data: UnixRestore::Omit,
    descriptors: Descriptors::Omit,
    attributes: Attributes::Restore,
    damaged: Damaged::Fail,
    invalid_names: InvalidNames::LeaveOut,
};
const OPTIONS: ApplyOptions =
    ApplyOptions { fixed_links: FixedLinks::AsStored, layout: Layout::Flat, restore: RESTORE };

struct Run {
    progress: Recording,
    cancel: Cancel,
    threads: usize,
}

impl Run {
    fn new(threads: usize) -> Self {
        Self { progress: Recording::default(), cancel: Cancel::new(), threads }
    }

    fn cx(&self) -> Context<'_> {
        Context::new(&self.progress, &self.cancel).with_threads(self.threads).with_memory(16 << 20)
    }
}

fn captured(source: &Path, options: &CaptureOptions) -> Captured {
    capture(&Run::new(2).cx(), source, options, None).unwrap()
}

fn applied(wim: &WimFile, tree: &Tree, target: &Path) -> ApplyReport {
    apply(&Run::new(2).cx(), tree, &[wim], target, &OPTIONS, None).unwrap()
}

/// A tree with what Unix has: links of both kinds, an empty file, a large one, equal contents, odd names and times.
fn sample(root: &Path) {
    fs::create_dir_all(root.join("Windows/System32/drivers")).unwrap();
    fs::create_dir(root.join("empty directory")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).unwrap();
    write("Windows/a.txt", b"hello");
    write("Windows/System32/same.txt", b"hello");
    write("empty", b"");
    write("Windows/System32/big.dll", &mixed_bytes(1, 5_000_000));
    write("Windows/big copy.dll", &mixed_bytes(1, 5_000_000));
    for i in 0..300u32 {
        write(&format!("Windows/System32/drivers/{i:03}.sys"), &mixed_bytes(u64::from(i), 10 * i as usize));
    }
    fs::hard_link(root.join("Windows/a.txt"), root.join("Windows/System32/linked.txt")).unwrap();
    fs::hard_link(root.join("Windows/System32/big.dll"), root.join("big link")).unwrap();
    fs::hard_link(root.join("empty"), root.join("Windows/empty link")).unwrap();
    symlink("../a.txt", root.join("Windows/System32/relative")).unwrap();
    symlink("nowhere", root.join("broken")).unwrap();
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink(root.join("Windows/System32"), root.join("inside")).unwrap();
    write("日本語 😀", b"unicode");
    fs::write(root.join(OsStr::from_bytes(b"half \xED\xA0\xBD")), b"half a pair").unwrap();
    let time = FileTime(132_537_600_123_456_700).to_system_time();
    fs::File::options().write(true).open(root.join("Windows/a.txt")).unwrap().set_modified(time).unwrap();
    let old = FileTime::from_unix(-1000, 500).to_system_time();
    fs::File::open(root.join("empty directory")).unwrap().set_modified(old).unwrap();
}

/// What is compared of a file: kind and content, times, and the first of its names.
type Facts = BTreeMap<PathBuf, (String, i64, i64, PathBuf)>;

fn facts(root: &Path) -> Facts {
    let mut facts = Facts::new();
    let mut first_names: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let path = root.join(&relative);
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            open.extend(names.iter().rev().map(|name| relative.join(name)));
            format!("directory of {}", names.len())
        } else if metadata.is_symlink() {
            format!("link to {}", fs::read_link(&path).unwrap().display())
        } else {
            let bytes = fs::read(&path).unwrap();
            format!("{} bytes, {:?}", bytes.len(), wim_core::base::Sha1Digest::of(&bytes))
        };
        let first = first_names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| relative.clone());
        let first = first.clone();
        facts.insert(relative, (content, metadata.mtime(), metadata.mtime_nsec() / 100, first));
    }
    facts
}

fn assert_same(a: &Facts, b: &Facts) {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (path, facts) in a {
        assert_eq!(facts, &b[path], "{}", path.display());
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_is_captured_and_applied_is_the_same_directory() {
    let (source, target) = (folder(), folder());
    sample(source.path());
    let options = CaptureOptions { absolute_links: AbsoluteLinks::Keep, ..CaptureOptions::default() };
    let captured = captured(source.path(), &options);
    // hello, big.dll, 299 drivers that are not empty, two texts, four links.
    assert_eq!(captured.contents.len(), 2 + 299 + 2 + 4);
    assert_eq!(captured.totals.directories, 5);
    let (wim, tree) = open_first(wim_of(&captured.tree, &captured.contents));
    assert_eq!(tree, captured.tree);
    let report = applied(&wim, &tree, target.path());
    assert_same(&facts(source.path()), &facts(target.path()));
    assert_eq!((report.directories, report.symbolic_links, report.hard_links), (4, 4, 3));
    assert!(!report.left_out.is_something());
    // Over itself: files are replaced, nothing is left beside them.
    let before = facts(target.path());
    applied(&wim, &tree, target.path());
    assert_same(&before, &facts(target.path()));
}

#[test]
fn capturing_twice_with_any_number_of_threads_gives_the_same_image() {
    let source = folder();
    sample(source.path());
    let options = CaptureOptions::default();
    let images: Vec<Vec<u8>> = [1, 2, 8]
        .iter()
        .map(|&threads| {
            let captured = capture(&Run::new(threads).cx(), source.path(), &options, None).unwrap();
            wim_of(&captured.tree, &captured.contents)
        })
        .collect();
    assert!(images.iter().all(|image| *image == images[0]));
}

#[test]
fn any_number_of_threads_makes_the_same_directory() {
    let source = folder();
    sample(source.path());
    let options = CaptureOptions { absolute_links: AbsoluteLinks::Keep, ..CaptureOptions::default() };
    let captured = captured(source.path(), &options);
    let (wim, tree) = open_first(wim_of(&captured.tree, &captured.contents));
    let expected = facts(source.path());
    let mut reports = Vec::new();
    for threads in [1, 2, 3, 16] {
        let target = folder();
        // What is there already is replaced, by whichever thread.
        fs::create_dir_all(target.path().join("Windows/System32")).unwrap();
        fs::write(target.path().join("Windows/big copy.dll"), b"old").unwrap();
        fs::write(target.path().join("Windows/System32/same.txt"), b"old").unwrap();
        reports.push(apply(&Run::new(threads).cx(), &tree, &[&wim], target.path(), &OPTIONS, None).unwrap());
        assert_same(&expected, &facts(target.path()));
    }
    assert!(reports.iter().all(|report| *report == reports[0]), "{reports:?}");
}

#[test]
fn links_into_the_captured_directory_move_with_it() {
    let (source, target) = (folder(), folder());
    fs::create_dir(source.path().join("dir")).unwrap();
    fs::write(source.path().join("dir/file"), b"x").unwrap();
    symlink(source.path().join("dir/file"), source.path().join("inside")).unwrap();
    symlink(source.path(), source.path().join("root")).unwrap();
    symlink("/etc/passwd", source.path().join("outside")).unwrap();
    let run = Run::new(1);
    let captured = capture(&run.cx(), source.path(), &CaptureOptions::default(), None).unwrap();
    assert_eq!(run.progress.warnings().len(), 2);
    let (wim, tree) = open_first(wim_of(&captured.tree, &captured.contents));
    let options = ApplyOptions { fixed_links: FixedLinks::IntoTarget, ..OPTIONS };
    apply(&Run::new(1).cx(), &tree, &[&wim], target.path(), &options, None).unwrap();
    let root = target.path().canonicalize().unwrap();
    let link = |name: &str| fs::read_link(target.path().join(name)).unwrap();
    assert_eq!(link("inside"), root.join("dir/file"));
    assert_eq!(link("root"), root);
    assert_eq!(link("outside"), Path::new("/etc/passwd"));
    applied(&wim, &tree, target.path());
    assert_eq!(link("inside"), Path::new("/dir/file"));
}

#[test]
fn exclusions_and_special_files_are_left_out() {
    let source = folder();
    sample(source.path());
    fs::write(source.path().join("pagefile.sys"), b"x").unwrap();
    std::os::unix::net::UnixListener::bind(source.path().join("socket")).unwrap();
    let run = Run::new(2);
    let captured = capture(&run.cx(), source.path(), &CaptureOptions::default(), None).unwrap();
    let find = |tree: &Tree, path: &str| tree.find(&WimPath::parse(path).unwrap()).is_some();
    assert!(!find(&captured.tree, "\\pagefile.sys") && !find(&captured.tree, "\\socket"));
    assert!(run.progress.warnings().iter().any(|warning| warning.contains("socket")));
    assert_eq!(captured.totals.excluded, 1);
    let text =
        "[ExclusionList]\n*.sys\n\\Windows\\System32\n[ExclusionException]\n\\Windows\\System32\\big.dll\n";
    let exclusions = Exclusions::parse(text, Case::Matters, &mut drop).unwrap();
    let options = CaptureOptions { exclusions, ..CaptureOptions::default() };
    let captured = self::captured(source.path(), &options);
    assert!(find(&captured.tree, "\\Windows\\System32\\big.dll"));
    assert!(!find(&captured.tree, "\\Windows\\System32\\same.txt"));
    assert!(!find(&captured.tree, "\\Windows\\System32\\drivers"));
}

#[test]
fn followed_links_are_captured_as_what_they_lead_to() {
    let source = folder();
    fs::create_dir(source.path().join("dir")).unwrap();
    fs::write(source.path().join("dir/file"), b"x").unwrap();
    symlink("dir", source.path().join("link")).unwrap();
    let options = CaptureOptions { links: Links::Follow, ..CaptureOptions::default() };
    let captured = captured(source.path(), &options);
    let file = captured.tree.find(&WimPath::parse("link/file").unwrap()).unwrap();
    assert!(captured.tree.inode_of(file).reparse.is_none());
    symlink("..", source.path().join("dir/loop")).unwrap();
    let error = capture(&Run::new(1).cx(), source.path(), &options, None).unwrap_err();
    assert!(error.to_string().contains("contains it"), "{error}");
}

#[test]
fn what_cannot_be_captured_is_told_with_its_path() {
    let source = folder();
    let refused = |kind| {
        let error = capture(&Run::new(1).cx(), source.path(), &CaptureOptions::default(), None).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        error.to_string()
    };
    for name in [&b"not \xFF text"[..], b"back\\slash"] {
        let path = source.path().join(OsStr::from_bytes(name));
        fs::write(&path, b"x").unwrap();
        assert!(refused(ErrorKind::InvalidInput).contains(&path.display().to_string()));
        fs::remove_file(&path).unwrap();
    }
    let missing = source.path().join("missing");
    let error = capture(&Run::new(1).cx(), &missing, &CaptureOptions::default(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let file = source.path().join("file");
    fs::write(&file, b"x").unwrap();
    let single = capture(&Run::new(1).cx(), &file, &CaptureOptions::default(), None).unwrap();
    assert_eq!(single.tree.node(single.file.unwrap()).name.to_text(), "file");
    let error =
        capture(&Run::new(1).cx(), Path::new("/dev/null"), &CaptureOptions::default(), None).unwrap_err();
    assert!(error.to_string().contains("neither a directory nor a file"), "{error}");
    let run = Run::new(1);
    run.cancel.raise();
    let error = capture(&run.cx(), source.path(), &CaptureOptions::default(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn parts_are_extracted_flat_or_at_their_paths() {
    let (source, target) = (folder(), folder());
    sample(source.path());
    let captured = captured(source.path(), &CaptureOptions::default());
    let (wim, tree) = open_first(wim_of(&captured.tree, &captured.contents));
    let select = |glob: &str| PathGlob::parse(glob, Case::Ignored).unwrap().select(&tree);
    let extract = |glob: &str, layout, name: &str| -> Result<(ApplyReport, Facts)> {
        let target = target.path().join(name);
        let options = ApplyOptions { layout, ..OPTIONS };
        let report = extract(&Run::new(2).cx(), &tree, &[&wim], &select(glob), &target, &options, None)?;
        Ok((report, facts(&target)))
    };
    let paths =
        |facts: &Facts| facts.keys().skip(1).map(|path| path.display().to_string()).collect::<Vec<_>>();
    let (report, found) = extract("\\WINDOWS\\*.txt", Layout::Flat, "flat").unwrap();
    assert_eq!((report.files, paths(&found)), (1, vec!["a.txt".to_owned()]));
    let (_, found) = extract("/windows/system32/*.txt", Layout::KeepPaths, "paths").unwrap();
    let wanted = ["Windows", "Windows/System32", "Windows/System32/linked.txt", "Windows/System32/same.txt"];
    assert_eq!(paths(&found), wanted);
    let (report, found) = extract("\\Windows\\System32", Layout::Flat, "directory").unwrap();
    assert_eq!(report.directories, 2);
    assert_eq!(
        found[Path::new("System32/drivers/299.sys")].0,
        facts(source.path())[Path::new("Windows/System32/drivers/299.sys")].0
    );
    let (report, _) = extract("\\", Layout::Flat, "all").unwrap();
    assert_eq!(report.directories, 4);
    // A directory and something in it, at their paths: once.
    let mut nodes = select("\\Windows");
    nodes.extend(select("\\Windows\\System32\\drivers\\001.sys"));
    let options = ApplyOptions { layout: Layout::KeepPaths, ..OPTIONS };
    let report =
        self::extract(&Run::new(1).cx(), &tree, &[&wim], &nodes, &target.path().join("once"), &options, None)
            .unwrap();
    assert_eq!(report.directories, 3);
    // Two files of one name cannot lie flat.
    let mut nodes = select("\\Windows\\System32\\drivers\\*");
    nodes.extend(select("\\Windows\\System32\\drivers"));
    nodes.extend(select("\\Windows\\System32\\drivers\\003.sys"));
    assert!(
        self::extract(&Run::new(1).cx(), &tree, &[&wim], &nodes, &target.path().join("x"), &OPTIONS, None)
            .is_ok()
    );
    let mut out = Vec::new();
    let big = select("\\big link")[0];
    write_file_to(&Run::new(2).cx(), &tree, &[&wim], big, Damaged::Fail, &mut out).unwrap();
    assert_eq!(out, mixed_bytes(1, 5_000_000));
    for bad in ["\\Windows", "\\broken"] {
        let node = select(bad)[0];
        let error =
            write_file_to(&Run::new(1).cx(), &tree, &[&wim], node, Damaged::Fail, &mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn flat_files_of_one_name_are_refused() {
    let source = folder();
    for directory in ["a", "b"] {
        fs::create_dir(source.path().join(directory)).unwrap();
        fs::write(source.path().join(directory).join("x"), directory).unwrap();
    }
    let captured = captured(source.path(), &CaptureOptions::default());
    let (wim, tree) = open_first(wim_of(&captured.tree, &captured.contents));
    let nodes = PathGlob::parse("\\*\\x", Case::Ignored).unwrap().select(&tree);
    let target = folder();
    let error =
        extract(&Run::new(1).cx(), &tree, &[&wim], &nodes, target.path(), &OPTIONS, None).unwrap_err();
    assert!(error.to_string().contains("both become x"), "{error}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

/// A damaged blob: no file of that name is left, what was there before stays, the message has path and blob.
#[test]
fn a_damaged_blob_leaves_no_half_file() {
    let source = folder();
    fs::write(source.path().join("big"), mixed_bytes(9, 3_000_000)).unwrap();
    let captured = captured(source.path(), &CaptureOptions::default());
    let mut bytes = wim_of(&captured.tree, &captured.contents);
    // In the last chunk's data, far behind the first pieces.
    let (wim, _) = open_first(bytes.clone());
    let entry = *wim.table().find(&captured.contents[0].0).unwrap();
    let at = usize::try_from(entry.header.offset + entry.header.stored_size).unwrap() - 200;
    bytes[at] ^= 0x55;
    let (wim, tree) = open_first(bytes);
    for (is_there_before, threads) in [(false, 1), (false, 2), (false, 8), (true, 1), (true, 2), (true, 8)] {
        let target = folder();
        if is_there_before {
            fs::write(target.path().join("big"), b"old").unwrap();
        }
        let cx = Run::new(threads);
        let error = apply(&cx.cx(), &tree, &[&wim], target.path(), &OPTIONS, None).unwrap_err();
        assert!(error.to_string().contains("\\big"), "{error}");
        let names: Vec<_> = fs::read_dir(target.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        if is_there_before {
            assert_eq!(names, ["big"]);
            assert_eq!(fs::read(target.path().join("big")).unwrap(), b"old");
        } else {
            assert!(names.is_empty(), "{names:?}");
        }
    }
}

/// Files are recovered as far as they go while other threads write, and those that are sound are whole.
#[test]
fn damaged_blobs_among_sound_ones_are_recovered_as_far_as_they_go() {
    let source = folder();
    let content = |number: usize| mixed_bytes(number as u64, if number < 6 { 2_500_000 } else { 3_000 });
    for number in 0..60 {
        fs::write(source.path().join(format!("{number:02}")), content(number)).unwrap();
    }
    let captured = captured(source.path(), &CaptureOptions::default());
    let mut bytes = wim_of(&captured.tree, &captured.contents);
    let (wim, _) = open_first(bytes.clone());
    let bad = [2, 40];
    for number in bad {
        let digest = wim_core::base::Sha1Digest::of(&content(number));
        let header = wim.table().find(&digest).unwrap().header;
        bytes[usize::try_from(header.offset + header.stored_size / 2).unwrap()] ^= 0x55;
    }
    let (wim, tree) = open_first(bytes);
    let options =
        ApplyOptions { restore: RestoreOptions { damaged: Damaged::Recover, ..RESTORE }, ..OPTIONS };
    for threads in [1, 2, 8] {
        let target = folder();
        let run = Run::new(threads);
        let report = apply(&run.cx(), &tree, &[&wim], target.path(), &options, None).unwrap();
        assert!(report.damaged_blobs >= 1, "{report:?}");
        assert_eq!(run.progress.warnings().len(), bad.len(), "{:?}", run.progress.warnings());
        for number in (0..60).filter(|number| !bad.contains(number)) {
            let applied = fs::read(target.path().join(format!("{number:02}"))).unwrap();
            assert!(applied == content(number), "{number}");
        }
        let recovered = fs::read(target.path().join("02")).unwrap();
        assert!(recovered.len() == 2_500_000 && recovered[..1_000_000] == content(2)[..1_000_000]);
        assert!(fs::read_dir(target.path()).unwrap().count() <= 60);
    }
}

/// What lies in the target already: links are replaced and never followed, directories that are links are refused.
#[test]
fn nothing_is_written_through_links_of_the_target() {
    let (source, outside) = (folder(), folder());
    fs::create_dir(source.path().join("dir")).unwrap();
    fs::write(source.path().join("dir/file"), b"new").unwrap();
    fs::write(source.path().join("file"), b"new").unwrap();
    let captured = captured(source.path(), &CaptureOptions::default());
    let (wim, tree) = open_first(wim_of(&captured.tree, &captured.contents));
    let target = folder();
    fs::write(outside.path().join("victim"), b"old").unwrap();
    symlink(outside.path().join("victim"), target.path().join("file")).unwrap();
    applied(&wim, &tree, target.path());
    assert_eq!(fs::read(outside.path().join("victim")).unwrap(), b"old");
    assert_eq!(fs::read(target.path().join("file")).unwrap(), b"new");
    let target = folder();
    symlink(outside.path(), target.path().join("dir")).unwrap();
    let error = apply(&Run::new(1).cx(), &tree, &[&wim], target.path(), &OPTIONS, None).unwrap_err();
    assert!(error.to_string().contains("where a directory goes"), "{error}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    let target = folder();
    fs::create_dir(target.path().join("file")).unwrap();
    let error = apply(&Run::new(1).cx(), &tree, &[&wim], target.path(), &OPTIONS, None).unwrap_err();
    assert!(error.to_string().contains("where a file goes"), "{error}");
}

/// An image can hold a link and, beside it, names that only differ in case: nothing goes through the link.
#[test]
fn links_of_the_image_are_made_last_and_lead_nobody() {
    use wim_core::base::Sha1Digest;
    use wim_core::formats::wim::reparse::{LinkTarget, SYMLINK};
    use wim_core::image::{Inode, Reparse, Stream, StreamKind, Streams};
    let (target, outside) = (folder(), folder());
    let text = format!("\\??\\C:{}", outside.path().display()).replace('/', "\\");
    let data = LinkTarget { substitute: text.as_str().into(), print: "".into(), is_relative: false };
    let data = data.to_symlink_data().unwrap();
    let link = Inode {
        attributes: 0x410,
        reparse: Some(Reparse { tag: SYMLINK, reserved: 0, flags: 1 }),
        streams: Streams::from_list(vec![Stream {
            kind: StreamKind::Reparse,
            digest: Sha1Digest::of(&data),
        }]),
        ..Inode::default()
    };
    let mut tree = Tree::new_empty();
    let root = tree.root();
    tree.add(root, "link".into(), link).unwrap();
    let directory = Inode { attributes: 0x10, ..Inode::default() };
    let twin = tree.add(root, "LINK".into(), directory).unwrap();
    let file = Inode { attributes: 0x20, streams: Streams::data(Sha1Digest::of(b"x")), ..Inode::default() };
    tree.add(twin, "file".into(), file.clone()).unwrap();
    // Below a reparse point nothing can be.
    let node = tree.child(root, &"link".encode_utf16().collect::<Vec<_>>()).unwrap();
    assert!(tree.add(node, "file".into(), file).is_err());
    let contents =
        [(Sha1Digest::of(b"x"), Content::bytes(&b"x"[..])), (Sha1Digest::of(&data), Content::bytes(data))];
    let (wim, tree) = open_first(wim_of(&tree, &contents));
    applied(&wim, &tree, target.path());
    assert_eq!(fs::read_link(target.path().join("link")).unwrap(), outside.path());
    assert_eq!(fs::read(target.path().join("LINK/file")).unwrap(), b"x");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn what_unix_cannot_hold_is_told_once() {
    use wim_core::base::Sha1Digest;
    use wim_core::image::{Inode, Reparse, Stream, StreamKind, Streams};
    let target = folder();
    let mut tree = Tree::new_empty();
    let root = tree.root();
    let digest = Sha1Digest::of(b"x");
    let stream = |kind| Stream { kind, digest };
    let named = |name: &str| stream(StreamKind::Named(name.into()));
    let add = |tree: &mut Tree, name: &str, attributes, streams: Vec<Stream>, reparse| {
        let inode = Inode { attributes, streams: Streams::from_list(streams), reparse, ..Inode::default() };
        tree.add(root, name.into(), inode).unwrap();
    };
    add(&mut tree, "a", 0x20, vec![stream(StreamKind::Data), named("one"), named("two")], None);
    add(&mut tree, "b", 0x20, vec![named("three")], None);
    add(&mut tree, "c", 0x4020, vec![stream(StreamKind::Efs)], None);
    let wof = Reparse { tag: 0x8000_0017, reserved: 0, flags: 0 };
    add(&mut tree, "d", 0x420, vec![stream(StreamKind::Reparse)], Some(wof));
    let damaged = Reparse { tag: 0xA000_000C, reserved: 0, flags: 0 };
    add(&mut tree, "e", 0x420, vec![stream(StreamKind::Reparse)], Some(damaged));
    let (wim, tree) = open_first(wim_of(&tree, &[(digest, Content::bytes(&b"x"[..]))]));
    let run = Run::new(1);
    let report = apply(&run.cx(), &tree, &[&wim], target.path(), &OPTIONS, None).unwrap();
    let left = report.left_out;
    assert_eq!((left.named_streams, left.encrypted, left.reparse_points, left.names), (3, 1, 2, 0));
    assert_eq!(run.progress.warnings().len(), 3, "{:?}", run.progress.warnings());
    let mut names: Vec<_> = fs::read_dir(target.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn sparse_files_come_back_with_holes() {
    use wim_core::base::Sha1Digest;
    use wim_core::image::{Inode, Streams};
    let target = folder();
    let mut bytes = vec![0u8; 8 << 20];
    bytes[3 << 20..(3 << 20) + 5].copy_from_slice(b"hello");
    let digest = Sha1Digest::of(&bytes);
    let mut tree = Tree::new_empty();
    let inode = Inode { attributes: 0x220, streams: Streams::data(digest), ..Inode::default() };
    tree.add(tree.root(), "sparse".into(), inode).unwrap();
    let (wim, tree) = open_first(wim_of(&tree, &[(digest, Content::bytes(bytes.clone()))]));
    applied(&wim, &tree, target.path());
    let path = target.path().join("sparse");
    assert!(fs::read(&path).unwrap() == bytes);
    let blocks = fs::metadata(&path).unwrap().blocks();
    assert!(blocks * 512 <= 64 << 10, "{blocks} blocks of 512 bytes");
}

/// What the disk has as a hole is one in the image, and on the disk that it is applied to; a file without one is as any other.
#[test]
#[cfg(target_os = "linux")]
fn holes_are_captured_as_such() {
    use std::io::{Seek, SeekFrom, Write};
    use wim_core::formats::wim::attributes::{NORMAL, SPARSE};
    let (source, target) = (folder(), folder());
    let mut file = fs::File::create(source.path().join("holes")).unwrap();
    file.seek(SeekFrom::Start(3_000_000)).unwrap();
    file.write_all(b"between").unwrap();
    file.set_len(20_000_000).unwrap();
    drop(file);
    fs::write(source.path().join("whole"), mixed_bytes(1, 100_000)).unwrap();
    if fs::metadata(source.path().join("holes")).unwrap().blocks() * 512 > 10_000_000 {
        println!("skipped: the temporary folder's file system has no holes");
        return;
    }
    let captured = captured(source.path(), &CaptureOptions::default());
    let attributes = |name: &str| {
        let node = captured.tree.find(&WimPath::parse(&format!("\\{name}")).unwrap()).unwrap();
        captured.tree.inode_of(node).attributes
    };
    assert_eq!((attributes("holes"), attributes("whole")), (SPARSE, NORMAL));
    let (wim, tree) = open_first(wim_of(&captured.tree, &captured.contents));
    applied(&wim, &tree, target.path());
    assert_same(&facts(source.path()), &facts(target.path()));
    let blocks = fs::metadata(target.path().join("holes")).unwrap().blocks();
    assert!(blocks * 512 <= 64 << 10, "{blocks} blocks of 512 bytes");
}

/// More than a path can say in one piece: 200 directories of 100 letters.
#[test]
fn paths_longer_than_the_system_takes_are_applied() {
    let target = folder();
    let mut tree = Tree::new_empty();
    let mut at = tree.root();
    let name = "d".repeat(100);
    for _ in 0..200 {
        let directory = wim_core::image::Inode { attributes: 0x10, ..Default::default() };
        at = tree.add(at, name.as_str().into(), directory).unwrap();
    }
    tree.add(at, "file".into(), wim_core::image::Inode::default()).unwrap();
    let (wim, tree) = open_first(wim_of(&tree, &[]));
    let report = applied(&wim, &tree, target.path());
    assert_eq!((report.directories, report.files), (200, 1));
}

#[test]
fn a_missing_blob_is_named_before_anything_is_made() {
    use wim_core::base::Sha1Digest;
    use wim_core::image::{Inode, Streams};
    let target = folder();
    let (wim, _) = open_first(wim_of(&Tree::new_empty(), &[]));
    let mut tree = Tree::new_empty();
    let streams = Streams::data(Sha1Digest([1; 20]));
    tree.add(tree.root(), "file".into(), Inode { streams, ..Inode::default() }).unwrap();
    let target = target.path().join("new");
    let error = apply(&Run::new(1).cx(), &tree, &[&wim], &target, &OPTIONS, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("\\file"), "{error}");
}

/// A tree whose paths are longer than any that Linux takes, 4096 bytes, is captured and applied all the same.
#[test]
#[cfg(target_os = "linux")]
fn trees_deeper_than_any_path_are_captured_and_applied() {
    use wim_core::base::LongPath;
    let folder = tempfile::tempdir().unwrap();
    let (source, name) = (folder.path().join("source"), "deep".repeat(50));
    let mut deep = source.clone();
    fs::create_dir(&deep).unwrap();
    let reach = |path: &Path| LongPath::to(path).unwrap();
    for level in 0..300 {
        deep.push(&name);
        fs::create_dir(reach(&deep).path()).unwrap();
        if level % 50 == 49 {
            fs::write(reach(&deep.join("file")).path(), format!("at {level}")).unwrap();
            symlink("file", reach(&deep.join("link")).path()).unwrap();
        }
    }
    assert!(deep.as_os_str().len() > 60_000);
    let options = CaptureOptions { exclusions: Exclusions::none(), ..CaptureOptions::default() };
    let take = |source: &Path| capture(&Run::new(2).cx(), source, &options, None).unwrap();
    let Captured { tree, contents, totals, .. } = take(&source);
    assert_eq!((totals.directories, totals.files), (301, 12));
    let (wim, tree) = open_first(wim_of(&tree, &contents));
    let target = folder.path().join("target");
    apply(&Run::new(2).cx(), &tree, &[&wim], &target, &OPTIONS, None).unwrap();
    assert!(take(&target).tree == tree);
    let file = target.join(deep.strip_prefix(&source).unwrap()).join("file");
    assert_eq!(fs::read(reach(&file).path()).unwrap(), b"at 299");
}
