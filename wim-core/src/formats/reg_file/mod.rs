//! Registry text files (`.reg`), both formats: "Windows Registry Editor Version 5.00" and REGEDIT4.
//!
//! The syntax is that of Microsoft's description of .reg files and of what regedit writes. Values are types and bytes;
//! where keys lie in which hive is not known here (`servicing::registry` maps them).

#![cfg_attr(test, allow(clippy::indexing_slicing, reason = "a test that panics has failed"))]

mod encoding;
mod parser;
mod scanner;
mod writer;

pub use parser::{RegAction, RegFile, RegStatement, UnknownLines};
pub use writer::RegWriter;

/// Format of a registry text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegFormat {
    /// "Windows Registry Editor Version 5.00": Windows 2000 and later, UTF-16.
    Version5,
    /// "REGEDIT4": Windows 9x and NT 4, in an ANSI code page.
    Regedit4,
}

/// Code page of REGEDIT4 files when none is named: Western European.
pub const DEFAULT_CODE_PAGE: u16 = 1252;
