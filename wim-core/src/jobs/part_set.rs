//! A WIM file and those that belong to it: the other parts of a split set, and the bases of a delta file.
//!
//! Files are named by globs, as with wimlib's `--ref`; the parts of a set are also found by themselves, as `X2.swm`, `X3.swm`
//! beside `X.swm`, on a disc too. A part that is missing is named when something in it is wanted, and not before.

use std::path::{Path, PathBuf};

use super::input::can_be_opened;
use super::open::{Check, open, open_source};
use super::target::is_same_file;
use crate::base::{Context, Error, ErrorKind, Guid, PartNumber, Place, Reason, Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::image::Tree;
use crate::image::glob::{Case, Glob};

/// A file with images, and the files that their blobs may come from.
pub struct PartSet {
    /// The file with the images.
    pub wim: WimFile,
    /// The other parts, and bases of a delta.
    pub others: Vec<WimFile>,
    /// Parts that were not found: their numbers and where they were looked for.
    missing: Vec<(u16, PathBuf)>,
}

/// What fits a glob and is left out all the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum LeftOut<'p> {
    /// Nothing.
    Nothing,
    /// This file, which the job has open already.
    File(&'p Path),
    /// The parts of the set with this GUID, which the other side of a comparison takes.
    PartsOf(Guid),
}

impl LeftOut<'_> {
    fn has_file(self, path: &Path) -> bool {
        matches!(self, Self::File(file) if is_same_file(file, path))
    }

    fn has_part(self, wim: &WimFile) -> bool {
        matches!(self, Self::PartsOf(set) if set == wim.header().guid) && wim.header().total_parts > 1
    }
}

impl PartSet {
    /// A file to which no other belongs.
    pub(super) fn alone(wim: WimFile) -> Self {
        Self { wim, others: Vec::new(), missing: Vec::new() }
    }

    /// Opens the file at `path`, those that fit the globs `refs`, and the other parts when it is part of a set.
    ///
    /// # Errors
    /// What opening gives; `InvalidInput` when the file is not the first part, a part is there twice or belongs to another
    /// set; `NotFound` for a glob that nothing fits.
    pub fn open(path: &Path, refs: &[String], check: Check, cx: &Context<'_>) -> Result<Self> {
        Self::open_without(path, refs, LeftOut::Nothing, check, cx)
    }

    /// [`PartSet::open`] for one side of a comparison with the file at `other`, whose parts fit the same globs.
    ///
    /// # Errors
    /// As [`PartSet::open`].
    pub(super) fn open_compared(
        path: &Path,
        refs: &[String],
        other: &Path,
        check: Check,
        cx: &Context<'_>,
    ) -> Result<Self> {
        let wim = open(path, check, cx)?;
        let other = if refs.is_empty() { wim.header().guid } else { open_source(other, cx)?.header().guid };
        let is_one_set = other == wim.header().guid;
        let without = if is_one_set { LeftOut::Nothing } else { LeftOut::PartsOf(other) };
        Self::around(wim, path, refs, without, check, cx)
    }

    /// [`PartSet::open`] without some of the files that fit `refs`.
    ///
    /// # Errors
    /// As [`PartSet::open`].
    pub(super) fn open_without(
        path: &Path,
        refs: &[String],
        without: LeftOut<'_>,
        check: Check,
        cx: &Context<'_>,
    ) -> Result<Self> {
        Self::around(open(path, check, cx)?, path, refs, without, check, cx)
    }

