//! The lookup table: which resource holds the blob of a digest (wim-format 5).
//!
//! wimlib calls it the blob table. Entries that break a rule are kept with a warning, so that the rest of a damaged file
//! can still be listed and read; [`BlobEntry::check`] refuses them when they are used. Reference counts are kept for
//! `verify`, but never believed: WIMGAPI writes wrong ones.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::chunk_codec::{ChunkFormat, Compression};
use super::chunk_table;
use super::header::WimVersion;
use super::resource_header::ResourceHeader;
use crate::base::{Error, Fields, PartNumber, Place, Result, Sha1Digest};

const STRUCTURE: &str = "lookup table";
/// Marks the entry of a solid resource itself, in the place of its uncompressed size.
const SOLID_RESOURCE_SIZE: u64 = 1 << 32;

/// One blob and where it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    /// Where; for a blob of a solid resource `offset` counts from the start of the uncompressed solid run.
    pub header: ResourceHeader,
    /// Part of the split set.
    pub part: u16,
    /// References from all images, as the file says.
    pub reference_count: u32,
    /// Its name.
    pub digest: Sha1Digest,
}

/// One image's metadata resource.
pub type MetadataEntry = BlobEntry;

impl BlobEntry {
    /// Bytes on disk.
    pub const BYTES: usize = 50;

    /// True for two entries of one resource, which a table may list for each image that has it (wim-format 5): equal in place,
    /// sizes and digest.
    #[must_use]
    pub fn is_same_resource(&self, other: &Self) -> bool {
        let key =
            |entry: &Self| (entry.header.offset, entry.header.stored_size, entry.header.size, entry.digest);
        key(self) == key(other)
    }

    /// Checks that the stored bytes lie inside a file of `file_size` bytes and can be what the header says.
    ///
    /// # Errors
    /// `Format` for a lying entry. Blobs in solid resources are checked by [`WimFile::check`](super::WimFile::check).
    pub fn check(&self, file_size: u64, format: ChunkFormat) -> Result<()> {
        let wrong = |field, message: String| {
            Error::format("resource header", field, self.header.offset, message)
                .at(Place::Blob(self.digest))
                .remedy("the file is damaged or truncated; get it again from its source")
        };
        if self.header.is_solid() {
            return Err(wrong("flags", "it lies in a solid resource, but has no place there".into()));
        }
        match self.header.end() {
            Some(end) if end <= file_size => {}
            _ => {
                return Err(wrong(
                    "offset",
                    format!(
                        "its {} stored bytes at {:#x} end outside the file of {file_size} bytes",
                        self.header.stored_size, self.header.offset
                    ),
                ));
            }
        }
        if self.header.is_compressed() {
            if format.compression() == Compression::None {
                return Err(wrong("flags", "it is compressed, but the file has no compression type".into()));
            }
            chunk_table::check_header(&self.header, format).map_err(|e| e.at(Place::Blob(self.digest)))
        } else if self.header.stored_size != self.header.size {
            Err(wrong(
                "size",
                format!(
                    "it is stored raw in {} bytes, but has {} bytes",
                    self.header.stored_size, self.header.size
                ),
            ))
        } else {
            Ok(())
        }
    }

    /// The entry on disk of a solid resource itself (wim-format 6.2).
    #[must_use]
    pub fn of_solid_resource(offset: u64, stored_size: u64) -> Self {
        let header =
            ResourceHeader { stored_size, flags: ResourceHeader::SOLID, offset, size: SOLID_RESOURCE_SIZE };
        Self { header, part: 1, reference_count: 1, digest: Sha1Digest::ZERO }
    }

    /// The entry on disk of a blob of `size` bytes that lies at `offset` of its uncompressed solid run.
    #[must_use]
    pub fn in_solid_run(digest: Sha1Digest, offset: u64, size: u64, reference_count: u32) -> Self {
        let header = ResourceHeader { stored_size: size, flags: ResourceHeader::SOLID, offset, size: 0 };
        Self { header, part: 1, reference_count, digest }
    }

    /// The bytes on disk.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&self.header.to_bytes());
        out.extend_from_slice(&self.part.to_le_bytes());
        out.extend_from_slice(&self.reference_count.to_le_bytes());
        out.extend_from_slice(&self.digest.0);
        out.try_into().expect("24 + 2 + 4 + 20 bytes")
    }

    fn parse(f: &mut Fields<'_>) -> Result<Self> {
        Ok(Self {
            header: ResourceHeader::parse(f, "resource header")?,
            part: f.u16("part number")?,
            reference_count: f.u32("reference count")?,
            digest: Sha1Digest(f.array("SHA-1")?),
        })
    }
}

/// The lookup table of one file.
#[derive(Clone, Debug, Default)]
pub struct LookupTable {
    metadata: Vec<MetadataEntry>,
    blobs: Vec<BlobEntry>,
    by_digest: HashMap<Sha1Digest, u32>,
    /// The solid resources of each run.
    solid_runs: Vec<Vec<ResourceHeader>>,
    /// The runs of the blobs in solid resources.
    run_by_digest: HashMap<Sha1Digest, usize>,
}

