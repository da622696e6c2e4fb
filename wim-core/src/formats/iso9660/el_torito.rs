//! The boot catalogue: which images firmware may start from a disc (El Torito 1.0).
//!
//! Every entry is read, bootable or not. The images themselves are not looked into, and the number of sectors that an entry names
//! is what it says, which for EFI images is often too small.

use serde::Serialize;

use crate::base::extents::{SECTOR_BYTES, at_sector, lies_inside};
use crate::base::{Fields, ReadAt, Result, read_at};

const STRUCTURE: &str = "El Torito boot catalogue";
const ENTRY_BYTES: usize = 32;
/// Most bytes of a catalogue that are looked at: 1024 entries.
const MAX_CATALOGUE_BYTES: u64 = 32 << 10;

/// A boot catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Catalogue {
    /// Its sector.
    pub sector: u32,
    /// False when its first record does not sum to zero: some firmware then passes the disc over.
    pub checksum_is_right: bool,
    /// Entries in order; the first is the default one.
    pub entries: Vec<BootEntry>,
}

/// An image to boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootEntry {
    /// `BIOS`, `PowerPC`, `Mac`, `EFI`, or the number as `0x12`.
    pub platform: String,
    /// Whether firmware may start it.
    pub bootable: bool,
    /// `none`, `floppy 1.2 MB`, `floppy 1.44 MB`, `floppy 2.88 MB`, `hard disk`, or `unknown`.
    pub emulation: &'static str,
    /// Segment it is loaded to; 0 means 0x7C0.
    pub load_segment: u16,
    /// Sectors of 512 bytes that are loaded.
    pub sector_count: u16,
    /// Its sector of 2048 bytes.
    pub sector: u32,
}

/// Reads the catalogue at `sector`.
///
/// # Errors
/// `Format` when it lies outside of the disc or does not begin with a validation entry.
pub fn read(source: &dyn ReadAt, sector: u32) -> Result<Catalogue> {
    let offset = u64::from(sector) * SECTOR_BYTES;
    if !lies_inside(offset, SECTOR_BYTES, source.size()) {
        let message = format!("sector {sector}, behind the end of the file");
        return Err(at_sector("El Torito boot record", "boot catalogue sector", offset, &message));
    }
    let length = MAX_CATALOGUE_BYTES.min(source.size() - offset);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    read_at::read_exact_at(source, &mut bytes, offset)?;
    parse(&bytes, offset, sector)
}

fn parse(bytes: &[u8], offset: u64, sector: u32) -> Result<Catalogue> {
    const VALIDATION: u8 = 1;
    const MORE_HEADERS: u8 = 0x90;
    const LAST_HEADER: u8 = 0x91;
    const EXTENSION: u8 = 0x44;
    let mut records = bytes.as_chunks::<ENTRY_BYTES>().0.iter();
    let Some(validation) =
        records.next().filter(|record| record[0] == VALIDATION && record[30..] == [0x55, 0xAA])
    else {
        return Err(at_sector(STRUCTURE, "validation entry", offset, "it begins with another record"));
    };
    let words = validation.as_chunks::<2>().0.iter().map(|&word| u16::from_le_bytes(word));
    let checksum_is_right = words.fold(0, u16::wrapping_add) == 0;
    let mut entries = Vec::new();
    if let Some(default) = records.next() {
        entries.push(entry(default, validation[1], offset)?);
    }
    while let Some(&[kind @ (MORE_HEADERS | LAST_HEADER), platform, count0, count1, ..]) = records.next() {
        let mut left = u16::from_le_bytes([count0, count1]);
        while left > 0 {
            let Some(record) = records.next() else { break };
            // Extensions carry criteria by which firmware selects; they are no entries.
            if record[0] != EXTENSION {
                entries.push(entry(record, platform, offset)?);
                left -= 1;
            }
        }
        if kind == LAST_HEADER {
            break;
        }
    }
    Ok(Catalogue { sector, checksum_is_right, entries })
}

fn entry(record: &[u8; ENTRY_BYTES], platform: u8, offset: u64) -> Result<BootEntry> {
    const BOOTABLE: u8 = 0x88;
    let mut f = Fields::new(STRUCTURE, record, offset);
    let bootable = f.u8("boot indicator")? == BOOTABLE;
    let media = f.u8("boot media type")?;
    let load_segment = f.u16("load segment")?;
    f.skip("system type", 2)?;
    let sector_count = f.u16("sector count")?;
    Ok(BootEntry {
        platform: match platform {
            0 => "BIOS".to_owned(),
            1 => "PowerPC".to_owned(),
            2 => "Mac".to_owned(),
            0xEF => "EFI".to_owned(),
            other => format!("{other:#04x}"),
        },
        bootable,
        emulation: match media & 0x0F {
            0 => "none",
            1 => "floppy 1.2 MB",
            2 => "floppy 1.44 MB",
            3 => "floppy 2.88 MB",
            4 => "hard disk",
            _ => "unknown",
        },
        load_segment,
        sector_count,
        sector: f.u32("load sector")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A catalogue with the entries of Microsoft's discs: BIOS as default, EFI in a section.
    pub(crate) fn catalogue() -> Vec<u8> {
        let mut bytes = vec![0; 2048];
        bytes[0] = 1;
        bytes[30..32].copy_from_slice(&[0x55, 0xAA]);
        bytes[28..30].copy_from_slice(&0u16.wrapping_sub(0xAA55).wrapping_sub(1).to_le_bytes());
        bytes[32] = 0x88;
        bytes[38] = 8;
        bytes[40] = 30;
        bytes[64..68].copy_from_slice(&[0x91, 0xEF, 2, 0]);
        bytes[96..98].copy_from_slice(&[0x88, 0x20]);
        bytes[104] = 40;
        bytes[128] = 0x44;
        bytes[160] = 0;
        bytes[168] = 41;
        bytes
    }

    #[test]
    fn sections_have_platforms_and_extensions_are_no_entries() {
        let catalogue = parse(&catalogue(), 0, 22).unwrap();
        assert!(catalogue.checksum_is_right);
        let short = |e: &BootEntry| (e.platform.clone(), e.bootable, e.sector_count, e.sector);
        assert_eq!(
            catalogue.entries.iter().map(short).collect::<Vec<_>>(),
            [
                ("BIOS".to_owned(), true, 8, 30),
                ("EFI".to_owned(), true, 0, 40),
                ("EFI".to_owned(), false, 0, 41)
            ]
        );
    }

    #[test]
    fn a_wrong_sum_is_told_and_anything_else_is_refused() {
        let mut bytes = catalogue();
        bytes[28] ^= 1;
        assert!(!parse(&bytes, 0, 22).unwrap().checksum_is_right);
        bytes[30] = 0;
        assert!(parse(&bytes, 0, 22).is_err());
        assert!(read(&bytes, 1).unwrap_err().to_string().contains("behind the end"));
        // A header that promises more than there is.
        let mut bytes = catalogue();
        bytes[66..68].copy_from_slice(&[0xFF, 0xFF]);
        assert!(parse(&bytes, 0, 22).unwrap().entries.len() <= 64);
    }
}
