//! The patch stream of a delta: LZ77 with Huffman codes over a window that begins with the reference.
//!
//! Known as "pseudo-LZX": main, length and aligned-offset codes like LZX's, sent once or for several segments of the
//! output, and distances that a rift table corrects. Places count from the start of the reference, so the output begins
//! at its length. It does not know where reference and rift come from.

use super::bits::BitReader;
use super::huffman::{Code, default_lengths};
use super::rift::{Entry, Rift};
use crate::base::{Error, Result};

const MAIN_SYMBOLS: usize = 600;
const LENGTH_SYMBOLS: usize = 256;
const ALIGNED_SYMBOLS: usize = 16;
const ALL_SYMBOLS: usize = MAIN_SYMBOLS + LENGTH_SYMBOLS + ALIGNED_SYMBOLS;
const PRECODE_SYMBOLS: usize = 39;
const MAX_SEGMENTS: u64 = 1024;
/// Output that is asked for at once, whatever the header says, so that memory follows what the stream really holds.
const FIRST_ALLOCATION: usize = 1 << 20;

/// Decodes `stream`, which must give exactly `target_size` bytes; `base` is its offset in the delta.
///
/// `caller_rift` is what the PE stage adds to the stream's own table; its sources are places of the window.
///
/// # Errors
/// `Format` when the stream breaks its rules or holds less or more than it should.
pub(super) fn decode(
    stream: &[u8],
    base: u64,
    reference: &[u8],
    caller_rift: &Rift,
    target_size: usize,
) -> Result<Vec<u8>> {
    let mut bits = BitReader::new("patch stream", stream, base)?;
    let own_rift = Rift::read(&mut bits)?;
    let segments = Segments::read(&mut bits)?;
    let mut decoder = Decoder {
        rift: Breaks::new(&own_rift, caller_rift, reference.len()),
        recent: [0; 3],
        out: Window { reference, out: Vec::new(), target_size },
        bits,
    };
    decoder.run(&segments)?;
    decoder.bits.finish("end of the stream")?;
    Ok(decoder.out.out)
}

/// Whether a stream has a rift table of its own; raw files and most others do without.
pub(super) fn has_rift(stream: &[u8]) -> bool {
    BitReader::new("patch stream", stream, 0).and_then(|mut bits| bits.bit("rift")).unwrap_or(false)
}

/// The three codes of a segment.
struct Codes {
    main: Code,
    length: Code,
    aligned: Code,
}

impl Codes {
    fn new(lengths: &[u8; ALL_SYMBOLS], bits: &BitReader<'_>) -> Result<Self> {
        let (main, rest) = lengths.split_at(MAIN_SYMBOLS);
        let (length, aligned) = rest.split_at(LENGTH_SYMBOLS);
        match (Code::new(main), Code::new(length), Code::new(aligned)) {
            (Some(main), Some(length), Some(aligned)) => Ok(Self { main, length, aligned }),
            _ => Err(bits.error("codeword lengths", "they make no code")),
        }
    }
}

/// Where codes begin to hold, and their lengths.
struct Segments(Vec<(u64, [u8; ALL_SYMBOLS])>);

impl Segments {
    fn read(bits: &mut BitReader<'_>) -> Result<Self> {
        if bits.bit("default codes")? {
            let mut lengths = [0; ALL_SYMBOLS];
            let defaults = default_lengths::<MAIN_SYMBOLS>()
                .into_iter()
                .chain(default_lengths::<LENGTH_SYMBOLS>())
                .chain(default_lengths::<ALIGNED_SYMBOLS>());
            lengths.iter_mut().zip(defaults).for_each(|(length, default)| *length = default);
            return Ok(Self(vec![(0, lengths)]));
        }
        let count = bits.size("number of segments")?;
        if !(1..=MAX_SEGMENTS).contains(&count) {
            return Err(
                bits.error("number of segments", format!("{count} is not within 1 to {MAX_SEGMENTS}"))
            );
        }
        let mut starts = Vec::new();
        let mut start = 0_u64;
        for _ in 0..count {
            let step = bits.size("start of a segment")?;
            start = start.checked_add(step).ok_or_else(|| bits.error("start of a segment", "too large"))?;
            starts.push(start);
        }
        let mut precode = [0; PRECODE_SYMBOLS];
        for length in &mut precode {
            *length = bits.take8("precode", 4)?;
        }
        let precode = Code::new(&precode).ok_or_else(|| bits.error("precode", "its lengths make no code"))?;
        let mut previous = [0; ALL_SYMBOLS];
        let mut segments = Vec::new();
        for start in starts {
            previous = read_lengths(bits, &precode, &previous)?;
            segments.push((start, previous));
        }
        Ok(Self(segments))
    }
}

