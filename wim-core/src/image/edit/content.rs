//! Where the bytes of a stream are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{Error, FileSource, FileTime, ReadAt, Result, Sha1Digest, read_at};

/// The bytes of one stream, wherever they lie.
#[derive(Clone)]
pub enum Content {
    /// A blob of the WIM that is being read.
    Blob(Sha1Digest),
    /// In memory.
    Bytes(Arc<[u8]>),
    /// A window of an open source, such as a temporary file or a file inside an ISO image.
    Source(Arc<dyn ReadAt>),
    /// A file of the host, to be read when it is written. Size and time are those seen when it was planned; a change in
    /// between is an error.
    HostFile {
        /// Its path on the host.
        path: PathBuf,
        /// Size in bytes when planned.
        size: u64,
        /// Last write when planned.
        last_write: FileTime,
    },
}

impl Content {
    /// Content held in memory.
    #[must_use]
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// Size in bytes; none for a blob, whose size the WIM knows.
    #[must_use]
    pub fn size_bytes(&self) -> Option<u64> {
        match self {
            Self::Blob(_) => None,
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Source(source) => Some(source.size()),
            Self::HostFile { size, .. } => Some(*size),
        }
    }

    /// The bytes as a source; none for a blob.
    ///
    /// # Errors
    /// `InvalidInput` when a host file has changed since it was planned, `Io` when it cannot be opened.
    pub fn open(&self) -> Result<Option<Arc<dyn ReadAt>>> {
        Ok(match self {
            Self::Blob(_) => None,
            Self::Bytes(bytes) => Some(Arc::new(Shared(Arc::clone(bytes)))),
            Self::Source(source) => Some(Arc::clone(source)),
            Self::HostFile { path, size, last_write } => {
                Some(Arc::new(FileSource::open_planned(path, *size, *last_write)?))
            }
        })
    }

    /// The bytes in memory, when they are at most `limit`.
    ///
    /// # Errors
    /// As [`Self::open`]; `Limit` when there are more, `NotFound` for a blob, which only its WIM can read, `Io`.
    pub fn read(&self, limit: u64) -> Result<Arc<[u8]>> {
        if let Self::Bytes(bytes) = self {
            check_limit(bytes.len() as u64, limit)?;
            return Ok(Arc::clone(bytes));
        }
        let source = self.open()?.ok_or_else(|| Error::not_found("a blob is read from its WIM"))?;
        check_limit(source.size(), limit)?;
        read_at::read_shared(&*source, 0, source.size())
    }
}

/// Bytes that several may hold, as a source.
struct Shared(Arc<[u8]>);

impl ReadAt for Shared {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

fn check_limit(size: u64, limit: u64) -> Result<()> {
    if size > limit {
        return Err(Error::limit(format!("{size} bytes, at most {limit} are read into memory")));
    }
    Ok(())
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Bytes(bytes) => write!(f, "{} bytes in memory", bytes.len()),
            Self::Source(source) => write!(f, "{} bytes of a source", source.size()),
            Self::HostFile { path, size, .. } => write!(f, "{} ({size} bytes)", path.display()),
        }
    }
}
