//! Data with matches of many lengths and distances, and their list, for the tests of both path finders.

use super::MAX_EDGE;
use crate::lz77::{BinaryTrees, MatchLimits, MatchList, PaddedChunk, SearchEffort};

pub(super) fn sample() -> Vec<u8> {
    let mut state = 7u32;
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.len() < 4000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (kind, value) = (state >> 30, state >> 8);
        if kind == 0 || bytes.len() < 50 {
            bytes.push(value as u8 & 15);
        } else {
            let from = value as usize % (bytes.len() - 20);
            let length = 3 + (state >> 24) as usize % 17;
            bytes.extend_from_within(from..from + length);
        }
    }
    bytes
}

/// The matches at each position of `chunk`; those of two bytes up to an offset of `max_offset_of_two`.
pub(super) fn list_of(chunk: &PaddedChunk, max_offset_of_two: usize) -> MatchList {
    let mut list = MatchList::new(chunk.len());
    list.clear();
    let mut trees = BinaryTrees::<u16>::new(chunk.len());
    trees.start();
    let limits = MatchLimits { max_length: MAX_EDGE, max_offset_of_two };
    let effort = SearchEffort { depth: 50, nice_length: 60 };
    trees.list_matches(chunk, chunk.len(), limits, effort, &mut list);
    list
}
