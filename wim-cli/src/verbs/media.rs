//! `wim media`: installation discs described and listed, and their files extracted.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use wim_core::base::{Error, ErrorKind};
use wim_core::jobs::media::{
    self as job, ExtractOptions, Hashing, InstallImage, ListedEntry, MediaInfo, Selection,
};
use wim_core::media::{EntryKind, FileSystem};

use crate::arguments::{DestinationArguments, extracted_line};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;
use crate::shell::SCHEMA_VERSION;

/// List, describe and extract installation discs (.iso)
///
/// DISC is a disc image with UDF or ISO 9660 (Joliet, Rock Ridge); it is read in place and never changed. A path on it may stand
/// behind a colon, as in win7.iso:/sources. All verbs that read WIM files take win7.iso for the install image on the disc, and
/// win7.iso:/sources/boot.wim for any other.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// What the disc is: file systems, how it boots, which Windows it installs
    Info {
        disc: PathBuf,
        /// Read all of the disc and look its SHA-1 up among the published ones
        #[arg(long)]
        hash: bool,
    },
    /// List what is on the disc
    ///
    /// With --json: one object a line, first {"schema_version", "verb"}, then for each name {"path", "kind", "size",
    /// "modified", "hidden"}. Exit code 1 when nothing fits a PATH.
    Ls {
        disc: PathBuf,
        #[command(flatten)]
        selecting: Selecting,
        /// List sizes and times as well
        #[arg(long)]
        detailed: bool,
    },
    /// Write a file of the disc to standard output
    Cat {
        disc: PathBuf,
        /// Path of the file on the disc; left out when it stands behind a colon
        path: Option<String>,
    },
    /// Extract files of the disc
    ///
    /// Directories are made as on the disc. Each file appears when it is whole. Links, devices and names that this system refuses
    /// are left out with a warning. Exit code 1 when nothing fits a PATH.
    Extract {
        disc: PathBuf,
        #[command(flatten)]
        selecting: Selecting,
        #[command(flatten)]
        destination: DestinationArguments,
    },
}

/// Which files of the disc.
#[derive(Args, Debug)]
struct Selecting {
    /// Paths from the root of the disc, in any case, with either slash; names may have the wildcards * and ?; a directory means all
    /// below it
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Only files whose names fit, wherever they are, as in --glob='*.wim'
    #[arg(long, value_name = "PATTERN")]
    glob: Vec<String>,
}

