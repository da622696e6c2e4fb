//! Where a UDF volume begins: recognition sequence, anchor, and the sequence of volume descriptors (ECMA-167 2/8, 3/8.4).
//!
//! The main sequence is read, and the reserve one when it cannot be. Which descriptor prevails among several of a kind, its
//! sequence number says. Integrity and space descriptors are passed over: nothing is written.

use std::sync::Arc;

use super::partition::Physical;
use super::tag::{
    ANCHOR, LOGICAL_VOLUME, Location, PARTITION, PRIMARY_VOLUME, TERMINATOR, VOLUME_POINTER, check,
};
use super::text::dstring;
use crate::base::extents::{SECTOR_BYTES, at_sector, lies_inside};
use crate::base::{Fields, ReadAt, Result, read_at};

/// Where the volume recognition sequence begins.
const RECOGNITION_OFFSET: u64 = 16 * SECTOR_BYTES;
/// Most records of it that are looked at.
const MAX_RECOGNITION_RECORDS: u64 = 64;
/// Sizes of sectors, in the order in which they are tried: discs, hard disks, newer hard disks, magneto-optical ones.
const SECTOR_SIZES: [u32; 4] = [2048, 512, 4096, 1024];
/// Most descriptors of a sequence, and of those that it leads on to.
const MAX_DESCRIPTORS: u32 = 1024;
/// Most partitions.
const MAX_PARTITIONS: usize = 64;

/// True when the source says that it holds a UDF volume: a record `NSR02` or `NSR03` among those from sector 16 on.
///
/// # Errors
/// `Io`.
pub fn is_recognised(source: &dyn ReadAt) -> Result<bool> {
    // Records are as far apart as sectors are large, and at least 2048 bytes.
    for step in [SECTOR_BYTES, 4096] {
        for number in 0..MAX_RECOGNITION_RECORDS {
            let offset = RECOGNITION_OFFSET + number * step;
            let mut start = [0; 6];
            if !lies_inside(offset, start.len() as u64, source.size()) {
                break;
            }
            read_at::read_exact_at(source, &mut start, offset)?;
            match &start[1..] {
                b"NSR02" | b"NSR03" => return Ok(true),
                b"BEA01" | b"CD001" | b"BOOT2" | b"CDW02" | b"TEA01" => {}
                _ => break,
            }
        }
    }
    Ok(false)
}

/// What the volume descriptors say.
pub(super) struct Descriptors {
    pub(super) sector_bytes: u32,
    pub(super) volume_name: String,
    pub(super) partitions: Vec<Physical>,
    /// The logical volume descriptor and where it lies.
    pub(super) logical_volume: (Vec<u8>, u64),
}

/// An extent of the volume.
#[derive(Clone, Copy)]
struct Span {
    length: u32,
    sector: u32,
}

/// Finds the anchor and reads the descriptors.
///
/// # Errors
/// `Format` when there is no anchor, or neither sequence can be read.
pub(super) fn read(source: &Arc<dyn ReadAt>) -> Result<Descriptors> {
    const STRUCTURE: &str = "UDF anchor volume descriptor pointer";
    let mut error = None;
    for sector_bytes in SECTOR_SIZES {
        for sector in anchor_sectors(source.size(), sector_bytes) {
            let Some((main, reserve)) = anchor(&**source, sector_bytes, sector)? else { continue };
            let read = |span| Sequence::read(&**source, sector_bytes, span);
            match read(main).or_else(|first| read(reserve).map_err(|_| first)) {
                Ok(sequence) => return sequence.finish(sector_bytes),
                Err(e) => error = error.or(Some(e)),
            }
        }
    }
    let none = || {
        let message = "it is at none of the sectors 256, last, last - 256 and 512";
        at_sector(STRUCTURE, "tag", 256 * SECTOR_BYTES, message)
    };
    Err(error.unwrap_or_else(none))
}

fn anchor_sectors(size: u64, sector_bytes: u32) -> impl Iterator<Item = u32> {
    let count = size / u64::from(sector_bytes);
    [Some(256), count.checked_sub(1), count.checked_sub(257), Some(512)]
        .into_iter()
        .flatten()
        .filter(move |&sector| sector > 0 && sector < count)
        .filter_map(|sector| u32::try_from(sector).ok())
}

/// Main and reserve sequence, when there is an anchor.
fn anchor(source: &dyn ReadAt, sector_bytes: u32, sector: u32) -> Result<Option<(Span, Span)>> {
    const BYTES: usize = 512;
    let offset = u64::from(sector) * u64::from(sector_bytes);
    if !lies_inside(offset, BYTES as u64, source.size()) {
        return Ok(None);
    }
    let mut bytes = [0; BYTES];
    read_at::read_exact_at(source, &mut bytes, offset)?;
    let structure = "UDF anchor volume descriptor pointer";
    if check(structure, &bytes, offset, Location::At(sector)).ok() != Some(ANCHOR) {
        return Ok(None);
    }
    let mut f = Fields::new(structure, &bytes, offset);
    f.skip("tag", 16)?;
    let main = Span { length: f.u32("main sequence length")?, sector: f.u32("main sequence location")? };
    let reserve =
        Span { length: f.u32("reserve sequence length")?, sector: f.u32("reserve sequence location")? };
    Ok(Some((main, reserve)))
}

