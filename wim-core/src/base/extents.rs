//! A file whose bytes lie in several places of a disc, read as one.
//!
//! Both disc formats describe a file as a list of extents (ECMA-119 6.4, ECMA-167 4/12.1); touching ones become one piece, so that a
//! mastered file is a single window. What an extent means, and whether it may be missing, its format decides and not this file.

use std::io;
use std::sync::Arc;

use super::error::{Error, ErrorKind, Result};
use super::read_at::ReadAt;

/// Bytes of a sector, by which people find things on discs.
pub const SECTOR_BYTES: u64 = SECTOR_LENGTH as u64;
/// The same, for buffers.
pub const SECTOR_LENGTH: usize = 2048;

/// What the user can do about a disc that is sound, but beyond what is read here.
pub const MOUNT_IT: &str = "mount the disc with the operating system and copy its files";

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes.
    pub length: u64,
    /// Where they lie in the source; none for a hole, which reads as zeros.
    pub place: Option<u64>,
}

/// An error at a field of a structure of a disc, with the sector in its message.
#[must_use]
pub fn at_sector(structure: &'static str, field: &'static str, offset: u64, message: &str) -> Error {
    Error::format(structure, field, offset, format!("{message} (sector {})", offset / SECTOR_BYTES))
        .remedy("the disc image is damaged or truncated; get it again from its source and compare its hash")
}

/// A file of extents.
#[derive(Clone)]
pub struct Extents {
    source: Arc<dyn ReadAt>,
    /// Offset in the file and place of each piece, ascending; the first begins at 0.
    pieces: Vec<(u64, Option<u64>)>,
    size: u64,
}

impl Extents {
    /// The file of `size` bytes that these extents of `source` hold; what they have behind them is left out.
    ///
    /// # Errors
    /// `Format` when the extents have fewer bytes, or one lies outside of the source.
    pub fn new(
        source: Arc<dyn ReadAt>,
        extents: impl IntoIterator<Item = Extent>,
        size: u64,
    ) -> Result<Self> {
        let mut pieces: Vec<(u64, Option<u64>)> = Vec::new();
        let mut at = 0;
        for extent in extents {
            let length = extent.length.min(size - at);
            if length == 0 {
                continue;
            }
            if extent.place.is_some_and(|place| !lies_inside(place, length, source.size())) {
                return Err(Error::new(
                    ErrorKind::Format,
                    format!(
                        "an extent of {length} bytes at {:#x} lies outside of the {} bytes there are",
                        extent.place.unwrap_or_default(),
                        source.size()
                    ),
                ));
            }
            let goes_on = pieces.last().is_some_and(|&(start, place)| match (place, extent.place) {
                (Some(before), Some(next)) => before + (at - start) == next,
                (None, None) => true,
                _ => false,
            });
            if !goes_on {
                pieces.push((at, extent.place));
            }
            at += length;
        }
        if at < size {
            return Err(Error::new(
                ErrorKind::Format,
                format!("its extents have {at} bytes, but it shall have {size}"),
            ));
        }
        Ok(Self { source, pieces, size })
    }

    /// The pieces in order; touching extents are one.
    pub fn pieces(&self) -> impl Iterator<Item = Extent> + '_ {
        let ends = self.pieces.iter().skip(1).map(|&(start, _)| start).chain([self.size]);
        self.pieces.iter().zip(ends).map(|(&(start, place), end)| Extent { length: end - start, place })
    }
}

impl Extents {
    /// What is left of the piece that has the byte at `offset`; none behind the end.
    #[must_use]
    pub fn piece_at(&self, offset: u64) -> Option<Extent> {
        let next = self.pieces.partition_point(|&(start, _)| start <= offset);
        let &(start, place) = self.pieces.get(next.checked_sub(1)?)?;
        let end = self.pieces.get(next).map_or(self.size, |&(start, _)| start);
        let length = end.checked_sub(offset).filter(|&length| length > 0)?;
        Some(Extent { length, place: place.map(|place| place + (offset - start)) })
    }
}

/// True when `length` bytes at `place` lie inside of `size` bytes.
#[must_use]
pub fn lies_inside(place: u64, length: u64, size: u64) -> bool {
    place.checked_add(length).is_some_and(|end| end <= size)
}

impl ReadAt for Extents {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if !lies_inside(offset, buf.len() as u64, self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut rest, mut at) = (buf, offset);
        while !rest.is_empty() {
            let piece = self.piece_at(at).ok_or(io::ErrorKind::UnexpectedEof)?;
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX).min(rest.len());
            let (part, behind) = rest.split_at_mut(length);
            match piece.place {
                Some(place) => self.source.read_exact_at(part, place)?,
                None => part.fill(0),
            }
            (rest, at) = (behind, at + length as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extent(length: u64, place: impl Into<Option<u64>>) -> Extent {
        Extent { length, place: place.into() }
    }

    #[test]
    fn touching_extents_are_one_piece_and_the_tail_is_left_out() {
        let source: Arc<dyn ReadAt> = Arc::new((0..100u8).collect::<Vec<u8>>());
        let file =
            Extents::new(source.clone(), [extent(10, 20), extent(10, 30), extent(8, None)], 25).unwrap();
        assert_eq!(file.pieces().collect::<Vec<_>>(), [extent(20, 20), extent(5, None)]);
        let mut bytes = [9; 7];
        file.read_exact_at(&mut bytes, 16).unwrap();
        assert_eq!(bytes, [36, 37, 38, 39, 0, 0, 0]);
        assert!(file.read_exact_at(&mut bytes, 19).is_err());
        assert!(file.read_exact_at(&mut bytes, u64::MAX).is_err());
        assert!(Extents::new(source.clone(), [extent(10, 95)], 10).is_err());
        assert!(Extents::new(source.clone(), [extent(10, u64::MAX)], 10).is_err());
        assert!(Extents::new(source, [extent(10, 0)], 11).is_err());
    }

    proptest! {
        #[test]
        fn any_window_equals_the_pieces_put_together(
            list in prop::collection::vec((0u64..40, prop::option::of(0u64..60)), 0..8),
            window in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let bytes: Vec<u8> = (0..100u8).collect();
            let mut whole = Vec::new();
            for &(length, place) in &list {
                match place {
                    Some(place) => whole.extend_from_slice(&bytes[place as usize..(place + length) as usize]),
                    None => whole.resize(whole.len() + length as usize, 0),
                }
            }
            let extents = list.iter().map(|&(length, place)| Extent { length, place });
            let file = Extents::new(Arc::new(bytes), extents, whole.len() as u64).unwrap();
            let from = window.0.index(whole.len() + 1);
            let to = from + window.1.index(whole.len() - from + 1);
            let mut read = vec![7; to - from];
            file.read_exact_at(&mut read, from as u64).unwrap();
            prop_assert_eq!(&read, &whole[from..to]);
        }
    }
}
