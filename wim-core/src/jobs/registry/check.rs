//! Checking, comparing and rebuilding hives.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::target::{Source, Target, read};
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Context, Error, ErrorKind, Result};
use crate::formats::hive::{CompareTimes, Damage, Difference, Finding, Hive, KeyPart, Severity};
use crate::jobs::clock;
use crate::servicing::hive_set::HiveName;
use crate::servicing::registry::PathMap;

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
        let bytes = std::fs::read(&target.path).map_err(|e| Error::io(e, "cannot read", &target.path))?;
        let name = target.path.display().to_string();
        let check = match Hive::open_damaged(bytes) {
            Ok((hive, first)) => check_hive(&name, &hive, &first),
            Err(error) => unreadable(&name, &error),
        };
        return Ok(vec![CheckAnswer { image: None, hives: vec![check] }]);
    }
    let answers = read(cx, target, &PathMap::default(), |registry| {
        let mut checks = Vec::new();
        for name in registry.hives() {
            checks.push(match registry.hive(name) {
                Ok(Some(hive)) => check_hive(name.label(), hive, &[]),
                Ok(None) => continue,
                Err(error) => unreadable(name.label(), &error),
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
    fn new(hive: &str, difference: Difference) -> Self {
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
    let mut sides = Vec::new();
    for target in [old, new] {
        let mut answers = read(cx, target, &PathMap::default(), |registry| {
            let mut hives: Vec<(HiveName, Hive)> = Vec::new();
            for name in registry.hives() {
                if let Some(hive) = registry.hive(name)? {
                    hives.push((name, hive.clone()));
                }
            }
            Ok(hives)
        })?;
        match (answers.pop(), answers.is_empty()) {
            (Some((image, hives)), true) => sides.push((image.is_some(), hives)),
            _ => return Err(Error::invalid_input("name one image to compare").in_file(target.path.display())),
        }
    }
    let (Some((new_is_image, new)), Some((old_is_image, old))) = (sides.pop(), sides.pop()) else {
        return Err(Error::invalid_input("two targets are needed"));
    };
    if old_is_image != new_is_image {
        return Err(Error::invalid_input(
            "a hive file can only be compared with another, an image with an image",
        ));
    }
    // Two hive files are one hive each, whatever their file names say.
    let alone = |side: Vec<(HiveName, Hive)>| match old_is_image {
        true => side,
        false => side.into_iter().map(|(_, hive)| (HiveName::Other(0), hive)).collect(),
    };
    let (old, new) = (alone(old), alone(new));
    let names: BTreeSet<HiveName> = old.iter().chain(&new).map(|(name, _)| *name).collect();
    let mut differences = Vec::new();
    for name in names {
        let find = |side: &[(HiveName, Hive)]| side.iter().position(|(other, _)| *other == name);
        let label = if old_is_image { name.label() } else { "" };
        match (find(&old).and_then(|i| old.get(i)), find(&new).and_then(|i| new.get(i))) {
            (Some((_, before)), Some((_, after))) => {
                let found = before.diff(after, times)?;
                differences.extend(found.into_iter().map(|one| HiveDifference::new(label, one)));
            }
            (before, _) => {
                let key = String::new();
                let one = match before {
                    Some(_) => Difference::KeyRemoved { key },
                    None => Difference::KeyAdded { key },
                };
                differences.push(HiveDifference::new(label, one));
            }
        }
    }
    Ok(differences)
}

/// What a rebuild came to.
#[derive(Clone, Debug, Serialize)]
pub struct CompactReport {
    /// Size of the file before.
    pub before_bytes: u64,
    /// Its size now.
    pub after_bytes: u64,
    /// What was damaged and is not in it.
    pub left_out: Vec<FindingRecord>,
}

/// Rebuilds the hive file at `path` into `output`, or in its place, and tells what was left out. With [`Damage::GiveUp`], damage is left out; a dirty hive is then read as it lies when its logs do not fit.
///
/// # Errors
/// `Corrupt` or `Format` for a damaged hive that must not lose anything, `Io`.
pub fn compact(path: &Path, output: Option<&Path>, damage: Damage) -> Result<CompactReport> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| Error::io(e, "cannot read", path));
    let bytes = read(path)?;
    let before = bytes.len() as u64;
    let mut logs = Vec::new();
    for suffix in [".LOG1", ".LOG2", ".LOG"] {
        let mut log = path.as_os_str().to_owned();
        log.push(suffix);
        if Path::new(&log).is_file() {
            logs.push(read(Path::new(&log))?);
        }
    }
    let log_slices: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    let mut left_out = Vec::new();
    let hive = match Hive::recover(bytes, &log_slices) {
        Ok(hive) => hive,
        Err(error)
            if damage == Damage::GiveUp && matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format) =>
        {
            let (hive, findings) = Hive::open_damaged(read(path)?)?;
            left_out.extend(findings);
            hive
        }
        Err(error) => return Err(error.in_file(path.display())),
    };
    let (mut rebuilt, more) = hive.compact(damage).map_err(|error| error.in_file(path.display()))?;
    left_out.extend(more);
    rebuilt.set_edit_time(clock::job_time()?);
    let bytes = rebuilt.finish()?;
    let if_exists = if output.is_some() { IfExists::Refuse } else { IfExists::Replace };
    let target = output.unwrap_or(path);
    let mut file = AtomicFile::create(target, if_exists)?;
    file.write_all(&bytes).map_err(|e| Error::io(e, "cannot write", target))?;
    file.commit()?;
    let after_bytes = bytes.len() as u64;
    Ok(CompactReport {
        before_bytes: before,
        after_bytes,
        left_out: left_out.iter().map(Into::into).collect(),
    })
}
