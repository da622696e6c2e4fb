//! Rift tables: piecewise shifts of the number line, which say where things of one file lie in another.
//!
//! An entry (source → target) holds from its source up to the next; below the first the last one holds, as if the line
//! were closed to a circle. This file has their encoding, look-up, composition and inversion (rules proved on real
//! deltas); what the numbers mean, file offsets or addresses, is the caller's business.

use std::collections::BTreeMap;

use super::bits::BitReader;
use super::huffman::Code;
use crate::base::{Error, Result};

/// Most entries of a table that is read, of all tables of one map together, and pieces that a composition may have; real ones
/// have some thousands.
pub(super) const MAX_PIECES: usize = 1 << 20;

/// Where a stretch of the line begins, and where that place goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First place of the stretch.
    pub source: i64,
    /// What it is mapped to.
    pub target: i64,
}

impl Entry {
    /// Target less source, wrapping as all arithmetic of rifts does.
    #[must_use]
    pub fn offset(self) -> i64 {
        self.target.wrapping_sub(self.source)
    }
}

/// A rift table: entries by source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rift {
    entries: Vec<Entry>,
}

impl Rift {
    /// The table of these entries; equal sources keep their order, and the last of them holds.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.source);
        Self { entries }
    }

    /// The table of these (source, target) pairs.
    #[must_use]
    pub fn of(pairs: &[(i64, i64)]) -> Self {
        Self::new(pairs.iter().map(|&(source, target)| Entry { source, target }).collect())
    }

    /// Entries by source.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Its entries by source, without a copy.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// True when it maps everything to itself for want of entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is added to `x`: 0 when the table is empty.
    #[must_use]
    pub fn offset_at(&self, x: i64) -> i64 {
        let after = self.entries.partition_point(|entry| entry.source <= x);
        let entry = after.checked_sub(1).map_or(self.entries.last(), |at| self.entries.get(at));
        entry.map_or(0, |entry| entry.offset())
    }

    /// Where `x` goes.
    #[must_use]
    pub fn map(&self, x: i64) -> i64 {
        x.wrapping_add(self.offset_at(x))
    }

    /// A table with its presence bit.
    ///
    /// # Errors
    /// `Format` when it is cut short or its codes are impossible.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self> {
        if !bits.bit("rift")? {
            return Ok(Self::default());
        }
        let formats = [IntFormat::read(bits)?, IntFormat::read(bits)?];
        let mut left = MAX_PIECES;
        Self::read_entries(bits, &formats, &mut left)
    }

    /// The number of entries and the entries, coded with formats for sources and targets; they are taken from `left`, the
    /// number that this table and those after it may have together.
    ///
    /// # Errors
    /// `Format` when they are cut short or use a codeword that is not there, `Limit` for more than are left.
    pub(super) fn read_entries(
        bits: &mut BitReader<'_>,
        formats: &[IntFormat; 2],
        left: &mut usize,
    ) -> Result<Self> {
        let count = bits.size("number of rift entries")?;
        // Each entry takes a codeword of each code.
        if count > bits.bits_left() / 2 {
            return Err(bits.error(
                "number of rift entries",
                format!("{count} entries, but only {} bits are left", bits.bits_left()),
            ));
        }
        // An entry takes two bits at least and sixteen bytes in memory.
        let Some(rest) = usize::try_from(count).ok().and_then(|count| left.checked_sub(count)) else {
            let message =
                format!("a rift table of {count} entries, where only {left} of {MAX_PIECES} are left");
            return Err(Error::limit(message).remedy("get the package again from its source"));
        };
        *left = rest;
        let mut entries = Vec::new();
        let (mut source, mut offset) = (0_i64, 0_i64);
        for _ in 0..count {
            source = source.wrapping_add(formats[0].value(bits)?);
            offset = offset.wrapping_add(formats[1].value(bits)?);
            entries.push(Entry { source, target: source.wrapping_add(offset) });
        }
        Ok(Self::new(entries))
    }

    /// The segments of the whole line in the order of the line: (start, end, offset); none are empty.
    fn segments(&self) -> impl Iterator<Item = Segment> {
        let wrapped = self.entries.last().map(|last| (i64::MIN, last.offset()));
        let starts = wrapped.into_iter().chain(self.entries.iter().map(|e| (e.source, e.offset())));
        let ends = self.entries.iter().map(|entry| i128::from(entry.source)).chain([LINE_END]);
        starts
            .zip(ends)
            .map(|((start, offset), end)| Segment { start: start.into(), end, offset })
            .filter(|segment| segment.start < segment.end)
    }

    /// This table, then `next`: x goes to next(self(x)). An empty table is passed over.
    ///
    /// # Errors
    /// `Limit` when the result would have more than 2^20 entries.
    pub fn then(&self, next: &Self) -> Result<Self> {
        if self.is_empty() || next.is_empty() {
            return Ok(if self.is_empty() { next.clone() } else { self.clone() });
        }
        let mut entries = Vec::new();
        for segment in self.segments() {
            let (image_start, image_end) = segment.image();
            // The first piece begins with the segment, the others where its image meets a source of `next`.
            let after = next.entries.partition_point(|e| i128::from(e.source) <= image_start);
            let cuts = next.entries.get(after..).unwrap_or(&[]).iter().map(|e| i128::from(e.source));
            let starts = cuts.take_while(|&cut| cut < image_end).map(|cut| cut - i128::from(segment.offset));
            let mut previous = None;
            for start in [segment.start].into_iter().chain(starts) {
                if previous == Some(start) {
                    continue;
                }
                previous = Some(start);
                // What holds from minus infinity is what the last entry says anyway.
                let Some(source) = i64::try_from(start).ok().filter(|&start| start != i64::MIN) else {
                    continue;
                };
                entries.push(Entry { source, target: next.map(source.wrapping_add(segment.offset)) });
                if entries.len() > MAX_PIECES {
                    return Err(Error::limit(format!("a rift table of more than {MAX_PIECES} entries"))
                        .remedy("the delta or its basis is damaged; get the package again from its source"));
                }
            }
        }
        Ok(Self::new(entries))
    }

    /// The table that leads back. Where two stretches have the same image, the one that begins at the lowest source from
    /// 0 upwards wins; those below 0 come last.
    #[must_use]
    pub fn invert(&self) -> Self {
        let Some(last) = self.entries.last() else { return Self::default() };
        if self.entries.first().is_some_and(|first| first.source == last.source) {
            // What the native code makes of one entry, by jlevere/msdelta.
            return Self::new(vec![Entry { source: 0, target: last.offset() }]);
        }
        let (below, above): (Vec<_>, Vec<_>) =
            self.segments().flat_map(Segment::split_at_zero).partition(|segment| segment.start < 0);
        let mut covered = Covered::default();
        let mut entries = Vec::new();
        for segment in above.into_iter().chain(below) {
            let (start, end) = segment.image();
            covered.add(start, end, |gap_start| {
                if let Some(source) = i64::try_from(gap_start).ok().filter(|&at| at != i64::MIN) {
                    entries.push(Entry { source, target: source.wrapping_sub(segment.offset) });
                }
            });
        }
        entries.retain(|entry| entry.target != i64::MIN);
        Self::new(entries)
    }
}

