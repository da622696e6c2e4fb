//! Descriptor tags: the 16 bytes that begin every structure and say what and where it is (ECMA-167 3/7.2).
//!
//! Identifier, checksum, location and CRC are all compared; a tag without a CRC (length 0) is legal. Nothing behind the tag is
//! looked at here.

use crate::base::extents::at_sector;
use crate::base::{Fields, Result};

/// Identifiers of the structures that are read.
pub(super) const PRIMARY_VOLUME: u16 = 1;
pub(super) const ANCHOR: u16 = 2;
pub(super) const VOLUME_POINTER: u16 = 3;
pub(super) const PARTITION: u16 = 5;
pub(super) const LOGICAL_VOLUME: u16 = 6;
pub(super) const TERMINATOR: u16 = 8;
pub(super) const FILE_SET: u16 = 256;
pub(super) const FILE_IDENTIFIER: u16 = 257;
pub(super) const ALLOCATION_EXTENT: u16 = 258;
pub(super) const INDIRECT_ENTRY: u16 = 259;
pub(super) const TERMINAL_ENTRY: u16 = 260;
pub(super) const FILE_ENTRY: u16 = 261;
pub(super) const EXTENDED_FILE_ENTRY: u16 = 266;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 16;

/// Where a structure must say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// At this sector of the volume or block of its partition.
    At(u32),
    /// Writers disagree what it counts from, as for names in a directory that is embedded in its file entry.
    Anywhere,
}

/// Checks the tag that begins `bytes`, which lie at `offset` of the disc, and gives its identifier.
///
/// # Errors
/// `Format` when checksum, location or CRC are wrong.
pub(super) fn check(structure: &'static str, bytes: &[u8], offset: u64, location: Location) -> Result<u16> {
    let bad = |field, back: u64, message: &str| Err(at_sector(structure, field, offset + back, message));
    let mut f = Fields::new(structure, bytes, offset);
    let identifier = f.u16("tag identifier")?;
    let version = f.u16("descriptor version")?;
    let checksum = f.u8("tag checksum")?;
    f.skip("tag serial number", 3)?;
    let crc = f.u16("descriptor CRC")?;
    let crc_bytes = f.u16("descriptor CRC length")?;
    let said = f.u32("tag location")?;
    let tag = bytes.get(..TAG_BYTES).unwrap_or_default();
    let sum = tag.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_sub(checksum);
    if sum != checksum {
        return bad("tag checksum", 4, &format!("{checksum:#04x}, but the tag's bytes sum to {sum:#04x}"));
    }
    if !(2..=3).contains(&version) {
        return bad("descriptor version", 2, &format!("{version}; versions 2 and 3 exist"));
    }
    match location {
        Location::At(place) if place != said => {
            return bad("tag location", 12, &format!("{said}, but it lies at {place}"));
        }
        _ => {}
    }
    if crc_bytes == 0 && crc == 0 {
        return Ok(identifier);
    }
    let Some(covered) = f.rest().get(..usize::from(crc_bytes)) else {
        return bad("descriptor CRC length", 10, &format!("{crc_bytes} bytes, more than the structure has"));
    };
    let computed = crc16(covered);
    if computed != crc {
        return bad("descriptor CRC", 8, &format!("{crc:#06x}, but its bytes give {computed:#06x}"));
    }
    Ok(identifier)
}

/// [`check`], and the identifier must be `wanted`.
///
/// # Errors
/// As [`check`], and `Format` for another structure.
pub(super) fn expect(
    structure: &'static str,
    bytes: &[u8],
    offset: u64,
    (wanted, location): (u16, Location),
) -> Result<()> {
    let identifier = Fields::new(structure, bytes, offset).u16("tag identifier")?;
    if identifier != wanted {
        let message = format!("{identifier}, where {wanted} is expected");
        return Err(at_sector(structure, "tag identifier", offset, &message));
    }
    check(structure, bytes, offset, location).map(|_| ())
}

/// CRC-16 with the polynomial 0x1021, from 0, not reflected (ECMA-167 3/7.2.6).
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        let index = usize::from((crc >> 8) ^ u16::from(*byte));
        (crc << 8) ^ CRC_TABLE.get(index).copied().unwrap_or_default()
    })
}

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which rejects an index out of bounds")]
const CRC_TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u16;
    while byte < 256 {
        let mut crc = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A tag around `body` as a writer makes it.
    fn tagged(identifier: u16, location: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; TAG_BYTES];
        bytes[..2].copy_from_slice(&identifier.to_le_bytes());
        bytes[2] = 2;
        bytes[8..10].copy_from_slice(&crc16(body).to_le_bytes());
        bytes[10..12].copy_from_slice(&u16::try_from(body.len()).unwrap().to_le_bytes());
        bytes[12..16].copy_from_slice(&location.to_le_bytes());
        bytes[4] = bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn the_crc_is_the_one_of_the_standard() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(crc16(&[0x70, 0x6A, 0x77]), 0x3299);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let good = tagged(261, 7, b"body");
        assert_eq!(check("x", &good, 0, Location::At(7)).unwrap(), 261);
        assert_eq!(check("x", &good, 0, Location::Anywhere).unwrap(), 261);
        let wrong = |at: usize, with: u8, field: &str| {
            let mut bytes = good.clone();
            bytes[at] ^= with;
            if at < TAG_BYTES && at != 4 {
                bytes[4] = 0;
                bytes[4] = bytes[..TAG_BYTES].iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
            }
            let error = check("x", &bytes, 0x8000, Location::At(7)).unwrap_err().to_string();
            assert!(error.contains(field) && error.contains("sector 16"), "{at}: {error}");
        };
        wrong(4, 1, "tag checksum");
        wrong(2, 4, "descriptor version");
        wrong(12, 1, "tag location");
        wrong(17, 1, "descriptor CRC");
        wrong(10, 0x40, "descriptor CRC length");
        let error = expect("x", &good, 0, (257, Location::Anywhere)).unwrap_err().to_string();
        assert!(error.contains("261, where 257"), "{error}");
    }
}
