//! A member: a file in a cabinet, given by its place in a folder's data.
//!
//! [MS-CAB] 2.3. Names are bytes in UTF-8 where the member says so, else in the code page of the machine that made the
//! cabinet; whether a host may use such a name is not decided here.

use encoding_rs::Encoding;

use super::dos_time::DosTime;
use super::header::{Empty, MAX_TEXT_BYTES, text_bytes};
use crate::base::{Fields, Result};

/// Folder number of a member that began in the cabinet before.
const FROM_PREVIOUS: u16 = 0xFFFD;
/// Folder number of a member that goes on in the next cabinet.
const TO_NEXT: u16 = 0xFFFE;
/// Folder number of a member that began before and goes on.
const FROM_PREVIOUS_TO_NEXT: u16 = 0xFFFF;

/// Attributes of a member: those of MS-DOS and two of cabinets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub u16);

impl Attributes {
    /// The file is not to be written to.
    pub const READ_ONLY: u16 = 0x01;
    /// The file is not listed.
    pub const HIDDEN: u16 = 0x02;
    /// The file belongs to the system.
    pub const SYSTEM: u16 = 0x04;
    /// The file changed since it was last archived; what files have by default.
    pub const ARCHIVE: u16 = 0x20;
    /// The file is to be run after extraction. Never done here.
    pub const RUN: u16 = 0x40;
    /// The name is in UTF-8.
    pub const UTF8_NAME: u16 = 0x80;

    /// True when all of `bits` are set.
    #[must_use]
    pub fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }
}

/// Which cabinets of a set a member's data lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// In the cabinets at hand.
    Whole,
    /// It began in a cabinet that is not at hand.
    FromPrevious,
    /// It goes on in a cabinet that is not at hand.
    ToNext,
    /// Both.
    FromPreviousToNext,
}

impl Span {
    /// True when the beginning is missing.
    #[must_use]
    pub fn starts_before(self) -> bool {
        matches!(self, Self::FromPrevious | Self::FromPreviousToNext)
    }

    /// True when the end is missing.
    #[must_use]
    pub fn ends_after(self) -> bool {
        matches!(self, Self::ToNext | Self::FromPreviousToNext)
    }
}

/// One file of a cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, with backslashes between folders; bytes that mean nothing in the encoding became U+FFFD.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Offset in the uncompressed data of its folder, in bytes.
    pub offset: u64,
    /// Index of its folder.
    pub folder: usize,
    /// Whether all its data are here.
    pub span: Span,
    /// Last write.
    pub modified: DosTime,
    /// Attributes.
    pub attributes: Attributes,
}

impl Member {
    /// Most bytes of an entry.
    pub(super) const MAX_BYTES: usize = 16 + MAX_TEXT_BYTES;

    /// Offset of the first byte behind it, in the uncompressed data of its folder.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.size
    }

    /// Reads the entry at the cursor of `f` in a cabinet of `folder_count` folders.
    pub(super) fn parse(f: &mut Fields<'_>, folder_count: u16, encoding: &'static Encoding) -> Result<Self> {
        let size = u64::from(f.u32("cbFile")?);
        let offset = u64::from(f.u32("uoffFolderStart")?);
        let number = f.u16("iFolder")?;
        let last = usize::from(folder_count) - 1;
        let (folder, span) = match number {
            FROM_PREVIOUS => (0, Span::FromPrevious),
            TO_NEXT => (last, Span::ToNext),
            FROM_PREVIOUS_TO_NEXT => (0, Span::FromPreviousToNext),
            _ if number < folder_count => (usize::from(number), Span::Whole),
            _ => {
                let message = format!("{number}, but there are only {folder_count} folders");
                return Err(f.error_before("iFolder", 2, message));
            }
        };
        if span == Span::FromPreviousToNext && folder_count != 1 {
            let message = "a member that spans the whole cabinet, which has more folders than one";
            return Err(f.error_before("iFolder", 2, message));
        }
        let modified = DosTime { date: f.u16("date")?, time: f.u16("time")? };
        let attributes = Attributes(f.u16("attribs")?);
        let raw = text_bytes(f, "szName", Empty::Refused)?;
        let encoding = if attributes.has(Attributes::UTF8_NAME) { encoding_rs::UTF_8 } else { encoding };
        let name = encoding.decode_without_bom_handling(raw).0.into_owned();
        Ok(Self { name, size, offset, folder, span, modified, attributes })
    }
}
