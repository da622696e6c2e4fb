//! `wim apply`: images put into directories.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use wim_core::base::Error;
use wim_core::jobs::apply::{Applied, ApplyChoices, run, run_from_stream};
use wim_core::transfer::apply::FixedLinks;

use crate::arguments::{
    MetadataArguments, OptionList, ReferenceArguments, Refused, RestoreArguments, Takes, check_of,
};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Put an image, or all of them, into a directory
///
/// IMAGE may be left out when there is only one; "all" puts each image into a directory of its name below TARGET. Nothing
/// is ever written outside TARGET. With --json: applied, a list with image, target, directories, files, hard_links,
/// symbolic_links, bytes and what the host cannot hold (left_out_…).
#[derive(Args, Debug)]
#[command(override_usage = "wim apply [OPTIONS] <WIMFILE> [IMAGE] <TARGET>")]
pub(crate) struct Arguments {
    /// The WIM file; - reads a pipable one from standard input
    wimfile: PathBuf,
    /// Number, name or edition of the image, or all; and the directory
    #[arg(required = true, num_args = 1..=2, value_name = "[IMAGE] TARGET")]
    operands: Vec<OsString>,
    /// Verify the integrity table beforehand, if there is one
    #[arg(long)]
    check: bool,
    /// Make absolute links of the image lead into TARGET [default: as the file says]
    #[arg(long, conflicts_with = "norpfix")]
    rpfix: bool,
    /// Make absolute links as they are in the image
    #[arg(long)]
    norpfix: bool,
    #[command(flatten)]
    restore: RestoreArguments,
    #[command(flatten)]
    metadata: MetadataArguments,
    #[command(flatten)]
    references: ReferenceArguments,
    #[command(flatten)]
    refused: Refused<ApplyRefused>,
}

#[derive(Clone, Debug)]
struct ApplyRefused;

impl OptionList for ApplyRefused {
    const REFUSED: &'static [(&'static str, Takes)] =
        &[("wimboot", Takes::Nothing), ("compact", Takes::Value)];

    fn reason(_: &str) -> Option<&'static str> {
        Some("it needs Windows and its overlay filter (WOF)")
    }
}

/// The JSON answer.
#[derive(Serialize)]
struct Answer {
    applied: Vec<Applied>,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        self.refused.check()?;
        let (image, target) = match self.operands.as_slice() {
            [image, target] => {
                let image = image.to_str().ok_or_else(|| Error::invalid_input("IMAGE is not text"))?;
                (Some(image), target)
            }
            [target] => (None, target),
            _ => return Err(Error::invalid_input("give a WIM file, perhaps an image, and a target").into()),
        };
        let fixed_links = match (self.rpfix, self.norpfix) {
            (true, _) => Some(FixedLinks::IntoTarget),
            (_, true) => Some(FixedLinks::AsStored),
            _ => None,
        };
        let choices = ApplyChoices {
            fixed_links,
            restore: self.restore.options(),
            refs: self.references.references,
            check: check_of(self.check),
            metadata: self.metadata.choice(),
        };
        let target = Path::new(target);
        let applied = if self.wimfile.as_os_str() == "-" {
            // The integrity table of a pipe comes when all is done; every blob is checked as it arrives.
            let mut input = std::io::stdin().lock();
            session.run(|cx| run_from_stream(cx, &mut input, image, target, &choices))?
        } else {
            session.run(|cx| run(cx, &self.wimfile, image, target, &choices))?
        };
        let damaged = applied.iter().any(|applied| applied.damaged_blobs > 0);
        if session.shell.is_json() {
            session.shell.json("apply", &Answer { applied })?;
        }
        session.shell.say("Done applying WIM image.")?;
        Ok(if damaged { Outcome::No } else { Outcome::Done })
    }
}
