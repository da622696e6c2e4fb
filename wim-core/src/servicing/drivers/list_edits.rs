//! Edits of values that are lists, such as filters and the device path, where every driver owns some of the strings.
//!
//! Source: drivers.md 3.6. What one driver found there because of another it relies on as much; that is recorded as an edit of
//! its own, so that a string goes with the last driver that wanted it. Nothing is read from or written to an image here.

use super::level_a::{DEFAULT_DEVICE_PATH, DEVICE_PATH, DEVICE_PATH_PREFIX};
use super::manifest::{Manifest, ManifestEdit, ManifestEntry, ManifestValue};
use super::registry_lines::OWNERS;
use crate::formats::hive::{RegValue, reg_type};

/// How a value holds its strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListShape {
    /// `REG_MULTI_SZ`.
    Strings,
    /// Paths with semicolons between; where there is none, Windows takes [`DEFAULT_DEVICE_PATH`].
    Paths,
}

impl ListShape {
    /// The shape of the list to which an edit added strings; none when it is no list, or another took its place.
    pub(super) fn of(edit: &ManifestEdit) -> Option<Self> {
        if is_named(edit, DEVICE_PATH) {
            return Some(Self::Paths);
        }
        let new = edit.new.as_ref().and_then(ManifestValue::decode)?;
        if new.kind != reg_type::MULTI_SZ {
            return None;
        }
        let (old, new) = (Self::Strings.strings(edit.old.as_ref())?, new.as_multi_sz()?);
        old.iter().all(|text| has(&new, text)).then_some(Self::Strings)
    }

    /// The strings of a recorded value, or of one that is absent.
    pub(super) fn strings(self, value: Option<&ManifestValue>) -> Option<Vec<String>> {
        self.strings_in(value.and_then(ManifestValue::decode).as_ref())
    }

    /// The strings of a value, or of one that is absent; none when it holds no strings.
    pub(super) fn strings_in(self, value: Option<&RegValue>) -> Option<Vec<String>> {
        match (self, value) {
            (Self::Strings, None) => Some(Vec::new()),
            (Self::Strings, Some(value)) => value.as_multi_sz(),
            (Self::Paths, None) => Some(vec![DEFAULT_DEVICE_PATH.to_owned()]),
            (Self::Paths, Some(value)) => {
                value.as_str().map(|text| text.split(';').map(str::to_owned).collect())
            }
        }
    }

    /// A value of these strings, of the type that `like` has.
    pub(super) fn value(self, strings: &[String], like: &RegValue) -> RegValue {
        match self {
            Self::Strings => RegValue::multi_sz(strings),
            Self::Paths => {
                let mut value = RegValue::expand_sz(&strings.join(";"));
                value.kind = like.kind;
                value
            }
        }
    }
}

/// True when both lists hold the same strings in the same order, but for case and empty ones.
pub(super) fn are_same(one: &[String], other: &[String]) -> bool {
    fn filled(list: &[String]) -> impl Iterator<Item = String> {
        list.iter().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty())
    }
    filled(one).eq(filled(other))
}

/// True when a list has a string, but for case and blanks around it.
pub(super) fn has(list: &[String], text: &str) -> bool {
    list.iter().any(|other| other.trim().eq_ignore_ascii_case(text.trim()))
}

fn is_named(edit: &ManifestEdit, name: &str) -> bool {
    edit.value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case(name))
}

/// The strings that an edit put into a `REG_MULTI_SZ`; none when it did not add to one.
pub(super) fn added_by(edit: &ManifestEdit) -> Vec<String> {
    if ListShape::of(edit) != Some(ListShape::Strings) {
        return Vec::new();
    }
    let strings = |value: &Option<ManifestValue>| ListShape::Strings.strings(value.as_ref());
    let (old, mut new) = (strings(&edit.old).unwrap_or_default(), strings(&edit.new).unwrap_or_default());
    new.retain(|text| !has(&old, text));
    new
}

/// The strings that `others` put into the list that `edit` is about.
fn added_by_others<'m>(
    edit: &ManifestEdit,
    others: impl IntoIterator<Item = &'m ManifestEntry>,
) -> Vec<String> {
    let edits = others.into_iter().flat_map(|entry| &entry.registry);
    edits.filter(|other| other.is_about(edit)).flat_map(added_by).collect()
}

/// `kept`, the strings of a list that a driver wanted and found, as an edit that put those of them there that came with `others`;
/// none when none did.
pub(super) fn shared_with<'m>(
    kept: &ManifestEdit,
    others: impl IntoIterator<Item = &'m ManifestEntry>,
) -> Option<ManifestEdit> {
    let of_others = added_by_others(kept, others);
    let mut shared = added_by(kept);
    shared.retain(|text| has(&of_others, text));
    if shared.is_empty() {
        return None;
    }
    let mut edit = ManifestEdit { old: kept.new.clone(), ..kept.clone() };
    edit.old = without(ListShape::Strings, edit.old, &shared);
    Some(edit)
}

/// The strings that go from a list when the driver of `entry`, who made `edit`, goes.
pub(super) fn going(edit: &ManifestEdit, entry: &ManifestEntry, others: &Manifest) -> Vec<String> {
    if is_named(edit, DEVICE_PATH) {
        return vec![format!("{DEVICE_PATH_PREFIX}\\{}", entry.folder_name())];
    }
    if let Some(published) = entry.published.as_ref().filter(|_| is_named(edit, OWNERS)) {
        return vec![published.clone()];
    }
    let of_others = added_by_others(edit, &others.drivers);
    let mut own = added_by(edit);
    own.retain(|text| !has(&of_others, text));
    own
}

/// Takes strings out of what the other drivers recorded of a list, and lets the next one know what `edit` had found, so that the
/// last of them can leave exactly that.
pub(super) fn hand_over(
    shape: ListShape,
    edit: &ManifestEdit,
    entry: &ManifestEntry,
    going: &[String],
    others: &mut Manifest,
) {
    for other in others.drivers.iter_mut().flat_map(|other| &mut other.registry) {
        if other.is_about(edit) {
            other.old = without(shape, other.old.take(), going);
            other.new = without(shape, other.new.take(), going);
        }
    }
    let is_later = |other: &&mut ManifestEntry| {
        other.order > entry.order && other.registry.iter().any(|other| other.is_about(edit))
    };
    let next = others.drivers.iter_mut().filter(is_later).min_by_key(|other| other.order);
    let heir = next.and_then(|next| next.registry.iter_mut().find(|other| other.is_about(edit)));
    if let Some(heir) = heir
        && let (Some(own), Some(found)) = (shape.strings(heir.old.as_ref()), shape.strings(edit.old.as_ref()))
        && are_same(&own, &found)
    {
        heir.old.clone_from(&edit.old);
    }
}

fn without(shape: ListShape, value: Option<ManifestValue>, going: &[String]) -> Option<ManifestValue> {
    let Some(data) = value.as_ref().and_then(ManifestValue::decode) else { return value };
    let Some(mut strings) = shape.strings_in(Some(&data)) else { return value };
    let before = strings.len();
    strings.retain(|text| !has(going, text));
    if strings.len() == before { value } else { Some(ManifestValue::from(&shape.value(&strings, &data))) }
}
