//! Edits: what they make of a tree, what a view shows of them, and that nothing changes when nothing should.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;
use wim_core::base::{
    Cancel, Context, Error, ErrorKind, FileTime, Recording, Result, Sha1Digest, Silent, WimString,
};
use wim_core::image::edit::{
    Action, Change, Content, EffectKind, HashedFiles, ImageView, Overlay, Resolved, Security, Times, View,
};
use wim_core::image::{BlobSource, Inode, NodeId, Reparse, Stream, StreamKind, Streams, Tree, WimPath};

const JOB_TIME: FileTime = FileTime(777);
const OLD_TIME: FileTime = FileTime(5);

#[derive(Default, Clone)]
struct Blobs(HashMap<Sha1Digest, Vec<u8>>);

impl Blobs {
    fn add(&mut self, bytes: &[u8]) -> Sha1Digest {
        let digest = Sha1Digest::of(bytes);
        self.0.insert(digest, bytes.to_vec());
        digest
    }
}

impl BlobSource for Blobs {
    fn size(&self, digest: &Sha1Digest) -> Option<u64> {
        self.0.get(digest).map(|bytes| bytes.len() as u64)
    }

    fn read(&self, digest: &Sha1Digest, limit: u64) -> Result<Vec<u8>> {
        let bytes = self.0.get(digest).ok_or_else(|| Error::not_found("no such blob"))?;
        if bytes.len() as u64 > limit {
            return Err(Error::limit("too large"));
        }
        Ok(bytes.clone())
    }
}

fn path(text: &str) -> WimPath {
    WimPath::parse(text).unwrap()
}

fn change(text: &str, action: Action) -> Change {
    Change { path: path(text), action, reason: format!("test {text}") }
}

fn put(text: &str, bytes: &[u8]) -> Change {
    let content = Content::bytes(bytes);
    change(text, Action::PutFile { content, attributes: None, times: None, security: Security::Inherit })
}

fn remove(text: &str) -> Change {
    change(text, Action::Remove)
}

fn make_directory(text: &str) -> Change {
    change(text, Action::MakeDirectory { security: Security::Inherit })
}

/// `\Windows\System32\{a.dll, b.dll}`, b.dll also as `\Windows\WinSxS\b.dll`; a junction and an encrypted file.
fn base() -> (Arc<Tree>, Blobs) {
    let (mut tree, mut blobs) = (Tree::new_empty(), Blobs::default());
    let file_security = tree.security_mut().add(b"file").unwrap();
    let directory_security = tree.security_mut().add(b"directory").unwrap();
    let times = Times::all(OLD_TIME);
    let directory =
        || Inode { attributes: 0x10, security: Some(directory_security), times, ..Inode::default() };
    let windows = tree.add(tree.root(), "Windows".into(), directory()).unwrap();
    let system32 = tree.add(windows, "System32".into(), directory()).unwrap();
    let winsxs = tree.add(windows, "WinSxS".into(), directory()).unwrap();
    let file = |streams| Inode {
        attributes: 0x21,
        security: Some(file_security),
        times,
        streams,
        unknown_54: 9,
        ..Inode::default()
    };
    let ads = Stream { kind: StreamKind::Named("ads".into()), digest: blobs.add(b"named") };
    let data = Stream { kind: StreamKind::Data, digest: blobs.add(b"a's content") };
    tree.add(system32, "a.dll".into(), file(Streams::from_list(vec![data, ads]))).unwrap();
    let b = tree.add(system32, "b.dll".into(), file(Streams::data(blobs.add(b"b's content")))).unwrap();
    let b = tree.node(b).inode;
    tree.add_name(winsxs, "b.dll".into(), b).unwrap();
    let junction = Inode {
        attributes: 0x410,
        reparse: Some(Reparse { tag: 0xA000_0003, ..Reparse::default() }),
        streams: Streams::from_list(vec![Stream {
            kind: StreamKind::Reparse,
            digest: blobs.add(b"junction"),
        }]),
        ..Inode::default()
    };
    tree.add(tree.root(), "Documents and Settings".into(), junction).unwrap();
    let efs = Stream { kind: StreamKind::Efs, digest: blobs.add(b"encrypted") };
    let efs = Inode { attributes: 0x4020, streams: Streams::from_list(vec![efs]), ..Inode::default() };
    tree.add(tree.root(), "efs".into(), efs).unwrap();
    (Arc::new(tree), blobs)
}

