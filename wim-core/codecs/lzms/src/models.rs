//! What the encoder has learnt, and how an item is written with it.
//!
//! The decoder's half of the same models is in `decode.rs`; both must change in step with every item. Which items are best
//! is decided in `parse.rs`.

use lz_kit::bitstream::Backward16Writer;

use crate::adaptive_huffman::{BuildScratch, EncodeCode};
use crate::format::{
    DELTA_OFFSET_PERIOD, LENGTH_PERIOD, LENGTH_SLOTS, LITERAL_PERIOD, NUM_LENGTH_SLOTS, NUM_LITERALS,
    NUM_OFFSET_SLOTS, NUM_POWERS, OFFSET_PERIOD, OFFSET_SLOTS, POWER_PERIOD,
};
use crate::range_coder::{Decisions, RangeEncoder};
use crate::recent_sources::{DeltaSource, Recent};

/// Where a match comes from, as the stream says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An offset in bytes, in its slot.
    Lz(u32),
    /// A recent LZ offset.
    LzRepeat(u32),
    /// A delta.
    Delta(DeltaSource),
    /// A recent delta.
    DeltaRepeat(u32),
}

/// What decides how the next item is coded: the last decisions of each class, and the recent sources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    pub(crate) main: u8,
    pub(crate) kind: u8,
    pub(crate) lz: u8,
    pub(crate) lz_repeats: [u8; 2],
    pub(crate) delta: u8,
    pub(crate) delta_repeats: [u8; 2],
    recent_lz: Recent<u32>,
    recent_delta: Recent<DeltaSource>,
}

impl History {
    pub(crate) const FIRST: Self = Self {
        main: 0,
        kind: 0,
        lz: 0,
        lz_repeats: [0; 2],
        delta: 0,
        delta_repeats: [0; 2],
        recent_lz: Recent::FIRST_LZ,
        recent_delta: Recent::FIRST_DELTA,
    };

    #[inline(always)]
    fn follows_lz(&self) -> u32 {
        u32::from(self.main & !self.kind & 1)
    }

    #[inline(always)]
    fn follows_delta(&self) -> u32 {
        u32::from(self.main & self.kind & 1)
    }

    /// The offset of a repeated LZ match.
    #[inline(always)]
    pub(crate) fn lz_offset(&self, index: u32) -> usize {
        self.recent_lz.get(index, self.follows_lz()) as usize
    }

    /// The source of a repeated delta match.
    #[inline(always)]
    pub(crate) fn delta_source(&self, index: u32) -> DeltaSource {
        self.recent_delta.get(index, self.follows_delta())
    }

    #[inline(always)]
    pub(crate) fn add_literal(&mut self) {
        self.main <<= 1;
    }

    #[inline(always)]
    pub(crate) fn add_match(&mut self, source: Source) {
        let (follows_lz, follows_delta) = (self.follows_lz(), self.follows_delta());
        self.main = self.main << 1 | 1;
        match source {
            Source::Lz(offset) => {
                self.kind <<= 1;
                self.lz <<= 1;
                self.recent_lz.push(offset);
            }
            Source::LzRepeat(index) => {
                self.kind <<= 1;
                self.lz = self.lz << 1 | 1;
                note_index(&mut self.lz_repeats, index);
                self.recent_lz.repeat(index, follows_lz);
            }
            Source::Delta(source) => {
                self.kind = self.kind << 1 | 1;
                self.delta <<= 1;
                self.recent_delta.push(source);
            }
            Source::DeltaRepeat(index) => {
                self.kind = self.kind << 1 | 1;
                self.delta = self.delta << 1 | 1;
                note_index(&mut self.delta_repeats, index);
                self.recent_delta.repeat(index, follows_delta);
            }
        }
    }
}

#[inline(always)]
fn note_index(last: &mut [u8; 2], index: u32) {
    last[0] = last[0] << 1 | u8::from(index > 0);
    if index > 0 {
        last[1] = last[1] << 1 | u8::from(index > 1);
    }
}

/// The classes of decisions.
#[derive(Clone, Debug)]
pub(crate) struct DecisionModels {
    pub(crate) main: Decisions<16>,
    pub(crate) kind: Decisions<32>,
    pub(crate) lz: Decisions<64>,
    pub(crate) lz_repeats: [Decisions<64>; 2],
    pub(crate) delta: Decisions<64>,
    pub(crate) delta_repeats: [Decisions<64>; 2],
}

impl DecisionModels {
    pub(crate) fn new() -> Self {
        Self {
            main: Decisions::new(),
            kind: Decisions::new(),
            lz: Decisions::new(),
            lz_repeats: [Decisions::new(), Decisions::new()],
            delta: Decisions::new(),
            delta_repeats: [Decisions::new(), Decisions::new()],
        }
    }
}

/// The Huffman codes.
#[derive(Clone, Debug)]
pub(crate) struct EncodeCodes {
    pub(crate) literals: EncodeCode<NUM_LITERALS>,
    pub(crate) offsets: EncodeCode<NUM_OFFSET_SLOTS>,
    pub(crate) lengths: EncodeCode<NUM_LENGTH_SLOTS>,
    pub(crate) delta_offsets: EncodeCode<NUM_OFFSET_SLOTS>,
    pub(crate) powers: EncodeCode<NUM_POWERS>,
    scratch: BuildScratch,
}

