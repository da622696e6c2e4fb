//! Editing a hive in place: keys made, renamed and deleted, values set and deleted; nothing else changes.
//!
//! Before its first edit a hive is checked whole; one that breaks an invariant is not edited. An edit that asks for
//! what is there already changes nothing, not even a timestamp.

use super::base_block::{self, Finish};
use super::big_data::SEGMENT_BYTES;
use super::cell::{Bins, NIL, len_u32, put};
use super::key::{MAX_KEY_NAME_UNITS, NewKey, at};
use super::name;
use super::reader::{MAX_DEPTH, State, components};
use super::value::{self, DataPlace, MAX_RESIDENT_BYTES, MAX_VALUE_NAME_UNITS, RESIDENT};
use super::{Hive, HiveVersion, RegValue, Severity, key_flags};
use crate::base::upcase::upcase;
use crate::base::{Error, FileTime, Result};

/// What a deletion of a key may take along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteScope {
    /// The key with everything below it, unless one of them is marked as not to be deleted.
    Subtree,
    /// Everything, marks or not.
    Forced,
}

impl Hive {
    /// Sets the time stamped on keys edited from now on, and on the base block at the end; without it, the time of the
    /// hive's last write.
    pub fn set_edit_time(&mut self, time: FileTime) {
        self.edit_time = time;
    }