fn resolve(overlay: Overlay) -> Resolved {
    let cancel = Cancel::new();
    overlay.resolve(&Context::new(&Silent, &cancel).with_threads(2)).unwrap()
}

fn edited(changes: impl IntoIterator<Item = Change>) -> Resolved {
    let mut overlay = Overlay::new(base().0, JOB_TIME);
    overlay.apply_all(changes).unwrap();
    resolve(overlay)
}

fn at<'t>(tree: &'t Tree, text: &str) -> &'t Inode {
    tree.inode_of(tree.find(&path(text)).unwrap_or_else(|| panic!("{text} is missing")))
}

#[test]
fn new_content_keeps_all_else_of_the_file() {
    let resolved = edited([put("\\windows\\SYSTEM32\\A.DLL", b"new")]);
    let tree = &resolved.tree;
    let digest = Sha1Digest::of(b"new");
    let node = tree.find(&path("\\Windows\\System32\\a.dll")).unwrap();
    assert_eq!(tree.path_of(node).to_string(), "\\Windows\\System32\\a.dll");
    let (file, before) = (tree.inode_of(node), base().0);
    let before = at(&before, "\\Windows\\System32\\a.dll");
    let times = Times { creation: OLD_TIME, last_access: JOB_TIME, last_write: JOB_TIME };
    let streams = before.streams.with(&StreamKind::Data, digest);
    assert_eq!(*file, Inode { times, streams, ..before.clone() });
    assert!(resolved.is_changed);
    assert_eq!(resolved.contents.len(), 1);
    assert_eq!(resolved.contents[0].0, digest);
    assert_eq!(resolved.effects[0].kind, EffectKind::Replaced);
    assert_eq!(resolved.effects[0].path.to_string(), "\\Windows\\System32\\a.dll");
}

/// As on Windows: writing to a file through one of its names changes the file.
#[test]
fn new_content_shows_under_every_name_of_the_file() {
    let resolved = edited([put("\\Windows\\System32\\b.dll", b"new")]);
    assert_eq!(at(&resolved.tree, "\\Windows\\WinSxS\\b.dll").data(), Sha1Digest::of(b"new"));
    assert_eq!(at(&resolved.tree, "\\Windows\\WinSxS\\b.dll").names, 2);
    // Removing the name first leaves the other name its file.
    let resolved = edited([remove("\\Windows\\System32\\b.dll"), put("\\Windows\\System32\\b.dll", b"new")]);
    let other = at(&resolved.tree, "\\Windows\\WinSxS\\b.dll");
    assert_eq!((other.data(), other.names), (Sha1Digest::of(b"b's content"), 1));
    assert_eq!(at(&resolved.tree, "\\Windows\\System32\\b.dll").data(), Sha1Digest::of(b"new"));
}

#[test]
fn new_files_and_directories_are_spelt_as_asked_and_inherit_descriptors() {
    let resolved = edited([
        put("\\WINDOWS\\system32\\Drivers\\New.sys", b"driver"),
        put("\\Windows\\System32\\new.dll", b"dll"),
    ]);
    let tree = &resolved.tree;
    let driver = tree.find(&path("\\windows\\system32\\drivers\\new.sys")).unwrap();
    assert_eq!(tree.path_of(driver).to_string(), "\\Windows\\System32\\Drivers\\New.sys");
    let descriptor = |text: &str| tree.security().get(at(tree, text).security.unwrap()).unwrap();
    // No directory beside it to take after: that of System32 itself.
    assert_eq!(descriptor("\\Windows\\System32\\Drivers"), b"directory");
    assert_eq!(descriptor("\\Windows\\System32\\Drivers\\New.sys"), b"directory");
    assert_eq!(descriptor("\\Windows\\System32\\new.dll"), b"file");
    let file = tree.inode_of(driver);
    assert_eq!((file.attributes, file.times), (0x20, Times::all(JOB_TIME)));
    assert_eq!(at(tree, "\\Windows\\System32\\Drivers").attributes, 0x10);
    assert!(resolved.effects.iter().all(|effect| effect.kind == EffectKind::Added));
}

