//! The images of one WIM, serviced one after the other, and the recovery image inside them.
//!
//! The recovery image is a WIM of Windows PE and needs the same drivers. It is taken out into a temporary file, serviced as any
//! other and put back as the file's content, once for each distinct blob however many editions share it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use lz_kit::Level;

use super::places::{Mode, Places};
use super::recovery::{RecoveryImage, is_its_own_fault};
use super::report::{ImageFacts, ImageReport, InnerReport, RemovedDriver, WorkReport};
use crate::base::{Architecture, Context, Error, ErrorKind, FileTime, ImageIndex, Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::image::edit::{Action, Change, Content, HashedFiles, ImageView, Overlay, Security, View};
use crate::jobs::edited_image::{EditedImages, Expected, OpenImage, VerifyDepth, hints_of, read_back};
use crate::jobs::open::load_image;
use crate::jobs::part_set::PartSet;
use crate::jobs::rebuild::{as_it_is, existing_image};
use crate::servicing::drivers::DriverReport;
use crate::servicing::hive_set::{HiveOptions, HiveSet};
use crate::servicing::target::{ImageTarget, find_target};
use crate::transfer::read::SetBlobs;
use crate::transfer::spool::TemporaryFile;
use crate::transfer::write::{NewWim, write};

/// Whether the recovery image inside an image is serviced with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It is.
    Service,
    /// It stays as it is.
    Leave,
}

/// What is done to one image of Windows.
pub(super) trait ImageWork {
    /// Plans the work; registry edits are made in `hives`, `time` is what records of it get.
    ///
    /// # Errors
    /// What reading the image gives.
    fn plan(
        &self,
        view: &dyn View,
        hives: &mut HiveSet<'_>,
        target: &ImageTarget,
        time: FileTime,
    ) -> Result<ImagePlan>;

    /// Whether [`Self::look_back`] is wanted.
    fn looks_back(&self) -> bool {
        false
    }

    /// Looks at an image as it will be, or at one that is left as it is; `name` is what people are told of it.
    ///
    /// # Errors
    /// What reading it gives.
    fn look_back(&self, _name: String, _view: &dyn View, _arch: Architecture) -> Result<()> {
        Ok(())
    }

    /// Looks at all that was planned before any file takes its name.
    ///
    /// # Errors
    /// Why nothing is to be kept.
    fn conclude(&self, report: &mut WorkReport) -> Result<()>;
}

/// What an [`ImageWork`] comes to.
#[derive(Default)]
pub(super) struct ImagePlan {
    /// File changes.
    pub(super) changes: Vec<Change>,
    /// What became of each package that was to be added.
    pub(super) drivers: Vec<DriverReport>,
    /// Drivers that go.
    pub(super) removed: Vec<RemovedDriver>,
    /// What else is to be known.
    pub(super) notes: Vec<String>,
}

/// A WIM with its images serviced.
pub(super) struct ServicedWim<'w> {
    /// All its images; none when nothing changed.
    pub(super) images: Option<EditedImages<'w>>,
    /// What is told of those that were serviced.
    pub(super) reports: Vec<ImageReport>,
}

/// What came of an image inside images.
struct Inner {
    /// Its new bytes; none when nothing changed.
    content: Option<Content>,
    report: InnerReport,
}

/// Services WIMs with the same work.
pub(super) struct Servicer<'s, 'c> {
    pub(super) cx: &'s Context<'c>,
    pub(super) work: &'s dyn ImageWork,
    pub(super) recovery: Recovery,
    /// Where temporary files go.
    pub(super) scratch: PathBuf,
    /// Whether what is planned is written.
    pub(super) mode: Mode,
    /// How hard new data is compressed.
    pub(super) level: Level,
    /// The time of `SOURCE_DATE_EPOCH`.
    pub(super) fixed_time: Option<FileTime>,
    inner: HashMap<Sha1Digest, Inner>,
    hashed: HashedFiles,
    /// What this job has written so far: the same drivers go to several files, and are compressed for the first.
    written: Vec<Arc<WimFile>>,
}

/// How deep in other images an image lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Outer,
    Inner,
}

