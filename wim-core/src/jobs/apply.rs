//! Whole images put into directories of the host.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::images;
use super::open::{Check, load_image};
use super::part_set::PartSet;
use super::target::check_no_input;
use crate::base::atomic_file::folder_of;
use crate::base::windows_name::name_fault;
use crate::base::{Context, Error, ImageIndex, Reason, Result};
use crate::formats::wim::{HeaderFlags, ImageXml, WimFile};
use crate::transfer::apply::{
    ApplyOptions, ApplyReport, FixedLinks, Layout, PipedImage, RestoreOptions, SideFile, apply, apply_piped,
};
use crate::transfer::capture::{Metadata, side_file_path};
use crate::transfer::read::PipedWim;

/// What was put where.
#[derive(Clone, Debug, Serialize)]
pub struct Applied {
    /// Number of the image.
    pub image: u32,
    /// The directory.
    pub target: String,
    /// Directories made, the target not among them.
    pub directories: u64,
    /// Files written.
    pub files: u64,
    /// Second and further names of files.
    pub hard_links: u64,
    /// Symbolic links and junctions.
    pub symbolic_links: u64,
    /// Bytes of all files written.
    pub bytes: u64,
    /// Named data streams that the host cannot hold.
    pub left_out_named_streams: u64,
    /// Encrypted files.
    pub left_out_encrypted: u64,
    /// Reparse points that the host cannot hold.
    pub left_out_reparse_points: u64,
    /// Names that the host refuses.
    pub left_out_names: u64,
    /// Files whose owner, group, mode, extended attributes or kind could not be restored.
    pub left_out_unix_data: u64,
    /// Security descriptors that a mounted NTFS volume refused; other hosts are not asked for these and what follows.
    pub left_out_descriptors: u64,
    /// Files whose attributes or times it did not take as they are.
    pub left_out_attributes: u64,
    /// 8.3 names that it refused.
    pub left_out_short_names: u64,
    /// Object ids that it refused.
    pub left_out_object_ids: u64,
    /// Files whose extended attributes it refused.
    pub left_out_extended_attributes: u64,
    /// Devices, pipes and sockets.
    pub special_files: u64,
    /// Blobs that are damaged, and were recovered as far as they go.
    pub damaged_blobs: u64,
    /// The side file that keeps what the host cannot hold, when one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

impl Applied {
    /// The report of one image.
    pub(super) fn new(image: ImageIndex, target: &Path, report: &ApplyReport) -> Self {
        let left_out = report.left_out;
        Self {
            image: image.number(),
            target: target.display().to_string(),
            directories: report.directories,
            files: report.files,
            hard_links: report.hard_links,
            symbolic_links: report.symbolic_links,
            bytes: report.bytes,
            left_out_named_streams: left_out.named_streams,
            left_out_encrypted: left_out.encrypted,
            left_out_reparse_points: left_out.reparse_points,
            left_out_names: left_out.names,
            left_out_unix_data: left_out.unix_data,
            left_out_descriptors: left_out.descriptors,
            left_out_attributes: left_out.attributes,
            left_out_short_names: left_out.short_names,
            left_out_object_ids: left_out.object_ids,
            left_out_extended_attributes: left_out.extended_attributes,
            special_files: report.special_files,
            damaged_blobs: report.damaged_blobs,
            metadata: None,
        }
    }

