//! What is to be made where, decided before anything is made.
//!
//! Every name is checked against the rules of the host here, so that the steps that follow handle good names only. A plan
//! knows nodes and directories of the target, no bytes and no files.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;

use super::host::DirectoryId;
use super::{InvalidNames, Layout, LeftOut, RestoreOptions, UnixRestore};
use crate::base::{Error, Place, Progress, Result, Sha1Digest, WimString};
use crate::formats::wim::attributes::DIRECTORY;
use crate::formats::wim::reparse::{MOUNT_POINT, SYMLINK};
use crate::formats::wim::tagged_items::UnixData;
use crate::image::glob::Case;
use crate::image::{Inode, InodeId, NodeId, StreamKind, Tree};
use crate::transfer::host_case::HostCase;
use crate::transfer::host_name::{self, NameRules};
use crate::transfer::ntfs_volume::{NtfsVolume, StreamsInterface, is_stream_name};

/// Longest name in bytes that the file systems of Unix take.
const MAX_HOST_NAME: usize = 255;

/// A name to be made: its directory and the node whose name it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) directory: DirectoryId,
    pub(super) node: NodeId,
}

/// A file and all its names.
#[derive(Clone, Debug)]
pub(super) struct PlannedFile {
    pub(super) inode: InodeId,
    pub(super) spots: Vec<Spot>,
}

/// A named stream of a file or directory that is made.
#[derive(Clone, Debug)]
pub(super) struct PlannedStream {
    pub(super) spot: Spot,
    pub(super) name: WimString,
    /// Its blob; zeros when it is empty.
    pub(super) digest: Sha1Digest,
}

/// What is to be made.
pub(super) struct Plan {
    /// Directories in the order in which they are made; the first stands for the target.
    pub(super) directories: Vec<Spot>,
    pub(super) files: Vec<PlannedFile>,
    /// Symbolic links; on an NTFS volume the files and directories that become reparse points of any kind.
    pub(super) links: Vec<Spot>,
    /// Streams that an NTFS volume gets.
    pub(super) streams: Vec<PlannedStream>,
    /// Devices, pipes and sockets; further names of one are not told apart.
    pub(super) special: Vec<Spot>,
    pub(super) left_out: LeftOut,
    /// True when the target gets the times of the root.
    pub(super) is_image: bool,
    /// Names on the host that are not those of the image.
    pub(super) names: HashMap<NodeId, OsString>,
    pub(super) unholdable: Unholdable,
}

/// What a plan goes by.
#[derive(Debug)]
pub(super) struct PlanRules {
    pub(super) names: NameRules,
    /// How the target compares names.
    pub(super) case: HostCase,
    pub(super) unholdable: Unholdable,
    pub(super) restore: RestoreOptions,
    /// How the streams of the NTFS volume that is applied to are reached; none on other file systems, and where a side file
    /// keeps what they cannot hold.
    pub(super) ntfs: Option<StreamsInterface>,
}

impl PlanRules {
    pub(super) fn of_this_host(
        target: &Path,
        unholdable: Unholdable,
        restore: RestoreOptions,
        volume: Option<NtfsVolume>,
    ) -> Self {
        let ntfs = volume.map(NtfsVolume::streams);
        let (names, case) = (NameRules::of_this_host(), HostCase::below(target));
        Self { names, case, unholdable, restore, ntfs }
    }
}

/// What becomes of names and files that the host cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unholdable {
    /// They are left out.
    LeaveOut,
    /// Other names and empty files or directories stand for them, and a side file says what they are.
    StandIn,
}

impl Plan {
    /// A whole image.
    pub(super) fn of_image(tree: &Tree, rules: PlanRules, progress: &dyn Progress) -> Self {
        let unholdable = rules.unholdable;
        let mut planner = Planner::new(tree, rules, progress);
        if unholdable == Unholdable::LeaveOut {
            // The target's own streams have no name that reaches them.
            planner.plan.left_out.named_streams += named_streams(tree.inode_of(tree.root())).count() as u64;
        }
        planner.below(tree.root(), 0);
        planner.plan.is_image = true;
        planner.plan
    }

