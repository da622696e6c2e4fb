//! Quantum: an arithmetic coder with adaptive models, licensed to Microsoft in 1994 and hardly used since.
//!
//! Known from libmspack's documentation and M. Russotto's notes. Models and window live through a folder; the coder begins
//! anew in each block. Only decoding is here, and plainly so: speed was never asked of it.

use super::BLOCK_BYTES;

/// Counts are halved when their sum passes this.
const MAX_TOTAL: u16 = 3800;
/// What a symbol's count grows by when it is seen.
const STEP: u16 = 8;
/// Halvings before the first sorting of a model's symbols.
const FIRST_SORT: u8 = 4;
/// Halvings between two sortings.
const NEXT_SORT: u8 = 50;
/// Bytes that the coder may look beyond a block's data, where encoders left out zeros.
const LOOK_AHEAD_BYTES: usize = 4;

/// Slots of offsets: two for each number of extra bits, as in LZX.
const OFFSET_SLOTS: usize = 42;
/// Slots of lengths: four for each number of extra bits, and one for the longest match.
const LENGTH_SLOTS: u16 = 27;
/// Slot of the longest match, which has no extra bits.
const LONGEST_SLOT: usize = LENGTH_SLOTS as usize - 1;
/// Length that slot 0 stands for, in bytes.
const LENGTH_BASE: usize = 5;

/// Smallest value and number of extra bits of an offset slot.
const fn offset_slot(slot: usize) -> (usize, usize) {
    if slot < 4 {
        return (slot, 0);
    }
    let extra = slot / 2 - 1;
    ((2 + slot % 2) << extra, extra)
}

/// Smallest value and number of extra bits of a length slot.
const fn length_slot(slot: usize) -> (usize, usize) {
    if slot < 6 {
        return (slot, 0);
    }
    if slot == LONGEST_SLOT {
        return (254, 0);
    }
    let extra = (slot - 2) / 4;
    ((4 + (slot - 2) % 4) * (1 << extra) - 2, extra)
}

/// Symbols in descending order of their counts, each with the sum of its own count and of all behind it.
struct Model {
    /// One more than there are symbols: the last one holds the sum 0.
    symbols: Vec<(u16, u16)>,
    until_sort: u8,
}

impl Model {
    /// A model of the symbols `first..first + count`, all equally likely.
    fn new(first: u16, count: u16) -> Self {
        let symbols = (0..=count).map(|i| (first + i, count - i)).collect();
        Self { symbols, until_sort: FIRST_SORT }
    }

    fn total(&self) -> u16 {
        self.symbols.first().map_or(1, |first| first.1)
    }

    /// Counts the symbol at `place` once more.
    fn see(&mut self, place: usize) {
        for (_, sum) in self.symbols.iter_mut().take(place + 1) {
            *sum += STEP;
        }
        if self.total() > MAX_TOTAL {
            self.until_sort -= 1;
            if self.until_sort == 0 {
                self.until_sort = NEXT_SORT;
                self.halve_and_sort();
            } else {
                self.halve();
            }
        }
    }

    fn halve(&mut self) {
        let mut behind = 0;
        for (_, sum) in self.symbols.iter_mut().rev().skip(1) {
            *sum = (*sum >> 1).max(behind + 1);
            behind = *sum;
        }
    }

    fn halve_and_sort(&mut self) {
        let mut counts = self.symbols.clone();
        for (entry, next) in counts.iter_mut().zip(self.symbols.iter().skip(1)) {
            entry.1 = (entry.1 - next.1).div_ceil(2);
        }
        let end = counts.len() - 1;
        // The order of equal counts is part of the format: that of a selection sort by exchange.
        for i in 0..end {
            for j in i + 1..end {
                if counts.get(i).map(|e| e.1) < counts.get(j).map(|e| e.1) {
                    counts.swap(i, j);
                }
            }
        }
        let mut behind = 0;
        for entry in counts.iter_mut().take(end).rev() {
            behind += entry.1;
            entry.1 = behind;
        }
        self.symbols = counts;
    }
}

/// The arithmetic coder over one block's data.
struct Coder<'a> {
    data: &'a [u8],
    /// Bits taken so far.
    at: usize,
    low: u16,
    high: u16,
    code: u16,
}

type Decoded<T> = Result<T, String>;

impl<'a> Coder<'a> {
    fn new(data: &'a [u8]) -> Decoded<Self> {
        let mut coder = Self { data, at: 0, low: 0, high: u16::MAX, code: 0 };
        for _ in 0..16 {
            coder.code = coder.code << 1 | u16::from(coder.bit()?);
        }
        Ok(coder)
    }

    fn bit(&mut self) -> Decoded<u8> {
        let byte = match self.data.get(self.at / 8) {
            Some(byte) => *byte,
            None if self.at / 8 < self.data.len() + LOOK_AHEAD_BYTES => 0,
            None => return Err("the compressed data end too early".to_owned()),
        };
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Ok(bit)
    }

    fn bits(&mut self, count: usize) -> Decoded<usize> {
        (0..count).try_fold(0, |value, _| Ok(value << 1 | usize::from(self.bit()?)))
    }

    fn symbol(&mut self, model: &mut Model) -> Decoded<u16> {
        let range = u32::from(self.high.wrapping_sub(self.low)) + 1;
        let total = u32::from(model.total());
        let wanted = ((u32::from(self.code.wrapping_sub(self.low)) + 1) * total - 1) / range;
        // The first entry behind which the sums are no longer greater; the closing 0 never is.
        let behind = model.symbols.iter().skip(1).position(|entry| u32::from(entry.1) <= wanted);
        let place = behind.ok_or("a symbol is outside its model")?;
        let sum_at = |place: usize| model.symbols.get(place).copied().unwrap_or_default();
        let ((symbol, above), (_, below)) = (sum_at(place), sum_at(place + 1));
        let scaled = |sum: u16| u16::try_from(u32::from(sum) * range / total).unwrap_or(0);
        // The quotient is 65536 for the first symbol of a full range, which is 0 in 16 bits, as intended.
        self.high = self.low.wrapping_add(scaled(above)).wrapping_sub(1);
        self.low = self.low.wrapping_add(scaled(below));
        model.see(place);
        self.normalize()?;
        Ok(symbol)
    }

