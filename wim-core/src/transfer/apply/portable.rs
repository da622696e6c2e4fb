//! Files by their paths, with the standard library alone: what Windows gets, and a second opinion in tests on Unix.
//!
//! Every directory is looked at before it is used and no link is made before all else is done, so that the image itself
//! cannot lead outside; someone else who swaps directories meanwhile could, which the handles of `unix` prevent.

#![cfg_attr(all(unix, not(test)), allow(dead_code, reason = "used on other hosts, and by tests on this one"))]

use std::ffi::OsStr;
use std::fs::{File, FileTimes, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::host::{
    DirectoryId, Host, LinkKind, NewFile, RestoredUnix, TEMPORARY_TRIES, directory_in_the_way,
    file_in_the_way, temporary_name,
};
use crate::base::{Error, FileTime, Reason, Result};
use crate::formats::wim::tagged_items::UnixData;
use crate::image::edit::Times;

pub(super) struct PortableHost {
    /// Shared with the other threads.
    directories: Arc<Vec<PathBuf>>,
    /// Counts temporary names for all threads.
    temporaries: Arc<AtomicU32>,
}

impl PortableHost {
    fn path(&self, directory: DirectoryId, name: &OsStr) -> PathBuf {
        self.directories[directory as usize].join(name)
    }

    fn temporary<T>(
        &mut self,
        directory: DirectoryId,
        mut make: impl FnMut(&Path) -> io::Result<T>,
    ) -> io::Result<(PathBuf, T)> {
        for _ in 0..TEMPORARY_TRIES {
            let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
            let path = self.path(directory, &temporary_name(number));
            match make(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done.map(|value| (path, value)),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Makes something at `path` that is not a file: right there, or beside what is there and then in its place.
    fn place(
        &mut self,
        directory: DirectoryId,
        path: &Path,
        doing: &str,
        mut make: impl FnMut(&Path) -> io::Result<()>,
    ) -> Result<()> {
        match make(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if is_directory(path) {
                    return Err(directory_in_the_way(path));
                }
                let (temporary, ()) =
                    self.temporary(directory, make).map_err(|e| Error::io(e, doing, path))?;
                let renamed = std::fs::rename(&temporary, path);
                let _ = std::fs::remove_file(&temporary);
                renamed.map_err(|e| Error::io(e, "cannot replace", path))
            }
            done => done.map_err(|e| Error::io(e, doing, path)),
        }
    }
}

fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

impl Host for PortableHost {
    type NewFile = PortableFile;

    fn open(target: &Path) -> Result<Self> {
        std::fs::create_dir_all(target).map_err(|e| {
            Error::io(e, "cannot make the directory", target).because(Reason::CannotMakeDirectory)
        })?;
        Ok(Self { directories: Arc::new(vec![target.to_owned()]), temporaries: Arc::default() })
    }

    fn for_thread(&self, _: usize) -> Self {
        Self { directories: Arc::clone(&self.directories), temporaries: Arc::clone(&self.temporaries) }
    }

    fn close_directories(&mut self) {}

    fn absolute_root(&self) -> Result<PathBuf> {
        let target = &self.directories[0];
        target.canonicalize().map_err(|e| Error::io(e, "cannot resolve", target))
    }

    fn make_directory(&mut self, parent: DirectoryId, name: &OsStr) -> Result<DirectoryId> {
        let path = self.path(parent, name);
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && is_directory(&path) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(file_in_the_way(&path)),
            Err(e) => {
                return Err(
                    Error::io(e, "cannot make the directory", &path).because(Reason::CannotMakeDirectory)
                );
            }
        }
        let id = DirectoryId::try_from(self.directories.len())
            .map_err(|_| Error::limit("more directories than can be counted"))?;
        // Copied only when another thread still has the list.
        Arc::make_mut(&mut self.directories).push(path);
        Ok(id)
    }

    fn create(&mut self, directory: DirectoryId, name: &OsStr) -> Result<PortableFile> {
        let path = self.path(directory, name);
        // New files only: an existing name, a link among them, is never opened.
        let open = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let made = match open(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if is_directory(&path) {
                    return Err(directory_in_the_way(&path));
                }
                self.temporary(directory, open).map(|(temporary, file)| (Some(temporary), file))
            }
            made => made.map(|file| (None, file)),
        };
        let (temporary, file) = made.map_err(|e| Error::io(e, "cannot make the file", &path))?;
        Ok(PortableFile { file: Some(file), path, temporary, is_done: false })
    }

    fn hard_link(&mut self, from: (DirectoryId, &OsStr), to: (DirectoryId, &OsStr)) -> Result<bool> {
        let (source, target) = (self.path(from.0, from.1), self.path(to.0, to.1));
        let link = |path: &Path| std::fs::hard_link(&source, path);
        if let Err(e) = self.place(to.0, &target, "cannot make the hard link", link) {
            // A directory in the way is an error; a file system without links is not.
            return if e.kind() == crate::base::ErrorKind::Io { Ok(false) } else { Err(e) };
        }
        Ok(true)
    }

    fn symbolic_link(
        &mut self,
        text: &OsStr,
        kind: LinkKind,
        (directory, name): (DirectoryId, &OsStr),
        _: Times,
    ) -> Result<()> {
        let path = self.path(directory, name);
        #[cfg(unix)]
        let link = |path: &Path| {
            let _ = kind;
            std::os::unix::fs::symlink(text, path)
        };
        #[cfg(windows)]
        let link = |path: &Path| match kind {
            LinkKind::File => std::os::windows::fs::symlink_file(text, path),
            LinkKind::Directory => std::os::windows::fs::symlink_dir(text, path),
        };
        self.place(directory, &path, "cannot make the symbolic link", link)
    }

    fn make_special(&mut self, _: UnixData, _: (DirectoryId, &OsStr)) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn restore_unix(&mut self, _: DirectoryId, _: Option<&OsStr>, _: &RestoredUnix<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn last_write(&mut self, directory: DirectoryId, name: &OsStr) -> Option<FileTime> {
        let metadata = std::fs::symlink_metadata(self.path(directory, name)).ok()?;
        metadata.modified().ok().map(FileTime::from_system_time)
    }

    fn with_path<T>(
        &mut self,
        (directory, name): (DirectoryId, &OsStr),
        use_it: impl FnOnce(&Path) -> T,
    ) -> Result<T> {
        Ok(use_it(&self.path(directory, name)))
    }

    fn set_directory_times(&mut self, directory: DirectoryId, times: Times) -> Result<()> {
        let path = &self.directories[directory as usize];
        let fails = |e| Error::io(e, "cannot set the times of", path);
        #[cfg(unix)]
        let opened = File::open(path);
        #[cfg(windows)]
        let opened = {
            use std::os::windows::fs::OpenOptionsExt;
            // FILE_WRITE_ATTRIBUTES, and FILE_FLAG_BACKUP_SEMANTICS without which no directory is opened.
            OpenOptions::new().access_mode(0x100).custom_flags(0x0200_0000).open(path)
        };
        opened.and_then(|file| file.set_times(file_times(times))).map_err(fails)
    }
}

pub(super) struct PortableFile {
    file: Option<File>,
    path: PathBuf,
    temporary: Option<PathBuf>,
    is_done: bool,
}

impl NewFile for PortableFile {
    fn file(&self) -> &File {
        self.file.as_ref().expect("the file is taken out only when this value goes")
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::write_all_at(self.file(), bytes, offset);
        #[cfg(windows)]
        {
            let (mut bytes, mut offset) = (bytes, offset);
            while !bytes.is_empty() {
                let written = std::os::windows::fs::FileExt::seek_write(self.file(), bytes, offset)?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                (bytes, offset) = (&bytes[written..], offset + written as u64);
            }
            Ok(())
        }
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn restore_unix(&self, _: &RestoredUnix<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn finish(mut self, attributes: u32, times: Times) -> Result<()> {
        let fails = |e, doing| Error::io(e, doing, &self.path);
        if let Some(file) = self.file.take() {
            file.set_times(file_times(times)).map_err(|e| fails(e, "cannot set the times of"))?;
            #[cfg(windows)]
            if attributes & crate::formats::wim::attributes::READONLY != 0 {
                let metadata = file.metadata().map_err(|e| fails(e, "cannot examine"))?;
                let mut permissions = metadata.permissions();
                permissions.set_readonly(true);
                file.set_permissions(permissions).map_err(|e| fails(e, "cannot make read-only"))?;
            }
            #[cfg(not(windows))]
            let _ = attributes;
        }
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.path).map_err(|e| fails(e, "cannot replace"))?;
        }
        self.is_done = true;
        Ok(())
    }
}

impl Drop for PortableFile {
    fn drop(&mut self) {
        if !self.is_done {
            // Windows removes closed files only.
            drop(self.file.take());
            let _ = std::fs::remove_file(self.temporary.as_ref().unwrap_or(&self.path));
        }
    }
}

fn file_times(times: Times) -> FileTimes {
    let file_times = FileTimes::new()
        .set_accessed(times.last_access.to_system_time())
        .set_modified(times.last_write.to_system_time());
    #[cfg(windows)]
    let file_times =
        std::os::windows::fs::FileTimesExt::set_created(file_times, times.creation.to_system_time());
    file_times
}
