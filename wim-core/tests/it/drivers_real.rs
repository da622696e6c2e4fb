//! Real vendors' packages added to Windows 7: the real SYSTEM hive of an x86 machine beside a SOFTWARE hive made here.
//!
//! What is expected was read by hand out of each INF.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::driver_image::{MemoryImage, program, seven};
use crate::inf_corpus::files_below;
use crate::samples::real_data;
use wim_core::base::Architecture::{self, Amd64, X86};
use wim_core::formats::catalog::{CODE_VERIFICATION_ROOT, Catalog, Certificate};
use wim_core::formats::hive::RegValue;
use wim_core::formats::inf::{NoIncludes, ParseOptions};
use wim_core::servicing::drivers::package::Package;
use wim_core::servicing::drivers::select::select;
use wim_core::servicing::drivers::signature::{self, SignatureStatus};
use wim_core::servicing::drivers::staged::{self, Staged};
use wim_core::servicing::drivers::{DriverOptions, DriverReport, Outcome};
use wim_core::servicing::hive_set::HiveName::{Software, System};
use wim_core::servicing::package_files::MemoryFiles;

/// What Windows 7's machine.inf has of the section that PCI bridges use.
pub(crate) const MACHINE: &str = "[Version]\nSignature=\"$Windows NT$\"\n[PCI_DRV]\n[PCI_DRV.Services]\nAddService=pci,2,pci.service\n\
    [pci.service]\nServiceType=1\nStartType=0\nErrorControl=3\nServiceBinary=%12%\\pci.sys\n";

/// A package folder of the real data.
pub(crate) fn package(name: &str) -> Option<MemoryFiles> {
    let root = real_data(&format!("drivers/{name}"))?;
    let mut files = MemoryFiles::new(name);
    for path in files_below(&root) {
        let relative = path.strip_prefix(&root).unwrap_or(Path::new("")).display().to_string();
        files = files.with(&relative, std::fs::read(&path).unwrap());
    }
    Some(files)
}

/// An x86 Windows 7 with the real SYSTEM hive; none, with a note, when it or `xz` is absent.
pub(crate) fn real_seven() -> Option<MemoryImage> {
    let path = real_data("hives/win7-SYSTEM.xz")?;
    let output = Command::new("xz").arg("-dc").arg(&path).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        println!("skipped: xz cannot unpack {}", path.display());
        return None;
    };
    let mut image = seven(X86);
    image.put("\\Windows\\System32\\config\\SYSTEM", output.stdout);
    Some(image)
}

fn set(image: &MemoryImage) -> Vec<String> {
    let current = image.value(System, "Select", "Current").unwrap().as_dword().unwrap();
    let default = image.value(System, "Select", "Default").unwrap().as_dword().unwrap();
    let mut sets = vec![format!("ControlSet{current:03}")];
    if default != current {
        sets.push(format!("ControlSet{default:03}"));
    }
    sets
}

#[test]
fn samsung_nvme_on_the_real_windows_7_hive() {
    let (Some(mut image), Some(package)) = (real_seven(), package("nvme-samsung-1.4.0.0-x86")) else {
        return;
    };
    let target = image.target();
    assert_eq!((target.windows.arch, target.windows.version()), (X86, (6, 1)));
    let plan = image.add_one(&package);
    println!("{plan:#?}");
    let Outcome::Added(added) = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(added.boot_critical);
    assert_eq!(added.device_ids, ["PCI\\VEN_14A4&DEV_22F1"]);
    for set in set(&image) {
        let key = format!("{set}\\Services\\nvme");
        for (name, data) in [
            ("Type", RegValue::dword(1)),
            ("Start", RegValue::dword(0)),
            ("ErrorControl", RegValue::dword(1)),
            ("Group", RegValue::sz("SCSI miniport")),
            ("ImagePath", RegValue::expand_sz("System32\\drivers\\nvme.sys")),
        ] {
            assert_eq!(image.value(System, &key, name), Some(data), "{key} {name}");
        }
        let parameters = format!("{key}\\Parameters");
        assert_eq!(image.value(System, &parameters, "BusType"), Some(RegValue::dword(0x11)));
        let device = format!("{parameters}\\Device");
        for (name, number) in
            [("Namespaces", 0x10), ("MaxTXSize", 0x20000), ("AdQEntries", 0x80), ("IoQEntries", 0x400)]
        {
            assert_eq!(image.value(System, &device, name), Some(RegValue::dword(number)), "{name}");
        }
        let id = format!("{set}\\Control\\CriticalDeviceDatabase\\PCI#VEN_14A4&DEV_22F1");
        assert_eq!(image.value(System, &id, "Service"), Some(RegValue::sz("nvme")));
        let log = format!("{set}\\Services\\EventLog\\System\\nvme");
        let text = RegValue::expand_sz("%SystemRoot%\\System32\\IoLogMsg.dll");
        assert_eq!(image.value(System, &log, "EventMessageFile"), Some(text));
    }
    let once = image.clone();
    let again = image.add_one(&package);
    assert!(matches!(again.reports[0].outcome, Outcome::AlreadyPresent { .. }), "{again:?}");
    assert!(image == once);
}

