//! The bit stream that all parts of a delta share.
//!
//! Bits are taken from the least significant end of each byte; the first three of every stream say how many bits of its
//! last byte are unused. It knows numbers, long numbers and buffers, and nothing of what they mean.

use crate::base::{Error, Result};

/// Bits that [`BitReader::peek`] always shows: a load of 8 bytes less the 7 that an unaligned start may cost.
const PEEK_BITS: u32 = 57;

/// A reader of one bit stream.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    /// What errors call the stream.
    structure: &'static str,
    bytes: &'a [u8],
    /// Offset of the stream in the delta, which errors count from.
    base: u64,
    /// Bits from the start of the stream.
    position: u64,
    /// Where the padding begins.
    end: u64,
}

impl<'a> BitReader<'a> {
    /// A reader behind the padding field of the stream in `bytes`.
    ///
    /// # Errors
    /// `Format` when the stream is empty or shorter than its padding.
    pub(super) fn new(structure: &'static str, bytes: &'a [u8], base: u64) -> Result<Self> {
        let mut reader = Self { structure, bytes, base, position: 0, end: bytes.len() as u64 * 8 };
        let padding = reader.take("unused bits", 3)?;
        if reader.end - reader.position < padding {
            return Err(reader.error("unused bits", "more than the stream has"));
        }
        reader.end -= padding;
        Ok(reader)
    }

    /// An error at the cursor.
    #[cold]
    pub(super) fn error(&self, field: &'static str, message: impl Into<String>) -> Error {
        Error::format(self.structure, field, self.base + self.position / 8, message)
            .remedy("the delta is damaged; get the package again from its source")
    }

    /// Bits before the padding.
    pub(super) fn bits_left(&self) -> u64 {
        self.end - self.position
    }

    /// The next bits, at least [`PEEK_BITS`] of them, lowest first; zeros past the end.
    pub(super) fn peek(&self) -> u64 {
        let at = usize::try_from(self.position / 8).unwrap_or(usize::MAX);
        let rest = self.bytes.get(at..).unwrap_or(&[]);
        let word = match rest.first_chunk::<8>() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        word >> (self.position % 8)
    }

    /// Moves over `bits` that [`Self::peek`] has shown.
    ///
    /// # Errors
    /// `Format` at the end of the stream.
    pub(super) fn skip(&mut self, field: &'static str, bits: u32) -> Result<()> {
        if u64::from(bits) > self.bits_left() {
            return Err(self.error(field, format!("needs {bits} bits, but {} are left", self.bits_left())));
        }
        self.position += u64::from(bits);
        Ok(())
    }

    /// The next `bits` (at most 64), lowest first.
    ///
    /// # Errors
    /// `Format` at the end of the stream; so for all readers below.
    pub(super) fn take(&mut self, field: &'static str, bits: u32) -> Result<u64> {
        if bits > PEEK_BITS {
            let low = self.take(field, 32)?;
            return Ok(low | self.take(field, bits - 32)? << 32);
        }
        let value = self.peek() & ((1 << bits) - 1);
        self.skip(field, bits)?;
        Ok(value)
    }

    /// The next `bits` (at most 32).
    pub(super) fn take32(&mut self, field: &'static str, bits: u32) -> Result<u32> {
        debug_assert!(bits <= 32);
        self.take(field, bits).map(|value| u32::try_from(value).unwrap_or(u32::MAX))
    }

    /// The next `bits` (at most 8).
    pub(super) fn take8(&mut self, field: &'static str, bits: u32) -> Result<u8> {
        debug_assert!(bits <= 8);
        self.take(field, bits).map(|value| u8::try_from(value).unwrap_or(u8::MAX))
    }

    /// One bit.
    pub(super) fn bit(&mut self, field: &'static str) -> Result<bool> {
        Ok(self.take(field, 1)? == 1)
    }

    /// A number: n zero bits and a one (n up to 15), then 4 (n + 1) bits of a signed 64-bit value.
    pub(super) fn number(&mut self, field: &'static str) -> Result<i64> {
        let zeros = self.peek().trailing_zeros();
        if zeros > 15 {
            return Err(self.error(field, "is no number: it begins with more than 15 zero bits"));
        }
        self.skip(field, zeros + 1)?;
        Ok(self.take(field, 4 * (zeros + 1))?.cast_signed())
    }

    /// A number that counts something.
    ///
    /// # Errors
    /// `Format` when it is negative, too.
    pub(super) fn size(&mut self, field: &'static str) -> Result<u64> {
        let number = self.number(field)?;
        u64::try_from(number).map_err(|_| self.error(field, format!("{number} is negative")))
    }

