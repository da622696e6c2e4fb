//! Tagged items of a dentry (wim-format 7.4): an object id, extended attributes, wimlib's UNIX data.
//!
//! Trees keep the items byte for byte and write them back as they are; only listings, and capturing and applying on Unix,
//! look into wimlib's, and into extended attributes, which wimlib stores Linux's as.

/// NTFS object id with birth volume, birth object and domain ids.
pub const OBJECT_ID: u32 = 0x0000_0001;
/// Extended attributes: those of NTFS, or of Linux under their names there.
pub const EXTENDED_ATTRIBUTES: u32 = 0x0000_0002;
/// wimlib: UNIX uid, gid, mode and device number.
pub const UNIX_DATA: u32 = 0x337D_D873;

/// The items as (tag, data); ends before the first that is longer than what is left.
pub fn items(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (data, rest) = rest.split_at_checked(length)?;
        // Each item begins at a multiple of 8; the last may lack its padding.
        bytes = rest.get(length.next_multiple_of(8) - length..).unwrap_or(&[]);
        Some((u32::from_le_bytes(*tag), data))
    })
}

/// The data of the first item with this tag.
#[must_use]
pub fn find(bytes: &[u8], tag: u32) -> Option<&[u8]> {
    items(bytes).find(|(t, _)| *t == tag).map(|(_, data)| data)
}

/// The bytes of one item, padded; data past 4 GiB, which no item has, is cut.
#[must_use]
pub fn item(tag: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut out = [tag.to_le_bytes(), length.to_le_bytes()].concat();
    out.extend(data.iter().take(usize::try_from(length).unwrap_or(usize::MAX)));
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// wimlib's UNIX data of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct UnixData {
    /// User id.
    pub owner: u32,
    /// Group id.
    pub group: u32,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Device number of a device file.
    pub device: u32,
}

impl UnixData {
    /// The bits of the mode that say what kind of file it is.
    pub const KIND: u32 = 0o170_000;
    /// A character device.
    pub const CHARACTER_DEVICE: u32 = 0o020_000;
    /// A block device.
    pub const BLOCK_DEVICE: u32 = 0o060_000;
    /// A named pipe.
    pub const PIPE: u32 = 0o010_000;
    /// A socket.
    pub const SOCKET: u32 = 0o140_000;

    /// Those among the items of a dentry.
    #[must_use]
    pub fn find(items: &[u8]) -> Option<Self> {
        let mut fields =
            find(items, UNIX_DATA)?.as_chunks::<4>().0.iter().map(|&field| u32::from_le_bytes(field));
        Some(Self {
            owner: fields.next()?,
            group: fields.next()?,
            mode: fields.next()?,
            device: fields.next()?,
        })
    }

    /// The item that says so.
    #[must_use]
    pub fn to_item(self) -> Vec<u8> {
        let fields = [self.owner, self.group, self.mode, self.device];
        let data: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        item(UNIX_DATA, &data)
    }

    /// True for devices, pipes and sockets, which have no data.
    #[must_use]
    pub fn is_special(self) -> bool {
        [Self::CHARACTER_DEVICE, Self::BLOCK_DEVICE, Self::PIPE, Self::SOCKET]
            .contains(&(self.mode & Self::KIND))
    }

    /// `before`, the items of a dentry, with this in place of their UNIX data, if they have any.
    #[must_use]
    pub fn replace_in(self, before: &[u8]) -> Vec<u8> {
        let others = items(before).filter(|(tag, _)| *tag != UNIX_DATA);
        let mut out: Vec<u8> = others.flat_map(|(tag, data)| item(tag, data)).collect();
        out.extend(self.to_item());
        out
    }
}

/// The extended attributes as (name, value): value length, name length, flags, name, NUL, value, without padding. Ends before
/// the first that is longer than what is left.
pub fn extended_attributes(mut data: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = data.split_first_chunk::<4>()?;
        let [low, high, name_length, _flags] = *head;
        let (name, rest) = rest.split_at_checked(usize::from(name_length))?;
        let (_nul, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        data = rest;
        Some((name, value))
    })
}

