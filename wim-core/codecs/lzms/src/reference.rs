//! The shortest correct LZMS decoder: the oracle of tests, fuzzing and benches.
//!
//! It follows the description of the format word by word (queues with delayed insertion, Huffman trees made of nodes, one
//! bit at a time) and shares nothing with the decoder but the constants. It is slow, and does not care.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use lz_kit::DecodeError;

use crate::format::{
    LENGTH_SLOTS, MAX_CHUNK_BYTES, NUM_LENGTH_SLOTS, NUM_LITERALS, NUM_POWERS, OFFSET_SLOTS, offset_slots_of,
};

/// The units of the chunk, and how far the two streams got.
struct Input {
    units: Vec<u16>,
    from_front: usize,
    bits_from_back: usize,
    range: u32,
    code: u32,
}

impl Input {
    fn front(&mut self) -> u32 {
        self.from_front += 1;
        self.units.get(self.from_front - 1).copied().unwrap_or(0).into()
    }

    fn bit(&mut self) -> u32 {
        let unit = self.units.len().checked_sub(self.bits_from_back / 16 + 1).map_or(0, |i| self.units[i]);
        let bit = unit >> (15 - self.bits_from_back % 16) & 1;
        self.bits_from_back += 1;
        bit.into()
    }

    fn bits(&mut self, count: u8) -> u32 {
        (0..count).fold(0, |value, _| value << 1 | self.bit())
    }
}

/// A class of decisions: the last ones, and per combination of them the last 64 made there.
struct Class {
    last: usize,
    histories: Vec<u64>,
}

impl Class {
    fn new(bits: u32) -> Self {
        Self { last: 0, histories: vec![0x5555_5555; 1 << bits] }
    }

    fn decide(&mut self, input: &mut Input) -> bool {
        if input.range < 0x10000 {
            input.range <<= 16;
            input.code = input.code << 16 | input.front();
        }
        let history = &mut self.histories[self.last];
        let bound = (input.range >> 6) * history.count_zeros().clamp(1, 63);
        let is_one = input.code >= bound;
        if is_one {
            input.range -= bound;
            input.code -= bound;
        } else {
            input.range = bound;
        }
        *history = *history << 1 | u64::from(is_one);
        self.last = (self.last << 1 | usize::from(is_one)) % self.histories.len();
        is_one
    }
}

/// An adaptive code.
struct Code {
    counts: Vec<u32>,
    period: u32,
    left: u32,
    /// (length, codeword, symbol) in the order of codewords.
    codewords: Vec<(u32, u32, usize)>,
}

impl Code {
    fn new(symbols: usize, period: u32) -> Self {
        let mut this = Self { counts: vec![1; symbols], period, left: period, codewords: Vec::new() };
        this.build();
        this
    }

    fn build(&mut self) {
        // Nodes by (weight, leaves first, age); each holds the symbols below it.
        let leaves = self.counts.iter().enumerate().map(|(s, &count)| Reverse((count, false, s, vec![s])));
        let mut nodes: BinaryHeap<_> = leaves.collect();
        let mut depths = vec![0u32; self.counts.len()];
        for age in 0.. {
            let (Some(Reverse(a)), Some(Reverse(b))) = (nodes.pop(), nodes.pop()) else { break };
            let below = [a.3, b.3].concat();
            below.iter().for_each(|&s| depths[s] += 1);
            nodes.push(Reverse((a.0 + b.0, true, age, below)));
        }
        depths.sort_unstable_by(|a, b| b.cmp(a));
        let mut by_count: Vec<usize> = (0..self.counts.len()).collect();
        by_count.sort_by_key(|&s| self.counts[s]);
        let mut lengths: Vec<_> = depths.into_iter().zip(by_count).collect();
        lengths.sort_unstable();
        let (mut next, mut previous) = (0, 0);
        self.codewords.clear();
        for (length, symbol) in lengths {
            next <<= length - previous;
            self.codewords.push((length, next, symbol));
            (next, previous) = (next + 1, length);
        }
    }

    fn read(&mut self, input: &mut Input) -> usize {
        let (mut length, mut bits) = (0, 0);
        for &(wanted, codeword, symbol) in &self.codewords {
            while length < wanted {
                bits = bits << 1 | input.bit();
                length += 1;
            }
            if bits == codeword {
                self.counts[symbol] += 1;
                self.left -= 1;
                if self.left == 0 {
                    self.build();
                    self.counts.iter_mut().for_each(|count| *count = (*count >> 1) + 1);
                    self.left = self.period;
                }
                return symbol;
            }
        }
        unreachable!("the code is complete")
    }
}

/// A match: power and raw offset of a delta match, or the offset alone.
type Source = (Option<usize>, u32);

/// Recent sources of one kind, and one that enters only after the item behind it.
struct Queue {
    sources: VecDeque<Source>,
    delayed: Option<Source>,
    class: Class,
    indexes: [Class; 2],
}

impl Queue {
    fn new(power: Option<usize>) -> Self {
        let sources = (1..=4).map(|raw| (power, raw)).collect();
        Self { sources, delayed: None, class: Class::new(6), indexes: [Class::new(6), Class::new(6)] }
    }

