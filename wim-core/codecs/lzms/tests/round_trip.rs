//! What the encoder writes, the decoders read back: every level and chunk size, short chunks, all kinds of data.
//!
//! Each stream is decoded three ways (fast, careful, reference); the encoder is reused and must not remember.

use lz_kit::lz77::PaddedChunk;
use lzms::{DecodeError, Decoder, Encoder, Level, reference};
use proptest::prelude::*;

/// The longest chunk of most tests.
const LONG: usize = 1 << 16;

const LEVELS: [u32; 4] = [1, 20, 50, 100];

/// Encodes and decodes; the compressed size, or None when the chunk does not shrink.
fn round_trip(encoder: &mut Encoder, chunk: &[u8]) -> Option<usize> {
    let mut stream = vec![0xcc; chunk.len().saturating_sub(1)];
    let size = encoder.encode(chunk, &mut stream)?;
    stream.truncate(size);
    let mut decoder = Decoder::new();
    let mut out = vec![0xaa; chunk.len()];
    assert_eq!(decoder.decode(&stream, &mut out), Ok(()), "fast");
    assert!(out == chunk, "fast");
    out.fill(0x55);
    assert_eq!(decoder.decode_carefully(&stream, &mut out), Ok(()), "careful");
    assert!(out == chunk, "careful");
    out.fill(0xaa);
    assert_eq!(reference::decode(&stream, &mut out), Ok(()), "reference");
    assert!(out == chunk, "reference");
    Some(size)
}

/// In place the same stream comes out, and what does not shrink stays as it was.
#[test]
fn a_chunk_is_replaced_by_its_stream_or_left_alone() {
    let never_mind = |_| true;
    for (len, seed) in [(1, 1), (3, 2), (300, 3), (LONG, 4), (300_000, 5)] {
        for chunk in [pseudo_code(len, seed), Noise(seed).bytes(len, 256), Noise(seed).bytes(len, 3)] {
            let (mut there, mut here) = (Encoder::new(len, Level::FAST), Encoder::new(len, Level::FAST));
            let mut padded = PaddedChunk::new(len);
            assert!(padded.set(&chunk));
            let size = here.encode_in_place(&mut padded, &never_mind).unwrap();
            assert_eq!(size, round_trip(&mut there, &chunk), "{len} bytes");
            let mut stream = vec![0; len - 1];
            match there.encode(&chunk, &mut stream) {
                Some(size) => assert!(padded.bytes() == &stream[..size], "{len} bytes"),
                None => assert!(padded.bytes() == chunk, "{len} bytes"),
            }
        }
    }
    let mut long = PaddedChunk::new(LONG);
    assert!(long.set(&vec![0; LONG]));
    assert_eq!(Encoder::new(LONG - 1, Level::FAST).encode_in_place(&mut long, &never_mind), Ok(None));
    assert_eq!(long.len(), LONG);
}

#[test]
fn an_encoder_tells_how_far_it_is_and_stops_when_told() {
    let chunk = pseudo_code(2 << 20, 7);
    let mut encoder = Encoder::new(chunk.len(), Level::FAST);
    let mut padded = PaddedChunk::new(chunk.len());
    let told = std::cell::RefCell::new(Vec::new());
    let note = |bytes| {
        told.borrow_mut().push(bytes);
        told.borrow().len() < 20
    };
    assert!(padded.set(&chunk));
    assert!(encoder.encode_in_place(&mut padded, &note).unwrap().is_some());
    let seen = told.take();
    assert!(seen.len() >= 7 && seen.iter().sum::<usize>() <= chunk.len(), "{seen:?}");
    assert!(padded.set(&chunk));
    assert_eq!(encoder.encode_in_place(&mut padded, &|_| false), Err(lzms::Stopped));
    assert_eq!(encoder.encode_while(&chunk, &mut vec![0; chunk.len()], &|_| false), Err(lzms::Stopped));
    // It is as good as new afterwards.
    round_trip(&mut encoder, &chunk[..LONG]).unwrap();
}

