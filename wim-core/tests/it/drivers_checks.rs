//! What is checked before and after drivers are added: profiles, lint, devices of a machine, classes of Windows PE, versions on one
//! medium, the media folder, packed files, trust.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use crate::driver_image::{MemoryImage, eleven, pe, program, seven, ten, unsigned_too};
use crate::driver_packages::{TNET, TSTOR, TUSB3, text, tnet, tstor, tusb3};
use crate::drivers_real::package;
use crate::samples::real_data;
use wim_core::base::Architecture::{Amd64, X86};
use wim_core::base::{Cancel, ErrorKind};
use wim_core::formats::hive::RegValue;
use wim_core::formats::inf::{NoIncludes, ParseOptions};
use wim_core::image::WimPath;
use wim_core::image::edit::{Action, Change};
use wim_core::servicing::drivers::info::parse_windows;
use wim_core::servicing::drivers::lint::{LintFinding, Severity, lint_image};
use wim_core::servicing::drivers::lint_package::lint_package;
use wim_core::servicing::drivers::list::{SignatureState, Which, list, look_up};
use wim_core::servicing::drivers::list_devices::find_devices;
use wim_core::servicing::drivers::manifest::PATH;
use wim_core::servicing::drivers::media_folder::{MediaOutcome, plan_media};
use wim_core::servicing::drivers::package::Package;
use wim_core::servicing::drivers::profiles::{CheckState, Profile, ProfileReport, Verdict, check};
use wim_core::servicing::drivers::select::select;
use wim_core::servicing::drivers::store::ImageFiles;
use wim_core::servicing::drivers::versions::mixed_versions;
use wim_core::servicing::drivers::{
    DriverOptions, DriverPlan, HardwareIds, Outcome, Publisher, Unbootable, Unsigned, WinPeClasses,
};
use wim_core::servicing::hive_set::HiveName::{Drivers, Software, System};
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::{MemoryFiles, PackageFiles};

const CDDB: &str = "ControlSet001\\Control\\CriticalDeviceDatabase";
const USB: &str = "{36FC9E60-C465-11CF-8056-444553540000}";

fn profile(image: &MemoryImage, profile: Profile) -> ProfileReport {
    let target = image.target();
    let mut hives = HiveSet::new(image, HiveOptions::default());
    check(profile, &ImageFiles::new(image), &mut hives, &target).unwrap()
}

fn state(report: &ProfileReport, what: &str) -> CheckState {
    report
        .checks
        .iter()
        .find(|check| check.what == what)
        .unwrap_or_else(|| panic!("{what}: {report:#?}"))
        .state
}

fn outcome(plan: &DriverPlan) -> &Outcome {
    &plan.reports[0].outcome
}

fn installed(image: &mut MemoryImage, update: &str, state: u32) {
    let key = format!(
        "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\Package_for_{update}~31bf3856ad364e35~amd64~~6.1.1.0"
    );
    image.edit(&[(Software, &key, "CurrentState", RegValue::dword(state))]);
}

#[test]
fn usb_3_on_windows_7_needs_host_hub_framework_and_says_what_is_missing() {
    let mut image = seven(Amd64);
    let report = profile(&image, Profile::Win7Usb3);
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(state(&report, "USB 3 host controller"), CheckState::Missing);
    assert!(report.checks.iter().any(|check| check.remedy.is_some()));
    // A USB 2 host of Windows itself does not count.
    let old = format!("{CDDB}\\PCI#CC_0C0320");
    image.edit(&[
        (System, &old, "Service", RegValue::sz("usbehci")),
        (System, &old, "ClassGUID", RegValue::sz(USB)),
    ]);
    assert_eq!(state(&profile(&image, Profile::Win7Usb3), "USB 3 host controller"), CheckState::Missing);
    // Host and hub, with a framework that Windows 7 came without.
    let options = DriverOptions { ignore_framework: true, ..unsigned_too() };
    let hub =
        TUSB3.replace("PCI\\VEN_1234&DEV_0330&REV_01", "TUSB3\\ROOT_HUB30").replace("tusb3xhc", "tusb3hub");
    let hub = MemoryFiles::new("hub")
        .with(
            "tusb3hub.inf",
            hub.replace("X,PCI\\VEN_1234&DEV_0330&REV_02,PCI\\VEN_1234&DEV_0330", "X,TUSB3\\HUB")
                .into_bytes(),
        )
        .with("tusb3hub.sys", program(Amd64, [2; 4]))
        .with("tusb3sw.sys", program(Amd64, [2; 4]))
        .with("tco.dll", program(Amd64, [2; 4]));
    image.add(&[&tusb3(), &hub], &options);
    let report = profile(&image, Profile::Win7Usb3);
    assert_eq!(state(&report, "USB 3 host controller"), CheckState::Warning, "starts on demand");
    assert_eq!(state(&report, "USB 3 hub"), CheckState::Warning);
    assert_eq!(state(&report, "kernel-mode driver framework"), CheckState::Missing);
    image.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(Amd64, [1, 11, 9200, 16384]));
    installed(&mut image, "KB4474419", 0x70);
    let report = profile(&image, Profile::Win7Usb3);
    assert_eq!(report.verdict, Verdict::ReadyWithWarnings, "{report:#?}");
    assert_eq!(state(&report, "SHA-2 signatures"), CheckState::Ok);
    assert_eq!(profile(&ten(Amd64), Profile::Win7Usb3).verdict, Verdict::NotApplicable);
}

