//! The range coder of LZMS: one binary decision at a time, each with a probability learnt from the last 64 like it.
//!
//! It is a carry-propagating range coder with 32-bit range and 16-bit units, described nowhere but in wimlib's source.
//! What is decided, and in which context, is the business of the decoder and the encoder.

/// Range below which a unit is shifted in.
const MIN_RANGE: u32 = 1 << 16;
/// Probabilities are in 64ths.
const CHANCE_BITS: u32 = 6;

/// The history that every probability starts with: 48 of 64 decisions were 0. Here the bit of a 0 is set.
const FIRST_ZEROS: u64 = !0x5555_5555;

/// The chance of a 0 in 64ths when so many of the last 64 decisions were 0; never certain either way.
static CHANCES: [u8; 65] = {
    let mut chances = [63; 65];
    let mut zeros = 0;
    while zeros < 64 {
        chances[zeros] = if zeros == 0 { 1 } else { zeros as u8 };
        zeros += 1;
    }
    chances
};
/// [`CHANCES`] of [`FIRST_ZEROS`].
const FIRST_CHANCE: u8 = FIRST_ZEROS.count_ones() as u8;

/// One class of decisions; its last ones select the probability of the next. `N` is a power of two.
#[derive(Clone, Debug)]
pub(crate) struct Decisions<const N: usize> {
    /// By the last decisions: the chance of a 0 in 64ths. Kept ready, for decoding waits for nothing else so much.
    chances: [u8; N],
    /// By the last decisions: the 64 decisions made there last, the newest lowest; the bit of a 0 is set.
    zeros: [u64; N],
    /// The last 32 decisions, the newest lowest.
    last: u32,
}

impl<const N: usize> Decisions<N> {
    pub(crate) fn new() -> Self {
        const { assert!(N.is_power_of_two()) };
        Self { chances: [FIRST_CHANCE; N], zeros: [FIRST_ZEROS; N], last: 0 }
    }

    /// The last decisions of this class, the newest lowest; zeros before the first.
    #[inline(always)]
    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    /// The chance of a 0 in 64ths after the decisions `last`, of which as many count as the class looks at.
    #[inline(always)]
    pub(crate) fn chance_after(&self, last: u32) -> u32 {
        u32::from(self.chances[last as usize % N])
    }

    /// Remembers a decision made with the chance after the last ones.
    #[inline(always)]
    fn note(&mut self, bit: u32) {
        let place = self.last as usize % N;
        let zeros = self.zeros[place] << 1 | u64::from(bit ^ 1);
        self.zeros[place] = zeros;
        self.chances[place] = CHANCES[zeros.count_ones() as usize];
        self.last = self.last << 1 | bit;
    }
}

/// The state of decoding; the units are handed in by the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RangeDecoder {
    range: u32,
    code: u32,
}

impl RangeDecoder {
    /// Starts with the first two units.
    pub(crate) fn new(first: u16, second: u16) -> Self {
        Self { range: u32::MAX, code: u32::from(first) << 16 | u32::from(second) }
    }

    /// Decodes a decision; `next_unit` is called at most once.
    #[inline(always)]
    pub(crate) fn decide<const N: usize>(
        &mut self,
        class: &mut Decisions<N>,
        next_unit: impl FnOnce() -> u16,
    ) -> bool {
        if self.range < MIN_RANGE {
            self.range <<= 16;
            self.code = self.code << 16 | u32::from(next_unit());
        }
        // Neither part is ever empty: the range has at least 2^16 here, the chance lies between 1 and 63.
        let bound = (self.range >> CHANCE_BITS) * class.chance_after(class.last);
        // All that follows from the decision stands behind the branch: then the next one need not wait for this one.
        if self.code >= bound {
            class.note(1);
            self.range -= bound;
            self.code -= bound;
            true
        } else {
            class.note(0);
            self.range = bound;
            false
        }
    }
}

/// Writes decisions to 16-bit units.
#[derive(Debug, Default)]
pub(crate) struct RangeEncoder {
    /// Start of the range; bit 32 is a carry into the units not yet written.
    low: u64,
    range: u32,
    /// The first of the units not yet written; those after it are 0xFFFF.
    cache: u16,
    /// How many units are not yet written.
    pending: usize,
    /// Whether the dummy before the first unit has been dropped.
    begun: bool,
    /// Whether the rest has been written out.
    finished: bool,
    units: Vec<u16>,
}

impl RangeEncoder {
    pub(crate) fn new() -> Self {
        let mut this = Self::default();
        this.clear();
        this
    }

    /// Forgets what was written and keeps the memory.
    pub(crate) fn clear(&mut self) {
        (self.low, self.range, self.cache, self.pending, self.begun) = (0, u32::MAX, 0, 1, false);
        self.finished = false;
        self.units.clear();
    }

    #[inline]
    pub(crate) fn decide<const N: usize>(&mut self, class: &mut Decisions<N>, is_one: bool) {
        if self.range < MIN_RANGE {
            self.range <<= 16;
            self.shift();
        }
        let bound = (self.range >> CHANCE_BITS) * class.chance_after(class.last);
        if is_one {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        class.note(u32::from(is_one));
    }

    /// Moves the top unit of `low` out, as far as a later carry cannot change it.
    #[expect(clippy::cast_possible_truncation, reason = "units are cut out of the sum")]
    fn shift(&mut self) {
        let carry = (self.low >> 32) as u16;
        if self.low as u32 <= 0xFFFE_FFFF || carry != 0 {
            if self.begun {
                self.units.push(self.cache.wrapping_add(carry));
            }
            self.begun = true;
            for _ in 1..self.pending {
                self.units.push(0xFFFF_u16.wrapping_add(carry));
            }
            self.pending = 0;
            self.cache = (self.low >> 16) as u16;
        }
        self.pending += 1;
        self.low = u64::from(self.low as u16) << 16;
    }

    /// Bytes that [`finish`](Self::finish) will write at least.
    pub(crate) fn bytes(&self) -> usize {
        2 * (self.units.len() + self.pending)
    }

    /// Writes out the rest, once; the units in the order in which they are read.
    pub(crate) fn finish(&mut self) -> &[u16] {
        if !self.finished {
            (0..4).for_each(|_| self.shift());
            self.finished = true;
        }
        &self.units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decisions of every bias come back, carries into runs of 0xFFFF included, and the decoder reads every unit.
    #[test]
    fn what_is_encoded_is_decoded() {
        for bias in [1u32, 7, 32, 60, 63, 64] {
            let mut seed = 17u32;
            let decisions: Vec<bool> = (0..50_000)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    seed >> 26 >= bias
                })
                .collect();
            let (mut encoder, mut class) = (RangeEncoder::new(), Decisions::<16>::new());
            decisions.iter().for_each(|&bit| encoder.decide(&mut class, bit));
            let units = encoder.finish().to_vec();
            let mut rest = units[2..].iter().copied();
            let (mut decoder, mut class) = (RangeDecoder::new(units[0], units[1]), Decisions::<16>::new());
            for &bit in &decisions {
                assert_eq!(decoder.decide(&mut class, || rest.next().expect("a unit")), bit);
            }
            // Windows and wimlib write one unit more than is read; so do we.
            assert_eq!((rest.next(), rest.next()), (Some(0), None), "bias {bias}");
        }
    }
}
