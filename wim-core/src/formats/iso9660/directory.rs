//! Directory records: names, places and sizes (ECMA-119 9.1).
//!
//! Records of one name that follow each other are the extents of one file; of several versions of a file the first, which is the
//! newest, is kept. A name that no file can have is left out with a warning, so that it does not hide what lies beside it. What
//! system use areas say is [`rock_ridge`](super::rock_ridge)'s.

use std::collections::HashSet;

use super::descriptors::both32;
use super::rock_ridge::{Attributes, Reader, Special};
use super::volume::Names;
use crate::base::calendar::WallClock;
use crate::base::extents::{SECTOR_LENGTH, at_sector};
use crate::base::utf16::is_file_name;
use crate::base::{Error, Fields, FileTime, Result, WimString};

/// Most bytes of a directory, which is in memory as a whole: some nine hundred thousand names.
pub(super) const MAX_DIRECTORY_BYTES: u64 = 32 << 20;
/// Most extents of a file: sixteen million gigabytes.
const MAX_EXTENTS: usize = 1 << 22;

const STRUCTURE: &str = "ISO 9660 directory record";
const HIDDEN: u8 = 0x01;
const DIRECTORY: u8 = 0x02;
const ASSOCIATED: u8 = 0x04;
const MULTI_EXTENT: u8 = 0x80;
/// Bytes before the name.
const FIXED_BYTES: usize = 33;

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name; empty for the root.
    pub name: WimString,
    /// True for a directory.
    pub is_directory: bool,
    /// True when it is not to be shown.
    pub is_hidden: bool,
    /// Bytes of all extents.
    pub size: u64,
    /// When it was recorded.
    pub modified: Option<FileTime>,
    /// What Rock Ridge says of it that makes it no plain file.
    pub(super) special: Option<Special>,
    /// True when its extents have gaps that belong to another file.
    pub(super) is_interleaved: bool,
    /// True when its last record says that more extents follow, and none does: bytes are missing.
    pub(super) is_cut_short: bool,
    /// First block and bytes of each extent.
    pub(super) extents: Vec<(u32, u32)>,
    /// Where the record lies on the disc.
    pub(super) offset: u64,
}

impl Record {
    /// The block in which its bytes begin; it tells directories apart.
    #[must_use]
    pub fn first_block(&self) -> u32 {
        self.extents.first().map_or(0, |&(block, _)| block)
    }

    /// True for a symbolic link, as Rock Ridge has them.
    #[must_use]
    pub fn is_symbolic_link(&self) -> bool {
        self.special == Some(Special::SymbolicLink)
    }

    /// True for a device, a pipe or a socket, as Rock Ridge has them.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.special == Some(Special::Device)
    }
}

/// A record as it lies there.
pub(super) struct Raw<'a> {
    pub(super) record: Record,
    name: &'a [u8],
    flags: u8,
    pub(super) system_use: &'a [u8],
    system_use_offset: u64,
}

/// Reads the record that begins `bytes`; gives also its length.
pub(super) fn raw(bytes: &[u8], offset: u64) -> Result<(Raw<'_>, usize)> {
    let mut f = Fields::new(STRUCTURE, bytes, offset);
    let length = usize::from(f.u8("length")?);
    let Some(bytes) = bytes.get(..length).filter(|bytes| bytes.len() > FIXED_BYTES) else {
        let message = format!("{length} bytes, but records have at least 34 and do not cross sectors");
        return Err(at_sector(STRUCTURE, "length", offset, &message));
    };
    let mut f = Fields::new(STRUCTURE, bytes, offset);
    f.skip("length", 1)?;
    let attribute_blocks = f.u8("extended attribute record length")?;
    let block = both32(&mut f, STRUCTURE, "location of extent")?;
    let size = both32(&mut f, STRUCTURE, "data length")?;
    let modified = short_time(f.array("recording time")?);
    let flags = f.u8("file flags")?;
    let (unit, gap) = (f.u8("file unit size")?, f.u8("interleave gap size")?);
    f.skip("volume sequence number", 4)?;
    let name_bytes = usize::from(f.u8("length of file identifier")?);
    let name = f.bytes("file identifier", name_bytes)?;
    if name_bytes % 2 == 0 && f.remaining() > 0 {
        f.skip("padding", 1)?;
    }
    let Some(block) = block.checked_add(attribute_blocks.into()) else {
        return Err(at_sector(
            STRUCTURE,
            "location of extent",
            offset + 2,
            "behind the last block there can be",
        ));
    };
    let record = Record {
        name: WimString::default(),
        is_directory: flags & DIRECTORY != 0,
        is_hidden: flags & HIDDEN != 0,
        size: size.into(),
        modified,
        special: None,
        is_interleaved: unit != 0 || gap != 0,
        is_cut_short: false,
        extents: vec![(block, size)],
        offset,
    };
    Ok((Raw { record, name, flags, system_use: f.rest(), system_use_offset: f.offset() }, length))
}

