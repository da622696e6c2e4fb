//! The fast loop of the LZMS decoder: the same items as the careful one.
//!
//! Reading an item is safe code in both, for its tests cost next to nothing; what is fast here is writing. It stops, with
//! nothing half done, where it is told to, and returns the errors that the careful loop would.

#![expect(unsafe_code, reason = "unchecked stores within a proved budget; listed in UNSAFE.md")]

use std::ops::Range;

use lz_kit::DecodeError;
#[cfg(target_arch = "x86_64")]
use lz_kit::lz77::copy_match::Ssse3;
use lz_kit::lz77::copy_match::{COPY_OVERRUN, PatternCopy, Portable, copy_match, copy_match_fast};

use crate::decode::{Item, Models, Streams, copy_delta};

/// Decodes from the start of `span`, which is not 0, at least to its end; returns the new position.
pub(crate) fn decode_items(
    models: &mut Models,
    streams: &mut Streams<'_>,
    out: &mut [u8],
    span: Range<usize>,
) -> Result<usize, DecodeError> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("avx")
        && is_x86_feature_detected!("popcnt")
    {
        // SAFETY: the processor has what the function needs.
        return unsafe { decode_items_bmi2(models, streams, out, span) };
    }
    decode_items_portably(models, streams, out, span)
}

/// [`decode_items`] for any processor.
pub(crate) fn decode_items_portably(
    models: &mut Models,
    streams: &mut Streams<'_>,
    out: &mut [u8],
    span: Range<usize>,
) -> Result<usize, DecodeError> {
    // SAFETY: any processor will do.
    unsafe { decode_items_on(Portable, models, streams, out, span) }
}

/// [`decode_items_on`] compiled for processors of 2013 and later.
///
/// # Safety
/// The processor has AVX (and with it SSSE3), BMI1, BMI2 and POPCNT.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,bmi1,bmi2,ssse3,popcnt")]
unsafe fn decode_items_bmi2(
    models: &mut Models,
    streams: &mut Streams<'_>,
    out: &mut [u8],
    span: Range<usize>,
) -> Result<usize, DecodeError> {
    // SAFETY: SSSE3 is among the features of this function.
    unsafe { decode_items_on(Ssse3, models, streams, out, span) }
}

/// The loop.
///
/// # Safety
/// The processor has what `cpu` needs.
#[inline(always)]
unsafe fn decode_items_on<C: PatternCopy>(
    cpu: C,
    models: &mut Models,
    lent: &mut Streams<'_>,
    out: &mut [u8],
    span: Range<usize>,
) -> Result<usize, DecodeError> {
    let mut streams = *lent;
    let size = out.len();
    let Range { start: mut position, end } = span;
    // A turn writes one literal; matches check for themselves.
    assert!(end <= size, "the span is longer than the output");
    // The pointer is taken anew wherever it is used: `copy_match` and `copy_delta` borrow all of `out`, which ends the right of
    // a pointer taken before to be written through. It costs nothing, the address is the same.
    while position < end {
        match models.next_item(&mut streams) {
            Item::Literal(byte) => {
                // SAFETY: one byte is left at least.
                unsafe { *out.as_mut_ptr().add(position) = byte };
                position += 1;
            }
            Item::Lz { offset, length } => {
                let (offset, length) = (offset as usize, length as usize);
                if offset > position {
                    return Err(DecodeError::BadOffset);
                }
                let room = size - position;
                if length + COPY_OVERRUN > room {
                    if length > room {
                        return Err(DecodeError::BadLength);
                    }
                    copy_match(out, position, offset, length);
                } else {
                    // SAFETY: the offset, at least 1, lies in what is written; the copy and its overrun in the room;
                    // the caller answers for the processor.
                    unsafe { copy_match_fast(cpu, out.as_mut_ptr().add(position), offset, length) };
                }
                position += length;
            }
            Item::Delta { source, length } => position = copy_delta(out, position, source, length)?,
        }
    }
    *lent = streams;
    Ok(position)
}
