//! The matches found at every position of a span, kept for parsers that look at them several times.
//!
//! Entries are packed into 32 bits (64 for chunks above 2 MiB) and stored without gaps, with one index per position. The
//! list does not know how the matches were found; those of one position ascend in length and in offset.

#![expect(unsafe_code, reason = "unchecked access by the path finder; listed in UNSAFE.md")]

/// A match as a list keeps it.
pub trait MatchEntry: Copy + Default {
    /// Longest length an entry can name; a longer match is capped, and extended again by whoever takes it.
    const MAX_LENGTH: usize;
    /// Longest chunk whose offsets an entry can name, in bytes.
    const MAX_CHUNK: usize;

    /// A match of at most [`MAX_LENGTH`](Self::MAX_LENGTH) bytes, `offset` bytes back in a chunk of at most
    /// [`MAX_CHUNK`](Self::MAX_CHUNK).
    fn new(length: usize, offset: usize) -> Self;

    /// Bytes matched.
    fn length(self) -> usize;

    /// Distance back, in bytes.
    fn offset(self) -> usize;
}

/// A length and an offset in 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Match(u32);

impl Match {
    const OFFSET_BITS: u32 = 22;
}

impl MatchEntry for Match {
    const MAX_LENGTH: usize = (1 << (32 - Self::OFFSET_BITS)) - 1;
    const MAX_CHUNK: usize = 1 << 21;

    #[inline(always)]
    fn new(length: usize, offset: usize) -> Self {
        debug_assert!(length <= Self::MAX_LENGTH && offset < 1 << Self::OFFSET_BITS);
        Self(((length as u32) << Self::OFFSET_BITS) | offset as u32)
    }

    #[inline(always)]
    fn length(self) -> usize {
        (self.0 >> Self::OFFSET_BITS) as usize
    }

    #[inline(always)]
    fn offset(self) -> usize {
        (self.0 & ((1 << Self::OFFSET_BITS) - 1)) as usize
    }
}

/// A length and an offset in 64 bits, for chunks of up to 1 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WideMatch {
    length: u32,
    offset: u32,
}

impl MatchEntry for WideMatch {
    const MAX_LENGTH: usize = 1 << 16;
    const MAX_CHUNK: usize = 1 << 30;

    #[inline(always)]
    fn new(length: usize, offset: usize) -> Self {
        debug_assert!(length <= Self::MAX_LENGTH && offset < Self::MAX_CHUNK);
        Self { length: length as u32, offset: offset as u32 }
    }

    #[inline(always)]
    fn length(self) -> usize {
        self.length as usize
    }

    #[inline(always)]
    fn offset(self) -> usize {
        self.offset as usize
    }
}

/// Matches by position, counted from the start of the span.
#[derive(Debug)]
pub struct MatchList<E = Match> {
    matches: Vec<E>,
    /// `first[i]..first[i + 1]` are the matches of position `i`.
    first: Vec<u32>,
    used: usize,
}

impl<E: MatchEntry> MatchList<E> {
    /// Matches kept per position on average; when they are used up, later positions get none.
    const PER_POSITION: usize = 8;

    /// Room for a span of `max_span` bytes.
    #[must_use]
    pub fn new(max_span: usize) -> Self {
        let capacity = max_span * Self::PER_POSITION;
        Self { matches: vec![E::default(); capacity], first: Vec::with_capacity(max_span + 1), used: 0 }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_span: usize) -> usize {
        size_of::<E>() * max_span * Self::PER_POSITION + 4 * (max_span + 1)
    }

    /// Forgets everything and begins with the first position.
    pub fn clear(&mut self) {
        self.used = 0;
        self.first.clear();
        self.first.push(0);
    }

    /// Adds a match at the current position, longer than those before it.
    #[cfg(test)]
    pub(crate) fn push(&mut self, found: E) {
        if let Some(slot) = self.matches.get_mut(self.used) {
            *slot = found;
            self.used += 1;
        }
    }

    /// Room for up to `count` more matches of the current position, to be followed by [`keep`](Self::keep).
    #[inline(always)]
    pub(super) fn spare(&mut self, count: usize) -> &mut [E] {
        let end = self.used + count;
        if end > self.matches.len() { &mut [] } else { &mut self.matches[self.used..end] }
    }

    /// Adds the first `count` matches written to [`spare`](Self::spare).
    #[inline(always)]
    pub(super) fn keep(&mut self, count: usize) {
        self.used += count;
    }

    /// Ends the current position and begins the next.
    #[inline(always)]
    pub(crate) fn next_position(&mut self) {
        self.first.push(self.used as u32);
    }

    /// Ends the current position and gives the next `count - 1` ones no matches.
    pub(crate) fn skip(&mut self, count: usize) {
        let end = self.used as u32;
        self.first.resize(self.first.len() + count, end);
    }

    /// Positions ended so far.
    #[inline(always)]
    #[must_use]
    pub(crate) fn positions(&self) -> usize {
        self.first.len().saturating_sub(1)
    }

    /// The matches of position `position`, shortest first.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, position: usize) -> &[E] {
        &self.matches[self.first[position] as usize..self.first[position + 1] as usize]
    }

    /// As [`at`](Self::at), unchecked.
    ///
    /// # Safety
    /// `position` is below [`positions`](Self::positions).
    #[inline(always)]
    #[must_use]
    pub(crate) unsafe fn at_unchecked(&self, position: usize) -> &[E] {
        debug_assert!(position < self.positions());
        // SAFETY: the entries of `first` ascend and never pass `used`, which never passes the end of `matches`.
        unsafe {
            let (from, to) = (
                *self.first.get_unchecked(position) as usize,
                *self.first.get_unchecked(position + 1) as usize,
            );
            core::slice::from_raw_parts(self.matches.as_ptr().add(from), to - from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_belong_to_their_position() {
        let mut list = MatchList::<Match>::new(4);
        list.clear();
        list.push(Match::new(3, 5));
        list.push(Match::new(1023, (1 << 21) - 3));
        list.next_position();
        list.skip(2);
        list.push(Match::new(2, 1));
        list.next_position();
        assert_eq!(list.positions(), 4);
        assert_eq!(
            list.at(0).iter().map(|m| (m.length(), m.offset())).collect::<Vec<_>>(),
            [(3, 5), (1023, (1 << 21) - 3)]
        );
        assert!(list.at(1).is_empty() && list.at(2).is_empty());
        assert_eq!(list.at(3), [Match::new(2, 1)]);
    }

    #[test]
    fn a_full_list_takes_no_more() {
        let mut list = MatchList::<Match>::new(1);
        list.clear();
        for i in 1..20 {
            list.push(Match::new(i, 1));
        }
        list.next_position();
        assert_eq!(list.at(0).len(), MatchList::<Match>::PER_POSITION);
    }
}
