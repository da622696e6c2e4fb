//! The XPRESS decoder: set-up, and the careful loop that could do the whole work alone.
//!
//! The format is described in [MS-XCA] 2.1 and 2.2. The end-of-data symbol is not looked for: the caller knows the
//! uncompressed size, and input left over is no error (wimlib and 7-Zip do the same).

use lz_kit::DecodeError;
use lz_kit::bitstream::Forward16Reader;
use lz_kit::huffman::{CodeKind, DecodeTable, ENTRY_BITS_MASK};
use lz_kit::lz77::copy_match::copy_match;

use crate::fast_loop;
use crate::format::{
    LENGTH_IN_BYTE, LENGTH_IN_U16, LENGTHS_BYTES, MAX_CHUNK_BYTES, MAX_CODEWORD_LEN, MIN_MATCH_LEN,
    NUM_LITERALS, NUM_SYMBOLS,
};

/// Bits that the first level of the decode table takes.
///
/// 2^11 entries are 8 KiB, a quarter of a first-level cache, and few codewords in use are longer.
pub(crate) const ROOT_BITS: u32 = 11;
/// The table of the one code.
pub(crate) type Table = DecodeTable<ROOT_BITS, { 1 << ROOT_BITS }>;

/// Flag of a match entry whose length does not fit a vector, or is not all in the symbol.
pub(crate) const ENTRY_LONG: u32 = 1 << 31;
/// Where an entry holds the number of extra offset bits; a literal has none.
pub(crate) const ENTRY_EXTRA_SHIFT: u32 = 8;
/// Where a literal entry holds the byte.
pub(crate) const ENTRY_BYTE_SHIFT: u32 = 16;
/// Where an entry holds how many bytes it writes, 1 for a literal; nothing else is above in an entry that is not long.
pub(crate) const ENTRY_LENGTH_SHIFT: u32 = 24;
/// Length in a match entry whose symbol says "15 or more"; length bytes follow.
pub(crate) const LONG_LENGTH: u32 = (MIN_MATCH_LEN + LENGTH_IN_BYTE) as u32;
/// Longest match that one vector copies.
pub(crate) const VECTOR_LENGTH: u32 = 16;

/// What each symbol means, ready for the table: the codeword length is added when the table is built.
///
/// A match entry counts its extra offset bits as consumed together with the codeword.
const SYMBOL_ENTRIES: [u32; NUM_SYMBOLS] = {
    let mut entries = [0; NUM_SYMBOLS];
    let mut symbol = 0;
    while symbol < NUM_SYMBOLS {
        let value = symbol as u32;
        entries[symbol] = if symbol < NUM_LITERALS {
            value << ENTRY_BYTE_SHIFT | 1 << ENTRY_LENGTH_SHIFT
        } else {
            let (len, extra_bits) = ((value & 15) + MIN_MATCH_LEN as u32, (value >> 4) & 15);
            let long = if len > VECTOR_LENGTH { ENTRY_LONG } else { 0 };
            long | len << ENTRY_LENGTH_SHIFT | extra_bits << ENTRY_EXTRA_SHIFT | extra_bits
        };
        symbol += 1;
    }
    entries
};

/// Whether an entry (no pointer to a subtable) is a literal: no match is one byte long.
#[inline(always)]
pub(crate) const fn is_literal(entry: u32) -> bool {
    entry >> ENTRY_LENGTH_SHIFT == 1
}

/// A decoder of XPRESS chunks; it holds only scratch, so that decoding a chunk allocates nothing.
#[derive(Clone, Debug)]
pub struct Decoder {
    table: Table,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Memory of one decoder in bytes, whatever the chunk size.
    pub const SCRATCH_BYTES: usize = Table::scratch_bytes(NUM_SYMBOLS, MAX_CODEWORD_LEN);

    /// A decoder, about 30 KiB of scratch.
    #[must_use]
    pub fn new() -> Self {
        Self { table: Table::new(NUM_SYMBOLS, MAX_CODEWORD_LEN) }
    }

