//! PA30 deltas: our own vectors, real deltas with their references, real manifests, files that must be refused.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use wim_core::base::{Digest, ErrorKind};
use wim_core::formats::delta::apply::{Claim, apply};
use wim_core::formats::delta::manifest::{self, BASE_MANIFEST_SHA256, StoreForm};

use crate::delta_writer::{Options, write_delta};
use crate::samples::{mixed_bytes, random_bytes, real_data};

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// (reference, target, delta): each exercises slots and codes that the others do not.
fn vectors() -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let numbers: Vec<u8> = (0..11264_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let letters: Vec<u8> = (65..105).chain(*b"ABCDEFGH").collect();
    let middle = numbers[0xA800..0xA806].to_vec();
    let list: [(Vec<u8>, Vec<u8>, &str); 5] = [
        (vec![], b"abcabcabcabc!".to_vec(), "50413330000000000000000018030200c80e01011156a72edd2b007902"),
        (
            b"The quick brown fox".to_vec(),
            b"The quick red fox".to_vec(),
            "50413330000000000000000018030200881121000113b0039029bd7a6afb7f",
        ),
        (
            vec![],
            vec![b'a'; 1001],
            "5041333000000000000000001803020008d307070085005a3054495c680f2bfa06e05ccf0809ae010d56e70c00c103",
        ),
        (
            vec![],
            letters,
            "504133300000000000000000180302008830210001c60055a62cd972e4ca93af40a122c54a942a53ae42a52ad56ad4aa53\
             af41a326cd5ab46ad3ae43a72edd7af4ead36fe049f402",
        ),
        (numbers, middle, "50413330000000000000000018030200480b010109b02d007e"),
    ];
    list.into_iter()
        .map(|(reference, target, delta)| (reference, target, bytes_of(&delta.replace(' ', ""))))
        .collect()
}

#[test]
fn our_own_vectors_decode() {
    for (number, (reference, target, delta)) in (1..).zip(vectors()) {
        assert_eq!(apply(&reference, &delta, &Claim::default()).unwrap(), target, "vector {number}");
    }
}

