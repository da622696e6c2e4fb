//! What `driver add` and `driver remove` tell of their work: per file, image and package.

use serde::Serialize;

use crate::base::ImageIndex;
use crate::jobs::edited_image::EditedImage;
use crate::jobs::edited_image::changes::{FileChange, RegistryChange, file_changes};
use crate::servicing::drivers::manifest::ManifestEntry;
use crate::servicing::drivers::{DriverReport, Outcome};
use crate::servicing::hive_set::Edit;
use crate::servicing::target::{ImageTarget, StoreGeneration};
use crate::transfer::write::WriteReport;

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct WorkReport {
    /// Nothing was written, this is the plan.
    pub dry_run: bool,
    /// At least one image differs from before.
    pub changed: bool,
    /// The WIM files, in the order in which they were serviced.
    pub files: Vec<FileReport>,
    /// Names of drivers to remove that no image has.
    pub missing: Vec<String>,
    /// What concerns several images.
    pub warnings: Vec<String>,
}

/// One WIM file.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// The file that was read.
    pub path: String,
    /// The file that was, or would be, written.
    pub output: String,
    /// At least one of its images differs from before.
    pub changed: bool,
    /// Its images that were serviced.
    pub images: Vec<ImageReport>,
    /// What was written; none for a plan, and when nothing changed in place.
    pub written: Option<WrittenFile>,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct WrittenFile {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Resources copied as they were.
    pub copied_resources: u64,
    /// Their stored bytes.
    pub copied_bytes: u64,
    /// Resources that were compressed.
    pub encoded_resources: u64,
    /// Their uncompressed bytes.
    pub encoded_bytes: u64,
}

impl WrittenFile {
    pub(super) fn new(written: &WriteReport) -> Self {
        Self {
            file_bytes: written.file_bytes,
            copied_resources: written.copied_resources,
            copied_bytes: written.copied_bytes,
            encoded_resources: written.encoded_resources,
            encoded_bytes: written.encoded_bytes,
        }
    }
}

/// One image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageReport {
    /// Its number.
    pub index: u32,
    /// NAME.
    pub name: Option<String>,
    /// EDITIONID, else FLAGS.
    pub edition: Option<String>,
    /// `x86`, `amd64`, `arm64`.
    pub architecture: String,
    /// Windows version as `6.1.7601`.
    pub version: String,
    /// It is Windows PE.
    pub winpe: bool,
    /// `legacy` for Windows Vista and 7, `modern` from 8 on.
    pub driver_store: &'static str,
    /// It differs from before.
    pub changed: bool,
    /// What became of each package that was to be added.
    pub drivers: Vec<DriverReport>,
    /// Drivers that were removed.
    pub removed: Vec<RemovedDriver>,
    /// What else is to be known of it.
    pub notes: Vec<String>,
    /// Files that differ.
    pub files: Vec<FileChange>,
    /// Registry edits.
    pub registry: Vec<RegistryChange>,
    /// What was odd.
    pub warnings: Vec<String>,
    /// The recovery image in it.
    pub recovery: Option<InnerReport>,
}

/// A WIM inside an image.
#[derive(Clone, Debug, Serialize)]
pub struct InnerReport {
    /// Its path in the image.
    pub path: String,
    /// It differs from before.
    pub changed: bool,
    /// It is the very file of this image, which has the report.
    pub same_as: Option<String>,
    /// Its images.
    pub images: Vec<ImageReport>,
}

/// A driver that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedDriver {
    /// File name of its INF.
    pub inf: String,
    /// `oemN.inf`, where it had such a name.
    pub published: Option<String>,
    /// Who made it.
    pub provider: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Its folder in the image.
    pub folder: String,
}

impl From<&ManifestEntry> for RemovedDriver {
    fn from(entry: &ManifestEntry) -> Self {
        Self {
            inf: entry.inf.clone(),
            published: entry.published.clone(),
            provider: entry.provider.clone(),
            version: entry.version.clone(),
            folder: entry.folder.clone(),
        }
    }
}

/// What a report of an image is made of.
pub(super) struct ImageFacts<'f> {
    pub(super) image: ImageIndex,
    pub(super) name: Option<String>,
    pub(super) edition: Option<String>,
    pub(super) target: &'f ImageTarget,
    pub(super) edited: &'f EditedImage<'f>,
    pub(super) journal: &'f [Edit],
    pub(super) drivers: Vec<DriverReport>,
    pub(super) removed: Vec<RemovedDriver>,
    pub(super) notes: Vec<String>,
    pub(super) inner: Option<InnerReport>,
}

impl ImageReport {
    pub(super) fn new(facts: ImageFacts<'_>) -> Self {
        let windows = &facts.target.windows;
        Self {
            index: facts.image.number(),
            name: facts.name,
            edition: facts.edition,
            architecture: windows.arch.name().to_owned(),
            version: format!("{}.{}.{}", windows.major, windows.minor, windows.build),
            winpe: facts.target.is_winpe,
            driver_store: match facts.target.generation {
                StoreGeneration::Legacy => "legacy",
                StoreGeneration::Modern => "modern",
            },
            changed: facts.edited.resolved.is_changed,
            drivers: facts.drivers,
            removed: facts.removed,
            notes: facts.notes,
            files: file_changes(&facts.edited.resolved),
            registry: facts.journal.iter().map(RegistryChange::new).collect(),
            warnings: facts.edited.warnings.iter().map(ToString::to_string).collect(),
            recovery: facts.inner,
        }
    }

    /// This image and those inside it.
    fn with_inner(&self) -> impl Iterator<Item = &Self> {
        let inner = self.recovery.iter().flat_map(|inner| &inner.images);
        std::iter::once(self).chain(inner)
    }
}

impl WorkReport {
    /// All images, those inside others too.
    pub fn images(&self) -> impl Iterator<Item = &ImageReport> {
        self.files.iter().flat_map(|file| &file.images).flat_map(ImageReport::with_inner)
    }

    /// Packages that no image took although at least one refused them: source and INF.
    #[must_use]
    pub fn refused_everywhere(&self) -> Vec<(&str, &str)> {
        let of = |wanted: fn(&Outcome) -> bool| {
            let drivers = self.images().flat_map(|image| &image.drivers);
            drivers.filter(move |driver| wanted(&driver.outcome)).map(|d| (d.source.as_str(), d.inf.as_str()))
        };
        let taken: Vec<_> = of(is_taken).collect();
        let mut refused: Vec<_> =
            of(|outcome| matches!(outcome, Outcome::Refused { .. })).filter(|d| !taken.contains(d)).collect();
        refused.sort_unstable();
        refused.dedup();
        refused
    }

    /// True when at least one image has at least one of the packages now.
    #[must_use]
    pub fn took_something(&self) -> bool {
        self.images().flat_map(|image| &image.drivers).any(|driver| is_taken(&driver.outcome))
    }
}

/// True when the image has the package now.
#[must_use]
pub fn is_taken(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Added(_) | Outcome::AlreadyPresent { .. })
}
