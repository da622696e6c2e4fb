//! A hive for reading: opening with validation, keys by path, subkeys and values in their order.
//!
//! Opening judges base block, bins and cells; what cells contain is judged when it is read, and all of it by
//! [`Hive::check`](super::Hive::check). Paths never contain the root's own name.

use super::base_block::{self, BaseBlock};
use super::cell::{Bins, bad_cell, le_u16};
use super::key::{KeyFlags, KeyNode};
use super::name::{self, Name};
use super::subkeys::SubkeyOffsets;
use super::value::{RegValue, ValueRef};
use super::{HiveVersion, key_flags};
use crate::base::{Error, ErrorKind, FileTime, Result, WimString};

/// Deepest path of keys; Windows allows 512 levels.
pub(super) const MAX_DEPTH: usize = 512;

/// A registry hive in memory: validated, readable, editable in place.
#[derive(Clone, Debug)]
pub struct Hive {
    pub(super) bins: Bins,
    pub(super) base: BaseBlock,
    /// Time stamped on edited keys and, at the end, on the base block.
    pub(super) edit_time: FileTime,
    pub(super) state: State,
    /// True when the bytes differ from the file already: logs were replayed, or the hive is new.
    pub(super) is_new: bool,
}

/// What is known about a hive's soundness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Layout only.
    Unchecked,
    /// The checker found nothing; it may be edited.
    Sound,
    /// Opened in spite of damage; it may be read and rebuilt only.
    Damaged,
    /// An edit failed halfway; it must not be written.
    Broken,
}

impl Hive {
    /// Takes over the bytes of a clean hive and validates base block, bins and cells.
    ///
    /// # Errors
    /// `Format` with the offset of what is wrong; `Corrupt` when the hive is dirty, that is, when its last write was not
    /// completed and [`Hive::recover`] with its logs is needed; `Unsupported` for versions other than 1.3 to 1.6.
    pub fn open(bytes: Vec<u8>) -> Result<Self> {
        let base = BaseBlock::parse(&bytes)?;
        if !base_block::checksum_is_right(&bytes) {
            return Err(Error::corrupt(
                "the checksum of the base block is wrong: the last write was cut off",
            )
            .remedy("open the hive with its transaction logs (NAME.LOG1, NAME.LOG2) beside it"));
        }
        if !base.is_clean() {
            return Err(Error::corrupt(format!(
                "the hive is dirty: its last write was not completed (sequence numbers {} and {})",
                base.primary_sequence, base.secondary_sequence
            ))
            .remedy("open the hive with its transaction logs (NAME.LOG1, NAME.LOG2) beside it"));
        }
        let bins = Bins::parse(bytes, base.bins_bytes)?;
        Self::from_bins(bins, base)
    }

    pub(super) fn from_bins(bins: Bins, base: BaseBlock) -> Result<Self> {
        bins.key(base.root)?;
        let edit_time = base.last_written;
        Ok(Self { bins, base, edit_time, state: State::Unchecked, is_new: false })
    }

    /// The base block as it was read.
    #[must_use]
    pub fn base_block(&self) -> &BaseBlock {
        &self.base
    }

    /// Format version.
    #[must_use]
    pub fn version(&self) -> HiveVersion {
        self.base.version
    }

