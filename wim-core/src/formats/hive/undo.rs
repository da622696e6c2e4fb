//! Taking edits back: the old content of every 4 KiB page, kept when it is first changed after a savepoint.
//!
//! Restoring pages gives back the very bytes, so a hive whose edits were all refused is the hive that was read. Nothing is
//! kept before the first savepoint is set.

use std::collections::BTreeMap;
use std::ops::Range;

/// Granularity of what is kept.
const PAGE_BYTES: usize = 4096;

/// Pages as they were at one savepoint.
#[derive(Clone, Debug)]
struct Segment {
    /// The savepoint it belongs to.
    savepoint: u32,
    /// Length of the file then.
    file_bytes: usize,
    /// Bytes of all bins then.
    bins_bytes: u32,
    /// Number of writes then.
    writes: u64,
    pages: BTreeMap<usize, Box<[u8]>>,
}

/// All savepoints of one hive.
#[derive(Clone, Debug, Default)]
pub(super) struct UndoLog {
    segments: Vec<Segment>,
}

/// What a hive was at the savepoint it went back to.
pub(super) struct Restored {
    pub(super) bins_bytes: u32,
    pub(super) writes: u64,
}

impl UndoLog {
    /// Starts keeping pages for `savepoint`, unless that has begun.
    pub(super) fn begin(&mut self, savepoint: u32, bytes: &[u8], bins_bytes: u32, writes: u64) {
        if self.segments.last().is_none_or(|last| last.savepoint < savepoint) {
            let file_bytes = bytes.len();
            self.segments.push(Segment { savepoint, file_bytes, bins_bytes, writes, pages: BTreeMap::new() });
        }
    }

    /// Keeps the pages that cover `range` of the file, before it is overwritten.
    pub(super) fn keep(&mut self, bytes: &[u8], range: Range<usize>) {
        let Some(segment) = self.segments.last_mut() else { return };
        for page in range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES) {
            let start = page * PAGE_BYTES;
            // What was appended since needs no copy: going back cuts it off.
            let end = (start + PAGE_BYTES).min(segment.file_bytes);
            if let Some(old) = bytes.get(start..end) {
                segment.pages.entry(page).or_insert_with(|| old.into());
            }
        }
    }

    /// Restores `bytes` to what they were at `savepoint`; none when nothing changed since.
    pub(super) fn roll_back(&mut self, savepoint: u32, bytes: &mut Vec<u8>) -> Option<Restored> {
        let mut restored = None;
        while self.segments.last().is_some_and(|last| last.savepoint >= savepoint) {
            let segment = self.segments.pop()?;
            bytes.truncate(segment.file_bytes);
            for (page, old) in &segment.pages {
                super::cell::put(bytes, page * PAGE_BYTES, old);
            }
            restored = Some(Restored { bins_bytes: segment.bins_bytes, writes: segment.writes });
        }
        restored
    }
}
