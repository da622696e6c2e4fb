//! `driver`: puts driver packages into the images of WIM files, lists, explains, removes and copies them out.
//!
//! `sources` reads packages as they come, `servicing::drivers` decides, and this room joins both with WIM files. Nothing is
//! unpacked but an image inside an image.

pub mod sources;
