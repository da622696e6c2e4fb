//! A small writer of PA30 deltas, for tests and benches that need deltas of their own.
//!
//! Greedy matches with one candidate per place, standard or sent codes, rifts with one code for all integers: enough to reach
//! every part of the decoder, far from what a real encoder saves.

use wim_core::base::Digest;

/// What a delta says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// 1 raw, 2 i386, 8 amd64.
    pub(crate) file_type: i64,
    pub(crate) flags: i64,
    /// State the MD5 of the target.
    pub(crate) has_digest: bool,
    pub(crate) preprocess: Vec<u8>,
    /// Send codes, a new set after each of these bytes of output.
    pub(crate) segments: Vec<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { file_type: 1, flags: 0x20000, has_digest: true, preprocess: Vec::new(), segments: Vec::new() }
    }
}

/// A bit stream; its padding field is filled in at the end.
#[derive(Clone, Debug)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    waiting: u64,
    bits: u32,
}

impl BitWriter {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), waiting: 0, bits: 3 }
    }

    /// The low `bits` of `value`, at most 32.
    pub(crate) fn put(&mut self, value: u64, bits: u32) -> &mut Self {
        self.waiting |= (value & ((1 << bits) - 1)) << self.bits;
        self.bits += bits;
        while self.bits >= 8 {
            self.bytes.push(self.waiting as u8);
            self.waiting >>= 8;
            self.bits -= 8;
        }
        self
    }

    pub(crate) fn number(&mut self, value: i64) -> &mut Self {
        let value = value.cast_unsigned();
        let nibbles = (64 - value.leading_zeros()).div_ceil(4).max(1);
        self.put(1 << (nibbles - 1), nibbles);
        (0..nibbles).for_each(|nibble| {
            self.put(value >> (4 * nibble) & 15, 4);
        });
        self
    }

    pub(crate) fn buffer(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as i64);
        self.put(0, (8 - self.bits) % 8);
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// A codeword, its most significant bit first.
    fn codeword(&mut self, (codeword, bits): (u32, u32)) {
        (0..bits).rev().for_each(|bit| {
            self.put(u64::from(codeword >> bit & 1), 1);
        });
    }

    /// A rift table with its presence bit.
    pub(crate) fn rift(&mut self, pairs: &[(i64, i64)]) -> &mut Self {
        self.put(u64::from(!pairs.is_empty()), 1);
        if pairs.is_empty() {
            return self;
        }
        self.int_format().int_format();
        self.rift_entries(pairs)
    }

    /// The number of entries and the entries, in the one format that [`Self::int_format`] writes.
    pub(crate) fn rift_entries(&mut self, pairs: &[(i64, i64)]) -> &mut Self {
        self.number(pairs.len() as i64);
        let (mut source, mut offset) = (0, 0);
        for &(x, y) in pairs {
            self.integer(x - source).integer(y - x - offset);
            (source, offset) = (x, y - x);
        }
        self
    }

    /// 248 symbols of 8 bits and 4 of 7.
    pub(crate) fn int_format(&mut self) -> &mut Self {
        self.put(0, 8).put(0, 8).put(248, 8).put(7, 4)
    }

    fn integer(&mut self, value: i64) -> &mut Self {
        let lengths: Vec<u8> = (0..252).map(|symbol| if symbol < 248 { 8 } else { 7 }).collect();
        let magnitude = if value < 0 { !value } else { value }.cast_unsigned();
        let (mut symbol, mut extra) = (magnitude, 0);
        if magnitude > 3 {
            extra = 62 - magnitude.leading_zeros();
            symbol = u64::from(extra + 1) << 1 | (magnitude >> extra & 1);
        }
        symbol += if value < 0 { 126 } else { 0 };
        self.codeword(codewords(&lengths)[symbol as usize]);
        self.put(magnitude, extra.min(32)).put(magnitude >> 32, extra.saturating_sub(32))
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let padding = (8 - self.bits) % 8;
        self.put(0, padding);
        self.bytes[0] |= padding as u8;
        self.bytes
    }
}

