//! `wim package` on an image that the demo makes and a package that is made here.

use std::fs;
use std::path::Path;

use crate::delta_writer::{Options, write_delta};
use crate::pe_image::wcp_dll;
use crate::{data_folder, wim};

const TOKEN: &str = "31bf3856ad364e35";
const SP1: &str = "6.1.7601.17514";
/// Key form of the component below, whose hash was computed apart from this project.
const COMPONENT: &str =
    "amd64_microsoft-windows-findstr_31bf3856ad364e35_6.1.7601.17514_none_855590d1705431c5";

fn identity(name: &str, version: &str, more: &str) -> String {
    format!(
        "<assemblyIdentity name=\"{name}\" version=\"{version}\" language=\"neutral\" processorArchitecture=\"amd64\" \
         publicKeyToken=\"{TOKEN}\"{more}/>"
    )
}

/// A folder with an update that brings one component, which is its own deployment.
fn package(folder: &Path, kb: u32, stack: &str) {
    fs::create_dir_all(folder).unwrap();
    let update = format!(
        "<update name=\"{kb}-1_neutral_GDR\"><applicable disposition=\"staged\"><updateComponent elevate=\"install\">{}\
         </updateComponent></applicable><component>{}</component></update>",
        identity("Microsoft-Windows-Findstr", SP1, " versionScope=\"nonSxS\""),
        identity("Microsoft-Windows-Findstr", SP1, " versionScope=\"nonSxS\"")
    );
    let text = format!(
        "<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" creationTimeStamp=\"2015-01-01T00:00:00Z\">{}<package \
         identifier=\"KB{kb}\" releaseType=\"Hotfix\"><parent buildCompare=\"EQ\" disposition=\"detect\">{}</parent>\
         <installerAssembly name=\"Microsoft-Windows-ServicingStack\" version=\"{stack}\" language=\"neutral\" \
         processorArchitecture=\"amd64\"/>{update}</package></assembly>",
        identity(&format!("Package_for_KB{kb}"), "6.1.1.0", ""),
        identity("Microsoft-Windows-Foundation-Package", SP1, "")
    );
    fs::write(folder.join("update.mum"), text).unwrap();
    fs::write(folder.join("update.cat"), "catalog").unwrap();
    let manifest = format!(
        "<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\">{}<registryKeys><registryKey \
         keyName=\"HKEY_LOCAL_MACHINE\\SOFTWARE\\X\"><registryValue name=\"v\" valueType=\"REG_DWORD\" value=\"0x1\"/>\
         </registryKey></registryKeys></assembly>",
        identity("Microsoft-Windows-Findstr", SP1, " versionScope=\"nonSxS\"")
    );
    fs::write(folder.join(format!("{COMPONENT}.manifest")), manifest).unwrap();
}

/// An `install.wim` of amd64 whose one image knows the foundation package of SP1 and has its servicing stack.
fn image(at: &Path) {
    wim(at, &["demo", "--dir", ".", "--arch", "amd64", "--quiet"]).ends_with(0);
    let id = format!("Microsoft-Windows-Foundation-Package~{TOKEN}~amd64~~{SP1}");
    let cbs = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing";
    let reg = format!(
        "Windows Registry Editor Version 5.00\r\n\r\n[{cbs}\\Packages\\{id}]\r\n\"CurrentState\"=dword:00000070\r\n"
    );
    fs::write(at.join("cbs.reg"), reg).unwrap();
    fs::write(at.join("empty"), "<assembly/>").unwrap();
    let mum = format!("empty=\\Windows\\servicing\\Packages\\{id}.mum");
    let stack = format!("empty=\\Windows\\servicing\\Version\\{SP1}\\amd64_installed");
    let arguments = [
        "slipstream",
        "install.wim",
        "-o",
        "out.wim",
        "--edition",
        "Professional",
        "--reg",
        "cbs.reg",
        "--add",
        &mum,
        "--add",
        &stack,
        "--quiet",
    ];
    wim(at, &arguments).ends_with(0);
}

