//! Whether a Windows 7 knows SHA-2 signatures of drivers.
//!
//! Source: drivers.md 7.4. Windows 7 as released knows SHA-1 alone; KB3033929 and its successor KB4474419 teach it SHA-2. The
//! component store says whether one is installed; where it says nothing, the boot loader's revision does.

use super::store::{ImageFiles, file_version};
use crate::base::Result;
use crate::servicing::cbs;
use crate::servicing::hive_set::HiveSet;

/// Updates that bring SHA-2.
const UPDATES: [&str; 2] = ["KB4474419", "KB3033929"];

/// Whether the image checks SHA-2 signatures of drivers; none when nothing in it tells.
///
/// # Errors
/// What reading the SOFTWARE hive or the boot loader gives.
pub fn knows_sha2(image: &ImageFiles<'_>, hives: &mut HiveSet<'_>) -> Result<Option<bool>> {
    let has_update = cbs::has_one_of(hives, &UPDATES)?;
    if has_update == Some(true) {
        return Ok(has_update);
    }
    let path = image.spelled("\\Windows\\System32\\winload.exe")?;
    let version = image.read(&path)?.and_then(|bytes| file_version(&bytes));
    Ok(match version {
        // General distribution releases are numbered below 20000, limited ones above.
        Some([6, 1, 7601, revision]) => Some((18741..20000).contains(&revision) || revision >= 22948),
        Some([6, 0 | 1, ..]) => Some(false),
        Some(_) => Some(true),
        None => has_update,
    })
}
