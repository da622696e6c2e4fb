//! Windows images, read, edited and written with no Windows.
//!
//! Five floors, each using only those below it (`tests/rooms.rs` holds them to it):
//!
//! - [`base`]: units, errors, random-access bytes, progress, the parallel pipeline, atomic output.
//! - [`formats`]: what is on disk, one folder per format.
//! - [`image`]: an image's tree and edits to it.
//! - [`media`]: installation discs, as trees of files and as Windows media.
//! - [`servicing`]: registry, drivers and updates: what to change in an image, and why.
//! - [`transfer`]: bulk reading and writing on all cores.
//! - [`jobs`]: one file per thing that a user asks for; it joins the rooms below.

pub mod base;
pub mod formats;
pub mod image;
pub mod jobs;
pub mod media;
pub mod servicing;
pub mod transfer;
