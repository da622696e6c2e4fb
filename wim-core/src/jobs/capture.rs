//! A directory of the host captured into a new WIM file with one image.
//!
//! The file is written beside its target and renamed, so that an earlier file of that name is replaced whole or not at all.
//! Windows' own description in the XML (WINDOWS) is what the caller gives; no file of the tree is interpreted.

use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;

use serde::Serialize;

use super::clock::job_time;
use super::properties::{self, check_text, xml_text};
use super::rebuild::{CompressionOptions, IntegrityChoice, Written, write_file};
use super::text_file::read_text;
use crate::base::atomic_file::IfExists;
use crate::base::{Context, Error, ImageIndex, Result, Sha1Digest};
use crate::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimXml};
use crate::image::Tree;
use crate::image::edit::Content;
use crate::image::glob::Case;
use crate::image::store::store;
use crate::transfer::capture::{AbsoluteLinks, CaptureOptions, Captured, Exclusions, capture};
use crate::transfer::write::{CopyDigests, NewImage, NewMetadata, NewWim};

/// How a directory is captured, and what is said of the image.
#[derive(Clone, Debug)]
pub struct ImageOptions {
    /// NAME; none takes the last name of the source, an empty one leaves the image unnamed.
    pub name: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// FLAGS.
    pub flags: Option<String>,
    /// Other properties by path, in the order in which they are set.
    pub properties: Vec<(String, String)>,
    /// How the file is compressed; LZX when nothing is said.
    pub compression: CompressionOptions,
    /// What becomes of the integrity table.
    pub integrity: IntegrityChoice,
    /// What is captured.
    pub capture: CaptureOptions,
    /// Whether the image is made bootable.
    pub boot: Boot,
}

/// Whether the image is made bootable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// What was captured and written.
#[derive(Clone, Debug, Serialize)]
pub struct CaptureReport {
    /// The file.
    #[serde(flatten)]
    pub written: Written,
    /// Directories, the root among them.
    pub directories: u64,
    /// Names of other files.
    pub files: u64,
    /// Bytes of distinct files.
    pub bytes: u64,
    /// Files and directories left out.
    pub excluded: u64,
}

/// Captures `source` into a new file at `target`, replacing one that is there.
///
/// # Errors
/// `InvalidInput` when `source` is no directory, a file of it changes, or a property has a bad path; `Io`; `Cancelled`;
/// the target is then as it was.
pub fn run(cx: &Context<'_>, source: &Path, target: &Path, options: &ImageOptions) -> Result<CaptureReport> {
    let format = options.compression.format(ChunkFormat::usual(Compression::Lzx))?;
    if target == Path::new("-") {
        return Err(Error::unsupported("a WIM on standard output is not supported by this version")
            .remedy("give the path of a file"));
    }
    // What can be refused is refused before the work is done.
    let mut xml = described(source, options)?;
    let Captured { tree, contents, totals } = capture(cx, source, &options.capture)?;
    set_counts(&mut xml, &tree, &contents);
    let has_fixed_links = options.capture.absolute_links == AbsoluteLinks::Fix;
    let image = NewImage {
        references: tree.blob_references(),
        metadata: NewMetadata::Bytes(Arc::new(store(&tree))),
        xml,
    };
    drop(tree);
    let new = NewWim {
        format,
        level: options.compression.level.unwrap_or_default(),
        guid: None,
        flags: HeaderFlags(if has_fixed_links { HeaderFlags::RP_FIX } else { 0 }),
        xml: WimXml::empty(0),
        images: vec![image],
        sources: Vec::new(),
        contents: &contents,
        boot: (options.boot == Boot::Yes).then(|| ImageIndex::from_position(0)),
        integrity: options.integrity.resolve(None),
        recompress: options.compression.recompress,
        copy_digests: CopyDigests::Drop,
    };
    let written = write_file(cx, new, target, IfExists::Replace)?;
    Ok(CaptureReport {
        written,
        directories: totals.directories,
        files: totals.files,
        bytes: totals.bytes,
        excluded: totals.excluded,
    })
}

/// Reads a capture configuration in wimlib's format from the file at `path`.
///
/// # Errors
/// `Io`, and `Format` with the line.
pub fn load_exclusions(path: &Path) -> Result<Exclusions> {
    let case = if cfg!(windows) { Case::Ignored } else { Case::Matters };
    Exclusions::parse(&read_text(path)?, case).map_err(|e| e.in_file(path.display()))
}

/// The last name of a path as it was typed; wimlib calls a captured `.` by that name.
fn last_name(source: &Path) -> String {
    match source.components().next_back() {
        Some(Component::Normal(name)) => name.to_string_lossy().into_owned(),
        Some(Component::CurDir) => ".".to_owned(),
        Some(Component::ParentDir) => "..".to_owned(),
        _ => String::new(),
    }
}

/// The image's XML with what is said of it, in wimlib's order: counts and times have their places behind the name.
fn described(source: &Path, options: &ImageOptions) -> Result<ImageXml> {
    let mut xml = ImageXml::default();
    if let Some(name) = &options.name {
        check_text("NAME", name)?;
    }
    xml.set("NAME", &options.name.clone().unwrap_or_else(|| xml_text(&last_name(source))));
    let now = job_time()?;
    for count in ["DIRCOUNT", "FILECOUNT", "TOTALBYTES", "HARDLINKBYTES"] {
        xml.set(count, "0");
    }
    xml.set_time("CREATIONTIME", now);
    xml.set_time("LASTMODIFICATIONTIME", now);
    set_texts(&mut xml, options)?;
    Ok(xml)
}

fn set_texts(xml: &mut ImageXml, options: &ImageOptions) -> Result<()> {
    if let Some(flags) = &options.flags {
        check_text("FLAGS", flags)?;
        xml.set("FLAGS", flags);
    }
    options.properties.iter().try_for_each(|(path, value)| properties::set(xml, path, value))?;
    if let Some(description) = &options.description {
        check_text("DESCRIPTION", description)?;
        xml.set("DESCRIPTION", description);
    }
    Ok(())
}

/// Sets the counts; they win over properties of the same names, as in wimlib.
fn set_counts(xml: &mut ImageXml, tree: &Tree, contents: &[(Sha1Digest, Content)]) {
    let size = |content: &Content| match content {
        Content::Bytes(bytes) => bytes.len() as u64,
        Content::Source(source) => source.size(),
        Content::HostFile { size, .. } => *size,
        Content::Blob(_) => 0,
    };
    let sizes: HashMap<&Sha1Digest, u64> =
        contents.iter().map(|(digest, content)| (digest, size(content))).collect();
    let counts = tree.counts(&|digest| sizes.get(digest).copied().unwrap_or(0));
    for (name, count) in [
        ("DIRCOUNT", counts.directories),
        ("FILECOUNT", counts.files),
        ("TOTALBYTES", counts.total_bytes),
        ("HARDLINKBYTES", counts.hard_link_bytes),
    ] {
        xml.set(name, &count.to_string());
    }
}
