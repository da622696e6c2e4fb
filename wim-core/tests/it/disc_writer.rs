//! Small discs in memory, for tests: UDF in the forms that readers meet, and ISO 9660 with its extensions.
//!
//! Files are given by path; folders come from the paths, and a path that ends in a slash is an empty folder.

use std::collections::BTreeMap;

/// Bytes of a sector.
pub(crate) const SECTOR: usize = 2048;

/// A file or folder of a disc that is being made.
pub(crate) struct Node {
    name: String,
    pub(crate) children: Option<Vec<usize>>,
    data: Vec<u8>,
}

/// Nodes in an order in which folders come before what they hold; the first is the root.
fn tree(files: &[(String, Vec<u8>)]) -> Vec<Node> {
    let folder = |name: &str| Node { name: name.to_owned(), children: Some(Vec::new()), data: Vec::new() };
    let mut nodes = vec![folder("")];
    let mut known: BTreeMap<String, usize> = BTreeMap::from([(String::new(), 0)]);
    for (path, data) in files {
        let (mut at, mut so_far) = (0, String::new());
        let parts: Vec<&str> = path.split('/').collect();
        for (number, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            so_far = format!("{so_far}/{part}");
            let is_file = number + 1 == parts.len();
            at = *known.entry(so_far.clone()).or_insert_with(|| {
                let node = if is_file {
                    Node { name: (*part).to_owned(), children: None, data: data.clone() }
                } else {
                    folder(part)
                };
                nodes.push(node);
                let new = nodes.len() - 1;
                nodes[at].children.as_mut().unwrap().push(new);
                new
            });
        }
    }
    nodes
}

/// Paths and contents as the writers want them.
pub(crate) fn files(list: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    list.iter().map(|(path, data)| ((*path).to_owned(), data.to_vec())).collect()
}

/// Kinds of allocation descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Descriptors {
    Short,
    Long,
    Extended,
}

/// How a UDF disc is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Udf {
    pub(crate) revision: u16,
    pub(crate) block: usize,
    pub(crate) descriptors: Descriptors,
    /// Files and folders of at most so many bytes lie in their file entries.
    pub(crate) embed: usize,
    /// Extended file entries.
    pub(crate) extended_entries: bool,
    /// CRCs in the tags; without them changes of a structure go unnoticed.
    pub(crate) crc: bool,
    /// File entries and folders in a metadata partition.
    pub(crate) metadata: bool,
    /// Most bytes of an extent; a multiple of the block.
    pub(crate) extent: usize,
    /// Descriptors in a file entry; more go on in further blocks.
    pub(crate) in_entry: usize,
    /// Extents of zeros are holes.
    pub(crate) holes: bool,
}

impl Udf {
    /// What Microsoft's discs have.
    pub(crate) const PLAIN: Self = Self {
        revision: 0x102,
        block: SECTOR,
        descriptors: Descriptors::Short,
        embed: 0,
        extended_entries: false,
        crc: true,
        metadata: false,
        extent: 1 << 20,
        in_entry: 100,
        holes: false,
    };
}

fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes[at..at + with.len()].copy_from_slice(with);
}

fn put16(bytes: &mut [u8], at: usize, number: u16) {
    put(bytes, at, &number.to_le_bytes());
}

fn put32(bytes: &mut [u8], at: usize, number: u32) {
    put(bytes, at, &number.to_le_bytes());
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 }
        })
    })
}

/// Makes checksum and CRC of the structure at `at` right again; a CRC that was left out stays so.
pub(crate) fn retag(image: &mut [u8], at: usize) {
    let length = usize::from(u16::from_le_bytes([image[at + 10], image[at + 11]]));
    let crc = crc16(&image[at + 16..at + 16 + length]);
    put16(image, at + 8, if length == 0 { 0 } else { crc });
    image[at + 4] = 0;
    image[at + 4] = image[at..at + 16].iter().fold(0, |sum, byte| sum.wrapping_add(*byte));
}