impl Selecting {
    fn selection(self) -> Selection {
        Selection { paths: self.paths, names: self.glob }
    }
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        match self.action {
            Action::Info { disc, hash } => {
                let hashing = if hash { Hashing::Sha1 } else { Hashing::Skip };
                let info = session.run(|cx| job::info(cx, &disc, hashing))?;
                if session.shell.is_json() {
                    session.shell.json("media info", &info)?;
                } else {
                    session.shell.answer(&info_text(&info))?;
                }
            }
            Action::Ls { disc, selecting, detailed } => {
                list(session, &disc, &selecting.selection(), detailed)?;
            }
            Action::Cat { disc, path } => {
                if session.shell.is_json() {
                    return Err(Error::invalid_input("the bytes of a file are no JSON")
                        .remedy("leave --json out, or extract the file with: wim media extract")
                        .into());
                }
                let mut out = session.shell.stdout();
                session.run(|cx| job::cat(cx, &disc, path.as_deref(), &mut out))?;
                out.flush()?;
            }
            Action::Extract { disc, selecting, destination } => {
                let options =
                    ExtractOptions { selection: selecting.selection(), existing: destination.existing() };
                let report = session.run(|cx| job::extract(cx, &disc, &destination.dest_dir, &options))?;
                if session.shell.is_json() {
                    session.shell.json("media extract", &report)?;
                }
                session.shell.say(&extracted_line(report.files, report.bytes, report.kept))?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// Prints entry by entry, as the disc is walked.
fn list(
    session: &Session,
    disc: &std::path::Path,
    selection: &Selection,
    detailed: bool,
) -> Result<(), Error> {
    let mut out = session.shell.stdout();
    let failed = |e: std::io::Error| {
        Error::new(ErrorKind::Io, format!("cannot write: {e}")).in_file("standard output").with_source(e)
    };
    if session.shell.is_json() {
        writeln!(out, "{}", json!({ "schema_version": SCHEMA_VERSION, "verb": "media ls" }))
            .map_err(failed)?;
    }
    let mut show = |entry: ListedEntry| {
        if session.shell.is_json() {
            let object = serde_json::to_value(&entry).map_err(|e| failed(e.into()))?;
            return writeln!(out, "{object}").map_err(failed);
        }
        let line = if detailed { detailed_line(&entry) } else { entry.path };
        writeln!(out, "{}", session.shell.visible(&line)).map_err(failed)
    };
    session.run(|cx| job::list(cx, disc, selection, &mut show))?;
    out.flush().map_err(failed)
}

fn detailed_line(entry: &ListedEntry) -> String {
    let size = match entry.kind {
        EntryKind::Directory => "<DIR>".to_owned(),
        EntryKind::File => entry.size.to_string(),
        EntryKind::SymbolicLink => "<LINK>".to_owned(),
        EntryKind::Other => "<OTHER>".to_owned(),
    };
    let time = entry.modified.map_or_else(String::new, |time| time.to_string());
    format!("{size:>12}  {time:19.19}  {}", entry.path)
}

fn info_text(info: &MediaInfo) -> String {
    let mut text = String::new();
    let system = |one: &FileSystem| match (one, &info.udf_revision) {
        (FileSystem::Udf, Some(revision)) => format!("UDF {revision}"),
        _ => one.to_string(),
    };
    let systems: Vec<String> = info.file_systems.iter().map(system).collect();
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<14}{value}");
        }
    };
    line("Path:", &info.path);
    line("Size:", &format!("{} bytes", info.bytes));
    line("Label:", &info.label);
    line("File systems:", &systems.join(", "));
    line("Publisher:", info.publisher.as_deref().unwrap_or_default());
    line("Made by:", info.application.as_deref().unwrap_or_default());
    line("Made:", &info.created.map(|time| time.to_string()).unwrap_or_default());
    if let Some(boot) = &info.boot {
        for entry in &boot.entries {
            let bootable = if entry.bootable { "" } else { ", not bootable" };
            let value = format!(
                "{}, emulation {}, {} x 512 bytes at sector {}{bootable}",
                entry.platform, entry.emulation, entry.sector_count, entry.sector
            );
            line("Boots:", &value);
        }
        if !boot.checksum_is_right {
            line("Boots:", "the boot catalogue has a wrong checksum; UEFI firmware passes it over");
        }
    } else {
        line("Boots:", "no");
    }
    line("SHA-1:", info.sha1.as_deref().unwrap_or_default());
    if info.sha1.is_some() {
        let known = match info.known {
            Some(disc) if disc.sources > 1 => {
                format!("{}, confirmed by {} sources", disc.file_name, disc.sources)
            }
            Some(disc) => format!("{}, listed but unconfirmed", disc.file_name),
            None => "unknown; other languages and later editions are not in the list".to_owned(),
        };
        line("Published as:", &known);
    }
    info.install_images.iter().for_each(|image| text += &install_text(image));
    if info.install_images.is_empty() {
        text += "\nIt holds no install image.\n";
    }
    text
}

fn install_text(install: &InstallImage) -> String {
    let mut text = String::new();
    let parts =
        if install.total_parts > 1 { format!(" in {} parts", install.total_parts) } else { String::new() };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{} ({} bytes{parts})", install.path, install.bytes);
    for image in &install.images {
        let name = image.display_name.as_ref().or(image.name.as_ref()).map_or("", String::as_str);
        let windows = image.windows.as_ref();
        let architecture = windows.map_or("", |windows| windows.architecture);
        let version = windows.and_then(|windows| windows.version);
        let version = version.map_or_else(String::new, |[major, minor, build, service_pack_build, _]| {
            format!("{major}.{minor}.{build}.{service_pack_build}")
        });
        let edition = windows.and_then(|windows| windows.edition_id.as_deref()).unwrap_or_default();
        let _ = writeln!(text, "{:>4}  {name}  {edition}  {architecture}  {version}", image.index);
    }
    let settings = &install.settings;
    if let Some(edition) = &settings.edition {
        let _ = writeln!(
            text,
            "      ei.cfg: edition {}, channel {}, volume licence {}",
            edition.edition_id.as_deref().unwrap_or("any"),
            edition.channel.as_deref().unwrap_or("any"),
            if edition.volume_licence { "yes" } else { "no" }
        );
    }
    if settings.has_product_key {
        text += "      pid.txt: a product key\n";
    }
    if settings.has_answer_file {
        text += "      autounattend.xml: an answer file\n";
    }
    text
}
