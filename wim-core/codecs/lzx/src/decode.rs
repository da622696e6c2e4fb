//! The LZX decoder of WIM chunks, and the careful item loop that it shares with the CAB flavour.
//!
//! The format is described in [MS-PATCH] (LZX as CAB has it) and known from wimlib for WIM: chunks on their own, sizes
//! of blocks in 16 bits for 32 KiB windows, E8 translation always on. Input left over is no error.

use std::ops::Range;

use lz_kit::DecodeError;
use lz_kit::bitstream::Forward16Reader;
use lz_kit::huffman::ENTRY_BITS_MASK;
use lz_kit::lz77::copy_match::copy_match;

use crate::block_header::{
    BlockKind, CLASS_EXPLICIT, Codes, MAIN_ALIGNED, MAIN_BYTE_SHIFT, MAIN_CLASS_SHIFT, MAIN_EXTRA_SHIFT,
    MAIN_LENGTH_SHIFT, MAIN_LONG, SYMBOL_SHIFT, SizeField, read_block_start, read_uncompressed_start,
};
use crate::format::{FIRST_RECENT_OFFSET, NUM_RECENT_OFFSETS, WindowOrder};
use crate::{e8, fast_loop};

/// The three recent offsets; one that is used changes places with the first.
pub(crate) type RecentOffsets = [u32; NUM_RECENT_OFFSETS];

/// A decoder of WIM chunks; it holds only scratch, so that decoding a chunk allocates nothing.
#[derive(Clone, Debug)]
pub struct Decoder {
    window: WindowOrder,
    codes: Codes,
}

/// Which item loops to run.
#[derive(Clone, Copy)]
pub(crate) enum Loops {
    FastThenCareful,
    #[cfg(feature = "reference")]
    PortableThenCareful,
    #[cfg(feature = "reference")]
    Careful,
}

impl Loops {
    /// Decodes the items of `block`, which does not start at 0.
    #[inline(always)]
    pub(crate) fn decode_items(
        self,
        codes: &Codes,
        reader: &mut Forward16Reader<'_>,
        recent: &mut RecentOffsets,
        out: &mut [u8],
        block: Range<usize>,
    ) -> Result<(), DecodeError> {
        let Range { start, end } = block;
        let position = match self {
            Self::FastThenCareful => fast_loop::decode_items(codes, reader, recent, out, start..end)?,
            #[cfg(feature = "reference")]
            Self::PortableThenCareful => {
                fast_loop::decode_items_portably(codes, reader, recent, out, start..end)?
            }
            #[cfg(feature = "reference")]
            Self::Careful => start,
        };
        decode_items(codes, reader, recent, &mut out[..end], position)
    }
}

impl Decoder {
    /// A decoder for chunks of this nominal size, below 100 KiB of scratch for 32 KiB chunks.
    #[must_use]
    pub fn new(window: WindowOrder) -> Self {
        Self { window, codes: Codes::new(window.num_main_symbols()) }
    }

    /// Memory of one decoder in bytes.
    #[must_use]
    pub const fn scratch_bytes(window: WindowOrder) -> usize {
        Codes::scratch_bytes(window.num_main_symbols())
    }

    /// Decodes one chunk; `out.len()` is its exact uncompressed size in bytes.
    ///
    /// On success all of `out` is written. Bytes left over in `compressed` are ignored.
    ///
    /// # Errors
    /// [`DecodeError`] if `compressed` is no such chunk; what `out` then holds is unspecified.
    pub fn decode(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        self.decode_blocks(compressed, out, Loops::FastThenCareful)
    }

