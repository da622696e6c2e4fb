//! Moves the resources of a WIM file down over its holes, in place.
//!
//! Quicker than writing the file anew, and dangerous: a resource overwrites what lay before it, so that a file whose
//! compaction was interrupted is lost. wimlib calls it `--unsafe-compact` for that reason; so do we.

use super::{Integrity, integrity_bytes};
use crate::base::read_at::read_exact_at;
use crate::base::{Cancel, Context, Error, ErrorKind, Result, Sha1Digest, Stage, WriteAt};
use crate::formats::wim::{BlobEntry, HeaderFlags, ResourceHeader, WimFile, WimHeader};

/// Bytes moved at a time.
const BLOCK_BYTES: u64 = 1 << 20;

/// Moves the resources of `base`, which is what `file` holds, down to the end of its header, in the order in which they
/// lie, and writes a lookup table for those that `is_wanted` and the XML data behind them. Gives the new header, which the
/// caller writes, and the new length in bytes.
///
/// # Errors
/// `Unsupported` for solid and pipable files, `Format` for entries that overlap or lie, before anything is moved; `Io`, after which the
/// file may be worthless.
pub fn compact(
    cx: &Context<'_>,
    base: &WimFile,
    is_wanted: &dyn Fn(&Sha1Digest) -> bool,
    integrity: Integrity,
    file: &mut dyn WriteAt,
) -> Result<(WimHeader, u64)> {
    if base.table().solid_resources() > 0 {
        return Err(Error::unsupported("a solid file cannot be compacted in place")
            .in_file(base.name())
            .remedy("write it anew instead"));
    }
    super::append::refuse_pipable(base)?;
    let mut moves = planned_moves(base, is_wanted)?;
    let xml = base.read_xml_bytes()?;
    cx.cancel.check()?;
    let header = base.header().clone();
    let busy =
        WimHeader { flags: HeaderFlags(header.flags.0 | HeaderFlags::WRITE_IN_PROGRESS), ..header.clone() };
    put(file, &busy.to_bytes(), 0)?;
    cx.progress.start(Stage::Writing, moves.chunk_by(is_one).map(|one| one[0].0.header.stored_size).sum());
    let mut end = WimHeader::BYTES as u64;
    for entries in moves.chunk_by_mut(is_one) {
        let ResourceHeader { offset, stored_size, .. } = entries[0].0.header;
        // A stop here would lose the file, so that a cancelled context is not looked at again.
        move_down(file, offset, end, stored_size)?;
        entries.iter_mut().for_each(|(entry, _)| entry.header.offset = end);
        end += stored_size;
        cx.progress.advance(stored_size);
    }
    moves.sort_by_key(|&(_, place)| place);
    // The table begins with the metadata of the images in order.
    let boot = base.boot_index().and_then(|boot| moves.get(boot.position()));
    let header =
        WimHeader { boot_metadata: boot.map(|(entry, _)| entry.header).unwrap_or_default(), ..header };
    let table: Vec<u8> = moves.iter().flat_map(|(entry, _)| entry.to_bytes()).collect();
    put_tables(cx, header, (&table, &xml), end, integrity, file)
}

/// Writes the lookup table and the XML data at `end`, and an integrity table if there is to be one; gives `header` with their
/// places, and the new length in bytes.
fn put_tables(
    cx: &Context<'_>,
    header: WimHeader,
    (table, xml): (&[u8], &[u8]),
    end: u64,
    integrity: Integrity,
    file: &mut dyn WriteAt,
) -> Result<(WimHeader, u64)> {
    let raw = |offset: u64, bytes: &[u8]| ResourceHeader {
        stored_size: bytes.len() as u64,
        flags: ResourceHeader::METADATA,
        offset,
        size: bytes.len() as u64,
    };
    let mut new = WimHeader {
        lookup_table: raw(end, table),
        xml: raw(end + table.len() as u64, xml),
        integrity: ResourceHeader::default(),
        ..header
    };
    put(file, table, end)?;
    put(file, xml, new.xml.offset)?;
    let mut length = new.xml.offset + new.xml.stored_size;
    if integrity == Integrity::Make {
        let start = WimHeader::BYTES as u64;
        // The file is whole again only behind its last header: no stop before that.
        let cancel = Cancel::new();
        let inner =
            Context::new(cx.progress, &cancel).with_threads(cx.threads()).with_memory(cx.memory_bytes());
        let table = integrity_bytes(&inner, file, (start, new.xml.offset - start), &[])?;
        new.integrity = ResourceHeader { flags: 0, ..raw(length, &table) };
        put(file, &table, length)?;
        length += table.len() as u64;
    }
    Ok((WimHeader { flags: HeaderFlags(new.flags.0 & !HeaderFlags::WRITE_IN_PROGRESS), ..new }, length))
}

/// The entries by their place in the file, each with its place in the new table; checked.
fn planned_moves(base: &WimFile, is_wanted: &dyn Fn(&Sha1Digest) -> bool) -> Result<Vec<(BlobEntry, usize)>> {
    let blobs = base.table().blobs().iter().filter(|entry| is_wanted(&entry.digest));
    let all = base.table().metadata().iter().chain(blobs);
    let mut moves: Vec<(BlobEntry, usize)> = all.copied().zip(0..).collect();
    moves.sort_by_key(|(entry, place)| {
        let header = entry.header;
        (header.offset, header.stored_size, entry.digest, header.size, *place)
    });
    for (entry, _) in &moves {
        entry.check(base.source().size(), base.format()).map_err(|e| e.in_file(base.name()))?;
    }
    let mut end = WimHeader::BYTES as u64;
    for (entry, _) in moves.chunk_by(is_one).map(|one| &one[0]) {
        if entry.header.offset < end {
            let message = "the resource overlaps the one before it, so that moving it would lose data";
            return Err(Error::format("lookup table", "offset", entry.header.offset, message)
                .in_file(base.name())
                .remedy("write the file anew instead"));
        }
        end = entry.header.end().unwrap_or(u64::MAX);
    }
    Ok(moves)
}

/// True for entries of one resource, which is moved once.
fn is_one((one, _): &(BlobEntry, usize), (other, _): &(BlobEntry, usize)) -> bool {
    one.is_same_resource(other)
}

fn move_down(file: &mut dyn WriteAt, from: u64, to: u64, length: u64) -> Result<()> {
    if from == to {
        return Ok(());
    }
    let mut buffer = vec![0; usize::try_from(BLOCK_BYTES.min(length)).unwrap_or(0)];
    let mut done = 0;
    while done < length {
        let step = BLOCK_BYTES.min(length - done);
        let bytes = &mut buffer[..usize::try_from(step).unwrap_or(0)];
        read_exact_at(file, bytes, from + done)?;
        put(file, bytes, to + done)?;
        done += step;
    }
    Ok(())
}

fn put(file: &mut dyn WriteAt, bytes: &[u8], offset: u64) -> Result<()> {
    file.write_all_at(bytes, offset).map_err(cannot_write)
}

fn cannot_write(e: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write the file that is compacted: {e}")).with_source(e)
}
