//! Recovery of dirty hives from their transaction logs, against what Windows itself made of them.

use wim_core::base::ErrorKind;
use wim_core::formats::hive::{CompareTimes, Hive};

use crate::hive_files::bytes;

/// Opens a hive of the test data with logs; `None` when the data is absent.
fn recover(name: &str, logs: &[&str]) -> Option<Result<Hive, wim_core::base::Error>> {
    let primary = bytes(name)?;
    let logs: Vec<Vec<u8>> = logs.iter().map(|log| bytes(log)).collect::<Option<_>>()?;
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    Some(Hive::recover(primary, &logs))
}

#[test]
fn new_logs_give_what_windows_10_made_of_them() {
    let folder = "yarp/NewDirtyHive1/";
    let (log1, log2) = (format!("{folder}NewDirtyHive.LOG1.xz"), format!("{folder}NewDirtyHive.LOG2.xz"));
    let name = format!("{folder}NewDirtyHive.xz");
    // Order of the arguments does not matter.
    for logs in [[log1.as_str(), &log2], [&log2, &log1]] {
        let Some(hive) = recover(&name, &logs) else { return };
        let hive = hive.unwrap();
        assert!(hive.is_changed());
        let Some(expected) = bytes("yarp/NewDirtyHive1/RecoveredHive_Windows10.xz") else { return };
        // The base block holds sequence numbers, times and GUIDs of the kernel that recovered it.
        assert!(hive.bytes()[4096..] == expected[4096..], "bins differ from the recovered file");
    }
}

#[test]
fn old_logs_give_the_tree_that_windows_7_made_of_them() {
    let Some(hive) =
        recover("yarp/OldDirtyHive/OldDirtyHive.xz", &["yarp/OldDirtyHive/OldDirtyHive.LOG1.xz"])
    else {
        return;
    };
    let hive = hive.unwrap();
    let expected = Hive::open(bytes("yarp/OldDirtyHive/RecoveredHive_Windows7.xz").unwrap()).unwrap();
    assert_eq!(expected.diff(&hive, CompareTimes::No).unwrap(), []);
    assert!(hive.check().is_sound());
}

#[test]
fn a_torn_base_block_is_taken_from_the_log() {
    let folder = "yarp/BadBaseBlockHive/BadBaseBlockHive";
    let Some(hive) = recover(&format!("{folder}.xz"), &[&format!("{folder}.LOG1.xz")]) else { return };
    let hive = hive.unwrap();
    assert!(hive.check().is_sound());
    assert_eq!(hive.check().keys, 5003);
}

#[test]
fn real_dirty_hives_are_sound_after_replay() {
    for (name, keys) in [("win10-dirty-SYSTEM", 33_000), ("usrclass.dat", 6_000)] {
        let (log1, log2) = (format!("{name}.LOG1.xz"), format!("{name}.LOG2.xz"));
        let Some(hive) = recover(&format!("{name}.xz"), &[&log1, &log2]) else { return };
        let hive = hive.unwrap();
        let report = hive.check();
        assert!(report.is_sound(), "{name}: {:?}", report.findings);
        assert!(report.keys > keys, "{name}: {}", report.keys);
        let written = Hive::open(hive.finish().unwrap()).unwrap();
        assert!(written.base_block().is_clean());
    }
}

#[test]
fn dirty_hives_without_fitting_logs_are_refused_with_the_reason() {
    for (name, logs, part) in [
        ("yarp/NewDirtyHive1/NewDirtyHive.xz", &[][..], "there is no log"),
        ("yarp/BadLogHive1/BadLogHive.xz", &["yarp/BadLogHive1/BadLogHive.LOG1.xz"][..], ""),
        (
            "yarp/BadLogHive3/BadLogHive.xz",
            &["yarp/BadLogHive3/BadLogHive.LOG1.xz", "yarp/BadLogHive3/BadLogHive.LOG2.xz"][..],
            "",
        ),
        ("yarp/NewDirtyHive1/NewDirtyHive.xz", &["not-a-hive.xz"][..], "no registry hive"),
        ("yarp/OldDirtyHive/OldDirtyHive.xz", &["yarp/NewDirtyHive1/NewDirtyHive.LOG1.xz"][..], "older"),
    ] {
        let Some(result) = recover(name, logs) else { return };
        let error = match result {
            Err(error) => error,
            Ok(_) => panic!("{name} with {logs:?} was recovered"),
        };
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}: {error}");
        assert!(error.to_string().contains(part), "{name}: {error}");
        println!("{name}: {error}");
    }
}

#[test]
fn clean_hives_ignore_logs() {
    let Some(hive) = recover("win7-NTUSER.DAT.xz", &["win10-dirty-SYSTEM.LOG1.xz"]) else { return };
    assert!(!hive.unwrap().is_changed());
}
