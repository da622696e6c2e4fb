//! Key nodes (`nk`): names, times, flags, and where subkeys, values, class and security of a key are.
//!
//! Layout after the published regf specification. Volatile subkeys are never looked at: their offsets mean nothing on
//! disk.

use super::cell::{Bins, bad_cell, le_u16, le_u32, le_u64, len_u32};
use super::name::{Compressed, Name};
use crate::base::{FileTime, Result};

/// Bytes before the name.
pub(super) const HEADER_BYTES: usize = 76;
/// Longest name of a key in UTF-16 units.
pub(super) const MAX_KEY_NAME_UNITS: usize = 255;

/// Offsets of the fields, counted from `nk`.
pub(super) mod at {
    pub(in super::super) const FLAGS: usize = 2;
    pub(in super::super) const LAST_WRITTEN: usize = 4;
    pub(in super::super) const ACCESS: usize = 12;
    pub(in super::super) const PARENT: usize = 16;
    pub(in super::super) const SUBKEY_COUNT: usize = 20;
    pub(in super::super) const VOLATILE_SUBKEY_COUNT: usize = 24;
    pub(in super::super) const SUBKEYS: usize = 28;
    pub(in super::super) const VOLATILE_SUBKEYS: usize = 32;
    pub(in super::super) const VALUE_COUNT: usize = 36;
    pub(in super::super) const VALUES: usize = 40;
    pub(in super::super) const SECURITY: usize = 44;
    pub(in super::super) const CLASS: usize = 48;
    pub(in super::super) const MAX_SUBKEY_NAME: usize = 52;
    pub(in super::super) const MAX_SUBKEY_CLASS: usize = 56;
    pub(in super::super) const MAX_VALUE_NAME: usize = 60;
    pub(in super::super) const MAX_VALUE_DATA: usize = 64;
    pub(in super::super) const NAME_LENGTH: usize = 72;
    pub(in super::super) const CLASS_LENGTH: usize = 74;
}

/// Bits of a key's flags.
pub mod key_flags {
    /// Never on disk in a healthy hive.
    pub const VOLATILE: u16 = 0x01;
    /// The mount point of another hive.
    pub const HIVE_EXIT: u16 = 0x02;
    /// The root of a hive.
    pub const HIVE_ENTRY: u16 = 0x04;
    /// Refuses to be deleted.
    pub const NO_DELETE: u16 = 0x08;
    /// A symbolic link to another key.
    pub const SYMLINK: u16 = 0x10;
    /// The name is stored as Latin-1.
    pub const COMPRESSED_NAME: u16 = 0x20;
    /// A predefined handle: the value count is the handle.
    pub const PREDEFINED_HANDLE: u16 = 0x40;
}

/// Flags of a key: bits of [`key_flags`], and others that are kept as they are.
pub type KeyFlags = u16;

/// A key node, borrowed from its cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyNode<'a> {
    pub(super) offset: u32,
    bytes: &'a [u8],
}

impl Bins {
    /// The key node at `offset`.
    ///
    /// # Errors
    /// `Format` when there is none, or its name does not lie inside its cell.
    #[inline]
    pub(super) fn key(&self, offset: u32) -> Result<KeyNode<'_>> {
        let bytes = self.cell(offset, "key node")?;
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"nk") {
            return Err(bad_cell("key node", "signature", offset, 0, "no key node (\"nk\") is here"));
        }
        let node = KeyNode { offset, bytes };
        let name_bytes = usize::from(le_u16(bytes, at::NAME_LENGTH));
        if name_bytes > bytes.len() - HEADER_BYTES {
            return Err(bad_cell(
                "key node",
                "name length",
                offset,
                at::NAME_LENGTH,
                format!("{name_bytes} bytes, but the cell has room for {}", bytes.len() - HEADER_BYTES),
            ));
        }
        Ok(node)
    }
}

