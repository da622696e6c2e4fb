//! The files of an image, listed.
//!
//! From the image's metadata and the lookup table; no file data is read. Entries are made one by one, so that an image of
//! a million files is never in memory as text.

use std::fmt;

use serde::Serialize;

use super::clock::ReportTime;
use super::info::ResourceInfo;
use super::open::{case_of_paths, load_image};
use super::part_set::PartSet;
use crate::base::hex;
use crate::base::{Context, Error, ImageIndex, Place, Result, WimString};
use crate::formats::wim::WimFile;
use crate::formats::wim::tagged_items::{self, UnixData};
use crate::image::glob::Case;
use crate::image::path::WimPath;
use crate::image::{NodeId, StreamKind, Tree};

/// How far below its start a listing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The start and everything below it.
    Everything,
    /// The start alone.
    StartOnly,
}

/// An image ready to be listed.
pub struct Listing<'w> {
    /// The file with the image, then those that its blobs may come from.
    wims: Vec<&'w WimFile>,
    tree: Tree,
    start: NodeId,
    depth: Depth,
}

/// What a listing tells of one name.
#[derive(Clone, Debug, Serialize)]
pub struct DirEntry {
    /// Path from the root, with slashes as wimlib writes it.
    pub path: String,
    /// 8.3 name, or empty.
    pub short_name: String,
    /// `FILE_ATTRIBUTE_*` bits.
    pub attributes: u32,
    /// Security descriptor in hexadecimal.
    pub security_descriptor: Option<String>,
    /// Creation.
    pub creation_time: ReportTime,
    /// Last write.
    pub last_write_time: ReportTime,
    /// Last access.
    pub last_access_time: ReportTime,
    /// Tag of a reparse point.
    pub reparse_tag: Option<u32>,
    /// A number that the names of one file share, 0 for a file with one name.
    pub link_group: u64,
    /// Names of the file.
    pub link_count: u32,
    /// NTFS object id, birth volume id, birth object id and domain id, in hexadecimal.
    pub object_ids: Option<Vec<String>>,
    /// UNIX uid, gid, mode and device number, as wimlib keeps them.
    pub unix_data: Option<[u32; 4]>,
    /// Streams: the unnamed one first, even when it is empty.
    pub streams: Vec<StreamEntry>,
}

/// One stream of a listed file.
#[derive(Clone, Debug, Serialize)]
pub struct StreamEntry {
    /// `data`, `reparse`, `encrypted` or `named`.
    pub kind: &'static str,
    /// Name of a named stream.
    pub name: Option<String>,
    /// The resource that holds it; zeros for an empty stream.
    pub resource: ResourceInfo,
}

/// The source of an error that says: nothing in the image fits the path that was asked for. For the command that is an
/// answer, unlike data that is missing.
#[derive(Debug)]
pub struct NothingFits;

impl fmt::Display for NothingFits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing fits the path")
    }
}

impl std::error::Error for NothingFits {}

/// A path as a user types it: both slashes, a leading one or none. Unlike in an edit, any name may be asked for.
#[must_use]
pub fn typed_path(text: &str) -> WimPath {
    let names = text.split(['/', '\\']).filter(|name| !name.is_empty());
    WimPath::from_components(names.map(WimString::from).collect())
}

/// The node that a typed path means, each name spelt so or else differing in case only; with a warning when several do, which
/// calls the image `place`.
///
/// Where case is ignored the first of them is taken level by level, as changes do; else the first that the whole path fits.
pub(super) fn find_typed(cx: &Context<'_>, (tree, place): (&Tree, &str), path: &WimPath) -> Option<NodeId> {
    let first_of = |found: &[NodeId]| {
        if found.len() > 1 {
            let warning = tree.ambiguous(path, found).in_file(place);
            cx.progress.warn(&warning.remedy("the first is meant; spell the path as the image does"));
        }
        found.first().copied()
    };
    match case_of_paths() {
        Case::Matters => first_of(&tree.find_all(path)),
        Case::Ignored => {
            let mut names = path.components().iter();
            names.try_fold(tree.root(), |node, name| first_of(tree.children_named(node, name)))
        }
    }
}

