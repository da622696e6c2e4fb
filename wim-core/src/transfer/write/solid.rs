//! Solid resources on their way into a file: blobs packed one behind the other, or whole resources kept or copied.
//!
//! Chunks are filled in order by the calling thread, which reads each source once, and compressed on as many workers as
//! memory allows: an LZMS chunk of 64 MiB takes ten times as much (wim-format 6). Blobs of solid sources are packed in the
//! order in which they lie, so that no chunk of theirs is decoded twice. A chunk is never held in memory twice.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use lz_kit::Level;
use lz_kit::lz77::PaddedChunk;

use super::order::SolidOrder;
use super::output::Output;
use crate::base::pipeline::{Budget, BufferPool, Cost, map_in_order};
use crate::base::{Cancel, Context, Error, Result, Sha1Digest};
use crate::formats::wim::{BlobEntry, ChunkEncoder, ChunkFormat, SolidPlace, SolidResource, WimFile};
use crate::transfer::read::{
    Batches, BlobInput, BlobWorker, InOrder, Piece, decoder_bytes, largest_solid_item,
};

/// Most memory that packing takes when the caller named no number and one worker needs less: two workers with Windows'
/// chunks of 64 MiB.
const DEFAULT_PACKING_BYTES: u64 = 1400 << 20;
/// Uncompressed bytes of an item when chunks are smaller.
const MIN_ITEM_BYTES: u64 = 1 << 20;

/// How blobs that are encoded are stored.
#[derive(Clone, Debug)]
pub enum Packing {
    /// Each in a resource of its own.
    Separate,
    /// Together, in a solid resource.
    Solid(SolidPacking),
}

/// How a solid resource is made.
#[derive(Clone, Debug)]
pub struct SolidPacking {
    /// How it is compressed, whatever the file's header says of other resources.
    pub format: ChunkFormat,
    /// How hard it is compressed.
    pub level: Level,
    /// What decides which blobs lie side by side.
    pub order: SolidOrder,
}

impl Packing {
    /// The packing that goes on as `wim` has begun: solid, in the form of its first solid resource, if it has one.
    #[must_use]
    pub fn as_in(wim: &WimFile) -> Self {
        match wim.solid_resources().next() {
            None => Self::Separate,
            Some(resource) => Self::Solid(SolidPacking {
                format: resource.format(),
                level: Level::NORMAL,
                order: SolidOrder::default(),
            }),
        }
    }
}

/// A solid resource, and the blobs of it that are referred to.
#[derive(Clone, Debug)]
pub(super) struct SolidGroup {
    /// Where it lies in the file that is written, or in the file that it is copied from.
    pub(super) offset: u64,
    pub(super) stored_size: u64,
    pub(super) size: u64,
    /// By their place.
    pub(super) blobs: Vec<SolidBlob>,
}

