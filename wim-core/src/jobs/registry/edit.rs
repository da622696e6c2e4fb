//! Editing the registry of images or of a hive file, or only saying what would be edited.
//!
//! Edits of an image become changes of its tree, and the WIM is written anew with them; a hive file is written beside itself
//! and renamed. Which keys are edited is the caller's business.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::check::FindingRecord;
use super::hive_place::KeyPaths;
use super::target::{Opening, Registry, Source, Target, limit_bytes};
use super::view::{HostHive, read_host};
use crate::base::atomic_file::{AtomicFile, IfExists, folder_of};
use crate::base::{Context, Error, FileTime, ImageIndex, Result};
use crate::formats::hive::Damage;
use crate::formats::reg_file::{RegFile, UnknownLines};
use crate::image::edit::{Action, Change, Content, HashedFiles, ImageView};
use crate::jobs::clock;
use crate::jobs::edited_image::{EditedImages, OpenImage};
use crate::jobs::part_set::PartSet;
use crate::jobs::rebuild::{CompressionOptions, Written, as_it_is, existing_image, write_file};
use crate::servicing::hive_set::{Edit, EditAction, HiveOptions};
use crate::transfer::write::NewWim;

/// How a job edits.
#[derive(Clone, Copy, Debug)]
pub struct EditOptions {
    /// Whether edits are written.
    pub mode: Mode,
    /// What to do about damaged hives that are to be edited.
    pub damage: Damage,
}

/// Whether edits are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Write,
    /// They are only reported.
    DryRun,
}

/// What was edited.
#[derive(Clone, Debug, Serialize)]
pub struct EditReport {
    /// Edits by image; one entry without an image for a hive file.
    pub images: Vec<ImageEdits>,
    /// What was written; none when nothing changed, in a dry run, and for a hive file.
    pub written: Option<Written>,
}

/// The edits of one image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageEdits {
    /// The image; none for a hive file.
    pub image: Option<u32>,
    /// Its edits in order.
    pub edits: Vec<EditRecord>,
    /// What was damaged and is not in the edited hives any more.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// Something that a hive lost because it was damaged.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOut {
    /// The hive.
    pub hive: String,
    /// What it was.
    #[serde(flatten)]
    pub finding: FindingRecord,
}

/// One edit.
#[derive(Clone, Debug, Serialize)]
pub struct EditRecord {
    /// `create-key`, `delete-key`, `set-value`, `delete-value` or `rebuild`.
    pub action: &'static str,
    /// Full path of the key.
    pub key: String,
    /// Name of the value, empty for the default value; none for keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What it was, as type and hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Why.
    pub reason: String,
}

/// The journal of a registry, and what its hives lost.
fn report(registry: &Registry<'_>, image: Option<ImageIndex>) -> ImageEdits {
    let journal = registry.set.journal();
    let rebuilt = journal.iter().filter(|edit| edit.action == EditAction::Rebuild);
    let left_out = rebuilt.flat_map(|edit| {
        let hive = registry.label(edit.hive);
        let findings = registry.set.left_out(edit.hive).iter();
        findings.map(move |finding| LeftOut { hive: hive.clone(), finding: finding.into() })
    });
    ImageEdits {
        image: image.map(|image| image.number()),
        left_out: left_out.collect(),
        edits: records(registry),
    }
}

fn records(registry: &Registry<'_>) -> Vec<EditRecord> {
    let record = |edit: &Edit| EditRecord {
        action: match edit.action {
            EditAction::CreateKey => "create-key",
            EditAction::DeleteKey => "delete-key",
            EditAction::SetValue => "set-value",
            EditAction::DeleteValue => "delete-value",
            EditAction::RestoreTraits => "restore-traits",
            EditAction::Rebuild => "rebuild",
        },
        key: registry.full_path(edit.hive, &edit.key),
        value: edit.value.clone(),
        old: edit.old.as_ref().map(|value| format!("{value:?}")),
        new: edit.new.as_ref().map(|value| format!("{value:?}")),
        reason: edit.reason.clone(),
    };
    registry.set.journal().iter().map(record).collect()
}

