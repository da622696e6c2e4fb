//! Constants of the LZX format: alphabets, block types, offset slots and the E8 translation.
//!
//! Described in [MS-PATCH] (CAB and delta) and known from wimlib for WIM; where they differ the comment says
//! so. Nothing here reads or writes a stream.

/// Base-2 logarithm of a WIM chunk size (the LZX window): 15 to 21, that is 32 KiB to 2 MiB.
///
/// The number of main symbols follows from the nominal chunk size, not from the length of a short last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowOrder(u8);

impl WindowOrder {
    /// 32 KiB, the only chunk size that Microsoft's tools use with LZX.
    pub const MIN: Self = Self(15);
    /// 2 MiB.
    pub const MAX: Self = Self(21);

    /// The window of 2^`log2` bytes, if the format has it.
    #[must_use]
    pub const fn new(log2: u8) -> Option<Self> {
        if log2 >= 15 && log2 <= 21 { Some(Self(log2)) } else { None }
    }

    /// The window of `bytes` bytes, if that is a power of two which the format has.
    #[must_use]
    pub const fn from_bytes(bytes: u32) -> Option<Self> {
        if !bytes.is_power_of_two() {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a trailing-zero count is at most 32")]
        Self::new(bytes.trailing_zeros() as u8)
    }

    /// Window size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        1 << self.0
    }

    /// Base-2 logarithm of the window size.
    #[must_use]
    pub const fn log2(self) -> u8 {
        self.0
    }

    /// Number of offset slots, the three recent offsets included.
    #[must_use]
    pub const fn num_offset_slots(self) -> usize {
        num_offset_slots(self.0 as u32)
    }

    /// Number of symbols of the main code.
    #[must_use]
    pub const fn num_main_symbols(self) -> usize {
        NUM_LITERALS + NUM_LENGTH_HEADERS * self.num_offset_slots()
    }
}

/// Literals in front of the match symbols of the main code.
pub const NUM_LITERALS: usize = 256;
/// Lengths a main symbol can tell apart: 2 to 8, and "9 or more, see the length code".
pub const NUM_LENGTH_HEADERS: usize = 8;
/// Symbols of the length code: match lengths 9 to 257.
pub const NUM_LENGTH_SYMBOLS: usize = 249;
/// Symbols of the precode, in which the codeword lengths of the main and length codes are written.
pub const NUM_PRECODE_SYMBOLS: usize = 20;
/// Symbols of the aligned-offset code: the low three bits of an offset.
pub const NUM_ALIGNED_SYMBOLS: usize = 8;

/// Longest codeword of the main code, in bits.
pub const MAX_MAIN_LEN: u32 = 16;
/// Longest codeword of the length code, in bits.
pub const MAX_LENGTH_LEN: u32 = 16;
/// Longest codeword of the precode, in bits: lengths are stored in four bits.
pub const MAX_PRECODE_LEN: u32 = 15;
/// Longest codeword of the aligned-offset code, in bits: lengths are stored in three bits.
pub const MAX_ALIGNED_LEN: u32 = 7;
/// Bits of one stored precode codeword length.
pub const PRECODE_LEN_BITS: u32 = 4;
/// Bits of one stored aligned-offset codeword length.
pub const ALIGNED_LEN_BITS: u32 = 3;

/// Shortest match, in bytes.
pub const MIN_MATCH_LEN: usize = 2;
/// Length of the shortest match whose length goes through the length code.
pub const FIRST_CODED_LEN: usize = MIN_MATCH_LEN + NUM_LENGTH_HEADERS - 1;
/// Longest match, in bytes.
pub const MAX_MATCH_LEN: usize = FIRST_CODED_LEN + NUM_LENGTH_SYMBOLS - 1;

/// Offset slots that stand for a recent offset.
pub const NUM_RECENT_OFFSETS: usize = 3;
/// Value of the recent offsets at the start of a chunk.
pub const FIRST_RECENT_OFFSET: u32 = 1;

/// Block type: Huffman codes, offsets written out.
pub const BLOCK_VERBATIM: u32 = 1;
/// Block type: as verbatim, but the low three bits of far offsets have a code of their own.
pub const BLOCK_ALIGNED: u32 = 2;
/// Block type: raw bytes.
pub const BLOCK_UNCOMPRESSED: u32 = 3;
/// Bits of the block type.
pub const BLOCK_TYPE_BITS: u32 = 3;
/// Size that the one-bit flag of a WIM block header stands for, whatever the window is.
pub const DEFAULT_BLOCK_BYTES: u32 = 32768;

/// Precode symbol: 4 + (4 bits) zero lengths.
pub const PRECODE_ZEROS_SHORT: u32 = 17;
/// Precode symbol: 20 + (5 bits) zero lengths.
pub const PRECODE_ZEROS_LONG: u32 = 18;
/// Precode symbol: 4 + (1 bit) times the length that the next precode symbol gives.
pub const PRECODE_REPEAT: u32 = 19;
/// Codeword lengths are written as differences modulo this number.
pub const LENGTH_DELTA_MODULUS: u8 = 17;

