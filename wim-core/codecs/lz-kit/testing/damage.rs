//! Shared by the tests of all codecs: a real stream, damaged at every position. It knows no codec.

use lz_kit::DecodeError;

/// Every beginning of `stream`, one byte more anywhere, and one bit changed in each byte: both decoders, which get an output of `size`
/// bytes, agree on all of them.
pub(crate) fn agree_on_damage(
    stream: &[u8],
    size: usize,
    mut fast: impl FnMut(&[u8], &mut [u8]) -> Result<(), DecodeError>,
    mut careful: impl FnMut(&[u8], &mut [u8]) -> Result<(), DecodeError>,
) {
    let (mut out, mut other) = (vec![0; size], vec![0; size]);
    let mut check = |stream: &[u8]| {
        let result = fast(stream, &mut out);
        assert_eq!(careful(stream, &mut other), result);
        assert!(result.is_err() || out == other, "other bytes");
    };
    for at in 0..stream.len() {
        check(&stream[..at]);
        let mut damaged = stream.to_vec();
        damaged[at] ^= 1 << (at % 8);
        check(&damaged);
        damaged[at] = stream[at];
        damaged.insert(at, 0x5a);
        check(&damaged);
    }
}
