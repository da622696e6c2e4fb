//! A driver that is in an image of Windows Vista or 7 and not on its list of added drivers, because that was lost: which of the values
//! found there are its own.
//!
//! Source: drivers.md 3.2 and 3.6. Its own are those below its services and their event logs, the critical devices bound to them, and
//! its folder on the device path; anything else may be Windows' own and is left for ever.

use std::collections::BTreeSet;

use super::level_a::{CURRENT_VERSION, DEFAULT_DEVICE_PATH, DEVICE_PATH};
use super::manifest::{Manifest, ManifestEdit, ManifestValue};
use super::place::Done;
use super::registry_lines::KeptValue;
use super::select::Selection;
use crate::formats::hive::RegValue;
use crate::servicing::hive_set::HiveName;

/// The values that were found as the edits that had made them, and those of their keys; without what drivers on the list, `others`,
/// have made.
pub(super) fn edits(done: &Done, selection: &Selection, others: &Manifest) -> Vec<ManifestEdit> {
    let roots = roots(done, selection, others);
    let own: Vec<&KeptValue> = done
        .kept
        .iter()
        .filter(|kept| kept.hive == HiveName::System && root_of(&kept.key, &roots).is_some())
        .collect();
    let mut seen = BTreeSet::new();
    let mut edits = Vec::new();
    for kept in &own {
        let Some(root) = root_of(&kept.key, &roots) else { continue };
        let ends = kept.key.match_indices('\\').map(|(at, _)| at).chain([kept.key.len()]);
        for end in ends.filter(|end| *end >= root.len()) {
            let Some(key) = kept.key.get(..end).filter(|key| seen.insert(key.to_lowercase())) else {
                continue;
            };
            edits.push(edit(kept.hive, key, None, None));
        }
    }
    edits
        .extend(own.iter().map(|kept| {
            edit(kept.hive, &kept.key, Some(&kept.value), Some(ManifestValue::from(&kept.data)))
        }));
    edits.retain(|edit| {
        !others.drivers.iter().flat_map(|other| &other.registry).any(|other| other.is_about(edit))
    });
    // What of the path is its own is known by its folder's name.
    let mut path = edit(HiveName::Software, CURRENT_VERSION, Some(DEVICE_PATH), None);
    path.old = Some(ManifestValue::from(&RegValue::expand_sz(DEFAULT_DEVICE_PATH)));
    edits.push(path);
    edits
}

fn edit(hive: HiveName, key: &str, value: Option<&str>, new: Option<ManifestValue>) -> ManifestEdit {
    let (hive, key) = (hive.label().to_owned(), key.to_owned());
    ManifestEdit { hive, key, value: value.map(str::to_owned), old: None, new }
}

/// Keys below a control set that are a driver's own with all that is in them, in lower case.
fn roots(done: &Done, selection: &Selection, others: &Manifest) -> Vec<String> {
    let mut roots = Vec::new();
    let services = selection.installs.iter().flat_map(|selected| &selected.install.services);
    // A driver on the list that found such a service relies on it.
    let is_shared = |name: &str| {
        let mut known = others.drivers.iter().flat_map(|other| &other.services);
        known.any(|other| other.eq_ignore_ascii_case(name))
    };
    for service in services.filter(|service| !service.inbox && !is_shared(&service.name)) {
        roots.push(format!("services\\{}", service.name.to_lowercase()));
        let log = service.event_log.as_ref();
        roots
            .extend(log.map(|log| format!("services\\eventlog\\{}\\{}", log.log, log.source).to_lowercase()));
    }
    let ids = done.added.device_ids.iter().map(|id| super::boot::critical_device_key(id).to_lowercase());
    roots.extend(ids.map(|id| format!("control\\criticaldevicedatabase\\{id}")));
    roots
}

/// The beginning of `key` that is one of `roots` in a control set.
fn root_of<'k>(key: &'k str, roots: &[String]) -> Option<&'k str> {
    let (set, rest) = key.split_once('\\')?;
    let lower = rest.to_lowercase();
    let is_root = |root: &&String| {
        lower.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
    };
    let root = roots.iter().find(is_root)?;
    key.get(..set.len() + 1 + root.len())
}
