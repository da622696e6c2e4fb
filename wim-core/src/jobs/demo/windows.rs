//! Which Windows the demo's media pretends to be.

use crate::base::{Architecture, Error, Result};

/// A Windows version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoWindows {
    /// 7 with Service Pack 1.
    Seven,
    /// 8.1.
    EightOne,
    /// 10, 22H2.
    Ten,
    /// 11, 23H2.
    Eleven,
}

impl DemoWindows {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Seven => "Windows 7",
            Self::EightOne => "Windows 8.1",
            Self::Ten => "Windows 10",
            Self::Eleven => "Windows 11",
        }
    }

    /// Major, minor, build and revision of the versions that the media of each came with.
    pub(super) fn version(self) -> (u16, u16, u16, u16) {
        match self {
            Self::Seven => (6, 1, 7601, 17514),
            Self::EightOne => (6, 3, 9600, 17415),
            Self::Ten => (10, 0, 19045, 2006),
            Self::Eleven => (10, 0, 22631, 2428),
        }
    }
}

/// A Windows for one architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Product {
    pub(super) windows: DemoWindows,
    pub(super) architecture: Architecture,
}

impl Product {
    /// Refuses combinations that Microsoft never made.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub(super) fn new(windows: DemoWindows, architecture: Architecture) -> Result<Self> {
        let exists = match (windows, architecture) {
            (DemoWindows::Eleven, Architecture::X86) => false,
            (DemoWindows::Ten | DemoWindows::Eleven, Architecture::Arm64) => true,
            (_, architecture) => matches!(architecture, Architecture::X86 | Architecture::Amd64),
        };
        if !exists {
            return Err(Error::invalid_input(format!("there is no {} for {architecture}", windows.name())));
        }
        Ok(Self { windows, architecture })
    }

    /// True for Windows 7, whose driver store and editions are of the old kind.
    pub(super) fn is_seven(self) -> bool {
        self.windows == DemoWindows::Seven
    }
}
