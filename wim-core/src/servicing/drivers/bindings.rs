//! Which service an image gives to which device before anybody installs it: the critical device database of Windows 7, the driver
//! database of later versions.
//!
//! Source: drivers.md 2.2 and 5. Only what is asked for is resolved. Nothing is judged here and nothing written.

use super::database::{self, HIVES, ROOT};
use super::store::ImageFiles;
use crate::base::Result;
use crate::servicing::hive_set::{HiveName, HiveSet, control_set_key};
use crate::servicing::target::StoreGeneration;

/// Deepest id of the driver database that is followed.
const MAX_DEPTH: usize = 4;

/// One device id and what it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The id, with backslashes.
    pub id: String,
    /// The published INF, where there is one.
    pub inf: Option<String>,
    /// The service that drives it, where that is settled before the device is installed.
    pub service: Option<String>,
    /// Class GUID of the critical device database.
    pub class_guid: Option<String>,
}

/// The bindings of the ids that are `wanted`.
///
/// # Errors
/// What reading the hives gives.
pub fn bindings(
    hives: &mut HiveSet<'_>,
    generation: StoreGeneration,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Binding>> {
    let mut found = Vec::new();
    match generation {
        StoreGeneration::Legacy => critical_devices(hives, wanted, &mut found)?,
        StoreGeneration::Modern => {
            for hive in HIVES {
                for name in hives.subkeys(hive, &format!("{ROOT}\\DeviceIds"))? {
                    if !name.starts_with('{') {
                        known_devices(hives, hive, &name, wanted, &mut found)?;
                    }
                }
            }
        }
    }
    Ok(found)
}

/// The critical devices of the current control set that are `wanted`.
///
/// # Errors
/// What reading the hive gives.
pub(super) fn critical_devices(
    hives: &mut HiveSet<'_>,
    wanted: &dyn Fn(&str) -> bool,
    found: &mut Vec<Binding>,
) -> Result<()> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(()) };
    let parent = format!("{}\\Control\\CriticalDeviceDatabase", control_set_key(set));
    for name in hives.subkeys(HiveName::System, &parent)? {
        let id = name.replace('#', "\\");
        if !wanted(&id) {
            continue;
        }
        let key = format!("{parent}\\{name}");
        let mut text = |value: &str| -> Result<Option<String>> {
            Ok(hives.get(HiveName::System, &key, value)?.and_then(|value| value.as_str()))
        };
        let service = text("Service")?.filter(|service| !service.is_empty());
        found.push(Binding { id, inf: None, service, class_guid: text("ClassGUID")? });
    }
    Ok(())
}

/// The ids below one enumerator, and the service each has in the configuration of its package.
fn known_devices(
    hives: &mut HiveSet<'_>,
    hive: HiveName,
    enumerator: &str,
    wanted: &dyn Fn(&str) -> bool,
    found: &mut Vec<Binding>,
) -> Result<()> {
    let mut open = vec![(enumerator.to_owned(), 1)];
    while let Some((id, depth)) = open.pop() {
        let key = format!("{ROOT}\\DeviceIds\\{id}");
        if depth < MAX_DEPTH {
            let below = hives.subkeys(hive, &key)?;
            open.extend(below.into_iter().map(|name| (format!("{id}\\{name}"), depth + 1)));
        }
        if !wanted(&id) {
            continue;
        }
        for (inf, _) in hives.values(hive, &key)? {
            let service = configured_service(hives, hive, &inf, &id)?;
            found.push(Binding { id: id.clone(), inf: Some(inf), service, class_guid: None });
        }
    }
    Ok(())
}

fn configured_service(
    hives: &mut HiveSet<'_>,
    hive: HiveName,
    inf: &str,
    id: &str,
) -> Result<Option<String>> {
    let mut text = |key: &str, value: &str| -> Result<Option<String>> {
        Ok(hives.get(hive, key, value)?.and_then(|value| value.as_str()))
    };
    let Some(package) = text(&format!("{ROOT}\\DriverInfFiles\\{inf}"), "Active")? else { return Ok(None) };
    let package = format!("{ROOT}\\DriverPackages\\{package}");
    let descriptor = database::device_key(&format!("{package}\\Descriptors"), id);
    let Some(section) = text(&descriptor, "Configuration")? else { return Ok(None) };
    text(&format!("{package}\\Configurations\\{section}"), "Service")
}

