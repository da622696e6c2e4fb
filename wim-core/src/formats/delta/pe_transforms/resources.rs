//! The resource tree (flag 0x10): offsets from the start of the directory.
//!
//! An offset moves as the place that it leads to moves against the start of the tree. The address of a resource's data is
//! treated as such an offset, too: that is how real deltas come out, although it is relative to the image base.

use std::collections::HashSet;

use super::image::{Directory, u16_at};
use super::{Work, too_much};
use crate::base::Result;

/// A name or entry that leads to a string or a directory.
const LEADS_ON: u32 = 0x8000_0000;
const DIRECTORY_BYTES: usize = 16;

/// A directory that is being walked.
struct Cursor {
    next: usize,
    end: usize,
}

/// Moves the offsets of the resource tree.
///
/// # Errors
/// `Limit` when directories overlap so that they have more entries together than the file has bytes.
pub(super) fn resources(work: &mut Work<'_>) -> Result<()> {
    let (rva, _) = work.layout.directory(Directory::Resource);
    let Some((base, size)) = work.layout.directory_in_file(Directory::Resource) else { return Ok(()) };
    let mut budget = work.bytes.len();
    let end = base.saturating_add(size).min(work.bytes.len());
    let start = i64::from(rva);
    let origin = work.rift.map(start);
    let relative = |work: &Work<'_>, offset: u32| {
        super::low32(work.rift.map(start.wrapping_add(i64::from(offset))).wrapping_sub(origin))
    };
    let mut seen = HashSet::new();
    let mut open: Vec<Cursor> = open_directory(work, base, end, &mut seen).into_iter().collect();
    while let Some(cursor) = open.last_mut() {
        let at = cursor.next;
        if at + 8 > cursor.end {
            open.pop();
            continue;
        }
        cursor.next += 8;
        budget = budget.checked_sub(1).ok_or_else(|| too_much("its resource directories"))?;
        let Some((name, offset)) = work.u32(at).zip(work.u32(at + 4)) else { continue };
        if offset & LEADS_ON != 0 {
            let inside = offset & !LEADS_ON;
            let child = base.saturating_add(inside as usize);
            let moved = LEADS_ON | relative(work, inside) & !LEADS_ON;
            work.put_u32(at + 4, moved);
            work.mark(at + 4, 4);
            if child > at {
                open.extend(open_directory(work, child, end, &mut seen));
            }
        } else {
            let entry = base.saturating_add(offset as usize);
            if entry.saturating_add(16) <= end
                && let Some(data) = work.u32(entry)
            {
                let moved = relative(work, data);
                work.put_u32(entry, moved);
                work.mark(entry, 4);
            }
        }
        if name & LEADS_ON != 0 {
            let moved = LEADS_ON | relative(work, name & !LEADS_ON) & !LEADS_ON;
            work.put_u32(at, moved);
            work.mark(at, 4);
        }
    }
    Ok(())
}

/// The entries of a directory that was not walked before and fits.
fn open_directory(work: &Work<'_>, at: usize, end: usize, seen: &mut HashSet<usize>) -> Option<Cursor> {
    let entries = at.checked_add(DIRECTORY_BYTES).filter(|&entries| entries <= end)?;
    if !seen.insert(at) {
        return None;
    }
    let count = |field: usize| u16_at(&work.bytes, at + field).map(usize::from);
    let count = count(12)? + count(14)?;
    Some(Cursor { next: entries, end: entries.saturating_add(8 * count).min(end) })
}