    /// Decodes one chunk; `out.len()` is its exact uncompressed size in bytes.
    ///
    /// On success all of `out` is written. Bytes left over in `compressed` are ignored.
    ///
    /// # Errors
    /// [`DecodeError`] if `compressed` is no such chunk; what `out` then holds is unspecified.
    pub fn decode(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        let mut reader = self.start(compressed, out)?;
        // The first item must be a literal; with it done, the fast loop has something before every item.
        let first = out.len().min(1);
        decode_items(&self.table, &mut reader, &mut out[..first], 0)?;
        let position = fast_loop::decode_items(&self.table, &mut reader, out, first)?;
        decode_items(&self.table, &mut reader, out, position)
    }

    /// As [`Self::decode`], by the careful loop alone: for comparing the two.
    ///
    /// # Errors
    /// The same as [`Self::decode`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_carefully(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        let mut reader = self.start(compressed, out)?;
        decode_items(&self.table, &mut reader, out, 0)
    }

    /// As [`Self::decode`], by the fast loop for any processor: for comparing it.
    ///
    /// # Errors
    /// The same as [`Self::decode`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_portably(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        let mut reader = self.start(compressed, out)?;
        let first = out.len().min(1);
        decode_items(&self.table, &mut reader, &mut out[..first], 0)?;
        let position = fast_loop::decode_items_portably(&self.table, &mut reader, out, first)?;
        decode_items(&self.table, &mut reader, out, position)
    }

    /// Builds the table and finds the bit stream.
    fn start<'a>(&mut self, compressed: &'a [u8], out: &[u8]) -> Result<Forward16Reader<'a>, DecodeError> {
        if out.len() > MAX_CHUNK_BYTES {
            return Err(DecodeError::OutputTooLong);
        }
        let (packed, stream) =
            compressed.split_first_chunk::<LENGTHS_BYTES>().ok_or(DecodeError::Truncated)?;
        let mut lengths = [0; NUM_SYMBOLS];
        for (pair, &byte) in lengths.as_chunks_mut::<2>().0.iter_mut().zip(packed) {
            *pair = [byte & 15, byte >> 4];
        }
        let kind = self.table.build(&lengths, &SYMBOL_ENTRIES)?;
        if kind == CodeKind::Empty && !out.is_empty() {
            return Err(DecodeError::EmptyCode);
        }
        Ok(Forward16Reader::new(stream))
    }
}

/// Decodes from `position` to the end of `out`, checking every step.
fn decode_items(
    table: &Table,
    reader: &mut Forward16Reader<'_>,
    out: &mut [u8],
    mut position: usize,
) -> Result<(), DecodeError> {
    while position < out.len() {
        reader.refill();
        let entry = table.look_up(reader.peek())?;
        let bits = entry & ENTRY_BITS_MASK;
        if is_literal(entry) {
            reader.consume(bits)?;
            out[position] = (entry >> ENTRY_BYTE_SHIFT) as u8;
            position += 1;
            continue;
        }
        let extra_bits = (entry >> ENTRY_EXTRA_SHIFT) & 15;
        reader.consume(bits - extra_bits)?;
        let mut len = (entry >> ENTRY_LENGTH_SHIFT) & 31;
        if len == LONG_LENGTH {
            len = read_long_length(reader)?;
        }
        let offset = (1 << extra_bits) + reader.take(extra_bits)? as usize;
        let len = len as usize;
        if offset > position {
            return Err(DecodeError::BadOffset);
        }
        if len > out.len() - position {
            return Err(DecodeError::BadLength);
        }
        copy_match(out, position, offset, len);
        position += len;
    }
    Ok(())
}

/// Reads the length bytes that follow a symbol with length field 15; returns the match length.
///
/// They stand at the position of a reader that holds 16 to 31 bits, before the offset's extra bits are taken.
#[cold]
pub(crate) fn read_long_length(reader: &mut Forward16Reader<'_>) -> Result<u32, DecodeError> {
    reader.give_back_units();
    let byte = usize::from(reader.raw_u8()?);
    let field = if byte < LENGTH_IN_U16 {
        LENGTH_IN_BYTE + byte
    } else {
        let field = usize::from(u16::from_le_bytes(reader.raw_array()?));
        // [MS-XCA] 2.2.4 calls this invalid. 0 would announce 32 bits there, for a match longer than any chunk.
        if field < LENGTH_IN_BYTE {
            return Err(DecodeError::BadLength);
        }
        field
    };
    Ok((field + MIN_MATCH_LEN) as u32)
}
