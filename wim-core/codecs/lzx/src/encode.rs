//! LZX encoder for WIM chunks: E8 translation, parsing, block boundaries, codes, bits.
//!
//! The format is [MS-PATCH]'s with WIM's block header and fixed E8 file size. Chunks that would not become smaller are
//! refused, not stored: the container keeps those raw.

use crate::e8;
use crate::format::{OFFSET_BASE, WindowOrder};
use crate::items::{Frequencies, Item, Items, Rules};
use crate::near_optimal::NearOptimal;
use crate::split::Splitter;
use crate::write_block::{BlockCodes, Kind, Lengths};
use lz_kit::Level;
use lz_kit::bitstream::Forward16Writer;
use lz_kit::lz77::{HashChains, NoiseTest, PaddedChunk, Position, RecentOffsets, SearchEffort};
use lz_kit::parse::{ItemSink, QuickTable, lazy, lazy_from, quick_from};
use std::ops::Range;

/// Shorter chunks cannot become smaller: a header with three precodes alone has 30 bytes.
const SMALLEST_CHUNK: usize = 34;
/// Levels below search only where they hope to find something.
const FIRST_LAZY: u32 = 11;
/// Levels from here on parse near-optimally.
const FIRST_NEAR_OPTIMAL: u32 = 35;

/// Compresses chunks one by one; each result depends on the chunk, the window and the level alone.
#[derive(Debug)]
pub struct Encoder {
    chunk: PaddedChunk,
    noise: NoiseTest,
    parser: Parser,
    block: BlockMaker,
}

/// How the level parses, in the table width of the window.
#[derive(Debug)]
pub(crate) enum Parser {
    Quick(Box<Quick>),
    Lazy16(Box<Lazy<u16>>),
    Lazy32(Box<Lazy<u32>>),
    Near16(Box<NearOptimal<u16>>),
    Near32(Box<NearOptimal<u32>>),
}

impl Encoder {
    /// An encoder for chunks of at most `window` bytes.
    #[must_use]
    pub fn new(window: WindowOrder, level: Level) -> Self {
        let bytes = window.bytes() as usize;
        Self {
            chunk: PaddedChunk::new(bytes),
            noise: NoiseTest::new(bytes),
            parser: Parser::new(window, level),
            block: BlockMaker::new(window, level),
        }
    }

    /// Bytes of memory that an encoder made with the same arguments holds.
    #[must_use]
    pub fn scratch_bytes(window: WindowOrder, level: Level) -> usize {
        let bytes = window.bytes() as usize;
        let chunk = PaddedChunk::scratch_bytes(bytes) + NoiseTest::scratch_bytes(bytes);
        size_of::<Self>() + chunk + Parser::scratch_bytes(window, level) + BlockMaker::SCRATCH_BYTES
    }

    /// Compresses one chunk. None: it does not fit into `out`, or is longer than the window.
    ///
    /// Callers pass `chunk.len() - 1` bytes: a chunk that would not shrink is stored raw.
    pub fn encode(&mut self, chunk: &[u8], out: &mut [u8]) -> Option<usize> {
        if chunk.len() < SMALLEST_CHUNK || self.noise.is_noise(chunk) || !self.chunk.set(chunk) {
            return None;
        }
        e8::translate(self.chunk.bytes_mut());
        let mut writer = Forward16Writer::new(out);
        self.block.start();
        match &mut self.parser {
            Parser::Quick(quick) => quick.encode(&self.chunk, &mut self.block, &mut writer),
            Parser::Lazy16(lazy) => lazy.encode(&self.chunk, &mut self.block, &mut writer),
            Parser::Lazy32(lazy) => lazy.encode(&self.chunk, &mut self.block, &mut writer),
            Parser::Near16(near) => near.encode(&self.chunk, &mut self.block, &mut writer),
            Parser::Near32(near) => near.encode(&self.chunk, &mut self.block, &mut writer),
        }
        writer.finish()
    }
}

impl Parser {
    pub(crate) fn new(window: WindowOrder, level: Level) -> Self {
        if level.number() < FIRST_LAZY {
            return Self::Quick(Box::new(Quick::new(window)));
        }
        match (level.number() < FIRST_NEAR_OPTIMAL, is_narrow(window)) {
            (true, true) => Self::Lazy16(Box::new(Lazy::new(window, level))),
            (true, false) => Self::Lazy32(Box::new(Lazy::new(window, level))),
            (false, true) => Self::Near16(Box::new(NearOptimal::new(window, level))),
            (false, false) => Self::Near32(Box::new(NearOptimal::new(window, level))),
        }
    }

    /// Bytes of memory that a parser made with the same arguments holds.
    pub(crate) fn scratch_bytes(window: WindowOrder, level: Level) -> usize {
        if level.number() < FIRST_LAZY {
            return Quick::scratch_bytes(window);
        }
        match (level.number() < FIRST_NEAR_OPTIMAL, is_narrow(window)) {
            (true, true) => Lazy::<u16>::scratch_bytes(window),
            (true, false) => Lazy::<u32>::scratch_bytes(window),
            (false, true) => NearOptimal::<u16>::scratch_bytes(window),
            (false, false) => NearOptimal::<u32>::scratch_bytes(window),
        }
    }

