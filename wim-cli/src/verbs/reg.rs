//! `wim reg`: the registry of images and of plain hive files.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use wim_core::base::atomic_file::{AtomicFile, IfExists};
use wim_core::base::{Context, Error, ImageIndex, Place};
use wim_core::formats::hive::{CompareTimes, Damage, KeyRef, RegValue, reg_type};
use wim_core::formats::reg_file::{RegFile, RegFormat, UnknownLines};
use wim_core::jobs::dir::NothingFits;
use wim_core::jobs::registry::{self as job, EditReport, Mode, Registry, Target};
use wim_core::servicing::hive_set::HiveName;
use wim_core::servicing::registry::{self, PathMap};

use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Read and change the registry of images and of hive files
///
/// TARGET is a hive file, or a WIM with the image behind a colon: install.wim:Professional, install.wim:all. In a hive
/// file KEY counts from its root; in an image it begins with HKLM\SYSTEM and the like, and CurrentControlSet means the
/// control sets that the image boots with.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List the subkeys and values of a key
    Ls {
        target: String,
        #[arg(default_value = "")]
        key: String,
        #[command(flatten)]
        paths: Paths,
    },
    /// Print one value
    Get {
        target: String,
        key: String,
        /// Name of the value; without it, the default value
        #[arg(default_value = "")]
        value: String,
        #[command(flatten)]
        paths: Paths,
    },
    /// Set a value, and make its key where that is missing
    Set {
        target: String,
        key: String,
        /// Name of the value; empty for the default value
        value: String,
        /// Text, number, or hexadecimal digits, by the type; several texts of a REG_MULTI_SZ as several arguments; put
        /// -- before data that begins with a hyphen
        data: Vec<String>,
        /// REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ, REG_DWORD, REG_QWORD, REG_BINARY, or a number with hexadecimal data
        #[arg(long = "type", default_value = "REG_SZ", value_parser = parse_kind)]
        kind: u32,
        #[command(flatten)]
        paths: Paths,
        #[command(flatten)]
        editing: Editing,
    },
    /// Delete a value, or a key with everything below it
    Delete {
        target: String,
        key: String,
        /// The value to delete; without it, the key is deleted; empty for the default value
        #[arg(long)]
        value: Option<String>,
        #[command(flatten)]
        paths: Paths,
        #[command(flatten)]
        editing: Editing,
    },
    /// Find keys, values and texts that contain TEXT, in any case
    Find {
        target: String,
        text: String,
        /// Look below this key only
        #[arg(long, default_value = "")]
        key: String,
        #[command(flatten)]
        paths: Paths,
    },
    /// Write a key with everything below it as a .reg file
    Export {
        target: String,
        #[arg(default_value = "")]
        key: String,
        /// The file to write; standard output without it
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// Version 5.00 (UTF-16) or REGEDIT4 (ANSI)
        #[arg(long, value_enum, default_value_t = Format::V5)]
        format: Format,
        #[command(flatten)]
        paths: Paths,
    },
    /// Apply .reg files
    Import {
        target: String,
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Fail at a line that is not understood instead of skipping it with a warning
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        paths: Paths,
        #[command(flatten)]
        editing: Editing,
    },
    /// Check every record; exit code 1 when there is an error
    Check { target: String },
    /// Compare two hive files or two images; exit code 1 when they differ
    Diff {
        old: String,
        new: String,
        /// Compare the times of keys too
        #[arg(long)]
        times: bool,
    },
    /// Rebuild a hive file without free space
    Compact {
        hive: PathBuf,
        /// Write here instead of replacing the file
        #[arg(long, short)]
        output: Option<PathBuf>,
        /// Leave out what is damaged; everything left out is named
        #[arg(long)]
        force_repair: bool,
    },
}

