//! The three recent offsets of LZX (R0, R1, R2) in one word.
//!
//! [MS-PATCH] and every WIM decoder *swap* the used offset with R0, they do not move it to the front; an explicit
//! offset is pushed in front. Packing the three into 64 bits makes the queue of a parser's node one load or store.

/// R0 in the low 21 bits, then R1, then R2: offsets reach at most 2^21 - 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentOffsets(u64);

impl RecentOffsets {
    const BITS: u32 = 21;
    const MASK: u64 = (1 << Self::BITS) - 1;
    /// The state at the start of every chunk: all three are 1.
    pub const INITIAL: Self = Self(1 | 1 << Self::BITS | 1 << (2 * Self::BITS));

    /// Offset number `index` (0 to 2).
    #[inline(always)]
    #[must_use]
    pub const fn get(self, index: u32) -> usize {
        ((self.0 >> (Self::BITS * index)) & Self::MASK) as usize
    }

    /// The queue with 1 for every offset that is greater than `reach`.
    #[must_use]
    pub fn within(self, reach: usize) -> Self {
        let kept = |index: u32| if self.get(index) <= reach { self.get(index) } else { 1 };
        Self::INITIAL.push(kept(2)).push(kept(1)).push(kept(0))
    }

    /// The queue after an explicit offset.
    #[inline(always)]
    #[must_use]
    pub const fn push(self, offset: usize) -> Self {
        Self((self.0 << Self::BITS | offset as u64) & ((1 << (3 * Self::BITS)) - 1))
    }

    /// The queue after using offset number `index` (0 to 2) again.
    #[inline(always)]
    #[must_use]
    pub const fn swap(self, index: u32) -> Self {
        let shift = Self::BITS * index;
        let difference = (self.0 ^ (self.0 >> shift)) & Self::MASK;
        // For index 0 the difference is zero.
        Self(self.0 ^ (difference << shift) ^ difference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_offsets_swap_and_new_ones_push() {
        let q = RecentOffsets::INITIAL.push(10).push(20).push(2_097_149);
        let all = |q: RecentOffsets| [q.get(0), q.get(1), q.get(2)];
        assert_eq!(all(q), [2_097_149, 20, 10]);
        assert_eq!(all(q.swap(0)), [2_097_149, 20, 10]);
        assert_eq!(all(q.swap(1)), [20, 2_097_149, 10]);
        assert_eq!(all(q.swap(2)), [10, 20, 2_097_149]);
        assert_eq!(all(q.push(5)), [5, 2_097_149, 20]);
        assert_eq!(all(q.within(20)), [1, 20, 10]);
    }
}
