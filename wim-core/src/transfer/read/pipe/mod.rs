//! Reads a pipable WIM once, from its start to its end, where nothing can be read twice (wim-format 14).
//!
//! [`PipedWim::open`] takes what comes before the blobs, so that images can be chosen and loaded; [`PipedWim::read_blobs`]
//! then decodes the wanted blobs on all cores, in the order in which they arrive and within the memory of the context.
//! Several files may follow each other: the parts of a set, the first one first, and bases of a delta behind it. Nothing is
//! believed before it is there: what lies about its length ends with an error that names the place in the stream.

mod input;
mod items;

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use self::input::{PipeInput, StoredBlob};
pub use self::items::Tolerance;
use self::items::{PipeItems, PipeWork, PipeWorker};
use super::worker::PieceBytes;
use crate::base::pipeline::{Budget, BufferPool, map_in_order};
use crate::base::{Context, Error, PartNumber, Reason, Result, Sha1Digest};
use crate::formats::wim::{
    BlobEntry, BlobHeader, ChunkDecoder, ResourceHeader, WimFile, WimHeader, WimLayout, WimXml, xml,
};

/// Most bytes that are kept of what comes before the blobs: XML data and compressed metadata of all images. The memory
/// of the context counts too.
const MAX_START_BYTES: u64 = 1 << 30;

/// A pipable WIM that arrives through a pipe, read up to its first blob.
pub struct PipedWim<'r> {
    input: PipeInput<'r>,
    start: WimFile,
}

/// A piece of a blob as the sink of [`PipedWim::read_blobs`] sees it.
pub struct PipedPiece<'p> {
    /// Name of the blob.
    pub digest: Sha1Digest,
    /// Bytes of the whole blob.
    pub size: u64,
    /// Offset of the piece in it.
    pub start: u64,
    /// The bytes, or what is wrong with the blob; after an error no more pieces of it follow.
    pub bytes: Result<&'p [u8]>,
    /// True for the last piece; its bytes are an error when the blob's digest differs.
    pub is_last: bool,
    /// What is wrong with the bytes, where damage is tolerated; that of the digest comes with the last piece.
    pub damage: Option<Error>,
}

impl<'r> PipedWim<'r> {
    /// Reads header, XML data and the metadata of all images; `name` is what errors call the stream.
    ///
    /// # Errors
    /// `Format` for what is no WIM, is not pipable, does not begin with the first part of its set, or has something else
    /// where metadata must be; `Limit` for more metadata than 1 GiB or the memory of the context; `Io`, `Cancelled`.
    pub fn open(input: &'r mut dyn Read, name: &str, cx: &Context<'r>) -> Result<Self> {
        Self::open_unnamed(PipeInput::new(input, cx.cancel), name, cx.memory_bytes())
            .map_err(|e| e.in_file(name))
    }

    fn open_unnamed(mut input: PipeInput<'r>, name: &str, memory_bytes: u64) -> Result<Self> {
        let mut kept = vec![0; WimHeader::BYTES];
        input.read_exact(&mut kept, "WIM header")?;
        let header = WimHeader::parse(&kept)?;
        if header.format.layout() != WimLayout::Pipable {
            return Err(Error::format("WIM header", "magic", 0, "the WIM is not pipable")
                .because(Reason::NotPipable)
                .remedy("give the path of the file, or make it pipable with: wim optimize FILE --pipable"));
        }
        if header.part != PartNumber::FIRST {
            let message = format!("part {} comes first", header.part.number());
            return Err(Error::format("WIM header", "part number", 0x28, message)
                .remedy("send the first part first; the others may follow in any order"));
        }
        let described = input.blob_header()?;
        let at_xml = input.offset();
        if !described.is_metadata() || described.is_compressed() || described.size > xml::MAX_BYTES {
            return Err(input.error("blob header", "flags", "XML data must follow the header"));
        }
        kept.extend_from_slice(&described.to_bytes());
        let before = kept.len();
        input.append_exact(&mut kept, described.size, "XML data")?;
        let document = WimXml::parse(kept.get(before..).unwrap_or(&[]), at_xml, header.image_count)?;
        let mut metadata = Vec::new();
        let most = MAX_START_BYTES.min(memory_bytes);
        for image in 1..=header.image_count {
            let entry = keep_metadata(&mut input, &mut kept, &header, most)
                .map_err(|e| e.in_file(format!("{name}: metadata of image {image}")))?;
            metadata.push(entry);
        }
        input.set_format(header.format);
        let start = WimFile::of_start(Arc::new(kept), name, header, metadata, document);
        Ok(Self { input, start })
    }

