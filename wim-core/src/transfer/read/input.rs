//! What blobs are read from.

use std::path::Path;
use std::sync::Arc;

use crate::base::{Error, FileTime, ReadAt, Reason, Result, Sha1Digest};
use crate::formats::wim::{BlobEntry, ChunkFormat, SolidPlace, WimFile};
use crate::image::edit::Content;

/// One blob to read: where it is, how large it must be, what it must hash to.
#[derive(Clone)]
pub struct BlobInput<'w> {
    /// Where its bytes are.
    pub origin: Origin<'w>,
    /// Uncompressed bytes.
    pub size: u64,
    /// Its name.
    pub digest: Sha1Digest,
}

/// Where the bytes of a blob are.
#[derive(Clone)]
pub enum Origin<'w> {
    /// A resource of a WIM file.
    Resource(&'w WimFile, BlobEntry),
    /// An open source that holds just the blob.
    Source(Arc<dyn ReadAt>),
    /// A host file, opened when it is read; size and time must still be as they were seen.
    HostFile(&'w Path, FileTime),
}

impl<'w> BlobInput<'w> {
    /// A resource of a WIM file.
    #[must_use]
    pub fn resource(wim: &'w WimFile, entry: BlobEntry) -> Self {
        Self { origin: Origin::Resource(wim, entry), size: entry.header.size, digest: entry.digest }
    }

    /// New content with the digest it was planned with; a [`Content::Blob`] is looked up in `wims`.
    ///
    /// # Errors
    /// `NotFound` for a blob that none of them has.
    pub fn content(content: &'w Content, digest: Sha1Digest, wims: &[&'w WimFile]) -> Result<Self> {
        let (origin, size) = match content {
            Content::Blob(name) => {
                let found = wims.iter().find_map(|wim| Some((*wim, *wim.table().find(name)?)));
                let (wim, entry) = found.ok_or_else(|| blob_not_found(name))?;
                return Ok(Self::resource(wim, entry));
            }
            Content::Bytes(bytes) => (Origin::Source(Arc::new(Arc::clone(bytes))), bytes.len() as u64),
            Content::Source(source) => (Origin::Source(Arc::clone(source)), source.size()),
            Content::HostFile { path, size, last_write } => (Origin::HostFile(path, *last_write), *size),
        };
        Ok(Self { origin, size, digest })
    }

    /// Checks what the lookup table says of a resource.
    pub(super) fn check(&self) -> Result<()> {
        match &self.origin {
            Origin::Resource(wim, entry) => wim.check(entry),
            Origin::Source(_) | Origin::HostFile(..) => Ok(()),
        }
    }

    /// Whether it lies in a solid resource.
    pub(crate) fn is_solid(&self) -> bool {
        matches!(&self.origin, Origin::Resource(_, entry) if entry.header.is_solid())
    }

    /// Where it lies in a solid resource; none for a lying entry, and for other blobs.
    pub(super) fn solid_place(&self) -> Option<SolidPlace> {
        match &self.origin {
            Origin::Resource(wim, entry) if entry.header.is_solid() => wim.solid_place(entry).ok(),
            _ => None,
        }
    }

    /// How it is compressed; none when it is stored as it is.
    pub(super) fn format(&self) -> Option<ChunkFormat> {
        match &self.origin {
            Origin::Resource(wim, entry) if entry.header.is_compressed() => Some(wim.format()),
            _ => Some(self.solid_place()?.resource.format()),
        }
    }

    /// Whether both lie in the same WIM.
    pub(super) fn is_in_file_of(&self, other: &Self) -> bool {
        match (&self.origin, &other.origin) {
            (Origin::Resource(a, _), Origin::Resource(b, _)) => std::ptr::eq(*a, *b),
            _ => false,
        }
    }

    /// Bytes that must be read to get it.
    pub(super) fn stored_size(&self) -> u64 {
        match &self.origin {
            Origin::Resource(_, entry) => entry.header.stored_size,
            Origin::Source(_) | Origin::HostFile(..) => self.size,
        }
    }

    /// What its errors should name.
    pub(super) fn blame(&self, error: Error) -> Error {
        match &self.origin {
            Origin::Resource(wim, _) => error.in_file(wim.name()),
            Origin::HostFile(path, _) => error.in_file(path.display()),
            Origin::Source(_) => error,
        }
    }
}

/// The error for a digest that no file at hand has.
#[must_use]
pub fn blob_not_found(digest: &Sha1Digest) -> Error {
    Error::not_found("the blob is not in the file")
        .because(Reason::BlobMissing)
        .at(crate::base::Place::Blob(*digest))
        .remedy(
            "the file may be damaged, or a delta: name the files that it needs with --ref, or, where a verb has no such \
             option, make it whole first: wim export FILE all WHOLE.wim --ref=BASE.wim",
        )
}
