//! Which WIM files a driver job works on: those named, or those of a medium's folder.
//!
//! A medium of Windows has `sources\boot.wim` (Windows PE and Setup) and `sources\install.wim`, `.esd` or `.swm`; one for two
//! architectures has them below `x86` and `x64`. Which device classes go where is the library's affair: it knows Windows PE
//! when it sees one.

use std::path::{Path, PathBuf};

use super::service::Recovery;
use crate::base::atomic_file::IfExists;
use crate::base::{Error, Result};
use crate::jobs::Level;
use crate::jobs::edited_image::VerifyDepth;
use crate::jobs::registry::Target;
use crate::jobs::target::is_same_file;

/// Folders of a medium that may hold `sources`.
const ROOTS: [&str; 3] = ["", "x64", "x86"];
/// What lies in `sources`; of an install image's forms a medium has one.
const NAMES: [&str; 4] = ["boot.wim", "install.wim", "install.esd", "install.swm"];

/// Where a job does its work, and how.
#[derive(Clone, Debug)]
pub struct Places {
    /// WIM files with their images; no image means all.
    pub wims: Vec<Target>,
    /// The folder of a medium, whose WIM files are worked on too.
    pub media: Option<PathBuf>,
    /// Where the result goes; in place when none. Only for a single WIM.
    pub output: Option<PathBuf>,
    /// Whether an existing output may be replaced.
    pub if_exists: IfExists,
    /// What becomes of the recovery image inside install images.
    pub recovery: Recovery,
    /// How thoroughly results are read back.
    pub verify: VerifyDepth,
    /// How hard new data is compressed.
    pub level: Level,
    /// Plan and report only, or write.
    pub mode: Mode,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Plan and report only.
    DryRun,
    /// Write the result.
    Write,
}

impl Places {
    /// The WIM files in the order in which they are worked on.
    ///
    /// # Errors
    /// `NotFound` when the medium has none, `InvalidInput` for none at all, one twice, and an output for several.
    pub(super) fn files(&self) -> Result<Vec<Target>> {
        let mut files = self.wims.clone();
        if let Some(folder) = &self.media {
            files
                .extend(wims_of_medium(folder)?.into_iter().map(|path| Target { path, ..Target::default() }));
        }
        if files.is_empty() {
            return Err(Error::invalid_input("no image was named")
                .remedy("name WIM files, or the folder of a medium with --media"));
        }
        if self.output.is_some() && files.len() > 1 {
            return Err(Error::invalid_input(format!("{} files cannot go to one output", files.len()))
                .remedy("leave the output out to change them in place, or name one file at a time"));
        }
        for (number, file) in files.iter().enumerate() {
            if files.iter().take(number).any(|before| is_same_file(&before.path, &file.path)) {
                return Err(Error::invalid_input("named twice")
                    .in_file(file.path.display())
                    .remedy("name its images behind one colon, as in install.wim:1,2"));
            }
        }
        Ok(files)
    }
}

/// The WIM files of a medium's folder, boot images first.
///
/// # Errors
/// `NotFound` when there are none, `Io`.
pub fn wims_of_medium(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Err(Error::invalid_input("is a file, not the folder of a medium")
            .in_file(folder.display())
            .remedy("copy a disc's files into a folder first: wim media extract DISC --dest-dir=FOLDER"));
    }
    let mut wims = Vec::new();
    for root in ROOTS {
        let Some(root) = (if root.is_empty() { Some(folder.to_owned()) } else { child(folder, root)? })
        else {
            continue;
        };
        let Some(sources) = child(&root, "sources")? else { continue };
        for name in NAMES {
            wims.extend(child(&sources, name)?.filter(|path| path.is_file()));
        }
    }
    if wims.is_empty() {
        return Err(Error::not_found(
            "no medium of Windows: it has no sources/boot.wim or sources/install.wim",
        )
        .in_file(folder.display())
        .remedy("give the folder into which all of the medium was copied"));
    }
    Ok(wims)
}

/// The entry of `folder` with this name in any case, as media copied by other systems have it.
pub(super) fn child(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let plain = folder.join(name);
    if plain.exists() {
        return Ok(Some(plain));
    }
    let cannot = |e| Error::io(e, "cannot read the folder", folder);
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if entry.file_name().to_str().is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_of_one_and_two_architectures() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        assert!(wims_of_medium(folder.path()).unwrap_err().to_string().contains("sources/boot.wim"));
        for path in
            ["SOURCES/INSTALL.WIM", "SOURCES/Boot.wim", "x86/sources/install.esd", "x86/sources/other.wim"]
        {
            put(path);
        }
        let found: Vec<String> = wims_of_medium(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_string_lossy().replace('\\', "/"))
            .collect();
        assert_eq!(found, ["SOURCES/Boot.wim", "SOURCES/INSTALL.WIM", "x86/sources/install.esd"]);
    }
}
