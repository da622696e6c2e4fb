//! Packages made to do harm: refused by name, the image as it was.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use crate::driver_image::{eleven, program, seven, ten, unsigned_too};
use crate::driver_packages::{TSTOR, tstor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use wim_core::base::Architecture::Amd64;
use wim_core::base::{Cancel, ErrorKind, ReadAt, Result};
use wim_core::formats::hive::RegValue;
use wim_core::formats::inf::models::models_for;
use wim_core::formats::inf::{Inf, ParseOptions};
use wim_core::image::edit::{Action, Content};
use wim_core::servicing::drivers::media_folder::plan_media;
use wim_core::servicing::drivers::{DriverOptions, Outcome, plan};
use wim_core::servicing::hive_set::HiveName::System;
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::{MemoryFiles, PackageFile, PackageFiles};

fn with_inf(inf: String) -> MemoryFiles {
    tstor().with("tstor.inf", inf.into_bytes())
}

/// The refusal of a package by both generations of Windows, which stay as they were.
fn refusal(package: &MemoryFiles) -> (ErrorKind, String) {
    let mut last = None;
    for mut image in [seven(Amd64), ten(Amd64)] {
        let untouched = image.clone();
        let plan = image.add_one(package);
        let Outcome::Refused { kind, reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
        assert!(plan.changes.is_empty() && image == untouched);
        last = Some((*kind, reason.clone()));
    }
    last.unwrap()
}

#[test]
fn strings_that_expand_without_end_are_refused() {
    // Each value stays below every limit of its own; all together come to gigabytes.
    let mut lines = String::new();
    for n in 0..3_000 {
        lines += &format!("HKR,Parameters,V{n},,%A%\n");
    }
    let inf = TSTOR.replace("HKR,\"Parameters\",BusType", &format!("{lines}HKR,\"Parameters\",BusType"))
        + &format!("A=\"{}\"\n", "x".repeat(4090));
    // One section named by many: small by itself.
    let names = "par,".repeat(200);
    let inf = inf.replace("AddReg=par", &format!("AddReg={}", names.trim_end_matches(',')));
    let mut image = seven(Amd64);
    let untouched = image.clone();
    let plan = image.add_one(&with_inf(inf));
    let Outcome::Refused { kind, reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert_eq!(*kind, ErrorKind::Limit);
    assert!(reason.contains("tstor.inf") && reason.contains("64 MiB"), "{reason}");
    assert!(image == untouched);
}

/// Sections of a Windows INF that expand to gigabytes, and one that is as small as they are.
const BIG: &str = "\\Windows\\inf\\big.inf";

#[test]
fn what_one_package_includes_without_end_harms_no_other() {
    let lines: String = (0..3_000).map(|n| format!("HKR,Parameters,V{n},,%A%\n")).collect();
    let names = "par,".repeat(30);
    let text = format!(
        "[Version]\nSignature=\"$Windows NT$\"\n[S]\nAddReg={names}\n[T]\nAddReg=small\n[small]\nHKR,,Small,,%B%\n[par]\n{lines}[Strings]\nB=\"b\"\nA=\"{}\"\n",
        "x".repeat(4090)
    );
    let including =
        |section: &str| with_inf(TSTOR.replace("[I]\n", &format!("[I]\nInclude=big.inf\nNeeds={section}\n")));
    let mut image = seven(Amd64);
    image.put(BIG, text.into_bytes());
    let plan = image.add(&[&including("S"), &including("T")], &unsigned_too());
    let Outcome::Refused { kind, reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert_eq!(*kind, ErrorKind::Limit);
    assert!(reason.contains("big.inf") && reason.contains("64 MiB"), "{reason}");
    assert!(matches!(plan.reports[1].outcome, Outcome::Added(_)), "{:?}", plan.reports[1]);
}

#[test]
fn reading_an_inf_again_and_again_uses_nothing_up() {
    let devices: String = (0..5_000).map(|n| format!("%Long%=I,PCI\\VEN_1234&DEV_{n:04X}\n")).collect();
    let inf = TSTOR.replace("[M.NTamd64.6.1]\n", &format!("[M.NTamd64.6.1]\n{devices}"))
        + &format!("Long=\"{}\"\n", "x".repeat(4000));
    let inf = Inf::parse("big.inf", inf.as_bytes(), ParseOptions::default()).unwrap();
    let target = seven(Amd64).target().windows;
    for _ in 0..5 {
        assert_eq!(models_for(&inf, &target).unwrap().models.len(), 5_001);
    }
    assert!(!inf.is_exhausted());
    // What is odd is counted to a limit, wherever it is.
    let odd = Inf::parse("odd.inf", "text\n".repeat(9_000).as_bytes(), ParseOptions::default()).unwrap();
    assert!(odd.findings().len() <= 200, "{}", odd.findings().len());
}

#[test]
fn infs_of_too_many_lines_or_ids_are_refused() {
    let (kind, reason) = refusal(&with_inf(format!("{TSTOR}{}", "; nothing\n".repeat(100_001))));
    assert_eq!(kind, ErrorKind::Limit);
    assert!(reason.contains("100000 lines") && reason.contains("tstor.inf"), "{reason}");
    let devices: String = (0..21_000).map(|n| format!("%Dev%=I,PCI\\VEN_1234&DEV_{n:04X}\n")).collect();
    let inf = TSTOR.replace("[M.NTamd64.6.1]\n", &format!("[M.NTamd64.6.1]\n{devices}"));
    let (kind, reason) = refusal(&with_inf(inf));
    assert_eq!(kind, ErrorKind::Limit);
    assert!(reason.contains("device ids"), "{reason}");
}

#[test]
fn includes_that_go_round_in_a_circle_are_refused() {
    let inf = TSTOR.replace("[I]\n", "[I]\nInclude=one.inf\nNeeds=S\n");
    let package = with_inf(inf);
    for mut image in [seven(Amd64), ten(Amd64)] {
        for (name, other) in [("one", "two"), ("two", "one")] {
            let text = format!("[Version]\nSignature=\"$Windows NT$\"\n[S]\nInclude={other}.inf\nNeeds=S\n");
            image.put(&format!("\\Windows\\inf\\{name}.inf"), text.into_bytes());
        }
        let untouched = image.clone();
        let plan = image.add_one(&package);
        let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
        assert!(reason.contains("one.inf") && reason.contains("circle"), "{reason}");
        assert!(image == untouched);
    }
}

#[test]
fn catalogs_that_lie_vouch_for_nothing() {
    let lies: [Vec<u8>; 4] = [
        vec![0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0x06],
        // A megabyte of nested sequences.
        [0x30, 0x83, 0x0F, 0xFF, 0xFB].repeat(200_000),
        vec![0; (64 << 20) + 1],
        Vec::new(),
    ];
    for lie in lies {
        for mut image in [seven(Amd64), eleven(Amd64)] {
            let untouched = image.clone();
            let plan = image.add(&[&tstor().with("tstor.cat", lie.clone())], &DriverOptions::default());
            let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
            assert!(reason.contains("loads only signed drivers") && reason.contains("tstor.cat"), "{reason}");
            assert!(image == untouched);
        }
    }
}

#[test]
fn names_of_sections_ids_and_services_stay_what_they_are() {
    // Names that would lead elsewhere in a path of files are plain names in a registry.
    let inf = TSTOR.replace("PCI\\VEN_1234&DEV_0001&SUBSYS_00011234", "..\\..\\..\\Select");
    let mut image = ten(Amd64);
    let current = image.value(System, "Select", "Current");
    image.add_one(&with_inf(inf));
    assert_eq!(image.value(System, "Select", "Current"), current);
    assert_eq!(image.value(System, "Select", "oem0.inf"), None);
    // The name of a service is one key.
    let long_name = "s".repeat(256);
    for service in ["..\\..\\Select", "a\\b", "a/b", &long_name] {
        let named = TSTOR.replace("AddService=tstor,", &format!("AddService={service},"));
        let logged = TSTOR.replace("0x2,S,E", &format!("0x2,S,E,System,{service}"));
        for inf in [named, logged] {
            for image in [ten(Amd64), seven(Amd64)] {
                let mut after = image.clone();
                let plan = after.add_one(&with_inf(inf.clone()));
                let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
                assert!(reason.contains("cannot be the name of a service"), "{reason}");
                assert!(after == image);
            }
        }
    }
    // A name that no key can have refuses the package and takes everything back.
    let long = format!("PCI\\{}", "X".repeat(300));
    let (_, reason) = {
        let mut image = ten(Amd64);
        let untouched = image.clone();
        let plan = image.add_one(&with_inf(TSTOR.replace("PCI\\VEN_1234&DEV_0001&SUBSYS_00011234", &long)));
        let Outcome::Refused { kind, reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
        assert!(image == untouched);
        (*kind, reason.clone())
    };
    assert!(!reason.is_empty());
}

#[test]
fn what_windows_starts_and_finds_its_drives_by_is_no_drivers_to_write() {
    let lines = [
        ("AddReg", "HKLM,SYSTEM\\Select,Default,0x00010001,2", "Select"),
        ("AddReg", "HKLM,\"System\\\\Setup\",CmdLine,,cmd.exe", "Setup"),
        ("AddReg", "HKLM,SYSTEM\\Setup\\Upgrade,,0x10", "Setup"),
        ("DelReg", "HKLM,SYSTEM\\MOUNTEDDEVICES", "MountedDevices"),
        ("DelReg", "HKLM,SYSTEM\\Select,LastKnownGood", "Select"),
        ("BitReg", "HKLM,SYSTEM\\Select,Current,0,0x1,0", "Select"),
    ];
    for (directive, line, key) in lines {
        let more = |before: &str| {
            let inf = TSTOR.replace(before, &format!("{before}{directive}=more\n"));
            assert_ne!(inf, TSTOR);
            with_inf(inf.replace("[par]\n", &format!("[more]\n{line}\n[par]\n")))
        };
        let (_, of_service) = refusal(&more("AddReg=par\n"));
        // Lines of a device are kept for when it is installed, but for those about the machine on Windows 8 and later.
        let plan = ten(Amd64).add_one(&more("CopyFiles=@tstor.sys\n"));
        let Outcome::Refused { reason: of_device, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
        for reason in [&of_service, of_device] {
            assert!(reason.contains(&format!("HKLM\\SYSTEM\\{key}")), "{line}: {reason}");
            assert!(reason.contains("tstor.inf: line "), "{reason}");
        }
    }
}

#[test]
fn damage_to_the_database_is_survived() {
    // Another's record of any shape must not stop or mislead us.
    let mut image = ten(Amd64);
    image.edit(&[
        (System, "DriverDatabase", "OemInfMap", RegValue::sz("no map")),
        (System, "DriverDatabase\\DriverInfFiles\\oem99999999.inf", "Active", RegValue::dword(1)),
        (
            System,
            "DriverDatabase\\DriverInfFiles\\oem3.inf",
            "",
            RegValue::multi_sz(&["..\\..\\System32", ""]),
        ),
        (System, "DriverDatabase", "Architecture", RegValue::sz("amd64")),
    ]);
    let plan = image.add_one(&tstor());
    assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
    image.put("\\Windows\\System32\\kept.dll", program(Amd64, [1; 4]));
    image.remove_drivers(&["oem3.inf"]).unwrap();
    assert!(image.bytes("\\Windows\\System32\\kept.dll").is_some());
    assert!(image.bytes("\\Windows\\System32\\ntoskrnl.exe").is_some());
    let mut full = ten(Amd64);
    full.edit(&[(System, "DriverDatabase", "OemInfMap", RegValue::binary([0xFF; 1250]))]);
    let untouched = full.clone();
    let plan = full.add(&[&tstor()], &unsigned_too());
    assert!(matches!(&plan.reports[0].outcome, Outcome::Refused { kind: ErrorKind::Limit, .. }), "{plan:?}");
    assert!(full == untouched);
}

/// Files that are asked for in pieces; it knows the largest piece.
struct Pieces(MemoryFiles, Arc<AtomicUsize>);

struct Piece(Arc<[u8]>, Arc<AtomicUsize>);

impl ReadAt for Piece {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.1.fetch_max(buf.len(), Ordering::Relaxed);
        self.0.read_exact_at(buf, offset)
    }
}

impl PackageFiles for Pieces {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn list(&self) -> &[PackageFile] {
        self.0.list()
    }

    fn read(&self, file: &PackageFile, limit: u64) -> Result<Arc<[u8]>> {
        self.1.fetch_max(usize::try_from(file.size).unwrap(), Ordering::Relaxed);
        self.0.read(file, limit)
    }

    fn content(&self, file: &PackageFile) -> Result<Content> {
        let piece = Piece(self.0.read(file, u64::MAX)?, Arc::clone(&self.1));
        Ok(Content::Source(Arc::new(piece)))
    }
}

/// Planning once held every file of every package, whatever the memory it was given.
#[test]
fn no_large_file_is_held_while_packages_are_planned() {
    const LARGE: usize = 8 << 20;
    let mut driver = program(Amd64, [1, 2, 3, 4]);
    driver.resize(LARGE, 7);
    let largest = Arc::new(AtomicUsize::new(0));
    let package = Pieces(tstor().with("x64/tstor.sys", driver), Arc::clone(&largest));
    for image in [seven(Amd64), eleven(Amd64)] {
        let target = image.target();
        let mut hives = HiveSet::new(&image, HiveOptions::default());
        let plan = plan(&[&package], &image, &mut hives, &target, &unsigned_too(), &Cancel::new()).unwrap();
        assert!(matches!(plan.reports[0].outcome, Outcome::Added(_)), "{plan:?}");
        let (mut planned, mut held) = (0, 0);
        for change in &plan.changes {
            let Action::PutFile { content, .. } = &change.action else { continue };
            planned += content.size_bytes().unwrap();
            held += if let Content::Bytes(bytes) = content { bytes.len() } else { 0 };
        }
        // The package's copy and the one that Windows runs; the list of what was added.
        assert!(planned > 2 * LARGE as u64 && held < 64 << 10, "{planned} {held}");
    }
    let plan = plan_media(&[&package], &[seven(Amd64).target().windows], &unsigned_too(), &Cancel::new());
    assert_eq!(plan.unwrap().files.len(), 3);
    let largest = largest.load(Ordering::Relaxed);
    assert!(largest <= 1 << 20, "{largest} bytes were asked for at once");
}
