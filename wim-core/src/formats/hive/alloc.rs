//! Finding room for cells and giving it back: best fit, splitting, joining, bins appended when nothing fits.
//!
//! Freed cells are zeroed, so that nothing old lingers in an image. The choice depends on the hive alone, so two
//! runs of the same edits give the same bytes. Bins are never given back: `compact` does that.

use std::collections::BTreeSet;

use super::base_block::{BASE_BLOCK_BYTES, MAX_BINS_BYTES};
use super::cell::{BIN_ALIGN, BIN_HEADER_BYTES, Bins, put, put_u32};
use crate::base::{Error, Result};

/// Free cells smaller than this hold one list entry at most and are not offered; they rejoin their neighbours.
const MIN_OFFERED_BYTES: u32 = 16;
/// The index of free cells has at most one entry per so many bytes of bins, so that a hive of nothing but free cells takes
/// little more memory than its file; the largest cells are kept. Healthy hives stay far below.
const BYTES_PER_OFFER: u32 = 128;
/// Entries that the index may have in any hive.
const MIN_OFFERS: usize = 1024;
/// Largest bin that is searched cell by cell for room near the owner.
const MAX_NEAR_BIN_BYTES: u32 = 8192;
/// A vector that must grow takes this share more than asked, so that many appended bins copy the hive rarely.
const GROWTH_SHARE: usize = 8;

/// Size of the cell that holds `content` bytes.
fn cell_bytes(content: usize) -> Result<u32> {
    content
        .checked_add(4 + 7)
        .and_then(|bytes| u32::try_from(bytes & !7).ok())
        .filter(|&bytes| bytes < MAX_BINS_BYTES - BIN_ALIGN)
        .map(|bytes| bytes.max(MIN_OFFERED_BYTES))
        .ok_or_else(|| Error::limit(format!("{content} bytes are more than a hive can hold")))
}

impl Bins {
    /// A zeroed cell for `content` bytes, in the bin of `near` if that has room.
    ///
    /// # Errors
    /// `Limit` when the hive would grow beyond 2 GiB.
    pub(super) fn allocate(&mut self, content: usize, near: u32) -> Result<u32> {
        let need = cell_bytes(content)?;
        self.index_free();
        let found = self.best_near(need, near).or_else(|| self.best(need));
        let (offset, size) = match found {
            Some(found) => found,
            None => self.append_bin(need)?,
        };
        self.forget_free(offset, size);
        self.use_cell(offset, size, need);
        Ok(offset)
    }

    /// Marks `need` of the free cell at `offset` as used; the rest stays a free cell.
    fn use_cell(&mut self, offset: u32, size: u32, need: u32) {
        let rest = size - need;
        // A cell header is 4 bytes; sizes are multiples of 8, so any rest can be a cell.
        if rest > 0 {
            self.write_header(offset + need, rest.cast_signed());
            self.starts.insert(offset + need);
            self.offer_free(offset + need, rest);
        }
        self.write_header(offset, -need.cast_signed());
        let at = BASE_BLOCK_BYTES + offset as usize;
        let content = at + 4..at + need as usize;
        if self.bytes.get(content.clone()).is_some_and(|old| old.iter().any(|&b| b != 0)) {
            self.zero_raw(content);
        }
    }

    /// Frees the cell in use at `offset`, zeroes it, and joins it with free neighbours in its bin.
    ///
    /// # Errors
    /// `Format` when no cell in use is there.
    pub(super) fn release(&mut self, offset: u32) -> Result<()> {
        self.cell(offset, "cell to free")?;
        let (mut size, _) = self.cell_size(offset);
        let mut start = offset;
        let (bin_start, bin_end) = self.bin_of(offset);
        let next = offset + size;
        let at = BASE_BLOCK_BYTES + offset as usize;
        self.zero_raw(at + 4..at + size as usize);
        if next < bin_end
            && let (next_size, false) = self.cell_size(next)
        {
            self.forget_free(next, next_size);
            self.starts.remove(next);
            self.write_header(next, 0);
            size += next_size;
        }
        if let Some(previous) = self.starts.last_before(offset, bin_start + BIN_HEADER_BYTES)
            && let (previous_size, false) = self.cell_size(previous)
        {
            self.forget_free(previous, previous_size);
            self.starts.remove(offset);
            self.write_header(offset, 0);
            size += previous_size;
            start = previous;
        }
        self.write_header(start, size.cast_signed());
        self.offer_free(start, size);
        Ok(())
    }

