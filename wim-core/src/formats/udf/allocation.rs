//! Allocation descriptors: where the bytes of a file lie (ECMA-167 4/14.14).
//!
//! Short, long and extended descriptors and data embedded in the file entry itself are read, and lists that go on in further
//! blocks. Extents that were allocated but never recorded are holes. Descriptors of compressed data (whose recorded and
//! information lengths differ) are refused.

use super::partition::Partitions;
use super::tag::{ALLOCATION_EXTENT, Location, expect};
use crate::base::extents::{MOUNT_IT, at_sector};
use crate::base::{Error, Extent, Fields, Place, Result};

/// Most extents of one file: 24 MB of memory, and a petabyte of the largest ones.
const MAX_EXTENTS: usize = 1 << 20;
/// Most blocks that a list of descriptors goes on in.
const MAX_CONTINUATIONS: usize = 1 << 16;

/// Bits 0 to 2 of the flags of an ICB tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Short,
    Long,
    Extended,
    Embedded,
}

impl Kind {
    pub(super) fn of_flags(flags: u16) -> Option<Self> {
        match flags & 7 {
            0 => Some(Self::Short),
            1 => Some(Self::Long),
            2 => Some(Self::Extended),
            3 => Some(Self::Embedded),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Short => 8,
            Self::Long => 16,
            Self::Extended => 20,
            Self::Embedded => usize::MAX,
        }
    }
}

/// The descriptors of one file as they lie in its file entry.
#[derive(Clone, Debug)]
pub(super) struct Descriptors {
    pub(super) kind: Kind,
    /// The bytes of the list, or the embedded data.
    pub(super) bytes: Box<[u8]>,
    /// Where they lie on the disc.
    pub(super) offset: u64,
    /// The partition that short descriptors count in.
    pub(super) partition: u16,
}

/// One descriptor.
struct Descriptor {
    /// The two bits above the length: 0 recorded, 1 allocated only, 2 neither, 3 the list goes on there.
    extent_type: u32,
    length: u32,
    block: u32,
    partition: u16,
}

/// The extents that hold the first `size` bytes of a file.
///
/// # Errors
/// `Format` when they lie outside of their partition, are more than the disc has, or do not suffice; `Limit` for more than
/// [`MAX_EXTENTS`]; `Unsupported` for compressed data.
pub(super) fn extents(partitions: &Partitions, descriptors: &Descriptors, size: u64) -> Result<Vec<Extent>> {
    const STRUCTURE: &str = "UDF allocation descriptors";
    let disc_bytes = partitions.disc_bytes();
    let mut found = Vec::new();
    let (mut total, mut recorded) = (0u64, 0u64);
    if descriptors.kind == Kind::Embedded {
        let length = descriptors.bytes.len() as u64;
        found.push(Extent { length, place: Some(descriptors.offset) });
        total = length;
    }
    let mut list = Some((descriptors.bytes.clone(), descriptors.offset));
    let mut continuations = 0;
    while let Some((bytes, offset)) = list.take().filter(|_| descriptors.kind != Kind::Embedded) {
        let mut f = Fields::new(STRUCTURE, &bytes, offset);
        while total < size && f.remaining() >= descriptors.kind.bytes() {
            let at = f.offset();
            let one = descriptor(&mut f, descriptors)?;
            if one.length == 0 {
                break;
            }
            if one.extent_type == 3 {
                continuations += 1;
                if continuations > MAX_CONTINUATIONS {
                    let message = format!("the list goes on in more than {MAX_CONTINUATIONS} blocks");
                    return Err(at_sector(STRUCTURE, "extent position", at, &message));
                }
                list = Some(continuation(partitions, &one)?);
                break;
            }
            if one.extent_type == 0 {
                let wanted = u64::from(one.length).min(size - total);
                recorded += wanted;
                if recorded > disc_bytes {
                    let message = format!("{recorded} bytes are recorded on a disc of {disc_bytes}");
                    return Err(at_sector(STRUCTURE, "extent length", at, &message));
                }
                partitions.locate(one.partition, one.block, wanted, &mut found)?;
            } else {
                found.push(Extent { length: one.length.into(), place: None });
            }
            total += u64::from(one.length);
            if found.len() > MAX_EXTENTS {
                let place = Place::Field { structure: STRUCTURE, field: "extent length", offset: at };
                let message = format!("a file of more than {MAX_EXTENTS} extents");
                return Err(Error::limit(message).at(place).remedy(MOUNT_IT));
            }
        }
    }
    if total < size {
        let message = format!("the extents have {total} bytes, but the file shall have {size}");
        return Err(at_sector(STRUCTURE, "extent length", descriptors.offset, &message));
    }
    Ok(found)
}

/// Reads one descriptor; the caller knows that its bytes are there.
fn descriptor(f: &mut Fields<'_>, list: &Descriptors) -> Result<Descriptor> {
    let at = f.offset();
    let length = f.u32("extent length")?;
    if list.kind == Kind::Extended {
        let (recorded, information) = (f.u32("recorded length")?, f.u32("information length")?);
        if recorded != information {
            let message =
                format!("{information} bytes recorded as {recorded}: compressed extents are not supported");
            let structure = "UDF allocation descriptors";
            let place = Place::Field { structure, field: "recorded length", offset: at + 4 };
            return Err(Error::unsupported(message).at(place).remedy(MOUNT_IT));
        }
    }
    let block = f.u32("extent position")?;
    let partition = if list.kind == Kind::Short { list.partition } else { f.u16("partition reference")? };
    match list.kind {
        Kind::Long => f.skip("implementation use", 6)?,
        Kind::Extended => f.skip("implementation use", 2)?,
        Kind::Short | Kind::Embedded => {}
    }
    Ok(Descriptor { extent_type: length >> 30, length: length & 0x3FFF_FFFF, block, partition })
}

/// The block in which a list goes on, behind the header that says so (ECMA-167 4/14.5): tag, previous block, length.
fn continuation(partitions: &Partitions, at: &Descriptor) -> Result<(Box<[u8]>, u64)> {
    const STRUCTURE: &str = "UDF allocation extent descriptor";
    const HEADER_BYTES: u64 = 24;
    let (block, offset) = partitions.read_block(at.partition, at.block)?;
    expect(STRUCTURE, &block, offset, (ALLOCATION_EXTENT, Location::At(at.block)))?;
    let mut f = Fields::new(STRUCTURE, &block, offset);
    f.skip("tag", 16)?;
    f.skip("previous allocation extent location", 4)?;
    let length = f.u32("length of allocation descriptors")?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok((f.bytes("allocation descriptors", length)?.into(), offset + HEADER_BYTES))
}
