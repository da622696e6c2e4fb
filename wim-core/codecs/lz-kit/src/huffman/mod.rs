//! Canonical Huffman codes: lengths from frequencies, codewords from lengths, tables from codewords.

mod build_lengths;

pub use build_lengths::{LengthBuilder, MAX_SYMBOLS};
