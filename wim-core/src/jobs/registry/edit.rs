//! Editing the registry of images or of a hive file, or only saying what would be edited.

use std::io::Write;
use std::sync::Arc;

use serde::Serialize;

use super::target::{Registry, Source, Target};
use super::view::HostHive;
use crate::base::atomic_file::{AtomicFile, IfExists};
use crate::base::{Context, Error, FileTime, ImageIndex, Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::image::BlobSource;
use crate::image::edit::{Action, Change, Content, Overlay};
use crate::image::store::store;
use crate::jobs::clock;
use crate::jobs::open::{check_writable, load_image};
use crate::jobs::rebuild::{CompressionOptions, IntegrityChoice, Written, existing_image, write_file};
use crate::jobs::spool::Spool;
use crate::servicing::hive_set::{Edit, EditAction, HiveOptions};
use crate::servicing::registry::PathMap;
use crate::transfer::read::WimBlobs;
use crate::transfer::write::{CopyDigests, NewImage, NewMetadata, NewWim};

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
}

/// One edit.
#[derive(Clone, Debug, Serialize)]
pub struct EditRecord {
    /// `create-key`, `delete-key`, `set-value` or `delete-value`.
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

fn records(registry: &Registry<'_>) -> Vec<EditRecord> {
    let record = |edit: &Edit| EditRecord {
        action: match edit.action {
            EditAction::CreateKey => "create-key",
            EditAction::DeleteKey => "delete-key",
            EditAction::SetValue => "set-value",
            EditAction::DeleteValue => "delete-value",
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
    map: &PathMap,
    mode: Mode,
    mut work: impl FnMut(&mut Registry<'_>) -> Result<()>,
) -> Result<EditReport> {
    let time = clock::job_time()?;
    let options = HiveOptions { time: Some(time) };
    match Source::open(cx, target)? {
        Source::Hive(hive) => {
            let mut registry = Registry::of_hive(&hive, map, options)?;
            work(&mut registry).map_err(|e| e.in_file(target.path.display()))?;
            let edits = records(&registry);
            let (changes, _) = registry.set.finish()?;
            if mode == Mode::Write {
                changes.iter().try_for_each(|change| write_host(&hive, change))?;
            }
            Ok(EditReport { images: vec![ImageEdits { image: None, edits }], written: None })
        }
        Source::Wim(wim) => {
            if mode == Mode::Write {
                check_writable(&wim)?;
            }
            let images = Source::images(&wim, target)?;
            let mut job = WimJob { cx, wim: &wim, target, map, time, images: Vec::new(), edited: Vec::new() };
            job.plan(&images, options, &mut work)?;
            let written = match mode {
                Mode::Write if !job.edited.is_empty() => Some(job.write()?),
                _ => None,
            };
            Ok(EditReport { images: job.images, written })
        }
    }
}

/// Writes a changed hive of the host beside itself and renames it; the log of a hive that is whole is emptied.
fn write_host(hive: &HostHive, change: &Change) -> Result<()> {
    let (Action::PutFile { content: Content::Bytes(bytes), .. }, Some(path)) =
        (&change.action, hive.host_path(&change.path))
    else {
        return Err(Error::invalid_input(format!("cannot write {}", change.path)));
    };
    let mut file = AtomicFile::create(path, IfExists::Replace)?;
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
    wim: &'j WimFile,
    target: &'j Target,
    map: &'j PathMap,
    time: FileTime,
    images: Vec<ImageEdits>,
    edited: Vec<EditedImage<'j>>,
}

impl WimJob<'_, '_> {
    fn plan(
        &mut self,
        images: &[ImageIndex],
        options: HiveOptions,
        work: &mut dyn FnMut(&mut Registry<'_>) -> Result<()>,
    ) -> Result<()> {
        let folder = self.target.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut spool = Spool::new(folder.unwrap_or(std::path::Path::new(".")));
        for &image in images {
            let tree = Arc::new(load_image(self.wim, image, self.cx)?);
            let blobs = WimBlobs::new(self.wim);
            let mut overlay = Overlay::new(Arc::clone(&tree), self.time);
            let changes = {
                let view = overlay.view(&blobs);
                let mut registry = Registry::of_image(&view, self.map, options);
                let place = || format!("{}: image {image}", self.wim.name());
                work(&mut registry).map_err(|e| e.in_file(place()))?;
                let edits = records(&registry);
                self.images.push(ImageEdits { image: Some(image.number()), edits });
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
            let mut xml = self.wim.xml().images().get(image.position()).cloned().unwrap_or_default();
            let new_size = |digest: &Sha1Digest| {
                let new = resolved.contents.iter().find(|(new, _)| new == digest);
                new.and_then(|(_, content)| content.size_bytes()).or_else(|| blobs.size(digest)).unwrap_or(0)
            };
            let counts = resolved.tree.counts(&new_size);
            xml.set("DIRCOUNT", &counts.directories.to_string());
            xml.set("FILECOUNT", &counts.files.to_string());
            xml.set("TOTALBYTES", &counts.total_bytes.to_string());
            xml.set("HARDLINKBYTES", &counts.hard_link_bytes.to_string());
            xml.set_time("LASTMODIFICATIONTIME", self.time);
            let references = resolved.tree.blob_references();
            let metadata = NewMetadata::new(store(&resolved.tree));
            let new = NewImage { metadata, xml, references };
            self.edited.push(EditedImage { image, new, contents: resolved.contents });
        }
        Ok(())
    }

    fn write(&mut self) -> Result<Written> {
        let wim = self.wim;
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
            level: crate::jobs::Level::default(),
            guid: Some(wim.header().guid),
            flags: wim.header().flags,
            xml: wim.xml().clone(),
            images,
            sources: vec![wim],
            contents: &contents,
            boot: wim.boot_index(),
            integrity: IntegrityChoice::AsBefore.resolve(Some(wim)),
            recompress: CompressionOptions::default().recompress,
            copy_digests: CopyDigests::Drop,
        };
        write_file(self.cx, new, &self.target.path, IfExists::Replace)
    }
}
