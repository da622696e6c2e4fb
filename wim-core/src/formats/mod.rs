//! What is on disk: one folder per format, none knowing another.
//!
//! Each turns bytes into values and values into bytes, with no files, threads, clock or printing. Hostile bytes give an
//! error that names the place: they never panic, over-allocate or loop for ever.

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

pub mod inf;
pub mod pe;
pub mod szdd;
