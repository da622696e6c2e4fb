//! Bins and cells: the file below the base block, validated once, and the one place where its bytes are changed.
//!
//! A bin is `hbin`, its own offset, its size, then cells without gaps; a cell is a signed size (negative: in use) and
//! its content. After [`Bins::parse`] a bitmap knows where cells begin, so that a reference can be judged in one look.
//! What cells contain is not known here.

use std::collections::BTreeSet;

use super::base_block::BASE_BLOCK_BYTES;
use super::undo::UndoLog;
use crate::base::{Error, Result};

/// The offset that points nowhere.
pub(super) const NIL: u32 = u32::MAX;
/// Bytes of a bin's header.
pub(super) const BIN_HEADER_BYTES: u32 = 32;
/// Bins begin and end at multiples of this.
pub(super) const BIN_ALIGN: u32 = 4096;

/// The little-endian number at `at`; 0 past the end, so callers check lengths first where it matters.
#[inline]
pub(super) fn le_u16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

/// As [`le_u16`], four bytes.
#[inline]
pub(super) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// As [`le_u16`], eight bytes.
#[inline]
pub(super) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Writes four bytes at `at`; callers have checked that they lie inside.
pub(super) fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    put(bytes, at, &value.to_le_bytes());
}

/// Writes eight bytes at `at`; callers have checked that they lie inside.
pub(super) fn put_u64(bytes: &mut [u8], at: usize, value: u64) {
    put(bytes, at, &value.to_le_bytes());
}

/// Writes bytes at `at`; callers have checked that they lie inside.
pub(super) fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + new.len()) {
        slot.copy_from_slice(new);
    } else {
        debug_assert!(false, "write of {} bytes at {at} past the end", new.len());
    }
}

/// A length as the `u32` that the format stores; hives are below 2 GiB.
pub(super) fn len_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// An error at a field of the record in the cell at `cell`; `at` counts from the start of the cell's content.
#[cold]
pub(super) fn bad_cell(
    structure: &'static str,
    field: &'static str,
    cell: u32,
    at: usize,
    message: impl Into<String>,
) -> Error {
    Error::format(structure, field, BASE_BLOCK_BYTES as u64 + u64::from(cell) + 4 + at as u64, message)
}

/// One bit for every 8 bytes of the bins.
#[derive(Clone, Debug)]
pub(super) struct CellBits(Vec<u64>);

impl CellBits {
    /// No bit set, for bins of `bytes` bytes.
    pub(super) fn new(bytes: u32) -> Self {
        Self(vec![0; (bytes as usize).div_ceil(512)])
    }

    /// Whether the bit of `offset` is set.
    #[inline]
    pub(super) fn contains(&self, offset: u32) -> bool {
        offset.is_multiple_of(8)
            && self.0.get((offset >> 9) as usize).is_some_and(|word| word >> ((offset >> 3) & 63) & 1 != 0)
    }

    /// Sets the bit of `offset`; true when it was clear.
    #[inline]
    pub(super) fn insert(&mut self, offset: u32) -> bool {
        let bit = 1 << ((offset >> 3) & 63);
        self.0.get_mut((offset >> 9) as usize).is_some_and(|word| {
            let was_clear = *word & bit == 0;
            *word |= bit;
            was_clear
        })
    }

    /// Clears the bit of `offset`.
    pub(super) fn remove(&mut self, offset: u32) {
        if let Some(word) = self.0.get_mut((offset >> 9) as usize) {
            *word &= !(1 << ((offset >> 3) & 63));
        }
    }

    /// The last set bit before `offset`, down to `floor`.
    pub(super) fn last_before(&self, offset: u32, floor: u32) -> Option<u32> {
        let mut index = offset >> 9;
        let mut mask = (1u64 << ((offset >> 3) & 63)) - 1;
        loop {
            let word = self.0.get(index as usize)? & mask;
            if word != 0 {
                let found = (index << 9) + ((63 - word.leading_zeros()) << 3);
                return (found >= floor).then_some(found);
            }
            if index << 9 <= floor {
                return None;
            }
            index -= 1;
            mask = u64::MAX;
        }
    }

    /// Room for bins of `bytes` bytes.
    pub(super) fn grow(&mut self, bytes: u32) {
        self.0.resize((bytes as usize).div_ceil(512), 0);
    }
}

/// What validation found wrong in the layout of one bin.
#[derive(Clone, Debug)]
pub(super) struct LayoutFault {
    /// Structure, field, hive offset and message.
    pub(super) structure: &'static str,
    pub(super) field: &'static str,
    pub(super) offset: u32,
    pub(super) message: String,
}

impl LayoutFault {
    /// As the error that opening gives.
    pub(super) fn to_error(&self) -> Error {
        let at = BASE_BLOCK_BYTES as u64 + u64::from(self.offset);
        Error::format(self.structure, self.field, at, self.message.clone())
    }
}

