//! Writes a pipable WIM: from its start to its end, never going back (wim-format 14).
//!
//! The order is wimlib's: header without tables, XML data, metadata, blobs, lookup table, XML data once more, integrity
//! table, the full header. So the file may be a pipe; only the integrity table needs it to be read back. A blob of one piece
//! that does not shrink is stored raw; a longer one has its chunks as they come, since nothing can be taken back.

use super::output::Output;
use super::{NewMetadata, NewWim, Packing, Plan, WriteReport, Writer, append_raw_resource, first_header};
use crate::base::{Context, Error, Guid, Result, Sha1Digest, Stage, WriteAt};
use crate::formats::wim::ResourceHeader;

/// Writes `wim`, whose layout is the pipable one, to `file`, which must be empty and is only ever appended to.
///
/// # Errors
/// As [`write`](super::write).
pub(super) fn write_pipable(
    cx: &Context<'_>,
    wim: NewWim<'_>,
    file: &mut dyn WriteAt,
) -> Result<WriteReport> {
    if matches!(wim.packing, Packing::Solid(_)) {
        return Err(Error::invalid_input("a pipable file cannot be solid")
            .remedy("leave out --solid, or make the file anew with --not-pipable"));
    }
    let mut plan = Plan::new(&wim, None)?;
    cx.progress.start(Stage::Writing, plan.total_bytes());
    let mut header = first_header(&wim);
    let mut described = wim.xml.clone();
    *described.images_mut() = wim.images.iter().map(|image| image.xml.clone()).collect();
    let xml = described.to_bytes_without_total();
    header.guid = wim.guid.unwrap_or_else(|| guid_of(&wim, &xml));
    let mut writer = Writer {
        header,
        output: Output::new(file, wim.format.layout()),
        blobs: Vec::new(),
        solid: Vec::new(),
        metadata: Vec::new(),
        report: WriteReport::default(),
    };
    writer.output.append(&writer.header.to_bytes())?;
    append_raw_resource(&mut writer.output, &xml, ResourceHeader::METADATA)?;
    writer.metadata(cx, &wim, &plan)?;
    writer.blobs(cx, &wim, &plan)?;
    let references = std::mem::take(&mut plan.references);
    drop(plan);
    writer.tables(cx, wim, &references, &[])?;
    writer.output.append(&writer.header.to_bytes())?;
    writer.output.flush()?;
    writer.report.file_bytes = writer.output.offset();
    Ok(writer.report)
}

/// An identity made of what is known at the start: the images and what is said of them.
fn guid_of(wim: &NewWim<'_>, xml: &[u8]) -> Guid {
    let mut content = xml.to_vec();
    for image in &wim.images {
        let digest = match &image.metadata {
            NewMetadata::Copy(source, index) => source.metadata_entry(*index).map(|entry| entry.digest),
            NewMetadata::New(digest, _) => Ok(*digest),
        };
        // A missing image fails when it is written.
        content.extend_from_slice(&digest.unwrap_or_default().0);
    }
    Guid::from_digest(&Sha1Digest::of(&content))
}
