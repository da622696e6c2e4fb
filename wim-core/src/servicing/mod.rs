//! Changing what an image does: registry, drivers, updates.
//!
//! Everything here sees an image through [`View`](crate::image::edit::View) and answers with
//! [`Change`](crate::image::edit::Change)s; it never touches a WIM. Planners run in a fixed order and edit the registry
//! through one [`hive_set::HiveSet`].

pub mod cbs;
pub mod drivers;
pub mod file_digests;
pub mod hive_set;
pub mod package_files;
pub mod registry;
pub mod target;
pub mod updates;
