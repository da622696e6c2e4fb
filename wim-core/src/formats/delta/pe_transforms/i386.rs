//! Code of i386 images: relative jumps and calls (flags 0x2, 0x40, 0x80, 0x100).
//!
//! Nothing is disassembled: a byte that looks like a jump or call counts as one when it leads into the image and no
//! earlier transform has marked it or its goal as data. These rules rest on jlevere/msdelta; no real file at hand needs
//! them.

use super::Work;
use super::image::Section;

/// Marks all bytes, then clears the marks of code.
pub(super) fn mark_what_is_not_code(work: &mut Work<'_>) {
    work.marks.iter_mut().for_each(|mark| *mark = true);
    for section in &work.layout.sections {
        if let Some((start, end)) = section.code_range() {
            let end = end.min(work.marks.len());
            if let Some(marks) = work.marks.get_mut(start..end) {
                marks.iter_mut().for_each(|mark| *mark = false);
            }
        }
    }
}

/// Overwrites the lock prefixes that the load configuration lists.
///
/// UNVERIFIED: every i386 basis seen has an empty list; the digest of the target decides whether this is right.
pub(super) fn lock_prefixes(work: &mut Work<'_>, reference: &[u8], prefix: u8) {
    let base = super::low32(work.layout.image_base.cast_signed());
    let Some(table) = work.layout.lock_prefix_table(reference) else { return };
    let Some(mut at) = work.layout.file_offset(table.wrapping_sub(base)) else { return };
    while let Some(address) = super::u32_at(reference, at).filter(|&address| address != 0) {
        if let Some(place) = work.layout.file_offset(address.wrapping_sub(base)) {
            work.put(place, &[prefix]);
        }
        at += 4;
    }
}

impl Work<'_> {
    /// True when `rva` lies in the headers or in a section.
    fn is_reachable(&self, rva: u32) -> bool {
        let layout = self.layout;
        rva != 0 && rva < layout.size_of_image && (rva < layout.first_rva || layout.section_of(rva).is_some())
    }

    /// True when what lies at `rva` is marked.
    fn is_blocked(&self, rva: u32) -> bool {
        let plain = rva as usize;
        let at =
            if rva < self.layout.first_rva { plain } else { self.layout.file_offset(rva).unwrap_or(plain) };
        self.is_marked(at)
    }

    /// The new displacement of an operand at `at` in `section`; none when it leads nowhere that is code.
    fn displaced(&self, section: &Section, start: usize, at: usize) -> Option<i32> {
        let displacement = self.u32(at)?;
        let behind = u32::try_from(at + 4 - start).ok()?;
        let site = section.virtual_address.wrapping_add(behind);
        let goal = site.wrapping_add(displacement);
        if !self.is_reachable(goal) || self.is_blocked(goal) {
            return None;
        }
        Some(self.map(goal).wrapping_sub(self.map(site)).cast_signed())
    }

    fn any_marked(&self, at: usize, length: usize) -> bool {
        (at..at + length).any(|at| self.is_marked(at))
    }
}

/// Moves the goals of long jumps; one that becomes short is written in its short form, as linkers do.
pub(super) fn jumps(work: &mut Work<'_>) {
    let layout = work.layout;
    for section in &layout.sections {
        let Some((start, end)) = section.code_range() else { continue };
        let end = end.min(work.bytes.len());
        let mut at = start;
        while at + 5 <= end {
            at += jump_at(work, section, start, at).unwrap_or(1);
        }
    }
}

/// Treats what may be a jump at `at`; gives the bytes to go on by when it is one.
fn jump_at(work: &mut Work<'_>, section: &Section, start: usize, at: usize) -> Option<usize> {
    let (first, second) = (*work.bytes.get(at)?, *work.bytes.get(at + 1)?);
    let is_conditional = first == 0x0F && second & 0xF0 == 0x80;
    if first != 0xE9 && !is_conditional {
        return None;
    }
    let opcode = at + usize::from(is_conditional);
    let may_be_short = !is_conditional || !work.is_marked(at);
    if opcode + 5 > work.bytes.len() || work.any_marked(opcode, 5) {
        return None;
    }
    let displacement = work.u32(opcode + 1)?.cast_signed();
    if (-128..=127).contains(&displacement) {
        return None;
    }
    let moved = work.displaced(section, start, opcode + 1)?;
    match i8::try_from(moved) {
        Ok(short) if may_be_short => {
            let [operand] = short.to_le_bytes();
            if is_conditional {
                work.put(opcode - 1, &[0x70 | second & 0x0F, operand]);
            } else {
                work.put(opcode, &[0xEB, operand]);
            }
        }
        _ => work.put(opcode + 1, &moved.to_le_bytes()),
    }
    Some(opcode + 5 - at)
}

/// Moves the goals of calls.
pub(super) fn calls(work: &mut Work<'_>) {
    let layout = work.layout;
    for section in &layout.sections {
        let Some((start, end)) = section.code_range() else { continue };
        let end = end.min(work.bytes.len());
        let mut at = start;
        while at + 5 <= end {
            let is_call = work.bytes.get(at) == Some(&0xE8) && !work.any_marked(at, 5);
            match is_call.then(|| work.displaced(section, start, at + 1)).flatten() {
                Some(moved) => {
                    work.put(at + 1, &moved.to_le_bytes());
                    at += 5;
                }
                None => at += 1,
            }
        }
    }
}
