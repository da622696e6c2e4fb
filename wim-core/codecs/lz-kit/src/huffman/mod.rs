//! Canonical Huffman codes: lengths from frequencies, codewords from lengths, tables that decode them.

mod build_lengths;
pub mod codewords;
mod decode_table;
mod entropy;

pub use build_lengths::{LengthBuilder, MAX_SYMBOLS};
pub use decode_table::{
    CodeKind, DecodeTable, ENTRY_BITS_MASK, ENTRY_SUBTABLE, SUBTABLE_START_SHIFT, table_entries,
};
pub use entropy::{BIT, entropy_cost, log2_cost};