/// File size that WIM's E8 translation assumes, whatever the real one is.
pub const E8_FILE_SIZE: i32 = 12_000_000;
/// Bytes at the end of a chunk (or CAB frame) in which no E8 is translated.
pub const E8_TAIL_BYTES: usize = 10;

/// Offset slots of the largest window, the 32 MiB of [MS-PATCH] deltas.
pub const MAX_OFFSET_SLOTS: usize = num_offset_slots(25);

/// Most extra bits of an offset slot in any window.
pub const MAX_EXTRA_BITS: u32 = 17;

/// Number of extra bits of an offset slot: none for the first four, then two slots for each count, 17 at most.
#[must_use]
pub const fn extra_bits(slot: usize) -> u32 {
    if slot < 4 {
        return 0;
    }
    let bits = slot / 2 - 1;
    #[expect(clippy::cast_possible_truncation, reason = "at most 17")]
    if bits < MAX_EXTRA_BITS as usize { bits as u32 } else { MAX_EXTRA_BITS }
}

/// Smallest match offset of each slot; the slots of recent offsets hold 0.
///
/// `OFFSET_BASE[s]` is the sum of 2^extra over the slots before, less two (LZX adds two to offsets so that the
/// first three values are free). One entry more than there are slots: the end of the last one.
pub const OFFSET_BASE: [u32; MAX_OFFSET_SLOTS + 1] = {
    let mut bases = [0; MAX_OFFSET_SLOTS + 1];
    let mut sum = 0;
    let mut slot = 0;
    while slot <= MAX_OFFSET_SLOTS {
        bases[slot] = if slot < NUM_RECENT_OFFSETS { 0 } else { sum - 2 };
        sum += 1 << extra_bits(slot);
        slot += 1;
    }
    bases
};

/// Number of offset slots of a window of 2^`log2` bytes: the fewest that cover it.
#[must_use]
pub const fn num_offset_slots(log2: u32) -> usize {
    let mut covered = 0u32;
    let mut slots = 0;
    while covered < 1 << log2 {
        covered += 1 << extra_bits(slots);
        slots += 1;
    }
    slots
}

/// The slot of an explicit match offset (at least 1), by arithmetic alone.
#[must_use]
pub const fn offset_slot(offset: u32) -> usize {
    let formatted = offset + 2;
    if formatted >= 1 << 18 {
        // From here on every slot is 2^17 wide.
        return 34 + (formatted >> 17) as usize;
    }
    if formatted < 4 {
        return formatted as usize;
    }
    let log2 = 31 - formatted.leading_zeros();
    (2 * log2 + ((formatted >> (log2 - 1)) & 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_match_the_published_table() {
        let slots = [30, 32, 34, 36, 38, 42, 50];
        for (log2, expected) in (15..=21).zip(slots) {
            let window = WindowOrder::new(log2).expect("in range");
            assert_eq!(window.num_offset_slots(), expected);
            assert_eq!(window.num_main_symbols(), 256 + 8 * expected);
            assert_eq!(WindowOrder::from_bytes(window.bytes()), Some(window));
        }
        assert_eq!(MAX_OFFSET_SLOTS, 290);
        assert_eq!(WindowOrder::new(14), None);
        assert_eq!(WindowOrder::new(22), None);
        assert_eq!(WindowOrder::from_bytes(40000), None);
        assert_eq!(WindowOrder::from_bytes(0), None);
    }

    #[test]
    fn bases_match_the_published_values() {
        let known = [(3, 1), (4, 2), (5, 4), (6, 6), (7, 10), (8, 14), (10, 30), (20, 1022), (30, 32766)];
        for (slot, base) in known {
            assert_eq!(OFFSET_BASE[slot], base, "slot {slot}");
        }
        for (slot, base) in [(32, 65534), (36, 262_142), (37, 393_214), (49, 1_966_078)] {
            assert_eq!(OFFSET_BASE[slot], base, "slot {slot}");
        }
    }

    #[test]
    fn every_offset_lies_in_its_slot() {
        for slot in NUM_RECENT_OFFSETS..MAX_OFFSET_SLOTS {
            assert_eq!(offset_slot(OFFSET_BASE[slot]), slot);
            assert_eq!(offset_slot(OFFSET_BASE[slot + 1] - 1), slot);
            assert_eq!(OFFSET_BASE[slot + 1] - OFFSET_BASE[slot], 1 << extra_bits(slot));
        }
    }

    #[test]
    fn match_lengths() {
        assert_eq!(FIRST_CODED_LEN, 9);
        assert_eq!(MAX_MATCH_LEN, 257);
    }
}
