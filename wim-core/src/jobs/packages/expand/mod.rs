//! A package expanded: all of its files rebuilt from members, bases and deltas, and proved.
//!
//! Every file is compared with the length and digest that the package's index states, with the digest inside its delta, and
//! with those that the manifests of the package state; one that differs refuses the whole package. Files are rebuilt in
//! waves on many threads; bases wait in memory while the budget allows, else they are read back from where they went.

mod new_folder;
mod plan;
mod rebuild;
mod store;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

pub use store::ExpandedFiles;

use self::new_folder::NewFolder;
use self::plan::{Plan, PlannedFile, Sources, find_index};
use self::rebuild::Rebuild;
use self::store::{FolderStore, SpoolStore, Store};
use super::{OpenPackage, Payload, base_manifest_of, open};
use crate::base::{Context, Error, ErrorKind, FileSource, ReadAt, Result, Stage, read_at};
use crate::formats::cbs::ComponentManifest;
use crate::formats::cbs::cix::{ContainerIndex, MAX_INDEX_BYTES, Recipe};
use crate::formats::delta::apply::{Claim, apply};
use crate::formats::delta::manifest::StoreForm;
use crate::formats::delta::psf;
use crate::jobs::archive::Scratch;
use crate::jobs::registry::Target as ImageTarget;
use crate::servicing::package_files::{MemoryFiles, PackageFiles};
use crate::servicing::updates::{BaseManifest, expand_manifest};

/// Largest manifest that is read for its digests.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;
/// Most members that are left out by name; a package may have 65,535 of them.
const MAX_NAMED: usize = 10;

/// What was rebuilt, and how it was proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Expanded {
    /// Number of files.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
    /// Files that were members as they are.
    pub stored: u64,
    /// Files that are copies of others.
    pub copies: u64,
    /// Files that were made by deltas.
    pub deltas: u64,
    /// Files whose length and digest the package's index states.
    pub proved_by_index: u64,
    /// Digests in manifests of the package that were compared with files of it.
    pub proved_by_manifests: u64,
}

/// Expands the package whose members are `members` into `target`, a folder that does not exist yet or is empty.
///
/// `psf` is the PSF file of a package whose index speaks of one. The files appear together when all are proved.
///
/// # Errors
/// `InvalidInput` when the target has something in it, `Corrupt` with the file named when one is not what is stated, else
/// what reading, deltas and manifests give. Nothing is left at the target then.
pub fn to_folder(
    cx: &Context<'_>,
    members: &dyn PackageFiles,
    psf: Option<Arc<dyn ReadAt>>,
    target: &Path,
) -> Result<Expanded> {
    fill(cx, NewFolder::beside(target)?, &plan_of(members, psf)?, None)
}

/// Expands the package whose members are `members` for planning with it; they wait in `scratch`.
///
/// # Errors
/// As [`to_folder`].
pub fn to_files(
    cx: &Context<'_>,
    members: &dyn PackageFiles,
    psf: Option<Arc<dyn ReadAt>>,
    scratch: &Scratch,
) -> Result<(ExpandedFiles, Expanded)> {
    let plan = plan_of(members, psf)?;
    let store = SpoolStore::new(scratch);
    let expanded = run(cx, &plan, &store, None)?;
    Ok((store.into_files(members.name(), &plan.files), expanded))
}

/// Expands the package at `path`, in whatever container it comes, into `target`, as [`to_folder`] does. Compressed manifests
/// stay as they are; with an `image`, whose base manifest they are deltas of, the digests in them are compared too.
///
/// # Errors
/// What [`open`], [`base_manifest_of`] and [`to_folder`] give.
pub fn expand(cx: &Context<'_>, path: &Path, target: &Path, image: Option<&ImageTarget>) -> Result<Expanded> {
    let base = image.map(|image| base_manifest_of(cx, image)).transpose()?;
    if let Some(doubt) = base.as_ref().and_then(|base| base.doubt()) {
        cx.progress.warn(&Error::corrupt(doubt));
    }
    if starts_as_psf(path)? {
        return fill_from_psf(cx, path, target, base.as_deref());
    }
    let target = NewFolder::beside(target)?;
    let package = open(cx, path, &Scratch::new(cx, target.parent()))?;
    fill(cx, target, &plan_of(&package.files, psf_of(&package, path)?)?, base.as_deref())
}

