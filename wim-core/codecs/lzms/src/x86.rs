//! The x86 filter: operands of calls, jumps and address computations, relative in the data, absolute in the stream.
//!
//! It always runs over the whole chunk, whatever is in it; facts from wimlib's source. To spare other data, an operand
//! is translated only near an instruction whose target some other one shared. It knows nothing of the items.

/// No filtering below this many bytes, and none of the last 16.
const TAIL: usize = 17;
/// How close two operands with the same target must be, and how far a match lets later ones be translated: in bytes.
const TARGET_REACH: i32 = 65535;
const CODE_REACH: i32 = 1023;
/// As [`CODE_REACH`], for calls: E8 alone says little.
const CALL_REACH: i32 = 511;
/// Longest step over one instruction.
const MAX_STEP: usize = 7;

/// Memory of the filter: where each target was last referred to.
#[derive(Clone, Debug)]
pub(crate) struct X86Filter {
    /// By the low 16 bits of the target: `base` plus the position of the last byte of the operand.
    last_operand: Box<[i32; 1 << 16]>,
    /// What position 0 of the chunk counts as; grows from chunk to chunk, so that the table needs no clearing.
    base: i32,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToRelative,
    ToAbsolute,
}

/// An instruction: where its operand starts, and how close code must be.
struct Hit {
    operand: usize,
    reach: i32,
}

/// The instruction at `at`, or how many bytes to step over.
#[inline(always)]
fn instruction(data: &[u8], at: usize) -> Result<Hit, usize> {
    let [first, second, third] = [data[at], data[at + 1], data[at + 2]];
    let operand = match first {
        0xE8 => return Ok(Hit { operand: at + 1, reach: CALL_REACH }),
        0xE9 => return Err(5),
        0xFF if second == 0x15 => at + 2,
        0xF0 if second == 0x83 && third == 0x05 => at + 3,
        0x48 | 0x4C if second == 0x8D && third & 7 == 5 => at + 3,
        0x48 if second == 0x8B && third & 0xF7 == 5 => at + 3,
        _ => return Err(1),
    };
    Ok(Hit { operand, reach: CODE_REACH })
}

impl X86Filter {
    /// Memory of one filter in bytes.
    pub(crate) const SCRATCH_BYTES: usize = 4 << 16;

    pub(crate) fn new() -> Self {
        let table: Box<[i32]> = vec![NEVER; 1 << 16].into_boxed_slice();
        let last_operand = table.try_into().expect("the length is that of the array");
        Self { last_operand, base: 0 }
    }

    /// Undoes the filter on a decoded chunk.
    pub(crate) fn decode(&mut self, data: &mut [u8]) {
        self.run::<{ Direction::ToRelative as u8 }>(data);
    }

    /// Applies the filter to a chunk about to be encoded.
    pub(crate) fn encode(&mut self, data: &mut [u8]) {
        self.run::<{ Direction::ToAbsolute as u8 }>(data);
    }

    fn run<const DIRECTION: u8>(&mut self, data: &mut [u8]) {
        if data.len() <= TAIL {
            return;
        }
        let end = data.len() - 16;
        let base = self.begin(data.len());
        let mut last_code = base - CODE_REACH - 1;
        let mut at = 1;
        while at < end {
            // Bytes that begin no instruction are most, and are searched so many at a time.
            let Some(block) = data[at..].first_chunk::<LOOKED_AT>().filter(|_| at + BLOCK <= end) else {
                at = self.step::<DIRECTION>(data, at, base, &mut last_code);
                continue;
            };
            let (start, mut hits) = (at, beginnings(block));
            at += BLOCK;
            while hits != 0 {
                let hit = start + hits.trailing_zeros() as usize;
                let next = self.step::<DIRECTION>(data, hit, base, &mut last_code);
                if next >= start + BLOCK {
                    at = next;
                    break;
                }
                hits &= u64::MAX << (next - start);
            }
        }
    }

    /// Translates the operand of the instruction at `at`, if there is one; returns where to look next.
    #[inline(always)]
    fn step<const DIRECTION: u8>(
        &mut self,
        data: &mut [u8],
        at: usize,
        base: i32,
        last_code: &mut i32,
    ) -> usize {
        let Hit { operand, reach } = match instruction(data, at) {
            Ok(hit) => hit,
            Err(step) => return at + step,
        };
        let Some(bytes) = data.get_mut(operand..).and_then(<[u8]>::first_chunk_mut::<4>) else {
            return data.len();
        };
        let here = at as u32;
        let stored = u32::from_le_bytes(*bytes);
        // Near code stays near and other data stays far, so that branches are guessed better than they are waited for.
        let is_near = base + at as i32 - *last_code <= reach;
        let relative = if DIRECTION == Direction::ToAbsolute as u8 {
            if is_near {
                *bytes = stored.wrapping_add(here).to_le_bytes();
            }
            stored
        } else if is_near {
            let relative = stored.wrapping_sub(here);
            *bytes = relative.to_le_bytes();
            relative
        } else {
            stored
        };
        let target = here.wrapping_add(relative) as u16;
        let last_byte = base + operand as i32 + 3;
        let known = &mut self.last_operand[usize::from(target)];
        if last_byte - *known <= TARGET_REACH {
            *last_code = last_byte;
        }
        *known = last_byte;
        operand + 4
    }

