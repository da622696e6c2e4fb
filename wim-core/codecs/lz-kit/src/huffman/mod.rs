//! Canonical Huffman codes: codewords from lengths, and tables that decode them.

pub mod codewords;
mod decode_table;

pub use decode_table::{
    CodeKind, DecodeTable, ENTRY_BITS_MASK, ENTRY_SUBTABLE, SUBTABLE_START_SHIFT, table_entries,
};