    /// Whether anything was changed since opening.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.is_new || self.bins.writes > 0
    }

    /// Makes the key at `path` with all missing keys above it. Returns true when any was made.
    ///
    /// # Errors
    /// `InvalidInput` for names that are empty, longer than 255 units or hold a NUL, and for paths deeper than 512;
    /// `Format` when the hive is damaged; `Limit` when it would grow beyond 2 GiB.
    pub fn create_key(&mut self, path: &str) -> Result<bool> {
        check_path(path)?;
        self.edit(|hive| hive.make_path(path).map(|(_, made)| made))
    }

    /// Sets the value `name` (empty: the default value) of the key at `path`, which is made if it is missing. Returns
    /// true when anything changed.
    ///
    /// # Errors
    /// As [`Self::create_key`]; also `InvalidInput` for a value name above 16,383 units or with a NUL.
    pub fn set_value(&mut self, path: &str, name: &str, data: &RegValue) -> Result<bool> {
        check_path(path)?;
        let units: Vec<u16> = name.encode_utf16().collect();
        check_value_name(&units)?;
        self.edit(|hive| {
            let (key, made) = hive.make_path(path)?;
            let changed = hive.put_value(key, &units, data)?;
            Ok(made || changed)
        })
    }

    /// Deletes the value `name` of the key at `path`. Returns false when there is none.
    ///
    /// # Errors
    /// `Format` when the hive is damaged.
    pub fn delete_value(&mut self, path: &str, name: &str) -> Result<bool> {
        let Some(key) = self.key(path)? else { return Ok(false) };
        if key.value(name)?.is_none() {
            return Ok(false);
        }
        let key = key.offset();
        let upcased = name::upcased(name);
        self.edit(|hive| hive.take_value(key, &upcased))
    }

    /// Deletes the key at `path` with everything below it. Returns false when there is none.
    ///
    /// # Errors
    /// `InvalidInput` for the root, and for keys marked as not to be deleted unless forced; `Format` when the hive is
    /// damaged.
    pub fn delete_key(&mut self, path: &str, scope: DeleteScope) -> Result<bool> {
        let Some(key) = self.key(path)? else { return Ok(false) };
        if key.offset() == self.base.root {
            return Err(Error::invalid_input("the root of a hive cannot be deleted"));
        }
        let key = key.offset();
        self.edit(|hive| hive.delete_tree(key, scope).map(|()| true))
    }

    /// Renames the key at `path`; `new_name` is one name, not a path. Returns false when it has that very name.
    ///
    /// # Errors
    /// `NotFound` when there is no such key; `InvalidInput` for the root, for a name that is taken or not allowed;
    /// `Format` when the hive is damaged.
    pub fn rename_key(&mut self, path: &str, new_name: &str) -> Result<bool> {
        let units = check_key_name(new_name)?;
        let key = self.key(path)?.ok_or_else(|| no_key(path))?;
        if key.offset() == self.base.root {
            return Err(Error::invalid_input("the root of a hive cannot be renamed"));
        }
        if key.name().units() == units {
            return Ok(false);
        }
        let key = key.offset();
        self.edit(|hive| hive.rename(key, &units).map(|()| true))
    }

    /// Gives the key at `path` a security descriptor (self-relative). Returns false when it has it already.
    ///
    /// # Errors
    /// `NotFound` when there is no such key, `Format` when the hive is damaged.
    pub fn set_security(&mut self, path: &str, descriptor: &[u8]) -> Result<bool> {
        let key = self.key(path)?.ok_or_else(|| no_key(path))?;
        if key.security()? == Some(descriptor) {
            return Ok(false);
        }
        let key = key.offset();
        self.edit(|hive| {
            hive.bins.set_security(key, descriptor)?;
            hive.touch(key).map(|()| true)
        })
    }

    /// Gives the key at `path` a class name; the empty one takes it away. Returns false when it has it already.
    ///
    /// # Errors
    /// `NotFound` when there is no such key, `InvalidInput` for a class above 32,767 units, `Format` when the hive is
    /// damaged.
    pub fn set_class(&mut self, path: &str, class: &str) -> Result<bool> {
        let key = self.key(path)?.ok_or_else(|| no_key(path))?;
        let units: Vec<u16> = class.encode_utf16().collect();
        if key.class()?.map_or(units.is_empty(), |old| old.units() == units) {
            return Ok(false);
        }
        let key = key.offset();
        self.edit(|hive| hive.put_class(key, &units).map(|()| true))
    }

    /// Keeps what is changed from now on for [`Self::roll_back`]. `savepoint` numbers must rise; asking again for the
    /// newest is nothing.
    pub fn begin_savepoint(&mut self, savepoint: u32) {
        self.bins.begin(savepoint);
    }

    /// Goes back to the very bytes that the hive had at `savepoint`, or at the first one after it.
    pub fn roll_back(&mut self, savepoint: u32) {
        self.bins.roll_back(savepoint);
        // Only an edit of a sound hive can fail halfway.
        if self.state == State::Broken {
            self.state = State::Sound;
        }
    }

    /// The finished file: sequence numbers, time and checksum brought up to date if anything changed, else the very
    /// bytes that were read.
    ///
    /// # Errors
    /// `InvalidInput` when an edit failed halfway.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        if self.state == State::Broken {
            return Err(Error::invalid_input("an edit of this hive failed halfway; it is not written"));
        }
        if self.is_changed() {
            let finish = Finish {
                sequence: self.base.primary_sequence.max(self.base.secondary_sequence).wrapping_add(1),
                last_written: Some(self.edit_time),
                bins_bytes: self.bins.size,
            };
            base_block::finish(&mut self.bins.bytes, &finish);
        }
        Ok(self.bins.bytes)
    }

    /// Runs one edit: the hive is checked before the first, and must not be written after one that failed halfway.
    pub(super) fn edit<T>(&mut self, edit: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.require_sound()?;
        let writes = self.bins.writes;
        let result = edit(self);
        if result.is_err() && self.bins.writes != writes {
            self.state = State::Broken;
        }
        result
    }

    fn require_sound(&mut self) -> Result<()> {
        match self.state {
            State::Sound => Ok(()),
            State::Broken => Err(Error::invalid_input("an earlier edit of this hive failed halfway")),
            State::Damaged => {
                Err(Error::invalid_input("the hive was opened in spite of damage and is not edited")
                    .remedy("repair it first: wim reg compact --force-repair"))
            }
            State::Unchecked => {
                let report = self.check();
                let mut errors = report.findings.iter().filter(|f| f.severity == Severity::Error);
                if let Some(first) = errors.next() {
                    let more = errors.count();
                    return Err(Error::corrupt(format!(
                        "the hive is damaged and is not edited: {first} (and {more} more findings)"
                    ))
                    .remedy("see wim reg check for all of it, and wim reg compact --force-repair"));
                }
                self.state = State::Sound;
                Ok(())
            }
        }
    }

    fn touch(&mut self, key: u32) -> Result<()> {
        let time = self.edit_time.0.to_le_bytes();
        self.bins.write(key, at::LAST_WRITTEN, &time)
    }

    /// Finds or makes every key of `path`; returns the last one's offset, and whether any was made.
    fn make_path(&mut self, path: &str) -> Result<(u32, bool)> {
        let mut key = self.base.root;
        let mut made = false;
        for name in components(path) {
            let units: Vec<u16> = name.encode_utf16().collect();
            let upcased: Vec<u16> = units.iter().map(|&unit| upcase(unit)).collect();
            key = match self.bins.find_subkey(&self.bins.key(key)?, &upcased)? {
                Some(found) if self.bins.key(found)?.is_tombstone(self.base.version) => {
                    return Err(Error::unsupported(format!("{name:?} is hidden by a layer of a container")));
                }
                Some(found) => found,
                None => {
                    made = true;
                    self.add_key(key, &units)?
                }
            };
        }
        Ok((key, made))
    }

    pub(super) fn add_key(&mut self, parent: u32, units: &[u16]) -> Result<u32> {
        let security = self.bins.inherit_security(parent)?;
        let (name, compressed) = name::encode(units);
        let time = self.edit_time;
        let record = NewKey { name: &name, compressed, flags: 0, time, parent, security }.to_bytes();
        let key = self.bins.allocate(record.len(), parent)?;
        self.bins.write(key, 0, &record)?;
        self.bins.insert_subkey(parent, key, self.base.version)?;
        raise_u16(&mut self.bins, parent, at::MAX_SUBKEY_NAME, units.len() * 2)?;
        self.touch(parent)?;
        Ok(key)
    }

    /// Sets a value of the key at `key`; true when anything changed.
    pub(super) fn put_value(&mut self, key: u32, units: &[u16], data: &RegValue) -> Result<bool> {
        let upcased: Vec<u16> = units.iter().map(|&unit| upcase(unit)).collect();
        let version = self.base.version;
        if self.bins.key(key)?.has(key_flags::PREDEFINED_HANDLE) {
            return Err(Error::unsupported("the key is a predefined handle and has no values"));
        }
        match self.bins.find_value(key, &upcased)? {
            Some((_, found)) => {
                let node = self.bins.value(found)?;
                if node.is_tombstone(version) {
                    return Err(Error::unsupported("the value is hidden by a layer of a container"));
                }
                if node.kind() == data.kind && *node.data(&self.bins, version)? == *data.data {
                    return Ok(false);
                }
                self.bins.replace_data(found, &data.data, version)?;
                self.bins.write_u32(found, value::at::KIND, data.kind)?;
            }
            None => self.bins.add_value(key, units, data, version)?,
        }
        raise_u32(&mut self.bins, key, at::MAX_VALUE_NAME, units.len() * 2)?;
        raise_u32(&mut self.bins, key, at::MAX_VALUE_DATA, data.data.len())?;
        self.touch(key)?;
        Ok(true)
    }

    fn take_value(&mut self, key: u32, upcased: &[u16]) -> Result<bool> {
        let Some((index, found)) = self.bins.find_value(key, upcased)? else { return Ok(false) };
        self.bins.remove_value(key, index)?;
        self.bins.release_value(found, self.base.version)?;
        self.touch(key)?;
        Ok(true)
    }

    fn delete_tree(&mut self, top: u32, scope: DeleteScope) -> Result<()> {
        let mut keys = vec![top];
        let mut index = 0;
        // Parents come before their children here, so that freeing from the end never meets a freed parent.
        while let Some(&key) = keys.get(index) {
            let node = self.bins.key(key)?;
            if node.has(key_flags::NO_DELETE) && scope != DeleteScope::Forced {
                return Err(Error::invalid_input(format!(
                    "the key {} is marked not to be deleted",
                    node.name()
                )));
            }
            for child in self.bins.subkey_offsets(&node) {
                keys.push(child?);
            }
            index += 1;
        }
        let parent = self.bins.key(top)?.parent();
        self.bins.remove_subkey(parent, top)?;
        for &key in keys.iter().rev() {
            self.bins.release_key(key, self.base.version)?;
        }
        self.touch(parent)
    }

    fn rename(&mut self, key: u32, units: &[u16]) -> Result<()> {
        let upcased: Vec<u16> = units.iter().map(|&unit| upcase(unit)).collect();
        let parent = self.bins.key(key)?.parent();
        let taken = self.bins.find_subkey(&self.bins.key(parent)?, &upcased)?;
        if taken.is_some_and(|other| other != key) {
            return Err(Error::invalid_input(format!(
                "a key {:?} exists already",
                String::from_utf16_lossy(units)
            )));
        }
        self.bins.remove_subkey(parent, key)?;
        let (name, compressed) = name::encode(units);
        let key = self.bins.rewrite_name(key, &name, compressed)?;
        self.bins.insert_subkey(parent, key, self.base.version)?;
        raise_u16(&mut self.bins, parent, at::MAX_SUBKEY_NAME, units.len() * 2)?;
        self.touch(key)?;
        self.touch(parent)
    }

    fn put_class(&mut self, key: u32, units: &[u16]) -> Result<()> {
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let length = u16::try_from(bytes.len())
            .map_err(|_| Error::invalid_input("a class name is at most 32767 units long"))?;
        let node = self.bins.key(key)?;
        let old = (node.class_bytes() > 0).then(|| node.class());
        let parent = node.parent();
        let new = if bytes.is_empty() { NIL } else { self.bins.allocate(bytes.len(), key)? };
        if new != NIL {
            self.bins.write(new, 0, &bytes)?;
        }
        if let Some(old) = old {
            self.bins.release(old)?;
        }
        self.bins.write_u32(key, at::CLASS, new)?;
        self.bins.write_u16(key, at::CLASS_LENGTH, length)?;
        if key != self.base.root {
            raise_u32(&mut self.bins, parent, at::MAX_SUBKEY_CLASS, bytes.len())?;
        }
        self.touch(key)
    }
}