    /// Makes the cell at `offset` large enough for `content` bytes, keeping what it holds: in place when the next
    /// cell is free and large enough, else elsewhere. Returns where it is now.
    ///
    /// # Errors
    /// `Format` when no cell in use is there, `Limit` when the hive would grow beyond 2 GiB.
    pub(super) fn grow(&mut self, offset: u32, content: usize, near: u32) -> Result<u32> {
        let need = cell_bytes(content)?;
        let old = self.cell(offset, "cell to grow")?.to_vec();
        let (size, _) = self.cell_size(offset);
        if size >= need {
            return Ok(offset);
        }
        let next = offset + size;
        if next < self.bin_of(offset).1
            && let (next_size, false) = self.cell_size(next)
            && size + next_size >= need
        {
            self.index_free();
            self.forget_free(next, next_size);
            self.starts.remove(next);
            self.write_header(next, 0);
            let joined = size + next_size;
            if joined > need {
                self.write_header(offset + need, (joined - need).cast_signed());
                self.starts.insert(offset + need);
                self.offer_free(offset + need, joined - need);
            }
            self.write_header(offset, -need.cast_signed());
            let from = BASE_BLOCK_BYTES + next as usize;
            self.zero_raw(from..BASE_BLOCK_BYTES + (offset + need) as usize);
            return Ok(offset);
        }
        let new = self.allocate(content, near)?;
        self.write(new, 0, &old)?;
        self.release(offset)?;
        Ok(new)
    }

    /// Gives the end of a cell back when it holds only `content` bytes now.
    ///
    /// # Errors
    /// `Format` when no cell in use is there.
    pub(super) fn shrink(&mut self, offset: u32, content: usize) -> Result<()> {
        self.cell(offset, "cell to shrink")?;
        let need = cell_bytes(content)?;
        let (size, _) = self.cell_size(offset);
        if size > need {
            // The tail becomes a cell of its own and is then freed like any other.
            self.write_header(offset, -need.cast_signed());
            self.starts.insert(offset + need);
            self.write_header(offset + need, -(size - need).cast_signed());
            self.release(offset + need)?;
        }
        Ok(())
    }

    fn write_header(&mut self, offset: u32, size: i32) {
        self.write_raw(BASE_BLOCK_BYTES + offset as usize, &size.to_le_bytes());
    }

    fn offer_free(&mut self, offset: u32, size: u32) {
        let most = MIN_OFFERS.max((self.size / BYTES_PER_OFFER) as usize);
        if size >= MIN_OFFERED_BYTES
            && let Some(free) = &mut self.free
        {
            free.insert((size, offset));
            if free.len() > most {
                free.pop_first();
            }
        }
    }

    fn forget_free(&mut self, offset: u32, size: u32) {
        if let Some(free) = &mut self.free {
            free.remove(&(size, offset));
        }
    }

    /// Makes the index of free cells, unless it is there.
    fn index_free(&mut self) {
        if self.free.is_some() {
            return;
        }
        self.free = Some(BTreeSet::new());
        let mut bin = 0;
        while bin < self.size {
            let end = self.bin_of(bin).1;
            let mut offset = bin + BIN_HEADER_BYTES;
            while offset < end {
                let (size, used) = self.cell_size(offset);
                if !used {
                    self.offer_free(offset, size);
                }
                offset += size.max(8);
            }
            bin = end;
        }
    }

    fn best(&self, need: u32) -> Option<(u32, u32)> {
        let free = self.free.as_ref()?;
        free.range((need, 0)..).next().map(|&(size, offset)| (offset, size))
    }

    /// The best fit in the bin of `near`: keys, their lists and their values are read together.
    fn best_near(&self, need: u32, near: u32) -> Option<(u32, u32)> {
        let (start, end) = self.bin_of(near);
        if end - start > MAX_NEAR_BIN_BYTES {
            return None;
        }
        let mut best: Option<(u32, u32)> = None;
        let mut offset = start + BIN_HEADER_BYTES;
        while offset < end {
            let (size, used) = self.cell_size(offset);
            if !used && size >= need && best.is_none_or(|(_, least)| size < least) {
                best = Some((offset, size));
            }
            offset += size.max(8);
        }
        best
    }

    /// Appends a bin with one free cell of at least `need` bytes.
    fn append_bin(&mut self, need: u32) -> Result<(u32, u32)> {
        let bin_bytes = (need + BIN_HEADER_BYTES).next_multiple_of(BIN_ALIGN);
        let bin = self.size;
        if bin_bytes > MAX_BINS_BYTES - bin {
            return Err(Error::limit("the hive would grow beyond 2 GiB"));
        }
        let at = BASE_BLOCK_BYTES + bin as usize;
        let end = at + bin_bytes as usize;
        self.undo.keep(&self.bytes, at..end.min(self.bytes.len()));
        if end > self.bytes.capacity() {
            self.bytes.reserve_exact(end - self.bytes.len() + end / GROWTH_SHARE);
        }
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        // A file may have padding or remnants after its last bin; they give way.
        if let Some(slot) = self.bytes.get_mut(at..end) {
            slot.fill(0);
        }
        put(&mut self.bytes, at, b"hbin");
        put_u32(&mut self.bytes, at + 4, bin);
        put_u32(&mut self.bytes, at + 8, bin_bytes);
        let cell = bin + BIN_HEADER_BYTES;
        let size = bin_bytes - BIN_HEADER_BYTES;
        put_u32(&mut self.bytes, at + BIN_HEADER_BYTES as usize, size);
        self.writes += 1;
        self.size += bin_bytes;
        self.bins.push(bin);
        self.starts.grow(self.size);
        self.starts.insert(cell);
        self.offer_free(cell, size);
        Ok((cell, size))
    }

