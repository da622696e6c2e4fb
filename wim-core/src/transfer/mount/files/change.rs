//! What the kernel changes in a mounted image: names, contents, times, owners.

use std::ffi::OsStr;
use std::path::Path;

use rustix::io::Errno;

use super::{
    Answer, FOLDER, FileFacts, Handle, LINK, MountedFiles, NewFacts, REGULAR, StreamKey, TYPE_MASK, errno,
    image_name, write_all,
};
use crate::base::Sha1Digest;
use crate::formats::wim::attributes::{DIRECTORY, NORMAL, REPARSE_POINT};
use crate::formats::wim::reparse::{NOT_FIXED, SYMLINK};
use crate::formats::wim::tagged_items::UnixData;
use crate::image::{Inode, Reparse, StreamKind};
use crate::transfer::capture::scan::link_target;
use crate::transfer::host_name;
use crate::transfer::mount::UnixRules;

impl MountedFiles {
    pub(in super::super) fn create(
        &mut self,
        parent: u64,
        name: &OsStr,
        (mode, device): (u32, u32),
        owner: (u32, u32),
    ) -> Answer<FileFacts> {
        self.must_be_writable()?;
        let directory = self.directory(parent)?;
        let name = image_name(name)?;
        if let Some(key) = self.stream_named(directory, &name) {
            let inode = self.tree.inode_mut(key.inode);
            inode.streams = inode.streams.with(&key.kind, Sha1Digest::ZERO);
            self.has_changed = true;
            let number = self.number_of_stream(&key);
            return self.facts(number);
        }
        let kind = mode & TYPE_MASK;
        let is_plain = matches!(kind, 0 | REGULAR | FOLDER);
        if !is_plain && self.settings.unix == UnixRules::Mounter {
            return Err(Errno::PERM);
        }
        let mode = if kind == 0 { mode | REGULAR } else { mode };
        let attributes = if kind == FOLDER { DIRECTORY } else { NORMAL };
        let tagged_items = match self.settings.unix {
            UnixRules::FromImage => {
                UnixData { owner: owner.0, group: owner.1, mode, device }.to_item().into()
            }
            UnixRules::Mounter => Box::default(),
        };
        self.add(directory, name, Inode { attributes, tagged_items, ..Inode::default() })
    }

    pub(in super::super) fn symlink(
        &mut self,
        parent: u64,
        name: &OsStr,
        target: &Path,
        owner: (u32, u32),
    ) -> Answer<FileFacts> {
        self.must_be_writable()?;
        let directory = self.directory(parent)?;
        let name = image_name(name)?;
        let inside = target.strip_prefix(&self.settings.mountpoint).ok();
        let text = host_name::to_image(inside.unwrap_or(target).as_os_str()).ok_or(Errno::ILSEQ)?;
        let data = link_target(&text, target.is_absolute()).to_symlink_data().ok_or(Errno::NAMETOOLONG)?;
        let tagged_items = match self.settings.unix {
            UnixRules::FromImage => {
                UnixData { owner: owner.0, group: owner.1, mode: LINK | 0o777, device: 0 }.to_item().into()
            }
            UnixRules::Mounter => Box::default(),
        };
        let flags = if inside.is_some() { 0 } else { NOT_FIXED };
        let inode = Inode {
            attributes: REPARSE_POINT,
            reparse: Some(Reparse { tag: SYMLINK, reserved: 0, flags }),
            tagged_items,
            ..Inode::default()
        };
        let facts = self.add(directory, name, inode)?;
        let key = StreamKey { inode: self.key(facts.number)?.inode, kind: StreamKind::Reparse };
        let staged = self.stage_empty()?;
        write_all(&staged, &data, 0)?;
        self.staged.insert(key, staged);
        self.facts(facts.number)
    }

    pub(in super::super) fn link(&mut self, number: u64, parent: u64, name: &OsStr) -> Answer<FileFacts> {
        self.must_be_writable()?;
        let key = self.key(number)?;
        if key.kind != StreamKind::Data || self.tree.inode(key.inode).is_directory() {
            return Err(Errno::PERM);
        }
        let directory = self.directory(parent)?;
        let name = image_name(name)?;
        if self.child(directory, &name).is_some() {
            return Err(Errno::EXIST);
        }
        // The tree refuses a second name of a reparse point.
        let node = self.tree.add_name(directory, name, key.inode).map_err(|_| Errno::PERM)?;
        self.names[key.inode.index()].push(node);
        self.touch_directory(directory);
        self.facts_of(key.inode)
    }

