//! Code of managed methods: the tokens in it (flag 0x4000), and its extent for the i386 passes.
//!
//! Bodies are those of ECMA-335 II.25.4. Tokens of all methods but the last are renumbered: that is what the native code
//! does on all files known, whatever its reason.

use super::cli_image::{Map, Metadata};
use super::{Work, too_much};
use crate::base::Result;

/// The table of methods.
const METHOD_DEF: usize = 0x06;
/// Code bytes that may be walked, as a multiple of the file: methods may share bodies.
const WALKED_PER_FILE_BYTE: usize = 16;
/// Fat header flag: sections follow the code.
const MORE_SECTIONS: u16 = 8;

/// A method's body in the file.
struct Body {
    start: usize,
    code: usize,
    code_bytes: usize,
    has_sections: bool,
}

impl Body {
    fn end(&self) -> usize {
        self.code.saturating_add(self.code_bytes)
    }
}

/// The body that the method row at `row` names.
fn body(work: &Work<'_>, row: usize) -> Option<Body> {
    let rva = work.u32(row).filter(|&rva| rva != 0)?;
    let section = work.layout.section_of(rva)?;
    if rva - section.virtual_address >= section.raw_size {
        return None;
    }
    let start = work.layout.file_offset(rva)?;
    let first = *work.bytes.get(start)?;
    let found = match first & 3 {
        2 => Body { start, code: start + 1, code_bytes: usize::from(first >> 2), has_sections: false },
        3 => {
            let flags = super::image::u16_at(&work.bytes, start)?;
            let header = usize::from(flags >> 12) * 4;
            let code_bytes = work.u32(start + 4)? as usize;
            let has_sections = flags & MORE_SECTIONS != 0;
            (header >= 12).then_some(Body { start, code: start + header, code_bytes, has_sections })?
        }
        _ => return None,
    };
    (found.end() <= work.bytes.len()).then_some(found)
}

/// Renumbers the tokens of all methods but the last.
///
/// # Errors
/// `Limit` when methods overlap so that their code is far longer than the file.
pub(super) fn tokens(work: &mut Work<'_>, metadata: &Metadata, map: &Map) -> Result<()> {
    let mut budget = work.bytes.len().saturating_mul(WALKED_PER_FILE_BYTE);
    let rows = metadata.row_places(METHOD_DEF);
    let all_but_the_last = rows.len().saturating_sub(1);
    for row in rows.take(all_but_the_last) {
        let Some(body) = body(work, row) else { continue };
        budget = budget.checked_sub(body.code_bytes).ok_or_else(|| too_much("its methods"))?;
        let end = body.end();
        let mut at = body.code;
        while at < end {
            let Some(next) = instruction(work, map, at, end) else { break };
            at = next;
        }
    }
    Ok(())
}

/// What follows an opcode.
enum Operand {
    Bytes(usize),
    Token,
    Switch,
}

fn operand_of(opcode: u8) -> Operand {
    match opcode {
        0x0E..=0x13 | 0x1F | 0x2B..=0x37 | 0xDE => Operand::Bytes(1),
        0x20 | 0x22 | 0x29 | 0x38..=0x44 | 0xDD => Operand::Bytes(4),
        0x21 | 0x23 => Operand::Bytes(8),
        0x45 => Operand::Switch,
        0x27
        | 0x28
        | 0x6F..=0x75
        | 0x79
        | 0x7B..=0x81
        | 0x8C
        | 0x8D
        | 0x8F
        | 0xA3..=0xA5
        | 0xC2
        | 0xC6
        | 0xD0 => Operand::Token,
        _ => Operand::Bytes(0),
    }
}

/// The operand of an opcode behind 0xFE.
fn operand_of_second(opcode: u8) -> Operand {
    match opcode {
        0x09..=0x0E => Operand::Bytes(2),
        0x12 => Operand::Bytes(1),
        0x06 | 0x07 | 0x15 | 0x16 | 0x1C => Operand::Token,
        _ => Operand::Bytes(0),
    }
}

/// Goes over the instruction at `at`; none when it would cross the end of the body.
fn instruction(work: &mut Work<'_>, map: &Map, at: usize, end: usize) -> Option<usize> {
    let byte = |at: usize| work.bytes.get(at).copied().filter(|_| at < end);
    let opcode = byte(at)?;
    let (operand, at) = if opcode == 0xFE {
        (operand_of_second(byte(at + 1)?), at + 2)
    } else {
        (operand_of(opcode), at + 1)
    };
    let bytes = match operand {
        Operand::Bytes(bytes) => bytes,
        Operand::Token => 4,
        Operand::Switch => {
            let count = work.u32(at).filter(|_| at + 4 <= end)? as usize;
            count.checked_mul(4)?.checked_add(4)?
        }
    };
    let next = at.checked_add(bytes).filter(|&next| next <= end)?;
    if let Operand::Token = operand {
        let token = work.u32(at)?;
        work.put_u32(at, map.token(token));
    }
    Some(next)
}

/// Marks method bodies with their sections, so that the i386 passes take none of their bytes for jumps.
///
/// # Errors
/// As [`tokens`].
pub(super) fn mark_bodies(work: &mut Work<'_>, metadata: &Metadata) -> Result<()> {
    let mut budget = work.bytes.len().saturating_mul(WALKED_PER_FILE_BYTE);
    for row in metadata.row_places(METHOD_DEF) {
        let Some(body) = body(work, row) else { continue };
        let end = if body.has_sections { sections_end(work, body.end()) } else { body.end() };
        let length = end - body.start;
        budget = budget.checked_sub(length).ok_or_else(|| too_much("its methods"))?;
        work.mark(body.start, length);
    }
    Ok(())
}

/// Where the sections behind a body end (ECMA-335 II.25.4.5).
fn sections_end(work: &Work<'_>, code_end: usize) -> usize {
    const FAT: u8 = 0x40;
    const MORE: u8 = 0x80;
    let mut end = code_end;
    loop {
        let at = end.next_multiple_of(4);
        let Some(header) = work.u32(at) else { return end };
        let [kind, small, ..] = header.to_le_bytes();
        let bytes = if kind & FAT != 0 { header >> 8 } else { u32::from(small) } as usize;
        let next = at.saturating_add(bytes);
        if bytes < 4 || next > work.bytes.len() {
            return end;
        }
        end = next;
        if kind & MORE == 0 {
            return end;
        }
    }
}
