//! Driver packages as people have them: a folder, one INF, a `.zip` or a `.cab`.
//!
//! An expanded installer is a folder like any other; which of its packages fit is found by what their INFs say. Archives are
//! read in place and only what is asked for is unpacked, into a temporary file. Names that lead out of an archive, archives
//! that hide their size and links are refused or left out; programs that unpack themselves are not run.

mod archive;
mod cab;
mod folder;
mod zip;

use std::io::Read;
use std::path::{Path, PathBuf};

pub use folder::PackageFolder;

use self::cab::CabinetFile;
use self::zip::ZipArchiveFile;
use crate::base::{Error, Result};
use crate::servicing::package_files::PackageFiles;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Zip,
    Cabinet,
    Program,
    Text,
}

/// Opens the packages at `path`; what has to be unpacked goes to a nameless file in `scratch`.
///
/// # Errors
/// `NotFound` when nothing is there, `Unsupported` for a file that is neither INF nor archive, `Format` and `Limit` for archives
/// that are damaged or hostile, `Io`.
pub fn open(path: &Path, scratch: &Path) -> Result<Box<dyn PackageFiles>> {
    if path.is_dir() {
        return Ok(Box::new(PackageFolder::scan(path)?));
    }
    match kind_of(path)? {
        Kind::Zip => Ok(Box::new(ZipArchiveFile::open(path, scratch)?)),
        Kind::Cabinet => Ok(Box::new(CabinetFile::open(path, scratch)?)),
        Kind::Text if has_extension(path, "inf") => Ok(Box::new(PackageFolder::of_inf(path)?)),
        Kind::Program => Err(Error::unsupported("an installer program, which is not run here")
            .in_file(path.display())
            .remedy("unpack it, with 7-Zip for example or its own option, and give the folder that holds the .inf files")),
        Kind::Text => Err(Error::unsupported("neither an INF nor an archive of driver packages")
            .in_file(path.display())
            .remedy("give a folder, an .inf file, a .zip or a .cab")),
    }
}

/// Opens all of `paths`.
///
/// # Errors
/// As [`open`].
pub fn open_all(paths: &[PathBuf], scratch: &Path) -> Result<Vec<Box<dyn PackageFiles>>> {
    paths.iter().map(|path| open(path, scratch)).collect()
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

fn kind_of(path: &Path) -> Result<Kind> {
    let missing = |e: std::io::Error| {
        match e.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("there are no driver packages here")
            .in_file(path.display())
            .remedy("give the folder that holds the driver's .inf file or one above it, an .inf file, a .zip or a .cab"),
        _ => Error::io(e, "cannot open", path),
    }
    };
    let file = std::fs::File::open(path).map_err(missing)?;
    let mut start = Vec::new();
    file.take(4).read_to_end(&mut start).map_err(|e| Error::io(e, "cannot read", path))?;
    Ok(match start.as_slice() {
        // A local header, and the end record of an archive without members.
        [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => Kind::Zip,
        b"MSCF" => Kind::Cabinet,
        [b'M', b'Z', ..] => Kind::Program,
        _ => Kind::Text,
    })
}
