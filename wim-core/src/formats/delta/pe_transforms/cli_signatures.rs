//! Signatures of managed images (ECMA-335 II.23.2): the types that they name are renumbered in place.
//!
//! A signature is left at the first byte that makes no sense. Constants, custom attributes, marshalling, security and
//! method instantiations are not walked.

use std::collections::BTreeSet;

use super::cli_image::{Map, Metadata};
use super::cli_schema::TYPE_DEF_OR_REF;
use super::{Work, too_much};
use crate::base::Result;

/// Deepest nesting of types; compilers stop long before.
const MAX_DEPTH: u32 = 64;
/// Signature bytes that may be walked, as a multiple of the file.
const WALKED_PER_FILE_BYTE: usize = 16;

/// What a blob column's signatures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A method, or a field when it says so.
    Member,
    Field,
    Property,
    Type,
    /// Local variables, a field or a method.
    StandAlone,
}

impl Kind {
    pub(super) fn of_table(table: usize) -> Option<Self> {
        match table {
            0x04 => Some(Self::Field),
            0x06 | 0x0A => Some(Self::Member),
            0x11 => Some(Self::StandAlone),
            0x17 => Some(Self::Property),
            0x1B => Some(Self::Type),
            _ => None,
        }
    }
}

const FIELD: u8 = 0x06;
const LOCALS: u8 = 0x07;
/// Method flag: the number of generic parameters follows.
const GENERIC: u8 = 0x10;

/// The signatures of an image, each of a table once.
pub(super) struct Walker {
    blobs: BTreeSet<(usize, Kind, u32)>,
    budget: usize,
}

impl Walker {
    pub(super) fn new(file_bytes: usize) -> Self {
        Self { blobs: BTreeSet::new(), budget: file_bytes.saturating_mul(WALKED_PER_FILE_BYTE) }
    }

    /// Notes the blob at `offset`, which a row of `table` names.
    pub(super) fn add(&mut self, table: usize, kind: Kind, offset: u32) {
        if offset != 0 {
            self.blobs.insert((table, kind, offset));
        }
    }

    /// Walks all of them at their old places.
    ///
    /// # Errors
    /// `Limit` when they are far longer together than the file.
    pub(super) fn walk(self, work: &mut Work<'_>, metadata: &Metadata, map: &Map) -> Result<()> {
        let mut budget = self.budget;
        for (_, kind, offset) in self.blobs {
            let Some(at) = metadata.blob(offset) else { continue };
            let mut signature = Signature { work: &mut *work, map, at, end: usize::MAX };
            // A malformed blob is left where it stops making sense.
            let _ = signature.walk(kind);
            let walked = signature.at - at;
            budget = budget.checked_sub(walked).ok_or_else(|| too_much("its signatures"))?;
        }
        Ok(())
    }
}

struct Signature<'s, 'w> {
    work: &'s mut Work<'w>,
    map: &'s Map,
    at: usize,
    end: usize,
}

impl Signature<'_, '_> {
    fn peek(&self) -> Option<u8> {
        self.work.bytes.get(self.at).copied().filter(|_| self.at < self.end)
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// A compressed integer, with its width in bytes.
    fn compressed(&mut self) -> Option<(u32, u32)> {
        let first = self.byte()?;
        let (width, mut value) = match first {
            0..0x80 => (1, first & 0x7F),
            0x80..0xC0 => (2, first & 0x3F),
            0xC0..0xE0 => (4, first & 0x1F),
            _ => return None,
        };
        let mut whole = u32::from(value);
        for _ in 1..width {
            value = self.byte()?;
            whole = whole << 8 | u32::from(value);
        }
        Some((whole, width))
    }

    fn count(&mut self) -> Option<u32> {
        self.compressed().map(|(value, _)| value)
    }

    fn walk(&mut self, kind: Kind) -> Option<()> {
        let length = self.count()? as usize;
        self.end = self.at.checked_add(length)?;
        match (kind, self.peek()?) {
            (Kind::Type, _) => self.one_type(0),
            (Kind::Field, _) | (Kind::Member | Kind::StandAlone, FIELD) => {
                self.byte()?;
                self.parameter(0)
            }
            (Kind::StandAlone, LOCALS) => {
                self.byte()?;
                let count = self.count()?;
                (0..count).try_for_each(|_| self.parameter(0))
            }
            (Kind::Property, _) => {
                self.byte()?;
                let count = self.count()?;
                (0..=count).try_for_each(|_| self.parameter(0))
            }
            (Kind::Member | Kind::StandAlone, _) => self.method(0),
        }
    }

    /// A method: its flags, its counts, what it returns and its parameters.
    fn method(&mut self, depth: u32) -> Option<()> {
        if self.byte()? & GENERIC != 0 {
            self.count()?;
        }
        let count = self.count()?;
        (0..=count).try_for_each(|_| self.parameter(depth))
    }

    /// A type with what may stand before it: sentinel, modifiers, pinning.
    fn parameter(&mut self, depth: u32) -> Option<()> {
        loop {
            match self.peek()? {
                0x1F | 0x20 => {
                    self.byte()?;
                    self.type_index()?;
                }
                0x41 | 0x45 => {
                    self.byte()?;
                }
                _ => return self.one_type(depth),
            }
        }
    }

    fn one_type(&mut self, depth: u32) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.byte()? {
            0x01..=0x0E | 0x16 | 0x18 | 0x19 | 0x1C => Some(()),
            0x0F | 0x10 | 0x1D => self.parameter(depth + 1),
            0x11 | 0x12 => self.type_index(),
            0x13 | 0x1E => self.count().map(|_| ()),
            0x14 => {
                self.one_type(depth + 1)?;
                self.count()?;
                for _ in 0..2 {
                    let count = self.count()?;
                    (0..count).try_for_each(|_| self.count().map(|_| ()))?;
                }
                Some(())
            }
            0x15 => {
                self.byte()?;
                self.type_index()?;
                let count = self.count()?;
                (0..count).try_for_each(|_| self.one_type(depth + 1))
            }
            0x1B => self.method(depth + 1),
            _ => None,
        }
    }

    /// A row of a table of types, renumbered when the new number is as wide.
    fn type_index(&mut self) -> Option<()> {
        let at = self.at;
        let (value, width) = self.compressed()?;
        let Some(&table) = TYPE_DEF_OR_REF.tables.get((value & 3) as usize) else { return Some(()) };
        let moved = self.map.row(table, value >> 2).checked_mul(4)? | i64::from(value & 3);
        let Ok(moved) = u32::try_from(moved) else { return Some(()) };
        let [a, b, c, d] = moved.to_be_bytes();
        match width {
            1 if moved < 1 << 7 => self.work.put(at, &[d]),
            2 if moved < 1 << 14 => self.work.put(at, &[0x80 | c, d]),
            4 if moved < 1 << 29 => self.work.put(at, &[0xC0 | a, b, c, d]),
            _ => {}
        }
        Some(())
    }
}