    /// [`PartSet::open_without`] for the file at `path` that is open already as `wim`.
    ///
    /// # Errors
    /// As [`PartSet::open`].
    pub(super) fn around(
        wim: WimFile,
        path: &Path,
        refs: &[String],
        without: LeftOut<'_>,
        check: Check,
        cx: &Context<'_>,
    ) -> Result<Self> {
        if wim.header().part != PartNumber::FIRST {
            return Err(Error::invalid_input(format!(
                "it is part {} of {}; the images are in the first part",
                wim.header().part.number(),
                wim.header().total_parts
            ))
            .because(Reason::NotFirstPart)
            .in_file(wim.name())
            .remedy("name the first part"));
        }
        let mut set = Self::alone(wim);
        for glob in refs {
            for found in expand(glob)? {
                if without.has_file(&found) || is_same_file(path, &found) {
                    continue;
                }
                let wim = open(&found, check, cx)?;
                if !without.has_part(&wim) {
                    set.add(wim)?;
                }
            }
        }
        for number in 2..=set.wim.header().total_parts {
            if set.others.iter().any(|other| set.is_part(other) && other.header().part.number() == number) {
                continue;
            }
            // The name, as the path may be a disc's, of which the first part was found by itself.
            let beside = part_path(Path::new(set.wim.name()), number);
            match can_be_opened(&beside).then(|| open(&beside, check, cx)) {
                Some(Ok(part)) => set.add(part)?,
                Some(Err(error)) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => set.missing.push((number, beside)),
            }
        }
        Ok(set)
    }

    /// All files, the one with the images first.
    #[must_use]
    pub fn wims(&self) -> Vec<&WimFile> {
        std::iter::once(&self.wim).chain(&self.others).collect()
    }

    /// The other parts of the set, without bases of a delta.
    #[must_use]
    pub fn parts(&self) -> Vec<&WimFile> {
        self.others.iter().filter(|other| self.is_part(other)).collect()
    }

    /// The bases of a delta.
    #[must_use]
    pub fn bases(&self) -> Vec<&WimFile> {
        self.others.iter().filter(|other| !self.is_part(other)).collect()
    }

    /// Size of a blob in bytes; none when no file at hand has it.
    pub(super) fn blob_size(&self, digest: &Sha1Digest) -> Option<u64> {
        let mut wims = std::iter::once(&self.wim).chain(&self.others);
        wims.find_map(|wim| Some(wim.table().find(digest)?.header.size))
    }

    /// Refuses to replace the file at `path` when blobs of it are needed.
    ///
    /// # Errors
    /// `InvalidInput` when it is a base of the delta, or another part.
    pub(super) fn check_replaceable(&self, path: &Path) -> Result<()> {
        match self.others.iter().any(|other| is_same_file(Path::new(other.name()), path)) {
            true => Err(Error::invalid_input(format!(
                "{} needs data of it, so it cannot be replaced",
                self.wim.name()
            ))
            .in_file(path.display())
            .remedy("write to another file")),
            false => Ok(()),
        }
    }

    /// The same error, with the missing parts named when it says that a blob is not there.
    #[must_use]
    pub fn explain(&self, error: Error) -> Error {
        let is_blob = matches!(error.place(), Place::Blob(_)) || error.reason() == Some(Reason::BlobMissing);
        match self.missing_parts() {
            Some(missing) if error.kind() == ErrorKind::NotFound && is_blob => error.remedy(missing),
            _ => error,
        }
    }

    /// Warns when blobs of `tree`, an image of the set, are in none of its files.
    pub fn warn_of_absent(&self, tree: &Tree, cx: &Context<'_>) {
        let wims = self.wims();
        let has = |digest: &Sha1Digest| wims.iter().any(|wim| wim.table().find(digest).is_some());
        warn_of_absent(cx, self.wim.name(), tree, &has, self.missing_parts());
    }

    /// A sentence with the missing parts, when there are any.
    pub(super) fn missing_parts(&self) -> Option<String> {
        let (total, missing) = (self.wim.header().total_parts, &self.missing);
        let named: Vec<String> =
            missing.iter().take(20).map(|(number, path)| format!("{number} ({})", path.display())).collect();
        (!named.is_empty()).then(|| format!("of its {total} parts these are missing: {}", named.join(", ")))
    }

    fn is_part(&self, other: &WimFile) -> bool {
        other.header().total_parts > 1 && other.header().guid == self.wim.header().guid
    }

    fn add(&mut self, other: WimFile) -> Result<()> {
        check_beside(self.wims().as_slice(), &other)?;
        self.others.push(other);
        Ok(())
    }
}

