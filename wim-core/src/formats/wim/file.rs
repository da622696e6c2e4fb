//! One WIM file, opened: header, lookup table, XML, and where its images are.

use std::sync::Arc;

use super::chunk_codec::{ChunkDecoder, ChunkFormat};
use super::header::{HeaderFlags, WimHeader};
use super::integrity::IntegrityTable;
use super::lookup_table::{BlobEntry, LookupTable, MetadataEntry};
use super::pipable::WimLayout;
use super::resource_header::ResourceHeader;
use super::resource_reader::read_blob;
use super::solid::{SolidPlace, SolidResource, SolidRuns};
use super::xml::{self, WimXml};
use crate::base::read_at::read_exact_at;
use crate::base::{Error, ErrorKind, ImageIndex, PartNumber, Place, ReadAt, Reason, Result};

/// Largest lookup table that is read into memory: twenty million blobs.
const MAX_LOOKUP_TABLE_BYTES: u64 = 1 << 30;
/// Largest metadata resource as a multiple of the file: wimlib's bound.
const MAX_METADATA_RATIO: u64 = 512;
/// Largest integrity table: covers 500 TB in the usual slices.
const MAX_INTEGRITY_BYTES: u64 = 1 << 30;

/// One WIM file, its tables read and checked; file data is read by `transfer`.
pub struct WimFile {
    source: Arc<dyn ReadAt>,
    name: String,
    header: WimHeader,
    table: LookupTable,
    solid: SolidRuns,
    xml: WimXml,
    warnings: Vec<Error>,
}

impl WimFile {
    /// Reads header, lookup table and XML from `source`; `name` is what errors call it.
    ///
    /// XML that cannot be read, leftover WRITE_IN_PROGRESS flags and odd table entries are [`Self::warnings`], so that
    /// images of a damaged file can still be used by number.
    ///
    /// # Errors
    /// `Format` for no WIM or lying tables, `Unsupported` for what this version cannot read, by name; `Io`.
    pub fn open(source: Arc<dyn ReadAt>, name: &str) -> Result<Self> {
        Self::open_unnamed(source, name).map_err(|e| e.in_file(name))
    }

    fn open_unnamed(source: Arc<dyn ReadAt>, name: &str) -> Result<Self> {
        let header = read_header(&*source)?;
        if header.lookup_table.is_absent() && header.xml.is_absent() {
            return Err(Error::format(
                "WIM header",
                "lookup table",
                0x30,
                "neither lookup table nor XML data is there",
            )
            .remedy("the program that wrote the file was stopped half-way; make it again"));
        }
        let mut warnings = Vec::new();
        if header.flags.has(HeaderFlags::WRITE_IN_PROGRESS) {
            let message = "the file is marked as being written; a program may have been stopped half-way";
            warnings.push(Error::format("WIM header", "flags", 0x10, message));
        }
        let bytes = read_raw(&*source, &header.lookup_table, "lookup table", MAX_LOOKUP_TABLE_BYTES)?;
        let mut warn = |e: Error| warnings.push(e);
        let table =
            LookupTable::parse(&bytes, header.lookup_table.offset, header.version, header.part, &mut warn)?;
        let solid = SolidRuns::read(&*source, &table, &mut warn);
        let xml = read_xml(&*source, &header, &mut warn)?;
        // All metadata of a split set is in its first part (wim-format 13).
        let has_metadata = header.part == PartNumber::FIRST || !table.metadata().is_empty();
        if has_metadata && table.metadata().len() != header.image_count as usize {
            warn(Error::format(
                "WIM header",
                "image count",
                0x2C,
                format!("{} images, but {} metadata resources", header.image_count, table.metadata().len()),
            ));
        }
        if has_metadata && header.boot_index > header.image_count {
            let message =
                format!("image {} of {} is bootable, so that none is", header.boot_index, header.image_count);
            warn(Error::format("WIM header", "boot index", 0x78, message));
        }
        let warnings = warnings.into_iter().map(|e| e.in_file(name)).collect();
        Ok(Self { source, name: name.to_owned(), header, table, solid, xml, warnings })
    }