#[test]
fn a_package_is_described_and_judged_against_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    image(at);
    package(&at.join("fits"), 1_111_111, "6.0.0.0");
    package(&at.join("needs-stack"), 2_222_222, "6.1.7601.23505");

    let info = wim(at, &["package", "info", "fits", "--json"]).ends_with(0).json();
    assert_eq!((info["verb"].as_str(), info["kb"].as_str()), (Some("package info"), Some("KB1111111")));
    assert_eq!(info["components"][0]["key_form"], COMPONENT);
    assert_eq!(info["components"][0]["registry"][0]["data"], "0x1");
    let text = wim(at, &["package", "info", "fits", "--detailed"]).ends_with(0).text();
    assert!(
        text.contains("KB1111111") && text.contains(COMPONENT) && text.contains("v = REG_DWORD 0x1"),
        "{text}"
    );

    let list = wim(at, &["package", "list", "out.wim", "--json"]).ends_with(0).json();
    let listed = &list["images"][0];
    assert_eq!(listed["servicing_stack"], SP1);
    assert_eq!(listed["packages"][0]["state"], "installed");
    assert_eq!(listed["findings"].as_array().unwrap().len(), 0, "{listed}");
    let text = wim(at, &["package", "list", "out.wim"]).ends_with(0).text();
    assert!(text.contains("installed    Microsoft-Windows-Foundation-Package~"), "{text}");
    assert!(
        wim(at, &["package", "list", "out.wim", "--updates"]).ends_with(0).text().contains("Packages: 0")
    );

    let checked = wim(at, &["package", "check", "out.wim", "needs-stack", "fits", "--dry-run", "--json"]);
    let checked = checked.ends_with(0).json();
    let packages = checked["images"][0]["packages"].as_array().unwrap();
    assert_eq!((packages[0]["kb"].as_str(), packages[0]["order"].as_u64()), (Some("KB1111111"), Some(1)));
    assert_eq!(packages[0]["outcome"], "applicable", "{packages:#?}");
    assert_eq!(packages[0]["plan"]["components"][0]["key_form"], COMPONENT, "{packages:#?}");
    assert_eq!(packages[1]["outcome"], "prerequisite_missing");
    assert_eq!(packages[1]["missing"][0]["kb"], "KB4490628");
    // A package that cannot be opened says nothing about the others.
    fs::write(at.join("windows10-kb5555555.psf"), b"PSTREAM\0 pieces").unwrap();
    let arguments = ["package", "check", "out.wim", "windows10-kb5555555.psf", "needs-stack", "fits"];
    let text = wim(at, &arguments).ends_with(0).text();
    assert!(text.contains("  - KB5555555  unknown: the pieces of a package (PSF)"), "{text}");
    assert!(text.contains("1. KB1111111") && text.contains("prerequisite missing: KB4490628"), "{text}");
}

#[test]
fn compressed_manifests_are_read_with_the_base_of_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    image(at);
    package(&at.join("fits"), 1_111_111, "6.0.0.0");
    let manifest = at.join("fits").join(format!("{COMPONENT}.manifest"));
    let text = fs::read(&manifest).unwrap();
    let base = b"<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\"><registryKeys><registryKey keyName=\""
        .to_vec();
    let options = Options { has_digest: false, ..Options::default() };
    let delta = write_delta(&base, &text, &options);
    fs::write(&manifest, [b"DCM\x01".as_slice(), &delta].concat()).unwrap();

    let info = wim(at, &["package", "info", "fits", "--json"]).ends_with(0).json();
    assert_eq!(info["components"].as_array().unwrap().len(), 0);
    assert!(info["findings"][0].as_str().unwrap().contains("--image"), "{info}");
    let ran = wim(at, &["package", "info", "fits", "--image", "out.wim"]).ends_with(2);
    assert!(ran.stderr.contains("the image has no base manifest"), "{}", ran.stderr);
    let checked = wim(at, &["package", "check", "out.wim", "fits", "--json"]).ends_with(1).json();
    let line = &checked["images"][0]["packages"][0];
    assert_eq!(line["outcome"], "unknown", "{line}");

    fs::write(at.join("wcp.dll"), wcp_dll(&base)).unwrap();
    let store =
        "\\Windows\\WinSxS\\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_6.1.7601.17514_none_0";
    let add = format!("wcp.dll={store}\\wcp.dll");
    wim(at, &["slipstream", "out.wim", "-o", "based.wim", "--add", &add, "--quiet"]).ends_with(0);
    let text =
        wim(at, &["package", "info", "fits", "--image", "based.wim:1", "--detailed"]).ends_with(0).text();
    assert!(text.contains(COMPONENT) && text.contains("v = REG_DWORD 0x1"), "{text}");
    let checked =
        wim(at, &["package", "check", "based.wim", "fits", "--dry-run", "--json"]).ends_with(0).json();
    let line = &checked["images"][0]["packages"][0];
    assert_eq!(
        (&line["outcome"], &line["plan"]["components"][0]["key_form"]),
        (&"applicable".into(), &COMPONENT.into())
    );
    let findings = checked["images"][0]["findings"].to_string();
    assert!(findings.contains("differs from that of all known versions"), "{findings}");
    let listed = wim(at, &["package", "list", "based.wim", "--json"]).ends_with(0).json();
    assert!(listed["images"][0]["base_manifest"].as_str().unwrap().ends_with("\\wcp.dll"), "{listed}");
}