/// Vendors call the hubs that their host drivers bring up as they like.
#[test]
fn hubs_of_every_vendor_are_known_as_such() {
    let vendors = [
        "usb3-amd-2.0.0.0048-x64",
        "usb3-asmedia-1.16.58.1",
        "usb3-etron-x64",
        "usb3-intel-5.0.4.43-x64",
        "usb3-renesas-2.1.39-x64",
        "usb3-ti",
        "usb3-via-x64",
    ];
    let options = DriverOptions { ignore_framework: true, ..unsigned_too() };
    let with = |names: &[&str], is_wanted: &dyn Fn(&str) -> bool| {
        let mut image = seven(Amd64);
        for name in names {
            let all = package(name)?;
            let mut files = MemoryFiles::new(name);
            for file in all.list().iter().filter(|file| is_wanted(&file.path.to_lowercase())) {
                let bytes = all.content(file).unwrap().read(u64::MAX).unwrap();
                files = files.with(&file.path, bytes.to_vec());
            }
            image.add(&[&files], &options);
        }
        Some(profile(&image, Profile::Win7Usb3))
    };
    for name in vendors {
        let Some(report) = with(&[name], &|_| true) else { return };
        for what in ["USB 3 host controller", "USB 3 hub"] {
            assert_ne!(state(&report, what), CheckState::Missing, "{name}: {report:#?}");
        }
        assert!(report.checks.iter().all(|check| check.what != "hubs of each maker"), "{name}: {report:#?}");
    }
    // Intel's host with the hub of Renesas.
    let is_wanted =
        |path: &str| !path.ends_with(".inf") || path.contains("iusb3xhc") || path.contains("nusb3hub");
    let report = with(&[vendors[3], vendors[4]], &is_wanted).unwrap();
    assert_eq!(state(&report, "hubs of each maker"), CheckState::Missing, "{report:#?}");
    assert_eq!(report.verdict, Verdict::Incomplete);
}

#[test]
fn a_file_that_two_makers_call_the_same_is_told_when_it_is_replaced_and_after() {
    let second = |version: [u16; 4]| {
        let inf = TSTOR
            .replace("P=\"Test Corp\"", "P=\"Other Corp\"")
            .replace("DEV_0001", "DEV_0002")
            .replace("1.2.3.4", "9.9.9.9");
        let files =
            MemoryFiles::new("second").with("second.inf", inf.replace("tstor.cat", "x.cat").into_bytes());
        files.with("x64/tstor.sys", program(Amd64, version)).with("x86/tstor.sys", program(X86, version))
    };
    // The later one replaces the file, or leaves a newer one.
    for (version, what) in
        [([2, 0, 0, 0], "tstor.inf (Test Corp 1.2.3.4) is replaced"), ([1, 0, 0, 0], "stays")]
    {
        for mut image in [seven(Amd64), ten(Amd64)] {
            image.add_one(&tstor());
            assert!(!linted(&image).iter().any(|finding| finding.text.contains("Corp")));
            let plan = image.add_one(&second(version));
            let findings = &plan.reports[0].findings;
            assert!(findings.iter().any(|text| text.contains(what)), "{what}: {findings:#?}");
            let after = linted(&image);
            let told = after.iter().find(|finding| finding.text.contains("remove one of the two"));
            assert_eq!(told.map(|finding| finding.severity), Some(Severity::Warning), "{after:#?}");
            image.remove_drivers(&["second.inf"]).unwrap();
            assert!(!linted(&image).iter().any(|finding| finding.text.contains("remove one of the two")));
        }
    }
}

#[test]
fn nvme_on_windows_7_comes_from_microsoft_or_the_maker_but_not_from_both() {
    let mut image = seven(Amd64);
    installed(&mut image, "KB4474419", 0x50);
    assert_eq!(profile(&image, Profile::Win7Nvme).verdict, Verdict::Incomplete);
    let vendor = TSTOR
        .replace("tstor", "tnvme")
        .replace("PCI\\VEN_1234&DEV_0001\n", "PCI\\VEN_1234&DEV_0001,PCI\\CC_010802\n");
    let vendor = MemoryFiles::new("v")
        .with("tnvme.inf", vendor.into_bytes())
        .with("x64/tnvme.sys", program(Amd64, [1; 4]));
    let mut with_vendor = image.clone();
    with_vendor.add_one(&vendor);
    let report = profile(&with_vendor, Profile::Win7Nvme);
    assert_eq!(
        (report.verdict, state(&report, "NVMe driver")),
        (Verdict::Ready, CheckState::Ok),
        "{report:#?}"
    );
    // Microsoft's, of which the second hotfix is missing.
    let service = "ControlSet001\\Services\\stornvme";
    image.edit(&[
        (System, &format!("{CDDB}\\PCI#CC_010802"), "Service", RegValue::sz("stornvme")),
        (System, service, "Start", RegValue::dword(0)),
        (System, service, "Type", RegValue::dword(1)),
    ]);
    installed(&mut image, "KB2990941", 0x70);
    let report = profile(&image, Profile::Win7Nvme);
    assert_eq!(state(&report, "Microsoft's NVMe driver"), CheckState::Missing, "its file is not there");
    image.put("\\Windows\\System32\\drivers\\stornvme.sys", program(Amd64, [6, 1, 7601, 18615]));
    let report = profile(&image, Profile::Win7Nvme);
    assert_eq!(report.verdict, Verdict::ReadyWithWarnings, "{report:#?}");
    installed(&mut image, "KB3087873", 0x70);
    assert_eq!(profile(&image, Profile::Win7Nvme).verdict, Verdict::Ready);
    image.edit(&[(System, service, "Start", RegValue::dword(3))]);
    assert_eq!(profile(&image, Profile::Win7Nvme).verdict, Verdict::Incomplete);
}

