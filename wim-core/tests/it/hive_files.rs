//! Real hives of the optional test data, unpacked once by the `xz` command; tests skip when either is absent.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that panics has failed, one that skips says so"
)]

use std::process::{Command, Stdio};

use wim_core::base::ErrorKind;
use wim_core::formats::hive::{CompareTimes, Damage, Hive, HiveVersion, Severity};

use crate::samples;

/// Hives that are healthy: they open, and nothing is wrong with them.
pub(crate) const HEALTHY: [&str; 41] = [
    "win7-SYSTEM.xz",
    "win7-NTUSER.DAT.xz",
    "ntuser-software-partial.xz",
    "sam-2014.xz",
    "win10-21H2-SYSTEM.xz",
    "win-BCD-ez.xz",
    "sam-ez.xz",
    "sam-root-value.xz",
    "sam-bigendian-dword.xz",
    "security-noroot.xz",
    "usrclass-unknown-type-0x52.xz",
    "plaso-win7-NTUSER.DAT.xz",
    "winxp-SYSTEM.xz",
    "nt-hive-testhive.xz",
    "bcd-new-template",
    "hivex-minimal",
    "hivex-special",
    "win7-bios-bcd",
    "python-registry-UNICODE_TESTS",
    "python-registry-issue22.hive",
    "yarp/BigDataHive.xz",
    "yarp/BogusKeyNamesHive.xz",
    "yarp/DeletedDataHive.xz",
    "yarp/DeletedTreeHive.xz",
    "yarp/DeletedTreePartialPathHive.xz",
    "yarp/DupNameHive.xz",
    "yarp/EmptyHive.xz",
    "yarp/ExtendedASCIIHive.xz",
    "yarp/ManySubkeysHive.xz",
    "yarp/MultiSzHive.xz",
    "yarp/NewDirtyHive1/RecoveredHive_Windows10.xz",
    "yarp/OffHive",
    "yarp/OldDirtyHive/RecoveredHive_Windows7.xz",
    "yarp/ReallocValueDataHive.xz",
    "yarp/ReallocValueHive.xz",
    "yarp/RemnantData.xz",
    "yarp/SlackHive.xz",
    "yarp/TruncatedPairHive.xz",
    "yarp/TruncatedPairHive2.xz",
    "yarp/UpcaseHive.xz",
    "yarp/ValuesOrderHive.xz",
];

/// The unpacked bytes of a hive of the test data.
pub(crate) fn bytes(name: &str) -> Option<Vec<u8>> {
    let path = samples::real_data(&format!("hives/{name}"))?;
    if !name.ends_with(".xz") {
        return std::fs::read(path).ok();
    }
    let output = Command::new("xz").arg("-dc").arg(path).stderr(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Some(output.stdout),
        _ => {
            println!("skipped: {name} cannot be unpacked without the xz command");
            None
        }
    }
}

/// A healthy hive, open.
pub(crate) fn open(name: &str) -> Option<Hive> {
    let bytes = bytes(name)?;
    Some(Hive::open(bytes).unwrap_or_else(|error| panic!("{name}: {error}")))
}

