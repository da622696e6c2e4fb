//! `wim driver`, on media that the demo makes: Windows 7 in the old way, Windows 11 through the driver store.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use crate::{Ran, noise, wim, wimlib};

/// A demo medium of Windows 7 for amd64, with its driver.
static SEVEN: LazyLock<tempfile::TempDir> = LazyLock::new(|| medium("7", "amd64"));

fn medium(windows: &str, arch: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    wim(folder.path(), &["demo", "--media", "--dir", ".", "--windows", windows, "--arch", arch]).ends_with(0);
    folder
}

/// A copy of a medium that a test may change.
fn copy_of(medium: &tempfile::TempDir) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(medium.path(), folder.path());
    folder
}

const BOOT: &str = "medium/sources/boot.wim";
const INSTALL: &str = "medium/sources/install.wim";

#[test]
#[cfg(unix)]
fn a_file_that_is_being_read_is_not_changed_in_place() {
    let folder = copy_of(&SEVEN);
    let folder = folder.path();
    let before = bytes(folder, BOOT);
    // A program that edits the image holds the file so while it plans: what this one did would be lost.
    let reader = std::fs::File::open(folder.join(BOOT)).unwrap();
    reader.lock_shared().unwrap();
    let remove = || wim(folder, &["driver", "remove", BOOT, "-d", "demonvme.inf"]);
    for ran in [add(folder, &[BOOT]), remove()] {
        let ran = ran.ends_with(2);
        assert!(ran.stderr.contains("another program is using the file"), "{}", ran.stderr);
        assert!(bytes(folder, BOOT) == before);
    }
    add(folder, &[BOOT, "--dry-run"]).ends_with(0);
    add(folder, &[&format!("{BOOT}:1"), "-o", "other.wim"]).ends_with(0);
    drop(reader);
    add(folder, &[BOOT]).ends_with(0);
    remove().ends_with(0);
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// `driver add` of the demo's driver, which nobody signed.
fn add(folder: &Path, more: &[&str]) -> Ran {
    wim(folder, &[&["driver", "add", "--driver", "driver", "--force-unsigned"], more].concat())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Outcomes of all packages on all images of a report, those of recovery images too, by a name for the image.
fn outcomes(report: &Value) -> BTreeMap<String, Vec<String>> {
    fn of_image(name: String, image: &Value, found: &mut BTreeMap<String, Vec<String>>) {
        let outcome = |driver: &Value| driver["outcome"]["outcome"].as_str().unwrap_or_default().to_owned();
        found.insert(name.clone(), array(&image["drivers"]).iter().map(outcome).collect());
        for inner in array(&image["recovery"]["images"]) {
            of_image(format!("{name} recovery"), inner, found);
        }
    }
    let mut found = BTreeMap::new();
    for file in array(&report["files"]) {
        let path = file["path"].as_str().unwrap_or_default();
        for image in array(&file["images"]) {
            of_image(format!("{} {}", path.rsplit('/').next().unwrap(), image["index"]), image, &mut found);
        }
    }
    found
}

/// The digests of a file's streams in a line of `dir --detailed`.
fn digests(entry: &Value) -> String {
    let digest = |stream: &Value| stream["resource"]["sha1"].as_str().unwrap_or_default().to_owned();
    array(&entry["streams"]).iter().map(digest).collect::<Vec<_>>().join(" ")
}

/// True when two images are the same to `wim diff`: but for times, and for where keys lie in hives.
fn is_same(folder: &Path, old: &str, new: &str) -> bool {
    let ran = wim(folder, &["diff", old, new, "--ignore=times,hive-layout"]);
    assert!(ran.code == Some(0), "{old} {new}: {}{}", ran.text(), ran.stderr);
    true
}

/// All names of an image, and the digests of its files but for hives.
fn listing(folder: &Path, file: &str, image: &str) -> Vec<String> {
    let ran = wim(folder, &["dir", file, image, "--detailed", "--json"]).ends_with(0);
    let mut lines = Vec::new();
    for line in ran.text().lines().skip(1) {
        let entry: Value = serde_json::from_str(line).unwrap();
        let path = entry["path"].as_str().unwrap().to_owned();
        let is_serviced = path.contains("config") || path.to_lowercase().ends_with("winre.wim");
        let hash = if is_serviced { String::new() } else { digests(&entry) };
        lines.push(format!("{path} {hash}"));
    }
    assert!(lines.len() > 10, "{lines:?}");
    lines
}

#[test]
fn a_whole_medium_gets_the_driver_once_and_loses_it_again() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let before = ["1", "2"].map(|image| listing(folder, BOOT, image));
    let report = add(folder, &["--media", "medium", "--json"]).ends_with(0).json();
    let found = outcomes(&report);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "boot.wim 1",
            "boot.wim 2",
            "install.wim 1",
            "install.wim 1 recovery",
            "install.wim 2",
            "install.wim 3",
            "install.wim 4",
            "install.wim 5"
        ]
    );
    assert!(found.values().all(|outcomes| *outcomes == ["added"]), "{found:?}");
    let images = array(&report["files"][1]["images"]);
    for image in &images[1..] {
        assert!(image["recovery"]["same_as"].as_str().unwrap().starts_with("image 1 of"), "{image}");
        assert_eq!(image["recovery"]["changed"], true);
    }
    // The recovery image that editions share is stored once.
    let digests: std::collections::BTreeSet<String> = (1..=5)
        .map(|image| {
            let path = "--path=/Windows/System32/Recovery/winre.wim";
            let ran =
                wim(folder, &["dir", INSTALL, &image.to_string(), path, "--detailed", "--json"]).ends_with(0);
            let line: Value = serde_json::from_str(ran.text().lines().nth(1).unwrap()).unwrap();
            digests(&line)
        })
        .collect();
    assert_eq!(digests.len(), 1);
    for file in [BOOT, INSTALL] {
        wim(folder, &["verify", file]).ends_with(0);
    }

    let after = [BOOT, INSTALL].map(|file| bytes(folder, file));
    let again = add(folder, &["--media", "medium"]).ends_with(0);
    assert!(
        again.text().contains("already there") && again.text().contains("Nothing changed"),
        "{}",
        again.text()
    );
    assert!(after == [BOOT, INSTALL].map(|file| bytes(folder, file)), "a second add changed a file");

    let removed = wim(folder, &["driver", "remove", "--media", "medium", "-d", "demonvme.inf"]).ends_with(0);
    assert!(removed.text().contains("demonvme.inf 1.4.7.17: removed"), "{}", removed.text());
    assert!(before == ["1", "2"].map(|image| listing(folder, BOOT, image)));
    let original = SEVEN.path().join(BOOT).display().to_string();
    for image in ["1", "2"] {
        wim(folder, &["reg", "diff", &format!("{original}:{image}"), &format!("{BOOT}:{image}")])
            .ends_with(0);
        assert!(is_same(folder, &format!("{original}:{image}"), &format!("{BOOT}:{image}")));
    }
    let original = SEVEN.path().join(INSTALL).display().to_string();
    wim(folder, &["reg", "diff", &format!("{original}:4"), &format!("{INSTALL}:4")]).ends_with(0);
    let gone = wim(folder, &["driver", "remove", "--media", "medium", "-d", "demonvme.inf"]).ends_with(1);
    assert!(gone.stderr.contains("no image has the driver demonvme.inf"), "{}", gone.stderr);
}