    /// The report with its side file.
    pub(super) fn with_side_file(self, path: &Path) -> Self {
        Self { metadata: Some(path.display().to_string()), ..self }
    }
}

/// Begins the side file that is asked for, if one is, for what is put into `target`, which is made, from `wims`. `is_made` tells
/// which names in the target itself are taken.
///
/// # Errors
/// `InvalidInput` for one that would take the place of a file that is read or put there; `Io`.
pub(super) fn begin_side_file(
    metadata: &Metadata,
    target: &Path,
    wims: &[&WimFile],
    is_made: &dyn Fn(&OsStr) -> bool,
) -> Result<Option<(PathBuf, SideFile)>> {
    if *metadata == Metadata::Plain {
        return Ok(None);
    }
    make_directory(target)?;
    let path = match metadata {
        Metadata::At(path) => path.clone(),
        Metadata::Plain | Metadata::Beside => side_file_path(target),
    };
    check_no_input(&path, wims)?;
    if let (Ok(folder), Ok(target)) = (folder_of(&path).canonicalize(), target.canonicalize())
        && folder.starts_with(&target)
        && (folder != target || path.file_name().is_some_and(is_made))
    {
        return Err(Error::invalid_input("the side file would lie among the files that it describes")
            .in_file(path.display())
            .remedy("name a file outside of the target, as --metadata alone does"));
    }
    let file = SideFile::create(&path)?;
    Ok(Some((path, file)))
}

/// How images are applied, and what is looked into for it.
#[derive(Clone, Debug)]
pub struct ApplyChoices {
    /// What becomes of links that were fixed up at capture; none goes by the file's header.
    pub fixed_links: Option<FixedLinks>,
    /// What is restored, and what is put up with.
    pub restore: RestoreOptions,
    /// Globs of files that belong to the WIM: other parts, bases of a delta.
    pub refs: Vec<String>,
    /// What is checked before.
    pub check: Check,
    /// The side file that keeps what the host cannot hold.
    pub metadata: Metadata,
}

/// Applies the image that `text` names, or the only one, from the file at `path` to the directory `target`; `all` puts
/// each image into a directory of its name below it.
///
/// What the host cannot hold goes to a side file when the choices say so.
///
/// # Errors
/// `NotFound` or `InvalidInput` for the image, else what opening and applying give.
pub fn run(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    target: &Path,
    choices: &ApplyChoices,
) -> Result<Vec<Applied>> {
    let set = PartSet::open(path, &choices.refs, choices.check, cx)?;
    let (wim, wims) = (&set.wim, set.wims());
    let options = options_for(wim, choices);
    let one = |image: ImageIndex, target: &Path| -> Result<Applied> {
        let tree = load_image(wim, image, cx)?;
        let mut side_file = begin_side_file(&choices.metadata, target, &wims, &|_| true)?;
        let keeper = side_file.as_mut().map(|(_, file)| file);
        let report = apply(cx, &tree, &wims, target, &options, keeper).map_err(|e| set.explain(e))?;
        let applied = Applied::new(image, target, &report);
        let Some((path, side_file)) = side_file else { return Ok(applied) };
        side_file.finish(cx, &wims).map_err(|e| set.explain(e))?;
        Ok(applied.with_side_file(&path))
    };
    match text {
        Some(text) if images::is_all(text) => {
            check_side_files(wim, choices)?;
            make_directory(target)?;
            let folders = folders(wim);
            folders.iter().map(|(image, folder)| one(*image, &target.join(folder))).collect()
        }
        text => Ok(vec![one(images::choose_one(wim, text)?, target)?]),
    }
}

/// Applies as [`run`] does, from a pipable WIM that comes through `input`: in one pass, and `all` in one pass too.
///
/// The other parts of a set, and pipable bases of a delta, must follow it in the same stream.
///
/// # Errors
/// As [`run`], and what [`PipedWim`] returns for a stream that is no pipable WIM, or is damaged, out of order or cut short.
pub fn run_from_stream(
    cx: &Context<'_>,
    input: &mut dyn Read,
    text: Option<&str>,
    target: &Path,
    choices: &ApplyChoices,
) -> Result<Vec<Applied>> {
    if !choices.refs.is_empty() {
        return Err(Error::invalid_input("--ref cannot go with a WIM on standard input")
            .remedy("send the other files behind the first: cat A.swm A2.swm | wim apply - TARGET"));
    }
    let pipe = PipedWim::open(input, "standard input", cx)?;
    let wim = pipe.start();
    let chosen = match text {
        Some(text) if images::is_all(text) => {
            check_side_files(wim, choices)?;
            make_directory(target)?;
            folders(wim).into_iter().map(|(image, folder)| (image, target.join(folder))).collect()
        }
        text => vec![(images::choose_one(wim, text)?, target.to_owned())],
    };
    let (options, mut piped, mut total_bytes) = (options_for(wim, choices), Vec::new(), 0u64);
    let mut side_files = Vec::new();
    for (image, target) in &chosen {
        let tree = load_image(wim, *image, cx)?;
        let (path, side_file) = begin_side_file(&choices.metadata, target, &[], &|_| true)?.unzip();
        side_files.push(path);
        piped.push(PipedImage { tree, target: target.clone(), side_file });
        let described = wim.xml().images().get(image.position());
        total_bytes =
            total_bytes.saturating_add(described.and_then(|xml| xml.count("TOTALBYTES")).unwrap_or(0));
    }
    let reports = apply_piped(cx, &mut piped, pipe, total_bytes, &options)?;
    let applied = chosen.iter().zip(&reports).zip(&side_files);
    let applied = applied.map(|(((image, target), report), side_file)| {
        let applied = Applied::new(*image, target, report);
        side_file.iter().fold(applied, |applied, path| applied.with_side_file(path))
    });
    Ok(applied.collect())
}

/// Refuses one side file for several images.
fn check_side_files(wim: &WimFile, choices: &ApplyChoices) -> Result<()> {
    if matches!(choices.metadata, Metadata::At(_)) && wim.image_count() > 1 {
        return Err(Error::invalid_input("each image needs a side file of its own")
            .remedy("give --metadata without a name, so that each lies beside its directory"));
    }
    Ok(())
}

fn options_for(wim: &WimFile, choices: &ApplyChoices) -> ApplyOptions {
    let default = if wim.header().flags.has(HeaderFlags::RP_FIX) {
        FixedLinks::IntoTarget
    } else {
        FixedLinks::AsStored
    };
    let fixed_links = choices.fixed_links.unwrap_or(default);
    ApplyOptions { fixed_links, layout: Layout::KeepPaths, restore: choices.restore }
}

fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .map_err(|e| Error::io(e, "cannot make the directory", path).because(Reason::CannotMakeDirectory))
}

