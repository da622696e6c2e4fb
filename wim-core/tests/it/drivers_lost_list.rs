//! Drivers whose list was lost: what is taken for theirs, and what may be Windows' own and stays.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use crate::driver_image::{MemoryImage, program, ten, unsigned_too};
use crate::driver_packages::{TSTOR, tstor};
use crate::drivers_checks::linted;
use crate::drivers_level_b::real_ten;
use crate::drivers_real::{MACHINE, package, real_seven};
use crate::drivers_remove::{CLASS, FILE, PAIR, filtering, image, lose_the_list, paired};
use wim_core::base::Architecture::{Amd64, X86};
use wim_core::formats::hive::RegValue;
use wim_core::servicing::drivers::Outcome;
use wim_core::servicing::drivers::lint::{LintFinding, Severity};
use wim_core::servicing::drivers::manifest::Manifest;
use wim_core::servicing::hive_set::HiveName::{Software, System};
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::{MemoryFiles, PackageFiles};

const SERVICE: &str = "ControlSet001\\Services\\tstor";
const DEVICE: &str = "ControlSet001\\Control\\CriticalDeviceDatabase\\PCI#VEN_1234&DEV_0001";

/// A Windows 7 that has the service of T1 and a file of it in `version`, as T1 would have put them there.
fn with_service(version: [u16; 4]) -> MemoryImage {
    let mut image = image();
    image.put(FILE, program(Amd64, version));
    image.edit(&[
        (System, SERVICE, "Type", RegValue::dword(1)),
        (System, SERVICE, "Start", RegValue::dword(0)),
        (System, SERVICE, "ErrorControl", RegValue::dword(1)),
        (System, SERVICE, "ImagePath", RegValue::expand_sz("System32\\drivers\\tstor.sys")),
        (System, DEVICE, "Service", RegValue::sz("tstor")),
    ]);
    image
}

/// Adds a package, loses the list, adds it again and removes it; what was told when it was added again.
fn add_lose_add_remove(image: &mut MemoryImage, package: &dyn PackageFiles) -> Vec<String> {
    image.add_one(package);
    lose_the_list(image);
    let findings = image.add(&[package], &unsigned_too()).reports.remove(0).findings;
    image.remove_drivers(&["tstor.inf"]).unwrap();
    findings
}

/// That the service, its file and its device came through, and that it was told with `why`.
fn check_it_stays(image: &MemoryImage, before: &MemoryImage, findings: &[String], why: &str) {
    assert_eq!(image.bytes(FILE), before.bytes(FILE), "{why}");
    for value in ["Type", "Start", "ErrorControl", "ImagePath"] {
        let (found, wanted) = (image.value(System, SERVICE, value), before.value(System, SERVICE, value));
        assert_eq!(found, wanted, "{why}: {value}");
    }
    assert_eq!(image.value(System, DEVICE, "Service"), before.value(System, DEVICE, "Service"), "{why}");
    let told = findings.iter().any(|f| f.contains("service tstor stays for ever") && f.contains(why));
    assert!(told, "{why}: {findings:#?}");
    assert_eq!(image.files(), before.files(), "{why}");
}

#[test]
fn a_service_whose_newer_file_windows_had_stays() {
    let before = with_service([9, 0, 0, 0]);
    let mut image = before.clone();
    let findings = add_lose_add_remove(&mut image, &tstor());
    check_it_stays(&image, &before, &findings, "is not this driver's");
}

