//! XPRESS encoder: one chunk in, one table of codeword lengths and one bit stream out.
//!
//! The format is that of [MS-XCA] 2.1 and 2.2 with the end symbol WIMGAPI insists on. Chunks that would not become
//! smaller are refused, not stored: the container keeps those raw.

use crate::format::{
    END_OF_DATA, FIRST_U16_LENGTH, LENGTH_IN_BYTE, LENGTH_IN_U16, LENGTHS_BYTES, MAX_CHUNK_BYTES,
    MAX_CODEWORD_LEN, MAX_MATCH_LEN, MIN_MATCH_LEN, NUM_SYMBOLS, match_symbol,
};
use lz_kit::Level;
use lz_kit::bitstream::Interleaved16Writer;
use lz_kit::huffman::{LengthBuilder, assign_codewords};
use lz_kit::lz77::{HashChains, PaddedChunk, SearchEffort};
use lz_kit::parse::{ItemSink, LazyRules, greedy, lazy};

/// Shorter chunks cannot become smaller: the table of lengths alone has 256 bytes, the stream at least 4.
const SMALLEST_CHUNK: usize = LENGTHS_BYTES + 5;

/// Compresses chunks one by one; each result depends on the chunk and the level alone.
#[derive(Debug)]
pub struct Encoder {
    level: Level,
    chunk: PaddedChunk,
    finder: HashChains<u16>,
    items: Items,
    lengths: LengthBuilder,
}

impl Encoder {
    /// An encoder for chunks of at most `max_chunk_bytes`; more than [`MAX_CHUNK_BYTES`] counts as that.
    #[must_use]
    pub fn new(max_chunk_bytes: usize, level: Level) -> Self {
        let max = max_chunk_bytes.min(MAX_CHUNK_BYTES);
        Self {
            level,
            chunk: PaddedChunk::new(max),
            finder: HashChains::new(max),
            items: Items::new(max),
            lengths: LengthBuilder::new(),
        }
    }

    /// Bytes of memory that an encoder made with the same arguments holds.
    #[must_use]
    pub fn scratch_bytes(max_chunk_bytes: usize, _level: Level) -> usize {
        let max = max_chunk_bytes.min(MAX_CHUNK_BYTES);
        PaddedChunk::scratch_bytes(max)
            + HashChains::<u16>::scratch_bytes(max)
            + size_of::<Item>() * (max + 1)
            + size_of::<Self>()
            + LengthBuilder::SCRATCH_BYTES
    }

    /// Compresses one chunk. None: it does not fit into `out`, or is longer than the encoder was made for.
    ///
    /// Callers pass `chunk.len() - 1` bytes: a chunk that would not shrink is stored raw.
    pub fn encode(&mut self, chunk: &[u8], out: &mut [u8]) -> Option<usize> {
        if chunk.len() < SMALLEST_CHUNK || out.len() < SMALLEST_CHUNK || !self.chunk.set(chunk) {
            return None;
        }
        self.items.clear();
        let number = self.level.number();
        if number < 30 {
            let effort = SearchEffort { depth: 8 + number / 2, nice_length: 32 };
            greedy::<u16, Rules>(&self.chunk, &mut self.finder, effort, &mut self.items);
        } else {
            let effort = SearchEffort { depth: number * 24 / 50, nice_length: (number * 48 / 50) as usize };
            lazy::<u16, Rules>(&self.chunk, &mut self.finder, effort, &mut self.items);
        }
        self.items.frequencies[END_OF_DATA] += 1;
        let mut lengths = [0; NUM_SYMBOLS];
        self.lengths.build(&self.items.frequencies, MAX_CODEWORD_LEN, &mut lengths);
        write(&self.items, &lengths, out)
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
    assign_codewords(lengths, &mut codewords);
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
