//! Drivers taken out again: the image is as before, whatever the order.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use proptest::prelude::*;

use crate::driver_image::{MemoryImage, program, seven, ten, unsigned_too};
use crate::driver_packages::{TSTOR, tnet, tstor, tusb3};
use wim_core::base::Architecture::Amd64;
use wim_core::base::ErrorKind;
use wim_core::formats::hive::{Hive, RegValue};
use wim_core::image::WimPath;
use wim_core::image::edit::{Action, Change, View};
use wim_core::servicing::drivers::manifest::{Manifest, PATH, StartLine, StartScript};
use wim_core::servicing::drivers::{DriverOptions, Outcome, Unbootable, exported_files, find};
use wim_core::servicing::hive_set::HiveName::{Software, System};
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::{MemoryFiles, PackageFiles};

/// Files and all registry values: what an image is, whatever its hives look like inside.
pub(crate) fn content(image: &MemoryImage) -> impl PartialEq + std::fmt::Debug + use<> {
    let files: Vec<_> = image
        .files()
        .into_iter()
        .filter(|path| !path.contains("\\config\\"))
        .map(|path| (path.clone(), image.bytes(&path)))
        .collect();
    (files, image.registry(System), image.registry(Software))
}

/// A second storage driver: another INF and id, but T1's service and file.
fn sibling() -> MemoryFiles {
    let inf =
        TSTOR.replace("tstor.inf", "tsib.inf").replace("DEV_0001", "DEV_0002").replace("1.2.3.4", "1.2.3.5");
    MemoryFiles::new("sibling")
        .with("tsib.inf", inf.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]))
}

/// A third: T1's service in a newer version, with another file.
fn newer() -> MemoryFiles {
    let inf = TSTOR.replace("DEV_0001", "DEV_0003").replace("ErrorControl=1", "ErrorControl=3");
    MemoryFiles::new("newer")
        .with("tnewer.inf", inf.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [2, 0, 0, 0]))
}

/// One between the two: T1's service, with a file that is older than the newer one and newer than T1's.
fn middle() -> MemoryFiles {
    MemoryFiles::new("middle")
        .with("tmiddle.inf", TSTOR.replace("DEV_0001", "DEV_0009").into_bytes())
        .with("x64/tstor.sys", program(Amd64, [1, 9, 0, 0]))
}

/// The class key of storage drivers, below a control set.
pub(crate) const CLASS: &str = "ControlSet001\\Control\\Class\\{4D36E97B-E325-11CE-BFC1-08002BE10318}";

/// A fourth and a fifth: both name the service `shared`, put the same filter into their class, and write a value if it is not
/// there. Only the first sets the service's start type over another's.
fn sharer(name: &str, device: &str, flags: &str, own_filter: &str) -> MemoryFiles {
    let lines = format!(
        "HKR,\"Shared\",Once,0x00010003,{}\nHKLM,\"SYSTEM\\CurrentControlSet\\{}\",UpperFilters,0x00010008,sharedflt,{own_filter}\n[E]",
        device.len(),
        CLASS.strip_prefix("ControlSet001\\").unwrap(),
    );
    let inf = TSTOR
        .replace("tstor.inf", name)
        .replace("DEV_0001", device)
        .replace("AddService=tstor,0x2", &format!("AddService=shared,{flags}"))
        .replace("[E]", &lines);
    MemoryFiles::new(name).with(name, inf.into_bytes()).with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]))
}

pub(crate) fn image() -> MemoryImage {
    let mut image = seven(Amd64);
    image.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(Amd64, [1, 11, 9200, 16384]));
    for filter in ["sharedflt", "oneflt", "twoflt"] {
        let key = format!("ControlSet001\\Services\\{filter}");
        image.edit(&[(System, &key, "Type", RegValue::dword(1))]);
    }
    image
}

/// The file of T1 and its relatives, and what of it the packages at the same places of [`packages`] bring.
pub(crate) const FILE: &str = "\\Windows\\System32\\drivers\\tstor.sys";
const VERSIONS: [Option<[u16; 4]>; 10] = [
    Some([1, 2, 3, 4]),
    Some([1, 2, 3, 4]),
    Some([2, 0, 0, 0]),
    Some([1, 9, 0, 0]),
    None,
    None,
    Some([1, 2, 3, 4]),
    Some([1, 2, 3, 4]),
    Some([1, 2, 3, 4]),
    Some([1, 2, 3, 4]),
];

