//! Reads, decodes and hashes one item of the plan.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::input::{BlobInput, Origin};
use super::plan::{Access, LargeBlob, SolidChunk, SolidCut, Work, gap_between};
use crate::base::pipeline::{BufferPool, PooledBuffer};
use crate::base::read_at::read_exact_at;
use crate::base::{Cancel, Error, ErrorKind, FileSource, Place, Result, Sha1Digest};
use crate::formats::wim::chunk_table::ChunkTable;
use crate::formats::wim::resource_reader::{chunk_fails, digest_differs};
use crate::formats::wim::{BlobEntry, ChunkDecoder, ChunkFormat, ResourceHeader, WimFile};

/// A piece of a blob, decoded; the last piece of a blob carries an error when its digest differs.
pub(crate) struct Piece {
    pub(crate) position: usize,
    /// Offset of the piece in the blob.
    pub(crate) start: u64,
    pub(crate) bytes: Result<PieceBytes>,
    pub(crate) is_last: bool,
    /// Digest of a blob in several pieces, to be checked when the sink has come to the last one.
    pub(crate) chain: Option<Arc<LargeBlob>>,
}

/// Bytes in a buffer that goes back to its pool.
#[derive(Clone)]
pub(crate) struct PieceBytes {
    buffer: Arc<PooledBuffer>,
    range: Range<usize>,
}

impl PieceBytes {
    pub(super) fn new(buffer: Arc<PooledBuffer>, range: Range<usize>) -> Self {
        Self { buffer, range }
    }
}

impl AsRef<[u8]> for PieceBytes {
    fn as_ref(&self) -> &[u8] {
        &(*self.buffer).as_ref()[self.range.clone()]
    }
}

/// One worker's codecs and scratch.
pub(crate) struct BlobWorker<'i, 'w> {
    inputs: &'i [BlobInput<'w>],
    decoders: HashMap<ChunkFormat, ChunkDecoder>,
    stored: Vec<u8>,
    pool: BufferPool,
    /// Asked inside long chunks too.
    cancel: &'i Cancel,
}

