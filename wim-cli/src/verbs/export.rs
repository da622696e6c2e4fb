//! `wim export`: images copied from one file into another.

use std::path::PathBuf;

use clap::Args;
use wim_core::jobs::export::{self, Boot, ExportOptions};
use wim_core::jobs::rebuild::WimBoot;

use crate::arguments::{
    CompressionArguments, IntegrityArguments, LayoutArguments, PlacementArguments, ReferenceArguments,
    recompress,
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
    /// The WIM file to export into; - writes a pipable WIM to standard output
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
    #[command(flatten)]
    layout: LayoutArguments,
    /// Mark the exported images for WIMBoot; a new file is XPRESS in chunks of 4K then
    #[arg(long)]
    wimboot: bool,
    #[command(flatten)]
    references: ReferenceArguments,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let options = ExportOptions {
            name: self.dest_image_name,
            description: self.dest_image_desc,
            compression: self.layout.with(self.compression.options(recompress(self.recompress))),
            integrity: self.integrity.choice(),
            check: self.integrity.check(),
            refs: self.references.references,
            placement: self.placement.placement(),
            wimboot: if self.wimboot { WimBoot::Mark } else { WimBoot::Leave },
            boot: if self.boot { Boot::Exported } else { Boot::AsBefore },
        };
        if self.dest_wimfile.as_os_str() == "-" {
            let mut out = session.shell.stdout_for_file()?;
            session.run(|cx| {
                export::run_to_stream(cx, &self.src_wimfile, &self.src_image, &mut out, &options)
            })?;
            return Ok(Outcome::Done);
        }
        let written = session
            .run(|cx| export::run(cx, &self.src_wimfile, &self.src_image, &self.dest_wimfile, &options))?;
        if session.shell.is_json() {
            session.shell.json("export", &written)?;
        }
        Ok(Outcome::Done)
    }
}
