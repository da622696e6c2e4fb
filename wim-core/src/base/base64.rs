//! Base64 (RFC 4648, 4): bytes as text, as digests in XML and certificates in text files have them.
//!
//! Only decoding, with the padding that there must be; other alphabets are not known.

/// Decodes base64 with its padding; none for other text. Blanks are skipped, as XML schema and certificates in text have them.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count, mut padding) = (0_u32, 0, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace()) {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.extend(u8::try_from(bits >> count & 0xFF));
        }
    }
    // What is left over is padding: 0, 2 or 4 bits, and as many signs as complete a group of four.
    let expected = match bytes.len() % 3 {
        0 => 0,
        1 => 2,
        _ => 1,
    };
    (count < 6 && padding == expected).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_strict_about_padding() {
        assert_eq!(decode("YWJj").unwrap(), b"abc");
        assert_eq!(decode(" YW\nI=").unwrap(), b"ab");
        assert_eq!(decode("YQ==").unwrap(), b"a");
        for bad in ["YQ", "YQ=", "Y", "YWJj=", "=", "YQ==YQ==", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
