//! Reads one whole resource, sequentially; for metadata and other things small enough for memory.
//!
//! Bulk reading of file data on many threads is in `transfer::read`.

use super::chunk_codec::{ChunkDecoder, ChunkFormat};
use super::chunk_table::ChunkTable;
use super::lookup_table::BlobEntry;
use crate::base::read_at::read_exact_at;
use crate::base::{Error, ErrorKind, Place, ReadAt, Result, Sha1Digest};

/// Reads the blob of `entry`, at most `limit` bytes, and checks its digest.
///
/// # Errors
/// `Limit` when it is larger; `Format` for damaged structures; `Corrupt` when the digest differs; `Io`.
pub fn read_blob(
    source: &dyn ReadAt,
    entry: &BlobEntry,
    format: ChunkFormat,
    decoder: &mut ChunkDecoder,
    limit: u64,
) -> Result<Vec<u8>> {
    let bytes = read_unchecked(source, entry, format, decoder, limit)?;
    let actual = Sha1Digest::of(&bytes);
    if actual != entry.digest {
        return Err(digest_differs(entry, actual));
    }
    Ok(bytes)
}

/// The error for a blob whose bytes have another digest than its name.
#[must_use]
pub fn digest_differs(entry: &BlobEntry, actual: Sha1Digest) -> Error {
    Error::corrupt(format!("the data has SHA-1 {actual}; the file is damaged"))
        .at(Place::Blob(entry.digest))
        .remedy("get the file again from its source")
}

/// The error for a chunk that does not decode; `offset` is that of its stored bytes.
#[must_use]
pub fn chunk_fails(entry: &BlobEntry, chunk: u64, offset: u64, error: lz_kit::DecodeError) -> Error {
    Error::new(ErrorKind::Format, format!("chunk {chunk} at {offset:#x} cannot be decompressed: {error}"))
        .at(Place::Blob(entry.digest))
        .remedy("the file is damaged; get it again from its source")
}

fn read_unchecked(
    source: &dyn ReadAt,
    entry: &BlobEntry,
    format: ChunkFormat,
    decoder: &mut ChunkDecoder,
    limit: u64,
) -> Result<Vec<u8>> {
    entry.check(source.size(), format)?;
    let header = &entry.header;
    let length = usize::try_from(header.size).ok().filter(|_| header.size <= limit).ok_or_else(|| {
        Error::limit(format!("{} bytes are more than the {limit} allowed", header.size))
            .at(Place::Blob(entry.digest))
    })?;
    let mut out = vec![0; length];
    if !header.is_compressed() {
        read_exact_at(source, &mut out, header.offset)?;
        return Ok(out);
    }
    let table = ChunkTable::read(source, header, format.chunk_size())
        .map_err(|e| e.or_at(Place::Blob(entry.digest)))?;
    let mut stored = Vec::new();
    for (number, chunk) in (0u64..).zip(out.chunks_mut(format.chunk_size().bytes() as usize)) {
        let (offset, stored_size) = table.span(number, number + 1);
        // The chunk table has checked that a chunk is at most as large as its uncompressed size.
        stored.resize(usize::try_from(stored_size).unwrap_or(0).min(chunk.len()), 0);
        read_exact_at(source, &mut stored, offset)?;
        decoder.decode(&stored, chunk).map_err(|e| chunk_fails(entry, number, offset, e))?;
    }
    Ok(out)
}
