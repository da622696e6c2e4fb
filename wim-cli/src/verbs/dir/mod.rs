//! `wim dir`: the files of an image.

mod usage;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wim_core::base::{Context, Error, ImageIndex};
use wim_core::jobs::dir::{Depth, DirEntry, Listing};
use wim_core::jobs::images;
use wim_core::jobs::open::Check;
use wim_core::jobs::part_set::PartSet;

use crate::arguments::ReferenceArguments;
use crate::exit::{Outcome, Verdict};
use crate::session::Session;
use crate::shell::SCHEMA_VERSION;
use crate::verbs::resource_lines;

use self::usage::UsageArguments;

/// List the files of an image
///
/// IMAGE may be left out when there is only one; "all" lists every image.
///
/// With --json: one object a line, first {"schema_version", "verb"}, then for each file {"image", "path"} or, with
/// --detailed, all that is known of it; with --du, for each folder {"image", "path", "directories", "files", "bytes",
/// "distinct_bytes", "own_bytes", "stored_bytes", "own_stored_bytes"}. Exit code 1 when PATH is not in the image.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Number, name or edition of the image, or all
    image: Option<String>,
    /// List this file, or this directory and what it holds
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    path: String,
    /// List attributes, times, security descriptors and streams as well
    #[arg(long)]
    detailed: bool,
    /// List the file or directory at --path alone
    #[arg(long)]
    one_file_only: bool,
    #[command(flatten)]
    usage: UsageArguments,
    #[command(flatten)]
    references: ReferenceArguments,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let references = &self.references.references;
        let set = session.run(|cx| PartSet::open(&self.wimfile, references, Check::Nothing, cx))?;
        let wim = &set.wim;
        let chosen = match self.image.as_deref() {
            Some(text) if images::is_all(text) => images::choose(wim, text)?,
            text => vec![images::choose_one(wim, text)?],
        };
        self.usage.check(chosen.len())?;
        if session.shell.is_json() {
            let mut out = session.shell.stdout();
            writeln!(out, "{}", json!({ "schema_version": SCHEMA_VERSION, "verb": "dir" }))?;
            out.flush()?;
        }
        for image in chosen {
            if self.usage.is_given() {
                self.usage.show(session, &set, (image, &self.path))?;
                continue;
            }
            let listing = session.run(|cx| self.listing(&set, image, cx))?;
            self.print(session, image, &listing)?;
        }
        Ok(Outcome::Done)
    }

    fn listing<'w>(
        &self,
        set: &'w PartSet,
        image: ImageIndex,
        cx: &Context<'_>,
    ) -> Result<Listing<'w>, Error> {
        let depth = if self.one_file_only { Depth::StartOnly } else { Depth::Everything };
        Listing::new(set, image, &self.path, depth, cx)
    }

    /// Prints one image, entry by entry.
    fn print(&self, session: &Session, image: ImageIndex, listing: &Listing<'_>) -> std::io::Result<()> {
        let mut out = session.shell.stdout();
        let image = image.number();
        match (session.shell.is_json(), self.detailed) {
            (true, false) => {
                for path in listing.paths() {
                    writeln!(out, "{}", json!({ "image": image, "path": path }))?;
                }
            }
            (true, true) => {
                for entry in listing.entries() {
                    let mut object = serde_json::to_value(&entry).map_err(std::io::Error::other)?;
                    object["image"] = image.into();
                    writeln!(out, "{object}")?;
                }
            }
            (false, false) => {
                for path in listing.paths() {
                    writeln!(out, "{}", session.shell.visible(&path))?;
                }
            }
            (false, true) => {
                for entry in listing.entries() {
                    out.write_all(session.shell.visible(&entry_text(&entry)).as_bytes())?;
                }
            }
        }
        out.flush()
    }
}

/// Names of the attribute bits as wimlib prints them.
const ATTRIBUTE_NAMES: [(u32, &str); 15] = [
    (0x1, "READONLY"),
    (0x2, "HIDDEN"),
    (0x4, "SYSTEM"),
    (0x10, "DIRECTORY"),
    (0x20, "ARCHIVE"),
    (0x40, "DEVICE"),
    (0x80, "NORMAL"),
    (0x100, "TEMPORARY"),
    (0x200, "SPARSE_FILE"),
    (0x400, "REPARSE_POINT"),
    (0x800, "COMPRESSED"),
    (0x1000, "OFFLINE"),
    (0x2000, "NOT_CONTENT_INDEXED"),
    (0x4000, "ENCRYPTED"),
    (0x1_0000, "VIRTUAL"),
];

/// One file as wimlib lists it.
fn entry_text(entry: &DirEntry) -> String {
    let mut text = "-".repeat(76) + "\n";
    let mut line = |label: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label:<20}= {value}");
    };
    line("Full Path", &format_args!("\"{}\"", entry.path));
    line("Short Name", &format_args!("\"{}\"", entry.short_name));
    line("Attributes", &format_args!("0x{:08x}", entry.attributes));
    for (_, name) in ATTRIBUTE_NAMES.iter().filter(|(bit, _)| entry.attributes & bit != 0) {
        let _ = writeln!(text, "    FILE_ATTRIBUTE_{name} is set");
    }
    let mut line = |label: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{label:<20}= {value}");
    };
    if let Some(descriptor) = &entry.security_descriptor {
        line("Security Descriptor", descriptor);
    }
    line("Creation Time", &entry.creation_time.to_asctime());
    line("Last Write Time", &entry.last_write_time.to_asctime());
    line("Last Access Time", &entry.last_access_time.to_asctime());
    if let Some(tag) = entry.reparse_tag {
        line("Reparse Tag", &format_args!("0x{tag:x}"));
    }
    line("Link Group ID", &format_args!("0x{:016x}", entry.link_group));
    line("Link Count", &entry.link_count);
    if let Some([uid, gid, mode, device]) = entry.unix_data {
        line("UNIX Data", &format_args!("uid:{uid} gid:{gid} mode:0{mode:o} rdev:0x{device:x}"));
    }
    let labels = ["Object ID", "Birth Volume ID", "Birth Object ID", "Domain ID"];
    for (label, id) in labels.iter().zip(entry.object_ids.iter().flatten()) {
        if id.bytes().any(|digit| digit != b'0') {
            line(label, &format_args!("0x{id}"));
        }
    }
    for stream in &entry.streams {
        let title = match (stream.kind, &stream.name) {
            ("reparse", _) => "Reparse point stream".to_owned(),
            ("encrypted", _) => "Raw encrypted data stream".to_owned(),
            (_, Some(name)) => format!("Named data stream \"{name}\""),
            _ => "Unnamed data stream".to_owned(),
        };
        let _ = writeln!(text, "\t{title}:");
        text += &resource_lines(&stream.resource);
    }
    text
}
