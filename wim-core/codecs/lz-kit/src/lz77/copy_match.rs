//! Copies of earlier output, which may overlap what they write.
//!
//! The meaning is that of every LZ77 format: byte by byte, so that an offset smaller than the length repeats a
//! pattern. Offsets and lengths are checked by the decoders, not here.

#![expect(unsafe_code, reason = "vector copies that write past the match; listed in UNSAFE.md")]

use std::hint;

/// Copies `len` bytes from `offset` bytes back to `position`, as if byte by byte.
///
/// # Panics
/// If `offset` is 0 or above `position`, or `position + len` above the length of `out`: the caller's checks come first.
#[inline]
pub fn copy_match(out: &mut [u8], position: usize, offset: usize, len: usize) {
    assert!(offset != 0 && offset <= position && len <= out.len() - position, "checked by the decoder");
    let start = position - offset;
    if offset >= len {
        out.copy_within(start..start + len, position);
        return;
    }
    // The pattern, then the pattern and its copy, and so on: each copy doubles what can be copied next.
    let mut copied = 0;
    while copied < len {
        let step = (offset + copied).min(len - copied);
        out.copy_within(start..start + step, position + copied);
        copied += step;
    }
}

/// Bytes that a fast copy may write past the end of its match.
pub const COPY_OVERRUN: usize = 32;

/// Bytes per vector.
const VECTOR: usize = 16;

/// Where the pattern of a match with a small offset is spread over a vector, by the means of one processor.
pub trait PatternCopy: Copy {
    /// Copies 16 bytes from `offset` bytes back to `to`, as if byte by byte.
    ///
    /// # Safety
    /// `offset` is not 0; `offset` bytes can be read before `to`, and 16 bytes from `to` read and written.
    /// The processor has what the implementation needs.
    unsafe fn copy_vector(self, to: *mut u8, offset: usize);
}

/// Any processor: bytes one by one for small offsets.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl PatternCopy for Portable {
    #[inline(always)]
    unsafe fn copy_vector(self, to: *mut u8, offset: usize) {
        // SAFETY: reads from `offset` bytes before `to` and writes within 16 bytes of it, as the caller allows.
        unsafe {
            if offset >= VECTOR {
                move_vector(to.sub(offset), to);
            } else if offset == 1 {
                to.cast::<[u8; VECTOR]>().write([*to.sub(1); VECTOR]);
            } else {
                for i in 0..VECTOR {
                    *to.add(i) = *to.add(i).sub(offset);
                }
            }
        }
    }
}

/// x86-64 with SSSE3: one shuffle for every offset.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Ssse3;

#[cfg(target_arch = "x86_64")]
impl PatternCopy for Ssse3 {
    #[inline(always)]
    unsafe fn copy_vector(self, to: *mut u8, offset: usize) {
        // SAFETY: as the trait demands of the caller, who has also seen that there is SSSE3.
        unsafe { ssse3_copy_vector(to, offset) }
    }
}

/// Byte i of mask o is i mod o: where the pattern of offset o continues. From 16 on the pattern fills a vector.
#[cfg(target_arch = "x86_64")]
static PATTERNS: [[u8; VECTOR]; VECTOR + 1] = {
    let mut patterns = [[0; VECTOR]; VECTOR + 1];
    let mut offset = 1;
    while offset <= VECTOR {
        let mut i = 0;
        while i < VECTOR {
            patterns[offset][i] = (i % offset) as u8;
            i += 1;
        }
        offset += 1;
    }
    patterns
};

/// See [`PatternCopy::copy_vector`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
#[inline]
unsafe fn ssse3_copy_vector(to: *mut u8, offset: usize) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_shuffle_epi8, _mm_storeu_si128};
    // SAFETY: 16 bytes from `to - offset` end at most 15 bytes behind `to`; the index is at most 16.
    unsafe {
        let mask = _mm_loadu_si128(PATTERNS.as_ptr().add(offset.min(VECTOR)).cast());
        let pattern = _mm_loadu_si128(to.sub(offset).cast());
        _mm_storeu_si128(to.cast(), _mm_shuffle_epi8(pattern, mask));
    }
}

/// Copies 16 bytes.
///
/// # Safety
/// They can be read at `from` and written at `to`; they may overlap.
#[inline(always)]
unsafe fn move_vector(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's duty; arrays of bytes have no alignment to keep.
    unsafe { to.cast::<[u8; VECTOR]>().write(from.cast::<[u8; VECTOR]>().read()) }
}