/// The whole file with what validation learned about it.
#[derive(Clone, Debug)]
pub(super) struct Bins {
    pub(super) bytes: Vec<u8>,
    /// Bytes of all bins.
    pub(super) size: u32,
    /// Where cells begin, free ones included.
    pub(super) starts: CellBits,
    /// Where bins begin, ascending.
    pub(super) bins: Vec<u32>,
    /// Free cells of 16 bytes and more as (size, offset); made when first needed.
    pub(super) free: Option<BTreeSet<(u32, u32)>>,
    pub(super) undo: UndoLog,
    /// Number of writes so far.
    pub(super) writes: u64,
}

impl Bins {
    /// Validates the bins in `bytes` (a whole file) and takes the buffer over.
    ///
    /// # Errors
    /// `Format` at the first bin or cell that breaks the layout.
    pub(super) fn parse(bytes: Vec<u8>, size: u32) -> Result<Self> {
        let (bins, faults) = Self::parse_leniently(bytes, size, 1);
        match faults.first() {
            Some(fault) => Err(fault.to_error()),
            None => Ok(bins),
        }
    }

    /// As [`Self::parse`], but goes on past damage: cells after a fault in a bin are out of reach. Stops at
    /// `max_faults`.
    pub(super) fn parse_leniently(bytes: Vec<u8>, size: u32, max_faults: usize) -> (Self, Vec<LayoutFault>) {
        let mut bins = Self {
            bytes,
            size,
            starts: CellBits::new(size),
            bins: Vec::new(),
            free: None,
            undo: UndoLog::default(),
            writes: 0,
        };
        let mut faults = Vec::new();
        let in_file = bins.bytes.len().saturating_sub(BASE_BLOCK_BYTES);
        if (size as usize) > in_file {
            faults.push(LayoutFault {
                structure: "base block",
                field: "bins size",
                offset: 0,
                message: format!("{size} bytes of bins, but the file holds only {in_file}: it is truncated"),
            });
            bins.size = len_u32(in_file) / BIN_ALIGN * BIN_ALIGN;
        }
        bins.scan(&mut faults, max_faults);
        (bins, faults)
    }

    /// Finds all bins and cells anew; for opening and after edits were taken back.
    pub(super) fn rescan(&mut self) {
        let mut faults = Vec::new();
        self.scan(&mut faults, usize::MAX);
        debug_assert!(faults.is_empty(), "{faults:?}");
    }

    fn scan(&mut self, faults: &mut Vec<LayoutFault>, max_faults: usize) {
        self.starts = CellBits::new(self.size);
        self.bins.clear();
        self.free = None;
        let end = BASE_BLOCK_BYTES + self.size as usize;
        let data = self.bytes.get(BASE_BLOCK_BYTES..end).unwrap_or(&[]);
        let mut offset = 0;
        while offset < self.size && faults.len() < max_faults {
            match bin_size(data, offset, self.size) {
                Ok(bin_bytes) => {
                    self.bins.push(offset);
                    if let Err(fault) = scan_cells(data, offset, bin_bytes, &mut self.starts) {
                        faults.push(fault);
                    }
                    offset += bin_bytes;
                }
                Err(fault) => {
                    faults.push(fault);
                    // The next bin, if any, begins at some multiple of 4096.
                    offset += BIN_ALIGN;
                }
            }
        }
    }

    /// The content of the cell in use at `offset`, without its size.
    ///
    /// # Errors
    /// `Format` when no cell in use begins there; `structure` names what was expected.
    #[inline]
    pub(super) fn cell(&self, offset: u32, structure: &'static str) -> Result<&[u8]> {
        self.try_cell(offset).ok_or_else(|| {
            let what = if self.starts.contains(offset) { "a free cell" } else { "no cell" };
            bad_cell(structure, "offset", offset, 0, format!("{what} is at hive offset {offset:#x}"))
        })
    }

    /// As [`Self::cell`], without the error.
    #[inline]
    pub(super) fn try_cell(&self, offset: u32) -> Option<&[u8]> {
        if !self.starts.contains(offset) {
            return None;
        }
        let at = BASE_BLOCK_BYTES + offset as usize;
        let size = le_u32(&self.bytes, at).cast_signed();
        if size >= 0 {
            return None;
        }
        self.bytes.get(at + 4..at + size.unsigned_abs() as usize)
    }

    /// Size of the cell at `offset` with its header, and whether it is in use.
    pub(super) fn cell_size(&self, offset: u32) -> (u32, bool) {
        let size = le_u32(&self.bytes, BASE_BLOCK_BYTES + offset as usize).cast_signed();
        (size.unsigned_abs(), size < 0)
    }

    /// The bin that holds `offset`, as (start, end).
    pub(super) fn bin_of(&self, offset: u32) -> (u32, u32) {
        let index = self.bins.partition_point(|&start| start <= offset);
        let start = self.bins.get(index.wrapping_sub(1)).copied().unwrap_or(0);
        (start, self.bins.get(index).copied().unwrap_or(self.size))
    }