/// A nearer match that is long enough to be taken whole does not cut one at a recent offset that goes on.
#[test]
fn a_match_at_a_recent_offset_is_taken_as_far_as_it_goes() {
    const PIECE: usize = 200;
    let old = Noise(11).bytes(300 * PIECE, 256);
    let mut chunk = old.clone();
    // Every piece of it again, in another order, each behind bytes of its own: nearer than the whole.
    for number in 0..300 {
        let piece = number * 7 % 300 * PIECE;
        chunk.extend(Noise(number as u64 + 100).bytes(5, 256));
        chunk.extend_from_slice(&old[piece..piece + PIECE]);
    }
    let mut encoder = Encoder::new(200_000, Level::NORMAL);
    let before = round_trip(&mut encoder, &chunk).unwrap();
    // Makes the offset a recent one, then goes on.
    chunk.extend_from_slice(&old[..PIECE / 2]);
    chunk.extend(b"another");
    chunk.extend_from_slice(&old[PIECE / 2 + 7..]);
    let after = round_trip(&mut encoder, &chunk).unwrap();
    assert!(after < before + 60, "{before} bytes, then {after}");
}

/// Chunks above 16 MiB have trees with packed links.
#[test]
fn a_long_chunk_comes_back() {
    let code = pseudo_code(300_000, 9);
    let mut chunk = code.clone();
    chunk.resize(17 << 20, 7);
    chunk.extend_from_slice(&code);
    let mut encoder = Encoder::new(chunk.len(), Level::from_number(1));
    let mut stream = vec![0; chunk.len()];
    let alone = encoder.encode(&code, &mut stream).unwrap();
    let size = encoder.encode(&chunk, &mut stream).unwrap();
    assert!(size < alone + alone / 10, "what was said before is found again: {size}, alone {alone}");
    let mut out = vec![0; chunk.len()];
    Decoder::new().decode(&stream[..size], &mut out).unwrap();
    assert!(out == chunk);
}

