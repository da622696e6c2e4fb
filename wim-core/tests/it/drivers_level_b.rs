//! Drivers added to Windows 8 and later: the golden expectations of drivers.md 9 for level B, over images and packages made here,
//! and over the SYSTEM hive of a real Windows 10.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use proptest::prelude::*;

use crate::driver_image::{MemoryImage, eleven, pe, program, ten, unsigned_too, windows};
use crate::driver_packages::{TNET, TSTOR, text, tmiss, tnet, tstor, tusb3, tx86};
use crate::samples::real_data;
use wim_core::base::Architecture::{Amd64, Arm64, X86};
use wim_core::base::{ErrorKind, FileTime};
use wim_core::formats::hive::{CompareTimes, Hive, RegValue, reg_type};
use wim_core::image::WimPath;
use wim_core::image::edit::{Action, Change};
use wim_core::servicing::drivers::list::{Which, list};
use wim_core::servicing::drivers::report::{Added, How};
use wim_core::servicing::drivers::{BootCritical, DriverOptions, DriverPlan, Outcome};
use wim_core::servicing::hive_set::HiveName::{Drivers, Software, System};
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::MemoryFiles;

const REPOSITORY: &str = "\\Windows\\System32\\DriverStore\\FileRepository";
const CATALOGS: &str = "\\Windows\\System32\\CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
const LOCKDOWN: &str = "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles";

fn added(plan: &DriverPlan) -> &Added {
    assert_eq!(plan.reports.len(), 1, "{:?}", plan.reports);
    match &plan.reports[0].outcome {
        Outcome::Added(added) => added,
        other => panic!("{other:?}"),
    }
}

fn package_of(added: &Added) -> String {
    added.folder.rsplit('\\').next().unwrap().to_owned()
}

/// Files, directories and all registry values.
fn content(image: &MemoryImage) -> impl PartialEq + std::fmt::Debug + use<> {
    let files: Vec<_> = image
        .files()
        .into_iter()
        .filter(|path| !path.contains("\\config\\"))
        .map(|path| (path.clone(), image.bytes(&path)))
        .collect();
    let directories = image.directories();
    (files, directories, [System, Software, Drivers].map(|hive| image.registry(hive)))
}

