//! Near-optimal parsing: the cheapest path through a block under given costs.
//!
//! Positions are nodes; literals, repeats of a recent offset and listed matches of every length are edges. The recent
//! offsets at a node are those of its cheapest arrival only, which is why the result is not quite optimal; formats
//! without recent offsets have the backward search next door. Where the costs come from, and how often the search is
//! repeated with better ones, is the format's business.

#![expect(unsafe_code, reason = "unchecked access to proven nodes, AVX2; listed in UNSAFE.md")]

use super::lazy::ItemSink;
use crate::lz77::{MatchEntry, MatchList, PaddedChunk, RecentOffsets, load_u32, match_length};
use core::hint::select_unpredictable as select;

/// Longest match an edge can be; formats with longer ones join neighbours with equal offsets afterwards.
pub const MAX_EDGE: usize = 257;
/// Entries of one row of match costs: lengths 0 to [`MAX_EDGE`], rounded up.
pub const ROW: usize = 264;
/// Nodes that one position can reach: a longest match, a literal, a longest match; rounded up.
const REACH: usize = 2 * ROW;
const _: () = assert!(MAX_EDGE + 3 < ROW && 2 * MAX_EDGE + 1 < REACH);

/// What the path finders must know of a format; one with recent offsets has them as slots 0 to 2.
pub trait PathModel {
    /// Shortest match, in bytes.
    const MIN_LENGTH: usize;
    /// Offset slot of an explicit offset: the row of its costs.
    fn slot(offset: usize) -> usize;
    /// Entry of [`PathCosts::low`] for an explicit offset in that slot, below 16.
    fn low(slot: usize, offset: usize) -> usize;
}

/// Costs of all edges, in units of 1/64 bit.
#[derive(Debug)]
pub struct PathCosts {
    /// Of each literal.
    pub literal: [u16; 256],
    /// Of matches: one row of [`ROW`] lengths for each slot, extra bits included.
    pub rows: Vec<[u16; ROW]>,
    /// On top of that, by what [`PathModel::low`] says of the offset.
    pub low: [u16; 16],
}

impl PathCosts {
    /// Room for `slots` offset slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { literal: [0; 256], rows: vec![[0; ROW]; slots], low: [0; 16] }
    }
}

impl PathCosts {
    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(slots: usize) -> usize {
        size_of::<Self>() + slots * 2 * ROW
    }
}

/// Which matches get an edge "match, literal, match at the same offset".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapEdges {
    /// The longest listed one of each position.
    Longest,
    /// All listed ones and the repeats.
    All,
}

/// What to parse: a block, the matches listed for it, and the state at its start.
#[derive(Clone, Copy, Debug)]
pub struct PathInput<'a> {
    /// The whole chunk.
    pub chunk: &'a PaddedChunk,
    /// First position of the block.
    pub start: usize,
    /// End of the block.
    pub end: usize,
    /// Matches of at least `start..end`.
    pub matches: &'a MatchList,
    /// Position in the chunk of the list's first position.
    pub list_start: usize,
    /// Recent offsets at `start`, none of them greater than that.
    pub recent: RecentOffsets,
    /// After which matches a literal and a repeat are tried as one edge with them.
    pub gaps: GapEdges,
}

/// A node: the cost of its cheapest arrival in the upper 32 bits; below, nine bits of length and 22 of offset code.
type Node = u64;
const COST_SHIFT: u32 = 32;
const COST_MASK: Node = (u32::MAX as Node) << COST_SHIFT;
const LENGTH_SHIFT: u32 = 22;
const CODE_MASK: u32 = (1 << LENGTH_SHIFT) - 1;
/// Set in an item that is a match, a literal and a match at the same offset.
const GAP: u32 = 1 << 31;
const LITERAL: u32 = 1 << LENGTH_SHIFT;
/// Offsets are stored with this added, so that the recent ones are 0 to 2.
const CODE_BIAS: usize = 2;
/// Greater than all costs, also as a signed number.
const UNREACHED: Node = i64::MAX as Node;