#[test]
fn virtio_and_vmd_are_looked_up_in_either_database() {
    for mut image in [seven(Amd64), eleven(Amd64)] {
        assert_eq!(profile(&image, Profile::Virtio).verdict, Verdict::Incomplete);
        let disk = TSTOR.replace("VEN_1234&DEV_0001", "VEN_1AF4&DEV_1042").replace("tstor", "viostor");
        let disk = MemoryFiles::new("v")
            .with("viostor.inf", disk.into_bytes())
            .with("x64/viostor.sys", program(Amd64, [1; 4]));
        image.add_one(&disk);
        let report = profile(&image, Profile::Virtio);
        assert_eq!(state(&report, "virtio block disk"), CheckState::Ok);
        assert_eq!(state(&report, "virtio network"), CheckState::Warning);
        let net = TNET.replace("VEN_1234&DEV_0200", "VEN_1AF4&DEV_1000");
        let net = MemoryFiles::new("n")
            .with("netkvm.inf", net.into_bytes())
            .with("tnet.sys", program(Amd64, [1; 4]));
        image.add_one(&net);
        assert_eq!(state(&profile(&image, Profile::Virtio), "virtio network"), CheckState::Ok);
    }
    let mut image = eleven(Amd64);
    assert_eq!(profile(&image, Profile::IntelVmd).verdict, Verdict::Incomplete);
    let vmd = TSTOR.replace("VEN_1234&DEV_0001", "VEN_8086&DEV_467F");
    image.add_one(&tstor().with("tstor.inf", vmd.into_bytes()));
    assert_eq!(profile(&image, Profile::IntelVmd).verdict, Verdict::Ready);
    assert_eq!(profile(&seven(Amd64), Profile::IntelVmd).verdict, Verdict::NotApplicable);
    assert_eq!(Profile::parse("Win7-NVMe").unwrap(), Profile::Win7Nvme);
    assert!(Profile::parse("x").unwrap_err().remedy_text().unwrap().contains("intel-vmd"));
}

pub(crate) fn linted(image: &MemoryImage) -> Vec<LintFinding> {
    let target = image.target();
    let mut hives = HiveSet::new(image, HiveOptions::default());
    lint_image(&ImageFiles::new(image), &mut hives, &target).unwrap()
}

#[test]
fn an_image_is_linted_for_frameworks_coinstallers_records_and_duplicates() {
    let mut image = eleven(Amd64);
    image.add(&[&tstor(), &tnet()], &unsigned_too());
    assert_eq!(linted(&image), []);
    let pkg = &image.subkeys(Drivers, "DriverDatabase\\DriverPackages")[0].clone();
    image.edit(&[
        (
            System,
            "ControlSet001\\Services\\tstor\\Parameters\\Wdf",
            "KmdfLibraryVersion",
            RegValue::sz("1.99"),
        ),
        (System, "ControlSet001\\Control\\CoDeviceInstallers", USB, RegValue::multi_sz(&["gone.dll,Entry"])),
        (System, "DriverDatabase", "OemInfMap", RegValue::binary([0x80])),
        (Drivers, &format!("DriverDatabase\\DriverPackages\\{pkg}"), "Version", RegValue::binary([0; 8])),
        (
            System,
            "DriverDatabase\\DriverInfFiles\\oem5.inf",
            "Active",
            RegValue::sz("x.inf_amd64_0123456789abcdef"),
        ),
    ]);
    let newer = TSTOR.replace("01/02/2020,1.2.3.4", "01/02/2021,2.0.0.0");
    image.add_one(&tstor().with("tstor.inf", newer.into_bytes()));
    let found = linted(&image);
    let has = |severity, text: &str| found.iter().any(|f| f.severity == severity && f.text.contains(text));
    assert!(has(Severity::Error, "service tstor needs the kernel-mode driver framework 1.99"), "{found:#?}");
    assert!(has(Severity::Warning, "co-installer gone.dll"), "{found:#?}");
    assert!(has(Severity::Warning, "oem1.inf is published, but the map of numbers"), "{found:#?}");
    assert!(has(Severity::Error, "error 1168"), "{found:#?}");
    assert!(has(Severity::Error, "oem5.inf names the package"), "{found:#?}");
    assert!(has(Severity::Note, "tstor.inf 1.2.3.4 and tstor.inf 2.0.0.0 both serve"), "{found:#?}");
    assert_eq!(
        found.iter().map(|f| f.severity).max(),
        found.first().map(|f| f.severity),
        "the worst comes first"
    );
}

#[test]
fn drivers_are_listed_with_what_their_class_is_called_and_whether_they_are_signed() {
    let listed = |image: &MemoryImage| {
        let mut drivers = list(image, Amd64, Which::ThirdParty).unwrap();
        look_up(&mut drivers, &mut HiveSet::new(image, HiveOptions::default())).unwrap();
        let found = drivers.into_iter().map(|driver| (driver.class_description.unwrap(), driver.signature));
        found.collect::<Vec<_>>()
    };
    let class = "ControlSet001\\Control\\Class\\{4D36E97B-E325-11CE-BFC1-08002BE10318}";
    for mut image in [seven(Amd64), ten(Amd64)] {
        image.add_one(&tstor());
        assert_eq!(listed(&image), [("Storage controllers".to_owned(), SignatureState::Unsigned)]);
        image.edit(&[(System, class, "ClassDesc", RegValue::sz("@%SystemRoot%\\SysClass.Dll,-3005"))]);
        assert_eq!(listed(&image)[0].0, "Storage controllers");
        image.edit(&[(System, class, "ClassDesc", RegValue::sz("@c_x.inf,%ClassDesc%;Speicher"))]);
        assert_eq!(listed(&image)[0].0, "Speicher");
        image.edit(&[(System, class, "", RegValue::sz("Disk things"))]);
        assert_eq!(listed(&image)[0].0, "Disk things");
    }
    let mut image = ten(Amd64);
    image.add_one(&tstor());
    let package = image.subkeys(System, "DriverDatabase\\DriverPackages")[0].clone();
    let key = format!("DriverDatabase\\DriverPackages\\{package}");
    for (score, state) in [
        (0x0D00_0005, SignatureState::Signed),
        (0x0F00_0000, SignatureState::Signed),
        (0x8000_0000, SignatureState::Unsigned),
    ] {
        image.edit(&[(System, &key, "SignerScore", RegValue::dword(score))]);
        assert_eq!(listed(&image)[0].1, state);
    }
}

