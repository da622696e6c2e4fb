//! `wim delete`: images taken out of a file.

use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::delete;
use wim_core::jobs::target::Placement;

use crate::arguments::IntegrityArguments;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Delete images from a WIM file, with the data that no other image needs
///
/// The file is written anew beside itself and then renamed, unless --soft is given. With --json: path, image_count, file_bytes, replaced_bytes,
/// and how many resources and bytes were copied and encoded.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Number, name or edition of the image; several with commas between them; or all
    image: String,
    #[command(flatten)]
    integrity: IntegrityArguments,
    /// Change the tables only: quick, but no space is saved until wim optimize
    #[arg(long)]
    soft: bool,
    /// Move what is left down over the holes, in place; a file whose compaction is interrupted is lost
    #[arg(long, conflicts_with = "soft")]
    unsafe_compact: bool,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let placement = match (self.soft, self.unsafe_compact) {
            (true, _) => Placement::Append,
            (_, true) => Placement::UnsafeCompact,
            _ => Placement::Rebuild,
        };
        let (integrity, check) = (self.integrity.choice(), self.integrity.check());
        let written =
            session.run(|cx| delete::run(cx, &self.wimfile, &self.image, integrity, check, placement))?;
        if session.shell.is_json() {
            session.shell.json("delete", &written)?;
        }
        Ok(Outcome::Done)
    }
}
