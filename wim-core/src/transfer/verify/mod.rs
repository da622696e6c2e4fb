//! Everything that can be wrong with a WIM file, looked for and listed.
//!
//! Integrity table, tables, metadata and names, references between images and blobs, and the digest of every blob. Nothing
//! stops at the first finding; only an unreadable header or lookup table, or a failing disk, is an error.

mod names;
mod written;

pub use written::verify_written;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::integrity::damaged_slices;
use super::read::{BlobInput, blob_not_found, read_blobs, sort_by_offset};
use crate::base::{Context, Error, ErrorKind, ImageIndex, Place, Reason, Result, Sha1Digest, Stage};
use crate::formats::wim::{BlobEntry, WimFile};
use crate::image::load::load_with_findings;
use crate::image::{StreamKind, Tree};

/// Longest path in a finding, in bytes.
const PATH_BYTES: usize = 512;
/// Most paths named for one damaged blob.
const MAX_PATHS: usize = 3;
/// Most findings of one kind that are listed one by one.
const MAX_LISTED: usize = 1000;
/// Most remarks of one kind that are listed one by one; a file whose images were deleted has thousands of unused blobs.
const MAX_REMARKS: usize = 100;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Odd, but nothing is lost: wrong counts, blobs that nothing refers to.
    Remark,
    /// Data is lost or cannot be trusted.
    Damage,
}

/// One thing found.
#[derive(Debug)]
pub struct VerifyFinding {
    /// How bad it is.
    pub severity: Severity,
    /// The image, if it concerns one.
    pub image: Option<ImageIndex>,
    /// Paths in that image that it concerns, the first few.
    pub paths: Vec<String>,
    /// What it is, where, and what to do.
    pub error: Error,
}

/// Whether the integrity table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityCheck {
    /// Check it, if there is one.
    Check,
    /// Pass it over; the report then calls it absent.
    Skip,
}

/// What the integrity table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegrityStatus {
    /// There is none.
    Absent,
    /// All slices are as stated.
    Good,
    /// The table is broken or slices differ.
    Damaged,
}

/// What was checked and what was found.
#[derive(Debug)]
pub struct VerifyReport {
    /// What was found, tables first, then images, then blobs.
    pub findings: Vec<VerifyFinding>,
    /// Images checked.
    pub images: usize,
    /// Blobs read.
    pub blobs: usize,
    /// Their uncompressed bytes.
    pub bytes: u64,
    /// The integrity table.
    pub integrity: IntegrityStatus,
}

impl VerifyReport {
    /// True when anything is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }
}

/// Checks all of `wim`.
///
/// # Errors
/// `Io` when the file cannot be read, `Limit`, `Cancelled`.
pub fn verify(cx: &Context<'_>, wim: &WimFile) -> Result<VerifyReport> {
    verify_with(cx, wim, IntegrityCheck::Check)
}

/// As [`verify`], with or without the integrity table.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(cx: &Context<'_>, wim: &WimFile, integrity: IntegrityCheck) -> Result<VerifyReport> {
    verify_set(cx, wim, (&[], &[]), integrity)
}

/// As [`verify_with`], with the other parts of a set, which are checked too, and files that only hold blobs for it.
///
/// # Errors
/// As [`verify`].
pub fn verify_set(
    cx: &Context<'_>,
    wim: &WimFile,
    (parts, bases): (&[&WimFile], &[&WimFile]),
    integrity: IntegrityCheck,
) -> Result<VerifyReport> {
    let all: Vec<&WimFile> = std::iter::once(wim).chain(parts.iter().copied()).collect();
    let (findings, references) = (Vec::new(), HashMap::new());
    let mut check = Check { wim, bases, all, findings, references, integrity: IntegrityStatus::Absent };
    let (mut blobs, mut bytes) = (0, 0);
    check.images(cx)?;
    for part in check.all.clone() {
        check.wim = part;
        for warning in part.warnings() {
            // A flag that a stopped program left behind does not by itself say that data is missing, nor does a wrong boot index.
            let is_harmless = matches!(
                warning.place(),
                Place::Field { structure: "WIM header", field: "flags" | "boot index", .. }
            );
            check.add(
                if is_harmless { Severity::Remark } else { Severity::Damage },
                None,
                warning.duplicate(),
            );
        }
        if integrity == IntegrityCheck::Check {
            check.integrity_table(cx)?;
        }
        check.table();
        let (more_blobs, more_bytes) = check.blobs(cx)?;
        (blobs, bytes) = (blobs + more_blobs, bytes + more_bytes);
    }
    check.wim = wim;
    check.missing();
    check.find_paths(cx)?;
    let Check { findings, integrity, .. } = check;
    Ok(VerifyReport { findings, images: wim.image_count(), blobs, bytes, integrity })
}

