//! The kernel's requests, passed on to the files of the image.
//!
//! Requests come in on several threads. The tree is behind one lock, which is held while something is looked up or changed;
//! chunks are decoded outside of it, so that reads run on all cores. The kernel's view of the protocol is that of `fuser`.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    Request, Session, SessionACL, TimeOrNow, WriteFlags,
};
use rustix::io::Errno;

use super::files::{Answer, Bytes, FileFacts, MountedFiles, NewFacts, ROOT, errno};
use super::{Access, MountSettings, Others};
use crate::base::{Error, FileTime, Result};
use crate::transfer::read::RandomReader;

/// How long the kernel may keep what it was told of an image that does not change.
const UNCHANGING: Duration = Duration::from_secs(3600);
/// The same of one that does.
const CHANGING: Duration = Duration::from_secs(1);
/// What extended attributes of the root begin with that speak to the mount itself.
const CONTROL_PREFIX: &str = "wim.";
const BLOCK_BYTES: u32 = 512;
/// `XATTR_CREATE` and `XATTR_REPLACE` of setxattr(2).
const XATTR_CREATE: i32 = 1;
const XATTR_REPLACE: i32 = 2;

/// What speaks to the mount itself, through extended attributes `wim.NAME` of its root.
pub trait Control: Send + Sync + 'static {
    /// The value of `wim.name`; none when there is no such thing.
    fn get(&self, name: &str) -> Option<Vec<u8>>;
    /// Takes a value for `wim.name`; false when it cannot be set, or not now.
    fn set(&self, name: &str, value: &[u8]) -> bool;
}

/// An image that is mounted; dropping it unmounts it.
pub struct Mounted(BackgroundSession);

impl Mounted {
    /// True when somebody has unmounted it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.guard.is_finished()
    }

    /// Unmounts it and waits for the end.
    ///
    /// # Errors
    /// `Io` when something still uses it.
    pub fn unmount(self, mountpoint: &Path) -> Result<()> {
        self.0.umount_and_join().map_err(|e| Error::io(e, "cannot unmount", mountpoint))
    }

    /// Waits until somebody unmounts it.
    ///
    /// # Errors
    /// `Io` when the connection to the kernel broke.
    pub fn join(self, mountpoint: &Path) -> Result<()> {
        self.0.join().map_err(|e| Error::io(e, "lost the mount at", mountpoint))
    }
}

/// Mounts `files` as `settings` say.
///
/// # Errors
/// `Io` when the kernel or `fusermount3` refuses.
pub fn mount(
    files: Arc<Mutex<MountedFiles>>,
    control: Box<dyn Control>,
    settings: &MountSettings,
) -> Result<Mounted> {
    let is_read_only = settings.access == Access::ReadOnly;
    let reader = lock(&files).reader();
    let totals = lock(&files).totals();
    let keep = if is_read_only { UNCHANGING } else { CHANGING };
    let image = MountedImage { files, control, reader, totals, keep, is_read_only, clock: settings.clock };
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(settings.source_name.replace(',', "_")),
        MountOption::Subtype("wim".to_owned()),
        MountOption::DefaultPermissions,
        if is_read_only { MountOption::RO } else { MountOption::RW },
    ];
    config.acl = match settings.others {
        Others::Allowed => SessionACL::All,
        Others::Refused => SessionACL::Owner,
    };
    config.n_threads = Some(settings.threads.max(1));
    let cannot = |e: std::io::Error| {
        Error::io(e, "cannot mount at", &settings.mountpoint).remedy(
            "it must be an empty directory of yours; FUSE needs /dev/fuse and, for users, fusermount3",
        )
    };
    let session = Session::new(image, &settings.mountpoint, &config).map_err(cannot)?;
    Ok(Mounted(session.spawn().map_err(cannot)?))
}

fn lock(files: &Mutex<MountedFiles>) -> MutexGuard<'_, MountedFiles> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

struct MountedImage {
    files: Arc<Mutex<MountedFiles>>,
    control: Box<dyn Control>,
    reader: Arc<RandomReader>,
    /// Bytes and number of files when the image was mounted.
    totals: (u64, u64),
    keep: Duration,
    is_read_only: bool,
    clock: fn() -> FileTime,
}

impl MountedImage {
    fn files(&self) -> MutexGuard<'_, MountedFiles> {
        lock(&self.files)
    }

    fn time(&self, time: TimeOrNow) -> FileTime {
        match time {
            TimeOrNow::SpecificTime(time) => FileTime::from_system_time(time),
            TimeOrNow::Now => (self.clock)(),
        }
    }

    fn entry(&self, facts: Answer<FileFacts>, reply: ReplyEntry) {
        match facts {
            Ok(facts) => reply.entry(&self.keep, &attributes(&facts), Generation(0)),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn attr(&self, facts: Answer<FileFacts>, reply: ReplyAttr) {
        match facts {
            Ok(facts) => reply.attr(&self.keep, &attributes(&facts)),
            Err(error) => reply.error(refusal(error)),
        }
    }

    /// The name of a control attribute, when this is one of the root.
    fn control_name(ino: INodeNo, name: &OsStr) -> Option<&str> {
        name.to_str().filter(|_| ino.0 == ROOT)?.strip_prefix(CONTROL_PREFIX)
    }
}

fn refusal(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error.raw_os_error())
}

fn empty(answer: Answer<()>, reply: ReplyEmpty) {
    match answer {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(refusal(error)),
    }
}

