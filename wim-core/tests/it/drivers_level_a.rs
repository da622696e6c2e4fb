//! Drivers added to Windows 7: the golden expectations of drivers.md 9 for level A, over images and packages made here.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeSet;

use crate::driver_image::{MemoryImage, program, seven, ten, unsigned_too, windows};
use crate::driver_packages::{
    TSTOR, TUSB3, tbad_bytes, text, tmiss, tnet, tstor, tusb3, tx86, wrong_machine,
};
use wim_core::base::Architecture::{Amd64, X86};
use wim_core::base::ErrorKind;
use wim_core::formats::hive::RegValue;
use wim_core::formats::inf::install::install;
use wim_core::formats::inf::models::{manufacturers, models_for};
use wim_core::formats::inf::registry::RegAction;
use wim_core::formats::inf::{Inf, NoIncludes, ParseOptions};
use wim_core::servicing::drivers::manifest::{self, Manifest};
use wim_core::servicing::drivers::report::{Added, How};
use wim_core::servicing::drivers::{BootCritical, BootStart, DriverOptions, DriverPlan, Newer, Outcome};
use wim_core::servicing::hive_set::HiveName::{Software, System};
use wim_core::servicing::package_files::MemoryFiles;

const CDDB: &str = "ControlSet001\\Control\\CriticalDeviceDatabase";
const CURRENT_VERSION: &str = "Microsoft\\Windows\\CurrentVersion";
const SCSI_ADAPTER: &str = "{4D36E97B-E325-11CE-BFC1-08002BE10318}";

fn outcome(plan: &DriverPlan) -> &Outcome {
    assert_eq!(plan.reports.len(), 1, "{:?}", plan.reports);
    &plan.reports[0].outcome
}

fn added(plan: &DriverPlan) -> &Added {
    match outcome(plan) {
        Outcome::Added(added) => added,
        other => panic!("{other:?}"),
    }
}

