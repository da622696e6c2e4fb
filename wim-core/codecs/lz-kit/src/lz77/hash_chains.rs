//! Match finder of the greedy and lazy parsers: chains of positions with equal hashes.
//!
//! Four-byte strings are chained, newest first, and the walk is cut after a given number of steps; for three-byte
//! matches only the newest position is known. It returns the longest match it meets, not all lengths: parsers that
//! weigh lengths against offsets use the binary trees.

#![expect(unsafe_code, reason = "unchecked loads on proven positions; listed in UNSAFE.md")]

use super::match_length::{PaddedChunk, load_u32, match_length};
use super::position::Position;

const HASH3_BITS: u32 = 14;

/// The longest match found, as (length, offset) in bytes; offset 0 means none.
pub type Found = (usize, usize);

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub struct SearchEffort {
    /// Most positions looked at, at least 1.
    pub depth: u32,
    /// A match this long ends the search, in bytes.
    pub nice_length: usize,
}

/// Chains over one chunk; every position is searched or skipped, in order.
#[derive(Debug)]
pub struct HashChains<P> {
    head3: Vec<P>,
    head4: Vec<P>,
    previous: Vec<P>,
    hash4_bits: u32,
    /// Positions `0..entered` are in the tables, and no others.
    entered: usize,
    /// Hashes of position `entered`.
    next: [usize; 2],
}

#[inline(always)]
fn hash3(word: u32) -> usize {
    ((word << 8).wrapping_mul(0x1E35_A7BD) >> (32 - HASH3_BITS)) as usize
}

