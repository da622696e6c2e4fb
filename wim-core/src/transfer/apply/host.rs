//! What applying needs of a file system: a few steps, each inside a directory that is known to be one.
//!
//! Implemented twice: with handles of directories on Unix, which no link can lead astray, and with paths elsewhere. Errors
//! name the path on the host. Nothing here knows an image.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::{Error, FileTime, Result};
use crate::formats::wim::tagged_items::{self, UnixData};
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
pub(super) trait Host: Sized + Send + Sync {
    /// A file being written.
    type NewFile: NewFile;

    /// Opens the target directory, made if it is not there.
    fn open(target: &Path) -> Result<Self>;

    /// The same target for one more thread of `threads`, with the directories that there are by now.
    fn for_thread(&self, threads: usize) -> Self;

    /// Closes what is kept open of directories; what is needed again is opened again.
    fn close_directories(&mut self);

    /// The target's path from the root of the host, without links.
    fn absolute_root(&self) -> Result<PathBuf>;

    /// Makes the next directory, or takes one that is there; a link to one is refused. Ids count up from 1.
    fn make_directory(&mut self, parent: DirectoryId, name: &OsStr) -> Result<DirectoryId>;

    /// Begins a file. One that is there stays until the new one is finished.
    fn create(&mut self, directory: DirectoryId, name: &OsStr) -> Result<Self::NewFile>;

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

    /// Makes a device, a pipe or a socket; an error when the system has no such files, or not for this user.
    fn make_special(&mut self, unix: UnixData, at: (DirectoryId, &OsStr)) -> io::Result<()>;

    /// Gives a directory, or with a name something in it that is no plain file, its owner, group, mode and extended
    /// attributes; all that can be set is, and the first failure told.
    fn restore_unix(
        &mut self,
        directory: DirectoryId,
        name: Option<&OsStr>,
        unix: &RestoredUnix<'_>,
    ) -> io::Result<()>;

    /// The time of the last write of something in a directory, as the host has it; `.` is the directory.
    fn last_write(&mut self, directory: DirectoryId, name: &OsStr) -> Option<FileTime>;

    /// Hands a path to `use_it` through which the system reaches something in a directory, or without a name the directory,
    /// however long its own path is; links at its end are not followed.
    fn with_path<T>(&mut self, at: (DirectoryId, &OsStr), use_it: impl FnOnce(&Path) -> T) -> Result<T>;

    /// Sets the times of a directory.
    fn set_directory_times(&mut self, directory: DirectoryId, times: Times) -> Result<()>;
}

/// A file being written; dropped before it is finished, it is removed.
pub(super) trait NewFile: Send + Sync {
    /// The open file, for reading and writing.
    fn file(&self) -> &File;

    /// Writes bytes at an offset, whatever other threads write elsewhere in the file.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Takes the room for `size` bytes at once, where the system can: less work for it, and a full disk is told early.
    fn reserve(&self, size: u64) -> io::Result<()>;

    /// Gives the file its owner, group, mode and extended attributes, as [`Host::restore_unix`].
    fn restore_unix(&self, unix: &RestoredUnix<'_>) -> io::Result<()>;

    /// Gives the file its times and its place.
    fn finish(self, attributes: u32, times: Times) -> Result<()>;
}

/// What is restored of what only Unix has.
#[derive(Clone, Copy, Debug)]
pub(super) struct RestoredUnix<'i> {
    /// Owner, group and mode; none when the image has only extended attributes.
    pub(super) data: Option<UnixData>,
    /// The tagged item of extended attributes; empty when there is none.
    #[cfg_attr(
        not(any(target_os = "linux", target_os = "android")),
        allow(dead_code, reason = "other systems have nowhere to put them")
    )]
    pub(super) attributes: &'i [u8],
}

impl<'i> RestoredUnix<'i> {
    /// What the tagged items of an inode have; none when that is nothing.
    pub(super) fn of(items: &'i [u8]) -> Option<Self> {
        let attributes = tagged_items::find(items, tagged_items::EXTENDED_ATTRIBUTES).unwrap_or(&[]);
        let data = UnixData::find(items);
        (data.is_some() || !attributes.is_empty()).then_some(Self { data, attributes })
    }
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

/// The name of a temporary neighbour. Numbers are those of the process, whose threads may be in one directory.
pub(super) fn temporary_name(number: u32) -> std::ffi::OsString {
    format!(".wim-{}-{number}.wim-tmp", std::process::id()).into()
}

/// Most temporary names that are tried before giving up: others' leftovers may have some.
pub(super) const TEMPORARY_TRIES: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::super::portable::PortableHost;
    use super::*;
    use std::io::Write;

