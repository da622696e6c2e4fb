//! The name of a member as a path below some folder.

use crate::base::windows_name::path_fault;
use crate::base::{Error, Place, Result};

/// Longest name of a member, in bytes; longer ones are no paths that Windows takes.
const MAX_NAME_BYTES: usize = 4096;

/// The path of a member with backslashes, each part a name that Windows takes, whatever host this is.
///
/// A path that is absolute, leads upwards, names a drive, a stream or a device is refused, not changed.
///
/// # Errors
/// `InvalidInput` with the name, `Limit` for one that is too long.
pub fn member_path(name: &str) -> Result<String> {
    if name.len() > MAX_NAME_BYTES {
        let start: String = name.chars().take(60).collect();
        let message =
            format!("the name of the member {start:?}… has {} bytes, more than {MAX_NAME_BYTES}", name.len());
        return Err(Error::limit(message)
            .remedy("the archive is damaged or made to do harm; get it again from its source"));
    }
    let path = name.replace('/', "\\");
    match path_fault(&path) {
        None => Ok(path),
        Some(fault) => Err(Error::invalid_input(format!("the member's name {fault}"))
            .at(Place::Path(name.to_owned()))
            .remedy("the archive is damaged or made to do harm; its other members can be extracted by name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below() {
        assert_eq!(member_path("a/b\\c.txt").unwrap(), "a\\b\\c.txt");
        assert!(member_path(&"x/".repeat(3000)).is_err());
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
