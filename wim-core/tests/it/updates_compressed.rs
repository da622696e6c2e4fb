//! Compressed manifests, as packages of Windows 8 and later have them: deltas of the base manifest of the image at hand.

use std::sync::Arc;

use wim_core::base::{Architecture, Cancel, Context, ErrorKind, Recording, Silent};
use wim_core::formats::cab::FolderCompression;
use wim_core::jobs::packages::expand::expand;
use wim_core::jobs::registry::Target;
use wim_core::jobs::updates::{InfoOptions, info};
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::{MemoryFiles, PackageFiles as _};
use wim_core::servicing::updates::{
    BaseManifest, Branch, Judgement, Outcome, UpdatePackage, UpdatePlan, expand_manifest, judge, plan,
};

use crate::cab_write::make;
use crate::delta_writer::{Options, write_delta};
use crate::driver_image::MemoryImage;
use crate::packages::wim;
use crate::pe_image::wcp_dll;
use crate::samples::real_data;
use crate::updates_fixture::{TestUpdate, seven_sp1, state};

const STORE: &str = "\\Windows\\WinSxS";

/// What manifests have in common, so that deltas of it are short, and of something else are something else.
fn base_text() -> Vec<u8> {
    let text = "<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\"><assemblyIdentity \
        processorArchitecture=\"amd64\" language=\"neutral\" buildType=\"release\" publicKeyToken=\"31bf3856ad364e35\" \
        versionScope=\"nonSxS\"/><dependency discoverable=\"false\"><dependentAssembly dependencyType=\"install\">";
    text.as_bytes().to_vec()
}

fn path_of_dll(version: &str) -> String {
    format!(
        "{STORE}\\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_{version}_none_0123456789abcdef\\wcp.dll"
    )
}

/// An update whose manifests are compressed; how many those are.
fn compressed(update: &TestUpdate, base: &[u8]) -> (MemoryFiles, usize) {
    let plain = update.files();
    let mut files = update.files();
    let mut count = 0;
    for file in plain.list().iter().filter(|file| file.path.ends_with(".manifest")) {
        let text = plain.read(file, u64::MAX).unwrap();
        let delta = write_delta(base, &text, &Options { has_digest: false, ..Options::default() });
        files = files.with(&file.path, [b"DCM\x01".as_slice(), &delta].concat());
        count += 1;
    }
    (files, count)
}

fn judged(
    image: &MemoryImage,
    files: &MemoryFiles,
    base: Option<BaseManifest>,
) -> (Judgement, Option<UpdatePlan>) {
    let mut package = UpdatePackage::load(files, Branch::General).unwrap();
    package.set_base_manifest(base.map(Arc::new));
    let state = state(image);
    let mut hives = HiveSet::new(image, HiveOptions::default());
    let judgement = judge(&package, &state, &mut hives).unwrap();
    let plan = (judgement.outcome == Outcome::Applicable)
        .then(|| plan(&package, &judgement, &state, image, &mut hives).unwrap());
    (judgement, plan)
}

#[test]
fn a_package_with_compressed_manifests_is_what_it_is_with_plain_ones() {
    let mut image = seven_sp1(Architecture::Amd64);
    image.put(&path_of_dll("6.1.7601.17514"), wcp_dll(&base_text()));
    let update = TestUpdate::new(1_111_111);
    let (files, _) = compressed(&update, &base_text());
    let base = BaseManifest::find(&image).unwrap();
    let (judgement, found) = judged(&image, &files, base);
    assert_eq!(judgement.outcome, Outcome::Applicable);
    let (found, plain) = (found.unwrap(), judged(&image, &update.files(), None).1.unwrap());
    assert!(!found.components.is_empty());
    // Digests of manifests are those of their text, which is what a store records.
    assert_eq!(format!("{:?}", found.records), format!("{:?}", plain.records));
    assert_eq!(format!("{:?}", found.links), format!("{:?}", plain.links));
    assert!(found.notes.iter().any(|note| note.contains("go in expanded")), "{:?}", found.notes);

    // Without a base it cannot be told, and what to do is said.
    let outcome = judged(&image, &files, None).0.outcome;
    assert!(outcome.label() == "unknown" && outcome.reason().contains("base manifest"), "{outcome:?}");
    // With another one it is not what its name says.
    let other: Vec<u8> = base_text().iter().map(|byte| if *byte == b'a' { b'e' } else { *byte }).collect();
    let other = BaseManifest { found_in: "other".into(), bytes: other, is_well_known: false };
    let outcome = judged(&image, &files, Some(other)).0.outcome;
    assert_eq!(outcome.label(), "unreadable", "{outcome:?}");
}

