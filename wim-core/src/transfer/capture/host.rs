//! What the host tells of a file, in the image's terms.
//!
//! The one place of the capture that differs between systems: Unix has no attributes and Windows' stable interface no
//! file identities, so that hard links are found on Unix only.

use std::fs::Metadata;

use crate::base::FileTime;
use crate::formats::wim::attributes::{DIRECTORY, REPARSE_POINT};
#[cfg(unix)]
use crate::formats::wim::tagged_items::UnixData;
use crate::image::edit::Times;

/// What a file of the host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    Special,
}

pub(super) fn kind(metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Special
    }
}

/// The attributes of a file of this kind; a link also has DIRECTORY when it leads to one.
pub(super) fn attributes(metadata: &Metadata, kind: Kind) -> u32 {
    let by_kind = match kind {
        Kind::Directory => DIRECTORY,
        Kind::Link => REPARSE_POINT,
        Kind::File | Kind::Special => 0,
    };
    #[cfg(windows)]
    {
        use crate::formats::wim::attributes::{ENCRYPTED, SPARSE};
        let own = std::os::windows::fs::MetadataExt::file_attributes(metadata);
        own & !(DIRECTORY | REPARSE_POINT | ENCRYPTED | SPARSE) | by_kind
    }
    #[cfg(not(windows))]
    {
        use crate::formats::wim::attributes::NORMAL;
        let _ = metadata;
        if by_kind == 0 { NORMAL } else { by_kind }
    }
}

/// The times to store; last access is that of the last write, and without a creation time so is creation.
pub(super) fn times(metadata: &Metadata) -> Times {
    let last_write = metadata.modified().map_or(FileTime(0), FileTime::from_system_time);
    #[cfg(windows)]
    let creation = metadata.created().map_or(last_write, FileTime::from_system_time);
    #[cfg(not(windows))]
    let creation = last_write;
    Times { creation, last_access: last_write, last_write }
}

/// What tells a file with several names: equal for all of them; none for one that has a single name.
pub(super) fn link_identity(metadata: &Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// The tagged item that keeps owner, group, mode and device number; none where there is no such thing.
pub(super) fn unix_item(metadata: &Metadata) -> Box<[u8]> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Only device files have a device number of their own; wimlib's field is 32 bits wide.
        let device = u32::try_from(metadata.rdev()).unwrap_or(0);
        let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
        UnixData { owner, group, mode, device }.to_item().into()
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        Box::default()
    }
}
