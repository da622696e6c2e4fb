//! Captures a directory of the host: a tree, and the contents of its files.
//!
//! Scanning is one thread's, hashing is everyone's; equal contents are found here, so that each blob is written once. Plain
//! files, directories, hard and symbolic links are captured as wimlib does on Unix (wimcapture(1)), owners, modes, extended
//! attributes and special files when asked for. Security descriptors, named streams and all else that Windows keeps of files
//! come from a side file, or from an NTFS volume mounted by ntfs-3g.
//!
//! The time of last access is not captured from other file systems, since reading changes it: it is set to that of the last
//! write, so that capturing twice gives the same image.

mod exclude;
mod host;
mod ntfs;
pub(super) mod scan;
mod side_file;

pub use exclude::{Exclusions, Verdict, unquote};
pub use side_file::{Metadata, side_file_path};

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::base::pipeline::{Budget, Cost, map_in_order};
use crate::base::{Context, Error, ErrorKind, FileTime, Result, Sha1Digest, Sha1Hasher, Stage};
use crate::image::edit::Content;
use crate::image::glob::Case;
use crate::image::{InodeId, NodeId, StreamKind, Tree, WimPath};

/// Bytes that are read and hashed at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// How a directory is captured.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// What is left out.
    pub exclusions: Exclusions,
    /// What becomes of absolute links into the captured directory.
    pub absolute_links: AbsoluteLinks,
    /// Whether symbolic links are captured or followed.
    pub links: Links,
    /// What becomes of the source itself when it is a link; it is followed wherever links are.
    pub source_link: Links,
    /// Whether owners, modes and special files are captured.
    pub unix_data: UnixData,
    /// Whether a side file gives back what the host could not hold; without one, a mounted NTFS volume tells it.
    pub metadata: Metadata,
    /// Whether security descriptors are captured, where the source has some.
    pub descriptors: Descriptors,
}

/// What becomes of the security descriptors of a mounted NTFS volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Descriptors {
    /// They are captured; those that cannot be read are counted in a warning.
    #[default]
    Capture,
    /// They are left out.
    Omit,
    /// They are captured, and one that cannot be read is an error.
    Require,
}

/// What is captured that only Unix has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixData {
    /// Owner, group, mode and device number of every file, extended attributes, and special files, as wimlib keeps them
    /// (wim-format 7.4).
    Capture,
    /// Nothing; special files are left out.
    Omit,
}

/// What becomes of absolute links into the captured directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsoluteLinks {
    /// Their targets are made to count from the root of the image, which applying undoes (wim-format 17, RPFIX).
    Fix,
    /// They are captured as they are.
    Keep,
}

/// Whether symbolic links are captured or followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Captured as links.
    Capture,
    /// What they point to is captured in their place.
    Follow,
}

impl Default for CaptureOptions {
    /// wimlib's: its default exclusions, links captured, absolute ones fixed up.
    fn default() -> Self {
        let case = if cfg!(windows) { Case::Ignored } else { Case::Matters };
        Self {
            exclusions: Exclusions::default_config(case),
            absolute_links: AbsoluteLinks::Fix,
            links: Links::Capture,
            source_link: Links::Follow,
            unix_data: UnixData::Omit,
            metadata: Metadata::Plain,
            descriptors: Descriptors::Capture,
        }
    }
}

/// A captured directory, or a captured file.
#[derive(Debug)]
pub struct Captured {
    /// Its tree; a file stands in the root under its own name.
    pub tree: Tree,
    /// The file, when one was captured.
    pub file: Option<NodeId>,
    /// Its contents by digest, each once, in the order of a walk of the tree.
    pub contents: Vec<(Sha1Digest, Content)>,
    /// Files, directories and bytes that were scanned.
    pub totals: CaptureTotals,
}

/// What a capture went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CaptureTotals {
    /// Directories, the root among them.
    pub directories: u64,
    /// Names of other files.
    pub files: u64,
    /// Bytes of distinct files.
    pub bytes: u64,
    /// Files and directories left out by the configuration; what is below a directory is not counted.
    pub excluded: u64,
}

/// What an earlier image says of a file: its digest, when size and time of last write are the same.
pub type Known<'k> = &'k dyn Fn(&WimPath, u64, FileTime) -> Option<Sha1Digest>;

