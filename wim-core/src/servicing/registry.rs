//! Registry paths as people write them, and .reg files applied to the hives of an image.
//!
//! `HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\…` exists in a running Windows only; here such paths are mapped to hives and
//! to the control sets that `Select` names. Mappings follow how Windows mounts its hives; whose `HKEY_CURRENT_USER` is meant
//! must be said by the user.

use std::io::Write;

use super::hive_set::{HiveName, HiveSet, control_set_key};
use crate::base::{Error, Place, Result};
use crate::formats::hive::{KeyRef, RegValue};
use crate::formats::reg_file::{RegAction, RegFile, RegFormat, RegWriter};

/// Which hives path prefixes mean, beyond those that Windows has.
#[derive(Clone, Debug, Default)]
pub struct PathMap {
    /// Hive of `HKEY_CURRENT_USER`; none refuses such paths.
    pub current_user: Option<HiveName>,
    /// Prefixes such as `HKEY_LOCAL_MACHINE\OFFLINE` with the hive that is meant; they come first.
    pub prefixes: Vec<(String, HiveName)>,
}

/// Places in hives that a path means: several when it leads through `CurrentControlSet`.
pub type Places = Vec<(HiveName, String)>;

/// Long and short names of the roots.
const ROOTS: [(&str, &str); 5] = [
    ("HKEY_LOCAL_MACHINE", "HKLM"),
    ("HKEY_CURRENT_USER", "HKCU"),
    ("HKEY_USERS", "HKU"),
    ("HKEY_CLASSES_ROOT", "HKCR"),
    ("HKEY_CURRENT_CONFIG", "HKCC"),
];

/// Hives below `HKEY_LOCAL_MACHINE`. Windows mounts the last four nowhere, or elsewhere; here they need a path too.
const MACHINE_HIVES: [HiveName; 12] = [
    HiveName::Bcd,
    HiveName::System,
    HiveName::Software,
    HiveName::Sam,
    HiveName::Security,
    HiveName::Drivers,
    HiveName::Components,
    HiveName::Schema,
    HiveName::Elam,
    HiveName::Bbi,
    HiveName::BcdTemplate,
    HiveName::Amcache,
];

/// Hives below `HKEY_USERS`.
const USER_HIVES: [(&str, HiveName); 4] = [
    (".DEFAULT", HiveName::Default),
    ("S-1-5-18", HiveName::Default),
    ("S-1-5-19", HiveName::LocalService),
    ("S-1-5-20", HiveName::NetworkService),
];

/// The rest of `path` below `prefix`, any case; none when it lies elsewhere.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let head = path.get(..prefix.len())?;
    let rest = path.get(prefix.len()..)?;
    if !head.eq_ignore_ascii_case(prefix) {
        return None;
    }
    if rest.is_empty() { Some("") } else { rest.strip_prefix('\\') }
}

/// A path with the long name of its root, if it begins with a root at all.
fn with_long_root(path: &str) -> Option<String> {
    ROOTS.iter().find_map(|(long, short)| {
        let rest = below(path, long).or_else(|| below(path, short))?;
        Some(if rest.is_empty() { (*long).to_owned() } else { format!("{long}\\{rest}") })
    })
}

fn join(parent: &str, rest: &str) -> String {
    if rest.is_empty() { parent.to_owned() } else { format!("{parent}\\{rest}") }
}

