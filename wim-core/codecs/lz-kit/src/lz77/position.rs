//! Chunk positions in the width a match finder's tables need.
//!
//! Chunks of at most 64 KiB use 16-bit entries, which halves the tables and keeps them in the second-level cache;
//! longer ones use 32 bits. An entry is a position plus one, zero is "none"; nothing here knows what is stored there.

/// A table entry: "none", or a position in the chunk.
pub trait Position: Copy + Default + PartialEq + std::fmt::Debug {
    /// No position.
    const NONE: Self;
    /// Longest chunk whose positions fit, in bytes.
    const MAX_CHUNK: usize;

    /// The entry for a position below [`MAX_CHUNK`](Self::MAX_CHUNK); the last one is never needed, as no match starts there.
    fn at(position: usize) -> Self;

    /// The position plus one, or 0 for none.
    fn plus_one(self) -> usize;
}

impl Position for u16 {
    const NONE: Self = 0;
    const MAX_CHUNK: usize = 1 << 16;

    #[inline(always)]
    fn at(position: usize) -> Self {
        (position + 1) as Self
    }

    #[inline(always)]
    fn plus_one(self) -> usize {
        usize::from(self)
    }
}

impl Position for u32 {
    const NONE: Self = 0;
    const MAX_CHUNK: usize = 1 << 30;

    #[inline(always)]
    fn at(position: usize) -> Self {
        (position + 1) as Self
    }

    #[inline(always)]
    fn plus_one(self) -> usize {
        self as usize
    }
}
