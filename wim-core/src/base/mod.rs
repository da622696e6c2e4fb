//! The ground floor: bytes, units, errors, progress and the parallel pipeline.
//!
//! Everything above speaks in these types. Nothing here knows a file format, and only [`atomic_file`],
//! [`in_place_file`] and the file implementation of [`read_at::ReadAt`] touch a file system.

pub mod architecture;
pub mod atomic_file;
pub mod base64;
pub mod calendar;
pub mod cancel;
pub mod code_page;
pub mod context;
pub mod digest;
pub mod error;
pub mod extents;
pub mod fields;
pub mod filetime;
pub mod guid;
pub mod hex;
pub mod in_place_file;
pub mod long_path;
pub mod mszip;
pub mod pipeline;
pub mod progress;
pub mod read_at;
pub mod reason;
pub mod section;
pub mod sequential_output;
pub mod sha1;
pub mod units;
pub mod upcase;
pub mod utf16;
pub mod windows_name;
mod write_behind;
pub mod xml;

pub use architecture::Architecture;
pub use cancel::Cancel;
pub use context::Context;
pub use digest::Digest;
pub use error::{Error, ErrorKind, Place, Result};
pub use extents::{Extent, Extents};
pub use fields::Fields;
pub use filetime::FileTime;
pub use guid::Guid;
pub use long_path::LongPath;
pub use progress::{Progress, Recording, Silent, Stage};
pub use read_at::{FileSource, ReadAt, WriteAt};
pub use reason::Reason;
pub use section::Section;
pub use sha1::{Sha1Digest, Sha1Hasher};
pub use units::{ChunkSize, ImageIndex, PartNumber, SecurityId};
pub use utf16::WimString;
