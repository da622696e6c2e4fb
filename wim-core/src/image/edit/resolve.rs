//! The new tree and contents that an overlay comes to.
//!
//! New contents are hashed here, on all cores, since a tree names blobs by digest. An edit that puts back what was there
//! leaves no trace: an image without real changes is told, so that its metadata resource is copied as it is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::change::Action;
use super::content::Content;
use super::overlay::{Overlay, Pending};
use crate::base::pipeline::{Budget, Cost, map_in_order};
use crate::base::{Context, Error, FileTime, Place, Result, Sha1Digest, Sha1Hasher, Stage};
use crate::image::node::{Inode, InodeId, StreamKind};
use crate::image::path::WimPath;
use crate::image::tree::Tree;

/// Bytes that are read and hashed at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// An overlay, resolved.
#[derive(Debug)]
pub struct Resolved {
    /// The new tree; the base tree itself when nothing changed.
    pub tree: Arc<Tree>,
    /// New contents by digest, each once, in the order of the edits; empty contents are none, and blobs of the WIM are in
    /// it already.
    pub contents: Vec<(Sha1Digest, Content)>,
    /// False when the new tree equals the base tree.
    pub is_changed: bool,
    /// What each edit came to, in the order of the edits.
    pub effects: Vec<Effect>,
}

/// Digests of files of the host, by path, size and time of the last write; whoever writes them into a WIM finds out if they
/// changed since.
#[derive(Debug, Default)]
pub struct HashedFiles(HashMap<(PathBuf, u64, FileTime), Sha1Digest>);

impl HashedFiles {
    fn key(content: &Content) -> Option<(PathBuf, u64, FileTime)> {
        match content {
            Content::HostFile { path, size, last_write } => Some((path.clone(), *size, *last_write)),
            _ => None,
        }
    }

    fn find(&self, content: &Content) -> Option<Sha1Digest> {
        Self::key(content).and_then(|key| self.0.get(&key).copied())
    }

    fn insert(&mut self, content: &Content, digest: Sha1Digest) {
        self.0.extend(Self::key(content).map(|key| (key, digest)));
    }
}

/// What came of one edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// Where; spelt as in the image.
    pub path: WimPath,
    /// What.
    pub kind: EffectKind,
    /// The reason that the edit gave.
    pub reason: String,
}

/// How a path differs between the base tree and the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectKind {
    /// It was not there.
    Added,
    /// It was there and is another file, or the same one changed.
    Replaced,
    /// It is there no more.
    Removed,
    /// As it was.
    Unchanged,
}

impl Overlay {
    /// Hashes new contents and makes the new tree.
    ///
    /// # Errors
    /// `InvalidInput` when a host file has changed since it was planned, `Io` when new content cannot be read, `Cancelled`.
    pub fn resolve(self, cx: &Context<'_>) -> Result<Resolved> {
        self.resolve_with(cx, &mut HashedFiles::default())
    }

    /// [`Self::resolve`] for one of several images that get the same host files: those in `hashed` are not read, new ones enter.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_with(self, cx: &Context<'_>, hashed: &mut HashedFiles) -> Result<Resolved> {
        let Self { base, mut tree, mut pending, changes, .. } = self;
        // Files that a later edit removed need no hashing.
        pending.retain(|&id, _| tree.inode(id).names > 0);
        let digests = hash_contents(cx, &tree, &pending, hashed)?;
        let mut contents = Vec::new();
        let mut listed = HashSet::new();
        for (digest, (&id, pending)) in digests.into_iter().zip(&pending) {
            let file = tree.inode(id);
            let new = Inode { streams: file.streams.with(&StreamKind::Data, digest), ..file.clone() };
            let before = base_inode(&base, id);
            let new = before.and_then(|before| unchanged(before, &new, pending)).unwrap_or(new);
            let is_new_blob = before.is_none_or(|before| before.data() != digest) && !digest.is_zero();
            if is_new_blob && !matches!(pending.content, Content::Blob(_)) && listed.insert(digest) {
                contents.push((digest, pending.content.clone()));
            }
            *Arc::make_mut(&mut tree).inode_mut(id) = new;
        }
        let is_changed = !Arc::ptr_eq(&base, &tree) && *base != *tree;
        let tree = if is_changed { tree } else { Arc::clone(&base) };
        let mut effects: Vec<Effect> = Vec::new();
        let mut known: HashMap<&WimPath, EffectKind> = HashMap::new();
        // What is put into a file that was detached tells of it.
        for change in changes.iter().filter(|change| !matches!(change.action, Action::Detach)) {
            let kind = *known.entry(&change.path).or_insert_with(|| effect(&base, &tree, &change.path));
            let spelt = |tree: &Tree| tree.find(&change.path).map(|node| tree.path_of(node));
            let path = spelt(&tree).or_else(|| spelt(&base)).unwrap_or_else(|| change.path.clone());
            effects.push(Effect { path, kind, reason: change.reason.clone() });
        }
        Ok(Resolved { tree, contents, is_changed, effects })
    }
}

