//! A checked little-endian cursor over the bytes of one on-disk structure.
//!
//! Every read names the field it reads, so that a short or lying structure gives an error with structure, field and
//! offset. It never allocates on the word of the input: [`Fields::count`] bounds a count by the bytes that are left.

use super::error::{Error, Result};

/// A cursor over the bytes of `structure`, which begin at `base` of the file or resource they lie in.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    structure: &'static str,
    bytes: &'a [u8],
    position: usize,
    base: u64,
}

impl<'a> Fields<'a> {
    /// A cursor at the start of `bytes`; `base` is the offset of `bytes[0]` that errors count from.
    #[must_use]
    pub fn new(structure: &'static str, bytes: &'a [u8], base: u64) -> Self {
        Self { structure, bytes, position: 0, base }
    }

    /// Bytes from the start of the structure to the cursor.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes between the cursor and the end.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Offset of the cursor in the file or resource.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.base + self.position as u64
    }

    /// The rest of the bytes, without moving.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or(&[])
    }

    /// An error at `field`, which lies at the cursor.
    pub fn error(&self, field: &'static str, message: impl Into<String>) -> Error {
        Error::format(self.structure, field, self.offset(), message)
    }

    /// An error at `field`, which begins `back` bytes before the cursor: for a value just read.
    pub fn error_before(&self, field: &'static str, back: usize, message: impl Into<String>) -> Error {
        Error::format(self.structure, field, self.offset().saturating_sub(back as u64), message)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// `Format` when fewer are left.
    pub fn bytes(&mut self, field: &'static str, length: usize) -> Result<&'a [u8]> {
        let end = self.position.checked_add(length).filter(|&end| end <= self.bytes.len());
        match end.and_then(|end| self.bytes.get(self.position..end)) {
            Some(slice) => {
                self.position += length;
                Ok(slice)
            }
            None => Err(self
                .error(field, format!("needs {length} bytes, but only {} are left", self.remaining()))
                .remedy("the data is truncated or damaged; get the file again from its source")),
        }
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// `Format` when fewer are left.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N]> {
        let slice = self.bytes(field, N)?;
        Ok(<[u8; N]>::try_from(slice).expect("bytes() returned exactly N bytes"))
    }

    /// Skips `length` bytes.
    ///
    /// # Errors
    /// `Format` when fewer are left.
    pub fn skip(&mut self, field: &'static str, length: usize) -> Result<()> {
        self.bytes(field, length).map(|_| ())
    }

    /// An unsigned byte.
    ///
    /// # Errors
    /// `Format` at the end of the bytes; so for all readers below.
    pub fn u8(&mut self, field: &'static str) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    /// A 16-bit unsigned integer.
    ///
    /// # Errors
    /// `Format` at the end of the bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    /// A 32-bit unsigned integer.
    ///
    /// # Errors
    /// `Format` at the end of the bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// A 64-bit unsigned integer.
    ///
    /// # Errors
    /// `Format` at the end of the bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// A count of entries of `entry_bytes` each that must fit into what is left; reads a `u32`.
    ///
    /// # Errors
    /// `Format` when that many entries cannot follow, so that a caller may allocate for the count.
    pub fn count(&mut self, field: &'static str, entry_bytes: usize) -> Result<usize> {
        let count = self.u32(field)? as usize;
        self.check_count(field, 4, count, entry_bytes)
    }

    /// Like [`Self::count`], for a `u16`.
    ///
    /// # Errors
    /// `Format` when that many entries cannot follow.
    pub fn count16(&mut self, field: &'static str, entry_bytes: usize) -> Result<usize> {
        let count = usize::from(self.u16(field)?);
        self.check_count(field, 2, count, entry_bytes)
    }

    fn check_count(
        &self,
        field: &'static str,
        width: usize,
        count: usize,
        entry_bytes: usize,
    ) -> Result<usize> {
        if count > self.remaining() / entry_bytes.max(1) {
            return Err(self.error_before(
                field,
                width,
                format!(
                    "{count} entries of {entry_bytes} bytes, but only {} bytes are left",
                    self.remaining()
                ),
            ));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_little_endian_and_names_what_is_missing() {
        let mut f = Fields::new("thing", &[1, 2, 0, 3, 0, 0, 0, 9], 0x100);
        assert_eq!(f.u8("a").unwrap(), 1);
        assert_eq!(f.u16("b").unwrap(), 2);
        assert_eq!(f.u32("c").unwrap(), 3);
        let e = f.u16("d").unwrap_err();
        assert!(e.to_string().starts_with("thing, field \"d\", at 0x107: needs 2 bytes"), "{e}");
    }

    #[test]
    fn a_count_larger_than_the_input_is_refused_before_allocating() {
        let mut f = Fields::new("thing", &[0xFF, 0xFF, 0xFF, 0x7F, 0, 0], 0);
        let e = f.count("entries", 8).unwrap_err();
        assert!(e.to_string().contains("at 0x0: 2147483647 entries"), "{e}");
    }
}
