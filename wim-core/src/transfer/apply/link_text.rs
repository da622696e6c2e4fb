//! The text of a host's symbolic link for a reparse point.
//!
//! Kernel names such as `\??\C:\Users` lose their prefix; on Unix the drive goes too and separators turn, as in wimlib
//! (wimapply(1)). Names that no path of the host stands for, such as volumes and network shares on Unix, give nothing.

use std::ffi::OsString;
use std::path::Path;

use crate::formats::wim::reparse::{LinkTarget, NOT_FIXED};
use crate::image::Reparse;
use crate::transfer::host_name::{self, NameRules};

const BACKSLASH: u16 = b'\\' as u16;
const COLON: u16 = b':' as u16;

/// The text of the link; none when the reparse point is no link, is damaged, or leads where the host has no name for.
///
/// `fixed_root` is where the root of the image lies now: links that were fixed up at capture lead there.
pub(in crate::transfer) fn of_reparse_point(
    reparse: Reparse,
    data: &[u8],
    fixed_root: Option<&Path>,
    rules: NameRules,
) -> Option<OsString> {
    let target = LinkTarget::parse(reparse.tag, data).ok()??;
    let name = target.substitute.units();
    if name.is_empty() || name.contains(&0) {
        return None;
    }
    if target.is_relative {
        return Some(host_name::to_host(&turned(name, rules)));
    }
    let kernel_prefix: Vec<u16> = "\\??\\".encode_utf16().collect();
    let (path, had_prefix) = match name.strip_prefix(&*kernel_prefix) {
        Some(path) => (path, true),
        None => (name, false),
    };
    let rest = match path {
        [drive, COLON, rest @ ..] if is_letter(*drive) && matches!(rest, [] | [BACKSLASH, ..]) => rest,
        // From the root of the current drive.
        [BACKSLASH, second, ..] if !had_prefix && *second != BACKSLASH => path,
        _ if rules == NameRules::Windows && had_prefix => return Some(host_name::to_host(path)),
        _ => return None,
    };
    let below: &[u16] = rest.iter().position(|&unit| unit != BACKSLASH).map_or(&[], |start| &rest[start..]);
    if let Some(root) = fixed_root.filter(|_| reparse.flags & NOT_FIXED == 0) {
        let below = host_name::to_host(&turned(below, rules));
        return Some(if below.is_empty() { root.into() } else { root.join(below).into() });
    }
    match rules {
        NameRules::Unix => {
            Some(host_name::to_host(&[&[u16::from(b'/')], turned(below, rules).as_slice()].concat()))
        }
        NameRules::Windows => Some(host_name::to_host(path)),
    }
}

/// With the separators of the host. Unix may have a backslash in a name, which capturing made a slash; both turn.
fn turned(name: &[u16], rules: NameRules) -> Vec<u16> {
    const SLASH: u16 = b'/' as u16;
    let turn = |unit: u16| match unit {
        BACKSLASH if rules == NameRules::Unix => SLASH,
        SLASH if rules == NameRules::Unix => BACKSLASH,
        other => other,
    };
    name.iter().map(|&unit| turn(unit)).collect()
}

fn is_letter(unit: u16) -> bool {
    u8::try_from(unit).is_ok_and(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::wim::reparse::{MOUNT_POINT, SYMLINK, WOF};

    fn text(
        substitute: &str,
        is_relative: bool,
        flags: u16,
        root: Option<&str>,
        rules: NameRules,
    ) -> Option<String> {
        let target = LinkTarget { substitute: substitute.into(), print: "".into(), is_relative };
        let data = target.to_symlink_data().unwrap();
        let reparse = Reparse { tag: SYMLINK, reserved: 0, flags };
        of_reparse_point(reparse, &data, root.map(Path::new), rules).map(|text| text.into_string().unwrap())
    }

    #[test]
    fn links_on_unix() {
        let unix = |name, relative, flags, root| text(name, relative, flags, root, NameRules::Unix);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(unix("..\\a\\b", true, 1, None), some("../a/b"));
        assert_eq!(unix("a/b\\c", true, 1, None), some("a\\b/c"));
        assert_eq!(unix("\\??\\C:\\/a/b", false, 1, None), some("/\\a\\b"));
        assert_eq!(unix("\\??\\C:\\Users", false, 1, Some("/t")), some("/Users"));
        assert_eq!(unix("\\??\\C:\\Users", false, 0, Some("/t")), some("/t/Users"));
        assert_eq!(unix("\\??\\C:\\Users", false, 0, None), some("/Users"));
        assert_eq!(unix("\\??\\C:", false, 0, Some("/t")), some("/t"));
        assert_eq!(unix("\\??\\C:\\", false, 1, None), some("/"));
        assert_eq!(unix("D:\\x", false, 1, None), some("/x"));
        assert_eq!(unix("\\Users", false, 1, None), some("/Users"));
        // What climbs is text like any other: links are never followed here.
        assert_eq!(unix("..\\..\\..\\etc\\passwd", true, 1, None), some("../../../etc/passwd"));
        for none in
            ["\\??\\Volume{0}\\", "\\??\\UNC\\server\\share", "\\\\server\\share", "a\0b", "\\??\\C:x"]
        {
            assert_eq!(unix(none, false, 1, Some("/t")), None, "{none:?}");
        }
        assert_eq!(unix("", true, 1, None), None);
    }

    #[test]
    fn links_on_windows_and_other_reparse_points() {
        let windows = |name, relative| text(name, relative, 1, None, NameRules::Windows);
        assert_eq!(windows("..\\a", true), Some("..\\a".to_owned()));
        assert_eq!(windows("\\??\\C:\\Users", false), Some("C:\\Users".to_owned()));
        assert_eq!(windows("\\??\\Volume{0}\\", false), Some("Volume{0}\\".to_owned()));
        let reparse = |tag| Reparse { tag, reserved: 0, flags: 1 };
        assert_eq!(of_reparse_point(reparse(WOF), &[0; 40], None, NameRules::Unix), None);
        assert_eq!(of_reparse_point(reparse(MOUNT_POINT), &[0xFF; 3], None, NameRules::Unix), None);
    }
}
