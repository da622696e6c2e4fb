//! Driver packages as people have them: a folder, one INF, a `.zip` or a `.cab`.
//!
//! An expanded installer is a folder like any other; which of its packages fit is found by what their INFs say. A `.cab` is
//! unpacked at once, of a `.zip` only what is asked for, both into a temporary file. Names that lead out of an archive, archives
//! that hide their size and links are refused or left out; programs that unpack themselves are not run.

mod folder;
mod held;
mod zip;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use folder::PackageFolder;

use self::held::HeldFiles;
use self::zip::ZipArchiveFile;
use crate::base::{Context, Error, FileSource, ReadAt, Result};
use crate::formats::cab::Cabinet;
use crate::jobs::archive::{Allowance, Scratch, UnpackedFiles};
use crate::servicing::package_files::PackageFiles;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Zip,
    Cabinet,
    Program,
    Text,
}

/// Opens the packages at `path`; what has to be unpacked waits in `scratch`.
///
/// # Errors
/// `NotFound` when nothing is there, `Unsupported` for a file that is neither INF nor archive, `Format` and `Limit` for archives
/// that are damaged or hostile, `Io`, `Cancelled`.
pub fn open<'c>(cx: &Context<'c>, path: &Path, scratch: &Scratch) -> Result<Box<dyn PackageFiles + 'c>> {
    cx.cancel.check()?;
    if path.is_dir() {
        return Ok(Box::new(PackageFolder::scan(path)?));
    }
    match kind_of(path)? {
        Kind::Zip => Ok(Box::new(ZipArchiveFile::open(cx, path, scratch)?)),
        Kind::Cabinet => Ok(Box::new(open_cabinet(cx, path, scratch)?)),
        Kind::Text if has_extension(path, "inf") => Ok(Box::new(PackageFolder::of_inf(path)?)),
        Kind::Program => Err(Error::unsupported("an installer program, which is not run here")
            .in_file(path.display())
            .remedy("unpack it, with 7-Zip for example or its own option, and give the folder that holds the .inf files")),
        Kind::Text => Err(Error::unsupported("neither an INF nor an archive of driver packages")
            .in_file(path.display())
            .remedy("give a folder, an .inf file, a .zip or a .cab")),
    }
}

/// Opens all of `paths`, for several images: what one reads is kept for the next, within a quarter of a job's memory: the
/// rest is for what is read and written meanwhile.
///
/// # Errors
/// As [`open`].
pub fn open_all<'c>(
    cx: &Context<'c>,
    paths: &[PathBuf],
    scratch: &Scratch,
) -> Result<Vec<Box<dyn PackageFiles + 'c>>> {
    const SHARE: u64 = 4;
    let room = cx.memory_bytes() / SHARE / paths.len().max(1) as u64;
    let open_held = |path: &PathBuf| -> Result<Box<dyn PackageFiles + 'c>> {
        let source = open(cx, path, scratch)?;
        Ok(Box::new(HeldFiles::new(source, room, scratch.folder(), cx.cancel)))
    };
    paths.iter().map(open_held).collect()
}

