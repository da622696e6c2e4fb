//! The digest by which signatures and catalogs know a program: its bytes without what a signature changes.
//!
//! Microsoft's "Windows Authenticode Portable Executable Signature Format" describes it. Checksum, the directory entry of the
//! certificate table and the table itself are left out, the table only where nothing of it is mapped when the program runs. Nothing is
//! digested here.

use std::ops::Range;

use super::PeFile;

/// Signers pad what they digest to whole blocks of this size.
const PADDING: u64 = 8;

/// What of a program is digested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBytes {
    /// Ranges of the file, in order and apart from each other.
    pub ranges: Vec<Range<u64>>,
    /// Zeros that are digested behind them.
    pub padding_bytes: u64,
}

impl PeFile<'_> {
    /// The parts that are digested of this file, which has `file_bytes` bytes; its headers are enough to tell. None when the headers
    /// lie about where the parts are, or when a certificate table lies among what runs: signers put it at the end of the file, and
    /// whatever it covers would escape every digest.
    #[must_use]
    pub fn signed_bytes(&self, file_bytes: u64) -> Option<SignedBytes> {
        let checksum = self.checksum_offset() as u64;
        let (table, size) = self.certificate_table().unwrap_or((0, 0));
        let (table, size) = (u64::from(table), u64::from(size));
        let is_at_end = (table + size).next_multiple_of(PADDING) == file_bytes.next_multiple_of(PADDING);
        if size != 0 && (table < self.mapped_end() || !is_at_end) {
            return None;
        }
        let end = if size == 0 { file_bytes } else { table.min(file_bytes) };
        let mut ranges = match self.certificate_directory_offset() {
            Some(entry) => vec![0..checksum, checksum + 4..entry as u64, entry as u64 + 8..end],
            None => vec![0..checksum, checksum + 4..end],
        };
        if ranges.iter().any(|range| range.start > range.end || range.end > file_bytes) {
            return None;
        }
        let mut padding_bytes = 0;
        if size == 0 {
            padding_bytes = file_bytes.next_multiple_of(PADDING) - file_bytes;
        } else {
            ranges.push((table + size).min(file_bytes)..file_bytes);
        }
        Some(SignedBytes { ranges, padding_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::program;
    use super::*;

    #[test]
    fn checksum_and_certificates_are_left_out() {
        let mut bytes = program(0x8664, [1, 2, 3, 4]);
        let (checksum, directory) = (0x98 + 64, 0x98 + 96 + 32);
        let of = |bytes: &[u8], size: u64| PeFile::parse(bytes).unwrap().signed_bytes(size);
        let plain = of(&bytes, 0x403).unwrap();
        assert_eq!(plain.ranges, [0..checksum, checksum + 4..directory, directory + 8..0x403]);
        assert_eq!(plain.padding_bytes, 5);
        let at = usize::try_from(directory).unwrap();
        bytes[at..at + 4].copy_from_slice(&0x400_u32.to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&0x10_u32.to_le_bytes());
        let signed = of(&bytes, 0x410).unwrap();
        assert_eq!(signed.ranges[2..], [directory + 8..0x400, 0x410..0x410]);
        assert_eq!(signed.padding_bytes, 0);
        // Its last block may be padded, with or without the table's saying so.
        bytes[at + 4] = 0x0D;
        assert_eq!(of(&bytes, 0x410).unwrap().ranges[3], 0x40D..0x410);
        bytes[at + 4] = 0x10;
        assert_eq!(of(&bytes, 0x40D).unwrap().ranges[3], 0x40D..0x40D);
        // A table that is said to lie before its own entry.
        bytes[at + 1] = 0;
        assert_eq!(of(&bytes, 0x410), None);
    }

    #[test]
    fn what_runs_is_never_left_out() {
        let plain = program(0x8664, [1, 2, 3, 4]);
        let with_table = |offset: u32, size: u32| {
            let mut bytes = plain.clone();
            let at = 0x98 + 96 + 32;
            bytes[at..at + 4].copy_from_slice(&offset.to_le_bytes());
            bytes[at + 4..at + 8].copy_from_slice(&size.to_le_bytes());
            bytes
        };
        let of = |bytes: &[u8], size: u64| PeFile::parse(bytes).unwrap().signed_bytes(size);
        assert!(of(&with_table(0x400, 0x20), 0x420).is_some());
        // In the one section, which fills 0x200 to 0x400; across its end; not up to the end of the file, and behind it.
        for (offset, size) in [(0x200, 0x20), (0x200, 0x220), (0x3F8, 0x28), (0x400, 0x18), (0x400, 0x28)] {
            assert_eq!(of(&with_table(offset, size), 0x420), None, "{offset:#x} {size:#x}");
        }
        // In what the headers say to be theirs.
        let mut bytes = with_table(0x400, 0x20);
        bytes[0x98 + 60..0x98 + 64].copy_from_slice(&0x408_u32.to_le_bytes());
        assert_eq!(of(&bytes, 0x420), None);
    }
}
