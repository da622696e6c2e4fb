//! Match finder of the greedy and lazy parsers: chains of positions with equal hashes.
//!
//! Four-byte strings are chained, newest first, and the walk is cut after a given number of steps; for three-byte
//! matches only the newest position is known. It returns the longest match it meets, not all lengths: parsers that
//! weigh lengths against offsets use the binary trees.

use super::binary_trees::MatchLimits;
use super::match_length::PaddedChunk;
use super::match_list::{Match, MatchList};
use super::position::Position;

const HASH3_BITS: u32 = 12;

/// The longest match found: a length of 0 means none.
pub type Found = (usize, usize);

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub struct SearchEffort {
    /// Most positions looked at.
    pub depth: u32,
    /// A match this long ends the search, in bytes.
    pub nice_length: usize,
}

/// Chains over one chunk; every position must be searched or skipped, in order.
#[derive(Debug)]
pub struct HashChains<P> {
    head2: Vec<P>,
    head3: Vec<P>,
    head4: Vec<P>,
    previous: Vec<P>,
    hash4_bits: u32,
    next: [u32; 2],
}

#[inline(always)]
fn hash3(word: u32) -> u32 {
    (word << 8).wrapping_mul(0x1E35_A7BD) >> (32 - HASH3_BITS)
}

#[inline(always)]
fn hash4(word: u32, bits: u32) -> u32 {
    word.wrapping_mul(0x9E37_79B1) >> (32 - bits)
}

const fn hash4_bits(max_chunk_bytes: usize) -> u32 {
    let order = usize::BITS - max_chunk_bytes.leading_zeros();
    if order < 11 {
        10
    } else if order > 17 {
        16
    } else {
        order - 1
    }
}

