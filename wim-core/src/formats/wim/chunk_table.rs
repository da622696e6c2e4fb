//! Where the chunks of a compressed resource lie (wim-format 4.2).
//!
//! The table has one entry fewer than there are chunks: entry *i* is the offset of chunk *i* + 1 from the end of the
//! table. Entries are 32 bits wide, or 64 when the uncompressed size needs more than 32. In pipable files the table stands
//! behind the chunks, and counts as if the four bytes before each of them were not there (wim-format 14).

use super::chunk_codec::ChunkFormat;
use super::pipable::WimLayout;
use super::resource_header::ResourceHeader;
use crate::base::{ChunkSize, Error, Fields, ReadAt, Result};

const STRUCTURE: &str = "chunk table";

/// Offsets of all chunks of one compressed resource, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkTable {
    /// Offset in the file of each chunk, and of the end: one more than there are chunks. Prefixes are not counted.
    bounds: Vec<u64>,
    /// Bytes before each chunk.
    prefix_bytes: u64,
    size: u64,
    chunk_size: ChunkSize,
}

/// Bytes of a table entry.
fn entry_bytes(size: u64) -> u64 {
    if size > u64::from(u32::MAX) { 8 } else { 4 }
}

/// Bytes of the chunk table of a resource of `size` uncompressed bytes.
#[must_use]
pub fn table_bytes(size: u64, chunk_size: ChunkSize) -> u64 {
    chunk_size.chunks_in(size).saturating_sub(1) * entry_bytes(size)
}

/// Checks that a compressed resource holds its chunk table and one byte of each chunk at least, and no chunk that is longer
/// than its uncompressed bytes.
///
/// This bounds the number of chunks by the file's size, and what is read for a blob by the blob's size, before anything is
/// allocated.
///
/// # Errors
/// `Format`.
pub fn check_header(header: &ResourceHeader, format: ChunkFormat) -> Result<()> {
    let chunk_size = format.chunk_size();
    let chunks = chunk_size.chunks_in(header.size);
    let prefixes = chunks.saturating_mul(format.layout().chunk_prefix_bytes());
    let fixed = table_bytes(header.size, chunk_size).saturating_add(prefixes);
    let (least, most) = (fixed.saturating_add(chunks), fixed.saturating_add(header.size));
    if header.size == 0 || header.stored_size < least || header.stored_size > most {
        return Err(Error::format(
            "resource header",
            "stored size",
            header.offset,
            format!(
                "{} bytes cannot be {chunks} compressed chunks of a resource of {} bytes",
                header.stored_size, header.size
            ),
        ));
    }
    Ok(())
}

impl ChunkTable {
    /// Reads and checks the table of the compressed resource at `header`.
    ///
    /// # Errors
    /// `Format` when offsets do not rise, or a chunk is empty or longer than its uncompressed size; `Io`.
    pub fn read(source: &dyn ReadAt, header: &ResourceHeader, format: ChunkFormat) -> Result<Self> {
        check_header(header, format)?;
        let table_bytes = table_bytes(header.size, format.chunk_size());
        let length = usize::try_from(table_bytes).map_err(|_| {
            Error::limit(format!("a chunk table of {table_bytes} bytes does not fit into memory"))
        })?;
        let mut table = vec![0; length];
        let offset = match format.layout() {
            WimLayout::Standard => header.offset,
            // The stored size has been checked to hold the table.
            WimLayout::Pipable => header.end().unwrap_or(u64::MAX).saturating_sub(table_bytes),
        };
        source.read_exact_at(&mut table, offset).map_err(|e| {
            Error::format(STRUCTURE, "entries", offset, format!("cannot read {length} bytes: {e}"))
        })?;
        Self::from_entries(&table, offset, header, format)
    }

    /// Checks the table in `stored`, the bytes of the resource at `header`.
    ///
    /// # Errors
    /// `Format`, as [`Self::read`].
    pub fn parse(stored: &[u8], header: &ResourceHeader, format: ChunkFormat) -> Result<Self> {
        check_header(header, format)?;
        let length = usize::try_from(table_bytes(header.size, format.chunk_size())).unwrap_or(usize::MAX);
        let start = match format.layout() {
            WimLayout::Standard => 0,
            WimLayout::Pipable => stored.len().saturating_sub(length),
        };
        let offset = header.offset.saturating_add(start as u64);
        let table =
            Fields::new(STRUCTURE, stored.get(start..).unwrap_or(&[]), offset).bytes("entries", length)?;
        Self::from_entries(table, offset, header, format)
    }

