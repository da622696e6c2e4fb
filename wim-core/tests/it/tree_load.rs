//! Loading of metadata resources that are odd, wrong or hostile.

use wim_core::base::{ErrorKind, FileTime, SecurityId, Sha1Digest, WimString};
use wim_core::formats::wim::dentry::{self, DentryFields, ExtraStream};
use wim_core::image::load::{load, load_with_findings};
use wim_core::image::{FindingKind, StreamKind, Tree, WimPath, store};

/// Puts a metadata resource together run by run, with whatever a test wants to say.
struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// A resource without descriptors, whose root's children come next.
    fn new() -> Self {
        let mut builder = Self { bytes: vec![8, 0, 0, 0, 0, 0, 0, 0] };
        builder.dentry("", &DentryFields { subdir_offset: 0x78, ..directory() });
        builder.end()
    }

    fn dentry(&mut self, name: &str, fields: &DentryFields) {
        self.dentry_with(name, fields, &[]);
    }

    fn dentry_with(&mut self, name: &str, fields: &DentryFields, streams: &[ExtraStream]) {
        dentry::write_to(&mut self.bytes, fields, (&WimString::from(name), &[]), &[], streams);
    }

    fn end(mut self) -> Self {
        self.bytes.extend([0; 8]);
        self
    }

    fn with(mut self, name: &str, fields: &DentryFields) -> Self {
        self.dentry(name, fields);
        self
    }

    fn load(&self) -> (Tree, Vec<FindingKind>) {
        let (tree, findings) = load_with_findings(&self.bytes).unwrap();
        (tree, findings.into_iter().map(|finding| finding.kind).collect())
    }
}

fn directory() -> DentryFields {
    DentryFields { attributes: 0x10, ..DentryFields::default() }
}

fn file(digest: u8) -> DentryFields {
    DentryFields { attributes: 0x20, main_hash: Sha1Digest([digest; 20]), ..DentryFields::default() }
}

fn names(tree: &Tree) -> Vec<String> {
    tree.walk_paths(tree.root()).skip(1).map(|(path, _)| path.to_string()).collect()
}

#[test]
fn the_smallest_resource_is_128_bytes() {
    let bytes = Builder::new().end().bytes;
    assert_eq!(bytes.len(), 128);
    assert_eq!(store::store(&Tree::new_empty()), bytes);
    assert_eq!(load(&bytes, &mut |e| panic!("{e}")).unwrap(), Tree::new_empty());
}

#[test]
fn link_groups_of_windows_7_are_split_by_content() {
    let group = |digest, union_58| DentryFields { union_58, ..file(digest) };
    let (tree, findings) = Builder::new()
        .with("a", &group(1, 7))
        .with("b", &group(1, 7))
        .with("c", &group(2, 7))
        .with("d", &group(2, 7))
        .with("e", &group(1, 0))
        .with("f", &group(1, 0))
        .end()
        .load();
    assert_eq!(findings, []);
    let inode = |name: &str| tree.node(tree.child(tree.root(), &WimString::from(name)).unwrap()).inode;
    assert_eq!(inode("a"), inode("b"));
    assert_eq!(inode("c"), inode("d"));
    assert_ne!(inode("a"), inode("c"));
    assert_ne!(inode("e"), inode("f"));
    let references = tree.blob_references();
    assert_eq!((references[&Sha1Digest([1; 20])], references[&Sha1Digest([2; 20])]), (4, 2));
    let counts = tree.counts(&|_| 10);
    assert_eq!((counts.files, counts.total_bytes, counts.hard_link_bytes), (6, 60, 20));
}

#[test]
fn bad_names_are_left_out_with_all_they_hold() {
    let bad = ["..", ".", "a\\b", "a/b", "n\0l", ""];
    let mut builder = Builder::new().with("good", &file(1));
    for name in bad {
        builder.dentry(name, &DentryFields { subdir_offset: 0x78, ..directory() });
    }
    let (tree, findings) = builder.end().load();
    assert_eq!(names(&tree), ["\\good"]);
    assert_eq!(findings, vec![FindingKind::BadName; bad.len()]);
    let mut warnings = Vec::new();
    let bytes = Builder::new().with("..", &file(1)).end().bytes;
    load(&bytes, &mut |e| warnings.push(e.to_string())).unwrap();
    assert!(warnings[0].starts_with("\\..: a name that no file can have"), "{warnings:?}");
}

#[test]
fn the_first_of_equal_names_stays_and_names_differing_in_case_both_stay() {
    let builder =
        Builder::new().with("b", &file(1)).with("B", &file(2)).with("a", &file(3)).with("b", &file(4));
    let (tree, findings) = builder.end().load();
    assert_eq!(names(&tree), ["\\a", "\\B", "\\b"]);
    assert_eq!(findings, [FindingKind::DuplicateName]);
    let b = tree.find(&WimPath::parse("b").unwrap()).unwrap();
    assert_eq!(tree.inode_of(b).data(), Sha1Digest([1; 20]));
    assert_eq!(tree.blob_references().len(), 3);
}

