//! Makes files: of blobs that are at hand, or of pieces of large ones, with all their names, owners and times.
//!
//! Each thread that decodes blobs has a [`FileWriter`] with handles of its own. They share the plan, the large files that
//! are being written, and the report. The directories are there before; links, streams and devices are `write`'s.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::host::{Host, NewFile, RestoredUnix};
use super::ntfs::NtfsTarget;
use super::plan::{Plan, Spot};
use super::write::blame;
use super::{ApplyReport, Attributes, RestoreOptions, UnixRestore};
use crate::base::{Cancel, Error, ErrorKind, Place, Reason, Result, Sha1Digest};
use crate::formats::wim::attributes::SPARSE;
use crate::image::{Inode, NodeId, Tree};
use crate::transfer::read::{BlobInput, BlobPiece, Taken};

/// Zeros of a sparse file are left out in blocks of this many bytes, those of most file systems.
const HOLE_BYTES: usize = 4 << 10;
/// Bytes of a sparse file that are copied at a time.
const SPARSE_COPY_BYTES: u64 = 1 << 20;
/// Bytes of a file that are copied between two looks at whether the job is cancelled.
const COPY_BYTES: u64 = 64 << 20;

/// What one thread makes files with.
pub(super) struct FileWriter<'a, H: Host> {
    pub(super) cancel: &'a Cancel,
    pub(super) tree: &'a Tree,
    pub(super) plan: Arc<Plan>,
    pub(super) host: H,
    pub(super) restore: RestoreOptions,
    /// The mounted NTFS volume that all goes to, which one thread writes alone.
    pub(super) ntfs: Option<NtfsTarget>,
    large: Arc<LargeFiles<H::NewFile>>,
    report: Arc<Mutex<ApplyReport>>,
}

/// The files of blobs in several pieces by their place in the plan; none in the place of one that is given up.
struct LargeFiles<F>(Mutex<HashMap<usize, Option<Arc<F>>>>);

impl<'a, H: Host> FileWriter<'a, H> {
    pub(super) fn new(
        cancel: &'a Cancel,
        tree: &'a Tree,
        (host, ntfs): (H, Option<NtfsTarget>),
        plan: Plan,
        restore: RestoreOptions,
    ) -> Self {
        let report = ApplyReport { left_out: plan.left_out, ..ApplyReport::default() };
        Self {
            cancel,
            tree,
            plan: Arc::new(plan),
            host,
            restore,
            ntfs,
            large: Arc::new(LargeFiles(Mutex::default())),
            report: Arc::new(Mutex::new(report)),
        }
    }

    /// The same for one more of `threads`.
    fn for_thread(&self, threads: usize) -> Self {
        Self {
            cancel: self.cancel,
            tree: self.tree,
            plan: Arc::clone(&self.plan),
            host: self.host.for_thread(threads),
            restore: self.restore,
            ntfs: None,
            large: Arc::clone(&self.large),
            report: Arc::clone(&self.report),
        }
    }

