//! What a mounted NTFS volume is given besides names and data: streams, reparse points, and what Windows keeps of files.
//!
//! Order matters: 8.3 names come before further names of a file, which ntfs-3g refuses otherwise; streams before reparse
//! points, which look like symbolic links from then on; attributes, descriptors and times last, since all else changes
//! them. What the volume refuses is counted by its kind. Encrypted files and the streams of the target itself are left out.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;

use super::host::{DirectoryId, Host};
use super::plan::PlannedStream;
use super::{Attributes, Descriptors, LeftOut, RestoreOptions};
use crate::base::{Error, ErrorKind, Result, Sha1Digest, WimString};
use crate::image::descriptors::SecurityDescriptors;
use crate::image::{Inode, Reparse};
use crate::transfer::host_name;
use crate::transfer::ntfs_volume::{Kept, MAX_XATTR_STREAM, NtfsVolume, StreamsInterface, Wanted};

/// A place below the target: a directory and a name in it; without one it is the directory.
pub(super) type At<'n> = (DirectoryId, &'n OsStr);

/// The target's volume, and what it did not take.
pub(super) struct NtfsTarget {
    volume: NtfsVolume,
    restore: RestoreOptions,
    pub(super) left_out: LeftOut,
}

impl NtfsTarget {
    pub(super) fn new(volume: NtfsVolume, restore: RestoreOptions) -> Self {
        Self { volume, restore, left_out: LeftOut::default() }
    }

    /// Gives a name its 8.3 name, if it has one.
    pub(super) fn set_short_name<H: Host>(
        &mut self,
        host: &mut H,
        at: At<'_>,
        short_name: &WimString,
    ) -> Result<()> {
        if short_name.is_empty() {
            return Ok(());
        }
        let done = host.with_path(at, |path| NtfsVolume::set_short_name(path, short_name))?;
        self.note(Kept::ShortName, done)
    }

    /// Writes a piece of a blob, or all of it, to a stream.
    pub(super) fn stream_piece<H: Host>(
        &mut self,
        host: &mut H,
        (at, name): (At<'_>, &WimString),
        (start, bytes, is_last): (u64, &[u8], bool),
    ) -> Result<()> {
        let is_attribute = self.volume.streams() == StreamsInterface::Attributes;
        if is_attribute && (start > 0 || !is_last || bytes.len() > MAX_XATTR_STREAM) {
            self.left_out.named_streams += u64::from(start == 0);
            return Ok(());
        }
        let name = host_name::to_host(name);
        let done = host.with_path(at, |path| match start {
            0 => self.volume.make_stream(path, &name, bytes),
            _ => NtfsVolume::append_to_stream(path, &name, bytes),
        })?;
        match done {
            Err(e) if e.kind() == io::ErrorKind::StorageFull => {
                Err(Error::new(ErrorKind::Io, format!("cannot write a named stream: {e}")).with_source(e))
            }
            // The same stream fails for each further piece.
            Err(_) => {
                self.left_out.named_streams += u64::from(start == 0);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Makes a reparse point of a file or empty directory that is there.
    pub(super) fn make_reparse_point<H: Host>(
        &mut self,
        host: &mut H,
        at: At<'_>,
        (reparse, data): (Reparse, &[u8]),
    ) -> Result<bool> {
        let done = host.with_path(at, |path| NtfsVolume::set_reparse_point(path, reparse, data))?;
        self.left_out.reparse_points += u64::from(done.is_err());
        Ok(done.is_ok())
    }

    /// Sets what Windows keeps of a file or directory; nothing may be changed in it afterwards.
    pub(super) fn restore<H: Host>(
        &mut self,
        host: &mut H,
        at: At<'_>,
        inode: &Inode,
        security: &SecurityDescriptors,
    ) -> Result<()> {
        let descriptor = match self.restore.descriptors {
            Descriptors::Omit => None,
            Descriptors::Restore | Descriptors::Require => inode.security.and_then(|id| security.get(id)),
        };
        let wanted = Wanted {
            attributes: (self.restore.attributes == Attributes::Restore).then_some(inode.attributes),
            times: inode.times,
            descriptor,
            items: &inode.tagged_items,
        };
        let lost = host.with_path(at, |path| self.volume.restore(path, &wanted))?;
        lost.into_iter().try_for_each(|(kind, error)| self.note(kind, Err(error)))
    }

    /// Counts what was not taken, or fails when it must be.
    fn note(&mut self, kind: Kept, done: io::Result<()>) -> Result<()> {
        let Err(error) = done else { return Ok(()) };
        let left_out = &mut self.left_out;
        *match kind {
            Kept::Descriptor if self.restore.descriptors == Descriptors::Require => {
                let message = format!("cannot restore the security descriptor: {error}");
                return Err(Error::new(ErrorKind::Io, message)
                    .remedy("mount the volume as root, or leave --strict-acls out")
                    .with_source(error));
            }
            Kept::Descriptor => &mut left_out.descriptors,
            Kept::Attributes => &mut left_out.attributes,
            Kept::ShortName => &mut left_out.short_names,
            Kept::ObjectId => &mut left_out.object_ids,
            Kept::ExtendedAttributes => &mut left_out.extended_attributes,
        } += 1;
        Ok(())
    }
}

/// The streams of a plan by their blobs, in the order of the plan.
pub(super) fn streams_by_digest(streams: &[PlannedStream]) -> HashMap<Sha1Digest, Vec<usize>> {
    let mut by_digest: HashMap<Sha1Digest, Vec<usize>> = HashMap::new();
    for (index, stream) in streams.iter().enumerate() {
        by_digest.entry(stream.digest).or_default().push(index);
    }
    by_digest
}
