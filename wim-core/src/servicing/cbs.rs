//! What the registry of an image says of its packages: the keys of Component Based Servicing in SOFTWARE.
//!
//! Sources: updates.md 5.1, drivers.md 7.4. States and look-ups that updates and drivers both need; what packages are made of is for
//! [`updates`](super::updates).

use super::hive_set::{HiveName, HiveSet};
use crate::base::Result;

/// Root of CBS below SOFTWARE.
pub const CBS: &str = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing";

/// State of a package, as CBS numbers it (Microsoft's chart of servicing states).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageState {
    /// 0: known of only.
    Absent,
    /// 0x05: to be removed at the next start.
    UninstallPending,
    /// 0x10.
    Resolving,
    /// 0x20.
    Resolved,
    /// 0x30.
    Staging,
    /// 0x40: in the store, not installed.
    Staged,
    /// 0x50: replaced by something newer.
    Superseded,
    /// 0x60: to be installed at the next start.
    InstallPending,
    /// 0x65.
    PartiallyInstalled,
    /// 0x70.
    Installed,
    /// 0x80: installed, and not to be removed.
    Permanent,
    /// A number that is not in the chart.
    Other,
}

impl PackageState {
    /// The state of a `CurrentState` value.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Absent,
            0x05 => Self::UninstallPending,
            0x10 => Self::Resolving,
            0x20 => Self::Resolved,
            0x30 => Self::Staging,
            0x40 => Self::Staged,
            0x50 => Self::Superseded,
            0x60 => Self::InstallPending,
            0x65 => Self::PartiallyInstalled,
            0x70 => Self::Installed,
            0x80 => Self::Permanent,
            _ => Self::Other,
        }
    }

    /// True for packages whose content is in use.
    #[must_use]
    pub fn is_installed(self) -> bool {
        matches!(self, Self::Installed | Self::Permanent)
    }

    /// True for packages whose content is in use, or was replaced by something newer that is.
    #[must_use]
    pub fn is_present(self) -> bool {
        self.is_installed() || self == Self::Superseded
    }

    /// True for states that only a running servicing stack leaves behind.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Self::UninstallPending | Self::Staging | Self::InstallPending | Self::PartiallyInstalled
        )
    }

    /// The state in words.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::UninstallPending => "removal pending",
            Self::Resolving => "resolving",
            Self::Resolved => "resolved",
            Self::Staging => "staging",
            Self::Staged => "staged",
            Self::Superseded => "superseded",
            Self::InstallPending => "installation pending",
            Self::PartiallyInstalled => "partially installed",
            Self::Installed => "installed",
            Self::Permanent => "permanent",
            Self::Other => "unknown",
        }
    }
}

/// Whether one of these updates (`KB4474419`) is there; none when CBS knows no package at all.
///
/// # Errors
/// What reading the SOFTWARE hive gives.
pub fn has_one_of(hives: &mut HiveSet<'_>, updates: &[&str]) -> Result<Option<bool>> {
    let wanted: Vec<String> =
        updates.iter().map(|update| format!("package_for_{update}~").to_lowercase()).collect();
    let packages = hives.subkeys(HiveName::Software, &format!("{CBS}\\Packages"))?;
    for name in &packages {
        let lower = name.to_lowercase();
        if wanted.iter().any(|wanted| lower.starts_with(wanted))
            && state_of(hives, name)?.is_some_and(PackageState::is_present)
        {
            return Ok(Some(true));
        }
    }
    Ok((!packages.is_empty()).then_some(false))
}

/// The state of a package by its name; none when it has no record, or one without a state.
///
/// # Errors
/// What reading the SOFTWARE hive gives.
pub fn state_of(hives: &mut HiveSet<'_>, package: &str) -> Result<Option<PackageState>> {
    let state = hives.get(HiveName::Software, &format!("{CBS}\\Packages\\{package}"), "CurrentState")?;
    Ok(state.and_then(|value| value.as_dword()).map(PackageState::from_number))
}
