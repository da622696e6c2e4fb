//! The golden expectations of drivers.md 9.4 beyond T1 to T7.
//!
//! Rows whose INF is at hand use it, with made-up binaries (`real_inf`); the virtio rows and OFA's are synthetic: INFs written here from
//! what that table says of them. Where each row of drivers.md 9 is held:
//!
//! | row | test | made of |
//! |---|---|---|
//! | 9.1 T1 on Windows 7 | `drivers_level_a::t1_on_windows_7_amd64_is_as_drivers_md_9_1_says`, `.ci/checks/driver_golden.sh` | sample of drivers.md 8 |
//! | 9.1 second run, removal | `drivers_level_a::a_second_run_changes_nothing_and_says_so`, `drivers_remove::add_then_remove_leaves_nothing` | likewise |
//! | 9.2 T1 on Windows 11 | `drivers_level_b::t1_on_windows_11_amd64_is_as_drivers_md_9_2_says`, `.ci/checks/driver_golden.sh` | likewise |
//! | 9.3 T3 on Windows 10, on 7 | `drivers_level_b::t3_on_windows_10_is_as_drivers_md_9_3_says`, `drivers_level_a::t3_on_windows_7_is_offered_but_not_put_in_place`, `.ci/checks/driver_golden.sh` | likewise |
//! | T2 with KMDF 1.9 and 1.11 | `drivers_level_a::t2_needs_its_framework` | likewise |
//! | T4 on 11, T6, T7 | `drivers_level_b::t2_t4_t6_and_t7_on_later_windows`, `drivers_level_a::{t4_t7_and_other_windows_are_skipped_with_what_was_found, t6_is_refused_by_the_name_of_what_is_missing}` | likewise |
//! | viostor on 11 and 7 | `viostor_on_windows_11_and_7` | synthetic |
//! | netkvm, viogpudo | `netkvm_and_viogpudo_are_known_to_the_other_hive_only` | synthetic |
//! | balloon, viosock | `balloon_and_viosock_are_configured_in_system` | synthetic |
//! | amdxhc 1.1.0.249 | `amdxhc_1_1_0_249_on_windows_7` | real INF |
//! | rusb3xhc 3.0.23 on x86 and amd64 | `rusb3xhc_3_0_23_names_no_architecture` | real INF |
//! | nvme.inf (OFA) | `nvme_of_ofa_is_test_signed` | synthetic, with a catalog signed here |
//! | iusb3xhc, iusb3hub, iusb3hcs | `intel_usb_3_is_three_packages`, `drivers_real::intel_usb_3_on_the_real_windows_7_hive` | real INFs, real packages |
//! | Windows driver samples | `templates_of_driver_kits_are_called_so` | real INFs |
//! | ReactOS and Wine INFs | `inf_corpus` | real INFs, parsed only |
//! | 9.5 round trips, any order | `drivers_remove`, `drivers_level_b` (property tests), `drivers_level_a::packages_in_any_order_give_the_same_services_and_devices` | samples |
//! | 9.5 shape of package keys, `OemInfMap` | `.ci/checks/driver_golden.sh`; `drivers_level_b` (property test) | samples |
//! | 9.5 limits, fuzzing | `drivers_hostile`, `driver_corpus`, `fuzz/src/drivers.rs` | samples |

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use crate::driver_image::{MemoryImage, eleven, program, seven, ten, unsigned_too, windows};
use crate::inf_corpus::corpus;
use crate::signed_catalogs::{catalog, certificate};
use wim_core::base::Architecture::{self, Amd64, X86};
use wim_core::base::ErrorKind;
use wim_core::formats::hive::RegValue;
use wim_core::formats::inf::{NoIncludes, ParseOptions, Undecorated, files, install, models};
use wim_core::servicing::drivers::package::Package;
use wim_core::servicing::drivers::report::{Added, CatalogState};
use wim_core::servicing::drivers::signature::SignatureStatus;
use wim_core::servicing::drivers::{DriverOptions, DriverPlan, Outcome};
use wim_core::servicing::hive_set::HiveName::{Drivers, Software, System};
use wim_core::servicing::package_files::{MemoryFiles, PackageFiles};

