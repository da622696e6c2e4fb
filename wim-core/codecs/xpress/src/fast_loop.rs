//! The fast loop of the XPRESS decoder: the same steps as the careful one, while both buffers have room.
//!
//! The format is described in [MS-XCA] 2.1 and 2.2, the budget below. It stops, with nothing half done, when a
//! buffer gets short, and returns the errors that the careful loop would.

#![expect(unsafe_code, reason = "unchecked loads and stores within a proved budget; listed in UNSAFE.md")]

use std::{hint, slice};

use lz_kit::DecodeError;
use lz_kit::bitstream::{FastBits, Forward16Reader};
use lz_kit::huffman::ENTRY_SUBTABLE;
use lz_kit::lz77::copy_match::{COPY_OVERRUN, PatternCopy, Portable, copy_match, copy_match_fast};

use crate::decode::{
    ENTRY_BYTE_SHIFT, ENTRY_EXTRA_SHIFT, ENTRY_LENGTH_SHIFT, ENTRY_LONG, LONG_LENGTH, ROOT_BITS, Table,
    VECTOR_LENGTH, is_literal,
};
use crate::format::{LENGTH_IN_BYTE, LENGTH_IN_U16, MAX_CODEWORD_LEN, MIN_MATCH_LEN};

/// Items that a group decodes without looking at what they are.
const GROUP: usize = 3;
/// Most literals that a single step writes before its last item.
const STEP_LITERALS: usize = 2;
/// Most bytes that a group or a step writes without a check of its own, with what the last copy overruns.
const STEP_OUT: usize = GROUP * LONG_LENGTH as usize + COPY_OVERRUN;
/// Most bytes that one step reads or looks at: four refills and the length bytes.
const STEP_IN: usize = 4 * Forward16Reader::REFILL_BYTES + 3;

// Between refills a step consumes two root codewords and then a root codeword with the extra bits of an offset, …
const _: () = assert!(3 * ROOT_BITS + MAX_CODEWORD_LEN <= Forward16Reader::BITS_AFTER_REFILL);
// … or, after another refill, any codeword with its extra bits.
const _: () = assert!(2 * MAX_CODEWORD_LEN <= Forward16Reader::BITS_AFTER_REFILL);
// A group's sum of bits is compared in a byte, and a step writes no more than a group.
const _: () = assert!(GROUP as u32 * (ROOT_BITS + MAX_CODEWORD_LEN) < 256 && STEP_LITERALS < GROUP);

