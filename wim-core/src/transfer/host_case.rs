//! Whether a directory of the host takes names that differ in case only for one name.
//!
//! Windows does; elsewhere it is a property of the file system, as of VFAT and exFAT, or of a directory, as with ext4's
//! `casefold`. No call tells it of all of them, so it is tried with a file that is there for an instant.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::image::glob::Case;

/// How names are compared below a directory, found out when it is asked for.
#[derive(Debug)]
pub(super) struct HostCase {
    directory: PathBuf,
    found: OnceCell<Case>,
}

impl HostCase {
    /// For `directory`, which need not be there yet: it will be like the nearest one above it.
    #[must_use]
    pub(super) fn below(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), found: OnceCell::new() }
    }

    /// How names are compared. Where nothing can be made, none can meet.
    pub(super) fn get(&self) -> Case {
        *self.found.get_or_init(|| if cfg!(windows) { Case::Ignored } else { tried_in(&self.directory) })
    }
}

impl From<Case> for HostCase {
    fn from(case: Case) -> Self {
        Self { directory: PathBuf::new(), found: OnceCell::from(case) }
    }
}

fn tried_in(directory: &Path) -> Case {
    let or_here =
        |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() };
    let there = directory.ancestors().map(or_here).find(|path| path.is_dir());
    let probe = there.and_then(|there| tempfile::Builder::new().prefix(".wim-case-").tempfile_in(there).ok());
    let Some(probe) = probe else { return Case::Matters };
    let name = probe.path().file_name().map(|name| name.to_string_lossy().to_uppercase());
    match name.is_some_and(|name| probe.path().with_file_name(name).exists()) {
        true => Case::Ignored,
        false => Case::Matters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_tried_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("probe"), "").unwrap();
        let is_ignored = folder.path().join("PROBE").exists();
        let expected = if is_ignored { Case::Ignored } else { Case::Matters };
        for below in ["", "not/there"] {
            assert_eq!(HostCase::below(&folder.path().join(below)).get(), expected);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(HostCase::from(Case::Ignored).get(), Case::Ignored);
    }
}
