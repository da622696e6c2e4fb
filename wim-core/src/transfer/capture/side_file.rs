//! Gives captured files back what a side file has kept of them.
//!
//! The file is `formats::metadata_file`'s, described in `docs/metadata-file.md`: what was made on the host when an image was
//! applied. A name is known again by its place on the host. What did not change since becomes what it was in the image; what
//! did keeps its new content and time and everything else; what is not in the side file is as any captured file. Names of
//! the side file go through the rules of every tree, and no path of the host is made of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CaptureOptions, Captured};
use crate::base::{
    Error, FileSource, FileTime, LongPath, ReadAt, Result, SecurityId, Sha1Digest, WimString, hex,
};
use crate::formats::metadata_file::{Entry, MetadataFile, StoredBlob, unescaped};
use crate::formats::wim::attributes::{DIRECTORY, ENCRYPTED, NORMAL, REPARSE_POINT, is_plain_directory};
use crate::formats::wim::tagged_items;
use crate::image::edit::{Content, Times};
use crate::image::{Inode, InodeId, NodeId, Reparse, Stream, StreamKind, Streams, Tree};
use crate::transfer::host_name;

/// Whether a side file is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// No.
    Plain,
    /// The one that lies beside the source, under [`side_file_path`].
    Beside,
    /// This one.
    At(PathBuf),
}

/// Where the side file of a directory lies when nothing else is said: beside it, with `.wim-metadata` behind its name.
#[must_use]
pub fn side_file_path(directory: &Path) -> PathBuf {
    // `.` and `a/..` have no name of their own.
    let resolved = match directory.file_name() {
        Some(_) => directory.to_owned(),
        None => directory.canonicalize().unwrap_or_else(|_| directory.to_owned()),
    };
    let mut name = resolved.file_name().unwrap_or_default().to_owned();
    name.push(".wim-metadata");
    resolved.with_file_name(name)
}

/// The same capture with what the side file, if one is asked for, knows of it.
///
/// # Errors
/// `Io` when there is no side file, else what reading it gives; `InvalidInput` when two names would be the same in the image.
pub(super) fn restored(captured: Captured, source: &Path, options: &CaptureOptions) -> Result<Captured> {
    let path = match &options.metadata {
        Metadata::Plain => return Ok(captured),
        Metadata::Beside => side_file_path(source),
        Metadata::At(path) => path.clone(),
    };
    let in_file = |e: Error| e.in_file(path.display());
    let bytes: Arc<dyn ReadAt> = Arc::new(FileSource::open_shared(&path)?);
    let file = MetadataFile::read(&*bytes).map_err(in_file)?;
    let mut restorer = Restorer::new(&captured.tree, &file, source).map_err(in_file)?;
    let single = restorer.run(captured.file)?;
    let tree = restorer.out;
    let contents = contents(&tree, captured.contents, &file, &bytes);
    Ok(Captured { tree, file: single, contents, totals: captured.totals })
}

/// The contents of a tree in the order of a walk, each once: those that were captured, and those of the side file.
fn contents(
    tree: &Tree,
    captured: Vec<(Sha1Digest, Content)>,
    file: &MetadataFile,
    bytes: &Arc<dyn ReadAt>,
) -> Vec<(Sha1Digest, Content)> {
    let mut captured: HashMap<Sha1Digest, Content> = captured.into_iter().collect();
    let mut listed = std::collections::HashSet::new();
    let mut out = Vec::new();
    for visit in tree.walk(tree.root()) {
        for (_, digest) in tree.inode_of(visit.node).streams.iter() {
            if digest.is_zero() || !listed.insert(digest) {
                continue;
            }
            let stored = || {
                let place = *file.blobs.get(&digest)?;
                Some(Content::Source(Arc::new(StoredBlob::new(Arc::clone(bytes), place))))
            };
            // What is in neither is known from an earlier image.
            if let Some(content) = captured.remove(&digest).or_else(stored) {
                out.push((digest, content));
            }
        }
    }
    out
}

struct Restorer<'a> {
    captured: &'a Tree,
    file: &'a MetadataFile,
    source: &'a Path,
    out: Tree,
    security: Vec<SecurityId>,
    /// Entries by directory and name on the host.
    entries: HashMap<(Option<u32>, Vec<u16>), u32>,
    /// The file of each captured file with several names.
    of_captured: HashMap<InodeId, InodeId>,
    /// The unchanged file of each entry that others are further names of.
    of_entry: HashMap<u32, InodeId>,
}

impl<'a> Restorer<'a> {
    fn new(captured: &'a Tree, file: &'a MetadataFile, source: &'a Path) -> Result<Self> {
        let mut out = Tree::new_empty();
        let add = |bytes: &Vec<u8>| out.security_mut().add(bytes);
        let security = file.descriptors.iter().map(add).collect::<Result<_>>()?;
        let mut entries = HashMap::with_capacity(file.entries.len());
        for (number, entry) in (0u32..).zip(&file.entries) {
            let name = units(entry.host_name.as_ref().unwrap_or(&entry.name))?;
            entries.insert((entry.directory, name), number);
        }
        let (of_captured, of_entry) = (HashMap::new(), HashMap::new());
        Ok(Self { captured, file, source, out, security, entries, of_captured, of_entry })
    }

