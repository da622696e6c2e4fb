//! Constants of the XPRESS-Huffman format, as [MS-XCA] 2.1 and 2.2 give them ("LZ77+Huffman").
//!
//! A WIM chunk is at most 64 KiB, so it holds exactly one Huffman code. The other XPRESS (plain LZ77, without
//! a Huffman code) and the multi-block form of `RtlCompressBuffer` are not described here.

/// Most bytes one chunk may hold uncompressed.
pub const MAX_CHUNK_BYTES: usize = 65536;

/// Symbols of the one Huffman code: 256 literals, then 16 × 16 matches.
pub const NUM_SYMBOLS: usize = 512;

/// Symbols below this one are literal bytes.
pub const NUM_LITERALS: usize = 256;

/// Longest codeword, in bits: lengths are stored in nibbles.
pub const MAX_CODEWORD_LEN: u32 = 15;

/// Bytes of the codeword lengths in front of the bitstream: two symbols a byte, low nibble first.
pub const LENGTHS_BYTES: usize = NUM_SYMBOLS / 2;

/// Symbol that an encoder writes after the last item; read as a match it would be offset 1, length 3.
///
/// WIMGAPI refuses a chunk without it ("observed by wimlib"); a decoder that knows the output size never reads it.
pub const END_OF_DATA: usize = 256;

/// Shortest match, in bytes.
pub const MIN_MATCH_LEN: usize = 3;

/// Longest match, in bytes: the 16-bit length escape holds the length less three.
pub const MAX_MATCH_LEN: usize = MIN_MATCH_LEN + 0xffff;

/// Largest match offset: 15 extra bits on top of 2^15.
pub const MAX_OFFSET: usize = 65535;

/// Value of the symbol's length field that announces a length byte.
pub const LENGTH_IN_BYTE: usize = 15;

/// Value of the length byte that announces a 16-bit length, which replaces (not extends) the byte.
pub const LENGTH_IN_U16: usize = 255;

/// First (length − 3) that needs the 16-bit form.
pub const FIRST_U16_LENGTH: usize = LENGTH_IN_BYTE + LENGTH_IN_U16;

/// The symbol of a match.
///
/// `length_field` is min(length − 3, 15), `offset_log2` is floor(log2(offset)), which is also the number of
/// extra offset bits that follow.
#[must_use]
pub const fn match_symbol(length_field: usize, offset_log2: usize) -> usize {
    NUM_LITERALS + (offset_log2 << 4) + length_field
}

const _: () = assert!(match_symbol(15, 15) == NUM_SYMBOLS - 1);
const _: () = assert!(match_symbol(0, 0) == END_OF_DATA);
const _: () = assert!(MAX_CHUNK_BYTES - 1 == MAX_OFFSET);
