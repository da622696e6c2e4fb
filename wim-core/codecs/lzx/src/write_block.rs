//! Writing one LZX block: codes, the choice of its type, the header and the body.
//!
//! Codeword lengths travel as differences to those of the block before, through a precode of their own ([MS-PATCH]
//! 2.5). What goes into a block is decided elsewhere; here its exact size in bits is known before anything is written.

use crate::format::{
    ALIGNED_LEN_BITS, BLOCK_ALIGNED, BLOCK_TYPE_BITS, BLOCK_UNCOMPRESSED, BLOCK_VERBATIM,
    DEFAULT_BLOCK_BYTES, LENGTH_DELTA_MODULUS, MAX_ALIGNED_LEN, MAX_LENGTH_LEN, MAX_MAIN_LEN,
    MAX_PRECODE_LEN, NUM_ALIGNED_SYMBOLS, NUM_LENGTH_SYMBOLS, NUM_LITERALS, NUM_PRECODE_SYMBOLS,
    PRECODE_LEN_BITS, PRECODE_REPEAT, PRECODE_ZEROS_LONG, PRECODE_ZEROS_SHORT, WindowOrder,
};
use crate::items::{EXTRA_BITS, FIRST_ALIGNED_SLOT, Frequencies, Item, LENGTH_ROOM, MAIN_ROOM};
use crate::tune_lengths::LengthTuner;
use lz_kit::bitstream::Forward16Writer;
use lz_kit::huffman::codewords::assign;
use lz_kit::huffman::{BIT, LengthBuilder};
use lz_kit::lz77::RecentOffsets;

/// Codeword lengths of the main and the length code: what the next block's lengths are compared with.
#[derive(Clone, Debug)]
pub(crate) struct Lengths {
    pub(crate) main: [u8; MAIN_ROOM],
    pub(crate) length: [u8; LENGTH_ROOM],
}

impl Lengths {
    /// Before the first block all lengths are 0.
    pub(crate) const ZERO: Self = Self { main: [0; MAIN_ROOM], length: [0; LENGTH_ROOM] };
}

/// One symbol of the precode with its extra bits.
#[derive(Clone, Copy, Debug)]
struct Token {
    symbol: u8,
    extra: u8,
}

/// A list of codeword lengths as precode tokens, with the precode for them.
#[derive(Debug, Default)]
struct CodedList {
    tokens: Vec<Token>,
    precode: [u8; NUM_PRECODE_SYMBOLS],
    bits: u64,
}

const fn token_extra_bits(symbol: u32) -> u32 {
    match symbol {
        PRECODE_ZEROS_SHORT => 4,
        PRECODE_ZEROS_LONG => 5,
        PRECODE_REPEAT => 1,
        _ => 0,
    }
}

/// The precode symbol that turns a previous codeword length into a new one.
fn delta(old: u8, new: u8) -> u8 {
    if old >= new { old - new } else { old + LENGTH_DELTA_MODULUS - new }
}

impl CodedList {
    /// What each precode symbol costs, in units of 1/64 bit; more than the longest if it is not in use.
    fn symbol_costs(&self) -> [u16; NUM_PRECODE_SYMBOLS] {
        let longest = self.precode.iter().copied().max().unwrap_or(0);
        self.precode.map(|len| u16::from(if len == 0 { longest + 2 } else { len }) * BIT as u16)
    }

    /// Codes `new` as differences to `old`.
    fn code(&mut self, new: &[u8], old: &[u8], builder: &mut LengthBuilder) {
        self.tokens.clear();
        let mut i = 0;
        while i < new.len() {
            let value = new[i];
            let mut run = 1;
            while i + run < new.len() && new[i + run] == value {
                run += 1;
            }
            if value == 0 {
                while run >= 20 {
                    let count = run.min(20 + 31);
                    self.push(PRECODE_ZEROS_LONG, count - 20);
                    run -= count;
                    i += count;
                }
                if run >= 4 {
                    self.push(PRECODE_ZEROS_SHORT, run - 4);
                    i += run;
                    run = 0;
                }
            } else {
                while run >= 4 {
                    let count = run.min(5);
                    self.push(PRECODE_REPEAT, count - 4);
                    self.push(u32::from(delta(old[i], value)), 0);
                    run -= count;
                    i += count;
                }
            }
            for _ in 0..run {
                self.push(u32::from(delta(old[i], value)), 0);
                i += 1;
            }
        }
        let mut frequencies = [0u32; NUM_PRECODE_SYMBOLS];
        for token in &self.tokens {
            frequencies[usize::from(token.symbol) % NUM_PRECODE_SYMBOLS] += 1;
        }
        builder.build(&frequencies, MAX_PRECODE_LEN, &mut self.precode);
        self.bits = u64::from(PRECODE_LEN_BITS) * NUM_PRECODE_SYMBOLS as u64;
        for (symbol, (&f, &len)) in (0..).zip(frequencies.iter().zip(&self.precode)) {
            self.bits += u64::from(f) * u64::from(u32::from(len) + token_extra_bits(symbol));
        }
    }

