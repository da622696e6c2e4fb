//! Bytes as hexadecimal digits and back.
//!
//! Digests, GUIDs, registry data and listings are written this way: two digits a byte, lower case, nothing between. Numbers
//! with a `0x` before them are not read here.

use std::fmt;

/// Bytes that show themselves as lower-case hexadecimal digits, two a byte.
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Lower-case hexadecimal digits, two a byte.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// The bytes of hexadecimal digits in either case; none for an odd number of digits or anything else between them.
#[must_use]
pub fn decode(digits: &str) -> Option<Vec<u8>> {
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    pairs.iter().map(byte).collect()
}

/// As [`decode`], for exactly `N` bytes.
#[must_use]
pub fn decode_array<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !odd.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (to, pair) in bytes.iter_mut().zip(pairs) {
        *to = byte(pair)?;
    }
    Some(bytes)
}

fn byte(&[high, low]: &[u8; 2]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_two_digits_each_and_come_back_in_either_case() {
        assert_eq!(encode(&[0x00, 0x0F, 0xA5]), "000fa5");
        assert_eq!(decode("000fA5"), Some(vec![0x00, 0x0F, 0xA5]));
        assert_eq!(decode(""), Some(vec![]));
        assert_eq!(decode_array("ff00"), Some([0xFF, 0x00]));
    }

    #[test]
    fn signs_spaces_odd_and_wrong_numbers_of_digits_are_refused() {
        for text in ["0", "+1", "0x", "1 ", "ä", "000"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode_array::<2>("ff"), None);
        assert_eq!(decode_array::<2>("ff0011"), None);
        assert_eq!(decode_array::<1>("ff0"), None);
    }
}
