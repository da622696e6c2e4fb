//! The blobs of a new file: those that are copied, then those that are encoded.
//!
//! Encoding takes the processor, copying the disk and one thread. Where what is encoded fits into memory both are done at the same
//! time, and what was encoded is appended from there; the file is the same either way.

use super::copy::{CopyOn, copy_resources, copy_stretches};
use super::encode::encode_blobs;
use super::output::Output;
use super::solid::{Packing, SolidGroup, SolidPacking, pack_blobs};
use super::{NewWim, Plan, Writer};
use crate::base::pipeline::side_by_side;
use crate::base::{Context, Result};
use crate::formats::wim::{BlobEntry, ResourceHeader};
use crate::transfer::read::BlobInput;

impl Writer<'_> {
    pub(super) fn blobs(&mut self, cx: &Context<'_>, wim: &NewWim<'_>, plan: &Plan<'_>) -> Result<()> {
        match &wim.packing {
            Packing::Separate if is_worth_its_memory(cx, plan) => self.at_once(cx, wim, plan),
            Packing::Separate => {
                self.copied(cx, wim, plan, CopyOn::Workers)?;
                self.encoded(cx, wim, plan)
            }
            Packing::Solid(packing) => {
                self.copied(cx, wim, plan, CopyOn::Workers)?;
                self.copied_solid(cx, wim, plan)?;
                self.packed(cx, packing, &plan.encoded)
            }
        }
    }

    /// Copies resources on this thread while the workers encode others into memory.
    fn at_once(&mut self, cx: &Context<'_>, wim: &NewWim<'_>, plan: &Plan<'_>) -> Result<()> {
        let encode = || -> Result<_> {
            let mut bytes = Vec::new();
            let mut output = Output::new(&mut bytes, wim.format.layout());
            let headers = encode_onto(cx, wim, plan, &mut output)?;
            output.flush()?;
            drop(output);
            Ok((bytes, headers))
        };
        let (copied, encoded) = side_by_side(|| self.copied(cx, wim, plan, CopyOn::ThisThread), encode);
        copied?;
        let (bytes, headers) = encoded?;
        let start = self.output.offset();
        self.output.append(&bytes)?;
        for (input, header) in plan.encoded.iter().zip(headers) {
            self.add_encoded(plan, input, ResourceHeader { offset: start + header.offset, ..header });
        }
        Ok(())
    }

    /// Resources as they are.
    fn copied(&mut self, cx: &Context<'_>, wim: &NewWim<'_>, plan: &Plan<'_>, on: CopyOn) -> Result<()> {
        let Self { output, blobs, report, .. } = self;
        report.copied =
            copy_resources(cx, &plan.copied, (wim.copy_checksums, on), output, |position, header| {
                let digest = plan.copied[position].1.digest;
                report.copied_resources += 1;
                report.copied_bytes += header.stored_size;
                blobs.push(BlobEntry { header, part: 1, reference_count: plan.count_of(&digest), digest });
            })?;
        Ok(())
    }

    /// Each blob in a resource of its own.
    fn encoded(&mut self, cx: &Context<'_>, wim: &NewWim<'_>, plan: &Plan<'_>) -> Result<()> {
        let headers = encode_onto(cx, wim, plan, &mut self.output)?;
        for (input, header) in plan.encoded.iter().zip(headers) {
            self.add_encoded(plan, input, header);
        }
        Ok(())
    }

    fn add_encoded(&mut self, plan: &Plan<'_>, input: &BlobInput<'_>, header: ResourceHeader) {
        let digest = input.digest;
        self.report.encoded_resources += 1;
        self.report.encoded_bytes += header.size;
        self.report.encoded.push(digest);
        self.blobs.push(BlobEntry { header, part: 1, reference_count: plan.count_of(&digest), digest });
    }

    /// Solid resources as they are.
    fn copied_solid(&mut self, cx: &Context<'_>, wim: &NewWim<'_>, plan: &Plan<'_>) -> Result<()> {
        let mut offset = self.output.offset();
        let mut stretches = Vec::new();
        for (source, group) in &plan.copied_solid {
            stretches.push((*source, group.offset, group.stored_size));
            self.solid.push(SolidGroup { offset, ..group.clone() });
            offset += group.stored_size;
            self.report.copied_resources += 1;
            self.report.copied_bytes += group.stored_size;
        }
        let blocks = copy_stretches(cx, &stretches, wim.copy_checksums, &mut self.output)?;
        self.report.copied.extend(blocks);
        Ok(())
    }

    /// Blobs packed into a solid resource.
    fn packed(&mut self, cx: &Context<'_>, packing: &SolidPacking, inputs: &[BlobInput<'_>]) -> Result<()> {
        let Some(group) = pack_blobs(cx, inputs, packing, &mut self.output)? else { return Ok(()) };
        self.report.encoded_resources += group.blobs.len() as u64;
        self.report.encoded_bytes += group.size;
        self.report.encoded.extend(group.blobs.iter().map(|blob| blob.digest));
        self.solid.push(group);
        Ok(())
    }
}

/// Encodes the blobs of a plan in order, each in a resource of its own; gives the resources.
fn encode_onto(
    cx: &Context<'_>,
    wim: &NewWim<'_>,
    plan: &Plan<'_>,
    output: &mut Output<'_>,
) -> Result<Vec<ResourceHeader>> {
    let mut headers = Vec::with_capacity(plan.encoded.len());
    encode_blobs(cx, &plan.encoded, wim.format, wim.level, 0, output, |_, _, header| {
        headers.push(header);
        Ok(())
    })?;
    Ok(headers)
}

/// Whether what is encoded fits into half of the memory, and there is enough to copy meanwhile.
fn is_worth_its_memory(cx: &Context<'_>, plan: &Plan<'_>) -> bool {
    let encoded = plan.encoded.iter().map(|input| input.size).fold(0, u64::saturating_add);
    let copied = plan.copied.iter().map(|(_, entry)| entry.header.stored_size).fold(0, u64::saturating_add);
    encoded > 0 && encoded <= cx.memory_bytes() / 2 && copied >= encoded
}
