//! What the verbs that write share: images as they are, put into a file that is written anew.
//!
//! The file is written whole beside its target and renamed. Bytes that are in the wanted form already are copied as they
//! are. Files that are only appended to are [`target`](super::target)'s.

use std::path::Path;

use lz_kit::Level;
use serde::Serialize;

use super::input::check_changeable;
use super::open::load_image;
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{ChunkSize, Context, Error, ImageIndex, Result};
use crate::formats::wim::{ChunkFormat, Compression, WimFile};
use crate::transfer::write::{Integrity, NewImage, NewMetadata, NewWim, Recompress, WriteReport, write};

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
}

impl Default for CompressionOptions {
    fn default() -> Self {
        Self { compression: None, level: None, chunk_size: None, recompress: Recompress::WhenNeeded }
    }
}

impl CompressionOptions {
    /// The format to write when the data comes from files of format `from`.
    ///
    /// # Errors
    /// `InvalidInput` for a chunk size that the type does not have.
    pub fn format(&self, from: ChunkFormat) -> Result<ChunkFormat> {
        let compression = self.compression.unwrap_or(from.compression());
        let chunk_size = match self.chunk_size {
            Some(chunk_size) => chunk_size,
            None if compression == from.compression() => from.chunk_size(),
            None => ChunkFormat::usual(compression).chunk_size(),
        };
        let is_readable = compression != Compression::Lzms || chunk_size.bytes() <= MAX_LZMS_CHUNK_BYTES;
        ChunkFormat::new(compression, chunk_size).filter(|_| is_readable).ok_or_else(|| {
            Error::invalid_input(format!("{compression} has no chunks of {} bytes", chunk_size.bytes()))
                .remedy("XPRESS has chunks of 4K to 64K, LZX of 32K to 2M, LZMS of 32K to 64M")
        })
    }
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
#[derive(Clone, Debug, Default, Serialize)]
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

/// An image of `wim` as it is.
///
/// # Errors
/// What loading its metadata gives: references to blobs are counted afresh.
pub(super) fn existing_image<'w>(
    wim: &'w WimFile,
    image: ImageIndex,
    cx: &Context<'_>,
) -> Result<NewImage<'w>> {
    let tree = load_image(wim, image, cx)?;
    Ok(NewImage {
        metadata: NewMetadata::Copy(wim, image),
        xml: wim.xml().images().get(image.position()).cloned().unwrap_or_default(),
        references: tree.blob_references(),
    })
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
    cx.progress.start(crate::base::Stage::LoadingImages, wim.image_count() as u64);
    let kept = wim.images().filter(|image| !without.contains(image));
    kept.map(|image| existing_image(wim, image, cx).inspect(|_| cx.progress.advance(1))).collect()
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
    let report: WriteReport = write(cx, new, &mut file)?;
    cx.cancel.check()?;
    file.commit()?;
    Ok(Written {
        path: target.display().to_string(),
        image_count,
        file_bytes: report.file_bytes,
        replaced_bytes,
        copied_resources: report.copied_resources,
        copied_bytes: report.copied_bytes,
        encoded_resources: report.encoded_resources,
        encoded_bytes: report.encoded_bytes,
    })
}
