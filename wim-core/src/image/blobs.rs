//! How this room reads the bytes behind a digest.
//!
//! `transfer::read` implements it for a WIM, tests for a map. Bulk reading, in file order and on all cores, is not done
//! through here.

use crate::base::{Result, Sha1Digest};

/// Gives single blobs by their digest.
pub trait BlobSource: Send + Sync {
    /// Size in bytes; none when there is no such blob.
    fn size(&self, digest: &Sha1Digest) -> Option<u64>;

    /// The bytes, checked against the digest.
    ///
    /// # Errors
    /// `NotFound` when there is no such blob, `Limit` when it has more than `limit` bytes, else what reading it gives.
    fn read(&self, digest: &Sha1Digest, limit: u64) -> Result<Vec<u8>>;

    /// Hands the bytes to `sink` from first to last, where it can be done without holding all of them, and then without a check of the
    /// digest.
    ///
    /// # Errors
    /// As [`Self::read`], without a limit.
    fn read_pieces(&self, digest: &Sha1Digest, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        sink(&self.read(digest, u64::MAX)?);
        Ok(())
    }
}