/// `wim diff` looks at hard links: the file of Windows is one of the component store again.
#[test]
fn a_file_of_windows_that_a_driver_replaced_comes_back_as_a_hard_link() {
    for (windows, arch) in [("7", "amd64"), ("11", "amd64")] {
        let medium = if windows == "7" { copy_of(&SEVEN) } else { medium(windows, arch) };
        let folder = medium.path();
        std::fs::copy(folder.join(INSTALL), folder.join("before.wim")).unwrap();
        let inf = String::from_utf8(bytes(folder, "driver/demonvme.inf")).unwrap();
        let inf = inf
            .replace("DefaultDestDir = 12", "DefaultDestDir = 12\r\nmore = 11")
            .replace("CopyFiles = @demonvme.sys", "CopyFiles = @demonvme.sys, more")
            .replace("[Install.Services]", "[more]\r\nsetupapi.dll, demonvme.sys\r\n\r\n[Install.Services]");
        std::fs::write(folder.join("driver/demonvme.inf"), inf).unwrap();
        let target = format!("{INSTALL}:1");
        let added = add(folder, &[&target, "--no-recovery", "--replace-newer"]).ends_with(0);
        assert!(added.text().contains("setupapi.dll of this image is replaced"), "{}", added.text());
        let differs = wim(folder, &["diff", "before.wim:1", &target]).ends_with(1);
        assert!(differs.text().contains("setupapi.dll"), "{}", differs.text());
        wim(folder, &["driver", "remove", &target, "-d", "demonvme.inf", "--no-recovery"]).ends_with(0);
        assert!(is_same(folder, "before.wim:1", &target), "{windows}");
    }
}

#[test]
fn the_driver_store_of_windows_8_and_later_is_left_as_it_was() {
    for (windows, arch) in [("8.1", "x86"), ("10", "arm64"), ("11", "amd64")] {
        let medium = medium(windows, arch);
        let folder = medium.path();
        std::fs::copy(folder.join(BOOT), folder.join("before.wim")).unwrap();
        let before = listing(folder, BOOT, "2");
        add(folder, &[BOOT]).ends_with(0);
        let listed = wim(folder, &["driver", "list", &format!("{BOOT}:2"), "--json"]).ends_with(0).json();
        let driver = &listed["images"][0]["drivers"][0];
        assert_eq!((&driver["published"], &driver["arch"]), (&"oem0.inf".into(), &arch.into()), "{driver}");
        let store = format!("FileRepository\\demonvme.inf_{arch}_");
        assert!(driver["folder"].as_str().unwrap().contains(&store), "{driver}");
        let after = bytes(folder, BOOT);
        let again = add(folder, &[BOOT]).ends_with(0);
        assert!(again.text().contains("already there"), "{}", again.text());
        assert!(after == bytes(folder, BOOT), "a second add changed {windows} {arch}");
        let exported = ["driver", "export", BOOT, "-d", "oem0.inf", "--dest-dir", "out", "--json"];
        let exported = wim(folder, &exported).ends_with(0).json();
        assert_eq!(exported["drivers"][0]["files"], 2, "{exported}");
        wim(folder, &["driver", "remove", BOOT, "-d", "oem0.inf"]).ends_with(0);
        assert!(before == listing(folder, BOOT, "2"), "{windows} {arch}");
        for image in ["1", "2"] {
            wim(folder, &["reg", "diff", &format!("before.wim:{image}"), &format!("{BOOT}:{image}")])
                .ends_with(0);
            assert!(is_same(folder, &format!("before.wim:{image}"), &format!("{BOOT}:{image}")));
        }
    }
}

