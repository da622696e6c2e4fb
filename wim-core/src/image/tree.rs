//! The tree of an image: names, and the files behind them.
//!
//! Flat lists of nodes and inodes, so that a million files take some 220 MB and no walk recurses. A tree knows digests but
//! no blobs, and no host file; the rules of what may be stored in a WIM (wim-format 7 to 10) hold for every tree there is.

use std::cmp::Ordering;

use super::descriptors::SecurityDescriptors;
use super::edit::Times;
use super::node::{Inode, InodeId, Node, NodeId};
use super::path::WimPath;
use super::walk::{Walk, WalkPaths};
use crate::base::{Error, Place, Result, WimString, upcase, utf16};
use crate::formats::wim::attributes::{DIRECTORY, REPARSE_POINT};
use crate::formats::wim::dentry::MAX_NAME_UNITS;

/// Deepest tree that is read or made, as in wimlib.
pub const MAX_DEPTH: usize = 16384;

/// An image's names and files.
#[derive(Clone, Debug)]
pub struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) inodes: Vec<Inode>,
    pub(super) security: SecurityDescriptors,
}

impl Tree {
    /// A root directory with nothing in it.
    #[must_use]
    pub fn new_empty() -> Self {
        Self::with_root(Inode { attributes: DIRECTORY, ..Inode::default() }, SecurityDescriptors::default())
    }

    pub(super) fn with_root(root: Inode, security: SecurityDescriptors) -> Self {
        let node = Node {
            name: WimString::default(),
            short_name: WimString::default(),
            parent: None,
            children: Vec::new(),
            inode: InodeId(0),
        };
        Self { nodes: vec![node], inodes: vec![Inode { names: 1, ..root }], security }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> NodeId {
        NodeId::ROOT
    }

    /// A node of this tree.
    ///
    /// # Panics
    /// When the id is another tree's and larger than any of this one; so for all that take an id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// An inode of this tree.
    #[must_use]
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    /// The file that a node names.
    #[must_use]
    pub fn inode_of(&self, id: NodeId) -> &Inode {
        self.inode(self.node(id).inode)
    }

    /// What a directory holds, in NTFS order; nothing for a file.
    #[must_use]
    pub fn children(&self, id: NodeId) -> &[NodeId] {
        &self.node(id).children
    }

    /// One more than the largest index of a node, removed ones included.
    #[must_use]
    pub fn node_bound(&self) -> usize {
        self.nodes.len()
    }

    /// One more than the largest index of an inode, removed ones included.
    #[must_use]
    pub fn inode_bound(&self) -> usize {
        self.inodes.len()
    }

    /// The security descriptors that inodes refer to.
    #[must_use]
    pub fn security(&self) -> &SecurityDescriptors {
        &self.security
    }

    /// The child of a directory with this name: spelt so, else the first that differs only in case.
    #[must_use]
    pub fn child(&self, directory: NodeId, name: &[u16]) -> Option<NodeId> {
        let children = self.children(directory);
        let order = |&child: &NodeId| {
            let one = &self.node(child).name;
            upcase::compare(one, name).then_with(|| one.units().cmp(name))
        };
        // Never by counting those alike: a directory may hold nothing else.
        let place = match children.binary_search_by(order) {
            Ok(spelt) => spelt,
            Err(_) => self.first_alike(children, name),
        };
        children.get(place).copied().filter(|&child| upcase::equal(&self.node(child).name, name))
    }

    /// Where the children begin that differ from a name in case only.
    fn first_alike(&self, children: &[NodeId], name: &[u16]) -> usize {
        children.partition_point(|&child| upcase::compare(&self.node(child).name, name) == Ordering::Less)
    }

    /// The children of a directory that a name may mean: the one that is spelt so, else all that differ only in case.
    #[must_use]
    pub fn children_named(&self, directory: NodeId, name: &[u16]) -> &[NodeId] {
        let children = self.children(directory);
        let start = self.first_alike(children, name);
        let from_start = children.get(start..).unwrap_or_default();
        let count = from_start.iter().take_while(|&&c| upcase::equal(&self.node(c).name, name)).count();
        let alike = from_start.get(..count).unwrap_or_default();
        let spelt = alike.iter().position(|&c| self.node(c).name.units() == name);
        spelt.and_then(|at| alike.get(at..=at)).unwrap_or(alike)
    }

    /// The node at `path`, each name spelt so or else differing only in case.
    #[must_use]
    pub fn find(&self, path: &WimPath) -> Option<NodeId> {
        path.components().iter().try_fold(self.root(), |node, name| self.child(node, name))
    }

    /// The nodes that `path` may mean, of each name those that [`Tree::children_named`] gives.
    #[must_use]
    pub fn find_all(&self, path: &WimPath) -> Vec<NodeId> {
        path.components().iter().fold(vec![self.root()], |nodes, name| {
            nodes.iter().flat_map(|&node| self.children_named(node, name)).copied().collect()
        })
    }

    /// That `path` may mean several nodes.
    #[must_use]
    pub fn ambiguous(&self, path: &WimPath, found: &[NodeId]) -> Error {
        /// Most names that are listed.
        const MAX_LISTED: usize = 20;
        let mut names: Vec<String> =
            found.iter().take(MAX_LISTED).map(|&node| self.path_of(node).to_string()).collect();
        if found.len() > MAX_LISTED {
            names.push("…".to_owned());
        }
        Error::invalid_input(format!("several files differ in case only: {}", names.join(", ")))
            .at(Place::Path(path.to_string()))
    }

    /// Every node from `start` on, a directory before what it holds.
    #[must_use]
    pub fn walk(&self, start: NodeId) -> Walk<'_> {
        Walk::new(self, start)
    }