/// Seven bytes: years since 1900 to seconds, then quarters of an hour east of UTC (ECMA-119 9.1.5).
fn short_time([years, month, day, hour, minute, second, zone]: [u8; 7]) -> Option<FileTime> {
    let clock = WallClock {
        year: 1900 + i64::from(years),
        month,
        day,
        hour,
        minute,
        second,
        nanoseconds: 0,
        minutes_east: i64::from(i8::from_le_bytes([zone])) * 15,
    };
    clock.to_file_time()
}

/// Reads the records in the bytes of a directory, which lie at `offset` of the disc; `susp` is there when they have system use
/// areas. Names that cannot be and names that are there already are left out and go to `warn`.
///
/// # Errors
/// `Format` for records that contradict themselves.
pub(super) fn parse(
    bytes: &[u8],
    offset: u64,
    (names, susp): (Names, Option<&Reader>),
    warn: &mut dyn FnMut(Error),
) -> Result<Vec<Record>> {
    let mut found: Vec<Record> = Vec::new();
    // The raw name of the record before, when its file goes on in the next one; and whether that file was kept, as the last one.
    let mut open: Option<(&[u8], bool)> = None;
    let sectors = bytes.chunks(SECTOR_LENGTH).zip((offset..).step_by(SECTOR_LENGTH));
    for (sector, sector_offset) in sectors {
        let mut at = 0;
        // A record that would not fit begins the next sector; zeros fill the rest of this one.
        while let Some(rest) = sector.get(at..).filter(|rest| rest.first().is_some_and(|&length| length != 0))
        {
            let (one, length) = raw(rest, sector_offset + at as u64)?;
            at += length;
            let goes_on = one.flags & MULTI_EXTENT != 0;
            match open.take() {
                Some((name, is_kept)) if name == one.name => {
                    open = goes_on.then_some((name, is_kept));
                    if is_kept {
                        add_extent(found.last_mut(), &one)?;
                    }
                    continue;
                }
                left => cut_short(&mut found, left),
            }
            if matches!(one.name, [0 | 1]) || one.flags & ASSOCIATED != 0 {
                continue;
            }
            let name = one.name;
            let record = finish(one, names, susp, warn)?;
            open = goes_on.then_some((name, record.is_some()));
            found.extend(record);
        }
    }
    cut_short(&mut found, open);
    leave_out_twins(&mut found, names, warn);
    Ok(found)
}

/// Marks the last file when its next extent was to come and something else came.
fn cut_short(found: &mut [Record], open: Option<(&[u8], bool)>) {
    if let (Some((_, true)), Some(record)) = (open, found.last_mut()) {
        record.is_cut_short = true;
    }
}

fn add_extent(record: Option<&mut Record>, next: &Raw<'_>) -> Result<()> {
    let Some(record) = record.filter(|record| record.extents.len() < MAX_EXTENTS) else {
        let offset = next.record.offset;
        return Err(at_sector(STRUCTURE, "file flags", offset + 25, "a file of too many extents"));
    };
    record.size += next.record.size;
    record.is_interleaved |= next.record.is_interleaved;
    record.extents.extend_from_slice(&next.record.extents);
    Ok(())
}

