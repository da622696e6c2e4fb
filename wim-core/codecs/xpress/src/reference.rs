//! The shortest correct XPRESS decoder, straight from [MS-XCA] 2.1 and 2.2: an oracle for tests, fuzzing and benches.
//!
//! It reads codewords bit by bit, refills as lazily as Microsoft's reader and copies byte by byte. It shares
//! nothing with the real decoder but the format's constants.

use crate::DecodeError;
use crate::format::{LENGTHS_BYTES, MAX_CHUNK_BYTES, MAX_CODEWORD_LEN, NUM_SYMBOLS};

/// Bits taken from the stream but not used yet: 16 to 31 of them whenever a symbol has just been read.
struct Bits<'a> {
    data: &'a [u8],
    next: usize,
    buffer: u32,
    count: u32,
}

impl Bits<'_> {
    fn refill(&mut self) {
        while self.count < 16 && self.next + 2 <= self.data.len() {
            let unit = u16::from_le_bytes([self.data[self.next], self.data[self.next + 1]]);
            self.buffer = self.buffer << 16 | u32::from(unit);
            self.count += 16;
            self.next += 2;
        }
    }

    fn bit(&mut self) -> Result<u32, DecodeError> {
        self.count = self.count.checked_sub(1).ok_or(DecodeError::Truncated)?;
        Ok((self.buffer >> self.count) & 1)
    }

    fn byte(&mut self) -> Result<usize, DecodeError> {
        self.next += 1;
        self.data.get(self.next - 1).map(|&byte| usize::from(byte)).ok_or(DecodeError::Truncated)
    }
}

/// Decodes one chunk whose uncompressed size is `out.len()`; returns what the real decoder returns.
///
/// # Errors
/// As [`Decoder::decode`](crate::Decoder::decode).
pub fn decode(compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
    if out.len() > MAX_CHUNK_BYTES {
        return Err(DecodeError::OutputTooLong);
    }
    if compressed.len() < LENGTHS_BYTES {
        return Err(DecodeError::Truncated);
    }
    let len_of = |symbol: usize| u32::from(compressed[symbol / 2] >> (4 * (symbol % 2)) & 15);
    // (length, codeword, symbol) of each symbol in canonical order.
    let mut code = Vec::new();
    let mut next = 0u32;
    for len in 1..=MAX_CODEWORD_LEN {
        next <<= 1;
        for symbol in (0..NUM_SYMBOLS).filter(|&symbol| len_of(symbol) == len) {
            code.push((len, next, symbol));
            next += 1;
        }
    }
    match next {
        0 if out.is_empty() => return Ok(()),
        0 => return Err(DecodeError::EmptyCode),
        full if full == 1 << MAX_CODEWORD_LEN => {}
        _ => return Err(DecodeError::BadCode),
    }

    let mut bits = Bits { data: &compressed[LENGTHS_BYTES..], next: 0, buffer: 0, count: 0 };
    let mut done = 0;
    while done < out.len() {
        bits.refill();
        let (mut len, mut word) = (0, 0);
        let symbol = loop {
            word = word << 1 | bits.bit()?;
            len += 1;
            if let Ok(index) = code.binary_search_by_key(&(len, word), |&(len, word, _)| (len, word)) {
                break code[index].2;
            }
        };
        if symbol < 256 {
            out[done] = symbol as u8;
            done += 1;
            continue;
        }
        bits.refill();
        let mut length = symbol % 16;
        if length == 15 {
            length += bits.byte()?;
            if length == 15 + 255 {
                length = bits.byte()? | bits.byte()? << 8;
                if length < 15 {
                    return Err(DecodeError::BadLength);
                }
            }
        }
        let mut offset = 1;
        for _ in 0..(symbol - 256) / 16 {
            offset = offset << 1 | bits.bit()? as usize;
        }
        if offset > done {
            return Err(DecodeError::BadOffset);
        }
        if length + 3 > out.len() - done {
            return Err(DecodeError::BadLength);
        }
        for _ in 0..length + 3 {
            out[done] = out[done - offset];
            done += 1;
        }
    }
    Ok(())
}
