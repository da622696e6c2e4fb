//! Volume descriptors: the records of one sector each from sector 16 on (ECMA-119 8).
//!
//! The primary descriptor, the supplementary one that Joliet makes of it, and the boot record are read; others are passed over.
//! Path tables are not read: directories say the same.

use crate::base::calendar::WallClock;
use crate::base::extents::{SECTOR_BYTES, SECTOR_LENGTH, at_sector, lies_inside};
use crate::base::{Fields, FileTime, ReadAt, Result, read_at};

/// Where the descriptors begin.
const FIRST_SECTOR: u64 = 16;
/// Most of them that are looked at.
const MAX_DESCRIPTORS: u64 = 256;
const STANDARD_ID: &[u8] = b"CD001";

/// Descriptors that are read.
#[derive(Default)]
pub(super) struct Descriptors {
    pub(super) primary: Option<Descriptor>,
    pub(super) joliet: Option<Descriptor>,
    /// Sector of the boot catalogue.
    pub(super) boot_catalogue: Option<u32>,
}

/// A primary or supplementary descriptor.
pub(super) struct Descriptor {
    pub(super) volume_name: Vec<u8>,
    pub(super) volume_set: Vec<u8>,
    pub(super) publisher: Vec<u8>,
    pub(super) preparer: Vec<u8>,
    pub(super) application: Vec<u8>,
    pub(super) created: Option<FileTime>,
    pub(super) block_bytes: u32,
    /// The record of the root directory and where it lies.
    pub(super) root: ([u8; 34], u64),
}

/// True when the source has a volume descriptor at sector 16.
///
/// # Errors
/// `Io`.
pub fn is_recognised(source: &dyn ReadAt) -> Result<bool> {
    let mut start = [0; 6];
    let offset = FIRST_SECTOR * SECTOR_BYTES;
    if !lies_inside(offset, start.len() as u64, source.size()) {
        return Ok(false);
    }
    read_at::read_exact_at(source, &mut start, offset)?;
    Ok(start.get(1..) == Some(STANDARD_ID))
}

/// Reads the descriptors up to the terminator.
///
/// # Errors
/// `Format` for fields that contradict each other.
pub(super) fn read(source: &dyn ReadAt) -> Result<Descriptors> {
    const BOOT_RECORD: u8 = 0;
    const PRIMARY: u8 = 1;
    const SUPPLEMENTARY: u8 = 2;
    const TERMINATOR: u8 = 255;
    let mut found = Descriptors::default();
    let mut sector = [0; SECTOR_LENGTH];
    for number in 0..MAX_DESCRIPTORS {
        let offset = (FIRST_SECTOR + number) * SECTOR_BYTES;
        if !lies_inside(offset, SECTOR_BYTES, source.size()) {
            break;
        }
        read_at::read_exact_at(source, &mut sector, offset)?;
        let mut f = Fields::new("ISO 9660 volume descriptor", &sector, offset);
        let kind = f.u8("volume descriptor type")?;
        if f.bytes("standard identifier", 5)? != STANDARD_ID {
            break;
        }
        match kind {
            BOOT_RECORD if found.boot_catalogue.is_none() => {
                f.skip("version", 1)?;
                if f.bytes("boot system identifier", 32)?.starts_with(b"EL TORITO SPECIFICATION") {
                    f.skip("boot identifier", 32)?;
                    found.boot_catalogue = Some(f.u32("boot catalogue sector")?);
                }
            }
            PRIMARY if found.primary.is_none() => {
                found.primary = Some(volume(&sector, offset, "ISO 9660 primary volume descriptor")?);
            }
            SUPPLEMENTARY if found.joliet.is_none() && is_joliet(&sector) => {
                found.joliet = Some(volume(&sector, offset, "Joliet volume descriptor")?);
            }
            TERMINATOR => break,
            _ => {}
        }
    }
    Ok(found)
}

/// Joliet tells itself by an escape sequence of UCS-2, level 1, 2 or 3.
fn is_joliet(sector: &[u8]) -> bool {
    matches!(sector.get(88..91), Some(b"%/@" | b"%/C" | b"%/E"))
}

