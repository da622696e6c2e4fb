//! The quickest parse: one earlier position for each hash, and longer steps the longer nothing is found.
//!
//! For formats with recent offsets, of which it tries the newest. Positions that are stepped over or lie inside a match are
//! not remembered, so that it finds much less than the parsers that search every position; what it takes is a third of their time.

use super::lazy::{ItemSink, LazyRules};
use crate::lz77::{PaddedChunk, RecentOffsets};

/// Shortest match looked for, in bytes.
const MIN_LENGTH: usize = 4;
/// After so many literals (as a power of two) steps are one byte longer.
const PATIENCE: u32 = 8;

/// The newest position of each hash.
#[derive(Debug)]
pub struct QuickTable {
    newest: Vec<u32>,
    shift: u32,
}

/// More than the first-level cache bears; fewer places cost as much in false hits.
const fn hash_bits(max_chunk_bytes: usize) -> u32 {
    if max_chunk_bytes <= 1 << 16 { 15 } else { 16 }
}

impl QuickTable {
    /// A table for chunks of at most `max_chunk_bytes`, which is below 4 GiB.
    #[must_use]
    pub fn new(max_chunk_bytes: usize) -> Self {
        let bits = hash_bits(max_chunk_bytes);
        Self { newest: vec![0; 1 << bits], shift: u32::BITS - bits }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        size_of::<u32>() << hash_bits(max_chunk_bytes)
    }

    /// Enters a position that begins with `word`; the one before it with the same hash, or 0.
    #[inline(always)]
    fn replace(&mut self, word: u32, at: usize) -> usize {
        let newest = &mut self.newest[(word.wrapping_mul(0x9E37_79B1) >> self.shift) as usize];
        core::mem::replace(newest, at as u32) as usize
    }
}

/// Parses the chunk from `start` on; what lies before is history. The recent offsets there must not reach before the chunk.
pub fn quick_from<R: LazyRules>(
    chunk: &PaddedChunk,
    (start, mut recent): (usize, RecentOffsets),
    table: &mut QuickTable,
    sink: &mut impl ItemSink,
) {
    assert!((0..3).all(|index| recent.get(index) <= start.max(1)), "a recent offset is too far");
    let bytes = chunk.bytes();
    let end = bytes.len();
    table.newest.fill(0);
    for at in (0..start).step_by(2) {
        table.replace(chunk.load_u32(at), at);
    }
    // `anchor` is the first byte not yet sent. An empty place of the table says 0, which is compared like any position.
    let (mut anchor, mut at) = (start, start.max(1));
    while at + MIN_LENGTH < end {
        let word = chunk.load_u32(at);
        let earlier = table.replace(word, at);
        let newest = recent.get(0);
        let is_repeat = chunk.load_u32(at - newest) == word;
        if !is_repeat && chunk.load_u32(earlier) != word {
            at += 1 + ((at - anchor) >> PATIENCE);
            continue;
        }
        let offset = if is_repeat { newest } else { at - earlier };
        let limit = R::MAX_LENGTH.min(end - at);
        let length = chunk.match_length(at - offset, at, MIN_LENGTH, limit);
        bytes[anchor..at].iter().for_each(|&byte| sink.literal(byte));
        if is_repeat {
            sink.repeat(length, 0);
        } else {
            sink.explicit(length, offset);
            recent = recent.push(offset);
        }
        for inside in (at + 1..at + length).step_by(2) {
            table.replace(chunk.load_u32(inside), inside);
        }
        at += length;
        anchor = at;
    }
    bytes[anchor.min(end)..].iter().for_each(|&byte| sink.literal(byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rules;

    impl LazyRules for Rules {
        const RECENT: bool = true;
        const MAX_LENGTH: usize = 257;

        fn pays(_length: usize, _offset: usize) -> bool {
            true
        }

        fn explicit_score(length: usize, _offset: usize) -> usize {
            length
        }

        fn repeat_score(length: usize, _index: u32) -> usize {
            length
        }
    }

    /// Rebuilds the data, following the recent offsets as a decoder does.
    struct Replay(Vec<u8>, RecentOffsets, usize);

    impl Replay {
        fn copy(&mut self, length: usize, offset: usize) {
            assert!((4..=257).contains(&length));
            self.2 += 1;
            for _ in 0..length {
                self.0.push(self.0[self.0.len() - offset]);
            }
        }
    }

    impl ItemSink for Replay {
        fn literal(&mut self, byte: u8) {
            self.0.push(byte);
        }

        fn explicit(&mut self, length: usize, offset: usize) {
            self.copy(length, offset);
            self.1 = self.1.push(offset);
        }

        fn repeat(&mut self, length: usize, index: u32) {
            self.copy(length, self.1.get(index));
            self.1 = self.1.swap(index);
        }
    }

    fn sample(length: usize) -> Vec<u8> {
        let mut state = 7u32;
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (state >> 8) as usize;
            if state >> 30 == 0 || bytes.len() < 50 {
                bytes.push(value as u8);
            } else {
                let from = value % (bytes.len() - 20);
                bytes.extend_from_within(from..from + 3 + (state >> 24) as usize % 17);
            }
        }
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn items_rebuild_the_data_with_and_without_history() {
        for length in (0..40).chain([4000, 70_000]) {
            for bytes in [sample(length), vec![9; length]] {
                let mut chunk = PaddedChunk::new(length);
                assert!(chunk.set(&bytes));
                let mut table = QuickTable::new(length);
                for start in [0, 1, length / 3] {
                    let mut replay = Replay(bytes[..start.min(length)].to_vec(), RecentOffsets::INITIAL, 0);
                    quick_from::<Rules>(
                        &chunk,
                        (start.min(length), RecentOffsets::INITIAL),
                        &mut table,
                        &mut replay,
                    );
                    assert!(replay.0 == bytes, "{length} bytes from {start}");
                    assert!(length < 4000 || replay.2 > length / 500, "matches are found");
                }
            }
        }
    }
}
