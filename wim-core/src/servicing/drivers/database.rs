//! `DriverDatabase`: the registry's index of the driver store, from Windows 8 on.
//!
//! Source: drivers.md 5, compared with the 239 packages in the SYSTEM hive of a Windows 10 21H2. Here are its values and keys, which
//! numbers are free, and how a package is taken out of it; what is written for a package is `level_b`'s affair. Values whose
//! meaning nobody has published are left out: Windows makes them again.

use std::collections::BTreeSet;

use crate::base::{Architecture, FileTime, Guid, Result};
use crate::formats::hive::RegValue;
use crate::formats::inf::DriverVer;
use crate::image::WimPath;
use crate::image::edit::View;
use crate::servicing::hive_set::{HiveName, HiveSet};

/// The key of the database in either hive.
pub const ROOT: &str = "DriverDatabase";
/// Which numbers of `oemN.inf` are taken; SYSTEM only.
pub const OEM_INF_MAP: &str = "OemInfMap";
/// When the database of a hive was last changed.
pub const UPDATE_DATE: &str = "UpdateDate";
/// Hives that may hold packages.
pub const HIVES: [HiveName; 2] = [HiveName::System, HiveName::Drivers];
/// Where the store's folders, published INFs and catalogs lie.
pub const FILE_REPOSITORY: &str = "\\Windows\\System32\\DriverStore\\FileRepository";
pub(super) const INF_FOLDER: &str = "\\Windows\\INF";
pub(super) const CATALOG_FOLDER: &str =
    "\\Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
/// Files that Windows guards for drivers, in SOFTWARE: one key for each.
pub(super) const LOCKDOWN: &str = "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles";
/// Greatest number of an `oemN.inf` that is given out.
const MAX_NUMBER: u32 = 9999;

/// What decides which hive's database gets a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageKind {
    /// Windows needs it to boot.
    BootCritical,
    /// It extends another driver.
    Extension,
    /// Neither.
    Other,
}

/// A date of change for a database whose last one is `present`: `time`, if that is later, else the next moment after it, so that a
/// change is seen as one whatever the date of the image.
#[must_use]
pub fn later_than(present: Option<&RegValue>, time: FileTime) -> FileTime {
    let known = present.and_then(|value| Some(u64::from_le_bytes(*value.data.first_chunk()?)));
    // One that is beyond all dates is damaged.
    let next = known.map(|known| known.saturating_add(1)).filter(|&next| next < i64::MAX as u64);
    FileTime(next.map_or(time.0, |next| next.max(time.0)))
}

/// The hive whose database gets a package: SYSTEM for boot-critical classes and extensions, as a real SYSTEM hive has them; DRIVERS
/// for the rest, where the image has that hive.
pub fn hive_of(hives: &mut HiveSet<'_>, kind: PackageKind) -> HiveName {
    match kind {
        PackageKind::Other if hives.has(HiveName::Drivers) => HiveName::Drivers,
        PackageKind::BootCritical | PackageKind::Extension | PackageKind::Other => HiveName::System,
    }
}

