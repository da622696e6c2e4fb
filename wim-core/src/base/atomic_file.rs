//! Output that is whole at every instant: written beside its target, synced, then renamed.
//!
//! Until [`AtomicFile::commit`] the target is as it was; a dropped file removes its temporary. A killed process leaves at
//! most one thing named `.NAME.XXXXXX.wim-tmp` beside the target, which may be deleted: the file, or a [`StagingFolder`] of
//! files that belong together. Such files without a folder of their own may also leave second names of what they replace,
//! `.NAME.PID.wim-old`, when the process is killed between their renames. A target that another program has locked because
//! it is changing it is never replaced.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir, TempPath};

use super::error::{Error, Result};
use super::in_place_file::lock;
use super::read_at::{ReadAt, WriteAt, copy_between};
use super::reason::Reason;
use super::write_behind::WriteBehind;

/// What to do when the target exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfExists {
    /// Fail with `InvalidInput`; checked at the start and again at the rename.
    Refuse,
    /// Replace it at the rename, unless another program is changing it, which fails with `InvalidInput` at the start and at
    /// the rename.
    Replace,
    /// Replace it at the rename: the caller holds its lock.
    ReplaceLocked,
}

/// A file that appears under its name only when it is complete.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    target: PathBuf,
    if_exists: IfExists,
    behind: WriteBehind,
}

impl AtomicFile {
    /// Creates the temporary neighbour of `target`.
    ///
    /// # Errors
    /// `InvalidInput` when the target exists and must not be replaced, is no regular file, or is locked by a program that
    /// changes it; `Io` when the folder cannot be written.
    pub fn create(target: &Path, if_exists: IfExists) -> Result<Self> {
        let target = replaceable(target, if_exists)?;
        let folder = folder_of(&target);
        Self::create_in(&folder, target, if_exists)
    }

    /// [`AtomicFile::create`] with the temporary in `staging`, when that lies beside the target.
    ///
    /// # Errors
    /// As [`AtomicFile::create`].
    pub fn create_staged(target: &Path, if_exists: IfExists, staging: &StagingFolder) -> Result<Self> {
        let target = replaceable(target, if_exists)?;
        let folder = folder_of(&target);
        let folder = if staging.is_beside(&target) { staging.folder.path() } else { folder.as_path() };
        Self::create_in(folder, target, if_exists)
    }

    fn create_in(folder: &Path, target: PathBuf, if_exists: IfExists) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let mut builder = tempfile::Builder::new();
        let prefix = format!(".{name}.");
        builder.prefix(&prefix).suffix(".wim-tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As a plain create would: the user's umask decides. An existing target's own mode is kept.
            let mode = std::fs::metadata(&target).map_or(0o666, |m| m.permissions().mode() & 0o777);
            builder.permissions(std::fs::Permissions::from_mode(mode));
        }
        let temporary = builder.tempfile_in(folder).map_err(|e| cannot_create(e, folder))?;
        Ok(Self { temporary, target, if_exists, behind: WriteBehind::default() })
    }

    /// Where the file will appear.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Where the bytes lie now, for reading back before the commit.
    #[must_use]
    pub fn temporary_path(&self) -> &Path {
        self.temporary.path()
    }

    /// The open temporary.
    #[must_use]
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Brings what was written so far to the disk, so that [`Self::commit`] has little to wait for.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync(&mut self) -> Result<()> {
        self.behind.finish().and_then(|()| self.file().sync_all()).map_err(|e| cannot_write(e, &self.target))
    }

    /// Syncs the contents, renames the file to its target and syncs the folder.
    ///
    /// # Errors
    /// `Io` when the system fails, `InvalidInput` when the target has appeared or been locked meanwhile; the target is then
    /// unchanged and the temporary removed.
    pub fn commit(self) -> Result<()> {
        self.finish()?.commit()
    }

    /// Syncs the contents and closes the file, which then waits for its name.
    ///
    /// # Errors
    /// `Io`; the temporary is then removed.
    pub fn finish(mut self) -> Result<FinishedFile> {
        self.sync()?;
        let Self { temporary, target, if_exists, .. } = self;
        Ok(FinishedFile { temporary: temporary.into_temp_path(), target, if_exists })
    }
}

