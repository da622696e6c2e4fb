//! Bit streams of 16-bit little-endian units, bits taken from each unit most significant first.

mod forward16;
mod forward16_writer;

pub use forward16::{Forward16Reader, top_up};
pub use forward16_writer::{Forward16Writer, Interleaved16Writer};