impl EncodeCodes {
    fn new() -> Self {
        Self {
            literals: EncodeCode::new(LITERAL_PERIOD),
            offsets: EncodeCode::new(OFFSET_PERIOD),
            lengths: EncodeCode::new(LENGTH_PERIOD),
            delta_offsets: EncodeCode::new(DELTA_OFFSET_PERIOD),
            powers: EncodeCode::new(POWER_PERIOD),
            scratch: BuildScratch::new(),
        }
    }

    fn start(&mut self, offset_slots: usize) {
        self.literals.start(NUM_LITERALS, &mut self.scratch);
        self.offsets.start(offset_slots, &mut self.scratch);
        self.lengths.start(NUM_LENGTH_SLOTS, &mut self.scratch);
        self.delta_offsets.start(offset_slots, &mut self.scratch);
        self.powers.start(NUM_POWERS, &mut self.scratch);
    }
}

/// Writes items to the two streams of a chunk.
#[derive(Debug)]
pub(crate) struct ItemWriter {
    pub(crate) decisions: DecisionModels,
    pub(crate) codes: EncodeCodes,
    pub(crate) history: History,
    range: RangeEncoder,
    bits: Backward16Writer,
}

impl ItemWriter {
    pub(crate) fn new() -> Self {
        Self {
            decisions: DecisionModels::new(),
            codes: EncodeCodes::new(),
            history: History::FIRST,
            range: RangeEncoder::new(),
            bits: Backward16Writer::new(),
        }
    }

    /// Begins a chunk whose offset codes have so many symbols.
    pub(crate) fn start(&mut self, offset_slots: usize) {
        self.decisions = DecisionModels::new();
        self.codes.start(offset_slots);
        self.history = History::FIRST;
        self.range.clear();
        self.bits.clear();
    }

    pub(crate) fn literal(&mut self, byte: u8) {
        self.range.decide(&mut self.decisions.main, false);
        let (codeword, len) = self.codes.literals.take(usize::from(byte), &mut self.codes.scratch);
        self.bits.put(codeword, len);
        self.history.add_literal();
    }

    pub(crate) fn copy(&mut self, source: Source, length: usize) {
        let models = &mut self.decisions;
        let is_delta = matches!(source, Source::Delta(_) | Source::DeltaRepeat(_));
        self.range.decide(&mut models.main, true);
        self.range.decide(&mut models.kind, is_delta);
        let (class, indexes) = if is_delta {
            (&mut models.delta, &mut models.delta_repeats)
        } else {
            (&mut models.lz, &mut models.lz_repeats)
        };
        match source {
            Source::LzRepeat(index) | Source::DeltaRepeat(index) => {
                self.range.decide(class, true);
                self.range.decide(&mut indexes[0], index > 0);
                if index > 0 {
                    self.range.decide(&mut indexes[1], index > 1);
                }
            }
            Source::Lz(offset) => {
                self.range.decide(class, false);
                let slot = OFFSET_SLOTS.slot_of(offset);
                let codeword = self.codes.offsets.take(slot, &mut self.codes.scratch);
                self.put_slot(codeword, offset - OFFSET_SLOTS.bases[slot], OFFSET_SLOTS.extra_bits[slot]);
            }
            Source::Delta(DeltaSource { power, raw }) => {
                self.range.decide(class, false);
                let codeword = self.codes.powers.take(power as usize, &mut self.codes.scratch);
                self.put_slot(codeword, 0, 0);
                let slot = OFFSET_SLOTS.slot_of(raw);
                let codeword = self.codes.delta_offsets.take(slot, &mut self.codes.scratch);
                self.put_slot(codeword, raw - OFFSET_SLOTS.bases[slot], OFFSET_SLOTS.extra_bits[slot]);
            }
        }
        let length = length as u32;
        let slot = LENGTH_SLOTS.slot_of(length);
        let codeword = self.codes.lengths.take(slot, &mut self.codes.scratch);
        self.put_slot(codeword, length - LENGTH_SLOTS.bases[slot], LENGTH_SLOTS.extra_bits[slot]);
        self.history.add_match(source);
    }

    fn put_slot(&mut self, (codeword, len): (u32, u32), extra: u32, extra_bits: u8) {
        self.bits.put(codeword, len);
        self.bits.put(extra, u32::from(extra_bits));
    }

    /// Bytes written so far, at least.
    pub(crate) fn bytes(&self) -> usize {
        self.range.bytes() + self.bits.bytes()
    }

    /// Ends the chunk; the bytes that [`finish`](Self::finish) will write. Nothing can be added afterwards.
    pub(crate) fn size(&mut self) -> usize {
        2 * self.range.finish().len() + self.bits.bytes()
    }

    /// Ends the chunk and puts it together in `out`; its size, or none when `out` is too short.
    pub(crate) fn finish(&mut self, out: &mut [u8]) -> Option<usize> {
        let units = self.range.finish();
        let (front, back) = (2 * units.len(), self.bits.bytes());
        let out = out.get_mut(..front + back)?;
        let (first, last) = out.split_at_mut(front);
        for (slot, unit) in first.as_chunks_mut::<2>().0.iter_mut().zip(units) {
            *slot = unit.to_le_bytes();
        }
        self.bits.finish(last);
        Some(front + back)
    }
}
