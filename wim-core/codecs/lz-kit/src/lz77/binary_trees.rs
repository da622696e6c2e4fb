//! Match finder of the near-optimal parser: binary trees of positions, sorted by the bytes that follow.
//!
//! Each four-byte hash has a tree whose root is the newest position; entering a position splits the tree around it and
//! meets, on the way down, the nearest match of every length. Two- and three-byte matches come from small tables of
//! newest positions. Memory and time are bounded by the search depth: repetitive data costs no more than other data.

#![expect(unsafe_code, reason = "unchecked loads on proven positions; listed in UNSAFE.md")]

use super::hash_chains::SearchEffort;
use super::match_length::{PaddedChunk, load_u32, load_u64};
use super::match_list::{Match, MatchEntry, MatchList};
use super::position::Position;
use core::hint::select_unpredictable as select;
use core::marker::PhantomData;

const HASH2_BITS: u32 = 11;
const HASH3_BITS: u32 = 13;

/// Trees over one chunk; every position must be searched or skipped, in order.
#[derive(Debug)]
pub struct BinaryTrees<P> {
    head2: Vec<P>,
    /// The two newest positions of each three-byte hash.
    head3: Vec<[P; 2]>,
    roots: Vec<P>,
    /// Per position: the subtree of smaller and of greater strings, as [`Position::pair`] reads them.
    children: Vec<u8>,
    root_bits: u32,
    max_chunk_bytes: usize,
    /// Positions `0..entered` are in the tables, and no others.
    entered: usize,
}

/// What kinds of matches are wanted.
#[derive(Clone, Copy, Debug)]
pub struct MatchLimits {
    /// Longest match of the format, in bytes.
    pub max_length: usize,
    /// Greatest offset at which a match of two bytes is worth listing; 0 for never.
    pub max_offset_of_two: usize,
}

const fn root_bits(max_chunk_bytes: usize) -> u32 {
    let order = usize::BITS - max_chunk_bytes.leading_zeros();
    if order < 11 {
        10
    } else if order > 22 {
        20
    } else if order > 17 {
        16
    } else {
        order - 1
    }
}

/// Bytes of the pairs of links: zeros, which stand for no link.
const fn children_bytes<P: Position>(max_chunk_bytes: usize) -> usize {
    max_chunk_bytes * P::PAIR_BYTES + 8
}

