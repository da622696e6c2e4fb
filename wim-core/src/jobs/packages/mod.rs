//! Update packages opened: whatever they come in, the tree of raw files of the package inside.
//!
//! An `.msu` is a cabinet around cabinets and an XML file that names the one to install; a package `.cab` has `update.mum`, or an
//! index `_manifest_.cix.xml` from which its files are rebuilt (updates.md 1). Containers are told by content, not by extension.
//! [`expand`] rebuilds the files, and what manifests mean is for [`servicing`](crate::servicing) to know.

pub mod expand;
mod msu;
mod unpacked;

use std::path::Path;
use std::sync::Arc;

pub use msu::TopPackage;
pub use unpacked::UnpackedFiles;

use crate::base::{Context, Error, FileSource, Place, ReadAt, Result, read_at};
use crate::formats::cab::{Cabinet, find_cabinets};
use crate::image::edit::Content;
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// Name of the index of a package whose files are rebuilt from pieces.
pub const CONTAINER_INDEX: &str = "_manifest_.cix.xml";
/// Name of the manifest of a package whose files lie in it as they are.
pub const PACKAGE_MANIFEST: &str = "update.mum";
/// End of the name of the index of a package whose pieces lie in a `.psf` file.
const PSF_INDEX_SUFFIX: &str = ".psf.cix.xml";
/// Most cabinets in a program that are looked at for a package.
const MAX_EMBEDDED: usize = 64;

/// What a package came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A package cabinet itself.
    Cab,
    /// An `.msu`: a cabinet around it.
    Msu,
    /// A program with a package cabinet inside, as service packs are.
    Program,
}

/// How the files of a package are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// As they are.
    Files,
    /// In pieces of the same cabinet, to be rebuilt by [`CONTAINER_INDEX`].
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
            Payload::Delta => file.path.eq_ignore_ascii_case(CONTAINER_INDEX),
            Payload::Psf => has_suffix(&file.path, PSF_INDEX_SUFFIX),
        })
    }
}

/// Opens the package at `path`; what does not fit into a part of the memory budget goes to nameless files in `scratch`.
///
/// # Errors
/// `NotFound` when nothing is there, `Unsupported` with its name for a kind of package that cannot be opened yet,
/// `InvalidInput` for what is no package, and what reading cabinets gives: `Format`, `Corrupt`, `Limit`, `Io`, `Cancelled`.
pub fn open(cx: &Context<'_>, path: &Path, scratch: &Path) -> Result<OpenPackage> {
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
    scratch: &Path,
) -> Result<OpenPackage> {
    let mut start = vec![0; usize::try_from(source.size()).unwrap_or(usize::MAX).min(8)];
    read_at::read_exact_at(&**source, &mut start, 0)?;
    let refuse = |what: &str, remedy: &str| Err(Error::unsupported(what).remedy(remedy));
    match start.as_slice() {
        [b'M', b'S', b'C', b'F', ..] => {
            open_cabinet(cx, Cabinet::open(Arc::clone(source), name)?, scratch, Container::Cab)
        }
        [b'M', b'Z', ..] => open_program(cx, source, name, scratch),
        b"MSWIM\0\0\0" => refuse(
            "an update in a WIM, as Windows 11 has them since 24H2, which cannot be opened yet",
            "its members can be listed and extracted with: wim dir FILE 1, wim extract FILE 1",
        ),
        [b'P', b'S', b'T', b'R', b'E', b'A', b'M', ..] => refuse(
            "the pieces of a package (PSF), without the cabinet that says what they are",
            "give the .msu or the .cab that belongs to it",
        ),
        _ => Err(no_package("neither a cabinet nor a program with one inside")),
    }
}

fn no_package(what: &str) -> Error {
    Error::invalid_input(format!("no update package: {what}")).remedy("give an .msu or a .cab of an update")
}

fn open_program(
    cx: &Context<'_>,
    source: &Arc<dyn ReadAt>,
    name: &str,
    scratch: &Path,
) -> Result<OpenPackage> {
    for embedded in find_cabinets(source)?.into_iter().take(MAX_EMBEDDED) {
        let cabinet = Cabinet::open(Arc::new(embedded.section(source)?), name)?;
        if shape_of(&cabinet).is_some() {
            return open_cabinet(cx, cabinet, scratch, Container::Program);
        }
    }
    Err(no_package("a program without a package cabinet inside"))
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

fn shape_of(cabinet: &Cabinet) -> Option<Shape> {
    let names = || cabinet.members().iter().map(|member| member.name.as_str());
    if names().any(|name| name.eq_ignore_ascii_case(CONTAINER_INDEX)) {
        Some(Shape::Package(Payload::Delta))
    } else if names().any(|name| has_suffix(name, PSF_INDEX_SUFFIX)) {
        Some(Shape::Package(Payload::Psf))
    } else if names().any(|name| name.eq_ignore_ascii_case(PACKAGE_MANIFEST)) {
        Some(Shape::Package(Payload::Files))
    } else if names().any(|name| has_suffix(name, ".cab") && !msu::is_metadata(name)) {
        Some(Shape::Msu)
    } else {
        None
    }
}

fn open_cabinet(
    cx: &Context<'_>,
    cabinet: Cabinet,
    scratch: &Path,
    container: Container,
) -> Result<OpenPackage> {
    match shape_of(&cabinet) {
        Some(Shape::Package(payload)) => open_package(cx, &cabinet, payload, container, scratch),
        Some(Shape::Msu) => open_msu(cx, &cabinet, scratch),
        None => Err(no_package("a cabinet with neither a package nor a package cabinet in it")),
    }
}

fn open_package(
    cx: &Context<'_>,
    cabinet: &Cabinet,
    payload: Payload,
    container: Container,
    scratch: &Path,
) -> Result<OpenPackage> {
    let all: Vec<usize> = (0..cabinet.members().len()).collect();
    let files = UnpackedFiles::unpack(cx, cabinet, &all, scratch)?;
    let name = cabinet.name().rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
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

fn open_msu(cx: &Context<'_>, cabinet: &Cabinet, scratch: &Path) -> Result<OpenPackage> {
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    for (number, member) in cabinet.members().iter().enumerate() {
        if msu::is_metadata(&member.name) {
            skipped.push(member.name.clone());
        } else {
            wanted.push(number);
        }
    }
    let outer = UnpackedFiles::unpack(cx, cabinet, &wanted, scratch)?;
    let top = msu::top_package(&outer)?;
    let file = msu::package_cabinet(&outer, top.as_ref())?;
    let source = outer.content(file)?.open()?.ok_or_else(|| Error::not_found("a blob in a cabinet"))?;
    let name = format!("{}: {}", cabinet.name(), file.path);
    let inner = Cabinet::open(source, &name)?;
    let Some(Shape::Package(payload)) = shape_of(&inner) else {
        return Err(no_package("the cabinet inside holds none").at(Place::Path(file.path.clone())));
    };
    let mut package = open_package(cx, &inner, payload, Container::Msu, scratch)?;
    if payload == Payload::Psf {
        let stem = file.path.get(..file.path.len().saturating_sub(".cab".len())).unwrap_or_default();
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
