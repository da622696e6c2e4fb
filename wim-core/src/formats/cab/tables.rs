//! Header, folder table and member table of a new cabinet.
//!
//! [MS-CAB] 2.1 to 2.3. Their size is known before any data is packed, so data can be written behind them first.

use super::dos_time::DosTime;
use super::folder_writer::FolderCompression;
use super::header::{Header, MAX_TEXT_BYTES};
use super::member::Attributes;
use crate::base::{Error, Place, Result};

/// Largest cabinet, in bytes: [MS-CAB] has offsets of 32 bits, Windows reads them as signed.
pub const MAX_CABINET_BYTES: u64 = i32::MAX as u64;
/// Most folders and most members: greater numbers of folders mean something else.
pub const MAX_ENTRIES: usize = 0xFFFC;

/// A folder that is written.
#[derive(Clone, Copy, Debug)]
pub struct NewFolder {
    /// Offset of its first data block in the cabinet.
    pub offset: u64,
    /// Number of its data blocks.
    pub blocks: u16,
    /// How they are compressed.
    pub compression: FolderCompression,
}

/// A member to write.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Its name, with backslashes between folders.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Offset in its folder, in bytes.
    pub offset: u64,
    /// Index of its folder.
    pub folder: usize,
    /// Last write.
    pub modified: DosTime,
    /// Attributes; [`Attributes::UTF8_NAME`] is set where the name needs it.
    pub attributes: Attributes,
}

/// Bytes of all tables.
///
/// # Errors
/// `Limit` for too many folders or members, `InvalidInput` for a name that is empty, too long or has a NUL.
pub fn table_bytes(folders: usize, members: &[NewMember]) -> Result<u64> {
    if folders > MAX_ENTRIES || members.len() > MAX_ENTRIES {
        let message = format!("{folders} folders and {} members, more than {MAX_ENTRIES}", members.len());
        return Err(Error::limit(message).remedy("make several cabinets"));
    }
    let mut bytes = Header::FIXED_BYTES + 8 * folders;
    for NewMember { name, .. } in members {
        if name.is_empty() || name.len() >= MAX_TEXT_BYTES || name.contains('\0') {
            let message = format!("a name of {} bytes, not of 1 to {}", name.len(), MAX_TEXT_BYTES - 1);
            return Err(Error::invalid_input(message).at(Place::Path(name.clone())));
        }
        bytes += 16 + name.len() + 1;
    }
    Ok(bytes as u64)
}

/// The tables of a cabinet of `cabinet_bytes` bytes.
///
/// # Errors
/// As [`table_bytes`]; `Limit` when a number does not fit its field.
pub fn write_tables(folders: &[NewFolder], members: &[NewMember], cabinet_bytes: u64) -> Result<Vec<u8>> {
    let length = table_bytes(folders.len(), members)?;
    if cabinet_bytes > MAX_CABINET_BYTES {
        let message = format!("a cabinet of {cabinet_bytes} bytes, more than {MAX_CABINET_BYTES}");
        return Err(Error::limit(message).remedy("make several cabinets"));
    }
    let long = |number: u64| {
        u32::try_from(number)
            .map(u32::to_le_bytes)
            .map_err(|_| Error::limit(format!("{number} in a field of 32 bits")))
    };
    let short = |number: usize| {
        u16::try_from(number)
            .map(u16::to_le_bytes)
            .map_err(|_| Error::limit(format!("{number} in a field of 16 bits")))
    };
    let mut out = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    out.extend(Header::SIGNATURE);
    out.extend([0; 4]);
    out.extend(long(cabinet_bytes)?);
    out.extend([0; 4]);
    out.extend(long((Header::FIXED_BYTES + 8 * folders.len()) as u64)?);
    out.extend([0; 4]);
    // Version 1.3.
    out.extend([3, 1]);
    out.extend(short(folders.len())?);
    out.extend(short(members.len())?);
    // No flags, set 0, cabinet 0 of it.
    out.extend([0; 6]);
    for folder in folders {
        out.extend(long(folder.offset)?);
        out.extend(folder.blocks.to_le_bytes());
        out.extend(folder.compression.type_number().to_le_bytes());
    }
    for member in members {
        out.extend(long(member.size)?);
        out.extend(long(member.offset)?);
        out.extend(short(member.folder)?);
        out.extend(member.modified.date.to_le_bytes());
        out.extend(member.modified.time.to_le_bytes());
        let plain = member.attributes.0 & !Attributes::UTF8_NAME;
        let utf8 = if member.name.is_ascii() { 0 } else { Attributes::UTF8_NAME };
        out.extend((plain | utf8).to_le_bytes());
        out.extend(member.name.as_bytes());
        out.push(0);
    }
    Ok(out)
}