    fn push(&mut self, symbol: u32, extra: usize) {
        self.tokens.push(Token { symbol: symbol as u8, extra: extra as u8 });
    }

    fn write(&self, writer: &mut Forward16Writer<'_>) {
        let mut codewords = [0; NUM_PRECODE_SYMBOLS];
        assign(&self.precode, &mut codewords);
        for &len in &self.precode {
            writer.put(u32::from(len), PRECODE_LEN_BITS);
            writer.flush();
        }
        for token in &self.tokens {
            let symbol = usize::from(token.symbol) % NUM_PRECODE_SYMBOLS;
            writer.put(u32::from(codewords[symbol]), u32::from(self.precode[symbol]));
            writer.put(u32::from(token.extra), token_extra_bits(symbol as u32));
            writer.flush();
        }
    }
}

/// What a block will look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Offsets written out.
    Verbatim,
    /// Low three offset bits coded.
    Aligned,
    /// Raw bytes.
    Uncompressed,
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Self::Verbatim => BLOCK_VERBATIM,
            Self::Aligned => BLOCK_ALIGNED,
            Self::Uncompressed => BLOCK_UNCOMPRESSED,
        }
    }
}

/// What stands between the size of a raw block and its bytes.
fn write_raw_start(recent: RecentOffsets, writer: &mut Forward16Writer<'_>) {
    writer.align_skipping_at_least_one_bit();
    for index in 0..3 {
        writer.put_bytes(&(recent.get(index) as u32).to_le_bytes());
    }
}

/// The codes of one block with its exact size, and the scratch to make them.
#[derive(Debug)]
pub(crate) struct BlockCodes {
    pub(crate) lengths: Lengths,
    pub(crate) aligned: [u8; NUM_ALIGNED_SYMBOLS],
    pub(crate) kind: Kind,
    /// The better of the kinds that have codes.
    coded_kind: Kind,
    /// Exact size of header and body, in bits; of an uncompressed block the most it can be.
    pub(crate) bits: u64,
    lists: [CodedList; 3],
    builder: LengthBuilder,
    tuner: LengthTuner,
}

/// Bits of an uncompressed block beside its bytes: type and size, 16 bits to the boundary, three offsets, a pad byte.
const UNCOMPRESSED_OVERHEAD_BITS: u64 = 3 + 25 + 16 + 96 + 8;

impl BlockCodes {
    pub(crate) fn new() -> Self {
        Self {
            lengths: Lengths::ZERO,
            aligned: [0; NUM_ALIGNED_SYMBOLS],
            kind: Kind::Verbatim,
            coded_kind: Kind::Verbatim,
            bits: 0,
            lists: Default::default(),
            builder: LengthBuilder::new(),
            tuner: LengthTuner::default(),
        }
    }

    /// Upper bound of the memory held, in bytes.
    pub(crate) const SCRATCH_BYTES: usize =
        size_of::<Self>() + LengthBuilder::SCRATCH_BYTES + LengthTuner::SCRATCH_BYTES + 4 * MAIN_ROOM;

    /// Makes the best codes for `frequencies` after a block with lengths `previous`, and chooses the kind of block.
    ///
    /// `rounds` is how often at most the lengths are tuned to cost less together with their header.
    pub(crate) fn make(
        &mut self,
        window: WindowOrder,
        frequencies: &Frequencies,
        previous: &Lengths,
        rounds: u32,
    ) {
        let mains = window.num_main_symbols();
        self.builder.build(&frequencies.main[..mains], MAX_MAIN_LEN, &mut self.lengths.main[..mains]);
        self.builder.build(
            &frequencies.length[..NUM_LENGTH_SYMBOLS],
            MAX_LENGTH_LEN,
            &mut self.lengths.length[..NUM_LENGTH_SYMBOLS],
        );
        self.builder.build(&frequencies.aligned, MAX_ALIGNED_LEN, &mut self.aligned);
        self.code_lists(window, previous);
        self.choose(frequencies);
        for _ in 0..rounds {
            if !self.tune(window, frequencies, previous) {
                break;
            }
        }
    }

