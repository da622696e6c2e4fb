//! Renames that belong together, and the way back when one of them fails.
//!
//! A rename within one folder is done or not done, so a list of them can be undone from its end. Nothing is copied or deleted here.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};

/// Renames that were done, in order.
#[derive(Debug, Default)]
pub(super) struct Moves(Vec<(PathBuf, PathBuf)>);

impl Moves {
    /// Renames a file or a folder.
    ///
    /// # Errors
    /// `Io`; it has its old name then.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)
            .map_err(|e| Error::io(e, &format!("cannot rename {} to", from.display()), to))?;
        self.0.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Gives everything its old name back after `error`, which then says whether that could be done.
    pub(super) fn take_back(self, error: Error) -> Error {
        let stuck = self.0.into_iter().rev().filter(|(from, to)| fs::rename(to, from).is_err());
        let stuck: Vec<String> =
            stuck.map(|(from, to)| format!("{} to {}", to.display(), from.display())).collect();
        if stuck.is_empty() {
            return error
                .remedy("everything is as it was; run the command again when the folder can be written");
        }
        error.remedy(format!("these could not be put back, so rename them: {}", stuck.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_renamed_has_its_name_again_when_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a", "b", "full"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("file"), name).unwrap();
        }
        let mut moves = Moves::default();
        moves.rename(&at("a"), &at("c")).unwrap();
        // No folder takes the place of one that is not empty, not even for an administrator.
        let error = moves.rename(&at("b"), &at("full")).unwrap_err();
        let error = moves.take_back(error);
        assert!(error.remedy_text().unwrap().starts_with("everything is as it was"), "{error}");
        let read = |name: &str| fs::read_to_string(at(name).join("file")).unwrap();
        assert_eq!([read("a"), read("b"), read("full")], ["a", "b", "full"]);
        let mut moves = Moves::default();
        moves.rename(&at("a"), &at("c")).unwrap();
        fs::create_dir_all(at("a").join("new")).unwrap();
        let error = moves.take_back(Error::cancelled());
        assert!(error.remedy_text().unwrap().contains("could not be put back"), "{error}");
    }
}
