//! The E8 translation: operands of x86 `call` instructions, made absolute before compression and relative after.
//!
//! Described in [MS-PATCH] 2.1; always on in WIM with a fixed file size and positions that restart in each chunk,
//! optional in CAB with a file size from the stream and positions in the folder. It does not look at what the
//! bytes mean: every byte E8 counts, in data too.

use std::hint::select_unpredictable;

use crate::format::{E8_FILE_SIZE, E8_TAIL_BYTES};

/// Byte that starts a translated operand.
const OPCODE: u8 = 0xe8;
/// Bytes of an opcode and its operand.
const CALL_BYTES: usize = 5;
/// Bytes looked at together by the scan.
const BLOCK_BYTES: usize = 64;

/// Makes call operands of a WIM chunk absolute: what an encoder does first.
pub fn translate(chunk: &mut [u8]) {
    translate_at(chunk, 0);
}

/// As [`translate`], for a CAB frame that starts `base` bytes into the folder's data; the file size is WIM's.
///
/// `base` plus the frame length must not pass 2^31; CAB stops translating at 1 GiB.
#[inline(always)]
pub(crate) fn translate_at(frame: &mut [u8], base: u32) {
    for_each_call(frame, |position, relative| {
        let position = (base as i32).wrapping_add(position as i32);
        if relative < -position || relative >= E8_FILE_SIZE {
            relative
        } else if relative < E8_FILE_SIZE - position {
            relative + position
        } else {
            relative - E8_FILE_SIZE
        }
    });
}

/// Makes call operands of a decoded WIM chunk relative again.
pub fn restore(chunk: &mut [u8]) {
    restore_at(chunk, 0, E8_FILE_SIZE);
}

/// As [`restore`], for a CAB frame that starts `base` bytes into the folder's output.
///
/// `base` plus the frame length must not pass 2^31; CAB stops translating at 1 GiB.
pub(crate) fn restore_at(frame: &mut [u8], base: u32, file_size: i32) {
    for_each_call(frame, |position, absolute| {
        let position = (base as i32).wrapping_add(position as i32);
        // Which case it is cannot be predicted in data that is no code.
        let after = select_unpredictable(
            (0..file_size).contains(&absolute),
            absolute.wrapping_sub(position),
            absolute,
        );
        let wraps = absolute < 0 && absolute >= -position;
        select_unpredictable(wraps, absolute.wrapping_add(file_size), after)
    });
}

/// Calls `change` with position and operand of each call, in order, and stores what it returns.
///
/// An operand is never searched for opcodes itself. The last [`E8_TAIL_BYTES`] bytes hold no opcode.
#[inline(always)]
fn for_each_call(data: &mut [u8], change: impl Fn(usize, i32) -> i32) {
    let end = data.len().saturating_sub(E8_TAIL_BYTES);
    let handle = |data: &mut [u8], position: usize| {
        if let Some(operand) = data.get_mut(position + 1..).and_then(<[u8]>::first_chunk_mut::<4>) {
            *operand = change(position, i32::from_le_bytes(*operand)).to_le_bytes();
        }
    };
    let mut start = 0;
    while let Some(block) = data.get(start..end).and_then(<[u8]>::first_chunk::<BLOCK_BYTES>) {
        let mut hits = opcode_mask(block);
        let mut next = start + BLOCK_BYTES;
        while hits != 0 {
            let index = hits.trailing_zeros() as usize;
            handle(data, start + index);
            let after = index + CALL_BYTES;
            if after >= BLOCK_BYTES {
                next = start + after;
                break;
            }
            hits &= u64::MAX << after;
        }
        start = next;
    }
    while start < end {
        if data[start] == OPCODE {
            handle(data, start);
            start += CALL_BYTES;
        } else {
            start += 1;
        }
    }
}

/// One bit for each byte that is an opcode, the first byte in bit 0.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SSE2 compare and movemask; listed in UNSAFE.md")]
#[inline(always)]
fn opcode_mask(block: &[u8; BLOCK_BYTES]) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    let mut mask = 0;
    for (index, vector) in block.as_chunks::<16>().0.iter().enumerate() {
        // SAFETY: SSE2 is part of x86-64; the unaligned load is of the 16 bytes of `vector`.
        let hits = unsafe {
            _mm_movemask_epi8(_mm_cmpeq_epi8(
                _mm_loadu_si128(vector.as_ptr().cast()),
                _mm_set1_epi8(OPCODE.cast_signed()),
            ))
        };
        mask |= u64::from(hits.cast_unsigned()) << (16 * index);
    }
    mask
}