#[test]
fn attributes_times_and_descriptors_can_be_given() {
    let times = Times::all(FileTime(42));
    let security = Security::Like(path("\\Windows\\WinSxS"));
    let action = |content: &[u8]| Action::PutFile {
        content: Content::bytes(content),
        attributes: Some(0x7),
        times: Some(times),
        security: security.clone(),
    };
    let resolved = edited([
        change("\\Windows\\System32\\a.dll", action(b"x")),
        change("\\new", action(b"y")),
        change(
            "\\other",
            Action::MakeDirectory { security: Security::Like(path("\\Windows\\System32\\a.dll")) },
        ),
        change("\\absent", Action::MakeDirectory { security: Security::Like(path("\\nothing")) }),
    ]);
    let tree = &resolved.tree;
    for text in ["\\Windows\\System32\\a.dll", "\\new"] {
        let file = at(tree, text);
        assert_eq!((file.attributes, file.times), (0x7, times));
        assert_eq!(tree.security().get(file.security.unwrap()), Some(&b"directory"[..]));
    }
    // a.dll has the descriptor of a directory by now: edits apply in order.
    assert_eq!(tree.security().get(at(tree, "\\other").security.unwrap()), Some(&b"directory"[..]));
    assert!(at(tree, "\\absent").security.is_some());
}

/// A name that is detached gets the new content alone; the file's other names, and what was put there before, stay.
#[test]
fn a_detached_name_has_a_file_of_its_own() {
    let (names, detach) = (["\\Windows\\System32\\b.dll", "\\Windows\\WinSxS\\b.dll"], |text: &str| {
        change(text, Action::Detach)
    });
    let old = at(&base().0, names[0]).clone();
    assert_eq!((at(&base().0, names[1]).data(), old.names), (old.data(), 2));
    let resolved = edited([detach(names[0]), put(names[0], b"the driver's")]);
    let (new, kept) = (at(&resolved.tree, names[0]), at(&resolved.tree, names[1]));
    assert_eq!((new.data(), new.names), (Sha1Digest::of(b"the driver's"), 1));
    assert_eq!((kept.data(), kept.names), (old.data(), 1));
    assert_eq!(
        (new.attributes, new.security, &new.tagged_items),
        (old.attributes, old.security, &old.tagged_items)
    );
    assert_eq!((resolved.effects.len(), &resolved.effects[0].kind), (1, &EffectKind::Replaced));
    // What both names had been given before stays with the other.
    let resolved = edited([put(names[1], b"first"), detach(names[0]), put(names[0], b"second")]);
    let data = |name: &str| at(&resolved.tree, name).data();
    assert_eq!((data(names[0]), data(names[1])), (Sha1Digest::of(b"second"), Sha1Digest::of(b"first")));
    let resolved = edited([put(names[1], b"first"), detach(names[0])]);
    let data = |name: &str| at(&resolved.tree, name).data();
    assert_eq!((data(names[0]), data(names[1])), (Sha1Digest::of(b"first"), Sha1Digest::of(b"first")));
    // Files of one name, and what is not there, are left as they are.
    let resolved = edited([detach("\\Windows\\System32\\a.dll"), detach("\\Windows\\absent")]);
    assert!(!resolved.is_changed && resolved.effects.is_empty());
}

