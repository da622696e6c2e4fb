//! Code of amd64 images: operands relative to the instruction pointer, and the exception directory (flags 0x200, 0x400).
//!
//! The instruction decoder is Windows' own, deliberately crude: it calls many valid opcodes unknown and must do so, since
//! deltas were made with it. Its tables are data of the format (delta.md 5.12); nothing here is fit to disassemble with.

use super::image::Directory;
use super::{Work, too_much};
use crate::base::Result;

/// A record of the exception directory: begin, end, unwind data.
const RECORD_BYTES: usize = 12;
/// Longest instruction.
const WINDOW_BYTES: usize = 15;
/// Code bytes that may be walked, as a multiple of the file: functions may be listed more than once, but not for ever.
const WALKED_PER_FILE_BYTE: usize = 16;

/// Whether an opcode has a ModRM byte or what else comes first, one digit each.
const OPERAND: [&[u8; 256]; 2] = [
    b"2222001122220011222200112222001122220011222200112222001122220011\
      1111111111111111000000000000000011121111020200004444444444444444\
      2212222222222222000000000010001133330000000000000000000000000000\
      2200112200000010222211102222222244440000551400000000002200000022",
    b"2222000000101202222222222111111122221111222222220000111111111111\
      2222222222222222222222222222222222222222222222222222222011111122\
      5555555555555555222222222222222200022211000222222222222212222222\
      2222222200000000122222222222222222222222222222221222222222222221",
];
/// The immediate operand of an opcode, one digit each.
const IMMEDIATE: [&[u8; 256]; 2] = [
    b"0000150000001500000015000000150000001500000015000000150000001500\
      0000000000000000000000000000000000000000551100000000000000000000\
      1511000000000000000000000000000000000000150000001111111144444444\
      1120001530200100000000000000000000001111000000000000006700000000",
    b"0000000000000001000000000000000000000000000000000000000000000000\
      0000000000000000000000000000000000000000000000001111000000000000\
      0000000000000000000000000000000000001000000010000000000000100000\
      0010111000000000000000000000000000000000000000000000000000000000",
];

/// Length of an instruction and the place in it of a relative operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    length: usize,
    operand: Option<usize>,
}

/// What is known of an instruction while its bytes are read.
struct Decoder<'a> {
    window: &'a [u8],
    length: usize,
    operand: Option<usize>,
}

impl Decoder<'_> {
    fn next(&self) -> Option<u8> {
        self.window.get(self.length).copied()
    }

    /// Goes over `bytes`; none, without moving, when the window ends before.
    fn advance(&mut self, bytes: usize) -> Option<()> {
        let length = self.length + bytes;
        (length <= self.window.len()).then(|| self.length = length)
    }

    /// Goes over a relative operand.
    fn relative(&mut self) -> Option<()> {
        let at = self.length;
        self.advance(4)?;
        self.operand = Some(at);
        Some(())
    }

    /// A ModRM byte and what hangs on it; gives the byte.
    fn mod_rm(&mut self) -> Option<u8> {
        let mod_rm = self.next()?;
        self.advance(1)?;
        let (mode, rm) = (mod_rm >> 6, mod_rm & 7);
        match (mode, rm) {
            (3, _) => {}
            (_, 4) => {
                let base = self.next()? & 7;
                self.advance(1)?;
                match mode {
                    1 => self.advance(1)?,
                    2 => self.advance(4)?,
                    _ if base == 5 => self.advance(4)?,
                    _ => {}
                }
            }
            (0, 5) => self.relative()?,
            (0, _) => {}
            (1, _) => self.advance(1)?,
            _ => self.advance(4)?,
        }
        Some(mod_rm)
    }

    /// Reads the instruction as far as it is known and fits; none when it stops early.
    fn read(&mut self) -> Option<()> {
        let (mut is_16_bit, mut has_short_address, mut is_wide) = (false, false, false);
        while let Some(prefix) = self.next() {
            match prefix {
                0x66 => is_16_bit = true,
                0x67 => has_short_address = true,
                0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 => {}
                _ => break,
            }
            self.advance(1)?;
        }
        if self.next()? & 0xF0 == 0x40 {
            is_wide = self.next()? & 8 != 0;
            self.advance(1)?;
            if self.next()? & 0xF0 == 0x40 {
                return None;
            }
        }
        let is_second_map = self.next()? == 0x0F;
        if is_second_map {
            self.advance(1)?;
        }
        let opcode = usize::from(self.next()?);
        self.advance(1)?;
        let digit = |tables: &[&[u8; 256]; 2]| {
            tables
                .get(usize::from(is_second_map))
                .and_then(|table| table.get(opcode))
                .map(|digit| digit - b'0')
        };
        let mut register = 0;
        match digit(&OPERAND)? {
            0 => {}
            1 => return None,
            2 => register = self.mod_rm()? >> 3 & 7,
            3 => self.advance(if has_short_address { 4 } else { 8 })?,
            4 => self.advance(1)?,
            _ => self.relative()?,
        }
        let word = if is_16_bit { 2 } else { 4 };
        self.advance(match digit(&IMMEDIATE)? {
            1 => 1,
            2 | 5 => word,
            4 if is_wide => 8,
            4 => word,
            6 if register < 2 => 1,
            7 if register < 2 => word,
            _ => 0,
        })
    }
}