/// A `.cab`, unpacked; sets that go on in other cabinets are refused by the reader, by name.
fn open_cabinet(cx: &Context<'_>, path: &Path, scratch: &Scratch) -> Result<UnpackedFiles> {
    let source = Arc::new(FileSource::open(path)?);
    let allowance = Allowance::of_file(source.size());
    let cabinet = Cabinet::open(source, &path.display().to_string())?;
    let all: Vec<usize> = (0..cabinet.members().len()).collect();
    UnpackedFiles::of_cabinet(cx, &cabinet, &all, allowance, scratch)
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

fn kind_of(path: &Path) -> Result<Kind> {
    let missing = |e: std::io::Error| {
        match e.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("there are no driver packages here")
            .in_file(path.display())
            .remedy("give the folder that holds the driver's .inf file or one above it, an .inf file, a .zip or a .cab"),
        _ => Error::io(e, "cannot open", path),
    }
    };
    let file = std::fs::File::open(path).map_err(missing)?;
    let mut start = Vec::new();
    file.take(4).read_to_end(&mut start).map_err(|e| Error::io(e, "cannot read", path))?;
    Ok(match start.as_slice() {
        // A local header, and the end record of an archive without members.
        [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => Kind::Zip,
        b"MSCF" => Kind::Cabinet,
        [b'M', b'Z', ..] => Kind::Program,
        _ => Kind::Text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Cancel, Silent};

    /// A cabinet of one stored folder with these members.
    fn cabinet(members: &[(&str, &[u8])]) -> Vec<u8> {
        let data: Vec<u8> = members.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let entries_bytes: usize = members.iter().map(|(name, _)| 16 + name.len() + 1).sum();
        let data_at = 36 + 8 + entries_bytes;
        let u32_of = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let u16_of = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
        let mut out = b"MSCF\0\0\0\0".to_vec();
        out.extend(u32_of(data_at + 8 + data.len()));
        out.extend([0; 4]);
        out.extend(u32_of(44));
        out.extend([0, 0, 0, 0, 3, 1, 1, 0]);
        out.extend(u16_of(members.len()));
        out.extend([0; 6]);
        out.extend(u32_of(data_at));
        out.extend([1, 0, 0, 0]);
        let mut offset = 0;
        for (name, bytes) in members {
            out.extend(u32_of(bytes.len()));
            out.extend(u32_of(offset));
            // Folder 0; 2017-05-11 12:30:08; ARCHIVE.
            out.extend([0, 0, 0xAB, 0x4A, 0xC4, 0x63, 0x20, 0]);
            out.extend(name.as_bytes());
            out.push(0);
            offset += bytes.len();
        }
        // Without a checksum.
        out.extend([0; 4]);
        out.extend(u16_of(data.len()));
        out.extend(u16_of(data.len()));
        out.extend(data);
        out
    }

    fn open_bytes(bytes: &[u8]) -> Result<(tempfile::TempDir, Box<dyn PackageFiles>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.cab");
        std::fs::write(&path, bytes).unwrap();
        static CANCEL: Cancel = Cancel::new();
        let opened = open(&Context::new(&Silent, &CANCEL), &path, &Scratch::on_disk(folder.path()))?;
        Ok((folder, opened))
    }

    #[test]
    fn members_of_one_folder_are_read_in_any_order() {
        let (_folder, cab) =
            open_bytes(&cabinet(&[("x64\\a.sys", &[7; 3000]), ("a.inf", b"[Version]")])).unwrap();
        let paths: Vec<&str> = cab.list().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.inf", "x64\\a.sys"]);
        assert_eq!(*cab.read(&cab.list()[1], 1 << 20).unwrap(), [7; 3000]);
        assert_eq!(*cab.content(&cab.list()[0]).unwrap().read(100).unwrap(), *b"[Version]");
        assert_eq!(cab.list()[0].last_write, Some(crate::base::FileTime::from_unix(1_494_505_808, 0)));
        assert!(cab.read(&cab.list()[1], 1000).is_err());
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["..\\evil.inf", "\\evil.inf", "C:\\evil.inf"] {
            assert!(open_bytes(&cabinet(&[(name, b"x")])).is_err(), "{name}");
        }
        assert!(open_bytes(&cabinet(&[("a.inf", b"x"), ("A.INF", b"y")])).is_err());
    }

    /// Ten thousand folders of the same block claim 21 TB in a file of 80 KB.
    #[test]
    fn folders_that_share_their_blocks_are_refused_before_anything_is_unpacked() {
        let good = cabinet(&[("a.inf", b"x")]);
        let mut bytes = good[..36].to_vec();
        let folders = 10_000_u32;
        let shift = (folders - 1) * 8;
        for _ in 0..folders {
            bytes.extend((u32::from_le_bytes(good[36..40].try_into().unwrap()) + shift).to_le_bytes());
            bytes.extend([0xFF, 0xFF, 0, 0]);
        }
        bytes.extend(&good[44..]);
        bytes[26..28].copy_from_slice(&(folders as u16).to_le_bytes());
        for at in [8, 16] {
            let value = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) + shift;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let error = open_bytes(&bytes).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), crate::base::ErrorKind::Limit, "{error}");
    }

    #[test]
    fn damaged_cabinets_give_errors() {
        let good = cabinet(&[("a.sys", &[7; 300]), ("a.inf", b"[Version]")]);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0xA5;
            for bytes in [&bytes[..], &good[..at]] {
                let Ok((_folder, cab)) = open_bytes(bytes) else { continue };
                for file in cab.list() {
                    let _ = cab.read(file, 1 << 20);
                }
            }
        }
    }
}
