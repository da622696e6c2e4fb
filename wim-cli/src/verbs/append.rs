//! `wim append`: a directory captured as one more image of a WIM file.

use clap::Args;
use wim_core::jobs::capture::Destination;
use wim_core::transfer::write::Recompress;

use crate::arguments::{
    CompressionArguments, LayoutArguments, OptionList, PlacementArguments, Refused, Takes,
};
use crate::exit::Verdict;
use crate::session::Session;
use crate::verbs::capture::{ImageArguments, snapshot_reason};

/// Capture a directory as one more image of an existing WIM file
///
/// Data that the file has already is not stored again. The file is appended to: it is the old file until its header is
/// written last. With --json: path, image_count, file_bytes, replaced_bytes, how many resources and bytes were copied and
/// encoded, and directories, files, bytes and excluded of what was scanned.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    image: ImageArguments,
    /// Make the file if there is none
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    compression: CompressionArguments,
    #[command(flatten)]
    placement: PlacementArguments,
    #[command(flatten)]
    layout: LayoutArguments,
    #[command(flatten)]
    refused: Refused<AppendRefused>,
}

#[derive(Clone, Debug)]
struct AppendRefused;

impl OptionList for AppendRefused {
    const REFUSED: &'static [(&'static str, Takes)] = &[("snapshot", Takes::Nothing)];

    fn reason(name: &str) -> Option<&'static str> {
        snapshot_reason(name)
    }
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        self.refused.check()?;
        let placement = self.placement.placement();
        let destination = match self.create {
            true => Destination::ExistingOrNew(placement),
            false => Destination::Existing(placement),
        };
        let compression = self.layout.with(self.compression.options(Recompress::WhenNeeded));
        self.image.run(session, "append", compression, destination)
    }
}
