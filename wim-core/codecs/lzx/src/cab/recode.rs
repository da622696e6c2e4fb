//! A parse made fit for frames: no match crosses the end of one, and recent offsets are those that the decoder has.
//!
//! Parsers know neither frames nor what lay before the history that they are given. Cutting a match in two can change which
//! offsets are recent, so every match is taken for its offset and expressed anew.

use super::FRAME_BYTES;
use crate::format::{MIN_MATCH_LEN, OFFSET_BASE};
use crate::items::Item;
use lz_kit::lz77::RecentOffsets;

/// What goes on from item to item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recoder {
    /// The recent offsets that the parser had.
    pub(super) parsed: RecentOffsets,
    /// Those that the decoder will have.
    pub(super) actual: RecentOffsets,
    /// Bytes since the start of the frame.
    pub(super) in_frame: usize,
}

impl Recoder {
    /// Expresses `items`, which stand for the first of `bytes`, anew at the end of `out`; returns the number of bytes.
    pub(super) fn recode(&mut self, items: &[Item], bytes: &[u8], out: &mut Vec<Item>) -> usize {
        let mut at = 0;
        for &item in items {
            let mut left = usize::from(item.length);
            if item.is_match() {
                let offset = self.follow(item);
                while left > 0 {
                    let length = left.min(FRAME_BYTES - self.in_frame);
                    let piece = if length < MIN_MATCH_LEN {
                        Item::literal(bytes[at])
                    } else {
                        self.express(length, offset)
                    };
                    out.push(piece);
                    at += length;
                    left -= length;
                    self.in_frame = (self.in_frame + length) % FRAME_BYTES;
                }
            } else {
                out.push(item);
                at += 1;
                self.in_frame = (self.in_frame + 1) % FRAME_BYTES;
            }
        }
        at
    }

    /// The offset of a match, as the parser meant it.
    fn follow(&mut self, item: Item) -> usize {
        let slot = item.slot();
        if slot < 3 {
            let offset = self.parsed.get(slot as u32);
            self.parsed = self.parsed.swap(slot as u32);
            offset
        } else {
            let offset = (OFFSET_BASE[slot] + item.extra) as usize;
            self.parsed = self.parsed.push(offset);
            offset
        }
    }

    fn express(&mut self, length: usize, offset: usize) -> Item {
        match (0..3).find(|&index| self.actual.get(index) == offset) {
            Some(index) => {
                self.actual = self.actual.swap(index);
                Item::repeat(length, index)
            }
            None => {
                self.actual = self.actual.push(offset);
                Item::explicit(length, offset)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_cut_at_the_end_of_a_frame() {
        let mut recoder = Recoder {
            parsed: RecentOffsets::INITIAL,
            actual: RecentOffsets::INITIAL,
            in_frame: FRAME_BYTES - 5,
        };
        let items = [Item::literal(7), Item::explicit(9, 100), Item::repeat(4, 0)];
        let mut out = Vec::new();
        assert_eq!(recoder.recode(&items, &[7; 14], &mut out), 14);
        let expected = [Item::literal(7), Item::explicit(4, 100), Item::repeat(5, 0), Item::repeat(4, 0)];
        assert_eq!(out, expected);
        assert_eq!((recoder.in_frame, recoder.actual), (9, recoder.parsed));
    }

    /// A match of two bytes becomes two literals; its offset is then no recent one for the decoder.
    #[test]
    fn what_is_no_match_any_more_is_not_recent() {
        let mut recoder = Recoder {
            parsed: RecentOffsets::INITIAL,
            actual: RecentOffsets::INITIAL,
            in_frame: FRAME_BYTES - 1,
        };
        let items = [Item::explicit(2, 50), Item::repeat(3, 0), Item::repeat(3, 1)];
        let mut out = Vec::new();
        recoder.recode(&items, &[1, 2, 3, 4, 5, 6, 7, 8], &mut out);
        let expected = [Item::literal(1), Item::literal(2), Item::explicit(3, 50), Item::repeat(3, 1)];
        assert_eq!(out, expected);
    }
}
