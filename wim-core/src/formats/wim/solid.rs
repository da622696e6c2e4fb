//! Solid resources: many blobs, concatenated and compressed together in large chunks (wim-format 6).
//!
//! They exist in version 0xE00 only; Windows Update's ESD files consist of them. This file knows where chunks and blobs
//! lie; `transfer` decodes the chunks, each once, on all cores.

use std::sync::Arc;

use super::chunk_codec::{ChunkFormat, Compression};
use super::lookup_table::{BlobEntry, LookupTable};
use super::resource_header::ResourceHeader;
use crate::base::read_at::read_exact_at;
use crate::base::{ChunkSize, Error, Fields, Place, ReadAt, Result};

const STRUCTURE: &str = "solid resource";
/// Bytes before the chunk sizes.
const HEADER_BYTES: usize = 16;

/// Where the chunks of one solid resource lie.
#[derive(Debug)]
pub struct SolidResource {
    /// Offset of the resource in the file.
    offset: u64,
    size: u64,
    format: ChunkFormat,
    /// Offset in the file of each chunk, and of the end.
    bounds: Vec<u64>,
}

impl SolidResource {
    /// Most chunks of one resource that are believed: 1 PiB in Windows' chunks of 64 MiB, far more than any image has.
    pub const MAX_CHUNKS: u64 = 1 << 24;

    /// Reads the header and the chunk sizes of the resource whose place `header` gives.
    ///
    /// # Errors
    /// `Format` when they break a rule, `Io`.
    pub fn read(source: &dyn ReadAt, header: &ResourceHeader) -> Result<Self> {
        let wrong = |field, message: String| {
            Error::format(STRUCTURE, field, header.offset, message)
                .remedy("the file is damaged or truncated; get it again from its source")
        };
        if header.end().is_none_or(|end| end > source.size()) || header.stored_size < HEADER_BYTES as u64 {
            let message = format!(
                "{} bytes at {:#x} are too few, or end outside the file of {} bytes",
                header.stored_size,
                header.offset,
                source.size()
            );
            return Err(wrong("offset", message));
        }
        let mut start = [0; HEADER_BYTES];
        read_exact_at(source, &mut start, header.offset)?;
        let mut f = Fields::new(STRUCTURE, &start, header.offset);
        let (size, chunk_bytes, number) =
            (f.u64("uncompressed size")?, f.u32("chunk size")?, f.u32("compression type")?);
        let compression = Compression::from_solid_number(number)
            .ok_or_else(|| wrong("compression type", format!("{number} is none of 0 to 3")))?;
        let format = ChunkSize::from_bytes(chunk_bytes)
            .and_then(|chunk_size| ChunkFormat::new(compression, chunk_size))
            .ok_or_else(|| {
                wrong("chunk size", format!("{compression} has no chunks of {chunk_bytes} bytes"))
            })?;
        let chunks = format.chunk_size().chunks_in(size);
        // Every chunk has a size of four bytes and a byte of its own at least; that bounds what is allocated.
        let room = (header.stored_size - HEADER_BYTES as u64) / 5;
        if size == 0 || chunks > room.min(Self::MAX_CHUNKS) {
            let message = format!("{size} bytes cannot be {chunks} chunks in {} bytes", header.stored_size);
            return Err(wrong("uncompressed size", message));
        }
        let mut sizes = vec![0; usize::try_from(chunks * 4).unwrap_or(usize::MAX)];
        read_exact_at(source, &mut sizes, header.offset + HEADER_BYTES as u64)?;
        let this = Self::with_sizes(header, size, format, &sizes);
        for number in 0..chunks {
            let ((_, stored), most) = (this.span(number), this.uncompressed_size(number));
            if stored == 0 || stored > most {
                let message = format!("chunk {number} has {stored} bytes, but must have 1 to {most}");
                return Err(wrong("chunk sizes", message));
            }
        }
        match this.bounds.last() {
            Some(&end) if Some(end) == header.end() => Ok(this),
            end => {
                let end = end.copied().unwrap_or(0);
                let message = format!("the chunks end at {end:#x}, not where the resource does");
                Err(wrong("chunk sizes", message))
            }
        }
    }