#[test]
fn a_decoder_stops_inside_a_chunk_when_told() {
    let chunk = pseudo_code(5 << 20, 8);
    let mut stream = vec![0; chunk.len()];
    let size = Encoder::new(chunk.len(), Level::from_number(1)).encode(&chunk, &mut stream).unwrap();
    let mut decoder = Decoder::new();
    let mut out = vec![0xEE; chunk.len()];
    let asked = std::cell::Cell::new(0);
    let twice = || {
        asked.set(asked.get() + 1);
        asked.get() < 2
    };
    assert_eq!(decoder.decode_while(&stream[..size], &mut out, &twice), Err(DecodeError::Stopped));
    assert_eq!(asked.get(), 2);
    assert!(out[3 << 20..].iter().all(|&byte| byte == 0xEE), "it did not stop where it was told");
    // It is as good as new afterwards, and is never asked about short chunks.
    decoder.decode_while(&stream[..size], &mut out, &|| true).unwrap();
    assert!(out == chunk);
    let size = Encoder::new(LONG, Level::FAST).encode(&chunk[..LONG], &mut stream).unwrap();
    decoder.decode_while(&stream[..size], &mut out[..LONG], &|| false).unwrap();
    assert!(out[..LONG] == chunk[..LONG]);
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

/// Records with fields that count up: what delta matches are for.
fn records(len: usize, seed: u64) -> Vec<u8> {
    let mut noise = Noise(seed);
    let mut out = Vec::new();
    let mut value = 0u32;
    while out.len() < len {
        value = value.wrapping_add(17);
        out.extend(value.to_le_bytes());
        out.extend((value / 3).to_le_bytes());
        if noise.next().is_multiple_of(50) {
            value = noise.next() as u32;
        }
    }
    out.truncate(len);
    out
}

#[test]
fn every_short_length() {
    for level in LEVELS {
        let mut encoder = Encoder::new(LONG, Level::from_number(level));
        for len in 0..=300 {
            round_trip(&mut encoder, &vec![7; len]);
            round_trip(&mut encoder, &pseudo_code(len, 3));
            round_trip(&mut encoder, &records(len, 1));
            let periodic: Vec<u8> = (0..len).map(|i| b"abcdefg"[i % 7]).collect();
            round_trip(&mut encoder, &periodic);
        }
    }
}

#[test]
fn every_chunk_size() {
    for log2 in 15..=19 {
        let full = 1 << log2;
        for level in [20, 50] {
            let mut encoder = Encoder::new(full, Level::from_number(level));
            for len in [full, full - 1] {
                let size = round_trip(&mut encoder, &pseudo_code(len, log2));
                assert!(size.is_some_and(|size| size < len), "{full}, level {level}, {len} bytes");
            }
        }
    }
}

#[test]
fn delta_matches_are_used() {
    let chunk = records(LONG, 9);
    let size =
        |level| round_trip(&mut Encoder::new(LONG, Level::from_number(level)), &chunk).expect("it shrinks");
    // Level 30 looks for none.
    assert!(size(50) * 4 < size(30), "{} and {}", size(50), size(30));
}

#[test]
fn higher_levels_are_not_larger() {
    let chunk = pseudo_code(LONG, 99);
    let size =
        |level| round_trip(&mut Encoder::new(LONG, Level::from_number(level)), &chunk).expect("it shrinks");
    let sizes = [20, 50, 100].map(size);
    assert!(sizes.is_sorted_by(|a, b| a + a / 200 >= *b) && sizes[2] < sizes[0], "{sizes:?}");
}

#[test]
fn long_runs_are_single_matches() {
    for level in LEVELS {
        let mut encoder = Encoder::new(LONG, Level::from_number(level));
        for len in [300, 4096, 32768, 65535, 65536] {
            let size = round_trip(&mut encoder, &vec![0; len]).expect("it shrinks");
            assert!(size <= 14, "level {level}, {len} bytes: {size}");
        }
    }
}

#[test]
fn noise_is_refused() {
    let chunk = Noise(5).bytes(32768, 256);
    for level in LEVELS {
        assert_eq!(round_trip(&mut Encoder::new(LONG, Level::from_number(level)), &chunk), None);
    }
}

/// Calls to few targets become equal operands, which is what the filter is for.
#[test]
fn calls_are_translated() {
    let mut noise = Noise(4);
    let mut chunk = Vec::new();
    while chunk.len() < LONG - 20 {
        let target = noise.next() as u32 % 8 * 4096;
        chunk.extend(noise.bytes(3, 256));
        chunk.push(0xE8);
        chunk.extend(target.wrapping_sub(chunk.len() as u32).to_le_bytes());
    }
    let size = round_trip(&mut Encoder::new(LONG, Level::NORMAL), &chunk).expect("it shrinks");
    assert!(size < chunk.len() * 11 / 20, "{size}");
}

#[test]
fn too_little_room_is_refused_at_every_size() {
    let chunk = pseudo_code(2000, 8);
    for level in [20, 50] {
        let mut encoder = Encoder::new(LONG, Level::from_number(level));
        let mut out = vec![0; 2000];
        let size = encoder.encode(&chunk, &mut out).expect("it shrinks");
        for room in 0..size {
            assert_eq!(encoder.encode(&chunk, &mut out[..room]), None, "{room} of {size}");
        }
        assert_eq!(encoder.encode(&chunk, &mut out[..size]), Some(size));
    }
}

#[test]
fn a_chunk_longer_than_agreed_is_refused() {
    for level in [20, 50, 100] {
        let mut encoder = Encoder::new(32768, Level::from_number(level));
        assert_eq!(encoder.encode(&[0; 32769], &mut [0; 1000]), None);
    }
}

#[test]
fn results_do_not_depend_on_earlier_chunks() {
    let chunks: Vec<_> = (0..6).map(|seed| pseudo_code(32768 >> (seed % 3), seed)).collect();
    for level in LEVELS {
        let mut reused = Encoder::new(LONG, Level::from_number(level));
        for chunk in chunks.iter().chain(chunks.iter().rev()) {
            let mut fresh = Encoder::new(LONG, Level::from_number(level));
            let (mut a, mut b) = (vec![0; chunk.len()], vec![0; chunk.len()]);
            let sizes = (reused.encode(chunk, &mut a), fresh.encode(chunk, &mut b));
            assert_eq!(sizes.0, sizes.1, "level {level}");
            assert!(a == b, "level {level}");
        }
    }
}

#[test]
fn state_is_small() {
    for level in [1, 20, 50, 100, 1000] {
        assert!(Encoder::scratch_bytes(128 << 10, Level::from_number(level)) <= 8 << 20);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Runs of noise over small alphabets, copies from anywhere before, and runs of one byte.
    #[test]
    fn anything_comes_back(
        seed in any::<u64>(),
        level in prop::sample::select(LEVELS.to_vec()),
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
        chunk.truncate(LONG);
        round_trip(&mut Encoder::new(LONG, Level::from_number(level)), &chunk);
    }
}