/// T1 for later Windows: drivers.md 9.2 adds the package of 9.1, whose sections are for 6.1 and later.
#[test]
fn t1_on_windows_11_amd64_is_as_drivers_md_9_2_says() {
    let mut image = eleven(Amd64);
    let before: BTreeSet<String> = image.files().into_iter().collect();
    let software = image.registry(Software);
    let time = FileTime(0x01DA_0000_0000_0000);
    let options = DriverOptions { time: Some(time), ..unsigned_too() };
    let plan = image.add(&[&tstor()], &options);
    let added = added(&plan);
    assert_eq!((added.how, added.boot_critical), (How::LevelB, true));
    let pkg = package_of(added);
    let hash = pkg.strip_prefix("tstor.inf_amd64_").unwrap();
    assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{pkg}");

    let new: BTreeSet<String> = image.files().into_iter().filter(|path| !before.contains(path)).collect();
    let expected = [
        format!("{REPOSITORY}\\{pkg}\\tstor.inf"),
        format!("{REPOSITORY}\\{pkg}\\tstor.cat"),
        format!("{REPOSITORY}\\{pkg}\\x64\\tstor.sys"),
        "\\Windows\\inf\\oem0.inf".to_owned(),
        format!("{CATALOGS}\\oem0.cat"),
        "\\Windows\\System32\\DRIVERS\\tstor.sys".to_owned(),
        "\\Windows\\inf\\wim.drivers.json".to_owned(),
    ];
    assert_eq!(new, expected.into_iter().collect());
    assert_eq!(*image.bytes("\\Windows\\INF\\oem0.inf").unwrap(), *TSTOR.as_bytes());

    let db = "DriverDatabase";
    let infs = format!("{db}\\DriverInfFiles\\oem0.inf");
    let key = format!("{db}\\DriverPackages\\{pkg}");
    let configuration = format!("{key}\\Configurations\\I");
    let ids = format!("{db}\\DeviceIds");
    let subsys = "PCI\\VEN_1234&DEV_0001&SUBSYS_00011234";
    let short = "PCI\\VEN_1234&DEV_0001";
    let mut version = vec![0x00, 0xFF, 9, 0, 0, 0, 0, 0];
    version.extend([0x7B, 0xE9, 0x36, 0x4D, 0x25, 0xE3, 0xCE, 0x11, 0xBF, 0xC1, 8, 0, 0x2B, 0xE1, 3, 0x18]);
    version.extend([0x00, 0xC0, 0x6E, 0x93, 0xFF, 0xC0, 0xD5, 0x01, 4, 0, 3, 0, 2, 0, 1, 0]);
    version.extend([0; 8]);
    let size = TSTOR.len() as u64 + "catalog".len() as u64 + program(Amd64, [1, 2, 3, 4]).len() as u64;
    let store = format!("%SystemRoot%\\System32\\DriverStore\\FileRepository\\{pkg}");
    for (key, value, data) in [
        (db.to_owned(), "OemInfMap", RegValue::binary([0x80])),
        (db.to_owned(), "UpdateDate", RegValue::binary(time.0.to_le_bytes())),
        (format!("{ids}\\{subsys}"), "oem0.inf", RegValue::binary([1, 0xFF, 0, 0])),
        (format!("{ids}\\{short}"), "oem0.inf", RegValue::binary([2, 0xFF, 0, 0])),
        (
            format!("{ids}\\{{4d36e97b-e325-11ce-bfc1-08002be10318}}"),
            "oem0.inf",
            RegValue::new(reg_type::NONE, []),
        ),
        (infs.clone(), "", RegValue::multi_sz(&[&pkg])),
        (infs.clone(), "Active", RegValue::sz(&pkg)),
        (infs, "Configurations", RegValue::multi_sz(&["I"])),
        (key.clone(), "", RegValue::sz("oem0.inf")),
        (key.clone(), "InfName", RegValue::sz("tstor.inf")),
        (key.clone(), "Catalog", RegValue::sz("tstor.cat")),
        (key.clone(), "Provider", RegValue::sz("Test Corp")),
        (key.clone(), "Version", RegValue::binary(version)),
        (key.clone(), "FileSize", RegValue::qword(size)),
        (key.clone(), "StatusFlags", RegValue::dword(0x12)),
        (key.clone(), "SignerScore", RegValue::dword(0x8000_0000)),
        (key.clone(), "ImportDate", RegValue::binary(time.0.to_le_bytes())),
        (configuration.clone(), "ConfigFlags", RegValue::dword(0)),
        (configuration.clone(), "Service", RegValue::sz("tstor")),
        (
            format!("{configuration}\\Device\\Interrupt Management\\MessageSignaledInterruptProperties"),
            "MSISupported",
            RegValue::dword(1),
        ),
        (format!("{configuration}\\Services\\tstor\\Parameters"), "BusType", RegValue::dword(10)),
        (format!("{key}\\Descriptors\\{short}"), "Configuration", RegValue::sz("I")),
        (format!("{key}\\Descriptors\\{short}"), "Description", RegValue::sz("%dev%")),
        (format!("{key}\\Descriptors\\{subsys}"), "Manufacturer", RegValue::sz("%p%")),
        (format!("{key}\\Strings"), "dev", RegValue::sz("Test Storage")),
        (format!("{key}\\Strings"), "p", RegValue::sz("Test Corp")),
        ("ControlSet001\\Services\\tstor".to_owned(), "Start", RegValue::dword(0)),
        ("ControlSet001\\Services\\tstor".to_owned(), "Owners", RegValue::multi_sz(&["oem0.inf"])),
        (
            "ControlSet001\\Services\\tstor".to_owned(),
            "ImagePath",
            RegValue::expand_sz("System32\\drivers\\tstor.sys"),
        ),
        ("ControlSet001\\Services\\tstor\\Parameters".to_owned(), "BusType", RegValue::dword(10)),
    ] {
        assert_eq!(image.value(System, &key, value), Some(data), "{key} {value}");
    }
    let lock = format!("{LOCKDOWN}\\%SystemRoot%/System32/drivers/tstor.sys");
    assert_eq!(image.value(Software, &lock, "Class"), Some(RegValue::dword(4)));
    assert_eq!(image.value(Software, &lock, "Owners"), Some(RegValue::multi_sz(&["oem0.inf"])));
    let source = RegValue::expand_sz(&format!("{store}\\x64\\tstor.sys"));
    assert_eq!(image.value(Software, &lock, "Source"), Some(source));
    // Neither the critical device database nor the device path, and nothing in the other hive.
    assert!(image.subkeys(System, "ControlSet001\\Control").iter().all(|name| name == "ProductOptions"));
    let path = ("Microsoft\\Windows\\CurrentVersion".to_owned(), "=DevicePath".to_owned());
    assert_eq!(image.registry(Software)[&path], software[&path]);
    assert_eq!(image.subkeys(Drivers, db), Vec::<String>::new());
    // Without FileSize before Windows 11, as in the hive of a real Windows 10.
    let mut image = ten(Amd64);
    let key = format!("{db}\\DriverPackages\\{}", package_of(self::added(&image.add_one(&tstor()))));
    assert_eq!(image.value(System, &key, "FileSize"), None);
}

