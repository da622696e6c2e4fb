//! One image: its tree of names and files, and edits to it.
//!
//! A tree knows digests, not compression; what the bytes behind a digest are comes through
//! [`edit::content`]. Nothing here reads a WIM file: `transfer` brings metadata and blobs in and out.

pub mod edit;
pub mod path;

pub use path::WimPath;