#[test]
fn a_delta_cannot_claim_more_than_its_container_says() {
    let (reference, target, delta) = vectors().swap_remove(2);
    let claim = Claim {
        size: Some(1001),
        digest: Some(Digest::Md5([0; 16]).of_same_kind(&target)),
        max_bytes: 1001,
        ..Claim::default()
    };
    assert!(apply(&reference, &delta, &claim).is_ok());
    let error = apply(&reference, &delta, &Claim { size: Some(1000), ..claim }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = apply(&reference, &delta, &Claim { max_bytes: 1000, ..Claim::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    let error =
        apply(&reference, &delta, &Claim { digest: Some(Digest::Md5([7; 16])), ..claim }).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.message().contains("07070707"), "{error}");
}

#[test]
fn real_deltas_rebuild_their_targets() {
    let Some(folder) = real_data("updates/pa30") else { return };
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    for (reference, delta, target) in [
        ("amd64_kbdwol/base.bin", "amd64_kbdwol/delta.pa30", "amd64_kbdwol/target.bin"),
        ("x86_mscordbi/base.bin", "x86_mscordbi/delta.pa30", "x86_mscordbi/target.bin"),
        ("sources/cmd.exe", "cmd__to__where__raw.pa30", "sources/where.exe"),
        ("sources/cmd.exe", "cmd__to__cmd_patched__pe_amd64.pa30", "sources/cmd_patched.exe"),
    ] {
        let rebuilt = apply(&read(reference), &read(delta), &Claim::unproved());
        assert!(
            rebuilt.as_ref().is_ok_and(|rebuilt| *rebuilt == read(target)),
            "{delta}: {:?}",
            rebuilt.err()
        );
        // With another basis the digest in the delta tells.
        let wrong = apply(&read("sources/where.exe"), &read(delta), &Claim::unproved());
        assert!(wrong.is_err(), "{delta}");
    }
}

#[test]
fn real_malformed_deltas_are_refused() {
    let Some(folder) = real_data("updates/pa30/malformed") else { return };
    let references = [vec![], vec![0x90; 70_000]];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for reference in &references {
            let error = apply(reference, &fs::read(&path).unwrap(), &Claim::default()).unwrap_err();
            println!("{}: {error}", path.display());
        }
    }
}

#[test]
fn real_manifests_of_a_component_store_expand() {
    let Some(folder) = real_data("updates/dcm") else { return };
    let base = fs::read(folder.join("base_manifest.bin")).unwrap();
    assert!(BASE_MANIFEST_SHA256.matches(&base));
    let mut expanded = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() != Some("manifest".as_ref()) {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        assert_eq!(StoreForm::of(&bytes), StoreForm::Manifest);
        let manifest = manifest::expand(&bytes, Some(&base), &Claim::default()).unwrap();
        check_manifest(&path, &manifest);
        assert!(
            manifest::expand(&bytes, Some(&base[..9000]), &Claim::default()).map_or(true, |m| m != manifest)
        );
        expanded += 1;
    }
    assert_eq!(expanded, 5);
}

fn check_manifest(path: &Path, manifest: &[u8]) {
    let text = std::str::from_utf8(manifest).unwrap();
    assert!(text.contains("<assembly ") && text.trim_end().ends_with("</assembly>"), "{}", path.display());
    let name = path.file_name().unwrap().to_string_lossy();
    if name.starts_with("wow64_") {
        let golden = "43c1523772b6a61fa70228fb029a8e2b6bcaff8f2c361a11e6ad2cd8364bf459";
        assert_eq!(manifest.len(), 3_263_571);
        assert!(Digest::sha_from_hex(golden).unwrap().matches(manifest));
    }
}

/// A target like a later version of its reference: edits here and there, something new at the end.
fn edited(reference: &[u8], seed: u64) -> Vec<u8> {
    let mut target = reference.to_vec();
    for (number, chunk) in target.chunks_mut(3000).enumerate() {
        if let Some(byte) = chunk.get_mut((seed as usize + number * 7) % 2000) {
            *byte ^= 0x55;
        }
    }
    let at = target.len() / 3;
    target.splice(at..at, random_bytes(seed, 40));
    target.extend(mixed_bytes(seed + 1, 5000));
    target
}

#[test]
fn what_the_writer_of_the_tests_makes_decodes() {
    for size in [0, 1, 500, 60_000, 400_000] {
        let reference = mixed_bytes(size as u64, size);
        let target = edited(&reference, 5);
        for segments in [vec![], vec![1], vec![target.len() / 3, target.len() / 2], vec![0, 700, 700]] {
            let delta = write_delta(&reference, &target, &Options { segments, ..Options::default() });
            assert_eq!(apply(&reference, &delta, &Claim::default()).unwrap(), target, "{size} bytes");
            assert!(size < 60_000 || delta.len() < target.len() / 3, "{} for {size} bytes", delta.len());
        }
    }
}

#[test]
fn calls_of_programs_are_translated_back() {
    // The smallest thing that counts as an i386 program.
    let mut program = vec![0x90; 0x400];
    program[..2].copy_from_slice(b"MZ");
    program[0x3C..0x40].copy_from_slice(&[0x80, 0, 0, 0]);
    program[0x80..0x84].copy_from_slice(b"PE\0\0");
    program[0x84..0x98].copy_from_slice(&[0x4C, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xE0, 0, 2, 1]);
    program[0x98..0x178].fill(0);
    program[0x98..0x9A].copy_from_slice(&[0x0B, 1]);
    program[0x200..0x205].copy_from_slice(&[0xE8, 0x10, 0, 0, 0]);
    let mut translated = program.clone();
    translated[0x201..0x205].copy_from_slice(&0x210_u32.to_le_bytes());
    let stated = Claim { digest: Some(Digest::Md5([0; 16]).of_same_kind(&program)), ..Claim::default() };
    let options = Options { flags: 0x2_0001, has_digest: false, ..Options::default() };
    assert_eq!(apply(&[], &write_delta(&[], &translated, &options), &stated).unwrap(), program);
    // What is no program is tried as it is first, and translated when only that has the digest.
    let text = [b"no program \xE8\x10\0\0\0".as_slice(), &[b'.'; 40]].concat();
    let of_text = Claim { digest: Some(Digest::Md5([0; 16]).of_same_kind(&text)), ..Claim::default() };
    assert_eq!(apply(&[], &write_delta(&[], &text, &options), &of_text).unwrap(), text);
    let mut moved = text.clone();
    moved[12..16].copy_from_slice(&(0x10 + 11_u32).to_le_bytes());
    assert_eq!(apply(&[], &write_delta(&[], &moved, &options), &of_text).unwrap(), text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutated_deltas_give_an_answer(
        seed in 0..4_u64,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let reference = mixed_bytes(seed, 3000);
        let target = edited(&reference, seed);
        let segments = if seed % 2 == 0 { vec![] } else { vec![900] };
        let mut delta = write_delta(&reference, &target, &Options { segments, ..Options::default() });
        for (at, value) in flips {
            let at = at.index(delta.len());
            delta[at] = value;
        }
        if seed == 3 {
            delta.truncate(cut.index(delta.len()));
        }
        let claim = Claim { max_bytes: 20_000, ..Claim::default() };
        if let Ok(rebuilt) = apply(&reference, &delta, &claim) {
            prop_assert!(rebuilt.len() <= 20_000);
        }
    }
}
