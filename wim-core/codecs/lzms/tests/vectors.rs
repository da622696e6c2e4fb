//! Known streams: small ones worked out by hand, and what Windows made of known bytes.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

#[path = "../../lz-kit/testing/damage.rs"]
mod damage;

use std::path::PathBuf;

use damage::agree_on_damage;

use lzms::{DecodeError, Decoder, reference};

/// Decodes four ways, which must agree.
fn decode(compressed: &[u8], size: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new();
    let mut out = vec![0xaa; size];
    let result = decoder.decode(compressed, &mut out);
    let mut other = vec![0x55; size];
    let agree = |again: Result<(), DecodeError>, other: &[u8], name: &str| {
        assert_eq!(again, result, "{name}");
        assert!(result.is_err() || out == other, "{name}: other bytes");
    };
    let again = decoder.decode_carefully(compressed, &mut other);
    agree(again, &other, "careful");
    let again = decoder.decode_portably(compressed, &mut other);
    agree(again, &other, "portable");
    let again = reference::decode(compressed, &mut other);
    agree(again, &other, "reference");
    result.map(|()| out)
}

fn hex(text: &str) -> Vec<u8> {
    text.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

/// (stream, what it stands for): a delta match, a repeat match of the first queue, a run.
fn known() -> [(Vec<u8>, Vec<u8>); 3] {
    [
        (hex("3f 65 d0 ff 00 00 00 50 0d 63 62 61"), b"abcdefghijklmnopqrstuvwxyz".to_vec()),
        (hex("ee 64 d0 ff 00 00 00 c0 1f 63 62 61"), b"abc".repeat(100)),
        (hex("ff 6b d0 ff 00 00 98 ba 43 e4 00 00"), vec![0; 32768]),
    ]
}

#[test]
fn known_streams() {
    for (stream, plain) in known() {
        assert!(decode(&stream, plain.len()) == Ok(plain));
    }
}

#[test]
fn a_wrong_size_is_told() {
    let [_, (stream, _), _] = known();
    assert_eq!(decode(&stream, 299), Err(DecodeError::BadLength));
    assert_eq!(decode(&stream, 2), Ok(b"ab".to_vec()));
    let mut decoder = Decoder::new();
    // More than can be had is not even looked at; zeroed memory costs nothing until it is touched.
    let mut out = vec![0; lzms::MAX_CHUNK_BYTES + 1];
    assert_eq!(decoder.decode(&stream, &mut out), Err(DecodeError::OutputTooLong));
}

#[test]
fn half_units_and_nothing_are_refused() {
    for stream in [&[][..], &[0], &[0; 2], &[0; 3], &[0; 5], &[0; 17]] {
        assert_eq!(decode(stream, 10), Err(DecodeError::Truncated), "{} bytes", stream.len());
    }
}

/// A file of the test data, if there is any.
fn test_data(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("WIM_TEST_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data"),
        PathBuf::from,
    );
    let file = std::fs::read(root.join(name)).ok();
    if file.is_none() {
        println!("skipped: {name} is not there");
    }
    file
}

/// Streams of the Compression API of Windows Server 2025: 24 bytes of header, then the size of the one chunk.
#[test]
fn streams_of_the_compression_api() {
    for name in ["english", "pattern", "small", "zeros"] {
        let Some(stream) = test_data(&format!("compress/lzms/{name}.lzms")) else { return };
        let Some(plain) = test_data(&format!("compress/lzms/{name}.raw")) else { return };
        let chunk = &stream[28..];
        assert_eq!(
            u32::from_le_bytes([stream[24], stream[25], stream[26], stream[27]]) as usize,
            chunk.len()
        );
        assert!(decode(chunk, plain.len()).as_ref() == Ok(&plain), "{name}");
        assert!(
            decode(&chunk[2..], plain.len()).is_err() && decode(&chunk[..chunk.len() - 2], 4096).is_err()
        );
    }
}

/// A solid resource that DISM made: header of 16 bytes, a table of one chunk size, the chunk.
#[test]
fn solid_resource_of_dism() {
    let Some(resource) = test_data("compress/lzms/wim_solid_lzms_ms.resource") else { return };
    let (header, chunk) = resource.split_at(20);
    assert_eq!(header[..16], hex("20 bf 02 00 00 00 00 00 00 00 00 04 03 00 00 00"));
    assert_eq!(u32::from_le_bytes([header[16], header[17], header[18], header[19]]) as usize, chunk.len());
    let plain = decode(chunk, 180_000).expect("a valid stream");
    let sentence = &plain[..plain.windows(10).skip(1).position(|w| w == &plain[..10]).expect("repeats") + 1];
    assert!(plain.chunks(sentence.len()).all(|piece| sentence.starts_with(piece)));
    assert!(plain.starts_with(b"The quick brown fox"));
}

#[test]
fn real_streams_damaged_everywhere() {
    for name in ["english", "pattern", "random", "small", "zeros"] {
        let Some(stream) = test_data(&format!("compress/lzms/{name}.lzms")) else { return };
        let Some(plain) = test_data(&format!("compress/lzms/{name}.raw")) else { return };
        let (mut decoder, mut other) = (Decoder::new(), Decoder::new());
        agree_on_damage(
            &stream[28..],
            plain.len(),
            |s, out| decoder.decode(s, out),
            |s, out| other.decode_carefully(s, out),
        );
    }
}
