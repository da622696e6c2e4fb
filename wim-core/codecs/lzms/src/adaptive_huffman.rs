//! The adaptive Huffman codes of LZMS: rebuilt from the symbols seen so far, by decoder and encoder alike.
//!
//! No code is ever transmitted, so both sides must build exactly the same one: leaves in the order of (frequency,
//! symbol), a leaf before an internal node of equal weight, long codewords to rare symbols. Extra bits behind a symbol are
//! only carried along here, for the decoder's table.

use std::hint;

use lz_kit::huffman::codewords::{self, LengthCounts};

use crate::format::{
    DELTA_OFFSET_PERIOD, LENGTH_PERIOD, LENGTH_SLOTS, LITERAL_PERIOD, MAX_CODEWORD_LEN, NUM_LENGTH_SLOTS,
    NUM_LITERALS, NUM_OFFSET_SLOTS, NUM_POWERS, OFFSET_PERIOD, OFFSET_SLOTS, POWER_PERIOD,
};

/// Frequencies of one code's symbols, and when they make a new code.
#[derive(Clone, Debug)]
struct Statistics<const N: usize> {
    counts: [u32; N],
    symbols: usize,
    period: u32,
    left: u32,
}

impl<const N: usize> Statistics<N> {
    const fn new(period: u32) -> Self {
        Self { counts: [1; N], symbols: N, period, left: period }
    }

    /// Forgets everything; the chunk to come uses the first `symbols` symbols (2 to `N`).
    fn start(&mut self, symbols: usize) {
        self.counts.fill(1);
        (self.symbols, self.left) = (symbols, self.period);
    }

    /// Counts a symbol; true when the code is to be rebuilt.
    #[inline(always)]
    fn note(&mut self, symbol: usize) -> bool {
        self.counts[symbol] += 1;
        self.left -= 1;
        self.left == 0
    }

    fn counts(&self) -> &[u32] {
        &self.counts[..self.symbols]
    }

    /// Lets old symbols count half, after a rebuild.
    fn age(&mut self) {
        self.left = self.period;
        for count in &mut self.counts[..self.symbols] {
            *count = (*count >> 1) + 1;
        }
    }
}

const SYMBOL_BITS: u32 = 10;
const SYMBOL_MASK: u32 = (1 << SYMBOL_BITS) - 1;
const _: () = assert!(NUM_OFFSET_SLOTS <= 1 << SYMBOL_BITS);

/// Frequencies up to this are sorted by counting; greater ones are few, and sorted by comparing.
const COUNTED: usize = 127;
/// Memory for building codes, shared by all codes of a coder.
#[derive(Clone, Debug)]
pub(crate) struct BuildScratch {
    /// Symbols in order of (frequency, symbol): `frequency << SYMBOL_BITS | symbol`; then one greater than any.
    keys: [u32; NUM_OFFSET_SLOTS + 1],
    /// Weights of internal nodes, then "none".
    weights: [u32; NUM_OFFSET_SLOTS + 1],
    /// Parents of internal nodes.
    parents: [u16; NUM_OFFSET_SLOTS + 1],
    /// Codeword lengths of the symbols.
    lengths: [u8; NUM_OFFSET_SLOTS],
}

impl BuildScratch {
    pub(crate) const fn new() -> Self {
        Self {
            keys: [0; NUM_OFFSET_SLOTS + 1],
            weights: [0; NUM_OFFSET_SLOTS + 1],
            parents: [0; NUM_OFFSET_SLOTS + 1],
            lengths: [0; NUM_OFFSET_SLOTS],
        }
    }

    /// The code for symbols of these frequencies, at least two: how many symbols have each length, and the lengths.
    fn code_of(&mut self, counts: &[u32]) -> (LengthCounts, &[u8]) {
        self.sort(counts);
        let leaves = self.leaves_by_depth(counts.len());
        let mut keys = self.keys[..counts.len()].iter();
        for (len, &leaves) in leaves.iter().enumerate().rev() {
            for &key in keys.by_ref().take(usize::from(leaves)) {
                self.lengths[(key & SYMBOL_MASK) as usize] = len as u8;
            }
        }
        (leaves, &self.lengths[..counts.len()])
    }

    /// Fills `keys`.
    fn sort(&mut self, counts: &[u32]) {
        let n = counts.len();
        let mut places = [0u32; COUNTED + 1];
        for &count in counts {
            places[(count as usize).min(COUNTED)] += 1;
        }
        let mut before = 0;
        for place in &mut places {
            (*place, before) = (before, before + *place);
        }
        let counted = places[COUNTED] as usize;
        for (symbol, &count) in (0u32..).zip(counts) {
            let place = &mut places[(count as usize).min(COUNTED)];
            self.keys[*place as usize] = count << SYMBOL_BITS | symbol;
            *place += 1;
        }
        self.keys[counted..n].sort_unstable();
        self.keys[n] = u32::MAX;
    }

