//! A quick lazy parse over listed matches, whose statistics give the near-optimal parser its first costs.
//!
//! It looks only at the longest match of each position and at the recent offsets. Its items are not meant to be
//! written: they say what symbols this block is going to need.

use super::lazy::{ItemSink, LazyRules, best_repeat};
use crate::lz77::{MatchEntry, MatchList, PaddedChunk, RecentOffsets};

/// Parses `start..end`; `matches` must cover it, its position 0 being `list_start` in the chunk. Returns the recent
/// offsets at the end.
pub fn first_guess<R: LazyRules>(
    chunk: &PaddedChunk,
    (start, end): (usize, usize),
    (matches, list_start): (&MatchList, usize),
    mut recent: RecentOffsets,
    sink: &mut impl ItemSink,
) -> RecentOffsets {
    let longest = |at: usize| {
        let best = matches.at(at - list_start).last().copied().unwrap_or_default();
        let length = best.length().min(end - at);
        if length >= 3 && R::pays(length, best.offset()) {
            (length, best.offset(), R::explicit_score(length, best.offset()))
        } else {
            (0, 0, 0)
        }
    };
    let mut at = start;
    while at < end {
        let (mut length, offset, score) = longest(at);
        let mut repeat = u32::MAX;
        if R::RECENT {
            let choice = best_repeat::<R>(chunk, at, R::MAX_LENGTH.min(end - at), recent);
            if choice.score >= score.max(1) {
                (length, repeat) = (choice.length, choice.repeat);
            }
        }
        let put_off = length > 0 && repeat == u32::MAX && at + 1 < end && longest(at + 1).2 > score;
        if length == 0 || put_off {
            sink.literal(chunk.byte(at));
            at += 1;
            continue;
        }
        if R::RECENT && repeat != u32::MAX {
            sink.repeat(length, repeat);
            recent = recent.swap(repeat);
        } else {
            sink.explicit(length, offset);
            if R::RECENT {
                recent = recent.push(offset);
            }
        }
        at += length;
    }
    recent
}
