//! Transaction logs: what Windows wrote to `NAME.LOG1` and `NAME.LOG2` (or `NAME.LOG`) before it could write the hive.
//!
//! Both formats after the published regf specification: the old one holds a bitmap and pages of 512 bytes, the new one
//! (Windows 8.1 and later) entries with hashes and rising sequence numbers. Only a dirty hive is replayed; logs that do
//! not belong to it are refused with the reason.

use super::Hive;
use super::base_block::{self, BASE_BLOCK_BYTES, BaseBlock, FileType, Finish};
use super::cell::{Bins, le_u32, le_u64, put, put_u32};
use crate::base::{Error, Fields, Result};

/// Bytes of the base block that logs repeat.
const SECTOR_BYTES: usize = 512;
/// Bytes of a log entry before its references to pages.
const ENTRY_HEADER_BYTES: usize = 40;
/// Seed of the hashes of log entries.
const MARVIN_SEED: u64 = 0x82EF_4D88_7A4E_55C5;

impl Hive {
    /// Opens a hive that may be dirty, with the contents of its logs in any order; empty ones are ignored.
    ///
    /// A clean hive opens as it is. Nothing but the returned hive is changed; it counts as changed when logs were applied.
    ///
    /// # Errors
    /// As [`Hive::open`]; `Corrupt` when the hive is dirty and no log fits it, with the reason for each.
    pub fn recover(mut bytes: Vec<u8>, logs: &[&[u8]]) -> Result<Self> {
        let is_whole = base_block::checksum_is_right(&bytes) && bytes.len() >= BASE_BLOCK_BYTES;
        if is_whole && BaseBlock::parse(&bytes)?.is_clean() {
            return Self::open(bytes);
        }
        let primary = if is_whole { Some(BaseBlock::parse(&bytes)?) } else { None };
        let mut refused = Vec::new();
        let mut usable = Vec::new();
        for log in logs.iter().filter(|log| log.iter().any(|&byte| byte != 0)) {
            match parse_log(log) {
                Ok(log) => usable.push(log),
                Err(error) => refused.push(error.to_string()),
            }
        }
        let last = if usable.iter().any(|log| log.kind == FileType::NewLog) {
            usable.retain(|log| log.kind == FileType::NewLog);
            replay_new(&mut bytes, primary.as_ref(), usable, &mut refused)?
        } else {
            replay_old(&mut bytes, primary.as_ref(), &usable, &mut refused)?
        };
        let Some(sequence) = last else {
            let reason = if refused.is_empty() { "there is no log".to_owned() } else { refused.join("; ") };
            return Err(Error::corrupt(format!("the hive is dirty and cannot be recovered: {reason}"))
                .remedy(
                    "take the hive and its logs from one and the same moment, or the hive from a backup",
                ));
        };
        let bins_bytes = le_u32(&bytes, 40);
        let finish = Finish { sequence, last_written: None, bins_bytes };
        base_block::finish(&mut bytes, &finish);
        let base = BaseBlock::parse(&bytes)?;
        let bins = Bins::parse(bytes, base.bins_bytes)?;
        let mut hive = Self::from_bins(bins, base)?;
        hive.is_new = true;
        Ok(hive)
    }
}

/// A log whose own base block is sound.
struct Log<'a> {
    kind: FileType,
    bytes: &'a [u8],
    base: BaseBlock,
}

fn parse_log(bytes: &[u8]) -> Result<Log<'_>> {
    let sector = bytes
        .get(..SECTOR_BYTES)
        .ok_or_else(|| Error::format("log", "size", 0, format!("{} bytes are no log", bytes.len())))?;
    let base = BaseBlock::parse_sector(sector)?;
    if !base_block::checksum_is_right(sector) {
        return Err(Error::format("log", "checksum", 508, "the log's checksum is wrong"));
    }
    match base_block::file_type(sector) {
        Some(kind @ (FileType::OldLog | FileType::NewLog)) => Ok(Log { kind, bytes, base }),
        _ => Err(Error::format("log", "type", 28, format!("{}, not that of a log", le_u32(sector, 28)))),
    }
}

