//! The registry of images and of plain hive files: read, edited, exported, imported, checked, compared, rebuilt.
//!
//! A plain hive file is seen as an image that holds one hive, so that everything works the same on both. Edits of an image
//! go through [`HiveSet`](crate::servicing::hive_set::HiveSet) and [`Overlay`](crate::image::edit::Overlay); the file is
//! written anew and renamed.

mod check;
mod compact;
mod edit;
mod find;
mod hive_place;
mod target;
mod view;

pub use check::{CheckAnswer, FindingRecord, HiveCheck, HiveDifference, check, diff};
pub use compact::{CompactOptions, CompactReport, CompactedHive, compact};
pub use edit::{EditOptions, EditRecord, EditReport, ImageEdits, LeftOut, Mode, edit, load_reg_file};
pub use find::{Case, Extent, Hit, Part, Query, find};
pub use hive_place::{HivePlace, KeyPaths};
pub(super) use target::limit_bytes;
pub use target::{Registry, Target, read};