#[test]
fn t3_on_windows_10_is_as_drivers_md_9_3_says() {
    let mut image = ten(Amd64);
    let before = image.registry(System);
    let plan = image.add_one(&tnet());
    let added = added(&plan);
    assert!(!added.boot_critical && added.services.is_empty() && added.files.is_empty());
    let pkg = package_of(added);
    let db = "DriverDatabase";
    let id = format!("{db}\\DeviceIds\\PCI\\VEN_1234&DEV_0200");
    assert_eq!(image.value(Drivers, &id, "oem0.inf"), Some(RegValue::binary([1, 0xC0, 0, 0])));
    assert_eq!(image.subkeys(Drivers, &format!("{db}\\DeviceIds\\PCI")), ["VEN_1234&DEV_0200"]);
    let class = format!("{db}\\DeviceIds\\{{4d36e972-e325-11ce-bfc1-08002be10318}}");
    assert_eq!(image.value(Drivers, &class, "oem0.inf"), Some(RegValue::new(reg_type::NONE, [])));
    let inf = format!("{db}\\DriverInfFiles\\oem0.inf");
    assert_eq!(image.value(Drivers, &inf, "Active"), Some(RegValue::sz(&pkg)));
    assert_eq!(image.value(Drivers, &inf, "Configurations"), None);
    assert_eq!(image.subkeys(Drivers, &format!("{db}\\DriverPackages\\{pkg}")), Vec::<String>::new());
    let mut after = image.registry(System);
    let map = after.remove(&(db.to_owned(), "=OemInfMap".to_owned()));
    assert_eq!(map, Some(RegValue::binary([0x80])));
    assert_eq!(after, before);
    assert!(image.bytes("\\Windows\\System32\\drivers\\tnet.sys").is_none());
    // Where there is no DRIVERS hive all goes into SYSTEM.
    let mut image = windows(Amd64, (6, 3, 9600));
    let inf = TNET.replace("NTamd64.10.0...16299", "NTamd64.6.3");
    let net =
        MemoryFiles::new("n").with("tnet.inf", inf.into_bytes()).with("tnet.sys", program(Amd64, [3; 4]));
    self::added(&image.add_one(&net));
    assert_eq!(image.value(System, &id, "oem0.inf"), Some(RegValue::binary([1, 0xC0, 0, 0])));
}

