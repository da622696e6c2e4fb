//! Random-access bytes that many threads may read at once.
//!
//! No cursor, so no lock: workers share one source. No memory map: a file truncated while mapped is a signal, not an
//! error.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Error, ErrorKind, Result};
use super::filetime::FileTime;
use super::reason::Reason;

/// Random-access bytes that many threads may read at once.
pub trait ReadAt: Send + Sync {
    /// Length in bytes; does not change while the source is open.
    fn size(&self) -> u64;

    /// Fills all of `buf` from `offset` (bytes from the start), or fails: never a short read.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end, else what the system says.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// The open file that these bytes are, from its first one on; none where they are made, or a part of one. A system that copies
    /// between files wants it ([`WriteAt::copy_from`]).
    fn as_file(&self) -> Option<&File> {
        None
    }
}

/// Fills `buf` from `offset` of `source`; a failure names both numbers.
///
/// # Errors
/// `Io`.
pub fn read_exact_at(source: &dyn ReadAt, buf: &mut [u8], offset: u64) -> Result<()> {
    source.read_exact_at(buf, offset).map_err(|e| {
        Error::new(ErrorKind::Io, format!("cannot read {} bytes at {offset:#x}: {e}", buf.len()))
            .with_source(e)
    })
}

/// The first `most` bytes of `source`, or all when there are fewer: for telling what it is.
///
/// # Errors
/// `Io`.
pub fn read_start(source: &dyn ReadAt, most: usize) -> Result<Vec<u8>> {
    let mut start = vec![0; usize::try_from(source.size()).unwrap_or(usize::MAX).min(most)];
    read_exact_at(source, &mut start, 0)?;
    Ok(start)
}

/// `bytes` bytes from `offset` of `source`, for several holders; they are in memory once.
///
/// # Errors
/// `Limit` for more than memory can address; `Io`.
pub fn read_shared(source: &dyn ReadAt, offset: u64, bytes: u64) -> Result<Arc<[u8]>> {
    let length = usize::try_from(bytes).map_err(|_| Error::limit("does not fit into memory"))?;
    // The source is asked first, so that a size that lies costs no memory.
    if offset.checked_add(bytes).is_none_or(|end| end > source.size()) {
        let message = format!("{bytes} bytes at {offset:#x} do not lie in {} bytes", source.size());
        return Err(Error::new(ErrorKind::Io, message));
    }
    let mut shared: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
    let room = Arc::get_mut(&mut shared).expect("nobody else holds what was just made");
    read_exact_at(source, room, offset)?;
    Ok(shared)
}

/// Bytes that can be written at any offset, and read back.
pub trait WriteAt: ReadAt {
    /// Writes all of `bytes` at `offset`; the length grows as needed.
    ///
    /// # Errors
    /// What the system says, a full disk among it.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Has the system copy up to `length` bytes from `from` of `source` to `to`, which no byte of them passes the process for;
    /// gives how many it has, 0 at the end of the source.
    ///
    /// # Errors
    /// `Unsupported` where it cannot; what it says may be of either file. Whoever calls reads and writes instead then.
    fn copy_from(&mut self, _source: &File, _from: u64, _length: u64, _to: u64) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Cuts or extends (with zeros) to `bytes`.
    ///
    /// # Errors
    /// What the system says.
    fn set_length(&mut self, bytes: u64) -> io::Result<()>;
}

impl<T: WriteAt + ?Sized> ReadAt for &mut T {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }
}

impl<T: WriteAt + ?Sized> WriteAt for &mut T {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (**self).write_all_at(bytes, offset)
    }

    fn copy_from(&mut self, source: &File, from: u64, length: u64, to: u64) -> io::Result<u64> {
        (**self).copy_from(source, from, length, to)
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        (**self).set_length(bytes)
    }
}

/// [`WriteAt::copy_from`] for an open file. Where both lie on one file system that can share blocks, none is copied.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn copy_between(
    source: &File,
    mut from: u64,
    target: &File,
    mut to: u64,
    length: u64,
) -> io::Result<u64> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let copied = rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), length)?;
    Ok(copied as u64)
}

/// [`WriteAt::copy_from`] for an open file, which this system has not.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn copy_between(_: &File, _: u64, _: &File, _: u64, _: u64) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

