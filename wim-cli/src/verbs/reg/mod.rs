//! `wim reg`: the registry of images and of plain hive files, one file per action.

mod answer;
mod check;
mod compact;
mod delete;
mod diff;
mod edits;
mod export;
mod find;
mod get;
mod import;
mod ls;
mod paths;
mod set;

use clap::{Args, Subcommand};

use crate::exit::Verdict;
use crate::session::Session;

/// Read and change the registry of images and of hive files
///
/// TARGET is a hive file, or a WIM with the image behind a colon: install.wim:Professional, install.wim:all. In a hive
/// file KEY counts from its root; in an image it begins with HKLM\SYSTEM and the like, and CurrentControlSet means the
/// control sets that the image boots with. HKU\NAME is the hive of the user whose profile folder is NAME.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Ls(ls::Arguments),
    Get(get::Arguments),
    Set(set::Arguments),
    Delete(delete::Arguments),
    Find(find::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Check(check::Arguments),
    Diff(diff::Arguments),
    Compact(compact::Arguments),
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self.action {
            Action::Ls(arguments) => arguments.run(session),
            Action::Get(arguments) => arguments.run(session),
            Action::Set(arguments) => arguments.run(session),
            Action::Delete(arguments) => arguments.run(session),
            Action::Find(arguments) => arguments.run(session),
            Action::Export(arguments) => arguments.run(session),
            Action::Import(arguments) => arguments.run(session),
            Action::Check(arguments) => arguments.run(session),
            Action::Diff(arguments) => arguments.run(session),
            Action::Compact(arguments) => arguments.run(session),
        }
    }
}
