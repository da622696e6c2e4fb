//! `wim reg` on images that the demo makes and on hive files.

use std::path::Path;
use std::sync::OnceLock;

use crate::{Ran, wim};

const NT: &str = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";

/// What `wim demo` makes, made once.
fn made() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        wim(folder.path(), &["demo", "--dir", "."]).ends_with(0);
        for file in ["config/SYSTEM", "config/SOFTWARE"] {
            wim(folder.path(), &["extract", "install.wim", "4", &format!("/Windows/System32/{file}")])
                .ends_with(0);
        }
        wim(folder.path(), &["extract", "install.wim", "4", "/Users/Default/NTUSER.DAT"]).ends_with(0);
        folder
    })
    .path()
}

/// A folder with copies of these files of the demo.
fn demo(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::copy(made().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

/// The SYSTEM hive of an image of the demo, as the file `SYSTEM`.
fn demo_system() -> tempfile::TempDir {
    demo(&["SYSTEM"])
}

/// `wim reg` with these arguments.
fn reg(at: &Path, arguments: &[&str]) -> Ran {
    let mut all = vec!["reg"];
    all.extend(arguments);
    wim(at, &all)
}

fn utf16_file(at: &Path, name: &str, text: &str) {
    let units = std::iter::once(0xFEFF).chain(text.replace('\n', "\r\n").encode_utf16().collect::<Vec<_>>());
    std::fs::write(at.join(name), units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
}

/// Holds the lock of a file as a program does that reads it, and may be about to write what it read.
#[cfg(unix)]
fn being_read(at: &Path, file: &str) -> std::fs::File {
    let file = std::fs::File::open(at.join(file)).unwrap();
    file.lock_shared().unwrap();
    file
}

#[test]
#[cfg(unix)]
fn what_another_program_reads_is_not_changed_beside_it() {
    let folder = demo(&["install-professional.wim", "SYSTEM"]);
    let at = folder.path();
    for (file, target, key) in [
        ("install-professional.wim", "install-professional.wim:1", NT),
        ("SYSTEM", "SYSTEM", "HKLM\\SYSTEM\\Setup"),
    ] {
        let before = std::fs::read(at.join(file)).unwrap();
        let reader = being_read(at, file);
        let ran = reg(at, &["set", target, key, "Who", "me"]).ends_with(2);
        assert!(ran.stderr.contains("another program is using the file"), "{file}: {}", ran.stderr);
        reg(at, &["set", target, key, "Who", "me", "--dry-run"]).ends_with(0);
        reg(at, &["ls", target, key]).ends_with(0);
        assert!(std::fs::read(at.join(file)).unwrap() == before, "{file}");
        drop(reader);
        reg(at, &["set", target, key, "Who", "me"]).ends_with(0);
        reg(at, &["get", target, key, "Who"]).ends_with(0);
    }
    let reader = being_read(at, "SYSTEM");
    reg(at, &["compact", "SYSTEM", "--output", "COPY"]).ends_with(0);
    drop(reader);
}

#[test]
fn edits_at_one_time_are_all_there_or_refused() {
    let folder = demo_system();
    let at = folder.path();
    let key = "HKLM\\SYSTEM\\Setup";
    let set = |name: String| {
        let ran = reg(at, &["set", "SYSTEM", key, &name, "x"]);
        assert!(ran.code == Some(0) || ran.stderr.contains("another program"), "{}", ran.stderr);
        (ran.code == Some(0)).then_some(name)
    };
    let done: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..12).map(|n| scope.spawn(move || set(format!("Value{n}")))).collect();
        runs.into_iter().filter_map(|run| run.join().unwrap()).collect()
    });
    assert!(!done.is_empty());
    for name in done {
        reg(at, &["get", "SYSTEM", key, &name]).ends_with(0);
    }
}

