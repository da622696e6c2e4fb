//! Text of UDF: OSTA compressed Unicode (CS0), fixed fields of it (dstrings), and timestamps.
//!
//! OSTA UDF 2.1.1 to 2.1.3 and ECMA-167 1/7.3. Names may hold unpaired surrogates, which stay as they are; what a name may not
//! hold is the business of directories.

use crate::base::FileTime;
use crate::base::calendar::WallClock;

/// The units of compressed Unicode: one byte each behind 8, big-endian pairs behind 16; none for any other first byte and for
/// half a pair.
pub(super) fn compressed_unicode(bytes: &[u8]) -> Option<Vec<u16>> {
    match bytes.split_first() {
        None => Some(Vec::new()),
        Some((8, units)) => Some(units.iter().map(|&byte| u16::from(byte)).collect()),
        Some((16, units)) => {
            let (pairs, rest) = units.as_chunks::<2>();
            rest.is_empty().then(|| pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect())
        }
        Some(_) => None,
    }
}

/// The text of a fixed field, whose last byte has the number of bytes used; for people, so what cannot be read is empty.
pub(super) fn dstring(field: &[u8]) -> String {
    let Some((&used, bytes)) = field.split_last() else { return String::new() };
    let units = bytes.get(..usize::from(used)).and_then(compressed_unicode).unwrap_or_default();
    String::from_utf16_lossy(&units)
}

/// A timestamp of 12 bytes; none when its fields are no time. One that tells no zone is taken for UTC.
pub(super) fn timestamp(bytes: [u8; 12]) -> Option<FileTime> {
    const NO_ZONE: i64 = -2047;
    let [zone0, zone1, year0, year1, month, day, hour, minute, second, centi, hundreds, micros] = bytes;
    let zone = u16::from_le_bytes([zone0, zone1]);
    // Twelve bits with a sign.
    let offset = (i64::from(zone & 0xFFF) ^ 0x800) - 0x800;
    let is_local = zone >> 12 == 1 && offset != NO_ZONE;
    let fraction = u32::from(centi) * 10_000 + u32::from(hundreds) * 100 + u32::from(micros);
    let clock = WallClock {
        year: i64::from(i16::from_le_bytes([year0, year1])),
        month,
        day,
        hour,
        minute,
        second,
        nanoseconds: fraction.min(999_999) * 1000,
        minutes_east: if is_local { offset } else { 0 },
    };
    clock.to_file_time()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_unicode_has_two_widths() {
        assert_eq!(compressed_unicode(b"\x08a\xE9"), Some(vec![0x61, 0xE9]));
        assert_eq!(compressed_unicode(b"\x10\x00a\xD8\x3D"), Some(vec![0x61, 0xD83D]));
        assert_eq!(compressed_unicode(b""), Some(Vec::new()));
        assert_eq!(compressed_unicode(b"\x10a"), None);
        assert_eq!(compressed_unicode(b"\xFEx"), None);
    }

    #[test]
    fn dstrings_tell_their_length_at_the_end() {
        assert_eq!(dstring(b"\x08AB\0\0\0\x03"), "AB");
        assert_eq!(dstring(&[0; 32]), "");
        assert_eq!(dstring(b"\x08A\xFF"), "");
    }

    #[test]
    fn timestamps_count_minutes_from_utc() {
        let at = |zone: u16| {
            let [low, high] = zone.to_le_bytes();
            timestamp([low, high, 0xB2, 0x07, 1, 1, 2, 0, 0, 0, 0, 0])
        };
        assert_eq!(at(0x1000 | 120), Some(FileTime::from_unix(0, 0)));
        assert_eq!(at(0x1000 | (0x1000 - 60)), Some(FileTime::from_unix(3 * 3600, 0)));
        assert_eq!(at(0x1801), Some(FileTime::from_unix(2 * 3600, 0)));
        assert_eq!(timestamp([0; 12]), None);
    }
}
