//! The kernel-mode driver framework: what a package needs, what an image has.
//!
//! Source: drivers.md 6.2. A co-installer that would bring a newer framework runs when the device is installed, too late for a
//! driver that Windows needs to boot, so only what the image holds counts.

use super::select::Selection;
use super::store::{ImageFiles, file_version, refusal};
use crate::base::{Error, Result};
use crate::formats::inf::TargetWindows;

/// A framework version: major, minor.
pub type KmdfVersion = (u16, u16);

/// The last framework there is for Windows 7.
const LAST_FOR_WINDOWS_7: KmdfVersion = (1, 11);

/// Parses `1.11`.
#[must_use]
pub fn parse_version(text: &str) -> Option<KmdfVersion> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The version a Windows came with.
#[must_use]
pub const fn shipped_version(target: &TargetWindows) -> KmdfVersion {
    match (target.major, target.minor) {
        (6, 0) => (1, 5),
        (6, 1) => (1, 9),
        (6, 2) => (1, 11),
        (6, 3) => (1, 13),
        _ => of_windows_10(target.build),
    }
}

/// Windows 10 and 11: each release has its own.
const fn of_windows_10(build: u32) -> KmdfVersion {
    let minor = match build {
        0..=10585 => 15,
        10586..=14392 => 17,
        14393..=15062 => 19,
        15063..=16298 => 21,
        16299..=17133 => 23,
        17134..=17762 => 25,
        17763..=18361 => 27,
        18362..=19040 => 29,
        19041..=21999 => 31,
        _ => 33,
    };
    (1, minor)
}

/// The version an image has.
///
/// # Errors
/// What reading the image gives.
pub fn present_version(image: &ImageFiles<'_>, target: &TargetWindows) -> Result<KmdfVersion> {
    let path = image.spelled("\\Windows\\System32\\drivers\\Wdf01000.sys")?;
    let present = image.read(&path)?.and_then(|bytes| file_version(&bytes));
    Ok(present.map_or_else(|| shipped_version(target), |[major, minor, ..]| (major, minor)))
}

/// Checks that the image has the framework that `selection` needs.
///
/// # Errors
/// `InvalidInput` that names the driver, both versions and the update that helps; what reading the image gives.
pub fn check(selection: &Selection, image: &ImageFiles<'_>, target: &TargetWindows) -> Result<()> {
    let needs = selection.installs.iter().flat_map(|selected| &selected.install.kmdf);
    let newest = needs.filter_map(|(service, text)| Some((parse_version(text)?, service, text))).max();
    let Some((needed, service, text)) = newest else { return Ok(()) };
    let present = present_version(image, target)?;
    if needed <= present {
        return Ok(());
    }
    let message = format!(
        "service {service} needs the kernel-mode driver framework {text}, the image has {}.{}",
        present.0, present.1
    );
    Err(if (target.major, target.minor) > (6, 1) {
        refusal(message, "use a version of the driver made for this Windows")
    } else if needed > LAST_FOR_WINDOWS_7 {
        refusal(
            message,
            "use a version of the driver made for Windows 7; it has no framework later than 1.11",
        )
    } else {
        refusal(message, "add the update KB2685811 (KMDF 1.11) to this image first")
    })
}

/// The same finding for a caller that goes on regardless.
#[must_use]
pub fn as_finding(e: &Error) -> String {
    format!("{e}; installed regardless, as asked")
}
