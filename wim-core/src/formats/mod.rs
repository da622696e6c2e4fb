//! What is on disk: one folder per format, none knowing another.
//!
//! Everything here is pure: bytes to values and values to bytes, from `&[u8]` or `&dyn ReadAt`, sequentially and simply.
//! No files, threads, clock or printing; the parallel bulk reader and writer are in `transfer`.

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

pub mod cab;
pub mod catalog;
pub mod cbs;
pub mod delta;
pub mod hive;
pub mod inf;
pub mod iso9660;
pub mod metadata_file;
pub mod pe;
pub mod reg_file;
pub mod security_descriptor;
pub mod szdd;
pub mod udf;
pub mod wim;
