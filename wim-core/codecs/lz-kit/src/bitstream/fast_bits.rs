//! The bit buffer of the fast loops: [`Forward16Reader`] without its bounds checks.
//!
//! The stream is described there. It checks nothing: the loop that owns it has proved that the data lasts.

#![expect(unsafe_code, reason = "unchecked loads of the fast loops; listed in UNSAFE.md")]

use super::Forward16Reader;

/// A 64-bit buffer over raw input; the state between [`FastBits::lend`] and [`FastBits::give_back`].
#[derive(Clone, Copy)]
pub struct FastBits {
    /// Where the next unit is loaded from.
    next: *const u8,
    /// The next bit is the top one.
    bits: u64,
    /// Valid bits in the low byte; the rest is noise, so that a whole table entry can be subtracted.
    count: u32,
}

impl FastBits {
    /// Takes over the state of `reader`.
    ///
    /// The buffer is dropped first, to whole units given back where that is needed for a full buffer of 64 bits.
    #[inline(always)]
    #[must_use]
    pub fn lend(reader: &Forward16Reader<'_>) -> Self {
        let (position, bits, count) = reader.state();
        debug_assert!(count < 64, "a refill leaves at most 63 bits");
        // The position is within the data, or at its end, by the reader's own invariant.
        Self { next: reader.data().as_ptr().wrapping_add(position), bits, count }
    }

    /// Gives the state back to the `reader` it came from.
    #[inline(always)]
    pub fn give_back(self, reader: &mut Forward16Reader<'_>) {
        let position = self.next.addr() - reader.data().as_ptr().addr();
        reader.set_state((position, self.bits, self.count & 63));
    }

    /// Address of the next unit, for comparing with a limit.
    #[inline(always)]
    #[must_use]
    pub fn next(&self) -> *const u8 {
        self.next
    }

    /// Tops the buffer up to 48 to 63 bits.
    ///
    /// With c valid bits, floor((63 − c) / 16) units fit. That is bits 4 and 5 of ¬c, and c | 48 bits are valid
    /// afterwards: no subtraction, no case. The unit that fits only partly is ORed in as well, now and next time.
    ///
    /// # Safety
    /// Eight bytes can be read at [`Self::next`].
    #[inline(always)]
    pub unsafe fn refill(&mut self) {
        // SAFETY: the caller vouches for eight bytes, and at most six are stepped over.
        unsafe {
            self.bits |= load_units(self.next) >> (self.count & 63);
            self.next = self.next.add(((!self.count >> 3) & 6) as usize);
        }
        self.count |= 48;
    }

    /// The next 64 bits, the next one on top.
    #[inline(always)]
    #[must_use]
    pub const fn peek(&self) -> u64 {
        self.bits
    }

    /// Whether fewer bits are valid than the low six bits of `entry` say; its bits 6 and 7 must be clear.
    ///
    /// Subtracting such entries keeps the low byte of the count exact while no bit is consumed that is not there.
    #[inline(always)]
    #[must_use]
    pub const fn lack(&self, entry: u32) -> bool {
        (self.count as u8) < entry as u8
    }

    /// Consumes as many bits as the low six bits of `entry` say; its bits 6 and 7 must be clear.
    #[inline(always)]
    pub const fn consume(&mut self, entry: u32) {
        self.bits = self.bits.wrapping_shl(entry);
        self.count = self.count.wrapping_sub(entry);
    }

    /// Gives units back until the buffer holds 16 to 31 bits; see [`Forward16Reader::give_back_units`].
    ///
    /// # Safety
    /// At least 16 bits are valid, and the units given back were taken since [`Self::lend`] or by that reader.
    #[inline(always)]
    pub unsafe fn give_back_units(&mut self) {
        let count = self.count & 63;
        let units = (count - 16) / 16;
        // SAFETY: the units were stepped over before, so the address stays within the data.
        self.next = unsafe { self.next.sub(2 * units as usize) };
        self.count = count - 16 * units;
        self.bits &= u64::MAX << (64 - self.count);
    }

    /// Reads a raw byte.
    ///
    /// # Safety
    /// One byte can be read at [`Self::next`].
    #[inline(always)]
    pub unsafe fn raw_u8(&mut self) -> u8 {
        // SAFETY: the caller's duty.
        unsafe {
            let byte = self.next.read();
            self.next = self.next.add(1);
            byte
        }
    }

    /// Reads a raw little-endian 16-bit number.
    ///
    /// # Safety
    /// Two bytes can be read at [`Self::next`].
    #[inline(always)]
    pub unsafe fn raw_u16(&mut self) -> u16 {
        // SAFETY: the caller's duty; the type has no alignment to keep.
        unsafe {
            let number = u16::from_le_bytes(self.next.cast::<[u8; 2]>().read());
            self.next = self.next.add(2);
            number
        }
    }
}

/// Four units with the first one on top.
///
/// # Safety
/// Eight bytes can be read at `from`.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn load_units(from: *const u8) -> u64 {
    use std::arch::x86_64::{_mm_cvtsi128_si64, _mm_loadl_epi64, _mm_shufflelo_epi16};
    // SAFETY: SSE2 is part of x86-64; the load is unaligned and of the eight bytes that the caller vouches for.
    unsafe {
        _mm_cvtsi128_si64(_mm_shufflelo_epi16::<0b00_01_10_11>(_mm_loadl_epi64(from.cast()))).cast_unsigned()
    }
}

/// Four units with the first one on top.
///
/// # Safety
/// Eight bytes can be read at `from`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn load_units(from: *const u8) -> u64 {
    // SAFETY: the caller's duty; the type has no alignment to keep.
    super::forward16::reverse_units(u64::from_le_bytes(unsafe { from.cast::<[u8; 8]>().read() }))
}
