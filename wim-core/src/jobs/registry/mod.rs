//! The registry of images and of plain hive files: read, edited, exported, imported, checked, compared, rebuilt.
//!
//! A plain hive file is seen as an image that holds one hive, so that everything works the same on both. Edits of an image
//! go through [`HiveSet`](crate::servicing::hive_set::HiveSet) and [`Overlay`](crate::image::edit::Overlay); the file is
//! written anew and renamed.

mod check;
mod edit;
mod target;
mod view;

pub use check::{CheckAnswer, CompactReport, FindingRecord, HiveCheck, HiveDifference, check, compact, diff};
pub use edit::{EditRecord, EditReport, ImageEdits, Mode, edit};
pub use target::{Registry, Target, read};
