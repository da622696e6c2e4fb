//! What the encoder writes, the decoders read back: every level and window, short chunks, all kinds of data.
//!
//! Each stream is decoded three ways (fast, careful, reference); the encoder is reused and must not remember.

use lzx::{Decoder, Encoder, Level, WindowOrder, reference};
use proptest::prelude::*;

const LEVELS: [u32; 7] = [1, 20, 34, 50, 60, 100, 200];

fn window(log2: u8) -> WindowOrder {
    WindowOrder::new(log2).expect("a window of the format")
}

/// Encodes and decodes; the compressed size, or None when the chunk does not shrink.
fn round_trip(encoder: &mut Encoder, window: WindowOrder, chunk: &[u8]) -> Option<usize> {
    let mut stream = vec![0xcc; chunk.len().saturating_sub(1)];
    let size = encoder.encode(chunk, &mut stream)?;
    stream.truncate(size);
    let mut decoder = Decoder::new(window);
    let mut out = vec![0xaa; chunk.len()];
    assert_eq!(decoder.decode(&stream, &mut out), Ok(()), "fast");
    assert!(out == chunk, "fast");
    out.fill(0x55);
    assert_eq!(decoder.decode_carefully(&stream, &mut out), Ok(()), "careful");
    assert!(out == chunk, "careful");
    out.fill(0xaa);
    assert_eq!(reference::decode(window, &stream, &mut out), Ok(()), "reference");
    assert!(out == chunk, "reference");
    Some(size)
}

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn bytes(&mut self, len: usize, alphabet: u64) -> Vec<u8> {
        (0..len).map(|_| (self.next() % alphabet) as u8).collect()
    }
}

/// Something like machine code: words drawn from a vocabulary, calls with near operands, padding, some noise.
fn pseudo_code(len: usize, seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let words: Vec<Vec<u8>> = (0..200)
        .map(|_| {
            let len = 2 + noise.next() as usize % 9;
            noise.bytes(len, 256)
        })
        .collect();
    let mut out = Vec::new();
    while out.len() < len {
        match noise.next() % 20 {
            0 => out.extend([0xe8, noise.next() as u8, noise.next() as u8 & 15, 0, 0]),
            1 => out.extend([0xcc; 7]),
            2 => {
                let count = noise.next() as usize % 12;
                out.extend(noise.bytes(count, 256));
            }
            _ => {
                // The product of two draws favours the first words.
                let index = noise.next() as usize % 200 * (noise.next() as usize % 200) / 200;
                out.extend(&words[index]);
            }
        }
    }
    out.truncate(len);
    out
}

#[test]
fn every_short_length() {
    for level in LEVELS {
        let mut encoder = Encoder::new(window(15), Level::from_number(level));
        for len in 0..=300 {
            round_trip(&mut encoder, window(15), &vec![7; len]);
            round_trip(&mut encoder, window(15), &pseudo_code(len, 3));
            let periodic: Vec<u8> = (0..len).map(|i| b"abcdefg"[i % 7]).collect();
            round_trip(&mut encoder, window(15), &periodic);
        }
    }
}

#[test]
fn every_window_with_full_and_short_chunks() {
    for log2 in 15..=21 {
        let full = window(log2).bytes() as usize;
        for level in [20, 50] {
            let mut encoder = Encoder::new(window(log2), Level::from_number(level));
            for len in [full, full - 1, full / 2 + 1, 1000] {
                let size = round_trip(&mut encoder, window(log2), &pseudo_code(len, u64::from(log2)));
                assert!(
                    size.is_some_and(|size| size < len * 9 / 10),
                    "window {log2}, level {level}, {len} bytes"
                );
            }
        }
    }
}

#[test]
fn far_matches_of_large_windows_are_used() {
    let mut noise = Noise(1);
    let mut chunk = noise.bytes(1 << 21, 256);
    let (head, tail) = chunk.split_at_mut(1 << 20);
    tail[(1 << 20) - 40_000..].copy_from_slice(&head[..40_000]);
    for level in [20, 50] {
        let mut encoder = Encoder::new(window(21), Level::from_number(level));
        let size = round_trip(&mut encoder, window(21), &chunk).expect("40,000 bytes are a copy");
        assert!(size < (1 << 21) - 30_000, "level {level}: {size}");
    }
}

#[test]
fn higher_levels_are_not_larger() {
    let chunk = pseudo_code(32768, 99);
    let size = |level| {
        round_trip(&mut Encoder::new(window(15), Level::from_number(level)), window(15), &chunk)
            .expect("it shrinks")
    };
    let sizes = [20, 50, 60, 100].map(size);
    // Levels next to each other may tie; a byte either way is luck.
    assert!(sizes.is_sorted_by(|a, b| a + a / 200 >= *b) && sizes[3] < sizes[0], "{sizes:?}");
}

