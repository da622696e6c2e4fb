//! XPRESS with Huffman coding ([MS-XCA] 2.1–2.2), as WIM stores it: one chunk of at most 64 KiB, one code.

pub mod format;

pub use format::MAX_CHUNK_BYTES;
pub use lz_kit::DecodeError;

mod interim;
pub use interim::{Decoder, Encoder};
