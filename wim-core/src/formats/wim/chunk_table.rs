//! Where the chunks of a compressed resource lie (wim-format 4.2).
//!
//! The table has one entry fewer than there are chunks: entry *i* is the offset of chunk *i* + 1 from the end of the
//! table. Entries are 32 bits wide, or 64 when the uncompressed size needs more than 32.

use super::resource_header::ResourceHeader;
use crate::base::{ChunkSize, Error, Fields, ReadAt, Result};

const STRUCTURE: &str = "chunk table";

/// Offsets of all chunks of one compressed resource, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkTable {
    /// Offset in the file of each chunk, and of the end: one more than there are chunks.
    bounds: Vec<u64>,
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

/// Checks that a compressed resource can hold its chunk table and one byte of each chunk.
///
/// This bounds the number of chunks by the file's size, before anything is allocated.
///
/// # Errors
/// `Format`.
pub fn check_header(header: &ResourceHeader, chunk_size: ChunkSize) -> Result<()> {
    let chunks = chunk_size.chunks_in(header.size);
    let least = table_bytes(header.size, chunk_size).saturating_add(chunks);
    if header.size == 0 || header.stored_size < least {
        return Err(Error::format(
            "resource header",
            "stored size",
            header.offset,
            format!(
                "{} bytes cannot hold {chunks} compressed chunks of a resource of {} bytes",
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
    pub fn read(source: &dyn ReadAt, header: &ResourceHeader, chunk_size: ChunkSize) -> Result<Self> {
        check_header(header, chunk_size)?;
        let table_bytes = table_bytes(header.size, chunk_size);
        let length = usize::try_from(table_bytes).map_err(|_| {
            Error::limit(format!("a chunk table of {table_bytes} bytes does not fit into memory"))
        })?;
        let mut table = vec![0; length];
        source.read_exact_at(&mut table, header.offset).map_err(|e| {
            Error::format(STRUCTURE, "entries", header.offset, format!("cannot read {length} bytes: {e}"))
        })?;
        Self::parse(&table, header, chunk_size)
    }

    /// Checks the table at the start of `stored`, the bytes of the resource at `header`.
    ///
    /// # Errors
    /// `Format`, as [`Self::read`].
    pub fn parse(stored: &[u8], header: &ResourceHeader, chunk_size: ChunkSize) -> Result<Self> {
        check_header(header, chunk_size)?;
        let length = usize::try_from(table_bytes(header.size, chunk_size)).unwrap_or(usize::MAX);
        let table = Fields::new(STRUCTURE, stored, header.offset).bytes("entries", length)?;
        let data_start = header.offset.saturating_add(table_bytes(header.size, chunk_size));
        let end = header.offset.saturating_add(header.stored_size);
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
        let this = Self { bounds, size: header.size, chunk_size };
        this.check(header)?;
        Ok(this)
    }

    fn check(&self, header: &ResourceHeader) -> Result<()> {
        let width = entry_bytes(header.size);
        for (number, pair) in self.bounds.windows(2).enumerate() {
            let &[start, end] = pair else { continue };
            let stored = end.saturating_sub(start);
            let largest = self.uncompressed_size(number as u64);
            if stored == 0 || stored > largest {
                // Chunk n's end stands in entry n; the last chunk's end is that of the resource.
                let at = header.offset.saturating_add(width * number as u64);
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

    /// Offset in the file and stored size of chunks `first..last`; empty past the end.
    #[must_use]
    pub fn span(&self, first: u64, last: u64) -> (u64, u64) {
        let bound = |n: u64| usize::try_from(n).ok().and_then(|n| self.bounds.get(n)).or(self.bounds.last());
        match (bound(first), bound(last)) {
            (Some(&start), Some(&end)) => (start, end.saturating_sub(start)),
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

    fn header(stored_size: u64, size: u64) -> ResourceHeader {
        ResourceHeader { stored_size, flags: ResourceHeader::COMPRESSED, offset: 1000, size }
    }

    #[test]
    fn a_table_reads_back_as_it_was_built() {
        let table = build(&[0x39E0, 0x292E, 10, 20], 100_000);
        assert_eq!(table[..8], [0xE0, 0x39, 0, 0, 0x0E, 0x63, 0, 0]);
        let header = header(12 + 0x39E0 + 0x292E + 30, 100_000);
        let parsed = ChunkTable::parse(&table, &header, KIB32).unwrap();
        assert_eq!(parsed.chunks(), 4);
        assert_eq!(parsed.span(1, 2), (1012 + 0x39E0, 0x292E));
        assert_eq!(parsed.span(0, 4), (1012, 0x39E0 + 0x292E + 30));
        assert_eq!(parsed.uncompressed_size(3), 100_000 - 3 * 32768);
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
        assert!(ChunkTable::parse(&good, &h, KIB32).is_ok());
        for (entry, value) in [(0, 0u32), (1, 99), (1, 100), (2, 401), (2, 400), (0, 40_000), (1, u32::MAX)] {
            let mut bad = good.clone();
            bad[entry * 4..entry * 4 + 4].copy_from_slice(&value.to_le_bytes());
            let error = ChunkTable::parse(&bad, &h, KIB32).unwrap_err();
            assert!(error.to_string().starts_with("chunk table, field \"offset\", at 0x"), "{error}");
        }
        // A blob of 2^60 bytes in a small file is refused before its table is allocated.
        assert!(ChunkTable::read(&vec![0u8; 5000], &header(4000, 1 << 60), KIB32).is_err());
        assert!(ChunkTable::read(&vec![0u8; 5000], &header(4000, 0), KIB32).is_err());
    }
}