/// Warns when blobs of `tree`, an image of the file called `name`, are not there; `missing` tells of parts that were not found.
pub(super) fn warn_of_absent(
    cx: &Context<'_>,
    name: &str,
    tree: &Tree,
    has: &dyn Fn(&Sha1Digest) -> bool,
    missing: Option<String>,
) {
    let absent = tree.blob_references().keys().filter(|digest| !has(digest)).count();
    if absent > 0 {
        let message = format!("the data of {absent} of the image's files and streams is not here");
        let bases = || "name the files that it is a delta of with --ref".to_owned();
        let warning = Error::not_found(message).in_file(name).remedy(missing.unwrap_or_else(bases));
        cx.progress.warn(&warning);
    }
}

/// Refuses a part that belongs to another set than `present`, or is among them.
///
/// # Errors
/// `InvalidInput`.
pub(super) fn check_beside(present: &[&WimFile], other: &WimFile) -> Result<()> {
    let header = other.header();
    let wrong =
        |message: String| Err(Error::invalid_input(message).because(Reason::NotOneSet).in_file(other.name()));
    for wim in present.iter().filter(|_| header.total_parts > 1) {
        let one = wim.header();
        if one.total_parts > 1 && (one.guid != header.guid || one.total_parts != header.total_parts) {
            return wrong(format!("it is a part of another set than {}", wim.name()));
        }
        if one.total_parts > 1 && one.part == header.part {
            return wrong(format!("it is part {} of the set, and so is {}", one.part.number(), wim.name()));
        }
    }
    Ok(())
}

/// Where part `number` of the set whose first part is at `first` is by custom: `X2.swm` beside `X.swm`.
#[must_use]
pub fn part_path(first: &Path, number: u16) -> PathBuf {
    if number <= 1 {
        return first.to_owned();
    }
    let mut name = first.file_stem().unwrap_or_default().to_owned();
    name.push(number.to_string());
    if let Some(extension) = first.extension() {
        name.push(".");
        name.push(extension);
    }
    first.with_file_name(name)
}

/// The files of the host that fit a glob, sorted; wildcards may stand in every name of the path.
fn expand(glob: &str) -> Result<Vec<PathBuf>> {
    let case = if cfg!(windows) { Case::Ignored } else { Case::Matters };
    let mut found = vec![PathBuf::new()];
    for component in Path::new(glob).components() {
        let text = component.as_os_str().to_string_lossy();
        let pattern = Glob::new(&text, case);
        if !pattern.has_wildcard() {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let at = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
            let entries = std::fs::read_dir(at).map_err(|e| Error::io(e, "cannot list", at))?;
            for entry in entries {
                let name = entry.map_err(|e| Error::io(e, "cannot list", at))?.file_name();
                let units: Vec<u16> = name.to_string_lossy().encode_utf16().collect();
                if pattern.matches(&units) {
                    next.push(folder.join(name));
                }
            }
        }
        next.sort();
        found = next;
    }
    found.retain(|path| path.is_file());
    if found.is_empty() {
        return Err(Error::not_found(format!("no file fits --ref={glob}")).because(Reason::NoFileFits));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_before_the_extension() {
        let named = |first: &str, number| part_path(Path::new(first), number).display().to_string();
        assert_eq!(named("a/install.swm", 1), "a/install.swm");
        assert_eq!(named("a/install.swm", 2), "a/install2.swm");
        assert_eq!(named("x.y.swm", 10), "x.y10.swm");
        assert_eq!(named("plain", 2), "plain2");
    }

    #[test]
    fn globs_find_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a2.swm", "a1.swm", "b.swm"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = |glob: &str| {
            let found = expand(&format!("{}/{glob}", folder.path().display())).ok()?;
            Some(found.iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(found("a*.swm").unwrap(), ["a1.swm", "a2.swm"]);
        assert_eq!(found("b.swm").unwrap(), ["b.swm"]);
        assert!(found("c*").is_none());
    }
}
