//! Lazy parsing: a match is put off by one literal when the next position has a better one.
//!
//! "Better" is a score of length, offset and whether the offset is a recent one, which each format defines. Costs in
//! bits are not known here; the near-optimal parser works with those.

use crate::lz77::{HashChains, PaddedChunk, Position, RecentOffsets, SearchEffort};

/// Receives the items of a parse in order.
pub trait ItemSink {
    /// One literal byte.
    fn literal(&mut self, byte: u8);
    /// A match whose offset is given in full, in bytes.
    fn explicit(&mut self, length: usize, offset: usize);
    /// A match at recent offset `index` (0 to 2), for formats that have them.
    fn repeat(&mut self, length: usize, index: u32);
}

/// What the lazy parser must know of a format.
pub trait LazyRules {
    /// Whether the format has recent offsets.
    const RECENT: bool;
    /// Longest match, in bytes.
    const MAX_LENGTH: usize;
    /// Whether a match is likely to be cheaper than literals.
    fn pays(length: usize, offset: usize) -> bool;
    /// How good a match with an explicit offset is; greater is better.
    fn explicit_score(length: usize, offset: usize) -> usize;
    /// How good a match at a recent offset is.
    fn repeat_score(length: usize, index: u32) -> usize;
}

/// A match under consideration; `repeat` is `u32::MAX` for an explicit offset.
#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub(super) length: usize,
    pub(super) offset: usize,
    pub(super) repeat: u32,
    pub(super) score: usize,
}

const NO_CHOICE: Choice = Choice { length: 0, offset: 0, repeat: u32::MAX, score: 0 };

/// Longest match of at least three bytes at a recent offset, R0 first; [`NO_CHOICE`] when there is none.
#[inline(always)]
pub(super) fn best_repeat<R: LazyRules>(
    chunk: &PaddedChunk,
    at: usize,
    limit: usize,
    recent: RecentOffsets,
) -> Choice {
    let mut best = NO_CHOICE;
    if limit < 3 || at == 0 {
        return best;
    }
    // From the second byte on every recent offset is at most `at`: it was when it was used, or it is 1.
    let word = chunk.load_u32(at);
    let same = |index: u32| {
        u32::from((chunk.load_u32(at.saturating_sub(recent.get(index))) ^ word) << 8 == 0) << index
    };
    let mut hits = same(0) | same(1) | same(2);
    while hits != 0 {
        let index = hits.trailing_zeros();
        hits &= hits - 1;
        let offset = recent.get(index);
        let length = chunk.match_length(at - offset, at, 3, limit);
        if length > best.length {
            best = Choice { length, offset, repeat: index, score: R::repeat_score(length, index) };
        }
    }
    best
}

/// The best match at the finder's next position that scores more than `beat`; [`NO_CHOICE`] when there is none.
///
/// Recent offsets are tried only where an explicit match was found: elsewhere they rarely pay for the time.
#[inline(always)]
fn search<P: Position, R: LazyRules>(
    finder: &mut HashChains<P>,
    chunk: &PaddedChunk,
    at: usize,
    beat: usize,
    recent: RecentOffsets,
    effort: SearchEffort,
) -> Choice {
    let limit = R::MAX_LENGTH.min(chunk.len() - at);
    let (length, offset) = finder.find(chunk, beat, limit, effort);
    if offset == 0 {
        return NO_CHOICE;
    }
    let mut choice = NO_CHOICE;
    if R::RECENT {
        choice = best_repeat::<R>(chunk, at, limit, recent);
    }
    let score = R::explicit_score(length, offset);
    if score > choice.score && R::pays(length, offset) {
        choice = Choice { length, offset, repeat: u32::MAX, score };
    }
    choice
}

/// Parses the whole chunk. Deterministic in (chunk, effort, rules).
pub fn lazy<P: Position, R: LazyRules>(
    chunk: &PaddedChunk,
    finder: &mut HashChains<P>,
    effort: SearchEffort,
    sink: &mut impl ItemSink,
) {
    lazy_from::<P, R>(chunk, (0, RecentOffsets::INITIAL), finder, effort, sink);
}

/// Parses the chunk from `start` on; what lies before is history. The recent offsets there must not reach before the chunk.
pub fn lazy_from<P: Position, R: LazyRules>(
    chunk: &PaddedChunk,
    (start, mut recent): (usize, RecentOffsets),
    finder: &mut HashChains<P>,
    effort: SearchEffort,
    sink: &mut impl ItemSink,
) {
    assert!((0..3).all(|index| recent.get(index) <= start.max(1)), "a recent offset is too far");
    let second = SearchEffort { depth: (effort.depth / 2).max(1), ..effort };
    let bytes = chunk.bytes();
    let end = bytes.len();
    finder.start(chunk);
    finder.skip(chunk, start);
    let mut at = start;
    while at < end {
        let mut current = search::<P, R>(finder, chunk, at, 2, recent, effort);
        if current.length == 0 {
            sink.literal(bytes[at]);
            at += 1;
            continue;
        }
        // A repeat is so cheap that looking further seldom pays.
        let mut entered = at + 1;
        while current.repeat == u32::MAX && current.length < effort.nice_length && entered < end {
            let beat = (current.length - 1).max(2);
            let next = search::<P, R>(finder, chunk, entered, beat, recent, second);
            entered += 1;
            if next.score <= current.score {
                break;
            }
            sink.literal(bytes[at]);
            at += 1;
            current = next;
        }
        if R::RECENT && current.repeat != u32::MAX {
            sink.repeat(current.length, current.repeat);
            recent = recent.swap(current.repeat);
        } else {
            sink.explicit(current.length, current.offset);
            if R::RECENT {
                recent = recent.push(current.offset);
            }
        }
        at += current.length;
        if entered < at {
            finder.skip(chunk, at);
        }
    }
}