    /// Changes the report that all threads share.
    pub(super) fn count(&self, change: impl FnOnce(&mut ApplyReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn report(&self) -> ApplyReport {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes files whose content is at hand, with all their names.
    pub(super) fn whole(&mut self, files: &[usize], bytes: &[u8]) -> Result<()> {
        files.iter().try_for_each(|&file| self.whole_file(file, bytes).map_err(|e| self.blame(e, file)))
    }

    fn whole_file(&mut self, file: usize, bytes: &[u8]) -> Result<()> {
        let new = self.create(file, bytes.len() as u64)?;
        write_at(&new, bytes, 0, self.is_sparse(file)).map_err(|e| self.cannot_write(e, file))?;
        self.finish(new, file, bytes.len() as u64)
    }

    /// Writes a piece of a blob of `size` bytes to the first of `files`, wherever it lies in it; [`Self::complete`] ends them.
    pub(super) fn piece(&mut self, files: &[usize], size: u64, start: u64, bytes: &[u8]) -> Result<()> {
        let Some(&first) = files.first() else { return Ok(()) };
        let written = self.piece_of(first, size, start, bytes);
        written.map_err(|e| {
            // Removed before the error is told.
            self.give_up(files);
            self.blame(e, first)
        })
    }

    fn piece_of(&mut self, file: usize, size: u64, start: u64, bytes: &[u8]) -> Result<()> {
        let large = Arc::clone(&self.large);
        let mut open = large.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = match open.get(&file) {
            Some(Some(new)) => Arc::clone(new),
            Some(None) => return Ok(()),
            None => {
                let new = Arc::new(self.create(file, size)?);
                open.insert(file, Some(Arc::clone(&new)));
                new
            }
        };
        drop(open);
        write_at(&*new, bytes, start, self.is_sparse(file)).map_err(|e| self.cannot_write(e, file))
    }

    /// Ends the files of a blob of `size` bytes, all pieces of which are written: the first, and before it the others by
    /// copying it, as its mode may let nobody open it again.
    pub(super) fn complete(&mut self, files: &[usize], size: u64) -> Result<()> {
        let Some((&first, others)) = files.split_first() else { return Ok(()) };
        let mut open = self.large.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = open.remove(&first).flatten().and_then(Arc::into_inner);
        drop(open);
        // Threads let go of a file before what they wrote of it is told of.
        let unfinished = || Error::new(ErrorKind::Io, "it is still being written when all of it has come");
        let new = new.ok_or_else(|| self.blame(unfinished(), first))?;
        self.end_holes(&new, self.plan.files[first].spots[0].node, size)
            .and_then(|()| others.iter().try_for_each(|&file| self.copy(new.file(), file, size)))
            .and_then(|()| self.finish(new, first, size))
            .map_err(|e| self.blame(e, first))
    }

    /// Removes what is written of a large blob; what still comes of it is dropped.
    pub(super) fn give_up(&self, files: &[usize]) {
        let Some(&first) = files.first() else { return };
        self.large.0.lock().unwrap_or_else(PoisonError::into_inner).insert(first, None);
    }

    /// Takes large blobs that were given up again, from their start.
    pub(super) fn take_again(&self, files: &[usize]) {
        let Some(first) = files.first() else { return };
        self.large.0.lock().unwrap_or_else(PoisonError::into_inner).remove(first);
    }

    /// Copies a file of this run.
    fn copy(&mut self, source: &File, to: usize, size: u64) -> Result<()> {
        let new = self.create(to, size)?;
        self.copy_bytes(source, &new, self.plan.files[to].spots[0].node)?;
        self.finish(new, to, size)
    }

    /// Begins a file of `size` bytes.
    fn create(&mut self, file: usize, size: u64) -> Result<H::NewFile> {
        let spot = self.plan.files[file].spots[0];
        let name = self.name(spot);
        let new = self.host.create(spot.directory, &name)?;
        if !self.is_sparse(file) {
            new.reserve(size).map_err(|e| self.cannot_write(e, file))?;
        }
        Ok(new)
    }

    /// Ends a file of `size` bytes and gives it its other names.
    fn finish(&mut self, new: H::NewFile, file: usize, size: u64) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let Some((&first, further)) = plan.files[file].spots.split_first() else { return Ok(()) };
        self.end_holes(&new, first.node, size)?;
        // Opened now, as the file's mode may let nobody open it again.
        let source = (!further.is_empty()).then(|| new.file().try_clone()).transpose();
        let source = source.map_err(|e| self.cannot_write(e, file))?;
        self.finish_one(new, self.tree.inode(plan.files[file].inode), size)?;
        let first_name = self.name(first);
        if let Some(ntfs) = &mut self.ntfs {
            let short_name = &self.tree.node(first.node).short_name;
            ntfs.set_short_name(&mut self.host, (first.directory, &first_name), short_name)?;
        }
        for &spot in further {
            let name = self.name(spot);
            if self.host.hard_link((first.directory, &first_name), (spot.directory, &name))? {
                self.count(|report| report.hard_links += 1);
            } else if let Some(source) = &source {
                self.copy_name(source, (spot, &name), size)?;
            }
        }
        Ok(())
    }

    /// Gives the file of `node`, if it is sparse, its length: its last bytes may be a hole, which nothing has written.
    fn end_holes(&self, new: &H::NewFile, node: NodeId, size: u64) -> Result<()> {
        match self.tree.inode_of(node).attributes & SPARSE {
            0 => Ok(()),
            _ => new.file().set_len(size).map_err(|e| cannot_write(self.tree, e, node)),
        }
    }

    /// Gives one file of `inode` its owner, mode, attributes and times.
    fn finish_one(&mut self, new: H::NewFile, inode: &Inode, size: u64) -> Result<()> {
        if let Some(unix) = self.restored(inode) {
            let done = new.restore_unix(&unix);
            self.note_unix(done)?;
        }
        new.finish(self.attributes(inode), inode.times)?;
        self.count(|report| {
            report.files += 1;
            report.bytes = report.bytes.saturating_add(size);
        });
        Ok(())
    }

    /// Where no hard links can be had, a second name is a second file.
    fn copy_name(&mut self, source: &File, to: (Spot, &OsStr), size: u64) -> Result<()> {
        let new = self.host.create(to.0.directory, to.1)?;
        self.copy_bytes(source, &new, to.0.node)?;
        self.end_holes(&new, to.0.node, size)?;
        self.finish_one(new, self.tree.inode_of(to.0.node), size)
    }

    /// Copies all of `source` to `new`, the file of `node`, which is empty.
    fn copy_bytes(&self, mut source: &File, new: &H::NewFile, node: NodeId) -> Result<()> {
        let is_sparse = self.tree.inode_of(node).attributes & SPARSE != 0;
        source.seek(SeekFrom::Start(0)).map_err(|e| cannot_write(self.tree, e, node))?;
        let mut copied = 0;
        loop {
            let step = copy_step(source, new, copied, is_sparse);
            match step.map_err(|e| cannot_write(self.tree, e, node))? {
                0 => return Ok(()),
                length => copied += length,
            }
            self.cancel.check()?;
        }
    }

    /// The attributes to restore.
    fn attributes(&self, inode: &Inode) -> u32 {
        match self.restore.attributes {
            Attributes::Restore => inode.attributes,
            Attributes::Omit => 0,
        }
    }

    /// What is to be restored of a file.
    pub(super) fn restored(&self, inode: &'a Inode) -> Option<RestoredUnix<'a>> {
        match self.restore.unix_data {
            UnixRestore::Omit => None,
            UnixRestore::Restore | UnixRestore::Require => RestoredUnix::of(&inode.tagged_items),
        }
    }

    /// Counts what could not be restored, or fails when it must be.
    pub(super) fn note_unix(&self, done: std::io::Result<()>) -> Result<()> {
        match done {
            Ok(()) => Ok(()),
            Err(e) if self.restore.unix_data == UnixRestore::Require => Err(Error::new(
                ErrorKind::Io,
                format!("cannot restore owner, group, mode, attributes or kind: {e}"),
            )
            .remedy("apply as root, or leave --strict-acls out")
            .with_source(e)),
            Err(_) => {
                self.count(|report| report.left_out.unix_data += 1);
                Ok(())
            }
        }
    }

    pub(super) fn name(&self, spot: Spot) -> OsString {
        self.plan.host_name(self.tree, spot.node)
    }

    fn is_sparse(&self, file: usize) -> bool {
        self.tree.inode(self.plan.files[file].inode).attributes & SPARSE != 0
    }

    fn cannot_write(&self, error: std::io::Error, file: usize) -> Error {
        cannot_write(self.tree, error, self.plan.files[file].spots[0].node)
    }

    /// The error with the path in the image of a file.
    fn blame(&self, error: Error, file: usize) -> Error {
        blame(self.tree, error, self.plan.files[file].spots[0].node)
    }
}

/// Lets the threads that decode blobs write their files, from when the directories are there.
pub(super) struct Takers<'a, H: Host> {
    threads: usize,
    /// What each thread's writer is made of.
    first: OnceLock<FileWriter<'a, H>>,
}

impl<'a, H: Host> Takers<'a, H> {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, first: OnceLock::new() }
    }

