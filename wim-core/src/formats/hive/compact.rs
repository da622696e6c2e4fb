//! Rebuilding: the same keys, values, descriptors and bits in a new file without free cells, in the order of the tree.
//!
//! Everything a record holds is carried over, known or not; only offsets, list layouts and volatile leftovers are new. With
//! [`Damage::GiveUp`] what cannot be read is left out and named, which is how damaged hives are repaired.

use std::collections::BTreeMap;

use super::base_block::{self, BASE_BLOCK_BYTES, Finish};
use super::cell::{Bins, CellBits, NIL, len_u32, put, put_u32};
use super::check::{Finding, Severity};
use super::key::{HEADER_BYTES, KeyNode, MAX_KEY_NAME_UNITS, at};
use super::name::Name;
use super::reader::{MAX_DEPTH, State};
use super::subkey_lists::{MAX_LEAF_BELOW_ROOT, MAX_SINGLE_LEAF};
use super::subkeys::{LIST_HEADER_BYTES, ListKind};
use super::value;
use super::{Hive, key_flags};
use crate::base::{Error, Place, Result};

/// Losses that are named one by one; more are counted.
const MAX_LEFT_OUT: usize = 10_000;

/// What to do about records that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Fail.
    Refuse,
    /// Leave them out and say so.
    GiveUp,
}

impl Hive {
    /// A rebuilt copy of this hive, and what was left out of it.
    ///
    /// Key times stay; [`Hive::finish`] writes the next sequence number and the edit time into the base block.
    ///
    /// # Errors
    /// `Format` at the first damaged record, unless it is to be given up; `Format` when the root cannot be read.
    pub fn compact(&self, damage: Damage) -> Result<(Self, Vec<Finding>)> {
        let mut bytes = self.bins.bytes.get(..BASE_BLOCK_BYTES).unwrap_or(&[]).to_vec();
        bytes.resize(BASE_BLOCK_BYTES + 4096, 0);
        put(&mut bytes, BASE_BLOCK_BYTES, b"hbin");
        put_u32(&mut bytes, BASE_BLOCK_BYTES + 8, 4096);
        put(&mut bytes, BASE_BLOCK_BYTES + 20, &self.edit_time.0.to_le_bytes());
        put_u32(&mut bytes, BASE_BLOCK_BYTES + 32, 4096 - 32);
        let mut rebuild = Rebuild {
            from: self,
            to: Bins::parse(bytes, 4096)?,
            damage,
            seen: CellBits::new(self.bins.size),
            security: BTreeMap::new(),
            by_descriptor: BTreeMap::new(),
            anchor: NIL,
            left_out: Vec::new(),
            more_left_out: 0,
            path: Vec::new(),
        };
        let root = rebuild.tree()?;
        let mut base = self.base.clone();
        base.root = root;
        let mut to = rebuild.to;
        put_u32(&mut to.bytes, 36, root);
        let finish = Finish { sequence: base.primary_sequence, last_written: None, bins_bytes: to.size };
        base_block::finish(&mut to.bytes, &finish);
        let hive = Self { bins: to, base, edit_time: self.edit_time, state: State::Unchecked, is_new: true };
        let mut left_out = rebuild.left_out;
        if rebuild.more_left_out > 0 {
            left_out.push(Finding {
                severity: Severity::Error,
                offset: 0,
                key: String::new(),
                message: format!("{} more records left out", rebuild.more_left_out),
            });
        }
        Ok((hive, left_out))
    }
}

struct Rebuild<'h> {
    from: &'h Hive,
    to: Bins,
    damage: Damage,
    /// Keys that were copied: a second way to one is damage.
    seen: CellBits,
    /// New offset of each old security record.
    security: BTreeMap<u32, u32>,
    by_descriptor: BTreeMap<&'h [u8], u32>,
    /// Some security record of the new hive.
    anchor: u32,
    left_out: Vec<Finding>,
    /// Findings beyond [`MAX_LEFT_OUT`].
    more_left_out: u64,
    path: Vec<String>,
}

/// A key whose subkeys are still to be copied: old and new offsets in pairs.
struct Level {
    children: Vec<(u32, u32)>,
    next: usize,
}

