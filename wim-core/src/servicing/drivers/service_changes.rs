//! What a package changes about services that an image had before: their type, their start and their program.
//!
//! An INF may name any service, one of Windows' own too (drivers.md 1.10). What was done is read from the journal of edits; nothing
//! is edited here.

use std::collections::BTreeMap;

use super::manifest::Manifest;
use crate::base::Result;
use crate::formats::hive::RegValue;
use crate::servicing::hive_set::{Edit, HiveName, HiveSet};

/// Types of services that the boot loader loads: drivers of devices, of file systems, and what recognizes those.
const DRIVER_TYPES: u32 = 0x1 | 0x2 | 0x8;

/// One service that is no longer as it was.
pub(super) struct ServiceChange {
    name: String,
    /// Type before and after; none where it is the same.
    kind: Option<(u32, Option<u32>)>,
    /// Likewise its start type.
    start: Option<(u32, Option<u32>)>,
    /// Likewise its program.
    path: Option<(String, String)>,
    /// The boot loader started it.
    booted: bool,
}

/// The first and the last data of a value.
type BeforeAndAfter<'e> = (&'e Option<RegValue>, &'e Option<RegValue>);

/// The services that the edits from `first` on changed and that no driver on the list has, each once.
///
/// # Errors
/// What reading the SYSTEM hive gives.
pub(super) fn changes_of(
    hives: &mut HiveSet<'_>,
    first: usize,
    manifest: &Manifest,
) -> Result<Vec<ServiceChange>> {
    let mut changes = changed_services(hives.journal().get(first..).unwrap_or_default(), manifest);
    for (change, key) in &mut changes {
        // What no edit is about is as it was.
        change.booted = match change.start {
            Some((old, _)) => old == 0,
            None => {
                let start = hives.get(HiveName::System, key, "Start")?;
                start.and_then(|value| value.as_dword()) == Some(0)
            }
        };
    }
    Ok(changes.into_iter().map(|(change, _)| change).collect())
}

/// The same from the edits alone, each with the key of the service.
fn changed_services(edits: &[Edit], manifest: &Manifest) -> Vec<(ServiceChange, String)> {
    let mut values: BTreeMap<(String, String), BeforeAndAfter<'_>> = BTreeMap::new();
    let mut names: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    for edit in edits.iter().filter(|edit| edit.hive == HiveName::System) {
        let (Some(name), Some(value)) = (service_of(&edit.key), &edit.value) else { continue };
        names.entry(name.to_lowercase()).or_insert((name, &edit.key));
        let (_, last) =
            values.entry((name.to_lowercase(), value.to_lowercase())).or_insert((&edit.old, &edit.new));
        *last = &edit.new;
    }
    let is_listed = |name: &str| {
        let mut known = manifest.drivers.iter().flat_map(|driver| &driver.services);
        known.any(|known| known.eq_ignore_ascii_case(name))
    };
    let mut changes = Vec::new();
    for (lower, (name, key)) in names {
        let of = |value: &str| values.get(&(lower.clone(), value.to_owned()));
        let number = |value: &Option<RegValue>| value.as_ref().and_then(RegValue::as_dword);
        let text = |value: &Option<RegValue>| value.as_ref().and_then(RegValue::as_str);
        let numbers = |value: &str| {
            let both = of(value).and_then(|(old, new)| Some((number(old)?, number(new))));
            both.filter(|(old, new)| Some(*old) != *new)
        };
        let path = of("imagepath").and_then(|(old, new)| Some((text(old)?, text(new).unwrap_or_default())));
        let path = path.filter(|(old, new)| !old.eq_ignore_ascii_case(new));
        let (kind, start) = (numbers("type"), numbers("start"));
        if (kind.is_some() || start.is_some() || path.is_some()) && !is_listed(name) {
            let change = ServiceChange { name: name.to_owned(), kind, start, path, booted: false };
            changes.push((change, key.to_owned()));
        }
    }
    changes
}

/// The service whose own key this is, in whatever control set.
fn service_of(key: &str) -> Option<&str> {
    let mut parts = key.split('\\');
    let (set, services, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_set = set.get(.."ControlSet".len()).is_some_and(|start| start.eq_ignore_ascii_case("ControlSet"));
    (is_set && services.eq_ignore_ascii_case("Services") && parts.next().is_none()).then_some(name)
}

impl ServiceChange {
    /// What was done, in words.
    pub(super) fn note(&self) -> String {
        let mut what = Vec::new();
        for (value, numbers) in [("Type", self.kind), ("Start", self.start)] {
            let Some((old, new)) = numbers else { continue };
            let new = new.map_or_else(|| "gone".to_owned(), |new| new.to_string());
            what.push(format!("{value} {old} \u{2192} {new}"));
        }
        what.extend(self.path.as_ref().map(|(old, new)| format!("ImagePath {old} \u{2192} {new}")));
        format!("service {}, which this image had, is changed: {}", self.name, what.join(", "))
    }

    /// Why Windows may not boot with it, if it may not.
    pub(super) fn fault(&self) -> Option<String> {
        if !self.booted {
            return None;
        }
        let would = match (self.start, self.kind) {
            (Some((_, None)), _) => "start never".to_owned(),
            (Some((_, Some(new))), _) => format!("start with start type {new}"),
            (None, Some((old, new))) if old & DRIVER_TYPES != 0 => match new {
                Some(new) if new & DRIVER_TYPES != 0 => return None,
                Some(new) => format!("be no driver any more, but of type {new:#x}"),
                None => "have no type".to_owned(),
            },
            _ => return None,
        };
        Some(format!("service {}, which the boot loader starts, would {would}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_of_a_service_is_one() {
        assert_eq!(service_of("ControlSet001\\Services\\pci"), Some("pci"));
        assert_eq!(service_of("controlset002\\services\\pci"), Some("pci"));
        for key in
            ["ControlSet001\\Services", "ControlSet001\\Services\\pci\\Parameters", "Setup\\Services\\x", ""]
        {
            assert_eq!(service_of(key), None, "{key}");
        }
    }
}
