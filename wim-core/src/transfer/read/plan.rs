//! Cuts blobs into items of about one batch: a group of small blobs, or consecutive chunks of a large one.

use std::ops::Range;
use std::sync::Arc;

use super::input::{BlobInput, Origin};
use super::worker::PieceBytes;
use crate::base::pipeline::{Cost, DigestChain};
use crate::base::{FileSource, ReadAt, Result};
use crate::formats::wim::chunk_table::ChunkTable;
use crate::formats::wim::{SolidPlace, SolidResource};

/// Most blobs in one group, so that a million one-byte files still give progress and parallel work.
const MAX_GROUP: usize = 1024;
/// Unwanted bytes between two resources that are read along rather than read around.
const MAX_GAP_BYTES: u64 = 128 << 10;

/// One item of the pipeline. Positions are those in the list of inputs.
pub(crate) enum Work {
    /// Small blobs, whole; those of one WIM that lie close together are read at once.
    Group { positions: Vec<usize>, uncompressed: u64, stored: u64 },
    /// A piece of a large blob.
    Part { position: usize, large: Arc<LargeBlob>, number: u64, start: u64, length: u64 },
    /// A chunk of a solid resource.
    Solid(SolidChunk),
    /// A large blob that could not be opened.
    Failed { position: usize, error: Option<crate::base::Error> },
}

/// One chunk of a solid resource, and the blobs that are wanted of it, in their order.
pub(crate) struct SolidChunk {
    pub(super) resource: Arc<SolidResource>,
    pub(super) number: u64,
    pub(super) cuts: Vec<SolidCut>,
}

/// A blob, or a part of one, in a decoded chunk.
pub(crate) struct SolidCut {
    pub(super) position: usize,
    /// Offset of the part in the blob.
    pub(super) start: u64,
    /// Where it lies in the chunk.
    pub(super) range: Range<usize>,
    /// A blob that lies in several chunks, and the number of this part.
    pub(super) large: Option<(Arc<LargeBlob>, u64)>,
}

/// A blob of more than one batch, opened.
pub(crate) struct LargeBlob {
    pub(super) access: Access,
    pub(super) chain: DigestChain<PieceBytes>,
    pub(super) pieces: u64,
}

/// How the bytes of a large blob are reached.
pub(crate) enum Access {
    /// Chunks of a compressed resource.
    Chunks(ChunkTable),
    /// Raw bytes of the WIM from this offset.
    Raw(u64),
    /// Chunks of a solid resource, which other blobs share.
    Solid,
    /// A source of its own.
    Source(Arc<dyn ReadAt>),
}

impl Cost for Work {
    fn cost(&self) -> u64 {
        match self {
            // Behind the decoded bytes come either the stored ones or what they are encoded to, which is no longer than they.
            Self::Group { uncompressed, stored, .. } => uncompressed + stored.max(uncompressed),
            // A piece's stored bytes are at most its uncompressed ones.
            Self::Part { length, .. } => 2 * length,
            Self::Solid(chunk) => {
                chunk.resource.uncompressed_size(chunk.number) + chunk.resource.span(chunk.number).1
            }
            Self::Failed { .. } => 0,
        }
    }
}

/// The items for `inputs`, in the order of the list.
pub(crate) struct Batches<'i, 'w> {
    inputs: &'i [BlobInput<'w>],
    next: usize,
    batch_bytes: u64,
    large: Option<(usize, Arc<LargeBlob>, u64)>,
    /// A blob of a solid resource that goes on in the next chunk: the number of its next part, and where that starts.
    solid: Option<(usize, Arc<LargeBlob>, u64, u64)>,
}

impl<'i, 'w> Batches<'i, 'w> {
    /// `align_bytes` is the largest chunk size in play, a power of two: pieces of large blobs start on its multiples.
    pub(crate) fn new(inputs: &'i [BlobInput<'w>], batch_bytes: u64, align_bytes: u64) -> Self {
        let batch_bytes = batch_bytes.max(1).next_multiple_of(align_bytes.max(1));
        Self { inputs, next: 0, batch_bytes, large: None, solid: None }
    }

    fn group(&mut self) -> Work {
        let (mut positions, mut uncompressed, mut stored) = (Vec::new(), 0, 0);
        while let Some(input) = self.inputs.get(self.next) {
            if input.size > self.batch_bytes
                || positions.len() == MAX_GROUP
                || input.is_solid()
                || input.check().is_err()
            {
                break;
            }
            let with_gap = input.stored_size() + self.gap_before(self.next, positions.is_empty());
            if !positions.is_empty() && uncompressed + input.size.max(with_gap) > self.batch_bytes {
                break;
            }
            uncompressed += input.size;
            stored += with_gap;
            positions.push(self.next);
            self.next += 1;
        }
        Work::Group { positions, uncompressed, stored }
    }

    /// Bytes between this resource and the one before it that are read along with them.
    fn gap_before(&self, position: usize, is_first: bool) -> u64 {
        let Some(before) = position.checked_sub(1).filter(|_| !is_first) else { return 0 };
        gap_between(&self.inputs[before], &self.inputs[position]).unwrap_or(0)
    }

    fn open(&self, position: usize) -> Result<LargeBlob> {
        let input = &self.inputs[position];
        let access = match &input.origin {
            Origin::Resource(wim, entry) => {
                if entry.header.is_compressed() {
                    Access::Chunks(ChunkTable::read(&**wim.source(), &entry.header, wim.format())?)
                } else {
                    Access::Raw(entry.header.offset)
                }
            }
            Origin::Source(source) => Access::Source(Arc::clone(source)),
            Origin::HostFile(path, last_write) => {
                Access::Source(Arc::new(FileSource::open_planned(path, input.size, *last_write)?))
            }
        };
        Ok(LargeBlob { access, chain: DigestChain::new(), pieces: input.size.div_ceil(self.batch_bytes) })
    }
}

