//! What a WIM file is and which images it holds.
//!
//! Read from the header, the lookup table and the XML data alone; no image's metadata is opened, so the numbers of files
//! and bytes are the XML's claims. Changing names, properties or the bootable image is not done here.

use std::path::Path;

use serde::Serialize;

use super::clock::ReportTime;
use super::images::architecture_name;
use super::target::check_no_input;
use super::text_file::write_text;
use crate::base::hex;
use crate::base::{FileTime, ImageIndex, Result};
use crate::formats::wim::{BlobEntry, HeaderFlags, ImageXml, ResourceHeader, WimFile, WimLayout};

/// What `info` tells of a file.
#[derive(Clone, Debug, Serialize)]
pub struct WimInfo {
    /// The path it was opened by.
    pub path: String,
    /// The GUID's bytes in hexadecimal, in file order, as wimlib prints them.
    pub guid: String,
    /// Version number of the header, 68864 for 0x10D00.
    pub version: u32,
    /// Images that the header counts.
    pub image_count: u32,
    /// `None`, `XPRESS`, `LZX` or `LZMS`.
    pub compression: String,
    /// Chunk size in bytes, 0 when nothing is compressed.
    pub chunk_size: u32,
    /// Number of this part.
    pub part_number: u16,
    /// Parts in the set.
    pub total_parts: u16,
    /// Bootable image, 0 for none.
    pub boot_index: u32,
    /// TOTALBYTES of the XML data: bytes up to the end of the lookup table.
    pub total_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// wimlib's names for what is set: `Integrity info`, `Relative path junction` …
    pub attributes: Vec<&'static str>,
    /// The images in order.
    pub images: Vec<ImageInfo>,
}

/// What the XML data tells of one image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageInfo {
    /// Number of the image.
    pub index: u32,
    /// NAME.
    pub name: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// DISPLAYNAME.
    pub display_name: Option<String>,
    /// DISPLAYDESCRIPTION.
    pub display_description: Option<String>,
    /// DIRCOUNT.
    pub directory_count: u64,
    /// FILECOUNT.
    pub file_count: u64,
    /// TOTALBYTES: file data before deduplication and compression.
    pub total_bytes: u64,
    /// HARDLINKBYTES: bytes that hard links save.
    pub hard_link_bytes: u64,
    /// CREATIONTIME.
    pub creation_time: ReportTime,
    /// LASTMODIFICATIONTIME.
    pub last_modification_time: ReportTime,
    /// The WINDOWS element, when there is one.
    pub windows: Option<WindowsInfo>,
    /// FLAGS.
    pub flags: Option<String>,
    /// WIMBOOT.
    pub wimboot_compatible: bool,
}

/// What the WINDOWS element tells.
#[derive(Clone, Debug, Serialize)]
pub struct WindowsInfo {
    /// ARCH by wimlib's name.
    pub architecture: &'static str,
    /// PRODUCTNAME.
    pub product_name: Option<String>,
    /// EDITIONID.
    pub edition_id: Option<String>,
    /// INSTALLATIONTYPE.
    pub installation_type: Option<String>,
    /// HAL.
    pub hal: Option<String>,
    /// PRODUCTTYPE.
    pub product_type: Option<String>,
    /// PRODUCTSUITE.
    pub product_suite: Option<String>,
    /// LANGUAGES/LANGUAGE, when there is a LANGUAGES element.
    pub languages: Option<Vec<String>>,
    /// LANGUAGES/DEFAULT.
    pub default_language: Option<String>,
    /// SYSTEMROOT.
    pub system_root: Option<String>,
    /// MAJOR, MINOR, BUILD, SPBUILD and SPLEVEL, when there is a VERSION element.
    pub version: Option<[u32; 5]>,
}

/// A line of a listing of resources.
#[derive(Clone, Debug, Serialize)]
pub struct ResourceInfo {
    /// SHA-1 of the uncompressed bytes.
    pub sha1: String,
    /// Uncompressed size in bytes.
    pub size: u64,
    /// Stored size in bytes.
    pub stored_size: u64,
    /// Offset in the file, or in the uncompressed solid resource.
    pub offset: u64,
    /// Part of the split set.
    pub part: u16,
    /// References that the file claims.
    pub reference_count: u32,
    /// wimlib's names of the flags.
    pub flags: Vec<&'static str>,
}

impl WimInfo {
    /// Gathers everything about an open file.
    #[must_use]
    pub fn of(wim: &WimFile) -> Self {
        let header = wim.header();
        let has = |bits| header.flags.has(bits);
        let attributes = [
            (wim.layout() == WimLayout::Pipable, "Pipable"),
            (!header.integrity.is_absent(), "Integrity info"),
            (has(HeaderFlags::RP_FIX), "Relative path junction"),
            (has(HeaderFlags::RESOURCE_ONLY), "Resource only"),
            (has(HeaderFlags::METADATA_ONLY), "Metadata only"),
            (has(HeaderFlags::READONLY), "Readonly"),
        ];
        let images = wim.xml().images().iter().enumerate();
        Self {
            path: wim.name().to_owned(),
            guid: hex::encode(&header.guid.0),
            version: header.version.number(),
            image_count: header.image_count,
            compression: header.format.compression().to_string(),
            chunk_size: header.chunk_size_field,
            part_number: header.part.number(),
            total_parts: header.total_parts,
            boot_index: header.boot_index,
            total_bytes: wim.xml().total_bytes().unwrap_or(0),
            file_bytes: wim.source().size(),
            attributes: attributes.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect(),
            images: images.map(|(i, xml)| ImageInfo::of(ImageIndex::from_position(i), xml)).collect(),
        }
    }
}