    /// Checks the entries, which lie at `offset` of the file.
    fn from_entries(table: &[u8], offset: u64, header: &ResourceHeader, format: ChunkFormat) -> Result<Self> {
        let (chunk_size, layout) = (format.chunk_size(), format.layout());
        let prefix_bytes = layout.chunk_prefix_bytes();
        let table_bytes = table.len() as u64;
        let (data_start, end) = match layout {
            WimLayout::Standard => (header.offset.saturating_add(table_bytes), header.stored_size),
            WimLayout::Pipable => (header.offset, header.stored_size.saturating_sub(table_bytes)),
        };
        let prefixes = prefix_bytes.saturating_mul(chunk_size.chunks_in(header.size));
        let end = header.offset.saturating_add(end.saturating_sub(prefixes));
        let mut bounds = Vec::with_capacity(table.len() / 4 + 2);
        bounds.push(data_start);
        if entry_bytes(header.size) == 8 {
            let (entries, _) = table.as_chunks::<8>();
            bounds.extend(entries.iter().map(|&e| data_start.saturating_add(u64::from_le_bytes(e))));
        } else {
            let (entries, _) = table.as_chunks::<4>();
            bounds
                .extend(entries.iter().map(|&e| data_start.saturating_add(u64::from(u32::from_le_bytes(e)))));
        }
        bounds.push(end);
        let this = Self { bounds, prefix_bytes, size: header.size, chunk_size };
        this.check(offset)?;
        Ok(this)
    }

    /// Checks the bounds; the table lies at `offset` of the file.
    fn check(&self, offset: u64) -> Result<()> {
        let width = entry_bytes(self.size);
        for (number, pair) in self.bounds.windows(2).enumerate() {
            let &[start, end] = pair else { continue };
            let stored = end.saturating_sub(start);
            let largest = self.uncompressed_size(number as u64);
            if stored == 0 || stored > largest {
                // Chunk n's end stands in entry n; the last chunk's end is that of the resource.
                let at = offset.saturating_add(width * number as u64);
                let message = format!(
                    "chunk {number} runs from {start:#x} to {end:#x}, but must have 1 to {largest} bytes"
                );
                return Err(Error::format(STRUCTURE, "offset", at, message)
                    .remedy("the file is damaged; get it again from its source"));
            }
        }
        Ok(())
    }

    /// Number of chunks.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.bounds.len() as u64 - 1
    }

    /// Offset in the file and stored size of chunks `first..last`, with what stands between them; empty past the end.
    #[must_use]
    pub fn span(&self, first: u64, last: u64) -> (u64, u64) {
        let bound = |n: u64| usize::try_from(n).ok().and_then(|n| self.bounds.get(n)).or(self.bounds.last());
        let prefixes = |chunks: u64| chunks.min(self.chunks()).saturating_mul(self.prefix_bytes);
        match (bound(first), bound(last)) {
            (Some(&start), Some(&end)) => {
                let start = start.saturating_add(prefixes(first.saturating_add(1)));
                (start, end.saturating_add(prefixes(last)).saturating_sub(start))
            }
            _ => (0, 0),
        }
    }

    /// Uncompressed size of a chunk.
    #[must_use]
    pub fn uncompressed_size(&self, number: u64) -> u64 {
        let chunk = u64::from(self.chunk_size.bytes());
        self.size.saturating_sub(number.saturating_mul(chunk)).min(chunk)
    }
}

