//! Canonical Huffman codes: lengths from frequencies, codewords from lengths, tables from codewords.

mod build_lengths;
mod entropy;

pub use build_lengths::{LengthBuilder, MAX_SYMBOLS, assign_codewords};
pub use entropy::{BIT, entropy_cost, log2_cost};
