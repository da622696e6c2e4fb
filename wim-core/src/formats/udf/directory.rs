//! Directories: lists of file identifier descriptors (ECMA-167 4/14.4).
//!
//! Deleted entries and the one that leads to the parent are passed over. A name that no file of an installation medium can have
//! makes the directory refused, since such a disc was made to do harm.

use std::collections::HashSet;

use super::partition::IcbPlace;
use super::tag::{FILE_IDENTIFIER, Location, expect};
use super::text::compressed_unicode;
use crate::base::extents::at_sector;
use crate::base::utf16::is_file_name;
use crate::base::{Fields, Result, WimString};

/// Most bytes of a directory, which is in memory as a whole: some two million names.
pub(super) const MAX_DIRECTORY_BYTES: u64 = 128 << 20;

const STRUCTURE: &str = "UDF file identifier";
const HIDDEN: u8 = 0x01;
const DIRECTORY: u8 = 0x02;
const DELETED: u8 = 0x04;
const PARENT: u8 = 0x08;
/// Bytes before implementation use and name.
const FIXED_BYTES: usize = 38;

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: WimString,
    /// True when the directory says that it is one; its file entry says so too.
    pub is_directory: bool,
    /// True when it is not to be shown.
    pub is_hidden: bool,
    /// Where its file entry is.
    pub icb: IcbPlace,
}

/// Reads the names in the bytes of a directory; `place_of` tells where on the disc its bytes lie.
///
/// # Errors
/// `Format` for descriptors that contradict themselves, names that cannot be, and the same name twice.
pub(super) fn parse(bytes: &[u8], place_of: impl Fn(u64) -> u64) -> Result<Vec<Name>> {
    let mut names: Vec<Name> = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (name, length) = identifier(rest, place_of(at as u64))?;
        names.extend(name);
        at += length;
    }
    let mut seen = HashSet::with_capacity(names.len());
    if let Some(twice) = names.iter().find(|one| !seen.insert(one.name.units())) {
        let message = format!("the directory has the name {:?} twice", twice.name);
        return Err(at_sector(STRUCTURE, "file identifier", place_of(0), &message));
    }
    Ok(names)
}

/// One descriptor: its name, unless it is to be passed over, and its bytes with the padding.
fn identifier(rest: &[u8], offset: u64) -> Result<(Option<Name>, usize)> {
    let mut f = Fields::new(STRUCTURE, rest, offset);
    f.skip("tag and file version number", 18)?;
    let characteristics = f.u8("file characteristics")?;
    let name_bytes = usize::from(f.u8("length of file identifier")?);
    let icb_bytes = f.u32("ICB extent length")?;
    let icb = IcbPlace { block: f.u32("ICB logical block")?, partition: f.u16("ICB partition reference")? };
    f.skip("ICB implementation use", 6)?;
    let use_bytes = usize::from(f.u16("length of implementation use")?);
    let length = FIXED_BYTES + use_bytes + name_bytes;
    let padded = length.next_multiple_of(4);
    let whole = rest.get(..padded.min(rest.len())).unwrap_or_default();
    expect(STRUCTURE, whole, offset, (FILE_IDENTIFIER, Location::Anywhere))?;
    f.skip("implementation use", use_bytes)?;
    let raw = f.bytes("file identifier", name_bytes)?;
    if characteristics & (DELETED | PARENT) != 0 {
        return Ok((None, padded));
    }
    let bad = |field, at: u64, message: &str| Err(at_sector(STRUCTURE, field, offset + at, message));
    let Some(units) = compressed_unicode(raw) else {
        return bad("file identifier", 38, "it is no compressed Unicode (first byte 8 or 16)");
    };
    if !is_file_name(&units) {
        let message = format!("{:?} is no name of a file", String::from_utf16_lossy(&units));
        return bad("file identifier", 38, &message);
    }
    if icb_bytes == 0 {
        return bad("ICB extent length", 20, "0 bytes: the name leads to no file");
    }
    let name = Name {
        name: WimString::from(units),
        is_directory: characteristics & DIRECTORY != 0,
        is_hidden: characteristics & HIDDEN != 0,
        icb,
    };
    Ok((Some(name), padded))
}
