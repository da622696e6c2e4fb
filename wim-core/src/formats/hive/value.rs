//! Values (`vk`): the record, and a value's type and data as callers hold them.
//!
//! Data of up to four bytes lies in the record itself, more in a cell, more than 16,344 bytes in segments where the
//! version has them. A type is any 32-bit number: device properties use thousands that have no name.

use std::borrow::Cow;
use std::fmt;

use super::big_data::SEGMENT_BYTES;
use super::cell::{Bins, bad_cell, le_u16, le_u32, put};
use super::name::{self, Compressed, Name};
use super::{HiveVersion, KeyRef};
use crate::base::Result;
use crate::base::hex::Hex;

/// Bytes before the name.
pub(super) const HEADER_BYTES: usize = 20;
/// Longest name of a value in UTF-16 units.
pub(super) const MAX_VALUE_NAME_UNITS: usize = 16383;
/// Size bit: the data is in the record.
pub(super) const RESIDENT: u32 = 1 << 31;
/// Most data bytes that fit into the record.
pub(super) const MAX_RESIDENT_BYTES: usize = 4;
/// Flag: the name is Latin-1.
pub(super) const FLAG_COMPRESSED_NAME: u16 = 1;
/// Flag: a layer of a container hides this value.
const FLAG_TOMBSTONE: u16 = 2;

/// Offsets of the fields, counted from `vk`.
pub(super) mod at {
    pub(in super::super) const NAME_LENGTH: usize = 2;
    pub(in super::super) const SIZE: usize = 4;
    pub(in super::super) const DATA: usize = 8;
    pub(in super::super) const KIND: usize = 12;
    pub(in super::super) const FLAGS: usize = 16;
}

/// Types of values that have a name.
pub mod reg_type {
    /// No type.
    pub const NONE: u32 = 0;
    /// UTF-16 text with a terminator.
    pub const SZ: u32 = 1;
    /// The same, with environment variables in it.
    pub const EXPAND_SZ: u32 = 2;
    /// Bytes.
    pub const BINARY: u32 = 3;
    /// A 32-bit number.
    pub const DWORD: u32 = 4;
    /// A 32-bit number, most significant byte first.
    pub const DWORD_BIG_ENDIAN: u32 = 5;
    /// Target of a symbolic link: UTF-16 without a terminator.
    pub const LINK: u32 = 6;
    /// Texts, each with a terminator, and one more at the end.
    pub const MULTI_SZ: u32 = 7;
    /// Resources of a driver.
    pub const RESOURCE_LIST: u32 = 8;
    /// Resources of a device.
    pub const FULL_RESOURCE_DESCRIPTOR: u32 = 9;
    /// Resources a device could use.
    pub const RESOURCE_REQUIREMENTS_LIST: u32 = 10;
    /// A 64-bit number.
    pub const QWORD: u32 = 11;

    /// The name of a type, such as `REG_SZ`; none for numbers that have none.
    #[must_use]
    pub fn name(kind: u32) -> Option<&'static str> {
        Some(match kind {
            NONE => "REG_NONE",
            SZ => "REG_SZ",
            EXPAND_SZ => "REG_EXPAND_SZ",
            BINARY => "REG_BINARY",
            DWORD => "REG_DWORD",
            DWORD_BIG_ENDIAN => "REG_DWORD_BIG_ENDIAN",
            LINK => "REG_LINK",
            MULTI_SZ => "REG_MULTI_SZ",
            RESOURCE_LIST => "REG_RESOURCE_LIST",
            FULL_RESOURCE_DESCRIPTOR => "REG_FULL_RESOURCE_DESCRIPTOR",
            RESOURCE_REQUIREMENTS_LIST => "REG_RESOURCE_REQUIREMENTS_LIST",
            QWORD => "REG_QWORD",
            _ => return None,
        })
    }

    /// The type of this name, any case, with or without `REG_`.
    #[must_use]
    pub fn from_name(text: &str) -> Option<u32> {
        let upper = text.to_ascii_uppercase();
        let upper = upper.strip_prefix("REG_").unwrap_or(&upper);
        (NONE..=QWORD).find(|&kind| name(kind).is_some_and(|name| name.get(4..) == Some(upper)))
    }
}

