//! PE files: machine type, file version and resources of a binary.
//!
//! The format is Microsoft's "PE Format"; the version resource is described at VS_VERSIONINFO. It reads headers and one
//! resource and never maps or runs anything.

mod authenticode;

pub use authenticode::{SignedBytes, signatures_in};

use crate::base::{Architecture, Fields, Result};

/// A file version, most significant part first.
pub type FileVersion = [u16; 4];

/// The headers of a PE file.
#[derive(Clone, Debug)]
pub struct PeFile<'a> {
    bytes: &'a [u8],
    machine: u16,
    sections: Vec<SectionHeader>,
    /// SizeOfHeaders: so many bytes at the start of the file are mapped as they are.
    header_bytes: u32,
    /// File offset of the optional header's CheckSum field.
    checksum_offset: usize,
    /// File offset of the data directories, and how many there are.
    directories: (usize, usize),
}

/// Where a section lies in memory and in the file.
#[derive(Clone, Copy, Debug)]
struct SectionHeader {
    virtual_address: u32,
    virtual_size: u32,
    raw_offset: u32,
    raw_size: u32,
}

/// Where the optional header has SizeOfHeaders, in both its forms.
const SIZE_OF_HEADERS: usize = 60;
/// Data directory of resources.
const RESOURCE_DIRECTORY: usize = 2;
/// Data directory of certificates.
const CERTIFICATE_DIRECTORY: usize = 4;
/// RT_VERSION.
const VERSION_RESOURCE: u32 = 16;
/// VS_FIXEDFILEINFO's signature.
const FIXED_FILE_INFO: [u8; 4] = 0xFEEF_04BD_u32.to_le_bytes();

impl<'a> PeFile<'a> {
    /// True when `bytes` begin as a DOS or PE program does.
    #[must_use]
    pub fn looks_like_one(bytes: &[u8]) -> bool {
        bytes.starts_with(b"MZ")
    }

