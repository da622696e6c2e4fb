//! The checker: every invariant that Windows' loaders rely on, and some that only its own writer keeps.
//!
//! Rules after the published regf specification and what holds in every hive of a healthy system: cells owned once, counts
//! and lists equal, lists sorted, hashes right, descriptors in one ring with exact counts. Windows drops what fails without a
//! word, so an error here stops editing; a warning does not. Nothing is repaired here.

use std::collections::BTreeMap;
use std::fmt;

use super::base_block::{self, BASE_BLOCK_BYTES, BaseBlock};
use super::big_data::SEGMENT_BYTES;
use super::cell::{BIN_HEADER_BYTES, Bins, CellBits, NIL, le_u16, le_u32};
use super::key::{KeyNode, MAX_KEY_NAME_UNITS, at};
use super::name::Name;
use super::reader::MAX_DEPTH;
use super::subkeys::{List, ListKind};
use super::value::{self, DataPlace, RESIDENT, ValueNode};
use super::{Hive, HiveVersion, key_flags};
use crate::base::{Error, Place, Result};

/// Findings after which checking stops; a hive with that many is beyond reading one by one.
const MAX_FINDINGS: usize = 1000;

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Unusual, but harmless to Windows.
    Warning,
    /// Windows would refuse the hive or drop keys; the hive is not edited.
    Error,
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub severity: Severity,
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// The key it was met at, below the root; empty for the root and for what belongs to no key.
    pub key: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:#x}", self.offset)?;
        if !self.key.is_empty() {
            write!(f, ", key {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// What a check found, and how much it looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Findings in the order they were met; at most 1,000.
    pub findings: Vec<Finding>,
    /// Keys reached from the root, itself included.
    pub keys: u64,
    /// Values of those keys.
    pub values: u64,
    /// Bytes of free cells.
    pub free_bytes: u64,
}

impl CheckReport {
    /// Whether there is no error; warnings do not count.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity == Severity::Warning)
    }
}

impl Hive {
    /// Checks every record of the hive.
    #[must_use]
    pub fn check(&self) -> CheckReport {
        let mut checker = Checker::new(&self.bins, self.base.version);
        checker.tree(self.base.root);
        checker.rings();
        checker.leftovers();
        checker.report
    }

    /// Opens a damaged hive as far as it can be read, for looking and for repair by rebuilding; it cannot be edited.
    ///
    /// A dirty hive is read as it lies, without its logs. The findings about base block, bins and cells come along.
    ///
    /// # Errors
    /// `Format` when it is no hive at all, or its root key cannot be read; `Unsupported` for other versions.
    pub fn open_damaged(bytes: Vec<u8>) -> Result<(Self, Vec<Finding>)> {
        let base = BaseBlock::parse(&bytes)?;
        let mut findings = Vec::new();
        let mut add = |offset, message: String| {
            findings.push(Finding { severity: Severity::Error, offset, key: String::new(), message });
        };
        if !base_block::checksum_is_right(&bytes) {
            add(base_block::CHECKSUM_AT as u64, "the checksum of the base block is wrong".to_owned());
        }
        if !base.is_clean() {
            let (first, second) = (base.primary_sequence, base.secondary_sequence);
            add(4, format!("the hive is dirty: sequence numbers {first} and {second}"));
        }
        let (bins, faults) = Bins::parse_leniently(bytes, base.bins_bytes, MAX_FINDINGS);
        for fault in faults {
            let at = BASE_BLOCK_BYTES as u64 + u64::from(fault.offset);
            add(at, format!("{}, {}: {}", fault.structure, fault.field, fault.message));
        }
        let mut hive = Self::from_bins(bins, base)?;
        hive.state = super::reader::State::Damaged;
        Ok((hive, findings))
    }
}

/// A name for a message: control characters are escaped, so that it stays on its line.
fn printable(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() { text.extend(c.escape_unicode()) } else { text.push(c) }
    }
    text
}

struct Checker<'h> {
    bins: &'h Bins,
    version: HiveVersion,
    /// Cells that a record owns.
    owned: CellBits,
    /// Number of keys that point to each security record.
    security: BTreeMap<u32, u32>,
    /// Offsets of the keys from the root to the one looked at.
    path: Vec<u32>,
    report: CheckReport,
}

/// A key whose subkeys are being gone through.
struct Level {
    lists: Vec<u32>,
    list: usize,
    entry: usize,
    previous: Vec<u16>,
}

impl<'h> Checker<'h> {
    fn new(bins: &'h Bins, version: HiveVersion) -> Self {
        let owned = CellBits::new(bins.size);
        let report = CheckReport::default();
        Self { bins, version, owned, security: BTreeMap::new(), path: Vec::new(), report }
    }