/// Scratch memory of the search.
#[derive(Debug)]
pub struct PathFinder {
    nodes: Vec<Node>,
    queues: Vec<RecentOffsets>,
    /// Per node whose item has [`GAP`] set: lengths of the first and of the second match.
    gaps: Vec<(u16, u16)>,
    path: Vec<usize>,
    /// The processor has what the wide steps need.
    #[cfg(target_arch = "x86_64")]
    wide: bool,
}

impl PathFinder {
    /// Scratch for blocks of at most `max_block_bytes`.
    #[must_use]
    pub fn new(max_block_bytes: usize) -> Self {
        Self {
            nodes: vec![UNREACHED; max_block_bytes + REACH + 1],
            queues: vec![RecentOffsets::INITIAL; max_block_bytes + 1],
            gaps: vec![(0, 0); max_block_bytes + REACH],
            path: Vec::with_capacity(max_block_bytes + 1),
            #[cfg(target_arch = "x86_64")]
            wide: is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt"),
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_block_bytes: usize) -> usize {
        28 * (max_block_bytes + REACH + 1)
    }

    /// Sends the items of the cheapest path over the block to `sink`, in order; returns the cost of the path in units
    /// of 1/64 bit and the recent offsets at its end.
    pub fn find<M: PathModel>(
        &mut self,
        input: PathInput<'_>,
        costs: &PathCosts,
        sink: &mut impl ItemSink,
    ) -> (u64, RecentOffsets) {
        let size = input.end.saturating_sub(input.start);
        assert!(input.end <= input.chunk.len() && size < self.queues.len(), "the block is too long");
        assert!(
            input.list_start <= input.start
                && input.start <= input.end
                && input.end - input.list_start <= input.matches.positions(),
            "the matches do not cover the block"
        );
        assert!(
            (0..3).all(|index| input.recent.get(index) <= input.start.max(1)),
            "a recent offset is too far"
        );
        if size == 0 {
            return (0, input.recent);
        }
        // SAFETY: the buffers are longer than the block by what they need; the features were detected.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if self.wide {
                self.relax_all_wide::<M>(input, costs);
            } else {
                self.relax_all::<M, false>(input, costs);
            }
            #[cfg(not(target_arch = "x86_64"))]
            self.relax_all::<M, false>(input, costs);
        }
        self.follow(input, sink);
        (self.nodes[size] >> COST_SHIFT, self.queues[size])
    }

    /// Walks back from the end along the cheapest arrivals, then sends the items forwards.
    fn follow(&mut self, input: PathInput<'_>, sink: &mut impl ItemSink) {
        let mut node = input.end - input.start;
        self.path.clear();
        while node > 0 {
            self.path.push(node);
            node -= self.arrival_bytes(node);
        }
        for &node in self.path.iter().rev() {
            let item = self.nodes[node] as u32;
            let bytes = self.arrival_bytes(node);
            let at = input.start + node - bytes;
            let code = (item & CODE_MASK) as usize;
            if bytes == 1 {
                sink.literal(input.chunk.byte(at));
                continue;
            }
            let first = if item & GAP != 0 { usize::from(self.gaps[node].0) } else { bytes };
            if code <= CODE_BIAS {
                sink.repeat(first, code as u32);
            } else {
                sink.explicit(first, code - CODE_BIAS);
            }
            if item & GAP != 0 {
                sink.literal(input.chunk.byte(at + first));
                sink.repeat(bytes - first - 1, 0);
            }
        }
    }

    /// Bytes between a node and the one it is reached from; at least 1.
    #[inline(always)]
    fn arrival_bytes(&self, node: usize) -> usize {
        let item = self.nodes[node] as u32;
        if item & GAP != 0 {
            let (first, second) = self.gaps[node];
            usize::from(first) + 1 + usize::from(second)
        } else {
            ((item >> LENGTH_SHIFT) as usize).max(1)
        }
    }

    /// As [`relax_all`](Self::relax_all), compiled for AVX2, BMI2 and LZCNT.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    unsafe fn relax_all_wide<M: PathModel>(&mut self, input: PathInput<'_>, costs: &PathCosts) {
        // SAFETY: the caller's duty.
        unsafe { self.relax_all::<M, true>(input, costs) }
    }

    /// Fills nodes and queues of the block. A match as long as an edge can be is taken whole: in a long run each of its bytes would
    /// have another one, to be compared to its end again and to be offered with all its lengths.
    ///
    /// # Safety
    /// The block is shorter than `queues`, it and `matches` lie as [`find`](Self::find) asserts, and with `WIDE` the
    /// CPU has AVX2.
    #[inline(always)]
    unsafe fn relax_all<M: PathModel, const WIDE: bool>(&mut self, input: PathInput<'_>, costs: &PathCosts) {
        let PathInput { chunk, start, end, matches, list_start, recent, gaps } = input;
        let all_gaps = gaps == GapEdges::All;
        let (size, data) = (end - start, chunk.as_ptr());
        self.nodes[..REACH].fill(UNREACHED);
        // The start counts as reached by a literal.
        self.nodes[0] = Node::from(LITERAL);
        let mut queue = recent;
        // Plain pointers, so that stores to one buffer do not make the compiler reload where the others lie.
        let nodes = self.nodes.as_mut_ptr();
        let queues = self.queues.as_mut_ptr();
        let gap_lengths = self.gaps.as_mut_ptr();
        let mut following = 0;
        'nodes: while following < size {
            let node = following;
            following += 1;
            let at = start + node;
            // SAFETY: `node < size`, and there are REACH more nodes and queues enough.
            let ahead = unsafe { &mut *nodes.add(node).cast::<[Node; REACH + 1]>() };
            let arrival = ahead[0];
            ahead[REACH] = UNREACHED;
            let by_match = arrival as u32 >> LENGTH_SHIFT != 1;
            // SAFETY: as above; an arrival starts at an earlier node of the block.
            unsafe {
                if by_match {
                    let item = arrival as u32;
                    let bytes = if item & GAP != 0 {
                        let (first, second) = *gap_lengths.add(node);
                        usize::from(first) + 1 + usize::from(second)
                    } else {
                        (item >> LENGTH_SHIFT) as usize
                    };
                    debug_assert!(bytes <= node);
                    queue = after(*queues.add(node - bytes), item & CODE_MASK);
                }
                *queues.add(node) = queue;
            }
            let cost = arrival & COST_MASK;
            // SAFETY: `at` and all positions below lie in the chunk or, by less than its length, in the padding; recent
            // offsets are at most `at`, because each was when it was listed or given.
            unsafe {
                let word = load_u32(data, at);
                let found = matches.at_unchecked(at - list_start);
                let mut next = M::MIN_LENGTH;
                if at > 0 {
                    let same = |index: u32| {
                        u32::from((load_u32(data, at - queue.get(index)) ^ word) << 16 == 0) << index
                    };
                    // After a match, R0 could only prolong it: one longer match is cheaper than two, where there are longer ones.
                    let is_prolonged = by_match && arrival as u32 >> LENGTH_SHIFT != MAX_EDGE as u32;
                    let mut hits = same(1) | same(2) | (same(0) & u32::from(!is_prolonged));
                    let limit = MAX_EDGE.min(end - at);
                    while hits != 0 && limit >= 2 {
                        let index = hits.trailing_zeros();
                        hits &= hits - 1;
                        let length = match_length(data, at - queue.get(index), at, 2, limit);
                        let row = &costs.rows[index as usize];
                        if length == MAX_EDGE {
                            relax::<WIDE>(ahead, row, cost + Node::from(index), length, length);
                            ahead_of_jump(nodes.add(node));
                            following = node + MAX_EDGE;
                            continue 'nodes;
                        }
                        relax::<WIDE>(ahead, row, cost + Node::from(index), 2, length);
                        if all_gaps {
                            gap(
                                ahead,
                                gap_lengths.add(node),
                                row,
                                cost + Node::from(index),
                                (data, at, end),
                                (length, queue.get(index)),
                                costs,
                            );
                        }
                        next = next.max(length + 1);
                    }
                }
                if let Some(longest) = found.last().filter(|longest| longest.length() >= MAX_EDGE)
                    && MAX_EDGE <= end - at
                {
                    let offset = longest.offset();
                    assert!(offset <= at, "a match starts before the chunk");
                    let slot = M::slot(offset);
                    let low = Node::from(costs.low[M::low(slot, offset) % 16]) << COST_SHIFT;
                    let base = cost + low + (offset + CODE_BIAS) as Node;
                    relax::<WIDE>(ahead, &costs.rows[slot], base, MAX_EDGE, MAX_EDGE);
                    ahead_of_jump(nodes.add(node));
                    following = node + MAX_EDGE;
                    continue;
                }
                let literal = cost
                    + (Node::from(costs.literal[word as usize & 255]) << COST_SHIFT)
                    + Node::from(LITERAL);
                ahead[1] = select(literal < ahead[1], literal, ahead[1]);
                let Some(longest) = found.last() else { continue };
                for found in found {
                    let (length, offset) = (found.length().min(MAX_EDGE), found.offset());
                    if length < next {
                        continue;
                    }
                    assert!(offset <= at, "a match starts before the chunk");
                    let slot = M::slot(offset);
                    let low = Node::from(costs.low[M::low(slot, offset) % 16]) << COST_SHIFT;
                    let base = cost + low + (offset + CODE_BIAS) as Node;
                    relax::<WIDE>(ahead, &costs.rows[slot], base, next, length);
                    if all_gaps && found != longest {
                        gap(
                            ahead,
                            gap_lengths.add(node),
                            &costs.rows[slot],
                            base,
                            (data, at, end),
                            (length, offset),
                            costs,
                        );
                    }
                    next = length + 1;
                }
                let (length, offset) = (longest.length().min(MAX_EDGE), longest.offset());
                if next == length + 1 && offset <= at {
                    let slot = M::slot(offset);
                    let low = Node::from(costs.low[M::low(slot, offset) % 16]) << COST_SHIFT;
                    let base = cost + low + (offset + CODE_BIAS) as Node;
                    gap(
                        ahead,
                        gap_lengths.add(node),
                        &costs.rows[slot],
                        base,
                        (data, at, end),
                        (length, offset),
                        costs,
                    );
                }
            }
        }
        self.queues[size] =
            if self.nodes[size] as u32 >> LENGTH_SHIFT != 1 { self.queue_after(size) } else { queue };
    }

    /// Recent offsets at a node reached by a match or a gap match.
    #[inline(always)]
    fn queue_after(&self, node: usize) -> RecentOffsets {
        let code = self.nodes[node] as u32 & CODE_MASK;
        after(self.queues[node - self.arrival_bytes(node)], code)
    }
}

