//! A tree from the bytes of a metadata resource.
//!
//! The layout is wim-format 7 to 9: security table, root dentry, then runs of children that directories point to. Whatever
//! a hostile resource says, loading ends after reading each of its bytes once, and what no file system could hold is left
//! out and reported as a [`Finding`].

use std::collections::{HashMap, HashSet};

use super::descriptors::SecurityDescriptors;
use super::edit::Times;
use super::findings::{Finding, FindingKind, MAX_FINDINGS};
use super::node::{Inode, InodeId, Node, NodeId, Reparse, Streams};
use super::tree::{MAX_DEPTH, Tree, is_valid_name};
use crate::base::{Error, Result, Sha1Digest};
use crate::formats::wim::attributes::{DIRECTORY, REPARSE_POINT, is_plain_directory};
use crate::formats::wim::dentry::{self, Dentry, END_BYTES};
use crate::formats::wim::{security, streams};

/// Longest path text of a finding, in bytes; the front is cut.
const MAX_PATH_TEXT: usize = 4096;

/// Loads an image; findings go to `warn`.
///
/// # Errors
/// `Format` when the resource breaks the rules so that no tree can be told: a short dentry, a directory that contains
/// itself or is shared, a root that is not a directory; `Limit` past 16,384 levels.
pub fn load(metadata: &[u8], warn: &mut dyn FnMut(Error)) -> Result<Tree> {
    let (tree, findings) = load_with_findings(metadata)?;
    findings
        .iter()
        .filter(|finding| finding.kind.concerns_every_verb())
        .for_each(|finding| warn(finding.into()));
    Ok(tree)
}

/// Loads an image and gives the findings as values.
///
/// # Errors
/// As [`load`].
pub fn load_with_findings(metadata: &[u8]) -> Result<(Tree, Vec<Finding>)> {
    let table = security::parse(metadata)?;
    let root = dentry::parse(metadata, table.end)?
        .ok_or_else(|| Error::format("dentry", "length", table.end, "the image has no root directory"))?;
    if !is_plain_directory(root.fields.attributes) {
        let message = format!("the root is not a directory: attributes {:#x}", root.fields.attributes);
        return Err(Error::format("dentry", "attributes", table.end + 8, message));
    }
    let tree = Tree::with_root(Inode::default(), SecurityDescriptors::from_list(table.descriptors));
    let mut loader = Loader {
        metadata,
        tree,
        bytes_read: table.end,
        runs: HashSet::new(),
        links: HashMap::new(),
        open: Vec::new(),
        findings: Vec::new(),
        unkept: 0,
    };
    loader.load_root(root, table.end)?;
    while let Some(run) = loader.open.pop() {
        loader.load_children(run)?;
    }
    Ok(loader.finish())
}

/// What two names of one file say differently of it. The last access is not looked at, as reading changes it.
fn difference(first: &Inode, other: &Inode) -> Option<FindingKind> {
    if first.streams != other.streams {
        return Some(FindingKind::LinkStreamsDiffer);
    }
    let said =
        |inode: &Inode| (inode.attributes, inode.security, inode.times.creation, inode.times.last_write);
    (said(first) != said(other)).then_some(FindingKind::LinksDiffer)
}

/// Children still to be loaded.
struct Run {
    directory: NodeId,
    offset: u64,
    depth: usize,
}

struct Loader<'m> {
    metadata: &'m [u8],
    tree: Tree,
    /// Bytes taken by dentries so far: never more than there are, or some were read twice.
    bytes_read: u64,
    /// Offsets of the runs that were loaded.
    runs: HashSet<u64>,
    /// The file of each link group and digest.
    links: HashMap<(u64, Sha1Digest), InodeId>,
    open: Vec<Run>,
    findings: Vec<Finding>,
    unkept: usize,
}

