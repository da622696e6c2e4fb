//! XPRESS encoder: one chunk in, one table of codeword lengths and one bit stream out.
//!
//! The format is that of [MS-XCA] 2.1 and 2.2 with the end symbol WIMGAPI insists on. Chunks that would not become
//! smaller are refused, not stored: the container keeps those raw.

use crate::cost::{Model, NUM_SLOTS, Source, set_costs};
use crate::format::{
    END_OF_DATA, FIRST_U16_LENGTH, LENGTH_IN_BYTE, LENGTH_IN_U16, LENGTHS_BYTES, MAX_CHUNK_BYTES,
    MAX_CODEWORD_LEN, MAX_MATCH_LEN, MIN_MATCH_LEN, NUM_SYMBOLS, match_symbol,
};
use lz_kit::Level;
use lz_kit::bitstream::Interleaved16Writer;
use lz_kit::huffman::LengthBuilder;
use lz_kit::huffman::codewords::assign;
use lz_kit::lz77::{
    BinaryTrees, HashChains, Match, MatchLimits, MatchList, NoiseTest, PaddedChunk, RecentOffsets,
    SearchEffort,
};
use lz_kit::parse::{BackwardPaths, ItemSink, LazyRules, MAX_EDGE, PathCosts, first_guess, greedy, lazy};

/// Shorter chunks cannot become smaller: the table of lengths alone has 256 bytes, the stream at least 4.
const SMALLEST_CHUNK: usize = LENGTHS_BYTES + 5;

/// Levels from here on parse lazily, below greedily.
const FIRST_LAZY: u32 = 15;
/// Levels from here on parse near-optimally.
const FIRST_NEAR_OPTIMAL: u32 = 60;

/// Compresses chunks one by one; each result depends on the chunk and on what the encoder was made for.
#[derive(Debug)]
pub struct Encoder {
    chunk: PaddedChunk,
    noise: NoiseTest,
    parser: Parser,
    items: Items,
    lengths: LengthBuilder,
}

/// How the level parses.
#[derive(Debug)]
enum Parser {
    Greedy(HashChains<u16>, SearchEffort),
    Lazy(HashChains<u16>, SearchEffort),
    NearOptimal(Box<NearOptimal>),
}

impl Encoder {
    /// An encoder for chunks of at most `max_chunk_bytes`; more than [`MAX_CHUNK_BYTES`] counts as that.
    #[must_use]
    pub fn new(max_chunk_bytes: usize, level: Level) -> Self {
        let max = max_chunk_bytes.min(MAX_CHUNK_BYTES);
        let number = level.number().min(1000);
        let effort = |depth: u32, nice_length: u32| SearchEffort {
            depth: depth.max(1),
            nice_length: nice_length as usize,
        };
        let parser = if number < FIRST_LAZY {
            Parser::Greedy(HashChains::new(max), effort(number * 28 / 20, 32.max(number * 48 / 20)))
        } else if number < FIRST_NEAR_OPTIMAL {
            let depth = if number < 35 { number * 15 / 50 } else { number * 24 / 50 };
            Parser::Lazy(HashChains::new(max), effort(depth, number * 48 / 50))
        } else {
            Parser::NearOptimal(Box::new(NearOptimal::new(
                max,
                number,
                effort(number * 16 / 50, number * 32 / 50),
            )))
        };
        Self {
            chunk: PaddedChunk::new(max),
            noise: NoiseTest::new(max),
            parser,
            items: Items::new(max),
            lengths: LengthBuilder::new(),
        }
    }

    /// Bytes of memory that an encoder made with the same arguments holds.
    #[must_use]
    pub fn scratch_bytes(max_chunk_bytes: usize, level: Level) -> usize {
        let max = max_chunk_bytes.min(MAX_CHUNK_BYTES);
        let parser = if level.number() < FIRST_NEAR_OPTIMAL {
            HashChains::<u16>::scratch_bytes(max)
        } else {
            NearOptimal::scratch_bytes(max)
        };
        size_of::<Self>()
            + PaddedChunk::scratch_bytes(max)
            + NoiseTest::scratch_bytes(max)
            + parser
            + size_of::<Item>() * (max + 1)
            + LengthBuilder::SCRATCH_BYTES
    }

