//! The bit stream of LZMS that runs from the end of a chunk to its start, read and written.
//!
//! Units are 16 bits wide and little-endian, the last one of the chunk comes first, and bits are taken from each most
//! significant first. Neither side knows what shares the chunk with it: the decoder asks how far the reader got.

/// Reads bits from the last 16-bit unit of a buffer towards its first.
///
/// Behind the first unit there are zero bits; [`units_used`](Self::units_used) tells when they were really wanted.
#[derive(Clone, Copy, Debug)]
pub struct Backward16Reader<'a> {
    /// What is not in the buffer yet.
    rest: &'a [u8],
    /// Bits not yet consumed, left-justified; what lies below the first `count` repeats the units to come, or is zero.
    buffer: u64,
    /// At most 63.
    count: u32,
    /// Imaginary units before the start that were put into the buffer.
    imaginary: usize,
    /// Units there were.
    units: usize,
}

impl<'a> Backward16Reader<'a> {
    /// Bits that can be peeked at and consumed after a [`refill`](Self::refill).
    pub const BITS_AFTER_REFILL: u32 = 48;

    /// A reader of `data`, which has whole units only.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        debug_assert!(data.len().is_multiple_of(2), "units are two bytes");
        Self { rest: data, buffer: 0, count: 0, imaginary: 0, units: data.len() / 2 }
    }

    /// Makes at least [`BITS_AFTER_REFILL`](Self::BITS_AFTER_REFILL) bits ready.
    #[inline(always)]
    pub fn refill(&mut self) {
        // In a little-endian word the last unit is on top: the very order in which bits are taken.
        if let Some(word) = self.rest.last_chunk::<8>() {
            self.buffer |= u64::from_le_bytes(*word) >> self.count;
            // With w = (63 - count) / 16 units taken, 2w is this, and count + 16w has its upper bits set.
            let taken = ((self.count ^ 63) >> 3) & 6;
            self.rest = &self.rest[..self.rest.len() - taken as usize];
            self.count |= 48;
        } else {
            *self = self.refilled_near_start();
        }
    }

    /// By value, so that the reader need not have an address in a loop that refills it.
    #[cold]
    #[inline(never)]
    fn refilled_near_start(mut self) -> Self {
        // An earlier refill may have left the top of a unit below the bits that count.
        self.buffer &= !(u64::MAX >> self.count);
        while self.count < 48 {
            if let Some((rest, unit)) = self.rest.split_last_chunk::<2>() {
                self.buffer |= u64::from(u16::from_le_bytes(*unit)) << (48 - self.count);
                self.rest = rest;
            } else {
                self.imaginary += 1;
            }
            self.count += 16;
        }
        self
    }

    /// The next bits, the first on top; as many are meaningful as a refill promised, less those consumed since.
    #[inline(always)]
    #[must_use]
    pub fn peek(&self) -> u64 {
        self.buffer
    }

    /// Drops `bits` bits that a refill made ready.
    #[inline(always)]
    pub fn consume(&mut self, bits: u32) {
        debug_assert!(bits <= self.count, "more bits than a refill makes ready");
        self.buffer <<= bits & 63;
        self.count = self.count.wrapping_sub(bits) & 63;
    }

    /// Units that hold the bits consumed so far; more than the buffer has if bits before its start were consumed.
    #[must_use]
    pub fn units_used(&self) -> usize {
        self.units + self.imaginary - self.rest.len() / 2 - (self.count / 16) as usize
    }
}

/// Writes bits from the end of a buffer towards its start.
#[derive(Debug)]
pub struct Backward16Writer {
    /// Units in the order in which they are read.
    units: Vec<u16>,
    pending: u64,
    count: u32,
}

impl Default for Backward16Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Backward16Writer {
    /// A writer with nothing written.
    #[must_use]
    pub fn new() -> Self {
        Self { units: Vec::new(), pending: 0, count: 0 }
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.units.clear();
        (self.pending, self.count) = (0, 0);
    }

    /// Appends the low `count` bits of `bits` (at most 32; the rest must be zero).
    #[inline]
    pub fn put(&mut self, bits: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(bits) >> count == 0, "more bits than said");
        self.pending = (self.pending << count) | u64::from(bits);
        self.count += count;
        while self.count >= 16 {
            self.count -= 16;
            #[expect(clippy::cast_possible_truncation, reason = "the unit is cut out here")]
            self.units.push((self.pending >> self.count) as u16);
        }
    }

    /// Bytes that [`finish`](Self::finish) will write if nothing is added.
    #[must_use]
    pub fn bytes(&self) -> usize {
        2 * (self.units.len() + usize::from(self.count > 0))
    }

    /// Writes everything to `out`, which is [`bytes`](Self::bytes) long, the last bits padded with zeros.
    pub fn finish(&mut self, out: &mut [u8]) {
        if self.count > 0 {
            self.put(0, 16 - self.count);
        }
        let (slots, rest) = out.as_chunks_mut::<2>();
        debug_assert!(slots.len() == self.units.len() && rest.is_empty(), "as long as said");
        for (slot, unit) in slots.iter_mut().rev().zip(&self.units) {
            *slot = unit.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits of many widths come back, whatever the refill finds left of the buffer.
    #[test]
    fn what_is_written_is_read() {
        for items in [0u32, 1, 2, 3, 5, 9, 40, 500] {
            let item = |i: u32| {
                let count = i * 7 % 31;
                (i.wrapping_mul(0x9E37_79B1) & ((1 << count) - 1), count)
            };
            let mut writer = Backward16Writer::new();
            (0..items).for_each(|i| writer.put(item(i).0, item(i).1));
            let mut out = vec![0xcc; writer.bytes()];
            writer.finish(&mut out);
            let mut reader = Backward16Reader::new(&out);
            for i in 0..items {
                let (bits, count) = item(i);
                reader.refill();
                assert_eq!(reader.peek().checked_shr(64 - count).unwrap_or(0), u64::from(bits));
                reader.consume(count);
            }
            assert_eq!(reader.units_used(), out.len() / 2);
        }
    }

    #[test]
    fn before_the_start_there_are_zeros_which_are_counted() {
        let mut reader = Backward16Reader::new(&[0xff; 6]);
        for bit in 0..100 {
            reader.refill();
            assert_eq!(reader.peek() >> 63, u64::from(bit < 48));
            reader.consume(1);
            assert_eq!(reader.units_used(), bit / 16 + 1);
        }
    }
}
