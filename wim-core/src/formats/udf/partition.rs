//! Partition maps: from a logical block of a partition to bytes of the disc (ECMA-167 3/10.7, OSTA UDF 2.2.8 to 2.2.10).
//!
//! Plain, sparable, virtual and metadata partitions are read; the metadata mirror stands in when the metadata file itself cannot
//! be read. Partitions on other discs of a set are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file_entry::FileEntry;
use super::tag::{Location, check};
use crate::base::extents::{MOUNT_IT, SECTOR_BYTES, at_sector, lies_inside};
use crate::base::{Error, Extent, Extents, Fields, Place, ReadAt, Result, read_at};

/// Most bytes of a virtual allocation table or a sparing table: those of a 16 TiB disc would be larger, which nobody burns.
const MAX_TABLE_BYTES: u64 = 64 << 20;
/// Blocks from the end backwards in which the newest virtual allocation table is looked for.
const VIRTUAL_TABLE_SEARCH_BLOCKS: u64 = 64;
/// A virtual block that holds nothing.
const UNUSED: u32 = u32::MAX;

/// Where the file entry of a file lies; it also says which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcbPlace {
    /// Index of the partition map.
    pub partition: u16,
    /// Logical block in it.
    pub block: u32,
}

/// Blocks of the disc that a partition descriptor names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Physical {
    pub(super) number: u16,
    pub(super) start: u64,
    pub(super) blocks: u64,
}

enum Map {
    Physical(Physical),
    /// Packets of `packet_blocks` that lie elsewhere, by their first block; places are blocks of the disc.
    Sparable {
        physical: Physical,
        packet_blocks: u64,
        elsewhere: BTreeMap<u64, u64>,
    },
    Virtual {
        physical: Physical,
        table: Vec<u32>,
    },
    Metadata(Extents),
}

/// The partitions of a volume, in the order of their maps.
pub(super) struct Partitions {
    source: Arc<dyn ReadAt>,
    block_bytes: u32,
    maps: Vec<Map>,
}

const STRUCTURE: &str = "UDF partition map";

impl Partitions {
    /// Reads the maps of a logical volume descriptor, which lie at `offset` of the disc.
    ///
    /// # Errors
    /// `Format` for maps that contradict the partition descriptors, `Unsupported` for unknown ones.
    pub(super) fn open(
        source: Arc<dyn ReadAt>,
        block_bytes: u32,
        descriptors: &[Physical],
        (maps, offset): (&[u8], u64),
    ) -> Result<Self> {
        let mut partitions = Self { source, block_bytes, maps: Vec::new() };
        let mut f = Fields::new(STRUCTURE, maps, offset);
        while f.remaining() >= 2 {
            let at = f.offset();
            let (kind, length) = (f.u8("partition map type")?, usize::from(f.u8("partition map length")?));
            let body = f.bytes("partition map", length.saturating_sub(2))?;
            let map = partitions.map(kind, body, at, descriptors)?;
            partitions.maps.push(map);
        }
        if partitions.maps.is_empty() {
            return Err(at_sector(STRUCTURE, "number of partition maps", offset, "there is none"));
        }
        Ok(partitions)
    }

    fn map(&self, kind: u8, body: &[u8], at: u64, descriptors: &[Physical]) -> Result<Map> {
        let physical = |number: u16| {
            descriptors.iter().find(|one| one.number == number).copied().ok_or_else(|| {
                let message = format!("{number}, which no partition descriptor has");
                at_sector(STRUCTURE, "partition number", at, &message)
            })
        };
        let mut f = Fields::new(STRUCTURE, body, at + 2);
        match kind {
            1 => {
                f.skip("volume sequence number", 2)?;
                Ok(Map::Physical(physical(f.u16("partition number")?)?))
            }
            2 => {
                f.skip("reserved", 2)?;
                let identifier = f.bytes("partition type identifier", 32)?.get(1..24).unwrap_or_default();
                f.skip("volume sequence number", 2)?;
                let physical = physical(f.u16("partition number")?)?;
                let name = String::from_utf8_lossy(identifier);
                match name.trim_end_matches('\0') {
                    "*UDF Metadata Partition" => self.metadata(physical, &mut f),
                    "*UDF Sparable Partition" => self.sparable(physical, &mut f),
                    "*UDF Virtual Partition" => self.virtual_table(physical, at),
                    other => Err(unsupported_map(&format!("partition type {other:?}"), at)),
                }
            }
            _ => Err(unsupported_map(&format!("partition map type {kind}"), at)),
        }
    }

    /// UDF 2.2.10: metadata file and mirror are files of the partition below, whose blocks are those of this one.
    fn metadata(&self, physical: Physical, f: &mut Fields<'_>) -> Result<Map> {
        let main = f.u32("metadata file location")?;
        let mirror = f.u32("metadata mirror file location")?;
        let below = self.only(Map::Physical(physical));
        let open = |block| {
            let file = FileEntry::read(&below, IcbPlace { partition: 0, block })?;
            let extents = file.extents(&below)?;
            Extents::new(below.source.clone(), extents, file.size)
        };
        match open(main) {
            Ok(file) => Ok(Map::Metadata(file)),
            Err(_) if mirror != UNUSED && mirror != main => open(mirror).map(Map::Metadata),
            Err(error) => Err(error),
        }
    }