fn no_key(path: &str) -> Error {
    Error::not_found(format!("there is no key {path}"))
}

/// Checks every name of a path and its depth.
fn check_path(path: &str) -> Result<()> {
    let mut depth = 0;
    for name in components(path) {
        check_key_name(name)?;
        depth += 1;
    }
    if depth >= MAX_DEPTH {
        return Err(Error::invalid_input(format!("a path of {depth} keys; 511 are allowed below the root")));
    }
    Ok(())
}

fn check_key_name(name: &str) -> Result<Vec<u16>> {
    let units: Vec<u16> = name.encode_utf16().collect();
    if units.is_empty() || units.len() > MAX_KEY_NAME_UNITS || name.contains(['\\', '\0']) {
        return Err(Error::invalid_input(format!(
            "{name:?} cannot be the name of a key: 1 to 255 characters, no backslash, no NUL"
        )));
    }
    Ok(units)
}

fn check_value_name(units: &[u16]) -> Result<()> {
    if units.len() > MAX_VALUE_NAME_UNITS || units.contains(&0) {
        return Err(Error::invalid_input(
            "the name of a value has at most 16383 characters and no NUL".to_owned(),
        ));
    }
    Ok(())
}

/// Raises one of a key's "largest" fields; Windows does not lower them, so neither is done here.
fn raise_u32(bins: &mut Bins, key: u32, field: usize, value: usize) -> Result<()> {
    let old = super::cell::le_u32(bins.key(key)?.bytes(), field);
    let value = len_u32(value);
    if value > old { bins.write_u32(key, field, value) } else { Ok(()) }
}

