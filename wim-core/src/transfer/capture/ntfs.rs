//! What a mounted NTFS volume keeps of the files that are captured, besides names and data.
//!
//! Each name and file is asked for it as the scan meets it (`transfer::ntfs_volume`). What cannot be read is counted by its
//! kind and told once. Encrypted files, whose data a mount gives in another form than a WIM holds, are left out, and reparse
//! points that the driver follows by itself are captured as the plain files that they look like.

use std::io;
use std::path::{Path, PathBuf};

use super::host::Kind;
use super::{AbsoluteLinks, CaptureOptions, Descriptors, FoundFile};
use crate::base::{Context, Error, FileTime, Result};
use crate::formats::wim::attributes::{DIRECTORY, ENCRYPTED, NORMAL, REPARSE_POINT, SPARSE};
use crate::formats::wim::reparse::{MOUNT_POINT, NOT_FIXED, SYMLINK};
use crate::image::{Inode, InodeId, NodeId, Reparse, StreamKind, Tree};
use crate::transfer::host_name;
use crate::transfer::ntfs_volume::{Kept, NtfsVolume, StreamData, StreamsInterface};

/// The volume that is captured, and what could not be read of it.
pub(super) struct NtfsSource {
    volume: NtfsVolume,
    descriptors: Descriptors,
    absolute_links: AbsoluteLinks,
    unread: Unread,
}

/// Numbers of files.
#[derive(Default)]
struct Unread {
    descriptors: u64,
    short_names: u64,
    object_ids: u64,
    extended_attributes: u64,
    /// Streams, or files whose streams could not even be listed.
    streams: u64,
    followed: u64,
}

/// A file, with what Windows keeps of it.
pub(super) struct NtfsInode {
    pub(super) inode: Inode,
    /// The data of a reparse point, which then is one and nothing else.
    pub(super) reparse_data: Option<Vec<u8>>,
}

impl NtfsSource {
    /// The volume that `source` lies on, if it is one.
    pub(super) fn of(source: &Path, options: &CaptureOptions) -> Option<Self> {
        let volume = NtfsVolume::of(source)?;
        let CaptureOptions { descriptors, absolute_links, .. } = *options;
        Some(Self { volume, descriptors, absolute_links, unread: Unread::default() })
    }

    /// `plain`, the file at `path` as any host tells of it, with what the volume knows; none for one to leave out.
    pub(super) fn inode(
        &mut self,
        cx: &Context<'_>,
        tree: &mut Tree,
        plain: Inode,
        kind: Kind,
        path: &Path,
    ) -> Result<Option<NtfsInode>> {
        let cannot = |e: io::Error| Error::io(e, "cannot read the attributes of", path);
        let Some(found) = self.volume.read(path).map_err(cannot)? else {
            return Ok(Some(NtfsInode { inode: plain, reparse_data: None }));
        };
        if found.attributes & ENCRYPTED != 0 && kind != Kind::Directory {
            let error =
                Error::unsupported("encrypted, which a mounted volume does not give as a WIM holds it");
            cx.progress.warn(&error.in_file(path.display()).remedy("decrypt it in Windows; it was left out"));
            return Ok(None);
        }
        self.count_unread(&found.unread, path)?;
        let descriptor = found.descriptor.filter(|_| self.descriptors != Descriptors::Omit);
        let security = descriptor.map(|bytes| tree.security_mut().add(&bytes)).transpose()?;
        let reparse = match found.attributes & REPARSE_POINT {
            0 => None,
            _ => NtfsVolume::reparse_point(path).map_err(cannot)?,
        };
        // Links made by the driver itself are system files of Interix, not reparse points.
        let reparse = reparse.filter(|_| kind == Kind::Link);
        self.unread.followed +=
            u64::from(reparse.is_none() && kind != Kind::Link && found.attributes & REPARSE_POINT != 0);
        let kind_bits = match (kind, reparse.is_some()) {
            (_, true) => found.attributes & DIRECTORY | REPARSE_POINT,
            (Kind::Directory, _) => DIRECTORY,
            (Kind::Link, _) => REPARSE_POINT,
            (Kind::File | Kind::Special, _) => 0,
        };
        let own =
            DIRECTORY | REPARSE_POINT | ENCRYPTED | NORMAL | if kind == Kind::File { 0 } else { SPARSE };
        let attributes = found.attributes & !own | kind_bits;
        let attributes = if attributes == 0 { NORMAL } else { attributes };
        let tagged_items = [found.items.as_slice(), &plain.tagged_items].concat().into();
        let (reparse, reparse_data) = reparse.unzip();
        // As wimlib has it of a volume: targets of links count from its root as they are.
        let is_fixed =
            |tag: u32| self.absolute_links == AbsoluteLinks::Fix && matches!(tag, SYMLINK | MOUNT_POINT);
        let flags = |tag: u32| if is_fixed(tag) { 0 } else { NOT_FIXED };
        let reparse = reparse.map(|reparse| Reparse { flags: flags(reparse.tag), ..reparse });
        let inode = Inode { attributes, times: found.times, security, tagged_items, reparse, ..plain };
        Ok(Some(NtfsInode { inode, reparse_data }))
    }

