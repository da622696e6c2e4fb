//! An image as a file system of the host, through FUSE.
//!
//! `files` answers what the kernel asks from the image's tree and from staged files that hold what was changed; `fuse`
//! speaks to the kernel. Nothing here writes a WIM: [`MountedFiles::changes`] gives what the image has become, and the job
//! writes it. Behaviour follows wimmount(1) of wimlib where it has one.

mod files;
mod fuse;
mod staging;

pub use files::{Changed, MountedFiles};
pub use fuse::{Control, Mounted, mount};

use std::path::PathBuf;

use crate::base::FileTime;
use crate::image::glob::Case;

/// How named data streams are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamsInterface {
    /// Not at all.
    None,
    /// As extended attributes `user.NAME`.
    Xattr,
    /// As files `FILE:NAME`.
    Windows,
}

/// Whether owner, group, mode and special files follow the image's Unix data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixRules {
    /// They do.
    FromImage,
    /// Everything belongs to the user who mounts, with mode 0777.
    Mounter,
}

/// Whether the image can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It cannot.
    ReadOnly,
    /// It can; what is new is kept in a folder made in this one until it is committed.
    ReadWrite {
        /// The folder for the staging folder.
        staging_parent: PathBuf,
        /// Name that the staging folder begins with.
        prefix: String,
    },
}

/// How an image is mounted.
#[derive(Clone, Debug)]
pub struct MountSettings {
    /// Where, as an absolute path.
    pub mountpoint: PathBuf,
    /// Whether it can be changed.
    pub access: Access,
    /// Named data streams.
    pub streams: StreamsInterface,
    /// Owners and modes.
    pub unix: UnixRules,
    /// Whether other users may look into it.
    pub others: Others,
    /// How names are found.
    pub case: Case,
    /// What is shown as the source in the host's table of mounts.
    pub source_name: String,
    /// Threads that answer the kernel.
    pub threads: usize,
    /// The clock, for the times of what is changed.
    pub clock: fn() -> FileTime,
}

/// Whether other users than the one who mounts may use a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They may, as far as modes let them.
    Allowed,
    /// They may not.
    Refused,
}
