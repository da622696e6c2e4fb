//! Parts of blobs, in any order and from any thread: what a mounted image is read by.
//!
//! A chunk is decoded once and kept while there is room, since those who read a file ask for it piece by piece. Digests are
//! not checked here: a part says nothing of the whole. Whole blobs are read by [`read_blobs`](super::read_blobs).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::input::blob_not_found;
use crate::base::read_at::read_exact_at;
use crate::base::{Error, Place, Result, Sha1Digest};
use crate::formats::wim::chunk_table::ChunkTable;
use crate::formats::wim::resource_reader::chunk_fails;
use crate::formats::wim::{BlobEntry, ChunkDecoder, ChunkFormat, WimFile};

/// Chunk tables that are kept; a table is large only for a large blob.
const MAX_TABLES: usize = 256;
/// From this size on a chunk is decoded by one thread at a time, so that two readers of a solid resource do not both do it.
const LARGE_CHUNK_BYTES: u64 = 1 << 20;

/// Reads parts of the blobs of several WIM files.
pub struct RandomReader {
    wims: Vec<Arc<WimFile>>,
    state: Mutex<State>,
    large: Mutex<()>,
    budget_bytes: u64,
}

#[derive(Default)]
struct State {
    chunks: HashMap<ChunkKey, KeptChunk>,
    chunk_bytes: u64,
    uses: u64,
    tables: HashMap<Sha1Digest, Arc<ChunkTable>>,
    decoders: Vec<(ChunkFormat, ChunkDecoder)>,
}

/// A chunk by the number of its file and the offset of its stored bytes there.
type ChunkKey = (usize, u64);

struct KeptChunk {
    bytes: Arc<[u8]>,
    last_use: u64,
}

/// A chunk to decode.
struct Wanted {
    wim: usize,
    format: ChunkFormat,
    number: u64,
    offset: u64,
    stored_bytes: u64,
    bytes: u64,
}

impl RandomReader {
    /// A reader of the blobs of `wims` that keeps up to `budget_bytes` of decoded chunks, one at least.
    #[must_use]
    pub fn new(wims: Vec<Arc<WimFile>>, budget_bytes: u64) -> Self {
        Self { wims, state: Mutex::default(), large: Mutex::default(), budget_bytes }
    }

    /// Bytes of the blob; none when no file has it.
    #[must_use]
    pub fn size(&self, digest: &Sha1Digest) -> Option<u64> {
        self.find(digest).map(|(_, entry)| entry.header.size)
    }

    /// Up to `length` bytes of a blob from `start` on; fewer only at its end.
    ///
    /// # Errors
    /// `NotFound` for a blob that no file has, `Format` for damaged structures and chunks, `Io`.
    pub fn read(&self, digest: &Sha1Digest, start: u64, length: usize) -> Result<Vec<u8>> {
        let (number, entry) = self.find(digest).ok_or_else(|| blob_not_found(digest))?;
        let wim = &self.wims[number];
        self.read_entry(number, entry, start, length).map_err(|e| e.in_file(wim.name()))
    }

    fn find(&self, digest: &Sha1Digest) -> Option<(usize, BlobEntry)> {
        self.wims.iter().enumerate().find_map(|(number, wim)| Some((number, *wim.table().find(digest)?)))
    }

    fn read_entry(&self, wim: usize, entry: BlobEntry, start: u64, length: usize) -> Result<Vec<u8>> {
        let file = &self.wims[wim];
        file.check(&entry)?;
        let left = entry.header.size.saturating_sub(start);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(length);
        if length == 0 {
            return Ok(Vec::new());
        }
        if !entry.header.is_solid() && !entry.header.is_compressed() {
            let mut out = vec![0; length];
            read_exact_at(&**file.source(), &mut out, entry.header.offset + start)?;
            return Ok(out);
        }
        let mut out = Vec::with_capacity(length);
        while out.len() < length {
            let (wanted, skipped) = self.chunk_at(wim, &entry, start + out.len() as u64)?;
            let chunk = self.chunk(&entry, &wanted)?;
            let from = usize::try_from(skipped).unwrap_or(usize::MAX);
            let part = chunk.get(from..).unwrap_or(&[]);
            if part.is_empty() {
                return Err(chunk_fails(
                    &entry,
                    wanted.number,
                    wanted.offset,
                    lz_kit::DecodeError::Truncated,
                ));
            }
            out.extend_from_slice(&part[..part.len().min(length - out.len())]);
        }
        Ok(out)
    }

