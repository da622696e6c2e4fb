//! `wim optimize`: a file written anew, without holes.

use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::optimize;
use wim_core::jobs::target::Placement;

use crate::arguments::{CompressionArguments, IntegrityArguments, LayoutArguments, recompress};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Rewrite a WIM file without holes and unused data, and compress it again when asked to
///
/// The file is written beside itself and then renamed. With --json: path, image_count, file_bytes, replaced_bytes, and
/// how many resources and bytes were copied and encoded.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Compress everything again
    #[arg(long)]
    recompress: bool,
    #[command(flatten)]
    compression: CompressionArguments,
    #[command(flatten)]
    integrity: IntegrityArguments,
    /// Move everything down over the holes, in place; a file whose compaction is interrupted is lost
    #[arg(long)]
    unsafe_compact: bool,
    #[command(flatten)]
    layout: LayoutArguments,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        // As in wimlib, naming a type, or --solid, asks for everything to be compressed so.
        let is_asked = self.recompress || self.compression.compress.is_some() || self.compression.solid;
        let recompress = recompress(is_asked);
        let options = self.layout.with(self.compression.options(recompress));
        let (integrity, check) = (self.integrity.choice(), self.integrity.check());
        let placement = if self.unsafe_compact { Placement::UnsafeCompact } else { Placement::Rebuild };
        let written =
            session.run(|cx| optimize::run(cx, &self.wimfile, &options, integrity, check, placement))?;
        if session.shell.is_json() {
            session.shell.json("optimize", &written)?;
            return Ok(Outcome::Done);
        }
        let (before, after) = (written.replaced_bytes, written.file_bytes);
        let saved = (i128::from(before) - i128::from(after)).div_euclid(1024);
        session.shell.say(&format!("\"{}\" original size: {} KiB", written.path, before / 1024))?;
        session.shell.say(&format!("\"{}\" optimized size: {} KiB", written.path, after / 1024))?;
        session.shell.say(&format!("Space saved: {saved} KiB"))?;
        Ok(Outcome::Done)
    }
}