fn raise_u16(bins: &mut Bins, key: u32, field: usize, value: usize) -> Result<()> {
    let old = super::cell::le_u16(bins.key(key)?.bytes(), field);
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    if value > old { bins.write_u16(key, field, value) } else { Ok(()) }
}

impl Bins {
    /// Index in the list and offset of the value with this upcased name.
    fn find_value(&self, key: u32, upcased: &[u16]) -> Result<Option<(usize, u32)>> {
        let node = self.key(key)?;
        for (index, entry) in self.value_list(node.values(), node.value_count())?.iter().enumerate() {
            let offset = u32::from_le_bytes(*entry);
            if self.value(offset)?.name().eq_upcased(upcased) {
                return Ok(Some((index, offset)));
            }
        }
        Ok(None)
    }

    fn add_value(&mut self, key: u32, units: &[u16], data: &RegValue, version: HiveVersion) -> Result<()> {
        let record = value::new_record(units, data.kind);
        let new = self.allocate(record.len(), key)?;
        self.write(new, 0, &record)?;
        self.replace_data(new, &data.data, version)?;
        let node = self.key(key)?;
        let (count, list) = (node.value_count(), node.values());
        let need = (count as usize + 1) * 4;
        let list = if count == 0 {
            self.allocate(need, key)?
        } else if self.cell(list, "value list")?.len() < need {
            self.grow(list, need + need / 2, key)?
        } else {
            list
        };
        self.write_u32(list, count as usize * 4, new)?;
        self.write_u32(key, at::VALUES, list)?;
        self.write_u32(key, at::VALUE_COUNT, count + 1)
    }

    /// Takes entry `index` out of a key's list of values.
    fn remove_value(&mut self, key: u32, index: usize) -> Result<()> {
        let node = self.key(key)?;
        let (count, list) = (node.value_count(), node.values());
        let end = count as usize * 4;
        if count <= 1 {
            self.release(list)?;
            self.write_u32(key, at::VALUES, NIL)?;
        } else {
            if index * 4 + 4 < end {
                self.move_within(list, index * 4 + 4..end, index * 4)?;
            }
            self.write_u32(list, end - 4, 0)?;
        }
        self.write_u32(key, at::VALUE_COUNT, count.saturating_sub(1))
    }

