//! The match finder of the encoder in the two widths that chunks ask for.
//!
//! Of an encoder of long chunks nearly all memory is links, which are packed therefore; in short ones plain links are quicker.
//! How the trees work is in lz-kit.

use lz_kit::lz77::{
    BinaryTrees, MatchLimits, MatchList, PackedPosition, PaddedChunk, Position, SearchEffort, WideMatch,
};

/// Chunks up to this many bytes have plain links.
const MAX_PLAIN_BYTES: usize = 16 << 20;

/// Trees of one width.
#[derive(Debug)]
pub(crate) enum Trees {
    Plain(BinaryTrees<u32>),
    Packed(BinaryTrees<PackedPosition>),
}

/// Whether chunks of this size have packed links; the longest have positions that do not fit.
const fn is_packed(max_chunk_bytes: usize) -> bool {
    max_chunk_bytes > MAX_PLAIN_BYTES && max_chunk_bytes <= PackedPosition::MAX_CHUNK
}

impl Trees {
    pub(crate) fn new(max_chunk_bytes: usize) -> Self {
        if is_packed(max_chunk_bytes) {
            Self::Packed(BinaryTrees::new(max_chunk_bytes))
        } else {
            Self::Plain(BinaryTrees::new(max_chunk_bytes))
        }
    }

    /// Bytes of memory for [`new`](Self::new) with the same argument.
    pub(crate) const fn scratch_bytes(max_chunk_bytes: usize) -> usize {
        if is_packed(max_chunk_bytes) {
            BinaryTrees::<PackedPosition>::scratch_bytes(max_chunk_bytes)
        } else {
            BinaryTrees::<u32>::scratch_bytes(max_chunk_bytes)
        }
    }

    /// Forgets the previous chunk.
    pub(crate) fn start(&mut self) {
        match self {
            Self::Plain(trees) => trees.start(),
            Self::Packed(trees) => trees.start(),
        }
    }

    /// Lists the matches of the next positions, up to `to`.
    pub(crate) fn list_matches(
        &mut self,
        chunk: &PaddedChunk,
        to: usize,
        limits: MatchLimits,
        effort: SearchEffort,
        list: &mut MatchList<WideMatch>,
    ) {
        match self {
            Self::Plain(trees) => trees.list_matches(chunk, to, limits, effort, list),
            Self::Packed(trees) => trees.list_matches(chunk, to, limits, effort, list),
        }
    }
}
