//! `wim reg delete`.

use clap::Args;

use super::edits::{Editing, edit};
use super::paths::{Paths, TargetArguments};
use crate::exit::Verdict;
use crate::session::Session;

/// Delete a value, or a key with everything below it
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// Path of the key, as in HKLM\SOFTWARE\Microsoft; in a hive file also from its root
    key: String,
    /// The value to delete; without it, the key is deleted; empty for the default value
    #[arg(long)]
    value: Option<String>,
    #[command(flatten)]
    paths: Paths,
    #[command(flatten)]
    editing: Editing,
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Verdict {
        const REASON: &str = "wim reg delete";
        edit(session, &self.target, &self.paths, &self.editing, |registry| {
            for (hive, key) in registry.places(&self.key)? {
                match &self.value {
                    Some(value) => registry.set.delete_value(hive, &key, value, REASON)?,
                    None => registry.set.delete_key(hive, &key, REASON)?,
                }
            }
            Ok(())
        })
    }
}
