//! Updates: what a package brings, what an image has, and what the one would do to the other.
//!
//! Sources: updates.md 3, 4, 5 and 7. Everything is judged from the package's own manifests and from the image's records;
//! a table adds what Windows 7 packages do not say themselves. Nothing here changes an image, and nothing forces an update
//! that the image's own servicing stack would refuse.
//!
//! | file | subject |
//! |---|---|
//! | `names.rs` | the hash of an identity, key forms, names of registry values |
//! | `base_manifest.rs` | compressed manifests of Windows 8 and later |
//! | `package.rs` | a package with its children and the manifests of its components |
//! | `image_state.rs` | packages, components, servicing stack and pending operations of an image |
//! | `applicability.rs` | whether parents, conditions and components fit the image |
//! | `installers.rs` | which installers of Windows a component needs |
//! | `windows7.rs` | prerequisites, order and replacements for Windows 7, with their sources |
//! | `judge.rs`, `check.rs` | one package, several packages: outcome, reason, order |
//! | `plan/` | what integrating a package would do, as data |

mod applicability;
mod base_manifest;
mod check;
mod image_state;
mod installers;
mod judge;
pub mod names;
mod package;
mod plan;
pub mod windows7;

pub use applicability::{AppliedUpdate, Distribution};
pub use base_manifest::{BaseManifest, expand_manifest};
pub use check::{Checked, check};
pub use image_state::{ImageState, InstalledPackage, PackageState, Winner};
pub use installers::installers_needed;
pub use judge::{InstallerNeed, Judgement, Missing, Outcome, judge};
pub use package::{Branch, Deployed, Kb, LoadedManifest, PackageEntry, UpdatePackage, kb_of};
pub use plan::{
    ComponentClass, PlannedAction, PlannedComponent, PlannedDirectory, PlannedEdit, PlannedFile, PlannedLink,
    UpdatePlan, plan,
};