#[test]
fn the_base_is_that_of_the_newest_stack_that_can_be_read() {
    let mut image = seven_sp1(Architecture::Amd64);
    let found = |image: &MemoryImage| BaseManifest::find(image).unwrap().map(|base| base.bytes);
    assert_eq!(found(&image), None);
    image.put(&path_of_dll("6.3.9600.17031"), wcp_dll(b"six"));
    assert_eq!(found(&image).unwrap(), b"six");
    // By number, not by letter.
    image.put(&path_of_dll("10.0.9.9"), wcp_dll(b"ten.9"));
    image.put(&path_of_dll("10.0.10240.1"), wcp_dll(b"ten.10240"));
    assert_eq!(found(&image).unwrap(), b"ten.10240");
    image.put(&path_of_dll("10.0.10240.2"), *b"no program");
    image.put(
        &format!("{STORE}\\amd64_microsoft-windows-servicingstack_x_y_none_0\\wcp.dll"),
        wcp_dll(b"odd"),
    );
    let base = BaseManifest::find(&image).unwrap().unwrap();
    assert_eq!(base.bytes, b"ten.10240");
    assert!(base.doubt().unwrap().contains(&path_of_dll("10.0.10240.1")));
}

#[test]
fn a_delta_of_another_version_is_told_from_one_of_the_base() {
    let (base, other) = (base_text(), b"<assembly>another version</assembly>".repeat(9));
    let found = BaseManifest { found_in: String::new(), bytes: base.clone(), is_well_known: false };
    let file = |reference: &[u8]| {
        let delta = write_delta(reference, &other, &Options::default());
        [b"DCD\x01\0\0\0\0\0\0\0\0".as_slice(), &delta].concat()
    };
    assert_eq!(expand_manifest(&file(&base), Some(&found)).unwrap(), other);
    let error = expand_manifest(&file(&other), Some(&found)).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("DCD"), "{error}");
    let error = expand_manifest(&file(&other), None).unwrap_err();
    assert!(error.remedy_text().unwrap().contains("--image"), "{error}");
}

#[test]
fn info_takes_the_base_of_an_image_or_says_to_name_one() {
    let folder = tempfile::tempdir().unwrap();
    let (files, count) = compressed(&TestUpdate::new(1_111_111), &base_text());
    let package = folder.path().join("package");
    for file in files.list() {
        let path = file.path.split('\\').fold(package.clone(), |path, part| path.join(part));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, files.read(file, u64::MAX).unwrap()).unwrap();
    }
    let image = folder.path().join("image.wim");
    let dll = wcp_dll(&base_text());
    std::fs::write(&image, wim(&[(path_of_dll("6.2.9200.16384").trim_start_matches('\\'), &dll)])).unwrap();
    let cancel = Cancel::new();
    let cx = Context::new(&Silent, &cancel);
    let ask = |image: Option<&std::path::Path>| {
        let image = image.map(|path| Target { path: path.to_owned(), ..Target::default() });
        info(&cx, &package, &InfoOptions { image, ..InfoOptions::default() })
    };
    let without = ask(None).unwrap();
    assert!(without.components.is_empty() && count > 1);
    let [finding] = &without.findings[..] else { panic!("{:?}", without.findings) };
    let more = format!("(and {} more manifests)", count - 1);
    assert!(finding.contains(&more) && finding.contains("--image install.wim:1"), "{finding}");
    let with = ask(Some(&image)).unwrap();
    assert_eq!(with.components.len(), count);
    let [finding] = &with.findings[..] else { panic!("{:?}", with.findings) };
    assert!(finding.contains("differs from that of all known versions"), "{finding}");
    // An image without one.
    std::fs::write(&image, wim(&[("Windows\\a", b"a")])).unwrap();
    let error = ask(Some(&image)).unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.remedy_text().is_some(), "{error}");
}