    /// The start of a pipable WIM, `source`, of which no more has been read: its `header` knows no tables yet, and it has the
    /// `metadata` of its images but no blobs.
    #[must_use]
    pub fn of_start(
        source: Arc<dyn ReadAt>,
        name: &str,
        header: WimHeader,
        metadata: Vec<MetadataEntry>,
        xml: WimXml,
    ) -> Self {
        let table = LookupTable::of_metadata(metadata);
        let (solid, warnings) = (SolidRuns::default(), Vec::new());
        Self { source, name: name.to_owned(), header, table, solid, xml, warnings }
    }

    /// What errors call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &WimHeader {
        &self.header
    }

    /// How its resources are compressed.
    #[must_use]
    pub fn format(&self) -> ChunkFormat {
        self.header.format
    }

    /// The lookup table.
    #[must_use]
    pub fn table(&self) -> &LookupTable {
        &self.table
    }

    /// Checks that the stored bytes of a blob lie inside the file and can be what its entry says.
    ///
    /// # Errors
    /// `Format` for a lying entry.
    pub fn check(&self, entry: &BlobEntry) -> Result<()> {
        if entry.header.is_solid() {
            return self.solid_place(entry).map(drop);
        }
        entry.check(self.source.size(), self.format())
    }

    /// Where a blob lies that is in a solid resource.
    ///
    /// # Errors
    /// `Format` when that is nowhere.
    pub fn solid_place(&self, entry: &BlobEntry) -> Result<SolidPlace> {
        self.solid.place(&self.table, entry)
    }

    /// The solid resources that could be read.
    pub fn solid_resources(&self) -> impl Iterator<Item = &Arc<SolidResource>> {
        self.solid.resources()
    }

    /// The XML data; a stand-in when it could not be read.
    #[must_use]
    pub fn xml(&self) -> &WimXml {
        &self.xml
    }

    /// What was odd, but did not stop the opening.
    #[must_use]
    pub fn warnings(&self) -> &[Error] {
        &self.warnings
    }

    /// Number of images that can be used: those with a metadata resource.
    #[must_use]
    pub fn image_count(&self) -> usize {
        self.table.metadata().len().min(self.header.image_count as usize)
    }

    /// All images.
    pub fn images(&self) -> impl Iterator<Item = ImageIndex> {
        (0..self.image_count()).map(ImageIndex::from_position)
    }

    /// The bootable image; a number past the last image counts as none.
    #[must_use]
    pub fn boot_index(&self) -> Option<ImageIndex> {
        ImageIndex::new(self.header.boot_index).filter(|index| index.position() < self.image_count())
    }

    /// Where the metadata of an image is.
    ///
    /// # Errors
    /// `NotFound` for an image that the file does not have.
    pub fn metadata_entry(&self, image: ImageIndex) -> Result<&MetadataEntry> {
        self.table.metadata().get(image.position()).ok_or_else(|| {
            Error::not_found(format!("there is no image {image}; the file has {}", self.image_count()))
                .in_file(&self.name)
        })
    }

    /// Reads the metadata resource of an image, of at most `limit_bytes`, and checks its digest.
    ///
    /// # Errors
    /// `Limit` when it is larger; `NotFound`, `Format`, `Corrupt`, `Unsupported` or `Io`.
    pub fn read_metadata(&self, image: ImageIndex, limit_bytes: u64) -> Result<Vec<u8>> {
        let entry = self.metadata_entry(image)?;
        let in_image = |e: Error| e.in_file(format!("{}: metadata of image {image}", self.name));
        let limit = limit_bytes.min(self.source.size().saturating_mul(MAX_METADATA_RATIO));
        if entry.header.size > limit {
            let message = format!("{} bytes are more than the {limit} allowed", entry.header.size);
            let error = Error::limit(message).at(Place::Blob(entry.digest));
            return Err(in_image(error.remedy("allow more with --memory, if the file can be trusted")));
        }
        read_blob(self, entry, &mut ChunkDecoder::new(self.format()), limit).map_err(in_image)
    }

    /// Where its parts stand.
    #[must_use]
    pub fn layout(&self) -> WimLayout {
        self.format().layout()
    }

    /// Bytes of the file that the integrity table covers: from the end of the header to the end of the lookup table.
    #[must_use]
    pub fn integrity_span(&self) -> (u64, u64) {
        let start = WimHeader::BYTES as u64;
        let end = self.header.lookup_table.end().unwrap_or(start);
        (start, end.saturating_sub(start))
    }

    /// The integrity table, if the file has one.
    ///
    /// # Errors
    /// `Format` when it breaks a rule; `Io`.
    pub fn read_integrity(&self) -> Result<Option<IntegrityTable>> {
        if self.header.integrity.is_absent() {
            return Ok(None);
        }
        let resource = &self.header.integrity;
        read_raw(&*self.source, resource, "integrity table", MAX_INTEGRITY_BYTES)
            .and_then(|bytes| IntegrityTable::parse(&bytes, resource.offset, self.integrity_span().1))
            .map(Some)
            .map_err(|e| e.in_file(&self.name))
    }

    /// The XML data as it lies on disk.
    ///
    /// # Errors
    /// `Format` when it lies outside the file, `Limit` when it is too large, `Io`.
    pub fn read_xml_bytes(&self) -> Result<Vec<u8>> {
        read_raw(&*self.source, &self.header.xml, "XML data", xml::MAX_BYTES)
            .map_err(|e| e.in_file(&self.name))
    }
}

