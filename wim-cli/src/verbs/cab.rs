//! `wim cab`: cabinets listed, extracted, tested and made.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use wim_core::base::atomic_file::IfExists;
use wim_core::base::code_page::WESTERN;
use wim_core::base::{Error, ErrorKind};
use wim_core::formats::cab::FolderCompression;
use wim_core::jobs::Level;
use wim_core::jobs::cab::{
    self as job, Bound, CabinetInfo, CreateOptions, ExtractOptions, ExtractReport, OpenOptions, Set,
};

use crate::arguments::{DestinationArguments, extracted_line, parse_bytes, parse_level};
use crate::error_report;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;

/// List, extract, test and make cabinets (.cab, .msu)
///
/// CABINET may be one of a set, whose others are taken from the same folder, or a program with cabinets inside. Stored, MSZIP,
/// Quantum and LZX folders are read, several at once; MSZIP and LZX are written. Times are taken for UTC.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// List the members
    List {
        cabinet: PathBuf,
        #[command(flatten)]
        opening: Opening,
    },
    /// Extract members
    ///
    /// Members that would lie outside of DIR, or have names that no Windows file has, are refused before anything is written.
    /// Exit code 1 when nothing fits a NAME.
    Extract {
        cabinet: PathBuf,
        /// Members to extract, in any case, with the wildcards * and ?; all without it
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        destination: DestinationArguments,
        #[command(flatten)]
        opening: Opening,
        #[command(flatten)]
        size: SizeOption,
    },
    /// Read everything and compare checksums; exit code 1 when there is damage
    Test {
        cabinet: PathBuf,
        #[command(flatten)]
        opening: Opening,
        #[command(flatten)]
        size: SizeOption,
    },
    /// Make a cabinet of files, and of folders with everything below them
    ///
    /// The same files and times give the same bytes; times later than SOURCE_DATE_EPOCH become that.
    Create {
        cabinet: PathBuf,
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Compression
        #[arg(long, value_enum, default_value_t = Method::Lzx)]
        compress: Method,
        /// fast, normal, max, or a number on the scale of WIM compression
        #[arg(long, value_parser = parse_level, default_value = "normal")]
        level: Level,
        /// Base-2 logarithm of the window of LZX
        #[arg(long, value_name = "N", default_value_t = 21, value_parser = clap::value_parser!(u8).range(15..=21))]
        window: u8,
        /// Begin another folder after so many bytes; folders are packed and unpacked beside each other
        #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = parse_bytes)]
        folder_size: u64,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
    },
}

/// How cabinets are opened.
#[derive(Args, Debug)]
struct Opening {
    /// Code page of names that are not in UTF-8
    #[arg(long, value_name = "NUMBER", default_value_t = WESTERN)]
    code_page: u16,
    /// Leave the other cabinets of its set alone
    #[arg(long)]
    single: bool,
}

impl Opening {
    fn options(&self) -> OpenOptions {
        OpenOptions { code_page: self.code_page, set: if self.single { Set::Ignore } else { Set::Join } }
    }
}

/// How much may come out of a cabinet.
#[derive(Args, Clone, Copy, Debug)]
struct SizeOption {
    /// Unpack however much it comes to: without it more than 100 times the size of the cabinet, if over 256M, is refused
    #[arg(long)]
    any_size: bool,
}

