//! `wim package expand` as users meet it.

use crate::delta_writer::{Options, endless_map, write_transform};
use crate::pe_image::managed_image;
use crate::{command, data_folder, wim};

#[test]
fn real_updates_are_expanded_and_told() {
    let Some(folder) = data_folder("updates") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let package = folder.join("Windows6.1-KB2883457-amd64.cab");
    let package = package.to_str().unwrap();
    let answer = wim(scratch.path(), &["package", "expand", package, "out", "--json"]).ends_with(0).json();
    assert_eq!(answer["verb"], "package expand");
    assert_eq!((&answer["files"], &answer["deltas"]), (&22.into(), &6.into()));
    assert!(scratch.path().join("out/update.mum").is_file());
    let again = wim(scratch.path(), &["package", "expand", package, "out"]).ends_with(2);
    assert!(again.stderr.contains("not empty"), "{}", again.stderr);
    let text = wim(scratch.path(), &["package", "expand", package, "second"]).ends_with(0).text();
    assert!(text.contains("22 files of") && text.contains("16 stored, 0 copies, 6 deltas"), "{text}");
    // One flipped byte in the cabinet leaves nothing.
    let mut bytes = std::fs::read(package).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(scratch.path().join("bad.cab"), bytes).unwrap();
    wim(scratch.path(), &["package", "expand", "bad.cab", "third"]).ends_with(2);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 3);
}

#[test]
fn what_is_no_package_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("text.cab"), "no cabinet").unwrap();
    wim(scratch.path(), &["package", "expand", "text.cab", "out"]).ends_with(2);
    wim(scratch.path(), &["package", "expand", "missing.msu", "out"]).ends_with(2);
    std::fs::write(scratch.path().join("short.psf"), "PSTREAM").unwrap();
    let error = wim(scratch.path(), &["package", "expand", "short.psf", "out", "--json"]).ends_with(2).json();
    assert_eq!(error["error"]["kind"], "format");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 2);
}

/// Tables of a delta take two bits an entry there and sixteen bytes in memory.
#[test]
#[cfg(target_os = "linux")]
fn a_delta_of_endless_tables_is_refused_in_little_memory() {
    let scratch = tempfile::tempdir().unwrap();
    let members = scratch.path().join("members");
    std::fs::create_dir(&members).unwrap();
    let basis = managed_image().bytes;
    // A gigabyte, if it was read.
    let preprocess = endless_map(68);
    let options = Options { file_type: 2, flags: 0xC000, preprocess, ..Options::default() };
    std::fs::write(members.join("0"), &basis).unwrap();
    std::fs::write(members.join("1"), write_transform(&basis, &options)).unwrap();
    let digest = wim_core::base::Sha1Digest::of(&basis);
    let file = |id: u32, name: &str, recipe: &str| {
        format!(
            "<File id=\"{id}\" name=\"{name}\" length=\"{}\"><Hash alg=\"SHA1\" value=\"{digest}\"/><Delta>{recipe}\
             </Delta></File>",
            basis.len()
        )
    };
    let raw = file(0, "update.mum", "<Source type=\"RAW\" name=\"0\"/>");
    let delta = file(1, "a.dll", "<Source type=\"PA30\" name=\"1\"/><Basis file=\"0\"/>");
    let index = format!("<Container type=\"CAB\" name=\"p\"><Files>{raw}{delta}</Files></Container>");
    std::fs::write(members.join("_manifest_.cix.xml"), index).unwrap();
    wim(scratch.path(), &["cab", "create", "p.cab", "members", "--compress=mszip"]).ends_with(0);
    let script = "ulimit -v 524288; exec \"$0\" package expand p.cab out --threads=1";
    let output = command("sh", scratch.path(), &["-c", script, env!("CARGO_BIN_EXE_wim")]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("a.dll") && stderr.contains("bytes of memory or more"), "{stderr}");
}
