//! Makes what a plan says: directories, files from pieces of blobs, further names, links, times.
//!
//! One blob at a time arrives in order, so that one file is open at a time; others with the same content are written along
//! when the blob is small, and copied from the first when it is large.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::host::{Host, LinkKind, NewFile, RestoredUnix};
use super::ntfs::{At, NtfsTarget, streams_by_digest};
use super::plan::{Plan, Spot, Unholdable};
use super::side_file::Made;
use super::{ApplyReport, Attributes, LeftOut, RestoreOptions, UnixRestore};
use crate::base::{Context, Error, ErrorKind, Place, Reason, Result, Sha1Digest};
use crate::formats::wim::attributes::{DIRECTORY, SPARSE};
use crate::formats::wim::reparse::{MOUNT_POINT, SYMLINK};
use crate::image::{Inode, NodeId, StreamKind, Tree};
use crate::transfer::ntfs_volume::NtfsVolume;
use crate::transfer::read::BlobPiece;

/// Zeros of a sparse file are left out in blocks of this many bytes.
const HOLE_BYTES: usize = 64 << 10;
/// Bytes of a file that are copied between two looks at whether the job is cancelled.
const COPY_BYTES: u64 = 64 << 20;

pub(super) struct Writer<'a, 'c, H: Host> {
    cx: &'a Context<'c>,
    tree: &'a Tree,
    host: H,
    plan: Plan,
    restore: RestoreOptions,
    /// The file that a blob in several pieces goes to.
    open: Option<H::NewFile>,
    report: ApplyReport,
    /// The mounted NTFS volume that all goes to.
    ntfs: Option<NtfsTarget>,
    /// The texts of the links that were made, when a side file tells of them.
    made_links: HashMap<NodeId, OsString>,
}

impl<'a, 'c, H: Host> Writer<'a, 'c, H> {
    pub(super) fn new(
        cx: &'a Context<'c>,
        tree: &'a Tree,
        host: H,
        plan: Plan,
        restore: RestoreOptions,
        volume: Option<NtfsVolume>,
    ) -> Self {
        let report = ApplyReport { left_out: plan.left_out, ..ApplyReport::default() };
        let ntfs = volume.map(|volume| NtfsTarget::new(volume, restore));
        Self { cx, tree, host, plan, restore, open: None, report, ntfs, made_links: HashMap::new() }
    }

    /// Makes what needs no blob: the directories that files go to, and files without data.
    pub(super) fn make_places(&mut self) -> Result<()> {
        self.make_directories()?;
        self.make_empty_files()
    }

    fn make_directories(&mut self) -> Result<()> {
        for (index, spot) in self.plan.directories.iter().enumerate().skip(1) {
            self.cx.cancel.check()?;
            let name = self.plan.host_name(self.tree, spot.node);
            let id = self.host.make_directory(spot.directory, &name).map_err(|e| self.blame(e, spot.node))?;
            debug_assert_eq!(id as usize, index, "hosts count as plans do");
            self.report.directories += 1;
        }
        Ok(())
    }

    /// Files that have no blob: empty ones, devices, pipes and sockets.
    fn make_empty_files(&mut self) -> Result<()> {
        for index in 0..self.plan.special.len() {
            self.cx.cancel.check()?;
            let spot = self.plan.special[index];
            self.special(spot).map_err(|e| self.blame(e, spot.node))?;
        }
        for file in 0..self.plan.files.len() {
            if self.tree.inode(self.plan.files[file].inode).data().is_zero() {
                self.cx.cancel.check()?;
                self.whole(file, &[]).map_err(|e| self.blame(e, self.plan.files[file].spots[0].node))?;
            }
        }
        Ok(())
    }

    /// Takes a piece of the blob of `size` bytes that `files` have as their content.
    pub(super) fn piece(&mut self, piece: BlobPiece<'_>, size: u64, files: &[usize]) -> Result<()> {
        let Some((&first, others)) = files.split_first() else { return Ok(()) };
        let node = self.plan.files[first].spots[0].node;
        let done = self.piece_of(piece, size, first, others);
        done.map_err(|e| {
            // Removed before the error is told.
            self.open = None;
            self.blame(e, node)
        })
    }