    /// Shifts out the bits that can no longer change.
    fn normalize(&mut self) -> Decoded<()> {
        loop {
            if (self.low ^ self.high) & 0x8000 != 0 {
                if self.low & 0x4000 == 0 || self.high & 0x4000 != 0 {
                    return Ok(());
                }
                self.code ^= 0x4000;
                self.low &= 0x3FFF;
                self.high |= 0x4000;
            }
            self.low <<= 1;
            self.high = self.high << 1 | 1;
            self.code = self.code << 1 | u16::from(self.bit()?);
        }
    }
}

/// A decoder of one folder's blocks.
pub(super) struct QuantumDecoder {
    window_bytes: usize,
    /// What comes next: a literal of one of four quarters, or a match of 3, 4 or more bytes.
    selector: Model,
    literals: [Model; 4],
    /// Offsets of matches of 3, 4 and more bytes.
    offsets: [Model; 3],
    lengths: Model,
    /// Output before the current block, at least as far as the window reaches.
    history: Vec<u8>,
}

impl QuantumDecoder {
    /// A decoder at the start of a folder with a window of 2^`window_bits` bytes, 10 to 21.
    pub(super) fn new(window_bits: u8) -> Self {
        let slots = 2 * u16::from(window_bits);
        Self {
            window_bytes: 1 << window_bits,
            selector: Model::new(0, 7),
            literals: [0, 64, 128, 192].map(|first| Model::new(first, 64)),
            offsets: [slots.min(24), slots.min(36), slots].map(|count| Model::new(0, count)),
            lengths: Model::new(0, LENGTH_SLOTS),
            history: Vec::new(),
        }
    }

    /// Decodes a block to exactly `size` bytes; what is wrong with it otherwise.
    pub(super) fn decode(&mut self, data: &[u8], size: usize) -> Decoded<&[u8]> {
        if self.history.len() > self.window_bytes + BLOCK_BYTES {
            let gone = self.history.len() - self.window_bytes;
            self.history.drain(..gone);
        }
        let start = self.history.len();
        let end = start + size;
        let mut coder = Coder::new(data)?;
        while self.history.len() < end {
            let selector = usize::from(coder.symbol(&mut self.selector)?);
            if let Some(quarter) = self.literals.get_mut(selector) {
                let [byte, _] = coder.symbol(quarter)?.to_le_bytes();
                self.history.push(byte);
                continue;
            }
            let length = match selector {
                4 => 3,
                5 => 4,
                _ => {
                    let (base, extra) = length_slot(usize::from(coder.symbol(&mut self.lengths)?));
                    LENGTH_BASE + base + coder.bits(extra)?
                }
            };
            let model = self.offsets.get_mut(selector - 4).ok_or("an unknown selector")?;
            let (base, extra) = offset_slot(usize::from(coder.symbol(model)?));
            let offset = base + coder.bits(extra)? + 1;
            self.copy(offset, length, end)?;
        }
        Ok(self.history.get(start..).unwrap_or_default())
    }

    fn copy(&mut self, offset: usize, length: usize, end: usize) -> Decoded<()> {
        if self.history.len() + length > end {
            return Err("a match reaches past the end of its block".to_owned());
        }
        let from = self.history.len().checked_sub(offset).filter(|_| offset <= self.window_bytes);
        let from = from.ok_or("a match starts before the beginning of the data")?;
        for at in from..from + length {
            let byte = self.history.get(at).copied().unwrap_or_default();
            self.history.push(byte);
        }
        Ok(())
    }
}

// The last offset slot ends where the largest window does.
const _: () = assert!(offset_slot(OFFSET_SLOTS - 1).0 + (1 << offset_slot(OFFSET_SLOTS - 1).1) == 1 << 21);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_each_other() {
        let mut next = 0;
        for slot in 0..OFFSET_SLOTS {
            let (base, extra) = offset_slot(slot);
            assert_eq!(base, next, "offset slot {slot}");
            next = base + (1 << extra);
        }
        next = 0;
        for slot in 0..=LONGEST_SLOT {
            let (base, extra) = length_slot(slot);
            assert_eq!(base, next, "length slot {slot}");
            next = base + (1 << extra);
        }
        assert_eq!(length_slot(25), (222, 5));
    }

    #[test]
    fn models_stay_in_order_whatever_is_seen() {
        let mut model = Model::new(64, 64);
        for round in 0..50_000_usize {
            model.see(round * round % 64);
            assert!(model.symbols.windows(2).all(|pair| pair[0].1 > pair[1].1), "round {round}");
            assert_eq!(model.symbols.last(), Some(&(128, 0)));
        }
        let mut symbols: Vec<u16> = model.symbols.iter().map(|entry| entry.0).collect();
        symbols.sort_unstable();
        assert_eq!(symbols, (64..=128).collect::<Vec<_>>());
    }

    #[test]
    fn noise_ends_in_an_error_or_in_bytes() {
        let mut state = 1_u32;
        for length in 0..200 {
            let data: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let mut decoder = QuantumDecoder::new(10);
            for _ in 0..3 {
                if let Ok(bytes) = decoder.decode(&data, 100) {
                    assert_eq!(bytes.len(), 100);
                }
            }
        }
    }
}
