//! The checksum of data blocks: an exclusive-or of little-endian words.
//!
//! [MS-CAB] 3.1. It finds torn and swapped bytes, not malice: real proof is a digest one level up.

/// The checksum of `bytes` on top of `seed`; the last one to three bytes are packed most significant first.
pub(super) fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let (words, tail) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(seed, |sum, &word| sum ^ u32::from_le_bytes(word));
    sum ^ tail.iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_packed_from_the_other_end() {
        assert_eq!(checksum(&[1, 2, 3, 4], 0), 0x0403_0201);
        assert_eq!(checksum(&[1, 2, 3, 4, 5], 0), 0x0403_0204);
        assert_eq!(checksum(&[5, 6, 7], 1), 0x0005_0606);
        assert_eq!(checksum(&[], 9), 9);
    }
}