/// Reads one instruction; at least one byte long unless the window is empty.
fn decode(window: &[u8]) -> Instruction {
    let mut decoder = Decoder { window, length: 0, operand: None };
    let operand = decoder.read().and(decoder.operand);
    Instruction { length: decoder.length, operand }
}

/// Moves relative operands in the functions of the exception directory.
///
/// # Errors
/// `Limit` when functions overlap so that far more code is listed than the file holds.
pub(super) fn operands(work: &mut Work<'_>) -> Result<()> {
    let Some((table, size)) = work.layout.directory_in_file(Directory::Exception) else { return Ok(()) };
    let mut budget = work.bytes.len().saturating_mul(WALKED_PER_FILE_BYTE);
    for number in 0..size / RECORD_BYTES {
        let at = table + RECORD_BYTES * number;
        let Some((begin, end)) = work.u32(at).zip(work.u32(at + 4)) else { break };
        if begin == 0 || end <= begin {
            continue;
        }
        let Some(mut place) = work.layout.file_offset(begin) else { continue };
        let mut rva = begin;
        while rva < end {
            let window = WINDOW_BYTES.min((end - rva) as usize);
            let rest = work.bytes.get(place..).unwrap_or(&[]);
            let found = decode(rest.get(..window).unwrap_or(rest));
            if found.length == 0 {
                break;
            }
            budget = budget.checked_sub(found.length).ok_or_else(|| too_much("its functions"))?;
            let next = rva.saturating_add(u32::try_from(found.length).unwrap_or(u32::MAX));
            if let Some(operand) = found.operand
                && let Some(value) = work.u32(place + operand)
            {
                let next = i64::from(next);
                let goal = next + i64::from(value.cast_signed());
                let moved = work.rift.map(goal).wrapping_sub(work.rift.map(next));
                work.put_u32(place + operand, super::low32(moved));
            }
            place += found.length;
            rva = next;
        }
    }
    Ok(())
}

/// Moves the records of the exception directory, and in the unwind data the handler or the function that is continued.
pub(super) fn exception_directory(work: &mut Work<'_>) {
    /// Unwind flags EHANDLER, UHANDLER and CHAININFO, which say that an address follows.
    const HAS_ADDRESS: u8 = 0x38;
    let Some((table, size)) = work.layout.directory_in_file(Directory::Exception) else { return };
    let own_range = table..=table.saturating_add(size);
    for number in 0..size / RECORD_BYTES {
        let at = table + RECORD_BYTES * number;
        if at + RECORD_BYTES > work.bytes.len() {
            break;
        }
        let unwind = work.u32(at + 8).unwrap_or(0);
        let unwind_at = match unwind {
            0 => None,
            rva if rva < work.layout.first_rva => Some(rva as usize),
            rva => work.layout.file_offset(rva),
        };
        if let Some(data) = unwind_at.filter(|data| !own_range.contains(data)) {
            let (flags, codes) = (work.bytes.get(data), work.bytes.get(data.saturating_add(2)));
            if let (Some(flags), Some(&codes)) = (flags, codes)
                && flags & HAS_ADDRESS != 0
            {
                let slots = (usize::from(codes) + 1) >> 1;
                work.move_field(data + 4 + 4 * slots);
            }
        }
        [0, 4, 8].iter().for_each(|field| work.move_field(at + field));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_the_published_ones() {
        use sha2::Digest as _;
        let digits: Vec<u8> =
            [OPERAND[0], IMMEDIATE[0], OPERAND[1], IMMEDIATE[1]].into_iter().flatten().copied().collect();
        let digest = crate::base::Digest::Sha256(sha2::Sha256::digest(&digits).into());
        assert_eq!(digest.to_string(), "4d5272b59f34062f4314a03aae3e9f5e012c6a44917f735c71015a881d07ede1");
    }

    #[test]
    fn instructions_are_as_long_as_the_native_decoder_says() {
        let cases: [(&[u8], usize, usize, Option<usize>); 12] = [
            (&[0xFF, 0x15], 4, 6, Some(2)),
            (&[0x48, 0x8D, 0x35], 4, 7, Some(3)),
            (&[0xC7, 0x05], 8, 10, Some(2)),
            (&[0xE8], 4, 5, Some(1)),
            (&[0x0F, 0x84], 4, 6, Some(2)),
            (&[0xEB, 0x00], 0, 2, None),
            (&[0x0F, 0x1F, 0x44, 0, 0], 0, 2, None),
            (&[0x40, 0x55], 0, 2, None),
            (&[0x48, 0xB8], 8, 10, None),
            (&[0x48, 0x89, 0x84, 0x24], 4, 8, None),
            (&[0x48, 0x81, 0xEC], 4, 7, None),
            (&[0x48, 0x33, 0xC4], 0, 3, None),
        ];
        for (bytes, more, length, operand) in cases {
            let mut window = bytes.to_vec();
            window.resize(bytes.len() + more, 0);
            assert_eq!(decode(&window), Instruction { length, operand }, "{bytes:02x?}");
            // A window that ends inside gives what fits and no operand.
            let cut = decode(&window[..window.len() - 1]);
            assert!(cut.length < length || operand.is_none(), "{bytes:02x?}");
            window.resize(15, 0xCC);
            assert_eq!(decode(&window), Instruction { length, operand }, "{bytes:02x?}");
        }
        assert_eq!(decode(&[0x48, 0x49, 0x8B]).length, 1);
        assert_eq!(decode(&[]).length, 0);
    }
}