    fn piece_of(&mut self, piece: BlobPiece<'_>, size: u64, first: usize, others: &[usize]) -> Result<()> {
        let bytes = piece.bytes?;
        if piece.start == 0 && piece.is_last {
            self.whole(first, bytes)?;
            return others.iter().try_for_each(|&file| self.whole(file, bytes));
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.create(first, size)?,
        };
        let is_sparse = self.is_sparse(first);
        write_piece(open.file(), bytes, is_sparse).map_err(|e| self.cannot_write(e, first))?;
        if !piece.is_last {
            self.open = Some(open);
            return Ok(());
        }
        self.finish_file(open, first, size)?;
        others.iter().try_for_each(|&file| self.copy(first, file, size))
    }

    /// Writes a file whose content is at hand, with all its names.
    fn whole(&mut self, file: usize, bytes: &[u8]) -> Result<()> {
        let mut new = self.create(file, bytes.len() as u64)?;
        let is_sparse = self.is_sparse(file);
        write_piece(new.file(), bytes, is_sparse).map_err(|e| self.cannot_write(e, file))?;
        self.finish_file(new, file, bytes.len() as u64)
    }

    /// Copies a file of this run.
    fn copy(&mut self, from: usize, to: usize, size: u64) -> Result<()> {
        let spot = self.plan.files[from].spots[0];
        let mut source = self.host.reopen(spot.directory, &self.name(spot))?;
        let mut new = self.create(to, size)?;
        self.copy_bytes(&mut source, new.file(), self.plan.files[to].spots[0].node)?;
        self.finish_file(new, to, size)
    }

    /// Begins a file of `size` bytes.
    fn create(&mut self, file: usize, size: u64) -> Result<H::NewFile> {
        let spot = self.plan.files[file].spots[0];
        let name = self.name(spot);
        let mut new = self.host.create(spot.directory, &name)?;
        if !self.is_sparse(file) {
            new.reserve(size).map_err(|e| self.cannot_write(e, file))?;
        }
        Ok(new)
    }

    /// Ends a file of `size` bytes and gives it its other names.
    fn finish_file(&mut self, mut new: H::NewFile, file: usize, size: u64) -> Result<()> {
        if self.is_sparse(file) {
            // The last bytes may be a hole, which nothing has written.
            new.file().set_len(size).map_err(|e| self.cannot_write(e, file))?;
        }
        let inode = self.tree.inode(self.plan.files[file].inode);
        if let Some(unix) = self.restored(inode) {
            let done = new.restore_unix(&unix);
            self.note_unix(done)?;
        }
        new.finish(self.attributes(inode), inode.times)?;
        self.report.files += 1;
        self.report.bytes = self.report.bytes.saturating_add(size);
        let first = self.plan.files[file].spots[0];
        let first_name = self.name(first);
        if let Some(ntfs) = &mut self.ntfs {
            let short_name = &self.tree.node(first.node).short_name;
            ntfs.set_short_name(&mut self.host, (first.directory, &first_name), short_name)?;
        }
        for index in 1..self.plan.files[file].spots.len() {
            let spot = self.plan.files[file].spots[index];
            let name = self.name(spot);
            if self.host.hard_link((first.directory, &first_name), (spot.directory, &name))? {
                self.report.hard_links += 1;
            } else {
                self.copy_name((first, &first_name), (spot, &name), size)?;
            }
        }
        Ok(())
    }

    /// Where no hard links can be had, a second name is a second file.
    fn copy_name(&mut self, from: (Spot, &OsStr), to: (Spot, &OsStr), size: u64) -> Result<()> {
        let mut source = self.host.reopen(from.0.directory, from.1)?;
        let mut new = self.host.create(to.0.directory, to.1)?;
        self.copy_bytes(&mut source, new.file(), to.0.node)?;
        let inode = self.tree.inode_of(to.0.node);
        if inode.attributes & SPARSE != 0 {
            // As in `finish_file`.
            new.file().set_len(size).map_err(|e| cannot_write(self.tree, e, to.0.node))?;
        }
        if let Some(unix) = self.restored(inode) {
            let done = new.restore_unix(&unix);
            self.note_unix(done)?;
        }
        new.finish(self.attributes(inode), inode.times)?;
        self.report.files += 1;
        self.report.bytes = self.report.bytes.saturating_add(size);
        Ok(())
    }

    /// Copies all of `source` to the end of `new`, the file of `node`.
    fn copy_bytes(&self, source: &mut File, new: &mut File, node: NodeId) -> Result<()> {
        let is_sparse = self.tree.inode_of(node).attributes & SPARSE != 0;
        while copy_step(source, new, is_sparse).map_err(|e| cannot_write(self.tree, e, node))? {
            self.cx.cancel.check()?;
        }
        Ok(())
    }

