//! `wim extract`: files of an image put into a directory or onto standard output.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use wim_core::base::Error;
use wim_core::jobs::extract::{ExtractOptions, Unmatched, Wildcards, to_directory, to_stream};
use wim_core::transfer::apply::Layout;

use crate::arguments::{
    MetadataArguments, OptionList, ReferenceArguments, Refused, RestoreArguments, Takes, check_of,
};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Extract files and directories of an image
///
/// Each PATH counts from the root of the image, with either slash, and may have the wildcards * and ?; @LISTFILE names a
/// text file with a path a line (@- is standard input). Without PATH the whole image is extracted. Exit code 1 when
/// nothing fits a PATH; nothing is extracted then. With --json: image, target, directories, files, hard_links,
/// symbolic_links, bytes and what the host cannot hold (left_out_…).
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Number, name or edition of the image
    image: Option<String>,
    /// What to extract
    #[arg(value_name = "PATH | @LISTFILE")]
    paths: Vec<String>,
    /// Extract to DIR
    #[arg(long, value_name = "DIR", default_value = ".")]
    dest_dir: PathBuf,
    /// Write the files to standard output, one after the other
    #[arg(long, conflicts_with_all = ["metadata", "unix_data", "strict_acls"])]
    to_stdout: bool,
    /// Take * and ? as they are
    #[arg(long, visible_alias = "no-wildcards")]
    no_globs: bool,
    /// Only warn when nothing fits a PATH
    #[arg(long)]
    nullglob: bool,
    /// Put files at their paths below the target, as those of a LISTFILE always are
    #[arg(long)]
    preserve_dir_structure: bool,
    /// Verify the integrity table beforehand, if there is one
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    restore: RestoreArguments,
    #[command(flatten)]
    metadata: MetadataArguments,
    #[command(flatten)]
    references: ReferenceArguments,
    #[command(flatten)]
    refused: Refused<ExtractRefused>,
}

#[derive(Clone, Debug)]
struct ExtractRefused;

impl OptionList for ExtractRefused {
    const REFUSED: &'static [(&'static str, Takes)] =
        &[("wimboot", Takes::Nothing), ("compact", Takes::Value)];

    fn reason(_: &str) -> Option<&'static str> {
        Some("it needs Windows and its overlay filter (WOF)")
    }
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        self.refused.check()?;
        let options = ExtractOptions {
            paths: self.paths,
            wildcards: if self.no_globs { Wildcards::Literal } else { Wildcards::Expand },
            unmatched: if self.nullglob { Unmatched::Warn } else { Unmatched::Fail },
            layout: if self.preserve_dir_structure { Layout::KeepPaths } else { Layout::Flat },
            restore: self.restore.options(),
            check: check_of(self.check),
            refs: self.references.references,
            metadata: self.metadata.choice(),
        };
        let image = self.image.as_deref();
        if self.to_stdout {
            if session.shell.is_json() {
                return Err(Error::invalid_input("--json and --to-stdout cannot go together").into());
            }
            let mut out = session.shell.stdout();
            let damaged = session.run(|cx| to_stream(cx, &self.wimfile, image, &mut out, &options))?;
            out.flush()?;
            return Ok(if damaged > 0 { Outcome::No } else { Outcome::Done });
        }
        let applied = session.run(|cx| to_directory(cx, &self.wimfile, image, &self.dest_dir, &options))?;
        if session.shell.is_json() {
            session.shell.json("extract", &applied)?;
        }
        session.shell.say("Done extracting files.")?;
        Ok(if applied.damaged_blobs > 0 { Outcome::No } else { Outcome::Done })
    }
}
