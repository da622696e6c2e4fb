//! Reading a source forward in pieces, so that small structures do not cost a read each.

use crate::base::read_at::read_exact_at;
use crate::base::{ReadAt, Result};

/// A place in a source, with a few of the bytes behind it in memory.
pub(super) struct SourceCursor<'a> {
    source: &'a dyn ReadAt,
    /// Offset in the source of the first byte not read yet.
    read_to: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are consumed.
    consumed: usize,
    /// Bytes read at a time.
    step: usize,
}

impl<'a> SourceCursor<'a> {
    /// A cursor at `offset` that reads `step` bytes at a time.
    pub(super) fn new(source: &'a dyn ReadAt, offset: u64, step: usize) -> Self {
        Self { source, read_to: offset, buffer: Vec::new(), consumed: 0, step }
    }

    /// Offset in the source.
    pub(super) fn offset(&self) -> u64 {
        self.read_to - (self.buffer.len() - self.consumed) as u64
    }

    /// The next `count` bytes, or what is left of the source when that is less.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        let held = self.buffer.len() - self.consumed;
        if held < count {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
            let left = self.source.size().saturating_sub(self.read_to);
            let more = (count - held).max(self.step);
            let more = usize::try_from(left).unwrap_or(usize::MAX).min(more);
            self.buffer.resize(held + more, 0);
            if let Some(fresh) = self.buffer.get_mut(held..).filter(|fresh| !fresh.is_empty()) {
                read_exact_at(self.source, fresh, self.read_to)?;
                self.read_to += more as u64;
            }
        }
        let rest = self.buffer.get(self.consumed..).unwrap_or_default();
        Ok(rest.get(..count).unwrap_or(rest))
    }

    /// Moves past `count` bytes that [`Self::peek`] returned.
    pub(super) fn consume(&mut self, count: usize) {
        self.consumed = (self.consumed + count).min(self.buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_gives_the_same_bytes() {
        let source: Vec<u8> = (0..=255).collect();
        for step in [1, 7, 300] {
            let mut cursor = SourceCursor::new(&source, 3, step);
            let mut seen = Vec::new();
            for count in [5, 1, 100, 0, 40].into_iter().cycle() {
                assert_eq!(cursor.offset(), 3 + seen.len() as u64);
                let bytes = cursor.peek(count).unwrap().to_vec();
                seen.extend_from_slice(&bytes);
                cursor.consume(bytes.len());
                if bytes.len() < count {
                    break;
                }
            }
            assert_eq!(seen, source[3..]);
        }
        assert!(SourceCursor::new(&source, 9999, 10).peek(4).unwrap().is_empty());
    }
}
