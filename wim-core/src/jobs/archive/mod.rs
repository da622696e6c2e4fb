//! Archives that come from outside: which members they may have, how much they may come to, and where members wait.
//!
//! Cabinets and WIM files are unpacked once, into memory and nameless files, and are then read as the files of a package. What the
//! members mean is for the jobs that ask for them; nothing here is written below a folder of the user's.

mod allowance;
mod member_path;
mod opened;
mod scratch;
mod unpacked;

pub use allowance::Allowance;
pub use member_path::member_path;
pub use opened::{Archive, WimArchive};
pub use scratch::Scratch;
pub use unpacked::{UnpackedFiles, sort_members};