/// The usage of certificates that sign code.
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const CDDB: &str = "ControlSet001\\Control\\CriticalDeviceDatabase";

fn added(plan: &DriverPlan) -> &Added {
    match &plan.reports[0].outcome {
        Outcome::Added(added) => added,
        other => panic!("{other:?}"),
    }
}

fn package_key(added: &Added) -> String {
    format!("DriverDatabase\\DriverPackages\\{}", added.folder.rsplit('\\').next().unwrap())
}

/// An INF of the corpus with a program for each file that it copies on `image`.
fn real_inf(ending: &str, image: &MemoryImage, arch: Architecture) -> Option<MemoryFiles> {
    let all = corpus()?;
    let (path, bytes) = all.into_iter().find(|(path, _)| path.ends_with(ending)).unwrap();
    let name = path.rsplit('/').next().unwrap().to_owned();
    let only = MemoryFiles::new("corpus").with(&name, bytes.clone());
    let package = Package::open(&only, &name, ParseOptions::default()).unwrap();
    let inf = package.inf();
    let target = image.target().windows;
    let mut made = MemoryFiles::new("corpus").with(&name, bytes);
    for model in models::models_with(inf, &target, Undecorated::Accept).unwrap().models {
        for copy in install::install(inf, &model.install_section, &target, &NoIncludes).unwrap().copies {
            let place = files::source_path(inf, &copy.source_name, arch).unwrap();
            let path = format!("{}\\{}", place.folder, copy.source_name);
            made = made.with(path.trim_start_matches('\\'), program(arch, [1, 0, 0, 0]));
        }
    }
    Some(made)
}

fn service(image: &MemoryImage, name: &str, value: &str) -> Option<RegValue> {
    image.value(System, &format!("ControlSet001\\Services\\{name}"), value)
}

#[test]
fn amdxhc_1_1_0_249_on_windows_7() {
    let mut image = seven(Amd64);
    // The x86 folder's INF is the one of version 1.1.0.249; it is for both architectures.
    let Some(package) = real_inf("mwut-x86/USB3/AMD/USB_3.0/host/amdxhc.inf", &image, Amd64) else { return };
    let plan = image.add_one(&package);
    let added = added(&plan);
    assert!(added.boot_critical);
    assert_eq!(plan.reports[0].version.as_deref(), Some("1.1.0.249"));
    assert_eq!(service(&image, "amdxhc", "Start"), Some(RegValue::dword(3)));
    assert_eq!(service(&image, "amdxhc", "Group"), Some(RegValue::sz("Base")));
    let inf = Package::open(&package, "amdxhc.inf", ParseOptions::default()).unwrap();
    let chosen = models::models_with(inf.inf(), &image.target().windows, Undecorated::Refuse).unwrap();
    assert!(chosen.sections.iter().all(|name| name.ends_with(".NTamd64.5.1.1")), "{:?}", chosen.sections);
    for device in ["7812", "7814", "7914"] {
        let key = format!("{CDDB}\\PCI#VEN_1022&DEV_{device}");
        assert_eq!(image.value(System, &key, "Service"), Some(RegValue::sz("amdxhc")), "{device}");
        let class = image.value(System, &key, "ClassGUID").unwrap().as_str().unwrap();
        assert!(class.eq_ignore_ascii_case("{36FC9E60-C465-11CF-8056-444553540000}"));
    }
    // The test vector of drivers.md 5.4, on the first Windows that keeps such a value.
    let mut later = windows(Amd64, (6, 2, 9200));
    let plan = later.add_one(&package);
    let version = later.value(System, &package_key(self::added(&plan)), "Version").unwrap().data;
    let mut wanted =
        vec![0x60, 0x9E, 0xFC, 0x36, 0x65, 0xC4, 0xCF, 0x11, 0x80, 0x56, 0x44, 0x45, 0x53, 0x54, 0, 0];
    wanted.extend([0x00, 0xC0, 0xE9, 0x89, 0x32, 0xC5, 0xD2, 0x01, 0xF9, 0, 0, 0, 1, 0, 1, 0]);
    wanted.extend([0; 8]);
    assert_eq!(version[8..], wanted);
}

