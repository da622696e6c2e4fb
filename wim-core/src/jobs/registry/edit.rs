//! Editing the registry of images or of a hive file, or only saying what would be edited.
//!
//! Edits of an image become changes of its tree, and the WIM is written anew with them; a hive file is written beside itself
//! and renamed. Which keys are edited is the caller's business.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::check::FindingRecord;
use super::hive_place::KeyPaths;
use super::target::{Opening, Registry, Source, Target, limit_bytes};
use super::view::{HostHive, read_host};
use crate::base::atomic_file::{AtomicFile, IfExists, folder_of};
use crate::base::{Context, Error, FileTime, ImageIndex, Result, Sha1Digest};
use crate::formats::hive::Damage;
use crate::formats::reg_file::{RegFile, UnknownLines};
use crate::image::BlobSource;
use crate::image::edit::{Action, Change, Content, Overlay};
use crate::image::store::store;
use crate::jobs::clock;
use crate::jobs::image_counts::set_counts;
use crate::jobs::open::load_image;
use crate::jobs::part_set::PartSet;
use crate::jobs::rebuild::{
    CompressionOptions, Written, as_it_is, existing_image, leave_to_bases, write_file,
};
use crate::servicing::hive_set::{Edit, EditAction, HiveOptions};
use crate::transfer::read::SetBlobs;
use crate::transfer::spool::Spool;
use crate::transfer::write::{NewImage, NewMetadata, NewWim};

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
            let mut job =
                WimJob { cx, set: &set, target, paths, time, images: Vec::new(), edited: Vec::new() };
            job.plan(&images, &opening, &mut work)?;
            let written = match how.mode {
                Mode::Write if !job.edited.is_empty() => Some(job.write()?),
                _ => None,
            };
            Ok(EditReport { images: job.images, written })
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

/// An image that changed, and its new contents.
struct EditedImage<'j> {
    image: ImageIndex,
    new: NewImage<'j>,
    contents: Vec<(Sha1Digest, Content)>,
}

struct WimJob<'j, 'c> {
    cx: &'j Context<'c>,
    set: &'j PartSet,
    target: &'j Target,
    paths: &'j KeyPaths,
    time: FileTime,
    images: Vec<ImageEdits>,
    edited: Vec<EditedImage<'j>>,
}

impl WimJob<'_, '_> {
    fn plan(
        &mut self,
        images: &[ImageIndex],
        opening: &Opening,
        work: &mut dyn FnMut(&mut Registry<'_>) -> Result<()>,
    ) -> Result<()> {
        let (wim, set) = (&self.set.wim, self.set);
        let mut spool = Spool::new(&folder_of(&self.target.path));
        for &image in images {
            self.cx.cancel.check()?;
            let tree = Arc::new(load_image(wim, image, self.cx)?);
            let blobs = SetBlobs::new(&set.wims());
            let mut overlay = Overlay::new(Arc::clone(&tree), self.time);
            let changes = {
                let view = overlay.view(&blobs);
                let name = format!("{}: image {image}", wim.name());
                let blame = |e: Error| set.explain(e).in_file(&name);
                let mut registry = Registry::of_image(&view, self.paths, opening, &name).map_err(blame)?;
                work(&mut registry).map_err(blame)?;
                self.images.push(report(&registry, Some(image)));
                registry.set.finish()?.0
            };
            for mut change in changes {
                if let Action::PutFile { content, .. } = &mut change.action {
                    *content = spool.keep(content.clone())?;
                }
                overlay.apply(change)?;
            }
            let resolved = overlay.resolve(self.cx)?;
            if !resolved.is_changed {
                continue;
            }
            let mut xml = wim.xml().images().get(image.position()).cloned().unwrap_or_default();
            let new_size = |digest: &Sha1Digest| {
                let new = resolved.contents.iter().find(|(new, _)| new == digest);
                new.and_then(|(_, content)| content.size_bytes()).or_else(|| blobs.size(digest))
            };
            set_counts(&mut xml, &resolved.tree, &new_size);
            xml.set_time("LASTMODIFICATIONTIME", self.time);
            let references = resolved.tree.blob_references();
            let metadata = NewMetadata::new(store(&resolved.tree));
            let mut new = NewImage::new(metadata, xml, references);
            leave_to_bases(&mut new, wim, &resolved.contents);
            self.edited.push(EditedImage { image, new, contents: resolved.contents });
        }
        Ok(())
    }

    fn write(&mut self) -> Result<Written> {
        let wim = &self.set.wim;
        let mut images = Vec::new();
        let mut contents: Vec<(Sha1Digest, Content)> = Vec::new();
        // Images were planned in the order of the request; here they are needed in that of the file.
        let mut by_image: std::collections::BTreeMap<ImageIndex, _> = std::collections::BTreeMap::new();
        for edited in std::mem::take(&mut self.edited) {
            for content in edited.contents {
                if !contents.iter().any(|(digest, _)| *digest == content.0) {
                    contents.push(content);
                }
            }
            by_image.insert(edited.image, edited.new);
        }
        for image in wim.images() {
            images.push(match by_image.remove(&image) {
                Some(new) => new,
                None => existing_image(wim, image, self.cx)?,
            });
        }
        let new = NewWim {
            format: CompressionOptions::default().format(wim.format())?,
            images,
            contents: &contents,
            ..as_it_is(wim)
        };
        write_file(self.cx, new, &self.target.path, IfExists::ReplaceLocked)
    }
}