/// One past the last place of the line.
const LINE_END: i128 = 1 << 63;

/// A stretch of the line, end excluded, with what is added to its places.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: i128,
    end: i128,
    offset: i64,
}

impl Segment {
    /// Where its ends go, cut to the line.
    fn image(self) -> (i128, i128) {
        let place = |x: i128| match x {
            // Infinity stays where it is.
            LINE_END => LINE_END,
            x if x == -LINE_END => -LINE_END,
            x => (x + i128::from(self.offset)).clamp(-LINE_END, LINE_END),
        };
        (place(self.start), place(self.end))
    }

    fn split_at_zero(self) -> impl Iterator<Item = Self> {
        let lower = Self { end: self.end.min(0), ..self };
        let upper = Self { start: self.start.max(0), ..self };
        [lower, upper].into_iter().filter(|segment| segment.start < segment.end)
    }
}

/// Disjoint stretches of the line, start to end.
#[derive(Default)]
struct Covered(BTreeMap<i128, i128>);

impl Covered {
    /// Covers a stretch and tells the start of each of its parts that was not covered before.
    fn add(&mut self, start: i128, end: i128, mut gap: impl FnMut(i128)) {
        if start >= end {
            return;
        }
        let (mut new_start, mut new_end, mut at) = (start, end, start);
        let before = self.0.range(..start).next_back().filter(|(_, e)| **e >= start);
        let inside: Vec<(i128, i128)> =
            before.into_iter().chain(self.0.range(start..=end)).map(|(s, e)| (*s, *e)).collect();
        for (s, e) in inside {
            if at < s.min(end) {
                gap(at);
            }
            at = at.max(e);
            (new_start, new_end) = (new_start.min(s), new_end.max(e));
            self.0.remove(&s);
        }
        if at < end {
            gap(at);
        }
        self.0.insert(new_start, new_end);
    }
}