    /// Files and directories of an image, with all below them.
    pub(super) fn of_nodes(
        tree: &Tree,
        nodes: &[NodeId],
        layout: Layout,
        rules: PlanRules,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut planner = Planner::new(tree, rules, progress);
        let mut chosen: HashSet<NodeId> = HashSet::new();
        let mut names: Vec<WimString> = Vec::new();
        // What lies inside another chosen directory comes with it when paths are kept.
        let all: HashSet<NodeId> = nodes.iter().copied().collect();
        for &node in nodes {
            if !chosen.insert(node) || layout == Layout::KeepPaths && planner.is_inside(node, &all) {
                continue;
            }
            if node == tree.root() {
                planner.below(node, 0);
                continue;
            }
            let directory = match layout {
                Layout::KeepPaths => planner.directories_above(node),
                Layout::Flat => {
                    names.push(tree.node(node).name.clone());
                    Some(0)
                }
            };
            if let Some(directory) = directory {
                planner.add(node, directory);
            }
        }
        names.sort_by(|a, b| a.ntfs_cmp(b));
        let twin = names.windows(2).find(|pair| planner.is_one_name(&pair[0], &pair[1]));
        if let Some([name, _]) = twin {
            return Err(Error::invalid_input(format!("two of the files would both become {name}"))
                .remedy("keep the directory structure, or extract them one after another"));
        }
        Ok(planner.plan)
    }

    /// The name on the host of what `node` names.
    pub(super) fn host_name(&self, tree: &Tree, node: NodeId) -> OsString {
        match self.names.get(&node) {
            Some(name) => name.clone(),
            None => host_name::to_host(&tree.node(node).name),
        }
    }

    /// The files of each blob, by their place in the list; empty files have none.
    pub(super) fn files_by_digest(&self, tree: &Tree) -> HashMap<Sha1Digest, Vec<usize>> {
        let mut files: HashMap<Sha1Digest, Vec<usize>> = HashMap::new();
        for (index, file) in self.files.iter().enumerate() {
            let digest = tree.inode(file.inode).data();
            if !digest.is_zero() {
                files.entry(digest).or_default().push(index);
            }
        }
        files
    }
}

impl Plan {
    /// The blobs that are needed when all files are there, each with a node that wants it: those of links and named streams,
    /// and with a side file those that lie in it.
    pub(super) fn later_digests(&self, tree: &Tree) -> HashMap<Sha1Digest, NodeId> {
        let links = self
            .links
            .iter()
            .map(|spot| (tree.inode_of(spot.node).streams.get(&StreamKind::Reparse), spot.node));
        let streams = self.streams.iter().map(|stream| (stream.digest, stream.spot.node));
        let mut digests: HashMap<Sha1Digest, NodeId> = links.chain(streams).collect();
        if self.unholdable == Unholdable::StandIn {
            let files = self.files.iter().map(|file| &file.spots[0]);
            for spot in self.directories.iter().chain(files).chain(&self.links) {
                let kept =
                    tree.inode_of(spot.node).streams.iter().filter(|(kind, _)| **kind != StreamKind::Data);
                digests.extend(kept.map(|(_, digest)| (digest, spot.node)));
            }
        }
        digests.remove(&Sha1Digest::ZERO);
        digests
    }
}

struct Planner<'a> {
    tree: &'a Tree,
    rules: NameRules,
    case: HostCase,
    restore: RestoreOptions,
    ntfs: Option<StreamsInterface>,
    progress: &'a dyn Progress,
    plan: Plan,
    /// The target directory of each directory made for its path.
    above: HashMap<NodeId, DirectoryId>,
    /// The place in the list of each file.
    file_of: HashMap<InodeId, usize>,
}

