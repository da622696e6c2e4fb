//! CopyFiles, DestinationDirs and SourceDisks: which files an install section copies, from where, to where.
//!
//! Source: drivers.md 1.6 to 1.8. Paths stay inside the package: one that would leave it is an error, whatever the host
//! file system thinks of `..`.

use super::directory::{self, Directory};
use super::lexer::Position;
use super::section::{Inf, parse_number};
use crate::base::windows_name::name_fault;
use crate::base::{Architecture, Error};

/// A file that an install section copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCopy {
    /// Name it gets.
    pub destination_name: String,
    /// Name it has in the package.
    pub source_name: String,
    /// `COPYFLG_*` bits.
    pub flags: u32,
    /// Directory id of the destination.
    pub dirid: u32,
    /// Sub-folder below the directory; may be empty.
    pub subdir: String,
    /// Where the line is.
    pub position: Position,
}

impl FileCopy {
    /// COPYFLG_NO_OVERWRITE: not when a file is there.
    pub const NO_OVERWRITE: u32 = 0x10;
    /// COPYFLG_REPLACEONLY: only when a file is there.
    pub const REPLACE_ONLY: u32 = 0x400;
    /// COPYFLG_NODECOMP: a compressed file is copied as it is.
    pub const NO_DECOMPRESSION: u32 = 0x800;

    /// The folder of the destination in an image of `arch`.
    #[must_use]
    pub fn directory(&self, arch: Architecture) -> Directory {
        match directory::lookup(self.dirid, arch) {
            Directory::Folder(folder) if !self.subdir.is_empty() => {
                Directory::Folder(format!("{folder}\\{}", self.subdir).trim_start_matches('\\').to_owned())
            }
            other => other,
        }
    }
}

/// Where a source file lies in the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePath {
    /// Folder relative to the INF, with backslashes; empty for the INF's own.
    pub folder: String,
    /// The cabinet that holds it, relative to the INF, when it is not a plain file.
    pub cabinet: Option<String>,
    /// False when no SourceDisksFiles section lists it, so that the INF's own folder is a guess.
    pub listed: bool,
}

/// The files of one `CopyFiles` value: `@name`, or the entries of a file-list section.
///
/// Lines that make no sense go to `findings`.
///
/// # Errors
/// `Format` when a name or folder would lead out of where files belong: nothing of such an INF can be trusted.
pub fn copy_files(
    inf: &Inf,
    value: &str,
    at: Position,
    findings: &mut Vec<Error>,
) -> Result<Vec<FileCopy>, Error> {
    let mut copies = Vec::new();
    if let Some(name) = value.strip_prefix('@') {
        let (dirid, subdir) = destination(inf, None, at, name, findings)?;
        copies.push(FileCopy {
            destination_name: name.trim().to_owned(),
            source_name: name.trim().to_owned(),
            flags: 0,
            dirid,
            subdir,
            position: at,
        });
    } else if let Some(section) = inf.section(value) {
        let mut target: Option<(u32, String)> = None;
        for entry in section.entries.iter().take_while(|_| !inf.is_exhausted()) {
            // `a.sys = …` is not a copy line, but the key of a mistaken one still names the file.
            let Some(name) = entry.key.as_ref().or_else(|| entry.values.first()) else { continue };
            let name = inf.expand(name).trim().to_owned();
            if name.is_empty() {
                continue;
            }
            let (dirid, subdir) = match &target {
                Some(known) => known.clone(),
                None => {
                    target.insert(destination(inf, Some(value), entry.position, &name, findings)?).clone()
                }
            };
            let source = inf.field(entry, 1).map_or_else(|| name.clone(), |text| text.trim().to_owned());
            let flags = inf.field(entry, 3).and_then(|text| parse_number(&text)).unwrap_or(0);
            let (source, flags) = match entry.key {
                Some(_) => (name.clone(), 0),
                None => (source, flags),
            };
            let position = entry.position;
            copies.push(FileCopy {
                destination_name: name,
                source_name: source,
                flags,
                dirid,
                subdir,
                position,
            });
        }
    } else {
        findings.push(inf.error(at, format!("CopyFiles names section [{value}], which is not there")));
    }
    for copy in &copies {
        let names = [&copy.destination_name, &copy.source_name];
        names
            .into_iter()
            .try_for_each(|name| check_name(name))
            .map_err(|what| inf.error(copy.position, what))?;
    }
    Ok(copies)
}

/// A file name must be a bare name that Windows can give to a file: a path could leave the folder it is meant for.
fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 255;
    let fault = match name.encode_utf16().count() > LONGEST {
        true => Some("has more than 255 characters"),
        false => name_fault(name),
    };
    let shown = || name.chars().take(80).collect::<String>();
    fault.map_or(Ok(()), |fault| {
        Err(format!("{:?} cannot be the name of a file to copy: it {fault}", shown()))
    })
}