    /// Says that the directories are there. An NTFS volume, whose driver is one thread, is left to the sink.
    pub(super) fn open(&self, files: &mut FileWriter<'a, H>) {
        if files.ntfs.is_none() {
            // The others need them now.
            files.host.close_directories();
            self.first.get_or_init(|| files.for_thread(self.threads));
        }
    }

    /// The taker of one thread for the blobs `inputs`, each the content of the files that `files_of` has for it.
    pub(super) fn taker<'t>(
        &'t self,
        inputs: &'t [BlobInput<'_>],
        files_of: &'t HashMap<Sha1Digest, Vec<usize>>,
    ) -> impl FnMut(BlobPiece<'_>) -> Result<Taken> + Send + use<'t, 'a, H> {
        let mut own: Option<FileWriter<'a, H>> = None;
        move |piece| {
            let writer = match (&mut own, self.first.get()) {
                (Some(writer), _) => writer,
                (None, None) => return Ok(Taken::No),
                (own, Some(first)) => own.insert(first.for_thread(self.threads)),
            };
            let (input, bytes) = (&inputs[piece.position], piece.bytes?);
            let files = files_of.get(&input.digest).map_or(&[][..], Vec::as_slice);
            match piece.start == 0 && piece.is_last {
                true => writer.whole(files, bytes)?,
                false => writer.piece(files, input.size, piece.start, bytes)?,
            }
            Ok(Taken::Yes)
        }
    }
}

