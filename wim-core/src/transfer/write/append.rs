//! Changes to a WIM file that lies there: new resources and tables behind its end, then one new header (wim-format 19).
//!
//! Nothing that the old header refers to is overwritten, so the file is the old one until the header is, and the new one
//! from then on. What the old tables and deleted images took stays as holes until the file is written anew. The caller
//! writes the header, when all else is safely on the disk.

use super::output::Output;
use super::{
    Integrity, NewWim, Plan, WriteReport, Writer, append_raw_resource, integrity_bytes, is_same, no_boot,
};
use crate::base::{Context, Error, ImageIndex, Result, Sha1Digest, Stage, WriteAt};
use crate::formats::wim::integrity::SLICE_BYTES;
use crate::formats::wim::{BlobEntry, HeaderFlags, ResourceHeader, WimFile, WimHeader, WimLayout, WimXml};

/// What was appended, and the header that makes it count.
#[derive(Clone, Debug)]
pub struct Appended {
    /// What was written.
    pub report: WriteReport,
    /// The header, to be written at the start of the file.
    pub header: WimHeader,
    /// Bytes of the file from then on.
    pub file_bytes: u64,
}

/// Appends to `file` what makes it `wim`. `base` is the file as it is; it must be one of the sources, and what it has stays
/// where it is. The format of `wim` must be that of `base`.
///
/// # Errors
/// As [`write`](super::write); the file is then to be cut to its old length.
pub fn append(cx: &Context<'_>, wim: NewWim<'_>, base: &WimFile, file: &mut dyn WriteAt) -> Result<Appended> {
    refuse_pipable(base)?;
    if wim.format != base.format() || !wim.sources.iter().any(|source| is_same(Some(base), source)) {
        return Err(Error::invalid_input("a file can only be appended to in its own compression")
            .in_file(base.name())
            .remedy("write the file anew with --rebuild"));
    }
    let mut plan = Plan::new(&wim, Some(base))?;
    cx.progress.start(Stage::Writing, plan.total_bytes());
    let mut header = base.header().clone();
    // A file of one part is no set, whatever the program that made it says.
    header.flags = HeaderFlags(header.flags.0 & !HeaderFlags::SPANNED | wim.flags.0 & HeaderFlags::RP_FIX);
    header.image_count = u32::try_from(wim.images.len()).unwrap_or(u32::MAX);
    if let Some(guid) = wim.guid {
        header.guid = guid;
    }
    let kept = plan.kept.iter().map(|entry| {
        let reference_count = plan.references.get(&entry.digest).copied().unwrap_or(0);
        BlobEntry { reference_count, ..*entry }
    });
    let mut writer = Writer {
        header,
        output: Output::at(file, end_of_data(base)),
        blobs: kept.collect(),
        solid: plan.kept_solid.clone(),
        metadata: Vec::new(),
        report: WriteReport::default(),
    };
    writer.blobs(cx, &wim, &plan)?;
    writer.metadata(cx, &wim, &plan)?;
    let references = std::mem::take(&mut plan.references);
    drop(plan);
    writer.tables(cx, wim, &references, &known_slices(base)?)?;
    writer.output.flush()?;
    let Writer { header, output, mut report, .. } = writer;
    report.file_bytes = output.offset();
    let file_bytes = report.file_bytes;
    Ok(Appended { report, header, file_bytes })
}