    /// UDF 2.2.9 and 2.2.12: packets that could not be written lie where a table says, of which there are copies.
    fn sparable(&self, physical: Physical, f: &mut Fields<'_>) -> Result<Map> {
        let packet_blocks = u64::from(f.u16("packet length")?);
        let tables = f.u8("number of sparing tables")?;
        f.skip("reserved", 1)?;
        let table_bytes = u64::from(f.u32("size of each sparing table")?);
        if packet_blocks == 0 {
            return Err(at_sector(STRUCTURE, "packet length", f.offset(), "0 blocks"));
        }
        let mut result = Err(at_sector(STRUCTURE, "number of sparing tables", f.offset(), "there is none"));
        for _ in 0..tables.min(4) {
            let sector = f.u32("location of sparing table")?;
            result = self.sparing_table(sector, table_bytes.min(MAX_TABLE_BYTES));
            if result.is_ok() {
                break;
            }
        }
        Ok(Map::Sparable { physical, packet_blocks, elsewhere: result? })
    }

    fn sparing_table(&self, sector: u32, bytes: u64) -> Result<BTreeMap<u64, u64>> {
        const STRUCTURE: &str = "UDF sparing table";
        // Entries that are available or defective have no packet.
        const NO_PACKET: u32 = 0xFFFF_FFF0;
        let offset = u64::from(sector) * u64::from(self.block_bytes);
        let table = self.read(offset, bytes)?;
        check(STRUCTURE, &table, offset, Location::At(sector))?;
        let mut f = Fields::new(STRUCTURE, &table, offset);
        f.skip("tag", 16)?;
        if f.bytes("sparing identifier", 32)?.get(1..19) != Some(b"*UDF Sparing Table".as_slice()) {
            return Err(at_sector(STRUCTURE, "sparing identifier", offset + 16, "it is another structure"));
        }
        let entries = f.u16("reallocation table length")?;
        f.skip("reserved", 2)?;
        f.skip("sequence number", 4)?;
        let mut elsewhere = BTreeMap::new();
        for _ in 0..entries {
            let original = f.u32("original location")?;
            let mapped = f.u32("mapped location")?;
            if original < NO_PACKET {
                elsewhere.insert(u64::from(original), u64::from(mapped));
            }
        }
        Ok(elsewhere)
    }

    /// UDF 2.2.11: the newest table is the last file written to a disc that is only ever added to.
    fn virtual_table(&self, physical: Physical, at: u64) -> Result<Map> {
        const STRUCTURE: &str = "UDF virtual allocation table";
        const TYPE: u8 = 248;
        let below = self.only(Map::Physical(physical));
        let end = (self.source.size() / u64::from(self.block_bytes)).saturating_sub(physical.start);
        let end = end.min(physical.blocks);
        let found = (end.saturating_sub(VIRTUAL_TABLE_SEARCH_BLOCKS)..end).rev().find_map(|block| {
            let block = u32::try_from(block).ok()?;
            let file = FileEntry::read(&below, IcbPlace { partition: 0, block }).ok()?;
            // UDF 1.50 has no file type for it, and tells it by an identifier at its end.
            matches!(file.type_number, 0 | TYPE).then_some(file)
        });
        let Some(file) = found else {
            let message =
                "the disc does not end in one: it has several sessions, or the last one was not closed";
            return Err(at_sector(STRUCTURE, "file entry", at, message));
        };
        if file.size > MAX_TABLE_BYTES {
            let message = format!("a virtual allocation table of {} bytes", file.size);
            return Err(Error::limit(message).remedy(MOUNT_IT));
        }
        let content = Extents::new(below.source.clone(), file.extents(&below)?, file.size)?;
        let mut bytes = vec![0; usize::try_from(file.size).unwrap_or(0)];
        read_at::read_exact_at(&content, &mut bytes, 0)?;
        let entries = if file.type_number == TYPE {
            let header = usize::from(Fields::new(STRUCTURE, &bytes, at).u16("length of header")?);
            bytes.get(header..)
        } else {
            const TRAILER_BYTES: usize = 36;
            let entries = bytes.len().checked_sub(TRAILER_BYTES);
            let is_table = |trailer: &[u8]| trailer.get(1..23) == Some(b"*UDF Virtual Alloc Tbl");
            entries.filter(|&at| bytes.get(at..).is_some_and(is_table)).and_then(|at| bytes.get(..at))
        };
        let Some(entries) = entries else {
            return Err(at_sector(STRUCTURE, "header", at, "it has neither header nor identifier"));
        };
        let table = entries.as_chunks::<4>().0.iter().map(|&entry| u32::from_le_bytes(entry)).collect();
        Ok(Map::Virtual { physical, table })
    }