impl Udf {
    /// Begins a structure with its tag, around `body`, whose offsets count from the tag.
    fn tagged(&self, body: &mut [u8], identifier: u16, location: usize, length: usize) {
        put16(body, 0, identifier);
        put16(body, 2, if self.revision >= 0x200 { 3 } else { 2 });
        put16(body, 10, if self.crc { (length - 16) as u16 } else { 0 });
        put32(body, 12, location as u32);
        retag(body, 0);
    }

    fn name(name: &str) -> Vec<u8> {
        let units: Vec<u16> = name.encode_utf16().collect();
        match units.iter().all(|unit| *unit < 256) {
            true => std::iter::once(8).chain(units.iter().map(|unit| *unit as u8)).collect(),
            false => std::iter::once(16).chain(units.iter().flat_map(|unit| unit.to_be_bytes())).collect(),
        }
    }

    fn dstring(field: &mut [u8], text: &str) {
        let bytes = Self::name(text);
        put(field, 0, &bytes);
        *field.last_mut().unwrap() = bytes.len() as u8;
    }

    /// One name in a folder.
    pub(crate) fn identifier(
        &self,
        name: &[u8],
        characteristics: u8,
        icb: usize,
        location: usize,
    ) -> Vec<u8> {
        let length = 38 + name.len();
        let mut bytes = vec![0; length.next_multiple_of(4)];
        put16(&mut bytes, 16, 1);
        bytes[18] = characteristics;
        bytes[19] = name.len() as u8;
        put32(&mut bytes, 20, self.block as u32);
        put32(&mut bytes, 24, icb as u32);
        put16(&mut bytes, 28, u16::from(self.metadata));
        put(&mut bytes, 38, name);
        self.tagged(&mut bytes, 257, location, length);
        bytes
    }

    /// A file entry in a block of its own.
    fn entry(&self, kind: u8, size: usize, list: &[u8], flags: u16, location: usize) -> Vec<u8> {
        let (tag, fixed, lengths) = if self.extended_entries { (266, 216, 208) } else { (261, 176, 168) };
        let mut bytes = vec![0; self.block];
        put16(&mut bytes, 20, 4);
        put16(&mut bytes, 24, 1);
        bytes[27] = kind;
        put16(&mut bytes, 34, flags);
        put(&mut bytes, 56, &(size as u64).to_le_bytes());
        // 2009-07-14 01:02:03 UTC, the modification time.
        let time = if self.extended_entries { 92 } else { 84 };
        put(&mut bytes, time, &[0, 0x10, 0xD9, 0x07, 7, 14, 1, 2, 3, 0, 0, 0]);
        put32(&mut bytes, lengths + 4, list.len() as u32);
        put(&mut bytes, fixed, list);
        self.tagged(&mut bytes, tag, location, fixed + list.len());
        bytes
    }

    /// The disc with these files.
    pub(crate) fn disc(&self, files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let nodes = tree(files);
        let mut writer = Writer { udf: *self, blocks: Vec::new(), metadata: Vec::new() };
        // The file set, then one entry a node, in the metadata partition when there is one; a block for its own entry.
        if self.metadata {
            writer.blocks.push(vec![0; self.block]);
        }
        let first = writer.reserve_metadata(1 + nodes.len()) + 1;
        for number in (0..nodes.len()).rev() {
            writer.node(&nodes, number, first);
        }
        writer.file_set(first);
        writer.finish()
    }
}

struct Writer {
    udf: Udf,
    /// Blocks of the partition.
    blocks: Vec<Vec<u8>>,
    /// Blocks of the metadata partition.
    metadata: Vec<Vec<u8>>,
}

impl Writer {
    fn meta(&mut self) -> &mut Vec<Vec<u8>> {
        if self.udf.metadata { &mut self.metadata } else { &mut self.blocks }
    }

    fn reserve_metadata(&mut self, count: usize) -> usize {
        let block = self.udf.block;
        let at = self.meta().len();
        self.meta().resize_with(at + count, || vec![0; block]);
        at
    }