impl LookupTable {
    /// A table that knows these metadata resources and no blobs.
    pub(super) fn of_metadata(metadata: Vec<MetadataEntry>) -> Self {
        Self { metadata, ..Self::default() }
    }

    /// Reads the table's bytes, which lie at `offset` of part `part`; entries that break a rule go to `warn`.
    ///
    /// # Errors
    /// `Format` when the size is no multiple of 50, or two metadata resources could be meant by one entry.
    pub fn parse(
        bytes: &[u8],
        offset: u64,
        version: WimVersion,
        part: PartNumber,
        warn: &mut dyn FnMut(Error),
    ) -> Result<Self> {
        if !bytes.len().is_multiple_of(BlobEntry::BYTES) {
            let message = format!("{} bytes are no multiple of an entry's 50", bytes.len());
            return Err(Error::format(STRUCTURE, "size", offset, message));
        }
        let mut table = Self::default();
        table.by_digest.reserve(bytes.len() / BlobEntry::BYTES);
        let mut follows_solid = false;
        for (number, raw) in bytes.chunks_exact(BlobEntry::BYTES).enumerate() {
            let at = offset.saturating_add((number * BlobEntry::BYTES) as u64);
            let mut entry = BlobEntry::parse(&mut Fields::new(STRUCTURE, raw, at))?;
            if version == WimVersion::Standard {
                // Version 1.13 has no solid resources; the bit means nothing there (wim-format 3).
                entry.header.flags &= !ResourceHeader::SOLID;
            }
            if entry.header.is_solid() && !follows_solid {
                table.solid_runs.push(Vec::new());
            }
            follows_solid = entry.header.is_solid();
            table.add(entry, at, part, warn)?;
        }
        Ok(table)
    }

    fn add(
        &mut self,
        mut entry: BlobEntry,
        at: u64,
        part: PartNumber,
        warn: &mut dyn FnMut(Error),
    ) -> Result<()> {
        let problem = |field, message: String| Error::format(STRUCTURE, field, at, message);
        if entry.header.is_solid() {
            if entry.header.is_metadata() {
                return Err(problem("flags", "image metadata inside a solid resource".into()));
            }
            if entry.header.size == SOLID_RESOURCE_SIZE {
                self.solid_runs.last_mut().into_iter().for_each(|run| run.push(entry.header));
                return Ok(());
            }
            // A blob of a solid run: the stored size field is its uncompressed size (wim-format 6.2).
            entry.header.size = entry.header.stored_size;
        }
        if entry.part != part.number() {
            warn(problem(
                "part number",
                format!("entry of part {} in part {}; ignored", entry.part, part.number()),
            ));
            return Ok(());
        }
        if entry.header.is_metadata() {
            match entry.reference_count {
                0 => {}
                1 => self.metadata.push(entry),
                n => {
                    return Err(problem(
                        "reference count",
                        format!("{n} references to one metadata resource"),
                    ));
                }
            }
            return Ok(());
        }
        if entry.digest.is_zero() || entry.header.size == 0 {
            return Ok(());
        }
        let position = u32::try_from(self.blobs.len())
            .map_err(|_| Error::limit(format!("{STRUCTURE}: more than {} blobs", u32::MAX)))?;
        match self.by_digest.entry(entry.digest) {
            Entry::Occupied(_) => {
                warn(problem("SHA-1", format!("second entry of blob {}; ignored", entry.digest)));
            }
            Entry::Vacant(vacant) => {
                vacant.insert(position);
                if entry.header.is_solid() {
                    self.run_by_digest.insert(entry.digest, self.solid_runs.len().saturating_sub(1));
                }
                self.blobs.push(entry);
            }
        }
        Ok(())
    }

    /// Metadata resources in image order.
    #[must_use]
    pub fn metadata(&self) -> &[MetadataEntry] {
        &self.metadata
    }

    /// All blobs, in the order of the table.
    #[must_use]
    pub fn blobs(&self) -> &[BlobEntry] {
        &self.blobs
    }

    /// The blob of a digest.
    #[must_use]
    pub fn find(&self, digest: &Sha1Digest) -> Option<&BlobEntry> {
        self.by_digest.get(digest).and_then(|&position| self.blobs.get(position as usize))
    }

    /// Number of solid resources.
    #[must_use]
    pub fn solid_resources(&self) -> usize {
        self.solid_runs.iter().map(Vec::len).sum()
    }

    /// The solid resources, run by run: entries of one run stand together and count their blobs' offsets through.
    #[must_use]
    pub fn solid_runs(&self) -> &[Vec<ResourceHeader>] {
        &self.solid_runs
    }

