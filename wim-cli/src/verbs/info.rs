//! `wim info`: what a file is and which images it holds.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wim_core::base::{Error, hex};
use wim_core::formats::wim::{HeaderFlags, ResourceHeader, WimFile, WimHeader, WimLayout};
use wim_core::jobs::info::{ImageInfo, ResourceInfo, WimInfo, WindowsInfo};
use wim_core::jobs::info_edit::{BootChange, InfoChange, PreparedChange};
use wim_core::jobs::{images, info, info_edit, open};

use crate::arguments::{IntegrityArguments, parse_property};
use crate::exit::{Outcome, Verdict};
use crate::session::Session;
use crate::verbs::resource_lines;

/// Show what a WIM file is and which images it holds, or change what is said of them
///
/// NEW_NAME, NEW_DESC, --boot and --image-property change the file: only its XML data and header are written. IMAGE is a number, a name, a display name or an edition such as Professional, without regard to case.
///
/// With --json: path, guid, version, image_count, compression, chunk_size, part_number, total_parts, boot_index,
/// total_bytes, file_bytes, attributes, images (what the XML says of each; of IMAGE only when it is given) and, with
/// --blobs, resources; after a change: path, image, changed, changes, file_bytes.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Show or change this image only; 0 with --boot means none
    image: Option<String>,
    /// New name of the image
    new_name: Option<String>,
    /// New description of the image
    new_desc: Option<String>,
    /// Make the image bootable
    #[arg(long)]
    boot: bool,
    /// Set a property by its path in the XML, as in WINDOWS/VERSION/BUILD=7601; an empty VALUE removes it
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_property)]
    image_property: Vec<(String, String)>,
    /// Show the header's fields
    #[arg(long)]
    header: bool,
    /// List the lookup table: metadata resources and blobs
    #[arg(long, alias = "lookup-table")]
    blobs: bool,
    /// Write the XML document to standard output as it is, in UTF-16LE
    #[arg(long)]
    xml: bool,
    /// Write the XML document to FILE as it is
    #[arg(long, value_name = "FILE")]
    extract_xml: Option<PathBuf>,
    #[command(flatten)]
    integrity: IntegrityArguments,
}

/// The JSON answer.
#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    info: WimInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<ResourceInfo>>,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        if !self.changes_something() {
            let wim = session.run(|cx| open::open(&self.wimfile, self.integrity.check(), cx))?;
            return self.show(session, &wim);
        }
        if self.shows_something() && session.shell.is_json() {
            return Err(Error::invalid_input("with --json there is one answer")
                .remedy("show and change in two commands")
                .into());
        }
        let change = self.prepare(session)?;
        if self.shows_something() {
            // What it was. wimlib only changes it then, without a word.
            self.show(session, change.wim())?;
        }
        let done = session.run(|cx| change.write(cx))?;
        if session.shell.is_json() {
            session.shell.json("info", &done)?;
            return Ok(Outcome::Done);
        }
        let told = done.changes.iter().chain(&done.unchanged);
        told.map(String::as_str).try_for_each(|line| session.shell.say(line))?;
        if !done.changed {
            session.shell.say(&format!(
                "The file \"{}\" was not modified because nothing needed to be done.",
                done.path
            ))?;
        }
        Ok(Outcome::Done)
    }

    fn show(&self, session: &Session, wim: &WimFile) -> Verdict {
        let is_none = |text: &str| images::is_all(text) || self.boot && text == "0";
        let chosen = match self.image.as_deref() {
            Some(text) if !is_none(text) => Some(images::choose_one(wim, Some(text))?),
            _ => None,
        };
        if let Some(path) = &self.extract_xml {
            info::extract_xml(wim, path)?;
        }
        let mut info = WimInfo::of(wim);
        if let Some(image) = chosen {
            info.images.retain(|one| one.index == image.number());
        }
        if session.shell.is_json() {
            let resources = self.blobs.then(|| info::resources(wim));
            session.shell.json("info", &Answer { info, resources })?;
            return Ok(Outcome::Done);
        }
        let is_plain = !self.shows_something();
        let mut text = String::new();
        if self.header {
            text += &header_text(wim.header());
        }
        if self.blobs {
            info::resources(wim).iter().for_each(|resource| text += &resource_lines(resource));
        }
        if is_plain {
            text += &match chosen {
                Some(image) => {
                    let title = format!("Information for Image {image}");
                    format!("{title}\n{}\n", "-".repeat(title.len()))
                }
                None => wim_text(&info),
            };
            info.images.iter().for_each(|image| text += &image_text(image));
        }
        session.shell.answer(&text)?;
        self.print_xml(session, wim)
    }

    /// True when the file is to be changed; --check alone only looks.
    fn changes_something(&self) -> bool {
        let changes_table = self.integrity.is_given() && !self.shows_something();
        self.boot || self.new_name.is_some() || !self.image_property.is_empty() || changes_table
    }

    fn shows_something(&self) -> bool {
        self.header || self.blobs || self.xml || self.extract_xml.is_some()
    }

    fn prepare(&self, session: &Session) -> Result<PreparedChange, Error> {
        let texts = [("NAME", &self.new_name), ("DESCRIPTION", &self.new_desc)];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?)));
        let change = InfoChange {
            properties: texts.chain(self.image_property.iter().cloned()).collect(),
            boot: if self.boot { BootChange::Set } else { BootChange::Keep },
            integrity: self.integrity.choice(),
            check: self.integrity.check(),
        };
        let image = self.image.as_deref();
        session.run(|cx| info_edit::prepare(cx, &self.wimfile, image, &change))
    }

    fn print_xml(&self, session: &Session, wim: &WimFile) -> Verdict {
        if self.xml {
            let bytes = wim.read_xml_bytes()?;
            let mut out = session.shell.stdout();
            out.write_all(&bytes)?;
            out.flush()?;
        }
        Ok(Outcome::Done)
    }
}

