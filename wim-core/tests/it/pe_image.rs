//! Tiny PE images for tests of deltas: two sections, of code and of data, and whatever is put into them.

pub(crate) const I386: u16 = 0x14C;
pub(crate) const AMD64: u16 = 0x8664;
pub(crate) const OLD_BASE: u64 = 0x40_0000;
/// File offsets of the sections: code at address 0x1000, data at address 0x2000.
pub(crate) const CODE: usize = 0x400;
pub(crate) const DATA: usize = 0x800;
pub(crate) const FILE_BYTES: usize = 0x1000;
/// File offset of the optional header.
pub(crate) const OPTIONAL: usize = 0x98;

/// An image that is being made.
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
    pub(crate) machine: u16,
}

impl Image {
    pub(crate) fn new(machine: u16) -> Self {
        let mut image = Self { bytes: vec![0; FILE_BYTES], machine };
        image.put(0, b"MZ").put32(0x3C, 0x80).put(0x80, b"PE\0\0");
        let is_wide = machine == AMD64;
        let optional_bytes: u16 = if is_wide { 240 } else { 224 };
        image.put(0x84, &machine.to_le_bytes()).put(0x86, &2_u16.to_le_bytes()).put32(0x88, 0xAAAA_AAAA);
        image.put(0x94, &optional_bytes.to_le_bytes());
        let magic: u16 = if is_wide { 0x20B } else { 0x10B };
        image.put(OPTIONAL, &magic.to_le_bytes()).put32(OPTIONAL + 56, 0x3000).put32(OPTIONAL + 64, 77);
        if is_wide {
            image.put(OPTIONAL + 24, &OLD_BASE.to_le_bytes()).put32(OPTIONAL + 108, 16);
        } else {
            image.put32(OPTIONAL + 28, OLD_BASE as u32).put32(OPTIONAL + 92, 16);
        }
        let table = OPTIONAL + usize::from(optional_bytes);
        for (number, (name, address, size, raw, flags)) in [
            (b".text\0\0\0", 0x1000, 0x400, CODE, 0x6000_0020),
            (b".idata\0\0", 0x2000, 0x800, DATA, 0x4000_0040),
        ]
        .into_iter()
        .enumerate()
        {
            let at = table + 40 * number;
            image.put(at, name).put32(at + 8, size).put32(at + 12, address).put32(at + 16, size);
            image.put32(at + 20, raw as u32).put32(at + 36, flags);
        }
        image
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn put32(&mut self, at: usize, value: u32) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    pub(crate) fn directory(&mut self, number: usize, rva: u32, size: u32) -> &mut Self {
        let at = OPTIONAL + if self.machine == AMD64 { 112 } else { 96 } + 8 * number;
        self.put32(at, rva).put32(at + 4, size)
    }
}

/// An image like a servicing stack's wcp.dll: these bytes are its base manifest, the resource 1 of type 0x266.
pub(crate) fn wcp_dll(base_manifest: &[u8]) -> Vec<u8> {
    let mut dll = Image::new(AMD64);
    let size = 0x80 + base_manifest.len().next_multiple_of(0x200);
    dll.bytes.resize((DATA + size).max(FILE_BYTES), 0);
    let section = OPTIONAL + 240 + 40;
    dll.put32(section + 8, size as u32).put32(section + 16, size as u32);
    dll.put32(OPTIONAL + 56, 0x2000 + size.next_multiple_of(0x1000) as u32);
    dll.directory(2, 0x2000, size as u32);
    for (at, id, offset) in [(0, 0x266, 0x8000_0020), (0x20, 1, 0x8000_0040), (0x40, 0x409, 0x60)] {
        dll.put(DATA + at + 14, &[1, 0]).put32(DATA + at + 16, id).put32(DATA + at + 20, offset);
    }
    dll.put32(DATA + 0x60, 0x2080).put32(DATA + 0x64, base_manifest.len() as u32);
    dll.put(DATA + 0x80, base_manifest);
    dll.bytes
}

/// Metadata with two types that are referred to and two methods; the first method's body names the first type.
pub(crate) fn managed_image() -> Image {
    let mut image = Image::new(I386);
    image.directory(14, 0x2000, 72).put32(DATA + 8, 0x2100).put32(DATA + 12, 0x300);
    let root = DATA + 0x100;
    image.put(root, b"BSJB\x01\0\x01\0\0\0\0\0\x0C\0\0\0v2.0.50727\0\0\0\0\x03\0");
    let streams =
        [(0x80, 0x100, &b"#~\0\0"[..]), (0x180, 0x40, b"#Strings\0\0\0\0"), (0x1C0, 0x40, b"#Blob\0\0\0")];
    let mut at = root + 32;
    for (offset, size, name) in streams {
        image.put32(at, offset).put32(at + 4, size).put(at + 8, name);
        at += 8 + name.len();
    }
    let tables = root + 0x80;
    image.put32(tables + 8, 1 << 1 | 1 << 6).put32(tables + 24, 2).put32(tables + 28, 2);
    let rows = tables + 32;
    image.put(rows, &[6, 0, 1, 0, 9, 0]).put(rows + 6, &[6, 0, 3, 0, 0, 0]);
    let methods = rows + 12;
    image.put32(methods, 0x1240).put(methods + 4, &[0, 0, 0, 0, 5, 0, 1, 0, 1, 0]);
    image.put32(methods + 14, 0x1260).put(methods + 18, &[0, 0, 0, 0, 5, 0, 1, 0, 1, 0]);
    // A method of one parameter of the first type.
    image.put(root + 0x1C1, &[5, 0, 1, 1, 0x12, 1 << 2 | 1]);
    // ldtoken; ret
    for body in [0x240, 0x260] {
        image.put(CODE + body, &[6 << 2 | 2, 0xD0, 1, 0, 0, 1, 0x2A]);
    }
    image
}
