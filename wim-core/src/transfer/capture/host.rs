//! What the host tells of a file, in the image's terms.
//!
//! The one place of the capture that differs between systems: Unix has no attributes and Windows' stable interface no
//! file identities, so that hard links are found on Unix only.

use std::fs::Metadata;
use std::path::Path;

use super::Links;
#[cfg(target_os = "linux")]
use crate::base::Error;
use crate::base::{FileTime, Result};
use crate::formats::wim::attributes::{DIRECTORY, REPARSE_POINT};
#[cfg(target_os = "linux")]
use crate::formats::wim::tagged_items;
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

/// The attributes of a file of this kind; a link also has DIRECTORY when it leads to one. On Unix a file with holes is sparse.
pub(super) fn attributes(metadata: &Metadata, kind: Kind, path: &Path) -> u32 {
    let by_kind = match kind {
        Kind::Directory => DIRECTORY,
        Kind::Link => REPARSE_POINT,
        Kind::File | Kind::Special => 0,
    };
    #[cfg(windows)]
    {
        use crate::formats::wim::attributes::{ENCRYPTED, SPARSE};
        let _ = path;
        let own = std::os::windows::fs::MetadataExt::file_attributes(metadata);
        own & !(DIRECTORY | REPARSE_POINT | ENCRYPTED | SPARSE) | by_kind
    }
    #[cfg(not(windows))]
    {
        use crate::base::read_at::has_holes;
        use crate::formats::wim::attributes::{NORMAL, SPARSE};
        match kind {
            Kind::File if has_holes(path, metadata) => SPARSE,
            _ if by_kind == 0 => NORMAL,
            _ => by_kind,
        }
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

/// The tagged items that keep owner, group, mode, device number and, on Linux, extended attributes; none where there are no
/// such things.
#[cfg_attr(not(unix), expect(clippy::unnecessary_wraps, reason = "on Unix there is something to fail"))]
pub(super) fn unix_items(metadata: &Metadata, path: &Path, links: Links) -> Result<Box<[u8]>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let unix = UnixData {
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode(),
            // Only device files have a device number of their own; wimlib's field is 32 bits wide.
            device: u32::try_from(metadata.rdev()).unwrap_or(0),
        };
        let mut items = unix.to_item();
        items.extend(extended_attributes(path, links)?);
        Ok(items.into())
    }
    #[cfg(not(unix))]
    {
        let _ = (metadata, path, links);
        Ok(Box::default())
    }
}

/// The item of the extended attributes of the file at `path`, sorted by name; empty when there are none, or none can be.
#[cfg(unix)]
fn extended_attributes(path: &Path, links: Links) -> Result<Vec<u8>> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{getxattr, lgetxattr, listxattr, llistxattr};
        use rustix::io::Errno;
        let follows = links == Links::Follow;
        let list = |out: &mut [u8]| if follows { listxattr(path, out) } else { llistxattr(path, out) };
        let names = match grown(&list) {
            Ok(names) => names,
            Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(e.into(), "cannot list the extended attributes of", path)),
        };
        let mut attributes = Vec::new();
        for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            let get =
                |out: &mut [u8]| if follows { getxattr(path, name, out) } else { lgetxattr(path, name, out) };
            match grown(&get) {
                Ok(value) => attributes.push((name.to_vec(), value)),
                // It was removed meanwhile, or is none that may be read.
                Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => {}
                Err(e) => return Err(Error::io(e.into(), "cannot read an extended attribute of", path)),
            }
        }
        attributes.sort_unstable();
        Ok(tagged_items::extended_attributes_item(&attributes).unwrap_or_default())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (path, links);
        Ok(Vec::new())
    }
}

/// Most bytes of the value of an extended attribute, and of all their names (`XATTR_SIZE_MAX` and `XATTR_LIST_MAX`).
#[cfg(target_os = "linux")]
const MAX_XATTR_BYTES: usize = 65536;

/// What a call gives, which refuses a buffer that is too small.
#[cfg(target_os = "linux")]
fn grown(call: &dyn Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    // The kernel takes and gives no more than 64 KiB of either; an empty buffer would be answered with nothing at all.
    let mut bytes = vec![0; 256];
    loop {
        match call(&mut bytes) {
            Err(rustix::io::Errno::RANGE) if bytes.len() < MAX_XATTR_BYTES => {
                bytes.resize(MAX_XATTR_BYTES, 0);
            }
            done => {
                bytes.truncate(done?);
                return Ok(bytes);
            }
        }
    }
}
