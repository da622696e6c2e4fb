//! Makes WIM files: the only place that does.
//!
//! Layout and order are Microsoft's (wim-format 18): header, blobs, metadata, lookup table, XML, integrity table, and the
//! true header last; pipable files have an order of their own. A resource that is in the wanted form already is copied as it is; anything else is decoded, checked
//! and encoded. The output is the same bytes at any number of threads.

mod append;
mod blobs;
mod compact;
mod copy;
mod encode;
mod order;
mod output;
mod pipable;
mod solid;
mod split;
mod split_solid;

pub use append::{Appended, append, replace_xml};
pub use compact::compact;
pub use copy::{CopiedBlock, CopyChecksums};
pub use order::SolidOrder;
pub use solid::{Packing, SolidPacking};
pub use split::{PartContents, plan_parts, write_part};
pub use split_solid::{PartFiles, PartGoal, RepackedPart, split_repacked};

use std::collections::{HashMap, HashSet};

use lz_kit::Level;

use self::copy::{CopyOn, copy_resources};
use self::encode::encode_blobs;
use self::output::Output;
use self::solid::{SolidGroup, WantedGroup, run_entries};
use super::integrity::slice_digests;
use super::read::{BlobInput, Origin, blob_not_found, place_in_file};
use crate::base::{Context, Error, Guid, ImageIndex, PartNumber, ReadAt, Result, Sha1Digest, Stage, WriteAt};
use crate::formats::wim::integrity::{IntegrityTable, SLICE_BYTES};
use crate::formats::wim::{
    BlobEntry, ChunkFormat, Compression, HeaderFlags, ImageXml, ResourceHeader, WimFile, WimHeader,
    WimLayout, WimVersion, WimXml,
};
use crate::image::edit::Content;

/// A WIM to be written.
pub struct NewWim<'a> {
    /// How its resources are compressed.
    pub format: ChunkFormat,
    /// How hard what must be encoded is compressed.
    pub level: Level,
    /// How those blobs are stored; with solid resources, only such are copied as they are.
    pub packing: Packing,
    /// Identity; none makes one of the content, so that equal files have equal GUIDs.
    pub guid: Option<Guid>,
    /// Flags to carry over; all but RP_FIX are decided by the writer.
    pub flags: HeaderFlags,
    /// The XML document; its images are replaced by those of [`Self::images`].
    pub xml: WimXml,
    /// The images in order.
    pub images: Vec<NewImage<'a>>,
    /// Files that blobs are taken from; the first that has one wins.
    pub sources: Vec<&'a WimFile>,
    /// Contents that no source has, in the order in which they are written.
    pub contents: &'a [(Sha1Digest, Content)],
    /// The bootable image.
    pub boot: Option<ImageIndex>,
    /// Whether an integrity table is made.
    pub integrity: Integrity,
    /// What is compressed again.
    pub recompress: Recompress,
    /// Whether checksums of copied bytes are kept in the report.
    pub copy_checksums: CopyChecksums,
}

/// One image of a new WIM.
pub struct NewImage<'a> {
    /// Its metadata.
    pub metadata: NewMetadata<'a>,
    /// Its XML, counts included.
    pub xml: ImageXml,
    /// References to each blob that must be in the file, counted once for every name.
    pub references: HashMap<Sha1Digest, u32>,
    /// References to blobs that other files have, the bases of a delta: they need not be found, and count when the blob is
    /// in the file for the sake of another image.
    pub elsewhere: HashMap<Sha1Digest, u32>,
}

impl<'a> NewImage<'a> {
    /// An image whose blobs must all be in the file.
    #[must_use]
    pub fn new(metadata: NewMetadata<'a>, xml: ImageXml, references: HashMap<Sha1Digest, u32>) -> Self {
        Self { metadata, xml, references, elsewhere: HashMap::new() }
    }

    /// Leaves the blobs that `is_elsewhere` out of what must be in the file.
    pub fn leave_elsewhere(&mut self, is_elsewhere: impl Fn(&Sha1Digest) -> bool) {
        self.elsewhere.extend(self.references.extract_if(|digest, _| is_elsewhere(digest)));
    }

    /// Wants all blobs in the file again.
    pub fn want_everything(&mut self) {
        self.references.extend(self.elsewhere.drain());
    }
}

/// The metadata of an image.
pub enum NewMetadata<'a> {
    /// That of an image as it is.
    Copy(&'a WimFile, ImageIndex),
    /// A new metadata resource, uncompressed, and its digest.
    New(Sha1Digest, Content),
}

