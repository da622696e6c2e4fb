//! The reader of XPRESS and LZX bit streams: 16-bit little-endian units, read forwards, with raw bytes in between.
//!
//! The order of bits is in [MS-XCA] 2.2.4 and [MS-PATCH] 2.2; the place of raw bytes follows from how Microsoft's
//! reader refills (see [`Forward16Reader::give_back_units`]). It does not decode codewords: it lends its bits to a
//! [`DecodeTable`](crate::huffman::DecodeTable).

use crate::DecodeError;

/// Bits per unit.
const UNIT_BITS: u32 = 16;

/// A reader whose next bits stand at the top of a 64-bit buffer.
///
/// Past the end of the data it shows zeros, but consuming them is [`DecodeError::Truncated`]. A lone odd byte at the
/// end is not a unit; it can only be read as a raw byte.
#[derive(Clone, Debug)]
pub struct Forward16Reader<'a> {
    data: &'a [u8],
    /// Bytes of `data` whose units are in `bits` or consumed.
    position: usize,
    /// The next bit is the top one; bits below the first `count` repeat units not yet counted, or are zero.
    bits: u64,
    /// Valid bits in `bits`.
    count: u32,
}

impl<'a> Forward16Reader<'a> {
    /// Bits that a refill guarantees while the data lasts; a step may consume as many without another refill.
    pub const BITS_AFTER_REFILL: u32 = 64 - UNIT_BITS;

    /// Bytes that must be left for a refill to be one unaligned load.
    pub const REFILL_BYTES: usize = 8;