impl<'a> KeyNode<'a> {
    /// The whole record.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn flags(&self) -> KeyFlags {
        le_u16(self.bytes, at::FLAGS)
    }

    pub(super) fn has(&self, flag: KeyFlags) -> bool {
        self.flags() & flag != 0
    }

    pub(super) fn last_written(&self) -> FileTime {
        FileTime(le_u64(self.bytes, at::LAST_WRITTEN))
    }

    pub(super) fn parent(&self) -> u32 {
        le_u32(self.bytes, at::PARENT)
    }

    pub(super) fn subkey_count(&self) -> u32 {
        le_u32(self.bytes, at::SUBKEY_COUNT)
    }

    pub(super) fn subkeys(&self) -> u32 {
        le_u32(self.bytes, at::SUBKEYS)
    }

    /// Number of values; 0 for a predefined handle, whose field means something else.
    pub(super) fn value_count(&self) -> u32 {
        if self.has(key_flags::PREDEFINED_HANDLE) { 0 } else { le_u32(self.bytes, at::VALUE_COUNT) }
    }

    pub(super) fn values(&self) -> u32 {
        le_u32(self.bytes, at::VALUES)
    }

    pub(super) fn security(&self) -> u32 {
        le_u32(self.bytes, at::SECURITY)
    }

    pub(super) fn class(&self) -> u32 {
        le_u32(self.bytes, at::CLASS)
    }

    pub(super) fn class_bytes(&self) -> usize {
        usize::from(le_u16(self.bytes, at::CLASS_LENGTH))
    }

    pub(super) fn name(&self) -> Name<'a> {
        let length = usize::from(le_u16(self.bytes, at::NAME_LENGTH));
        let name = self.bytes.get(HEADER_BYTES..HEADER_BYTES + length).unwrap_or(&[]);
        let compressed = if self.has(key_flags::COMPRESSED_NAME) { Compressed::Yes } else { Compressed::No };
        Name::new(name, compressed)
    }

    /// True for a key that a layer of a container hides (version 1.6): it is there to say that it is not.
    pub(super) fn is_tombstone(&self, version: super::HiveVersion) -> bool {
        const SEMANTICS: u32 = 0x0300;
        const TOMBSTONE: u32 = 0x0100;
        version == super::HiveVersion::V1_6 && le_u32(self.bytes, at::ACCESS) & SEMANTICS == TOMBSTONE
    }
}

/// A new key node.
pub(super) struct NewKey<'a> {
    pub(super) name: &'a [u8],
    pub(super) compressed: Compressed,
    pub(super) flags: KeyFlags,
    pub(super) time: FileTime,
    pub(super) parent: u32,
    pub(super) security: u32,
}

impl NewKey<'_> {
    /// The record; no subkeys, no values, no class.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let flags = self.flags
            | match self.compressed {
                Compressed::Yes => key_flags::COMPRESSED_NAME,
                Compressed::No => 0,
            };
        let mut bytes = vec![0; HEADER_BYTES];
        let put = super::cell::put;
        put(&mut bytes, 0, b"nk");
        put(&mut bytes, at::FLAGS, &flags.to_le_bytes());
        put(&mut bytes, at::LAST_WRITTEN, &self.time.0.to_le_bytes());
        put(&mut bytes, at::PARENT, &self.parent.to_le_bytes());
        for nowhere in [at::SUBKEYS, at::VOLATILE_SUBKEYS, at::VALUES, at::CLASS] {
            put(&mut bytes, nowhere, &super::cell::NIL.to_le_bytes());
        }
        put(&mut bytes, at::SECURITY, &self.security.to_le_bytes());
        // A name of at most 255 units fits the field in either encoding.
        let length = u16::try_from(len_u32(self.name.len())).unwrap_or(u16::MAX);
        put(&mut bytes, at::NAME_LENGTH, &length.to_le_bytes());
        bytes.extend_from_slice(self.name);
        bytes
    }
}