#[test]
fn what_runs_from_the_store_is_named_there() {
    let mut image = eleven(Amd64);
    let inf = TNET.replace("[svc13]\n", "[svc13]\nDisplayName=%Nic%\nAddReg=par\n")
        + "AddReg=par\n[par]\nHKR,Parameters,Helper,0x00020000,\"%13%\\helper.dll\"\n[Strings]\nNic=\"Test NIC service\"\n";
    let net =
        MemoryFiles::new("n").with("tnet.inf", inf.into_bytes()).with("tnet.sys", program(Amd64, [3; 4]));
    let options = DriverOptions { boot_critical: BootCritical::Always, ..unsigned_too() };
    let plan = image.add(&[&net], &options);
    let store = format!("System32\\DriverStore\\FileRepository\\{}", package_of(added(&plan)));
    let service = "ControlSet001\\Services\\tnet";
    let path = RegValue::expand_sz(&format!("\\SystemRoot\\{store}\\tnet.sys"));
    assert_eq!(image.value(System, service, "ImagePath"), Some(path));
    let name = RegValue::sz("@oem0.inf,%Nic%;Test NIC service");
    assert_eq!(image.value(System, service, "DisplayName"), Some(name));
    let helper = RegValue::expand_sz(&format!("%SystemRoot%\\{store}\\helper.dll"));
    assert_eq!(image.value(System, &format!("{service}\\Parameters"), "Helper"), Some(helper));
    assert!(image.bytes("\\Windows\\System32\\drivers\\tnet.sys").is_none());
    assert_eq!(image.subkeys(Software, LOCKDOWN), Vec::<String>::new());
    // Windows 8 does not know the store as a place.
    let mut eight = windows(Amd64, (6, 2, 9200));
    let untouched = eight.clone();
    let inf = TNET.replace("NTamd64.10.0...16299", "NTamd64.6.2");
    let net =
        MemoryFiles::new("n").with("tnet.inf", inf.into_bytes()).with("tnet.sys", program(Amd64, [3; 4]));
    let plan = eight.add_one(&net);
    assert!(
        matches!(&plan.reports[0].outcome, Outcome::Refused { reason, .. } if reason.contains("directory id 13"))
    );
    assert!(eight == untouched);
}

#[test]
fn t2_t4_t6_and_t7_on_later_windows() {
    // T2: filters of the hardware key stand in the configuration itself, as in a real hive.
    let inf = crate::driver_packages::TUSB3
        .replace("[X.NT.Services]", "[X.NT.HW]\nAddReg=hw\n[hw]\nHKR,,UpperFilters,0x00010000,tusb3sw\nHKR,,Soft,0x00010003,7\n[X.NT.Services]");
    let package = MemoryFiles::new("usb")
        .with("tusb3.inf", inf.into_bytes())
        .with("tusb3xhc.sys", program(Amd64, [2; 4]))
        .with("tusb3sw.sys", program(Amd64, [2; 4]))
        .with("tco.dll", program(Amd64, [2; 4]));
    let mut image = eleven(Amd64);
    let plan = image.add_one(&package);
    let configuration =
        format!("DriverDatabase\\DriverPackages\\{}\\Configurations\\X.NT", package_of(added(&plan)));
    let filters = image.value(System, &configuration, "UpperFilters");
    assert_eq!(filters, Some(RegValue::multi_sz(&["tusb3sw"])));
    let device = format!("{configuration}\\Device");
    assert_eq!(image.value(System, &device, "UpperFilters"), None);
    // Only where it is absent: the type says so.
    let soft = image.value(System, &device, "Soft").unwrap();
    assert_eq!((soft.kind, soft.data), (0x2_0004, vec![7, 0, 0, 0]));
    assert!(image.bytes("\\Windows\\System32\\tco2.dll").is_some());
    assert_eq!(
        image.value(System, "ControlSet001\\Services\\tusb3xhc\\Parameters\\Wdf", "KmdfLibraryVersion"),
        Some(RegValue::sz("1.11"))
    );
    // T4: known in SYSTEM by a third form of id; no service, no configuration.
    for arch in [Amd64, Arm64] {
        let mut image = eleven(arch);
        let plan = image.add_one(&text());
        let pkg = package_of(added(&plan));
        let id = "DriverDatabase\\DeviceIds\\PCI\\VEN_1234&DEV_0001";
        assert_eq!(image.value(System, id, "oem0.inf"), Some(RegValue::binary([3, 0xFF, 0, 0])));
        let key = format!("DriverDatabase\\DriverPackages\\{pkg}");
        assert_eq!(image.subkeys(System, &key), Vec::<String>::new());
        let extension = RegValue::sz("{01234567-89ab-cdef-0123-456789abcdef}");
        assert_eq!(image.value(System, &key, "ExtensionId"), Some(extension));
        assert_eq!(image.subkeys(System, "ControlSet001\\Services"), ["EventLog"]);
    }
    // T6 and T7.
    let mut image = ten(Amd64);
    let untouched = image.clone();
    let plan = image.add_one(&tmiss());
    assert!(matches!(&plan.reports[0].outcome, Outcome::Refused { kind: ErrorKind::NotFound, .. }));
    let plan = image.add_one(&tx86());
    assert!(matches!(&plan.reports[0].outcome, Outcome::Skipped { .. }));
    assert!(image == untouched);
    added(&ten(X86).add_one(&tx86()));
}