    /// The Huffman tree of the first `n` keys: how many leaves each level has.
    ///
    /// Leaves and finished nodes are two queues of ascending weight; the two lightest ends become a node, a leaf before a
    /// node of equal weight. What is taken cannot be predicted, so nothing branches on it.
    fn leaves_by_depth(&mut self, n: usize) -> LengthCounts {
        self.weights[..n].fill(u32::MAX);
        let (mut leaf, mut node) = (0, 0);
        for next in 0..n - 1 {
            let mut sum = 0;
            for _ in 0..2 {
                let (of_leaf, of_node) = (self.keys[leaf] >> SYMBOL_BITS, self.weights[node]);
                // Of a leaf, this is overwritten when the node is really taken.
                self.parents[node] = next as u16;
                let is_leaf = of_leaf <= of_node;
                sum += hint::select_unpredictable(is_leaf, of_leaf, of_node);
                leaf += usize::from(is_leaf);
                node += usize::from(!is_leaf);
            }
            self.weights[next] = sum;
        }
        // From the root down. Younger nodes have younger parents, so that the nodes of a level stand together: they are
        // the ones whose parents are of the level above. Each node of that stands for two ends of the level.
        let mut leaves = LengthCounts::default();
        let (mut node, mut above, mut first_above) = (n - 2, 1, n - 2);
        for level in leaves.iter_mut().skip(1) {
            let first_older = node;
            while node > 0 && usize::from(self.parents[node - 1]) >= first_above {
                node -= 1;
            }
            let nodes = (first_older - node) as u16;
            *level = 2 * above - nodes;
            (above, first_above) = (nodes, node);
            if nodes == 0 {
                break;
            }
        }
        debug_assert_eq!(usize::from(leaves.iter().sum::<u16>()), n, "the tree is deeper than proved");
        leaves
    }
}

/// What a decode table says about a codeword: its length in the low bits, then the extra bits and the symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry(u32);

impl Entry {
    const EXTRA_SHIFT: u32 = 8;
    const SYMBOL_SHIFT: u32 = 16;

    const fn of(symbol: usize, extra_bits: u8) -> Self {
        Self((symbol as u32) << Self::SYMBOL_SHIFT | (extra_bits as u32) << Self::EXTRA_SHIFT)
    }

    /// Bits of the codeword.
    #[inline(always)]
    pub(crate) fn codeword_len(self) -> u32 {
        self.0 & 15
    }

    /// Bits that follow the codeword.
    #[inline(always)]
    pub(crate) fn extra_bits(self) -> u32 {
        (self.0 >> Self::EXTRA_SHIFT) & 31
    }

    #[inline(always)]
    pub(crate) fn symbol(self) -> usize {
        (self.0 >> Self::SYMBOL_SHIFT) as usize
    }
}

/// A code of the decoder. Codewords of up to `ROOT_BITS` bits are found in one step, `ROOT_SIZE` is 2^`ROOT_BITS`.
#[derive(Clone, Debug)]
pub(crate) struct DecodeCode<const N: usize, const ROOT_BITS: u32, const ROOT_SIZE: usize> {
    /// By the next bits; without a codeword length where the codeword is longer than the table is deep.
    root: [Entry; ROOT_SIZE],
    statistics: Statistics<N>,
    /// Entry of each symbol, its codeword length missing.
    meanings: &'static [Entry; N],
    /// Entries of all symbols in the order of their codewords.
    canonical: [Entry; N],
    /// Per length: the first codeword that is longer, left-justified in 16 bits, and what must be added to a codeword
    /// of this length to get its index in `canonical`.
    beyond: [(u32, u32); MAX_CODEWORD_LEN as usize + 1],
}

/// The codes of the decoder.
pub(crate) type LiteralCode = DecodeCode<NUM_LITERALS, 10, 1024>;
pub(crate) type OffsetCode = DecodeCode<NUM_OFFSET_SLOTS, 11, 2048>;
pub(crate) type LengthCode = DecodeCode<NUM_LENGTH_SLOTS, 9, 512>;
pub(crate) type DeltaOffsetCode = DecodeCode<NUM_OFFSET_SLOTS, 10, 1024>;
pub(crate) type PowerCode = DecodeCode<NUM_POWERS, 7, 128>;

static LITERAL_MEANINGS: [Entry; NUM_LITERALS] = meanings(&[0; NUM_LITERALS]);
static OFFSET_MEANINGS: [Entry; NUM_OFFSET_SLOTS] = meanings(&OFFSET_SLOTS.extra_bits);
static LENGTH_MEANINGS: [Entry; NUM_LENGTH_SLOTS] = meanings(&LENGTH_SLOTS.extra_bits);
static POWER_MEANINGS: [Entry; NUM_POWERS] = meanings(&[0; NUM_POWERS]);