/// Finds the places that a full registry path means.
///
/// # Errors
/// `InvalidInput` for paths that begin with no known root, lead into no hive, or need to know whose `HKEY_CURRENT_USER` is
/// meant; those of reading SYSTEM for `CurrentControlSet`.
pub fn resolve(set: &mut HiveSet<'_>, path: &str, map: &PathMap) -> Result<Places> {
    let path = path.trim_matches('\\');
    for (prefix, hive) in &map.prefixes {
        let long = with_long_root(prefix).unwrap_or_else(|| prefix.clone());
        let full = with_long_root(path).unwrap_or_else(|| path.to_owned());
        if let Some(rest) = below(&full, &long) {
            return places_in(set, *hive, rest);
        }
    }
    let Some(full) = with_long_root(path) else {
        return Err(Error::invalid_input(format!("{path} does not begin with a root of the registry"))
            .remedy("begin with HKEY_LOCAL_MACHINE\\SYSTEM or the like, or map the prefix to a hive"));
    };
    if let Some(rest) = below(&full, "HKEY_LOCAL_MACHINE") {
        for hive in MACHINE_HIVES {
            if let Some(rest) = below(rest, hive.label()) {
                return places_in(set, hive, rest);
            }
        }
    } else if let Some(rest) = below(&full, "HKEY_CLASSES_ROOT") {
        return Ok(vec![(HiveName::Software, join("Classes", rest))]);
    } else if let Some(rest) = below(&full, "HKEY_CURRENT_CONFIG") {
        // The running system's link leads to the profile in use, which is the first one in every image.
        let rest = join("CurrentControlSet\\Hardware Profiles\\0001", rest);
        return places_in(set, HiveName::System, &rest);
    } else if let Some(rest) = below(&full, "HKEY_USERS") {
        for (name, hive) in USER_HIVES {
            if let Some(rest) = below(rest, name) {
                return Ok(vec![(hive, rest.to_owned())]);
            }
        }
        let (user, rest) = rest.split_once('\\').unwrap_or((rest, ""));
        if let Some(hive) = user_hive(set, user)? {
            return Ok(vec![(hive, rest.to_owned())]);
        }
    } else if let Some(rest) = below(&full, "HKEY_CURRENT_USER") {
        return match map.current_user {
            Some(hive) => Ok(vec![(hive, rest.to_owned())]),
            None => Err(Error::invalid_input(format!("{path}: an image has no current user"))
                .remedy("say which hive is meant, such as that of new users: --user default")),
        };
    }
    Err(Error::invalid_input(format!("{path} lies in no hive of an image"))
        .remedy("map the prefix to a hive: --map PREFIX=HIVE"))
}

/// The hive of a user, by the name of the profile folder, or by the SID that Windows keeps in its list of profiles; with
/// `_Classes` after either, the hive of that user's classes.
fn user_hive(set: &mut HiveSet<'_>, user: &str) -> Result<Option<HiveName>> {
    const PROFILE_LIST: &str = "Microsoft\\Windows NT\\CurrentVersion\\ProfileList";
    if user.is_empty() {
        return Ok(None);
    }
    let (sid, suffix) =
        match user.len().checked_sub("_Classes".len()).and_then(|at| user.split_at_checked(at)) {
            Some((sid, suffix)) if suffix.eq_ignore_ascii_case("_Classes") => (sid, suffix),
            _ => (user, ""),
        };
    let folder = set.get(HiveName::Software, &join(PROFILE_LIST, sid), "ProfileImagePath")?;
    let folder = folder.and_then(|value| value.as_str());
    // Profiles lie in one folder each, whatever the drive is called.
    let name = folder.as_deref().and_then(|folder| folder.trim_end_matches('\\').rsplit('\\').next());
    let name = name.map_or_else(|| user.to_owned(), |name| format!("{name}{suffix}"));
    set.user_hive(&name)
}

/// Places in a hive whose path may lead through `CurrentControlSet`, or to drivers that moved to a hive of their own.
///
/// # Errors
/// Those of reading the hive.
pub fn places_in(set: &mut HiveSet<'_>, hive: HiveName, rest: &str) -> Result<Places> {
    if let Some(rest) = below(rest, "CurrentControlSet")
        && is_system(set, hive)?
    {
        let sets = set.control_sets_of(hive)?;
        return Ok(sets.into_iter().map(|n| (hive, join(&control_set_key(n), rest))).collect());
    }
    if hive == HiveName::System
        && below(rest, "DriverDatabase").is_some()
        && !set.key_exists(hive, "DriverDatabase")?
        && set.has(HiveName::Drivers)
    {
        return Ok(vec![(HiveName::Drivers, rest.to_owned())]);
    }
    Ok(vec![(hive, rest.to_owned())])
}

/// Whether a hive is a SYSTEM hive: by its place, else by the key that names its control sets.
fn is_system(set: &mut HiveSet<'_>, hive: HiveName) -> Result<bool> {
    Ok(hive == HiveName::System
        || (matches!(hive, HiveName::Other(_))
            && set.get(hive, "Select", "Current")?.is_some()
            && !set.key_exists(hive, "CurrentControlSet")?))
}

