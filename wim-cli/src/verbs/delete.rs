//! `wim delete`: images taken out of a file.

use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::delete;

use crate::arguments::{IntegrityArguments, OptionList, Refused, Takes};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Delete images from a WIM file, with the data that no other image needs
///
/// The file is written anew beside itself and then renamed. With --json: path, image_count, file_bytes, replaced_bytes,
/// and how many resources and bytes were copied and encoded.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Number, name or edition of the image; several with commas between them; or all
    image: String,
    #[command(flatten)]
    integrity: IntegrityArguments,
    #[command(flatten)]
    refused: Refused<DeleteOptions>,
}

#[derive(Clone, Debug)]
struct DeleteOptions;

impl OptionList for DeleteOptions {
    const REFUSED: &'static [(&'static str, Takes)] =
        &[("soft", Takes::Nothing), ("unsafe-compact", Takes::Nothing)];
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        self.refused.check()?;
        let (integrity, check) = (self.integrity.choice(), self.integrity.check());
        let written = session.run(|cx| delete::run(cx, &self.wimfile, &self.image, integrity, check))?;
        if session.shell.is_json() {
            session.shell.json("delete", &written)?;
        }
        Ok(Outcome::Done)
    }
}