#[test]
fn intel_usb_3_on_the_real_windows_7_hive() {
    let (Some(mut image), Some(package)) = (real_seven(), package("usb3-intel-5.0.4.43-x86")) else { return };
    // iusb3hcs takes its function driver from Windows' own machine.inf.
    image.put("\\Windows\\inf\\machine.inf", MACHINE.as_bytes());
    image.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(X86, [1, 9, 7600, 16385]));
    let before = image.clone();
    let plan = image.add_one(&package);
    println!("{:#?}", plan.reports);
    assert_eq!(plan.reports.len(), 3);
    for report in &plan.reports {
        let Outcome::Added(added) = &report.outcome else { panic!("{report:?}") };
        assert!(added.boot_critical);
    }
    for set in set(&image) {
        let service =
            |name: &str, value: &str| image.value(System, &format!("{set}\\Services\\{name}"), value);
        for (name, start, group, path) in [
            ("iusb3xhc", 3, "Base", "\\SystemRoot\\System32\\drivers\\iusb3xhc.sys"),
            ("iusb3hub", 3, "Base", "\\SystemRoot\\System32\\drivers\\iusb3hub.sys"),
            ("iusb3hcs", 0, "Boot Bus Extender", "System32\\drivers\\iusb3hcs.sys"),
        ] {
            assert_eq!(service(name, "Type"), Some(RegValue::dword(1)), "{name}");
            assert_eq!(service(name, "Start"), Some(RegValue::dword(start)), "{name}");
            assert_eq!(service(name, "Group"), Some(RegValue::sz(group)), "{name}");
            assert_eq!(service(name, "ImagePath"), Some(RegValue::expand_sz(path)), "{name}");
        }
        assert_eq!(service("iusb3hcs\\Parameters\\Wdf", "KmdfLibraryVersion"), Some(RegValue::sz("1.9")));
        let id = format!("{set}\\Control\\CriticalDeviceDatabase\\PCI#VEN_8086&DEV_8C31&REV_05");
        assert_eq!(image.value(System, &id, "Service"), Some(RegValue::sz("iusb3xhc")));
        let guid = RegValue::sz("{36FC9E60-C465-11CF-8056-444553540000}");
        assert_eq!(image.value(System, &id, "ClassGUID"), Some(guid));
        let hub = format!("{set}\\Control\\CriticalDeviceDatabase\\IUSB3#ROOT_HUB30");
        assert_eq!(image.value(System, &hub, "Service"), Some(RegValue::sz("iusb3hub")));
        // Windows' own binding of the root bus stays as it was.
        let bus = format!("{set}\\Control\\CriticalDeviceDatabase\\*PNP0A08");
        assert_eq!(image.value(System, &bus, "Service"), before.value(System, &bus, "Service"));
    }
    let path = image.value(Software, "Microsoft\\Windows\\CurrentVersion", "DevicePath").unwrap();
    assert_eq!(path.as_str().unwrap().split(';').count(), 4);
    let once = image.clone();
    let again = image.add_one(&package);
    assert!(again.reports.iter().all(|r| matches!(r.outcome, Outcome::AlreadyPresent { .. })), "{again:?}");
    assert!(image == once);
}

