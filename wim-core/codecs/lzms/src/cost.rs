//! What items will cost, by the models as they are: in units of 1/64 bit.
//!
//! The tables are taken from the models once per window of the parser, which is short beside the time the models need to
//! change. What is learnt later does not count: the format adapts as it goes, and nothing is transmitted.

use lz_kit::huffman::BIT;

use crate::format::{LENGTH_SLOTS, NUM_LITERALS, NUM_OFFSET_SLOTS, NUM_POWERS, OFFSET_SLOTS};
use crate::models::{DecisionModels, EncodeCodes, History};
use crate::range_coder::Decisions;

/// Longest match that the parser weighs; longer ones are taken whole.
pub(crate) const MAX_EDGE: usize = 256;

/// Costs of a 0 and a 1 after each combination of the last decisions.
type Class<const N: usize> = [[u16; 2]; N];

/// Cost of a decision with a chance of n/64.
static CHANCE_COSTS: [u16; 65] = {
    let mut costs = [0; 65];
    let mut chance = 1;
    while chance <= 64 {
        costs[chance] = chance_cost(chance as u64);
        chance += 1;
    }
    costs
};

/// (6 - log2(n)) · 64, by repeated squaring of n/64.
const fn chance_cost(chance: u64) -> u16 {
    let integer = 63 - chance.leading_zeros();
    let mut mantissa = chance << (31 - integer);
    let mut log2 = integer as u64;
    let mut i = 0;
    while i < 6 {
        mantissa = (mantissa * mantissa) >> 31;
        log2 <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            log2 |= 1;
        }
        i += 1;
    }
    (6 * 64 - log2) as u16
}

/// The cost tables.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    main: Class<16>,
    kind: Class<32>,
    lz: Class<64>,
    lz_repeats: [Class<64>; 2],
    delta: Class<64>,
    delta_repeats: [Class<64>; 2],
    literals: [u16; NUM_LITERALS],
    /// Extra bits included.
    offsets: [u16; NUM_OFFSET_SLOTS],
    delta_offsets: [u16; NUM_OFFSET_SLOTS],
    powers: [u16; NUM_POWERS],
    /// By length.
    pub(crate) lengths: [u16; MAX_EDGE + 1],
    /// Builds of the codes that the tables above were taken from.
    builds: [u32; 5],
}

impl Costs {
    pub(crate) fn new() -> Self {
        Self {
            main: [[0; 2]; 16],
            kind: [[0; 2]; 32],
            lz: [[0; 2]; 64],
            lz_repeats: [[[0; 2]; 64]; 2],
            delta: [[0; 2]; 64],
            delta_repeats: [[[0; 2]; 64]; 2],
            literals: [0; NUM_LITERALS],
            offsets: [0; NUM_OFFSET_SLOTS],
            delta_offsets: [0; NUM_OFFSET_SLOTS],
            powers: [0; NUM_POWERS],
            lengths: [0; MAX_EDGE + 1],
            builds: [u32::MAX; 5],
        }
    }

    /// Takes what has changed since the last time.
    pub(crate) fn take(&mut self, decisions: &DecisionModels, codes: &EncodeCodes) {
        take_class(&mut self.main, &decisions.main);
        take_class(&mut self.kind, &decisions.kind);
        take_class(&mut self.lz, &decisions.lz);
        take_class(&mut self.delta, &decisions.delta);
        for i in 0..2 {
            take_class(&mut self.lz_repeats[i], &decisions.lz_repeats[i]);
            take_class(&mut self.delta_repeats[i], &decisions.delta_repeats[i]);
        }
        let builds = [
            codes.literals.builds(),
            codes.offsets.builds(),
            codes.lengths.builds(),
            codes.delta_offsets.builds(),
            codes.powers.builds(),
        ];
        let before = std::mem::replace(&mut self.builds, builds);
        let changed = |code: usize| before[code] != builds[code];
        if changed(0) {
            take_code(&mut self.literals, codes.literals.lengths(), &[]);
        }
        if changed(1) {
            take_code(&mut self.offsets, codes.offsets.lengths(), &OFFSET_SLOTS.extra_bits);
        }
        if changed(2) {
            let mut slots = [0; LENGTH_SLOTS.bases.len()];
            take_code(&mut slots, codes.lengths.lengths(), &LENGTH_SLOTS.extra_bits);
            let mut slot = 0;
            for (length, cost) in (0u32..).zip(&mut self.lengths).skip(1) {
                while LENGTH_SLOTS.bases.get(slot + 1).is_some_and(|&base| base <= length) {
                    slot += 1;
                }
                *cost = slots[slot];
            }
        }
        if changed(3) {
            take_code(&mut self.delta_offsets, codes.delta_offsets.lengths(), &OFFSET_SLOTS.extra_bits);
        }
        if changed(4) {
            take_code(&mut self.powers, codes.powers.lengths(), &[]);
        }
    }

