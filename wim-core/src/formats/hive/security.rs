//! Security descriptors (`sk`): one record per distinct descriptor, in a ring, counted by the keys that point to it.
//!
//! Windows keeps the counts exact and the ring closed, and drops a hive's descriptors when they are not. What a descriptor
//! grants is looked at only as far as inheritance needs.

use super::cell::{Bins, NIL, bad_cell, le_u16, le_u32, len_u32};
use super::key::at as key_at;
use crate::base::{Error, Result};

/// Bytes before the descriptor.
pub(super) const HEADER_BYTES: usize = 20;
/// Smallest cell of a record; bounds the length of the ring.
const MIN_CELL_BYTES: u32 = 24;

pub(super) mod at {
    pub(in super::super) const NEXT: usize = 4;
    pub(in super::super) const PREVIOUS: usize = 8;
    pub(in super::super) const COUNT: usize = 12;
    pub(in super::super) const LENGTH: usize = 16;
}

/// A security record, borrowed from its cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct SecurityNode<'a> {
    pub(super) next: u32,
    pub(super) previous: u32,
    pub(super) count: u32,
    pub(super) descriptor: &'a [u8],
}

impl Bins {
    /// The security record at `offset`.
    ///
    /// # Errors
    /// `Format` when there is none, or its descriptor does not lie inside its cell.
    pub(super) fn security(&self, offset: u32) -> Result<SecurityNode<'_>> {
        let bytes = self.cell(offset, "security record")?;
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(b"sk") {
            return Err(bad_cell(
                "security record",
                "signature",
                offset,
                0,
                "no security record (\"sk\") is here",
            ));
        }
        let length = le_u32(bytes, at::LENGTH) as usize;
        let descriptor = bytes.get(HEADER_BYTES..).and_then(|rest| rest.get(..length)).ok_or_else(|| {
            bad_cell(
                "security record",
                "descriptor length",
                offset,
                at::LENGTH,
                format!("{length} bytes, but the cell has room for {}", bytes.len() - HEADER_BYTES),
            )
        })?;
        Ok(SecurityNode {
            next: le_u32(bytes, at::NEXT),
            previous: le_u32(bytes, at::PREVIOUS),
            count: le_u32(bytes, at::COUNT),
            descriptor,
        })
    }

    /// Finds the record of `descriptor` in the ring through `anchor`.
    ///
    /// # Errors
    /// `Format` when the ring is broken.
    fn find_security(&self, anchor: u32, descriptor: &[u8]) -> Result<Option<u32>> {
        let mut offset = anchor;
        for _ in 0..self.size / MIN_CELL_BYTES {
            let node = self.security(offset)?;
            if node.descriptor == descriptor {
                return Ok(Some(offset));
            }
            offset = node.next;
            if offset == anchor {
                return Ok(None);
            }
        }
        Err(bad_cell("security record", "next", anchor, at::NEXT, "the ring never comes back"))
    }

    /// One more key points to the record at `offset`; nothing for the offset that points nowhere.
    ///
    /// # Errors
    /// `Format` when there is none.
    pub(super) fn hold_security(&mut self, offset: u32) -> Result<()> {
        if offset == NIL {
            return Ok(());
        }
        let count = self.security(offset)?.count;
        let count = count.checked_add(1).ok_or_else(|| Error::limit("too many keys share a descriptor"))?;
        self.write_u32(offset, at::COUNT, count)
    }

    /// One key less points to the record at `offset`; the last one frees it.
    ///
    /// # Errors
    /// `Format` when there is none or the ring is broken.
    pub(super) fn drop_security(&mut self, offset: u32) -> Result<()> {
        if offset == NIL {
            return Ok(());
        }
        let node = self.security(offset)?;
        let (next, previous, count) = (node.next, node.previous, node.count);
        if count > 1 || next == offset {
            return self.write_u32(offset, at::COUNT, count.saturating_sub(1));
        }
        self.security(next)?;
        self.security(previous)?;
        self.write_u32(previous, at::NEXT, next)?;
        self.write_u32(next, at::PREVIOUS, previous)?;
        self.release(offset)
    }

    /// The record of `descriptor`, found or added after `anchor`; its count is raised for the caller.
    ///
    /// # Errors
    /// `Format` when the ring is broken, `Limit` when the hive would become too large.
    pub(super) fn intern_security(&mut self, anchor: u32, descriptor: &[u8]) -> Result<u32> {
        if let Some(found) = self.find_security(anchor, descriptor)? {
            self.hold_security(found)?;
            return Ok(found);
        }
        self.add_security(anchor, descriptor)
    }

    /// A new record after `anchor` with count 1; callers know that the ring has none of this descriptor.
    ///
    /// # Errors
    /// `Format` when the ring is broken, `Limit` when the hive would become too large.
    pub(super) fn add_security(&mut self, anchor: u32, descriptor: &[u8]) -> Result<u32> {
        let next = self.security(anchor)?.next;
        self.security(next)?;
        let new = self.new_security(descriptor, anchor)?;
        self.write_u32(new, at::NEXT, next)?;
        self.write_u32(new, at::PREVIOUS, anchor)?;
        self.write_u32(anchor, at::NEXT, new)?;
        self.write_u32(next, at::PREVIOUS, new)?;
        Ok(new)
    }

    /// A record with count 1 that is a ring of its own.
    ///
    /// # Errors
    /// `Limit` when the hive would become too large.
    pub(super) fn new_security(&mut self, descriptor: &[u8], near: u32) -> Result<u32> {
        let new = self.allocate(HEADER_BYTES + descriptor.len(), near)?;
        self.write(new, 0, b"sk")?;
        self.write_u32(new, at::NEXT, new)?;
        self.write_u32(new, at::PREVIOUS, new)?;
        self.write_u32(new, at::COUNT, 1)?;
        self.write_u32(new, at::LENGTH, len_u32(descriptor.len()))?;
        self.write(new, HEADER_BYTES, descriptor)?;
        Ok(new)
    }

    /// The record for a new subkey of `parent`, its count raised: the parent's own, unless that holds entries that
    /// inheritance changes.
    ///
    /// # Errors
    /// As [`Self::intern_security`].
    pub(super) fn inherit_security(&mut self, parent: u32) -> Result<u32> {
        let from = self.key(parent)?.security();
        if from == NIL {
            return Ok(NIL);
        }
        match inherited(self.security(from)?.descriptor) {
            None => {
                self.hold_security(from)?;
                Ok(from)
            }
            Some(descriptor) => self.intern_security(from, &descriptor),
        }
    }

    /// Gives the key at `key` this descriptor.
    ///
    /// # Errors
    /// As [`Self::intern_security`].
    pub(super) fn set_security(&mut self, key: u32, descriptor: &[u8]) -> Result<()> {
        let old = self.key(key)?.security();
        let new = match old {
            NIL => self.new_security(descriptor, key)?,
            _ => self.intern_security(old, descriptor)?,
        };
        self.write_u32(key, key_at::SECURITY, new)?;
        self.drop_security(old)
    }
}