#[test]
fn images_are_chosen_by_colon_and_option_and_the_output_leaves_the_input() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let before = bytes(folder, INSTALL);
    let image = format!("{INSTALL}:Professional");
    let report = add(folder, &[&image, "-o", "one.wim", "--json", "--no-recovery"]).ends_with(0).json();
    assert_eq!(outcomes(&report).into_keys().collect::<Vec<_>>(), ["install.wim 4"]);
    assert!(before == bytes(folder, INSTALL));
    let refused = add(folder, &[&image, "-o", "one.wim"]).ends_with(2);
    assert!(refused.stderr.contains("already exists"), "{}", refused.stderr);
    let report =
        add(folder, &[INSTALL, "--image", "2,Starter", "-o", "two.wim", "--json"]).ends_with(0).json();
    let names: Vec<String> = outcomes(&report).into_keys().collect();
    assert_eq!(names, ["install.wim 1", "install.wim 1 recovery", "install.wim 2"]);
    // What has it already is copied byte for byte.
    add(folder, &["one.wim:4", "-o", "same.wim", "--no-recovery"]).ends_with(0);
    assert!(bytes(folder, "one.wim") == bytes(folder, "same.wim"));
    let same = add(folder, &["one.wim", "-o", "one.wim", "--force"]).ends_with(2);
    assert!(same.stderr.contains("the output is the input"), "{}", same.stderr);
    let twice = add(folder, &["one.wim:1", "one.wim:2"]).ends_with(2);
    assert!(twice.stderr.contains("named twice"), "{}", twice.stderr);
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let before = [BOOT, INSTALL].map(|file| bytes(folder, file));
    let ran = add(folder, &["--media", "medium", "--dry-run"]).ends_with(0);
    assert!(ran.text().contains("in place at boot, services demonvme"), "{}", ran.text());
    assert!(ran.text().contains("Dry run: nothing was written."), "{}", ran.text());
    assert!(before == [BOOT, INSTALL].map(|file| bytes(folder, file)));
    // What would be refused is refused.
    for (output, what) in [(INSTALL, "already exists"), ("nowhere/out.wim", "no such folder")] {
        let refused = add(folder, &[BOOT, "-o", output, "--dry-run"]).ends_with(2);
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
    }
    // What it tells is what is then done.
    let facts = |more: &[&str]| {
        let mut report = add(folder, &[&["--media", "medium", "--json"], more].concat()).ends_with(0).json();
        report["dry_run"] = Value::Null;
        for file in report["files"].as_array_mut().unwrap() {
            file["written"] = Value::Null;
        }
        report
    };
    let told = facts(&["--dry-run"]);
    assert_eq!(told, facts(&[]));
}

/// A medium that cannot be written, as a disc is none.
#[cfg(unix)]
#[test]
fn a_dry_run_needs_no_folder_that_can_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let sources = folder.join("medium/sources");
    let set = |mode| {
        for folder in [&sources, &folder.join("medium")] {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o555);
    if std::fs::write(sources.join("probe"), "").is_ok() {
        println!("skipped: this user may write anywhere");
        set(0o755);
        return;
    }
    let tried = add(folder, &["--media", "medium", "--dry-run"]);
    let beside = add(folder, &["--media", "medium", "--media-folder", "--dry-run"]);
    set(0o755);
    tried.ends_with(0);
    beside.ends_with(0);
}

#[test]
fn what_is_refused_is_told_with_its_remedy_and_changes_nothing() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let before = bytes(folder, BOOT);
    let ran = wim(folder, &["driver", "add", BOOT, "-d", "driver"]).ends_with(1);
    assert!(ran.text().contains("refused: ") && ran.text().contains("test signing"), "{}", ran.text());
    // A file that the INF copies and that is not there.
    std::fs::remove_file(folder.join("driver/x64/demonvme.sys")).unwrap();
    let ran = add(folder, &[BOOT, "--json"]).ends_with(1).json();
    let outcome = &ran["files"][0]["images"][0]["drivers"][0]["outcome"];
    assert_eq!(outcome["outcome"], "refused");
    assert!(outcome["reason"].as_str().unwrap().contains("demonvme.sys"), "{outcome}");
    // No device of this machine.
    std::fs::write(folder.join("ids.txt"), "PCI\\VEN_8086&DEV_1E31\n").unwrap();
    add(folder, &[BOOT, "--match", "ids.txt"]).ends_with(1);
    let ran = add(folder, &[BOOT, "--match", "none.txt"]).ends_with(2);
    assert!(ran.stderr.contains("none.txt"), "{}", ran.stderr);
    assert!(before == bytes(folder, BOOT));
}

#[test]
fn one_damaged_file_of_a_medium_leaves_the_others_as_they_were() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let before = bytes(folder, BOOT);
    let mut install = bytes(folder, INSTALL);
    // The header says where the lookup table is; the resource before it is the last image's metadata.
    let table = u64::from_le_bytes(install[0x38..0x40].try_into().unwrap()) as usize;
    install[table - 200..table].fill(0xA5);
    std::fs::write(folder.join(INSTALL), install).unwrap();
    add(folder, &["--media", "medium"]).ends_with(2);
    assert!(before == bytes(folder, BOOT), "boot.wim was changed although install.wim could not be");
    let left: Vec<_> = std::fs::read_dir(folder.join("medium/sources")).unwrap().collect();
    assert_eq!(left.len(), 2);
}