/// Codewords of a code with these lengths: the longest are the smallest.
fn codewords(lengths: &[u8]) -> Vec<(u32, u32)> {
    let mut next = [0; 18];
    for bits in (1..17).rev() {
        let longer = lengths.iter().filter(|&&length| usize::from(length) == bits + 1).count() as u32;
        next[bits] = (next[bits + 1] + longer) >> 1;
    }
    let word = |&length: &u8| {
        let slot = &mut next[usize::from(length)];
        *slot += 1;
        (*slot - 1, u32::from(length))
    };
    lengths.iter().map(word).collect()
}

fn equal_lengths(symbols: usize) -> Vec<u8> {
    let bits = usize::BITS - (symbols - 1).leading_zeros();
    let shorter = (1 << bits) - symbols;
    (0..symbols).map(|symbol| bits as u8 - u8::from(symbol < shorter)).collect()
}

/// Codeword lengths of all symbols for one of two sets of codes.
fn lengths_of_set(set: usize) -> Vec<u8> {
    let mut main = equal_lengths(600);
    let mut length = equal_lengths(256);
    if set % 2 == 1 {
        main.reverse();
        // 128 of 9 bits, 64 of 8, 64 of 7: complete as well.
        length = (0..256).map(|symbol| [7, 8, 9, 9][symbol % 4]).collect();
    }
    [main, length, equal_lengths(16)].concat()
}

struct Codes {
    main: Vec<(u32, u32)>,
    length: Vec<(u32, u32)>,
    aligned: Vec<(u32, u32)>,
}

impl Codes {
    fn new(lengths: &[u8]) -> Self {
        let (main, rest) = lengths.split_at(600);
        let (length, aligned) = rest.split_at(256);
        Self { main: codewords(main), length: codewords(length), aligned: codewords(aligned) }
    }
}

/// Lengths as differences to those before: copies, repetitions, small steps, and literally.
fn put_lengths(bits: &mut BitWriter, lengths: &[u8], before: &[u8]) {
    let precode = codewords(&equal_lengths(39));
    let run_of = |count: usize| -> (usize, u32, u32) {
        match count {
            1..=3 => (count - 1, 0, 0),
            _ => {
                let extra = usize::BITS - 1 - count.min(127).leading_zeros();
                (extra as usize + 1, count.min(127) as u32 - (1 << extra), extra)
            }
        }
    };
    let mut at = 0;
    while at < lengths.len() {
        let same_as_before = (at..lengths.len()).take_while(|&i| lengths[i] == before[i]).count();
        let repeated = (at..lengths.len()).take_while(|&i| at > 0 && lengths[i] == lengths[at - 1]).count();
        let (count, first) = if same_as_before >= repeated { (same_as_before, 31) } else { (repeated, 23) };
        if count > 0 {
            let (k, value, extra) = run_of(count);
            bits.codeword(precode[first + k]);
            bits.put(u64::from(value), extra);
            at += count.min(if k < 3 { count } else { (1 << extra) + value as usize });
            continue;
        }
        let symbol = match i32::from(lengths[at]) - i32::from(before[at]) {
            more @ 1..=3 => 16 + more as usize,
            less @ -3..=-1 => 19 + less.unsigned_abs() as usize,
            _ => usize::from(lengths[at]),
        };
        bits.codeword(precode[symbol]);
        at += 1;
    }
}

/// A delta that makes `target` from `reference`.
pub(crate) fn write_delta(reference: &[u8], target: &[u8], options: &Options) -> Vec<u8> {
    let mut bits = BitWriter::new();
    bits.put(0, 1);
    let mut encoder = Encoder::new(reference, target, options.file_type == 1);
    if options.segments.is_empty() {
        bits.put(1, 1);
        encoder.items(&mut bits, &Codes::new(&lengths_of_set(0)), target.len());
    } else {
        let starts: Vec<usize> =
            [0].into_iter().chain(options.segments.iter().map(|at| at + reference.len())).collect();
        bits.put(0, 1).number(starts.len() as i64);
        let mut before = 0;
        for &start in &starts {
            bits.number((start - before) as i64);
            before = start;
        }
        equal_lengths(39).iter().for_each(|&length| {
            bits.put(length.into(), 4);
        });
        let mut previous = vec![0; 872];
        for set in 0..starts.len() {
            let lengths = lengths_of_set(set);
            put_lengths(&mut bits, &lengths, &previous);
            previous = lengths;
        }
        for (set, end) in options.segments.iter().copied().chain([target.len()]).enumerate() {
            encoder.items(&mut bits, &Codes::new(&lengths_of_set(set)), end);
        }
    }
    wrap(target, options, &bits.finish())
}

