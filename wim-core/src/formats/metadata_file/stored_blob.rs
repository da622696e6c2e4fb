//! A blob of a side file, read from its digits when it is asked for.

use std::io;
use std::sync::Arc;

use super::{PIECE_BYTES, PIECE_LINE_BYTES, PIECE_START};
use crate::base::{ReadAt, hex};

/// Where a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobPlace {
    /// Offset of its first line with data.
    pub offset: u64,
    /// Its bytes.
    pub size_bytes: u64,
}

/// The bytes of a blob. All its lines but the last are equally long, so that any part is found at once.
pub struct StoredBlob {
    source: Arc<dyn ReadAt>,
    place: BlobPlace,
}

impl StoredBlob {
    /// The blob at `place` of a side file.
    #[must_use]
    pub fn new(source: Arc<dyn ReadAt>, place: BlobPlace) -> Self {
        Self { source, place }
    }
}

impl ReadAt for StoredBlob {
    fn size(&self) -> u64 {
        self.place.size_bytes
    }

    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.place.size_bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut digits = Vec::new();
        while !buf.is_empty() {
            let (line, start) = (offset / PIECE_BYTES as u64, offset % PIECE_BYTES as u64);
            let length = buf.len().min(PIECE_BYTES - usize::try_from(start).unwrap_or(0));
            let (now, rest) = std::mem::take(&mut buf).split_at_mut(length);
            let in_line = PIECE_START.len() as u64 + 2 * start;
            digits.resize(2 * length, 0);
            self.source
                .read_exact_at(&mut digits, self.place.offset + line * PIECE_LINE_BYTES as u64 + in_line)?;
            let bytes = std::str::from_utf8(&digits).ok().and_then(hex::decode);
            // The digits were seen to be good when the file was read; it was changed since.
            now.copy_from_slice(&bytes.ok_or(io::ErrorKind::InvalidData)?);
            buf = rest;
            offset += length as u64;
        }
        Ok(())
    }
}
