//! Update packages opened: whatever they come in, the tree of raw files of the package inside.
//!
//! An `.msu` is a cabinet, since Windows 11 24H2 a WIM, around packages and an XML file that names the one to install; a package is a
//! cabinet or WIM with `update.mum`, or an index from which its files are rebuilt (updates.md 1). Containers are told by content,
//! not by extension. [`expand`] rebuilds the files, and what manifests mean is for [`servicing`](crate::servicing) to know.

mod base_manifest;
pub mod expand;
mod msu;

use std::path::Path;
use std::sync::Arc;

pub use base_manifest::base_manifest_of;
pub use msu::TopPackage;

use crate::base::{Context, Error, FileSource, Place, ReadAt, Result, read_at};
use crate::formats::cab::{Cabinet, find_cabinets};
use crate::formats::cbs::cix::{INDEX_NAME, PSF_INDEX_SUFFIX};
use crate::formats::delta::psf;
use crate::image::edit::Content;
use crate::jobs::archive::{Allowance, Archive, Scratch, UnpackedFiles};
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// Name of the manifest of a package whose files lie in it as they are.
pub const PACKAGE_MANIFEST: &str = "update.mum";
/// Most cabinets in a program that are looked at for a package.
const MAX_EMBEDDED: usize = 64;

/// What a package came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A package cabinet itself.
    Cab,
    /// An `.msu`: a cabinet or WIM around it.
    Msu,
    /// A program with a package cabinet inside, as service packs are.
    Program,
    /// A package in a WIM file, without an `.msu` around it.
    Wim,
}

/// How the files of a package are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// As they are.
    Files,
    /// In pieces of the same cabinet, to be rebuilt by an index named [`INDEX_NAME`].
    Delta,
    /// In pieces of a `.psf` file, to be rebuilt by an index named `*.psf.cix.xml`.
    Psf,
}

/// An opened package.
pub struct OpenPackage {
    /// What it came in.
    pub container: Container,
    /// How its files are stored.
    pub payload: Payload,
    /// Name of the package cabinet: that of the file, or of the member of the `.msu`.
    pub cabinet: String,
    /// The package that the `.msu` says to install.
    pub top: Option<TopPackage>,
    /// What `pkgProperties.txt` of the `.msu` says, in its order: key and value.
    pub properties: Vec<(String, String)>,
    /// Members of the `.msu` that are no part of the package, such as the metadata of Windows Update.
    pub skipped: Vec<String>,
    /// The `.psf` file of a package with [`Payload::Psf`].
    pub psf: Option<Content>,
    /// The members of the package cabinet.
    pub files: UnpackedFiles,
}

impl OpenPackage {
    /// The index from which the files are rebuilt, if there is one.
    #[must_use]
    pub fn container_index(&self) -> Option<&PackageFile> {
        self.files.list().iter().find(|file| match self.payload {
            Payload::Files => false,
            Payload::Delta => file.path.eq_ignore_ascii_case(INDEX_NAME),
            Payload::Psf => has_suffix(&file.path, PSF_INDEX_SUFFIX),
        })
    }
}

/// Opens the package at `path`; its members wait in `scratch`.
///
/// # Errors
/// `NotFound` when nothing is there, `Unsupported` with its name for a kind of package that cannot be opened alone,
/// `InvalidInput` for what is no package, and what reading archives gives: `Format`, `Corrupt`, `Limit`, `Io`, `Cancelled`.
pub fn open(cx: &Context<'_>, path: &Path, scratch: &Scratch) -> Result<OpenPackage> {
    let source: Arc<dyn ReadAt> = Arc::new(FileSource::open(path)?);
    let name = path.display().to_string();
    open_source(cx, &source, &name, scratch).map_err(|e| e.in_file(&name))
}

/// As [`open`], for a package that is not a file of the host; `name` is what errors call it.
///
/// # Errors
/// As [`open`].
pub fn open_source(
    cx: &Context<'_>,
    source: &Arc<dyn ReadAt>,
    name: &str,
    scratch: &Scratch,
) -> Result<OpenPackage> {
    let opening = Opening { cx, scratch, allowance: Allowance::of_file(source.size()) };
    if let Some(archive) = Archive::open(cx, source, name)? {
        return opening.archive(&archive);
    }
    let start = read_at::read_start(&**source, psf::MAGIC_BYTES)?;
    if psf::looks_like_one(&start) {
        let what = "the pieces of a package (PSF), without the cabinet that says what they are";
        return Err(Error::unsupported(what).remedy("give the .msu or the .cab that belongs to it"));
    }
    match &start[..] {
        [b'M', b'Z', ..] => opening.program(source, name),
        _ => Err(no_package("neither a cabinet, nor a WIM, nor a program with one inside")),
    }
}

