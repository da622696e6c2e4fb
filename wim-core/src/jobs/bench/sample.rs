//! The data that a bench works on: a bounded sample of a file, of a WIM's blobs, or of the built-in corpus.
//!
//! The same input and limit always give the same sample, so that a saved measurement can be repeated. Pieces are compressed
//! on their own, as a WIM compresses its blobs, or joined, as a solid one does; the order within the input is kept.

use std::ops::Range;
use std::path::Path;

use crate::base::sha1::Sha1Hasher;
use crate::base::{Architecture, ChunkSize, Context, Error, FileSource, ReadAt, Result, Sha1Digest};
use crate::formats::wim::{BlobEntry, WimFile};
use crate::jobs::open::{Check, open};
use crate::jobs::pseudo_files::{font, incompressible, program, table, text};
use crate::transfer::read::{BlobInput, read_blobs};

/// Longest slices of a large file that are taken: as long as the longest chunk of a WIM below LZMS.
const SLICE_BYTES: u64 = 2 << 20;
/// What a WIM file begins with.
const WIM_MAGIC: [u8; 8] = *b"MSWIM\0\0\0";
/// Bytes that a worker takes at a time, unless a chunk is longer: short enough that threads end together.
const BATCH_BYTES: usize = 64 << 10;

/// The sample: its bytes, and where its pieces end.
pub(super) struct Sample {
    /// What it was taken from: a path, or `built-in`.
    pub(super) name: String,
    /// The pieces, one behind the other.
    pub(super) bytes: Vec<u8>,
    /// Where each piece ends.
    ends: Vec<usize>,
}

/// A sample cut into chunks for one chunk size.
pub(super) struct Cut {
    /// Chunks, one behind the other.
    pub(super) chunks: Vec<Range<usize>>,
    /// Batches as ranges of `chunks`.
    pub(super) batches: Vec<Range<usize>>,
}

impl Sample {
    /// A sample of at most `limit` bytes of the file at `path`, or of the built-in corpus.
    pub(super) fn take(cx: &Context<'_>, path: Option<&Path>, limit: u64) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::built_in(limit)) };
        let mut sample = Self { name: path.display().to_string(), bytes: Vec::new(), ends: Vec::new() };
        let source = FileSource::open(path)?;
        let mut magic = [0; 8];
        let is_wim = source.size() >= 8
            && source.read_exact_at(&mut magic, 0).map_err(|e| Error::io(e, "cannot read", path)).is_ok()
            && magic == WIM_MAGIC;
        if is_wim {
            sample.add_blobs(cx, &open(path, Check::Nothing, cx)?, limit)?;
        } else {
            sample.add_slices(cx, &source, limit).map_err(|e| e.in_file(path.display()))?;
        }
        if sample.bytes.is_empty() {
            return Err(Error::invalid_input("it holds no file data, so there is nothing to measure")
                .in_file(path.display())
                .remedy("name a file with data in it, or none for the built-in corpus"));
        }
        Ok(sample)
    }

    /// Programs, texts, tables and incompressible bytes in the proportions of a Windows image.
    fn built_in(limit: u64) -> Self {
        let mut sample = Self { name: "built-in".to_owned(), bytes: Vec::new(), ends: Vec::new() };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut number = 0;
        while sample.bytes.len() < limit {
            let name = format!("sample-{number}");
            let version = [6, 1, 7601, 17514];
            let piece = match number % 10 {
                0 | 2 | 5 => program(&name, 300 << 10, Architecture::Amd64, version),
                3 | 7 => program(&name, 190 << 10, Architecture::X86, version),
                1 | 6 => text(&name, 130 << 10),
                4 => table(&name, 150 << 10),
                8 => font(&name, 100 << 10),
                _ => incompressible(&name, 120 << 10),
            };
            sample.add(&piece, limit);
            number += 1;
        }
        sample
    }

