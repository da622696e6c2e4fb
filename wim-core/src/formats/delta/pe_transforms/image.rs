//! The headers of a reference that is a PE image, read once before anything is changed.
//!
//! Tolerant where Windows' own decoder is: sections may lie outside the file, since every access of the transforms is
//! checked. Unlike `formats::pe` it refuses nothing that a delta may be based on, and it knows no resource or version.

/// Most sections that count; Windows loads no image with more.
const MAX_SECTIONS: usize = 96;

/// File header's machine number of i386.
const MACHINE_I386: u16 = 0x14C;
/// File header's machine number of amd64.
const MACHINE_AMD64: u16 = 0x8664;

/// Flag of the CLR header: the image has no native code.
const IL_ONLY: u8 = 1;

/// Section flag: its bytes may be run.
const MEM_EXECUTE: u32 = 0x2000_0000;

/// Index of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    Export = 0,
    Import = 1,
    Resource = 2,
    Exception = 3,
    BaseRelocation = 5,
    LoadConfiguration = 10,
    BoundImport = 11,
    ComDescriptor = 14,
}

/// A section header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: [u8; 8],
    pub(super) virtual_size: u32,
    pub(super) virtual_address: u32,
    pub(super) raw_size: u32,
    pub(super) raw_pointer: u32,
    pub(super) characteristics: u32,
    /// File offset of the header's Characteristics field.
    pub(super) characteristics_at: usize,
}

impl Section {
    /// The size in memory or in the file, whichever is larger.
    pub(super) fn extent(&self) -> u32 {
        self.virtual_size.max(self.raw_size)
    }

    pub(super) fn contains(&self, rva: u32) -> bool {
        rva.checked_sub(self.virtual_address).is_some_and(|inside| inside < self.extent())
    }

    /// The file range that holds code; none when the section has none.
    pub(super) fn code_range(&self) -> Option<(usize, usize)> {
        let size = self.virtual_size.min(self.raw_size) as usize;
        let start = self.raw_pointer as usize;
        (self.characteristics & MEM_EXECUTE != 0).then_some((start, start.saturating_add(size)))
    }
}

/// The headers of a PE image.
#[derive(Clone, Debug)]
pub struct Layout {
    pub(super) machine: u16,
    /// Pointers of 8 bytes.
    pub(super) is_pe32_plus: bool,
    pub(super) image_base: u64,
    pub(super) size_of_image: u32,
    pub(super) sections: Vec<Section>,
    directories: [(u32, u32); 16],
    /// File offsets of fields that are changed.
    pub(super) stamp_at: usize,
    pub(super) checksum_at: usize,
    pub(super) image_base_at: usize,
    /// Smallest address of a section that has any size; 0 without one.
    pub(super) first_rva: u32,
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

impl Layout {
    /// Reads the headers; none when `bytes` are no PE image.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let pe = u32_at(bytes, 0x3C)? as usize;
        if !bytes.starts_with(b"MZ") || !bytes.get(pe..)?.starts_with(b"PE\0\0") {
            return None;
        }
        let machine = u16_at(bytes, pe + 4)?;
        let section_count = usize::from(u16_at(bytes, pe + 6)?);
        let optional = pe + 24;
        let section_table = optional + usize::from(u16_at(bytes, pe + 20)?);
        let is_pe32_plus = match u16_at(bytes, optional)? {
            0x10B => false,
            0x20B => true,
            _ => return None,
        };
        let (image_base_at, counts_at) = if is_pe32_plus { (24, 108) } else { (28, 92) };
        let image_base = if is_pe32_plus {
            u64_at(bytes, optional + image_base_at)?
        } else {
            u64::from(u32_at(bytes, optional + image_base_at)?)
        };
        let directory_count = u32_at(bytes, optional + counts_at)? as usize;
        let mut directories = [(0, 0); 16];
        for (number, directory) in directories.iter_mut().enumerate().take(directory_count) {
            let at = optional + counts_at + 4 + 8 * number;
            *directory = (u32_at(bytes, at).unwrap_or(0), u32_at(bytes, at + 4).unwrap_or(0));
        }
        let section = |number: usize| {
            let header = bytes.get(section_table + 40 * number..)?.first_chunk::<40>()?;
            Some(Section {
                name: *header.first_chunk()?,
                virtual_size: u32_at(header, 8)?,
                virtual_address: u32_at(header, 12)?,
                raw_size: u32_at(header, 16)?,
                raw_pointer: u32_at(header, 20)?,
                characteristics: u32_at(header, 36)?,
                characteristics_at: section_table + 40 * number + 36,
            })
        };
        let sections: Vec<_> = (0..section_count.min(MAX_SECTIONS)).map_while(section).collect();
        let first_rva = sections.iter().filter(|s| s.extent() > 0).map(|s| s.virtual_address).min();
        Some(Self {
            machine,
            is_pe32_plus,
            image_base,
            size_of_image: u32_at(bytes, optional + 56)?,
            first_rva: first_rva.unwrap_or(0),
            sections,
            directories,
            stamp_at: pe + 8,
            checksum_at: optional + 64,
            image_base_at: optional + image_base_at,
        })
    }