#[test]
fn nvme_of_ofa_is_test_signed() {
    let inf = VIOSTOR
        .replace("viostor.sys", "nvme.sys")
        .replace("AddService=viostor", "AddService=nvme")
        .replace("CatalogFile=viostor.cat", "CatalogFile.NTAMD64=nvme64.cat\nCatalogFile.NTx86=nvme86.cat")
        .replace("%VENDOR%=VioStor,NTamd64", "%VENDOR%=VioStor, NTamd64, NTx86")
        .replace("[SourceDisksFiles]\nnvme.sys=1\n", "");
    let sys = program(Amd64, [1, 5, 0, 0]);
    let certificates = [certificate("OFA driver", "WDKTestCert ofa", CODE_SIGNING)];
    let signed = catalog(&[inf.as_bytes(), &sys], ("OFA driver", "WDKTestCert ofa"), &certificates, 1);
    let package = MemoryFiles::new("ofa")
        .with("nvme.inf", inf.into_bytes())
        .with("nvme64.cat", signed)
        .with("nvme86.cat", *b"of the other one")
        .with("nvme.sys", sys);
    let mut image = seven(Amd64);
    // As drivers.md 7.4 asks of a boot driver that is signed with SHA-2.
    image.put("\\Windows\\System32\\winload.exe", program(Amd64, [6, 1, 7601, 24384]));
    let refused = image.clone().add(&[&package], &DriverOptions::default());
    assert!(matches!(refused.reports[0].outcome, Outcome::Refused { .. }), "{refused:?}");
    let plan = image.add_one(&package);
    added(&plan);
    let signature = plan.reports[0].signature.as_ref().unwrap();
    assert_eq!((signature.status, signature.label()), (SignatureStatus::Test, "test-signed"));
    assert_eq!(plan.reports[0].catalog, CatalogState::Present { name: "nvme64.cat".to_owned() });
    assert_eq!(service(&image, "nvme", "Start"), Some(RegValue::dword(0)));
    assert!(!image.files().iter().any(|path| path.ends_with("nvme86.cat")), "{:?}", image.files());
}

#[test]
fn intel_usb_3_is_three_packages() {
    let mut image = seven(Amd64);
    let machine = "[Version]\nSignature=\"$Windows NT$\"\n[PCI_DRV]\n[PCI_DRV.Services]\nAddService=pci,2,pci.service\n\
        [pci.service]\nServiceType=1\nStartType=0\nErrorControl=3\nServiceBinary=%12%\\pci.sys\n";
    image.put("\\Windows\\inf\\machine.inf", machine.as_bytes());
    image.put("\\Windows\\System32\\drivers\\pci.sys", program(Amd64, [6, 1, 7601, 17514]));
    image.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(Amd64, [1, 9, 7600, 16385]));
    let folder = "mwut-x64/USB3/Intel/intel_4th/5.0.4.43";
    let names = ["iusb3xhc.inf", "intel_sdi_4th/iusb3hub.inf", "intel_sdi_4th/switch/iusb3hcs.inf"];
    let mut packages = Vec::new();
    for name in names {
        let Some(package) = real_inf(&format!("{folder}/{name}"), &image, Amd64) else { return };
        let name = name.rsplit('/').next().unwrap();
        let text = package_bytes(&package, name);
        assert!(text.starts_with(&[0xFF, 0xFE]), "{name} is not UTF-16LE");
        packages.push(package);
    }
    // The hub's first: it comes after the host all the same.
    let sources: [&dyn PackageFiles; 3] = [&packages[1], &packages[0], &packages[2]];
    let plan = image.add(&sources, &unsigned_too());
    let order: Vec<&str> = plan.reports.iter().map(|report| report.inf.as_str()).collect();
    assert_eq!(order, ["iusb3xhc.inf", "iusb3hcs.inf", "iusb3hub.inf"]);
    assert!(plan.reports.iter().all(|report| matches!(report.outcome, Outcome::Added(_))), "{plan:?}");
    for (name, start) in [("iusb3xhc", 3), ("iusb3hub", 3), ("iusb3hcs", 0)] {
        assert_eq!(service(&image, name, "Start"), Some(RegValue::dword(start)), "{name}");
    }
    let hub = format!("{CDDB}\\IUSB3#ROOT_HUB30");
    assert_eq!(image.value(System, &hub, "Service"), Some(RegValue::sz("iusb3hub")));
}

