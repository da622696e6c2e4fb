//! What a tree is made of: nodes, which are names, and inodes, which are files.
//!
//! A file with hard links is one inode with several nodes (dentries of one link group on disk, wim-format 9). Both are
//! kept small, since an image may have a million: about 220 bytes a file all told.

use std::num::NonZeroU32;

use crate::base::{SecurityId, Sha1Digest, WimString};
use crate::formats::wim::attributes::is_plain_directory;
use crate::image::edit::Times;

pub use crate::formats::wim::streams::{Stream, StreamKind};

/// A name of a tree: the root, a directory's only one, or one of a file's. Valid in the tree that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    pub(super) const ROOT: Self = Self(NonZeroU32::MIN);

    /// The id of the node at this position; none past the 2^32 that a tree can have.
    pub(super) fn from_index(index: usize) -> Option<Self> {
        u32::try_from(index).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    /// Position in the tree's list; dense from 0, so that a caller may keep a vector beside it.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A file of a tree, whatever its names. Valid in the tree that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(super) u32);

impl InodeId {
    /// The id of the inode at this position, which must be below the tree's [`inode_bound`](super::Tree::inode_bound).
    #[must_use]
    pub fn from_index(index: u32) -> Self {
        Self(index)
    }

    /// Position in the tree's list; dense from 0, so that a caller may keep a vector beside it.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A name in a directory.
#[derive(Clone, Debug)]
pub struct Node {
    /// Long name; empty for the root.
    pub name: WimString,
    /// 8.3 name, or empty.
    pub short_name: WimString,
    /// The directory it is in; none for the root and for a removed node.
    pub parent: Option<NodeId>,
    /// What a directory holds, in NTFS order.
    pub children: Vec<NodeId>,
    /// The file it names.
    pub inode: InodeId,
}

/// The union of a dentry when it is a reparse point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reparse {
    /// Reparse tag, such as 0xA000000C for a symbolic link.
    pub tag: u32,
    /// `ReparseReserved` of the buffer.
    pub reserved: u16,
    /// `rp_flags`; bit 0 says that the target was not fixed up at capture.
    pub flags: u16,
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Inode {
    /// `FILE_ATTRIBUTE_*` bits.
    pub attributes: u32,
    /// Its security descriptor.
    pub security: Option<SecurityId>,
    /// Times.
    pub times: Times,
    /// The field at 0x54 of its dentries, kept as it is.
    pub unknown_54: u32,
    /// Present when `attributes` has REPARSE_POINT.
    pub reparse: Option<Reparse>,
    /// Its streams.
    pub streams: Streams,
    /// Tagged items of its dentries, byte for byte: object id, extended attributes and what later versions add.
    pub tagged_items: Box<[u8]>,
    /// Number of nodes that name it; the tree counts it.
    pub names: u32,
}

impl Inode {
    /// True for a directory that can hold children.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        is_plain_directory(self.attributes)
    }

    /// Digest of the unnamed data; zeros when it is empty, for directories and for encrypted files.
    #[must_use]
    pub fn data(&self) -> Sha1Digest {
        self.streams.get(&StreamKind::Data)
    }
}

/// The streams of a file: reparse data, unnamed data, then named ones in their stored order.
///
/// An empty unnamed stream is not kept, an empty named one is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Streams(Repr);

/// Nearly every file has one unnamed data stream or none, which takes no allocation.
#[derive(Clone, PartialEq, Eq, Default)]
enum Repr {
    #[default]
    None,
    Data(Sha1Digest),
    Several(Box<[Stream]>),
}

/// Most streams that a dentry can count.
const MAX_STREAMS: usize = 0xFFFF - 2;

impl Streams {
    /// One unnamed data stream, or none when `digest` is zero.
    #[must_use]
    pub fn data(digest: Sha1Digest) -> Self {
        if digest.is_zero() { Self::default() } else { Self(Repr::Data(digest)) }
    }

    /// These streams, brought into order; empty unnamed ones are left out, as is what exceeds 65,533.
    #[must_use]
    pub fn from_list(mut list: Vec<Stream>) -> Self {
        for stream in &mut list {
            if stream.digest == Sha1Digest::OF_NOTHING {
                stream.digest = Sha1Digest::ZERO;
            }
        }
        list.retain(|stream| matches!(stream.kind, StreamKind::Named(_)) || !stream.digest.is_zero());
        // Stable, so that named streams stay as they were stored.
        list.sort_by_key(|stream| match stream.kind {
            StreamKind::Efs => 0,
            StreamKind::Reparse => 1,
            StreamKind::Data => 2,
            StreamKind::Named(_) => 3,
        });
        list.truncate(MAX_STREAMS);
        match list.as_slice() {
            [] => Self::default(),
            [Stream { kind: StreamKind::Data, digest }] => Self(Repr::Data(*digest)),
            _ => Self(Repr::Several(list.into())),
        }
    }

    /// Kind and digest of each stream.
    pub fn iter(&self) -> impl Iterator<Item = (&StreamKind, Sha1Digest)> + Clone {
        let (one, several): (_, &[Stream]) = match &self.0 {
            Repr::None => (None, &[]),
            Repr::Data(digest) => (Some((&StreamKind::Data, *digest)), &[]),
            Repr::Several(list) => (None, list),
        };
        one.into_iter().chain(several.iter().map(|stream| (&stream.kind, stream.digest)))
    }

    /// The digest of the stream of this kind; zeros when there is none or it is empty.
    #[must_use]
    pub fn get(&self, kind: &StreamKind) -> Sha1Digest {
        self.iter().find(|(k, _)| *k == kind).map_or(Sha1Digest::ZERO, |(_, digest)| digest)
    }

    /// These streams with the digest of one replaced, added or, for zeros and an unnamed one, removed.
    #[must_use]
    pub fn with(&self, kind: &StreamKind, digest: Sha1Digest) -> Self {
        if self.iter().all(|(k, _)| k == kind) && *kind == StreamKind::Data {
            return Self::data(digest);
        }
        let mut list: Vec<Stream> =
            self.iter().map(|(kind, digest)| Stream { kind: kind.clone(), digest }).collect();
        match list.iter_mut().find(|stream| stream.kind == *kind) {
            Some(stream) => stream.digest = digest,
            None => list.push(Stream { kind: kind.clone(), digest }),
        }
        Self::from_list(list)
    }
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_inodes_stay_small() {
        assert!(size_of::<Node>() <= 64, "{}", size_of::<Node>());
        assert!(size_of::<Inode>() <= 104, "{}", size_of::<Inode>());
    }

    #[test]
    fn streams_have_one_form() {
        let a = Sha1Digest([1; 20]);
        let data = |digest| Stream { kind: StreamKind::Data, digest };
        let named = Stream { kind: StreamKind::Named("n".into()), digest: Sha1Digest::ZERO };
        assert_eq!(Streams::from_list(vec![data(a)]), Streams::data(a));
        assert_eq!(Streams::from_list(vec![data(Sha1Digest::OF_NOTHING)]), Streams::default());
        let both = Streams::from_list(vec![named.clone(), data(a)]);
        assert_eq!(both.iter().map(|(_, digest)| digest).collect::<Vec<_>>(), [a, Sha1Digest::ZERO]);
        assert_eq!(both.get(&StreamKind::Data), a);
        assert_eq!(both.with(&StreamKind::Data, Sha1Digest::ZERO), Streams::from_list(vec![named]));
        assert_eq!(Streams::default().with(&StreamKind::Data, a), Streams::data(a));
        assert_eq!(Streams::data(a).with(&StreamKind::Data, Sha1Digest::ZERO), Streams::default());
    }
}
