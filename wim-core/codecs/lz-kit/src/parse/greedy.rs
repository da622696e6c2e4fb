//! Greedy parsing: the longest match at each position is taken at once.
//!
//! For the quickest levels only; formats with recent offsets gain too much from looking ahead to use it. It shares the
//! rules and the sink of the lazy parser.

use super::lazy::{ItemSink, LazyRules};
use crate::lz77::{HashChains, PaddedChunk, Position, SearchEffort};

/// Parses the whole chunk, explicit offsets only. Deterministic in (chunk, effort, rules).
pub fn greedy<P: Position, R: LazyRules>(
    chunk: &PaddedChunk,
    finder: &mut HashChains<P>,
    effort: SearchEffort,
    sink: &mut impl ItemSink,
) {
    let bytes = chunk.bytes();
    let end = bytes.len();
    finder.start(chunk);
    let mut at = 0;
    while at < end {
        let limit = R::MAX_LENGTH.min(end - at);
        let (length, offset) = finder.find(chunk, 2, limit, effort);
        if offset == 0 || !R::pays(length, offset) {
            sink.literal(bytes[at]);
            at += 1;
            continue;
        }
        sink.explicit(length, offset);
        at += length;
        finder.skip(chunk, at);
    }
}
