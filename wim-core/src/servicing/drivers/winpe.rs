//! Drivers in Windows PE 2 and 3 (of Vista and 7), whose driver store cannot be written: `drvload` at start, from the files that say
//! what PE runs.
//!
//! Source: drivers.md 3.4. `winpeshl.ini` lists programs, `startnet.cmd` is what the command shell of a plain PE runs; a line
//! per package goes where the network and plug and play are up and the setup program has not begun, that of a host before those of
//! the hubs below it. Text is edited as bytes, so its code page does not matter, and every line keeps its own end.

use super::hardware_ids::hang_below_another;
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

/// A package that PE is to load.
pub(super) struct ToLoad<'p> {
    /// File name of its INF.
    pub(super) inf: &'p str,
    /// Its folder in the image.
    pub(super) folder: &'p str,
    /// Its device ids.
    pub(super) ids: &'p [String],
}

/// What PE starts where neither script is there.
const FRESH_STARTNET: &[u8] = b"wpeinit\r\n";

/// Sees to it that PE loads a package when it starts.
///
/// # Errors
/// What reading the scripts gives.
pub(super) fn load_at_start(
    image: &mut ImageFiles<'_>,
    manifest: &mut Manifest,
    ToLoad { inf, folder, ids }: ToLoad<'_>,
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
        (None, None, None) => (startnet, FRESH_STARTNET.to_vec(), true),
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
    if lines.iter().any(|other| is_line(other, &line.text)) {
        return Ok(Loaded::AlreadyThere(line));
    }
    let place = if is_ini { place_in_ini(&lines) } else { Some(place_in_script(&lines)) };
    let Some(place) = place else {
        return Ok(Loaded::Not(format!(
            "{path} starts one program by [LaunchApp], which leaves no place for drvload; name it under [LaunchApps]"
        )));
    };
    let is_hub = hang_below_another(ids.iter().map(String::as_str));
    let hub = if is_hub { None } else { first_hub(&lines, &line.path, manifest) };
    let place = hub.map_or(place, |hub| hub.min(place));
    let text = with_line(&lines, place, &line.text);
    image.put_bytes(&path, text.into(), &format!("driver {inf}: loaded when Windows PE starts"))?;
    if !manifest.start_scripts.iter().any(|script| script.path.eq_ignore_ascii_case(&line.path)) {
        manifest.start_scripts.push(StartScript { path: line.path.clone(), created });
    }
    Ok(Loaded::Line(line))
}

/// The first line of the script at `path` that loads a hub's driver, of those that were added before.
fn first_hub(lines: &[&[u8]], path: &str, manifest: &Manifest) -> Option<usize> {
    let is_hub = |entry: &&ManifestEntry| hang_below_another(entry.ids.iter().map(String::as_str));
    let hubs = manifest.drivers.iter().filter(is_hub);
    let own = hubs.flat_map(|hub| &hub.start_lines).filter(|line| line.path.eq_ignore_ascii_case(path));
    own.filter_map(|hub| lines.iter().position(|line| is_line(line, &hub.text))).min()
}

/// Takes the lines of a driver out of the scripts; a script that was made for drivers goes with its last line, unless something else
/// has changed it since, which `findings` then tell.
///
/// # Errors
/// What reading the scripts gives.
pub(super) fn forget(
    image: &mut ImageFiles<'_>,
    entry: &ManifestEntry,
    others: &mut Manifest,
    findings: &mut Vec<String>,
) -> Result<()> {
    for line in &entry.start_lines {
        let path = image.spelled(&line.path)?;
        let is_of_it = |script: &StartScript| script.path.eq_ignore_ascii_case(&line.path);
        let is_needed =
            |other: &ManifestEntry| other.start_lines.iter().any(|l| l.path.eq_ignore_ascii_case(&line.path));
        let is_last = !others.drivers.iter().any(is_needed) && entry.start_lines.last() == Some(line);
        let script = others.start_scripts.iter().position(is_of_it).filter(|_| is_last);
        let created =
            script.map(|index| others.start_scripts.remove(index)).is_some_and(|script| script.created);
        let Some(bytes) = image.read(&path)? else { continue };
        let reason = format!("driver {} removed", entry.inf);
        let rest = without_line(&split(&bytes), &line.text);
        if created && is_fresh(&rest) {
            image.remove(&path, &reason);
            continue;
        }
        if created {
            findings.push(format!(
                "{path} was made to load drivers, but something else has changed it since: it stays, without their lines"
            ));
        }
        if *rest != *bytes {
            image.put_bytes(&path, rest.into(), &reason)?;
        }
    }
    Ok(())
}