    /// Parses the chunk from a place on, what lies before being history, and hands items with the ends of their blocks to
    /// `sink`. The recent offsets there must not reach before the chunk.
    pub(crate) fn parse_from(
        &mut self,
        chunk: &PaddedChunk,
        start: (usize, RecentOffsets),
        window: WindowOrder,
        sink: &mut dyn FnMut(&[Item], &[usize]),
    ) {
        match self {
            Self::Quick(quick) => quick.parse_from(chunk, start, sink),
            Self::Lazy16(lazy) => lazy.parse_from(chunk, start, window, sink),
            Self::Lazy32(lazy) => lazy.parse_from(chunk, start, window, sink),
            Self::Near16(near) => near.parse_from(chunk, start, window, sink),
            Self::Near32(near) => near.parse_from(chunk, start, window, sink),
        }
    }
}

/// Whether positions in the window fit 16 bits.
fn is_narrow(window: WindowOrder) -> bool {
    window.bytes() as usize <= <u16 as Position>::MAX_CHUNK
}

/// How often at most a level tunes codeword lengths to cost less together with their header.
pub(crate) fn tune_rounds(level: Level) -> u32 {
    match level.number() {
        0..35 => 0,
        35..60 => 1,
        60..85 => 2,
        _ => 3,
    }
}

/// Makes and writes blocks; keeps what one block inherits from the one before.
#[derive(Debug)]
pub(crate) struct BlockMaker {
    pub(crate) window: WindowOrder,
    codes: BlockCodes,
    previous: Lengths,
    /// Recent offsets after the first `followed` items of the span; only raw blocks and new spans need them.
    pub(crate) recent: RecentOffsets,
    followed: usize,
    at: usize,
    tune_rounds: u32,
}

impl BlockMaker {
    const SCRATCH_BYTES: usize = BlockCodes::SCRATCH_BYTES + size_of::<Self>();

    fn new(window: WindowOrder, level: Level) -> Self {
        Self {
            window,
            codes: BlockCodes::new(),
            previous: Lengths::ZERO,
            recent: RecentOffsets::INITIAL,
            followed: 0,
            at: 0,
            tune_rounds: tune_rounds(level),
        }
    }

    fn start(&mut self) {
        self.previous = Lengths::ZERO;
        self.recent = RecentOffsets::INITIAL;
        self.followed = 0;
        self.at = 0;
    }

    /// Writes `items[range]`, the next ones of the span, as one block; `frequencies` are theirs.
    pub(crate) fn write(
        &mut self,
        chunk: &PaddedChunk,
        (items, range): (&[Item], Range<usize>),
        frequencies: &Frequencies,
        writer: &mut Forward16Writer<'_>,
    ) {
        self.codes.make(self.window, frequencies, &self.previous, self.tune_rounds);
        if self.codes.kind == Kind::Uncompressed {
            self.follow(&items[..range.end]);
        } else {
            self.previous.clone_from(&self.codes.lengths);
        }
        let bytes = &chunk.bytes()[self.at..self.at + frequencies.bytes];
        self.codes.write(self.window, &items[range], bytes, self.recent, writer);
        self.at += frequencies.bytes;
    }

    /// Ends a span of which `items` are all: the next one starts with the recent offsets after them.
    pub(crate) fn end_span(&mut self, items: &[Item]) {
        self.follow(items);
        self.followed = 0;
    }

    /// Brings the recent offsets up to the end of `items`, the span's first ones.
    fn follow(&mut self, items: &[Item]) {
        self.recent = recent_after(self.recent, &items[self.followed..]);
        self.followed = items.len();
    }
}

/// The recent offsets after `items`.
pub(crate) fn recent_after(mut recent: RecentOffsets, items: &[Item]) -> RecentOffsets {
    for item in items {
        if item.is_match() {
            let slot = item.slot();
            recent = if slot < 3 {
                recent.swap(slot as u32)
            } else {
                recent.push((OFFSET_BASE[slot] + item.extra) as usize)
            };
        }
    }
    recent
}

/// Levels below [`FIRST_LAZY`].
#[derive(Debug)]
pub(crate) struct Quick {
    table: QuickTable,
    blocks: QuickBlocks,
}

/// Items that are counted as they come, in blocks of a fixed size: where the data change is not asked.
#[derive(Debug)]
struct QuickBlocks {
    items: Vec<Item>,
    frequencies: Vec<Frequencies>,
    ends: Vec<usize>,
    current: Box<Frequencies>,
}

impl QuickBlocks {
    const BLOCK_BYTES: usize = 32 << 10;

    fn clear(&mut self) {
        self.items.clear();
        self.frequencies.clear();
        self.ends.clear();
        *self.current = Frequencies::ZERO;
    }

