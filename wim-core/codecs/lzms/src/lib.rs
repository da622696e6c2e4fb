//! LZMS as WIM stores it: chunks of up to 1 GiB compressed alone, x86 translation always on.
//!
//! Solid resources (the ESD files of Windows Update) use it with chunks of 64 MiB.

mod adaptive_huffman;
mod cost;
mod decode;
mod delta_matches;
mod encode;
mod fast_loop;
pub mod format;
mod models;
mod offset_slots;
mod parse;
mod range_coder;
mod recent_sources;
#[cfg(any(test, feature = "reference"))]
pub mod reference;
mod trees;
mod x86;

pub use decode::Decoder;
pub use encode::Encoder;
pub use format::MAX_CHUNK_BYTES;
pub use lz_kit::{DecodeError, Level, Stopped};