#[test]
fn devices_are_listed_by_the_inf_whoever_put_it_there() {
    for mut image in [seven(Amd64), ten(Amd64)] {
        image.add(&[&tstor(), &tnet()], &unsigned_too());
        let is_modern = image.bytes("\\Windows\\INF\\oem0.inf").is_some();
        // Without the list the drivers of later versions are as if Windows had staged them.
        let listed = |image: &MemoryImage| {
            let mut drivers = list(image, Amd64, Which::ThirdParty).unwrap();
            find_devices(&mut drivers, image, &image.target()).unwrap();
            drivers.sort_by_key(|driver| driver.inf.clone());
            drivers.into_iter().map(|driver| driver.devices).collect::<Vec<_>>()
        };
        let found = listed(&image);
        let [net, storage] = &found[..] else { panic!("{found:?}") };
        assert_eq!((net[0].manufacturer.as_str(), net[0].description.as_str()), ("Test Corp", "Test NIC"));
        assert_eq!(net[0].exclude_ids, ["PCI\\VEN_1234&CC_0200"]);
        assert_eq!(net[0].service.as_deref(), Some("tnet"));
        assert_eq!(storage[0].hardware_id, "PCI\\VEN_1234&DEV_0001&SUBSYS_00011234");
        assert_eq!(storage[0].compatible_ids, ["PCI\\VEN_1234&DEV_0001"]);
        if is_modern {
            let path = WimPath::parse(PATH).unwrap();
            image.apply(&[Change { path, action: Action::Remove, reason: "test".into() }]);
            assert_eq!(listed(&image), found);
        }
    }
}

#[test]
fn critical_devices_need_a_service_that_can_start() {
    let mut image = seven(Amd64);
    image.add_one(&tstor());
    let errors = |image: &MemoryImage| -> Vec<String> {
        let errors = linted(image).into_iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| finding.text).collect()
    };
    assert_eq!(errors(&image), Vec::<String>::new());
    let service = "ControlSet001\\Services\\tstor";
    let mut damaged = image.clone();
    damaged.edit(&[(System, service, "Start", RegValue::sz("0"))]);
    let found = errors(&damaged);
    assert!(found[0].contains("the service tstor, which has no type or no start type"), "{found:?}");
    let mut damaged = image.clone();
    let key = format!("{CDDB}\\PCI#VEN_1234&DEV_0001");
    damaged.edit(&[(System, &key, "Service", RegValue::sz("gone"))]);
    let found = errors(&damaged);
    assert!(found[0].contains("the service gone, which is no service of this image"), "{found:?}");
    damaged = image.clone();
    damaged.edit(&[
        (System, service, "Start", RegValue::dword(3)),
        (System, service, "ImagePath", RegValue::expand_sz("System32\\drivers\\gone.sys")),
    ]);
    let found = errors(&damaged);
    assert!(found[0].contains("the service tstor, whose file") && found[0].contains("gone.sys"), "{found:?}");
    // What the boot loader cannot read is not there for it, whatever lies in the image.
    for path in [
        "\\??\\C:\\x\\tstor.sys",
        "\\??\\C:\\Windows\\System32\\drivers\\tstor.sys",
        "D:\\tstor.sys",
        "%Drivers%\\tstor.sys",
        "\\Device\\HarddiskVolume1\\tstor.sys",
    ] {
        let mut damaged = image.clone();
        damaged.edit(&[(System, service, "ImagePath", RegValue::expand_sz(path))]);
        let found = errors(&damaged);
        let said = format!("{path} is no path that the boot loader can read");
        assert!(found[0].contains(&said), "{path}: {found:?}");
    }
    // The kernel, which starts the others, knows drives.
    let mut later = image.clone();
    let path = "\\??\\C:\\Windows\\System32\\drivers\\tstor.sys";
    later.edit(&[
        (System, service, "Start", RegValue::dword(1)),
        (System, service, "ImagePath", RegValue::expand_sz(path)),
    ]);
    assert_eq!(errors(&later), Vec::<String>::new());
}

/// Puts the driver of PCI buses there, which the boot loader starts; gives its key.
fn put_pci(image: &mut MemoryImage) -> &'static str {
    let pci = "ControlSet001\\Services\\pci";
    image.put("\\Windows\\System32\\drivers\\pci.sys", program(Amd64, [6, 1, 7601, 17514]));
    image.edit(&[
        (System, pci, "Type", RegValue::dword(1)),
        (System, pci, "Start", RegValue::dword(0)),
        (System, pci, "ImagePath", RegValue::expand_sz("System32\\drivers\\pci.sys")),
    ]);
    pci
}

