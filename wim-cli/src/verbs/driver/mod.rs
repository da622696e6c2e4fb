//! `wim driver`: driver packages in images: add, list, explain, check, remove, copy out.

mod add;
mod check;
mod explain;
mod export;
mod list;
mod remove;
mod text;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wim_core::base::atomic_file::IfExists;
use wim_core::jobs::Level;
use wim_core::jobs::drivers::{Mode, Places, Recovery};
use wim_core::jobs::registry::Target;

use crate::arguments::{ReferenceArguments, VerifyArgument, parse_level};
use crate::exit::Verdict;
use crate::session::Session;

pub(crate) use text::{notes_text, outcome_text};

/// Add driver packages to images, list, explain, check, remove them, copy them out
///
/// IMAGE is a WIM file, or FILE:IMAGE with a number, name or edition behind the colon; without one all images of the file
/// are meant. Nothing is unpacked; files are changed in place, written whole beside themselves and renamed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Add(Box<add::Arguments>),
    List(list::Arguments),
    Info(explain::Arguments),
    Check(check::Arguments),
    Remove(remove::Arguments),
    Export(export::Arguments),
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self.action {
            Action::Add(arguments) => (*arguments).run(session),
            Action::List(arguments) => arguments.run(session),
            Action::Info(arguments) => arguments.run(session),
            Action::Check(arguments) => arguments.run(session),
            Action::Remove(arguments) => arguments.run(session),
            Action::Export(arguments) => arguments.run(session),
        }
    }
}

/// Which images are read.
#[derive(Args, Debug)]
struct Images {
    /// WIM files, each perhaps with images behind a colon, as in install.wim:Professional
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// The image, for files named without one: number, name or edition, several with commas
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    #[command(flatten)]
    references: ReferenceArguments,
}

/// The files that `images` name, with `image` for those that name none, and those that belong to them.
fn targets(images: &[String], image: Option<&str>, references: &ReferenceArguments) -> Vec<Target> {
    let target = |text: &String| {
        let target = Target::parse(text).with_refs(&references.references);
        Target { image: target.image.clone().or_else(|| image.map(str::to_owned)), ..target }
    };
    images.iter().map(target).collect()
}

impl Images {
    fn targets(&self) -> Vec<Target> {
        targets(&self.images, self.image.as_deref(), &self.references)
    }
}

/// Whether recovery images are looked into.
#[derive(Args, Debug)]
struct Inner {
    /// Leave out the recovery image (winre.wim) inside install images
    #[arg(long)]
    no_recovery: bool,
}

impl Inner {
    fn recovery(&self) -> Recovery {
        if self.no_recovery { Recovery::Leave } else { Recovery::Service }
    }
}

/// Which images are changed, and how their files are written.
#[derive(Args, Debug)]
struct Changing {
    /// WIM files, each perhaps with images behind a colon, as in install.wim:Professional
    #[arg(value_name = "IMAGE", required_unless_present = "media")]
    images: Vec<String>,
    /// The image, for files named without one: number, name or edition, several with commas [default: all]
    #[arg(long, value_name = "NAME", conflicts_with = "media")]
    image: Option<String>,
    /// The folder of a whole medium: its sources/boot.wim and sources/install.wim
    #[arg(long, value_name = "FOLDER", conflicts_with = "references")]
    media: Option<PathBuf>,
    /// Work on the medium's folder $WinPEDriver$ instead of its images: Setup loads the drivers there and installs them
    #[arg(long, requires = "media", conflicts_with_all = ["images", "no_recovery", "verify", "level", "force"])]
    media_folder: bool,
    /// Write the result here [default: change the file in place]
    #[arg(short, long, value_name = "OUT.wim", conflicts_with = "media")]
    output: Option<PathBuf>,
    /// Replace OUT.wim if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Leave the recovery image (winre.wim) inside install images as it is
    #[arg(long)]
    no_recovery: bool,
    /// How written files are read back before they take their names
    #[arg(long, value_enum, default_value = "written")]
    verify: VerifyArgument,
    /// How hard new data is compressed: fast, normal, max or a number on wimlib's scale
    #[arg(long, value_parser = parse_level, default_value = "10")]
    level: Level,
    /// Show what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    references: ReferenceArguments,
}

impl Changing {
    /// The medium whose `$WinPEDriver$` is meant instead of images.
    fn media_folder(&self) -> Option<&PathBuf> {
        self.media.as_ref().filter(|_| self.media_folder)
    }

    fn mode(&self) -> Mode {
        if self.dry_run { Mode::DryRun } else { Mode::Write }
    }

    fn places(self) -> Places {
        let mode = self.mode();
        Places {
            wims: targets(&self.images, self.image.as_deref(), &self.references),
            media: self.media,
            output: self.output,
            if_exists: if self.force { IfExists::Replace } else { IfExists::Refuse },
            recovery: if self.no_recovery { Recovery::Leave } else { Recovery::Service },
            verify: self.verify.depth(),
            level: self.level,
            mode,
        }
    }
}