impl<P: Position> BinaryTrees<P> {
    /// Tables for chunks of at most `max_chunk_bytes`.
    #[must_use]
    pub fn new(max_chunk_bytes: usize) -> Self {
        assert!(max_chunk_bytes <= P::MAX_CHUNK, "the table entries are too narrow for the chunk");
        let root_bits = root_bits(max_chunk_bytes);
        Self {
            head2: vec![P::NONE; 1 << HASH2_BITS],
            head3: vec![[P::NONE; 2]; 1 << HASH3_BITS],
            roots: vec![P::NONE; 1 << root_bits],
            children: vec![0; children_bytes::<P>(max_chunk_bytes)],
            root_bits,
            max_chunk_bytes,
            entered: 0,
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        ((1 << HASH2_BITS) + (2 << HASH3_BITS) + (1 << root_bits(max_chunk_bytes))) * size_of::<P>()
            + children_bytes::<P>(max_chunk_bytes)
    }

    /// Forgets the previous chunk.
    pub fn start(&mut self) {
        self.head2.fill(P::NONE);
        self.head3.fill([P::NONE; 2]);
        self.roots.fill(P::NONE);
        self.entered = 0;
    }

    /// Lists the matches of the next positions, up to `to`.
    ///
    /// Inside a match of at least the nice length positions are entered but not searched: the parser takes such a match
    /// whole.
    pub fn list_matches<E: MatchEntry>(
        &mut self,
        chunk: &PaddedChunk,
        to: usize,
        limits: MatchLimits,
        effort: SearchEffort,
        list: &mut MatchList<E>,
    ) {
        assert!(
            to <= chunk.len() && chunk.len() <= self.max_chunk_bytes,
            "the chunk is longer than the tables"
        );
        assert!(
            limits.max_length <= E::MAX_LENGTH && chunk.len() <= E::MAX_CHUNK,
            "lengths and offsets must fit a list entry"
        );
        let depth = effort.depth.clamp(1, 1000);
        let mut at = self.entered;
        // Whatever happens, only positions below `to` are in the tables afterwards.
        self.entered = to.max(at);
        let mut view = View {
            data: chunk.as_ptr(),
            head2: self.head2.as_mut_ptr(),
            head3: self.head3.as_mut_ptr(),
            roots: self.roots.as_mut_ptr(),
            children: self.children.as_mut_ptr(),
            width: PhantomData,
            root_shift: 32 - self.root_bits,
            next: [0; 3],
        };
        // SAFETY: the padding makes four bytes readable at the end of the chunk.
        unsafe { view.hash_ahead(at.min(chunk.len())) };
        while at < to {
            let limit = limits.max_length.min(chunk.len() - at);
            let nice = effort.nice_length.min(limit);
            let spare = list.spare(depth as usize + 2);
            // SAFETY: `at` is the next position, below the chunk's length, which the assertion above compared with the
            // tables; `limit` ends within the chunk; `spare` has two entries more than the depth, or none.
            let (count, longest) = unsafe { view.enter(at, (limit, nice, depth), limits, spare) };
            list.keep(count);
            list.next_position();
            at += 1;
            if longest >= nice && longest >= 4 {
                let inside = (longest - 1).min(to - at);
                for position in at..at + inside {
                    let nice = effort.nice_length.min(chunk.len() - position).min(limits.max_length);
                    // SAFETY: as above.
                    unsafe { view.enter_only(position, nice, depth) };
                }
                list.skip(inside);
                at += inside;
            }
        }
    }
}

/// The tables and the chunk as plain pointers, so that stores to one table do not make the compiler reload the others.
///
/// Valid while the tables of [`BinaryTrees`] and the chunk are borrowed; the chunk is not longer than the tables, and
/// every position in a table is below the next one to be entered.
struct View<P> {
    data: *const u8,
    head2: *mut P,
    head3: *mut [P; 2],
    roots: *mut P,
    children: *mut u8,
    width: PhantomData<P>,
    root_shift: u32,
    /// Hashes of the next position.
    next: [usize; 3],
}

impl<P: Position> View<P> {
    #[inline(always)]
    fn hashes(&self, word: u32) -> [usize; 3] {
        [
            ((word << 16).wrapping_mul(0x9E37_79B1) >> (32 - HASH2_BITS)) as usize,
            ((word << 8).wrapping_mul(0x1E35_A7BD) >> (32 - HASH3_BITS)) as usize,
            (word.wrapping_mul(0x9E37_79B1) >> self.root_shift) as usize,
        ]
    }

    /// Enters `at` and lists its matches in `spare`; returns their number and the length of the longest.
    ///
    /// # Safety
    /// `at` is the next position, `at + limit` is within the chunk, `nice <= limit`, `depth > 0`, and `spare` has at
    /// least `depth + 2` entries, or none.
    #[inline(always)]
    unsafe fn enter<E: MatchEntry>(
        &mut self,
        at: usize,
        (limit, nice, depth): (usize, usize, u32),
        limits: MatchLimits,
        spare: &mut [E],
    ) -> (usize, usize) {
        debug_assert!(nice <= limit && (spare.is_empty() || spare.len() >= depth as usize + 2));
        let data = self.data;
        // SAFETY: every hash has as many bits as its table; every position in a table is below `at`; the padding makes
        // eight bytes readable from any position of the chunk, `limit` bytes further even after a match.
        unsafe {
            let word = load_u32(data, at);
            let [h2, h3, h4] = self.next;
            self.hash_ahead(at + 1);
            let newest2 = self.head2.add(h2).replace(P::at(at)).plus_one();
            let pair3 = self.head3.add(h3);
            let [newest3, second3] = *pair3;
            *pair3 = [P::at(at), newest3];
            let root = self.roots.add(h4).replace(P::at(at));
            if limit < 4 || spare.is_empty() {
                // Too near the end to be found by anyone later; or no room left to list what is found.
                P::set_link(self.children, 2 * at, P::NONE);
                P::set_link(self.children, 2 * at + 1, P::NONE);
                return (0, 1);
            }
            let out = spare.as_mut_ptr();
            let mut count = 0;
            let mut best = 1;
            // Each is written always and kept only if it is one: whether it is cannot be predicted.
            let earlier = newest2.max(1) - 1;
            *out = E::new(2, at - earlier);
            let is_match = (newest2 > 0)
                & (at - earlier <= limits.max_offset_of_two)
                & ((load_u32(data, earlier) ^ word) << 16 == 0);
            count += usize::from(is_match);
            best += usize::from(is_match);
            let (first, second) = (newest3.plus_one().max(1) - 1, second3.plus_one().max(1) - 1);
            let is_first = (newest3 != P::NONE) & ((load_u32(data, first) ^ word) << 8 == 0);
            let is_second = (second3 != P::NONE) & ((load_u32(data, second) ^ word) << 8 == 0);
            *out.add(count) = E::new(3, at - select(is_first, first, second));
            count += usize::from(is_first | is_second);
            best = select(is_first | is_second, 3, best);
            self.descend::<true, E>(at, root, (limit, nice, depth), out, (count, best))
        }
    }

