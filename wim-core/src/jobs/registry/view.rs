//! A hive file of the host, with its logs, as an image of one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Error, Result, Sha1Digest, WimString};
use crate::image::WimPath;
use crate::image::edit::{EntryInfo, Times, View};
use crate::servicing::hive_set::HiveName;

/// Suffixes of the files that belong to a hive.
const SUFFIXES: [&str; 4] = ["", ".LOG1", ".LOG2", ".LOG"];

/// A hive file and its logs, in memory.
pub(super) struct HostHive {
    /// Which hive it is by its file name.
    pub(super) name: Option<HiveName>,
    /// Host path, path in the image, content.
    files: Vec<(PathBuf, WimPath, Arc<[u8]>)>,
}

impl HostHive {
    /// Reads the hive at `path` and the logs that lie beside it.
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
                let bytes = std::fs::read(&host).map_err(|e| Error::io(e, "cannot read", &host))?;
                let inside = folder.child(format!("{name}{suffix}").as_str());
                files.push((host, inside, bytes.into()));
            }
        }
        Ok(Self { name: known, files })
    }

    /// The path of the hive in the image.
    pub(super) fn hive_path(&self) -> WimPath {
        self.files.first().map(|(_, path, _)| path.clone()).unwrap_or_default()
    }

    /// The file of the host that a path in the image stands for.
    pub(super) fn host_path(&self, path: &WimPath) -> Option<&Path> {
        self.files.iter().find(|(_, inside, _)| inside == path).map(|(host, _, _)| host.as_path())
    }

    fn find(&self, path: &WimPath) -> Option<&Arc<[u8]>> {
        self.files.iter().find(|(_, inside, _)| inside.eq_ignore_case(path)).map(|(_, _, bytes)| bytes)
    }
}

/// The hive that has this file name in every image.
fn known_hive(name: &str) -> Option<HiveName> {
    const BY_FILE_NAME: [HiveName; 9] = [
        HiveName::System,
        HiveName::Software,
        HiveName::Sam,
        HiveName::Security,
        HiveName::Drivers,
        HiveName::Components,
        HiveName::Default,
        HiveName::DefaultUser,
        HiveName::Schema,
    ];
    let has_name = |hive: &HiveName| {
        let file = hive.paths().first().and_then(|path| path.rsplit('\\').next());
        file.is_some_and(|file| file.eq_ignore_ascii_case(name))
    };
    BY_FILE_NAME.into_iter().find(has_name)
}

impl View for HostHive {
    fn entry(&self, path: &WimPath) -> Option<EntryInfo> {
        let bytes = self.find(path)?;
        Some(EntryInfo {
            name: path.name().cloned().unwrap_or_else(|| WimString::from("")),
            attributes: 0x20,
            size: bytes.len() as u64,
            digest: Sha1Digest::ZERO,
            times: Times::default(),
        })
    }

    fn list(&self, _: &WimPath) -> Option<Vec<EntryInfo>> {
        None
    }

    fn read(&self, path: &WimPath, limit: u64) -> Result<Arc<[u8]>> {
        let bytes = self.find(path).ok_or_else(|| Error::not_found(format!("there is no {path}")))?;
        if bytes.len() as u64 > limit {
            return Err(Error::limit(format!("{} bytes, more than {limit}", bytes.len())));
        }
        Ok(Arc::clone(bytes))
    }
}
