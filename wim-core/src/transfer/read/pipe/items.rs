//! Cuts the stream into items of about one batch, and decodes them.
//!
//! Items own their stored bytes, since a pipe cannot be read again; so what is in flight is bounded by the permits of the
//! pipeline and one item that waits for its own.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::super::worker::{PieceBytes, decoder_of};
use super::input::{PipeInput, StoredBlob};
use crate::base::pipeline::{BufferPool, Cost, DigestChain};
use crate::base::{Error, Guid, PartNumber, Place, Reason, Result, Sha1Digest};
use crate::formats::wim::{BlobHeader, ChunkDecoder, ChunkFormat, WimHeader, WimLayout};

/// Most blobs in one item.
const MAX_GROUP: usize = 1024;
/// Bytes before the digests of an integrity table, of which eight have been read when it is recognised.
const INTEGRITY_HEAD_BYTES: u32 = 12;
/// Bytes of a digest in an integrity table.
const INTEGRITY_ENTRY_BYTES: u32 = 20;

/// Stored chunks of one blob, or of several.
pub(super) struct PipeWork {
    parts: Vec<StoredPart>,
    stored: Vec<u8>,
    uncompressed: u64,
    /// What ended the stream.
    stop: Option<Error>,
}

impl Cost for PipeWork {
    fn cost(&self) -> u64 {
        self.stored.len() as u64 + self.uncompressed
    }
}

/// Consecutive chunks of one blob.
struct StoredPart {
    blob: BlobHeader,
    format: ChunkFormat,
    start: u64,
    /// Uncompressed bytes.
    length: u64,
    /// Place of the first chunk in the stream, for errors.
    offset: u64,
    /// Stored and uncompressed bytes of each chunk.
    chunks: Vec<(u32, u32)>,
    /// Of a blob in several parts, its running digest and the number of this one.
    chain: Option<(Arc<DigestChain<PieceBytes>>, u64)>,
    is_last: bool,
}

/// A part, decoded.
pub(super) struct Decoded {
    pub(super) digest: Sha1Digest,
    pub(super) size: u64,
    pub(super) start: u64,
    pub(super) is_last: bool,
    bytes: Result<PieceBytes>,
    /// What is wrong with bytes that are there all the same.
    damage: Option<Error>,
    tolerance: Tolerance,
    chain: Option<Arc<DigestChain<PieceBytes>>>,
}

impl Decoded {
    /// The bytes and what is wrong with them; an error instead when they could not be decoded, or the blob is complete and has
    /// another digest, and that is not tolerated.
    pub(super) fn finished(&self) -> Result<(PieceBytes, Option<Error>)> {
        let bytes = self.bytes.as_ref().map_err(Error::duplicate)?;
        let mut damage = self.damage.as_ref().map(Error::duplicate);
        if let Some(chain) = self.chain.as_ref().filter(|_| self.is_last) {
            let checked = check_digest(self.digest, chain.digest().0);
            damage = self.tolerance.note(damage, checked)?;
        }
        Ok((bytes.clone(), damage))
    }
}

/// What becomes of damaged blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// They are errors.
    Whole,
    /// Zeros stand for chunks that cannot be decoded, and what is wrong is told beside the bytes.
    Damaged,
}

impl Tolerance {
    /// The first damage, when damage is tolerated.
    fn note(self, first: Option<Error>, done: Result<()>) -> Result<Option<Error>> {
        match (self, done) {
            (Self::Whole, Err(error)) => Err(error),
            (Self::Damaged, Err(error)) => Ok(Some(first.unwrap_or(error))),
            (_, Ok(())) => Ok(first),
        }
    }
}

fn check_digest(digest: Sha1Digest, actual: Sha1Digest) -> Result<()> {
    if actual == digest {
        return Ok(());
    }
    Err(Error::corrupt(format!("the data has SHA-1 {actual}; it was damaged on its way or before"))
        .at(Place::Blob(digest))
        .remedy("send the WIM again, from its source"))
}

