//! Copies resources as they are, compressed, from WIM to WIM.
//!
//! Resources that lie side by side are copied as one run, so that exporting an edition is a sequential copy: the system's, where
//! nobody wants to see the bytes on their way.

use super::output::Output;
use crate::base::pipeline::{Budget, BufferPool, Cost, PooledBuffer, map_in_order};
use crate::base::read_at::read_exact_at;
use crate::base::{Context, Result};
use crate::formats::wim::{BlobEntry, ResourceHeader, WimFile};

/// Bytes copied by one item.
const BLOCK_BYTES: u64 = 1 << 20;
/// Bytes that the system copies at once: short enough to be stopped between.
const SYSTEM_BLOCK_BYTES: u64 = 8 << 20;

/// Whether the checksums of copied bytes are kept for [`CopiedBlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyChecksums {
    /// Sum up every copied block, so that the output can be checked against what was read.
    Keep,
    /// Just copy.
    Drop,
}

/// Who reads what is copied; whoever calls writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyOn {
    /// The workers, so that a slow source is asked for several blocks at a time.
    Workers,
    /// The caller too: the workers have other work.
    ThisThread,
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
    how: (CopyChecksums, CopyOn),
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
    if how.0 == CopyChecksums::Drop && heads.is_empty() {
        let rest = copy_by_system(cx, &stretches, output)?;
        return copy_blocks(cx, &rest, heads, how, output);
    }
    copy_blocks(cx, &stretches, heads, how, output)
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
    copy_blocks(cx, stretches, &[], (checksums, CopyOn::Workers), output)
}

/// Has the system copy stretches in order; gives those that are left from where it could not.
fn copy_by_system<'w>(
    cx: &Context<'_>,
    stretches: &[Stretch<'w>],
    output: &mut Output<'_>,
) -> Result<Vec<Stretch<'w>>> {
    let mut done = 0;
    for block in blocks(stretches, SYSTEM_BLOCK_BYTES, false) {
        let Some(file) = stretches[block.wim].0.source().as_file() else { break };
        let mut left = block.length;
        while left > 0 {
            cx.cancel.check()?;
            let copied = output.append_from(file, block.offset + (block.length - left), left)?.min(left);
            if copied == 0 {
                break;
            }
            left -= copied;
            cx.progress.advance(copied);
        }
        done += block.length - left;
        if left > 0 {
            break;
        }
    }
    let left = stretches.iter().filter_map(|&(wim, offset, length)| {
        let copied = length.min(done);
        done -= copied;
        (copied < length).then_some((wim, offset + copied, length - copied))
    });
    Ok(left.collect())
}

/// Copies stretches; `heads` are the resources that they are, when each gets a header in the output.
fn copy_blocks(
    cx: &Context<'_>,
    stretches: &[Stretch<'_>],
    heads: &[(&WimFile, BlobEntry)],
    (checksums, on): (CopyChecksums, CopyOn),
    output: &mut Output<'_>,
) -> Result<Vec<CopiedBlock>> {
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
    let mut take = |(buffer, checksum, begins): (PooledBuffer, Option<u32>, Option<usize>)| {
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
    };
    let mut blocks = blocks(stretches, BLOCK_BYTES, !heads.is_empty());
    match on {
        CopyOn::Workers => {
            let budget = Budget::split(cx.memory_bytes(), cx.threads(), 0);
            map_in_order(cx, &budget, blocks, new_worker, take)?;
        }
        CopyOn::ThisThread => {
            let read = new_worker();
            blocks.try_for_each(|block| {
                cx.cancel.check()?;
                take(read(block)?)
            })?;
        }
    }
    Ok(copied)
}

/// Runs of adjacent stretches, cut into blocks of `block_bytes`; each stretch is a run where it `has_headers` before it in the output.
fn blocks<'s>(
    stretches: &'s [Stretch<'s>],
    block_bytes: u64,
    has_headers: bool,
) -> impl Iterator<Item = Block> {
    let is_adjacent = move |a: &Stretch<'_>, b: &Stretch<'_>| {
        !has_headers && std::ptr::eq(a.0, b.0) && a.1.checked_add(a.2) == Some(b.1)
    };
    let mut first = 0;
    stretches.chunk_by(is_adjacent).flat_map(move |run| {
        let wim = first;
        first += run.len();
        let start = run.first().map_or(0, |(_, offset, _)| *offset);
        let length: u64 = run.iter().map(|(_, _, bytes)| bytes).sum();
        (0..length.div_ceil(block_bytes)).map(move |number| {
            let at = number * block_bytes;
            let begins = (has_headers && number == 0).then_some(wim);
            Block { wim, begins, offset: start + at, length: block_bytes.min(length - at) }
        })
    })
}