#[test]
fn rusb3xhc_3_0_23_names_no_architecture() {
    let x86 = seven(X86);
    let Some(package) = real_inf("mwut-x86/USB3/Renesas/Renesas201_3.0.23/rusb3xhc.inf", &x86, X86) else {
        return;
    };
    let mut image = x86;
    let plan = image.add_one(&package);
    assert_eq!(added(&plan).device_ids.len(), 5);
    assert!(added(&plan).device_ids.iter().all(|id| id.contains("&REV_")));
    assert!(image.bytes("\\Windows\\System32\\rusb3co2.dll").is_some());
    assert!(image.bytes("\\Windows\\System32\\rusb3co.dll").is_none());
    assert_eq!(service(&image, "rusb3xhc", "Start"), Some(RegValue::dword(3)));
    assert_eq!(service(&image, "rusb3xhc", "Group"), Some(RegValue::sz("Base")));

    let mut amd64 = seven(Amd64);
    let untouched = amd64.clone();
    let plan = amd64.add_one(&package);
    let Outcome::Skipped { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(reason.contains("it names no architecture, which only x86 Windows accepts"), "{reason}");
    assert!(amd64 == untouched);
    // On request it is taken, with a warning; its binary still has to be for amd64.
    let options = DriverOptions { undecorated: Undecorated::Accept, ..unsigned_too() };
    let plan = amd64.add(&[&package], &options);
    assert!(
        matches!(&plan.reports[0].outcome, Outcome::Refused { reason, .. } if reason.contains("is a driver for x86"))
    );
    let package = real_inf("mwut-x86/USB3/Renesas/Renesas201_3.0.23/rusb3xhc.inf", &amd64, Amd64).unwrap();
    let plan = amd64.add(&[&package], &options);
    added(&plan);
    let findings = &plan.reports[0].findings;
    assert!(
        findings.iter().any(|f| f.contains("names no architecture") && f.contains("as asked")),
        "{findings:?}"
    );
}

#[test]
fn templates_of_driver_kits_are_called_so() {
    let Some(all) = corpus() else { return };
    let templates: Vec<_> = all
        .iter()
        .filter(|(_, bytes)| {
            let text = String::from_utf8_lossy(bytes);
            text.contains("NT$ARCH$") && text.contains("[Manufacturer]")
        })
        .take(25)
        .collect();
    assert!(templates.len() == 25);
    let image = ten(Amd64);
    for (path, bytes) in templates {
        let package = MemoryFiles::new("kit").with("x.inf", bytes.clone());
        let plan = image.clone().add_one(&package);
        let text = format!("{:?}", plan.reports[0].outcome);
        // An INF may have lines for real architectures beside.
        assert!(text.contains("template") || text.contains("missing from the package"), "{path}: {text}");
    }
}

/// Synthetic: as drivers.md 9.4 describes virtio-win's viostor.inf.
const VIOSTOR: &str = r#"[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={4D36E97B-E325-11CE-BFC1-08002BE10318}
Provider=%VENDOR%
DriverVer=06/04/2014,62.71.104.8600
CatalogFile=viostor.cat
PnpLockdown=1
[DestinationDirs]
DefaultDestDir=12
[SourceDisksNames]
1="disk"
[SourceDisksFiles]
viostor.sys=1
[Manufacturer]
%VENDOR%=VioStor,NTamd64
[VioStor.NTamd64]
%VioStorScsi.DeviceDesc% = scsi_inst, PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00, PCI\VEN_1AF4&DEV_1001
%VioStorScsi.DeviceDesc% = scsi_inst, PCI\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01, PCI\VEN_1AF4&DEV_1042
[scsi_inst]
CopyFiles=@viostor.sys
[scsi_inst.HW]
AddReg=pci_hw
[pci_hw]
HKR,"Interrupt Management",,0x00000010
HKR,"Interrupt Management\MessageSignaledInterruptProperties",,0x00000010
HKR,"Interrupt Management\MessageSignaledInterruptProperties",MSISupported,0x00010001,1
HKR,"Interrupt Management\MessageSignaledInterruptProperties",MessageNumberLimit,0x00010001,257
HKR,"Interrupt Management\Affinity Policy",DevicePolicy,0x00010001,5
[scsi_inst.Services]
AddService=viostor,%SPSVCINST_ASSOCSERVICE%,scsi_service
[scsi_service]
ServiceType=%SERVICE_KERNEL_DRIVER%
StartType=%SERVICE_BOOT_START%
ErrorControl=%SERVICE_ERROR_CRITICAL%
ServiceBinary=%12%\viostor.sys
LoadOrderGroup=SCSI miniport
AddReg=pnpsafe
[pnpsafe]
HKR,"Parameters\PnpInterface","5",%REG_DWORD%,0x00000001
HKR,"Parameters","BusType",%REG_DWORD%,0x00000001
[Strings]
VENDOR="Red Hat, Inc."
VioStorScsi.DeviceDesc="Red Hat VirtIO SCSI controller"
SPSVCINST_ASSOCSERVICE=0x00000002
SERVICE_KERNEL_DRIVER=1
SERVICE_BOOT_START=0
SERVICE_ERROR_CRITICAL=3
REG_DWORD=0x00010001
"#;

fn viostor() -> MemoryFiles {
    MemoryFiles::new("viostor")
        .with("viostor.inf", VIOSTOR.as_bytes())
        .with("viostor.sys", program(Amd64, [62, 71, 104, 8600]))
}

#[test]
fn viostor_on_windows_11_and_7() {
    let mut image = eleven(Amd64);
    let plan = image.add_one(&viostor());
    let key = package_key(added(&plan));
    for (id, form) in [
        ("PCI\\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", 1),
        ("PCI\\VEN_1AF4&DEV_1001", 2),
        ("PCI\\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01", 1),
        ("PCI\\VEN_1AF4&DEV_1042", 2),
    ] {
        let value = image.value(System, &format!("DriverDatabase\\DeviceIds\\{id}"), "oem0.inf");
        assert_eq!(value, Some(RegValue::binary([form, 0xFF, 0, 0])), "{id}");
        let descriptor = format!("{key}\\Descriptors\\{id}");
        for (name, text) in [
            ("Configuration", "scsi_inst"),
            ("Description", "%viostorscsi.devicedesc%"),
            ("Manufacturer", "%vendor%"),
        ] {
            assert_eq!(image.value(System, &descriptor, name), Some(RegValue::sz(text)));
        }
    }
    assert_eq!(service(&image, "viostor", "Start"), Some(RegValue::dword(0)));
    assert_eq!(service(&image, "viostor", "Group"), Some(RegValue::sz("SCSI miniport")));
    let device = format!("{key}\\Configurations\\scsi_inst\\Device\\Interrupt Management");
    let msi = format!("{device}\\MessageSignaledInterruptProperties");
    for (key, name, number) in [
        (msi.as_str(), "MSISupported", 1),
        (&msi, "MessageNumberLimit", 257),
        (&format!("{device}\\Affinity Policy"), "DevicePolicy", 5),
        ("ControlSet001\\Services\\viostor\\Parameters", "BusType", 1),
        ("ControlSet001\\Services\\viostor\\Parameters\\PnpInterface", "5", 1),
    ] {
        assert_eq!(image.value(System, key, name), Some(RegValue::dword(number)), "{key} {name}");
    }
    let lock = "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles\\%SystemRoot%/System32/drivers/viostor.sys";
    assert_eq!(image.value(Software, lock, "Class"), Some(RegValue::dword(4)));

    let mut image = seven(Amd64);
    let plan = image.add_one(&viostor());
    assert_eq!(added(&plan).device_ids.len(), 4);
    for id in &added(&plan).device_ids {
        let key = format!("{CDDB}\\{}", id.replace('\\', "#"));
        assert_eq!(image.value(System, &key, "Service"), Some(RegValue::sz("viostor")));
    }
    let path = RegValue::expand_sz("System32\\drivers\\viostor.sys");
    assert_eq!(service(&image, "viostor", "ImagePath"), Some(path));
}

/// Synthetic: netkvm, viogpudo, balloon and viosock, as that table describes them.
fn virtio(class: &str, guid: &str, name: &str, install: &str) -> MemoryFiles {
    let inf = format!(
        "[Version]\nSignature=\"$Windows NT$\"\nClass={class}\nClassGuid={guid}\nProvider=\"Red Hat\"\nDriverVer=01/02/2023,100.1.2.3\n\
         [DestinationDirs]\nDefaultDestDir=12\nstore=13\nwow=16425\nsys32=11\n[SourceDisksNames]\n1=\"d\"\n[SourceDisksFiles]\n{name}.sys=1\nlib.dll=1\nsvc.exe=1\n\
         [Manufacturer]\n\"Red Hat\"=M,NTamd64.10.0...16299\n[M.NTamd64.10.0...16299]\n\"Device\"=Inst,PCI\\VEN_1AF4&DEV_1000&SUBSYS_00011AF4&REV_00,PCI\\VEN_1AF4&DEV_1000\n{install}"
    );
    MemoryFiles::new(name)
        .with(&format!("{name}.inf"), inf.into_bytes())
        .with(&format!("{name}.sys"), program(Amd64, [1; 4]))
        .with("lib.dll", program(X86, [1; 4]))
        .with("svc.exe", program(Amd64, [1; 4]))
}

const KERNEL_SERVICE: &str = "ServiceType=1\nStartType=3\nErrorControl=1\n";

#[test]
fn netkvm_and_viogpudo_are_known_to_the_other_hive_only() {
    let net = "{4d36e972-e325-11ce-bfc1-08002be10318}";
    let display = "{4d36e968-e325-11ce-bfc1-08002be10318}";
    for (class, guid, name, score) in
        [("Net", net, "netkvm", None), ("Display", display, "viogpudo", Some(0xF9))]
    {
        let feature = score.map(|score| format!("FeatureScore={score:X}\n")).unwrap_or_default();
        let install = format!(
            "[Inst.NT]\nCopyFiles=@{name}.sys\n{feature}[Inst.NT.Services]\nAddService={name},2,svc\n[svc]\n{KERNEL_SERVICE}ServiceBinary=%12%\\{name}.sys\n"
        );
        for mut image in [ten(Amd64), eleven(Amd64)] {
            let plan = image.add_one(&virtio(class, guid, name, &install));
            assert!(!added(&plan).boot_critical);
            let ids = "DriverDatabase\\DeviceIds\\PCI\\VEN_1AF4&DEV_1000";
            let score = score.unwrap_or(0xFF);
            let full = image.value(Drivers, &format!("{ids}&SUBSYS_00011AF4&REV_00"), "oem0.inf");
            assert_eq!(full, Some(RegValue::binary([1, score, 0, 0])));
            assert_eq!(image.value(Drivers, ids, "oem0.inf"), Some(RegValue::binary([2, score, 0, 0])));
            assert_eq!(image.value(System, ids, "oem0.inf"), None);
            assert_eq!(image.subkeys(System, "ControlSet001\\Services"), ["EventLog"]);
        }
    }
}

#[test]
fn balloon_and_viosock_are_configured_in_system() {
    let system = "{4d36e97d-e325-11ce-bfc1-08002be10318}";
    let balloon = format!(
        "[BALLOON_Device.NT]\nCopyFiles=@balloon.sys\n[BALLOON_Device.NT.Services]\nAddService=balloon,2,svc\n[svc]\n{KERNEL_SERVICE}ServiceBinary=%12%\\balloon.sys\n\
         [BALLOON_Device.NT.Wdf]\nKmdfService=balloon,wdf\n[wdf]\nKmdfLibraryVersion=1.15\n"
    );
    let mut package = virtio("System", system, "balloon", &balloon);
    let inf = String::from_utf8(package_bytes(&package, "balloon.inf"))
        .unwrap()
        .replace("=Inst,", "=BALLOON_Device,");
    package = package.with("balloon.inf", inf.into_bytes());
    let mut image = ten(Amd64);
    let plan = image.add_one(&package);
    let key = package_key(added(&plan));
    assert_eq!(image.subkeys(System, &format!("{key}\\Configurations")), ["BALLOON_Device.NT"]);
    let path = RegValue::expand_sz("\\SystemRoot\\System32\\drivers\\balloon.sys");
    assert_eq!(service(&image, "balloon", "ImagePath"), Some(path));
    let wdf = image.value(System, "ControlSet001\\Services\\balloon\\Parameters\\Wdf", "KmdfLibraryVersion");
    assert_eq!(wdf, Some(RegValue::sz("1.15")));

    let viosock = format!(
        "[Inst.NT]\nCopyFiles=store,wow,sys32\n[store]\nviosock.sys\n[wow]\nlib.dll\n[sys32]\nsvc.exe\n\
         [Inst.NT.Services]\nAddService=viosock,2,svc\nAddService=viosocksvc,,win32\n[svc]\n{KERNEL_SERVICE}ServiceBinary=%13%\\viosock.sys\n\
         [win32]\nServiceType=0x10\nStartType=2\nErrorControl=1\nServiceBinary=%11%\\svc.exe\n"
    );
    let mut image = eleven(Amd64);
    let plan = image.add_one(&virtio("System", system, "viosock", &viosock));
    let store = format!(
        "System32\\DriverStore\\FileRepository\\{}",
        added(&plan).folder.rsplit('\\').next().unwrap()
    );
    let path = RegValue::expand_sz(&format!("\\SystemRoot\\{store}\\viosock.sys"));
    assert_eq!(service(&image, "viosock", "ImagePath"), Some(path));
    assert_eq!(service(&image, "viosocksvc", "Type"), Some(RegValue::dword(0x10)));
    let path = RegValue::expand_sz("%SystemRoot%\\System32\\svc.exe");
    assert_eq!(service(&image, "viosocksvc", "ImagePath"), Some(path));
    assert!(image.bytes("\\Windows\\SysWOW64\\lib.dll").is_some());
    let locks = image.subkeys(Software, "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles");
    assert!(locks.contains(&"%SystemRoot%/SysWOW64/lib.dll".to_owned()), "{locks:?}");
    let configuration = format!("{}\\Configurations\\Inst.NT", package_key(added(&plan)));
    let programs = image.value(System, &configuration, "Win32Services");
    assert_eq!(programs, Some(RegValue::multi_sz(&["viosocksvc"])));
    // As packages that run from the store have it in the hive of a real Windows 10; others have none.
    let level = |image: &MemoryImage, key: &str| image.value(System, key, "LockLevel");
    assert_eq!(level(&image, &package_key(added(&plan))), Some(RegValue::dword(2)));
    let mut image = ten(Amd64);
    let plan = image.add_one(&package);
    assert_eq!(level(&image, &package_key(added(&plan))), None);
}

fn package_bytes(files: &MemoryFiles, path: &str) -> Vec<u8> {
    let file = files.list().iter().find(|file| file.path == path).unwrap();
    files.read(file, u64::MAX).unwrap().to_vec()
}

#[test]
fn what_is_missing_is_named_for_later_windows_too() {
    let plan = eleven(Amd64).add_one(&MemoryFiles::new("v").with("viostor.inf", VIOSTOR.as_bytes()));
    let Outcome::Refused { kind, reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert_eq!(*kind, ErrorKind::NotFound);
    assert!(reason.contains("viostor.sys"), "{reason}");
}
