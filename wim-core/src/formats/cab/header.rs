//! The head of a cabinet: what it holds, and its neighbours in a set that spans several files.
//!
//! [MS-CAB] 2.1, with the reserved areas that signatures use. Entries of folders and members come after it.

use crate::base::{Error, Fields, Result};

/// Flag: the set has a cabinet before this one.
const HAS_PREVIOUS: u16 = 1;
/// Flag: the set has a cabinet after this one.
const HAS_NEXT: u16 = 2;
/// Flag: sizes of reserved areas follow.
const HAS_RESERVES: u16 = 4;

/// Longest text of a header or member entry with its closing NUL, as libmspack and Windows read it.
pub(super) const MAX_TEXT_BYTES: usize = 256;
/// Most reserved bytes in the header, as [MS-CAB] has it.
const MAX_HEADER_RESERVE: u16 = 60_000;

/// Another cabinet of the same set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its file name, as stored.
    pub file: String,
    /// The label of the disk that it lay on.
    pub disk: String,
}

/// The fixed and optional fields at the start of a cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Size that the cabinet says it has, in bytes; a signature may follow it in the file.
    pub size_bytes: u32,
    /// Offset of the first member entry.
    pub(super) members_offset: u32,
    /// Number of folders.
    pub folder_count: u16,
    /// Number of member entries.
    pub member_count: u16,
    /// Equal in all cabinets of a set.
    pub set_id: u16,
    /// Place in the set, counted from 0.
    pub number_in_set: u16,
    /// The cabinet before this one.
    pub previous: Option<Neighbour>,
    /// The cabinet after this one.
    pub next: Option<Neighbour>,
    /// Reserved bytes of the header: where signed cabinets say where their signature lies.
    pub reserve: Vec<u8>,
    /// Reserved bytes behind each folder entry.
    pub folder_reserve_bytes: u8,
    /// Reserved bytes in each data block's header.
    pub data_reserve_bytes: u8,
}

impl Header {
    /// The four bytes that every cabinet begins with.
    pub const SIGNATURE: [u8; 4] = *b"MSCF";
    /// Bytes of the fixed fields.
    pub(super) const FIXED_BYTES: usize = 36;
    /// Most bytes that a header can have.
    pub(super) const MAX_BYTES: usize =
        Self::FIXED_BYTES + 4 + MAX_HEADER_RESERVE as usize + 4 * MAX_TEXT_BYTES;

    /// Reads a header from the start of a cabinet; also returns its length in bytes, after which folders begin.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, usize)> {
        let mut f = Fields::new("CFHEADER", bytes, 0);
        if f.array("signature")? != Self::SIGNATURE {
            return Err(f.error_before("signature", 4, "is not MSCF: this is no cabinet"));
        }
        f.skip("reserved1", 4)?;
        let size_bytes = f.u32("cbCabinet")?;
        f.skip("reserved2", 4)?;
        let members_offset = f.u32("coffFiles")?;
        f.skip("reserved3", 4)?;
        let (minor, major) = (f.u8("versionMinor")?, f.u8("versionMajor")?);
        if major != 1 {
            return Err(Error::unsupported(format!("a cabinet of version {major}.{minor}, not 1.3"))
                .remedy("extract it with the program that made it"));
        }
        let folder_count = f.u16("cFolders")?;
        let member_count = f.u16("cFiles")?;
        if folder_count == 0 {
            return Err(f.error_before("cFolders", 4, "the cabinet has no folder"));
        }
        if member_count == 0 {
            return Err(f.error_before("cFiles", 2, "the cabinet has no member"));
        }
        let flags = f.u16("flags")?;
        let set_id = f.u16("setID")?;
        let number_in_set = f.u16("iCabinet")?;
        let (mut reserve, mut folder_reserve_bytes, mut data_reserve_bytes) = (Vec::new(), 0, 0);
        if flags & HAS_RESERVES != 0 {
            let header_reserve = f.u16("cbCFHeader")?;
            if header_reserve > MAX_HEADER_RESERVE {
                let message = format!("{header_reserve} bytes, more than {MAX_HEADER_RESERVE}");
                return Err(f.error_before("cbCFHeader", 2, message));
            }
            folder_reserve_bytes = f.u8("cbCFFolder")?;
            data_reserve_bytes = f.u8("cbCFData")?;
            reserve = f.bytes("abReserve", usize::from(header_reserve))?.to_vec();
        }
        let previous = neighbour(&mut f, flags & HAS_PREVIOUS, ["szCabinetPrev", "szDiskPrev"])?;
        let next = neighbour(&mut f, flags & HAS_NEXT, ["szCabinetNext", "szDiskNext"])?;
        let header = Self {
            size_bytes,
            members_offset,
            folder_count,
            member_count,
            set_id,
            number_in_set,
            previous,
            next,
            reserve,
            folder_reserve_bytes,
            data_reserve_bytes,
        };
        Ok((header, f.position()))
    }
}

/// Whether a text may be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    Allowed,
    Refused,
}

/// A text up to its NUL, without it.
pub(super) fn text_bytes<'a>(f: &mut Fields<'a>, field: &'static str, empty: Empty) -> Result<&'a [u8]> {
    let rest = f.rest();
    let room = rest.get(..MAX_TEXT_BYTES).unwrap_or(rest);
    let Some(length) = room.iter().position(|&byte| byte == 0) else {
        return Err(f.error(field, format!("has no closing NUL within {} bytes", room.len())));
    };
    if length == 0 && empty == Empty::Refused {
        return Err(f.error(field, "is empty"));
    }
    let bytes = f.bytes(field, length)?;
    f.skip(field, 1)?;
    Ok(bytes)
}

/// The two texts of a neighbour, if its flag is set.
fn neighbour(f: &mut Fields<'_>, flag: u16, [file, disk]: [&'static str; 2]) -> Result<Option<Neighbour>> {
    if flag == 0 {
        return Ok(None);
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let file = text(text_bytes(f, file, Empty::Refused)?);
    let disk = text(text_bytes(f, disk, Empty::Allowed)?);
    Ok(Some(Neighbour { file, disk }))
}