#[test]
fn samsung_1_4_8_3_offers_x86_but_brings_amd64() {
    let (Some(mut image), Some(package)) = (real_seven(), package("nvme-samsung-1.4.8.3-x64")) else {
        return;
    };
    let untouched = image.clone();
    let plan = image.add_one(&package);
    let Outcome::Refused { reason, remedy, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(reason.contains("is a driver for amd64, the image is x86"), "{reason}");
    assert!(remedy.is_some() && image == untouched);
    let plan = seven(Amd64).add_one(&package);
    assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
}

/// The architectures that a package's name says, all that it can be for when it says none.
fn architectures(name: &str) -> &'static [Architecture] {
    match name {
        _ if name.ends_with("-x64") => &[Amd64],
        _ if name.ends_with("-x86") => &[X86],
        _ => &[X86, Amd64],
    }
}

fn table_row(name: &str, arch: Architecture, report: &DriverReport) -> String {
    let outcome = match &report.outcome {
        Outcome::Added(added) => {
            let services: Vec<String> =
                added.services.iter().map(|service| format!("{}={}", service.name, service.start)).collect();
            let kind = if added.boot_critical { "boot-critical" } else { "offered" };
            let (ids, files) = (added.device_ids.len(), added.files.len());
            format!("added, {kind}, {ids} ids, services [{}], {files} files in place", services.join(" "))
        }
        Outcome::AlreadyPresent { .. } => "already present".to_owned(),
        Outcome::Refused { reason, .. } => format!("refused: {reason}"),
        Outcome::Skipped { reason, .. } => format!("skipped: {reason}"),
    };
    let signature = report.signature.as_ref().map_or("-", |signature| signature.label());
    let mut row = format!("{name} | {} | {arch} | {signature} | {outcome}\n", report.inf);
    for finding in &report.findings {
        row += &format!("    {finding}\n");
    }
    row
}