    /// Every node from `start` on with its path.
    #[must_use]
    pub fn walk_paths(&self, start: NodeId) -> WalkPaths<'_> {
        WalkPaths::new(self, start)
    }

    /// The path of a node.
    #[must_use]
    pub fn path_of(&self, id: NodeId) -> WimPath {
        let mut names: Vec<WimString> = self.line_of(id).map(|id| self.node(id).name.clone()).collect();
        names.reverse();
        WimPath::from_components(names)
    }

    /// The path of a node as text of at most `most_bytes` bytes; a longer one loses its front.
    #[must_use]
    pub fn path_text(&self, id: NodeId, most_bytes: usize) -> String {
        let (mut names, mut bytes, mut cut) = (Vec::new(), 0, false);
        for id in self.line_of(id) {
            let name = self.node(id).name.to_text();
            bytes += name.len() + 1;
            if bytes > most_bytes {
                cut = true;
                break;
            }
            names.push(name);
        }
        let mut text = String::with_capacity(bytes);
        if cut {
            text.push('…');
        } else if names.is_empty() {
            text.push('\\');
        }
        for name in names.iter().rev() {
            text.push('\\');
            text.push_str(name);
        }
        text
    }

    /// A node and the directories above it up to, but not with, the root.
    fn line_of(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(Some(id), |&id| self.node(id).parent)
            .take_while(|&id| self.node(id).parent.is_some())
    }

    /// The nodes of every inode, by [`InodeId::index`].
    #[must_use]
    pub fn names_by_inode(&self) -> Vec<Vec<NodeId>> {
        let mut names = vec![Vec::new(); self.inodes.len()];
        for visit in self.walk(self.root()) {
            names[self.node(visit.node).inode.index()].push(visit.node);
        }
        names
    }

    /// Adds a file without a name; [`Self::add_name`] gives it one.
    ///
    /// # Errors
    /// `Limit` when the tree has 2^32 files.
    pub fn add_inode(&mut self, inode: Inode) -> Result<InodeId> {
        let id = u32::try_from(self.inodes.len()).map_err(|_| too_many())?;
        self.inodes.push(Inode { names: 0, ..inode });
        Ok(InodeId(id))
    }

    /// A file's fields, for changing them.
    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    /// The security descriptors, for adding to them.
    pub fn security_mut(&mut self) -> &mut SecurityDescriptors {
        &mut self.security
    }

    /// Gives `inode` a name in `directory`. Names that differ only in case may stand together, as in NTFS's POSIX names.
    ///
    /// # Errors
    /// `InvalidInput` when the name is there already, is not a name ([`is_valid_name`]), `directory` is not a directory, or
    /// a directory or reparse point would get a second name; `Limit` when the tree would be too deep or too large.
    pub fn add_name(&mut self, directory: NodeId, name: WimString, inode: InodeId) -> Result<NodeId> {
        let refuse = |why: &str| {
            let path = self.path_of(directory).child(name.clone());
            Err(Error::invalid_input(why).at(Place::Path(path.to_string())))
        };
        if !is_valid_name(&name) {
            return refuse("not a name that a file can have");
        }
        if !self.inode_of(directory).is_directory() {
            return refuse("its parent is not a directory");
        }
        let file = self.inode(inode);
        if file.names > 0 && file.attributes & (DIRECTORY | REPARSE_POINT) != 0 {
            return refuse("a directory or reparse point can have one name only");
        }
        if self.line_of(directory).count() >= MAX_DEPTH {
            return Err(Error::limit(format!("more than {MAX_DEPTH} directories deep")));
        }
        let children = &self.node(directory).children;
        // Names mostly come in order: then the end is the place.
        let after_all =
            children.last().is_none_or(|&last| self.node(last).name.ntfs_cmp(&name) == Ordering::Less);
        let place = if after_all {
            children.len()
        } else {
            match children.binary_search_by(|&child| self.node(child).name.ntfs_cmp(&name)) {
                Ok(_) => return refuse("the name is there already"),
                Err(place) => place,
            }
        };
        let id = NodeId::from_index(self.nodes.len()).ok_or_else(too_many)?;
        let short_name = WimString::default();
        self.nodes.push(Node { name, short_name, parent: Some(directory), children: Vec::new(), inode });
        self.nodes[directory.index()].children.insert(place, id);
        self.inodes[inode.index()].names += 1;
        Ok(id)
    }

    /// Adds a file with its first name.
    ///
    /// # Errors
    /// As [`Self::add_name`].
    pub fn add(&mut self, directory: NodeId, name: WimString, inode: Inode) -> Result<NodeId> {
        let inode = self.add_inode(inode)?;
        self.add_name(directory, name, inode)
    }

    /// Gives a name a file of its own, with all that its file has; the other names keep that.
    ///
    /// # Errors
    /// `Limit` when the tree would be too large.
    pub fn detach(&mut self, id: NodeId) -> Result<InodeId> {
        let before = self.node(id).inode;
        let own = self.add_inode(self.inode(before).clone())?;
        self.inodes[own.index()].names = 1;
        let names = &mut self.inodes[before.index()].names;
        *names = names.saturating_sub(1);
        self.nodes[id.index()].inode = own;
        Ok(own)
    }

    /// Makes a name of a file one of the file `inode`, which has another already; it keeps its short name.
    pub fn link(&mut self, id: NodeId, inode: InodeId) {
        let before = std::mem::replace(&mut self.nodes[id.index()].inode, inode);
        self.inodes[inode.index()].names += 1;
        let names = &mut self.inodes[before.index()].names;
        *names = names.saturating_sub(1);
    }

    /// Sets the 8.3 name of a node; the empty name removes it.
    ///
    /// # Errors
    /// `InvalidInput` when it is not a name.
    pub fn set_short_name(&mut self, id: NodeId, short_name: WimString) -> Result<()> {
        if !short_name.is_empty() && !is_valid_name(&short_name) {
            return Err(Error::invalid_input(format!("{short_name:?} is not a short name")));
        }
        self.nodes[id.index()].short_name = short_name;
        Ok(())
    }

    /// Removes a name with all below it; files that lose their last name are gone. The root stays.
    pub fn remove(&mut self, id: NodeId) {
        let Some(parent) = self.node(id).parent else { return };
        self.nodes[parent.index()].children.retain(|&child| child != id);
        let mut doomed = vec![id];
        while let Some(id) = doomed.pop() {
            let node = &mut self.nodes[id.index()];
            node.parent = None;
            doomed.append(&mut node.children);
            let inode = node.inode;
            let names = &mut self.inodes[inode.index()].names;
            *names = names.saturating_sub(1);
        }
    }

    /// Sets the times of the root, as a capture does.
    pub fn set_root(&mut self, attributes: u32, times: Times) {
        let root = &mut self.inodes[0];
        root.attributes = attributes | DIRECTORY;
        root.times = times;
    }

    /// True when both nodes stand for the same names, files and links, with everything below them.
    fn same_content(&self, other: &Self) -> bool {
        let (mut mine, mut theirs) = (self.walk(self.root()), other.walk(other.root()));
        // The partner of each inode met so far; links are the same when partners always agree.
        let mut partner: Vec<Option<InodeId>> = vec![None; self.inodes.len()];
        let mut partner_back: Vec<Option<InodeId>> = vec![None; other.inodes.len()];
        loop {
            let (a, b) = match (mine.next(), theirs.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.depth == b.depth => (self.node(a.node), other.node(b.node)),
                _ => return false,
            };
            if a.name != b.name || a.short_name != b.short_name {
                return false;
            }
            match (partner[a.inode.index()], partner_back[b.inode.index()]) {
                (None, None) => {
                    partner[a.inode.index()] = Some(b.inode);
                    partner_back[b.inode.index()] = Some(a.inode);
                    if !self.same_inode(a.inode, other, b.inode) {
                        return false;
                    }
                }
                (Some(mine), Some(theirs)) if mine == b.inode && theirs == a.inode => {}
                _ => return false,
            }
        }
    }

    fn same_inode(&self, id: InodeId, other: &Self, other_id: InodeId) -> bool {
        let (a, b) = (self.inode(id), other.inode(other_id));
        let descriptor = |tree: &'_ Self, inode: &Inode| {
            inode.security.and_then(|id| tree.security.get(id)).map(<[u8]>::to_vec)
        };
        let same_security = match (a.security, b.security) {
            (None, None) => true,
            (x, y) if x == y && self.security == other.security => true,
            _ => descriptor(self, a) == descriptor(other, b) && a.security.is_some() == b.security.is_some(),
        };
        same_security && Inode { security: None, ..a.clone() } == Inode { security: None, ..b.clone() }
    }
}

