//! Hostile hives: truncated, bent and lying bytes give errors or findings, never a panic, an endless loop or a large
//! allocation.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use wim_core::formats::hive::{
    CompareTimes, CreateOptions, Damage, DeleteScope, Hive, HiveVersion, RegValue,
};

/// A hive with something of everything.
fn sample(version: HiveVersion) -> Vec<u8> {
    let mut hive = Hive::create(version, &CreateOptions::default()).unwrap();
    for number in 0..60 {
        let key = format!("Software\\Key {number}\\Ünter");
        hive.set_value(&key, "", &RegValue::sz("default")).unwrap();
        hive.set_value(&key, "Число", &RegValue::dword(number)).unwrap();
        hive.set_value(&key, "bytes", &RegValue::binary(vec![7; number as usize * 5])).unwrap();
    }
    for number in 0..1200 {
        hive.create_key(&format!("Many\\{number:05}")).unwrap();
    }
    hive.set_value("Big", "data", &RegValue::binary(vec![9; 40_000])).unwrap();
    hive.set_class("Big", "a class").unwrap();
    hive.delete_key("Software\\Key 7", DeleteScope::Subtree).unwrap();
    hive.finish().unwrap()
}

/// Everything that can be done with untrusted bytes.
fn try_everything(bytes: &[u8]) {
    if let Ok(hive) = Hive::open(bytes.to_vec()) {
        let sound = hive.check().is_sound();
        let walked = hive.walk(&mut |_, key| {
            for value in key.values() {
                let _ = value?.data()?;
            }
            key.class()?;
            key.security()?;
            Ok(())
        });
        assert!(!sound || walked.is_ok(), "the checker passed what the reader refuses: {walked:?}");
        let _ = hive.diff(&hive, CompareTimes::Yes);
        let mut edited = hive.clone();
        let result = edited
            .set_value("Software\\Key 3\\New", "x", &RegValue::binary(vec![1; 20_000]))
            .and_then(|_| edited.delete_key("Many", DeleteScope::Forced))
            .and_then(|_| edited.delete_key("Software\\Key 5", DeleteScope::Forced));
        assert_eq!(result.is_err(), !sound, "{result:?}");
        if sound {
            let report = edited.check();
            assert!(report.is_sound(), "{:?}", report.findings);
        }
    }
    if let Ok((hive, _)) = Hive::open_damaged(bytes.to_vec()) {
        let _ = hive.check();
        if let Ok((repaired, _)) = hive.compact(Damage::GiveUp) {
            let report = repaired.check();
            assert!(report.is_sound(), "{:?}", report.findings);
        }
    }
    let _ = Hive::recover(bytes.to_vec(), &[bytes]);
}

/// A generator that gives the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Sets the checksum right, so that the mutation is not refused for it alone.
fn reseal(bytes: &mut [u8]) {
    if bytes.len() >= 512 {
        let sum =
            bytes[..508].chunks(4).fold(0, |sum, dword| sum ^ u32::from_le_bytes(dword.try_into().unwrap()));
        let sum = match sum {
            0 => 1,
            u32::MAX => u32::MAX - 1,
            sum => sum,
        };
        bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    }
}

/// 1,600 inputs: 400 truncations and 1,200 bent copies, the checksum put right in most.
fn mutate(bytes: &[u8], rounds: usize) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..rounds {
        let mut cut = bytes[..random.below(bytes.len())].to_vec();
        reseal(&mut cut);
        try_everything(&cut);
    }
    for round in 0..rounds * 3 {
        let mut bent = bytes.to_vec();
        for _ in 0..=random.below(8) {
            let at = match round % 3 {
                // The base block, the first bins (where the structure is dense), anywhere.
                0 => random.below(512),
                1 => 4096 + random.below(8192.min(bent.len() - 4096)),
                _ => random.below(bent.len()),
            };
            bent[at] = match random.below(4) {
                0 => 0,
                1 => 0xFF,
                2 => bent[at] ^ 1 << random.below(8),
                _ => random.next() as u8,
            };
        }
        if round % 8 != 0 {
            reseal(&mut bent);
        }
        try_everything(&bent);
    }
}

#[test]
fn sixteen_hundred_mutations_of_a_built_hive_are_survived() {
    mutate(&sample(HiveVersion::V1_5), 200);
    mutate(&sample(HiveVersion::V1_3), 200);
}

#[test]
fn sixteen_hundred_mutations_of_a_real_hive_are_survived() {
    let Some(bytes) = crate::hive_files::bytes("sam-ez.xz") else { return };
    mutate(&bytes[..4096 + 32768], 400);
}

#[test]
fn a_counting_bomb_allocates_nothing() {
    // The root claims four billion subkeys and values.
    for field in [20, 36] {
        let mut bytes = sample(HiveVersion::V1_5);
        let root = 4096 + 0x20 + 4;
        bytes[root + field..root + field + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        try_everything(&bytes);
        let hive = Hive::open(bytes).unwrap();
        assert!(!hive.check().is_sound());
    }
}

#[test]
fn a_key_that_is_its_own_descendant_ends() {
    let mut bytes = sample(HiveVersion::V1_5);
    let hive = Hive::open(bytes.clone()).unwrap();
    let root = hive.root().unwrap();
    let below = hive.key("Software\\Key 3").unwrap().unwrap();
    // The list of "Key 3" becomes that of the root.
    let lists_of = |offset: u32| 4096 + offset as usize + 4 + 28;
    let (from, to) = (lists_of(root.offset()), lists_of(below.offset()));
    let list: [u8; 4] = bytes[from..from + 4].try_into().unwrap();
    bytes[to..to + 4].copy_from_slice(&list);
    let hive = Hive::open(bytes.clone()).unwrap();
    assert!(hive.walk(&mut |_, _| Ok(())).is_err());
    assert!(!hive.check().is_sound());
    try_everything(&bytes);
}