/// A remark about the lookup table.
fn table_remark(message: String) -> Error {
    Error::new(ErrorKind::Format, message)
        .remedy("nothing is lost; wim optimize rewrites the file without such entries and with right counts")
}

struct Check<'w> {
    /// The file that is looked at: the one with the images, then the other parts.
    wim: &'w WimFile,
    /// All parts.
    all: Vec<&'w WimFile>,
    /// Files that hold blobs for it.
    bases: &'w [&'w WimFile],
    findings: Vec<VerifyFinding>,
    references: HashMap<Sha1Digest, u32>,
    integrity: IntegrityStatus,
}

impl Check<'_> {
    fn add(&mut self, severity: Severity, image: Option<ImageIndex>, error: Error) {
        let error = error.in_file(self.wim.name());
        self.findings.push(VerifyFinding { severity, image, paths: Vec::new(), error });
    }

    /// Errors that are findings go on the list; those that stop the job are returned.
    fn add_or_stop(&mut self, image: Option<ImageIndex>, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Format | ErrorKind::Corrupt | ErrorKind::NotFound => {
                self.add(Severity::Damage, image, error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn integrity_table(&mut self, cx: &Context<'_>) -> Result<()> {
        let table = match self.wim.read_integrity() {
            Ok(None) => return Ok(()),
            Ok(Some(table)) => table,
            Err(error) => {
                self.integrity = IntegrityStatus::Damaged;
                return self.add_or_stop(None, error);
            }
        };
        let damaged = damaged_slices(cx, &**self.wim.source(), self.wim.integrity_span(), &table)?;
        if !damaged.is_empty() {
            self.integrity = IntegrityStatus::Damaged;
        } else if self.integrity == IntegrityStatus::Absent {
            self.integrity = IntegrityStatus::Good;
        }
        for (offset, length) in damaged {
            let error =
                Error::corrupt(format!("{length} bytes at {offset:#x} differ from the integrity table"))
                    .because(Reason::IntegrityDiffers)
                    .remedy("get the file again from its source");
            self.add(Severity::Damage, None, error);
        }
        Ok(())
    }

    fn images(&mut self, cx: &Context<'_>) -> Result<()> {
        cx.progress.start(Stage::LoadingImages, self.wim.image_count() as u64);
        for image in self.wim.images() {
            cx.cancel.check()?;
            let loaded = self
                .wim
                .read_metadata(image, cx.memory_bytes())
                .and_then(|metadata| load_with_findings(&metadata));
            let (tree, findings) = match loaded {
                Ok(loaded) => loaded,
                Err(error) => {
                    self.add_or_stop(
                        Some(image),
                        error.in_file(format!("{}: image {image}", self.wim.name())),
                    )?;
                    continue;
                }
            };
            for finding in &findings {
                let severity = if finding.kind.is_damage() { Severity::Damage } else { Severity::Remark };
                self.add(severity, Some(image), Error::from(finding));
            }
            for (digest, count) in tree.blob_references() {
                let total = self.references.entry(digest).or_default();
                *total = total.saturating_add(count);
            }
            self.names(image, &tree);
            self.counts(image, &tree);
            cx.progress.advance(1);
        }
        Ok(())
    }

    /// Compares the counts of the XML with those of the tree.
    fn counts(&mut self, image: ImageIndex, tree: &Tree) {
        let Some(xml) =
            self.wim.xml().images().get(image.position()).filter(|_| !self.wim.xml().is_stand_in())
        else {
            return;
        };
        // Sizes of blobs that lie in another file are not known, and a sum without them would accuse the XML.
        let is_complete = Cell::new(true);
        let size_of = |digest: &Sha1Digest| match self.find(digest) {
            Some(entry) => entry.header.size,
            None => {
                is_complete.set(false);
                0
            }
        };
        let counts = tree.counts(&size_of);
        let numbers = [
            ("DIRCOUNT", counts.directories, true),
            ("FILECOUNT", counts.files, true),
            ("TOTALBYTES", counts.total_bytes, is_complete.get()),
            ("HARDLINKBYTES", counts.hard_link_bytes, is_complete.get()),
        ];
        for (name, actual, _) in numbers.into_iter().filter(|(_, _, is_known)| *is_known) {
            // Some of Microsoft's programs do not count the root.
            let fits = |stated: u64| stated == actual || name == "DIRCOUNT" && stated + 1 == actual;
            if let Some(stated) = xml.count(name).filter(|&stated| !fits(stated)) {
                let message = format!("the XML data says {name} {stated}, the image has {actual}");
                let error = Error::new(ErrorKind::Format, message)
                    .remedy("nothing is lost; any change with wim update counts anew");
                self.add(Severity::Remark, Some(image), error);
            }
        }
    }

    /// Names that Windows refuses or does not tell apart.
    fn names(&mut self, image: ImageIndex, tree: &Tree) {
        let mut count = 0;
        names::odd_names(tree, &mut |remark| {
            count += 1;
            if count <= MAX_REMARKS {
                self.add(Severity::Remark, Some(image), remark);
            }
        });
        if count > MAX_REMARKS {
            let message =
                format!("{} more names that Windows refuses or does not tell apart", count - MAX_REMARKS);
            let error = Error::new(ErrorKind::Unsupported, message)
                .remedy("rename what is listed with wim update and verify again");
            self.add(Severity::Remark, Some(image), error);
        }
    }

    /// The entry of a blob in whichever file has it.
    fn find(&self, digest: &Sha1Digest) -> Option<&BlobEntry> {
        self.all.iter().chain(self.bases).find_map(|wim| wim.table().find(digest))
    }

    /// Parts of the set that are not there, and blobs that no file has.
    fn missing(&mut self) {
        let total = self.wim.header().total_parts;
        let present: HashSet<u16> = self.all.iter().map(|part| part.header().part.number()).collect();
        let absent: Vec<u16> = (1..=total).filter(|number| !present.contains(number)).collect();
        for number in absent.iter().take(MAX_LISTED) {
            let error = Error::not_found(format!("part {number} of {total} of the split set is missing"));
            self.add(Severity::Damage, None, error.remedy("put it beside the others, or name it with --ref"));
        }
        if absent.len() > MAX_LISTED {
            let message = format!("{} more parts are missing", absent.len() - MAX_LISTED);
            let error =
                Error::not_found(message).remedy("put them beside the others, or name them with --ref");
            self.add(Severity::Damage, None, error);
        }
        let mut missing: Vec<_> =
            self.references.keys().filter(|digest| self.find(digest).is_none()).copied().collect();
        missing.sort_unstable();
        for digest in missing.iter().take(MAX_LISTED) {
            self.add(Severity::Damage, None, blob_not_found(digest));
        }
        if missing.len() > MAX_LISTED {
            let message = format!("{} more blobs are not in the file", missing.len() - MAX_LISTED);
            let remedy = "get the file again from its source, or name the base of a delta with --ref";
            let error = Error::not_found(message).because(Reason::BlobMissing).remedy(remedy);
            self.add(Severity::Damage, None, error);
        }
    }

    /// Unused blobs, wrong reference counts, overlapping resources.
    fn table(&mut self) {
        let wim = self.wim;
        let (mut unused, mut miscounted) = (0, 0);
        for entry in wim.table().blobs() {
            let (count, message) = match self.references.get(&entry.digest) {
                None => (&mut unused, format!("{} bytes that no image refers to", entry.header.size)),
                Some(&references) if references != entry.reference_count => (
                    &mut miscounted,
                    format!(
                        "the lookup table counts {} references to it, the images have {references}",
                        entry.reference_count
                    ),
                ),
                Some(_) => continue,
            };
            *count += 1;
            if *count <= MAX_REMARKS {
                self.add(Severity::Remark, None, table_remark(message).at(Place::Blob(entry.digest)));
            }
        }
        let mut more = |count: usize, what: &str| {
            if count > MAX_REMARKS {
                self.add(
                    Severity::Remark,
                    None,
                    table_remark(format!("{} more blobs {what}", count - MAX_REMARKS)),
                );
            }
        };
        more(unused, "are in the file, but no image refers to them");
        more(miscounted, "have another reference count than the images give them");
        self.overlaps();
    }

    fn overlaps(&mut self) {
        let blobs = self.wim.table().blobs().iter().chain(self.wim.table().metadata());
        let mut entries: Vec<_> = blobs.filter(|entry| !entry.header.is_solid()).collect();
        entries.sort_by_key(|entry| {
            let header = entry.header;
            (header.offset, header.stored_size, entry.digest, header.size)
        });
        // Two images may have one metadata resource.
        entries.dedup_by(|entry, before| entry.is_same_resource(before));
        let spans: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| Some((entry.header.offset, entry.header.end()?, entry.digest)))
            .collect();
        let overlapping: Vec<_> =
            spans.windows(2).filter(|pair| pair[1].0 < pair[0].1).map(|pair| pair[1]).collect();
        for (offset, _, digest) in overlapping.into_iter().take(MAX_LISTED) {
            let error =
                Error::format("lookup table", "offset", offset, "the resource overlaps the one before it")
                    .remedy("get the file again from its source");
            self.add(Severity::Damage, None, error.at(Place::Blob(digest)));
        }
    }

    /// Reads every blob; gives their number and bytes.
    fn blobs(&mut self, cx: &Context<'_>) -> Result<(usize, u64)> {
        let wim = self.wim;
        let mut inputs: Vec<_> =
            wim.table().blobs().iter().map(|&entry| BlobInput::resource(wim, entry)).collect();
        sort_by_offset(&mut inputs);
        // Sizes of lying entries are found out blob by blob; here they only make the total silly.
        let total = inputs.iter().fold(0u64, |sum, input| sum.saturating_add(input.size));
        cx.progress.start(Stage::Verifying, total);
        let (mut read_bytes, mut damaged) = (0, Vec::new());
        read_blobs(cx, &inputs, |piece| {
            match piece.bytes {
                Ok(bytes) => read_bytes += bytes.len() as u64,
                Err(error) => damaged.push(error),
            }
            Ok(())
        })?;
        damaged.into_iter().try_for_each(|error| self.add_or_stop(None, error))?;
        Ok((inputs.len(), read_bytes))
    }

    /// Names the files behind damaged, missing and miscounted blobs.
    fn find_paths(&mut self, cx: &Context<'_>) -> Result<()> {
        let blob_of = |finding: &VerifyFinding| match finding.error.place() {
            Place::Blob(digest) => Some(*digest),
            _ => None,
        };
        let mut wanted: HashSet<_> = self.findings.iter().filter_map(blob_of).collect();
        // What no image refers to has no path.
        wanted.retain(|digest| self.references.contains_key(digest));
        if wanted.is_empty() {
            return Ok(());
        }
        let mut found: HashMap<Sha1Digest, (ImageIndex, Vec<String>)> = HashMap::new();
        for image in self.wim.images() {
            let Ok((tree, _)) =
                self.wim.read_metadata(image, cx.memory_bytes()).and_then(|m| load_with_findings(&m))
            else {
                continue;
            };
            for visit in tree.walk(tree.root()) {
                for (kind, digest) in tree.inode_of(visit.node).streams.iter() {
                    if !wanted.contains(&digest) {
                        continue;
                    }
                    let (first, paths) = found.entry(digest).or_insert_with(|| (image, Vec::new()));
                    if *first == image && paths.len() < MAX_PATHS {
                        let stream = match kind {
                            StreamKind::Named(name) => format!(":{name}"),
                            _ => String::new(),
                        };
                        paths.push(tree.path_text(visit.node, PATH_BYTES) + &stream);
                    }
                }
            }
        }
        for finding in &mut self.findings {
            if let Some((image, paths)) = blob_of(finding).and_then(|digest| found.get(&digest)) {
                finding.image = Some(*image);
                finding.paths.clone_from(paths);
            }
        }
        Ok(())
    }
}
