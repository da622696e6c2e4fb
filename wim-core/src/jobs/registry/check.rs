//! Checking and comparing hives.
//!
//! Damage is an answer here, not an error: a hive that cannot be opened gives a finding. What the checker knows is in
//! `formats::hive`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::hive_place::KeyPaths;
use super::target::{Source, Target, limit_bytes, read};
use super::view::read_host;
use crate::base::{Context, Error, ErrorKind, Result};
use crate::formats::hive::{CompareTimes, Difference, Finding, Hive, KeyPart, Severity};

/// What a check of one image or file found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckAnswer {
    /// The image; none for a hive file.
    pub image: Option<u32>,
    /// Its hives.
    pub hives: Vec<HiveCheck>,
}

/// What a check of one hive found.
#[derive(Clone, Debug, Serialize)]
pub struct HiveCheck {
    /// Name of the hive.
    pub hive: String,
    /// False when it has an error.
    pub is_sound: bool,
    /// Keys reached.
    pub keys: u64,
    /// Values of those keys.
    pub values: u64,
    /// Bytes of free cells.
    pub free_bytes: u64,
    /// Findings: severity, offset in the file, key, message.
    pub findings: Vec<FindingRecord>,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRecord {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// The key it was met at.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl From<&Finding> for FindingRecord {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            offset: finding.offset,
            key: finding.key.clone(),
            message: finding.message.clone(),
        }
    }
}

fn check_hive(name: &str, hive: &Hive, first: &[Finding]) -> HiveCheck {
    let report = hive.check();
    let findings: Vec<FindingRecord> = first.iter().chain(&report.findings).map(Into::into).collect();
    HiveCheck {
        hive: name.to_owned(),
        is_sound: findings.iter().all(|finding| finding.severity != "error"),
        keys: report.keys,
        values: report.values,
        free_bytes: report.free_bytes,
        findings,
    }
}

/// A hive that cannot be opened at all.
fn unreadable(name: &str, error: &Error) -> HiveCheck {
    let message = error.to_string();
    let finding = FindingRecord { severity: "error", offset: 0, key: String::new(), message };
    let (keys, values, free_bytes) = (0, 0, 0);
    HiveCheck { hive: name.to_owned(), is_sound: false, keys, values, free_bytes, findings: vec![finding] }
}

/// Checks the hive file, or every hive of each image that the target names.
///
/// # Errors
/// Those of opening the target; damage of hives is an answer.
pub fn check(cx: &Context<'_>, target: &Target) -> Result<Vec<CheckAnswer>> {
    if let Source::Hive(_) = Source::open(cx, target)? {
        let bytes = read_host(&target.path, limit_bytes(cx))?;
        let name = target.path.display().to_string();
        let check = match Hive::open_damaged(bytes) {
            Ok((hive, first)) => check_hive(&name, &hive, &first),
            Err(error) => unreadable(&name, &error),
        };
        return Ok(vec![CheckAnswer { image: None, hives: vec![check] }]);
    }
    let answers = read(cx, target, &KeyPaths::default(), |registry| {
        let mut checks = Vec::new();
        for name in registry.hives()? {
            cx.cancel.check()?;
            let label = registry.label(name);
            checks.push(match registry.hive(name) {
                Ok(Some(hive)) => check_hive(&label, hive, &[]),
                Ok(None) => continue,
                // That the hive lies in another file does not make it a damaged one.
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
                Err(error) => unreadable(&label, &error),
            });
        }
        Ok(checks)
    })?;
    let answer = |(image, hives): (Option<crate::base::ImageIndex>, _)| CheckAnswer {
        image: image.map(|image| image.number()),
        hives,
    };
    Ok(answers.into_iter().map(answer).collect())
}

