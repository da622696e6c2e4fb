//! Driver packages put into images with no Windows.
//!
//! drivers.md 3 has the means and where they are known from. A package is read ([`package`]), what of it applies is chosen
//! ([`select`]), its files are checked and named ([`store`]), what Windows needs to boot is told apart ([`boot`]), and
//! [`install`] puts it into an image seen through a `View` and a `HiveSet`; it returns `Change`s and never touches a WIM.
//! INFs and catalogs are copied byte for byte: a changed one would break its signature.

pub mod boot;
pub mod framework;
mod install;
mod level_a;
pub mod manifest;
pub mod package;
pub mod registry_lines;
pub mod report;
pub mod select;
pub mod sha2_updates;
pub mod signature;
pub mod store;

pub use boot::{BootCritical, BootStart};
pub use install::{DriverOptions, DriverPlan, LineEnds, Unsigned, plan};
pub use package::{MemoryFiles, PackageFile, PackageFiles};
pub use report::{DriverReport, Outcome};