#[test]
fn a_service_of_windows_that_an_inf_changes_is_told_and_none_that_boots_is_put_off() {
    for mut image in [seven(Amd64), ten(Amd64)] {
        let pci = put_pci(&mut image);
        let package = |start: &str| {
            let inf = TSTOR
                .replace("AddService=tstor", "AddService=pci")
                .replace("StartType=0", &format!("StartType={start}"));
            MemoryFiles::new("p")
                .with("tpci.inf", inf.into_bytes())
                .with("x64/tstor.sys", program(Amd64, [1, 2, 3, 4]))
        };
        let before = image.clone();
        for start in ["4", "3"] {
            let plan = image.add_one(&package(start));
            let Outcome::Refused { reason, .. } = outcome(&plan) else { panic!("{plan:?}") };
            assert!(reason.contains("service pci, which the boot loader starts"), "{reason}");
            assert!(image == before, "a refused package left something");
        }
        let forced = DriverOptions { unbootable: Unbootable::Accept, ..unsigned_too() };
        let plan = image.clone().add(&[&package("4")], &forced);
        let says = |what: &str| plan.reports[0].findings.iter().any(|finding| finding.contains(what));
        assert!(says("Windows may not boot: service pci") && says("Start 0 \u{2192} 4"), "{plan:?}");
        let plan = image.add_one(&package("0"));
        let said = "ImagePath System32\\drivers\\pci.sys \u{2192} System32\\drivers\\tstor.sys";
        assert!(matches!(outcome(&plan), Outcome::Added(_)), "{plan:?}");
        assert!(plan.reports[0].findings.iter().any(|finding| finding.contains(said)), "{plan:?}");
        image.remove_drivers(&["tpci.inf"]).unwrap();
        assert_eq!(image.value(System, pci, "ImagePath"), before.value(System, pci, "ImagePath"));
    }
}

/// A driver that becomes a program is loaded by nobody at boot, whatever its start type.
#[test]
fn the_type_of_a_service_of_windows_is_told_and_no_boot_driver_becomes_a_program() {
    for mut image in [seven(Amd64), ten(Amd64)] {
        let pci = put_pci(&mut image);
        let of_type = |kind: &str| {
            let line =
                format!("[par]\nHKLM,SYSTEM\\CurrentControlSet\\Services\\pci,Type,0x00010001,{kind}\n");
            tstor().with("tstor.inf", TSTOR.replace("[par]\n", &line).into_bytes())
        };
        let before = image.clone();
        let plan = image.add_one(&of_type("0x10"));
        let Outcome::Refused { reason, .. } = outcome(&plan) else { panic!("{plan:?}") };
        let said = "service pci, which the boot loader starts, would be no driver any more, but of type 0x10";
        assert!(reason.contains(said), "{reason}");
        assert!(image == before, "a refused package left something");
        // A driver of another kind still is one.
        let plan = image.add_one(&of_type("2"));
        let told = |what: &str| plan.reports[0].findings.iter().any(|finding| finding.contains(what));
        assert!(matches!(outcome(&plan), Outcome::Added(_)), "{plan:?}");
        assert!(told("service pci, which this image had, is changed: Type 1 \u{2192} 2"), "{plan:?}");
        image.remove_drivers(&["tstor.inf"]).unwrap();
        // What starts later is told only.
        image.edit(&[(System, pci, "Start", RegValue::dword(3))]);
        let plan = image.add_one(&of_type("0x10"));
        let told = |what: &str| plan.reports[0].findings.iter().any(|finding| finding.contains(what));
        assert!(matches!(outcome(&plan), Outcome::Added(_)) && told("Type 1 \u{2192} 16"), "{plan:?}");
    }
}

#[test]
fn a_control_set_that_windows_starts_with_and_that_is_not_there_is_an_error() {
    let errors = |image: &MemoryImage| -> Vec<String> {
        let errors = linted(image).into_iter().filter(|finding| finding.severity == Severity::Error);
        errors.map(|finding| finding.text).collect()
    };
    for image in [seven(Amd64), ten(Amd64)] {
        assert_eq!(errors(&image), Vec::<String>::new());
        for value in ["Current", "Default"] {
            let mut damaged = image.clone();
            damaged.edit(&[(System, "Select", value, RegValue::dword(3))]);
            let found = errors(&damaged);
            assert_eq!(found.len(), 1, "{found:?}");
            let said = format!("no control set ControlSet003 for Windows to start with: Select\\{value}");
            assert!(found[0].contains(&said), "{found:?}");
        }
        // No key at all.
        let mut bare = image.clone();
        let changes = {
            let mut hives = HiveSet::new(&image, HiveOptions::default());
            hives.delete_key(System, "ControlSet001", "test").unwrap();
            hives.delete_key(System, "Select", "test").unwrap();
            hives.finish().unwrap().0
        };
        bare.apply(&changes);
        let found = errors(&bare);
        assert!(found.len() == 1 && found[0].contains("no control set ControlSet001"), "{found:?}");
    }
}

fn package_findings(inf: &str, windows: &str) -> Vec<String> {
    let files = tstor().with("tstor.inf", inf.as_bytes());
    let package = Package::open(&files, "tstor.inf", ParseOptions::default()).unwrap();
    let target = parse_windows(windows).unwrap();
    let selection = select(&package, &target, &NoIncludes, String::new()).ok();
    lint_package(&package, &target, selection.as_ref()).into_iter().map(|f| f.text).collect()
}

