//! One file per verb, named as typed: its arguments, one call into `wim_core::jobs`, and the rendering of the result.

pub(crate) mod append;
pub(crate) mod apply;
pub(crate) mod bench;
pub(crate) mod cab;
pub(crate) mod capture;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod dir;
pub(crate) mod driver;
pub(crate) mod export;
pub(crate) mod extract;
pub(crate) mod info;
pub(crate) mod join;
pub(crate) mod media;
pub(crate) mod mount;
pub(crate) mod optimize;
pub(crate) mod package;
pub(crate) mod reg;
pub(crate) mod slipstream;
pub(crate) mod split;
pub(crate) mod update;
pub(crate) mod verify;

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::Subcommand;
use wim_core::base::{Error, Reason};
use wim_core::jobs::info::ResourceInfo;

use crate::exit::Verdict;
use crate::session::Session;

/// The verbs.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    Info(info::Arguments),
    Dir(dir::Arguments),
    Diff(diff::Arguments),
    Extract(extract::Arguments),
    Apply(apply::Arguments),
    Verify(verify::Arguments),
    Export(export::Arguments),
    Capture(capture::Arguments),
    Append(append::Arguments),
    Update(update::Arguments),
    Delete(delete::Arguments),
    Optimize(optimize::Arguments),
    Split(split::Arguments),
    Mount(mount::Arguments),
    Mountrw(mount::WritableArguments),
    #[command(visible_alias = "umount")]
    Unmount(mount::UnmountArguments),
    Join(join::Arguments),
    Slipstream(slipstream::Arguments),
    Driver(driver::Arguments),
    Reg(reg::Arguments),
    Cab(cab::Arguments),
    Media(media::Arguments),
    Package(package::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    #[command(external_subcommand)]
    Other(Vec<OsString>),
}

impl Verb {
    /// True for an unknown verb with `--json` behind it, where only a known one has options.
    pub(crate) fn is_unknown_with_json(&self) -> bool {
        matches!(self, Self::Other(words) if words.iter().any(|word| word == "--json"))
    }

    /// Does it.
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self {
            Self::Info(arguments) => arguments.run(session),
            Self::Dir(arguments) => arguments.run(session),
            Self::Diff(arguments) => arguments.run(session),
            Self::Extract(arguments) => arguments.run(session),
            Self::Apply(arguments) => arguments.run(session),
            Self::Verify(arguments) => arguments.run(session),
            Self::Export(arguments) => arguments.run(session),
            Self::Capture(arguments) => arguments.run(session),
            Self::Append(arguments) => arguments.run(session),
            Self::Update(arguments) => arguments.run(session),
            Self::Delete(arguments) => arguments.run(session),
            Self::Optimize(arguments) => arguments.run(session),
            Self::Split(arguments) => arguments.run(session),
            Self::Mount(arguments) => arguments.run(session),
            Self::Mountrw(arguments) => arguments.run(session),
            Self::Unmount(arguments) => arguments.run(session),
            Self::Join(arguments) => arguments.run(session),
            Self::Slipstream(arguments) => arguments.run(session),
            Self::Driver(arguments) => arguments.run(session),
            Self::Reg(arguments) => arguments.run(session),
            Self::Cab(arguments) => arguments.run(session),
            Self::Media(arguments) => arguments.run(session),
            Self::Package(arguments) => arguments.run(session),
            Self::Demo(arguments) => arguments.run(session),
            Self::Bench(arguments) => arguments.run(session),
            Self::Other(words) => Err(unknown_verb(&words).into()),
        }
    }
}

fn unknown_verb(words: &[OsString]) -> Error {
    let verb = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    Error::invalid_input(format!("there is no verb {verb:?}"))
        .because(Reason::NoSuchVerb)
        .remedy("list the verbs with: wim --help")
}

/// A resource as wimlib lists it, with an empty line behind it.
pub(crate) fn resource_lines(resource: &ResourceInfo) -> String {
    let mut text = String::new();
    let flags: String = resource.flags.iter().map(|flag| format!("WIM_RESHDR_FLAG_{flag}  ")).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Hash              = 0x{}", resource.sha1);
    if resource.is_absent() {
        text.push('\n');
        return text;
    }
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