impl<'a> Planner<'a> {
    fn new(tree: &'a Tree, rules: PlanRules, progress: &'a dyn Progress) -> Self {
        let PlanRules { names: rules, case, unholdable, restore, ntfs } = rules;
        let plan = Plan {
            directories: vec![Spot { directory: 0, node: tree.root() }],
            files: Vec::new(),
            links: Vec::new(),
            streams: Vec::new(),
            special: Vec::new(),
            left_out: LeftOut::default(),
            is_image: false,
            names: HashMap::new(),
            unholdable,
        };
        let (above, file_of) = (HashMap::new(), HashMap::new());
        Self { tree, rules, case, restore, ntfs, progress, plan, above, file_of }
    }

    /// True when a directory above `node` is one of `nodes`.
    fn is_inside(&self, node: NodeId, nodes: &HashSet<NodeId>) -> bool {
        let parent = |node: &NodeId| self.tree.node(*node).parent;
        std::iter::successors(parent(&node), parent).any(|above| nodes.contains(&above))
    }

    /// The target directory for the parent of `node`, with those above it; none when a name among them is refused.
    fn directories_above(&mut self, node: NodeId) -> Option<DirectoryId> {
        let mut line = Vec::new();
        let mut at = self.tree.node(node).parent;
        while let Some(node) = at.filter(|&node| node != self.tree.root()) {
            line.push(node);
            at = self.tree.node(node).parent;
        }
        let mut directory = 0;
        for node in line.into_iter().rev() {
            directory = match self.above.get(&node) {
                Some(&known) => known,
                None => {
                    if !self.is_allowed(node) {
                        return None;
                    }
                    let made = self.directory(node, directory);
                    self.above.insert(node, made);
                    made
                }
            };
        }
        Some(directory)
    }

    fn directory(&mut self, node: NodeId, parent: DirectoryId) -> DirectoryId {
        // Nodes are fewer than 2^32, and each becomes one directory at most.
        let id = DirectoryId::try_from(self.plan.directories.len()).unwrap_or(DirectoryId::MAX);
        self.plan.directories.push(Spot { directory: parent, node });
        id
    }

    /// Adds everything below `directory` of the image.
    fn below(&mut self, directory: NodeId, target: DirectoryId) {
        let mut open = vec![(directory, target)];
        while let Some((directory, target)) = open.pop() {
            let mut last: Option<NodeId> = None;
            let mut made = Vec::new();
            for &child in self.tree.children(directory) {
                // Equal names are neighbours in NTFS order.
                let name = |node: NodeId| &self.tree.node(node).name;
                let is_twin = last.is_some_and(|last| self.is_one_name(name(last), name(child)));
                if is_twin && self.plan.unholdable == Unholdable::StandIn {
                    self.plan.names.insert(child, self.other_name(child));
                } else if is_twin && self.restore.invalid_names == InvalidNames::Replace {
                    self.rename(child, "this system takes it for the same name as one beside it");
                } else if is_twin {
                    self.refuse(child, "this system takes it for the same name as one beside it; left out");
                    continue;
                }
                if let Some(target) = self.one(child, target) {
                    made.push((child, target));
                }
                last = Some(child);
            }
            open.extend(made.into_iter().rev());
        }
    }

    /// Adds a node with everything below it.
    fn add(&mut self, node: NodeId, target: DirectoryId) {
        if let Some(target) = self.one(node, target) {
            self.below(node, target);
        }
    }

