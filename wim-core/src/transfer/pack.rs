//! Packing cabinets on all cores: folders do not depend on each other, so each is one worker's.
//!
//! A worker packs its folder into memory and the results are written in order; a folder that is too large for that is packed
//! straight into the file. The bytes are the same either way, and for any number of threads.

use std::sync::Arc;

use crate::base::pipeline::{Budget, Cost, map_in_order};
use crate::base::read_at::read_exact_at;
use crate::base::{Context, Error, Place, ReadAt, Result, WriteAt};
use crate::formats::cab::{
    FolderCompression, FolderWriter, MAX_CABINET_BYTES, NewFolder, NewMember, table_bytes, write_tables,
};
use crate::image::edit::Content;

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// A member with where its bytes are.
#[derive(Clone, Debug)]
pub struct PackInput {
    /// Its entry; offset and folder are as planned.
    pub member: NewMember,
    /// Its bytes, `member.size` of them.
    pub content: Content,
}

/// Members by folders: fills folders in order up to `folder_bytes` each, and sets offset and folder of every member.
///
/// # Errors
/// `Limit` for a member that no folder can hold.
pub fn plan_folders(inputs: &mut [PackInput], folder_bytes: u64) -> Result<usize> {
    let limit = folder_bytes.min(FolderWriter::MAX_BYTES);
    let (mut folder, mut at) = (0, 0_u64);
    for PackInput { member, .. } in inputs.iter_mut() {
        if member.size > FolderWriter::MAX_BYTES {
            let message = format!(
                "{} bytes, more than the {} of a cabinet's member",
                member.size,
                FolderWriter::MAX_BYTES
            );
            return Err(Error::limit(message).at(Place::Path(member.name.clone())));
        }
        if at > 0 && at + member.size > limit {
            (folder, at) = (folder + 1, 0);
        }
        (member.folder, member.offset) = (folder, at);
        at += member.size;
    }
    Ok(folder + 1)
}

/// Writes a cabinet of `inputs`, which [`plan_folders`] has put into `folders` folders; its size in bytes.
///
/// Progress counts uncompressed bytes; starting the stage is the caller's.
///
/// # Errors
/// `Limit` for more than a cabinet can hold, `InvalidInput` for names that it cannot have and for files that change while they
/// are read, `Io`, `Cancelled`.
pub fn pack(
    cx: &Context<'_>,
    inputs: &[PackInput],
    folders: usize,
    compression: FolderCompression,
    out: &mut dyn WriteAt,
) -> Result<u64> {
    let members: Vec<NewMember> = inputs.iter().map(|input| input.member.clone()).collect();
    let mut offset = table_bytes(folders, &members)?;
    let budget =
        Budget::split(cx.memory_bytes(), cx.threads(), compression.scratch_bytes() + READ_BYTES as u64);
    let plans = (0..folders).map(|folder| {
        let start = inputs.partition_point(|input| input.member.folder < folder);
        let end = inputs.partition_point(|input| input.member.folder <= folder);
        let inputs = inputs.get(start..end).unwrap_or_default();
        FolderInput { inputs, bytes: inputs.iter().map(|input| input.member.size).sum() }
    });
    let memory_per_worker =
        cx.memory_bytes().saturating_sub(budget.workers as u64 * compression.scratch_bytes());
    let largest_in_memory = memory_per_worker / (2 * budget.workers as u64);
    let mut done = Vec::with_capacity(folders);
    let failed = |e| Error::new(crate::base::ErrorKind::Io, format!("cannot write the cabinet: {e}"));
    let append = |out: &mut dyn WriteAt, offset: &mut u64, bytes: &[u8]| {
        if *offset + bytes.len() as u64 > MAX_CABINET_BYTES {
            return Err(Error::limit(format!("a cabinet of more than {MAX_CABINET_BYTES} bytes"))
                .remedy("make several cabinets"));
        }
        out.write_all_at(bytes, *offset).map_err(failed)?;
        *offset += bytes.len() as u64;
        Ok(())
    };
    let budget = Budget { permit_bytes: largest_in_memory * 2 * budget.workers as u64, ..budget };
    let worker = || {
        |folder: FolderInput<'_>| {
            let mut bytes = Vec::new();
            let blocks = pack_folder(cx, &folder, compression, &mut |block| {
                bytes.extend_from_slice(block);
                Ok(())
            })?;
            Ok((blocks, bytes))
        }
    };
    let mut plans = plans.peekable();
    while plans.peek().is_some() {
        let small = std::iter::from_fn(|| plans.next_if(|plan| plan.bytes <= largest_in_memory));
        map_in_order(cx, &budget, small, worker, |(blocks, bytes): (u16, Vec<u8>)| {
            done.push(NewFolder { offset, blocks, compression });
            append(out, &mut offset, &bytes)
        })?;
        if let Some(large) = plans.next() {
            let start = offset;
            let blocks = pack_folder(cx, &large, compression, &mut |block| append(out, &mut offset, block))?;
            done.push(NewFolder { offset: start, blocks, compression });
        }
    }
    let tables = write_tables(&done, &members, offset)?;
    out.write_all_at(&tables, 0).map_err(failed)?;
    Ok(offset)
}

/// The members of one folder.
struct FolderInput<'i> {
    inputs: &'i [PackInput],
    bytes: u64,
}

impl Cost for FolderInput<'_> {
    fn cost(&self) -> u64 {
        // What does not shrink grows by less than a fifth.
        self.bytes + self.bytes / 5
    }
}

fn pack_folder(
    cx: &Context<'_>,
    folder: &FolderInput<'_>,
    compression: FolderCompression,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<u16> {
    let mut writer = FolderWriter::new(compression);
    let mut buffer = vec![0; READ_BYTES];
    for PackInput { member, content } in folder.inputs {
        let at = |e: Error| e.or_at(Place::Path(member.name.clone()));
        let source: Arc<dyn ReadAt> =
            content.open().map_err(at)?.ok_or_else(|| at(Error::not_found("a blob cannot be packed")))?;
        if source.size() != member.size {
            return Err(at(Error::invalid_input("the file changed while it was being read")));
        }
        let mut done = 0;
        while done < member.size {
            cx.cancel.check()?;
            let length = usize::try_from(member.size - done).unwrap_or(usize::MAX).min(READ_BYTES);
            let piece = buffer.get_mut(..length).unwrap_or_default();
            read_exact_at(&*source, piece, done).map_err(at)?;
            writer.add(piece, sink)?;
            done += length as u64;
            cx.progress.advance(length as u64);
        }
    }
    writer.finish(sink)
}