    /// Counts what could not be read of a file.
    ///
    /// # Errors
    /// `Unsupported` for a descriptor that must be captured.
    fn count_unread(&mut self, unread: &[Kept], path: &Path) -> Result<()> {
        for kind in unread {
            match kind {
                Kept::Descriptor if self.descriptors == Descriptors::Require => {
                    return Err(Error::unsupported("the security descriptor cannot be read")
                        .in_file(path.display())
                        .remedy("mount the volume as root, or leave --strict-acls out"));
                }
                Kept::Descriptor if self.descriptors == Descriptors::Omit => {}
                Kept::Descriptor => self.unread.descriptors += 1,
                Kept::ObjectId => self.unread.object_ids += 1,
                Kept::ExtendedAttributes => self.unread.extended_attributes += 1,
                Kept::Attributes | Kept::ShortName => {}
            }
        }
        Ok(())
    }

    /// Gives a name that was captured its 8.3 name.
    pub(super) fn short_name(&mut self, tree: &mut Tree, node: NodeId, path: &Path) -> Result<()> {
        match NtfsVolume::short_name(path) {
            Ok(Some(name)) => tree.set_short_name(node, name)?,
            Ok(None) => {}
            Err(_) => self.unread.short_names += 1,
        }
        Ok(())
    }

    /// Adds the named streams of a file or directory, whose path and the system's way to it are given: those that are files of
    /// the host to `files`, others to `data`.
    pub(super) fn streams(
        &mut self,
        inode: InodeId,
        kind: Kind,
        (path, way): (&Path, &Path),
        files: &mut Vec<FoundFile>,
        data: &mut Vec<(InodeId, StreamKind, Vec<u8>)>,
    ) {
        let Ok(names) = self.volume.stream_names(way) else {
            self.unread.streams += 1;
            return;
        };
        for name in names {
            // What looks like a symbolic link has its streams listed, and gives none.
            let stream = self.volume.stream(way, &name).ok().filter(|_| kind != Kind::Link);
            let found = match (host_name::to_image(&name).map(StreamKind::Named), stream) {
                (Some(kind), Some(StreamData::File(way))) => {
                    let path = NtfsVolume::stream_path(path, &name);
                    found_stream(inode, kind, (path, &way)).map(|file| files.push(file))
                }
                (Some(kind), Some(StreamData::Bytes(bytes))) => {
                    data.push((inode, kind, bytes));
                    Some(())
                }
                _ => None,
            };
            self.unread.streams += u64::from(found.is_none());
        }
    }

    /// Tells what could not be captured.
    pub(super) fn warn(&self, cx: &Context<'_>) {
        let warn =
            |message: String, remedy: &str| cx.progress.warn(&Error::unsupported(message).remedy(remedy));
        const MOUNT: &str = "mount the volume as root with ntfs-3g -o streams_interface=windows";
        if self.volume.streams() == StreamsInterface::Hidden {
            warn("the NTFS volume shows no named streams, so that none were captured".to_owned(), MOUNT);
        }
        for (count, what, remedy) in [
            (self.unread.descriptors, "security descriptors", MOUNT),
            (self.unread.streams, "named streams", MOUNT),
            (
                self.unread.short_names,
                "short names",
                "ntfs-3g tells none of files with several hard links; wimlib-imagex captures them from an unmounted volume",
            ),
            (self.unread.object_ids, "object ids", MOUNT),
            (self.unread.extended_attributes, "sets of extended attributes", MOUNT),
        ] {
            if count > 0 {
                warn(format!("{count} {what} of the NTFS volume could not be read"), remedy);
            }
        }
        if self.unread.followed > 0 {
            let message = format!(
                "{} reparse points that ntfs-3g follows were captured as the plain files that they look like",
                self.unread.followed
            );
            warn(message, "mount the volume without plugins of ntfs-3g");
        }
    }
}

/// A stream that is a file of the host; none when it cannot be looked at.
fn found_stream(inode: InodeId, kind: StreamKind, (path, way): (PathBuf, &Path)) -> Option<FoundFile> {
    let metadata = std::fs::symlink_metadata(way).ok().filter(std::fs::Metadata::is_file)?;
    let last_write = FileTime::from_system_time(metadata.modified().ok()?);
    Some(FoundFile { inode, kind, path, size: metadata.len(), last_write })
}
