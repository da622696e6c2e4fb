//! XPRESS with Huffman coding ([MS-XCA] 2.1–2.2), as WIM stores it: one chunk of at most 64 KiB, one code.

mod cost;
mod decode;
mod encode;
mod fast_loop;
pub mod format;
#[cfg(any(test, feature = "reference"))]
pub mod reference;

pub use decode::Decoder;
pub use encode::Encoder;
pub use format::MAX_CHUNK_BYTES;
pub use lz_kit::{DecodeError, Level};
