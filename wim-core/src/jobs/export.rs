//! Images copied from one WIM file into another, new or existing.
//!
//! Blobs that the target has already are not copied again. An existing target is appended to, or written anew.

use std::io::Write;
use std::path::Path;

use super::images;
use super::open::Check;
use super::part_set::{LeftOut, PartSet};
use super::properties::check_text;
use super::rebuild::{
    CompressionOptions, IntegrityChoice, SolidChoice, WimBoot, Written, check_stream, existing_image_named,
    existing_images_named, wimboot_format, write_file, write_stream,
};
use super::target::{Placement, Target, is_same_file, write_target};
use crate::base::atomic_file::IfExists;
use crate::base::{Context, Error, ErrorKind, ImageIndex, Reason, Result, Stage};
use crate::formats::wim::{ChunkFormat, Compression, HeaderFlags, ImageXml, WimFile, WimLayout, WimXml};
use crate::transfer::write::{CopyChecksums, NewImage, NewWim, SolidOrder};

/// How images are exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// NAME of the exported image; none keeps its own, an empty one leaves it unnamed.
    pub name: Option<String>,
    /// DESCRIPTION of the exported image; none keeps its own.
    pub description: Option<String>,
    /// How the target is compressed.
    pub compression: CompressionOptions,
    /// What becomes of the integrity table.
    pub integrity: IntegrityChoice,
    /// What is checked before.
    pub check: Check,
    /// Which image is made bootable.
    pub boot: Boot,
    /// Where the images go in an existing target.
    pub placement: Placement,
    /// Globs of files that belong to the source: other parts, bases of a delta.
    pub refs: Vec<String>,
    /// Whether the exported images are marked for WIMBoot.
    pub wimboot: WimBoot,
}

/// Which image is made bootable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The target's bootable image stays.
    AsBefore,
    /// The exported one, or of several the one that was bootable in the source.
    Exported,
}

/// Exports the images of the file at `source` that `text` names to the file at `target`.
///
/// # Errors
/// `NotFound` for an image that is not there; `InvalidInput` when a name is taken, several images are to have one name,
/// the compression differs from that of an existing target, or `boot` names no image; else what reading and writing
/// give. The target is then as it was.
pub fn run(
    cx: &Context<'_>,
    source: &Path,
    text: &str,
    target: &Path,
    options: &ExportOptions,
) -> Result<Written> {
    let existing = if target.exists() { Some(Target::open(target, options.check, cx)?) } else { None };
    let (wim, file) = existing.map_or((None, None), |Target { wim, file }| (Some(wim), Some(file)));
    with_plan(cx, (source, text), wim.as_ref().map(|wim| (wim, target)), options, |new| {
        match wim.as_ref().zip(file) {
            Some((wim, file)) => write_target(cx, new, (wim, file, target), options.placement),
            None => write_file(cx, new, target, IfExists::Refuse),
        }
    })
}

/// Exports as [`run`] does, to a pipable file that is written to `out` from its start to its end.
///
/// # Errors
/// As [`run`]; `InvalidInput` also when an integrity table is wanted, or the file is not to be pipable.
pub fn run_to_stream(
    cx: &Context<'_>,
    source: &Path,
    text: &str,
    out: &mut (dyn Write + Send + Sync),
    options: &ExportOptions,
) -> Result<Written> {
    check_stream(options.compression, options.integrity)?;
    let layout = Some(WimLayout::Pipable);
    let compression = CompressionOptions { layout, ..options.compression };
    let options = ExportOptions { compression, ..options.clone() };
    with_plan(cx, (source, text), None, &options, |new| write_stream(cx, new, out))
}