/// The items of the stream behind its metadata.
pub(super) struct PipeItems<'r> {
    input: PipeInput<'r>,
    wanted: HashSet<Sha1Digest>,
    batch_bytes: u64,
    large: Option<LargeBlob>,
    /// What follows is a new file or the end of the stream.
    is_between_files: bool,
    is_done: bool,
    set: Guid,
    total_parts: u16,
    parts: Vec<u16>,
}

/// A blob that is cut into parts.
struct LargeBlob {
    stored: StoredBlob,
    chain: Arc<DigestChain<PieceBytes>>,
    number: u64,
}

impl<'r> PipeItems<'r> {
    pub(super) fn new(
        input: PipeInput<'r>,
        header: &WimHeader,
        wanted: HashSet<Sha1Digest>,
        batch_bytes: u64,
    ) -> Self {
        let (set, total_parts) = (header.guid, header.total_parts);
        let (large, is_between_files, is_done, parts) = (None, false, false, vec![header.part.number()]);
        Self { input, wanted, batch_bytes, large, is_between_files, is_done, set, total_parts, parts }
    }

    /// # Errors
    /// `NotFound` when a wanted blob never came.
    pub(super) fn check_complete(&self) -> Result<()> {
        let Some(missing) = self.wanted.iter().min() else { return Ok(()) };
        let remedy = if self.parts.len() < usize::from(self.total_parts) {
            let missing: Vec<String> = (1..=self.total_parts)
                .filter(|number| !self.parts.contains(number))
                .take(20)
                .map(|number| number.to_string())
                .collect();
            format!("of its {} parts these did not come: {}", self.total_parts, missing.join(", "))
        } else {
            "the WIM is damaged, or a delta whose base, pipable too, must be sent behind it".to_owned()
        };
        let count = self.wanted.len();
        Err(Error::not_found(format!("the blob is not in the stream, and {} more are missing", count - 1))
            .because(Reason::BlobMissing)
            .at(Place::Blob(*missing))
            .remedy(remedy))
    }

    fn fill(&mut self, work: &mut PipeWork) -> Result<()> {
        loop {
            if self.large.is_some() {
                // A large blob has items of its own.
                return if work.parts.is_empty() { self.large_part(work) } else { Ok(()) };
            }
            if work.parts.len() >= MAX_GROUP || work.cost() >= self.batch_bytes {
                return Ok(());
            }
            let Some(blob) = self.next_wanted()? else {
                self.is_done = true;
                return Ok(());
            };
            let stored = StoredBlob::new(blob, self.input.format(), &self.input)?;
            if blob.size > self.batch_bytes {
                self.large = Some(LargeBlob { stored, chain: Arc::new(DigestChain::new()), number: 0 });
            } else {
                let mut stored = stored;
                let part = self.read_part(&mut stored, blob.size, work)?;
                work.parts.push(part);
                self.input.skip(stored.table_bytes(), "chunk table")?;
            }
        }
    }

    fn large_part(&mut self, work: &mut PipeWork) -> Result<()> {
        let Some(LargeBlob { mut stored, chain, number }) = self.large.take() else { return Ok(()) };
        let mut part = self.read_part(&mut stored, self.batch_bytes, work)?;
        part.chain = Some((Arc::clone(&chain), number));
        if part.is_last {
            self.input.skip(stored.table_bytes(), "chunk table")?;
        } else {
            self.large = Some(LargeBlob { stored, chain, number: number + 1 });
        }
        work.parts.push(part);
        Ok(())
    }

    /// Reads chunks of at least `wanted` bytes, or to the end of the blob.
    fn read_part(&mut self, stored: &mut StoredBlob, wanted: u64, work: &mut PipeWork) -> Result<StoredPart> {
        let StoredBlob { blob, format, done: start } = *stored;
        let (offset, mut chunks) = (self.input.offset(), Vec::new());
        while stored.done - start < wanted {
            let Some(chunk) = stored.next_chunk(&mut self.input)? else { break };
            self.input.append_exact(&mut work.stored, u64::from(chunk.stored_size), "chunk")?;
            chunks.push((chunk.stored_size, chunk.size));
        }
        let length = stored.done - start;
        work.uncompressed += length;
        let is_last = stored.done == blob.size;
        Ok(StoredPart { blob, format, start, length, offset, chunks, chain: None, is_last })
    }

