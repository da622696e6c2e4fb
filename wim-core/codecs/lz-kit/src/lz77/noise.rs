//! Whether a chunk is noise: bytes all about equally frequent, and next to nothing said twice.
//!
//! Compressed files, pictures and films in an image are such, and a parser would search all of a chunk to find that it must be
//! stored raw. The test is cheap beside any parser and errs to the side of parsing: what it calls noise could have become
//! smaller by less than a code's own description. It knows nothing of delta matches, so LZMS does not ask it.

use crate::huffman::{BIT, entropy_cost};

/// In shorter chunks, chance alone makes the frequencies look uneven.
const SMALLEST_CHUNK: usize = 8192;
/// Bytes that tell, before all are counted, that most chunks are no noise.
const FIRST_BYTES: usize = 4096;

/// The test, with its table of words.
#[derive(Debug)]
pub struct NoiseTest {
    /// Four bytes of the chunk each, at the place that their hash names.
    words: Vec<u32>,
    hash_bits: u32,
    max_chunk_bytes: usize,
}

/// At most as many entries as positions that enter, in a power of two.
const fn hash_bits(max_chunk_bytes: usize) -> u32 {
    let entered = max_chunk_bytes / 4;
    if entered < 1 << 8 { 8 } else { entered.ilog2() }
}

impl NoiseTest {
    /// A test of chunks of at most `max_chunk_bytes`; longer ones count as no noise.
    #[must_use]
    pub fn new(max_chunk_bytes: usize) -> Self {
        let hash_bits = hash_bits(max_chunk_bytes);
        Self { words: vec![0; 1 << hash_bits], hash_bits, max_chunk_bytes }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        size_of::<u32>() << hash_bits(max_chunk_bytes)
    }

    /// Whether no code and no repetition would make the chunk smaller by more than one byte in 256.
    #[must_use]
    pub fn is_noise(&mut self, chunk: &[u8]) -> bool {
        let may_be = (SMALLEST_CHUNK..=self.max_chunk_bytes).contains(&chunk.len());
        // 4 KiB of evenly random bytes seem to be worth 23 bytes less than they are, 32 KiB too.
        may_be
            && gain_of_code(&chunk[..FIRST_BYTES]) < FIRST_BYTES / 64
            && gain_of_code(chunk) < chunk.len() / 256
            && self.repetitions(chunk) < chunk.len() / 8192
    }

    /// Repetitions seen: about one for each 16 bytes that were said before, none by chance.
    fn repetitions(&mut self, chunk: &[u8]) -> usize {
        self.words.fill(0);
        let shift = u32::BITS - self.hash_bits;
        let entry_of = |word: u32| (word.wrapping_mul(0x9E37_79B1) >> shift) as usize;
        let (blocks, _) = chunk.as_chunks::<16>();
        let mut seen = 0;
        for block in blocks {
            let word_at = |at: u32| (u128::from_le_bytes(*block) >> (8 * at)) as u32;
            // Four places in a row meet every fourth one of an earlier copy, however the two lie to each other.
            for at in 0..4 {
                seen += usize::from(self.words[entry_of(word_at(at))] == word_at(at));
            }
            for at in [0, 4, 8, 12] {
                self.words[entry_of(word_at(at))] = word_at(at);
            }
        }
        seen
    }
}

/// Bytes that an ideal code of single bytes would save, its description aside.
fn gain_of_code(bytes: &[u8]) -> usize {
    // Four tables: equal bytes in a row do not wait for each other's count.
    let mut counts = [[0u32; 256]; 4];
    let (fours, rest) = bytes.as_chunks::<4>();
    for four in fours {
        for (table, &byte) in counts.iter_mut().zip(four) {
            table[usize::from(byte)] += 1;
        }
    }
    for &byte in rest {
        counts[0][usize::from(byte)] += 1;
    }
    let [mut sum, others @ ..] = counts;
    for table in others {
        sum.iter_mut().zip(table).for_each(|(total, count)| *total += count);
    }
    let (cost, _) = entropy_cost(&sum);
    bytes.len().saturating_sub((cost / u64::from(8 * BIT)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize, mut seed: u64) -> Vec<u8> {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn random_bytes_are_noise_at_all_lengths_from_eight_kib() {
        for len in [8192, 8193, 12_345, 32768, 65536, 1 << 20] {
            let mut test = NoiseTest::new(len);
            for seed in 1..20 {
                assert!(test.is_noise(&noise(len, seed)), "{len} bytes from seed {seed}");
            }
        }
    }

    #[test]
    fn a_repetition_or_a_lopsided_code_is_no_noise() {
        let mut test = NoiseTest::new(32768);
        let random = noise(32768, 7);
        for (from, to, length) in [(0, 32468, 300), (5, 1000, 200), (16001, 16384, 150), (3, 20_001, 12_000)]
        {
            let mut repeated = random.clone();
            repeated.copy_within(from..from + length, to);
            assert!(!test.is_noise(&repeated), "{length} bytes of {from} at {to}");
        }
        let seven_bits: Vec<u8> = random.iter().map(|byte| byte & 0x7F).collect();
        assert!(!test.is_noise(&seven_bits));
        let mut half_text = random.clone();
        half_text[20_000..].fill(b' ');
        assert!(!test.is_noise(&half_text));
        assert!(test.is_noise(&random), "what was tested before does not matter");
    }

    #[test]
    fn short_chunks_and_those_longer_than_agreed_are_parsed() {
        assert!(!NoiseTest::new(32768).is_noise(&noise(8191, 3)));
        assert!(!NoiseTest::new(32768).is_noise(&noise(32769, 3)));
    }
}