const fn meanings<const N: usize>(extra_bits: &[u8; N]) -> [Entry; N] {
    let mut entries = [Entry(0); N];
    let mut symbol = 0;
    while symbol < N {
        entries[symbol] = Entry::of(symbol, extra_bits[symbol]);
        symbol += 1;
    }
    entries
}

impl LiteralCode {
    pub(crate) fn of_literals() -> Self {
        Self::new(&LITERAL_MEANINGS, LITERAL_PERIOD)
    }
}

impl OffsetCode {
    pub(crate) fn of_offsets() -> Self {
        Self::new(&OFFSET_MEANINGS, OFFSET_PERIOD)
    }
}

impl LengthCode {
    pub(crate) fn of_lengths() -> Self {
        Self::new(&LENGTH_MEANINGS, LENGTH_PERIOD)
    }
}

impl DeltaOffsetCode {
    pub(crate) fn of_delta_offsets() -> Self {
        Self::new(&OFFSET_MEANINGS, DELTA_OFFSET_PERIOD)
    }
}

impl PowerCode {
    pub(crate) fn of_powers() -> Self {
        Self::new(&POWER_MEANINGS, POWER_PERIOD)
    }
}

impl<const N: usize, const ROOT_BITS: u32, const ROOT_SIZE: usize> DecodeCode<N, ROOT_BITS, ROOT_SIZE> {
    fn new(meanings: &'static [Entry; N], period: u32) -> Self {
        const { assert!(ROOT_SIZE == 1 << ROOT_BITS && ROOT_BITS <= MAX_CODEWORD_LEN) };
        Self {
            root: [Entry::default(); ROOT_SIZE],
            statistics: Statistics::new(period),
            meanings,
            canonical: [Entry::default(); N],
            beyond: [(0, 0); _],
        }
    }

    /// Begins a chunk that uses the first `symbols` symbols.
    pub(crate) fn start(&mut self, symbols: usize, scratch: &mut BuildScratch) {
        self.statistics.start(symbols);
        self.build(scratch);
    }

    /// The entry of the codeword on top of `bits`.
    #[inline(always)]
    pub(crate) fn look_up(&self, bits: u64) -> Entry {
        let entry = self.root[(bits >> (64 - ROOT_BITS)) as usize % ROOT_SIZE];
        if entry.codeword_len() == 0 { self.look_up_long(bits) } else { entry }
    }

    #[cold]
    #[inline(never)]
    fn look_up_long(&self, bits: u64) -> Entry {
        let next = (bits >> 48) as u32;
        let mut len = ROOT_BITS + 1;
        // The code is complete: every bit string is below the bound of the greatest length.
        while len < MAX_CODEWORD_LEN && next >= self.beyond[len as usize].0 {
            len += 1;
        }
        let index = (next >> (16 - len)).wrapping_add(self.beyond[len as usize].1);
        self.canonical[(index as usize).min(N - 1)]
    }

    /// Counts a symbol that was decoded, and rebuilds the code when that is due.
    #[inline(always)]
    pub(crate) fn note(&mut self, symbol: usize, scratch: &mut BuildScratch) {
        if self.statistics.note(symbol) {
            self.rebuild(scratch);
        }
    }

    #[cold]
    #[inline(never)]
    fn rebuild(&mut self, scratch: &mut BuildScratch) {
        self.build(scratch);
        self.statistics.age();
    }

    fn build(&mut self, scratch: &mut BuildScratch) {
        let (counts, lengths) = scratch.code_of(self.statistics.counts());
        let mut first = [0usize; MAX_CODEWORD_LEN as usize + 2];
        let mut codeword = 0;
        for len in 1..=MAX_CODEWORD_LEN as usize {
            // Codewords of a length count up from `codeword`, their symbols from `first[len]`.
            self.beyond[len].1 = (first[len] as u32).wrapping_sub(codeword);
            codeword += u32::from(counts[len]);
            self.beyond[len].0 = codeword << (16 - len);
            codeword <<= 1;
            first[len + 1] = first[len] + usize::from(counts[len]);
        }
        let mut next = first;
        for (symbol, &len) in lengths.iter().enumerate() {
            let place = &mut next[usize::from(len)];
            self.canonical[*place] = Entry(self.meanings[symbol].0 | u32::from(len));
            *place += 1;
        }
        let mut filled = 0;
        for len in 1..=ROOT_BITS as usize {
            let run = 1 << (ROOT_BITS as usize - len);
            let entries = &self.canonical[first[len]..first[len + 1]];
            let slots = &mut self.root[filled..filled + run * entries.len()];
            filled += slots.len();
            match run {
                // Most symbols are rare, and have long codewords.
                1 => slots.copy_from_slice(entries),
                2 => slots.as_chunks_mut::<2>().0.iter_mut().zip(entries).for_each(|(s, &e)| *s = [e; 2]),
                4 => slots.as_chunks_mut::<4>().0.iter_mut().zip(entries).for_each(|(s, &e)| *s = [e; 4]),
                8 => slots.as_chunks_mut::<8>().0.iter_mut().zip(entries).for_each(|(s, &e)| *s = [e; 8]),
                _ => slots.chunks_exact_mut(run).zip(entries).for_each(|(s, &e)| s.fill(e)),
            }
        }
        self.root[filled..].fill(Entry::default());
    }
}