/// Type and data of a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegValue {
    /// Type: one of [`reg_type`], or any other number.
    pub kind: u32,
    /// The bytes, as they are stored.
    pub data: Vec<u8>,
}

impl RegValue {
    /// Any type and bytes.
    #[must_use]
    pub fn new(kind: u32, data: impl Into<Vec<u8>>) -> Self {
        Self { kind, data: data.into() }
    }

    /// `REG_SZ`, terminator added.
    #[must_use]
    pub fn sz(text: &str) -> Self {
        Self::new(reg_type::SZ, terminated(text))
    }

    /// `REG_EXPAND_SZ`, terminator added.
    #[must_use]
    pub fn expand_sz(text: &str) -> Self {
        Self::new(reg_type::EXPAND_SZ, terminated(text))
    }

    /// `REG_MULTI_SZ`, terminators added; an empty text would end the list early and is left out.
    #[must_use]
    pub fn multi_sz<T: AsRef<str>>(texts: &[T]) -> Self {
        let mut data: Vec<u8> =
            texts.iter().map(AsRef::as_ref).filter(|text| !text.is_empty()).flat_map(terminated).collect();
        data.extend([0, 0]);
        Self::new(reg_type::MULTI_SZ, data)
    }

    /// `REG_DWORD`.
    #[must_use]
    pub fn dword(number: u32) -> Self {
        Self::new(reg_type::DWORD, number.to_le_bytes())
    }

    /// `REG_QWORD`.
    #[must_use]
    pub fn qword(number: u64) -> Self {
        Self::new(reg_type::QWORD, number.to_le_bytes())
    }

    /// `REG_BINARY`.
    #[must_use]
    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Self::new(reg_type::BINARY, data)
    }

    /// The text of a `REG_SZ`, `REG_EXPAND_SZ` or `REG_LINK`, up to the first terminator; ill-formed units become
    /// U+FFFD.
    #[must_use]
    pub fn as_str(&self) -> Option<String> {
        matches!(self.kind, reg_type::SZ | reg_type::EXPAND_SZ | reg_type::LINK).then(|| {
            let units: Vec<u16> = self.units().take_while(|&unit| unit != 0).collect();
            String::from_utf16_lossy(&units)
        })
    }

    /// The number of a `REG_DWORD` or `REG_DWORD_BIG_ENDIAN` of four bytes.
    #[must_use]
    pub fn as_dword(&self) -> Option<u32> {
        let bytes = <[u8; 4]>::try_from(self.data.as_slice()).ok()?;
        match self.kind {
            reg_type::DWORD => Some(u32::from_le_bytes(bytes)),
            reg_type::DWORD_BIG_ENDIAN => Some(u32::from_be_bytes(bytes)),
            _ => None,
        }
    }

    /// The number of a `REG_QWORD` of eight bytes.
    #[must_use]
    pub fn as_qword(&self) -> Option<u64> {
        let bytes = <[u8; 8]>::try_from(self.data.as_slice()).ok()?;
        (self.kind == reg_type::QWORD).then(|| u64::from_le_bytes(bytes))
    }

    /// The texts of a `REG_MULTI_SZ`, up to the first empty one; of a `REG_SZ`, the one text.
    #[must_use]
    pub fn as_multi_sz(&self) -> Option<Vec<String>> {
        match self.kind {
            reg_type::SZ => Some(vec![self.as_str()?]),
            reg_type::MULTI_SZ => {
                let units: Vec<u16> = self.units().collect();
                let texts = units.split(|&unit| unit == 0).take_while(|text| !text.is_empty());
                Some(texts.map(String::from_utf16_lossy).collect())
            }
            _ => None,
        }
    }

    fn units(&self) -> impl Iterator<Item = u16> + '_ {
        self.data.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair))
    }
}

fn terminated(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

impl fmt::Debug for RegValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match reg_type::name(self.kind) {
            Some(name) => write!(f, "{name}:")?,
            None => write!(f, "{:#x}:", self.kind)?,
        }
        let shown = self.data.get(..self.data.len().min(64)).unwrap_or(&[]);
        write!(f, "{}", Hex(shown))?;
        if shown.len() < self.data.len() { write!(f, "… {} bytes", self.data.len()) } else { Ok(()) }
    }
}

