//! Extended attributes of files by their paths, which are not followed.
//!
//! A file system of FUSE answers a buffer that is too small with an error of input and output, so that every buffer is as
//! large as the kernel allows. Systems other than Linux answer as one that has no such attributes.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// Most bytes of a value, and of all names (`XATTR_SIZE_MAX` and `XATTR_LIST_MAX`).
pub(super) const MAX_BYTES: usize = 65536;

/// The value of an attribute; none when the file has no such attribute.
///
/// # Errors
/// What the system gives; `Unsupported` where there are no such attributes.
pub(super) fn get(path: &Path, name: impl AsRef<OsStr>) -> io::Result<Option<Vec<u8>>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut value = vec![0; MAX_BYTES];
        match rustix::fs::lgetxattr(path, name.as_ref(), &mut value[..]) {
            Ok(length) => Ok(Some(value.get(..length).unwrap_or_default().to_vec())),
            Err(rustix::io::Errno::NODATA) => Ok(None),
            Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOSYS) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (path, name);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The names of all attributes, each with a NUL behind it.
///
/// # Errors
/// What the system gives.
pub(super) fn list(path: &Path) -> io::Result<Vec<u8>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut names = vec![0; MAX_BYTES];
        let length = rustix::fs::llistxattr(path, &mut names[..])?;
        names.truncate(length);
        Ok(names)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Sets an attribute, new or not.
///
/// # Errors
/// What the system gives.
pub(super) fn set(path: &Path, name: impl AsRef<OsStr>, value: &[u8]) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        Ok(rustix::fs::lsetxattr(path, name.as_ref(), value, rustix::fs::XattrFlags::empty())?)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (path, name, value);
        Err(io::ErrorKind::Unsupported.into())
    }
}
