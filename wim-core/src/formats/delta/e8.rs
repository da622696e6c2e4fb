//! The translation of x86 calls, undone in the target of a delta that asks for it.
//!
//! It is LZX's (codecs A3.6) over the whole target, with the target's length as its translation size; only for programs
//! that have i386 code. Deciding that is done here, since nothing else of the target is ever looked at.

/// The last bytes of a target, which are never translated.
const UNTOUCHED_BYTES: usize = 10;
const MACHINE_I386: u16 = 0x14C;
const PE32: u16 = 0x10B;
/// Flag of the CLR header: the image has no native code.
const IL_ONLY: u8 = 1;

/// Turns absolute call targets back into relative ones.
pub(super) fn undo(target: &mut [u8]) {
    let size = i64::try_from(target.len()).unwrap_or(i64::MAX);
    let end = target.len().saturating_sub(UNTOUCHED_BYTES);
    let mut at = 0;
    while let Some(found) = target.get(at..end).and_then(|rest| rest.iter().position(|&byte| byte == 0xE8)) {
        at += found;
        let Some(operand) = target.get_mut(at + 1..).and_then(|rest| rest.first_chunk_mut::<4>()) else {
            break;
        };
        let position = i64::try_from(at).unwrap_or(i64::MAX);
        let value = i64::from(i32::from_le_bytes(*operand));
        if (-position..size).contains(&value) {
            let relative = if value >= 0 { value - position } else { value + size };
            // Targets are below 2 GiB wherever a 32-bit value can stand for a place in them.
            if let Ok(relative) = i32::try_from(relative) {
                *operand = relative.to_le_bytes();
            }
        }
        at += 5;
    }
}

/// True for a PE32 file for i386 that has native code.
pub(super) fn is_i386_program(bytes: &[u8]) -> bool {
    let u16_at = |at: usize| bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b));
    let u32_at = |at: usize| bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b) as usize);
    let find = || {
        let pe = u32_at(0x3C)?;
        let is_pe = bytes.starts_with(b"MZ") && bytes.get(pe..)?.starts_with(b"PE\0\0");
        (is_pe && u16_at(pe + 4)? == MACHINE_I386 && u16_at(pe + 24)? == PE32).then_some(pe)
    };
    let clr_flags = |pe: usize| {
        let clr = u32_at(pe + 24 + 96 + 14 * 8).filter(|&rva| rva != 0 && u32_at(pe + 24 + 92) > Some(14))?;
        let sections = pe + 24 + usize::from(u16_at(pe + 20)?);
        let count = usize::from(u16_at(pe + 6)?);
        (0..count).find_map(|number| {
            let section = sections + 40 * number;
            let (address, raw) = (u32_at(section + 12)?, u32_at(section + 20)?);
            let size = u32_at(section + 8)?.max(u32_at(section + 16)?);
            let inside = clr.checked_sub(address).filter(|&inside| inside < size)?;
            bytes.get(raw.checked_add(inside)?.checked_add(16)?).copied()
        })
    };
    find().is_some_and(|pe| clr_flags(pe).is_none_or(|flags| flags & IL_ONLY == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of LZX's translation: calls at 10, 20, 30 … of which those in the last 10 bytes stay.
    #[test]
    fn calls_become_relative_and_the_tail_stays() {
        let mut bytes = vec![0x90; 64];
        for (at, value) in [(10, 10_i32), (20, 200), (30, -1), (53, 60), (54, 1)] {
            bytes[at] = 0xE8;
            bytes[at + 1..at + 5].copy_from_slice(&value.to_le_bytes());
        }
        bytes[54] = 0xE8;
        let before = bytes.clone();
        undo(&mut bytes);
        let operand = |at: usize| i32::from_le_bytes(bytes[at + 1..at + 5].try_into().unwrap());
        assert_eq!((operand(10), operand(20), operand(30)), (0, 200, 63));
        assert_eq!(bytes[54..], before[54..]);
        let mut short = [0xE8; 10];
        undo(&mut short);
        assert_eq!(short, [0xE8; 10]);
    }
}
