//! Opening a hive of an image: with its logs when it is dirty, and, when the caller allows it, in spite of damage.
//!
//! Which logs belong to a hive follows Windows' names for them. A damaged hive is never edited as it lies: it is rebuilt
//! without what cannot be read, and that is named.

use crate::base::{Error, ErrorKind, FileTime, Result};
use crate::formats::hive::{Damage, Finding, Hive};
use crate::image::WimPath;
use crate::image::edit::View;

/// Largest hive that is loaded when the caller names no limit: 2 GiB is the format's own.
pub(super) const MAX_HIVE_BYTES: u64 = 0x8000_0000;
/// Largest transaction log that is loaded.
const MAX_LOG_BYTES: u64 = 256 << 20;
/// Suffixes of transaction logs.
const LOG_SUFFIXES: [&str; 3] = [".LOG1", ".LOG2", ".LOG"];

/// How hives are edited.
#[derive(Clone, Copy, Debug, Default)]
pub struct HiveOptions {
    /// Time stamped on edited keys and hives; the same edits at the same time give the same bytes. None keeps the time
    /// of each hive's last write.
    pub time: Option<FileTime>,
}

/// What [`load`] goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) time: Option<FileTime>,
    pub(super) damage: Damage,
    /// Largest hive that is loaded.
    pub(super) max_bytes: u64,
}

/// A loaded hive.
pub(super) struct Slot {
    pub(super) hive: Hive,
    pub(super) path: WimPath,
    /// The path, or what the caller calls the file: for errors.
    pub(super) shown: String,
    /// Logs beside the hive that hold something.
    pub(super) logs: Vec<WimPath>,
    /// What was damaged and is not in it any more; empty for a hive that was not rebuilt.
    pub(super) left_out: Vec<Finding>,
}

/// Loads the hive at `path`, with what its logs hold if it is dirty.
///
/// # Errors
/// Those of [`Hive::recover`] and of reading the files, with the file named; `Limit` for a larger hive than the rules allow.
pub(super) fn load(view: &dyn View, path: WimPath, shown: String, rules: &Rules) -> Result<Slot> {
    let logs: Vec<WimPath> = LOG_SUFFIXES
        .iter()
        .filter_map(|suffix| beside(&path, suffix))
        .filter(|log| view.entry(log).is_some_and(|entry| entry.size > 0))
        .collect();
    let opened = open(view, &path, &logs, rules);
    let (mut hive, left_out) = match rules.damage {
        Damage::Refuse => (opened.map_err(|error| error.in_file(&shown))?, Vec::new()),
        Damage::GiveUp => repair(view, &path, opened, rules).map_err(|error| error.in_file(&shown))?,
    };
    if let Some(time) = rules.time {
        hive.set_edit_time(time);
    }
    Ok(Slot { hive, path, shown, logs, left_out })
}

fn open(view: &dyn View, path: &WimPath, logs: &[WimPath], rules: &Rules) -> Result<Hive> {
    match Hive::open(bytes(view, path, rules)?) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let contents =
                logs.iter().map(|log| view.read(log, MAX_LOG_BYTES)).collect::<Result<Vec<_>>>()?;
            let contents: Vec<&[u8]> = contents.iter().map(|log| &**log).collect();
            Hive::recover(bytes(view, path, rules)?, &contents)
        }
        opened => opened,
    }
}

fn bytes(view: &dyn View, path: &WimPath, rules: &Rules) -> Result<Vec<u8>> {
    if let Some(entry) = view.entry(path)
        && entry.size > rules.max_bytes
    {
        return Err(Error::limit(format!(
            "the hive has {} bytes, and {} are allowed: editing takes three times its size",
            entry.size, rules.max_bytes
        ))
        .remedy("allow three times the size of the hive with --memory"));
    }
    Ok(view.read(path, rules.max_bytes)?.to_vec())
}

/// The hive as it was opened, if it is sound; else rebuilt without what is damaged.
fn repair(
    view: &dyn View,
    path: &WimPath,
    opened: Result<Hive>,
    rules: &Rules,
) -> Result<(Hive, Vec<Finding>)> {
    let (hive, mut left_out) = match opened {
        Ok(hive) => {
            let report = hive.check();
            if report.is_sound() {
                return Ok((hive, Vec::new()));
            }
            (hive, report.findings)
        }
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format) => {
            Hive::open_damaged(bytes(view, path, rules)?)?
        }
        Err(error) => return Err(error),
    };
    let (rebuilt, more) = hive.compact(Damage::GiveUp)?;
    left_out.extend(more);
    Ok((rebuilt, left_out))
}

/// The path of the file whose name is that of `path` with `suffix` after it.
fn beside(path: &WimPath, suffix: &str) -> Option<WimPath> {
    let name = format!("{}{suffix}", path.name()?);
    Some(path.parent()?.child(name.as_str()))
}
