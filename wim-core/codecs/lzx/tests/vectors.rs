//! Known streams: hand-made blocks of each type, what wimlib writes for simple data, and a file that Windows compressed.

#![allow(clippy::print_stdout, reason = "a skipped test says so")]

#[path = "../../lz-kit/testing/damage.rs"]
mod damage;

use std::path::PathBuf;

use damage::agree_on_damage;

use lzx::{DecodeError, Decoder, WindowOrder, reference};

/// Decodes three ways (fast, careful, reference), which must agree.
fn decode(window: WindowOrder, compressed: &[u8], size: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(window);
    let mut out = vec![0xaa; size];
    let result = decoder.decode(compressed, &mut out);
    let mut other = vec![0x55; size];
    assert_eq!(decoder.decode_carefully(compressed, &mut other), result);
    if result.is_ok() {
        assert!(other == out, "the decoders disagree");
    }
    assert_eq!(reference::decode(window, compressed, &mut other), result);
    result.map(|()| {
        assert!(other == out, "the decoders disagree");
        out
    })
}

fn decode_15(compressed: &[u8], size: usize) -> Result<Vec<u8>, DecodeError> {
    decode(WindowOrder::MIN, compressed, size)
}

fn hex(text: &str) -> Vec<u8> {
    text.split(' ').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect()
}

/// A verbatim block that gives ABBA: main code A = 0, B = 1, no length code.
const ABBA: &str = "00 20 00 40 00 00 00 00 00 00 21 02 fa 07 df a7 01 7d 00 00 00 00 00 00 00 00 0f 01 ff ff 04 fc \
                    00 00 00 00 00 00 00 00 3f 04 ff ff 60 f9";

#[test]
fn uncompressed_blocks() {
    let letters = b"abcdefghijklmnopqrstuvwxyz";
    let mut stream = hex("01 60 00 a0 01 00 00 00 01 00 00 00 01 00 00 00");
    stream.extend(letters);
    assert_eq!(decode_15(&stream, 26).as_deref(), Ok(letters.as_slice()));
    for len in 0..stream.len() {
        assert_eq!(decode_15(&stream[..len], 26), Err(DecodeError::Truncated));
    }

    let mut stream = hex("01 60 00 b0 01 00 00 00 01 00 00 00 01 00 00 00");
    stream.extend(b"abcdefghijklmnopqrstuvwxyz!");
    // The padding behind the last block is not needed.
    assert_eq!(decode_15(&stream, 27).as_deref(), Ok(b"abcdefghijklmnopqrstuvwxyz!".as_slice()));
    stream.push(0);
    assert_eq!(decode_15(&stream, 27).as_deref(), Ok(b"abcdefghijklmnopqrstuvwxyz!".as_slice()));
    // A second block after the padding.
    stream.extend(hex("01 60 00 a0 01 00 00 00 01 00 00 00 01 00 00 00"));
    stream.extend(letters);
    assert_eq!(
        decode_15(&stream, 53).as_deref(),
        Ok(b"abcdefghijklmnopqrstuvwxyz!abcdefghijklmnopqrstuvwxyz".as_slice())
    );
    stream[8] = 0;
    assert_eq!(decode_15(&stream, 53), Err(DecodeError::BadOffset));
}

#[test]
fn verbatim_block() {
    let stream = hex(ABBA);
    assert_eq!(decode_15(&stream, 4).as_deref(), Ok(b"ABBA".as_slice()));
    for len in 0..stream.len() {
        assert_eq!(decode_15(&stream[..len], 4), Err(DecodeError::Truncated), "{len} bytes");
    }
    assert_eq!(decode_15(&stream, 3), Err(DecodeError::BadBlock));
    assert_eq!(decode_15(&stream, 32769), Err(DecodeError::OutputTooLong));
    assert!(decode_15(&stream, 5).is_err());
}

/// An uncompressed block whose header ends on a unit boundary is followed by a whole unit that is skipped.
#[test]
fn a_whole_unit_is_skipped_at_a_boundary() {
    // "ABBA" ends four bits before the end of the last unit; type 3 and flag 0 fill it, the size is a unit.
    let mut stream = hex(ABBA);
    let last = stream.len() - 2;
    stream[last] |= 0b0110;
    stream.extend(5u16.to_le_bytes());
    let raw = hex("01 00 00 00 01 00 00 00 01 00 00 00 68 65 6c 6c 6f");
    let without_skip = [stream.as_slice(), &raw].concat();
    assert_ne!(decode_15(&without_skip, 9).as_deref(), Ok(b"ABBAhello".as_slice()));
    let with_skip = [stream.as_slice(), &[0xff, 0xff], &raw].concat();
    assert_eq!(decode_15(&with_skip, 9).as_deref(), Ok(b"ABBAhello".as_slice()));
}

#[test]
fn what_wimlib_writes() {
    let abc = hex(
        "12 20 00 c2 00 00 00 00 03 00 01 30 da 07 3e fb f5 fb 00 00 00 00 00 00 01 00 08 01 17 67 fb 3e 80 ed 00 00 \
         00 00 00 00 11 00 15 08 fb 3e f3 ef 96 1b 00 80",
    );
    assert_eq!(decode_15(&abc, 300), Ok(b"abc".repeat(100)));
    assert_eq!(decode_15(&abc, 299), Err(DecodeError::BadBlock));

    let mut zeros = hex(
        "00 30 00 00 00 00 00 00 01 01 ff 07 ff ff 00 e0 00 00 00 00 00 00 42 04 cf 19 fb be 00 e4 00 00 00 00 00 00 \
         11 00 3e 08 93 ff 8f ef ff 37",
    );
    zeros.extend([0xff; 30]);
    zeros.extend([0, 0xc0]);
    assert_eq!(decode_15(&zeros, 32768), Ok(vec![0; 32768]));
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
    let (Some(stream), Some(plain)) =
        (test_data("compress/libfwnt/lzx.1"), test_data("compress/libfwnt/lzx.1.raw"))
    else {
        return;
    };
    assert!(decode_15(&stream, plain.len()) == Ok(plain));
}

#[test]
fn a_real_stream_damaged_everywhere() {
    let (Some(stream), Some(plain)) =
        (test_data("compress/libfwnt/lzx.1"), test_data("compress/libfwnt/lzx.1.raw"))
    else {
        return;
    };
    let (mut decoder, mut other) = (Decoder::new(WindowOrder::MIN), Decoder::new(WindowOrder::MIN));
    agree_on_damage(
        &stream,
        plain.len(),
        |s, out| decoder.decode(s, out),
        |s, out| other.decode_carefully(s, out),
    );
}
