//! `wim reg` on images that the demo makes and on hive files.

use crate::wim;

#[test]
fn values_of_an_image_are_read_set_exported_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    wim(at, &["demo", "--dir", "."]).ends_with(0);
    let key = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
    let got = wim(at, &["reg", "get", "install.wim:Professional", key, "EditionID"]).ends_with(0);
    assert!(got.text().contains("Professional"), "{}", got.text());
    let missing = wim(at, &["reg", "get", "install.wim:Professional", key, "NoSuchValue"]);
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);

    let target = "install-professional.wim:1";
    wim(at, &["reg", "set", target, key, "RegisteredOwner", "someone"]).ends_with(0);
    let got = wim(at, &["reg", "get", target, key, "RegisteredOwner"]).ends_with(0);
    assert!(got.text().contains("someone"), "{}", got.text());
    wim(at, &["verify", "install-professional.wim"]).ends_with(0);

    // The file that stands for CurrentControlSet: it must lead to ControlSet001.
    let services = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\demonvme";
    let listed = wim(at, &["reg", "ls", target, services]).ends_with(0);
    assert!(listed.text().contains("ImagePath"), "{}", listed.text());
}

#[test]
fn a_hive_file_is_checked_changed_and_damage_is_exit_1_or_2() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    wim(at, &["demo", "--dir", "."]).ends_with(0);
    wim(at, &["extract", "install.wim", "4", "/Windows/System32/config/SYSTEM"]).ends_with(0);
    let before = std::fs::read(at.join("SYSTEM")).unwrap();
    wim(at, &["reg", "check", "SYSTEM"]).ends_with(0);
    wim(at, &["reg", "set", "SYSTEM", "ControlSet001\\New", "x", "1", "--type", "REG_DWORD"]).ends_with(0);
    assert!(std::fs::read(at.join("SYSTEM")).unwrap() != before);
    wim(at, &["reg", "check", "SYSTEM"]).ends_with(0);
    let mut damaged = before;
    damaged[4096 + 200..4096 + 400].fill(0x41);
    std::fs::write(at.join("BAD"), damaged).unwrap();
    let ran = wim(at, &["reg", "check", "BAD"]);
    assert!(matches!(ran.code, Some(1 | 2)), "{:?} {}", ran.code, ran.text());
    wim(at, &["reg", "set", "BAD", "ControlSet001\\New", "x", "1"]).ends_with(2);
}