    /// Goes on to the next blob that is wanted and was not there yet; none at the end of the stream.
    fn next_wanted(&mut self) -> Result<Option<BlobHeader>> {
        loop {
            let (mut head, offset) = ([0; BlobHeader::BYTES], self.input.offset());
            let (first, rest) = head.split_at_mut(8);
            match self.input.read_up_to(first)? {
                8 => {}
                0 if self.is_between_files => return Ok(None),
                _ => return Err(self.input.cut_short("blob header")),
            }
            if first == b"WLPWM\0\0\0" {
                let first = <[u8; 8]>::try_from(&*first).unwrap_or_default();
                self.wim_header(first, offset)?;
                continue;
            }
            if let Some(left) = integrity_table(first) {
                self.input.skip(left, "integrity table")?;
                continue;
            }
            self.input.read_exact(rest, "blob header")?;
            let blob = BlobHeader::parse(&head, offset)?;
            self.is_between_files = false;
            if !blob.is_metadata() && self.wanted.remove(&blob.digest) {
                return Ok(Some(blob));
            }
            self.skip(blob)?;
        }
    }

    fn skip(&mut self, blob: BlobHeader) -> Result<()> {
        let mut stored = StoredBlob::new(blob, self.input.format(), &self.input)?;
        if !blob.is_compressed() {
            return self.input.skip(blob.size, "blob");
        }
        while let Some(chunk) = stored.next_chunk(&mut self.input)? {
            self.input.skip(u64::from(chunk.stored_size), "chunk")?;
        }
        self.input.skip(stored.table_bytes(), "chunk table")
    }

    /// Reads the rest of a WIM header: that at the end of a file, or that of the next one.
    fn wim_header(&mut self, first: [u8; 8], offset: u64) -> Result<()> {
        let mut bytes = first.to_vec();
        self.input.append_exact(&mut bytes, (WimHeader::BYTES - 8) as u64, "WIM header")?;
        let header = WimHeader::parse(&bytes)
            .map_err(|e| e.or_at(Place::Field { structure: "WIM header", field: "magic", offset }))?;
        if !header.lookup_table.is_absent() {
            self.is_between_files = true;
            return Ok(());
        }
        debug_assert_eq!(header.format.layout(), WimLayout::Pipable, "its magic says so");
        if !self.is_between_files {
            let message = "another file begins before the one before it has ended";
            return Err(Error::format("WIM header", "magic", offset, message)
                .remedy("the file before it is truncated; send it again"));
        }
        self.is_between_files = false;
        if header.guid == self.set && header.part != PartNumber::FIRST {
            self.parts.push(header.part.number());
        }
        self.input.set_format(header.format);
        Ok(())
    }
}

/// The bytes that follow when these eight begin an integrity table, which alone has no blob header.
fn integrity_table(first: &[u8]) -> Option<u64> {
    let (size, count) = first.split_at_checked(4)?;
    let size = u32::from_le_bytes(size.try_into().ok()?);
    let count = u32::from_le_bytes(count.try_into().ok()?);
    let expected = count.checked_mul(INTEGRITY_ENTRY_BYTES)?.checked_add(INTEGRITY_HEAD_BYTES)?;
    (size == expected).then(|| u64::from(size) - 8)
}

impl Iterator for PipeItems<'_> {
    type Item = PipeWork;

    fn next(&mut self) -> Option<PipeWork> {
        if self.is_done {
            return None;
        }
        let mut work = PipeWork { parts: Vec::new(), stored: Vec::new(), uncompressed: 0, stop: None };
        if let Err(error) = self.fill(&mut work) {
            self.is_done = true;
            work.stop = Some(error);
        }
        (!work.parts.is_empty() || work.stop.is_some()).then_some(work)
    }
}

