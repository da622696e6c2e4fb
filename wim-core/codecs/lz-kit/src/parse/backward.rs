//! The cheapest path for formats without recent offsets: found from the end of the chunk backwards, exactly.
//!
//! What follows a position costs the same however it was reached, so a position needs one number, and its edges are one minimum
//! over a few vectors: nothing is stored for an edge, and the length of the best one rides in the low bits of its cost.
//! Formats with recent offsets need the forward search next door.

#![expect(unsafe_code, reason = "unchecked access to proven nodes, AVX2; listed in UNSAFE.md")]

use super::lazy::ItemSink;
use super::near_optimal::{MAX_EDGE, PathCosts, PathModel};
use crate::lz77::{Match, MatchEntry, MatchList, PaddedChunk};

/// Low bits of a packed cost: the length of the edge.
const LENGTH_BITS: u32 = 9;
const LENGTH_MASK: u32 = (1 << LENGTH_BITS) - 1;
/// Entries compared at a time.
const LANES: usize = 8;
/// Entries of one row: lengths 0 to [`MAX_EDGE`], and as many as a step that begins there reads.
const ROW: usize = MAX_EDGE + LANES;
const _: () = assert!(MAX_EDGE < LENGTH_MASK as usize);

/// Longest chunk, in bytes; in longer ones the costs would not fit.
const MAX_BACKWARD_CHUNK: usize = 1 << 16;
/// A literal costs less than this, rounding included, in units of 1/64 bit: 16 bits.
const MAX_BYTE_COST: u16 = 16 * 64 - 1;
/// What a packed cost may be, above the length.
const COST_ROOM: usize = 1 << (32 - LENGTH_BITS);
// The dearest path of literals and one more match of the greatest cost, at both shifts.
const _: () = assert!(
    (MAX_BYTE_COST as usize >> 2) * (MAX_BACKWARD_CHUNK / 2) + (u16::MAX as usize >> 2) + 1 < COST_ROOM
        && (MAX_BYTE_COST as usize >> 3) * MAX_BACKWARD_CHUNK + (u16::MAX as usize >> 3) + 1 < COST_ROOM
);

/// Scratch memory of the search.
#[derive(Debug)]
pub struct BackwardPaths {
    /// Cost from each position to the end, above [`LENGTH_BITS`] zero bits.
    nodes: Vec<u32>,
    /// Length of each position's best edge; 1 for a literal.
    lengths: Vec<u16>,
    literals: [u32; 256],
    /// Packed costs of matches with the length in the low bits.
    rows: Vec<[u32; ROW]>,
    /// The processor has what the wide steps need.
    #[cfg(target_arch = "x86_64")]
    wide: bool,
}