/// A package as a `.zip` with forward slashes, or with the members given.
fn zip_file(path: &Path, members: &[(&str, Vec<u8>)]) {
    let mut writer = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn packages_come_from_archives_and_single_infs() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let inf = bytes(folder, "driver/demonvme.inf");
    let sys = bytes(folder, "driver/x64/demonvme.sys");
    zip_file(
        &folder.join("p.zip"),
        &[("Disk/demonvme.inf", inf.clone()), ("Disk/x64/demonvme.sys", sys.clone())],
    );
    // Another INF beside the one that is meant.
    std::fs::write(folder.join("driver/other.inf"), "[Version]\r\nSignature=\"$Windows NT$\"\r\n").unwrap();
    for source in ["p.zip", "driver/demonvme.inf"] {
        let arguments =
            ["driver", "add", BOOT, "-d", source, "--force-unsigned", "-o", "o.wim", "--force", "--json"];
        let report = wim(folder, &arguments).ends_with(0).json();
        assert!(outcomes(&report).values().all(|outcomes| *outcomes == ["added"]), "{source}: {report}");
        let drivers = wim(folder, &["dir", "o.wim", "1", "--path=/Windows/Drivers"]).ends_with(0).text();
        assert!(drivers.contains("x64") && !drivers.contains("other.inf"), "{drivers}");
    }
    let before = bytes(folder, BOOT);
    zip_file(&folder.join("evil.zip"), &[("../../demonvme.inf", inf), ("x64/demonvme.sys", sys)]);
    for (source, says) in [
        ("evil.zip", "leads upwards"),
        ("nothing", "there are no driver packages here"),
        ("medium", "no .inf file"),
        (BOOT, "neither an INF nor an archive"),
        ("driver/x64/demonvme.sys", "installer program"),
    ] {
        let ran = wim(folder, &["driver", "add", BOOT, "-d", source]).ends_with(2);
        assert!(ran.stderr.contains(says), "{source}: {}", ran.stderr);
    }
    assert!(before == bytes(folder, BOOT));
}

