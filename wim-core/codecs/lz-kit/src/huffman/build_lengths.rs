//! Codeword lengths from symbol frequencies: optimal under a length limit.
//!
//! The two-queue method on sorted frequencies (Moffat and Katajainen, in place) gives the optimal unlimited code; only
//! when that is too deep does package-merge (Larmore and Hirschberg) find the optimal limited one. Frequencies are
//! taken as they are: smoothing them so that the lengths themselves code well is the business of each format.

/// Most symbols of a code built here; the LZX main code with a 2 MiB window has 656.
pub const MAX_SYMBOLS: usize = 1 << SYMBOL_BITS;
const SYMBOL_BITS: u32 = 10;
const SYMBOL_MASK: u32 = (1 << SYMBOL_BITS) - 1;
/// Deepest limit of any format: 16 (LZX main and length code).
const MAX_LIMIT: usize = 16;

/// Scratch memory for building codes, reused from call to call.
#[derive(Debug, Default)]
pub struct LengthBuilder {
    /// Used symbols in order of (frequency, symbol): `frequency << SYMBOL_BITS | symbol`.
    sorted: Vec<u32>,
    /// Weights, then parent indices, then depths of the two-queue method.
    tree: Vec<u32>,
    /// Package-merge: per level, whether each item of the merged list is a leaf.
    is_leaf: Vec<Vec<bool>>,
    weights: [Vec<u32>; 2],
}

impl LengthBuilder {
    /// Upper bound of the memory one builder holds, in bytes: four lists of symbols and the package-merge flags.
    pub const SCRATCH_BYTES: usize = 4 * 2 * MAX_SYMBOLS * 4 + MAX_LIMIT * 2 * MAX_SYMBOLS;

    /// Scratch for codes of at most [`MAX_SYMBOLS`] symbols.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `lengths` to an optimal prefix code for `frequencies` with no codeword longer than `limit` bits.
    ///
    /// No symbol used: all lengths are 0. One symbol used: it and symbol 0 (or 1 if it is 0) get one bit each, because
    /// decoders reject an incomplete code. The sum of the frequencies must be below 2^22, the limit at most 16 and wide
    /// enough for the number of symbols.
    pub fn build(&mut self, frequencies: &[u32], limit: u32, lengths: &mut [u8]) {
        debug_assert!(frequencies.len() == lengths.len() && lengths.len() <= MAX_SYMBOLS);
        debug_assert!(limit as usize <= MAX_LIMIT && lengths.len() <= 1 << limit);
        lengths.fill(0);
        self.sorted.clear();
        for (symbol, &frequency) in (0u32..).zip(frequencies) {
            if frequency != 0 {
                self.sorted.push((frequency << SYMBOL_BITS) | symbol);
            }
        }
        match self.sorted[..] {
            [] => return,
            [only] => {
                let symbol = (only & SYMBOL_MASK) as usize;
                lengths[symbol] = 1;
                lengths[usize::from(symbol == 0)] = 1;
                return;
            }
            _ => self.sorted.sort_unstable(),
        }
        self.tree.clear();
        self.tree.extend(self.sorted.iter().map(|&s| s >> SYMBOL_BITS));
        depths_in_place(&mut self.tree);
        // The least frequent symbol comes first and is the deepest.
        if self.tree[0] <= limit {
            for (&s, &depth) in self.sorted.iter().zip(&self.tree) {
                lengths[(s & SYMBOL_MASK) as usize] = depth as u8;
            }
        } else {
            self.package_merge(limit as usize, lengths);
        }
    }

    /// Package-merge on the sorted frequencies.
    ///
    /// Level by level, pairs of the previous list become packages and are merged with the leaves. Taking the first
    /// 2n - 2 items of the last list, the packages among them tell how many items of the list before were taken, and
    /// so on down; since leaves are sorted, each level lengthens the codewords of a prefix of them.
    fn package_merge(&mut self, limit: usize, lengths: &mut [u8]) {
        let n = self.sorted.len();
        self.is_leaf.resize_with(limit, Vec::new);
        let [previous, current] = &mut self.weights;
        previous.clear();
        for flags in &mut self.is_leaf {
            flags.clear();
            current.clear();
            let mut leaves = self.sorted.iter().map(|&s| s >> SYMBOL_BITS).peekable();
            let mut packages =
                previous.chunks_exact(2).map(|pair| pair[0].saturating_add(pair[1])).peekable();
            loop {
                let take_leaf = match (leaves.peek(), packages.peek()) {
                    (Some(leaf), Some(package)) => leaf <= package,
                    (Some(_), None) => true,
                    (None, Some(_)) => false,
                    (None, None) => break,
                };
                let weight = if take_leaf { leaves.next() } else { packages.next() };
                current.extend(weight);
                flags.push(take_leaf);
            }
            core::mem::swap(previous, current);
        }
        let mut taken = 2 * n - 2;
        for flags in self.is_leaf.iter().rev() {
            let leaves = flags[..taken].iter().filter(|&&leaf| leaf).count();
            for &s in &self.sorted[..leaves] {
                lengths[(s & SYMBOL_MASK) as usize] += 1;
            }
            taken = 2 * (taken - leaves);
        }
    }
}

