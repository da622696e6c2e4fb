//! What the verbs that write share: images as they are, put into a file that is written anew.
//!
//! The file is written whole beside its target and renamed. Bytes that are in the wanted form already are copied as they
//! are. Files that are only appended to are [`target`](super::target)'s.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use lz_kit::Level;
use serde::{Deserialize, Serialize};

use super::input::check_changeable;
use super::open::load_image;
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::sequential_output::SequentialOutput;
use crate::base::{ChunkSize, Context, Error, ErrorKind, ImageIndex, Reason, Result, Sha1Digest};
use crate::formats::wim::{ChunkFormat, Compression, WimFile, WimLayout};
use crate::image::edit::Content;
use crate::transfer::write::{
    CopyChecksums, Integrity, NewImage, NewMetadata, NewWim, Packing, Recompress, SolidOrder, SolidPacking,
    WriteReport, write,
};

/// Longest LZMS chunk that is written: Windows reads no longer ones, and the encoder needs ten times as much memory.
const MAX_LZMS_CHUNK_BYTES: u32 = 64 << 20;

/// How a written file is compressed; what is none is as in the file it comes from.
#[derive(Clone, Copy, Debug)]
pub struct CompressionOptions {
    /// Compression type.
    pub compression: Option<Compression>,
    /// Level for what is encoded.
    pub level: Option<Level>,
    /// Chunk size.
    pub chunk_size: Option<ChunkSize>,
    /// What is compressed again.
    pub recompress: Recompress,
    /// Where the parts of the file stand.
    pub layout: Option<WimLayout>,
    /// Whether blobs are packed together.
    pub solid: SolidChoice,
}

/// Whether blobs are packed together in solid resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SolidChoice {
    /// As in the file that the data comes from; with a compression type that was asked for they are not.
    AsBefore,
    /// They are.
    Solid(SolidOptions),
}

/// How solid resources are made; what is none is wimlib's default, LZMS in chunks of 64 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SolidOptions {
    /// Compression type.
    pub compression: Option<Compression>,
    /// Level.
    pub level: Option<Level>,
    /// Chunk size.
    pub chunk_size: Option<ChunkSize>,
    /// Which blobs lie side by side.
    pub sort: SolidSort,
}

/// Which blobs lie side by side in a solid resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SolidSort {
    /// Those with similar names.
    #[default]
    ByName,
    /// Those that were found one after the other.
    AsFound,
}

impl SolidOptions {
    /// The format of the solid resource.
    ///
    /// # Errors
    /// `InvalidInput` for a chunk size that the type does not have, and for no compression at all.
    fn format(&self) -> Result<ChunkFormat> {
        let compression = self.compression.unwrap_or(Compression::Lzms);
        if compression == Compression::None {
            return Err(Error::invalid_input("a solid file cannot be uncompressed")
                .remedy("leave --solid out, or choose XPRESS, LZX or LZMS with --solid-compress"));
        }
        match self.chunk_size {
            None => Ok(ChunkFormat::largest(compression, MAX_LZMS_CHUNK_BYTES)),
            Some(chunk_size) => checked_format(compression, chunk_size),
        }
    }
}

impl Default for CompressionOptions {
    fn default() -> Self {
        Self {
            compression: None,
            level: None,
            chunk_size: None,
            recompress: Recompress::WhenNeeded,
            layout: None,
            solid: SolidChoice::AsBefore,
        }
    }
}

impl CompressionOptions {
    /// The format to write when the data comes from files of format `from`.
    ///
    /// # Errors
    /// `InvalidInput` for a chunk size that the type does not have.
    pub fn format(&self, from: ChunkFormat) -> Result<ChunkFormat> {
        let compression = self.compression.unwrap_or(from.compression());
        if compression == Compression::None && self.chunk_size.is_some() {
            return Err(Error::invalid_input("an uncompressed file has no chunks")
                .because(Reason::ChunkSize)
                .remedy("leave --chunk-size out, or choose XPRESS, LZX or LZMS with --compress"));
        }
        let chunk_size = match self.chunk_size {
            Some(chunk_size) => chunk_size,
            None if compression == from.compression() => from.chunk_size(),
            None => ChunkFormat::usual(compression).chunk_size(),
        };
        let layout = self.layout.unwrap_or(from.layout());
        checked_format(compression, chunk_size).map(|format| format.in_layout(layout))
    }

    /// The names that decide the order in solid resources, to be filled in; none when they do not matter.
    #[must_use]
    pub fn order(&self, before: Option<&WimFile>) -> Option<SolidOrder> {
        let is_sorted = match self.solid {
            SolidChoice::Solid(options) => options.sort == SolidSort::ByName,
            SolidChoice::AsBefore => self.stays_solid(before).is_some(),
        };
        is_sorted.then(SolidOrder::default)
    }

