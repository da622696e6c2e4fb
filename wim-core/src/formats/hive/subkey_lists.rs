//! Changing subkey lists: entries put in and taken out in order, leaves split, root lists made.
//!
//! Sizes follow what Windows does: a list stays one leaf until it would outgrow a 4 KiB bin, then a root list is put above
//! it (in 1.3 and 1.4 hives its leaves are plain `li`), and a leaf below a root list is split in half at 1,013 entries.

use super::HiveVersion;
use super::cell::{Bins, NIL, bad_cell, len_u32};
use super::key::at;
use super::subkeys::{LIST_HEADER_BYTES, List, ListKind, Position};
use crate::base::{Error, Result};

/// Entries of eight bytes that fit a bin of one block: the largest single leaf.
pub(super) const MAX_SINGLE_LEAF: usize = (4096 - 32 - 4 - LIST_HEADER_BYTES) / 8;
/// Entries of four bytes that do, less one: the largest leaf below a root list.
pub(super) const MAX_LEAF_BELOW_ROOT: usize = (4096 - 32 - 4 - LIST_HEADER_BYTES) / 4 - 1;
/// Fewest entries a list has room for when it is made or must grow.
const MIN_ROOM: usize = 2;

impl Bins {
    /// Puts the key at `child` into the lists of `parent`; the parent's count is raised.
    ///
    /// # Errors
    /// `InvalidInput` when a key of that name is there already, `Limit` when the hive would become too large.
    pub(super) fn insert_subkey(&mut self, parent: u32, child: u32, version: HiveVersion) -> Result<()> {
        let upcased = self.key(child)?.name().upcased();
        let node = self.key(parent)?;
        let (count, list) = (node.subkey_count(), node.subkeys());
        if count == 0 {
            let kind = if version.has_hash_leaves() { ListKind::Hash } else { ListKind::Fast };
            let list = self.new_list(kind, MIN_ROOM, parent)?;
            self.write(list, 0, kind.signature())?;
            self.write_u32(parent, at::SUBKEYS, list)?;
            self.insert_entry(list, 0, child)?;
        } else {
            let position = self.locate(list, &upcased)?;
            if position.key.is_some() {
                return Err(Error::invalid_input("a key of this name exists already"));
            }
            let position = self.make_room(parent, position, &upcased, version)?;
            self.insert_entry(position.leaf, position.index, child)?;
        }
        self.write_u32(parent, at::SUBKEY_COUNT, count + 1)
    }

    /// Takes the key at `child` out of the lists of `parent`; the parent's count is lowered, empty lists are freed.
    ///
    /// # Errors
    /// `Format` when it is not there.
    pub(super) fn remove_subkey(&mut self, parent: u32, child: u32) -> Result<()> {
        let upcased = self.key(child)?.name().upcased();
        let node = self.key(parent)?;
        let (count, list) = (node.subkey_count(), node.subkeys());
        let position = self.locate(list, &upcased)?;
        if position.key != Some(child) {
            return Err(bad_cell("subkey list", "entry", list, 0, "the key is not in its parent's list"));
        }
        self.remove_entry(position.leaf, position.index)?;
        if self.list(position.leaf)?.count() == 0 {
            self.release(position.leaf)?;
            match position.root {
                None => self.write_u32(parent, at::SUBKEYS, NIL)?,
                Some((root, index)) => {
                    self.remove_entry(root, index)?;
                    if self.list(root)?.count() == 0 {
                        self.release(root)?;
                        self.write_u32(parent, at::SUBKEYS, NIL)?;
                    }
                }
            }
        }
        self.write_u32(parent, at::SUBKEY_COUNT, count.saturating_sub(1))
    }

    fn new_list(&mut self, kind: ListKind, entries: usize, near: u32) -> Result<u32> {
        let list = self.allocate(LIST_HEADER_BYTES + entries * kind.stride(), near)?;
        self.write(list, 0, kind.signature())?;
        Ok(list)
    }

    /// Sees to it that the leaf of `position` has room for one entry more, and returns where that goes now.
    fn make_room(
        &mut self,
        parent: u32,
        position: Position,
        upcased: &[u16],
        version: HiveVersion,
    ) -> Result<Position> {
        let leaf = self.list(position.leaf)?;
        let count = leaf.count();
        match position.root {
            None if count >= MAX_SINGLE_LEAF => {
                let below = if version.has_hash_leaves() { leaf.kind } else { ListKind::Index };
                let leaf = self.convert_leaf(parent, position.leaf, below)?;
                let root = self.new_list(ListKind::Root, MIN_ROOM, parent)?;
                self.insert_raw(root, 0, &leaf.to_le_bytes())?;
                self.write_u32(parent, at::SUBKEYS, root)?;
                let position = self.locate(root, upcased)?;
                self.make_room(parent, position, upcased, version)
            }
            Some((root, index)) if count >= MAX_LEAF_BELOW_ROOT => {
                self.split_leaf(parent, root, index)?;
                let list = self.key(parent)?.subkeys();
                let position = self.locate(list, upcased)?;
                self.make_room(parent, position, upcased, version)
            }
            _ => {
                let need = LIST_HEADER_BYTES + (count + 1) * leaf.kind.stride();
                if leaf.room >= need {
                    return Ok(position);
                }
                let limit = if position.root.is_some() { MAX_LEAF_BELOW_ROOT } else { MAX_SINGLE_LEAF };
                let moved = self.grow_list(parent, position.leaf, limit)?;
                if moved != position.leaf {
                    match position.root {
                        None => self.write_u32(parent, at::SUBKEYS, moved)?,
                        Some((root, index)) => self.write_u32(root, LIST_HEADER_BYTES + index * 4, moved)?,
                    }
                }
                Ok(Position { leaf: moved, ..position })
            }
        }
    }

