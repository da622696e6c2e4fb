//! Reads back what was just written, before it takes its name.
//!
//! Quicker than a full verify: copied blocks are compared by the checksums they had when they were read, and only blobs
//! that were encoded anew are decoded.

use std::collections::HashSet;

use crate::base::pipeline::{Budget, Cost, map_in_order};
use crate::base::read_at::read_exact_at;
use crate::base::{Context, Error, Result, Sha1Digest, Stage};
use crate::formats::wim::WimFile;
use crate::image::load::load_with_findings;
use crate::transfer::read::{BlobInput, blob_not_found, read_blobs, sort_by_offset};
use crate::transfer::write::{CopiedBlock, WriteReport};

impl Cost for CopiedBlock {
    fn cost(&self) -> u64 {
        self.length
    }
}

/// Checks structure, tables, metadata, the checksums of copied bytes and the blobs encoded anew of the file that `report`
/// came from; `elsewhere` are blobs that its images need and other files have, as those of a delta do.
///
/// # Errors
/// `Corrupt` when what lies on the disk is not what was written; what opening and reading gives.
pub fn verify_written(
    cx: &Context<'_>,
    wim: &WimFile,
    report: &WriteReport,
    elsewhere: &HashSet<Sha1Digest>,
) -> Result<()> {
    if let Some(warning) = wim.warnings().first() {
        return Err(warning.duplicate());
    }
    let table = wim.table();
    for entry in table.blobs() {
        wim.check(entry).map_err(|e| e.in_file(wim.name()))?;
    }
    for image in wim.images() {
        let (tree, _) = load_with_findings(&wim.read_metadata(image, cx.memory_bytes())?)?;
        let references = tree.blob_references();
        let is_missing = |digest: &&Sha1Digest| table.find(digest).is_none() && !elsewhere.contains(digest);
        if let Some(missing) = references.keys().find(is_missing) {
            return Err(blob_not_found(missing).in_file(wim.name()));
        }
    }
    let encoded: HashSet<Sha1Digest> = report.encoded.iter().copied().collect();
    let entries = table.blobs().iter().filter(|entry| encoded.contains(&entry.digest));
    let mut inputs: Vec<_> = entries.map(|&entry| BlobInput::resource(wim, entry)).collect();
    sort_by_offset(&mut inputs);
    let copied_bytes: u64 = report.copied.iter().map(|block| block.length).sum();
    let total = inputs.iter().fold(copied_bytes, |sum, input| sum.saturating_add(input.size));
    cx.progress.start(Stage::Verifying, total);
    compare_copied(cx, wim, &report.copied)?;
    read_blobs(cx, &inputs, |piece| piece.bytes.map(|_| ()))
}

fn compare_copied(cx: &Context<'_>, wim: &WimFile, blocks: &[CopiedBlock]) -> Result<()> {
    let new_worker = || {
        let mut buffer = Vec::new();
        move |block: CopiedBlock| {
            buffer.resize(usize::try_from(block.length).unwrap_or(usize::MAX), 0);
            read_exact_at(&**wim.source(), &mut buffer, block.offset).map_err(|e| e.in_file(wim.name()))?;
            if crc32fast::hash(&buffer) != block.checksum {
                let message =
                    format!("{} bytes at {:#x} are not what was written", block.length, block.offset);
                return Err(Error::corrupt(message).in_file(wim.name()).remedy("check the disk"));
            }
            Ok(block.length)
        }
    };
    let budget = Budget::split(cx.memory_bytes(), cx.threads(), Budget::MAX_BATCH_BYTES);
    map_in_order(cx, &budget, blocks.iter().copied(), new_worker, |length| {
        cx.progress.advance(length);
        Ok(())
    })
}