#[test]
fn traps_of_decorations_and_missing_parts_are_named_with_their_line() {
    assert_eq!(package_findings(TSTOR, "7-amd64"), Vec::<String>::new());
    // The best decoration wins although its section is not there.
    let trap = TSTOR.replace("NTamd64.6.1\n", "NTamd64.6.1,NTamd64.6.2\n");
    let found = package_findings(&trap, "8.1-amd64");
    assert!(
        found.iter().any(|f| f.contains("line 18")
            && f.contains("[M.NTamd64.6.2], which is not there")
            && f.contains("[M.NTamd64.6.1]")),
        "{found:?}"
    );
    let orphan = TSTOR.replace("M,NTx86.6.1,NTamd64.6.1", "M,NTx86.6.1");
    assert!(
        package_findings(&orphan, "7-amd64")
            .iter()
            .any(|f| f.contains("[M.NTamd64.6.1] is named by no line"))
    );
    let bare = TSTOR.replace("M,NTx86.6.1,NTamd64.6.1", "M");
    assert!(package_findings(&bare, "7-amd64").iter().any(|f| f.contains("without an architecture")));
    let build = TSTOR.replace("NTamd64.6.1\n", "NTamd64.6.1,NTamd64.10.0...16299\n");
    assert!(package_findings(&build, "7-amd64").iter().any(|f| f.contains("build number")));
    let parts = TSTOR
        .replace("CopyFiles=@tstor.sys\n", "")
        .replace("[hw]\n", "[hw]\nHKR,,LowerFilters,0x00010008,gone\n")
        .replace(
            "[I.HW]",
            "[I.CoInstallers]\nAddReg=co\n[co]\nHKR,,CoInstallers32,0x00010000,\"co.dll,E\"\n[I.HW]",
        );
    let found = package_findings(&parts, "7-amd64");
    for text in [
        "service tstor runs tstor.sys, which [I] does not copy",
        "filter gone is no service",
        "co-installer co.dll",
    ] {
        assert!(found.iter().any(|f| f.contains(text)), "{text}: {found:?}");
    }
}

#[test]
fn only_drivers_of_the_machine_are_added_and_hubs_with_their_hosts() {
    let hub = TNET
        .replace("PCI\\VEN_1234&DEV_0200,PCI\\VEN_1234&CC_0200", "TUSB3\\ROOT_HUB30")
        .replace("tnet", "thub");
    let hub =
        MemoryFiles::new("hub").with("thub.inf", hub.into_bytes()).with("thub.sys", program(Amd64, [1; 4]));
    let stranger = MemoryFiles::new("other")
        .with("other.inf", TNET.replace("VEN_1234", "VEN_9999").replace("tnet", "tother").into_bytes())
        .with("tother.sys", program(Amd64, [1; 4]));
    let hardware = HardwareIds::parse(b"00:1f.2 SATA controller [0106]: x [1234:0001] (rev 02)\n").unwrap();
    let options = DriverOptions { hardware: Some(hardware), ..unsigned_too() };
    for mut image in [seven(Amd64), ten(Amd64)] {
        let plan = image.add(&[&hub, &stranger, &tnet(), &tstor()], &options);
        let added: Vec<(&str, bool)> =
            plan.reports.iter().map(|r| (r.inf.as_str(), matches!(r.outcome, Outcome::Added(_)))).collect();
        // The hub comes last, since what it hangs below must be there first.
        assert_eq!(
            added,
            [("other.inf", false), ("tnet.inf", false), ("tstor.inf", true), ("thub.inf", true)]
        );
        let Outcome::Skipped { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
        assert!(reason.contains("list of hardware ids"), "{reason}");
    }
}

#[test]
fn windows_pe_gets_what_setup_needs() {
    let media =
        TNET.replace("{4d36e972-e325-11ce-bfc1-08002be10318}", "{4d36e96c-e325-11ce-bfc1-08002be10318}");
    let wifi = TNET
        .replace("FeatureScore=C0\n", "*IfType=71\nFeatureScore=C0\n")
        .replace("[Seven]\n", "[Seven]\n*IfType=71\n");
    let component =
        TNET.replace("{4d36e972-e325-11ce-bfc1-08002be10318}", "{5c4c3332-344d-483c-8739-259e934c9cc8}");
    let of = |inf: &str| tnet().with("tnet.inf", inf.as_bytes());
    for base in [seven(Amd64), ten(Amd64)] {
        let skipped = |package: &dyn PackageFiles, options: &DriverOptions| {
            let mut image = pe(base.clone());
            let plan = image.add(&[package], options);
            match outcome(&plan) {
                Outcome::Skipped { reason, .. } => Some(reason.clone()),
                Outcome::Added(_) => None,
                other => panic!("{other:?}"),
            }
        };
        let all = DriverOptions { winpe_classes: WinPeClasses::All, ..unsigned_too() };
        assert_eq!(skipped(&tstor(), &unsigned_too()), None);
        assert_eq!(skipped(&tnet(), &unsigned_too()), None);
        assert!(
            skipped(&of(&media), &unsigned_too()).unwrap().contains("class MEDIA is not needed by Setup")
        );
        assert!(skipped(&of(&wifi), &unsigned_too()).unwrap().contains("Wi-Fi"));
        assert_eq!(skipped(&of(&media), &all), None);
        assert!(skipped(&of(&component), &all).unwrap().contains("never for Windows PE"));
        // The installed Windows takes them all.
        assert!(matches!(outcome(&base.clone().add_one(&of(&wifi))), Outcome::Added(_)));
    }
    assert!(matches!(outcome(&pe(ten(Amd64)).add_one(&text())), Outcome::Skipped { .. }));
}

#[test]
fn versions_that_differ_between_images_are_named() {
    let (mut boot, mut install) = (pe(seven(Amd64)), seven(Amd64));
    boot.add_one(&tstor());
    install.add(&[&tstor(), &tnet()], &unsigned_too());
    let lists = |boot: &MemoryImage, install: &MemoryImage| {
        let lists = [boot, install].map(|image| list(image, Amd64, Which::ThirdParty).unwrap());
        mixed_versions(&[("boot.wim 2".to_owned(), &lists[0]), ("install.wim 1".to_owned(), &lists[1])])
    };
    assert_eq!(lists(&boot, &install), Vec::<String>::new());
    let mut install = seven(Amd64);
    let newer = TSTOR.replace("01/02/2020,1.2.3.4", "01/02/2021,2.0.0.0");
    install.add_one(&tstor().with("tstor.inf", newer.into_bytes()));
    let found = lists(&boot, &install);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("1.2.3.4 in boot.wim 2; 2.0.0.0 in install.wim 1"), "{found:?}");
}

