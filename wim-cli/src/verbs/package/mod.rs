//! `wim package`: update packages, and what they would do to images.

mod check;
mod expand;
mod info;
mod list;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use wim_core::jobs::registry::Target;
use wim_core::jobs::updates::InfoOptions;
use wim_core::servicing::updates;

use crate::arguments::ReferenceArguments;
use crate::exit::Verdict;
use crate::session::Session;

/// Look into update packages, and judge them against images
///
/// FILE is an .msu, a .cab, a program with one inside, or a folder that one was expanded to. IMAGE is a WIM, with the
/// image behind a colon where it has several: install.wim:Professional, install.wim:all. Only expand writes.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Expand(expand::Arguments),
    /// What a package holds: identity, parents, components, files, registry values, installers
    Info {
        file: PathBuf,
        #[command(flatten)]
        branch: BranchOption,
        /// Image of the Windows that the package is for; compressed manifests are deltas of what its servicing stack holds
        #[arg(long, value_name = "IMAGE")]
        image: Option<String>,
        /// List every component with its files and registry values
        #[arg(long)]
        detailed: bool,
    },
    /// What an image has: packages with their states, servicing stack, pending operations
    List {
        image: String,
        #[command(flatten)]
        references: ReferenceArguments,
        /// List updates only: packages that belong to an article
        #[arg(long)]
        updates: bool,
    },
    /// Which packages fit an image, in which order, and why the others do not
    ///
    /// Exit code 1 when nothing fits (no package is to be installed, and none is there already), and when a file cannot be
    /// read: the others are judged all the same.
    Check {
        image: String,
        #[command(flatten)]
        references: ReferenceArguments,
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        branch: BranchOption,
        /// Tell what integrating each package would do: files, links, registry values, records
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which of the two lines of fixes is wanted.
#[derive(Args, Clone, Copy, Debug)]
struct BranchOption {
    /// Branch of Windows 7 updates: that of the image, or the limited one (LDR) by force
    #[arg(long, value_enum, default_value = "gdr")]
    branch: BranchChoice,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BranchChoice {
    /// General distribution, unless the image is on the limited one.
    Gdr,
    /// Limited distribution, where the package has it.
    Ldr,
}

impl From<BranchOption> for updates::Branch {
    fn from(option: BranchOption) -> Self {
        match option.branch {
            BranchChoice::Gdr => Self::General,
            BranchChoice::Ldr => Self::Limited,
        }
    }
}

impl Arguments {
    /// Does it.
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self.action {
            Action::Expand(arguments) => arguments.run(session),
            Action::Info { file, branch, image, detailed } => {
                let image = image.as_deref().map(Target::parse);
                info::run(session, &file, &InfoOptions { branch: branch.into(), image }, detailed)
            }
            Action::List { image, references, updates } => {
                let target = Target::parse(&image).with_refs(&references.references);
                list::run(session, &target, updates)
            }
            Action::Check { image, references, files, branch, dry_run } => {
                let target = Target::parse(&image).with_refs(&references.references);
                check::run(session, target, files, branch.into(), dry_run)
            }
        }
    }
}
