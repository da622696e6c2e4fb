//! A `.zip` as a source of driver packages.
//!
//! The members' list is read once; a member is unpacked when it is asked for, checked against its CRC and its stated size. Encrypted
//! archives are refused, links are left out as in folders.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::base::{Cancel, Context, Error, ErrorKind, FileTime, Result};
use crate::formats::cab::DosTime;
use crate::image::edit::Content;
use crate::jobs::archive::{Allowance, Scratch, member_path, sort_members};
use crate::servicing::package_files::{PackageFile, PackageFiles};
use crate::transfer::spool::Spool;

/// Bytes that are unpacked between two looks at whether the user asked to stop.
const BLOCK_BYTES: usize = 256 << 10;

/// An open `.zip`.
pub(super) struct ZipArchiveFile<'c> {
    path: PathBuf,
    name: String,
    files: Vec<PackageFile>,
    /// Numbers of the members of `files`, in the same order.
    numbers: Vec<usize>,
    archive: Mutex<ZipArchive<BufReader<File>>>,
    unpacked: Mutex<Unpacked>,
    cancel: &'c Cancel,
}

/// Members that were asked for, in the file that they were unpacked to.
struct Unpacked {
    spool: Spool,
    contents: HashMap<usize, Content>,
}

impl<'c> ZipArchiveFile<'c> {
    /// Reads the list of members; what is unpacked goes to a file in `scratch`.
    ///
    /// # Errors
    /// `Format` when it cannot be read, `InvalidInput` and `Limit` when it is hostile, `Unsupported` when it is encrypted.
    pub(super) fn open(cx: &Context<'c>, path: &Path, scratch: &Scratch) -> Result<Self> {
        let in_file = |e: Error| e.in_file(path.display());
        let file = File::open(path).map_err(|e| Error::io(e, "cannot open", path))?;
        let length = file.metadata().map_err(|e| Error::io(e, "cannot read the size of", path))?.len();
        let mut archive = ZipArchive::new(BufReader::new(file))
            .map_err(|e| unreadable(&e, "cannot read the archive", path))?;
        let mut members = members_of(&archive, path).map_err(in_file)?;
        let total = members.iter().fold(0, |sum, (file, _)| file.size.saturating_add(sum));
        Allowance::of_file(length).take(archive.len(), total).map_err(in_file)?;
        // Members that share their data are how small archives are made to come to petabytes.
        let hides = archive.has_duplicate_names()
            || archive
                .has_overlapping_entries()
                .map_err(|e| unreadable(&e, "cannot read the archive", path))?;
        if hides {
            return Err(in_file(
                Error::invalid_input("its members overlap or have the same name")
                    .remedy("such an archive is made to do harm or damaged; get the package from its vendor"),
            ));
        }
        sort_members(&mut members).map_err(in_file)?;
        let (files, numbers) = members.into_iter().unzip();
        Ok(Self {
            path: path.to_owned(),
            name: path.display().to_string(),
            files,
            numbers,
            archive: Mutex::new(archive),
            unpacked: Mutex::new(Unpacked { spool: Spool::new(scratch.folder()), contents: HashMap::new() }),
            cancel: cx.cancel,
        })
    }

    fn stored(&self, file: &PackageFile) -> Result<Content> {
        let position = self.files.binary_search_by(|other| other.path.cmp(&file.path));
        let number = position.ok().and_then(|position| self.numbers.get(position)).copied();
        let number =
            number.ok_or_else(|| Error::not_found(format!("{} is not in {}", file.path, self.name)))?;
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = unpacked.contents.get(&number) {
            return Ok(content.clone());
        }
        let content = unpacked.spool.fill(|out| self.unpack(number, file, out))?;
        unpacked.contents.insert(number, content.clone());
        Ok(content)
    }

    fn unpack(&self, number: usize, file: &PackageFile, out: &mut dyn Write) -> Result<()> {
        let failed = |e: &dyn std::error::Error| {
            unreadable(e, &format!("cannot unpack its member {}", file.path), &self.path)
        };
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let mut member = archive.by_index(number).map_err(|e| match e {
            ZipError::UnsupportedArchive(what) => {
                Error::unsupported(format!("its member {}: {what}", file.path))
                    .in_file(self.path.display())
                    .remedy("unpack the archive and give the folder")
            }
            other => failed(&other),
        })?;
        // One byte more than it says it has shows that it lies.
        let mut limited = (&mut member).take(file.size.saturating_add(1));
        let (mut block, mut have) = (vec![0; BLOCK_BYTES], 0);
        loop {
            self.cancel.check()?;
            let length = limited.read(&mut block).map_err(|e| failed(&e))?;
            let Some(part) = block.get(..length).filter(|part| !part.is_empty()) else { break };
            out.write_all(part).map_err(|e| failed(&e))?;
            have += part.len() as u64;
        }
        if have != file.size {
            let (more, said) = (if have > file.size { "more than" } else { "fewer than" }, file.size);
            return Err(Error::corrupt(format!(
                "its member {} has {more} the {said} bytes it is said to have",
                file.path
            ))
            .in_file(self.path.display())
            .remedy("get the archive again from its source"));
        }
        Ok(())
    }
}

