//! What archives have in common: checked names, limits, and members that are unpacked once.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::base::{Error, ErrorKind, Result};
use crate::image::edit::Content;
use crate::jobs::spool::Spool;
use crate::servicing::package_files::PackageFile;

/// Most members that an archive may have.
pub(super) const MAX_MEMBERS: usize = 200_000;
/// Most bytes that all members of an archive may come to: the largest packages, of graphics adapters, have 3 GB.
const MAX_TOTAL_BYTES: u64 = 16 << 30;
/// Archives that come to less than this may shrink their data as much as they like.
const FREE_BYTES: u64 = 256 << 20;
/// Most times that the data of a larger archive may be its size: drivers shrink to a third, texts to a tenth.
const MAX_RATIO: u64 = 100;
/// Longest path of a member, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// A member's name as a path with backslashes below the archive; none for a directory.
///
/// # Errors
/// `InvalidInput` for a name that is absolute, leads upwards, or cannot be a file's.
pub(super) fn checked_path(name: &str) -> Result<String> {
    let refuse = |why: &str| {
        Error::invalid_input(format!("its member {name:?} {why}"))
            .remedy("such an archive is made to do harm or damaged; get the package from its vendor")
    };
    if name.len() > MAX_PATH_BYTES {
        let start: String = name.chars().take(60).collect();
        return Err(Error::limit(format!(
            "the name of its member {start:?}… has {} bytes, more than {MAX_PATH_BYTES}",
            name.len()
        )));
    }
    if name.starts_with(['/', '\\']) {
        return Err(refuse("has an absolute path"));
    }
    let mut parts = Vec::new();
    for part in name.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => return Err(refuse("leads out of the archive")),
            _ if part.contains(|c: char| c.is_control() || c == ':') => {
                return Err(refuse("has a name that no file can have"));
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(refuse("has no name"));
    }
    Ok(parts.join("\\"))
}

/// Refuses an archive whose members, by what it says of them, come to more than is sane.
///
/// # Errors
/// `Limit` with both sizes.
pub(super) fn check_total(unpacked_bytes: u64, archive_bytes: u64) -> Result<()> {
    let allowed = archive_bytes.saturating_mul(MAX_RATIO).clamp(FREE_BYTES, MAX_TOTAL_BYTES);
    if unpacked_bytes > allowed {
        return Err(Error::limit(format!(
            "its members come to {unpacked_bytes} bytes, more than the {allowed} that an archive of {archive_bytes} bytes may hold"
        ))
        .remedy("if it is no trap, unpack it and give the folder"));
    }
    Ok(())
}

/// Sorts members by path, so that their order is the same whatever the archive's; refuses two of the same path.
///
/// # Errors
/// `InvalidInput` with the path.
pub(super) fn sort_members<T>(members: &mut [(PackageFile, T)]) -> Result<()> {
    members.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let mut seen = HashMap::with_capacity(members.len());
    for (file, _) in members.iter() {
        if let Some(before) = seen.insert(file.path.to_lowercase(), &file.path) {
            return Err(Error::invalid_input(format!(
                "two of its members are {} and {before}, the same name for Windows",
                file.path
            )));
        }
    }
    Ok(())
}

/// Members unpacked so far.
pub(super) struct Unpacked {
    spool: Mutex<Spool>,
    contents: Mutex<HashMap<usize, Content>>,
}

impl Unpacked {
    /// None so far; they will lie in a file in `scratch`.
    pub(super) fn new(scratch: &Path) -> Self {
        Self { spool: Mutex::new(Spool::new(scratch)), contents: Mutex::default() }
    }

    /// The content of the member `index`, which `unpack` writes at the first call.
    ///
    /// # Errors
    /// What `unpack` gives, and `Io`.
    pub(super) fn get(
        &self,
        index: usize,
        unpack: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<Content> {
        let known = |contents: &HashMap<usize, Content>| contents.get(&index).cloned();
        if let Some(content) = known(&self.contents.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(content);
        }
        let content = self.spool.lock().unwrap_or_else(PoisonError::into_inner).fill(unpack)?;
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(contents.entry(index).or_insert(content).clone())
    }
}

/// An error of the archive's own reader, for `doing`.
pub(super) fn unreadable(e: &dyn std::error::Error, doing: &str, path: &Path) -> Error {
    Error::new(ErrorKind::Format, format!("{doing}: {e}"))
        .in_file(path.display())
        .remedy("get the archive again from its source")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_below_the_archive() {
        for (name, path) in [("a.inf", "a.inf"), ("x64/a.sys", "x64\\a.sys"), ("./x\\.\\a.sys", "x\\a.sys")] {
            assert_eq!(checked_path(name).unwrap(), path);
        }
        for bad in ["/a", "\\a", "../a", "x\\..\\..\\a", "C:\\a", "a:b", "a\0b", "", ".", "x/\n"] {
            assert!(checked_path(bad).is_err(), "{bad:?}");
        }
        assert!(checked_path(&"x/".repeat(2000)).is_err());
    }

    #[test]
    fn sizes_that_no_package_has_are_refused() {
        assert!(check_total(200 << 20, 1000).is_ok());
        assert!(check_total(300 << 20, 1000).is_err());
        assert!(check_total(3 << 30, 1 << 30).is_ok());
        assert!(check_total(u64::MAX, u64::MAX).is_err());
    }

    #[test]
    fn names_that_differ_in_case_only_are_refused() {
        let file = |path: &str| (PackageFile { path: path.into(), size: 0, last_write: None }, ());
        assert!(sort_members(&mut [file("b"), file("a")]).is_ok());
        assert!(sort_members(&mut [file("x\\B"), file("a"), file("X\\b")]).is_err());
    }
}
