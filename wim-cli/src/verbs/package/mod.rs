//! `wim package`: updates for Windows.

mod expand;

use clap::{Args, Subcommand};

use crate::exit::Verdict;
use crate::session::Session;

/// Look into updates for Windows
///
/// FILE is an .msu, or the .cab of a package.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Expand(expand::Arguments),
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self.action {
            Action::Expand(arguments) => arguments.run(session),
        }
    }
}
