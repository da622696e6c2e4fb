//! Images of a WIM on their way from their edits to the writer: what `slipstream`, `driver` and `reg` share.
//!
//! An image is loaded, planned against and resolved one at a time; its trees are gone when the next one comes, and new contents
//! wait in a temporary file. An image that nothing changed keeps its metadata resource as it is, and what a delta leaves to its
//! bases stays there.

pub mod changes;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::clock;
use super::image_counts::set_counts;
use super::part_set::PartSet;
use super::rebuild::leave_to_bases;
use crate::base::atomic_file::AtomicFile;
use crate::base::pipeline::side_by_side;
use crate::base::{
    Architecture, Context, Error, FileSource, FileTime, ImageIndex, ReadAt, Reason, Result, Sha1Digest,
};
use crate::formats::wim::{ImageXml, WimFile};
use crate::image::edit::{Content, HashedFiles, Overlay, Resolved};
use crate::image::{Tree, load, store};
use crate::servicing::target::ImageHints;
use crate::transfer::read::SetBlobs;
use crate::transfer::spool::Spool;
use crate::transfer::verify::{Severity, VerifyFinding, verify, verify_written};
use crate::transfer::write::{NewImage, NewMetadata, WriteReport};

/// How thoroughly a written file is read back before it takes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Structure, tables, new blobs, and the checksums of copied bytes.
    Written,
    /// Every blob is decoded.
    Full,
}

/// An image that is being edited.
pub(super) struct OpenImage<'s> {
    /// Its tree.
    pub(super) tree: Arc<Tree>,
    /// Its XML.
    pub(super) xml: ImageXml,
    /// The time that new files and changed ones get.
    pub(super) time: FileTime,
    /// What was odd when it was loaded, and what planners find odd.
    pub(super) warnings: Vec<Error>,
    set: &'s PartSet,
    image: ImageIndex,
    place: String,
}

impl<'s> OpenImage<'s> {
    /// Loads an image; without a `fixed_time`, such as that of `SOURCE_DATE_EPOCH`, changes get that of its last change.
    ///
    /// # Errors
    /// What reading and loading its metadata give.
    pub(super) fn load(
        cx: &Context<'_>,
        set: &'s PartSet,
        image: ImageIndex,
        fixed_time: Option<FileTime>,
    ) -> Result<Self> {
        cx.cancel.check()?;
        let wim = &set.wim;
        let place = format!("{}: image {image}", wim.name());
        let mut warnings = Vec::new();
        let metadata = wim.read_metadata(image, cx.memory_bytes())?;
        let tree =
            load::load(&metadata, &mut |warning| warnings.push(warning)).map_err(|e| e.in_file(&place))?;
        let xml = wim.xml().images().get(image.position()).cloned().unwrap_or_default();
        // The same input gives the same bytes on any day.
        let time = match fixed_time.or_else(|| xml.time("LASTMODIFICATIONTIME")) {
            Some(time) => time,
            None => clock::job_time()?,
        };
        Ok(Self { tree: Arc::new(tree), xml, time, warnings, set, image, place })
    }

    /// Its blobs, wherever they are.
    pub(super) fn blobs(&self) -> SetBlobs<'s> {
        SetBlobs::new(&self.set.wims())
    }

    /// What errors and reports call it.
    pub(super) fn name(&self) -> &str {
        &self.place
    }

    /// The image without edits.
    pub(super) fn overlay(&self) -> Overlay {
        Overlay::new(Arc::clone(&self.tree), self.time)
    }

    /// The error with this image named, and what it lacks.
    pub(super) fn blame(&self, e: Error) -> Error {
        self.set.explain(e).in_file(&self.place)
    }

    /// What the edits in `overlay` come to; warnings go to the progress.
    ///
    /// # Errors
    /// What hashing new contents gives.
    pub(super) fn finish(
        self,
        cx: &Context<'_>,
        overlay: Overlay,
        hashed: &mut HashedFiles,
    ) -> Result<EditedImage<'s>> {
        let resolved = overlay.resolve_with(cx, hashed).map_err(|e| self.blame(e))?;
        for warning in &self.warnings {
            cx.progress.warn(&warning.duplicate().in_file(&self.place));
        }
        let wim = &self.set.wim;
        let (metadata, xml) = if resolved.is_changed {
            (NewMetadata::new(store::store(&resolved.tree)), self.updated_xml(&resolved))
        } else {
            (NewMetadata::Copy(wim, self.image), self.xml)
        };
        let mut new = NewImage::new(metadata, xml, resolved.tree.blob_references());
        leave_to_bases(&mut new, wim, &resolved.contents);
        Ok(EditedImage { new, resolved, warnings: self.warnings })
    }

    /// The XML with its counts and its time of change brought up to date.
    fn updated_xml(&self, resolved: &Resolved) -> ImageXml {
        let new: HashMap<_, _> = resolved
            .contents
            .iter()
            .filter_map(|(digest, content)| Some((*digest, content.size_bytes()?)))
            .collect();
        let size_of = |digest: &Sha1Digest| self.set.blob_size(digest).or_else(|| new.get(digest).copied());
        let mut xml = self.xml.clone();
        set_counts(&mut xml, (Some(&self.tree), &resolved.tree), &size_of);
        xml.set_time("LASTMODIFICATIONTIME", self.time);
        xml
    }
}

