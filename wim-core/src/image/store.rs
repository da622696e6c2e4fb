//! The bytes of a metadata resource from a tree.
//!
//! Laid out as wimlib and, but for the order of runs, Microsoft do (wim-format 7.3): security table, root, end mark, then
//! the children of each directory in pre-order, every run ended by eight zero bytes. Compressing and hashing the result is
//! the writer's business.

use super::node::{Inode, NodeId};
use super::tree::Tree;
use crate::formats::wim::dentry::{self, DentryFields, END_BYTES, ExtraStream};
use crate::formats::wim::{security, streams};

/// Stores an image; [`load`](super::load::load) gives an equal tree back, and equal trees in equal id order give equal
/// bytes.
///
/// Link group ids count from 1 in the order of a walk and go to files with two names or more; all others have 0.
#[must_use]
pub fn store(tree: &Tree) -> Vec<u8> {
    let links = link_groups(tree);
    let mut runs = Vec::with_capacity(1);
    let root_offset = security::stored_bytes(tree.security().iter().map(<[u8]>::len));
    let mut offset = root_offset + stored_bytes(tree, tree.root()) + END_BYTES;
    // The offset of each directory's run, by node.
    runs.resize(tree.node_bound(), 0u64);
    for visit in tree.walk(tree.root()) {
        if tree.inode_of(visit.node).is_directory() {
            runs[visit.node.index()] = offset;
            let children = tree.children(visit.node).iter();
            offset += children.map(|&child| stored_bytes(tree, child)).sum::<u64>() + END_BYTES;
        }
    }
    let mut out = Vec::with_capacity(usize::try_from(offset).unwrap_or(0));
    security::write_to(tree.security().iter(), &mut out);
    write_dentry(tree, tree.root(), &runs, &links, &mut out);
    out.extend_from_slice(&[0; END_BYTES as usize]);
    for visit in tree.walk(tree.root()) {
        if tree.inode_of(visit.node).is_directory() {
            for &child in tree.children(visit.node) {
                write_dentry(tree, child, &runs, &links, &mut out);
            }
            out.extend_from_slice(&[0; END_BYTES as usize]);
        }
    }
    debug_assert_eq!(out.len() as u64, offset, "offsets were computed from the same sizes");
    out
}

/// The link group id of each inode, by its index.
fn link_groups(tree: &Tree) -> Vec<u64> {
    let mut groups = vec![0u64; tree.inode_bound()];
    let mut next = 1;
    for visit in tree.walk(tree.root()) {
        let id = tree.node(visit.node).inode;
        let group = &mut groups[id.index()];
        let inode = tree.inode(id);
        if inode.names > 1 && inode.reparse.is_none() && *group == 0 {
            *group = next;
            next += 1;
        }
    }
    groups
}

/// The stream entries of a file; nothing is allocated for one with a single stream.
fn stored_streams(inode: &Inode) -> streams::StoredStreams {
    streams::lay_out(inode.attributes, inode.streams.iter())
}

fn stored_bytes(tree: &Tree, id: NodeId) -> u64 {
    let (node, inode) = (tree.node(id), tree.inode_of(id));
    let extra: Vec<ExtraStream> = stored_streams(inode).extra;
    dentry::stored_bytes(&node.name, &node.short_name, &inode.tagged_items, &extra)
}

fn write_dentry(tree: &Tree, id: NodeId, runs: &[u64], links: &[u64], out: &mut Vec<u8>) {
    let (node, inode) = (tree.node(id), tree.inode_of(id));
    let stored = stored_streams(inode);
    let union_58 = match inode.reparse {
        Some(reparse) => {
            let [t0, t1, t2, t3] = reparse.tag.to_le_bytes();
            let ([r0, r1], [f0, f1]) = (reparse.reserved.to_le_bytes(), reparse.flags.to_le_bytes());
            u64::from_le_bytes([t0, t1, t2, t3, r0, r1, f0, f1])
        }
        None => links[node.inode.index()],
    };
    let fields = DentryFields {
        attributes: inode.attributes,
        security: inode.security,
        subdir_offset: runs[id.index()],
        creation: inode.times.creation,
        last_access: inode.times.last_access,
        last_write: inode.times.last_write,
        main_hash: stored.main_hash,
        unknown_54: inode.unknown_54,
        union_58,
    };
    dentry::write_to(out, &fields, (&node.name, &node.short_name), &inode.tagged_items, &stored.extra);
}
