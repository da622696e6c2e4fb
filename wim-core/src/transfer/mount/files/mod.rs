//! The files of a mounted image: the tree, and staged contents beside it.
//!
//! Every operation is one that the kernel asks for, in its terms of inode numbers and error numbers, but without the kernel:
//! tests call them as they are. Rules that wimmount(1) has are kept: attributes of new files are defaults, symbolic links
//! become native ones, named streams are extended attributes or `FILE:STREAM`.

mod change;
mod look;
#[cfg(test)]
mod tests;
mod xattr;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use rustix::io::Errno;

use super::staging::{StagedFile, Staging};
use super::{Access, MountSettings, StreamsInterface, UnixRules};
use crate::base::{Context, Error, FileTime, Result, Sha1Digest, Sha1Hasher, WimString};
use crate::formats::wim::attributes::DIRECTORY;
use crate::formats::wim::reparse::{MOUNT_POINT, SYMLINK};
use crate::formats::wim::tagged_items::UnixData;
use crate::image::edit::{Content, Times};
use crate::image::glob::Case;
use crate::image::{Inode, InodeId, NodeId, Stream, StreamKind, Streams, Tree};
use crate::transfer::host_name;
use crate::transfer::read::RandomReader;

/// What the kernel is answered.
pub(super) type Answer<T> = std::result::Result<T, Errno>;

/// Inode number of the root; the file of inode *n* of the tree has number *n* + 1.
pub(super) const ROOT: u64 = 1;
/// Streams that were asked for as `FILE:STREAM` are numbered from here, above all files.
const FIRST_STREAM: u64 = 1 << 33;
/// Bytes copied at a time into a staged file.
const COPY_BYTES: usize = 1 << 20;

const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// A stream of a file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct StreamKey {
    inode: InodeId,
    kind: StreamKind,
}

/// What the kernel wants to know of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileFacts {
    pub(super) number: u64,
    /// Type and permissions, as in `st_mode`.
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) device: u32,
    pub(super) links: u32,
    pub(super) size: u64,
    pub(super) times: Times,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u64,
    pub(super) mode: u32,
    pub(super) name: OsString,
}

/// Where bytes are to be read from.
pub(super) enum Bytes {
    Empty,
    Blob(Sha1Digest),
    Staged(StagedFile),
}

/// What `setattr` changes.
#[derive(Default)]
pub(super) struct NewFacts {
    pub(super) mode: Option<u32>,
    pub(super) owner: (Option<u32>, Option<u32>),
    pub(super) size: Option<u64>,
    pub(super) last_access: Option<FileTime>,
    pub(super) last_write: Option<FileTime>,
}

/// Something open.
enum Handle {
    File { key: StreamKey, writes: bool },
    Directory(Arc<[Entry]>),
}

/// What a mounted image has become.
pub struct Changed {
    /// Its tree.
    pub tree: Tree,
    /// Contents that no WIM has yet; they lie in staged files as long as the [`MountedFiles`] live.
    pub contents: Vec<(Sha1Digest, Content)>,
}

/// The files of a mounted image.
pub struct MountedFiles {
    tree: Tree,
    reader: Arc<RandomReader>,
    settings: MountSettings,
    /// Names of each inode of the tree.
    names: Vec<Vec<NodeId>>,
    staging: Option<Staging>,
    staged: HashMap<StreamKey, StagedFile>,
    /// Streams met as `FILE:STREAM`, by their number.
    streams: Vec<StreamKey>,
    stream_numbers: HashMap<StreamKey, u64>,
    handles: HashMap<u64, Handle>,
    next_handle: u64,
    mounter: (u32, u32),
    has_changed: bool,
    is_frozen: bool,
}

