//! `package`: what update packages hold, what an image has, and what the packages would do to it.
//!
//! Containers are opened by `jobs::packages`, `servicing::updates` judges, and this room joins both with the images of a WIM.
//! Nothing is written.

mod check;
mod info;
mod list;

pub use check::{CheckOptions, ImageCheck, PackageCheck, PlanMode, check};
pub use info::{
    ComponentInfo, FileInfo, InfoOptions, InstallerInfo, NamesOfPackage, PackageInfo, ParentInfo,
    RegistryInfo, UpdateInfo, info,
};
pub use list::{ImagePackages, PackageLine, list};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::Scratch;
use super::drivers::sources::PackageFolder;
use super::edited_image::{OpenImage, hints_of};
use super::images;
use super::open::Check;
use super::packages;
use super::part_set::PartSet;
use crate::base::{Context, Error, ErrorKind, ImageIndex, Result};
use crate::image::edit::ImageView;
use crate::jobs::registry::Target;
use crate::servicing::hive_set::{HiveOptions, HiveSet};
use crate::servicing::package_files::PackageFiles;
use crate::servicing::updates::{BaseManifest, ImageState};

/// A package as people have it, opened.
struct OpenFile {
    path: PathBuf,
    /// `msu`, `cab`, `program`, `wim` or `folder`.
    container: &'static str,
    /// Whether its files lie in it as they are.
    payload: &'static str,
    files: Box<dyn PackageFiles>,
}

/// Whether files that a package has in pieces are rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pieces {
    /// Only where even the package's own manifests are in pieces, as Windows 8 and later have them.
    WhenNeeded,
    /// All of them, proved by their digests.
    Rebuild,
}

/// Opens an update: an `.msu`, a `.cab`, a program with one inside, or a folder that one was expanded to.
fn open_file(cx: &Context<'_>, path: &Path, scratch: &Scratch, pieces: Pieces) -> Result<OpenFile> {
    cx.cancel.check()?;
    let path = path.to_owned();
    if path.is_dir() {
        let files = Box::new(PackageFolder::scan(&path)?);
        return Ok(OpenFile { path, container: "folder", payload: "files", files });
    }
    let open = packages::open(cx, &path, scratch)?;
    let container = match open.container {
        packages::Container::Cab => "cab",
        packages::Container::Msu => "msu",
        packages::Container::Program => "program",
        packages::Container::Wim => "wim",
    };
    let payload = match open.payload {
        packages::Payload::Files => "files",
        packages::Payload::Delta => "delta",
        packages::Payload::Psf => "psf",
    };
    let has_top = open.files.list().iter().any(|f| f.path.eq_ignore_ascii_case(packages::PACKAGE_MANIFEST));
    let is_whole = open.payload == packages::Payload::Files || pieces == Pieces::WhenNeeded && has_top;
    if is_whole {
        return Ok(OpenFile { path, container, payload, files: Box::new(open.files) });
    }
    let psf = packages::expand::psf_of(&open, &path)?;
    let files: Box<dyn PackageFiles> = match packages::expand::to_files(cx, &open.files, psf, scratch) {
        Ok((expanded, _)) => Box::new(expanded),
        // Express packages are deltas of installed files; what lies in them as it is can be looked into all the same.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::NotFound) => {
            cx.progress.warn(&error);
            Box::new(open.files)
        }
        Err(error) => return Err(error),
    };
    Ok(OpenFile { path, container, payload, files })
}

/// An image while it is looked into.
struct LookedAt<'a, 'v, 'h> {
    index: ImageIndex,
    name: Option<String>,
    edition: Option<String>,
    view: &'a ImageView<'v>,
    hives: &'a mut HiveSet<'h>,
    state: &'a ImageState,
    /// What compressed manifests are deltas of; none in Windows 7.
    base: Option<Arc<BaseManifest>>,
    warnings: Vec<String>,
}

/// Runs `work` on each image that the target names.
fn with_images<T>(
    cx: &Context<'_>,
    target: &Target,
    mut work: impl FnMut(LookedAt<'_, '_, '_>) -> Result<T>,
) -> Result<Vec<T>> {
    let set = PartSet::open(&target.path, &target.refs, Check::Nothing, cx)?;
    let wim = &set.wim;
    let chosen = match &target.image {
        Some(text) => images::choose(wim, text)?,
        None => vec![images::choose_one(wim, None)?],
    };
    let mut answers = Vec::new();
    for index in chosen {
        let open = OpenImage::load(cx, &set, index, None)?;
        let blobs = open.blobs();
        let view = ImageView::new(&open.tree, &blobs);
        let mut warnings: Vec<Error> = Vec::new();
        let mut hives = HiveSet::new(&view, HiveOptions::default());
        let state = ImageState::read(&view, &mut hives, hints_of(&open.xml), &mut warnings)
            .map_err(|e| open.blame(e))?;
        // A damaged servicing stack is a finding: only compressed manifests need it.
        let base = BaseManifest::find(&view).unwrap_or_else(|error| {
            warnings.push(error);
            None
        });
        let warnings = open.warnings.iter().chain(&warnings).map(ToString::to_string);
        let warnings = warnings.chain(base.as_ref().and_then(BaseManifest::doubt)).collect();
        let looked_at = LookedAt {
            index,
            name: open.xml.name().map(str::to_owned),
            edition: open.xml.edition_id().or(open.xml.flags()).map(str::to_owned),
            view: &view,
            hives: &mut hives,
            state: &state,
            base: base.map(Arc::new),
            warnings,
        };
        answers.push(work(looked_at).map_err(|e| open.blame(e))?);
    }
    Ok(answers)
}