/// The table of a resource whose chunks have these stored sizes, for writing.
#[must_use]
pub fn build(stored_sizes: &[u32], size: u64) -> Vec<u8> {
    let width = entry_bytes(size);
    let mut table = Vec::with_capacity(stored_sizes.len().saturating_sub(1) * 8);
    let mut offset = 0u64;
    for stored in stored_sizes.iter().take(stored_sizes.len().saturating_sub(1)) {
        offset += u64::from(*stored);
        let bytes = offset.to_le_bytes();
        table.extend(bytes.iter().take(if width == 8 { 8 } else { 4 }));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB32: ChunkSize = ChunkSize::DEFAULT;
    const LZX: ChunkFormat = ChunkFormat::UNCOMPRESSED;

    fn header(stored_size: u64, size: u64) -> ResourceHeader {
        ResourceHeader { stored_size, flags: ResourceHeader::COMPRESSED, offset: 1000, size }
    }

    #[test]
    fn a_table_reads_back_as_it_was_built() {
        let table = build(&[0x39E0, 0x292E, 10, 20], 100_000);
        assert_eq!(table[..8], [0xE0, 0x39, 0, 0, 0x0E, 0x63, 0, 0]);
        let header = header(12 + 0x39E0 + 0x292E + 30, 100_000);
        let parsed = ChunkTable::parse(&table, &header, LZX).unwrap();
        assert_eq!(parsed.chunks(), 4);
        assert_eq!(parsed.span(1, 2), (1012 + 0x39E0, 0x292E));
        assert_eq!(parsed.span(0, 4), (1012, 0x39E0 + 0x292E + 30));
        assert_eq!(parsed.uncompressed_size(3), 100_000 - 3 * 32768);
    }

    /// Tables behind the chunks, as wimlib writes them: 4 chunks in a resource of 100,028 bytes for 100,000.
    #[test]
    fn tables_of_pipable_files_stand_behind_the_chunks() {
        let format = LZX.in_layout(WimLayout::Pipable);
        let sizes = [0x39E0, 0x292E, 10, 20];
        let stored: u64 = sizes.iter().map(|&size| 4 + u64::from(size)).sum::<u64>() + 12;
        let header = header(stored, 100_000);
        let mut bytes = vec![0; usize::try_from(stored).unwrap() - 12];
        bytes.extend(build(&sizes, 100_000));
        let parsed = ChunkTable::parse(&bytes, &header, format).unwrap();
        assert_eq!(parsed.span(0, 1), (1004, 0x39E0));
        assert_eq!(parsed.span(1, 2), (1008 + 0x39E0, 0x292E));
        assert_eq!(parsed.span(3, 4), (1016 + 0x39E0 + 0x292E + 10, 20));
        assert_eq!(parsed.span(0, 4), (1004, stored - 12 - 4));
        assert_eq!(parsed.span(4, 5).1, 0);
        let mut file = vec![0; 1000];
        file.extend(bytes);
        assert_eq!(ChunkTable::read(&file, &header, format).unwrap(), parsed);
        // Chunks may all be raw here, so that the resource is larger than the blob.
        let raw = [32768, 32768, 32768, 1696];
        let full = ResourceHeader { stored_size: 100_028, ..header };
        let mut bytes = vec![0; 100_016];
        bytes.extend(build(&raw, 100_000));
        assert!(ChunkTable::parse(&bytes, &full, format).is_ok());
        assert!(ChunkTable::parse(&bytes, &full, LZX).is_err());
        let over = ResourceHeader { stored_size: 100_029, ..header };
        assert!(check_header(&over, format).is_err());
        // A table that lies is named by its own place.
        *bytes.last_mut().unwrap() = 1;
        let error = ChunkTable::parse(&bytes, &full, format).unwrap_err().to_string();
        assert!(error.contains(&format!("{:#x}", 1000 + 100_016 + 8)), "{error}");
    }

    #[test]
    fn entries_become_wide_past_4_gib() {
        assert_eq!(table_bytes(u64::from(u32::MAX), KIB32), 131_071 * 4);
        assert_eq!(table_bytes(1 << 32, KIB32), 131_071 * 8);
        assert_eq!(build(&[1, 2, 3], 1 << 32).len(), 16);
        assert_eq!(table_bytes(32768, KIB32), 0);
    }

    #[test]
    fn lying_tables_are_refused() {
        let good = build(&[100, 100, 100, 100], 100_000);
        let h = header(12 + 400, 100_000);
        assert!(ChunkTable::parse(&good, &h, LZX).is_ok());
        for (entry, value) in [(0, 0u32), (1, 99), (1, 100), (2, 401), (2, 400), (0, 40_000), (1, u32::MAX)] {
            let mut bad = good.clone();
            bad[entry * 4..entry * 4 + 4].copy_from_slice(&value.to_le_bytes());
            let error = ChunkTable::parse(&bad, &h, LZX).unwrap_err();
            assert!(error.to_string().starts_with("chunk table, field \"offset\", at 0x"), "{error}");
        }
        // A blob of 2^60 bytes in a small file is refused before its table is allocated.
        assert!(ChunkTable::read(&vec![0u8; 5000], &header(4000, 1 << 60), LZX).is_err());
        assert!(ChunkTable::read(&vec![0u8; 5000], &header(4000, 0), LZX).is_err());
    }
}
