//! Chunk positions in the width a match finder's tables need.
//!
//! Chunks of at most 64 KiB use 16-bit entries, which halves the tables and keeps them in the second-level cache;
//! longer ones use 32 bits, and the pairs of links of the longest ones 28 bits each, because they make up nearly all the memory
//! of an encoder. An entry is a position plus one, zero is "none"; nothing here knows what is stored there.

#![expect(unsafe_code, reason = "links in seven bytes, on proven positions; listed in UNSAFE.md")]

/// A table entry: "none", or a position in the chunk.
pub trait Position: Copy + Default + PartialEq + std::fmt::Debug {
    /// No position.
    const NONE: Self;
    /// Longest chunk whose positions fit, in bytes.
    const MAX_CHUNK: usize;

    /// The entry for a position below [`MAX_CHUNK`](Self::MAX_CHUNK); the last one is never needed, as no match starts there.
    fn at(position: usize) -> Self;

    /// The position plus one, or 0 for none.
    fn plus_one(self) -> usize;

    /// Bytes that the two links of a position take.
    const PAIR_BYTES: usize = 2 * size_of::<Self>();

    /// The two links of a position.
    ///
    /// # Safety
    /// `pairs` has [`PAIR_BYTES`](Self::PAIR_BYTES) for it and each one before, and eight bytes more.
    #[inline(always)]
    unsafe fn pair(pairs: *const u8, position: usize) -> [Self; 2] {
        // SAFETY: the caller's duty.
        unsafe {
            let pair = pairs.cast::<Self>().add(2 * position);
            [pair.read_unaligned(), pair.add(1).read_unaligned()]
        }
    }

    /// Sets one link: `place` is twice the position, plus one for the second.
    ///
    /// # Safety
    /// As for [`pair`](Self::pair).
    #[inline(always)]
    unsafe fn set_link(pairs: *mut u8, place: usize, link: Self) {
        // SAFETY: the caller's duty.
        unsafe { pairs.cast::<Self>().add(place).write_unaligned(link) }
    }
}

impl Position for u16 {
    const NONE: Self = 0;
    const MAX_CHUNK: usize = 1 << 16;

    #[inline(always)]
    fn at(position: usize) -> Self {
        (position + 1) as Self
    }

    #[inline(always)]
    fn plus_one(self) -> usize {
        usize::from(self)
    }
}

impl Position for u32 {
    const NONE: Self = 0;
    const MAX_CHUNK: usize = 1 << 30;

    #[inline(always)]
    fn at(position: usize) -> Self {
        (position + 1) as Self
    }

    #[inline(always)]
    fn plus_one(self) -> usize {
        self as usize
    }
}

/// A position of a long chunk: 32 bits in tables, 28 as a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackedPosition(u32);

impl PackedPosition {
    const LINK_BITS: usize = 28;
    const LINK_MASK: u64 = (1 << Self::LINK_BITS) - 1;
}

impl Position for PackedPosition {
    const NONE: Self = Self(0);
    const MAX_CHUNK: usize = 1 << Self::LINK_BITS;
    const PAIR_BYTES: usize = 2 * Self::LINK_BITS / 8;

    /// The last position is never needed, and counts as none.
    #[inline(always)]
    fn at(position: usize) -> Self {
        Self((position as u32 + 1) & Self::LINK_MASK as u32)
    }

    #[inline(always)]
    fn plus_one(self) -> usize {
        self.0 as usize
    }

    #[inline(always)]
    unsafe fn pair(pairs: *const u8, position: usize) -> [Self; 2] {
        // SAFETY: the pair has seven bytes, and one more can be read.
        let word = unsafe { pairs.add(position * Self::PAIR_BYTES).cast::<u64>().read_unaligned() };
        let word = u64::from_le(word);
        let link = |number: usize| Self((word >> (number * Self::LINK_BITS) & Self::LINK_MASK) as u32);
        [link(0), link(1)]
    }

    #[inline(always)]
    unsafe fn set_link(pairs: *mut u8, place: usize, link: Self) {
        // SAFETY: as above; the byte behind the pair is written as it was.
        unsafe {
            let pair = pairs.add(place / 2 * Self::PAIR_BYTES).cast::<u64>();
            let shift = place % 2 * Self::LINK_BITS;
            let others = u64::from_le(pair.read_unaligned()) & !(Self::LINK_MASK << shift);
            pair.write_unaligned((others | u64::from(link.0) << shift).to_le());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps_links<P: Position>(most: usize) {
        const COUNT: usize = 5;
        let link = |place: usize| P::at((place * 0x0123_4567 + 0x00AB_CDEF) % most);
        let mut pairs = vec![0u8; COUNT * P::PAIR_BYTES + 8];
        for round in 0..2 {
            for place in (0..2 * COUNT).rev() {
                // SAFETY: there is room for five pairs and eight bytes.
                unsafe { P::set_link(pairs.as_mut_ptr(), place, link(place + round)) };
            }
            for position in 0..COUNT {
                // SAFETY: as above.
                let pair = unsafe { P::pair(pairs.as_ptr(), position) };
                assert_eq!(pair, [link(2 * position + round), link(2 * position + 1 + round)]);
            }
        }
        assert_eq!(pairs[COUNT * P::PAIR_BYTES..], [0; 8]);
    }

    #[test]
    fn links_do_not_touch_each_other() {
        keeps_links::<u16>(1 << 16);
        keeps_links::<u32>(1 << 30);
        keeps_links::<PackedPosition>(PackedPosition::MAX_CHUNK);
    }

    #[test]
    fn a_packed_position_is_what_it_was() {
        for position in [0, 1, 1 << 26, PackedPosition::MAX_CHUNK - 2] {
            assert_eq!(PackedPosition::at(position).plus_one(), position + 1);
        }
        assert_eq!(PackedPosition::at(PackedPosition::MAX_CHUNK - 1), PackedPosition::NONE);
    }
}