fn packages() -> [(&'static str, MemoryFiles); 10] {
    [
        ("tstor.inf", tstor()),
        ("tsib.inf", sibling()),
        ("tnewer.inf", newer()),
        ("tmiddle.inf", middle()),
        ("tnet.inf", tnet()),
        ("TUSB3.INF", tusb3()),
        ("tone.inf", paired("tone.inf", "DEV_0021", [[7, 0, 0, 1], [7, 0, 0, 2]])),
        ("ttwo.inf", paired("ttwo.inf", "DEV_0022", [[8, 0, 0, 1], [8, 0, 0, 2]])),
        ("tshare1.inf", sharer("tshare1.inf", "DEV_0004", "0x2", "oneflt")),
        ("tshare2.inf", sharer("tshare2.inf", "DEV_00005", "0x12", "twoflt")),
    ]
}

#[test]
fn add_then_remove_leaves_nothing() {
    for (name, package) in packages() {
        let mut image = image();
        let before = content(&image);
        image.add_one(&package);
        assert!(content(&image) != before);
        assert_eq!(image.remove_drivers(&[name]).unwrap(), Vec::<String>::new());
        assert_eq!(content(&image), before, "{name}");
    }
}

#[test]
fn what_two_drivers_share_stays_until_the_last_goes() {
    let mut image = image();
    let before = content(&image);
    image.add_one(&tstor());
    image.add_one(&sibling());
    image.remove_drivers(&["tstor.inf"]).unwrap();
    let service = "ControlSet001\\Services\\tstor";
    assert_eq!(image.value(System, service, "Start"), Some(RegValue::dword(0)));
    assert!(image.bytes("\\Windows\\System32\\drivers\\tstor.sys").is_some());
    let cddb = "ControlSet001\\Control\\CriticalDeviceDatabase";
    assert_eq!(image.value(System, &format!("{cddb}\\PCI#VEN_1234&DEV_0001"), "Service"), None);
    assert_eq!(
        image.value(System, &format!("{cddb}\\PCI#VEN_1234&DEV_0002"), "Service"),
        Some(RegValue::sz("tstor"))
    );
    image.remove_drivers(&["tsib.inf"]).unwrap();
    assert_eq!(content(&image), before);
}

#[test]
fn filters_kept_flags_and_values_of_two_drivers_stay_until_the_last_goes() {
    let mut image = image();
    let before = content(&image);
    let [.., (_, one), (_, two)] = packages();
    image.add_one(&one);
    image.add_one(&two);
    let service = "ControlSet001\\Services\\shared";
    let filters = |image: &MemoryImage| image.value(System, CLASS, "UpperFilters");
    assert_eq!(filters(&image), Some(RegValue::multi_sz(&["sharedflt", "oneflt", "twoflt"])));
    assert_eq!(image.remove_drivers(&["tshare1.inf"]).unwrap(), Vec::<String>::new());
    assert_eq!(image.value(System, service, "Start"), Some(RegValue::dword(0)));
    assert_eq!(image.value(System, &format!("{service}\\Shared"), "Once"), Some(RegValue::dword(8)));
    assert_eq!(filters(&image), Some(RegValue::multi_sz(&["sharedflt", "twoflt"])));
    assert_eq!(image.remove_drivers(&["tshare2.inf"]).unwrap(), Vec::<String>::new());
    assert_eq!(content(&image), before);
}

#[test]
fn an_absent_device_path_and_an_empty_list_come_back_as_they_were() {
    let mut image = image();
    let changes = {
        let mut hives = HiveSet::new(&image, HiveOptions::default());
        let key = "Microsoft\\Windows\\CurrentVersion";
        hives.delete_value(Software, key, "DevicePath", "test").unwrap();
        hives.set(System, CLASS, "UpperFilters", RegValue::new(7, [0, 0]), "test").unwrap();
        hives.finish().unwrap().0
    };
    image.apply(&changes);
    let before = content(&image);
    let [.., (_, one), (_, two)] = packages();
    for order in [["tshare1.inf", "tshare2.inf"], ["tshare2.inf", "tshare1.inf"]] {
        image.add_one(&one);
        image.add_one(&two);
        for name in order {
            image.remove_drivers(&[name]).unwrap();
        }
        assert_eq!(content(&image), before, "{order:?}");
    }
}

#[test]
fn a_value_that_is_no_list_is_left_and_named() {
    let mut image = image();
    let text = RegValue::expand_sz("oldflt");
    image.edit(&[(System, CLASS, "UpperFilters", text.clone())]);
    let [.., (_, one), _] = packages();
    let plan = image.add_one(&one);
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("UpperFilters") && f.contains("sharedflt")), "{findings:?}");
    assert_eq!(image.value(System, CLASS, "UpperFilters"), Some(text));
}

#[test]
fn a_replaced_file_comes_back() {
    let mut image = image();
    let old = program(Amd64, [1, 0, 0, 0]);
    image.put("\\Windows\\System32\\drivers\\tstor.sys", old.clone());
    let before = content(&image);
    image.add_one(&tstor());
    image.add_one(&newer());
    image.remove_drivers(&["tstor.inf"]).unwrap();
    assert_eq!(
        *image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(),
        *program(Amd64, [2, 0, 0, 0])
    );
    image.remove_drivers(&["tnewer.inf"]).unwrap();
    assert_eq!(*image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(), *old);
    assert_eq!(content(&image), before);
}

/// Most of Windows' files are names of those in the component store; one that comes back is so again.
#[test]
fn a_replaced_file_is_a_name_of_its_twin_again() {
    const TWIN: &str = "\\Windows\\winsxs\\amd64_tstor.inf_31bf3856ad364e35_6.1.7601.17514_none\\tstor.sys";
    let orders = [["tstor.inf", "tnewer.inf"], ["tnewer.inf", "tstor.inf"]];
    for windows in [image(), ten(Amd64)] {
        let mut before = windows;
        before.put(TWIN, program(Amd64, [1, 0, 0, 0]));
        before.link(FILE, TWIN);
        for order in orders {
            let mut image = before.clone();
            image.add_one(&tstor());
            image.add_one(&newer());
            assert_eq!(*image.bytes(TWIN).unwrap(), *program(Amd64, [1, 0, 0, 0]));
            assert!(image.other_names(&WimPath::parse(FILE).unwrap()).is_empty());
            for name in order {
                assert_eq!(image.remove_drivers(&[name]).unwrap(), Vec::<String>::new());
            }
            assert_eq!(image.other_names(&WimPath::parse(FILE).unwrap()), [WimPath::parse(TWIN).unwrap()]);
            assert_eq!(content(&image), content(&before), "{order:?}");
        }
        // A twin that an update changed since is another file.
        let mut image = before.clone();
        image.add_one(&tstor());
        image.put(TWIN, program(Amd64, [1, 0, 0, 9]));
        image.remove_drivers(&["tstor.inf"]).unwrap();
        assert_eq!(image.bytes(FILE).as_deref(), Some(&*program(Amd64, [1, 0, 0, 0])));
        assert_eq!(image.bytes(TWIN).as_deref(), Some(&*program(Amd64, [1, 0, 0, 9])));
        assert!(image.other_names(&WimPath::parse(FILE).unwrap()).is_empty());
    }
}

/// A pair of files of one name for programs of both widths, as a package puts them into two folders.
pub(crate) const PAIR: [(&str, [u16; 4]); 2] =
    [("\\Windows\\System32\\tco.dll", [6, 0, 0, 1]), ("\\Windows\\SysWOW64\\tco.dll", [6, 0, 0, 2])];

/// T1 under the name `name`, with such a pair.
pub(crate) fn paired(name: &str, device: &str, versions: [[u16; 4]; 2]) -> MemoryFiles {
    let inf = TSTOR
        .replace("tstor.inf", name)
        .replace("DEV_0001", device)
        .replace("CopyFiles=@tstor.sys", "CopyFiles=@tstor.sys,wide,narrow")
        .replace(
            "[SourceDisksFiles",
            "[wide]\ntco.dll,tco64.dll\n[narrow]\ntco.dll,tco32.dll\n[SourceDisksFiles",
        )
        .replace("tstor.sys=1", "tco64.dll=1\ntco32.dll=1\ntstor.sys=1")
        .replace("[DestinationDirs]\n", "[DestinationDirs]\nwide=11\nnarrow=10,SysWOW64\n");
    let [wide, narrow] = versions.map(|version| program(Amd64, version));
    MemoryFiles::new(name)
        .with(name, inf.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]))
        .with("tco64.dll", wide)
        .with("tco32.dll", narrow)
}