    /// Overwrites `new.len()` bytes of the content of the cell at `cell`, from `at` on.
    ///
    /// # Errors
    /// `Format` when they do not lie inside a cell in use.
    pub(super) fn write(&mut self, cell: u32, at: usize, new: &[u8]) -> Result<()> {
        let content = self.cell(cell, "cell")?;
        match content.get(at..at + new.len()) {
            None => Err(bad_cell("cell", "size", cell, at, "write past the end of the cell")),
            Some(old) if old == new => Ok(()),
            Some(_) => {
                self.write_raw(BASE_BLOCK_BYTES + cell as usize + 4 + at, new);
                Ok(())
            }
        }
    }

    /// Writes a `u16` into a cell; as [`Self::write`].
    pub(super) fn write_u16(&mut self, cell: u32, at: usize, value: u16) -> Result<()> {
        self.write(cell, at, &value.to_le_bytes())
    }

    /// Writes a `u32` into a cell; as [`Self::write`].
    pub(super) fn write_u32(&mut self, cell: u32, at: usize, value: u32) -> Result<()> {
        self.write(cell, at, &value.to_le_bytes())
    }

    /// Moves bytes inside a cell; ranges that leave the cell are an error.
    pub(super) fn move_within(&mut self, cell: u32, from: std::ops::Range<usize>, to: usize) -> Result<()> {
        let content = self.cell(cell, "cell")?;
        if from.end > content.len() || to + from.len() > content.len() {
            return Err(bad_cell("cell", "size", cell, from.end, "move past the end of the cell"));
        }
        let base = BASE_BLOCK_BYTES + cell as usize + 4;
        self.undo.keep(&self.bytes, base + to..base + to + from.len());
        self.bytes.copy_within(base + from.start..base + from.end, base + to);
        self.writes += 1;
        Ok(())
    }

    /// Overwrites bytes at a file offset below the base block; callers know that they exist.
    pub(super) fn write_raw(&mut self, at: usize, new: &[u8]) {
        self.undo.keep(&self.bytes, at..at + new.len());
        put(&mut self.bytes, at, new);
        self.writes += 1;
    }

    /// Zeroes bytes at a file offset below the base block; callers know that they exist.
    pub(super) fn zero_raw(&mut self, range: std::ops::Range<usize>) {
        self.undo.keep(&self.bytes, range.clone());
        if let Some(slot) = self.bytes.get_mut(range) {
            slot.fill(0);
        }
        self.writes += 1;
    }
}

/// Checks a bin header and returns the bin's size.
fn bin_size(data: &[u8], offset: u32, end: u32) -> Result<u32, LayoutFault> {
    let fault = |field, message: String| Err(LayoutFault { structure: "hive bin", field, offset, message });
    let at = offset as usize;
    if data.get(at..at + 4) != Some(b"hbin") {
        return fault("signature", "not \"hbin\"".to_owned());
    }
    let own = le_u32(data, at + 4);
    if own != offset {
        return fault("offset", format!("{own:#x}, but the bin lies at {offset:#x}"));
    }
    let size = le_u32(data, at + 8);
    if size == 0 || !size.is_multiple_of(BIN_ALIGN) || size > end - offset {
        return fault(
            "size",
            format!("{size} bytes; needed is a multiple of 4096, at most the {} left", end - offset),
        );
    }
    Ok(size)
}

/// Walks the cells of one bin and marks where they begin.
fn scan_cells(data: &[u8], bin: u32, bin_bytes: u32, starts: &mut CellBits) -> Result<(), LayoutFault> {
    let end = bin + bin_bytes;
    let mut offset = bin + BIN_HEADER_BYTES;
    while offset < end {
        let size = le_u32(data, offset as usize).cast_signed().unsigned_abs();
        if size < 8 || !size.is_multiple_of(8) || size > end - offset {
            return Err(LayoutFault {
                structure: "hive cell",
                field: "size",
                offset,
                message: format!(
                    "{size} bytes; needed is a multiple of 8, at most the {} left in its bin",
                    end - offset
                ),
            });
        }
        starts.insert(offset);
        offset += size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_bits_find_the_last_before() {
        let mut bits = CellBits::new(8192);
        for offset in [32, 40, 4096] {
            assert!(bits.insert(offset));
        }
        assert!(!bits.insert(40));
        assert_eq!(bits.last_before(4096, 0), Some(40));
        assert_eq!(bits.last_before(40, 0), Some(32));
        assert_eq!(bits.last_before(32, 0), None);
        assert_eq!(bits.last_before(4096, 41), None);
        bits.remove(40);
        assert_eq!(bits.last_before(4096, 0), Some(32));
        assert!(bits.contains(32) && !bits.contains(36) && !bits.contains(1 << 30));
    }
}