impl<P: Position> HashChains<P> {
    /// Tables for chunks of at most `max_chunk_bytes`.
    #[must_use]
    pub fn new(max_chunk_bytes: usize) -> Self {
        debug_assert!(max_chunk_bytes <= P::MAX_CHUNK);
        let hash4_bits = hash4_bits(max_chunk_bytes);
        Self {
            head2: vec![P::NONE; 1 << 11],
            head3: vec![P::NONE; 1 << HASH3_BITS],
            head4: vec![P::NONE; 1 << hash4_bits],
            previous: vec![P::NONE; max_chunk_bytes],
            hash4_bits,
            next: [0; 2],
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        ((1 << HASH3_BITS) + (1 << hash4_bits(max_chunk_bytes)) + max_chunk_bytes) * size_of::<P>()
    }

    /// Forgets the previous chunk.
    pub fn start(&mut self, chunk: &PaddedChunk) {
        self.head2.fill(P::NONE);
        self.head3.fill(P::NONE);
        self.head4.fill(P::NONE);
        self.hash_ahead(chunk, 0);
    }

    #[inline(always)]
    fn hash_ahead(&mut self, chunk: &PaddedChunk, at: usize) {
        let word = chunk.load_u32(at);
        self.next = [hash3(word), hash4(word, self.hash4_bits)];
    }

    /// Enters position `at` into the chains; the newest earlier positions with the same three and four bytes.
    #[inline(always)]
    fn insert(&mut self, chunk: &PaddedChunk, at: usize) -> (P, P) {
        let [h3, h4] = self.next;
        let candidate3 = core::mem::replace(&mut self.head3[h3 as usize], P::at(at));
        let candidate4 = core::mem::replace(&mut self.head4[h4 as usize], P::at(at));
        self.previous[at] = candidate4;
        self.hash_ahead(chunk, at + 1);
        (candidate3, candidate4)
    }

    /// Enters positions `at..at + count` without searching.
    #[inline(always)]
    pub fn skip(&mut self, chunk: &PaddedChunk, at: usize, count: usize) {
        for position in at..at + count {
            self.insert(chunk, position);
        }
    }

    /// Enters position `at` and returns the longest match there as (length, offset) in bytes, if it is longer than
    /// `beat` (at least 2) and not longer than `limit` (at most what is left of the chunk); else a length of `beat`.
    #[inline(always)]
    pub fn find(
        &mut self,
        chunk: &PaddedChunk,
        at: usize,
        beat: usize,
        limit: usize,
        effort: SearchEffort,
    ) -> Found {
        let (candidate3, mut candidate) = self.insert(chunk, at);
        let mut best = (beat, 0);
        if limit <= beat {
            return best;
        }
        let nice = effort.nice_length.min(limit);
        let word = chunk.load_u32(at);
        if beat < 3 {
            let Some(earlier) = candidate3.plus_one().checked_sub(1) else { return best };
            if (chunk.load_u32(earlier) ^ word) << 8 == 0 {
                best = (3, at - earlier);
                if limit == 3 {
                    return best;
                }
            }
        }
        let mut depth = effort.depth;
        // With less than four bytes to beat, the first four bytes must agree; later, the four around the end of the
        // best match, which rejects most candidates with one load.
        while let Some(earlier) = candidate.plus_one().checked_sub(1) {
            let tail = best.0.max(3) - 3;
            if chunk.load_u32(earlier + tail) == chunk.load_u32(at + tail) && chunk.load_u32(earlier) == word
            {
                let length = chunk.match_length(earlier, at, 4, limit);
                if length > best.0 {
                    best = (length, at - earlier);
                    if length >= nice {
                        break;
                    }
                }
            }
            depth -= 1;
            if depth == 0 {
                break;
            }
            candidate = self.previous[earlier];
        }
        best
    }

    /// Lists the matches of positions `from..to`.
    pub fn list_matches(
        &mut self,
        chunk: &PaddedChunk,
        from: usize,
        to: usize,
        limits: MatchLimits,
        effort: SearchEffort,
        list: &mut MatchList,
    ) {
        let mut at = from;
        while at < to {
            let limit = limits.max_length.min(chunk.len() - at);
            let nice = effort.nice_length.min(limit);
            let word = chunk.load_u32(at);
            let h2 = ((word << 16).wrapping_mul(0x9E37_79B1) >> (32 - 11)) as usize;
            let newest = core::mem::replace(&mut self.head2[h2], P::at(at)).plus_one();
            let mut best = 1;
            if newest > 0 && limit >= 2 {
                let offset = at + 1 - newest;
                if offset <= limits.max_offset_of_two && (chunk.load_u32(newest - 1) ^ word) << 16 == 0 {
                    list.push(Match::new(2, offset));
                    best = 2;
                }
            }
            let (candidate3, mut candidate) = self.insert(chunk, at);
            if limit >= 3 {
                if let Some(earlier) = candidate3.plus_one().checked_sub(1) {
                    if (chunk.load_u32(earlier) ^ word) << 8 == 0 {
                        list.push(Match::new(3, at - earlier));
                        best = 3;
                    }
                }
            }
            if limit >= 4 {
                let mut depth = effort.depth;
                best = best.max(3);
                let mut tail_word = word;
                while let Some(earlier) = candidate.plus_one().checked_sub(1) {
                    if chunk.load_u32(earlier + best - 3) == tail_word && chunk.load_u32(earlier) == word {
                        let length = chunk.match_length(earlier, at, 4, limit);
                        if length > best {
                            best = length;
                            list.push(Match::new(length, at - earlier));
                            if length >= nice {
                                break;
                            }
                            tail_word = chunk.load_u32(at + best - 3);
                        }
                    }
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                    candidate = self.previous[earlier];
                }
            }
            list.next_position();
            at += 1;
            if best >= nice && best >= 4 {
                let inside = (best - 1).min(to - at);
                for position in at..at + inside {
                    self.insert(chunk, position);
                    let word = chunk.load_u32(position);
                    let h2 = ((word << 16).wrapping_mul(0x9E37_79B1) >> (32 - 11)) as usize;
                    self.head2[h2] = P::at(position);
                }
                list.skip(inside);
                at += inside;
            }
        }
    }
}
