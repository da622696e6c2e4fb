//! The parts of a split set made of a solid file: blobs are taken out of their solid resources on the way.
//!
//! A blob cannot be divided among parts, and a solid resource not at all, so that every blob gets a resource of its own, in
//! the compression that the header names (wim-format 13). How large it becomes is known only when it is written: one that
//! does not fit any more is moved to the next part. The source is read once; nothing waits in temporary files.

use super::Integrity;
use super::copy::{CopyChecksums, CopyOn, copy_resources};
use super::encode::encode_blobs;
use super::output::Output;
use super::split::{MAX_PARTS, append_part_tables, boot_of, part_bytes, part_header, set_total};
use crate::base::read_at::read_exact_at;
use crate::base::{Context, Error, ImageIndex, PartNumber, Result, Stage, WriteAt};
use crate::formats::wim::{BlobEntry, Compression, ResourceHeader, WimFile, WimHeader, WimVersion};
use crate::transfer::read::{BlobInput, sort_by_offset};
use lz_kit::Level;

/// Bytes moved at a time.
const BLOCK_BYTES: u64 = 1 << 20;

/// When a part is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartGoal {
    /// Before it has more bytes, unless it has one blob only.
    Bytes(u64),
    /// When it has its share of the uncompressed data, so that there are at most so many.
    Count(u16),
}

/// A part that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepackedPart {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Resources in it.
    pub resources: usize,
}

/// Where the parts go.
pub trait PartFiles {
    /// An empty file for the next part.
    ///
    /// # Errors
    /// `Io`.
    fn begin(&mut self, number: PartNumber) -> Result<Box<dyn WriteAt>>;

    /// Takes note that a part is there but for its header; the file that [`Self::begin`] gave has been dropped.
    ///
    /// # Errors
    /// `Io`.
    fn end(&mut self, number: PartNumber) -> Result<()>;

    /// Puts the header at the start of a part that has ended.
    ///
    /// # Errors
    /// `Io`.
    fn set_header(&mut self, number: PartNumber, header: &[u8]) -> Result<()>;
}

/// Makes part after part of `wim` in `files`. At most two of them are being written at a time.
///
/// # Errors
/// `Limit` for more than 65,535 parts, what `files` gives, what reading and writing give; the files are then worthless.
pub fn split_repacked<'o>(
    cx: &Context<'_>,
    wim: &'o WimFile,
    goal: PartGoal,
    integrity: Integrity,
    files: &'o mut dyn PartFiles,
) -> Result<Vec<RepackedPart>> {
    let blobs = || wim.table().blobs().iter();
    let mut inputs: Vec<_> = blobs().map(|&entry| BlobInput::resource(wim, entry)).collect();
    sort_by_offset(&mut inputs);
    blobs().try_for_each(|entry| wim.check(entry)).map_err(|e| e.in_file(wim.name()))?;
    let total = inputs.iter().fold(0u64, |sum, input| sum.saturating_add(input.size));
    cx.progress.start(Stage::Writing, total);
    let mut first = Output::owning(files.begin(PartNumber::FIRST)?);
    first.reserve(WimHeader::BYTES as u64)?;
    let mut parts = Parts {
        cx,
        wim,
        goal,
        integrity,
        total,
        files,
        seen: 0,
        entries: Vec::new(),
        boot: None,
        done: Vec::new(),
    };
    let metadata: Vec<_> = wim.table().metadata().iter().map(|&entry| (wim, entry)).collect();
    let mut entries: Vec<BlobEntry> = wim.table().metadata().to_vec();
    copy_resources(cx, &metadata, (CopyChecksums::Drop, CopyOn::Workers), &mut first, |position, header| {
        if let Some(entry) = entries.get_mut(position) {
            (entry.header, entry.part) = (header, 1);
        }
    })?;
    parts.boot = boot_of(wim, &entries);
    parts.entries = entries;
    let mut left = inputs.len();
    let mut output = first;
    encode_blobs(cx, &inputs, wim.format(), Level::default(), 0, &mut output, |output, position, header| {
        let Some(input) = inputs.get(position) else { return Ok(()) };
        left -= 1;
        let reference_count = wim.table().find(&input.digest).map_or(0, |entry| entry.reference_count);
        let entry = BlobEntry { header, part: 1, reference_count, digest: input.digest };
        parts.add(output, entry, left > 0)
    })?;
    parts.end(&mut output, Output::owning(Box::new(Vec::new())))?;
    parts.write_headers()
}

