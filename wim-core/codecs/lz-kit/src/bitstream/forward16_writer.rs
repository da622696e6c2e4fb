//! Writers of the 16-bit-unit bit streams: a plain one for LZX, and one with reserved slots for XPRESS.
//!
//! Units are little-endian, bits are taken from each unit most significant first; XPRESS interleaves raw bytes at the
//! place where its decoder's read pointer stands ([MS-XCA] 2.1). Neither writer knows any format: what is too long for
//! the output is noted and reported by `finish`, never written.

/// Reverses the bytes inside each 16-bit lane, so that a left-justified big-endian word becomes little-endian units.
#[inline(always)]
const fn units_le(word: u64) -> [u8; 8] {
    const LOW: u64 = 0x00ff_00ff_00ff_00ff;
    let swapped = word.swap_bytes();
    (((swapped & LOW) << 8) | ((swapped >> 8) & LOW)).to_le_bytes()
}

/// Writes bits to 16-bit little-endian units, most significant bit first.
///
/// Bits are collected by [`put`](Self::put), at most [`ROOM`](Self::ROOM) between two calls of [`flush`](Self::flush).
#[derive(Debug)]
pub struct Forward16Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    pending: u64,
    count: u32,
    overflowed: bool,
}

impl<'a> Forward16Writer<'a> {
    /// Bits that fit between two flushes: a flush leaves at most 15 in the 64-bit accumulator.
    pub const ROOM: u32 = 64 - 15;

    /// A writer that starts at the first byte of `out`.
    #[must_use]
    pub fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0, pending: 0, count: 0, overflowed: false }
    }

    /// Appends the low `count` bits of `bits` (at most 32, the rest must be zero) to the accumulator.
    #[inline(always)]
    pub fn put(&mut self, bits: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(bits) >> count == 0 && self.count + count <= 64);
        self.pending = (self.pending << count) | u64::from(bits);
        self.count += count;
    }

    /// Moves whole units from the accumulator to the output.
    #[inline(always)]
    pub fn flush(&mut self) {
        // Without a test for a whole unit, which would be a guess each time. Two shifts, because there may be nothing.
        let bytes = units_le((self.pending << 1) << (63 - self.count));
        let whole = (self.count / 16 * 2) as usize;
        self.count %= 16;
        if let Some(slot) = self.out.get_mut(self.at..self.at + 8) {
            slot.copy_from_slice(&bytes);
            self.at += whole;
        } else {
            self.store_near_end(&bytes[..whole]);
        }
    }

    #[cold]
    fn store_near_end(&mut self, bytes: &[u8]) {
        match self.out.get_mut(self.at..self.at + bytes.len()) {
            Some(slot) => {
                slot.copy_from_slice(bytes);
                self.at += bytes.len();
            }
            None => self.overflowed = true,
        }
    }

    /// Ends the current unit with zero bits, if one is begun. The bytes written so far: where a CAB frame ends.
    pub fn align(&mut self) -> usize {
        self.flush();
        if self.count > 0 {
            self.put(0, 16 - self.count);
            self.flush();
        }
        self.at
    }

    /// Ends the current unit with zero bits; a whole unit of zeros when the stream already stands at a boundary.
    ///
    /// That is how an LZX uncompressed block begins: 1 to 16 bits are skipped.
    pub fn align_skipping_at_least_one_bit(&mut self) {
        self.flush();
        let fill = 16 - self.count;
        self.put(0, fill);
        self.flush();
    }

    /// Copies raw bytes; the stream must stand at a unit boundary with nothing pending.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.count, 0);
        self.store_near_end(bytes);
    }

    /// Pads the last unit with zero bits. The bytes written, or `None` when they did not fit.
    #[must_use]
    pub fn finish(mut self) -> Option<usize> {
        self.align();
        (!self.overflowed).then_some(self.at)
    }
}

/// Writes the XPRESS stream: 16-bit units whose places are reserved ahead, with raw bytes between them.
///
/// The decoder holds 16 to 31 bits whenever it takes raw bytes, so two unit places are always reserved before the
/// place where raw bytes go. A unit is stored when *more than* 16 bits are pending, which is that rule seen from here.
#[derive(Debug)]
pub struct Interleaved16Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    slots: [usize; 2],
    pending: u64,
    count: u32,
    overflowed: bool,
}