/// Applies old logs; the one that fits is the first whose time is the hive's. Returns the sequence number reached.
fn replay_old(
    bytes: &mut Vec<u8>,
    primary: Option<&BaseBlock>,
    logs: &[Log<'_>],
    refused: &mut Vec<String>,
) -> Result<Option<u32>> {
    for log in logs {
        // A torn base block may still have its time, and the first bin has a copy, perhaps of an earlier write.
        let log_time = log.base.last_written.0;
        let is_same_moment = match primary {
            Some(base) => base.last_written.0 == log_time,
            None => le_u64(bytes, 12) == log_time || le_u64(bytes, BASE_BLOCK_BYTES + 20) == log_time,
        };
        if !log.base.is_clean() {
            refused.push("the log was not completed".to_owned());
        } else if !is_same_moment {
            refused.push(
                "the log's last-written time is not the hive's: it belongs to another moment".to_owned(),
            );
        } else {
            match old_pages(log) {
                Err(error) => refused.push(error.to_string()),
                Ok(pages) => {
                    if primary.is_none() {
                        put_sector(bytes, log.bytes);
                    }
                    set_length(bytes, log.base.bins_bytes, log.bytes.len())?;
                    for (page, content) in pages {
                        put(bytes, BASE_BLOCK_BYTES + page * SECTOR_BYTES, content);
                    }
                    put_u32(bytes, 40, log.base.bins_bytes);
                    return Ok(Some(log.base.primary_sequence));
                }
            }
        }
    }
    Ok(None)
}

/// The dirty pages of an old log, by number.
fn old_pages<'a>(log: &Log<'a>) -> Result<Vec<(usize, &'a [u8])>> {
    let mut fields = Fields::new("log", log.bytes, 0);
    fields.skip("base block", SECTOR_BYTES)?;
    if fields.bytes("dirty vector signature", 4)? != b"DIRT" {
        return Err(fields.error_before("dirty vector signature", 4, "not \"DIRT\""));
    }
    let page_count = log.base.bins_bytes as usize / SECTOR_BYTES;
    let bitmap = fields.bytes("dirty vector", page_count.div_ceil(8))?;
    let used = fields.position().next_multiple_of(SECTOR_BYTES);
    fields.skip("padding", used - fields.position())?;
    let mut pages = Vec::new();
    for page in 0..page_count {
        if bitmap.get(page / 8).is_some_and(|byte| byte >> (page % 8) & 1 != 0) {
            pages.push((page, fields.bytes("dirty page", SECTOR_BYTES)?));
        }
    }
    Ok(pages)
}

/// Applies new logs in order of their sequence numbers. Returns the last sequence number applied.
fn replay_new(
    bytes: &mut Vec<u8>,
    primary: Option<&BaseBlock>,
    mut logs: Vec<Log<'_>>,
    refused: &mut Vec<String>,
) -> Result<Option<u32>> {
    logs.sort_by_key(|log| log.base.primary_sequence);
    let floor = match primary {
        Some(base) => base.secondary_sequence,
        None => {
            // A torn base block is replaced by that of the newer log, and the older one cannot be placed in time.
            logs.drain(..logs.len().saturating_sub(1));
            if let Some(log) = logs.first() {
                put_sector(bytes, log.bytes);
            }
            0
        }
    };
    let mut last: Option<u32> = None;
    'logs: for log in &logs {
        let mut at = SECTOR_BYTES;
        loop {
            let entry = match next_entry(log.bytes, at) {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) => {
                    refused.push(error.to_string());
                    break;
                }
            };
            at += entry.size;
            match last {
                None if entry.sequence < log.base.primary_sequence || entry.sequence < floor => {
                    refused.push(format!(
                        "log entry {} is older than the hive or the log ({floor}, {})",
                        entry.sequence, log.base.primary_sequence
                    ));
                    continue;
                }
                Some(last) if entry.sequence != last.wrapping_add(1) => {
                    // Remnants of an earlier round of the same log end it.
                    refused.push(format!("log entry {} does not follow {last}", entry.sequence));
                    if entry.sequence > last { break 'logs } else { break }
                }
                _ => {}
            }
            apply_entry(bytes, &entry, log.bytes.len())?;
            last = Some(entry.sequence);
        }
    }
    Ok(last)
}

/// One entry of a new log, its hashes verified.
struct LogEntry<'a> {
    size: usize,
    sequence: u32,
    bins_bytes: u32,
    /// Hive offset and content.
    pages: Vec<(u32, &'a [u8])>,
}

