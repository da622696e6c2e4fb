//! Encodes blobs on all cores and appends them as resources.

use super::output::Output;
use crate::base::pipeline::{Budget, BufferPool, map_in_order};
use crate::base::{Cancel, ChunkSize, Context, Error, Result, Silent};
use crate::formats::wim::chunk_table;
use crate::formats::wim::{ChunkEncoder, ChunkFormat, Compression, ResourceHeader, WimLayout};
use crate::transfer::read::{
    Batches, BlobInput, BlobWorker, InOrder, Piece, Work, decoder_bytes, largest_chunk, largest_solid_item,
    read_blobs,
};
use lz_kit::Level;

/// Encodes `inputs` in order and appends each as a resource; `written` is told where, and may go on in another output. `kind` are
/// the flags of their kind: those of metadata.
pub(super) fn encode_blobs<'o>(
    cx: &Context<'_>,
    inputs: &[BlobInput<'_>],
    format: ChunkFormat,
    level: Level,
    kind: u8,
    output: &mut Output<'o>,
    mut written: impl FnMut(&mut Output<'o>, usize, ResourceHeader) -> Result<()>,
) -> Result<()> {
    let chunk_bytes = u64::from(format.chunk_size().bytes());
    let align = chunk_bytes.max(largest_chunk(inputs));
    let scratch =
        decoder_bytes(inputs) + ChunkEncoder::scratch_bytes(format, level) + Budget::MAX_BATCH_BYTES;
    let budget = Budget::split(cx.memory_bytes(), cx.threads(), scratch)
        .for_items_of(largest_solid_item(inputs).saturating_mul(2), cx.memory_bytes());
    // Encoding is slow: half a batch keeps the cores evenly busy to the end.
    let items = Batches::new(inputs, budget.batch_bytes / 2, align);
    let pool = BufferPool::new();
    let new_worker = || {
        let mut reader = BlobWorker::new(inputs, pool.clone(), cx.cancel);
        let mut encoder = Encoder::new(format, level);
        move |work: Work| {
            let pieces = reader.run(work)?.into_iter();
            let encode = |piece| EncodedPiece::new(piece, inputs, &mut encoder, cx.cancel);
            pieces.map(encode).collect::<Result<Vec<_>>>()
        }
    };
    let mut order = InOrder::default();
    let mut large = None;
    map_in_order(cx, &budget, items, new_worker, |pieces: Vec<EncodedPiece>| {
        for EncodedPiece { piece, form } in pieces {
            let Some(piece) = order.check(inputs, piece) else { continue };
            let (position, length) = (piece.position, piece.bytes?.as_ref().len() as u64);
            let input = &inputs[position];
            let header = match form {
                Form::Whole { stored, flags } => {
                    output.begin_blob(input.size, input.digest, flags | kind)?;
                    let offset = output.offset();
                    output.append(&stored)?;
                    let stored_size = stored.len() as u64;
                    Some(ResourceHeader { stored_size, flags, offset, size: input.size })
                }
                Form::Chunks(chunks) => {
                    let open = match &mut large {
                        Some(open) if piece.start > 0 => open,
                        _ => large.insert(LargeResource::begin(output, input, format, kind)?),
                    };
                    open.add_chunks(output, &chunks, (format, level), cx.cancel)?;
                    if piece.is_last { Some(open.finish(cx, output, input, level)?) } else { None }
                }
            };
            if let Some(header) = header {
                large = None;
                written(output, position, header)?;
            }
            cx.progress.advance(length);
        }
        Ok(())
    })
}

/// A piece with its encoded form.
struct EncodedPiece {
    piece: Piece,
    form: Form,
}

enum Form {
    /// A whole resource, ready to be appended.
    Whole { stored: Vec<u8>, flags: u8 },
    /// Some chunks of a large one.
    Chunks(EncodedChunks),
}

/// Some chunks of a resource, and their stored sizes. Pieces of solid resources begin and end anywhere: what belongs to chunks
/// that are shared with the pieces around is left raw before and behind.
#[derive(Default)]
struct EncodedChunks {
    head: Vec<u8>,
    stored: Vec<u8>,
    sizes: Vec<u32>,
    tail: Vec<u8>,
}

impl EncodedPiece {
    fn new(piece: Piece, inputs: &[BlobInput<'_>], encoder: &mut Encoder, cancel: &Cancel) -> Result<Self> {
        let format = encoder.format;
        let bytes = piece.bytes.as_ref().map_or(&[][..], AsRef::as_ref);
        let is_whole = bytes.len() as u64 == inputs[piece.position].size;
        let form = if format.compression() == Compression::None {
            match is_whole {
                true => Form::Whole { stored: bytes.to_vec(), flags: 0 },
                false => Form::Chunks(EncodedChunks { stored: bytes.to_vec(), ..EncodedChunks::default() }),
            }
        } else if is_whole {
            encode_whole(bytes, encoder, cancel)?
        } else {
            let (head, whole, tail) = at_chunk_bounds(bytes, piece.start, piece.is_last, format.chunk_size());
            let (stored, sizes) = encode_chunks(whole, encoder, 0, cancel)?;
            Form::Chunks(EncodedChunks { head: head.to_vec(), stored, sizes, tail: tail.to_vec() })
        };
        Ok(Self { piece, form })
    }
}

/// Cuts a piece that starts at `start` of its blob: what is before its first chunk bound, whole chunks, what is behind the
/// last. The end of the blob ends a chunk too.
fn at_chunk_bounds(bytes: &[u8], start: u64, is_last: bool, chunk_size: ChunkSize) -> (&[u8], &[u8], &[u8]) {
    let chunk_bytes = chunk_size.bytes() as usize;
    let before = (start.next_multiple_of(chunk_bytes as u64) - start) as usize;
    let (head, rest) = bytes.split_at(before.min(bytes.len()));
    let whole = if is_last { rest.len() } else { rest.len() - rest.len() % chunk_bytes };
    let (whole, tail) = rest.split_at(whole);
    (head, whole, tail)
}

/// An encoder that encodes a chunk of zeros once: files with holes have little else.
struct Encoder {
    format: ChunkFormat,
    encoder: ChunkEncoder,
    /// The stored form of a whole chunk of zeros, once there was one.
    zeros: Option<Vec<u8>>,
}

impl Encoder {
    fn new(format: ChunkFormat, level: Level) -> Self {
        Self { format, encoder: ChunkEncoder::new(format, level), zeros: None }
    }

    /// Appends the stored form of a chunk to `out`; gives its bytes.
    fn encode_onto(&mut self, chunk: &[u8], out: &mut Vec<u8>, cancel: &Cancel) -> Result<usize> {
        let are_zeros = chunk.len() == self.format.chunk_size().bytes() as usize && is_zeros(chunk);
        if let Some(stored) = self.zeros.as_ref().filter(|_| are_zeros) {
            out.extend_from_slice(stored);
            return cancel.check().map(|()| stored.len());
        }
        let size = self.encoder.encode_onto(chunk, out, &|| !cancel.is_raised());
        let size = size.map_err(|_| Error::cancelled())?;
        if are_zeros {
            self.zeros = out.get(out.len() - size..).map(<[u8]>::to_vec);
        }
        Ok(size)
    }
}

/// True for nothing but zeros: the first byte is, and each is as the one before it, which the processor compares in one go.
fn is_zeros(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| *first == 0)
        && bytes.get(1..) == bytes.get(..bytes.len().saturating_sub(1))
}

/// Encodes all chunks of `bytes` behind `reserved` zero bytes, each behind its stored size where the layout wants that.
fn encode_chunks(
    bytes: &[u8],
    encoder: &mut Encoder,
    reserved: usize,
    cancel: &Cancel,
) -> Result<(Vec<u8>, Vec<u32>)> {
    let format = encoder.format;
    let mut stored = Vec::with_capacity(reserved + bytes.len() / 2);
    stored.resize(reserved, 0);
    let mut encode = |chunk: &[u8]| {
        let at = stored.len();
        if format.layout() == WimLayout::Pipable {
            stored.extend_from_slice(&[0; 4]);
        }
        let size = u32::try_from(encoder.encode_onto(chunk, &mut stored, cancel)?).unwrap_or(u32::MAX);
        if format.layout() == WimLayout::Pipable {
            stored[at..at + 4].copy_from_slice(&size.to_le_bytes());
        }
        Ok(size)
    };
    let sizes = bytes.chunks(format.chunk_size().bytes() as usize).map(&mut encode).collect::<Result<_>>()?;
    Ok((stored, sizes))
}

/// A resource in one piece: chunk table and chunks, or raw when that is not smaller (wim-format 4.2).
fn encode_whole(bytes: &[u8], encoder: &mut Encoder, cancel: &Cancel) -> Result<Form> {
    let format = encoder.format;
    let table_bytes = chunk_table::table_bytes(bytes.len() as u64, format.chunk_size());
    let is_first = format.layout() == WimLayout::Standard;
    let reserved = if is_first { usize::try_from(table_bytes).unwrap_or(0) } else { 0 };
    let (mut stored, sizes) = encode_chunks(bytes, encoder, reserved, cancel)?;
    let table = chunk_table::build(&sizes, bytes.len() as u64);
    if !is_first {
        stored.extend_from_slice(&table);
    }
    if stored.len() >= bytes.len() {
        return Ok(Form::Whole { stored: bytes.to_vec(), flags: 0 });
    }
    if is_first {
        stored[..reserved].copy_from_slice(&table);
    }
    Ok(Form::Whole { stored, flags: ResourceHeader::COMPRESSED })
}

/// A resource that is appended piece by piece, its chunk table filled in, or appended, at the end.
struct LargeResource {
    offset: u64,
    format: ChunkFormat,
    sizes: Vec<u32>,
    /// The beginning of a chunk whose rest comes with the next piece.
    begun: Vec<u8>,
}

impl LargeResource {
    fn begin(output: &mut Output<'_>, input: &BlobInput<'_>, format: ChunkFormat, kind: u8) -> Result<Self> {
        let (is_compressed, layout) = (format.compression() != Compression::None, format.layout());
        let flags = if is_compressed { kind | ResourceHeader::COMPRESSED } else { kind };
        output.begin_blob(input.size, input.digest, flags)?;
        let offset = output.offset();
        if is_compressed && layout == WimLayout::Standard {
            output.reserve(chunk_table::table_bytes(input.size, format.chunk_size()))?;
        }
        Ok(Self { offset, format, sizes: Vec::new(), begun: Vec::new() })
    }

    fn add_chunks(
        &mut self,
        output: &mut Output<'_>,
        chunks: &EncodedChunks,
        how: (ChunkFormat, Level),
        cancel: &Cancel,
    ) -> Result<()> {
        self.add_raw(output, &chunks.head, how, cancel)?;
        self.add(output, &chunks.stored, &chunks.sizes)?;
        self.add_raw(output, &chunks.tail, how, cancel)
    }

    fn add(&mut self, output: &mut Output<'_>, stored: &[u8], sizes: &[u32]) -> Result<()> {
        self.sizes.extend_from_slice(sizes);
        output.append(stored)
    }

    /// Adds bytes that are not whole chunks, and encodes the chunk that they complete.
    fn add_raw(
        &mut self,
        output: &mut Output<'_>,
        bytes: &[u8],
        (format, level): (ChunkFormat, Level),
        cancel: &Cancel,
    ) -> Result<()> {
        self.begun.extend_from_slice(bytes);
        if self.begun.len() < format.chunk_size().bytes() as usize {
            return Ok(());
        }
        self.encode_rest(output, (format, level), cancel)
    }

    /// Encodes what has begun as one chunk.
    fn encode_rest(
        &mut self,
        output: &mut Output<'_>,
        (format, level): (ChunkFormat, Level),
        cancel: &Cancel,
    ) -> Result<()> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let begun = std::mem::take(&mut self.begun);
        let mut encoder = Encoder::new(format, level);
        let (stored, sizes) = encode_chunks(&begun, &mut encoder, 0, cancel)?;
        self.add(output, &stored, &sizes)
    }

    /// Encodes what is left and puts the chunk table where it belongs.
    fn finish(
        &mut self,
        cx: &Context<'_>,
        output: &mut Output<'_>,
        input: &BlobInput<'_>,
        level: Level,
    ) -> Result<ResourceHeader> {
        self.encode_rest(output, (self.format, level), cx.cancel)?;
        let (offset, size) = (self.offset, input.size);
        let stored_size = output.offset() - offset;
        if self.format.compression() == Compression::None {
            return Ok(ResourceHeader { stored_size, flags: 0, offset, size });
        }
        let table = chunk_table::build(&self.sizes, size);
        if self.format.layout() == WimLayout::Pipable {
            output.append(&table)?;
            let stored_size = output.offset() - offset;
            return Ok(ResourceHeader { stored_size, flags: ResourceHeader::COMPRESSED, offset, size });
        }
        if stored_size >= size {
            output.rewind(offset)?;
            append_raw(cx, output, input)?;
            return Ok(ResourceHeader { stored_size: size, flags: 0, offset, size });
        }
        output.patch(&table, offset)?;
        Ok(ResourceHeader { stored_size, flags: ResourceHeader::COMPRESSED, offset, size })
    }
}

/// Reads a blob a second time and appends it as it is: it did not shrink.
fn append_raw(cx: &Context<'_>, output: &mut Output<'_>, input: &BlobInput<'_>) -> Result<()> {
    // On this thread and with no memory to speak of, since the pipeline around still holds its own.
    let cancel = Cancel::new();
    let inner = Context::new(&Silent, &cancel).with_threads(1).with_memory(0);
    read_blobs(&inner, std::slice::from_ref(input), |piece| {
        cx.cancel.check()?;
        output.append(piece.bytes?)
    })
}