#[test]
fn zeros_take_almost_nothing() {
    for level in LEVELS {
        let mut encoder = Encoder::new(window(15), Level::from_number(level));
        let size = round_trip(&mut encoder, window(15), &[0; 32768]).expect("it shrinks");
        // wimlib 1.14 takes 78 bytes.
        assert!(size <= 78, "level {level}: {size}");
    }
}

#[test]
fn noise_is_refused_and_half_noise_is_stored_raw_inside() {
    let mut noise = Noise(5);
    let mut chunk = noise.bytes(32768, 256);
    for level in LEVELS {
        let mut encoder = Encoder::new(window(15), Level::from_number(level));
        assert_eq!(round_trip(&mut encoder, window(15), &chunk), None);
    }
    // The second half compresses to little; the first must cost hardly more than its bytes.
    let text = pseudo_code(1 << 14, 4);
    chunk[1 << 14..].copy_from_slice(&text);
    for level in [50, 100] {
        let mut encoder = Encoder::new(window(15), Level::from_number(level));
        let alone = round_trip(&mut encoder, window(15), &text).expect("it shrinks");
        let size = round_trip(&mut encoder, window(15), &chunk).expect("its second half shrinks");
        assert!(size < (1 << 14) + alone + 150, "level {level}: {size}, {alone} alone");
    }
    // Odd boundaries between raw and coded blocks.
    for cut in 10_001..10_009 {
        let mut mixed = text[..cut].to_vec();
        mixed.extend(&chunk[..9_003]);
        mixed.extend(&text[..12_000]);
        let mut encoder = Encoder::new(window(15), Level::from_number(50));
        assert!(round_trip(&mut encoder, window(15), &mixed).is_some());
    }
}

#[test]
fn too_little_room_is_refused_at_every_size() {
    let chunk = pseudo_code(2000, 8);
    for level in [20, 50] {
        let mut encoder = Encoder::new(window(15), Level::from_number(level));
        let mut out = vec![0; 2000];
        let size = encoder.encode(&chunk, &mut out).expect("it shrinks");
        for room in 0..size {
            assert_eq!(encoder.encode(&chunk, &mut out[..room]), None, "{room} of {size}");
        }
        assert_eq!(encoder.encode(&chunk, &mut out[..size]), Some(size));
    }
}

#[test]
fn a_chunk_longer_than_the_window_is_refused() {
    for level in [20, 50] {
        let mut encoder = Encoder::new(window(15), Level::from_number(level));
        assert_eq!(encoder.encode(&[0; 32769], &mut [0; 1000]), None);
    }
}

#[test]
fn results_do_not_depend_on_earlier_chunks() {
    let chunks: Vec<_> = (0..6).map(|seed| pseudo_code(32768 >> (seed % 3), seed)).collect();
    for level in LEVELS {
        let mut reused = Encoder::new(window(15), Level::from_number(level));
        for chunk in chunks.iter().chain(chunks.iter().rev()) {
            let mut fresh = Encoder::new(window(15), Level::from_number(level));
            let (mut a, mut b) = (vec![0; chunk.len()], vec![0; chunk.len()]);
            let sizes = (reused.encode(chunk, &mut a), fresh.encode(chunk, &mut b));
            assert_eq!(sizes.0, sizes.1, "level {level}");
            assert!(a == b, "level {level}");
        }
    }
}

#[test]
fn state_is_small_for_small_windows() {
    for level in [1, 20, 50, 100, 1000] {
        assert!(Encoder::scratch_bytes(window(15), Level::from_number(level)) <= 8 << 20);
        assert!(Encoder::scratch_bytes(window(21), Level::from_number(level)) <= 64 << 20);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Runs of noise over small alphabets, copies from anywhere before, and runs of one byte.
    #[test]
    fn anything_comes_back(
        seed in any::<u64>(),
        level in prop::sample::select(LEVELS.to_vec()),
        log2 in 15u8..=16,
        pieces in prop::collection::vec((0u8..3, 1usize..3000, 1u64..=256), 1..30),
    ) {
        let mut noise = Noise(seed);
        let mut chunk: Vec<u8> = Vec::new();
        for (kind, len, alphabet) in pieces {
            match kind {
                0 => chunk.extend(noise.bytes(len, alphabet)),
                1 => chunk.extend(vec![alphabet as u8; len]),
                _ if chunk.is_empty() => {}
                _ => {
                    let from = noise.next() as usize % chunk.len();
                    for i in 0..len {
                        chunk.push(chunk[from + i]);
                    }
                }
            }
        }
        chunk.truncate(window(log2).bytes() as usize);
        round_trip(&mut Encoder::new(window(log2), Level::from_number(level)), window(log2), &chunk);
    }
}