impl<'w> Listing<'w> {
    /// The listing of `image` from `path` on; names are found as spelt, else without regard to case.
    ///
    /// # Errors
    /// `NotFound` when the path is not in the image, else what reading the metadata gives.
    pub fn new(
        set: &'w PartSet,
        image: ImageIndex,
        path: &str,
        depth: Depth,
        cx: &Context<'_>,
    ) -> Result<Self> {
        let wim = &set.wim;
        let tree = load_image(wim, image, cx)?;
        let place = format!("{}: image {image}", wim.name());
        let start = find_typed(cx, (&tree, &place), &typed_path(path)).ok_or_else(|| {
            Error::not_found("the path is not in the image")
                .in_file(&place)
                .at(Place::Path(path.to_owned()))
                .with_source(NothingFits)
        })?;
        Ok(Self { wims: set.wims(), tree, start, depth })
    }

    /// Paths in the order of a walk: a directory before what it holds, names as NTFS sorts them.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.nodes().map(|(path, _)| slashes(&path))
    }

    /// Entries in the same order.
    pub fn entries(&self) -> impl Iterator<Item = DirEntry> {
        self.nodes().map(|(path, node)| self.entry(&path, node))
    }

    fn nodes(&self) -> impl Iterator<Item = (WimPath, NodeId)> {
        let most = match self.depth {
            Depth::Everything => usize::MAX,
            Depth::StartOnly => 1,
        };
        self.tree.walk_paths(self.start).take(most)
    }

    fn entry(&self, path: &WimPath, node: NodeId) -> DirEntry {
        let name = self.tree.node(node);
        let inode = self.tree.inode_of(node);
        let descriptor = inode.security.and_then(|id| self.tree.security().get(id));
        let resource =
            |digest| self.wims.iter().find_map(|wim| wim.table().find(&digest)).map(ResourceInfo::of);
        let mut streams: Vec<StreamEntry> = inode
            .streams
            .iter()
            .map(|(kind, digest)| {
                let (kind, name) = match kind {
                    StreamKind::Data => ("data", None),
                    StreamKind::Reparse => ("reparse", None),
                    StreamKind::Efs => ("encrypted", None),
                    StreamKind::Named(name) => ("named", Some(name.to_text())),
                };
                let absent = || ResourceInfo { sha1: digest.to_string(), ..ResourceInfo::nothing() };
                StreamEntry { kind, name, resource: resource(digest).unwrap_or_else(absent) }
            })
            .collect();
        if streams.first().is_none_or(|stream| stream.kind == "named") {
            streams.insert(0, StreamEntry { kind: "data", name: None, resource: ResourceInfo::nothing() });
        }
        let group = if inode.names > 1 { name.inode.index() as u64 } else { 0 };
        DirEntry {
            path: slashes(path),
            short_name: name.short_name.to_text(),
            attributes: inode.attributes,
            security_descriptor: descriptor.map(hex::encode),
            creation_time: ReportTime(inode.times.creation),
            last_write_time: ReportTime(inode.times.last_write),
            last_access_time: ReportTime(inode.times.last_access),
            reparse_tag: inode.reparse.map(|reparse| reparse.tag),
            link_group: group,
            link_count: inode.names,
            object_ids: object_ids(&inode.tagged_items),
            unix_data: unix_data(&inode.tagged_items),
            streams,
        }
    }
}

fn object_ids(items: &[u8]) -> Option<Vec<String>> {
    let ids = tagged_items::find(items, tagged_items::OBJECT_ID)?;
    let ids: Vec<String> = ids.chunks_exact(16).take(4).map(hex::encode).collect();
    (!ids.is_empty()).then_some(ids)
}

fn unix_data(items: &[u8]) -> Option<[u32; 4]> {
    let UnixData { owner, group, mode, device } = UnixData::find(items)?;
    Some([owner, group, mode, device])
}

/// A path as wimlib writes it.
pub(super) fn slashes(path: &WimPath) -> String {
    if path.components().is_empty() {
        return "/".to_owned();
    }
    path.components().iter().map(|name| format!("/{name}")).collect()
}