/// Appends `label`, padded to wimlib's column, and `value`.
fn line(text: &mut String, width: usize, label: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{label:width$}{value}");
}

fn wim_text(info: &WimInfo) -> String {
    const WIDTH: usize = 16;
    let mut text = String::from("WIM Information:\n----------------\n");
    line(&mut text, WIDTH, "Path:", &info.path);
    line(&mut text, WIDTH, "GUID:", format_args!("0x{}", info.guid));
    line(&mut text, WIDTH, "Version:", info.version);
    line(&mut text, WIDTH, "Image Count:", info.image_count);
    line(&mut text, WIDTH, "Compression:", &info.compression);
    line(&mut text, WIDTH, "Chunk Size:", format_args!("{} bytes", info.chunk_size));
    line(&mut text, WIDTH, "Part Number:", format_args!("{}/{}", info.part_number, info.total_parts));
    line(&mut text, WIDTH, "Boot Index:", info.boot_index);
    line(&mut text, WIDTH, "Size:", format_args!("{} bytes", info.total_bytes));
    line(&mut text, WIDTH, "Attributes:", info.attributes.join(", "));
    text + "\nAvailable Images:\n-----------------\n"
}

fn image_text(image: &ImageInfo) -> String {
    const WIDTH: usize = 24;
    let mut text = String::new();
    let optional = |text: &mut String, label: &str, value: &Option<String>| {
        if let Some(value) = value {
            line(text, WIDTH, label, value);
        }
    };
    line(&mut text, WIDTH, "Index:", image.index);
    line(&mut text, WIDTH, "Name:", image.name.as_deref().unwrap_or_default());
    line(&mut text, WIDTH, "Description:", image.description.as_deref().unwrap_or_default());
    optional(&mut text, "Display Name:", &image.display_name);
    optional(&mut text, "Display Description:", &image.display_description);
    line(&mut text, WIDTH, "Directory Count:", image.directory_count);
    line(&mut text, WIDTH, "File Count:", image.file_count);
    line(&mut text, WIDTH, "Total Bytes:", image.total_bytes);
    line(&mut text, WIDTH, "Hard Link Bytes:", image.hard_link_bytes);
    line(&mut text, WIDTH, "Creation Time:", image.creation_time.to_asctime());
    line(&mut text, WIDTH, "Last Modification Time:", image.last_modification_time.to_asctime());
    if let Some(windows) = &image.windows {
        text += &windows_text(windows, &optional, WIDTH);
    }
    optional(&mut text, "Flags:", &image.flags);
    line(&mut text, WIDTH, "WIMBoot compatible:", if image.wimboot_compatible { "yes" } else { "no" });
    text + "\n"
}