/// The PSF file of the package at `path`: in the container with it, or beside it.
///
/// # Errors
/// `Io` when it cannot be opened.
pub(in crate::jobs) fn psf_of(package: &OpenPackage, path: &Path) -> Result<Option<Arc<dyn ReadAt>>> {
    match (&package.psf, package.payload) {
        (Some(psf), _) => psf.open(),
        (None, Payload::Psf) => psf_beside(path),
        (None, Payload::Files | Payload::Delta) => Ok(None),
    }
}

fn starts_as_psf(path: &Path) -> Result<bool> {
    let source = FileSource::open(path)?;
    let start = read_at::read_start(&source, psf::MAGIC_BYTES).map_err(|e| e.in_file(path.display()))?;
    Ok(psf::looks_like_one(&start))
}

/// The PSF file that belongs to the cabinet at `path`; none when it is not there.
fn psf_beside(path: &Path) -> Result<Option<Arc<dyn ReadAt>>> {
    let psf = path.with_extension("psf");
    if !psf.exists() {
        return Ok(None);
    }
    Ok(Some(Arc::new(FileSource::open(&psf)?)))
}

/// Expands a PSF file that carries its index with it.
///
/// # Errors
/// `NotFound` when it does not; else as [`to_folder`].
pub fn psf_to_folder(cx: &Context<'_>, path: &Path, target: &Path) -> Result<Expanded> {
    fill_from_psf(cx, path, target, None)
}

fn fill_from_psf(
    cx: &Context<'_>,
    path: &Path,
    target: &Path,
    base: Option<&BaseManifest>,
) -> Result<Expanded> {
    let name = path.display().to_string();
    let source: Arc<dyn ReadAt> = Arc::new(FileSource::open(path)?);
    let packed = psf::embedded_index(&*source).map_err(|e| e.in_file(&name))?.ok_or_else(|| {
        Error::not_found("it has no index in it")
            .in_file(&name)
            .remedy("expand the .cab file of the same name, with this file beside it")
    })?;
    let claim = Claim { max_bytes: MAX_INDEX_BYTES, ..Claim::default() };
    let index = apply(&[], &packed, &claim).map_err(|e| e.in_file(&name))?;
    let index = ContainerIndex::parse(&name, &index)?;
    let members = MemoryFiles::new(&name);
    let plan = Plan::of_index(index, Sources::new(&members, Some(source)))?;
    fill(cx, NewFolder::beside(target)?, &plan, base)
}

fn plan_of(members: &dyn PackageFiles, psf: Option<Arc<dyn ReadAt>>) -> Result<Plan<'_>> {
    let sources = Sources::new(members, psf);
    match find_index(members)? {
        Some(index) => Plan::of_index(index, sources).map_err(|e| e.in_file(members.name())),
        None => Plan::of_members(sources),
    }
}

/// Rebuilds all files of a plan in a folder; they appear together.
fn fill(
    cx: &Context<'_>,
    target: NewFolder,
    plan: &Plan<'_>,
    base: Option<&BaseManifest>,
) -> Result<Expanded> {
    let expanded = run(cx, plan, &FolderStore::new(target.path()), base)?;
    cx.cancel.check()?;
    target.commit()?;
    Ok(expanded)
}