    fn with_sizes(header: &ResourceHeader, size: u64, format: ChunkFormat, sizes: &[u8]) -> Self {
        let mut at = header.offset + (HEADER_BYTES + sizes.len()) as u64;
        let mut bounds = Vec::with_capacity(sizes.len() / 4 + 1);
        bounds.push(at);
        for &entry in sizes.as_chunks::<4>().0 {
            at = at.saturating_add(u64::from(u32::from_le_bytes(entry)));
            bounds.push(at);
        }
        Self { offset: header.offset, size, format, bounds }
    }

    /// What stands before the chunks of a resource of `size` bytes, whose chunks have these stored sizes.
    #[must_use]
    pub fn header_bytes(size: u64, format: ChunkFormat, stored_sizes: &[u32]) -> Vec<u8> {
        let mut bytes = size.to_le_bytes().to_vec();
        bytes.extend(format.chunk_size().bytes().to_le_bytes());
        bytes.extend(format.compression().solid_number().to_le_bytes());
        bytes.extend(stored_sizes.iter().flat_map(|size| size.to_le_bytes()));
        bytes
    }

    /// Offset of the resource in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that it takes in the file.
    #[must_use]
    pub fn stored_size(&self) -> u64 {
        self.bounds.last().map_or(0, |end| end.saturating_sub(self.offset))
    }

    /// Bytes of all its blobs.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How it is compressed, whatever the file's header says of other resources.
    #[must_use]
    pub fn format(&self) -> ChunkFormat {
        self.format
    }

    /// Offset in the file and stored size of a chunk; empty past the end.
    #[must_use]
    pub fn span(&self, number: u64) -> (u64, u64) {
        let bound = |n: u64| usize::try_from(n).ok().and_then(|n| self.bounds.get(n)).copied();
        match (bound(number), bound(number.saturating_add(1))) {
            (Some(start), Some(end)) => (start, end.saturating_sub(start)),
            _ => (0, 0),
        }
    }

    /// Uncompressed size of a chunk.
    #[must_use]
    pub fn uncompressed_size(&self, number: u64) -> u64 {
        let chunk = u64::from(self.format.chunk_size().bytes());
        self.size.saturating_sub(number.saturating_mul(chunk)).min(chunk)
    }
}

/// Where a blob lies in a solid resource.
#[derive(Clone, Debug)]
pub struct SolidPlace {
    /// The resource.
    pub resource: Arc<SolidResource>,
    /// Offset of the blob in the uncompressed resource.
    pub offset: u64,
}

/// The solid resources of one file, run by run.
#[derive(Debug, Default)]
pub struct SolidRuns {
    runs: Vec<Run>,
}

/// Resources whose entries stand together in the lookup table, and are counted through.
#[derive(Debug, Default)]
struct Run {
    /// Each with its offset in the uncompressed run.
    resources: Vec<(u64, Arc<SolidResource>)>,
}

impl SolidRuns {
    /// Reads the chunk sizes of all solid resources; what cannot be read goes to `warn`, and the blobs there are lost.
    pub fn read(source: &dyn ReadAt, table: &LookupTable, warn: &mut dyn FnMut(Error)) -> Self {
        let mut runs = Vec::new();
        for headers in table.solid_runs() {
            let (mut run, mut at) = (Run::default(), 0u64);
            for header in headers {
                match SolidResource::read(source, header) {
                    Ok(resource) => {
                        let size = resource.size;
                        run.resources.push((at, Arc::new(resource)));
                        at = at.saturating_add(size);
                    }
                    Err(error) => {
                        warn(error);
                        // Where those after it begin is not known.
                        break;
                    }
                }
            }
            runs.push(run);
        }
        let this = Self { runs };
        this.refuse_overlaps(table, warn)
    }

    /// Drops runs whose blobs are more than they hold: a small hostile file must not become a huge one.
    fn refuse_overlaps(mut self, table: &LookupTable, warn: &mut dyn FnMut(Error)) -> Self {
        let mut totals = vec![0u64; self.runs.len()];
        for entry in table.blobs() {
            if let Some(total) = table.solid_run(&entry.digest).and_then(|run| totals.get_mut(run)) {
                *total = total.saturating_add(entry.header.size);
            }
        }
        for (run, total) in self.runs.iter_mut().zip(totals) {
            let Some((start, last)) = run.resources.last() else { continue };
            let size = start.saturating_add(last.size);
            if total > size {
                let message = format!("its blobs have {total} bytes together, but it has only {size}");
                warn(Error::format(STRUCTURE, "blobs", last.offset, message));
                run.resources.clear();
            }
        }
        self
    }

