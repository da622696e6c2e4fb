//! How the text of an INF is encoded, and its decoding.
//!
//! The order of detection is that of drivers.md 1.1: byte order marks, UTF-16 without a mark by its zero bytes, valid UTF-8,
//! else an ANSI code page. Nothing is re-encoded here: the file that goes into an image is the file that came.

use encoding_rs::Encoding as Table;

use crate::base::code_page;

/// How an INF's text is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-16, little-endian, with or without a byte order mark.
    Utf16Le,
    /// UTF-16, big-endian, with a byte order mark.
    Utf16Be,
    /// UTF-8 or plain ASCII.
    Utf8,
    /// An ANSI code page, by its Windows number.
    Ansi(u16),
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Utf16Le => f.write_str("UTF-16LE"),
            Self::Utf16Be => f.write_str("UTF-16BE"),
            Self::Utf8 => f.write_str("UTF-8"),
            Self::Ansi(page) => write!(f, "code page {page}"),
        }
    }
}

/// The Windows code page that text without any mark is taken for when it is not UTF-8.
pub const DEFAULT_CODE_PAGE: u16 = code_page::WESTERN;

/// True when `page` is a code page that can be decoded.
#[must_use]
pub fn knows_code_page(page: u16) -> bool {
    table(page).is_some()
}

fn table(page: u16) -> Option<&'static Table> {
    // An INF in UTF-8 is told by its bytes, not by a number.
    code_page::encoding(page).filter(|&table| table != encoding_rs::UTF_8)
}

/// Decodes `bytes`; `code_page` is used for 8-bit text that is not UTF-8 (an unknown one counts as 1252).
///
/// Malformed sequences become U+FFFD; NUL characters and a closing Ctrl-Z are dropped.
#[must_use]
pub fn decode(bytes: &[u8], code_page: u16) -> (String, Encoding) {
    let (mut text, encoding) = if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        (utf16(rest, u16::from_le_bytes), Encoding::Utf16Le)
    } else if let Some(rest) = bytes.strip_prefix(&[0xFE, 0xFF]) {
        (utf16(rest, u16::from_be_bytes), Encoding::Utf16Be)
    } else if let Some(rest) = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]) {
        (String::from_utf8_lossy(rest).into_owned(), Encoding::Utf8)
    } else if looks_like_utf16(bytes) {
        (utf16(bytes, u16::from_le_bytes), Encoding::Utf16Le)
    } else if let Ok(text) = std::str::from_utf8(bytes) {
        (text.to_owned(), Encoding::Utf8)
    } else {
        let (page, table) = match table(code_page) {
            Some(table) => (code_page, table),
            None => (DEFAULT_CODE_PAGE, encoding_rs::WINDOWS_1252),
        };
        (table.decode_without_bom_handling(bytes).0.into_owned(), Encoding::Ansi(page))
    };
    if text.contains('\0') {
        text.retain(|c| c != '\0');
    }
    let end = text.trim_end_matches(['\u{1A}', ' ', '\t', '\r', '\n']).len();
    if text.get(end..).is_some_and(|tail| tail.contains('\u{1A}')) {
        text.truncate(end);
    }
    (text, encoding)
}

/// Text without a mark is UTF-16LE when over 30 % of the bytes at odd offsets are zero (ASCII text has them all zero).
fn looks_like_utf16(bytes: &[u8]) -> bool {
    let (pairs, _) = bytes.as_chunks::<2>();
    let zeros = pairs.iter().filter(|[_, high]| *high == 0).count();
    zeros * 10 > pairs.len() * 3
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    char::decode_utf16(pairs.iter().map(|&pair| unit(pair)))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_told_apart() {
        let text = "[Version]\r\n";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let with = |mark: &[u8], body: &[u8]| [mark, body].concat();
        for (bytes, encoding) in [
            (with(&[0xFF, 0xFE], &le), Encoding::Utf16Le),
            (le.clone(), Encoding::Utf16Le),
            (with(&[0xFE, 0xFF], &be), Encoding::Utf16Be),
            (with(&[0xEF, 0xBB, 0xBF], text.as_bytes()), Encoding::Utf8),
            (text.as_bytes().to_vec(), Encoding::Utf8),
        ] {
            assert_eq!(decode(&bytes, 1252), (text.to_owned(), encoding));
        }
        assert_eq!(decode(b"x = \"\xA9\"", 1252), ("x = \"©\"".into(), Encoding::Ansi(1252)));
        assert_eq!(decode(b"\xC4\xE8\xF1\xEA", 1251), ("Диск".into(), Encoding::Ansi(1251)));
        assert_eq!(decode(b"\xC4\xE8\xF1\xEA", 7).1, Encoding::Ansi(1252));
    }

    #[test]
    fn ctrl_z_and_nuls_are_dropped() {
        assert_eq!(decode(b"[A]\r\nb=c\r\n\x1A", 1252).0, "[A]\r\nb=c");
        assert_eq!(decode(b"[A]\r\nb\0=c\r\n", 1252).0, "[A]\r\nb=c\r\n");
    }
}