/// Symbols for values from 0 up, and again for those below.
const HALF: u16 = 126;

/// A Huffman code for signed integers.
#[derive(Clone, Debug)]
pub(super) struct IntFormat(Code);

impl IntFormat {
    /// # Errors
    /// `Format` when the lengths are cut short or make no code.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Self> {
        const FIELD: &str = "integer format";
        const SYMBOLS: usize = 2 * HALF as usize;
        let mut lengths = [0; SYMBOLS];
        let listed = [bits.take8(FIELD, 8)?, bits.take8(FIELD, 8)?];
        let longer = usize::from(bits.take8(FIELD, 8)?);
        let unlisted = listed.iter().try_fold(SYMBOLS, |left, &count| {
            if u16::from(count) > HALF { None } else { Some(left - usize::from(count)) }
        });
        if unlisted.is_none_or(|unlisted| longer > unlisted) {
            return Err(bits.error(FIELD, format!("{listed:?} and {longer} symbols, more than there are")));
        }
        for (half, &count) in lengths.chunks_mut(usize::from(HALF)).zip(&listed) {
            for length in half.iter_mut().take(usize::from(count)) {
                *length = bits.take8(FIELD, 4)? + 1;
            }
        }
        let long = bits.take8(FIELD, 4)? + 1;
        let halves = lengths.chunks_mut(usize::from(HALF)).zip(&listed);
        let others = halves.flat_map(|(half, &count)| half.iter_mut().skip(usize::from(count)));
        for (number, length) in others.enumerate() {
            *length = if number < longer { long } else { long - 1 };
        }
        match Code::new(&lengths) {
            Some(code) => Ok(Self(code)),
            None => Err(bits.error(FIELD, "its lengths make no code")),
        }
    }

    /// The next integer.
    ///
    /// # Errors
    /// `Format` at the end of the stream and for an unassigned codeword.
    pub(super) fn value(&self, bits: &mut BitReader<'_>) -> Result<i64> {
        let symbol = self.0.read(bits, "integer")?;
        let mut magnitude = i64::from(symbol % HALF);
        if magnitude > 3 {
            // At most 61 bits: the symbol is at most 125.
            let extra = u32::from((symbol % HALF) >> 1) - 1;
            let low = bits.take("integer", extra)?.cast_signed();
            magnitude = (2 | (magnitude & 1)) << extra | low;
        }
        Ok(if symbol < HALF { magnitude } else { !magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(rift: &Rift) -> Vec<(i64, i64)> {
        rift.entries().iter().map(|e| (e.source, e.target)).collect()
    }

    fn from_zero(rift: &Rift) -> Vec<(i64, i64)> {
        pairs(rift).into_iter().filter(|pair| pair.0 >= 0).collect()
    }

    #[test]
    fn look_up_is_a_circle() {
        let rift = Rift::of(&[(0x10, 0x30), (0x20, 0x28)]);
        assert_eq!([0, 0x10, 0x1F, 0x20].map(|x| rift.map(x)), [8, 0x30, 0x3F, 0x28]);
        assert_eq!(Rift::default().map(7), 7);
        // Of equal sources the last holds.
        assert_eq!(Rift::of(&[(5, 1), (5, 2)]).map(5), 2);
    }

    /// The composition and inversion of a real i386 delta (KB2999226), from its section table and its two rifts.
    #[test]
    fn the_copy_rift_of_a_real_delta_comes_out() {
        let sections = Rift::of(&[(0, 0), (0x400, 0x1000), (0x800, 0x2000)]);
        let rva = Rift::of(&[(0x1160, 0x115C), (0x1188, 0x1180), (0x119C, 0x1192), (0x1FFF, 0x1FFF)]);
        let file = Rift::of(&[(0, 0), (0x1000, 0x400), (0x2000, 0x800)]);
        let f = sections.then(&rva).unwrap().then(&file).unwrap();
        let expected =
            [(0, 0), (0x400, 0x400), (0x560, 0x55C), (0x588, 0x580), (0x59C, 0x592), (0x800, 0x800)];
        for (x, y) in expected {
            assert_eq!(f.map(x), y, "{x:#x}");
        }
        let inverse = from_zero(&f.invert());
        let expected = [
            (0, 0),
            (0x400, 0x400),
            (0x560, 0x564),
            (0x584, 0x58C),
            (0x594, 0x59E),
            (0x7F6, -0x100A),
            (0x800, 0x800),
        ];
        let expected: Vec<_> = expected.to_vec();
        assert_eq!(inverse, expected, "{inverse:x?}");
    }

    #[test]
    fn inversion_of_worked_examples() {
        let crossing = Rift::of(&[(0, 0), (0x400, 0x1000), (0x800, 0x2000)]);
        let expected = [(0, 0), (0x400, -0x1400), (0x1000, 0x400), (0x1400, -0x400), (0x2000, 0x800)];
        assert_eq!(from_zero(&crossing.invert()), expected);
        let overlapping = Rift::of(&[(0, 0), (0x10, 0x30), (0x20, 0x28)]);
        assert_eq!(pairs(&overlapping.invert()), [(0, 0), (0x28, 0x20), (0x30, 0x10), (0x40, 0x38)]);
        assert_eq!(Rift::default().invert(), Rift::default());
        assert_eq!(pairs(&Rift::of(&[(4, 10)]).invert()), [(0, 6)]);
    }

    #[test]
    fn a_composition_that_explodes_is_refused() {
        let many: Vec<_> = (0..2000).map(|i| (i * 4, if i % 2 == 0 { 0 } else { -1_000_000 })).collect();
        let wide: Vec<_> = (0..2000).map(|i| (i * 1_000_000, (i % 2) * 5)).collect();
        // Overlapping images of wide segments meet every source again and again.
        let sources: Vec<_> = (0..2000).map(|i| (i, i % 7)).collect();
        assert!(Rift::of(&many).then(&Rift::of(&wide)).is_ok());
        let stretched: Vec<_> = (0..2000).map(|i| (i * 4000, 0)).collect();
        assert!(Rift::of(&stretched).then(&Rift::of(&sources)).is_err());
    }

    fn any_rift() -> impl Strategy<Value = Rift> {
        prop::collection::vec((-200_i64..200, -200_i64..200), 0..12).prop_map(|pairs| Rift::of(&pairs))
    }

    proptest! {
        #[test]
        fn composition_is_pointwise(a in any_rift(), b in any_rift()) {
            let c = a.then(&b).unwrap();
            for x in -700..700 {
                prop_assert_eq!(c.map(x), b.map(a.map(x)), "at {}", x);
            }
        }

        #[test]
        fn the_inverse_leads_back_to_where_something_came_from(a in any_rift()) {
            prop_assume!(a.entries().first().map(|e| e.source) != a.entries().last().map(|e| e.source));
            let inverse = a.invert();
            for x in -700..700 {
                let y = a.map(x);
                let back = inverse.map(y);
                prop_assert_eq!(a.map(back), y, "{} -> {} -> {}", x, y, back);
                if x >= 0 {
                    prop_assert!((0..=x).contains(&back), "{} -> {} -> {}", x, y, back);
                }
            }
        }

        #[test]
        fn extreme_numbers_do_not_panic(
            a in prop::collection::vec((any::<i64>(), any::<i64>()), 0..6),
            b in prop::collection::vec((any::<i64>(), any::<i64>()), 0..6),
        ) {
            let (a, b) = (Rift::of(&a), Rift::of(&b));
            let _ = a.then(&b).unwrap().invert().map(i64::MIN);
            let _ = b.invert().then(&a).unwrap().map(i64::MAX);
        }

        #[test]
        fn swapping_monotone_maps_is_inversion(gaps in prop::collection::vec((1_i64..50, 0_i64..50), 2..10)) {
            let (mut source, mut target) = (0, 0);
            let mut pairs = vec![(0, 0)];
            for (size, gap) in gaps {
                (source, target) = (source + size, target + size + gap);
                pairs.push((source, target));
            }
            let inverse = Rift::of(&pairs).invert();
            for (source, target) in pairs {
                prop_assert_eq!(inverse.map(target), source);
            }
        }
    }
}