/// A vector that starts with any byte: the source of literals, seen as matches of length 1.
static LITERALS: [u8; 256 + VECTOR_LENGTH as usize] = {
    let mut bytes = [0; 256 + VECTOR_LENGTH as usize];
    let mut i = 0;
    while i < bytes.len() {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

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
    decode_items_on(Portable, table, reader, out, position)
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
    decode_items_on(lz_kit::lz77::copy_match::Ssse3, table, reader, out, position)
}

/// The loop. `cpu` must be one that the processor is.
///
/// A step is up to [`STEP_LITERALS`] literals and one more item. It starts only if [`STEP_IN`] bytes can be read and
/// [`STEP_OUT`] bytes written; whatever needs more (a long match) checks for itself.
#[inline(always)]
fn decode_items_on<C: PatternCopy>(
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
    let out_len = out.len();
    let first_out = out.as_mut_ptr();
    let last_out = first_out.wrapping_add(out_len - STEP_OUT);
    let root = table.root();
    let look_up = |bits: u64| root[(bits >> (64 - ROOT_BITS)) as usize];

    let mut bits = FastBits::lend(reader);
    // SAFETY:
    let mut to = first_out.wrapping_add(position);
    while bits.next() <= last_in && to <= last_out {
        // SAFETY: STEP_IN bytes can be read here, so eight can.
        unsafe { bits.refill() };
        let bits_1 = bits.peek();
        let entry_1 = look_up(bits_1);
        let bits_2 = bits_1 << (entry_1 & 63);
        let entry_2 = look_up(bits_2);
        let bits_3 = bits_2 << (entry_2 & 63);
        let entry_3 = look_up(bits_3);
        let sum = entry_1.wrapping_add(entry_2).wrapping_add(entry_3) & 0xff;
        if (entry_1 | entry_2 | entry_3) & (ENTRY_LONG | ENTRY_SUBTABLE) == 0 && sum <= bits.count() {
            bits.consume(sum);
            // SAFETY: three items of at most 16 bytes each.
            unsafe {
                to = copy_item(cpu, first_out, to, entry_1, bits_1)?;
                to = copy_item(cpu, first_out, to, entry_2, bits_2)?;
                to = copy_item(cpu, first_out, to, entry_3, bits_3)?;
            }
            continue;
        }
        let mut entry = entry_1;
        if is_literal(entry) {
            // SAFETY (here and for the next literals): STEP_OUT bytes can be written at the start of the step.
            unsafe { to.write((entry >> ENTRY_BYTE_SHIFT) as u8) };
            to = unsafe { to.add(1) };
            bits.consume(entry);
            entry = look_up(bits.peek());
            if is_literal(entry) {
                unsafe { to.write((entry >> ENTRY_BYTE_SHIFT) as u8) };
                to = unsafe { to.add(1) };
                bits.consume(entry);
                entry = look_up(bits.peek());
                if is_literal(entry) {
                    unsafe { to.write((entry >> ENTRY_BYTE_SHIFT) as u8) };
                    to = unsafe { to.add(1) };
                    bits.consume(entry);
                    continue;
                }
            }
        }
        if entry & ENTRY_SUBTABLE != 0 {
            // SAFETY: the first refill stepped over at most six bytes of STEP_IN.
            unsafe { bits.refill() };
            entry = table.look_up_below(entry, bits.peek())?;
            if is_literal(entry) {
                unsafe { to.write((entry >> ENTRY_BYTE_SHIFT) as u8) };
                to = unsafe { to.add(1) };
                bits.consume(entry);
                continue;
            }
        }
        let extra_bits = (entry >> ENTRY_EXTRA_SHIFT) & 15;
        let len = (entry >> ENTRY_LENGTH_SHIFT) & 31;
        let produced = to.addr() - first_out.addr();
        if len == LONG_LENGTH {
            bits.consume((entry & 63) - extra_bits);
            // SAFETY: STEP_IN covers two refills and the length bytes; 16 bits and more are valid after a refill.
            let (len, offset) = unsafe { long_match(&mut bits, extra_bits) }?;
            if offset > produced {
                return Err(DecodeError::BadOffset);
            }
            if len > out_len - produced {
                return Err(DecodeError::BadLength);
            }
            if len + COPY_OVERRUN <= out_len - produced {
                // SAFETY: there are `offset` bytes before, and room for the match and the overrun.
                unsafe { copy_match_fast(cpu, to, offset, len) };
            } else {
                // SAFETY: the same memory as `out`, which is not used while the loop writes through pointers.
                copy_match(unsafe { slice::from_raw_parts_mut(first_out, out_len) }, produced, offset, len);
            }
            // SAFETY: the match lies within `out`.
            to = unsafe { to.add(len) };
            continue;
        }
        let offset = offset_of(entry, bits.peek());
        bits.consume(entry);
        if offset > produced {
            return Err(DecodeError::BadOffset);
        }
        // SAFETY: there are `offset` bytes before, and STEP_OUT covers the match and the overrun.
        unsafe {
            copy_match_fast(cpu, to, offset, len as usize);
            to = to.add(len as usize);
        }
    }
    bits.give_back(reader);
    Ok(to.addr() - first_out.addr())
}

/// Writes an item that is neither long nor in a subtable, whose codeword is on top of `bits`; returns where it ends.
///
/// Literals and matches take the same way, because which one comes next is what cannot be predicted: a literal is
/// a match of length 1 whose source is [`LITERALS`].
///
/// # Safety
/// `to` lies behind `first_out`, all in between can be read, and 16 bytes from `to` can be read and written.
#[inline(always)]
unsafe fn copy_item<C: PatternCopy>(
    cpu: C,
    first_out: *mut u8,
    to: *mut u8,
    entry: u32,
    bits: u64,
) -> Result<*mut u8, DecodeError> {
    let len = (entry >> ENTRY_LENGTH_SHIFT) as usize;
    let offset = offset_of(entry, bits);
    let produced = to.addr() - first_out.addr();
    let literal = LITERALS.as_ptr().wrapping_add(((entry >> ENTRY_BYTE_SHIFT) & 0xff) as usize);
    let from = hint::select_unpredictable(is_literal(entry), literal, to.wrapping_sub(offset).cast_const());
    if offset < len || offset > produced {
        // No literal comes here: something is there before it, and its length and offset are 1.
        hint::cold_path();
        if offset > produced {
            return Err(DecodeError::BadOffset);
        }
        // SAFETY: `offset` bytes lie before, and the caller vouches for 16 bytes behind.
        unsafe {
            cpu.copy_vector(to, offset);
            return Ok(to.add(len));
        }
    }
    // SAFETY: the source is a vector in LITERALS, or starts within what was written and at least `len` bytes before
    // `to`, so that 16 bytes from there can be read; the caller vouches for the target.
    unsafe {
        to.cast::<[u8; 16]>().write(from.cast::<[u8; 16]>().read());
        Ok(to.add(len))
    }
}

/// The offset in a match entry that is not in a subtable, whose codeword is on top of `bits`; 1 for a literal.
///
/// Codeword and extra bits are counted together, so the extra bits are the last of them.
#[inline(always)]
fn offset_of(entry: u32, bits: u64) -> usize {
    let extra_bits = (entry >> ENTRY_EXTRA_SHIFT) & 0xff;
    let both = bits.wrapping_shr(entry.wrapping_neg());
    let one = 1u64.wrapping_shl(extra_bits);
    (one + (both & one.wrapping_sub(1))) as usize
}

/// Reads length bytes and then the extra bits of the offset; returns length and offset.
///
/// # Safety
/// A refill and then three bytes can be read at the next position of `bits`.
#[inline(always)]
unsafe fn long_match(bits: &mut FastBits, extra_bits: u32) -> Result<(usize, usize), DecodeError> {
    // SAFETY: the caller's duty; after a refill at least 48 bits are valid.
    let byte = unsafe {
        bits.refill();
        bits.give_back_units();
        usize::from(bits.raw_u8())
    };
    let mut field = LENGTH_IN_BYTE + byte;
    if byte == LENGTH_IN_U16 {
        // SAFETY: the second and third of the three bytes.
        field = usize::from(unsafe { bits.raw_u16() });
        if field < LENGTH_IN_BYTE {
            return Err(DecodeError::BadLength);
        }
    }
    let offset = (1usize << extra_bits) + (bits.peek() >> 1 >> (63 - extra_bits)) as usize;
    bits.consume(extra_bits);
    Ok((field + MIN_MATCH_LEN, offset))
}