/// One bit for each byte that is an opcode, the first byte in bit 0.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn opcode_mask(block: &[u8; BLOCK_BYTES]) -> u64 {
    // A whole-block test first, which compilers turn into vector code: opcodes are rare.
    if !block.iter().fold(false, |any, &byte| any | (byte == OPCODE)) {
        return 0;
    }
    block.iter().enumerate().fold(0, |mask, (index, &byte)| mask | u64::from(byte == OPCODE) << index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as [MS-PATCH] words it, one byte at a time.
    fn restore_plainly(data: &mut [u8], base: i64, file_size: i64) {
        let mut i = 0;
        while i + E8_TAIL_BYTES < data.len() {
            if data[i] != OPCODE {
                i += 1;
                continue;
            }
            let operand: &mut [u8; 4] = (&mut data[i + 1..i + 5]).try_into().expect("four bytes");
            let (value, position) = (i64::from(i32::from_le_bytes(*operand)), base + i as i64);
            let new = if (0..file_size).contains(&value) {
                value - position
            } else if (-position..0).contains(&value) {
                value + file_size
            } else {
                value
            };
            *operand = (new as i32).to_le_bytes();
            i += 5;
        }
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let byte = (state >> 56) as u8;
                // A fifth opcodes, a fifth of 00 and FF each: operands near zero from both sides.
                [OPCODE, 0, 0xff, byte, byte][(state >> 40) as usize % 5]
            })
            .collect()
    }

    #[test]
    fn known_operands() {
        let mut chunk = vec![0x90; 64];
        let calls = [(10, 1000), (20, -15), (30, 11_999_990), (40, -41), (49, 7), (54, 7)];
        for (at, operand) in calls {
            chunk[at] = OPCODE;
            chunk[at + 1..at + 5].copy_from_slice(&i32::to_le_bytes(operand));
        }
        let plain = chunk.clone();
        translate(&mut chunk);
        for ((at, _), stored) in calls.into_iter().zip([1010, 5, -10, -41, 56, 7]) {
            assert_eq!(chunk[at + 1..at + 5], i32::to_le_bytes(stored), "call at {at}");
        }
        restore(&mut chunk);
        assert_eq!(chunk, plain);
    }

    #[test]
    fn last_translated_position_is_eleven_before_the_end() {
        for (at, translated) in [(53, true), (54, false)] {
            let mut chunk = [0u8; 64];
            chunk[at] = OPCODE;
            let plain = chunk;
            translate(&mut chunk);
            assert_eq!(chunk != plain, translated);
        }
    }

    #[test]
    fn both_directions_cancel_and_agree_with_the_plain_rule() {
        for len in (0..200).chain([32768, 32767, 40000]) {
            let plain = noise(len, len as u64 + 1);
            let mut chunk = plain.clone();
            translate(&mut chunk);
            let mut slow = chunk.clone();
            restore(&mut chunk);
            assert_eq!(chunk, plain, "length {len}");
            restore_plainly(&mut slow, 0, i64::from(E8_FILE_SIZE));
            assert_eq!(slow, plain, "length {len}");
        }
    }

    #[test]
    fn frames_count_from_the_start_of_the_folder() {
        for base in [0, 32768, 3 << 20, 15 << 20, (1 << 30) - 32768] {
            for file_size in [0, 1, 5000, 2_000_000, i32::MAX] {
                let plain = noise(32768, u64::from(base));
                let mut translated = plain.clone();
                translate_at(&mut translated, base);
                restore_at(&mut translated, base, E8_FILE_SIZE);
                assert_eq!(translated, plain, "base {base}");
                let mut fast = plain;
                let mut slow = fast.clone();
                restore_at(&mut fast, base, file_size);
                restore_plainly(&mut slow, i64::from(base), i64::from(file_size));
                assert_eq!(fast, slow, "base {base}, file size {file_size}");
            }
        }
    }
}