/// The number in `oemN.inf`. More than six digits are no number: a map of them all would be too large.
#[must_use]
pub fn number_of(published: &str) -> Option<u32> {
    let lower = published.to_ascii_lowercase();
    let digits = lower.strip_prefix("oem")?.strip_suffix(".inf")?;
    (!digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Number `n` lies in byte `n / 8`, the highest bit first.
const fn bit(number: u32) -> (usize, u8) {
    ((number / 8) as usize, 0x80 >> (number % 8))
}

/// The map with a number taken; it is as long as its highest number needs.
#[must_use]
pub fn with_number(map: &[u8], number: u32) -> Vec<u8> {
    let (at, mask) = bit(number);
    let mut map = map.to_vec();
    if map.len() <= at {
        map.resize(at + 1, 0);
    }
    if let Some(byte) = map.get_mut(at) {
        *byte |= mask;
    }
    map
}

/// The map with a number free again.
#[must_use]
pub fn without_number(map: &[u8], number: u32) -> Vec<u8> {
    let (at, mask) = bit(number);
    let mut map = map.to_vec();
    if let Some(byte) = map.get_mut(at) {
        *byte &= !mask;
    }
    while map.last() == Some(&0) {
        map.pop();
    }
    map
}

fn has_number(map: &[u8], number: u32) -> bool {
    let (at, mask) = bit(number);
    map.get(at).is_some_and(|byte| byte & mask != 0)
}

/// The lowest number that no published INF has: not as a file, not in either hive, not in the map. None when all are taken.
///
/// `is_taken` says of a path of the image whether a file is there.
///
/// # Errors
/// What reading the hives gives.
pub fn free_number(hives: &mut HiveSet<'_>, is_taken: impl Fn(&WimPath) -> bool) -> Result<Option<u32>> {
    let map = hives.get(HiveName::System, ROOT, OEM_INF_MAP)?.map(|value| value.data).unwrap_or_default();
    let mut taken = BTreeSet::new();
    for hive in HIVES {
        let names = hives.subkeys(hive, &format!("{ROOT}\\DriverInfFiles"))?;
        taken.extend(names.iter().filter_map(|name| number_of(name)));
    }
    let folder = WimPath::parse(INF_FOLDER)?;
    Ok((0..=MAX_NUMBER).find(|number| {
        !taken.contains(number)
            && !has_number(&map, *number)
            && !is_taken(&folder.child(format!("oem{number}.inf").as_str()))
    }))
}

/// Published names of a package folder, in either hive.
///
/// # Errors
/// What reading the hives gives.
pub fn published_as(hives: &mut HiveSet<'_>, package: &str) -> Result<Option<(HiveName, String)>> {
    for hive in HIVES {
        let key = format!("{ROOT}\\DriverPackages\\{package}");
        let name = hives.get(hive, &key, "")?.and_then(|value| value.as_str());
        if let Some(name) = name.filter(|name| number_of(name).is_some()) {
            return Ok(Some((hive, name)));
        }
    }
    Ok(None)
}

/// The published INF that has these bytes already, when Windows itself has staged the package: its name and folder name.
///
/// # Errors
/// What reading the hives gives.
pub fn staged_by_windows(
    view: &dyn View,
    hives: &mut HiveSet<'_>,
    inf: &[u8],
    inf_name: &str,
) -> Result<Option<(String, String)>> {
    let digest = crate::base::Sha1Digest::of(inf);
    for entry in view.list(&WimPath::parse(INF_FOLDER)?).unwrap_or_default() {
        let name = entry.name.to_text();
        if number_of(&name).is_none() || entry.size != inf.len() as u64 || entry.digest != digest {
            continue;
        }
        for hive in HIVES {
            let key = format!("{ROOT}\\DriverInfFiles\\{name}");
            let package = hives.get(hive, &key, "Active")?.and_then(|value| value.as_str());
            let wanted = format!("{}_", inf_name.to_lowercase());
            if let Some(package) = package.filter(|package| package.to_lowercase().starts_with(&wanted)) {
                return Ok(Some((name, package)));
            }
        }
    }
    Ok(None)
}

/// The word that says for which processor a package is.
///
/// The image's own `Architecture` value says it where there is one (9 in a real amd64 hive); else the processor's number in
/// Windows' headers, except that 9 is written for x86 too, as tools whose guests boot do. UNVERIFIED on arm64.
///
/// # Errors
/// What reading the SYSTEM hive gives.
pub fn architecture_word(hives: &mut HiveSet<'_>, arch: Architecture) -> Result<u16> {
    let of_image = hives.get(HiveName::System, ROOT, "Architecture")?.and_then(|value| value.as_dword());
    Ok(of_image.and_then(|word| u16::try_from(word).ok()).unwrap_or(match arch {
        Architecture::X86 | Architecture::Amd64 => 9,
        Architecture::Arm => 5,
        Architecture::Ia64 => 6,
        Architecture::Arm64 => 12,
    }))
}

/// The 48 bytes of a package's `Version`: without them Windows 10 does not know the package.
///
/// The last eight are zero for all third-party packages of a real hive.
#[must_use]
pub fn version_value(arch_word: u16, class: Guid, version: Option<DriverVer>) -> Vec<u8> {
    let mut bytes = vec![0x00, 0xFF];
    bytes.extend(arch_word.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(class.0);
    let (date, numbers) = version.map_or((0, [0; 4]), |v| (v.file_time().0, v.version));
    bytes.extend(date.to_le_bytes());
    numbers.iter().rev().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.extend([0; 8]);
    bytes
}

/// The key of a device id below `DeviceIds` or `Descriptors`: the id's own backslashes divide it.
#[must_use]
pub fn device_key(parent: &str, id: &str) -> String {
    let parts: Vec<&str> = id.split('\\').map(str::trim).filter(|part| !part.is_empty()).collect();
    format!("{parent}\\{}", parts.join("\\"))
}

/// True for what belongs to one package inside the database and is found there by its names when that goes, see [`forget`]: a value, or the
/// key itself. `published` is a name such as `oem3.inf`, `folder` that of the package's folder.
#[must_use]
pub fn is_record_of(key: &str, value: Option<&str>, published: &str, folder: &str) -> bool {
    let mut parts = key.split('\\');
    let is = |part: Option<&str>, name: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(name));
    let (root, kind, name) = (parts.next(), parts.next(), parts.next());
    is(root, ROOT)
        && (is(kind, "DriverInfFiles") && is(name, published)
            || is(kind, "DriverPackages") && is(name, folder)
            || is(kind, "DeviceIds")
                && name.is_some()
                && value.is_none_or(|value| is(Some(value), published)))
}

/// Takes packages out of both hives' databases: their own keys, and their values in `DeviceIds`, whose keys go when they become
/// empty. `published` are names such as `oem3.inf`, `folders` their package folders.
///
/// # Errors
/// What editing the hives gives.
pub fn forget(
    hives: &mut HiveSet<'_>,
    published: &BTreeSet<String>,
    folders: &BTreeSet<String>,
    reason: &str,
) -> Result<()> {
    for hive in HIVES {
        if !hives.key_exists(hive, ROOT)? {
            continue;
        }
        for name in published {
            hives.delete_key(hive, &format!("{ROOT}\\DriverInfFiles\\{name}"), reason)?;
        }
        for folder in folders {
            hives.delete_key(hive, &format!("{ROOT}\\DriverPackages\\{folder}"), reason)?;
        }
        for id in hives.subkeys(hive, &format!("{ROOT}\\DeviceIds"))? {
            forget_below(hives, hive, &format!("{ROOT}\\DeviceIds\\{id}"), published, reason, 0)?;
        }
    }
    Ok(())
}

/// Deepest id that is followed; real ones have two parts, a few have three.
const MAX_ID_DEPTH: usize = 8;

/// Takes the values of `published` out of a key and those below it; true when the key went because it became empty.
fn forget_below(
    hives: &mut HiveSet<'_>,
    hive: HiveName,
    key: &str,
    published: &BTreeSet<String>,
    reason: &str,
    depth: usize,
) -> Result<bool> {
    let values = hives.values(hive, key)?;
    let own: Vec<&String> =
        values.iter().map(|(name, _)| name).filter(|name| published.contains(&name.to_lowercase())).collect();
    for name in &own {
        hives.delete_value(hive, key, name, reason)?;
    }
    let below = hives.subkeys(hive, key)?;
    let mut gone = 0;
    if depth < MAX_ID_DEPTH {
        for child in &below {
            gone += usize::from(forget_below(
                hives,
                hive,
                &format!("{key}\\{child}"),
                published,
                reason,
                depth + 1,
            )?);
        }
    }
    let touched = gone > 0 || !own.is_empty();
    let empty = gone == below.len() && own.len() == values.len();
    if touched && empty {
        hives.delete_key(hive, key, reason)?;
    }
    Ok(touched && empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_a_database_goes_forward() {
        let of = |present: &[u8], time| later_than(Some(&RegValue::binary(present)), FileTime(time)).0;
        assert_eq!(later_than(None, FileTime(7)).0, 7);
        assert_eq!(of(&6_u64.to_le_bytes(), 7), 7);
        assert_eq!(of(&7_u64.to_le_bytes(), 7), 8);
        assert_eq!(of(&9_u64.to_le_bytes(), 7), 10);
        // What is no date stands in nobody's way.
        assert_eq!(of(&[1, 2], 7), 7);
        assert_eq!(of(&[0xFF; 8], 7), 7);
    }

    #[test]
    fn the_map_of_numbers() {
        let map = |numbers: &[u32]| numbers.iter().fold(Vec::new(), |map, &n| with_number(&map, n));
        for (numbers, bytes) in [
            (&[][..], &[][..]),
            (&[0], &[0x80]),
            (&[0, 1], &[0xC0]),
            (&[0, 1, 2], &[0xE0]),
            (&[0, 2], &[0xA0]),
            (&[8], &[0x00, 0x80]),
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8], &[0xFF, 0x80]),
            (&[15], &[0x00, 0x01]),
        ] {
            assert_eq!(map(numbers), bytes, "{numbers:?}");
        }
        assert_eq!(without_number(&map(&[0, 9]), 9), [0x80]);
        assert_eq!(without_number(&map(&[0, 9]), 0), [0x00, 0x40]);
        assert_eq!(without_number(&map(&[3]), 3), [0; 0]);
        assert_eq!(without_number(&[0x80], 77), [0x80]);
        assert_eq!(
            (number_of("oem12.inf"), number_of("OEM0.INF"), number_of("oemx.inf")),
            (Some(12), Some(0), None)
        );
    }

    /// The vectors of drivers.md 5.4, the first of them from a real Windows.
    #[test]
    fn versions_of_packages() {
        use super::super::boot::{SCSI_ADAPTER as SCSI, USB};
        let head = [0x00, 0xFF, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00];
        let scsi =
            [0x7B, 0xE9, 0x36, 0x4D, 0x25, 0xE3, 0xCE, 0x11, 0xBF, 0xC1, 0x08, 0x00, 0x2B, 0xE1, 0x03, 0x18];
        let usb =
            [0x60, 0x9E, 0xFC, 0x36, 0x65, 0xC4, 0xCF, 0x11, 0x80, 0x56, 0x44, 0x45, 0x53, 0x54, 0x00, 0x00];
        for (class, guid, date, version, tail) in [
            (
                SCSI,
                scsi,
                "06/04/2014",
                "62.71.104.8600",
                [
                    0x00, 0x40, 0x90, 0xED, 0x87, 0x7F, 0xCF, 0x01, 0x98, 0x21, 0x68, 0x00, 0x47, 0x00, 0x3E,
                    0x00,
                ],
            ),
            (
                SCSI,
                scsi,
                "08/30/2021",
                "100.85.104.20800",
                [
                    0x00, 0x40, 0xC3, 0xF9, 0x31, 0x9D, 0xD7, 0x01, 0x40, 0x51, 0x68, 0x00, 0x55, 0x00, 0x64,
                    0x00,
                ],
            ),
            (
                SCSI,
                scsi,
                "12/02/2021",
                "100.90.104.21500",
                [
                    0x00, 0xC0, 0x97, 0x8C, 0x0F, 0xE7, 0xD7, 0x01, 0xFC, 0x53, 0x68, 0x00, 0x5A, 0x00, 0x64,
                    0x00,
                ],
            ),
            (
                SCSI,
                scsi,
                "01/02/2020",
                "1.2.3.4",
                [
                    0x00, 0xC0, 0x6E, 0x93, 0xFF, 0xC0, 0xD5, 0x01, 0x04, 0x00, 0x03, 0x00, 0x02, 0x00, 0x01,
                    0x00,
                ],
            ),
            (
                USB,
                usb,
                "05/05/2017",
                "1.1.0.249",
                [
                    0x00, 0xC0, 0xE9, 0x89, 0x32, 0xC5, 0xD2, 0x01, 0xF9, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01,
                    0x00,
                ],
            ),
        ] {
            let value = version_value(9, Guid::parse(class).unwrap(), DriverVer::parse(date, Some(version)));
            assert_eq!(value, [&head[..], &guid, &tail, &[0; 8]].concat(), "{version}");
        }
        assert_eq!(version_value(9, Guid::default(), None).len(), 48);
        assert_eq!(Guid::parse("{4D36E97B}"), None);
    }

    #[test]
    fn records_of_a_package_are_known_by_its_names() {
        let is_own = |key: &str, value: Option<&str>| {
            is_record_of(&format!("{ROOT}\\{key}"), value, "oem3.inf", "x.inf_amd64_1")
        };
        for (key, value, is_one) in [
            ("DriverInfFiles\\OEM3.inf", Some("Active"), true),
            ("DriverInfFiles\\oem4.inf", Some("Active"), false),
            ("DriverPackages\\X.inf_amd64_1\\Strings", None, true),
            ("DriverPackages\\y.inf_amd64_1", None, false),
            ("DeviceIds\\PCI\\VEN_1", Some("oem3.inf"), true),
            ("DeviceIds\\PCI\\VEN_1", Some("oem4.inf"), false),
            ("DeviceIds\\PCI", None, true),
            ("DeviceIds", None, false),
            ("Other", None, false),
        ] {
            assert_eq!(is_own(key, value), is_one, "{key} {value:?}");
        }
        assert!(!is_record_of("ControlSet001\\DeviceIds\\PCI", None, "oem3.inf", "x"));
    }

    #[test]
    fn ids_become_keys() {
        assert_eq!(device_key("D", "PCI\\VEN_1&DEV_2"), "D\\PCI\\VEN_1&DEV_2");
        assert_eq!(device_key("D", "*PNP0A08"), "D\\*PNP0A08");
        assert_eq!(device_key("D", "\\A\\\\B\\"), "D\\A\\B");
    }
}
