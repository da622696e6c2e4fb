//! What each literal and match will cost, from the symbol frequencies of an earlier parse.
//!
//! An ideal code's fractional lengths are used rather than codeword lengths: they move smoothly from pass to pass, and
//! symbols not seen so far keep a finite cost. Costs are in units of 1/64 bit.

use crate::format::{ALIGNED_LEN_BITS, MAX_ALIGNED_LEN, FIRST_CODED_LEN, MAX_MATCH_LEN, MIN_MATCH_LEN, NUM_ALIGNED_SYMBOLS, NUM_LENGTH_HEADERS, NUM_LENGTH_SYMBOLS, NUM_LITERALS, WindowOrder};
use crate::items::{EXTRA_BITS, FIRST_ALIGNED_SLOT, Frequencies, MAIN_ROOM, SLOT_ROOM};
use lz_kit::huffman::{BIT, entropy_cost, log2_cost};
use lz_kit::parse::{PathCosts, PathModel};

/// Frequencies are scaled by this before the prior is added.
const SCALE: u32 = 16;
/// Scaled prior frequency of a literal, a match symbol and a length symbol.
/// No codeword of the main or length code is longer, in units of cost.
const MAX_SYMBOL_COST: u32 = 16 * BIT;

/// LZX for the path finder.
pub(crate) struct Model;

impl PathModel for Model {
    const RECENT: bool = true;
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

/// Sets `costs` for a block whose symbols are expected to have `frequencies`.
#[allow(non_snake_case)]
pub(crate) fn set_costs(costs: &mut PathCosts, window: WindowOrder, frequencies: &Frequencies, pass: u32) {
    let LITERAL_PRIOR=lz_kit::knob("LP",4); let MATCH_PRIOR= match pass { 0 => lz_kit::knob("MP",6), 1 => lz_kit::knob("MP1", 24), _ => lz_kit::knob("MP2", 16) }; let LENGTH_PRIOR=lz_kit::knob("NP",6);
    let mains = window.num_main_symbols();
    let mut main = [0u16; MAIN_ROOM];
    let symbol_cost = |total: u32, f: u32| (log2_cost(total) - log2_cost(f)).clamp(BIT / 4, MAX_SYMBOL_COST) as u16;
    let mut expected = [0u32; MAIN_ROOM];
    let (mut by_slot, mut by_header, mut matches) = ([0u32; SLOT_ROOM], [0u32; NUM_LENGTH_HEADERS], 0);
    for (slot, headers) in frequencies.main[NUM_LITERALS..mains].chunks_exact(NUM_LENGTH_HEADERS).enumerate() {
        for (sum, &f) in by_header.iter_mut().zip(headers) {
            *sum += f;
            by_slot[slot] += f;
            matches += f;
        }
    }
    let (wo, we) = if pass == 0 { (lz_kit::knob("WO", 4), lz_kit::knob("WE", 12)) } else { (lz_kit::knob("WO1", 16), lz_kit::knob("WE1", 1)) };
    for (symbol, expected) in expected[..mains].iter_mut().enumerate() {
        let f = frequencies.main[symbol];
        *expected = if symbol < NUM_LITERALS {
            f * SCALE + LITERAL_PRIOR
        } else {
            let (slot, header) = ((symbol - NUM_LITERALS) / NUM_LENGTH_HEADERS, symbol % NUM_LENGTH_HEADERS);
            let product = (u64::from(MATCH_HABITS[slot][header]) * u64::from(matches) * u64::from(we)) / 10000;
            f * wo + product as u32 + MATCH_PRIOR
        };
    }
    let total: u32 = expected.iter().sum();
    for (cost, &f) in main[..mains].iter_mut().zip(&expected) {
        *cost = symbol_cost(total, f);
    }
    costs.literal.copy_from_slice(&main[..NUM_LITERALS]);
    let total = frequencies.length.iter().sum::<u32>() * SCALE + NUM_LENGTH_SYMBOLS as u32 * LENGTH_PRIOR;
    let mut length = [0u16; NUM_LENGTH_SYMBOLS];
    for (cost, &f) in length.iter_mut().zip(&frequencies.length) {
        *cost = symbol_cost(total, f * SCALE + LENGTH_PRIOR);
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
    if lz_kit::knob("AL", 1) == 0 || coded + header >= 3 * u64::from(total * BIT) {
        return false;
    }
    for (cost, &f) in costs.low[NUM_ALIGNED_SYMBOLS..].iter_mut().zip(&frequencies.aligned) {
        *cost = (log2_cost(total * SCALE + 16) - log2_cost(f * SCALE + 2)).clamp(BIT / 4, MAX_ALIGNED_LEN * BIT) as u16;
    }
    true
}

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
