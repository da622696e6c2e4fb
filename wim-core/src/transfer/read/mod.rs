//! Reads blobs: decoding and hashing on all cores, results in order.
//!
//! [`read_blobs`] is the bulk reader under verify and recompression, [`read_blobs_taken`] that under extract and apply, where
//! the threads that decode write as well; [`WimBlobs`] reads single blobs into memory; [`PipedWim`] reads a pipe. Chunks of
//! solid resources are decoded once, for all their blobs.

mod blobs;
mod input;
mod pipe;
mod plan;
mod random;
mod recover;
mod worker;

pub use blobs::{SetBlobs, WimBlobs};
pub use input::{BlobInput, Origin, blob_not_found};
pub use pipe::{PipedPiece, PipedWim, Tolerance};
pub(crate) use plan::{Batches, Work};
pub use random::RandomReader;
pub use recover::recover_blob;
pub(crate) use worker::{BlobWorker, Piece};

use std::collections::HashSet;

use crate::base::pipeline::{Budget, BufferPool, map_in_order};
use crate::base::{Context, Result};
use crate::formats::wim::{BlobEntry, ChunkDecoder, ChunkFormat, WimFile};

/// A piece of a blob as the sink of [`read_blobs`] sees it.
pub struct BlobPiece<'p> {
    /// Place of the blob in the list that was asked for.
    pub position: usize,
    /// Offset of the piece in the blob.
    pub start: u64,
    /// The bytes, or what is wrong with the blob; after an error no more pieces of that blob follow.
    pub bytes: Result<&'p [u8]>,
    /// True for the last piece; its bytes are an error when the blob's digest differs.
    pub is_last: bool,
}

/// Whether the thread that decoded a piece has done with it what there was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It has.
    Yes,
    /// The sink is to do it.
    No,
}

