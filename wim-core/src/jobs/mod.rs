//! The top floor: one file per thing that a user asks for.
//!
//! A job opens what it is given, joins the rooms below and returns a plain structure for the command to print; the only
//! rooms that read the host's clock and environment are [`clock`] and [`open`]. No job prints, colours or exits.

pub mod apply;
pub mod archive;
mod assemble;
pub mod bench;
pub mod cab;
pub mod capture;
pub mod clock;
pub mod delete;
pub mod demo;
pub mod diff;
pub mod dir;
pub mod drivers;
pub mod du;
pub mod edited_image;
pub mod export;
pub mod extract;
mod image_counts;
pub mod images;
pub mod info;
pub mod info_edit;
pub mod input;
pub mod join;
pub mod media;
pub mod mount;
pub mod open;
pub mod optimize;
pub mod packages;
pub mod part_set;
pub mod properties;
mod pseudo_files;
pub mod rebuild;
pub mod registry;
pub mod slipstream;
mod source_list;
pub mod split;
pub mod target;
pub mod text_file;
pub mod update;
pub mod updates;
pub mod verify;
mod windows_xml;

pub use lz_kit::Level;
