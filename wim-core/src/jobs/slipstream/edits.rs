//! What a slipstream applies to every image, read once: driver packages and registry files.
//!
//! Packages stay where they are until their files are written; registry files are small and held. Files that are only added are read
//! when the result is written.

use std::path::{Path, PathBuf};

use super::SlipstreamOptions;
use crate::base::atomic_file::folder_of;
use crate::base::read_at::read_exact_at;
use crate::base::{Context, Error, FileSource, FileTime, ReadAt, Result};
use crate::formats::reg_file::{RegFile, UnknownLines};
use crate::jobs::archive::Scratch;
use crate::jobs::clock;
use crate::jobs::drivers::sources;
use crate::servicing::package_files::PackageFiles;

/// Largest registry file that is read.
const MAX_REG_FILE_BYTES: u64 = 64 << 20;

/// What is applied to every image, read once.
pub(super) struct Edits<'c> {
    pub(super) drivers: Vec<Box<dyn PackageFiles + 'c>>,
    pub(super) reg_files: Vec<(String, RegFile)>,
    /// The job's time, if the environment fixes one.
    pub(super) fixed_time: Option<FileTime>,
}

impl<'c> Edits<'c> {
    /// Reads what `options` name.
    ///
    /// # Errors
    /// What opening packages and reading registry files gives.
    pub(super) fn read(cx: &Context<'c>, options: &SlipstreamOptions) -> Result<Self> {
        let scratch = Scratch::on_disk(&folder_of(&options.output));
        let drivers = sources::open_all(cx, &options.drivers, &scratch)?;
        let read_reg = |path: &PathBuf| {
            let bytes = read_small(path)?;
            let parsed =
                RegFile::parse(&bytes, None, UnknownLines::Refuse).map_err(|e| e.in_file(path.display()))?;
            Ok((path.display().to_string(), parsed))
        };
        let reg_files = options.reg_files.iter().map(read_reg).collect::<Result<_>>()?;
        Ok(Self { drivers, reg_files, fixed_time: clock::fixed_time()? })
    }
}

/// Reads a file that nobody means to be large.
fn read_small(path: &Path) -> Result<Vec<u8>> {
    let source = FileSource::open(path)?;
    let length = usize::try_from(source.size()).ok().filter(|_| source.size() <= MAX_REG_FILE_BYTES);
    let length = length.ok_or_else(|| {
        let message =
            format!("{} bytes are more than the {MAX_REG_FILE_BYTES} of a registry file", source.size());
        Error::limit(message).in_file(path.display())
    })?;
    let mut bytes = vec![0; length];
    read_exact_at(&source, &mut bytes, 0).map_err(|e| e.in_file(path.display()))?;
    Ok(bytes)
}