fn no_package(what: &str) -> Error {
    Error::invalid_input(format!("no update package: {what}")).remedy("give an .msu or a .cab of an update")
}

/// What a cabinet is by the names of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Package(Payload),
    Msu,
}

fn has_suffix(name: &str, suffix: &str) -> bool {
    let start = name.len().checked_sub(suffix.len());
    start.and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

fn shape_of(archive: &Archive) -> Option<Shape> {
    let names = archive.member_names();
    let has = |is_meant: &dyn Fn(&str) -> bool| names.iter().any(|name| is_meant(name));
    if has(&|name| name.eq_ignore_ascii_case(INDEX_NAME)) {
        Some(Shape::Package(Payload::Delta))
    } else if has(&|name| has_suffix(name, PSF_INDEX_SUFFIX)) {
        Some(Shape::Package(Payload::Psf))
    } else if has(&|name| name.eq_ignore_ascii_case(PACKAGE_MANIFEST)) {
        Some(Shape::Package(Payload::Files))
    } else if has(&|name| msu::is_package(name)) {
        Some(Shape::Msu)
    } else {
        None
    }
}

/// A package on its way.
struct Opening<'o> {
    cx: &'o Context<'o>,
    scratch: &'o Scratch,
    allowance: Allowance,
}

impl Opening<'_> {
    fn archive(&self, archive: &Archive) -> Result<OpenPackage> {
        let container = match archive {
            Archive::Cabinet(_) => Container::Cab,
            Archive::Wim(_) => Container::Wim,
        };
        match shape_of(archive) {
            Some(Shape::Package(payload)) => self.package(archive, payload, container),
            Some(Shape::Msu) => self.msu(archive),
            None => Err(no_package("an archive with neither a package nor a package cabinet in it")),
        }
    }

    fn program(&self, source: &Arc<dyn ReadAt>, name: &str) -> Result<OpenPackage> {
        let found = find_cabinets(source, self.cx.cancel)?;
        for embedded in found.iter().take(MAX_EMBEDDED) {
            self.cx.cancel.check()?;
            let archive = Archive::Cabinet(Cabinet::open(Arc::new(embedded.section(source)?), name)?);
            if shape_of(&archive).is_some() {
                let package = self.archive(&archive)?;
                return Ok(OpenPackage { container: Container::Program, ..package });
            }
        }
        Err(match found.len() {
            0..=MAX_EMBEDDED => no_package("a program without a package cabinet inside"),
            more => {
                no_package(&format!("no package among the first {MAX_EMBEDDED} of {more} cabinets inside"))
            }
        })
    }

    fn package(&self, archive: &Archive, payload: Payload, container: Container) -> Result<OpenPackage> {
        let files = archive.unpack(self.cx, &|_| true, self.allowance.clone(), self.scratch)?;
        let name = archive.name().rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        Ok(OpenPackage {
            container,
            payload,
            cabinet: name,
            top: None,
            properties: Vec::new(),
            skipped: Vec::new(),
            psf: None,
            files,
        })
    }

    fn msu(&self, archive: &Archive) -> Result<OpenPackage> {
        let names = archive.member_names();
        let skipped: Vec<String> =
            names.iter().filter(|name| msu::is_metadata(name)).map(|name| (*name).to_owned()).collect();
        let outer =
            archive.unpack(self.cx, &|name| !msu::is_metadata(name), self.allowance.clone(), self.scratch)?;
        let top = msu::top_package(&outer)?;
        let file = msu::package_archive(&outer, top.as_ref())?;
        let source = outer.content(file)?.open()?.ok_or_else(|| Error::not_found("a blob in an archive"))?;
        let name = format!("{}: {}", archive.name(), file.path);
        let inner = Archive::open(self.cx, &source, &name)?;
        let shape = inner.as_ref().and_then(shape_of);
        let (Some(inner), Some(Shape::Package(payload))) = (inner, shape) else {
            return Err(no_package("the archive inside holds none").at(Place::Path(file.path.clone())));
        };
        let mut package = self.package(&inner, payload, Container::Msu)?;
        if payload == Payload::Psf {
            let stem = msu::stem(&file.path);
            let psf = format!("{stem}.psf");
            let found = outer.list().iter().find(|other| other.path.eq_ignore_ascii_case(&psf));
            package.psf = found.map(|psf| outer.content(psf)).transpose()?;
        }
        package.cabinet.clone_from(&file.path);
        package.properties = msu::properties(&outer)?;
        package.top = top;
        package.skipped = skipped;
        Ok(package)
    }
}
