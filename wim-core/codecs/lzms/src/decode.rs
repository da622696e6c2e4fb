//! The LZMS decoder: what an item is, and the careful loop that could do the whole work alone.
//!
//! Nothing but wimlib's source describes the format; `format.rs` has its numbers. The size of the output ends the
//! stream; input left over between the two streams of a chunk is no error, an overlap of the two is.

use lz_kit::DecodeError;
use lz_kit::bitstream::Backward16Reader;
use lz_kit::lz77::copy_match::copy_match;

use crate::adaptive_huffman::{
    BuildScratch, DeltaOffsetCode, Entry, LengthCode, LiteralCode, OffsetCode, PowerCode,
};
use crate::fast_loop;
use crate::format::{
    LENGTH_SLOTS, MAX_CHUNK_BYTES, MAX_CODEWORD_LEN, MAX_EXTRA_BITS, MIN_STREAM_BYTES, NUM_LENGTH_SLOTS,
    NUM_LITERALS, NUM_POWERS, NUM_REPEATS, OFFSET_SLOTS, offset_slots_of,
};
use crate::range_coder::{Decisions, RangeDecoder};
use crate::recent_sources::{DeltaSource, Recent};
use crate::x86::X86Filter;

// One refill serves a slot and its extra bits.
const _: () = assert!(MAX_CODEWORD_LEN + MAX_EXTRA_BITS <= Backward16Reader::BITS_AFTER_REFILL);

/// Bytes after which [`Decoder::decode_while`] asks whether to go on: five milliseconds of work.
const ASK_BYTES: usize = 1 << 20;

/// A decoder of LZMS chunks; it holds only scratch, so that decoding a chunk allocates nothing.
#[derive(Clone, Debug)]
pub struct Decoder {
    models: Box<Models>,
    x86: X86Filter,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Memory of one decoder in bytes, whatever the chunk size.
    pub const SCRATCH_BYTES: usize = size_of::<Models>() + X86Filter::SCRATCH_BYTES;

    /// A decoder for chunks of any size.
    #[must_use]
    pub fn new() -> Self {
        Self { models: Box::new(Models::new()), x86: X86Filter::new() }
    }

    /// Decodes one chunk; `out.len()` is its exact uncompressed size in bytes.
    ///
    /// On success all of `out` is written.
    ///
    /// # Errors
    /// [`DecodeError`] if `compressed` is no such chunk; what `out` then holds is unspecified.
    pub fn decode(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        self.decode_while(compressed, out, &|| true)
    }

    /// As [`Self::decode`]; `go_on` is asked after every megabyte or so of a chunk whether to.
    ///
    /// # Errors
    /// [`DecodeError::Stopped`] when `go_on` says no; else as [`Self::decode`].
    pub fn decode_while(
        &mut self,
        compressed: &[u8],
        out: &mut [u8],
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), DecodeError> {
        let mut streams = self.start(compressed, out)?;
        // The first item must be a literal; with it done, the fast loop has something before every item.
        let mut position = out.len().min(1);
        decode_items(&mut self.models, &mut streams, &mut out[..position], 0)?;
        while position < out.len() {
            let end = out.len().min(position.saturating_add(ASK_BYTES));
            position = fast_loop::decode_items(&mut self.models, &mut streams, out, position..end)?;
            if position < out.len() && !go_on() {
                return Err(DecodeError::Stopped);
            }
        }
        self.finish(streams, out)
    }

    /// As [`Self::decode`], by the careful loop alone: for comparing the two.
    ///
    /// # Errors
    /// The same as [`Self::decode`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_carefully(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        let mut streams = self.start(compressed, out)?;
        decode_items(&mut self.models, &mut streams, out, 0)?;
        self.finish(streams, out)
    }

    /// As [`Self::decode`], by the fast loop for any processor: for comparing it.
    ///
    /// # Errors
    /// The same as [`Self::decode`] for every input.
    #[cfg(feature = "reference")]
    pub fn decode_portably(&mut self, compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        let mut streams = self.start(compressed, out)?;
        let first = out.len().min(1);
        decode_items(&mut self.models, &mut streams, &mut out[..first], 0)?;
        let span = first..out.len();
        fast_loop::decode_items_portably(&mut self.models, &mut streams, out, span)?;
        self.finish(streams, out)
    }

    fn start<'a>(&mut self, compressed: &'a [u8], out: &[u8]) -> Result<Streams<'a>, DecodeError> {
        if out.len() > MAX_CHUNK_BYTES {
            return Err(DecodeError::OutputTooLong);
        }
        let streams = Streams::new(compressed)?;
        self.models.start(offset_slots_of(out.len()));
        Ok(streams)
    }

    fn finish(&mut self, streams: Streams<'_>, out: &mut [u8]) -> Result<(), DecodeError> {
        if streams.overlap() {
            return Err(DecodeError::Truncated);
        }
        self.x86.decode(out);
        Ok(())
    }
}

