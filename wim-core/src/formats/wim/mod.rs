//! The WIM container: `.wim`, `.swm` and `.esd` files.
//!
//! Described in Microsoft's "Windows Imaging File Format" paper and by the sources of wimlib and 7-Zip; facts that only
//! real files tell are marked where they are used. Split sets, solid resources, LZMS and pipable files are recognised and
//! refused by name. All integers are little-endian, all offsets in bytes.

pub mod attributes;
pub mod dentry;
pub mod reparse;
pub mod security;
pub mod streams;