impl NewMetadata<'_> {
    /// A new metadata resource of these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self::New(Sha1Digest::of(&bytes), Content::bytes(bytes))
    }
}

/// Whether an integrity table is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Make one.
    Make,
    /// Leave it out.
    Omit,
}

/// What is compressed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recompress {
    /// Only what is not in the wanted codec and chunk size.
    WhenNeeded,
    /// Everything.
    Always,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct WriteReport {
    /// Resources copied as they were.
    pub copied_resources: u64,
    /// Their stored bytes.
    pub copied_bytes: u64,
    /// Blobs that were encoded, and metadata resources with them.
    pub encoded_resources: u64,
    /// Their uncompressed bytes.
    pub encoded_bytes: u64,
    /// Bytes of the whole file.
    pub file_bytes: u64,
    /// Digests of encoded blobs.
    pub encoded: Vec<Sha1Digest>,
    /// Copied blocks, when [`CopyChecksums::Keep`] was asked for.
    pub copied: Vec<CopiedBlock>,
}

/// Writes `wim` to `file`, which must be empty; the caller syncs and renames it.
///
/// # Errors
/// `NotFound` for a blob that no source has, `Corrupt` for one whose digest differs, `Io`;
/// the file's contents are then worthless.
pub fn write(cx: &Context<'_>, wim: NewWim<'_>, file: &mut dyn WriteAt) -> Result<WriteReport> {
    if wim.format.layout() == WimLayout::Pipable {
        return pipable::write_pipable(cx, wim, file);
    }
    let mut plan = Plan::new(&wim, None)?;
    cx.progress.start(Stage::Writing, plan.total_bytes());
    let mut writer = Writer {
        header: first_header(&wim),
        output: Output::new(file, WimLayout::Standard),
        blobs: Vec::new(),
        solid: Vec::new(),
        metadata: Vec::new(),
        report: WriteReport::default(),
    };
    writer.header.flags.0 |= HeaderFlags::WRITE_IN_PROGRESS;
    writer.output.append(&writer.header.to_bytes())?;
    writer.blobs(cx, &wim, &plan)?;
    writer.metadata(cx, &wim, &plan)?;
    let references = std::mem::take(&mut plan.references);
    drop(plan);
    writer.finish(cx, wim, &references)
}