    /// Makes a list half as large again, up to `limit` entries.
    fn grow_list(&mut self, near: u32, list: u32, limit: usize) -> Result<u32> {
        let old = self.list(list)?;
        let entries = (old.count() + old.count() / 2 + MIN_ROOM).min(limit).max(old.count() + 1);
        let content = LIST_HEADER_BYTES + entries * old.kind.stride();
        self.grow(list, content, near)
    }

    /// Turns a leaf into one of another kind; returns where it is now.
    fn convert_leaf(&mut self, near: u32, leaf: u32, kind: ListKind) -> Result<u32> {
        let old = self.list(leaf)?;
        if old.kind == kind {
            return Ok(leaf);
        }
        let entries = self.encode_entries(&old, kind)?;
        let count = old.count();
        let new = self.new_list(kind, (count + count / 2).min(MAX_LEAF_BELOW_ROOT), near)?;
        self.write(new, LIST_HEADER_BYTES, &entries)?;
        self.write_count(new, count)?;
        self.release(leaf)?;
        Ok(new)
    }

    fn encode_entries(&self, list: &List<'_>, kind: ListKind) -> Result<Vec<u8>> {
        let mut entries = Vec::with_capacity(list.count() * kind.stride());
        for offset in list.offsets() {
            entries.extend(self.encode_entry(kind, offset)?);
        }
        Ok(entries)
    }

    pub(super) fn encode_entry(&self, kind: ListKind, key: u32) -> Result<Vec<u8>> {
        let mut entry = key.to_le_bytes().to_vec();
        match kind {
            ListKind::Index | ListKind::Root => {}
            ListKind::Fast => entry.extend(self.key(key)?.name().hint()),
            ListKind::Hash => entry.extend(self.key(key)?.name().hash().to_le_bytes()),
        }
        Ok(entry)
    }

    /// Moves the second half of leaf `index` of `root` into a new leaf after it.
    fn split_leaf(&mut self, parent: u32, root: u32, index: usize) -> Result<()> {
        let top = self.list(root)?;
        let leaf = self.leaf(top.get(index).unwrap_or(NIL))?;
        let (offset, kind, count) = (leaf.offset, leaf.kind, leaf.count());
        let keep = count / 2;
        let moved = leaf.entries().get(keep * kind.stride()..).unwrap_or(&[]).to_vec();
        let moved_count = count - keep;
        let second = self.new_list(kind, (moved_count + moved_count / 2).min(MAX_LEAF_BELOW_ROOT), parent)?;
        self.write(second, LIST_HEADER_BYTES, &moved)?;
        self.write_count(second, moved_count)?;
        let tail = LIST_HEADER_BYTES + keep * kind.stride();
        self.write(offset, tail, &vec![0; moved.len()])?;
        self.write_count(offset, keep)?;
        let top = self.list(root)?;
        let mut root = root;
        if top.room < LIST_HEADER_BYTES + (top.count() + 1) * 4 {
            root = self.grow_list(parent, root, usize::from(u16::MAX))?;
            self.write_u32(parent, at::SUBKEYS, root)?;
        }
        self.insert_raw(root, index + 1, &second.to_le_bytes())
    }

    fn insert_entry(&mut self, list: u32, index: usize, key: u32) -> Result<()> {
        let kind = self.list(list)?.kind;
        let entry = self.encode_entry(kind, key)?;
        self.insert_raw(list, index, &entry)
    }

    /// Puts an entry in; the cell has room for it.
    fn insert_raw(&mut self, list: u32, index: usize, entry: &[u8]) -> Result<()> {
        let count = self.list(list)?.count();
        let from = LIST_HEADER_BYTES + index * entry.len();
        let end = LIST_HEADER_BYTES + count * entry.len();
        if from < end {
            self.move_within(list, from..end, from + entry.len())?;
        }
        self.write(list, from, entry)?;
        self.write_count(list, count + 1)
    }

    fn remove_entry(&mut self, list: u32, index: usize) -> Result<()> {
        let old = self.list(list)?;
        let (stride, count) = (old.kind.stride(), old.count());
        let from = LIST_HEADER_BYTES + (index + 1) * stride;
        let end = LIST_HEADER_BYTES + count * stride;
        if from < end {
            self.move_within(list, from..end, from - stride)?;
        }
        self.write(list, end - stride, &vec![0; stride])?;
        self.write_count(list, count.saturating_sub(1))
    }

    pub(super) fn write_count(&mut self, list: u32, count: usize) -> Result<()> {
        let count = u16::try_from(count).map_err(|_| {
            Error::limit(format!("a key with {} lists of subkeys is too large", len_u32(count)))
        })?;
        self.write_u16(list, 2, count)
    }
}

// A list of 4 KiB is the largest that Windows lets stand alone; see the numbers of ReactOS' and Windows' own hives.
const _: () = assert!(MAX_SINGLE_LEAF == 507 && MAX_LEAF_BELOW_ROOT == 1013);