/// True for a script as it is made for drivers, without their lines.
fn is_fresh(script: &[u8]) -> bool {
    script == FRESH_STARTNET || SETUPS.iter().any(|(_, program)| script == fresh_winpeshl(program))
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

/// The lines with their ends.
fn split(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n').collect()
}

/// True when `line` says `text`.
fn is_line(line: &[u8], text: &str) -> bool {
    line.trim_ascii().eq_ignore_ascii_case(text.as_bytes())
}

/// The end of a line; none for the last one of a file that has no end.
fn end_of(line: &[u8]) -> Option<&'static [u8]> {
    let ends: [&[u8]; 2] = [b"\r\n", b"\n"];
    ends.into_iter().find(|end| line.ends_with(end))
}

/// The lines with `text` put before the one at `place`, with the end that its neighbours have.
fn with_line(lines: &[&[u8]], place: usize, text: &str) -> Vec<u8> {
    let (before, after) = lines.split_at(place.min(lines.len()));
    let end = before.iter().rev().chain(after).find_map(|line| end_of(line)).unwrap_or(b"\r\n");
    let mut whole = before.concat();
    // Behind a last line without an end the new one has none either, so that taking it out leaves the file as it was.
    let parts = if before.last().is_some_and(|line| end_of(line).is_none()) {
        [end, text.as_bytes()]
    } else {
        [text.as_bytes(), end]
    };
    whole.extend(parts.concat());
    whole.extend(after.concat());
    whole
}

/// The lines without those that say `text`.
fn without_line(lines: &[&[u8]], text: &str) -> Vec<u8> {
    let mut rest: Vec<u8> = Vec::new();
    for line in lines {
        if !is_line(line, text) {
            rest.extend(*line);
        } else if end_of(line).is_none() {
            let end = end_of(&rest).map_or(0, <[u8]>::len);
            rest.truncate(rest.len() - end);
        }
    }
    rest
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
    fn lines_go_in_and_out_without_a_trace() {
        let scripts: [&[u8]; 7] = [
            b"",
            b"wpeinit",
            b"wpeinit\n",
            b"wpeinit\r\ncmd",
            b"@echo off\nwpeinit\r\ncmd\n",
            b"[LaunchApps]\nwpeinit.exe\nsetup.exe",
            b"[LaunchApps]",
        ];
        for script in scripts {
            for first in 0..=split(script).len() {
                let one = with_line(&split(script), first, "drvload a");
                for second in 0..=split(&one).len() {
                    let both = with_line(&split(&one), second, "drvload b");
                    assert_eq!(split(&both).iter().filter(|line| line.starts_with(b"drvload")).count(), 2);
                    for order in [["drvload a", "drvload b"], ["drvload b", "drvload a"]] {
                        let rest = without_line(&split(&both), order[0]);
                        assert_eq!(
                            without_line(&split(&rest), order[1]),
                            script,
                            "{first} {second} {order:?}"
                        );
                    }
                }
            }
        }
        assert_eq!(with_line(&split(b"a\nb\r\n"), 1, "x"), b"a\nx\nb\r\n");
        assert_eq!(with_line(&split(b"a\r\nb"), 2, "x"), b"a\r\nb\r\nx");
    }

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
