//! What the kernel asks about the files of a mounted image.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use rustix::io::Errno;

use super::{
    Answer, Bytes, Entry, FOLDER, FileFacts, Handle, MountedFiles, REGULAR, StreamKey, image_name, inode_at,
    number_of,
};
use crate::formats::wim::attributes::ENCRYPTED;
use crate::image::{NodeId, StreamKind};
use crate::transfer::apply::link_text;
use crate::transfer::host_name::{self, NameRules};

impl MountedFiles {
    pub(in super::super) fn look_up(&mut self, parent: u64, name: &OsStr) -> Answer<FileFacts> {
        let directory = self.directory(parent)?;
        let name = image_name(name)?;
        if let Some(node) = self.child(directory, &name) {
            return self.facts_of(self.tree.node(node).inode);
        }
        let key = self.stream_named(directory, &name).ok_or(Errno::NOENT)?;
        let exists = self.tree.inode(key.inode).streams.iter().any(|(kind, _)| *kind == key.kind);
        if !exists {
            return Err(Errno::NOENT);
        }
        let number = self.number_of_stream(&key);
        self.facts(number)
    }

    pub(in super::super) fn facts(&self, number: u64) -> Answer<FileFacts> {
        let key = self.key(number)?;
        if key.kind == StreamKind::Data {
            return self.facts_of(key.inode);
        }
        let base = self.facts_of(key.inode)?;
        let size = self.size_of(&key)?;
        Ok(FileFacts { number, mode: REGULAR | base.mode & 0o777, size, links: 1, ..base })
    }

    pub(in super::super) fn link_text(&self, number: u64) -> Answer<OsString> {
        let inode = self.tree.inode(self.key(number)?.inode);
        let reparse = inode.reparse.ok_or(Errno::INVAL)?;
        let key = StreamKey { inode: self.key(number)?.inode, kind: StreamKind::Reparse };
        let data = self.read_whole(&key, u64::from(u16::MAX))?;
        let root = Some(self.settings.mountpoint.as_path());
        link_text::of_reparse_point(reparse, &data, root, NameRules::Unix).ok_or(Errno::INVAL)
    }

    /// Opens a directory: a list of what it holds now.
    pub(in super::super) fn open_directory(&mut self, number: u64) -> Answer<u64> {
        let directory = self.directory(number)?;
        let parent = self.tree.node(directory).parent.unwrap_or(directory);
        let entry = |name: &str, node: NodeId| Entry {
            number: number_of(self.tree.node(node).inode),
            mode: FOLDER,
            name: name.into(),
        };
        let mut entries = vec![entry(".", directory), entry("..", parent)];
        for &child in self.tree.children(directory) {
            let node = self.tree.node(child);
            entries.push(Entry {
                number: number_of(node.inode),
                mode: self.mode_of(self.tree.inode(node.inode)),
                name: host_name::to_host(&node.name),
            });
        }
        Ok(self.keep(Handle::Directory(entries.into())))
    }

    pub(in super::super) fn entries(&self, handle: u64) -> Answer<Arc<[Entry]>> {
        match self.handles.get(&handle) {
            Some(Handle::Directory(entries)) => Ok(Arc::clone(entries)),
            _ => Err(Errno::BADF),
        }
    }

    /// Opens a file; one that is to be written is staged at the first write.
    pub(in super::super) fn open(&mut self, number: u64, writes: bool) -> Answer<u64> {
        let key = self.key(number)?;
        let inode = self.tree.inode(key.inode);
        if inode.is_directory() {
            return Err(Errno::ISDIR);
        }
        if inode.attributes & ENCRYPTED != 0 && key.kind == StreamKind::Data {
            return Err(Errno::ACCESS);
        }
        if writes {
            self.must_be_writable()?;
        }
        Ok(self.keep(Handle::File { key, writes }))
    }

    pub(in super::super) fn bytes(&self, handle: u64) -> Answer<Bytes> {
        match self.handles.get(&handle) {
            Some(Handle::File { key, .. }) => Ok(self.bytes_of(key)),
            _ => Err(Errno::BADF),
        }
    }

    pub(in super::super) fn close(&mut self, handle: u64) {
        self.handles.remove(&handle);
    }

    /// Bytes of all files, and their number.
    pub(in super::super) fn totals(&self) -> (u64, u64) {
        let inodes = (0..self.tree.inode_bound()).filter_map(|index| u32::try_from(index).ok());
        let files = inodes.map(|index| self.tree.inode(inode_at(index))).filter(|inode| inode.names > 0);
        files.fold((0, 0), |(bytes, count), inode| {
            (bytes + self.reader.size(&inode.data()).unwrap_or(0), count + 1)
        })
    }
}
