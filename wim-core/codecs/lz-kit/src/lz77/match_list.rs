//! The matches found at every position of a span, kept for parsers that look at them several times.
//!
//! Entries are packed into 32 bits and stored without gaps, with one index per position. The list does not know how
//! the matches were found; it only promises that those of one position ascend in length and in offset.

/// A length and an offset in 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Match(u32);

impl Match {
    const OFFSET_BITS: u32 = 22;
    /// Longest length an entry can name; a longer match is capped, and extended again by whoever takes it.
    pub const MAX_LENGTH: usize = (1 << (32 - Self::OFFSET_BITS)) - 1;

    /// A match of at most [`MAX_LENGTH`](Self::MAX_LENGTH) bytes, `offset` (below 2^22) bytes back.
    #[inline(always)]
    #[must_use]
    pub const fn new(length: usize, offset: usize) -> Self {
        debug_assert!(length <= Self::MAX_LENGTH && offset < 1 << Self::OFFSET_BITS);
        Self(((length as u32) << Self::OFFSET_BITS) | offset as u32)
    }

    /// Bytes matched.
    #[inline(always)]
    #[must_use]
    pub const fn length(self) -> usize {
        (self.0 >> Self::OFFSET_BITS) as usize
    }

    /// Distance back, in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn offset(self) -> usize {
        (self.0 & ((1 << Self::OFFSET_BITS) - 1)) as usize
    }
}

/// Matches by position, counted from the start of the span.
#[derive(Debug)]
pub struct MatchList {
    matches: Vec<Match>,
    /// `first[i]..first[i + 1]` are the matches of position `i`.
    first: Vec<u32>,
    capacity: usize,
}

impl MatchList {
    /// Matches kept per position on average; when they are used up, later positions get none.
    const PER_POSITION: usize = 8;

    /// Room for a span of `max_span` bytes.
    #[must_use]
    pub fn new(max_span: usize) -> Self {
        let capacity = max_span * Self::PER_POSITION;
        Self { matches: Vec::with_capacity(capacity), first: Vec::with_capacity(max_span + 1), capacity }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    #[must_use]
    pub const fn scratch_bytes(max_span: usize) -> usize {
        4 * (max_span * Self::PER_POSITION + max_span + 1)
    }

    /// Forgets everything and begins with the first position.
    pub fn clear(&mut self) {
        self.matches.clear();
        self.first.clear();
        self.first.push(0);
    }

    /// Adds a match at the current position, longer than those before it.
    #[inline(always)]
    pub fn push(&mut self, found: Match) {
        if self.matches.len() < self.capacity {
            self.matches.push(found);
        }
    }

    /// Ends the current position and begins the next.
    #[inline(always)]
    pub fn next_position(&mut self) {
        self.first.push(self.matches.len() as u32);
    }

    /// Ends the current position and gives the next `count - 1` ones no matches.
    pub fn skip(&mut self, count: usize) {
        let end = self.matches.len() as u32;
        self.first.resize(self.first.len() + count, end);
    }

    /// Positions ended so far.
    #[inline(always)]
    #[must_use]
    pub fn positions(&self) -> usize {
        self.first.len().saturating_sub(1)
    }

    /// The matches of position `position`, shortest first.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, position: usize) -> &[Match] {
        &self.matches[self.first[position] as usize..self.first[position + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_belong_to_their_position() {
        let mut list = MatchList::new(4);
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
        let mut list = MatchList::new(1);
        list.clear();
        for i in 1..20 {
            list.push(Match::new(i, 1));
        }
        list.next_position();
        assert_eq!(list.at(0).len(), MatchList::PER_POSITION);
    }
}
