//! A `.cab` as a source of driver packages.
//!
//! A cabinet's folder is one compressed stream; it is unpacked as a whole when the first of its members is asked for. Sets that
//! go on in other cabinets are refused by the reader, by name.

use std::path::Path;
use std::sync::Arc;

use super::archive::{MAX_MEMBERS, Unpacked, check_total, checked_path, sort_members};
use crate::base::{Error, FileSource, ReadAt, Result, Section};
use crate::formats::cab::{Cabinet, Member};
use crate::image::edit::Content;
use crate::servicing::package_files::{PackageFile, PackageFiles};

/// An open `.cab`.
pub(super) struct CabinetFile {
    name: String,
    cabinet: Cabinet,
    files: Vec<PackageFile>,
    /// Members of `files`, in the same order.
    members: Vec<Member>,
    unpacked: Unpacked,
}

impl CabinetFile {
    /// Reads the list of members; what is unpacked goes to a file in `scratch`.
    ///
    /// # Errors
    /// What reading the cabinet gives, `InvalidInput` and `Limit` when it is hostile.
    pub(super) fn open(path: &Path, scratch: &Path) -> Result<Self> {
        let in_file = |e: Error| e.in_file(path.display());
        let source = Arc::new(FileSource::open(path)?);
        let length = source.size();
        let cabinet = Cabinet::open(source, &path.display().to_string())?;
        if cabinet.members().len() > MAX_MEMBERS {
            let message = format!("it has {} members, more than {MAX_MEMBERS}", cabinet.members().len());
            return Err(in_file(Error::limit(message)));
        }
        let total =
            cabinet.folders().iter().fold(0, |sum: u64, folder| sum.saturating_add(folder.max_bytes()));
        check_total(total, length).map_err(in_file)?;
        let mut found = Vec::new();
        for member in cabinet.members() {
            let path = checked_path(&member.name).map_err(in_file)?;
            let file = PackageFile { path, size: member.size, last_write: member.modified.to_file_time() };
            found.push((file, member.clone()));
        }
        sort_members(&mut found).map_err(in_file)?;
        let (files, members) = found.into_iter().unzip();
        Ok(Self {
            name: path.display().to_string(),
            cabinet,
            files,
            members,
            unpacked: Unpacked::new(scratch),
        })
    }

    fn stored(&self, file: &PackageFile) -> Result<Content> {
        let position = self.files.binary_search_by(|other| other.path.cmp(&file.path));
        let member = position.ok().and_then(|position| self.members.get(position));
        let member =
            member.ok_or_else(|| Error::not_found(format!("{} is not in {}", file.path, self.name)))?;
        let folder = self.unpacked.get(member.folder, |out| {
            self.cabinet.unpack_folder(member.folder, &mut |bytes| {
                out.write_all(bytes)
                    .map_err(|e| Error::io(e, "cannot keep what is unpacked of", Path::new(&self.name)))
            })
        })?;
        let Content::Source(folder) = folder else { return Err(self.cabinet.folder_too_short(member, 0)) };
        let size = folder.size();
        let section = Section::new(folder, member.offset, member.size);
        Ok(Content::Source(Arc::new(section.map_err(|_| self.cabinet.folder_too_short(member, size))?)))
    }
}

impl PackageFiles for CabinetFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> &[PackageFile] {
        &self.files
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        if file.size > limit {
            let message = format!("{} bytes are more than the {limit} allowed", file.size);
            return Err(Error::limit(message).in_file(format!("{}: {}", self.name, file.path)));
        }
        self.stored(file)?.read(limit)
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        self.stored(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn open(bytes: &[u8]) -> Result<(tempfile::TempDir, CabinetFile)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.cab");
        std::fs::write(&path, bytes).unwrap();
        let open = CabinetFile::open(&path, folder.path())?;
        Ok((folder, open))
    }

    #[test]
    fn members_of_one_folder_are_read_in_any_order() {
        let (_folder, cab) = open(&cabinet(&[("x64\\a.sys", &[7; 3000]), ("a.inf", b"[Version]")])).unwrap();
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
            assert!(open(&cabinet(&[(name, b"x")])).is_err(), "{name}");
        }
        assert!(open(&cabinet(&[("a.inf", b"x"), ("A.INF", b"y")])).is_err());
    }

    #[test]
    fn damaged_cabinets_give_errors() {
        let good = cabinet(&[("a.sys", &[7; 300]), ("a.inf", b"[Version]")]);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0xA5;
            for bytes in [&bytes[..], &good[..at]] {
                let Ok((_folder, cab)) = open(bytes) else { continue };
                for file in cab.list() {
                    let _ = cab.read(file, 1 << 20);
                }
            }
        }
    }
}
