//! `wim reg diff`.

use clap::Args;
use wim_core::formats::hive::CompareTimes;
use wim_core::jobs::registry::{self as job, Target};

use super::answer::Answers;
use crate::arguments::ReferenceArguments;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Compare two hive files or two images; exit code 1 when they differ
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The old hive file, or a WIM file with perhaps an image: FILE or FILE:IMAGE
    old: String,
    /// The new one
    new: String,
    #[command(flatten)]
    references: ReferenceArguments,
    /// Compare the times of keys too
    #[arg(long)]
    times: bool,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let times = if self.times { CompareTimes::Yes } else { CompareTimes::No };
        let target = |text: &str| Target::parse(text).with_refs(&self.references.references);
        let (old, new) = (target(&self.old), target(&self.new));
        let answers = session.run(|cx| job::diff(cx, &old, &new, times))?;
        let outcome = if answers.is_empty() { Outcome::Done } else { Outcome::No };
        if session.shell.is_json() {
            session.shell.json("reg diff", &Answers { answers })?;
            return Ok(outcome);
        }
        let mut text = String::new();
        for one in &answers {
            text += &format!("{one}\n");
        }
        session.shell.answer(&text)?;
        Ok(outcome)
    }
}
