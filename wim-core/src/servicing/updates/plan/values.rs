//! Registry values of components: which hive and key they mean, and their data as it is stored.
//!
//! Source: updates.md 4.3; "Registry Keys Affected by WOW64" of the Windows documentation for which keys 32-bit programs of a
//! 64-bit Windows share. What is not certain is refused by name.

use super::destination::{Bitness, DAMAGED, expand_text, uncertain};
use crate::base::hex;
use crate::base::{Architecture, Error, Result};
use crate::formats::cbs::{RegistryKeyEntry, RegistryValueEntry};
use crate::formats::hive::{RegValue, reg_type};
use crate::servicing::hive_set::{HiveName, HiveSet};
use crate::servicing::registry::{self, PathMap};

/// Subkeys of `SOFTWARE\Classes` of which 32-bit programs have their own, below `Classes\Wow6432Node`.
const OWN_CLASSES: [&str; 5] = ["CLSID", "DirectShow", "Interface", "Media Type", "MediaFoundation"];
/// Subkeys of `SOFTWARE\Classes` that both share.
const SHARED_CLASSES: [&str; 2] = ["TypeLib", "AppID"];
/// Keys of SOFTWARE that both share, on Windows 7 and later.
const SHARED: [&str; 34] = [
    "Clients",
    "Policies",
    "RegisteredApplications",
    "Microsoft\\COM3",
    "Microsoft\\CTF\\SystemShared",
    "Microsoft\\CTF\\TIP",
    "Microsoft\\DFS",
    "Microsoft\\Driver Signing",
    "Microsoft\\EnterpriseCertificates",
    "Microsoft\\EventSystem",
    "Microsoft\\MSMQ",
    "Microsoft\\Non-Driver Signing",
    "Microsoft\\OLE",
    "Microsoft\\RAS",
    "Microsoft\\RPC",
    "Microsoft\\SystemCertificates",
    "Microsoft\\TermServLicensing",
    "Microsoft\\Transaction Server",
    "Microsoft\\Windows\\CurrentVersion\\Explorer\\DriveIcons",
    "Microsoft\\Windows\\CurrentVersion\\Explorer\\KindMap",
    "Microsoft\\Windows\\CurrentVersion\\Group Policy",
    "Microsoft\\Windows\\CurrentVersion\\Policies",
    "Microsoft\\Windows\\CurrentVersion\\PreviewHandlers",
    "Microsoft\\Windows\\CurrentVersion\\Setup",
    "Microsoft\\Windows NT\\CurrentVersion\\Console",
    "Microsoft\\Windows NT\\CurrentVersion\\FontLink",
    "Microsoft\\Windows NT\\CurrentVersion\\Fonts",
    "Microsoft\\Windows NT\\CurrentVersion\\FontSubstitutes",
    "Microsoft\\Windows NT\\CurrentVersion\\LanguagePack",
    "Microsoft\\Windows NT\\CurrentVersion\\NetworkCards",
    "Microsoft\\Windows NT\\CurrentVersion\\Perflib",
    "Microsoft\\Windows NT\\CurrentVersion\\Ports",
    "Microsoft\\Windows NT\\CurrentVersion\\Print",
    "Microsoft\\Windows NT\\CurrentVersion\\ProfileList",
];

/// For whom values are meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueContext<'t> {
    /// Bitness of the component.
    pub(super) bitness: Bitness,
    /// Architecture of the image.
    pub(super) image: Architecture,
    /// Name of the system drive, such as `C:`, if the image tells it.
    pub(super) system_drive: Option<&'t str>,
}

/// Keys of hives that a manifest's key means: several when it leads through `CurrentControlSet`.
///
/// # Errors
/// `InvalidInput` and `Unsupported` for keys that mean no certain place.
pub(super) fn places(
    key: &RegistryKeyEntry,
    context: ValueContext<'_>,
    hives: &mut HiveSet<'_>,
) -> Result<Vec<(HiveName, String)>> {
    if key.path.contains("$(") {
        return Err(uncertain(format!("a macro in the registry key {}", key.path)));
    }
    let mut places = registry::resolve(hives, &key.path, &PathMap::default())?;
    if context.bitness == Bitness::Wow {
        for (hive, path) in &mut places {
            if *hive == HiveName::Software {
                *path = for_32_bit(path)?;
            }
        }
    }
    Ok(places)
}