/// The full path, as regedit shows it, of a key of a hive; none for hives that Windows mounts nowhere.
#[must_use]
pub fn full_path(hive: HiveName, key: &str) -> Option<String> {
    let root = match hive {
        HiveName::Default => "HKEY_USERS\\.DEFAULT".to_owned(),
        HiveName::LocalService => "HKEY_USERS\\S-1-5-19".to_owned(),
        HiveName::NetworkService => "HKEY_USERS\\S-1-5-20".to_owned(),
        HiveName::DefaultUser => "HKEY_CURRENT_USER".to_owned(),
        hive if MACHINE_HIVES.contains(&hive) => format!("HKEY_LOCAL_MACHINE\\{}", hive.label()),
        _ => return None,
    };
    Some(join(&root, key))
}

/// Applies the statements of a .reg file, in order. Returns how many statements there were; what they changed is in the
/// journal of the set. A failed import leaves the set as it was.
///
/// # Errors
/// As [`resolve`] and the edits of [`HiveSet`], with the line of the statement; `InvalidInput` for deleting a whole hive.
pub fn import(set: &mut HiveSet<'_>, file: &RegFile, map: &PathMap, source: &str) -> Result<usize> {
    let before = set.savepoint();
    for statement in &file.statements {
        let reason = format!("{source}, line {}", statement.line);
        let result = apply(set, &statement.key, &statement.action, map, &reason);
        if let Err(error) = result {
            set.roll_back(before)?;
            return Err(error.or_at(Place::Line { line: statement.line, column: 0 }).in_file(source));
        }
    }
    Ok(file.statements.len())
}

fn apply(set: &mut HiveSet<'_>, key: &str, action: &RegAction, map: &PathMap, reason: &str) -> Result<()> {
    for (hive, path) in resolve(set, key, map)? {
        match action {
            RegAction::CreateKey => set.create_key(hive, &path, reason)?,
            RegAction::DeleteKey if path.is_empty() => {
                return Err(Error::invalid_input(format!("{key} is a whole hive and is not deleted")));
            }
            RegAction::DeleteKey => set.delete_key(hive, &path, reason)?,
            RegAction::SetValue { name, kind, data } => {
                set.set(hive, &path, name, RegValue::new(*kind, data.clone()), reason)?;
            }
            RegAction::DeleteValue { name } => set.delete_value(hive, &path, name, reason)?,
        }
    }
    Ok(())
}

/// Exports a key with everything below it as a .reg file; `path` is the full path to write for the key itself.
///
/// # Errors
/// `Format` when the hive is damaged, `Unsupported` when the code page of REGEDIT4 lacks a character, `Io` when writing
/// fails.
pub fn export(
    key: KeyRef<'_>,
    path: &str,
    format: RegFormat,
    code_page: Option<u16>,
    out: &mut dyn Write,
) -> Result<()> {
    /// Windows allows 512 levels.
    const MAX_DEPTH: usize = 512;
    let mut writer = RegWriter::new(out, format, code_page)?;
    let mut path = path.to_owned();
    let mut lengths = vec![path.len()];
    export_key(&mut writer, &key, &path)?;
    // Lists of a damaged hive could lead back up, so no more keys than the hive can hold are followed.
    let mut left = key.limit_of_keys();
    let mut levels = vec![key.subkeys()];
    while let Some(level) = levels.last_mut() {
        let Some(child) = level.next() else {
            levels.pop();
            lengths.pop();
            path.truncate(lengths.last().copied().unwrap_or(0));
            continue;
        };
        let child = child?;
        left = left.checked_sub(1).ok_or_else(|| Error::corrupt("keys are reached twice"))?;
        if levels.len() >= MAX_DEPTH {
            return Err(Error::corrupt("keys lie deeper than 512 levels"));
        }
        path.push('\\');
        path.push_str(&child.name().to_text());
        lengths.push(path.len());
        export_key(&mut writer, &child, &path)?;
        levels.push(child.subkeys());
    }
    writer.finish()
}

fn export_key(writer: &mut RegWriter<'_>, key: &KeyRef<'_>, path: &str) -> Result<()> {
    writer.key(path)?;
    for value in key.values() {
        let value = value?;
        writer.value(&value.name().to_text(), value.kind(), &value.data()?)?;
    }
    Ok(())
}
