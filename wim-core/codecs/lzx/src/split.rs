//! Where one block should end and the next begin.
//!
//! The items are cut into small pieces of known frequencies; neighbours are merged as long as one block is estimated
//! smaller than two. The estimate is an ideal code's size plus a header grown from the number of used symbols: nothing
//! is coded here.

use crate::format::{NUM_LENGTH_SYMBOLS, WindowOrder};
use crate::items::{Frequencies, Item};
use lz_kit::huffman::{BIT, entropy_cost};

/// Estimated bits of a block header beside its code lengths. Its type, size and three precodes take some 260 bits; the
/// rest stands for what a split costs the parser, which it leaves with less to learn from (tuned on PE files).
const HEADER_BITS: u64 = 700;
/// Estimated bits for one used symbol in the lists of code lengths, in units of 1/64 bit.
const BITS_PER_SYMBOL: u64 = 4 * BIT as u64;

/// Bits of an uncompressed block beside its bytes, at most.
const RAW_HEADER_BITS: u64 = 3 + 25 + 16 + 96 + 8;

/// A run of items that will be one block.
#[derive(Debug)]
struct Piece {
    frequencies: Frequencies,
    cost: u64,
    /// End of the run in the list of items.
    end: usize,
    /// What merging with the next piece would cost in total.
    merged_cost: u64,
}

/// Finds block boundaries; reused from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    pieces: Vec<Piece>,
}

/// Estimated size of a block, in units of 1/64 bit.
fn block_cost(f: &Frequencies, mains: usize) -> u64 {
    let (main, main_used) = entropy_cost(&f.main[..mains]);
    let (length, length_used) = entropy_cost(&f.length[..NUM_LENGTH_SYMBOLS]);
    let coded = main
        + length
        + f.extra_bits * u64::from(BIT)
        + HEADER_BITS * u64::from(BIT)
        + u64::from(main_used + length_used) * BITS_PER_SYMBOL;
    // Or the bytes as they are, after a short header.
    coded.min((8 * f.bytes as u64 + RAW_HEADER_BITS) * u64::from(BIT))
}

fn merged_cost(a: &Frequencies, b: &Frequencies, mains: usize) -> u64 {
    let mut both = a.clone();
    both.merge(b);
    block_cost(&both, mains)
}

impl Splitter {
    pub(crate) fn scratch_bytes(span: usize, piece_bytes: usize) -> usize {
        (span / piece_bytes + 1) * size_of::<Piece>()
    }

    /// Sets `ends` to the ends of the blocks as indices into `items`, cutting at multiples of `piece_bytes` at best.
    pub(crate) fn split(
        &mut self,
        items: &[Item],
        window: WindowOrder,
        piece_bytes: usize,
        ends: &mut Vec<usize>,
    ) {
        let mains = window.num_main_symbols();
        self.pieces.clear();
        ends.clear();
        let (mut start, mut bytes) = (0, 0);
        for (i, item) in items.iter().enumerate() {
            bytes += usize::from(item.length);
            if bytes >= piece_bytes || i + 1 == items.len() {
                let mut frequencies = Frequencies::ZERO;
                frequencies.add(&items[start..=i]);
                let cost = block_cost(&frequencies, mains);
                self.pieces.push(Piece { frequencies, cost, end: i + 1, merged_cost: 0 });
                (start, bytes) = (i + 1, 0);
            }
        }
        for i in 1..self.pieces.len() {
            self.pieces[i - 1].merged_cost =
                merged_cost(&self.pieces[i - 1].frequencies, &self.pieces[i].frequencies, mains);
        }
        while let Some(best) = self.best_merge() {
            let gone = self.pieces.remove(best + 1);
            let piece = &mut self.pieces[best];
            piece.frequencies.merge(&gone.frequencies);
            piece.cost = piece.merged_cost;
            piece.end = gone.end;
            if best + 1 < self.pieces.len() {
                self.pieces[best].merged_cost =
                    merged_cost(&self.pieces[best].frequencies, &self.pieces[best + 1].frequencies, mains);
            }
            if best > 0 {
                self.pieces[best - 1].merged_cost =
                    merged_cost(&self.pieces[best - 1].frequencies, &self.pieces[best].frequencies, mains);
            }
        }
        ends.extend(self.pieces.iter().map(|piece| piece.end));
    }

    /// The pair of neighbours whose merging saves most, if any saves something.
    fn best_merge(&self) -> Option<usize> {
        let gain = |i: usize| {
            (self.pieces[i].cost + self.pieces[i + 1].cost).checked_sub(self.pieces[i].merged_cost)
        };
        (0..self.pieces.len().saturating_sub(1))
            .filter_map(|i| Some((gain(i)?, i)))
            .max_by_key(|&(g, i)| (g, usize::MAX - i))
            .map(|(_, i)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two halves with different literals become two blocks, equal halves one.
    #[test]
    fn blocks_end_where_the_data_change() {
        let half = |base: u8, seed: usize| {
            (0..16384).map(move |i| Item::literal(base + ((i * 7919 + seed * 104_729) / 13 % 50) as u8))
        };
        let mut splitter = Splitter::default();
        let mut ends = Vec::new();
        let different: Vec<Item> = half(0, 1).chain(half(128, 2)).collect();
        splitter.split(&different, WindowOrder::MIN, 2048, &mut ends);
        assert_eq!(ends, [16384, 32768]);
        let same: Vec<Item> = half(0, 1).chain(half(0, 2)).collect();
        splitter.split(&same, WindowOrder::MIN, 2048, &mut ends);
        assert_eq!(ends, [32768]);
        splitter.split(&[], WindowOrder::MIN, 2048, &mut ends);
        assert!(ends.is_empty());
    }
}
