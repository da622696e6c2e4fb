//! Subkey lists (`li`, `lf`, `lh`, and `ri` above them): reading, and finding a name by binary search.
//!
//! Lists are sorted by upcased name over all leaves of an `ri`; Windows searches them so, hence a key in the wrong place is
//! invisible to it, and here. Changing lists is in `subkey_lists.rs`.

use std::cmp::Ordering;

use super::cell::{Bins, bad_cell, le_u16, le_u32};
use super::key::KeyNode;
use crate::base::Result;

/// Bytes before the entries.
pub(super) const LIST_HEADER_BYTES: usize = 4;
/// Smallest cell that a key node can take; bounds how many keys a hive of a size can have.
pub(super) const MIN_KEY_CELL_BYTES: u32 = 80;

/// Kind of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    /// Offsets only.
    Index,
    /// Offsets and hints.
    Fast,
    /// Offsets and hashes.
    Hash,
    /// Offsets of other lists.
    Root,
}

impl ListKind {
    /// Bytes of one entry.
    pub(super) fn stride(self) -> usize {
        match self {
            Self::Index | Self::Root => 4,
            Self::Fast | Self::Hash => 8,
        }
    }

    pub(super) fn signature(self) -> &'static [u8; 2] {
        match self {
            Self::Index => b"li",
            Self::Fast => b"lf",
            Self::Hash => b"lh",
            Self::Root => b"ri",
        }
    }
}

/// A list, borrowed from its cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    pub(super) offset: u32,
    pub(super) kind: ListKind,
    entries: &'a [u8],
    /// Bytes of the cell's content.
    pub(super) room: usize,
}

impl<'a> List<'a> {
    pub(super) fn count(&self) -> usize {
        self.entries.len() / self.kind.stride()
    }

    /// The offset in entry `index`.
    pub(super) fn get(&self, index: usize) -> Option<u32> {
        (index < self.count()).then(|| le_u32(self.entries, index * self.kind.stride()))
    }

    /// Hint or hash in entry `index`.
    pub(super) fn mark(&self, index: usize) -> u32 {
        le_u32(self.entries, index * self.kind.stride() + 4)
    }

    pub(super) fn entries(&self) -> &'a [u8] {
        self.entries
    }

    pub(super) fn offsets(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.entries.chunks_exact(self.kind.stride()).map(|entry| le_u32(entry, 0))
    }
}

