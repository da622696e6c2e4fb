//! Codeword lengths that are cheap together with the header that describes them.
//!
//! A Huffman code minimises the body alone; its lengths then cost bits of their own in the block header. Here each
//! used symbol takes the length with the least sum of body bits, header bits and a price on code space, and the price
//! is searched for at which the lengths just fit. The precode's costs are those of the lengths before.

use lz_kit::huffman::BIT;

/// Longest codeword considered.
const MAX_LEN: usize = 16;
/// One whole code space.
const FULL: u32 = 1 << MAX_LEN;
/// How far a length may move from the Huffman code's, down and up.
const DOWN: u8 = 1;
const UP: u8 = 2;

/// One symbol in use.
#[derive(Clone, Copy, Debug)]
struct Used {
    symbol: u16,
    /// First length considered.
    first: u8,
    /// Last length considered.
    last: u8,
    frequency: u32,
    /// Header cost of lengths `first..=last`.
    header: [u16; (DOWN + UP + 1) as usize],
}

/// Scratch of the search.
#[derive(Debug, Default)]
pub(crate) struct LengthTuner {
    used: Vec<Used>,
}

impl LengthTuner {
    /// Upper bound of the memory held, in bytes.
    pub(crate) const SCRATCH_BYTES: usize = 1024 * size_of::<Used>();

    /// Replaces `lengths` (a complete code of at least two symbols) by ones that are cheaper with their header.
    ///
    /// `header_cost(symbol, length)` is what it costs, in units of 1/64 bit, to write that length.
    pub(crate) fn tune(
        &mut self,
        frequencies: &[u32],
        lengths: &mut [u8],
        max_len: u8,
        header_cost: impl Fn(usize, u8) -> u16,
    ) {
        self.used.clear();
        for (symbol, (&frequency, &length)) in frequencies.iter().zip(lengths.iter()).enumerate() {
            if length > 0 {
                let (first, last) = (length.saturating_sub(DOWN).max(1), (length + UP).min(max_len));
                let mut header = [0; (DOWN + UP + 1) as usize];
                for (cost, candidate) in header.iter_mut().zip(first..=last) {
                    *cost = header_cost(symbol, candidate);
                }
                self.used.push(Used { symbol: symbol as u16, first, last, frequency, header });
            }
        }
        if self.used.len() < 3 {
            return;
        }
        // The price of the whole code space at which all fits. For an ideal code without header it is the sum of the
        // frequencies times 1 bit / ln 2, and the header moves it little.
        let total: u64 = self.used.iter().map(|used| u64::from(used.frequency)).sum();
        let ideal = total * u64::from(BIT) * 3 / 2;
        let (mut low, mut high) = (ideal / 4, ideal * 2);
        while self.space(high) > FULL {
            if high > ideal << 20 {
                return;
            }
            high *= 4;
        }
        while high - low > high >> 7 {
            let middle = (low + high) / 2;
            if self.space(middle) <= FULL { high = middle } else { low = middle }
        }
        let mut space = self.space(high);
        for used in &self.used {
            lengths[usize::from(used.symbol)] = used.best(high);
        }
        // Fill what is left: shorten the symbol that gains most for its space. One always fits, because the space left
        // is a multiple of the smallest codeword's.
        while space < FULL {
            let left = FULL - space;
            let gain = |used: &&Used| {
                let length = lengths[usize::from(used.symbol)];
                let step = FULL >> length;
                (length > 1 && step <= left).then(|| {
                    let saved = i64::from(used.frequency * BIT) + i64::from(used.at(length))
                        - i64::from(used.at(length - 1));
                    // Per unit of space, scaled so that the division keeps its digits.
                    (saved << 16) / i64::from(step)
                })
            };
            let Some(chosen) = self.used.iter().filter(|used| gain(used).is_some()).max_by_key(gain) else {
                return;
            };
            let length = &mut lengths[usize::from(chosen.symbol)];
            space += FULL >> *length;
            *length -= 1;
        }
    }

    /// Code space the cheapest lengths take at a price.
    fn space(&self, price: u64) -> u32 {
        self.used.iter().map(|used| FULL >> used.best(price)).sum()
    }
}

impl Used {
    /// Header cost of a length; the nearest known one outside the range.
    fn at(&self, length: u8) -> u16 {
        self.header[usize::from(length.clamp(self.first, self.last) - self.first)]
    }

    /// The cheapest length at a price of the whole code space.
    fn best(&self, price: u64) -> u8 {
        let cost = |length: u8| {
            u64::from(self.frequency * u32::from(length) * BIT)
                + u64::from(self.at(length))
                + (price >> length)
        };
        (self.first..=self.last).min_by_key(|&length| cost(length)).unwrap_or(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(lengths: &[u8]) -> u32 {
        lengths.iter().filter(|&&len| len > 0).map(|&len| FULL >> len).sum()
    }

    #[test]
    fn tuned_codes_stay_complete_and_cost_no_more() {
        let mut state = 3u32;
        for symbols in [3, 10, 100, 600] {
            let frequencies: Vec<u32> = (0..symbols)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 16) >> (state >> 8 & 15)
                })
                .collect();
            let mut lengths = vec![0; symbols];
            lz_kit::huffman::LengthBuilder::new().build(&frequencies, 16, &mut lengths);
            let header = |_: usize, length: u8| u16::from(length.abs_diff(8)) * 60;
            let cost = |lengths: &[u8]| -> u64 {
                let body: u64 =
                    frequencies.iter().zip(lengths).map(|(&f, &l)| u64::from(f * u32::from(l) * BIT)).sum();
                body + lengths.iter().filter(|&&l| l > 0).map(|&l| u64::from(header(0, l))).sum::<u64>()
            };
            let before = lengths.clone();
            LengthTuner::default().tune(&frequencies, &mut lengths, 16, header);
            assert_eq!(space(&lengths), space(&before), "{symbols} symbols");
            assert!(lengths.iter().zip(&before).all(|(&new, &old)| (new == 0) == (old == 0) && new <= 16));
            assert!(cost(&lengths) <= cost(&before) + 64 * symbols as u64, "{symbols} symbols");
        }
    }

    #[test]
    fn tiny_codes_are_left_alone() {
        let mut lengths = [1, 0, 1];
        LengthTuner::default().tune(&[5, 0, 1], &mut lengths, 16, |_, _| 0);
        assert_eq!(lengths, [1, 0, 1]);
    }
}
