//! KWAJ's LZH: matches in a ring of 4096 bytes and literals in runs, by five Huffman codes that stand before them.
//!
//! Described in libmspack's documentation, whose decoder was the peer when this was written. The format has no mark for its end: it ends
//! where the bits do, so that the length in the file's header, or the caller, says what is missing.

use super::RING_BYTES;
use crate::base::{Error, Result};

/// Longest code that a table can give a symbol.
const MAX_CODE_BITS: usize = 16;
/// How many symbols the codes have: match lengths after a match and after literals, lengths of literal runs, distances, literals.
const SYMBOLS: [usize; 5] = [16, 16, 32, 64, 256];
/// The longest run of literals, after which another one may follow.
const LONGEST_RUN: usize = 32;

/// Expands `data` up to `limit` bytes.
///
/// # Errors
/// `Format` for codes that are none.
pub(super) fn expand(data: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut bits = Bits { data, at: 0 };
    let mut out = Vec::new();
    let Some(tables) = tables(&mut bits)? else { return Ok(out) };
    let [after_match, after_run, runs, distances, literals] = &tables;
    let mut ring = [b' '; RING_BYTES];
    let (mut at, mut is_after_run) = (0, false);
    let mut put = |ring: &mut [u8; RING_BYTES], byte: u8, out: &mut Vec<u8>| {
        if let Some(slot) = ring.get_mut(at % RING_BYTES) {
            *slot = byte;
        }
        out.push(byte);
        at += 1;
        at
    };
    let mut end = 0;
    loop {
        let lengths = if is_after_run { after_run } else { after_match };
        let Some(length) = lengths.read(&mut bits)? else { return Ok(out) };
        if length > 0 {
            is_after_run = false;
            let Some(high) = distances.read(&mut bits)? else { return Ok(out) };
            let Some(low) = bits.take(6) else { return Ok(out) };
            let distance = high << 6 | low;
            for _ in 0..length + 2 {
                if out.len() as u64 >= limit {
                    return Ok(out);
                }
                let from = (end + RING_BYTES - distance) % RING_BYTES;
                let byte = ring.get(from).copied().unwrap_or(b' ');
                end = put(&mut ring, byte, &mut out);
            }
        } else {
            let Some(run) = runs.read(&mut bits)? else { return Ok(out) };
            is_after_run = run + 1 != LONGEST_RUN;
            for _ in 0..=run {
                if out.len() as u64 >= limit {
                    return Ok(out);
                }
                let Some(literal) = literals.read(&mut bits)? else { return Ok(out) };
                end = put(&mut ring, u8::try_from(literal).unwrap_or(0), &mut out);
            }
        }
    }
}

/// Bits, the highest of each byte first.
struct Bits<'d> {
    data: &'d [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next `count` bits as a number; none when there are not as many.
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8)?;
            number = number << 1 | usize::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number)
    }
}

/// A Huffman code: shorter codes first, those of one length in the order of their symbols.
struct Code {
    /// How many codes have each length.
    counts: [usize; MAX_CODE_BITS + 1],
    symbols: Vec<usize>,
}

impl Code {
    /// The code with these lengths, of which 0 is for symbols that do not occur.
    fn new(lengths: &[usize]) -> Result<Self> {
        let bad = |what: &str| Error::format("KWAJ data", "code lengths", 0, what);
        let mut counts = [0; MAX_CODE_BITS + 1];
        for &length in lengths {
            *counts.get_mut(length).ok_or_else(|| bad("a code is longer than 16 bits"))? += 1;
        }
        counts[0] = 0;
        let mut by_length = counts.iter().skip(1);
        let room = by_length.try_fold(1_usize, |left, &count| (left * 2).checked_sub(count));
        let is_empty = counts.iter().all(|&count| count == 0);
        if room != Some(0) && !is_empty {
            return Err(bad("the codes are too many or too few for their lengths"));
        }
        let mut used: Vec<(usize, usize)> =
            lengths.iter().copied().enumerate().filter(|&(_, length)| length > 0).collect();
        used.sort_by_key(|&(_, length)| length);
        let symbols = used.into_iter().map(|(symbol, _)| symbol).collect();
        Ok(Self { counts, symbols })
    }

    /// The next symbol; none at the end of the data.
    fn read(&self, bits: &mut Bits<'_>) -> Result<Option<usize>> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in self.counts.iter().skip(1) {
            let Some(bit) = bits.take(1) else { return Ok(None) };
            code = code << 1 | bit;
            if code < first + count {
                return Ok(self.symbols.get(index + code - first).copied());
            }
            index += count;
            first = (first + count) << 1;
        }
        Err(Error::format("KWAJ data", "codes", 0, "a code that no symbol has"))
    }
}

/// The five codes at the beginning; none when the data ends in them.
fn tables(bits: &mut Bits<'_>) -> Result<Option<[Code; 5]>> {
    let mut kinds = [0; 6];
    for kind in &mut kinds {
        let Some(number) = bits.take(4) else { return Ok(None) };
        *kind = number;
    }
    let mut codes = Vec::new();
    for (kind, symbols) in kinds.into_iter().zip(SYMBOLS) {
        let Some(lengths) = lengths(bits, kind, symbols)? else { return Ok(None) };
        codes.push(Code::new(&lengths)?);
    }
    Ok(codes.try_into().ok())
}