    /// Tries lengths that are cheaper with their header; false when the block did not become smaller.
    fn tune(&mut self, window: WindowOrder, frequencies: &Frequencies, previous: &Lengths) -> bool {
        let mains = window.num_main_symbols();
        let before = (self.lengths.clone(), self.kind, self.bits, self.coded_kind);
        let costs: [[u16; NUM_PRECODE_SYMBOLS]; 3] = core::array::from_fn(|i| self.lists[i].symbol_costs());
        self.tuner.tune(
            &frequencies.main[..mains],
            &mut self.lengths.main[..mains],
            MAX_MAIN_LEN as u8,
            |symbol, length| {
                costs[usize::from(symbol >= NUM_LITERALS)][usize::from(delta(previous.main[symbol], length))]
            },
        );
        self.tuner.tune(
            &frequencies.length[..NUM_LENGTH_SYMBOLS],
            &mut self.lengths.length[..NUM_LENGTH_SYMBOLS],
            MAX_LENGTH_LEN as u8,
            |symbol, length| costs[2][usize::from(delta(previous.length[symbol], length))],
        );
        self.code_lists(window, previous);
        self.choose(frequencies);
        if self.bits < before.2 {
            return true;
        }
        (self.lengths, self.kind, self.bits, self.coded_kind) = before;
        self.code_lists(window, previous);
        false
    }

    fn code_lists(&mut self, window: WindowOrder, previous: &Lengths) {
        let mains = window.num_main_symbols();
        let [literals, matches, lengths] = &mut self.lists;
        let (new, old) = (&self.lengths, previous);
        literals.code(&new.main[..NUM_LITERALS], &old.main[..NUM_LITERALS], &mut self.builder);
        matches.code(&new.main[NUM_LITERALS..mains], &old.main[NUM_LITERALS..mains], &mut self.builder);
        lengths.code(&new.length[..NUM_LENGTH_SYMBOLS], &old.length[..NUM_LENGTH_SYMBOLS], &mut self.builder);
    }

    fn choose(&mut self, frequencies: &Frequencies) {
        let weigh = |f: &[u32], len: &[u8]| {
            f.iter().zip(len).map(|(&f, &l)| u64::from(f) * u64::from(l)).sum::<u64>()
        };
        let size_bits = if frequencies.bytes == DEFAULT_BLOCK_BYTES as usize { 1 } else { 25 };
        let verbatim = u64::from(BLOCK_TYPE_BITS)
            + size_bits
            + self.lists.iter().map(|list| list.bits).sum::<u64>()
            + weigh(&frequencies.main, &self.lengths.main)
            + weigh(&frequencies.length, &self.lengths.length)
            + frequencies.extra_bits;
        let coded: u64 = frequencies.aligned.iter().map(|&f| u64::from(f)).sum();
        let aligned = verbatim
            + u64::from(ALIGNED_LEN_BITS) * NUM_ALIGNED_SYMBOLS as u64
            + weigh(&frequencies.aligned, &self.aligned)
            - 3 * coded;
        let raw = 8 * frequencies.bytes as u64 + UNCOMPRESSED_OVERHEAD_BITS;
        self.coded_kind = if aligned < verbatim { Kind::Aligned } else { Kind::Verbatim };
        let coded = verbatim.min(aligned);
        (self.kind, self.bits) =
            if raw < coded { (Kind::Uncompressed, raw) } else { (self.coded_kind, coded) };
    }