    /// A long number: n zero bits and a one (n up to 23), then n + 8 bits below a leading one; 256 or more.
    pub(super) fn long_number(&mut self, field: &'static str) -> Result<u64> {
        let zeros = self.peek().trailing_zeros();
        if zeros > 23 {
            return Err(self.error(field, "is no long number: it begins with more than 23 zero bits"));
        }
        self.skip(field, zeros + 1)?;
        Ok(1 << (zeros + 8) | self.take(field, zeros + 8)?)
    }

    /// A buffer: its length, padding to a byte, its bytes; and its offset in the delta.
    ///
    /// # Errors
    /// `Format` when it does not fit into the stream, too.
    pub(super) fn buffer(&mut self, field: &'static str) -> Result<(&'a [u8], u64)> {
        let length = self.size(field)?;
        let start = self.position.div_ceil(8);
        let left = (self.end / 8).saturating_sub(start);
        if length > left {
            return Err(self.error(field, format!("{length} bytes, but only {left} are left")));
        }
        let range = usize::try_from(start).ok().zip(usize::try_from(start + length).ok());
        let bytes = range.and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or(&[]);
        self.position = (start + length) * 8;
        Ok((bytes, self.base + start))
    }

    /// That nothing but padding is left.
    ///
    /// # Errors
    /// `Format` when bits are left over.
    pub(super) fn finish(&self, field: &'static str) -> Result<()> {
        match self.bits_left() {
            0 => Ok(()),
            left => Err(self.error(field, format!("{left} bits are left over behind the last field"))),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The opposite of [`BitReader`], for tests.
    #[derive(Default)]
    pub(in crate::formats::delta) struct BitWriter {
        bits: Vec<bool>,
    }

    impl BitWriter {
        pub(in crate::formats::delta) fn new() -> Self {
            Self { bits: vec![false; 3] }
        }

        pub(in crate::formats::delta) fn put(&mut self, value: u64, bits: u32) -> &mut Self {
            self.bits.extend((0..bits).map(|bit| value >> bit & 1 == 1));
            self
        }

        pub(in crate::formats::delta) fn number(&mut self, value: i64) -> &mut Self {
            let value = value.cast_unsigned();
            let nibbles = (64 - value.leading_zeros()).div_ceil(4).max(1);
            self.put(1 << (nibbles - 1), nibbles).put(value, 4 * nibbles)
        }

        pub(in crate::formats::delta) fn buffer(&mut self, bytes: &[u8]) -> &mut Self {
            self.number(i64::try_from(bytes.len()).unwrap());
            self.bits.resize(self.bits.len().next_multiple_of(8), false);
            bytes.iter().for_each(|&byte| {
                self.put(u64::from(byte), 8);
            });
            self
        }

        pub(in crate::formats::delta) fn finish(&self) -> Vec<u8> {
            let mut bits = self.bits.clone();
            let padding = bits.len().next_multiple_of(8) - bits.len();
            (0..3).for_each(|bit| bits[bit] = padding >> bit & 1 == 1);
            bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |b, &bit| b << 1 | u8::from(bit))).collect()
        }
    }

    #[test]
    fn fields_come_back_as_written() {
        let mut writer = BitWriter::new();
        writer.number(0).number(15).number(-1).number(i64::MAX).put(5, 3).buffer(b"abc").put(1, 1);
        writer.put(0b1000, 4).put(3, 11);
        let bytes = writer.finish();
        let mut reader = BitReader::new("test", &bytes, 100).unwrap();
        for number in [0, 15, -1, i64::MAX] {
            assert_eq!(reader.number("n").unwrap(), number);
        }
        assert_eq!(reader.take("t", 3).unwrap(), 5);
        let (buffer, offset) = reader.buffer("b").unwrap();
        assert_eq!(buffer, b"abc");
        let at = usize::try_from(offset - 100).unwrap();
        assert_eq!(bytes[at..at + 3], *b"abc");
        assert!(reader.bit("one").unwrap());
        assert_eq!(reader.long_number("l").unwrap(), 1 << 11 | 3);
        reader.finish("end").unwrap();
        assert!(reader.bit("past").is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_place() {
        assert!(BitReader::new("test", &[], 0).is_err());
        let mut writer = BitWriter::new();
        let short = writer.number(1000).finish();
        let error = BitReader::new("test", &short, 0x40).unwrap().buffer("patch").unwrap_err();
        assert!(error.to_string().starts_with("test, field \"patch\", at 0x4"), "{error}");
        assert!(BitReader::new("test", &[0, 0, 0, 0], 0).unwrap().number("n").is_err());
        let negative = BitWriter::new().number(-5).finish();
        assert!(BitReader::new("test", &negative, 0).unwrap().size("n").is_err());
    }
}
