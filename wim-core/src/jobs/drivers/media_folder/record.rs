//! The record in `$WinPEDriver$` of what was put there, so that a removal takes that and nothing else.
//!
//! A JSON file: folders with their files and digests. It lies on a medium that anybody may have written, so its paths are checked;
//! whether what it names is still there is for its readers to see.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::windows_name::path_fault;
use crate::base::{Error, ErrorKind, Result};

/// Name of the record inside the folder.
pub(super) const RECORD: &str = "wim.drivers.json";
/// Largest record that is read; one line of it has some hundred bytes.
const MAX_RECORD_BYTES: u64 = 64 << 20;

/// What a record keeps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) drivers: Vec<RecordedDriver>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedDriver {
    /// Name of its folder.
    pub(super) folder: String,
    pub(super) inf: String,
    pub(super) version: Option<String>,
    pub(super) files: Vec<RecordedFile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedFile {
    /// Path below its folder, with backslashes.
    pub(super) path: String,
    pub(super) sha1: String,
}

impl Record {
    /// The record in `root`; an empty one when there is none.
    ///
    /// # Errors
    /// `Format` for one that is damaged or names paths outside its folder, `Io`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join(RECORD);
        let Ok(metadata) = fs::metadata(&path) else { return Ok(Self::default()) };
        let damaged = |why: String| {
            Error::new(ErrorKind::Format, why)
                .in_file(path.display())
                .remedy("delete this record; what it names is then nobody's to remove")
        };
        if metadata.len() > MAX_RECORD_BYTES {
            return Err(damaged(format!(
                "a record of {} bytes, more than {MAX_RECORD_BYTES}",
                metadata.len()
            )));
        }
        let bytes = fs::read(&path).map_err(|e| Error::io(e, "cannot read", &path))?;
        let record: Self = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
        for driver in &record.drivers {
            for path in driver.files.iter().map(|file| &file.path).chain([&driver.folder]) {
                if let Some(fault) = path_fault(path) {
                    return Err(damaged(format!("the path {path:?} {fault}")));
                }
            }
        }
        Ok(record)
    }

    /// Replaces the record in `root`, or removes it when it names nothing.
    ///
    /// # Errors
    /// `Io`; the record there is then as it was.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let path = root.join(RECORD);
        if self.drivers.is_empty() {
            return match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io(e, "cannot remove", &path))
                }
                _ => Ok(()),
            };
        }
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::invalid_input(format!("cannot write the record: {e}")))?;
        text.push(b'\n');
        let mut file = AtomicFile::create(&path, IfExists::Replace)?;
        file.write_all(&text).map_err(|e| Error::io(e, "cannot write", &path))?;
        file.commit()
    }
}
