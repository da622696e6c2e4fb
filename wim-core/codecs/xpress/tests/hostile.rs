//! Streams that are wrong: truncated, extended, changed anywhere, or random. All decoders agree on each of them.

use proptest::prelude::*;
use xpress::{DecodeError, Decoder, reference};

/// Decodes four ways, in exactly sized buffers with guards behind, and returns what all of them say.
fn decode(decoder: &mut Decoder, compressed: &[u8], size: usize) -> Result<Vec<u8>, DecodeError> {
    const GUARD: [u8; 64] = [0xa5; 64];
    let mut fast = vec![0xa5; size + GUARD.len()];
    let result = decoder.decode(compressed, &mut fast[..size]);
    assert_eq!(fast[size..], GUARD, "a write past the end");
    let mut portable = vec![0xa5; size + GUARD.len()];
    assert_eq!(decoder.decode_portably(compressed, &mut portable[..size]), result, "portable and fast");
    assert_eq!(portable[size..], GUARD, "a write past the end");
    let mut careful = vec![0; size];
    assert_eq!(decoder.decode_carefully(compressed, &mut careful), result, "careful and fast");
    let mut simple = vec![0; size];
    assert_eq!(reference::decode(compressed, &mut simple), result, "reference and fast");
    result?;
    fast.truncate(size);
    assert!(
        fast == portable[..size] && fast == careful && fast == simple,
        "the decoders give different bytes"
    );
    Ok(fast)
}

/// A bit stream of 16-bit units with raw bytes between, written as Microsoft's encoder does.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Where the two units that are reserved go.
    slots: [usize; 2],
    bits: u64,
    count: u32,
}

impl Writer {
    fn new() -> Self {
        Self { bytes: vec![0; 4], slots: [0, 2], bits: 0, count: 0 }
    }

    fn put(&mut self, value: u32, count: u32) {
        self.bits = self.bits << count | u64::from(value);
        self.count += count;
        if self.count > 16 {
            self.count -= 16;
            let unit = (self.bits >> self.count) as u16;
            self.bytes[self.slots[0]..self.slots[0] + 2].copy_from_slice(&unit.to_le_bytes());
            self.slots = [self.slots[1], self.bytes.len()];
            self.bytes.extend([0; 2]);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let unit = (self.bits << (16 - self.count)) as u16;
        self.bytes[self.slots[0]..self.slots[0] + 2].copy_from_slice(&unit.to_le_bytes());
        self.bytes
    }
}

/// Codeword lengths of the test streams: equal ones, or some that need the second level of a decode table.
#[derive(Clone, Copy, Debug)]
enum Code {
    Flat,
    Deep,
}

/// A chunk of literals and matches, and what it decodes to.
fn encode(items: &[(u8, u16, u16)], code: Code) -> (Vec<u8>, Vec<u8>) {
    let mut lengths = [9u8; 512];
    if let Code::Deep = code {
        // 64 codewords of 15 bits take the room of one of 9 bits, so that 63 others can have 8.
        lengths[448..].fill(15);
        lengths[0..120].iter_mut().step_by(2).for_each(|len| *len = 8);
        lengths[300..303].fill(8);
    }
    let mut codewords = [0; 512];
    lz_kit::huffman::codewords::assign(&lengths, &mut codewords);
    let mut stream: Vec<u8> = lengths.chunks(2).map(|pair| pair[0] | pair[1] << 4).collect();
    let mut writer = Writer::new();
    let mut plain = vec![b'x'];
    writer.put(u32::from(codewords[usize::from(b'x')]), u32::from(lengths[usize::from(b'x')]));
    for &(byte, offset, len) in items {
        if byte % 3 != 0 {
            writer.put(u32::from(codewords[usize::from(byte)]), u32::from(lengths[usize::from(byte)]));
            plain.push(byte);
            continue;
        }
        let offset = usize::from(offset) % plain.len() + 1;
        let field = if byte % 2 == 0 { usize::from(len) % 40 } else { usize::from(len) % 1000 };
        if plain.len() + field + 3 > 60000 {
            break;
        }
        let log2 = offset.ilog2();
        let symbol = 256 + (log2 as usize) * 16 + field.min(15);
        writer.put(u32::from(codewords[symbol]), u32::from(lengths[symbol]));
        if field >= 15 {
            if field < 270 {
                writer.bytes.push((field - 15) as u8);
            } else {
                writer.bytes.push(255);
                writer.bytes.extend((field as u16).to_le_bytes());
            }
        }
        writer.put((offset - (1 << log2)) as u32, log2);
        for _ in 0..field + 3 {
            plain.push(plain[plain.len() - offset]);
        }
    }
    stream.extend(writer.finish());
    (stream, plain)
}

/// A fixed chunk with every kind of item, for changing it everywhere.
fn sample(code: Code) -> (Vec<u8>, Vec<u8>) {
    let mut state = 7u64;
    let items: Vec<_> = (0..400)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 56) as u8, (state >> 40) as u16, (state >> 24) as u16)
        })
        .collect();
    encode(&items, code)
}