    /// How blobs are packed when they come from files like `before`, and their names are in `order`.
    ///
    /// # Errors
    /// `InvalidInput` for a chunk size that the type does not have, and for a file that is to be solid and pipable.
    pub fn packing(&self, before: Option<&WimFile>, order: Option<SolidOrder>) -> Result<Packing> {
        if self.layout == Some(WimLayout::Pipable) && matches!(self.solid, SolidChoice::Solid(_)) {
            return Err(solid_and_pipable());
        }
        let order = order.unwrap_or_default();
        Ok(match (self.solid, self.stays_solid(before)) {
            (SolidChoice::Solid(options), _) => Packing::Solid(SolidPacking {
                format: options.format()?,
                level: options.level.unwrap_or_default(),
                order,
            }),
            (SolidChoice::AsBefore, Some(format)) => {
                Packing::Solid(SolidPacking { format, level: Level::default(), order })
            }
            (SolidChoice::AsBefore, None) => Packing::Separate,
        })
    }

    /// The form of the solid resources of `before`, when there are to be such again.
    fn stays_solid(&self, before: Option<&WimFile>) -> Option<ChunkFormat> {
        let format = before?.solid_resources().next()?.format();
        let stays = self.compression.is_none() && self.layout != Some(WimLayout::Pipable);
        stays.then_some(format)
    }
}

fn solid_and_pipable() -> Error {
    Error::invalid_input("a pipable file cannot be solid").remedy("leave out --solid, or --pipable")
}

fn checked_format(compression: Compression, chunk_size: ChunkSize) -> Result<ChunkFormat> {
    let is_readable = compression != Compression::Lzms || chunk_size.bytes() <= MAX_LZMS_CHUNK_BYTES;
    ChunkFormat::new(compression, chunk_size).filter(|_| is_readable).ok_or_else(|| {
        Error::invalid_input(format!("{compression} has no chunks of {} bytes", chunk_size.bytes()))
            .because(Reason::ChunkSize)
            .remedy("XPRESS has chunks of 4K to 64K, LZX of 32K to 2M, LZMS of 32K to 64M")
    })
}

/// What WIMBoot wants: XPRESS in chunks of 4 KiB (wimcapture(1)).
#[must_use]
pub(super) fn wimboot_format() -> ChunkFormat {
    ChunkSize::from_bytes(4096)
        .and_then(|size| ChunkFormat::new(Compression::Xpress, size))
        .expect("XPRESS has chunks of 4 KiB")
}

/// Whether an image is marked for WIMBoot, whose files Windows 8.1 reads out of the WIM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WimBoot {
    /// It is, and a new file is compressed as WIMBoot wants it when nothing else is said: XPRESS in chunks of 4 KiB.
    Mark,
    /// It is as it was; a new one is not.
    Leave,
}

/// What becomes of the integrity table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityChoice {
    /// Made when the file that is replaced had one.
    AsBefore,
    /// Made.
    Make,
    /// Left out.
    Omit,
}

impl IntegrityChoice {
    /// The choice for a file that replaces `before`.
    #[must_use]
    pub fn resolve(self, before: Option<&WimFile>) -> Integrity {
        let had_one = before.is_some_and(|wim| !wim.header().integrity.is_absent());
        match self {
            Self::Make => Integrity::Make,
            Self::AsBefore if had_one => Integrity::Make,
            Self::AsBefore | Self::Omit => Integrity::Omit,
        }
    }
}

/// What was written, for reports.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Written {
    /// The file.
    pub path: String,
    /// Its images.
    pub image_count: usize,
    /// Its bytes.
    pub file_bytes: u64,
    /// Bytes of the file that it replaced, 0 for a new one.
    pub replaced_bytes: u64,
    /// Resources copied as they were.
    pub copied_resources: u64,
    /// Their stored bytes.
    pub copied_bytes: u64,
    /// Resources that were encoded.
    pub encoded_resources: u64,
    /// Their uncompressed bytes.
    pub encoded_bytes: u64,
}

/// An image of `wim` as it is; blobs that `wim` lacks, as a delta does, are those of other files.
///
/// # Errors
/// What loading its metadata gives: references to blobs are counted afresh.
pub(super) fn existing_image<'w>(
    wim: &'w WimFile,
    image: ImageIndex,
    cx: &Context<'_>,
) -> Result<NewImage<'w>> {
    existing_image_named(wim, image, &mut None, cx)
}

/// [`existing_image`], whose names are added to `order`.
///
/// # Errors
/// As [`existing_image`].
pub(super) fn existing_image_named<'w>(
    wim: &'w WimFile,
    image: ImageIndex,
    order: &mut Option<SolidOrder>,
    cx: &Context<'_>,
) -> Result<NewImage<'w>> {
    let tree = load_image(wim, image, cx)?;
    if let Some(order) = order {
        order.add_tree(&tree);
    }
    let xml = wim.xml().images().get(image.position()).cloned().unwrap_or_default();
    let mut same = NewImage::new(NewMetadata::Copy(wim, image), xml, tree.blob_references());
    same.leave_elsewhere(|digest| wim.table().find(digest).is_none());
    Ok(same)
}

