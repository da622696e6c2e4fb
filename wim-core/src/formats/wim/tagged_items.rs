//! Tagged items of a dentry (wim-format 7.4): an object id, extended attributes, wimlib's UNIX data.
//!
//! Only what a listing shows is interpreted. Trees keep the items byte for byte and write them back as they are.

/// NTFS object id with birth volume, birth object and domain ids.
pub const OBJECT_ID: u32 = 0x0000_0001;
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

    /// `before`, the items of a dentry, with this in place of their UNIX data, if they have any.
    #[must_use]
    pub fn replace_in(self, before: &[u8]) -> Vec<u8> {
        let others = items(before).filter(|(tag, _)| *tag != UNIX_DATA);
        let mut out: Vec<u8> = others.flat_map(|(tag, data)| item(tag, data)).collect();
        out.extend(self.to_item());
        out
    }
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
    fn lying_lengths_end_the_list() {
        let mut bytes = item(2, b"abc");
        bytes.extend_from_slice(&[1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(items(&bytes).count(), 1);
        assert_eq!(items(bytes.get(..11).unwrap()).count(), 1, "the last item needs no padding");
        assert_eq!(items(bytes.get(..7).unwrap()).count(), 0);
    }
}