    fn is_full(&self) -> bool {
        self.report.findings.len() >= MAX_FINDINGS
    }

    #[cold]
    fn add(&mut self, severity: Severity, cell: u32, message: impl Into<String>) {
        if !self.is_full() {
            let offset = BASE_BLOCK_BYTES as u64 + u64::from(cell);
            let key = self.path_text();
            self.report.findings.push(Finding { severity, offset, key, message: message.into() });
        }
    }

    fn error(&mut self, cell: u32, message: impl Into<String>) {
        self.add(Severity::Error, cell, message);
    }

    fn warn(&mut self, cell: u32, message: impl Into<String>) {
        self.add(Severity::Warning, cell, message);
    }

    /// The value of a result, or nothing and a finding.
    fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.add_error(&error)).ok()
    }

    #[cold]
    fn add_error(&mut self, error: &Error) {
        if self.is_full() {
            return;
        }
        let (offset, message) = match error.place() {
            Place::Field { structure, field, offset } => {
                (*offset, format!("{structure}, {field}: {}", error.message()))
            }
            _ => (0, error.message().to_owned()),
        };
        let key = self.path_text();
        self.report.findings.push(Finding { severity: Severity::Error, offset, key, message });
    }

    fn path_text(&self) -> String {
        let names = self.path.iter().skip(1).filter_map(|&key| self.bins.key(key).ok());
        names.map(|key| printable(&key.name().to_text())).collect::<Vec<_>>().join("\\")
    }

    /// Marks a cell as owned; false with a finding when another record owns it, or it is no cell in use.
    fn own(&mut self, cell: u32, what: &'static str) -> bool {
        if let Err(error) = self.bins.cell(cell, what) {
            self.add_error(&error);
            return false;
        }
        let is_first = self.owned.insert(cell);
        if !is_first {
            self.error(cell, format!("{what}: the cell is used a second time"));
        }
        is_first
    }

    /// Goes through all keys, parents first.
    fn tree(&mut self, root: u32) {
        if !self.own(root, "root key") {
            return;
        }
        self.path.push(root);
        let Some(node) = self.take(self.bins.key(root)) else { return };
        if !node.has(key_flags::HIVE_ENTRY) {
            // Hives saved by the offline library have a plain root key and load all the same.
            self.warn(root, "the root key is not marked as the root of a hive");
        }
        let mut levels = vec![self.key(&node)];
        while let Some(level) = levels.last_mut() {
            let Some(&list) = level.lists.get(level.list).filter(|_| !self.is_full()) else {
                levels.pop();
                self.path.pop();
                continue;
            };
            // Lists were read once when the key was looked at.
            let Ok(list) = self.bins.leaf(list) else {
                level.list += 1;
                continue;
            };
            let Some(child) = list.get(level.entry) else {
                level.list += 1;
                level.entry = 0;
                continue;
            };
            let index = level.entry;
            level.entry += 1;
            let parent = self.path.last().copied().unwrap_or(NIL);
            if !self.own(child, "subkey") {
                continue;
            }
            let Some(node) = self.take(self.bins.key(child)) else { continue };
            let mut previous = std::mem::take(&mut level.previous);
            self.entry(&list, index, &node, &mut previous);
            level.previous = previous;
            if node.parent() != parent {
                self.path.push(child);
                self.error(
                    child,
                    format!("the parent is {parent:#x}, but the key says {:#x}", node.parent()),
                );
                self.path.pop();
            }
            if levels.len() >= MAX_DEPTH {
                self.error(child, "keys deeper than 512 levels");
                continue;
            }
            self.path.push(child);
            let level = self.key(&node);
            levels.push(level);
        }
    }

    /// Order and mark of one entry of a list.
    fn entry(&mut self, list: &List<'_>, index: usize, node: &KeyNode<'_>, previous: &mut Vec<u16>) {
        let name = node.name();
        if !previous.is_empty() && !name.cmp_upcased(previous).is_gt() {
            let what = if name.eq_upcased(previous) { "is there twice" } else { "is out of order" };
            self.error(list.offset, format!("the subkey {name} {what}"));
        }
        name.upcase_into(previous);
        let right = match list.kind {
            ListKind::Index | ListKind::Root => return,
            ListKind::Fast => u32::from_le_bytes(name.hint()),
            ListKind::Hash => name.hash(),
        };
        let mark = list.mark(index);
        if mark != right {
            let what = if list.kind == ListKind::Hash { "hash" } else { "hint" };
            self.error(list.offset, format!("the {what} of {name} is {mark:#010x} instead of {right:#010x}"));
        }
    }

    /// One key but for its subkeys, whose lists are returned.
    fn key(&mut self, node: &KeyNode<'h>) -> Level {
        self.report.keys += 1;
        self.key_name(node);
        self.class(node);
        if node.security() != NIL {
            *self.security.entry(node.security()).or_default() += 1;
        } else {
            self.warn(node.offset, "the key has no security descriptor");
        }
        self.values(node);
        let lists = self.lists(node);
        Level { lists, list: 0, entry: 0, previous: Vec::new() }
    }

    fn key_name(&mut self, node: &KeyNode<'_>) {
        let name = node.name();
        if name.is_empty() || name.len() > MAX_KEY_NAME_UNITS {
            self.error(node.offset, format!("a key's name of {} characters", name.len()));
        }
        let has = |unit: u16| match name {
            Name::Latin1(bytes) => bytes.iter().any(|&byte| u16::from(byte) == unit),
            Name::Utf16(bytes) => bytes.as_chunks().0.iter().any(|&pair| u16::from_le_bytes(pair) == unit),
        };
        if self.path.len() > 1 && (has(u16::from(b'\\')) || has(0)) {
            self.warn(node.offset, "the key's name has a backslash or a NUL; no path leads to it");
        }
        if let Name::Utf16(bytes) = name
            && bytes.as_chunks().0.iter().all(|&[_, high]| high == 0)
        {
            self.warn(node.offset, "the key's name could be stored as Latin-1, and is not");
        }
        if node.has(key_flags::VOLATILE) {
            self.warn(node.offset, "the key is marked as volatile");
        }
        if let Some(parent) = self.path.len().checked_sub(2).and_then(|i| self.path.get(i))
            && let Ok(parent) = self.bins.key(*parent)
            && usize::from(le_u16(parent.bytes(), at::MAX_SUBKEY_NAME)) < name.len() * 2
        {
            self.warn(node.offset, "the parent's largest name is smaller than this name");
        }
    }

    fn class(&mut self, node: &KeyNode<'_>) {
        let length = node.class_bytes();
        if length == 0 {
            return;
        }
        if self.own(node.class(), "class name")
            && let Some(content) = self.bins.try_cell(node.class())
            && content.len() < length
        {
            self.error(node.class(), format!("a class name of {length} bytes in {} bytes", content.len()));
        }
    }

    fn values(&mut self, node: &KeyNode<'_>) {
        let count = node.value_count();
        if count == 0 {
            if node.values() != NIL && node.values() != 0 && !node.has(key_flags::PREDEFINED_HANDLE) {
                self.warn(node.offset, "the key has a list of values, but no values");
            }
            return;
        }
        if !self.own(node.values(), "value list") {
            return;
        }
        let Some(entries) = self.take(self.bins.value_list(node.values(), count)) else { return };
        // Hash and offset only: a key may have a value for every 28 bytes of the file.
        let mut names: Vec<(u32, u32)> = Vec::new();
        let (mut longest_name, mut longest_data) = (0, 0);
        for entry in entries {
            let offset = u32::from_le_bytes(*entry);
            if !self.own(offset, "value") {
                continue;
            }
            let Some(value) = self.take(self.bins.value(offset)) else { continue };
            self.report.values += 1;
            longest_name = longest_name.max(value.name().len() * 2);
            longest_data = longest_data.max(value.size());
            names.push((value.name().hash(), offset));
            self.data(&value);
        }
        self.value_names(node.offset, &mut names);
        let field = |at| le_u32(node.bytes(), at) as usize;
        if field(at::MAX_VALUE_NAME) < longest_name || field(at::MAX_VALUE_DATA) < longest_data {
            self.warn(node.offset, "the key's largest value name or data is smaller than the truth");
        }
    }

    fn value_names(&mut self, key: u32, names: &mut [(u32, u32)]) {
        let bins = self.bins;
        let name = |offset: u32| bins.value(offset).map_or(Name::Latin1(&[]), |value| value.name());
        names.sort_unstable_by(|(first_hash, first), (second_hash, second)| {
            first_hash.cmp(second_hash).then_with(|| name(*first).cmp_upcased(&name(*second).upcased()))
        });
        for pair in names.windows(2) {
            if let [(first_hash, first), (second_hash, second)] = pair
                && first_hash == second_hash
                && name(*first).eq_upcased(&name(*second).upcased())
            {
                self.error(key, format!("the value {:?} is there twice", name(*first)));
            }
        }
    }

    fn data(&mut self, value: &ValueNode<'_>) {
        let size = value.size();
        match value.place(self.version) {
            DataPlace::Resident => {
                if size > value::MAX_RESIDENT_BYTES {
                    self.error(value.offset, format!("{size} bytes of data in a value's record"));
                } else if size == 0 && le_u32(value.bytes(), value::at::SIZE) & RESIDENT == 0 {
                    self.warn(value.offset, "empty data that is not marked as lying in the record");
                }
            }
            DataPlace::Cell(cell) => {
                if self.own(cell, "value data") {
                    let room = self.bins.try_cell(cell).map_or(0, <[u8]>::len);
                    if room < size {
                        self.error(value.offset, format!("{size} bytes of data in a cell of {room}"));
                    }
                }
            }
            DataPlace::Segments(record) => self.segments(record, size),
        }
    }

    fn segments(&mut self, record: u32, size: usize) {
        let bins = self.bins;
        if !self.own(record, "big data") {
            return;
        }
        let Some(segments) = self.take(bins.segments(record, size)) else { return };
        self.own(le_u32(bins.try_cell(record).unwrap_or(&[]), 4), "segment list");
        let mut left = size;
        for segment in segments {
            let cell = u32::from_le_bytes(*segment);
            let part = left.min(SEGMENT_BYTES);
            left -= part;
            if self.own(cell, "segment") && bins.try_cell(cell).is_none_or(|content| content.len() < part) {
                self.error(cell, format!("a segment has no room for {part} bytes"));
            }
        }
    }

    /// The leaves of a key's lists, each owned and readable.
    fn lists(&mut self, node: &KeyNode<'_>) -> Vec<u32> {
        let count = node.subkey_count();
        if count == 0 {
            if node.subkeys() != NIL {
                self.warn(node.offset, "the key has a list of subkeys, but no subkeys");
            }
            return Vec::new();
        }
        if !self.own(node.subkeys(), "subkey list") {
            return Vec::new();
        }
        let Some(top) = self.take(self.bins.list(node.subkeys())) else { return Vec::new() };
        let mut leaves = Vec::new();
        let mut entries = 0;
        if top.kind == ListKind::Root {
            for leaf in top.offsets() {
                if self.own(leaf, "subkey list")
                    && let Some(list) = self.take(self.bins.leaf(leaf))
                {
                    if list.count() == 0 {
                        self.error(leaf, "an empty list below a root list");
                    }
                    entries += list.count();
                    leaves.push(leaf);
                }
            }
        } else {
            entries = top.count();
            leaves.push(top.offset);
        }
        if entries != count as usize {
            self.error(node.offset, format!("{count} subkeys, but their lists hold {entries}"));
        }
        leaves
    }

    /// Reference counts, and the one ring of all descriptors.
    fn rings(&mut self) {
        self.path.clear();
        let security = std::mem::take(&mut self.security);
        let Some((&first, _)) = security.first_key_value() else { return };
        let mut in_ring = 0;
        let mut at = first;
        loop {
            if !self.own(at, "security record") {
                break;
            }
            let Some(node) = self.take(self.bins.security(at)) else { break };
            in_ring += 1;
            let used = security.get(&at).copied().unwrap_or(0);
            if used == 0 {
                self.error(at, "a security record that no key uses");
            } else if node.count != used {
                self.error(at, format!("a reference count of {}, but {used} keys use it", node.count));
            }
            let next = node.next;
            if self.take(self.bins.security(next)).is_some_and(|next| next.previous != at) {
                self.error(next, format!("the record after {at:#x} does not point back to it"));
            }
            at = next;
            if at == first || self.is_full() {
                break;
            }
        }
        if in_ring != security.len() {
            self.error(first, format!("{in_ring} records are in the ring, but keys use {}", security.len()));
        }
    }

    /// Cells in use that nothing owns, and free cells side by side.
    fn leftovers(&mut self) {
        let (mut lost, mut lost_bytes, mut first_lost) = (0u64, 0u64, 0);
        let mut unjoined = None;
        for (index, &bin) in self.bins.bins.iter().enumerate() {
            let end = self.bins.bins.get(index + 1).copied().unwrap_or(self.bins.size);
            let mut offset = bin + BIN_HEADER_BYTES;
            let mut was_free = false;
            while offset < end && self.bins.starts.contains(offset) {
                let (size, used) = self.bins.cell_size(offset);
                if !used {
                    self.report.free_bytes += u64::from(size);
                    if was_free {
                        unjoined = unjoined.or(Some(offset));
                    }
                } else if !self.owned.contains(offset) {
                    if lost == 0 {
                        first_lost = offset;
                    }
                    lost += 1;
                    lost_bytes += u64::from(size);
                }
                was_free = !used;
                offset += size.max(8);
            }
        }
        if lost > 0 {
            self.warn(
                first_lost,
                format!("{lost} cells ({lost_bytes} bytes) are in use, but nothing uses them"),
            );
        }
        if let Some(offset) = unjoined {
            self.warn(offset, "free cells that lie side by side were not joined");
        }
    }
}