#[test]
fn a_second_run_changes_nothing_and_what_was_lost_comes_back() {
    let mut image = eleven(Amd64);
    image.add_one(&tstor());
    let once = image.clone();
    let later = DriverOptions { time: Some(FileTime(5)), ..unsigned_too() };
    let plan = image.add(&[&tstor()], &later);
    assert!(matches!(plan.reports[0].outcome, Outcome::AlreadyPresent { .. }), "{plan:?}");
    assert!(image == once, "a second run changed something");
    // A reflected file and a record are lost.
    let path = WimPath::parse("\\Windows\\System32\\drivers\\tstor.sys").unwrap();
    image.apply(&[Change { path, action: Action::Remove, reason: "test".into() }]);
    let plan = image.add_one(&tstor());
    assert!(added(&plan).completed);
    assert_eq!(content(&image), content(&once));
    // So is the list of added drivers: the database knows the package.
    let path = WimPath::parse("\\Windows\\INF\\wim.drivers.json").unwrap();
    image.apply(&[Change { path, action: Action::Remove, reason: "test".into() }]);
    let plan = image.add_one(&tstor());
    assert!(plan.reports.iter().all(|report| !matches!(report.outcome, Outcome::Refused { .. })), "{plan:?}");
    assert!(image.bytes("\\Windows\\INF\\oem1.inf").is_none(), "{:?}", image.files());
}

#[test]
fn numbers_are_the_lowest_that_nothing_has() {
    let mut image = ten(Amd64);
    image.put("\\Windows\\INF\\oem1.inf", *b"somebody's");
    image.edit(&[
        (System, "DriverDatabase", "OemInfMap", RegValue::binary([0b1001_0000])),
        (System, "DriverDatabase\\DriverInfFiles\\oem2.inf", "Active", RegValue::sz("x")),
        (Drivers, "DriverDatabase\\DriverInfFiles\\oem4.inf", "Active", RegValue::sz("x")),
    ]);
    image.add_one(&tstor());
    assert!(image.bytes("\\Windows\\INF\\oem5.inf").is_some(), "{:?}", image.files());
    let map = image.value(System, "DriverDatabase", "OemInfMap");
    assert_eq!(map, Some(RegValue::binary([0b1001_0100])));
}

