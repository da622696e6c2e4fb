//! `wim reg ls`.

use clap::Args;
use serde::Serialize;
use wim_core::base::Error;
use wim_core::jobs::clock::ReportTime;
use wim_core::jobs::registry::{self as job, Registry};

use super::answer::{Answers, ValueAnswer, heading, number};
use super::paths::{Paths, TargetArguments};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// List the subkeys and values of a key; without KEY the hives of an image, or the root of a hive file
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Path of the key, as in HKLM\SOFTWARE\Microsoft; in a hive file also from its root
    #[arg(default_value = "")]
    key: String,
    #[command(flatten)]
    paths: Paths,
}

/// A key in an answer.
#[derive(Serialize)]
struct KeyAnswer {
    image: Option<u32>,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_written: Option<ReportTime>,
    subkeys: Vec<String>,
    values: Vec<ValueAnswer>,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let target = self.target.parse();
        let answers = session.run(|cx| {
            job::read(cx, &target, &self.paths.key_paths(), |registry| {
                if self.key.is_empty() && !registry.is_single() {
                    hives(registry)
                } else {
                    key(registry, &self.key)
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
}

fn key(registry: &mut Registry<'_>, path: &str) -> Result<KeyAnswer, Error> {
    let (hive, mut answer) = registry.with_key(path, |hive, key, found| {
        let mut subkeys = Vec::new();
        for subkey in found.subkeys() {
            subkeys.push(subkey?.name().to_text());
        }
        let mut values = Vec::new();
        for value in found.values() {
            let value = value?;
            values.push(ValueAnswer::new(value.name().to_text(), &value.to_reg_value()?));
        }
        let class = found.class()?.map(|class| class.to_text());
        let last_written = Some(ReportTime(found.last_written()));
        let key = key.to_owned();
        Ok((hive, KeyAnswer { image: None, key, class, last_written, subkeys, values }))
    })?;
    answer.key = registry.full_path(hive, &answer.key);
    Ok(answer)
}

/// The hives of an image, as the roots of its paths.
fn hives(registry: &mut Registry<'_>) -> Result<KeyAnswer, Error> {
    let hives = registry.hives()?;
    let subkeys = hives.into_iter().map(|hive| registry.full_path(hive, "")).collect();
    let (key, values) = (String::new(), Vec::new());
    Ok(KeyAnswer { image: None, key, class: None, last_written: None, subkeys, values })
}
