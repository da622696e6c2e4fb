//! Match finder of the near-optimal parser: binary trees of positions, sorted by the bytes that follow.
//!
//! Each four-byte hash has a tree whose root is the newest position; entering a position splits the tree around it and
//! meets, on the way down, the nearest match of every length. Two- and three-byte matches come from small tables of
//! newest positions. Memory and time are bounded by the search depth: repetitive data costs no more than other data.

use super::hash_chains::SearchEffort;
use super::match_length::PaddedChunk;
use super::match_list::{Match, MatchList};
use super::position::Position;

const HASH2_BITS: u32 = 11;
const HASH3_BITS: u32 = 13;

/// Trees over one chunk; every position must be searched or skipped, in order.
#[derive(Debug)]
pub struct BinaryTrees<P> {
    head2: Vec<P>,
    /// The two newest positions of each three-byte hash.
    head3: Vec<[P; 2]>,
    roots: Vec<P>,
    /// Per position: the subtree of smaller and of greater strings.
    children: Vec<[P; 2]>,
    root_bits: u32,
}

/// What kinds of matches are wanted.
#[derive(Clone, Copy, Debug)]
pub struct MatchLimits {
    /// Longest match of the format, in bytes.
    pub max_length: usize,
    /// Greatest offset of the format, in bytes.
    pub max_offset: usize,
    /// Greatest offset at which a match of two bytes is worth listing; 0 for never.
    pub max_offset_of_two: usize,
}

const fn root_bits(max_chunk_bytes: usize) -> u32 {
    let order = usize::BITS - max_chunk_bytes.leading_zeros();
    if order < 11 {
        10
    } else if order > 17 {
        16
    } else {
        order - 1
    }
}

