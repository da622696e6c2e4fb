//! `FILE_ATTRIBUTE_*` bits of a dentry that decide how the rest of it is read.
//!
//! The numbers are Windows' own ([MS-FSCC] 2.6). Bits without a name here are kept as they are and mean nothing to us.

/// Read-only.
pub const READONLY: u32 = 0x1;
/// Hidden.
pub const HIDDEN: u32 = 0x2;
/// Part of the operating system.
pub const SYSTEM: u32 = 0x4;
/// A directory.
pub const DIRECTORY: u32 = 0x10;
/// Changed since the last backup; what a new file gets.
pub const ARCHIVE: u32 = 0x20;
/// No other attribute.
pub const NORMAL: u32 = 0x80;
/// Has holes; stored with plain content in a WIM.
pub const SPARSE: u32 = 0x200;
/// A symbolic link, junction or other reparse point; the union at 0x58 then holds its tag.
pub const REPARSE_POINT: u32 = 0x400;
/// Compressed by NTFS; stored with plain content in a WIM.
pub const COMPRESSED: u32 = 0x800;
/// Not to be indexed.
pub const NOT_CONTENT_INDEXED: u32 = 0x2000;
/// Encrypted by EFS; its one stream is the output of `ReadEncryptedFileRaw`.
pub const ENCRYPTED: u32 = 0x4000;

/// True for a directory that can hold children: DIRECTORY without REPARSE_POINT.
#[must_use]
pub const fn is_plain_directory(attributes: u32) -> bool {
    attributes & (DIRECTORY | REPARSE_POINT) == DIRECTORY
}
