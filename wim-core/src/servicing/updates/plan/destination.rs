//! Where manifests put things: macros to paths of the image, and to the paths that Windows will know.
//!
//! Source: updates.md 4.4. In a path a macro stands at the start and nowhere else, in text anywhere; one that is not known, or whose meaning is
//! not certain for an architecture, refuses the package by name. Paths cannot leave the image.

use crate::base::{Architecture, Error, Result};
use crate::image::WimPath;
use crate::image::edit::{View, as_spelt};

/// What the user can do about a package whose meaning is not certain here.
pub(super) const LEAVE_IT_TO_WINDOWS: &str =
    "install this package in the running Windows, or with DISM; the others are not affected";

/// What the user can do about a package that breaks its own rules.
pub(super) const DAMAGED: &str = "the package is damaged or made to do harm; get it again from its source";

/// For whom a component is, on the image at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bitness {
    /// The image's own architecture.
    Native,
    /// 32-bit components (`x86`, `wow64`) of a 64-bit image.
    Wow,
}

impl Bitness {
    /// That of a component with this architecture.
    #[must_use]
    pub(super) fn of(component: &str, image: Architecture) -> Self {
        let is_32 = component.eq_ignore_ascii_case("x86") || component.eq_ignore_ascii_case("wow64");
        if is_32 && image != Architecture::X86 { Self::Wow } else { Self::Native }
    }
}

/// Macro, folder of native components, folder of 32-bit components on a 64-bit image; none where that is not certain.
const MACROS: &[(&str, &str, Option<&str>)] = &[
    ("runtime.system32", "\\Windows\\System32", Some("\\Windows\\SysWOW64")),
    ("runtime.syswow64", "\\Windows\\SysWOW64", Some("\\Windows\\SysWOW64")),
    ("runtime.drivers", "\\Windows\\System32\\drivers", None),
    ("runtime.wbem", "\\Windows\\System32\\wbem", Some("\\Windows\\SysWOW64\\wbem")),
    ("runtime.windows", "\\Windows", Some("\\Windows")),
    ("runtime.windir", "\\Windows", Some("\\Windows")),
    ("runtime.systemroot", "\\Windows", Some("\\Windows")),
    ("runtime.system", "\\Windows\\System", Some("\\Windows\\System")),
    ("runtime.inf", "\\Windows\\INF", Some("\\Windows\\INF")),
    ("runtime.fonts", "\\Windows\\Fonts", Some("\\Windows\\Fonts")),
    ("runtime.help", "\\Windows\\Help", Some("\\Windows\\Help")),
    ("runtime.apppatch", "\\Windows\\AppPatch", None),
    ("runtime.programfiles", "\\Program Files", Some("\\Program Files (x86)")),
    ("runtime.programfilesx86", "\\Program Files (x86)", Some("\\Program Files (x86)")),
    ("runtime.commonfiles", "\\Program Files\\Common Files", Some("\\Program Files (x86)\\Common Files")),
    (
        "runtime.commonfilesx86",
        "\\Program Files (x86)\\Common Files",
        Some("\\Program Files (x86)\\Common Files"),
    ),
    ("runtime.programdata", "\\ProgramData", Some("\\ProgramData")),
    ("runtime.public", "\\Users\\Public", Some("\\Users\\Public")),
    (
        "runtime.startmenu",
        "\\ProgramData\\Microsoft\\Windows\\Start Menu",
        Some("\\ProgramData\\Microsoft\\Windows\\Start Menu"),
    ),
    ("runtime.bootdrive", "\\", Some("\\")),
    ("runtime.systemdrive", "\\", Some("\\")),
];

/// The folder of a macro.
fn folder_of(name: &str, bitness: Bitness, image: Architecture) -> Result<&'static str> {
    let known = MACROS.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(name));
    let folder = match (known, bitness) {
        (Some((_, native, _)), Bitness::Native) => Some(*native),
        (Some((_, _, wow)), Bitness::Wow) => *wow,
        (None, _) => None,
    };
    match folder {
        // A 32-bit image has one of each.
        Some("\\Program Files (x86)") if image == Architecture::X86 => Ok("\\Program Files"),
        Some("\\Program Files (x86)\\Common Files") if image == Architecture::X86 => {
            Ok("\\Program Files\\Common Files")
        }
        Some("\\Windows\\SysWOW64") if image == Architecture::X86 => Ok("\\Windows\\System32"),
        Some(folder) => Ok(folder),
        None if known.is_some() => Err(uncertain(format!(
            "what $({name}) means to a 32-bit component of a 64-bit image is not known for certain"
        ))),
        None => Err(uncertain(format!("the macro $({name}) is not known"))),
    }
}

/// The refusal of what would be a guess.
pub(super) fn uncertain(message: impl Into<String>) -> Error {
    Error::unsupported(message).remedy(LEAVE_IT_TO_WINDOWS)
}

/// Splits a path into its macro and the rest; none when it does not begin with one.
fn split_macro(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("$(")?.split_once(')')
}