fn run(
    cx: &Context<'_>,
    plan: &Plan<'_>,
    store: &dyn Store,
    base: Option<&BaseManifest>,
) -> Result<Expanded> {
    let bytes = plan.files.iter().map(|file| file.length).fold(0, u64::saturating_add);
    cx.progress.start(Stage::Extracting, bytes);
    let mut rebuild = Rebuild::new(plan, store, cx)?;
    warn_of_left_out(cx, plan);
    // Manifests first: they state digests of the files behind them.
    rebuild.run(&plan.closure(is_manifest), cx)?;
    let proved_by_manifests = add_proofs_of_manifests(cx, plan, store, base, &mut rebuild)?;
    rebuild.run(&vec![true; plan.files.len()], cx)?;
    let count = |is_meant: fn(&Recipe) -> bool| {
        plan.files.iter().filter(|file| is_meant(&file.recipe)).count() as u64
    };
    Ok(Expanded {
        files: plan.files.len() as u64,
        bytes,
        stored: count(|recipe| matches!(recipe, Recipe::Stored(_))),
        copies: count(|recipe| matches!(recipe, Recipe::Copy(_))),
        deltas: count(|recipe| matches!(recipe, Recipe::Delta(..))),
        proved_by_index: if plan.has_index { plan.files.len() as u64 } else { 0 },
        proved_by_manifests,
    })
}

/// Names the first members that no file is made from, and counts the others.
fn warn_of_left_out(cx: &Context<'_>, plan: &Plan<'_>) {
    let left_out = plan.left_out();
    let warn = |message: String| {
        cx.progress.warn(&Error::new(ErrorKind::Format, message).in_file(plan.sources.name()));
    };
    for member in left_out.iter().take(MAX_NAMED) {
        warn(format!("the member {member} is not named by the index and is left out"));
    }
    if let Some(more) = left_out.len().checked_sub(MAX_NAMED).filter(|&more| more > 0) {
        warn(format!("{more} more members are not named by the index and are left out"));
    }
}

/// How the name of a manifest ends.
const MANIFEST_SUFFIX: &str = ".manifest";

fn is_manifest(file: &PlannedFile) -> bool {
    !file.path.contains('\\') && file.path.to_ascii_lowercase().ends_with(MANIFEST_SUFFIX)
}

/// Hands the digests that manifests state to the files they are about; gives their number.
fn add_proofs_of_manifests(
    cx: &Context<'_>,
    plan: &Plan<'_>,
    store: &dyn Store,
    base: Option<&BaseManifest>,
    rebuild: &mut Rebuild<'_>,
) -> Result<u64> {
    let numbers: std::collections::HashMap<String, usize> =
        plan.files.iter().enumerate().map(|(number, file)| (file.path.to_lowercase(), number)).collect();
    let (mut proofs, mut left_out, mut missing) = (0, 0_usize, None);
    for file in plan.files.iter().filter(|file| is_manifest(file) && file.length <= MAX_MANIFEST_BYTES) {
        cx.cancel.check()?;
        let name = format!("{}: {}", plan.sources.name(), file.path);
        let mut bytes = store.get(file)?;
        if StoreForm::of(&bytes) != StoreForm::Plain {
            bytes = match expand_manifest(&bytes, base) {
                Ok(text) => text.into(),
                // It can be expanded by itself later; the others are proved all the same.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                    missing.get_or_insert_with(|| error.in_file(&name));
                    left_out += 1;
                    continue;
                }
                Err(error) => return Err(error.in_file(&name)),
            };
        }
        let manifest = ComponentManifest::parse(&name, &bytes)?;
        let folder = file.path.get(..file.path.len() - MANIFEST_SUFFIX.len()).unwrap_or_default();
        for entry in &manifest.files {
            let names = [Some(&entry.name), entry.source_name.as_ref()];
            let path_of = |name: &String| format!("{folder}\\{name}").to_lowercase();
            let number = names.into_iter().flatten().find_map(|name| numbers.get(&path_of(name)));
            let Some(&number) = number else { continue };
            for digest in &entry.digests {
                rebuild.add_proof(number, *digest)?;
                proofs += 1;
            }
        }
    }
    if let Some(error) = missing {
        let message = format!("the digests in {left_out} manifests are not compared: {}", error.message());
        cx.progress.warn(
            &Error::new(error.kind(), message)
                .in_file(plan.sources.name())
                .remedy("name an image of the Windows that the package is for with --image"),
        );
    }
    Ok(proofs)
}
