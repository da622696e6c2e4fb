//! The LZMS encoder: filter, match lists, cheapest path, streams.
//!
//! It works window by window: the matches of a few thousand positions are listed, the cheapest path through them is found
//! by the models as they are, and its items are written, which changes the models. It knows no container.

use lz_kit::lz77::{MatchEntry, MatchLimits, MatchList, PaddedChunk, SearchEffort, WideMatch};

use lz_kit::{Level, Stopped};

use crate::cost::MAX_EDGE;
use crate::delta_matches::DeltaMatches;
use crate::format::{MAX_CHUNK_BYTES, MIN_STREAM_BYTES, offset_slots_of};
use crate::models::ItemWriter;
use crate::offset_slots::SlotTable;
use crate::parse::{PathFinder, Stop};
use crate::trees::Trees;
use crate::x86::X86Filter;

/// Positions of a window.
pub(crate) const WINDOW: usize = 8192;
/// Longest match that is listed; longer ones are extended when they are taken.
const MAX_LISTED: usize = 512;
/// Greatest offset of a two-byte match that can pay.
const MAX_OFFSET_OF_TWO: usize = 512;
/// Bytes after which [`Encoder::encode_while`] asks whether to go on: a tenth of a second of work.
const ASK_BYTES: usize = 256 << 10;

/// The first level that looks for delta matches and all long ones.
const FIRST_THOROUGH: usize = 35;

/// What a level asks of the parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    search: SearchEffort,
    /// A match this long is taken whole.
    pub(crate) nice_length: usize,
    pub(crate) finds_deltas: bool,
    pub(crate) tries_gaps: bool,
}

impl Effort {
    fn of(level: Level) -> Self {
        // Beyond 50, longer paths with older costs lose what deeper searches gain.
        let number = level.number().clamp(1, 50) as usize;
        // In trees of 64 MiB the way to the longest match is long, and most ways end early of themselves.
        let (nice_of_50, depth_of_50) = if number >= FIRST_THOROUGH { (126, 96) } else { (63, 24) };
        let nice_length = (number * nice_of_50 / 50).clamp(8, MAX_EDGE);
        Self {
            search: SearchEffort { depth: (number * depth_of_50 / 50).clamp(4, 200) as u32, nice_length },
            nice_length,
            finds_deltas: number >= FIRST_THOROUGH,
            tries_gaps: number >= 45,
        }
    }
}

/// An encoder of LZMS chunks; it holds only scratch, so that encoding a chunk allocates next to nothing.
#[derive(Debug)]
pub struct Encoder {
    effort: Effort,
    max_chunk_bytes: usize,
    /// What [`Encoder::encode`] copies its chunks to; none until it is called.
    chunk: PaddedChunk,
    x86: X86Filter,
    trees: Trees,
    matches: MatchList<WideMatch>,
    deltas: DeltaMatches,
    slots: SlotTable,
    path: PathFinder,
    writer: Box<ItemWriter>,
}

impl Encoder {
    /// An encoder of chunks of at most `max_chunk_bytes` bytes, which is at most [`MAX_CHUNK_BYTES`].
    #[must_use]
    pub fn new(max_chunk_bytes: usize, level: Level) -> Self {
        let max_chunk_bytes = max_chunk_bytes.min(MAX_CHUNK_BYTES);
        Self {
            effort: Effort::of(level),
            max_chunk_bytes,
            chunk: PaddedChunk::default(),
            x86: X86Filter::new(),
            trees: Trees::new(max_chunk_bytes),
            matches: MatchList::new(WINDOW),
            deltas: DeltaMatches::new(),
            slots: SlotTable::new(max_chunk_bytes),
            path: PathFinder::new(),
            writer: Box::new(ItemWriter::new()),
        }
    }