#[test]
fn a_service_and_an_equal_file_stay_where_windows_knows_them() {
    let of_service = "[Version]\nSignature=\"$Windows NT$\"\n[I.Services]\nAddService = %svc%,2,S\n[Strings]\nsvc=\"TStor\"\n";
    let of_file = "[Version]\nSignature=\"$Windows NT$\"\n[I]\nCopyFiles=@TSTOR.SYS\n";
    let listed = "[Version]\nSignature=\"$Windows NT$\"\n[SourceDisksFiles]\ntstor.sys = 1\n";
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(of_service.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let store = "\\Windows\\winsxs\\amd64_tinbox.inf_31bf3856ad364e35_6.1.7601.17514_none_0123456789abcdef\\tstor.sys";
    let repository =
        "\\Windows\\System32\\DriverStore\\FileRepository\\tinbox.inf_amd64_neutral_0123\\TSTOR.sys";
    let sys = program(Amd64, [1, 2, 3, 4]);
    for (path, bytes, why) in [
        ("\\Windows\\inf\\tinbox.inf", of_service.as_bytes().to_vec(), "tinbox.inf names it too"),
        ("\\Windows\\inf\\tinbox.inf", utf16, "tinbox.inf names it too"),
        ("\\Windows\\inf\\oem3.inf", of_file.as_bytes().to_vec(), "oem3.inf names it too"),
        ("\\Windows\\inf\\tinbox.inf", listed.as_bytes().to_vec(), "tinbox.inf names it too"),
        (store, sys.clone(), "winsxs\\amd64_tinbox.inf"),
        (repository, sys.clone(), "tinbox.inf_amd64_neutral_0123"),
    ] {
        let mut before = with_service([1, 2, 3, 4]);
        before.put(path, bytes);
        let mut image = before.clone();
        let findings = add_lose_add_remove(&mut image, &tstor());
        check_it_stays(&image, &before, &findings, why);
        let told = |f: &String| f.contains("tstor.sys stays for ever");
        assert!(findings.iter().any(told), "{why}: {findings:#?}");
    }
}

#[test]
fn a_service_that_runs_something_else_than_the_driver_brings_stays() {
    let mut before = with_service([1, 2, 3, 4]);
    before.put("\\Windows\\System32\\drivers\\other.sys", program(Amd64, [1, 0, 0, 0]));
    let mut image = before.clone();
    image.add_one(&tstor());
    lose_the_list(&mut image);
    let other = RegValue::expand_sz("System32\\drivers\\other.sys");
    for image in [&mut image, &mut before] {
        image.edit(&[(System, SERVICE, "ImagePath", other.clone())]);
    }
    let findings = image.add(&[&tstor()], &unsigned_too()).reports.remove(0).findings;
    image.remove_drivers(&["tstor.inf"]).unwrap();
    assert_eq!(image.value(System, SERVICE, "ImagePath"), Some(other));
    let told = "is none that this driver brings";
    assert!(findings.iter().any(|f| f.contains("service tstor stays") && f.contains(told)), "{findings:#?}");
}

/// Nothing in the image knows the service or the file: both can only be the driver's. What else is in its folder of INFs is no matter.
#[test]
fn what_nothing_in_the_image_knows_goes_with_the_driver() {
    let mut before = image();
    let others = "[Version]\nSignature=\"$Windows NT$\"\n; tstor.sys\n[I.Services]\nAddService=tstorx,2,S\n[I]\nCopyFiles=@xtstor.sys\n";
    before.put("\\Windows\\inf\\tinbox.inf", others.as_bytes());
    before.put("\\Windows\\winsxs\\x86_other\\other.sys", *b"other");
    let mut image = before.clone();
    let findings = add_lose_add_remove(&mut image, &tstor());
    assert!(!findings.iter().any(|f| f.contains("stays for ever")), "{findings:#?}");
    assert_eq!(image.files(), before.files());
    assert_eq!(image.registry(System), before.registry(System));
}

fn notes(image: &MemoryImage) -> Vec<String> {
    let is_note = |finding: &LintFinding| finding.severity == Severity::Note;
    linted(image).into_iter().filter(is_note).map(|finding| finding.text).collect()
}

#[test]
fn what_a_lost_list_leaves_is_told_with_what_can_be_done() {
    let mut seven = image();
    seven.add_one(&tstor());
    // A folder that somebody made is no leftover.
    seven.put("\\Windows\\Drivers\\NVMe\\vendor.inf", *b"[Version]\nSignature=\"$Windows NT$\"\n");
    assert_eq!(notes(&seven), Vec::<String>::new());
    lose_the_list(&mut seven);
    let found = notes(&seven);
    assert_eq!(found.len(), 1, "{found:?}");
    for said in
        ["\\Windows\\Drivers\\tstor_", "tstor.inf is on no list", "with tstor in", "add that package again"]
    {
        assert!(found[0].contains(said), "{said}: {found:?}");
    }
    // Windows 8 and later know their drivers without a list; what they do not know is told.
    let mut ten = ten(Amd64);
    ten.put(FILE, program(Amd64, [1, 0, 0, 0]));
    ten.add_one(&tstor());
    lose_the_list(&mut ten);
    assert_eq!(notes(&ten), Vec::<String>::new());
    let changes = {
        let mut hives = HiveSet::new(&ten, HiveOptions::default());
        hives.delete_key(System, "DriverDatabase\\DriverInfFiles\\oem0.inf", "test").unwrap();
        for package in hives.subkeys(System, "DriverDatabase\\DriverPackages").unwrap() {
            hives.delete_key(System, &format!("DriverDatabase\\DriverPackages\\{package}"), "test").unwrap();
        }
        hives.set(System, "DriverDatabase", "OemInfMap", RegValue::binary([0]), "test").unwrap();
        hives.finish().unwrap().0
    };
    ten.apply(&changes);
    let found = notes(&ten);
    let has = |all: [&str; 2]| found.iter().any(|text| all.iter().all(|part| text.contains(part)));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        has(["\\Windows\\Drivers\\replaced\\tstor.inf_amd64_", "keeps files of Windows (1)"]),
        "{found:?}"
    );
    assert!(has(["the service tstor belongs to oem0.inf", "add its driver again"]), "{found:?}");
}