/// Recent offsets after a match with an offset code.
#[inline(always)]
fn after(before: RecentOffsets, code: u32) -> RecentOffsets {
    if code as usize <= CODE_BIAS { before.swap(code) } else { before.push(code as usize - CODE_BIAS) }
}

/// Makes nodes ready that the visits which a jump over [`MAX_EDGE`] nodes leaves out would have made ready.
///
/// # Safety
/// `MAX_EDGE + REACH` nodes lie behind `node`.
#[cold]
unsafe fn ahead_of_jump(node: *mut Node) {
    for place in REACH + 1..REACH + MAX_EDGE {
        // SAFETY: the caller's duty.
        unsafe { node.add(place).write(UNREACHED) };
    }
}

/// Offers a match of full length, one literal and a match at the same offset as one edge: the node after the literal
/// may have a cheaper arrival with other recent offsets, and then the plain edges would never find this path.
///
/// # Safety
/// The match is one: `at + length <= end`, `offset <= at`, the data are padded beyond `end`, and
/// `gaps` has REACH entries.
#[inline(always)]
unsafe fn gap(
    ahead: &mut [Node; REACH + 1],
    gaps: *mut (u16, u16),
    row: &[u16; ROW],
    base: Node,
    (data, at, end): (*const u8, usize, usize),
    (length, offset): (usize, usize),
    costs: &PathCosts,
) {
    if length + 3 > end - at {
        return;
    }
    let beyond = at + length + 1;
    // SAFETY: `beyond + 2 <= end`, and the second match is limited to the block.
    unsafe {
        if (load_u32(data, beyond) ^ load_u32(data, beyond - offset)) << 16 != 0 {
            return;
        }
        let second = match_length(data, beyond - offset, beyond, 2, MAX_EDGE.min(end - beyond));
        let total = Node::from(row[length])
            + Node::from(costs.literal[usize::from(*data.add(beyond - 1))])
            + Node::from(costs.rows[0][second]);
        let new = base + (total << COST_SHIFT) + Node::from(GAP);
        let target = length + 1 + second;
        if new < ahead[target] {
            ahead[target] = new;
            *gaps.add(target) = (length as u16, second as u16);
        }
    }
}