    #[inline(always)]
    pub(crate) fn literal(&self, history: &History, byte: u8) -> u32 {
        u32::from(self.main[history.main as usize % 16][0]) + u32::from(self.literals[usize::from(byte)])
    }

    /// A match of either kind, all but its source and length.
    #[inline(always)]
    pub(crate) fn lz(&self, history: &History) -> u32 {
        self.a_match(history, 0)
    }

    #[inline(always)]
    pub(crate) fn delta(&self, history: &History) -> u32 {
        self.a_match(history, 1)
    }

    #[inline(always)]
    fn a_match(&self, history: &History, kind: usize) -> u32 {
        u32::from(self.main[history.main as usize % 16][1])
            + u32::from(self.kind[history.kind as usize % 32][kind])
    }

    #[inline(always)]
    pub(crate) fn lz_explicit(&self, history: &History) -> u32 {
        u32::from(self.lz[history.lz as usize % 64][0])
    }

    #[inline(always)]
    pub(crate) fn offset(&self, slot: usize) -> u32 {
        u32::from(self.offsets[slot])
    }

    #[inline(always)]
    pub(crate) fn lz_repeat(&self, history: &History, index: u32) -> u32 {
        let class = u32::from(self.lz[history.lz as usize % 64][1]);
        class + repeat(&self.lz_repeats, history.lz_repeats, index)
    }

    #[inline(always)]
    pub(crate) fn delta_explicit(&self, history: &History, power: u32, slot: usize) -> u32 {
        u32::from(self.delta[history.delta as usize % 64][0])
            + u32::from(self.powers[power as usize % NUM_POWERS])
            + u32::from(self.delta_offsets[slot])
    }

    #[inline(always)]
    pub(crate) fn delta_repeat(&self, history: &History, index: u32) -> u32 {
        let class = u32::from(self.delta[history.delta as usize % 64][1]);
        class + repeat(&self.delta_repeats, history.delta_repeats, index)
    }
}

#[inline(always)]
fn repeat(classes: &[Class<64>; 2], last: [u8; 2], index: u32) -> u32 {
    let cost = |class: usize, bit: usize| u32::from(classes[class][usize::from(last[class]) % 64][bit]);
    if index == 0 { cost(0, 0) } else { cost(0, 1) + cost(1, (index - 1) as usize & 1) }
}

fn take_class<const N: usize>(costs: &mut Class<N>, class: &Decisions<N>) {
    for (last, costs) in (0u32..).zip(costs) {
        let chance = class.chance_after(last) as usize;
        *costs = [CHANCE_COSTS[chance], CHANCE_COSTS[64 - chance]];
    }
}

fn take_code(costs: &mut [u16], lengths: &[u8], extra_bits: &[u8]) {
    for (symbol, (cost, &len)) in costs.iter_mut().zip(lengths).enumerate() {
        let bits = u32::from(len) + u32::from(extra_bits.get(symbol).copied().unwrap_or(0));
        *cost = (bits * BIT) as u16;
    }
}

#[cfg(test)]
mod tests {
    use lz_kit::huffman::log2_cost;

    use super::*;

    #[test]
    fn chances_cost_their_logarithm() {
        for chance in 1..=64u32 {
            let cost = u32::from(CHANCE_COSTS[chance as usize]);
            assert!((6 * BIT - log2_cost(chance)).abs_diff(cost) <= 1, "{chance}: {cost}");
        }
    }
}
