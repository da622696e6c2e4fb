//! Real files for tests, which are no part of the project and may be absent.

use std::path::PathBuf;

/// The folder of real test data: `WIM_TEST_DATA`, else `../shared/data` beside the workspace. None, with a line that says
/// so, when it is not there.
pub(crate) fn real_data(test: &str) -> Option<PathBuf> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let folder = std::env::var_os("WIM_TEST_DATA").map_or_else(default, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {test} needs real files in {}", folder.display());
    None
}