/// A folder for each image: its name when that can be one, as in wimlib, else its number.
fn folders(wim: &WimFile) -> Vec<(ImageIndex, PathBuf)> {
    let name_of = |image: ImageIndex| wim.xml().images().get(image.position()).and_then(ImageXml::name);
    folders_of(wim.images().map(|image| (image, name_of(image))))
}

fn folders_of<'n>(images: impl Iterator<Item = (ImageIndex, Option<&'n str>)>) -> Vec<(ImageIndex, PathBuf)> {
    let mut taken = HashSet::new();
    let mut folders = Vec::new();
    for (image, name) in images {
        let name = name.filter(|name| is_folder_name(name)).map_or_else(|| image.to_string(), str::to_owned);
        let mut folder = name;
        while !taken.insert(folder.to_uppercase()) {
            folder = format!("{folder} ({image})");
        }
        folders.push((image, PathBuf::from(folder)));
    }
    folders
}

/// True for a text that is one harmless name on every host.
fn is_folder_name(name: &str) -> bool {
    let is_allowed = name_fault(name).is_none() && !name.contains(char::is_control);
    is_allowed && !name.starts_with('.') && name.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_no_folders() {
        assert!(is_folder_name("Windows 7 PROFESSIONAL"));
        for bad in ["", ".", "..", "a/b", "..\\x", "C:", "a\0", ".hidden", "dot.", "x\n", "CON", "nul.txt"] {
            assert!(!is_folder_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn every_image_has_a_folder_of_its_own() {
        let names = [Some("x (3)"), Some("X"), Some("x"), Some("CON"), None, Some("5"), Some("4")];
        let images = names.iter().enumerate().map(|(place, name)| (ImageIndex::from_position(place), *name));
        let folders: Vec<String> =
            folders_of(images).into_iter().map(|(_, folder)| folder.display().to_string()).collect();
        assert_eq!(folders, ["x (3)", "X", "x (3) (3)", "4", "5", "5 (6)", "4 (7)"]);
    }
}
