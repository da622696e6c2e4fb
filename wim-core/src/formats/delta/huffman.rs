//! The canonical Huffman codes of a delta.
//!
//! Unlike DEFLATE's, the longest codewords are the numerically smallest; a codeword is read from its most significant bit.
//! Codes that do not use all codewords are accepted, and reading an unassigned one is an error; codes with too many
//! codewords are refused.

use super::bits::BitReader;
use crate::base::Result;

/// Longest codeword.
const MAX_CODEWORD_BITS: usize = 16;
/// Codewords up to this length are decoded by one look into a table.
const TABLE_BITS: u32 = 10;

/// A code over symbols 0, 1, 2 ….
#[derive(Clone, Debug)]
pub(super) struct Code {
    /// Indexed by the next [`TABLE_BITS`] bits of the stream: symbol << 4 | length; 0 for longer or unassigned codewords.
    table: Vec<u16>,
    /// By length: the first codeword, the number of codewords, and the place of the first in `symbols`.
    lengths: [Row; MAX_CODEWORD_BITS + 1],
    /// Symbols by length and number.
    symbols: Vec<u16>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    first: u32,
    count: u32,
    start: u32,
}

impl Code {
    /// The code whose symbol `i` has a codeword of `lengths[i]` bits; 0 is none.
    ///
    /// None when a length exceeds 16 or there are more codewords than bits allow.
    pub(super) fn new(lengths: &[u8]) -> Option<Self> {
        let mut rows = [Row::default(); MAX_CODEWORD_BITS + 1];
        for &length in lengths {
            rows.get_mut(usize::from(length))?.count += 1;
        }
        rows[0].count = 0;
        let used: u64 = rows.iter().zip(0..).map(|(row, bits)| u64::from(row.count) << (16 - bits)).sum();
        if used > 1 << 16 {
            return None;
        }
        let mut codeword = 0;
        for row in rows.iter_mut().skip(1).rev() {
            row.first = codeword;
            codeword = (codeword + row.count) >> 1;
        }
        let mut start = 0;
        for row in &mut rows {
            row.start = start;
            start += row.count;
        }
        let mut code =
            Self { table: vec![0; 1 << TABLE_BITS], lengths: rows, symbols: vec![0; start as usize] };
        code.fill(lengths);
        Some(code)
    }

    /// Writes symbols and table; long codewords first, since in an incomplete code a shorter one wins.
    fn fill(&mut self, lengths: &[u8]) {
        let mut next = self.lengths;
        let mut short = Vec::with_capacity(lengths.len());
        for (symbol, &bits) in (0_u16..).zip(lengths).filter(|(_, bits)| **bits != 0) {
            let Some(row) = next.get_mut(usize::from(bits)) else { continue };
            if let Some(slot) = self.symbols.get_mut(row.start as usize) {
                *slot = symbol;
            }
            if u32::from(bits) <= TABLE_BITS {
                short.push((bits, row.first, symbol));
            }
            row.start += 1;
            row.first += 1;
        }
        short.sort_by_key(|&(bits, ..)| std::cmp::Reverse(bits));
        for (bits, codeword, symbol) in short {
            // The stream shows the most significant bit first, as its lowest.
            let start = (codeword << (32 - u32::from(bits))).reverse_bits() as usize;
            let slots = self.table.get_mut(start..).unwrap_or_default();
            slots.iter_mut().step_by(1 << bits).for_each(|slot| *slot = symbol << 4 | u16::from(bits));
        }
    }

    /// The next symbol.
    ///
    /// # Errors
    /// `Format` at the end of the stream and for an unassigned codeword.
    #[inline]
    pub(super) fn read(&self, bits: &mut BitReader<'_>, field: &'static str) -> Result<u16> {
        let ahead = bits.peek();
        let index = usize::try_from(ahead & ((1 << TABLE_BITS) - 1)).unwrap_or(0);
        match self.table.get(index) {
            Some(&entry) if entry != 0 => {
                bits.skip(field, u32::from(entry & 15))?;
                Ok(entry >> 4)
            }
            _ => self.read_long(ahead, bits, field),
        }
    }

