//! `wim reg get`.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;
use wim_core::base::{Error, Place};
use wim_core::jobs::dir::NothingFits;
use wim_core::jobs::registry as job;

use super::answer::{Answers, ValueAnswer, heading, number};
use super::paths::{Paths, TargetArguments};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Print one value; exit code 1 when it is not there
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Path of the key, as in HKLM\SOFTWARE\Microsoft; in a hive file also from its root
    key: String,
    /// Name of the value; without it, the default value
    #[arg(default_value = "")]
    value: String,
    #[command(flatten)]
    paths: Paths,
}

#[derive(Serialize)]
struct Got {
    image: Option<u32>,
    #[serde(flatten)]
    value: ValueAnswer,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let target = self.target.parse();
        let (key, name) = (&self.key, &self.value);
        let got = session.run(|cx| {
            job::read(cx, &target, &self.paths.key_paths(), |registry| {
                registry.with_key(key, |_, _, found| {
                    let found = found.value(name)?.ok_or_else(|| {
                        Error::not_found("there is no such value")
                            .at(Place::Path(format!("{key}\\{name}")))
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
}