/// Which resources are copied, and which blobs are encoded.
struct Plan<'a> {
    references: HashMap<Sha1Digest, u32>,
    /// What lies in the file that is appended to and stays where it is.
    kept: Vec<BlobEntry>,
    kept_solid: Vec<SolidGroup>,
    copied: Vec<(&'a WimFile, BlobEntry)>,
    copied_solid: Vec<(&'a WimFile, SolidGroup)>,
    /// What is encoded, in resources of its own or together, as [`NewWim::packing`] says.
    encoded: Vec<BlobInput<'a>>,
    metadata: Vec<Metadata<'a>>,
}

/// Where the metadata of an image comes from.
enum Metadata<'a> {
    Kept(BlobEntry),
    Copied(&'a WimFile, BlobEntry),
    Encoded(BlobInput<'a>),
}

impl<'a> Plan<'a> {
    /// The plan for a new file, or for one that is appended to: of `base`, everything stays where it is.
    fn new(wim: &'a NewWim<'a>, base: Option<&WimFile>) -> Result<Self> {
        let mut references: HashMap<Sha1Digest, u32> = HashMap::new();
        for image in &wim.images {
            for (&digest, &count) in &image.references {
                let total = references.entry(digest).or_default();
                *total = total.saturating_add(count);
            }
        }
        for (digest, &count) in wim.images.iter().flat_map(|image| &image.elsewhere) {
            if let Some(total) = references.get_mut(digest) {
                *total = total.saturating_add(count);
            }
        }
        let (kept, copied, encoded, metadata) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (kept_solid, copied_solid) = (Vec::new(), Vec::new());
        let mut plan = Self { references, kept, kept_solid, copied, copied_solid, encoded, metadata };
        plan.blobs(wim, base)?;
        if let Packing::Solid(packing) = &wim.packing {
            packing.order.sort(&mut plan.encoded);
        }
        plan.metadata(wim, base)?;
        plan.check_sizes(wim)?;
        Ok(plan)
    }

    fn blobs(&mut self, wim: &NewWim<'a>, base: Option<&WimFile>) -> Result<()> {
        let mut found = HashSet::with_capacity(self.references.len());
        for source in &wim.sources {
            let mut entries: Vec<BlobEntry> = source
                .table()
                .blobs()
                .iter()
                .filter(|entry| self.references.contains_key(&entry.digest) && found.insert(entry.digest))
                .copied()
                .collect();
            entries.sort_by_cached_key(|entry| (place_in_file(source, entry), entry.digest));
            let (solid, separate): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|entry| entry.header.is_solid());
            let is_packed = matches!(wim.packing, Packing::Solid(_));
            for entry in separate {
                if is_same(base, source) {
                    self.kept.push(entry);
                } else if is_copied(wim, source) && !is_packed {
                    self.copied.push((source, entry));
                } else {
                    source.check(&entry).map_err(|e| e.in_file(source.name()))?;
                    self.encoded.push(BlobInput::resource(source, entry));
                }
            }
            self.solid_blobs(wim, base, source, &solid)?;
        }
        for (digest, content) in wim.contents {
            if self.references.contains_key(digest) && found.insert(*digest) {
                self.encoded.push(BlobInput::content(content, *digest, &wim.sources)?);
            }
        }
        match self.references.keys().filter(|digest| !found.contains(*digest)).min() {
            None => Ok(()),
            Some(missing) => {
                let error = blob_not_found(missing);
                Err(match wim.sources.first() {
                    Some(source) => error.in_file(source.name()),
                    None => error,
                })
            }
        }
    }

    /// Blobs in solid resources of `source`, by their place: kept or copied with the whole resource, or encoded.
    fn solid_blobs(
        &mut self,
        wim: &NewWim<'a>,
        base: Option<&WimFile>,
        source: &'a WimFile,
        entries: &[BlobEntry],
    ) -> Result<()> {
        for WantedGroup { resource, entries, group } in WantedGroup::of(source, entries)? {
            let is_wanted_form = match &wim.packing {
                Packing::Separate => false,
                Packing::Solid(packing) => {
                    packing.format == resource.format() && wim.recompress == Recompress::WhenNeeded
                }
            };
            if is_same(base, source) {
                self.kept_solid.push(group);
            } else if is_wanted_form && group.is_mostly_used() {
                self.copied_solid.push((source, group));
            } else {
                self.encoded.extend(entries.into_iter().map(|entry| BlobInput::resource(source, entry)));
            }
        }
        Ok(())
    }

    fn metadata(&mut self, wim: &'a NewWim<'a>, base: Option<&WimFile>) -> Result<()> {
        let mut kept = HashSet::new();
        for image in &wim.images {
            self.metadata.push(match &image.metadata {
                NewMetadata::Copy(source, index) => {
                    let entry = *source.metadata_entry(*index)?;
                    // A copy of an image has metadata of its own: no program but ours need know shared ones.
                    if is_same(base, source) && kept.insert(index.position()) {
                        Metadata::Kept(entry)
                    } else if is_copied(wim, source) {
                        Metadata::Copied(source, entry)
                    } else {
                        Metadata::Encoded(BlobInput::resource(source, entry))
                    }
                }
                NewMetadata::New(digest, content) => {
                    Metadata::Encoded(BlobInput::content(content, *digest, &wim.sources)?)
                }
            });
        }
        Ok(())
    }

    /// Refuses resources that overlap: a small hostile file must not become a huge one.
    fn check_sizes(&self, wim: &NewWim<'_>) -> Result<()> {
        let metadata = self.metadata.iter().filter_map(|metadata| match metadata {
            Metadata::Copied(source, entry) => Some((*source, *entry)),
            Metadata::Encoded(BlobInput { origin: Origin::Resource(source, entry), .. }) => {
                Some((*source, *entry))
            }
            Metadata::Encoded(_) | Metadata::Kept(_) => None,
        });
        let copied: Vec<_> = self.copied.iter().copied().chain(metadata).collect();
        for source in &wim.sources {
            let of_source = copied.iter().filter(|(file, _)| std::ptr::eq(*file, *source));
            let solid = self.copied_solid.iter().filter(|(file, _)| std::ptr::eq(*file, *source));
            let sizes = of_source.map(|(_, entry)| entry.header.stored_size);
            let total = sizes.chain(solid.map(|(_, group)| group.stored_size)).fold(0, u64::saturating_add);
            if total > source.source().size() {
                return Err(Error::format(
                    "lookup table",
                    "resource header",
                    source.header().lookup_table.offset,
                    format!(
                        "resources overlap: {total} stored bytes in a file of {}",
                        source.source().size()
                    ),
                )
                .in_file(source.name())
                .remedy("the file is damaged or was made to mislead; get it again from its source"));
            }
        }
        Ok(())
    }

    /// How often the images refer to a blob.
    fn count_of(&self, digest: &Sha1Digest) -> u32 {
        self.references.get(digest).copied().unwrap_or(0)
    }

    fn total_bytes(&self) -> u64 {
        let copied = self.copied.iter().map(|(_, entry)| entry.header.stored_size);
        let solid = self.copied_solid.iter().map(|(_, group)| group.stored_size);
        let encoded = self.encoded.iter().map(|input| input.size);
        let metadata = self.metadata.iter().map(|metadata| match metadata {
            Metadata::Kept(_) => 0,
            Metadata::Copied(_, entry) => entry.header.stored_size,
            Metadata::Encoded(input) => input.size,
        });
        copied.chain(solid).chain(encoded).chain(metadata).fold(0, u64::saturating_add)
    }
}

/// True when `source` is the file that is appended to.
fn is_same(base: Option<&WimFile>, source: &WimFile) -> bool {
    base.is_some_and(|base| std::ptr::eq(base, source))
}

/// True when the resources of `source` are in the wanted form already.
fn is_copied(wim: &NewWim<'_>, source: &WimFile) -> bool {
    let is_same = match wim.format.compression() {
        Compression::None => {
            source.format().compression() == Compression::None && source.layout() == wim.format.layout()
        }
        _ => source.format() == wim.format,
    };
    is_same && wim.recompress == Recompress::WhenNeeded
}

fn first_header(wim: &NewWim<'_>) -> WimHeader {
    let type_bits = match wim.format.compression() {
        Compression::None => 0,
        // DISM and wimlib say no more for other chunk sizes than 32 KiB; with COMPRESS_XPRESS_2 7-Zip refuses the file.
        Compression::Xpress => HeaderFlags::COMPRESSION | HeaderFlags::COMPRESS_XPRESS,
        Compression::Lzx => HeaderFlags::COMPRESSION | HeaderFlags::COMPRESS_LZX,
        Compression::Lzms => HeaderFlags::COMPRESSION | HeaderFlags::COMPRESS_LZMS,
    };
    let is_compressed = wim.format.compression() != Compression::None;
    WimHeader {
        // Older programs know neither LZMS nor the version that says so.
        version: if wim.format.compression() == Compression::Lzms {
            WimVersion::Solid
        } else {
            WimVersion::Standard
        },
        flags: HeaderFlags(type_bits | wim.flags.0 & HeaderFlags::RP_FIX),
        format: wim.format,
        chunk_size_field: if is_compressed { wim.format.chunk_size().bytes() } else { 0 },
        guid: wim.guid.unwrap_or_default(),
        part: PartNumber::FIRST,
        total_parts: 1,
        image_count: u32::try_from(wim.images.len()).unwrap_or(u32::MAX),
        lookup_table: ResourceHeader::default(),
        xml: ResourceHeader::default(),
        boot_metadata: ResourceHeader::default(),
        boot_index: 0,
        integrity: ResourceHeader::default(),
    }
}

struct Writer<'o> {
    header: WimHeader,
    output: Output<'o>,
    blobs: Vec<BlobEntry>,
    solid: Vec<SolidGroup>,
    metadata: Vec<BlobEntry>,
    report: WriteReport,
}