    /// Parses the headers.
    ///
    /// # Errors
    /// `Format` when the file is no PE file or its headers are cut short.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut dos = Fields::new("DOS header", bytes, 0);
        if dos.array::<2>("e_magic")? != *b"MZ" {
            return Err(dos.error_before("e_magic", 2, "is not MZ, so this is no program or driver"));
        }
        dos.skip("fields of DOS", 0x3A)?;
        let at = dos.u32("e_lfanew")? as usize;
        let rest = bytes.get(at..).unwrap_or(&[]);
        let mut f = Fields::new("PE header", rest, at as u64);
        if f.array::<4>("Signature")? != *b"PE\0\0" {
            return Err(f.error_before("Signature", 4, "is not PE\\0\\0"));
        }
        let machine = f.u16("Machine")?;
        let section_count = usize::from(f.u16("NumberOfSections")?);
        f.skip("TimeDateStamp to NumberOfSymbols", 12)?;
        let optional_size = usize::from(f.u16("SizeOfOptionalHeader")?);
        f.skip("Characteristics", 2)?;
        let optional_at = at + f.position();
        let optional = f.bytes("optional header", optional_size)?;
        let mut o = Fields::new("PE optional header", optional, optional_at as u64);
        let directories_at = match o.u16("Magic")? {
            0x10B => 96,
            0x20B => 112,
            other => {
                return Err(o.error_before("Magic", 2, format!("{other:#06x} is neither PE32 nor PE32+")));
            }
        };
        o.skip("fields before SizeOfHeaders", SIZE_OF_HEADERS - 2)?;
        let header_bytes = o.u32("SizeOfHeaders")?;
        o.skip("fields before NumberOfRvaAndSizes", directories_at - 4 - SIZE_OF_HEADERS - 4)?;
        let directory_count = (o.u32("NumberOfRvaAndSizes")? as usize).min(o.remaining() / 8);
        let mut sections = Vec::with_capacity(section_count.min(f.remaining() / 40));
        for _ in 0..section_count {
            f.skip("section name", 8)?;
            sections.push(SectionHeader {
                virtual_size: f.u32("VirtualSize")?,
                virtual_address: f.u32("VirtualAddress")?,
                raw_size: f.u32("SizeOfRawData")?,
                raw_offset: f.u32("PointerToRawData")?,
            });
            f.skip("relocations to characteristics", 16)?;
        }
        Ok(Self {
            bytes,
            machine,
            sections,
            header_bytes,
            checksum_offset: optional_at + 64,
            directories: (optional_at + directories_at, directory_count),
        })
    }

    /// The machine number of the file header.
    #[must_use]
    pub fn machine(&self) -> u16 {
        self.machine
    }

    /// The architecture it is made for; none for one that Windows drivers are not made for.
    #[must_use]
    pub fn architecture(&self) -> Option<Architecture> {
        Architecture::from_pe_machine(self.machine)
    }

    /// File offset of the checksum, which signatures leave out.
    #[must_use]
    pub fn checksum_offset(&self) -> usize {
        self.checksum_offset
    }

    /// File offset of the certificate table's directory entry, if the headers have one.
    #[must_use]
    pub fn certificate_directory_offset(&self) -> Option<usize> {
        (self.directories.1 > CERTIFICATE_DIRECTORY).then(|| self.directories.0 + 8 * CERTIFICATE_DIRECTORY)
    }

    /// File offset and size of the certificate table (its address is a file offset); none when it is empty.
    #[must_use]
    pub fn certificate_table(&self) -> Option<(u32, u32)> {
        self.directory(CERTIFICATE_DIRECTORY).filter(|&(_, size)| size != 0)
    }

    /// File offset of the first byte behind everything that is mapped when it runs: headers and sections.
    fn mapped_end(&self) -> u64 {
        let ends = self.sections.iter().filter(|section| section.raw_size != 0);
        let ends = ends.map(|section| u64::from(section.raw_offset) + u64::from(section.raw_size));
        ends.fold(u64::from(self.header_bytes), u64::max)
    }

    fn directory(&self, index: usize) -> Option<(u32, u32)> {
        if index >= self.directories.1 {
            return None;
        }
        let entry = self.bytes.get(self.directories.0 + 8 * index..)?;
        let mut f = Fields::new("PE data directory", entry, 0);
        Some((f.u32("VirtualAddress").ok()?, f.u32("Size").ok()?))
    }

    /// The bytes from a virtual address to the end of its section.
    fn at_address(&self, address: u32) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|s| {
            let size = s.virtual_size.max(s.raw_size);
            address >= s.virtual_address && address - s.virtual_address < size
        })?;
        let start =
            (section.raw_offset as usize).checked_add((address - section.virtual_address) as usize)?;
        let end = (section.raw_offset as usize).checked_add(section.raw_size as usize)?.min(self.bytes.len());
        self.bytes.get(start..end)
    }

    /// The bytes of the resource of that type and name (both as numbers), in the first language it has.
    #[must_use]
    pub fn resource(&self, kind: u32, name: u32) -> Option<&'a [u8]> {
        let (data, size) = self.resource_data(kind, |id| id == name)?;
        data.get(..size as usize)
    }

    /// The bytes from the start of a resource to the end of its section, and the size that it says it has.
    fn resource_data(&self, kind: u32, name: impl Fn(u32) -> bool) -> Option<(&'a [u8], u32)> {
        let (address, _) = self.directory(RESOURCE_DIRECTORY)?;
        let resources = self.at_address(address)?;
        // Three levels: type, name, language; of the last the first is as good as any.
        let types = resource_entry(resources, 0, |id| id == kind)?;
        let names = resource_entry(resources, sub_directory(types)?, name)?;
        let languages = resource_entry(resources, sub_directory(names)?, |_| true)?;
        let entry = resources.get(usize::try_from(languages).ok()?..)?;
        let mut f = Fields::new("resource data entry", entry, 0);
        let (data, size) = (f.u32("OffsetToData").ok()?, f.u32("Size").ok()?);
        Some((self.at_address(data)?, size))
    }

    /// The file version of the version resource; none when it has none or it cannot be read.
    #[must_use]
    pub fn file_version(&self) -> Option<FileVersion> {
        let (data, size) = self.resource_data(VERSION_RESOURCE, |_| true)?;
        fixed_file_version(data.get(..size as usize).unwrap_or(data))
    }
}

const SUB_DIRECTORY: u32 = 0x8000_0000;

fn sub_directory(offset: u32) -> Option<usize> {
    (offset & SUB_DIRECTORY != 0).then_some((offset & !SUB_DIRECTORY) as usize)
}