/// A file with all its contents, closed and not yet under its name; dropped, it is removed. Any number can wait, as none
/// of them is open.
#[derive(Debug)]
pub struct FinishedFile {
    temporary: TempPath,
    target: PathBuf,
    if_exists: IfExists,
}

impl FinishedFile {
    /// Overwrites bytes of the contents.
    ///
    /// # Errors
    /// `Io`.
    pub fn patch(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let patch = || {
            let mut file = File::options().write(true).open(&self.temporary)?;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        patch().map_err(|e| cannot_write(e, &self.target))
    }

    /// Renames the file to its target and syncs the folder.
    ///
    /// # Errors
    /// As [`AtomicFile::commit`].
    pub fn commit(self) -> Result<()> {
        let Self { temporary, target, if_exists } = self;
        // Where names of open files cannot be taken, it is closed before the rename.
        let old = hold(&target, if_exists)?.filter(|_| cfg!(unix));
        let renamed = match if_exists {
            IfExists::Replace | IfExists::ReplaceLocked => temporary.persist(&target),
            IfExists::Refuse => temporary.persist_noclobber(&target),
        };
        renamed.map_err(|e| match e.error.kind() {
            io::ErrorKind::AlreadyExists => already_exists(&target),
            _ => Error::io(e.error, "cannot rename the finished file to", &target),
        })?;
        drop(old);
        sync_folder(&folder_of(&target));
        Ok(())
    }
}

/// Commits files that belong together: all are synced before the first takes its name, and when one cannot take its name the
/// targets that are new already get their old contents back.
///
/// # Errors
/// As [`AtomicFile::commit`]; the message names the targets that stay new because the file system has no hard links to
/// keep the old ones by.
pub fn commit_together(files: Vec<AtomicFile>) -> Result<()> {
    commit_finished(files.into_iter().map(AtomicFile::finish).collect::<Result<_>>()?, None)
}

/// [`commit_together`] for files that are closed already; with `staging` what they replace waits there for the last of them.
///
/// # Errors
/// As [`commit_together`].
pub fn commit_finished(files: Vec<FinishedFile>, staging: Option<&StagingFolder>) -> Result<()> {
    if files.len() < 2 {
        return files.into_iter().try_for_each(FinishedFile::commit);
    }
    let mut renamed: Vec<Renamed> = Vec::with_capacity(files.len());
    for file in files {
        let before = Renamed::keep(&file.target, staging);
        match file.commit() {
            Ok(()) => renamed.push(before),
            Err(error) => {
                before.forget();
                let stuck: Vec<String> = renamed.into_iter().rev().filter_map(Renamed::undo).collect();
                return Err(if stuck.is_empty() {
                    error.remedy(
                        "all files are as they were; run the command again when the folder can be written",
                    )
                } else {
                    let list = stuck.join(", ");
                    error.remedy(format!(
                        "these are new already: {list}; run the command again for the others"
                    ))
                });
            }
        }
    }
    renamed.into_iter().for_each(Renamed::forget);
    Ok(())
}

/// A folder `.NAME.XXXXXX.wim-tmp` in which files that belong together wait for their names, so that a killed process leaves
/// one thing. It goes with all in it when it is dropped.
#[derive(Debug)]
pub struct StagingFolder {
    folder: TempDir,
    /// Where it lies.
    parent: PathBuf,
}

impl StagingFolder {
    /// A folder beside `target`.
    ///
    /// # Errors
    /// `Io`.
    pub fn beside(target: &Path) -> Result<Self> {
        let parent = folder_of(target);
        let prefix = format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy());
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix(&prefix).suffix(".wim-tmp").tempdir_in(&parent);
        Ok(Self { folder: folder.map_err(|e| cannot_create(e, &parent))?, parent })
    }

    /// True when `target` lies in the same folder as this one; else it may lie on another file system.
    fn is_beside(&self, target: &Path) -> bool {
        let folder = folder_of(target);
        folder == self.parent
            || matches!((folder.canonicalize(), self.parent.canonicalize()), (Ok(a), Ok(b)) if a == b)
    }
}