impl Writer<'_> {
    /// Metadata resources in image order, so that copying them all again gives the same file.
    fn metadata(&mut self, cx: &Context<'_>, wim: &NewWim<'_>, plan: &Plan<'_>) -> Result<()> {
        let Self { output, metadata, report, .. } = self;
        let mut add = |digest: Sha1Digest, header: ResourceHeader| {
            let flags = header.flags | ResourceHeader::METADATA;
            let header = ResourceHeader { flags, ..header };
            metadata.push(BlobEntry { header, part: 1, reference_count: 1, digest });
        };
        for source in &plan.metadata {
            match source {
                Metadata::Kept(entry) => add(entry.digest, entry.header),
                Metadata::Copied(source, entry) => {
                    let resource = [(*source, *entry)];
                    let how = (wim.copy_checksums, CopyOn::Workers);
                    let blocks = copy_resources(cx, &resource, how, output, |_, header| {
                        report.copied_resources += 1;
                        report.copied_bytes += header.stored_size;
                        add(entry.digest, header);
                    })?;
                    report.copied.extend(blocks);
                }
                Metadata::Encoded(input) => {
                    let inputs = std::slice::from_ref(input);
                    let kind = ResourceHeader::METADATA;
                    encode_blobs(cx, inputs, wim.format, wim.level, kind, output, |_, _, header| {
                        report.encoded_resources += 1;
                        report.encoded_bytes += header.size;
                        add(input.digest, header);
                        Ok(())
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Lookup table, XML, integrity table and the true header.
    fn finish(
        mut self,
        cx: &Context<'_>,
        wim: NewWim<'_>,
        references: &HashMap<Sha1Digest, u32>,
    ) -> Result<WriteReport> {
        self.tables(cx, wim, references, &[])?;
        self.output.patch(&self.header.to_bytes(), 0)?;
        self.output.flush()?;
        self.report.file_bytes = self.output.offset();
        Ok(self.report)
    }

    /// Lookup table, XML and integrity table; the header is filled in, but not written. `known` are digests of the first
    /// slices, which need not be read again.
    fn tables(
        &mut self,
        cx: &Context<'_>,
        wim: NewWim<'_>,
        references: &HashMap<Sha1Digest, u32>,
        known: &[Sha1Digest],
    ) -> Result<()> {
        self.blobs.sort_by_key(|entry| entry.header.offset);
        self.solid.sort_by_key(|group| group.offset);
        if !self.solid.is_empty() {
            self.header.version = WimVersion::Solid;
        }
        let solid = run_entries(&self.solid, references);
        let entries = self.metadata.iter().chain(&self.blobs).chain(&solid);
        let table: Vec<u8> = entries.flat_map(BlobEntry::to_bytes).collect();
        self.header.lookup_table = append_raw_resource(&mut self.output, &table, ResourceHeader::METADATA)?;
        let mut xml = wim.xml;
        *xml.images_mut() = wim.images.into_iter().map(|image| image.xml).collect();
        let xml = xml.to_bytes(self.output.offset());
        self.header.xml = append_raw_resource(&mut self.output, &xml, ResourceHeader::METADATA)?;
        if wim.guid.is_none() && wim.format.layout() == WimLayout::Standard {
            self.header.guid = Guid::from_digest(&Sha1Digest::of(&[table.as_slice(), &xml].concat()));
        }
        self.header.integrity = ResourceHeader::default();
        if wim.integrity == Integrity::Make {
            let start = WimHeader::BYTES as u64;
            let covered = self.header.lookup_table.end().unwrap_or(start) - start;
            let bytes = integrity_bytes(cx, self.output.written()?, (start, covered), known)?;
            self.header.integrity = append_raw_resource(&mut self.output, &bytes, 0)?;
        }
        (self.header.boot_index, self.header.boot_metadata) = (0, ResourceHeader::default());
        if let Some(boot) = wim.boot {
            let entry =
                self.metadata.get(boot.position()).ok_or_else(|| no_boot(boot, self.metadata.len()))?;
            self.header.boot_index = boot.number();
            self.header.boot_metadata = entry.header;
        }
        self.header.flags.0 &= !HeaderFlags::WRITE_IN_PROGRESS;
        Ok(())
    }
}

fn no_boot(boot: ImageIndex, images: usize) -> Error {
    Error::invalid_input(format!("image {boot} cannot be made bootable: there are {images}"))
}

/// The integrity table of `covered` bytes from `start`; `known` are the digests of the first slices.
fn integrity_bytes(
    cx: &Context<'_>,
    source: &dyn ReadAt,
    (start, covered): (u64, u64),
    known: &[Sha1Digest],
) -> Result<Vec<u8>> {
    let skipped = known.len() as u64 * u64::from(SLICE_BYTES);
    let rest = (start + skipped, covered.saturating_sub(skipped));
    let more = slice_digests(cx, Stage::MakingIntegrity, source, rest, SLICE_BYTES)?;
    let digests = [known, &more].concat();
    IntegrityTable { slice_bytes: SLICE_BYTES, digests }.to_bytes()
}

/// Appends one of the tables: `flags` are those of metadata for all but the integrity table.
fn append_raw_resource(output: &mut Output<'_>, bytes: &[u8], flags: u8) -> Result<ResourceHeader> {
    let size = bytes.len() as u64;
    if flags & ResourceHeader::METADATA != 0 {
        output.begin_blob(size, Sha1Digest::of(bytes), flags)?;
    }
    let offset = output.offset();
    output.append(bytes)?;
    Ok(ResourceHeader { stored_size: size, flags, offset, size })
}
