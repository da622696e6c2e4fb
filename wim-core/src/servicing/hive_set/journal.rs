//! What was edited: one entry per edit with its reason, and the moments that edits can be taken back to.
//!
//! Dry runs, reports, manifests and undo are made of the journal. It records what is now and what was; how a hive goes
//! back to its old bytes is `formats::hive`'s business.

use std::collections::BTreeMap;

use super::HiveName;
use crate::formats::hive::RegValue;

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditAction {
    /// A key was made.
    CreateKey,
    /// A key was deleted with everything below it.
    DeleteKey,
    /// A value was set.
    SetValue,
    /// A value was deleted.
    DeleteValue,
    /// A key got the access list and the class that it had before it was deleted.
    RestoreTraits,
    /// The whole hive was written anew: without free space, and without what was damaged.
    Rebuild,
}

/// What a key has beside values and subkeys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTraits {
    /// Its security descriptor, self-relative.
    pub security: Option<Vec<u8>>,
    /// Its class name.
    pub class: Option<String>,
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The hive.
    pub hive: HiveName,
    /// Path of the key below the hive's root; empty for a rebuilt hive.
    pub key: String,
    /// Name of the value (empty: the default value); none for edits of keys.
    pub value: Option<String>,
    /// What was done.
    pub action: EditAction,
    /// What the value was; none when it is new, and for edits of keys.
    pub old: Option<RegValue>,
    /// What the value is now; none when it is gone, and for edits of keys.
    pub new: Option<RegValue>,
    /// What a deleted key had.
    pub traits: Option<KeyTraits>,
    /// Why.
    pub reason: String,
}

/// A moment to which a [`HiveSet`](super::HiveSet) can go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint {
    pub(super) number: u32,
    pub(super) journal: usize,
}

/// True when every value is in the end what it was at first, and every key is there or not as it was.
///
/// Keys have to be deleted one by one, after their values, for what was in them to be known.
#[must_use]
pub fn cancel_out(edits: &[Edit]) -> bool {
    let mut values = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for edit in edits {
        let key = (edit.hive, edit.key.to_lowercase());
        let Some(value) = &edit.value else {
            let (_, last) = keys.entry(key).or_insert((edit.action, edit.action));
            *last = edit.action;
            continue;
        };
        let place = (key, value.to_lowercase());
        let (_, last) = values.entry(place).or_insert((&edit.old, &edit.new));
        *last = &edit.new;
    }
    let is_back = |(first, last)| (first, last) == (EditAction::DeleteKey, EditAction::CreateKey);
    let was_never = |(first, last)| (first, last) == (EditAction::CreateKey, EditAction::DeleteKey);
    values.values().all(|(first, last)| first == last)
        && keys.values().all(|&ends| is_back(ends) || was_never(ends))
}