fn windows_text(
    windows: &WindowsInfo,
    optional: &dyn Fn(&mut String, &str, &Option<String>),
    width: usize,
) -> String {
    let mut text = String::new();
    line(&mut text, width, "Architecture:", windows.architecture);
    optional(&mut text, "Product Name:", &windows.product_name);
    optional(&mut text, "Edition ID:", &windows.edition_id);
    optional(&mut text, "Installation Type:", &windows.installation_type);
    optional(&mut text, "HAL:", &windows.hal);
    optional(&mut text, "Product Type:", &windows.product_type);
    optional(&mut text, "Product Suite:", &windows.product_suite);
    if let Some(languages) = &windows.languages {
        let languages: String = languages.iter().map(|language| format!("{language} ")).collect();
        line(&mut text, width, "Languages:", languages);
        optional(&mut text, "Default Language:", &windows.default_language);
    }
    optional(&mut text, "System Root:", &windows.system_root);
    if let Some([major, minor, build, service_pack_build, service_pack_level]) = windows.version {
        line(&mut text, width, "Major Version:", major);
        line(&mut text, width, "Minor Version:", minor);
        line(&mut text, width, "Build:", build);
        line(&mut text, width, "Service Pack Build:", service_pack_build);
        line(&mut text, width, "Service Pack Level:", service_pack_level);
    }
    text
}

/// Names of the header's flag bits as wimlib prints them.
const FLAG_NAMES: [(u32, &str); 13] = [
    (0x1, "RESERVED"),
    (HeaderFlags::COMPRESSION, "COMPRESSION"),
    (HeaderFlags::READONLY, "READONLY"),
    (HeaderFlags::SPANNED, "SPANNED"),
    (HeaderFlags::RESOURCE_ONLY, "RESOURCE_ONLY"),
    (HeaderFlags::METADATA_ONLY, "METADATA_ONLY"),
    (HeaderFlags::WRITE_IN_PROGRESS, "WRITE_IN_PROGRESS"),
    (HeaderFlags::RP_FIX, "RP_FIX"),
    (0x1_0000, "COMPRESS_RESERVED"),
    (HeaderFlags::COMPRESS_XPRESS, "COMPRESS_XPRESS"),
    (HeaderFlags::COMPRESS_LZX, "COMPRESS_LZX"),
    (HeaderFlags::COMPRESS_LZMS, "COMPRESS_LZMS"),
    (HeaderFlags::COMPRESS_XPRESS_2, "COMPRESS_XPRESS_2"),
];

fn header_text(header: &WimHeader) -> String {
    const WIDTH: usize = 28;
    let mut text = String::new();
    let add =
        |text: &mut String, label: &str, value: String| line(text, WIDTH, label, format_args!("= {value}"));
    let guid = hex::encode(&header.guid.0);
    let magic = match header.format.layout() {
        WimLayout::Standard => "MSWIM\\0\\0\\0",
        WimLayout::Pipable => "WLPWM\\0\\0\\0",
    };
    add(&mut text, "Magic Characters", magic.to_owned());
    add(&mut text, "Header Size", WimHeader::BYTES.to_string());
    add(&mut text, "Version", format!("{:#x}", header.version.number()));
    add(&mut text, "Flags", format!("{:#x}", header.flags.0));
    for (_, name) in FLAG_NAMES.iter().filter(|(bit, _)| header.flags.has(*bit)) {
        let _ = writeln!(text, "    WIM_HDR_FLAG_{name} is set");
    }
    add(&mut text, "Chunk Size", header.chunk_size_field.to_string());
    add(&mut text, "GUID", guid);
    add(&mut text, "Part Number", header.part.number().to_string());
    add(&mut text, "Total Parts", header.total_parts.to_string());
    add(&mut text, "Image Count", header.image_count.to_string());
    // The capitals differ from table to table in wimlib's output.
    let tables: [(&str, &ResourceHeader, &str); 4] = [
        ("Blob Table", &header.lookup_table, "Original_size"),
        ("XML Data", &header.xml, "Original Size"),
        ("Boot Metadata", &header.boot_metadata, "Original Size"),
        ("Integrity", &header.integrity, "Original_size"),
    ];
    for (name, table, original_size) in tables {
        if name == "Integrity" {
            add(&mut text, "Boot Index", header.boot_index.to_string());
        }
        add(&mut text, &format!("{name} Size"), table.stored_size.to_string());
        add(&mut text, &format!("{name} Flags"), format!("{:#x}", table.flags));
        add(&mut text, &format!("{name} Offset"), table.offset.to_string());
        add(&mut text, &format!("{name} {original_size}"), table.size.to_string());
    }
    text
}