pub(super) fn cannot_write(tree: &Tree, error: std::io::Error, node: NodeId) -> Error {
    Error::new(ErrorKind::Io, format!("cannot write: {error}"))
        .because(Reason::CannotWrite)
        .at(Place::Path(tree.path_of(node).to_string()))
        .with_source(error)
}

/// Copies the next bytes of `source` to `offset` in `file`, which is where it ends; gives their number, 0 at the end.
fn copy_step(source: &File, file: &impl NewFile, offset: u64, is_sparse: bool) -> std::io::Result<u64> {
    if !is_sparse {
        // The system copies by itself where it can.
        return std::io::copy(&mut source.take(COPY_BYTES), &mut file.file());
    }
    let mut bytes = Vec::new();
    let length = source.take(SPARSE_COPY_BYTES).read_to_end(&mut bytes)?;
    write_at(file, &bytes, offset, is_sparse)?;
    Ok(length as u64)
}

/// Writes bytes at an offset of `file`; of a sparse file, blocks of zeros are left out.
fn write_at(file: &impl NewFile, bytes: &[u8], offset: u64, is_sparse: bool) -> std::io::Result<()> {
    if !is_sparse {
        return file.write_at(bytes, offset);
    }
    let is_hole = |block: &[u8]| block.iter().all(|&byte| byte == 0);
    let blocks: Vec<&[u8]> = bytes.chunks(HOLE_BYTES).collect();
    let mut start = 0;
    for run in blocks.chunk_by(|a, b| is_hole(a) == is_hole(b)) {
        let length: usize = run.iter().map(|block| block.len()).sum();
        if let Some(piece) = bytes.get(start..start + length).filter(|piece| !is_hole(piece)) {
            file.write_at(piece, offset + start as u64)?;
        }
        start += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::portable::PortableHost;
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    #[test]
    fn copies_keep_holes_and_come_in_steps() {
        let mut bytes = vec![0; (5 << 19) + 5];
        bytes[5 << 18] = 7;
        for is_sparse in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut source = tempfile::tempfile().unwrap();
            source.write_all(&bytes).unwrap();
            source.seek(SeekFrom::Start(0)).unwrap();
            let mut host = PortableHost::open(folder.path()).unwrap();
            let copy = host.create(0, OsStr::new("copy")).unwrap();
            let (mut steps, mut copied) = (0, 0);
            loop {
                match copy_step(&source, &copy, copied, is_sparse).unwrap() {
                    0 => break,
                    length => copied += length,
                }
                steps += 1;
            }
            // Sparse files come in smaller steps.
            assert_eq!((steps, copied), (if is_sparse { 3 } else { 1 }, bytes.len() as u64));
            copy.file().set_len(bytes.len() as u64).unwrap();
            #[cfg(target_os = "linux")]
            if is_sparse {
                use std::os::unix::fs::MetadataExt;
                let blocks = copy.file().metadata().unwrap().blocks();
                assert!(blocks * 512 <= 4 * HOLE_BYTES as u64, "{blocks}");
            }
            assert!(std::fs::read(folder.path().join("copy")).unwrap() == bytes);
        }
    }
}
