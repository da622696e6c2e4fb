//! `wim update`: files added to an image, taken out of it, moved in it.

use std::path::{Path, PathBuf};

use clap::Args;
use wim_core::base::Error;
use wim_core::jobs::capture::load_exclusions;
use wim_core::jobs::text_file::read_text;
use wim_core::jobs::update::{self, AddSwitches, DeleteSwitches, UpdateCommand, UpdateOptions};
use wim_core::transfer::capture::CaptureOptions;

use crate::arguments::{DescriptorArguments, IntegrityArguments, MetadataArguments, PlacementArguments};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// Add, delete and rename files of an image
///
/// The commands are read from standard input, one a line: add [--dereference] [--no-replace] [--unix-data] SOURCE
/// DESTINATION; delete [--force] [--recursive] PATH; rename OLD NEW. Lines that begin with # are comments, and words with
/// spaces are quoted. UTF-8 and UTF-16 are read. All commands are done, or none.
///
/// With --json: path, image, commands, added_files, added_bytes, image_count, file_bytes, replaced_bytes, and how many
/// resources and bytes were copied and encoded. Exit code 1 when a path to delete is not in the image.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Number, name or edition of the image
    image: Option<String>,
    /// Do this command and read none; may be repeated
    #[arg(long, value_name = "STRING", conflicts_with = "wimboot_config")]
    command: Vec<String>,
    /// Put FILE at \Windows\System32\WimBootCompress.ini and read no command
    #[arg(long, value_name = "FILE")]
    wimboot_config: Option<PathBuf>,
    /// Follow symbolic links in every add
    #[arg(long)]
    dereference: bool,
    /// Keep owners, modes and special files in every add
    #[arg(long)]
    unix_data: bool,
    #[command(flatten)]
    metadata: MetadataArguments,
    /// Refuse to replace files in every add
    #[arg(long)]
    no_replace: bool,
    /// What every add leaves out: an ini file with [ExclusionList] and [ExclusionException]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Accept missing paths in every delete
    #[arg(long)]
    force: bool,
    /// Allow directories in every delete
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    integrity: IntegrityArguments,
    #[command(flatten)]
    placement: PlacementArguments,
    #[command(flatten)]
    descriptors: DescriptorArguments,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let commands = self.commands()?;
        let options = self.options(session)?;
        let image = self.image.as_deref();
        let done = session.run(|cx| update::run(cx, &self.wimfile, image, &commands, &options))?;
        if session.shell.is_json() {
            session.shell.json("update", &done)?;
        }
        Ok(Outcome::Done)
    }

    fn commands(&self) -> Result<Vec<UpdateCommand>, Error> {
        if let Some(source) = &self.wimboot_config {
            let target = "/Windows/System32/WimBootCompress.ini".to_owned();
            let options = AddSwitches::default();
            return Ok(vec![UpdateCommand::Add { source: source.clone(), target, options }]);
        }
        match self.command.is_empty() {
            true => update::parse(&read_text(Path::new("-"))?).map_err(|e| e.in_file("standard input")),
            false => update::parse(&self.command.join("\n")),
        }
    }

    fn options(&self, session: &Session) -> Result<UpdateOptions, Error> {
        let descriptors = self.descriptors.choice()?;
        let mut capture = CaptureOptions { descriptors, ..CaptureOptions::default() };
        if let Some(path) = &self.config {
            capture.exclusions = session.run(|cx| load_exclusions(cx, path))?;
        }
        capture.metadata = self.metadata.choice();
        Ok(UpdateOptions {
            capture,
            add: AddSwitches {
                dereference: self.dereference,
                unix_data: self.unix_data,
                no_replace: self.no_replace,
                descriptors: None,
            },
            delete: DeleteSwitches { force: self.force, recursive: self.recursive },
            integrity: self.integrity.choice(),
            check: self.integrity.check(),
            placement: self.placement.placement(),
        })
    }
}
