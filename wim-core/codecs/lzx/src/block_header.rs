//! LZX block headers: type, size, and the codes of the block.
//!
//! Described in [MS-PATCH] 2.4 to 2.6; the size field differs between WIM and CAB ([`SizeField`]). It does not decode
//! the block's items.

use lz_kit::DecodeError;
use lz_kit::bitstream::Forward16Reader;
use lz_kit::huffman::{DecodeTable, ENTRY_BITS_MASK};

use crate::format::{
    ALIGNED_LEN_BITS, BLOCK_ALIGNED, BLOCK_TYPE_BITS, BLOCK_UNCOMPRESSED, BLOCK_VERBATIM,
    DEFAULT_BLOCK_BYTES, FIRST_CODED_LEN, LENGTH_DELTA_MODULUS, MAX_ALIGNED_LEN, MAX_EXTRA_BITS,
    MAX_LENGTH_LEN, MAX_MAIN_LEN, MAX_OFFSET_SLOTS, MAX_PRECODE_LEN, MIN_MATCH_LEN, NUM_ALIGNED_SYMBOLS,
    NUM_LENGTH_HEADERS, NUM_LENGTH_SYMBOLS, NUM_LITERALS, NUM_PRECODE_SYMBOLS, NUM_RECENT_OFFSETS,
    OFFSET_BASE, PRECODE_LEN_BITS, PRECODE_REPEAT, PRECODE_ZEROS_LONG, PRECODE_ZEROS_SHORT, extra_bits,
};

/// Bits that the first level of the main table takes: 8 KiB of entries.
pub(crate) const MAIN_ROOT_BITS: u32 = 11;
/// Bits that the first level of the length table takes.
pub(crate) const LENGTH_ROOT_BITS: u32 = 9;
/// Bits that the only level of the aligned-offset table takes.
pub(crate) const ALIGNED_ROOT_BITS: u32 = MAX_ALIGNED_LEN;
/// Bits that the first level of the precode's table takes.
const PRECODE_ROOT_BITS: u32 = 6;

/// Table of the main code.
pub(crate) type MainTable = DecodeTable<MAIN_ROOT_BITS, { 1 << MAIN_ROOT_BITS }>;
/// Table of the length code.
pub(crate) type LengthTable = DecodeTable<LENGTH_ROOT_BITS, { 1 << LENGTH_ROOT_BITS }>;
/// Table of the aligned-offset code.
pub(crate) type AlignedTable = DecodeTable<ALIGNED_ROOT_BITS, { 1 << ALIGNED_ROOT_BITS }>;
/// Table of the precode.
type PrecodeTable = DecodeTable<PRECODE_ROOT_BITS, { 1 << PRECODE_ROOT_BITS }>;

/// Where a main entry holds the number of extra offset bits to read as they are (five bits).
pub(crate) const MAIN_EXTRA_SHIFT: u32 = 8;
/// Flag of a main entry whose offset ends with an aligned-offset symbol.
pub(crate) const MAIN_ALIGNED: u32 = 1 << 13;
/// Flag of a main entry whose match length goes on in the length code.
pub(crate) const MAIN_LONG: u32 = 1 << 14;
/// Where a main entry holds the literal byte, or what stands above the extra bits of an explicit offset.
///
/// An offset plus two is written as floating point numbers are: leading bits `10` or `11` in the slot, the rest as
/// extra bits. From 2^18 on all slots have 17 extra bits, and the leading part grows instead, up to 255.
pub(crate) const MAIN_BYTE_SHIFT: u32 = 16;
/// Where a main entry holds the match length (four bits), what the length symbol is added to, or 1 for a literal.
pub(crate) const MAIN_LENGTH_SHIFT: u32 = 24;
/// Where a main entry holds the recent offset to use, or 3 for an explicit offset (two bits).
///
/// Literals have 0, which changes nothing in the order of the recent offsets.
pub(crate) const MAIN_CLASS_SHIFT: u32 = 28;
/// Class of an explicit offset.
pub(crate) const CLASS_EXPLICIT: u32 = 3;
/// Where an entry of the length and aligned tables and of the precode holds the symbol.
pub(crate) const SYMBOL_SHIFT: u32 = 8;

/// Most symbols a main code can have.
const MAX_MAIN_SYMBOLS: usize = NUM_LITERALS + NUM_LENGTH_HEADERS * MAX_OFFSET_SLOTS;

/// Main symbols of verbatim blocks, ready for the table.
///
/// Extra offset bits count as consumed with the codeword, except behind a length symbol, which stands between.
static VERBATIM_ENTRIES: [u32; MAX_MAIN_SYMBOLS] = main_entries(u32::MAX);
/// Main symbols of aligned blocks: the low three offset bits are left to the aligned-offset code where it is used.
static ALIGNED_ENTRIES: [u32; MAX_MAIN_SYMBOLS] = main_entries(3);

