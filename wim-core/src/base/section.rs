//! A checked window of another source: a WIM inside an ISO needs no copy.

use std::io;

use super::error::{Error, Result};
use super::read_at::ReadAt;

/// `size` bytes of `source` from `start`.
#[derive(Clone, Debug)]
pub struct Section<S> {
    source: S,
    start: u64,
    size: u64,
}

impl<S: ReadAt> Section<S> {
    /// The window of `size` bytes from `start`.
    ///
    /// # Errors
    /// `InvalidInput` when it does not lie inside the source.
    pub fn new(source: S, start: u64, size: u64) -> Result<Self> {
        if start.checked_add(size).is_none_or(|end| end > source.size()) {
            return Err(Error::invalid_input(format!(
                "a section of {size} bytes at {start:#x} does not fit into {} bytes",
                source.size()
            )));
        }
        Ok(Self { source, start, size })
    }
}

impl<S: ReadAt> ReadAt for Section<S> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.source.read_exact_at(buf, self.start + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_it_says() {
        let source = vec![0u8, 1, 2, 3, 4, 5];
        let section = Section::new(source.clone(), 2, 3).unwrap();
        let mut buf = [0; 3];
        section.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(buf, [2, 3, 4]);
        assert!(section.read_exact_at(&mut buf, 1).is_err());
        assert!(Section::new(source.clone(), 4, 3).is_err());
        assert!(Section::new(source, u64::MAX, 3).is_err());
    }
}