impl WriteAt for Vec<u8> {
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
        if self.len() < start + bytes.len() {
            self.resize(start + bytes.len(), 0);
        }
        self[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.resize(usize::try_from(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?, 0);
        Ok(())
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let slice = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buf.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(slice);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buf, offset)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buf, offset)
    }

    fn as_file(&self) -> Option<&File> {
        (**self).as_file()
    }
}

/// A file opened for reading.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    path: PathBuf,
    size: u64,
    /// Whether reads ask for holes first.
    #[cfg_attr(windows, allow(dead_code, reason = "Windows has another way to ask, which is not used"))]
    holes: Holes,
}

/// What is done about holes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holes {
    /// They are read as all else, as zeros of the system's.
    Read,
    /// They are asked for and not read.
    Skip,
}

impl FileSource {
    /// Opens the regular file at `path`.
    ///
    /// # Errors
    /// `Io` when it cannot be opened, `InvalidInput` when it is a directory or a device.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = super::LongPath::to(path).and_then(|way| {
            // The open of a pipe waits for a writer, and no signal ends that.
            match std::fs::metadata(way.path())?.file_type() {
                kind if kind.is_file() || kind.is_dir() => File::open(way.path()).map(Some),
                _ => Ok(None),
            }
        });
        let cannot = |e| Error::io(e, "cannot open", path).because(Reason::CannotOpen);
        match opened.map_err(cannot)? {
            Some(file) => Self::of_file(file, path),
            None => Err(not_a_file(path)),
        }
    }

    /// Opens the regular file at `path` and keeps programs that lock what they write from changing it meanwhile.
    ///
    /// # Errors
    /// As [`Self::open`], and `InvalidInput` when another program is writing to it.
    pub fn open_shared(path: &Path) -> Result<Self> {
        let source = Self::open(path)?;
        super::in_place_file::lock(source.file.try_lock_shared(), path)?;
        Ok(source)
    }

    /// Opens the file at `path` as it was planned, with this size and time of last write. Its holes are not read: the system
    /// would make pages of zeros for them.
    ///
    /// # Errors
    /// As [`Self::open`], and `InvalidInput` when it has changed since.
    pub fn open_planned(path: &Path, size: u64, last_write: FileTime) -> Result<Self> {
        let source = Self::open(path)?;
        let metadata = source.file.metadata().map_err(|e| Error::io(e, "cannot read the size of", path))?;
        let modified = metadata.modified().map_err(|e| Error::io(e, "cannot read the time of", path))?;
        if source.size != size || FileTime::from_system_time(modified) != last_write {
            return Err(Error::invalid_input("the file changed while it was being read")
                .in_file(path.display())
                .remedy("run the command again when nothing writes to the folder"));
        }
        Ok(Self { holes: if takes_less(&metadata) { Holes::Skip } else { Holes::Read }, ..source })
    }

    /// A file that is open already; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn of_file(file: File, path: &Path) -> Result<Self> {
        let metadata = file.metadata().map_err(|e| Error::io(e, "cannot read the size of", path))?;
        if !metadata.is_file() {
            return Err(not_a_file(path));
        }
        Ok(Self { file, path: path.to_owned(), size: metadata.len(), holes: Holes::Read })
    }

    /// A file that is open already, a nameless temporary one for example, with the bytes it has now; `path` is what it is
    /// called.
    ///
    /// # Errors
    /// `Io` when its size cannot be read.
    pub fn of_open_file(file: File, path: &Path) -> Result<Self> {
        let metadata = file.metadata().map_err(|e| Error::io(e, "cannot read the size of", path))?;
        Ok(Self { file, path: path.to_owned(), size: metadata.len(), holes: Holes::Read })
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file itself, for asking about its identity.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl ReadAt for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if self.holes == Holes::Skip && lies_in_hole(&self.file, offset, buf.len() as u64, self.size) {
            buf.fill(0);
            return Ok(());
        }
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buf, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        seek_read_exact(&self.file, buf, offset)
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

fn not_a_file(path: &Path) -> Error {
    Error::invalid_input("not a regular file").because(Reason::NotAFile).in_file(path.display())
}

/// True when the file at `path`, of which this is known, has holes: it takes less of the disk than it has bytes, and the system
/// names a hole where it can. Files of file systems that compress have none, nor those that are not on the disk yet.
#[cfg(unix)]
pub(crate) fn has_holes(path: &Path, metadata: &std::fs::Metadata) -> bool {
    takes_less(metadata) && File::open(path).is_ok_and(|file| names_hole(&file, metadata.len()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn names_hole(file: &File, size: u64) -> bool {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0)).is_ok_and(|hole| hole < size)
}

/// Other systems have other ways to ask, or none.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn names_hole(_: &File, _: u64) -> bool {
    true
}

/// True when a file takes less of the disk than it has bytes.
#[cfg(unix)]
fn takes_less(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks().saturating_mul(512) < metadata.len()
}

/// Files of other systems are read as they are.
#[cfg(not(unix))]
fn takes_less(_: &std::fs::Metadata) -> bool {
    false
}

/// True when the system says that no byte of the range is stored, and the range lies in the file. Its position, which this
/// moves, means nothing to reads at offsets.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn lies_in_hole(file: &File, offset: u64, length: u64, size: u64) -> bool {
    let Some(end) = offset.checked_add(length).filter(|end| *end <= size) else { return false };
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => data >= end,
        // There is none up to the end, unless the file has shrunk.
        Err(rustix::io::Errno::NXIO) => file.metadata().is_ok_and(|metadata| metadata.len() >= end),
        Err(_) => false,
    }
}

