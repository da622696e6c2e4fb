//! LZX as WIM stores it: chunks compressed alone, windows of 32 KiB to 2 MiB, E8 translation always on.

mod block_header;
mod decode;
pub mod e8;
mod fast_loop;
pub mod format;
#[cfg(any(test, feature = "reference"))]
pub mod reference;

pub use decode::Decoder;
pub use format::WindowOrder;
pub use lz_kit::DecodeError;