impl<P: Position> BinaryTrees<P> {
    /// Tables for chunks of at most `max_chunk_bytes`.
    #[must_use]
    pub fn new(max_chunk_bytes: usize) -> Self {
        debug_assert!(max_chunk_bytes <= P::MAX_CHUNK);
        let root_bits = root_bits(max_chunk_bytes);
        Self {
            head2: vec![P::NONE; 1 << HASH2_BITS],
            head3: vec![[P::NONE; 2]; 1 << HASH3_BITS],
            roots: vec![P::NONE; 1 << root_bits],
            children: vec![[P::NONE; 2]; max_chunk_bytes],
            root_bits,
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        ((1 << HASH2_BITS) + (2 << HASH3_BITS) + (1 << root_bits(max_chunk_bytes)) + 2 * max_chunk_bytes)
            * size_of::<P>()
    }

    /// Forgets the previous chunk.
    pub fn start(&mut self) {
        self.head2.fill(P::NONE);
        self.head3.fill([P::NONE; 2]);
        self.roots.fill(P::NONE);
    }

    /// Lists the matches of positions `from..to` (to may lie past `to` when a long match ends there: its inside is
    /// entered, but not searched). Returns the first position not yet entered.
    pub fn list_matches(
        &mut self,
        chunk: &PaddedChunk,
        from: usize,
        to: usize,
        limits: MatchLimits,
        effort: SearchEffort,
        list: &mut MatchList,
    ) -> usize {
        let mut at = from;
        while at < to {
            let limit = limits.max_length.min(chunk.len() - at);
            let nice = effort.nice_length.min(limit);
            let longest = self.enter(chunk, at, limit, nice, limits, effort.depth, list);
            list.next_position();
            at += 1;
            if longest >= nice && longest >= 4 {
                // The parser takes such a match whole, so no matches are needed inside it.
                let inside = (longest - 1).min(to - at);
                for position in at..at + inside {
                    let room = limits.max_length.min(chunk.len() - position);
                    self.enter_only(chunk, position, effort.nice_length.min(room), effort.depth);
                }
                list.skip(inside);
                at += inside;
            }
        }
        at
    }

    #[inline(always)]
    fn hashes(&self, word: u32) -> [usize; 3] {
        [
            ((word << 16).wrapping_mul(0x9E37_79B1) >> (32 - HASH2_BITS)) as usize,
            ((word << 8).wrapping_mul(0x1E35_A7BD) >> (32 - HASH3_BITS)) as usize,
            (word.wrapping_mul(0x9E37_79B1) >> (32 - self.root_bits)) as usize,
        ]
    }

    /// Enters `at` and lists its matches; returns the length of the longest.
    #[inline(always)]
    fn enter(
        &mut self,
        chunk: &PaddedChunk,
        at: usize,
        limit: usize,
        nice: usize,
        limits: MatchLimits,
        depth: u32,
        list: &mut MatchList,
    ) -> usize {
        let word = chunk.load_u32(at);
        let [h2, h3, h4] = self.hashes(word);
        let mut best = 1;
        if limits.max_offset_of_two > 0 {
            let newest = core::mem::replace(&mut self.head2[h2], P::at(at)).plus_one();
            if newest > 0 && limit >= 2 {
                let offset = at + 1 - newest;
                if offset <= limits.max_offset_of_two && (chunk.load_u32(newest - 1) ^ word) << 16 == 0 {
                    list.push(Match::new(2, offset));
                    best = 2;
                }
            }
        }
        let [newest, second] = self.head3[h3];
        self.head3[h3] = [P::at(at), newest];
        if limit >= 3 {
            for candidate in [newest, second] {
                let Some(earlier) = candidate.plus_one().checked_sub(1) else { break };
                if (chunk.load_u32(earlier) ^ word) << 8 == 0 && at - earlier <= limits.max_offset {
                    list.push(Match::new(3, at - earlier));
                    best = 3;
                    break;
                }
            }
        }
        let root = core::mem::replace(&mut self.roots[h4], P::at(at));
        if limit < 4 {
            // Too near the end to be found by anyone later.
            self.children[at] = [P::NONE; 2];
            return best;
        }
        self.descend(chunk, at, root, limit, nice, depth, |length, offset| {
            if length > best && offset <= limits.max_offset {
                best = length;
                list.push(Match::new(length.min(Match::MAX_LENGTH), offset));
            }
        });
        best
    }

    /// Enters `at` without listing.
    #[inline(always)]
    fn enter_only(&mut self, chunk: &PaddedChunk, at: usize, nice: usize, depth: u32) {
        let [h2, h3, h4] = self.hashes(chunk.load_u32(at));
        self.head2[h2] = P::at(at);
        self.head3[h3] = [P::at(at), self.head3[h3][0]];
        let root = core::mem::replace(&mut self.roots[h4], P::at(at));
        if nice < 4 {
            self.children[at] = [P::NONE; 2];
            return;
        }
        self.descend(chunk, at, root, nice, nice, depth, |_, _| ());
    }

    /// Makes `at` the root of its tree, telling `found` each (length, offset) met on the way.
    ///
    /// The two open ends (where the next smaller and the next greater subtree will hang) and the two lengths that all
    /// strings beyond them share with ours are kept in arrays indexed by the comparison: the direction is as good as
    /// random, and a branch on it would be mispredicted half of the time.
    #[inline(always)]
    fn descend(
        &mut self,
        chunk: &PaddedChunk,
        at: usize,
        root: P,
        limit: usize,
        nice: usize,
        mut depth: u32,
        mut found: impl FnMut(usize, usize),
    ) {
        let children = self.children.as_flattened_mut();
        let mut open = [2 * at, 2 * at + 1];
        let mut shared = [0usize; 2];
        let mut node = root;
        loop {
            let Some(earlier) = node.plus_one().checked_sub(1) else { break };
            if depth == 0 {
                break;
            }
            depth -= 1;
            let length = chunk.match_length(earlier, at, shared[0].min(shared[1]), limit);
            found(length, at - earlier);
            if length >= nice {
                // Equal as far as anyone will look: the old node is dropped and its subtrees taken over.
                children[open[0]] = children[2 * earlier];
                children[open[1]] = children[2 * earlier + 1];
                return;
            }
            // The old string is smaller: it and its smaller subtree hang on our smaller side.
            let side = usize::from(chunk.byte(earlier + length) > chunk.byte(at + length));
            children[open[side]] = node;
            open[side] = 2 * earlier + (1 - side);
            node = children[open[side]];
            shared[side] = length;
        }
        children[open[0]] = P::NONE;
        children[open[1]] = P::NONE;
    }
}