/// A blob of a solid resource.
#[derive(Clone, Copy, Debug)]
pub(super) struct SolidBlob {
    pub(super) digest: Sha1Digest,
    /// Offset in the uncompressed resource.
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// A solid resource of a source, and those of its blobs that are wanted.
pub(super) struct WantedGroup {
    pub(super) resource: Arc<SolidResource>,
    /// By their place.
    pub(super) entries: Vec<BlobEntry>,
    /// The same as it is written when the resource is kept whole.
    pub(super) group: SolidGroup,
}

impl WantedGroup {
    /// The groups of `entries`, which lie in solid resources of `wim` and are sorted by their place there.
    ///
    /// # Errors
    /// `Format` for an entry that lies nowhere.
    pub(super) fn of(wim: &WimFile, entries: &[BlobEntry]) -> Result<Vec<Self>> {
        let mut groups: Vec<Self> = Vec::new();
        for entry in entries {
            let SolidPlace { resource, offset } =
                wim.solid_place(entry).map_err(|e| e.in_file(wim.name()))?;
            let blob = SolidBlob { digest: entry.digest, offset, size: entry.header.size };
            match groups.last_mut().filter(|last| Arc::ptr_eq(&last.resource, &resource)) {
                Some(last) => {
                    last.entries.push(*entry);
                    last.group.blobs.push(blob);
                }
                None => {
                    let group = SolidGroup {
                        offset: resource.offset(),
                        stored_size: resource.stored_size(),
                        size: resource.size(),
                        blobs: vec![blob],
                    };
                    groups.push(Self { resource, entries: vec![*entry], group });
                }
            }
        }
        Ok(groups)
    }
}

impl SolidGroup {
    /// Whether so much of it is referred to that it is worth copying as it is: two thirds, as with wimlib.
    pub(super) fn is_mostly_used(&self) -> bool {
        let used = self.blobs.iter().fold(0u64, |sum, blob| sum.saturating_add(blob.size));
        u128::from(used) * 3 >= u128::from(self.size) * 2
    }
}

/// The entries of one run of solid resources for the lookup table: each resource, then its blobs, whose offsets count
/// through the run (wim-format 6.2).
pub(super) fn run_entries(groups: &[SolidGroup], references: &HashMap<Sha1Digest, u32>) -> Vec<BlobEntry> {
    let (mut entries, mut start) = (Vec::new(), 0u64);
    for group in groups {
        entries.push(BlobEntry::of_solid_resource(group.offset, group.stored_size));
        entries.extend(group.blobs.iter().map(|blob| {
            let references = references.get(&blob.digest).copied().unwrap_or(0);
            BlobEntry::in_solid_run(blob.digest, start.saturating_add(blob.offset), blob.size, references)
        }));
        start = start.saturating_add(group.size);
    }
    entries
}

/// Packs `inputs` in their order into one solid resource, which is appended; none when there are none.
///
/// # Errors
/// `Limit` when not even one chunk can be compressed within the memory of `cx`, what reading gives, `Cancelled`.
pub(super) fn pack_blobs(
    cx: &Context<'_>,
    inputs: &[BlobInput<'_>],
    packing: &SolidPacking,
    output: &mut Output<'_>,
) -> Result<Option<SolidGroup>> {
    let mut size = 0u64;
    let mut blobs = Vec::with_capacity(inputs.len());
    for input in inputs {
        blobs.push(SolidBlob { digest: input.digest, offset: size, size: input.size });
        size =
            size.checked_add(input.size).ok_or_else(|| Error::limit("the blobs are too large together"))?;
    }
    if size == 0 {
        return Ok(None);
    }
    let (format, chunk_bytes) = (packing.format, u64::from(packing.format.chunk_size().bytes()));
    let chunks = format.chunk_size().chunks_in(size);
    if chunks > SolidResource::MAX_CHUNKS {
        return Err(Error::limit(format!("{size} bytes make {chunks} chunks of a solid resource"))
            .remedy("choose larger chunks with --solid-chunk-size"));
    }
    let plan = PackingPlan::new(cx, inputs, packing, size)?;
    let offset = output.offset();
    output.reserve(
        SolidResource::header_bytes(size, format, &vec![0; usize::try_from(chunks).unwrap_or(0)]).len()
            as u64,
    )?;
    let stock = ChunkStock::default();
    let items = ChunkFiller::new((inputs, size), &plan, stock.clone(), cx.cancel);
    let new_worker = || {
        let mut encoder = ChunkEncoder::for_chunks_of(format, packing.level, plan.longest_chunk);
        let chunk_bytes = usize::try_from(chunk_bytes).unwrap_or(usize::MAX);
        let stock = stock.clone();
        move |item: FilledItem| {
            let stored =
                item.bytes.and_then(|bytes| encode_item(cx, &mut encoder, bytes, chunk_bytes, &stock))?;
            Ok((stored, stock.clone()))
        }
    };
    let mut sizes = Vec::new();
    map_in_order(cx, &plan.budget, items, new_worker, |(stored, stock): (StoredItem, ChunkStock)| {
        sizes.extend_from_slice(&stored.sizes);
        match stored.bytes {
            StoredBytes::InPlace(chunk) => {
                output.append(chunk.bytes())?;
                stock.give_back(chunk);
            }
            StoredBytes::Several(bytes) => output.append(&bytes)?,
        }
        Ok(())
    })?;
    let stored_size = output.offset() - offset;
    output.patch(&SolidResource::header_bytes(size, format, &sizes), offset)?;
    Ok(Some(SolidGroup { offset, stored_size, size, blobs }))
}

/// How the memory is divided.
struct PackingPlan {
    budget: Budget,
    /// Uncompressed bytes of an item: a chunk, or several small ones.
    item_bytes: u64,
    longest_chunk: u64,
}

impl PackingPlan {
    fn new(cx: &Context<'_>, inputs: &[BlobInput<'_>], packing: &SolidPacking, size: u64) -> Result<Self> {
        let chunk_bytes = u64::from(packing.format.chunk_size().bytes());
        let longest_chunk = chunk_bytes.min(size);
        let item_bytes = chunk_bytes.max(MIN_ITEM_BYTES).min(size);
        // Several small chunks are not compressed in their place.
        let copies = if item_bytes > longest_chunk { 2 } else { 1 };
        let scratch_bytes =
            ChunkEncoder::in_place_scratch_bytes(packing.format, packing.level, longest_chunk);
        let one = scratch_bytes.saturating_add(copies * item_bytes);
        let reading = decoder_bytes(inputs) + largest_solid_item(inputs) + 2 * Budget::MAX_BATCH_BYTES;
        let least = reading.saturating_add(one);
        // With several workers, one item more is filled ahead.
        let all =
            least.saturating_add(item_bytes).saturating_add(one.saturating_mul(cx.threads() as u64 - 1));
        let memory = match cx.is_memory_chosen() {
            true => cx.memory_bytes(),
            false => cx.memory_bytes().max(all.min(DEFAULT_PACKING_BYTES)).max(least),
        };
        let Some(spare) = memory.checked_sub(least) else {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            return Err(Error::limit(format!(
                "packing into {} chunks of {} MiB needs {} MiB of memory, and {} MiB are allowed",
                packing.format.compression(),
                mib(longest_chunk),
                mib(least),
                memory >> 20
            ))
            .remedy(format!(
                "allow it with --memory={}M, or choose smaller chunks with --solid-chunk-size",
                mib(least)
            )));
        };
        let more = spare.saturating_sub(item_bytes) / one.max(1);
        let workers = 1 + usize::try_from(more).unwrap_or(usize::MAX).min(cx.threads() - 1);
        let permit_bytes = item_bytes.saturating_mul(workers as u64);
        let budget = Budget { workers, permit_bytes, scratch_bytes, batch_bytes: Budget::MAX_BATCH_BYTES };
        Ok(Self { budget, item_bytes, longest_chunk })
    }
}

/// Buffers that go round between the filler and the workers; fresh ones would be page faults by the thousand.
#[derive(Clone, Default)]
struct ChunkStock(Arc<Mutex<Vec<PaddedChunk>>>);

impl ChunkStock {
    fn take(&self, bytes: u64) -> PaddedChunk {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut chunk =
            idle.unwrap_or_else(|| PaddedChunk::new(usize::try_from(bytes).unwrap_or(usize::MAX)));
        chunk.clear();
        chunk
    }