    fn only(&self, map: Map) -> Self {
        Self { source: self.source.clone(), block_bytes: self.block_bytes, maps: vec![map] }
    }

    /// Bytes of the disc.
    pub(super) fn disc_bytes(&self) -> u64 {
        self.source.size()
    }

    /// The bytes themselves.
    pub(super) fn source(&self) -> &Arc<dyn ReadAt> {
        &self.source
    }

    /// Bytes of a logical block.
    pub(super) fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    /// Adds where the `length` bytes from `block` on lie, of which only those in the last block may be part of one.
    ///
    /// # Errors
    /// `Format` when they lie outside of the partition or of the disc.
    pub(super) fn locate(
        &self,
        partition: u16,
        block: u32,
        length: u64,
        found: &mut Vec<Extent>,
    ) -> Result<()> {
        let (mut block, mut rest) = (u64::from(block), length);
        while rest > 0 {
            let run = self.run(partition, block)?;
            let bytes = run.length.min(rest);
            if run.place.is_some_and(|place| !lies_inside(place, bytes, self.disc_bytes())) {
                let message = format!(
                    "block {block} lies at byte {}, behind the end of the {} bytes there are",
                    run.place.unwrap_or_default(),
                    self.disc_bytes()
                );
                return Err(at_sector(STRUCTURE, "logical block", run.place.unwrap_or_default(), &message));
            }
            found.push(Extent { length: bytes, place: run.place });
            rest -= bytes;
            block += bytes.div_ceil(self.block_bytes.into());
        }
        Ok(())
    }

    /// What lies at `block` and touches it behind: at least one block.
    fn run(&self, partition: u16, block: u64) -> Result<Extent> {
        let block_bytes = u64::from(self.block_bytes);
        let outside = |blocks: u64| {
            let message = format!("block {block} of partition {partition}, which has {blocks} blocks");
            at_sector(STRUCTURE, "logical block", 0, &message)
        };
        let inside = |physical: &Physical, block: u64| {
            if block >= physical.blocks {
                return Err(outside(physical.blocks));
            }
            Ok(Extent {
                length: (physical.blocks - block) * block_bytes,
                place: Some((physical.start + block) * block_bytes),
            })
        };
        let Some(map) = self.maps.get(usize::from(partition)) else {
            let message = format!("partition {partition}; there are {} partition maps", self.maps.len());
            return Err(at_sector(STRUCTURE, "partition reference", 0, &message));
        };
        match map {
            Map::Physical(physical) => inside(physical, block),
            Map::Sparable { physical, packet_blocks, elsewhere } => {
                let whole = inside(physical, block)?;
                let in_packet = block % packet_blocks;
                let length = whole.length.min((packet_blocks - in_packet) * block_bytes);
                match elsewhere.get(&(block - in_packet)) {
                    Some(&sector) => Ok(Extent { length, place: Some((sector + in_packet) * block_bytes) }),
                    None => Ok(Extent { length, ..whole }),
                }
            }
            Map::Virtual { physical, table } => {
                let entry = usize::try_from(block).ok().and_then(|at| table.get(at)).copied();
                let entry =
                    entry.filter(|&entry| entry != UNUSED).ok_or_else(|| outside(table.len() as u64))?;
                Ok(Extent { length: block_bytes, ..inside(physical, entry.into())? })
            }
            Map::Metadata(file) => {
                let piece = block.checked_mul(block_bytes).and_then(|offset| file.piece_at(offset));
                let piece = piece.filter(|piece| piece.place.is_some() && piece.length >= block_bytes);
                piece.ok_or_else(|| outside(file.size() / block_bytes))
            }
        }
    }

    /// Reads one block; gives also where it lies on the disc.
    ///
    /// # Errors
    /// As [`Self::locate`], and `Io`.
    pub(super) fn read_block(&self, partition: u16, block: u32) -> Result<(Vec<u8>, u64)> {
        let mut found = Vec::new();
        self.locate(partition, block, self.block_bytes.into(), &mut found)?;
        let place = found.first().and_then(|extent| extent.place).unwrap_or_default();
        Ok((self.read(place, self.block_bytes.into())?, place))
    }

    /// Reads bytes of the disc; few, as the caller sees to.
    pub(super) fn read(&self, offset: u64, bytes: u64) -> Result<Vec<u8>> {
        if !lies_inside(offset, bytes, self.disc_bytes()) {
            let message =
                format!("{bytes} bytes at {offset}, behind the end of the {} there are", self.disc_bytes());
            return Err(at_sector("UDF volume", "sector", offset, &message));
        }
        let mut block = vec![0; usize::try_from(bytes).unwrap_or(0)];
        read_at::read_exact_at(&*self.source, &mut block, offset)?;
        Ok(block)
    }
}

fn unsupported_map(what: &str, at: u64) -> Error {
    Error::unsupported(format!("{what} is not supported (sector {})", at / SECTOR_BYTES))
        .at(Place::Field { structure: STRUCTURE, field: "partition map type", offset: at })
        .remedy(MOUNT_IT)
}
