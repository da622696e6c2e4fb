//! The fast loop of the XPRESS decoder: the same steps as the careful one, while both buffers have room.
//!
//! The format is described in [MS-XCA] 2.1 and 2.2, the budget below. It stops, with nothing half done, when a
//! buffer gets short, and returns the errors that the careful loop would.

#![expect(unsafe_code, reason = "unchecked loads and stores within a proved budget; listed in UNSAFE.md")]

use std::hint;

use lz_kit::DecodeError;
use lz_kit::bitstream::{FastBits, Forward16Reader};
use lz_kit::huffman::ENTRY_SUBTABLE;
#[cfg(target_arch = "x86_64")]
use lz_kit::lz77::copy_match::Ssse3;
use lz_kit::lz77::copy_match::{COPY_OVERRUN, PatternCopy, Portable, copy_match_exactly, copy_match_fast};

use crate::decode::{
    ENTRY_BYTE_SHIFT, ENTRY_EXTRA_SHIFT, ENTRY_LENGTH_SHIFT, ENTRY_LONG, LONG_LENGTH, ROOT_BITS, Table,
    VECTOR_LENGTH,
};
use crate::format::{LENGTH_IN_BYTE, LENGTH_IN_U16, MAX_CODEWORD_LEN, MIN_MATCH_LEN};

/// Items that a group decodes without looking at what they are.
const GROUP: usize = 3;
/// Most bytes that a turn writes without a check of its own, what the last copy overruns included.
const STEP_OUT: usize = GROUP * VECTOR_LENGTH as usize + COPY_OVERRUN;
/// Most bytes that a turn reads or looks at: four refills and the length bytes.
const STEP_IN: usize = 4 * Forward16Reader::REFILL_BYTES + 3;

// After a refill, any item can be consumed; a group's sum of bits is compared in a byte.
const _: () = assert!(2 * MAX_CODEWORD_LEN <= Forward16Reader::BITS_AFTER_REFILL);
const _: () = assert!(GROUP as u32 * (ROOT_BITS + MAX_CODEWORD_LEN) < 256);
// A group's last entry is looked up behind the plain items before it, of at most ROOT_BITS + MAX_CODEWORD_LEN bits each, and
// used after the next refill: all 64 bits of the buffer are the stream's, so that enough of them are left for that look-up.
const _: () = assert!((GROUP as u32 - 1) * (ROOT_BITS + MAX_CODEWORD_LEN) + ROOT_BITS <= 64);

/// Vectors that start with any byte: the source of literals, seen as matches of length 1.
///
/// The index is what a literal entry has above [`ENTRY_BYTE_SHIFT`]: its length 1, then the byte.
static LITERALS: [u8; 512 + VECTOR_LENGTH as usize] = {
    let mut bytes = [0; 512 + VECTOR_LENGTH as usize];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};
const _: () = assert!(ENTRY_LENGTH_SHIFT == ENTRY_BYTE_SHIFT + 8);

/// Decodes from `position`, which is not 0, until one of the buffers gets short; returns the new position.
pub(crate) fn decode_items(
    table: &Table,
    reader: &mut Forward16Reader<'_>,
    out: &mut [u8],
    position: usize,
) -> Result<usize, DecodeError> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("avx")
    {
        // SAFETY: the processor has what the function needs.
        return unsafe { decode_items_bmi2(table, reader, out, position) };
    }
    decode_items_portably(table, reader, out, position)
}

/// [`decode_items`] for any processor.
pub(crate) fn decode_items_portably(
    table: &Table,
    reader: &mut Forward16Reader<'_>,
    out: &mut [u8],
    position: usize,
) -> Result<usize, DecodeError> {
    // SAFETY: any processor will do.
    unsafe { decode_items_on(Portable, table, reader, out, position) }
}

/// [`decode_items_on`] compiled for processors of 2013 and later.
///
/// # Safety
/// The processor has AVX, BMI1 and BMI2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,bmi1,bmi2,ssse3")]
unsafe fn decode_items_bmi2(
    table: &Table,
    reader: &mut Forward16Reader<'_>,
    out: &mut [u8],
    position: usize,
) -> Result<usize, DecodeError> {
    // SAFETY: SSSE3 is among the features of this function.
    unsafe { decode_items_on(Ssse3, table, reader, out, position) }
}

