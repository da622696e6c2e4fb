//! Reparse data of symbolic links and junctions, as a WIM stores it: without the first eight bytes.
//!
//! Described in [MS-FSCC] 2.1.2.4 and 2.1.2.5: offsets and lengths of the substitute and print name, for symbolic links a
//! flags field, then the names in UTF-16. Other tags are opaque here; resolving a target is the applier's business.

use crate::base::{Fields, Result, WimString};

/// Tag of a symbolic link.
pub const SYMLINK: u32 = 0xA000_000C;
/// Tag of a junction or mounted volume.
pub const MOUNT_POINT: u32 = 0xA000_0003;
/// Tag of a file that the WOF filter unpacks.
pub const WOF: u32 = 0x8000_0017;
/// Largest reparse data in a WIM: Windows' 16 KiB with the eight bytes that are not stored.
pub const MAX_BYTES: usize = 16384 - 8;
/// Bit 0 of `rp_flags`: the target was not made relative to the root of the image.
pub const NOT_FIXED: u16 = 1;
/// Flag of a symbolic link whose target is relative to its own directory.
const SYMLINK_RELATIVE: u32 = 1;

/// What a symbolic link or junction says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTarget {
    /// The name that the kernel follows: `\??\C:\Users`, or relative text.
    pub substitute: WimString,
    /// The name shown to people.
    pub print: WimString,
    /// True for a symbolic link relative to its own directory; junctions never are.
    pub is_relative: bool,
}

impl LinkTarget {
    /// Parses the reparse data of `tag`; none when the tag is neither a symbolic link nor a junction.
    ///
    /// # Errors
    /// `Format` when the names do not lie inside the data.
    pub fn parse(tag: u32, data: &[u8]) -> Result<Option<Self>> {
        if tag != SYMLINK && tag != MOUNT_POINT {
            return Ok(None);
        }
        let mut f = Fields::new("reparse data", data, 0);
        let substitute_at = (f.u16("substitute name offset")?, f.u16("substitute name length")?);
        let print_at = (f.u16("print name offset")?, f.u16("print name length")?);
        let is_relative = tag == SYMLINK && f.u32("flags")? & SYMLINK_RELATIVE != 0;
        let names = f.rest();
        let name = |field, (offset, length): (u16, u16)| {
            let (start, end) = (usize::from(offset), usize::from(offset) + usize::from(length));
            names
                .get(start..end)
                .and_then(WimString::from_le_bytes)
                .ok_or_else(|| f.error(field, format!("{length} bytes at {offset} of {} bytes", names.len())))
        };
        let substitute = name("substitute name", substitute_at)?;
        let print = name("print name", print_at)?;
        Ok(Some(Self { substitute, print, is_relative }))
    }

    /// The reparse data of a symbolic link, laid out as wimlib does: substitute name, NUL, print name, NUL.
    ///
    /// None when the names do not fit into [`MAX_BYTES`].
    #[must_use]
    pub fn to_symlink_data(&self) -> Option<Vec<u8>> {
        self.to_data(SYMLINK)
    }

    /// The reparse data of a junction, laid out likewise.
    ///
    /// None when the names do not fit into [`MAX_BYTES`].
    #[must_use]
    pub fn to_junction_data(&self) -> Option<Vec<u8>> {
        self.to_data(MOUNT_POINT)
    }

    fn to_data(&self, tag: u32) -> Option<Vec<u8>> {
        let substitute_bytes = u16::try_from(self.substitute.len() * 2).ok()?;
        let print_bytes = u16::try_from(self.print.len() * 2).ok()?;
        let print_offset = substitute_bytes.checked_add(2)?;
        let mut data = Vec::new();
        for field in [0, substitute_bytes, print_offset, print_bytes] {
            data.extend_from_slice(&field.to_le_bytes());
        }
        if tag == SYMLINK {
            let flags = if self.is_relative { SYMLINK_RELATIVE } else { 0 };
            data.extend_from_slice(&flags.to_le_bytes());
        }
        for name in [&self.substitute, &self.print] {
            data.extend(name.to_le_bytes());
            data.extend_from_slice(&[0, 0]);
        }
        (data.len() <= MAX_BYTES).then_some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_junctions_come_back() {
        let target = LinkTarget {
            substitute: "\\??\\C:\\Users".into(),
            print: "C:\\Users".into(),
            is_relative: false,
        };
        let data = target.to_symlink_data().unwrap();
        assert_eq!(LinkTarget::parse(SYMLINK, &data).unwrap(), Some(target.clone()));
        let data = target.to_junction_data().unwrap();
        assert_eq!(LinkTarget::parse(MOUNT_POINT, &data).unwrap(), Some(target));
        let relative = LinkTarget { substitute: "..\\a".into(), print: "..\\a".into(), is_relative: true };
        let data = relative.to_symlink_data().unwrap();
        assert_eq!(LinkTarget::parse(SYMLINK, &data).unwrap(), Some(relative));
        assert_eq!(LinkTarget::parse(WOF, &data).unwrap(), None);
    }

    #[test]
    fn names_outside_the_data_are_refused() {
        let target = LinkTarget { substitute: "ab".into(), print: "cd".into(), is_relative: true };
        let good = target.to_symlink_data().unwrap();
        for length in 0..good.len() - 2 {
            assert!(LinkTarget::parse(SYMLINK, good.get(..length).unwrap()).is_err(), "{length}");
        }
        for at in 0..8 {
            let mut bad = good.clone();
            if let Some(byte) = bad.get_mut(at) {
                *byte = 0xFF;
            }
            assert!(LinkTarget::parse(SYMLINK, &bad).is_err(), "{at}");
        }
        let long = LinkTarget {
            substitute: "x".repeat(40_000).as_str().into(),
            print: "".into(),
            is_relative: true,
        };
        assert_eq!(long.to_symlink_data(), None);
        let long =
            LinkTarget { substitute: "x".repeat(9_000).as_str().into(), print: "".into(), is_relative: true };
        assert_eq!(long.to_symlink_data(), None);
    }
}