    /// Writes the block: `items` stand for `bytes`, and `recent` is the queue after them.
    pub(crate) fn write(
        &self,
        window: WindowOrder,
        items: &[Item],
        bytes: &[u8],
        recent: RecentOffsets,
        writer: &mut Forward16Writer<'_>,
    ) {
        writer.put(self.kind.number(), BLOCK_TYPE_BITS);
        // Some decoders lose their place when an uncompressed block of the default size follows a compressed one.
        if bytes.len() == DEFAULT_BLOCK_BYTES as usize && self.kind != Kind::Uncompressed {
            writer.put(1, 1);
        } else {
            writer.put(0, 1);
            writer.put(bytes.len() as u32, if window == WindowOrder::MIN { 16 } else { 24 });
        }
        writer.flush();
        if self.kind == Kind::Uncompressed {
            write_raw_start(recent, writer);
            writer.put_bytes(bytes);
            if bytes.len() % 2 == 1 {
                writer.put_bytes(&[0]);
            }
            return;
        }
        self.write_codes(writer);
        self.write_items(items, writer);
    }

    /// Makes the block one with codes, though it would be smaller without.
    pub(crate) fn avoid_raw(&mut self) {
        self.kind = self.coded_kind;
    }

    /// Makes the block a raw one, whatever it was.
    pub(crate) fn set_raw(&mut self) {
        self.kind = Kind::Uncompressed;
    }

    /// Writes the head of a block of a cabinet, which has `bytes` bytes: up to its first item or raw byte. `recent` is the
    /// queue at the start of a raw block.
    pub(crate) fn write_cab_head(
        &self,
        bytes: usize,
        recent: RecentOffsets,
        writer: &mut Forward16Writer<'_>,
    ) {
        writer.put(self.kind.number(), BLOCK_TYPE_BITS);
        writer.put(bytes as u32, 24);
        writer.flush();
        if self.kind == Kind::Uncompressed {
            write_raw_start(recent, writer);
        } else {
            self.write_codes(writer);
        }
    }

    fn write_codes(&self, writer: &mut Forward16Writer<'_>) {
        if self.kind == Kind::Aligned {
            for &len in &self.aligned {
                writer.put(u32::from(len), ALIGNED_LEN_BITS);
            }
            writer.flush();
        }
        for list in &self.lists {
            list.write(writer);
        }
    }

    /// Writes items of a block with codes.
    pub(crate) fn write_items(&self, items: &[Item], writer: &mut Forward16Writer<'_>) {
        if self.kind == Kind::Aligned {
            self.write_items_of::<true>(items, writer);
        } else {
            self.write_items_of::<false>(items, writer);
        }
    }

    /// Between flushes: at most 16 + 16 bits of symbols, then at most 17 bits of offset or 14 + 7 aligned.
    fn write_items_of<const ALIGNED: bool>(&self, items: &[Item], writer: &mut Forward16Writer<'_>) {
        const _: () = assert!(MAX_MAIN_LEN + MAX_LENGTH_LEN + 17 <= Forward16Writer::ROOM);
        let mut main = [(0u16, 0u8); MAIN_ROOM];
        let mut length = [(0u16, 0u8); LENGTH_ROOM];
        let mut aligned = [0u16; NUM_ALIGNED_SYMBOLS];
        let mut codewords = [0u16; MAIN_ROOM];
        assign(&self.lengths.main, &mut codewords);
        for (code, (&word, &len)) in main.iter_mut().zip(codewords.iter().zip(&self.lengths.main)) {
            *code = (word, len);
        }
        assign(&self.lengths.length, &mut codewords[..LENGTH_ROOM]);
        for (code, (&word, &len)) in length.iter_mut().zip(codewords.iter().zip(&self.lengths.length)) {
            *code = (word, len);
        }
        assign(&self.aligned, &mut aligned);
        for item in items {
            let (word, len) = main[usize::from(item.main) % MAIN_ROOM];
            writer.put(u32::from(word), u32::from(len));
            if item.is_match() {
                if let Some(symbol) = item.length_symbol() {
                    let (word, len) = length[symbol % LENGTH_ROOM];
                    writer.put(u32::from(word), u32::from(len));
                }
                let slot = item.slot();
                let extra_bits = u32::from(EXTRA_BITS[slot]);
                if ALIGNED && slot >= FIRST_ALIGNED_SLOT {
                    writer.put(item.extra >> 3, extra_bits - 3);
                    writer.flush();
                    let low = item.extra as usize % NUM_ALIGNED_SYMBOLS;
                    writer.put(u32::from(aligned[low]), u32::from(self.aligned[low]));
                } else {
                    writer.put(item.extra, extra_bits);
                }
            }
            writer.flush();
        }
    }
}
