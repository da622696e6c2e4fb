//! Where the bytes of a stream are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::{FileTime, ReadAt, Sha1Digest};

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
