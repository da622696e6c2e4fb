//! What differs between two files, one of each tree, whatever their names.
//!
//! Contents are compared by their digests and never read. Security descriptors are given numbers that are equal for equal
//! bytes in either tree, so that a pair costs two look-ups.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use super::aspect::{Aspect, Aspects};
use super::report::{Change, ContentChange, ItemChange, OldNew, ReparseState, StreamChange, StreamState};
use super::side::Side;
use crate::base::{SecurityId, Sha1Digest, WimString, hex};
use crate::formats::security_descriptor::to_sddl;
use crate::formats::wim::tagged_items;
use crate::image::{Inode, InodeId, NodeId, Reparse, StreamKind};
use crate::jobs::clock::ReportTime;
use crate::jobs::dir::slashes;

/// Two trees and what of them is compared.
pub(super) struct Comparison<'s> {
    pub(super) old: &'s Side,
    pub(super) new: &'s Side,
    pub(super) ignored: Aspects,
    /// A number for each security descriptor of the old tree and of the new one; equal bytes have equal numbers.
    descriptors: [Vec<u32>; 2],
    links: [OnceCell<Vec<Vec<NodeId>>>; 2],
}

impl<'s> Comparison<'s> {
    pub(super) fn new(old: &'s Side, new: &'s Side, ignored: Aspects) -> Self {
        let mut numbers: HashMap<&[u8], u32> = HashMap::new();
        // No descriptor and one without bytes mean the same.
        numbers.insert(&[], 0);
        let mut numbered = |side: &'s Side| -> Vec<u32> {
            let descriptors = side.tree.security().iter();
            descriptors
                .map(|bytes| {
                    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                    *numbers.entry(bytes).or_insert(next)
                })
                .collect()
        };
        let descriptors = [numbered(old), numbered(new)];
        Self { old, new, ignored, descriptors, links: [OnceCell::new(), OnceCell::new()] }
    }

    fn looks_at(&self, aspect: Aspect) -> bool {
        !self.ignored.has(aspect)
    }

    /// What differs between two names and their files; `links_differ` is what the walk has found out.
    pub(super) fn changes(&self, old: NodeId, new: NodeId, links_differ: bool) -> Vec<Change> {
        let mut out = Vec::new();
        let (name, other) = (self.old.tree.node(old), self.new.tree.node(new));
        let (a, b) = (self.old.tree.inode(name.inode), self.new.tree.inode(other.inode));
        let (kind, other_kind) = (kind_of(a), kind_of(b));
        if kind != other_kind {
            out.push(Change::Kind(OldNew { old: kind, new: other_kind }));
        }
        if a.streams != b.streams {
            self.streams(a, b, &mut out);
        }
        self.fields(a, b, &mut out);
        self.security(a, b, &mut out);
        if self.looks_at(Aspect::ShortName) && name.short_name != other.short_name {
            let (old, new) = (name.short_name.to_text(), other.short_name.to_text());
            out.push(Change::ShortName(OldNew { old, new }));
        }
        let is_same_name = name.name == other.name || !name.name.eq_ignore_case(&other.name);
        if self.looks_at(Aspect::Case) && !is_same_name {
            out.push(Change::Name(OldNew { old: name.name.to_text(), new: other.name.to_text() }));
        }
        self.reparse(a, b, &mut out);
        if self.looks_at(Aspect::Items) && a.tagged_items != b.tagged_items {
            items(&a.tagged_items, &b.tagged_items, &mut out);
        }
        if self.looks_at(Aspect::Links) && links_differ {
            let (old, new) = (self.names(0, self.old, name.inode), self.names(1, self.new, other.inode));
            out.push(Change::Links(OldNew { old, new }));
        }
        out
    }

    fn fields(&self, a: &Inode, b: &Inode, out: &mut Vec<Change>) {
        if self.looks_at(Aspect::Attributes) && a.attributes != b.attributes {
            out.push(Change::Attributes(OldNew { old: a.attributes, new: b.attributes }));
        }
        let time = |old, new| (old != new).then_some((ReportTime(old), ReportTime(new)));
        if self.looks_at(Aspect::CreationTime)
            && let Some((old, new)) = time(a.times.creation, b.times.creation)
        {
            out.push(Change::CreationTime(OldNew { old, new }));
        }
        if self.looks_at(Aspect::WriteTime)
            && let Some((old, new)) = time(a.times.last_write, b.times.last_write)
        {
            out.push(Change::LastWriteTime(OldNew { old, new }));
        }
        if self.looks_at(Aspect::AccessTime)
            && let Some((old, new)) = time(a.times.last_access, b.times.last_access)
        {
            out.push(Change::LastAccessTime(OldNew { old, new }));
        }
        if self.looks_at(Aspect::Reserved) && a.unknown_54 != b.unknown_54 {
            out.push(Change::Reserved(OldNew { old: a.unknown_54, new: b.unknown_54 }));
        }
    }

    fn streams(&self, a: &Inode, b: &Inode, out: &mut Vec<Change>) {
        if self.looks_at(Aspect::Content) {
            let content = |inode: &Inode| match inode.streams.get(&StreamKind::Efs) {
                Sha1Digest::ZERO => inode.data(),
                encrypted => encrypted,
            };
            let (old, new) = (content(a), content(b));
            if old != new {
                let (old, new) = (self.old.state(old), self.new.state(new));
                out.push(Change::Content(ContentChange { old, new, hive: None }));
            }
        }
        if !self.looks_at(Aspect::Streams) {
            return;
        }
        let (olds, mut news) = (named(a), named(b));
        for (name, old) in &olds {
            let new = news.remove(name);
            if new != Some(*old) {
                let (old, new) = (Some(self.old.state(*old)), new.map(|new| self.new.state(new)));
                out.push(Change::Stream(StreamChange { name: name.to_text(), old, new }));
            }
        }
        for (name, new) in news {
            out.push(Change::Stream(StreamChange {
                name: name.to_text(),
                old: None,
                new: Some(self.new.state(new)),
            }));
        }
    }

    fn security(&self, a: &Inode, b: &Inode, out: &mut Vec<Change>) {
        let number = |list: &[u32], id: Option<SecurityId>| {
            id.and_then(|id| list.get(id.0 as usize)).copied().unwrap_or(0)
        };
        let is_same = number(&self.descriptors[0], a.security) == number(&self.descriptors[1], b.security);
        if self.looks_at(Aspect::Security) && !is_same {
            let text = |side: &Side, inode: &Inode| {
                let bytes = side.tree.security().get(inode.security?).filter(|bytes| !bytes.is_empty())?;
                Some(to_sddl(bytes).unwrap_or_else(|| hex::encode(bytes)))
            };
            out.push(Change::Security(OldNew { old: text(self.old, a), new: text(self.new, b) }));
        }
    }

    fn reparse(&self, a: &Inode, b: &Inode, out: &mut Vec<Change>) {
        let data = |inode: &Inode| inode.streams.get(&StreamKind::Reparse);
        let is_same = a.reparse == b.reparse && data(a) == data(b);
        if self.looks_at(Aspect::Reparse) && !is_same {
            let state = |side: &Side, inode: &Inode| {
                inode.reparse.map(|reparse| {
                    let digest = data(inode);
                    let Reparse { tag, reserved, flags } = reparse;
                    let target = side.link_target(tag, &digest);
                    let sha1 = (!digest.is_zero()).then(|| digest.to_string());
                    ReparseState { tag, reserved, flags, target, sha1 }
                })
            };
            out.push(Change::ReparsePoint(OldNew { old: state(self.old, a), new: state(self.new, b) }));
        }
    }

    /// Paths of all names of a file.
    fn names(&self, which: usize, side: &Side, inode: InodeId) -> Vec<String> {
        let all = self.links[which].get_or_init(|| side.tree.names_by_inode());
        let names = all.get(inode.index()).map_or(&[][..], Vec::as_slice);
        names.iter().map(|&node| slashes(&side.tree.path_of(node))).collect()
    }
}

