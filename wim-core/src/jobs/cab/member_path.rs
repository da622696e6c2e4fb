//! The name of a member as a path below some folder.

use crate::base::{Error, Place, Result};
use crate::transfer::host_name::NameRules;

/// The path of a member with backslashes, each part a name that Windows takes, whatever host this is.
///
/// A path that is absolute, leads upwards, names a drive, a stream or a device is refused, not changed.
///
/// # Errors
/// `InvalidInput` with the name.
pub fn member_path(name: &str) -> Result<String> {
    let mut path = String::with_capacity(name.len());
    for part in name.split(['\\', '/']) {
        let units: Vec<u16> = part.encode_utf16().collect();
        if !NameRules::Windows.allow(&units) {
            let message = if part == ".." {
                "the member's name leads out of the folder that it is extracted to"
            } else if part.is_empty() {
                "the member's name is an absolute path or has an empty part"
            } else {
                "a part of the member's name is none that Windows gives to files"
            };
            return Err(Error::invalid_input(message).at(Place::Path(name.to_owned())).remedy(
                "the cabinet is damaged or made to do harm; its other members can be extracted by name",
            ));
        }
        if !path.is_empty() {
            path.push('\\');
        }
        path.push_str(part);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        assert_eq!(member_path("a/b\\c.txt").unwrap(), "a\\b\\c.txt");
        for bad in [
            "",
            "..",
            "..\\x",
            "x\\..\\y",
            "x/../../y",
            "\\x",
            "/x",
            "C:\\x",
            "C:x",
            "x:stream",
            "NUL",
            "x\\con.txt",
            "a\0b",
            "a\u{1B}[31mb",
            "x.",
            "x ",
            ".",
            "a\\.\\b",
            "a\\\\b",
            "\\\\host\\share",
            "\\??\\C:\\x",
            "com1",
            "a*",
            "a?",
        ] {
            assert!(member_path(bad).is_err(), "{bad:?}");
        }
    }
}