    fn give_back(&self, chunk: PaddedChunk) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(chunk);
    }
}

/// Uncompressed bytes of one item, or what went wrong when they were read.
struct FilledItem {
    bytes: Result<PaddedChunk>,
    cost: u64,
}

impl Cost for FilledItem {
    fn cost(&self) -> u64 {
        self.cost
    }
}

/// Reads blobs in order and cuts them into items.
struct ChunkFiller<'i, 'w> {
    inputs: &'i [BlobInput<'w>],
    works: Batches<'i, 'w>,
    worker: BlobWorker<'i, 'w>,
    order: InOrder,
    /// Pieces that have been read, and how much of the first has gone into an item.
    pieces: VecDeque<Piece>,
    taken: usize,
    /// Bytes that are still to come.
    left: u64,
    item_bytes: u64,
    stock: ChunkStock,
}

impl<'i, 'w> ChunkFiller<'i, 'w> {
    /// A filler of the chunks of `inputs`, which are `size` bytes in all.
    fn new(
        (inputs, size): (&'i [BlobInput<'w>], u64),
        plan: &PackingPlan,
        stock: ChunkStock,
        cancel: &'i Cancel,
    ) -> Self {
        let align = crate::transfer::read::largest_chunk(inputs);
        Self {
            inputs,
            works: Batches::new(inputs, plan.budget.batch_bytes, align),
            worker: BlobWorker::new(inputs, BufferPool::new(), cancel),
            order: InOrder::default(),
            pieces: VecDeque::new(),
            taken: 0,
            left: size,
            item_bytes: plan.item_bytes,
            stock,
        }
    }

    fn fill(&mut self) -> Result<PaddedChunk> {
        let mut item = self.stock.take(self.item_bytes);
        let wanted = usize::try_from(self.item_bytes.min(self.left)).unwrap_or(usize::MAX);
        while item.len() < wanted {
            let Some(piece) = self.pieces.front() else {
                self.read_more()?;
                continue;
            };
            let bytes = piece.bytes.as_ref().map_err(Error::duplicate)?.as_ref();
            let rest = bytes.get(self.taken..).unwrap_or(&[]);
            let part = rest.get(..rest.len().min(wanted - item.len())).unwrap_or(&[]);
            // It has room for the longest item.
            let _ = item.append(part);
            self.taken += part.len();
            if self.taken >= bytes.len() {
                self.pieces.pop_front();
                self.taken = 0;
            }
        }
        self.left -= item.len() as u64;
        Ok(item)
    }

    fn read_more(&mut self) -> Result<()> {
        let Some(work) = self.works.next() else {
            return Err(Error::corrupt("the blobs have fewer bytes than was said of them"));
        };
        let (inputs, order) = (self.inputs, &mut self.order);
        let pieces = self.worker.run(work)?.into_iter();
        self.pieces.extend(pieces.filter_map(|piece| order.check(inputs, piece)));
        Ok(())
    }
}

