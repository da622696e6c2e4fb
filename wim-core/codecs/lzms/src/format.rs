//! Constants and tables of LZMS, each with its formula.
//!
//! Microsoft documents nothing of it; the facts are those of wimlib's source, checked against streams made by Windows.
//! No code here reads or writes a stream.

/// Longest chunk, in bytes; WIM files use up to 64 MiB, wimlib makes up to this.
pub const MAX_CHUNK_BYTES: usize = 1 << 30;
/// Shortest compressed chunk in bytes: the two units the range decoder starts with.
pub const MIN_STREAM_BYTES: usize = 4;

/// Symbols of the literal code.
pub const NUM_LITERALS: usize = 256;
/// Symbols of the two offset codes in the longest chunk; shorter chunks have fewer, see [`offset_slots_of`].
pub const NUM_OFFSET_SLOTS: usize = 799;
/// Symbols of the length code.
pub const NUM_LENGTH_SLOTS: usize = 54;
/// Symbols of the code of delta powers; the span of a delta match is 2^power bytes.
pub const NUM_POWERS: usize = 8;

/// Literals between two rebuilds of their code.
pub const LITERAL_PERIOD: u32 = 1024;
/// LZ offset slots between two rebuilds of their code.
pub const OFFSET_PERIOD: u32 = 1024;
/// Length slots between two rebuilds of their code.
pub const LENGTH_PERIOD: u32 = 512;
/// Delta offset slots between two rebuilds of their code.
pub const DELTA_OFFSET_PERIOD: u32 = 1024;
/// Delta powers between two rebuilds of their code.
pub const POWER_PERIOD: u32 = 512;

/// Longest codeword of any code, in bits.
///
/// Frequencies bound it: before a rebuild they add up to at most 2 · period + 2 · symbols, none is 0, and a tree of
/// depth d weighs at least the Fibonacci number F(d + 2). With 256 symbols that is 2560 < F(18). For the offset codes the
/// sum passes F(18) = 2584 only with 268 symbols or more, all but 17 of which would have to be in the tree without
/// adding to its weight.
pub const MAX_CODEWORD_LEN: u32 = 15;

/// Repeat offsets that an item can name; the queues hold one more for delayed insertion.
pub const NUM_REPEATS: usize = 3;

/// Most extra bits of an offset or length slot.
pub const MAX_EXTRA_BITS: u32 = 30;

/// (extra bits, slots that have so many) of the offset slots, in order.
const OFFSET_RUNS: [(u8, u16); 21] = [
    (0, 8),
    (2, 9),
    (3, 7),
    (4, 10),
    (5, 15),
    (6, 15),
    (7, 20),
    (8, 20),
    (9, 30),
    (10, 33),
    (11, 40),
    (12, 42),
    (13, 45),
    (14, 60),
    (15, 73),
    (16, 80),
    (17, 85),
    (18, 95),
    (19, 105),
    (20, 6),
    (30, 1),
];

/// As [`OFFSET_RUNS`], of the length slots.
const LENGTH_RUNS: [(u8, u16); 13] = [
    (0, 26),
    (1, 4),
    (2, 6),
    (3, 4),
    (4, 5),
    (5, 2),
    (6, 1),
    (7, 1),
    (8, 1),
    (9, 1),
    (10, 1),
    (16, 1),
    (30, 1),
];

/// The slots of a code: the value of slot s is `bases[s]` plus as many extra bits as `extra_bits[s]` says.
#[derive(Debug)]
pub struct Slots<const N: usize> {
    /// Least value of each slot: base 0 is 1, and base s + 1 is base s + 2^(extra bits of s).
    pub bases: [u32; N],
    /// Extra bits of each slot.
    pub extra_bits: [u8; N],
}

impl<const N: usize> Slots<N> {
    const fn new(runs: &[(u8, u16)]) -> Self {
        let (mut bases, mut extra_bits) = ([0; N], [0; N]);
        let (mut slot, mut base, mut run) = (0, 1u32, 0);
        while run < runs.len() {
            let (bits, count) = runs[run];
            let mut i = 0;
            while i < count {
                bases[slot] = base;
                extra_bits[slot] = bits;
                base = base.wrapping_add(1 << bits);
                slot += 1;
                i += 1;
            }
            run += 1;
        }
        assert!(slot == N, "the runs have as many slots as the code");
        Self { bases, extra_bits }
    }

    /// The slot of a value, which is at least 1.
    #[must_use]
    pub fn slot_of(&self, value: u32) -> usize {
        self.bases.partition_point(|&base| base <= value).saturating_sub(1)
    }
}

/// Slots of LZ offsets and raw delta offsets; the greatest value is 1,180,427,428.
pub static OFFSET_SLOTS: Slots<NUM_OFFSET_SLOTS> = Slots::new(&OFFSET_RUNS);
/// Slots of lengths; the greatest value is 1,073,809,578.
pub static LENGTH_SLOTS: Slots<NUM_LENGTH_SLOTS> = Slots::new(&LENGTH_RUNS);

/// Symbols of the offset codes of a chunk of `bytes` uncompressed bytes: those for offsets within it.
///
/// At least two, so that every code is a code. Chunks of fewer than three bytes would have fewer, but are never
/// compressed: every stream has four.
#[must_use]
pub fn offset_slots_of(bytes: usize) -> usize {
    let greatest = u32::try_from(bytes.saturating_sub(1)).unwrap_or(u32::MAX).max(2);
    OFFSET_SLOTS.slot_of(greatest) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_their_known_bounds() {
        assert_eq!(OFFSET_SLOTS.bases[798], 106_685_605);
        assert_eq!(OFFSET_SLOTS.extra_bits[798], 30);
        assert_eq!(
            LENGTH_SLOTS.bases[..28],
            core::array::from_fn::<u32, 28, _>(|i| match i {
                0..=26 => i as u32 + 1,
                _ => 29,
            })
        );
        assert_eq!(LENGTH_SLOTS.bases[52..], [2219, 67755]);
        for value in (1..100_000).chain([1 << 20, (1 << 30) - 1, 1 << 30]) {
            let slot = OFFSET_SLOTS.slot_of(value);
            let beyond = value - OFFSET_SLOTS.bases[slot];
            assert!(u64::from(beyond) < 1 << OFFSET_SLOTS.extra_bits[slot]);
        }
    }

    #[test]
    fn chunk_sizes_have_their_known_numbers_of_slots() {
        let known = [142, 171, 203, 237, 275, 317, 368, 430, 494, 565, 643, 729];
        for (log2, slots) in (15..).zip(known) {
            assert_eq!(offset_slots_of(1 << log2), slots, "2^{log2}");
        }
        assert_eq!(offset_slots_of(MAX_CHUNK_BYTES), NUM_OFFSET_SLOTS);
        assert_eq!([0, 1, 2, 3, 4].map(offset_slots_of), [2, 2, 2, 2, 3]);
    }
}