/// A sequence of volume descriptors as far as it is read; numbers beside descriptors are their sequence numbers.
#[derive(Default)]
struct Sequence {
    volume: Option<(u32, String)>,
    partitions: Vec<(u32, Physical)>,
    logical_volume: Option<(u32, Vec<u8>, u64)>,
}

const STRUCTURE: &str = "UDF volume descriptor sequence";

impl Sequence {
    fn read(source: &dyn ReadAt, sector_bytes: u32, mut span: Span) -> Result<Self> {
        let mut sequence = Self::default();
        let mut left = MAX_DESCRIPTORS;
        let mut block = vec![0; sector_bytes as usize];
        'spans: loop {
            let mut next = None;
            for number in 0..span.length / sector_bytes {
                left = left.checked_sub(1).ok_or_else(|| {
                    let offset = u64::from(span.sector) * u64::from(sector_bytes);
                    at_sector(STRUCTURE, "length", offset, "it has more than 1024 descriptors")
                })?;
                let Some(sector) = span.sector.checked_add(number) else { break };
                let offset = u64::from(sector) * u64::from(sector_bytes);
                if !lies_inside(offset, block.len() as u64, source.size()) {
                    return Err(at_sector(
                        STRUCTURE,
                        "location",
                        offset,
                        "it lies behind the end of the file",
                    ));
                }
                read_at::read_exact_at(source, &mut block, offset)?;
                if block.iter().all(|&byte| byte == 0) {
                    break;
                }
                match check(STRUCTURE, &block, offset, Location::At(sector))? {
                    TERMINATOR => break 'spans,
                    VOLUME_POINTER => {
                        let mut f = Fields::new(STRUCTURE, &block, offset);
                        f.skip("tag and sequence number", 20)?;
                        next = Some(Span { length: f.u32("next length")?, sector: f.u32("next location")? });
                        break;
                    }
                    identifier => sequence.take(identifier, &block, offset)?,
                }
            }
            match next {
                Some(next) => span = next,
                None => break,
            }
        }
        if sequence.logical_volume.is_none() || sequence.partitions.is_empty() {
            let offset = u64::from(span.sector) * u64::from(sector_bytes);
            let message = "it has no partition descriptor or no logical volume descriptor";
            return Err(at_sector(STRUCTURE, "tag identifier", offset, message));
        }
        Ok(sequence)
    }

    /// Keeps a descriptor, unless one of its kind with a higher sequence number is there.
    fn take(&mut self, identifier: u16, block: &[u8], offset: u64) -> Result<()> {
        let mut f = Fields::new(STRUCTURE, block, offset);
        f.skip("tag", 16)?;
        let order = f.u32("volume descriptor sequence number")?;
        match identifier {
            PRIMARY_VOLUME if self.volume.as_ref().is_none_or(|(before, _)| *before <= order) => {
                f.skip("primary volume descriptor number", 4)?;
                self.volume = Some((order, dstring(f.bytes("volume identifier", 32)?)));
            }
            PARTITION => {
                f.skip("partition flags", 2)?;
                let number = f.u16("partition number")?;
                f.skip("contents and access type", 164)?;
                let start = u64::from(f.u32("partition starting location")?);
                let blocks = u64::from(f.u32("partition length")?);
                let partition = Physical { number, start, blocks };
                let count = self.partitions.len();
                let before = self.partitions.iter().position(|(_, one)| one.number == number);
                match before.and_then(|at| self.partitions.get_mut(at)) {
                    Some(one) if one.0 <= order => *one = (order, partition),
                    Some(_) => {}
                    None if count < MAX_PARTITIONS => {
                        self.partitions.push((order, partition));
                    }
                    None => {
                        let message = format!("there are more than {MAX_PARTITIONS}");
                        let structure = "UDF partition descriptor";
                        return Err(at_sector(structure, "partition number", offset, &message));
                    }
                }
            }
            LOGICAL_VOLUME if self.logical_volume.as_ref().is_none_or(|(before, ..)| *before <= order) => {
                self.logical_volume = Some((order, block.to_vec(), offset));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, sector_bytes: u32) -> Result<Descriptors> {
        let (_, block, offset) = self.logical_volume.ok_or_else(|| {
            at_sector(STRUCTURE, "tag identifier", 0, "it has no logical volume descriptor")
        })?;
        Ok(Descriptors {
            sector_bytes,
            volume_name: self.volume.map(|(_, name)| name).unwrap_or_default(),
            partitions: self.partitions.into_iter().map(|(_, partition)| partition).collect(),
            logical_volume: (block, offset),
        })
    }
}
