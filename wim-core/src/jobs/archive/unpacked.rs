//! The members of an archive, unpacked once, as the files of a package.
//!
//! Small members wait in memory as long as the job's [`Scratch`] has some, the others in one nameless file. Names must be such as
//! any Windows host takes, and the data no more than an [`Allowance`] says: an archive with others is refused as a whole.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Allowance, Scratch, WimArchive, member_path};
use crate::base::windows_name::path_clash;
use crate::base::{Context, Error, Place, Result, Section, Sha1Digest, WriteAt};
use crate::formats::cab::Cabinet;
use crate::image::edit::Content;
use crate::servicing::package_files::{PackageFile, PackageFiles};
use crate::transfer::read::{BlobInput, read_blobs, sort_by_offset};
use crate::transfer::spool::{Spool, TemporaryFile};
use crate::transfer::unpack::{MemberSink, Reach, unpack};

/// Bytes gathered before they are written to the file.
const WRITE_BYTES: usize = 256 << 10;

/// Sorts members by path, so that their order is the same whatever the archive's; refuses those of which not all can be
/// files below one folder.
///
/// # Errors
/// `InvalidInput` with the two names that meet.
pub fn sort_members<T>(members: &mut [(PackageFile, T)]) -> Result<()> {
    members.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    match path_clash(members.iter().map(|(file, _)| file.path.as_str())) {
        None => Ok(()),
        Some(clash) => Err(Error::invalid_input(format!("of its members, {}", clash.message))
            .remedy("the archive is damaged or made to do harm; get it again from its source")),
    }
}

/// Unpacked members of an archive.
pub struct UnpackedFiles {
    name: String,
    files: Vec<PackageFile>,
    contents: HashMap<String, Content>,
    allowance: Allowance,
}

impl UnpackedFiles {
    /// Unpacks the members `wanted` of a cabinet, all folders at once.
    ///
    /// # Errors
    /// `InvalidInput` for names that lead out or are equal for Windows; `Limit` for more than `allowance`; what [`unpack`] gives.
    pub fn of_cabinet(
        cx: &Context<'_>,
        cabinet: &Cabinet,
        wanted: &[usize],
        allowance: Allowance,
        scratch: &Scratch,
    ) -> Result<Self> {
        let in_file = |e: Error| e.in_file(cabinet.name());
        let mut members = Vec::with_capacity(wanted.len());
        for &number in wanted {
            let Some(member) = cabinet.members().get(number) else { continue };
            let path = member_path(&member.name).map_err(in_file)?;
            let file = PackageFile { path, size: member.size, last_write: member.modified.to_file_time() };
            members.push((file, number));
        }
        sort_members(&mut members).map_err(in_file)?;
        // Folders may share their blocks, and members their data: what is decoded counts.
        let total =
            cabinet.folders().iter().fold(0, |sum: u64, folder| sum.saturating_add(folder.max_bytes()));
        allowance.take(members.len(), total).map_err(in_file)?;
        let mut places = HashMap::with_capacity(members.len());
        let mut file_bytes: u64 = 0;
        for (file, number) in &members {
            let place = if scratch.take_memory(file.size) {
                Kept::Memory
            } else {
                let offset = file_bytes;
                file_bytes = file_bytes.saturating_add(file.size);
                Kept::File(offset)
            };
            places.insert(*number, place);
        }
        let file = if file_bytes > 0 { Some(TemporaryFile::create(scratch.folder())?) } else { None };
        let sink = Sink {
            places: &places,
            folder: scratch.folder().to_owned(),
            file: Mutex::new(file),
            done: Mutex::new(HashMap::with_capacity(wanted.len())),
        };
        unpack(cx, cabinet, wanted, Reach::Wanted, &sink)?;
        let contents = sink.into_contents(&members)?;
        let files = members.into_iter().map(|(file, _)| file).collect();
        Ok(Self { name: cabinet.name().to_owned(), files, contents, allowance })
    }

    /// Unpacks the members of a WIM file that `is_wanted` says, in one pass; equal files are kept once.
    ///
    /// # Errors
    /// `Limit` for more than `allowance`; `Corrupt` and `Format` for damaged data; `Io`, `Cancelled`.
    pub fn of_wim(
        cx: &Context<'_>,
        archive: &WimArchive,
        is_wanted: &dyn Fn(&str) -> bool,
        allowance: Allowance,
        scratch: &Scratch,
    ) -> Result<Self> {
        let wim = &archive.wim;
        let in_file = |e: Error| e.in_file(wim.name());
        let mut members: Vec<_> =
            archive.members.iter().filter(|(file, _)| is_wanted(&file.path)).cloned().collect();
        sort_members(&mut members).map_err(in_file)?;
        let total = members.iter().fold(0, |sum: u64, (file, _)| sum.saturating_add(file.size));
        allowance.take(members.len(), total).map_err(in_file)?;
        let mut digests: Vec<Sha1Digest> = members.iter().map(|(_, digest)| *digest).collect();
        digests.sort_unstable();
        digests.dedup();
        let entries = digests.iter().filter_map(|digest| wim.table().find(digest));
        let mut inputs: Vec<BlobInput<'_>> = entries.map(|entry| BlobInput::resource(wim, *entry)).collect();
        sort_by_offset(&mut inputs);
        let blobs = read_to(cx, &inputs, scratch).map_err(in_file)?;
        let content_of = |(file, digest): &(PackageFile, Sha1Digest)| {
            let content = blobs.get(digest).cloned().unwrap_or_else(|| Content::bytes(Vec::new()));
            (file.path.clone(), content)
        };
        let contents = members.iter().map(content_of).collect();
        let files = members.into_iter().map(|(file, _)| file).collect();
        Ok(Self { name: wim.name().to_owned(), files, contents, allowance })
    }

