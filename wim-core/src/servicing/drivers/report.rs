//! What became of each driver package, for people and for `--json`.
//!
//! The shapes here are what the command prints; they hold text and no borrowed data.

use serde::Serialize;

use super::signature::SignatureReport;
use crate::base::{Error, ErrorKind};

/// What became of one INF on one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriverReport {
    /// What its source is called.
    pub source: String,
    /// Path of the INF in its source.
    pub inf: String,
    /// Device class.
    pub class: Option<String>,
    /// Who made it.
    pub provider: Option<String>,
    /// `2017-05-11`.
    pub date: Option<String>,
    /// `5.0.4.43`.
    pub version: Option<String>,
    /// The catalog that signs it.
    pub catalog: CatalogState,
    /// Who vouches for it; none when that was not looked into because the package is not for this image.
    pub signature: Option<SignatureReport>,
    /// What became of it.
    pub outcome: Outcome,
    /// What was odd, with line and column where it is about the INF.
    pub findings: Vec<String>,
}

/// Whether a package has the catalog its INF names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CatalogState {
    /// The INF names none: the package is unsigned.
    None,
    /// It names one that is not there.
    Missing {
        /// Its name.
        name: String,
    },
    /// It is there; the signature report says what it is worth.
    Present {
        /// Its name.
        name: String,
    },
}

/// What became of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It was added.
    Added(Added),
    /// It is in the image already, whole.
    AlreadyPresent {
        /// Its folder.
        folder: String,
    },
    /// It was refused; the image is as if it had not been given.
    Refused {
        /// What kind of refusal; decides the exit code.
        #[serde(skip)]
        kind: ErrorKind,
        /// Why.
        reason: String,
        /// What can be done about it.
        remedy: Option<String>,
    },
    /// It is for another Windows.
    Skipped {
        /// Why.
        reason: String,
        /// The decorations of its `[Manufacturer]` lines that did not fit.
        decorations: Vec<String>,
    },
}

impl Outcome {
    /// A refusal for the reason of an error.
    #[must_use]
    pub fn refused(e: &Error) -> Self {
        Self::Refused { kind: e.kind(), reason: e.to_string(), remedy: e.remedy_text().map(str::to_owned) }
    }
}

/// How a driver was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Added {
    /// By which means.
    pub how: How,
    /// The package's folder in the image.
    pub folder: String,
    /// It was there in part; what was missing has been added.
    pub completed: bool,
    /// Windows has it in place before it looks for drivers: files, services and devices are registered.
    pub boot_critical: bool,
    /// Its services.
    pub services: Vec<ServiceReport>,
    /// Its device ids.
    pub device_ids: Vec<String>,
    /// Files written to places of Windows itself.
    pub files: Vec<String>,
}

/// The means by which a driver is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Windows Vista and 7: a folder on the device path; services and critical devices for boot-critical classes.
    LevelA,
    /// Windows 8 and later: the driver store and its database.
    LevelB,
}

/// One service of an added driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceReport {
    /// Its name.
    pub name: String,
    /// Its start type: 0 is loaded by the boot loader, 3 on demand.
    pub start: u32,
    /// It is the devices' function driver.
    pub function_driver: bool,
}
