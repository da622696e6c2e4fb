//! `[Manufacturer]` and the Models sections: which devices an INF serves on which Windows.
//!
//! Source: drivers.md 1.4 and 1.5. It chooses sections for one Windows at a time and never merges architectures.

use super::decoration::{self, Mismatch, TargetWindows, Undecorated};
use super::lexer::{Field, NO_DRIVER, Position};
use super::section::Inf;
use crate::base::{Error, Result};

/// Most device ids of one INF for one Windows; the largest seen has about 4,800.
pub const MAX_IDS: usize = 20_000;

/// One line of `[Manufacturer]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manufacturer {
    /// The manufacturer's name, expanded.
    pub name: String,
    /// The key as written, tokens unexpanded.
    pub key: Field,
    /// Name of its Models section, without decoration.
    pub models_section: String,
    /// Decorations, as spelt.
    pub decorations: Vec<String>,
    /// Where the line is.
    pub position: Position,
}

/// One device line of a Models section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The device's name, expanded.
    pub description: String,
    /// The key as written, tokens unexpanded.
    pub description_key: String,
    /// The manufacturer's name, expanded.
    pub manufacturer: String,
    /// The manufacturer's key as written.
    pub manufacturer_key: String,
    /// Name of the install section, without decoration.
    pub install_section: String,
    /// Device ids; the first is in the place of a hardware id, the rest in that of compatible ids.
    pub ids: Vec<String>,
    /// Where the line is.
    pub position: Position,
}

/// The devices of an INF for one Windows, and how they were found.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// The devices, in the order of the file.
    pub models: Vec<Model>,
    /// The sections that were taken, one per line of `[Manufacturer]` that has one.
    pub sections: Vec<String>,
    /// Decorations that do not fit, with the reason; an empty name stands for an undecorated line.
    pub rejected: Vec<(String, Mismatch)>,
    /// Sections that name no architecture and were taken because that was asked for.
    pub undecorated: Vec<String>,
}

impl Models {
    /// What the INF is for, for a message: `NTx86 (it is for x86)`.
    #[must_use]
    pub fn rejected_text(&self) -> String {
        let one = |(name, reason): &(String, Mismatch)| match name.as_str() {
            "" => format!("undecorated ({reason})"),
            name => format!("{name} ({reason})"),
        };
        let mut texts: Vec<String> = self.rejected.iter().map(one).collect();
        texts.dedup();
        texts.join(", ")
    }
}

/// The lines of `[Manufacturer]`.
#[must_use]
pub fn manufacturers(inf: &Inf) -> Vec<Manufacturer> {
    let Some(section) = inf.section("Manufacturer") else { return Vec::new() };
    let mut lines = Vec::new();
    for entry in &section.entries {
        // Without `=` the one field is both the manufacturer and its Models section.
        let Some(key) = entry.key.as_ref().or_else(|| entry.values.first()) else { continue };
        let models_section = inf.field(entry, 0).unwrap_or_else(|| inf.expand(key)).into_owned();
        let decorations = entry.values.iter().skip(1).map(|field| inf.expand(field).into_owned());
        lines.push(Manufacturer {
            name: inf.expand(key).into_owned(),
            key: key.clone(),
            models_section,
            decorations: decorations.filter(|text| !text.is_empty()).collect(),
            position: entry.position,
        });
    }
    lines
}

/// The devices of `inf` for `target`.
///
/// # Errors
/// `Limit` for more than [`MAX_IDS`] ids.
pub fn models_for(inf: &Inf, target: &TargetWindows) -> Result<Models> {
    models_with(inf, target, Undecorated::Refuse)
}

/// [`models_for`] with a say in what sections without an architecture are for.
///
/// It is the first that is read of an INF for one Windows, so the work that it may make counts from here.
///
/// # Errors
/// As [`models_for`].
pub fn models_with(inf: &Inf, target: &TargetWindows, undecorated: Undecorated) -> Result<Models> {
    inf.begin_work();
    let mut found = Models::default();
    let mut ids = 0;
    for line in manufacturers(inf) {
        inf.check_work()?;
        let exists = |name: &str| inf.section(name).is_some();
        let selection =
            decoration::select(&line.models_section, &line.decorations, target, undecorated, &exists);
        found.rejected.extend(selection.rejected);
        let Some(name) = selection.section else { continue };
        if selection.is_undecorated {
            found.undecorated.push(name.clone());
        }
        if let Some(section) = inf.section(&name) {
            for entry in &section.entries {
                let Some(model) = model(inf, &line, entry) else { continue };
                ids += model.ids.len();
                if ids > MAX_IDS {
                    let e = Error::limit(format!("more than {MAX_IDS} device ids"));
                    return Err(e.at(entry.position.into()).in_file(inf.name()).remedy(NO_DRIVER));
                }
                found.models.push(model);
            }
        }
        found.sections.push(name);
    }
    Ok(found)
}

fn model(inf: &Inf, line: &Manufacturer, entry: &super::lexer::Entry) -> Option<Model> {
    let key = entry.key.as_ref()?;
    let ids = entry.values.iter().skip(1).map(|field| inf.expand(field).trim().to_owned());
    Some(Model {
        description: inf.expand(key).into_owned(),
        description_key: key.text.clone(),
        manufacturer: line.name.clone(),
        manufacturer_key: line.key.text.clone(),
        install_section: inf.field(entry, 0)?.into_owned(),
        ids: ids.filter(|id| !id.is_empty()).collect(),
        position: entry.position,
    })
}