fn xattr(answer: Answer<Vec<u8>>, size: u32, reply: ReplyXattr) {
    match answer {
        Err(error) => reply.error(refusal(error)),
        Ok(value) if size == 0 => reply.size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
        Ok(value) if value.len() <= size as usize => reply.data(&value),
        Ok(_) => reply.error(refusal(Errno::RANGE)),
    }
}

fn file_type(mode: u32) -> FileType {
    match mode & 0o170_000 {
        0o040_000 => FileType::Directory,
        0o120_000 => FileType::Symlink,
        0o060_000 => FileType::BlockDevice,
        0o020_000 => FileType::CharDevice,
        0o010_000 => FileType::NamedPipe,
        0o140_000 => FileType::Socket,
        _ => FileType::RegularFile,
    }
}

fn attributes(facts: &FileFacts) -> FileAttr {
    let time = |time: FileTime| -> SystemTime { time.to_system_time() };
    FileAttr {
        ino: INodeNo(facts.number),
        size: facts.size,
        blocks: facts.size.div_ceil(u64::from(BLOCK_BYTES)),
        atime: time(facts.times.last_access),
        mtime: time(facts.times.last_write),
        ctime: time(facts.times.last_write),
        crtime: time(facts.times.creation),
        kind: file_type(facts.mode),
        perm: (facts.mode & 0o7777) as u16,
        nlink: facts.links,
        uid: facts.owner.0,
        gid: facts.owner.1,
        rdev: facts.device,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

impl Filesystem for MountedImage {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let facts = self.files().look_up(parent.0, name);
        self.entry(facts, reply);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let facts = self.files().facts(ino.0);
        self.attr(facts, reply);
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let new = NewFacts {
            mode,
            owner: (uid, gid),
            size,
            last_access: atime.map(|time| self.time(time)),
            last_write: mtime.map(|time| self.time(time)),
        };
        let facts = self.files().change(ino.0, &new);
        self.attr(facts, reply);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.files().link_text(ino.0) {
            Ok(text) => reply.data(text.as_encoded_bytes()),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let facts = self.files().create(parent.0, name, (mode & !umask, rdev), (req.uid(), req.gid()));
        self.entry(facts, reply);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mode = 0o040_000 | mode & !umask & 0o7777;
        let facts = self.files().create(parent.0, name, (mode, 0), (req.uid(), req.gid()));
        self.entry(facts, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let answer = self.files().unlink(parent.0, name);
        empty(answer, reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let answer = self.files().rmdir(parent.0, name);
        empty(answer, reply);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let facts = self.files().symlink(parent.0, name, target, (req.uid(), req.gid()));
        self.entry(facts, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if flags.intersects(!RenameFlags::RENAME_NOREPLACE) {
            return reply.error(refusal(Errno::INVAL));
        }
        let may_replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let answer = self.files().rename((parent.0, name), (newparent.0, newname), may_replace);
        empty(answer, reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let facts = self.files().link(ino.0, newparent.0, newname);
        self.entry(facts, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        let keep = if self.is_read_only { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::empty() };
        match self.files().open(ino.0, writes) {
            Ok(handle) => reply.opened(FileHandle(handle), keep),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = self.files().bytes(fh.0);
        let read = match bytes {
            Err(error) => Err(error),
            Ok(Bytes::Empty) => Ok(Vec::new()),
            Ok(Bytes::Staged(staged)) => staged.read(offset, size as usize).map_err(errno),
            Ok(Bytes::Blob(digest)) => {
                self.reader.read(&digest, offset, size as usize).map_err(|_| Errno::IO)
            }
        };
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.files().write(fh.0, data, offset) {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        // What is staged counts only when it is committed, and is synced then.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        fh: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.files().close(fh.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.files().open_directory(ino.0) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(error) => reply.error(refusal(error)),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = match self.files().entries(fh.0) {
            Ok(entries) => entries,
            Err(error) => return reply.error(refusal(error)),
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (number, entry) in (offset + 1..).zip(entries.iter().skip(start)) {
            if reply.add(INodeNo(entry.number), number, file_type(entry.mode), &entry.name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.files().close(fh.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (bytes, count) = self.totals;
        let blocks = bytes.div_ceil(u64::from(BLOCK_BYTES));
        reply.statfs(blocks, 0, 0, count, 0, BLOCK_BYTES, 255, BLOCK_BYTES);
    }

    fn setxattr(
        &self,
        _: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        if let Some(name) = Self::control_name(ino, name) {
            let answer = if self.control.set(name, value) { Ok(()) } else { Err(Errno::BUSY) };
            return empty(answer, reply);
        }
        let rules = (flags & XATTR_CREATE != 0, flags & XATTR_REPLACE != 0);
        let answer = self.files().set_xattr(ino.0, name, value, rules);
        empty(answer, reply);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = match Self::control_name(ino, name) {
            Some(name) => self.control.get(name).ok_or(Errno::NODATA),
            None => self.files().xattr(ino.0, name),
        };
        xattr(value, size, reply);
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let names = self.files().xattr_names(ino.0);
        xattr(names, size, reply);
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let answer = self.files().remove_xattr(ino.0, name);
        empty(answer, reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let writes = OpenFlags(flags).acc_mode() != OpenAccMode::O_RDONLY;
        let mut files = self.files();
        let created = files.create(parent.0, name, (mode & !umask, 0), (req.uid(), req.gid()));
        let opened = created.and_then(|facts| Ok((files.open(facts.number, writes)?, facts)));
        match opened {
            Ok((handle, facts)) => reply.created(
                &self.keep,
                &attributes(&facts),
                Generation(0),
                FileHandle(handle),
                FopenFlags::empty(),
            ),
            Err(error) => reply.error(refusal(error)),
        }
    }
}