    /// Puts data into the value at `offset`, in the place it has if that fits, and frees what is no longer needed.
    pub(super) fn replace_data(&mut self, offset: u32, data: &[u8], version: HiveVersion) -> Result<()> {
        if data.len() >= RESIDENT as usize {
            return Err(Error::limit(format!("a value of {} bytes", data.len())));
        }
        let node = self.value(offset)?;
        let (old_place, old_size) = (node.place(version), node.size());
        let is_big = version.has_big_data() && data.len() > SEGMENT_BYTES;
        if data.len() <= MAX_RESIDENT_BYTES {
            let mut field = [0; 4];
            put(&mut field, 0, data);
            self.release_data(old_place, old_size)?;
            self.write(offset, value::at::DATA, &field)?;
            return self.write_u32(offset, value::at::SIZE, len_u32(data.len()) | RESIDENT);
        }
        let cell = match old_place {
            DataPlace::Cell(cell) if !is_big && self.cell(cell, "value data")?.len() >= data.len() => {
                self.write(cell, 0, data)?;
                let slack = self.cell(cell, "value data")?.len() - data.len();
                self.write(cell, data.len(), &vec![0; slack])?;
                self.shrink(cell, data.len())?;
                cell
            }
            _ if is_big => {
                let record = self.write_segments(data, offset)?;
                self.release_data(old_place, old_size)?;
                record
            }
            _ => {
                let cell = self.allocate(data.len(), offset)?;
                self.write(cell, 0, data)?;
                self.release_data(old_place, old_size)?;
                cell
            }
        };
        self.write_u32(offset, value::at::DATA, cell)?;
        self.write_u32(offset, value::at::SIZE, len_u32(data.len()))
    }

    fn release_data(&mut self, place: DataPlace, size: usize) -> Result<()> {
        match place {
            DataPlace::Resident => Ok(()),
            DataPlace::Cell(cell) => self.release(cell),
            DataPlace::Segments(record) => self.release_segments(record, size),
        }
    }

    fn release_value(&mut self, offset: u32, version: HiveVersion) -> Result<()> {
        let node = self.value(offset)?;
        self.release_data(node.place(version), node.size())?;
        self.release(offset)
    }

    /// Frees a key node with its class, values, lists and hold on security; its subkeys must be gone from the tree.
    fn release_key(&mut self, key: u32, version: HiveVersion) -> Result<()> {
        let node = self.key(key)?;
        let values = self.value_list(node.values(), node.value_count())?.to_vec();
        let class = (node.class_bytes() > 0 && node.class() != NIL).then(|| node.class());
        let (value_list, value_count, security) = (node.values(), node.value_count(), node.security());
        let lists = (node.subkey_count() > 0).then(|| node.subkeys());
        for value in values {
            self.release_value(u32::from_le_bytes(value), version)?;
        }
        if value_count > 0 {
            self.release(value_list)?;
        }
        if let Some(class) = class {
            self.release(class)?;
        }
        if let Some(top) = lists {
            let list = self.list(top)?;
            if list.kind == super::subkeys::ListKind::Root {
                let leaves: Vec<u32> = list.offsets().collect();
                for leaf in leaves {
                    self.release(leaf)?;
                }
            }
            self.release(top)?;
        }
        self.drop_security(security)?;
        self.release(key)
    }

    /// Gives a key node another name; it moves when its cell has no room. Returns where it is now.
    fn rewrite_name(&mut self, key: u32, name: &[u8], compressed: name::Compressed) -> Result<u32> {
        let node = self.key(key)?;
        let flags = match compressed {
            name::Compressed::Yes => node.flags() | key_flags::COMPRESSED_NAME,
            name::Compressed::No => node.flags() & !key_flags::COMPRESSED_NAME,
        };
        let content = super::key::HEADER_BYTES + name.len();
        let children: Vec<u32> = self.subkey_offsets(&node).collect::<Result<_>>()?;
        let moved = self.grow(key, content, key)?;
        if moved != key {
            for child in children {
                self.write_u32(child, at::PARENT, moved)?;
            }
        }
        let slack = self.cell(moved, "key node")?.len() - content;
        self.write(moved, super::key::HEADER_BYTES, name)?;
        self.write(moved, content, &vec![0; slack])?;
        self.write_u16(moved, at::FLAGS, flags)?;
        self.write_u16(moved, at::NAME_LENGTH, u16::try_from(name.len()).unwrap_or(u16::MAX))?;
        self.shrink(moved, content)?;
        Ok(moved)
    }
}
