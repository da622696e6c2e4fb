//! Parts of one tree put into another, and names moved within a tree.
//!
//! The rules are wimlib's (wimupdate(1)): a directory put onto a directory merges, a file put onto a file replaces it, and a
//! move follows POSIX `rename`. Contents are no concern of this module: the caller brings the blobs along.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::edit::Times;
use super::glob::Case;
use super::node::{Inode, InodeId, NodeId};
use super::path::WimPath;
use super::tree::{Tree, is_valid_name};
use crate::base::{Error, FileTime, Place, Reason, Result, WimString};
use crate::formats::wim::attributes::DIRECTORY;

/// How parts of one tree are put into another.
#[derive(Clone, Copy, Debug)]
pub struct GraftRules {
    /// What becomes of files that are there already.
    pub existing: ExistingFiles,
    /// How names are compared.
    pub case: Case,
    /// Times of directories that are made on the way.
    pub time: FileTime,
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingFiles {
    /// It is replaced.
    Replace,
    /// It is an error.
    Refuse,
}

impl Tree {
    /// The node at `path`, found by the rules of `case`: names spelt so, or else differing only in case.
    #[must_use]
    pub fn find_by(&self, path: &WimPath, case: Case) -> Option<NodeId> {
        path.components().iter().try_fold(self.root(), |node, name| self.child_by(node, name, case))
    }

    fn child_by(&self, directory: NodeId, name: &WimString, case: Case) -> Option<NodeId> {
        let found = self.child(directory, name)?;
        (case == Case::Ignored || self.node(found).name == *name).then_some(found)
    }

    /// Puts `node` of `source`, with all below it, at `path`; missing directories above it are made.
    ///
    /// A directory that is there already keeps its own attributes and times and gets what it lacks. Where a name of what lies below
    /// `node` may mean several in it, the first is taken and `warn` is told.
    ///
    /// # Errors
    /// `InvalidInput` when a directory meets a file, when a file is there and must not be replaced, and for names and depths
    /// that a tree cannot have; some of the nodes may then be in place.
    pub fn graft(
        &mut self,
        path: &WimPath,
        (source, node): (&Self, NodeId),
        rules: GraftRules,
        warn: &mut dyn FnMut(Error),
    ) -> Result<()> {
        let GraftRules { case, time, .. } = rules;
        let Some((name, above)) = path.components().split_last() else {
            if !source.inode_of(node).is_directory() {
                return Err(conflict(
                    path,
                    Reason::NotADirectory,
                    "a file cannot take the place of the root",
                ));
            }
            return self.merge((self.root(), None), (source, node), rules, warn);
        };
        let mut directory = self.root();
        for (depth, name) in above.iter().enumerate() {
            let next = match self.child_by(directory, name, case) {
                Some(next) => next,
                None => {
                    let made = Inode { attributes: DIRECTORY, times: Times::all(time), ..Inode::default() };
                    self.add(directory, name.clone(), made)?
                }
            };
            if !self.inode_of(next).is_directory() {
                let at = WimPath::from_components(above.get(..=depth).unwrap_or(above).to_vec());
                return Err(conflict(
                    &at,
                    Reason::NotADirectory,
                    "it is no directory, so nothing can be put into it",
                ));
            }
            directory = next;
        }
        self.merge((directory, Some(name)), (source, node), rules, warn)
    }