/// One thread's decoders.
pub(super) struct PipeWorker {
    decoders: HashMap<ChunkFormat, ChunkDecoder>,
    pool: BufferPool,
    tolerance: Tolerance,
}

impl PipeWorker {
    pub(super) fn new(pool: BufferPool, tolerance: Tolerance) -> Self {
        Self { decoders: HashMap::new(), pool, tolerance }
    }

    /// The parts of an item, decoded, and what ended the stream behind them.
    pub(super) fn run(&mut self, work: PipeWork) -> (Vec<Decoded>, Option<Error>) {
        let mut buffer = self.pool.take(usize::try_from(work.uncompressed).unwrap_or(usize::MAX));
        let (mut at, mut filled, mut results) = (0, 0, Vec::with_capacity(work.parts.len()));
        for part in &work.parts {
            let range = filled..filled + usize::try_from(part.length).unwrap_or(0);
            filled = range.end;
            let stored = at..at + part.chunks.iter().map(|&(stored, _)| stored as usize).sum::<usize>();
            at = stored.end;
            let (stored, out) = (work.stored.get(stored), buffer.as_mut().get_mut(range.clone()));
            results.push((range, self.decode(part, stored.unwrap_or(&[]), out.unwrap_or(&mut []))));
        }
        let buffer = Arc::new(buffer);
        let tolerance = self.tolerance;
        let decoded = |(part, (range, result)): (StoredPart, (Range<usize>, Result<Option<Error>>))| {
            let (bytes, damage) = match result {
                Ok(damage) => (Ok(PieceBytes::new(Arc::clone(&buffer), range)), damage),
                Err(error) => (Err(error), None),
            };
            if let (Ok(bytes), Some((chain, number))) = (&bytes, &part.chain) {
                chain.bring(*number, bytes.clone());
            }
            Decoded {
                digest: part.blob.digest,
                size: part.blob.size,
                start: part.start,
                is_last: part.is_last,
                bytes,
                damage,
                tolerance,
                chain: part.chain.map(|(chain, _)| chain),
            }
        };
        (work.parts.into_iter().zip(results).map(decoded).collect(), work.stop)
    }

    /// Decodes a part; that of a whole blob is checked. Gives the damage that is tolerated.
    fn decode(&mut self, part: &StoredPart, stored: &[u8], out: &mut [u8]) -> Result<Option<Error>> {
        let mut damage = None;
        if part.blob.is_compressed() {
            damage = self.decode_chunks(part, stored, out)?;
        } else {
            out.copy_from_slice(stored);
        }
        match part.chain {
            Some(_) => Ok(damage),
            None => self.tolerance.note(damage, check_digest(part.blob.digest, Sha1Digest::of(out))),
        }
    }

    fn decode_chunks(
        &mut self,
        part: &StoredPart,
        mut stored: &[u8],
        mut out: &mut [u8],
    ) -> Result<Option<Error>> {
        let (tolerance, mut damage) = (self.tolerance, None);
        let decoder = decoder_of(&mut self.decoders, part.format);
        let first = part.start / u64::from(part.format.chunk_size().bytes());
        let mut offset = part.offset;
        for (number, &(stored_size, size)) in (first..).zip(&part.chunks) {
            // The sizes were checked when the chunks were read, and the buffers made for their sum.
            let (chunk, rest) = stored.split_at(stored_size as usize);
            let (target, remaining) = out.split_at_mut(size as usize);
            offset += part.format.layout().chunk_prefix_bytes();
            let decoded = decoder.decode(chunk, target).map_err(|e| {
                let message =
                    format!("chunk {number} of blob {} cannot be decompressed: {e}", part.blob.digest);
                Error::format("chunk", "data", offset, message)
                    .remedy("the data is damaged; send it again from its source")
            });
            if decoded.is_err() {
                // What was decoded before the error is no better than nothing.
                target.fill(0);
            }
            damage = tolerance.note(damage, decoded)?;
            offset += u64::from(stored_size);
            (stored, out) = (rest, remaining);
        }
        Ok(damage)
    }
}