#[test]
fn a_damaged_file_says_nothing_about_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    image(at);
    package(&at.join("fits"), 1_111_111, "6.0.0.0");
    wim(at, &["cab", "create", "whole.cab", "fits", "--compress=none"]).ends_with(0);
    let mut bytes = fs::read(at.join("whole.cab")).unwrap();
    fs::write(at.join("windows6.1-kb7777777.cab"), &bytes[..bytes.len() - 300]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(at.join("flipped.cab"), &bytes).unwrap();
    fs::write(at.join("empty.msu"), "").unwrap();
    // A document that is damaged in a folder, where no checksum tells.
    package(&at.join("torn"), 3_333_333, "6.0.0.0");
    fs::write(at.join("torn").join(format!("{COMPONENT}.manifest")), "<assembly").unwrap();
    let line = [
        "package",
        "check",
        "out.wim",
        "windows6.1-kb7777777.cab",
        "flipped.cab",
        "torn",
        "empty.msu",
        "fits",
    ];
    let line: Vec<&str> = line.iter().chain(&["--json"]).copied().collect();
    let checked = wim(at, &line).ends_with(1).json();
    let packages = checked["images"][0]["packages"].as_array().unwrap();
    let outcomes: Vec<(&str, &str)> = packages
        .iter()
        .map(|package| (package["path"].as_str().unwrap(), package["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes[0], ("fits", "applicable"));
    for file in ["windows6.1-kb7777777.cab", "flipped.cab", "torn", "empty.msu"] {
        assert!(outcomes.contains(&(file, "unreadable")), "{file}: {outcomes:?}");
    }
    let cut = packages.iter().find(|package| package["path"] == "windows6.1-kb7777777.cab").unwrap();
    assert_eq!(cut["kb"], "KB7777777");
    assert!(cut["reason"].as_str().unwrap().contains("CFDATA"), "{cut}");
    // A file that is not there is a slip.
    wim(at, &["package", "check", "out.wim", "gone.msu", "fits"]).ends_with(2);
    // Nothing is left beside the image, nor anywhere else.
    assert!(
        !fs::read_dir(at).unwrap().any(|entry| entry.unwrap().file_name().to_string_lossy().contains("tmp"))
    );
}

#[test]
fn what_fits_nothing_is_exit_1_and_what_is_no_package_is_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    wim(at, &["demo", "--dir", ".", "--arch", "x86", "--quiet"]).ends_with(0);
    package(&at.join("amd64"), 1_111_111, "6.0.0.0");
    let text = wim(at, &["package", "check", "install.wim:Professional", "amd64"]).ends_with(1).text();
    assert!(text.contains("not applicable: it is for amd64, and the image is x86"), "{text}");
    fs::create_dir(at.join("nothing")).unwrap();
    let ran = wim(at, &["package", "info", "nothing"]).ends_with(2);
    assert!(ran.stderr.contains("there is no update package in it"), "{}", ran.stderr);
    wim(at, &["package", "check", "install.wim:Professional", "nothing"]).ends_with(2);
    wim(at, &["package", "check", "install.wim:Professional"]).ends_with(2);
    // No Windows in it: not a judgement, but a failure.
    fs::create_dir(at.join("src")).unwrap();
    wim(at, &["capture", "src", "empty.wim", "--quiet"]).ends_with(0);
    wim(at, &["package", "list", "empty.wim"]).ends_with(2);
}

#[test]
fn real_updates_are_described() {
    let Some(data) = data_folder("updates") else { return };
    for (file, kb, components, installers) in [
        ("Windows6.1-KB2999226-x64.msu", "KB2999226", 10, 0),
        ("Windows6.1-KB3087873-v2-x64.msu", "KB3087873", 254, 1),
        ("Windows6.1-KB2883457-amd64.cab", "KB2883457", 4, 0),
    ] {
        let path = data.join(file).display().to_string();
        let info = wim(&data, &["package", "info", &path, "--json"]).ends_with(0).json();
        assert_eq!(info["kb"], kb);
        assert_eq!(info["components"].as_array().unwrap().len(), components, "{file}");
        assert_eq!(
            info["installers"].as_array().unwrap().len(),
            installers,
            "{file}: {}",
            info["installers"]
        );
        assert_eq!(info["findings"].as_array().unwrap().len(), 0, "{file}: {}", info["findings"]);
    }
}