impl<'s, 'c> Servicer<'s, 'c> {
    /// A servicer that has done nothing yet.
    pub(super) fn new(
        cx: &'s Context<'c>,
        work: &'s dyn ImageWork,
        places: &Places,
        scratch: PathBuf,
        fixed_time: Option<FileTime>,
    ) -> Self {
        Self {
            cx,
            work,
            recovery: places.recovery,
            scratch,
            mode: places.mode,
            level: places.level,
            fixed_time,
            inner: HashMap::new(),
            hashed: HashedFiles::default(),
            written: Vec::new(),
        }
    }

    /// Lets later files take resources of `wim`, which this job has written.
    pub(super) fn remember(&mut self, wim: WimFile) {
        self.written.push(Arc::new(wim));
    }

    /// Files that this job has written, in the format of `wim`.
    pub(super) fn written_like(&self, wim: &WimFile) -> Vec<Arc<WimFile>> {
        self.written.iter().filter(|written| written.format() == wim.format()).cloned().collect()
    }

    /// Services `chosen` images of the file, which may be a delta of the others in `set`.
    ///
    /// # Errors
    /// What loading, planning and hashing give, with the image named.
    pub(super) fn wim<'w>(&mut self, set: &'w PartSet, chosen: &[ImageIndex]) -> Result<ServicedWim<'w>> {
        self.images(set, chosen, Depth::Outer)
    }

    fn images<'w>(
        &mut self,
        set: &'w PartSet,
        chosen: &[ImageIndex],
        depth: Depth,
    ) -> Result<ServicedWim<'w>> {
        let wim = &set.wim;
        let mut edited = EditedImages::new(wim, &self.scratch);
        let (mut reports, mut is_changed) = (Vec::new(), false);
        for image in wim.images() {
            if chosen.contains(&image) {
                let report = self.image(set, image, depth, &mut edited)?;
                is_changed |= report.changed;
                reports.push(report);
            } else {
                edited.images.push(existing_image(wim, image, self.cx)?);
                self.look_at_another(set, image, depth)?;
            }
        }
        Ok(ServicedWim { images: is_changed.then_some(edited), reports })
    }

    fn image<'w>(
        &mut self,
        set: &'w PartSet,
        image: ImageIndex,
        depth: Depth,
        edited: &mut EditedImages<'w>,
    ) -> Result<ImageReport> {
        let mut open = OpenImage::load(self.cx, set, image, self.fixed_time)?;
        let blobs = open.blobs();
        let tree = Arc::clone(&open.tree);
        let view = ImageView::new(&tree, &blobs);
        let mut hives = HiveSet::new(&view, HiveOptions { time: self.fixed_time });
        let hints = hints_of(&open.xml);
        let target = find_target(&view, &mut hives, hints, &mut open.warnings).map_err(|e| open.blame(e))?;
        let plan = self.work.plan(&view, &mut hives, &target, open.time).map_err(|e| open.blame(e))?;
        let (hive_changes, journal) = hives.finish().map_err(|e| open.blame(e))?;
        let mut overlay = open.overlay();
        let changes = plan.changes.into_iter().chain(hive_changes);
        overlay.apply_all(changes).map_err(|e| open.blame(e))?;
        if depth == Depth::Outer && self.work.looks_back() {
            let name = open.name().to_owned();
            let looked = self.work.look_back(name, &overlay.view(&blobs), target.windows.arch);
            looked.map_err(|e| open.blame(e))?;
        }
        let mut inner = None;
        if depth == Depth::Outer && self.recovery == Recovery::Service {
            inner = self.recovery_image(set, image, &view, &mut overlay, &mut open.warnings)?;
        }
        let name = open.xml.name().map(str::to_owned);
        let edition = open.xml.edition_id().or(open.xml.flags()).map(str::to_owned);
        let done = open.finish(self.cx, overlay, &mut self.hashed)?;
        let report = ImageReport::new(ImageFacts {
            image,
            name,
            edition,
            target: &target,
            edited: &done,
            journal: &journal,
            drivers: plan.drivers,
            removed: plan.removed,
            notes: plan.notes,
            inner,
        });
        edited.add(done)?;
        Ok(report)
    }

    /// Looks at an image that is left as it is. One that is no Windows, or whose hives cannot be read, is passed over: nothing was
    /// asked of it.
    fn look_at_another(&self, set: &PartSet, image: ImageIndex, depth: Depth) -> Result<()> {
        if depth == Depth::Inner || !self.work.looks_back() {
            return Ok(());
        }
        let wim = &set.wim;
        let look = || {
            let tree = load_image(wim, image, self.cx)?;
            let blobs = SetBlobs::new(&set.wims());
            let view = ImageView::new(&tree, &blobs);
            let mut hives = HiveSet::new(&view, HiveOptions::default());
            let hints = wim.xml().images().get(image.position()).map(hints_of).unwrap_or_default();
            let target = find_target(&view, &mut hives, hints, &mut Vec::new())?;
            self.work.look_back(format!("{}: image {image}", wim.name()), &view, target.windows.arch)
        };
        match look() {
            Err(e) if e.kind() == ErrorKind::Cancelled => Err(e),
            _ => Ok(()),
        }
    }

    /// Services the recovery image inside an image, if there is one, and puts it back.
    fn recovery_image(
        &mut self,
        set: &PartSet,
        image: ImageIndex,
        view: &ImageView<'_>,
        overlay: &mut Overlay,
        warnings: &mut Vec<Error>,
    ) -> Result<Option<InnerReport>> {
        let Some(found) = RecoveryImage::find(view.tree())? else { return Ok(None) };
        let path = found.path.clone();
        if !self.inner.contains_key(&found.digest) {
            match self.unpack_and_service(set, view, image, &found) {
                Ok(inner) => {
                    self.inner.insert(found.digest, inner);
                }
                Err(e) if is_its_own_fault(e.kind()) => {
                    warnings.push(Error::new(
                        e.kind(),
                        format!("the recovery image stays as it is, since it cannot be serviced: {e}"),
                    ));
                    return Ok(None);
                }
                Err(e) => return Err(e),
            }
        }
        let Some(inner) = self.inner.get_mut(&found.digest) else { return Ok(None) };
        if let Some(content) = &inner.content {
            let action = Action::PutFile {
                content: content.clone(),
                attributes: None,
                times: None,
                security: Security::Inherit,
            };
            let reason = "drivers of the recovery image".to_owned();
            overlay.apply(Change { path, action, reason })?;
        }
        let report = inner.report.clone();
        // Further editions that share it only refer to it.
        inner.report.images.clear();
        inner.report.same_as.get_or_insert_with(|| format!("image {image} of {}", set.wim.name()));
        Ok(Some(report))
    }

    fn unpack_and_service(
        &mut self,
        set: &PartSet,
        view: &ImageView<'_>,
        image: ImageIndex,
        found: &RecoveryImage,
    ) -> Result<Inner> {
        let inside = found.open(self.cx, &set.wims(), view.tree(), image, &self.scratch)?;
        let all: Vec<ImageIndex> = inside.images().collect();
        let inside = PartSet::alone(inside);
        let ServicedWim { images, reports } = self.images(&inside, &all, Depth::Inner)?;
        let content = match images {
            None => None,
            // Nobody reads it: that it differs is all there is to know.
            Some(_) if self.mode == Mode::DryRun => Some(Content::bytes(b"a recovery image to be".to_vec())),
            Some(images) => Some(self.written_inner(&inside.wim, images)?),
        };
        let report = InnerReport {
            path: found.path.to_string(),
            changed: content.is_some(),
            same_as: None,
            images: reports,
        };
        Ok(Inner { content, report })
    }

    /// Writes the recovery image `wim` with its new images into a temporary file, and reads it back.
    fn written_inner(&mut self, wim: &WimFile, images: EditedImages<'_>) -> Result<Content> {
        let mut file = TemporaryFile::create(&self.scratch)?;
        let elsewhere = images.elsewhere();
        let EditedImages { images, contents, .. } = images;
        let before = self.written_like(wim);
        let sources = std::iter::once(wim).chain(before.iter().map(AsRef::as_ref)).collect();
        let new = NewWim { images, contents: &contents, sources, ..rewritten(wim, self.level) };
        let written = write(self.cx, new, &mut file)?;
        let source = file.into_source()?;
        self.remember(WimFile::open(source.clone(), wim.name())?);
        let expected = Expected { written: &written, elsewhere: &elsewhere, depth: VerifyDepth::Written };
        read_back(self.cx, source.clone(), wim.name(), &expected)?;
        Ok(Content::Source(source))
    }
}

/// `wim` written anew as it is, but for its images, which the caller fills in.
pub(super) fn rewritten(wim: &WimFile, level: Level) -> NewWim<'_> {
    // Without checksums of what is copied: read again a moment later, it would come from the memory that it was written to.
    NewWim { level, ..as_it_is(wim) }
}