    /// Puts `node` into a directory under a name, or what it holds into a directory.
    fn merge(
        &mut self,
        (directory, name): (NodeId, Option<&WimString>),
        (source, node): (&Self, NodeId),
        GraftRules { existing, case, .. }: GraftRules,
        warn: &mut dyn FnMut(Error),
    ) -> Result<()> {
        let mut inodes: HashMap<InodeId, InodeId> = HashMap::new();
        let mut open: Vec<(NodeId, NodeId, Option<WimString>)> = match name {
            Some(name) => vec![(directory, node, Some(name.clone()))],
            None => source.children(node).iter().rev().map(|&child| (directory, child, None)).collect(),
        };
        while let Some((directory, node, name)) = open.pop() {
            if name.is_none() && case == Case::Ignored {
                self.warn_of_twins(directory, &source.node(node).name, warn);
            }
            let name = name.unwrap_or_else(|| source.node(node).name.clone());
            let is_directory = source.inode_of(node).is_directory();
            let there = self.child_by(directory, &name, case);
            let placed = match there {
                Some(there) if is_directory && self.inode_of(there).is_directory() => there,
                Some(there) => {
                    let at = self.path_of(there);
                    if is_directory || self.inode_of(there).is_directory() {
                        let reason = if is_directory { Reason::NotADirectory } else { Reason::IsDirectory };
                        let why = "a directory and a file cannot take each other's place";
                        return Err(conflict(&at, reason, why));
                    }
                    if existing == ExistingFiles::Refuse {
                        return Err(conflict(&at, Reason::FileThere, "a file is there already"));
                    }
                    self.remove(there);
                    self.copy_node(directory, name, (source, node), &mut inodes)?
                }
                None => self.copy_node(directory, name, (source, node), &mut inodes)?,
            };
            open.extend(source.children(node).iter().rev().map(|&child| (placed, child, None)));
        }
        Ok(())
    }

    /// Tells when a name may mean several of a directory's.
    fn warn_of_twins(&self, directory: NodeId, name: &WimString, warn: &mut dyn FnMut(Error)) {
        let found = self.children_named(directory, name);
        if found.len() > 1 {
            let mut path = self.path_of(directory).components().to_vec();
            path.push(name.clone());
            let path = WimPath::from_components(path);
            warn(self.ambiguous(&path, found).remedy("the first is meant; rename one of them"));
        }
    }

    /// Copies one node, without what it holds; names of one file stay names of one file.
    fn copy_node(
        &mut self,
        directory: NodeId,
        name: WimString,
        (source, node): (&Self, NodeId),
        inodes: &mut HashMap<InodeId, InodeId>,
    ) -> Result<NodeId> {
        let old = source.node(node).inode;
        let inode = match inodes.get(&old) {
            Some(&inode) => inode,
            None => {
                let file = source.inode(old);
                let descriptor = file.security.and_then(|id| source.security().get(id));
                let security = descriptor.map(|bytes| self.security_mut().add(bytes)).transpose()?;
                let inode = self.add_inode(Inode { security, ..file.clone() })?;
                inodes.insert(old, inode);
                inode
            }
        };
        let placed = self.add_name(directory, name, inode)?;
        self.set_short_name(placed, source.node(node).short_name.clone())?;
        Ok(placed)
    }

    /// Moves what is at `from` to `to`, as POSIX `rename` does: a file takes the place of a file, a directory that of an
    /// empty one. The short name, which belonged to the old name, goes.
    ///
    /// # Errors
    /// `NotFound` when there is nothing at `from` or no directory to move into; `InvalidInput` when the kinds do not fit, a
    /// directory is not empty or would be moved into itself, and for the root.
    pub fn rename(&mut self, from: &WimPath, to: &WimPath, case: Case) -> Result<()> {
        let missing = |path: &WimPath| {
            Error::not_found("there is no such path in the image")
                .because(Reason::NoSuchPath)
                .at(Place::Path(path.to_string()))
        };
        let node = self.find_by(from, case).ok_or_else(|| missing(from))?;
        let (Some(name), Some(above), false) = (to.name(), to.parent(), node == self.root()) else {
            let reason = if node == self.root() { Reason::NotEmpty } else { Reason::IsDirectory };
            return Err(conflict(from, reason, "the root cannot be moved or replaced"));
        };
        let directory = self.find_by(&above, case).ok_or_else(|| missing(&above))?;
        if !self.inode_of(directory).is_directory() {
            return Err(conflict(
                &above,
                Reason::NotADirectory,
                "it is no directory, so nothing can be put into it",
            ));
        }
        if std::iter::successors(Some(directory), |&id| self.node(id).parent).any(|above| above == node) {
            return Err(conflict(to, Reason::NotEmpty, "a directory cannot be moved into itself"));
        }
        if !is_valid_name(name) {
            let why = "not a name that a file can have";
            return Err(Error::invalid_input(why).at(Place::Path(to.to_string())));
        }
        if let Some(there) = self.child_by(directory, name, case).filter(|&there| there != node) {
            let kinds = (self.inode_of(node).is_directory(), self.inode_of(there).is_directory());
            match kinds {
                (false, true) => {
                    let why = "a directory is there, which a file cannot replace";
                    return Err(conflict(to, Reason::IsDirectory, why));
                }
                (true, false) => {
                    let why = "a file is there, which a directory cannot replace";
                    return Err(conflict(to, Reason::NotADirectory, why));
                }
                (true, true) if !self.children(there).is_empty() => {
                    return Err(conflict(to, Reason::NotEmpty, "the directory that is there is not empty"));
                }
                _ => self.remove(there),
            }
        }
        self.reattach(node, directory, name.clone());
        Ok(())
    }