fn volume(sector: &[u8], offset: u64, structure: &'static str) -> Result<Descriptor> {
    let mut f = Fields::new(structure, sector, offset);
    f.skip("type, identifier, version, flags and system identifier", 40)?;
    let volume_name = f.bytes("volume identifier", 32)?.to_vec();
    f.skip("unused", 8)?;
    both32(&mut f, structure, "volume space size")?;
    f.skip("escape sequences", 32)?;
    both16(&mut f, structure, "volume set size")?;
    both16(&mut f, structure, "volume sequence number")?;
    let at = f.offset();
    let block_bytes = both16(&mut f, structure, "logical block size")?;
    if !matches!(block_bytes, 512 | 1024 | 2048) {
        let message = format!("{block_bytes} bytes; 512, 1024 and 2048 are possible");
        return Err(at_sector(structure, "logical block size", at, &message));
    }
    both32(&mut f, structure, "path table size")?;
    f.skip("path tables", 16)?;
    let root_at = f.offset();
    let root = f.array("root directory record")?;
    let volume_set = f.bytes("volume set identifier", 128)?.to_vec();
    let publisher = f.bytes("publisher identifier", 128)?.to_vec();
    let preparer = f.bytes("data preparer identifier", 128)?.to_vec();
    let application = f.bytes("application identifier", 128)?.to_vec();
    f.skip("copyright, abstract and bibliographic file identifiers", 111)?;
    let created = long_time(f.array("volume creation time")?);
    Ok(Descriptor {
        volume_name,
        volume_set,
        publisher,
        preparer,
        application,
        created,
        block_bytes: block_bytes.into(),
        root: (root, root_at),
    })
}

/// Sixteen digits and a zone (ECMA-119 8.4.26.1); none when they are no time.
fn long_time(bytes: [u8; 17]) -> Option<FileTime> {
    let text = std::str::from_utf8(bytes.get(..16)?).ok()?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let small = |from: usize| u8::try_from(number(from, from + 2)?).ok();
    let clock = WallClock {
        year: number(0, 4)?.into(),
        month: small(4)?,
        day: small(6)?,
        hour: small(8)?,
        minute: small(10)?,
        second: small(12)?,
        nanoseconds: number(14, 16)? * 10_000_000,
        minutes_east: i64::from(i8::from_le_bytes([bytes[16]])) * 15,
    };
    clock.to_file_time()
}

/// A number that is stored in both byte orders (ECMA-119 7.3.3).
///
/// # Errors
/// `Format` when they disagree.
pub(super) fn both32(f: &mut Fields<'_>, structure: &'static str, field: &'static str) -> Result<u32> {
    let at = f.offset();
    let (little, big) = (f.u32(field)?, u32::from_be_bytes(f.array(field)?));
    if little == big { Ok(little) } else { Err(disagree(structure, field, at, little, big)) }
}

/// Like [`both32`], of 16 bits each (ECMA-119 7.2.3).
///
/// # Errors
/// `Format` when they disagree.
pub(super) fn both16(f: &mut Fields<'_>, structure: &'static str, field: &'static str) -> Result<u16> {
    let at = f.offset();
    let (little, big) = (f.u16(field)?, u16::from_be_bytes(f.array(field)?));
    if little == big { Ok(little) } else { Err(disagree(structure, field, at, little.into(), big.into())) }
}

fn disagree(
    structure: &'static str,
    field: &'static str,
    at: u64,
    little: u32,
    big: u32,
) -> crate::base::Error {
    at_sector(structure, field, at, &format!("{little} in one byte order and {big} in the other"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_digits() {
        let mut bytes = *b"1970010101000000\x04";
        assert_eq!(long_time(bytes), Some(FileTime::from_unix(0, 0)));
        bytes[0] = b'x';
        assert_eq!(long_time(bytes), None);
        assert_eq!(long_time(*b"0000000000000000\0"), None);
    }
}