#[test]
fn cycles_shared_children_and_overlaps_are_refused() {
    let refused = |builder: Builder| {
        let error = load_with_findings(&builder.bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format, "{error}");
        error.to_string()
    };
    let to = |subdir_offset| DentryFields { subdir_offset, ..directory() };
    // The root's children are those of its own child.
    assert!(refused(Builder::new().with("loop", &to(0x78)).end()).contains("\\loop"));
    // Two directories share their children.
    let start = 0x78 + 2 * 112 + 8;
    let shared = Builder::new().with("a", &to(start)).with("b", &to(start)).end().with("x", &file(1)).end();
    refused(shared);
    // Outside, and not aligned.
    refused(Builder::new().with("a", &to(1 << 40)).end());
    refused(Builder::new().with("a", &to(u64::MAX - 7)).end());
    refused(Builder::new().with("a", &to(0x79)).end());
    // A chain of directories whose runs overlap, so that each loads the rest of the one before: 2^n entries without the
    // bound on the bytes read.
    let mut bomb = Builder::new();
    for i in 0..40u64 {
        bomb.dentry(&format!("{i:02}"), &to(0x78 + (i + 1) * 112));
    }
    refused(bomb.end());
}

#[test]
fn a_tree_deeper_than_the_limit_is_refused() {
    let deep = |levels: u64| {
        let mut builder = Builder::new();
        for i in 1..=levels {
            builder.dentry("d", &DentryFields { subdir_offset: 0x78 + i * 120, ..directory() });
            builder = builder.end();
        }
        load_with_findings(&builder.end().bytes)
    };
    let (tree, _) = deep(16_000).unwrap();
    assert_eq!(tree.walk(tree.root()).count(), 16_001);
    assert_eq!(deep(17_000).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn the_root_must_be_a_directory_and_loses_its_name() {
    let root = |name: &str, attributes| {
        let mut builder = Builder { bytes: vec![8, 0, 0, 0, 0, 0, 0, 0] };
        builder.dentry(name, &DentryFields { attributes, ..directory() });
        builder.end()
    };
    assert!(load_with_findings(&root("", 0x20).bytes).is_err());
    assert!(load_with_findings(&root("", 0x410).bytes).is_err());
    assert!(load_with_findings(&[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    let (tree, findings) = root("C:", 0x10).load();
    assert_eq!(findings, [FindingKind::NamedRoot]);
    assert_eq!(tree, Tree::new_empty());
}

#[test]
fn children_of_files_and_bad_security_ids_are_findings() {
    let reparse =
        DentryFields { attributes: 0x410, subdir_offset: 0x78, union_58: 0xA000_0003, ..directory() };
    let security = DentryFields { security: Some(SecurityId(5)), ..file(1) };
    let (tree, findings) = Builder::new().with("junction", &reparse).with("x", &security).end().load();
    assert_eq!(findings, [FindingKind::ChildrenOfFile, FindingKind::BadSecurityId(5)]);
    assert_eq!(names(&tree), ["\\junction", "\\x"]);
    let x = tree.find(&WimPath::parse("x").unwrap()).unwrap();
    assert_eq!(tree.inode_of(x).security, None);
}

#[test]
fn streams_times_and_the_unknown_field_are_kept() {
    let fields = DentryFields {
        attributes: 0x20,
        creation: FileTime(1),
        last_access: FileTime(2),
        last_write: FileTime(3),
        unknown_54: 0xCAFE,
        ..DentryFields::default()
    };
    let streams = [
        ExtraStream { name: WimString::default(), digest: Sha1Digest([1; 20]) },
        ExtraStream { name: "Zone.Identifier".into(), digest: Sha1Digest::OF_NOTHING },
    ];
    let mut builder = Builder::new();
    builder.dentry_with("x", &fields, &streams);
    let builder = builder.end();
    let (tree, _) = builder.load();
    let inode = tree.inode_of(tree.children(tree.root())[0]);
    assert_eq!(inode.unknown_54, 0xCAFE);
    let kept: Vec<_> = inode.streams.iter().map(|(kind, digest)| (kind.clone(), digest)).collect();
    let zone = StreamKind::Named("Zone.Identifier".into());
    assert_eq!(kept, [(StreamKind::Data, Sha1Digest([1; 20])), (zone, Sha1Digest::ZERO)]);
    let again = load(&store::store(&tree), &mut |e| panic!("{e}")).unwrap();
    assert_eq!(tree, again);
}

/// Findings are bounded, whatever an image holds.
#[test]
fn a_million_bad_names_give_a_thousand_findings() {
    let mut builder = Builder::new();
    for _ in 0..5000 {
        builder.dentry(".", &file(1));
    }
    let (_, findings) = builder.end().load();
    assert_eq!(findings.len(), 1001);
    assert_eq!(findings.last(), Some(&FindingKind::More(4000)));
}