/// Offers a match of every length from `from` to `to` to the nodes ahead; `base` is cost and offset code so far.
#[inline(always)]
fn relax<const WIDE: bool>(
    ahead: &mut [Node; REACH + 1],
    row: &[u16; ROW],
    base: Node,
    from: usize,
    to: usize,
) {
    debug_assert!(from <= to && to < ROW);
    #[cfg(target_arch = "x86_64")]
    if WIDE {
        // SAFETY: callers pass WIDE only where AVX2 was detected; `from <= to <= MAX_EDGE`.
        unsafe { relax_wide(ahead, row, base, from, to) }
        return;
    }
    let mut item = base + ((from as Node) << LENGTH_SHIFT);
    let mut length = from;
    loop {
        // SAFETY: `length <= to < ROW`.
        unsafe {
            let new = item + (Node::from(*row.get_unchecked(length)) << COST_SHIFT);
            let place: *mut Node = ahead.get_unchecked_mut(length);
            // Volatile, because vectors do not pay for runs of one or two.
            let old = *place;
            core::ptr::write_volatile(place, core::hint::select_unpredictable(new < old, new, old));
        }
        item += Node::from(LITERAL);
        length += 1;
        if length > to {
            return;
        }
    }
}

/// As [`relax`], four lengths at a time; lanes beyond `to` keep what they had.
///
/// # Safety
/// The CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn relax_wide(ahead: &mut [Node; REACH + 1], row: &[u16; ROW], base: Node, from: usize, to: usize) {
    use core::arch::x86_64::{
        __m256i, _mm_loadl_epi64, _mm256_add_epi64, _mm256_and_si256, _mm256_blendv_epi8, _mm256_cmpgt_epi64,
        _mm256_cvtepu16_epi64, _mm256_loadu_si256, _mm256_set_epi64x, _mm256_set1_epi64x, _mm256_slli_epi64,
        _mm256_storeu_si256,
    };
    let lanes = _mm256_set_epi64x(3, 2, 1, 0);
    let first = _mm256_set1_epi64x((base + ((from as Node) << LENGTH_SHIFT)) as i64);
    let mut item = _mm256_add_epi64(first, _mm256_slli_epi64::<{ LENGTH_SHIFT as i32 }>(lanes));
    let mut length = from;
    let mut left = (to - from + 1) as i64;
    loop {
        // SAFETY: `length <= to <= MAX_EDGE`, and rows and nodes have three entries more than that.
        unsafe {
            let costs = _mm_loadl_epi64(row.as_ptr().add(length).cast());
            let costs = _mm256_slli_epi64::<{ COST_SHIFT as i32 }>(_mm256_cvtepu16_epi64(costs));
            let new = _mm256_add_epi64(item, costs);
            let place: *mut __m256i = ahead.as_mut_ptr().add(length).cast();
            let old = _mm256_loadu_si256(place);
            let wanted = _mm256_cmpgt_epi64(_mm256_set1_epi64x(left), lanes);
            let better = _mm256_and_si256(_mm256_cmpgt_epi64(old, new), wanted);
            _mm256_storeu_si256(place, _mm256_blendv_epi8(old, new, better));
        }
        left -= 4;
        if left <= 0 {
            return;
        }
        length += 4;
        item = _mm256_add_epi64(item, _mm256_set1_epi64x(4 << LENGTH_SHIFT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::path_sample::{list_of, sample};

    /// Slots by magnitude, after the three recent ones.
    struct Model;

    impl PathModel for Model {
        const MIN_LENGTH: usize = 2;

        fn slot(offset: usize) -> usize {
            3 + offset.ilog2() as usize
        }

        fn low(_slot: usize, offset: usize) -> usize {
            offset % 16
        }
    }

    /// Rebuilds the data and adds up the costs, following the recent offsets as a decoder does.
    struct Replay<'a> {
        costs: &'a PathCosts,
        recent: RecentOffsets,
        out: Vec<u8>,
        cost: u64,
    }

    impl Replay<'_> {
        fn copy(&mut self, length: usize, offset: usize) {
            for _ in 0..length {
                self.out.push(self.out[self.out.len() - offset]);
            }
        }
    }

    impl ItemSink for Replay<'_> {
        fn literal(&mut self, byte: u8) {
            self.out.push(byte);
            self.cost += u64::from(self.costs.literal[usize::from(byte)]);
        }

        fn explicit(&mut self, length: usize, offset: usize) {
            let slot = Model::slot(offset);
            self.cost += u64::from(self.costs.rows[slot][length]) + u64::from(self.costs.low[offset % 16]);
            self.copy(length, offset);
            self.recent = self.recent.push(offset);
        }

        fn repeat(&mut self, length: usize, index: u32) {
            self.cost += u64::from(self.costs.rows[index as usize][length]);
            self.copy(length, self.recent.get(index));
            self.recent = self.recent.swap(index);
        }
    }

    fn costs() -> PathCosts {
        let mut costs = PathCosts::new(20);
        costs.literal = core::array::from_fn(|byte| 400 + (byte % 7) as u16 * 20);
        for (slot, row) in costs.rows.iter_mut().enumerate() {
            let offset_cost = if slot < 3 { 100 + 40 * slot } else { 200 + 64 * slot };
            for (length, cost) in row.iter_mut().enumerate() {
                *cost = (offset_cost + 30 * length.min(20)) as u16;
            }
        }
        costs.low = core::array::from_fn(|low| low as u16 * 3);
        costs
    }

    fn cost_of(wide: bool, gaps: GapEdges) -> u64 {
        let bytes = sample();
        let mut chunk = PaddedChunk::new(bytes.len());
        assert!(chunk.set(&bytes));
        let (list, costs) = (list_of(&chunk, 500), costs());
        let mut finder = PathFinder::new(bytes.len());
        #[cfg(target_arch = "x86_64")]
        {
            finder.wide &= wide;
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = wide;
        let mut replay = Replay { costs: &costs, recent: RecentOffsets::INITIAL, out: Vec::new(), cost: 0 };
        // In two blocks, so that the recent offsets are handed over.
        let (mut recent, mut total) = (RecentOffsets::INITIAL, 0);
        for (start, end) in [(0, 1501), (1501, bytes.len())] {
            let input = PathInput { chunk: &chunk, start, end, matches: &list, list_start: 0, recent, gaps };
            let (cost, after) = finder.find::<Model>(input, &costs, &mut replay);
            (recent, total) = (after, total + cost);
            assert_eq!(recent, replay.recent);
        }
        assert!(replay.out == bytes);
        assert_eq!(replay.cost, total, "what the path is said to cost is what its items cost");
        total
    }

    #[test]
    fn paths_rebuild_the_data_and_cost_what_they_claim() {
        let plain = cost_of(false, GapEdges::Longest);
        assert!(cost_of(false, GapEdges::All) <= plain + plain / 1000);
        let literals: u64 = sample().iter().map(|&b| u64::from(costs().literal[usize::from(b)])).sum();
        assert!(plain < literals / 2);
    }

    #[test]
    #[should_panic(expected = "the matches do not cover the block")]
    fn a_list_that_begins_behind_the_block_is_refused() {
        let mut chunk = PaddedChunk::new(8);
        assert!(chunk.set(b"abababab"));
        let mut list = MatchList::new(8);
        list.clear();
        list.skip(8);
        let recent = RecentOffsets::INITIAL;
        let gaps = GapEdges::Longest;
        let input =
            PathInput { chunk: &chunk, start: 0, end: 8, matches: &list, list_start: 4, recent, gaps };
        let costs = costs();
        let mut sink = Replay { costs: &costs, recent, out: Vec::new(), cost: 0 };
        PathFinder::new(8).find::<Model>(input, &costs, &mut sink);
    }

    #[test]
    fn wide_and_narrow_steps_agree() {
        for gaps in [GapEdges::Longest, GapEdges::All] {
            assert_eq!(cost_of(true, gaps), cost_of(false, gaps));
        }
    }
}
