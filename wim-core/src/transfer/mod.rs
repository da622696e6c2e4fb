//! Bulk reading and writing: blobs in and out of WIM files, members in and out of cabinets, on all cores.
//!
//! Everything runs through [`map_in_order`](crate::base::pipeline::map_in_order), within the memory of the caller's
//! [`Context`](crate::base::Context). Only [`mod@write`] makes WIM files and [`pack`] cabinets; nothing here parses a hive or a driver.

pub mod apply;
pub mod capture;
mod host_case;
pub mod host_name;
pub mod integrity;
#[cfg(all(feature = "fuse", target_os = "linux"))]
pub mod mount;
mod ntfs_volume;
pub mod pack;
pub mod read;
#[cfg(feature = "http")]
pub mod remote;
pub mod spool;
pub mod unpack;
pub mod verify;
pub mod write;