/// The loop.
///
/// A turn starts only if [`STEP_IN`] bytes can be read and [`STEP_OUT`] bytes written; whatever needs more (a long match)
/// checks for itself. It decodes a group of [`GROUP`] items if all of them are plain, and otherwise goes item by item
/// up to the first one that is not.
///
/// # Safety
/// The processor has what `cpu` needs.
#[inline(always)]
unsafe fn decode_items_on<C: PatternCopy>(
    cpu: C,
    table: &Table,
    reader: &mut Forward16Reader<'_>,
    out: &mut [u8],
    position: usize,
) -> Result<usize, DecodeError> {
    let data = reader.data();
    if data.len() < STEP_IN || out.len() < STEP_OUT || position == 0 {
        return Ok(position);
    }
    let last_in = data[data.len() - STEP_IN..].as_ptr();
    let last_out = out.len() - STEP_OUT;
    let mut to = Target { first: out.as_mut_ptr(), size: out.len(), position };
    let root = table.root();
    let look_up = |bits: &FastBits| root[(bits.peek() >> (64 - ROOT_BITS)) as usize];

    let mut bits = FastBits::lend(reader);
    while bits.next() <= last_in && to.position <= last_out {
        // SAFETY: for every call of this loop, STEP_IN bytes can be read at its start (four refills and three bytes),
        // STEP_OUT bytes can be written, and something has been written before.
        unsafe { bits.refill() };
        let mut entry = look_up(&bits);
        if is_plain(entry) {
            let before = bits;
            bits.consume(entry);
            let entry_2 = look_up(&bits);
            // SAFETY: see above.
            unsafe { to.put_plain(cpu, entry, before.peek())? };
            if bits.lack(entry_2) {
                continue;
            }
            entry = entry_2;
            if is_plain(entry) {
                let before = bits;
                bits.consume(entry);
                let entry_3 = look_up(&bits);
                // SAFETY: see above.
                unsafe { to.put_plain(cpu, entry, before.peek())? };
                if bits.lack(entry_3) {
                    continue;
                }
                entry = entry_3;
                if is_plain(entry) {
                    // SAFETY: see above.
                    unsafe { to.put_plain(cpu, entry, bits.peek())? };
                    bits.consume(entry);
                    continue;
                }
            }
            // SAFETY: see above.
            unsafe { bits.refill() };
        }
        if entry & ENTRY_SUBTABLE != 0 {
            entry = table.look_up_below(entry, bits.peek())?;
        }
        // SAFETY: see above.
        unsafe {
            if is_plain(entry) {
                to.put_plain(cpu, entry, bits.peek())?;
                bits.consume(entry);
            } else {
                let (len, offset) = long_match(&mut bits, entry)?;
                to.put_match(cpu, offset, len)?;
            }
        }
    }
    bits.give_back(reader);
    Ok(to.position)
}

/// Whether an entry, or the union of several, is a literal or a match that one vector copies.
#[inline(always)]
const fn is_plain(entries: u32) -> bool {
    entries & (ENTRY_LONG | ENTRY_SUBTABLE) == 0
}

/// The output, written through a pointer.
struct Target {
    first: *mut u8,
    /// Bytes that may be written.
    size: usize,
    /// Bytes written.
    position: usize,
}