    /// As [`Self::decode`], by the careful loop alone: for comparing the two.
    ///
    /// # Errors
    /// The same as [`Self::decode`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_carefully(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        self.decode_blocks(compressed, out, Loops::Careful)
    }

    /// As [`Self::decode`], by the fast loop for any processor: for comparing it.
    ///
    /// # Errors
    /// The same as [`Self::decode`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_portably(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        self.decode_blocks(compressed, out, Loops::PortableThenCareful)
    }

    fn decode_blocks(&mut self, compressed: &[u8], out: &mut [u8], loops: Loops) -> Result<(), DecodeError> {
        if out.len() > self.window.bytes() as usize {
            return Err(DecodeError::OutputTooLong);
        }
        let size_field = if self.window == WindowOrder::MIN { SizeField::Wim16 } else { SizeField::Wim24 };
        let mut reader = Forward16Reader::new(compressed);
        let mut recent = [FIRST_RECENT_OFFSET; NUM_RECENT_OFFSETS];
        let mut position = 0;
        let mut e8_possible = false;
        self.codes.reset();
        while position < out.len() {
            let (kind, size) = read_block_start(&mut reader, size_field)?;
            if size > out.len() - position {
                return Err(DecodeError::BadBlock);
            }
            let end = position + size;
            if kind == BlockKind::Uncompressed {
                recent = read_uncompressed_start(&mut reader)?;
                out[position..end].copy_from_slice(reader.raw_slice(size)?);
                // Writers may leave out the padding of the last block.
                if size % 2 == 1 && end < out.len() {
                    reader.raw_u8()?;
                }
                e8_possible = true;
                position = end;
                continue;
            }
            self.codes.read(&mut reader, kind)?;
            e8_possible |= self.codes.has_literal(0xe8);
            let (codes, out) = (&self.codes, &mut *out);
            if position == 0 {
                // The first item of a chunk has nothing before it, which the fast loop counts on.
                decode_items(codes, &mut reader, &mut recent, &mut out[..1], 0)?;
                position = 1;
            }
            loops.decode_items(codes, &mut reader, &mut recent, out, position..end)?;
            position = end;
        }
        if e8_possible {
            e8::restore(out);
        }
        Ok(())
    }
}

/// Decodes the items of a block from `position` to the end of `out`, checking every step.
pub(crate) fn decode_items(
    codes: &Codes,
    reader: &mut Forward16Reader<'_>,
    recent: &mut RecentOffsets,
    out: &mut [u8],
    mut position: usize,
) -> Result<(), DecodeError> {
    while position < out.len() {
        reader.refill();
        let entry = codes.main.look_up(reader.peek())?;
        let mut bits = entry & ENTRY_BITS_MASK;
        let extra_bits = (entry >> MAIN_EXTRA_SHIFT) & 31;
        let mut len = (entry >> MAIN_LENGTH_SHIFT) & 15;
        if len == 1 {
            reader.consume(bits)?;
            out[position] = (entry >> MAIN_BYTE_SHIFT) as u8;
            position += 1;
            continue;
        }
        if entry & MAIN_LONG != 0 {
            reader.consume(bits)?;
            reader.refill();
            let entry = codes.length.look_up(reader.peek())?;
            reader.consume(entry & ENTRY_BITS_MASK)?;
            len += entry >> SYMBOL_SHIFT;
        } else {
            bits -= extra_bits;
            reader.consume(bits)?;
        }
        let mut formatted = (entry >> MAIN_BYTE_SHIFT) & 0xff;
        formatted = formatted << extra_bits | reader.read(extra_bits)?;
        if entry & MAIN_ALIGNED != 0 {
            reader.refill();
            let entry = codes.aligned.look_up(reader.peek())?;
            reader.consume(entry & ENTRY_BITS_MASK)?;
            formatted = formatted << 3 | entry >> SYMBOL_SHIFT;
        }
        let class = (entry >> MAIN_CLASS_SHIFT) & 3;
        if class == CLASS_EXPLICIT {
            *recent = [formatted - 2, recent[0], recent[1]];
        } else {
            recent.swap(0, class as usize);
        }
        let offset = recent[0];
        let (offset, len) = (offset as usize, len as usize);
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
