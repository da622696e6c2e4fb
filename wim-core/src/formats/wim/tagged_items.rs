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
    fn lying_lengths_end_the_list() {
        let mut bytes = item(2, b"abc");
        bytes.extend_from_slice(&[1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(items(&bytes).count(), 1);
        assert_eq!(items(bytes.get(..11).unwrap()).count(), 1, "the last item needs no padding");
        assert_eq!(items(bytes.get(..7).unwrap()).count(), 0);
    }
}