impl Batches<'_, '_> {
    /// The chunk in which the blob at `position` begins, or goes on, with all that follow in it.
    fn solid_chunk(
        &mut self,
        mut position: usize,
        first: SolidPlace,
        mut going_on: Option<(Arc<LargeBlob>, u64, u64)>,
    ) -> Work {
        let resource = Arc::clone(&first.resource);
        let chunk_bytes = u64::from(resource.format().chunk_size().bytes());
        let done = going_on.as_ref().map_or(0, |(.., start)| *start);
        let number = (first.offset + done) / chunk_bytes;
        let from = number * chunk_bytes;
        let end = from + resource.uncompressed_size(number);
        let (mut cuts, mut place) = (Vec::new(), first);
        loop {
            let size = self.inputs[position].size;
            let (large, start) = match going_on.take() {
                Some((large, number, start)) => (Some((large, number)), start),
                None => {
                    self.next = position + 1;
                    let pieces = (place.offset + size).div_ceil(chunk_bytes) - place.offset / chunk_bytes;
                    let large = || LargeBlob { access: Access::Solid, chain: DigestChain::new(), pieces };
                    ((pieces > 1).then(|| (Arc::new(large()), 0)), 0)
                }
            };
            let at = place.offset + start;
            let length = (size - start).min(end - at);
            if let Some((large, number)) = large.as_ref().filter(|_| start + length < size) {
                self.solid = Some((position, Arc::clone(large), number + 1, start + length));
            }
            // Chunks have at most 2^30 bytes.
            let in_chunk = |at: u64| usize::try_from(at - from).unwrap_or(usize::MAX);
            cuts.push(SolidCut { position, start, range: in_chunk(at)..in_chunk(at + length), large });
            if self.solid.is_some() {
                break;
            }
            position = self.next;
            let same_file = |input: &&BlobInput<'_>| input.is_in_file_of(&self.inputs[position - 1]);
            let Some(next) = self.inputs.get(position).filter(same_file).and_then(BlobInput::solid_place)
            else {
                break;
            };
            if !Arc::ptr_eq(&next.resource, &resource) || !(from..end).contains(&next.offset) {
                break;
            }
            place = next;
        }
        Work::Solid(SolidChunk { resource, number, cuts })
    }
}

/// The bytes between two resources of one WIM when the second follows closely; none when they are read separately.
pub(super) fn gap_between(first: &BlobInput<'_>, second: &BlobInput<'_>) -> Option<u64> {
    match (&first.origin, &second.origin) {
        (Origin::Resource(a, one), Origin::Resource(b, two)) if std::ptr::eq(*a, *b) => {
            two.header.offset.checked_sub(one.header.end()?).filter(|&gap| gap <= MAX_GAP_BYTES)
        }
        _ => None,
    }
}

impl Iterator for Batches<'_, '_> {
    type Item = Work;

    fn next(&mut self) -> Option<Work> {
        if let Some((position, large, number)) = self.large.take() {
            let start = number * self.batch_bytes;
            let length = self.batch_bytes.min(self.inputs[position].size - start);
            if number + 1 < large.pieces {
                self.large = Some((position, Arc::clone(&large), number + 1));
            }
            return Some(Work::Part { position, large, number, start, length });
        }
        if let Some((position, large, number, start)) = self.solid.take() {
            let place = self.inputs[position].solid_place()?;
            return Some(self.solid_chunk(position, place, Some((large, number, start))));
        }
        let position = self.next;
        let input = self.inputs.get(position)?;
        // An entry that lies about its sizes must not decide how much is read.
        if let Err(error) = input.check() {
            self.next += 1;
            return Some(Work::Failed { position, error: Some(error) });
        }
        if let Some(place) = input.solid_place() {
            return Some(self.solid_chunk(position, place, None));
        }
        if input.size <= self.batch_bytes {
            return Some(self.group());
        }
        self.next += 1;
        match self.open(position) {
            Ok(large) => {
                self.large = Some((position, Arc::new(large), 0));
                self.next()
            }
            Err(error) => Some(Work::Failed { position, error: Some(error) }),
        }
    }
}
