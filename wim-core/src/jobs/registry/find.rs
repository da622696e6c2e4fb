//! Finding keys and values by what their names and data hold.
//!
//! Numbers and bytes are compared as people write them, and only whole: half a number is no match. Nothing is changed.

use super::target::Registry;
use crate::base::{Error, Result};
use crate::formats::hive::{Hive, KeyRef, RegValue};

/// What of keys and values is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Names of keys.
    Keys,
    /// Names of values.
    Names,
    /// Data of values.
    Data,
}

/// Whether case counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Case {
    /// It does not.
    #[default]
    Ignore,
    /// It does.
    Match,
}

/// How much of a name or text must be what is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Extent {
    /// Some part of it.
    #[default]
    Part,
    /// All of it.
    Whole,
}

/// What to find.
#[derive(Clone, Debug)]
pub struct Query {
    /// The text.
    pub text: String,
    /// Where it is looked for; empty for everywhere.
    pub parts: Vec<Part>,
    /// Whether case counts.
    pub case: Case,
    /// How much must match.
    pub extent: Extent,
    /// Only values of this type; keys are not found then.
    pub kind: Option<u32>,
    /// Most hits per target.
    pub limit: usize,
}

/// A key or value that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Full path of the key.
    pub key: String,
    /// Name and content of the value; none when it is the key that was found.
    pub value: Option<(String, RegValue)>,
}

/// Finds what fits below the key at `path`, or in all hives when that is empty.
///
/// # Errors
/// As [`Registry::places`] and those of reading hives.
pub fn find(registry: &mut Registry<'_>, path: &str, query: &Query) -> Result<Vec<Hit>> {
    let places = match path {
        "" => registry.hives()?.into_iter().map(|hive| (hive, String::new())).collect(),
        _ => registry.places(path)?,
    };
    let mut search = Search { query, wanted: folded(&query.text, query.case), hits: Vec::new() };
    for (name, key) in places {
        let mount = registry.full_path(name, "");
        if let Some(hive) = registry.hive(name)? {
            search.hive(hive, &mount, &key)?;
        }
    }
    Ok(search.hits)
}

fn folded(text: &str, case: Case) -> String {
    match case {
        Case::Ignore => text.to_uppercase(),
        Case::Match => text.to_owned(),
    }
}

struct Search<'q> {
    query: &'q Query,
    wanted: String,
    hits: Vec<Hit>,
}

impl Search<'_> {
    fn hive(&mut self, hive: &Hive, mount: &str, key: &str) -> Result<()> {
        let Some(top) = hive.key(key)? else { return Ok(()) };
        // Lists of a damaged hive could lead back up, so no more keys than the hive can hold are followed.
        let mut left = top.limit_of_keys();
        let mut stack = vec![(key.to_owned(), top)];
        while let Some((path, key)) = stack.pop() {
            left = left.checked_sub(1).ok_or_else(|| Error::corrupt("keys are reached twice"))?;
            self.key(mount, &path, &key)?;
            if self.hits.len() >= self.query.limit {
                break;
            }
            let below = stack.len();
            for child in key.subkeys() {
                let child = child?;
                let name = child.name().to_text();
                stack.push((if path.is_empty() { name } else { format!("{path}\\{name}") }, child));
            }
            if let Some(children) = stack.get_mut(below..) {
                children.reverse();
            }
        }
        Ok(())
    }

    fn key(&mut self, mount: &str, path: &str, key: &KeyRef<'_>) -> Result<()> {
        let full = || if path.is_empty() { mount.to_owned() } else { format!("{mount}\\{path}") };
        let is_key = self.query.kind.is_none() && self.looks_at(Part::Keys) && !path.is_empty();
        if is_key && self.fits(&key.name().to_text()) {
            self.push(Hit { key: full(), value: None });
        }
        for value in key.values() {
            let value = value?;
            if self.query.kind.is_some_and(|kind| kind != value.kind()) {
                continue;
            }
            let name = value.name().to_text();
            let is_named = self.looks_at(Part::Names) && self.fits(&name);
            if is_named || self.looks_at(Part::Data) {
                let content = value.to_reg_value()?;
                if is_named || self.data_fits(&content) {
                    self.push(Hit { key: full(), value: Some((name, content)) });
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, hit: Hit) {
        if self.hits.len() < self.query.limit {
            self.hits.push(hit);
        }
    }

    fn looks_at(&self, part: Part) -> bool {
        self.query.parts.is_empty() || self.query.parts.contains(&part)
    }

    fn fits(&self, text: &str) -> bool {
        let text = folded(text, self.query.case);
        match self.query.extent {
            Extent::Part => text.contains(&self.wanted),
            Extent::Whole => text == self.wanted,
        }
    }

    fn data_fits(&self, value: &RegValue) -> bool {
        if let Some(texts) = value.as_multi_sz().or_else(|| value.as_str().map(|text| vec![text])) {
            return texts.iter().any(|text| self.fits(text));
        }
        let number = value.as_dword().map(u64::from).or_else(|| value.as_qword());
        if number.is_some() {
            return number == parse_number(&self.query.text);
        }
        let digits = self.query.text.bytes().filter(|byte| !matches!(byte, b' ' | b','));
        let hex = value.data.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex = hex.map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        !value.data.is_empty() && hex.eq(digits.map(|digit| char::from(digit.to_ascii_lowercase())))
    }
}

/// A number as people write it: decimal, or hexadecimal after `0x`.
fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