/// The record of a new value without data.
pub(super) fn new_record(units: &[u16], kind: u32) -> Vec<u8> {
    let (name, compressed) = name::encode(units);
    let mut record = vec![0; HEADER_BYTES];
    put(&mut record, 0, b"vk");
    // At most 16,383 units were let in, so the length fits.
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    put(&mut record, at::NAME_LENGTH, &length.to_le_bytes());
    put(&mut record, at::SIZE, &RESIDENT.to_le_bytes());
    put(&mut record, at::KIND, &kind.to_le_bytes());
    // A default value has no name, and Windows leaves its flags 0.
    let flags: u16 = if compressed == Compressed::Yes && !name.is_empty() { FLAG_COMPRESSED_NAME } else { 0 };
    put(&mut record, at::FLAGS, &flags.to_le_bytes());
    record.extend_from_slice(&name);
    record
}

/// A value record, borrowed from its cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueNode<'a> {
    pub(super) offset: u32,
    bytes: &'a [u8],
}

/// Where the data of a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataPlace {
    /// In the record.
    Resident,
    /// In the cell at this offset.
    Cell(u32),
    /// In segments, listed by the `db` record at this offset.
    Segments(u32),
}

impl Bins {
    /// The value record at `offset`.
    ///
    /// # Errors
    /// `Format` when there is none, or its name does not lie inside its cell.
    #[inline]
    pub(super) fn value(&self, offset: u32) -> Result<ValueNode<'_>> {
        let bytes = self.cell(offset, "value")?;
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"vk") {
            return Err(bad_cell("value", "signature", offset, 0, "no value (\"vk\") is here"));
        }
        let name_bytes = usize::from(le_u16(bytes, at::NAME_LENGTH));
        if name_bytes > bytes.len() - HEADER_BYTES {
            return Err(bad_cell(
                "value",
                "name length",
                offset,
                at::NAME_LENGTH,
                format!("{name_bytes} bytes, but the cell has room for {}", bytes.len() - HEADER_BYTES),
            ));
        }
        Ok(ValueNode { offset, bytes })
    }

    /// The offsets of a key's values, as bytes of four each.
    ///
    /// # Errors
    /// `Format` when the list is too short for its count.
    pub(super) fn value_list(&self, list: u32, count: u32) -> Result<&[[u8; 4]]> {
        if count == 0 {
            return Ok(&[]);
        }
        let (entries, _) = self.cell(list, "value list")?.as_chunks::<4>();
        entries.get(..count as usize).ok_or_else(|| {
            bad_cell(
                "value list",
                "size",
                list,
                0,
                format!("room for {} offsets, but the key has {count} values", entries.len()),
            )
        })
    }
}

