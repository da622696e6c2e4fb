//! The layouts of what a volume gives and takes: attributes, times, extended attributes, reparse points.
//!
//! Times are four `FILETIME`s; reparse buffers and extended attributes are those of [MS-FSCC] 2.1.2 and 2.4.15, the latter
//! with the offset to the next entry in the last one too, as NTFS stores them. Nothing here touches a file.

use crate::base::FileTime;
use crate::formats::wim::attributes::{DIRECTORY, ENCRYPTED, NORMAL, SPARSE};
use crate::image::Reparse;
use crate::image::edit::Times;

/// Attributes that come from what a file is, or stand for none, and cannot be told.
pub(super) const OWN_ATTRIBUTES: u32 = DIRECTORY | NORMAL | SPARSE | ENCRYPTED;

/// How numbers are stored in an attribute; older drivers know the host's order alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Big,
    Native,
}

impl ByteOrder {
    pub(super) fn attributes_name(self) -> &'static str {
        match self {
            Self::Big => "system.ntfs_attrib_be",
            Self::Native => "system.ntfs_attrib",
        }
    }

    pub(super) fn times_name(self) -> &'static str {
        match self {
            Self::Big => "system.ntfs_times_be",
            Self::Native => "system.ntfs_times",
        }
    }

    pub(super) fn attributes(self, value: &[u8]) -> Option<u32> {
        let value = value.try_into().ok()?;
        Some(match self {
            Self::Big => u32::from_be_bytes(value),
            Self::Native => u32::from_ne_bytes(value),
        })
    }

    pub(super) fn attributes_bytes(self, attributes: u32) -> [u8; 4] {
        let told = attributes & !OWN_ATTRIBUTES;
        match self {
            Self::Big => told.to_be_bytes(),
            Self::Native => told.to_ne_bytes(),
        }
    }

    /// Creation, last write and last access are the first of four; the last, of the change of metadata, is not kept.
    pub(super) fn times(self, value: &[u8]) -> Option<Times> {
        let (fields, _) = value.as_chunks::<8>();
        let time = |index: usize| {
            let field = *fields.get(index)?;
            Some(FileTime(match self {
                Self::Big => u64::from_be_bytes(field),
                Self::Native => u64::from_ne_bytes(field),
            }))
        };
        Some(Times { creation: time(0)?, last_write: time(1)?, last_access: time(2)? })
    }

    pub(super) fn times_bytes(self, times: Times) -> Vec<u8> {
        // The fourth is the driver's.
        let fields = [times.creation, times.last_write, times.last_access];
        let bytes = fields.iter().flat_map(|time| match self {
            Self::Big => time.0.to_be_bytes(),
            Self::Native => time.0.to_ne_bytes(),
        });
        bytes.collect()
    }
}

/// A reparse point and its data as a WIM has them, of a buffer of tag, length and reserved field.
pub(super) fn reparse_point(buffer: &[u8]) -> Option<(Reparse, Vec<u8>)> {
    let (tag, rest) = buffer.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (reserved, rest) = rest.split_first_chunk::<2>()?;
    let (tag, length) = (u32::from_le_bytes(*tag), usize::from(u16::from_le_bytes(*length)));
    // Tags that are not Microsoft's have a GUID before the data, which the length does not count.
    let length = if tag & MICROSOFT == 0 { length + 16 } else { length };
    let reparse = Reparse { tag, reserved: u16::from_le_bytes(*reserved), flags: 0 };
    Some((reparse, rest.get(..length)?.to_vec()))
}

/// Bit of the tags that are Microsoft's.
const MICROSOFT: u32 = 0x8000_0000;

/// The buffer of a reparse point.
pub(super) fn reparse_buffer(reparse: Reparse, data: &[u8]) -> Vec<u8> {
    let guid = if reparse.tag & MICROSOFT == 0 { 16 } else { 0 };
    // A WIM's data is shorter than 16 KiB, which its reader has seen to.
    let length = u16::try_from(data.len().saturating_sub(guid)).unwrap_or(u16::MAX);
    let mut buffer = reparse.tag.to_le_bytes().to_vec();
    buffer.extend(length.to_le_bytes());
    buffer.extend(reparse.reserved.to_le_bytes());
    buffer.extend(data);
    buffer
}

/// Fixed bytes of an entry on a volume: offset to the next, flags, length of the name, length of the value.
const ENTRY_HEAD: usize = 8;

