//! LZX items: literals and matches as main symbol, length and extra bits, ready to be counted and written.
//!
//! Shared by the parsers that make them, the search for block boundaries and the block writer. How symbols are coded
//! is decided later, block by block.

use crate::format::{
    FIRST_CODED_LEN, MAX_MATCH_LEN, MIN_MATCH_LEN, NUM_ALIGNED_SYMBOLS, NUM_LENGTH_HEADERS,
    NUM_LENGTH_SYMBOLS, NUM_LITERALS, OFFSET_BASE, extra_bits, offset_slot,
};
use lz_kit::parse::{ItemSink, LazyRules};

/// Main symbols of the largest window, rounded up to a power of two so that indices can be masked.
pub(crate) const MAIN_ROOM: usize = 1024;
/// Length symbols, rounded up likewise.
pub(crate) const LENGTH_ROOM: usize = 256;
/// First offset slot whose low three offset bits can go through the aligned-offset code.
pub(crate) const FIRST_ALIGNED_SLOT: usize = 8;
/// Offset slots of the largest WIM window, rounded up to a power of two.
pub(crate) const SLOT_ROOM: usize = 64;

/// Extra bits and offset bases of the slots WIM windows have.
pub(crate) const EXTRA_BITS: [u8; SLOT_ROOM] = {
    let mut table = [0; SLOT_ROOM];
    let mut slot = 0;
    while slot < SLOT_ROOM {
        table[slot] = extra_bits(slot) as u8;
        slot += 1;
    }
    table
};

/// A literal (length 1) or a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Symbol of the main code.
    pub(crate) main: u16,
    /// Bytes it stands for.
    pub(crate) length: u16,
    /// Offset less the base of its slot, for explicit offsets.
    pub(crate) extra: u32,
}

impl Item {
    #[inline(always)]
    pub(crate) fn literal(byte: u8) -> Self {
        Self { main: u16::from(byte), length: 1, extra: 0 }
    }

    #[inline(always)]
    pub(crate) fn explicit(length: usize, offset: usize) -> Self {
        let slot = offset_slot(offset as u32);
        Self {
            main: main_symbol(length, slot),
            length: length as u16,
            extra: offset as u32 - OFFSET_BASE[slot % SLOT_ROOM],
        }
    }

    #[inline(always)]
    pub(crate) fn repeat(length: usize, index: u32) -> Self {
        Self { main: main_symbol(length, index as usize), length: length as u16, extra: 0 }
    }

    /// Whether the item is a match.
    #[inline(always)]
    pub(crate) fn is_match(self) -> bool {
        usize::from(self.main) >= NUM_LITERALS
    }

    /// Offset slot of a match.
    #[inline(always)]
    pub(crate) fn slot(self) -> usize {
        ((usize::from(self.main).wrapping_sub(NUM_LITERALS)) / NUM_LENGTH_HEADERS) % SLOT_ROOM
    }

    /// Symbol of the length code, for matches that need one.
    #[inline(always)]
    pub(crate) fn length_symbol(self) -> Option<usize> {
        usize::from(self.length).checked_sub(FIRST_CODED_LEN)
    }
}

#[inline(always)]
fn main_symbol(length: usize, slot: usize) -> u16 {
    let header = (length - MIN_MATCH_LEN).min(NUM_LENGTH_HEADERS - 1);
    (NUM_LITERALS + slot * NUM_LENGTH_HEADERS + header) as u16
}

/// The items of a span of the chunk.
#[derive(Debug)]
pub(crate) struct Items(pub(crate) Vec<Item>);

impl ItemSink for Items {
    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.0.push(Item::literal(byte));
    }

    #[inline(always)]
    fn explicit(&mut self, length: usize, offset: usize) {
        self.0.push(Item::explicit(length, offset));
    }

    #[inline(always)]
    fn repeat(&mut self, length: usize, index: u32) {
        self.0.push(Item::repeat(length, index));
    }
}

/// How often each symbol occurs in a run of items.
#[derive(Clone, Debug)]
pub(crate) struct Frequencies {
    pub(crate) main: [u32; MAIN_ROOM],
    pub(crate) length: [u32; LENGTH_ROOM],
    pub(crate) aligned: [u32; NUM_ALIGNED_SYMBOLS],
    /// Extra bits of all offsets, as a verbatim block writes them.
    pub(crate) extra_bits: u64,
    /// Bytes the items stand for.
    pub(crate) bytes: usize,
}

const _: () = assert!(NUM_LENGTH_SYMBOLS <= LENGTH_ROOM);

impl Frequencies {
    pub(crate) const ZERO: Self = Self {
        main: [0; MAIN_ROOM],
        length: [0; LENGTH_ROOM],
        aligned: [0; NUM_ALIGNED_SYMBOLS],
        extra_bits: 0,
        bytes: 0,
    };

    /// Counts `items` on top of what is there.
    pub(crate) fn add(&mut self, items: &[Item]) {
        for item in items {
            self.main[usize::from(item.main) % MAIN_ROOM] += 1;
            self.bytes += usize::from(item.length);
            if item.is_match() {
                if let Some(symbol) = item.length_symbol() {
                    self.length[symbol % LENGTH_ROOM] += 1;
                }
                let slot = item.slot();
                self.extra_bits += u64::from(EXTRA_BITS[slot]);
                if slot >= FIRST_ALIGNED_SLOT {
                    self.aligned[item.extra as usize % NUM_ALIGNED_SYMBOLS] += 1;
                }
            }
        }
    }

    /// Adds the counts of a neighbouring run.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (a, b) in self.main.iter_mut().zip(&other.main) {
            *a += b;
        }
        for (a, b) in self.length.iter_mut().zip(&other.length) {
            *a += b;
        }
        for (a, b) in self.aligned.iter_mut().zip(&other.aligned) {
            *a += b;
        }
        self.extra_bits += other.extra_bits;
        self.bytes += other.bytes;
    }
}

/// How the lazy parser weighs LZX matches.
pub(crate) struct Rules;

impl LazyRules for Rules {
    const RECENT: bool = true;
    const MAX_LENGTH: usize = MAX_MATCH_LEN;

    #[inline(always)]
    fn pays(length: usize, offset: usize) -> bool {
        length > 3 || offset < 8192
    }

    #[inline(always)]
    fn explicit_score(length: usize, offset: usize) -> usize {
        length + usize::from(offset < 4096) + usize::from(offset < 256)
    }

    #[inline(always)]
    fn repeat_score(length: usize, _index: u32) -> usize {
        length + 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_name_slot_and_length() {
        let item = Item::explicit(9, 32766 + 5);
        assert_eq!((item.slot(), item.extra, item.length_symbol()), (30, 5, Some(0)));
        assert_eq!(usize::from(item.main), 256 + 30 * 8 + 7);
        let item = Item::repeat(2, 2);
        assert_eq!((item.slot(), item.length_symbol(), item.main), (2, None, 256 + 16));
        assert!(!Item::literal(255).is_match());
    }

    #[test]
    fn counts_add_up() {
        let items = [Item::literal(7), Item::explicit(257, 100), Item::repeat(8, 0)];
        let mut f = Frequencies::ZERO;
        f.add(&items);
        let mut g = f.clone();
        g.merge(&f);
        assert_eq!((f.bytes, f.extra_bits, f.main[7], f.length[248]), (266, 5, 1, 1));
        assert_eq!((g.bytes, g.extra_bits, g.main[7], g.length[248]), (532, 10, 2, 2));
        assert_eq!(f.aligned.iter().sum::<u32>(), 1);
    }
}
