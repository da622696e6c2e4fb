//! The translation of x86 calls, undone in the target of a delta that asks for it.
//!
//! It is LZX's (codecs A3.6) over the whole target, with the target's length as its translation size; only for programs
//! that have i386 code, which [`Layout`](super::pe_transforms::Layout) tells.

/// The last bytes of a target, which are never translated.
const UNTOUCHED_BYTES: usize = 10;

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
