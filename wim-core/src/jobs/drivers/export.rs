//! Packages copied out of images, each into a folder of its own.
//!
//! All images are looked at before the first file is written, so that what stands in the way of one package leaves no other behind.
//! Files are those of the package: what Windows keeps of it elsewhere is not copied.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::look::{Look, each_image, is_named};
use super::service::Recovery;
use crate::base::atomic_file::IfExists;
use crate::base::progress::Silent;
use crate::base::{Context, Error, Result, WimString};
use crate::image::{NodeId, Tree, WimPath};
use crate::jobs::dir::NothingFits;
use crate::jobs::registry::Target;
use crate::servicing::drivers::exported_files;
use crate::servicing::drivers::list::{ListedDriver, Which, list as list_drivers};
use crate::servicing::drivers::manifest::Manifest;
use crate::transfer::apply::{ApplyOptions, FixedLinks, Layout, RestoreOptions, extract};
use crate::transfer::host_name::{NameRules, to_host};

/// A package that was copied out of an image.
#[derive(Clone, Debug, Serialize)]
pub struct ExportedDriver {
    /// The WIM file.
    pub path: String,
    /// Number of the image.
    pub image: u32,
    /// `oemN.inf`, where it has such a name.
    pub published: Option<String>,
    /// File name of its INF.
    pub inf: String,
    /// Version.
    pub version: Option<String>,
    /// The folder of the host it is in now.
    pub folder: String,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies the packages that `names` mean (all that did not come with Windows when there are none) out of images into folders
/// of their own below `destination`; a package that several images have is copied once.
///
/// # Errors
/// `NotFound` when no image has one of them, `InvalidInput` when a folder of its name has files already, both before anything is
/// written; what reading and writing files gives.
pub fn export(
    cx: &Context<'_>,
    targets: &[Target],
    recovery: Recovery,
    names: &[String],
    (destination, if_exists): (&Path, IfExists),
) -> Result<Vec<ExportedDriver>> {
    let mut missing: Vec<&String> = names.iter().collect();
    let mut folders = HashSet::new();
    // What is odd about the images is told when they are looked at again.
    each_image(&Context::new(&Silent, cx.cancel), targets, recovery, |look| {
        for (driver, name) in wanted(&look, names, &mut folders)? {
            missing.retain(|name| !is_named(&driver, name));
            let target = host_path(destination, &[name])?;
            let is_empty =
                std::fs::read_dir(&target).map_or(!target.exists(), |mut files| files.next().is_none());
            if if_exists == IfExists::Refuse && !is_empty {
                return Err(Error::invalid_input("this folder has files already")
                    .in_file(target.display())
                    .remedy("copy into another folder, or replace its files: --force"));
            }
        }
        Ok(())
    })?;
    if let Some(name) = missing.first() {
        return Err(Error::not_found(format!("no image has the driver {name}"))
            .with_source(NothingFits)
            .remedy("list them with: wim driver list --all"));
    }
    let mut folders = HashSet::new();
    let exported = each_image(cx, targets, recovery, |look| {
        let wanted = wanted(&look, names, &mut folders)?;
        wanted.into_iter().map(|(driver, name)| copy_out(cx, &look, driver, name, destination)).collect()
    })?;
    Ok(exported.into_iter().flat_map(|of_image: Vec<ExportedDriver>| of_image).collect())
}

/// The drivers of an image that are to be copied, with the names of their folders; those that came before are left out.
fn wanted(
    look: &Look<'_, '_>,
    names: &[String],
    folders: &mut HashSet<String>,
) -> Result<Vec<(ListedDriver, WimString)>> {
    let which = if names.is_empty() { Which::ThirdParty } else { Which::All };
    let mut wanted = Vec::new();
    for driver in list_drivers(look.view, look.target.windows.arch, which)? {
        let is_wanted = names.is_empty() || names.iter().any(|name| is_named(&driver, name));
        let Some(folder) = driver.folder.as_deref().filter(|_| is_wanted) else { continue };
        let name = WimPath::parse(folder)?.name().cloned().unwrap_or_else(|| "package".into());
        if folders.insert(name.to_text().to_lowercase()) {
            wanted.push((driver, name));
        }
    }
    Ok(wanted)
}

/// Copies one package into a folder of its name below `destination`.
fn copy_out(
    cx: &Context<'_>,
    look: &Look<'_, '_>,
    driver: ListedDriver,
    name: WimString,
    destination: &Path,
) -> Result<ExportedDriver> {
    let folder = driver.folder.unwrap_or_default();
    let path = WimPath::parse(&folder)?;
    let manifest = Manifest::load(look.view)?;
    let entry = manifest.drivers.iter().find(|entry| entry.folder.eq_ignore_ascii_case(&folder));
    let parts = match entry {
        Some(entry) => by_folder(look.tree, &path, exported_files(entry)?.into_iter().map(|(_, file)| file)),
        None => BTreeMap::from([(WimPath::root(), children(look.tree, &path))]),
    };
    let target = host_folder(destination, &[name])?;
    let (mut files, mut bytes) = (0, 0);
    for (below, nodes) in parts {
        let (fixed_links, layout) = (FixedLinks::AsStored, Layout::Flat);
        let options = ApplyOptions { fixed_links, layout, restore: RestoreOptions::default() };
        let into = host_folder(&target, below.components())?;
        let report = extract(cx, look.tree, look.wims, &nodes, &into, &options, None)?;
        files += report.files;
        bytes += report.bytes;
    }
    Ok(ExportedDriver {
        path: look.wim.name().to_owned(),
        image: look.image.number(),
        published: driver.published,
        inf: driver.inf,
        version: driver.version,
        folder: target.display().to_string(),
        files,
        bytes,
    })
}

fn children(tree: &Tree, folder: &WimPath) -> Vec<NodeId> {
    tree.find(folder).map(|node| tree.children(node).to_vec()).unwrap_or_default()
}

/// Files of a package by the folder they lie in, which is counted from the package's own.
fn by_folder(
    tree: &Tree,
    package: &WimPath,
    files: impl Iterator<Item = WimPath>,
) -> BTreeMap<WimPath, Vec<NodeId>> {
    let mut folders: BTreeMap<WimPath, Vec<NodeId>> = BTreeMap::new();
    for file in files {
        let (Some(node), Some(parent)) = (tree.find(&file), file.parent()) else { continue };
        let below = parent.components().iter().skip(package.components().len()).cloned().collect();
        folders.entry(WimPath::from_components(below)).or_default().push(node);
    }
    folders
}

/// The path of the host below `root` of names of an image, which the host must take.
fn host_path(root: &Path, names: &[WimString]) -> Result<PathBuf> {
    let mut folder = root.to_owned();
    for name in names {
        let units = name.units();
        if !NameRules::of_this_host().allow(units) {
            return Err(Error::invalid_input(format!("this system cannot have a folder named {name}"))
                .remedy("extract the package's files one by one: wim extract"));
        }
        folder.push(to_host(units));
    }
    Ok(folder)
}

/// [`host_path`], with the folder made.
fn host_folder(root: &Path, names: &[WimString]) -> Result<PathBuf> {
    let folder = host_path(root, names)?;
    std::fs::create_dir_all(&folder).map_err(|e| Error::io(e, "cannot make the folder", &folder))?;
    Ok(folder)
}