    /// Adds one node; gives the target directory when it is one.
    fn one(&mut self, node: NodeId, target: DirectoryId) -> Option<DirectoryId> {
        if !self.is_allowed(node) {
            return None;
        }
        let id = self.tree.node(node).inode;
        let inode = self.tree.inode(id);
        let is_first_name = !self.file_of.contains_key(&id);
        let spot = Spot { directory: target, node };
        if is_first_name && self.plan.unholdable == Unholdable::LeaveOut {
            self.streams(inode, spot);
        }
        if inode.is_directory() {
            return Some(self.directory(node, target));
        }
        let stands_in = self.plan.unholdable == Unholdable::StandIn;
        if !inode.streams.get(&StreamKind::Efs).is_zero() && !stands_in {
            self.plan.left_out.encrypted += 1;
            return None;
        }
        match inode.reparse {
            Some(_) if self.ntfs.is_some() => {
                if is_first_name {
                    self.plan.links.push(spot);
                }
                match inode.attributes & DIRECTORY {
                    0 => self.file(id, spot),
                    _ => _ = self.directory(node, target),
                }
            }
            Some(reparse) if matches!(reparse.tag, SYMLINK | MOUNT_POINT) => self.plan.links.push(spot),
            Some(_) if !stands_in => self.plan.left_out.reparse_points += 1,
            Some(_) if inode.attributes & DIRECTORY != 0 => _ = self.directory(node, target),
            None if !stands_in && self.is_special(inode) => self.plan.special.push(spot),
            _ => self.file(id, spot),
        }
        None
    }

    /// Adds a name of a file.
    fn file(&mut self, inode: InodeId, spot: Spot) {
        let files = &mut self.plan.files;
        let index = *self.file_of.entry(inode).or_insert(files.len());
        match files.get_mut(index) {
            // An NTFS volume takes a short name of the first name alone.
            Some(file) if self.ntfs.is_some() && !self.tree.node(spot.node).short_name.is_empty() => {
                file.spots.insert(0, spot);
            }
            Some(file) => file.spots.push(spot),
            None => files.push(PlannedFile { inode, spots: vec![spot] }),
        }
    }

    /// Adds the named streams of a file, or counts them where there is no place for them.
    fn streams(&mut self, inode: &Inode, spot: Spot) {
        let is_encrypted = !inode.streams.get(&StreamKind::Efs).is_zero();
        for (name, digest) in named_streams(inode) {
            match self.ntfs {
                Some(StreamsInterface::Files | StreamsInterface::Attributes)
                    if is_stream_name(name) && !is_encrypted =>
                {
                    self.plan.streams.push(PlannedStream { spot, name: name.clone(), digest });
                }
                _ => self.plan.left_out.named_streams += 1,
            }
        }
    }

    fn is_allowed(&mut self, node: NodeId) -> bool {
        let name = &self.tree.node(node).name;
        // Where streams are files, a colon begins the name of one.
        let is_stream = self.ntfs == Some(StreamsInterface::Files) && name.contains(&u16::from(b':'));
        let is_allowed = self.rules.allow(name) && !is_stream;
        if self.plan.unholdable == Unholdable::StandIn {
            let is_long = host_name::to_host(name).len() > MAX_HOST_NAME;
            if !is_allowed || is_long && self.rules == NameRules::Unix {
                self.plan.names.insert(node, self.other_name(node));
            }
            return true;
        }
        if !is_allowed && self.restore.invalid_names == InvalidNames::Replace {
            self.rename(node, "this system cannot have a file of this name");
            return true;
        }
        if !is_allowed {
            self.refuse(node, "this system cannot have a file of this name; left out");
        }
        is_allowed
    }

    /// True for a device, pipe or socket that is to be made as one.
    fn is_special(&self, inode: &Inode) -> bool {
        self.restore.unix_data != UnixRestore::Omit
            && inode.data().is_zero()
            && UnixData::find(&inode.tagged_items).is_some_and(UnixData::is_special)
    }

    /// Gives a node a name that the host takes: signs that it refuses replaced, and a number, as wimlib does.
    fn rename(&mut self, node: NodeId, why: &str) {
        if self.plan.names.contains_key(&node) {
            return;
        }
        let replaced = |unit: &u16| {
            let is_bad = *unit < 0x20 || "<>:\"/\\|?*".encode_utf16().any(|bad| bad == *unit);
            if is_bad { 0xFFFD } else { *unit }
        };
        let mut name: Vec<u16> = self.tree.node(node).name.iter().map(replaced).collect();
        let number = self.plan.names.len() + 1;
        name.extend(format!(" (invalid filename #{number})").encode_utf16());
        let name = WimString::from(name);
        let path = self.tree.path_of(node).to_string();
        let message = format!("{why}; it becomes {name}");
        self.progress.warn(&Error::unsupported(message).at(Place::Path(path)));
        self.plan.names.insert(node, host_name::to_host(&name));
    }