/// The files of an archive with their numbers.
fn members_of(archive: &ZipArchive<BufReader<File>>, path: &Path) -> Result<Vec<(PackageFile, usize)>> {
    let mut members = Vec::new();
    for number in 0..archive.len() {
        let member = archive
            .by_index_data(number)
            .map_err(|e| unreadable(&e, "cannot read its list of members", path))?;
        let name = member.name().map_err(|e| unreadable(&e, "cannot read a member's name", path))?;
        if member.is_dir() || member.is_symlink() {
            continue;
        }
        // Some programs begin every name with the folder that they packed.
        let parts: Vec<&str> = name.split(['/', '\\']).filter(|part| *part != ".").collect();
        let file_path = member_path(&parts.join("\\"))?;
        if member.encrypted() {
            return Err(Error::unsupported(format!("its member {file_path} is encrypted"))
                .remedy("unpack the archive with its password and give the folder"));
        }
        let last_write = member.last_modified().and_then(file_time);
        members.push((PackageFile { path: file_path, size: member.size(), last_write }, number));
    }
    Ok(members)
}

/// The format keeps local time of a place it does not name; it is taken as UTC, so that it is the same everywhere.
fn file_time(time: zip::DateTime) -> Option<FileTime> {
    DosTime { date: time.datepart(), time: time.timepart() }.to_file_time()
}

impl PackageFiles for ZipArchiveFile<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> &[PackageFile] {
        &self.files
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        file.check_size(limit, &self.name)?;
        self.stored(file)?.read(limit)
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.stored(file)
    }
}

/// An error of the archive's own reader, for `doing`.
fn unreadable(e: &dyn std::error::Error, doing: &str, path: &Path) -> Error {
    Error::new(ErrorKind::Format, format!("{doing}: {e}"))
        .in_file(path.display())
        .remedy("get the archive again from its source")
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::base::Silent;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::from_date_and_time(2017, 5, 11, 12, 30, 8).unwrap());
        for (name, bytes) in members {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// Opens `bytes` as an archive.
    fn open(bytes: &[u8]) -> Result<(tempfile::TempDir, ZipArchiveFile<'static>)> {
        static CANCEL: Cancel = Cancel::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.zip");
        std::fs::write(&path, bytes).unwrap();
        let cx = Context::new(&Silent, &CANCEL);
        let open = ZipArchiveFile::open(&cx, &path, &Scratch::on_disk(folder.path()))?;
        Ok((folder, open))
    }

    /// The message of the error that opening gives.
    fn refusal(bytes: &[u8]) -> String {
        match open(bytes) {
            Ok(_) => panic!("it was opened"),
            Err(e) => e.to_string(),
        }
    }

    /// Changes 4 bytes of the first member's central directory header.
    fn patch(mut bytes: Vec<u8>, offset: usize, value: u32) -> Vec<u8> {
        let at = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap() + offset;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    #[test]
    fn members_are_listed_sorted_and_read_again_and_again() {
        let text = b"text ".repeat(40_000);
        let bytes = archive(&[("./x64/a.sys", &text), ("a.inf", b"[Version]"), ("sub/", b"")]);
        let (_folder, zip) = open(&bytes).unwrap();
        let paths: Vec<&str> = zip.list().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.inf", "x64\\a.sys"]);
        let file = &zip.list()[1];
        assert_eq!(file.last_write, Some(FileTime::from_unix(1_494_505_808, 0)));
        for _ in 0..2 {
            assert_eq!(*zip.read(file, 1 << 20).unwrap(), *text);
            assert_eq!(*zip.content(file).unwrap().read(1 << 20).unwrap(), *text);
        }
        assert!(zip.read(file, 1000).unwrap_err().to_string().contains("200000 bytes are more"));
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../evil.inf", "/etc/evil.inf", "x\\..\\..\\evil.inf", "C:\\evil.inf"] {
            let message = refusal(&archive(&[(name, b"x")]));
            assert!(message.contains("the member") && message.contains("p.zip"), "{message}");
        }
        assert!(refusal(&archive(&[("A.inf", b"x"), ("a.inf", b"y")])).contains("the same file for Windows"));
    }

    #[test]
    fn sizes_that_lie_are_found() {
        const UNCOMPRESSED_SIZE: usize = 24;
        let good = archive(&[("a.sys", &b"text ".repeat(1000))]);
        assert!(
            refusal(&patch(good.clone(), UNCOMPRESSED_SIZE, 2_000_000_000)).contains("come to 2000000000")
        );
        for wrong in [10, 4999, 5001] {
            // Opening may find it already; reading must.
            let Ok((_folder, zip)) = open(&patch(good.clone(), UNCOMPRESSED_SIZE, wrong)) else { continue };
            assert!(zip.read(&zip.list()[0], 1 << 20).is_err(), "{wrong}");
        }
    }

    #[test]
    fn members_that_share_their_data_are_refused() {
        const LOCAL_HEADER: usize = 42;
        let mut bytes = archive(&[("a.sys", &[1; 1000]), ("b.sys", &[2; 1000])]);
        let second = bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap() + LOCAL_HEADER;
        bytes[second..second + 4].copy_from_slice(&0_u32.to_le_bytes());
        refusal(&bytes);
    }

    #[test]
    fn damaged_archives_give_errors() {
        let good = archive(&[("a.sys", &b"text ".repeat(1000)), ("a.inf", b"[Version]")]);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x55;
            if let Ok((_folder, zip)) = open(&bytes) {
                for file in zip.list() {
                    let _ = zip.read(file, 1 << 20);
                }
            }
            let _ = open(&good[..at]);
        }
    }
}