    /// The run that holds a blob; none when it is not in a solid resource.
    #[must_use]
    pub fn solid_run(&self, digest: &Sha1Digest) -> Option<usize> {
        self.run_by_digest.get(digest).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    fn blob(name: &[u8], offset: u64, size: u64) -> BlobEntry {
        BlobEntry {
            header: ResourceHeader { stored_size: size, flags: 0, offset, size },
            part: 1,
            reference_count: 1,
            digest: Sha1Digest::of(name),
        }
    }

    fn metadata(offset: u64, reference_count: u32) -> BlobEntry {
        let mut entry = blob(&offset.to_le_bytes(), offset, 100);
        entry.header.flags = ResourceHeader::METADATA;
        entry.reference_count = reference_count;
        entry
    }

    fn parse(entries: &[BlobEntry]) -> (Result<LookupTable>, Vec<String>) {
        let bytes: Vec<u8> = entries.iter().flat_map(BlobEntry::to_bytes).collect();
        let mut warnings = Vec::new();
        let table = LookupTable::parse(&bytes, 0x100, WimVersion::Standard, PartNumber::FIRST, &mut |e| {
            warnings.push(e.to_string());
        });
        (table, warnings)
    }

    #[test]
    fn images_are_live_metadata_entries_in_order() {
        let (table, warnings) =
            parse(&[metadata(900, 1), blob(b"a", 208, 5), metadata(500, 0), metadata(700, 1)]);
        let table = table.unwrap();
        assert_eq!(table.metadata().iter().map(|m| m.header.offset).collect::<Vec<_>>(), [900, 700]);
        assert_eq!(table.find(&Sha1Digest::of(b"a")).unwrap().header.offset, 208);
        assert_eq!(table.find(&Sha1Digest::of(b"b")), None);
        assert!(warnings.is_empty());
    }

    #[test]
    fn odd_entries_are_skipped_with_a_warning() {
        let mut zero = blob(b"", 1, 5);
        zero.digest = Sha1Digest::ZERO;
        let mut elsewhere = blob(b"c", 1, 5);
        elsewhere.part = 2;
        let (table, warnings) =
            parse(&[zero, blob(b"a", 208, 5), blob(b"a", 300, 5), elsewhere, blob(b"empty", 1, 0)]);
        assert_eq!(table.unwrap().blobs().len(), 1);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("at 0x164: second entry of blob"), "{warnings:?}");
        assert!(warnings[1].contains("part 2 in part 1"), "{warnings:?}");
        let (shared, _) = parse(&[metadata(900, 2)]);
        assert_eq!(shared.unwrap_err().kind(), ErrorKind::Format);
        let mut nothing = |_| ();
        assert!(
            LookupTable::parse(&[0; 51], 0, WimVersion::Standard, PartNumber::FIRST, &mut nothing).is_err()
        );
    }

    #[test]
    fn entries_that_lie_about_the_file_are_refused_when_used() {
        let lzx = ChunkFormat::usual(Compression::Lzx);
        assert!(blob(b"a", 208, 100).check(308, lzx).is_ok());
        assert!(blob(b"a", 208, 100).check(307, lzx).is_err());
        assert!(blob(b"a", u64::MAX, 100).check(u64::MAX, lzx).is_err());
        let mut raw = blob(b"a", 208, 100);
        raw.header.size = 101;
        assert!(raw.check(1000, lzx).is_err());
        raw.header.flags = ResourceHeader::COMPRESSED;
        assert!(raw.check(1000, lzx).is_ok());
        assert!(raw.check(1000, ChunkFormat::UNCOMPRESSED).is_err());
        raw.header.size = 1 << 60;
        assert!(raw.check(1000, lzx).is_err());
        raw.header.flags = ResourceHeader::SOLID;
        assert_eq!(raw.check(1000, lzx).unwrap_err().kind(), ErrorKind::Format);
    }

    #[test]
    fn solid_runs_are_recognised_in_version_0_14_only() {
        let mut resource = blob(b"", 208, 36520);
        resource.header.flags = ResourceHeader::SOLID;
        resource.header.size = SOLID_RESOURCE_SIZE;
        resource.digest = Sha1Digest::ZERO;
        let mut inside = blob(b"x", 52, 100_000);
        inside.header.flags = ResourceHeader::SOLID;
        inside.header.size = 0;
        let bytes: Vec<u8> = [resource, inside].iter().flat_map(BlobEntry::to_bytes).collect();
        let mut warn = |e: Error| panic!("{e}");
        let table = LookupTable::parse(&bytes, 0, WimVersion::Solid, PartNumber::FIRST, &mut warn).unwrap();
        assert_eq!(table.solid_resources(), 1);
        assert_eq!(table.find(&Sha1Digest::of(b"x")).unwrap().header.size, 100_000);
        let table =
            LookupTable::parse(&bytes, 0, WimVersion::Standard, PartNumber::FIRST, &mut warn).unwrap();
        assert_eq!((table.solid_resources(), table.blobs().len()), (0, 0));
    }
}