impl<'a> ValueNode<'a> {
    /// The whole record.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn kind(&self) -> u32 {
        le_u32(self.bytes, at::KIND)
    }

    pub(super) fn flags(&self) -> u16 {
        le_u16(self.bytes, at::FLAGS)
    }

    pub(super) fn name(&self) -> Name<'a> {
        let length = usize::from(le_u16(self.bytes, at::NAME_LENGTH));
        let name = self.bytes.get(HEADER_BYTES..HEADER_BYTES + length).unwrap_or(&[]);
        let compressed =
            if self.flags() & FLAG_COMPRESSED_NAME != 0 { Compressed::Yes } else { Compressed::No };
        Name::new(name, compressed)
    }

    pub(super) fn is_tombstone(&self, version: HiveVersion) -> bool {
        version == HiveVersion::V1_6 && self.flags() & FLAG_TOMBSTONE != 0
    }

    /// Size of the data in bytes.
    pub(super) fn size(&self) -> usize {
        (le_u32(self.bytes, at::SIZE) & !RESIDENT) as usize
    }

    /// Where the data is. Size decides, never a signature: any data may begin with `db`.
    pub(super) fn place(&self, version: HiveVersion) -> DataPlace {
        let size = le_u32(self.bytes, at::SIZE);
        let cell = le_u32(self.bytes, at::DATA);
        if size & RESIDENT != 0 || size == 0 {
            DataPlace::Resident
        } else if version.has_big_data() && size as usize > SEGMENT_BYTES {
            DataPlace::Segments(cell)
        } else {
            DataPlace::Cell(cell)
        }
    }

    /// The data; copied only when it lies in segments.
    pub(super) fn data(&self, bins: &'a Bins, version: HiveVersion) -> Result<Cow<'a, [u8]>> {
        let size = self.size();
        match self.place(version) {
            DataPlace::Resident => {
                let data = self.bytes.get(at::DATA..at::DATA + size).filter(|_| size <= MAX_RESIDENT_BYTES);
                data.map(Cow::Borrowed).ok_or_else(|| {
                    bad_cell("value", "size", self.offset, at::SIZE, format!("{size} bytes in the record"))
                })
            }
            DataPlace::Cell(cell) => {
                let content = bins.cell(cell, "value data")?;
                content.get(..size).map(Cow::Borrowed).ok_or_else(|| {
                    bad_cell(
                        "value",
                        "size",
                        self.offset,
                        at::SIZE,
                        format!("{size} bytes, but their cell holds {}", content.len()),
                    )
                })
            }
            DataPlace::Segments(cell) => bins.read_segments(cell, size).map(Cow::Owned),
        }
    }
}

/// A value of a hive.
#[derive(Clone, Copy, Debug)]
pub struct ValueRef<'h> {
    pub(super) key: KeyRef<'h>,
    pub(super) node: ValueNode<'h>,
}

impl<'h> ValueRef<'h> {
    /// Its name; empty for the key's default value.
    #[must_use]
    pub fn name(&self) -> Name<'h> {
        self.node.name()
    }

    /// Its type.
    #[must_use]
    pub fn kind(&self) -> u32 {
        self.node.kind()
    }

    /// Size of its data in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.node.size()
    }

    /// Its data; copied only when it lies in segments.
    ///
    /// # Errors
    /// `Format` when it is not where the record says.
    pub fn data(&self) -> Result<Cow<'h, [u8]>> {
        self.node.data(self.key.bins(), self.key.version())
    }

    /// Type and data, owned.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub fn to_reg_value(&self) -> Result<RegValue> {
        Ok(RegValue { kind: self.kind(), data: self.data()?.into_owned() })
    }

    /// Hive offset of its record.
    #[must_use]
    pub fn offset(&self) -> u32 {
        self.node.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_made_and_read_back() {
        assert_eq!(RegValue::sz("ä").data, [0xE4, 0, 0, 0]);
        assert_eq!(RegValue::sz("text").as_str().as_deref(), Some("text"));
        assert_eq!(RegValue::dword(7).as_dword(), Some(7));
        assert_eq!(RegValue::new(reg_type::DWORD_BIG_ENDIAN, [0, 0, 1, 0]).as_dword(), Some(256));
        assert_eq!(RegValue::qword(1 << 40).as_qword(), Some(1 << 40));
        let multi = RegValue::multi_sz(&["a", "", "bc"]);
        assert_eq!(multi.data, [b'a', 0, 0, 0, b'b', 0, b'c', 0, 0, 0, 0, 0]);
        assert_eq!(multi.as_multi_sz().unwrap(), ["a", "bc"]);
        assert_eq!(RegValue::multi_sz::<&str>(&[]).as_multi_sz().unwrap(), Vec::<String>::new());
        assert_eq!(RegValue::binary([1]).as_str(), None);
        assert_eq!(RegValue::new(reg_type::DWORD, [1, 2]).as_dword(), None);
    }

    #[test]
    fn types_have_names_both_ways() {
        for kind in 0..=11 {
            assert_eq!(reg_type::from_name(reg_type::name(kind).unwrap()), Some(kind));
        }
        assert_eq!(reg_type::from_name("expand_sz"), Some(2));
        assert_eq!(reg_type::from_name("REG_FOO"), None);
        assert_eq!(reg_type::name(12), None);
    }
}
