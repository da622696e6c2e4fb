//! Driver packages put into images with no Windows.
//!
//! drivers.md 3 has the means and where they are known from. A package is read ([`package`]), what of it applies is chosen
//! ([`select`]), its files are checked and known by digests ([`staged`]), an image takes them ([`store`]), what Windows needs to boot is told apart ([`boot`]), and
//! `install` puts it into an image seen through a `View` and a `HiveSet`; it returns `Change`s and never touches a WIM.
//! Files of a package are never changed, which would break its signature; only line ends that something changed after signing
//! are given back.

mod adopt;
pub mod bindings;
pub mod boot;
pub mod database;
pub mod framework;
mod hand_over;
pub mod hardware_ids;
pub mod info;
mod install;
mod key_deletion;
mod known_to_windows;
mod level_a;
mod level_b;
pub mod lint;
mod lint_leftovers;
pub mod lint_package;
mod lint_store;
pub mod list;
pub mod list_devices;
mod list_edits;
pub mod manifest;
pub mod media_folder;
mod options;
pub mod package;
mod place;
mod policy;
pub mod profiles;
pub mod registry_lines;
mod remove;
mod remove_staged;
pub mod report;
pub mod select;
mod service_changes;
pub mod sha2_updates;
pub mod signature;
pub mod staged;
pub mod store;
mod trust;
pub mod versions;
mod winpe;

pub use boot::{BootCritical, BootStart};
pub use hardware_ids::HardwareIds;
pub use install::{DriverPlan, plan, plan_part};
pub use options::{
    DriverOptions, LineEnds, Newer, Publisher, Unbootable, Undecorated, Unsigned, WinPeClasses,
};
pub use policy::HardwareMatch;
pub use remove::{RemovalPlan, exported_files, find, plan_removal};
pub use report::{DriverReport, Outcome};