impl ImageInfo {
    fn of(index: ImageIndex, xml: &ImageXml) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let time = |name| ReportTime(xml.time(name).unwrap_or(FileTime(0)));
        Self {
            index: index.number(),
            name: owned(xml.name()),
            description: owned(xml.description()),
            display_name: owned(xml.display_name()),
            display_description: owned(xml.display_description()),
            directory_count: xml.count("DIRCOUNT").unwrap_or(0),
            file_count: xml.count("FILECOUNT").unwrap_or(0),
            total_bytes: xml.count("TOTALBYTES").unwrap_or(0),
            hard_link_bytes: xml.count("HARDLINKBYTES").unwrap_or(0),
            creation_time: time("CREATIONTIME"),
            last_modification_time: time("LASTMODIFICATIONTIME"),
            windows: xml.element().child("WINDOWS").map(|_| WindowsInfo::of(xml)),
            flags: owned(xml.flags()),
            wimboot_compatible: xml.count("WIMBOOT") == Some(1),
        }
    }
}

impl WindowsInfo {
    fn of(xml: &ImageXml) -> Self {
        let text = |name: &str| xml.property(&["WINDOWS", name]).map(str::to_owned);
        let languages = xml.element().descend(&["WINDOWS", "LANGUAGES"]).map(|element| {
            let languages = element.elements().filter(|child| child.name == "LANGUAGE");
            languages.filter_map(|language| language.text()).map(str::to_owned).collect()
        });
        let version = xml.element().descend(&["WINDOWS", "VERSION"]).map(|element| {
            ["MAJOR", "MINOR", "BUILD", "SPBUILD", "SPLEVEL"]
                .map(|name| element.text_at(&[name]).and_then(|text| text.trim().parse().ok()).unwrap_or(0))
        });
        Self {
            architecture: architecture_name(xml.architecture().unwrap_or(0)),
            product_name: text("PRODUCTNAME"),
            edition_id: text("EDITIONID"),
            installation_type: text("INSTALLATIONTYPE"),
            hal: text("HAL"),
            product_type: text("PRODUCTTYPE"),
            product_suite: text("PRODUCTSUITE"),
            languages,
            default_language: xml.property(&["WINDOWS", "LANGUAGES", "DEFAULT"]).map(str::to_owned),
            system_root: text("SYSTEMROOT"),
            version,
        }
    }
}

impl ResourceInfo {
    /// True for a blob that none of the files at hand has.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.part == 0 && self.sha1.bytes().any(|digit| digit != b'0')
    }

    /// What an entry of the lookup table says.
    #[must_use]
    pub fn of(entry: &BlobEntry) -> Self {
        let has = |bit| entry.header.flags & bit != 0;
        let flags = [
            (has(ResourceHeader::COMPRESSED), "COMPRESSED"),
            (has(ResourceHeader::METADATA), "METADATA"),
            (has(FREE), "FREE"),
            (has(SPANNED), "SPANNED"),
            (has(ResourceHeader::SOLID), "SOLID"),
        ];
        Self {
            sha1: entry.digest.to_string(),
            size: entry.header.size,
            stored_size: entry.header.stored_size,
            offset: entry.header.offset,
            part: entry.part,
            reference_count: entry.reference_count,
            flags: flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect(),
        }
    }

    /// The listing of a stream without data.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            sha1: crate::base::Sha1Digest::ZERO.to_string(),
            size: 0,
            stored_size: 0,
            offset: 0,
            part: 0,
            reference_count: 0,
            flags: Vec::new(),
        }
    }
}

/// Resource flags without meaning to readers (wim-format 3).
const FREE: u8 = 0x01;
const SPANNED: u8 = 0x08;

/// All resources of the lookup table: metadata in image order, then blobs by their place in the file.
#[must_use]
pub fn resources(wim: &WimFile) -> Vec<ResourceInfo> {
    let mut blobs: Vec<&BlobEntry> = wim.table().blobs().iter().collect();
    blobs.sort_by_key(|entry| (entry.header.offset, entry.digest));
    wim.table().metadata().iter().chain(blobs).map(ResourceInfo::of).collect()
}

/// Writes the XML document as it is to the file at `path`, replacing one that is there.
///
/// # Errors
/// `InvalidInput` when that is the WIM itself, `Format` or `Limit` when the document cannot be read, `Io` when the file cannot be
/// written.
pub fn extract_xml(wim: &WimFile, path: &Path) -> Result<()> {
    check_no_input(path, &[wim])?;
    write_text(path, wim.read_xml_bytes()?)
}
