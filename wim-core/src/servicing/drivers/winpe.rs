//! Drivers in Windows PE 2 and 3 (of Vista and 7), whose driver store cannot be written: `drvload` at start, from the files that say
//! what PE runs.
//!
//! Source: drivers.md 3.4. `winpeshl.ini` lists programs, `startnet.cmd` is what the command shell of a plain PE runs; a line
//! per package goes where the network and plug and play are up and the setup program has not begun. Text is edited as bytes,
//! so its code page does not matter.

use std::sync::Arc;

use super::manifest::{Manifest, ManifestEntry, StartLine, StartScript};
use super::store::ImageFiles;
use crate::base::Result;

/// Windows PE's system drive while it runs.
const DRIVE: &str = "X:";
pub(super) const WINPESHL: &str = "\\Windows\\System32\\winpeshl.ini";
pub(super) const STARTNET: &str = "\\Windows\\System32\\startnet.cmd";
const DRVLOAD: &str = "\\Windows\\System32\\drvload.exe";
const WPEINIT: &str = "\\Windows\\System32\\wpeinit.exe";
/// Setup programs, in the order in which PE looks for one without a `winpeshl.ini`.
const SETUPS: [(&str, &str); 2] = [
    ("\\setup.exe", "%SYSTEMDRIVE%\\setup.exe"),
    ("\\sources\\setup.exe", "%SYSTEMDRIVE%\\sources\\setup.exe"),
];

/// What was done for one package.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// The package is loaded when PE starts, by this line.
    Line(StartLine),
    /// It was so already.
    AlreadyThere(StartLine),
    /// It is not; the text says why.
    Not(String),
}

/// Sees to it that PE loads the package of `inf` in `folder` (both as in the image) when it starts.
///
/// # Errors
/// What reading the scripts gives.
pub(super) fn load_at_start(
    image: &mut ImageFiles<'_>,
    manifest: &mut Manifest,
    folder: &str,
    inf: &str,
) -> Result<Loaded> {
    for needed in [DRVLOAD, WPEINIT] {
        if image.view().entry(&image.spelled(needed)?).is_none() {
            return Ok(Loaded::Not(format!(
                "{needed} is not in this Windows PE, so the package is not loaded at start"
            )));
        }
    }
    let inf_path = format!("{DRIVE}{folder}\\{inf}");
    let winpeshl = image.spelled(WINPESHL)?;
    let startnet = image.spelled(STARTNET)?;
    let (path, bytes, created) = match (image.read(&winpeshl)?, image.read(&startnet)?, setup(image)?) {
        (Some(bytes), _, _) => (winpeshl, bytes.to_vec(), false),
        (None, _, Some(program)) => (winpeshl, fresh_winpeshl(program), true),
        (None, Some(bytes), None) => (startnet, bytes.to_vec(), false),
        (None, None, None) => (startnet, b"wpeinit\r\n".to_vec(), true),
    };
    let is_ini = path.name().is_some_and(|name| name.to_text().to_ascii_lowercase().ends_with(".ini"));
    let text = if is_ini {
        format!("%SYSTEMROOT%\\System32\\drvload.exe, \"{inf_path}\"")
    } else {
        format!("drvload \"{inf_path}\"")
    };
    let line = StartLine { path: path.to_string(), text };
    if bytes.starts_with(&[0xFF, 0xFE]) {
        return Ok(Loaded::Not(format!(
            "{path} is in UTF-16, which is not edited here; add the line {} to it",
            line.text
        )));
    }
    let lines = split(&bytes);
    if lines.iter().any(|other| other.trim_ascii().eq_ignore_ascii_case(line.text.as_bytes())) {
        return Ok(Loaded::AlreadyThere(line));
    }
    let place = if is_ini { place_in_ini(&lines) } else { Some(place_in_script(&lines)) };
    let Some(place) = place else {
        return Ok(Loaded::Not(format!(
            "{path} starts one program by [LaunchApp], which leaves no place for drvload; name it under [LaunchApps]"
        )));
    };
    let mut lines: Vec<Vec<u8>> = lines.into_iter().map(<[u8]>::to_vec).collect();
    lines.insert(place.min(lines.len()), line.text.clone().into_bytes());
    image.put_bytes(&path, join(&lines), &format!("driver {inf}: loaded when Windows PE starts"))?;
    if !manifest.start_scripts.iter().any(|script| script.path.eq_ignore_ascii_case(&line.path)) {
        manifest.start_scripts.push(StartScript { path: line.path.clone(), created });
    }
    Ok(Loaded::Line(line))
}