/// Runs `work` on the hive file, or on each image that the target names, and writes what it changed.
///
/// A file that nothing changes is not written.
///
/// # Errors
/// Those of opening the target, of `work` and of writing; the file is then as it was.
pub fn edit(
    cx: &Context<'_>,
    target: &Target,
    paths: &KeyPaths,
    how: EditOptions,
    work: impl FnMut(&mut Registry<'_>) -> Result<()>,
) -> Result<EditReport> {
    edit_to(cx, target, paths, how, None, work)
}

/// As [`edit`], but a changed hive file is written to `output`, which must not exist, and its logs are left alone.
///
/// # Errors
/// As [`edit`]; `InvalidInput` for an output of a WIM.
pub(super) fn edit_to(
    cx: &Context<'_>,
    target: &Target,
    paths: &KeyPaths,
    how: EditOptions,
    output: Option<&Path>,
    mut work: impl FnMut(&mut Registry<'_>) -> Result<()>,
) -> Result<EditReport> {
    let time = clock::job_time()?;
    let options = HiveOptions { time: Some(time) };
    let opening = Opening { options, damage: how.damage, max_bytes: limit_bytes(cx) };
    let in_place = how.mode == Mode::Write && output.is_none();
    let source = if in_place { Source::open_to_change(cx, target) } else { Source::open(cx, target) };
    match source? {
        Source::Hive(hive) => {
            let mut registry = Registry::of_hive(&hive, paths, &opening)?;
            work(&mut registry).map_err(|e| e.in_file(target.path.display()))?;
            let edits = report(&registry, None);
            let (changes, _) = registry.set.finish()?;
            if how.mode == Mode::Write {
                cx.cancel.check()?;
                match (output, changes.first()) {
                    (Some(output), Some(change)) => write_content(change, output, IfExists::Refuse)?,
                    _ => changes.iter().try_for_each(|change| write_host(&hive, change))?,
                }
            }
            Ok(EditReport { images: vec![edits], written: None })
        }
        Source::Wim(_) if output.is_some() => {
            Err(Error::invalid_input("only a hive file can be written elsewhere")
                .in_file(target.path.display()))
        }
        Source::Wim(set) => {
            let images = Source::images(&set.wim, target)?;
            let job = WimJob { cx, set: &set, target, paths, time };
            let (edits, edited) = job.plan(&images, &opening, &mut work)?;
            let written = match how.mode {
                Mode::Write if !edited.numbers.is_empty() => Some(job.write(edited)?),
                _ => None,
            };
            Ok(EditReport { images: edits, written })
        }
    }
}

/// Reads and parses a .reg file of the host.
///
/// # Errors
/// `Limit` for a file above the limit of hives, `Io`, else those of [`RegFile::parse`].
pub fn load_reg_file(
    cx: &Context<'_>,
    path: &Path,
    code_page: Option<u16>,
    unknown: UnknownLines,
) -> Result<RegFile> {
    let bytes = read_host(path, limit_bytes(cx))?;
    RegFile::parse(&bytes, code_page, unknown).map_err(|error| error.in_file(path.display()))
}

/// Writes a changed hive of the host, which is locked, beside itself and renames it; the log of a hive that is whole is emptied.
fn write_host(hive: &HostHive, change: &Change) -> Result<()> {
    let path = hive
        .host_path(&change.path)
        .ok_or_else(|| Error::invalid_input(format!("cannot write {}", change.path)))?;
    write_content(change, path, IfExists::ReplaceLocked)
}

fn write_content(change: &Change, path: &Path, if_exists: IfExists) -> Result<()> {
    let Action::PutFile { content: Content::Bytes(bytes), .. } = &change.action else {
        return Err(Error::invalid_input("a hive file holds hives only").in_file(path.display()));
    };
    let mut file = AtomicFile::create(path, if_exists)?;
    file.write_all(bytes).map_err(|e| Error::io(e, "cannot write", path))?;
    file.commit()
}

/// The images that changed, in the order of the request.
struct Changed<'j> {
    numbers: Vec<ImageIndex>,
    images: EditedImages<'j>,
}

struct WimJob<'j, 'c> {
    cx: &'j Context<'c>,
    set: &'j PartSet,
    target: &'j Target,
    paths: &'j KeyPaths,
    time: FileTime,
}

impl<'j> WimJob<'j, '_> {
    fn plan(
        &self,
        images: &[ImageIndex],
        opening: &Opening,
        work: &mut dyn FnMut(&mut Registry<'_>) -> Result<()>,
    ) -> Result<(Vec<ImageEdits>, Changed<'j>)> {
        let scratch = folder_of(&self.target.path);
        let mut changed = Changed { numbers: Vec::new(), images: EditedImages::new(&self.set.wim, &scratch) };
        let (mut edits, mut hashed) = (Vec::new(), HashedFiles::default());
        for &image in images {
            let open = OpenImage::load(self.cx, self.set, image, Some(self.time))?;
            let (blobs, mut overlay) = (open.blobs(), open.overlay());
            let changes = {
                let view = ImageView::new(&open.tree, &blobs);
                let blame = |e: Error| open.blame(e);
                let mut registry =
                    Registry::of_image(&view, self.paths, opening, open.name()).map_err(blame)?;
                work(&mut registry).map_err(blame)?;
                edits.push(report(&registry, Some(image)));
                registry.set.finish().map_err(blame)?.0
            };
            overlay.apply_all(changes).map_err(|e| open.blame(e))?;
            let edited = open.finish(self.cx, overlay, &mut hashed)?;
            if edited.resolved.is_changed {
                changed.numbers.push(image);
                changed.images.add(edited)?;
            }
        }
        Ok((edits, changed))
    }

    fn write(&self, changed: Changed<'j>) -> Result<Written> {
        let wim = &self.set.wim;
        let EditedImages { images, contents, .. } = changed.images;
        // Images were planned in the order of the request; here they are needed in that of the file.
        let mut edited: BTreeMap<ImageIndex, _> = changed.numbers.into_iter().zip(images).collect();
        let in_order = wim.images().map(|image| match edited.remove(&image) {
            Some(new) => Ok(new),
            None => existing_image(wim, image, self.cx),
        });
        let new = NewWim {
            format: CompressionOptions::default().format(wim.format())?,
            images: in_order.collect::<Result<_>>()?,
            contents: &contents,
            ..as_it_is(wim)
        };
        write_file(self.cx, new, &self.target.path, IfExists::ReplaceLocked)
    }
}
