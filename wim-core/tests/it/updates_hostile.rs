//! Packages that lie: whatever is changed in their documents, they are read, judged and planned, or refused.

use std::sync::LazyLock;

use proptest::prelude::*;
use wim_core::base::{Architecture, ErrorKind};
use wim_core::servicing::hive_set::{HiveOptions, HiveSet};
use wim_core::servicing::package_files::{MemoryFiles, PackageFiles as _};
use wim_core::servicing::updates::{Branch, UpdatePackage, check, plan};

use crate::driver_image::MemoryImage;
use crate::updates_fixture::{TestUpdate, seven_sp1, state};

static IMAGE: LazyLock<MemoryImage> = LazyLock::new(|| seven_sp1(Architecture::Amd64));

/// Judges and plans a package; answers and errors are equally good. Names of planned files stay in the image.
fn survive(image: &MemoryImage, files: &MemoryFiles) {
    let Ok(package) = UpdatePackage::load(files, Branch::General) else { return };
    let packages = [package];
    let state = state(image);
    let mut hives = HiveSet::new(image, HiveOptions::default());
    let Ok(checked) = check(&packages, &state, &mut hives) else { return };
    for one in &checked {
        let Ok(plan) = plan(&packages[0], &one.judgement, &state, image, &mut hives) else { continue };
        let paths = plan.files.iter().map(|file| &file.path).chain(plan.links.iter().map(|link| &link.path));
        for path in paths {
            let text = path.to_string();
            assert!(!text.split('\\').any(|name| name == ".." || name.contains(':')), "{text}");
        }
    }
}

fn with_document(update: &TestUpdate, which: usize, change: impl FnOnce(&mut Vec<u8>)) -> MemoryFiles {
    let files = update.files();
    let documents: Vec<_> = files
        .list()
        .iter()
        .filter(|file| !file.path.contains('\\') && !file.path.ends_with(".cat"))
        .cloned()
        .collect();
    let file = &documents[which % documents.len()];
    let mut bytes = files.read(file, u64::MAX).unwrap().to_vec();
    change(&mut bytes);
    files.with(&file.path, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn changed_documents_are_judged_or_refused(
        which in 0_usize..8,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_usize..3), 1..4),
    ) {
        let files = with_document(&TestUpdate::new(1_111_111), which, |bytes| {
            for (at, byte, kind) in &edits {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = *byte,
                    1 => { bytes.remove(at); }
                    _ => {
                        let piece = bytes[at..(at + usize::from(*byte)).min(bytes.len())].to_vec();
                        bytes.splice(at..at, piece);
                    }
                }
            }
        });
        survive(&IMAGE, &files);
    }

    #[test]
    fn names_of_files_never_lead_out(name in "[a-c.\\\\/:]{1,8}", folder in "(\\$\\(runtime\\.windows\\))?[.\\\\/:a]{0,8}") {
        let mut update = TestUpdate::new(1_111_111);
        update.components[0].2 = format!("<file name=\"{name}\" destinationPath=\"{folder}\"/>");
        survive(&IMAGE, &update.files());
    }
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let load = |text: String| {
        let files = MemoryFiles::new("bomb.cab").with("update.mum", text.into_bytes());
        UpdatePackage::load(&files, Branch::General).map(|_| ()).unwrap_err().kind()
    };
    let mut entities = String::from("<!DOCTYPE a [<!ENTITY a0 \"lol\">");
    for level in 1..20 {
        entities += &format!("<!ENTITY a{level} \"{}\">", format!("&a{};", level - 1).repeat(10));
    }
    assert_eq!(load(entities + "]><assembly>&a19;</assembly>"), ErrorKind::Format);
    assert_eq!(load("<a>".repeat(100_000)), ErrorKind::Limit);
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=\"\"")).collect();
    assert_eq!(load(format!("<assembly{attributes}/>")), ErrorKind::Limit);
}

#[test]
fn packages_that_hold_each_other_come_to_an_end() {
    let id = |name: &str| {
        format!("<assemblyIdentity name=\"{name}\" version=\"1.0.0.0\" processorArchitecture=\"amd64\"/>")
    };
    let children: String = (0..40)
        .map(|n| format!("<update name=\"u{n}\"><package>{}</package></update>", id(&format!("p{n}"))))
        .collect();
    let text = |name: &str| format!("<assembly>{}<package>{children}</package></assembly>", id(name));
    let mut files = MemoryFiles::new("circle.cab").with("update.mum", text("top").into_bytes());
    for n in 0..40 {
        files = files.with(&format!("p{n}.mum"), text(&format!("p{n}")).into_bytes());
    }
    survive(&IMAGE, &files);
    let package = UpdatePackage::load(&files, Branch::General).unwrap();
    assert_eq!(package.reachable().len(), 41);

    // Triggers that all ask for each other.
    let triggers: String = (0..60).map(|n| format!("<update name=\"t{n}\"/>")).collect();
    let updates: String = (0..60)
        .map(|n| {
            format!("<update name=\"t{n}\"><applicable><detectUpdate>{triggers}</detectUpdate></applicable></update>")
        })
        .collect();
    let text = format!("<assembly>{}<package>{updates}</package></assembly>", id("top"));
    survive(
        &seven_sp1(Architecture::Amd64),
        &MemoryFiles::new("triggers.cab").with("update.mum", text.into_bytes()),
    );
}

#[test]
fn a_manifest_under_another_name_is_refused() {
    let files = TestUpdate::new(1_111_111).files();
    let is_component = |path: &str| path.contains("test-component") && !path.contains('\\');
    let manifest = files.list().iter().find(|file| is_component(&file.path)).unwrap().clone();
    let text = String::from_utf8(files.read(&manifest, u64::MAX).unwrap().to_vec()).unwrap();
    let changed = text.replace("Test-Component", "Best-Component");
    let files = files.with(&manifest.path, changed.into_bytes());
    let package = UpdatePackage::load(&files, Branch::General).unwrap();
    let form = package.manifest_names().find(|form| form.contains("test-component")).unwrap().to_owned();
    assert_eq!(package.manifest(&form).unwrap_err().kind(), ErrorKind::Corrupt);
}