/// Leaves out of what must be in the file what is neither in `wim` nor among the new `contents`: a changed `image` of a delta
/// referred to it before.
pub(super) fn leave_to_bases(image: &mut NewImage<'_>, wim: &WimFile, contents: &[(Sha1Digest, Content)]) {
    let new: HashSet<&Sha1Digest> = contents.iter().map(|(digest, _)| digest).collect();
    image.leave_elsewhere(|digest| wim.table().find(digest).is_none() && !new.contains(digest));
}

/// `wim` written anew as it is, but for its images, which the caller fills in.
pub(super) fn as_it_is(wim: &WimFile) -> NewWim<'_> {
    NewWim {
        format: wim.format(),
        level: Level::default(),
        packing: Packing::as_in(wim),
        guid: Some(wim.header().guid),
        flags: wim.header().flags,
        xml: wim.xml().clone(),
        images: Vec::new(),
        sources: vec![wim],
        contents: &[],
        boot: wim.boot_index(),
        integrity: IntegrityChoice::AsBefore.resolve(Some(wim)),
        recompress: Recompress::WhenNeeded,
        copy_checksums: CopyChecksums::Drop,
    }
}

/// All images of `wim` but those in `without`, as they are.
///
/// # Errors
/// As [`existing_image`].
pub(super) fn existing_images<'w>(
    wim: &'w WimFile,
    without: &[ImageIndex],
    cx: &Context<'_>,
) -> Result<Vec<NewImage<'w>>> {
    existing_images_named(wim, without, &mut None, cx)
}

/// [`existing_images`], whose names are added to `order`.
///
/// # Errors
/// As [`existing_image`].
pub(super) fn existing_images_named<'w>(
    wim: &'w WimFile,
    without: &[ImageIndex],
    order: &mut Option<SolidOrder>,
    cx: &Context<'_>,
) -> Result<Vec<NewImage<'w>>> {
    cx.progress.start(crate::base::Stage::LoadingImages, wim.image_count() as u64);
    let kept = wim.images().filter(|image| !without.contains(image));
    kept.map(|image| existing_image_named(wim, image, order, cx).inspect(|_| cx.progress.advance(1)))
        .collect()
}

/// Writes `new` beside `target` and renames it there.
///
/// # Errors
/// What writing gives; the target is then as it was.
pub(super) fn write_file(
    cx: &Context<'_>,
    new: NewWim<'_>,
    target: &Path,
    if_exists: IfExists,
) -> Result<Written> {
    check_changeable(target)?;
    let replaced_bytes = std::fs::metadata(target).map_or(0, |metadata| metadata.len());
    let image_count = new.images.len();
    let mut file = AtomicFile::create(target, if_exists)?;
    let report = write(cx, new, &mut file)?;
    cx.cancel.check()?;
    file.commit()?;
    Ok(written(target.display().to_string(), image_count, replaced_bytes, &report))
}

/// Refuses what a stream cannot be, before any work is done.
///
/// # Errors
/// `InvalidInput`.
pub(super) fn check_stream(compression: CompressionOptions, integrity: IntegrityChoice) -> Result<()> {
    if matches!(compression.solid, SolidChoice::Solid(_)) {
        return Err(solid_and_pipable());
    }
    if compression.layout == Some(WimLayout::Standard) {
        return Err(Error::invalid_input("a WIM on standard output is always pipable")
            .remedy("leave --not-pipable out, or write to a file"));
    }
    match integrity {
        IntegrityChoice::Make => Err(no_integrity()),
        IntegrityChoice::AsBefore | IntegrityChoice::Omit => Ok(()),
    }
}

fn no_integrity() -> Error {
    Error::invalid_input(
        "a WIM on standard output cannot have an integrity table, for which it is read again",
    )
    .remedy("leave --check and --include-integrity out, or write to a file")
}

/// Writes `new`, made pipable, to a stream that need not be able to go back.
///
/// # Errors
/// `InvalidInput` when an integrity table is wanted, which needs all to be read again; else what writing gives.
pub(super) fn write_stream(
    cx: &Context<'_>,
    new: NewWim<'_>,
    out: &mut (dyn Write + Send + Sync),
) -> Result<Written> {
    const NAME: &str = "standard output";
    if new.integrity == Integrity::Make {
        return Err(no_integrity());
    }
    let new = NewWim { format: new.format.in_layout(WimLayout::Pipable), ..new };
    let image_count = new.images.len();
    let mut output = SequentialOutput::new(out);
    let report = write(cx, new, &mut output)?;
    let finished = output.finish();
    finished
        .map_err(|e| Error::new(ErrorKind::Io, format!("cannot write: {e}")).in_file(NAME).with_source(e))?;
    Ok(written(NAME.to_owned(), image_count, 0, &report))
}

fn written(path: String, image_count: usize, replaced_bytes: u64, report: &WriteReport) -> Written {
    Written {
        path,
        image_count,
        file_bytes: report.file_bytes,
        replaced_bytes,
        copied_resources: report.copied_resources,
        copied_bytes: report.copied_bytes,
        encoded_resources: report.encoded_resources,
        encoded_bytes: report.encoded_bytes,
    }
}
