//! Whole images put into directories of the host.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::images;
use super::open::{Check, load_image};
use super::part_set::PartSet;
use crate::base::{Context, Error, ImageIndex, Result};
use crate::formats::wim::{HeaderFlags, ImageXml, WimFile};
use crate::transfer::apply::{
    ApplyOptions, ApplyReport, FixedLinks, Layout, LeftOut, SideFile, apply, apply_with_side_file,
};
use crate::transfer::capture::{Metadata, side_file_path};

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
    /// The side file that keeps what the host cannot hold, when one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

impl Applied {
    /// The report of one image.
    pub(super) fn new(image: ImageIndex, target: &Path, report: &ApplyReport) -> Self {
        let LeftOut { named_streams, encrypted, reparse_points, names } = report.left_out;
        Self {
            image: image.number(),
            target: target.display().to_string(),
            directories: report.directories,
            files: report.files,
            hard_links: report.hard_links,
            symbolic_links: report.symbolic_links,
            bytes: report.bytes,
            left_out_named_streams: named_streams,
            left_out_encrypted: encrypted,
            left_out_reparse_points: reparse_points,
            left_out_names: names,
            metadata: None,
        }
    }

    /// The report with its side file.
    pub(super) fn with_side_file(self, path: &Path) -> Self {
        Self { metadata: Some(path.display().to_string()), ..self }
    }
}

/// Begins the side file that is asked for, if one is, for what is put into `target`, which is made.
pub(super) fn begin_side_file(metadata: &Metadata, target: &Path) -> Result<Option<(PathBuf, SideFile)>> {
    let path = match metadata {
        Metadata::Plain => return Ok(None),
        Metadata::At(path) => path.clone(),
        Metadata::Beside => {
            std::fs::create_dir_all(target).map_err(|e| Error::io(e, "cannot make the directory", target))?;
            side_file_path(target)
        }
    };
    let file = SideFile::create(&path)?;
    Ok(Some((path, file)))
}

/// Applies the image that `text` names, or the only one, from the file at `path` to the directory `target`; `all` puts
/// each image into a directory of its name below it.
///
/// What the host cannot hold goes to a side file when `metadata` says so.
///
/// `refs` are globs of files that belong to it. Links that were fixed up at capture are treated as `fixed_links` says, else as the file's header does.
///
/// # Errors
/// `NotFound` or `InvalidInput` for the image, else what opening and applying give.
pub fn run(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    target: &Path,
    fixed_links: Option<FixedLinks>,
    (refs, check): (&[String], Check),
    metadata: &Metadata,
) -> Result<Vec<Applied>> {
    let set = PartSet::open(path, refs, check, cx)?;
    let (wim, wims) = (&set.wim, set.wims());
    let default = if wim.header().flags.has(HeaderFlags::RP_FIX) {
        FixedLinks::IntoTarget
    } else {
        FixedLinks::AsStored
    };
    let options = ApplyOptions { fixed_links: fixed_links.unwrap_or(default), layout: Layout::KeepPaths };
    let one = |image: ImageIndex, target: &Path| -> Result<Applied> {
        let tree = load_image(wim, image, cx)?;
        let Some((path, mut side_file)) = begin_side_file(metadata, target)? else {
            let report = apply(cx, &tree, &wims, target, &options).map_err(|e| set.explain(e))?;
            return Ok(Applied::new(image, target, &report));
        };
        let report = apply_with_side_file(cx, &tree, &wims, target, &options, &mut side_file);
        let report = report.map_err(|e| set.explain(e))?;
        side_file.finish(cx, &wims).map_err(|e| set.explain(e))?;
        Ok(Applied::new(image, target, &report).with_side_file(&path))
    };
    match text {
        Some(text) if images::is_all(text) => {
            if matches!(metadata, Metadata::At(_)) && wim.image_count() > 1 {
                return Err(Error::invalid_input("each image needs a side file of its own")
                    .remedy("give --metadata without a name, so that each lies beside its directory"));
            }
            std::fs::create_dir_all(target).map_err(|e| Error::io(e, "cannot make the directory", target))?;
            let folders = folders(wim);
            folders.iter().map(|(image, folder)| one(*image, &target.join(folder))).collect()
        }
        text => Ok(vec![one(images::choose_one(wim, text)?, target)?]),
    }
}

/// A folder for each image: its name when that can be one, as in wimlib, else its number.
fn folders(wim: &WimFile) -> Vec<(ImageIndex, PathBuf)> {
    let mut taken = HashSet::new();
    let mut folders = Vec::new();
    for image in wim.images() {
        let name = wim.xml().images().get(image.position()).and_then(ImageXml::name);
        let name = name.filter(|name| is_folder_name(name)).map_or_else(|| image.to_string(), str::to_owned);
        let folder = if taken.insert(name.to_uppercase()) { name } else { format!("{name} ({image})") };
        folders.push((image, PathBuf::from(folder)));
    }
    folders
}

/// True for a text that is one harmless name on every host.
fn is_folder_name(name: &str) -> bool {
    let bad = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    !name.is_empty()
        && !name.starts_with('.')
        && name.len() <= 255
        && !name.contains(bad)
        && !name.ends_with(['.', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_no_folders() {
        assert!(is_folder_name("Windows 7 PROFESSIONAL"));
        for bad in ["", ".", "..", "a/b", "..\\x", "C:", "a\0", ".hidden", "dot.", "x\n"] {
            assert!(!is_folder_name(bad), "{bad:?}");
        }
    }
}