impl Bins {
    /// The list at `offset`.
    ///
    /// # Errors
    /// `Format` when there is none, or it is shorter than its count says.
    pub(super) fn list(&self, offset: u32) -> Result<List<'_>> {
        let bytes = self.cell(offset, "subkey list")?;
        let kind = match bytes.get(..2) {
            Some(b"li") => ListKind::Index,
            Some(b"lf") => ListKind::Fast,
            Some(b"lh") => ListKind::Hash,
            Some(b"ri") => ListKind::Root,
            _ => return Err(bad_cell("subkey list", "signature", offset, 0, "no subkey list is here")),
        };
        let count = usize::from(le_u16(bytes, 2));
        match bytes.get(LIST_HEADER_BYTES..LIST_HEADER_BYTES + count * kind.stride()) {
            Some(entries) => Ok(List { offset, kind, entries, room: bytes.len() }),
            None => Err(bad_cell(
                "subkey list",
                "count",
                offset,
                2,
                format!("{count} entries do not fit a cell of {} bytes", bytes.len()),
            )),
        }
    }

    /// As [`Self::list`], but refuses an `ri`, which must not lie below another.
    pub(super) fn leaf(&self, offset: u32) -> Result<List<'_>> {
        let list = self.list(offset)?;
        if list.kind == ListKind::Root {
            return Err(bad_cell("subkey list", "signature", offset, 0, "a root list lies below another"));
        }
        Ok(list)
    }

    fn order(&self, key: u32, upcased: &[u16]) -> Result<Ordering> {
        Ok(self.key(key)?.name().cmp_upcased(upcased))
    }

    /// Index of the first entry of `leaf` whose name is not before `upcased`, and whether it is equal.
    fn lower_bound(&self, leaf: &List<'_>, upcased: &[u16]) -> Result<(usize, bool)> {
        let (mut low, mut high) = (0, leaf.count());
        let mut equal = false;
        while low < high {
            let middle = low + (high - low) / 2;
            let key = leaf.get(middle).unwrap_or(super::cell::NIL);
            match self.order(key, upcased)? {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => {
                    equal = true;
                    high = middle;
                }
                Ordering::Greater => high = middle,
            }
        }
        Ok((low, equal))
    }

    /// Where `upcased` is, or would be inserted, in the lists that begin at `list`.
    ///
    /// # Errors
    /// `Format` when a list or a key on the way is damaged.
    pub(super) fn locate(&self, list: u32, upcased: &[u16]) -> Result<Position> {
        let top = self.list(list)?;
        let (root, leaf) = if top.kind == ListKind::Root {
            let (mut low, mut high) = (0, top.count());
            // The first leaf whose last name is not before the one sought.
            while low < high {
                let middle = low + (high - low) / 2;
                let leaf = self.leaf(top.get(middle).unwrap_or(super::cell::NIL))?;
                let last = leaf.count().checked_sub(1).and_then(|last| leaf.get(last)).ok_or_else(|| {
                    bad_cell("subkey list", "count", leaf.offset, 2, "an empty list lies below a root list")
                })?;
                if self.order(last, upcased)? == Ordering::Less { low = middle + 1 } else { high = middle }
            }
            let index = low.min(top.count().saturating_sub(1));
            let leaf = top
                .get(index)
                .ok_or_else(|| bad_cell("subkey list", "count", list, 2, "a root list without entries"))?;
            (Some((list, index)), self.leaf(leaf)?)
        } else {
            (None, top)
        };
        let (index, found) = self.lower_bound(&leaf, upcased)?;
        let key = if found { leaf.get(index) } else { None };
        Ok(Position { root, leaf: leaf.offset, index, key })
    }

    /// The subkey of `key` with this upcased name.
    ///
    /// # Errors
    /// `Format` when a list or a key on the way is damaged.
    pub(super) fn find_subkey(&self, key: &KeyNode<'_>, upcased: &[u16]) -> Result<Option<u32>> {
        if key.subkey_count() == 0 {
            return Ok(None);
        }
        Ok(self.locate(key.subkeys(), upcased)?.key)
    }

    /// Offsets of all subkeys of `key`, in their order.
    pub(super) fn subkey_offsets(&self, key: &KeyNode<'_>) -> SubkeyOffsets<'_> {
        let limit = self.size / MIN_KEY_CELL_BYTES;
        let count = key.subkey_count();
        let (top, error) = match count {
            0 => (None, None),
            _ if count > limit => (
                None,
                Some(bad_cell(
                    "key node",
                    "subkey count",
                    key.offset,
                    super::key::at::SUBKEY_COUNT,
                    format!("{count} subkeys, more than the hive can hold ({limit})"),
                )),
            ),
            _ => match self.list(key.subkeys()) {
                Ok(list) => (Some(list), None),
                Err(error) => (None, Some(error)),
            },
        };
        SubkeyOffsets { bins: self, top, top_index: 0, leaf: None, leaf_index: 0, left: count, error }
    }
}

/// Where a name is in the lists of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// The `ri` above, and the index of the leaf in it.
    pub(super) root: Option<(u32, usize)>,
    /// The leaf.
    pub(super) leaf: u32,
    /// Index in the leaf: of the key, or where it would go.
    pub(super) index: usize,
    /// The key, if it is there.
    pub(super) key: Option<u32>,
}

/// Iterator over the subkeys' offsets; ends after an error.
pub(super) struct SubkeyOffsets<'a> {
    bins: &'a Bins,
    top: Option<List<'a>>,
    top_index: usize,
    leaf: Option<List<'a>>,
    leaf_index: usize,
    /// Subkeys that the key's count still allows: lists that refer to one another cannot go on for ever.
    left: u32,
    error: Option<crate::base::Error>,
}

impl SubkeyOffsets<'_> {
    fn advance(&mut self) -> Result<Option<u32>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let Some(top) = self.top else { return Ok(None) };
        if top.kind != ListKind::Root {
            let found = top.get(self.top_index);
            self.top_index += 1;
            return Ok(found);
        }
        loop {
            if let Some(leaf) = self.leaf
                && let Some(found) = leaf.get(self.leaf_index)
            {
                self.leaf_index += 1;
                return Ok(Some(found));
            }
            let Some(next) = top.get(self.top_index) else { return Ok(None) };
            self.top_index += 1;
            self.leaf = Some(self.bins.leaf(next)?);
            self.leaf_index = 0;
        }
    }
}

impl Iterator for SubkeyOffsets<'_> {
    type Item = Result<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(None) => None,
            Ok(Some(_)) if self.left == 0 => {
                let list = self.top.take().map_or(0, |top| top.offset);
                Some(Err(bad_cell("subkey list", "count", list, 2, "more entries than the key has subkeys")))
            }
            Ok(Some(offset)) => {
                self.left -= 1;
                Some(Ok(offset))
            }
            Err(error) => {
                self.top = None;
                Some(Err(error))
            }
        }
    }
}