    /// A reader at the start of `data`, with an empty buffer.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0, bits: 0, count: 0 }
    }

    /// Tops the buffer up to at least [`Self::BITS_AFTER_REFILL`] bits, or to all that is left.
    #[inline]
    pub fn refill(&mut self) {
        if let Some(window) = self.data.get(self.position..).and_then(<[u8]>::first_chunk::<8>) {
            (self.bits, self.count, self.position) = top_up(*window, self.bits, self.count, self.position);
            return;
        }
        self.bits &= top_bits(self.count);
        while self.count < Self::BITS_AFTER_REFILL {
            let Some(unit) = self.data.get(self.position..).and_then(<[u8]>::first_chunk::<2>) else {
                return;
            };
            self.count += UNIT_BITS;
            self.bits |= u64::from(u16::from_le_bytes(*unit)) << (64 - self.count);
            self.position += 2;
        }
    }

    /// The next 64 bits, the next one on top; zeros, or bits that must not be relied on, after the valid ones.
    #[inline]
    #[must_use]
    pub const fn peek(&self) -> u64 {
        self.bits
    }

    /// Consumes `count` bits, at most 63.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left in the buffer. The caller refills first.
    #[inline]
    pub fn consume(&mut self, count: u32) -> Result<(), DecodeError> {
        debug_assert!(count < 64, "a codeword and its extra bits");
        if count > self.count {
            return Err(DecodeError::Truncated);
        }
        self.bits <<= count;
        self.count -= count;
        Ok(())
    }

    /// Refills, then reads `count` bits (at most 32) as a number whose first bit is the most significant.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left.
    #[inline]
    pub fn read(&mut self, count: u32) -> Result<u32, DecodeError> {
        self.refill();
        self.take(count)
    }

    /// As [`Self::read`], without a refill: for bits whose place in the buffer matters.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left in the buffer.
    #[inline]
    pub fn take(&mut self, count: u32) -> Result<u32, DecodeError> {
        debug_assert!(count <= 32, "fits the result");
        #[expect(clippy::cast_possible_truncation, reason = "at most 32 bits are left after the shift")]
        let value = (self.bits >> 1 >> (63 - count)) as u32;
        self.consume(count)?;
        Ok(value)
    }

    /// Gives units back until the buffer holds 16 to 31 bits, so that raw bytes can be read where XPRESS puts them.
    ///
    /// Raw bytes follow the units that a reader with lazy 16-bit refills has taken at that moment; such a reader
    /// holds 16 to 31 bits after a symbol. A wider buffer that holds b bits is floor((b − 16) / 16) units ahead.
    /// Bits below the valid ones are cleared: the units that follow the raw bytes will be others.
    #[inline]
    pub fn give_back_units(&mut self) {
        self.refill();
        let units = self.count.saturating_sub(UNIT_BITS) / UNIT_BITS;
        self.count -= units * UNIT_BITS;
        self.position -= 2 * units as usize;
        self.bits &= top_bits(self.count);
    }

    /// Reads one raw byte at the position of the next unit.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end of the data.
    #[inline]
    pub fn raw_u8(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.data.get(self.position).ok_or(DecodeError::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    /// Reads `N` raw bytes at the position of the next unit.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left.
    #[inline]
    pub fn raw_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.data.get(self.position..).and_then(<[u8]>::first_chunk::<N>);
        let bytes = *bytes.ok_or(DecodeError::Truncated)?;
        self.position += N;
        Ok(bytes)
    }

    /// Reads `len` raw bytes at the position of the next unit.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if fewer are left.
    pub fn raw_slice(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.position.checked_add(len).ok_or(DecodeError::Truncated)?;
        let bytes = self.data.get(self.position..end).ok_or(DecodeError::Truncated)?;
        self.position = end;
        Ok(bytes)
    }

    /// Discards 1 to 16 bits up to a unit boundary and empties the buffer: what LZX does before raw blocks.
    ///
    /// At a boundary a whole unit is discarded ("at least one bit" in [MS-PATCH] terms; wimlib writes it so).
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] if there is no unit left to discard.
    pub fn align_before_raw(&mut self) -> Result<(), DecodeError> {
        self.refill();
        if self.count == 0 {
            return Err(DecodeError::Truncated);
        }
        // The unit that is cut short, or the whole one that is skipped, stays consumed.
        let units = if self.count.is_multiple_of(UNIT_BITS) {
            self.count / UNIT_BITS - 1
        } else {
            self.count / UNIT_BITS
        };
        self.position -= 2 * units as usize;
        (self.bits, self.count) = (0, 0);
        Ok(())
    }

    /// Discards 0 to 15 bits up to a unit boundary: the end of a CAB frame.
    pub fn align_to_unit(&mut self) {
        let odd = self.count % UNIT_BITS;
        self.bits <<= odd;
        self.count -= odd;
    }

    /// Bytes of data that no bit in the buffer and no raw read has used.
    #[must_use]
    pub const fn bytes_left(&self) -> usize {
        self.data.len() - self.position
    }

    /// All the data, for a fast loop that keeps the state in its own variables.
    #[inline]
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Position in bytes, buffer and number of valid bits, for a fast loop.
    #[inline]
    #[must_use]
    pub const fn state(&self) -> (usize, u64, u32) {
        (self.position, self.bits, self.count)
    }

    /// Takes the state back from a fast loop.
    ///
    /// A state that is no state of this reader gives wrong bits, or `Truncated`, never worse.
    #[inline]
    pub fn set_state(&mut self, (position, bits, count): (usize, u64, u32)) {
        debug_assert!(position <= self.data.len() && count <= 64, "a state of this reader");
        self.position = position.min(self.data.len());
        self.bits = bits;
        self.count = count.min(64);
    }
}

/// A refill from eight bytes at `position`: the new buffer, number of valid bits and position.
///
/// Whole units that fit are w = floor((63 − count) / 16), so that afterwards 48 to 63 bits are valid. The
/// bits of the unit after them are ORed in too; the next refill ORs the same bits again, which changes nothing.
/// With w units taken, count + 16 w is count | 48 for every count below 64: no case needs a branch.
#[inline(always)]
#[must_use]
const fn top_up(window: [u8; 8], bits: u64, count: u32, position: usize) -> (u64, u32, usize) {
    let units = reverse_units(u64::from_le_bytes(window));
    let taken = (63 - count) / UNIT_BITS;
    (bits | units >> count, count + taken * UNIT_BITS, position + 2 * taken as usize)
}