/// The two streams of a chunk: decisions from the front, symbols and extra bits from the back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams<'a> {
    data: &'a [u8],
    range: RangeDecoder,
    /// Bytes that the range decoder has taken, zeros behind the end included.
    taken: usize,
    bits: Backward16Reader<'a>,
}

impl<'a> Streams<'a> {
    fn new(data: &'a [u8]) -> Result<Self, DecodeError> {
        let Some(&[a, b, c, d]) = data.first_chunk::<MIN_STREAM_BYTES>() else {
            return Err(DecodeError::Truncated);
        };
        if !data.len().is_multiple_of(2) {
            return Err(DecodeError::Truncated);
        }
        let range = RangeDecoder::new(u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        Ok(Self { data, range, taken: MIN_STREAM_BYTES, bits: Backward16Reader::new(data) })
    }

    #[inline(always)]
    fn decide<const N: usize>(&mut self, class: &mut Decisions<N>) -> bool {
        self.range.decide(class, || {
            let unit = match self.data.get(self.taken..self.taken + 2) {
                Some(&[low, high]) => u16::from_le_bytes([low, high]),
                _ => 0,
            };
            self.taken += 2;
            unit
        })
    }

    /// The extra bits behind the codeword of `entry`, both consumed.
    #[inline(always)]
    fn take(&mut self, entry: Entry) -> u32 {
        let (len, extra) = (entry.codeword_len(), entry.extra_bits());
        // Two shifts, because all 64 bits may have to go.
        let value = (self.bits.peek() << len) >> 1 >> (63 - extra);
        self.bits.consume(len + extra);
        value as u32
    }

    /// Whether the two streams have used more bytes than there are.
    fn overlap(&self) -> bool {
        self.taken + 2 * self.bits.units_used() > self.data.len()
    }
}

/// What an item says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    /// One byte.
    Literal(u8),
    /// A copy of earlier bytes.
    Lz { offset: u32, length: u32 },
    /// Bytes whose differences to those 2^power before are what they were `raw` · 2^power bytes earlier.
    Delta { source: DeltaSource, length: u32 },
}

/// Everything that decoding learns.
#[derive(Clone, Debug)]
pub(crate) struct Models {
    main: Decisions<16>,
    kind: Decisions<32>,
    lz: Decisions<64>,
    lz_repeats: [Decisions<64>; NUM_REPEATS - 1],
    delta: Decisions<64>,
    delta_repeats: [Decisions<64>; NUM_REPEATS - 1],
    literals: LiteralCode,
    offsets: OffsetCode,
    lengths: LengthCode,
    delta_offsets: DeltaOffsetCode,
    powers: PowerCode,
    recent_lz: Recent<u32>,
    recent_delta: Recent<DeltaSource>,
    scratch: BuildScratch,
}

impl Models {
    fn new() -> Self {
        Self {
            main: Decisions::new(),
            kind: Decisions::new(),
            lz: Decisions::new(),
            lz_repeats: [Decisions::new(), Decisions::new()],
            delta: Decisions::new(),
            delta_repeats: [Decisions::new(), Decisions::new()],
            literals: LiteralCode::of_literals(),
            offsets: OffsetCode::of_offsets(),
            lengths: LengthCode::of_lengths(),
            delta_offsets: DeltaOffsetCode::of_delta_offsets(),
            powers: PowerCode::of_powers(),
            recent_lz: Recent::FIRST_LZ,
            recent_delta: Recent::FIRST_DELTA,
            scratch: BuildScratch::new(),
        }
    }

    fn start(&mut self, offset_slots: usize) {
        self.main = Decisions::new();
        self.kind = Decisions::new();
        self.lz = Decisions::new();
        self.lz_repeats = [Decisions::new(), Decisions::new()];
        self.delta = Decisions::new();
        self.delta_repeats = [Decisions::new(), Decisions::new()];
        self.literals.start(NUM_LITERALS, &mut self.scratch);
        self.offsets.start(offset_slots, &mut self.scratch);
        self.lengths.start(NUM_LENGTH_SLOTS, &mut self.scratch);
        self.delta_offsets.start(offset_slots, &mut self.scratch);
        self.powers.start(NUM_POWERS, &mut self.scratch);
        (self.recent_lz, self.recent_delta) = (Recent::FIRST_LZ, Recent::FIRST_DELTA);
    }

    /// 1 if the item before was a match of the same kind as the one whose kind was just decided, else 0.
    #[inline(always)]
    fn follows_own_kind(&self) -> u32 {
        let kinds = self.kind.last();
        (self.main.last() >> 1) & !(kinds ^ kinds >> 1) & 1
    }

