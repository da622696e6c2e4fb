//! Bit streams of 16-bit little-endian units, bits taken from each unit most significant first.

mod backward16;
mod fast_bits;
mod forward16;
mod forward16_writer;

pub use backward16::{Backward16Reader, Backward16Writer};
pub use fast_bits::FastBits;
pub use forward16::Forward16Reader;
pub use forward16_writer::{Forward16Writer, Interleaved16Writer};