/// The parts so far.
struct Parts<'c, 'o> {
    cx: &'c Context<'c>,
    wim: &'o WimFile,
    goal: PartGoal,
    integrity: Integrity,
    /// Uncompressed bytes of all blobs, and of those that have been written.
    total: u64,
    seen: u64,
    files: &'o mut dyn PartFiles,
    /// What is in the part that is being written.
    entries: Vec<BlobEntry>,
    /// The bootable image and its metadata.
    boot: Option<(ImageIndex, ResourceHeader)>,
    /// Finished parts, and their headers, which lack the number of parts.
    done: Vec<(RepackedPart, WimHeader)>,
}

impl<'o> Parts<'_, 'o> {
    /// Takes note of the resource of `entry`, the last in `output`; begins another part when there has to be one.
    fn add(&mut self, output: &mut Output<'o>, mut entry: BlobEntry, is_more: bool) -> Result<()> {
        // The first part has metadata, which begins no other part.
        let is_alone = self.entries.iter().all(|entry| entry.header.is_metadata());
        self.seen = self.seen.saturating_add(entry.header.size);
        match self.goal {
            PartGoal::Bytes(limit) => {
                let resources = output.offset() - WimHeader::BYTES as u64;
                let with_it = part_bytes(self.wim, self.integrity, resources, self.entries.len() + 1);
                if with_it > limit && !is_alone {
                    entry.header.offset = self.move_on(output, entry.header)?;
                }
                self.entries.push(entry);
                Ok(())
            }
            PartGoal::Count(count) => {
                self.entries.push(entry);
                let (number, count) = (self.done.len() as u128 + 1, u128::from(count));
                let has_its_share = u128::from(self.seen) * count >= u128::from(self.total) * number;
                if is_more && number < count && has_its_share { self.begin_next(output) } else { Ok(()) }
            }
        }
    }

    /// Moves the last resource of `output` into a part that it begins; gives its offset there.
    fn move_on(&mut self, output: &mut Output<'o>, resource: ResourceHeader) -> Result<u64> {
        let mut next = self.fresh()?;
        let to = next.offset();
        let mut moved = 0;
        let mut block = vec![0; usize::try_from(BLOCK_BYTES.min(resource.stored_size)).unwrap_or(0)];
        while moved < resource.stored_size {
            self.cx.cancel.check()?;
            let step = usize::try_from(BLOCK_BYTES.min(resource.stored_size - moved)).unwrap_or(0);
            let Some(bytes) = block.get_mut(..step) else { break };
            read_exact_at(output.written()?, bytes, resource.offset + moved)?;
            next.append(bytes)?;
            moved += step as u64;
        }
        output.rewind(resource.offset)?;
        self.end(output, next)?;
        Ok(to)
    }

    fn begin_next(&mut self, output: &mut Output<'o>) -> Result<()> {
        let next = self.fresh()?;
        self.end(output, next)
    }

    /// The output of the part after the one that is being written, with room for its header.
    fn fresh(&mut self) -> Result<Output<'o>> {
        let number = u16::try_from(self.done.len() + 2).ok().and_then(PartNumber::new).ok_or_else(|| {
            Error::limit(format!("a set has at most {MAX_PARTS} parts")).remedy("make the parts larger")
        })?;
        let mut next = Output::owning(self.files.begin(number)?);
        next.reserve(WimHeader::BYTES as u64)?;
        Ok(next)
    }

    /// Ends the part in `output`, which is `next` from then on.
    fn end(&mut self, output: &mut Output<'o>, next: Output<'o>) -> Result<()> {
        let number = u16::try_from(self.done.len() + 1).ok().and_then(PartNumber::new);
        let number = number.unwrap_or(PartNumber::FIRST);
        let mut header = part_header(self.wim, number, 0);
        // Nothing in it is solid any more.
        if header.format.compression() != Compression::Lzms {
            header.version = WimVersion::Standard;
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.iter_mut().for_each(|entry| entry.part = number.number());
        append_part_tables(self.cx, self.wim, &entries, self.integrity, &mut header, output)?;
        output.flush()?;
        let ended = std::mem::replace(output, next);
        let part = RepackedPart { file_bytes: ended.offset(), resources: entries.len() };
        drop(ended);
        self.done.push((part, header));
        self.files.end(number)
    }

    /// Writes the headers, which say how many parts there are.
    fn write_headers(self) -> Result<Vec<RepackedPart>> {
        let total = u16::try_from(self.done.len())
            .map_err(|_| Error::limit(format!("a set has at most {MAX_PARTS} parts")))?;
        let mut parts = Vec::new();
        for (part, mut header) in self.done {
            set_total(&mut header, total, self.boot);
            self.files.set_header(header.part, &header.to_bytes())?;
            parts.push(part);
        }
        Ok(parts)
    }
}