const CONTAINER_INHERIT: u8 = 2;
const NO_PROPAGATE: u8 = 4;
const INHERIT_ONLY: u8 = 8;
const INHERITED: u8 = 0x10;
/// The flags that say how an entry goes on to children.
const INHERITANCE: u8 = 0x0F;

/// What a child gets of a self-relative descriptor, when that differs from the descriptor itself.
///
/// Only entries that are for children alone or stop at them make a difference worth a descriptor of its own; service and
/// class keys share one with their parent, as Windows' own do.
fn inherited(descriptor: &[u8]) -> Option<Vec<u8>> {
    let sacl = acl(descriptor, 12);
    let dacl = acl(descriptor, 16);
    let is_plain = |acl: Option<&[u8]>| {
        acl.is_none_or(|acl| entries(acl).all(|ace| flags(ace) & (INHERIT_ONLY | NO_PROPAGATE) == 0))
    };
    if is_plain(sacl) && is_plain(dacl) {
        return None;
    }
    let mut out = descriptor.get(..20)?.to_vec();
    for (field, list) in [(12, sacl.map(child_acl)), (16, dacl.map(child_acl))] {
        append_part(&mut out, field, list.as_deref());
    }
    for field in [4, 8] {
        append_part(&mut out, field, sid(descriptor, field));
    }
    Some(out)
}