    fn node(&mut self, nodes: &[Node], number: usize, first: usize) {
        let (node, location) = (&nodes[number], first + number);
        let (kind, data) = match &node.children {
            None => (5, node.data.clone()),
            Some(children) => {
                let start = self.meta().len();
                let mut data = self.udf.identifier(&[], 0x0A, first, start);
                for &child in children {
                    let is_folder = u8::from(nodes[child].children.is_some()) * 2;
                    let name = Udf::name(&nodes[child].name);
                    data.extend(self.udf.identifier(&name, is_folder, first + child, start));
                    // Deleted names are everywhere.
                    data.extend(self.udf.identifier(b"\x08gone", 4, first + child, start));
                }
                (4, data)
            }
        };
        let entry = if data.len() <= self.udf.embed {
            self.udf.entry(kind, data.len(), &data, 3, location)
        } else {
            let list = self.extents(&data, kind == 4);
            let flags = match self.udf.descriptors {
                Descriptors::Short => 0,
                Descriptors::Long => 1,
                Descriptors::Extended => 2,
            };
            self.udf.entry(kind, data.len(), &list, flags, location)
        };
        self.meta()[location] = entry;
    }

    fn descriptor(&self, kind: u32, length: usize, block: usize, partition: u16) -> Vec<u8> {
        let length = length as u32;
        let mut bytes = (length | kind << 30).to_le_bytes().to_vec();
        if self.udf.descriptors == Descriptors::Extended {
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.extend_from_slice(&(block as u32).to_le_bytes());
        if self.udf.descriptors != Descriptors::Short {
            bytes.extend_from_slice(&partition.to_le_bytes());
            let unused = if self.udf.descriptors == Descriptors::Long { 6 } else { 2 };
            bytes.resize(bytes.len() + unused, 0);
        }
        bytes
    }

    /// Writes data and gives its descriptors; folders go to where file entries are.
    fn extents(&mut self, data: &[u8], is_folder: bool) -> Vec<u8> {
        let block = self.udf.block;
        let in_metadata = self.udf.metadata && is_folder;
        let partition = u16::from(in_metadata);
        let mut list: Vec<Vec<u8>> = Vec::new();
        for piece in data.chunks(self.udf.extent) {
            let is_hole = self.udf.holes && piece.iter().all(|byte| *byte == 0);
            let place = if in_metadata { &mut self.metadata } else { &mut self.blocks };
            // A block between extents, so that they do not touch.
            place.push(vec![0xEE; block]);
            let at = place.len();
            if !is_hole {
                place.extend(piece.chunks(block).map(|one| {
                    let mut whole = one.to_vec();
                    whole.resize(block, 0xDD);
                    whole
                }));
            }
            let (kind, at) = if is_hole { (1 + (list.len() as u32 & 1), 0) } else { (0, at) };
            list.push(self.descriptor(kind, piece.len(), at, partition));
        }
        let mut pieces = list.chunks(self.udf.in_entry).map(<[Vec<u8>]>::concat).rev();
        let Some(mut behind) = pieces.next() else { return Vec::new() };
        for mut piece in pieces {
            let place = if in_metadata { &mut self.metadata } else { &mut self.blocks };
            let at = place.len();
            let mut bytes = vec![0; block];
            put32(&mut bytes, 20, behind.len() as u32);
            put(&mut bytes, 24, &behind);
            self.udf.tagged(&mut bytes, 258, at, 24 + behind.len());
            place.push(bytes);
            piece.extend(self.descriptor(3, block, at, partition));
            behind = piece;
        }
        behind
    }

    fn file_set(&mut self, first: usize) {
        let mut bytes = vec![0; self.udf.block];
        put32(&mut bytes, 400, self.udf.block as u32);
        put32(&mut bytes, 404, first as u32);
        put16(&mut bytes, 408, u16::from(self.udf.metadata));
        self.udf.tagged(&mut bytes, 256, first - 1, 512);
        self.meta()[first - 1] = bytes;
    }

    /// Puts the partition behind recognition sequence, descriptors and anchor.
    fn finish(mut self) -> Vec<u8> {
        let (udf, block) = (self.udf, self.udf.block);
        if udf.metadata {
            // Two extents with a block between them, so that they have to be told apart.
            let metadata = std::mem::take(&mut self.metadata);
            let half = metadata.len() / 2;
            let mut list = Vec::new();
            let total = metadata.len() * block;
            for part in [&metadata[..half], &metadata[half..]] {
                self.blocks.push(vec![0xEE; block]);
                list.extend(
                    (((part.len() * block) as u32).to_le_bytes().into_iter())
                        .chain((self.blocks.len() as u32).to_le_bytes()),
                );
                self.blocks.extend(part.iter().cloned());
            }
            self.blocks[0] = udf.entry(250, total, &list, 0, 0);
        }
        let start = 257;
        let mut image = vec![0; (start + self.blocks.len()) * block];
        let step = block.max(SECTOR);
        let nsr: &[u8; 5] = if udf.revision >= 0x200 { b"NSR03" } else { b"NSR02" };
        for (number, id) in [b"BEA01", nsr, b"TEA01"].into_iter().enumerate() {
            put(&mut image, 16 * SECTOR + number * step + 1, id);
        }
        // Sectors of 512 bytes have 256 of them before the anchor, of which the first 76 belong to the records above.
        let (main, reserve) = if block == 512 { (100, 120) } else { (32, 48) };
        for at in [main, reserve] {
            self.volume_descriptors(&mut image, at, start);
        }
        let mut anchor = vec![0; 512];
        for (number, at) in [main, reserve].into_iter().enumerate() {
            put32(&mut anchor, 16 + number * 8, 16 * block as u32);
            put32(&mut anchor, 20 + number * 8, at as u32);
        }
        udf.tagged(&mut anchor, 2, 256, 512);
        put(&mut image, 256 * block, &anchor);
        for (number, bytes) in self.blocks.iter().enumerate() {
            put(&mut image, (start + number) * block, bytes);
        }
        image
    }

    fn volume_descriptors(&self, image: &mut [u8], at: usize, start: usize) {
        let (udf, block) = (self.udf, self.udf.block);
        let mut sector = |number: usize, identifier: u16, fill: &dyn Fn(&mut [u8])| {
            let mut bytes = vec![0; 512];
            put32(&mut bytes, 16, number as u32);
            fill(&mut bytes);
            udf.tagged(&mut bytes, identifier, at + number, 512);
            put(image, (at + number) * block, &bytes);
        };
        sector(0, 1, &|bytes| Udf::dstring(&mut bytes[24..56], "VOLUME"));
        sector(1, 5, &|bytes| {
            put16(bytes, 20, 1);
            put32(bytes, 188, start as u32);
            put32(bytes, 192, self.blocks.len() as u32);
        });
        sector(2, 6, &|bytes| {
            Udf::dstring(&mut bytes[84..212], "TEST DISC");
            put32(bytes, 212, block as u32);
            put(bytes, 217, b"*OSTA UDF Compliant");
            put16(bytes, 240, udf.revision);
            put32(bytes, 248, block as u32);
            // The file set is the first block of file entries.
            put32(bytes, 252, 0);
            put16(bytes, 256, u16::from(udf.metadata));
            let maps = if udf.metadata { (70, 2) } else { (6, 1) };
            put32(bytes, 264, maps.0);
            put32(bytes, 268, maps.1);
            put(bytes, 440, &[1, 6, 1, 0, 0, 0]);
            if udf.metadata {
                put(bytes, 446, &[2, 64]);
                put(bytes, 451, b"*UDF Metadata Partition");
                put16(bytes, 482, 1);
                put32(bytes, 486, 0);
                put32(bytes, 490, u32::MAX);
            }
        });
        sector(3, 8, &|_| {});
    }
}

/// Which names an ISO 9660 disc has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsoNames {
    Plain,
    Joliet,
    RockRidge,
}

