//! Copies resources as they are, compressed, from WIM to WIM.
//!
//! Resources that lie side by side are copied as one run, so that exporting an edition is a sequential copy.

use super::output::Output;
use crate::base::pipeline::{Budget, BufferPool, Cost, PooledBuffer, map_in_order};
use crate::base::read_at::read_exact_at;
use crate::base::{Context, Result};
use crate::formats::wim::{BlobEntry, ResourceHeader, WimFile};

/// Bytes copied by one item.
const BLOCK_BYTES: u64 = 1 << 20;

/// Whether the checksums of copied bytes are kept for [`CopiedBlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyChecksums {
    /// Sum up every copied block, so that the output can be checked against what was read.
    Keep,
    /// Just copy.
    Drop,
}

/// A block of the output that was copied, with the checksum that its bytes had when they were read.
#[derive(Clone, Copy, Debug)]
pub struct CopiedBlock {
    /// Offset in the output.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
    /// CRC-32 of the bytes: it finds what a disk or a cable does, in a fraction of a digest's time.
    pub checksum: u32,
}

/// What one item of the pipeline copies: a stretch, or as much of several that lie side by side.
struct Block {
    wim: usize,
    /// The resource that begins here, where resources are no runs.
    begins: Option<usize>,
    offset: u64,
    length: u64,
}

impl Cost for Block {
    fn cost(&self) -> u64 {
        self.length
    }
}

/// Copies the stored bytes of `resources` in order; `written` is told where each lies in the output.
///
/// # Errors
/// `Format` for an entry that lies about its place; `Io`.
pub(super) fn copy_resources(
    cx: &Context<'_>,
    resources: &[(&WimFile, BlobEntry)],
    checksums: CopyChecksums,
    output: &mut Output<'_>,
    mut written: impl FnMut(usize, ResourceHeader),
) -> Result<Vec<CopiedBlock>> {
    let mut offset = output.offset();
    for (position, (wim, entry)) in resources.iter().enumerate() {
        wim.check(entry).map_err(|e| e.in_file(wim.name()))?;
        offset += output.blob_header_bytes();
        written(position, ResourceHeader { offset, ..entry.header });
        offset += entry.header.stored_size;
    }
    let stretches: Vec<Stretch<'_>> =
        resources.iter().map(|(wim, entry)| (*wim, entry.header.offset, entry.header.stored_size)).collect();
    let heads = if output.blob_header_bytes() > 0 { resources } else { &[] };
    copy_blocks(cx, &stretches, heads, checksums, output)
}

/// A file, and a place in it: offset and bytes.
pub(super) type Stretch<'w> = (&'w WimFile, u64, u64);

/// Copies stretches in order; that they lie within their files is the caller's to check.
///
/// # Errors
/// `Io`.
pub(super) fn copy_stretches(
    cx: &Context<'_>,
    stretches: &[Stretch<'_>],
    checksums: CopyChecksums,
    output: &mut Output<'_>,
) -> Result<Vec<CopiedBlock>> {
    copy_blocks(cx, stretches, &[], checksums, output)
}

/// Copies stretches; `heads` are the resources that they are, when each gets a header in the output.
fn copy_blocks(
    cx: &Context<'_>,
    stretches: &[Stretch<'_>],
    heads: &[(&WimFile, BlobEntry)],
    checksums: CopyChecksums,
    output: &mut Output<'_>,
) -> Result<Vec<CopiedBlock>> {
    let has_headers = !heads.is_empty();
    let budget = Budget::split(cx.memory_bytes(), cx.threads(), 0);
    let pool = BufferPool::new();
    let new_worker = || {
        |block: Block| {
            let wim = stretches[block.wim].0;
            let mut buffer = pool.take(usize::try_from(block.length).unwrap_or(usize::MAX));
            read_exact_at(&**wim.source(), buffer.as_mut(), block.offset)
                .map_err(|e| e.in_file(wim.name()))?;
            let checksum = (checksums == CopyChecksums::Keep).then(|| crc32fast::hash(buffer.as_ref()));
            Ok((buffer, checksum, block.begins))
        }
    };
    let mut copied = Vec::new();
    map_in_order(
        cx,
        &budget,
        blocks(stretches, has_headers),
        new_worker,
        |(buffer, checksum, begins): (PooledBuffer, Option<_>, Option<usize>)| {
            let bytes = buffer.as_ref();
            if let Some((_, entry)) = begins.and_then(|begins| heads.get(begins)) {
                output.begin_blob(entry.header.size, entry.digest, entry.header.flags)?;
            }
            if let Some(checksum) = checksum {
                copied.push(CopiedBlock { offset: output.offset(), length: bytes.len() as u64, checksum });
            }
            output.append(bytes)?;
            cx.progress.advance(bytes.len() as u64);
            Ok(())
        },
    )?;
    Ok(copied)
}

/// Runs of adjacent stretches, cut into blocks; each stretch is a run where it `has_headers` before it in the output.
fn blocks(stretches: &[Stretch<'_>], has_headers: bool) -> impl Iterator<Item = Block> {
    let is_adjacent = move |a: &Stretch<'_>, b: &Stretch<'_>| {
        !has_headers && std::ptr::eq(a.0, b.0) && a.1.checked_add(a.2) == Some(b.1)
    };
    let mut first = 0;
    stretches.chunk_by(is_adjacent).flat_map(move |run| {
        let wim = first;
        first += run.len();
        let start = run.first().map_or(0, |(_, offset, _)| *offset);
        let length: u64 = run.iter().map(|(_, _, bytes)| bytes).sum();
        (0..length.div_ceil(BLOCK_BYTES)).map(move |number| {
            let at = number * BLOCK_BYTES;
            let begins = (has_headers && number == 0).then_some(wim);
            Block { wim, begins, offset: start + at, length: BLOCK_BYTES.min(length - at) }
        })
    })
}
