//! The slot of an offset in one or two steps, for the encoder, which asks for every match it weighs.
//!
//! Between two powers of two the slots are at least as wide as the narrowest of them. A table entry for each such width
//! has the slot at its start; one boundary at most lies inside.

use crate::format::{NUM_OFFSET_SLOTS, OFFSET_SLOTS, Slots};

/// Slots by offset.
#[derive(Clone, Debug)]
pub(crate) struct SlotTable {
    /// For each number of bits: log2 of the width of an entry, and where the entries begin.
    ranges: [(u32, usize); 31],
    slots: Vec<u16>,
}

impl SlotTable {
    /// A table for offsets up to `greatest`, at least 1 and below 2^31.
    pub(crate) fn new(greatest: usize) -> Self {
        let mut this = Self { ranges: [(0, 0); 31], slots: Vec::new() };
        let table: &Slots<NUM_OFFSET_SLOTS> = &OFFSET_SLOTS;
        for bits in 0..=greatest.max(1).ilog2().min(30) {
            let first = 1u32 << bits;
            let width = u32::from(table.extra_bits[table.slot_of(first)]).min(bits);
            this.ranges[bits as usize] = (width, this.slots.len());
            this.slots.extend(
                (0..1u32 << (bits - width)).map(|entry| table.slot_of(first + (entry << width)) as u16),
            );
        }
        this
    }

    /// The slot of an offset, which the table was made for.
    #[inline(always)]
    pub(crate) fn slot_of(&self, offset: u32) -> usize {
        let bits = 31 - (offset | 1).leading_zeros();
        let (width, start) = self.ranges[bits as usize % 31];
        let entry = start + ((offset - (1 << bits)) >> width) as usize;
        let slot = usize::from(self.slots[entry]);
        let next = OFFSET_SLOTS.bases[(slot + 1).min(NUM_OFFSET_SLOTS - 1)];
        slot + usize::from(next <= offset && slot + 1 < NUM_OFFSET_SLOTS)
    }

    /// Bytes of memory for [`new`](Self::new) with any argument: what the format's slots come to.
    pub(crate) const MAX_SCRATCH_BYTES: usize = 32 << 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_format() {
        let table = SlotTable::new(1 << 30);
        assert!(2 * table.slots.capacity() <= SlotTable::MAX_SCRATCH_BYTES, "{}", table.slots.len());
        let near_bases = OFFSET_SLOTS.bases.iter().flat_map(|&base| [base - 1, base, base + 1]);
        for offset in (1..300_000).chain(near_bases.filter(|&offset| offset > 0)).chain([1 << 30]) {
            assert_eq!(table.slot_of(offset), OFFSET_SLOTS.slot_of(offset), "{offset}");
        }
        for greatest in [1, 2, 100, 131_071, 131_072] {
            let table = SlotTable::new(greatest);
            assert_eq!(table.slot_of(greatest as u32), OFFSET_SLOTS.slot_of(greatest as u32));
        }
    }
}