/// The codeword lengths of a segment, told as differences to those of the segment before.
fn read_lengths(
    bits: &mut BitReader<'_>,
    precode: &Code,
    previous: &[u8; ALL_SYMBOLS],
) -> Result<[u8; ALL_SYMBOLS]> {
    const FIELD: &str = "codeword lengths";
    let mut lengths = [0; ALL_SYMBOLS];
    let mut slots = lengths.iter_mut().zip(previous);
    let mut last = None;
    while slots.len() > 0 {
        let symbol = precode.read(bits, FIELD)?;
        if symbol >= 23 {
            let k = u32::from((symbol - 23) & 7);
            let run = if k < 3 { k + 1 } else { 1 << (k - 1) | bits.take32(FIELD, k - 1)? };
            if run as usize > slots.len() {
                return Err(bits.error(FIELD, "a run beyond the last symbol"));
            }
            for (slot, &before) in slots.by_ref().take(run as usize) {
                *slot = match (symbol < 31, last) {
                    (true, Some(last)) => last,
                    (true, None) => return Err(bits.error(FIELD, "a repetition of nothing")),
                    (false, _) => before,
                };
                last = Some(*slot);
            }
            continue;
        }
        let Some((slot, &before)) = slots.next() else { break };
        let length = match symbol {
            0..=16 => u8::try_from(symbol).ok(),
            17..=19 => u8::try_from(symbol - 16).ok().and_then(|more| before.checked_add(more)),
            _ => u8::try_from(symbol - 19).ok().and_then(|less| before.checked_sub(less)),
        };
        let length = length.filter(|&length| length <= 16);
        *slot = length.ok_or_else(|| bits.error(FIELD, "a length outside 0 to 16"))?;
        last = Some(*slot);
    }
    Ok(lengths)
}

/// The final rift table with a cursor, since places only grow.
struct Breaks {
    entries: Vec<Entry>,
    /// Number of entries whose source is not above the place last asked for.
    passed: usize,
}

impl Breaks {
    fn new(own: &Rift, caller: &Rift, reference_size: usize) -> Self {
        let whole = Entry { source: reference_size as i64, target: 0 };
        let entries = own.entries().iter().chain(caller.entries()).copied().chain([whole]).collect();
        Self { entries: Rift::new(entries).into_entries(), passed: 0 }
    }

    /// The offset at `place`, and the next place where it changes.
    fn at(&mut self, place: i64) -> (i64, i64) {
        while self.entries.get(self.passed).is_some_and(|entry| entry.source <= place) {
            self.passed += 1;
        }
        let current =
            self.passed.checked_sub(1).map_or(self.entries.last(), |current| self.entries.get(current));
        let next = self.entries.get(self.passed).map_or(i64::MAX, |entry| entry.source);
        (current.map_or(0, |entry| entry.offset()), next)
    }
}

/// Reference and output, one behind the other.
struct Window<'a> {
    reference: &'a [u8],
    out: Vec<u8>,
    target_size: usize,
}

impl Window<'_> {
    /// The place of the next byte.
    fn place(&self) -> i64 {
        (self.reference.len() + self.out.len()) as i64
    }

    fn room(&self) -> usize {
        self.target_size - self.out.len()
    }

    /// Room for `more` bytes, growing with what was decoded.
    fn reserve(&mut self, more: usize) -> Result<()> {
        let needed = self.out.len() + more;
        if needed > self.out.capacity() {
            let wanted = needed.max(2 * self.out.capacity()).max(FIRST_ALLOCATION).min(self.target_size);
            self.out.try_reserve_exact(wanted.max(needed) - self.out.len()).map_err(|e| {
                Error::limit(format!("no memory for a target of {} bytes", self.target_size))
                    .with_source(e)
                    .remedy("close other programs or use a machine with more memory")
            })?;
        }
        Ok(())
    }

    /// Appends `length` bytes from `distance` before the end; false when they begin outside the window.
    fn copy(&mut self, distance: i64, length: usize) -> Result<bool> {
        let place = self.place();
        let source = place.wrapping_sub(distance);
        let Some(mut source) = usize::try_from(source).ok().filter(|_| source < place) else {
            return Ok(false);
        };
        self.reserve(length)?;
        let mut left = length;
        if let Some(part) = self.reference.get(source..) {
            let part = part.get(..left).unwrap_or(part);
            self.out.extend_from_slice(part);
            left -= part.len();
            source += part.len();
        }
        let from = source.saturating_sub(self.reference.len());
        while left > 0 {
            // A match that overlaps itself doubles what it can copy at each turn.
            let part = left.min(self.out.len() - from);
            self.out.extend_from_within(from..from + part);
            left -= part;
        }
        Ok(true)
    }
}

struct Decoder<'a> {
    bits: BitReader<'a>,
    rift: Breaks,
    recent: [i64; 3],
    out: Window<'a>,
}