fn refusal(plan: &DriverPlan) -> (ErrorKind, &str) {
    match outcome(plan) {
        Outcome::Refused { kind, reason, .. } => (*kind, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn t1_on_windows_7_amd64_is_as_drivers_md_9_1_says() {
    let mut image = seven(Amd64);
    let before: BTreeSet<String> = image.files().into_iter().collect();
    let plan = image.add_one(&tstor());
    let added = added(&plan);
    assert_eq!((added.how, added.boot_critical), (How::LevelA, true));
    // The only thing odd is its catalog, which is none.
    let findings = &plan.reports[0].findings;
    assert!(
        findings.len() == 1 && findings[0].contains("invalid catalog: Windows on amd64 will not load it"),
        "{findings:?}"
    );

    let folder = added.folder.rsplit('\\').next().unwrap().to_owned();
    assert!(folder.starts_with("tstor_") && folder.len() == "tstor_".len() + 8, "{folder}");
    let new: BTreeSet<String> = image.files().into_iter().filter(|path| !before.contains(path)).collect();
    let expected = [
        format!("\\Windows\\Drivers\\{folder}\\tstor.inf"),
        format!("\\Windows\\Drivers\\{folder}\\tstor.cat"),
        format!("\\Windows\\Drivers\\{folder}\\x64\\tstor.sys"),
        // The folder's spelling in the image, not the one of the INF.
        "\\Windows\\System32\\DRIVERS\\tstor.sys".to_owned(),
        "\\Windows\\inf\\wim.drivers.json".to_owned(),
    ];
    assert_eq!(new, expected.into_iter().collect());
    let amd64 = program(Amd64, [1, 2, 3, 4]);
    assert_eq!(*image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(), *amd64);
    assert_eq!(*image.bytes(&format!("\\Windows\\Drivers\\{folder}\\tstor.inf")).unwrap(), *TSTOR.as_bytes());

    let device_path = RegValue::expand_sz(&format!("%SystemRoot%\\inf;%SystemRoot%\\Drivers\\{folder}"));
    assert_eq!(image.value(Software, CURRENT_VERSION, "DevicePath"), Some(device_path));
    let service = "ControlSet001\\Services\\tstor";
    for (key, value, data) in [
        (service.to_owned(), "Type", RegValue::dword(1)),
        (service.to_owned(), "Start", RegValue::dword(0)),
        (service.to_owned(), "ErrorControl", RegValue::dword(1)),
        (service.to_owned(), "Group", RegValue::sz("SCSI miniport")),
        (service.to_owned(), "ImagePath", RegValue::expand_sz("System32\\drivers\\tstor.sys")),
        (format!("{service}\\Parameters"), "BusType", RegValue::dword(10)),
        (format!("{service}\\Parameters\\PnpInterface"), "5", RegValue::dword(1)),
    ] {
        assert_eq!(image.value(System, &key, value), Some(data), "{key} {value}");
    }
    let log = "ControlSet001\\Services\\EventLog\\System\\tstor";
    let message = RegValue::expand_sz("%SystemRoot%\\System32\\IoLogMsg.dll");
    assert_eq!(image.value(System, log, "EventMessageFile"), Some(message));
    assert_eq!(image.value(System, log, "TypesSupported"), Some(RegValue::dword(7)));
    for id in ["PCI#VEN_1234&DEV_0001&SUBSYS_00011234", "PCI#VEN_1234&DEV_0001"] {
        let key = format!("{CDDB}\\{id}");
        assert_eq!(image.value(System, &key, "Service"), Some(RegValue::sz("tstor")));
        assert_eq!(image.value(System, &key, "ClassGUID"), Some(RegValue::sz(SCSI_ADAPTER)));
    }
    assert_eq!(image.subkeys(System, CDDB).len(), 3);
    assert!(image.registry(System).keys().all(|(_, value)| value != "=MSISupported"));
}

#[test]
fn a_second_run_changes_nothing_and_says_so() {
    let mut image = seven(Amd64);
    image.add_one(&tstor());
    let once = image.clone();
    let plan = image.add_one(&tstor());
    assert!(matches!(outcome(&plan), Outcome::AlreadyPresent { .. }), "{plan:?}");
    assert!(plan.changes.is_empty(), "{:?}", plan.changes);
    assert_eq!(image.files(), once.files());
    assert!(image == once, "hives differ after a second run");
}

#[test]
fn what_was_lost_since_is_completed_and_nothing_else_touched() {
    let mut image = seven(Amd64);
    image.add_one(&tstor());
    let service = "ControlSet001\\Services\\tstor";
    image.edit(&[(System, service, "Group", RegValue::sz("mine"))]);
    let whole = image.clone();
    let lost = wim_core::image::edit::Change {
        path: wim_core::image::WimPath::parse("\\Windows\\System32\\drivers\\tstor.sys").unwrap(),
        action: wim_core::image::edit::Action::Remove,
        reason: "test".into(),
    };
    image.apply(&[lost]);
    let plan = image.add_one(&tstor());
    assert!(added(&plan).completed);
    assert!(image.bytes("\\Windows\\System32\\drivers\\tstor.sys").is_some());
    assert_eq!(image.value(System, service, "Group"), Some(RegValue::sz("mine")));
    assert_eq!(image.files(), whole.files());
}

#[test]
fn both_control_sets_are_written_when_default_differs() {
    let mut image = seven(X86);
    image.edit(&[
        (System, "Select", "Default", RegValue::dword(2)),
        (System, "ControlSet002\\Control", "x", RegValue::dword(0)),
    ]);
    image.add_one(&tstor());
    for set in ["ControlSet001", "ControlSet002"] {
        let key = format!("{set}\\Services\\tstor");
        assert_eq!(image.value(System, &key, "Start"), Some(RegValue::dword(0)), "{set}");
        let key = format!("{set}\\Control\\CriticalDeviceDatabase\\PCI#VEN_1234&DEV_0001");
        assert_eq!(image.value(System, &key, "Service"), Some(RegValue::sz("tstor")), "{set}");
    }
    assert_eq!(*image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(), *program(X86, [1, 2, 3, 4]));
}

#[test]
fn t2_needs_its_framework() {
    let mut image = seven(Amd64);
    let wdf = "\\Windows\\System32\\drivers\\Wdf01000.sys";
    image.put(wdf, program(Amd64, [1, 9, 7600, 16385]));
    let untouched = image.clone();
    let plan = image.add_one(&tusb3());
    let (kind, reason) = refusal(&plan);
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(reason.contains("tusb3xhc") && reason.contains("1.11") && reason.contains("1.9"), "{reason}");
    let Outcome::Refused { remedy, .. } = outcome(&plan) else { panic!() };
    assert!(remedy.as_ref().unwrap().contains("KB2685811"));
    assert!(image == untouched);

    let options = DriverOptions { ignore_framework: true, ..unsigned_too() };
    let plan = image.clone().add(&[&tusb3()], &options);
    added(&plan);
    assert!(plan.reports[0].findings.iter().any(|f| f.contains("1.11")));

    image.put(wdf, program(Amd64, [1, 11, 9200, 16384]));
    let plan = image.add_one(&tusb3());
    let services: Vec<(String, u32)> =
        added(&plan).services.iter().map(|s| (s.name.clone(), s.start)).collect();
    assert_eq!(services, [("tusb3xhc".to_owned(), 3), ("tusb3sw".to_owned(), 0)]);
    let of =
        |name: &str, value: &str| image.value(System, &format!("ControlSet001\\Services\\{name}"), value);
    let path = RegValue::expand_sz("\\SystemRoot\\System32\\drivers\\tusb3xhc.sys");
    assert_eq!(of("tusb3xhc", "ImagePath"), Some(path));
    assert_eq!(of("tusb3sw", "ImagePath"), Some(RegValue::expand_sz("System32\\drivers\\tusb3sw.sys")));
    assert_eq!(of("tusb3xhc\\Parameters\\Wdf", "KmdfLibraryVersion"), Some(RegValue::sz("1.11")));
    assert_eq!(*image.bytes("\\Windows\\System32\\tco2.dll").unwrap(), *program(Amd64, [2, 0, 0, 1]));
    assert!(image.bytes("\\Windows\\System32\\tco.dll").is_none());
    // The package keeps the name its source has, and the INF its spelling.
    assert!(image.bytes(&format!("{}\\tco.dll", added(&plan).folder)).is_some());
    assert!(image.files().iter().any(|path| path.ends_with("\\TUSB3.INF")));
    let ids: BTreeSet<String> = image.subkeys(System, CDDB).into_iter().collect();
    let expected = [
        "PCI#CC_0101",
        "PCI#VEN_1234&DEV_0330",
        "PCI#VEN_1234&DEV_0330&REV_01",
        "PCI#VEN_1234&DEV_0330&REV_02",
    ];
    assert_eq!(ids, expected.into_iter().map(str::to_owned).collect());
}

#[test]
fn t2_boot_start_is_raised_on_request_only_for_the_function_driver() {
    let mut image = seven(Amd64);
    image.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(Amd64, [1, 11, 9200, 16384]));
    let options = DriverOptions { boot_start: BootStart::Raise, ..unsigned_too() };
    let plan = image.add(&[&tusb3()], &options);
    let starts: Vec<u32> = added(&plan).services.iter().map(|s| s.start).collect();
    assert_eq!(starts, [0, 0]);
    let path = image.value(System, "ControlSet001\\Services\\tusb3xhc", "ImagePath");
    assert_eq!(path, Some(RegValue::expand_sz("System32\\drivers\\tusb3xhc.sys")));
}

#[test]
fn what_a_second_run_would_do_otherwise_is_told() {
    let told =
        |plan: &DriverPlan, what: &str| plan.reports[0].findings.iter().any(|text| text.contains(what));
    let mut image = seven(Amd64);
    image.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(Amd64, [1, 11, 9200, 16384]));
    image.add_one(&tusb3());
    let raised = DriverOptions { boot_start: BootStart::Raise, ..unsigned_too() };
    let plan = image.add(&[&tusb3()], &raised);
    assert!(matches!(plan.reports[0].outcome, Outcome::AlreadyPresent { .. }), "{plan:#?}");
    assert!(told(&plan, "without boot start"), "{plan:#?}");
    assert!(!told(&image.add_one(&tusb3()), "without boot start"));
    image.remove_drivers(&["tusb3.inf"]).unwrap();
    image.add(&[&tusb3()], &raised);
    assert!(!told(&image.add(&[&tusb3()], &raised), "without boot start"));
    // A newer file that stayed.
    let mut image = seven(Amd64);
    image.put("\\Windows\\System32\\drivers\\tstor.sys", program(Amd64, [9, 0, 0, 0]));
    image.add_one(&tstor());
    let replace = DriverOptions { newer: Newer::Replace, ..unsigned_too() };
    assert!(told(&image.add(&[&tstor()], &replace), "newer files stayed"));
    assert!(!told(&image.add_one(&tstor()), "newer files stayed"));
}

#[test]
fn a_32_bit_windows_has_one_view_of_its_registry() {
    for (arch, key) in [(X86, "Test"), (Amd64, "Wow6432Node\\Test")] {
        let mut image = ten(arch);
        let inf = TSTOR.replace("CopyFiles=@tstor.sys", "CopyFiles=@tstor.sys\nAddReg=only32")
            + "\n[only32]\nHKLM,\"SOFTWARE\\Test\",Only32,0x4000,yes\n";
        added(&image.add_one(&tstor().with("tstor.inf", inf.into_bytes())));
        assert_eq!(image.value(Software, key, "Only32"), Some(RegValue::sz("yes")), "{arch}");
    }
}

#[test]
fn t3_on_windows_7_is_offered_but_not_put_in_place() {
    let mut image = seven(Amd64);
    let system = image.registry(System);
    let plan = image.add_one(&tnet());
    let report = added(&plan);
    assert!(!report.boot_critical);
    assert_eq!(report.device_ids, ["PCI\\VEN_1234&DEV_0200"]);
    assert!(report.services.is_empty() && report.files.is_empty());
    assert!(image.bytes("\\Windows\\System32\\drivers\\tnet.sys").is_none());
    assert!(image.bytes(&format!("{}\\tnet.sys", report.folder)).is_some());
    assert_eq!(image.registry(System), system);
    let path = image.value(Software, CURRENT_VERSION, "DevicePath").unwrap().as_str().unwrap();
    assert!(path.contains(";%SystemRoot%\\Drivers\\tnet_"), "{path}");

    let mut image = seven(Amd64);
    let options = DriverOptions { boot_critical: BootCritical::Always, ..unsigned_too() };
    let plan = image.add(&[&tnet()], &options);
    assert_eq!(added(&plan).services.len(), 1);
    assert!(image.bytes("\\Windows\\System32\\drivers\\tnet.sys").is_some());
    // What it excludes is not bound.
    assert_eq!(image.value(System, &format!("{CDDB}\\PCI#VEN_1234&CC_0200"), "Service"), None);
}

#[test]
fn t4_t7_and_other_windows_are_skipped_with_what_was_found() {
    let mut image = seven(Amd64);
    let untouched = image.clone();
    let plan = image.add_one(&text());
    assert!(matches!(outcome(&plan), Outcome::Skipped { .. }), "{plan:?}");
    let plan = image.add_one(&tx86());
    let Outcome::Skipped { reason, decorations } = outcome(&plan) else { panic!("{plan:?}") };
    assert_eq!(decorations, &["NTx86.6.1"]);
    assert!(reason.contains("nothing in it is for amd64 6.1.7601: NTx86.6.1 (it is for x86)"), "{reason}");
    assert!(image == untouched);

    let plan = windows(Amd64, (6, 0, 6002)).add_one(&tstor());
    let Outcome::Skipped { reason, .. } = outcome(&plan) else { panic!("{plan:?}") };
    assert!(reason.contains("needs Windows 6.1 or later"), "{reason}");
}

#[test]
fn t5_is_read_to_the_end() {
    let inf = Inf::parse("tbad.inf", &tbad_bytes(), ParseOptions::default()).unwrap();
    assert!(inf.findings().is_empty(), "{:?}", inf.findings());
    let version = wim_core::formats::inf::Version::read(&inf).unwrap();
    assert_eq!(version.class.as_deref(), Some("SCSIAdapter"));
    assert_eq!(version.provider.as_deref(), Some("Wer, wenn nicht wir"));
    assert_eq!(version.driver_ver.unwrap().to_string(), "1.2.0.0 2020-01-02");
    let lines = manufacturers(&inf);
    assert_eq!((lines.len(), lines[0].name.as_str()), (1, "A;B"));
    assert_eq!(lines[0].decorations, ["NTx86", "NTamd64"]);
    let inf = std::sync::Arc::new(inf);
    let target = seven(Amd64).target().windows;
    let models = models_for(&inf, &target).unwrap().models;
    let found: Vec<(&str, Vec<&str>)> =
        models.iter().map(|m| (m.description.as_str(), m.ids.iter().map(String::as_str).collect())).collect();
    assert_eq!(
        found,
        [("%Unknown%", vec!["PCI\\VEN_1&DEV_2"]), ("Say \"hi\"", vec!["PCI\\VEN_1&DEV_3", "PCI\\VEN_1"])]
    );
    let lines = install(&inf, "Inst", &target, &NoIncludes).unwrap().software;
    let data = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let set = |n: usize| match &lines[n].action {
        RegAction::Set { kind, data, .. } => (*kind, data.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(set(0), (1, data("C:\\Some\\\0")));
    assert_eq!(set(1), (7, data("a,b\0c\0\0")));
    let german =
        Inf::parse("tbad.inf", &tbad_bytes(), ParseOptions { language: 0x0407, ..ParseOptions::default() });
    let version = wim_core::formats::inf::Version::read(&german.unwrap()).unwrap();
    assert_eq!(version.provider.as_deref(), Some("Niemand"));
}

#[test]
fn t6_is_refused_by_the_name_of_what_is_missing() {
    let mut image = seven(Amd64);
    let untouched = image.clone();
    let plan = image.add_one(&tmiss());
    let (kind, reason) = refusal(&plan);
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(reason.contains("tmiss.sys"), "{reason}");
    assert!(plan.changes.is_empty() && image == untouched);
    // The x86 file is there.
    added(&seven(X86).add_one(&tmiss()));
}

#[test]
fn a_binary_for_another_machine_is_refused_whatever_the_inf_says() {
    let mut image = seven(Amd64);
    let untouched = image.clone();
    let plan = image.add_one(&wrong_machine());
    let (_, reason) = refusal(&plan);
    assert!(reason.contains("tstor.sys is a driver for arm64, the image is amd64"), "{reason}");
    assert!(image == untouched);
}

#[test]
fn newer_files_and_other_bindings_stay_unless_forced() {
    let mut image = seven(Amd64);
    let newer = program(Amd64, [9, 0, 0, 0]);
    image.put("\\Windows\\System32\\drivers\\tstor.sys", newer.clone());
    image.edit(&[(System, &format!("{CDDB}\\PCI#VEN_1234&DEV_0001"), "Service", RegValue::sz("other"))]);
    let mut forced = image.clone();
    let plan = image.add_one(&tstor());
    added(&plan);
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("version 9.0.0.0 and stays")), "{findings:?}");
    assert!(findings.iter().any(|f| f.contains("bound to service other already")), "{findings:?}");
    assert_eq!(*image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(), *newer);

    let options = DriverOptions { newer: Newer::Replace, ..unsigned_too() };
    forced.add(&[&tstor()], &options);
    assert_eq!(
        *forced.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(),
        *program(Amd64, [1, 2, 3, 4])
    );
    let service = forced.value(System, &format!("{CDDB}\\PCI#VEN_1234&DEV_0001"), "Service");
    assert_eq!(service, Some(RegValue::sz("tstor")));
}

#[test]
fn one_refused_package_leaves_no_trace_beside_one_that_is_added() {
    let mut alone = seven(Amd64);
    alone.add_one(&tstor());
    let mut image = seven(Amd64);
    // A device path that has no room left for the second package.
    let plan = image.add(&[&tmiss(), &tstor(), &wrong_machine()], &unsigned_too());
    assert_eq!(plan.reports.len(), 3);
    assert!(image == alone);
}

#[test]
fn a_device_path_without_room_refuses_and_takes_everything_back() {
    let mut image = seven(Amd64);
    let long = format!("%SystemRoot%\\inf;{}", "C:\\x".repeat(990));
    image.edit(&[(Software, CURRENT_VERSION, "DevicePath", RegValue::expand_sz(&long))]);
    let untouched = image.clone();
    let plan = image.add_one(&tstor());
    assert_eq!(refusal(&plan).0, ErrorKind::Limit);
    assert!(image == untouched);
}

#[test]
fn packages_in_any_order_give_the_same_services_and_devices() {
    let ordered = |names: [usize; 2]| {
        let mut image = seven(Amd64);
        let packages = [tstor(), tnet()];
        for n in names {
            image.add_one(&packages[n]);
        }
        let mut registry = image.registry(System);
        registry.extend(image.registry(Software));
        // The order of the device path is that of adding; its parts are the same.
        let path = registry.get_mut(&(CURRENT_VERSION.to_owned(), "=DevicePath".to_owned())).unwrap();
        let mut parts: Vec<String> = path.as_str().unwrap().split(';').map(str::to_owned).collect();
        parts.sort();
        *path = RegValue::sz(&parts.join(";"));
        (registry, image.files())
    };
    assert_eq!(ordered([0, 1]), ordered([1, 0]));
}

#[test]
fn compressed_and_flat_files_are_found() {
    // SZDD of literals only.
    let sys = program(Amd64, [1, 2, 3, 4]);
    let mut packed = b"SZDD\x88\xF0\x27\x33A\0".to_vec();
    packed.extend(u32::try_from(sys.len()).unwrap().to_le_bytes());
    for eight in sys.chunks(8) {
        packed.push(0xFF);
        packed.extend(eight);
    }
    let package =
        MemoryFiles::new("packed").with("d/tstor.inf", TSTOR.as_bytes()).with("d/X64/TSTOR.SY_", packed);
    let mut image = seven(Amd64);
    let plan = image.add_one(&package);
    let folder = &added(&plan).folder;
    assert_eq!(*image.bytes(&format!("{folder}\\x64\\tstor.sys")).unwrap(), *sys);
    assert_eq!(*image.bytes("\\Windows\\System32\\drivers\\tstor.sys").unwrap(), *sys);

    let package = MemoryFiles::new("flat").with("tstor.inf", TSTOR.as_bytes()).with("tstor.sys", sys.clone());
    let plan = seven(Amd64).add_one(&package);
    added(&plan);
    assert!(plan.reports[0].findings.iter().any(|f| f.contains("lies beside the INF")), "{:?}", plan.reports);
}

#[test]
fn an_inbox_section_brings_the_function_driver() {
    let inf = TUSB3
        .replace("[X.NT.Services]\n", "[X.NT.Services]\nInclude=machine.inf\nNeeds=PCI_DRV.Services\n")
        .replace("AddService=tusb3xhc,%SPSVCINST_ASSOCSERVICE%,xhc.service\n", "")
        .replace("KmdfLibraryVersion=1.11", "KmdfLibraryVersion=1.9");
    let package = MemoryFiles::new("switch")
        .with("switch.inf", inf.into_bytes())
        .with("tusb3xhc.sys", program(Amd64, [2, 0, 0, 0]))
        .with("tusb3sw.sys", program(Amd64, [2, 0, 0, 0]))
        .with("tco.dll", program(Amd64, [2, 0, 0, 1]));
    let mut image = seven(Amd64);
    let plan = image.clone().add_one(&package);
    assert!(
        plan.reports[0].findings.iter().any(|f| f.contains("includes machine.inf")),
        "{:?}",
        plan.reports
    );
    assert!(plan.reports[0].findings.iter().any(|f| f.contains("no function driver")), "{:?}", plan.reports);

    let machine = "[Version]\nSignature=\"$Windows NT$\"\n[PCI_DRV.Services]\nAddService=pci,2,pci.service\n\
        [pci.service]\nServiceType=1\nStartType=0\nErrorControl=3\nServiceBinary=%12%\\pci.sys\n";
    image.put("\\Windows\\inf\\machine.inf", machine.as_bytes());
    let plan = image.add_one(&package);
    assert_eq!(added(&plan).services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["tusb3sw"]);
    let key = format!("{CDDB}\\PCI#VEN_1234&DEV_0330");
    assert_eq!(image.value(System, &key, "Service"), Some(RegValue::sz("pci")));
    // It is Windows' own and stays as it was.
    assert_eq!(image.value(System, "ControlSet001\\Services\\pci", "ErrorControl"), None);
}

#[test]
fn the_manifest_lists_everything_that_was_written() {
    let mut image = seven(Amd64);
    let plan = image.add_one(&tstor());
    let bytes = image.bytes(manifest::PATH).unwrap();
    let manifest = Manifest::parse(&bytes).unwrap();
    assert_eq!(manifest.to_bytes().unwrap(), *bytes);
    assert_eq!(manifest.drivers.len(), 1);
    let entry = &manifest.drivers[0];
    assert_eq!(entry.folder, added(&plan).folder);
    assert_eq!(
        (entry.inf.as_str(), entry.how.as_str(), entry.arch.as_str()),
        ("tstor.inf", "level_a", "amd64")
    );
    assert_eq!(entry.version.as_deref(), Some("1.2.3.4"));
    assert_eq!(entry.files.len(), 4);
    assert!(entry.files.iter().all(|file| image.bytes(&file.path).is_some() && file.sha256.len() == 64));
    let device_path = entry.registry.iter().find(|e| e.value.as_deref() == Some("DevicePath")).unwrap();
    assert_eq!(device_path.hive, "SOFTWARE");
    assert!(device_path.old.is_some() && device_path.new.is_some());
}

#[test]
fn an_unstamped_template_is_called_one() {
    let inf = TSTOR.replace("NTx86.6.1,NTamd64.6.1", "NT$ARCH$");
    let package = MemoryFiles::new("template").with("t.inf", inf.into_bytes());
    let plan = seven(Amd64).add_one(&package);
    assert!(refusal(&plan).1.contains("template"), "{plan:?}");
}

#[test]
fn an_inf_cannot_reach_outside_its_folder_or_the_image() {
    let sys = program(Amd64, [1, 2, 3, 4]);
    let files = |inf: String| {
        MemoryFiles::new("evil")
            .with("a/tstor.inf", inf.into_bytes())
            .with("a/x64/tstor.sys", sys.clone())
            .with("secret.sys", sys.clone())
    };
    for (from, to) in [
        ("tstor.sys=1,\\x64", "tstor.sys=1,..\\"),
        ("tstor.sys=1,\\x64", "tstor.sys=1,C:\\x"),
        ("1=%D%", "1=%D%,,,..\\.."),
        ("@tstor.sys", "@..\\..\\secret.sys"),
        ("DefaultDestDir=12", "DefaultDestDir=12,..\\..\\.."),
    ] {
        let mut image = seven(Amd64);
        let untouched = image.clone();
        let plan = image.add_one(&files(TSTOR.replace(from, to)));
        let (kind, reason) = refusal(&plan);
        assert_eq!(kind, ErrorKind::Format, "{reason}");
        assert!(image == untouched);
    }
}

/// Names that an image can hold and Windows cannot: nobody could delete such a file there.
#[test]
fn names_that_windows_gives_to_no_file_are_refused() {
    let long = format!("{}.sys", "x".repeat(252));
    for (name, what) in [
        ("con", "names a device"),
        ("LPT1.sys", "names a device"),
        ("x.sys.", "ends in a dot"),
        ("x:y.sys", "a stream"),
        (long.as_str(), "more than 255 characters"),
    ] {
        let inf = TSTOR.replace("CopyFiles=@tstor.sys", "CopyFiles=@tstor.sys,more")
            + &format!("\n[more]\n{name},tstor.sys\n");
        let package = tstor().with("tstor.inf", inf.into_bytes());
        for image in [seven(Amd64), ten(Amd64)] {
            refused_at_a_line(image, &package, what);
        }
    }
}

/// A program cannot drive a device: Windows would find the device's driver missing when it boots.
#[test]
fn a_service_that_drives_devices_is_a_driver() {
    for kind in ["0", "0x10", "0x110"] {
        let inf = TSTOR.replace("ServiceType=1", &format!("ServiceType={kind}"));
        let package = tstor().with("tstor.inf", inf.into_bytes());
        for image in [seven(Amd64), ten(Amd64)] {
            refused_at_a_line(image, &package, "is that of no driver");
        }
    }
}

#[test]
fn what_windows_would_not_load_is_refused_unless_forced() {
    let options = DriverOptions::default();
    let mut image = seven(Amd64);
    let untouched = image.clone();
    let plan = image.add(&[&tstor()], &options);
    let Outcome::Refused { reason, remedy, .. } = outcome(&plan) else { panic!("{plan:?}") };
    assert!(reason.contains("tstor.cat"), "{reason}");
    assert!(remedy.as_ref().unwrap().contains("test signing"));
    assert!(image == untouched);
    // x86 loads it.
    added(&seven(X86).add(&[&tstor()], &options));
}

#[test]
fn values_that_an_inf_deletes_and_sets_again_are_no_change() {
    let inf = TSTOR
        .replace("AddReg=par\n", "DelReg=del\nAddReg=par\n")
        .replace("[par]\n", "[del]\nHKR,Parameters,BusType\nHKR,\"Parameters\\PnpInterface\",\"5\"\n[par]\n");
    let package = tstor().with("tstor.inf", inf.into_bytes());
    let mut image = seven(Amd64);
    added(&image.add_one(&package));
    let before = image.registry(System);
    let again = image.add_one(&package);
    assert!(matches!(outcome(&again), Outcome::AlreadyPresent { .. }), "{:?}", outcome(&again));
    assert!(again.changes.is_empty(), "{:?}", again.changes);
    assert!(before == image.registry(System));
}

#[test]
fn a_service_of_two_install_sections_gets_what_both_say() {
    let other = "[J]\nCopyFiles=@tstor.sys\n[J.Services]\nAddService=tstor,0x2,S2\n\
                 [S2]\nServiceType=1\nStartType=0\nErrorControl=1\nServiceBinary=%12%\\tstor.sys\nAddReg=par2\n\
                 [par2]\nHKR,\"Parameters\\Device\\B\",Two,0x00010001,2\nHKR,\"Parameters\",BusType,0x00010001,9\n[Strings]";
    let inf = TSTOR
        .replace("StartType=0", "StartType=3")
        .replace("[Strings]", other)
        .replace("[M.NTamd64.6.1]\n", "[M.NTamd64.6.1]\n%Dev%=J,PCI\\VEN_1234&DEV_0009\n");
    for (first, second) in [("I", "J"), ("J", "I")] {
        // Whichever section comes first.
        let inf = inf
            .replace("=I,PCI", "=#,PCI")
            .replace("=J,PCI", &format!("={second},PCI"))
            .replace("=#,PCI", &format!("={first},PCI"));
        let mut image = seven(Amd64);
        let plan = image.add_one(&tstor().with("tstor.inf", inf.into_bytes()));
        let service = "ControlSet001\\Services\\tstor";
        let number = |key: &str, value: &str| image.value(System, &format!("{service}{key}"), value);
        assert_eq!(number("", "Start"), Some(RegValue::dword(0)), "{plan:?}");
        assert_eq!(number("\\Parameters\\Device\\B", "Two"), Some(RegValue::dword(2)));
        assert_eq!(number("\\Parameters\\PnpInterface", "5"), Some(RegValue::dword(1)));
        let findings = &plan.reports[0].findings;
        assert!(
            findings.iter().any(|f| f.contains("several install sections") && f.contains("line ")),
            "{findings:?}"
        );
    }
}

#[test]
fn a_copied_inf_lies_beside_the_one_that_copies_it_or_is_missed() {
    let inf = TSTOR.replace("[I]\n", "[I]\nCopyINF=other.inf,gone.inf,tstor.inf\n");
    let package = tstor().with("tstor.inf", inf.into_bytes()).with("OTHER.inf", *b"; nothing");
    let mut image = seven(Amd64);
    let plan = image.add_one(&package);
    let report = plan.reports.iter().find(|report| report.inf == "tstor.inf").unwrap();
    let Outcome::Added(added) = &report.outcome else { panic!("{report:?}") };
    assert_eq!(image.bytes(&format!("{}\\OTHER.inf", added.folder)).as_deref(), Some(&b"; nothing"[..]));
    let missed: Vec<_> = report.findings.iter().filter(|f| f.contains("CopyINF")).collect();
    assert!(
        missed.len() == 1 && missed[0].contains("gone.inf") && missed[0].contains("tstor.inf"),
        "{missed:?}"
    );
}

#[test]
fn a_binary_that_windows_could_not_find_refuses_the_package() {
    for start in [0, 3] {
        for (dirid, binary, what) in [
            ("24", "%24%\\tstor.sys", "lies outside of the Windows folder"),
            ("53", "%12%\\tstor.sys", "goes to directory id 53"),
            ("65535,C:\\x", "%12%\\tstor.sys", "goes to directory id 65535"),
            ("18", "%18%\\tstor.sys", "goes to directory id 18"),
            ("11,config", "%12%\\tstor.sys", "where the registry lies"),
        ] {
            let inf = TSTOR
                .replace("DefaultDestDir=12", &format!("DefaultDestDir={dirid}"))
                .replace("ServiceBinary=%12%\\tstor.sys", &format!("ServiceBinary={binary}"))
                .replace("StartType=0", &format!("StartType={start}"));
            let package = tstor().with("tstor.inf", inf.into_bytes());
            refused_at_a_line(seven(Amd64), &package, what);
        }
    }
}

/// A package that is refused for what a line of its INF says, and leaves the image as it was.
fn refused_at_a_line(mut image: MemoryImage, package: &MemoryFiles, what: &str) {
    let untouched = image.clone();
    let plan = image.add_one(package);
    let (_, reason) = refusal(&plan);
    assert!(reason.contains(what) && reason.contains("tstor.inf: line "), "{reason}");
    assert!(image == untouched);
}

#[test]
fn what_starts_the_machine_and_the_list_of_drivers_are_no_drivers_to_replace() {
    for (dirid, name, what) in [
        ("24", "loader.bin", "by which the machine may start"),
        ("17", "wim.drivers.json", "the list of added drivers"),
    ] {
        let inf = TSTOR
            .replace("DefaultDestDir=12", &format!("DefaultDestDir=12\nmore={dirid}"))
            .replace("CopyFiles=@tstor.sys", "CopyFiles=@tstor.sys,more")
            + &format!("\n[more]\n{name},tstor.sys\n");
        let package = tstor().with("tstor.inf", inf.into_bytes());
        for mut image in [seven(Amd64), ten(Amd64)] {
            image.put("\\loader.bin", *b"starts Windows");
            refused_at_a_line(image, &package, what);
        }
    }
}

/// Files by which Windows starts, and its hives, are refused by name, whether the image has them or not.
#[test]
fn files_that_are_windows_own_are_no_drivers_to_put_there() {
    for (destination, name, what) in [
        ("11", "NTOSKRNL.exe", "by which that starts"),
        ("11", "winload.efi", "by which that starts"),
        ("11,Boot", "winload.exe", "by which that starts"),
        ("11", "hal.dll", "by which that starts"),
        ("10,SysWOW64", "ntdll.dll", "by which that starts"),
        ("11", "lsass.exe", "by which that starts"),
        ("24", "bootmgr", "by which that starts"),
        ("24,Boot", "anything", "from where the machine starts"),
        ("24,EFI\\Microsoft\\Boot", "BCD", "from where the machine starts"),
        ("10,Boot\\EFI", "bootmgfw.efi", "what machines start by"),
        ("10,ServiceProfiles\\LocalService", "NTUSER.DAT", "a part of the registry"),
        ("24,Users\\Default", "ntuser.dat.LOG1", "a part of the registry"),
        ("24,Users\\a\\AppData\\Local\\Microsoft\\Windows", "UsrClass.dat", "a part of the registry"),
        ("24", "BCD", "a part of the registry"),
        ("11,config\\RegBack", "SAM", "where the registry lies"),
        ("10,WinSxS\\amd64_x", "a.dll", "keeps its components"),
        ("10,servicing", "TrustedInstaller.exe", "knows of its components"),
        ("11,DriverStore\\FileRepository\\usbport.inf_amd64_1", "usbport.sys", "keeps its drivers"),
        ("11,CatRoot\\{F750E6C3-38EE-11D1-85E5-00C04FC295EE}", "oem0.cat", "keeps its catalogs"),
        ("17", "OEM0.inf", "that Windows has published"),
        ("17", "oem12.PNF", "that Windows has published"),
        ("11", "winpeshl.ini", "by which that starts"),
        // Names alone do not make a file Windows' own.
        ("10,Vendor", "services.exe", ""),
        ("12", "hal.dll", ""),
        ("24,Bootable", "a.txt", ""),
        ("10,Vendor", "bcdx.dat", ""),
        ("17", "oemsetup.inf", ""),
    ] {
        let inf = TSTOR
            .replace("DefaultDestDir=12", &format!("DefaultDestDir=12\nmore={destination}"))
            .replace("CopyFiles=@tstor.sys", "CopyFiles=@tstor.sys,more")
            + &format!("\n[more]\n{name},tstor.sys\n");
        let package = tstor().with("tstor.inf", inf.into_bytes());
        for mut image in [seven(Amd64), ten(Amd64)] {
            if what.is_empty() {
                added(&image.add_one(&package));
            } else {
                refused_at_a_line(image, &package, what);
            }
        }
    }
}

#[test]
fn a_file_of_windows_that_is_replaced_is_told() {
    for mut image in [seven(Amd64), ten(Amd64)] {
        image.put("\\Windows\\System32\\drivers\\tstor.sys", program(Amd64, [1, 0, 0, 0]));
        let plan = image.add_one(&tstor());
        let told = |plan: &DriverPlan| {
            plan.reports[0].findings.iter().any(|f| f.contains("tstor.sys of this image is replaced"))
        };
        assert!(told(&plan), "{plan:?}");
        // What another driver had put there is no file of Windows.
        let inf = TSTOR.replace("DEV_0001", "DEV_0003");
        let newer =
            tstor().with("tstor.inf", inf.into_bytes()).with("x64/tstor.sys", program(Amd64, [2, 0, 0, 0]));
        let plan = image.add_one(&newer);
        assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)) && !told(&plan), "{plan:?}");
    }
}