/// A code of the encoder.
#[derive(Clone, Debug)]
pub(crate) struct EncodeCode<const N: usize> {
    statistics: Statistics<N>,
    lengths: [u8; N],
    codewords: [u16; N],
    /// How often the code was built, so that what is derived from it knows when to follow.
    builds: u32,
}

impl<const N: usize> EncodeCode<N> {
    pub(crate) fn new(period: u32) -> Self {
        Self { statistics: Statistics::new(period), lengths: [0; N], codewords: [0; N], builds: 0 }
    }

    /// Begins a chunk that uses the first `symbols` symbols.
    pub(crate) fn start(&mut self, symbols: usize, scratch: &mut BuildScratch) {
        self.statistics.start(symbols);
        self.build(scratch);
    }

    /// The codeword of a symbol and its length in bits; counts the symbol, and rebuilds the code when that is due.
    #[inline]
    pub(crate) fn take(&mut self, symbol: usize, scratch: &mut BuildScratch) -> (u32, u32) {
        let found = (u32::from(self.codewords[symbol]), u32::from(self.lengths[symbol]));
        if self.statistics.note(symbol) {
            self.build(scratch);
            self.statistics.age();
        }
        found
    }

    /// Codeword lengths in bits.
    pub(crate) fn lengths(&self) -> &[u8] {
        &self.lengths[..self.statistics.symbols]
    }

    pub(crate) fn builds(&self) -> u32 {
        self.builds
    }

    fn build(&mut self, scratch: &mut BuildScratch) {
        let (_, lengths) = scratch.code_of(self.statistics.counts());
        self.lengths[..lengths.len()].copy_from_slice(lengths);
        codewords::assign(lengths, &mut self.codewords[..lengths.len()]);
        self.builds = self.builds.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::offset_slots_of;

    #[test]
    fn initial_codes_have_their_known_lengths() {
        let mut scratch = BuildScratch::new();
        let mut count = |n: usize| {
            let (counts, lengths) = scratch.code_of(&vec![1; n]);
            assert!(lengths.len() == n && lengths.is_sorted_by(|a, b| a >= b));
            assert_eq!(counts, codewords::count_lengths(lengths));
            [5, 6, 7, 8].map(|len| counts[len])
        };
        assert_eq!(count(54), [10, 44, 0, 0]);
        assert_eq!(count(256), [0, 0, 0, 256]);
        assert_eq!(count(142), [0, 0, 114, 28]);
        assert_eq!(count(171), [0, 0, 85, 86]);
    }

    /// Skewed symbols make long codewords; whatever the encoder's code says, the decoder's table says the same.
    #[test]
    fn both_sides_build_the_same_code() {
        let mut scratch = BuildScratch::new();
        let symbols = offset_slots_of(1 << 26);
        let mut decoder = OffsetCode::of_offsets();
        let mut encoder = EncodeCode::<NUM_OFFSET_SLOTS>::new(OFFSET_PERIOD);
        decoder.start(symbols, &mut scratch);
        encoder.start(symbols, &mut scratch);
        let (mut seed, mut longest) = (5u64, 0);
        for _ in 0..50_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Each symbol half as often as the one before, with a few from anywhere.
            let symbol = if seed >> 58 == 0 {
                (seed >> 20) as usize % symbols
            } else {
                (seed << 6).leading_zeros() as usize
            };
            let (codeword, len) = encoder.take(symbol, &mut scratch);
            longest = longest.max(len);
            let bits = u64::from(codeword) << (64 - len);
            for bits in [bits, bits | (u64::MAX >> len)] {
                let entry = decoder.look_up(bits);
                assert_eq!((entry.symbol(), entry.codeword_len()), (symbol, len));
                assert_eq!(entry.extra_bits(), u32::from(OFFSET_SLOTS.extra_bits[symbol]));
            }
            decoder.note(symbol, &mut scratch);
        }
        assert!(longest > 11, "the second look-up must have been used: {longest}");
    }
}