#[test]
fn drivers_are_listed_and_copied_out_so_that_others_can_have_them() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    add(folder, &[BOOT]).ends_with(0);
    let listed = wim(folder, &["driver", "list", BOOT, "--json"]).ends_with(0).json();
    let driver = &listed["images"][1]["drivers"][0];
    for (field, value) in [
        ("inf", "demonvme.inf"),
        ("class", "SCSIAdapter"),
        ("provider", "wim demonstration"),
        ("version", "1.4.7.17"),
        ("date", "2017-06-21"),
        ("arch", "amd64"),
    ] {
        assert_eq!(driver[field], value);
    }
    assert_eq!((&driver["added_here"], &driver["boot_critical"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!(driver["ids"][1], "PCI\\CC_010802");
    let text = wim(folder, &["driver", "list", &format!("{BOOT}:2"), "--ids"]).ends_with(0).text();
    assert!(text.contains("Original File Name : demonvme.inf") && text.contains("PCI\\CC_010802"), "{text}");
    assert!(text.contains("    Service Name     : demonvme"), "{text}");
    assert!(text.contains("Class Description  : Storage controllers"), "{text}");
    assert!(text.contains("Driver Signature   : Unsigned"), "{text}");

    let export = ["driver", "export", BOOT, "--dest-dir", "out", "--json"];
    let exported = wim(folder, &export).ends_with(0).json();
    let exported = array(&exported["drivers"]);
    assert_eq!(exported.len(), 1, "a package of two images comes out once");
    let out = exported[0]["folder"].as_str().unwrap();
    assert!(bytes(folder, &format!("{out}/x64/demonvme.sys")) == bytes(folder, "driver/x64/demonvme.sys"));
    let image = format!("{INSTALL}:1");
    wim(folder, &["driver", "add", &image, "-d", out, "--force-unsigned", "--no-recovery"]).ends_with(0);
    // A second one overwrites nothing unasked.
    std::fs::write(folder.join(out).join("demonvme.inf"), "mine").unwrap();
    let ran = wim(folder, &export).ends_with(2);
    assert!(ran.stderr.contains("has files already") && ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(bytes(folder, &format!("{out}/demonvme.inf")), b"mine");
    wim(folder, &[&export[..], &["--force"]].concat()).ends_with(0);
    assert_eq!(bytes(folder, &format!("{out}/demonvme.inf")), bytes(folder, "driver/demonvme.inf"));
    let none = ["driver", "export", BOOT, "-d", "oem7.inf", "--dest-dir", "out"];
    let ran = wim(folder, &none).ends_with(1);
    assert!(ran.stderr.contains("no image has the driver oem7.inf"), "{}", ran.stderr);
}

/// The demonstration driver under another name, for other devices.
fn other_driver(folder: &Path, name: &str, id: &str) {
    let inf = String::from_utf8(bytes(folder, "driver/demonvme.inf")).unwrap();
    std::fs::create_dir(folder.join(name)).unwrap();
    let inf = inf
        .replace("PCI\\VEN_1B36&DEV_0010&CC_010802, PCI\\CC_010802", id)
        .replace("demonvme", name)
        .replace(",\\x64", "");
    std::fs::write(folder.join(format!("{name}/{name}.inf")), inf).unwrap();
    std::fs::copy(folder.join("driver/x64/demonvme.sys"), folder.join(format!("{name}/{name}.sys"))).unwrap();
}

#[test]
fn a_folder_in_the_way_of_one_package_keeps_all_from_being_copied_out() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    other_driver(folder, "zother", "PCI\\VEN_1B36&DEV_0011");
    add(folder, &[BOOT, "-d", "zother"]).ends_with(0);
    let export = ["driver", "export", BOOT, "--dest-dir", "out", "--json"];
    let exported = wim(folder, &export).ends_with(0).json();
    let folders: Vec<String> = array(&exported["drivers"])
        .iter()
        .map(|driver| driver["folder"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(folders.len(), 2, "{exported}");
    std::fs::remove_dir_all(folder.join(&folders[0])).unwrap();
    let ran = wim(folder, &export).ends_with(2);
    assert!(ran.stderr.contains("has files already"), "{}", ran.stderr);
    assert!(!folder.join(&folders[0]).exists(), "the first package was copied before the second was refused");
    let some = ["driver", "export", BOOT, "-d", "zother.inf", "-d", "gone.inf", "--dest-dir", "some"];
    wim(folder, &some).ends_with(1);
    assert!(!folder.join("some").exists());
}

#[test]
fn a_root_certificate_has_to_be_one() {
    let folder = SEVEN.path();
    let info = ["driver", "info", "driver", "--root-cert"];
    let ran = wim(folder, &[&info[..], &["driver/demonvme.inf"]].concat()).ends_with(2);
    assert!(ran.stderr.contains("demonvme.inf") && ran.stderr.contains(".pem"), "{}", ran.stderr);
    let ran = wim(folder, &[&info[..], &["gone.cer"]].concat()).ends_with(2);
    assert!(ran.stderr.contains("gone.cer"), "{}", ran.stderr);
}

#[test]
fn a_package_is_explained_for_versions_and_for_images() {
    let folder = SEVEN.path();
    let all = wim(folder, &["driver", "info", "driver", "--json"]).ends_with(0).json();
    let package = &all["packages"][0];
    assert_eq!(package["class"], "SCSIAdapter");
    let fits = |package: &Value| -> Vec<String> {
        let all = array(&package["applicability"]).iter().filter(|one| one["applies"] == true);
        all.map(|one| one["windows"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert!(fits(package).contains(&"arm64 10.0.22631".to_owned()), "{package}");
    let ran = wim(folder, &["driver", "info", "driver/demonvme.inf", "--for", "vista-amd64"]).ends_with(1);
    assert!(ran.text().contains("does not apply") && ran.text().contains("because"), "{}", ran.text());
    let image = format!("{BOOT}:2");
    let ran = wim(folder, &["driver", "info", "driver", "--for", &image]).ends_with(1);
    assert!(ran.text().contains("Adding it : refused"), "{}", ran.text());
    let ran = wim(folder, &["driver", "info", "driver", "--for", &image, "--force-unsigned"]).ends_with(0);
    assert!(ran.text().contains("Adding it : added, in place at boot"), "{}", ran.text());
    let ran = wim(folder, &["driver", "info", "driver", "--for", "95-alpha"]).ends_with(2);
    assert!(ran.stderr.contains("7-amd64"), "{}", ran.stderr);
}

/// `info` for an image and `add` to it say the same of a hub whose host alone is in the list of devices.
#[test]
fn a_hub_is_explained_with_the_host_beside_it() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    other_driver(folder, "hub", "DEMO3\\ROOT_HUB30");
    std::fs::write(folder.join("ids.txt"), "PCI\\VEN_1B36&DEV_0010&CC_010802\n").unwrap();
    let image = format!("{BOOT}:2");
    let how = ["--match", "ids.txt", "--force-unsigned", "--json"];
    let explain = [&["driver", "info", "hub", "driver", "--for", image.as_str()][..], &how].concat();
    let explained = wim(folder, &explain).ends_with(0).json();
    let verdicts: Vec<&Value> = array(&explained["packages"])
        .iter()
        .map(|p| &p["images"][0]["verdict"]["outcome"]["outcome"])
        .collect();
    assert_eq!(verdicts, ["added", "added"], "{explained}");
    let alone = [&["driver", "info", "hub", "--for", image.as_str()][..], &how].concat();
    let alone = wim(folder, &alone).json();
    assert_eq!(alone["packages"][0]["images"][0]["verdict"]["outcome"]["outcome"], "skipped", "{alone}");
    let put = [&["driver", "add", image.as_str(), "-d", "hub", "-d", "driver"][..], &how].concat();
    let added = wim(folder, &put).ends_with(0).json();
    let drivers = array(&added["files"][0]["images"][0]["drivers"]);
    assert!(drivers.iter().all(|driver| driver["outcome"]["outcome"] == "added"), "{added}");
}

#[test]
fn a_file_that_is_no_inf_keeps_no_other_from_being_explained() {
    let folder = tempfile::tempdir().unwrap();
    let driver = SEVEN.path().join("driver");
    for entry in std::fs::read_dir(driver).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::write(folder.path().join("zzz.inf"), "nothing of an INF\n").unwrap();
    // The folder of its program is not there, so that it applies nowhere.
    let all = wim(folder.path(), &["driver", "info", ".", "--json"]).ends_with(1).json();
    assert_eq!(array(&all["packages"]).len(), 1);
    assert!(all["warnings"][0].as_str().unwrap().contains("zzz.inf"), "{all}");
    let ran = wim(folder.path(), &["driver", "info", "."]).ends_with(1);
    assert!(ran.text().contains("zzz.inf"), "{}", ran.text());
    // Alone it is an error.
    wim(folder.path(), &["driver", "info", "zzz.inf"]).ends_with(2);
}

#[test]
fn images_are_checked_for_what_a_machine_needs() {
    let folder = SEVEN.path();
    let image = format!("{INSTALL}:1");
    let ran =
        wim(folder, &["driver", "check", &image, "--profile", "win7-nvme", "--json"]).ends_with(1).json();
    let profile = &ran["images"][0]["profiles"][0];
    assert_eq!(
        (profile["profile"].as_str(), profile["verdict"].as_str()),
        (Some("win7-nvme"), Some("incomplete"))
    );
    assert!(!array(&profile["checks"]).is_empty(), "{profile}");
    let ran = wim(folder, &["driver", "check", &image, "--profile", "win7-nvme"]).ends_with(1);
    assert!(ran.text().contains("win7-nvme: incomplete") && ran.text().contains("missing"), "{}", ran.text());
    // A fresh Windows PE lacks nothing that it needs.
    let fresh = wim(folder, &["driver", "check", BOOT, INSTALL, "--json"]).ends_with(0).json();
    let findings = array(&fresh["images"]).iter().flat_map(|image| array(&image["findings"]));
    assert_eq!(findings.filter(|finding| finding["severity"] == "error").count(), 0, "{fresh}");
    let ran = wim(folder, &["driver", "check", &image, "--profile", "xp"]).ends_with(2);
    assert!(ran.stderr.contains("win7-usb3"), "{}", ran.stderr);
}

#[test]
fn versions_that_differ_between_boot_and_install_images_are_warned_of() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let first = add(folder, &[BOOT]).ends_with(0);
    assert!(!first.stderr.contains("1.4.7.17 in"), "{}", first.stderr);
    let inf = String::from_utf8(bytes(folder, "driver/demonvme.inf")).unwrap();
    let newer = inf.replace("06/21/2017,1.4.7.17", "06/21/2018,1.5.0.0");
    assert!(newer != inf);
    std::fs::write(folder.join("driver/demonvme.inf"), newer).unwrap();
    add(folder, &[&format!("{INSTALL}:1"), "--no-recovery"]).ends_with(0);
    let listed = wim(folder, &["driver", "list", BOOT, INSTALL, "--json"]).ends_with(0).json();
    let warnings = listed["images"].to_string();
    assert!(warnings.contains("1.4.7.17 in ") && warnings.contains("1.5.0.0 in "), "{warnings}");
    // Beside the older one in the boot images only: still a difference, and told by the command that makes it.
    let added = add(folder, &[BOOT, INSTALL, "--no-recovery"]).ends_with(0);
    let all = added.text() + &added.stderr;
    assert!(all.contains("1.4.7.17 in medium/sources/boot.wim"), "{all}");
}

/// A dry run once said nothing of it: the lists were compared after the files had taken their names.
#[test]
fn a_dry_run_tells_of_versions_that_would_differ() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    add(folder, &[&format!("{BOOT}:1")]).ends_with(0);
    let inf = String::from_utf8(bytes(folder, "driver/demonvme.inf")).unwrap();
    std::fs::write(
        folder.join("driver/demonvme.inf"),
        inf.replace("06/21/2017,1.4.7.17", "06/21/2018,1.5.0.0"),
    )
    .unwrap();
    let before = [BOOT, INSTALL].map(|file| bytes(folder, file));
    // The image with the older one is not even serviced.
    let words = [&format!("{BOOT}:2"), &format!("{INSTALL}:1"), "--no-recovery", "--dry-run", "--json"];
    let report = add(folder, &words).ends_with(0).json();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("1.4.7.17 in medium/sources/boot.wim: image 1"), "{report}");
    assert!(warnings.contains("1.5.0.0 in medium/sources/boot.wim: image 2"), "{warnings}");
    assert!(before == [BOOT, INSTALL].map(|file| bytes(folder, file)));
}

/// Who signed a package that Windows itself staged is known to its driver database alone.
#[test]
fn the_list_tells_who_signed_what_windows_staged() {
    let medium = medium("10", "amd64");
    let folder = medium.path();
    let add_signed = |signer: &str| {
        add(folder, &[&format!("{BOOT}:1")]).ends_with(0);
        let listed = wim(folder, &["driver", "list", &format!("{BOOT}:1"), "--json"]).ends_with(0).json();
        let store = listed["images"][0]["drivers"][0]["folder"].as_str().unwrap().to_owned();
        let key =
            format!("HKLM\\SYSTEM\\DriverDatabase\\DriverPackages\\{}", store.rsplit('\\').next().unwrap());
        wim(folder, &["reg", "set", &format!("{BOOT}:1"), &key, "SignerName", signer]).ends_with(0);
        // As Windows leaves it: without the list of what was added here.
        wim(folder, &["update", BOOT, "1", "--command=delete /Windows/inf/wim.drivers.json"]).ends_with(0);
    };
    add_signed("Test Publisher");
    let listed = wim(folder, &["driver", "list", &format!("{BOOT}:1"), "--json"]).ends_with(0).json();
    let driver = &listed["images"][0]["drivers"][0];
    assert_eq!(
        (&driver["published"], &driver["added_here"]),
        (&"oem0.inf".into(), &false.into()),
        "{driver}"
    );
    assert_eq!(driver["signer"], "Test Publisher", "{driver}");
    let text = wim(folder, &["driver", "list", &format!("{BOOT}:1")]).ends_with(0);
    assert!(text.text().contains("Test Publisher"), "{}", text.text());
}

/// 48 MiB of packages under 16 MiB of memory once took 48 MiB more than packages of a few bytes.
#[test]
#[cfg(target_os = "linux")]
fn packages_larger_than_the_memory_are_planned_within_it() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let peak = |packages: &str| {
        let words = ["driver", "add", BOOT, "--dry-run", "--force-unsigned", "--memory=16M", "--threads=1"];
        let words = [&words[..], &["-d", packages]].concat();
        let mut child = crate::command(env!("CARGO_BIN_EXE_wim"), folder, &words)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut peak = 0;
        loop {
            let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(number.unwrap_or(0));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                return peak;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    };
    let (inf, sys) = (bytes(folder, "driver/demonvme.inf"), bytes(folder, "driver/x64/demonvme.sys"));
    for (packages, size) in [("small", 0), ("large", 8 << 20)] {
        let noise = noise(size);
        for n in 0..6 {
            let package = folder.join(packages).join(n.to_string());
            std::fs::create_dir_all(package.join("x64")).unwrap();
            std::fs::write(package.join("demonvme.inf"), &inf).unwrap();
            std::fs::write(package.join("x64/demonvme.sys"), [&sys, &noise[..], &[n]].concat()).unwrap();
        }
    }
    let (small, large) = (peak("small"), peak("large"));
    assert!(large < small + (12 << 10), "{large} KiB for 48 MiB of packages, {small} KiB for small ones");
}

/// All files below a folder with their bytes, by path.
fn files_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn drivers_go_to_the_folder_that_setup_reads_and_come_back_from_it() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let medium = folder.join("medium");
    let before = files_below(&medium);
    let plan =
        add(folder, &["--media", "medium", "--media-folder", "--dry-run", "--json"]).ends_with(0).json();
    assert_eq!((&plan["changed"], &plan["dry_run"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(files_below(&medium) == before, "a dry run wrote");
    let notes = array(&plan["packages"][0]["findings"]);
    assert!(notes.iter().any(|note| note.as_str().unwrap().contains("unsigned")), "{plan}");
    // What a run that was killed left goes with the next one, when it is a day old.
    let left = medium.join("$WinPEDriver$").join(format!(".{}-x.wim-tmp", u32::MAX));
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("half.inf"), "half").unwrap();
    #[cfg(unix)]
    std::fs::File::open(&left).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let report = add(folder, &["--media", "medium", "--media-folder", "--json"]).ends_with(0).json();
    let placed = &report["packages"][0]["outcome"];
    assert_eq!(
        (&placed["outcome"], &placed["windows"][0]),
        (&Value::from("placed"), &Value::from("amd64 6.1.7601"))
    );
    assert!(!left.exists() || !cfg!(unix), "litter stays");
    let own = placed["folder"].as_str().unwrap().replace('\\', "/");
    let after = files_below(&medium);
    assert!(after[&format!("{own}/demonvme.inf")] == bytes(folder, "driver/demonvme.inf"));
    assert!(after[&format!("{own}/x64/demonvme.sys")] == bytes(folder, "driver/x64/demonvme.sys"));
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes), "an image was changed");
    let again = add(folder, &["--media", "medium", "--media-folder"]).ends_with(0);
    assert!(
        again.text().contains("is there already") && again.text().contains("Nothing changed"),
        "{}",
        again.text()
    );
    assert!(files_below(&medium) == after);

    // What the user puts there stays; so does a file that was changed since.
    let root = medium.join("$WinPEDriver$");
    std::fs::create_dir(root.join("mine")).unwrap();
    std::fs::write(root.join("mine/a.inf"), "mine").unwrap();
    let remove =
        |name: &str| wim(folder, &["driver", "remove", "--media", "medium", "--media-folder", "-d", name]);
    let ran = remove("other.inf").ends_with(1);
    assert!(ran.stderr.contains("demonvme.inf"), "{}", ran.stderr);
    remove("DEMONVME.INF").ends_with(0);
    let left = files_below(&medium);
    let mine = left.keys().filter(|name| !before.contains_key(*name)).collect::<Vec<_>>();
    assert_eq!(mine, ["$WinPEDriver$/mine/a.inf"]);
    std::fs::remove_dir_all(&root).unwrap();
    add(folder, &["--media", "medium", "--media-folder"]).ends_with(0);
    std::fs::write(medium.join(&own).join("demonvme.inf"), "changed").unwrap();
    let ran = remove("demonvme.inf").ends_with(0);
    assert!(ran.text().contains("stays"), "{}", ran.text());
    let left = files_below(&medium);
    // The file, and the record that still knows it.
    assert_eq!(left.len(), before.len() + 2);
    // A record that names files elsewhere is not followed.
    std::fs::write(
        root.join("wim.drivers.json"),
        r#"{"drivers":[{"folder":"..","inf":"x.inf","version":null,"files":[{"path":"sources\\boot.wim","sha1":""}]}]}"#,
    )
    .unwrap();
    let ran = remove("x.inf").ends_with(2);
    assert!(
        ran.stderr.contains("leads upwards") && bytes(folder, BOOT) == before["sources/boot.wim"],
        "{}",
        ran.stderr
    );
    // What says how images are changed means nothing there.
    for option in [
        &["--boot-start"][..],
        &["--boot-critical", "always"],
        &["--trust-publisher"],
        &["--ignore-kmdf"],
        &["--replace-newer"],
        &["--force-unbootable"],
    ] {
        let ran = add(folder, &[&["--media", "medium", "--media-folder"], option].concat()).ends_with(2);
        assert!(ran.stderr.contains(option[0]) && ran.stderr.contains("leave it out"), "{}", ran.stderr);
    }
    add(folder, &["--media", "medium", "--media-folder", "--force"]).ends_with(2);
    let ran = add(folder, &[BOOT, "--force"]).ends_with(2);
    assert!(ran.stderr.contains("--output"), "{}", ran.stderr);
    let needs = wim(folder, &["driver", "add", BOOT, "--media-folder", "-d", "driver"]).ends_with(2);
    assert!(needs.stderr.contains("--media"), "{}", needs.stderr);
}

const WINRE: &str = "/Windows/System32/Recovery/winre.wim";

#[test]
fn recovery_images_are_listed_and_copied_out_of_behind_their_image() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let list = |more: &[&str]| {
        let words = [&["driver", "list", INSTALL, "--json"], more].concat();
        wim(folder, &words).ends_with(0).json()["images"].as_array().unwrap().len()
    };
    assert_eq!((list(&[]), list(&["--no-recovery"])), (6, 5));
    add(folder, &[INSTALL]).ends_with(0);
    let listed = wim(folder, &["driver", "list", INSTALL, "--json"]).ends_with(0).json();
    let inner = &listed["images"][1];
    let path = inner["path"].as_str().unwrap();
    assert!(path.contains("install.wim: image 1: \\Windows\\System32\\Recovery\\winre.wim"), "{path}");
    assert_eq!(
        (&inner["winpe"], &inner["drivers"][0]["inf"]),
        (&Value::Bool(true), &Value::from("demonvme.inf"))
    );
    // Only the recovery image has it after it left the images around.
    wim(folder, &["driver", "remove", INSTALL, "-d", "demonvme.inf", "--no-recovery"]).ends_with(0);
    wim(folder, &["driver", "export", INSTALL, "--no-recovery", "--dest-dir", "none"]).ends_with(1);
    let export = ["driver", "export", INSTALL, "--dest-dir", "out", "--json"];
    let exported = wim(folder, &export).ends_with(0).json();
    assert_eq!(array(&exported["drivers"]).len(), 1);
    assert!(exported["drivers"][0]["path"].as_str().unwrap().ends_with("winre.wim"), "{exported}");
}

#[test]
fn a_damaged_recovery_image_stays_and_does_not_keep_the_image_from_its_drivers() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    wim(folder, &["extract", INSTALL, "1", WINRE, "--dest-dir", "."]).ends_with(0);
    let mut cut = bytes(folder, "winre.wim");
    cut.truncate(cut.len() - cut.len() / 3);
    for (name, damaged) in [("text", b"no WIM at all".to_vec()), ("cut", cut)] {
        std::fs::write(folder.join(name), &damaged).unwrap();
        wim(folder, &["update", INSTALL, "1", "--command", &format!("add {name} {WINRE}")]).ends_with(0);
        let image = format!("{INSTALL}:1");
        let report = add(folder, &[&image, "-o", "o.wim", "--force", "--json"]).ends_with(0).json();
        let image = &report["files"][0]["images"][0];
        assert_eq!(
            (&image["drivers"][0]["outcome"]["outcome"], &image["recovery"]),
            (&Value::from("added"), &Value::Null)
        );
        let warnings = image["warnings"].to_string();
        assert!(warnings.contains("stays as it is") && warnings.contains("winre.wim"), "{warnings}");
        wim(folder, &["extract", "o.wim", "1", WINRE, "--dest-dir", "out"]).ends_with(0);
        assert!(bytes(folder, "out/winre.wim") == damaged, "{name}");
        std::fs::remove_dir_all(folder.join("out")).unwrap();
        let listed = wim(folder, &["driver", "list", "o.wim:1", "--json"]).ends_with(0);
        assert!(
            listed.stderr.contains("winre.wim") && array(&listed.json()["images"]).len() == 1,
            "{}",
            listed.stderr
        );
    }
}