impl MountedFiles {
    /// The files of the image with this tree, whose blobs `reader` has.
    ///
    /// # Errors
    /// `Io` when the staging folder cannot be made.
    pub fn new(tree: Tree, reader: Arc<RandomReader>, settings: MountSettings) -> Result<Self> {
        let staging = match &settings.access {
            Access::ReadOnly => None,
            Access::ReadWrite { staging_parent, prefix } => {
                let made = Staging::new(staging_parent, prefix);
                Some(made.map_err(|e| Error::io(e, "cannot make a staging folder in", staging_parent))?)
            }
        };
        let names = tree.names_by_inode();
        let mounter = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Self {
            tree,
            reader,
            settings,
            names,
            staging,
            staged: HashMap::new(),
            streams: Vec::new(),
            stream_numbers: HashMap::new(),
            handles: HashMap::new(),
            next_handle: 1,
            mounter,
            has_changed: false,
            is_frozen: false,
        })
    }

    /// True when something was changed since the image was mounted.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Files open for writing.
    #[must_use]
    pub fn open_for_writing(&self) -> usize {
        self.handles.values().filter(|handle| matches!(handle, Handle::File { writes: true, .. })).count()
    }

    /// Lets nothing be changed any more, or again.
    pub fn freeze(&mut self, is_frozen: bool) {
        self.is_frozen = is_frozen;
    }

    /// What the image has become, with the digests of all that is staged; blobs that `need_not_be_written` has are left out
    /// of the contents.
    ///
    /// # Errors
    /// `Io` when a staged file cannot be read, `Cancelled`.
    pub fn changes(
        &self,
        cx: &Context<'_>,
        need_not_be_written: &dyn Fn(&Sha1Digest) -> bool,
    ) -> Result<Changed> {
        let mut tree = self.tree.clone();
        let mut contents = HashMap::new();
        for (key, staged) in &self.staged {
            cx.cancel.check()?;
            if tree.inode(key.inode).names == 0 {
                continue;
            }
            let cannot = |e| Error::io(e, "cannot read the staged file", &staged.path);
            let (digest, size) = digest_of(staged).map_err(cannot)?;
            let inode = tree.inode_mut(key.inode);
            inode.streams = inode.streams.with(&key.kind, digest);
            if size > 0 && !need_not_be_written(&digest) {
                let modified = staged.file.metadata().and_then(|metadata| metadata.modified());
                let last_write = FileTime::from_system_time(modified.map_err(cannot)?);
                let content = Content::HostFile { path: staged.path.clone(), size, last_write };
                contents.insert(digest, content);
            }
        }
        let mut contents: Vec<_> = contents.into_iter().collect();
        contents.sort_by_key(|(digest, _)| *digest);
        Ok(Changed { tree, contents })
    }

    pub(super) fn reader(&self) -> Arc<RandomReader> {
        Arc::clone(&self.reader)
    }

    fn key(&self, number: u64) -> Answer<StreamKey> {
        if let Some(index) = number.checked_sub(FIRST_STREAM) {
            let index = usize::try_from(index).map_err(|_| Errno::STALE)?;
            return self.streams.get(index).cloned().ok_or(Errno::STALE);
        }
        let index = number.checked_sub(1).and_then(|index| u32::try_from(index).ok()).ok_or(Errno::STALE)?;
        if index as usize >= self.tree.inode_bound() {
            return Err(Errno::STALE);
        }
        Ok(StreamKey { inode: inode_at(index), kind: StreamKind::Data })
    }

    fn directory(&self, number: u64) -> Answer<NodeId> {
        let inode = self.key(number)?.inode;
        if !self.tree.inode(inode).is_directory() {
            return Err(Errno::NOTDIR);
        }
        self.names.get(inode.index()).and_then(|names| names.first()).copied().ok_or(Errno::NOENT)
    }

    fn child(&self, directory: NodeId, name: &WimString) -> Option<NodeId> {
        let found = self.tree.child(directory, name)?;
        (self.settings.case == Case::Ignored || self.tree.node(found).name == *name).then_some(found)
    }

    fn must_be_writable(&self) -> Answer<()> {
        if self.staging.is_none() || self.is_frozen { Err(Errno::ROFS) } else { Ok(()) }
    }

    fn facts_of(&self, id: InodeId) -> Answer<FileFacts> {
        let inode = self.tree.inode(id);
        let mode = self.mode_of(inode);
        let unix = self.unix_data(inode);
        let size = match mode & TYPE_MASK {
            LINK => self.link_text(number_of(id)).map_or(0, |text| text.len() as u64),
            FOLDER => 0,
            _ => self.size_of(&StreamKey { inode: id, kind: StreamKind::Data })?,
        };
        Ok(FileFacts {
            number: number_of(id),
            mode,
            owner: unix.map_or(self.mounter, |unix| (unix.owner, unix.group)),
            device: unix.map_or(0, |unix| unix.device),
            // One, as of file systems that do not count subdirectories.
            links: if inode.is_directory() { 1 } else { inode.names },
            size,
            times: inode.times,
        })
    }

    fn unix_data(&self, inode: &Inode) -> Option<UnixData> {
        match self.settings.unix {
            UnixRules::FromImage => UnixData::find(&inode.tagged_items),
            UnixRules::Mounter => None,
        }
    }

    fn mode_of(&self, inode: &Inode) -> u32 {
        let is_link = inode.reparse.is_some_and(|reparse| matches!(reparse.tag, SYMLINK | MOUNT_POINT));
        let kind = match inode.attributes & DIRECTORY {
            _ if is_link => LINK,
            0 => REGULAR,
            _ => FOLDER,
        };
        match self.unix_data(inode) {
            // The type is that of the image's own attributes, but for special files, which look regular there.
            Some(UnixData { mode, .. }) if kind == REGULAR => {
                if matches!(mode & TYPE_MASK, 0 | FOLDER | LINK) { REGULAR | mode & !TYPE_MASK } else { mode }
            }
            Some(UnixData { mode, .. }) => kind | mode & !TYPE_MASK,
            None => kind | 0o777,
        }
    }

    fn size_of(&self, key: &StreamKey) -> Answer<u64> {
        match self.bytes_of(key) {
            Bytes::Empty => Ok(0),
            Bytes::Staged(staged) => staged.size().map_err(errno),
            // A blob that no file has must not look like an empty file.
            Bytes::Blob(digest) => self.reader.size(&digest).ok_or(Errno::IO),
        }
    }

    fn bytes_of(&self, key: &StreamKey) -> Bytes {
        if let Some(staged) = self.staged.get(key) {
            return Bytes::Staged(staged.clone());
        }
        let digest = self.tree.inode(key.inode).streams.get(&key.kind);
        if digest.is_zero() { Bytes::Empty } else { Bytes::Blob(digest) }
    }

    fn read_whole(&self, key: &StreamKey, limit: u64) -> Answer<Vec<u8>> {
        let length = usize::try_from(limit).unwrap_or(usize::MAX);
        match self.bytes_of(key) {
            Bytes::Empty => Ok(Vec::new()),
            Bytes::Staged(staged) => staged.read(0, length).map_err(errno),
            Bytes::Blob(digest) => self.reader.read(&digest, 0, length).map_err(|_| Errno::IO),
        }
    }

    /// The file with this name and stream, when `name` is `FILE:STREAM` and streams are reached so.
    fn stream_named(&self, directory: NodeId, name: &WimString) -> Option<StreamKey> {
        const COLON: u16 = b':' as u16;
        if self.settings.streams != StreamsInterface::Windows {
            return None;
        }
        let at = name.iter().position(|&unit| unit == COLON)?;
        let (file, stream) = (WimString::from(name[..at].to_vec()), WimString::from(name[at + 1..].to_vec()));
        if stream.is_empty() || stream.contains(&COLON) {
            return None;
        }
        let inode = self.tree.node(self.child(directory, &file)?).inode;
        let kind = self.existing_stream(inode, &stream).unwrap_or(StreamKind::Named(stream));
        Some(StreamKey { inode, kind })
    }

    /// The named stream of a file, whose names differ in more than case.
    fn existing_stream(&self, inode: InodeId, name: &WimString) -> Option<StreamKind> {
        let alike = |kind: &StreamKind| match kind {
            StreamKind::Named(other) => crate::base::upcase::equal(other, name),
            _ => false,
        };
        self.tree.inode(inode).streams.iter().map(|(kind, _)| kind).find(|kind| alike(kind)).cloned()
    }

    fn number_of_stream(&mut self, key: &StreamKey) -> u64 {
        if let Some(&number) = self.stream_numbers.get(key) {
            return number;
        }
        let number = FIRST_STREAM + self.streams.len() as u64;
        self.streams.push(key.clone());
        self.stream_numbers.insert(key.clone(), number);
        number
    }

    fn keep(&mut self, handle: Handle) -> u64 {
        let number = self.next_handle;
        self.next_handle += 1;
        self.handles.insert(number, handle);
        number
    }

    fn add(&mut self, directory: NodeId, name: WimString, inode: Inode) -> Answer<FileFacts> {
        if self.child(directory, &name).is_some() {
            return Err(Errno::EXIST);
        }
        let inode = Inode { times: Times::all((self.settings.clock)()), ..inode };
        let node = self.tree.add(directory, name, inode).map_err(|_| Errno::INVAL)?;
        let id = self.tree.node(node).inode;
        self.names.resize_with(self.tree.inode_bound(), Vec::new);
        self.names[id.index()].push(node);
        self.touch_directory(directory);
        self.facts_of(id)
    }

    fn remove(&mut self, directory: NodeId, node: NodeId) {
        let inode = self.tree.node(node).inode;
        self.tree.remove(node);
        self.names[inode.index()].retain(|&name| name != node);
        self.touch_directory(directory);
    }

    fn remove_stream(&mut self, key: &StreamKey) -> Answer<()> {
        let inode = self.tree.inode_mut(key.inode);
        let left: Vec<Stream> = inode
            .streams
            .iter()
            .filter(|(kind, _)| **kind != key.kind)
            .map(|(kind, digest)| Stream { kind: kind.clone(), digest })
            .collect();
        inode.streams = Streams::from_list(left);
        self.staged.remove(key);
        self.touch(key.inode);
        Ok(())
    }

    fn touch_directory(&mut self, directory: NodeId) {
        self.touch(self.tree.node(directory).inode);
    }

    fn touch(&mut self, inode: InodeId) {
        let now = (self.settings.clock)();
        let times = &mut self.tree.inode_mut(inode).times;
        (times.last_write, times.last_access) = (now, now);
        self.has_changed = true;
    }

    fn stage_empty(&mut self) -> Answer<StagedFile> {
        self.staging.as_mut().ok_or(Errno::ROFS)?.add().map_err(errno)
    }

    /// The staged file of a stream, made with the first `keep_bytes` of what the stream holds now.
    fn stage(&mut self, key: &StreamKey, keep_bytes: u64) -> Answer<StagedFile> {
        if let Some(staged) = self.staged.get(key) {
            return Ok(staged.clone());
        }
        let before = self.bytes_of(key);
        let staged = self.stage_empty()?;
        if let Bytes::Blob(digest) = before {
            let mut at = 0;
            while at < keep_bytes {
                let want = usize::try_from(keep_bytes - at).unwrap_or(usize::MAX).min(COPY_BYTES);
                let bytes = self.reader.read(&digest, at, want).map_err(|_| Errno::IO)?;
                if bytes.is_empty() {
                    break;
                }
                write_all(&staged, &bytes, at)?;
                at += bytes.len() as u64;
            }
        }
        self.staged.insert(key.clone(), staged.clone());
        Ok(staged)
    }
}

fn number_of(inode: InodeId) -> u64 {
    inode.index() as u64 + 1
}

fn inode_at(index: u32) -> InodeId {
    InodeId::from_index(index)
}

fn image_name(name: &OsStr) -> Answer<WimString> {
    host_name::to_image(name).ok_or(Errno::ILSEQ)
}

fn write_all(staged: &StagedFile, bytes: &[u8], start: u64) -> Answer<()> {
    std::os::unix::fs::FileExt::write_all_at(&*staged.file, bytes, start).map_err(errno)
}

pub(super) fn errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn digest_of(staged: &StagedFile) -> std::io::Result<(Sha1Digest, u64)> {
    let (mut hasher, mut at) = (Sha1Hasher::new(), 0);
    loop {
        let bytes = staged.read(at, COPY_BYTES)?;
        if bytes.is_empty() {
            let digest = if at == 0 { Sha1Digest::ZERO } else { hasher.finish() };
            return Ok((digest, at));
        }
        hasher.update(&bytes);
        at += bytes.len() as u64;
    }
}
