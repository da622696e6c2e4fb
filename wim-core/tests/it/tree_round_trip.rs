//! Trees made at random: what is stored loads as the same tree, and damaged bytes never panic.

use proptest::prelude::*;
use wim_core::base::{FileTime, Sha1Digest, WimString};
use wim_core::image::edit::Times;
use wim_core::image::{Inode, NodeId, Reparse, Stream, StreamKind, Streams, Tree, load, store};

/// One step of building a tree; numbers pick among what is there.
#[derive(Clone, Debug)]
struct Step {
    directory: usize,
    name: Vec<u16>,
    short_name: Vec<u16>,
    kind: u8,
    digests: [u8; 3],
    times: [u64; 3],
    attributes: u32,
    items: Vec<u8>,
    unknown: u32,
    descriptor: Option<Vec<u8>>,
}

fn units(most: usize) -> impl Strategy<Value = Vec<u16>> {
    // Few letters, so that names collide; any unit now and then, unpaired surrogates among them.
    let unit = prop_oneof![8 => prop::sample::select(vec![0x41u16, 0x61, 0x42, 0x62, 0xE9, 0xC9]), 1 => any::<u16>()];
    prop::collection::vec(unit, 0..=most)
}

fn step() -> impl Strategy<Value = Step> {
    let plain = (any::<usize>(), units(5), units(3), 0u8..7, any::<[u8; 3]>(), any::<[u64; 3]>());
    let rest = (
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..20),
        any::<u32>(),
        prop::option::of(prop::collection::vec(0u8..4, 0..6)),
    );
    (plain, rest).prop_map(
        |((directory, name, short_name, kind, digests, times), (attributes, items, unknown, descriptor))| {
            Step { directory, name, short_name, kind, digests, times, attributes, items, unknown, descriptor }
        },
    )
}

/// Digest 0 is "empty"; few others, so that blobs are shared.
fn digest(byte: u8) -> Sha1Digest {
    Sha1Digest([byte % 5; 20])
}

fn inode(tree: &mut Tree, step: &Step) -> Inode {
    const SPECIAL: u32 = 0x10 | 0x400 | 0x4000;
    let stream = |kind, byte| Stream { kind, digest: digest(byte) };
    let [a, b, c] = step.digests;
    let named = stream(StreamKind::Named("Ads".into()), b);
    let (special, streams) = match step.kind {
        0 | 1 => (0x10, vec![]),
        2 => (0x10, vec![named]),
        3 => (0x410, vec![stream(StreamKind::Reparse, a)]),
        4 => (0x400, vec![stream(StreamKind::Reparse, a), stream(StreamKind::Data, c), named]),
        5 => (0x4000, vec![stream(StreamKind::Efs, a)]),
        _ => (0, vec![stream(StreamKind::Data, c), named].into_iter().take(usize::from(b % 3)).collect()),
    };
    let mut tagged_items = step.items.clone();
    tagged_items.resize(tagged_items.len().next_multiple_of(8), 0);
    let [creation, last_access, last_write] = step.times.map(FileTime);
    Inode {
        attributes: step.attributes & !SPECIAL | special,
        security: step.descriptor.as_ref().map(|bytes| tree.security_mut().add(bytes).unwrap()),
        times: Times { creation, last_access, last_write },
        unknown_54: step.unknown,
        reparse: (special & 0x400 != 0).then_some(Reparse { tag: step.unknown, reserved: 3, flags: 1 }),
        streams: Streams::from_list(streams),
        tagged_items: tagged_items.into(),
        names: 0,
    }
}

fn build(steps: &[Step]) -> Tree {
    let mut tree = Tree::new_empty();
    let (mut directories, mut files): (Vec<NodeId>, Vec<NodeId>) = (vec![tree.root()], vec![]);
    for step in steps {
        let directory = directories[step.directory % directories.len()];
        let name = WimString::from_units(step.name.clone());
        let node = if step.kind == 6 && step.digests[0] % 2 == 0 && !files.is_empty() {
            // One more name for a file that is there.
            let file = tree.node(files[step.directory % files.len()]).inode;
            tree.add_name(directory, name, file)
        } else {
            let inode = inode(&mut tree, step);
            tree.add(directory, name, inode)
        };
        // Bad and colliding names are refused; the rest of the steps go on.
        let Ok(node) = node else { continue };
        let _ = tree.set_short_name(node, WimString::from_units(step.short_name.clone()));
        if tree.inode_of(node).is_directory() {
            directories.push(node);
        } else if tree.inode_of(node).reparse.is_none() {
            files.push(node);
        }
    }
    tree
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_stored_loads_as_the_same_tree(steps in prop::collection::vec(step(), 0..60)) {
        let tree = build(&steps);
        let bytes = store::store(&tree);
        let (again, findings) = load::load_with_findings(&bytes).unwrap();
        prop_assert_eq!(findings, vec![]);
        prop_assert!(again == tree, "{again:?}\n{tree:?}");
        prop_assert_eq!(store::store(&again), bytes);
        prop_assert_eq!(again.blob_references(), tree.blob_references());
        prop_assert_eq!(again.counts(&|d| u64::from(d.0[0])), tree.counts(&|d| u64::from(d.0[0])));
    }

    #[test]
    fn every_node_is_found_by_its_path(steps in prop::collection::vec(step(), 0..60)) {
        let tree = build(&steps);
        for (path, node) in tree.walk_paths(tree.root()) {
            prop_assert_eq!(tree.find(&path), Some(node));
        }
    }

    #[test]
    fn damaged_bytes_load_or_fail_but_never_panic(
        steps in prop::collection::vec(step(), 0..30),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8),
        cut in any::<usize>(),
    ) {
        let mut bytes = store::store(&build(&steps));
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if cut % 4 == 0 {
            bytes.truncate(cut % bytes.len());
        }
        if let Ok((tree, _)) = load::load_with_findings(&bytes) {
            // What was understood can be stored and understood again.
            let (again, _) = load::load_with_findings(&store::store(&tree)).unwrap();
            prop_assert!(again == tree);
        }
    }
}