impl From<SizeOption> for Bound {
    fn from(option: SizeOption) -> Self {
        if option.any_size { Self::None } else { Self::Sane }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Not at all.
    None,
    /// Deflate.
    Mszip,
    /// LZX.
    Lzx,
}

#[derive(Serialize)]
struct Listed {
    cabinets: Vec<CabinetInfo>,
}

/// The answer of `cab test`.
#[derive(Serialize)]
struct Tested {
    damaged: bool,
    #[serde(flatten)]
    report: ExtractReport,
    error: Value,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self.action {
            Action::List { cabinet, opening } => {
                let cabinets = session.run(|cx| job::list(cx, &cabinet, opening.options()))?;
                if session.shell.is_json() {
                    session.shell.json("cab list", &Listed { cabinets })?;
                } else {
                    session.shell.answer(&cabinets.iter().map(listing).collect::<String>())?;
                }
                Ok(Outcome::Done)
            }
            Action::Extract { cabinet, names, destination, opening, size } => {
                let existing = destination.existing();
                let options =
                    ExtractOptions { open: opening.options(), patterns: names, existing, bound: size.into() };
                let report = session.run(|cx| job::extract(cx, &cabinet, &destination.dest_dir, &options))?;
                if session.shell.is_json() {
                    session.shell.json("cab extract", &report)?;
                }
                session.shell.say(&extracted_line(report.files, report.bytes, report.kept))?;
                Ok(Outcome::Done)
            }
            Action::Test { cabinet, opening, size } => {
                test(session, &cabinet, opening.options(), size.into())
            }
            Action::Create { cabinet, files, compress, level, window, folder_size, force } => {
                let options = CreateOptions {
                    compression: compression(compress, level, window)?,
                    folder_bytes: folder_size,
                    if_exists: if force { IfExists::Replace } else { IfExists::Refuse },
                };
                let report = session.run(|cx| job::create(cx, &cabinet, &files, &options))?;
                if session.shell.is_json() {
                    session.shell.json("cab create", &report)?;
                }
                session.shell.say(&format!(
                    "{} files, {} bytes in {} folders: {} bytes",
                    report.members, report.member_bytes, report.folders, report.cabinet_bytes
                ))?;
                Ok(Outcome::Done)
            }
        }
    }
}

fn compression(method: Method, level: Level, window: u8) -> Result<FolderCompression, Error> {
    Ok(match method {
        Method::None => FolderCompression::Stored,
        Method::Mszip => FolderCompression::Mszip(level),
        Method::Lzx => FolderCompression::lzx(window, level)?,
    })
}

/// Damage is an answer; anything else that goes wrong is a failure.
fn test(session: &Session, cabinet: &std::path::Path, options: OpenOptions, bound: Bound) -> Verdict {
    let (report, error) = match session.run(|cx| job::test(cx, cabinet, options, bound)) {
        Ok(report) => (report, None),
        Err(e) if matches!(e.kind(), ErrorKind::Format | ErrorKind::Corrupt) => {
            (ExtractReport::default(), Some(e))
        }
        Err(e) => return Err(e.into()),
    };
    if session.shell.is_json() {
        let value = error.as_ref().map_or(Value::Null, |e| error_report::object(e)["error"].clone());
        session.shell.json("cab test", &Tested { damaged: error.is_some(), report, error: value })?;
    } else if let Some(e) = &error {
        session.shell.answer(&format!("damage: {e}\n"))?;
    } else {
        session.shell.say(&format!("{} files, {} bytes: no damage", report.files, report.bytes))?;
    }
    Ok(if error.is_some() { Outcome::No } else { Outcome::Done })
}

/// A cabinet as text: one line a member.
fn listing(cabinet: &CabinetInfo) -> String {
    let mut text = String::new();
    let methods: Vec<&str> = cabinet.folders.iter().map(|folder| folder.method.as_str()).collect();
    let mut distinct = methods.clone();
    distinct.dedup();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}: {} members in {} folders ({})",
        cabinet.name,
        cabinet.members.len(),
        methods.len(),
        distinct.join(", ")
    );
    for (label, neighbour) in [("goes on from", &cabinet.previous), ("goes on in", &cabinet.next)] {
        if let Some(file) = neighbour {
            let _ = writeln!(text, "  {label} {file}, which is not here");
        }
    }
    for member in &cabinet.members {
        let time = member.modified.map_or_else(String::new, |time| time.to_string());
        let _ = writeln!(text, "{:>12}  {time:19}  {}", member.size, member.name);
    }
    text
}
