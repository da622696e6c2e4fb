//! Known streams: the two examples of [MS-XCA] 3.2, and files that Windows compressed.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

#[path = "../../lz-kit/testing/damage.rs"]
mod damage;

use std::path::PathBuf;

use damage::agree_on_damage;

use sha2::{Digest, Sha256};
use xpress::{DecodeError, Decoder, reference};

/// Decodes three ways (fast, careful, reference), which must agree.
fn decode(compressed: &[u8], size: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new();
    let mut out = vec![0xaa; size];
    let result = decoder.decode(compressed, &mut out);
    let mut other = vec![0x55; size];
    assert_eq!(decoder.decode_carefully(compressed, &mut other), result);
    if result.is_ok() {
        assert!(other == out, "the decoders disagree");
    }
    assert_eq!(reference::decode(compressed, &mut other), result);
    result.map(|()| {
        assert!(other == out, "the decoders disagree");
        out
    })
}

/// The first example of [MS-XCA] 3.2.
fn alphabet() -> Vec<u8> {
    let mut stream = vec![0; 256];
    stream[48..62].copy_from_slice(&hex("50 55 55 55 55 55 55 55 55 55 55 45 44 04"));
    stream[128] = 4;
    stream.extend(hex("d8 52 3e d7 94 11 5b e9 19 5f f9 d6 7c df 8d 04 00 00 00 00"));
    stream
}

/// The second example of [MS-XCA] 3.2: a match whose length is in two bytes among the bits.
fn repeated_abc() -> Vec<u8> {
    let mut stream = vec![0; 256];
    for (at, byte) in [(48, 0x30), (49, 0x23), (128, 0x02), (143, 0x20)] {
        stream[at] = byte;
    }
    stream.extend(hex("a8 dc 00 00 ff 26 01"));
    stream
}

fn hex(text: &str) -> Vec<u8> {
    text.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

#[test]
fn letters_of_the_alphabet() {
    assert_eq!(decode(&alphabet(), 26).as_deref(), Ok(b"abcdefghijklmnopqrstuvwxyz".as_slice()));
}

#[test]
fn a_long_match_among_the_bits() {
    assert_eq!(decode(&repeated_abc(), 300), Ok(b"abc".repeat(100)));
}

#[test]
fn a_wrong_size_is_told() {
    assert_eq!(decode(&repeated_abc(), 299), Err(DecodeError::BadLength));
    // The end-of-data symbol reads as a match of three bytes, then zero bits as more letters, then the data ends.
    assert!(decode(&repeated_abc(), 330).is_err());
    assert_eq!(decode(&repeated_abc(), 65537), Err(DecodeError::OutputTooLong));
}

#[test]
fn truncation_is_told_at_every_length() {
    let stream = repeated_abc();
    for len in 0..stream.len() {
        assert_eq!(decode(&stream[..len], 300), Err(DecodeError::Truncated), "{len} bytes");
    }
    // The last item of the alphabet ends within the eighth unit; the encoder's padding may go.
    let stream = alphabet();
    for len in 0..stream.len() - 4 {
        assert_eq!(decode(&stream[..len], 26), Err(DecodeError::Truncated), "{len} bytes");
    }
    assert!(decode(&stream[..272], 26).is_ok());
}

#[test]
fn lengths_that_need_no_escape_are_refused() {
    let mut stream = repeated_abc();
    let end = stream.len();
    for (field, result) in
        [(14u16, Err(DecodeError::BadLength)), (0, Err(DecodeError::BadLength)), (15, Ok(()))]
    {
        stream[end - 2..].copy_from_slice(&field.to_le_bytes());
        assert_eq!(decode(&stream, 3 + 3 + usize::from(field)).map(drop), result);
    }
}

#[test]
fn codes_that_are_not_complete_are_refused() {
    let mut stream = alphabet();
    stream[128] = 0;
    assert_eq!(decode(&stream, 26), Err(DecodeError::BadCode));
    stream[128] = 1;
    assert_eq!(decode(&stream, 26), Err(DecodeError::BadCode));
    assert_eq!(decode(&[0; 300], 1), Err(DecodeError::EmptyCode));
    assert_eq!(decode(&[0; 300], 0), Ok(Vec::new()));
}

/// A file of the test data, if there is any.
#[expect(clippy::print_stdout, reason = "says that a test was skipped")]
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

#[test]
fn libfwnt_stream() {
    let Some(stream) = test_data("compress/libfwnt/lzxpress_huffman.1") else { return };
    assert_eq!(decode(&stream, 26).as_deref(), Ok(b"abcdefghijklmnopqrstuvwxyz".as_slice()));
}

/// Prefetch files that fit one block, compressed by Windows 10 and 11.
#[test]
fn prefetch_files() {
    let files = [
        (
            "AM_DELTA_PATCH_1.377.612.0.EX-DE69C04C",
            "50254c5b79cbc9e097a2f5c1323a5c09375b0abdc08d7917005aadfdc742467e",
        ),
        (
            "MICROSOFTEDGEUPDATE.EXE-39887C5C",
            "055eb0fbb71c7840a740a9c28058a336ea1eaafb2d96e23fbcd5af158e8aad59",
        ),
        ("GIT-REMOTE-HTTP.EXE-35BBC672", "62f1f7a5b63569abb46293181b134112f15e5a6ff0808d3884f6c6d3b6954b5e"),
        ("VC_REDIST.X64.EXE-C17C76B0", "ba999d6d5bfa7335febe4cb33e624938be9daf5827613dab5c372459493a8e03"),
    ];
    for (name, digest) in files {
        let Some(file) = test_data(&format!("compress/xpress-huff/{name}.pf")) else { return };
        assert_eq!(file[..4], *b"MAM\x04");
        let size = u32::from_le_bytes([file[4], file[5], file[6], file[7]]) as usize;
        let plain = decode(&file[8..], size).expect("a valid stream");
        let found: String = Sha256::digest(&plain).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{name}");
    }
}

#[test]
fn real_streams_damaged_everywhere() {
    for name in ["AM_DELTA_PATCH_1.377.612.0.EX-DE69C04C", "MICROSOFTEDGEUPDATE.EXE-39887C5C"] {
        let Some(file) = test_data(&format!("compress/xpress-huff/{name}.pf")) else { return };
        let size = u32::from_le_bytes([file[4], file[5], file[6], file[7]]) as usize;
        let (mut decoder, mut other) = (Decoder::new(), Decoder::new());
        agree_on_damage(
            &file[8..],
            size,
            |s, out| decoder.decode(s, out),
            |s, out| other.decode_carefully(s, out),
        );
    }
}
