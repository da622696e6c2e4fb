//! Every digest is the one that the `sha1` package gives.

use proptest::prelude::*;
use sha1::{Digest, Sha1};
use sha1_lanes::digests;

fn one_by_one(messages: &[&[u8]]) -> Vec<[u8; 20]> {
    messages.iter().map(|message| Sha1::digest(message).into()).collect()
}

#[test]
fn the_published_examples() {
    let hex = |digest: &[u8; 20]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let found = digests(&[b"abc", b"", b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"]);
    assert_eq!(hex(&found[0]), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(hex(&found[1]), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    assert_eq!(hex(&found[2]), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    assert!(digests(&[]).is_empty());
}

#[test]
fn every_length_around_blocks_in_every_number_of_lanes() {
    let bytes: Vec<u8> = (0..400u32).map(|i| (i * 7 + (i >> 3)) as u8).collect();
    for count in 1..=9 {
        for length in 0..200 {
            let messages: Vec<&[u8]> = (0..count).map(|i| &bytes[i..i + length + (i % 3) * 64]).collect();
            assert_eq!(digests(&messages), one_by_one(&messages), "{count} of {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn lists_of_any_messages(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..20)) {
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(digests(&messages), one_by_one(&messages));
    }
}
