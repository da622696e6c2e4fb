//! Opening a WIM of the host.
//!
//! What was odd but did not stop the opening goes to [`Progress::warn`](crate::base::Progress::warn). Split sets and
//! pipable files are refused by the container, by name.

use std::path::Path;
use std::sync::Arc;

use crate::base::{Context, Error, FileSource, Result};
use crate::formats::wim::WimFile;

/// Opens the WIM at `path`; errors and warnings call it by that path.
///
/// # Errors
/// `Io` when the file cannot be read, `InvalidInput` when it is no regular file or is `-`, else what
/// [`WimFile::open`] returns.
pub fn open(path: &Path, cx: &Context<'_>) -> Result<WimFile> {
    if path == Path::new("-") {
        return Err(Error::unsupported("reading a WIM from standard input is not supported by this version")
            .remedy("give the path of a file"));
    }
    let source = FileSource::open(path)?;
    let wim = WimFile::open(Arc::new(source), &path.display().to_string())?;
    wim.warnings().iter().for_each(|warning| cx.progress.warn(warning));
    Ok(wim)
}