/// The lengths of a code of that many symbols, written in one of four ways; none when the data ends in them.
fn lengths(bits: &mut Bits<'_>, kind: usize, symbols: usize) -> Result<Option<Vec<usize>>> {
    if kind == 0 {
        return Ok(Some(vec![symbols.ilog2() as usize; symbols]));
    }
    let Some(mut length) = bits.take(4) else { return Ok(None) };
    let mut lengths = vec![length];
    while lengths.len() < symbols {
        let next = match kind {
            1 => match bits.take(1) {
                Some(0) => Some(length),
                Some(_) => match bits.take(1) {
                    Some(0) => Some(length + 1),
                    Some(_) => bits.take(4),
                    None => None,
                },
                None => None,
            },
            2 => match bits.take(2) {
                Some(3) => bits.take(4),
                Some(step) => Some((length + step).checked_sub(1).ok_or_else(|| {
                    Error::format("KWAJ data", "code lengths", 0, "a code is shorter than nothing")
                })?),
                None => None,
            },
            3 => bits.take(4),
            other => {
                let what = format!("are written in way {other}; there are four ways");
                return Err(Error::format("KWAJ data", "code lengths", 0, what));
            }
        };
        let Some(next) = next else { return Ok(None) };
        length = next;
        lengths.push(length);
    }
    Ok(Some(lengths))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits written as they are read.
    #[derive(Default)]
    struct Writer {
        bytes: Vec<u8>,
        count: usize,
    }

    impl Writer {
        fn put(&mut self, number: usize, bits: usize) {
            for bit in (0..bits).rev() {
                if self.count.is_multiple_of(8) {
                    self.bytes.push(0);
                }
                let last = self.bytes.last_mut().unwrap();
                *last |= u8::try_from(number >> bit & 1).unwrap() << (7 - self.count % 8);
                self.count += 1;
            }
        }
    }

    /// "abc", a match of 6 bytes 3 back, then `tail` literals, with codes of equal lengths.
    fn sample(tail: &[u8]) -> Vec<u8> {
        let mut out = Writer::default();
        (0..6).for_each(|_| out.put(0, 4));
        out.put(0, 4);
        out.put(2, 5);
        b"abc".iter().for_each(|&byte| out.put(byte.into(), 8));
        out.put(4, 4);
        out.put(0, 6);
        out.put(3, 6);
        for run in tail.chunks(LONGEST_RUN) {
            out.put(0, 4);
            out.put(run.len() - 1, 5);
            run.iter().for_each(|&byte| out.put(byte.into(), 8));
        }
        out.bytes
    }

    #[test]
    fn matches_and_runs_of_literals_expand() {
        assert_eq!(expand(&sample(b""), 9).unwrap(), b"abcabcabc");
        let tail: Vec<u8> = (0..100).collect();
        assert_eq!(expand(&sample(&tail), 109).unwrap()[9..], tail);
        // A match of what was never written gives blanks.
        let mut out = Writer::default();
        (0..6).for_each(|_| out.put(0, 4));
        out.put(1, 4);
        out.put(0, 6);
        out.put(9, 6);
        assert_eq!(expand(&out.bytes, 3).unwrap(), b"   ");
    }

    #[test]
    fn lengths_of_codes_are_written_in_four_ways() {
        // The same 16 lengths, 1 2 3 4 ... as far as they go: 1, 2, 3, 4, 5, 5 and zeros.
        let wanted = [1, 2, 3, 4, 5, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        type Way = fn(&mut Writer, usize, usize);
        let ways: [(usize, Way); 3] = [
            (1, |out, before, now| match now {
                _ if now == before => out.put(0, 1),
                _ if now == before + 1 => out.put(0b10, 2),
                _ => {
                    out.put(0b11, 2);
                    out.put(now, 4);
                }
            }),
            (2, |out, before, now| match now + 1 {
                next if (before..before + 3).contains(&next) => out.put(next - before, 2),
                _ => {
                    out.put(3, 2);
                    out.put(now, 4);
                }
            }),
            (3, |out, _, now| out.put(now, 4)),
        ];
        for (kind, write) in ways {
            let mut out = Writer::default();
            out.put(wanted[0], 4);
            wanted.windows(2).for_each(|pair| write(&mut out, pair[0], pair[1]));
            let read = lengths(&mut Bits { data: &out.bytes, at: 0 }, kind, 16).unwrap().unwrap();
            assert_eq!(read, wanted, "{kind}");
            let code = Code::new(&read).unwrap();
            // 0, 10, 110, 1110, 11110, 11111.
            let mut bits = Bits { data: &[0b0101_1011, 0b1011_1101, 0b1111_0000], at: 0 };
            let symbols: Vec<_> = (0..6).map(|_| code.read(&mut bits).unwrap().unwrap()).collect();
            assert_eq!(symbols, [0, 1, 2, 3, 4, 5]);
        }
        assert!(lengths(&mut Bits { data: &[0; 9], at: 0 }, 4, 16).is_err());
        assert!(Code::new(&[1, 1, 1]).is_err() && Code::new(&[1, 0]).is_err() && Code::new(&[17]).is_err());
    }

    #[test]
    fn what_is_cut_gives_less_and_never_panics() {
        let whole = sample(b"and more of it");
        for end in 0..whole.len() {
            assert!(expand(&whole[..end], 1 << 20).unwrap().len() < 24, "{end}");
        }
    }
}
