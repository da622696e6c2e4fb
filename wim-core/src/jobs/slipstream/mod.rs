//! `slipstream`: reads images, edits them as overlays, keeps the editions that are wanted, writes and verifies the result.
//!
//! Nothing is unpacked: unchanged blobs are copied compressed, and an image that nothing changed keeps its metadata
//! resource as it is, so that a second run over the result writes the same file again. `edits` reads what is to be done,
//! `image` services one image, `report` is what is told of it all.

mod edits;
mod image;
mod report;

pub use super::edited_image::VerifyDepth;
pub use report::{DroppedImage, ImageReport, SlipstreamReport, WrittenReport};

use std::path::PathBuf;

use lz_kit::Level;

use self::edits::Edits;
use self::image::{ServicedImage, service};
use super::edited_image::{EditedImages, Expected, sync_and_read_back};
use super::images;
use super::open::{Check, check_unsplit};
use super::part_set::PartSet;
use super::target::is_same_file;
use crate::base::atomic_file::{AtomicFile, IfExists, folder_of};
use crate::base::{Context, Error, ImageIndex, Result, Sha1Digest, Stage};
use crate::formats::wim::{ChunkFormat, WimFile};
use crate::image::WimPath;
use crate::image::edit::{Content, HashedFiles};
use crate::servicing::drivers::DriverOptions;
use crate::transfer::write::{CopyChecksums, Integrity, NewImage, NewWim, Packing, Recompress, write};

/// What to do to which images.
pub struct SlipstreamOptions {
    /// The WIM that is read.
    pub input: PathBuf,
    /// Globs of files that it is a delta of; the result is a delta of them too.
    pub refs: Vec<String>,
    /// Where the result goes; another file than the input.
    pub output: PathBuf,
    /// Whether an existing output may be replaced.
    pub if_exists: IfExists,
    /// Editions to keep, as [`images::choose`] reads them; all when empty.
    pub editions: Vec<String>,
    /// Driver packages: folders, INFs, archives.
    pub drivers: Vec<PathBuf>,
    /// How drivers are added.
    pub driver_options: DriverOptions,
    /// `.reg` files to import, after the drivers.
    pub reg_files: Vec<PathBuf>,
    /// Host files and folders to put into the images, last of all.
    pub additions: Vec<(PathBuf, WimPath)>,
    /// How the result is compressed; as the input when none.
    pub compress: Option<(ChunkFormat, Level)>,
    /// Whether the result has an integrity table; as the input when none.
    pub integrity: Option<Integrity>,
    /// How thoroughly the result is read back.
    pub verify: VerifyDepth,
    /// Plan and report only, or write.
    pub mode: Mode,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Plan and report only.
    DryRun,
    /// Write the result.
    Write,
}

/// Does what `options` say.
///
/// # Errors
/// `NotFound` for a missing edition or file, `InvalidInput` for an output that exists or is the input, and what reading,
/// servicing and writing give. The output is then as it was.
pub fn slipstream(cx: &Context<'_>, options: &SlipstreamOptions) -> Result<SlipstreamReport> {
    let set = PartSet::open(&options.input, &options.refs, Check::Nothing, cx)?;
    let wim = &set.wim;
    check_unsplit(wim)?;
    if is_same_file(&options.input, &options.output) {
        return Err(Error::invalid_input("the output is the input")
            .in_file(options.output.display())
            .remedy("write to another file; the input is never changed"));
    }
    set.check_replaceable(&options.output)?;
    let file = match options.mode {
        Mode::Write => Some(AtomicFile::create(&options.output, options.if_exists)?),
        Mode::DryRun => None,
    };
    let kept = kept_images(wim, &options.editions)?;
    let edits = Edits::read(cx, options)?;
    let mut images = EditedImages::new(wim, &folder_of(&options.output));
    cx.progress.start(Stage::LoadingImages, kept.len() as u64);
    let (mut reports, mut hashed) = (Vec::new(), HashedFiles::default());
    for &image in &kept {
        let ServicedImage { edited, report } = service(cx, &set, image, &edits, options, &mut hashed)?;
        images.add(edited)?;
        reports.push(report);
        cx.progress.advance(1);
    }
    let mut report = SlipstreamReport::new(wim, options, &kept, reports);
    if let Some(mut file) = file {
        let elsewhere = images.elsewhere();
        let EditedImages { images, contents, .. } = images;
        let written = write(cx, new_wim(wim, options, images, &kept, &contents)?, &mut file)?;
        let expected = Expected { written: &written, elsewhere: &elsewhere, depth: options.verify };
        sync_and_read_back(cx, &mut file, &expected)?;
        file.commit()?;
        report.written = Some(WrittenReport::new(&written));
    }
    Ok(report)
}

fn kept_images(wim: &WimFile, editions: &[String]) -> Result<Vec<ImageIndex>> {
    if editions.is_empty() {
        return Ok(wim.images().collect());
    }
    let mut kept = Vec::new();
    for edition in editions {
        for image in images::choose(wim, edition)? {
            if !kept.contains(&image) {
                kept.push(image);
            }
        }
    }
    // The order of the file, whatever the order of the options: equal wishes give equal files.
    kept.sort_unstable();
    Ok(kept)
}

fn new_wim<'a>(
    wim: &'a WimFile,
    options: &SlipstreamOptions,
    images: Vec<NewImage<'a>>,
    kept: &[ImageIndex],
    contents: &'a [(Sha1Digest, Content)],
) -> Result<NewWim<'a>> {
    if wim.xml().is_stand_in() {
        return Err(Error::invalid_input("its XML data cannot be read, so it cannot be carried over")
            .in_file(wim.name()));
    }
    let (format, level) = options.compress.unwrap_or((wim.format(), Level::NORMAL));
    let has_integrity = !wim.header().integrity.is_absent();
    let boot = wim.boot_index().and_then(|boot| kept.iter().position(|&image| image == boot));
    Ok(NewWim {
        format,
        level,
        packing: if options.compress.is_some() { Packing::Separate } else { Packing::as_in(wim) },
        guid: None,
        flags: wim.header().flags,
        xml: wim.xml().clone(),
        images,
        sources: vec![wim],
        contents,
        boot: boot.map(ImageIndex::from_position),
        integrity: options.integrity.unwrap_or(if has_integrity { Integrity::Make } else { Integrity::Omit }),
        recompress: Recompress::WhenNeeded,
        copy_checksums: CopyChecksums::Keep,
    })
}
