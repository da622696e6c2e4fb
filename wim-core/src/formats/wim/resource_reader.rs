//! Reads one whole resource, sequentially; for metadata and other things small enough for memory.
//!
//! Bulk reading of file data on many threads is in `transfer::read`.

use super::chunk_codec::ChunkDecoder;
use super::chunk_table::ChunkTable;
use super::file::WimFile;
use super::lookup_table::BlobEntry;
use super::solid::SolidPlace;
use crate::base::read_at::read_exact_at;
use crate::base::{Error, ErrorKind, Place, Result, Sha1Digest};

/// Reads the blob of `entry` of `wim`, at most `limit` bytes, and checks its digest.
///
/// # Errors
/// `Limit` when it is larger; `Format` for damaged structures; `Corrupt` when the digest differs; `Io`.
pub fn read_blob(
    wim: &WimFile,
    entry: &BlobEntry,
    decoder: &mut ChunkDecoder,
    limit: u64,
) -> Result<Vec<u8>> {
    let bytes = read_unchecked(wim, entry, decoder, limit)?;
    let actual = Sha1Digest::of(&bytes);
    if actual != entry.digest {
        return Err(digest_differs(entry, actual));
    }
    Ok(bytes)
}

/// Reads at most `length` bytes from the start of the blob of `entry`, fewer when it or its first chunk ends before; for
/// looking at what a blob is, since its digest is not checked.
///
/// # Errors
/// `Format` for damaged structures, `Io`.
pub fn read_start(
    wim: &WimFile,
    entry: &BlobEntry,
    decoder: &mut ChunkDecoder,
    length: usize,
) -> Result<Vec<u8>> {
    wim.check(entry)?;
    let (header, source) = (&entry.header, &**wim.source());
    let length = usize::try_from(header.size).map_or(length, |size| size.min(length));
    if header.is_solid() {
        return read_solid(wim, entry, length);
    }
    let mut out = vec![0; length];
    if !header.is_compressed() {
        read_exact_at(source, &mut out, header.offset)?;
        return Ok(out);
    }
    let chunk_size = wim.format().chunk_size();
    let table =
        ChunkTable::read(source, header, wim.format()).map_err(|e| e.or_at(Place::Blob(entry.digest)))?;
    let chunk_bytes = u64::from(chunk_size.bytes()).min(header.size);
    out.resize(usize::try_from(chunk_bytes).unwrap_or(0), 0);
    let (offset, stored_size) = table.span(0, 1);
    let mut stored = vec![0; usize::try_from(stored_size).unwrap_or(0).min(out.len())];
    read_exact_at(source, &mut stored, offset)?;
    decoder.decode(&stored, &mut out).map_err(|e| chunk_fails(entry, 0, offset, e))?;
    out.truncate(length);
    Ok(out)
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
    wim: &WimFile,
    entry: &BlobEntry,
    decoder: &mut ChunkDecoder,
    limit: u64,
) -> Result<Vec<u8>> {
    wim.check(entry)?;
    let (header, source, format) = (&entry.header, &**wim.source(), wim.format());
    let length = usize::try_from(header.size).ok().filter(|_| header.size <= limit).ok_or_else(|| {
        Error::limit(format!("{} bytes are more than the {limit} allowed", header.size))
            .at(Place::Blob(entry.digest))
    })?;
    if header.is_solid() {
        return read_solid(wim, entry, length);
    }
    let mut out = vec![0; length];
    if !header.is_compressed() {
        read_exact_at(source, &mut out, header.offset)?;
        return Ok(out);
    }
    let table = ChunkTable::read(source, header, format).map_err(|e| e.or_at(Place::Blob(entry.digest)))?;
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

/// Decodes the chunks of a solid resource that a blob of `length` bytes lies in, for that blob alone.
fn read_solid(wim: &WimFile, entry: &BlobEntry, length: usize) -> Result<Vec<u8>> {
    let SolidPlace { resource, offset } = wim.solid_place(entry)?;
    let mut decoder = ChunkDecoder::new(resource.format());
    let chunk_bytes = u64::from(resource.format().chunk_size().bytes());
    let (mut out, mut stored, mut chunk) = (Vec::with_capacity(length), Vec::new(), Vec::new());
    while out.len() < length {
        let at = offset + out.len() as u64;
        let number = at / chunk_bytes;
        let (place, stored_size) = resource.span(number);
        // Both sizes have been checked against the chunk size.
        stored.resize(usize::try_from(stored_size).unwrap_or(0), 0);
        chunk.resize(usize::try_from(resource.uncompressed_size(number)).unwrap_or(0), 0);
        read_exact_at(&**wim.source(), &mut stored, place)?;
        decoder.decode(&stored, &mut chunk).map_err(|e| chunk_fails(entry, number, place, e))?;
        let from = usize::try_from(at % chunk_bytes).unwrap_or(usize::MAX);
        let part = chunk.get(from..).unwrap_or(&[]);
        let part = part.get(..part.len().min(length - out.len())).unwrap_or(&[]);
        if part.is_empty() {
            return Err(chunk_fails(entry, number, place, lz_kit::DecodeError::Truncated));
        }
        out.extend_from_slice(part);
    }
    Ok(out)
}
