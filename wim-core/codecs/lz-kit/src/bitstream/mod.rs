//! Bit streams made of 16-bit little-endian units.

mod forward16_writer;

pub use forward16_writer::{Forward16Writer, Interleaved16Writer};
