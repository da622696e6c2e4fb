//! What `slipstream` tells of its work: per image what changed, what was refused and why.

use serde::Serialize;

use super::{Mode, SlipstreamOptions};
use crate::base::ImageIndex;
use crate::formats::wim::WimFile;
use crate::jobs::edited_image::EditedImage;
use crate::jobs::edited_image::changes::{FileChange, RegistryChange, file_changes};
use crate::jobs::images::{architecture_name, describe};
use crate::servicing::drivers::{DriverReport, Outcome};
use crate::servicing::hive_set::Edit;
use crate::servicing::target::ImageTarget;
use crate::transfer::write::WriteReport;

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct SlipstreamReport {
    /// The WIM that was read.
    pub input: String,
    /// The WIM that was written.
    pub output: String,
    /// Nothing was written, this is the plan.
    pub dry_run: bool,
    /// At least one image differs from the input's.
    pub changed: bool,
    /// The images that are kept, in their new order.
    pub images: Vec<ImageReport>,
    /// The images that are not.
    pub dropped: Vec<DroppedImage>,
    /// What was written; none for a plan.
    pub written: Option<WrittenReport>,
}

/// One image that was kept.
#[derive(Clone, Debug, Serialize)]
pub struct ImageReport {
    /// Its number in the output.
    pub index: u32,
    /// Its number in the input.
    pub input_index: u32,
    /// NAME.
    pub name: Option<String>,
    /// EDITIONID, else FLAGS.
    pub edition: Option<String>,
    /// `x86`, `x86_64`, …: what drivers were chosen for when there were any, else what the XML says.
    pub architecture: Option<String>,
    /// Windows version as `6.1.7601`, likewise.
    pub version: Option<String>,
    /// It differs from the input's.
    pub changed: bool,
    /// What became of each driver package.
    pub drivers: Vec<DriverReport>,
    /// Files that differ from the input's.
    pub files: Vec<FileChange>,
    /// Registry edits.
    pub registry: Vec<RegistryChange>,
    /// What was odd.
    pub warnings: Vec<String>,
}

/// An image that the output does not have.
#[derive(Clone, Debug, Serialize)]
pub struct DroppedImage {
    /// Its number in the input.
    pub input_index: u32,
    /// What people call it.
    pub name: String,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
pub struct WrittenReport {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Resources that were copied compressed, as they were.
    pub copied_resources: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Blobs and metadata that were compressed.
    pub encoded_resources: u64,
    /// Their uncompressed bytes.
    pub encoded_bytes: u64,
}

impl WrittenReport {
    pub(super) fn new(report: &WriteReport) -> Self {
        Self {
            file_bytes: report.file_bytes,
            copied_resources: report.copied_resources,
            copied_bytes: report.copied_bytes,
            encoded_resources: report.encoded_resources,
            encoded_bytes: report.encoded_bytes,
        }
    }
}

impl SlipstreamReport {
    pub(super) fn new(
        wim: &WimFile,
        options: &SlipstreamOptions,
        kept: &[ImageIndex],
        mut images: Vec<ImageReport>,
    ) -> Self {
        for (position, image) in images.iter_mut().enumerate() {
            image.index = ImageIndex::from_position(position).number();
        }
        let dropped = wim.images().filter(|image| !kept.contains(image));
        let dropped =
            dropped.map(|image| DroppedImage { input_index: image.number(), name: describe(wim, image) });
        Self {
            input: options.input.display().to_string(),
            output: options.output.display().to_string(),
            dry_run: options.mode == Mode::DryRun,
            changed: images.iter().any(|image| image.changed),
            images,
            dropped: dropped.collect(),
            written: None,
        }
    }

    /// True when drivers were given and not one was added to, or found in, any image.
    #[must_use]
    pub fn nothing_matched(&self) -> bool {
        let mut outcomes =
            self.images.iter().flat_map(|image| &image.drivers).map(|driver| &driver.outcome).peekable();
        outcomes.peek().is_some()
            && outcomes.all(|o| matches!(o, Outcome::Refused { .. } | Outcome::Skipped { .. }))
    }
}

/// What a report of an image is made of.
pub(super) struct Facts<'f> {
    pub(super) image: ImageIndex,
    pub(super) edited: &'f EditedImage<'f>,
    pub(super) target: Option<ImageTarget>,
    pub(super) drivers: Vec<DriverReport>,
    pub(super) journal: Vec<Edit>,
}

impl ImageReport {
    pub(super) fn new(facts: Facts<'_>) -> Self {
        let Facts { image, edited, target, drivers, journal } = facts;
        let xml = &edited.new.xml;
        let windows = target.map(|target| target.windows);
        let stated_version = xml.version().map(|v| format!("{}.{}.{}", v.major, v.minor, v.build));
        let stated_architecture = xml.architecture().map(|number| architecture_name(number).to_owned());
        Self {
            index: image.number(),
            input_index: image.number(),
            name: xml.name().map(str::to_owned),
            edition: xml.edition_id().or(xml.flags()).map(str::to_owned),
            architecture: windows.as_ref().map(|w| w.arch.name().to_owned()).or(stated_architecture),
            version: windows.map(|w| format!("{}.{}.{}", w.major, w.minor, w.build)).or(stated_version),
            changed: edited.resolved.is_changed,
            drivers,
            files: file_changes(&edited.resolved),
            registry: journal.iter().map(RegistryChange::new).collect(),
            warnings: edited.warnings.iter().map(ToString::to_string).collect(),
        }
    }
}