/// A name that was detached and is linked again leaves no trace; a new name can be one of a file that is there.
#[test]
fn a_linked_name_is_one_of_the_other_file() {
    let (names, link) =
        (["\\Windows\\System32\\b.dll", "\\Windows\\WinSxS\\b.dll"], |text: &str, to: &str| {
            change(text, Action::Link { to: path(to) })
        });
    let detached = [change(names[0], Action::Detach), put(names[0], b"the driver's")];
    let resolved = edited(detached.into_iter().chain([link(names[0], names[1])]));
    assert!(!resolved.is_changed && resolved.contents.is_empty(), "{:?}", resolved.effects);
    let resolved = edited([link("\\Windows\\new\\c.dll", names[0])]);
    let tree = &resolved.tree;
    let inode = |text: &str| tree.node(tree.find(&path(text)).unwrap()).inode;
    assert_eq!(inode("\\Windows\\new\\c.dll"), inode(names[1]));
    assert_eq!((at(tree, names[0]).names, resolved.effects[0].kind), (3, EffectKind::Added));
    let (_, blobs) = base();
    let others = ImageView::new(tree, &blobs).other_names(&path(names[0]));
    assert_eq!(others, [path("\\Windows\\new\\c.dll"), path(names[1])]);
    assert!(ImageView::new(tree, &blobs).other_names(&path("\\Windows\\System32\\a.dll")).is_empty());
    // To itself, and to what is not there, or is no file.
    let resolved = edited([link(names[0], names[0]), link(names[0], "\\absent")]);
    assert!(!resolved.is_changed);
    let mut overlay = Overlay::new(base().0, JOB_TIME);
    for (from, to) in
        [(names[0], "\\Windows"), ("\\Windows", names[0]), (names[0], "\\Documents and Settings")]
    {
        assert_eq!(overlay.apply(link(from, to)).unwrap_err().kind(), ErrorKind::InvalidInput, "{from} {to}");
    }
}

#[test]
fn edits_that_change_nothing_leave_the_tree_itself() {
    let same = [
        put("\\windows\\system32\\A.dll", b"a's content"),
        put("\\Windows\\WinSxS\\b.dll", b"something else for a while"),
        put("\\Windows\\System32\\b.dll", b"b's content"),
        make_directory("\\Windows\\WinSxS"),
        remove("\\Windows\\absent"),
        put("\\Windows\\made\\and\\gone", b"x"),
        remove("\\Windows\\made"),
    ];
    let (tree, _) = base();
    let mut overlay = Overlay::new(Arc::clone(&tree), JOB_TIME);
    overlay.apply_all(same).unwrap();
    let resolved = resolve(overlay);
    assert!(!resolved.is_changed);
    assert!(Arc::ptr_eq(&resolved.tree, &tree));
    assert!(resolved.contents.is_empty());
    assert!(resolved.effects.iter().all(|effect| effect.kind == EffectKind::Unchanged));
    // The same content with a time of its own is a change.
    let action = Action::PutFile {
        content: Content::bytes(&b"a's content"[..]),
        attributes: None,
        times: Some(Times::all(FileTime(1))),
        security: Security::Inherit,
    };
    let resolved = edited([change("\\Windows\\System32\\a.dll", action)]);
    assert!(resolved.is_changed && resolved.contents.is_empty());
}

/// A second run over the result of the first has nothing to do.
#[test]
fn the_same_edits_twice_change_nothing_the_second_time() {
    let edits = || {
        [
            put("\\Windows\\System32\\drivers\\x.sys", b"x"),
            put("\\Windows\\System32\\b.dll", b"new b"),
            put("\\empty", b""),
        ]
    };
    let first = edited(edits());
    assert!(first.is_changed);
    assert_eq!(first.contents.len(), 2, "an empty file has no blob");
    let mut overlay = Overlay::new(first.tree, FileTime(999_999));
    overlay.apply_all(edits()).unwrap();
    assert!(!resolve(overlay).is_changed);
}

#[test]
fn removing_a_directory_removes_what_is_below_and_its_links() {
    let resolved = edited([remove("\\windows\\winsxs")]);
    assert_eq!(resolved.tree.find(&path("\\Windows\\WinSxS\\b.dll")), None);
    assert_eq!(at(&resolved.tree, "\\Windows\\System32\\b.dll").names, 1);
    assert_eq!(resolved.effects[0].kind, EffectKind::Removed);
    assert_eq!(resolved.effects[0].path.to_string(), "\\Windows\\WinSxS");
}

#[test]
fn what_cannot_be_is_refused_with_the_path() {
    let refused = |change: Change| {
        let mut overlay = Overlay::new(base().0, JOB_TIME);
        let error = overlay.apply(change).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(overlay.changes().is_empty());
        error.to_string()
    };
    assert!(refused(put("\\Windows", b"")).starts_with("\\Windows: a directory is there"));
    assert!(refused(put("\\Windows\\System32\\a.dll\\x", b"")).contains("a file is there, not a directory"));
    assert!(refused(put("\\documents and settings\\x", b"")).contains("a link or junction"));
    assert!(refused(put("\\documents and settings", b"")).contains("reparse point"));
    assert!(refused(make_directory("\\Windows\\System32\\a.dll")).contains("a file is there"));
    refused(put("\\", b""));
    refused(remove("\\"));
}