/// Takes the lines of a driver out of the scripts; a script that was made for drivers goes with its last line.
///
/// # Errors
/// What reading the scripts gives.
pub(super) fn forget(image: &mut ImageFiles<'_>, entry: &ManifestEntry, others: &mut Manifest) -> Result<()> {
    for line in &entry.start_lines {
        let path = image.spelled(&line.path)?;
        let Some(bytes) = image.read(&path)? else { continue };
        let is_needed =
            |other: &ManifestEntry| other.start_lines.iter().any(|l| l.path.eq_ignore_ascii_case(&line.path));
        let script =
            others.start_scripts.iter().position(|script| script.path.eq_ignore_ascii_case(&line.path));
        let is_last = !others.drivers.iter().any(is_needed) && entry.start_lines.last() == Some(line);
        let created =
            script.and_then(|index| others.start_scripts.get(index)).is_some_and(|script| script.created);
        let reason = format!("driver {} removed", entry.inf);
        if is_last {
            script.map(|index| others.start_scripts.remove(index));
        }
        if is_last && created {
            image.remove(&path, &reason);
            continue;
        }
        let lines: Vec<Vec<u8>> = split(&bytes)
            .into_iter()
            .filter(|other| !other.trim_ascii().eq_ignore_ascii_case(line.text.as_bytes()))
            .map(<[u8]>::to_vec)
            .collect();
        image.put_bytes(&path, join(&lines), &reason)?;
    }
    Ok(())
}

/// The setup program of the image, as `winpeshl.ini` names it.
fn setup(image: &ImageFiles<'_>) -> Result<Option<&'static str>> {
    for (path, program) in SETUPS {
        if image.view().entry(&image.spelled(path)?).is_some() {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

fn fresh_winpeshl(program: &str) -> Vec<u8> {
    format!("[LaunchApps]\r\n%SYSTEMROOT%\\System32\\wpeinit.exe\r\n{program}\r\n").into_bytes()
}

/// The lines without their ends; a line end at the very end of the file makes no empty line.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if body.is_empty() {
        return Vec::new();
    }
    body.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect()
}

fn join(lines: &[Vec<u8>]) -> Arc<[u8]> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend(line);
        bytes.extend(b"\r\n");
    }
    bytes.into()
}

/// Before the last program of `[LaunchApps]`; none when the file has no such section.
fn place_in_ini(lines: &[&[u8]]) -> Option<usize> {
    let header = lines.iter().position(|line| line.trim_ascii().eq_ignore_ascii_case(b"[LaunchApps]"))?;
    let body = lines.get(header + 1..)?;
    let end = body.iter().position(|line| line.trim_ascii().starts_with(b"[")).unwrap_or(body.len());
    let is_program = |line: &&[u8]| !line.trim_ascii().is_empty() && !line.trim_ascii().starts_with(b";");
    let last = body.get(..end)?.iter().rposition(is_program);
    Some(header + 1 + last.unwrap_or(0))
}

/// After `wpeinit` and the `drvload` lines that follow it; at the end when `wpeinit` is not called.
fn place_in_script(lines: &[&[u8]]) -> usize {
    let starts = |line: &[u8], word: &[u8]| {
        let line = line.trim_ascii().strip_prefix(b"@").unwrap_or(line.trim_ascii());
        line.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    let Some(init) = lines.iter().position(|line| starts(line, b"wpeinit")) else { return lines.len() };
    let after = lines.get(init + 1..).unwrap_or(&[]);
    init + 1 + after.iter().take_while(|line| starts(line, b"drvload ")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_new_line() {
        let ini = b"; x\r\n[LaunchApps]\r\nwpeinit.exe\r\nsetup.exe\r\n\r\n[Other]\r\na";
        assert_eq!(place_in_ini(&split(ini)), Some(3));
        assert_eq!(place_in_ini(&split(b"[LaunchApps]\r\n")), Some(1));
        assert_eq!(place_in_ini(&split(b"[LaunchApp]\r\nAppPath=x")), None);
        assert_eq!(place_in_script(&split(b"@echo off\r\nWPEINIT\r\ndrvload a\r\ncmd")), 3);
        assert_eq!(place_in_script(&split(b"cmd\n")), 1);
        assert_eq!(place_in_script(&split(b"")), 0);
    }
}