/// How paths are read.
#[derive(Args, Debug)]
struct Paths {
    /// A path prefix and the hive it means: HKLM\OFFLINE=SYSTEM; for a hive file PREFIX=.
    #[arg(long = "map", value_name = "PREFIX=HIVE", value_parser = parse_prefix)]
    prefixes: Vec<(String, HiveName)>,
    /// What HKEY_CURRENT_USER means
    #[arg(long, value_enum)]
    user: Option<User>,
    /// Code page of REGEDIT4 files
    #[arg(long, value_name = "NUMBER")]
    code_page: Option<u16>,
}

#[derive(Args, Debug)]
struct Editing {
    /// Print the edits and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum User {
    /// The template of new users
    Default,
    /// The user that services run as
    System,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Windows Registry Editor Version 5.00
    #[value(name = "5")]
    V5,
    /// REGEDIT4
    #[value(name = "4")]
    Regedit4,
}

fn parse_kind(text: &str) -> Result<u32, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    reg_type::from_name(text).or(number).ok_or_else(|| format!("{text} is no type of a value"))
}

fn parse_prefix(text: &str) -> Result<(String, HiveName), String> {
    let (prefix, hive) = text.rsplit_once('=').ok_or("write PREFIX=HIVE")?;
    let hive = match hive {
        // The one hive of a hive file.
        "." => HiveName::Other(0),
        _ => HiveName::ALL
            .into_iter()
            .find(|name| name.label().eq_ignore_ascii_case(hive))
            .ok_or_else(|| format!("{hive} is no hive of an image"))?,
    };
    Ok((prefix.to_owned(), hive))
}

impl Paths {
    fn map(&self) -> PathMap {
        let current_user = self.user.map(|user| match user {
            User::Default => HiveName::DefaultUser,
            User::System => HiveName::Default,
        });
        PathMap { current_user, prefixes: self.prefixes.clone() }
    }
}

impl Editing {
    fn mode(&self) -> Mode {
        if self.dry_run { Mode::DryRun } else { Mode::Write }
    }
}

/// The bytes of a value of this type from what the user wrote.
fn parse_data(kind: u32, data: &[String]) -> Result<RegValue, Error> {
    let joined = data.join(" ");
    let number = || match joined.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => joined.parse(),
    };
    let bad = |what: &str| Error::invalid_input(format!("{joined:?} is no {what}"));
    Ok(match kind {
        reg_type::SZ => RegValue::sz(&joined),
        reg_type::EXPAND_SZ => RegValue::expand_sz(&joined),
        reg_type::MULTI_SZ => RegValue::multi_sz(data),
        reg_type::DWORD => {
            let number = number().ok().and_then(|number| u32::try_from(number).ok());
            RegValue::dword(number.ok_or_else(|| bad("number below 2^32"))?)
        }
        reg_type::QWORD => RegValue::qword(number().map_err(|_| bad("number below 2^64"))?),
        _ => {
            let digits: String = joined.chars().filter(|c| !matches!(c, ' ' | ',' | ':')).collect();
            let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
            let byte = |pair: &[u8; 2]| {
                std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
            };
            let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
            let bytes = bytes.filter(|_| rest.is_empty());
            RegValue::new(kind, bytes.ok_or_else(|| bad("sequence of hexadecimal bytes"))?)
        }
    })
}

/// A value in an answer.
#[derive(Serialize)]
struct ValueAnswer {
    name: String,
    /// `REG_SZ` and the like, or the number in hexadecimal.
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    texts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// The bytes in hexadecimal.
    data: String,
}