    pub(in super::super) fn unlink(&mut self, parent: u64, name: &OsStr) -> Answer<()> {
        self.must_be_writable()?;
        let directory = self.directory(parent)?;
        let name = image_name(name)?;
        let Some(node) = self.child(directory, &name) else {
            let key = self.stream_named(directory, &name).ok_or(Errno::NOENT)?;
            return self.remove_stream(&key).map_err(|_| Errno::NOENT);
        };
        if self.tree.inode_of(node).is_directory() {
            return Err(Errno::ISDIR);
        }
        self.remove(directory, node);
        Ok(())
    }

    pub(in super::super) fn rmdir(&mut self, parent: u64, name: &OsStr) -> Answer<()> {
        self.must_be_writable()?;
        let directory = self.directory(parent)?;
        let node = self.child(directory, &image_name(name)?).ok_or(Errno::NOENT)?;
        if !self.tree.inode_of(node).is_directory() {
            return Err(Errno::NOTDIR);
        }
        if !self.tree.children(node).is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        self.remove(directory, node);
        Ok(())
    }

    pub(in super::super) fn rename(
        &mut self,
        (from_parent, from_name): (u64, &OsStr),
        (to_parent, to_name): (u64, &OsStr),
        may_replace: bool,
    ) -> Answer<()> {
        self.must_be_writable()?;
        let (from, to) = (self.directory(from_parent)?, self.directory(to_parent)?);
        let (from_name, to_name) = (image_name(from_name)?, image_name(to_name)?);
        let node = self.child(from, &from_name).ok_or(Errno::NOENT)?;
        let there = self.child(to, &to_name).filter(|&there| there != node);
        if let Some(there) = there {
            if !may_replace {
                return Err(Errno::EXIST);
            }
            if self.tree.node(there).inode == self.tree.node(node).inode {
                // Two names of one file: POSIX says that nothing happens.
                return Ok(());
            }
            let kinds = (self.tree.inode_of(node).is_directory(), self.tree.inode_of(there).is_directory());
            match kinds {
                (false, true) => return Err(Errno::ISDIR),
                (true, false) => return Err(Errno::NOTDIR),
                (true, true) if !self.tree.children(there).is_empty() => return Err(Errno::NOTEMPTY),
                _ => {}
            }
        }
        let replaced = there.map(|there| self.tree.node(there).inode);
        let (old, new) = (self.tree.path_of(node), self.tree.path_of(to).child(to_name));
        // What is left to refuse is a directory moved into itself, and names that no file can have.
        self.tree.rename(&old, &new, self.settings.case).map_err(|_| Errno::INVAL)?;
        if let (Some(inode), Some(there)) = (replaced, there) {
            self.names[inode.index()].retain(|&name| name != there);
        }
        self.touch_directory(from);
        self.touch_directory(to);
        Ok(())
    }

    pub(in super::super) fn write(&mut self, handle: u64, bytes: &[u8], start: u64) -> Answer<()> {
        self.must_be_writable()?;
        let key = match self.handles.get(&handle) {
            Some(Handle::File { key, writes: true }) => key.clone(),
            _ => return Err(Errno::BADF),
        };
        let staged = self.stage(&key, u64::MAX)?;
        write_all(&staged, bytes, start)?;
        self.touch(key.inode);
        Ok(())
    }

    pub(in super::super) fn change(&mut self, number: u64, new: &NewFacts) -> Answer<FileFacts> {
        self.must_be_writable()?;
        let key = self.key(number)?;
        let changes_unix = new.mode.is_some() || new.owner.0.is_some() || new.owner.1.is_some();
        if changes_unix && self.settings.unix == UnixRules::Mounter {
            return Err(Errno::OPNOTSUPP);
        }
        if let Some(size) = new.size {
            if self.tree.inode(key.inode).is_directory() {
                return Err(Errno::ISDIR);
            }
            let staged = self.stage(&key, size)?;
            staged.file.set_len(size).map_err(errno)?;
            self.touch(key.inode);
        }
        if changes_unix {
            let facts = self.facts_of(key.inode)?;
            let mode = new.mode.map_or(facts.mode, |mode| facts.mode & TYPE_MASK | mode & !TYPE_MASK);
            let owner = (new.owner.0.unwrap_or(facts.owner.0), new.owner.1.unwrap_or(facts.owner.1));
            let unix = UnixData { owner: owner.0, group: owner.1, mode, device: facts.device };
            let inode = self.tree.inode_mut(key.inode);
            inode.tagged_items = unix.replace_in(&inode.tagged_items).into();
        }
        let times = &mut self.tree.inode_mut(key.inode).times;
        times.last_access = new.last_access.unwrap_or(times.last_access);
        times.last_write = new.last_write.unwrap_or(times.last_write);
        self.has_changed = true;
        self.facts(number)
    }
}
