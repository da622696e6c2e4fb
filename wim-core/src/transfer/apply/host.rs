//! What applying needs of a file system: a few steps, each inside a directory that is known to be one.
//!
//! Implemented twice: with handles of directories on Unix, which no link can lead astray, and with paths elsewhere. Errors
//! name the path on the host. Nothing here knows an image.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::base::{Error, Result};
use crate::image::edit::Times;

/// A directory below the target; 0 is the target itself.
pub(super) type DirectoryId = u32;

/// What a symbolic link leads to, where a host asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    File,
    Directory,
}

/// A directory tree under construction.
pub(super) trait Host: Sized {
    /// A file being written.
    type NewFile: NewFile;

    /// Opens the target directory, made if it is not there.
    fn open(target: &Path) -> Result<Self>;

    /// The target's path from the root of the host, without links.
    fn absolute_root(&self) -> Result<PathBuf>;

    /// Makes the next directory, or takes one that is there; a link to one is refused. Ids count up from 1.
    fn make_directory(&mut self, parent: DirectoryId, name: &OsStr) -> Result<DirectoryId>;

    /// Begins a file. One that is there stays until the new one is finished.
    fn create(&mut self, directory: DirectoryId, name: &OsStr) -> Result<Self::NewFile>;

    /// Opens a file of this run for reading.
    fn reopen(&mut self, directory: DirectoryId, name: &OsStr) -> Result<File>;

    /// Gives a file of this run one more name; false when the file system cannot.
    fn hard_link(&mut self, from: (DirectoryId, &OsStr), to: (DirectoryId, &OsStr)) -> Result<bool>;

    /// Makes a symbolic link.
    fn symbolic_link(
        &mut self,
        text: &OsStr,
        kind: LinkKind,
        at: (DirectoryId, &OsStr),
        times: Times,
    ) -> Result<()>;

    /// Sets the times of a directory.
    fn set_directory_times(&mut self, directory: DirectoryId, times: Times) -> Result<()>;
}

/// A file being written; dropped before it is finished, it is removed.
pub(super) trait NewFile {
    /// The open file.
    fn file(&mut self) -> &mut File;

    /// Gives the file its times and its place.
    fn finish(self, attributes: u32, times: Times) -> Result<()>;
}

/// The error for a directory that stands where a file should go.
pub(super) fn directory_in_the_way(path: &Path) -> Error {
    Error::invalid_input("a directory is there already, where a file goes")
        .in_file(path.display())
        .remedy("apply to an empty directory")
}

/// The error for a file or link that stands where a directory should go.
pub(super) fn file_in_the_way(path: &Path) -> Error {
    Error::invalid_input("a file or link is there already, where a directory goes")
        .in_file(path.display())
        .remedy("apply to an empty directory")
}

/// The name of a temporary neighbour.
pub(super) fn temporary_name(number: u32) -> std::ffi::OsString {
    format!(".wim-{}-{number}.wim-tmp", std::process::id()).into()
}

/// Most temporary names that are tried before giving up: others' leftovers may have some.
pub(super) const TEMPORARY_TRIES: u32 = 1000;