impl Loader<'_> {
    fn load_root(&mut self, root: Dentry<'_>, offset: u64) -> Result<()> {
        let subdir_offset = root.fields.subdir_offset;
        if !root.name.is_empty() || !root.short_name.is_empty() {
            self.note(self.tree.root(), None, FindingKind::NamedRoot);
        }
        self.take(&root, offset)?;
        let inode = self.inode(self.tree.root(), None, root);
        self.tree.inodes[0] = Inode { names: 1, ..inode };
        self.open(self.tree.root(), subdir_offset, 0)
    }

    /// Loads one run of dentries as the children of a directory.
    fn load_children(&mut self, run: Run) -> Result<()> {
        let Run { directory, mut offset, depth } = run;
        let mut children: Vec<NodeId> = Vec::new();
        let mut directories: Vec<(NodeId, u64)> = Vec::new();
        while let Some(dentry) = dentry::parse(self.metadata, offset)? {
            self.take(&dentry, offset)?;
            offset = dentry.end;
            if !is_valid_name(&dentry.name) {
                self.note(directory, Some(&dentry), FindingKind::BadName);
                continue;
            }
            let subdir_offset = dentry.fields.subdir_offset;
            let id = self.add(directory, dentry)?;
            children.push(id);
            if self.tree.inode_of(id).is_directory() {
                directories.push((id, subdir_offset));
            } else if self.has_children(subdir_offset) {
                self.note(id, None, FindingKind::ChildrenOfFile);
            }
        }
        self.set_children(directory, children);
        // Backwards, so that the first is loaded next and nodes lie in the order of a walk.
        for (id, subdir_offset) in directories.into_iter().rev() {
            // A duplicate was taken out again: what it holds is never looked at.
            if self.tree.node(id).parent.is_some() {
                self.open(id, subdir_offset, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Counts the bytes of a dentry; refuses to read more of them than the resource has.
    fn take(&mut self, dentry: &Dentry<'_>, offset: u64) -> Result<()> {
        self.bytes_read += dentry.end - offset;
        if self.bytes_read > self.metadata.len().next_multiple_of(8) as u64 {
            let message = "directory entries overlap: together they are larger than the metadata resource";
            return Err(Error::format("dentry", "length", offset, message));
        }
        Ok(())
    }

    /// Notes the children of a directory for loading.
    fn open(&mut self, directory: NodeId, offset: u64, depth: usize) -> Result<()> {
        let fail = |why: &str| {
            let path = self.tree.path_text(directory, MAX_PATH_TEXT);
            Err(Error::format("dentry", "subdir offset", offset, format!("{path}: {why}")))
        };
        if offset == 0 {
            return Ok(());
        }
        let last_place = (self.metadata.len() as u64).saturating_sub(END_BYTES);
        if !offset.is_multiple_of(8) || offset > last_place {
            return fail("not the offset of a dentry");
        }
        if depth >= MAX_DEPTH {
            return Err(Error::limit(format!("more than {MAX_DEPTH} directories deep")));
        }
        // Directories without children may share a terminator; children may not be shared.
        if self.has_children(offset) && !self.runs.insert(offset) {
            return fail("its children belong to another directory already, perhaps one above");
        }
        self.open.push(Run { directory, offset, depth });
        Ok(())
    }

    /// True when a dentry begins at `offset`, rather than the end of a directory or of the resource.
    fn has_children(&self, offset: u64) -> bool {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let length =
            self.metadata.get(start..).and_then(<[u8]>::first_chunk).map_or(0, |b| u64::from_le_bytes(*b));
        offset != 0 && length > END_BYTES
    }

    /// Makes the node of a dentry, and its inode unless a link of it was met before.
    fn add(&mut self, directory: NodeId, mut dentry: Dentry<'_>) -> Result<NodeId> {
        let id = NodeId::from_index(self.tree.nodes.len());
        let too_many = || Error::limit("more directory entries than a tree can hold");
        let id = id.ok_or_else(too_many)?;
        let (name, short_name) = (std::mem::take(&mut dentry.name), std::mem::take(&mut dentry.short_name));
        let inode = InodeId(u32::try_from(self.tree.inodes.len()).map_err(|_| too_many())?);
        self.tree.nodes.push(Node { name, short_name, parent: Some(directory), children: Vec::new(), inode });
        let group = Some(dentry.fields.union_58).filter(|&group| group != 0);
        let group = group.filter(|_| dentry.fields.attributes & (DIRECTORY | REPARSE_POINT) == 0);
        let file = self.inode(id, None, dentry);
        let existing =
            group.map(|group| *self.links.entry((group, Tree::link_digest(&file))).or_insert(inode));
        match existing.filter(|&existing| existing != inode) {
            Some(existing) => {
                let first = &self.tree.inodes[existing.index()];
                let kind = difference(first, &file);
                if let Some(kind) = kind {
                    self.note(id, None, kind);
                }
                self.tree.nodes[id.index()].inode = existing;
                self.tree.inodes[existing.index()].names += 1;
            }
            None => self.tree.inodes.push(Inode { names: 1, ..file }),
        }
        Ok(id)
    }

    /// The file-level fields of a dentry.
    fn inode(&mut self, node: NodeId, child: Option<&Dentry<'_>>, dentry: Dentry<'_>) -> Inode {
        let fields = dentry.fields;
        let interpreted = streams::interpret(fields.attributes, fields.main_hash, dentry.streams);
        let list = Streams::from_list(interpreted.streams);
        if interpreted.ignored > 0 {
            self.note(node, child, FindingKind::ExtraStreams(interpreted.ignored));
        }
        let security = fields.security.filter(|id| self.tree.security.get(*id).is_some());
        if let (Some(id), None) = (fields.security, security) {
            self.note(node, child, FindingKind::BadSecurityId(id.0));
        }
        // A length that is no multiple of 8 is read as if it were; the padding then belongs to the items.
        let mut tagged_items = dentry.tagged_items.to_vec();
        tagged_items.resize(tagged_items.len().next_multiple_of(8), 0);
        let [t0, t1, t2, t3, r0, r1, f0, f1] = fields.union_58.to_le_bytes();
        let reparse = Reparse {
            tag: u32::from_le_bytes([t0, t1, t2, t3]),
            reserved: u16::from_le_bytes([r0, r1]),
            flags: u16::from_le_bytes([f0, f1]),
        };
        Inode {
            attributes: fields.attributes,
            security,
            times: Times {
                creation: fields.creation,
                last_access: fields.last_access,
                last_write: fields.last_write,
            },
            unknown_54: fields.unknown_54,
            reparse: (fields.attributes & REPARSE_POINT != 0).then_some(reparse),
            streams: list,
            tagged_items: tagged_items.into(),
            names: 0,
        }
    }

    /// Puts the children of a directory into NTFS order, the first of equal names only.
    fn set_children(&mut self, directory: NodeId, mut children: Vec<NodeId>) {
        let nodes = &self.tree.nodes;
        let order = |a: &NodeId, b: &NodeId| nodes[a.index()].name.ntfs_cmp(&nodes[b.index()].name);
        // Nearly always sorted already, since every writer sorts; stable, so that the first of equal names stays first.
        if !children.is_sorted_by(|a, b| order(a, b).is_lt()) {
            children.sort_by(order);
        }
        let mut duplicates = Vec::new();
        children.dedup_by(|later, first| {
            let equal = nodes[later.index()].name == nodes[first.index()].name;
            if equal {
                duplicates.push(*later);
            }
            equal
        });
        children.shrink_to_fit();
        self.tree.nodes[directory.index()].children = children;
        for duplicate in duplicates {
            self.note(duplicate, None, FindingKind::DuplicateName);
            self.tree.nodes[duplicate.index()].parent = None;
            let inode = self.tree.node(duplicate).inode;
            self.tree.inodes[inode.index()].names -= 1;
        }
    }

    /// Notes a finding at a node, or at a child of it that did not become one.
    fn note(&mut self, node: NodeId, child: Option<&Dentry<'_>>, kind: FindingKind) {
        if self.findings.len() >= MAX_FINDINGS {
            self.unkept += 1;
            return;
        }
        let mut path = self.tree.path_text(node, MAX_PATH_TEXT);
        if let Some(child) = child {
            if !path.ends_with('\\') {
                path.push('\\');
            }
            path.extend(child.name.to_text().chars().take(MAX_PATH_TEXT).flat_map(char::escape_debug));
        }
        self.findings.push(Finding { path, kind });
    }

    fn finish(mut self) -> (Tree, Vec<Finding>) {
        if self.unkept > 0 {
            self.findings.push(Finding { path: "\\".to_owned(), kind: FindingKind::More(self.unkept) });
        }
        self.tree.nodes.shrink_to_fit();
        self.tree.inodes.shrink_to_fit();
        (self.tree, self.findings)
    }
}
