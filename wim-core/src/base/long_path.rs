//! Paths longer than the system takes in one piece (`PATH_MAX`, 4096 bytes on Linux), reached through their directories.
//!
//! A tree may be deeper than any path: each directory is opened from the one above it, and the last is reached as
//! `/proc/self/fd/N` (proc(5)), so that every call that takes a path takes this one. Systems other than Linux get the path
//! as it is, and say themselves when it is too long.

use std::io;
use std::path::{Path, PathBuf};

/// Paths up to this many bytes are given to the system as they are; a name may be added to them.
#[cfg(target_os = "linux")]
const SHORT_BYTES: usize = 3000;

/// A way to the file that a path names, whatever its length; good as long as it is not dropped.
#[derive(Debug)]
pub struct LongPath {
    path: PathBuf,
    /// Held open for the path through it.
    #[cfg(target_os = "linux")]
    _directory: Option<rustix::fd::OwnedFd>,
}

impl LongPath {
    /// The way to `path`; directories above its last name are followed as the system does.
    ///
    /// # Errors
    /// What opening a directory of a long path gives.
    pub fn to(path: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, Mode, OFlags, openat};
            use std::os::fd::AsRawFd;
            if path.as_os_str().len() <= SHORT_BYTES {
                return Ok(Self { path: path.to_owned(), _directory: None });
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let (mut directory, mut piece) = (None, PathBuf::new());
            for name in path {
                if piece.as_os_str().len() + name.len() >= SHORT_BYTES {
                    let opened = match &directory {
                        None => openat(CWD, &piece, flags, Mode::empty())?,
                        Some(above) => openat(above, &piece, flags, Mode::empty())?,
                    };
                    (directory, piece) = (Some(opened), PathBuf::new());
                }
                piece.push(name);
            }
            let path = match &directory {
                Some(directory) => {
                    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(piece)
                }
                None => piece,
            };
            Ok(Self { path, _directory: directory })
        }
        #[cfg(not(target_os = "linux"))]
        {
            Ok(Self { path: path.to_owned() })
        }
    }

    /// What the system takes for the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn files_are_reached_however_deep_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let name = "a directory with a long name ".repeat(7);
        let mut path = folder.path().to_owned();
        for _ in 0..100 {
            path.push(&name);
            std::fs::create_dir(LongPath::to(&path).unwrap().path()).unwrap();
        }
        path.push("file");
        assert!(path.as_os_str().len() > 20_000 && std::fs::write(&path, b"x").is_err());
        std::fs::write(LongPath::to(&path).unwrap().path(), b"deep").unwrap();
        assert_eq!(std::fs::read(LongPath::to(&path).unwrap().path()).unwrap(), b"deep");
        assert_eq!(LongPath::to(Path::new("a/b")).unwrap().path(), Path::new("a/b"));
        let absent = path.with_file_name("absent").join("x".repeat(200));
        assert!(std::fs::metadata(LongPath::to(&absent).unwrap().path()).is_err());
    }
}