#[test]
fn the_media_folder_holds_one_version_of_what_setup_can_use() {
    let targets = [parse_windows("7-amd64").unwrap(), parse_windows("7-x86").unwrap()];
    let newer = TSTOR.replace("01/02/2020,1.2.3.4", "01/02/2021,2.0.0.0");
    let newer = MemoryFiles::new("newer")
        .with("d/tstor.inf", newer.into_bytes())
        .with("d/x64/tstor.sys", program(Amd64, [2; 4]))
        .with("d/x86/tstor.sys", program(X86, [2; 4]));
    let media =
        TNET.replace("{4d36e972-e325-11ce-bfc1-08002be10318}", "{4d36e96c-e325-11ce-bfc1-08002be10318}");
    let sound = tnet().with("tnet.inf", media.into_bytes());
    let plan =
        plan_media(&[&tstor(), &newer, &sound, &tnet()], &targets, &unsigned_too(), &Cancel::new()).unwrap();
    let outcomes: Vec<&MediaOutcome> = plan.reports.iter().map(|report| &report.outcome).collect();
    assert!(
        matches!(outcomes[0], MediaOutcome::Skipped { reason } if reason.contains("2.0.0.0")),
        "{outcomes:?}"
    );
    let MediaOutcome::Placed { folder, windows } = outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(windows, &["amd64 6.1.7601", "x86 6.1.7601"]);
    assert!(matches!(outcomes[2], MediaOutcome::Skipped { reason } if reason.contains("MEDIA")));
    assert!(matches!(outcomes[3], MediaOutcome::Placed { windows, .. } if windows.len() == 1));
    let paths: Vec<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
    assert!(folder.starts_with("$WinPEDriver$\\tstor_"));
    for name in ["tstor.inf", "x64\\tstor.sys", "x86\\tstor.sys"] {
        assert!(paths.contains(&format!("{folder}\\{name}").as_str()), "{name}: {paths:?}");
    }
    assert_eq!(paths.len(), 3 + 3);
    // Signatures count as they do in an image.
    let plan = plan_media(&[&tstor()], &targets, &DriverOptions::default(), &Cancel::new()).unwrap();
    let MediaOutcome::Placed { windows, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert_eq!(windows, &["x86 6.1.7601"]);
}

/// A cabinet of stored members, as [MS-CAB] has it.
fn cabinet(members: &[(&str, &[u8])]) -> Vec<u8> {
    let data: Vec<u8> = members.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    assert!(data.len() < 32768);
    let entries: usize = members.iter().map(|(name, _)| 16 + name.len() + 1).sum();
    let (first_file, first_data) = (36 + 8, 36 + 8 + entries);
    let mut out = b"MSCF\0\0\0\0".to_vec();
    out.extend(u32::try_from(first_data + 8 + data.len()).unwrap().to_le_bytes());
    out.extend([0; 4]);
    out.extend(u32::try_from(first_file).unwrap().to_le_bytes());
    out.extend([0; 4]);
    out.extend([3, 1]);
    out.extend(1_u16.to_le_bytes());
    out.extend(u16::try_from(members.len()).unwrap().to_le_bytes());
    out.extend([0; 6]);
    out.extend(u32::try_from(first_data).unwrap().to_le_bytes());
    out.extend(1_u16.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    let mut at = 0_u32;
    for (name, bytes) in members {
        out.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend([0; 2]);
        out.extend([0x21, 0x28, 0, 0, 0x20, 0]);
        out.extend(name.as_bytes());
        out.push(0);
        at += u32::try_from(bytes.len()).unwrap();
    }
    // A checksum of zero is none.
    out.extend([0; 4]);
    out.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
    out.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
    out.extend(data);
    out
}

#[test]
fn files_in_cabinets_are_found() {
    let sys = program(Amd64, [1, 2, 3, 4]);
    // x.sy_ that is a cabinet of one file.
    let packed = MemoryFiles::new("packed")
        .with("tstor.inf", TSTOR.as_bytes())
        .with("x64/tstor.sy_", cabinet(&[("anything.sys", &sys)]));
    let mut image = seven(Amd64);
    assert!(matches!(outcome(&image.add_one(&packed)), Outcome::Added(_)));
    assert_eq!(*image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(), *sys);
    // A disk that is a cabinet.
    let inf = TSTOR.replace("1=%D%", "1=%D%,files.cab").replace("tstor.sys=1,\\x64", "tstor.sys=1");
    let in_cabinet = |cab: Vec<u8>| {
        MemoryFiles::new("cab").with("tstor.inf", inf.clone().into_bytes()).with("files.cab", cab)
    };
    let mut image = ten(Amd64);
    let plan = image.add_one(&in_cabinet(cabinet(&[("readme.txt", b"hello"), ("TSTOR.SYS", &sys)])));
    assert!(matches!(outcome(&plan), Outcome::Added(_)), "{plan:?}");
    assert_eq!(*image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(), *sys);
    // What is damaged, or not in it, is refused by name.
    let untouched = ten(Amd64);
    let damaged: Vec<u8> = cabinet(&[("TSTOR.SYS", &sys)]).into_iter().take(200).collect();
    for cab in [cabinet(&[("readme.txt", b"hello")]), damaged, b"MSCF".to_vec()] {
        let mut image = untouched.clone();
        let plan = image.add_one(&in_cabinet(cab));
        let Outcome::Refused { reason, .. } = outcome(&plan) else { panic!("{plan:?}") };
        assert!(reason.contains("files.cab"), "{reason}");
        assert!(image == untouched);
    }
    let two = MemoryFiles::new("two")
        .with("tstor.inf", TSTOR.as_bytes())
        .with("x64/tstor.sy_", cabinet(&[("a", b"1"), ("b", b"2")]));
    let plan = untouched.clone().add_one(&two);
    assert!(
        matches!(outcome(&plan), Outcome::Refused { reason, .. } if reason.contains("must hold one file")),
        "{plan:?}"
    );
}

/// What is packed may say that it is, or be, larger than any driver: nobody holds that.
#[test]
fn a_packed_file_larger_than_any_driver_is_refused_by_name() {
    const TOO_LARGE: u32 = (128 << 20) + 1;
    let sys = program(Amd64, [1, 2, 3, 4]);
    let mut cab = cabinet(&[("TSTOR.SYS", &sys)]);
    // The size of the first member stands behind two headers of 36 and 8 bytes.
    cab[44..48].copy_from_slice(&TOO_LARGE.to_le_bytes());
    let szdd = [&b"SZDD\x88\xF0\x27\x33A\0"[..], &TOO_LARGE.to_le_bytes(), b"\xFFMZ"].concat();
    let kwaj = [&b"KWAJ\x88\xF0\x27\xD1\x02\0\x12\0\x01\0"[..], &TOO_LARGE.to_le_bytes(), b"\xFFMZ"].concat();
    let packed = |bytes: Vec<u8>| {
        MemoryFiles::new("packed").with("tstor.inf", TSTOR.as_bytes()).with("x64/tstor.sy_", bytes)
    };
    let inf = TSTOR.replace("1=%D%", "1=%D%,files.cab").replace("tstor.sys=1,\\x64", "tstor.sys=1");
    let in_cabinet =
        MemoryFiles::new("cab").with("tstor.inf", inf.into_bytes()).with("files.cab", cab.clone());
    for package in [packed(cab), packed(szdd), packed(kwaj), in_cabinet] {
        let mut image = seven(Amd64);
        let untouched = image.clone();
        let plan = image.add_one(&package);
        let Outcome::Refused { kind, reason, remedy } = outcome(&plan) else { panic!("{plan:?}") };
        assert_eq!(*kind, ErrorKind::Limit, "{reason}");
        assert!(reason.contains("tstor.sy_") || reason.contains("files.cab"), "{reason}");
        assert!(remedy.as_deref().is_some_and(|text| text.contains("expand")), "{remedy:?}");
        assert!(image == untouched);
    }
}

#[test]
fn a_publisher_is_trusted_on_request_only() {
    let certificates = "Microsoft\\SystemCertificates\\TrustedPublisher\\Certificates";
    let options = DriverOptions { publisher: Publisher::Trust, ..unsigned_too() };
    let mut image = seven(Amd64);
    let plan = image.add(&[&tstor()], &options);
    assert!(plan.reports[0].findings.iter().any(|f| f.contains("no publisher to trust")), "{plan:?}");
    assert_eq!(image.subkeys(Software, certificates), Vec::<String>::new());
    let Some(root) = real_data("drivers/nvme-samsung-1.4.0.0-x64") else { return };
    let mut package = MemoryFiles::new("samsung");
    for name in ["nvme.inf", "nvme.sys", "nvme64.cat"] {
        package = package.with(name, std::fs::read(root.join(name)).unwrap());
    }
    for base in [seven(Amd64), ten(Amd64)] {
        let options = DriverOptions {
            unsigned: Unsigned::Refuse,
            publisher: Publisher::Trust,
            ..DriverOptions::default()
        };
        let mut image = base.clone();
        image.add(&[&package], &DriverOptions::default());
        assert_eq!(image.subkeys(Software, certificates), Vec::<String>::new());
        let mut image = base.clone();
        let plan = image.add(&[&package], &options);
        assert!(matches!(outcome(&plan), Outcome::Added(_)), "{plan:?}");
        let names = image.subkeys(Software, certificates);
        assert_eq!(names.len(), 1);
        let name = &names[0];
        assert!(
            name.len() == 40 && name.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()),
            "{name}"
        );
        let blob = image.value(Software, &format!("{certificates}\\{name}"), "Blob").unwrap().data;
        // Property 3 is the thumbprint, property 32 the certificate.
        assert_eq!(blob[..12], [3, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0]);
        let thumbprint: String = blob[12..32].iter().map(|b| format!("{b:02X}")).collect();
        assert_eq!(thumbprint, *name);
        assert_eq!(blob[32..40], [32, 0, 0, 0, 1, 0, 0, 0]);
        let length = u32::from_le_bytes(blob[40..44].try_into().unwrap()) as usize;
        assert_eq!((blob.len(), blob[44]), (44 + length, 0x30));
        assert!(plan.reports[0].findings.iter().any(|f| f.contains("TrustedPublisher")));
        let mut drivers = list(&image, Amd64, Which::ThirdParty).unwrap();
        let mut hives = HiveSet::new(&image, HiveOptions::default());
        look_up(&mut drivers, &mut hives).unwrap();
        let signer = drivers[0].signer.clone().unwrap();
        assert!(signer.contains("Microsoft Windows Hardware Compatibility"), "{signer}");
        drop(hives);
        image.remove_drivers(&["nvme.inf"]).unwrap();
        assert_eq!(image.registry(Software), base.registry(Software));
    }
}
