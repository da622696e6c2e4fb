//! The fast loop of the XPRESS decoder: the same steps as the careful one, while both buffers have room.
//!
//! The format is described in [MS-XCA] 2.1 and 2.2, the budget below. It stops, with nothing half done, when a
//! buffer gets short, and returns the errors that the careful loop would.

#![expect(unsafe_code, reason = "unchecked loads and stores within a proved budget; listed in UNSAFE.md")]

use std::slice;

use lz_kit::DecodeError;
use lz_kit::bitstream::{FastBits, Forward16Reader};
use lz_kit::huffman::ENTRY_SUBTABLE;
use lz_kit::lz77::copy_match::{COPY_OVERRUN, PatternCopy, Portable, copy_match, copy_match_fast};

use crate::decode::{ENTRY_BYTE_SHIFT, ENTRY_LENGTH_SHIFT, ENTRY_LITERAL, LONG_LENGTH, ROOT_BITS, Table};
use crate::format::{LENGTH_IN_BYTE, LENGTH_IN_U16, MAX_CODEWORD_LEN, MIN_MATCH_LEN};

/// Most literals that one step writes before its last item.
const STEP_LITERALS: usize = 2;
/// Most bytes that one step writes: literals, then a match without length bytes and what its copy overruns.
const STEP_OUT: usize = STEP_LITERALS + LONG_LENGTH as usize + COPY_OVERRUN;
/// Most bytes that one step reads or looks at: three refills and the length bytes.
const STEP_IN: usize = 3 * Forward16Reader::REFILL_BYTES + 3;

// Between refills a step consumes two root codewords and then a root codeword with the extra bits of an offset, …
const _: () = assert!(3 * ROOT_BITS + MAX_CODEWORD_LEN <= Forward16Reader::BITS_AFTER_REFILL);
// … or, after another refill, any codeword with its extra bits.
const _: () = assert!(2 * MAX_CODEWORD_LEN <= Forward16Reader::BITS_AFTER_REFILL);

/// Decodes from the start of `out` until one of the buffers gets short; returns the bytes written.
pub(crate) fn decode_items(
    table: &Table,
    reader: &mut Forward16Reader<'_>,
    out: &mut [u8],
) -> Result<usize, DecodeError> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("ssse3")
    {
        // SAFETY: the processor has what the function needs.
        return unsafe { decode_items_bmi2(table, reader, out) };
    }
    decode_items_on(Portable, table, reader, out)
}

/// [`decode_items_on`] compiled for processors of 2013 and later.
///
/// # Safety
/// The processor has BMI1, BMI2 and SSSE3.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2,ssse3")]
unsafe fn decode_items_bmi2(
    table: &Table,
    reader: &mut Forward16Reader<'_>,
    out: &mut [u8],
) -> Result<usize, DecodeError> {
    decode_items_on(lz_kit::lz77::copy_match::Ssse3, table, reader, out)
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
) -> Result<usize, DecodeError> {
    let data = reader.data();
    if data.len() < STEP_IN || out.len() < STEP_OUT {
        return Ok(0);
    }
    let last_in = data[data.len() - STEP_IN..].as_ptr();
    let out_len = out.len();
    let first_out = out.as_mut_ptr();
    let last_out = first_out.wrapping_add(out_len - STEP_OUT);
    let root = table.root();
    let look_up = |bits: u64| root[(bits >> (64 - ROOT_BITS)) as usize];

    let mut bits = FastBits::lend(reader);
    let mut to = first_out;
    while bits.next() <= last_in && to <= last_out {
        // SAFETY: STEP_IN bytes can be read here, so eight can.
        unsafe { bits.refill() };
        let mut entry = look_up(bits.peek());
        if entry & ENTRY_LITERAL != 0 {
            // SAFETY (here and for the next literals): STEP_OUT bytes can be written at the start of the step.
            unsafe { to.write((entry >> ENTRY_BYTE_SHIFT) as u8) };
            to = unsafe { to.add(1) };
            bits.consume(entry);
            entry = look_up(bits.peek());
            if entry & ENTRY_LITERAL != 0 {
                unsafe { to.write((entry >> ENTRY_BYTE_SHIFT) as u8) };
                to = unsafe { to.add(1) };
                bits.consume(entry);
                entry = look_up(bits.peek());
                if entry & ENTRY_LITERAL != 0 {
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
            if entry & ENTRY_LITERAL != 0 {
                unsafe { to.write((entry >> ENTRY_BYTE_SHIFT) as u8) };
                to = unsafe { to.add(1) };
                bits.consume(entry);
                continue;
            }
        }
        let extra_bits = (entry >> ENTRY_BYTE_SHIFT) & 15;
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
        let total = entry & 63;
        // Codeword and extra bits are on top; the extra bits are the last of them.
        let both = bits.peek() >> (total.wrapping_neg() & 63);
        let offset = (1usize << extra_bits) + (both as usize & ((1 << extra_bits) - 1));
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