/// A folder inside the package or below a directory, cleaned: backslashes, no `.`; an error text when it would leave.
fn clean_folder(text: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in text.split(['\\', '/']).map(str::trim) {
        match part {
            "" | "." => {}
            ".." => return Err(format!("folder {text:?} leads out of where its files belong")),
            part if part.contains(':') => return Err(format!("folder {text:?} names a drive")),
            part if part.contains(char::is_control) => {
                return Err(format!("folder {text:?} holds a control character"));
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("\\"))
}

/// Directory id and sub-folder for a file-list section (none: for `@file`).
fn destination(
    inf: &Inf,
    list: Option<&str>,
    at: Position,
    name: &str,
    findings: &mut Vec<Error>,
) -> Result<(u32, String), Error> {
    const SYSTEM32: u32 = 11;
    const DRIVERS: u32 = 12;
    let entry = inf.section("DestinationDirs").and_then(|section| {
        let of = |key: &str| {
            section
                .entries
                .iter()
                .find(|entry| entry.key.as_ref().is_some_and(|k| inf.expand(k).eq_ignore_ascii_case(key)))
        };
        list.and_then(of).or_else(|| of("DefaultDestDir"))
    });
    if let Some(entry) = entry {
        let id = inf.field(entry, 0).and_then(|text| parse_number(&text));
        let subdir = inf.field(entry, 1).map_or(Ok(String::new()), |text| clean_folder(&text));
        match (id, subdir) {
            (Some(id), Ok(subdir)) => return Ok((id, subdir)),
            (Some(id), Err(_)) if directory::lookup(id, Architecture::X86) == Directory::Absolute => {
                return Ok((id, String::new()));
            }
            (Some(_), Err(what)) => return Err(inf.error(entry.position, what)),
            (None, _) => findings.push(inf.error(entry.position, "destination without a directory id")),
        }
    }
    let what = match list {
        Some(list) => format!("[DestinationDirs] has neither {list} nor DefaultDestDir; System32 is assumed"),
        None => "[DestinationDirs] has no DefaultDestDir; System32 is assumed".to_owned(),
    };
    let is_sys = name.to_ascii_lowercase().ends_with(".sys");
    let what = if is_sys { what.replace("System32", "System32\\drivers") } else { what };
    findings.push(inf.error(at, what));
    Ok((if is_sys { DRIVERS } else { SYSTEM32 }, String::new()))
}

/// Where `file` lies in the package, for `arch`.
///
/// # Errors
/// `Format` when the INF sends it outside the package.
pub fn source_path(inf: &Inf, file: &str, arch: Architecture) -> Result<SourcePath, Error> {
    let by_arch = format!("SourceDisksFiles.{arch}");
    let entry = [by_arch.as_str(), "SourceDisksFiles"].into_iter().find_map(|name| {
        let section = inf.section(name)?;
        section.entries.iter().find(|entry| {
            entry.key.as_ref().is_some_and(|key| inf.expand(key).trim().eq_ignore_ascii_case(file))
        })
    });
    let Some(entry) = entry else {
        return Ok(SourcePath { folder: String::new(), cabinet: None, listed: false });
    };
    let disk = inf.field(entry, 0).unwrap_or_default().trim().to_owned();
    let place = |what: String| inf.error(entry.position, what);
    let subdir = clean_folder(&inf.field(entry, 1).unwrap_or_default()).map_err(place)?;
    let by_arch = format!("SourceDisksNames.{arch}");
    let names = [by_arch.as_str(), "SourceDisksNames"].into_iter().find_map(|name| {
        let section = inf.section(name)?;
        let number = parse_number(&disk);
        section.entries.iter().find(|entry| {
            entry.key.as_ref().is_some_and(|key| {
                let key = inf.expand(key);
                key.trim() == disk || (number.is_some() && parse_number(&key) == number)
            })
        })
    });
    let mut path = String::new();
    let mut cabinet = None;
    if let Some(names) = names {
        const TAG_IS_CABINET: u32 = 0x10;
        path = clean_folder(&inf.field(names, 3).unwrap_or_default())
            .map_err(|what| inf.error(names.position, what))?;
        let tag = inf.field(names, 1).map(std::borrow::Cow::into_owned);
        let flags = inf.field(names, 4).and_then(|text| parse_number(&text)).unwrap_or(0);
        cabinet = tag.filter(|tag| flags & TAG_IS_CABINET != 0 || tag.to_ascii_lowercase().ends_with(".cab"));
    }
    let join = |a: &str, b: &str| [a, b].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("\\");
    if let Some(name) = cabinet {
        let name = clean_folder(&name).map_err(|what| inf.error(entry.position, what))?;
        return Ok(SourcePath { folder: subdir, cabinet: Some(join(&path, &name)), listed: true });
    }
    Ok(SourcePath { folder: join(&path, &subdir), cabinet: None, listed: true })
}
