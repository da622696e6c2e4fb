//! The golden expectations of drivers.md 9.4 beyond T1 to T7.
//!
//! Rows whose INF is at hand use it, with made-up binaries (`real_inf`); the virtio rows are synthetic: INFs written here from what that
//! table says of them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use crate::driver_image::{MemoryImage, eleven, program, seven, ten, unsigned_too};
use crate::inf_corpus::corpus;
use wim_core::base::Architecture::{self, Amd64, X86};
use wim_core::base::ErrorKind;
use wim_core::formats::hive::RegValue;
use wim_core::formats::inf::{NoIncludes, ParseOptions, Undecorated, files, install, models};
use wim_core::servicing::drivers::package::Package;
use wim_core::servicing::drivers::report::Added;
use wim_core::servicing::drivers::{DriverOptions, DriverPlan, Outcome};
use wim_core::servicing::hive_set::HiveName::{Drivers, Software, System};
use wim_core::servicing::package_files::MemoryFiles;

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
    for device in ["7812", "7814", "7914"] {
        let key = format!("{CDDB}\\PCI#VEN_1022&DEV_{device}");
        assert_eq!(image.value(System, &key, "Service"), Some(RegValue::sz("amdxhc")), "{device}");
        let class = image.value(System, &key, "ClassGUID").unwrap().as_str().unwrap();
        assert!(class.eq_ignore_ascii_case("{36FC9E60-C465-11CF-8056-444553540000}"));
    }
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
}

fn package_bytes(files: &MemoryFiles, path: &str) -> Vec<u8> {
    use wim_core::servicing::package_files::PackageFiles;
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