impl<'i, 'w> BlobWorker<'i, 'w> {
    pub(crate) fn new(inputs: &'i [BlobInput<'w>], pool: BufferPool, cancel: &'i Cancel) -> Self {
        Self { inputs, decoders: HashMap::new(), stored: Vec::new(), pool, cancel }
    }

    /// The pieces of one item, in order. What is wrong with one blob is an error in its piece, not of the item.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn run(&mut self, work: Work) -> Result<Vec<Piece>> {
        let pieces = match work {
            Work::Group { positions, uncompressed, .. } => self.group(&positions, uncompressed),
            Work::Part { position, large, number, start, length } => {
                vec![self.part(position, large, number, start, length)]
            }
            Work::Solid(chunk) => self.solid_chunk(chunk),
            Work::Failed { position, error } => {
                let error = error.unwrap_or_else(|| Error::new(ErrorKind::Io, "cannot be opened"));
                let bytes = Err(self.inputs[position].blame(error));
                vec![Piece { position, start: 0, bytes, is_last: true, chain: None }]
            }
        };
        // What a decoder that was told to stop has left is no damage to report.
        self.cancel.check()?;
        Ok(pieces)
    }

    fn group(&mut self, positions: &[usize], uncompressed: u64) -> Vec<Piece> {
        // The plan keeps a group within a batch, which is at most a few megabytes.
        let mut buffer = self.pool.take(usize::try_from(uncompressed).unwrap_or(usize::MAX));
        let (mut done, mut filled) = (Vec::with_capacity(positions.len()), 0);
        for run in close_runs(self.inputs, positions) {
            let window = self.read_window(run);
            for &position in run {
                let input = &self.inputs[position];
                let range = filled..filled + usize::try_from(input.size).unwrap_or(0);
                filled = range.end;
                let result = self.whole(input, &window, &mut buffer.as_mut()[range.clone()]);
                done.push((position, range, result));
            }
            self.give_back(window);
        }
        self.check_digests(buffer.as_ref(), &mut done);
        let buffer = Arc::new(buffer);
        let piece = |(position, range, result): (usize, Range<usize>, Result<()>)| Piece {
            position,
            start: 0,
            bytes: result
                .map(|()| PieceBytes { buffer: Arc::clone(&buffer), range })
                .map_err(|e| self.inputs[position].blame(e)),
            is_last: true,
            chain: None,
        };
        done.into_iter().map(piece).collect()
    }

    /// Checks the digests of all blobs that lie in `bytes`, several at a time.
    fn check_digests(&self, bytes: &[u8], done: &mut [(usize, Range<usize>, Result<()>)]) {
        let read = done.iter().filter(|(.., result)| result.is_ok());
        let blobs: Vec<&[u8]> = read.map(|(_, range, _)| &bytes[range.clone()]).collect();
        let mut digests = Sha1Digest::of_each(&blobs).into_iter();
        for (position, _, result) in done.iter_mut().filter(|(.., result)| result.is_ok()) {
            if let Some(digest) = digests.next() {
                *result = check_digest(&self.inputs[*position], digest);
            }
        }
    }

    /// Reads the stored bytes of resources that lie close together in one go.
    fn read_window(&mut self, run: &[usize]) -> Window {
        let mut window = Window { bytes: std::mem::take(&mut self.stored), length: 0, offset: 0 };
        let bounds =
            run.first().zip(run.last()).map(|(&first, &last)| (&self.inputs[first], &self.inputs[last]));
        let Some((BlobInput { origin: Origin::Resource(wim, first), .. }, last)) = bounds else {
            return window;
        };
        let Origin::Resource(_, last) = &last.origin else { return window };
        window.offset = first.header.offset;
        let length = last.header.end().unwrap_or(0).saturating_sub(window.offset);
        let length = usize::try_from(length).unwrap_or(0);
        // Entries may lie about their place; each is checked by itself before it is used, so a window that cannot be
        // read is simply empty, and `whole` reads each by itself, which tells which of them fails and why.
        if last.header.end().is_some_and(|end| end <= wim.source().size()) {
            if window.bytes.len() < length {
                window.bytes.resize(length, 0);
            }
            if wim.source().read_exact_at(&mut window.bytes[..length], window.offset).is_ok() {
                window.length = length;
            }
        }
        window
    }

    fn give_back(&mut self, window: Window) {
        self.stored = window.bytes;
    }

    /// Fills `out` with a whole small blob; its digest is yet to be checked.
    fn whole(&mut self, input: &BlobInput<'_>, window: &Window, out: &mut [u8]) -> Result<()> {
        let at_blob = |e: Error| e.or_at(Place::Blob(input.digest));
        match &input.origin {
            Origin::Resource(wim, entry) => {
                wim.check(entry)?;
                let alone;
                let stored = match window.get(&entry.header) {
                    Some(stored) => stored,
                    None => {
                        // At most a batch: it has passed the check, and is small.
                        let length = usize::try_from(entry.header.stored_size).unwrap_or(0);
                        let mut bytes = vec![0; length];
                        read_exact_at(&**wim.source(), &mut bytes, entry.header.offset).map_err(at_blob)?;
                        alone = bytes;
                        &alone[..]
                    }
                };
                if entry.header.is_compressed() {
                    let decoder = decoder_of(&mut self.decoders, wim.format());
                    decode_whole(decoder, entry, stored, wim.format(), out)?;
                } else {
                    out.copy_from_slice(stored);
                }
                Ok(())
            }
            Origin::Source(source) => read_exact_at(&**source, out, 0).map_err(at_blob),
            Origin::HostFile(path, last_write) => {
                let source = FileSource::open_planned(path, input.size, *last_write)?;
                read_exact_at(&source, out, 0)
            }
        }
    }

    fn part(
        &mut self,
        position: usize,
        large: Arc<LargeBlob>,
        number: u64,
        start: u64,
        length: u64,
    ) -> Piece {
        let input = &self.inputs[position];
        let mut buffer = self.pool.take(usize::try_from(length).unwrap_or(usize::MAX));
        let read = self.read_part(input, &large.access, start, buffer.as_mut());
        let is_last = number + 1 == large.pieces;
        let range = 0..buffer.as_ref().len();
        let buffer = Arc::new(buffer);
        let bytes = read.map_err(|e| input.blame(e)).map(|()| {
            let bytes = PieceBytes { buffer, range };
            large.chain.bring(number, bytes.clone());
            bytes
        });
        Piece { position, start, bytes, is_last, chain: Some(large) }
    }

    /// Decodes one chunk of a solid resource, for all blobs that are wanted of it.
    fn solid_chunk(&mut self, chunk: SolidChunk) -> Vec<Piece> {
        let SolidChunk { resource, number, cuts } = chunk;
        let (offset, stored_size) = resource.span(number);
        let mut buffer = self.pool.take(usize::try_from(resource.uncompressed_size(number)).unwrap_or(0));
        let mut stored = self.pool.take(usize::try_from(stored_size).unwrap_or(0));
        let decoder = decoder_of(&mut self.decoders, resource.format());
        let go_on = || !self.cancel.is_raised();
        let decode = |wim: &WimFile, entry: &BlobEntry, decoder: &mut ChunkDecoder, out: &mut [u8]| {
            read_exact_at(&**wim.source(), stored.as_mut(), offset)?;
            let decoded = decoder.decode_while(stored.as_ref(), out, &go_on);
            decoded.map_err(|e| chunk_fails(entry, number, offset, e))
        };
        let first = cuts.first().map(|cut| &self.inputs[cut.position].origin);
        let decoded = match first {
            Some(Origin::Resource(wim, entry)) => {
                let mut decode = decode;
                decode(wim, entry, decoder, buffer.as_mut())
            }
            _ => Err(Error::invalid_input("a solid blob must come from a WIM")),
        };
        drop(stored);
        let buffer = Arc::new(buffer);
        let piece = |cut: SolidCut| {
            let input = &self.inputs[cut.position];
            let bytes = PieceBytes { buffer: Arc::clone(&buffer), range: cut.range };
            let checked = match (&decoded, &cut.large) {
                (Err(error), _) => Err(error.duplicate().at(Place::Blob(input.digest))),
                (Ok(()), None) => check_digest(input, Sha1Digest::of(bytes.as_ref())),
                (Ok(()), Some((large, number))) => {
                    large.chain.bring(*number, bytes.clone());
                    Ok(())
                }
            };
            let is_last = cut.start + bytes.range.len() as u64 == input.size;
            Piece {
                position: cut.position,
                start: cut.start,
                bytes: checked.map(|()| bytes).map_err(|e| input.blame(e)),
                is_last,
                chain: cut.large.map(|(large, _)| large),
            }
        };
        cuts.into_iter().map(piece).collect()
    }

    fn read_part(
        &mut self,
        input: &BlobInput<'_>,
        access: &Access,
        start: u64,
        out: &mut [u8],
    ) -> Result<()> {
        match (access, &input.origin) {
            (Access::Source(source), _) => read_exact_at(&**source, out, start),
            (Access::Raw(offset), Origin::Resource(wim, _)) => {
                read_exact_at(&**wim.source(), out, offset.saturating_add(start))
            }
            (Access::Chunks(table), Origin::Resource(wim, entry)) => {
                let chunk_bytes = u64::from(wim.format().chunk_size().bytes());
                let first = start / chunk_bytes;
                let last = (start + out.len() as u64).div_ceil(chunk_bytes);
                let (offset, length) = table.span(first, last);
                // Chunks are at most as long as their uncompressed size, so this is about a batch at most.
                let length = usize::try_from(length).unwrap_or(0);
                if self.stored.len() < length {
                    self.stored.resize(length, 0);
                }
                let stored = &mut self.stored[..length];
                read_exact_at(&**wim.source(), stored, offset)?;
                let decoder = decoder_of(&mut self.decoders, wim.format());
                decode_chunks(decoder, entry, table, first, (&self.stored[..length], offset), out)
            }
            _ => Err(Error::invalid_input("a raw or chunked blob must come from a WIM")),
        }
    }
}

