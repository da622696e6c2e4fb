//! Cabinets inside other files: self-extracting programs, and whatever else has one appended.
//!
//! Nothing says where such a cabinet lies, so every place with its signature is tried; what does not have the tables of a
//! cabinet there is passed over, and what is read in vain for that is bounded. Programs are not parsed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cabinet::read_tables;
use super::header::Header;
use super::source_cursor::SourceCursor;
use crate::base::{Cancel, Error, ErrorKind, Fields, ReadAt, Result, Section, code_page};

/// Bytes read at a time.
const STEP_BYTES: usize = 256 << 10;
/// Bytes of tables that may be read in vain, whatever the file's size: a place that fails at once costs less than 200 KiB.
const FREE_VAIN_BYTES: u64 = 16 << 20;
/// What may be read in vain beyond that, in multiples of the file's size: hostile files let many headers share one long table
/// that fails late.
const VAIN_FACTOR: u64 = 4;
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
/// Reads the source twice and its tables once; what only looks like cabinets costs a few times its size more.
///
/// # Errors
/// `Limit` for more that only looks like cabinets, or for more cabinets, than any program has; `Io`, `Cancelled`.
pub fn find_cabinets(source: &Arc<dyn ReadAt>, cancel: &Cancel) -> Result<Vec<Embedded>> {
    let mut found = Vec::new();
    let mut trial = Trial {
        source,
        cancel,
        vain_left: FREE_VAIN_BYTES.saturating_add(source.size().saturating_mul(VAIN_FACTOR)),
    };
    let mut cursor = SourceCursor::new(&**source, 0, STEP_BYTES);
    loop {
        cancel.check()?;
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
        if !trial.is_cabinet(embedded)? {
            cursor.consume(at + 1);
            continue;
        }
        if found.len() == MAX_FOUND {
            let message = format!("more than {MAX_FOUND} cabinets before {:#x}", embedded.offset);
            return Err(Error::limit(message).remedy(CUT_IT_OUT));
        }
        found.push(embedded);
        match usize::try_from(size).ok().and_then(|size| at.checked_add(size)).filter(|&end| end <= whole) {
            // Small ones that lie side by side are not read anew each.
            Some(end) => cursor.consume(end),
            None => cursor = SourceCursor::new(&**source, embedded.offset + size, STEP_BYTES),
        }
    }
}

const CUT_IT_OUT: &str = "if it is no trap, cut the cabinet that is meant out of the file and give that";

/// Places that may be cabinets, tried one after the other.
struct Trial<'a> {
    source: &'a Arc<dyn ReadAt>,
    cancel: &'a Cancel,
    /// Bytes that may still be read at places that are none.
    vain_left: u64,
}

impl Trial<'_> {
    /// Whether the tables of a cabinet are there.
    fn is_cabinet(&mut self, embedded: Embedded) -> Result<bool> {
        let Ok(section) = embedded.section(self.source) else { return Ok(false) };
        let metered = Metered { section, cancel: self.cancel, left: AtomicU64::new(self.vain_left) };
        let encoding = code_page::encoding(code_page::WESTERN).unwrap_or(encoding_rs::WINDOWS_1252);
        let result = read_tables(&metered, encoding);
        self.cancel.check()?;
        let left = metered.left.into_inner();
        match result {
            Ok(_) => Ok(true),
            Err(_) if left == 0 => Err(Error::limit(format!(
                "places before {:#x} look like cabinets and are none: more than any program has",
                embedded.offset.saturating_add(1)
            ))
            .remedy(CUT_IT_OUT)),
            Err(e) if e.kind() == ErrorKind::Io => Err(e),
            Err(_) => {
                self.vain_left = left;
                Ok(false)
            }
        }
    }
}

/// A place that gives no more bytes than it may.
struct Metered<'a> {
    section: Section<Arc<dyn ReadAt>>,
    cancel: &'a Cancel,
    left: AtomicU64,
}

impl ReadAt for Metered<'_> {
    fn size(&self) -> u64 {
        self.section.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let after = |left: u64| Some(left.saturating_sub(buf.len() as u64));
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).unwrap_or(0);
        if self.cancel.is_raised() || before <= buf.len() as u64 {
            return Err(io::Error::other("enough was read"));
        }
        self.section.read_exact_at(buf, offset)
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