#[test]
fn the_folder_of_what_was_replaced_goes_with_the_last_driver_whoever_made_it() {
    let (one, two) = (
        paired("tone.inf", "DEV_0021", [[7, 0, 0, 1], [7, 0, 0, 2]]),
        paired("ttwo.inf", "DEV_0022", [[8, 0, 0, 1], [8, 0, 0, 2]]),
    );
    let mut before = ten(Amd64);
    for (path, version) in PAIR {
        before.put(path, program(Amd64, version));
    }
    for order in [["tone.inf", "ttwo.inf"], ["ttwo.inf", "tone.inf"]] {
        let mut image = before.clone();
        image.add_one(&one);
        lose_the_list(&mut image);
        image.add_one(&two);
        for name in order {
            image.remove_drivers(&[name]).unwrap();
        }
        for (path, version) in PAIR {
            assert_eq!(image.bytes(path).as_deref(), Some(&*program(Amd64, version)), "{order:?}: {path}");
        }
        let left: Vec<String> =
            image.directories().into_iter().filter(|path| path.starts_with("\\Windows\\Drivers")).collect();
        assert_eq!(left, Vec::<String>::new(), "{order:?}");
    }
}

/// A filter whose service goes without it keeps Windows from booting: both are the driver's own.
#[test]
fn the_filter_of_a_service_goes_with_it_though_the_list_was_lost() {
    for others in [&[][..], &["keep"]] {
        let mut before = image();
        if !others.is_empty() {
            before.edit(&[(System, CLASS, "UpperFilters", RegValue::multi_sz(others))]);
            before.edit(&[(System, "ControlSet001\\Services\\keep", "Type", RegValue::dword(1))]);
        } else {
            before.edit(&[(System, CLASS, "Class", RegValue::sz("SCSIAdapter"))]);
        }
        let mut image = before.clone();
        let package = filtering("own", "own");
        image.add_one(&package);
        lose_the_list(&mut image);
        image.add_one(&package);
        assert_eq!(image.remove_drivers(&["own.inf"]).unwrap(), Vec::<String>::new());
        assert_eq!(image.files(), before.files());
        assert_eq!(image.registry(System), before.registry(System), "{others:?}");
    }
}

/// Intel's switch driver has the root of the PCI bus among its devices, which Windows boots by.
#[test]
fn a_device_of_windows_own_service_stays_bound_to_it() {
    const ROOT: &str = "ControlSet001\\Control\\CriticalDeviceDatabase\\*PNP0A08";
    let mut before = image();
    before.put("\\Windows\\inf\\machine.inf", MACHINE.as_bytes());
    before.edit(&[
        (System, ROOT, "Service", RegValue::sz("pci")),
        (System, ROOT, "ClassGUID", RegValue::sz("{4D36E97B-E325-11CE-BFC1-08002BE10318}")),
    ]);
    let inf = TSTOR
        .replace("[I]\n", "[J]\nInclude=machine.inf\nNeeds=PCI_DRV\n[J.Services]\nInclude=machine.inf\nNeeds=PCI_DRV.Services\n[I]\n")
        .replace("[M.NTamd64.6.1]\n", "[M.NTamd64.6.1]\n%Dev%=J,*PNP0A08\n");
    let package = tstor().with("tstor.inf", inf.into_bytes());
    let mut image = before.clone();
    add_lose_add_remove(&mut image, &package);
    assert_eq!(image.registry(System), before.registry(System));
}

