//! A folder of the host as a source of driver packages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::atomic_file::folder_of;
use crate::base::{Error, FileTime, Result};
use crate::image::edit::Content;
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// Most files that are looked at below one folder: a vendor's tree has a few thousand.
const MAX_FILES: usize = 200_000;
/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 32;
/// What to do about a tree beyond these limits.
const NARROWER: &str = "give the folder of the driver itself, not one far above it";

/// All files below a folder, links not followed.
pub struct PackageFolder {
    root: PathBuf,
    name: String,
    files: Vec<PackageFile>,
    /// The one INF that is meant, in lower case; none means all.
    inf: Option<String>,
}

impl PackageFolder {
    /// Lists the folder, sorted by path so that its order is the same on every host.
    ///
    /// # Errors
    /// `NotFound` when it is no folder, `Limit` for too many files, `Io`.
    pub fn scan(root: &Path) -> Result<Self> {
        if !root.is_dir() {
            return Err(Error::not_found("there is no such driver folder")
                .in_file(root.display())
                .remedy("give the folder that holds the driver's .inf file, or one above it"));
        }
        let mut files = Vec::new();
        scan_into(root, "", 0, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { root: root.to_owned(), name: root.display().to_string(), files, inf: None })
    }

    /// The package of one INF: its folder with all below it, of whose INFs only this one is meant.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn of_inf(inf: &Path) -> Result<Self> {
        let name = inf.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        Ok(Self { inf: Some(name), ..Self::scan(&folder_of(inf))? })
    }

    fn host_path(&self, file: &PackageFile) -> PathBuf {
        file.path.split('\\').fold(self.root.clone(), |path, name| path.join(name))
    }
}

fn scan_into(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<PackageFile>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::limit(format!("folders are nested more than {MAX_DEPTH} deep"))
            .in_file(folder.display())
            .remedy(NARROWER));
    }
    let cannot = |e| Error::io(e, "cannot read the folder", folder);
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let kind = entry.file_type().map_err(cannot)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // A backslash in a host's file name would read as a folder.
        if name.contains('\\') {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}\\{name}") };
        if kind.is_dir() {
            scan_into(&entry.path(), &path, depth + 1, files)?;
        } else if kind.is_file() {
            let metadata = entry.metadata().map_err(cannot)?;
            let last_write = metadata.modified().ok().map(FileTime::from_system_time);
            files.push(PackageFile { path, size: metadata.len(), last_write });
            if files.len() > MAX_FILES {
                return Err(Error::limit(format!("more than {MAX_FILES} files"))
                    .in_file(folder.display())
                    .remedy(NARROWER));
            }
        }
    }
    Ok(())
}

impl PackageFiles for PackageFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> &[PackageFile] {
        &self.files
    }

    fn is_offered(&self, inf: &str) -> bool {
        self.inf.as_ref().is_none_or(|wanted| inf.to_lowercase() == *wanted)
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        let path = self.host_path(file);
        file.check_size(limit, &self.name)?;
        let bytes = std::fs::read(&path).map_err(|e| Error::io(e, "cannot read", &path))?;
        if bytes.len() as u64 != file.size {
            return Err(Error::invalid_input("the file changed while it was being read")
                .in_file(path.display())
                .remedy("run the command again when nothing writes to the folder"));
        }
        Ok(bytes.into())
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        let path = self.host_path(file);
        let metadata =
            std::fs::metadata(&path).map_err(|e| Error::io(e, "cannot read the size of", &path))?;
        let modified = metadata.modified().map_err(|e| Error::io(e, "cannot read the time of", &path))?;
        Ok(Content::HostFile { path, size: file.size, last_write: FileTime::from_system_time(modified) })
    }
}
