//! Files on Unix, by handles of their directories.
//!
//! A directory is only ever opened by its name in an open directory, and never through a link, so that nothing that happens
//! below the target while it is filled leads outside; paths may also be longer than the system takes in one piece. Some
//! handles are kept open, fewer when the system has no more.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::host::{
    DirectoryId, Host, LinkKind, NewFile, RestoredUnix, TEMPORARY_TRIES, directory_in_the_way,
    file_in_the_way, temporary_name,
};
use crate::base::{Error, FileTime, Reason, Result};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::formats::wim::tagged_items;
use crate::formats::wim::tagged_items::UnixData;
use crate::image::edit::Times;

/// Handles of directories that one thread keeps, or all others together; the least usual limit of a process is 256.
const MAX_OPEN: usize = 64;

/// Below this a file system finds room as quickly by itself.
#[cfg(target_os = "linux")]
const RESERVE_BYTES: u64 = 16 << 10;

/// How a directory is opened: as one, and never through a link.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) struct UnixHost {
    target: PathBuf,
    root: Arc<OwnedFd>,
    /// Shared with the other threads.
    directories: Arc<Vec<Directory>>,
    open: HashMap<DirectoryId, Arc<OwnedFd>>,
    /// The open ones, oldest first.
    order: VecDeque<DirectoryId>,
    most_open: usize,
    /// Counts temporary names for all threads.
    temporaries: Arc<AtomicU32>,
}

#[derive(Clone)]
struct Directory {
    parent: DirectoryId,
    name: OsString,
}

impl UnixHost {
    /// The path of something, for errors.
    fn path(&self, mut directory: DirectoryId, name: &OsStr) -> PathBuf {
        let mut names = vec![name.to_owned()];
        while let Some(entry) = self.directories.get(directory as usize).filter(|_| directory != 0) {
            names.push(entry.name.clone());
            directory = entry.parent;
        }
        names.iter().rev().fold(self.target.clone(), |path, name| path.join(name))
    }

    fn fails(&self, errno: Errno, doing: &str, directory: DirectoryId, name: &OsStr) -> Error {
        Error::io(errno.into(), doing, &self.path(directory, name))
    }

    /// The handle of a directory, opened name by name from the nearest one above that is open.
    fn handle(&mut self, directory: DirectoryId) -> Result<Arc<OwnedFd>> {
        let mut missing = Vec::new();
        let mut at = directory;
        let mut handle = loop {
            if at == 0 {
                break Arc::clone(&self.root);
            }
            if let Some(handle) = self.open.get(&at) {
                break Arc::clone(handle);
            }
            missing.push(at);
            at = self.directories[at as usize].parent;
        };
        for id in missing.into_iter().rev() {
            let directories = Arc::clone(&self.directories);
            let Directory { parent, name } = &directories[id as usize];
            let opened =
                self.with_room(|| rustix::fs::openat(&*handle, name.as_os_str(), DIRECTORY, Mode::empty()));
            handle = Arc::new(opened.map_err(|e| self.fails(e, "cannot open the directory", *parent, name))?);
            self.keep(id, &handle);
        }
        Ok(handle)
    }

    fn keep(&mut self, id: DirectoryId, handle: &Arc<OwnedFd>) {
        if self.order.len() >= self.most_open {
            self.let_go_of(1);
        }
        self.open.insert(id, Arc::clone(handle));
        self.order.push_back(id);
    }

    /// Closes the oldest handles, unless something uses them now.
    fn let_go_of(&mut self, count: usize) {
        for oldest in self.order.drain(..count.min(self.order.len())) {
            self.open.remove(&oldest);
        }
    }

    /// Runs `open`, once more with half of the handles closed when no more can be open.
    fn with_room<T>(
        &mut self,
        open: impl Fn() -> std::result::Result<T, Errno>,
    ) -> std::result::Result<T, Errno> {
        match open() {
            Err(Errno::MFILE | Errno::NFILE) => {
                self.let_go_of(self.order.len().div_ceil(2));
                open()
            }
            done => done,
        }
    }