    /// Begins a chunk: nothing that the table knows is within reach of it.
    fn begin(&mut self, size: usize) -> i32 {
        // Chunks have at most 2^30 bytes.
        let size = i32::try_from(size).unwrap_or(i32::MAX);
        let room = TARGET_REACH + MAX_STEP as i32 + 1;
        if self.base.checked_add(size).and_then(|end| end.checked_add(room)).is_none() {
            self.last_operand.fill(NEVER);
            self.base = 0;
        }
        let base = self.base;
        self.base = base.saturating_add(size).saturating_add(room);
        base
    }
}

/// Positions searched at a time.
const BLOCK: usize = 64;
/// Bytes that tell what begins in a block.
const LOOKED_AT: usize = BLOCK + 2;

/// One bit for each position of a block where an instruction begins; the first in bit 0. There may be too many.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "SSE2 compare and movemask; listed in UNSAFE.md")]
#[inline(always)]
fn beginnings(block: &[u8; LOOKED_AT]) -> u64 {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_or_si128,
        _mm_set1_epi8,
    };
    let mut mask = 0;
    for start in (0..BLOCK).step_by(16) {
        // SAFETY: SSE2 is part of x86-64; the loads are of the 16 bytes at `start`, one and two later, and the array
        // has two more than a block.
        let hits = unsafe {
            let load = |at: usize| _mm_loadu_si128(block.as_ptr().add(at).cast());
            let same = |a: __m128i, b: u8| _mm_cmpeq_epi8(a, _mm_set1_epi8(b.cast_signed()));
            let but = |a: __m128i, bits: u8| _mm_and_si128(a, _mm_set1_epi8((!bits).cast_signed()));
            let (first, second, third) = (load(start), load(start + 1), load(start + 2));
            let call_or_jump = same(but(first, 1), 0xE8);
            let indirect = _mm_and_si128(same(first, 0xFF), same(second, 0x15));
            let locked = _mm_and_si128(same(first, 0xF0), same(second, 0x83));
            // 48 or 4C, then 8B or 8D, then an operand relative to the instruction.
            let wide = _mm_and_si128(same(but(first, 4), 0x48), same(but(second, 6), 0x89));
            let wide = _mm_and_si128(wide, same(but(third, 0xF8), 5));
            let any = _mm_or_si128(_mm_or_si128(call_or_jump, indirect), _mm_or_si128(locked, wide));
            _mm_movemask_epi8(any)
        };
        mask |= u64::from(hits.cast_unsigned()) << start;
    }
    mask
}

/// One bit for each position of a block where an instruction begins; the first in bit 0. There may be too many.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn beginnings(block: &[u8; LOOKED_AT]) -> u64 {
    let can_begin = |byte: u8| matches!(byte, 0x48 | 0x4C | 0xE8 | 0xE9 | 0xF0 | 0xFF);
    block[..BLOCK].iter().enumerate().fold(0, |mask, (i, &byte)| mask | u64::from(can_begin(byte)) << i)
}

/// In the table, for targets never seen: out of reach of any position.
const NEVER: i32 = -(TARGET_REACH + 1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Code with calls to few targets, and other instructions of the table.
    fn code(size: usize, seed: u32) -> Vec<u8> {
        let mut seed = seed;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        let mut out = Vec::new();
        while out.len() < size {
            let target = (next() % 6 * 999).wrapping_sub(out.len() as u32).to_le_bytes();
            match next() % 8 {
                0 => out.push(0xE8),
                1 => out.extend([0xFF, 0x15]),
                2 => out.extend([0x48, 0x8B, 0x0D]),
                3 => out.extend([0x4C, 0x8D, 0x15]),
                4 => out.extend([0xF0, 0x83, 0x05]),
                5 => out.push(0xE9),
                _ => {
                    out.extend((0..next() % 300).map(|_| 0x90));
                    continue;
                }
            }
            out.extend(target);
        }
        out.truncate(size);
        out
    }

    #[test]
    fn the_filter_undoes_itself_and_forgets_the_chunk_before() {
        let (mut there, mut back) = (X86Filter::new(), X86Filter::new());
        for size in (0..60).chain([1000, 65536, 200_000]) {
            let plain = code(size, size as u32);
            let mut data = plain.clone();
            there.encode(&mut data);
            let mut fresh = plain.clone();
            X86Filter::new().encode(&mut fresh);
            assert_eq!(data, fresh, "{size} bytes");
            assert!(size < 1000 || data != plain, "{size} bytes: nothing was translated");
            let mut simple = data.clone();
            back.decode(&mut data);
            assert_eq!(data, plain, "{size} bytes");
            crate::reference::undo_x86(&mut simple);
            assert_eq!(simple, plain, "{size} bytes");
        }
    }

    #[test]
    fn the_table_is_cleared_before_positions_overflow() {
        let mut filter = X86Filter::new();
        let plain = code(5000, 1);
        let mut expected = plain.clone();
        filter.encode(&mut expected);
        filter.base = i32::MAX - 70_000;
        let mut data = plain.clone();
        filter.encode(&mut data);
        assert_eq!((data == expected, filter.base < 100_000), (true, true));
    }
}
