//! What the LZ codecs of the Windows imaging world share.
//!
//! Bit streams, Huffman codes, match finders and parsers, plus the two small types every codec speaks in:
//! [`DecodeError`] and [`Level`]. The formats themselves live in the packages `xpress` and `lzx`; nothing here
//! knows about WIM files, threads or I/O.

pub mod bitstream;
mod error;
pub mod huffman;
mod level;
pub mod lz77;
pub mod parse;

pub use error::{DecodeError, Stopped};
pub use level::Level;