/// Captures the directory or file at `source`.
///
/// Files that are `known` are not read: their digest is taken over, and the caller has their contents.
///
/// Special files (devices, pipes, sockets) are left out with a warning each. The files are read again when they are
/// written; one that changes in between is an error then.
///
/// # Errors
/// `Io` for what cannot be read, `InvalidInput` when `source` is neither directory nor file, a file changes during the capture, or a name
/// cannot stand in an image; `Cancelled`.
pub fn capture(
    cx: &Context<'_>,
    source: &Path,
    options: &CaptureOptions,
    known: Option<Known<'_>>,
) -> Result<Captured> {
    let scanned = scan::scan(cx, source, options)?;
    let scan::Scanned { mut tree, file: single, mut files, data, totals } = scanned;
    if let Some(known) = known {
        take_over(&mut tree, &mut files, known);
    }
    let digests = hash_files(cx, &files)?;
    let mut by_digest: HashMap<Sha1Digest, Content> = HashMap::new();
    let mut note = |inode: InodeId, kind: &StreamKind, digest: Sha1Digest, content: Content| {
        let inode = tree.inode_mut(inode);
        inode.streams = inode.streams.with(kind, digest);
        if !digest.is_zero() {
            by_digest.entry(digest).or_insert(content);
        }
    };
    for (mut file, digest) in files.into_iter().zip(digests) {
        let kind = std::mem::replace(&mut file.kind, StreamKind::Data);
        note(file.inode, &kind, digest, file.content());
    }
    for (inode, kind, data) in data {
        let digest = if data.is_empty() { Sha1Digest::ZERO } else { Sha1Digest::of(&data) };
        note(inode, &kind, digest, Content::bytes(data));
    }
    let mut contents = Vec::with_capacity(by_digest.len());
    for visit in tree.walk(tree.root()) {
        for (_, digest) in tree.inode_of(visit.node).streams.iter() {
            contents.extend(by_digest.remove(&digest).map(|content| (digest, content)));
        }
    }
    side_file::restored(Captured { tree, file: single, contents, totals }, source, options)
}

/// Gives files that are known their digests and takes them from the list.
fn take_over(tree: &mut Tree, files: &mut Vec<FoundFile>, known: Known<'_>) {
    let names = tree.names_by_inode();
    files.retain(|file| {
        if file.kind != StreamKind::Data {
            return true;
        }
        let node = names.get(file.inode.index()).and_then(|names| names.first());
        let digest = node.and_then(|&node| known(&tree.path_of(node), file.size, file.last_write));
        if let Some(digest) = digest {
            let inode = tree.inode_mut(file.inode);
            inode.streams = inode.streams.with(&StreamKind::Data, digest);
        }
        digest.is_none()
    });
}

/// A file to be hashed, as the scan saw it.
struct FoundFile {
    inode: InodeId,
    /// Which of the streams of the inode it is.
    kind: StreamKind,
    path: PathBuf,
    size: u64,
    last_write: FileTime,
}

impl FoundFile {
    fn content(self) -> Content {
        Content::HostFile { path: self.path, size: self.size, last_write: self.last_write }
    }
}

impl Cost for &FoundFile {
    fn cost(&self) -> u64 {
        self.size.min(BUFFER_BYTES as u64)
    }
}

/// The digests of files, in their order; zeros for empty ones.
fn hash_files(cx: &Context<'_>, files: &[FoundFile]) -> Result<Vec<Sha1Digest>> {
    cx.progress.start(Stage::Hashing, files.iter().map(|file| file.size).sum());
    let budget = Budget::split(cx.memory_bytes(), cx.threads(), BUFFER_BYTES as u64);
    let mut digests = Vec::with_capacity(files.len());
    let new_worker = || {
        let mut buffer = Vec::new();
        move |file: &FoundFile| hash_file(cx, file, &mut buffer)
    };
    map_in_order(cx, &budget, files.iter(), new_worker, |digest| {
        digests.push(digest);
        Ok(())
    })?;
    Ok(digests)
}

fn hash_file(cx: &Context<'_>, file: &FoundFile, buffer: &mut Vec<u8>) -> Result<Sha1Digest> {
    if file.size == 0 {
        return Ok(Sha1Digest::ZERO);
    }
    let content = Content::HostFile { path: file.path.clone(), size: file.size, last_write: file.last_write };
    let Some(source) = content.open()? else { return Ok(Sha1Digest::ZERO) };
    let mut hasher = Sha1Hasher::new();
    let mut offset = 0;
    buffer.resize(BUFFER_BYTES, 0);
    while offset < file.size {
        cx.cancel.check()?;
        let length = buffer.len().min(usize::try_from(file.size - offset).unwrap_or(usize::MAX));
        let piece = &mut buffer[..length];
        source.read_exact_at(piece, offset).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::invalid_input("the file shrank while it was being read").in_file(file.path.display())
            }
            _ => Error::new(ErrorKind::Io, format!("cannot read: {e}")).in_file(file.path.display()),
        })?;
        hasher.update(piece);
        offset += length as u64;
        cx.progress.advance(length as u64);
    }
    Ok(hasher.finish())
}