/// What vendors ship, beside the services that a real Windows 7 has: all of it is taken up again and goes, nothing else.
#[test]
fn real_packages_without_a_list_come_back_on_it_and_leave_nothing() {
    let names = ["nvme-micron-2.1.5.0-x86", "nvme-samsung-1.4.0.0-x86", "usb3-intel-5.0.4.43-x86", "usb3-ti"];
    let (Some(mut before), Some(packages)) = (real_seven(), names.map(package).into_iter().collect()) else {
        return;
    };
    let packages: Vec<MemoryFiles> = packages;
    let sources: Vec<&dyn PackageFiles> = packages.iter().map(|package| package as _).collect();
    before.put("\\Windows\\inf\\machine.inf", MACHINE.as_bytes());
    before.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(X86, [1, 11, 9200, 16384]));
    let mut image = before.clone();
    image.add(&sources, &unsigned_too());
    let listed = Manifest::load(&image).unwrap().drivers.len();
    assert!(listed >= 6, "{listed}");
    lose_the_list(&mut image);
    let plan = image.add(&sources, &unsigned_too());
    let again = plan.reports.iter().filter(|report| matches!(report.outcome, Outcome::AlreadyPresent { .. }));
    assert_eq!(again.count(), listed, "{plan:#?}");
    for report in &plan.reports {
        assert!(!report.findings.iter().any(|f| f.contains("stays for ever")), "{report:#?}");
    }
    let manifest = Manifest::load(&image).unwrap();
    let infs: Vec<&str> = manifest.drivers.iter().map(|entry| entry.identity.as_str()).collect();
    image.remove_drivers(&infs).unwrap();
    assert_eq!(image.files(), before.files());
    for hive in [System, Software] {
        let (found, wanted) = (image.registry(hive), before.registry(hive));
        // What an INF says of a key that is nobody's in particular stays: docs/drivers.md.
        let is_known = |key: &str| key.eq_ignore_ascii_case("ControlSet001\\services\\pci\\Parameters");
        let more: Vec<_> = found
            .iter()
            .filter(|(place, value)| wanted.get(*place) != Some(*value) && !is_known(&place.0))
            .collect();
        let less: Vec<_> = wanted.keys().filter(|place| !found.contains_key(*place)).collect();
        assert!(more.is_empty() && less.is_empty(), "more: {more:?}, less: {less:?}");
    }
}

/// The same on a Windows 10, whose database knows them without a list.
#[test]
fn real_packages_without_a_list_go_by_the_database_and_take_nothing_else() {
    let names = [
        "nvme-samsung-3.0.0.1802-x64",
        "ahci-intel-rst-14.8.18.1066-x64",
        "raid-amd-7.2.0.00023-x64",
        "usb3-intel-5.0.4.43-x64",
        "net-intel-e1d-12.15.25.6712-x64",
    ];
    let (Some(mut before), Some(packages)) = (real_ten(), names.map(package).into_iter().collect()) else {
        return;
    };
    let packages: Vec<MemoryFiles> = packages;
    let sources: Vec<&dyn PackageFiles> = packages.iter().map(|package| package as _).collect();
    before.put("\\Windows\\inf\\machine.inf", MACHINE.as_bytes());
    let mut image = before.clone();
    image.add(&sources, &unsigned_too());
    let manifest = Manifest::load(&image).unwrap();
    let published: Vec<&str> =
        manifest.drivers.iter().filter_map(|entry| entry.published.as_deref()).collect();
    assert!(published.len() >= 3, "{published:?}");
    lose_the_list(&mut image);
    image.remove_drivers(&published).unwrap();
    assert_eq!(image.files(), before.files());
    // What the database counts and dates goes on, and a value of another's key is nobody's in particular.
    let is_counted = |key: &str| ["DriverDatabase", "ControlSet001\\Services\\disk"].contains(&key);
    let (found, wanted) = (image.registry(System), before.registry(System));
    let more: Vec<_> = found
        .iter()
        .filter(|(place, value)| wanted.get(*place) != Some(*value) && !is_counted(&place.0))
        .collect();
    let less: Vec<_> = wanted.keys().filter(|place| !found.contains_key(*place)).collect();
    assert!(more.is_empty() && less.is_empty(), "more: {more:?}, less: {less:?}");
}
