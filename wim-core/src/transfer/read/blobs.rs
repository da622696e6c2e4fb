//! Single blobs of a WIM, read into memory.

use std::sync::{Mutex, PoisonError};

use super::input::blob_not_found;
use super::random::RandomReader;
use crate::base::{Result, Sha1Digest};
use crate::formats::wim::resource_reader::read_blob;
use crate::formats::wim::{ChunkDecoder, WimFile};
use crate::image::BlobSource;

/// The blobs of one WIM by digest; decoders are kept between reads.
pub struct WimBlobs<'w> {
    wim: &'w WimFile,
    decoders: Mutex<Vec<ChunkDecoder>>,
}

impl<'w> WimBlobs<'w> {
    /// The blobs of `wim`.
    #[must_use]
    pub fn new(wim: &'w WimFile) -> Self {
        Self { wim, decoders: Mutex::default() }
    }
}

impl BlobSource for WimBlobs<'_> {
    fn size(&self, digest: &Sha1Digest) -> Option<u64> {
        self.wim.table().find(digest).map(|entry| entry.header.size)
    }

    fn read(&self, digest: &Sha1Digest, limit: u64) -> Result<Vec<u8>> {
        let entry =
            self.wim.table().find(digest).ok_or_else(|| blob_not_found(digest).in_file(self.wim.name()))?;
        let idle = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = match idle {
            Some(decoder) => decoder,
            None => ChunkDecoder::new(self.wim.format()),
        };
        let read = read_blob(self.wim, entry, &mut decoder, limit);
        self.decoders.lock().unwrap_or_else(PoisonError::into_inner).push(decoder);
        read.map_err(|e| e.in_file(self.wim.name()))
    }

    fn read_pieces(&self, digest: &Sha1Digest, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        const PIECE_BYTES: usize = 1 << 20;
        let reader = RandomReader::new(vec![self.wim], PIECE_BYTES as u64);
        let mut start = 0;
        loop {
            let piece = reader.read(digest, start, PIECE_BYTES)?;
            if piece.is_empty() {
                return Ok(());
            }
            sink(&piece);
            start += piece.len() as u64;
        }
    }
}

/// The blobs of several WIMs that belong together; the first that has one gives it.
pub struct SetBlobs<'w>(Vec<WimBlobs<'w>>);

impl<'w> SetBlobs<'w> {
    /// The blobs of `wims`.
    #[must_use]
    pub fn new(wims: &[&'w WimFile]) -> Self {
        Self(wims.iter().map(|wim| WimBlobs::new(wim)).collect())
    }

    fn holder(&self, digest: &Sha1Digest) -> Result<&WimBlobs<'w>> {
        let holder = self.0.iter().find(|blobs| blobs.wim.table().find(digest).is_some());
        holder.ok_or_else(|| blob_not_found(digest))
    }
}

impl BlobSource for SetBlobs<'_> {
    fn size(&self, digest: &Sha1Digest) -> Option<u64> {
        self.0.iter().find_map(|blobs| blobs.size(digest))
    }

    fn read(&self, digest: &Sha1Digest, limit: u64) -> Result<Vec<u8>> {
        self.holder(digest)?.read(digest, limit)
    }

    fn read_pieces(&self, digest: &Sha1Digest, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.holder(digest)?.read_pieces(digest, sink)
    }
}
