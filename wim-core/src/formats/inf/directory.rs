//! Directory ids: the numbers by which INFs name folders of Windows.
//!
//! Source: drivers.md 1.6. A folder is given relative to the system drive, in the spelling of a fresh Windows; the reader of an
//! image finds it without regard to case. Ids that name a user's or a printer's folders have no place in an image.

use crate::base::Architecture;

/// Where a directory id leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directory {
    /// A folder of the image, from the root of the system drive, without a leading backslash; empty for the root.
    Folder(String),
    /// The folder the INF lies in (id 1).
    Source,
    /// The package's folder in the driver store (id 13, Windows 8.1 and later).
    DriverStore,
    /// An absolute path in the sub-folder field (ids 65535 and -1).
    Absolute,
    /// An id without a fixed place in an image; the text says why.
    Unusable(&'static str),
}

/// What `id` means in an image of `arch`.
#[must_use]
pub fn lookup(id: u32, arch: Architecture) -> Directory {
    let spool = || match arch {
        Architecture::X86 => "w32x86",
        Architecture::Amd64 => "x64",
        Architecture::Ia64 => "ia64",
        Architecture::Arm => "arm",
        Architecture::Arm64 => "arm64",
    };
    let folder = |text: &str| Directory::Folder(text.to_owned());
    match id {
        1 => Directory::Source,
        13 => Directory::DriverStore,
        24 | 30 | 54 => folder(""),
        52 => Directory::Folder(format!("Windows\\System32\\spool\\drivers\\{}", spool())),
        55 => Directory::Folder(format!("Windows\\System32\\spool\\prtprocs\\{}", spool())),
        16406 => folder("ProgramData\\Microsoft\\Windows\\Start Menu"),
        16419 => folder("ProgramData"),
        16422 => folder("Program Files"),
        16426 if arch == Architecture::X86 => folder("Program Files"),
        16426 => folder("Program Files (x86)"),
        16427 => folder("Program Files\\Common Files"),
        16428 if arch == Architecture::X86 => folder("Program Files\\Common Files"),
        16428 => folder("Program Files (x86)\\Common Files"),
        16425 if arch == Architecture::X86 => folder("Windows\\System32"),
        16430 => folder("Users\\Public\\Documents"),
        65535 | u32::MAX => Directory::Absolute,
        53 => Directory::Unusable("a user's profile"),
        66000..=66003 => Directory::Unusable("a printer's folder"),
        _ => match under_windows(id) {
            Some("") => folder("Windows"),
            Some(rest) => Directory::Folder(format!("Windows\\{rest}")),
            None if (16384..16512).contains(&id) => Directory::Unusable("a shell folder of a user"),
            None => Directory::Unusable("an unknown directory id"),
        },
    }
}

/// The folder below the Windows directory, for the ids that lie there whatever the architecture.
const fn under_windows(id: u32) -> Option<&'static str> {
    Some(match id {
        10 | 25 => "",
        11 => "System32",
        12 => "System32\\drivers",
        17 => "INF",
        18 => "Help",
        20 => "Fonts",
        21 => "System32\\viewers",
        23 => "System32\\spool\\drivers\\color",
        50 => "System",
        51 => "System32\\spool",
        16425 => "SysWOW64",
        _ => return None,
    })
}

/// What `%id%` becomes in a registry value: a path that is right on any drive. None for ids that only a package's place
/// decides (1 and 13), which stay in the text as they are.
#[must_use]
pub fn registry_path(id: u32) -> Option<String> {
    Some(match id {
        24 | 30 | 54 => "%SystemDrive%".into(),
        16419 => "%ProgramData%".into(),
        16422 => "%ProgramFiles%".into(),
        16426 => "%ProgramFiles(x86)%".into(),
        16427 => "%CommonProgramFiles%".into(),
        16428 => "%CommonProgramFiles(x86)%".into(),
        _ => match under_windows(id)? {
            "" => "%SystemRoot%".into(),
            "INF" => "%SystemRoot%\\inf".into(),
            rest => format!("%SystemRoot%\\{rest}"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_ids() {
        let amd64 = |id| lookup(id, Architecture::Amd64);
        assert_eq!(amd64(12), Directory::Folder("Windows\\System32\\drivers".into()));
        assert_eq!(amd64(10), Directory::Folder("Windows".into()));
        assert_eq!(amd64(24), Directory::Folder(String::new()));
        assert_eq!(amd64(16425), Directory::Folder("Windows\\SysWOW64".into()));
        assert_eq!(lookup(16425, Architecture::X86), Directory::Folder("Windows\\System32".into()));
        assert_eq!(amd64(13), Directory::DriverStore);
        assert!(matches!(amd64(66000), Directory::Unusable(_)));
        assert!(matches!(amd64(16400), Directory::Unusable(_)));
        assert_eq!(registry_path(12).as_deref(), Some("%SystemRoot%\\System32\\drivers"));
        assert_eq!(registry_path(13), None);
    }
}
