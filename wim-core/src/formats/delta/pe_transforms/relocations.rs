//! Base relocations (flag 0x20): the words they point at, and the table itself, rebuilt in place.

use super::image::{Directory, Layout, u16_at};
use super::{Reading, Work, low32};

/// The low bits of an entry: the place in its page.
const PAGE_MASK: u32 = 0xFFF;

/// A relocation with its mapped place.
#[derive(Clone, Copy)]
struct Record {
    place: u32,
    kind: u16,
    /// The second word of kind 4.
    extra: u16,
}

impl Record {
    fn page(self) -> u32 {
        self.place & !PAGE_MASK
    }
}

/// Moves relocated words to their new values and rebuilds the table in the order of the target.
pub(super) fn relocations(work: &mut Work<'_>, reading: Reading) {
    let Some((base, size)) = work.layout.directory_in_file(Directory::BaseRelocation) else { return };
    let end = base.saturating_add(size).min(work.bytes.len());
    let mut records = Vec::new();
    let mut block = base;
    while block + 8 <= end {
        let (Some(page), Some(block_size)) = (work.u32(block), work.u32(block + 4)) else { break };
        let block_end = block.saturating_add(block_size as usize);
        if block_size < 8 || block_end > end {
            break;
        }
        relocate_block(work, page, (block + 8, block_end), reading, &mut records);
        block = block_end;
    }
    records.sort_by_key(|record| record.place);
    let limit = rebuild_limit(work.layout, base, size).min(work.bytes.len());
    rebuild(work, base, limit, &records);
}

fn relocate_block(
    work: &mut Work<'_>,
    page: u32,
    (start, end): (usize, usize),
    reading: Reading,
    records: &mut Vec<Record>,
) {
    let mut at = start;
    while at + 2 <= end {
        let Some(entry) = u16_at(&work.bytes, at) else { break };
        at += 2;
        let mut kind = entry >> 12;
        if kind == 0 {
            break;
        }
        let location = page.wrapping_add(u32::from(entry) & PAGE_MASK);
        let mut extra = 0;
        if kind == 4 {
            extra = u16_at(&work.bytes, at).filter(|_| at + 2 <= end).unwrap_or(0);
            at += 2;
        }
        if let Some(field) = work.layout.file_offset(location) {
            match kind {
                3 => relocate_word(work, field, reading),
                10 => relocate_long_word(work, field),
                1 | 2 | 4 => work.mark(field, 2),
                _ => kind = 0,
            }
        }
        records.push(Record { place: work.map(location), kind, extra });
    }
}

fn relocate_word(work: &mut Work<'_>, at: usize, reading: Reading) {
    let Some(value) = work.u32(at) else { return };
    let value = if reading.unsigned_words { i64::from(value) } else { i64::from(value.cast_signed()) };
    let moved = work.rebase(value.wrapping_sub(work.layout.image_base.cast_signed()));
    work.put_u32(at, low32(moved.cast_signed()));
    work.mark(at, 4);
}

fn relocate_long_word(work: &mut Work<'_>, at: usize) {
    let Some(value) = super::u64_at(&work.bytes, at) else { return };
    let moved = work.rebase(value.wrapping_sub(work.layout.image_base).cast_signed());
    work.put(at, &moved.to_le_bytes());
    work.mark(at, 8);
}

/// Where the rebuilt table must end: with the directory, or with the rest of its section's bytes.
fn rebuild_limit(layout: &Layout, base: usize, size: usize) -> usize {
    let (rva, _) = layout.directory(Directory::BaseRelocation);
    let rest = layout.section_of(rva).map_or(0, |section| {
        (section.raw_size as usize).saturating_sub((rva - section.virtual_address) as usize)
    });
    base.saturating_add(size.max(rest) & !1)
}

fn rebuild(work: &mut Work<'_>, base: usize, limit: usize, records: &[Record]) {
    let mut at = base;
    let mut rest = records;
    while let Some(first) = rest.first().filter(|_| at + 8 <= limit) {
        let (page, header) = (first.page(), at);
        at += 8;
        while let Some((record, others)) = rest.split_first().filter(|(record, _)| record.page() == page) {
            let needed = if record.kind == 4 { 4 } else { 2 };
            if at + needed > limit {
                rest = &[];
                break;
            }
            let place = u16::try_from(record.place & PAGE_MASK).unwrap_or(0);
            work.put(at, &(record.kind << 12 | place).to_le_bytes());
            if record.kind == 4 {
                work.put(at + 2, &record.extra.to_le_bytes());
            }
            at += needed;
            rest = others;
        }
        if !(at - header).is_multiple_of(4) && at + 2 <= limit {
            work.put(at, &[0, 0]);
            at += 2;
        }
        work.put_u32(header, page);
        work.put_u32(header + 4, u32::try_from(at - header).unwrap_or(u32::MAX));
    }
}
