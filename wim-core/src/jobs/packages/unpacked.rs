//! The members of a cabinet, unpacked once, as the files of a package.
//!
//! Small members wait in memory as long as a part of the budget lasts, the others in one nameless file. Names must be such as
//! any Windows host takes: a package with others is refused as a whole.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::{Context, Error, Result, Section, WriteAt};
use crate::formats::cab::Cabinet;
use crate::image::edit::Content;
use crate::jobs::cab::member_path;
use crate::jobs::spool::TemporaryFile;
use crate::servicing::package_files::{PackageFile, PackageFiles};
use crate::transfer::unpack::{MemberSink, Reach, unpack};

/// Part of the memory budget that members may take: files, decoding and what is made of the files share the rest.
const MEMORY_SHARE: u64 = 4;
/// Bytes gathered before they are written to the file.
const WRITE_BYTES: usize = 256 << 10;

/// Unpacked members of a cabinet.
pub struct UnpackedFiles {
    name: String,
    files: Vec<PackageFile>,
    contents: HashMap<String, Content>,
}

impl UnpackedFiles {
    /// Unpacks the members `wanted`, all folders at once.
    ///
    /// # Errors
    /// `InvalidInput` for names that lead out or are equal for Windows; what [`unpack`] gives.
    pub fn unpack(cx: &Context<'_>, cabinet: &Cabinet, wanted: &[usize], scratch: &Path) -> Result<Self> {
        let mut seen = HashSet::with_capacity(wanted.len());
        let mut files = Vec::with_capacity(wanted.len());
        let mut places = HashMap::with_capacity(wanted.len());
        let (mut memory_left, mut file_bytes) = (cx.memory_bytes() / MEMORY_SHARE, 0);
        for &number in wanted {
            let Some(member) = cabinet.members().get(number) else { continue };
            let path = member_path(&member.name).map_err(|e| e.in_file(cabinet.name()))?;
            if !seen.insert(path.to_lowercase()) {
                let message = format!("two of its members are called {path}");
                return Err(Error::invalid_input(message).in_file(cabinet.name()));
            }
            let place = if member.size <= memory_left {
                memory_left -= member.size;
                Place::Memory
            } else {
                file_bytes += member.size;
                Place::File(file_bytes - member.size)
            };
            places.insert(number, place);
            files.push(PackageFile { path, size: member.size, last_write: member.modified.to_file_time() });
        }
        let file = if file_bytes > 0 { Some(TemporaryFile::create(scratch)?) } else { None };
        let sink = Sink {
            places: &places,
            scratch: scratch.to_owned(),
            file: Mutex::new(file),
            done: Mutex::new(HashMap::with_capacity(wanted.len())),
        };
        unpack(cx, cabinet, wanted, Reach::Wanted, &sink)?;
        let contents = sink.into_contents(cabinet, wanted)?;
        let contents = files.iter().map(|file| file.path.clone()).zip(contents).collect();
        Ok(Self { name: cabinet.name().to_owned(), files, contents })
    }

    fn find(&self, file: &PackageFile) -> Result<&Content> {
        self.contents
            .get(&file.path)
            .ok_or_else(|| Error::not_found(format!("{} is not in it", file.path)).in_file(&self.name))
    }
}

impl PackageFiles for UnpackedFiles {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> &[PackageFile] {
        &self.files
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        let read = self.find(file)?.read(limit);
        read.map_err(|e| e.or_at(crate::base::Place::Path(file.path.clone())).in_file(&self.name))
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.find(file).cloned()
    }
}

/// Where a member goes.
#[derive(Clone, Copy, Debug)]
enum Place {
    Memory,
    /// To this offset of the file.
    File(u64),
}

struct Sink<'p> {
    places: &'p HashMap<usize, Place>,
    scratch: PathBuf,
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
    place: Place,
    /// All its bytes so far, or those not written yet.
    bytes: Vec<u8>,
    written: u64,
}

impl Sink<'_> {
    fn flush(&self, open: &mut Open, offset: u64) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = file.as_mut() {
            file.write_all_at(&open.bytes, offset + open.written)
                .map_err(|e| Error::io(e, "cannot keep a temporary file in", &self.scratch))?;
        }
        open.written += open.bytes.len() as u64;
        open.bytes.clear();
        Ok(())
    }

    fn set_done(&self, member: usize, done: Done) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(member, done);
    }

    /// Contents in the order of `wanted`.
    fn into_contents(self, cabinet: &Cabinet, wanted: &[usize]) -> Result<Vec<Content>> {
        let file = self.file.into_inner().unwrap_or_else(PoisonError::into_inner);
        let file = file.map(TemporaryFile::into_source).transpose()?;
        let done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut contents = Vec::with_capacity(wanted.len());
        for (member, done) in wanted.iter().map(|&number| (cabinet.members().get(number), done.get(&number)))
        {
            let (Some(member), Some(done)) = (member, done) else { continue };
            contents.push(match (done, &file) {
                (Done::File(offset), Some(file)) => {
                    Content::Source(Arc::new(Section::new(Arc::clone(file), *offset, member.size)?))
                }
                (Done::File(_), None) => continue,
                (Done::Memory(bytes), _) => Content::Bytes(Arc::clone(bytes)),
            });
        }
        Ok(contents)
    }
}

impl MemberSink for Sink<'_> {
    type Open = Open;

    fn begin(&self, member: usize) -> Result<Open> {
        let place = self.places.get(&member).copied().unwrap_or(Place::Memory);
        Ok(Open { member, place, bytes: Vec::new(), written: 0 })
    }

    fn write(&self, open: &mut Open, bytes: &[u8]) -> Result<()> {
        open.bytes.extend_from_slice(bytes);
        match open.place {
            Place::File(offset) if open.bytes.len() >= WRITE_BYTES => self.flush(open, offset),
            _ => Ok(()),
        }
    }

    fn finish(&self, mut open: Open) -> Result<()> {
        let done = match open.place {
            Place::Memory => Done::Memory(std::mem::take(&mut open.bytes).into()),
            Place::File(offset) => {
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