#[test]
fn the_sample_is_good() {
    for code in [Code::Flat, Code::Deep] {
        let (stream, plain) = sample(code);
        assert!(decode(&mut Decoder::new(), &stream, plain.len()) == Ok(plain), "{code:?}");
    }
}

#[test]
fn truncated_everywhere() {
    let mut decoder = Decoder::new();
    let (stream, plain) = sample(Code::Deep);
    for len in 0..stream.len() {
        if let Ok(decoded) = decode(&mut decoder, &stream[..len], plain.len()) {
            assert!(len + 4 >= stream.len() && decoded == plain, "only padding may be missing");
        }
    }
}

#[test]
fn extended_everywhere() {
    let mut decoder = Decoder::new();
    let (stream, plain) = sample(Code::Deep);
    for len in 0..=stream.len() {
        for more in [&[0x5a][..], &[0, 0xff]] {
            let longer = [&stream[..len], more, &stream[len..]].concat();
            let result = decode(&mut decoder, &longer, plain.len());
            // Behind the end it is not looked at; elsewhere it is other data, or none.
            assert!(len < stream.len() || result == Ok(plain.clone()), "{more:?} after the end");
        }
    }
}

#[test]
fn one_bit_changed_everywhere() {
    let mut decoder = Decoder::new();
    let (mut stream, plain) = sample(Code::Deep);
    for bit in 0..stream.len() * 8 {
        stream[bit / 8] ^= 1 << (bit % 8);
        let _ = decode(&mut decoder, &stream, plain.len());
        stream[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn every_size_but_the_right_one() {
    let mut decoder = Decoder::new();
    let (stream, plain) = sample(Code::Flat);
    for size in 0..plain.len() + 100 {
        if let Ok(decoded) = decode(&mut decoder, &stream, size) {
            let common = size.min(plain.len());
            assert!(decoded[..common] == plain[..common], "size {size}");
        }
    }
}

fn codes() -> impl Strategy<Value = Code> {
    prop_oneof![Just(Code::Flat), Just(Code::Deep)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_items_round_trip(items in prop::collection::vec(any::<(u8, u16, u16)>(), 0..3000), code in codes()) {
        let (stream, plain) = encode(&items, code);
        prop_assert!(decode(&mut Decoder::new(), &stream, plain.len()) == Ok(plain));
    }

    #[test]
    fn several_bytes_changed(
        items in prop::collection::vec(any::<(u8, u16, u16)>(), 100..1000),
        code in codes(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (mut stream, plain) = encode(&items, code);
        for (place, value) in changes {
            // The code stays whole in most cases, so that the items get wrong and not the code.
            let at = place.index(stream.len() - 200) + 200;
            stream[at] = value;
        }
        let _ = decode(&mut Decoder::new(), &stream, plain.len());
    }

    #[test]
    fn noise_behind_a_good_code(noise in prop::collection::vec(any::<u8>(), 0..5000), code in codes(), size in 0usize..65536) {
        let (mut stream, _) = encode(&[], code);
        stream.truncate(256);
        stream.extend(noise);
        let _ = decode(&mut Decoder::new(), &stream, size);
    }

    #[test]
    fn noise(noise in prop::collection::vec(any::<u8>(), 0..1000), size in 0usize..70000) {
        let _ = decode(&mut Decoder::new(), &noise, size);
    }
}