    /// The file as it is now; sequence numbers and checksum are brought up to date by [`Hive::finish`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bins.bytes
    }

    /// The root key.
    ///
    /// # Errors
    /// `Format` when its node is damaged.
    pub fn root(&self) -> Result<KeyRef<'_>> {
        Ok(KeyRef { hive: self, node: self.bins.key(self.base.root)? })
    }

    /// The key at `path`: names separated by backslashes, any case; the empty path is the root.
    ///
    /// # Errors
    /// `Format` when a node on the way is damaged; a key that is not there is no error.
    pub fn key(&self, path: &str) -> Result<Option<KeyRef<'_>>> {
        let mut key = self.root()?;
        for name in components(path) {
            match key.subkey(name)? {
                Some(next) => key = next,
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }

    /// The value `name` (empty: the default value) of the key at `path`; none when either is not there.
    ///
    /// # Errors
    /// `Format` when a record on the way is damaged.
    pub fn value(&self, path: &str, name: &str) -> Result<Option<RegValue>> {
        match self.key(path)? {
            Some(key) => key.value(name)?.map(|value| value.to_reg_value()).transpose(),
            None => Ok(None),
        }
    }

    /// Names of the subkeys of the key at `path`, in their order; empty when there is no such key.
    ///
    /// # Errors
    /// `Format` when a record on the way is damaged.
    pub fn subkeys(&self, path: &str) -> Result<Vec<String>> {
        let Some(key) = self.key(path)? else { return Ok(Vec::new()) };
        key.subkeys().map(|key| Ok(key?.name().to_text())).collect()
    }

    /// Names and values of the key at `path`, in their order; empty when there is no such key.
    ///
    /// # Errors
    /// `Format` when a record on the way is damaged.
    pub fn values(&self, path: &str) -> Result<Vec<(String, RegValue)>> {
        let Some(key) = self.key(path)? else { return Ok(Vec::new()) };
        key.values()
            .map(|value| {
                let value = value?;
                Ok((value.name().to_text(), value.to_reg_value()?))
            })
            .collect()
    }

    /// Visits every key from the root down, parents first, with its path below the root.
    ///
    /// # Errors
    /// Those of `visit`; `Format` when a key is damaged, reached twice, or lies deeper than 512 levels.
    pub fn walk(&self, visit: &mut dyn FnMut(&[WimString], KeyRef<'_>) -> Result<()>) -> Result<()> {
        let mut seen = super::cell::CellBits::new(self.bins.size);
        let root = self.root()?;
        seen.insert(root.offset());
        let mut path = Vec::new();
        visit(&path, root)?;
        let mut stack = vec![root.subkeys()];
        while let Some(children) = stack.last_mut() {
            let Some(child) = children.next() else {
                stack.pop();
                path.pop();
                continue;
            };
            let child = child?;
            if !seen.insert(child.offset()) {
                return Err(bad_cell("key node", "offset", child.offset(), 0, "a key is reached twice"));
            }
            if stack.len() >= MAX_DEPTH {
                return Err(bad_cell("key node", "depth", child.offset(), 0, "keys deeper than 512 levels"));
            }
            path.push(child.name().to_wim_string());
            visit(&path, child)?;
            stack.push(child.subkeys());
        }
        Ok(())
    }
}

/// The names in a path of keys.
pub(super) fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('\\').filter(|name| !name.is_empty())
}

/// A key of a hive.
#[derive(Clone, Copy)]
pub struct KeyRef<'h> {
    hive: &'h Hive,
    node: KeyNode<'h>,
}

impl std::fmt::Debug for KeyRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key {} at {:#x}", self.name(), self.offset())
    }
}