/// How an ISO 9660 disc is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Iso {
    pub(crate) names: IsoNames,
    /// Most bytes of an extent; a multiple of the sector.
    pub(crate) extent: usize,
    /// A boot catalogue with a BIOS and an EFI entry.
    pub(crate) boots: bool,
}

impl Iso {
    pub(crate) const JOLIET: Self = Self { names: IsoNames::Joliet, extent: 1 << 20, boots: false };
}

fn both32(number: usize) -> [u8; 8] {
    let number = number as u32;
    let mut bytes = [0; 8];
    put(&mut bytes, 0, &number.to_le_bytes());
    put(&mut bytes, 4, &number.to_be_bytes());
    bytes
}

impl Iso {
    pub(crate) fn record(
        &self,
        name: &[u8],
        flags: u8,
        (sector, length): (usize, usize),
        system_use: &[u8],
    ) -> Vec<u8> {
        let mut bytes = vec![0; 33];
        put(&mut bytes, 2, &both32(sector));
        put(&mut bytes, 10, &both32(length));
        put(&mut bytes, 18, &[109, 7, 14, 1, 2, 3, 0]);
        bytes[25] = flags;
        put(&mut bytes, 28, &[1, 0, 0, 1]);
        bytes[32] = name.len() as u8;
        bytes.extend_from_slice(name);
        if name.len().is_multiple_of(2) {
            bytes.push(0);
        }
        bytes.extend_from_slice(system_use);
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        bytes[0] = bytes.len() as u8;
        bytes
    }