    pub(super) fn is_i386(&self) -> bool {
        self.machine == MACHINE_I386
    }

    pub(super) fn is_amd64(&self) -> bool {
        self.machine == MACHINE_AMD64
    }

    /// Name of the machine, for messages.
    #[must_use]
    pub fn machine_name(&self) -> String {
        match self.machine {
            MACHINE_I386 => "i386".to_owned(),
            MACHINE_AMD64 => "amd64".to_owned(),
            other => format!("machine {other:#06x}"),
        }
    }

    /// Bytes of a pointer.
    pub(super) fn pointer_bytes(&self) -> usize {
        if self.is_pe32_plus { 8 } else { 4 }
    }

    /// Address and size of a directory; zeros when the image has none.
    pub(super) fn directory(&self, directory: Directory) -> (u32, u32) {
        self.directories.get(directory as usize).copied().unwrap_or((0, 0))
    }

    /// The first section that contains an address.
    pub(super) fn section_of(&self, rva: u32) -> Option<&Section> {
        self.sections.iter().find(|section| section.contains(rva))
    }

    /// Where an address lies in the file, perhaps beyond its end; headers are not mapped.
    pub(super) fn file_offset(&self, rva: u32) -> Option<usize> {
        let section = self.section_of(rva).filter(|section| section.raw_size != 0)?;
        (section.raw_pointer as usize).checked_add((rva - section.virtual_address) as usize)
    }

    /// File offset and size of a directory that lies in a section of the file.
    pub(super) fn directory_in_file(&self, directory: Directory) -> Option<(usize, usize)> {
        let (rva, size) = self.directory(directory);
        (rva != 0).then(|| self.file_offset(rva)).flatten().map(|at| (at, size as usize))
    }

    /// Where the native code has weak spots, for messages: tables whose treatment no real file has proved.
    #[must_use]
    pub fn weak_spots(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        if self.lock_prefix_table(bytes).is_some() {
            found.push("a lock-prefix table");
        }
        if self.directory(Directory::BoundImport).0 != 0 {
            found.push("bound imports");
        }
        if self.directory(Directory::ComDescriptor).0 != 0 {
            found.push("managed code");
        }
        found
    }

    /// True when an i386 image lists lock prefixes, whose treatment no real file has settled.
    pub(in crate::formats::delta) fn has_lock_prefixes(&self, bytes: &[u8]) -> bool {
        self.lock_prefix_table(bytes).is_some()
    }

    /// True for a 32-bit image for i386 that has native code.
    pub(in crate::formats::delta) fn has_i386_code(&self, bytes: &[u8]) -> bool {
        let clr_flags = || {
            let (clr, _) = self.directory_in_file(Directory::ComDescriptor)?;
            bytes.get(clr.checked_add(16)?).copied()
        };
        self.is_i386() && !self.is_pe32_plus && clr_flags().is_none_or(|flags| flags & IL_ONLY == 0)
    }

    /// True for an i386 image (a kernel driver's, say) whose addresses do not fit into a signed word.
    pub(in crate::formats::delta) fn is_i386_above_2_gib(&self) -> bool {
        self.is_i386() && self.image_base >= 1 << 31
    }

    /// Address (with base) of the list of lock prefixes of an i386 image; none when it has none.
    pub(super) fn lock_prefix_table(&self, bytes: &[u8]) -> Option<u32> {
        let (at, _) = self.directory_in_file(Directory::LoadConfiguration).filter(|_| self.is_i386())?;
        u32_at(bytes, at.checked_add(0x20)?).filter(|&table| table != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers of one section at 0x1000, which is the file from 0x200 on, with a CLR header at its start.
    fn image(machine: u16, magic: u16, clr_flags: Option<u8>) -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        let mut put = |at: usize, data: &[u8]| bytes[at..at + data.len()].copy_from_slice(data);
        put(0, b"MZ");
        put(0x3C, &[0x40]);
        put(0x40, b"PE\0\0");
        put(0x44, &machine.to_le_bytes());
        put(0x46, &[1]);
        put(0x54, &0xE0_u16.to_le_bytes());
        put(0x58, &magic.to_le_bytes());
        put(0x58 + 92, &[16]);
        if let Some(flags) = clr_flags {
            put(0x58 + 96 + 14 * 8, &0x1000_u32.to_le_bytes());
            put(0x200 + 16, &[flags]);
        }
        let section = 0x58 + 0xE0;
        for (at, value) in [(8, 0x200_u32), (12, 0x1000), (16, 0x200), (20, 0x200)] {
            put(section + at, &value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn only_native_code_for_i386_is_told_as_such() {
        let has_code = |bytes: &[u8]| Layout::parse(bytes).is_some_and(|layout| layout.has_i386_code(bytes));
        assert!(has_code(&image(MACHINE_I386, 0x10B, None)));
        assert!(has_code(&image(MACHINE_I386, 0x10B, Some(2))));
        assert!(!has_code(&image(MACHINE_I386, 0x10B, Some(1))));
        assert!(!has_code(&image(MACHINE_AMD64, 0x10B, None)));
        assert!(!has_code(&image(MACHINE_I386, 0x20B, None)));
        assert!(!has_code(b"MZ no program"));
    }
}
