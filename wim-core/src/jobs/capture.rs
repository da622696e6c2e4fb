//! Directories and files of the host captured into a WIM file: a new one, or one more image of an existing one.
//!
//! A new file is written beside its target and renamed, so that an earlier file of that name is replaced whole or not at
//! all; an existing one is appended to. A captured Windows is described in the XML data by what its files say
//! (`windows_xml`), and by what the caller says above that.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::assemble::{AddRules, Assembly};
use super::clock::job_time;
use super::images;
use super::input::split_image;
use super::open::{Check, load_image, open};
use super::properties::{self, check_text, xml_text};
use super::rebuild::{
    CompressionOptions, IntegrityChoice, SolidChoice, WimBoot, Written, check_stream, existing_images_named,
    wimboot_format, write_file, write_stream,
};
use super::source_list::SourceList;
use super::target::{Placement, Target, is_same_file, write_target};
use super::text_file::read_text;
use super::windows_xml;
use crate::base::atomic_file::{IfExists, check_target};
use crate::base::{Context, Error, FileTime, ImageIndex, Reason, Result, Sha1Digest};
use crate::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimXml};
use crate::image::BlobSource;
use crate::image::edit::Content;
use crate::image::glob::Case;
use crate::image::store::store;
use crate::image::{ExistingFiles, GraftRules, Tree, WimPath};
use crate::transfer::capture::{AbsoluteLinks, CaptureOptions, CaptureTotals, Exclusions};
use crate::transfer::read::{WimBlobs, blob_not_found};
use crate::transfer::write::{CopyChecksums, NewImage, NewMetadata, NewWim};

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
    /// How the file is compressed; LZX when nothing is said and the file is new.
    pub compression: CompressionOptions,
    /// What becomes of the integrity table.
    pub integrity: IntegrityChoice,
    /// What is checked before.
    pub check: Check,
    /// What is captured.
    pub capture: CaptureOptions,
    /// What becomes of absolute links; none decides as wimlib does: fixed in a new file, else as the file has it.
    pub absolute_links: Option<AbsoluteLinks>,
    /// Whether the image is made bootable.
    pub boot: Boot,
    /// Whether the source is captured or lists sources.
    pub source: SourceKind,
    /// Where the image goes.
    pub destination: Destination,
    /// An earlier image of the same source, `[WIMFILE:]IMAGE`: files unchanged since are not read again.
    pub update_of: Option<String>,
    /// Files whose blobs are not stored again, so that the new file needs them.
    pub delta_from: Vec<PathBuf>,
    /// Whether the image is marked for WIMBoot.
    pub wimboot: WimBoot,
}

/// Whether the source is captured or lists sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// It is a directory.
    Directory,
    /// It is a text file with a source and perhaps its place in the image on each line; `-` is standard input.
    List,
}

/// Where a captured image goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Into a new file, which replaces one that is there.
    NewFile,
    /// Into an existing file.
    Existing(Placement),
    /// Into an existing file, or a new one when there is none.
    ExistingOrNew(Placement),
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

/// Captures `source` into the file at `target`.
///
/// # Errors
/// `InvalidInput` when `source` is no directory, a file of it changes, a property has a bad path, or the name is taken;
/// `Io`; `Cancelled`; the target is then as it was.
pub fn run(cx: &Context<'_>, source: &Path, target: &Path, options: &ImageOptions) -> Result<CaptureReport> {
    if target == Path::new("-") {
        return Err(Error::invalid_input("a WIM on standard output cannot be appended to")
            .because(Reason::Contradiction)
            .remedy("capture to standard output, or give the path of a file"));
    }
    let into = match options.destination {
        Destination::NewFile => None,
        Destination::Existing(placement) => Some(placement),
        Destination::ExistingOrNew(placement) => target.exists().then_some(placement),
    };
    match into {
        None => {
            check_replaceable(target, options)?;
            run_new(cx, source, options, |new| write_file(cx, new, target, IfExists::Replace))
        }
        Some(placement) => run_existing(cx, source, target, options, placement),
    }
}

/// Refuses a new file where none can be, and in the place of one that it needs, before any work is done.
fn check_replaceable(target: &Path, options: &ImageOptions) -> Result<()> {
    if options.delta_from.iter().any(|base| is_same_file(base, target)) {
        return Err(Error::invalid_input("a delta cannot replace the file that it is a delta of")
            .in_file(target.display())
            .remedy("give the delta another name, or add the image to the file with: wim append"));
    }
    check_target(target, IfExists::Replace)
}

/// Captures `source` into a pipable file that is written to `out` from its start to its end.
///
/// # Errors
/// As [`run`]; `InvalidInput` also when an integrity table is wanted, or the file is to be solid or not to be pipable.
pub fn run_to_stream(
    cx: &Context<'_>,
    source: &Path,
    out: &mut (dyn Write + Send + Sync),
    options: &ImageOptions,
) -> Result<CaptureReport> {
    check_stream(options.compression, options.integrity)?;
    run_new(cx, source, options, |new| write_stream(cx, new, out))
}

