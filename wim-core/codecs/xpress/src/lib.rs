//! XPRESS with Huffman coding ([MS-XCA] 2.1–2.2), as WIM stores it: one chunk of at most 64 KiB, one code.

mod cost;
mod encode;
pub mod format;

pub use encode::Encoder;
pub use format::MAX_CHUNK_BYTES;
pub use lz_kit::{DecodeError, Level};
