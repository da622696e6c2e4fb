//! The ANSI code pages of Windows by their numbers.
//!
//! Texts of INF, .reg and cabinet files are in the code page of the machine that wrote them. The tables are `encoding_rs`';
//! DOS code pages have no part in these formats and are not here.

use encoding_rs::Encoding;

/// The code page of Western Windows, which text without any mark is taken for.
pub const WESTERN: u16 = 1252;

/// What error messages list as known code pages.
pub const KNOWN: &str = "874, 932, 936, 949, 950, 1250 to 1258 or 65001";

/// The encoding of a code page; none for numbers that are not in [`KNOWN`].
#[must_use]
pub fn encoding(number: u16) -> Option<&'static Encoding> {
    Some(match number {
        874 => encoding_rs::WINDOWS_874,
        932 => encoding_rs::SHIFT_JIS,
        936 => encoding_rs::GBK,
        949 => encoding_rs::EUC_KR,
        950 => encoding_rs::BIG5,
        1250 => encoding_rs::WINDOWS_1250,
        1251 => encoding_rs::WINDOWS_1251,
        1252 => encoding_rs::WINDOWS_1252,
        1253 => encoding_rs::WINDOWS_1253,
        1254 => encoding_rs::WINDOWS_1254,
        1255 => encoding_rs::WINDOWS_1255,
        1256 => encoding_rs::WINDOWS_1256,
        1257 => encoding_rs::WINDOWS_1257,
        1258 => encoding_rs::WINDOWS_1258,
        65001 => encoding_rs::UTF_8,
        _ => return None,
    })
}