    /// Adds a piece, cut where the sample would pass `limit` bytes.
    fn add(&mut self, piece: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.bytes.len()).min(piece.len());
        self.bytes.extend_from_slice(&piece[..room]);
        self.end_piece();
    }

    fn end_piece(&mut self) {
        if self.ends.last().copied().unwrap_or(0) < self.bytes.len() {
            self.ends.push(self.bytes.len());
        }
    }

    /// All of a file when it is short enough, else slices spread evenly over it.
    fn add_slices(&mut self, cx: &Context<'_>, source: &dyn ReadAt, limit: u64) -> Result<()> {
        let size = source.size();
        let count = if size <= limit { 1 } else { limit.div_ceil(SLICE_BYTES).max(2) };
        let length = if size <= limit { size } else { (limit / count).max(1) };
        for number in 0..count {
            cx.cancel.check()?;
            let spread = u128::from(size - length) * u128::from(number) / u128::from((count - 1).max(1));
            let start = self.bytes.len();
            self.bytes.resize(start + usize::try_from(length).unwrap_or(usize::MAX), 0);
            let offset = u64::try_from(spread).unwrap_or(0);
            source
                .read_exact_at(&mut self.bytes[start..], offset)
                .map_err(|e| Error::new(crate::base::ErrorKind::Io, format!("cannot read: {e}")))?;
            self.end_piece();
        }
        Ok(())
    }

    /// Blobs spread evenly over a WIM, checked against their digests; of a long one its beginning.
    fn add_blobs(&mut self, cx: &Context<'_>, wim: &WimFile, limit: u64) -> Result<()> {
        let mut blobs: Vec<BlobEntry> = wim.table().blobs().to_vec();
        blobs.sort_by_key(|blob| blob.header.offset);
        let total: u64 = blobs.iter().fold(0, |sum, blob| sum.saturating_add(blob.header.size));
        // Many beginnings say more than a few whole files.
        let longest = (limit / 32).max(64 << 10);
        let mut passed = 0u64;
        for blob in blobs {
            cx.cancel.check()?;
            passed = passed.saturating_add(blob.header.size);
            // Taken while the sample is behind its share of what was passed.
            let share = u128::from(passed) * u128::from(limit) / u128::from(total.max(1));
            let taken = self.bytes.len() as u64;
            let room = limit.saturating_sub(taken);
            if total > limit && (u128::from(taken) >= share || room == 0) {
                continue;
            }
            let most = if total > limit { longest.min(room) } else { room };
            self.add_blob(cx, BlobInput::resource(wim, blob), usize::try_from(most).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }

    fn add_blob(&mut self, cx: &Context<'_>, input: BlobInput<'_>, most: usize) -> Result<()> {
        let end = self.bytes.len().saturating_add(most);
        let mut is_full = false;
        let read = read_blobs(cx, &[input], |piece| {
            let bytes = piece.bytes?;
            let room = end.saturating_sub(self.bytes.len()).min(bytes.len());
            self.bytes.extend_from_slice(&bytes[..room]);
            // The rest of the blob is not needed; an error is the way to stop a reader.
            is_full = room < bytes.len();
            if is_full { Err(Error::cancelled()) } else { Ok(()) }
        });
        self.end_piece();
        if is_full { Ok(()) } else { read }
    }

    /// Number of pieces.
    pub(super) fn pieces(&self) -> usize {
        self.ends.len()
    }

    /// Digest of the pieces and of where they end.
    pub(super) fn digest(&self) -> Sha1Digest {
        let mut hasher = Sha1Hasher::new();
        self.ends.iter().for_each(|&end| hasher.update(&(end as u64).to_le_bytes()));
        hasher.update(&self.bytes);
        hasher.finish()
    }

    /// Cuts every piece into chunks; for chunks above [`SLICE_BYTES`], which only solid resources have, all of them as one.
    pub(super) fn cut(&self, chunk_size: ChunkSize) -> Cut {
        let step = chunk_size.bytes() as usize;
        let (mut chunks, mut start) = (Vec::new(), 0);
        let joined = [self.bytes.len()];
        let ends = if step as u64 > SLICE_BYTES { &joined[..] } else { &self.ends };
        for &end in ends {
            while start < end {
                let next = start.saturating_add(step).min(end);
                chunks.push(start..next);
                start = next;
            }
        }
        let (mut batches, mut first) = (Vec::new(), 0);
        for (number, chunk) in chunks.iter().enumerate() {
            let is_last = number + 1 == chunks.len();
            if is_last || chunk.end - chunks[first].start >= BATCH_BYTES {
                batches.push(first..number + 1);
                first = number + 1;
            }
        }
        Cut { chunks, batches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Cancel, Silent};

    #[test]
    fn the_built_in_corpus_is_the_same_every_time_and_as_long_as_asked() {
        for limit in [1, 1000, 3 << 20] {
            let (a, b) = (Sample::built_in(limit), Sample::built_in(limit));
            assert_eq!(a.bytes.len() as u64, limit);
            assert_eq!(a.digest(), b.digest());
        }
        // Saved measurements name this digest; when it changes they cannot be compared any more.
        assert_eq!(
            Sample::built_in(1 << 20).digest().to_string(),
            "d34d9ade3057602d88657936805ce5bdf798efa3"
        );
    }

    #[test]
    fn cuts_cover_every_byte_once_and_keep_pieces_apart() {
        let mut sample = Sample { name: String::new(), bytes: Vec::new(), ends: Vec::new() };
        for length in [1, 4096, 0, 4097, 200_000] {
            sample.add(&vec![7; length], usize::MAX);
        }
        for log2 in [12, 15, 16, 21] {
            let cut = sample.cut(ChunkSize::from_bytes(1 << log2).unwrap());
            let mut at = 0;
            for chunk in &cut.chunks {
                assert_eq!(chunk.start, at);
                assert!(chunk.len() <= 1 << log2 && !chunk.is_empty());
                assert!(!sample.ends.iter().any(|&end| chunk.start < end && end < chunk.end));
                at = chunk.end;
            }
            assert_eq!(at, sample.bytes.len());
            let covered: Vec<usize> = cut.batches.iter().cloned().flatten().collect();
            assert_eq!(covered, (0..cut.chunks.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn chunks_of_solid_resources_are_cut_from_the_joined_pieces() {
        let mut sample = Sample { name: String::new(), bytes: Vec::new(), ends: Vec::new() };
        for _ in 0..5 {
            sample.add(&vec![7; 1 << 20], usize::MAX);
        }
        let lengths = |log2: u32| -> Vec<usize> {
            sample.cut(ChunkSize::from_bytes(1 << log2).unwrap()).chunks.iter().map(Range::len).collect()
        };
        assert_eq!(lengths(22), [4 << 20, 1 << 20]);
        assert_eq!(lengths(21), [1 << 20; 5]);
    }

    #[test]
    fn large_files_are_sampled_from_end_to_end() {
        let (progress, cancel) = (Silent, Cancel::new());
        let cx = Context::new(&progress, &cancel);
        let mut file = vec![0u8; 20 << 20];
        file[0] = 1;
        *file.last_mut().unwrap() = 2;
        let mut sample = Sample { name: String::new(), bytes: Vec::new(), ends: Vec::new() };
        sample.add_slices(&cx, &file, 5 << 20).unwrap();
        assert_eq!((sample.bytes.len(), sample.pieces()), ((5 << 20) / 3 * 3, 3));
        assert_eq!((sample.bytes[0], *sample.bytes.last().unwrap()), (1, 2));
        let mut short = Sample { name: String::new(), bytes: Vec::new(), ends: Vec::new() };
        short.add_slices(&cx, &file, 3_000_000).unwrap();
        assert_eq!((short.bytes.len(), short.pieces(), short.bytes.last()), (3_000_000, 2, Some(&2)));
        let mut whole = Sample { name: String::new(), bytes: Vec::new(), ends: Vec::new() };
        whole.add_slices(&cx, &file, 20 << 20).unwrap();
        assert_eq!((whole.bytes == file, whole.pieces()), (true, 1));
    }
}
