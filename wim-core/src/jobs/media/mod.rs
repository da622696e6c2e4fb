//! `wim media`: installation discs listed, described, and their files extracted.
//!
//! Discs are read in place through `media::iso_image`; they are never changed. Names of a disc come from outside: on the host
//! they become paths below the target or are left out.

mod extract;
mod info;
mod list;

pub use extract::{Existing, ExtractOptions, ExtractReport, cat, extract};
pub use info::{Hashing, InstallImage, MediaInfo, info};
pub use list::{ListedEntry, Selection, list};