    /// Goes back to the bytes of `savepoint`.
    pub(super) fn roll_back(&mut self, savepoint: u32) {
        if let Some(restored) = self.undo.roll_back(savepoint, &mut self.bytes) {
            self.size = restored.bins_bytes;
            self.writes = restored.writes;
            self.rescan();
        }
    }

    /// Keeps what is changed from now on, so that [`Self::roll_back`] can restore it.
    pub(super) fn begin(&mut self, savepoint: u32) {
        self.undo.begin(savepoint, &self.bytes, self.size, self.writes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_bin() -> Bins {
        let mut bytes = vec![0; BASE_BLOCK_BYTES + 4096];
        put(&mut bytes, 4096, b"hbin");
        put_u32(&mut bytes, 4096 + 8, 4096);
        put_u32(&mut bytes, 4096 + 32, 4096 - 32);
        Bins::parse(bytes, 4096).unwrap()
    }

    #[test]
    fn freed_cells_join_both_neighbours_and_are_used_again() {
        let mut bins = one_bin();
        let cells: Vec<u32> = (0..4).map(|_| bins.allocate(60, 0).unwrap()).collect();
        assert_eq!(cells, [32, 96, 160, 224]);
        bins.write(96, 0, b"secret").unwrap();
        bins.release(32).unwrap();
        bins.release(160).unwrap();
        bins.release(96).unwrap();
        assert_eq!(bins.cell_size(32), (192, false));
        assert!(!bins.starts.contains(96) && !bins.starts.contains(160));
        assert!(bins.bytes[4096 + 36..4096 + 224].iter().all(|&b| b == 0));
        assert_eq!(bins.allocate(180, 0).unwrap(), 32);
        bins.rescan();
        assert_eq!(bins.free, None);
    }

    #[test]
    fn a_file_of_free_cells_is_not_indexed_whole() {
        const BINS: u32 = 1 << 20;
        let mut bytes = vec![0; BASE_BLOCK_BYTES + BINS as usize];
        put(&mut bytes, 4096, b"hbin");
        put_u32(&mut bytes, 4096 + 8, BINS);
        for at in (32..BINS as usize).step_by(16) {
            put_u32(&mut bytes, 4096 + at, 16);
        }
        let mut bins = Bins::parse(bytes, BINS).unwrap();
        assert_eq!(bins.allocate(12, 0).unwrap() % 16, 0);
        let entries = bins.free.as_ref().unwrap().len();
        assert!((1000..=(BINS / BYTES_PER_OFFER) as usize).contains(&entries), "{entries}");
        // What does not fit any of them gets a bin of its own.
        assert_eq!(bins.allocate(100, 0).unwrap(), BINS + 32);
    }

    #[test]
    fn cells_grow_in_place_or_move() {
        let mut bins = one_bin();
        let a = bins.allocate(20, 0).unwrap();
        bins.write(a, 0, b"content of the cell!").unwrap();
        assert_eq!(bins.grow(a, 100, 0).unwrap(), a);
        let blocker = bins.allocate(4, 0).unwrap();
        let moved = bins.grow(a, 200, 0).unwrap();
        assert!(moved > blocker);
        assert_eq!(&bins.cell(moved, "t").unwrap()[..20], b"content of the cell!");
        bins.shrink(moved, 20).unwrap();
        assert_eq!(bins.cell_size(moved), (24, true));
        bins.rescan();
    }

    #[test]
    fn a_bin_is_appended_when_nothing_fits_and_rolled_back() {
        let mut bins = one_bin();
        let before = bins.bytes.clone();
        bins.begin(1);
        assert_eq!(bins.allocate(5000, 0).unwrap(), 4096 + 32);
        assert_eq!((bins.size, bins.bins.as_slice()), (4096 + 8192, &[0, 4096][..]));
        bins.begin(2);
        bins.allocate(50, 0).unwrap();
        bins.roll_back(1);
        assert_eq!((bins.bytes, bins.size), (before, 4096));
    }
}
