//! What each literal and match will cost, from the symbol frequencies of an earlier parse.
//!
//! An ideal code's fractional lengths are used rather than codeword lengths: they move smoothly from pass to pass, and
//! symbols not seen so far keep a finite cost. Costs are in units of 1/64 bit.

use crate::format::{
    ALIGNED_LEN_BITS, FIRST_CODED_LEN, MAX_ALIGNED_LEN, MAX_MATCH_LEN, MIN_MATCH_LEN, NUM_ALIGNED_SYMBOLS,
    NUM_LENGTH_HEADERS, NUM_LENGTH_SYMBOLS, NUM_LITERALS, WindowOrder,
};
use crate::items::{EXTRA_BITS, FIRST_ALIGNED_SLOT, Frequencies, MAIN_ROOM};
use crate::write_block::Lengths;
use lz_kit::huffman::{BIT, entropy_cost, log2_cost};
use lz_kit::parse::{PathCosts, PathModel};

/// Scaled prior frequency of every symbol.
const PRIOR: u32 = 6;
/// Frequencies are scaled by this before the prior is added.
const SCALE: u32 = 16;
/// No codeword of the main or length code is longer, in units of cost.
const MAX_SYMBOL_COST: u32 = 16 * BIT;

/// LZX for the path finder.
pub(crate) struct Model;

impl PathModel for Model {
    const MIN_LENGTH: usize = MIN_MATCH_LEN;

    #[inline(always)]
    fn slot(offset: usize) -> usize {
        crate::format::offset_slot(offset as u32)
    }

    /// Slots with an aligned part use the upper half of the table, by the low three bits of offset - base.
    #[inline(always)]
    fn low(slot: usize, offset: usize) -> usize {
        ((offset + 2) & 7) | (usize::from(slot >= FIRST_ALIGNED_SLOT) << 3)
    }
}

/// Where the frequencies come from, and so how far they can be trusted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// A quick parse: its literals are good, but it takes long matches where the final parse takes cheap ones.
    Guess,
    /// An earlier near-optimal parse.
    Parse,
    /// As before; the lengths of codes made for it are the costs of the symbols in use.
    Codes(&'a Lengths),
}

/// Weights of what was seen and of [`MATCH_HABITS`] in the expected frequencies of match symbols; their sum is about
/// [`SCALE`], so that matches and literals keep their proportion.
#[derive(Clone, Copy, Debug)]
struct Trust {
    seen: u32,
    habit: u32,
}

impl Source<'_> {
    fn trust(self) -> Trust {
        match self {
            Self::Guess => Trust { seen: 4, habit: 12 },
            Self::Parse | Self::Codes(_) => Trust { seen: 16, habit: 1 },
        }
    }
}

