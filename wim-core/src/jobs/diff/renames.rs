//! Finds what was moved or renamed among what was added and removed.
//!
//! A file is known again by its contents, attributes and reparse data, a directory by the names and files below it; times and
//! security descriptors may have changed. What has no data at all is never taken for renamed: there is nothing to know it by.
//! Large directories come first, so that a moved directory is one rename and not many; equal names are preferred.

use std::collections::{HashMap, HashSet, VecDeque};

use super::aspect::{Aspect, Aspects};
use super::pairing::Step;
use crate::base::upcase::upcase;
use crate::base::{Sha1Digest, Sha1Hasher};
use crate::image::{NodeId, StreamKind, Tree};

/// What was found.
#[derive(Default)]
pub(super) struct Renames {
    /// The old node of each new one that was renamed.
    pub(super) old_of: HashMap<NodeId, NodeId>,
    /// Old nodes that are part of a rename.
    pub(super) taken_old: HashSet<NodeId>,
    /// New nodes that are part of a rename.
    pub(super) taken_new: HashSet<NodeId>,
}

/// What a node is known by.
#[derive(Clone, Copy)]
struct Mark {
    digest: Sha1Digest,
    /// Nodes from this one down.
    nodes: u32,
    has_data: bool,
}

/// Looks for renames among the steps of a walk.
pub(super) fn find(old: &Tree, new: &Tree, steps: &[Step], ignored: Aspects) -> Renames {
    let mut found = Renames::default();
    let is_removed = |step: &Step| if let Step::Removed(node) = step { Some(*node) } else { None };
    let is_added = |step: &Step| if let Step::Added(node) = step { Some(*node) } else { None };
    let removed: Vec<NodeId> = steps.iter().filter_map(is_removed).collect();
    let mut added: Vec<NodeId> = steps.iter().filter_map(is_added).collect();
    if removed.is_empty() || added.is_empty() {
        return found;
    }
    let (old_marks, new_marks) = (marks(old, &removed, ignored), marks(new, &added, ignored));
    let mut by_name: HashMap<(Sha1Digest, Vec<u16>), VecDeque<NodeId>> = HashMap::new();
    let mut by_mark: HashMap<Sha1Digest, VecDeque<NodeId>> = HashMap::new();
    for node in removed {
        if let Some(mark) = old_marks.get(&node).filter(|mark| mark.has_data) {
            by_name.entry((mark.digest, upcased(old, node))).or_default().push_back(node);
            by_mark.entry(mark.digest).or_default().push_back(node);
        }
    }
    added.retain(|node| new_marks.get(node).is_some_and(|mark| mark.has_data));
    let size = |node: &NodeId| new_marks.get(node).map_or(0, |mark| mark.nodes);
    added.sort_by_key(|node| std::cmp::Reverse(size(node)));
    for alike in added.chunk_by(|a, b| size(a) == size(b)) {
        // A directory is larger than all below it, so that no part of a candidate is taken before the whole.
        for with_name in [true, false] {
            for &node in alike {
                let Some(mark) = new_marks.get(&node).filter(|_| !found.taken_new.contains(&node)) else {
                    continue;
                };
                let candidates = match with_name {
                    true => by_name.get_mut(&(mark.digest, upcased(new, node))),
                    false => by_mark.get_mut(&mark.digest),
                };
                let Some(candidates) = candidates else { continue };
                let free =
                    std::iter::from_fn(|| candidates.pop_front()).find(|c| !found.taken_old.contains(c));
                if let Some(candidate) = free {
                    found.old_of.insert(node, candidate);
                    found.taken_old.extend(old.walk(candidate).map(|visit| visit.node));
                    found.taken_new.extend(new.walk(node).map(|visit| visit.node));
                }
            }
        }
    }
    found
}

fn upcased(tree: &Tree, node: NodeId) -> Vec<u16> {
    tree.node(node).name.iter().map(|&unit| upcase(unit)).collect()
}

/// The marks of nodes, given with directories before what they hold.
fn marks(tree: &Tree, nodes: &[NodeId], ignored: Aspects) -> HashMap<NodeId, Mark> {
    let mut marks: HashMap<NodeId, Mark> = HashMap::with_capacity(nodes.len());
    for &node in nodes.iter().rev() {
        let inode = tree.inode_of(node);
        let mut hasher = Sha1Hasher::new();
        let attributes = if ignored.has(Aspect::Attributes) { 0 } else { inode.attributes };
        hasher.update(&attributes.to_le_bytes());
        let reparse = inode.reparse.map_or([0, 0], |reparse| [1, reparse.tag]);
        hasher.update(reparse.map(u32::to_le_bytes).as_flattened());
        let mut mark = Mark { digest: Sha1Digest::ZERO, nodes: 1, has_data: false };
        for (kind, digest) in inode.streams.iter() {
            let (number, name) = match kind {
                StreamKind::Reparse => (1u8, None),
                StreamKind::Data => (2, None),
                StreamKind::Efs => (3, None),
                StreamKind::Named(name) => (4, Some(name)),
            };
            hasher.update(&[number]);
            name.into_iter().for_each(|name| update_name(&mut hasher, name));
            hasher.update(&digest.0);
            mark.has_data |= !digest.is_zero();
        }
        for &child in tree.children(node) {
            hasher.update(&[5]);
            update_name(&mut hasher, &tree.node(child).name);
            if let Some(below) = marks.get(&child) {
                hasher.update(&below.digest.0);
                mark.nodes = mark.nodes.saturating_add(below.nodes);
                mark.has_data |= below.has_data;
            }
        }
        mark.digest = hasher.finish();
        marks.insert(node, mark);
    }
    marks
}

fn update_name(hasher: &mut Sha1Hasher, name: &[u16]) {
    hasher.update(&(name.len() as u64).to_le_bytes());
    let bytes: Vec<u8> = name.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    hasher.update(&bytes);
}
