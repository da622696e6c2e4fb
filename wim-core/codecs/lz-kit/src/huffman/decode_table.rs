//! Decode tables: one look at the next bits gives a symbol with all that the decoder wants to know about it.
//!
//! Canonical codes are described in [MS-XCA] 2.2.3 and [MS-PATCH] 2.3; the two-level table is common craft. What an
//! entry means, beyond its number of bits, is the codec's business.

use super::codewords::{LengthCounts, MAX_CODEWORD_LEN, is_complete};
use crate::DecodeError;

/// Bits of an entry that hold how many bits of the stream it stands for.
///
/// The builder adds the codeword length to what the codec put there, so an entry can hold the sum of a codeword and
/// the extra bits behind it.
pub const ENTRY_BITS_MASK: u32 = 0x3f;

/// Flag of a root entry that only points to a subtable; codecs leave it clear.
///
/// The low bits then hold the number of bits that select within the subtable.
pub const ENTRY_SUBTABLE: u32 = 1 << 30;

/// Where a subtable pointer holds the index of the subtable's first entry.
pub const SUBTABLE_START_SHIFT: u32 = 8;

/// Root entry of an empty code: a subtable pointer that no code has, for a subtable has at least one bit.
const EMPTY: u32 = ENTRY_SUBTABLE;

/// Most symbols of any code: the main code of a delta with a 32 MiB window.
const MAX_SYMBOLS: usize = 256 + 8 * 290;

/// Entries that suffice for any complete code of `symbols` symbols.
///
/// A subtable of 2^b entries holds at least b + 1 symbols (a binary tree of depth b has as many leaves), and
/// 2^b / (b + 1) grows with b, so subtables are most wasteful at the greatest depth.
#[must_use]
pub const fn table_entries(symbols: usize, root_bits: u32, max_len: u32) -> usize {
    let depth = max_len.saturating_sub(root_bits);
    (1 << root_bits) + if depth == 0 { 0 } else { (symbols / (depth as usize + 1)) << depth }
}

/// What a set of lengths turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeKind {
    /// Every bit string starts with a codeword.
    Complete,
    /// No symbol has a codeword; looking one up gives [`DecodeError::EmptyCode`].
    Empty,
}

/// A two-level table with 2^`ROOT_BITS` = `ROOT_ENTRIES` entries in front.
#[derive(Clone, Debug)]
pub struct DecodeTable<const ROOT_BITS: u32, const ROOT_ENTRIES: usize> {
    root: Box<[u32; ROOT_ENTRIES]>,
    /// The subtables, one behind the other.
    subtables: Box<[u32]>,
    kind: CodeKind,
    scratch: Box<SortScratch>,
}

