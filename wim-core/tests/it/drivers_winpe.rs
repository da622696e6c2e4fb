//! Drivers in Windows PE 3 (the setup of Windows 7): registered for the kernel, and loaded by drvload when PE starts.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use crate::driver_image::{MemoryImage, program, seven, unsigned_too};
use crate::driver_packages::{TNET, tnet, tstor};
use wim_core::base::Architecture::Amd64;
use wim_core::formats::hive::RegValue;
use wim_core::servicing::drivers::Outcome;
use wim_core::servicing::hive_set::HiveName::System;
use wim_core::servicing::package_files::MemoryFiles;

const WINPESHL: &str = "\\Windows\\System32\\winpeshl.ini";
const STARTNET: &str = "\\Windows\\System32\\startnet.cmd";

fn pe() -> MemoryImage {
    let mut image = seven(Amd64);
    for name in ["drvload.exe", "wpeinit.exe"] {
        image.put(&format!("\\Windows\\System32\\{name}"), program(Amd64, [6, 1, 7601, 17514]));
    }
    image
}

fn text(image: &MemoryImage, path: &str) -> String {
    String::from_utf8(image.bytes(path).unwrap().to_vec()).unwrap()
}

fn folder(plan: &wim_core::servicing::drivers::DriverPlan) -> String {
    match &plan.reports[0].outcome {
        Outcome::Added(added) => added.folder.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn setup_loads_the_packages_before_it_begins() {
    let mut image = pe();
    image.put("\\setup.exe", program(Amd64, [6, 1, 7601, 17514]));
    assert!(image.target().is_winpe);
    let before = image.clone();
    let storage = folder(&image.add_one(&tstor()));
    let network = folder(&image.add_one(&tnet()));
    let expected = format!(
        "[LaunchApps]\r\n%SYSTEMROOT%\\System32\\wpeinit.exe\r\n\
        %SYSTEMROOT%\\System32\\drvload.exe, \"X:{storage}\\tstor.inf\"\r\n\
        %SYSTEMROOT%\\System32\\drvload.exe, \"X:{network}\\tnet.inf\"\r\n\
        %SYSTEMDRIVE%\\setup.exe\r\n"
    );
    assert_eq!(text(&image, WINPESHL), expected);
    // The kernel knows the boot-critical one before that.
    let start = image.value(System, "ControlSet001\\Services\\tstor", "Start");
    assert_eq!(start, Some(RegValue::dword(0)));
    let once = image.clone();
    let again = image.add_one(&tstor());
    assert!(matches!(again.reports[0].outcome, Outcome::AlreadyPresent { .. }), "{again:?}");
    assert!(image == once);
    image.remove_drivers(&["tstor.inf"]).unwrap();
    assert!(!text(&image, WINPESHL).contains("tstor") && text(&image, WINPESHL).contains("tnet"));
    image.remove_drivers(&["tnet.inf"]).unwrap();
    assert_eq!(image.files(), before.files());
}

/// A driver of hubs below the ports of somebody's host.
fn hub() -> MemoryFiles {
    let hub = TNET
        .replace("PCI\\VEN_1234&DEV_0200,PCI\\VEN_1234&CC_0200", "TUSB3\\ROOT_HUB30")
        .replace("tnet", "ahub");
    MemoryFiles::new("hub").with("ahub.inf", hub.into_bytes()).with("ahub.sys", program(Amd64, [1; 4]))
}

#[test]
fn hubs_are_loaded_after_the_hosts_above_them() {
    let mut image = pe();
    image.put("\\setup.exe", program(Amd64, [6, 1, 7601, 17514]));
    image.add(&[&hub(), &tstor()], &unsigned_too());
    let text = text(&image, WINPESHL);
    assert!(text.find("tstor.inf").unwrap() < text.find("ahub.inf").unwrap(), "{text}");
}

#[test]
fn a_host_goes_before_a_hub_that_an_earlier_job_added() {
    for setup in [true, false] {
        let mut image = pe();
        let script = if setup { WINPESHL } else { STARTNET };
        if setup {
            image.put("\\setup.exe", program(Amd64, [6, 1, 7601, 17514]));
        }
        for package in [&tnet(), &hub(), &tstor()] {
            image.add_one(package);
        }
        let text = text(&image, script);
        let at = |inf: &str| text.find(inf).unwrap();
        assert!(at("tnet.inf") < at("tstor.inf") && at("tstor.inf") < at("ahub.inf"), "{text}");
    }
}

#[test]
fn a_script_that_cannot_be_read_refuses_the_package_and_no_other() {
    let mut image = pe();
    // A directory where the script should be.
    image.put("\\Windows\\System32\\winpeshl.ini\\x", *b"x");
    let untouched = image.clone();
    let plan = image.add_one(&tstor());
    let Outcome::Refused { reason, .. } = &plan.reports[0].outcome else { panic!("{plan:?}") };
    assert!(reason.contains("winpeshl.ini is a directory"), "{reason}");
    assert!(image == untouched, "a refused package left something");
}

#[test]
fn a_script_that_is_there_is_kept_and_given_back() {
    let mut image = pe();
    image.put("\\sources\\setup.exe", program(Amd64, [6, 1, 7601, 17514]));
    let original = "[LaunchApps]\r\nwpeinit.exe\r\nmine.exe, /x\r\n";
    image.put(WINPESHL, original.as_bytes());
    let folder = folder(&image.add_one(&tnet()));
    assert_eq!(
        text(&image, WINPESHL),
        format!(
            "[LaunchApps]\r\nwpeinit.exe\r\n%SYSTEMROOT%\\System32\\drvload.exe, \"X:{folder}\\tnet.inf\"\r\nmine.exe, /x\r\n"
        )
    );
    image.remove_drivers(&["tnet.inf"]).unwrap();
    assert_eq!(text(&image, WINPESHL), original);
}

#[test]
fn a_plain_shell_loads_them_in_startnet() {
    let mut image = pe();
    for (original, end, tail) in
        [("wpeinit\r\ncmd", "\r\n", "cmd"), ("wpeinit\ncmd\n", "\n", "cmd\n"), ("wpeinit", "\r\n", "")]
    {
        image.put(STARTNET, original.as_bytes());
        let before = image.clone();
        let folder = folder(&image.add_one(&tnet()));
        let line = format!("drvload \"X:{folder}\\tnet.inf\"");
        let last = if tail.is_empty() { "" } else { end };
        assert_eq!(text(&image, STARTNET), format!("wpeinit{end}{line}{last}{tail}"));
        assert!(image.bytes(WINPESHL).is_none());
        image.remove_drivers(&["tnet.inf"]).unwrap();
        assert_eq!(text(&image, STARTNET), original);
        assert_eq!(image.files(), before.files());
    }
}

#[test]
fn a_script_made_for_drivers_stays_with_what_somebody_wrote_into_it() {
    for setup in [true, false] {
        let (mut image, script) = (pe(), if setup { WINPESHL } else { STARTNET });
        if setup {
            image.put("\\setup.exe", program(Amd64, [6, 1, 7601, 17514]));
        }
        image.add(&[&tstor(), &tnet()], &unsigned_too());
        let made = text(&image, script);
        image.put(script, format!("{made}X:\\mytool.exe\r\n").into_bytes());
        assert_eq!(image.remove_drivers(&["tstor.inf"]).unwrap(), Vec::<String>::new());
        let findings = image.remove_drivers(&["tnet.inf"]).unwrap();
        assert!(matches!(&findings[..], [one] if one.contains("it stays")), "{findings:?}");
        let left = text(&image, script);
        assert!(left.ends_with("X:\\mytool.exe\r\n") && !left.contains("drvload"), "{left}");
        assert!(left.to_lowercase().contains("wpeinit"), "{left}");
    }
}

#[test]
fn what_cannot_be_edited_is_said() {
    let mut image = pe();
    image.put(WINPESHL, *b"[LaunchApp]\r\nAppPath=%SYSTEMDRIVE%\\mine.exe\r\n");
    let plan = image.add_one(&tnet());
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("[LaunchApps]")), "{findings:?}");
    let mut image = seven(Amd64);
    image.put("\\Windows\\System32\\wpeinit.exe", program(Amd64, [6, 1, 7601, 17514]));
    let plan = image.add_one(&tnet());
    let findings = &plan.reports[0].findings;
    assert!(findings.iter().any(|f| f.contains("drvload.exe is not in this Windows PE")), "{findings:?}");
}
