//! Keeps what the host's directory cannot hold in a side file, from which a capture takes it back.
//!
//! The file is `formats::metadata_file`'s, described in `docs/metadata-file.md`. It is written beside its target while the
//! image is applied, one entry for each name that was made, and appears under its name when all is done. Contents of files
//! are not in it: they lie on the host.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::BufWriter;
use std::path::Path;

use super::blobs::Blobs;
use super::host::{DirectoryId, Host};
use super::plan::{Plan, Spot};
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Context, Error, Place, Result, SecurityId, Sha1Digest, Stage, WimString, hex};
use crate::formats::metadata_file::{Entry, LineWriter, NamedStream, ReparseFields, escaped};
use crate::formats::wim::WimFile;
use crate::image::{Inode, NodeId, StreamKind, Tree};
use crate::transfer::host_name;
use crate::transfer::read::{BlobInput, read_blobs, sort_by_offset};

/// A side file that is being written; dropped before it is finished, nothing of it stays.
pub struct SideFile {
    out: LineWriter<BufWriter<AtomicFile>>,
    /// Entries so far.
    count: u32,
    descriptors: HashMap<Vec<u8>, u32>,
    /// Entries of directories, which a later part of the same extraction may share.
    directories: HashMap<(Option<u32>, WimString), u32>,
    blobs: Vec<Sha1Digest>,
    known_blobs: HashSet<Sha1Digest>,
}

/// What was made, as the side file needs it.
pub(super) struct Made<'a, H> {
    pub(super) tree: &'a Tree,
    pub(super) plan: &'a Plan,
    pub(super) host: &'a mut H,
    /// The texts of the links that were made.
    pub(super) links: &'a HashMap<NodeId, OsString>,
}

impl SideFile {
    /// Begins a side file that will appear at `path`, in the place of one that is there.
    ///
    /// # Errors
    /// `Io`, and `InvalidInput` when a directory is there.
    pub fn create(path: &Path) -> Result<Self> {
        let file = AtomicFile::create(path, IfExists::Replace)?;
        Ok(Self {
            out: LineWriter::new(BufWriter::new(file))?,
            count: 0,
            descriptors: HashMap::new(),
            directories: HashMap::new(),
            blobs: Vec::new(),
            known_blobs: HashSet::new(),
        })
    }

    /// Writes the contents of streams that have no place on the host, and puts the file in its place.
    ///
    /// # Errors
    /// `NotFound` for a blob that none of `wims` has, `Corrupt` for one whose digest differs, `Io`, `Cancelled`.
    pub fn finish(self, cx: &Context<'_>, wims: &[&WimFile]) -> Result<()> {
        self.finish_with(cx, &Blobs::of(wims))
    }

    /// As [`Self::finish`], with blobs from elsewhere.
    pub(super) fn finish_with(mut self, cx: &Context<'_>, blobs: &Blobs<'_>) -> Result<()> {
        let inputs = self.blobs.iter().map(|digest| blobs.find(digest));
        let mut inputs: Vec<BlobInput<'_>> = inputs.collect::<Result<_>>()?;
        inputs.sort_by_key(|input| input.digest);
        sort_by_offset(&mut inputs);
        cx.progress.start(Stage::Extracting, inputs.iter().map(|input| input.size).sum());
        read_blobs(cx, &inputs, |piece| {
            let BlobInput { size, digest, .. } = &inputs[piece.position];
            if piece.start == 0 {
                self.out.begin_blob(digest, *size)?;
            }
            self.out.blob_bytes(piece.bytes?)?;
            if piece.is_last { self.out.end_blob() } else { Ok(()) }
        })?;
        let file = self.out.finish()?.into_inner().map_err(|e| {
            let error = e.into_error();
            Error::new(crate::base::ErrorKind::Io, format!("cannot write: {error}")).with_source(error)
        })?;
        file.commit()
    }

    /// Writes entries for all that was made.
    pub(super) fn record<H: Host>(&mut self, cx: &Context<'_>, mut made: Made<'_, H>) -> Result<()> {
        let (tree, plan) = (made.tree, made.plan);
        // The entry of each directory of the plan; none for the target itself.
        let mut entries: Vec<Option<u32>> = Vec::with_capacity(plan.directories.len());
        for (index, &spot) in plan.directories.iter().enumerate() {
            cx.cancel.check()?;
            if index == 0 {
                if plan.is_image {
                    let seen = made.host.last_write(0, OsStr::new("."));
                    let entry = self.file_entry(tree, spot.node, seen.map(|time| time.0))?;
                    self.push(&entry)?;
                }
                entries.push(None);
                continue;
            }
            let above = entry_of(&entries, spot.directory);
            let key = (above, tree.node(spot.node).name.clone());
            let number = match self.directories.get(&key) {
                Some(&known) => known,
                None => {
                    let number = self.named(&mut made, spot, above)?;
                    self.directories.insert(key, number);
                    number
                }
            };
            entries.push(Some(number));
        }
        for file in &plan.files {
            cx.cancel.check()?;
            let mut first = None;
            for &spot in &file.spots {
                let above = entry_of(&entries, spot.directory);
                match first {
                    None => first = Some(self.named(&mut made, spot, above)?),
                    Some(first) => {
                        let entry = Entry { same_as: Some(first), ..name_entry(tree, plan, spot, above) };
                        self.push(&entry)?;
                    }
                }
            }
        }
        for &spot in &plan.links {
            cx.cancel.check()?;
            self.named(&mut made, spot, entry_of(&entries, spot.directory))?;
        }
        Ok(())
    }