    /// Hashes position `at` and asks for what its first steps will read, while the tree before it is being walked.
    ///
    /// # Safety
    /// Four bytes at `at` are readable.
    #[inline(always)]
    unsafe fn hash_ahead(&mut self, at: usize) {
        // SAFETY: the caller's duty; every hash is within its table.
        unsafe {
            let data = self.data;
            self.next = self.hashes(load_u32(data, at));
            #[cfg(target_arch = "x86_64")]
            {
                use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let [h2, h3, h4] = self.next;
                let root = (*self.roots.add(h4)).plus_one();
                // Prefetches may name any address.
                _mm_prefetch::<_MM_HINT_T0>(self.head2.add(h2).cast());
                _mm_prefetch::<_MM_HINT_T0>(self.head3.add(h3).cast());
                _mm_prefetch::<_MM_HINT_T0>(data.wrapping_add(root).cast());
                let pair = self.children.wrapping_add(P::PAIR_BYTES * root).wrapping_sub(P::PAIR_BYTES);
                _mm_prefetch::<_MM_HINT_T0>(pair.cast());
            }
        }
    }

    /// Enters `at` without listing.
    ///
    /// # Safety
    /// `at` is the next position, `at + nice` is within the chunk, `depth > 0`.
    #[inline(always)]
    unsafe fn enter_only(&mut self, at: usize, nice: usize, depth: u32) {
        // SAFETY: as in `enter`.
        unsafe {
            let [h2, h3, h4] = self.next;
            self.hash_ahead(at + 1);
            *self.head2.add(h2) = P::at(at);
            let pair3 = self.head3.add(h3);
            *pair3 = [P::at(at), (*pair3)[0]];
            let root = self.roots.add(h4).replace(P::at(at));
            if nice < 4 {
                P::set_link(self.children, 2 * at, P::NONE);
                P::set_link(self.children, 2 * at + 1, P::NONE);
                return;
            }
            self.descend::<false, Match>(at, root, (nice, nice, depth), core::ptr::null_mut(), (0, 1));
        }
    }