impl<const ROOT_BITS: u32, const ROOT_ENTRIES: usize> DecodeTable<ROOT_BITS, ROOT_ENTRIES> {
    /// A table of the empty code, with room for codes of `symbols` symbols and codewords of `max_len` bits.
    #[must_use]
    pub fn new(symbols: usize, max_len: u32) -> Self {
        const { assert!(1 << ROOT_BITS == ROOT_ENTRIES && ROOT_BITS > 0, "the two parameters say the same") };
        assert!(symbols <= MAX_SYMBOLS && max_len as usize <= MAX_CODEWORD_LEN, "no codec has a larger code");
        let subtable_entries = table_entries(symbols, ROOT_BITS, max_len) - ROOT_ENTRIES;
        Self {
            root: Box::new([EMPTY; ROOT_ENTRIES]),
            subtables: vec![0; subtable_entries].into_boxed_slice(),
            kind: CodeKind::Empty,
            scratch: Box::new(SortScratch {
                lengths: [0; MAX_SYMBOLS + LANES],
                sorted: [0; MAX_SYMBOLS + LANES],
            }),
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same arguments.
    #[must_use]
    pub const fn scratch_bytes(symbols: usize, max_len: u32) -> usize {
        size_of::<Self>() + 4 * table_entries(symbols, ROOT_BITS, max_len) + size_of::<SortScratch>()
    }

    /// Whether the table's code has symbols.
    #[must_use]
    pub const fn kind(&self) -> CodeKind {
        self.kind
    }

    /// The first level; `bits >> (64 - ROOT_BITS)` is always within.
    #[inline(always)]
    #[must_use]
    pub const fn root(&self) -> &[u32; ROOT_ENTRIES] {
        &self.root
    }

    /// The entry for the bits on top of `bits`, through both levels.
    ///
    /// # Errors
    /// [`DecodeError::EmptyCode`] if the code has no symbols.
    #[inline(always)]
    pub fn look_up(&self, bits: u64) -> Result<u32, DecodeError> {
        let entry = self.root[(bits >> (64 - ROOT_BITS)) as usize];
        if entry & ENTRY_SUBTABLE == 0 { Ok(entry) } else { self.look_up_below(entry, bits) }
    }

    /// The second step of a look-up whose root entry has [`ENTRY_SUBTABLE`] set.
    ///
    /// # Errors
    /// [`DecodeError::EmptyCode`] if the code has no symbols.
    #[inline]
    pub fn look_up_below(&self, pointer: u32, bits: u64) -> Result<u32, DecodeError> {
        let select = pointer & ENTRY_BITS_MASK;
        if select == 0 {
            return Err(DecodeError::EmptyCode);
        }
        let start = ((pointer & !ENTRY_SUBTABLE) >> SUBTABLE_START_SHIFT) as usize;
        let index = start + (bits << ROOT_BITS >> (64 - select)) as usize;
        self.subtables.get(index).copied().ok_or(DecodeError::BadCode)
    }

    /// Builds the table of the canonical code with these `lengths`.
    ///
    /// The entry of a symbol is `symbols[symbol]` plus its codeword length; `symbols` may be longer than `lengths`.
    ///
    /// # Errors
    /// [`DecodeError::BadCode`] if the code is over-subscribed or incomplete. The table is then that of the empty code.
    pub fn build(&mut self, lengths: &[u8], symbols: &[u32]) -> Result<CodeKind, DecodeError> {
        debug_assert!(lengths.len() <= symbols.len().min(MAX_SYMBOLS), "an entry for each symbol");
        let sorted = SortedSymbols::new(lengths, &mut self.scratch);
        let counts = sorted.counts;
        let complete = is_complete(&counts);
        if complete != Ok(true) {
            self.root.fill(EMPTY);
            self.kind = CodeKind::Empty;
            return complete.map(|_| CodeKind::Empty);
        }
        self.kind = CodeKind::Complete;
        // Sorted codewords count upwards, so the root is written from its first entry to its last.
        let mut rest = sorted.symbols;
        let mut filled = 0;
        for len in 1..=ROOT_BITS {
            let (these, longer) = rest.split_at(usize::from(counts[len as usize]));
            let copies = ROOT_ENTRIES >> len;
            let root = &mut self.root[filled..filled + these.len() * copies];
            match copies {
                1 => fill_each::<1>(root, 1, these, symbols, len),
                2 => fill_each::<2>(root, 1, these, symbols, len),
                4 => fill_each::<4>(root, 1, these, symbols, len),
                more => fill_each::<8>(root, more / 8, these, symbols, len),
            }
            filled += these.len() * copies;
            rest = longer;
        }
        build_subtables::<ROOT_BITS>(&mut self.root[filled..], &mut self.subtables, &counts, rest, symbols);
        Ok(CodeKind::Complete)
    }
}

/// Writes `repeat` × `N` times the entry of each symbol, all with codewords of `len` bits.
#[inline(always)]
fn fill_each<const N: usize>(root: &mut [u32], repeat: usize, sorted: &[u16], symbols: &[u32], len: u32) {
    for (places, &symbol) in root.as_chunks_mut::<N>().0.chunks_exact_mut(repeat).zip(sorted) {
        places.fill([symbols[usize::from(symbol)] + len; N]);
    }
}

/// Writes subtables for `sorted`, the symbols with codewords longer than the root, and the `pointers` to them.
fn build_subtables<const ROOT_BITS: u32>(
    pointers: &mut [u32],
    subtables: &mut [u32],
    counts: &LengthCounts,
    sorted: &[u16],
    symbols: &[u32],
) {
    let mut left = *counts;
    let mut len = ROOT_BITS as usize + 1;
    let mut sorted = sorted.iter();
    let mut start = 0;
    for pointer in pointers {
        while len < MAX_CODEWORD_LEN && left[len] == 0 {
            len += 1;
        }
        // The subtable is as deep as codewords are needed to use up the space below this root entry.
        let mut depth = len - ROOT_BITS as usize;
        let mut space = usize::from(left[len]);
        while space < 1 << depth && ROOT_BITS as usize + depth < MAX_CODEWORD_LEN {
            depth += 1;
            space = (space << 1) + usize::from(left[ROOT_BITS as usize + depth]);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a few thousand entries, depth at most 15")]
        let value = ENTRY_SUBTABLE | (start << SUBTABLE_START_SHIFT) as u32 | depth as u32;
        *pointer = value;
        let end = start + (1 << depth);
        while start < end {
            while len < MAX_CODEWORD_LEN && left[len] == 0 {
                len += 1;
            }
            let Some(&symbol) = sorted.next() else { return };
            left[len] -= 1;
            let copies = (1 << (ROOT_BITS as usize + depth)) >> len;
            #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
            let entry = symbols[usize::from(symbol)] + len as u32;
            subtables[start..start + copies].fill(entry);
            start += copies;
        }
    }
}

/// Room for sorting the symbols of one code.
#[derive(Clone, Debug)]
struct SortScratch {
    /// Codeword lengths, padded with zeros to a multiple of [`LANES`].
    lengths: [u8; MAX_SYMBOLS + LANES],
    sorted: [u16; MAX_SYMBOLS + LANES],
}

/// Parts of the alphabet that are counted and sorted side by side.
///
/// Neighbours often have equal lengths, and then each step waits for the counter that the last one stored. Symbols
/// from different quarters have counters of their own.
const LANES: usize = 4;

/// The symbols that have a codeword, in the order of their codewords, which is that of (length, symbol).
struct SortedSymbols<'a> {
    symbols: &'a [u16],
    counts: LengthCounts,
}

impl<'a> SortedSymbols<'a> {
    fn new(lengths: &[u8], scratch: &'a mut SortScratch) -> Self {
        let quarter = lengths.len().div_ceil(LANES);
        let padded = &mut scratch.lengths[..quarter * LANES];
        padded[..lengths.len()].copy_from_slice(lengths);
        padded[lengths.len()..].fill(0);
        let (ab, cd) = padded.split_at(2 * quarter);
        let ((a, b), (c, d)) = (ab.split_at(quarter), cd.split_at(quarter));
        let lanes = || a.iter().zip(b).zip(c.iter().zip(d)).map(|((&a, &b), (&c, &d))| [a, b, c, d]);

        let mut next = [[0u16; 1 << LENGTH_BITS]; LANES];
        for lens in lanes() {
            for (counts, len) in next.iter_mut().zip(lens) {
                counts[usize::from(len & LENGTH_MASK)] += 1;
            }
        }
        // Counts become the places of each lane's first symbol; those without a codeword go first, so that the loop
        // below has no case for them.
        let mut counts = [0; MAX_CODEWORD_LEN + 1];
        let mut place = 0;
        for (len, count) in counts.iter_mut().enumerate() {
            for lane in &mut next {
                let here = lane[len];
                lane[len] = place;
                place += here;
                *count += here;
            }
        }
        let unused = usize::from(counts[0]);
        let sorted = &mut scratch.sorted[..quarter * LANES];
        for (index, lens) in lanes().enumerate() {
            for (lane, (next, len)) in next.iter_mut().zip(lens).enumerate() {
                let place = &mut next[usize::from(len & LENGTH_MASK)];
                #[expect(clippy::cast_possible_truncation, reason = "at most MAX_SYMBOLS symbols")]
                let symbol = (lane * quarter + index) as u16;
                if let Some(slot) = sorted.get_mut(usize::from(*place)) {
                    *slot = symbol;
                }
                *place += 1;
            }
        }
        Self { symbols: &sorted[unused..], counts }
    }
}

/// Bits of a codeword length; the mask lets the compiler see that a length is a valid index.
const LENGTH_BITS: u32 = 5;
const LENGTH_MASK: u8 = (1 << LENGTH_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::super::codewords;
    use super::*;

    type Table = DecodeTable<5, 32>;

    fn symbol_entries(count: u32) -> Vec<u32> {
        (0..count).map(|symbol| symbol << 8).collect()
    }

    /// Every codeword, followed by ones and by zeros, is found with its length.
    fn check(lengths: &[u8]) {
        let entries = symbol_entries(lengths.len() as u32);
        let mut table = Table::new(lengths.len(), 16);
        assert_eq!(table.build(lengths, &entries), Ok(CodeKind::Complete));
        let mut words = vec![0; lengths.len()];
        codewords::assign(lengths, &mut words);
        for (symbol, (&len, &word)) in lengths.iter().zip(&words).enumerate() {
            if len != 0 {
                let bits = u64::from(word) << (64 - len);
                for bits in [bits, bits | u64::MAX >> len] {
                    assert_eq!(table.look_up(bits), Ok((symbol as u32) << 8 | u32::from(len)));
                }
            }
        }
    }

    #[test]
    fn codes_of_every_shape() {
        check(&[1, 1]);
        check(&[0, 2, 1, 0, 2]);
        check(&[5; 32]);
        check(&[8; 256]);
        let staircase: Vec<u8> = (1..=16).chain([16]).collect();
        check(&staircase);
        check(&staircase.iter().rev().copied().collect::<Vec<_>>());
        // Six bits of root space for subtables of unequal depth.
        let mut mixed = vec![1, 2, 3, 4];
        mixed.extend([6; 2]);
        mixed.extend([8; 4]);
        mixed.extend([7; 2]);
        check(&mixed);
    }

    #[test]
    fn random_complete_codes() {
        let mut state = 1u64;
        for _ in 0..200 {
            // Split a random leaf until there are enough; that gives every shape of tree.
            let mut lengths = vec![1u8, 1];
            for _ in 0..300 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let leaf = (state >> 33) as usize % lengths.len();
                if lengths[leaf] < 16 {
                    lengths[leaf] += 1;
                    lengths.push(lengths[leaf]);
                }
            }
            check(&lengths);
        }
    }

    #[test]
    fn bad_codes_leave_an_empty_table() {
        let entries = symbol_entries(3);
        let mut table = Table::new(3, 16);
        assert_eq!(table.look_up(0), Err(DecodeError::EmptyCode));
        assert_eq!(table.build(&[1, 2, 2], &entries), Ok(CodeKind::Complete));
        assert_eq!(table.build(&[1, 1, 1], &entries), Err(DecodeError::BadCode));
        assert_eq!(table.look_up(u64::MAX), Err(DecodeError::EmptyCode));
        assert_eq!(table.build(&[0, 0, 0], &entries), Ok(CodeKind::Empty));
        assert_eq!(table.look_up(0), Err(DecodeError::EmptyCode));
    }
}