impl Decoder<'_> {
    fn run(&mut self, segments: &Segments) -> Result<()> {
        let mut next = 1;
        let mut codes = match segments.0.first() {
            Some((_, lengths)) => Codes::new(lengths, &self.bits)?,
            None => return Ok(()),
        };
        while self.out.room() > 0 {
            let place = self.out.place().cast_unsigned();
            let passed =
                segments.0.get(next..).unwrap_or(&[]).iter().take_while(|(start, _)| *start <= place);
            let passed = passed.count();
            if passed > 0 {
                next += passed;
                if let Some((_, lengths)) = segments.0.get(next - 1) {
                    codes = Codes::new(lengths, &self.bits)?;
                }
            }
            let end = segments.0.get(next).map_or(u64::MAX, |(start, _)| *start);
            self.run_segment(&codes, i64::try_from(end).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }

    /// Items until the window reaches `end` or the target is complete.
    fn run_segment(&mut self, codes: &Codes, end: i64) -> Result<()> {
        while self.out.room() > 0 && self.out.place() < end {
            let symbol = codes.main.read(&mut self.bits, "main symbol")?;
            match u8::try_from(symbol) {
                Ok(literal) => {
                    self.out.reserve(1)?;
                    self.out.out.push(literal);
                }
                Err(_) => self.match_item(u32::from(symbol - 256), codes)?,
            }
        }
        Ok(())
    }

    /// A match: its distance comes first, then its length; the last one of a stream may be longer than the target.
    fn match_item(&mut self, item: u32, codes: &Codes) -> Result<()> {
        let place = self.out.place();
        let slot = item >> 3;
        let (offset, _) = self.rift.at(place);
        let distance = match slot {
            0..=2 => self.near_copy(slot)?.wrapping_sub(offset),
            3 => 0_i64.wrapping_sub(offset),
            4 => self.recent[0],
            5 => self.recent[1],
            6 => self.recent[2],
            _ => self.distance(slot, codes)?,
        };
        let length = match item & 7 {
            0 => match codes.length.read(&mut self.bits, "length symbol")? {
                0 => self.bits.long_number("match length")? + 8,
                symbol => u64::from(symbol) + 8,
            },
            short => u64::from(short) + 1,
        };
        self.remember(distance);
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.out.room());
        let copied =
            if slot == 3 { self.copy_in_pieces(length)? } else { self.out.copy(distance, length)? };
        if copied {
            return Ok(());
        }
        let message = format!("{distance} from output byte {} leads outside the window", self.out.out.len());
        Err(self.bits.error("match distance", message))
    }

    /// Slots 0 to 2: a signed number, to be corrected by the rift.
    fn near_copy(&mut self, slot: u32) -> Result<i64> {
        let field = "distance from the rift";
        let value = i64::from(self.bits.take32(field, 14 + 2 * slot)?);
        Ok(match slot {
            0 => value - 0x2000,
            1 if value < 0x8000 => value - 0xA000,
            1 => value - 0x6000,
            _ if value < 0x2_0000 => value - 0x2_A000,
            _ => value - 0x1_6000,
        })
    }

    /// Slots from 7: a distance without correction.
    fn distance(&mut self, slot: u32, codes: &Codes) -> Result<i64> {
        const FIELD: &str = "match distance";
        let x = match slot {
            7 if !self.bits.bit(FIELD)? => 0x24 + self.bits.take32(FIELD, 2)?,
            7 if !self.bits.bit(FIELD)? => 0x28 + self.bits.take32(FIELD, 3)?,
            7 => 0x30 + self.bits.take32(FIELD, 4)?,
            _ => slot - 7,
        };
        if x <= 3 {
            return Ok(i64::from(x));
        }
        let (mantissa, extra) = (i64::from(x & 1) + 2, (x >> 1) - 1);
        if extra < 4 {
            return Ok(mantissa << extra | i64::from(self.bits.take32(FIELD, extra)?));
        }
        let high = mantissa << (extra - 4) | i64::from(self.bits.take32(FIELD, extra - 4)?);
        Ok(high << 4 | i64::from(codes.aligned.read(&mut self.bits, "aligned offset symbol")?))
    }

    /// Slot 3: each piece between breaks of the rift comes from its own place.
    fn copy_in_pieces(&mut self, length: usize) -> Result<bool> {
        let mut left = length;
        while left > 0 {
            let place = self.out.place();
            let (offset, next) = self.rift.at(place);
            let piece = usize::try_from(next - place).unwrap_or(usize::MAX).min(left);
            if !self.out.copy(0_i64.wrapping_sub(offset), piece)? {
                return Ok(false);
            }
            left -= piece;
        }
        Ok(true)
    }

    fn remember(&mut self, distance: i64) {
        let [first, second, _] = self.recent;
        if distance != first {
            self.recent[0] = distance;
            self.recent[1] = first;
            if second != distance {
                self.recent[2] = second;
            }
        }
    }
}
