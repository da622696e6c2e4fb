//! LZX as WIM stores it: chunks compressed alone, windows of 32 KiB to 2 MiB, E8 translation always on.
//!
//! Module [`cab`] has the LZX of cabinets, both ways, on the same core.

mod block_header;
pub mod cab;
mod cost;
mod decode;
pub mod e8;
mod encode;
mod fast_loop;
pub mod format;
mod items;
mod near_optimal;
#[cfg(any(test, feature = "reference"))]
pub mod reference;
mod split;
mod tune_lengths;
mod write_block;

pub use decode::Decoder;
pub use encode::Encoder;
pub use format::WindowOrder;
pub use lz_kit::{DecodeError, Level};