    fn kind_of(handle: &OwnedFd, name: &OsStr) -> Option<FileType> {
        let stat = rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    /// Runs `make` under temporary names until one is free.
    fn with_temporary<T>(
        &mut self,
        mut make: impl FnMut(&OsStr) -> std::result::Result<T, Errno>,
    ) -> std::result::Result<(OsString, T), Errno> {
        for _ in 0..TEMPORARY_TRIES {
            let name = temporary_name(self.temporaries.fetch_add(1, Ordering::Relaxed));
            match make(&name) {
                Err(Errno::EXIST) => {}
                done => return done.map(|value| (name, value)),
            }
        }
        Err(Errno::EXIST)
    }

    /// Makes something under `name` that is not a file: right there, or beside what is there and then in its place.
    fn place(
        &mut self,
        handle: &OwnedFd,
        name: &OsStr,
        mut make: impl FnMut(&OsStr) -> std::result::Result<(), Errno>,
    ) -> std::result::Result<(), Errno> {
        match make(name) {
            Err(Errno::EXIST) if Self::kind_of(handle, name) == Some(FileType::Directory) => {
                Err(Errno::ISDIR)
            }
            Err(Errno::EXIST) => {
                let (temporary, ()) = self.with_temporary(make)?;
                let renamed = rustix::fs::renameat(handle, &*temporary, handle, name);
                // Renaming a link of a file onto another link of it leaves both.
                let _ = rustix::fs::unlinkat(handle, &*temporary, AtFlags::empty());
                renamed
            }
            done => done,
        }
    }
}

impl Host for UnixHost {
    type NewFile = UnixFile;

    fn open(target: &Path) -> Result<Self> {
        std::fs::create_dir_all(target).map_err(|e| {
            Error::io(e, "cannot make the directory", target).because(Reason::CannotMakeDirectory)
        })?;
        // The target itself may be a link: that is the user's choice.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(target, flags, Mode::empty())
            .map_err(|e| Error::io(e.into(), "cannot open the directory", target))?;
        Ok(Self {
            target: target.to_owned(),
            root: Arc::new(root),
            directories: Arc::new(vec![Directory { parent: 0, name: OsString::new() }]),
            open: HashMap::new(),
            order: VecDeque::new(),
            most_open: MAX_OPEN,
            temporaries: Arc::default(),
        })
    }

    fn for_thread(&self, threads: usize) -> Self {
        Self {
            target: self.target.clone(),
            root: Arc::clone(&self.root),
            directories: Arc::clone(&self.directories),
            open: HashMap::new(),
            order: VecDeque::new(),
            most_open: (MAX_OPEN / threads.max(1)).max(1),
            temporaries: Arc::clone(&self.temporaries),
        }
    }

    fn close_directories(&mut self) {
        self.let_go_of(usize::MAX);
    }

    fn absolute_root(&self) -> Result<PathBuf> {
        self.target.canonicalize().map_err(|e| Error::io(e, "cannot resolve", &self.target))
    }

    fn make_directory(&mut self, parent: DirectoryId, name: &OsStr) -> Result<DirectoryId> {
        let handle = self.handle(parent)?;
        match rustix::fs::mkdirat(&*handle, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => {}
            Err(Errno::EXIST) if Self::kind_of(&handle, name) == Some(FileType::Directory) => {}
            Err(Errno::EXIST) => return Err(file_in_the_way(&self.path(parent, name))),
            Err(e) => {
                return Err(self
                    .fails(e, "cannot make the directory", parent, name)
                    .because(Reason::CannotMakeDirectory));
            }
        }
        let id = DirectoryId::try_from(self.directories.len())
            .map_err(|_| Error::limit("more directories than can be counted"))?;
        // Copied only when another thread still has the list.
        Arc::make_mut(&mut self.directories).push(Directory { parent, name: name.to_owned() });
        Ok(id)
    }

    fn create(&mut self, directory: DirectoryId, name: &OsStr) -> Result<UnixFile> {
        let handle = self.handle(directory)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |name: &OsStr| rustix::fs::openat(&*handle, name, flags, Mode::from_raw_mode(0o666));
        let made = match self.with_room(|| open(name)) {
            Err(Errno::EXIST) if Self::kind_of(&handle, name) == Some(FileType::Directory) => {
                return Err(directory_in_the_way(&self.path(directory, name)));
            }
            Err(Errno::EXIST) => self.with_temporary(open).map(|(temporary, file)| (Some(temporary), file)),
            made => made.map(|file| (None, file)),
        };
        let (temporary, file) = made.map_err(|e| self.fails(e, "cannot make the file", directory, name))?;
        let path = self.path(directory, name);
        Ok(UnixFile { file: file.into(), handle, name: name.to_owned(), temporary, path, is_done: false })
    }

