//! One file per verb, named as typed: its arguments, one call into `wim_core::jobs`, and the rendering of the result.

pub(crate) mod delete;
pub(crate) mod dir;
pub(crate) mod export;
pub(crate) mod info;
pub(crate) mod optimize;
pub(crate) mod verify;

use std::fmt::Write as _;

use clap::Subcommand;
use wim_core::jobs::info::ResourceInfo;

use crate::exit::Verdict;
use crate::session::Session;

/// The verbs.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    Info(info::Arguments),
    Dir(dir::Arguments),
    Verify(verify::Arguments),
    Export(export::Arguments),
    Delete(delete::Arguments),
    Optimize(optimize::Arguments),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self {
            Self::Info(arguments) => arguments.run(session),
            Self::Dir(arguments) => arguments.run(session),
            Self::Verify(arguments) => arguments.run(session),
            Self::Export(arguments) => arguments.run(session),
            Self::Delete(arguments) => arguments.run(session),
            Self::Optimize(arguments) => arguments.run(session),
        }
    }
}

/// A resource as wimlib lists it, with an empty line behind it.
pub(crate) fn resource_lines(resource: &ResourceInfo) -> String {
    let mut text = String::new();
    let flags: String = resource.flags.iter().map(|flag| format!("WIM_RESHDR_FLAG_{flag}  ")).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Hash              = 0x{}", resource.sha1);
    let _ = writeln!(text, "Uncompressed size = {} bytes", resource.size);
    if resource.flags.contains(&"SOLID") {
        let _ = writeln!(text, "Solid offset      = {} bytes", resource.offset);
    } else {
        let _ = writeln!(text, "Compressed size   = {} bytes", resource.stored_size);
        let _ = writeln!(text, "Offset in WIM     = {} bytes", resource.offset);
    }
    let _ = writeln!(text, "Part Number       = {}", resource.part);
    let _ = writeln!(text, "Reference Count   = {}", resource.reference_count);
    let _ = writeln!(text, "Flags             = {flags}\n");
    text
}
