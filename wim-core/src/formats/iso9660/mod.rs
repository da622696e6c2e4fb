//! ISO 9660 discs with Joliet, Rock Ridge and El Torito.
//!
//! Volumes are described in ECMA-119, Joliet names in Microsoft's Joliet specification, longer names and links in SUSP and RRIP
//! 1.12, boot entries in El Torito 1.0. It does not read interleaved files or zisofs compression, writes nothing, and guesses
//! nothing: both-endian numbers that disagree are refused with structure, field and sector.
//!
//! A [`Volume`] is one of the trees of a disc; [`Volume::directory`] gives its records, [`Volume::content`] their bytes as
//! extents of the disc.

mod descriptors;
mod directory;
pub mod el_torito;
mod rock_ridge;
mod volume;

pub use descriptors::is_recognised;
pub use directory::Record;
pub use volume::{Mastering, Names, Volume};