/// Sets `costs` for a block whose symbols are expected to have `frequencies`.
pub(crate) fn set_costs(
    costs: &mut PathCosts,
    window: WindowOrder,
    frequencies: &Frequencies,
    source: Source<'_>,
) {
    let trust = source.trust();
    let mains = window.num_main_symbols();
    let mut main = [0u16; MAIN_ROOM];
    let symbol_cost =
        |total: u32, f: u32| (log2_cost(total) - log2_cost(f)).clamp(BIT / 4, MAX_SYMBOL_COST) as u16;
    let matches: u32 = frequencies.main[NUM_LITERALS..mains].iter().sum();
    let mut expected = [0u32; MAIN_ROOM];
    for (expected, &f) in expected[..NUM_LITERALS].iter_mut().zip(&frequencies.main) {
        *expected = f * SCALE + PRIOR;
    }
    for (symbol, expected) in expected[..mains].iter_mut().enumerate().skip(NUM_LITERALS) {
        let (slot, header) = ((symbol - NUM_LITERALS) / NUM_LENGTH_HEADERS, symbol % NUM_LENGTH_HEADERS);
        let habit = u64::from(MATCH_HABITS[slot][header]) * u64::from(matches * trust.habit) / 10_000;
        *expected = frequencies.main[symbol] * trust.seen + habit as u32 + PRIOR;
    }
    let total: u32 = expected.iter().sum();
    for (cost, &f) in main[..mains].iter_mut().zip(&expected) {
        *cost = symbol_cost(total, f);
    }
    if let Source::Codes(codes) = source {
        for ((cost, &len), &f) in main[..mains].iter_mut().zip(&codes.main).zip(&frequencies.main) {
            if f > 0 && len > 0 {
                *cost = u16::from(len) * BIT as u16;
            }
        }
    }
    costs.literal.copy_from_slice(&main[..NUM_LITERALS]);
    let total = frequencies.length.iter().sum::<u32>() * SCALE + NUM_LENGTH_SYMBOLS as u32 * PRIOR;
    let mut length = [0u16; NUM_LENGTH_SYMBOLS];
    for (cost, &f) in length.iter_mut().zip(&frequencies.length) {
        *cost = symbol_cost(total, f * SCALE + PRIOR);
    }
    if let Source::Codes(codes) = source {
        for ((cost, &len), &f) in length.iter_mut().zip(&codes.length).zip(&frequencies.length) {
            if f > 0 && len > 0 {
                *cost = u16::from(len) * BIT as u16;
            }
        }
    }
    let aligned = set_aligned_costs(costs, frequencies);
    for slot in 0..window.num_offset_slots() {
        let row = &mut costs.rows[slot];
        let coded = if aligned && slot >= FIRST_ALIGNED_SLOT { 3 } else { 0 };
        let extra = (u32::from(EXTRA_BITS[slot]) - coded) * BIT;
        let headers = &main[NUM_LITERALS + slot * NUM_LENGTH_HEADERS..][..NUM_LENGTH_HEADERS];
        for (cost, &header) in row[MIN_MATCH_LEN..].iter_mut().zip(headers) {
            *cost = header + extra as u16;
        }
        let base = headers[NUM_LENGTH_HEADERS - 1] + extra as u16;
        for (cost, &length) in row[FIRST_CODED_LEN..=MAX_MATCH_LEN].iter_mut().zip(&length) {
            *cost = base + length;
        }
    }
}
/// Sets what the low three bits of offsets cost; false when a verbatim block seems better, where they cost their size.
fn set_aligned_costs(costs: &mut PathCosts, frequencies: &Frequencies) -> bool {
    costs.low = [0; 16];
    let total: u32 = frequencies.aligned.iter().sum();
    let (coded, _) = entropy_cost(&frequencies.aligned);
    let header = u64::from(ALIGNED_LEN_BITS * NUM_ALIGNED_SYMBOLS as u32 * BIT);
    if coded + header >= 3 * u64::from(total * BIT) {
        return false;
    }
    for (cost, &f) in costs.low[NUM_ALIGNED_SYMBOLS..].iter_mut().zip(&frequencies.aligned) {
        *cost = (log2_cost(total * SCALE + 16) - log2_cost(f * SCALE + 2))
            .clamp(BIT / 4, MAX_ALIGNED_LEN * BIT) as u16;
    }
    true
}

/// How matches are usually spread over offset slots and length headers, in parts of 10,000: the mean of near-optimal
/// parses of PE files in 32 KiB chunks; slots beyond those continue the pattern. Only a prior: any values are correct.
const MATCH_HABITS: [[u16; NUM_LENGTH_HEADERS]; 50] = [
    [351, 628, 246, 263, 211, 250, 84, 648],
    [72, 157, 68, 28, 42, 43, 25, 118],
    [34, 93, 38, 13, 17, 24, 14, 47],
    [8, 5, 4, 3, 3, 2, 8, 10],
    [27, 3, 1, 1, 1, 1, 1, 1],
    [56, 76, 8, 1, 1, 1, 1, 1],
    [67, 82, 24, 11, 7, 12, 3, 2],
    [53, 68, 18, 10, 7, 4, 3, 4],
    [72, 94, 35, 23, 15, 15, 12, 45],
    [50, 64, 25, 17, 11, 11, 9, 23],
    [59, 103, 40, 32, 19, 23, 15, 62],
    [41, 77, 39, 26, 15, 17, 13, 50],
    [34, 107, 51, 34, 22, 24, 17, 68],
    [24, 81, 40, 24, 17, 17, 13, 51],
    [13, 113, 59, 37, 26, 23, 18, 74],
    [8, 79, 46, 29, 18, 15, 12, 50],
    [3, 108, 66, 44, 27, 24, 19, 73],
    [2, 78, 48, 30, 18, 16, 14, 52],
    [1, 101, 70, 44, 27, 22, 19, 71],
    [1, 75, 51, 32, 19, 17, 14, 50],
    [1, 105, 71, 46, 27, 22, 20, 73],
    [1, 71, 51, 32, 21, 16, 13, 52],
    [1, 92, 71, 49, 29, 22, 19, 72],
    [1, 61, 50, 36, 20, 17, 15, 50],
    [1, 74, 62, 49, 28, 21, 20, 70],
    [1, 43, 42, 33, 19, 15, 14, 46],
    [1, 19, 51, 42, 24, 19, 17, 55],
    [1, 9, 29, 23, 16, 12, 11, 35],
    [1, 2, 23, 20, 15, 11, 10, 34],
    [1, 1, 4, 4, 4, 2, 3, 7],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
    [1, 1, 20, 30, 25, 20, 18, 55],
    [1, 1, 15, 20, 18, 14, 13, 40],
];