/// The offset field of the first entry of a resource directory whose id is wanted.
fn resource_entry(resources: &[u8], at: usize, wanted: impl Fn(u32) -> bool) -> Option<u32> {
    let mut f = Fields::new("resource directory", resources.get(at..)?, 0);
    f.skip("Characteristics to MinorVersion", 12).ok()?;
    let named = f.u16("NumberOfNamedEntries").ok()?;
    let ids = f.u16("NumberOfIdEntries").ok()?;
    for _ in 0..u32::from(named) + u32::from(ids) {
        let (id, offset) = (f.u32("Id").ok()?, f.u32("Offset").ok()?);
        if wanted(id) {
            return Some(offset);
        }
    }
    None
}

/// The version in a VS_VERSIONINFO: its fixed part is found by its signature, which stands on a 4-byte boundary.
fn fixed_file_version(data: &[u8]) -> Option<FileVersion> {
    let at = data.chunks_exact(4).take(64).position(|word| word == FIXED_FILE_INFO)? * 4;
    let mut f = Fields::new("VS_FIXEDFILEINFO", data.get(at..)?, 0);
    f.skip("dwSignature, dwStrucVersion", 8).ok()?;
    let (minor, major) = (f.u16("FileVersionMS").ok()?, f.u16("FileVersionMS").ok()?);
    let (private, build) = (f.u16("FileVersionLS").ok()?, f.u16("FileVersionLS").ok()?);
    Some([major, minor, build, private])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE file of one section that holds a version resource.
    pub(super) fn program(machine: u16, version: FileVersion) -> Vec<u8> {
        let mut b = vec![0_u8; 0x400];
        let mut put = |at: usize, data: &[u8]| b[at..at + data.len()].copy_from_slice(data);
        put(0, b"MZ");
        put(0x3C, &0x80_u32.to_le_bytes());
        put(0x80, b"PE\0\0");
        put(0x84, &machine.to_le_bytes());
        put(0x86, &1_u16.to_le_bytes());
        put(0x94, &(96 + 16 * 8_u16).to_le_bytes());
        put(0x98, &0x10B_u16.to_le_bytes());
        put(0x98 + 92, &16_u32.to_le_bytes());
        put(0x98 + 96 + 16, &0x1000_u32.to_le_bytes());
        put(0x98 + 96 + 20, &0x100_u32.to_le_bytes());
        let section = 0x98 + 96 + 128;
        put(section + 8, &0x200_u32.to_le_bytes());
        put(section + 12, &0x1000_u32.to_le_bytes());
        put(section + 16, &0x200_u32.to_le_bytes());
        put(section + 20, &0x200_u32.to_le_bytes());
        let mut directory = |at: usize, id: u32, offset: u32| {
            put(0x200 + at + 14, &1_u16.to_le_bytes());
            put(0x200 + at + 16, &id.to_le_bytes());
            put(0x200 + at + 20, &offset.to_le_bytes());
        };
        directory(0, VERSION_RESOURCE, SUB_DIRECTORY | 24);
        directory(24, 1, SUB_DIRECTORY | 48);
        directory(48, 0x409, 72);
        put(0x200 + 72, &0x1060_u32.to_le_bytes());
        put(0x200 + 76, &0x60_u32.to_le_bytes());
        put(0x260 + 40, &FIXED_FILE_INFO);
        let [a, b0, c, d] = version;
        for (at, part) in [(50, a), (48, b0), (54, c), (52, d)] {
            put(0x260 + at, &part.to_le_bytes());
        }
        b
    }

    #[test]
    fn machine_and_version_are_read() {
        let bytes = program(0x8664, [6, 1, 7601, 17514]);
        let pe = PeFile::parse(&bytes).unwrap();
        assert_eq!(pe.architecture(), Some(Architecture::Amd64));
        assert_eq!(pe.file_version(), Some([6, 1, 7601, 17514]));
        assert_eq!(pe.certificate_table(), None);
        assert_eq!(pe.resource(VERSION_RESOURCE, 1).map(<[u8]>::len), Some(0x60));
        assert_eq!((pe.resource(VERSION_RESOURCE, 2), pe.resource(3, 1)), (None, None));
        assert_eq!(pe.checksum_offset(), 0x98 + 64);
    }

    #[test]
    fn any_cut_or_flip_gives_an_answer() {
        let bytes = program(0x014C, [1, 2, 3, 4]);
        for end in 0..bytes.len() {
            if let Ok(pe) = PeFile::parse(&bytes[..end]) {
                let _ = pe.file_version();
            }
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(pe) = PeFile::parse(&bytes) {
                    let _ = (pe.file_version(), pe.certificate_table(), pe.certificate_directory_offset());
                }
            }
        }
        assert!(PeFile::parse(b"not a program").is_err());
    }
}
