//! What makes a tree of files Windows installation media: the install image and Setup's settings.
//!
//! Files and their meaning are those of Windows Setup from Vista on. Which editions an install image holds, its XML says and not
//! this file.

use serde::Serialize;

use super::iso_image::{EntryKind, IsoImage};
use crate::base::{Error, ErrorKind, ReadAt, Result, read_at};

/// Folders in which Setup's files are: of ordinary media, then of media for several architectures.
const SOURCE_FOLDERS: [&str; 4] = ["/sources", "/x64/sources", "/x86/sources", "/arm64/sources"];
/// Names of install images, in the order in which they are looked for.
const INSTALL_NAMES: [&str; 3] = ["install.wim", "install.esd", "install.swm"];
/// Most bytes of a settings file.
const MAX_SETTINGS_BYTES: u64 = 64 << 10;

/// The source of an error that says: the disc holds no install image.
#[derive(Debug)]
pub struct NoInstallImage;

impl std::fmt::Display for NoInstallImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the disc holds no install image")
    }
}

impl std::error::Error for NoInstallImage {}

/// The path of the install image of a disc.
///
/// # Errors
/// `NotFound` when there is none, `InvalidInput` when media for several architectures hold one each; as [`IsoImage::find`].
pub fn install_image(disc: &IsoImage) -> Result<String> {
    let mut found = Vec::new();
    for folder in SOURCE_FOLDERS {
        found.extend(install_image_in(disc, folder)?);
    }
    let all = || found.iter().map(|path| format!("{}:{path}", disc.name())).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(missing(disc)?),
        _ => Err(Error::invalid_input("the disc holds several install images")
            .in_file(disc.name())
            .remedy(format!("name one of them: {}", all()))),
    }
}

/// The install images of all folders; those of several architectures lie in several.
///
/// # Errors
/// As [`IsoImage::find`].
pub fn install_images(disc: &IsoImage) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in SOURCE_FOLDERS {
        found.extend(install_image_in(disc, folder)?);
    }
    Ok(found)
}

fn install_image_in(disc: &IsoImage, folder: &str) -> Result<Option<String>> {
    let Some(directory) = disc.find(folder)?.filter(|entry| entry.kind == EntryKind::Directory) else {
        return Ok(None);
    };
    let children = disc.children(&directory)?;
    let find = |name: &str| {
        let units: Vec<u16> = name.encode_utf16().collect();
        children.iter().find(|one| one.kind == EntryKind::File && one.name.eq_ignore_case(&units))
    };
    Ok(INSTALL_NAMES.into_iter().find_map(find).map(|one| format!("{folder}/{}", one.name)))
}

/// The error for a disc without an install image, with the images that it has.
fn missing(disc: &IsoImage) -> Result<Error> {
    const MAX_LISTED: usize = 8;
    let mut others = Vec::new();
    for folder in SOURCE_FOLDERS.into_iter().chain([""]) {
        let Some(directory) = disc.find(folder)?.filter(|entry| entry.kind == EntryKind::Directory) else {
            continue;
        };
        let is_image = |name: &str| [".wim", ".esd", ".swm"].iter().any(|end| name.ends_with(end));
        let images = disc
            .children(&directory)?
            .into_iter()
            .filter(|one| one.kind == EntryKind::File && is_image(&one.name.to_text().to_ascii_lowercase()));
        others.extend(images.map(|one| format!("{}:{folder}/{}", disc.name(), one.name)).take(MAX_LISTED));
    }
    others.truncate(MAX_LISTED);
    let error = Error::new(ErrorKind::NotFound, "the disc has no sources/install.wim, .esd or .swm")
        .in_file(disc.name())
        .with_source(NoInstallImage);
    Ok(if others.is_empty() {
        error.remedy(format!("see what the disc holds with: wim media ls {}", disc.name()))
    } else {
        error.remedy(format!("name the image that you mean: {}", others.join(", ")))
    })
}

/// Setup's settings on the media.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SetupSettings {
    /// `ei.cfg`: which edition is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edition: Option<EditionSettings>,
    /// True when `pid.txt` holds a product key, which is not shown.
    pub has_product_key: bool,
    /// True when there is an `autounattend.xml` in the root.
    pub has_answer_file: bool,
}

/// What `ei.cfg` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EditionSettings {
    /// `[EditionID]`.
    pub edition_id: Option<String>,
    /// `[Channel]`: Retail, OEM or Volume.
    pub channel: Option<String>,
    /// `[VL]`: whether it is a volume licence.
    pub volume_licence: bool,
}

/// Reads the settings beside the install image, whose folder is `folder`.
///
/// # Errors
/// As [`IsoImage::find`], and `Io`.
pub fn setup_settings(disc: &IsoImage, folder: &str) -> Result<SetupSettings> {
    let text = |path: &str| -> Result<Option<String>> {
        let Some(entry) = disc.find(path)?.filter(|entry| entry.kind == EntryKind::File) else {
            return Ok(None);
        };
        let content = disc.content(&entry)?;
        let mut bytes = vec![0; usize::try_from(content.size().min(MAX_SETTINGS_BYTES)).unwrap_or(0)];
        read_at::read_exact_at(&content, &mut bytes, 0).map_err(|e| e.in_file(disc.name()))?;
        Ok(Some(decode(&bytes)))
    };
    let edition = text(&format!("{folder}/ei.cfg"))?.map(|text| parse_edition(&text));
    let key = text(&format!("{folder}/pid.txt"))?;
    let has_product_key = key.is_some_and(|text| {
        let value = |line: &str| {
            line.split_once('=').is_some_and(|(name, key)| {
                name.trim().eq_ignore_ascii_case("value") && !key.trim().is_empty()
            })
        };
        text.lines().any(value)
    });
    let answer = disc.find("/autounattend.xml")?;
    Ok(SetupSettings {
        edition,
        has_product_key,
        has_answer_file: answer.is_some_and(|entry| entry.kind == EntryKind::File),
    })
}

/// Text of a settings file: UTF-16 or UTF-8 with a mark, else bytes as Latin letters.
fn decode(bytes: &[u8]) -> String {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => {
            let units: Vec<u16> =
                rest.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
            String::from_utf16_lossy(&units)
        }
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Sections of one value each, which stands on the line below the section's name.
fn parse_edition(text: &str) -> EditionSettings {
    let mut settings = EditionSettings::default();
    let mut section = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim().to_ascii_lowercase();
            continue;
        }
        match section.as_str() {
            "editionid" => settings.edition_id = Some(line.to_owned()),
            "channel" => settings.channel = Some(line.to_owned()),
            "vl" => settings.volume_licence = line != "0",
            _ => {}
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edition_settings_have_sections_of_one_line() {
        let text = "[EditionID]\r\nProfessional\r\n\r\n[Channel]\r\nOEM\r\n[VL]\r\n1\r\n";
        let settings = parse_edition(text);
        assert_eq!(settings.edition_id.as_deref(), Some("Professional"));
        assert_eq!(settings.channel.as_deref(), Some("OEM"));
        assert!(settings.volume_licence);
        assert_eq!(parse_edition("[EditionID]\n[Channel]\nRetail\n[VL]\n0").edition_id, None);
    }

    #[test]
    fn settings_may_be_in_utf16() {
        let bytes: Vec<u8> =
            [0xFF, 0xFE].into_iter().chain("[VL]\n1".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert!(parse_edition(&decode(&bytes)).volume_licence);
    }
}