    fn names_of(&self, node: &Node, number: usize) -> (Vec<u8>, Vec<u8>) {
        let is_file = node.children.is_none();
        let version = if is_file { ";1" } else { "" };
        match self.names {
            IsoNames::Joliet => {
                let name = format!("{}{version}", node.name);
                (name.encode_utf16().flat_map(u16::to_be_bytes).collect(), Vec::new())
            }
            IsoNames::Plain => (format!("{}{version}", node.name.to_uppercase()).into_bytes(), Vec::new()),
            IsoNames::RockRidge => {
                let mut system_use = b"NM".to_vec();
                system_use.extend_from_slice(&[5 + node.name.len() as u8, 1, 0]);
                system_use.extend_from_slice(node.name.as_bytes());
                (format!("F{number}{version}").into_bytes(), system_use)
            }
        }
    }

    /// The disc with these files.
    pub(crate) fn disc(&self, files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let nodes = tree(files);
        let mut sectors: Vec<[u8; SECTOR]> = vec![[0; SECTOR]; 24];
        let mut append = |data: &[u8]| {
            let at = sectors.len();
            for piece in data.chunks(SECTOR) {
                let mut sector = [0; SECTOR];
                put(&mut sector, 0, piece);
                sectors.push(sector);
            }
            at
        };
        // Extents of every node; folders come after what they hold, as nodes do in reverse.
        let mut places: Vec<Vec<(usize, usize)>> = vec![Vec::new(); nodes.len()];
        for (number, node) in nodes.iter().enumerate().rev() {
            let Some(children) = &node.children else {
                let pieces = node.data.chunks(self.extent.max(1));
                places[number] = pieces.map(|piece| (append(piece), piece.len())).collect();
                if places[number].is_empty() {
                    places[number].push((0, 0));
                }
                continue;
            };
            let susp: &[u8] = if number == 0 && self.names == IsoNames::RockRidge {
                &[b'S', b'P', 7, 1, 0xBE, 0xEF, 0]
            } else {
                &[]
            };
            let mut records = vec![self.record(&[0], 2, (0, 0), susp), self.record(&[1], 2, (0, 0), &[])];
            for &child in children {
                let (name, system_use) = self.names_of(&nodes[child], child);
                let folder = u8::from(nodes[child].children.is_some()) * 2;
                for (piece, place) in places[child].iter().enumerate() {
                    let goes_on = if piece + 1 < places[child].len() { 0x80 } else { 0 };
                    records.push(self.record(&name, folder | goes_on, *place, &system_use));
                }
            }
            let mut data: Vec<u8> = Vec::new();
            for record in records {
                if data.len() % SECTOR + record.len() > SECTOR {
                    data.resize(data.len().next_multiple_of(SECTOR), 0);
                }
                data.extend(record);
            }
            data.resize(data.len().next_multiple_of(SECTOR), 0);
            places[number] = vec![(append(&data), data.len())];
        }
        self.descriptors(&mut sectors, places[0][0]);
        sectors.concat()
    }