    /// Writes the entry of a file's first or only name.
    fn named<H: Host>(&mut self, made: &mut Made<'_, H>, spot: Spot, above: Option<u32>) -> Result<u32> {
        let (tree, plan) = (made.tree, made.plan);
        let seen = made.host.last_write(spot.directory, &plan.host_name(tree, spot.node));
        let link = made.links.get(&spot.node).and_then(|text| host_name::to_image(text));
        let named = name_entry(tree, plan, spot, above);
        let file = self.file_entry(tree, spot.node, seen.map(|time| time.0))?;
        let entry = Entry {
            directory: named.directory,
            name: named.name,
            host_name: named.host_name,
            short_name: named.short_name,
            link: link.map(|text| escaped(&text)),
            ..file
        };
        let too_long = |e: Error| e.or_at(Place::Path(tree.path_text(spot.node, 4096)));
        self.push(&entry).map_err(too_long)
    }

    /// The fields of a file, without its name.
    fn file_entry(&mut self, tree: &Tree, node: NodeId, seen: Option<u64>) -> Result<Entry> {
        let inode = tree.inode_of(node);
        let times = [inode.times.creation.0, inode.times.last_write.0, inode.times.last_access.0];
        let mut entry = Entry {
            attributes: inode.attributes,
            times,
            host_write: seen.filter(|&seen| seen != times[1]),
            security: self.security(tree, inode.security)?,
            reserved: inode.unknown_54,
            data: text_of(inode.data()),
            reparse: inode.reparse.map(|reparse| ReparseFields {
                tag: reparse.tag,
                reserved: reparse.reserved,
                flags: reparse.flags,
            }),
            items: hex::encode(&inode.tagged_items),
            ..Entry::default()
        };
        self.streams(inode, &mut entry);
        Ok(entry)
    }

    fn streams(&mut self, inode: &Inode, entry: &mut Entry) {
        for (kind, digest) in inode.streams.iter() {
            match kind {
                StreamKind::Data => continue,
                StreamKind::Reparse => entry.reparse_data = text_of(digest),
                StreamKind::Efs => entry.encrypted = text_of(digest),
                StreamKind::Named(name) => {
                    entry.streams.push(NamedStream { name: escaped(name), data: text_of(digest) });
                }
            }
            if !digest.is_zero() && self.known_blobs.insert(digest) {
                self.blobs.push(digest);
            }
        }
    }

    /// The number of a security descriptor, which is written before it is first used.
    fn security(&mut self, tree: &Tree, id: Option<SecurityId>) -> Result<Option<u32>> {
        let Some(bytes) = id.and_then(|id| tree.security().get(id)) else { return Ok(None) };
        if let Some(&number) = self.descriptors.get(bytes) {
            return Ok(Some(number));
        }
        let number =
            u32::try_from(self.descriptors.len()).map_err(|_| Error::limit("too many descriptors"))?;
        self.out.descriptor(bytes)?;
        self.descriptors.insert(bytes.to_vec(), number);
        Ok(Some(number))
    }

    fn push(&mut self, entry: &Entry) -> Result<u32> {
        self.out.entry(entry)?;
        let number = self.count;
        self.count = number.checked_add(1).ok_or_else(|| Error::limit("more entries than can be counted"))?;
        Ok(number)
    }
}

fn entry_of(entries: &[Option<u32>], directory: DirectoryId) -> Option<u32> {
    entries.get(directory as usize).copied().flatten()
}

/// The fields of a name.
fn name_entry(tree: &Tree, plan: &Plan, spot: Spot, directory: Option<u32>) -> Entry {
    let node = tree.node(spot.node);
    let other_name = plan.names.get(&spot.node).and_then(|name| host_name::to_image(name));
    Entry {
        directory,
        name: escaped(&node.name),
        host_name: other_name.map(|name| escaped(&name)),
        short_name: (!node.short_name.is_empty()).then(|| escaped(&node.short_name)),
        ..Entry::default()
    }
}

fn text_of(digest: Sha1Digest) -> Option<String> {
    (!digest.is_zero()).then(|| digest.to_string())
}