#[test]
fn files_of_one_name_in_two_folders_come_back_each_to_its_own() {
    let one = paired("tone.inf", "DEV_0021", [[7, 0, 0, 1], [7, 0, 0, 2]]);
    let two = paired("ttwo.inf", "DEV_0022", [[8, 0, 0, 1], [8, 0, 0, 2]]);
    for windows in [image(), ten(Amd64)] {
        let mut before = windows;
        for (path, version) in PAIR {
            before.put(path, program(Amd64, version));
        }
        let mut image = before.clone();
        image.add_one(&one);
        let there = |image: &MemoryImage, versions: [[u16; 4]; 2]| {
            for ((path, _), version) in PAIR.iter().zip(versions) {
                assert!(
                    image.bytes(path).as_deref() == Some(&*program(Amd64, version)),
                    "{path} {version:?}"
                );
            }
        };
        there(&image, [[7, 0, 0, 1], [7, 0, 0, 2]]);
        // With the list lost, by Windows' own database or by adding again.
        let mut lost = image.clone();
        lose_the_list(&mut lost);
        if lost.files().iter().any(|path| path.contains("\\Drivers\\tone_")) {
            lost.add_one(&one);
        }
        lost.remove_drivers(&["tone.inf"]).unwrap();
        there(&lost, PAIR.map(|(_, version)| version));
        assert_eq!(lost.files(), before.files());
        assert!(!lost.directories().iter().any(|path| path.contains("replaced")), "{:?}", lost.directories());
        // Handed from one driver to another, one by one and both at once.
        image.add_one(&two);
        there(&image, [[8, 0, 0, 1], [8, 0, 0, 2]]);
        let mut at_once = image.clone();
        at_once.remove_drivers(&["tone.inf", "ttwo.inf"]).unwrap();
        for name in ["tone.inf", "ttwo.inf"] {
            assert_eq!(image.remove_drivers(&[name]).unwrap(), Vec::<String>::new());
        }
        for image in [image, at_once] {
            assert_eq!(content(&image), content(&before));
            assert_eq!(image.directories(), before.directories());
        }
    }
}

#[test]
fn what_others_changed_since_stays_and_is_named() {
    let mut image = image();
    image.add_one(&tstor());
    let service = "ControlSet001\\Services\\tstor";
    let device_path = "Microsoft\\Windows\\CurrentVersion";
    let path = image.value(Software, device_path, "DevicePath").unwrap().as_str().unwrap();
    image.edit(&[
        (System, service, "Group", RegValue::sz("mine")),
        (Software, device_path, "DevicePath", RegValue::expand_sz(&format!("{path};C:\\Mine"))),
    ]);
    image.put("\\Windows\\System32\\drivers\\tstor.sys", *b"something else");
    let findings = image.remove_drivers(&["tstor.inf"]).unwrap();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(
        findings[0].contains("tstor.sys was changed") && findings[1].contains("\"Group\""),
        "{findings:?}"
    );
    assert_eq!(image.value(System, service, "Group"), Some(RegValue::sz("mine")));
    assert_eq!(image.value(System, service, "Start"), None);
    let path = image.value(Software, device_path, "DevicePath");
    assert_eq!(path, Some(RegValue::expand_sz("%SystemRoot%\\inf;C:\\Mine")));
}

#[test]
fn names_that_mean_no_driver_are_answered_with_those_there_are() {
    let mut image = image();
    image.add_one(&tstor());
    let e = image.remove_drivers(&["disk.inf"]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    assert!(e.to_string().contains("tstor.inf"), "{e}");
    let manifest = Manifest::load(&image).unwrap();
    let entry = &manifest.drivers[0];
    let folder = entry.folder.rsplit('\\').next().unwrap();
    for name in ["TSTOR.INF", folder, &entry.identity[..6]] {
        assert_eq!(find(&manifest, name), [entry], "{name}");
    }
    assert!(find(&manifest, &entry.identity[..5]).is_empty());
}

#[test]
fn an_exported_package_is_the_one_that_was_added() {
    let mut image = image();
    image.put("\\Windows\\System32\\drivers\\tstor.sys", program(Amd64, [1, 0, 0, 0]));
    image.add_one(&tstor());
    let manifest = Manifest::load(&image).unwrap();
    let mut exported = MemoryFiles::new("exported");
    for (relative, path) in exported_files(&manifest.drivers[0]).unwrap() {
        exported = exported.with(&relative, image.bytes(&path.to_string()).unwrap());
    }
    let mut again = self::image();
    again.add_one(&exported);
    assert_eq!(Manifest::load(&again).unwrap().drivers[0].identity, manifest.drivers[0].identity);
}

#[test]
fn a_driver_that_found_a_newer_file_gets_its_own_when_that_goes() {
    let file = "\\Windows\\System32\\drivers\\tstor.sys";
    for (mut image, what) in [(image(), "7"), (ten(Amd64), "10")] {
        let before = content(&image);
        image.add_one(&newer());
        let plan = image.add_one(&tstor());
        assert!(plan.reports[0].findings.iter().any(|f| f.contains("2.0.0.0 and stays")), "{plan:?}");
        assert_eq!(image.remove_drivers(&["tnewer.inf"]).unwrap(), Vec::<String>::new(), "{what}");
        assert_eq!(image.bytes(file).as_deref(), Some(&*program(Amd64, [1, 2, 3, 4])), "{what}");
        assert_eq!(
            image.value(System, "ControlSet001\\Services\\tstor", "Start"),
            Some(RegValue::dword(0)),
            "{what}"
        );
        image.remove_drivers(&["tstor.inf"]).unwrap();
        assert_eq!(content(&image), before, "{what}");
    }
}

#[test]
fn of_several_that_relied_on_a_file_the_newest_takes_its_place() {
    let file = FILE;
    let mut image = image();
    let before = content(&image);
    for package in [newer(), tstor(), middle()] {
        image.add_one(&package);
    }
    for (name, left) in
        [("tnewer.inf", Some([1, 9, 0, 0])), ("tmiddle.inf", Some([1, 2, 3, 4])), ("tstor.inf", None)]
    {
        assert_eq!(image.remove_drivers(&[name]).unwrap(), Vec::<String>::new());
        assert_eq!(
            image.bytes(file).as_deref(),
            left.map(|version| program(Amd64, version)).as_deref(),
            "{name}"
        );
    }
    assert_eq!(content(&image), before);
}

#[test]
fn what_a_driver_replaced_comes_back_only_where_none_that_is_left_is_newer() {
    let old_and_left = [
        // The file of Windows, what is there after the newest driver went.
        ([1, 0, 0, 0], [1, 2, 3, 4]),
        ([1, 5, 0, 0], [1, 5, 0, 0]),
        ([1, 2, 3, 4], [1, 2, 3, 4]),
    ];
    for (windows, what) in [(image(), "7"), (ten(Amd64), "10")] {
        for (old, left) in old_and_left {
            let mut image = windows.clone();
            image.put(FILE, program(Amd64, old));
            let before = content(&image);
            image.add_one(&newer());
            image.add_one(&tstor());
            assert_eq!(image.remove_drivers(&["tnewer.inf"]).unwrap(), Vec::<String>::new(), "{what}");
            assert_eq!(image.bytes(FILE).as_deref(), Some(&*program(Amd64, left)), "{what} {old:?}");
            assert_eq!(image.remove_drivers(&["tstor.inf"]).unwrap(), Vec::<String>::new(), "{what}");
            assert_eq!(content(&image), before, "{what} {old:?}");
        }
    }
}

#[test]
fn a_driver_that_overwrites_nothing_does_not_do_so_later_either() {
    let meek = TSTOR.replace("CopyFiles=@tstor.sys", "CopyFiles=files") + "\n[files]\ntstor.sys,,,0x10\n";
    let meek = MemoryFiles::new("meek")
        .with("tmeek.inf", meek.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [1, 9, 0, 0]));
    let mut image = image();
    image.put(FILE, program(Amd64, [1, 0, 0, 0]));
    let before = content(&image);
    image.add_one(&newer());
    image.add_one(&meek);
    image.remove_drivers(&["tnewer.inf"]).unwrap();
    assert_eq!(image.bytes(FILE).as_deref(), Some(&*program(Amd64, [1, 0, 0, 0])));
    image.remove_drivers(&["tmeek.inf"]).unwrap();
    assert_eq!(content(&image), before);
}