    fn reattach(&mut self, node: NodeId, directory: NodeId, name: WimString) {
        if let Some(parent) = self.node(node).parent {
            self.nodes[parent.index()].children.retain(|&child| child != node);
        }
        let order = |child: &NodeId| self.node(*child).name.ntfs_cmp(&name);
        let place = self.children(directory).partition_point(|child| order(child) == Ordering::Less);
        let moved = &mut self.nodes[node.index()];
        (moved.parent, moved.name, moved.short_name) = (Some(directory), name, WimString::default());
        self.nodes[directory.index()].children.insert(place, node);
    }
}

fn conflict(path: &WimPath, reason: Reason, why: &str) -> Error {
    Error::invalid_input(why).because(reason).at(Place::Path(path.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Sha1Digest;
    use crate::image::Streams;

    const TIME: FileTime = FileTime(7);

    fn path(text: &str) -> WimPath {
        WimPath::parse(text).unwrap()
    }

    fn file(byte: u8) -> Inode {
        Inode { streams: Streams::data(Sha1Digest([byte; 20])), ..Inode::default() }
    }

    fn directory() -> Inode {
        Inode { attributes: DIRECTORY, ..Inode::default() }
    }

    fn paths(tree: &Tree) -> Vec<String> {
        tree.walk_paths(tree.root()).skip(1).map(|(path, _)| path.to_string()).collect()
    }

    /// `\d\a` and `\d\b` (one file), `\d\sub\c`.
    fn sample() -> Tree {
        let mut tree = Tree::new_empty();
        let d = tree.add(tree.root(), "d".into(), directory()).unwrap();
        let a = tree.add(d, "a".into(), file(1)).unwrap();
        tree.add_name(d, "b".into(), tree.node(a).inode).unwrap();
        let sub = tree.add(d, "sub".into(), directory()).unwrap();
        tree.add(sub, "c".into(), file(2)).unwrap();
        tree
    }

    fn put(tree: &mut Tree, at: &str, source: &Tree, existing: ExistingFiles) -> Result<()> {
        let rules = GraftRules { existing, case: Case::Matters, time: TIME };
        tree.graft(&path(at), (source, source.root()), rules, &mut |warning| panic!("{warning}"))
    }

    #[test]
    fn directories_merge_files_are_replaced_and_links_stay_links() {
        let mut tree = Tree::new_empty();
        put(&mut tree, "\\x\\y", &sample(), ExistingFiles::Refuse).unwrap();
        assert_eq!(tree.inode_of(tree.find(&path("\\x")).unwrap()).times, Times::all(TIME));
        let (a, b) = (tree.find(&path("\\x\\y\\d\\a")).unwrap(), tree.find(&path("\\x\\y\\d\\b")).unwrap());
        assert_eq!((tree.node(a).inode, tree.inode_of(a).names), (tree.node(b).inode, 2));
        let mut other = Tree::new_empty();
        let d = other.add(other.root(), "d".into(), directory()).unwrap();
        other.add(d, "a".into(), file(9)).unwrap();
        assert!(put(&mut tree, "\\x\\y", &other, ExistingFiles::Refuse).is_err());
        put(&mut tree, "\\x\\y", &other, ExistingFiles::Replace).unwrap();
        let data = |tree: &Tree, at: &str| tree.inode_of(tree.find(&path(at)).unwrap()).data();
        assert_eq!(data(&tree, "\\x\\y\\d\\a"), Sha1Digest([9; 20]));
        assert_eq!(data(&tree, "\\x\\y\\d\\b"), Sha1Digest([1; 20]));
        assert_eq!(paths(&tree).len(), 7);
    }

    #[test]
    fn files_and_directories_do_not_take_each_others_place() {
        let mut tree = sample();
        let other = sample();
        let c = other.find(&path("\\d\\sub\\c")).unwrap();
        let mut put = |at: &str, node| {
            let rules = GraftRules { existing: ExistingFiles::Replace, case: Case::Matters, time: TIME };
            tree.graft(&path(at), (&other, node), rules, &mut |warning| panic!("{warning}"))
        };
        assert!(put("\\d", c).is_err(), "a file onto a directory");
        assert!(put("\\d\\a", other.root()).is_err(), "a directory onto a file");
        assert!(put("\\d\\a\\new", c).is_err(), "below a file");
        assert!(put("\\", c).is_err(), "a file as the root");
        put("\\D\\c", c).unwrap();
        assert!(paths(&tree).contains(&"\\D\\c".to_owned()), "case matters: {:?}", paths(&tree));
    }

    #[test]
    fn names_that_may_mean_several_are_told_where_case_is_ignored() {
        let mut tree = sample();
        let d = tree.find(&path("\\d")).unwrap();
        tree.add(d, "SUB".into(), directory()).unwrap();
        let mut other = Tree::new_empty();
        let d = other.add(other.root(), "D".into(), directory()).unwrap();
        for (name, inode) in [("Sub", directory()), ("A", file(8)), ("new", file(9))] {
            other.add(d, name.into(), inode).unwrap();
        }
        let mut told = Vec::new();
        let rules = GraftRules { existing: ExistingFiles::Replace, case: Case::Ignored, time: TIME };
        let graft = tree.graft(&path("\\"), (&other, other.root()), rules, &mut |warning| told.push(warning));
        graft.unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].place(), &Place::Path("\\d\\Sub".to_owned()));
        assert!(told[0].message().contains("\\d\\SUB, \\d\\sub"), "{}", told[0]);
        assert_eq!(paths(&tree).len(), 7, "{:?}", paths(&tree));
    }

    #[test]
    fn moves_follow_posix() {
        let mut tree = sample();
        let mut mv = |from: &str, to: &str| tree.rename(&path(from), &path(to), Case::Matters);
        for (from, to) in [
            ("\\no", "\\x"),
            ("\\D", "\\x"),
            ("\\d", "\\no\\x"),
            ("\\d", "\\d\\sub\\x"),
            ("\\d\\a", "\\d\\sub"),
            ("\\d\\sub", "\\d\\a"),
            ("\\", "\\x"),
            ("\\d", "\\"),
        ] {
            assert!(mv(from, to).is_err(), "{from} to {to}");
        }
        mv("\\d\\sub", "\\moved").unwrap();
        mv("\\moved\\c", "\\d\\b").unwrap();
        mv("\\d\\a", "\\d\\A").unwrap();
        mv("\\d\\A", "\\d\\A").unwrap();
        assert_eq!(paths(&tree), ["\\d", "\\d\\A", "\\d\\b", "\\moved"]);
        assert_eq!(tree.inode_of(tree.find(&path("\\d\\b")).unwrap()).data(), Sha1Digest([2; 20]));
        let mut tree = sample();
        tree.add(tree.root(), "empty".into(), directory()).unwrap();
        tree.rename(&path("\\d\\sub"), &path("\\EMPTY"), Case::Ignored).unwrap();
        assert_eq!(paths(&tree), ["\\d", "\\d\\a", "\\d\\b", "\\EMPTY", "\\EMPTY\\c"]);
    }
}