    fn add_match(&mut self, item: Item) {
        self.items.push(item);
        self.current.add(&[item]);
        if self.current.bytes >= Self::BLOCK_BYTES {
            self.end_block();
        }
    }

    /// Ends the block, if it has items.
    fn end_block(&mut self) {
        if self.current.bytes > 0 {
            self.ends.push(self.items.len());
            self.frequencies.push(std::mem::replace(&mut *self.current, Frequencies::ZERO));
        }
    }
}

impl ItemSink for QuickBlocks {
    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.items.push(Item::literal(byte));
        self.current.main[usize::from(byte)] += 1;
        self.current.bytes += 1;
    }

    #[inline(always)]
    fn explicit(&mut self, length: usize, offset: usize) {
        self.add_match(Item::explicit(length, offset));
    }

    #[inline(always)]
    fn repeat(&mut self, length: usize, index: u32) {
        self.add_match(Item::repeat(length, index));
    }
}

impl Quick {
    fn new(window: WindowOrder) -> Self {
        let bytes = window.bytes() as usize;
        let blocks = QuickBlocks {
            items: Vec::with_capacity(bytes),
            frequencies: Vec::new(),
            ends: Vec::new(),
            current: Box::new(Frequencies::ZERO),
        };
        Self { table: QuickTable::new(bytes), blocks }
    }

    fn scratch_bytes(window: WindowOrder) -> usize {
        let bytes = window.bytes() as usize;
        let blocks = bytes / QuickBlocks::BLOCK_BYTES + 2;
        size_of::<Self>()
            + QuickTable::scratch_bytes(bytes)
            + bytes * size_of::<Item>()
            // Lists that grow have up to twice as much room.
            + 2 * blocks * (size_of::<Frequencies>() + size_of::<usize>())
    }

    fn parse(&mut self, chunk: &PaddedChunk, start: (usize, RecentOffsets)) {
        self.blocks.clear();
        quick_from::<Rules>(chunk, start, &mut self.table, &mut self.blocks);
        self.blocks.end_block();
    }

    fn parse_from(
        &mut self,
        chunk: &PaddedChunk,
        start: (usize, RecentOffsets),
        sink: &mut dyn FnMut(&[Item], &[usize]),
    ) {
        self.parse(chunk, start);
        sink(&self.blocks.items, &self.blocks.ends);
    }

    fn encode(&mut self, chunk: &PaddedChunk, block: &mut BlockMaker, writer: &mut Forward16Writer<'_>) {
        self.parse(chunk, (0, RecentOffsets::INITIAL));
        let mut start = 0;
        for (&end, frequencies) in self.blocks.ends.iter().zip(&self.blocks.frequencies) {
            block.write(chunk, (&self.blocks.items, start..end), frequencies, writer);
            start = end;
        }
    }
}

/// Levels from [`FIRST_LAZY`] to [`FIRST_NEAR_OPTIMAL`].
#[derive(Debug)]
pub(crate) struct Lazy<P> {
    finder: HashChains<P>,
    effort: SearchEffort,
    items: Items,
    splitter: Splitter,
}

impl<P: Position> Lazy<P> {
    /// Blocks end at multiples of about this many bytes.
    const PIECE_BYTES: usize = 4096;

    fn new(window: WindowOrder, level: Level) -> Self {
        let bytes = window.bytes() as usize;
        let number = level.number().max(1);
        Self {
            finder: HashChains::new(bytes),
            effort: SearchEffort { depth: 7 * number / 4 + 1, nice_length: (72 * number / 20) as usize },
            items: Items(Vec::with_capacity(bytes)),
            splitter: Splitter::default(),
        }
    }

    fn scratch_bytes(window: WindowOrder) -> usize {
        let bytes = window.bytes() as usize;
        size_of::<Self>()
            + HashChains::<P>::scratch_bytes(bytes)
            + bytes * size_of::<Item>()
            + Splitter::scratch_bytes(bytes, Self::PIECE_BYTES)
    }

    fn parse_from(
        &mut self,
        chunk: &PaddedChunk,
        start: (usize, RecentOffsets),
        window: WindowOrder,
        sink: &mut dyn FnMut(&[Item], &[usize]),
    ) {
        self.items.0.clear();
        lazy_from::<P, Rules>(chunk, start, &mut self.finder, self.effort, &mut self.items);
        let blocks = self.splitter.split(&self.items.0, window, Self::PIECE_BYTES);
        let ends: Vec<usize> = blocks.map(|(_, end)| end).collect();
        sink(&self.items.0, &ends);
    }

    fn encode(&mut self, chunk: &PaddedChunk, block: &mut BlockMaker, writer: &mut Forward16Writer<'_>) {
        self.items.0.clear();
        lazy::<P, Rules>(chunk, &mut self.finder, self.effort, &mut self.items);
        let mut start = 0;
        for (frequencies, end) in self.splitter.split(&self.items.0, block.window, Self::PIECE_BYTES) {
            block.write(chunk, (&self.items.0, start..end), frequencies, writer);
            start = end;
        }
    }
}