    #[cold]
    fn read_long(&self, ahead: u64, bits: &mut BitReader<'_>, field: &'static str) -> Result<u16> {
        let mut codeword = 0;
        for (row, length) in self.lengths.iter().zip(0_u32..).skip(1) {
            codeword = codeword << 1 | u32::from(ahead >> (length - 1) & 1 == 1);
            let number = codeword.wrapping_sub(row.first);
            if number < row.count {
                bits.skip(field, length)?;
                return Ok(self.symbols.get((row.start + number) as usize).copied().unwrap_or(0));
            }
        }
        Err(bits.error(field, "a codeword that the code does not have"))
    }
}

/// Lengths of the code that a stream uses when it sends none: as equal as `N` symbols allow.
pub(super) fn default_lengths<const N: usize>() -> [u8; N] {
    let bits = usize::BITS - (N - 1).leading_zeros();
    let shorter = (1 << bits) - N;
    let bits = u8::try_from(bits).unwrap_or(u8::MAX);
    let mut lengths = [bits; N];
    lengths.iter_mut().take(shorter).for_each(|length| *length -= 1);
    lengths
}

#[cfg(test)]
mod tests {
    use super::super::bits::tests::BitWriter;
    use super::*;

    fn put(writer: &mut BitWriter, codeword: &str) {
        codeword.chars().for_each(|c| {
            writer.put(u64::from(c == '1'), 1);
        });
    }

    #[test]
    fn the_longest_codewords_are_the_smallest() {
        let code = Code::new(&[1, 2, 3, 3]).unwrap();
        let mut writer = BitWriter::new();
        ["1", "01", "000", "001"].iter().for_each(|codeword| put(&mut writer, codeword));
        let bytes = writer.finish();
        let mut reader = BitReader::new("test", &bytes, 0).unwrap();
        for symbol in 0..4 {
            assert_eq!(code.read(&mut reader, "symbol").unwrap(), symbol);
        }
        assert!(code.read(&mut reader, "symbol").is_err());
    }

    #[test]
    fn long_codewords_are_found_without_the_table() {
        // Lengths 1, 2, … 15, 16, 16: a complete code.
        let lengths: Vec<u8> = (1..=16).chain([16]).collect();
        let code = Code::new(&lengths).unwrap();
        let mut writer = BitWriter::new();
        put(&mut writer, "0000000000000000");
        put(&mut writer, "0000000000000001");
        put(&mut writer, "000000000001");
        put(&mut writer, "1");
        let bytes = writer.finish();
        let mut reader = BitReader::new("test", &bytes, 0).unwrap();
        for symbol in [15, 16, 11, 0] {
            assert_eq!(code.read(&mut reader, "symbol").unwrap(), symbol);
        }
    }

    #[test]
    fn too_many_codewords_are_refused_and_missing_ones_are_errors() {
        assert!(Code::new(&[1, 1, 1]).is_none());
        assert!(Code::new(&[17]).is_none());
        let code = Code::new(&[0, 2]).unwrap();
        let mut writer = BitWriter::new();
        put(&mut writer, "0010");
        let bytes = writer.finish();
        let mut reader = BitReader::new("test", &bytes, 0).unwrap();
        assert_eq!(code.read(&mut reader, "symbol").unwrap(), 1);
        assert!(code.read(&mut reader, "symbol").unwrap_err().message().contains("does not have"));
        let empty = Code::new(&[0, 0]).unwrap();
        assert!(empty.read(&mut BitReader::new("test", &bytes, 0).unwrap(), "symbol").is_err());
    }

    #[test]
    fn default_codes_are_complete() {
        let main = default_lengths::<600>();
        assert_eq!((main[423], main[424]), (9, 10));
        assert_eq!(default_lengths::<256>(), [8; 256]);
        assert_eq!(default_lengths::<16>(), [4; 16]);
    }
}