/// What the XML of an image says of the Windows in it.
pub(super) fn hints_of(xml: &ImageXml) -> ImageHints {
    ImageHints {
        arch: xml.architecture().and_then(Architecture::from_windows_number),
        version: xml.version().map(|version| (version.major, version.minor, version.build)),
    }
}

/// An image with its edits resolved.
pub(super) struct EditedImage<'w> {
    /// What the writer needs.
    pub(super) new: NewImage<'w>,
    /// Its new tree and contents, and what each edit came to.
    pub(super) resolved: Resolved,
    /// What was odd.
    pub(super) warnings: Vec<Error>,
}

/// The images of a new file so far, and the contents that its source does not have.
pub(super) struct EditedImages<'w> {
    wim: &'w WimFile,
    /// The images in their new order.
    pub(super) images: Vec<NewImage<'w>>,
    /// New contents, each once.
    pub(super) contents: Vec<(Sha1Digest, Content)>,
    known: HashSet<Sha1Digest>,
    spool: Spool,
}

impl<'w> EditedImages<'w> {
    /// None of `wim` so far; large contents will wait in a file in `scratch`.
    pub(super) fn new(wim: &'w WimFile, scratch: &Path) -> Self {
        let (known, spool) = (HashSet::new(), Spool::new(scratch));
        Self { wim, images: Vec::new(), contents: Vec::new(), known, spool }
    }

    /// Adds an image, and lets go of its trees.
    ///
    /// # Errors
    /// `Io` when the temporary file cannot be written.
    pub(super) fn add(&mut self, edited: EditedImage<'w>) -> Result<()> {
        let EditedImage { mut new, resolved, .. } = edited;
        for (digest, content) in resolved.contents {
            if self.wim.table().find(&digest).is_none() && self.known.insert(digest) {
                self.contents.push((digest, self.spool.keep(content)?));
            }
        }
        if let NewMetadata::New(digest, content) = new.metadata {
            new.metadata = NewMetadata::New(digest, self.spool.keep(content)?);
        }
        self.images.push(new);
        Ok(())
    }

    /// The blobs that are left to the bases of a delta.
    pub(super) fn elsewhere(&self) -> HashSet<Sha1Digest> {
        self.images.iter().flat_map(|image| image.elsewhere.keys().copied()).collect()
    }
}

/// What a written file is read back for.
pub(super) struct Expected<'e> {
    pub(super) written: &'e WriteReport,
    /// Blobs that its images need and other files have.
    pub(super) elsewhere: &'e HashSet<Sha1Digest>,
    pub(super) depth: VerifyDepth,
}

/// Reads a finished file back before it takes its name, which is `name`.
///
/// # Errors
/// `Corrupt` or `Format` when it is not what was written.
pub(super) fn read_back(
    cx: &Context<'_>,
    source: Arc<dyn ReadAt>,
    name: &str,
    expected: &Expected<'_>,
) -> Result<()> {
    let wim = WimFile::open(source, name)?;
    verify_written(cx, &wim, expected.written, expected.elsewhere)?;
    if expected.depth == VerifyDepth::Full {
        let report = verify(cx, &wim)?;
        // What may be missing was looked at just now.
        let is_damage = |finding: &VerifyFinding| {
            finding.severity == Severity::Damage && finding.error.reason() != Some(Reason::BlobMissing)
        };
        if let Some(finding) = report.findings.into_iter().find(is_damage) {
            return Err(finding.error);
        }
    }
    Ok(())
}

/// [`read_back`] of a file that will be committed; the disk writes what is left while the processor checks.
///
/// # Errors
/// As [`read_back`]; `Io` when the disk takes it not.
pub(super) fn sync_and_read_back(
    cx: &Context<'_>,
    file: &mut AtomicFile,
    expected: &Expected<'_>,
) -> Result<()> {
    let source = Arc::new(FileSource::open(file.temporary_path())?);
    let name = file.target().display().to_string();
    let (read, synced) = side_by_side(|| read_back(cx, source, &name, expected), || file.sync());
    read.and(synced)
}
