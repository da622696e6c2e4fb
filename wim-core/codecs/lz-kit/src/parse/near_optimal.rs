//! Near-optimal parsing: the cheapest path through a block under given costs.
//!
//! Positions are nodes; literals, repeats of a recent offset and listed matches of every length are edges. The recent
//! offsets at a node are those of its cheapest arrival only, which is why the result is not quite optimal. Where the
//! costs come from, and how often the search is repeated with better ones, is the format's business.

use super::lazy::ItemSink;
use crate::lz77::{MatchList, PaddedChunk, RecentOffsets};

/// Longest match an edge can be; formats with longer ones join neighbours with equal offsets afterwards.
pub const MAX_EDGE: usize = 257;
/// Entries of one row of match costs: lengths 0 to [`MAX_EDGE`], rounded up.
pub const ROW: usize = 264;

/// What the path finder must know of a format.
pub trait PathModel {
    /// Whether the format has recent offsets, as slots 0 to 2.
    const RECENT: bool;
    /// Shortest match, in bytes.
    const MIN_LENGTH: usize;
    /// Offset slot of an explicit offset: the row of its costs.
    fn slot(offset: usize) -> usize;
}

/// Costs of all edges, in units of 1/64 bit.
#[derive(Debug)]
pub struct PathCosts {
    /// Of each literal.
    pub literal: [u16; 256],
    /// Of matches: one row of [`ROW`] lengths for each slot, extra bits included.
    pub rows: Vec<u16>,
}

impl PathCosts {
    /// Room for `slots` offset slots.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { literal: [0; 256], rows: vec![0; slots * ROW] }
    }
}

const ITEM_BITS: u32 = 32;
const CODE_BITS: u32 = 22;
const CODE_MASK: u32 = (1 << CODE_BITS) - 1;
/// Offsets are stored with this added, so that the recent ones are 0 to 2.
const CODE_BIAS: usize = 2;
const UNREACHED: u64 = u64::MAX;

/// Scratch memory of the search.
#[derive(Debug)]
pub struct PathFinder {
    /// Per node: cost of the cheapest arrival in the high half; its length and offset code in the low half.
    nodes: Vec<u64>,
    queues: Vec<RecentOffsets>,
    path: Vec<u32>,
}

impl PathFinder {
    /// Scratch for blocks of at most `max_block_bytes`.
    #[must_use]
    pub fn new(max_block_bytes: usize) -> Self {
        Self {
            nodes: vec![UNREACHED; max_block_bytes + ROW + 1],
            queues: vec![RecentOffsets::INITIAL; max_block_bytes + 1],
            path: Vec::with_capacity(max_block_bytes),
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_block_bytes: usize) -> usize {
        8 * (max_block_bytes + ROW + 1) + 8 * (max_block_bytes + 1) + 4 * max_block_bytes
    }

    /// Sends the items of the cheapest path over `start..end` to `sink`, in order.
    ///
    /// `matches` must cover the block, its position 0 being `list_start` in the chunk. Returns the cost of the path in
    /// units of 1/64 bit and the recent offsets at its end.
    pub fn find<M: PathModel>(
        &mut self,
        chunk: &PaddedChunk,
        (start, end): (usize, usize),
        (matches, list_start): (&MatchList, usize),
        recent: RecentOffsets,
        costs: &PathCosts,
        sink: &mut impl ItemSink,
    ) -> (u64, RecentOffsets) {
        let total = self.relax_all::<M>(chunk, (start, end), (matches, list_start), recent, costs);
        let mut node = end - start;
        self.path.clear();
        while node > 0 {
            let item = self.nodes[node] as u32;
            self.path.push(item);
            node -= ((item >> CODE_BITS) as usize).max(1);
        }
        let mut at = start;
        for &item in self.path.iter().rev() {
            let (length, code) = ((item >> CODE_BITS) as usize, (item & CODE_MASK) as usize);
            if length <= 1 {
                sink.literal(chunk.byte(at));
            } else if M::RECENT && code <= CODE_BIAS {
                sink.repeat(length, code as u32);
            } else {
                sink.explicit(length, code - CODE_BIAS);
            }
            at += length;
        }
        (total, self.queues[end - start])
    }

    fn relax_all<M: PathModel>(
        &mut self,
        chunk: &PaddedChunk,
        (start, end): (usize, usize),
        (matches, list_start): (&MatchList, usize),
        recent: RecentOffsets,
        costs: &PathCosts,
    ) -> u64 {
        let size = end - start;
        self.nodes[..ROW].fill(UNREACHED);
        self.nodes[0] = 0;
        self.queues[0] = recent;
        let mut queue = recent;
        for node in 0..size {
            let at = start + node;
            let arrival = self.nodes[node];
            if M::RECENT && node > 0 {
                queue = self.queue_at(node, arrival as u32);
                self.queues[node] = queue;
            }
            let cost = arrival & (u64::from(u32::MAX) << ITEM_BITS);
            self.nodes[node + ROW] = UNREACHED;
            let ahead: &mut [u64] = &mut self.nodes[node..node + ROW];
            let literal = cost
                + (u64::from(costs.literal[usize::from(chunk.byte(at))]) << ITEM_BITS)
                + (1 << CODE_BITS);
            ahead[1] = ahead[1].min(literal);
            let mut next = M::MIN_LENGTH;
            if M::RECENT {
                let limit = MAX_EDGE.min(chunk.len() - at);
                if limit >= 2 {
                    let word = chunk.load_u32(at);
                    let mut longest = 0;
                    for index in 0..3 {
                        let offset = queue.get(index);
                        if offset > at || (chunk.load_u32(at - offset) ^ word) << 16 != 0 {
                            continue;
                        }
                        let length = chunk.match_length(at - offset, at, 2, limit);
                        longest = longest.max(length);
                        relax(
                            ahead,
                            &costs.rows[index as usize * ROW..][..ROW],
                            cost + u64::from(index),
                            2,
                            length,
                        );
                    }
                    next = next.max(longest + 1);
                }
            }
            for found in matches.at(at - list_start) {
                let (length, offset) = (found.length(), found.offset());
                if length < next {
                    continue;
                }
                let row = &costs.rows[M::slot(offset) * ROW..][..ROW];
                relax(ahead, row, cost + (offset + CODE_BIAS) as u64, next, length);
                next = length + 1;
            }
        }
        if M::RECENT && size > 0 {
            self.queues[size] = self.queue_at(size, self.nodes[size] as u32);
        }
        self.nodes[size] >> ITEM_BITS
    }

    #[inline(always)]
    fn queue_at(&self, node: usize, item: u32) -> RecentOffsets {
        let (length, code) = ((item >> CODE_BITS) as usize, item & CODE_MASK);
        let before = self.queues[node - length];
        if length == 1 {
            before
        } else if code as usize <= CODE_BIAS {
            before.swap(code)
        } else {
            before.push(code as usize - CODE_BIAS)
        }
    }
}

/// Offers a match of every length from `from` to `to` to the nodes ahead; `base` is cost and offset code so far.
#[inline(always)]
fn relax(ahead: &mut [u64], row: &[u16], base: u64, from: usize, to: usize) {
    let mut item = base + ((from as u64) << CODE_BITS);
    for (node, &cost) in ahead[from..=to].iter_mut().zip(&row[from..=to]) {
        *node = (*node).min(item + (u64::from(cost) << ITEM_BITS));
        item += 1 << CODE_BITS;
    }
}