/// A service as far as booting goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// Its type; none when it does not say.
    pub kind: Option<u32>,
    /// Its start type; none when there is no such service, or it does not say.
    pub start: Option<u32>,
    /// Its file in the image.
    pub file: String,
    /// The file is there.
    pub file_is_there: bool,
    /// The framework version it needs.
    pub kmdf: Option<String>,
}

/// What the image has of a service in its current control set; none when it has no such service.
///
/// # Errors
/// What reading the hive or the image gives.
pub fn service_state(
    image: &ImageFiles<'_>,
    hives: &mut HiveSet<'_>,
    service: &str,
) -> Result<Option<ServiceState>> {
    let Some(&set) = hives.control_sets()?.first() else { return Ok(None) };
    let key = format!("{}\\Services\\{service}", control_set_key(set));
    if !hives.key_exists(HiveName::System, &key)? {
        return Ok(None);
    }
    let kind = hives.get(HiveName::System, &key, "Type")?.and_then(|value| value.as_dword());
    let start = hives.get(HiveName::System, &key, "Start")?.and_then(|value| value.as_dword());
    let path = hives.get(HiveName::System, &key, "ImagePath")?.and_then(|value| value.as_str());
    let file = file_of(path.as_deref().unwrap_or_default(), service);
    let file_is_there = image.spelled(&file).is_ok_and(|path| image.exists(&path));
    let wdf = format!("{key}\\Parameters\\Wdf");
    let kmdf = hives.get(HiveName::System, &wdf, "KmdfLibraryVersion")?.and_then(|value| value.as_str());
    Ok(Some(ServiceState { kind, start, file, file_is_there, kmdf }))
}

/// The file in the image that an `ImagePath` of a driver means; without one it is `System32\drivers\<name>.sys`.
#[must_use]
pub fn file_of(path: &str, service: &str) -> String {
    let path = path.trim().trim_matches('"');
    let lower = path.to_ascii_lowercase();
    let after = |prefix: &str| lower.starts_with(prefix).then(|| path.get(prefix.len()..)).flatten();
    if path.is_empty() {
        return format!("\\Windows\\System32\\drivers\\{service}.sys");
    }
    match after("\\systemroot\\").or_else(|| after("%systemroot%\\")).or_else(|| after("\\??\\c:\\windows\\"))
    {
        Some(rest) => format!("\\Windows\\{rest}"),
        None if lower.starts_with("system32\\") => format!("\\Windows\\{path}"),
        None => path.to_owned(),
    }
}

/// True for a path that begins with a drive, as `C:\x.sys` and `\??\C:\x.sys` do: the boot loader knows no drives.
#[must_use]
pub(super) fn names_a_drive(path: &str) -> bool {
    let path = path.trim().trim_matches('"');
    path.starts_with("\\??\\") || path.get(1..2) == Some(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_paths_of_all_forms() {
        for (path, file) in [
            ("", "\\Windows\\System32\\drivers\\x.sys"),
            ("System32\\drivers\\y.sys", "\\Windows\\System32\\drivers\\y.sys"),
            ("\\SystemRoot\\System32\\drivers\\y.sys", "\\Windows\\System32\\drivers\\y.sys"),
            ("%SystemRoot%\\y.sys", "\\Windows\\y.sys"),
        ] {
            assert_eq!(file_of(path, "x"), file);
            assert!(!names_a_drive(path), "{path}");
        }
        let path = "\\??\\c:\\Windows\\y.sys";
        assert_eq!(file_of(path, "x"), "\\Windows\\y.sys");
        assert!(names_a_drive(path) && names_a_drive("\"D:\\y.sys\""));
    }
}