#[test]
fn a_boot_driver_is_not_named_by_a_drive_and_no_service_by_dots() {
    for (from, to, what) in [
        ("ServiceBinary=%12%\\", "ServiceBinary=\\??\\C:\\x\\", "is named by a drive"),
        ("AddService=tstor,", "AddService=..,", "cannot be the name of a service"),
    ] {
        let inf = TSTOR.replace(from, to);
        assert_ne!(inf, TSTOR);
        let package = tstor().with("tstor.inf", inf.into_bytes());
        let mut image = seven(Amd64);
        let untouched = image.clone();
        let plan = image.add_one(&package);
        let (_, reason) = refusal(&plan);
        assert!(reason.contains(what), "{reason}");
        assert!(image == untouched);
    }
}

/// The start type that counts is the one the service gets, not the one its INF names.
#[test]
fn a_driver_that_is_raised_to_boot_start_is_not_named_by_a_drive_either() {
    let inf = TSTOR
        .replace("StartType=0", "StartType=3")
        .replace("ServiceBinary=%12%\\", "ServiceBinary=\\??\\C:\\Windows\\System32\\drivers\\");
    let package = tstor().with("tstor.inf", inf.into_bytes());
    let raised = DriverOptions { boot_start: BootStart::Raise, ..unsigned_too() };
    for image in [seven(Amd64), ten(Amd64)] {
        let mut as_written = image.clone();
        added(&as_written.add_one(&package));
        let mut after = image.clone();
        let plan = after.add(&[&package], &raised);
        let (_, reason) = refusal(&plan);
        assert!(reason.contains("is named by a drive"), "{reason}");
        assert!(reason.contains("tstor.inf: line ") && after == image, "{reason}");
    }
}

