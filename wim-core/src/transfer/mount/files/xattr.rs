//! Named data streams of a mounted image as extended attributes.

use std::ffi::OsStr;

use rustix::io::Errno;

use super::{Answer, MountedFiles, StreamKey, image_name, write_all};
use crate::base::{Sha1Digest, WimString};
use crate::image::StreamKind;
use crate::transfer::host_name;
use crate::transfer::mount::StreamsInterface;

/// Largest extended attribute that Linux takes.
const MAX_XATTR_BYTES: u64 = 65536;
/// What extended attributes of named streams begin with.
const XATTR_PREFIX: &str = "user.";

impl MountedFiles {
    pub(in super::super) fn xattr_names(&self, number: u64) -> Answer<Vec<u8>> {
        let mut list = Vec::new();
        if self.settings.streams == StreamsInterface::Xattr {
            for (kind, _) in self.tree.inode(self.key(number)?.inode).streams.iter() {
                if let StreamKind::Named(name) = kind {
                    list.extend_from_slice(XATTR_PREFIX.as_bytes());
                    list.extend_from_slice(host_name::to_host(name).as_encoded_bytes());
                    list.push(0);
                }
            }
        }
        Ok(list)
    }

    pub(in super::super) fn xattr(&self, number: u64, name: &OsStr) -> Answer<Vec<u8>> {
        let key = self.xattr_key(number, name)?.ok_or(Errno::NODATA)?;
        if self.size_of(&key)? > MAX_XATTR_BYTES {
            return Err(Errno::TOOBIG);
        }
        self.read_whole(&key, MAX_XATTR_BYTES)
    }

    pub(in super::super) fn set_xattr(
        &mut self,
        number: u64,
        name: &OsStr,
        value: &[u8],
        (must_be_new, must_exist): (bool, bool),
    ) -> Answer<()> {
        self.must_be_writable()?;
        let there = self.xattr_key(number, name)?;
        match &there {
            Some(_) if must_be_new => return Err(Errno::EXIST),
            None if must_exist => return Err(Errno::NODATA),
            _ => {}
        }
        let inode = self.key(number)?.inode;
        let kind = there.map_or_else(|| Ok(StreamKind::Named(xattr_name(name)?)), |key| Ok(key.kind))?;
        let key = StreamKey { inode, kind };
        let staged = self.stage_empty()?;
        write_all(&staged, value, 0)?;
        let inode = self.tree.inode_mut(key.inode);
        inode.streams = inode.streams.with(&key.kind, Sha1Digest::ZERO);
        self.staged.insert(key.clone(), staged);
        self.touch(key.inode);
        Ok(())
    }

    pub(in super::super) fn remove_xattr(&mut self, number: u64, name: &OsStr) -> Answer<()> {
        self.must_be_writable()?;
        let key = self.xattr_key(number, name)?.ok_or(Errno::NODATA)?;
        self.remove_stream(&key)
    }

    /// The named stream behind an extended attribute; none when the file has none of that name.
    fn xattr_key(&self, number: u64, name: &OsStr) -> Answer<Option<StreamKey>> {
        let name = xattr_name(name)?;
        if self.settings.streams != StreamsInterface::Xattr {
            return Err(Errno::OPNOTSUPP);
        }
        let inode = self.key(number)?.inode;
        Ok(self.existing_stream(inode, &name).map(|kind| StreamKey { inode, kind }))
    }
}

/// The stream's name in that of an extended attribute.
fn xattr_name(name: &OsStr) -> Answer<WimString> {
    let bytes = name.as_encoded_bytes().strip_prefix(XATTR_PREFIX.as_bytes()).ok_or(Errno::OPNOTSUPP)?;
    if bytes.is_empty() {
        return Err(Errno::INVAL);
    }
    image_name(std::os::unix::ffi::OsStrExt::from_bytes(bytes))
}
