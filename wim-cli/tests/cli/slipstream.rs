//! `wim slipstream` and `wim demo`, on the media that the demo makes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use crate::{command, wim};

/// One demo folder for all tests of this module: install.wim, driver, settings.reg, install-professional.wim.
static DEMO: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let ran = wim(folder.path(), &["demo", "--dir", ".", "--arch", "amd64"]).ends_with(0);
    assert!(ran.text().contains("added, in place at boot, services demonvme"), "{}", ran.text());
    folder
});

fn demo(name: &str) -> String {
    DEMO.path().join(name).display().to_string()
}

/// A folder with a link-free copy of nothing: outputs go here.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_unsigned_driver_of_the_demo_is_refused_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let (input, driver) = (demo("install.wim"), demo("driver"));
    let arguments =
        ["slipstream", &input, "-o", "out.wim", "--edition", "4", "--driver", &driver, "--dry-run"];
    let ran = wim(folder.path(), &arguments).ends_with(1);
    assert!(
        ran.text().contains("loads only signed drivers") && ran.text().contains("test signing"),
        "{}",
        ran.text()
    );
}

/// Slipstreams the demo's driver into Professional as `out.wim` of `folder`, with more options.
fn slipstream(folder: &Path, more: &[&str]) -> crate::Ran {
    let (input, driver) = (demo("install.wim"), demo("driver"));
    let mut arguments = vec![
        "slipstream",
        &input,
        "-o",
        "out.wim",
        "--edition",
        "Professional",
        "--driver",
        &driver,
        "--force-unsigned",
    ];
    arguments.extend(more);
    wim(folder, &arguments)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn the_report_tells_per_image_what_was_added_and_the_image_has_it() {
    let folder = scratch();
    let report = slipstream(folder.path(), &["--json", "--reg", &demo("settings.reg")]).ends_with(0).json();
    let image = &report["images"][0];
    assert_eq!(image["edition"], "Professional");
    assert_eq!((image["index"].as_u64(), image["input_index"].as_u64()), (Some(1), Some(4)));
    assert_eq!(report["dropped"].as_array().unwrap().len(), 4);
    assert_eq!(image["drivers"][0]["outcome"]["outcome"], "added");
    let registry: BTreeMap<String, &serde_json::Value> = image["registry"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|edit| {
            Some((format!("{}\\{}", edit["key"].as_str()?, edit["value"].as_str()?), &edit["new"]["text"]))
        })
        .collect();
    let critical = "ControlSet001\\Control\\CriticalDeviceDatabase\\PCI#CC_010802\\Service";
    assert_eq!(registry[critical].as_str(), Some("demonvme"));
    assert!(
        registry
            .contains_key("Policies\\Microsoft\\Windows\\WindowsUpdate\\AU\\NoAutoRebootWithLoggedOnUsers")
    );
    assert!(registry.contains_key("ControlSet001\\Control\\FileSystem\\LongPathsEnabled"), "{registry:?}");
    let listed =
        wim(folder.path(), &["dir", "out.wim", "1", "--path=/Windows/System32/drivers"]).ends_with(0);
    assert!(
        listed.text().contains("\\Windows\\System32\\drivers\\demonvme.sys")
            || listed.text().contains("/Windows/System32/drivers/demonvme.sys")
    );
    wim(folder.path(), &["verify", "out.wim"]).ends_with(0);
}

#[test]
fn a_second_run_changes_nothing_and_writes_the_same_bytes() {
    let folder = scratch();
    slipstream(folder.path(), &[]).ends_with(0);
    let driver = demo("driver");
    let again = wim(
        folder.path(),
        &["slipstream", "out.wim", "-o", "again.wim", "--driver", &driver, "--force-unsigned"],
    )
    .ends_with(0);
    assert!(again.text().contains("already there"), "{}", again.text());
    assert!(again.text().contains("Nothing changed"), "{}", again.text());
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert!(read("out.wim") == read("again.wim"));
}

#[test]
fn any_number_of_threads_and_little_memory_give_the_same_bytes() {
    let folder = scratch();
    let mut files = Vec::new();
    for more in [&["--threads", "1"][..], &["--threads", "8"], &["--threads", "3", "--memory", "16M"]] {
        slipstream(folder.path(), &[more, &["--force", "--compress=XPRESS:fast"]].concat()).ends_with(0);
        files.push(std::fs::read(folder.path().join("out.wim")).unwrap());
    }
    assert!(files.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_dry_run_reports_and_writes_nothing() {
    let folder = scratch();
    let ran = slipstream(folder.path(), &["--dry-run"]).ends_with(0);
    assert!(
        ran.text().contains("demonvme.sys") && ran.text().contains("nothing was written"),
        "{}",
        ran.text()
    );
    assert_eq!(names(folder.path()), [] as [&str; 0]);
}

#[test]
fn a_missing_edition_lists_those_present() {
    let folder = scratch();
    let ran =
        wim(folder.path(), &["slipstream", &demo("install.wim"), "-o", "out.wim", "--edition", "Enterprise"])
            .ends_with(2);
    for edition in ["Starter", "HomeBasic", "HomePremium", "Professional", "Ultimate"] {
        assert!(ran.stderr.contains(edition), "{}", ran.stderr);
    }
    assert_eq!(names(folder.path()), [] as [&str; 0]);
}

#[test]
fn an_existing_output_needs_force_and_the_input_is_never_the_output() {
    let folder = scratch();
    std::fs::write(folder.path().join("out.wim"), "mine").unwrap();
    let ran = slipstream(folder.path(), &[]).ends_with(2);
    assert!(ran.stderr.contains("already exists") && ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(std::fs::read(folder.path().join("out.wim")).unwrap(), b"mine");
    slipstream(folder.path(), &["--force"]).ends_with(0);

    let before = std::fs::read(folder.path().join("out.wim")).unwrap();
    for output in ["out.wim", "./out.wim"] {
        let ran = wim(folder.path(), &["slipstream", "out.wim", "-o", output, "--force"]).ends_with(2);
        assert!(ran.stderr.contains("the output is the input"), "{}", ran.stderr);
    }
    #[cfg(unix)]
    for link in ["hard.wim", "soft.wim"] {
        let (target, link_path) = (folder.path().join("out.wim"), folder.path().join(link));
        match link {
            "hard.wim" => std::fs::hard_link(target, link_path).unwrap(),
            _ => std::os::unix::fs::symlink(target, link_path).unwrap(),
        }
        wim(folder.path(), &["slipstream", "out.wim", "-o", link, "--force"]).ends_with(2);
    }
    assert!(std::fs::read(folder.path().join("out.wim")).unwrap() == before);
}

#[test]
fn a_driver_for_another_machine_is_refused_and_nothing_matched_is_exit_1() {
    let folder = scratch();
    let package = folder.path().join("liar");
    std::fs::create_dir(&package).unwrap();
    let inf = std::fs::read_to_string(DEMO.path().join("driver/demonvme.inf")).unwrap();
    std::fs::write(package.join("demonvme.inf"), inf.replace(",\\x64", ",\\x86")).unwrap();
    std::fs::create_dir(package.join("x86")).unwrap();
    std::fs::copy(DEMO.path().join("driver/x86/demonvme.sys"), package.join("x86/demonvme.sys")).unwrap();
    let ran = wim(
        folder.path(),
        &["slipstream", &demo("install.wim"), "-o", "out.wim", "--edition", "4", "--driver", "liar"],
    );
    let ran = ran.ends_with(1);
    assert!(ran.text().contains("refused") && ran.text().contains("x86"), "{}", ran.text());
    assert!(ran.text().contains("Nothing changed"), "{}", ran.text());
}

#[test]
fn damaged_inputs_are_errors_and_leave_nothing_behind() {
    let folder = scratch();
    let good = std::fs::read(DEMO.path().join("install.wim")).unwrap();
    let metadata_at = good.len() - 6000;
    let mut cases: Vec<Vec<u8>> = vec![good[..good.len() / 2].to_vec(), good[..100].to_vec(), Vec::new()];
    let mut flipped = good.clone();
    flipped[metadata_at..].iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55);
    cases.push(flipped);
    for (number, bytes) in cases.iter().enumerate() {
        std::fs::write(folder.path().join("bad.wim"), bytes).unwrap();
        let arguments = ["slipstream", "bad.wim", "-o", "out.wim", "--driver", &demo("driver")];
        let ran = wim(folder.path(), &arguments);
        assert_eq!(ran.code, Some(2), "case {number}: {}", ran.stderr);
        assert_eq!(names(folder.path()), ["bad.wim"], "case {number}");
    }
}

#[test]
fn added_files_and_folders_appear_and_paths_cannot_leave_the_image() {
    let folder = scratch();
    std::fs::create_dir_all(folder.path().join("extra/sub")).unwrap();
    std::fs::write(folder.path().join("extra/sub/tool.txt"), "tool").unwrap();
    let ran = slipstream(folder.path(), &["--add", "extra=/Tools"]).ends_with(0);
    assert!(ran.text().contains("\\Tools\\sub\\tool.txt"), "{}", ran.text());
    let ran =
        wim(folder.path(), &["extract", "out.wim", "1", "/Tools/sub/tool.txt", "--to-stdout"]).ends_with(0);
    assert_eq!(ran.stdout, b"tool");
    for bad in ["extra=..\\..\\x", "extra=C:\\x", "extra=", "extra"] {
        slipstream(folder.path(), &["--force", "--add", bad]).ends_with(2);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_and_a_full_disk_leave_the_target_as_it_was() {
    let folder = scratch();
    std::fs::write(folder.path().join("out.wim"), "mine").unwrap();
    let arguments = [
        "slipstream",
        &demo("install.wim"),
        "-o",
        "out.wim",
        "--force",
        "--compress=XPRESS:max",
        "--threads=1",
    ];

    let mut child = command(env!("CARGO_BIN_EXE_wim"), folder.path(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_temporary(folder.path());
    let kill = command("kill", folder.path(), &["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(names(folder.path()), ["out.wim"]);
    assert_eq!(std::fs::read(folder.path().join("out.wim")).unwrap(), b"mine");

    // A limit on file sizes stands for a full disk; the signal that comes with it must be ignored to get the error.
    let script =
        format!("trap '' XFSZ; ulimit -f 4000; exec '{}' {}", env!("CARGO_BIN_EXE_wim"), arguments.join(" "));
    let ran = command("sh", folder.path(), &["-c", &script]).output().unwrap();
    assert_eq!(ran.status.code(), Some(2), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("cannot write the output"));
    assert_eq!(names(folder.path()), ["out.wim"]);
    assert_eq!(std::fs::read(folder.path().join("out.wim")).unwrap(), b"mine");
}

/// Waits until the temporary neighbour of the output has grown, so that an interrupt comes in the middle of the work.
#[cfg(unix)]
fn wait_for_temporary(folder: &Path) {
    let temporary = || -> Option<PathBuf> {
        let entries = std::fs::read_dir(folder).ok()?.flatten();
        entries.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "wim-tmp"))
    };
    for _ in 0..1000 {
        if temporary().and_then(|path| path.metadata().ok()).is_some_and(|m| m.len() > 0) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no temporary output appeared");
}

#[test]
fn the_demo_shows_before_and_after_and_its_media_are_the_same_every_time() {
    let folder = scratch();
    let report = wim(folder.path(), &["demo", "--json", "--dir", "d"]).ends_with(0).json();
    assert_eq!(report["before"]["images"].as_array().unwrap().len(), 5);
    assert_eq!(report["after"]["images"].as_array().unwrap().len(), 1);
    for name in ["install.wim", "install-professional.wim"] {
        let same =
            std::fs::read(folder.path().join("d").join(name)).unwrap() == std::fs::read(demo(name)).unwrap();
        assert!(same, "{name} differs between two runs");
    }
    let ran = wim(folder.path(), &["demo", "--dir", "d"]).ends_with(2);
    assert!(ran.stderr.contains("already exists"), "{}", ran.stderr);
}
