//! A hive file of the host, with its logs, as an image of one file.
//!
//! Files are read when they are asked for and not kept, so that a hive is in memory once. Directories do not exist here.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::in_place_file::InPlaceFile;
use crate::base::read_at::read_exact_at;
use crate::base::{Error, FileSource, ReadAt, Result, Sha1Digest, WimString};
use crate::image::WimPath;
use crate::image::edit::{EntryInfo, Times, View};
use crate::servicing::hive_set::HiveName;

/// Suffixes of the files that belong to a hive.
const SUFFIXES: [&str; 4] = ["", ".LOG1", ".LOG2", ".LOG"];

/// A hive file and its logs.
pub(super) struct HostHive {
    /// Which hive it is by its file name.
    pub(super) name: Option<HiveName>,
    files: Vec<HostFile>,
    /// The hive itself, when it is locked for changing.
    locked: Option<Arc<FileSource>>,
}

struct HostFile {
    host: PathBuf,
    /// Path in the image.
    inside: WimPath,
    size_bytes: u64,
}

impl HostHive {
    /// Finds the hive at `path` and the logs that lie beside it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A hive that Windows knows by its name lies where it would in an image, so that paths lead to it as there.
        let known = known_hive(&name);
        let place = known.and_then(|hive| hive.paths().first()).and_then(|path| WimPath::parse(path).ok());
        let folder = place.and_then(|path| path.parent()).unwrap_or_default();
        let mut files = Vec::new();
        for suffix in SUFFIXES {
            let mut host = path.as_os_str().to_owned();
            host.push(suffix);
            let host = PathBuf::from(host);
            if suffix.is_empty() || host.is_file() {
                let size_bytes =
                    std::fs::metadata(&host).map_err(|e| Error::io(e, "cannot read", &host))?.len();
                let inside = folder.child(format!("{name}{suffix}").as_str());
                files.push(HostFile { host, inside, size_bytes });
            }
        }
        Ok(Self { name: known, files, locked: None })
    }

    /// [`HostHive::open`] for changing it: no other program changes the hive as long as this one lives. Its logs go with it.
    ///
    /// # Errors
    /// `Io`; `InvalidInput` when another program uses the hive.
    pub(super) fn lock(path: &Path) -> Result<Self> {
        let locked = Some(InPlaceFile::open(path)?.source());
        Ok(Self { locked, ..Self::open(path)? })
    }

    /// The path of the hive in the image.
    pub(super) fn hive_path(&self) -> WimPath {
        self.files.first().map(|file| file.inside.clone()).unwrap_or_default()
    }

    /// The file of the host that a path in the image stands for.
    pub(super) fn host_path(&self, path: &WimPath) -> Option<&Path> {
        self.find(path).map(|file| file.host.as_path())
    }

    /// What errors call the file at a path of the image.
    pub(super) fn shown(&self, path: &WimPath) -> String {
        self.host_path(path).map_or_else(|| path.to_string(), |host| host.display().to_string())
    }

    fn find(&self, path: &WimPath) -> Option<&HostFile> {
        self.files.iter().find(|file| file.inside.eq_ignore_case(path))
    }
}

/// The hive that has this file name in every image.
fn known_hive(name: &str) -> Option<HiveName> {
    const BY_FILE_NAME: [HiveName; 10] = [
        HiveName::System,
        HiveName::Software,
        HiveName::Sam,
        HiveName::Security,
        HiveName::Drivers,
        HiveName::Components,
        HiveName::Default,
        HiveName::DefaultUser,
        HiveName::Schema,
        HiveName::Bcd,
    ];
    let has_name = |hive: &HiveName| {
        let file = hive.paths().first().and_then(|path| path.rsplit('\\').next());
        file.is_some_and(|file| file.eq_ignore_ascii_case(name))
    };
    BY_FILE_NAME.into_iter().find(has_name)
}

impl View for HostHive {
    fn entry(&self, path: &WimPath) -> Option<EntryInfo> {
        let file = self.find(path)?;
        Some(EntryInfo {
            name: path.name().cloned().unwrap_or_else(|| WimString::from("")),
            attributes: 0x20,
            size: file.size_bytes,
            digest: Sha1Digest::ZERO,
            times: Times::default(),
        })
    }

    fn list(&self, _: &WimPath) -> Option<Vec<EntryInfo>> {
        None
    }

    fn read(&self, path: &WimPath, limit: u64) -> Result<Arc<[u8]>> {
        let file = self.find(path).ok_or_else(|| Error::not_found(format!("there is no {path}")))?;
        match self.locked.as_ref().filter(|locked| locked.path() == file.host) {
            // Some systems let nobody read a locked file but through the handle that holds the lock.
            Some(locked) => read_locked(locked, limit),
            None => Ok(read_host(&file.host, limit)?.into()),
        }
    }
}

/// The bytes of a hive that is locked, when they are at most `limit` bytes.
fn read_locked(hive: &FileSource, limit: u64) -> Result<Arc<[u8]>> {
    if hive.size() > limit {
        return Err(too_large(hive.path(), limit));
    }
    let mut bytes = vec![0; usize::try_from(hive.size()).unwrap_or(0)];
    read_exact_at(hive, &mut bytes, 0).map_err(|e| e.in_file(hive.path().display()))?;
    Ok(bytes.into())
}

fn too_large(path: &Path, limit: u64) -> Error {
    Error::limit(format!("the file is larger than {limit} bytes")).in_file(path.display())
}

/// The bytes of a file of the host, when they are at most `limit` bytes; it may have grown since it was looked at.
///
/// # Errors
/// `Limit` when it is larger, `Io`.
pub(super) fn read_host(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |error| Error::io(error, "cannot read", path);
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len().min(limit);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(path, limit));
    }
    Ok(bytes)
}
