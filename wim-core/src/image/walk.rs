//! Every name of a tree, a directory before what it holds.
//!
//! The order is that in which NTFS would list, directory by directory. Walking keeps one small stack and never recurses;
//! paths are only made for who asks.

use super::node::NodeId;
use super::path::WimPath;
use super::tree::Tree;

/// A node and how deep it lies below the start of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The node.
    pub node: NodeId,
    /// 0 for the start, 1 for its children.
    pub depth: usize,
}

/// Pre-order iterator; [`Tree::walk`] makes it.
#[derive(Clone, Debug)]
pub struct Walk<'t> {
    tree: &'t Tree,
    /// The start, until it was given.
    start: Option<NodeId>,
    /// What is left of the children of each directory on the way down.
    open: Vec<std::slice::Iter<'t, NodeId>>,
}

impl<'t> Walk<'t> {
    pub(super) fn new(tree: &'t Tree, start: NodeId) -> Self {
        Self { tree, start: Some(start), open: Vec::new() }
    }

    /// Goes on behind the children of the directory given last, if it has any.
    pub fn skip_children(&mut self) {
        self.open.pop();
    }
}

impl Iterator for Walk<'_> {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        let node = match self.start.take() {
            Some(start) => start,
            None => loop {
                match self.open.last_mut()?.next() {
                    Some(&node) => break node,
                    None => {
                        self.open.pop();
                    }
                }
            },
        };
        let depth = self.open.len();
        // A frame for every node, so that `skip_children` needs no test; a file's is empty and gone at the next step.
        self.open.push(self.tree.node(node).children.iter());
        Some(Visit { node, depth })
    }
}

/// Pre-order iterator with paths; [`Tree::walk_paths`] makes it.
#[derive(Clone, Debug)]
pub struct WalkPaths<'t> {
    walk: Walk<'t>,
    above: WimPath,
    path: Vec<NodeId>,
}

impl<'t> WalkPaths<'t> {
    pub(super) fn new(tree: &'t Tree, start: NodeId) -> Self {
        let above = tree.path_of(start);
        Self { walk: Walk::new(tree, start), above, path: Vec::new() }
    }
}

impl Iterator for WalkPaths<'_> {
    type Item = (WimPath, NodeId);

    fn next(&mut self) -> Option<(WimPath, NodeId)> {
        let Visit { node, depth } = self.walk.next()?;
        self.path.truncate(depth.saturating_sub(1));
        if depth > 0 {
            self.path.push(node);
        }
        let below = self.path.iter().map(|&node| self.walk.tree.node(node).name.clone());
        let names = self.above.components().iter().cloned().chain(below).collect();
        Some((WimPath::from_components(names), node))
    }
}
