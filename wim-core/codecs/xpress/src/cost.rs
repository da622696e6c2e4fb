//! What each literal and match will cost, from the symbol frequencies of an earlier parse.
//!
//! An ideal code's fractional lengths are used rather than codeword lengths: they move smoothly from pass to pass, and
//! symbols not seen so far keep a finite cost. Costs are in units of 1/64 bit.

use crate::format::{
    LENGTH_IN_BYTE, MAX_CODEWORD_LEN, MIN_MATCH_LEN, NUM_LITERALS, NUM_SYMBOLS, match_symbol,
};
use lz_kit::huffman::{BIT, log2_cost};
use lz_kit::parse::{MAX_EDGE, PathCosts, PathModel};

/// Number of values floor(log2(offset)) can have.
pub(crate) const NUM_SLOTS: usize = 16;
/// Frequencies are scaled by this before the prior is added.
const SCALE: u32 = 16;
/// Scaled prior frequency of every symbol.
const PRIOR: u32 = 6;

/// XPRESS for the path finder.
pub(crate) struct Model;

impl PathModel for Model {
    const MIN_LENGTH: usize = MIN_MATCH_LEN;

    #[inline(always)]
    fn slot(offset: usize) -> usize {
        (offset | 1).ilog2() as usize % NUM_SLOTS
    }

    #[inline(always)]
    fn low(_slot: usize, _offset: usize) -> usize {
        0
    }
}

/// Where the frequencies come from, and so how far those of matches can be trusted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// A quick parse, which takes long matches where the final parse takes cheap ones.
    Guess,
    /// An earlier near-optimal parse.
    Parse,
}

/// Sets `costs` for a chunk whose symbols are expected to have `frequencies`.
pub(crate) fn set_costs(costs: &mut PathCosts, frequencies: &[u32; NUM_SYMBOLS], source: Source) {
    let matches: u32 = frequencies[NUM_LITERALS..].iter().sum();
    // The weight of what was seen, and of an even spread over all match symbols.
    let (seen, even) = match source {
        Source::Guess => (SCALE / 2, SCALE / 2),
        Source::Parse => (SCALE, 0),
    };
    let even = matches * even / (NUM_SYMBOLS - NUM_LITERALS) as u32 + PRIOR;
    let expected = |symbol: usize| {
        if symbol < NUM_LITERALS {
            frequencies[symbol] * SCALE + PRIOR
        } else {
            frequencies[symbol] * seen + even
        }
    };
    let total = log2_cost((0..NUM_SYMBOLS).map(expected).sum());
    let cost = |symbol: usize| {
        total.saturating_sub(log2_cost(expected(symbol))).clamp(BIT / 4, MAX_CODEWORD_LEN * BIT) as u16
    };
    for (literal, place) in costs.literal.iter_mut().enumerate() {
        *place = cost(literal);
    }
    for (log2, row) in costs.rows.iter_mut().enumerate() {
        let extra = (log2 as u32 * BIT) as u16;
        for (length, place) in row.iter_mut().enumerate().take(MAX_EDGE + 1).skip(MIN_MATCH_LEN) {
            let field = (length - MIN_MATCH_LEN).min(LENGTH_IN_BYTE);
            let byte = if field == LENGTH_IN_BYTE { (8 * BIT) as u16 } else { 0 };
            *place = cost(match_symbol(field, log2)) + extra + byte;
        }
    }
}