#[test]
fn values_of_an_image_are_read_and_set() {
    let folder = demo(&["install.wim", "install-professional.wim"]);
    let at = folder.path();
    let got = reg(at, &["get", "install.wim:Professional", NT, "EditionID"]).ends_with(0);
    assert!(got.text().contains("Professional"), "{}", got.text());
    let missing = reg(at, &["get", "install.wim:Professional", NT, "NoSuchValue"]);
    assert_eq!(missing.code, Some(1), "{}", missing.stderr);

    let target = "install-professional.wim:1";
    reg(at, &["set", target, NT, "RegisteredOwner", "someone"]).ends_with(0);
    let got = reg(at, &["get", target, NT, "RegisteredOwner", "--json"]).ends_with(0).json();
    assert_eq!(got["answers"][0]["text"], "someone");
    assert_eq!(got["answers"][0]["type"], "REG_SZ");
    assert_eq!(got["answers"][0]["image"], 1);
    wim(at, &["verify", "install-professional.wim"]).ends_with(0);

    // The file that stands for CurrentControlSet: it must lead to ControlSet001.
    let services = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\demonvme";
    let listed = reg(at, &["ls", target, services]).ends_with(0);
    assert!(listed.text().contains("ImagePath"), "{}", listed.text());
    let hives = reg(at, &["ls", target]).ends_with(0).text();
    assert!(hives.contains("HKEY_LOCAL_MACHINE\\SOFTWARE\n"), "{hives}");
    reg(at, &["delete", target, NT, "--value", "RegisteredOwner"]).ends_with(0);
    reg(at, &["get", target, NT, "RegisteredOwner"]).ends_with(1);
    reg(at, &["delete", target, services]).ends_with(0);
    reg(at, &["ls", target, services]).ends_with(1);
}

#[test]
fn every_type_of_value_is_set_and_read_back() {
    let folder = demo_system();
    let at = folder.path();
    for (name, kind, data, shown) in [
        ("sz", "REG_SZ", &["two words", "more"][..], "two words more"),
        ("expand", "REG_EXPAND_SZ", &["%x%"], "%x%"),
        ("multi", "REG_MULTI_SZ", &["a", "b c"], "a\nb c"),
        ("dword", "REG_DWORD", &["0x10"], "16 (0x10)"),
        ("big", "REG_DWORD_BIG_ENDIAN", &["258"], "258 (0x102)"),
        ("qword", "REG_QWORD", &["4294967296"], "4294967296 (0x100000000)"),
        ("binary", "REG_BINARY", &["01,02,ff"], "0102ff"),
        ("link", "REG_LINK", &["\\Registry\\Machine"], "\\Registry\\Machine"),
        ("none", "REG_NONE", &[], ""),
        ("list", "REG_RESOURCE_LIST", &["00"], "00"),
        ("property", "0xffff0012", &["0100"], "0100"),
    ] {
        let mut arguments = vec!["set", "SYSTEM", "Types", name];
        arguments.extend(data);
        arguments.extend(["--type", kind]);
        reg(at, &arguments).ends_with(0);
        let got = reg(at, &["get", "SYSTEM", "Types", name]).ends_with(0);
        assert_eq!(got.text(), format!("{shown}\n"), "{name}");
        let json = reg(at, &["get", "SYSTEM", "Types", name, "--json"]).ends_with(0).json();
        assert_eq!(json["answers"][0]["type"], kind, "{name}");
    }
    reg(at, &["set", "SYSTEM", "Types", "", "the default"]).ends_with(0);
    assert_eq!(reg(at, &["get", "SYSTEM", "Types"]).ends_with(0).text(), "the default\n");
    reg(at, &["set", "SYSTEM", "Only\\A\\Key"]).ends_with(0);
    assert_eq!(reg(at, &["ls", "SYSTEM", "Only"]).ends_with(0).text(), "A\n");
    reg(at, &["set", "SYSTEM", "Types", "dword", "x", "--type", "REG_DWORD"]).ends_with(2);
    reg(at, &["check", "SYSTEM"]).ends_with(0);
}