    /// Upper bound of the memory of one encoder in bytes, but for what it writes: nine to ten times the chunk.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize, level: Level) -> usize {
        PaddedChunk::scratch_bytes(max_chunk_bytes) + Self::in_place_scratch_bytes(max_chunk_bytes, level)
    }

    /// The same for an encoder of which only [`encode_in_place`](Self::encode_in_place) is used: eight to nine times the chunk.
    #[must_use]
    pub const fn in_place_scratch_bytes(max_chunk_bytes: usize, _level: Level) -> usize {
        Trees::scratch_bytes(max_chunk_bytes)
            + X86Filter::SCRATCH_BYTES
            + MatchList::<WideMatch>::scratch_bytes(WINDOW)
            + DeltaMatches::SCRATCH_BYTES
            + SlotTable::MAX_SCRATCH_BYTES
            + PathFinder::SCRATCH_BYTES
            + size_of::<ItemWriter>()
            // What the two streams together grow to before the chunk is given up.
            + max_chunk_bytes
    }

    /// Compresses `chunk` into `out`; the size in bytes, or none when it does not fit or the chunk is longer than agreed.
    pub fn encode(&mut self, chunk: &[u8], out: &mut [u8]) -> Option<usize> {
        self.encode_while(chunk, out, &|_| true).unwrap_or(None)
    }

    /// As [`encode`](Self::encode); `go_on` is told every quarter of a megabyte how many bytes have been encoded since it was
    /// asked last.
    ///
    /// # Errors
    /// [`Stopped`] when `go_on` says no.
    pub fn encode_while(
        &mut self,
        chunk: &[u8],
        out: &mut [u8],
        go_on: &dyn Fn(usize) -> bool,
    ) -> Result<Option<usize>, Stopped> {
        if chunk.len() > self.max_chunk_bytes {
            return Ok(None);
        }
        let mut padded = std::mem::take(&mut self.chunk);
        if padded.room() < chunk.len() {
            padded = PaddedChunk::new(self.max_chunk_bytes);
        }
        let is_set = padded.set(chunk);
        let fits = if is_set { self.run(&mut padded, out.len(), go_on) } else { Ok(false) };
        self.chunk = padded;
        Ok(if fits? { self.writer.finish(out) } else { None })
    }

    /// Replaces `chunk` by its compressed form and returns that size in bytes; none when it would not be shorter or is longer
    /// than agreed, and then `chunk` is as it was. For chunks that are too large to be in memory twice.
    ///
    /// `go_on` is told every quarter of a megabyte how many bytes have been encoded since it was asked last.
    ///
    /// # Errors
    /// [`Stopped`] when `go_on` says no; what `chunk` holds then is unspecified.
    pub fn encode_in_place(
        &mut self,
        chunk: &mut PaddedChunk,
        go_on: &dyn Fn(usize) -> bool,
    ) -> Result<Option<usize>, Stopped> {
        if chunk.len() > self.max_chunk_bytes || chunk.is_empty() {
            return Ok(None);
        }
        let room = chunk.len() - 1;
        let fits = self.run(chunk, room, go_on)?;
        let size = if fits { self.writer.size() } else { usize::MAX };
        if size > room {
            self.x86.decode(chunk.bytes_mut());
            return Ok(None);
        }
        chunk.truncate(size);
        Ok(self.writer.finish(chunk.bytes_mut()))
    }

    /// Writes the items of `chunk`, which is filtered in place. False when they take more than `room` bytes.
    fn run(
        &mut self,
        chunk: &mut PaddedChunk,
        room: usize,
        go_on: &dyn Fn(usize) -> bool,
    ) -> Result<bool, Stopped> {
        self.x86.encode(chunk.bytes_mut());
        if room < MIN_STREAM_BYTES || chunk.is_empty() {
            return Ok(false);
        }
        self.trees.start();
        self.deltas.start();
        self.writer.start(offset_slots_of(chunk.len()));
        let (mut at, mut asked) = (0, 0);
        while at < chunk.len() {
            at = self.window(chunk, at);
            if self.writer.bytes() > room {
                return Ok(false);
            }
            if at - asked >= ASK_BYTES {
                if !go_on(at - asked) {
                    return Err(Stopped);
                }
                asked = at;
            }
        }
        Ok(true)
    }

    /// Encodes the window that starts at `start`, and the long match that may reach beyond it; returns where that ends.
    fn window(&mut self, chunk: &PaddedChunk, start: usize) -> usize {
        let limits = MatchLimits { max_length: MAX_LISTED, max_offset_of_two: MAX_OFFSET_OF_TWO };
        let len = chunk.len();
        let end = len.min(start + WINDOW);
        self.matches.clear();
        self.trees.list_matches(chunk, end, limits, self.effort.search, &mut self.matches);
        let mut at = start;
        while at < end {
            let input = crate::parse::PathInput {
                chunk,
                at,
                end,
                matches: &self.matches,
                list_start: start,
                slots: &self.slots,
                effort: self.effort,
            };
            match self.path.find(input, &mut self.deltas, &mut self.writer) {
                Stop::End => at = end,
                Stop::Meeting { at: from } => at = from,
                Stop::LongMatch { at: from, source, length } => {
                    self.writer.copy(source, length);
                    at = from + length;
                    self.deltas.skip(chunk.bytes(), at);
                }
            }
        }
        // A long match may have gone past the window.
        let mut listed = end;
        while listed < at {
            listed = at.min(listed + WINDOW);
            self.matches.clear();
            self.trees.list_matches(chunk, listed, limits, self.effort.search, &mut self.matches);
        }
        at
    }
}

/// Lengths and offsets of every chunk fit a list entry.
const _: () = assert!(MAX_LISTED <= WideMatch::MAX_LENGTH && MAX_CHUNK_BYTES <= WideMatch::MAX_CHUNK);