impl<'a> Interleaved16Writer<'a> {
    /// A writer whose first unit goes to `out[start..]`.
    #[must_use]
    pub fn new(out: &'a mut [u8], start: usize) -> Self {
        let overflowed = start + 4 > out.len();
        Self { out, at: start + 4, slots: [start, start + 2], pending: 0, count: 0, overflowed }
    }

    /// Appends the low `count` bits of `bits`; at most 32 bits may be put between two flushes.
    #[inline(always)]
    pub fn put(&mut self, bits: u32, count: u32) {
        debug_assert!(count <= 32 && u64::from(bits) >> count == 0 && self.count + count <= 64);
        self.pending = (self.pending << count) | u64::from(bits);
        self.count += count;
    }

    /// Stores units until at most 16 bits are pending.
    #[inline(always)]
    pub fn flush(&mut self) {
        while self.count > 16 {
            self.count -= 16;
            let unit = (self.pending >> self.count) as u16;
            self.store(self.slots[0], unit);
            self.slots = [self.slots[1], self.at];
            self.at += 2;
        }
    }

    #[inline(always)]
    fn store(&mut self, at: usize, unit: u16) {
        match self.out.get_mut(at..at + 2) {
            Some(slot) => slot.copy_from_slice(&unit.to_le_bytes()),
            None => self.overflowed = true,
        }
    }

    /// Writes raw bytes at the place a decoder would take them from; all bits before must have been flushed.
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert!(self.count <= 16);
        match self.out.get_mut(self.at..self.at + bytes.len()) {
            Some(slot) => slot.copy_from_slice(bytes),
            None => self.overflowed = true,
        }
        self.at += bytes.len();
    }

    /// Left-justifies what is pending and zeroes the last reserved unit. The end of the stream in `out`, or `None`
    /// when it did not fit.
    #[must_use]
    pub fn finish(mut self) -> Option<usize> {
        self.flush();
        let last = if self.count == 0 { 0 } else { ((self.pending << (16 - self.count)) & 0xffff) as u16 };
        self.store(self.slots[0], last);
        self.store(self.slots[1], 0);
        (!self.overflowed && self.at <= self.out.len()).then_some(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_fill_units_from_the_top() {
        let mut out = [0xaa; 16];
        let mut w = Forward16Writer::new(&mut out);
        w.put(0b1, 1);
        w.put(0x1234, 15);
        w.flush();
        w.put(0b101, 3);
        assert_eq!(w.finish(), Some(4));
        assert_eq!(out[..4], [0x34, 0x92, 0x00, 0xa0]);
    }

    #[test]
    fn near_the_end_only_whole_units_are_stored() {
        let mut out = [0; 4];
        let mut w = Forward16Writer::new(&mut out);
        w.put(0xdead_beef, 32);
        assert_eq!(w.finish(), Some(4));
        assert_eq!(out, [0xad, 0xde, 0xef, 0xbe]);
        let mut w = Forward16Writer::new(&mut out);
        w.put(0xdead_beef, 32);
        w.put(1, 1);
        assert_eq!(w.finish(), None);
    }

    #[test]
    fn a_boundary_skips_a_whole_unit() {
        let mut out = [0xff; 8];
        let mut w = Forward16Writer::new(&mut out);
        w.put(7, 16);
        w.align_skipping_at_least_one_bit();
        w.put_bytes(&[9]);
        assert_eq!(w.finish(), Some(5));
        assert_eq!(out[..5], [7, 0, 0, 0, 9]);
    }

    /// The item part of the [MS-XCA] 3.2 example "abc" x 100.
    #[test]
    fn raw_bytes_follow_two_reserved_units() {
        let mut out = [0xff; 7];
        let mut w = Interleaved16Writer::new(&mut out, 0);
        for (bits, count) in [(0b110, 3), (0b111, 3), (0b00, 2), (0b10, 2)] {
            w.put(bits, count);
            w.flush();
        }
        w.put_bytes(&[0xff, 0x26, 0x01]);
        w.put(1, 1);
        w.put(0b01, 2);
        w.flush();
        assert_eq!(w.finish(), Some(7));
        assert_eq!(out, [0xa8, 0xdc, 0, 0, 0xff, 0x26, 0x01]);
    }

    #[test]
    fn too_small_an_output_is_reported() {
        for room in 0..7 {
            let mut out = vec![0; room];
            let mut w = Interleaved16Writer::new(&mut out, 0);
            w.put(0x3ff, 10);
            w.flush();
            w.put_bytes(&[1, 2, 3]);
            assert_eq!(w.finish(), None);
        }
    }
}