/// The record with its name; none for directories that Rock Ridge shows elsewhere, and for names that cannot be.
fn finish(
    one: Raw<'_>,
    names: Names,
    susp: Option<&Reader>,
    warn: &mut dyn FnMut(Error),
) -> Result<Option<Record>> {
    let mut record = one.record;
    let attributes = match susp {
        Some(reader) => reader.read(one.system_use, one.system_use_offset)?,
        None => Attributes::default(),
    };
    if attributes.is_relocated {
        return Ok(None);
    }
    record.name = match (attributes.name, names) {
        (Some(name), _) => WimString::from(text(&name).as_str()),
        (None, Names::Joliet) => WimString::from(joliet_name(one.name)),
        (None, _) => WimString::from(plain_name(one.name)),
    };
    if !is_file_name(&record.name) {
        let message = format!("{:?} is no name of a file; it is left out with all it holds", record.name);
        warn(at_sector(STRUCTURE, "file identifier", record.offset + FIXED_BYTES as u64, &message));
        return Ok(None);
    }
    record.special = attributes.special;
    if let Some(block) = attributes.child {
        // The directory was moved for the eight levels of ISO 9660; its size stands in its own first record.
        record.is_directory = true;
        record.extents = vec![(block, 0)];
        record.size = 0;
    }
    Ok(Some(record))
}

/// Names of Joliet are big-endian UCS-2, perhaps with a version behind a semicolon.
fn joliet_name(bytes: &[u8]) -> Vec<u16> {
    let mut units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect();
    if let Some(at) = version_at(&units) {
        units.truncate(at);
    }
    units
}

/// Plain names end in a version, and in a dot when they have no extension (ECMA-119 7.5.1).
fn plain_name(bytes: &[u8]) -> Vec<u16> {
    let mut units: Vec<u16> = text(bytes).encode_utf16().collect();
    if let Some(at) = version_at(&units) {
        units.truncate(at);
        if units.len() > 1 && units.last() == Some(&u16::from(b'.')) {
            units.pop();
        }
    }
    units
}

/// Where `;` and digits end a name.
fn version_at(units: &[u16]) -> Option<usize> {
    let at = units.iter().rposition(|&unit| unit == u16::from(b';'))?;
    let digits = units.get(at + 1..)?;
    let is_digit = |unit: &u16| (u16::from(b'0')..=u16::from(b'9')).contains(unit);
    (!digits.is_empty() && digits.iter().all(is_digit)).then_some(at)
}

/// Bytes of a name as text: UTF-8, else one character a byte, as nothing says which code page it is.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

/// Keeps the first of several versions of a file; elsewhere a name that is there already goes to `warn`.
fn leave_out_twins(records: &mut Vec<Record>, names: Names, warn: &mut dyn FnMut(Error)) {
    let mut seen: HashSet<WimString> = HashSet::with_capacity(records.len());
    records.retain(|record| {
        let is_new = seen.insert(record.name.clone());
        if !is_new && (names == Names::RockRidge || record.is_directory) {
            let message = format!("the directory has the name {:?} twice; the first is kept", record.name);
            warn(at_sector(STRUCTURE, "file identifier", record.offset + FIXED_BYTES as u64, &message));
        }
        is_new
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_lonely_dots_are_no_part_of_a_name() {
        let plain = |name: &str| String::from_utf16_lossy(&plain_name(name.as_bytes()));
        assert_eq!(plain("README.TXT;1"), "README.TXT");
        assert_eq!(plain("BOOTMGR.;1"), "BOOTMGR");
        assert_eq!(plain("BOOT"), "BOOT");
        assert_eq!(plain("A;B"), "A;B");
        assert_eq!(plain("A;"), "A;");
        assert_eq!(joliet_name(b"\0a\0;\x001"), [0x61]);
        assert_eq!(text(b"caf\xE9"), "café");
    }

    #[test]
    fn short_times_have_quarters_of_hours() {
        assert_eq!(short_time([70, 1, 1, 1, 0, 0, 4]), Some(FileTime::from_unix(0, 0)));
        assert_eq!(short_time([70, 1, 1, 0, 0, 0, 0xFC]), Some(FileTime::from_unix(3600, 0)));
        assert_eq!(short_time([0; 7]), None);
    }
}