#[test]
fn healthy_hives_open_check_and_stay_as_they_are() {
    for name in HEALTHY {
        let Some(bytes) = bytes(name) else { return };
        let hive = Hive::open(bytes.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = hive.check();
        assert!(report.is_sound(), "{name}: {:?}", report.findings.first());
        assert!(hive.finish().unwrap() == bytes, "{name}: bytes differ");
    }
}

/// Numbers that an independent reader (hivex) counted.
#[test]
fn keys_and_values_are_all_found() {
    for (name, keys, values) in [
        ("win7-SYSTEM.xz", 30_756, 73_456),
        ("win7-NTUSER.DAT.xz", 1_812, 4_094),
        ("ntuser-software-partial.xz", 6_396, 19_990),
        ("win10-21H2-SYSTEM.xz", 33_317, 74_454),
        ("winxp-SYSTEM.xz", 10_269, 27_556),
        ("yarp/ManySubkeysHive.xz", 5_003, 0),
    ] {
        let Some(hive) = open(name) else { return };
        let report = hive.check();
        assert_eq!((report.keys, report.values), (keys, values), "{name}");
        let mut walked = 0;
        hive.walk(&mut |_, _| {
            walked += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(walked, keys, "{name}");
    }
}

#[test]
fn rebuilding_loses_nothing_and_is_stable() {
    for name in HEALTHY {
        let Some(hive) = open(name) else { return };
        let (compact, left_out) = hive.compact(Damage::Refuse).unwrap();
        assert!(left_out.is_empty());
        assert_eq!(hive.diff(&compact, CompareTimes::Yes).unwrap(), [], "{name}");
        let report = compact.check();
        assert!(report.is_sound(), "{name}: {:?}", report.findings);
        let first = compact.finish().unwrap();
        let again = Hive::open(first.clone()).unwrap();
        assert_eq!(hive.diff(&again, CompareTimes::Yes).unwrap(), [], "{name}");
        let (twice, _) = again.compact(Damage::Refuse).unwrap();
        let second = twice.finish().unwrap();
        assert!(first[4096..] == second[4096..], "{name}: a rebuilt hive rebuilds to other bytes");
    }
}

#[test]
fn damage_is_found_and_never_edited() {
    for (name, part) in [
        ("yarp/WrongOrderHive.xz", "out of order"),
        ("yarp/InvalidParentHive.xz", "the parent is"),
        ("yarp/BadSubkeyHive.xz", "subkey"),
        ("yarp/CompHive.xz", "hint"),
        ("yarp/DeletedDataHiveTruncated.xz", ""),
        ("winxp-corrupt-SYSTEM.xz", ""),
        ("sam-bad-hbin-header.xz", "hbin"),
    ] {
        let Some(bytes) = bytes(name) else { return };
        let (hive, mut findings) = match Hive::open_damaged(bytes.clone()) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(error.kind() == ErrorKind::Format, "{name}: {error}");
                continue;
            }
        };
        findings.extend(hive.check().findings);
        let errors: Vec<_> = findings.iter().filter(|f| f.severity == Severity::Error).collect();
        assert!(errors.iter().any(|f| f.message.contains(part)), "{name}: {findings:?}");
        if let Ok(mut hive) = Hive::open(bytes) {
            let error = hive.create_key("New").unwrap_err();
            assert!(error.to_string().contains("damaged"), "{name}: {error}");
            assert!(!hive.is_changed());
        }
        let (repaired, _) = hive.compact(Damage::GiveUp).unwrap();
        let report = repaired.check();
        assert!(report.is_sound(), "{name}: {:?}", report.findings);
        let mut repaired = Hive::open(repaired.finish().unwrap()).unwrap();
        assert!(repaired.create_key("New\\Key").unwrap(), "{name}");
    }
}

#[test]
fn foreign_files_and_old_versions_are_refused_by_name() {
    for (name, part) in [
        ("not-a-hive.xz", "no registry hive"),
        ("nt3.1-SOFTWARE.xz", "version 1.1"),
        ("yarp/TruncatedHiveBin", "smaller than a base block"),
        ("yarp/GarbageHive.xz", "checksum"),
        ("yarp/TruncatedDirtyHive", "dirty"),
    ] {
        let Some(bytes) = bytes(name) else { return };
        let error = Hive::open(bytes).unwrap_err();
        assert!(error.to_string().contains(part), "{name}: {error}");
    }
}

#[test]
fn layered_hives_are_read() {
    let Some(hive) = open("yarp/System_Delta.xz") else { return };
    assert_eq!(hive.version(), HiveVersion::V1_6);
    let report = hive.check();
    assert!(report.is_sound(), "{:?}", report.findings);
}
