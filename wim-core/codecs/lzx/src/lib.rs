//! LZX as WIM stores it: chunks compressed alone, windows of 32 KiB to 2 MiB, E8 translation always on.

mod cost;
pub mod e8;
mod encode;
pub mod format;
mod items;
mod near_optimal;
mod split;
mod tune_lengths;
mod write_block;

pub use encode::Encoder;
pub use format::WindowOrder;
pub use lz_kit::{DecodeError, Level};
