//! Names, properties, the bootable image and the integrity table of a WIM file, changed.
//!
//! Only the XML data, the header and the integrity table are written; images and blobs stay where they are. A pipable file,
//! which has its XML data before them too, is written anew.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::images;
use super::open::Check;
use super::properties;
use super::rebuild::{IntegrityChoice, as_it_is, existing_images};
use super::target::{Placement, Target, write_target};
use crate::base::in_place_file::InPlaceFile;
use crate::base::{Context, Error, ImageIndex, Reason, Result};
use crate::formats::wim::{WimFile, WimLayout, WimXml};
use crate::transfer::write::{Integrity, NewWim, replace_xml};

/// What is to be changed.
#[derive(Clone, Debug)]
pub struct InfoChange {
    /// Properties by their paths in the XML, in the order in which they are set; an empty value removes one.
    pub properties: Vec<(String, String)>,
    /// Whether the image is made bootable.
    pub boot: BootChange,
    /// What becomes of the integrity table.
    pub integrity: IntegrityChoice,
    /// What is checked before.
    pub check: Check,
}

/// What becomes of the bootable image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootChange {
    /// It stays.
    Keep,
    /// It is the named one; none when the image named is `0`.
    Set,
}

/// What was changed.
#[derive(Clone, Debug, Serialize)]
pub struct InfoChanged {
    /// The file.
    pub path: String,
    /// Number of the image; none when only the file as a whole was changed.
    pub image: Option<u32>,
    /// False when everything was so already.
    pub changed: bool,
    /// What was done, a sentence each.
    pub changes: Vec<String>,
    /// What was so already, a sentence each.
    #[serde(skip)]
    pub unchanged: Vec<String>,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// A change that can be made, and is not made yet; the file is locked meanwhile.
pub struct PreparedChange {
    wim: WimFile,
    file: InPlaceFile,
    path: PathBuf,
    xml: WimXml,
    boot: Option<ImageIndex>,
    integrity: Integrity,
    done: InfoChanged,
}

/// Finds out what changes of the image that `text` names, or the only one, in the file at `path`.
///
/// # Errors
/// `NotFound` or `InvalidInput` for the image, a name that another image has, and a bad property; `InvalidInput` for a file
/// that must not be changed, else what reading gives.
pub fn prepare(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    change: &InfoChange,
) -> Result<PreparedChange> {
    let Target { wim, file } = Target::open(path, change.check, cx)?;
    let mut xml = wim.xml().clone();
    let (mut changes, mut unchanged) = (Vec::new(), Vec::new());
    let wants_none = text == Some("0");
    let image = match (change.properties.is_empty(), change.boot) {
        (true, BootChange::Keep) => None,
        (true, BootChange::Set) if wants_none => None,
        // As in wimlib, "all" means the only image here.
        _ => Some(images::choose_one(&wim, text.filter(|text| !images::is_all(text)))?),
    };
    if let Some(image) = image {
        set_properties(&wim, &mut xml, image, &change.properties, (&mut changes, &mut unchanged))?;
    }
    let mut boot = wim.boot_index();
    if change.boot == BootChange::Set {
        let number = image.map_or(0, ImageIndex::number);
        match boot == image {
            true => unchanged.push(format!("Image {number} is already marked as bootable.")),
            false => changes.push(format!("Marking image {number} as bootable.")),
        }
        boot = image;
    }
    let has_table = !wim.header().integrity.is_absent();
    let integrity = change.integrity.resolve(Some(&wim));
    match (integrity, has_table) {
        (Integrity::Make, false) => changes.push("Adding an integrity table.".to_owned()),
        (Integrity::Omit, true) => changes.push("Removing the integrity table.".to_owned()),
        _ => {}
    }
    let done = InfoChanged {
        path: path.display().to_string(),
        image: image.map(ImageIndex::number),
        changed: !changes.is_empty(),
        changes,
        unchanged,
        file_bytes: wim.source().size(),
    };
    Ok(PreparedChange { wim, file, path: path.to_owned(), xml, boot, integrity, done })
}

impl PreparedChange {
    /// The file as it still is.
    #[must_use]
    pub fn wim(&self) -> &WimFile {
        &self.wim
    }

    /// Makes the change.
    ///
    /// # Errors
    /// What writing gives; the file is then as it was.
    pub fn write(self, cx: &Context<'_>) -> Result<InfoChanged> {
        let Self { wim, mut file, path, xml, boot, integrity, mut done } = self;
        if done.changed && wim.layout() == WimLayout::Pipable {
            let mut new = NewWim { boot, integrity, ..rewritten(&wim, cx)? };
            for (image, described) in new.images.iter_mut().zip(xml.images()) {
                image.xml = described.clone();
            }
            done.file_bytes = write_target(cx, new, (&wim, file, &path), Placement::Rebuild)?.file_bytes;
        } else if done.changed {
            let written = replace_xml(cx, &wim, &xml, boot, integrity, &mut file)?;
            cx.cancel.check()?;
            file.commit(&written.header.to_bytes(), written.file_bytes)?;
            done.file_bytes = written.file_bytes;
        }
        Ok(done)
    }
}

/// The file as it is, written anew.
fn rewritten<'w>(wim: &'w WimFile, cx: &Context<'_>) -> Result<NewWim<'w>> {
    Ok(NewWim { images: existing_images(wim, &[], cx)?, ..as_it_is(wim) })
}

fn set_properties(
    wim: &WimFile,
    xml: &mut WimXml,
    image: ImageIndex,
    wanted: &[(String, String)],
    (changes, unchanged): (&mut Vec<String>, &mut Vec<String>),
) -> Result<()> {
    for (path, value) in wanted {
        if path == "NAME" && !value.is_empty() {
            let others = xml.images().iter().enumerate().filter(|(place, _)| *place != image.position());
            if others.map(|(_, other)| other.name()).any(|name| name == Some(value)) {
                return Err(Error::invalid_input(format!("there is already an image named {value:?}"))
                    .because(Reason::ImageNameTaken)
                    .in_file(wim.name())
                    .remedy("choose another name"));
            }
        }
        let Some(element) = xml.images_mut().get_mut(image.position()) else {
            return Err(Error::not_found(format!("the XML data has no image {image}")).in_file(wim.name()));
        };
        let before = element.clone();
        properties::set(element, path, value)?;
        match *element == before {
            true => {
                unchanged
                    .push(format!("The {path} property of image {image} already has value \"{value}\"."));
            }
            false => changes.push(format!("Setting the {path} property of image {image} to \"{value}\".")),
        }
    }
    Ok(())
}