#[test]
fn files_are_proved_by_compressed_manifests_with_the_base_of_an_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(
        path("based.wim"),
        wim(&[(path_of_dll("6.2.9200.1").trim_start_matches('\\'), &wcp_dll(&base_text()))]),
    )
    .unwrap();
    let image = Target { path: path("based.wim"), ..Target::default() };
    let (files, count) = compressed(&TestUpdate::new(1_111_111), &base_text());
    let members = |files: &MemoryFiles| -> Vec<(String, Vec<u8>)> {
        files
            .list()
            .iter()
            .map(|file| (file.path.clone(), files.read(file, u64::MAX).unwrap().to_vec()))
            .collect()
    };
    let expanded = |files: &MemoryFiles, name: &str, image: Option<&Target>| {
        std::fs::write(path("p.cab"), make(&members(files), FolderCompression::Stored, 1 << 20, 1)).unwrap();
        let (progress, cancel) = (Recording::default(), Cancel::new());
        let cx = Context::new(&progress, &cancel);
        expand(&cx, &path("p.cab"), &path(name), image)
            .map(|report| (report.proved_by_manifests, progress.warnings()))
    };
    let (proved, warnings) = expanded(&files, "without", None).unwrap();
    assert_eq!(proved, 0);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains(&format!("digests in {count} manifests are not compared")), "{warning}");
    assert_eq!(expanded(&files, "with", Some(&image)).unwrap().0, 1);
    // One that is not what its manifest says.
    let payload = files.list().iter().find(|file| file.path.ends_with("\\test.dll")).unwrap().path.clone();
    let files = files.with(&payload, *b"best");
    expanded(&files, "unproved", None).unwrap();
    let error = expanded(&files, "refused", Some(&image)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!path("refused").exists());
}

#[test]
fn real_manifests_are_read_with_the_real_base() {
    let Some(folder) = real_data("updates/dcm") else { return };
    let mut image = seven_sp1(Architecture::Amd64);
    let base = std::fs::read(folder.join("base_manifest.bin")).unwrap();
    image.put(&path_of_dll("10.0.26100.1"), wcp_dll(&base));
    let base = BaseManifest::find(&image).unwrap().unwrap();
    assert!(base.is_well_known && base.doubt().is_none());
    let mum = "<assembly><assemblyIdentity name=\"P\" version=\"1.0.0.0\" processorArchitecture=\"amd64\"/><package/>\
        </assembly>";
    let mut files = MemoryFiles::new("real.cab").with("update.mum", mum.as_bytes().to_vec());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some("manifest".as_ref()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            files = files.with(name, std::fs::read(&path).unwrap());
        }
    }
    let mut package = UpdatePackage::load(&files, Branch::General).unwrap();
    let names: Vec<String> = package.manifest_names().map(str::to_owned).collect();
    assert_eq!(names.len(), 5);
    let error = package.manifest(&names[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    package.set_base_manifest(Some(Arc::new(base)));
    for name in names {
        // Reading it compares the name with the one that its identity gives.
        let found = package.manifest(&name).unwrap().unwrap();
        assert!(found.was_compressed && found.bytes.starts_with(b"<?xml"), "{name}");
    }
}