/// The path in the image that `text` means, spelt as the image spells what is there.
///
/// # Errors
/// `Unsupported` for an unknown macro or a path without one, `InvalidInput` for a path that leads out.
pub(super) fn image_path(
    text: &str,
    bitness: Bitness,
    image: Architecture,
    view: &dyn View,
) -> Result<WimPath> {
    let Some((name, rest)) = split_macro(text) else {
        return Err(uncertain(format!("the path {text:?} does not begin with a macro")));
    };
    if rest.contains("$(") {
        return Err(uncertain(format!("a macro within the path {text:?}")));
    }
    let path = WimPath::parse(folder_of(name, bitness, image)?)?.join(rest).map_err(|e| e.remedy(DAMAGED))?;
    Ok(as_spelt(&path, view))
}

/// Text of a registry value with its macros replaced by the paths that Windows will know, such as `C:\Windows`.
///
/// # Errors
/// `Unsupported` for an unknown macro, or when the image does not say what its system drive is called.
pub(super) fn expand_text(
    text: &str,
    bitness: Bitness,
    image: Architecture,
    system_drive: Option<&str>,
) -> Result<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        let Some((name, after)) = after.split_once(')') else {
            return Err(uncertain(format!("a macro without an end in {text:?}")));
        };
        let drive = system_drive.ok_or_else(|| {
            uncertain(format!("{text:?} needs the name of the system drive, which the image does not tell"))
        })?;
        let folder = folder_of(name, bitness, image)?;
        expanded.push_str(before);
        expanded.push_str(drive);
        // The root of a drive has a backslash of its own in what follows, or needs none.
        expanded.push_str(folder.trim_end_matches('\\'));
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;
    use crate::image::edit::EntryInfo;
    use std::sync::Arc;

    struct Nothing;

    impl View for Nothing {
        fn entry(&self, _: &WimPath) -> Option<EntryInfo> {
            None
        }

        fn list(&self, _: &WimPath) -> Option<Vec<EntryInfo>> {
            None
        }

        fn read(&self, _: &WimPath, _: u64) -> Result<Arc<[u8]>> {
            Err(Error::not_found("nothing is here"))
        }
    }

    #[test]
    fn macros_lead_to_folders_of_both_bitnesses() {
        let path = |text: &str, bitness| {
            image_path(text, bitness, Architecture::Amd64, &Nothing).map(|p| p.to_string())
        };
        for (text, native, wow) in [
            ("$(runtime.system32)\\", "\\Windows\\System32", "\\Windows\\SysWOW64"),
            ("$(Runtime.ProgramFiles)\\a\\b", "\\Program Files\\a\\b", "\\Program Files (x86)\\a\\b"),
            ("$(runtime.bootDrive)\\sources\\recovery\\", "\\sources\\recovery", "\\sources\\recovery"),
        ] {
            assert_eq!(path(text, Bitness::Native).unwrap(), native);
            assert_eq!(path(text, Bitness::Wow).unwrap(), wow);
        }
        let x86 =
            image_path("$(runtime.programFilesX86)", Bitness::Native, Architecture::X86, &Nothing).unwrap();
        assert_eq!(x86.to_string(), "\\Program Files");
        let refused = |text: &str, bitness| path(text, bitness).unwrap_err();
        assert!(
            refused("$(runtime.nonsense)\\a", Bitness::Native).to_string().contains("$(runtime.nonsense)")
        );
        assert_eq!(refused("$(runtime.drivers)", Bitness::Wow).kind(), ErrorKind::Unsupported);
        for text in ["a\\b", "C:\\a", "", "$(runtime.windows", "$(runtime.windows)\\$(runtime.inf)"] {
            let error = refused(text, Bitness::Native);
            assert!(
                error.kind() == ErrorKind::Unsupported && error.remedy_text().is_some(),
                "{text}: {error}"
            );
        }
        for text in ["$(runtime.windows)\\..\\x", "$(runtime.windows)\\a:b", "$(runtime.windows)/../../x"] {
            assert_eq!(refused(text, Bitness::Native).kind(), ErrorKind::InvalidInput, "{text}");
        }
    }

    #[test]
    fn texts_get_the_paths_that_windows_will_know() {
        let expand = |text: &str, drive| expand_text(text, Bitness::Wow, Architecture::Amd64, drive);
        assert_eq!(
            expand("\"$(runtime.system32)\\a.dll\",1", Some("C:")).unwrap(),
            "\"C:\\Windows\\SysWOW64\\a.dll\",1"
        );
        assert_eq!(
            expand("$(runtime.systemDrive)\\x $(runtime.inf)", Some("D:")).unwrap(),
            "D:\\x D:\\Windows\\INF"
        );
        assert_eq!(expand("%SystemRoot%\\x", None).unwrap(), "%SystemRoot%\\x");
        assert!(expand("$(runtime.inf)", None).is_err() && expand("$(x", Some("C:")).is_err());
    }
}
