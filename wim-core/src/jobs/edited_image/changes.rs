//! What edits changed, for reports.

use serde::Serialize;

use crate::formats::hive::RegValue;
use crate::image::edit::{EffectKind, Resolved};
use crate::servicing::hive_set::Edit;

/// One file that differs.
#[derive(Clone, Debug, Serialize)]
pub struct FileChange {
    /// Its path in the image.
    pub path: String,
    /// `added`, `replaced` or `removed`.
    pub change: &'static str,
    /// Why.
    pub reason: String,
}

/// One registry edit.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryChange {
    /// The hive, such as `SYSTEM`.
    pub hive: String,
    /// The key's path in the hive.
    pub key: String,
    /// The value's name; empty for the default value, none when the edit is of the key itself.
    pub value: Option<String>,
    /// The value before, none if it was not there.
    pub old: Option<RegistryValue>,
    /// The value now, none if it was deleted.
    pub new: Option<RegistryValue>,
    /// Why.
    pub reason: String,
}

/// A registry value.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryValue {
    /// Its type number: 1 for REG_SZ, 4 for REG_DWORD.
    pub kind: u32,
    /// Its data for people.
    pub text: String,
}

/// The files that differ from the base tree.
pub(in crate::jobs) fn file_changes(resolved: &Resolved) -> Vec<FileChange> {
    let changed = resolved.effects.iter().filter_map(|effect| {
        let change = match effect.kind {
            EffectKind::Added => "added",
            EffectKind::Replaced => "replaced",
            EffectKind::Removed => "removed",
            EffectKind::Unchanged => return None,
        };
        Some(FileChange { path: effect.path.to_string(), change, reason: effect.reason.clone() })
    });
    changed.collect()
}

impl RegistryChange {
    /// The report of an edit.
    pub(in crate::jobs) fn new(edit: &Edit) -> Self {
        let value = |data: &RegValue| RegistryValue { kind: data.kind, text: value_text(data) };
        Self {
            hive: edit.hive.label().to_owned(),
            key: edit.key.clone(),
            value: edit.value.clone(),
            old: edit.old.as_ref().map(value),
            new: edit.new.as_ref().map(value),
            reason: edit.reason.clone(),
        }
    }
}

/// Strings and numbers as people write them, anything else as its type and bytes.
fn value_text(data: &RegValue) -> String {
    let number = || data.as_dword().map(u64::from).or_else(|| data.as_qword());
    data.as_str()
        .or_else(|| data.as_multi_sz().map(|texts| texts.join("; ")))
        .or_else(|| number().map(|number| number.to_string()))
        .unwrap_or_else(|| format!("{data:?}"))
}
