//! Integers that must not be swapped, or whose range must hold for ever after.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

/// 1-based image number, as people and the XML data write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageIndex(NonZeroU32);

impl ImageIndex {
    /// The image with this 1-based number; none for 0.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The image at a 0-based position of a list.
    ///
    /// # Panics
    /// Never for positions below `u32::MAX`, which the format's 16-bit image count guarantees.
    #[must_use]
    pub fn from_position(position: usize) -> Self {
        let number = u32::try_from(position).ok().and_then(|p| p.checked_add(1)).and_then(NonZeroU32::new);
        Self(number.expect("a WIM has at most 65,535 images"))
    }

    /// The 1-based number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.get()
    }

    /// The 0-based position in a list of images.
    #[must_use]
    pub fn position(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl fmt::Display for ImageIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Uncompressed chunk size: a power of two from 4 KiB to 1 GiB, kept as its exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkSize {
    log2: u8,
}

impl ChunkSize {
    /// 32 KiB, the size of all classic Windows media.
    pub const DEFAULT: Self = Self { log2: 15 };

    /// A power of two from 4 KiB to 1 GiB; the only way in, so a value that exists is valid.
    #[must_use]
    pub fn from_bytes(bytes: u32) -> Option<Self> {
        let log2 = u8::try_from(bytes.trailing_zeros()).ok()?;
        (bytes.is_power_of_two() && (12..=30).contains(&log2)).then_some(Self { log2 })
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        1 << self.log2
    }

    /// The exponent.
    #[must_use]
    pub fn log2(self) -> u8 {
        self.log2
    }

    /// Chunks that `size` bytes are cut into.
    #[must_use]
    pub fn chunks_in(self, size: u64) -> u64 {
        size.div_ceil(1 << self.log2)
    }
}

/// 1-based number of one file of a split set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(NonZeroU16);

impl PartNumber {
    /// The first or only part.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// The part with this 1-based number; none for 0.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        NonZeroU16::new(number).map(Self)
    }

    /// The 1-based number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0.get()
    }
}

/// Index of a security descriptor in an image's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_powers_of_two_in_range() {
        assert_eq!(ChunkSize::from_bytes(32768), Some(ChunkSize::DEFAULT));
        for bad in [0, 1, 2048, 32767, 1 << 31, u32::MAX] {
            assert_eq!(ChunkSize::from_bytes(bad), None, "{bad}");
        }
        assert_eq!(ChunkSize::DEFAULT.chunks_in(0), 0);
        assert_eq!(ChunkSize::DEFAULT.chunks_in(32769), 2);
        assert_eq!(ChunkSize::DEFAULT.chunks_in(u64::MAX), 1 << 49);
    }

    #[test]
    fn image_numbers_start_at_one() {
        assert_eq!(ImageIndex::new(0), None);
        assert_eq!(ImageIndex::from_position(0).number(), 1);
        assert_eq!(ImageIndex::new(5).unwrap().position(), 4);
    }
}