/// The entries of a main code in which slots of `aligned_from` extra bits and more use the aligned-offset code.
const fn main_entries(aligned_from: u32) -> [u32; MAX_MAIN_SYMBOLS] {
    let mut entries = [0; MAX_MAIN_SYMBOLS];
    let mut symbol = 0;
    while symbol < MAX_MAIN_SYMBOLS {
        entries[symbol] = if symbol < NUM_LITERALS {
            (symbol as u32) << MAIN_BYTE_SHIFT | 1 << MAIN_LENGTH_SHIFT
        } else {
            let header = (symbol - NUM_LITERALS) % NUM_LENGTH_HEADERS;
            let slot = (symbol - NUM_LITERALS) / NUM_LENGTH_HEADERS;
            let all_bits = extra_bits(slot);
            let aligned = all_bits >= aligned_from;
            let bits = if aligned { all_bits - 3 } else { all_bits };
            let long = header == NUM_LENGTH_HEADERS - 1;
            let class = if slot < NUM_RECENT_OFFSETS { slot as u32 } else { CLASS_EXPLICIT };
            let leading = if slot < NUM_RECENT_OFFSETS { 0 } else { (OFFSET_BASE[slot] + 2) >> all_bits };
            class << MAIN_CLASS_SHIFT
                | ((header + MIN_MATCH_LEN) as u32) << MAIN_LENGTH_SHIFT
                | leading << MAIN_BYTE_SHIFT
                | bits << MAIN_EXTRA_SHIFT
                | if aligned { MAIN_ALIGNED } else { 0 }
                | if long { MAIN_LONG } else { bits }
        };
        symbol += 1;
    }
    entries
}

// The last length header names the first length that the length code adds to.
const _: () = assert!(MIN_MATCH_LEN + NUM_LENGTH_HEADERS - 1 == FIRST_CODED_LEN);
// The fields fit.
const _: () = assert!(FIRST_CODED_LEN < 16 && MAX_EXTRA_BITS < 32);
const _: () = assert!((OFFSET_BASE[MAX_OFFSET_SLOTS - 1] + 2) >> MAX_EXTRA_BITS == 255);

/// Symbols that stand for themselves.
static PLAIN_ENTRIES: [u32; NUM_LENGTH_SYMBOLS] = {
    let mut entries = [0; NUM_LENGTH_SYMBOLS];
    let mut symbol = 0;
    while symbol < NUM_LENGTH_SYMBOLS {
        entries[symbol] = (symbol as u32) << SYMBOL_SHIFT;
        symbol += 1;
    }
    entries
};

/// How a block header gives the block's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeField {
    /// WIM with a 32 KiB window: a flag for 32768, else 16 bits.
    Wim16,
    /// WIM with a larger window: a flag for 32768, else 24 bits.
    Wim24,
    /// CAB: always 24 bits.
    Cab,
}

/// How a block's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Items, offsets written out.
    Verbatim,
    /// Items, low offset bits in a code of their own.
    Aligned,
    /// Raw bytes.
    Uncompressed,
}

/// The codes of a block, with the lengths that the next block's are differences to.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    pub(crate) main: MainTable,
    pub(crate) length: LengthTable,
    pub(crate) aligned: AlignedTable,
    /// Kind of the block that the codes were read for.
    pub(crate) kind: BlockKind,
    precode: PrecodeTable,
    main_lens: Box<[u8]>,
    length_lens: [u8; NUM_LENGTH_SYMBOLS],
}

impl Codes {
    /// Bytes of memory for [`new`](Self::new) with the same argument.
    pub(crate) const fn scratch_bytes(main_symbols: usize) -> usize {
        MainTable::scratch_bytes(main_symbols, MAX_MAIN_LEN)
            + LengthTable::scratch_bytes(NUM_LENGTH_SYMBOLS, MAX_LENGTH_LEN)
            + AlignedTable::scratch_bytes(NUM_ALIGNED_SYMBOLS, MAX_ALIGNED_LEN)
            + PrecodeTable::scratch_bytes(NUM_PRECODE_SYMBOLS, MAX_PRECODE_LEN)
            + main_symbols
            + NUM_LENGTH_SYMBOLS
    }

    /// Scratch for codes with `main_symbols` main symbols.
    pub(crate) fn new(main_symbols: usize) -> Self {
        Self {
            main: MainTable::new(main_symbols, MAX_MAIN_LEN),
            length: LengthTable::new(NUM_LENGTH_SYMBOLS, MAX_LENGTH_LEN),
            aligned: AlignedTable::new(NUM_ALIGNED_SYMBOLS, MAX_ALIGNED_LEN),
            kind: BlockKind::Verbatim,
            precode: PrecodeTable::new(NUM_PRECODE_SYMBOLS, MAX_PRECODE_LEN),
            main_lens: vec![0; main_symbols].into_boxed_slice(),
            length_lens: [0; NUM_LENGTH_SYMBOLS],
        }
    }

    /// Forgets the lengths of the last chunk or folder.
    pub(crate) fn reset(&mut self) {
        self.main_lens.fill(0);
        self.length_lens.fill(0);
    }

    /// Whether the block's main code has this literal.
    pub(crate) fn has_literal(&self, byte: u8) -> bool {
        self.main_lens[usize::from(byte)] != 0
    }

