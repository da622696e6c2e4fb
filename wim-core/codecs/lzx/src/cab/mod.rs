//! The LZX of cabinets: one stream per folder, cut into frames of 32 KiB that share window and codes.
//!
//! Described in [MS-PATCH] 2 and, for the cabinet around it, in [MS-CAB]. It reads and writes frames, not cabinets.

mod decode;
mod encode;
mod recode;

pub use decode::{Decoder, HISTORY_WINDOWS};
pub use encode::Encoder;

/// Most bytes a frame decodes to; all frames of a folder but the last have as many.
pub const FRAME_BYTES: usize = 32768;

/// Frames in which E8 is translated: the first GiB of a folder.
pub(crate) const E8_FRAMES: u64 = 32768;

/// Base-2 logarithm of a window in cabinets (15 to 21) or deltas (up to 25).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CabWindow(u8);

impl CabWindow {
    /// The window of 2^`log2` bytes, if the format has it; a folder's type holds `log2` in bits 8 to 12.
    #[must_use]
    pub const fn new(log2: u8) -> Option<Self> {
        if log2 >= 15 && log2 <= 25 { Some(Self(log2)) } else { None }
    }

    /// Window size in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }
}