/// T1 under other names, with a filter of its service in its class.
pub(crate) fn filtering(name: &str, filter: &str) -> MemoryFiles {
    let line = format!(
        "HKLM,\"SYSTEM\\CurrentControlSet\\{}\",UpperFilters,0x00010008,{filter}\n[E]",
        CLASS.strip_prefix("ControlSet001\\").unwrap()
    );
    let inf = TSTOR.replace("tstor", name).replace("[E]", &line);
    MemoryFiles::new(name)
        .with(&format!("{name}.inf"), inf.into_bytes())
        .with(&format!("x64/{name}.sys"), program(Amd64, [1, 2, 3, 4]))
}

#[test]
fn a_filter_without_its_service_is_neither_added_nor_left() {
    for mut image in [seven(Amd64), ten(Amd64)] {
        let before = content(&image);
        let plan = image.add_one(&filtering("one", "twoflt"));
        let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
        assert!(reason.contains("UpperFilters twoflt"), "{reason}");
        assert_eq!(content(&image), before);
        // The one that is refused at first has what it needs when the other is there.
        let plan = image.add(&[&filtering("one", "two"), &filtering("two", "two")], &unsigned_too());
        assert!(plan.reports.iter().all(|r| matches!(r.outcome, Outcome::Added(_))), "{plan:?}");
        let both = content(&image);
        // Of the string that both append the first is the owner still; the service goes with the second.
        let removed = image.remove_drivers(&["two.inf"]);
        let e = removed.unwrap_err();
        assert!(e.to_string().contains("may not boot without two.inf"), "{e}");
        assert_eq!(content(&image), both);
        image.remove_drivers(&["one.inf", "two.inf"]).unwrap();
        assert_eq!(content(&image), before);
        let forced = DriverOptions { unbootable: Unbootable::Accept, ..unsigned_too() };
        let plan = image.add(&[&filtering("one", "twoflt")], &forced);
        assert!(plan.reports[0].findings.iter().any(|f| f.contains("may not boot")), "{plan:?}");
    }
}