/// The entry at `at`; none at the end of the log.
fn next_entry(log: &[u8], at: usize) -> Result<Option<LogEntry<'_>>> {
    let Some(rest) = log.get(at..).filter(|rest| rest.starts_with(b"HvLE")) else { return Ok(None) };
    let mut fields = Fields::new("log entry", rest, at as u64);
    fields.skip("signature", 4)?;
    let size = fields.u32("size")? as usize;
    if size < ENTRY_HEADER_BYTES || !size.is_multiple_of(SECTOR_BYTES) || size > rest.len() {
        return Err(fields.error_before("size", 4, format!("{size} bytes, with {} left", rest.len())));
    }
    let _flags = fields.u32("flags")?;
    let sequence = fields.u32("sequence")?;
    let bins_bytes = fields.u32("bins size")?;
    let page_count = fields.u32("dirty page count")? as usize;
    let hash_of_pages = fields.u64("hash 1")?;
    let hash_of_header = fields.u64("hash 2")?;
    let (header, body) = rest.get(..size).unwrap_or(&[]).split_at(ENTRY_HEADER_BYTES);
    if marvin32(header.get(..32).unwrap_or(&[])) != hash_of_header || marvin32(body) != hash_of_pages {
        return Err(fields.error_before("hash 1", 16, format!("a hash of entry {sequence} is wrong")));
    }
    if page_count > body.len() / 8
        || !bins_bytes.is_multiple_of(4096)
        || bins_bytes > base_block::MAX_BINS_BYTES
    {
        return Err(fields.error_before("dirty page count", 20, format!("entry {sequence} is inconsistent")));
    }
    let mut references = Fields::new("log entry", body, at as u64 + ENTRY_HEADER_BYTES as u64);
    let mut contents = references.clone();
    contents.skip("references", page_count * 8)?;
    let mut pages = Vec::with_capacity(page_count);
    for _ in 0..page_count {
        let offset = references.u32("page offset")?;
        let length = references.u32("page size")?;
        if offset.checked_add(length).is_none_or(|end| end > bins_bytes) {
            return Err(references.error_before("page offset", 8, "a page lies beyond the bins"));
        }
        pages.push((offset, contents.bytes("page", length as usize)?));
    }
    Ok(Some(LogEntry { size, sequence, bins_bytes, pages }))
}

fn apply_entry(bytes: &mut Vec<u8>, entry: &LogEntry<'_>, log_bytes: usize) -> Result<()> {
    set_length(bytes, entry.bins_bytes, log_bytes)?;
    for (offset, content) in &entry.pages {
        put(bytes, BASE_BLOCK_BYTES + *offset as usize, content);
    }
    put_u32(bytes, 40, entry.bins_bytes);
    Ok(())
}

/// Grows the file to hold the bins; a log of a few bytes must not make it much larger than itself.
fn set_length(bytes: &mut Vec<u8>, bins_bytes: u32, log_bytes: usize) -> Result<()> {
    /// New bins are written to the log whole; beyond them files are padded to a multiple of 256 KiB.
    const MAX_PADDING: usize = 1 << 20;
    let needed = BASE_BLOCK_BYTES + bins_bytes as usize;
    if needed > bytes.len() {
        if needed - bytes.len() > log_bytes + MAX_PADDING {
            return Err(Error::limit(format!(
                "the log would grow the hive from {} to {needed} bytes",
                bytes.len()
            )));
        }
        bytes.resize(needed, 0);
    }
    Ok(())
}

/// Puts a log's copy of the base block into the hive.
fn put_sector(bytes: &mut Vec<u8>, log: &[u8]) {
    if bytes.len() < BASE_BLOCK_BYTES {
        bytes.resize(BASE_BLOCK_BYTES, 0);
    }
    put(bytes, 0, log.get(..SECTOR_BYTES).unwrap_or(&[]));
    put_u32(bytes, 28, 0);
}

/// Marvin32 with the seed of log entries; the result is the two halves put together.
fn marvin32(bytes: &[u8]) -> u64 {
    let mut state = Marvin { low: low_half(MARVIN_SEED), high: low_half(MARVIN_SEED >> 32) };
    let (dwords, tail) = bytes.as_chunks::<4>();
    for &dword in dwords {
        state.low = state.low.wrapping_add(u32::from_le_bytes(dword));
        state.mix();
    }
    let mut last = [0; 4];
    put(&mut last, 0, tail);
    put(&mut last, tail.len(), &[0x80]);
    state.low = state.low.wrapping_add(u32::from_le_bytes(last));
    state.mix();
    state.mix();
    u64::from(state.low) | u64::from(state.high) << 32
}

fn low_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

struct Marvin {
    low: u32,
    high: u32,
}

impl Marvin {
    fn mix(&mut self) {
        self.high ^= self.low;
        self.low = self.low.rotate_left(20).wrapping_add(self.high);
        self.high = self.high.rotate_left(9) ^ self.low;
        self.low = self.low.rotate_left(27).wrapping_add(self.high);
        self.high = self.high.rotate_left(19);
    }
}
