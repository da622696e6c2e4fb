//! What a package changes about services that an image had before: their start and their program.
//!
//! An INF may name any service, one of Windows' own too (drivers.md 1.10). What was done is read from the journal of edits; nothing
//! is edited here.

use std::collections::BTreeMap;

use super::manifest::Manifest;
use crate::formats::hive::RegValue;
use crate::servicing::hive_set::{Edit, HiveName};

/// One service that is no longer as it was.
pub(super) struct ServiceChange {
    name: String,
    /// Start type before and after; none where it is the same.
    start: Option<(u32, Option<u32>)>,
    /// Likewise its program.
    path: Option<(String, String)>,
}

/// The first and the last data of a value.
type BeforeAndAfter<'e> = (&'e Option<RegValue>, &'e Option<RegValue>);

/// The services that `edits` changed and that no driver on the list has, each once.
pub(super) fn changes_of(edits: &[Edit], manifest: &Manifest) -> Vec<ServiceChange> {
    let mut values: BTreeMap<(String, String), BeforeAndAfter<'_>> = BTreeMap::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for edit in edits.iter().filter(|edit| edit.hive == HiveName::System) {
        let (Some(name), Some(value)) = (service_of(&edit.key), &edit.value) else { continue };
        names.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
        let (_, last) =
            values.entry((name.to_lowercase(), value.to_lowercase())).or_insert((&edit.old, &edit.new));
        *last = &edit.new;
    }
    let is_listed = |name: &str| {
        let mut known = manifest.drivers.iter().flat_map(|driver| &driver.services);
        known.any(|known| known.eq_ignore_ascii_case(name))
    };
    let mut changes = Vec::new();
    for (lower, name) in names {
        let of = |value: &str| values.get(&(lower.clone(), value.to_owned()));
        let number = |value: &Option<RegValue>| value.as_ref().and_then(RegValue::as_dword);
        let text = |value: &Option<RegValue>| value.as_ref().and_then(RegValue::as_str);
        let start = of("start").and_then(|(old, new)| Some((number(old)?, number(new))));
        let path = of("imagepath").and_then(|(old, new)| Some((text(old)?, text(new).unwrap_or_default())));
        let change = ServiceChange {
            start: start.filter(|(old, new)| Some(*old) != *new),
            path: path.filter(|(old, new)| !old.eq_ignore_ascii_case(new)),
            name,
        };
        if (change.start.is_some() || change.path.is_some()) && !is_listed(&change.name) {
            changes.push(change);
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
        if let Some((old, new)) = self.start {
            let new = new.map_or_else(|| "gone".to_owned(), |new| new.to_string());
            what.push(format!("Start {old} \u{2192} {new}"));
        }
        what.extend(self.path.as_ref().map(|(old, new)| format!("ImagePath {old} \u{2192} {new}")));
        format!("service {}, which this image had, is changed: {}", self.name, what.join(", "))
    }

    /// Why Windows may not boot with it, if it may not.
    pub(super) fn fault(&self) -> Option<String> {
        let (_, new) = self.start.filter(|(old, _)| *old == 0)?;
        let new = new.map_or_else(|| "never".to_owned(), |new| format!("with start type {new}"));
        Some(format!("service {}, which the boot loader starts, would start {new}", self.name))
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