impl BackwardPaths {
    /// Scratch for chunks of at most `max_chunk_bytes` of a format with `slots` offset slots.
    #[must_use]
    pub fn new(max_chunk_bytes: usize, slots: usize) -> Self {
        assert!(max_chunk_bytes <= MAX_BACKWARD_CHUNK, "the costs of longer chunks do not fit");
        Self {
            nodes: vec![0; max_chunk_bytes + ROW],
            lengths: vec![0; max_chunk_bytes],
            literals: [0; 256],
            rows: vec![[0; ROW]; slots],
            #[cfg(target_arch = "x86_64")]
            wide: is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt"),
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same arguments.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize, slots: usize) -> usize {
        size_of::<Self>() + 4 * (max_chunk_bytes + ROW) + 2 * max_chunk_bytes + 4 * ROW * slots
    }

    /// Sends the items of the cheapest path over the chunk to `sink`, in order. `matches` must cover the chunk.
    pub fn find<M: PathModel>(
        &mut self,
        chunk: &PaddedChunk,
        matches: &MatchList,
        costs: &PathCosts,
        sink: &mut impl ItemSink,
    ) {
        let size = chunk.len();
        assert!(size <= self.lengths.len(), "the chunk is too long");
        assert!(size <= matches.positions(), "the matches do not cover the chunk");
        assert!(costs.rows.len() == self.rows.len(), "the format has other slots");
        self.pack(costs, size);
        // SAFETY: the buffers are longer than the chunk by what they need; the features were detected.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if self.wide {
                self.weigh_all_wide::<M>(chunk, matches);
            } else {
                self.weigh_all::<M, false>(chunk, matches);
            }
            #[cfg(not(target_arch = "x86_64"))]
            self.weigh_all::<M, false>(chunk, matches);
        }
        let mut at = 0;
        while at < size {
            let length = usize::from(self.lengths[at]);
            match matches.at(at).iter().find(|found| length > 1 && found.length() >= length) {
                Some(found) => sink.explicit(length, found.offset()),
                None => sink.literal(chunk.byte(at)),
            }
            at += length;
        }
    }

    /// Takes the costs in the unit in which those of a chunk of `size` bytes fit.
    fn pack(&mut self, costs: &PathCosts, size: usize) {
        // Literals of just below 16 bits fill what is left above the length: 1/16 bit for 32 KiB, 1/8 for 64. A path is never
        // dearer than its literals, so that what remains is room for one match of any cost.
        let shift = if size <= MAX_BACKWARD_CHUNK / 2 { 2 } else { 3 };
        let round = 1 << (shift - 1);
        let packed = |cost: u16, length: u32| ((u32::from(cost) + round) >> shift) << LENGTH_BITS | length;
        for (place, &cost) in self.literals.iter_mut().zip(&costs.literal) {
            *place = packed(cost.min(MAX_BYTE_COST - round as u16), 1);
        }
        for (row, costs) in self.rows.iter_mut().zip(&costs.rows) {
            for ((place, &cost), length) in row.iter_mut().zip(costs).zip(0..) {
                *place = packed(cost, length);
            }
        }
    }

    /// As [`weigh_all`](Self::weigh_all), compiled for AVX2, BMI2 and LZCNT.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    unsafe fn weigh_all_wide<M: PathModel>(&mut self, chunk: &PaddedChunk, matches: &MatchList) {
        // SAFETY: the caller's duty.
        unsafe { self.weigh_all::<M, true>(chunk, matches) }
    }

    /// Fills nodes and lengths, last position first.
    ///
    /// # Safety
    /// The chunk fits the buffers, `matches` cover it, and with `WIDE` the CPU has AVX2.
    #[inline(always)]
    unsafe fn weigh_all<M: PathModel, const WIDE: bool>(&mut self, chunk: &PaddedChunk, matches: &MatchList) {
        let (size, bytes) = (chunk.len(), chunk.bytes());
        let nodes = self.nodes.as_mut_ptr();
        self.nodes[size..size + ROW].fill(0);
        for at in (0..size).rev() {
            // SAFETY: there are ROW more nodes than positions, and no edge is longer than MAX_EDGE. What lies behind the
            // chunk is read but does not count, because lengths are limited to the chunk.
            unsafe {
                let ahead = nodes.add(at);
                let literal = self.literals[usize::from(*bytes.get_unchecked(at))];
                let mut best = (*ahead.add(1)).wrapping_add(literal);
                let found = matches.at_unchecked(at);
                if !found.is_empty() {
                    best = best.min(best_match::<M, WIDE>(&self.rows, ahead, found, size - at));
                }
                *ahead = best & !LENGTH_MASK;
                *self.lengths.get_unchecked_mut(at) = (best & LENGTH_MASK) as u16;
            }
        }
    }
}

/// The cheapest of the matches of a position, each used for the lengths that the ones before it do not reach; all ones
/// if none can be used.
///
/// # Safety
/// [`ROW`] nodes from `ahead` on are readable, and with `WIDE` the CPU has AVX2.
#[inline(always)]
unsafe fn best_match<M: PathModel, const WIDE: bool>(
    rows: &[[u32; ROW]],
    ahead: *const u32,
    found: &[Match],
    room: usize,
) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if WIDE {
        // SAFETY: the caller's duty.
        return unsafe { best_match_wide::<M>(rows, ahead, found, room) };
    }
    let (mut best, mut from) = (u32::MAX, M::MIN_LENGTH);
    for found in found {
        let to = found.length().min(MAX_EDGE).min(room);
        let row = &rows[M::slot(found.offset())];
        for (length, &cost) in row.iter().enumerate().take(to + 1).skip(from) {
            // SAFETY: `length < ROW`.
            best = best.min(unsafe { *ahead.add(length) }.wrapping_add(cost));
        }
        from = from.max(to + 1);
    }
    best
}