/// The class property of the image counts before the table.
#[test]
fn an_image_says_itself_which_classes_boot() {
    let property = |guid: &str| {
        format!(
            "ControlSet001\\Control\\Class\\{guid}\\Properties\\{{6a3433f4-5626-40e8-a9b9-dbd9ecd2884b}}\\0003"
        )
    };
    let boolean = |byte: u8| RegValue::new(0xFFFF_0011, [byte]);
    let mut image = ten(Amd64);
    image.edit(&[
        (System, &property("{4d36e972-e325-11ce-bfc1-08002be10318}"), "", boolean(0xFF)),
        (System, &property("{4d36e97b-e325-11ce-bfc1-08002be10318}"), "", boolean(0)),
    ]);
    assert!(added(&image.add_one(&tnet())).boot_critical);
    assert!(!added(&image.add_one(&tstor())).boot_critical);
    assert_eq!(image.subkeys(Drivers, "DriverDatabase\\DriverInfFiles"), ["oem1.inf"]);
}

#[test]
fn a_package_that_windows_staged_is_not_added_again_and_can_be_removed() {
    let mut image = ten(Amd64);
    image.add_one(&tstor());
    // As if Windows had done it: our own list is gone.
    let path = WimPath::parse("\\Windows\\INF\\wim.drivers.json").unwrap();
    image.apply(&[Change { path, action: Action::Remove, reason: "test".into() }]);
    let staged = image.clone();
    // The same INF in a package with one more file: another identity, the same driver.
    let other = tstor().with("tstor.cat", *b"another");
    let plan = image.add_one(&other);
    assert!(matches!(&plan.reports[0].outcome, Outcome::AlreadyPresent { .. }), "{plan:?}");
    assert!(plan.reports[0].findings.iter().any(|f| f.contains("as oem0.inf")), "{plan:?}");
    assert!(image == staged);
    let e = image.remove_drivers(&["oem7.inf"]).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
    let findings = image.remove_drivers(&["oem0.inf"]).unwrap();
    assert!(findings.len() == 1 && findings[0].contains("needs to boot"), "{findings:?}");
    assert!(image.files().iter().all(|path| !path.contains("tstor") && !path.contains("oem0")));
    assert_eq!(image.subkeys(System, "ControlSet001\\Services"), ["EventLog"]);
    let map = image.value(System, "DriverDatabase", "OemInfMap");
    assert_eq!(map, Some(RegValue::binary([])));
    assert_eq!(image.subkeys(System, "DriverDatabase\\DriverPackages"), Vec::<String>::new());
    assert_eq!(image.subkeys(Software, LOCKDOWN), Vec::<String>::new());
}

/// Another INF with T1's service, file and one of its ids.
fn sibling() -> MemoryFiles {
    let inf = TSTOR
        .replace("tstor.inf", "tsib.inf")
        .replace("&SUBSYS_00011234", "&SUBSYS_00021234")
        .replace("1.2.3.4", "1.2.3.5");
    MemoryFiles::new("sibling")
        .with("tsib.inf", inf.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]))
}

/// T1's service in a newer version.
fn newer() -> MemoryFiles {
    let inf = TSTOR.replace("DEV_0001", "DEV_0003").replace("ErrorControl=1", "ErrorControl=3");
    MemoryFiles::new("newer")
        .with("tnewer.inf", inf.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [2, 0, 0, 0]))
}