#[test]
fn what_windows_staged_goes_by_any_of_its_names_and_takes_its_filters_along() {
    for by_folder in [false, true] {
        let mut image = ten(Amd64);
        image.edit(&[(System, CLASS, "UpperFilters", RegValue::multi_sz(&["keep"]))]);
        image.edit(&[(System, "ControlSet001\\Services\\keep", "Type", RegValue::dword(1))]);
        image.add_one(&filtering("own", "own"));
        let folder = Manifest::load(&image).unwrap().drivers[0].folder_name().to_owned();
        // Without our list it is as if Windows had staged it.
        image.apply(&[Change {
            path: WimPath::parse(PATH).unwrap(),
            action: Action::Remove,
            reason: String::new(),
        }]);
        let findings = image.remove_drivers(&[if by_folder { &folder } else { "OWN.inf" }]).unwrap();
        assert!(
            findings.iter().any(|f| f.contains("own is no longer among its UpperFilters")),
            "{findings:?}"
        );
        assert_eq!(image.value(System, CLASS, "UpperFilters"), Some(RegValue::multi_sz(&["keep"])));
        assert_eq!(image.value(System, "ControlSet001\\Services\\own", "Start"), None);
        assert_eq!(image.bytes("\\Windows\\inf\\oem0.inf"), None);
        assert_eq!(image.remove_drivers(&["own.inf"]).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

#[test]
fn a_list_of_drivers_that_names_what_is_none_of_theirs_removes_nothing() {
    let mut good = image();
    good.add_one(&tstor());
    let manifest = Manifest::load(&good).unwrap();
    let damaged: [fn(&mut Manifest); 5] = [
        |m| m.drivers[0].folder = "\\Windows".to_owned(),
        |m| m.drivers[0].folder = "\\Windows\\Drivers\\..\\System32".to_owned(),
        |m| m.drivers[0].files[0].replaced_copy = Some("\\Windows\\explorer.exe".to_owned()),
        |m| m.drivers[0].start_lines = vec![StartLine { path: "\\bootmgr".to_owned(), text: String::new() }],
        |m| m.start_scripts = vec![StartScript { path: "\\bootmgr".to_owned(), created: true }],
    ];
    for damage in damaged {
        let (mut image, mut manifest) = (good.clone(), manifest.clone());
        damage(&mut manifest);
        image.put(PATH, manifest.to_bytes().unwrap());
        let before = content(&image);
        let e = image.remove_drivers(&["tstor.inf"]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Format);
        let text = e.text_with_remedy();
        assert!(text.contains("wim.drivers.json") && text.contains("remove the file"), "{text}");
        assert_eq!(content(&image), before);
    }
}

/// Services that start at boot have their file.
fn check_boot_files(image: &MemoryImage) -> Result<(), TestCaseError> {
    for name in image.subkeys(System, "ControlSet001\\Services") {
        let key = format!("ControlSet001\\Services\\{name}");
        if image.value(System, &key, "Start") == Some(RegValue::dword(0)) {
            let path = image.value(System, &key, "ImagePath").and_then(|value| value.as_str()).unwrap();
            let file = path.rsplit('\\').next().unwrap();
            let there = image.bytes(&format!("\\Windows\\System32\\drivers\\{file}"));
            prop_assert!(there.is_some(), "{name} without {file}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Any set of packages, added in any order and removed in any order, leaves the image as it was.
    #[test]
    fn any_order_of_adding_and_removing_leaves_nothing(
        added in Just((0_usize..10).collect::<Vec<_>>()).prop_shuffle(),
        removed in Just((0_usize..10).collect::<Vec<_>>()).prop_shuffle(),
        count in 1_usize..=10,
        at_once in any::<bool>(),
        // What Windows itself has of the file: nothing, what is older than all, between two of them, as one of them.
        own in prop::sample::select(vec![None, Some([1, 0, 0, 0]), Some([1, 5, 0, 0]), Some([1, 9, 0, 0])]),
    ) {
        let all = packages();
        let mut image = image();
        if let Some(version) = own {
            image.put(FILE, program(Amd64, version));
        }
        for (path, version) in PAIR {
            image.put(path, program(Amd64, version));
        }
        let before = content(&image);
        let chosen = &added[..count];
        if at_once {
            let sources: Vec<_> = chosen.iter().map(|&n| &all[n].1 as _).collect();
            image.add(&sources, &unsigned_too());
        } else {
            for &n in chosen {
                image.add_one(&all[n].1);
            }
        }
        let mut left = chosen.to_vec();
        for n in removed.into_iter().filter(|n| chosen.contains(n)) {
            let findings = image.remove_drivers(&[all[n].0]).unwrap();
            prop_assert_eq!(findings, Vec::<String>::new());
            check_boot_files(&image)?;
            left.retain(|&other| other != n);
            let newest = left.iter().filter_map(|&n| VERSIONS[n]).chain(own).max();
            let expected = newest.map(|version| program(Amd64, version));
            let there = image.bytes(FILE);
            prop_assert_eq!(there.as_deref(), expected.as_deref(), "after {}", all[n].0);
        }
        prop_assert_eq!(content(&image), before);
    }
}

#[test]
fn every_change_of_a_driver_database_is_dated_later_than_the_one_before() {
    let date = |image: &MemoryImage| {
        let value = image.value(System, "DriverDatabase", "UpdateDate").unwrap();
        u64::from_le_bytes(value.data.try_into().unwrap())
    };
    let mut image = ten(Amd64);
    // Later than the drivers.
    let far = 0x01E0_0000_0000_0000_u64;
    image.edit(&[(System, "DriverDatabase", "UpdateDate", RegValue::binary(far.to_le_bytes()))]);
    let before = content(&image);
    image.add_one(&tstor());
    assert_eq!(date(&image), far + 1);
    image.add_one(&sibling());
    assert_eq!(date(&image), far + 2);
    let both = content(&image);
    image.add_one(&tstor());
    assert_eq!(content(&image), both, "a second add changed something");
    for name in ["tstor.inf", "tsib.inf"] {
        image.remove_drivers(&[name]).unwrap();
    }
    assert_eq!(content(&image), before);
    // What Windows staged leaves a later date too.
    image.add_one(&tstor());
    lose_the_list(&mut image);
    image.remove_drivers(&["tstor.inf"]).unwrap();
    assert_eq!(date(&image), far + 2);
}

/// Loses the list of added drivers.
pub(crate) fn lose_the_list(image: &mut MemoryImage) {
    let path = WimPath::parse(PATH).unwrap();
    image.apply(&[Change { path, action: Action::Remove, reason: "test".into() }]);
}

#[test]
fn a_lost_list_is_made_again_by_adding_again() {
    let before = image();
    let mut image = before.clone();
    let both: [&dyn PackageFiles; 2] = [&tstor(), &tusb3()];
    image.add(&both, &unsigned_too());
    lose_the_list(&mut image);
    let lost = content(&image);
    let plan = image.add(&both, &unsigned_too());
    for report in &plan.reports {
        assert!(matches!(report.outcome, Outcome::AlreadyPresent { .. }), "{report:?}");
        assert!(report.findings.iter().any(|f| f.contains("on that list again")), "{report:?}");
    }
    let mut again = image.clone();
    lose_the_list(&mut again);
    assert_eq!(content(&again), lost, "more than the list was written");
    let findings = image.remove_drivers(&["tstor.inf", "TUSB3.INF"]).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(content(&image), content(&before));
}

#[test]
fn a_lost_list_that_other_drivers_are_on_takes_nothing_of_theirs() {
    let before = image();
    let mut image = before.clone();
    // T1 is forgotten; its sibling, which has the same service and file, is on a list.
    image.add_one(&tstor());
    lose_the_list(&mut image);
    image.add_one(&sibling());
    image.add_one(&tstor());
    image.remove_drivers(&["tstor.inf"]).unwrap();
    let service = "ControlSet001\\Services\\tstor";
    assert_eq!(image.value(System, service, "Type"), Some(RegValue::dword(1)));
    assert!(image.bytes("\\Windows\\System32\\drivers\\tstor.sys").is_some());
    assert!(!image.files().iter().any(|path| path.contains("\\Drivers\\tstor_")), "{:?}", image.files());
    image.remove_drivers(&["tsib.inf"]).unwrap();
    assert_eq!(content(&image), content(&before));
}

#[test]
fn a_driver_without_a_list_leaves_what_another_without_one_needs() {
    let before = image();
    let mut both = before.clone();
    both.add(&[&tstor(), &sibling()], &unsigned_too());
    lose_the_list(&mut both);
    let service = "ControlSet001\\Services\\tstor";
    // One of them comes back on the list and goes.
    let mut image = both.clone();
    let plan = image.add_one(&tstor());
    let says = |what: &str| plan.reports[0].findings.iter().any(|finding| finding.contains(what));
    assert!(says("service tstor stays for ever") && says("\\tsib.inf, which is not on the list"), "{plan:?}");
    image.remove_drivers(&["tstor.inf"]).unwrap();
    for value in ["Type", "Start", "ImagePath"] {
        assert_eq!(image.value(System, service, value), both.value(System, service, value), "{value}");
    }
    assert!(image.bytes(FILE).is_some());
    // Both come back, and go in either order.
    for order in [["tstor.inf", "tsib.inf"], ["tsib.inf", "tstor.inf"]] {
        let mut image = both.clone();
        image.add(&[&tstor(), &sibling()], &unsigned_too());
        assert_eq!(image.remove_drivers(&order[..1]).unwrap(), Vec::<String>::new());
        assert_eq!(image.value(System, service, "Start"), Some(RegValue::dword(0)), "{order:?}");
        assert!(image.bytes(FILE).is_some(), "{order:?}");
        assert_eq!(image.remove_drivers(&order[1..]).unwrap(), Vec::<String>::new());
        assert_eq!(content(&image), content(&before), "{order:?}");
    }
}

#[test]
fn a_driver_without_a_list_leaves_a_service_that_others_devices_are_bound_to() {
    let mut image = image();
    image.add_one(&tstor());
    let key = "ControlSet001\\Control\\CriticalDeviceDatabase\\PCI#VEN_9999&DEV_0001";
    image.edit(&[(System, key, "Service", RegValue::sz("TSTOR"))]);
    lose_the_list(&mut image);
    let plan = image.add_one(&tstor());
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("PCI\\VEN_9999&DEV_0001 is bound to it")), "{findings:?}");
    image.remove_drivers(&["tstor.inf"]).unwrap();
    assert_eq!(image.value(System, "ControlSet001\\Services\\tstor", "Start"), Some(RegValue::dword(0)));
    assert!(image.bytes(FILE).is_some());
}

#[test]
fn without_a_list_a_service_and_a_file_that_windows_had_come_through() {
    for windows in [image(), ten(Amd64)] {
        let mut before = windows;
        let service = "ControlSet001\\Services\\tstor";
        before.put(FILE, program(Amd64, [1, 0, 0, 0]));
        before.edit(&[
            (System, service, "Type", RegValue::dword(1)),
            (System, service, "Start", RegValue::dword(0)),
            (System, service, "ImagePath", RegValue::expand_sz("System32\\drivers\\tstor.sys")),
        ]);
        for again in [true, false] {
            let mut image = before.clone();
            image.add_one(&tstor());
            lose_the_list(&mut image);
            if again {
                image.add_one(&tstor());
            } else if image.files().iter().any(|path| path.contains("\\Drivers\\tstor_")) {
                // Windows 7 knows nothing of a driver that is on no list.
                continue;
            }
            let findings = image.remove_drivers(&["tstor.inf"]).unwrap();
            assert_eq!(image.bytes(FILE), before.bytes(FILE), "{again}");
            for value in ["Type", "Start", "ImagePath"] {
                assert_eq!(image.value(System, service, value), before.value(System, service, value));
            }
            assert_eq!(image.files(), before.files(), "{findings:?}");
        }
    }
}

#[test]
fn windows_own_database_stands_in_for_a_lost_list() {
    let before = ten(Amd64);
    let mut image = before.clone();
    image.add_one(&tstor());
    lose_the_list(&mut image);
    let plan = image.add_one(&tstor());
    assert!(matches!(plan.reports[0].outcome, Outcome::AlreadyPresent { .. }), "{plan:?}");
    image.remove_drivers(&["tstor.inf"]).unwrap();
    assert_eq!(image.files(), before.files());
    let services = image.subkeys(System, "ControlSet001\\Services");
    assert_eq!(services, before.subkeys(System, "ControlSet001\\Services"));
    let packages = image.subkeys(System, "DriverDatabase\\DriverPackages");
    assert!(packages.is_empty(), "{packages:?}");
}

#[test]
fn of_a_packages_folder_goes_only_what_the_driver_put_there() {
    for before in [image(), ten(Amd64)] {
        let mut image = before.clone();
        let plan = image.add_one(&tstor());
        let Outcome::Added(added) = &plan.reports[0].outcome else { panic!("{plan:?}") };
        let folder = added.folder.clone();
        image.put(&format!("{folder}\\x64\\mine.txt"), *b"mine");
        image.put(&format!("{folder}\\tstor.inf"), *b"changed");
        image.put(&format!("{folder}\\tstor.PNF"), *b"compiled by Windows");
        let findings = image.remove_drivers(&["tstor.inf"]).unwrap();
        let left: Vec<String> =
            image.files().into_iter().filter(|path| !before.files().contains(path)).collect();
        assert_eq!(left, [format!("{folder}\\tstor.inf"), format!("{folder}\\x64\\mine.txt")]);
        let says = |what: &str| findings.iter().any(|finding| finding.contains(what));
        assert!(says("tstor.inf was changed by something else and stays"), "{findings:?}");
        assert!(says("mine.txt was put there by something else and stays"), "{findings:?}");
    }
}

#[test]
fn a_device_that_two_drivers_bind_to_one_service_stays_bound_until_both_are_gone() {
    let twin = TSTOR.replace("1.2.3.4", "1.2.3.5");
    let twin = MemoryFiles::new("twin")
        .with("ttwin.inf", twin.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]));
    let key = "ControlSet001\\Control\\CriticalDeviceDatabase\\PCI#VEN_1234&DEV_0001";
    for order in [["tstor.inf", "ttwin.inf"], ["ttwin.inf", "tstor.inf"]] {
        let before = image();
        let mut image = before.clone();
        image.add(&[&tstor(), &twin], &unsigned_too());
        image.remove_drivers(&order[..1]).unwrap();
        assert_eq!(image.value(System, key, "Service"), Some(RegValue::sz("tstor")), "{order:?}");
        image.remove_drivers(&order[1..]).unwrap();
        assert_eq!(content(&image), content(&before), "{order:?}");
    }
}

/// T1 whose service section has these lines in a section `DelReg` names, and `more` after it.
pub(crate) fn deleting(name: &str, device: &str, lines: &str, more: &str) -> MemoryFiles {
    let inf = TSTOR
        .replace("tstor.inf", name)
        .replace("DEV_0001", device)
        .replace("AddReg=par\n", "DelReg=del\nAddReg=par\n")
        .replace("[par]\n", &format!("[del]\n{lines}\n[par]\n{more}\n"));
    MemoryFiles::new(name).with(name, inf.into_bytes()).with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]))
}