impl Iterator for ChunkFiller<'_, '_> {
    type Item = FilledItem;

    fn next(&mut self) -> Option<FilledItem> {
        if self.left == 0 {
            return None;
        }
        let bytes = self.fill();
        if bytes.is_err() {
            self.left = 0;
        }
        Some(FilledItem { bytes, cost: self.item_bytes })
    }
}

/// The stored form of an item, and the sizes of its chunks.
struct StoredItem {
    bytes: StoredBytes,
    sizes: Vec<u32>,
}

enum StoredBytes {
    /// One chunk, in the buffer that it was read into.
    InPlace(PaddedChunk),
    /// Chunks one behind the other.
    Several(Vec<u8>),
}

fn encode_item(
    cx: &Context<'_>,
    encoder: &mut ChunkEncoder,
    mut item: PaddedChunk,
    chunk_bytes: usize,
    stock: &ChunkStock,
) -> Result<StoredItem> {
    let (length, told) = (item.len(), Cell::new(0));
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let stored = if length > chunk_bytes {
        let mut bytes = Vec::with_capacity(length / 2);
        let chunks = item.bytes().chunks(chunk_bytes);
        let go_on = || !cx.cancel.is_raised();
        let sizes = chunks.map(|chunk| encoder.encode_onto(chunk, &mut bytes, &go_on).map(size));
        let sizes = sizes.collect::<std::result::Result<_, _>>().map_err(|_| Error::cancelled())?;
        stock.give_back(item);
        StoredItem { bytes: StoredBytes::Several(bytes), sizes }
    } else {
        let go_on = |bytes: usize| {
            told.set(told.get() + bytes);
            cx.progress.advance(bytes as u64);
            !cx.cancel.is_raised()
        };
        encoder.encode_in_place(&mut item, &go_on).map_err(|_| Error::cancelled())?;
        let sizes = vec![size(item.len())];
        StoredItem { bytes: StoredBytes::InPlace(item), sizes }
    };
    cx.progress.advance(length.saturating_sub(told.get()) as u64);
    Ok(stored)
}