    fn find(&self, file: &PackageFile) -> Result<&Content> {
        self.contents.get(&file.path).ok_or_else(|| {
            Error::not_found(format!("{} is not in it", file.path))
                .in_file(&self.name)
                .remedy("the archive is incomplete; get it again from its source")
        })
    }
}

impl PackageFiles for UnpackedFiles {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> &[PackageFile] {
        &self.files
    }

    fn stored_bytes(&self) -> u64 {
        self.allowance.archive_bytes()
    }

    fn unpacked_bytes(&self) -> u64 {
        self.allowance.used_bytes()
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        file.check_size(limit, &self.name)?;
        let read = self.find(file)?.read(limit);
        read.map_err(|e| e.or_at(Place::Path(file.path.clone())).in_file(&self.name))
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.find(file).cloned()
    }
}

/// Reads blobs to where they wait; every one is checked against its digest.
fn read_to(
    cx: &Context<'_>,
    inputs: &[BlobInput<'_>],
    scratch: &Scratch,
) -> Result<HashMap<Sha1Digest, Content>> {
    let mut spool = Spool::new(scratch.folder());
    let mut blobs = HashMap::with_capacity(inputs.len());
    let (mut waiting, mut start) = (Vec::new(), None);
    read_blobs(cx, inputs, |piece| {
        let Some(input) = inputs.get(piece.position) else { return Ok(()) };
        let bytes = piece.bytes?;
        if piece.start == 0 {
            start = if scratch.take_memory(input.size) { None } else { Some(spool.length()) };
        }
        match start {
            None => waiting.extend_from_slice(bytes),
            Some(_) => drop(spool.put(bytes)?),
        }
        if piece.is_last {
            let content = match start {
                None => Content::bytes(std::mem::take(&mut waiting)),
                Some(start) => spool.range(start, input.size)?,
            };
            blobs.insert(input.digest, content);
        }
        Ok(())
    })?;
    Ok(blobs)
}

/// Where a member goes.
#[derive(Clone, Copy, Debug)]
enum Kept {
    Memory,
    /// To this offset of the file.
    File(u64),
}

struct Sink<'p> {
    places: &'p HashMap<usize, Kept>,
    folder: PathBuf,
    file: Mutex<Option<TemporaryFile>>,
    /// Finished members: their bytes, or nothing when those are in the file; and members that repeat others.
    done: Mutex<HashMap<usize, Done>>,
}

#[derive(Clone, Debug)]
enum Done {
    Memory(Arc<[u8]>),
    File(u64),
}

/// A member on its way.
struct Open {
    member: usize,
    place: Kept,
    /// All its bytes so far, or those not written yet.
    bytes: Vec<u8>,
    written: u64,
}

impl Sink<'_> {
    fn flush(&self, open: &mut Open, offset: u64) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut() {
            file.write_all_at(&open.bytes, offset + open.written)
                .map_err(|e| Error::io(e, "cannot keep a temporary file in", &self.folder))?;
        }
        open.written += open.bytes.len() as u64;
        open.bytes.clear();
        Ok(())
    }

    fn set_done(&self, member: usize, done: Done) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(member, done);
    }

    /// The contents of the members, by path.
    fn into_contents(self, members: &[(PackageFile, usize)]) -> Result<HashMap<String, Content>> {
        let file = self.file.into_inner().unwrap_or_else(PoisonError::into_inner);
        let file = file.map(TemporaryFile::into_source).transpose()?;
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut contents = HashMap::with_capacity(members.len());
        for (member, number) in members {
            let content = match (done.get(number), &file) {
                (Some(Done::Memory(bytes)), _) => Content::Bytes(Arc::clone(bytes)),
                (Some(Done::File(offset)), Some(file)) => {
                    Content::Source(Arc::new(Section::new(Arc::clone(file), *offset, member.size)?))
                }
                (Some(Done::File(_)) | None, _) => continue,
            };
            contents.insert(member.path.clone(), content);
        }
        Ok(contents)
    }
}

impl MemberSink for Sink<'_> {
    type Open = Open;

    fn begin(&self, member: usize) -> Result<Open> {
        let place = self.places.get(&member).copied().unwrap_or(Kept::Memory);
        Ok(Open { member, place, bytes: Vec::new(), written: 0 })
    }

    fn write(&self, open: &mut Open, bytes: &[u8]) -> Result<()> {
        open.bytes.extend_from_slice(bytes);
        match open.place {
            Kept::File(offset) if open.bytes.len() >= WRITE_BYTES => self.flush(open, offset),
            _ => Ok(()),
        }
    }

    fn finish(&self, mut open: Open) -> Result<()> {
        let done = match open.place {
            Kept::Memory => Done::Memory(std::mem::take(&mut open.bytes).into()),
            Kept::File(offset) => {
                self.flush(&mut open, offset)?;
                Done::File(offset)
            }
        };
        self.set_done(open.member, done);
        Ok(())
    }

    fn repeat(&self, member: usize, original: usize) -> Result<()> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).get(&original).cloned();
        if let Some(done) = done {
            self.set_done(member, done);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_meet_are_refused() {
        let file = |path: &str| (PackageFile { path: path.into(), size: 0, last_write: None }, ());
        assert!(sort_members(&mut [file("b"), file("a")]).is_ok());
        assert!(sort_members(&mut [file("x\\B"), file("a"), file("X\\b")]).is_err());
        assert!(sort_members(&mut [file("x\\B"), file("a"), file("X")]).is_err());
    }
}