impl ValueAnswer {
    fn new(name: String, value: &RegValue) -> Self {
        let texts = if value.kind == reg_type::MULTI_SZ { value.as_multi_sz() } else { None };
        Self {
            name,
            kind: reg_type::name(value.kind).map_or_else(|| format!("{:#x}", value.kind), str::to_owned),
            text: value.as_str(),
            texts,
            number: value.as_dword().map(u64::from).or_else(|| value.as_qword()),
            data: value.data.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// What people want to see of it.
    fn shown(&self) -> String {
        if let Some(text) = &self.text {
            text.clone()
        } else if let Some(texts) = &self.texts {
            texts.join("\n")
        } else {
            self.number.map_or_else(|| self.data.clone(), |number| format!("{number} ({number:#x})"))
        }
    }

    fn line(&self) -> String {
        let name = if self.name.is_empty() { "@" } else { &self.name };
        format!("    {name}    {}    {}\n", self.kind, self.shown().replace('\n', " | "))
    }
}

/// A key in an answer.
#[derive(Serialize)]
struct KeyAnswer {
    image: Option<u32>,
    key: String,
    subkeys: Vec<String>,
    values: Vec<ValueAnswer>,
}

#[derive(Serialize)]
struct Hits {
    image: Option<u32>,
    hits: Vec<Hit>,
}

#[derive(Serialize)]
struct Hit {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ValueAnswer>,
}

#[derive(Serialize)]
struct Answers<T> {
    answers: Vec<T>,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self.action {
            Action::Ls { target, key, paths } => list(session, &target, &key, &paths),
            Action::Get { target, key, value, paths } => get(session, &target, &key, &value, &paths),
            Action::Set { target, key, value, data, kind, paths, editing } => {
                let data = parse_data(kind, &data)?;
                edit(session, &target, &paths, &editing, |registry, _| {
                    for (hive, key) in registry.places(&key)? {
                        registry.set.set(hive, &key, &value, data.clone(), "wim reg set")?;
                    }
                    Ok(())
                })
            }
            Action::Delete { target, key, value, paths, editing } => {
                edit(session, &target, &paths, &editing, |registry, _| {
                    for (hive, key) in registry.places(&key)? {
                        match &value {
                            Some(value) => registry.set.delete_value(hive, &key, value, "wim reg delete")?,
                            None => registry.set.delete_key(hive, &key, "wim reg delete")?,
                        }
                    }
                    Ok(())
                })
            }
            Action::Find { target, text, key, paths } => find(session, &target, &text, &key, &paths),
            Action::Export { target, key, output, format, paths } => {
                export(session, &target, &key, output, format, &paths)
            }
            Action::Import { target, files, strict, paths, editing } => {
                import(session, &target, &files, strict, &paths, &editing)
            }
            Action::Check { target } => check(session, &target),
            Action::Diff { old, new, times } => diff(session, &old, &new, times),
            Action::Compact { hive, output, force_repair } => {
                let damage = if force_repair { Damage::GiveUp } else { Damage::Refuse };
                let report = job::compact(&hive, output.as_deref(), damage)?;
                if session.shell.is_json() {
                    session.shell.json("reg compact", &report)?;
                    return Ok(Outcome::Done);
                }
                for finding in &report.left_out {
                    session.shell.complain("warning", &finding.message);
                }
                let (before, after) = (report.before_bytes, report.after_bytes);
                session.shell.say(&format!("{}: {before} bytes, now {after}", hive.display()))?;
                Ok(Outcome::Done)
            }
        }
    }
}

fn number(image: Option<ImageIndex>) -> Option<u32> {
    image.map(|image| image.number())
}

/// A heading for answers of several images.
fn heading(image: Option<u32>, several: usize) -> String {
    match image {
        Some(image) if several > 1 => format!("Image {image}:\n"),
        _ => String::new(),
    }
}

fn key_answer(registry: &mut Registry<'_>, path: &str) -> Result<KeyAnswer, Error> {
    let (hive, key, subkeys, values) = registry.with_key(path, |hive, key, found| {
        let mut subkeys = Vec::new();
        for subkey in found.subkeys() {
            subkeys.push(subkey?.name().to_text());
        }
        let mut values = Vec::new();
        for value in found.values() {
            let value = value?;
            values.push(ValueAnswer::new(value.name().to_text(), &value.to_reg_value()?));
        }
        Ok((hive, key.to_owned(), subkeys, values))
    })?;
    Ok(KeyAnswer { image: None, key: registry.full_path(hive, &key), subkeys, values })
}

/// The hives of an image, as the roots of its paths.
fn hives_answer(registry: &mut Registry<'_>) -> KeyAnswer {
    let subkeys = registry.hives().into_iter().map(|hive| registry.full_path(hive, "")).collect();
    KeyAnswer { image: None, key: String::new(), subkeys, values: Vec::new() }
}

fn list(session: &Session, target: &str, key: &str, paths: &Paths) -> Verdict {
    let target = Target::parse(target);
    let answers = session.run(|cx| {
        job::read(cx, &target, &paths.map(), |registry| {
            if key.is_empty() && !registry.is_single() {
                Ok(hives_answer(registry))
            } else {
                key_answer(registry, key)
            }
        })
    })?;
    let answers: Vec<KeyAnswer> =
        answers.into_iter().map(|(image, answer)| KeyAnswer { image: number(image), ..answer }).collect();
    if session.shell.is_json() {
        session.shell.json("reg ls", &Answers { answers })?;
        return Ok(Outcome::Done);
    }
    let mut text = String::new();
    for answer in &answers {
        text += &heading(answer.image, answers.len());
        answer.subkeys.iter().for_each(|subkey| text += &format!("{subkey}\n"));
        answer.values.iter().for_each(|value| text += &value.line());
    }
    session.shell.answer(&text)?;
    Ok(Outcome::Done)
}

fn get(session: &Session, target: &str, key: &str, value: &str, paths: &Paths) -> Verdict {
    #[derive(Serialize)]
    struct Got {
        image: Option<u32>,
        #[serde(flatten)]
        value: ValueAnswer,
    }
    let target = Target::parse(target);
    let got = session.run(|cx| {
        job::read(cx, &target, &paths.map(), |registry| {
            registry.with_key(key, |_, _, found| {
                let found = found.value(value)?.ok_or_else(|| {
                    Error::not_found("there is no such value")
                        .at(Place::Path(format!("{key}\\{value}")))
                        .with_source(NothingFits)
                })?;
                Ok(ValueAnswer::new(found.name().to_text(), &found.to_reg_value()?))
            })
        })
    })?;
    let answers: Vec<Got> =
        got.into_iter().map(|(image, value)| Got { image: number(image), value }).collect();
    if session.shell.is_json() {
        session.shell.json("reg get", &Answers { answers })?;
        return Ok(Outcome::Done);
    }
    let mut text = String::new();
    for answer in &answers {
        text += &heading(answer.image, answers.len());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", answer.value.shown());
    }
    session.shell.answer(&text)?;
    Ok(Outcome::Done)
}

fn edit(
    session: &Session,
    target: &str,
    paths: &Paths,
    editing: &Editing,
    mut work: impl FnMut(&mut Registry<'_>, &Context<'_>) -> Result<(), Error>,
) -> Verdict {
    let target = Target::parse(target);
    let report = session
        .run(|cx| job::edit(cx, &target, &paths.map(), editing.mode(), |registry| work(registry, cx)))?;
    print_edits(session, &report, editing.mode())
}

fn print_edits(session: &Session, report: &EditReport, mode: Mode) -> Verdict {
    if session.shell.is_json() {
        session.shell.json("reg edit", report)?;
        return Ok(Outcome::Done);
    }
    for image in &report.images {
        if mode == Mode::DryRun {
            for edit in &image.edits {
                let value = edit.value.as_deref().map(|value| format!(" [{value}]")).unwrap_or_default();
                let new = edit.new.as_deref().map(|new| format!(" = {new}")).unwrap_or_default();
                session.shell.answer(&format!("{} {}{value}{new}\n", edit.action, edit.key))?;
            }
        }
        let place = image.image.map(|image| format!("image {image}: ")).unwrap_or_default();
        let tense = if mode == Mode::DryRun { "would be made" } else { "made" };
        session.shell.say(&format!("{place}{} edits {tense}", image.edits.len()))?;
    }
    Ok(Outcome::Done)
}

/// Finds `text` in the names, and in the texts, below a key.
fn search(
    registry: &Registry<'_>,
    hive: HiveName,
    path: &str,
    top: KeyRef<'_>,
    text: &str,
) -> Result<Vec<Hit>, Error> {
    let wanted = text.to_uppercase();
    let fits = |candidate: &str| candidate.to_uppercase().contains(&wanted);
    let mut hits = Vec::new();
    let mut left = top.limit_of_keys();
    let mut stack = vec![(path.to_owned(), top)];
    while let Some((path, key)) = stack.pop() {
        left = left.checked_sub(1).ok_or_else(|| Error::corrupt("keys are reached twice"))?;
        if fits(&key.name().to_text()) && !path.is_empty() {
            hits.push(Hit { key: registry.full_path(hive, &path), value: None });
        }
        for value in key.values() {
            let value = value?;
            let found = value.to_reg_value()?;
            let name = value.name().to_text();
            let texts = found.as_multi_sz().or_else(|| found.as_str().map(|text| vec![text]));
            if fits(&name) || texts.is_some_and(|texts| texts.iter().any(|text| fits(text))) {
                let value = Some(ValueAnswer::new(name, &found));
                hits.push(Hit { key: registry.full_path(hive, &path), value });
            }
        }
        let below = stack.len();
        for child in key.subkeys() {
            let child = child?;
            let name = child.name().to_text();
            stack.push((if path.is_empty() { name } else { format!("{path}\\{name}") }, child));
        }
        stack[below..].reverse();
    }
    Ok(hits)
}

fn find(session: &Session, target: &str, text: &str, key: &str, paths: &Paths) -> Verdict {
    let target = Target::parse(target);
    let found = session.run(|cx| {
        job::read(cx, &target, &paths.map(), |registry| {
            let places = match key {
                "" => registry.hives().into_iter().map(|hive| (hive, String::new())).collect(),
                _ => registry.places(key)?,
            };
            let mut hits = Vec::new();
            for (name, path) in places {
                // A copy, so that the set can be asked for full paths while its keys are gone through.
                let Some(hive) = registry.hive(name)?.cloned() else { continue };
                if let Some(top) = hive.key(&path)? {
                    hits.extend(search(registry, name, &path, top, text)?);
                }
            }
            Ok(hits)
        })
    })?;
    let answers: Vec<Hits> =
        found.into_iter().map(|(image, hits)| Hits { image: number(image), hits }).collect();
    let outcome = if answers.iter().all(|one| one.hits.is_empty()) { Outcome::No } else { Outcome::Done };
    if session.shell.is_json() {
        session.shell.json("reg find", &Answers { answers })?;
        return Ok(outcome);
    }
    let mut text = String::new();
    for answer in &answers {
        text += &heading(answer.image, answers.len());
        for hit in &answer.hits {
            text += &format!("{}\n", hit.key);
            hit.value.iter().for_each(|value| text += &value.line());
        }
    }
    session.shell.answer(&text)?;
    Ok(outcome)
}

fn export(
    session: &Session,
    target: &str,
    key: &str,
    output: Option<PathBuf>,
    format: Format,
    paths: &Paths,
) -> Verdict {
    let format = match format {
        Format::V5 => RegFormat::Version5,
        Format::Regedit4 => RegFormat::Regedit4,
    };
    let target = Target::parse(target);
    let mut texts = session.run(|cx| {
        job::read(cx, &target, &paths.map(), |registry| {
            let place = registry.places(key)?.into_iter().next();
            let full = place.map(|(hive, key)| registry.full_path(hive, &key)).unwrap_or_default();
            registry.with_key(key, |_, _, found| {
                let mut text = Vec::new();
                registry::export(found, &full, format, paths.code_page, &mut text)?;
                Ok(text)
            })
        })
    })?;
    let (Some((_, text)), true) = (texts.pop(), texts.is_empty()) else {
        return Err(Error::invalid_input("name one image to export from").into());
    };
    match output {
        Some(path) => {
            let mut file = AtomicFile::create(&path, IfExists::Replace)?;
            file.write_all(&text).map_err(|error| Error::io(error, "cannot write", &path))?;
            file.commit()?;
        }
        None => {
            let mut out = session.shell.stdout();
            out.write_all(&text)?;
            out.flush()?;
        }
    }
    Ok(Outcome::Done)
}

fn import(
    session: &Session,
    target: &str,
    files: &[PathBuf],
    strict: bool,
    paths: &Paths,
    editing: &Editing,
) -> Verdict {
    let unknown = if strict { UnknownLines::Refuse } else { UnknownLines::Warn };
    let mut parsed = Vec::new();
    for path in files {
        let bytes = std::fs::read(path).map_err(|error| Error::io(error, "cannot read", path))?;
        let file = RegFile::parse(&bytes, paths.code_page, unknown)
            .map_err(|error| error.in_file(path.display()))?;
        for (line, reason) in &file.warnings {
            session
                .shell
                .complain("warning", &format!("{}: line {line} is skipped: {reason}", path.display()));
        }
        parsed.push((path.display().to_string(), file));
    }
    edit(session, target, paths, editing, |registry, _| {
        for (name, file) in &parsed {
            let map = registry.map.clone();
            registry::import(&mut registry.set, file, &map, name)?;
        }
        Ok(())
    })
}

fn check(session: &Session, target: &str) -> Verdict {
    let target = Target::parse(target);
    let answers = session.run(|cx| job::check(cx, &target))?;
    let is_sound = answers.iter().flat_map(|answer| &answer.hives).all(|hive| hive.is_sound);
    let outcome = if is_sound { Outcome::Done } else { Outcome::No };
    if session.shell.is_json() {
        session.shell.json("reg check", &Answers { answers })?;
        return Ok(outcome);
    }
    let mut text = String::new();
    for answer in &answers {
        text += &heading(answer.image, answers.len());
        for hive in &answer.hives {
            let state = if hive.is_sound { "sound" } else { "DAMAGED" };
            let (keys, values) = (hive.keys, hive.values);
            text += &format!("{}: {state}, {keys} keys, {values} values\n", hive.hive);
            for finding in &hive.findings {
                let key =
                    if finding.key.is_empty() { String::new() } else { format!(", key {}", finding.key) };
                text +=
                    &format!("  {} at {:#x}{key}: {}\n", finding.severity, finding.offset, finding.message);
            }
        }
    }
    session.shell.answer(&text)?;
    Ok(outcome)
}

fn diff(session: &Session, old: &str, new: &str, times: bool) -> Verdict {
    let times = if times { CompareTimes::Yes } else { CompareTimes::No };
    let (old, new) = (Target::parse(old), Target::parse(new));
    let answers = session.run(|cx| job::diff(cx, &old, &new, times))?;
    let outcome = if answers.is_empty() { Outcome::Done } else { Outcome::No };
    if session.shell.is_json() {
        session.shell.json("reg diff", &Answers { answers })?;
        return Ok(outcome);
    }
    let mut text = String::new();
    for one in &answers {
        let hive = if one.hive.is_empty() { String::new() } else { format!("{}\\", one.hive) };
        let part = one.part.as_deref().map(|part| format!(" [{part}]")).unwrap_or_default();
        text += &format!("{} {hive}{}{part}", one.kind, one.key);
        if let Some(old) = &one.old {
            text += &format!(" was {old}");
        }
        if let Some(new) = &one.new {
            text += &format!(" is {new}");
        }
        text.push('\n');
    }
    session.shell.answer(&text)?;
    Ok(outcome)
}
