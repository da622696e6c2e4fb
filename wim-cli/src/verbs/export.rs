//! `wim export`: images copied from one file into another.

use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::export::{self, Boot, ExportOptions};

use crate::arguments::{
    CompressionArguments, IntegrityArguments, OptionList, PlacementArguments, ReferenceArguments, Refused,
    Takes, recompress,
};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Export images into a new or existing WIM file
///
/// Data that the target has already is not copied again. An existing target is appended to: it is the old file until its
/// header is written last. With --json: path, image_count, file_bytes, replaced_bytes, and how many resources and bytes were copied and
/// encoded.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file to export from
    src_wimfile: PathBuf,
    /// Number, name or edition of the image; several with commas between them; or all
    src_image: String,
    /// The WIM file to export into
    dest_wimfile: PathBuf,
    /// Name of the exported image [default: its own]
    dest_image_name: Option<String>,
    /// Description of the exported image [default: its own]
    dest_image_desc: Option<String>,
    /// Make the exported image bootable; of several the one that was
    #[arg(long)]
    boot: bool,
    #[command(flatten)]
    compression: CompressionArguments,
    /// Compress everything again
    #[arg(long)]
    recompress: bool,
    #[command(flatten)]
    integrity: IntegrityArguments,
    #[command(flatten)]
    placement: PlacementArguments,
    /// Accepted for scripts; files are never pipable here
    #[arg(long, hide = true)]
    not_pipable: bool,
    #[command(flatten)]
    references: ReferenceArguments,
    #[command(flatten)]
    refused: Refused<ExportRefused>,
}

#[derive(Clone, Debug)]
struct ExportRefused;

impl OptionList for ExportRefused {
    const REFUSED: &'static [(&'static str, Takes)] =
        &[("pipable", Takes::Nothing), ("wimboot", Takes::Nothing)];
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        self.refused.check()?;
        let options = ExportOptions {
            name: self.dest_image_name,
            description: self.dest_image_desc,
            compression: self.compression.options(recompress(self.recompress)),
            integrity: self.integrity.choice(),
            check: self.integrity.check(),
            refs: self.references.references,
            placement: self.placement.placement(),
            boot: if self.boot { Boot::Exported } else { Boot::AsBefore },
        };
        let written = session
            .run(|cx| export::run(cx, &self.src_wimfile, &self.src_image, &self.dest_wimfile, &options))?;
        if session.shell.is_json() {
            session.shell.json("export", &written)?;
        }
        Ok(Outcome::Done)
    }
}
