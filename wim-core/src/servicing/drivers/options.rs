//! How drivers are added: what the caller wants, and what becomes of packages that one may think differently about.
//!
//! Source: drivers.md 0, 3 and 7.5. The defaults are those of Windows' own tools: an unsigned driver is refused where Windows
//! would not load it. Nothing here reads an image or a package.

use super::boot::{BootCritical, BootStart};
use super::hardware_ids::HardwareIds;
use crate::base::FileTime;
use crate::formats::catalog::Certificate;
pub use crate::formats::inf::Undecorated;
use crate::formats::inf::encoding;

/// How drivers are added.
#[derive(Clone, Debug)]
pub struct DriverOptions {
    /// Start type of drivers for the boot disk.
    pub boot_start: BootStart,
    /// Which packages are put in place.
    pub boot_critical: BootCritical,
    /// What becomes of newer files, and of bindings of devices to other services.
    pub newer: Newer,
    /// Go on when the image lacks the kernel-mode framework a driver needs.
    pub ignore_framework: bool,
    /// What becomes of packages with which Windows may no longer boot.
    pub unbootable: Unbootable,
    /// What becomes of packages that Windows of the image's architecture would not load.
    pub unsigned: Unsigned,
    /// Certificates that signatures may go back to, beside Microsoft's roots.
    pub roots: Vec<Certificate>,
    /// What becomes of texts whose line ends were changed after they were signed.
    pub line_ends: LineEnds,
    /// Code page of INFs in 8-bit text that is not UTF-8.
    pub code_page: u16,
    /// What becomes of an INF that names no architecture, on Windows other than x86.
    pub undecorated: Undecorated,
    /// Whether the image is made to trust the publisher of what is added.
    pub publisher: Publisher,
    /// Only drivers for these devices; all when none.
    pub hardware: Option<HardwareIds>,
    /// Which device classes go into Windows PE.
    pub winpe_classes: WinPeClasses,
    /// When the drivers were added, for the records that Windows keeps of it; the date of each driver when none.
    pub time: Option<FileTime>,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            boot_start: BootStart::AsWritten,
            boot_critical: BootCritical::ByClass,
            newer: Newer::Keep,
            ignore_framework: false,
            unbootable: Unbootable::Refuse,
            unsigned: Unsigned::Refuse,
            roots: Vec::new(),
            line_ends: LineEnds::RestoreSigned,
            code_page: encoding::DEFAULT_CODE_PAGE,
            undecorated: Undecorated::Refuse,
            publisher: Publisher::Unchanged,
            hardware: None,
            winpe_classes: WinPeClasses::SetupNeeds,
            time: None,
        }
    }
}

/// What becomes of what an image has in a newer version, or for another driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Newer {
    /// Newer files stay, and devices stay with the services they are bound to.
    #[default]
    Keep,
    /// Both are replaced.
    Replace,
}

/// What becomes of packages without a signature that Windows accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unsigned {
    /// They are refused, except on x86, which loads them.
    #[default]
    Refuse,
    /// They are added, and the report says what is missing.
    Accept,
}

/// What becomes of texts whose line ends were changed after their catalog was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LineEnds {
    /// They get back those that the catalog vouches for; its digest proves that the result is the vendor's file.
    #[default]
    RestoreSigned,
    /// They stay.
    Keep,
}

/// Whether an image is made to trust the publisher of a driver, so that Windows does not ask when a device is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Publisher {
    /// The image's certificates stay as they are.
    #[default]
    Unchanged,
    /// The signer's certificate goes into TrustedPublisher.
    Trust,
    /// Likewise, and a root of its own (of a test certificate) goes into ROOT.
    TrustWithRoot,
}

/// Which device classes go into Windows PE, whose RAM disk is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WinPeClasses {
    /// Storage, USB, input, system and wired network: what Setup needs.
    #[default]
    SetupNeeds,
    /// All that Windows PE can use; extensions and software components never go there.
    All,
}

/// What becomes of changes after which Windows may no longer boot, by what [`lint`](super::lint) finds before and after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Unbootable {
    /// They are refused, and the image stays as it is.
    #[default]
    Refuse,
    /// They are made, and the report says what is missing.
    Accept,
}
