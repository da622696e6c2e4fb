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

/// The signatures in `table`, the certificate table of a program: the PKCS #7 data of each entry, in order. An entry that lies about
/// its length is the last.
#[must_use]
pub fn signatures_in(mut table: &[u8]) -> Vec<&[u8]> {
    /// Length, revision and type of an entry.
    const HEADER_BYTES: usize = 8;
    /// WIN_CERT_TYPE_PKCS_SIGNED_DATA.
    const SIGNED_DATA: [u8; 2] = 2_u16.to_le_bytes();
    const MOST: usize = 16;
    let mut found = Vec::new();
    while let Some((length, rest)) = table.split_first_chunk::<4>()
        && found.len() < MOST
    {
        let length = u32::from_le_bytes(*length) as usize;
        let Some(data) = table.get(HEADER_BYTES..length) else { break };
        if rest.get(2..4) == Some(&SIGNED_DATA) {
            found.push(data);
        }
        table = length.checked_next_multiple_of(8).and_then(|next| table.get(next..)).unwrap_or(&[]);
    }
    found
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
    fn signatures_are_listed_as_far_as_they_are_there() {
        let entry = |kind: u16, data: &[u8]| {
            let length = u32::try_from(8 + data.len()).unwrap();
            let mut entry = [&length.to_le_bytes()[..], &[0, 2], &kind.to_le_bytes(), data].concat();
            entry.resize(entry.len().next_multiple_of(8), 0);
            entry
        };
        let table = [entry(2, b"one"), entry(1, b"no"), entry(2, b"two four")].concat();
        assert_eq!(signatures_in(&table), [&b"one"[..], b"two four"]);
        // Lengths of nothing, of less than a header, and beyond the table.
        for length in [0_u32, 7, 0x1000, u32::MAX] {
            let mut lying = table.clone();
            lying[16..20].copy_from_slice(&length.to_le_bytes());
            assert_eq!(signatures_in(&lying), [b"one"], "{length}");
        }
        for end in 0..16 {
            assert_eq!(signatures_in(&table[..end]).len(), usize::from(end > 10), "{end}");
        }
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
