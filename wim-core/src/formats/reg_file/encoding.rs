//! Text encodings of registry text files: UTF-16 and UTF-8 by their marks, ANSI code pages by number.
//!
//! Code pages are decoded by `encoding_rs`. DOS code pages have no part in .reg files and are refused.

use encoding_rs::Encoding;

use crate::base::{Error, Result, code_page as pages};

/// The encoding of an ANSI code page.
///
/// # Errors
/// `Unsupported` for numbers that are no ANSI code page of Windows.
pub(super) fn code_page(number: u16) -> Result<&'static Encoding> {
    pages::encoding(number).ok_or_else(|| {
        Error::unsupported(format!("code page {number}"))
            .remedy(format!("name an ANSI code page: {}", pages::KNOWN))
    })
}

/// The text of a file: by its byte order mark, else by what it looks like, else in the code page.
pub(super) fn decode(bytes: &[u8], ansi: &'static Encoding) -> String {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks().0.iter().map(|&pair| read(pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        // The header is ASCII, so a NUL in its second byte can only be half of a UTF-16 unit.
        [_, 0, ..] => utf16(bytes, u16::from_le_bytes),
        _ => {
            let is_version_5 = bytes.trim_ascii_start().starts_with(b"Windows");
            match std::str::from_utf8(bytes) {
                Ok(text) if is_version_5 => text.to_owned(),
                _ => ansi.decode_without_bom_handling(bytes).0.into_owned(),
            }
        }
    }
}

/// ANSI bytes as the UTF-16LE bytes that a hive holds.
pub(super) fn ansi_to_utf16(bytes: &[u8], ansi: &'static Encoding) -> Vec<u8> {
    let text = ansi.decode_without_bom_handling(bytes).0;
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Text in ANSI bytes; none when the code page lacks a character.
pub(super) fn to_ansi(text: &str, ansi: &'static Encoding) -> Option<Vec<u8>> {
    let (bytes, _, has_unmappable) = ansi.encode(text);
    (!has_unmappable).then(|| bytes.into_owned())
}
