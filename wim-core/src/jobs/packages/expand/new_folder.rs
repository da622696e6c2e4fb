//! A folder that appears under its name only when it is complete, and leaves nothing behind when it is not.
//!
//! It is filled under the name of a temporary neighbour and then renamed; folders above it that were missing are made, and
//! removed again unless it gets there. What the files in it are is not known here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::atomic_file::folder_of;
use crate::base::{Error, Result};

/// The folder on its way.
pub(super) struct NewFolder {
    // Dropped first: what was made above it can only go when it is gone.
    temporary: tempfile::TempDir,
    made: MadeParents,
    target: PathBuf,
}

impl NewFolder {
    /// Makes the temporary neighbour of `target`, which must be empty or not there.
    ///
    /// # Errors
    /// `InvalidInput` for a target with something in it or without a name of its own, `Io`.
    pub(super) fn beside(target: &Path) -> Result<Self> {
        let Some(name) = target.file_name() else {
            return Err(Error::invalid_input("names no folder of its own")
                .in_file(target.display())
                .remedy("give the name of a folder that does not exist yet"));
        };
        if target.exists() {
            let cannot = |e| Error::io(e, "cannot read the folder", target);
            if fs::read_dir(target).map_err(cannot)?.next().is_some() {
                return Err(Error::invalid_input("is not empty")
                    .in_file(target.display())
                    .remedy("give a folder that does not exist yet"));
            }
        }
        let parent = &folder_of(target);
        let made = MadeParents::make(parent)?;
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".wim-tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As a plain mkdir would: the user's umask decides.
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let temporary =
            builder.tempdir_in(parent).map_err(|e| Error::io(e, "cannot make a folder in", parent))?;
        Ok(Self { temporary, made, target: target.to_owned() })
    }

    /// Where it is filled.
    pub(super) fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Where the target lies, and so has room.
    pub(super) fn parent(&self) -> &Path {
        self.temporary.path().parent().unwrap_or(Path::new("."))
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// `Io`; an empty target that was there is there then.
    pub(super) fn commit(mut self) -> Result<()> {
        rename_over_empty(self.temporary.path(), &self.target)
            .map_err(|e| Error::io(e, "cannot rename the finished folder to", &self.target))?;
        self.temporary.disable_cleanup(true);
        self.made.0.clear();
        Ok(())
    }
}

/// Renames a folder to a name that nothing or an empty folder has; that folder is never missing when this fails.
fn rename_over_empty(from: &Path, to: &Path) -> io::Result<()> {
    let error = match fs::rename(from, to) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // Some hosts rename no folder over another: the empty one steps aside then.
    let is_empty = fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_none());
    if !is_empty || fs::symlink_metadata(to)?.is_symlink() {
        return Err(error);
    }
    let aside = from.with_extension("empty.wim-tmp");
    fs::rename(to, &aside)?;
    if let Err(error) = fs::rename(from, to) {
        fs::rename(&aside, to)?;
        return Err(error);
    }
    fs::remove_dir(&aside)
}

/// Folders that were made on the way to a target, the topmost first; removed when dropped, as far as they are empty.
struct MadeParents(Vec<PathBuf>);

impl MadeParents {
    fn make(folder: &Path) -> Result<Self> {
        let is_there = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
        let mut missing: Vec<&Path> = folder.ancestors().take_while(|folder| !is_there(folder)).collect();
        missing.reverse();
        let mut made = Self(Vec::new());
        for folder in missing {
            match fs::create_dir(folder) {
                Ok(()) => made.0.push(folder.to_owned()),
                // Another program was faster; it is not ours to remove.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(error) => return Err(Error::io(error, "cannot make the folder", folder)),
            }
        }
        Ok(made)
    }
}

impl Drop for MadeParents {
    fn drop(&mut self) {
        // The error that brought us here is the one to tell; one that is in use stays.
        self.0.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn what_is_not_finished_leaves_no_folder_behind() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a/b/c");
        let folder = NewFolder::beside(&target).unwrap();
        fs::write(folder.path().join("x"), "x").unwrap();
        drop(folder);
        assert_eq!(names(root.path()), [""; 0]);
        // What somebody else put there meanwhile stays.
        let folder = NewFolder::beside(&target).unwrap();
        fs::write(root.path().join("a/mine"), "").unwrap();
        drop(folder);
        assert_eq!(
            (names(root.path()), names(&root.path().join("a"))),
            (vec!["a".into()], vec!["mine".into()])
        );
        let folder = NewFolder::beside(&target).unwrap();
        fs::write(folder.path().join("x"), "x").unwrap();
        folder.commit().unwrap();
        assert_eq!((names(&root.path().join("a/b")), names(&target)), (vec!["c".into()], vec!["x".into()]));
    }

    #[test]
    fn an_empty_target_is_replaced_or_still_there() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("out");
        fs::create_dir(&target).unwrap();
        drop(NewFolder::beside(&target).unwrap());
        assert_eq!(names(root.path()), ["out"]);
        // It is not empty any more when the work is done.
        let folder = NewFolder::beside(&target).unwrap();
        fs::write(target.join("mine"), "").unwrap();
        assert!(folder.commit().is_err());
        assert_eq!((names(root.path()), names(&target)), (vec!["out".into()], vec!["mine".into()]));
        fs::remove_file(target.join("mine")).unwrap();
        let folder = NewFolder::beside(&target).unwrap();
        fs::write(folder.path().join("x"), "x").unwrap();
        folder.commit().unwrap();
        assert_eq!((names(root.path()), names(&target)), (vec!["out".into()], vec!["x".into()]));
        assert!(NewFolder::beside(&target).is_err() && NewFolder::beside(Path::new("..")).is_err());
    }
}