    /// What has been read so far, as a file that has images and their metadata but no blobs.
    #[must_use]
    pub fn start(&self) -> &WimFile {
        &self.start
    }

    /// Reads on to the end of the stream and hands the pieces of the blobs in `wanted` to `sink`, each blob once, from its
    /// start to its end. Progress is advanced by uncompressed bytes.
    ///
    /// # Errors
    /// What the sink returns; `NotFound`, with the digest, for a blob that never came; `Format` with the place in the stream
    /// when it is cut short or lies; `Io`, `Cancelled`.
    pub fn read_blobs(
        self,
        cx: &Context<'_>,
        (wanted, tolerance): (HashSet<Sha1Digest>, Tolerance),
        mut sink: impl FnMut(PipedPiece<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { input, start } = self;
        let scratch = ChunkDecoder::scratch_bytes(start.format()) + Budget::MAX_BATCH_BYTES;
        let chunk = u64::from(start.format().chunk_size().bytes());
        let budget = Budget::split(cx.memory_bytes(), cx.threads(), scratch)
            .for_items_of(2 * chunk, cx.memory_bytes());
        let pool = BufferPool::new();
        let mut items = PipeItems::new(input, start.header(), wanted, budget.batch_bytes);
        let new_worker = || {
            let mut worker = PipeWorker::new(pool.clone(), tolerance);
            move |work: PipeWork| Ok(worker.run(work))
        };
        let name = start.name();
        let mut failed: Option<Sha1Digest> = None;
        map_in_order(cx, &budget, &mut items, new_worker, |(pieces, stop): (Vec<items::Decoded>, _)| {
            for piece in pieces {
                if failed == Some(piece.digest) {
                    continue;
                }
                let bytes = piece.finished().map_err(|e| e.in_file(name));
                failed = bytes.is_err().then_some(piece.digest);
                let length = bytes.as_ref().map_or(0, |(bytes, _)| bytes.as_ref().len() as u64);
                let is_last = piece.is_last || bytes.is_err();
                let damage = bytes.as_ref().ok().and_then(|(_, damage)| damage.as_ref());
                let damage = damage.map(|damage| damage.duplicate().in_file(name));
                let bytes = bytes.as_ref().map(|(bytes, _): &(PieceBytes, _)| bytes.as_ref());
                let bytes = bytes.map_err(Error::duplicate);
                let (digest, size, start) = (piece.digest, piece.size, piece.start);
                sink(PipedPiece { digest, size, start, bytes, is_last, damage })?;
                cx.progress.advance(length);
            }
            stop.map_or(Ok(()), |error: Error| Err(error.in_file(name)))
        })?;
        items.check_complete().map_err(|e| e.in_file(name))
    }
}

/// Reads a metadata resource behind what is `kept`, and says where it lies there.
fn keep_metadata(
    input: &mut PipeInput<'_>,
    kept: &mut Vec<u8>,
    header: &WimHeader,
    most: u64,
) -> Result<BlobEntry> {
    let too_much = || {
        Error::limit(format!("more than {most} bytes of metadata come before the first file"))
            .remedy("give more memory with --memory, or apply the file from a disk")
    };
    let blob = input.blob_header()?;
    if !blob.is_metadata() {
        let message = format!("the data of blob {} comes before all metadata was there", blob.digest);
        return Err(input.error("blob header", "flags", &message));
    }
    kept.extend_from_slice(&blob.to_bytes());
    let offset = kept.len() as u64;
    let mut stored = StoredBlob::new(blob, header.format, input)?;
    while let Some(chunk) = stored.next_chunk(input)? {
        if blob.is_compressed() {
            kept.extend_from_slice(&chunk.stored_size.to_le_bytes());
        }
        if (kept.len() as u64).saturating_add(u64::from(chunk.stored_size)) > most {
            return Err(too_much());
        }
        input.append_exact(kept, u64::from(chunk.stored_size), "chunk")?;
    }
    let table = stored.table_bytes();
    if (kept.len() as u64).saturating_add(table) > most {
        return Err(too_much());
    }
    input.append_exact(kept, table, "chunk table")?;
    let flags = ResourceHeader::METADATA | if blob.is_compressed() { ResourceHeader::COMPRESSED } else { 0 };
    let stored_size = kept.len() as u64 - offset;
    let resource = ResourceHeader { stored_size, flags, offset, size: blob.size };
    let BlobHeader { digest, .. } = blob;
    Ok(BlobEntry { header: resource, part: 1, reference_count: 1, digest })
}