#[test]
fn a_file_is_imported_into_one_image_or_all_and_a_dry_run_writes_nothing() {
    let folder = demo(&["install.wim"]);
    let at = folder.path();
    let text = "Windows Registry Editor Version 5.00\n\n\
        [HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\added]\n\"Start\"=dword:00000003\n\
        \"ImagePath\"=hex(2):61,00,\\\n  00,00\n\n\
        [HKEY_LOCAL_MACHINE\\SOFTWARE\\Added]\n@=\"ä \\\"quoted\\\" \\\\\"\n\n\
        [HKEY_CURRENT_CONFIG\\Software\\Added]\n\"x\"=\"y\"\n\n\
        [HKEY_CURRENT_USER\\Added]\n\"user\"=\"default\"\n\n\
        [-HKEY_LOCAL_MACHINE\\SOFTWARE\\Not there]\n";
    utf16_file(at, "tweaks.reg", text);
    let before = std::fs::read(at.join("install.wim")).unwrap();

    // Whose HKEY_CURRENT_USER is meant has to be said.
    let refused = reg(at, &["import", "install.wim:all", "tweaks.reg"]).ends_with(2);
    assert!(
        refused.stderr.contains("line 14") && refused.stderr.contains("--user default"),
        "{}",
        refused.stderr
    );
    let arguments = ["import", "install.wim:all", "tweaks.reg", "--user", "default"];
    let dry = reg(at, &[&arguments[..], &["--dry-run"]].concat()).ends_with(0);
    assert!(
        dry.text().contains("set-value HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\added [Start]")
    );
    assert!(dry.text().contains("image 4: "), "{}", dry.text());
    let json = reg(at, &[&arguments[..], &["--dry-run", "--json"]].concat()).ends_with(0).json();
    let images = json["images"].as_array().unwrap();
    assert!(images.len() > 1 && images.iter().all(|image| image["edits"].as_array().unwrap().len() == 12));
    assert!(json["written"].is_null());
    assert!(std::fs::read(at.join("install.wim")).unwrap() == before, "a dry run wrote");

    reg(at, &arguments).ends_with(0);
    wim(at, &["verify", "install.wim"]).ends_with(0);
    for image in ["1", "4"] {
        let target = format!("install.wim:{image}");
        for (key, value, expected) in [
            ("HKLM\\SYSTEM\\ControlSet001\\Services\\added", "ImagePath", "a\n"),
            ("HKLM\\SOFTWARE\\Added", "", "ä \"quoted\" \\\n"),
            ("HKCC\\Software\\Added", "x", "y\n"),
        ] {
            assert_eq!(reg(at, &["get", &target, key, value]).ends_with(0).text(), expected);
        }
        let got = reg(at, &["get", &target, "HKCU\\Added", "user", "--user", "default"]).ends_with(0);
        assert_eq!(got.text(), "default\n");
        let got = reg(at, &["get", &target, "HKCU\\Added", "user", "--user", "\\Users\\Default\\NTUSER.DAT"]);
        assert_eq!(got.ends_with(0).text(), "default\n");
    }
    // The same again changes nothing, and the file is not written.
    let written = std::fs::read(at.join("install.wim")).unwrap();
    reg(at, &arguments).ends_with(0);
    assert!(std::fs::read(at.join("install.wim")).unwrap() == written);

    std::fs::write(at.join("odd.reg"), "REGEDIT4\nnonsense\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Odd]\n").unwrap();
    let warned = reg(at, &["import", "install.wim:1", "odd.reg", "--dry-run"]).ends_with(0);
    assert!(warned.stderr.contains("odd.reg: line 2 is skipped"), "{}", warned.stderr);
    reg(at, &["import", "install.wim:1", "odd.reg", "--dry-run", "--strict"]).ends_with(2);
}

