//! Which image the user means.
//!
//! By number, else by NAME, else by DISPLAYNAME, else by EDITIONID or FLAGS, texts without regard to case, so that
//! `Professional` finds the edition whichever number it has. wimlib knows numbers and exact names only; both mean the same
//! here. Nothing is guessed: several matches of one rank are refused with the list.

use crate::base::{Error, ImageIndex, Reason, Result};
use crate::formats::wim::{ImageXml, WimFile};

/// Most images that an error lists.
const MAX_LISTED: usize = 40;

/// The images that `text` means, in the order of the text: all of them for `all` or `*`, one, or several with commas
/// between them. A comma of a single name is part of the name.
///
/// # Errors
/// `NotFound` when an image is not there, with those that are; `InvalidInput` when a text fits several.
pub fn choose(wim: &WimFile, text: &str) -> Result<Vec<ImageIndex>> {
    if is_all(text) {
        return Ok(wim.images().collect());
    }
    match find(wim, text)? {
        Some(image) => Ok(vec![image]),
        None if text.contains(',') => {
            let mut images = Vec::new();
            for part in text.split(',').map(str::trim) {
                let image = find(wim, part)?.ok_or_else(|| missing(wim, part))?;
                if !images.contains(&image) {
                    images.push(image);
                }
            }
            Ok(images)
        }
        None => Err(missing(wim, text)),
    }
}

/// The one image that `text` means; without a text the only image of the file.
///
/// # Errors
/// As [`choose`], and `InvalidInput` for `all`, and for no text when there are several images.
pub fn choose_one(wim: &WimFile, text: Option<&str>) -> Result<ImageIndex> {
    let Some(text) = text else {
        let mut images = wim.images();
        return match (images.next(), images.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Error::not_found("there is no image in the file")
                .because(Reason::NoSuchImage)
                .in_file(wim.name())),
            _ => Err(Error::invalid_input(format!(
                "it contains {} images; please select one: {}",
                wim.image_count(),
                list(wim, wim.images())
            ))
            .because(Reason::SeveralImages)
            .in_file(wim.name())),
        };
    };
    if is_all(text) {
        return Err(Error::invalid_input("cannot specify all images for this action")
            .because(Reason::NoSuchImage)
            .in_file(wim.name())
            .remedy(format!("name one of them: {}", list(wim, wim.images()))));
    }
    find(wim, text)?.ok_or_else(|| missing(wim, text))
}

/// True for the words that mean every image.
#[must_use]
pub fn is_all(text: &str) -> bool {
    text.eq_ignore_ascii_case("all") || text == "*"
}

/// What people call an image: `2 "Windows 7 Professional" (Professional)`.
#[must_use]
pub fn describe(wim: &WimFile, image: ImageIndex) -> String {
    let xml = wim.xml().images().get(image.position());
    let name = xml.and_then(ImageXml::name).map(|name| format!(" {name:?}")).unwrap_or_default();
    let edition = xml.and_then(|xml| xml.edition_id().or(xml.flags()));
    let edition = edition.map(|edition| format!(" ({edition})")).unwrap_or_default();
    let architecture = xml.and_then(ImageXml::architecture).map(architecture_name);
    let architecture = architecture.map(|a| format!(" {a}")).unwrap_or_default();
    format!("{image}{name}{edition}{architecture}")
}

/// wimlib's name of a processor architecture by its `PROCESSOR_ARCHITECTURE_*` number.
#[must_use]
pub fn architecture_name(number: u32) -> &'static str {
    match number {
        0 => "x86",
        1 => "MIPS",
        5 => "ARM",
        6 => "ia64",
        9 => "x86_64",
        12 => "ARM64",
        _ => "unknown",
    }
}

fn list(wim: &WimFile, images: impl Iterator<Item = ImageIndex>) -> String {
    let mut all: Vec<String> = images.take(MAX_LISTED + 1).map(|image| describe(wim, image)).collect();
    if all.len() > MAX_LISTED {
        all.truncate(MAX_LISTED);
        all.push("…".to_owned());
    }
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn missing(wim: &WimFile, text: &str) -> Error {
    Error::not_found(format!("there is no image {text:?}; it has {}", list(wim, wim.images())))
        .because(Reason::NoSuchImage)
        .in_file(wim.name())
        .remedy("name an image by its number, its name or its edition")
}

/// Simple case folding, enough for the texts that name editions.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).collect()
}

