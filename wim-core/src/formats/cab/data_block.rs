//! The data blocks of a folder, one after the other, checksums compared.
//!
//! [MS-CAB] 2.4. A block that is cut by the end of a cabinet says that it holds nothing, and its other half begins the next
//! cabinet; here the two are one again.

use super::cabinet::Part;
use super::checksum::checksum;
use super::folder::{Folder, Run};
use super::source_cursor::SourceCursor;
use super::{BLOCK_BYTES, MAX_STORED_BLOCK_BYTES};
use crate::base::{Error, Fields, Place, Result};

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

/// Reads data blocks of one folder.
pub(super) struct DataBlocks<'a> {
    parts: &'a [Part],
    runs: std::slice::Iter<'a, Run>,
    /// The run being read: its cabinet, a cursor in it, and the blocks left.
    run: Option<(&'a Part, SourceCursor<'a>, u16)>,
    /// Where the block begins that was read last, and the name of its cabinet.
    last: (u64, &'a str),
    /// The folder's last data lie in a cabinet that is not at hand.
    ends_after: bool,
}

/// A block: its stored bytes are in the caller's buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataBlock<'a> {
    /// Uncompressed bytes, 1 to [`BLOCK_BYTES`].
    pub(super) size: usize,
    /// Offset of its header in its cabinet.
    pub(super) offset: u64,
    /// Name of its cabinet.
    pub(super) file: &'a str,
}

impl<'a> DataBlocks<'a> {
    pub(super) fn new(parts: &'a [Part], folder: &'a Folder) -> Self {
        Self { parts, runs: folder.runs.iter(), run: None, last: (0, ""), ends_after: folder.ends_after }
    }

    /// True when no block is left.
    pub(super) fn at_end(&self) -> bool {
        self.run.as_ref().is_none_or(|run| run.2 == 0) && self.runs.as_slice().iter().all(|r| r.blocks == 0)
    }

    /// Reads the next block into `stored`; none after the last.
    ///
    /// # Errors
    /// `Format` for lying sizes and for a block that is cut without need, `Corrupt` for a wrong checksum, `NotFound` when the
    /// rest of a block lies in a cabinet that is not at hand, `Io`.
    pub(super) fn next(&mut self, stored: &mut Vec<u8>) -> Result<Option<DataBlock<'a>>> {
        stored.clear();
        loop {
            let Some((part, cursor, left)) = self.run.as_mut().filter(|run| run.2 > 0) else {
                let Some(run) = self.runs.next() else {
                    return if stored.is_empty() { Ok(None) } else { Err(self.cut_block()) };
                };
                let part = self.parts.get(run.part).expect("runs name parts of their own cabinet");
                // Small folders need no large buffer.
                let step = READ_BYTES.min(usize::from(run.blocks) * (8 + 255 + MAX_STORED_BLOCK_BYTES));
                self.run = Some((part, SourceCursor::new(&*part.source, run.offset, step), run.blocks));
                continue;
            };
            *left -= 1;
            let last_of_run = *left == 0;
            let offset = cursor.offset();
            let file = part.name.as_str();
            self.last = (offset, file);
            let size =
                read_block(cursor, part.header.data_reserve_bytes, stored).map_err(|e| e.in_file(file))?;
            if size > 0 {
                return Ok(Some(DataBlock { size, offset, file }));
            }
            if !last_of_run {
                let message = "the block holds nothing, though it is not cut by the end of the cabinet";
                return Err(Error::format("CFDATA", "cbUncomp", offset + 6, message).in_file(file));
            }
        }
    }

    fn cut_block(&self) -> Error {
        let (offset, file) = self.last;
        if self.ends_after {
            Error::not_found("the data go on in the next cabinet of the set, which is not here")
                .in_file(file)
                .remedy("put all cabinets of the set into one folder")
        } else {
            let message = "the last block of the folder goes on in a cabinet that does not exist";
            Error::format("CFDATA", "cbUncomp", offset + 6, message).in_file(file)
        }
    }
}

/// Appends the stored bytes of the block at `cursor` to `stored`; its uncompressed size.
fn read_block(cursor: &mut SourceCursor<'_>, reserve: u8, stored: &mut Vec<u8>) -> Result<usize> {
    let offset = cursor.offset();
    let head_bytes = 8 + usize::from(reserve);
    let (sum, length, size) = {
        let head = cursor.peek(head_bytes)?;
        let mut f = Fields::new("CFDATA", head, offset);
        let sum = f.u32("csum")?;
        let length = usize::from(f.u16("cbData")?);
        let size = usize::from(f.u16("cbUncomp")?);
        f.skip("abReserve", usize::from(reserve))?;
        if stored.len() + length > MAX_STORED_BLOCK_BYTES {
            let message = format!("{} bytes, more than {MAX_STORED_BLOCK_BYTES}", stored.len() + length);
            return Err(Error::format("CFDATA", "cbData", offset + 4, message));
        }
        if size > BLOCK_BYTES {
            let message = format!("{size} bytes, more than {BLOCK_BYTES}");
            return Err(Error::format("CFDATA", "cbUncomp", offset + 6, message));
        }
        (sum, length, size)
    };
    let block = cursor.peek(head_bytes + length)?;
    let Some((head, data)) = block.split_at_checked(head_bytes).filter(|(_, data)| data.len() == length)
    else {
        let message = format!("{length} bytes, but the file ends after {}", block.len() - head_bytes);
        return Err(Error::format("CFDATA", "cbData", offset + 4, message)
            .remedy("the cabinet is truncated; get it again from its source"));
    };
    if sum != 0 {
        let of_data = checksum(data, 0);
        let (sizes, reserved) = (head.get(4..8).unwrap_or_default(), head.get(8..).unwrap_or_default());
        let expected = checksum(sizes, of_data);
        // [MS-CAB] counts the reserved bytes in; most programs do not.
        if sum != expected && sum != checksum(&[sizes, reserved].concat(), of_data) {
            return Err(Error::corrupt(format!("the block's checksum is {expected:08x}, not {sum:08x}"))
                .at(Place::Field { structure: "CFDATA", field: "csum", offset })
                .remedy("the cabinet is damaged; get it again from its source"));
        }
    }
    stored.extend_from_slice(data);
    cursor.consume(head_bytes + length);
    Ok(size)
}
