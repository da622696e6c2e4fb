//! The parts of a split set: resources of one file, copied as they are into several (wim-format 13).
//!
//! The first part has all metadata; a resource never spans parts, so one that is larger than a part makes that part larger.
//! Every part has the header's identity, its own lookup table, and the same XML data. Solid files, whose resources are too
//! large for parts, are [`split_solid`](super::split_solid)'s.

use super::copy::{CopyChecksums, CopyOn, copy_resources};
use super::output::Output;
use super::{Integrity, append_raw_resource, integrity_bytes};
use crate::base::{Context, Error, ImageIndex, PartNumber, Result, Stage, WriteAt};
use crate::formats::wim::integrity::SLICE_BYTES;
use crate::formats::wim::{BlobEntry, HeaderFlags, ResourceHeader, WimFile, WimHeader, WimLayout};

/// Most parts that a set can have.
pub(super) const MAX_PARTS: usize = u16::MAX as usize;

/// The resources of one part, in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub struct PartContents {
    /// Metadata first, in image order; then blobs in the order of the source.
    pub entries: Vec<BlobEntry>,
    /// Bytes of the finished file.
    pub file_bytes: u64,
}

/// Distributes what `wim` has over parts of at most `limit` bytes where that is possible; at least one.
///
/// # Errors
/// `Unsupported` for a solid file, `Limit` for more than 65,535 parts, `Format` for entries that lie.
pub fn plan_parts(wim: &WimFile, limit: u64, integrity: Integrity) -> Result<Vec<PartContents>> {
    if wim.table().solid_resources() > 0 {
        return Err(Error::unsupported("solid resources cannot be distributed as they are")
            .in_file(wim.name())
            .remedy("export it without --solid first"));
    }
    let mut blobs = wim.table().blobs().to_vec();
    blobs.sort_by_key(|entry| (entry.header.offset, entry.digest));
    for entry in wim.table().metadata().iter().chain(&blobs) {
        entry.check(wim.source().size(), wim.format()).map_err(|e| e.in_file(wim.name()))?;
    }
    let size_of = |resources: u64, entries: usize| part_bytes(wim, integrity, resources, entries);
    let first = wim.table().metadata().to_vec();
    let mut resources = first.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.header.stored_size));
    let mut part = PartContents { file_bytes: size_of(resources, first.len()), entries: first };
    let (mut parts, mut has_blobs) = (Vec::new(), false);
    for entry in blobs {
        let stored = entry.header.stored_size;
        let with_it = size_of(resources.saturating_add(stored), part.entries.len() + 1);
        let is_empty = part.entries.is_empty() || parts.is_empty() && !has_blobs;
        if with_it > limit && !is_empty {
            parts.push(std::mem::take(&mut part));
            resources = 0;
        }
        resources = resources.saturating_add(stored);
        part.entries.push(entry);
        part.file_bytes = size_of(resources, part.entries.len());
        has_blobs = true;
    }
    parts.push(part);
    if parts.len() > MAX_PARTS {
        return Err(Error::limit(format!("{} parts, but a set has at most {MAX_PARTS}", parts.len()))
            .remedy("make the parts larger"));
    }
    Ok(parts)
}

/// Bytes of a part with so many bytes of resources in so many entries.
pub(super) fn part_bytes(wim: &WimFile, integrity: Integrity, resources: u64, entries: usize) -> u64 {
    let (xml, blob_header) = (wim.header().xml.stored_size, wim.layout().blob_header_bytes());
    let each = BlobEntry::BYTES as u64 + blob_header;
    let (before, behind) = match wim.layout() {
        WimLayout::Standard => (0, xml),
        // The XML data twice, and a second header; a blob header before each of them and before the lookup table.
        WimLayout::Pipable => (2 * blob_header + xml, blob_header + xml + WimHeader::BYTES as u64),
    };
    let covered = before.saturating_add(resources).saturating_add(entries as u64 * each);
    let table = match integrity {
        Integrity::Make => 12 + 20 * covered.div_ceil(u64::from(SLICE_BYTES)),
        Integrity::Omit => 0,
    };
    let fixed = WimHeader::BYTES as u64 + behind;
    fixed.saturating_add(covered).saturating_add(table)
}

