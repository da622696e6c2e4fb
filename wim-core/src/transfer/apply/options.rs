//! How an image is applied, and what was done.

use crate::base::{Context, Error};

/// How an image is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    /// What becomes of links that were fixed up at capture; the default of a WIM is in its header, flag RP_FIX.
    pub fixed_links: FixedLinks,
    /// Where extracted files go.
    pub layout: Layout,
    /// What is restored, and what is put up with.
    pub restore: RestoreOptions,
}

/// What is restored, and what is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RestoreOptions {
    /// What becomes of owners, modes, extended attributes and special files.
    pub unix_data: UnixRestore,
    /// What becomes of security descriptors.
    pub descriptors: Descriptors,
    /// What becomes of the attributes of Windows.
    pub attributes: Attributes,
    /// What becomes of damaged files.
    pub damaged: Damaged,
    /// What becomes of names that the host refuses.
    pub invalid_names: InvalidNames,
}

/// What becomes of owners, modes, extended attributes and special files that were captured on Unix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UnixRestore {
    /// Files are the user's own; special files are empty ones.
    #[default]
    Omit,
    /// They are restored; what this user or system cannot is counted.
    Restore,
    /// They are restored; what cannot be is an error.
    Require,
}

/// What becomes of security descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Descriptors {
    /// They are restored where the target can hold them: on a mounted NTFS volume; what it refuses is counted.
    #[default]
    Restore,
    /// They are not restored.
    Omit,
    /// They are restored; an image that has some is refused where they cannot be, and what is refused is an error.
    Require,
}

/// What becomes of the attributes of Windows, of which a host holds few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Attributes {
    /// Those that the host holds are restored.
    #[default]
    Restore,
    /// None are.
    Omit,
}

/// What becomes of files whose data is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Damaged {
    /// The job ends.
    #[default]
    Fail,
    /// What can be decoded is written, zeros for the rest, and each file is warned about.
    Recover,
}

/// What becomes of names that the host refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InvalidNames {
    /// They are left out, with all below them.
    #[default]
    LeaveOut,
    /// Others take their places, made of them.
    Replace,
}

/// What becomes of absolute links that count from the root of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixedLinks {
    /// They lead into the target directory.
    IntoTarget,
    /// They are made as they are in the image.
    AsStored,
}

/// Where extracted files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each file or directory right into the target, under its own name.
    Flat,
    /// At its path, with the directories above it.
    KeepPaths,
}

/// What was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ApplyReport {
    /// Directories, the target not among them.
    pub directories: u64,
    /// Files written, copies of the same content among them.
    pub files: u64,
    /// Second and further names of files.
    pub hard_links: u64,
    /// Symbolic links and junctions.
    pub symbolic_links: u64,
    /// Devices, pipes and sockets.
    pub special_files: u64,
    /// Bytes of all files written.
    pub bytes: u64,
    /// Blobs that are damaged, and were recovered as far as they go.
    pub damaged_blobs: u64,
    /// What was left out.
    pub left_out: LeftOut,
}

/// What the host could not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Named data streams.
    pub named_streams: u64,
    /// Encrypted files.
    pub encrypted: u64,
    /// Reparse points that are neither symbolic links nor junctions, or whose target the host cannot express.
    pub reparse_points: u64,
    /// Names that the host refuses, each with all below it.
    pub names: u64,
    /// Files whose owner, group, mode, extended attributes or kind could not be restored, when they were to be.
    pub unix_data: u64,
    /// Security descriptors that a mounted NTFS volume refused; those of this and the next fields are not counted elsewhere.
    pub descriptors: u64,
    /// Files whose attributes or times an NTFS volume did not take as they are.
    pub attributes: u64,
    /// 8.3 names.
    pub short_names: u64,
    /// Object ids.
    pub object_ids: u64,
    /// Files whose extended attributes could not be set.
    pub extended_attributes: u64,
}

impl LeftOut {
    /// True when something was left out.
    #[must_use]
    pub fn is_something(&self) -> bool {
        *self != Self::default()
    }

    /// The sum with another.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            named_streams: self.named_streams + other.named_streams,
            encrypted: self.encrypted + other.encrypted,
            reparse_points: self.reparse_points + other.reparse_points,
            names: self.names + other.names,
            unix_data: self.unix_data + other.unix_data,
            descriptors: self.descriptors + other.descriptors,
            attributes: self.attributes + other.attributes,
            short_names: self.short_names + other.short_names,
            object_ids: self.object_ids + other.object_ids,
            extended_attributes: self.extended_attributes + other.extended_attributes,
        }
    }

    pub(super) fn warn(&self, cx: &Context<'_>) {
        for (count, what) in [
            (self.descriptors, "security descriptors"),
            (self.attributes, "sets of attributes and times"),
            (self.short_names, "short names"),
            (self.object_ids, "object ids"),
            (self.extended_attributes, "sets of extended attributes"),
        ] {
            if count > 0 {
                let message = format!("{count} {what} were refused by the NTFS volume");
                cx.progress.warn(&Error::unsupported(message).remedy(
                    "mount it as root with ntfs-3g -o streams_interface=windows, or keep them in a side file with \
                     --metadata",
                ));
            }
        }
        for (count, what) in [
            (self.named_streams, "named data streams"),
            (self.encrypted, "encrypted files"),
            (self.reparse_points, "reparse points that are no links this system can make"),
        ] {
            if count > 0 {
                let error = Error::unsupported(format!("{count} {what} were left out"));
                cx.progress.warn(&error.remedy("keep them in a side file with --metadata"));
            }
        }
        if self.unix_data > 0 {
            let message = format!(
                "of {} files the owner, group, mode, extended attributes or kind could not be restored",
                self.unix_data
            );
            cx.progress
                .warn(&Error::unsupported(message).remedy("apply as root, on a file system that has them"));
        }
    }
}
