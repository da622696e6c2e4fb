//! What `slipstream` tells of its work: per image what changed, what was refused and why.

use serde::Serialize;

use super::image::ServicedImage;
use super::{Mode, SlipstreamOptions};
use crate::base::ImageIndex;
use crate::formats::hive::RegValue;
use crate::formats::wim::WimFile;
use crate::image::edit::EffectKind;
use crate::jobs::images::{architecture_name, describe};
use crate::servicing::drivers::{DriverReport, Outcome};
use crate::servicing::hive_set::Edit;
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

/// One file that differs.
#[derive(Clone, Debug, Serialize)]
pub struct FileChange {
    /// Its path in the image.
    pub path: String,
    /// `added`, `replaced` or `removed`.
    pub change: &'static str,
    /// Why.
    pub reason: String,
}

/// One registry edit.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryChange {
    /// The hive, such as `SYSTEM`.
    pub hive: String,
    /// The key's path in the hive.
    pub key: String,
    /// The value's name; empty for the default value, none when the edit is of the key itself.
    pub value: Option<String>,
    /// The value before, none if it was not there.
    pub old: Option<RegistryValue>,
    /// The value now, none if it was deleted.
    pub new: Option<RegistryValue>,
    /// Why.
    pub reason: String,
}

/// A registry value.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryValue {
    /// Its type number: 1 for REG_SZ, 4 for REG_DWORD.
    pub kind: u32,
    /// Its data for people.
    pub text: String,
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
        serviced: &[ServicedImage<'_>],
    ) -> Self {
        let images: Vec<_> =
            serviced.iter().enumerate().map(|(position, image)| ImageReport::new(position, image)).collect();
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

impl ImageReport {
    fn new(position: usize, serviced: &ServicedImage<'_>) -> Self {
        let xml = &serviced.xml;
        let windows = serviced.target.as_ref().map(|target| &target.windows);
        let stated_version = xml.version().map(|v| format!("{}.{}.{}", v.major, v.minor, v.build));
        Self {
            index: ImageIndex::from_position(position).number(),
            input_index: serviced.image.number(),
            name: xml.name().map(str::to_owned),
            edition: xml.edition_id().or(xml.flags()).map(str::to_owned),
            architecture: windows
                .map(|windows| windows.arch.name().to_owned())
                .or_else(|| xml.architecture().map(|number| architecture_name(number).to_owned())),
            version: windows.map(|w| format!("{}.{}.{}", w.major, w.minor, w.build)).or(stated_version),
            changed: serviced.resolved.is_changed,
            drivers: serviced.drivers.clone(),
            files: file_changes(serviced),
            registry: serviced.journal.iter().map(RegistryChange::new).collect(),
            warnings: serviced.warnings.iter().map(ToString::to_string).collect(),
        }
    }
}

fn file_changes(serviced: &ServicedImage<'_>) -> Vec<FileChange> {
    let effects = serviced.resolved.effects.iter();
    let changed = effects.filter_map(|effect| {
        let change = match effect.kind {
            EffectKind::Added => "added",
            EffectKind::Replaced => "replaced",
            EffectKind::Removed => "removed",
            EffectKind::Unchanged => return None,
        };
        Some(FileChange { path: effect.path.to_string(), change, reason: effect.reason.clone() })
    });
    changed.collect()
}

impl RegistryChange {
    fn new(edit: &Edit) -> Self {
        let value = |data: &RegValue| RegistryValue { kind: data.kind, text: value_text(data) };
        Self {
            hive: edit.hive.label().to_owned(),
            key: edit.key.clone(),
            value: edit.value.clone(),
            old: edit.old.as_ref().map(value),
            new: edit.new.as_ref().map(value),
            reason: edit.reason.clone(),
        }
    }
}

/// Strings and numbers as people write them, anything else as its type and bytes.
fn value_text(data: &RegValue) -> String {
    let number = || data.as_dword().map(u64::from).or_else(|| data.as_qword());
    data.as_str()
        .or_else(|| data.as_multi_sz().map(|texts| texts.join("; ")))
        .or_else(|| number().map(|number| number.to_string()))
        .unwrap_or_else(|| format!("{data:?}"))
}