#[test]
fn a_key_that_an_inf_deletes_is_told_and_comes_back_with_all_below_it() {
    const PCI: &str = "ControlSet001\\Services\\pci";
    let package = deleting("tdel.inf", "DEV_0031", "HKLM,SYSTEM\\CurrentControlSet\\Services\\pci", "");
    for mut image in [image(), ten(Amd64)] {
        image.put("\\Windows\\System32\\drivers\\pci.sys", program(Amd64, [6, 1, 7601, 17514]));
        let deep = format!("{PCI}\\Parameters\\Deep");
        image.edit(&[
            (System, PCI, "Type", RegValue::dword(1)),
            (System, PCI, "Start", RegValue::dword(0)),
            (System, PCI, "ImagePath", RegValue::expand_sz("System32\\drivers\\pci.sys")),
            (System, &deep, "", RegValue::multi_sz(&["one", "two"])),
        ]);
        let changes = {
            let mut hives = HiveSet::new(&image, HiveOptions::default());
            hives.create_key(System, &format!("{PCI}\\Enum"), "test").unwrap();
            hives.finish().unwrap().0
        };
        image.apply(&changes);
        let before = content(&image);
        let plan = image.add_one(&package);
        let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
        assert!(reason.contains("service pci, which the boot loader starts, would start never"), "{reason}");
        assert_eq!(content(&image), before);
        let forced = DriverOptions { unbootable: Unbootable::Accept, ..unsigned_too() };
        let plan = image.add(&[&package], &forced);
        let says = |what: &str| plan.reports[0].findings.iter().any(|finding| finding.contains(what));
        assert!(
            says("Start 0 \u{2192} gone") && says("the key SYSTEM\\ControlSet001\\Services\\pci"),
            "{plan:?}"
        );
        assert!(!image.subkeys(System, "ControlSet001\\Services").contains(&"pci".to_owned()));
        assert_eq!(image.remove_drivers(&["tdel.inf"]).unwrap(), Vec::<String>::new());
        assert_eq!(content(&image), before);
    }
}

