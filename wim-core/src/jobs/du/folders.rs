//! The folders of a tree, numbered as a walk meets them, and the folder that two of them have in common.
//!
//! Common folders are found along heavy paths (each folder continues its path into its largest subfolder), which takes a
//! number of steps that grows with the logarithm of the number of folders, however deep the tree is.

use crate::image::{NodeId, Tree};

/// Stands for no folder.
const NONE: u32 = u32::MAX;

/// The folders of a tree.
pub(super) struct Folders {
    /// The number of each node that is a folder.
    numbers: Vec<u32>,
    parents: Vec<u32>,
    depths: Vec<u32>,
    /// The uppermost folder of the path that each folder lies on.
    heads: Vec<u32>,
}

impl Folders {
    pub(super) fn new(tree: &Tree) -> Self {
        let mut numbers = vec![NONE; tree.node_bound()];
        let (mut parents, mut depths) = (Vec::new(), Vec::new());
        for visit in tree.walk(tree.root()) {
            if tree.inode_of(visit.node).is_directory() {
                // A tree has fewer than 2^32 nodes.
                numbers[visit.node.index()] = parents.len() as u32;
                let parent = tree.node(visit.node).parent;
                parents.push(parent.map_or(NONE, |parent| numbers[parent.index()]));
                depths.push(u32::try_from(visit.depth).unwrap_or(u32::MAX));
            }
        }
        let heads = heads(&parents);
        Self { numbers, parents, depths, heads }
    }

    pub(super) fn len(&self) -> usize {
        self.parents.len()
    }

    /// The number of a node that is a folder; the root's is 0, and a folder's is larger than that of the one it is in.
    pub(super) fn number(&self, node: NodeId) -> Option<usize> {
        self.numbers.get(node.index()).filter(|&&number| number != NONE).map(|&number| number as usize)
    }

    /// The folder that a folder is in.
    pub(super) fn parent(&self, folder: usize) -> Option<usize> {
        self.parents.get(folder).filter(|&&parent| parent != NONE).map(|&parent| parent as usize)
    }

    /// The innermost folder that both are, or are in.
    pub(super) fn common(&self, mut a: usize, mut b: usize) -> usize {
        while self.heads[a] != self.heads[b] {
            let (head_a, head_b) = (self.heads[a] as usize, self.heads[b] as usize);
            if self.depths[head_a] >= self.depths[head_b] {
                a = self.parent(head_a).unwrap_or(0);
            } else {
                b = self.parent(head_b).unwrap_or(0);
            }
        }
        if self.depths[a] <= self.depths[b] { a } else { b }
    }
}

/// The head of each folder's path; parents come before what is in them.
fn heads(parents: &[u32]) -> Vec<u32> {
    let mut sizes = vec![1u32; parents.len()];
    let mut largest = vec![NONE; parents.len()];
    for folder in (1..parents.len()).rev() {
        let parent = parents[folder] as usize;
        sizes[parent] += sizes[folder];
        if largest[parent] == NONE || sizes[folder] >= sizes[largest[parent] as usize] {
            largest[parent] = folder as u32;
        }
    }
    let mut heads = vec![0; parents.len()];
    for folder in 1..parents.len() {
        let parent = parents[folder] as usize;
        heads[folder] = if largest[parent] as usize == folder { heads[parent] } else { folder as u32 };
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wim::attributes::DIRECTORY;
    use crate::image::Inode;

    #[test]
    fn common_folders_are_those_that_walking_up_finds() {
        let mut tree = Tree::new_empty();
        let mut nodes = vec![tree.root()];
        let mut state = 12345u64;
        for number in 0..300 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let parent = nodes[(state >> 33) as usize % nodes.len().min(number / 3 + 1)];
            let inode = Inode { attributes: DIRECTORY, ..Inode::default() };
            nodes.push(tree.add(parent, format!("{number}").as_str().into(), inode).unwrap());
        }
        let folders = Folders::new(&tree);
        assert_eq!(folders.len(), 301);
        let line = |node: usize| -> Vec<usize> {
            std::iter::successors(Some(node), |&at| folders.parent(at)).collect()
        };
        for a in (0..301).step_by(7) {
            for b in 0..301 {
                let above = line(b);
                let expected = line(a).into_iter().find(|folder| above.contains(folder));
                assert_eq!(Some(folders.common(a, b)), expected, "{a} {b}");
            }
        }
    }
}
