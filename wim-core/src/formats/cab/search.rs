//! Cabinets inside other files: self-extracting programs, and whatever else has one appended.
//!
//! Nothing says where such a cabinet lies, so every place with its signature is tried; what does not have the tables of a
//! cabinet there is passed over. Programs are not parsed.

use std::sync::Arc;

use super::cabinet::Cabinet;
use super::header::Header;
use super::source_cursor::SourceCursor;
use crate::base::{Error, Fields, ReadAt, Result, Section};

/// Bytes read at a time.
const STEP_BYTES: usize = 256 << 10;
/// Most places whose tables are read in vain: hostile files can hold many that fail late.
const MAX_FAILED: usize = 4096;
/// Most cabinets of one file: programs have a few.
const MAX_FOUND: usize = 65_536;

/// Where a cabinet lies in another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Offset of its first byte.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl Embedded {
    /// The cabinet's own bytes.
    ///
    /// # Errors
    /// `InvalidInput` when it does not lie in `source`.
    pub fn section(self, source: &Arc<dyn ReadAt>) -> Result<Section<Arc<dyn ReadAt>>> {
        Section::new(Arc::clone(source), self.offset, self.size)
    }
}

/// The cabinets in `source`, in order; none lies inside another.
///
/// # Errors
/// `Limit` for more places that only look like cabinets, or for more cabinets, than any program has; `Io`.
pub fn find_cabinets(source: &Arc<dyn ReadAt>) -> Result<Vec<Embedded>> {
    let (mut found, mut failed) = (Vec::new(), 0);
    let mut cursor = SourceCursor::new(&**source, 0, STEP_BYTES);
    loop {
        let offset = cursor.offset();
        let window = cursor.peek(STEP_BYTES)?;
        let whole = window.len();
        let [first, ..] = Header::SIGNATURE;
        let at = window
            .iter()
            .enumerate()
            .find(|&(at, &byte)| byte == first && window.get(at..).is_some_and(may_be_header))
            .map(|(at, _)| at);
        let Some(at) = at else {
            if whole < STEP_BYTES {
                return Ok(found);
            }
            // A header may begin in the last bytes.
            cursor.consume(whole - (Header::FIXED_BYTES - 1));
            continue;
        };
        let size = window.get(at..).and_then(size_of_header).unwrap_or_default();
        let embedded = Embedded { offset: offset + at as u64, size };
        if is_cabinet(source, embedded) {
            found.push(embedded);
            cursor = SourceCursor::new(&**source, embedded.offset + size, STEP_BYTES);
        } else {
            failed += 1;
            cursor.consume(at + 1);
        }
        if failed > MAX_FAILED || found.len() > MAX_FOUND {
            let message = format!(
                "{failed} places that look like cabinets and are none, and {} cabinets, before {:#x}: more than any program has",
                found.len(),
                embedded.offset
            );
            return Err(Error::limit(message)
                .remedy("if it is no trap, cut the cabinet that is meant out of the file and give that"));
        }
    }
}

/// The size that a header states.
fn size_of_header(bytes: &[u8]) -> Option<u64> {
    let mut f = Fields::new("CFHEADER", bytes, 0);
    f.skip("signature", 8).ok()?;
    f.u32("cbCabinet").ok().map(u64::from)
}

/// A cheap look at what would be a header.
fn may_be_header(bytes: &[u8]) -> bool {
    bytes.starts_with(&Header::SIGNATURE) && {
        let start = bytes.get(..Header::FIXED_BYTES).unwrap_or_default();
        // Reserves and neighbours are read later: here they are left out.
        let plain = start.iter().enumerate().map(|(at, &byte)| if at == 30 { 0 } else { byte });
        match Header::parse(&plain.collect::<Vec<_>>()) {
            Ok((header, _)) => {
                u64::from(header.members_offset) >= Header::FIXED_BYTES as u64
                    && header.members_offset < header.size_bytes
            }
            Err(_) => false,
        }
    }
}

fn is_cabinet(source: &Arc<dyn ReadAt>, embedded: Embedded) -> bool {
    embedded.section(source).and_then(|section| Cabinet::open(Arc::new(section), "")).is_ok()
}