#[test]
fn exports_come_back_in_both_formats() {
    let folder = demo_system();
    let at = folder.path();
    reg(at, &["set", "SYSTEM", "ControlSet001\\ä", "Grüße", "text \"x\" \\"]).ends_with(0);
    reg(at, &["set", "SYSTEM", "ControlSet001\\ä", "bytes", &"ab".repeat(200), "--type", "REG_BINARY"])
        .ends_with(0);
    reg(at, &["export", "SYSTEM", "-o", "all.reg"]).ends_with(0);
    let bytes = std::fs::read(at.join("all.reg")).unwrap();
    assert!(bytes.starts_with(&[0xFF, 0xFE, b'W', 0]));
    for (format, file, header) in [("5", "five.reg", "Windows Registry"), ("4", "four.reg", "REGEDIT4")] {
        let key = "HKLM\\SYSTEM\\ControlSet001";
        reg(at, &["export", "SYSTEM", key, "-o", file, "--format", format]).ends_with(0);
        let exported = std::fs::read(at.join(file)).unwrap();
        let text: String = exported.iter().filter(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect();
        assert!(
            text.contains(header)
                && text.contains("[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services]\r\n")
        );
        // A copy without the key gets it from the file, and then exports the same text.
        std::fs::copy(at.join("SYSTEM"), at.join("COPY")).unwrap();
        reg(at, &["delete", "COPY", "ControlSet001"]).ends_with(0);
        reg(at, &["diff", "SYSTEM", "COPY"]).ends_with(1);
        reg(at, &["import", "COPY", file, "--map", "HKLM\\SYSTEM=.", "--strict"]).ends_with(0);
        assert_eq!(reg(at, &["diff", "SYSTEM", "COPY"]).ends_with(0).text(), "");
        let map = "HKEY_LOCAL_MACHINE\\SYSTEM=.";
        let again =
            reg(at, &["export", "COPY", "ControlSet001", "--format", format, "--map", map]).ends_with(0);
        assert!(again.stdout == exported, "{file} comes back differently");
    }
    reg(at, &["set", "SYSTEM", "Привет", "x", "y"]).ends_with(0);
    let refused = reg(at, &["export", "SYSTEM", "--format", "4"]).ends_with(2);
    assert!(refused.stderr.contains("version 5.00"), "{}", refused.stderr);
    reg(at, &["export", "SYSTEM", "Привет", "--format", "4", "--code-page", "1251"]).ends_with(0);
}

#[test]
fn finding_looks_where_it_is_told() {
    let folder = demo_system();
    let at = folder.path();
    for (name, data, kind) in [
        ("Needle name", "x", "REG_SZ"),
        ("text", "a needle in here", "REG_SZ"),
        ("number", "4711", "REG_DWORD"),
        ("bytes", "deadbeef", "REG_BINARY"),
        ("several", "NEEDLE", "REG_MULTI_SZ"),
    ] {
        reg(at, &["set", "SYSTEM", "Found\\A Needle key", name, data, "--type", kind]).ends_with(0);
    }
    let hits = |more: &[&str]| {
        let ran = reg(at, &[&["find", "SYSTEM"], more, &["--json"]].concat());
        let found = ran.json()["answers"][0]["hits"].as_array().unwrap().len();
        assert_eq!(ran.code, Some(i32::from(found == 0)));
        found
    };
    assert_eq!(hits(&["needle"]), 4);
    assert_eq!(hits(&["needle", "--in", "keys"]), 1);
    assert_eq!(hits(&["needle", "--in", "names"]), 1);
    assert_eq!(hits(&["needle", "--in", "names,data"]), 3);
    assert_eq!(hits(&["needle", "--case-sensitive"]), 1);
    assert_eq!(hits(&["needle", "--exact"]), 1);
    assert_eq!(hits(&["needle", "--limit", "2"]), 2);
    assert_eq!(hits(&["needle", "--type", "REG_MULTI_SZ"]), 1);
    assert_eq!(hits(&["needle", "--key", "ControlSet001"]), 0);
    assert_eq!(hits(&["4711", "--in", "data"]), 1);
    assert_eq!(hits(&["0x1267"]), 1);
    assert_eq!(hits(&["471"]), 0);
    assert_eq!(hits(&["de,ad,BE,ef"]), 1);
    assert_eq!(hits(&["nothing like it"]), 0);
}

#[test]
fn hives_of_users_boot_stores_and_windows_pe_are_reached() {
    let folder = demo(&["SYSTEM", "SOFTWARE", "NTUSER.DAT"]);
    let at = folder.path();
    // A user's hive and a boot store put into a captured tree.
    std::fs::create_dir_all(at.join("disk/Users/Bob")).unwrap();
    std::fs::create_dir_all(at.join("disk/Boot")).unwrap();
    std::fs::create_dir_all(at.join("disk/Windows/System32/config")).unwrap();
    std::fs::copy(at.join("NTUSER.DAT"), at.join("disk/Users/Bob/NTUSER.DAT")).unwrap();
    std::fs::copy(at.join("NTUSER.DAT"), at.join("disk/Boot/BCD")).unwrap();
    let profiles = "Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-21-1-2-3-1001";
    let image_path = ["set", "SOFTWARE", profiles, "ProfileImagePath", "C:\\Users\\Bob"];
    reg(at, &[&image_path[..], &["--type", "REG_EXPAND_SZ"]].concat()).ends_with(0);
    std::fs::copy(at.join("SOFTWARE"), at.join("disk/Windows/System32/config/SOFTWARE")).unwrap();
    wim(at, &["capture", "disk", "disk.wim", "Disk"]).ends_with(0);
    for (key, more) in [
        ("HKU\\Bob\\Software\\One", &[][..]),
        ("HKEY_USERS\\S-1-5-21-1-2-3-1001\\Software\\Two", &[]),
        ("HKCU\\Software\\Three", &["--user", "bob"]),
        ("HKLM\\Mine\\Software\\Four", &["--map", "HKLM\\Mine=\\Users\\Bob\\ntuser.dat"]),
        ("HKLM\\BCD00000000\\Objects", &[]),
    ] {
        reg(at, &[&["set", "disk.wim", key, "v", "1"], more].concat()).ends_with(0);
        reg(at, &[&["get", "disk.wim", key, "v"], more].concat()).ends_with(0);
    }
    let listed = reg(at, &["ls", "disk.wim", "HKU\\Bob\\Software"]).ends_with(0).text();
    assert_eq!(listed, "Four\nMicrosoft\nOne\nThree\nTwo\n");
    let hives = reg(at, &["ls", "disk.wim"]).ends_with(0).text();
    assert!(
        hives.contains("HKEY_USERS\\Bob\n") && hives.contains("HKEY_LOCAL_MACHINE\\BCD00000000\n"),
        "{hives}"
    );
    let checked = reg(at, &["check", "disk.wim"]).ends_with(0).text();
    assert!(checked.contains("\\Users\\Bob\\NTUSER.DAT: sound"), "{checked}");
    let unknown = reg(at, &["get", "disk.wim", "HKCU\\x", "--user", "Alice"]).ends_with(2);
    assert!(unknown.stderr.contains("no user \"Alice\""), "{}", unknown.stderr);
    // Windows PE: the same folder, and its SYSTEM hive has the command line of setup.
    std::fs::create_dir_all(at.join("pe/Windows/System32/config")).unwrap();
    std::fs::copy(at.join("SYSTEM"), at.join("pe/Windows/System32/config/SYSTEM")).unwrap();
    wim(at, &["capture", "pe", "boot.wim", "Microsoft Windows PE (x64)"]).ends_with(0);
    let setup = ["get", "boot.wim", "HKLM\\SYSTEM\\Setup", "CmdLine"];
    reg(at, &setup).ends_with(0);
    reg(at, &["set", "boot.wim", "HKLM\\SYSTEM\\Setup", "CmdLine", "cmd.exe"]).ends_with(0);
    assert_eq!(reg(at, &setup).ends_with(0).text(), "cmd.exe\n");
}

#[test]
fn damage_is_named_with_its_file_and_given_up_only_by_force() {
    let folder = demo_system();
    let at = folder.path();
    let healthy = std::fs::read(at.join("SYSTEM")).unwrap();
    reg(at, &["check", "SYSTEM"]).ends_with(0);
    reg(at, &["set", "SYSTEM", "ControlSet001\\New", "x", "1", "--type", "REG_DWORD"]).ends_with(0);
    assert!(std::fs::read(at.join("SYSTEM")).unwrap() != healthy);
    reg(at, &["check", "SYSTEM"]).ends_with(0);

    // The name of a key is bent: it is out of order and its hash is wrong.
    let mut damaged = healthy;
    let name = damaged.windows(7).position(|window| window == b"usbehci").unwrap();
    damaged[name] = b'a';
    std::fs::write(at.join("hive.dat"), &damaged).unwrap();
    let checked = reg(at, &["check", "hive.dat"]).ends_with(1).text();
    assert!(checked.contains("DAMAGED") && checked.contains("error at 0x"), "{checked}");
    for refused in [
        &["set", "hive.dat", "ControlSet001\\New", "x", "1"][..],
        &["delete", "hive.dat", "Select"],
        &["compact", "hive.dat", "-o", "out.dat"],
    ] {
        let ran = reg(at, refused);
        if refused[0] != "compact" {
            let ran = ran.ends_with(2);
            assert!(ran.stderr.contains("hive.dat: ") && ran.stderr.contains("damaged"), "{}", ran.stderr);
        }
        assert!(std::fs::read(at.join("hive.dat")).unwrap() == damaged);
    }
    let repair = ["set", "hive.dat", "ControlSet001\\New", "x", "1", "--force-repair"];
    let dry = reg(at, &[&repair[..], &["--dry-run"]].concat()).ends_with(0);
    assert!(dry.stderr.contains("damage: hive.dat, key ControlSet001"), "{}", dry.stderr);
    assert!(std::fs::read(at.join("hive.dat")).unwrap() == damaged);
    let repaired = reg(at, &[&repair[..], &["--json"]].concat()).ends_with(0).json();
    assert!(!repaired["images"][0]["left_out"].as_array().unwrap().is_empty());
    assert_eq!(repaired["images"][0]["edits"][0]["action"], "rebuild");
    reg(at, &["check", "hive.dat"]).ends_with(0);
    reg(at, &["get", "hive.dat", "ControlSet001\\New", "x"]).ends_with(0);

    // Bins cut off: opening fails; what is left is saved by force.
    std::fs::write(at.join("cut.dat"), &damaged[..damaged.len() - 4096]).unwrap();
    let ran = reg(at, &["get", "cut.dat", "Select", "Current"]).ends_with(2);
    assert!(ran.stderr.contains("cut.dat: ") && ran.stderr.contains("truncated"), "{}", ran.stderr);
    reg(at, &["compact", "cut.dat"]).ends_with(2);
    let saved =
        reg(at, &["compact", "cut.dat", "-o", "saved.dat", "--force-repair", "--json"]).ends_with(0).json();
    assert!(!saved["hives"][0]["left_out"].as_array().unwrap().is_empty());
    reg(at, &["check", "saved.dat"]).ends_with(0);
}

#[test]
fn hives_of_files_and_images_are_compacted_without_loss() {
    let folder = demo(&["SYSTEM", "install.wim"]);
    let at = folder.path();
    for number in 0..40 {
        let key = format!("Many\\{number}");
        reg(at, &["set", "SYSTEM", &key, "v", &"text ".repeat(200)]).ends_with(0);
    }
    reg(at, &["delete", "SYSTEM", "Many"]).ends_with(0);
    std::fs::copy(at.join("SYSTEM"), at.join("before")).unwrap();
    let report = reg(at, &["compact", "SYSTEM", "--json"]).ends_with(0).json();
    let size = |field: &str| report["hives"][0][field].as_u64().unwrap();
    assert!(size("after_bytes") < size("before_bytes"), "{report}");
    assert_eq!(std::fs::metadata(at.join("SYSTEM")).unwrap().len(), size("after_bytes"));
    reg(at, &["diff", "before", "SYSTEM", "--times"]).ends_with(0);

    reg(at, &["compact", "install.wim:1", "--hive", "SOFTWARE"]).ends_with(0);
    wim(at, &["verify", "install.wim"]).ends_with(0);
    reg(at, &["check", "install.wim:all"]).ends_with(0);
    let id = reg(at, &["get", "install.wim:1", NT, "EditionID"]).ends_with(0);
    assert!(!id.text().is_empty());
    let refused = reg(at, &["compact", "install.wim:1", "-o", "x"]).ends_with(2);
    assert!(refused.stderr.contains("hive file"), "{}", refused.stderr);
}

#[test]
fn logs_beside_a_hive_are_emptied_and_a_hive_without_a_name_knows_its_control_sets() {
    let folder = demo_system();
    let at = folder.path();
    std::fs::rename(at.join("SYSTEM"), at.join("some.hive")).unwrap();
    std::fs::write(at.join("some.hive.LOG1"), [1; 512]).unwrap();
    let key = "CurrentControlSet\\Services\\new";
    reg(at, &["set", "some.hive", key, "Start", "3", "--type", "REG_DWORD"]).ends_with(0);
    reg(at, &["get", "some.hive", "ControlSet001\\Services\\new", "Start"]).ends_with(0);
    assert_eq!(std::fs::metadata(at.join("some.hive.LOG1")).unwrap().len(), 0);
    let listed = reg(at, &["ls", "some.hive", "--json"]).ends_with(0).json();
    let subkeys = listed["answers"][0]["subkeys"].as_array().unwrap();
    assert!(
        subkeys.iter().any(|key| key == "Select") && !subkeys.iter().any(|key| key == "CurrentControlSet")
    );
}

#[test]
fn hives_of_deltas_and_of_parts_are_found_in_the_files_that_have_them() {
    let folder = demo(&["install.wim"]);
    let at = folder.path();
    let professional = |file: &str| format!("{file}:Professional");
    // A delta without anything new, and one whose SOFTWARE hive is new and whose SYSTEM hive is not.
    wim(at, &["apply", "install.wim", "Professional", "disk", "--metadata"]).ends_with(0);
    let capture = |to: &str| {
        let delta = ["capture", "disk", to, "Professional", "--metadata", "--delta-from=install.wim"];
        wim(at, &delta).ends_with(0);
    };
    capture("same.wim");
    reg(at, &["set", "disk/Windows/System32/config/SOFTWARE", "Mine", "x", "in the delta"]).ends_with(0);
    capture("delta.wim");

    let get =
        |file: &str, more: &[&str]| reg(at, &[&["get", &professional(file), NT, "EditionID"], more].concat());
    let wanted = get("install.wim", &[]).ends_with(0).text();
    let ran = get("same.wim", &[]).ends_with(2);
    assert!(ran.stderr.contains("blob") && ran.stderr.contains("--ref"), "{}", ran.stderr);
    assert_eq!(get("same.wim", &["--ref=install.wim"]).ends_with(0).text(), wanted);
    // So are the drivers of both.
    wim(at, &["driver", "list", "same.wim"]).ends_with(2);
    let drivers = |file: &str| {
        let ran = wim(at, &["driver", "list", file, "--image=Professional", "--ref=install.wim", "--json"]);
        ran.ends_with(0).json()["images"][0]["drivers"].clone()
    };
    assert_eq!(drivers("same.wim"), drivers("install.wim"));
    // What is in the delta itself needs no base.
    let mine = |more: &[&str]| {
        reg(at, &[&["get", "delta.wim", "HKLM\\SOFTWARE\\Mine", "x"], more].concat()).ends_with(0).text()
    };
    assert_eq!(mine(&[]), "in the delta\n");
    let ran = reg(at, &["check", "delta.wim"]).ends_with(2);
    assert!(!ran.text().contains("DAMAGED"), "{}", ran.text());
    reg(at, &["check", "delta.wim", "--ref=inst*.wim"]).ends_with(0);
    let found = reg(at, &["find", "same.wim", "EditionID", "--ref=install.wim"]).ends_with(0).text();
    assert!(found.contains("EditionID"), "{found}");
    let old = professional("install.wim");
    let ran = reg(at, &["diff", &old, "delta.wim", "--ref=install.wim"]).ends_with(1);
    assert!(ran.text().contains("key-added SOFTWARE\\Mine"), "{}", ran.text());

    // Edits stay in the delta, which does not grow by what its base has.
    reg(at, &["set", "delta.wim", "HKLM\\SOFTWARE\\Mine", "x", "again"]).ends_with(0);
    assert_eq!(mine(&[]), "again\n");
    let select = ["delta.wim", "HKLM\\SYSTEM\\Select", "Mine"];
    reg(at, &[&["set"][..], &select, &["here"]].concat()).ends_with(2);
    reg(at, &[&["set"][..], &select, &["here", "--ref=install.wim"]].concat()).ends_with(0);
    assert_eq!(reg(at, &[&["get"][..], &select].concat()).ends_with(0).text(), "here\n");
    wim(at, &["verify", "delta.wim", "--ref=install.wim"]).ends_with(0);
    let bytes = |file: &str| std::fs::metadata(at.join(file)).unwrap().len();
    assert!(bytes("delta.wim") < bytes("install.wim"));

    // Parts beside the first are found by themselves, others by their names.
    wim(at, &["split", "install.wim", "s.swm", "--parts=3"]).ends_with(0);
    assert!(at.join("s2.swm").is_file());
    assert_eq!(get("s.swm", &[]).ends_with(0).text(), wanted);
    std::fs::create_dir(at.join("away")).unwrap();
    for part in ["s2.swm", "s3.swm"] {
        std::fs::rename(at.join(part), at.join("away").join(part)).unwrap();
    }
    let missing = reg(at, &["check", "s.swm:all"]).ends_with(2);
    assert!(missing.stderr.contains("parts these are missing"), "{}", missing.stderr);
    reg(at, &["check", "s.swm:all", "--ref=away/s*.swm"]).ends_with(0);
    reg(at, &["set", "s.swm:1", "HKLM\\SOFTWARE\\Mine", "x", "y", "--ref=away/s*.swm"]).ends_with(2);
}

#[test]
fn a_hive_file_has_no_other_files_and_help_says_what_targets_are() {
    let folder = demo_system();
    let at = folder.path();
    for line in [&["ls", "SYSTEM", "--ref=nope"][..], &["diff", "SYSTEM", "SYSTEM", "--ref=nope"]] {
        let ran = reg(at, line).ends_with(2);
        assert!(ran.stderr.contains("--ref"), "{line:?}: {}", ran.stderr);
    }
    for action in ["get", "set", "ls", "export", "diff"] {
        let help = reg(at, &[action, "--help"]).ends_with(0).text();
        let arguments =
            help.split("Arguments:").nth(1).and_then(|rest| rest.split("Options:").next()).unwrap();
        let words: Vec<&str> = arguments.split_whitespace().collect();
        assert!(arguments.contains("hive file"), "{action}: {help}");
        // Each operand has words behind its name.
        let is_operand = |word: &&str| word.starts_with(['<', '[']) && word.ends_with(['>', ']', '.']);
        let is_bare = |pair: &[&str]| is_operand(&pair[0]) && is_operand(&pair[1]);
        assert!(
            !words.windows(2).any(is_bare) && words.last().is_some_and(|last| !is_operand(last)),
            "{action}: {help}"
        );
    }
}
