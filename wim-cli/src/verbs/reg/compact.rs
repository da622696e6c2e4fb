//! `wim reg compact`.

use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::registry::{self as job, CompactOptions, HivePlace};

use super::edits::damage;
use super::paths::{TargetArguments, parse_hive};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Rebuild a hive file, or hives of images, without free space
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// A hive of the image, by name or path [default: all of them]
    #[arg(long = "hive", value_name = "HIVE", value_parser = parse_hive)]
    hives: Vec<HivePlace>,
    /// Write the rebuilt hive file here instead of replacing it
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// Leave out what is damaged; everything left out is named
    #[arg(long)]
    force_repair: bool,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let options = CompactOptions {
            hives: self.hives,
            output: self.output.as_deref(),
            damage: damage(self.force_repair),
        };
        let target = self.target.parse();
        let report = session.run(|cx| job::compact(cx, &target, &options))?;
        if session.shell.is_json() {
            session.shell.json("reg compact", &report)?;
            return Ok(Outcome::Done);
        }
        for hive in &report.hives {
            for finding in &hive.left_out {
                let key =
                    if finding.key.is_empty() { String::new() } else { format!(", key {}", finding.key) };
                session.shell.complain("damage", &format!("{}{key}: {}", hive.hive, finding.message));
            }
            let (before, after) = (hive.before_bytes, hive.after_bytes);
            session.shell.say(&format!("{}: {before} bytes, now {after}", hive.hive))?;
        }
        Ok(Outcome::Done)
    }
}
