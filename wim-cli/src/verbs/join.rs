//! `wim join`: the parts of a split set made into one file.

use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::join;

use crate::arguments::IntegrityArguments;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Join the parts of a split set into one WIM file
///
/// The parts may be given in any order; a file at OUT_WIMFILE is replaced, whole or not at all.
///
/// With --json: path, image_count, file_bytes, replaced_bytes, and how many resources and bytes were copied and encoded.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The file to make
    out_wimfile: PathBuf,
    /// All parts of the set
    #[arg(required = true, value_name = "SPLIT_WIM_PART")]
    parts: Vec<PathBuf>,
    #[command(flatten)]
    integrity: IntegrityArguments,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let (integrity, check) = (self.integrity.choice(), self.integrity.check());
        let written = session.run(|cx| join::run(cx, &self.out_wimfile, &self.parts, integrity, check))?;
        if session.shell.is_json() {
            session.shell.json("join", &written)?;
        }
        Ok(Outcome::Done)
    }
}