/// Plans the export into `target`, a file that is there or none, and writes what is planned.
fn with_plan(
    cx: &Context<'_>,
    (source, text): (&Path, &str),
    target: Option<(&WimFile, &Path)>,
    options: &ExportOptions,
    write: impl FnOnce(NewWim<'_>) -> Result<Written>,
) -> Result<Written> {
    let existing = target.map(|(wim, _)| wim);
    let opened;
    let mut more: Vec<&WimFile> = Vec::new();
    let mut explain: Option<&PartSet> = None;
    let from = match target {
        // The target is locked; its images can be exported into itself all the same.
        Some((wim, path)) if is_same_file(source, path) => wim,
        _ => {
            // A delta may be folded into its base: the target is a source already.
            let locked = target.map_or(LeftOut::Nothing, |(_, path)| LeftOut::File(path));
            opened = PartSet::open_without(source, &options.refs, locked, options.check, cx)?;
            more = opened.others.iter().collect();
            explain = Some(&opened);
            &opened.wim
        }
    };
    let chosen = images::choose(from, text)?;
    // One image named with "all" counts as all, as in wimlib: it cannot be renamed.
    let is_single = chosen.len() == 1 && !images::is_all(text);
    check_naming(from, is_single, options)?;
    if let Some(wim) = existing {
        check_target(wim, options)?;
    }
    let before = existing.unwrap_or(from);
    let mut order = options.compression.order(Some(before));
    let mut new = target_plan(cx, from, existing, options, &mut order)?;
    new.sources.extend(more);
    let first = new.images.len();
    cx.progress.start(Stage::LoadingImages, chosen.len() as u64);
    for &image in &chosen {
        let mut exported = existing_image_named(from, image, &mut order, cx)?;
        if !existing.is_some_and(|wim| std::ptr::eq(wim, from)) {
            exported.want_everything();
        }
        rename(&mut exported.xml, options)?;
        if options.wimboot == WimBoot::Mark {
            exported.xml.set("WIMBOOT", "1");
        }
        check_name(&exported.xml, &new.images, existing)?;
        new.images.push(exported);
        cx.progress.advance(1);
    }
    if options.boot == Boot::Exported {
        let position = boot_position(from, &chosen, is_single)?;
        new.boot = Some(ImageIndex::from_position(first + position));
    }
    new.packing = options.compression.packing(Some(before), order)?;
    write(new).map_err(|e| match explain {
        Some(set) => set.explain(e),
        None => e,
    })
}

/// Refuses a name for several images, and images whose names are not known without one.
fn check_naming(from: &WimFile, is_single: bool, options: &ExportOptions) -> Result<()> {
    if !is_single && (options.name.is_some() || options.description.is_some()) {
        return Err(Error::invalid_input("a name or description cannot be given to several images")
            .remedy("export them one by one"));
    }
    if from.xml().is_stand_in() && options.name.is_none() {
        let message = "its XML data cannot be read, so that the names of its images are not known";
        return Err(Error::new(ErrorKind::Format, message)
            .in_file(from.name())
            .remedy("export the images one by one, by number, with a name for each behind the target"));
    }
    Ok(())
}

fn check_target(wim: &WimFile, options: &ExportOptions) -> Result<()> {
    match options.compression.compression {
        Some(wanted) if wanted != wim.format().compression() => Err(Error::invalid_input(format!(
            "its compression is {}; an export into it cannot have {wanted}",
            wim.format().compression()
        ))
        .because(Reason::Contradiction)
        .in_file(wim.name())
        .remedy("leave --compress out, or change the file with: wim optimize --compress")),
        _ => Ok(()),
    }
}

/// The target without the exported images.
fn target_plan<'w>(
    cx: &Context<'_>,
    from: &'w WimFile,
    existing: Option<&'w WimFile>,
    options: &ExportOptions,
    order: &mut Option<SolidOrder>,
) -> Result<NewWim<'w>> {
    let other = existing.filter(|existing| !std::ptr::eq(*existing, from));
    let sources: Vec<&WimFile> = other.into_iter().chain([from]).collect();
    // A new file is pipable only when that is asked for, whatever its source is.
    let new = match (options.wimboot, options.compression.solid) {
        (WimBoot::Mark, _) => wimboot_format(),
        (WimBoot::Leave, SolidChoice::Solid(_)) => ChunkFormat::usual(Compression::Lzms),
        (WimBoot::Leave, SolidChoice::AsBefore) => from.format().in_layout(WimLayout::Standard),
    };
    let like = existing.map_or(new, WimFile::format);
    let format = options.compression.format(like)?;
    let carried = from.header().flags.0 & HeaderFlags::RP_FIX;
    Ok(NewWim {
        format,
        level: options.compression.level.unwrap_or_default(),
        // What cannot be packed is refused before the work; the names that decide the order are not yet known.
        packing: options.compression.packing(Some(existing.unwrap_or(from)), None)?,
        guid: existing.map(|wim| wim.header().guid),
        flags: HeaderFlags(existing.map_or(0, |wim| wim.header().flags.0) | carried),
        xml: existing.map_or_else(|| WimXml::empty(0), |wim| wim.xml().clone()),
        images: existing.map_or_else(|| Ok(Vec::new()), |wim| existing_images_named(wim, &[], order, cx))?,
        sources,
        contents: &[],
        boot: existing.and_then(WimFile::boot_index),
        integrity: options.integrity.resolve(existing),
        recompress: options.compression.recompress,
        copy_checksums: CopyChecksums::Drop,
    })
}

fn rename(xml: &mut ImageXml, options: &ExportOptions) -> Result<()> {
    for (element, text) in [("NAME", &options.name), ("DESCRIPTION", &options.description)] {
        if let Some(text) = text {
            check_text(element, text)?;
            xml.set(element, text);
        }
    }
    Ok(())
}

/// Two images of one file cannot have one name; none at all is no name.
fn check_name(xml: &ImageXml, others: &[NewImage<'_>], target: Option<&WimFile>) -> Result<()> {
    match xml.name() {
        Some(name) if others.iter().any(|other| other.xml.name() == Some(name)) => {
            let error = Error::invalid_input(format!("there is already an image named {name:?}"))
                .because(Reason::ImageNameTaken)
                .remedy("give the image another name behind the target");
            Err(match target {
                Some(wim) => error.in_file(wim.name()),
                None => error,
            })
        }
        _ => Ok(()),
    }
}

/// The place among `chosen` of the image to be made bootable.
fn boot_position(from: &WimFile, chosen: &[ImageIndex], is_single: bool) -> Result<usize> {
    if is_single {
        return Ok(0);
    }
    from.boot_index().and_then(|boot| chosen.iter().position(|&image| image == boot)).ok_or_else(|| {
        Error::invalid_input(
            "--boot was given for several images, but none of them is bootable in the source",
        )
        .because(Reason::Contradiction)
        .in_file(from.name())
        .remedy("leave --boot out, or export the image to be booted by itself with --boot")
    })
}