/// Access lists of all keys below `Vendor`, and their classes.
fn traits(image: &MemoryImage) -> Vec<(Option<Vec<u8>>, Option<String>)> {
    let mut hives = HiveSet::new(image, HiveOptions::default());
    let keys = ["Vendor", "Vendor\\Old", "Vendor\\Old\\Below"];
    let traits = keys.map(|key| hives.traits(Software, key).unwrap().unwrap_or_default());
    traits.into_iter().map(|traits| (traits.security, traits.class)).collect()
}

#[test]
fn a_key_that_comes_back_has_its_access_list_and_its_class() {
    let line = "HKLM,\"SOFTWARE\\Vendor\\Old\"";
    let mut before = image();
    before.edit(&[
        (Software, "Vendor\\Old", "Mode", RegValue::dword(1)),
        (Software, "Vendor\\Old\\Below", "Kept", RegValue::sz("text")),
    ]);
    let path = "\\Windows\\System32\\config\\SOFTWARE";
    let mut hive = Hive::open(before.bytes(path).unwrap().to_vec()).unwrap();
    // A descriptor that grants nobody anything: a header, and a list of no entries.
    let own = [&[1, 0, 4, 0x80][..], &[0; 12], &[20, 0, 0, 0, 2, 0, 8, 0, 0, 0, 0, 0]].concat();
    hive.set_security("Vendor\\Old", &own).unwrap();
    hive.set_class("Vendor\\Old\\Below", "a class").unwrap();
    before.put(path, hive.finish().unwrap());
    let wanted = traits(&before);
    assert!(wanted[1].0.as_deref() == Some(&own) && wanted[2].1.as_deref() == Some("a class"), "{wanted:?}");
    let packages = [
        ("tgone.inf", deleting("tgone.inf", "DEV_0032", line, "")),
        ("tmade.inf", deleting("tmade.inf", "DEV_0033", "", &format!("{line},Mode,0x00010001,2"))),
    ];
    for removed in [[0, 1], [1, 0]] {
        let mut image = before.clone();
        for (_, package) in &packages {
            image.add_one(package);
        }
        assert_ne!(traits(&image), wanted);
        for at in removed {
            image.remove_drivers(&[packages[at].0]).unwrap();
        }
        assert_eq!(traits(&image), wanted, "{removed:?}");
        assert_eq!(content(&image), content(&before), "{removed:?}");
        let hive = Hive::open(image.bytes(path).unwrap().to_vec()).unwrap();
        assert!(hive.check().is_sound());
    }
}

