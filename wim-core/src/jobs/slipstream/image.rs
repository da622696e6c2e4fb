//! Services one image: drivers, then registry files, then added files, each seeing what came before.

use std::path::Path;
use std::sync::Arc;

use super::SlipstreamOptions;
use super::edits::Edits;
use super::report::{Facts, ImageReport};
use crate::base::{Context, Error, FileTime, ImageIndex, Result};
use crate::image::WimPath;
use crate::image::edit::{Action, Change, Content, HashedFiles, ImageView, Security, Times};
use crate::jobs::edited_image::{EditedImage, OpenImage, hints_of};
use crate::jobs::part_set::PartSet;
use crate::servicing::drivers::{self, DriverOptions};
use crate::servicing::hive_set::{HiveOptions, HiveSet};
use crate::servicing::package_files::PackageFiles;
use crate::servicing::registry::{self, PathMap};
use crate::servicing::target::find_target;

/// One image after its edits, and what is told of it.
pub(super) struct ServicedImage<'w> {
    pub(super) edited: EditedImage<'w>,
    pub(super) report: ImageReport,
}

/// Plans all edits to `image` and resolves them; `hashed` goes on from image to image.
pub(super) fn service<'w>(
    cx: &Context<'_>,
    set: &'w PartSet,
    image: ImageIndex,
    edits: &Edits<'_>,
    options: &SlipstreamOptions,
    hashed: &mut HashedFiles,
) -> Result<ServicedImage<'w>> {
    let mut open = OpenImage::load(cx, set, image, edits.fixed_time)?;
    let blobs = open.blobs();
    let tree = Arc::clone(&open.tree);
    let view = ImageView::new(&tree, &blobs);
    let mut overlay = open.overlay();
    let mut hives = HiveSet::new(&view, HiveOptions { time: edits.fixed_time });

    let (mut target, mut reports) = (None, Vec::new());
    if !edits.drivers.is_empty() {
        let hints = hints_of(&open.xml);
        let found = find_target(&view, &mut hives, hints, &mut open.warnings).map_err(|e| open.blame(e))?;
        let sources: Vec<&dyn PackageFiles> = edits.drivers.iter().map(AsRef::as_ref).collect();
        let time = options.driver_options.time.or(Some(open.time));
        let driver_options = DriverOptions { time, ..options.driver_options.clone() };
        let plan = drivers::plan(&sources, &view, &mut hives, &found, &driver_options, cx.cancel);
        let plan = plan.map_err(|e| open.blame(e))?;
        overlay.apply_all(plan.changes).map_err(|e| open.blame(e))?;
        (target, reports) = (Some(found), plan.reports);
    }
    for (name, reg_file) in &edits.reg_files {
        registry::import(&mut hives, reg_file, &PathMap::default(), name).map_err(|e| open.blame(e))?;
    }
    let (changes, journal) = hives.finish().map_err(|e| open.blame(e))?;
    overlay.apply_all(changes).map_err(|e| open.blame(e))?;
    for (host, path) in &options.additions {
        overlay.apply_all(added_files(host, path)?).map_err(|e| open.blame(e))?;
    }
    let edited = open.finish(cx, overlay, hashed)?;
    let facts = Facts { image, edited: &edited, target, drivers: reports, journal };
    Ok(ServicedImage { report: ImageReport::new(facts), edited })
}

/// The changes that put a host file or folder at `path`.
fn added_files(host: &Path, path: &WimPath) -> Result<Vec<Change>> {
    let metadata = std::fs::metadata(host).map_err(|e| Error::io(e, "cannot read", host))?;
    let reason = format!("added from {}", host.display());
    if metadata.is_file() {
        let modified = metadata.modified().map_err(|e| Error::io(e, "cannot read the time of", host))?;
        let last_write = FileTime::from_system_time(modified);
        let action = Action::PutFile {
            content: Content::HostFile { path: host.to_owned(), size: metadata.len(), last_write },
            attributes: None,
            times: Some(Times::all(last_write)),
            security: Security::Inherit,
        };
        return Ok(vec![Change { path: path.clone(), action, reason }]);
    }
    if !metadata.is_dir() {
        return Err(Error::invalid_input("only files and folders can be added").in_file(host.display()));
    }
    let make = Action::MakeDirectory { security: Security::Inherit };
    let mut changes = vec![Change { path: path.clone(), action: make, reason }];
    let cannot = |e| Error::io(e, "cannot read the folder", host);
    let mut entries: Vec<_> =
        std::fs::read_dir(host).map_err(cannot)?.collect::<Result<_, _>>().map_err(cannot)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().map_err(|name| {
            Error::invalid_input(format!("{} is no Unicode name", name.to_string_lossy()))
                .in_file(host.display())
        })?;
        changes.extend(added_files(&entry.path(), &path.join(&name)?)?);
    }
    Ok(changes)
}