#[inline(always)]
fn hash4(word: u32, bits: u32) -> usize {
    (word.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}

const fn hash4_bits(max_chunk_bytes: usize) -> u32 {
    let order = usize::BITS - max_chunk_bytes.leading_zeros();
    if order < 11 {
        10
    } else if order > 16 {
        16
    } else {
        order
    }
}

impl<P: Position> HashChains<P> {
    /// Tables for chunks of at most `max_chunk_bytes`.
    #[must_use]
    pub fn new(max_chunk_bytes: usize) -> Self {
        assert!(max_chunk_bytes <= P::MAX_CHUNK, "the table entries are too narrow for the chunk");
        let hash4_bits = hash4_bits(max_chunk_bytes);
        Self {
            head3: vec![P::NONE; 1 << HASH3_BITS],
            head4: vec![P::NONE; 1 << hash4_bits],
            previous: vec![P::NONE; max_chunk_bytes],
            hash4_bits,
            entered: 0,
            next: [0; 2],
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        ((1 << HASH3_BITS) + (1 << hash4_bits(max_chunk_bytes)) + max_chunk_bytes) * size_of::<P>()
    }

    /// Forgets the previous chunk and starts on `chunk`.
    pub fn start(&mut self, chunk: &PaddedChunk) {
        self.head3.fill(P::NONE);
        self.head4.fill(P::NONE);
        self.entered = 0;
        let word = chunk.load_u32(0);
        self.next = [hash3(word), hash4(word, self.hash4_bits)];
    }

    /// Enters the next position into the chains; the newest earlier positions with the same three and four bytes.
    ///
    /// # Safety
    /// `self.entered < chunk.len()`, and the chunk is not longer than the tables.
    #[inline(always)]
    unsafe fn insert(&mut self, chunk: &PaddedChunk) -> (P, P) {
        let at = self.entered;
        debug_assert!(at < chunk.len() && at < self.previous.len());
        self.entered = at + 1;
        let [h3, h4] = self.next;
        // SAFETY: every hash is within its table; the padding makes four bytes readable at the next position.
        unsafe {
            let candidate3 = core::mem::replace(self.head3.get_unchecked_mut(h3), P::at(at));
            let candidate4 = core::mem::replace(self.head4.get_unchecked_mut(h4), P::at(at));
            *self.previous.get_unchecked_mut(at) = candidate4;
            let word = load_u32(chunk.as_ptr(), at + 1);
            self.next = [hash3(word), hash4(word, self.hash4_bits)];
            #[cfg(target_arch = "x86_64")]
            {
                use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                _mm_prefetch::<_MM_HINT_T0>(self.head4.as_ptr().add(self.next[1]).cast());
            }
            (candidate3, candidate4)
        }
    }

    /// Enters the positions before `to` without searching.
    #[inline]
    pub fn skip(&mut self, chunk: &PaddedChunk, to: usize) {
        assert!(
            to <= chunk.len() && chunk.len() <= self.previous.len(),
            "the chunk is longer than the tables"
        );
        while self.entered < to {
            // SAFETY: `entered < to`, asserted above.
            unsafe { self.insert(chunk) };
        }
    }

    /// Enters the next position and returns the longest match there, if it is longer than `beat` (at least 2) and not
    /// longer than `limit`; else `beat` with offset 0.
    #[inline(always)]
    pub fn find(&mut self, chunk: &PaddedChunk, beat: usize, limit: usize, effort: SearchEffort) -> Found {
        let at = self.entered;
        assert!(
            at < chunk.len() && chunk.len() <= self.previous.len(),
            "the chunk is longer than the tables"
        );
        let (mut length, mut offset) = (beat, 0);
        let limit = limit.min(chunk.len() - at);
        let nice = effort.nice_length.min(limit);
        let data = chunk.as_ptr();
        // SAFETY: `at` was just tested; all positions in the tables are below it; loads at a position end at most
        // `limit + 8` bytes after `at`, which the padding allows, because `length` stays below `limit`.
        unsafe {
            let (candidate3, mut candidate) = self.insert(chunk);
            if limit <= beat {
                return (beat, 0);
            }
            let word = load_u32(data, at);
            if beat < 3 && candidate3 != P::NONE {
                let earlier = candidate3.plus_one() - 1;
                if (load_u32(data, earlier) ^ word) << 8 == 0 {
                    (length, offset) = (3, at - earlier);
                    if limit == 3 {
                        return (length, offset);
                    }
                }
            }
            let mut depth = effort.depth;
            // With less than four bytes to beat, the first four bytes must agree; later, the four around the end of the
            // best match, which rejects most candidates with one load.
            let mut tail = length.max(3) - 3;
            let mut tail_word = load_u32(data, at + tail);
            while candidate != P::NONE {
                let earlier = candidate.plus_one() - 1;
                if load_u32(data, earlier + tail) == tail_word && load_u32(data, earlier) == word {
                    let new = match_length(data, earlier, at, 4, limit);
                    if new > length {
                        (length, offset) = (new, at - earlier);
                        if length >= nice {
                            break;
                        }
                        tail = length - 3;
                        tail_word = load_u32(data, at + tail);
                    }
                }
                depth -= 1;
                if depth == 0 {
                    break;
                }
                candidate = *self.previous.get_unchecked(earlier);
            }
        }
        (length, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORT: SearchEffort = SearchEffort { depth: 100, nice_length: 100 };

    fn chunk_of(bytes: &[u8]) -> PaddedChunk {
        let mut chunk = PaddedChunk::new(bytes.len());
        assert!(chunk.set(bytes));
        chunk
    }

    #[test]
    fn the_longest_match_wins_and_the_nearest_of_equals() {
        let chunk = chunk_of(b"abcdeX abcdeY abcdeX abcdeX");
        let mut chains = HashChains::<u16>::new(chunk.len());
        chains.start(&chunk);
        chains.skip(&chunk, 7);
        assert_eq!(chains.find(&chunk, 2, 100, EFFORT), (5, 7));
        chains.skip(&chunk, 14);
        assert_eq!(chains.find(&chunk, 2, 100, EFFORT), (12, 14));
        chains.skip(&chunk, 21);
        assert_eq!(chains.find(&chunk, 2, 100, EFFORT), (6, 7));
    }

    #[test]
    fn three_bytes_are_found_and_what_must_be_beaten_is() {
        let chunk = chunk_of(b"abc-abc+abc");
        let mut chains = HashChains::<u32>::new(chunk.len());
        chains.start(&chunk);
        chains.skip(&chunk, 4);
        assert_eq!(chains.find(&chunk, 2, 100, EFFORT), (3, 4));
        chains.skip(&chunk, 8);
        assert_eq!(chains.find(&chunk, 3, 100, EFFORT), (3, 0));
    }

    #[test]
    fn limits_hold_at_the_end_of_the_chunk() {
        let chunk = chunk_of(&[7; 40]);
        for limit in 3..50 {
            let mut chains = HashChains::<u16>::new(chunk.len());
            chains.start(&chunk);
            chains.skip(&chunk, 1);
            for at in 1..40 {
                let (length, offset) = chains.find(&chunk, 2, limit, EFFORT);
                let expected = limit.min(40 - at);
                assert_eq!((length, offset), if expected > 2 { (expected, 1) } else { (2, 0) });
            }
        }
    }
}