/// A target that was replaced, and a second name of what it was.
struct Renamed {
    target: PathBuf,
    old: Old,
}

enum Old {
    /// There was no file.
    Absent,
    /// The old file still has this name.
    Kept(PathBuf),
    /// It could not be given a second name.
    Lost,
}

impl Renamed {
    /// Gives the file at `target` a second name, before it is replaced.
    fn keep(target: &Path, staging: Option<&StagingFolder>) -> Self {
        let target = target.to_owned();
        if std::fs::symlink_metadata(&target).is_err() {
            return Self { target, old: Old::Absent };
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let kept = match staging.filter(|staging| staging.is_beside(&target)) {
            Some(staging) => staging.folder.path().join(format!("{name}.old")),
            None => target.with_file_name(format!(".{name}.{}.wim-old", std::process::id())),
        };
        let old = if std::fs::hard_link(&target, &kept).is_ok() { Old::Kept(kept) } else { Old::Lost };
        Self { target, old }
    }

    /// Brings the old file back; the target's name when that cannot be done.
    fn undo(self) -> Option<String> {
        let undone = match &self.old {
            Old::Absent => std::fs::remove_file(&self.target).is_ok(),
            Old::Kept(kept) => std::fs::rename(kept, &self.target).is_ok(),
            Old::Lost => false,
        };
        (!undone).then(|| self.target.display().to_string())
    }

    /// Lets go of the old file.
    fn forget(self) {
        if let Old::Kept(kept) = self.old {
            // What is left is a second name that begins with a dot; the work itself is done.
            let _ = std::fs::remove_file(kept);
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.temporary.as_file_mut().write(buf)?;
        self.behind.written(self.temporary.as_file(), written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.as_file_mut().flush()
    }
}

impl WriteAt for AtomicFile {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let file = self.temporary.as_file_mut();
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        self.behind.written(self.temporary.as_file(), bytes.len() as u64);
        Ok(())
    }

    fn copy_from(&mut self, source: &File, from: u64, length: u64, to: u64) -> io::Result<u64> {
        let copied = copy_between(source, from, self.file(), to, length)?;
        self.behind.written(self.temporary.as_file(), copied);
        Ok(copied)
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.temporary.as_file_mut().set_len(bytes)
    }
}

/// Reads back what was written so far.
impl ReadAt for AtomicFile {
    fn size(&self) -> u64 {
        self.temporary.as_file().metadata().map_or(0, |m| m.len())
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self.temporary.as_file(), buf, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        super::read_at::seek_read_exact(self.temporary.as_file(), buf, offset)
    }
}

/// Refuses what [`AtomicFile::create`] would refuse, without making anything: for jobs with much to do before they write.
///
/// # Errors
/// As [`AtomicFile::create`].
pub fn check_target(target: &Path, if_exists: IfExists) -> Result<()> {
    let folder = folder_of(&replaceable(target, if_exists)?);
    #[cfg(unix)]
    let can_create = {
        use rustix::fs::{Access, access};
        access(&folder, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from)
    };
    #[cfg(not(unix))]
    let can_create = std::fs::metadata(&folder).map(drop);
    can_create.map_err(|e| cannot_create(e, &folder))
}

/// The file that will be replaced or made: a symbolic link is followed, so that the file it names is replaced and not the
/// link.
fn replaceable(target: &Path, if_exists: IfExists) -> Result<PathBuf> {
    // Asked before links are followed: the one of a pipe that the process has open has no path.
    let there = target.metadata().ok();
    if there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return Err(Error::invalid_input("is a directory, not a file")
            .because(Reason::NoPlaceForFile)
            .in_file(target.display()));
    }
    if there.is_some_and(|there| !there.is_file()) {
        return Err(Error::invalid_input(
            "is a device, pipe or socket, which a file would take the place of",
        )
        .in_file(target.display())
        .remedy("name a file; for a pipe write to - with --pipable"));
    }
    let target = followed(target)?;
    if if_exists == IfExists::Refuse && target.exists() {
        return Err(already_exists(&target));
    }
    hold(&target, if_exists)?;
    Ok(target)
}

/// Where symbolic links lead, whether or not there is a file yet.
fn followed(target: &Path) -> Result<PathBuf> {
    /// As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let cannot = |e| Error::io(e, "cannot follow the link", target);
    let mut at = target.to_owned();
    for _ in 0..MOST_LINKS {
        if !at.is_symlink() {
            return Ok(at);
        }
        at = match at.canonicalize() {
            Ok(there) => return Ok(there),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                folder_of(&at).join(std::fs::read_link(&at).map_err(cannot)?)
            }
            Err(e) => return Err(cannot(e)),
        };
    }
    Err(Error::invalid_input("too many symbolic links lead from here").in_file(target.display()))
}

