//! Reads a damaged blob as far as it goes: chunks that cannot be decoded become zeros, and a wrong digest is only told.
//!
//! One thread, one chunk at a time: damage is rare. A blob whose chunk table lies has no places to read from, so that
//! nothing of it can be had.

use crate::base::read_at::read_exact_at;
use crate::base::{Cancel, Error, Place, Result, Sha1Hasher};
use crate::formats::wim::chunk_table::ChunkTable;
use crate::formats::wim::resource_reader::{chunk_fails, digest_differs};
use crate::formats::wim::{BlobEntry, ChunkDecoder, WimFile};

/// Raw blobs are read in pieces of this many bytes.
const RAW_PIECE_BYTES: u64 = 256 << 10;

/// Hands all bytes of a blob of `wim` to `sink` with their offsets; gives the first damage, none when it is whole.
///
/// # Errors
/// What the sink returns; `Format` when nothing of the blob can be read; `Cancelled`.
pub fn recover_blob(
    cancel: &Cancel,
    wim: &WimFile,
    entry: &BlobEntry,
    sink: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<Option<Error>> {
    wim.check(entry).map_err(|e| e.in_file(wim.name()))?;
    let mut damage: Option<Error> = None;
    let mut note = |done: Result<()>, out: &mut [u8]| {
        if let Err(error) = done {
            out.fill(0);
            damage.get_or_insert(error.or_at(Place::Blob(entry.digest)).in_file(wim.name()));
        }
    };
    let mut hasher = Sha1Hasher::new();
    let mut source = ChunkSource::open(wim, entry)?;
    let (mut done, mut out) = (0, Vec::new());
    while done < entry.header.size {
        cancel.check()?;
        // A chunk's size is bounded by the format, and a raw piece's above.
        out.resize(usize::try_from(source.piece_bytes(done)).unwrap_or(usize::MAX), 0);
        let read = source.read(done, &mut out);
        note(read, &mut out);
        hasher.update(&out);
        sink(done, &out)?;
        done += out.len() as u64;
    }
    let actual = hasher.finish();
    if actual != entry.digest {
        note(Err(digest_differs(entry, actual)), &mut []);
    }
    Ok(damage)
}

/// The chunks of a blob, wherever they lie.
struct ChunkSource<'w> {
    wim: &'w WimFile,
    entry: BlobEntry,
    kind: Kind,
    decoder: ChunkDecoder,
    stored: Vec<u8>,
    chunk: Vec<u8>,
}

enum Kind {
    Raw,
    Chunks(ChunkTable),
    Solid(crate::formats::wim::SolidPlace),
}

impl<'w> ChunkSource<'w> {
    fn open(wim: &'w WimFile, entry: &BlobEntry) -> Result<Self> {
        let (kind, format) = if entry.header.is_solid() {
            let place = wim.solid_place(entry)?;
            let format = place.resource.format();
            (Kind::Solid(place), format)
        } else if entry.header.is_compressed() {
            let table = ChunkTable::read(&**wim.source(), &entry.header, wim.format());
            (Kind::Chunks(table.map_err(|e| e.in_file(wim.name()))?), wim.format())
        } else {
            (Kind::Raw, wim.format())
        };
        let (stored, chunk) = (Vec::new(), Vec::new());
        Ok(Self { wim, entry: *entry, kind, decoder: ChunkDecoder::new(format), stored, chunk })
    }

    /// Bytes from `offset` of the blob to the end of the chunk that it lies in.
    fn piece_bytes(&self, offset: u64) -> u64 {
        let chunk_bytes = |format: crate::formats::wim::ChunkFormat| u64::from(format.chunk_size().bytes());
        let to_bound = match &self.kind {
            Kind::Raw => RAW_PIECE_BYTES,
            Kind::Chunks(_) => chunk_bytes(self.wim.format()),
            Kind::Solid(place) => {
                let bytes = chunk_bytes(place.resource.format());
                bytes - (place.offset + offset) % bytes
            }
        };
        to_bound.min(self.entry.header.size - offset)
    }

    fn read(&mut self, offset: u64, out: &mut [u8]) -> Result<()> {
        let source = &**self.wim.source();
        match &self.kind {
            Kind::Raw => read_exact_at(source, out, self.entry.header.offset + offset),
            Kind::Chunks(table) => {
                let number = offset / u64::from(self.wim.format().chunk_size().bytes());
                let (at, length) = table.span(number, number + 1);
                self.stored.resize(usize::try_from(length).unwrap_or(0).min(out.len()), 0);
                read_exact_at(source, &mut self.stored, at)?;
                let decoded = self.decoder.decode(&self.stored, out);
                decoded.map_err(|e| chunk_fails(&self.entry, number, at, e))
            }
            Kind::Solid(place) => {
                let bytes = u64::from(place.resource.format().chunk_size().bytes());
                let number = (place.offset + offset) / bytes;
                let (at, length) = place.resource.span(number);
                let size = place.resource.uncompressed_size(number);
                // Both sizes have been checked against the chunk size.
                self.stored.resize(usize::try_from(length).unwrap_or(0), 0);
                self.chunk.resize(usize::try_from(size).unwrap_or(0), 0);
                read_exact_at(source, &mut self.stored, at)?;
                let decoded = self.decoder.decode(&self.stored, &mut self.chunk);
                decoded.map_err(|e| chunk_fails(&self.entry, number, at, e))?;
                let from = usize::try_from((place.offset + offset) % bytes).unwrap_or(usize::MAX);
                let part = self.chunk.get(from..).and_then(|rest| rest.get(..out.len()));
                let part =
                    part.ok_or_else(|| chunk_fails(&self.entry, number, at, lz_kit::DecodeError::Truncated))?;
                out.copy_from_slice(part);
                Ok(())
            }
        }
    }
}
