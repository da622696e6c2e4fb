//! The base block: the first 4096 bytes of a hive, and of each of its logs (there only 512).
//!
//! Layout and checksum follow the published regf specification. Fields that servicing has no use for (GUIDs of the
//! transaction manager, offline-library marks) are neither parsed nor ever changed.

use super::cell::{le_u32, le_u64, put_u32, put_u64};
use crate::base::{Error, FileTime, Result};

/// Size of the base block of a hive; hive offsets count from its end.
pub(super) const BASE_BLOCK_BYTES: usize = 4096;
/// Bytes that the checksum covers, and after which it stands.
pub(super) const CHECKSUM_AT: usize = 508;

const SIGNATURE: &[u8] = b"regf";
/// Flag: the transaction manager has transactions pending that no log replay brings in.
const FLAG_TRANSACTIONS_PENDING: u32 = 1;

/// Format version 1.x; decides which records may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HiveVersion {
    /// 1.3: fast leaves, no big data. BCD stores, SAM, many user hives.
    V1_3,
    /// 1.4: as 1.3, with big data records; rare.
    V1_4,
    /// 1.5: hash leaves and big data. SYSTEM, SOFTWARE and most others since Windows XP.
    V1_5,
    /// 1.6: as 1.5, with layered keys of containers.
    V1_6,
}

impl HiveVersion {
    /// The version with this minor number.
    #[must_use]
    pub fn from_minor(minor: u32) -> Option<Self> {
        match minor {
            3 => Some(Self::V1_3),
            4 => Some(Self::V1_4),
            5 => Some(Self::V1_5),
            6 => Some(Self::V1_6),
            _ => None,
        }
    }

    /// The minor number.
    #[must_use]
    pub fn minor(self) -> u32 {
        match self {
            Self::V1_3 => 3,
            Self::V1_4 => 4,
            Self::V1_5 => 5,
            Self::V1_6 => 6,
        }
    }

    /// Whether values above 16,344 bytes are stored in segments.
    #[must_use]
    pub fn has_big_data(self) -> bool {
        self > Self::V1_3
    }

    /// Whether new subkey lists are hash leaves.
    #[must_use]
    pub fn has_hash_leaves(self) -> bool {
        self >= Self::V1_5
    }
}

/// What kind of file a base block says it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileType {
    /// The hive itself.
    Primary,
    /// A log of Windows 8 and earlier: a bitmap of dirty pages.
    OldLog,
    /// A log of Windows 8.1 and later: entries with hashes.
    NewLog,
}

/// The fields of a base block that the rest of this room works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseBlock {
    /// Raised at the start of a write.
    pub primary_sequence: u32,
    /// Raised to the same number when the write is complete; different means dirty.
    pub secondary_sequence: u32,
    /// Last write; not kept up by Windows 8.1 and later.
    pub last_written: FileTime,
    /// Format version.
    pub version: HiveVersion,
    /// Hive offset of the root key.
    pub root: u32,
    /// Bytes of all bins; a multiple of 4096.
    pub bins_bytes: u32,
    /// File name inside, informational: the last 31 characters of the path it was loaded from.
    pub file_name: String,
    /// Whether the transaction manager has transactions pending.
    pub transactions_pending: bool,
}

impl BaseBlock {
    /// Parses the base block of a primary file.
    ///
    /// The sequence numbers and the checksum are not judged here: see [`Self::is_clean`] and `checksum_is_right`.
    ///
    /// # Errors
    /// `Format` when it is not one, `Unsupported` for versions other than 1.3 to 1.6.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < BASE_BLOCK_BYTES {
            return Err(bad("size", 0, format!("{} bytes, smaller than a base block", bytes.len())));
        }
        let block = Self::parse_sector(bytes)?;
        if file_type(bytes) != Some(FileType::Primary) {
            return Err(bad("type", 28, format!("{}, not that of a hive (0)", le_u32(bytes, 28))));
        }
        Ok(block)
    }

    /// Parses the first 512 bytes, which logs have too.
    pub(super) fn parse_sector(bytes: &[u8]) -> Result<Self> {
        if bytes.get(..4) != Some(SIGNATURE) {
            return Err(bad("signature", 0, "not \"regf\": this is no registry hive".to_owned()));
        }
        let (major, minor) = (le_u32(bytes, 20), le_u32(bytes, 24));
        let version = (major == 1).then(|| HiveVersion::from_minor(minor)).flatten().ok_or_else(|| {
            Error::unsupported(format!("hive version {major}.{minor}; 1.3 to 1.6 are supported"))
        })?;
        if le_u32(bytes, 32) != 1 {
            return Err(bad("format", 32, format!("{}, not 1 (memory load)", le_u32(bytes, 32))));
        }
        let bins_bytes = le_u32(bytes, 40);
        if !bins_bytes.is_multiple_of(4096) || bins_bytes == 0 || bins_bytes > MAX_BINS_BYTES {
            return Err(bad(
                "bins size",
                40,
                format!("{bins_bytes} bytes, not a multiple of 4096 between 4096 and 2 GiB"),
            ));
        }
        Ok(Self {
            primary_sequence: le_u32(bytes, 4),
            secondary_sequence: le_u32(bytes, 8),
            last_written: FileTime(le_u64(bytes, 12)),
            version,
            root: le_u32(bytes, 36),
            bins_bytes,
            file_name: file_name(bytes),
            transactions_pending: le_u32(bytes, 144) & FLAG_TRANSACTIONS_PENDING != 0,
        })
    }

    /// True when the last write was completed; otherwise the logs must be replayed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.primary_sequence == self.secondary_sequence
    }
}

