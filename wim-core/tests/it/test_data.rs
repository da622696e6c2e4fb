//! Where real test data lies, if it is there: files of other makers that the repository may not hold.

use std::path::{Path, PathBuf};

/// A path in the test data: below `WIM_TEST_DATA`, else `../shared/data` beside the workspace. None, with a note, when absent.
pub(crate) fn path(relative: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("WIM_TEST_DATA") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    };
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// All files below a directory, in a fixed order.
pub(crate) fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}