/// Copies `len` bytes from `offset` bytes back to `to` as if byte by byte, and perhaps some more behind.
///
/// # Safety
/// `offset` is not 0; `offset` bytes can be read before `to`, and `len` + [`COPY_OVERRUN`] bytes from `to` read and
/// written. The processor has what `cpu` needs.
#[inline(always)]
pub unsafe fn copy_match_fast<C: PatternCopy>(cpu: C, to: *mut u8, offset: usize, len: usize) {
    // SAFETY: the first vector ends at most 16 bytes behind the match, and the caller allows more.
    unsafe { cpu.copy_vector(to, offset) };
    if len > VECTOR {
        // SAFETY: the first 16 bytes are written now; the caller's promises hold.
        unsafe { copy_rest(to, offset, len) };
    }
}

/// Copies `len` bytes from `offset` bytes back to `to`, byte by byte and no byte more.
///
/// For the few matches next to the end of the output. It is no call of the safe copy, because a loop with a call
/// in it cannot keep values in vector registers.
///
/// # Safety
/// `offset` is not 0; `offset` bytes can be read before `to`, and `len` bytes from `to` read and written.
#[inline(always)]
pub unsafe fn copy_match_exactly(to: *mut u8, offset: usize, len: usize) {
    hint::cold_path();
    for i in 0..len {
        // SAFETY: the caller's duty.
        unsafe { *to.add(i) = *to.add(i).sub(offset) };
    }
}

/// Copies what is behind the first vector of a match.
///
/// A distance that is a multiple of the offset repeats the same pattern, so from 16 bytes on any multiple of the
/// offset that is at least a vector will do, as long as the pattern has been written that far back.
///
/// # Safety
/// As for [`copy_match_fast`], with the first 16 bytes of the match written.
#[inline(always)]
unsafe fn copy_rest(to: *mut u8, offset: usize, len: usize) {
    // SAFETY: reads start `distance` bytes before what is written, at or behind `to - offset`; each step writes 16
    // bytes from a place before the match's end.
    unsafe {
        if offset >= VECTOR {
            // Two vectors at once: few matches are longer than three, and each further turn is a guess.
            move_vector(to.add(VECTOR).sub(offset), to.add(VECTOR));
            move_vector(to.add(2 * VECTOR).sub(offset), to.add(2 * VECTOR));
            let mut done = 3 * VECTOR;
            while done < len {
                let at = to.add(done);
                move_vector(at.sub(offset), at);
                done += VECTOR;
            }
            return;
        }
        // 16 − 16 mod offset is the largest multiple within the first vector, at least 8.
        let stride = VECTOR - VECTOR % offset;
        let pattern = to.cast::<[u8; VECTOR]>().read();
        let mut done = stride;
        while done < len {
            to.add(done).cast::<[u8; VECTOR]>().write(pattern);
            done += stride;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_copies_repeat_the_pattern() {
        for offset in 1..40 {
            for len in 0..200 {
                let mut out: Vec<u8> = (0..offset as u8).collect();
                out.resize(offset + len + 5, 0xff);
                copy_match(&mut out, offset, offset, len);
                for i in 0..len {
                    assert_eq!(out[offset + i], (i % offset) as u8);
                }
                assert!(out[offset + len..].iter().all(|&byte| byte == 0xff));
            }
        }
    }

    #[test]
    fn fast_copies_agree_and_stay_within_their_overrun() {
        for offset in 1..70usize {
            for len in 1..150 {
                let start: Vec<u8> = (0..offset as u8).map(|i| i.wrapping_mul(37)).collect();
                let mut expected = start.clone();
                expected.resize(offset + len, 0);
                copy_match(&mut expected, offset, offset, len);
                let mut out = start.clone();
                out.resize(offset + len + COPY_OVERRUN, 0xee);
                // SAFETY: the vector holds the offset before, the match and the overrun.
                unsafe { copy_match_fast(Portable, out.as_mut_ptr().add(offset), offset, len) };
                assert_eq!(out[..offset + len], expected, "offset {offset}, length {len}");
                out.truncate(offset);
                out.resize(offset + len, 0xee);
                // SAFETY: the vector holds the offset before and the match.
                unsafe { copy_match_exactly(out.as_mut_ptr().add(offset), offset, len) };
                assert_eq!(out, expected, "offset {offset}, length {len}");
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("ssse3") {
                    out.truncate(offset);
                    out.resize(offset + len + COPY_OVERRUN, 0xee);
                    // SAFETY: as above, and there is SSSE3.
                    unsafe { copy_match_fast(Ssse3, out.as_mut_ptr().add(offset), offset, len) };
                    assert_eq!(out[..offset + len], expected, "offset {offset}, length {len}");
                }
            }
        }
    }
}