/// The item of these attributes, padded; none when there are none. Names past 255 bytes and values past 65,535, which the
/// fields cannot hold, are left out.
#[must_use]
pub fn extended_attributes_item(attributes: &[(Vec<u8>, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for (name, value) in attributes {
        let (Ok(value_length), Ok(name_length)) = (u16::try_from(value.len()), u8::try_from(name.len()))
        else {
            continue;
        };
        data.extend_from_slice(&value_length.to_le_bytes());
        data.extend_from_slice(&[name_length, 0]);
        data.extend_from_slice(name);
        data.push(0);
        data.extend_from_slice(value);
    }
    (!data.is_empty()).then(|| item(EXTENDED_ATTRIBUTES, &data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_follow_each_other_in_steps_of_eight() {
        let bytes = [item(2, b"abc"), item(OBJECT_ID, &[7; 16]), item(3, b"")].concat();
        assert_eq!(
            items(&bytes).map(|(tag, data)| (tag, data.len())).collect::<Vec<_>>(),
            [(2, 3), (1, 16), (3, 0)]
        );
        assert_eq!(find(&bytes, OBJECT_ID), Some([7; 16].as_slice()));
        assert_eq!(find(&bytes, UNIX_DATA), None);
    }

    #[test]
    fn unix_data_comes_back_and_takes_the_place_of_older() {
        let first = UnixData { owner: 1000, group: 100, mode: 0o100_644, device: 0 };
        let items = [item(OBJECT_ID, &[7; 16]), first.to_item(), item(3, b"x")].concat();
        assert_eq!(UnixData::find(&items), Some(first));
        let second = UnixData { mode: 0o100_600, ..first };
        let replaced = second.replace_in(&items);
        assert_eq!((UnixData::find(&replaced), replaced.len()), (Some(second), items.len()));
        assert_eq!(find(&replaced, OBJECT_ID), Some([7; 16].as_slice()));
        assert_eq!(UnixData::find(&item(UNIX_DATA, &[0; 15])), None);
    }

    #[test]
    fn attributes_and_unix_data_are_as_wimlib_writes_them() {
        // wimlib 1.13.6, of a file with the attributes user.test and user.bin.
        let pairs = [(b"user.test".to_vec(), b"value1".to_vec()), (b"user.bin".to_vec(), vec![0, 1, 2])];
        let made = extended_attributes_item(&pairs).unwrap();
        assert_eq!(made.get(..23), Some(b"\x02\0\0\0\x24\0\0\0\x06\0\x09\0user.test\0v".as_slice()));
        let data = find(&made, EXTENDED_ATTRIBUTES).unwrap();
        let read: Vec<_> = extended_attributes(data).map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        assert_eq!(read, pairs);
        for cut in 0..data.len() {
            assert!(extended_attributes(data.get(..cut).unwrap()).count() < 2, "{cut}");
        }
        assert_eq!(extended_attributes_item(&[(vec![b'x'; 256], vec![])]), None);
        let unix = UnixData { owner: 1234, group: 567, mode: 0o010_644, device: 0 };
        assert_eq!(unix.to_item().get(..10), Some(b"\x73\xD8\x7D\x33\x10\0\0\0\xD2\x04".as_slice()));
        assert_eq!(UnixData::find(&[made, unix.to_item()].concat()), Some(unix));
        assert!(unix.is_special() && !UnixData { mode: 0o100_644, ..unix }.is_special());
        assert_eq!(UnixData::find(&item(UNIX_DATA, &[0; 15])), None);
    }

    #[test]
    fn lying_lengths_end_the_list() {
        let mut bytes = item(2, b"abc");
        bytes.extend_from_slice(&[1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(items(&bytes).count(), 1);
        assert_eq!(items(bytes.get(..11).unwrap()).count(), 1, "the last item needs no padding");
        assert_eq!(items(bytes.get(..7).unwrap()).count(), 0);
    }
}
