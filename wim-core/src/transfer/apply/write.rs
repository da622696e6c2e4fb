//! Makes what a plan says, in its order: directories, empty files, streams, links, times.
//!
//! Files with content are made by [`FileWriter`], on this thread or on those that decode; here are the steps that one thread
//! takes, before and after them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::files::FileWriter;
use super::host::{Host, LinkKind, NewFile};
use super::ntfs::{At, NtfsTarget, streams_by_digest};
use super::plan::{Plan, Spot, Unholdable};
use super::side_file::Made;
use super::{ApplyReport, LeftOut, RestoreOptions};
use crate::base::{Context, Error, Place, Result, Sha1Digest};
use crate::formats::wim::attributes::DIRECTORY;
use crate::formats::wim::reparse::{MOUNT_POINT, SYMLINK};
use crate::image::{NodeId, StreamKind, Tree};
use crate::transfer::ntfs_volume::NtfsVolume;
use crate::transfer::read::BlobPiece;

pub(super) struct Writer<'a, 'c, H: Host> {
    cx: &'a Context<'c>,
    tree: &'a Tree,
    plan: Arc<Plan>,
    pub(super) files: FileWriter<'a, H>,
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
        let ntfs = volume.map(|volume| NtfsTarget::new(volume, restore));
        let files = FileWriter::new(cx.cancel, tree, (host, ntfs), plan, restore);
        Self { cx, tree, plan: Arc::clone(&files.plan), files, made_links: HashMap::new() }
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
            let id = self
                .files
                .host
                .make_directory(spot.directory, &name)
                .map_err(|e| self.blame(e, spot.node))?;
            debug_assert_eq!(id as usize, index, "hosts count as plans do");
            self.files.count(|report| report.directories += 1);
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
                self.files.whole(&[file], &[])?;
            }
        }
        Ok(())
    }

    /// Takes a piece of the blob of `size` bytes that `files` have as their content.
    pub(super) fn piece(&mut self, piece: BlobPiece<'_>, size: u64, files: &[usize]) -> Result<()> {
        let bytes = match (piece.bytes, files) {
            (_, []) => return Ok(()),
            (Ok(bytes), _) => bytes,
            (Err(error), [first, ..]) => {
                self.files.give_up(files);
                return Err(self.blame(error, self.plan.files[*first].spots[0].node));
            }
        };
        if piece.start == 0 && piece.is_last {
            return self.files.whole(files, bytes);
        }
        self.files.piece(files, size, piece.start, bytes)?;
        match piece.is_last {
            true => self.files.complete(files, size),
            false => Ok(()),
        }
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
        let Some(ntfs) = &mut self.files.ntfs else { return Ok(()) };
        for &stream in streams {
            let planned = &self.plan.streams[stream];
            let name = self.plan.host_name(self.tree, planned.spot.node);
            let at: At<'_> = (planned.spot.directory, &name);
            let done = ntfs.stream_piece(&mut self.files.host, (at, &planned.name), piece);
            done.map_err(|e| blame(self.tree, e, planned.spot.node))?;
        }
        Ok(())
    }

    /// True when reparse points of every kind are made as they are.
    pub(super) fn holds_reparse_points(&self) -> bool {
        self.files.ntfs.is_some()
    }

    /// Makes a reparse point of a file or directory that was made.
    pub(super) fn make_reparse_point(&mut self, link: usize, data: &[u8]) -> Result<()> {
        self.cx.cancel.check()?;
        let Some(ntfs) = &mut self.files.ntfs else { return Ok(()) };
        let spot = self.plan.links[link];
        let reparse = self.tree.inode_of(spot.node).reparse.unwrap_or_default();
        let name = self.plan.host_name(self.tree, spot.node);
        let made = ntfs.make_reparse_point(&mut self.files.host, (spot.directory, &name), (reparse, data));
        let is_link = matches!(reparse.tag, SYMLINK | MOUNT_POINT);
        if made.map_err(|e| blame(self.tree, e, spot.node))? && is_link {
            self.files.count(|report| report.symbolic_links += 1);
        }
        Ok(())
    }

    /// Gives files what Windows keeps of them, where the target can hold it.
    pub(super) fn restore_files(&mut self) -> Result<()> {
        let Some(ntfs) = &mut self.files.ntfs else { return Ok(()) };
        for file in &self.plan.files {
            self.cx.cancel.check()?;
            let (spot, inode) = (file.spots[0], self.tree.inode(file.inode));
            let name = self.plan.host_name(self.tree, spot.node);
            let done =
                ntfs.restore(&mut self.files.host, (spot.directory, &name), inode, self.tree.security());
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
        self.files
            .host
            .symbolic_link(text, kind, (spot.directory, &name), inode.times)
            .map_err(|e| self.blame(e, spot.node))?;
        self.files.count(|report| report.symbolic_links += 1);
        if let Some(unix) = self.files.restored(inode) {
            let done = self.files.host.restore_unix(spot.directory, Some(&name), &unix);
            self.files.note_unix(done).map_err(|e| self.blame(e, spot.node))?;
        }
        if self.plan.unholdable == Unholdable::StandIn {
            self.made_links.insert(spot.node, text.to_owned());
        }
        Ok(())
    }

    /// Counts links that could not be made, unless something stands for them.
    pub(super) fn leave_out_links(&mut self, count: u64) {
        if self.plan.unholdable == Unholdable::LeaveOut {
            self.files.count(|report| report.left_out.reparse_points += count);
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
                let made = self.files.host.make_directory(spot.directory, &name);
                let id = made.map_err(|e| self.blame(e, spot.node))?;
                self.files.host.set_directory_times(id, inode.times).map_err(|e| self.blame(e, spot.node))?;
            } else {
                let made = self.files.host.create(spot.directory, &name);
                let finished = made.and_then(|file| file.finish(inode.attributes, inode.times));
                finished.map_err(|e| self.blame(e, spot.node))?;
            }
        }
        Ok(())
    }

    /// What was made, for a side file.
    pub(super) fn made(&mut self) -> Made<'_, H> {
        Made { tree: self.tree, plan: &self.plan, host: &mut self.files.host, links: &self.made_links }
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
            if let Some(unix) = self.files.restored(inode) {
                let done = self.files.host.restore_unix(id, None, &unix);
                self.files.note_unix(done).map_err(|e| self.blame(e, spot.node))?;
            }
            if let Some(ntfs) = &mut self.files.ntfs {
                let name =
                    if index == 0 { OsString::new() } else { self.plan.host_name(self.tree, spot.node) };
                let (at, tree): (At<'_>, _) = ((spot.directory, &name), self.tree);
                let short_name = &tree.node(spot.node).short_name;
                let done = ntfs.set_short_name(&mut self.files.host, at, short_name);
                done.and_then(|()| ntfs.restore(&mut self.files.host, at, inode, tree.security()))
                    .map_err(|e| blame(tree, e, spot.node))?;
                continue;
            }
            self.files.host.set_directory_times(id, times).map_err(|e| self.blame(e, spot.node))?;
        }
        Ok(())
    }

    /// Makes a device, a pipe or a socket.
    fn special(&mut self, spot: Spot) -> Result<()> {
        let inode = self.tree.inode_of(spot.node);
        let Some(unix) = self.files.restored(inode) else { return Ok(()) };
        let Some(data) = unix.data else { return Ok(()) };
        let name = self.name(spot);
        let made = self.files.host.make_special(data, (spot.directory, &name));
        let is_made = made.is_ok();
        self.files.note_unix(made)?;
        if is_made {
            self.files.count(|report| report.special_files += 1);
            let done = self.files.host.restore_unix(spot.directory, Some(&name), &unix);
            self.files.note_unix(done)?;
        }
        Ok(())
    }

    pub(super) fn count_damaged(&mut self) {
        self.files.count(|report| report.damaged_blobs += 1);
    }

    /// All names of a file.
    pub(super) fn nodes_of_file(&self, file: usize) -> Vec<NodeId> {
        self.plan.files[file].spots.iter().map(|spot| spot.node).collect()
    }

    pub(super) fn finish(self) -> ApplyReport {
        let report = self.files.report();
        let left_out = self.files.ntfs.map_or_else(LeftOut::default, |ntfs| ntfs.left_out);
        ApplyReport { left_out: report.left_out.plus(left_out), ..report }
    }

    fn name(&self, spot: Spot) -> OsString {
        self.files.name(spot)
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