fn run_new(
    cx: &Context<'_>,
    source: &Path,
    options: &ImageOptions,
    write: impl FnOnce(NewWim<'_>) -> Result<Written>,
) -> Result<CaptureReport> {
    let usual = match (options.compression.solid, options.wimboot) {
        (SolidChoice::Solid(_), _) => ChunkFormat::usual(Compression::Lzms),
        (SolidChoice::AsBefore, WimBoot::Mark) => wimboot_format(),
        (SolidChoice::AsBefore, WimBoot::Leave) => ChunkFormat::usual(Compression::Lzx),
    };
    let format = options.compression.format(usual)?;
    options.compression.packing(None, None)?;
    let links = options.absolute_links.unwrap_or(AbsoluteLinks::Fix);
    // What can be refused is refused before the work is done.
    let time = job_time()?;
    let xml = described(source, options, time, &[])?;
    let bases = Bases::open(cx, options, None)?;
    let assembly = assemble(cx, source, options, links, time, &bases, None)?;
    let (totals, flags) = (assembly.totals, rp_fix(&assembly));
    let mut order = options.compression.order(None);
    order.iter_mut().for_each(|order| order.add_tree(&assembly.tree));
    let packing = options.compression.packing(None, order)?;
    let (image, contents) = finished(cx, assembly, xml, &bases, None, options)?;
    let new = NewWim {
        format,
        level: options.compression.level.unwrap_or_default(),
        packing,
        guid: None,
        flags: HeaderFlags(flags),
        xml: WimXml::empty(0),
        images: vec![image],
        sources: bases.sources(None),
        contents: &contents,
        boot: (options.boot == Boot::Yes).then(|| ImageIndex::from_position(0)),
        integrity: options.integrity.resolve(None),
        recompress: options.compression.recompress,
        copy_checksums: CopyChecksums::Drop,
    };
    Ok(report(write(new)?, totals))
}

fn run_existing(
    cx: &Context<'_>,
    source: &Path,
    target: &Path,
    options: &ImageOptions,
    placement: Placement,
) -> Result<CaptureReport> {
    let Target { wim, file } = Target::open(target, options.check, cx)?;
    let format = options.compression.format(wim.format())?;
    if format.compression() != wim.format().compression() {
        return Err(Error::invalid_input(format!("its compression is {}", wim.format().compression()))
            .in_file(wim.name())
            .remedy("leave --compress out, or change the file with: wim optimize --compress"));
    }
    options.compression.packing(Some(&wim), None)?;
    let had_fixed = wim.header().flags.has(HeaderFlags::RP_FIX);
    let default = if had_fixed { AbsoluteLinks::Fix } else { AbsoluteLinks::Keep };
    let links = options.absolute_links.unwrap_or(default);
    let time = job_time()?;
    let xml = described(source, options, time, wim.xml().images())?;
    let bases = Bases::open(cx, options, Some((&wim, target)))?;
    let assembly = assemble(cx, source, options, links, time, &bases, Some(&wim))?;
    let (totals, flags) = (assembly.totals, rp_fix(&assembly));
    let mut order = options.compression.order(Some(&wim));
    order.iter_mut().for_each(|order| order.add_tree(&assembly.tree));
    let (image, contents) = finished(cx, assembly, xml, &bases, Some(&wim), options)?;
    let mut images = existing_images_named(&wim, &[], &mut order, cx)?;
    images.push(image);
    let boot = match options.boot {
        Boot::Yes => Some(ImageIndex::from_position(images.len() - 1)),
        Boot::No => wim.boot_index(),
    };
    let new = NewWim {
        format,
        level: options.compression.level.unwrap_or_default(),
        packing: options.compression.packing(Some(&wim), order)?,
        guid: Some(wim.header().guid),
        flags: HeaderFlags(wim.header().flags.0 | flags),
        xml: wim.xml().clone(),
        images,
        sources: bases.sources(Some(&wim)),
        contents: &contents,
        boot,
        integrity: options.integrity.resolve(Some(&wim)),
        recompress: options.compression.recompress,
        copy_checksums: CopyChecksums::Drop,
    };
    let written = write_target(cx, new, (&wim, file, target), placement)?;
    Ok(report(written, totals))
}

/// The header's flag for links that applying has to undo.
fn rp_fix(assembly: &Assembly) -> u32 {
    if assembly.fixes_links { HeaderFlags::RP_FIX } else { 0 }
}

fn report(written: Written, totals: CaptureTotals) -> CaptureReport {
    let CaptureTotals { directories, files, bytes, excluded } = totals;
    CaptureReport { written, directories, files, bytes, excluded }
}

/// The other files that a capture looks into.
struct Bases {
    delta: Vec<WimFile>,
    /// The tree of the earlier image, and its file when that is none of the others.
    update_of: Option<(Tree, Option<WimFile>)>,
}

impl Bases {
    fn open(cx: &Context<'_>, options: &ImageOptions, target: Option<(&WimFile, &Path)>) -> Result<Self> {
        // What the target has is not stored again in any case, and it is locked.
        let is_target = |path: &Path| target.is_some_and(|(_, target)| is_same_file(path, target));
        let delta = options.delta_from.iter().filter(|path| !is_target(path));
        let delta = delta.map(|path| open(path, options.check, cx));
        let mut bases = Self { delta: delta.collect::<Result<_>>()?, update_of: None };
        if let Some(text) = &options.update_of {
            bases.update_of = Some(bases.earlier_image(cx, options, text, target)?);
        }
        Ok(bases)
    }

    /// The image of `[WIMFILE:]IMAGE`; without a file it is in the one delta base, else in the target.
    fn earlier_image(
        &self,
        cx: &Context<'_>,
        options: &ImageOptions,
        text: &str,
        target: Option<(&WimFile, &Path)>,
    ) -> Result<(Tree, Option<WimFile>)> {
        let named = split_image(text);
        let (file, image) = match (&named, text.rsplit_once(':')) {
            ((file, Some(image)), _) => (Some(file.as_path()), image.as_str()),
            (_, Some((file, image))) => (Some(Path::new(file)), image),
            (_, None) => (None, text),
        };
        let of_target = |file: &Path| target.filter(|(_, path)| is_same_file(file, path));
        let opened;
        let (wim, own) = match (file, self.delta.as_slice(), target) {
            (Some(file), _, _) => match of_target(file) {
                Some((wim, _)) => (wim, false),
                None => {
                    opened = open(file, options.check, cx)?;
                    (&opened, true)
                }
            },
            (None, [only], _) => (only, false),
            (None, _, Some((wim, _))) => (wim, false),
            _ => {
                return Err(Error::invalid_input(format!("--update-of={text} names no WIM file"))
                    .because(Reason::Contradiction)
                    .remedy("write it as --update-of=WIMFILE:IMAGE"));
            }
        };
        let image = numbered_from_the_end(wim, image)?;
        let tree = load_image(wim, images::choose_one(wim, Some(&image))?, cx)?;
        let kept = if own { Some(open(file.unwrap_or(Path::new("")), Check::Nothing, cx)?) } else { None };
        Ok((tree, kept))
    }

    /// All files that blobs may be taken from; the target's own come first.
    fn sources<'w>(&'w self, target: Option<&'w WimFile>) -> Vec<&'w WimFile> {
        let earlier = self.update_of.iter().filter_map(|(_, wim)| wim.as_ref());
        target.into_iter().chain(earlier).chain(&self.delta).collect()
    }

    fn size_of(&self, target: Option<&WimFile>, digest: &Sha1Digest) -> Option<u64> {
        self.sources(target).iter().find_map(|wim| Some(wim.table().find(digest)?.header.size))
    }

    /// Leaves blobs that the delta bases have, and the target has not, out of what must be stored.
    fn leave_to_delta(&self, image: &mut NewImage<'_>, target: Option<&WimFile>) {
        let has = |wim: &WimFile, digest: &Sha1Digest| wim.table().find(digest).is_some();
        image.leave_elsewhere(|digest| {
            !target.is_some_and(|wim| has(wim, digest)) && self.delta.iter().any(|wim| has(wim, digest))
        });
    }
}

/// `-1` and so on count from the last image.
fn numbered_from_the_end(wim: &WimFile, text: &str) -> Result<String> {
    let Some(back) = text.strip_prefix('-').and_then(|digits| digits.parse::<usize>().ok()) else {
        return Ok(text.to_owned());
    };
    match (wim.image_count() + 1).checked_sub(back).filter(|&number| number > 0 && back > 0) {
        Some(number) => Ok(number.to_string()),
        None => Err(Error::not_found(format!("there is no image {text}; it has {}", wim.image_count()))
            .because(Reason::NoSuchImage)
            .in_file(wim.name())),
    }
}

fn assemble(
    cx: &Context<'_>,
    source: &Path,
    options: &ImageOptions,
    links: AbsoluteLinks,
    time: FileTime,
    bases: &Bases,
    target: Option<&WimFile>,
) -> Result<Assembly> {
    let known = |path: &WimPath, size: u64, last_write: FileTime| {
        let (tree, _) = bases.update_of.as_ref()?;
        let inode = tree.inode_of(tree.find_by(path, Case::Matters)?);
        let digest = inode.data();
        let has_size = bases.size_of(target, &digest) == Some(size);
        let is_same = has_size && inode.times.last_write == last_write && inode.reparse.is_none();
        is_same.then_some(digest)
    };
    let known: Option<crate::transfer::capture::Known<'_>> =
        if bases.update_of.is_some() { Some(&known) } else { None };
    let graft = GraftRules { existing: ExistingFiles::Replace, case: host_case(), time };
    let rules = AddRules { graft, known };
    let capture = CaptureOptions { absolute_links: links, ..options.capture.clone() };
    let mut assembly = Assembly::empty();
    if options.source == SourceKind::List {
        let list = SourceList::parse(&read_text(source)?).map_err(|e| e.in_file(source.display()))?;
        for (source, path) in &list.sources {
            assembly.add(cx, source, path, &capture, rules)?;
        }
        return Ok(assembly);
    }
    if !source.is_dir() && source.exists() {
        return Err(Error::invalid_input("not a directory")
            .because(Reason::NotADirectory)
            .in_file(source.display()));
    }
    assembly.add(cx, source, &WimPath::root(), &capture, rules)?;
    Ok(assembly)
}

/// The image for the writer, and the contents that no WIM has yet.
fn finished<'w>(
    cx: &Context<'_>,
    assembly: Assembly,
    mut xml: ImageXml,
    bases: &Bases,
    target: Option<&WimFile>,
    options: &ImageOptions,
) -> Result<(NewImage<'w>, Vec<(Sha1Digest, Content)>)> {
    assembly.set_counts(&mut xml, None, &|digest| bases.size_of(target, digest));
    let read = |digest: &Sha1Digest| {
        if let Some((_, content)) = assembly.contents.iter().find(|(own, _)| own == digest) {
            return content.read(cx.memory_bytes()).map(|bytes| bytes.to_vec());
        }
        let sources = bases.sources(target);
        let found = sources.into_iter().find(|wim| wim.table().find(digest).is_some());
        let wim = found.ok_or_else(|| blob_not_found(digest))?;
        WimBlobs::new(wim).read(digest, cx.memory_bytes())
    };
    windows_xml::describe(cx, &assembly.tree, &read, &mut xml)?;
    // What the user says of the image stands above what it says of itself.
    set_texts(&mut xml, options)?;
    let metadata = NewMetadata::new(store(&assembly.tree));
    let mut image = NewImage::new(metadata, xml, assembly.tree.blob_references());
    bases.leave_to_delta(&mut image, target);
    Ok((image, assembly.contents))
}