/// Reads all of `inputs` and hands their pieces to `sink`, in the order of the list, each blob from its start to its end.
///
/// Lists sorted by file offset give one forward pass over the file; see [`sort_by_offset`]. Damage to one blob goes to the
/// sink as an error of that blob; the sink decides whether the job goes on. Progress is advanced by uncompressed bytes.
///
/// # Errors
/// What the sink returns, and `Cancelled`.
pub fn read_blobs(
    cx: &Context<'_>,
    inputs: &[BlobInput<'_>],
    mut sink: impl FnMut(BlobPiece<'_>) -> Result<()>,
) -> Result<()> {
    read_blobs_taken(cx, inputs, || |_: BlobPiece<'_>| Ok(Taken::No), |piece, _| sink(piece))
}

/// As [`read_blobs`], with a taker for each thread, which is given every sound piece where it was decoded, in no order.
///
/// A blob that comes to a taker whole is what its digest says; of one in pieces that is known when the sink is given the last.
/// The sink is told of all pieces, in order, and whether they were taken.
///
/// # Errors
/// What takers and the sink return, the first in the order of the list, and `Cancelled`.
pub fn read_blobs_taken<T>(
    cx: &Context<'_>,
    inputs: &[BlobInput<'_>],
    new_taker: impl Fn() -> T + Sync,
    mut sink: impl FnMut(BlobPiece<'_>, Taken) -> Result<()>,
) -> Result<()>
where
    T: FnMut(BlobPiece<'_>) -> Result<Taken> + Send,
{
    let budget =
        Budget::split(cx.memory_bytes(), cx.threads(), decoder_bytes(inputs) + Budget::MAX_BATCH_BYTES)
            .for_items_of(largest_solid_item(inputs), cx.memory_bytes());
    let pool = BufferPool::new();
    let items = Batches::new(inputs, budget.batch_bytes, largest_chunk(inputs));
    let new_worker = || {
        let mut worker = BlobWorker::new(inputs, pool.clone(), cx.cancel);
        let mut taker = new_taker();
        move |work: Work| {
            let pieces = worker.run(work)?.into_iter();
            Ok(pieces.map(|piece| (take(&mut taker, &piece), piece)).collect())
        }
    };
    let mut order = InOrder::default();
    map_in_order(cx, &budget, items, new_worker, |pieces: Vec<(Result<Taken>, Piece)>| {
        for (taken, piece) in pieces {
            let taken = taken?;
            order.pass(cx, inputs, piece, &mut |piece: BlobPiece<'_>| sink(piece, taken))?;
        }
        Ok(())
    })
}

/// Shows a piece to a taker unless something is wrong with it.
fn take(taker: &mut impl FnMut(BlobPiece<'_>) -> Result<Taken>, piece: &Piece) -> Result<Taken> {
    let Piece { position, start, ref bytes, is_last, .. } = *piece;
    match bytes {
        Ok(bytes) => taker(BlobPiece { position, start, bytes: Ok(bytes.as_ref()), is_last }),
        Err(_) => Ok(Taken::No),
    }
}

/// Sorts inputs so that each WIM is read once, forwards; other origins come last, in their order.
pub fn sort_by_offset(inputs: &mut [BlobInput<'_>]) {
    inputs.sort_by_cached_key(|input| match &input.origin {
        Origin::Resource(wim, entry) => (std::ptr::from_ref(*wim).addr(), place_in_file(wim, entry)),
        _ => (usize::MAX, (0, 0)),
    });
}

/// What blobs are sorted by for reading forwards: the offset of the resource, and that in a solid one.
pub(crate) fn place_in_file(wim: &WimFile, entry: &BlobEntry) -> (u64, u64) {
    match wim.solid_place(entry) {
        Ok(place) if entry.header.is_solid() => (place.resource.offset(), place.offset),
        _ => (entry.header.offset, 0),
    }
}

/// The largest item that a chunk of a solid resource makes, in bytes.
pub(crate) fn largest_solid_item(inputs: &[BlobInput<'_>]) -> u64 {
    let chunk = |input: &BlobInput<'_>| {
        let resource = input.solid_place()?.resource;
        Some(2 * u64::from(resource.format().chunk_size().bytes()).min(resource.size()))
    };
    inputs.iter().filter_map(chunk).max().unwrap_or(0)
}

/// The memory of the decoders of one worker, which keeps one for each format that it meets, in bytes.
pub(crate) fn decoder_bytes(inputs: &[BlobInput<'_>]) -> u64 {
    let formats: HashSet<ChunkFormat> = inputs.iter().filter_map(BlobInput::format).collect();
    formats.into_iter().map(ChunkDecoder::scratch_bytes).sum()
}

/// The largest chunk size of the WIMs in play, in bytes; pieces must start on its multiples.
pub(crate) fn largest_chunk(inputs: &[BlobInput<'_>]) -> u64 {
    let chunk = |input: &BlobInput<'_>| match &input.origin {
        Origin::Resource(wim, entry) if entry.header.is_compressed() => {
            u64::from(wim.format().chunk_size().bytes())
        }
        _ => 1,
    };
    inputs.iter().map(chunk).max().unwrap_or(1)
}

/// Checks digests of blobs in several pieces, and drops what follows an error.
#[derive(Default)]
pub(crate) struct InOrder {
    failed: Option<usize>,
}

impl InOrder {
    fn pass(
        &mut self,
        cx: &Context<'_>,
        inputs: &[BlobInput<'_>],
        piece: Piece,
        sink: &mut impl FnMut(BlobPiece<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(Piece { position, start, bytes, is_last, .. }) = self.check(inputs, piece) else {
            return Ok(());
        };
        let length = bytes.as_ref().map_or(0, |bytes| bytes.as_ref().len() as u64);
        match bytes {
            Ok(bytes) => sink(BlobPiece { position, start, bytes: Ok(bytes.as_ref()), is_last })?,
            Err(error) => sink(BlobPiece { position, start, bytes: Err(error), is_last: true })?,
        }
        cx.progress.advance(length);
        Ok(())
    }

    /// The piece with its digest checked when it is the last; none when its blob has failed already.
    pub(crate) fn check(&mut self, inputs: &[BlobInput<'_>], mut piece: Piece) -> Option<Piece> {
        if self.failed == Some(piece.position) {
            return None;
        }
        if piece.is_last
            && piece.bytes.is_ok()
            && let Some(large) = &piece.chain
            && let Err(error) = large.check(&inputs[piece.position])
        {
            piece.bytes = Err(error);
        }
        if piece.bytes.is_err() {
            self.failed = Some(piece.position);
        }
        Some(piece)
    }
}