    /// The named streams by their blobs, without the empty ones.
    pub(super) fn streams_by_digest(&self) -> HashMap<Sha1Digest, Vec<usize>> {
        let mut streams = streams_by_digest(&self.plan.streams);
        streams.remove(&Sha1Digest::ZERO);
        streams
    }

    pub(super) fn node_of_stream(&self, stream: usize) -> NodeId {
        self.plan.streams[stream].spot.node
    }

    /// Makes the named streams that have no bytes.
    pub(super) fn make_empty_streams(&mut self) -> Result<()> {
        let empty = streams_by_digest(&self.plan.streams).remove(&Sha1Digest::ZERO).unwrap_or_default();
        self.stream_piece(&empty, (0, &[], true))
    }

    /// Takes a piece of the blob of these named streams: its start, its bytes, and whether it is the last.
    pub(super) fn stream_piece(&mut self, streams: &[usize], piece: (u64, &[u8], bool)) -> Result<()> {
        self.cx.cancel.check()?;
        let Some(ntfs) = &mut self.ntfs else { return Ok(()) };
        for &stream in streams {
            let planned = &self.plan.streams[stream];
            let name = self.plan.host_name(self.tree, planned.spot.node);
            let at: At<'_> = (planned.spot.directory, &name);
            let done = ntfs.stream_piece(&mut self.host, (at, &planned.name), piece);
            done.map_err(|e| blame(self.tree, e, planned.spot.node))?;
        }
        Ok(())
    }

    /// True when reparse points of every kind are made as they are.
    pub(super) fn holds_reparse_points(&self) -> bool {
        self.ntfs.is_some()
    }

    /// Makes a reparse point of a file or directory that was made.
    pub(super) fn make_reparse_point(&mut self, link: usize, data: &[u8]) -> Result<()> {
        self.cx.cancel.check()?;
        let Some(ntfs) = &mut self.ntfs else { return Ok(()) };
        let spot = self.plan.links[link];
        let reparse = self.tree.inode_of(spot.node).reparse.unwrap_or_default();
        let name = self.plan.host_name(self.tree, spot.node);
        let made = ntfs.make_reparse_point(&mut self.host, (spot.directory, &name), (reparse, data));
        let is_link = matches!(reparse.tag, SYMLINK | MOUNT_POINT);
        if made.map_err(|e| blame(self.tree, e, spot.node))? && is_link {
            self.report.symbolic_links += 1;
        }
        Ok(())
    }

    /// Gives files what Windows keeps of them, where the target can hold it.
    pub(super) fn restore_files(&mut self) -> Result<()> {
        let Some(ntfs) = &mut self.ntfs else { return Ok(()) };
        for file in &self.plan.files {
            self.cx.cancel.check()?;
            let (spot, inode) = (file.spots[0], self.tree.inode(file.inode));
            let name = self.plan.host_name(self.tree, spot.node);
            let done = ntfs.restore(&mut self.host, (spot.directory, &name), inode, self.tree.security());
            done.map_err(|e| blame(self.tree, e, spot.node))?;
        }
        Ok(())
    }