    fn hard_link(&mut self, from: (DirectoryId, &OsStr), to: (DirectoryId, &OsStr)) -> Result<bool> {
        let (source, target) = (self.handle(from.0)?, self.handle(to.0)?);
        let link = |name: &OsStr| rustix::fs::linkat(&*source, from.1, &*target, name, AtFlags::empty());
        match self.place(&target, to.1, link) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::MLINK | Errno::XDEV | Errno::NOTSUP | Errno::NOSYS) => Ok(false),
            Err(Errno::ISDIR) => Err(directory_in_the_way(&self.path(to.0, to.1))),
            Err(e) => Err(self.fails(e, "cannot make the hard link", to.0, to.1)),
        }
    }

    fn symbolic_link(
        &mut self,
        text: &OsStr,
        _: LinkKind,
        (directory, name): (DirectoryId, &OsStr),
        times: Times,
    ) -> Result<()> {
        let handle = self.handle(directory)?;
        let link = |name: &OsStr| {
            rustix::fs::symlinkat(text, &*handle, name)?;
            // Times of a link are a nicety that some file systems do not have.
            let _ = rustix::fs::utimensat(&*handle, name, &timestamps(times), AtFlags::SYMLINK_NOFOLLOW);
            Ok(())
        };
        match self.place(&handle, name, link) {
            Ok(()) => Ok(()),
            Err(Errno::ISDIR) => Err(directory_in_the_way(&self.path(directory, name))),
            Err(e) => Err(self.fails(e, "cannot make the symbolic link", directory, name)),
        }
    }

    fn make_special(&mut self, unix: UnixData, (directory, name): (DirectoryId, &OsStr)) -> io::Result<()> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let handle = self.handle(directory).map_err(|e| io::Error::other(e.to_string()))?;
            let kind = FileType::from_raw_mode(unix.mode);
            let mode = permissions(unix.mode & 0o777);
            let make = |name: &OsStr| rustix::fs::mknodat(&*handle, name, kind, mode, u64::from(unix.device));
            self.place(&handle, name, make).map_err(io::Error::from)
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = (unix, directory, name);
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    fn restore_unix(
        &mut self,
        directory: DirectoryId,
        name: Option<&OsStr>,
        unix: &RestoredUnix<'_>,
    ) -> io::Result<()> {
        let handle = self.handle(directory).map_err(|e| io::Error::other(e.to_string()))?;
        let Some(name) = name else { return restore(&handle, unix) };
        let Some(data) = unix.data else { return Ok(()) };
        let (owner, group) = (Uid::from_raw(data.owner), Gid::from_raw(data.group));
        rustix::fs::chownat(&*handle, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        // Modes of links mean nothing, and extended attributes of what is no file or directory are refused by most systems.
        if data.is_special() {
            rustix::fs::chmodat(&*handle, name, permissions(data.mode), AtFlags::empty())?;
        }
        Ok(())
    }

    fn last_write(&mut self, directory: DirectoryId, name: &OsStr) -> Option<FileTime> {
        let handle = self.handle(directory).ok()?;
        let stat = rustix::fs::statat(&*handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        // The types of both fields differ from system to system.
        #[allow(clippy::useless_conversion, reason = "useless on some systems only")]
        Some(FileTime::from_unix(i64::try_from(stat.st_mtime).ok()?, u32::try_from(stat.st_mtime_nsec).ok()?))
    }

    fn with_path<T>(
        &mut self,
        (directory, name): (DirectoryId, &OsStr),
        use_it: impl FnOnce(&Path) -> T,
    ) -> Result<T> {
        let handle = self.handle(directory)?;
        let name = if name.is_empty() { OsStr::new(".") } else { name };
        #[cfg(target_os = "linux")]
        let path = {
            use std::os::fd::AsRawFd;
            Path::new("/proc/self/fd").join(handle.as_raw_fd().to_string()).join(name)
        };
        #[cfg(not(target_os = "linux"))]
        let path = self.path(directory, name);
        let done = use_it(&path);
        drop(handle);
        Ok(done)
    }

    fn set_directory_times(&mut self, directory: DirectoryId, times: Times) -> Result<()> {
        let handle = self.handle(directory)?;
        rustix::fs::futimens(&*handle, &timestamps(times))
            .map_err(|e| self.fails(e, "cannot set the times of", directory, OsStr::new("")))
    }
}

pub(super) struct UnixFile {
    file: File,
    handle: Arc<OwnedFd>,
    name: OsString,
    temporary: Option<OsString>,
    path: PathBuf,
    is_done: bool,
}

impl NewFile for UnixFile {
    fn file(&self) -> &File {
        &self.file
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)
    }

    fn reserve(&self, size: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if size >= RESERVE_BYTES {
            // Not every file system can; only a full disk is an answer. The size grows with what is written, so that a file that is left
            // half written does not look whole.
            let room = rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, size);
            if room == Err(Errno::NOSPC) {
                return Err(Errno::NOSPC.into());
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = size;
        Ok(())
    }

    fn restore_unix(&self, unix: &RestoredUnix<'_>) -> io::Result<()> {
        restore(&self.file, unix)
    }

    fn finish(mut self, _: u32, times: Times) -> Result<()> {
        let fails = |e: Errno, doing| Error::io(e.into(), doing, &self.path);
        rustix::fs::futimens(&self.file, &timestamps(times))
            .map_err(|e| fails(e, "cannot set the times of"))?;
        if let Some(temporary) = &self.temporary {
            rustix::fs::renameat(&*self.handle, temporary.as_os_str(), &*self.handle, self.name.as_os_str())
                .map_err(|e| fails(e, "cannot replace"))?;
        }
        self.is_done = true;
        Ok(())
    }
}

impl Drop for UnixFile {
    fn drop(&mut self) {
        if !self.is_done {
            let name = self.temporary.as_ref().unwrap_or(&self.name);
            // Nothing more can be done when this fails as well.
            let _ = rustix::fs::unlinkat(&*self.handle, name.as_os_str(), AtFlags::empty());
        }
    }
}

/// The permissions of a mode, whose type differs between systems.
fn permissions(mode: u32) -> Mode {
    let flags = [
        (0o4000, Mode::SUID),
        (0o2000, Mode::SGID),
        (0o1000, Mode::SVTX),
        (0o400, Mode::RUSR),
        (0o200, Mode::WUSR),
        (0o100, Mode::XUSR),
        (0o40, Mode::RGRP),
        (0o20, Mode::WGRP),
        (0o10, Mode::XGRP),
        (0o4, Mode::ROTH),
        (0o2, Mode::WOTH),
        (0o1, Mode::XOTH),
    ];
    flags.into_iter().filter(|(bit, _)| mode & bit != 0).map(|(_, flag)| flag).collect()
}

/// Owner first: changing it takes privileges, set-user bits and capabilities among them, away.
fn restore(file: &impl AsFd, unix: &RestoredUnix<'_>) -> io::Result<()> {
    let mut first = Ok(());
    let mut note = |done: std::result::Result<(), Errno>| {
        if first.is_ok() {
            first = done.map_err(io::Error::from);
        }
    };
    if let Some(data) = unix.data {
        let (owner, group) = (Uid::from_raw(data.owner), Gid::from_raw(data.group));
        note(rustix::fs::fchown(file, Some(owner), Some(group)));
        note(rustix::fs::fchmod(file, permissions(data.mode)));
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    for (name, value) in tagged_items::extended_attributes(unix.attributes) {
        // Names of Windows have no dot; Linux takes none without.
        if name.contains(&b'.') {
            note(rustix::fs::fsetxattr(file, name, value, rustix::fs::XattrFlags::empty()));
        }
    }
    first
}

fn timestamps(times: Times) -> Timestamps {
    let time = |time: FileTime| {
        let (seconds, nanoseconds) = time.to_unix();
        Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() }
    };
    Timestamps { last_access: time(times.last_access), last_modification: time(times.last_write) }
}
