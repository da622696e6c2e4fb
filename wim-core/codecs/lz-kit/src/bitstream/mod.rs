//! Bit streams of 16-bit little-endian units, bits taken from each unit most significant first.

mod forward16;

pub use forward16::{Forward16Reader, top_up};