    /// The reparse data of each link, in order; zeros for one that has none.
    pub(super) fn link_digests(&self) -> impl Iterator<Item = Sha1Digest> + '_ {
        self.plan.links.iter().map(|spot| self.tree.inode_of(spot.node).streams.get(&StreamKind::Reparse))
    }

    pub(super) fn node_of_link(&self, link: usize) -> NodeId {
        self.plan.links[link].node
    }

    pub(super) fn make_link(&mut self, link: usize, text: &OsStr) -> Result<()> {
        self.cx.cancel.check()?;
        let spot = self.plan.links[link];
        let inode = self.tree.inode_of(spot.node);
        let kind = if inode.attributes & DIRECTORY != 0 { LinkKind::Directory } else { LinkKind::File };
        let name = self.name(spot);
        self.host
            .symbolic_link(text, kind, (spot.directory, &name), inode.times)
            .map_err(|e| self.blame(e, spot.node))?;
        self.report.symbolic_links += 1;
        if let Some(unix) = self.restored(inode) {
            let done = self.host.restore_unix(spot.directory, Some(&name), &unix);
            self.note_unix(done).map_err(|e| self.blame(e, spot.node))?;
        }
        if self.plan.unholdable == Unholdable::StandIn {
            self.made_links.insert(spot.node, text.to_owned());
        }
        Ok(())
    }

    /// Counts links that could not be made, unless something stands for them.
    pub(super) fn leave_out_links(&mut self, count: u64) {
        if self.plan.unholdable == Unholdable::LeaveOut {
            self.report.left_out.reparse_points += count;
        }
    }

    /// Makes empty files and directories in the place of links that could not be made.
    pub(super) fn make_stand_ins(&mut self) -> Result<()> {
        if self.plan.unholdable == Unholdable::LeaveOut {
            return Ok(());
        }
        for spot in self.plan.links.clone() {
            if self.made_links.contains_key(&spot.node) {
                continue;
            }
            self.cx.cancel.check()?;
            let (name, inode) = (self.name(spot), self.tree.inode_of(spot.node));
            if inode.attributes & DIRECTORY != 0 {
                let made = self.host.make_directory(spot.directory, &name);
                let id = made.map_err(|e| self.blame(e, spot.node))?;
                self.host.set_directory_times(id, inode.times).map_err(|e| self.blame(e, spot.node))?;
            } else {
                let made = self.host.create(spot.directory, &name);
                let finished = made.and_then(|file| file.finish(inode.attributes, inode.times));
                finished.map_err(|e| self.blame(e, spot.node))?;
            }
        }
        Ok(())
    }

    /// What was made, for a side file.
    pub(super) fn made(&mut self) -> Made<'_, H> {
        Made { tree: self.tree, plan: &self.plan, host: &mut self.host, links: &self.made_links }
    }

    /// Sets the times of directories, those inside others first.
    pub(super) fn set_directory_times(&mut self) -> Result<()> {
        for index in (0..self.plan.directories.len()).rev() {
            let spot = self.plan.directories[index];
            if index == 0 && !self.plan.is_image {
                continue;
            }
            self.cx.cancel.check()?;
            let inode = self.tree.inode_of(spot.node);
            let times = inode.times;
            let id = u32::try_from(index).unwrap_or(u32::MAX);
            if let Some(unix) = self.restored(inode) {
                let done = self.host.restore_unix(id, None, &unix);
                self.note_unix(done).map_err(|e| self.blame(e, spot.node))?;
            }
            if let Some(ntfs) = &mut self.ntfs {
                let name =
                    if index == 0 { OsString::new() } else { self.plan.host_name(self.tree, spot.node) };
                let (at, tree): (At<'_>, _) = ((spot.directory, &name), self.tree);
                let short_name = &tree.node(spot.node).short_name;
                let done = ntfs.set_short_name(&mut self.host, at, short_name);
                done.and_then(|()| ntfs.restore(&mut self.host, at, inode, tree.security()))
                    .map_err(|e| blame(tree, e, spot.node))?;
                continue;
            }
            self.host.set_directory_times(id, times).map_err(|e| self.blame(e, spot.node))?;
        }
        Ok(())
    }

    /// Makes a device, a pipe or a socket.
    fn special(&mut self, spot: Spot) -> Result<()> {
        let inode = self.tree.inode_of(spot.node);
        let Some(unix) = self.restored(inode) else { return Ok(()) };
        let Some(data) = unix.data else { return Ok(()) };
        let name = self.name(spot);
        let made = self.host.make_special(data, (spot.directory, &name));
        let is_made = made.is_ok();
        self.note_unix(made)?;
        if is_made {
            self.report.special_files += 1;
            let done = self.host.restore_unix(spot.directory, Some(&name), &unix);
            self.note_unix(done)?;
        }
        Ok(())
    }

    /// The attributes to restore.
    fn attributes(&self, inode: &Inode) -> u32 {
        match self.restore.attributes {
            Attributes::Restore => inode.attributes,
            Attributes::Omit => 0,
        }
    }

    /// What is to be restored of a file.
    fn restored(&self, inode: &'a Inode) -> Option<RestoredUnix<'a>> {
        match self.restore.unix_data {
            UnixRestore::Omit => None,
            UnixRestore::Restore | UnixRestore::Require => RestoredUnix::of(&inode.tagged_items),
        }
    }

    /// Counts what could not be restored, or fails when it must be.
    fn note_unix(&mut self, done: std::io::Result<()>) -> Result<()> {
        match done {
            Ok(()) => Ok(()),
            Err(e) if self.restore.unix_data == UnixRestore::Require => Err(Error::new(
                ErrorKind::Io,
                format!("cannot restore owner, group, mode, attributes or kind: {e}"),
            )
            .remedy("apply as root, or leave --strict-acls out")
            .with_source(e)),
            Err(_) => {
                self.report.left_out.unix_data += 1;
                Ok(())
            }
        }
    }

    /// Removes the file that is half written.
    pub(super) fn discard_open(&mut self) {
        self.open = None;
    }

    pub(super) fn count_damaged(&mut self) {
        self.report.damaged_blobs += 1;
    }

    /// All names of a file.
    pub(super) fn nodes_of_file(&self, file: usize) -> Vec<NodeId> {
        self.plan.files[file].spots.iter().map(|spot| spot.node).collect()
    }

    pub(super) fn finish(self) -> ApplyReport {
        let left_out = self.ntfs.map_or_else(LeftOut::default, |ntfs| ntfs.left_out);
        ApplyReport { left_out: self.report.left_out.plus(left_out), ..self.report }
    }

    fn name(&self, spot: Spot) -> OsString {
        self.plan.host_name(self.tree, spot.node)
    }

    fn is_sparse(&self, file: usize) -> bool {
        self.tree.inode(self.plan.files[file].inode).attributes & SPARSE != 0
    }

    fn cannot_write(&self, error: std::io::Error, file: usize) -> Error {
        cannot_write(self.tree, error, self.plan.files[file].spots[0].node)
    }

    /// The error with the path in the image that it is about.
    fn blame(&self, error: Error, node: NodeId) -> Error {
        blame(self.tree, error, node)
    }
}

/// The error with the path in the image that it is about; a damaged blob is named behind it.
pub(super) fn blame(tree: &Tree, error: Error, node: NodeId) -> Error {
    let path = Place::Path(tree.path_of(node).to_string());
    let Place::Blob(digest) = *error.place() else { return error.or_at(path) };
    let mut with_path = Error::new(error.kind(), format!("{} (blob {digest})", error.message())).at(path);
    if let Some(file) = error.file() {
        with_path = with_path.in_file(file);
    }
    if let Some(reason) = error.reason() {
        with_path = with_path.because(reason);
    }
    match error.remedy_text() {
        Some(remedy) => with_path.remedy(remedy),
        None => with_path,
    }
}

fn cannot_write(tree: &Tree, error: std::io::Error, node: NodeId) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write: {error}"))
        .because(Reason::CannotWrite)
        .at(Place::Path(tree.path_of(node).to_string()))
        .with_source(error)
}