    /// Compresses one chunk. None: it does not fit into `out`, or is longer than the encoder was made for.
    ///
    /// Callers pass `chunk.len() - 1` bytes: a chunk that would not shrink is stored raw.
    pub fn encode(&mut self, chunk: &[u8], out: &mut [u8]) -> Option<usize> {
        if chunk.len() < SMALLEST_CHUNK || out.len() < SMALLEST_CHUNK {
            return None;
        }
        if self.noise.is_noise(chunk) || !self.chunk.set(chunk) {
            return None;
        }
        self.items.clear();
        match &mut self.parser {
            Parser::Greedy(finder, effort) => {
                greedy::<u16, Rules>(&self.chunk, finder, *effort, &mut self.items);
            }
            Parser::Lazy(finder, effort) => lazy::<u16, Rules>(&self.chunk, finder, *effort, &mut self.items),
            Parser::NearOptimal(near) => near.parse(&self.chunk, &mut self.items),
        }
        self.items.frequencies[END_OF_DATA] += 1;
        let mut lengths = [0; NUM_SYMBOLS];
        self.lengths.build(&self.items.frequencies, MAX_CODEWORD_LEN, &mut lengths);
        write(&self.items, &lengths, out)
    }
}

/// Levels from [`FIRST_NEAR_OPTIMAL`] on.
#[derive(Debug)]
struct NearOptimal {
    finder: BinaryTrees<u16>,
    effort: SearchEffort,
    passes: u32,
    matches: MatchList,
    paths: BackwardPaths,
    costs: PathCosts,
}

impl NearOptimal {
    fn new(max_chunk_bytes: usize, number: u32, effort: SearchEffort) -> Self {
        Self {
            finder: BinaryTrees::new(max_chunk_bytes),
            effort,
            passes: if number < 80 { 1 } else { number.div_ceil(50).min(8) },
            matches: MatchList::new(max_chunk_bytes),
            paths: BackwardPaths::new(max_chunk_bytes, NUM_SLOTS),
            costs: PathCosts::new(NUM_SLOTS),
        }
    }

    fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        size_of::<Self>()
            + BinaryTrees::<u16>::scratch_bytes(max_chunk_bytes)
            + MatchList::<Match>::scratch_bytes(max_chunk_bytes)
            + BackwardPaths::scratch_bytes(max_chunk_bytes, NUM_SLOTS)
            + PathCosts::scratch_bytes(NUM_SLOTS)
    }

    /// Parses the whole chunk: quickly first, then by cheapest path with the costs of the parse before.
    fn parse(&mut self, chunk: &PaddedChunk, items: &mut Items) {
        // XPRESS offsets reach everywhere, and two-byte matches do not exist.
        let limits = MatchLimits { max_length: MAX_EDGE, max_offset_of_two: 0 };
        self.finder.start();
        self.matches.clear();
        self.finder.list_matches(chunk, chunk.len(), limits, self.effort, &mut self.matches);
        first_guess::<Rules>(chunk, (0, chunk.len()), (&self.matches, 0), RecentOffsets::INITIAL, items);
        for pass in 0..self.passes {
            let source = if pass == 0 { Source::Guess } else { Source::Parse };
            items.frequencies[END_OF_DATA] += 1;
            set_costs(&mut self.costs, &items.frequencies, source);
            items.clear();
            let mut joined = Joined { items, pending: (0, 0) };
            self.paths.find::<Model>(chunk, &self.matches, &self.costs, &mut joined);
            joined.finish();
        }
    }
}

/// Joins neighbouring matches with the same offset: the path finder's edges are shorter than XPRESS matches may be.
struct Joined<'a> {
    items: &'a mut Items,
    /// Length and offset of the match not yet sent on; length 0 for none.
    pending: (usize, usize),
}

impl Joined<'_> {
    #[inline(always)]
    fn finish(&mut self) {
        if self.pending.0 > 0 {
            self.items.explicit(self.pending.0, self.pending.1);
            self.pending.0 = 0;
        }
    }
}