/// Replaces ascending weights (at least two) by the depths of the leaves in a Huffman tree.
fn depths_in_place(a: &mut [u32]) {
    let n = a.len();
    // First pass: weights of internal nodes are written over the used leaves, and become parent indices.
    a[0] += a[1];
    let (mut root, mut leaf) = (0, 2);
    for next in 1..n - 1 {
        if leaf >= n || a[root] < a[leaf] {
            a[next] = a[root];
            a[root] = next as u32;
            root += 1;
        } else {
            a[next] = a[leaf];
            leaf += 1;
        }
        if leaf >= n || (root < next && a[root] < a[leaf]) {
            a[next] += a[root];
            a[root] = next as u32;
            root += 1;
        } else {
            a[next] += a[leaf];
            leaf += 1;
        }
    }
    // Second pass: depths of internal nodes, from the root down.
    a[n - 2] = 0;
    for i in (0..n - 2).rev() {
        a[i] = a[a[i] as usize] + 1;
    }
    // Third pass: depths of leaves, from the shallowest.
    let (mut available, mut depth) = (1usize, 0);
    let (mut internal, mut next) = (n - 1, n);
    while available > 0 {
        let mut used = 0;
        while internal > 0 && a[internal - 1] == depth {
            used += 1;
            internal -= 1;
        }
        for _ in used..available {
            next -= 1;
            a[next] = depth;
        }
        available = 2 * used;
        depth += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(frequencies: &[u32], limit: u32) -> Vec<u8> {
        let mut lengths = vec![9; frequencies.len()];
        LengthBuilder::new().build(frequencies, limit, &mut lengths);
        lengths
    }

    fn cost(frequencies: &[u32], lengths: &[u8]) -> u32 {
        frequencies.iter().zip(lengths).map(|(&f, &l)| f * u32::from(l)).sum()
    }

    fn is_complete(lengths: &[u8]) -> bool {
        lengths.iter().filter(|&&l| l > 0).map(|&l| 1u32 << (16 - l)).sum::<u32>() == 1 << 16
    }

    /// Cost of an optimal unlimited code: the sum of all internal weights.
    fn huffman_cost(frequencies: &[u32]) -> u32 {
        let mut heap: Vec<u32> = frequencies.iter().copied().filter(|&f| f > 0).collect();
        let mut total = 0;
        while heap.len() > 1 {
            heap.sort_unstable_by(|a, b| b.cmp(a));
            let sum = heap.pop().unwrap_or(0) + heap.pop().unwrap_or(0);
            total += sum;
            heap.push(sum);
        }
        total
    }

    /// Cheapest complete code under a limit, by trying all multisets of lengths (few symbols only).
    fn limited_cost(frequencies: &[u32], limit: u32) -> u32 {
        fn go(sorted: &[u32], least: u32, limit: u32, room: u32) -> Option<u32> {
            let Some((&f, rest)) = sorted.split_first() else { return (room == 0).then_some(0) };
            (least..=limit)
                .filter(|&l| 1 << (limit - l) <= room)
                .filter_map(|l| Some(f * l + go(rest, l, limit, room - (1 << (limit - l)))?))
                .min()
        }
        let mut sorted: Vec<u32> = frequencies.iter().copied().filter(|&f| f > 0).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        go(&sorted, 1, limit, 1 << limit).unwrap_or(u32::MAX)
    }

    fn pseudo_random(seed: &mut u64) -> u32 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) as u32
    }

    #[test]
    fn few_symbols_follow_the_convention() {
        assert_eq!(lengths(&[0, 0, 0], 15), [0, 0, 0]);
        assert_eq!(lengths(&[7, 0, 0], 15), [1, 1, 0]);
        assert_eq!(lengths(&[0, 0, 7], 15), [1, 0, 1]);
        assert_eq!(lengths(&[0, 3, 7], 15), [0, 1, 1]);
        assert_eq!(lengths(&[1, 1, 2], 15), [2, 2, 1]);
    }

    #[test]
    fn unlimited_codes_are_optimal_and_complete() {
        let mut seed = 1;
        for n in [2, 3, 5, 20, 249, 512, 656] {
            for spread in [1, 3, 7] {
                let f: Vec<u32> = (0..n)
                    .map(|_| 1 + (pseudo_random(&mut seed) >> (24 + pseudo_random(&mut seed) % spread)))
                    .collect();
                let l = lengths(&f, 16);
                assert!(is_complete(&l), "{n} symbols, spread {spread}");
                assert_eq!(cost(&f, &l), huffman_cost(&f), "{n} symbols, spread {spread}");
            }
        }
    }

    #[test]
    fn limited_codes_are_optimal() {
        let mut seed = 7;
        for limit in 3..=6 {
            for _ in 0..50 {
                let f: Vec<u32> = (0..8).map(|_| 1 << (pseudo_random(&mut seed) % 14)).collect();
                let l = lengths(&f, limit);
                assert!(is_complete(&l) && l.iter().all(|&l| u32::from(l) <= limit));
                assert_eq!(cost(&f, &l), limited_cost(&f, limit), "{f:?}, limit {limit}");
            }
        }
    }

    #[test]
    fn fibonacci_frequencies_stay_within_the_limit() {
        let mut f = vec![1u32, 1];
        while f.len() < 27 {
            f.push(f[f.len() - 1] + f[f.len() - 2]);
        }
        for limit in [7, 15, 16] {
            let l = lengths(&f, limit);
            assert!(is_complete(&l) && l.iter().all(|&l| u32::from(l) <= limit));
        }
    }
}
