//! What each literal and match will cost, from the symbol frequencies of an earlier parse.
//!
//! An ideal code's fractional lengths are used rather than codeword lengths: they move smoothly from pass to pass, and
//! symbols not seen so far keep a finite cost. Costs are in units of 1/64 bit.

use crate::format::{
    FIRST_CODED_LEN, MAX_MATCH_LEN, MIN_MATCH_LEN, NUM_ALIGNED_SYMBOLS, NUM_LENGTH_HEADERS,
    NUM_LENGTH_SYMBOLS, NUM_LITERALS, WindowOrder,
};
use crate::items::{EXTRA_BITS, FIRST_ALIGNED_SLOT, Frequencies, MAIN_ROOM};
use lz_kit::huffman::{BIT, log2_cost};
use lz_kit::parse::{PathCosts, PathModel, ROW};

/// Frequencies are scaled by this before the prior is added.
const SCALE: u32 = 16;
/// Scaled prior frequency of a literal, a match symbol and a length symbol.
const LITERAL_PRIOR: u32 = 4;
const MATCH_PRIOR: u32 = 6;
const LENGTH_PRIOR: u32 = 6;
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
}

/// Sets `costs` for a block whose symbols are expected to have `frequencies`.
pub(crate) fn set_costs(costs: &mut PathCosts, window: WindowOrder, frequencies: &Frequencies) {
    let mains = window.num_main_symbols();
    let mut main = [0u16; MAIN_ROOM];
    let total: u32 = frequencies.main.iter().sum::<u32>() * SCALE
        + NUM_LITERALS as u32 * LITERAL_PRIOR
        + (mains - NUM_LITERALS) as u32 * MATCH_PRIOR;
    let symbol_cost = |total: u32, f: u32, prior: u32| {
        (log2_cost(total) - log2_cost(f * SCALE + prior)).clamp(BIT / 4, MAX_SYMBOL_COST) as u16
    };
    for (symbol, cost) in main[..mains].iter_mut().enumerate() {
        let prior = if symbol < NUM_LITERALS { LITERAL_PRIOR } else { MATCH_PRIOR };
        *cost = symbol_cost(total, frequencies.main[symbol], prior);
    }
    costs.literal.copy_from_slice(&main[..NUM_LITERALS]);
    let total = frequencies.length.iter().sum::<u32>() * SCALE + NUM_LENGTH_SYMBOLS as u32 * LENGTH_PRIOR;
    let mut length = [0u16; NUM_LENGTH_SYMBOLS];
    for (cost, &f) in length.iter_mut().zip(&frequencies.length) {
        *cost = symbol_cost(total, f, LENGTH_PRIOR);
    }
    for slot in 0..window.num_offset_slots() {
        let row = &mut costs.rows[slot * ROW..][..ROW];
        let extra = u32::from(EXTRA_BITS[slot]) * BIT;
        let headers = &main[NUM_LITERALS + slot * NUM_LENGTH_HEADERS..][..NUM_LENGTH_HEADERS];
        for (cost, &header) in row[MIN_MATCH_LEN..].iter_mut().zip(headers) {
            *cost = header + extra as u16;
        }
        let base = headers[NUM_LENGTH_HEADERS - 1] + extra as u16;
        for (cost, &length) in row[FIRST_CODED_LEN..=MAX_MATCH_LEN].iter_mut().zip(&length) {
            *cost = base + length;
        }
    }
    let _ = (FIRST_ALIGNED_SLOT, NUM_ALIGNED_SYMBOLS);
}
