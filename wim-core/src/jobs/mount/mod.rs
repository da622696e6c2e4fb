//! Images mounted as directories of the host, read-only or to be changed, and unmounted again.
//!
//! The process that mounts answers the kernel until the image is unmounted; the one that unmounts speaks to it through
//! extended attributes of the mount's root. Changes lie in a staging folder until they are committed, and a commit appends
//! to the file or writes it anew like every other change. Needs Linux and the cargo feature `fuse`; elsewhere it is refused.

#[cfg(all(feature = "fuse", target_os = "linux"))]
mod client;
#[cfg(all(feature = "fuse", target_os = "linux"))]
mod messages;
#[cfg(all(feature = "fuse", target_os = "linux"))]
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::open::Check;
use super::rebuild::Written;
use crate::base::{Context, Error, Result};

/// Whether the image can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountAccess {
    /// It cannot.
    ReadOnly,
    /// It can, and nothing else can change the file meanwhile.
    ReadWrite,
}

/// How named data streams are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamAccess {
    /// Not at all.
    None,
    /// As extended attributes `user.NAME`.
    Xattr,
    /// As files `FILE:NAME`.
    Windows,
}

/// Whose the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The user's who mounts, with mode 0777.
    Mounter,
    /// As the image's Unix data say.
    UnixData,
}

/// Who may use the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountUsers {
    /// The user who mounts.
    Mounter,
    /// Everybody, as far as modes let them.
    All,
}

/// How an image is mounted.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// Whether it can be changed.
    pub access: MountAccess,
    /// Named data streams.
    pub streams: StreamAccess,
    /// Owners and modes.
    pub owners: Owners,
    /// Who may use it.
    pub users: MountUsers,
    /// Folder for the staging folder; that of the file when none is named.
    pub staging_dir: Option<PathBuf>,
    /// Globs of files that belong to it: bases of a delta, and for read-only mounts other parts of a set.
    pub refs: Vec<String>,
    /// What is checked before.
    pub check: Check,
}

/// What becomes of the changes when an image is unmounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CommitOptions {
    /// Commit although files are open for writing.
    pub force: bool,
    /// Make an integrity table although there was none.
    pub make_integrity: bool,
    /// Write the file anew instead of appending to it.
    pub rebuild: bool,
    /// Make a new image of the changed one, which stays as it was.
    pub new_image: bool,
}

/// What unmounting did.
#[derive(Clone, Debug, Serialize)]
pub struct Unmounted {
    /// The file.
    pub path: String,
    /// Number of the image.
    pub image: u32,
    /// True when there were changes that were thrown away.
    pub discarded_changes: bool,
    /// What was written, when something was.
    pub committed: Option<Written>,
}

/// Mounts the image that `text` names, or the only one, of the file at `path` on the directory `mountpoint`, calls `ready`
/// and answers the kernel until the image is unmounted or the job cancelled.
///
/// # Errors
/// `Unsupported` where images cannot be mounted; `NotFound` or `InvalidInput` for the image; what opening gives; `Io` when
/// the host refuses the mount.
pub fn mount(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    mountpoint: &Path,
    options: &MountOptions,
    ready: &dyn Fn(),
) -> Result<()> {
    #[cfg(all(feature = "fuse", target_os = "linux"))]
    return server::serve(cx, path, text, mountpoint, options, ready);
    #[cfg(not(all(feature = "fuse", target_os = "linux")))]
    {
        let _ = (cx, path, text, mountpoint, options, ready);
        Err(cannot_mount())
    }
}

/// Unmounts what [`mount`] has mounted at `mountpoint`, after a commit of the changes if `commit` says how.
///
/// # Errors
/// `Unsupported` where images cannot be mounted; `InvalidInput` when nothing of ours is mounted there, and when files are
/// open for writing; what writing gives, and the image is then still mounted; `Io` when something still uses the mount.
pub fn unmount(cx: &Context<'_>, mountpoint: &Path, commit: Option<CommitOptions>) -> Result<Unmounted> {
    #[cfg(all(feature = "fuse", target_os = "linux"))]
    return client::unmount(cx, mountpoint, commit);
    #[cfg(not(all(feature = "fuse", target_os = "linux")))]
    {
        let _ = (cx, mountpoint, commit);
        Err(cannot_mount())
    }
}

/// Refuses where [`mount`] would refuse, before anything is begun.
///
/// # Errors
/// `Unsupported` where images cannot be mounted.
pub fn check_available() -> Result<()> {
    if cfg!(all(feature = "fuse", target_os = "linux")) { Ok(()) } else { Err(cannot_mount()) }
}

fn cannot_mount() -> Error {
    if cfg!(target_os = "linux") {
        Error::unsupported("this program was built without mounting")
            .remedy("build it with its feature: cargo build --release -p wim-cli --features fuse")
    } else {
        Error::unsupported("images can be mounted on Linux only")
            .remedy("use wim dir, wim extract and wim update instead")
    }
}