impl<'h> Rebuild<'h> {
    /// Passes a result on; damage that is given up becomes a finding and nothing.
    fn take<T>(&mut self, result: Result<T>, what: &str) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if self.damage == Damage::Refuse => Err(error),
            Err(error) => {
                if self.left_out.len() < MAX_LEFT_OUT {
                    self.left_out.push(Finding {
                        severity: Severity::Error,
                        offset: match error.place() {
                            Place::Field { offset, .. } => *offset,
                            _ => 0,
                        },
                        key: self.path.join("\\"),
                        message: format!("{what} left out: {error}"),
                    });
                } else {
                    self.more_left_out += 1;
                }
                Ok(None)
            }
        }
    }

    fn tree(&mut self) -> Result<u32> {
        let root = self.from.bins.key(self.from.base.root)?;
        self.seen.insert(root.offset);
        let new_root = self.node(&root, root.parent())?;
        let children = self.content(&root, new_root)?;
        let mut levels = vec![Level { children, next: 0 }];
        while let Some(level) = levels.last_mut() {
            let Some(&(old, new)) = level.children.get(level.next) else {
                levels.pop();
                self.path.pop();
                continue;
            };
            level.next += 1;
            let node = self.from.bins.key(old)?;
            self.path.push(node.name().to_text());
            if levels.len() >= MAX_DEPTH {
                let too_deep = Error::limit("keys deeper than 512 levels");
                self.take::<()>(Err(too_deep), "subkeys")?;
                self.path.pop();
                continue;
            }
            let children = self.content(&node, new)?;
            levels.push(Level { children, next: 0 });
        }
        Ok(new_root)
    }

    /// Copies the record of a key: all its bits, but nothing that it points to except security.
    fn node(&mut self, node: &KeyNode<'h>, parent: u32) -> Result<u32> {
        let mut record = node.bytes().get(..HEADER_BYTES).unwrap_or(&[]).to_vec();
        let name_bytes = usize::from(super::cell::le_u16(&record, at::NAME_LENGTH));
        record.extend(node.bytes().get(HEADER_BYTES..HEADER_BYTES + name_bytes).unwrap_or(&[]));
        put_u32(&mut record, at::PARENT, parent);
        put_u32(&mut record, at::SUBKEY_COUNT, 0);
        put_u32(&mut record, at::VOLATILE_SUBKEY_COUNT, 0);
        for nowhere in [at::SUBKEYS, at::VOLATILE_SUBKEYS, at::CLASS] {
            put_u32(&mut record, nowhere, NIL);
        }
        if !node.has(key_flags::PREDEFINED_HANDLE) {
            put_u32(&mut record, at::VALUE_COUNT, 0);
            put_u32(&mut record, at::VALUES, NIL);
        }
        put(&mut record, at::CLASS_LENGTH, &[0, 0]);
        let new = self.to.allocate(record.len(), self.to.size - 1)?;
        self.to.write(new, 0, &record)?;
        let security = self.security_of(node, new)?;
        self.to.write_u32(new, at::SECURITY, security)?;
        Ok(new)
    }

    /// The new record of a key's descriptor, its count raised. Equal descriptors become one.
    fn security_of(&mut self, node: &KeyNode<'h>, near: u32) -> Result<u32> {
        let old = node.security();
        if old == NIL {
            return Ok(NIL);
        }
        let known = self.security.get(&old).copied();
        if let Some(known) = known {
            self.to.hold_security(known)?;
            return Ok(known);
        }
        let descriptor = self.from.bins.security(old).map(|node| node.descriptor);
        let Some(descriptor) = self.take(descriptor, "security descriptor")? else {
            // A key must have one; that of the root, or of a new hive, is the least surprising.
            if self.anchor == NIL {
                self.anchor = self.to.new_security(&super::writer::default_security(), near)?;
            } else {
                self.to.hold_security(self.anchor)?;
            }
            return Ok(self.anchor);
        };
        let new = match self.by_descriptor.get(descriptor).copied() {
            Some(known) => {
                self.to.hold_security(known)?;
                known
            }
            None if self.anchor == NIL => self.to.new_security(descriptor, near)?,
            None => self.to.add_security(self.anchor, descriptor)?,
        };
        if self.anchor == NIL {
            self.anchor = new;
        }
        self.by_descriptor.insert(descriptor, new);
        self.security.insert(old, new);
        Ok(new)
    }

    /// Copies what a key has: class, values, and the records of its subkeys with their list.
    fn content(&mut self, node: &KeyNode<'h>, new: u32) -> Result<Vec<(u32, u32)>> {
        self.class(node, new)?;
        self.values(node, new)?;
        self.subkeys(node, new)
    }

    fn class(&mut self, node: &KeyNode<'h>, new: u32) -> Result<()> {
        let length = node.class_bytes();
        if length == 0 {
            return Ok(());
        }
        let bins = &self.from.bins;
        let class = bins.cell(node.class(), "class name").and_then(|content| {
            content.get(..length).ok_or_else(|| {
                super::cell::bad_cell("class name", "size", node.class(), 0, "the class name is cut off")
            })
        });
        let Some(class) = self.take(class, "class name")? else { return Ok(()) };
        let cell = self.to.allocate(length, new)?;
        self.to.write(cell, 0, class)?;
        self.to.write_u32(new, at::CLASS, cell)?;
        self.to.write_u16(new, at::CLASS_LENGTH, u16::try_from(length).unwrap_or(u16::MAX))
    }

    fn values(&mut self, node: &KeyNode<'h>, new: u32) -> Result<()> {
        let from = self.from;
        let entries = from.bins.value_list(node.values(), node.value_count());
        let Some(entries) = self.take(entries, "all values")? else { return Ok(()) };
        // Offsets only: a key may have a value for every 28 bytes of the file.
        let mut kept: Vec<u32> = Vec::new();
        for entry in entries {
            let old = from.bins.value(u32::from_le_bytes(*entry));
            let Some(old) = self.take(old, "a value")? else { continue };
            let data = old.data(&from.bins, from.base.version).map(drop);
            if self.take(data, &format!("value {:?}", old.name()))?.is_some() {
                kept.push(old.offset);
            }
        }
        if self.damage == Damage::GiveUp {
            let seconds = self.second_values(&kept);
            kept.retain(|offset| seconds.binary_search(offset).is_err());
            for twice in seconds {
                let twice = Error::invalid_input(format!(
                    "the value {:?} exists already",
                    from.bins.value(twice)?.name()
                ));
                self.take::<()>(Err(twice), "a value of the same name")?;
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        let list = self.to.allocate(kept.len() * 4, new)?;
        for (index, &offset) in kept.iter().enumerate() {
            let old = from.bins.value(offset)?;
            let data = old.data(&from.bins, from.base.version)?;
            let name_bytes = usize::from(super::cell::le_u16(old.bytes(), value::at::NAME_LENGTH));
            let mut record =
                old.bytes().get(..value::HEADER_BYTES + name_bytes).unwrap_or(old.bytes()).to_vec();
            put_u32(&mut record, value::at::SIZE, value::RESIDENT);
            put_u32(&mut record, value::at::DATA, 0);
            let cell = self.to.allocate(record.len(), new)?;
            self.to.write(cell, 0, &record)?;
            self.to.replace_data(cell, &data, from.base.version)?;
            self.to.write_u32(list, index * 4, cell)?;
        }
        self.to.write_u32(new, at::VALUES, list)?;
        self.to.write_u32(new, at::VALUE_COUNT, len_u32(kept.len()))
    }

    /// The values whose name another one before them has, by offset.
    fn second_values(&self, offsets: &[u32]) -> Vec<u32> {
        let bins = &self.from.bins;
        let name = |offset: u32| bins.value(offset).map_or(Name::Latin1(&[]), |value| value.name());
        let mut sorted: Vec<(u32, u32)> =
            offsets.iter().map(|&offset| (name(offset).hash(), offset)).collect();
        // A stable sort: of equal names the first in the list stays.
        sorted.sort_by(|(first_hash, first), (second_hash, second)| {
            first_hash.cmp(second_hash).then_with(|| name(*first).cmp_upcased(&name(*second).upcased()))
        });
        let is_same = |pair: &&[(u32, u32)]| {
            matches!(pair, [(first_hash, first), (second_hash, second)]
                if first_hash == second_hash && name(*first).eq_upcased(&name(*second).upcased()))
        };
        let seconds = sorted.windows(2).filter(is_same).filter_map(|pair| pair.last());
        let mut seconds: Vec<u32> = seconds.map(|&(_, offset)| offset).collect();
        seconds.sort_unstable();
        seconds
    }

    /// The subkeys that can be kept, by their old offsets, in order.
    fn kept_subkeys(&mut self, node: &KeyNode<'h>) -> Result<Vec<u32>> {
        let from = self.from;
        let mut kept = Vec::new();
        for child in from.bins.subkey_offsets(node) {
            let child = child.and_then(|offset| from.bins.key(offset));
            let Some(child) = self.take(child, "a subkey")? else { continue };
            if child.name().is_empty() || child.name().len() > MAX_KEY_NAME_UNITS {
                let bad = super::cell::bad_cell(
                    "key node",
                    "name length",
                    child.offset,
                    at::NAME_LENGTH,
                    "bad name",
                );
                self.take::<()>(Err(bad), "a subkey")?;
            } else if self.seen.insert(child.offset) {
                kept.push(child.offset);
            } else {
                let twice = super::cell::bad_cell("key node", "offset", child.offset, 0, "reached twice");
                self.take::<()>(Err(twice), "a subkey")?;
            }
        }
        if self.damage == Damage::GiveUp {
            // A list out of order, or with a name twice, is put right.
            let name = |offset: u32| from.bins.key(offset).map_or(Name::Latin1(&[]), |key| key.name());
            kept.sort_by(|&a, &b| name(a).cmp_upcased(&name(b).upcased()));
            let mut left_out = Vec::new();
            kept.dedup_by(|later, earlier| {
                let is_same = name(*later).eq_upcased(&name(*earlier).upcased());
                if is_same {
                    left_out.push(*later);
                }
                is_same
            });
            for twice in left_out {
                let twice = Error::invalid_input(format!("{} exists already", name(twice)));
                self.take::<()>(Err(twice), "a subkey of the same name")?;
            }
        }
        Ok(kept)
    }

    fn subkeys(&mut self, node: &KeyNode<'h>, new: u32) -> Result<Vec<(u32, u32)>> {
        let from = self.from;
        let olds = self.kept_subkeys(node)?;
        let mut pairs = Vec::with_capacity(olds.len());
        for offset in olds {
            pairs.push((offset, self.node(&from.bins.key(offset)?, new)?));
        }
        if !pairs.is_empty() {
            let children: Vec<u32> = pairs.iter().map(|&(_, new)| new).collect();
            let list = self.to.write_lists(&children, new, from.base.version)?;
            self.to.write_u32(new, at::SUBKEYS, list)?;
            self.to.write_u32(new, at::SUBKEY_COUNT, len_u32(children.len()))?;
        }
        Ok(pairs)
    }
}

impl Bins {
    /// Writes the lists for these keys, which are in order; returns the top one.
    fn write_lists(&mut self, children: &[u32], near: u32, version: super::HiveVersion) -> Result<u32> {
        if children.len() <= MAX_SINGLE_LEAF {
            let kind = if version.has_hash_leaves() { ListKind::Hash } else { ListKind::Fast };
            return self.write_leaf(kind, children, near);
        }
        let kind = if version.has_hash_leaves() { ListKind::Hash } else { ListKind::Index };
        let count = children.len().div_ceil(MAX_LEAF_BELOW_ROOT);
        let root = self.allocate(LIST_HEADER_BYTES + count * 4, near)?;
        self.write(root, 0, ListKind::Root.signature())?;
        self.write_count(root, count)?;
        for (index, part) in children.chunks(MAX_LEAF_BELOW_ROOT).enumerate() {
            let leaf = self.write_leaf(kind, part, near)?;
            self.write_u32(root, LIST_HEADER_BYTES + index * 4, leaf)?;
        }
        Ok(root)
    }

    fn write_leaf(&mut self, kind: ListKind, children: &[u32], near: u32) -> Result<u32> {
        let mut entries = Vec::with_capacity(children.len() * kind.stride());
        for &child in children {
            entries.extend(self.encode_entry(kind, child)?);
        }
        let leaf = self.allocate(LIST_HEADER_BYTES + entries.len(), near)?;
        self.write(leaf, 0, kind.signature())?;
        self.write_count(leaf, children.len())?;
        self.write(leaf, LIST_HEADER_BYTES, &entries)?;
        Ok(leaf)
    }
}