/// Copies the next bytes of `source` to `file`; false when there are none.
fn copy_step(source: &mut File, file: &mut File, is_sparse: bool) -> std::io::Result<bool> {
    if !is_sparse {
        // The system copies by itself where it can.
        return Ok(std::io::copy(&mut source.take(COPY_BYTES), file)? > 0);
    }
    let mut bytes = Vec::new();
    source.take(16 * HOLE_BYTES as u64).read_to_end(&mut bytes)?;
    write_piece(file, &bytes, is_sparse)?;
    Ok(!bytes.is_empty())
}

/// Writes at the end of `file`; of a sparse file, blocks of zeros are left out.
fn write_piece(file: &mut File, bytes: &[u8], is_sparse: bool) -> std::io::Result<()> {
    if !is_sparse {
        return file.write_all(bytes);
    }
    for block in bytes.chunks(HOLE_BYTES) {
        if block.iter().all(|&byte| byte == 0) {
            file.seek(SeekFrom::Current(block.len() as i64))?;
        } else {
            file.write_all(block)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_keep_holes_and_come_in_steps() {
        let mut bytes = vec![0; 40 * HOLE_BYTES + 5];
        bytes[20 * HOLE_BYTES] = 7;
        for is_sparse in [false, true] {
            let mut source = tempfile::tempfile().unwrap();
            source.write_all(&bytes).unwrap();
            source.seek(SeekFrom::Start(0)).unwrap();
            let mut copy = tempfile::tempfile().unwrap();
            let mut steps = 0;
            while copy_step(&mut source, &mut copy, is_sparse).unwrap() {
                steps += 1;
            }
            // Sparse files come in smaller steps.
            assert_eq!(steps, if is_sparse { 3 } else { 1 });
            copy.set_len(bytes.len() as u64).unwrap();
            #[cfg(target_os = "linux")]
            if is_sparse {
                use std::os::unix::fs::MetadataExt;
                let blocks = copy.metadata().unwrap().blocks();
                assert!(blocks * 512 < 4 * HOLE_BYTES as u64, "{blocks}");
            }
            let mut read = Vec::new();
            copy.seek(SeekFrom::Start(0)).unwrap();
            copy.read_to_end(&mut read).unwrap();
            assert!(read == bytes);
        }
    }
}
