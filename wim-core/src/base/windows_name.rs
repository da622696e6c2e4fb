//! Which names Windows gives to files, whatever host this runs on.
//!
//! The rules are those of the Win32 interface ("Naming Files, Paths, and Namespaces"): devices, streams, wildcards and names that
//! end in a dot or a space are none. They are the one gate for names that come out of archives, packages and images on
//! their way to a folder; nothing is changed to fit. Which names are equal follows Unicode's lower case, not a volume's table.

use std::collections::HashMap;

/// Names that mean a device with any extension; `COM` and `LPT` with one digit do too.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// Why no file can have this name, which is one part of a path; none when one can.
#[must_use]
pub fn name_fault(name: &str) -> Option<&'static str> {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_numbered = |device: &str| {
        let mut digits = stem.strip_prefix(device).unwrap_or_default().chars();
        matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
    };
    if name.is_empty() {
        Some("is absolute or has an empty part")
    } else if name == ".." {
        Some("leads upwards")
    } else if name.chars().any(|c| c < ' ' || "<>:\"/\\|?*".contains(c)) {
        Some("has a drive letter, a stream or characters that Windows does not allow")
    } else if name.ends_with(['.', ' ']) {
        Some("has a part that ends in a dot or a space")
    } else if DEVICES.contains(&stem.as_str()) || is_numbered("COM") || is_numbered("LPT") {
        Some("names a device")
    } else {
        None
    }
}

/// Why `path`, with backslashes, is none below a folder; none when it is.
#[must_use]
pub fn path_fault(path: &str) -> Option<&'static str> {
    path.split('\\').find_map(name_fault)
}

/// Two paths of one list that cannot both be files below one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathClash {
    /// Position of the path that is in the way.
    pub first: usize,
    /// Position of the path that cannot be beside it.
    pub second: usize,
    /// Both paths and how they meet, to be put into a message.
    pub message: String,
}

/// The first two of these paths, with backslashes, that are one file for Windows, or of which one would be a folder and is
/// a file; none when all can be files below one folder.
#[must_use]
pub fn path_clash<'p>(paths: impl IntoIterator<Item = &'p str>) -> Option<PathClash> {
    let paths: Vec<&str> = paths.into_iter().collect();
    let mut numbers: HashMap<String, usize> = HashMap::with_capacity(paths.len());
    let clash = |first: usize, second: usize, how: &str| {
        let path = |number: usize| paths.get(number).copied().unwrap_or_default();
        let message = format!("{:?} {how} {:?}", path(second), path(first));
        PathClash { first, second, message }
    };
    for (second, path) in paths.iter().enumerate() {
        if let Some(first) = numbers.insert(path.to_lowercase(), second) {
            return Some(clash(first, second, "is the same file for Windows as"));
        }
    }
    for (second, path) in paths.iter().enumerate() {
        let lower = path.to_lowercase();
        let mut parents = lower.match_indices('\\').filter_map(|(at, _)| lower.get(..at));
        if let Some(&first) = parents.find_map(|parent| numbers.get(parent)) {
            return Some(clash(first, second, "would lie below the file"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_signs_and_ends_are_refused() {
        for bad in [
            "CON",
            "con.txt",
            "Com1",
            "com0",
            "LPT9.log",
            "a:b",
            "a?",
            "x.",
            "x ",
            "a\u{1}",
            "nul .txt",
            "",
            ".",
            "..",
            "com\u{b9}",
            "CONIN$",
            "a/b",
        ] {
            assert!(name_fault(bad).is_some(), "{bad:?}");
        }
        for good in ["CONSOLE", "COM", "COM10", "a.b", ".x", "é", "a..b"] {
            assert_eq!(name_fault(good), None, "{good:?}");
        }
    }

    #[test]
    fn paths_that_meet_are_found() {
        let clash =
            |paths: &[&str]| path_clash(paths.iter().copied()).map(|found| (found.first, found.second));
        assert_eq!(clash(&["a", "b\\a", "b\\A.x", "bb"]), None);
        assert_eq!(clash(&["x", "Ab", "aB"]), Some((1, 2)));
        assert_eq!(clash(&["É\\b", "é\\B"]), Some((0, 1)));
        assert_eq!(clash(&["A\\b\\c", "x", "a"]), Some((2, 0)));
        assert_eq!(clash(&["a", "a\\b"]), Some((0, 1)));
        let found = path_clash(["A", "a\\b"]).unwrap().message;
        assert!(found.contains("\"A\"") && found.contains("\"a\\\\b\""), "{found}");
    }

    #[test]
    fn paths_stay_below() {
        for bad in ["..\\a", "a\\..\\..\\b", "\\a", "C:\\a", "a\\nul.", "a\\\\b", "\\\\host\\share", "a\\"] {
            assert!(path_fault(bad).is_some(), "{bad:?}");
        }
        assert_eq!(path_fault("a\\com10.dll"), None);
    }
}
