//! Canonical codewords: how lengths alone determine a Huffman code.
//!
//! The rule is in [MS-XCA] 2.2.3 and [MS-PATCH] 2.3: ordered by (length, symbol), codewords count upwards. This
//! file neither chooses lengths nor builds decode tables.

use crate::DecodeError;

/// Longest codeword of any code here, in bits (LZX's main and length codes).
pub const MAX_CODEWORD_LEN: usize = 16;

/// Number of symbols of each codeword length; those of length 0 have no codeword.
pub type LengthCounts = [u16; MAX_CODEWORD_LEN + 1];

/// Counts the symbols of each length.
///
/// Lengths above [`MAX_CODEWORD_LEN`] are the caller's mistake; they count as the longest.
#[must_use]
pub fn count_lengths(lengths: &[u8]) -> LengthCounts {
    let mut counts = [0; MAX_CODEWORD_LEN + 1];
    for &len in lengths {
        counts[usize::from(len).min(MAX_CODEWORD_LEN)] += 1;
    }
    counts
}

/// Checks that the codewords use up the code space exactly; `false` means that the code is empty.
///
/// # Errors
/// [`DecodeError::BadCode`] if the code is over-subscribed or incomplete (a lone one-bit codeword is incomplete).
pub fn is_complete(counts: &LengthCounts) -> Result<bool, DecodeError> {
    let used: u32 =
        (1..=MAX_CODEWORD_LEN).map(|len| u32::from(counts[len]) << (MAX_CODEWORD_LEN - len)).sum();
    match used {
        0 => Ok(false),
        full if full == 1 << MAX_CODEWORD_LEN => Ok(true),
        _ => Err(DecodeError::BadCode),
    }
}

/// Assigns the codewords: `codewords[symbol]` gets its value in the low `lengths[symbol]` bits, 0 without a length.
///
/// The lengths must form a valid code (see [`is_complete`]) or part of one; the slices are equally long.
pub fn assign(lengths: &[u8], codewords: &mut [u16]) {
    debug_assert_eq!(lengths.len(), codewords.len(), "one codeword per length");
    let counts = count_lengths(lengths);
    let mut next = [0u32; MAX_CODEWORD_LEN + 1];
    for len in 2..=MAX_CODEWORD_LEN {
        next[len] = (next[len - 1] + u32::from(counts[len - 1])) << 1;
    }
    for (&len, codeword) in lengths.iter().zip(codewords) {
        *codeword = 0;
        if len != 0 {
            let next = &mut next[usize::from(len).min(MAX_CODEWORD_LEN)];
            #[expect(clippy::cast_possible_truncation, reason = "a valid code has no codeword above 16 bits")]
            let value = *next as u16;
            *codeword = value;
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codewords_count_upwards_by_length_and_symbol() {
        let lengths = [3, 3, 3, 3, 3, 2, 4, 4];
        let mut codewords = [0; 8];
        assign(&lengths, &mut codewords);
        assert_eq!(codewords, [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]);
        assert_eq!(is_complete(&count_lengths(&lengths)), Ok(true));
    }

    #[test]
    fn incomplete_and_over_subscribed_codes_are_told() {
        assert_eq!(is_complete(&count_lengths(&[0, 0, 0])), Ok(false));
        assert_eq!(is_complete(&count_lengths(&[1])), Err(DecodeError::BadCode));
        assert_eq!(is_complete(&count_lengths(&[1, 1])), Ok(true));
        assert_eq!(is_complete(&count_lengths(&[1, 1, 16])), Err(DecodeError::BadCode));
        assert_eq!(is_complete(&count_lengths(&[1; 2576])), Err(DecodeError::BadCode));
    }
}