/// The header at the start, or of a pipable file the one at its end, which alone knows where the tables are.
fn read_header(source: &dyn ReadAt) -> Result<WimHeader> {
    let mut bytes = vec![0; usize::try_from(source.size()).unwrap_or(usize::MAX).min(WimHeader::BYTES)];
    read_exact_at(source, &mut bytes, 0)?;
    let is_cut = bytes.len() < WimHeader::BYTES;
    let first = WimHeader::parse(&bytes).map_err(|e| if is_cut { e.because(Reason::FileEnds) } else { e })?;
    if first.format.layout() == WimLayout::Standard || !first.lookup_table.is_absent() {
        return Ok(first);
    }
    let offset = source.size().saturating_sub(bytes.len() as u64);
    read_exact_at(source, &mut bytes, offset)?;
    let last = WimHeader::parse(&bytes).ok().filter(|last| {
        last.format == first.format && last.guid == first.guid && !last.lookup_table.is_absent()
    });
    last.ok_or_else(|| {
        let message = "a pipable WIM ends with a second header, but this one does not";
        Error::format("WIM header", "magic", offset, message)
            .remedy("the file is truncated, or the program that wrote it was stopped half-way; make it again")
    })
}

fn read_xml(source: &dyn ReadAt, header: &WimHeader, warn: &mut dyn FnMut(Error)) -> Result<WimXml> {
    let parsed = read_raw(source, &header.xml, "XML data", xml::MAX_BYTES)
        .and_then(|bytes| WimXml::parse(&bytes, header.xml.offset, header.image_count));
    match parsed {
        Ok(xml) => Ok(xml),
        // An encrypted ESD must be told apart from damage; the system's own failures too.
        Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::Io) => Err(e),
        Err(e) => {
            warn(e);
            Ok(WimXml::stand_in(header.image_count as usize))
        }
    }
}

/// Reads a resource that is always stored raw: lookup table, XML, integrity table.
fn read_raw(
    source: &dyn ReadAt,
    header: &ResourceHeader,
    structure: &'static str,
    limit: u64,
) -> Result<Vec<u8>> {
    let wrong = |field, message: String| {
        Error::format(structure, field, header.offset, message)
            .remedy("the file is truncated or damaged; get it again from its source")
    };
    if header.is_compressed() || header.is_solid() {
        return Err(Error::unsupported(format!("the {structure} is compressed")).at(Place::Field {
            structure,
            field: "flags",
            offset: header.offset,
        }));
    }
    if header.end().is_none_or(|end| end > source.size()) {
        return Err(wrong(
            "offset",
            format!(
                "{} bytes at {:#x} end outside the file of {} bytes",
                header.stored_size,
                header.offset,
                source.size()
            ),
        )
        .because(Reason::FileEnds));
    }
    if header.size > source.size() {
        return Err(wrong("uncompressed size", format!("{} bytes, larger than the file", header.size)));
    }
    if header.stored_size > limit {
        return Err(Error::limit(format!(
            "{structure}: {} bytes, at most {limit} are read",
            header.stored_size
        )));
    }
    let length = usize::try_from(header.stored_size).map_err(|_| {
        Error::limit(format!("{structure}: {} bytes do not fit into memory", header.stored_size))
    })?;
    let mut bytes = vec![0; length];
    read_exact_at(source, &mut bytes, header.offset)?;
    Ok(bytes)
}