/// Appends a part of a descriptor and writes its offset; an absent part gets offset 0.
fn append_part(out: &mut Vec<u8>, field: usize, part: Option<&[u8]>) {
    let offset = if part.is_some() { len_u32(out.len()) } else { 0 };
    super::cell::put_u32(out, field, offset);
    out.extend_from_slice(part.unwrap_or(&[]));
    out.resize(out.len().next_multiple_of(4), 0);
}

fn part(descriptor: &[u8], field: usize) -> Option<&[u8]> {
    match le_u32(descriptor, field) as usize {
        0 => None,
        offset => descriptor.get(offset..),
    }
}

fn acl(descriptor: &[u8], field: usize) -> Option<&[u8]> {
    let bytes = part(descriptor, field)?;
    bytes.get(..usize::from(le_u16(bytes, 2)).max(8))
}

fn sid(descriptor: &[u8], field: usize) -> Option<&[u8]> {
    let bytes = part(descriptor, field)?;
    bytes.get(..8 + 4 * usize::from(*bytes.get(1)?))
}

fn flags(ace: &[u8]) -> u8 {
    ace.get(1).copied().unwrap_or(0)
}

/// The entries of an access list; ends where sizes no longer fit.
fn entries(acl: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = acl.get(8..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let size = usize::from(le_u16(rest, 2));
        let ace = rest.get(..size).filter(|_| size >= 8)?;
        rest = rest.get(size..)?;
        Some(ace)
    })
    .take(usize::from(le_u16(acl, 4)))
}

/// The access list of a child key: entries for containers, marked as inherited.
fn child_acl(acl: &[u8]) -> Vec<u8> {
    let mut out = acl.get(..8).unwrap_or(&[0; 8]).to_vec();
    let mut count: u16 = 0;
    for ace in entries(acl).filter(|ace| flags(ace) & CONTAINER_INHERIT != 0) {
        let kept = if flags(ace) & NO_PROPAGATE != 0 {
            flags(ace) & !INHERITANCE
        } else {
            flags(ace) & !INHERIT_ONLY
        };
        let start = out.len();
        out.extend_from_slice(ace);
        if let Some(slot) = out.get_mut(start + 1) {
            *slot = kept | INHERITED;
        }
        count += 1;
    }
    // Entries are only left out, so the size fits where the old one did.
    let size = u16::try_from(out.len()).unwrap_or(u16::MAX);
    super::cell::put(&mut out, 2, &size.to_le_bytes());
    super::cell::put(&mut out, 4, &count.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ace(flags: u8, rid: u8) -> Vec<u8> {
        let mut ace = vec![0, flags, 20, 0, 0x3F, 0, 0x0F, 0];
        ace.extend([1, 1, 0, 0, 0, 0, 0, 5, rid, 0, 0, 0]);
        ace
    }

    fn descriptor(aces: &[Vec<u8>]) -> Vec<u8> {
        let mut sd = vec![1, 0, 4, 0x80];
        sd.resize(20, 0);
        let mut acl = vec![2, 0, 0, 0, u8::try_from(aces.len()).unwrap(), 0, 0, 0];
        acl.extend(aces.concat());
        let size = u8::try_from(acl.len()).unwrap();
        acl[2] = size;
        append_part(&mut sd, 16, Some(&acl));
        append_part(&mut sd, 4, Some(&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]));
        sd
    }

    #[test]
    fn plain_descriptors_are_shared_with_the_child() {
        assert_eq!(inherited(&descriptor(&[ace(2, 1), ace(0, 2)])), None);
    }

    #[test]
    fn entries_for_children_become_theirs() {
        let sd = inherited(&descriptor(&[ace(0, 1), ace(2, 2), ace(2 | 8, 3), ace(2 | 4, 4), ace(1 | 8, 5)]))
            .unwrap();
        let list = acl(&sd, 16).unwrap();
        let got: Vec<(u8, u8)> = entries(list).map(|ace| (flags(ace), ace[16])).collect();
        assert_eq!(got, [(0x12, 2), (0x12, 3), (0x10, 4)]);
        assert_eq!(sid(&sd, 4).unwrap()[8], 18);
        assert_eq!(sid(&sd, 8), None);
    }

    #[test]
    fn lying_descriptors_are_harmless() {
        for bytes in
            [&[][..], &[0xFF; 20], &[1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0, 18, 0, 0, 0]]
        {
            let _ = inherited(bytes);
        }
    }
}