    /// Makes the new tree; gives the node of the one file that was captured, if it was one.
    fn run(&mut self, single: Option<NodeId>) -> Result<Option<NodeId>> {
        let root = self.captured.inode_of(self.captured.root());
        let root_entry = self.entry(None, &[]).filter(|_| single.is_none());
        let restored = self.inode(root, root_entry, Path::new(""))?;
        let id = self.out.node(self.out.root()).inode;
        *self.out.inode_mut(id) = Inode { names: 1, attributes: restored.attributes | DIRECTORY, ..restored };
        let mut found = None;
        let mut open = vec![(self.captured.root(), self.out.root(), None::<u32>, true, PathBuf::new())];
        while let Some((node, placed, number, is_known, path)) = open.pop() {
            let mut below = Vec::new();
            for &child in self.captured.children(node) {
                let name = &self.captured.node(child).name;
                let number = self.entry(number, name).filter(|_| is_known);
                let path = path.join(host_name::to_host(name));
                let placed = self.name((child, placed), number, &path)?;
                if single == Some(child) {
                    found = Some(placed);
                }
                if self.captured.inode_of(child).is_directory() {
                    below.push((child, placed, number, number.is_some(), path));
                }
            }
            open.extend(below.into_iter().rev());
        }
        Ok(found)
    }

    fn entry(&self, directory: Option<u32>, name: &[u16]) -> Option<u32> {
        self.entries.get(&(directory, name.to_vec())).copied()
    }