/// What a file is, as reports call it.
pub(super) fn kind_of(inode: &Inode) -> &'static str {
    use crate::formats::wim::reparse::{MOUNT_POINT, SYMLINK};
    match inode.reparse {
        Some(Reparse { tag: SYMLINK, .. }) => "symlink",
        Some(Reparse { tag: MOUNT_POINT, .. }) => "junction",
        Some(_) => "reparse_point",
        None if inode.is_directory() => "directory",
        None if !inode.streams.get(&StreamKind::Efs).is_zero() => "encrypted_file",
        None => "file",
    }
}

/// The named streams by name; of two with one name the first counts.
fn named(inode: &Inode) -> BTreeMap<&WimString, Sha1Digest> {
    let mut streams = BTreeMap::new();
    for (kind, digest) in inode.streams.iter() {
        if let StreamKind::Named(name) = kind {
            streams.entry(name).or_insert(digest);
        }
    }
    streams
}

/// The tagged items that differ; items of one tag are told apart by their order.
fn items(a: &[u8], b: &[u8], out: &mut Vec<Change>) {
    let numbered = |bytes| {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        let mut items = BTreeMap::new();
        for (tag, data) in tagged_items::items(bytes) {
            let count = counts.entry(tag).or_default();
            items.insert((tag, *count), data);
            *count += 1;
        }
        items
    };
    let (olds, news): (BTreeMap<_, &[u8]>, BTreeMap<_, &[u8]>) = (numbered(a), numbered(b));
    let keys: std::collections::BTreeSet<_> = olds.keys().chain(news.keys()).copied().collect();
    for key in keys {
        let (old, new) = (olds.get(&key), news.get(&key));
        if old != new {
            let name = match key.0 {
                tagged_items::OBJECT_ID => "object id",
                tagged_items::UNIX_DATA => "unix data",
                _ => "tagged item",
            };
            let text = |data: Option<&&[u8]>| data.map(|data| hex::encode(data));
            out.push(Change::TaggedItem(ItemChange { tag: key.0, name, old: text(old), new: text(new) }));
        }
    }
}

impl Side {
    fn state(&self, digest: Sha1Digest) -> StreamState {
        match digest.is_zero() {
            true => StreamState { size: Some(0), sha1: None },
            false => StreamState { size: self.set.blob_size(&digest), sha1: Some(digest.to_string()) },
        }
    }
}