/// Equal names, files, links and descriptors, whatever the ids.
impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        self.same_content(other)
    }
}

/// True for a name that may stand in a tree: not empty, `.` or `..`, without NUL and separators, at most 32,767 units.
///
/// Names that only a host refuses (`CON`, `a:b`, a trailing dot) are the applier's business.
#[must_use]
pub fn is_valid_name(name: &[u16]) -> bool {
    name.len() <= MAX_NAME_UNITS && utf16::is_file_name(name)
}

fn too_many() -> Error {
    Error::limit("a tree can have 4,294,967,294 names")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Sha1Digest;
    use crate::image::node::Streams;

    fn file(byte: u8) -> Inode {
        Inode { attributes: 0x20, streams: Streams::data(Sha1Digest([byte; 20])), ..Inode::default() }
    }

    fn directory() -> Inode {
        Inode { attributes: DIRECTORY, ..Inode::default() }
    }

    fn path(text: &str) -> WimPath {
        WimPath::parse(text).unwrap()
    }

    fn sample() -> (Tree, NodeId) {
        let mut tree = Tree::new_empty();
        let windows = tree.add(tree.root(), "Windows".into(), directory()).unwrap();
        let b = tree.add(windows, "b".into(), file(1)).unwrap();
        tree.add(windows, "A".into(), file(2)).unwrap();
        let linked = tree.node(b).inode;
        tree.add_name(tree.root(), "also b".into(), linked).unwrap();
        (tree, windows)
    }

    #[test]
    fn one_of_many_that_differ_in_case_is_found_at_once() {
        let mut tree = Tree::new_empty();
        let names: Vec<WimString> = (0..1u32 << 14)
            .map(|bits| {
                let letter = |at: u32| if (bits >> at) & 1 == 1 { b'A' } else { b'a' };
                WimString::from((0..14).map(|at| u16::from(letter(at))).collect::<Vec<_>>())
            })
            .collect();
        for name in &names {
            tree.add(tree.root(), name.clone(), Inode::default()).unwrap();
        }
        let since = std::time::Instant::now();
        for name in &names {
            let found = tree.child(tree.root(), name).unwrap();
            assert_eq!(tree.node(found).name, *name);
        }
        let elapsed = since.elapsed();
        // Some 100 ms; those alike counted each time it would be a minute.
        assert!(elapsed < std::time::Duration::from_secs(10), "{elapsed:?}");
        let first = tree.child(tree.root(), &"ÀAAAAAAAAAAAAA".encode_utf16().collect::<Vec<_>>());
        assert_eq!(first, None);
    }

    #[test]
    fn lookups_prefer_the_exact_spelling_and_else_ignore_case() {
        let (mut tree, windows) = sample();
        assert_eq!(tree.find(&path("\\WINDOWS\\B")), tree.find(&path("\\Windows\\b")));
        assert_eq!(tree.find(&path("\\")), Some(tree.root()));
        assert_eq!(tree.find(&path("\\Windows\\c")), None);
        assert_eq!(tree.find(&path("\\Windows\\b\\c")), None);
        let upper = tree.add(windows, "B".into(), file(3)).unwrap();
        assert_eq!(tree.find(&path("\\Windows\\B")), Some(upper));
        assert_ne!(tree.find(&path("\\Windows\\b")), Some(upper));
    }

    #[test]
    fn a_walk_is_in_ntfs_order_and_paths_agree() {
        let (tree, windows) = sample();
        let paths: Vec<String> = tree.walk_paths(tree.root()).map(|(path, _)| path.to_string()).collect();
        assert_eq!(paths, ["\\", "\\also b", "\\Windows", "\\Windows\\A", "\\Windows\\b"]);
        for (path, node) in tree.walk_paths(windows) {
            assert_eq!(tree.path_of(node), path);
            assert_eq!(tree.find(&path), Some(node));
        }
        let mut walk = tree.walk(tree.root());
        let seen: Vec<usize> = std::iter::from_fn(|| {
            let visit = walk.next()?;
            if visit.depth == 1 {
                walk.skip_children();
            }
            Some(visit.depth)
        })
        .collect();
        assert_eq!(seen, [0, 1, 1]);
    }

    #[test]
    fn removing_a_directory_counts_the_names_below_it() {
        let (mut tree, windows) = sample();
        let also = tree.find(&path("\\also b")).unwrap();
        assert_eq!(tree.inode_of(also).names, 2);
        tree.remove(windows);
        assert_eq!(tree.inode_of(also).names, 1);
        assert_eq!(tree.walk(tree.root()).count(), 2);
        tree.remove(tree.root());
        assert_eq!(tree.walk(tree.root()).count(), 2);
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let (mut tree, windows) = sample();
        for bad in ["", ".", "..", "a/b", "a\\b", "a\0"] {
            assert!(tree.add(windows, bad.into(), file(9)).is_err(), "{bad:?}");
        }
        assert!(tree.add(windows, "A".into(), file(9)).is_err());
        let b = tree.find(&path("\\Windows\\b")).unwrap();
        assert!(tree.add(b, "x".into(), file(9)).is_err());
        let inode = tree.node(windows).inode;
        assert!(tree.add_name(tree.root(), "second".into(), inode).is_err());
        assert!(tree.add(windows, WimString::from_units(vec![0xD800]), file(9)).is_ok());
    }

    #[test]
    fn equality_looks_at_links_and_descriptors_but_not_at_ids() {
        let (tree, _) = sample();
        assert_eq!(tree, sample().0);
        // The same names and digests, without the link.
        let mut unlinked = tree.clone();
        let also = unlinked.find(&path("\\also b")).unwrap();
        unlinked.remove(also);
        unlinked.add(unlinked.root(), "also b".into(), file(1)).unwrap();
        assert_ne!(tree, unlinked);
        let (mut one, mut two) = (tree.clone(), tree);
        one.security_mut().add(b"x").unwrap();
        let id = one.security_mut().add(b"y").unwrap();
        one.inode_mut(InodeId(1)).security = Some(id);
        let id = two.security_mut().add(b"y").unwrap();
        two.inode_mut(InodeId(1)).security = Some(id);
        assert_eq!(one, two);
        two.inode_mut(InodeId(1)).security = None;
        assert_ne!(one, two);
    }
}
