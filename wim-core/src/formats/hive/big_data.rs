//! Big data (`db`): values above 16,344 bytes, cut into segments, in versions above 1.3.
//!
//! The record holds a count and the cell of a list of segment cells; every segment but the last holds exactly 16,344
//! bytes. Version 1.3 keeps data of any size in one cell.

use super::cell::{Bins, bad_cell, le_u16, le_u32};
use crate::base::{Error, Result};

/// Data bytes of a full segment.
pub(super) const SEGMENT_BYTES: usize = 16344;
/// Content of the cell of a full segment: Windows leaves room to reach 16,352 bytes with the cell's size.
const SEGMENT_CELL_CONTENT: usize = 16348;
const RECORD_BYTES: usize = 8;

impl Bins {
    /// The segment cells of the record at `record`, for data of `size` bytes.
    ///
    /// # Errors
    /// `Format` when the record is none or has another number of segments than the size needs.
    pub(super) fn segments(&self, record: u32, size: usize) -> Result<&[[u8; 4]]> {
        let bytes = self.cell(record, "big data")?;
        if bytes.len() < RECORD_BYTES || !bytes.starts_with(b"db") {
            return Err(bad_cell("big data", "signature", record, 0, "no big data record (\"db\") is here"));
        }
        let count = usize::from(le_u16(bytes, 2));
        if count != size.div_ceil(SEGMENT_BYTES) {
            return Err(bad_cell(
                "big data",
                "segment count",
                record,
                2,
                format!("{count} segments, but {size} bytes need {}", size.div_ceil(SEGMENT_BYTES)),
            ));
        }
        let list = le_u32(bytes, 4);
        let (entries, _) = self.cell(list, "segment list")?.as_chunks::<4>();
        entries
            .get(..count)
            .ok_or_else(|| bad_cell("segment list", "size", list, 0, format!("no room for {count} offsets")))
    }

    /// Reads data of `size` bytes that lies in segments.
    ///
    /// # Errors
    /// `Format` when the segments do not hold that much.
    pub(super) fn read_segments(&self, record: u32, size: usize) -> Result<Vec<u8>> {
        let segments = self.segments(record, size)?;
        // A short list of cells cannot make this larger than the file: each segment must lie in its own cell.
        let mut data = Vec::with_capacity(size.min(self.size as usize));
        for &segment in segments {
            let cell = u32::from_le_bytes(segment);
            let part = (size - data.len()).min(SEGMENT_BYTES);
            let content = self.cell(cell, "segment")?;
            data.extend_from_slice(content.get(..part).ok_or_else(|| {
                bad_cell("segment", "size", cell, 0, format!("{} bytes instead of {part}", content.len()))
            })?);
            if data.len() > self.size as usize {
                return Err(bad_cell("big data", "segments", record, 0, "segments are used more than once"));
            }
        }
        Ok(data)
    }

    /// Stores data in segments and returns the record's cell.
    ///
    /// # Errors
    /// `Limit` when the count does not fit its field or the hive would become too large.
    pub(super) fn write_segments(&mut self, data: &[u8], near: u32) -> Result<u32> {
        let count = u16::try_from(data.len().div_ceil(SEGMENT_BYTES))
            .map_err(|_| Error::limit(format!("a value of {} bytes needs too many segments", data.len())))?;
        let record = self.allocate(RECORD_BYTES, near)?;
        let list = self.allocate(usize::from(count) * 4, near)?;
        self.write(record, 0, b"db")?;
        self.write_u16(record, 2, count)?;
        self.write_u32(record, 4, list)?;
        for (index, part) in data.chunks(SEGMENT_BYTES).enumerate() {
            let content = if part.len() == SEGMENT_BYTES { SEGMENT_CELL_CONTENT } else { part.len() };
            let cell = self.allocate(content, near)?;
            self.write(cell, 0, part)?;
            self.write_u32(list, index * 4, cell)?;
        }
        Ok(record)
    }

    /// Frees the record, its list and all segments.
    ///
    /// # Errors
    /// `Format` when they are not as they should be.
    pub(super) fn release_segments(&mut self, record: u32, size: usize) -> Result<()> {
        let segments = self.segments(record, size)?.to_vec();
        let list = le_u32(self.cell(record, "big data")?, 4);
        for segment in segments {
            self.release(u32::from_le_bytes(segment))?;
        }
        self.release(list)?;
        self.release(record)
    }
}
