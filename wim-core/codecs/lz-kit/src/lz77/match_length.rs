//! The chunk being compressed, padded so that wide loads need no end test, and match extension on it.
//!
//! Matches are extended eight bytes at a time by comparing words; the padding makes the last word readable, and the
//! caller's limit cuts what lies in it. Nothing here searches: see the match finders next door.

#![expect(unsafe_code, reason = "unchecked loads on proven positions; listed in UNSAFE.md")]

/// Zero bytes kept after the chunk.
const PADDING: usize = 32;

/// Four bytes at `at` as a little-endian number.
///
/// # Safety
/// `data` points to at least `at + 4` readable bytes.
#[inline(always)]
pub(crate) unsafe fn load_u32(data: *const u8, at: usize) -> u32 {
    // SAFETY: the caller's duty.
    u32::from_le_bytes(unsafe { data.add(at).cast::<[u8; 4]>().read() })
}

/// Eight bytes at `at` as a little-endian number.
///
/// # Safety
/// `data` points to at least `at + 8` readable bytes.
#[inline(always)]
pub(crate) unsafe fn load_u64(data: *const u8, at: usize) -> u64 {
    // SAFETY: the caller's duty.
    u64::from_le_bytes(unsafe { data.add(at).cast::<[u8; 8]>().read() })
}

/// Length of the match between `earlier` and `at`, which agree on the first `known` bytes; at most `limit`.
///
/// # Safety
/// `earlier < at`, and `at + max(limit, known) + 8` bytes of `data` are readable.
#[inline(always)]
pub(crate) unsafe fn match_length(
    data: *const u8,
    earlier: usize,
    at: usize,
    known: usize,
    limit: usize,
) -> usize {
    let mut length = known;
    loop {
        // SAFETY: the caller's duty.
        let difference = unsafe { load_u64(data, earlier + length) ^ load_u64(data, at + length) };
        if difference != 0 {
            return (length + (difference.trailing_zeros() / 8) as usize).min(limit);
        }
        length += 8;
        if length >= limit {
            return limit;
        }
    }
}

/// A copy of one chunk followed by zero bytes; without room until [`new`](PaddedChunk::new) gives some.
#[derive(Debug, Default)]
pub struct PaddedChunk {
    bytes: Vec<u8>,
    len: usize,
}

impl PaddedChunk {
    /// Room for chunks of at most `max_chunk_bytes`.
    #[must_use]
    pub fn new(max_chunk_bytes: usize) -> Self {
        Self { bytes: vec![0; max_chunk_bytes + PADDING], len: 0 }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        max_chunk_bytes + PADDING
    }

    /// Longest chunk that there is room for, in bytes.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.len().saturating_sub(PADDING)
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Adds to the content. False, with nothing added, when there is no room.
    #[must_use]
    pub fn append(&mut self, more: &[u8]) -> bool {
        let Some(end) = self.len.checked_add(more.len()).filter(|&end| end <= self.room()) else {
            return false;
        };
        self.bytes[self.len..end].copy_from_slice(more);
        self.len = end;
        self.pad();
        true
    }

    /// Keeps the first `len` bytes of the content, or all when there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.pad();
    }

    fn pad(&mut self) {
        if let Some(padding) = self.bytes.get_mut(self.len..self.len + PADDING) {
            padding.fill(0);
        }
    }

    /// Replaces the content. False when `chunk` is longer than the room given to [`new`](Self::new).
    #[must_use]
    pub fn set(&mut self, chunk: &[u8]) -> bool {
        if chunk.len() > self.room() {
            return false;
        }
        self.len = 0;
        self.append(chunk)
    }

    /// Start of the chunk; with the padding, 32 bytes more than [`len`](Self::len) can be read.
    #[inline(always)]
    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// The chunk without its padding.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The chunk without its padding, for filters that work in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Bytes in the chunk.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the chunk has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The byte at `at`, which may lie in the padding.
    #[inline(always)]
    #[must_use]
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes[at]
    }

    /// Four bytes from `at` as a little-endian number; the last may lie in the padding.
    #[inline(always)]
    #[must_use]
    pub fn load_u32(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(word)
    }

    #[inline(always)]
    fn load_u64(&self, at: usize) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(word)
    }

    /// Length of the match between `earlier` and `at`, both known to agree on the first `known` bytes; at most `limit`,
    /// which must not reach past the chunk.
    #[inline(always)]
    #[must_use]
    pub fn match_length(&self, earlier: usize, at: usize, known: usize, limit: usize) -> usize {
        debug_assert!(earlier < at && at + limit <= self.len);
        let mut len = known;
        while len < limit {
            let difference = self.load_u64(earlier + len) ^ self.load_u64(at + len);
            if difference != 0 {
                return (len + (difference.trailing_zeros() / 8) as usize).min(limit);
            }
            len += 8;
        }
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_stop_at_the_first_difference_and_at_the_limit() {
        let mut chunk = PaddedChunk::new(100);
        let mut bytes = [7u8; 100];
        assert!(chunk.set(&bytes));
        for limit in 0..=90 {
            assert_eq!(chunk.match_length(9, 10, 0, limit), limit);
        }
        for different in 10..100 {
            bytes = [7; 100];
            bytes[different] = 8;
            assert!(chunk.set(&bytes));
            assert_eq!(chunk.match_length(9, 10, 0, 90), different - 10);
        }
    }

    #[test]
    fn padding_is_zero_and_a_longer_chunk_is_refused() {
        let mut chunk = PaddedChunk::new(8);
        assert!(chunk.set(&[1; 8]));
        assert!(chunk.set(&[1; 4]));
        assert_eq!(chunk.load_u32(2), 0x0101);
        assert!(!chunk.set(&[1; 9]));
    }

    #[test]
    fn a_chunk_grows_and_shrinks_within_its_room() {
        let mut chunk = PaddedChunk::new(8);
        assert!(chunk.append(&[1; 5]) && !chunk.append(&[2; 4]) && chunk.append(&[2; 3]));
        assert_eq!((chunk.bytes(), chunk.room()), (&[1, 1, 1, 1, 1, 2, 2, 2][..], 8));
        chunk.truncate(6);
        assert_eq!((chunk.load_u32(4), chunk.len()), (0x0201, 6));
        chunk.clear();
        assert!(chunk.is_empty());
        let mut none = PaddedChunk::default();
        none.clear();
        assert!(none.append(&[]) && !none.append(&[1]) && none.room() == 0);
    }
}
