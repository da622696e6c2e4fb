//! LZX as WIM stores it: chunks compressed alone, windows of 32 KiB to 2 MiB, E8 translation always on.

pub mod e8;
pub mod format;

pub use format::WindowOrder;
pub use lz_kit::DecodeError;

mod interim;
pub use interim::{Decoder, Encoder};