    /// The next item. There always is one: bits that are missing are zeros.
    #[inline(always)]
    pub(crate) fn next_item(&mut self, streams: &mut Streams<'_>) -> Item {
        streams.bits.refill();
        if !streams.decide(&mut self.main) {
            let entry = self.literals.look_up(streams.bits.peek());
            streams.bits.consume(entry.codeword_len());
            let symbol = entry.symbol() % NUM_LITERALS;
            self.literals.note(symbol, &mut self.scratch);
            return Item::Literal(symbol as u8);
        }
        if !streams.decide(&mut self.kind) {
            let offset = if streams.decide(&mut self.lz) {
                let index = repeat_index(streams, &mut self.lz_repeats);
                let follows = self.follows_own_kind();
                self.recent_lz.repeat(index, follows)
            } else {
                let entry = self.offsets.look_up(streams.bits.peek());
                let offset = OFFSET_SLOTS.bases[entry.symbol()].wrapping_add(streams.take(entry));
                self.offsets.note(entry.symbol(), &mut self.scratch);
                self.recent_lz.push(offset);
                streams.bits.refill();
                offset
            };
            return Item::Lz { offset, length: self.length(streams) };
        }
        let source;
        (source, *streams) = self.delta_source(*streams);
        streams.bits.refill();
        Item::Delta { source, length: self.length(streams) }
    }

    /// The length of a match; the bits must be refilled.
    #[inline(always)]
    fn length(&mut self, streams: &mut Streams<'_>) -> u32 {
        let entry = self.lengths.look_up(streams.bits.peek());
        let length = LENGTH_SLOTS.bases[entry.symbol()] + streams.take(entry);
        self.lengths.note(entry.symbol(), &mut self.scratch);
        length
    }

    /// The source of a delta match. The streams go by value, so that they need not have an address in the loop.
    #[inline(never)]
    fn delta_source<'a>(&mut self, mut streams: Streams<'a>) -> (DeltaSource, Streams<'a>) {
        if streams.decide(&mut self.delta) {
            let index = repeat_index(&mut streams, &mut self.delta_repeats);
            let follows = self.follows_own_kind();
            return (self.recent_delta.repeat(index, follows), streams);
        }
        let power = self.powers.look_up(streams.bits.peek());
        streams.bits.consume(power.codeword_len());
        self.powers.note(power.symbol(), &mut self.scratch);
        streams.bits.refill();
        let entry = self.delta_offsets.look_up(streams.bits.peek());
        let raw = OFFSET_SLOTS.bases[entry.symbol()].wrapping_add(streams.take(entry));
        self.delta_offsets.note(entry.symbol(), &mut self.scratch);
        let source = DeltaSource { power: power.symbol() as u32, raw };
        self.recent_delta.push(source);
        (source, streams)
    }
}

/// Which of the recent sources is repeated.
#[inline(always)]
fn repeat_index(streams: &mut Streams<'_>, classes: &mut [Decisions<64>; NUM_REPEATS - 1]) -> u32 {
    if !streams.decide(&mut classes[0]) {
        return 0;
    }
    1 + u32::from(streams.decide(&mut classes[1]))
}

/// Decodes from `position` to the end of `out`, checking every step.
fn decode_items(
    models: &mut Models,
    streams: &mut Streams<'_>,
    out: &mut [u8],
    mut position: usize,
) -> Result<(), DecodeError> {
    while position < out.len() {
        position = match models.next_item(streams) {
            Item::Literal(byte) => {
                out[position] = byte;
                position + 1
            }
            Item::Lz { offset, length } => {
                let (offset, length) = (offset as usize, length as usize);
                if offset > position {
                    return Err(DecodeError::BadOffset);
                }
                if length > out.len() - position {
                    return Err(DecodeError::BadLength);
                }
                copy_match(out, position, offset, length);
                position + length
            }
            Item::Delta { source, length } => copy_delta(out, position, source, length)?,
        }
    }
    Ok(())
}

/// Writes a delta match at `position`; returns the position behind it.
#[inline(never)]
pub(crate) fn copy_delta(
    out: &mut [u8],
    position: usize,
    source: DeltaSource,
    length: u32,
) -> Result<usize, DecodeError> {
    let (span, offset) = source.within(position)?;
    let length = length as usize;
    if length > out.len() - position {
        return Err(DecodeError::BadLength);
    }
    let all = &mut out[position - offset - span..position + length];
    for i in offset + span..all.len() {
        let earlier = all[i - offset].wrapping_sub(all[i - offset - span]);
        all[i] = all[i - span].wrapping_add(earlier);
    }
    Ok(position + length)
}