    /// A name that every host takes and that nothing else in the directory has.
    fn other_name(&self, node: NodeId) -> OsString {
        let name = &self.tree.node(node).name;
        let bytes: Vec<u8> = name.to_le_bytes().collect();
        let hash = Sha1Digest::of(&bytes);
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let start: String = name.to_text().chars().filter(is_plain).take(24).collect();
        let hash: String = hash.to_string().chars().take(16).collect();
        let directory = self.tree.node(node).parent.unwrap_or(self.tree.root());
        let candidates = (0u32..).map(|number| match number {
            0 => format!("{start}~wim{hash}"),
            _ => format!("{start}~wim{hash}~{number}"),
        });
        let is_free = |name: &String| {
            let units: Vec<u16> = name.encode_utf16().collect();
            self.tree.child(directory, &units).is_none()
        };
        let mut free = candidates.into_iter().filter(is_free);
        OsString::from(free.next().unwrap_or(hash))
    }

    fn refuse(&mut self, node: NodeId, why: &str) {
        self.plan.left_out.names += 1;
        let path = self.tree.path_of(node).to_string();
        self.progress.warn(&Error::unsupported(why).at(Place::Path(path)));
    }

    /// True when the target takes both names for the same.
    fn is_one_name(&self, a: &WimString, b: &WimString) -> bool {
        a == b || a.eq_ignore_case(b) && self.case.get() == Case::Ignored
    }
}

fn named_streams(inode: &Inode) -> impl Iterator<Item = (&WimString, Sha1Digest)> {
    inode.streams.iter().filter_map(|(kind, digest)| match kind {
        StreamKind::Named(name) => Some((name, digest)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Silent;

    fn plan(tree: &Tree, case: Case, unholdable: Unholdable, invalid_names: InvalidNames) -> Plan {
        let restore = RestoreOptions { invalid_names, ..RestoreOptions::default() };
        let rules = PlanRules {
            names: NameRules::of_this_host(),
            case: case.into(),
            unholdable,
            restore,
            ntfs: None,
        };
        Plan::of_image(tree, rules, &Silent)
    }

    #[test]
    fn of_names_that_the_target_takes_for_one_the_first_is_made() {
        let mut tree = Tree::new_empty();
        for name in ["a", "A", "\u{e4}", "\u{c4}", "b"] {
            tree.add(tree.root(), name.into(), Inode::default()).unwrap();
        }
        let names = |plan: &Plan| -> Vec<String> {
            let spots = plan.files.iter().map(|file| plan.host_name(&tree, file.spots[0].node));
            spots.map(|name| name.to_string_lossy().into_owned()).collect()
        };
        let leave_out = (Unholdable::LeaveOut, InvalidNames::LeaveOut);
        let of = |case, (unholdable, names)| plan(&tree, case, unholdable, names);
        let all = of(Case::Matters, leave_out);
        assert_eq!(
            (names(&all), all.left_out.names),
            (["A", "a", "b", "\u{c4}", "\u{e4}"].map(str::to_owned).into(), 0)
        );
        let firsts = of(Case::Ignored, leave_out);
        assert_eq!(
            (names(&firsts), firsts.left_out.names),
            (["A", "b", "\u{c4}"].map(str::to_owned).into(), 2)
        );
        for renaming in
            [(Unholdable::LeaveOut, InvalidNames::Replace), (Unholdable::StandIn, InvalidNames::LeaveOut)]
        {
            let renamed = of(Case::Ignored, renaming);
            let mut folded: Vec<String> = names(&renamed).iter().map(|name| name.to_uppercase()).collect();
            folded.sort();
            folded.dedup();
            assert_eq!((folded.len(), renamed.left_out.names), (5, 0), "{folded:?}");
        }
    }
}