/// The extended attributes of a volume as an item of a WIM has them; none when a length lies.
pub(super) fn extended_attributes_of_ntfs(mut value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while !value.is_empty() {
        let (head, _) = value.split_first_chunk::<ENTRY_HEAD>()?;
        let [n0, n1, n2, n3, flags, name_length, low, high] = *head;
        let next = usize::try_from(u32::from_le_bytes([n0, n1, n2, n3])).ok()?;
        let (name, length) = (usize::from(name_length), usize::from(u16::from_le_bytes([low, high])));
        // The name with the NUL behind it, then the value.
        let content = value.get(ENTRY_HEAD..)?.get(..name + 1 + length)?;
        out.extend_from_slice(&[low, high, name_length, flags]);
        out.extend_from_slice(content);
        let used = ENTRY_HEAD + content.len();
        if next == 0 {
            break;
        }
        value = value.get(next..).filter(|_| next >= used).unwrap_or(&[]);
    }
    Some(out)
}

/// The extended attributes of an item of a WIM as a volume stores them; ends before the first whose length lies.
pub(super) fn extended_attributes_to_ntfs(mut data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((&[low, high, name_length, flags], rest)) = data.split_first_chunk::<4>() {
        let length = usize::from(name_length) + 1 + usize::from(u16::from_le_bytes([low, high]));
        let Some((content, rest)) = rest.split_at_checked(length) else { break };
        let size = (ENTRY_HEAD + length).next_multiple_of(4);
        // Lengths of 8 and 16 bits: the sum is small.
        out.extend_from_slice(&u32::try_from(size).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&[flags, name_length, low, high]);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(4), 0);
        data = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_in_either_order() {
        let times =
            Times { creation: FileTime(1 << 40), last_write: FileTime(2), last_access: FileTime(3 << 56) };
        for order in [ByteOrder::Big, ByteOrder::Native] {
            assert_eq!(order.times(&order.times_bytes(times)), Some(times));
            assert_eq!(order.attributes(&order.attributes_bytes(0x2027)), Some(0x2027));
            assert_eq!(order.attributes(&[0; 3]), None);
            assert_eq!(order.times(&[0; 23]), None);
        }
        assert_eq!(ByteOrder::Big.attributes_bytes(0x20), [0, 0, 0, 0x20]);
        // What a file is cannot be told.
        assert_eq!(ByteOrder::Big.attributes(&ByteOrder::Big.attributes_bytes(0x4290)), Some(0));
    }

    #[test]
    fn reparse_points_lose_and_get_their_head() {
        let reparse = Reparse { tag: 0x8000_0017, reserved: 0x1234, flags: 0 };
        let buffer = reparse_buffer(reparse, b"abcd");
        assert_eq!(buffer, b"\x17\0\0\x80\x04\0\x34\x12abcd");
        assert_eq!(reparse_point(&buffer), Some((reparse, b"abcd".to_vec())));
        let other = Reparse { tag: 0x42, reserved: 0, flags: 0 };
        let buffer = reparse_buffer(other, &[7; 20]);
        assert_eq!(buffer[4], 4, "the GUID is not counted");
        assert_eq!(reparse_point(&buffer), Some((other, vec![7; 20])));
        for cut in 0..buffer.len() {
            assert_eq!(reparse_point(&buffer[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn extended_attributes_have_their_offsets_on_a_volume() {
        // Of mkntfs' volume, ntfs-3g 2022.10.3: each entry a multiple of four bytes, the last with its size too.
        let stored = b"\x14\0\0\0\x80\x05\x05\0ALPHA\0hello\0\x10\0\0\0\0\x04\x02\0BETA\0xy\0";
        let item = b"\x05\0\x05\x80ALPHA\0hello\x02\0\x04\0BETA\0xy";
        assert_eq!(extended_attributes_to_ntfs(item), stored);
        assert_eq!(extended_attributes_of_ntfs(stored).as_deref(), Some(item.as_slice()));
        // [MS-FSCC]: the last may have zero, too.
        let mut last_zero = stored.to_vec();
        last_zero[20] = 0;
        assert_eq!(extended_attributes_of_ntfs(&last_zero).as_deref(), Some(item.as_slice()));
        assert_eq!(extended_attributes_of_ntfs(&stored[..10]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(item) = extended_attributes_of_ntfs(&bytes) {
                let again = extended_attributes_of_ntfs(&extended_attributes_to_ntfs(&item));
                prop_assert_eq!(again, Some(item));
            }
            let _ = extended_attributes_to_ntfs(&bytes);
            if let Some((reparse, data)) = reparse_point(&bytes) {
                prop_assert_eq!(reparse_point(&reparse_buffer(reparse, &data)), Some((reparse, data)));
            }
        }
    }
}
