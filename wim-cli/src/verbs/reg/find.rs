//! `wim reg find`.

use clap::{Args, ValueEnum};
use serde::Serialize;
use wim_core::jobs::registry::{self as job, Case, Extent, Part, Query};

use super::answer::{Answers, ValueAnswer, heading, number};
use super::paths::{Paths, TargetArguments, parse_kind};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Find keys and values by their names and data; exit code 1 when nothing fits
///
/// Texts fit when they contain TEXT, in any case. Numbers (decimal, or hexadecimal after 0x) and bytes (hexadecimal digits)
/// must be the same as a whole.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// What is looked for
    text: String,
    /// Look below this key only
    #[arg(long, default_value = "")]
    key: String,
    /// Look at these only [default: all of them]
    #[arg(long = "in", value_name = "WHAT", value_enum, value_delimiter = ',')]
    parts: Vec<What>,
    /// Upper and lower case differ
    #[arg(long)]
    case_sensitive: bool,
    /// The whole name or text must be TEXT
    #[arg(long)]
    exact: bool,
    /// Find values of this type only
    #[arg(long = "type", value_parser = parse_kind)]
    kind: Option<u32>,
    /// Stop after so many
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    #[command(flatten)]
    paths: Paths,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Names of keys
    Keys,
    /// Names of values
    Names,
    /// Data of values
    Data,
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

impl Arguments {
    fn query(&self) -> Query {
        let part = |what: &What| match what {
            What::Keys => Part::Keys,
            What::Names => Part::Names,
            What::Data => Part::Data,
        };
        Query {
            text: self.text.clone(),
            parts: self.parts.iter().map(part).collect(),
            case: if self.case_sensitive { Case::Match } else { Case::Ignore },
            extent: if self.exact { Extent::Whole } else { Extent::Part },
            kind: self.kind,
            limit: self.limit,
        }
    }

    pub(super) fn run(self, session: &Session) -> Verdict {
        let target = self.target.parse();
        let query = self.query();
        let found = session.run(|cx| {
            job::read(cx, &target, &self.paths.key_paths(), |registry| job::find(registry, &self.key, &query))
        })?;
        let answer = |hit: job::Hit| Hit {
            key: hit.key,
            value: hit.value.map(|(name, value)| ValueAnswer::new(name, &value)),
        };
        let answers: Vec<Hits> = found
            .into_iter()
            .map(|(image, hits)| Hits { image: number(image), hits: hits.into_iter().map(answer).collect() })
            .collect();
        let is_nothing = answers.iter().all(|one| one.hits.is_empty());
        let outcome = if is_nothing { Outcome::No } else { Outcome::Done };
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
}