/// Other systems have other ways to ask, or none.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn lies_in_hole(_: &File, _: u64, _: u64, _: u64) -> bool {
    false
}

/// Windows' positioned read, repeated until `buf` is full.
#[cfg(windows)]
pub(super) fn seek_read_exact(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buf.is_empty() {
        match file.seek_read(buf, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_never_read_short() {
        let bytes = [1u8, 2, 3, 4];
        let mut buf = [0; 2];
        bytes[..].read_exact_at(&mut buf, 2).unwrap();
        assert_eq!(buf, [3, 4]);
        assert!(bytes[..].read_exact_at(&mut buf, 3).is_err());
        assert!(bytes[..].read_exact_at(&mut buf, u64::MAX).is_err());
    }

    #[test]
    fn holes_are_zeros_and_what_is_between_them_is_read() {
        use std::io::{Seek, SeekFrom, Write};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        let mut file = File::create(&path).unwrap();
        file.seek(SeekFrom::Start(3 << 20)).unwrap();
        file.write_all(b"middle").unwrap();
        file.set_len(8 << 20).unwrap();
        let modified = FileTime::from_system_time(file.metadata().unwrap().modified().unwrap());
        let source = FileSource::open_planned(&path, 8 << 20, modified).unwrap();
        let mut wanted = vec![0; 8 << 20];
        wanted[3 << 20..(3 << 20) + 6].copy_from_slice(b"middle");
        for (offset, length) in
            [(0, 8 << 20), (0, 1000), (1 << 20, 3 << 20), (3 << 20, 6), (5 << 20, 3 << 20)]
        {
            let mut bytes = vec![1; length];
            source.read_exact_at(&mut bytes, offset as u64).unwrap();
            assert!(bytes == wanted[offset..offset + length], "{offset}");
        }
        assert!(source.read_exact_at(&mut [0; 2], (8 << 20) - 1).is_err(), "the end is the end");
        // A file that shrinks meanwhile has no zeros behind its end.
        file.set_len(6 << 20).unwrap();
        assert!(source.read_exact_at(&mut vec![0; 1 << 20], 7 << 20).is_err());
        assert!(FileSource::open_planned(&path, 8 << 20, modified).is_err());
    }

    #[test]
    fn files_read_like_slices_and_directories_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, [1, 2, 3, 4]).unwrap();
        let source = FileSource::open(&path).unwrap();
        let mut buf = [0; 3];
        source.read_exact_at(&mut buf, 1).unwrap();
        assert_eq!((source.size(), buf), (4, [2, 3, 4]));
        assert!(source.read_exact_at(&mut buf, 2).is_err());
        assert!(FileSource::open(dir.path()).is_err());
    }
}