/// Each package on a Windows 7 of its own architecture: the table of what happened is kept beside this file and was compared with the
/// INFs by hand. With WIM_UPDATE_SNAPSHOTS set it is written anew.
#[test]
fn every_package_on_windows_7() {
    let Some(root) = real_data("drivers") else { return };
    let mut names: Vec<_> =
        std::fs::read_dir(&root).unwrap().flatten().filter(|e| e.path().is_dir()).collect();
    names.sort_by_key(std::fs::DirEntry::file_name);
    let mut table = String::from("package | INF | Windows 7 SP1 | signature | what happened\n");
    for entry in names {
        let name = entry.file_name().into_string().unwrap();
        let files = package(&name).unwrap();
        for &arch in architectures(&name) {
            let mut image = seven(arch);
            // With Windows' own section that iusb3hcs takes its function driver from, and the framework it came with.
            image.put("\\Windows\\inf\\machine.inf", MACHINE.as_bytes());
            image.put("\\Windows\\System32\\drivers\\Wdf01000.sys", program(arch, [1, 9, 7600, 16385]));
            let plan = image.add(&[&files], &DriverOptions::default());
            plan.reports.iter().for_each(|report| table += &table_row(&name, arch, report));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/windows7_packages.txt");
    if std::env::var_os("WIM_UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (found, expected) in table.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}

/// Catalog and files of every package: all covered, the signature holds; one changed byte is caught, wherever it is.
#[test]
fn catalogs_of_every_package() {
    let Some(root) = real_data("drivers") else { return };
    let mut catalogs = 0;
    for path in files_below(&root) {
        let is_inf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("inf"));
        if !is_inf {
            continue;
        }
        let folder = path.parent().unwrap();
        let name = folder.strip_prefix(&root).unwrap().display().to_string();
        let mut files = MemoryFiles::new(&name);
        for other in files_below(folder) {
            let relative = other.strip_prefix(folder).unwrap().display().to_string();
            files = files.with(&relative, std::fs::read(&other).unwrap());
        }
        let inf = path.file_name().unwrap().to_str().unwrap();
        let package = Package::open(&files, inf, ParseOptions::default()).unwrap();
        for arch in [X86, Amd64] {
            let image = seven(arch);
            let target = image.target().windows;
            let guid = package.version().class_guid.clone().unwrap();
            let Ok(selection) = select(&package, &target, &NoIncludes, guid) else { continue };
            let Ok(staged) = Staged::new(&package, &selection, arch) else { continue };
            if staged::check_machines(&selection, &staged, arch).is_err() {
                continue;
            }
            let mut restored = Vec::new();
            let staged = signature::restore_line_ends(staged, &files, &mut restored).unwrap();
            let report = signature::check(&staged, &target, &[]);
            assert_eq!(report.status, SignatureStatus::Whql, "{name}: {report:?}");
            println!(
                "{name}\\{inf} {arch}: {} (restored {restored:?}) by {:?}, {:?}, {:?}, chain {:?}, until {:?}, stamped {:?}, OS {:?}, sha2 {}, {:?}",
                report.label(),
                report.signer,
                report.digests,
                report.signature_digest,
                report.chain,
                report.not_after,
                report.time_stamp,
                report.os_attribute_fits,
                report.needs_sha2,
                report.reason
            );
            catalogs += 1;
            for n in 0..staged.files.len() {
                let mut bytes = staged.files[n].read(u64::MAX).unwrap().to_vec();
                // Inside the list of a catalog, or the code of a program: behind them stand signatures, which are not digested
                // and vouch for a time only.
                let name = staged.files[n].path.to_lowercase();
                let at = match name.rsplit('.').next() {
                    Some("cat") => 300,
                    Some("sys" | "dll") => 0x600,
                    _ => bytes.len() / 2,
                };
                bytes[at] ^= 1;
                let changed = staged.clone().with_bytes(vec![(n, bytes)], &files).unwrap();
                let worse = signature::check(&changed, &target, &[]);
                let caught =
                    matches!(worse.status, SignatureStatus::CatalogInvalid | SignatureStatus::NotCovered);
                assert!(caught, "{name}: a change of {} went unseen", staged.files[n].path);
            }
        }
    }
    assert!(catalogs > 25, "{catalogs}");
}

#[test]
fn damaged_catalogs_are_refused_or_read_but_never_panic() {
    let Some(root) = real_data("drivers") else { return };
    let mut state = 1_u64;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let is_catalog = |path: &PathBuf| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("cat"));
    for path in files_below(&root).into_iter().filter(is_catalog) {
        let bytes = std::fs::read(&path).unwrap();
        if bytes.len() > 100_000 {
            continue;
        }
        assert!(Catalog::parse(&bytes).is_ok(), "{}", path.display());
        for end in (0..bytes.len()).step_by(bytes.len() / 40) {
            assert!(Catalog::parse(&bytes[..end]).is_err(), "{} cut at {end}", path.display());
        }
        for _ in 0..10 {
            let mut changed = bytes.clone();
            for _ in 0..=random(4) {
                let at = random(changed.len());
                changed[at] = [0, 0xFF, 0x30, 0x80, 0x84, changed[at] ^ 1][random(6)];
            }
            let _ = Catalog::parse(&changed);
        }
    }
}

/// Certificates that Microsoft's Code Verification Root issued lie in the signatures of vendors' drivers.
#[test]
fn cross_certificates_in_real_drivers_are_signed_with_the_key_of_their_root() {
    let Some(root) = real_data("drivers") else { return };
    let mut seen = BTreeSet::new();
    for name in ["nvme-samsung-1.4.0.0-x64/nvme.sys", "nvme-micron-2.1.5.0-x64/mtinvme.sys"] {
        let bytes = std::fs::read(root.join(name)).unwrap();
        let starts = bytes.windows(4).enumerate().filter(|(_, head)| head.starts_with(&[0x30, 0x82]));
        for (at, head) in starts {
            let length = 4 + usize::from(u16::from_be_bytes([head[2], head[3]]));
            let Some(der) = bytes.get(at..at + length) else { continue };
            let Ok(found) = Certificate::read_file(der) else { continue };
            if found[0].issuer == CODE_VERIFICATION_ROOT && seen.insert(found[0].subject.clone()) {
                assert_eq!(found[0].microsoft_root(), Some(CODE_VERIFICATION_ROOT), "{}", found[0].subject);
                // The same with one bit of what is signed changed.
                let mut changed = der.to_vec();
                let year =
                    changed.windows(4).position(|window| window == b"1102" || window == b"1104").unwrap();
                changed[year] ^= 1;
                assert_eq!(Certificate::read_file(&changed).unwrap()[0].microsoft_root(), None);
            }
        }
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}