#[test]
fn an_encrypted_file_becomes_a_plain_one() {
    let resolved = edited([put("\\efs", b"plain")]);
    let file = at(&resolved.tree, "\\efs");
    assert_eq!((file.attributes, &file.streams), (0x20, &Streams::data(Sha1Digest::of(b"plain"))));
}

#[test]
fn views_show_edits_before_they_are_hashed() {
    let (tree, blobs) = base();
    let mut overlay = Overlay::new(tree, JOB_TIME);
    overlay.apply(put("\\Windows\\System32\\b.dll", b"new b")).unwrap();
    overlay.apply(remove("\\Windows\\System32\\a.dll")).unwrap();
    let existing = Content::Blob(Sha1Digest::of(b"a's content"));
    let action =
        Action::PutFile { content: existing, attributes: None, times: None, security: Security::Inherit };
    overlay.apply(change("\\copy", action)).unwrap();
    let view = overlay.view(&blobs);
    let read = |text: &str| view.read(&path(text), 100).map(|bytes| bytes.to_vec());
    assert_eq!(read("\\windows\\winsxs\\B.DLL").unwrap(), b"new b");
    assert_eq!(read("\\copy").unwrap(), b"a's content");
    assert_eq!(read("\\Windows\\System32\\a.dll").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(read("\\Windows").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(view.read(&path("\\copy"), 3).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(view.read(&path("\\Windows\\WinSxS\\b.dll"), 3).unwrap_err().kind(), ErrorKind::Limit);
    let entry = view.entry(&path("\\windows\\system32\\b.dll")).unwrap();
    assert_eq!((entry.size, entry.digest), (5, Sha1Digest::ZERO));
    let entry = view.entry(&path("\\copy")).unwrap();
    assert_eq!((entry.size, entry.digest), (11, Sha1Digest::of(b"a's content")));
    let names: Vec<String> =
        view.list(&path("\\")).unwrap().iter().map(|entry| entry.name.to_text()).collect();
    assert_eq!(names, ["copy", "Documents and Settings", "efs", "Windows"]);
    assert!(view.list(&path("\\copy")).is_none());
    assert!(view.list(&path("\\Documents and Settings")).is_none());
}

#[test]
fn host_files_are_hashed_and_must_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let bytes = vec![7u8; 3 << 20];
    std::fs::write(&file, &bytes).unwrap();
    let last_write = FileTime::from_system_time(std::fs::metadata(&file).unwrap().modified().unwrap());
    let host = |size| {
        let content = Content::HostFile { path: file.clone(), size, last_write };
        change("\\x", Action::PutFile { content, attributes: None, times: None, security: Security::Inherit })
    };
    let (tree, _) = base();
    let (progress, cancel) = (Recording::default(), Cancel::new());
    let cx = Context::new(&progress, &cancel).with_threads(2);
    let mut overlay = Overlay::new(Arc::clone(&tree), JOB_TIME);
    overlay.apply(host(bytes.len() as u64)).unwrap();
    let resolved = overlay.clone().resolve(&cx).unwrap();
    assert_eq!(at(&resolved.tree, "\\x").data(), Sha1Digest::of(&bytes));
    let (_, total, done) = progress.stages()[0];
    assert_eq!((total, done), (3 << 20, 3 << 20));
    let mut hashed = HashedFiles::default();
    overlay.clone().resolve_with(&cx, &mut hashed).unwrap();
    std::fs::write(&file, b"changed").unwrap();
    let again = overlay.clone().resolve_with(&cx, &mut hashed).unwrap();
    assert_eq!(again.tree, resolved.tree, "a file that was hashed for one image is not read for the next");
    let error = overlay.resolve(&cx).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("changed while"), "{error}");
    std::fs::remove_file(&file).unwrap();
    let mut overlay = Overlay::new(tree, JOB_TIME);
    overlay.apply(host(7)).unwrap();
    assert_eq!(overlay.clone().resolve(&cx).unwrap_err().kind(), ErrorKind::Io);
    cancel.raise();
    assert_eq!(overlay.resolve(&cx).unwrap_err().kind(), ErrorKind::Cancelled);
}

/// What a plain list of paths would come to: the model that random edits are held against.
#[derive(Default, Clone)]
struct Model(BTreeMap<Vec<String>, Option<Vec<u8>>>);

impl Model {
    fn of(view: &dyn View) -> Self {
        let mut model = Self::default();
        let mut open = vec![WimPath::root()];
        while let Some(directory) = open.pop() {
            for entry in view.list(&directory).unwrap() {
                let child = directory.child(entry.name.clone());
                let key = child.components().iter().map(|name| name.to_text().to_uppercase()).collect();
                if entry.is_directory() {
                    model.0.insert(key, None);
                    open.push(child);
                } else {
                    let bytes = view.read(&child, 1 << 20).unwrap().to_vec();
                    assert_eq!(entry.size, bytes.len() as u64);
                    model.0.insert(key, Some(bytes));
                }
            }
        }
        model
    }

    /// True when the edit is one that must be refused.
    fn apply(&mut self, names: &[&str], kind: u8, bytes: &[u8]) -> bool {
        let key: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
        if kind == 0 {
            self.0.retain(|other, _| !other.starts_with(&key));
            return false;
        }
        let blocked = (1..key.len()).any(|depth| matches!(self.0.get(&key[..depth]), Some(Some(_))));
        let is_file = kind == 1;
        let clash = match self.0.get(&key) {
            Some(None) => is_file,
            Some(Some(_)) => !is_file,
            None => false,
        };
        if blocked || clash {
            return true;
        }
        for depth in 1..key.len() {
            self.0.entry(key[..depth].to_vec()).or_insert(None);
        }
        if is_file {
            self.0.insert(key, Some(bytes.to_vec()));
        } else {
            self.0.entry(key).or_insert(None);
        }
        false
    }
}

fn small_tree() -> (Arc<Tree>, Blobs) {
    let (mut tree, mut blobs) = (Tree::new_empty(), Blobs::default());
    let directory = |tree: &mut Tree, parent: NodeId, name: &str| {
        let inode = Inode { attributes: 0x10, ..Inode::default() };
        tree.add(parent, WimString::from(name), inode).unwrap()
    };
    let root = tree.root();
    let a = directory(&mut tree, root, "a");
    let ab = directory(&mut tree, a, "B");
    let file = Inode { streams: Streams::data(blobs.add(b"one")), attributes: 0x20, ..Inode::default() };
    tree.add(ab, "c".into(), file.clone()).unwrap();
    tree.add(root, "B".into(), file).unwrap();
    (Arc::new(tree), blobs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Random edits on a tree without links come to what they come to on a plain list; the view before the hashing and
    /// the new tree after it agree.
    #[test]
    fn edits_do_what_they_do_to_a_list_of_paths(
        edits in prop::collection::vec(
            (prop::collection::vec(prop::sample::select(vec!["a", "A", "b", "B", "c"]), 1..4), 0u8..3, 0u8..3),
            0..20,
        ),
    ) {
        let (tree, mut blobs) = small_tree();
        let mut model = Model::of(&ImageView::new(&tree, &blobs));
        let mut overlay = Overlay::new(Arc::clone(&tree), JOB_TIME);
        for (names, kind, byte) in edits {
            let text = format!("\\{}", names.join("\\"));
            let bytes = vec![byte; usize::from(byte)];
            let edit = match kind {
                0 => remove(&text),
                1 => put(&text, &bytes),
                _ => make_directory(&text),
            };
            prop_assert_eq!(overlay.apply(edit).is_err(), model.apply(&names, kind, &bytes), "{}", text);
        }
        prop_assert_eq!(&Model::of(&overlay.view(&blobs)).0, &model.0);
        let resolved = resolve(overlay);
        for (digest, content) in &resolved.contents {
            let bytes = content.read(1 << 20).unwrap();
            prop_assert_eq!(blobs.add(&bytes), *digest);
        }
        prop_assert_eq!(&Model::of(&ImageView::new(&resolved.tree, &blobs)).0, &model.0);
        prop_assert_eq!(resolved.is_changed, *resolved.tree != *tree);
    }
}