/// The file that is to be replaced, locked so that no other program changes it, when there is one that can be read.
///
/// # Errors
/// `InvalidInput` when another program has locked it for changing.
fn hold(target: &Path, if_exists: IfExists) -> Result<Option<File>> {
    if if_exists != IfExists::Replace || !target.is_file() {
        return Ok(None);
    }
    let Ok(file) = File::open(target) else { return Ok(None) };
    // Those who read it keep what they have; only a writer's lock stands against this one.
    lock(file.try_lock_shared(), target)?;
    Ok(Some(file))
}

fn cannot_create(e: io::Error, folder: &Path) -> Error {
    if e.kind() == io::ErrorKind::NotFound {
        return Error::not_found("there is no such folder")
            .because(Reason::CannotOpen)
            .in_file(folder.display())
            .remedy("make it first, or name another file");
    }
    Error::io(e, "cannot create a file in", folder).because(Reason::CannotOpen)
}

fn cannot_write(e: io::Error, target: &Path) -> Error {
    Error::io(e, "cannot write", target).because(Reason::CannotWrite)
}

/// That a file is there that may not be replaced.
pub(crate) fn already_exists(target: &Path) -> Error {
    Error::invalid_input("already exists").in_file(target.display()).remedy("use --force to replace it")
}

/// The folder that holds `target`; the current one for a bare name.
#[must_use]
pub fn folder_of(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Makes the rename itself durable. Some file systems cannot sync a folder; the data is safe all the same, so a failure
/// here is not an error.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_appears_before_the_commit_and_nothing_is_left_after_a_drop() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.wim");
        let mut file = AtomicFile::create(&target, IfExists::Refuse).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!target.exists());
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_commit_replaces_only_when_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.wim");
        std::fs::write(&target, b"old").unwrap();
        assert!(AtomicFile::create(&target, IfExists::Refuse).is_err());
        let mut file = AtomicFile::create(&target, IfExists::Replace).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_target_that_appears_meanwhile_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.wim");
        let file = AtomicFile::create(&target, IfExists::Refuse).unwrap();
        std::fs::write(&target, b"someone else's").unwrap();
        assert!(file.commit().is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"someone else's");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_target_that_is_being_changed_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.wim");
        std::fs::write(&target, b"old").unwrap();
        let begun = AtomicFile::create(&target, IfExists::Replace).unwrap();
        let writer = super::super::in_place_file::InPlaceFile::open(&target).unwrap();
        let error = AtomicFile::create(&target, IfExists::Replace).unwrap_err();
        assert!(error.to_string().contains("another program"), "{error}");
        assert!(begun.commit().is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        AtomicFile::create(&target, IfExists::ReplaceLocked).unwrap().commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"");
        drop(writer);
        // Those who read it go on with what they have.
        let reader = crate::base::FileSource::open_shared(&target).unwrap();
        AtomicFile::create(&target, IfExists::Replace).unwrap().commit().unwrap();
        drop(reader);
    }

    #[test]
    fn what_cannot_be_made_is_refused_before_anything_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("old"), b"old").unwrap();
        check_target(&path("new"), IfExists::Refuse).unwrap();
        check_target(&path("old"), IfExists::Replace).unwrap();
        let refused = |name: &str, if_exists| check_target(&path(name), if_exists).unwrap_err();
        assert_eq!(refused("missing/new", IfExists::Replace).reason(), Some(Reason::CannotOpen));
        assert!(refused("old", IfExists::Refuse).to_string().contains("exists"));
        assert!(check_target(folder.path(), IfExists::Replace).is_err());
        let writer = super::super::in_place_file::InPlaceFile::open(&path("old")).unwrap();
        assert_eq!(refused("old", IfExists::Replace).reason(), Some(Reason::FileInUse));
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_belong_together_wait_in_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        std::fs::write(path("a"), "old").unwrap();
        std::fs::create_dir(path("elsewhere")).unwrap();
        let staging = StagingFolder::beside(&path("a")).unwrap();
        let make = |name: &str| {
            let mut file = AtomicFile::create_staged(&path(name), IfExists::Replace, &staging).unwrap();
            file.write_all(b"new").unwrap();
            file.finish().unwrap()
        };
        let files = vec![make("a"), make("b"), make("elsewhere/c")];
        // What a killed process would leave, but for files that go elsewhere.
        let left = names();
        assert_eq!((left.len(), &left[1..]), (3, &["a".to_owned(), "elsewhere".to_owned()][..]), "{left:?}");
        assert!(left[0].starts_with(".a.") && left[0].ends_with(".wim-tmp"), "{left:?}");
        let kept = Renamed::keep(&path("a"), Some(&staging));
        assert_eq!(names(), left, "what is replaced waits there too");
        kept.forget();
        commit_finished(files, Some(&staging)).unwrap();
        drop(staging);
        assert_eq!(names(), ["a", "b", "elsewhere"]);
        assert_eq!(std::fs::read_dir(path("elsewhere")).unwrap().count(), 1);
        assert_eq!(std::fs::read(path("a")).unwrap(), b"new");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        std::os::unix::fs::symlink("pipe", path("link")).unwrap();
        for name in ["pipe", "link"] {
            for if_exists in [IfExists::Refuse, IfExists::Replace, IfExists::ReplaceLocked] {
                let error = AtomicFile::create(&path(name), if_exists).unwrap_err();
                assert!(error.to_string().contains("is a device, pipe or socket"), "{error}");
                assert!(error.remedy_text().unwrap().contains("--pipable"), "{error}");
                assert!(check_target(&path(name), if_exists).is_err());
            }
        }
        assert!(path("pipe").metadata().unwrap().file_type().is_fifo());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_leads_to_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, path(name)).unwrap();
        std::fs::create_dir(path("sub")).unwrap();
        link("two", "one");
        link("sub/file", "two");
        let mut file = AtomicFile::create(&path("one"), IfExists::Refuse).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(path("sub/file")).unwrap(), b"new");
        assert!(path("one").is_symlink() && path("two").is_symlink());
        link("missing/file", "nowhere");
        link("round", "round");
        for bad in ["nowhere", "round"] {
            assert!(AtomicFile::create(&path(bad), IfExists::Replace).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_that_belong_together_are_all_new_or_all_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a"), "old a").unwrap();
        std::fs::write(path("c"), "old c").unwrap();
        let make = |name: &str, if_exists: IfExists| {
            let mut file = AtomicFile::create(&path(name), if_exists).unwrap();
            file.write_all(b"new").unwrap();
            file
        };
        let all = || {
            let mut files = vec![make("a", IfExists::Replace), make("b", IfExists::Refuse)];
            files.push(make("c", IfExists::Replace));
            files
        };
        // The last one cannot take its name: a folder has it by now.
        let files = all();
        std::fs::remove_file(path("c")).unwrap();
        std::fs::create_dir(path("c")).unwrap();
        let error = commit_together(files).unwrap_err();
        assert!(error.remedy_text().unwrap().contains("as they were"), "{error}");
        assert_eq!(std::fs::read(path("a")).unwrap(), b"old a");
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        assert!(!path("b").exists() && names() == 2, "{}", names());
        std::fs::remove_dir(path("c")).unwrap();
        commit_together(all()).unwrap();
        for name in ["a", "b", "c"] {
            assert_eq!(std::fs::read(path(name)).unwrap(), b"new");
        }
        assert_eq!(names(), 3);
    }
}
