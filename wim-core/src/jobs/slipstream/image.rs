//! Services one image: drivers, then registry files, then added files, each seeing what came before.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::report::{Facts, ImageReport};
use super::{Edits, SlipstreamOptions};
use crate::base::{Architecture, Context, Error, FileTime, ImageIndex, Result, Sha1Digest};
use crate::formats::wim::{ImageXml, WimFile};
use crate::image::edit::{Action, Change, Content, ImageView, Overlay, Resolved, Security, Times};
use crate::image::{ImageCounts, WimPath, load, store};
use crate::jobs::clock;
use crate::servicing::drivers;
use crate::servicing::hive_set::{HiveOptions, HiveSet};
use crate::servicing::package_files::PackageFiles;
use crate::servicing::registry::{self, PathMap};
use crate::servicing::target::{ImageHints, find_target};
use crate::transfer::read::WimBlobs;
use crate::transfer::write::{NewImage, NewMetadata};

/// One image after its edits: what the writer needs, and what is told of it. The trees are gone.
pub(super) struct ServicedImage<'w> {
    pub(super) new: NewImage<'w>,
    pub(super) report: ImageReport,
    /// Contents that the file does not have yet.
    pub(super) contents: Vec<(Sha1Digest, Content)>,
}

/// Plans all edits to `image` and resolves them.
pub(super) fn service<'w>(
    cx: &Context<'_>,
    wim: &'w WimFile,
    image: ImageIndex,
    edits: &Edits,
    options: &SlipstreamOptions,
) -> Result<ServicedImage<'w>> {
    let in_image = |e: Error| e.in_file(format!("{}: image {image}", wim.name()));
    let mut warnings = Vec::new();
    let tree =
        load::load(&wim.read_metadata(image, cx.memory_bytes())?, &mut |warning| warnings.push(warning))
            .map_err(in_image)?;
    let tree = Arc::new(tree);
    let xml = wim.xml().images().get(image.position()).cloned().unwrap_or_default();
    let time = job_time(edits.fixed_time, &xml)?;
    let blobs = WimBlobs::new(wim);
    let view = ImageView::new(&tree, &blobs);
    let mut overlay = Overlay::new(Arc::clone(&tree), time);
    let mut hives = HiveSet::new(&view, HiveOptions { time: edits.fixed_time });

    let (mut target, mut reports) = (None, Vec::new());
    if !edits.drivers.is_empty() {
        let found = find_target(&view, &mut hives, hints(&xml), &mut warnings).map_err(in_image)?;
        let sources: Vec<&dyn PackageFiles> = edits.drivers.iter().map(AsRef::as_ref).collect();
        let plan =
            drivers::plan(&sources, &view, &mut hives, &found, &options.driver_options).map_err(in_image)?;
        overlay.apply_all(plan.changes).map_err(in_image)?;
        (target, reports) = (Some(found), plan.reports);
    }
    for (name, reg_file) in &edits.reg_files {
        registry::import(&mut hives, reg_file, &PathMap::default(), name).map_err(in_image)?;
    }
    let (changes, journal) = hives.finish().map_err(in_image)?;
    overlay.apply_all(changes).map_err(in_image)?;
    for (host, path) in &options.additions {
        overlay.apply_all(added_files(host, path)?).map_err(in_image)?;
    }

    let resolved = overlay.resolve(cx).map_err(in_image)?;
    for warning in &warnings {
        cx.progress.warn(&warning.duplicate().in_file(format!("{}: image {image}", wim.name())));
    }
    let (metadata, xml) = if resolved.is_changed {
        (NewMetadata::new(store::store(&resolved.tree)), updated_xml(wim, xml, &resolved, time))
    } else {
        (NewMetadata::Copy(wim, image), xml)
    };
    let facts = Facts { image, xml: &xml, resolved: &resolved, target, drivers: reports, journal, warnings };
    Ok(ServicedImage {
        report: ImageReport::new(facts),
        new: NewImage { metadata, references: resolved.tree.blob_references(), xml },
        contents: resolved.contents,
    })
}

/// `SOURCE_DATE_EPOCH`; else the time at which the image was last changed, so that the same input gives the same bytes on
/// any day; else the clock.
fn job_time(fixed: Option<FileTime>, xml: &ImageXml) -> Result<FileTime> {
    match fixed.or_else(|| xml.time("LASTMODIFICATIONTIME")) {
        Some(time) => Ok(time),
        None => clock::job_time(),
    }
}

fn hints(xml: &ImageXml) -> ImageHints {
    ImageHints {
        arch: xml.architecture().and_then(Architecture::from_windows_number),
        version: xml.version().map(|version| (version.major, version.minor, version.build)),
    }
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

/// The XML with its counts and its time of change brought up to date.
fn updated_xml(wim: &WimFile, mut xml: ImageXml, resolved: &Resolved, time: FileTime) -> ImageXml {
    let new: HashMap<_, _> = resolved
        .contents
        .iter()
        .filter_map(|(digest, content)| Some((*digest, content.size_bytes()?)))
        .collect();
    let size_of = |digest: &Sha1Digest| {
        let in_file = wim.table().find(digest).map(|entry| entry.header.size);
        in_file.or_else(|| new.get(digest).copied()).unwrap_or(0)
    };
    let ImageCounts { directories, files, total_bytes, hard_link_bytes } = resolved.tree.counts(&size_of);
    for (name, count) in [
        ("DIRCOUNT", directories),
        ("FILECOUNT", files),
        ("TOTALBYTES", total_bytes),
        ("HARDLINKBYTES", hard_link_bytes),
    ] {
        xml.set(name, &count.to_string());
    }
    xml.set_time("LASTMODIFICATIONTIME", time);
    xml
}
