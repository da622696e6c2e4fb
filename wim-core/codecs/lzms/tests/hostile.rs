//! Streams that are wrong: truncated, extended, changed anywhere, or random. All decoders agree on each of them.

use lzms::{DecodeError, Decoder, Encoder, Level, reference};
use proptest::prelude::*;

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

/// Text, calls, records and repetitions, so that a stream has every kind of item.
fn plain(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut out = Vec::new();
    while out.len() < len {
        match next() % 5 {
            0 => out.extend((0..next() % 20).map(|_| next() as u8)),
            1 => out.extend([0xE8, next() as u8, 3, 0, 0]),
            2 => {
                let (start, step) = (next(), next() % 3);
                out.extend((0..8).flat_map(|i| (start + step * i).to_le_bytes()));
            }
            3 if out.len() > 30 => {
                let from = next() as usize % (out.len() - 25);
                out.extend_from_within(from..from + 5 + next() as usize % 20);
            }
            _ => out.extend(&b"the quick brown fox "[..next() as usize % 20]),
        }
    }
    out.truncate(len);
    out
}

fn encode(plain: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; plain.len()];
    let size = Encoder::new(plain.len(), Level::NORMAL).encode(plain, &mut stream).expect("it shrinks");
    stream.truncate(size);
    stream
}

#[test]
fn truncated_everywhere() {
    let mut decoder = Decoder::new();
    let plain = plain(1, 2500);
    let stream = encode(&plain);
    for len in 0..stream.len() {
        // The end of the data is found missing at the latest when both streams are done.
        assert!(decode(&mut decoder, &stream[..len], plain.len()).is_err(), "{len} of {}", stream.len());
        // Without its head, too.
        assert!(decode(&mut decoder, &stream[len + 1..], plain.len()).is_err(), "from {len}");
    }
}

#[test]
fn extended_in_the_middle_or_at_the_end() {
    let mut decoder = Decoder::new();
    let plain = plain(2, 2500);
    let stream = encode(&plain);
    for extra in 1..20 {
        let mut longer = stream.clone();
        longer.extend(vec![0xff; extra]);
        assert!(decode(&mut decoder, &longer, plain.len()).ok().as_ref() != Some(&plain), "{extra}");
    }
}

#[test]
fn one_bit_changed_everywhere() {
    let mut decoder = Decoder::new();
    for seed in [3, 4] {
        let plain = plain(seed, 1500);
        let mut stream = encode(&plain);
        for bit in 0..stream.len() * 8 {
            stream[bit / 8] ^= 1 << (bit % 8);
            let _ = decode(&mut decoder, &stream, plain.len());
            stream[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_size_but_the_right_one() {
    let mut decoder = Decoder::new();
    let plain = plain(5, 1500);
    let stream = encode(&plain);
    for size in 0..plain.len() + 100 {
        let _ = decode(&mut decoder, &stream, size);
    }
}

/// Time is bounded by the size of the output, whatever the stream says: here, runs of zeros of the greatest size.
#[test]
fn a_small_stream_for_much_output() {
    let mut decoder = Decoder::new();
    let mut out = vec![0; 1 << 24];
    for noise in 0..50u8 {
        let _ = decoder.decode(&[noise, 0, noise, 0, 0, noise], &mut out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn several_bytes_changed(
        seed in any::<u32>(),
        size in 3000usize..6000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let plain = plain(seed, size);
        let mut stream = encode(&plain);
        for (place, value) in changes {
            let at = place.index(stream.len());
            stream[at] = value;
        }
        let _ = decode(&mut Decoder::new(), &stream, plain.len());
    }

    #[test]
    fn noise(noise in prop::collection::vec(any::<u8>(), 0..3000), size in 0usize..20_000) {
        let _ = decode(&mut Decoder::new(), &noise, size);
    }

    /// Noise that has so many units of one value that items come back to the same context again and again.
    #[test]
    fn runs_of_noise(runs in prop::collection::vec((any::<u16>(), 1usize..40), 1..60), size in 0usize..200_000) {
        let bytes: Vec<u8> = runs
            .into_iter()
            .flat_map(|(unit, count)| unit.to_le_bytes().repeat(count))
            .collect();
        let _ = decode(&mut Decoder::new(), &bytes, size);
    }
}