/// How names of the host are compared.
fn host_case() -> Case {
    if cfg!(windows) { Case::Ignored } else { Case::Matters }
}

/// The configuration that a Windows captured for WIMBoot brings along, if it does.
#[must_use]
pub fn wimboot_config(source: &Path) -> Option<PathBuf> {
    let path = source.join("Windows/System32/WimBootCompress.ini");
    path.is_file().then_some(path)
}

/// Reads a capture configuration in wimlib's format from the file at `path`; what is passed over in it is a warning.
///
/// # Errors
/// `Io`, and `Format` with the line.
pub fn load_exclusions(cx: &Context<'_>, path: &Path) -> Result<Exclusions> {
    let mut warn = |warning: Error| cx.progress.warn(&warning.in_file(path.display()));
    let text = read_text(path).map_err(|e| e.because(Reason::NoConfiguration))?;
    Exclusions::parse(&text, host_case(), &mut warn)
        .map_err(|e| e.because(Reason::BadConfiguration).in_file(path.display()))
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
///
/// A name that was not given gets a number behind it when one of the `others` has it.
fn described(source: &Path, options: &ImageOptions, now: FileTime, others: &[ImageXml]) -> Result<ImageXml> {
    let mut xml = ImageXml::default();
    let is_taken = |name: &str| !name.is_empty() && others.iter().any(|other| other.name() == Some(name));
    let name = match &options.name {
        Some(name) => {
            check_text("NAME", name)?;
            if is_taken(name) {
                return Err(Error::invalid_input(format!("there is already an image named {name:?}"))
                    .because(Reason::ImageNameTaken)
                    .remedy("choose another name"));
            }
            name.clone()
        }
        None => {
            let name = xml_text(&last_name(source));
            let numbered = (1..=others.len()).map(|number| format!("{name} ({number})"));
            std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(name)
        }
    };
    xml.set("NAME", &name);
    for count in ["DIRCOUNT", "FILECOUNT", "TOTALBYTES", "HARDLINKBYTES"] {
        xml.set(count, "0");
    }
    xml.set_time("CREATIONTIME", now);
    xml.set_time("LASTMODIFICATIONTIME", now);
    if options.wimboot == WimBoot::Mark {
        xml.set("WIMBOOT", "1");
    }
    // Set for good when what the image says of itself is known.
    set_texts(&mut xml.clone(), options)?;
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
