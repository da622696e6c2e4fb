//! UDF 1.02 to 2.60, the file system in which Microsoft's installation discs hold everything.
//!
//! Volumes are described in ECMA-167 (3rd edition) and restricted by OSTA UDF; field offsets stand beside the code that reads
//! them. It does not write, replay open sessions or read named streams, and it does not repair: what contradicts itself is
//! refused with structure, field and sector.
//!
//! A [`Volume`] is found from its anchor; [`Volume::directory`] gives names with the places of their file entries,
//! [`Volume::file`] what a file entry says, and [`Volume::content`] its bytes as extents of the disc.

mod allocation;
mod anchor;
mod directory;
mod file_entry;
mod partition;
mod tag;
mod text;
mod volume;

pub use anchor::is_recognised;
pub use directory::Name;
pub use file_entry::{FileEntry, FileKind};
pub use partition::IcbPlace;
pub use volume::Volume;
