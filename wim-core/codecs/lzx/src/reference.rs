//! The shortest correct decoder of WIM LZX, straight from the description: an oracle for tests, fuzzing and benches.
//!
//! [MS-PATCH] describes the codes and blocks, wimlib the differences of WIM. It reads codewords bit by bit, takes
//! units as lazily as possible and copies byte by byte; it shares nothing with the real decoder but constants.

use crate::DecodeError;
use crate::format::{OFFSET_BASE, WindowOrder, extra_bits};

/// A reader that takes a unit only when its first bit is wanted.
struct Bits<'a> {
    data: &'a [u8],
    next: usize,
    unit: u16,
    left: u32,
}

impl Bits<'_> {
    fn bit(&mut self) -> Result<u32, DecodeError> {
        if self.left == 0 {
            let [low, high] = [0, 1].map(|i| self.data.get(self.next + i).copied());
            let (Some(low), Some(high)) = (low, high) else { return Err(DecodeError::Truncated) };
            (self.unit, self.left, self.next) = (u16::from_le_bytes([low, high]), 16, self.next + 2);
        }
        self.left -= 1;
        Ok(u32::from(self.unit >> self.left) & 1)
    }

    fn bits(&mut self, count: u32) -> Result<usize, DecodeError> {
        (0..count).try_fold(0, |value, _| Ok(value << 1 | self.bit()? as usize))
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.next += 1;
        self.data.get(self.next - 1).copied().ok_or(DecodeError::Truncated)
    }

    fn symbol(&mut self, code: &Code) -> Result<usize, DecodeError> {
        if code.0.is_empty() {
            return Err(DecodeError::EmptyCode);
        }
        let (mut len, mut word) = (0, 0);
        loop {
            (len, word) = (len + 1, word << 1 | self.bit()?);
            if let Ok(index) = code.0.binary_search_by_key(&(len, word), |&(len, word, _)| (len, word)) {
                return Ok(code.0[index].2);
            }
        }
    }
}

/// (length, codeword, symbol) in canonical order.
struct Code(Vec<(u8, u32, usize)>);

impl Code {
    fn new(lengths: &[u8]) -> Result<Self, DecodeError> {
        let (mut code, mut next) = (Vec::new(), 0u32);
        for len in 1..=16 {
            next <<= 1;
            for (symbol, _) in lengths.iter().enumerate().filter(|&(_, &l)| l == len) {
                code.push((len, next, symbol));
                next += 1;
            }
        }
        if next == 0 || next == 1 << 16 { Ok(Self(code)) } else { Err(DecodeError::BadCode) }
    }
}

fn read_lengths(bits: &mut Bits<'_>, lengths: &mut [u8]) -> Result<(), DecodeError> {
    let mut precode = [0; 20];
    for len in &mut precode {
        *len = bits.bits(4)? as u8;
    }
    let precode = Code::new(&precode)?;
    let mut i = 0;
    while i < lengths.len() {
        let delta = |old: u8, symbol: usize| ((17 + usize::from(old) - symbol) % 17) as u8;
        let (run, value) = match bits.symbol(&precode)? {
            17 => (4 + bits.bits(4)?, 0),
            18 => (20 + bits.bits(5)?, 0),
            19 => {
                let run = 4 + bits.bits(1)?;
                match bits.symbol(&precode)? {
                    symbol @ 0..=16 => (run, delta(lengths[i], symbol)),
                    _ => return Err(DecodeError::BadCode),
                }
            }
            symbol => (1, delta(lengths[i], symbol)),
        };
        if run > lengths.len() - i {
            return Err(DecodeError::BadLength);
        }
        lengths[i..i + run].fill(value);
        i += run;
    }
    Ok(())
}

/// Decodes one chunk whose uncompressed size is `out.len()`; returns what the real decoder returns.
///
/// # Errors
/// As [`Decoder::decode`](crate::Decoder::decode).
pub fn decode(window: WindowOrder, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
    if out.len() > window.bytes() as usize {
        return Err(DecodeError::OutputTooLong);
    }
    let mut bits = Bits { data: compressed, next: 0, unit: 0, left: 0 };
    let mut main_lens = vec![0; window.num_main_symbols()];
    let mut length_lens = [0; 249];
    let mut recent = [1usize; 3];
    let mut done = 0;
    while done < out.len() {
        let kind = bits.bits(3)?;
        if !(1..=3).contains(&kind) {
            return Err(DecodeError::BadBlock);
        }
        let size = match bits.bit()? {
            1 => 32768,
            _ => bits.bits(if window.log2() == 15 { 16 } else { 24 })?,
        };
        if size == 0 || size > out.len() - done {
            return Err(DecodeError::BadBlock);
        }
        let end = done + size;
        if kind == 3 {
            if bits.left == 0 {
                bits.bit()?;
            }
            bits.left = 0;
            for offset in &mut recent {
                *offset = 0;
                for shift in [0, 8, 16, 24] {
                    *offset |= usize::from(bits.byte()?) << shift;
                }
            }
            if recent.contains(&0) {
                return Err(DecodeError::BadOffset);
            }
            for byte in &mut out[done..end] {
                *byte = bits.byte()?;
            }
            done = end;
            if size % 2 == 1 && end < out.len() {
                bits.byte()?;
            }
            continue;
        }
        let mut aligned_lens = [0; 8];
        if kind == 2 {
            for len in &mut aligned_lens {
                *len = bits.bits(3)? as u8;
            }
        }
        let aligned = Code::new(&aligned_lens)?;
        read_lengths(&mut bits, &mut main_lens[..256])?;
        read_lengths(&mut bits, &mut main_lens[256..])?;
        let main = Code::new(&main_lens)?;
        read_lengths(&mut bits, &mut length_lens)?;
        let length = Code::new(&length_lens)?;
        while done < end {
            let symbol = bits.symbol(&main)?;
            if symbol < 256 {
                out[done] = symbol as u8;
                done += 1;
                continue;
            }
            let (mut len, slot) = (symbol % 8 + 2, (symbol - 256) / 8);
            if len == 9 {
                len += bits.symbol(&length)?;
            }
            if slot < 3 {
                recent.swap(0, slot);
            } else {
                let extra = match extra_bits(slot) {
                    count if kind == 2 && count >= 3 => bits.bits(count - 3)? << 3 | bits.symbol(&aligned)?,
                    count => bits.bits(count)?,
                };
                recent = [OFFSET_BASE[slot] as usize + extra, recent[0], recent[1]];
            }
            if recent[0] > done {
                return Err(DecodeError::BadOffset);
            }
            if len > end - done {
                return Err(DecodeError::BadLength);
            }
            for _ in 0..len {
                out[done] = out[done - recent[0]];
                done += 1;
            }
        }
    }
    let mut i = 0;
    while i + 10 < out.len() {
        if out[i] != 0xe8 {
            i += 1;
            continue;
        }
        let value = i32::from_le_bytes([out[i + 1], out[i + 2], out[i + 3], out[i + 4]]);
        let new = match value {
            0..12_000_000 => value - i as i32,
            _ if value < 0 && value >= -(i as i32) => value + 12_000_000,
            _ => value,
        };
        out[i + 1..i + 5].copy_from_slice(&new.to_le_bytes());
        i += 5;
    }
    Ok(())
}