fn find(wim: &WimFile, text: &str) -> Result<Option<ImageIndex>> {
    if text.is_empty() {
        return Ok(None);
    }
    // wimlib takes spaces before it.
    let number = text.trim_start().parse::<u32>().ok().and_then(ImageIndex::new);
    if let Some(image) = number.filter(|image| image.position() < wim.image_count()) {
        return Ok(Some(image));
    }
    let folded = fold(text);
    let same = |candidate: Option<&str>| candidate.is_some_and(|c| fold(c) == folded);
    type Fits<'f> = &'f dyn Fn(&ImageXml) -> bool;
    let ranks: [(&str, Fits<'_>); 4] = [
        ("NAME", &|xml| xml.name() == Some(text)),
        ("NAME", &|xml| same(xml.name())),
        ("DISPLAYNAME", &|xml| same(xml.display_name())),
        ("edition", &|xml| same(xml.edition_id()) || same(xml.flags())),
    ];
    for (rank, fits) in ranks {
        let found: Vec<ImageIndex> =
            wim.images().filter(|image| wim.xml().images().get(image.position()).is_some_and(fits)).collect();
        match *found {
            [] => {}
            [image] => return Ok(Some(image)),
            _ => {
                return Err(Error::invalid_input(format!(
                    "{text:?} is the {rank} of {} images: {}",
                    found.len(),
                    list(wim, found.iter().copied())
                ))
                .in_file(wim.name())
                .remedy("name the image by its number"));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{Guid, PartNumber, Sha1Digest};
    use crate::formats::wim::{
        BlobEntry, ChunkFormat, HeaderFlags, ResourceHeader, WimHeader, WimVersion, WimXml,
    };

    /// A WIM without content whose images have these (NAME, DISPLAYNAME, EDITIONID, FLAGS, ARCH).
    fn wim(images: &[[&str; 5]]) -> WimFile {
        let mut xml = WimXml::empty(images.len());
        for (image, [name, display_name, edition, flags, arch]) in xml.images_mut().iter_mut().zip(images) {
            image.set("NAME", name);
            image.set("DISPLAYNAME", display_name);
            image.set("FLAGS", flags);
            if !edition.is_empty() {
                image.set_property(&["WINDOWS", "EDITIONID"], edition);
            }
            if !arch.is_empty() {
                image.set_property(&["WINDOWS", "ARCH"], arch);
            }
        }
        let mut bytes = vec![0; WimHeader::BYTES];
        let resource = |bytes: &mut Vec<u8>, data: &[u8]| {
            let size = data.len() as u64;
            let header = ResourceHeader {
                stored_size: size,
                flags: ResourceHeader::METADATA,
                offset: bytes.len() as u64,
                size,
            };
            bytes.extend_from_slice(data);
            header
        };
        let mut table = Vec::new();
        for position in 0..images.len() {
            let header = resource(&mut bytes, &[0; 100]);
            let digest = Sha1Digest::of(&[position as u8]);
            table.extend_from_slice(&BlobEntry { header, part: 1, reference_count: 1, digest }.to_bytes());
        }
        let lookup_table = resource(&mut bytes, &table);
        let xml = resource(&mut bytes, &xml.to_bytes(0));
        let header = WimHeader {
            version: WimVersion::Standard,
            flags: HeaderFlags(0),
            format: ChunkFormat::UNCOMPRESSED,
            chunk_size_field: 0,
            guid: Guid::default(),
            part: PartNumber::FIRST,
            total_parts: 1,
            image_count: images.len() as u32,
            lookup_table,
            xml,
            boot_metadata: ResourceHeader::default(),
            boot_index: 0,
            integrity: ResourceHeader::default(),
        };
        bytes[..WimHeader::BYTES].copy_from_slice(&header.to_bytes());
        WimFile::open(Arc::new(bytes), "test.wim").unwrap()
    }

    fn windows() -> WimFile {
        wim(&[
            ["Windows 7 STARTER", "Windows 7 Starter", "Starter", "", "0"],
            ["Windows 7 PROFESSIONAL", "Windows 7 Professional", "Professional", "Professional", "0"],
            ["2012", "", "Professional", "", "9"],
            ["both", "Twin", "", "", ""],
            ["BOTH", "Twin", "", "Pro, N", ""],
        ])
    }

    fn number(text: &str) -> u32 {
        choose_one(&windows(), Some(text)).unwrap().number()
    }

    #[test]
    fn numbers_names_display_names_and_editions_find_an_image_in_that_order() {
        assert_eq!(number("2"), 2);
        assert_eq!(number("2012"), 3, "a number out of range may be a name");
        assert_eq!(number("windows 7 professional"), 2);
        assert_eq!(number("STARTER"), 1);
        assert_eq!(number("both"), 4, "the exact spelling wins");
        assert_eq!(number("BOTH"), 5);
        assert_eq!(number("pro, n"), 5, "a comma of one name is part of it");
    }

    #[test]
    fn several_matches_are_refused_with_the_list() {
        let error = choose_one(&windows(), Some("professional")).unwrap_err().to_string();
        assert!(error.contains("2 \"Windows 7 PROFESSIONAL\" (Professional) x86"), "{error}");
        assert!(error.contains("3 \"2012\" (Professional) x86_64"), "{error}");
        assert!(choose_one(&windows(), Some("Both")).is_err());
        assert!(choose_one(&windows(), Some("twin")).is_err());
    }

    #[test]
    fn a_missing_image_lists_those_present() {
        for text in ["Ultimate", "0", "6", ""] {
            let error = choose_one(&windows(), Some(text)).unwrap_err().to_string();
            assert!(error.contains("1 \"Windows 7 STARTER\" (Starter) x86, 2"), "{error}");
        }
    }

    #[test]
    fn no_image_means_the_only_one() {
        assert!(choose_one(&windows(), None).unwrap_err().to_string().contains("contains 5 images"));
        assert_eq!(choose_one(&wim(&[["a", "", "", "", ""]]), None).unwrap().number(), 1);
        assert!(choose_one(&wim(&[]), None).is_err());
    }

    #[test]
    fn all_and_lists_choose_several() {
        let numbers = |text: &str| -> Vec<u32> {
            choose(&windows(), text).unwrap().iter().map(|i| i.number()).collect()
        };
        assert_eq!(numbers("ALL"), [1, 2, 3, 4, 5]);
        assert_eq!(numbers("3, Starter,1"), [3, 1]);
        assert_eq!(numbers("Pro, N"), [5]);
        assert!(choose(&windows(), "1,Ultimate").is_err());
        assert!(choose_one(&windows(), Some("all")).is_err());
    }
}