    /// Makes `at` the root of its tree; with `LIST`, appends the matches met on the way that are longer than those
    /// before to `out`. Returns the number of entries in `out` and the length of the last.
    ///
    /// The two open ends (where the next smaller and the next greater subtree will hang) and the two lengths that all
    /// strings beyond them share with ours are chosen without branches: the direction is as good as random.
    ///
    /// # Safety
    /// As for `enter`; `root` and all children of entered positions are below `at`; with `LIST`, `out` has room for
    /// `depth` entries after the first `count`.
    #[inline(always)]
    unsafe fn descend<const LIST: bool, E: MatchEntry>(
        &mut self,
        at: usize,
        root: P,
        (limit, nice, mut depth): (usize, usize, u32),
        out: *mut E,
        (mut count, mut best): (usize, usize),
    ) -> (usize, usize) {
        let (data, children) = (self.data, self.children);
        let (mut open_less, mut open_more) = (2 * at, 2 * at + 1);
        let (mut shared_less, mut shared_more) = (0usize, 0usize);
        let mut node = root;
        debug_assert!(depth > 0 && nice >= 4 && nice <= limit);
        // SAFETY: see above; open ends are children of `at` or of an earlier position.
        unsafe {
            while node != P::NONE {
                let earlier = node.plus_one() - 1;
                // Both are loaded now: which one is needed is known only after the comparison.
                let [less_child, more_child] = P::pair(children, earlier);
                let mut length = shared_less.min(shared_more);
                let mut more = false;
                loop {
                    let (old, new) = (load_u64(data, earlier + length), load_u64(data, at + length));
                    if old != new {
                        length += ((old ^ new).trailing_zeros() / 8) as usize;
                        more = old.swap_bytes() > new.swap_bytes();
                        break;
                    }
                    length += 8;
                    if length >= limit {
                        break;
                    }
                }
                if LIST {
                    // Written always, kept only if longer: whether it is cannot be predicted.
                    *out.add(count) = E::new(length.min(limit), at - earlier);
                    let longer = length > best;
                    count += usize::from(longer);
                    best = select(longer, length, best);
                }
                if length >= nice {
                    // Equal as far as anyone will look: the old node is dropped and its subtrees taken over.
                    P::set_link(children, open_less, less_child);
                    P::set_link(children, open_more, more_child);
                    return (count, best.min(limit));
                }
                // The old string is smaller: it and its smaller subtree hang on our smaller side.
                P::set_link(children, select(more, open_more, open_less), node);
                let open = 2 * earlier + usize::from(!more);
                node = select(more, less_child, more_child);
                open_more = select(more, open, open_more);
                open_less = select(more, open_less, open);
                shared_more = select(more, length, shared_more);
                shared_less = select(more, shared_less, length);
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            P::set_link(children, open_less, P::NONE);
            P::set_link(children, open_more, P::NONE);
        }
        (count, best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lz77::position::PackedPosition;

    const LIMITS: MatchLimits = MatchLimits { max_length: 257, max_offset_of_two: 2048 };

    fn noise(len: usize, alphabet: u32, seed: u32) -> Vec<u8> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 16) % alphabet) as u8
            })
            .collect()
    }

    fn list_of<P: Position>(bytes: &[u8], effort: SearchEffort) -> MatchList {
        let mut chunk = PaddedChunk::new(bytes.len());
        assert!(chunk.set(bytes));
        let mut trees = BinaryTrees::<P>::new(bytes.len());
        let mut list = MatchList::new(bytes.len());
        trees.start();
        list.clear();
        // In two spans, as large windows do.
        trees.list_matches(&chunk, bytes.len() / 3, LIMITS, effort, &mut list);
        trees.list_matches(&chunk, bytes.len(), LIMITS, effort, &mut list);
        assert_eq!(list.positions(), bytes.len());
        list
    }

    /// Length of the match between two positions.
    fn common(bytes: &[u8], a: usize, b: usize) -> usize {
        (0..(bytes.len() - b).min(257)).take_while(|&i| bytes[a + i] == bytes[b + i]).count()
    }

    #[test]
    fn listed_matches_are_matches_in_ascending_order() {
        for alphabet in [2, 4, 30, 256] {
            let bytes = noise(5000, alphabet, alphabet);
            for depth in [1, 5, 100] {
                let list = list_of::<u16>(&bytes, SearchEffort { depth, nice_length: 40 });
                let packed = list_of::<PackedPosition>(&bytes, SearchEffort { depth, nice_length: 40 });
                assert!((0..bytes.len()).all(|at| list.at(at) == packed.at(at)));
                for at in 0..bytes.len() {
                    for pair in list.at(at).windows(2) {
                        assert!(pair[0].length() < pair[1].length() && pair[0].offset() <= pair[1].offset());
                    }
                    for found in list.at(at) {
                        assert!(found.length() <= common(&bytes, at - found.offset(), at));
                    }
                }
            }
        }
    }

    /// With depth to spare the longest match is found, and from four bytes on the nearest of its length.
    #[test]
    fn the_longest_match_is_found() {
        for alphabet in [6, 20] {
            let bytes = noise(2000, alphabet, 9);
            let list = list_of::<u32>(&bytes, SearchEffort { depth: 300, nice_length: 257 });
            for at in 0..bytes.len() {
                let best = (0..at)
                    .rev()
                    .map(|from| (common(&bytes, from, at), at - from))
                    .max_by_key(|&(len, offset)| (len, usize::MAX - offset));
                let Some((length, offset)) = best.filter(|&(length, _)| length >= 4) else { continue };
                let found = list.at(at).last().expect("there is one");
                assert_eq!((found.length(), found.offset()), (length, offset), "at {at}");
            }
        }
    }

    #[test]
    fn long_matches_are_listed_once_and_cover_their_inside() {
        let list = list_of::<u16>(&[5; 1000], SearchEffort { depth: 10, nice_length: 50 });
        assert_eq!(list.at(1).last().map(|found| (found.length(), found.offset())), Some((257, 1)));
        assert!((2..257).all(|at| list.at(at).is_empty()));
        assert_eq!(list.at(333).last().map(|found| found.offset()), Some(1));
    }
}
