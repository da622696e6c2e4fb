//! Streams that are wrong: truncated, extended, changed anywhere, or random. All decoders agree on each of them.

use lz_kit::Level;
use lzx::{DecodeError, Decoder, Encoder, WindowOrder, reference};
use proptest::prelude::*;

/// Decodes four ways, in exactly sized buffers with a guard behind, and returns what all of them say.
fn decode(
    decoder: &mut Decoder,
    window: WindowOrder,
    compressed: &[u8],
    size: usize,
) -> Result<Vec<u8>, DecodeError> {
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
    assert_eq!(reference::decode(window, compressed, &mut simple), result, "reference and fast");
    result?;
    fast.truncate(size);
    assert!(
        fast == portable[..size] && fast == careful && fast == simple,
        "the decoders give different bytes"
    );
    Ok(fast)
}

/// Bytes with repetitions near and far, calls and runs: every kind of item.
fn sample(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut plain = Vec::new();
    while plain.len() < len {
        match next(8) {
            0 | 1 if plain.len() > 300 => {
                let (from, count) = (next(plain.len() - 260), 2 + next(40));
                plain.extend_from_within(from..from + count);
            }
            2 if plain.len() > 300 => {
                let (back, count) = (1 + next(20), 3 + next(250));
                for _ in 0..count {
                    plain.push(plain[plain.len() - back]);
                }
            }
            3 => {
                plain.push(0xe8);
                plain.extend((next(4000) as i32 - 2000).to_le_bytes());
            }
            4 => plain.extend([next(256) as u8, next(256) as u8, next(256) as u8]),
            _ => plain.push(b"etaoin shrdlu"[next(13)]),
        }
    }
    plain.truncate(len);
    plain
}

fn encode(window: WindowOrder, plain: &[u8], level: Level) -> Vec<u8> {
    let mut out = vec![0; plain.len() + 1000];
    let len = Encoder::new(window, level).encode(plain, &mut out).expect("compressible data");
    out.truncate(len);
    out
}

/// An uncompressed block in front of an encoded stream, so that raw bytes and recent offsets come in.
fn with_raw_block(raw: &[u8], recent: [u32; 3], rest: &[u8]) -> Vec<u8> {
    let head = 3u32 << 29 | (raw.len() as u32) << 12;
    let mut stream = Vec::new();
    stream.extend(((head >> 16) as u16).to_le_bytes());
    stream.extend((head as u16).to_le_bytes());
    stream.extend(recent.into_iter().flat_map(u32::to_le_bytes));
    stream.extend(raw);
    stream.extend(vec![0; raw.len() % 2]);
    stream.extend(rest);
    stream
}

#[test]
fn every_window_and_level_decodes() {
    for log2 in 15..=21 {
        let window = WindowOrder::new(log2).expect("in range");
        for level in [Level::FAST, Level::NORMAL] {
            let plain = sample(window.bytes().min(200_000) as usize - 7, u64::from(log2));
            let stream = encode(window, &plain, level);
            let mut decoder = Decoder::new(window);
            assert!(decode(&mut decoder, window, &stream, plain.len()) == Ok(plain), "window 2^{log2}");
        }
    }
}

#[test]
fn truncated_everywhere() {
    let window = WindowOrder::MIN;
    let mut decoder = Decoder::new(window);
    let plain = sample(3000, 1);
    let stream = encode(window, &plain, Level::NORMAL);
    for len in 0..stream.len() {
        let result = decode(&mut decoder, window, &stream[..len], plain.len());
        assert_eq!(result.map(drop), Err(DecodeError::Truncated), "{len} bytes");
    }
}

#[test]
fn extended_everywhere() {
    let window = WindowOrder::MIN;
    let mut decoder = Decoder::new(window);
    let plain = sample(3000, 5);
    let stream = encode(window, &plain, Level::NORMAL);
    for len in 0..=stream.len() {
        for more in [&[0x5a][..], &[0, 0xff]] {
            let longer = [&stream[..len], more, &stream[len..]].concat();
            let result = decode(&mut decoder, window, &longer, plain.len());
            // Behind the end it is not looked at; elsewhere it is other data, or none.
            assert!(len < stream.len() || result == Ok(plain.clone()), "{more:?} after the end");
        }
    }
}

#[test]
fn one_bit_changed_everywhere() {
    let window = WindowOrder::MIN;
    let mut decoder = Decoder::new(window);
    for (len, seed) in [(2000, 2), (3000, 3)] {
        let plain = sample(len, seed);
        let mut stream = encode(window, &plain, Level::NORMAL);
        for bit in 0..stream.len() * 8 {
            stream[bit / 8] ^= 1 << (bit % 8);
            let _ = decode(&mut decoder, window, &stream, plain.len());
            stream[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_size_but_the_right_one() {
    let window = WindowOrder::MIN;
    let mut decoder = Decoder::new(window);
    let plain = sample(600, 4);
    let stream = encode(window, &plain, Level::NORMAL);
    for size in 0..plain.len() + 100 {
        let result = decode(&mut decoder, window, &stream, size);
        assert_eq!(result.is_ok(), size == 0 || size == plain.len(), "size {size}");
    }
}

/// Recent offsets of a raw block may point anywhere; a literal behind it must not mind, a match must.
#[test]
fn raw_block_with_far_recent_offsets() {
    let window = WindowOrder::MIN;
    let mut decoder = Decoder::new(window);
    let plain = sample(5000, 5);
    let rest = encode(window, &plain, Level::NORMAL);
    for recent in
        [[1, 1, 1], [5, 6, 7], [30_000, 1, 2], [u32::MAX, u32::MAX, u32::MAX], [1, u32::MAX, 70_000]]
    {
        let stream = with_raw_block(b"raw bytes!!", recent, &rest);
        let _ = decode(&mut decoder, window, &stream, 11 + plain.len());
    }
    let stream = with_raw_block(b"raw", [1, 0, 1], &rest);
    assert_eq!(decode(&mut decoder, window, &stream, 3 + plain.len()), Err(DecodeError::BadOffset));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn several_bytes_changed(
        seed in any::<u64>(),
        len in 500usize..32768,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let window = WindowOrder::MIN;
        let plain = sample(len, seed);
        let mut stream = encode(window, &plain, Level::FAST);
        for (place, value) in changes {
            let at = place.index(stream.len());
            stream[at] = value;
        }
        let _ = decode(&mut Decoder::new(window), window, &stream, plain.len());
    }

    #[test]
    fn items_changed_behind_a_good_header(
        seed in any::<u64>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        recent in any::<[u16; 3]>(),
    ) {
        let window = WindowOrder::MIN;
        let plain = sample(20_000, seed);
        let mut rest = encode(window, &plain, Level::FAST);
        for (place, value) in changes {
            let at = rest.len() / 4 + place.index(rest.len() * 3 / 4);
            rest[at] = value;
        }
        let stream = with_raw_block(b"some raw bytes", recent.map(|offset| u32::from(offset).max(1)), &rest);
        let _ = decode(&mut Decoder::new(window), window, &stream, 14 + plain.len());
    }

    #[test]
    fn noise(noise in prop::collection::vec(any::<u8>(), 0..1000), size in 0usize..40_000, log2 in 15u8..=21) {
        let window = WindowOrder::new(log2).expect("in range");
        let _ = decode(&mut Decoder::new(window), window, &noise, size);
    }
}