/// A difference between two hives.
#[derive(Clone, Debug, Serialize)]
pub struct HiveDifference {
    /// Name of the hive; empty for hive files.
    pub hive: String,
    /// `key-added`, `key-removed`, `key-changed`, `value-added`, `value-removed` or `value-changed`.
    pub kind: &'static str,
    /// Path of the key below the root of the hive.
    pub key: String,
    /// Name of the value, or what of the key changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

impl HiveDifference {
    /// What reports tell of a difference in the hive of that name.
    pub(in crate::jobs) fn new(hive: &str, difference: Difference) -> Self {
        let hive = hive.to_owned();
        let (kind, key, part, old, new) = match difference {
            Difference::KeyAdded { key } => ("key-added", key, None, None, None),
            Difference::KeyRemoved { key } => ("key-removed", key, None, None, None),
            Difference::KeyChanged { key, part } => {
                let part = match part {
                    KeyPart::Name => "name",
                    KeyPart::Class => "class",
                    KeyPart::Security => "security",
                    KeyPart::Flags => "flags",
                    KeyPart::LastWritten => "last-written",
                };
                ("key-changed", key, Some(part.to_owned()), None, None)
            }
            Difference::Value { key, value, old, new } => {
                let kind = match (&old, &new) {
                    (None, _) => "value-added",
                    (_, None) => "value-removed",
                    _ => "value-changed",
                };
                let text = |value: Option<_>| value.map(|value| format!("{value:?}"));
                (kind, key, Some(value), text(old), text(new))
            }
        };
        Self { hive, kind, key, part, old, new }
    }
}

impl fmt::Display for HiveDifference {
    /// `value-changed HIVE\\KEY [NAME] was OLD is NEW`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hive, kind, key, part, old, new } = self;
        write!(f, "{kind} {hive}{}{key}", if hive.is_empty() { "" } else { "\\" })?;
        for (word, value) in [(" [", part), (" was ", old), (" is ", new)] {
            if let Some(value) = value {
                write!(f, "{word}{value}{}", if word == " [" { "]" } else { "" })?;
            }
        }
        Ok(())
    }
}

/// Compares two hive files, or the hives of one image each.
///
/// # Errors
/// Those of opening the targets and reading their hives; `InvalidInput` when one is a hive file and the other is not, or a
/// target names several images.
pub fn diff(
    cx: &Context<'_>,
    old: &Target,
    new: &Target,
    times: CompareTimes,
) -> Result<Vec<HiveDifference>> {
    let sides = [old.compared_with(new), new.compared_with(old)];
    let [(old_is_image, old), (new_is_image, new)] = [side(cx, &sides[0])?, side(cx, &sides[1])?];
    if old_is_image != new_is_image {
        return Err(Error::invalid_input(
            "a hive file can only be compared with another, an image with an image",
        ));
    }
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(before), Some(after)) => {
                let found = before.diff(after, times)?;
                differences.extend(found.into_iter().map(|one| HiveDifference::new(name, one)));
            }
            (before, _) => {
                let key = String::new();
                let one = match before {
                    Some(_) => Difference::KeyRemoved { key },
                    None => Difference::KeyAdded { key },
                };
                differences.push(HiveDifference::new(name, one));
            }
        }
    }
    Ok(differences)
}

/// The hives of one side of a comparison by what reports call them, and whether it is an image. Two hive files are one hive
/// each, whatever their file names say.
fn side(cx: &Context<'_>, target: &Target) -> Result<(bool, BTreeMap<String, Hive>)> {
    let mut answers = read(cx, target, &KeyPaths::default(), |registry| {
        let mut hives = BTreeMap::new();
        for name in registry.hives()? {
            let label = if registry.is_single() { String::new() } else { registry.label(name) };
            if let Some(hive) = registry.set.take(name)? {
                hives.insert(label, hive);
            }
        }
        Ok(hives)
    })?;
    match (answers.pop(), answers.is_empty()) {
        (Some((image, hives)), true) => Ok((image.is_some(), hives)),
        _ => Err(Error::invalid_input("name one image to compare").in_file(target.path.display())),
    }
}