/// Puts the first (lowest) of four 16-bit units on top.
#[inline(always)]
pub(super) const fn reverse_units(units: u64) -> u64 {
    let halves = units.rotate_left(32);
    (halves & 0x0000_ffff_0000_ffff) << 16 | (halves >> 16) & 0x0000_ffff_0000_ffff
}

/// A mask of the `count` most significant bits.
#[inline]
const fn top_bits(count: u32) -> u64 {
    if count == 0 { 0 } else { u64::MAX << (64 - count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: [u8; 24] = {
        let mut data = [0; 24];
        let mut i = 0;
        while i < 24 {
            data[i] = (i * 37 + 11) as u8;
            i += 1;
        }
        data
    };

    /// Bit `index` of the stream.
    fn bit(index: usize) -> u32 {
        let unit = u16::from_le_bytes([DATA[index / 16 * 2], DATA[index / 16 * 2 + 1]]);
        u32::from(unit >> (15 - index % 16)) & 1
    }

    #[test]
    fn bits_come_in_order_in_pieces_of_every_size() {
        for size in 1..=32 {
            let mut reader = Forward16Reader::new(&DATA);
            let mut index = 0;
            while index + size <= DATA.len() * 8 {
                let expected = (index..index + size).fold(0u64, |value, i| value << 1 | u64::from(bit(i)));
                assert_eq!(reader.read(size as u32).map(u64::from), Ok(expected), "{size} bits at {index}");
                index += size;
            }
            assert_eq!(reader.read(size as u32), Err(DecodeError::Truncated));
        }
    }

    #[test]
    fn raw_bytes_lie_after_the_units_of_a_lazy_reader() {
        // After `used` bits a lazy reader has taken ceil((used + 16) / 16) units.
        for used in 0..100 {
            let mut reader = Forward16Reader::new(&DATA);
            for _ in 0..used {
                reader.read(1).expect("enough data");
            }
            reader.give_back_units();
            let units = (used + 16usize).div_ceil(16);
            assert_eq!(reader.raw_u8(), Ok(DATA[2 * units]), "after {used} bits");
            // The bits that were taken come first, then units after the raw byte.
            for i in used..16 * units {
                assert_eq!(reader.read(1), Ok(bit(i)));
            }
            let next = &DATA[2 * units + 1..];
            assert_eq!(reader.read(8), Ok(u32::from(next[1])));
            assert_eq!(reader.read(8), Ok(u32::from(next[0])));
        }
    }

    #[test]
    fn alignment_before_raw_discards_one_to_sixteen_bits() {
        for used in 0..100 {
            let mut reader = Forward16Reader::new(&DATA);
            for _ in 0..used {
                reader.read(1).expect("enough data");
            }
            reader.align_before_raw().expect("enough data");
            assert_eq!(reader.raw_u8(), Ok(DATA[2 * (used / 16 + 1)]), "after {used} bits");
        }
        assert_eq!(Forward16Reader::new(&[]).align_before_raw(), Err(DecodeError::Truncated));
        assert_eq!(Forward16Reader::new(&[7]).align_before_raw(), Err(DecodeError::Truncated));
    }

    #[test]
    fn odd_last_byte_is_raw_only() {
        let mut reader = Forward16Reader::new(&[1, 2, 3]);
        assert_eq!(reader.read(16), Ok(0x0201));
        assert_eq!(reader.read(1), Err(DecodeError::Truncated));
        assert_eq!(reader.raw_u8(), Ok(3));
        assert_eq!(reader.raw_u8(), Err(DecodeError::Truncated));
    }

    #[test]
    fn refill_leaves_the_promised_bits() {
        for count in 0..64 {
            let (_, after, position) = top_up([0; 8], 0, count, 0);
            assert!((Forward16Reader::BITS_AFTER_REFILL..64).contains(&after));
            assert_eq!(position as u32 * 8, after - count);
        }
    }
}