/// Writes one part of `wim` to `file`, which must be empty.
///
/// # Errors
/// `Io`; what reading gives.
pub fn write_part(
    cx: &Context<'_>,
    wim: &WimFile,
    contents: &PartContents,
    (number, total): (PartNumber, u16),
    integrity: Integrity,
    file: &mut dyn WriteAt,
) -> Result<()> {
    let layout = wim.layout();
    let mut output = Output::new(file, layout);
    let mut header = part_header(wim, number, total);
    if layout == WimLayout::Pipable {
        (header.lookup_table, header.xml, header.integrity) = Default::default();
    }
    output.append(&header.to_bytes())?;
    if layout == WimLayout::Pipable {
        append_raw_resource(&mut output, &wim.read_xml_bytes()?, ResourceHeader::METADATA)?;
    }
    let resources: Vec<_> = contents.entries.iter().map(|entry| (wim, *entry)).collect();
    cx.progress.start(Stage::Writing, contents.file_bytes);
    let mut entries = contents.entries.clone();
    copy_resources(
        cx,
        &resources,
        (CopyChecksums::Drop, CopyOn::Workers),
        &mut output,
        |position, header| {
            if let Some(entry) = entries.get_mut(position) {
                (entry.header, entry.part) = (header, number.number());
            }
        },
    )?;
    set_total(&mut header, total, boot_of(wim, &entries));
    append_part_tables(cx, wim, &entries, integrity, &mut header, &mut output)?;
    match layout {
        WimLayout::Standard => output.patch(&header.to_bytes(), 0)?,
        WimLayout::Pipable => output.append(&header.to_bytes())?,
    }
    output.flush()
}

/// The header of a part, but for its tables.
pub(super) fn part_header(wim: &WimFile, number: PartNumber, total: u16) -> WimHeader {
    let mut header = wim.header().clone();
    header.flags.0 &= !(HeaderFlags::WRITE_IN_PROGRESS | HeaderFlags::SPANNED);
    header.part = number;
    (header.boot_index, header.boot_metadata) = (0, ResourceHeader::default());
    set_total(&mut header, total, None);
    header
}

/// What a header says of the whole set. A set of one part is no set; only such a file can be booted, and `boot` is the image
/// and its metadata.
pub(super) fn set_total(header: &mut WimHeader, total: u16, boot: Option<(ImageIndex, ResourceHeader)>) {
    header.total_parts = total;
    if total > 1 {
        header.flags.0 |= HeaderFlags::SPANNED;
    } else if let Some((image, metadata)) = boot {
        (header.boot_index, header.boot_metadata) = (image.number(), metadata);
    }
}

/// The bootable image of `wim`, whose metadata is the first of `entries` as they were written.
pub(super) fn boot_of(wim: &WimFile, entries: &[BlobEntry]) -> Option<(ImageIndex, ResourceHeader)> {
    let image = wim.boot_index()?;
    Some((image, entries.get(image.position())?.header))
}

/// Lookup table, XML and integrity table of a part, for its `header`, which is to be written.
pub(super) fn append_part_tables(
    cx: &Context<'_>,
    wim: &WimFile,
    entries: &[BlobEntry],
    integrity: Integrity,
    header: &mut WimHeader,
    output: &mut Output<'_>,
) -> Result<()> {
    let table: Vec<u8> = entries.iter().flat_map(BlobEntry::to_bytes).collect();
    header.lookup_table = append_raw_resource(output, &table, ResourceHeader::METADATA)?;
    let xml = wim.read_xml_bytes()?;
    header.xml = append_raw_resource(output, &xml, ResourceHeader::METADATA)?;
    header.integrity = ResourceHeader::default();
    if integrity == Integrity::Make {
        let start = WimHeader::BYTES as u64;
        let span = (start, header.lookup_table.end().unwrap_or(start) - start);
        let bytes = integrity_bytes(cx, output.written()?, span, &[])?;
        header.integrity = append_raw_resource(output, &bytes, 0)?;
    }
    Ok(())
}