/// A delta whose target is its reference after all transforms: one match over all of it.
pub(crate) fn write_transform(reference: &[u8], options: &Options) -> Vec<u8> {
    let mut bits = BitWriter::new();
    bits.put(0, 1).put(1, 1);
    let mut encoder = Encoder::new(reference, reference, false);
    encoder.item(&mut bits, &Codes::new(&lengths_of_set(0)), reference.len(), reference.len());
    wrap(reference, &Options { has_digest: false, ..options.clone() }, &bits.finish())
}

fn wrap(target: &[u8], options: &Options, patch: &[u8]) -> Vec<u8> {
    let mut outer = BitWriter::new();
    outer.number(15).number(options.file_type).number(options.flags).number(target.len() as i64);
    if options.has_digest {
        let digest = Digest::Md5([0; 16]).of_same_kind(target);
        let Digest::Md5(bytes) = digest else { unreachable!("of the same kind") };
        outer.number(0x8003).buffer(&bytes);
    } else {
        outer.number(0).buffer(&[]);
    }
    outer.buffer(&options.preprocess).buffer(patch);
    [b"PA30\0\0\0\0\0\0\0\0".as_slice(), &outer.finish()].concat()
}

/// A preprocess stream: base, time stamp, rift of target addresses to file offsets, rift of addresses.
pub(crate) fn preprocess(base: u64, stamp: u32, files: &[(i64, i64)], addresses: &[(i64, i64)]) -> Vec<u8> {
    let mut bits = BitWriter::new();
    bits.put(base & 0xFFFF_FFFF, 32).put(base >> 32, 32).put(0, 32).put(stamp.into(), 32);
    bits.rift(files).put(0, 1).rift(addresses).put(0, 1);
    bits.finish()
}

/// A preprocess stream that ends within a map of managed metadata, whose first tables have 2^19 entries of two bits each.
pub(crate) fn endless_map(tables: u32) -> Vec<u8> {
    let mut bits = BitWriter::new();
    bits.put(0, 32).put(0, 32).put(0, 32).put(0, 32).rift(&[]).put(0, 1).rift(&[]).put(1, 1);
    for _ in 0..4 {
        // One symbol, of one bit.
        bits.put(1, 8).put(0, 8).put(0, 8).put(0, 4).put(0, 4);
    }
    for _ in 0..tables {
        bits.number(1 << 19);
        (0..1 << 15).for_each(|_| {
            bits.put(0, 32);
        });
    }
    bits.finish()
}

/// Largest table of places; small windows have small ones.
const MAX_HASH_BITS: u32 = 20;

struct Encoder<'a> {
    /// Reference and target, one behind the other.
    window: Vec<u8>,
    reference: &'a [u8],
    /// Distances may count from the same place of the reference.
    is_raw: bool,
    /// Newest place by hash of eight bytes.
    places: Vec<u32>,
    at: usize,
    recent: [usize; 3],
}

impl<'a> Encoder<'a> {
    fn new(reference: &'a [u8], target: &[u8], is_raw: bool) -> Self {
        let window = [reference, target].concat();
        let bits = (window.len() + 1024).ilog2().min(MAX_HASH_BITS);
        let mut encoder =
            Self { window, reference, is_raw, places: vec![u32::MAX; 1 << bits], at: 0, recent: [0; 3] };
        (0..reference.len()).for_each(|place| {
            encoder.note(place);
        });
        encoder
    }

    /// Notes what lies at `place`, and gives the place that had the same before.
    fn note(&mut self, place: usize) -> Option<usize> {
        let bytes: [u8; 8] = self.window.get(place..place + 8)?.try_into().ok()?;
        let hash = u64::from_le_bytes(bytes).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let slot = hash as usize & (self.places.len() - 1);
        let older = std::mem::replace(&mut self.places[slot], place as u32);
        (older != u32::MAX && older as usize != place).then_some(older as usize)
    }

