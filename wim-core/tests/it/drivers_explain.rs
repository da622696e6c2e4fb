//! What is said of packages and images: explanations, lists, lint, and a warning of a newer driver in place.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

use crate::driver_image::{MemoryImage, program, seven, windows};
use crate::driver_packages::{TNET, TSTOR, tmiss, tnet, tstor, tusb3, wrong_machine};
use wim_core::base::Architecture::Amd64;
use wim_core::formats::hive::RegValue;
use wim_core::formats::inf::{NoIncludes, ParseOptions};
use wim_core::servicing::drivers::info::{DriverInfo, explain, parse_windows};
use wim_core::servicing::drivers::lint::{LintFinding, Severity, lint};
use wim_core::servicing::drivers::list::{Which, list};
use wim_core::servicing::drivers::package::Package;
use wim_core::servicing::drivers::store::ImageFiles;
use wim_core::servicing::drivers::{DriverOptions, Outcome};
use wim_core::servicing::hive_set::HiveName::System;
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::MemoryFiles;

fn explained(files: &MemoryFiles, inf: &str, targets: &[&str]) -> DriverInfo {
    let package = Package::open(files, inf, ParseOptions::default()).unwrap();
    let targets: Vec<_> = targets.iter().map(|name| parse_windows(name).unwrap()).collect();
    explain(&package, &targets, &NoIncludes, &DriverOptions::default())
}

#[test]
fn a_package_is_explained_for_each_windows() {
    let info = explained(&tusb3(), "TUSB3.INF", &["7-amd64", "7-x86", "vista-amd64"]);
    assert_eq!((info.class.as_deref(), info.boot_critical), (Some("USB"), true));
    assert_eq!(info.targets, ["NTamd64.6.1"]);
    assert_eq!(info.catalogs, [("ntamd64".to_owned(), "tusb3.cat".to_owned())]);
    let [seven, x86, vista] = &info.applicability[..] else { panic!() };
    assert!(seven.applies && seven.boot_start);
    assert_eq!(seven.sections, ["M.NTamd64.6.1"]);
    assert_eq!(seven.devices.len(), 2);
    assert_eq!(seven.devices[0].description, "Test xHCI");
    assert_eq!(seven.frameworks, ["tusb3xhc: KMDF 1.11"]);
    assert_eq!(seven.coinstallers, ["tco2.dll"]);
    let renamed = seven.files.iter().find(|file| file.source == "tco.dll").unwrap();
    assert_eq!(renamed.destination, "\\Windows\\System32\\tco2.dll");
    assert!(!x86.applies && x86.reason.as_ref().unwrap().contains("it is for amd64"), "{x86:?}");
    assert_eq!(vista.rejected, [("NTamd64.6.1".to_owned(), "it needs Windows 6.1 or later".to_owned())]);
}

#[test]
fn what_keeps_a_package_out_is_explained() {
    let info = explained(&tmiss(), "tmiss.inf", &["7-amd64"]);
    assert!(info.applicability[0].reason.as_ref().unwrap().contains("tmiss.sys"));
    let info = explained(&wrong_machine(), "tstor.inf", &["7-amd64"]);
    assert!(info.applicability[0].reason.as_ref().unwrap().contains("arm64"));
    assert!(info.applicability[0].remedy.is_some());
    let info = explained(&tnet(), "tnet.inf", &["10-amd64"]);
    assert_eq!(info.applicability[0].files[0].destination, "the driver store\\tnet.sys");
}