    /// Reads the codes of a verbatim or aligned block.
    pub(crate) fn read(
        &mut self,
        reader: &mut Forward16Reader<'_>,
        kind: BlockKind,
    ) -> Result<(), DecodeError> {
        self.kind = kind;
        let entries = if kind == BlockKind::Aligned {
            let mut lengths = [0; NUM_ALIGNED_SYMBOLS];
            for len in &mut lengths {
                *len = reader.read(ALIGNED_LEN_BITS)? as u8;
            }
            self.aligned.build(&lengths, &PLAIN_ENTRIES)?;
            &ALIGNED_ENTRIES
        } else {
            &VERBATIM_ENTRIES
        };
        let (literals, matches) = self.main_lens.split_at_mut(NUM_LITERALS);
        read_lengths(reader, &mut self.precode, literals)?;
        read_lengths(reader, &mut self.precode, matches)?;
        self.main.build(&self.main_lens, entries)?;
        read_lengths(reader, &mut self.precode, &mut self.length_lens)?;
        self.length.build(&self.length_lens, &PLAIN_ENTRIES)?;
        Ok(())
    }
}

/// Reads type and size of a block; `left` is the number of bytes that the chunk has still to give.
pub(crate) fn read_block_start(
    reader: &mut Forward16Reader<'_>,
    field: SizeField,
) -> Result<(BlockKind, usize), DecodeError> {
    let kind = match reader.read(BLOCK_TYPE_BITS)? {
        BLOCK_VERBATIM => BlockKind::Verbatim,
        BLOCK_ALIGNED => BlockKind::Aligned,
        BLOCK_UNCOMPRESSED => BlockKind::Uncompressed,
        _ => return Err(DecodeError::BadBlock),
    };
    let size = match field {
        SizeField::Wim16 | SizeField::Wim24 if reader.read(1)? == 1 => DEFAULT_BLOCK_BYTES,
        SizeField::Wim16 => reader.read(16)?,
        SizeField::Wim24 | SizeField::Cab => reader.read(24)?,
    };
    if size == 0 {
        return Err(DecodeError::BadBlock);
    }
    Ok((kind, size as usize))
}

/// Reads what stands before the bytes of an uncompressed block: padding and the recent offsets.
pub(crate) fn read_uncompressed_start(reader: &mut Forward16Reader<'_>) -> Result<[u32; 3], DecodeError> {
    reader.align_before_raw()?;
    let mut recent = [0; 3];
    for offset in &mut recent {
        *offset = u32::from_le_bytes(reader.raw_array()?);
    }
    if recent.contains(&0) {
        return Err(DecodeError::BadOffset);
    }
    Ok(recent)
}

/// Reads a list of codeword lengths, written as differences to the old values in `lengths`.
fn read_lengths(
    reader: &mut Forward16Reader<'_>,
    precode: &mut PrecodeTable,
    lengths: &mut [u8],
) -> Result<(), DecodeError> {
    let mut precode_lens = [0; NUM_PRECODE_SYMBOLS];
    for len in &mut precode_lens {
        *len = reader.read(PRECODE_LEN_BITS)? as u8;
    }
    precode.build(&precode_lens, &PLAIN_ENTRIES)?;

    let changed = |old: u8, difference: u32| {
        // Both are at most 16; the sum stays below twice the modulus.
        let len = old + LENGTH_DELTA_MODULUS - difference as u8;
        if len >= LENGTH_DELTA_MODULUS { len - LENGTH_DELTA_MODULUS } else { len }
    };
    let mut next = 0;
    while next < lengths.len() {
        let symbol = read_symbol(reader, precode)?;
        let (run, value) = match symbol {
            PRECODE_ZEROS_SHORT => (4 + reader.take(4)? as usize, 0),
            PRECODE_ZEROS_LONG => (20 + reader.take(5)? as usize, 0),
            PRECODE_REPEAT => {
                let run = 4 + reader.take(1)? as usize;
                let symbol = read_symbol(reader, precode)?;
                if symbol >= u32::from(LENGTH_DELTA_MODULUS) {
                    return Err(DecodeError::BadCode);
                }
                (run, changed(lengths[next], symbol))
            }
            difference => {
                lengths[next] = changed(lengths[next], difference);
                next += 1;
                continue;
            }
        };
        let end = next + run;
        lengths.get_mut(next..end).ok_or(DecodeError::BadLength)?.fill(value);
        next = end;
    }
    Ok(())
}

/// Reads one symbol of the precode, leaving at least 16 bits in the buffer while the data lasts.
#[inline(always)]
fn read_symbol(reader: &mut Forward16Reader<'_>, precode: &PrecodeTable) -> Result<u32, DecodeError> {
    reader.refill();
    let entry = precode.look_up(reader.peek())?;
    reader.consume(entry & ENTRY_BITS_MASK)?;
    Ok(entry >> SYMBOL_SHIFT)
}

const _: () = assert!(MAX_PRECODE_LEN + 16 <= Forward16Reader::BITS_AFTER_REFILL);
