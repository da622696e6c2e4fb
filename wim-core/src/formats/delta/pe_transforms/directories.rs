//! Imports and exports: tables of addresses in directories (flags 0x2000, 0x4, 0x8).
//!
//! Delay imports, export ordinals and the export's time stamp are left alone, as Windows' own decoder leaves them.

use super::image::Directory;
use super::{Work, too_much, u64_at};
use crate::base::Result;

const DESCRIPTOR_BYTES: usize = 20;
const MAX_DESCRIPTORS: usize = 4096;
/// What unbinding gives an `.idata` section: initialised, readable and writable data.
const IDATA_CHARACTERISTICS: u32 = 0xC000_0000;

/// An import descriptor, as it was before it is changed.
struct Descriptor {
    at: usize,
    original_thunks: u32,
    time_stamp: u32,
    thunks: u32,
}

impl Work<'_> {
    /// The import descriptor of that number; none behind the last.
    fn descriptor(&self, number: usize) -> Option<Descriptor> {
        let (start, _) = self.layout.directory_in_file(Directory::Import)?;
        let at = start.checked_add(number * DESCRIPTOR_BYTES).filter(|_| number < MAX_DESCRIPTORS)?;
        self.bytes.get(at..)?.get(..DESCRIPTOR_BYTES)?;
        let field = |offset: usize| self.u32(at + offset).unwrap_or(0);
        let found = Descriptor { at, original_thunks: field(0), time_stamp: field(4), thunks: field(16) };
        (found.original_thunks != 0 || field(12) != 0 || found.thunks != 0).then_some(found)
    }

    /// The pointer at `at`, unless it is 0 or cut by the end of the file.
    fn thunk(&self, at: usize) -> Option<u64> {
        let value =
            if self.layout.is_pe32_plus { u64_at(&self.bytes, at) } else { self.u32(at).map(u64::from) };
        value.filter(|&value| value != 0)
    }
}

/// Takes bound imports back to what a linker wrote.
///
/// # Errors
/// `Limit` when thunk arrays overlap so that they are longer than the file together.
pub(super) fn unbind(work: &mut Work<'_>) -> Result<()> {
    let mut budget = work.bytes.len();
    for number in 0..MAX_DESCRIPTORS {
        let Some(found) = work.descriptor(number) else { break };
        if found.time_stamp == 0 {
            continue;
        }
        work.put(found.at + 4, &[0; 8]);
        let arrays = [found.original_thunks, found.thunks].map(|rva| work.layout.file_offset(rva));
        let [Some(mut from), Some(mut to)] = arrays else { continue };
        let size = work.layout.pointer_bytes();
        while let Some(value) = work.thunk(from) {
            budget = budget.checked_sub(1).ok_or_else(|| too_much("its import tables"))?;
            work.put(to, value.to_le_bytes().get(..size).unwrap_or_default());
            (from, to) = (from + size, to + size);
        }
    }
    for section in &work.layout.sections {
        if section.name == *b".idata\0\0" {
            work.put_u32(section.characteristics_at, section.characteristics | IDATA_CHARACTERISTICS);
        }
    }
    Ok(())
}

/// Moves names, thunks and bound addresses of imports.
///
/// # Errors
/// As [`unbind`].
pub(super) fn imports(work: &mut Work<'_>) -> Result<()> {
    let mut budget = work.bytes.len();
    for number in 0..MAX_DESCRIPTORS {
        let Some(found) = work.descriptor(number) else { break };
        let is_bound = found.time_stamp != 0;
        for (rva, holds_addresses) in [(found.original_thunks, false), (found.thunks, is_bound)] {
            let Some(mut at) = work.layout.file_offset(rva) else { continue };
            let size = work.layout.pointer_bytes();
            while let Some(value) = work.thunk(at) {
                budget = budget.checked_sub(1).ok_or_else(|| too_much("its import tables"))?;
                let is_ordinal = value >> (8 * size - 1) & 1 == 1;
                if holds_addresses {
                    work.rebase_pointer(at);
                } else if !is_ordinal {
                    work.move_field(at);
                }
                work.mark(at, size);
                at += size;
            }
        }
        [12, 0, 16].iter().for_each(|field| work.move_field(found.at + field));
    }
    Ok(())
}

/// Moves the addresses and names of exports, then the directory's own.
pub(super) fn exports(work: &mut Work<'_>) {
    let Some((at, _)) = work.layout.directory_in_file(Directory::Export) else { return };
    for (count_field, table_field) in [(20, 28), (24, 32)] {
        let fields = work.u32(at + count_field).zip(work.u32(at + table_field));
        let Some((count, table)) = fields else { continue };
        let Some(table) = work.layout.file_offset(table) else { continue };
        let room = work.bytes.len().saturating_sub(table) / 4;
        (0..room.min(count as usize)).for_each(|number| work.move_field(table + 4 * number));
    }
    [12, 28, 32, 36].iter().for_each(|field| work.move_field(at + field));
}