/// Stored bytes read ahead.
struct Window {
    bytes: Vec<u8>,
    length: usize,
    offset: u64,
}

impl Window {
    fn get(&self, header: &ResourceHeader) -> Option<&[u8]> {
        let start = usize::try_from(header.offset.checked_sub(self.offset)?).ok()?;
        let end = start.checked_add(usize::try_from(header.stored_size).ok()?)?;
        self.bytes[..self.length].get(start..end)
    }
}

/// Cuts positions into runs whose resources lie close together; anything that is no resource is a run of its own.
fn close_runs<'p>(inputs: &[BlobInput<'_>], positions: &'p [usize]) -> impl Iterator<Item = &'p [usize]> {
    positions.chunk_by(|&a, &b| gap_between(&inputs[a], &inputs[b]).is_some())
}

pub(super) fn decoder_of(
    decoders: &mut HashMap<ChunkFormat, ChunkDecoder>,
    format: ChunkFormat,
) -> &mut ChunkDecoder {
    decoders.entry(format).or_insert_with(|| ChunkDecoder::new(format))
}

fn decode_whole(
    decoder: &mut ChunkDecoder,
    entry: &BlobEntry,
    stored: &[u8],
    format: ChunkFormat,
    out: &mut [u8],
) -> Result<()> {
    let header = &entry.header;
    if out.len() as u64 <= u64::from(format.chunk_size().bytes()) {
        // One chunk has no table.
        let prefix = format.layout().chunk_prefix_bytes();
        let offset = header.offset.saturating_add(prefix);
        let chunk = usize::try_from(prefix).ok().and_then(|prefix| stored.get(prefix..)).unwrap_or(&[]);
        if chunk.len() > out.len() {
            return Err(chunk_fails(entry, 0, offset, lz_kit::DecodeError::BadLength));
        }
        return decoder.decode(chunk, out).map_err(|e| chunk_fails(entry, 0, offset, e));
    }
    let table = ChunkTable::parse(stored, header, format).map_err(|e| e.at(Place::Blob(entry.digest)))?;
    decode_chunks(decoder, entry, &table, 0, (stored, header.offset), out)
}

