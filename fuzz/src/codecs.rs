//! Oracles of the codecs: any decoder agrees with its reference, and what is encoded decodes to itself.

use lzx::WindowOrder;
use wim_core::jobs::Level;

/// Sizes asked of the decoders: a few bytes, a short last chunk, a whole one.
const SIZES: [usize; 3] = [17, 5000, 32768];

/// LZX: the decoder gives what the reference decoder gives, errors included.
///
/// # Panics
/// When they differ.
pub fn lzx_equals_reference(bytes: &[u8]) {
    for log2 in [15, 17, 21] {
        let Some(window) = WindowOrder::new(log2) else { continue };
        let mut decoder = lzx::Decoder::new(window);
        for size in SIZES {
            let (mut fast, mut slow) = (vec![0; size], vec![0; size]);
            let result = decoder.decode(bytes, &mut fast);
            let expected = lzx::reference::decode(window, bytes, &mut slow);
            assert_eq!(result.is_ok(), expected.is_ok(), "{result:?} against {expected:?}");
            assert!(result.is_err() || fast == slow, "window 2^{log2}, {size} bytes: the outputs differ");
        }
    }
}

/// LZMS: the decoder gives what the reference decoder gives, errors included.
///
/// # Panics
/// When they differ.
pub fn lzms_equals_reference(bytes: &[u8]) {
    let mut decoder = lzms::Decoder::new();
    for size in SIZES {
        let (mut fast, mut slow) = (vec![0; size], vec![0; size]);
        let result = decoder.decode(bytes, &mut fast);
        let expected = lzms::reference::decode(bytes, &mut slow);
        assert_eq!(result, expected);
        assert!(result.is_err() || fast == slow, "{size} bytes: the outputs differ");
    }
}

/// XPRESS: the decoder gives what the reference decoder gives, errors included.
///
/// # Panics
/// When they differ.
pub fn xpress_equals_reference(bytes: &[u8]) {
    let mut decoder = xpress::Decoder::new();
    for size in SIZES {
        let (mut fast, mut slow) = (vec![0; size], vec![0; size]);
        let result = decoder.decode(bytes, &mut fast);
        let expected = xpress::reference::decode(bytes, &mut slow);
        assert_eq!(result.is_ok(), expected.is_ok(), "{result:?} against {expected:?}");
        assert!(result.is_err() || fast == slow, "{size} bytes: the outputs differ");
    }
}

/// Whatever is encoded decodes to itself, with all codecs at three levels.
///
/// # Panics
/// When it does not.
pub fn encoded_chunks_decode(bytes: &[u8]) {
    let chunk = &bytes[..bytes.len().min(32768)];
    let Some((window, room)) = WindowOrder::new(15).zip(chunk.len().checked_sub(1)) else { return };
    for level in [Level::FAST, Level::NORMAL, Level::MAX] {
        let (mut stored, mut out) = (vec![0; room], vec![0; chunk.len()]);
        if let Some(length) = lzx::Encoder::new(window, level).encode(chunk, &mut stored) {
            let decoded = lzx::Decoder::new(window).decode(&stored[..length], &mut out);
            assert!(decoded.is_ok() && out == chunk, "LZX {level:?}");
        }
        if let Some(length) = xpress::Encoder::new(32768, level).encode(chunk, &mut stored) {
            let decoded = xpress::Decoder::new().decode(&stored[..length], &mut out);
            assert!(decoded.is_ok() && out == chunk, "XPRESS {level:?}");
        }
        if let Some(length) = lzms::Encoder::new(32768, level).encode(chunk, &mut stored) {
            let decoded = lzms::Decoder::new().decode(&stored[..length], &mut out);
            assert!(decoded.is_ok() && out == chunk, "LZMS {level:?}");
        }
    }
}
