//! `wim reg import`.

use std::path::PathBuf;

use clap::Args;
use wim_core::formats::reg_file::UnknownLines;
use wim_core::jobs::registry as job;
use wim_core::servicing::registry;

use super::edits::{Editing, edit};
use super::paths::{Paths, TargetArguments};
use crate::exit::Verdict;
use crate::session::Session;

/// Apply .reg files; a file that fails changes nothing
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// The .reg files, in order
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Fail at a line that is not understood instead of skipping it with a warning
    #[arg(long)]
    strict: bool,
    /// Code page of REGEDIT4 files
    #[arg(long, value_name = "NUMBER")]
    code_page: Option<u16>,
    #[command(flatten)]
    paths: Paths,
    #[command(flatten)]
    editing: Editing,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        let unknown = if self.strict { UnknownLines::Refuse } else { UnknownLines::Warn };
        let mut parsed = Vec::new();
        for path in &self.files {
            let file = session.run(|cx| job::load_reg_file(cx, path, self.code_page, unknown))?;
            for (line, reason) in &file.warnings {
                let message = format!("{}: line {line} is skipped: {reason}", path.display());
                session.shell.complain("warning", &message);
            }
            parsed.push((path.display().to_string(), file));
        }
        edit(session, &self.target, &self.paths, &self.editing, |registry| {
            for (name, file) in &parsed {
                registry::import(&mut registry.set, file, &registry.map, name)?;
            }
            Ok(())
        })
    }
}