    /// The chunk that holds the byte at `at` of a blob, and how many bytes of the chunk come before it.
    fn chunk_at(&self, wim: usize, entry: &BlobEntry, at: u64) -> Result<(Wanted, u64)> {
        let file = &self.wims[wim];
        if entry.header.is_solid() {
            let place = file.solid_place(entry)?;
            let format = place.resource.format();
            let (number, skipped) = position(format, place.offset + at);
            let (offset, stored_bytes) = place.resource.span(number);
            let bytes = place.resource.uncompressed_size(number);
            return Ok((Wanted { wim, format, number, offset, stored_bytes, bytes }, skipped));
        }
        let table = self.table(file, entry)?;
        let (number, skipped) = position(file.format(), at);
        let (offset, stored_bytes) = table.span(number, number + 1);
        let bytes = table.uncompressed_size(number);
        Ok((Wanted { wim, format: file.format(), number, offset, stored_bytes, bytes }, skipped))
    }

    fn table(&self, wim: &WimFile, entry: &BlobEntry) -> Result<Arc<ChunkTable>> {
        if let Some(table) = self.state().tables.get(&entry.digest) {
            return Ok(Arc::clone(table));
        }
        let table = ChunkTable::read(&**wim.source(), &entry.header, wim.format())
            .map_err(|e| e.or_at(Place::Blob(entry.digest)))?;
        let table = Arc::new(table);
        let mut state = self.state();
        if state.tables.len() >= MAX_TABLES {
            state.tables.clear();
        }
        state.tables.insert(entry.digest, Arc::clone(&table));
        Ok(table)
    }

    fn chunk(&self, entry: &BlobEntry, wanted: &Wanted) -> Result<Arc<[u8]>> {
        if let Some(bytes) = self.state().kept(wanted) {
            return Ok(bytes);
        }
        let _alone = (wanted.bytes >= LARGE_CHUNK_BYTES)
            .then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(bytes) = self.state().kept(wanted) {
            return Ok(bytes);
        }
        let (mut stored, mut bytes) = (allocate(wanted.stored_bytes)?, allocate(wanted.bytes)?);
        read_exact_at(&**self.wims[wanted.wim].source(), &mut stored, wanted.offset)?;
        let idle = self.state().idle_decoder(wanted.format);
        let mut decoder = idle.unwrap_or_else(|| ChunkDecoder::new(wanted.format));
        let decoded = decoder.decode(&stored, &mut bytes);
        let mut state = self.state();
        state.decoders.push((wanted.format, decoder));
        decoded.map_err(|e| chunk_fails(entry, wanted.number, wanted.offset, e))?;
        let bytes: Arc<[u8]> = bytes.into();
        state.keep(wanted, &bytes, self.budget_bytes);
        Ok(bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn kept(&mut self, wanted: &Wanted) -> Option<Arc<[u8]>> {
        self.uses += 1;
        let kept = self.chunks.get_mut(&(wanted.wim, wanted.offset))?;
        kept.last_use = self.uses;
        Some(Arc::clone(&kept.bytes))
    }

    fn idle_decoder(&mut self, format: ChunkFormat) -> Option<ChunkDecoder> {
        let position = self.decoders.iter().position(|(of, _)| *of == format)?;
        Some(self.decoders.swap_remove(position).1)
    }

    /// Keeps a chunk; the ones used longest ago make room for it.
    fn keep(&mut self, wanted: &Wanted, bytes: &Arc<[u8]>, budget_bytes: u64) {
        self.chunk_bytes += bytes.len() as u64;
        let kept = KeptChunk { bytes: Arc::clone(bytes), last_use: self.uses };
        if let Some(before) = self.chunks.insert((wanted.wim, wanted.offset), kept) {
            self.chunk_bytes -= before.bytes.len() as u64;
        }
        while self.chunk_bytes > budget_bytes && self.chunks.len() > 1 {
            let oldest = self.chunks.iter().min_by_key(|(_, kept)| kept.last_use).map(|(key, _)| *key);
            let Some(gone) = oldest.and_then(|key| self.chunks.remove(&key)) else { return };
            self.chunk_bytes -= gone.bytes.len() as u64;
        }
    }
}

/// Number of the chunk that holds the byte at `at`, and the bytes before it there.
fn position(format: ChunkFormat, at: u64) -> (u64, u64) {
    let chunk = u64::from(format.chunk_size().bytes());
    (at / chunk, at % chunk)
}

/// Room for a chunk, whose size has been checked against the chunk size.
fn allocate(bytes: u64) -> Result<Vec<u8>> {
    let too_large = || Error::limit(format!("a chunk of {bytes} bytes does not fit into memory"));
    Ok(vec![0; usize::try_from(bytes).map_err(|_| too_large())?])
}
