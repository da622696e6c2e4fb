//! `wim diff`: two images compared.

use std::io::Write as _;

use clap::Args;
use serde_json::json;
use wim_core::base::{Error, ErrorKind};
use wim_core::jobs::diff::{Aspects, DiffOptions, DiffTotals, Difference, Properties, run};
use wim_core::jobs::registry::Target;

use crate::arguments::ReferenceArguments;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;
use crate::shell::SCHEMA_VERSION;

/// Compare two images; exit code 1 when they differ
///
/// OLD and NEW are FILE or FILE:IMAGE and may be the same file. Told are files that were added, removed and renamed (the
/// same data and attributes elsewhere) and what differs in those that both have: data, named streams, times, attributes,
/// security descriptor, short name, reparse point, hard links, tagged items, case of the name. Registry hives are compared
/// by key. Nothing else is decoded.
///
/// With --json: one object a line, first {"schema_version", "verb"}, then the differences, each with change, path,
/// old_path, kind, size and changes, at the end {"totals"}.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The old image
    #[arg(value_name = "OLD[:IMAGE]")]
    old: String,
    /// The new image
    #[arg(value_name = "NEW[:IMAGE]")]
    new: String,
    /// Compare this file or directory alone
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    path: String,
    /// What may differ: content, hive-layout (hives with the same keys), streams, attributes, times (creation-time,
    /// write-time, access-time), security, short-names, reparse, links, items, case, reserved
    #[arg(long, value_name = "WHAT,...", value_parser = parse_aspects)]
    ignore: Vec<Aspects>,
    /// Tell of at most N differences of each registry hive; 0 compares hives as other files
    #[arg(long, value_name = "N", default_value_t = 100)]
    hive_limit: usize,
    /// Compare what the XML says of the images too
    #[arg(long)]
    properties: bool,
    #[command(flatten)]
    references: ReferenceArguments,
}

fn parse_aspects(text: &str) -> Result<Aspects, String> {
    Aspects::parse(text).map_err(|e| match e.remedy_text() {
        Some(remedy) => format!("{}; {remedy}", e.message()),
        None => e.message().to_owned(),
    })
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let options = DiffOptions {
            ignored: self.ignore.iter().fold(Aspects::default(), |all, &some| all.and(some)),
            path: self.path,
            hive_differences: self.hive_limit,
            properties: if self.properties { Properties::Compare } else { Properties::Omit },
        };
        let target = |text: &str| Target::parse(text).with_refs(&self.references.references);
        let (old, new) = (target(&self.old), target(&self.new));
        let is_json = session.shell.is_json();
        let mut out = session.shell.stdout();
        if is_json {
            writeln!(out, "{}", json!({ "schema_version": SCHEMA_VERSION, "verb": "diff" }))?;
            out.flush()?;
        }
        let mut print = |difference: &Difference| -> std::io::Result<()> {
            if is_json {
                writeln!(out, "{}", serde_json::to_string(difference).map_err(std::io::Error::other)?)
            } else {
                writeln!(out, "{}", session.shell.visible(&difference.to_string()))
            }
        };
        let mut tell = |difference: &Difference| print(difference).map_err(cannot_write);
        let totals = session.run(|cx| run(cx, (&old, &new), &options, &mut tell))?;
        if is_json {
            writeln!(out, "{}", json!({ "totals": totals }))?;
        } else if totals.is_different() {
            writeln!(out, "{}", summary(&totals))?;
        }
        out.flush()?;
        Ok(if totals.is_different() { Outcome::No } else { Outcome::Done })
    }
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write: {error}")).in_file("standard output").with_source(error)
}

/// How many of each there are, those without any left out.
fn summary(totals: &DiffTotals) -> String {
    let DiffTotals { added, removed, changed, renamed, properties } = *totals;
    let counts = [
        (added, "added"),
        (removed, "removed"),
        (changed, "changed"),
        (renamed, "renamed"),
        (properties, "properties differ"),
    ];
    let texts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    texts.collect::<Vec<_>>().join(", ")
}