    fn match_length(&self, distance: usize, end: usize) -> usize {
        let here = self.reference.len() + self.at;
        let Some(source) = here.checked_sub(distance).filter(|_| distance > 0) else { return 0 };
        let here = &self.window[here..self.reference.len() + end];
        here.iter().zip(&self.window[source..]).take_while(|(a, b)| a == b).count()
    }

    /// Literals and matches up to `end` of the target.
    fn items(&mut self, bits: &mut BitWriter, codes: &Codes, end: usize) {
        while self.at < end {
            let place = self.reference.len() + self.at;
            let older = self.note(place).map(|older| place - older);
            let candidates = [Some(self.recent[0]), Some(self.reference.len()), Some(self.recent[1]), older];
            // Of equally long ones the first: it is the cheapest.
            let mut best = None;
            for distance in candidates.into_iter().flatten() {
                let length = self.match_length(distance, end);
                if best.is_none_or(|(longest, _)| length > longest) {
                    best = Some((length, distance));
                }
            }
            match best.filter(|&(length, _)| length >= 4) {
                Some((length, distance)) => {
                    self.item(bits, codes, distance, length);
                    // Some places are enough, and quick.
                    (1..length.min(16)).for_each(|i| {
                        self.note(place + i);
                    });
                    self.at += length;
                }
                None => {
                    bits.codeword(codes.main[usize::from(self.window[place])]);
                    self.at += 1;
                }
            }
        }
    }

    /// One match.
    fn item(&mut self, bits: &mut BitWriter, codes: &Codes, distance: usize, length: usize) {
        let short = if length <= 8 { length - 1 } else { 0 };
        let correction = distance as i64 - self.reference.len() as i64;
        let recent = self.recent.iter().position(|&recent| recent == distance);
        let put_main = |bits: &mut BitWriter, slot: usize| bits.codeword(codes.main[256 + 8 * slot + short]);
        match (recent, self.is_raw) {
            (Some(number), _) => put_main(bits, 4 + number),
            (None, true) if correction == 0 => put_main(bits, 3),
            (None, true) if (-0x2000..0x2000).contains(&correction) => {
                put_main(bits, 0);
                bits.put((correction + 0x2000) as u64, 14);
            }
            (None, true) if (-0xA000..0xA000).contains(&correction) => {
                put_main(bits, 1);
                bits.put((correction + if correction < 0 { 0xA000 } else { 0x6000 }) as u64, 16);
            }
            (None, true) if (-0x2_A000..0x2_A000).contains(&correction) => {
                put_main(bits, 2);
                bits.put((correction + if correction < 0 { 0x2_A000 } else { 0x1_6000 }) as u64, 18);
            }
            _ => Self::plain_distance(bits, codes, distance as u64, put_main),
        }
        if length > 263 {
            let number = (length - 8) as u64;
            let zeros = 63 - number.leading_zeros() - 8;
            bits.codeword(codes.length[0]);
            bits.put(1 << zeros, zeros + 1).put(number, zeros + 8);
        } else if length > 8 {
            bits.codeword(codes.length[length - 8]);
        }
        let [first, second, _] = self.recent;
        if distance != first {
            self.recent[0] = distance;
            self.recent[1] = first;
            if second != distance {
                self.recent[2] = second;
            }
        }
    }

    fn plain_distance(
        bits: &mut BitWriter,
        codes: &Codes,
        distance: u64,
        put_main: impl Fn(&mut BitWriter, usize),
    ) {
        let (mut x, mut extra) = (distance, 0);
        if distance > 3 {
            extra = 62 - distance.leading_zeros();
            x = u64::from(extra + 1) << 1 | (distance >> extra & 1);
        }
        match x {
            0..0x24 => put_main(bits, 7 + x as usize),
            _ => {
                put_main(bits, 7);
                match x {
                    0x24..0x28 => bits.put(0, 1).put(x - 0x24, 2),
                    0x28..0x30 => bits.put(0b01, 2).put(x - 0x28, 3),
                    _ => bits.put(0b11, 2).put(x - 0x30, 4),
                };
            }
        }
        if extra < 4 {
            bits.put(distance, extra);
        } else {
            bits.put(distance >> 4, extra - 4);
            bits.codeword(codes.aligned[(distance & 15) as usize]);
        }
    }
}