impl ItemSink for Joined<'_> {
    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.finish();
        self.items.literal(byte);
    }

    #[inline(always)]
    fn explicit(&mut self, length: usize, offset: usize) {
        if self.pending.1 == offset && self.pending.0 > 0 && self.pending.0 + length <= MAX_MATCH_LEN {
            self.pending.0 += length;
        } else {
            self.finish();
            self.pending = (length, offset);
        }
    }

    fn repeat(&mut self, length: usize, index: u32) {
        self.items.repeat(length, index);
    }
}

/// A literal or a match, ready to be written.
#[derive(Clone, Copy, Debug)]
struct Item {
    symbol: u16,
    /// Length less three, for matches.
    length: u16,
    /// Offset without its highest bit; as many bits as the symbol says.
    extra: u16,
}

/// The items of one chunk and how often each symbol occurs.
#[derive(Debug)]
struct Items {
    items: Vec<Item>,
    frequencies: [u32; NUM_SYMBOLS],
    embedded_bytes: usize,
}

impl Items {
    fn new(max_chunk_bytes: usize) -> Self {
        Self { items: Vec::with_capacity(max_chunk_bytes), frequencies: [0; NUM_SYMBOLS], embedded_bytes: 0 }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.frequencies = [0; NUM_SYMBOLS];
        self.embedded_bytes = 0;
    }
}

impl ItemSink for Items {
    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.frequencies[usize::from(byte)] += 1;
        self.items.push(Item { symbol: u16::from(byte), length: 0, extra: 0 });
    }

    #[inline(always)]
    fn explicit(&mut self, length: usize, offset: usize) {
        let log2 = offset.ilog2();
        let length = length - MIN_MATCH_LEN;
        let symbol = match_symbol(length.min(LENGTH_IN_BYTE), log2 as usize);
        self.frequencies[symbol % NUM_SYMBOLS] += 1;
        self.items.push(Item {
            symbol: symbol as u16,
            length: length as u16,
            extra: (offset ^ (1 << log2)) as u16,
        });
    }

    fn repeat(&mut self, _length: usize, _index: u32) {
        debug_assert!(false, "XPRESS has no recent offsets");
    }
}

/// Writes the table of lengths, the items and the end symbol.
fn write(items: &Items, lengths: &[u8; NUM_SYMBOLS], out: &mut [u8]) -> Option<usize> {
    let mut codewords = [0; NUM_SYMBOLS];
    assign(lengths, &mut codewords);
    for (byte, pair) in out.iter_mut().zip(lengths.chunks_exact(2)) {
        *byte = pair[0] | pair[1] << 4;
    }
    let mut writer = Interleaved16Writer::new(out, LENGTHS_BYTES);
    for item in &items.items {
        let symbol = usize::from(item.symbol) % NUM_SYMBOLS;
        writer.put(u32::from(codewords[symbol]), u32::from(lengths[symbol]));
        if symbol >= END_OF_DATA {
            if symbol & LENGTH_IN_BYTE == LENGTH_IN_BYTE {
                writer.flush();
                if usize::from(item.length) < FIRST_U16_LENGTH {
                    writer.put_bytes(&[(item.length - LENGTH_IN_BYTE as u16) as u8]);
                } else {
                    let [low, high] = item.length.to_le_bytes();
                    writer.put_bytes(&[LENGTH_IN_U16 as u8, low, high]);
                }
            }
            writer.put(u32::from(item.extra), ((symbol >> 4) & 15) as u32);
        }
        writer.flush();
    }
    writer.put(u32::from(codewords[END_OF_DATA]), u32::from(lengths[END_OF_DATA]));
    writer.finish()
}

/// How the lazy parser weighs XPRESS matches.
struct Rules;

impl LazyRules for Rules {
    const RECENT: bool = false;
    const MAX_LENGTH: usize = MAX_MATCH_LEN;

    #[inline(always)]
    fn pays(length: usize, offset: usize) -> bool {
        length > 3 || offset < 4096
    }

    #[inline(always)]
    fn explicit_score(length: usize, offset: usize) -> usize {
        4 * length + (16 - offset.ilog2() as usize) / 2
    }

    fn repeat_score(_length: usize, _index: u32) -> usize {
        0
    }
}