impl<'h> KeyRef<'h> {
    pub(super) fn bins(&self) -> &'h Bins {
        &self.hive.bins
    }

    pub(super) fn version(&self) -> HiveVersion {
        self.hive.base.version
    }

    /// Its own name.
    #[must_use]
    pub fn name(&self) -> Name<'h> {
        self.node.name()
    }

    /// Hive offset of its node.
    #[must_use]
    pub fn offset(&self) -> u32 {
        self.node.offset
    }

    /// Its flags: bits of [`key_flags`].
    #[must_use]
    pub fn flags(&self) -> KeyFlags {
        self.node.flags()
    }

    /// When it was last written: its values, or the list of its subkeys.
    #[must_use]
    pub fn last_written(&self) -> FileTime {
        self.node.last_written()
    }

    /// True for a symbolic link; its target is the value `SymbolicLinkValue`.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.node.has(key_flags::SYMLINK)
    }

    /// Its class name, if it has one; ill-formed units become U+FFFD.
    ///
    /// # Errors
    /// `Format` when the class is not where the node says.
    pub fn class(&self) -> Result<Option<WimString>> {
        let length = self.node.class_bytes();
        if length == 0 {
            return Ok(None);
        }
        let content = self.bins().cell(self.node.class(), "class name")?;
        let bytes = content.get(..length).ok_or_else(|| {
            bad_cell("class name", "size", self.node.class(), 0, format!("needs {length} bytes"))
        })?;
        Ok(Some(WimString::from(Name::Utf16(bytes).units())))
    }

    /// Its security descriptor, self-relative; none when the key has none.
    ///
    /// # Errors
    /// `Format` when the record is damaged.
    pub fn security(&self) -> Result<Option<&'h [u8]>> {
        match self.node.security() {
            super::cell::NIL => Ok(None),
            offset => Ok(Some(self.bins().security(offset)?.descriptor)),
        }
    }

    /// User and virtualization bits, access bits and debug byte: kept when keys are copied, compared by diffs.
    #[must_use]
    pub(super) fn other_bits(&self) -> (u32, u16) {
        let bytes = self.node.bytes();
        (super::cell::le_u32(bytes, super::key::at::ACCESS), le_u16(bytes, 54))
    }

    /// The most keys that its hive can hold: a bound for walks that must end in damaged hives too.
    #[must_use]
    pub fn limit_of_keys(&self) -> u32 {
        self.hive.bins.size / super::subkeys::MIN_KEY_CELL_BYTES
    }

    /// Number of subkeys that its node claims.
    #[must_use]
    pub fn subkey_count(&self) -> u32 {
        self.node.subkey_count()
    }

    /// Number of values that its node claims.
    #[must_use]
    pub fn value_count(&self) -> u32 {
        self.node.value_count()
    }

    /// The subkey of this name, any case.
    ///
    /// # Errors
    /// `Format` when a list or node on the way is damaged.
    pub fn subkey(&self, name: &str) -> Result<Option<KeyRef<'h>>> {
        self.subkey_upcased(&name::upcased(name))
    }

    /// As [`Self::subkey`], for a name that need not be well-formed; its units are upcased already.
    pub(super) fn subkey_upcased(&self, upcased: &[u16]) -> Result<Option<KeyRef<'h>>> {
        let Some(offset) = self.bins().find_subkey(&self.node, upcased)? else { return Ok(None) };
        let node = self.bins().key(offset)?;
        Ok((!node.is_tombstone(self.version())).then_some(KeyRef { hive: self.hive, node }))
    }

    /// Its subkeys in their order; a key hidden by a container's layer is left out.
    #[must_use]
    pub fn subkeys(&self) -> SubkeyIter<'h> {
        SubkeyIter { hive: self.hive, offsets: self.bins().subkey_offsets(&self.node) }
    }

    /// The value of this name (empty: the default value), any case.
    ///
    /// # Errors
    /// `Format` when a record on the way is damaged.
    pub fn value(&self, name: &str) -> Result<Option<ValueRef<'h>>> {
        let upcased = name::upcased(name);
        for value in self.values() {
            let value = value?;
            if value.name().eq_upcased(&upcased) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Its values in their order; a value hidden by a container's layer is left out.
    #[must_use]
    pub fn values(&self) -> ValueIter<'h> {
        let (entries, error) = match self.bins().value_list(self.node.values(), self.node.value_count()) {
            Ok(entries) => (entries, None),
            Err(error) => (&[][..], Some(error)),
        };
        ValueIter { key: *self, entries: entries.iter(), error }
    }
}

/// Iterator over the subkeys of a key; ends after a damaged list.
pub struct SubkeyIter<'h> {
    hive: &'h Hive,
    offsets: SubkeyOffsets<'h>,
}

impl<'h> Iterator for SubkeyIter<'h> {
    type Item = Result<KeyRef<'h>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = self.offsets.next()?.and_then(|offset| self.hive.bins.key(offset));
            match node {
                Ok(node) if node.is_tombstone(self.hive.base.version) => {}
                Ok(node) => return Some(Ok(KeyRef { hive: self.hive, node })),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Iterator over the values of a key.
pub struct ValueIter<'h> {
    key: KeyRef<'h>,
    entries: std::slice::Iter<'h, [u8; 4]>,
    error: Option<Error>,
}

impl<'h> Iterator for ValueIter<'h> {
    type Item = Result<ValueRef<'h>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        loop {
            let offset = u32::from_le_bytes(*self.entries.next()?);
            match self.key.bins().value(offset) {
                Ok(node) if node.is_tombstone(self.key.version()) => {}
                Ok(node) => return Some(Ok(ValueRef { key: self.key, node })),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Whether an error says that a hive is dirty, so that its logs should be tried.
#[must_use]
pub fn is_dirty(error: &Error) -> bool {
    error.kind() == ErrorKind::Corrupt
}
