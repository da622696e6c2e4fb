//! Goes through two trees side by side.
//!
//! Names are paired as Windows finds them: spelt the same, else differing only in case. Children lie in NTFS order in both
//! trees, so that one pass over each directory is enough; nothing recurses.

use std::cmp::Ordering;

use crate::base::upcase;
use crate::image::{NodeId, Tree};

/// What the walk meets, a directory before what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A name that both trees have.
    Pair(NodeId, NodeId),
    /// One that only the old tree has.
    Removed(NodeId),
    /// One that only the new tree has.
    Added(NodeId),
}

/// The walk over both trees.
pub(super) struct Pairing<'t> {
    old: &'t Tree,
    new: &'t Tree,
    /// What is still to be met, the next one last.
    open: Vec<Step>,
}

impl<'t> Pairing<'t> {
    /// A walk that begins with `steps`.
    pub(super) fn new(old: &'t Tree, new: &'t Tree, steps: Vec<Step>) -> Self {
        let open = steps.into_iter().rev().collect();
        Self { old, new, open }
    }

    fn push_below(&mut self, step: Step) {
        let from = self.open.len();
        match step {
            Step::Removed(node) => {
                self.open.extend(self.old.children(node).iter().map(|&child| Step::Removed(child)));
            }
            Step::Added(node) => {
                self.open.extend(self.new.children(node).iter().map(|&child| Step::Added(child)));
            }
            Step::Pair(old, new) => self.merge(old, new),
        }
        if let Some(pushed) = self.open.get_mut(from..) {
            pushed.reverse();
        }
    }

    /// Pairs what two directories hold; of a directory and a file, everything in the directory is in one tree only.
    fn merge(&mut self, old: NodeId, new: NodeId) {
        let (mut olds, mut news) = (self.old.children(old), self.new.children(new));
        while let (Some(&a), Some(&b)) = (olds.first(), news.first()) {
            let (name, other) = (&self.old.node(a).name, &self.new.node(b).name);
            match upcase::compare(name, other) {
                Ordering::Less => {
                    self.open.push(Step::Removed(a));
                    olds = olds.get(1..).unwrap_or(&[]);
                }
                Ordering::Greater => {
                    self.open.push(Step::Added(b));
                    news = news.get(1..).unwrap_or(&[]);
                }
                Ordering::Equal => {
                    let alike = |tree: &Tree, list: &[NodeId]| {
                        list.iter().take_while(|&&id| upcase::equal(&tree.node(id).name, name)).count()
                    };
                    let (some, others) =
                        (olds.split_at(alike(self.old, olds)), news.split_at(alike(self.new, news)));
                    self.alike(some.0, others.0);
                    (olds, news) = (some.1, others.1);
                }
            }
        }
        self.open.extend(olds.iter().map(|&node| Step::Removed(node)));
        self.open.extend(news.iter().map(|&node| Step::Added(node)));
    }

    /// Pairs names of one directory that differ in case at most: equal ones with each other, the rest in their order.
    fn alike(&mut self, olds: &[NodeId], news: &[NodeId]) {
        if let ([a], [b]) = (olds, news) {
            self.open.push(Step::Pair(*a, *b));
            return;
        }
        // Both lists are in the order of their units, as NTFS orders names that differ in case only.
        let (mut unpaired, mut left) = (Vec::new(), Vec::new());
        let mut candidates = news.iter().copied().peekable();
        for &a in olds {
            let name = &self.old.node(a).name;
            let before = |b: &NodeId| self.new.node(*b).name < *name;
            left.extend(std::iter::from_fn(|| candidates.next_if(before)));
            match candidates.next_if(|&b| self.new.node(b).name == *name) {
                Some(b) => self.open.push(Step::Pair(a, b)),
                None => unpaired.push(a),
            }
        }
        left.extend(candidates);
        let pairs = unpaired.len().min(left.len());
        self.open.extend(unpaired.iter().zip(&left).map(|(&a, &b)| Step::Pair(a, b)));
        self.open.extend(unpaired.iter().skip(pairs).map(|&node| Step::Removed(node)));
        self.open.extend(left.iter().skip(pairs).map(|&node| Step::Added(node)));
    }
}

impl Iterator for Pairing<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let step = self.open.pop()?;
        self.push_below(step);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wim::attributes::DIRECTORY;
    use crate::image::{Inode, WimPath};

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::new_empty();
        for path in paths {
            let path = WimPath::parse(path).unwrap();
            let parent = tree.find(&path.parent().unwrap()).unwrap();
            let is_directory = path.name().unwrap().to_text().starts_with(['d', 'D']);
            let inode = Inode { attributes: if is_directory { DIRECTORY } else { 0 }, ..Inode::default() };
            tree.add(parent, path.name().unwrap().clone(), inode).unwrap();
        }
        tree
    }

    fn steps(old: &[&str], new: &[&str]) -> Vec<String> {
        let (old, new) = (tree(old), tree(new));
        let walk = Pairing::new(&old, &new, vec![Step::Pair(old.root(), new.root())]);
        let text = |step| match step {
            Step::Pair(a, b) => format!("={} {}", old.path_of(a), new.path_of(b)),
            Step::Removed(a) => format!("-{}", old.path_of(a)),
            Step::Added(b) => format!("+{}", new.path_of(b)),
        };
        walk.skip(1).map(text).collect()
    }

    #[test]
    fn names_are_paired_in_one_pass() {
        let old = ["/a", "/d", "/d/x", "/d/y", "/z"];
        let new = ["/b", "/d", "/d/Y", "/d/z", "/z"];
        assert_eq!(
            steps(&old, &new),
            ["-\\a", "+\\b", "=\\d \\d", "-\\d\\x", "=\\d\\y \\d\\Y", "+\\d\\z", "=\\z \\z"]
        );
    }

    #[test]
    fn the_same_spelling_goes_before_another() {
        assert_eq!(steps(&["/A", "/a"], &["/a"]), ["=\\a \\a", "-\\A"]);
        assert_eq!(steps(&["/AB", "/aB"], &["/Ab", "/ab"]), ["=\\AB \\Ab", "=\\aB \\ab"]);
        assert_eq!(steps(&["/x"], &["/X", "/x"]), ["=\\x \\x", "+\\X"]);
    }

    #[test]
    fn what_lies_in_a_directory_that_became_a_file_is_gone() {
        let mut new = tree(&[]);
        new.add(new.root(), "d".into(), Inode::default()).unwrap();
        let old = tree(&["/d", "/d/x"]);
        let walk = Pairing::new(&old, &new, vec![Step::Pair(old.root(), new.root())]);
        let x = old.find(&WimPath::parse("/d/x").unwrap()).unwrap();
        assert_eq!(walk.last(), Some(Step::Removed(x)));
    }
}