/// Offset bit 31 marks volatile cells, so the stable bins end below it.
pub(super) const MAX_BINS_BYTES: u32 = 0x7FFF_F000;

fn bad(field: &'static str, at: u64, message: String) -> Error {
    Error::format("base block", field, at, message)
}

fn file_name(bytes: &[u8]) -> String {
    let (units, _) = bytes.get(48..112).unwrap_or(&[]).as_chunks::<2>();
    let units: Vec<u16> =
        units.iter().map(|&unit| u16::from_le_bytes(unit)).take_while(|&unit| unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// What kind of file the base block in these bytes belongs to.
pub(super) fn file_type(bytes: &[u8]) -> Option<FileType> {
    match le_u32(bytes, 28) {
        0 => Some(FileType::Primary),
        1 | 2 => Some(FileType::OldLog),
        6 => Some(FileType::NewLog),
        _ => None,
    }
}

/// XOR of the first 127 dwords; the results 0 and all-ones are never stored.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let (dwords, _) = bytes.get(..CHECKSUM_AT).unwrap_or(&[]).as_chunks::<4>();
    match dwords.iter().fold(0, |sum, &dword| sum ^ u32::from_le_bytes(dword)) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    }
}

/// Whether the stored checksum is that of the bytes before it.
pub(super) fn checksum_is_right(bytes: &[u8]) -> bool {
    le_u32(bytes, CHECKSUM_AT) == checksum(bytes)
}

/// What a finished write puts into the base block.
pub(super) struct Finish {
    /// Both sequence numbers.
    pub(super) sequence: u32,
    /// Last write; none leaves it.
    pub(super) last_written: Option<FileTime>,
    /// Bytes of all bins.
    pub(super) bins_bytes: u32,
}

/// Writes the fields of a finished write and the checksum.
pub(super) fn finish(bytes: &mut [u8], finish: &Finish) {
    put_u32(bytes, 4, finish.sequence);
    put_u32(bytes, 8, finish.sequence);
    if let Some(time) = finish.last_written {
        put_u64(bytes, 12, time.0);
    }
    put_u32(bytes, 28, 0);
    put_u32(bytes, 40, finish.bins_bytes);
    let flags = le_u32(bytes, 144) & !FLAG_TRANSACTIONS_PENDING;
    put_u32(bytes, 144, flags);
    let sum = checksum(bytes);
    put_u32(bytes, CHECKSUM_AT, sum);
}

/// A base block for a new hive with one bin.
pub(super) fn create(version: HiveVersion, root: u32, time: FileTime, file_name: &str) -> Vec<u8> {
    let mut bytes = vec![0; BASE_BLOCK_BYTES];
    bytes.splice(..4, SIGNATURE.iter().copied());
    put_u32(&mut bytes, 20, 1);
    put_u32(&mut bytes, 24, version.minor());
    put_u32(&mut bytes, 32, 1);
    put_u32(&mut bytes, 36, root);
    put_u32(&mut bytes, 44, 1);
    // 31 units at most, so that a terminator remains; the end of a path says more than its start.
    let units: Vec<u16> = file_name.encode_utf16().collect();
    let tail = units.get(units.len().saturating_sub(31)..).unwrap_or(&[]);
    for (slot, unit) in bytes.iter_mut().skip(48).zip(tail.iter().flat_map(|unit| unit.to_le_bytes())) {
        *slot = unit;
    }
    finish(&mut bytes, &Finish { sequence: 1, last_written: Some(time), bins_bytes: 4096 });
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_block_parses_and_its_checksum_holds() {
        let bytes = create(HiveVersion::V1_5, 0x20, FileTime(7), "\\SystemRoot\\System32\\Config\\SOFTWARE");
        let block = BaseBlock::parse(&bytes).unwrap();
        assert!(block.is_clean() && checksum_is_right(&bytes));
        assert_eq!((block.version, block.root, block.last_written), (HiveVersion::V1_5, 0x20, FileTime(7)));
        assert_eq!(block.file_name, "emRoot\\System32\\Config\\SOFTWARE");
    }

    #[test]
    fn checksums_of_zero_and_all_ones_are_avoided() {
        assert_eq!(checksum(&[0; 512]), 1);
        let mut bytes = [0; 512];
        bytes[..4].fill(0xFF);
        assert_eq!(checksum(&bytes), 0xFFFF_FFFE);
    }

    #[test]
    fn foreign_files_are_named_as_such() {
        assert!(BaseBlock::parse(b"MZ").unwrap_err().to_string().contains("smaller than a base block"));
        let mut bytes = create(HiveVersion::V1_3, 0x20, FileTime(0), "");
        put_u32(&mut bytes, 24, 1);
        assert!(BaseBlock::parse(&bytes).unwrap_err().to_string().contains("version 1.1"));
        put_u32(&mut bytes, 24, 3);
        put_u32(&mut bytes, 40, 4095);
        assert!(BaseBlock::parse(&bytes).unwrap_err().to_string().contains("bins size"));
    }
}