/// The file as it was in the base tree; none for a new one. Ids of a copy are those of the base until it grows.
fn base_inode(base: &Tree, id: InodeId) -> Option<&Inode> {
    (id.index() < base.inode_bound()).then(|| base.inode(id))
}

/// The file as it was, when the new one differs in nothing but times that the edit did not ask for.
fn unchanged(before: &Inode, new: &Inode, pending: &Pending) -> Option<Inode> {
    let times = if pending.has_own_times { new.times } else { before.times };
    let old = Inode { names: new.names, ..before.clone() };
    (Inode { times, ..new.clone() } == old).then_some(old)
}

fn effect(base: &Tree, tree: &Tree, path: &WimPath) -> EffectKind {
    match (base.find(path), tree.find(path)) {
        (None, None) => EffectKind::Unchanged,
        (None, Some(_)) => EffectKind::Added,
        (Some(_), None) => EffectKind::Removed,
        (Some(old), Some(new)) => {
            let same_file = base.node(old).inode == tree.node(new).inode;
            let same = Inode { names: 0, ..base.inode_of(old).clone() }
                == Inode { names: 0, ..tree.inode_of(new).clone() };
            if same_file && same { EffectKind::Unchanged } else { EffectKind::Replaced }
        }
    }
}

struct HashItem<'p> {
    content: &'p Content,
    path: WimPath,
    /// The digest, from an earlier image.
    known: Option<Sha1Digest>,
}

impl Cost for HashItem<'_> {
    fn cost(&self) -> u64 {
        if self.known.is_some() {
            return 0;
        }
        self.content.size_bytes().unwrap_or(0).min(BUFFER_BYTES as u64)
    }
}

/// The digests of new contents, in their order; zeros for empty ones.
fn hash_contents(
    cx: &Context<'_>,
    tree: &Tree,
    pending: &BTreeMap<InodeId, Pending>,
    hashed: &mut HashedFiles,
) -> Result<Vec<Sha1Digest>> {
    let new = pending.values().filter(|pending| hashed.find(&pending.content).is_none());
    let total = new.filter_map(|pending| pending.content.size_bytes()).sum();
    cx.progress.start(Stage::Hashing, total);
    // One name of each file, for errors.
    let mut names: HashMap<InodeId, WimPath> = HashMap::new();
    if !pending.is_empty() {
        for visit in tree.walk(tree.root()) {
            let id = tree.node(visit.node).inode;
            if pending.contains_key(&id) {
                names.entry(id).or_insert_with(|| tree.path_of(visit.node));
            }
        }
    }
    let items = pending.iter().map(|(id, pending)| HashItem {
        content: &pending.content,
        path: names.get(id).cloned().unwrap_or_default(),
        known: hashed.find(&pending.content),
    });
    let budget = Budget::split(cx.memory_bytes(), cx.threads(), BUFFER_BYTES as u64);
    let mut digests: Vec<Sha1Digest> = Vec::with_capacity(pending.len());
    let new_worker = || {
        let mut buffer = Vec::new();
        move |item: HashItem<'_>| {
            if let Some(digest) = item.known {
                return Ok(digest);
            }
            hash(cx, item.content, &mut buffer).map_err(|e| e.or_at(Place::Path(item.path.to_string())))
        }
    };
    map_in_order(cx, &budget, items, new_worker, |digest| {
        digests.push(digest);
        Ok(())
    })?;
    for (pending, digest) in pending.values().zip(&digests) {
        hashed.insert(&pending.content, *digest);
    }
    Ok(digests)
}

fn hash(cx: &Context<'_>, content: &Content, buffer: &mut Vec<u8>) -> Result<Sha1Digest> {
    let Some(source) = content.open()? else {
        let Content::Blob(digest) = content else { return Ok(Sha1Digest::ZERO) };
        return Ok(if *digest == Sha1Digest::OF_NOTHING { Sha1Digest::ZERO } else { *digest });
    };
    let size = source.size();
    let mut hasher = Sha1Hasher::new();
    let mut offset = 0;
    buffer.resize(BUFFER_BYTES.min(usize::try_from(size).unwrap_or(BUFFER_BYTES)), 0);
    while offset < size {
        cx.cancel.check()?;
        let length = buffer.len().min(usize::try_from(size - offset).unwrap_or(usize::MAX));
        let piece = &mut buffer[..length];
        source.read_exact_at(piece, offset).map_err(|e| {
            Error::new(crate::base::ErrorKind::Io, format!("cannot read {content:?} at {offset:#x}: {e}"))
        })?;
        hasher.update(piece);
        offset += length as u64;
        cx.progress.advance(length as u64);
    }
    Ok(if size == 0 { Sha1Digest::ZERO } else { hasher.finish() })
}