/// Puts another XML document, boot index or integrity table into `file`, which is `base` as it is; images and blobs stay.
///
/// The document goes into the first gap behind the lookup table that it fits, so that a file changed often does not grow.
///
/// # Errors
/// `InvalidInput` for a boot index past the last image, `Io`; the file is then to be cut to its old length.
pub fn replace_xml(
    cx: &Context<'_>,
    base: &WimFile,
    xml: &WimXml,
    boot: Option<ImageIndex>,
    integrity: Integrity,
    file: &mut dyn WriteAt,
) -> Result<Appended> {
    refuse_pipable(base)?;
    let mut header = base.header().clone();
    header.flags.0 &= !HeaderFlags::WRITE_IN_PROGRESS;
    (header.boot_index, header.boot_metadata) = match boot {
        None => (0, ResourceHeader::default()),
        Some(boot) => {
            let entry = base.table().metadata().get(boot.position());
            let entry = entry.ok_or_else(|| no_boot(boot, base.table().metadata().len()))?;
            (boot.number(), entry.header)
        }
    };
    let (start, covered) = base.integrity_span();
    let table = match (integrity, base.read_integrity()) {
        (Integrity::Omit, _) => None,
        // The table covers nothing that changes.
        (Integrity::Make, Ok(Some(table))) => Some(table.to_bytes()?),
        (Integrity::Make, _) => Some(integrity_bytes(cx, &**base.source(), (start, covered), &[])?),
    };
    let bytes = xml.to_bytes(start + covered);
    let wanted = bytes.len() as u64 + table.as_ref().map_or(0, |table| table.len() as u64);
    let place = first_gap(base, start + covered, wanted);
    let mut output = Output::at(file, place);
    header.xml = append_raw_resource(&mut output, &bytes, ResourceHeader::METADATA)?;
    header.integrity = match table {
        Some(table) => append_raw_resource(&mut output, &table, 0)?,
        None => ResourceHeader::default(),
    };
    output.flush()?;
    // The old document is free from now on, and so is the end of the file when it lay there.
    let file_bytes = end_of(base, resource_spans(base)).max(output.offset());
    Ok(Appended { report: WriteReport { file_bytes, ..WriteReport::default() }, header, file_bytes })
}

/// What lies in a pipable file counts from its start to its end: it can only be written anew.
pub(super) fn refuse_pipable(base: &WimFile) -> Result<()> {
    match base.layout() {
        WimLayout::Standard => Ok(()),
        WimLayout::Pipable => Err(Error::unsupported("a pipable file cannot be changed in place")
            .in_file(base.name())
            .remedy("write the file anew instead")),
    }
}

/// Spans (start, end) of the lookup table and of everything that it refers to.
fn resource_spans(base: &WimFile) -> impl Iterator<Item = (u64, u64)> {
    let entries = base.table().metadata().iter().chain(base.table().blobs());
    let resources = entries.filter(|entry| !entry.header.is_solid()).map(|entry| entry.header);
    let solid = base.table().solid_runs().iter().flatten().copied();
    spans([base.header().lookup_table, base.header().boot_metadata].into_iter().chain(resources).chain(solid))
}

/// Spans of everything that the header and the tables refer to.
fn used_spans(base: &WimFile) -> impl Iterator<Item = (u64, u64)> {
    resource_spans(base).chain(spans([base.header().xml, base.header().integrity].into_iter()))
}

fn spans(resources: impl Iterator<Item = ResourceHeader>) -> impl Iterator<Item = (u64, u64)> {
    let present = resources.filter(|resource| !resource.is_absent());
    present.filter_map(|resource| Some((resource.offset, resource.end()?)))
}

/// Where everything that `base` refers to ends. What lies behind came from a program that was stopped.
fn end_of_data(base: &WimFile) -> u64 {
    end_of(base, used_spans(base))
}

fn end_of(base: &WimFile, spans: impl Iterator<Item = (u64, u64)>) -> u64 {
    // An entry that lies about its place must not decide where is written.
    let size = base.source().size();
    spans.map(|(_, end)| end).filter(|&end| end <= size).fold(WimHeader::BYTES as u64, u64::max)
}

/// The first offset from `start` on with `wanted` free bytes behind it, at the latest the end of the data.
fn first_gap(base: &WimFile, start: u64, wanted: u64) -> u64 {
    let mut spans: Vec<_> = used_spans(base).collect();
    spans.sort_unstable();
    spans.into_iter().fold(start, |place, (from, end)| {
        // Once a gap is wide enough the place stays: every later span begins behind it.
        if from >= place.saturating_add(wanted) { place } else { place.max(end) }
    })
}

/// Digests of the slices that `base` has and appending leaves as they are: all but the last.
fn known_slices(base: &WimFile) -> Result<Vec<Sha1Digest>> {
    let (_, covered) = base.integrity_span();
    let whole = usize::try_from(covered / u64::from(SLICE_BYTES)).unwrap_or(0);
    Ok(match base.read_integrity()? {
        Some(table) if table.slice_bytes == SLICE_BYTES => table.digests.into_iter().take(whole).collect(),
        _ => Vec::new(),
    })
}