    /// All that could be read, in the order of the lookup table.
    pub fn resources(&self) -> impl Iterator<Item = &Arc<SolidResource>> {
        self.runs.iter().flat_map(|run| run.resources.iter().map(|(_, resource)| resource))
    }

    /// Where the blob of `entry` lies.
    ///
    /// # Errors
    /// `Format` when it lies in no resource that could be read, or in two.
    pub fn place(&self, table: &LookupTable, entry: &BlobEntry) -> Result<SolidPlace> {
        let (at, size) = (entry.header.offset, entry.header.size);
        let run = table.solid_run(&entry.digest).and_then(|run| self.runs.get(run));
        let found = run.and_then(|run| {
            let after = run.resources.partition_point(|(start, _)| *start <= at);
            let (start, resource) = run.resources.get(after.checked_sub(1)?)?;
            let offset = at - start;
            let is_inside = offset.checked_add(size).is_some_and(|end| end <= resource.size);
            is_inside.then(|| SolidPlace { resource: Arc::clone(resource), offset })
        });
        found.ok_or_else(|| {
            let message = format!("{size} bytes at {at:#x} lie in no readable solid resource");
            Error::format("lookup table", "offset", at, message)
                .at(Place::Blob(entry.digest))
                .remedy("the file is damaged or truncated; get it again from its source")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    /// A solid resource at offset 8 of a file: three chunks of 4 KiB, raw, the last one short.
    fn file(edit: impl FnOnce(&mut Vec<u8>)) -> (Vec<u8>, ResourceHeader) {
        let size = 10_000u64;
        let format = ChunkFormat::new(Compression::Xpress, ChunkSize::from_bytes(4096).unwrap()).unwrap();
        let mut bytes = vec![0xEE; 8];
        bytes.extend(SolidResource::header_bytes(size, format, &[4096, 100, 1808]));
        bytes.extend(vec![7; 4096 + 100 + 1808]);
        let stored_size = bytes.len() as u64 - 8;
        edit(&mut bytes);
        (bytes, ResourceHeader { stored_size, flags: ResourceHeader::SOLID, offset: 8, size: 1 << 32 })
    }

    #[test]
    fn a_resource_reads_back_as_it_was_built() {
        let (bytes, header) = file(|_| {});
        let resource = SolidResource::read(&bytes, &header).unwrap();
        assert_eq!((resource.size(), resource.format().chunk_size().bytes()), (10_000, 4096));
        assert_eq!(resource.span(0), (8 + 28, 4096));
        assert_eq!(resource.span(2), (8 + 28 + 4196, 1808));
        assert_eq!(resource.span(3), (0, 0));
        assert_eq!([0, 1, 2, 3].map(|n| resource.uncompressed_size(n)), [4096, 4096, 1808, 0]);
    }

    #[test]
    fn lying_resources_are_refused() {
        let put = |at: usize, value: u64, width: usize| {
            file(|bytes| bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]))
        };
        for (at, value, width, field) in [
            (8, 0, 8, "uncompressed size"),
            (8, u64::MAX, 8, "uncompressed size"),
            (8, 1 << 60, 8, "uncompressed size"),
            (8, 13_000, 8, "chunk sizes"),
            (8, 1, 8, "chunk sizes"),
            (16, 0, 4, "chunk size"),
            (16, 5000, 4, "chunk size"),
            (16, 1 << 30, 4, "chunk size"),
            (20, 4, 4, "compression type"),
            (24, 0, 4, "chunk sizes"),
            (24, 4097, 4, "chunk sizes"),
            (28, 101, 4, "chunk sizes"),
            (32, 1809, 4, "chunk sizes"),
        ] {
            let (bytes, header) = put(at, value, width);
            let error = SolidResource::read(&bytes, &header).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format);
            assert!(error.to_string().contains(&format!("field \"{field}\"")), "{at}: {error}");
        }
        let (bytes, header) = file(|_| {});
        for (offset, stored_size) in [(8, header.stored_size + 1), (u64::MAX, 100), (8, 15), (9, 6000)] {
            let header = ResourceHeader { offset, stored_size, ..header };
            assert!(SolidResource::read(&bytes, &header).is_err(), "{offset} {stored_size}");
        }
    }
}