/// Whether `path` is `parent` or lies below it.
fn is_below(path: &str, parent: &str) -> bool {
    path.get(..parent.len()).is_some_and(|start| start.eq_ignore_ascii_case(parent))
        && path.get(parent.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
}

/// The key of SOFTWARE that a 32-bit program reaches by this path.
fn for_32_bit(path: &str) -> Result<String> {
    if is_below(path, "Wow6432Node") || SHARED.iter().any(|shared| is_below(path, shared)) {
        return Ok(path.to_owned());
    }
    if is_below(path, "Classes") {
        let rest = path.get("Classes\\".len()..).unwrap_or("");
        if OWN_CLASSES.iter().any(|own| is_below(rest, own)) {
            return Ok(format!("Classes\\Wow6432Node\\{rest}"));
        }
        if SHARED_CLASSES.iter().any(|shared| is_below(rest, shared)) {
            return Ok(path.to_owned());
        }
        return Err(uncertain(format!(
            "whether SOFTWARE\\{path} of a 32-bit component is shared is not known for certain"
        )));
    }
    Ok(format!("Wow6432Node\\{path}"))
}

/// Type and data of a value as the hive stores them.
///
/// # Errors
/// `Unsupported` for an unknown type, a macro that is not known, or anything but replacing what was there; `Format` for data that its
/// type does not allow.
pub(super) fn data(value: &RegistryValueEntry, context: ValueContext<'_>) -> Result<RegValue> {
    if let Some(hint) = value.operation_hint.as_deref().filter(|hint| !hint.eq_ignore_ascii_case("replace")) {
        let message = format!("the registry value {:?} is to be merged ({hint}), not replaced", value.name);
        return Err(uncertain(message));
    }
    let raw = value.data.as_deref().unwrap_or("");
    let bad = || {
        let message = format!("{raw:?} is no {} of the registry value {:?}", value.kind, value.name);
        Error::new(crate::base::ErrorKind::Format, message).remedy(DAMAGED)
    };
    let expand = |text: &str| expand_text(text, context.bitness, context.image, context.system_drive);
    match value.kind.to_ascii_uppercase().as_str() {
        "REG_SZ" => Ok(RegValue::sz(&expand(raw)?)),
        "REG_EXPAND_SZ" => Ok(RegValue::expand_sz(&expand(raw)?)),
        "REG_MULTI_SZ" => {
            let texts: Vec<String> = multi_texts(raw).ok_or_else(bad)?;
            let texts = texts.iter().map(|text| expand(text)).collect::<Result<Vec<String>>>()?;
            Ok(RegValue::multi_sz(&texts))
        }
        "REG_DWORD" => u32::try_from(number(raw).ok_or_else(bad)?).map(RegValue::dword).map_err(|_| bad()),
        "REG_QWORD" => number(raw).map(RegValue::qword).ok_or_else(bad),
        "REG_BINARY" => hex::decode(raw.trim()).map(RegValue::binary).ok_or_else(bad),
        "REG_NONE" => Ok(RegValue::new(reg_type::NONE, hex::decode(raw.trim()).ok_or_else(bad)?)),
        kind => Err(uncertain(format!("the type {kind:?} of the registry value {:?}", value.name))),
    }
}

/// `0x1F`, or decimal digits; nothing is 0.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        _ if text.is_empty() => Some(0),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

/// `"a","b"`: texts in quotes with commas between them; quotes inside are doubled.
fn multi_texts(text: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let mut inside = String::new();
        let mut chars = rest.strip_prefix('"')?.char_indices().peekable();
        let end = loop {
            match chars.next()? {
                (_, '"') if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    chars.next();
                    inside.push('"');
                }
                (at, '"') => break at,
                (_, c) => inside.push(c),
            }
        };
        texts.push(inside);
        rest = rest.get(end + 2..)?.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => {}
            None => return None,
        }
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    fn read(kind: &str, text: &str) -> Result<RegValue> {
        let value = RegistryValueEntry {
            name: "v".to_owned(),
            kind: kind.to_owned(),
            data: Some(text.to_owned()),
            operation_hint: None,
            is_mutable: false,
        };
        let context =
            ValueContext { bitness: Bitness::Native, image: Architecture::Amd64, system_drive: Some("C:") };
        data(&value, context)
    }

    #[test]
    fn data_of_every_type() {
        assert_eq!(read("REG_SZ", "$(runtime.inf)").unwrap(), RegValue::sz("C:\\Windows\\INF"));
        assert_eq!(read("REG_EXPAND_SZ", "%x%").unwrap(), RegValue::expand_sz("%x%"));
        assert_eq!(read("REG_DWORD", "0x0000001F").unwrap(), RegValue::dword(31));
        assert_eq!(read("REG_DWORD", "31").unwrap(), RegValue::dword(31));
        assert_eq!(read("REG_QWORD", "0x100000000").unwrap(), RegValue::qword(1 << 32));
        assert_eq!(read("REG_BINARY", "00fF10").unwrap(), RegValue::binary([0, 255, 16]));
        assert_eq!(read("REG_NONE", "").unwrap(), RegValue::new(0, []));
        assert_eq!(
            read("REG_MULTI_SZ", "\"a\", \"b\"\"c\",\"\"").unwrap(),
            RegValue::multi_sz(&["a", "b\"c", ""])
        );
        assert_eq!(read("REG_MULTI_SZ", "").unwrap(), RegValue::multi_sz::<&str>(&[]));
        for (kind, text) in [
            ("REG_DWORD", "0x100000000"),
            ("REG_DWORD", "-1"),
            ("REG_DWORD", "0xé"),
            ("REG_BINARY", "0"),
            ("REG_BINARY", "0é"),
            ("REG_MULTI_SZ", "a"),
            ("REG_MULTI_SZ", "\"a"),
            ("REG_MULTI_SZ", "\"a\"x"),
        ] {
            assert_eq!(read(kind, text).unwrap_err().kind(), ErrorKind::Format, "{kind} {text}");
        }
        assert_eq!(read("REG_LINK", "").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn keys_of_32_bit_components() {
        for (path, expected) in [
            ("Microsoft\\X", "Wow6432Node\\Microsoft\\X"),
            ("Microsoft\\OLE\\X", "Microsoft\\OLE\\X"),
            ("Microsoft\\OLEX", "Wow6432Node\\Microsoft\\OLEX"),
            ("classes\\clsid\\{1}", "Classes\\Wow6432Node\\clsid\\{1}"),
            ("Classes\\TypeLib\\{1}", "Classes\\TypeLib\\{1}"),
            ("Wow6432Node\\X", "Wow6432Node\\X"),
        ] {
            assert_eq!(for_32_bit(path).unwrap(), expected);
        }
        assert!(for_32_bit("Classes\\.txt").is_err() && for_32_bit("Classes").is_err());
    }
}