/// As [`best_match`], eight lengths at a time.
///
/// # Safety
/// As there, and the CPU has AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn best_match_wide<M: PathModel>(
    rows: &[[u32; ROW]],
    ahead: *const u32,
    found: &[Match],
    room: usize,
) -> u32 {
    use core::arch::x86_64::{
        __m256i, _mm_cvtsi128_si32, _mm_min_epu32, _mm_shuffle_epi32, _mm256_add_epi32,
        _mm256_castsi256_si128, _mm256_cmpgt_epi32, _mm256_extracti128_si256, _mm256_loadu_si256,
        _mm256_min_epu32, _mm256_or_si256, _mm256_set_epi32, _mm256_set1_epi32,
    };
    let lanes = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    let mut best = _mm256_set1_epi32(-1);
    let mut from = M::MIN_LENGTH;
    for found in found {
        let to = found.length().min(MAX_EDGE).min(room);
        let row = rows[M::slot(found.offset())].as_ptr();
        let mut length = from;
        while length <= to {
            // SAFETY: `length <= MAX_EDGE`, and rows and nodes have eight entries more than that.
            unsafe {
                let costs = _mm256_loadu_si256(row.add(length).cast::<__m256i>());
                let costs = _mm256_add_epi32(costs, _mm256_loadu_si256(ahead.add(length).cast::<__m256i>()));
                let beyond = _mm256_cmpgt_epi32(lanes, _mm256_set1_epi32((to - length) as i32));
                best = _mm256_min_epu32(best, _mm256_or_si256(costs, beyond));
            }
            length += LANES;
        }
        from = from.max(to + 1);
    }
    let best = _mm_min_epu32(_mm256_castsi256_si128(best), _mm256_extracti128_si256::<1>(best));
    let best = _mm_min_epu32(best, _mm_shuffle_epi32::<0b01_00_11_10>(best));
    let best = _mm_min_epu32(best, _mm_shuffle_epi32::<0b10_11_00_01>(best));
    _mm_cvtsi128_si32(best) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::path_sample::{list_of, sample};

    struct Model;

    impl PathModel for Model {
        const MIN_LENGTH: usize = 3;

        fn slot(offset: usize) -> usize {
            offset.ilog2() as usize
        }

        fn low(_slot: usize, _offset: usize) -> usize {
            0
        }
    }

    /// Rebuilds the data and adds up the costs.
    struct Replay<'a> {
        costs: &'a PathCosts,
        out: Vec<u8>,
        cost: u64,
    }

    impl ItemSink for Replay<'_> {
        fn literal(&mut self, byte: u8) {
            self.out.push(byte);
            self.cost += u64::from(self.costs.literal[usize::from(byte)]);
        }

        fn explicit(&mut self, length: usize, offset: usize) {
            self.cost += u64::from(self.costs.rows[Model::slot(offset)][length]);
            for _ in 0..length {
                self.out.push(self.out[self.out.len() - offset]);
            }
        }

        fn repeat(&mut self, _length: usize, _index: u32) {
            unreachable!("there are no recent offsets");
        }
    }

    fn costs() -> PathCosts {
        let mut costs = PathCosts::new(16);
        costs.literal = core::array::from_fn(|byte| 400 + (byte % 7) as u16 * 20);
        for (slot, row) in costs.rows.iter_mut().enumerate() {
            for (length, cost) in row.iter_mut().enumerate() {
                *cost = (200 + 64 * slot + 28 * length.min(20)) as u16;
            }
        }
        costs
    }

    /// Cost of the cheapest path by trying every edge.
    fn cheapest(chunk: &PaddedChunk, list: &MatchList, costs: &PathCosts) -> u64 {
        let mut to_end = vec![0u64; chunk.len() + 1];
        for at in (0..chunk.len()).rev() {
            let literal = to_end[at + 1] + u64::from(costs.literal[usize::from(chunk.byte(at))]);
            let matches = list.at(at).iter().flat_map(|found| {
                (3..=found.length().min(chunk.len() - at))
                    .map(move |length| (length, Model::slot(found.offset())))
            });
            let match_costs =
                matches.map(|(length, slot)| to_end[at + length] + u64::from(costs.rows[slot][length]));
            to_end[at] = match_costs.chain([literal]).min().expect("a literal is always there");
        }
        to_end[0]
    }

    #[test]
    fn the_path_rebuilds_the_data_and_is_the_cheapest() {
        let bytes = sample();
        let mut chunk = PaddedChunk::new(bytes.len());
        assert!(chunk.set(&bytes));
        let (list, costs) = (list_of(&chunk, 0), costs());
        let mut totals = Vec::new();
        for wide in [true, false] {
            let mut paths = BackwardPaths::new(bytes.len(), 16);
            #[cfg(target_arch = "x86_64")]
            {
                paths.wide &= wide;
            }
            let mut replay = Replay { costs: &costs, out: Vec::new(), cost: 0 };
            paths.find::<Model>(&chunk, &list, &costs, &mut replay);
            assert!(replay.out == bytes, "wide: {wide}");
            totals.push(replay.cost);
        }
        // All costs are multiples of the unit here, so nothing was rounded.
        assert_eq!(totals, [cheapest(&chunk, &list, &costs); 2]);
    }
}