#[test]
fn what_an_inf_does_to_others_records_in_the_driver_database_comes_back() {
    const OTHER: &str = "DriverDatabase\\DriverPackages\\other.inf_amd64_0123456789abcdef";
    const DEVICE: &str = "DriverDatabase\\DeviceIds\\PCI\\VEN_1234&DEV_0001";
    let mut before = ten(Amd64);
    before.edit(&[
        (System, OTHER, "InfName", RegValue::sz("other.inf")),
        (System, &format!("{OTHER}\\Configurations\\I"), "Service", RegValue::sz("other")),
        (System, DEVICE, "other.inf", RegValue::binary([1, 0xFF, 0, 0])),
        (
            System,
            "DriverDatabase\\DriverInfFiles\\other.inf",
            "Active",
            RegValue::sz("other.inf_amd64_0123456789abcdef"),
        ),
    ]);
    let lines = [
        format!("HKLM,SYSTEM\\{OTHER}"),
        format!("HKLM,\"SYSTEM\\{OTHER}\\Configurations\""),
        format!("HKLM,\"SYSTEM\\{DEVICE}\",other.inf"),
        "HKLM,SYSTEM\\DriverDatabase\\DriverInfFiles\\other.inf,Active".to_owned(),
    ];
    let added = [
        format!("HKLM,SYSTEM\\{OTHER},Mine,,text"),
        format!("HKLM,\"SYSTEM\\{OTHER}\\Mine\",Value,0x00010001,1"),
        format!("HKLM,SYSTEM\\{OTHER},InfName,,mine.inf"),
    ];
    for line in lines {
        let mut image = before.clone();
        image.add_one(&deleting("tdel.inf", "DEV_0031", &line, ""));
        assert!(gone(&before, &image) > 0, "{line}");
        image.remove_drivers(&["tdel.inf"]).unwrap();
        assert_eq!(content(&image), content(&before), "{line}");
    }
    for line in added {
        let mut image = before.clone();
        image.add_one(&deleting("tdel.inf", "DEV_0031", "", &line));
        image.remove_drivers(&["tdel.inf"]).unwrap();
        assert_eq!(content(&image), content(&before), "{line}");
    }
}

/// How many keys and values of the SYSTEM hive are there no more.
fn gone(before: &MemoryImage, after: &MemoryImage) -> usize {
    let after = after.registry(System);
    before.registry(System).keys().filter(|place| !after.contains_key(*place)).count()
}

#[test]
fn a_key_that_one_driver_deletes_and_another_makes_again_is_as_it_was_in_the_end() {
    let line = "HKLM,\"SOFTWARE\\Vendor\\Old\"";
    // Deletes it; makes it; deletes it and makes it.
    let packages = [
        ("tgone.inf", deleting("tgone.inf", "DEV_0032", line, "")),
        ("tmade.inf", deleting("tmade.inf", "DEV_0033", "", &format!("{line},Mode,0x00010001,2"))),
        ("tboth.inf", deleting("tboth.inf", "DEV_0034", line, &format!("{line},Mode,0x00010001,2"))),
    ];
    let with_key = |there: bool| {
        let mut image = image();
        if there {
            let key = "Vendor\\Old\\Below";
            image.edit(&[(Software, "Vendor\\Old", "Mode", RegValue::dword(1))]);
            image.edit(&[(Software, key, "Kept", RegValue::sz("text"))]);
        }
        image
    };
    for there in [true, false] {
        for order in [[0, 1, 2], [1, 0, 2], [1, 2, 0], [2, 0, 1]] {
            for removed in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
                let mut image = with_key(there);
                let before = content(&image);
                for at in order {
                    image.add_one(&packages[at].1);
                }
                let again = content(&image);
                let last = &packages[order[2]].1;
                assert!(matches!(image.add_one(last).reports[0].outcome, Outcome::AlreadyPresent { .. }));
                assert_eq!(content(&image), again, "{order:?}");
                for at in removed {
                    image.remove_drivers(&[packages[at].0]).unwrap();
                }
                assert_eq!(content(&image), before, "there {there}, added {order:?}, removed {removed:?}");
            }
        }
    }
}

#[test]
fn a_key_that_holds_too_much_is_no_drivers_to_delete() {
    let mut image = image();
    let edits: Vec<_> = (0..10_500).map(|n| (format!("Vendor\\Old\\{}", n / 100), format!("v{n}"))).collect();
    let edits: Vec<_> =
        edits.iter().map(|(key, value)| (Software, &**key, &**value, RegValue::dword(1))).collect();
    image.edit(&edits);
    let before = content(&image);
    let plan = image.add_one(&deleting("tdel.inf", "DEV_0031", "HKLM,\"SOFTWARE\\Vendor\"", ""));
    let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(reason.contains("deletes the key SOFTWARE\\Vendor, which holds more"), "{reason}");
    assert_eq!(content(&image), before);
}

#[test]
fn without_a_list_a_newer_or_equal_file_of_windows_and_its_service_stay() {
    const SERVICE: &str = "ControlSet001\\Services\\tstor";
    const LOCK: &str = "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles";
    let values = [
        ("Type", RegValue::dword(1)),
        ("Start", RegValue::dword(0)),
        ("ImagePath", RegValue::expand_sz("System32\\drivers\\tstor.sys")),
    ];
    let record = format!("{LOCK}\\%SystemRoot%/System32/drivers/tstor.sys");
    for (version, is_recorded) in [([9, 0, 0, 0], false), ([9, 0, 0, 0], true), ([1, 2, 3, 4], false)] {
        let mut before = ten(Amd64);
        before.put(FILE, program(Amd64, version));
        for (name, value) in &values {
            before.edit(&[(System, SERVICE, name, value.clone())]);
        }
        let mut image = before.clone();
        image.add_one(&tstor());
        assert_eq!(image.subkeys(Software, LOCK), Vec::<String>::new(), "{version:?}");
        let mut listed = image.clone();
        listed.remove_drivers(&["tstor.inf"]).unwrap();
        assert_eq!(content(&listed), content(&before));
        lose_the_list(&mut image);
        if is_recorded {
            // As something else may have recorded it.
            image.edit(&[(Software, &record, "Owners", RegValue::multi_sz(&["oem0.inf"]))]);
        }
        let findings = image.remove_drivers(&["tstor.inf"]).unwrap();
        assert!(findings.iter().any(|f| f.contains("service tstor stays")), "{findings:?}");
        assert_eq!(
            findings.iter().any(|f| f.contains("tstor.sys is not the file")),
            is_recorded,
            "{findings:?}"
        );
        assert_eq!(image.bytes(FILE), before.bytes(FILE), "{version:?}");
        assert_eq!(image.files(), before.files());
        for (name, value) in &values {
            assert_eq!(image.value(System, SERVICE, name).as_ref(), Some(value), "{version:?}");
        }
        assert_eq!(image.value(System, SERVICE, "Owners"), None);
        assert_eq!(image.subkeys(Software, LOCK), Vec::<String>::new());
    }
}