/// A file that Windows keeps compressed as a whole is changed in place like any other.
#[test]
fn the_solid_file_of_a_medium_gets_its_drivers() {
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let esd = "medium/sources/install.esd";
    if wimlib(folder, &["export", INSTALL, "all", esd, "--solid", "--solid-chunk-size=256K"]).is_none() {
        return;
    }
    std::fs::remove_file(folder.join(INSTALL)).unwrap();
    let report = add(folder, &["--media", "medium", "--json"]).ends_with(0).json();
    assert!(outcomes(&report).values().all(|outcomes| *outcomes == ["added"]), "{report}");
    wim(folder, &["verify", esd]).ends_with(0);
    let listed = wim(folder, &["driver", "list", esd, "--no-recovery", "--json"]).ends_with(0).json();
    assert!(
        array(&listed["images"]).iter().all(|image| image["drivers"][0]["inf"] == "demonvme.inf"),
        "{listed}"
    );
}

#[test]
#[cfg(unix)]
fn a_signal_while_drivers_are_added_leaves_all_files_of_the_medium_whole() {
    use std::time::{Duration, Instant};
    let copy = copy_of(&SEVEN);
    let folder = copy.path();
    let sources = folder.join("medium/sources");
    // A driver that takes its time to be compressed, so that the signal comes while files are written.
    let mut large = bytes(folder, "driver/x64/demonvme.sys");
    large.extend(noise(48 << 20));
    std::fs::write(folder.join("driver/x64/demonvme.sys"), large).unwrap();
    let before = files_below(&sources);
    let words = ["driver", "add", "--media", "medium", "-d", "driver", "--force-unsigned", "--threads=1"];
    let is_writing = |name: &str| {
        let names = std::fs::read_dir(&sources).unwrap().map(|entry| entry.unwrap().file_name());
        names.into_iter().any(|found| found.to_string_lossy().starts_with(&format!(".{name}.")))
    };
    for (signal, file) in [("-INT", "boot.wim"), ("-TERM", "install.wim")] {
        let mut child = crate::command(env!("CARGO_BIN_EXE_wim"), folder, &words)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while !is_writing(file) && since.elapsed() < Duration::from_secs(120) {
            assert_eq!(child.try_wait().unwrap(), None, "it was done before the signal");
            std::thread::sleep(Duration::from_millis(2));
        }
        let sent =
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert!(files_below(&sources) == before, "{signal} left something behind");
    }
}