/// Decodes consecutive chunks from `first`; `stored` are bytes that hold them, and the offset of these in the file.
fn decode_chunks(
    decoder: &mut ChunkDecoder,
    entry: &BlobEntry,
    table: &ChunkTable,
    first: u64,
    stored: (&[u8], u64),
    out: &mut [u8],
) -> Result<()> {
    let (stored, base) = stored;
    let mut out = out;
    let mut number = first;
    while !out.is_empty() {
        let (offset, length) = table.span(number, number + 1);
        let start = usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let size = usize::try_from(table.uncompressed_size(number)).unwrap_or(usize::MAX).min(out.len());
        let Some(chunk) = stored.get(start..end) else {
            return Err(chunk_fails(entry, number, base.max(offset), lz_kit::DecodeError::Truncated));
        };
        let (target, remaining) = out.split_at_mut(size);
        decoder.decode(chunk, target).map_err(|e| chunk_fails(entry, number, offset, e))?;
        out = remaining;
        number += 1;
    }
    Ok(())
}

impl LargeBlob {
    /// Compares the digest of all pieces with the blob's name; to be called when the sink has come to the last piece.
    pub(crate) fn check(&self, input: &BlobInput<'_>) -> Result<()> {
        let (digest, _) = self.chain.digest();
        check_digest(input, digest).map_err(|e| input.blame(e))
    }
}

/// Compares the digest of what was read with the blob's name.
pub(super) fn check_digest(input: &BlobInput<'_>, actual: Sha1Digest) -> Result<()> {
    if actual == input.digest {
        return Ok(());
    }
    match &input.origin {
        Origin::Resource(_, entry) => Err(digest_differs(entry, actual)),
        _ => {
            Err(Error::invalid_input("the content changed while it was being read")
                .at(Place::Blob(input.digest)))
        }
    }
}