fn packages() -> [(&'static str, MemoryFiles); 6] {
    [
        ("tstor.inf", tstor()),
        ("tsib.inf", sibling()),
        ("tnewer.inf", newer()),
        ("tnet.inf", tnet()),
        ("TUSB3.INF", tusb3()),
        ("text.inf", text()),
    ]
}

/// A Windows 11 whose own driver has the file that packages replace.
fn used() -> MemoryImage {
    let mut image = eleven(Amd64);
    image.put("\\Windows\\System32\\drivers\\tstor.sys", program(Amd64, [1, 0, 0, 0]));
    image.edit(&[(System, "DriverDatabase", "OemInfMap", RegValue::binary([0x20]))]);
    image
}

#[test]
fn two_packages_with_one_service_own_it_together() {
    let mut image = eleven(Amd64);
    image.add(&[&tstor(), &sibling()], &unsigned_too());
    let service = "ControlSet001\\Services\\tstor";
    let owners = || RegValue::multi_sz(&["oem0.inf", "oem1.inf"]);
    assert_eq!(image.value(System, service, "Owners"), Some(owners()));
    let lock = format!("{LOCKDOWN}\\%SystemRoot%/System32/drivers/tstor.sys");
    assert_eq!(image.value(Software, &lock, "Owners"), Some(owners()));
    let id = "DriverDatabase\\DeviceIds\\PCI\\VEN_1234&DEV_0001";
    assert!(image.value(System, id, "oem0.inf").is_some() && image.value(System, id, "oem1.inf").is_some());
    image.remove_drivers(&["oem0.inf"]).unwrap();
    assert_eq!(image.value(System, service, "Owners"), Some(RegValue::multi_sz(&["oem1.inf"])));
    assert_eq!(image.value(System, service, "Start"), Some(RegValue::dword(0)));
    assert!(image.bytes("\\Windows\\System32\\drivers\\tstor.sys").is_some());
    assert_eq!(image.value(System, id, "oem0.inf"), None);
    assert_eq!(image.value(System, "DriverDatabase", "OemInfMap"), Some(RegValue::binary([0x40])));
    // The gap is filled.
    image.add_one(&tnet());
    assert!(image.bytes("\\Windows\\INF\\oem0.inf").is_some());
}

#[test]
fn added_drivers_are_listed_once_with_their_names() {
    let mut image = ten(Amd64);
    image.add(&[&tstor(), &tnet()], &unsigned_too());
    let drivers = list(&image, Amd64, Which::ThirdParty).unwrap();
    let names: Vec<_> =
        drivers.iter().map(|d| (d.published.as_deref(), d.inf.as_str(), d.added_here)).collect();
    assert_eq!(names, [(Some("oem0.inf"), "tstor.inf", true), (Some("oem1.inf"), "tnet.inf", true)]);
    assert_eq!(drivers[0].ids.len(), 2);
}

#[test]
fn windows_pe_of_windows_10_has_a_store_too() {
    let mut image = pe(ten(Amd64));
    assert!(image.target().is_winpe);
    let plan = image.add_one(&tstor());
    assert_eq!(added(&plan).how, How::LevelB);
    assert!(image.bytes("\\Windows\\System32\\startnet.cmd").is_none());
    assert!(image.bytes("\\Windows\\System32\\winpeshl.ini").is_none());
    let plan = image.add_one(&text());
    let Outcome::Skipped { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(reason.contains("never for Windows PE"), "{reason}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Any set of packages, added in any order and removed in any order, leaves the image as it was; in between the map of numbers
    /// is that of the published files, and every package's key has the shape Windows wants.
    #[test]
    fn any_order_of_adding_and_removing_leaves_nothing(
        added in Just(vec![0_usize, 1, 2, 3, 4, 5]).prop_shuffle(),
        removed in Just(vec![0_usize, 1, 2, 3, 4, 5]).prop_shuffle(),
        count in 1_usize..=6,
        at_once in any::<bool>(),
    ) {
        let all = packages();
        let mut image = used();
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
        let published = image.files().iter().filter(|path| path.contains("\\oem") && path.ends_with(".inf")).count();
        prop_assert_eq!(published, count);
        let map = image.value(System, "DriverDatabase", "OemInfMap").unwrap().data;
        prop_assert_eq!(map.iter().map(|byte| byte.count_ones()).sum::<u32>() as usize, count + 1);
        for hive in [System, Drivers] {
            for name in image.subkeys(hive, "DriverDatabase\\DriverPackages") {
                let hash = name.split(".inf_amd64_").nth(1).unwrap();
                prop_assert!(hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
            }
        }
        for n in removed.into_iter().filter(|n| chosen.contains(n)) {
            let findings = image.remove_drivers(&[all[n].0]).unwrap();
            prop_assert!(findings.iter().all(|f| f.contains("add that driver again")), "{findings:?}");
        }
        prop_assert_eq!(content(&image), before);
    }
}

/// An amd64 Windows 10 with the real SYSTEM hive; none, with a note, when it or `xz` is absent.
pub(crate) fn real_ten() -> Option<MemoryImage> {
    let path = real_data("hives/win10-21H2-SYSTEM.xz")?;
    let output = Command::new("xz").arg("-dc").arg(&path).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        println!("skipped: xz cannot unpack {}", path.display());
        return None;
    };
    let mut image = windows(Amd64, (10, 0, 19044));
    image.put("\\Windows\\System32\\config\\SYSTEM", output.stdout);
    Some(image)
}

/// Names and types of the values of a key.
fn kinds(hives: &mut HiveSet<'_>, key: &str) -> BTreeMap<String, u32> {
    hives.values(System, key).unwrap().into_iter().map(|(name, value)| (name, value.kind)).collect()
}

fn system(image: &MemoryImage) -> Hive {
    Hive::open(image.bytes("\\Windows\\System32\\config\\SYSTEM").unwrap().to_vec()).unwrap()
}

#[test]
fn the_real_windows_10_hive_takes_packages_and_gives_them_back() {
    let Some(mut image) = real_ten() else { return };
    let before = system(&image);
    let plan = image.add_one(&tstor());
    let pkg = package_of(added(&plan));
    assert!(added(&plan).boot_critical);
    {
        let mut hives = HiveSet::new(&image, HiveOptions::default());
        // oem0 to oem8 are taken: the map says so, though four of them are known to the other hive only.
        let map = hives.get(System, "DriverDatabase", "OemInfMap").unwrap();
        assert_eq!(map, Some(RegValue::binary([0xFF, 0xC0])));
        // Its records have the names and types that those of the same class have there.
        let of_windows = "DriverDatabase\\DriverPackages\\vmci.inf_amd64_5e38a278d114b813";
        let own = format!("DriverDatabase\\DriverPackages\\{pkg}");
        let mut expected = kinds(&mut hives, of_windows);
        // Nobody signed ours.
        expected.remove("SignerName");
        assert_eq!(kinds(&mut hives, &own), expected);
        let version =
            |hives: &mut HiveSet<'_>, key: &str| hives.get(System, key, "Version").unwrap().unwrap().data;
        assert_eq!(version(&mut hives, &own)[..8], version(&mut hives, of_windows)[..8]);
        assert_eq!(hives.subkeys(System, &own).unwrap(), ["Configurations", "Descriptors", "Strings"]);
        let descriptor = kinds(&mut hives, &format!("{own}\\Descriptors\\PCI\\VEN_1234&DEV_0001"));
        let theirs = kinds(&mut hives, &format!("{of_windows}\\Descriptors\\PCI\\VEN_15AD&DEV_0740"));
        assert_eq!(descriptor, theirs);
    }
    let once = image.clone();
    let again = image.add_one(&tstor());
    assert!(matches!(again.reports[0].outcome, Outcome::AlreadyPresent { .. }), "{again:?}");
    assert!(image == once);
    image.remove_drivers(&["oem9.inf"]).unwrap();
    let changed = before.diff(&system(&image), CompareTimes::No).unwrap();
    assert!(changed.is_empty(), "{changed:?}");
    assert!(system(&image).check().is_sound());
    // A driver of VMware goes as Windows would take it out.
    image.remove_drivers(&["oem2.inf"]).unwrap();
    let after = system(&image);
    let gone = |key: &str| after.key(key).unwrap().is_none();
    assert!(gone("DriverDatabase\\DriverInfFiles\\oem2.inf"));
    assert!(gone("DriverDatabase\\DriverPackages\\vmci.inf_amd64_5e38a278d114b813"));
    assert!(gone("ControlSet001\\Services\\vmci"));
    assert!(gone("DriverDatabase\\DeviceIds\\PCI\\VEN_15AD&DEV_0740&SUBSYS_074015AD"));
    assert!(!gone("ControlSet001\\Services\\vmusbmouse"));
    let map = after.value("DriverDatabase", "OemInfMap").unwrap();
    assert_eq!(map, Some(RegValue::binary([0xDF, 0x80])));
    assert!(after.check().is_sound());
}
