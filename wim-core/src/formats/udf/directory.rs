//! Directories: lists of file identifier descriptors (ECMA-167 4/14.4).
//!
//! Deleted entries and the one that leads to the parent are passed over. A name that no file can have, one that leads nowhere and
//! one that is there already are left out with a warning, so that they do not hide what lies beside them.

use std::collections::HashSet;

use super::partition::IcbPlace;
use super::tag::{FILE_IDENTIFIER, Location, expect};
use super::text::compressed_unicode;
use crate::base::extents::at_sector;
use crate::base::utf16::is_file_name;
use crate::base::{Error, Fields, Result, WimString};

/// Most bytes of a directory, which is in memory as a whole: some eight hundred thousand names.
pub(super) const MAX_DIRECTORY_BYTES: u64 = 32 << 20;

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

/// Reads the names in the bytes of a directory; `place_of` tells where on the disc its bytes lie, and what is left out goes to
/// `warn`.
///
/// # Errors
/// `Format` for descriptors that contradict themselves.
pub(super) fn parse(
    bytes: &[u8],
    place_of: impl Fn(u64) -> u64,
    warn: &mut dyn FnMut(Error),
) -> Result<Vec<Name>> {
    let mut names: Vec<Name> = Vec::new();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (name, length) = identifier(rest, place_of(at as u64), warn)?;
        names.extend(name);
        at += length;
    }
    let mut seen = HashSet::with_capacity(names.len());
    names.retain(|one| {
        let is_new = seen.insert(one.name.clone());
        if !is_new {
            let message = format!("the directory has the name {:?} twice; the first is kept", one.name);
            warn(at_sector(STRUCTURE, "file identifier", place_of(0), &message));
        }
        is_new
    });
    Ok(names)
}

/// One descriptor: its name, unless it is to be passed over, and its bytes with the padding.
fn identifier(rest: &[u8], offset: u64, warn: &mut dyn FnMut(Error)) -> Result<(Option<Name>, usize)> {
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
    let mut leave_out = |field, at: u64, message: &str| {
        let message = format!("{message}; it is left out with all it holds");
        warn(at_sector(STRUCTURE, field, offset + at, &message));
        Ok((None, padded))
    };
    let Some(units) = compressed_unicode(raw) else {
        return leave_out("file identifier", 38, "a name that is no compressed Unicode (first byte 8 or 16)");
    };
    if !is_file_name(&units) {
        let message = format!("{:?} is no name of a file", String::from_utf16_lossy(&units));
        return leave_out("file identifier", 38, &message);
    }
    if icb_bytes == 0 {
        let message = format!("0 bytes: the name {:?} leads to no file", String::from_utf16_lossy(&units));
        return leave_out("ICB extent length", 20, &message);
    }
    let name = Name {
        name: WimString::from(units),
        is_directory: characteristics & DIRECTORY != 0,
        is_hidden: characteristics & HIDDEN != 0,
        icb,
    };
    Ok((Some(name), padded))
}