    fn fields(&self, number: u32) -> Option<&'a Entry> {
        self.file.entries.get(number as usize)
    }

    /// Puts one name into the new tree.
    fn name(&mut self, (node, placed): (NodeId, NodeId), number: Option<u32>, path: &Path) -> Result<NodeId> {
        let captured = self.captured.node(node);
        let file = self.captured.inode(captured.inode);
        let named = number.and_then(|number| self.fields(number));
        // A second name says what it is by the first.
        let first = named.map(|entry| entry.same_as.or(number)).unwrap_or_default();
        let inode = match self.known_file(captured.inode, file, first) {
            Some(inode) => inode,
            None => {
                let restored = self.inode(file, first, path)?;
                let inode = self.out.add_inode(restored)?;
                if file.names > 1 {
                    self.of_captured.insert(captured.inode, inode);
                }
                if let Some(first) = first.filter(|&first| self.is_unchanged(file, first)) {
                    self.of_entry.insert(first, inode);
                }
                inode
            }
        };
        let mut name = captured.name.clone();
        if let Some(entry) = named {
            let in_image = WimString::from(units(&entry.name)?);
            // A new file may have taken the name meanwhile; then the one on the host is as good as any.
            if self.out.child(placed, &in_image).is_none_or(|there| self.out.node(there).name != in_image) {
                name = in_image;
            }
        }
        let made = self.out.add_name(placed, name, inode)?;
        if let Some(short_name) = named.and_then(|entry| entry.short_name.as_ref()) {
            self.out.set_short_name(made, units(short_name)?.into())?;
        }
        Ok(made)
    }

    /// The file that a further name belongs to: as the host says, or as the side file says of one that did not change, since
    /// not every host has hard links.
    fn known_file(&self, captured: InodeId, file: &Inode, first: Option<u32>) -> Option<InodeId> {
        if file.attributes & (DIRECTORY | REPARSE_POINT) != 0 {
            return None;
        }
        let by_host = self.of_captured.get(&captured).copied();
        by_host.or_else(|| {
            let first = first.filter(|&first| self.is_unchanged(file, first))?;
            self.of_entry.get(&first).copied()
        })
    }

    /// True for a plain file with the content and time that it had when the image was applied.
    fn is_unchanged(&self, file: &Inode, number: u32) -> bool {
        self.fields(number).is_some_and(|entry| {
            file.data() == digest(entry.data.as_ref()) && has_time(file, entry) && !file.is_directory()
        })
    }

    /// The file as it was, as far as it did not change on the host.
    fn inode(&self, file: &Inode, number: Option<u32>, path: &Path) -> Result<Inode> {
        let Some(entry) = number.and_then(|number| self.fields(number)) else {
            return Ok(Inode { security: None, ..file.clone() });
        };
        let Some(change) = self.change(file, entry, path) else {
            // Of another kind now: a new file of an old name.
            return Ok(Inode { security: None, ..file.clone() });
        };
        let last_write = if has_time(file, entry) { None } else { Some(file.times.last_write) };
        let [creation, write, access] = entry.times.map(FileTime);
        let times = match last_write {
            None => Times { creation, last_write: write, last_access: access },
            Some(now) => Times { creation, last_write: now, last_access: now },
        };
        let mut streams = Vec::new();
        let mut attributes = entry.attributes;
        let mut reparse = entry.reparse.map(|r| Reparse { tag: r.tag, reserved: r.reserved, flags: r.flags });
        match change {
            Changed::Nothing => {
                let stored = [
                    (StreamKind::Reparse, digest(entry.reparse_data.as_ref())),
                    (StreamKind::Efs, digest(entry.encrypted.as_ref())),
                    (StreamKind::Data, file.data()),
                ];
                let kept = stored.into_iter().filter(|(_, digest)| !digest.is_zero());
                streams.extend(kept.map(|(kind, digest)| Stream { kind, digest }));
            }
            Changed::Link => {
                streams
                    .extend(file.streams.iter().map(|(kind, digest)| Stream { kind: kind.clone(), digest }));
                attributes = attributes & !DIRECTORY | file.attributes & DIRECTORY | REPARSE_POINT;
                reparse = file.reparse;
            }
            Changed::Content => {
                streams.push(Stream { kind: StreamKind::Data, digest: file.data() });
                attributes &= !(REPARSE_POINT | ENCRYPTED);
                attributes |= if attributes == 0 { NORMAL } else { 0 };
                reparse = None;
            }
        }
        for stream in &entry.streams {
            let kind = StreamKind::Named(units(&stream.name)?.into());
            streams.push(Stream { kind, digest: digest(stream.data.as_ref()) });
        }
        Ok(Inode {
            attributes,
            security: entry.security.and_then(|number| self.security.get(number as usize)).copied(),
            times,
            unknown_54: entry.reserved,
            reparse,
            streams: Streams::from_list(streams),
            tagged_items: items(file, entry)?,
            names: 0,
        })
    }

    /// What became of a file since the image was applied; none when it is of another kind.
    fn change(&self, file: &Inode, entry: &Entry, path: &Path) -> Option<Changed> {
        let is_reparse = entry.attributes & REPARSE_POINT != 0;
        if file.reparse.is_some() {
            let text = entry.link.as_ref()?;
            // The text as the host has it: what was captured may count from another root.
            let now =
                LongPath::to(&self.source.join(path)).and_then(|way| std::fs::read_link(way.path())).ok();
            let now = now.and_then(|now| host_name::to_image(now.as_os_str()));
            let is_same = now.is_some_and(|now| unescaped(text).is_some_and(|then| then == now.units()));
            return Some(if is_same { Changed::Nothing } else { Changed::Link });
        }
        if entry.link.is_some() {
            return None;
        }
        if file.is_directory() {
            if is_plain_directory(entry.attributes) {
                return Some(Changed::Nothing);
            }
            // An empty directory stands for a reparse point; with something in it, it is a directory.
            let entries = LongPath::to(&self.source.join(path)).and_then(|way| std::fs::read_dir(way.path()));
            let is_empty = entries.is_ok_and(|mut entries| entries.next().is_none());
            let is_stand_in = is_reparse && entry.attributes & DIRECTORY != 0;
            return is_stand_in.then_some(if is_empty { Changed::Nothing } else { Changed::Content });
        }
        if entry.attributes & DIRECTORY != 0 {
            return None;
        }
        let is_same = file.data() == digest(entry.data.as_ref());
        Some(if is_same { Changed::Nothing } else { Changed::Content })
    }
}

/// What became of a file since the image was applied, its times aside.
enum Changed {
    Nothing,
    /// A link leads elsewhere.
    Link,
    /// Its data, so that it cannot be an encrypted file or a reparse point any more.
    Content,
}

/// True when the host has the time that it had when the image was applied.
fn has_time(file: &Inode, entry: &Entry) -> bool {
    let [_, write, _] = entry.times;
    file.times.last_write == FileTime(entry.host_write.unwrap_or(write))
}

/// The tagged items of the side file, with the Unix data that was captured in the place of older.
fn items(file: &Inode, entry: &Entry) -> Result<Box<[u8]>> {
    let kept = hex::decode(&entry.items).ok_or_else(|| {
        Error::invalid_input("the tagged items of the side file are not hexadecimal digits")
    })?;
    match tagged_items::UnixData::find(&file.tagged_items) {
        Some(unix_data) => Ok(unix_data.replace_in(&kept).into()),
        None => Ok(kept.into()),
    }
}

/// A digest of the side file, which its reader has looked at; zeros for none.
fn digest(text: Option<&String>) -> Sha1Digest {
    text.and_then(|text| Sha1Digest::from_hex(text)).unwrap_or_default()
}

fn units(text: &str) -> Result<Vec<u16>> {
    unescaped(text)
        .ok_or_else(|| Error::invalid_input(format!("the name {text:?} of the side file is badly escaped")))
}
