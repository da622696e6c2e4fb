//! Installation media: discs as trees of files, and what makes a tree Windows media.
//!
//! [`iso_image`] joins the disc formats, [`windows_media`] finds the install image and Setup's settings in it, and
//! [`known_discs`] recognises published ones. Nothing here opens host files or writes.

pub mod iso_image;
pub mod known_discs;
pub mod windows_media;

pub use iso_image::{DiscEntry, EntryKind, FileSystem, IsoImage};