#[test]
fn staged_and_added_drivers_are_listed() {
    let mut image = seven(Amd64);
    let store = "\\Windows\\System32\\DriverStore\\FileRepository";
    image.put(&format!("{store}\\tnet.inf_amd64_neutral_0123456789abcdef\\tnet.inf"), TNET.as_bytes());
    image.put("\\Windows\\INF\\oem7.inf", TNET.as_bytes());
    image.put(
        &format!("{store}\\disk.inf_amd64_neutral_fedcba9876543210\\disk.inf"),
        *b"[Version]\nClass=DiskDrive\n",
    );
    image.put("\\Windows\\INF\\oem3.inf", *b"lost");
    image.add_one(&tstor());
    let drivers = list(&image, Amd64, Which::ThirdParty).unwrap();
    let names: Vec<_> =
        drivers.iter().map(|d| (d.published.as_deref(), d.inf.as_str(), d.added_here)).collect();
    assert_eq!(
        names,
        [
            (Some("oem3.inf"), "oem3.inf", false),
            (Some("oem7.inf"), "tnet.inf", false),
            (None, "tstor.inf", true)
        ]
    );
    assert_eq!(drivers[1].version.as_deref(), Some("3.0.0.0"));
    assert_eq!((drivers[2].boot_critical, drivers[2].ids.len()), (true, 2));
    let all = list(&image, Amd64, Which::All).unwrap();
    assert_eq!(all.iter().filter(|d| d.inbox).map(|d| d.inf.as_str()).collect::<Vec<_>>(), ["disk.inf"]);
}

fn linted(image: &MemoryImage) -> Vec<LintFinding> {
    let mut hives = HiveSet::new(image, HiveOptions::default());
    lint(&ImageFiles::new(image), &mut hives).unwrap()
}

#[test]
fn filters_without_a_service_and_services_without_a_file_are_found() {
    let mut image = seven(Amd64);
    image.add_one(&tstor());
    let unbound = |f: &LintFinding| f.text.contains("PCI#CC_0101");
    let before: Vec<_> = linted(&image).into_iter().filter(|f| !unbound(f)).collect();
    assert_eq!(before, []);
    let class = "ControlSet001\\Control\\Class\\{4D36E967-E325-11CE-BFC1-08002BE10318}";
    image.edit(&[(System, class, "LowerFilters", RegValue::multi_sz(&["tstor", "gone"]))]);
    let driver = wim_core::image::WimPath::parse("\\Windows\\System32\\drivers\\tstor.sys").unwrap();
    image.apply(&[wim_core::image::edit::Change {
        path: driver,
        action: wim_core::image::edit::Action::Remove,
        reason: "test".into(),
    }]);
    let found: Vec<_> = linted(&image).into_iter().filter(|f| !unbound(f)).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|f| f.severity == Severity::Error));
    assert!(found.iter().any(|f| f.text.contains("LowerFilters gone")), "{found:?}");
    assert!(found.iter().any(|f| f.text.contains("service tstor starts at boot")), "{found:?}");
}

#[test]
fn another_version_in_place_is_pointed_out() {
    let mut image = seven(Amd64);
    image.add_one(&tstor());
    let inf = TSTOR.replace("01/02/2020,1.2.3.4", "01/02/2019,1.0.0.0");
    let older = MemoryFiles::new("older")
        .with("tstor.inf", inf.into_bytes())
        .with("x64/tstor.sys", program(Amd64, [1, 0, 0, 0]));
    let plan = image.add_one(&older);
    assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("1.2.3.4") && f.contains("newer")), "{findings:?}");
}

#[test]
fn facts_of_an_image_that_disagree_are_named() {
    use wim_core::servicing::target::{ImageHints, find_target};
    let image = windows(Amd64, (6, 1, 7601));
    let hints = ImageHints { arch: Some(wim_core::base::Architecture::X86), version: Some((6, 1, 7600)) };
    let mut hives = HiveSet::new(&image, HiveOptions::default());
    let mut warnings = Vec::new();
    let target = find_target(&image, &mut hives, hints, &mut warnings).unwrap();
    assert_eq!((target.windows.arch, target.windows.build), (wim_core::base::Architecture::X86, 7601));
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert!(texts[0].contains("ntoskrnl.exe says amd64"), "{texts:?}");
    assert!(texts[1].contains("6.1.7600"), "{texts:?}");
    let empty = MemoryImage::default();
    let mut hives = HiveSet::new(&empty, HiveOptions::default());
    let e = find_target(&empty, &mut hives, ImageHints::default(), &mut Vec::new()).unwrap_err();
    assert!(e.to_string().contains("no Windows in this image"), "{e}");
}