impl Target {
    /// Writes a plain item whose codeword is on top of `bits`.
    ///
    /// Literals and matches take the same way, because which one comes next is what cannot be predicted: a literal is
    /// a match of length 1 whose source is [`LITERALS`].
    ///
    /// # Safety
    /// `entry` is plain, something has been written, 16 bytes more fit, and the processor has what `cpu` needs.
    #[inline(always)]
    unsafe fn put_plain<C: PatternCopy>(&mut self, cpu: C, entry: u32, bits: u64) -> Result<(), DecodeError> {
        let len = (entry >> ENTRY_LENGTH_SHIFT) as usize;
        // SAFETY: the entry is plain; the position is within the output.
        let (offset, to) = unsafe { (offset_of(entry, bits), self.first.add(self.position)) };
        if offset < len || offset > self.position {
            // No literal comes here: something is there before it, and its length and offset are 1.
            hint::cold_path();
            if offset > self.position {
                return Err(DecodeError::BadOffset);
            }
            // SAFETY: `offset` bytes lie before, and 16 bytes fit.
            unsafe { cpu.copy_vector(to, offset) };
        } else {
            // A literal entry has 1 above the byte.
            let literal =
                LITERALS.as_ptr().wrapping_add((entry >> ENTRY_BYTE_SHIFT) as usize).wrapping_sub(256);
            let from = hint::select_unpredictable(len == 1, literal, to.wrapping_sub(offset).cast_const());
            // SAFETY: the source is a vector in LITERALS, or starts within what was written; 16 bytes fit.
            unsafe { to.cast::<[u8; 16]>().write(from.cast::<[u8; 16]>().read()) };
        }
        self.position += len;
        Ok(())
    }

    /// Writes a match of any length.
    ///
    /// # Safety
    /// The processor has what `cpu` needs.
    #[inline(always)]
    unsafe fn put_match<C: PatternCopy>(
        &mut self,
        cpu: C,
        offset: usize,
        len: usize,
    ) -> Result<(), DecodeError> {
        if offset > self.position {
            return Err(DecodeError::BadOffset);
        }
        let room = self.size - self.position;
        if len > room {
            return Err(DecodeError::BadLength);
        }
        if len + COPY_OVERRUN <= room {
            // SAFETY: there are `offset` bytes before, and room for the match and the overrun.
            unsafe { copy_match_fast(cpu, self.first.add(self.position), offset, len) };
        } else {
            // SAFETY: there are `offset` bytes before, and room for the match.
            unsafe { copy_match_exactly(self.first.add(self.position), offset, len) };
        }
        self.position += len;
        Ok(())
    }
}

/// The offset in a match entry whose codeword is on top of `bits`; 1 for a literal.
///
/// Codeword and extra bits are counted together, so the extra bits are the last of them.
///
/// # Safety
/// `entry` is plain: of a subtable's pointer these bits may be anything.
#[inline(always)]
unsafe fn offset_of(entry: u32, bits: u64) -> usize {
    let extra_bits = (entry >> ENTRY_EXTRA_SHIFT) & 0xff;
    // SAFETY: the caller's duty; no symbol has more than 15.
    unsafe { hint::assert_unchecked(extra_bits < 16) };
    let with_codeword = bits.rotate_left(entry);
    ((1 << extra_bits) + (with_codeword & ((1 << extra_bits) - 1))) as usize
}

/// Reads a match entry that is not plain, its length bytes if it has them and the extra bits of its offset; returns
/// length and offset.
///
/// # Safety
/// At least 30 bits are valid; a refill and then three bytes can be read at the next position of `bits`.
#[inline(always)]
unsafe fn long_match(bits: &mut FastBits, entry: u32) -> Result<(usize, usize), DecodeError> {
    let extra_bits = (entry >> ENTRY_EXTRA_SHIFT) & 15;
    let mut len = ((entry >> ENTRY_LENGTH_SHIFT) & 31) as usize;
    bits.consume((entry & 63) - extra_bits);
    if len == LONG_LENGTH as usize {
        // SAFETY: the caller's duty; after a refill at least 48 bits are valid.
        let byte = unsafe {
            bits.refill();
            bits.give_back_units();
            usize::from(bits.raw_u8())
        };
        len += byte;
        if byte == LENGTH_IN_U16 {
            // SAFETY: the second and third of the three bytes.
            let field = usize::from(unsafe { bits.raw_u16() });
            if field < LENGTH_IN_BYTE {
                return Err(DecodeError::BadLength);
            }
            len = field + MIN_MATCH_LEN;
        }
    }
    let offset = (1usize << extra_bits) + (bits.peek() >> 1 >> (63 - extra_bits)) as usize;
    bits.consume(extra_bits);
    Ok((len, offset))
}