    fn os(name: &str) -> &OsStr {
        OsStr::new(name)
    }

    fn times(seconds: i64) -> Times {
        Times::all(FileTime::from_unix(seconds, 123_456_700))
    }

    fn write<H: Host>(host: &mut H, directory: DirectoryId, name: &str, bytes: &[u8]) -> Result<()> {
        let file = host.create(directory, os(name))?;
        file.file().write_all(bytes).unwrap();
        file.finish(0x20, times(1_000_000_000))
    }

    /// The same steps on every host: what is made, what is replaced, what is refused, what is left behind.
    fn exercise<H: Host>() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("made/here");
        let mut host = H::open(&target).unwrap();
        assert_eq!(host.absolute_root().unwrap(), target.canonicalize().unwrap());
        let a = host.make_directory(0, os("a")).unwrap();
        let b = host.make_directory(a, os("b")).unwrap();
        assert_eq!((a, b), (1, 2));
        // One that is there is taken.
        assert_eq!(host.make_directory(0, os("a")).unwrap(), 3);
        write(&mut host, b, "file", b"one").unwrap();
        assert_eq!(std::fs::read(target.join("a/b/file")).unwrap(), b"one");
        let modified = std::fs::metadata(target.join("a/b/file")).unwrap().modified().unwrap();
        assert_eq!(FileTime::from_system_time(modified), times(1_000_000_000).last_write);
        // Dropped: gone, or as it was.
        drop(host.create(b, os("dropped")).unwrap());
        host.create(b, os("file")).unwrap().file().write_all(b"half").unwrap();
        assert_eq!(std::fs::read(target.join("a/b/file")).unwrap(), b"one");
        write(&mut host, b, "file", b"two").unwrap();
        assert_eq!(std::fs::read(target.join("a/b/file")).unwrap(), b"two");
        // Links: new, and over what is there.
        for _ in 0..2 {
            assert!(host.hard_link((b, os("file")), (a, os("link"))).unwrap());
        }
        assert_eq!(std::fs::read(target.join("a/link")).unwrap(), b"two");
        write(&mut host, a, "soft", b"a file").unwrap();
        for text in ["b/file", "b"] {
            host.symbolic_link(os(text), LinkKind::File, (a, os("soft")), times(5)).unwrap();
            assert_eq!(std::fs::read_link(target.join("a/soft")).unwrap(), Path::new(text));
        }
        // What is of another kind stands in the way.
        assert!(host.make_directory(a, os("soft")).is_err());
        assert!(host.make_directory(a, os("link")).is_err());
        assert!(host.create(a, os("b")).is_err());
        assert!(host.hard_link((b, os("file")), (a, os("b"))).is_err());
        assert!(host.symbolic_link(os("x"), LinkKind::File, (a, os("b")), times(5)).is_err());
        host.set_directory_times(b, times(77)).unwrap();
        let modified = std::fs::metadata(target.join("a/b")).unwrap().modified().unwrap();
        assert_eq!(FileTime::from_system_time(modified), times(77).last_write);
        assert_eq!(host.last_write(b, os(".")), Some(times(77).last_write));
        assert_eq!(host.last_write(b, os("nothing")), None);
        let mut names: Vec<_> =
            std::fs::read_dir(target.join("a/b")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.extend(std::fs::read_dir(target.join("a")).unwrap().map(|e| e.unwrap().file_name()));
        names.sort();
        assert_eq!(names, ["b", "file", "link", "soft"]);
    }

    #[test]
    fn paths_do_what_a_host_must() {
        exercise::<PortableHost>();
    }

    #[test]
    #[cfg(unix)]
    fn handles_do_what_a_host_must() {
        exercise::<super::super::unix::UnixHost>();
    }

    /// More directories than handles are kept, used in an order that throws them out.
    #[test]
    #[cfg(unix)]
    fn handles_are_opened_again_when_they_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let mut host = super::super::unix::UnixHost::open(folder.path()).unwrap();
        let mut parent = 0;
        let made: Vec<_> = (0..600)
            .map(|i| {
                let id = host.make_directory(parent, os(&format!("d{i}"))).unwrap();
                parent = if i % 10 == 9 { 0 } else { id };
                id
            })
            .collect();
        for stride in [1usize, 7, 251] {
            for i in 0..600 {
                let id = made[i * stride % 600];
                write(&mut host, id, &format!("f{stride}"), b"x").unwrap();
            }
        }
        assert!(folder.path().join("d0/d1/d2/f251").exists());
    }
}