    /// The repeated source, removed from the queue; none if it is explicit.
    fn repeat(&mut self, input: &mut Input) -> Option<Source> {
        if !self.class.decide(input) {
            return None;
        }
        let mut index = 0;
        while index < 2 && self.indexes[index].decide(input) {
            index += 1;
        }
        self.sources.remove(index)
    }

    /// Ends an item, whose source is given if it was of this kind.
    fn end_item(&mut self, source: Option<Source>) {
        if let Some(source) = self.delayed.take() {
            self.sources.push_front(source);
            self.sources.truncate(4);
        }
        self.delayed = source;
    }
}

/// Decodes one chunk, as [`crate::Decoder::decode`] does.
///
/// # Errors
/// The same for every input.
pub fn decode(compressed: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
    if out.len() > MAX_CHUNK_BYTES {
        return Err(DecodeError::OutputTooLong);
    }
    if compressed.len() < 4 || !compressed.len().is_multiple_of(2) {
        return Err(DecodeError::Truncated);
    }
    let units = compressed.chunks(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])).collect();
    let mut input = Input { units, from_front: 0, bits_from_back: 0, range: u32::MAX, code: 0 };
    input.code = input.front() << 16 | input.front();
    let slots = offset_slots_of(out.len());
    let (mut main, mut kind) = (Class::new(4), Class::new(5));
    let (mut lz, mut delta) = (Queue::new(None), Queue::new(Some(0)));
    let (mut literals, mut lengths) = (Code::new(NUM_LITERALS, 1024), Code::new(NUM_LENGTH_SLOTS, 512));
    let (mut offsets, mut raw_offsets) = (Code::new(slots, 1024), Code::new(slots, 1024));
    let mut powers = Code::new(NUM_POWERS, 512);
    let mut position = 0;
    while position < out.len() {
        if !main.decide(&mut input) {
            out[position] = literals.read(&mut input) as u8;
            position += 1;
            lz.end_item(None);
            delta.end_item(None);
            continue;
        }
        let is_delta = kind.decide(&mut input);
        let (queue, code) = if is_delta { (&mut delta, &mut raw_offsets) } else { (&mut lz, &mut offsets) };
        let source = queue.repeat(&mut input).unwrap_or_else(|| {
            let power = is_delta.then(|| powers.read(&mut input));
            let slot = code.read(&mut input);
            (power, OFFSET_SLOTS.bases[slot].wrapping_add(input.bits(OFFSET_SLOTS.extra_bits[slot])))
        });
        let slot = lengths.read(&mut input);
        let length = (LENGTH_SLOTS.bases[slot] + input.bits(LENGTH_SLOTS.extra_bits[slot])) as usize;
        lz.end_item((!is_delta).then_some(source));
        delta.end_item(is_delta.then_some(source));
        let power = source.0.unwrap_or(0);
        let (offset, span) = (u64::from(source.1) << power, if is_delta { 1u64 << power } else { 0 });
        if offset + span > position as u64 {
            return Err(DecodeError::BadOffset);
        }
        if length > out.len() - position {
            return Err(DecodeError::BadLength);
        }
        let (offset, span) = (offset as usize, span as usize);
        for at in position..position + length {
            out[at] = if is_delta {
                out[at - span].wrapping_add(out[at - offset]).wrapping_sub(out[at - offset - span])
            } else {
                out[at - offset]
            };
        }
        position += length;
    }
    if input.from_front + input.bits_from_back.div_ceil(16) > input.units.len() {
        return Err(DecodeError::Truncated);
    }
    undo_x86(out);
    Ok(())
}

/// Makes the operands of x86 instructions relative again.
pub(crate) fn undo_x86(out: &mut [u8]) {
    let n = out.len() as i64;
    let mut last_operand = vec![-65536; 65536];
    let (mut last_code, mut i) = (-1024, 1);
    while n > 17 && i < n - 16 {
        let at = i as usize;
        let (operand, reach) = match out[at..at + 3] {
            [0xE8, ..] => (1, 511),
            [0xE9, ..] => {
                i += 5;
                continue;
            }
            [0xFF, 0x15, _] => (2, 1023),
            [0xF0, 0x83, 0x05] => (3, 1023),
            [0x48 | 0x4C, 0x8D, modrm] if modrm & 7 == 5 => (3, 1023),
            [0x48, 0x8B, 0x05 | 0x0D] => (3, 1023),
            _ => {
                i += 1;
                continue;
            }
        };
        let place = at + operand..at + operand + 4;
        let mut value = u32::from_le_bytes(out[place.clone()].try_into().expect("four bytes"));
        if i - last_code <= reach {
            value = value.wrapping_sub(at as u32);
            out[place].copy_from_slice(&value.to_le_bytes());
        }
        let target = &mut last_operand[(at as u32).wrapping_add(value) as usize % 65536];
        let end = i + operand as i64 + 3;
        if end - *target <= 65535 {
            last_code = end;
        }
        *target = end;
        i = end + 1;
    }
}