    fn descriptors(&self, sectors: &mut [[u8; SECTOR]], root: (usize, usize)) {
        let total = sectors.len();
        let descriptor = |kind: u8, root: (usize, usize)| {
            let mut bytes = [0; SECTOR];
            bytes[0] = kind;
            put(&mut bytes, 1, b"CD001\x01");
            put(&mut bytes, 80, &both32(total));
            for at in [120, 124] {
                put(&mut bytes, at, &[1, 0, 0, 1]);
            }
            put(&mut bytes, 128, &[0, 8, 8, 0]);
            put(&mut bytes, 156, &self.record(&[0], 2, root, &[]));
            put(&mut bytes, 318, &[b' '; 128]);
            put(&mut bytes, 318, b"PUBLISHER");
            bytes
        };
        let mut list = vec![descriptor(1, root)];
        put(&mut list[0], 40, b"TEST_DISC                       ");
        if self.boots {
            let mut bytes = [0; SECTOR];
            put(&mut bytes, 1, b"CD001\x01EL TORITO SPECIFICATION");
            put32(&mut bytes, 0x47, 23);
            list.push(bytes);
            let catalogue = &mut sectors[23];
            catalogue[0] = 1;
            put(catalogue, 28, &[0xAA, 0x55, 0x55, 0xAA]);
            put(catalogue, 32, &[0x88, 0, 0, 0, 0, 0, 8, 0, 30]);
            put(catalogue, 64, &[0x91, 0xEF, 1, 0]);
            put(catalogue, 96, &[0x88, 0, 0, 0, 0, 0, 1, 0, 31]);
        }
        if self.names == IsoNames::Joliet {
            let mut bytes = descriptor(2, root);
            put(&mut bytes, 88, b"%/E");
            let label: Vec<u8> = "Test disc".encode_utf16().flat_map(u16::to_be_bytes).collect();
            put(&mut bytes, 40, &label);
            list.push(bytes);
        }
        let mut end = [0; SECTOR];
        put(&mut end, 0, b"\xFFCD001\x01");
        list.push(end);
        for (number, bytes) in list.into_iter().enumerate() {
            sectors[16 + number] = bytes;
        }
    }
}

/// A UDF disc whose ISO 9660 side says only that it is one, as Microsoft's are.
pub(crate) fn bridge(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    bridge_with(files, &[("README.TXT".to_owned(), b"this disc is UDF".to_vec())])
}

/// A UDF disc with an ISO 9660 side of its own files, which have some 200 sectors.
pub(crate) fn bridge_with(files: &[(String, Vec<u8>)], side: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut image = Udf::PLAIN.disc(files);
    // Descriptors go in front of the recognition sequence, the rest to where the UDF side has nothing: sectors 100 to 255.
    let side = Iso { names: IsoNames::Plain, extent: SECTOR, boots: true }.disc(side);
    let recognition = image[16 * SECTOR..19 * SECTOR].to_vec();
    put(&mut image, 19 * SECTOR, &recognition);
    put(&mut image, 16 * SECTOR, &side[16 * SECTOR..19 * SECTOR]);
    put(&mut image, 23 * SECTOR, &side[23 * SECTOR..24 * SECTOR]);
    put(&mut image, 24 * SECTOR, &side[24 * SECTOR..]);
    image
}
