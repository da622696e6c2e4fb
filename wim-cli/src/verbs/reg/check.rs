//! `wim reg check`.

use clap::Args;
use wim_core::jobs::registry as job;

use super::answer::{Answers, heading};
use super::paths::TargetArguments;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Check every record of a hive file, or of all hives of an image; exit code 1 when there is an error
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let target = self.target.parse();
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
                    let (severity, offset) = (finding.severity, finding.offset);
                    text += &format!("  {severity} at {offset:#x}{key}: {}\n", finding.message);
                }
            }
        }
        session.shell.answer(&text)?;
        Ok(outcome)
    }
}