#[test]
fn files_go_to_the_root_of_the_drive_by_any_of_its_numbers() {
    for dirid in [24, 30, 54] {
        let inf = TSTOR
            .replace("DefaultDestDir=12", &format!("DefaultDestDir=12\nroot={dirid}\ndeep={dirid},Tools"))
            .replace("CopyFiles=@tstor.sys", "CopyFiles=@tstor.sys,root,deep")
            .replace("[I.HW]", "[root]\nreadme.txt\n[deep]\nreadme.txt\n[I.HW]")
            .replace("[SourceDisksFiles.amd64]\n", "[SourceDisksFiles.amd64]\nreadme.txt=1\n");
        let package = tstor().with("tstor.inf", inf.into_bytes()).with("readme.txt", *b"text");
        let mut image = seven(Amd64);
        let before = image.files();
        let plan = image.add_one(&package);
        added(&plan);
        for path in ["\\readme.txt", "\\Tools\\readme.txt"] {
            assert_eq!(image.bytes(path).as_deref(), Some(&b"text"[..]), "{dirid}: {path}");
        }
        image.remove_drivers(&["tstor.inf"]).unwrap();
        assert_eq!(image.files(), before);
    }
}

#[test]
fn a_line_for_the_control_set_itself_reaches_the_real_ones() {
    let inf = TSTOR.replace("[par]\n", "[par]\nHKLM,\"SYSTEM\\CurrentControlSet\",Mine,,text\n");
    let mut image = seven(Amd64);
    let plan = image.add_one(&tstor().with("tstor.inf", inf.into_bytes()));
    added(&plan);
    assert_eq!(image.value(System, "ControlSet001", "Mine"), Some(RegValue::sz("text")));
    assert!(!image.subkeys(System, "").iter().any(|key| key == "CurrentControlSet"));
}
