//! What the process that unmounts and the one that mounts say to each other, as JSON in extended attributes.

use serde::{Deserialize, Serialize};

use crate::jobs::rebuild::Written;

/// Attribute of the root, read: [`MountInfo`].
pub(super) const INFO: &str = "mount";
/// Attribute of the root, written: [`CommitOptions`](super::CommitOptions); a commit begins.
pub(super) const COMMIT: &str = "commit";
/// Attribute of the root, read: [`CommitState`].
pub(super) const STATE: &str = "commit-state";
/// What their names begin with.
pub(super) const PREFIX: &str = "wim.";

/// What is mounted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MountInfo {
    pub(super) path: String,
    pub(super) image: u32,
    pub(super) is_writable: bool,
    pub(super) has_changed: bool,
    /// The process that answers.
    pub(super) process: u32,
}

/// How far the commit is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum CommitState {
    /// None was asked for.
    None,
    /// It runs; units of the writing stage.
    Running { done: u64, total: u64 },
    /// It is done.
    Done(Written),
    /// It failed with this error and this advice; nothing was changed.
    Failed { message: String, remedy: Option<String> },
}
