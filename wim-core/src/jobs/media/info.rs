//! What a disc is: its file systems, how it boots, which Windows it installs.
//!
//! Editions are what the XML of the install images says. Hashing the disc reads all of it, so that is asked for by itself.

use std::path::Path;

use serde::Serialize;

use super::list::open_with_inner;
use crate::base::{Context, Error, ReadAt, Result, Sha1Hasher, Stage, read_at};
use crate::formats::iso9660::el_torito::Catalogue;
use crate::formats::wim::WimFile;
use crate::jobs::clock::ReportTime;
use crate::jobs::info::{ImageInfo, WimInfo};
use crate::jobs::input::tell_warnings;
use crate::media::known_discs::{self, KnownDisc};
use crate::media::windows_media::{SetupSettings, install_images, setup_settings};
use crate::media::{FileSystem, IsoImage};

/// What is known of a disc.
#[derive(Clone, Debug, Serialize)]
pub struct MediaInfo {
    /// The path it was opened by.
    pub path: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The file system that is read.
    pub file_system: FileSystem,
    /// All that were found.
    pub file_systems: Vec<FileSystem>,
    /// Revision of UDF as `1.02`.
    pub udf_revision: Option<String>,
    /// The volume's name.
    pub label: String,
    /// Publisher, of the ISO 9660 side.
    pub publisher: Option<String>,
    /// Program that made it, of the ISO 9660 side.
    pub application: Option<String>,
    /// When it was made, by the ISO 9660 side.
    pub created: Option<ReportTime>,
    /// What firmware may boot.
    pub boot: Option<Catalogue>,
    /// The install images, with what Setup is told beside them.
    pub install_images: Vec<InstallImage>,
    /// SHA-1 of the file, when it was asked for.
    pub sha1: Option<String>,
    /// The published disc with this SHA-1.
    pub known: Option<KnownDisc>,
}

/// An install image of a disc.
#[derive(Clone, Debug, Serialize)]
pub struct InstallImage {
    /// Path on the disc; of a split set the first part's.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// Parts of the set.
    pub total_parts: u16,
    /// Its editions.
    pub images: Vec<ImageInfo>,
    /// Setup's settings.
    pub settings: SetupSettings,
}

/// Whether the whole disc is read and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// It is.
    Sha1,
    /// It is not.
    Skip,
}

/// Describes the disc at `path`.
///
/// # Errors
/// `InvalidInput` for a path inside of a disc; what opening gives. What cannot be read of an install image or of the boot
/// catalogue is a warning.
pub fn info(cx: &Context<'_>, path: &Path, hashing: Hashing) -> Result<MediaInfo> {
    let (disc, inner) = open_with_inner(path, cx)?;
    if inner.is_some() {
        return Err(Error::invalid_input("a path inside of a disc; the disc itself is wanted")
            .in_file(path.display())
            .remedy("describe a WIM on it with: wim info"));
    }
    let boot = disc.boot_catalogue().unwrap_or_else(|error| {
        cx.progress.warn(&error);
        None
    });
    let mut images = Vec::new();
    for path in install_images(&disc)? {
        match install_image(&disc, &path) {
            Ok(image) => images.push(image),
            Err(error) => cx.progress.warn(&error),
        }
    }
    tell_warnings(&disc, cx);
    let sha1 = match hashing {
        Hashing::Sha1 => Some(sha1(cx, &disc)?),
        Hashing::Skip => None,
    };
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    let mastering = disc.mastering();
    Ok(MediaInfo {
        path: disc.name().to_owned(),
        bytes: disc.source().size(),
        file_system: disc.file_system(),
        file_systems: disc.file_systems(),
        udf_revision: disc.udf_revision(),
        label: disc.label().to_owned(),
        publisher: mastering.and_then(|one| said(&one.publisher)),
        application: mastering.and_then(|one| said(&one.application)),
        created: mastering.and_then(|one| one.created).map(ReportTime),
        boot,
        install_images: images,
        known: sha1.as_deref().and_then(known_discs::by_sha1).copied(),
        sha1,
    })
}

fn install_image(disc: &IsoImage, path: &str) -> Result<InstallImage> {
    let name = format!("{}:{path}", disc.name());
    let entry = disc.find(path)?.ok_or_else(|| Error::not_found("it is gone").in_file(&name))?;
    let wim = WimFile::open(std::sync::Arc::new(disc.content(&entry)?), &name)?;
    let info = WimInfo::of(&wim);
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    Ok(InstallImage {
        path: path.to_owned(),
        bytes: entry.size,
        total_parts: info.total_parts,
        images: info.images,
        settings: setup_settings(disc, folder)?,
    })
}

/// Reads the whole disc.
fn sha1(cx: &Context<'_>, disc: &IsoImage) -> Result<String> {
    const BLOCK_BYTES: u64 = 1 << 20;
    let size = disc.source().size();
    cx.progress.start(Stage::Hashing, size);
    let mut hasher = Sha1Hasher::new();
    let mut block = vec![0; BLOCK_BYTES as usize];
    let mut at = 0;
    while at < size {
        cx.cancel.check()?;
        let length = BLOCK_BYTES.min(size - at);
        let part = block.get_mut(..usize::try_from(length).unwrap_or(0)).unwrap_or_default();
        read_at::read_exact_at(&**disc.source(), part, at).map_err(|e| e.in_file(disc.name()))?;
        hasher.update(part);
        cx.progress.advance(length);
        at += length;
    }
    Ok(hasher.finish().to_string())
}
